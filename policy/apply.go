package policy

import (
	"fmt"
	"log/slog"

	"github.com/tacit-presence/tacit/compose"
	"github.com/tacit-presence/tacit/pidf"
)

// Candidate is what authorization leaves of a composed document for one watcher.
// Apply alone makes one that holds anything; the zero value holds nothing and
// cannot become a document.
type Candidate struct {
	told bool
	doc  pidf.Assembly
}

// Apply is the privacy filter. Allow leaves what the permissions permit.
// PoliteBlock leaves an empty document, which is then told as that of a
// presentity that publishes nothing; so does Allow without permissions. Confirm
// and Block leave nothing at all.
//
// A component is told when it is selected by what was published of it, and of
// it what RFC 5025, 3.3.2 always shows and what has been granted. What is left is
// written anew in one form, so that neither white space nor prefixes,
// declarations, order of children or ids tell of what is not:
//
//   - comments and processing instructions go, and so do XML attributes of known
//     elements that no schema defines, for all-attributes too: RFC 5025 speaks of
//     elements;
//   - ids are made of what is told (see assembly); RPID elements lose theirs;
//   - a language stays on what is text in some language;
//   - times are told in UTC, rounded if the permissions say so; then the document
//     says by how much;
//   - elements that are not known are copied with the declarations they need.
//
// Components that have become equal but for their times are one, with the newest
// time: their number would tell how many devices, or calendars, there are. It is
// done before a watcher's own filter, which could count them. A component with
// nothing left to tell goes if there is another of its kind.
//
// The parts stay in composed order; where times are rounded the newest rounded
// time comes first, then what is written decides.
func Apply(raw compose.Raw, d Decision) Candidate {
	switch d.Handling {
	case Allow:
		if d.Permissions.All() {
			return Candidate{told: true, doc: raw.Document()}
		}
		return Candidate{told: true, doc: filtered(raw.Document(), d.Permissions.set, d.Location)}
	case PoliteBlock:
		return Candidate{told: true}
	default:
		return Candidate{}
	}
}

// None reports that the watcher must not be told any document.
func (c Candidate) None() bool { return !c.told }

// Document returns what is left; Empty if the watcher is told of no presence.
func (c Candidate) Document() pidf.Assembly { return c.doc }

// LogValue keeps presence out of logs.
func (c Candidate) LogValue() slog.Value { return slog.StringValue(c.String()) }

// String tells the size alone.
func (c Candidate) String() string {
	if !c.told {
		return "nothing to tell"
	}
	return fmt.Sprintf("authorized presence (%d parts)", len(c.doc.Parts()))
}

// GoString is String: %#v shows no presence either.
func (c Candidate) GoString() string { return c.String() }
