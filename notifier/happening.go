package notifier

import (
	"encoding/hex"
	"time"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/watcherinfo"
)

// Happening is a step of a subscription.
type Happening struct {
	Event watcherinfo.Event
	Began bool // it is the first one
}

// happened notes what has brought s to where it is, and tells who observes.
func (t *Table) happened(s *Subscription, e watcherinfo.Event, now time.Time, out *shard.Batch) {
	s.event = e
	if t.cfg.Observe != nil {
		t.cfg.Observe(s, Happening{Event: e}, now, out)
	}
}

// judged notes a new decision on a subscription that runs.
func (t *Table) judged(s *Subscription, old State, now time.Time, out *shard.Batch) {
	switch s.Grant.Verdict {
	case old:
		return
	case Active:
		s.event = watcherinfo.Approved
	case Pending:
		s.event = watcherinfo.Subscribe // RFC 3857 has no event for a way back
	default:
		s.event = watcherinfo.Rejected
	}
	t.put(s, out)
	t.happened(s, s.event, now, out)
}

// Event is what brought s into its state, as its presentity may know it.
func (s *Subscription) Event() watcherinfo.Event { return s.event }

// Since is when the SUBSCRIBE came that made s.
func (s *Subscription) Since() time.Time { return time.Unix(0, s.since) }

// Fetch reports whether s is for one NOTIFY alone.
func (s *Subscription) Fetch() bool { return s.fetch }

// idBytes is how long an ID is: nobody finds another's by trying.
const idBytes = 10

// ID names a subscription to others than its two ends, who could do harm with
// its tag: always the same, and not to be guessed.
func (t *Table) ID(tag Tag) string { return t.pseudonym("subscription", string(tag[:])) }

// WatcherID names a watcher to one presentity without saying who it is: to
// another presentity it has another name.
func (t *Table) WatcherID(p presence.Presentity, a presence.AOR) string {
	return t.pseudonym("watcher", string(p)+"\x00"+string(a))
}

func (t *Table) pseudonym(kind, name string) string {
	t.mac.Reset()
	b := append(t.scratch[:0], "name of a "...)
	b = append(append(append(b, kind...), 0), name...)
	t.mac.Write(b)
	b = t.mac.Sum(b[:0])
	t.scratch = b
	return hex.EncodeToString(b[:idBytes])
}

// Touch says that what s is told may have changed.
func (t *Table) Touch(s *Subscription, now time.Time, out *shard.Batch) {
	if s.state == Active {
		s.dirty = true
		t.flush(s, now.UnixNano(), out)
	}
}
