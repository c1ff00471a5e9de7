package notifier

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/sip"
)

// comeback is a watcher's request on a connection, as FlowSeen compares it.
type comeback struct {
	flow     sip.Flow
	contact  sip.URI
	instance uint64 // as instanceKey gives it
}

// FlowSeen gives the way back to those subscriptions of a watcher that lost it,
// if its request is from the device that they are of: its Contact or its
// +sip.instance says so. Failing that, the only device that has been seen at that
// user and host may have come back with another port.
func (t *Table) FlowSeen(ev *shard.Event, now time.Time, out *shard.Batch) {
	c, err := sip.ParseNameAddr(ev.Contact)
	back := comeback{ev.Flow, c.URI, instanceKey(c.Params)}
	var lost, found []*Subscription
	guess := err == nil
	for _, s := range t.subs {
		if s.state == Terminated || s.Watcher.AOR() != ev.Who.AOR() {
			continue
		}
		switch {
		case !s.detached:
			guess = guess && (s.flow.Conn == ev.Flow.Conn || !back.near(s))
		case err == nil && back.is(s):
			found = append(found, s)
		default:
			lost = append(lost, s)
		}
	}
	for _, s := range found {
		t.attach(s, ev.Flow)
		t.flush(s, now.UnixNano(), out)
	}
	if guess && len(found) == 0 {
		lost = t.guess(back, lost, now, out)
	}
	if len(lost) > 0 {
		t.cfg.Waiting.Add(ev.Who.AOR(), t.cfg.Shard)
	}
}

// is reports whether s is of the device that has come back.
func (c comeback) is(s *Subscription) bool {
	if s.flow.Transport != c.flow.Transport {
		return false
	}
	if c.instance != 0 && c.instance == s.instance {
		return true
	}
	target, err := sip.ParseURI(s.target)
	return err == nil && c.contact.Port == target.Port && c.contact.User == target.User && c.contact.Host == target.Host
}

// near reports whether the Contact of s has the same user and host.
func (c comeback) near(s *Subscription) bool {
	target, err := sip.ParseURI(s.target)
	return err == nil && c.contact.User == target.User && c.contact.Host == target.Host
}

// guess gives the way back to those of lost that are of the one device that was
// at the same user, host and address, and returns the rest. Two devices there
// would have had two Contacts, and one that names its instance needs no guess.
// What comes of it is seen by the answer.
func (t *Table) guess(c comeback, lost []*Subscription, now time.Time, out *shard.Batch) (rest []*Subscription) {
	var near []*Subscription
	for _, s := range lost {
		if !c.near(s) {
			rest = append(rest, s)
			continue
		}
		first := s
		if len(near) > 0 {
			first = near[0]
		}
		if s.misguessed || s.instance != 0 || s.target != first.target || s.flow.Transport != c.flow.Transport ||
			s.flow.Remote.Addr() != c.flow.Remote.Addr() {
			return lost
		}
		near = append(near, s)
	}
	for _, s := range near {
		t.attach(s, c.flow)
		s.guessed = true
		t.flush(s, now.UnixNano(), out)
	}
	return rest
}

// misguess takes back a way that was the wrong device's: its 481 says nothing
// about the subscription.
func (t *Table) misguess(s *Subscription) {
	t.unbind(s)
	s.flow.Conn = 0
	s.guessed, s.misguessed = false, true
	s.pending, s.tx = false, sip.ClientTx{}
	s.untold()
	t.detach(s)
	t.arm(s)
}

// Waiting remembers which shards hold subscriptions that lost their connection,
// by watcher, so that the watcher's next request can be told to just those. Safe
// for concurrent use.
type Waiting struct {
	some atomic.Int64
	mu   sync.Mutex
	by   map[presence.AOR]*[shard.Count / 64]uint64
}

// Add notes that a subscription of w in shard id waits.
func (w *Waiting) Add(a presence.AOR, id shard.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.by == nil {
		w.by = map[presence.AOR]*[shard.Count / 64]uint64{}
	}
	set := w.by[a]
	if set == nil {
		set = new([shard.Count / 64]uint64)
		w.by[a] = set
		w.some.Add(1)
	}
	set[id/64] |= 1 << (id % 64)
}

// Any reports whether anything is noted at all; it takes no lock.
func (w *Waiting) Any() bool { return w.some.Load() > 0 }

// Take returns the shards noted for w and forgets them.
func (w *Waiting) Take(a presence.AOR) []shard.ID {
	w.mu.Lock()
	defer w.mu.Unlock()
	set := w.by[a]
	if set == nil {
		return nil
	}
	delete(w.by, a)
	w.some.Add(-1)
	var ids []shard.ID
	for i := range shard.Count {
		if set[i/64]&(1<<(i%64)) != 0 {
			ids = append(ids, shard.ID(i))
		}
	}
	return ids
}
