// Package filter applies a watcher's own filter (RFC 4660, 4661, 6447) to what
// it is authorized to see. A filter only ever removes.
package filter

import (
	"fmt"
	"log/slog"

	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/policy"
)

// Filter is what a watcher asked to be told of one resource. It is comparable:
// watchers with equal permissions and equal filters see the same. The zero value
// asks for everything, at each change. Set.For makes others.
type Filter struct {
	one    *one
	entity string
}

// Triggers reports whether the watcher wants to be told of some changes only.
func (f Filter) Triggers() bool { return f.one != nil && len(f.one.triggers) > 0 }

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
	left, err := f.one.what.apply(doc)
	if err != nil || left.Empty() {
		return Filtered{told: true, void: true}
	}
	return Filtered{told: true, doc: left}
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
