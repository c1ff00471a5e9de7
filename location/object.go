package location

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/xmltree"
)

// Place is the element that a location object stands in, in the order that
// RFC 5491, 3 (rule 8) prefers.
type Place uint8

// The places.
const (
	OfDevice Place = iota
	OfTuple
	OfPerson
	Elsewhere
)

// Flag is a boolean that may be absent.
type Flag uint8

// The values of a Flag.
const (
	Unset Flag = iota
	No
	Yes
)

// UsageRules are what an object's recipient may do with it (RFC 4119, 2.2.2).
type UsageRules struct {
	Node           xmltree.Node // None if the object lacks them
	Retransmission Flag         // Unset means No
	Expiry         time.Time    // zero if not said
	Ruleset        string       // a URI
	NoteWell       string
	NoteLang       string
}

// defaultRetention holds where an object does not say (RFC 4119, 2.2.2).
const defaultRetention = 24 * time.Hour

// chunk is one child of location-info, of one of three sorts.
type chunk struct {
	shape, civic int16 // index in the Object, or -1
}

// Object is one geopriv element. Its strings are parts of the document.
type Object struct {
	Doc       *xmltree.Doc
	Node      xmltree.Node
	Span      xmltree.Span
	Component xmltree.Node // the root's child that it stands in, None if it is one
	Place     Place
	Shapes    []Shape
	Civic     []Civic
	// Unread counts location that is not understood: other formats, and shapes and
	// addresses with faults.
	Unread int
	// Geodetic says that some of Unread is in one of GML's namespaces.
	Geodetic   bool
	Rules      UsageRules
	Method     string
	ProvidedBy bool
	chunks     []chunk
}

// IsObject reports whether n is a geopriv element.
func IsObject(doc *xmltree.Doc, n xmltree.Node) bool { return doc.Is(n, Space, "geopriv") }

// AppendNodes appends the geopriv elements in n, itself included, in order of
// the document. One within another is part of that.
func AppendNodes(dst []xmltree.Node, doc *xmltree.Doc, n xmltree.Node) []xmltree.Node {
	for i, end := n, doc.After(n); i < end; {
		if doc.Kind(i) == xmltree.KindElement && IsObject(doc, i) {
			dst = append(dst, i)
			i = doc.After(i)
			continue
		}
		i++
	}
	return dst
}

// ReadAll reads the objects in n. What can be read is returned beside the first
// error.
func ReadAll(doc *xmltree.Doc, n xmltree.Node) ([]Object, error) {
	var list []Object
	var first error
	for _, g := range AppendNodes(nil, doc, n) {
		o, err := Read(doc, g)
		list = append(list, o)
		if first == nil {
			first = err
		}
	}
	return list, first
}

// Read reads a geopriv element. An error is an *Error of ErrObject and says what
// in it is wrong; the Object still has all that could be read, so that a fault in
// one shape does not hide what else there is.
func Read(doc *xmltree.Doc, n xmltree.Node) (Object, error) {
	r := objectReader{doc: doc, o: Object{Doc: doc, Node: n, Span: doc.Span(n), Component: xmltree.None, Place: Elsewhere}}
	r.o.Rules.Node = xmltree.None
	if !IsObject(doc, n) {
		return r.o, bad(ErrObject, n, "<%s> is not <geopriv> of %s", doc.Local(n), Space)
	}
	r.place()
	r.children()
	if r.err != nil {
		return r.o, r.err
	}
	return r.o, nil
}

type objectReader struct {
	doc *xmltree.Doc
	o   Object
	err *Error
}

func (r *objectReader) note(err *Error) {
	if r.err == nil {
		r.err = err
	}
}

// place finds the component that the object is about.
func (r *objectReader) place() {
	root := r.doc.Root()
	n := r.o.Node
	for n != root && n != xmltree.None && r.doc.Parent(n) != root {
		n = r.doc.Parent(n)
	}
	if n == root || n == xmltree.None {
		return
	}
	r.o.Component = n
	switch {
	case r.doc.Is(n, pidf.DataModelSpace, "device"):
		r.o.Place = OfDevice
	case r.doc.Is(n, pidf.Space, "tuple"):
		r.o.Place = OfTuple
	case r.doc.Is(n, pidf.DataModelSpace, "person"):
		r.o.Place = OfPerson
	}
}

// children reads the parts of the object; RFC 4119, 2.2.5 has location-info and
// usage-rules once each. Their order is not held against anyone.
func (r *objectReader) children() {
	info := xmltree.None
	for c := r.doc.FirstElement(r.o.Node); c != xmltree.None; c = r.doc.NextElement(c) {
		if r.doc.Space(c) != Space {
			continue
		}
		switch r.doc.Local(c) {
		case "location-info":
			if info != xmltree.None {
				r.note(bad(ErrObject, c, "<geopriv> has two <location-info>"))
				r.o.Unread++
				continue
			}
			info = c
			r.info(c)
		case "usage-rules":
			if r.o.Rules.Node != xmltree.None {
				r.note(bad(ErrObject, c, "<geopriv> has two <usage-rules>"))
				continue
			}
			r.o.Rules.Node = c
			r.rules(c)
		case "method":
			r.o.Method = collapse(r.doc.Text(c))
		case "provided-by":
			r.o.ProvidedBy = true
		}
	}
	switch {
	case info == xmltree.None:
		r.note(bad(ErrObject, r.o.Node, "<geopriv> has no <location-info>"))
	case r.o.Rules.Node == xmltree.None:
		r.note(bad(ErrObject, r.o.Node, "<geopriv> has no <usage-rules>"))
	}
}

