package xmltree

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	// maxSelector bounds a selector: three names of namespaces' length fit.
	maxSelector = 2 << 10
	// maxConds bounds the predicates of one selector, each of which may look at
	// the whole document. One a step is usual, and presence has five levels.
	maxConds = 16
)

// stepKind is what a step of a selector finds.
type stepKind uint8

const (
	stepElement stepKind = iota
	stepText
	stepComment
	stepPI
	stepAttr
	stepNamespace
)

// step is one step of a selector.
type step struct {
	kind  stepKind
	any   bool   // element: of any name; instruction: of any target
	name  Name   // of an element or attribute
	local string // the target of an instruction, the prefix of a namespace
	conds []cond
}

type condKind uint8

const (
	condPosition condKind = iota
	condAttr              // an attribute's value
	condChild             // a child element's text
	condSelf              // the element's own text
)

// cond is a predicate.
type cond struct {
	kind  condKind
	name  Name
	value string
	pos   int
}

// selector is the subset of XPath of RFC 5261, 8.
type selector struct {
	steps []step
	conds int
}

// last is the step that says what is found.
func (s *selector) last() *step { return &s.steps[len(s.steps)-1] }

// selectorReader reads a selector.
type selectorReader struct {
	rest string
	doc  *Doc // where the selector stands, and so what its prefixes mean
	at   Node
	sel  selector
}

// selector reads a selector that stands at element n.
func (d *Doc) selector(n Node, text string) (selector, error) {
	r := selectorReader{rest: text, doc: d, at: n}
	if len(text) > maxSelector {
		return selector{}, fmt.Errorf("%w: a selector of more than %d bytes", ErrInvalidAttributeValue, maxSelector)
	}
	r.skip("/")
	if strings.HasPrefix(r.rest, "id(") {
		return selector{}, fmt.Errorf("%w: ids are not known here", ErrUnsupportedIDFunction)
	}
	for {
		s, err := r.step()
		if err != nil {
			return selector{}, err
		}
		r.sel.steps = append(r.sel.steps, s)
		if r.rest == "" {
			return r.sel, nil
		}
		if s.kind != stepElement || !r.skip("/") {
			return selector{}, errSelector
		}
	}
}

var errSelector = fmt.Errorf("%w: malformed selector", ErrInvalidAttributeValue)

func (r *selectorReader) skip(s string) bool {
	rest, ok := strings.CutPrefix(r.rest, s)
	r.rest = rest
	return ok
}

func (r *selectorReader) step() (step, error) {
	var s step
	var err error
	switch {
	case r.skip("@"):
		s.kind = stepAttr
		s.name, err = r.name(false)
		return s, err
	case r.skip("namespace::"):
		s.kind = stepNamespace
		s.local, err = r.ncName()
		return s, err
	case r.skip("text()"):
		s.kind = stepText
	case r.skip("comment()"):
		s.kind = stepComment
	case r.skip("processing-instruction("):
		s.kind = stepPI
		if s.any = r.skip(")"); !s.any {
			if s.local, err = r.literal(); err == nil && (!r.skip(")") || !IsNCName(s.local)) {
				err = errSelector
			}
		}
	case r.skip("*"):
		s.any = true
	default:
		s.name, err = r.name(true)
	}
	if err != nil {
		return s, err
	}
	for r.skip("[") {
		c, err := r.cond()
		if err != nil {
			return s, err
		}
		if s.kind != stepElement && (c.kind != condPosition || len(s.conds) > 0) {
			return s, errSelector
		}
		if r.sel.conds++; r.sel.conds > maxConds {
			return s, fmt.Errorf("%w: a selector with more than %d predicates", ErrInvalidAttributeValue, maxConds)
		}
		s.conds = append(s.conds, c)
	}
	return s, nil
}

