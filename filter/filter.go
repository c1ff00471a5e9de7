// Package filter applies a watcher's own filter (RFC 4660, 4661, 6447) to what
// it is authorized to see. A filter only ever removes.
package filter

import (
	"fmt"
	"log/slog"

	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/xmltree"
)

// maxText is the largest document that Text reads: watcher information of some
// thousand watchers.
const maxText = 1 << 20

// Filter is what a watcher asked to be told of one resource:
// watchers with equal permissions and Equal filters see the same. The zero value
// asks for everything, at each change. Set.For makes others.
type Filter struct {
	one    *one
	entity string
}

// Triggers reports whether the watcher wants to be told of some changes only.
func (f Filter) Triggers() bool { return f.one != nil && len(f.one.triggers) > 0 }

// Equal reports whether f and g, read from whatever requests, ask for the same.
func (f Filter) Equal(g Filter) bool {
	return f == g || f.one != nil && g.one != nil && f.entity == g.entity && f.one.source == g.one.source
}

// Filtered is what a filter left of a Candidate. Apply alone makes one that
// holds anything; the zero value holds nothing and cannot become a document.
type Filtered struct {
	told bool
	void bool
	doc  pidf.Assembly
}

// Apply filters what a watcher may see. What is told of a presentity that
// publishes nothing, or that the watcher may know nothing of, is filtered as the
// document that it will be told: nobody can tell the three apart by a filter.
//
// Where a filter takes too long nothing is told (RFC 4660, 5.3.1).
func Apply(c policy.Candidate, f Filter) Filtered {
	if c.None() {
		return Filtered{}
	}
	doc := c.Document()
	if f.one == nil || f.one.what == nil {
		return Filtered{told: true, doc: doc}
	}
	if doc.Empty() {
		doc = pidf.Unavailable(f.entity)
	}
	left, ok := f.one.what.apply(doc, f.entity)
	if !ok || left.Empty() {
		return Filtered{told: true, void: true}
	}
	return Filtered{told: true, doc: left}
}

// Text applies a filter to a document of another package than presence, such as
// watcher information (RFC 4660, 7.2). The root stays, and so does what such
// documents need to be valid; ok is false where nothing is left in it, or where
// the document cannot be read or takes too long: then nothing may be told of it.
// It is for one event package as Apply is for presence: whether the watcher may
// see the document must have been decided before.
func (f Filter) Text(document string) (left string, ok bool) {
	if f.one == nil || f.one.what == nil {
		return document, true
	}
	e, ok := evaluate(document)
	if !ok {
		return "", false
	}
	s, ok := f.one.what.run(e)
	if !ok {
		return "", false
	}
	root := e.doc.Root()
	s.states[root] |= taken
	for c := e.doc.FirstElement(root); c != xmltree.None; c = e.doc.NextElement(c) {
		if s.told(c) {
			span := e.doc.Span(root)
			return document[:span.Start] + s.write(root) + document[span.End:], true
		}
	}
	return "", false
}

// evaluate reads a document to ask expressions of.
func evaluate(document string) (evaluation, bool) {
	doc, err := xmltree.Parse(document, xmltree.Limits{MaxBytes: maxText, MaxNodes: maxVisits})
	left := maxVisits
	return evaluation{doc: doc, left: &left}, err == nil
}

// None reports that the watcher must not be told any document.
func (f Filtered) None() bool { return !f.told }

// Void reports that the watcher is told that there is nothing that it asked for:
// a NOTIFY without body (RFC 4660, 5.3.1).
func (f Filtered) Void() bool { return f.void }

// Document returns what is left; Empty if the watcher is told of no presence.
func (f Filtered) Document() pidf.Assembly { return f.doc }

// LogValue keeps presence out of logs.
func (f Filtered) LogValue() slog.Value { return slog.StringValue(f.String()) }

// String tells the size alone.
func (f Filtered) String() string {
	if f.None() {
		return "nothing to tell"
	}
	return fmt.Sprintf("filtered presence (%d parts)", len(f.Document().Parts()))
}

// GoString is String: %#v shows no presence either.
func (f Filtered) GoString() string { return f.String() }
