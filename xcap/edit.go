package xcap

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/tacit-presence/tacit/xmltree"
)

// The media types of what is less than a document (RFC 4825, 15.2).
const (
	elementMediaType    = "application/xcap-el+xml"
	attributeMediaType  = "application/xcap-att+xml"
	namespacesMediaType = "application/xcap-ns+xml"
)

// ErrTooLarge: the document would have more bytes than it may.
var ErrTooLarge = errors.New("document too large")

// Edited is a document as it would be.
type Edited struct {
	// Doc is parsed, and not validated.
	Doc *xmltree.Doc
	// Created says that there is something new, rather than something replaced.
	Created bool
}

// MediaType is that of what the selector selects.
func (s *Selector) MediaType() string {
	switch s.terminal {
	case oneAttribute:
		return attributeMediaType
	case allNamespaces:
		return namespacesMediaType
	}
	return elementMediaType
}

// Get returns what the selector selects of d, as a response's body; false if
// nothing. (RFC 4825, 8.3.)
func (s *Selector) Get(d *xmltree.Doc) (string, bool) {
	n, ok := s.element(d)
	if !ok {
		return "", false
	}
	switch s.terminal {
	case oneAttribute:
		a, ok := d.Find(n, s.attr.Space, s.attr.Local)
		if !ok {
			return "", false
		}
		v := a.ValueSpan()
		return d.Source()[v.Start-1 : v.End+1], true
	case allNamespaces:
		return namespaces(d, n), true
	}
	return d.Raw(n), true
}

// namespaces is an empty element of the same name that declares all that is in
// scope (RFC 4825, 10).
func namespaces(d *xmltree.Doc, n xmltree.Node) string {
	b := append(make([]byte, 0, 256), '<')
	b = append(b, d.Source()[d.Span(n).Start+1:d.NameEnd(n)]...)
	scope := inScope(d, n)
	slices.SortStableFunc(scope, func(a, b xmltree.Binding) int { return cmp.Compare(a.Prefix, b.Prefix) })
	for _, in := range scope {
		if in.Space != "" {
			b = xmltree.AppendBinding(b, in)
		}
	}
	return string(append(b, "/>"...))
}

// inScope lists the namespaces in scope within n, each prefix once, without xml.
func inScope(d *xmltree.Doc, n xmltree.Node) []xmltree.Binding {
	var list []xmltree.Binding
	for i := range d.NumAttrs(n) {
		if a := d.AttrAt(n, i); a.Declares() && a.Prefix() != "xml" {
			list = append(list, xmltree.Binding{Prefix: a.Prefix(), Space: a.Value()})
		}
	}
	own := len(list)
	for _, outer := range d.AppendScope(nil, n) {
		if !declared(list[:own], outer.Prefix) {
			list = append(list, outer)
		}
	}
	return list
}

func declared(list []xmltree.Binding, prefix string) bool {
	return slices.ContainsFunc(list, func(b xmltree.Binding) bool { return b.Prefix == prefix })
}

// filled gives limits their defaults.
func filled(lim xmltree.Limits) xmltree.Limits {
	def := xmltree.DefaultLimits()
	if lim.MaxBytes <= 0 {
		lim.MaxBytes = def.MaxBytes
	}
	if lim.MaxDepth <= 0 {
		lim.MaxDepth = def.MaxDepth
	}
	if lim.MaxNodes <= 0 {
		lim.MaxNodes = def.MaxNodes
	}
	if lim.MaxAttrs <= 0 {
		lim.MaxAttrs = def.MaxAttrs
	}
	return lim
}

// ParseDocument reads a document that a request wants to put. The error is
// ErrTooLarge or a *Conflict.
func ParseDocument(text string, lim xmltree.Limits) (*xmltree.Doc, error) {
	lim = filled(lim)
	d, err := xmltree.Parse(text, lim)
	if err != nil {
		return nil, unreadable(err, NotWellFormed, len(text), lim)
	}
	return d, nil
}

