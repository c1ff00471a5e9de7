package filter

import (
	"strings"

	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/xmltree"
)

// state says what becomes of a node.
type state uint8

const (
	taken   state = 1 << iota // it is told, its text too if it has nothing but text
	whole                     // with all that is in it
	attrs                     // with all its attributes
	barred                    // it is not told, whatever else would need it
	partial                   // something in it is not told
)

// selection is what is selected of a document.
type selection struct {
	evaluation
	states []state
	gone   []uint8 // which <exclude> took it away, from 1; 0: none
	picked map[xmltree.Node][]attribute
}

// attribute is one that an expression has selected.
type attribute struct {
	name xmltree.Name
	gone bool // by an <exclude>
}

// run selects what <include> and <exclude> leave of a document (RFC 4661, 3.5):
// the included elements with all in them and with their ancestors, without the
// excluded ones; and what else a valid document needs. It is false if that would
// take too long.
func (w *what) run(e evaluation) (*selection, bool) {
	s := &selection{evaluation: e, states: make([]state, e.doc.Len()), gone: make([]uint8, e.doc.Len())}
	if len(w.include) == 0 {
		s.include(e.doc.Root())
	}
	for i := range w.include {
		s.add(&w.include[i])
	}
	s.expand()
	for i := range w.exclude {
		s.remove(&w.exclude[i], uint8(i+1))
	}
	if w.location != nil {
		w.location.apply(s)
	}
	if s.over() {
		return nil, false
	}
	s.complete()
	return s, true
}

// apply filters a presence document.
func (w *what) apply(a pidf.Assembly, entity string) (pidf.Assembly, bool) {
	tree, err := a.Tree()
	if err != nil || tree.Doc == nil {
		return pidf.Assembly{}, false
	}
	left := maxVisits
	s, ok := w.run(evaluation{tree.Doc, entity, &left})
	if !ok {
		return pidf.Assembly{}, false
	}
	parts := a.Parts()
	kept := make([]pidf.Component, 0, len(parts))
	for i, n := range tree.Nodes {
		switch {
		case !s.told(n):
		case s.states[n]&(whole|partial) == whole:
			kept = append(kept, parts[i])
		default:
			kept = append(kept, pidf.Component{Of: parts[i].Of, Text: s.write(n)})
		}
	}
	return a.With(kept), true
}

// add applies an <include>.
func (s *selection) add(k *clause) {
	if k.path == nil {
		for n := s.doc.Root(); n < xmltree.Node(len(s.states)) && s.spend(1); n++ {
			if s.doc.Kind(n) == xmltree.KindElement && s.doc.Space(n) == k.space {
				// It alone: what is in it may be of another namespace.
				s.states[n] |= taken | attrs
				s.ancestors(n)
			}
		}
		return
	}
	for _, n := range s.elements(k.path) {
		if k.path.attr == nil {
			s.include(n)
		} else if _, ok := s.doc.Find(n, k.path.attr.Space, k.path.attr.Local); ok {
			s.pick(n, attribute{name: *k.path.attr})
			s.states[n] |= taken
			s.ancestors(n)
		}
	}
}

func (s *selection) pick(n xmltree.Node, a attribute) {
	if s.picked == nil {
		s.picked = map[xmltree.Node][]attribute{}
	}
	s.picked[n] = append(s.picked[n], a)
}

// include selects an element with all that is in it: what is below is marked
// once all includes are known.
func (s *selection) include(n xmltree.Node) {
	s.states[n] |= taken | whole | attrs
	s.ancestors(n)
}

func (s *selection) ancestors(n xmltree.Node) {
	for p := s.doc.Parent(n); p > xmltree.Document && s.states[p]&taken == 0 && s.spend(1); p = s.doc.Parent(p) {
		s.states[p] |= taken
	}
}

// expand marks all that is in elements that are told whole.
func (s *selection) expand() {
	for n := s.doc.Root(); n < xmltree.Node(len(s.states)); n++ {
		p := s.doc.Parent(n)
		if p > xmltree.Document && s.states[p]&whole != 0 || s.states[n]&taken != 0 && s.doc.Kind(n) == xmltree.KindElement && indivisible(s.doc, n) {
			s.states[n] |= taken | whole | attrs
		}
	}
}

// remove applies an <exclude>. What a valid document needs stays, or comes back
// with complete.
func (s *selection) remove(k *clause, number uint8) {
	if k.path != nil && k.path.attr == nil {
		for _, n := range s.elements(k.path) {
			s.exclude(n, number)
		}
		return
	}
	if k.path != nil {
		for _, n := range s.elements(k.path) {
			s.excludeAttr(n, *k.path.attr)
		}
		return
	}
	for n := s.doc.Root() + 1; n < xmltree.Node(len(s.states)) && s.spend(1); n++ {
		if s.doc.Kind(n) != xmltree.KindElement {
			continue
		}
		if s.doc.Space(n) == k.space {
			s.exclude(n, number)
			continue
		}
		for i := range s.doc.NumAttrs(n) {
			if a := s.doc.AttrAt(n, i); !a.Declares() && a.Space() == k.space {
				s.excludeAttr(n, xmltree.Name{Space: k.space, Local: a.Local()})
			}
		}
	}
}

func (s *selection) exclude(n xmltree.Node, number uint8) {
	p := s.doc.Parent(n)
	if n == s.doc.Root() || s.gone[n] != 0 || needsChild(s.doc, p, n) || s.divided(p) {
		return
	}
	s.gone[n] = number
}

