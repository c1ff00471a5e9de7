// Package pidf reads presence documents: PIDF (RFC 3863) with the data model
// (RFC 4479) and RPID (RFC 4480). A Document is cut into its parts, each a range
// of bytes of the text, with what composition, rules and filters ask about them;
// what the RFCs do not know is carried along untouched. Partial and
// PartialDocument are what has changed alone (RFC 5262).
package pidf

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/tacit-presence/tacit/xmltree"
)

// ContentType is PIDF's media type (RFC 3863, 5.1).
const ContentType = "application/pidf+xml"

// The namespaces of the formats that are understood.
const (
	Space          = "urn:ietf:params:xml:ns:pidf"
	DataModelSpace = "urn:ietf:params:xml:ns:pidf:data-model"
	RPIDSpace      = "urn:ietf:params:xml:ns:pidf:rpid"
	OMASpace       = "urn:oma:xml:prs:pidf:oma-pres" // OMA's presence extensions
)

// MaxBytes is the largest document. Those of real clients stay below 4 KB; each
// watcher is sent the documents of all sources together, so more would let one
// source make many messages too large.
const MaxBytes = 64 << 10

// What the root says is copied to its parts where documents are put together,
// so it is bounded, else a document could swell a hundredfold.
const (
	maxParts    = 128     // children of the root; real clients have up to five
	maxDeclared = 2 << 10 // bytes of namespace declarations on the root; real: 600
	maxLang     = 64      // bytes of a language tag; RFC 5646, 4.4.1 wants room for 35
)

// ErrDocument is what every error of Parse wraps. Its text says which element
// breaks which rule.
var ErrDocument = errors.New("bad presence document")

// Tolerances are named switches: each accepts what the RFCs do not allow,
// because a client sends it. What they let in is put right in the Document, so
// that no watcher sees it.
type Tolerances struct {
	// UnknownBasic takes a <basic> that is neither open nor closed as absent and
	// removes it. baresip 1.0 first publishes "unkown"; Linphone 5.1 answers 488
	// to a NOTIFY that has it.
	UnknownBasic bool
	// RootOrder takes the children of <presence> in any order. baresip 1.0
	// writes its person before its tuple.
	RootOrder bool
	// ChildOrder takes the children of a tuple, status, person or device in any
	// order. pjsua adds its note after the timestamp.
	ChildOrder bool
}

// DefaultTolerances are all of them.
func DefaultTolerances() Tolerances {
	return Tolerances{UnknownBasic: true, RootOrder: true, ChildOrder: true}
}

// Kind is the kind of a part.
type Kind uint8

// The kinds, in the order that a document has them: tuples, then notes, then
// elements of other namespaces (RFC 3863, 4.1.1), of which the data model's come
// first.
const (
	Tuple Kind = iota
	Note
	Person
	Device
	Extension
)

// String names the kind as its element is named.
func (k Kind) String() string {
	return [...]string{"tuple", "note", "person", "device", "extension"}[k]
}

// Basic is a tuple's basic status.
type Basic uint8

// The basic statuses. Absent is that of what is no tuple, too.
const (
	Absent Basic = iota
	Open
	Closed
)

// String gives the status as it is written.
func (b Basic) String() string { return [...]string{"absent", "open", "closed"}[b] }

// NoPriority is the Priority of a contact without one: lower than any other
// (RFC 3863, 4.1.5).
const NoPriority int16 = -1

// Part is one child of the root, as published. Its strings are values, without
// white space around and with references resolved.
type Part struct {
	Kind     Kind
	Basic    Basic // of a tuple
	Priority int16 // of a tuple's contact: thousandths, or NoPriority

	ID        string // of a tuple, person or device: its occurrence
	DeviceID  string // of a tuple or device (RFC 4479, 3.4)
	Class     string // of a tuple, person or device (RFC 4480, 3.3)
	Contact   string // of a tuple
	ServiceID string // of a tuple: OMA's service-id in its service-description
	Timestamp string // of a tuple, person or device; valid as xs:dateTime
	Text      string // of a note
	Lang      string // of a note: its own or the root's xml:lang

	Span    xmltree.Span // in Document.Text
	NameEnd int          // where attributes can be added, in Document.Text
	// OuterDefault says that the part has names without prefix whose namespace,
	// or lack of one, is that of the root.
	OuterDefault bool
	// HasLang says that the part's element has an xml:lang of its own.
	HasLang bool
	// Declares lists the prefixes that the part's element declares itself.
	Declares []string

	ids, endIDs int32
}

// ID is an attribute of type xs:ID: those of tuples, persons, devices, and of
// RPID's elements. All of a document are different.
type ID struct {
	Value string
	Span  xmltree.Span // of the value, in Document.Text
}

