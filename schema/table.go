package schema

import "github.com/tacit-presence/tacit/xmltree"

// space is a target namespace; its methods write the tables.
type space string

// element is an element declaration.
type element struct {
	name     xmltree.Name
	typ      *complexType
	fallback string // what an empty element means: XML Schema's default
	abstract bool   // only members of its substitution group may stand for it
}

// complexType is what may be in an element. A type has either simple content, or
// content (or all), or is empty; lax is XML Schema's anyType.
type complexType struct {
	simple  *simpleType
	content *particle
	all     []member // each at most once, in any order
	mixed   bool
	lax     bool
	attrs   []attribute
	anyAttr *wildcard

	states []state // compiled content
}

// member is an element of an all group.
type member struct {
	decl     *element
	required bool
}

// attribute is an attribute declaration.
type attribute struct {
	name     xmltree.Name
	typ      *simpleType
	required bool
}

// unbounded is the max of a particle that may be repeated without end.
const unbounded = -1

type particleKind uint8

const (
	isElement particleKind = iota
	isRef
	isWildcard
	isSequence
	isChoice
)

// particle is a part of a content model.
type particle struct {
	kind     particleKind
	min, max int
	decl     *element
	ref      xmltree.Name // of a global element, or of a substitution group's head
	wild     wildcard
	items    []particle
}

// process is what becomes of what a wildcard lets in.
type process uint8

const (
	lax    process = iota // checked where its declaration is known
	skip                  // not looked into
	strict                // its declaration must be known
)

// wildcard lets in elements, or attributes, by namespace.
type wildcard struct {
	not     string   // ##other: neither this namespace nor none
	only    []string // a list; empty and no not: ##any
	process process
}

func (w wildcard) allows(ns string) bool {
	if w.not != "" {
		return ns != "" && ns != w.not
	}
	for _, o := range w.only {
		if o == ns {
			return true
		}
	}
	return w.only == nil
}

func seq(items ...particle) particle {
	return particle{kind: isSequence, min: 1, max: 1, items: items}
}

func choice(items ...particle) particle {
	return particle{kind: isChoice, min: 1, max: 1, items: items}
}

func (p particle) optional() particle { p.min = 0; return p }
func (p particle) repeated() particle { p.min, p.max = 0, unbounded; return p }
func (p particle) some() particle     { p.min, p.max = 1, unbounded; return p }

func (s space) name(local string) xmltree.Name { return xmltree.Name{Space: string(s), Local: local} }

// global declares an element that documents and wildcards can begin with.
func (s space) global(local string, t *complexType) *element {
	return &element{name: s.name(local), typ: t}
}

func (e *element) or(fallback string) *element { e.fallback = fallback; return e }

// el is an element that is declared where it stands.
func (s space) el(local string, t *complexType) particle {
	return particle{kind: isElement, min: 1, max: 1, decl: s.global(local, t)}
}

// ref is a global element where it stands.
func (s space) ref(local string) particle {
	return particle{kind: isRef, min: 1, max: 1, ref: s.name(local)}
}

// other is any element of another namespace, checked if it is known.
func (s space) other() particle {
	return particle{kind: isWildcard, min: 1, max: 1, wild: wildcard{not: string(s)}}
}

// anything is any element at all.
func anything(p process) particle {
	return particle{kind: isWildcard, min: 1, max: 1, wild: wildcard{process: p}}
}

// otherAttrs lets in attributes of other namespaces.
func (s space) otherAttrs() *wildcard { return &wildcard{not: string(s)} }

// model is a type of child elements.
func model(p particle, attrs ...attribute) *complexType {
	return &complexType{content: &p, attrs: attrs}
}

// text is a type of text without elements.
func text(t *simpleType, attrs ...attribute) *complexType {
	return &complexType{simple: t, attrs: attrs}
}

// empty is a type of attributes alone.
func empty(attrs ...attribute) *complexType { return &complexType{attrs: attrs} }

// open lets attributes in that the type does not declare.
func (t *complexType) open(w *wildcard) *complexType { t.anyAttr = w; return t }

// blend lets text stand between the elements.
func (t *complexType) blend() *complexType { t.mixed = true; return t }

func need(local string, t *simpleType) attribute {
	return attribute{name: xmltree.Name{Local: local}, typ: t, required: true}
}

func may(local string, t *simpleType) attribute {
	return attribute{name: xmltree.Name{Local: local}, typ: t}
}

// lang is xml:lang.
func lang() attribute {
	return attribute{name: xmltree.Name{Space: xmltree.XMLSpace, Local: "lang"}, typ: langType}
}

// table is one schema.
type table struct {
	elements []*element
	attrs    []attribute                 // global attributes
	groups   map[xmltree.Name][]*element // substitution groups by their head
}
