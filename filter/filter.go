// Package filter applies a watcher's own filter (RFC 4660, 4661) to what it is
// authorized to see. A filter only ever removes.
package filter

import (
	"fmt"
	"log/slog"

	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/policy"
)

// Filter is what a watcher asked to be told. It is comparable: watchers with
// equal permissions and equal filters see the same. The zero value, the only one
// until filters in SUBSCRIBE are read, asks for everything.
type Filter struct{}

// Filtered is what a filter left of a Candidate. Apply alone makes one that
// holds anything; the zero value holds nothing and cannot become a document.
type Filtered struct{ candidate policy.Candidate }

// Apply filters what a watcher may see.
func Apply(c policy.Candidate, _ Filter) Filtered { return Filtered{c} }

// None reports that the watcher must not be told any document.
func (f Filtered) None() bool { return f.candidate.None() }

// Document returns what is left; Empty if the watcher is told of no presence.
func (f Filtered) Document() pidf.Assembly { return f.candidate.Document() }

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