// unreadable says what is wrong with text that does not parse. As is the reason
// when it is not well-formed.
func unreadable(err error, as Reason, size int, lim xmltree.Limits) error {
	switch {
	case errors.Is(err, xmltree.ErrTooLarge):
		if size > lim.MaxBytes {
			return ErrTooLarge
		}
		as = ConstraintFailed
	case errors.Is(err, xmltree.ErrEncoding):
		as = NotUTF8
	case errors.Is(err, xmltree.ErrForbidden):
		// Well-formed, but nothing that a server reads from anybody.
		as = ConstraintFailed
	}
	return conflict(as, err.Error())
}

// within is unreadable for text that was read within more of ours, so that the
// place in the error means nothing.
func within(err error, as Reason, size int, lim xmltree.Limits) error {
	if errors.Is(err, xmltree.ErrForbidden) {
		// It stands only before a document's root, so that here it is not
		// well-formed either.
		err = conflict(as, err.Error())
	} else {
		err = unreadable(err, as, size, lim)
	}
	if c, ok := errors.AsType[*Conflict](err); ok {
		before, after, _ := strings.Cut(c.Phrase, "at byte ")
		_, after, _ = strings.Cut(after, ": ")
		c.Phrase = before + after
	}
	return err
}

// Put gives the document that d becomes when body is put where the selector
// points, as its Doc. d must have the parent (HasParent). The error is
// ErrTooLarge or a *Conflict.
func (s *Selector) Put(d *xmltree.Doc, body string, lim xmltree.Limits) (Edited, error) {
	lim = filled(lim)
	parent, done := walk(d, s.parent())
	switch {
	case done != len(s.parent()):
		return Edited{}, conflict(NoParent, "")
	case s.terminal == allNamespaces:
		// RFC 4825, 7.10: never in a PUT.
		return Edited{}, conflict(CannotInsert, "namespaces cannot be set")
	}
	if s.terminal == oneAttribute {
		return s.putAttribute(d, parent, body, lim)
	}
	return s.putElement(d, parent, body, lim)
}

func (s *Selector) putElement(d *xmltree.Doc, parent xmltree.Node, body string, lim xmltree.Limits) (Edited, error) {
	body = strings.Trim(body, spaces)
	name, err := fragment(d, parent, body, lim)
	if err != nil {
		return Edited{}, err
	}
	target := &s.steps[len(s.steps)-1]
	old, count := target.matches(d, parent)
	var edit xmltree.Edit
	at := 0 // where the body starts in the result
	switch count {
	case 0:
		place, ok := target.place(d, parent, name)
		if !ok {
			return Edited{}, conflict(CannotInsert, "there is no such position for the element")
		}
		edit, at = insertion(d, parent, place, body)
	case 1:
		edit = xmltree.Edit{Span: d.Span(old), Text: body}
		at = edit.Start
	default:
		return Edited{}, conflict(CannotInsert, "the selector fits several elements")
	}
	result, err := splice(d, edit, lim)
	if err != nil {
		return Edited{}, err
	}
	// RFC 4825, 8.2.3: a GET must now give back what was put.
	n, ok := s.element(result)
	if !ok || result.Span(n) != (xmltree.Span{Start: at, End: at + len(body)}) {
		return Edited{}, conflict(CannotInsert, "the selector does not fit the element that was put")
	}
	return Edited{Doc: result, Created: count == 0}, nil
}

// fragment checks that body is one element that can stand within parent, and
// gives its name.
func fragment(d *xmltree.Doc, parent xmltree.Node, body string, lim xmltree.Limits) (xmltree.Name, error) {
	b := append(make([]byte, 0, len(body)+256), "<f"...)
	if parent != xmltree.Document {
		for _, in := range inScope(d, parent) {
			b = xmltree.AppendBinding(b, in)
		}
	}
	b = append(b, '>')
	wrapper := len(b) + len("</f>")
	b = append(append(b, body...), "</f>"...)
	inner := lim
	inner.MaxBytes += wrapper
	inner.MaxDepth++
	inner.MaxNodes++
	inner.MaxAttrs = 1024 // what was accepted before is no fault of the body
	f, err := xmltree.Parse(string(b), inner)
	if err != nil {
		return xmltree.Name{}, within(err, NotXMLFragment, len(body), lim)
	}
	n := f.FirstChild(f.Root())
	if n == xmltree.None || f.Kind(n) != xmltree.KindElement || f.Next(n) != xmltree.None {
		return xmltree.Name{}, conflict(NotXMLFragment, "the body is not just one element")
	}
	return f.Name(n), nil
}

