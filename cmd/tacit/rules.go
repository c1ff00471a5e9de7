package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/server"
)

type rulesCmd struct {
	Allow       allowCmd       `cmd:"" help:"The watcher gets the whole document."`
	Block       blockCmd       `cmd:"" help:"The watcher is refused (403); its subscriptions end."`
	PoliteBlock politeBlockCmd `cmd:"" help:"The watcher sees a presentity that looks unavailable."`
	Confirm     confirmCmd     `cmd:"" help:"The watcher waits for a decision."`
	Remove      removeCmd      `cmd:"" help:"No rule any more: the server's default decision holds."`
	List        ruleListCmd    `cmd:"" help:"List the rules, of one presentity or all."`
	Pending     pendingCmd     `cmd:"" help:"List who waits for a presentity's decision."`
	Diff        diffCmd        `cmd:"" help:"Say who would gain and lose what by a document of rules, now and when its time comes. Nothing is changed."`
	Put         putCmd         `cmd:"" help:"Save a document of rules or preferences, as a PUT by XCAP does, and say what that changes."`
	Get         getCmd         `cmd:"" help:"Print a document."`
	Documents   documentsCmd   `cmd:"" help:"List a presentity's documents."`
	Delete      deleteCmd      `cmd:"" help:"Remove a document, and say what that changes."`
}

// pair is what a rule is about.
type pair struct {
	Presentity string `arg:"" help:"Whose presence, such as sip:alice@example.com."`
	Watcher    string `arg:"" help:"Who watches, such as sip:bob@example.com."`
	place
}

func (c *pair) do(e *env, what string, fn func(o *operator, p, w presence.AOR) error) error {
	return c.with(func(o *operator) error {
		p, err := o.aor(c.Presentity)
		if err != nil {
			return err
		}
		w, err := o.watcher(c.Watcher)
		if err != nil {
			return err
		}
		if err := fn(o, p, w); err != nil {
			return err
		}
		_, err = fmt.Fprintf(e.stdout, "%s: %s for %s\n", p, what, w)
		return err
	})
}

func (c *pair) set(e *env, h policy.Handling) error {
	if err := plainAddress(c.Presentity, "PRESENTITY"); err != nil {
		return err
	}
	if err := plainWatcher(c.Watcher); err != nil {
		return err
	}
	if c.Watcher == anonymousWord {
		return usage("who is not authenticated cannot be decided about; a rule without an identity condition, in a document of rules, matches them too")
	}
	return c.do(e, h.String(), func(o *operator, p, w presence.AOR) error {
		if err := o.SetRule(p, w, h); err != nil {
			return err
		}
		noteKept(e, o, p, w, h)
		return nil
	})
}

func (c *pair) remove(e *env) error {
	return c.do(e, "no rule", func(o *operator, p, w presence.AOR) error { return o.RemoveRule(p, w) })
}

type allowCmd struct{ pair }

// Run sets the rule.
func (c *allowCmd) Run(e *env) error { return c.set(e, policy.Allow) }

type blockCmd struct{ pair }

// Run sets the rule.
func (c *blockCmd) Run(e *env) error { return c.set(e, policy.Block) }

type politeBlockCmd struct{ pair }

// Run sets the rule.
func (c *politeBlockCmd) Run(e *env) error { return c.set(e, policy.PoliteBlock) }

type confirmCmd struct{ pair }

// Run sets the rule.
func (c *confirmCmd) Run(e *env) error { return c.set(e, policy.Confirm) }

type removeCmd struct{ pair }

// Run removes the rule.
func (c *removeCmd) Run(e *env) error { return c.remove(e) }

// only is a watcher that a list may be about alone.
type only struct {
	Watcher string `arg:"" optional:"" help:"Only this watcher."`
	listing
	place
}

// ask opens the server and resolves the addresses; p is empty for anybody's, w
// for any watcher.
func (c *only) ask(presentity string, fn func(o *operator, p, w presence.AOR) error) error {
	return c.with(func(o *operator) error {
		var p, w presence.AOR
		var err error
		if presentity != "" {
			if p, err = o.aor(presentity); err != nil {
				return err
			}
		}
		if c.Watcher != "" {
			if w, err = o.watcher(c.Watcher); err != nil {
				return err
			}
		}
		return fn(o, p, w)
	})
}

// about is what of a list is about w, all of it where w is empty.
func about[T any](list []T, w presence.AOR, watcher func(T) presence.AOR) []T {
	return slices.DeleteFunc(list, func(t T) bool { return w != "" && watcher(t) != w })
}

type ruleListCmd struct {
	Presentity string `arg:"" optional:"" help:"Whose presence, such as sip:alice@example.com. Without it, everybody's."`
	only
}

// Run lists the rules.
func (c *ruleListCmd) Run(e *env) error {
	return c.ask(c.Presentity, func(o *operator, p, w presence.AOR) error {
		list, err := o.Rules(p)
		if err != nil {
			return err
		}
		list = about(list, w, func(r server.RuleInfo) presence.AOR { return r.Watcher })
		if p == "" {
			return print(e, c.listing, list, "PRESENTITY\tWATCHER\tDECISION", func(r server.RuleInfo) string {
				return string(r.Presentity) + "\t" + string(r.Watcher) + "\t" + r.Decision
			})
		}
		return print(e, c.listing, list, "WATCHER\tDECISION", func(r server.RuleInfo) string {
			return string(r.Watcher) + "\t" + r.Decision
		})
	})
}

type pendingCmd struct {
	Presentity string `arg:"" help:"Whose presence, such as sip:alice@example.com."`
	only
}

// Run lists who waits.
func (c *pendingCmd) Run(e *env) error {
	return c.ask(c.Presentity, func(o *operator, p, w presence.AOR) error {
		list, err := o.Pending(p)
		if err != nil {
			return err
		}
		o.noteStopped(e)
		list = about(list, w, func(s server.SubInfo) presence.AOR { return s.Watcher })
		return print(e, c.listing, list, "WATCHER\tEXPIRES\tFLOW", func(s server.SubInfo) string {
			return fmt.Sprintf("%s\t%s\t%s", s.Watcher, when(s.Expires), s.Flow)
		})
	})
}

// when writes a time for people, in their zone.
func when(t time.Time) string { return t.Local().Format(time.DateTime) }

// whenThere is when with the zone, where people may have given another.
func whenThere(t time.Time) string { return t.Local().Format(time.DateTime + " MST") }
