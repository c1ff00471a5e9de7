package agent

import (
	"slices"
	"time"

	"github.com/tacit-presence/tacit/filter"
	"github.com/tacit-presence/tacit/notifier"
	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/watcherinfo"
)

const (
	// eventWinfo is the winfo template applied to presence (RFC 3857, 4.1). It is
	// not applied to itself.
	eventWinfo = "presence.winfo"
	// defaultWinfoExpires is the template's (RFC 3857, 4.4).
	defaultWinfoExpires = time.Hour
	// maxChanges is how many changes of one presentity's watchers are remembered,
	// so that a document can tell just those; who has missed more is told all.
	maxChanges = 256
	// maxMarks is how many of the states told lately are recognised: each device
	// of the presentity may have another one.
	maxMarks = 16
	// maxDatagram and maxStream bound the watchers of one document, in bytes: a
	// larger one would reach nobody by UDP, or be refused by the subscriber. Those
	// that ask for a decision stand first.
	maxDatagram = 48 << 10
	maxStream   = 192 << 10
	// rowBytes is what a watcher takes in a document beside its URI.
	rowBytes = 170
)

// The classes of subscriptions to watcher information: who sees itself alone, and
// the presentity. The zero value sees less.
const (
	seesItself int32 = iota
	seesAll
)

// Watcher is a subscription to a presentity's presence as the presentity may
// know it, but that nobody's name is left out.
type Watcher struct {
	ID      string
	AOR     presence.AOR
	Private bool // the presentity is told Anonymous in the place of AOR
	Status  watcherinfo.Status
	Event   watcherinfo.Event
	Since   time.Time
	Expires time.Time // when the subscription ends, or is not waited for any longer

	key notifier.Tag
	who presence.Principal
}

// winfo is what is kept of a presentity while somebody watches its watchers.
type winfo struct {
	subs    []*notifier.Subscription
	end     int      // number of changes so far
	changes []change // the last of them
	marks
	touched map[presence.AOR]bool
}

// change is one step of one subscription.
type change struct {
	Watcher
	born bool // it was not there before
}

// mark says how many changes led to the state with that sum.
type mark struct {
	sum  uint64
	end  int
	live uint64 // with filters: the sum without what has ended
}

// marks are those of the states told lately, oldest first.
type marks []mark

// winfoPackage is the event package "presence.winfo" (RFC 3857).
type winfoPackage struct {
	asks
	shard *Shard
}

// Name is the package's name.
func (*winfoPackage) Name() presence.EventPackage { return eventWinfo }

var winfoTypes = []string{watcherinfo.ContentType}

// Accepts lists the one format that there is.
func (*winfoPackage) Accepts() []string { return winfoTypes }

// DefaultExpires is an hour.
func (*winfoPackage) DefaultExpires() time.Duration { return defaultWinfoExpires }

// Decide lets the presentity see all its watchers, and whoever may subscribe to
// the presence itself (RFC 3857, 4.6). Nobody who is not known sees anything
// (6.1). Where decisions are hidden, each watcher may, whatever was decided.
func (k *winfoPackage) Decide(sub *notifier.Subscription, now time.Time) notifier.Grant {
	p, who := sub.Resource.Owner.(*presentity), sub.Watcher
	if !who.Known() {
		return notifier.Grant{}
	}
	if slices.Contains(k.shard.cfg.Owner(p.Presentity), who.AOR()) {
		return notifier.Grant{State: notifier.Active, Class: seesAll}
	}
	d := k.shard.decide(p, who, now)
	k.shard.due(p, d.Until)
	if k.shard.conceals(p) {
		d = d.Concealed()
	}
	if d.Handling == policy.Block {
		return notifier.Grant{}
	}
	return notifier.Grant{State: notifier.Active, Class: seesItself, Narrowed: true}
}

