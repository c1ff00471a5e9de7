package schema

import "github.com/tacit-presence/tacit/xmltree"

// maxPositions bounds the element particles of one type: RPID's <mood>, the
// largest, has 64.
const maxPositions = 192

// places is a set of positions: places in a content model where an element can
// match.
type places [maxPositions / 64]uint64

func (p *places) add(i int)      { p[i/64] |= 1 << (i % 64) }
func (p *places) has(i int) bool { return p[i/64]&(1<<(i%64)) != 0 }
func (p *places) join(q places) {
	for i := range p {
		p[i] |= q[i]
	}
}

// leaf is what matches at a position: an element, or a wildcard if decl is nil.
type leaf struct {
	decl *element
	wild wildcard
}

// step is a transition of an automaton.
type step struct {
	decl *element
	to   int32
}

// wildStep is a transition on what a wildcard lets in.
type wildStep struct {
	wild wildcard
	to   int32
}

// state is a state of a content model's automaton.
type state struct {
	next   map[xmltree.Name]step
	wild   []wildStep
	accept bool
	names  []xmltree.Name // the keys of next as the table has them, for phrases
}

// grammar is compiled tables.
type grammar struct {
	elements map[xmltree.Name]*element
	attrs    map[xmltree.Name]*simpleType
	groups   map[xmltree.Name][]*element
	// names are of all elements that are declared somewhere; spaces their
	// namespaces.
	names  map[xmltree.Name]bool
	spaces map[string]bool
	// closed refuses names that nobody declares in namespaces of ours, where a
	// wildcard would let them in.
	closed bool
	// defects are mistakes in tables. A test holds that no schema has any.
	defects []string
}

// compile makes automata of tables.
func compile(tables ...table) *grammar {
	g := &grammar{
		elements: map[xmltree.Name]*element{}, attrs: map[xmltree.Name]*simpleType{}, groups: map[xmltree.Name][]*element{},
		names: map[xmltree.Name]bool{}, spaces: map[string]bool{},
	}
	for _, a := range []attribute{lang(), xmlAttr("base", anyURI), xmlAttr("space", xmlSpaceType), xmlAttr("id", id)} {
		g.attrs[a.name] = a.typ
	}
	for _, t := range tables {
		for _, e := range t.elements {
			if g.elements[e.name] != nil {
				g.defects = append(g.defects, e.name.Local+" is declared twice")
			}
			g.elements[e.name] = e
		}
		for _, a := range t.attrs {
			g.attrs[a.name] = a.typ
		}
		for head, members := range t.groups {
			g.groups[head] = members
			for _, m := range members {
				g.elements[m.name] = m
			}
		}
	}
	done := map[*complexType]bool{}
	for _, e := range g.elements {
		g.declare(e.name)
		g.compileType(e.typ, done)
	}
	return g
}

// documents makes a grammar that of documents that are kept.
// RFC 4825, 8.2.5: a schema may allow elements and attributes of other
// namespaces, and the server takes them; but of a namespace that it understands
// it takes only what it has the schema of.
func (g *grammar) documents() *grammar {
	g.closed = true
	return g
}

func (g *grammar) declare(n xmltree.Name) {
	g.names[n] = true
	g.spaces[n.Space] = true
}

func xmlAttr(local string, t *simpleType) attribute {
	return attribute{name: xmltree.Name{Space: xmltree.XMLSpace, Local: local}, typ: t}
}

// compileType compiles a type and those of the elements in it. Types nest as
// deep as tables are written, and done ends those that hold themselves.
func (g *grammar) compileType(t *complexType, done map[*complexType]bool) {
	if t == nil || done[t] {
		return
	}
	done[t] = true
	for _, m := range t.all {
		g.declare(m.decl.name)
		g.compileType(m.decl.typ, done)
	}
	if t.content == nil {
		return
	}
	b := &builder{grammar: g}
	whole := b.build(*t.content)
	t.states = b.states(whole)
	for _, l := range b.leaves {
		if l.decl != nil {
			g.declare(l.decl.name)
			g.compileType(l.decl.typ, done)
		}
	}
}

// builder follows Glushkov: each position knows which may follow it. XML Schema
// asks that at each of them an element's name decides, so the result is
// deterministic as it is.
type builder struct {
	grammar *grammar
	leaves  []leaf
	follow  []places
}

// part is what is known of a piece of a content model.
type part struct {
	nullable    bool
	first, last places
}

