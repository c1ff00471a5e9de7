package agent

import (
	"time"

	"github.com/tacit-presence/tacit/filter"
	"github.com/tacit-presence/tacit/notifier"
	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/view"
)

// class is a set of watchers who may see the same and asked for the same.
type class struct {
	decision policy.Decision // what is true
	conceal  bool            // told is decision.Concealed
	filter   filter.Filter
	entity   string
	// of is the one subscription of a class whose filter has triggers: what it is
	// told depends on what it was told last. Zero: of all.
	of notifier.Tag

	final    view.Final       // as it was rendered last
	before   view.Final       // what was told before final
	partial  view.Final       // final as a difference from before
	base     policy.Candidate // before the filter, as it was when final was made
	seen     policy.Candidate // as it was when the triggers were last asked
	asked    uint32           // numbers the changes that the filter's triggers want told
	rendered bool             // final has been rendered
	stale    bool             // there is a newer composition
}

// tell is the way of one piece of presence, a line a stage: composition has
// been done for all watchers, the rest is done once for all of one class.
func tell(p *presentity, c *class) view.Final {
	candidate := policy.Apply(p.raw, c.told())
	filtered := filter.Apply(candidate, c.filter)
	return view.Finish(filtered, p.Presentity, c.entity)
}

// told is the decision as the watcher may know it.
func (c *class) told() policy.Decision {
	if c.conceal {
		return c.decision.Concealed()
	}
	return c.decision
}

// presencePackage is the event package "presence" (RFC 3856, 6).
type presencePackage struct {
	asks
	shard *Shard
}

// Name is the package's name.
func (*presencePackage) Name() presence.EventPackage { return eventPresence }

// formats are the body types: whole documents, and partial ones (RFC 5263) for
// who asks for them.
var formats = []string{pidf.ContentType, pidf.PartialContentType}

// Accepts lists the formats.
func (*presencePackage) Accepts() []string { return formats }

// DefaultExpires is an hour (RFC 3856, 6.4).
func (*presencePackage) DefaultExpires() time.Duration { return defaultSubscriptionExpires }

// Decide asks the presentity's rules.
func (k *presencePackage) Decide(sub *notifier.Subscription, now time.Time) notifier.Grant {
	p := sub.Resource.Owner.(*presentity)
	d := k.shard.decide(p, sub.Watcher, now)
	k.shard.due(p, d.Until)
	k.shard.used(p, sub.Watcher, d)
	c := class{decision: d, conceal: k.shard.conceals(p), entity: sub.Entity}
	if c.filter = filterOf(sub); c.filter.Triggers() {
		c.of = sub.Tag
	}
	told := c.told()
	narrowed := told.Handling < policy.Allow
	if !narrowed && sub.Grant.State == notifier.Active && sub.State() == notifier.Active {
		// What is on its way under the old rule must not arrive any more, nor come
		// again because it has not been answered.
		narrowed = told.Narrower(p.classes[sub.Grant.Class].told())
	}
	g := notifier.Grant{Class: k.class(p, c), Narrowed: narrowed}
	g.State, g.Verdict = stateFor(told.Handling), stateFor(k.shard.verdict(p, sub.Watcher, d, now).Handling)
	k.shard.admitted = k.shard.admitted || g.State != notifier.Refused
	return g
}

// stateFor is what becomes of a subscription that is handled so (RFC 5025, 3.2.1).
func stateFor(h policy.Handling) notifier.State {
	switch h {
	case policy.Allow, policy.PoliteBlock:
		return notifier.Active
	case policy.Confirm:
		return notifier.Pending
	}
	return notifier.Refused
}

// Render gives the view of the watcher's class.
func (k *presencePackage) Render(sub *notifier.Subscription, now time.Time) notifier.Body {
	p := sub.Resource.Owner.(*presentity)
	c := &p.classes[sub.Grant.Class]
	if answering := sub.Answering(); !c.rendered || c.stale || answering && c.counts() && now.Unix() != c.decision.Location.Now.Unix() {
		k.render(p, c, answering, now)
	}
	if sub.Format() != pidf.PartialContentType {
		return notifier.FromView(c.final).AskedFor(c.asked)
	}
	switch told := sub.Told(); {
	case told != 0 && told == c.final.Sum() && c.asked == 0:
		return notifier.FromView(c.final) // nothing is new, so this is not sent
	case told != 0 && told == c.before.Sum():
		if c.partial.None() {
			c.partial = c.final.Partial(c.before)
		}
		return notifier.FromView(c.partial).AskedFor(c.asked)
	}
	return notifier.FromView(c.final.Partial(view.Final{})).AskedFor(c.asked)
}

// counts reports whether what the class is told counts from when it is told, as
// set-retention-expiry does (RFC 6772, 6.2).
func (c *class) counts() bool { return c.decision.Permissions.SetsRetention() }

// render makes a class' view of what is composed now. Where its watcher wants to
// be told of some changes only, others leave the view as it was (RFC 4661, 3.6),
// unless it is the answer to a SUBSCRIBE (RFC 4660, 5.3.1).
//
// Whether the view has changed is asked of one that counts from no time: else each
// change that the class may not see would show in a later retention-expiry. The
// answer to a SUBSCRIBE counts anew, or it would tell a location that is over.
func (k *presencePackage) render(p *presentity, c *class, answering bool, now time.Time) {
	c.decision.Location.Now = time.Time{}
	if c.filter.Triggers() {
		candidate := policy.Apply(p.raw, c.told())
		if c.rendered && !answering {
			if !c.filter.Triggered(c.base, candidate) && !c.filter.Stepped(c.seen, candidate) {
				c.seen = candidate
				return
			}
			k.shard.triggered++
			c.asked = k.shard.triggered
		}
		c.base, c.seen = candidate, candidate
	}
	final := tell(p, c)
	if c.counts() {
		if c.rendered && !answering && final.Sum() == c.final.Sum() {
			c.stale = false
			return
		}
		c.decision.Location.Now = now
		final = tell(p, c).SummedAs(final)
	}
	if final.Sum() != c.final.Sum() {
		c.before, c.partial = c.final, view.Final{}
	}
	c.final, c.rendered, c.stale = final, true, false
	k.shard.cfg.Counters.Views.Add(1)
}

// class finds or makes the class of watchers that c describes.
func (k *presencePackage) class(p *presentity, want class) int32 {
	for i := range p.classes {
		c := &p.classes[i]
		if c.decision.Handling == want.decision.Handling && c.decision.Permissions.Equal(want.decision.Permissions) &&
			c.decision.Location.Band == want.decision.Location.Band && c.conceal == want.conceal && c.entity == want.entity && c.filter.Equal(want.filter) && c.of == want.of {
			return int32(i)
		}
	}
	if len(p.classes) >= maxClasses {
		k.compact(p)
	}
	p.classes = append(p.classes, want)
	return int32(len(p.classes) - 1)
}

// compact forgets the classes that no subscription is in any more: a watcher can
// make new ones by spelling the presentity's URI in new ways.
func (k *presencePackage) compact(p *presentity) {
	used := make([]int32, len(p.classes)) // new number plus one
	var kept []class
	for _, sub := range p.Subscribers() {
		if sub.Package != k {
			continue // its Class is another package's
		}
		c := &used[sub.Grant.Class]
		if *c == 0 {
			kept = append(kept, p.classes[sub.Grant.Class])
			*c = int32(len(kept))
		}
		sub.Grant.Class = *c - 1
	}
	p.classes = kept
}
