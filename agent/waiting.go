package agent

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tacit-presence/tacit/identity"
	"github.com/tacit-presence/tacit/notifier"
	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/store"
	"github.com/tacit-presence/tacit/watcherinfo"
)

const (
	// KeyWaiting is the first byte of the key in the store of a watcher that waits.
	KeyWaiting = 'w'
	// DefaultGiveUp is how long a watcher that has gone without a decision is
	// remembered: somebody may come back from holidays and learn of it (RFC 3857,
	// 4.7.1).
	DefaultGiveUp = 7 * 24 * time.Hour
	// maxUndecided bounds the pending and waiting watchers of one presentity: more
	// are no list to decide on but a flood.
	maxUndecided = 200
	// maxUndecidedOf bounds the presentities that one watcher has wait for a
	// decision (RFC 3857, 4.7.1): more than anybody asks for, less than a harvest.
	maxUndecidedOf = 100
)

// waiting is a watcher without a decision whose subscription is over.
type waiting struct {
	key   notifier.Tag // of the subscription
	who   presence.Principal
	since time.Time
	until time.Time // then it is given up
}

// waitingRecord is the same at rest.
type waitingRecord struct {
	Watcher   presence.AOR       `cbor:"1,keyasint"`
	Mechanism presence.Mechanism `cbor:"2,keyasint"`
	Also      presence.AOR       `cbor:"3,keyasint,omitempty"`
	Private   bool               `cbor:"4,keyasint,omitempty"`
	Since     int64              `cbor:"5,keyasint"` // Unix nanoseconds
	Until     int64              `cbor:"6,keyasint"`
}

// Undecided counts over all shards for how many presentities each watcher waits.
// Safe for concurrent use.
type Undecided struct {
	mu sync.Mutex
	by map[presence.AOR]int
}

// add counts one more; false: there are too many.
func (u *Undecided) add(a presence.AOR) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.by[a] >= maxUndecidedOf {
		return false
	}
	if u.by == nil {
		u.by = map[presence.AOR]int{}
	}
	u.by[a]++
	return true
}

func (u *Undecided) remove(a presence.AOR) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.by[a]--; u.by[a] <= 0 {
		delete(u.by, a)
	}
}

func (s *Shard) waitingKey(p *presentity, w *waiting) []byte {
	return store.Key(KeyWaiting, byte(s.cfg.ID), string(p.Presentity), string(w.key[:]))
}

// row is a watcher that waits, or has just ceased to.
func (w *waiting) row(status watcherinfo.Status, e watcherinfo.Event) Watcher {
	return Watcher{
		AOR: w.who.AOR(), Private: w.who.Private(), Status: status, Event: e, Since: w.since, Expires: w.until, key: w.key, who: w.who,
	}
}

// wait keeps a watcher whose subscription has ended before there was a decision.
// One that polls waits once.
func (s *Shard) wait(p *presentity, row Watcher, fetch bool, now time.Time, out *shard.Batch) {
	already := slices.ContainsFunc(p.waiting, func(w *waiting) bool { return w.who.AOR() == row.AOR })
	if fetch && already {
		return
	}
	s.stopWaiting(p, row.AOR, watcherinfo.GiveUp, out)
	giveUp := s.cfg.Settings.GiveUp
	if giveUp <= 0 {
		giveUp = DefaultGiveUp
	}
	if len(p.waiting) >= maxUndecided || !s.cfg.Undecided.add(row.AOR) {
		row.Status, row.Event = watcherinfo.Terminated, watcherinfo.GiveUp
		s.note(p, change{row, fetch})
		return
	}
	w := &waiting{key: row.key, who: row.who, since: row.Since, until: now.Add(giveUp)}
	p.waiting = append(p.waiting, w)
	s.waited = true
	w.put(s.waitingKey(p, w), out)
	s.arm(p)
	s.note(p, change{w.row(watcherinfo.Waiting, watcherinfo.Timeout), fetch})
}

