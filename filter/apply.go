package filter

import (
	"strings"

	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/xmltree"
)

// geoprivSpace is that of location objects (RFC 4119, 2.2.1).
const geoprivSpace = "urn:ietf:params:xml:ns:pidf:geopriv10"

// mark says what becomes of an element.
type mark uint8

const (
	dropped  mark = iota
	skeleton      // only since something in it is selected
	attrOnly      // its attributes are selected, and what text it has
	whole         // with all that is in it
)

// selection is what is selected of a document.
type selection struct {
	doc   *xmltree.Doc
	marks []mark
	gone  map[xmltree.Node]bool           // excluded elements
	attrs map[xmltree.Node][]xmltree.Name // excluded attributes
}

// apply makes what <include> and <exclude> leave of a document (RFC 4661, 3.5):
// the included elements with all in them and with their ancestors, without the
// excluded ones; and what else a valid document needs.
func (w *what) apply(a pidf.Assembly) (pidf.Assembly, error) {
	tree, err := a.Tree()
	if err != nil {
		return a, err
	}
	s := &selection{doc: tree.Doc, marks: make([]mark, tree.Doc.Len()), gone: map[xmltree.Node]bool{}, attrs: map[xmltree.Node][]xmltree.Name{}}
	if len(w.include) == 0 {
		s.include(tree.Doc.Root())
	}
	for i := range w.include {
		s.clause(&w.include[i], true)
	}
	for i := range w.exclude {
		s.clause(&w.exclude[i], false)
	}
	if w.location != nil {
		w.location.apply(s)
	}
	parts := a.Parts()
	kept := make([]pidf.Component, 0, len(parts))
	for i, n := range tree.Nodes {
		if s.marks[n] == dropped || s.gone[n] {
			continue
		}
		s.complete(n)
		kept = append(kept, pidf.Component{Of: parts[i].Of, Text: s.text(n)})
	}
	return a.With(kept), nil
}

// clause applies an <include> or an <exclude>.
func (s *selection) clause(k *clause, including bool) {
	element, attr := s.exclude, s.excludeAttr
	if including {
		element, attr = s.include, s.includeAttr
	}
	if k.path == nil {
		for n := s.doc.Root() + 1; n < xmltree.Node(s.doc.Len()); n++ {
			switch {
			case s.doc.Kind(n) != xmltree.KindElement || s.doc.Space(n) != k.space:
			case including:
				// It alone: what is in it may be of another namespace.
				s.raise(n, attrOnly)
				s.ancestors(n)
			default:
				s.exclude(n)
			}
		}
		return
	}
	k.path.elements(s.doc, func(n xmltree.Node) {
		if k.path.attr == nil {
			element(n)
		} else if _, ok := s.doc.Find(n, k.path.attr.Space, k.path.attr.Local); ok {
			attr(n, *k.path.attr)
		}
	})
}

func (s *selection) raise(n xmltree.Node, m mark) { s.marks[n] = max(s.marks[n], m) }

// include selects an element with all that is in it.
func (s *selection) include(n xmltree.Node) {
	for c := n; c < s.doc.After(n); c++ {
		s.raise(c, whole)
	}
	s.ancestors(n)
}

func (s *selection) ancestors(n xmltree.Node) {
	for p := s.doc.Parent(n); p > xmltree.Document; p = s.doc.Parent(p) {
		s.raise(p, skeleton)
	}
}

func (s *selection) includeAttr(n xmltree.Node, _ xmltree.Name) {
	s.raise(n, attrOnly)
	s.ancestors(n)
}

// exclude drops an element with all that is in it, unless the document would not
// be valid without it (RFC 4661, 3.5.2).
func (s *selection) exclude(n xmltree.Node) {
	if n != s.doc.Root() && !s.mandatory(n) {
		s.gone[n] = true
	}
}

func (s *selection) excludeAttr(n xmltree.Node, name xmltree.Name) {
	if name.Space == "" && (name.Local == "id" || name.Local == "entity") {
		return
	}
	s.attrs[n] = append(s.attrs[n], name)
}

