package xcap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tacit-presence/tacit/presence"
)

// The errors of Documents.
var (
	// ErrChanged: the document is not the one that the change was made for.
	ErrChanged = errors.New("the document has changed meanwhile")
	// ErrTooMany: the user has as many documents as he may have.
	ErrTooMany = errors.New("too many documents")
	// ErrDamaged: what is kept of the document cannot be read. It can be replaced as a
	// whole, and removed.
	ErrDamaged = errors.New("what is kept of the document cannot be read")
	// ErrUnavailable: who keeps the document cannot be reached now.
	ErrUnavailable = errors.New("documents cannot be reached now")
)

// Key names a document.
type Key struct {
	AUID AUID
	Tree Tree
	// Owner is whose it is; empty in the global tree.
	Owner presence.Presentity
	// Path is the document's name below its tree or user, escaped as in a URI,
	// in one spelling.
	Path string
}

// Document is a document as it is kept.
type Document struct {
	ETag     presence.EntityTag
	Body     string
	Modified time.Time
}

// LogValue keeps documents out of logs.
func (d Document) LogValue() slog.Value {
	return slog.GroupValue(slog.String("etag", string(d.ETag)), slog.Int("bytes", len(d.Body)))
}

// String keeps documents out of logs.
func (d Document) String() string { return fmt.Sprintf("document %s, %d bytes", d.ETag, len(d.Body)) }

// GoString keeps documents out of logs.
func (d Document) GoString() string { return d.String() }

// Entry is one document of a list.
type Entry struct {
	Key      Key
	ETag     presence.EntityTag
	Size     int
	Modified time.Time
}

// Documents keeps documents. What changes a document is compare-and-set at its
// owner's shard, and returns when it is durable and in effect. Errors wrap those
// above, or hold a *Conflict, which answers the request; any other is a fault of
// the server.
type Documents interface {
	// Get returns a document; ErrNotFound; with ErrDamaged what there is of it, its
	// entity-tag at least.
	Get(ctx context.Context, k Key) (Document, error)
	// Put puts body in the place of the document with the entity-tag was; if was
	// is empty, where there is none. ErrChanged, ErrTooMany.
	Put(ctx context.Context, k Key, was presence.EntityTag, body string) (Document, error)
	// Delete removes the document with that entity-tag. ErrChanged.
	Delete(ctx context.Context, k Key, was presence.EntityTag) error
	// List returns the documents of a user, those of one AUID after another.
	List(ctx context.Context, owner presence.Presentity) ([]Entry, error)
}

// Collector is an ability of Documents: with it there is the global index of
// rls-services, and services have URIs that are unique on the server.
type Collector interface {
	// Each calls fn with all users' documents of an application usage, until fn
	// returns false, in an order that stays the same.
	Each(ctx context.Context, auid AUID, fn func(Key, Document) bool) error
}
