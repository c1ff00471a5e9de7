package agent

import (
	"fmt"
	"slices"
	"time"

	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/store"
)

const (
	// KeyNotices is the first byte of the key in the store of what a presentity
	// is to be told of.
	KeyNotices = 'n'
	// maxNotices bounds those of one kind of one presentity: the newest are kept.
	// Whoever can make many of one kind drives none of another out.
	maxNotices = 64
	// maxAskers bounds how many watchers of one presentity are counted at once.
	maxAskers = 64
	// pollingAfter is how many requests outside a dialog within pollingWindow are
	// polling: a softphone that is restarted again and again stays below it, and
	// who wants to know where somebody is, minute by minute, does not.
	pollingAfter  = 20
	pollingWindow = time.Hour
)

// NoticeKind says what a Notice is about.
type NoticeKind string

// The kinds.
const (
	NoticeNewWatcher NoticeKind = "new-watcher" // it has subscribed, or looked, for the first time
	NoticePolling    NoticeKind = "polling"     // it asks again and again instead of subscribing
	NoticeOverride   NoticeKind = "override"    // a rule of the operator's told it more than the presentity's
)

// Notice is something that a presentity is to be told of. The watcher is as the
// presentity may know it: Anonymous if it has asked for that.
type Notice struct {
	Kind    NoticeKind   `cbor:"1,keyasint"`
	Time    int64        `cbor:"2,keyasint"` // Unix nanoseconds
	Watcher presence.AOR `cbor:"3,keyasint"`
	// Detail names the override, or a nameless watcher as presence.Nameless does.
	Detail string `cbor:"4,keyasint,omitempty"`
	// Again counts how often an override has taken effect in the hour after Time, and
	// Last is when it last did, in Unix nanoseconds; 0: not again.
	Again uint32 `cbor:"5,keyasint,omitempty"`
	Last  int64  `cbor:"6,keyasint,omitempty"`
}

// asker counts a watcher's requests outside a dialog.
type asker struct {
	who    presence.Principal
	since  time.Time
	count  int
	warned bool
}

// Notices returns what a presentity is to be told of, oldest first. It must not
// be changed.
func (s *Shard) Notices(id presence.Presentity) []Notice {
	if p := s.people[id]; p != nil {
		return p.notices
	}
	return nil
}

func (s *Shard) noticesKey(p *presentity) []byte {
	return store.Key(KeyNotices, byte(s.cfg.ID), string(p.Presentity))
}

// notice keeps a notice. Of one that has been kept already only each further use
// of an override is counted.
func (s *Shard) notice(p *presentity, n Notice, now time.Time, out *shard.Batch) {
	known := slices.IndexFunc(p.notices, func(old Notice) bool {
		return old.Kind == n.Kind && old.Watcher == n.Watcher && old.Detail == n.Detail &&
			(n.Kind == NoticeNewWatcher || now.UnixNano()-old.Time < int64(pollingWindow))
	})
	switch {
	case known < 0:
		n.Time = now.UnixNano()
		p.addNotice(n)
		s.cfg.Counters.Notices.Add(1)
	case n.Kind == NoticeOverride:
		old := &p.notices[known]
		old.Again, old.Last = old.Again+1, now.UnixNano()
	default:
		return
	}
	out.Records.Put(s.noticesKey(p), store.MustEncode(nil, p.notices))
}

// addNotice appends a notice; of too many of its kind the oldest goes.
func (p *presentity) addNotice(n Notice) {
	first, count := -1, 0
	for i := range p.notices {
		if p.notices[i].Kind == n.Kind {
			if count++; first < 0 {
				first = i
			}
		}
	}
	if count >= maxNotices {
		p.notices = slices.Delete(p.notices, first, first+1)
	}
	p.notices = append(p.notices, n)
}

