package agent

import (
	"time"

	"github.com/tacit-presence/tacit/notifier"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/watcherinfo"
)

// Home says whose presence a URI asks for now; false: nobody could ask for it.
type Home func(uri string) (presence.Presentity, bool)

// Move is a subscription on its way to the presentity that it is about now.
type Move struct {
	Subscription *notifier.Subscription
	To           presence.Presentity
}

// Strays takes out of the shard the subscriptions that are to another presentity's
// address now: it was nobody's when they were made, or somebody else's. They must be
// given to Adopt of the shards where they belong, and then to Forgo of this one, so
// that a crash on the way loses none.
func (s *Shard) Strays(home Home, now time.Time, out *shard.Batch) (list []Move) {
	for _, p := range s.people {
		for _, sub := range p.Subscribers() {
			// What is the watcher's own is not about whom it was addressed to.
			if to, ok := home(sub.Entity); ok && to != p.Presentity && sub.Package != s.xcapDiff {
				list = append(list, Move{sub, to})
			}
		}
	}
	for _, m := range list {
		p := m.Subscription.Resource.Owner.(*presentity)
		s.leave(p, m.Subscription)
		s.table.Release(m.Subscription)
	}
	s.report(now, out)
	s.table.Emptied(func(r *notifier.Resource) { s.drop(r.Owner.(*presentity)) })
	return list
}

// leave forgets what is kept beside a subscription that goes elsewhere.
func (s *Shard) leave(p *presentity, sub *notifier.Subscription) {
	switch sub.Package {
	case s.winfo:
		p.watched(sub, true)
	case s.presence:
		s.countPending(p, sub, true)
		if s.told(sub) {
			w := watcher(sub, notifier.Terminated)
			w.Event = watcherinfo.NoResource
			s.note(p, change{w, false})
		}
	}
}

// Adopt takes up subscriptions that another shard has given up: all at once, for
// what one watcher is told of the others must not show that they come.
func (s *Shard) Adopt(moves []Move, now time.Time, out *shard.Batch) {
	var adopted []*notifier.Subscription
	for _, m := range moves {
		if s.table.Adopt(m.Subscription, &s.presentity(m.To).Resource) {
			adopted = append(adopted, m.Subscription)
		}
	}
	for _, sub := range adopted {
		s.table.Settle(sub, now, out)
	}
	s.report(now, out)
	for _, m := range moves {
		s.drop(s.presentity(m.To))
	}
}

// Forgo removes the records of those that have been adopted elsewhere.
func (s *Shard) Forgo(moves []Move, out *shard.Batch) {
	for _, m := range moves {
		s.table.Forgo(m.Subscription.Tag, out)
	}
}
