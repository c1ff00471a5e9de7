package agent

import (
	"slices"
	"time"

	"github.com/tacit-presence/tacit/filter"
	"github.com/tacit-presence/tacit/notifier"
	"github.com/tacit-presence/tacit/watcherinfo"
)

// maxRows is how many watchers a filter is asked about: as many as it can look at.
const maxRows = 4000

// asks takes filters (RFC 4660) in the SUBSCRIBEs of an event package, and keeps them
// with their subscriptions.
type asks struct{}

// asked is what a subscription with filters has.
type asked struct {
	set   *filter.Set
	winfo filteredWinfo // of watcher information
}

// Bodies lists what a SUBSCRIBE may ask with: filters (RFC 4660, 3.2).
func (asks) Bodies() []string { return []string{filter.ContentType} }

// Ask reads a watcher's filters.
func (asks) Ask(sub *notifier.Subscription, _, body string) (keep string, err error) {
	var old *filter.Set
	if a := askedBy(sub); a != nil {
		old = a.set
	}
	set, err := filter.ReadFor(string(sub.Package.Name()), body, old)
	if err == nil {
		err = set.Unique(sub.Entity)
	}
	if err != nil {
		return "", err
	}
	sub.SetData(&asked{set: set})
	return set.Text(), nil
}

// Recall reads the filters that were kept.
func (asks) Recall(sub *notifier.Subscription, keep string) error {
	set, err := filter.Restore(keep)
	if err != nil {
		return err
	}
	sub.SetData(&asked{set: set})
	return nil
}

// askedBy is what a subscription asked for; nil: it has no filters.
func askedBy(sub *notifier.Subscription) *asked {
	a, _ := sub.Data().(*asked)
	return a
}

// filterOf is the filter of a subscription.
func filterOf(sub *notifier.Subscription) filter.Filter {
	if a := askedBy(sub); a != nil {
		return a.set.For(sub.Entity)
	}
	return filter.Filter{}
}

// filteredWinfo is how far a subscription with filters has been told. Its documents
// are of the full state: in a partial one a filter could take out that somebody is
// no longer what was asked for. Beside it they hold, as RFC 4660, 7.2.3 has it,
// those whose subscriptions have ended since.
type filteredWinfo struct {
	last  watcherinfo.Final    // as it was rendered last
	sent  watcherinfo.Document // what last was made of (RFC 4661, 3.6.1)
	seen  watcherinfo.Document // what triggers have been asked about last
	begun bool                 // there is a last one
	marks
}

// renderFiltered gives what a filter leaves of the watchers that a subscription may
// see: rows, and those that have ended.
func (k *winfoPackage) renderFiltered(p *presentity, sub *notifier.Subscription, f filter.Filter, now time.Time) notifier.Body {
	w := &askedBy(sub).winfo
	var rows []Watcher
	if sub.Grant.Class == seesAll {
		rows = append(w.ended(p, sub, k.shard), k.shard.watchers(p)...)
	} else {
		rows = k.shard.itself(p, sub)
	}
	rows = rows[:min(len(rows), maxRows)]
	doc := documentOf(sub, shown(k.shard.named(p, rows), now))
	if w.begun && sub.Told() != 0 && !sub.Answering() && !w.fires(f, doc) {
		w.seen = doc
		return notifier.FromWatchers(w.last)
	}
	w.sent, w.seen, w.begun = doc, doc, true
	final, told := doc.Render(0).Filtered(f.Text)
	if len(final.Body()) > room(sub) {
		doc.Lists[0].Watchers = doc.Lists[0].Watchers[:fitting(sub, rows)]
		final, told = doc.Render(0).Filtered(f.Text)
	}
	w.last = final.WithSum(w.sum(sub.Told(), told))
	w.note(mark{sum: w.last.Sum(), end: p.winfo.steps(), live: liveOf(told)})
	return notifier.FromWatchers(w.last)
}

// ended lists those whose subscriptions have ended since the subscriber was told,
// and that it could have been told of.
func (w *filteredWinfo) ended(p *presentity, sub *notifier.Subscription, s *Shard) []Watcher {
	changes, _ := p.winfo.since(w.marks, sub.Told())
	rows, _ := latest(changes)
	rows = slices.DeleteFunc(rows, func(r Watcher) bool { return r.Status != watcherinfo.Terminated })
	if len(rows) == 0 {
		return nil
	}
	known := map[string]bool{}
	for i := range w.seen.Lists[0].Watchers {
		known[w.seen.Lists[0].Watchers[i].ID] = true
	}
	return slices.DeleteFunc(s.named(p, rows), func(r Watcher) bool { return !known[r.ID] })
}

// sum is that of a document which tells of those watchers, where the subscriber has
// the state of sum told. That somebody is not there any more who had ended already
// is nothing new.
func (w *filteredWinfo) sum(told uint64, watchers []watcherinfo.Watcher) uint64 {
	live := liveOf(watchers)
	if slices.ContainsFunc(watchers, func(r watcherinfo.Watcher) bool { return r.Status == watcherinfo.Terminated }) {
		return sumOf(watchers, func(r *watcherinfo.Watcher) (string, watcherinfo.Status, watcherinfo.Event) {
			return r.ID, r.Status, r.Event
		})
	}
	if m, ok := w.find(told); ok && m.live == live {
		return told
	}
	return live
}

// liveOf is the hash of those among watchers whose subscriptions have not ended.
func liveOf(watchers []watcherinfo.Watcher) uint64 {
	return sumOf(watchers, func(r *watcherinfo.Watcher) (string, watcherinfo.Status, watcherinfo.Event) {
		if r.Status == watcherinfo.Terminated {
			return "", watcherinfo.NoStatus, watcherinfo.NoEvent
		}
		return r.ID, r.Status, r.Event
	})
}

// fires reports whether the triggers of a filter let the subscriber be told of a
// document. They are asked what has changed since it was told (RFC 4661, 3.6.1) and
// since they were asked last, so that what goes from one state by another to a third
// is found. A watcher that was not there had no status and no event before; and its
// element is new.
func (w *filteredWinfo) fires(f filter.Filter, doc watcherinfo.Document) bool {
	if !f.Triggers() {
		return true
	}
	now := doc.Text()
	for _, before := range [...]watcherinfo.Document{w.seen, w.sent} {
		if f.TriggeredText(before.Text(), now) || f.TriggeredText(unborn(before, doc).Text(), now) {
			return true
		}
	}
	return false
}

// unborn is a document with those of another that are not in it, as they were before
// they subscribed.
func unborn(before, after watcherinfo.Document) watcherinfo.Document {
	had := map[string]bool{}
	list := before.Lists[0]
	for i := range list.Watchers {
		had[list.Watchers[i].ID] = true
	}
	list.Watchers = slices.Clone(list.Watchers)
	for _, r := range after.Lists[0].Watchers {
		if !had[r.ID] {
			list.Watchers = append(list.Watchers, watcherinfo.Watcher{ID: r.ID, URI: r.URI})
		}
	}
	before.Lists = []watcherinfo.List{list}
	return before
}

// documentOf is a document of full state.
func documentOf(sub *notifier.Subscription, watchers []watcherinfo.Watcher) watcherinfo.Document {
	return watcherinfo.Document{Lists: []watcherinfo.List{{Resource: sub.Entity, Package: eventPresence, Watchers: watchers}}}
}