func (r *selectorReader) cond() (c cond, err error) {
	if n := len(r.rest) - len(strings.TrimLeft(r.rest, "0123456789")); n > 0 {
		if c.pos, err = strconv.Atoi(r.rest[:n]); err != nil {
			return c, errSelector
		}
		r.rest = r.rest[n:]
		if !r.skip("]") {
			return c, errSelector
		}
		return c, nil
	}
	switch {
	case r.skip("@"):
		c.kind = condAttr
		c.name, err = r.name(false)
	case r.skip("."):
		c.kind = condSelf
	default:
		c.kind = condChild
		c.name, err = r.name(true)
	}
	if err != nil {
		return c, err
	}
	if !r.skip("=") {
		return c, errSelector
	}
	if c.value, err = r.literal(); err == nil && !r.skip("]") {
		err = errSelector
	}
	return c, err
}

// literal reads a string in either quotes, which has no escapes.
func (r *selectorReader) literal() (string, error) {
	if r.rest == "" || r.rest[0] != '\'' && r.rest[0] != '"' {
		return "", errSelector
	}
	n := strings.IndexByte(r.rest[1:], r.rest[0])
	if n < 0 {
		return "", errSelector
	}
	value := r.rest[1 : 1+n]
	r.rest = r.rest[n+2:]
	return value, nil
}

func (r *selectorReader) ncName() (string, error) {
	end := ncName(r.rest, 0)
	if end == 0 {
		return "", errSelector
	}
	name := r.rest[:end]
	r.rest = r.rest[end:]
	return name, nil
}

// name reads a qualified name. RFC 5261, 4.2.1 and 4.2.2: other than in XPath an
// element's name without prefix is of the default namespace.
func (r *selectorReader) name(element bool) (Name, error) {
	first, err := r.ncName()
	if err != nil {
		return Name{}, err
	}
	if !strings.HasPrefix(r.rest, ":") || strings.HasPrefix(r.rest, "::") {
		if !element {
			return Name{"", first}, nil
		}
		space, _ := r.doc.namespace(r.at, "")
		return Name{space, first}, nil
	}
	r.rest = r.rest[1:]
	local, err := r.ncName()
	if err != nil {
		return Name{}, err
	}
	space, ok := r.doc.namespace(r.at, first)
	if !ok {
		return Name{}, fmt.Errorf("%w: prefix %s is not declared", ErrInvalidNamespacePrefix, clip(first))
	}
	return Name{space, local}, nil
}

// namespace returns what a prefix means at element n.
func (d *Doc) namespace(n Node, prefix string) (string, bool) {
	if prefix == "xml" {
		return XMLSpace, true
	}
	for ; n > Document; n = d.nodes[n].parent {
		for i := range d.NumAttrs(n) {
			if a := d.AttrAt(n, i); a.Declares() && a.Prefix() == prefix {
				return a.Value(), true
			}
		}
	}
	return "", false
}

// found is the one node that a selector finds.
type found struct {
	kind        stepKind
	first, last Node // the node; of text, CDATA sections and all; of an attribute, its element
	attr        int  // index of an attribute or declaration
}

// locate finds the node that a selector names. RFC 5261, 4.1: it starts at the
// document, and must find one node.
func (d *Doc) locate(s *selector) (found, error) {
	at := []Node{Document}
	var next []Node
	for i := range s.steps {
		st := &s.steps[i]
		if st.kind != stepElement {
			return d.locateLast(st, at)
		}
		next = next[:0]
		for _, n := range at {
			next = d.children(next, n, st)
		}
		at, next = next, at
		if len(at) == 0 {
			break
		}
	}
	if len(at) != 1 {
		return found{}, unlocated(len(at))
	}
	return found{stepElement, at[0], at[0], 0}, nil
}

func unlocated(n int) error {
	if n == 0 {
		return fmt.Errorf("%w: the selector finds nothing", ErrUnlocatedNode)
	}
	return fmt.Errorf("%w: the selector finds more than one node", ErrUnlocatedNode)
}