// maxChunks bounds the locations of one object; RFC 5491, 3 (rule 4) wants one.
const maxChunks = 16

func (r *objectReader) info(n xmltree.Node) {
	o := &r.o
	for c := r.doc.FirstElement(n); c != xmltree.None; c = r.doc.NextElement(c) {
		if len(o.chunks) == maxChunks {
			r.note(bad(ErrObject, c, "<location-info> has more than %d locations", maxChunks))
			o.Unread, o.Geodetic = o.Unread+1, true
			return
		}
		if s, err, ok := readGeodetic(r.doc, geometry(r.doc, c)); ok {
			if err != nil {
				r.note(err)
				o.Unread, o.Geodetic = o.Unread+1, true
				continue
			}
			o.chunks = append(o.chunks, chunk{int16(len(o.Shapes)), -1})
			o.Shapes = append(o.Shapes, s)
			continue
		}
		if civicSpace(r.doc, c) != "" {
			a, err := readCivic(r.doc, c)
			if err != nil {
				r.note(err)
				o.Unread++
				continue
			}
			o.chunks = append(o.chunks, chunk{-1, int16(len(o.Civic))})
			o.Civic = append(o.Civic, a)
			continue
		}
		o.Unread++
		space := r.doc.Space(c)
		o.Geodetic = o.Geodetic || isGML(space) || space == ShapeSpace || strings.HasPrefix(space, "urn:opengis:")
	}
}

// readGeodetic reads a shape; ok is false if n is none.
func readGeodetic(doc *xmltree.Doc, n xmltree.Node) (s Shape, err *Error, ok bool) {
	if isOldPoint(doc, n) {
		s, err = readOldPoint(doc, n)
		return s, err, true
	}
	kind, ok := shapeKind(doc, n)
	if !ok {
		return Shape{}, nil, false
	}
	s, err = readShape(doc, n, kind)
	return s, err, true
}

// rules reads usage-rules. The schema has their elements in a namespace of their
// own, RFC 4119's examples in geopriv's; and its text calls two of them by other
// names than its schema.
func (r *objectReader) rules(n xmltree.Node) {
	u := &r.o.Rules
	for c := r.doc.FirstElement(n); c != xmltree.None; c = r.doc.NextElement(c) {
		text := trim(r.doc.Text(c))
		switch ruleOf(r.doc, c) {
		case ruleRetransmission:
			v := No // what cannot be read permits nothing
			switch text {
			case "true", "1", "yes":
				v = Yes
			case "false", "0", "no":
			default:
				r.note(bad(ErrObject, c, "<%s> is no boolean", r.doc.Local(c)))
			}
			if u.Retransmission != No {
				u.Retransmission = v
			}
		case ruleExpiry:
			t, ok := dateTime(text)
			if !ok {
				r.note(bad(ErrObject, c, "<%s> is no date and time", r.doc.Local(c)))
			} else if u.Expiry.IsZero() || t.Before(u.Expiry) {
				u.Expiry = t
			}
		case ruleRuleset:
			if u.Ruleset == "" {
				u.Ruleset = text
			}
		case ruleNoteWell:
			if u.NoteWell == "" {
				u.NoteWell = text
				u.NoteLang, _ = r.doc.Attr(c, xmltree.XMLSpace, "lang")
			}
		}
	}
}

// ruleKind is the kind of a child of usage-rules, in the schema's order.
type ruleKind uint8

const (
	ruleRetransmission ruleKind = iota
	ruleExpiry
	ruleRuleset
	ruleNoteWell
	ruleOther
)

func ruleOf(doc *xmltree.Doc, n xmltree.Node) ruleKind {
	if space := doc.Space(n); space != BasicPolicySpace && space != Space {
		return ruleOther
	}
	switch doc.Local(n) {
	case "retransmission-allowed":
		return ruleRetransmission
	case "retention-expiry", "retention-expires":
		return ruleExpiry
	case "external-ruleset", "ruleset-reference":
		return ruleRuleset
	case "note-well":
		return ruleNoteWell
	}
	return ruleOther
}

// dateTime reads an xs:dateTime; without a zone it is taken as UTC.
func dateTime(s string) (time.Time, bool) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, true
	}
	t, err := time.Parse("2006-01-02T15:04:05", s)
	return t, err == nil
}

// Expires returns when the object must be discarded (RFC 4119, 2.2.2): when it
// says, else a day after the timestamp of its tuple, person or device. Without
// one ok is false: then the day starts when the object is received.
func (o Object) Expires(timestamp time.Time, hasTimestamp bool) (at time.Time, ok bool) {
	switch {
	case !o.Rules.Expiry.IsZero():
		return o.Rules.Expiry, true
	case hasTimestamp:
		return timestamp.Add(defaultRetention), true
	}
	return time.Time{}, false
}

// Empty reports that the object has no location at all.
func (o Object) Empty() bool { return len(o.Shapes)+len(o.Civic)+o.Unread == 0 }

// String tells the number of locations alone.
func (o Object) String() string {
	return fmt.Sprintf("location (%d geodetic, %d civic, %d unread)", len(o.Shapes), len(o.Civic), o.Unread)
}

// GoString is String: %#v shows no place either.
func (o Object) GoString() string { return o.String() }

// LogValue keeps locations out of logs.
func (o Object) LogValue() slog.Value { return slog.StringValue(o.String()) }

// String hides what a ruleset's URI and a note can tell.
func (u UsageRules) String() string { return "usage rules" }

// GoString is String.
func (u UsageRules) GoString() string { return u.String() }

// LogValue keeps them out of logs.
func (u UsageRules) LogValue() slog.Value { return slog.StringValue(u.String()) }
