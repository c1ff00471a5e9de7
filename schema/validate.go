package schema

import (
	"errors"
	"slices"
	"strings"

	"github.com/tacit-presence/tacit/xmltree"
)

// instanceSpace is the namespace of attributes that speak to schema processors
// (XML Schema 1.0, 2.6).
const instanceSpace = "http://www.w3.org/2001/XMLSchema-instance"

// check is a rule beyond the schema.
type check func(*xmltree.Doc) error

// validator makes the Validator of documents with one of the roots. What is
// unique is checked after the schema, other rules after that: the order of
// RFC 4825, 8.2.5.
func (g *grammar) validator(roots []xmltree.Name, checks ...check) Validator {
	return func(d *xmltree.Doc) error {
		if err := g.validate(d, roots); err != nil {
			return err
		}
		var first error
		for _, c := range checks {
			switch err := c(d); {
			case errors.Is(err, ErrUniqueness):
				return err
			case first == nil:
				first = err
			}
		}
		return first
	}
}

// frame is an element that is open while the document is read. A nil typ is an
// element that no table declares: its children are checked where they are known.
type frame struct {
	node, end xmltree.Node
	typ       *complexType
	state     int32
	seen      uint64 // members of an all group
}

// run is one check of one document.
type run struct {
	g     *grammar
	d     *xmltree.Doc
	ids   map[string]struct{}
	twice *Error // repeated IDs; a schema error goes before them
	stack []frame
	room  [16]frame // of most documents' depth, so that the stack costs nothing
}

func (g *grammar) validate(d *xmltree.Doc, roots []xmltree.Name) error {
	if d == nil || d.Len() < 2 {
		return &Error{Kind: Schema, Phrase: "there is no document"}
	}
	root := d.Root()
	decl := g.elements[d.Name(root)]
	if decl == nil || !slices.Contains(roots, decl.name) {
		return fault(Schema, d, root, "", "the root is "+tag(d, root)+" of another name or namespace than "+expected(roots, "", false)+" of "+roots[0].Space)
	}
	r := run{g: g, d: d}
	r.stack = r.room[:0]
	if err := r.open(root, decl); err != nil {
		return err
	}
	for n, end := root+1, d.After(root); n < end; {
		for r.top().end <= n {
			if err := r.close(); err != nil {
				return err
			}
		}
		next, err := r.node(n)
		if err != nil {
			return err
		}
		n = next
	}
	for len(r.stack) > 0 {
		if err := r.close(); err != nil {
			return err
		}
	}
	if r.twice != nil {
		return r.twice
	}
	return nil
}

func (r *run) top() *frame { return &r.stack[len(r.stack)-1] }

// node checks one node within the innermost open element and returns the one to
// go on with.
func (r *run) node(n xmltree.Node) (xmltree.Node, error) {
	f := r.top()
	switch r.d.Kind(n) {
	case xmltree.KindElement:
		decl, how, err := r.step(f, n)
		switch {
		case err != nil:
			return n, err
		case how == skip:
			return r.d.After(n), nil
		}
		return n + 1, r.open(n, decl)
	case xmltree.KindText, xmltree.KindCData:
		if t := f.typ; t == nil || t.mixed || t.lax || t.simple != nil {
			break
		}
		if f.typ.content == nil && f.typ.all == nil {
			// Not even white space (XML Schema 1.0, 3.4.4).
			return n, fault(Schema, r.d, f.node, "", tag(r.d, f.node)+" must be empty")
		}
		if !r.d.IsSpace(n) {
			return n, fault(Schema, r.d, f.node, "", "text stands in "+tag(r.d, f.node)+", where only elements may")
		}
	}
	return n + 1, nil
}