// children appends the children of n that an element step selects.
func (d *Doc) children(dst []Node, n Node, s *step) []Node {
	from := len(dst)
	for c := d.FirstElement(n); c != None; c = d.NextElement(c) {
		if s.any || d.Is(c, s.name.Space, s.name.Local) {
			dst = append(dst, c)
		}
	}
	for i := range s.conds {
		kept := dst[:from]
		for k, c := range dst[from:] {
			if d.holds(&s.conds[i], c, k+1) {
				kept = append(kept, c)
			}
		}
		dst = kept
	}
	return dst
}

func (d *Doc) holds(c *cond, n Node, pos int) bool {
	switch c.kind {
	case condPosition:
		return pos == c.pos
	case condAttr:
		v, ok := d.Attr(n, c.name.Space, c.name.Local)
		return ok && v == c.value
	case condSelf:
		return d.hasText(n, c.value)
	}
	for child := d.FirstElement(n); child != None; child = d.NextElement(child) {
		if d.Is(child, c.name.Space, c.name.Local) && d.hasText(child, c.value) {
			return true
		}
	}
	return false
}

// hasText reports whether the text of all of n's subtree together is want.
func (d *Doc) hasText(n Node, want string) bool {
	for i, end := n+1, d.After(n); i < end; i++ {
		piece, ok := d.characters(i)
		if !ok {
			continue
		}
		if want, ok = strings.CutPrefix(want, piece); !ok {
			return false
		}
	}
	return want == ""
}

// locateLast finds what is no element, among what the elements at have.
func (d *Doc) locateLast(s *step, at []Node) (found, error) {
	var f found
	count := 0
	for _, n := range at {
		if s.kind == stepAttr || s.kind == stepNamespace {
			if i := d.attrIndex(n, s); i >= 0 {
				f, count = found{s.kind, n, n, i}, count+1
			}
			continue
		}
		pos := 0
		for c := d.nodes[n].first; c != None; c = d.nodes[c].next {
			if !d.matches(s, c) {
				continue
			}
			last := d.textEnd(c)
			if pos++; len(s.conds) == 0 || s.conds[0].pos == pos {
				f, count = found{s.kind, c, last, 0}, count+1
			}
			c = last
		}
	}
	if count != 1 {
		return found{}, unlocated(count)
	}
	return f, nil
}

func (d *Doc) attrIndex(n Node, s *step) int {
	for i := range d.NumAttrs(n) {
		a := d.AttrAt(n, i)
		switch {
		case a.Declares() != (s.kind == stepNamespace):
		case a.Declares() && a.Prefix() == s.local,
			!a.Declares() && a.Local() == s.name.Local && a.Space() == s.name.Space:
			return i
		}
	}
	return -1
}

// matches reports whether n is what a step asks for that is no element. White
// space outside of the root is no text, the XML declaration no instruction.
func (d *Doc) matches(s *step, n Node) bool {
	switch d.nodes[n].kind {
	case KindText, KindCData:
		return s.kind == stepText && d.nodes[n].parent != Document
	case KindComment:
		return s.kind == stepComment
	case KindPI:
		target := d.target(n)
		return s.kind == stepPI && target != "xml" && (s.any || target == s.local)
	}
	return false
}

// target returns the name of a processing instruction.
func (d *Doc) target(n Node) string {
	start := int(d.nodes[n].start) + len("<?")
	return d.src[start:ncName(d.src, start)]
}

// textEnd returns the last of the texts and CDATA sections that follow n without
// anything between: together they are one text (RFC 5261, 4.3.5). It is n itself
// where n is no text.
func (d *Doc) textEnd(n Node) Node {
	for d.isText(n) {
		next := d.nodes[n].next
		if next == None || !d.isText(next) {
			break
		}
		n = next
	}
	return n
}

func (d *Doc) isText(n Node) bool {
	k := d.nodes[n].kind
	return k == KindText || k == KindCData
}
