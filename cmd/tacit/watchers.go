package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/server"
)

type watchersCmd struct {
	Presentity string `arg:"" help:"Whose watchers, such as sip:alice@example.com."`
	Decision   string `arg:"" optional:"" help:"approve, block, polite-block or confirm: decide about WATCHER, as rules allow, block, polite-block and confirm do; forget: take the decision back, as rules remove does. Without it the watchers are listed."`
	Watcher    string `arg:"" optional:"" help:"Whom to decide about: an address, or as the list has one who wants to be nameless."`
	listing
	place
}

// decisions are the words of this command for handlings.
var decisions = map[string]policy.Handling{
	"approve": policy.Allow, "block": policy.Block, "polite-block": policy.PoliteBlock, "confirm": policy.Confirm,
}

// forget takes a decision back.
const forget = "forget"

// Run lists watchers, or decides about one.
func (c *watchersCmd) Run(e *env) error {
	if c.Decision == "" {
		return c.list(e)
	}
	h, known := decisions[c.Decision]
	switch {
	case !known && c.Decision != forget:
		return usage("%q is no decision; write approve, block, polite-block, confirm or forget", c.Decision)
	case c.Watcher == "":
		return usage("%s whom? Name the watcher", c.Decision)
	case c.JSON:
		return usage("--json is for the list")
	}
	if a, ok := presence.ParseNameless(c.Watcher); ok {
		c.Watcher = string(a)
	}
	p := pair{Presentity: c.Presentity, Watcher: c.Watcher, place: c.place}
	if !known {
		return p.remove(e)
	}
	return p.set(e, h)
}

func (c *watchersCmd) list(e *env) error {
	return c.with(func(o *operator) error {
		p, err := o.aor(c.Presentity)
		if err != nil {
			return err
		}
		list, err := o.Watchers(p)
		if err != nil {
			return err
		}
		o.noteStopped(e)
		if c.JSON {
			return printJSON(e, list)
		}
		w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "WATCHER\tSTATE\tDECISION\tTOLD\tSINCE\tEXPIRES\tBY")
		for _, x := range list.Watchers {
			by := x.Reason
			if by == "" {
				by = "-"
			}
			who := called(x.Watcher)
			if x.Name != "" {
				who = string(x.Name)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", who, x.State, x.Decision, x.Told, when(x.Since), when(x.Expires), printable(by))
		}
		if err := w.Flush(); err != nil || len(list.Notices) == 0 {
			return err
		}
		fmt.Fprintln(w, "\nNOTICE\tWATCHER\tTIME\tDETAIL")
		for _, n := range list.Notices {
			detail := printable(n.Detail)
			if n.Last != nil {
				detail += fmt.Sprintf(" (again %d times, last %s)", n.Again, when(*n.Last))
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", n.Kind, called(n.Watcher), when(n.Time), detail)
		}
		return w.Flush()
	})
}

// noteKept says that a rule still gives a watcher more than was just decided.
func noteKept(e *env, o *operator, p, w presence.AOR, h policy.Handling) {
	x, err := o.Explain(p, server.ExplainQuery{Watcher: w})
	if err == nil && x.Decision != h.String() {
		fmt.Fprintf(e.stderr, "note: it still gets %s, by %s; `tacit explain` says why\n", x.Decision, x.Reason)
	}
}