// step finds what an element may be where it stands: its declaration, nil if
// nobody declares it.
func (r *run) step(f *frame, n xmltree.Node) (*element, process, error) {
	name := r.d.Name(n)
	switch t := f.typ; {
	case t == nil || t.lax:
		return r.loose(n)
	case t.all != nil:
		for i, m := range t.all {
			if m.decl.name != name {
				continue
			}
			if f.seen&(1<<i) != 0 {
				return nil, lax, fault(Schema, r.d, n, "", tag(r.d, n)+" stands twice in "+tag(r.d, f.node))
			}
			f.seen |= 1 << i
			return m.decl, lax, nil
		}
	case t.states != nil:
		s := &t.states[f.state]
		if next, ok := s.next[name]; ok {
			f.state = next.to
			return next.decl, lax, nil
		}
		for i := range s.wild {
			if w := &s.wild[i]; w.wild.allows(name.Space) {
				f.state = w.to
				decl, _, err := r.loose(n)
				switch {
				case w.wild.process == skip:
					return decl, skip, nil
				case decl == nil && w.wild.process == strict:
					return nil, lax, fault(Schema, r.d, n, "", tag(r.d, n)+" is not known here")
				}
				return decl, w.wild.process, err
			}
		}
	}
	return nil, lax, fault(Schema, r.d, n, "", tag(r.d, n)+" may not stand here in "+tag(r.d, f.node)+": expected is "+r.wanted(f))
}

// loose finds what an element is where any may stand.
func (r *run) loose(n xmltree.Node) (*element, process, error) {
	name := r.d.Name(n)
	decl := r.g.elements[name]
	if decl == nil && r.g.closed && r.g.spaces[name.Space] && !r.g.names[name] {
		return nil, lax, fault(Schema, r.d, n, "", tag(r.d, n)+" is no element of "+name.Space)
	}
	return decl, lax, nil
}

// open checks an element's attributes and text and makes it the innermost.
func (r *run) open(n xmltree.Node, decl *element) error {
	f := frame{node: n, end: r.d.After(n)}
	if decl == nil {
		r.stack = append(r.stack, f)
		return r.looseAttrs(n)
	}
	if decl.abstract {
		return fault(Schema, r.d, n, "", tag(r.d, n)+" only names a group of elements")
	}
	f.typ = decl.typ
	r.stack = append(r.stack, f)
	if err := r.attributes(n, decl.typ); err != nil {
		return err
	}
	if t := decl.typ.simple; t != nil {
		value := r.d.Text(n)
		if value == "" && decl.fallback != "" {
			value = decl.fallback
		}
		if !t.valid(value) {
			return fault(Schema, r.d, n, "", "the value of "+tag(r.d, n)+" is not "+t.what)
		}
	}
	return nil
}

// close ends the innermost element.
func (r *run) close() error {
	f := r.top()
	switch t := f.typ; {
	case t == nil:
	case t.all != nil:
		for i, m := range t.all {
			if m.required && f.seen&(1<<i) == 0 {
				return fault(Schema, r.d, f.node, "", tag(r.d, f.node)+" lacks <"+m.decl.name.Local+">")
			}
		}
	case t.states != nil && !t.states[f.state].accept:
		return fault(Schema, r.d, f.node, "", tag(r.d, f.node)+" ends too early: expected is "+r.wanted(f))
	}
	r.stack = r.stack[:len(r.stack)-1]
	return nil
}

// wanted says what may come next in an open element.
func (r *run) wanted(f *frame) string {
	t := f.typ
	switch {
	case t.simple != nil:
		return "text alone"
	case t.all != nil:
		var names []xmltree.Name
		for i, m := range t.all {
			if f.seen&(1<<i) == 0 {
				names = append(names, m.decl.name)
			}
		}
		return expected(names, "", true)
	case t.states == nil:
		return "nothing, it must be empty"
	}
	s := &t.states[f.state]
	other := ""
	if len(s.wild) > 0 {
		other = "an element of another namespace"
		if s.wild[0].wild.not == "" {
			other = "any element"
		}
	}
	return expected(s.names, other, s.accept)
}

// maxExpected is how many names a phrase lists; RPID has choices of sixty.
const maxExpected = 8

func expected(names []xmltree.Name, other string, end bool) string {
	var list []string
	for i, n := range names {
		if i == maxExpected {
			list = append(list, "others")
			break
		}
		list = append(list, "<"+n.Local+">")
	}
	if other != "" {
		list = append(list, other)
	}
	if end {
		list = append(list, "the end")
	}
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:len(list)-1], ", ") + " or " + list[len(list)-1]
}