// placeEnd says that a new element follows all that its parent holds.
const placeEnd = -1

// place says where in the source a new element of that name goes: the "last",
// "earliest last" or "earliest nth" position of RFC 4825, 8.2.3.
func (st *step) place(d *xmltree.Doc, parent xmltree.Node, name xmltree.Name) (int, bool) {
	var last, nth xmltree.Node = xmltree.None, xmltree.None
	count := 0
	for n := d.FirstElement(parent); n != xmltree.None; n = d.NextElement(n) {
		if d.Name(n) == name {
			last = n
		}
		if st.fits(d, n) {
			count++
			// The first of them, or the one before the position.
			if count == max(1, st.position-1) {
				nth = n
			}
		}
	}
	switch {
	case parent == xmltree.Document:
		return 0, false // a document has one root, and it does not fit
	case st.position == noPosition:
		if last == xmltree.None {
			return placeEnd, true
		}
		return d.Span(last).End, true
	case st.position == 1 && nth == xmltree.None:
		return placeEnd, true
	case st.position == 1:
		return d.Span(nth).Start, true
	case st.position < 1 || nth == xmltree.None:
		return 0, false
	}
	return d.Span(nth).End, true
}

// insertion puts text at the place; at is where it starts in the result.
func insertion(d *xmltree.Doc, parent xmltree.Node, place int, text string) (e xmltree.Edit, at int) {
	if place != placeEnd {
		return xmltree.Edit{Span: xmltree.Span{Start: place, End: place}, Text: text}, place
	}
	whole, inner := d.Span(parent), d.Inner(parent)
	if inner.End < whole.End {
		return xmltree.Edit{Span: xmltree.Span{Start: inner.End, End: inner.End}, Text: text}, inner.End
	}
	// An empty element of one tag needs another.
	qname := d.Source()[whole.Start+1 : d.NameEnd(parent)]
	slash := whole.End - len("/>")
	return xmltree.Edit{Span: xmltree.Span{Start: slash, End: whole.End}, Text: ">" + text + "</" + qname + ">"}, slash + 1
}

// splice makes the edit and reads the result.
func splice(d *xmltree.Doc, e xmltree.Edit, lim xmltree.Limits) (*xmltree.Doc, error) {
	src := d.Source()
	if len(src)+len(e.Text)-(e.End-e.Start) > lim.MaxBytes {
		return nil, ErrTooLarge
	}
	text := xmltree.Splice(src, xmltree.Span{Start: 0, End: len(src)}, []xmltree.Edit{e})
	result, err := xmltree.Parse(text, lim)
	if err != nil {
		return nil, unreadable(err, NotWellFormed, len(text), lim)
	}
	return result, nil
}

func (s *Selector) putAttribute(d *xmltree.Doc, n xmltree.Node, body string, lim xmltree.Limits) (Edited, error) {
	if err := attributeValue(body, lim); err != nil {
		return Edited{}, err
	}
	a, exists := d.Find(n, s.attr.Space, s.attr.Local)
	var edit xmltree.Edit
	if exists {
		v := a.ValueSpan()
		edit = xmltree.Edit{Span: xmltree.Span{Start: v.Start - 1, End: v.End + 1}, Text: body}
	} else {
		var ok bool
		if edit, ok = s.newAttribute(d, n, body); !ok {
			return Edited{}, conflict(CannotInsert, "namespace declarations are no attributes")
		}
	}
	result, err := splice(d, edit, lim)
	if err != nil {
		return Edited{}, err
	}
	// RFC 4825, 8.2.4: a GET must now give back what was put.
	if got, ok := s.Get(result); !ok || got != body {
		return Edited{}, conflict(CannotInsert, "the selector does not fit the attribute that was put")
	}
	return Edited{Doc: result, Created: !exists}, nil
}

