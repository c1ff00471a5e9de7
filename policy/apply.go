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
func Apply(raw compose.Raw, d Decision) Candidate {
	switch d.Handling {
	case Allow:
		if d.Permissions.All() {
			return Candidate{told: true, doc: raw.Document()}
		}
		return Candidate{told: true}
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