// divided reports whether n or what it stands in is indivisible.
func (s *selection) divided(n xmltree.Node) bool {
	for ; n > s.doc.Root() && s.spend(1); n = s.doc.Parent(n) {
		if indivisible(s.doc, n) {
			return true
		}
	}
	return false
}

func (s *selection) excludeAttr(n xmltree.Node, name xmltree.Name) {
	if _, ok := s.doc.Find(n, name.Space, name.Local); ok && !needsAttr(s.doc, n, name) && !s.divided(n) {
		s.pick(n, attribute{name: name, gone: true})
	}
}

// complete adds to what is told in part what it needs to be valid (RFC 4660,
// 5.3.1), from the root down, and then finds what is not told whole.
func (s *selection) complete() {
	for n := s.doc.Root(); n < xmltree.Node(len(s.states)); n++ {
		if s.doc.Kind(n) != xmltree.KindElement {
			continue
		}
		if !s.told(n) {
			n = s.doc.After(n) - 1
			continue
		}
		one := needsOne(s.doc, n)
		for c := s.doc.FirstElement(n); c != xmltree.None; c = s.doc.NextElement(c) {
			if !s.told(c) && needsChild(s.doc, n, c) {
				s.restore(c)
			}
			one = one && !(s.told(c) && counts(s.doc, c))
		}
		if one {
			s.restoreOne(n)
		}
	}
	for n := xmltree.Node(len(s.states)) - 1; n > s.doc.Root(); n-- {
		if (s.doc.Kind(n) == xmltree.KindElement && !s.told(n)) || s.states[n]&(whole|partial) != whole && s.states[n]&taken != 0 {
			s.states[s.doc.Parent(n)] |= partial
		}
	}
	for n := range s.picked {
		for ; n > xmltree.Document && s.states[n]&partial == 0; n = s.doc.Parent(n) {
			s.states[n] |= partial
		}
	}
}

// restoreOne gives an element back a child of those that it needs one of: those
// that the last <exclude> of such took away (RFC 4661, 3.5.2: that step is
// reversed), else the first.
func (s *selection) restoreOne(n xmltree.Node) {
	last, first := uint8(0), xmltree.None
	for c := s.doc.FirstElement(n); c != xmltree.None; c = s.doc.NextElement(c) {
		if s.states[c]&barred != 0 || !counts(s.doc, c) {
			continue
		}
		if first == xmltree.None {
			first = c
		}
		if s.states[c]&taken != 0 {
			last = max(last, s.gone[c])
		}
	}
	if last == 0 {
		if first != xmltree.None {
			s.restore(first)
		}
		return
	}
	for c := s.doc.FirstElement(n); c != xmltree.None; c = s.doc.NextElement(c) {
		if s.gone[c] == last && s.states[c]&taken != 0 {
			s.gone[c] = 0
		}
	}
}

// restore selects an element that is needed, whole where it was not selected.
func (s *selection) restore(n xmltree.Node) {
	if s.states[n]&barred != 0 {
		return
	}
	s.gone[n] = 0
	switch {
	case s.states[n]&taken != 0:
	case needsOne(s.doc, n):
		s.states[n] |= taken // no more in it than it needs in turn
	default:
		for c := n; c < s.doc.After(n); c++ {
			s.states[c] |= taken | whole | attrs
		}
	}
}

// told reports whether an element is told, provided that its parent is.
func (s *selection) told(n xmltree.Node) bool {
	return s.states[n]&(taken|barred) == taken && s.gone[n] == 0
}

// write writes what is told of an element: the source without the rest. Text
// between the elements of one that is told in part is dropped, and so are
// comments.
func (s *selection) write(n xmltree.Node) string {
	var edits []xmltree.Edit
	end := s.doc.After(n)
	for c := n; c < end; {
		switch {
		case s.doc.Kind(c) == xmltree.KindElement && (c == n || s.told(c)):
			if s.states[c]&(whole|partial) == whole {
				c = s.doc.After(c)
				continue
			}
			edits = s.attributes(edits, c)
		case s.doc.Kind(c) != xmltree.KindElement && s.doc.FirstElement(s.doc.Parent(c)) == xmltree.None:
			// All that its element has.
		default:
			edits = append(edits, xmltree.Edit{Span: s.doc.Span(c)})
			c = s.doc.After(c)
			continue
		}
		c++
	}
	return xmltree.Splice(s.doc.Source(), s.doc.Span(n), edits)
}

// attributes cuts those out that are not told.
func (s *selection) attributes(edits []xmltree.Edit, n xmltree.Node) []xmltree.Edit {
	for i := range s.doc.NumAttrs(n) {
		a := s.doc.AttrAt(n, i)
		if a.Declares() || s.keeps(n, xmltree.Name{Space: a.Space(), Local: a.Local()}) {
			continue
		}
		span := a.Span()
		for strings.IndexByte(blanks, s.doc.Source()[span.Start-1]) >= 0 {
			span.Start--
		}
		edits = append(edits, xmltree.Edit{Span: span})
	}
	return edits
}

func (s *selection) keeps(n xmltree.Node, name xmltree.Name) bool {
	if needsAttr(s.doc, n, name) {
		return true
	}
	keep := s.states[n]&whole != 0 || !known(s.doc.Space(n)) ||
		s.states[n]&attrs != 0 && name.Space == "" ||
		name.Space == xmltree.XMLSpace || name.Space == pidf.Space // a language, mustUnderstand
	for _, a := range s.picked[n] {
		if a.name == name {
			if a.gone {
				return false
			}
			keep = true
		}
	}
	return keep
}
