// Package schema checks XML documents of the presence family against their
// schemas. A schema is a Go value, a table of elements and types written after
// the XML Schema text of its RFC. Constructors make automata of tables; a check
// is one pass over the document: linear in its size, bounded by its depth.
//
// Beside the schemas it holds what their RFCs ask for in prose: what must be
// unique, and what must agree with what.
package schema

import (
	"errors"
	"strconv"
	"strings"

	"github.com/tacit-presence/tacit/xmltree"
)

// What every *Error unwraps to, by its Kind.
var (
	ErrSchema     = errors.New("document does not fit its schema")
	ErrConstraint = errors.New("document breaks a rule of its format")
	ErrUniqueness = errors.New("document repeats what must be unique")
)

// The namespaces of the formats.
const (
	CommonPolicySpace    = "urn:ietf:params:xml:ns:common-policy"
	PresRulesSpace       = "urn:ietf:params:xml:ns:pres-rules"
	GeoPolicySpace       = "urn:ietf:params:xml:ns:geolocation-policy"
	LocationProfileSpace = "urn:ietf:params:xml:ns:basic-location-profiles"
	OMACommonPolicySpace = "urn:oma:xml:xdm:common-policy"
	OMAPresRulesSpace    = "urn:oma:xml:prs:pres-rules"
	ResourceListsSpace   = "urn:ietf:params:xml:ns:resource-lists"
	RLSServicesSpace     = "urn:ietf:params:xml:ns:rls-services"
	XCAPCapsSpace        = "urn:ietf:params:xml:ns:xcap-caps"
	XCAPErrorSpace       = "urn:ietf:params:xml:ns:xcap-error"
	XCAPDirectorySpace   = "urn:oma:xml:xdm:xcap-directory"
	XCAPDiffSpace        = "urn:ietf:params:xml:ns:xcap-diff"
	WatcherInfoSpace     = "urn:ietf:params:xml:ns:watcherinfo"
	FilterSpace          = "urn:ietf:params:xml:ns:simple-filter"
	// TestSpace is the namespace of RFC 4825's own example, 6.4.
	TestSpace = "urn:test:default-namespace"
	// TacitSpace is that of Tacit's own conditions, transformations and
	// preferences.
	TacitSpace = "https://github.com/tacit-presence/ns/rules"
)

// Validator checks one document. Nil means that it is valid; any other result is
// an *Error. A Validator does not change; make it once and share it.
type Validator func(*xmltree.Doc) error

// Kind tells the three ways to be wrong apart, as XCAP does (RFC 4825, 8.2.5).
type Kind uint8

// The kinds.
const (
	Schema Kind = iota
	Constraint
	Uniqueness
)

// String names the kind.
func (k Kind) String() string {
	switch k {
	case Schema:
		return "schema"
	case Constraint:
		return "constraint"
	case Uniqueness:
		return "uniqueness"
	}
	return "kind " + strconv.Itoa(int(k))
}

// Error says where a document is wrong, and what was expected there. It repeats
// names of the document, never its values.
type Error struct {
	Kind Kind
	// Path leads from the root to the element, by local names, with positions
	// where a name is repeated, and ends with the attribute if there is one:
	// "ruleset/rule[2]/@id".
	Path string
	// Element is the element's name, Attr the local name of its attribute, empty
	// if it is the element itself.
	Element xmltree.Name
	Attr    string
	// Phrase is a sentence for people.
	Phrase string
	// Offset is where the element starts in the document's text.
	Offset int
	// More are, of Uniqueness, further values that are not unique, as far as there
	// is use in it.
	More []*Error
}

// maxMore bounds More: to say where one is costs a look at its siblings.
const maxMore = 15

// also adds what is not unique to what is not; nil: nothing so far.
func (e *Error) also(d *xmltree.Doc, n xmltree.Node, attr, phrase string) *Error {
	switch {
	case e == nil:
		return fault(Uniqueness, d, n, attr, phrase)
	case len(e.More) < maxMore:
		e.More = append(e.More, fault(Uniqueness, d, n, attr, phrase))
	}
	return e
}

// Error gives path and phrase.
func (e *Error) Error() string { return e.Path + ": " + e.Phrase }

// Unwrap gives the sentinel error of the kind.
func (e *Error) Unwrap() error {
	switch e.Kind {
	case Constraint:
		return ErrConstraint
	case Uniqueness:
		return ErrUniqueness
	}
	return ErrSchema
}

// Names and paths are the document's; these bound what an error repeats.
const (
	maxName = 48
	maxPath = 512
)

// fault makes the error of an element, or of its attribute attr.
func fault(kind Kind, d *xmltree.Doc, n xmltree.Node, attr, phrase string) *Error {
	e := &Error{Kind: kind, Attr: attr, Phrase: phrase, Path: path(d, n), Element: d.Name(n), Offset: d.Span(n).Start}
	if attr != "" {
		e.Path += "/@" + clip(attr)
	}
	return e
}

// path says where an element is. Its cost is that of one look at the siblings of
// each ancestor.
func path(d *xmltree.Doc, n xmltree.Node) string {
	var steps []string
	for size := 0; n > xmltree.Document && size < maxPath; n = d.Parent(n) {
		step := clip(d.Local(n))
		if i, repeated := position(d, n); repeated {
			step += "[" + strconv.Itoa(i) + "]"
		}
		steps = append(steps, step)
		size += len(step) + 1
	}
	var b strings.Builder
	if n > xmltree.Document {
		b.WriteString("…/")
	}
	for i := len(steps) - 1; i >= 0; i-- {
		b.WriteString(steps[i])
		if i > 0 {
			b.WriteByte('/')
		}
	}
	return b.String()
}

// position counts an element among its siblings of the same name, from 1.
func position(d *xmltree.Doc, n xmltree.Node) (at int, repeated bool) {
	if d.Parent(n) <= xmltree.Document {
		return 1, false
	}
	name, count := d.Name(n), 0
	for s := d.FirstElement(d.Parent(n)); s != xmltree.None; s = d.NextElement(s) {
		if d.Name(s) == name {
			count++
		}
		if s == n {
			at = count
		}
	}
	return at, count > 1
}

// clip shortens a name of the document.
func clip(name string) string {
	if len(name) <= maxName {
		return name
	}
	return strings.ToValidUTF8(name[:maxName], "") + "…"
}

// tag writes an element of the document as a phrase names it.
func tag(d *xmltree.Doc, n xmltree.Node) string {
	if p := d.Prefix(n); p != "" {
		return "<" + clip(p) + ":" + clip(d.Local(n)) + ">"
	}
	return "<" + clip(d.Local(n)) + ">"
}
