// Package view is the pipeline's last stage: it makes of what a watcher may see
// the document that it is sent. Only a Final can become the body of a presence
// NOTIFY.
package view

import (
	"fmt"
	"log/slog"

	"github.com/tacit-presence/tacit/filter"
	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/presence"
)

// Final is a document as it is sent. The zero value tells nothing.
type Final struct {
	body    string
	sum     uint64
	partial pidf.Partial // instead of body, if it has a text
}

// Body returns the document.
func (f Final) Body() string {
	if f.partial.Text != "" {
		return f.partial.Text
	}
	return f.body
}

// VersionAt is where in Body the version of a partial document is to be put; 0:
// it has none.
func (f Final) VersionAt() int { return f.partial.VersionAt }

// ContentType returns the document's media type, empty if there is none.
func (f Final) ContentType() string {
	if f.None() {
		return ""
	}
	if f.partial.Text != "" {
		return pidf.PartialContentType
	}
	return pidf.ContentType
}

// Partial gives f as a partial document (RFC 5262): what is different from told,
// where that is known and says less than all of f. Its Sum is that of f.
func (f Final) Partial(told Final) Final {
	if f.None() || f.partial.Text != "" {
		return f
	}
	if !told.None() && told.partial.Text == "" {
		if diff, ok := pidf.DiffOf(told.body, f.body); ok {
			return Final{body: f.body, sum: f.sum, partial: diff}
		}
	}
	return Final{body: f.body, sum: f.sum, partial: pidf.FullOf(f.body)}
}

// Sum returns a hash of the body, the same in every process: two that differ are
// of different documents, and two of different documents differ but by chance.
// It resists nobody who looks for a collision; only the author of a document
// could, to hide his own change.
func (f Final) Sum() uint64 { return f.sum }

// SummedAs gives f with the Sum of g, which differs from it in nothing but times
// that count from when it is told.
func (f Final) SummedAs(g Final) Final {
	f.sum = g.sum
	return f
}

// None reports that there is no document to tell.
func (f Final) None() bool { return f.body == "" }

// LogValue keeps presence out of logs.
func (f Final) LogValue() slog.Value { return slog.StringValue(f.String()) }

// String tells the size alone.
func (f Final) String() string {
	if f.None() {
		return "nothing to tell"
	}
	return fmt.Sprintf("presence (%d bytes)", len(f.body))
}

// GoString is String: %#v shows no presence either.
func (f Final) GoString() string { return f.String() }

// Finish renders what a watcher of presentity p may see. The document's entity is
// the URI that the watcher asked for, whatever the sources wrote (RFC 4479, 3.1:
// it may know no other name of the presentity). What is empty is Unavailable.
func Finish(f filter.Filtered, p presence.Presentity, entity string) Final {
	if f.None() || f.Void() {
		return Final{}
	}
	doc := f.Document()
	if doc.Empty() {
		return Unavailable(p, entity)
	}
	return final(doc.Render(entity))
}

// Unavailable makes the one document that tells nothing: one closed tuple. It is
// what Finish makes of an empty document, so a watcher cannot tell a presentity
// that blocks it politely from one that publishes nothing. The tuple's id is a
// hash of the entity alone: it is stable, and tells no more than the watcher
// asked with. The presentity is not in it, for who watches two of its aliases
// must not learn so that they are one.
func Unavailable(_ presence.Presentity, entity string) Final {
	return final(pidf.Unavailable(entity).Render(entity))
}

func final(body string) Final { return Final{body: body, sum: sum(body)} }
