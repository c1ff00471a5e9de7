// Package compose makes one raw document of what all sources of a presentity
// have published. It is the first stage of the pipeline: Raw is for package
// policy, and nothing else can be made of it.
package compose

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/presence"
)

// Publication is one live publication.
type Publication struct {
	// Serial is the publication's own for its life, and is never used again
	// within the presentity. A smaller one is older.
	Serial uint64
	// Modified is when its document came, by the initial or the last modifying
	// PUBLISH; a refresh does not count.
	Modified time.Time
	// Order breaks ties of Modified: larger is later.
	Order uint64
	// Apart says that its ids have collided with those of another publication
	// before (Collides), so all of them stay renamed for its life. Without it an
	// id that had to be renamed gets its published name when the older
	// publication that has that name ends.
	Apart bool
	Doc   *pidf.Document // never nil
}

// Policy is a composition policy. It is a pure function: equal publications, in
// whatever order, give equal documents, byte for byte.
type Policy interface {
	Name() string
	Compose(p presence.Presentity, pubs []Publication) Raw
}

// Named returns the policy of that name: "union" or "newest".
func Named(name string) (Policy, bool) {
	for _, p := range [...]Policy{Union(), Newest()} {
		if p.Name() == name {
			return p, true
		}
	}
	return nil, false
}

// Union returns the policy that keeps what everybody says.
//
// Tuples: all, open ones first, then those without basic status, then closed
// ones, each group newest publication first, each publication in its own order;
// so a watcher that reads the first tuple only is told right. Notes, persons and
// extension elements of the root: all, newest publication first; of notes with
// the same text and language, the first. Devices: those of the newest
// publication that has the deviceID (RFC 4479, 3.4), which may be several
// occurrences.
//
// Ids: of publications that use the same id, for any element, the oldest keeps
// it and the others' is renamed to the id, a hyphen, and a hash of their Serial
// (the Serial itself could tell when a source came). So no other publication's
// coming or going changes an id but that of an older publication with the same
// id, and not even that with Publication.Apart.
func Union() Policy { return union{} }

// Newest returns the policy that keeps the newest publication alone, in the form
// that Union would give it.
func Newest() Policy { return newest{} }

type union struct{}

func (union) Name() string { return "union" }

func (union) Compose(_ presence.Presentity, pubs []Publication) Raw {
	if len(pubs) == 0 {
		return Raw{}
	}
	return build(pubs)
}

type newest struct{}

func (newest) Name() string { return "newest" }

func (newest) Compose(_ presence.Presentity, pubs []Publication) Raw {
	if len(pubs) == 0 {
		return Raw{}
	}
	first := slices.MinFunc(pubs, newestFirst)
	return build([]Publication{first})
}

// newestFirst orders publications.
func newestFirst(a, b Publication) int {
	return cmp.Or(b.Modified.Compare(a.Modified), cmp.Compare(b.Order, a.Order), cmp.Compare(b.Serial, a.Serial))
}

// Raw is a composed document before any rule has been applied: nobody but the
// presentity may see it. The zero value is Empty.
type Raw struct{ doc pidf.Assembly }

// Document returns what is composed, for the next stage.
func (r Raw) Document() pidf.Assembly { return r.doc }

// Forget gives back the memory of the document's tree, once all watchers have been
// told: Assembly.Forget.
func (r Raw) Forget() { r.doc.Forget() }

// Empty reports that nothing is published.
func (r Raw) Empty() bool { return r.doc.Empty() }

// Parts returns the root's children in order: tuples, notes, persons, devices,
// other elements. It must not be changed.
func (r Raw) Parts() []pidf.Component { return r.doc.Parts() }

// Declarations returns the namespace declarations that the root needs beside
// PIDF's, as attributes, each with a space before it.
func (r Raw) Declarations() string { return r.doc.Declarations() }

// LogValue keeps presence out of logs.
func (r Raw) LogValue() slog.Value { return slog.StringValue(r.String()) }

// String tells the size alone.
func (r Raw) String() string { return fmt.Sprintf("composed presence (%d parts)", len(r.Parts())) }

// GoString is String: %#v shows no presence either.
func (r Raw) GoString() string { return r.String() }