// attributeValue checks that body is an AttValue of XML 1.0, quotes included.
func attributeValue(body string, lim xmltree.Limits) error {
	const before, after = "<a v=", "/>"
	inner := lim
	inner.MaxBytes += len(before) + len(after)
	if len(body) < 2 || body[0] != '"' && body[0] != '\'' || strings.IndexByte(body[1:], body[0]) != len(body)-2 {
		return conflict(NotAttributeValue, "the body is not one value in quotes")
	}
	if _, err := xmltree.Parse(before+body+after, inner); err != nil {
		return within(err, NotAttributeValue, len(body), lim)
	}
	return nil
}

// newAttribute inserts the selector's attribute. Where its namespace has no
// prefix in scope, one is declared with it: there is no other way to have it.
func (s *Selector) newAttribute(d *xmltree.Doc, n xmltree.Node, value string) (xmltree.Edit, bool) {
	var text []byte
	prefix := ""
	switch s.attr.Space {
	case "":
		if s.attr.Local == "xmlns" {
			return xmltree.Edit{}, false
		}
	case xmltree.XMLSpace:
		prefix = "xml"
	case xmltree.XMLNSSpace:
		return xmltree.Edit{}, false
	default:
		scope := inScope(d, n)
		for _, b := range scope {
			if b.Prefix != "" && b.Space == s.attr.Space {
				prefix = b.Prefix
			}
		}
		if prefix == "" {
			prefix = s.prefix
			for i := 1; declared(scope, prefix) || prefix == "xml"; i++ {
				prefix = "n" + strconv.Itoa(i)
			}
			text = xmltree.AppendBinding(text, xmltree.Binding{Prefix: prefix, Space: s.attr.Space})
		}
	}
	text = append(text, ' ')
	if prefix != "" {
		text = append(append(text, prefix...), ':')
	}
	text = append(append(append(text, s.attr.Local...), '='), value...)
	at := d.NameEnd(n)
	return xmltree.Edit{Span: xmltree.Span{Start: at, End: at}, Text: string(text)}, true
}

// Delete gives the document that d becomes without what the selector selects.
// The error is ErrNotFound or a *Conflict. (RFC 4825, 8.4.)
func (s *Selector) Delete(d *xmltree.Doc, lim xmltree.Limits) (Edited, error) {
	lim = filled(lim)
	n, ok := s.element(d)
	if !ok {
		return Edited{}, ErrNotFound
	}
	if s.terminal == allNamespaces {
		return Edited{}, conflict(CannotDelete, "namespaces cannot be deleted")
	}
	edit := xmltree.Edit{Span: d.Span(n)}
	if s.terminal == oneAttribute {
		a, ok := d.Find(n, s.attr.Space, s.attr.Local)
		if !ok {
			return Edited{}, ErrNotFound
		}
		edit.Span = a.Span()
		// The white space before it goes with it: it parted it from what precedes.
		for strings.IndexByte(spaces, d.Source()[edit.Start-1]) >= 0 {
			edit.Start--
		}
	} else if d.Parent(n) == xmltree.Document {
		return Edited{}, conflict(SchemaInvalid, "a document without its root is none; delete the document")
	}
	result, err := splice(d, edit, lim)
	if err != nil {
		return Edited{}, err
	}
	// RFC 4825, 8.4: the same request again must find nothing.
	if s.reaches(result) {
		return Edited{}, conflict(CannotDelete, "the selector would fit another element then")
	}
	return Edited{Doc: result}, nil
}

// reaches reports whether the selector fits anything in d, be it several.
func (s *Selector) reaches(d *xmltree.Doc) bool {
	if s.terminal == oneAttribute {
		return s.Exists(d)
	}
	parent, done := walk(d, s.parent())
	if done != len(s.parent()) {
		return false
	}
	_, count := s.steps[len(s.steps)-1].matches(d, parent)
	return count > 0
}

func appendDecimal(dst []byte, n int) []byte { return strconv.AppendInt(dst, int64(n), 10) }