// Document is a presence document that has been checked.
type Document struct {
	body     string // as published
	text     string // body after tolerances
	entity   string
	lang     string
	parts    []Part
	ids      []ID
	bindings []xmltree.Binding

	// What most documents need no more of, within the one allocation.
	fewIDs      [4]ID
	fewBindings [4]xmltree.Binding
}

// Entity returns the URI whose presence the document says it is.
func (d *Document) Entity() string { return d.entity }

// Body returns the document as it was published.
func (d *Document) Body() string { return d.body }

// Text returns the document that parts are ranges of: the body, but for what
// Tolerances had to put right.
func (d *Document) Text() string { return d.text }

// Lang returns the root's xml:lang, which holds for all parts without their own.
func (d *Document) Lang() string { return d.lang }

// Parts returns the root's children in document order. It must not be changed.
func (d *Document) Parts() []Part { return d.parts }

// IDs returns the part's attributes of type xs:ID in document order. It must not
// be changed.
func (d *Document) IDs(p *Part) []ID { return d.ids[p.ids:p.endIDs:p.endIDs] }

// FirstID returns the index in AllIDs of the first of IDs(p).
func (d *Document) FirstID(p *Part) int { return int(p.ids) }

// AllIDs returns those of all parts. It must not be changed.
func (d *Document) AllIDs() []ID { return d.ids }

// Bindings returns the namespaces that the root declares. It must not be changed.
func (d *Document) Bindings() []xmltree.Binding { return d.bindings }

// LogValue keeps presence out of logs.
func (d *Document) LogValue() slog.Value { return slog.StringValue(d.String()) }

// String tells the size alone.
func (d *Document) String() string {
	if d == nil {
		return "no presence document"
	}
	return fmt.Sprintf("presence document (%d bytes, %d parts)", len(d.body), len(d.parts))
}

// GoString is String: %#v shows no presence either.
func (d *Document) GoString() string { return d.String() }

// Parse reads a presence document with the default tolerances.
func Parse(body string) (*Document, error) { return DefaultTolerances().Parse(body) }

// Parse reads a presence document. Its errors wrap ErrDocument and, for XML, the
// errors of xmltree.
//
// It checks what PIDF and the data model say of structure and values: the
// elements' order and number, ids, basic, priority, timestamps, deviceIDs. Of
// RPID it checks ids alone: its enumerations are open, and RFC 4480's own
// example does not keep to its schema. RFC 3863, 4.2.3: names of the two formats'
// own namespaces that nobody defined, and names of none, are ignored where they
// stand in place of theirs, which here means removed; a priority out of range is
// ignored likewise (4.1.5).
func (t Tolerances) Parse(body string) (*Document, error) {
	// A tree is not kept with its document, which lives long and needs its parts only.
	tree := xmltree.Borrow()
	defer tree.Return()
	d, edits, err := t.read(tree, body)
	if err == nil && len(edits) > 0 {
		text := xmltree.Splice(body, xmltree.Span{Start: 0, End: len(body)}, edits)
		d, edits, err = Tolerances{RootOrder: t.RootOrder}.read(tree, text)
		if err == nil && len(edits) > 0 {
			err = fmt.Errorf("%w: it cannot be put in order", ErrDocument)
		}
	}
	if err != nil {
		return nil, err
	}
	d.body = body
	return d, nil
}

func (t Tolerances) read(tree *xmltree.Doc, text string) (*Document, []xmltree.Edit, error) {
	if err := tree.Parse(text, xmltree.Limits{MaxBytes: MaxBytes}); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	r := reader{Tolerances: t, tree: tree, doc: &Document{text: text}}
	if err := r.root(); err != nil {
		return nil, nil, err
	}
	if err := unique(r.doc.ids); err != nil {
		return nil, nil, err
	}
	return r.doc, r.edits, nil
}

// fewIDs is up to where comparing all pairs is cheaper than a map.
const fewIDs = 24

// unique refuses two equal values of type xs:ID.
func unique(ids []ID) error {
	if len(ids) > fewIDs {
		seen := make(map[string]struct{}, len(ids))
		for _, id := range ids {
			if _, ok := seen[id.Value]; ok {
				return bad("id %q occurs twice", id.Value)
			}
			seen[id.Value] = struct{}{}
		}
		return nil
	}
	for i := range ids {
		for _, other := range ids[:i] {
			if other.Value == ids[i].Value {
				return bad("id %q occurs twice", ids[i].Value)
			}
		}
	}
	return nil
}

// bad makes an error; names and ids in it are cut to a line's length.
func bad(format string, args ...any) error {
	const most = 60
	for i, a := range args {
		if s, ok := a.(string); ok && len(s) > most {
			args[i] = s[:most] + "..."
		}
	}
	return fmt.Errorf("%w: %s", ErrDocument, fmt.Sprintf(format, args...))
}
