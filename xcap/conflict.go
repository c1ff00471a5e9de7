package xcap

import (
	"strings"

	"github.com/tacit-presence/tacit/xmltree"
)

// Reason is why a request conflicts with the resource, by the name of its
// element in a conflict report (RFC 4825, 11.1).
type Reason string

// The reasons.
const (
	NotWellFormed     Reason = "not-well-formed"
	NotXMLFragment    Reason = "not-xml-frag"
	NoParent          Reason = "no-parent"
	SchemaInvalid     Reason = "schema-validation-error"
	NotAttributeValue Reason = "not-xml-att-value"
	CannotInsert      Reason = "cannot-insert"
	CannotDelete      Reason = "cannot-delete"
	NotUnique         Reason = "uniqueness-failure"
	ConstraintFailed  Reason = "constraint-failure"
	Extension         Reason = "extension"
	NotUTF8           Reason = "not-utf-8"
)

// Conflict is an error that answers a request with 409 and a detailed report.
// A Validator returns it too.
type Conflict struct {
	Reason Reason
	// Phrase is a sentence for people.
	Phrase string
	// Ancestor is, for NoParent, the URI of the closest place where something
	// could be inserted.
	Ancestor string
	// Exists are, for NotUnique, the values that are not unique; at least one.
	Exists []Exists
	// Content is, for Extension, the XML within it.
	Content string
}

// Exists is one value that must be unique and is not.
type Exists struct {
	// Field is the node selector of the element or attribute, escaped, with its
	// query if it needs one.
	Field string
	// Alternatives are values that could be had instead.
	Alternatives []string
}

// Error gives reason and phrase.
func (c *Conflict) Error() string {
	if c.Phrase == "" {
		return string(c.Reason)
	}
	return string(c.Reason) + ": " + c.Phrase
}

func conflict(r Reason, phrase string) *Conflict { return &Conflict{Reason: r, Phrase: phrase} }

const (
	errorSpace     = "urn:ietf:params:xml:ns:xcap-error"
	errorMediaType = "application/xcap-error+xml"
	xmlDeclaration = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"
)

// Report is the document of a 409 (RFC 4825, 11).
func (c *Conflict) Report() string {
	var b strings.Builder
	b.WriteString(xmlDeclaration + `<xcap-error xmlns="` + errorSpace + `"><` + string(c.Reason))
	// RFC 4825, 11.2: the one error element without a phrase.
	if c.Phrase != "" && c.Reason != Extension {
		b.WriteString(` phrase="` + xmltree.EscapeAttr(c.Phrase) + `"`)
	}
	b.WriteByte('>')
	switch c.Reason {
	case NoParent:
		if c.Ancestor != "" {
			b.WriteString("<ancestor>" + xmltree.EscapeAttr(c.Ancestor) + "</ancestor>")
		}
	case NotUnique:
		for _, e := range c.Exists {
			b.WriteString(`<exists field="` + xmltree.EscapeAttr(e.Field) + `">`)
			for _, v := range e.Alternatives {
				b.WriteString("<alt-value>" + xmltree.EscapeAttr(v) + "</alt-value>")
			}
			b.WriteString("</exists>")
		}
	case Extension:
		b.WriteString(c.Content)
	}
	b.WriteString("</" + string(c.Reason) + "></xcap-error>\n")
	return b.String()
}

// Field gives the node selector of an element, or of its attribute with that
// name, for Exists: with positions where names are repeated, and prefixes for
// what is outside of space, the default document namespace.
func Field(d *xmltree.Doc, n xmltree.Node, attr *xmltree.Name, space string) string {
	var steps []xmltree.Node
	for ; n > xmltree.Document; n = d.Parent(n) {
		steps = append(steps, n)
	}
	w := fieldWriter{space: space}
	for i := len(steps) - 1; i >= 0; i-- {
		w.element(d, steps[i])
		if i > 0 {
			w.text = append(w.text, '/')
		}
	}
	if attr != nil {
		w.text = append(w.text, "/@"...)
		w.name(*attr, "")
	}
	return string(appendQuery(w.text, w.bindings))
}

type fieldWriter struct {
	space    string
	text     []byte
	bindings []xmltree.Binding
}

func (w *fieldWriter) element(d *xmltree.Doc, n xmltree.Node) {
	w.name(d.Name(n), w.space)
	before, after := 0, 0
	for c := d.FirstElement(d.Parent(n)); c != xmltree.None; c = d.NextElement(c) {
		switch {
		case d.Name(c) != d.Name(n):
		case c < n:
			before++
		case c > n:
			after++
		}
	}
	if before+after > 0 {
		w.text = append(w.text, "%5B"...)
		w.text = appendDecimal(w.text, before+1)
		w.text = append(w.text, "%5D"...)
	}
}

// name writes a name, with a prefix unless it is in the namespace that names
// without one are in.
func (w *fieldWriter) name(name xmltree.Name, bare string) {
	if name.Space != bare && name.Space != "" {
		w.text = append(append(w.text, w.prefix(name.Space)...), ':')
	}
	w.text = appendEscaped(w.text, name.Local)
}

func (w *fieldWriter) prefix(space string) string {
	if space == xmltree.XMLSpace {
		return "xml"
	}
	for _, b := range w.bindings {
		if b.Space == space {
			return b.Prefix
		}
	}
	prefix := "n" + string(appendDecimal(nil, len(w.bindings)+1))
	w.bindings = append(w.bindings, xmltree.Binding{Prefix: prefix, Space: space})
	return prefix
}