// build adds a particle with its occurrences.
func (b *builder) build(p particle) part {
	if p.max == 1 || p.max == unbounded && p.min <= 1 {
		one := b.once(p)
		if p.max == unbounded {
			b.link(one.last, one.first)
		}
		one.nullable = one.nullable || p.min == 0
		return one
	}
	return b.copies(p, 1)
}

// copies writes bounded repetition out: the i-th occurrence with those after it
// in it, so that a name says which it is.
func (b *builder) copies(p particle, i int) part {
	most := max(p.min, p.max)
	if i > most {
		return part{nullable: true}
	}
	one := b.once(p)
	if p.max == unbounded && i == most {
		b.link(one.last, one.first)
	}
	whole := b.concat(one, b.copies(p, i+1))
	whole.nullable = whole.nullable || i > p.min
	return whole
}

// once adds a particle as if it occurred once.
func (b *builder) once(p particle) part {
	switch p.kind {
	case isElement:
		return b.leaf(leaf{decl: p.decl})
	case isWildcard:
		return b.leaf(leaf{wild: p.wild})
	case isRef:
		return b.reference(p.ref)
	case isSequence:
		whole := part{nullable: true}
		for _, item := range p.items {
			whole = b.concat(whole, b.build(item))
		}
		return whole
	}
	whole := part{nullable: len(p.items) == 0}
	for _, item := range p.items {
		one := b.build(item)
		whole.nullable = whole.nullable || one.nullable
		whole.first.join(one.first)
		whole.last.join(one.last)
	}
	return whole
}

// reference adds a global element, or the members of its substitution group.
func (b *builder) reference(name xmltree.Name) part {
	var whole part
	members := b.grammar.groups[name]
	if head := b.grammar.elements[name]; head != nil && !head.abstract {
		members = append([]*element{head}, members...)
	}
	if len(members) == 0 {
		b.grammar.defects = append(b.grammar.defects, name.Local+" is not declared")
	}
	for _, m := range members {
		one := b.leaf(leaf{decl: m})
		whole.first.join(one.first)
		whole.last.join(one.last)
	}
	return whole
}

func (b *builder) leaf(l leaf) part {
	if len(b.leaves) == maxPositions {
		b.grammar.defects = append(b.grammar.defects, "a type has too many particles")
		return part{}
	}
	var p part
	p.first.add(len(b.leaves))
	p.last = p.first
	b.leaves = append(b.leaves, l)
	b.follow = append(b.follow, places{})
	return p
}

func (b *builder) link(from, to places) {
	for i := range b.follow {
		if from.has(i) {
			b.follow[i].join(to)
		}
	}
}

func (b *builder) concat(x, y part) part {
	b.link(x.last, y.first)
	whole := part{nullable: x.nullable && y.nullable, first: x.first, last: y.last}
	if x.nullable {
		whole.first.join(y.first)
	}
	if y.nullable {
		whole.last.join(x.last)
	}
	return whole
}

// states makes the automaton. Positions that the same may follow share a state,
// so that a choice of sixty names has one.
func (b *builder) states(whole part) []state {
	type key struct {
		follow places
		accept bool
	}
	index := map[key]int32{}
	var keys []key
	number := func(k key) int32 {
		i, ok := index[k]
		if !ok {
			i = int32(len(keys))
			index[k] = i
			keys = append(keys, k)
		}
		return i
	}
	number(key{whole.first, whole.nullable})
	var list []state
	for i := 0; i < len(keys); i++ {
		s := state{accept: keys[i].accept, next: map[xmltree.Name]step{}}
		for p, l := range b.leaves {
			if !keys[i].follow.has(p) {
				continue
			}
			to := number(key{b.follow[p], whole.last.has(p)})
			if l.decl == nil {
				s.wild = append(s.wild, wildStep{l.wild, to})
				continue
			}
			if _, twice := s.next[l.decl.name]; twice {
				b.grammar.defects = append(b.grammar.defects, l.decl.name.Local+" is ambiguous")
				continue
			}
			s.next[l.decl.name] = step{l.decl, to}
			s.names = append(s.names, l.decl.name)
		}
		b.checkWild(&s)
		list = append(list, s)
	}
	return list
}

// checkWild notes wildcards that take what an element or another one takes.
func (b *builder) checkWild(s *state) {
	for i, w := range s.wild {
		for _, n := range s.names {
			if w.wild.allows(n.Space) {
				b.grammar.defects = append(b.grammar.defects, "a wildcard takes "+n.Local)
			}
		}
		if i > 0 && s.wild[0].to != w.to {
			b.grammar.defects = append(b.grammar.defects, "two wildcards compete")
		}
	}
}