// put stores w.
func (w *waiting) put(key []byte, out *shard.Batch) {
	out.Records.Put(key, store.MustEncode(nil, &waitingRecord{
		Watcher: w.who.AOR(), Mechanism: w.who.Mechanism(), Also: w.who.Also(), Private: w.who.Private(),
		Since: w.since.UnixNano(), Until: w.until.UnixNano(),
	}))
}

// stopWaiting ends all waiting of one watcher.
func (s *Shard) stopWaiting(p *presentity, a presence.AOR, e watcherinfo.Event, out *shard.Batch) {
	s.endWaiting(p, out, func(w *waiting) watcherinfo.Event {
		if w.who.AOR() == a {
			return e
		}
		return watcherinfo.NoEvent
	})
}

// endWaiting ends the waiting of those for whom ends names an event.
func (s *Shard) endWaiting(p *presentity, out *shard.Batch, ends func(*waiting) watcherinfo.Event) {
	p.waiting = slices.DeleteFunc(p.waiting, func(w *waiting) bool {
		e := ends(w)
		if e == watcherinfo.NoEvent {
			return false
		}
		out.Records.Delete(s.waitingKey(p, w))
		s.cfg.Undecided.remove(w.who.AOR())
		s.note(p, change{w.row(watcherinfo.Terminated, e), false})
		return true
	})
}

// giveUp ends what has waited too long.
func (s *Shard) giveUp(p *presentity, now time.Time, out *shard.Batch) {
	s.endWaiting(p, out, func(w *waiting) watcherinfo.Event {
		if w.until.After(now) {
			return watcherinfo.NoEvent
		}
		return watcherinfo.GiveUp
	})
}

// rewait ends the waiting on which there is a decision now: approval or block
// (RFC 5025, 3.2.1); what is still to be confirmed waits on.
func (s *Shard) rewait(p *presentity, now time.Time, out *shard.Batch) {
	s.endWaiting(p, out, func(w *waiting) watcherinfo.Event {
		d := s.decide(p, w.who, now)
		s.due(p, d.Until)
		switch s.verdict(p, w.who, d, now).Handling {
		case policy.Confirm:
			return watcherinfo.NoEvent
		case policy.Block:
			return watcherinfo.Rejected
		}
		return watcherinfo.Approved
	})
}

// countPending counts a subscription whose watcher sees that it is pending, and
// ends it with the step if there are too many: of the presentity's, or of the
// watcher's. Where decisions are hidden such a limit would tell.
func (s *Shard) countPending(p *presentity, sub *notifier.Subscription, over bool) {
	is := !over && sub.Grant.Verdict == notifier.Pending && sub.State() == notifier.Pending
	_, was := s.pending[sub.Tag]
	switch {
	case is == was:
	case was:
		delete(s.pending, sub.Tag)
		s.cfg.Undecided.remove(sub.Watcher.AOR())
	case p.undecided() > maxUndecided || !s.cfg.Undecided.add(sub.Watcher.AOR()):
		s.excess = append(s.excess, sub)
	default:
		s.pending[sub.Tag] = struct{}{}
	}
}

// undecided is how many watchers wait for p's decision.
func (p *presentity) undecided() int {
	n := len(p.waiting)
	for _, sub := range p.Subscribers() {
		if sub.Package.Name() == eventPresence && sub.Grant.Verdict == notifier.Pending {
			n++
		}
	}
	return n
}

func (s *Shard) restoreWaiting(key, value []byte) error {
	_, _, parts, err := store.KeyParts(key)
	if err != nil || len(parts) != 2 || len(parts[1]) != len(notifier.Tag{}) {
		return fmt.Errorf("record of a watcher that waits: malformed key %x", key)
	}
	var r waitingRecord
	if err := store.Decode(value, &r); err != nil {
		return fmt.Errorf("watcher of %s that waits: %w", parts[0], err)
	}
	w := &waiting{
		who:   identity.RestorePrivate(r.Watcher, r.Mechanism, r.Also, r.Private),
		since: time.Unix(0, r.Since), until: time.Unix(0, r.Until),
	}
	copy(w.key[:], parts[1])
	p := s.presentity(presence.Presentity(parts[0]))
	p.waiting = append(p.waiting, w)
	s.cfg.Undecided.add(r.Watcher)
	return nil
}