// Render gives all watchers, or where it is known what the subscriber has been
// told, those that have changed since.
func (k *winfoPackage) Render(sub *notifier.Subscription, now time.Time) notifier.Body {
	p := sub.Resource.Owner.(*presentity)
	if f := filterOf(sub); !f.Equal(filter.Filter{}) {
		return k.renderFiltered(p, sub, f, now)
	}
	doc := documentOf(sub, nil)
	if sub.Grant.Class != seesAll {
		rows := k.shard.itself(p, sub)
		doc.Lists[0].Watchers = shown(k.shard.named(p, rows), now)
		return notifier.FromWatchers(doc.Render(stateOf(rows)))
	}
	rows := k.shard.watchers(p)
	sum := stateOf(rows)
	told := p.winfo.told(sub.Told())
	if doc.Partial = told != nil && fitting(sub, told) == len(told); doc.Partial {
		rows = told
	}
	if p.winfo != nil {
		p.winfo.note(mark{sum: sum, end: p.winfo.end})
	}
	doc.Lists[0].Watchers = shown(k.shard.named(p, rows[:fitting(sub, rows)]), now)
	return notifier.FromWatchers(doc.Render(sum))
}

// room is how many bytes of watchers a NOTIFY can carry.
func room(sub *notifier.Subscription) int {
	if f, _ := sub.Flow(); f.Transport.Reliable() {
		return maxStream
	}
	return maxDatagram
}

// fitting is how many of rows a NOTIFY can carry.
func fitting(sub *notifier.Subscription, rows []Watcher) int {
	left := room(sub)
	for i := range rows {
		if left -= rowBytes + len(rows[i].AOR); left < 0 {
			return i
		}
	}
	return len(rows)
}

// watchers lists a presentity's watchers, those first that ask for a decision,
// without their IDs, which cost.
func (s *Shard) watchers(p *presentity) []Watcher {
	var undecided, active []Watcher
	for _, sub := range p.Subscribers() {
		switch w := watcher(sub, sub.Grant.Verdict); {
		case !s.told(sub):
		case w.Status == watcherinfo.Pending:
			undecided = append(undecided, w)
		case w.Status == watcherinfo.Active:
			active = append(active, w)
		}
	}
	for _, w := range p.waiting {
		undecided = append(undecided, w.row(watcherinfo.Waiting, watcherinfo.Timeout))
	}
	return append(undecided, active...)
}

// Watchers lists a presentity's watchers for its operator.
func (s *Shard) Watchers(id presence.Presentity) []Watcher {
	if p := s.people[id]; p != nil {
		return s.named(p, s.watchers(p))
	}
	return nil
}

// named gives rows their IDs. Those of a watcher who wants to be nameless begin
// with what is its name to this presentity alone, so that it can be known again.
func (s *Shard) named(p *presentity, rows []Watcher) []Watcher {
	for i := range rows {
		w := &rows[i]
		if w.ID = s.table.ID(w.key); w.Private {
			w.ID = s.table.WatcherID(p.Presentity, w.AOR) + "." + w.ID[:8]
		}
	}
	return rows
}

// told reports whether the presentity is told of a subscription: not of one whose
// watcher is not known (RFC 3857, 6.1), nor of what ends at once (4.7.2).
func (s *Shard) told(sub *notifier.Subscription) bool {
	return sub.Package == s.presence && sub.Watcher.Known() && !sub.Fetch()
}

// watcher is a subscription as somebody to whom it is in that state may see it.
func watcher(sub *notifier.Subscription, state notifier.State) Watcher {
	w := Watcher{
		AOR: sub.Watcher.AOR(), Private: sub.Watcher.Private(), Event: sub.Event(), Since: sub.Since(), Expires: sub.Expires(),
		Status: watcherinfo.Terminated, key: sub.Tag, who: sub.Watcher,
	}
	switch state {
	case notifier.Active:
		w.Status = watcherinfo.Active
	case notifier.Pending:
		w.Status = watcherinfo.Pending
	}
	return w
}

// itself lists one watcher's own subscriptions, and tells it no more than their
// Subscription-State does (RFC 3857, 4.7.2): where decisions are hidden, not even
// that there was one, and only those made by the name that it asks with, since not
// all may know which names are one presentity's.
func (s *Shard) itself(p *presentity, asks *notifier.Subscription) (rows []Watcher) {
	hidden := s.conceals(p)
	for sub := range p.Of(asks.Watcher.AOR()) {
		if s.told(sub) && (!hidden || sub.AskedFor(asks.Entity)) {
			w := watcher(sub, sub.State())
			if hidden {
				w.Event = watcherinfo.Subscribe
			}
			w.Private = false
			rows = append(rows, w)
		}
	}
	return rows
}