// mandatory reports whether its parent is not valid without an element.
func (s *selection) mandatory(n xmltree.Node) bool {
	d, p := s.doc, s.doc.Parent(n)
	switch {
	case p <= xmltree.Document:
		return true
	case d.Is(p, pidf.Space, "tuple"):
		return d.Is(n, pidf.Space, "status")
	case d.Is(p, pidf.Space, "status"):
		// RFC 3863, 4.1.3: a status is not empty; a location may be missing.
		return d.Is(n, pidf.Space, "basic") && d.NextElement(d.FirstElement(p)) == xmltree.None
	case d.Is(p, pidf.DataModelSpace, "device"):
		return d.Is(n, pidf.DataModelSpace, "deviceID")
	case d.Is(p, geoprivSpace, "geopriv"):
		return d.Is(n, geoprivSpace, "location-info") || d.Is(n, geoprivSpace, "usage-rules")
	}
	// What other elements need, the element they stand in may do without them.
	return d.Space(p) != pidf.Space && d.Space(p) != pidf.DataModelSpace && d.NextElement(d.FirstElement(p)) == xmltree.None
}

// complete selects what a part that is selected in part needs to be valid.
func (s *selection) complete(n xmltree.Node) {
	for c := n; c < s.doc.After(n); c++ {
		if s.doc.Kind(c) != xmltree.KindElement || s.marks[c] == dropped || s.gone[c] {
			continue
		}
		for k := s.doc.FirstElement(c); k != xmltree.None; k = s.doc.NextElement(k) {
			if s.marks[k] == dropped && s.mandatory(k) && (s.doc.Space(c) == pidf.Space || s.doc.Space(c) == pidf.DataModelSpace || s.doc.Space(c) == geoprivSpace) {
				s.include(k)
			}
		}
		if s.doc.Is(c, pidf.Space, "status") && !s.anyChild(c) {
			if k := s.doc.FirstElement(c); k != xmltree.None && s.doc.Is(k, pidf.Space, "basic") {
				delete(s.gone, k)
				s.include(k)
			}
		}
	}
}

func (s *selection) anyChild(n xmltree.Node) bool {
	for k := s.doc.FirstElement(n); k != xmltree.None; k = s.doc.NextElement(k) {
		if s.marks[k] != dropped && !s.gone[k] {
			return true
		}
	}
	return false
}

// text writes what is selected of a part: the source without what is not. Text
// between elements of an element that is there in part is dropped, and so are
// comments.
func (s *selection) text(n xmltree.Node) string {
	var edits []xmltree.Edit
	s.edits(n, &edits)
	return xmltree.Splice(s.doc.Source(), s.doc.Span(n), edits)
}

func (s *selection) edits(n xmltree.Node, edits *[]xmltree.Edit) {
	for _, name := range s.attrs[n] {
		if a, ok := s.doc.Find(n, name.Space, name.Local); ok {
			span := a.Span()
			for span.Start > 0 && strings.IndexByte(" \t\r\n", s.doc.Source()[span.Start-1]) >= 0 {
				span.Start--
			}
			*edits = append(*edits, xmltree.Edit{Span: span})
		}
	}
	partial := s.marks[n] != whole || s.holdsGone(n)
	simple := s.doc.FirstElement(n) == xmltree.None
	for c := s.doc.FirstChild(n); c != xmltree.None; c = s.doc.Next(c) {
		if s.doc.Kind(c) != xmltree.KindElement {
			if partial && !simple {
				*edits = append(*edits, xmltree.Edit{Span: s.doc.Span(c)})
			}
			continue
		}
		if s.marks[c] == dropped || s.gone[c] {
			*edits = append(*edits, xmltree.Edit{Span: s.doc.Span(c)})
			continue
		}
		s.edits(c, edits)
	}
}

func (s *selection) holdsGone(n xmltree.Node) bool {
	for k := s.doc.FirstElement(n); k != xmltree.None; k = s.doc.NextElement(k) {
		if s.gone[k] || s.marks[k] == dropped {
			return true
		}
	}
	return false
}