func (s *Shard) restoreNotices(key, value []byte) error {
	_, _, parts, err := store.KeyParts(key)
	if err != nil || len(parts) != 1 {
		return fmt.Errorf("record of notices: malformed key %x", key)
	}
	var list []Notice
	if err := store.Decode(value, &list); err != nil {
		return fmt.Errorf("notices of %s: %w", parts[0], err)
	}
	s.presentity(presence.Presentity(parts[0])).notices = list
	return nil
}

// asked counts a SUBSCRIBE outside a dialog, and sounds the alarm about a
// watcher that polls. Nothing of it is seen by the watcher.
func (s *Shard) asked(p *presentity, ev *shard.Event, now time.Time, out *shard.Batch) {
	if !s.foreign(ev) || !p.preferences().Polling.Or(true) {
		return
	}
	a := p.asker(ev.Who, now)
	if a.count++; a.count >= pollingAfter && !a.warned {
		a.warned = true
		s.notice(p, Notice{Kind: NoticePolling, Watcher: ev.Who.Shown(), Detail: string(s.nameless(p, ev.Who))}, now, out)
	}
}

// announce tells the presentity, if it wants to know, of a watcher that has never
// been there, be it for one look: who only looks has learned as much.
func (s *Shard) announce(p *presentity, ev *shard.Event, now time.Time, out *shard.Batch) {
	if s.foreign(ev) && p.preferences().NewWatchers.Or(false) && s.there(p, ev.Who, now) {
		s.notice(p, Notice{Kind: NoticeNewWatcher, Watcher: ev.Who.Shown(), Detail: string(s.nameless(p, ev.Who))}, now, out)
	}
}

// there reports whether a subscription of who would be there without overrides that
// p may not know of.
func (s *Shard) there(p *presentity, who presence.Principal, now time.Time) bool {
	d := s.decide(p, who, now)
	return d.Raised == "" || s.conceals(p) || s.verdict(p, who, d, now).Handling != policy.Block
}

// preferences are p's; all is left to the domain in those of one who has none.
func (p *presentity) preferences() *policy.Preferences {
	if p.rules != nil && p.rules.Preferences != nil {
		return p.rules.Preferences
	}
	return &noPreferences
}

var noPreferences policy.Preferences

// use is one decision that an override of the operator's has raised.
type use struct {
	p *presentity
	n Notice
}

// used notes that an override took effect, to be recorded with the batch.
func (s *Shard) used(p *presentity, who presence.Principal, d policy.Decision) {
	if d.Raised != "" {
		s.overrides = append(s.overrides, use{p, Notice{Kind: NoticeOverride, Watcher: who.Shown(), Detail: d.Raised}})
	}
}

// report records what used has noted, and tells of the watchers what is to be told.
func (s *Shard) report(now time.Time, out *shard.Batch) {
	for i, u := range s.overrides {
		s.notice(u.p, u.n, now, out)
		s.overrides[i] = use{}
	}
	s.overrides = s.overrides[:0]
	s.tellWatched(now, out)
}

// foreign reports whether a SUBSCRIBE asks for somebody else's presence itself.
func (s *Shard) foreign(ev *shard.Event) bool {
	if len(ev.Owner) == 0 || slices.Contains(ev.Owner, ev.Who.AOR()) {
		return false
	}
	event, _ := ev.Msg.Get(sip.HeaderEvent)
	name, _ := sip.SplitParams(event)
	return name == eventPresence
}

// asker finds or makes a watcher's count; of too many the one that began first
// is forgotten.
func (p *presentity) asker(who presence.Principal, now time.Time) *asker {
	oldest := -1
	for i := range p.askers {
		a := &p.askers[i]
		if a.who.AOR() == who.AOR() {
			if now.Sub(a.since) >= pollingWindow {
				*a = asker{who: who, since: now}
			}
			return a
		}
		if oldest < 0 || a.since.Before(p.askers[oldest].since) {
			oldest = i
		}
	}
	if len(p.askers) < maxAskers {
		p.askers = append(p.askers, asker{})
		oldest = len(p.askers) - 1
	}
	p.askers[oldest] = asker{who: who, since: now}
	return &p.askers[oldest]
}