// shown makes rows into what a document has of them.
func shown(rows []Watcher, now time.Time) []watcherinfo.Watcher {
	list := make([]watcherinfo.Watcher, 0, len(rows))
	for i := range rows {
		r := &rows[i]
		w := watcherinfo.Watcher{
			ID: r.ID, Status: r.Status, Event: r.Event, URI: string(r.AOR),
			DurationSubscribed: watcherinfo.Secs(uint64(max(now.Sub(r.Since), 0) / time.Second)),
		}
		if r.Private {
			w.URI = string(presence.Anonymous)
		}
		if r.Status == watcherinfo.Active || r.Status == watcherinfo.Pending {
			w.Expiration = watcherinfo.Secs(uint64(max(r.Expires.Sub(now), 0) / time.Second))
		}
		list = append(list, w)
	}
	return list
}

// stateOf is the hash of a list of watchers; what only time changes is not in it.
func stateOf(rows []Watcher) uint64 {
	return sumOf(rows, func(r *Watcher) (string, watcherinfo.Status, watcherinfo.Event) {
		return string(r.key[:]), r.Status, r.Event
	})
}

// sumOf is the hash of a list in whatever order, but of those whose id is empty.
// Never 0.
func sumOf[R any](rows []R, of func(*R) (id string, status watcherinfo.Status, event watcherinfo.Event)) uint64 {
	const seed, prime = 14695981039346656037, 1099511628211
	sum := uint64(seed)
	for i := range rows {
		id, status, event := of(&rows[i])
		if id == "" {
			continue
		}
		h := uint64(seed)
		for _, c := range []byte(id) {
			h = (h ^ uint64(c)) * prime
		}
		h = (h ^ uint64(status)<<8 ^ uint64(event)) * prime
		// Mixed well before they are added (SplitMix64's last step), so that what
		// changes here and back there does not cancel out.
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		sum += h ^ h>>31
	}
	return max(sum, 1)
}

// happened takes what the notifier tells of subscriptions.
func (s *Shard) happened(sub *notifier.Subscription, h notifier.Happening, now time.Time, out *shard.Batch) {
	p := sub.Resource.Owner.(*presentity)
	over := sub.State() == notifier.Terminated
	if sub.Package == s.winfo {
		p.watched(sub, over)
		return
	}
	if sub.Package != s.presence || !sub.Watcher.Known() {
		return
	}
	s.countPending(p, sub, over)
	verdict, e := sub.Grant.Verdict, h.Event
	w := watcher(sub, verdict)
	if w.Event = e; over {
		w.Status = watcherinfo.Terminated
	}
	switch {
	case over && e == watcherinfo.Timeout && verdict == notifier.Pending:
		// RFC 3857, 4.7.1: the presentity is still to learn of it, also of a fetch.
		s.wait(p, w, sub.Fetch(), now, out)
		return
	case sub.Fetch():
		return // nobody was told of it
	case over && e == watcherinfo.Timeout && verdict == notifier.Refused:
		// The presentity was not told of it. But the watcher sees its own come and
		// go, as if it were allowed.
		s.stir(p, w.AOR)
		return
	case h.Began && verdict != notifier.Refused:
		s.stopWaiting(p, w.AOR, watcherinfo.GiveUp, out)
	}
	s.note(p, change{w, h.Began})
}

// watched enters a subscription to p's watchers, or takes it out.
func (p *presentity) watched(sub *notifier.Subscription, over bool) {
	if over {
		if p.winfo != nil {
			p.winfo.subs = slices.DeleteFunc(p.winfo.subs, func(other *notifier.Subscription) bool { return other == sub })
			if len(p.winfo.subs) == 0 {
				p.winfo = nil
			}
		}
		return
	}
	if p.winfo == nil {
		p.winfo = &winfo{}
	}
	p.winfo.subs = append(p.winfo.subs, sub)
}

