package notifier

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/watcherinfo"
)

// Moved knows the few dialogs that do not live in the shard that their tag names:
// what a subscription is to was given to somebody who lives in another one after
// the tag had been told. Safe for concurrent use; nil knows none.
type Moved struct {
	some atomic.Int64
	mu   sync.Mutex
	to   map[Tag]shard.ID
}

// Shard is where a dialog lives.
func (m *Moved) Shard(t Tag, key TagKey) shard.ID {
	if m == nil || m.some.Load() == 0 {
		return key.Shard(t)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if id, ok := m.to[t]; ok {
		return id
	}
	return key.Shard(t)
}

// Note says that a dialog lives in shard id from now on.
func (m *Moved) Note(t Tag, id shard.ID, key TagKey) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if key.Shard(t) == id {
		delete(m.to, t)
	} else {
		if m.to == nil {
			m.to = map[Tag]shard.ID{}
		}
		m.to[t] = id
	}
	m.some.Store(int64(len(m.to)))
}

// Release takes a live subscription out of the table, for Adopt of another shard's.
// Its record stays until Adopt's is durable: Forgo.
func (t *Table) Release(s *Subscription) {
	t.unbind(s)
	t.timers.remove(s)
	delete(t.subs, s.Tag)
	t.depart(s)
}

// Forgo removes the record of a subscription that another shard has adopted.
func (t *Table) Forgo(tag Tag, out *shard.Batch) {
	if t.subs[tag] == nil {
		out.Records.Delete(t.key(tag))
	}
}

// Adopt takes over a subscription that Release gave, to r now; Settle must follow.
// False: it was adopted before a crash, and is here.
func (t *Table) Adopt(s *Subscription, r *Resource) bool {
	if _, here := t.subs[s.Tag]; here {
		return false
	}
	// What was granted, and its Class, was the other resource's.
	s.Package, s.Resource, s.Grant = t.Package(s.Package.Name()), r, Grant{}
	t.add(s)
	t.bind(s)
	if s.detached {
		t.detach(s)
	}
	return true
}

// Settle decides on a subscription that was adopted, when all of that resource have
// been. Its watcher is told what is new to it, if anything is, and of the move itself
// nothing.
func (t *Table) Settle(s *Subscription, now time.Time, out *shard.Batch) {
	s.Grant = s.Package.Decide(s, now)
	t.put(s, out)
	if s.Grant.State == Refused {
		t.end(s, "rejected", now, out)
		return
	}
	if s.Grant.State != s.state {
		s.state, s.force = s.Grant.State, true
	}
	if t.cfg.Observe != nil {
		t.cfg.Observe(s, Happening{Event: watcherinfo.Subscribe, Began: true}, now, out)
	}
	s.dirty, s.hurry = true, s.Grant.Narrowed
	t.flush(s, now.UnixNano(), out)
}
