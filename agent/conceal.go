package agent

import (
	"time"

	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/store"
)

const (
	// KeyLevel is the first byte of the key of the record that level writes.
	KeyLevel = 'l'
	// tellAfter is how much later than a watcher's request the presentity is told
	// of it, and tellSpread how much it varies, where decisions are hidden: longer
	// than the answer takes, and no moment to lie in wait for.
	tellAfter  = 100 * time.Millisecond
	tellSpread = 100 * time.Millisecond
	// decoyName is as long as names of presentities are.
	decoyName = "sip:nobody@example.com"
)

// level has all requests of watchers cost the same, where decisions are hidden.
// An answer waits for the disk whatever there is to be kept of the request: a fetch
// leaves something behind only where the presentity is still to decide, or is to be
// told of who polls. So a record of that kind is made and stored for nobody. And
// there is a later step, whether or not anybody is to be told anything in it.
func (s *Shard) level(ev *shard.Event, now time.Time, out *shard.Batch) {
	if !s.waited {
		w := &waiting{who: ev.Who, since: now, until: now.Add(DefaultGiveUp)}
		w.put(store.Key(KeyLevel, byte(s.cfg.ID), decoyName, string(w.key[:])), out)
	}
	s.tellLater(now)
}

func (s *Shard) tellLater(now time.Time) {
	if s.later.IsZero() {
		s.later = now.Add(tellAfter + time.Duration(s.rand.Uint64()%uint64(tellSpread)))
	}
}
