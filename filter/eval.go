package filter

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tacit-presence/tacit/xmltree"
)

// maxVisits is how many nodes one use of a filter may look at: some milliseconds.
// A handful of expressions on a presence document of 4 KB take less than 5,000;
// the worst that Read lets pass would take a billion on one of 64 KB.
const maxVisits = 1 << 17

// textVisit is how many bytes of text cost as much as a node.
const textVisit = 64

// evaluation asks expressions of one document.
type evaluation struct {
	doc    *xmltree.Doc
	entity string // of a presence document, whose tree has none
	left   *int   // visits that may still be made; below zero they are used up
}

// spend counts visits, and reports false when there have been too many.
func (e evaluation) spend(n int) bool {
	*e.left -= n
	return *e.left >= 0
}

// over reports that what has been found is not all that there is.
func (e evaluation) over() bool { return *e.left < 0 }

// elements returns the elements that the path's steps select, in document order,
// each once.
func (e evaluation) elements(x *path) []xmltree.Node {
	current := []xmltree.Node{xmltree.Document}
	for i := range x.steps {
		s := &x.steps[i]
		var next []xmltree.Node
		if s.deep {
			next = e.deep(s, current)
		} else {
			for _, n := range current {
				for c := e.doc.FirstElement(n); c != xmltree.None && e.spend(1); c = e.doc.NextElement(c) {
					if e.matches(s, c) {
						next = append(next, c)
					}
				}
			}
			// Where elements lie within one another, so do their children.
			if !slices.IsSorted(next) {
				slices.Sort(next)
			}
		}
		if current = next; e.over() {
			return nil
		}
	}
	return current
}

// deep selects what is anywhere below nodes that are in document order.
func (e evaluation) deep(s *step, current []xmltree.Node) (next []xmltree.Node) {
	from := xmltree.Node(0) // of nodes within one another none is taken twice
	for _, n := range current {
		end := e.doc.After(n)
		for c := max(n+1, from); c < end && e.spend(1); c++ {
			if e.matches(s, c) {
				next = append(next, c)
			}
		}
		from = max(from, end)
	}
	return next
}

func (e evaluation) matches(s *step, n xmltree.Node) bool {
	if e.doc.Kind(n) != xmltree.KindElement || !s.any && !e.doc.Is(n, s.name.Space, s.name.Local) {
		return false
	}
	if len(s.terms) == 0 {
		return true
	}
	all := false // of the alternative so far
	for i := range s.terms {
		t := &s.terms[i]
		switch {
		case t.or && all:
			return true
		case t.or:
			all = e.holds(t, n)
		case all:
			all = e.holds(t, n)
		}
	}
	return all
}

// holds compares as XPath 1.0, 3.4 does: one node of those that the path names
// is enough.
func (e evaluation) holds(t *term, n xmltree.Node) bool {
	if t.parent {
		if n = e.doc.Parent(n); n <= xmltree.Document {
			return false
		}
	}
	return e.walk(t, n, t.steps)
}

func (e evaluation) walk(t *term, n xmltree.Node, steps []step) bool {
	if len(steps) > 0 {
		for c := e.doc.FirstElement(n); c != xmltree.None && e.spend(1); c = e.doc.NextElement(c) {
			if e.matches(&steps[0], c) && e.walk(t, c, steps[1:]) {
				return true
			}
		}
		return false
	}
	if t.attr != nil {
		v, ok := e.attr(n, *t.attr)
		return ok && t.compare(v)
	}
	return t.op == "" || t.compare(e.text(n))
}

// attr returns an attribute's value. The root of a presence document has the
// entity that the watcher asked for.
func (e evaluation) attr(n xmltree.Node, name xmltree.Name) (string, bool) {
	v, ok := e.doc.Attr(n, name.Space, name.Local)
	if ok && e.entity != "" && name == (xmltree.Name{Local: "entity"}) && n == e.doc.Root() {
		v = e.entity
	}
	return v, ok
}

// text is an element's string-value: all character data in it.
func (e evaluation) text(n xmltree.Node) string {
	span := e.doc.Span(n)
	if !e.spend((span.End - span.Start) / textVisit) {
		return ""
	}
	if e.doc.FirstElement(n) == xmltree.None {
		return e.doc.Text(n)
	}
	var b strings.Builder
	for c := n + 1; c < e.doc.After(n) && e.spend(1); c++ {
		switch e.doc.Kind(c) {
		case xmltree.KindElement:
			if e.doc.FirstElement(c) == xmltree.None {
				b.WriteString(e.doc.Text(c))
			}
		case xmltree.KindText, xmltree.KindCData:
			// Text beside elements is in an order that Text does not tell: an
			// expression about it finds the source, its references unresolved.
			if e.doc.FirstElement(e.doc.Parent(c)) != xmltree.None {
				b.WriteString(e.doc.Raw(c))
			}
		}
	}
	return b.String()
}

// compare compares a value with the literal: as texts by = and !=, as numbers
// with a number and by what orders. White space around either does not count,
// which XPath has otherwise: documents are written over several lines.
func (t *term) compare(v string) bool {
	if t.op == "" {
		return true
	}
	v = strings.Trim(v, blanks)
	if t.quoted && t.op == "=" {
		return v == t.value
	}
	if t.quoted && t.op == "!=" {
		return v != t.value
	}
	a, ok := number(v)
	if !ok || !t.valid {
		return t.op == "!=" // what is no number is unequal to all
	}
	switch t.op {
	case "=":
		return a == t.number
	case "!=":
		return a != t.number
	case "<":
		return a < t.number
	case ">":
		return a > t.number
	case "<=":
		return a <= t.number
	}
	return a >= t.number
}

// maxNumber is the longest number: a double needs 25 characters.
const maxNumber = 64

// number reads a decimal; neither infinity nor what is none is one.
func number(s string) (float64, bool) {
	if len(s) > maxNumber || strings.ContainsAny(s, "xXpP_") {
		return 0, false
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
		return 0, false
	}
	return v, true
}
