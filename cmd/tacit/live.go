package main

import (
	"fmt"
	"strings"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/server"
)

type subsCmd struct {
	List subListCmd `cmd:"" help:"List subscriptions, of one presentity or all."`
	End  subEndCmd  `cmd:"" help:"End a subscription; its watcher is told."`
}

type pubsCmd struct {
	List pubListCmd `cmd:"" help:"List publications, of one presentity or all."`
	End  pubEndCmd  `cmd:"" help:"End a publication; watchers are told."`
}

// stateQuery asks for live state.
type stateQuery struct {
	Presentity string `arg:"" optional:"" help:"Only this presentity's."`
	listing
	place
}

func (c *stateQuery) ask(fn func(o *operator, p presence.AOR) error) error {
	return c.with(func(o *operator) error {
		var p presence.AOR
		if c.Presentity != "" {
			var err error
			if p, err = o.aor(c.Presentity); err != nil {
				return err
			}
		}
		return fn(o, p)
	})
}

type subListCmd struct{ stateQuery }

// Run lists subscriptions.
func (c *subListCmd) Run(e *env) error {
	return c.ask(func(o *operator, p presence.AOR) error {
		list, err := o.Subs(p)
		if err != nil {
			return err
		}
		o.noteStopped(e)
		return print(e, c.listing, list, "ID\tENTITY\tWATCHER\tEVENT\tSTATE\tEXPIRES\tFLOW", func(s server.SubInfo) string {
			return strings.Join([]string{s.ID, s.Entity, string(s.Watcher), s.Event, s.State, when(s.Expires), s.Flow}, "\t")
		})
	})
}

type pubListCmd struct{ stateQuery }

// Run lists publications.
func (c *pubListCmd) Run(e *env) error {
	return c.ask(func(o *operator, p presence.AOR) error {
		list, err := o.Pubs(p)
		if err != nil {
			return err
		}
		return print(e, c.listing, list, "ID\tPRESENTITY\tMODIFIED\tEXPIRES\tBYTES", func(p server.PubInfo) string {
			return fmt.Sprintf("%s\t%s\t%s\t%s\t%d", p.ID, p.Presentity, when(p.Modified), when(p.Expires), p.Size)
		})
	})
}

// endCmd ends one thing.
type endCmd struct {
	ID string `arg:"" name:"id" help:"Its ID in the list."`
	place
}

func (c *endCmd) run(e *env, end func(*operator, string) error) error {
	return c.with(func(o *operator) error {
		if err := end(o, c.ID); err != nil {
			return err
		}
		return told(e, "ended", c.ID, "", false)
	})
}

type subEndCmd struct{ endCmd }

// Run ends a subscription.
func (c *subEndCmd) Run(e *env) error {
	return c.run(e, func(o *operator, id string) error { return o.EndSub(id) })
}

type pubEndCmd struct{ endCmd }

// Run ends a publication.
func (c *pubEndCmd) Run(e *env) error {
	return c.run(e, func(o *operator, id string) error { return o.EndPub(id) })
}

type traceCmd struct {
	User string `arg:"" help:"Whose messages, such as sip:alice@example.com."`
	listing
	place
}

// Run shows messages until interrupted.
func (c *traceCmd) Run(e *env) error {
	return c.with(func(o *operator) error {
		user, err := o.aor(c.User)
		if err != nil {
			return err
		}
		err = o.Trace(e.ctx, user, func(l server.TraceLine) error { return c.show(e, l) })
		if e.ctx.Err() != nil {
			return nil // the reader has had enough
		}
		return err
	})
}

func (c *traceCmd) show(e *env, l server.TraceLine) error {
	if c.JSON {
		return jsonLine(e, l)
	}
	arrow := "sent to"
	if l.In {
		arrow = "received from"
	}
	_, err := fmt.Fprintf(e.stdout, "---- %s %s %s\n%s\n", l.Time.Local().Format("15:04:05.000"), arrow, l.Flow,
		strings.ReplaceAll(printable(l.Text), "\r\n", "\n"))
	return err
}