// attributes checks those of an element of a known type.
func (r *run) attributes(n xmltree.Node, t *complexType) error {
	var have uint64
	for i := range r.d.NumAttrs(n) {
		a := r.d.AttrAt(n, i)
		if a.Declares() {
			continue
		}
		ns, local := a.Space(), a.Local()
		at := slices.IndexFunc(t.attrs, func(x attribute) bool { return x.name.Local == local && x.name.Space == ns })
		if at >= 0 {
			have |= 1 << at
			if err := r.value(n, a, t.attrs[at].typ); err != nil {
				return err
			}
			continue
		}
		if err := r.foreign(n, a, t); err != nil {
			return err
		}
	}
	for i, a := range t.attrs {
		if a.required && have&(1<<i) == 0 {
			return fault(Schema, r.d, n, a.name.Local, tag(r.d, n)+" lacks the attribute "+a.name.Local)
		}
	}
	return nil
}

// foreign checks an attribute that the element's type does not declare.
func (r *run) foreign(n xmltree.Node, a xmltree.Attr, t *complexType) error {
	ns, local := a.Space(), a.Local()
	if ns == instanceSpace {
		if local == "schemaLocation" || local == "noNamespaceSchemaLocation" {
			return nil
		}
		// They would have the document choose its own types.
		return fault(Schema, r.d, n, local, "xsi:"+clip(local)+" may not stand on "+tag(r.d, n))
	}
	if !t.lax && (t.anyAttr == nil || !t.anyAttr.allows(ns)) {
		return fault(Schema, r.d, n, local, "the attribute "+clip(local)+" may not stand on "+tag(r.d, n))
	}
	typ := r.g.attrs[xmltree.Name{Space: ns, Local: local}]
	switch {
	case typ != nil && (t.anyAttr == nil || t.anyAttr.process != skip):
		return r.value(n, a, typ)
	case typ == nil && t.anyAttr != nil && t.anyAttr.process == strict:
		return fault(Schema, r.d, n, local, "the attribute "+clip(local)+" is not known here")
	case typ == nil:
		return r.knownAttr(n, a)
	}
	return nil
}

// knownAttr is loose for an attribute that no table declares.
func (r *run) knownAttr(n xmltree.Node, a xmltree.Attr) error {
	if r.g.closed && a.Space() != "" && r.g.spaces[a.Space()] {
		return fault(Schema, r.d, n, a.Local(), "the attribute "+clip(a.Local())+" is none of "+a.Space())
	}
	return nil
}

// looseAttrs checks the attributes of an element that nobody declares, where
// they themselves are known.
func (r *run) looseAttrs(n xmltree.Node) error {
	for i := range r.d.NumAttrs(n) {
		a := r.d.AttrAt(n, i)
		if a.Declares() || a.Space() == "" {
			continue
		}
		if typ := r.g.attrs[xmltree.Name{Space: a.Space(), Local: a.Local()}]; typ != nil {
			if err := r.value(n, a, typ); err != nil {
				return err
			}
		} else if err := r.knownAttr(n, a); err != nil {
			return err
		}
	}
	return nil
}

// value checks an attribute's value, and that an ID is the only one of its name.
func (r *run) value(n xmltree.Node, a xmltree.Attr, t *simpleType) error {
	v := a.Value()
	if !t.valid(v) {
		return fault(Schema, r.d, n, a.Local(), "the attribute "+clip(a.Local())+" of "+tag(r.d, n)+" is not "+t.what)
	}
	if !t.unique {
		return nil
	}
	v = collapse(v)
	if _, ok := r.ids[v]; ok {
		r.twice = r.twice.also(r.d, n, a.Local(), "the "+clip(a.Local())+" of "+tag(r.d, n)+" is that of another element too")
	}
	if r.ids == nil {
		r.ids = map[string]struct{}{}
	}
	r.ids[v] = struct{}{}
	return nil
}
