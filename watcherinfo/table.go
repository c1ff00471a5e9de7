package watcherinfo

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tacit-presence/tacit/presence"
)

// Merged is what has become of a document in a Table.
type Merged uint8

// The outcomes (RFC 3858, 4).
const (
	// Discarded: it is older than what the Table has.
	Discarded Merged = iota
	// Current: the Table is as the notifier has it.
	Current
	// Incomplete: a document before this one is missing. The subscriber should
	// refresh its subscription, to be sent full state.
	Incomplete
)

// Table is what a subscriber knows of the watchers, from all it has been sent
// (RFC 3858, 4). The zero value knows nothing.
type Table struct {
	began   bool
	version uint32
	lists   map[listKey]map[string]Watcher
	count   int // of watchers
}

// maxTable bounds a Table's lists and watchers: what the largest document has, and
// as much again by changes.
const maxTable = 2 * MaxWatchers

type listKey struct {
	resource string
	pkg      presence.EventPackage
}

// Merge applies a document. Whoever is terminated stands in the document alone:
// the Table forgets it at once. An error, which wraps ErrTooBig, leaves the Table
// as it was.
func (t *Table) Merge(d Document) (Merged, error) {
	if t.began && d.Version <= t.version {
		return Discarded, nil
	}
	outcome := Current
	if d.Partial && (!t.began || d.Version != t.version+1) {
		outcome = Incomplete
	}
	lists, count := t.lists, t.count
	if !d.Partial {
		lists, count = nil, 0
	}
	if count+len(lists)+d.size() > maxTable {
		return Discarded, fmt.Errorf("%w: more than %d", ErrTooBig, maxTable)
	}
	if lists == nil {
		lists = map[listKey]map[string]Watcher{}
	}
	for _, l := range d.Lists {
		key := listKey{l.Resource, l.Package}
		rows := lists[key]
		if rows == nil {
			rows = map[string]Watcher{}
			lists[key] = rows
		}
		count -= len(rows)
		for _, w := range l.Watchers {
			if w.Status == Terminated {
				delete(rows, w.ID)
			} else {
				rows[w.ID] = w
			}
		}
		count += len(rows)
	}
	t.lists, t.count, t.began, t.version = lists, count, true, d.Version
	return outcome, nil
}

// Lists returns what the Table knows, in a fixed order.
func (t *Table) Lists() []List {
	lists := make([]List, 0, len(t.lists))
	for key, rows := range t.lists {
		l := List{Resource: key.resource, Package: key.pkg, Watchers: make([]Watcher, 0, len(rows))}
		for _, w := range rows {
			l.Watchers = append(l.Watchers, w)
		}
		slices.SortFunc(l.Watchers, func(a, b Watcher) int { return cmp.Or(cmp.Compare(a.URI, b.URI), cmp.Compare(a.ID, b.ID)) })
		lists = append(lists, l)
	}
	slices.SortFunc(lists, func(a, b List) int {
		return cmp.Or(cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Package, b.Package))
	})
	return lists
}

// String tells no watcher.
func (t *Table) String() string { return fmt.Sprintf("watcher information (%d watchers)", t.count) }