// restoreWatched takes up after a restart what happened had noted.
func (s *Shard) restoreWatched(p *presentity) {
	for _, sub := range p.Subscribers() {
		switch sub.Package {
		case s.winfo:
			p.watched(sub, false)
		case s.presence:
			s.countPending(p, sub, false)
		}
	}
	slices.SortFunc(p.waiting, func(a, b *waiting) int { return a.until.Compare(b.until) })
}

// note remembers a change for those who watch p's watchers; they are told of all
// that happens in one step at its end.
func (s *Shard) note(p *presentity, c change) {
	w := p.winfo
	if w == nil {
		return
	}
	w.end++
	if len(w.changes) >= maxChanges {
		w.changes = slices.Delete(w.changes, 0, maxChanges/2)
	}
	w.changes = append(w.changes, c)
	s.stir(p, c.AOR)
}

// stir has those who watch p's watchers told, if what they may see of that watcher
// is another now.
func (s *Shard) stir(p *presentity, watcher presence.AOR) {
	w := p.winfo
	if w == nil {
		return
	}
	if w.touched == nil {
		w.touched = map[presence.AOR]bool{}
		s.stirred = append(s.stirred, p)
	}
	w.touched[watcher] = true
}

// told lists what has changed since the state with that sum; nil: that is not
// known. What began since and is over again is not told (RFC 3857, 4.7.2).
func (w *winfo) told(sum uint64) []Watcher {
	if w == nil {
		return nil
	}
	changes, known := w.since(w.marks, sum)
	if !known {
		return nil
	}
	rows, born := latest(changes)
	return slices.DeleteFunc(rows, func(r Watcher) bool { return r.Status == watcherinfo.Terminated && born[r.key] })
}

// since lists the changes since the state of m with that sum, if that is known.
func (w *winfo) since(m marks, sum uint64) (changes []change, known bool) {
	told, known := m.find(sum)
	if w == nil || !known || w.end-told.end > len(w.changes) {
		return nil, false
	}
	return w.changes[len(w.changes)-(w.end-told.end):], true
}

// steps is the number of changes so far.
func (w *winfo) steps() int {
	if w == nil {
		return 0
	}
	return w.end
}

// latest gives the last step of each subscription, and which have begun.
func latest(changes []change) (rows []Watcher, born map[notifier.Tag]bool) {
	rows, place := []Watcher{}, map[notifier.Tag]int{}
	born = map[notifier.Tag]bool{}
	for i := range changes {
		c := &changes[i]
		at, known := place[c.key]
		if !known {
			at = len(rows)
			place[c.key], born[c.key] = at, c.born
			rows = append(rows, Watcher{})
		}
		rows[at] = c.Watcher
	}
	return rows, born
}

// note remembers the newest state with its sum.
func (m *marks) note(newest mark) {
	*m = slices.DeleteFunc(*m, func(old mark) bool { return old.sum == newest.sum })
	if len(*m) >= maxMarks {
		*m = slices.Delete(*m, 0, 1)
	}
	*m = append(*m, newest)
}

// find gives the mark of the state with that sum.
func (m marks) find(sum uint64) (mark, bool) {
	if i := slices.IndexFunc(m, func(old mark) bool { return old.sum == sum }); i >= 0 && sum != 0 {
		return m[i], true
	}
	return mark{}, false
}

// tellWatched tells those who watch watchers what has happened. Where decisions are
// hidden that is left to a later step: the answer to a watcher must not come later
// because the presentity is there to be told of it.
func (s *Shard) tellWatched(now time.Time, out *shard.Batch) {
	for len(s.excess) > 0 {
		sub := s.excess[0]
		s.excess = s.excess[1:]
		s.table.End(sub, watcherinfo.GiveUp.String(), now, out)
	}
	stirred := s.stirred
	s.stirred = s.stirred[:0]
	for _, p := range stirred {
		w := p.winfo
		if w == nil {
			continue
		}
		if !s.telling && s.conceals(p) {
			s.stirred = append(s.stirred, p)
			s.tellLater(now)
			continue
		}
		touched := w.touched
		w.touched = nil
		for _, sub := range slices.Clone(w.subs) {
			if sub.Grant.Class == seesAll || touched[sub.Watcher.AOR()] {
				s.table.Touch(sub, now, out)
			}
		}
	}
	clear(stirred[len(s.stirred):])
}
