// Package xmltree reads XML 1.0 with namespaces into a tree of byte ranges of
// its source. Nothing is copied, so what is not edited stays byte for byte as
// it was, and an edit is a splice of the source.
//
// It is strict: what is not well-formed or not namespace-well-formed is
// refused, and so is what a server should never read from a stranger though XML
// has it: document types, entities other than the five, encodings other than
// UTF-8. It is bounded: Limits hold before memory is taken, nothing recurses,
// and no step costs more than linear time but for the search of one element's
// attributes and of the namespaces in scope, which are few by limit.
package xmltree

import (
	"errors"
	"fmt"
	"sync"
)

// The reasons to refuse a document. Errors of Parse wrap one of them and add
// where and why, without the document's content but for names.
var (
	ErrTooLarge  = errors.New("XML too large")
	ErrSyntax    = errors.New("XML not well-formed")
	ErrNamespace = errors.New("XML namespaces wrong")
	ErrForbidden = errors.New("XML feature refused")
	ErrEncoding  = errors.New("XML encoding refused")
)

// Limits bounds what one document may cost. A field that is not positive means
// the default's value.
type Limits struct {
	MaxBytes int // bytes of the source; never above MaxSource
	MaxDepth int // elements within elements
	MaxNodes int // elements, texts, comments and processing instructions
	MaxAttrs int // attributes of one element, namespace declarations included
}

const (
	// MaxSource is the largest source whatever the Limits say: offsets have 32 bits.
	MaxSource = 1 << 30
	// maxName bounds a name; lengths of names have 16 bits.
	maxName = 1024
	// maxAttrs bounds what Limits may allow: attributes are compared pair by pair.
	maxAttrs = 1024
	// maxScope bounds the namespace declarations in scope at one place: each
	// prefix is looked up by a linear search of them. Documents of the presence
	// family declare about ten.
	maxScope = 128
)

// DefaultLimits fit presence documents: the largest of real clients have some
// 4 KB, 60 nodes, and a depth of 6; rule documents of a big address book stay
// below 256 KB.
func DefaultLimits() Limits {
	return Limits{MaxBytes: 256 << 10, MaxDepth: 64, MaxNodes: 16 << 10, MaxAttrs: 64}
}

func (l Limits) withDefaults() Limits {
	def := DefaultLimits()
	for _, f := range []struct {
		have *int
		def  int
	}{{&l.MaxBytes, def.MaxBytes}, {&l.MaxDepth, def.MaxDepth}, {&l.MaxNodes, def.MaxNodes}, {&l.MaxAttrs, def.MaxAttrs}} {
		if *f.have <= 0 {
			*f.have = f.def
		}
	}
	l.MaxBytes = min(l.MaxBytes, MaxSource)
	l.MaxAttrs = min(l.MaxAttrs, maxAttrs)
	return l
}

// Node names a node of a Doc: its place in document order. Document is the
// parent of the root; None is no node.
type Node int32

// The nodes that every Doc has.
const (
	None     Node = -1
	Document Node = 0
)

// Kind is the kind of a node.
type Kind uint8

// The kinds. KindDocument is Document's alone.
const (
	KindDocument Kind = iota
	KindElement
	KindText
	KindCData
	KindComment
	KindPI
)

// Name is an expanded name: a namespace, which may be empty, and a local name.
type Name struct{ Space, Local string }

// Span is a range of bytes of the source.
type Span struct{ Start, End int }

// XMLSpace is the namespace that the prefix xml is always bound to.
const XMLSpace = "http://www.w3.org/XML/1998/namespace"

// XMLNSSpace is the namespace of namespace declarations, which no name of a
// document is in.
const XMLNSSpace = "http://www.w3.org/2000/xmlns/"

type node struct {
	start, end int32 // the whole
	tagEnd     int32 // element: end of the start tag
	closing    int32 // element: start of the end tag, end if it has none
	attrs      int32 // element: its first attribute
	numAttrs   uint16
	prefix     uint16 // length of the prefix, 0 if none
	name       uint16 // length of the qualified name
	kind       Kind
	bind       int32 // binding of the element's namespace, noBinding if none
	parent     Node
	first      Node
	last       Node
	next       Node
}

type attr struct {
	start    int32 // of the name
	valStart int32 // between the quotes
	valEnd   int32
	prefix   uint16
	name     uint16
	bind     int32 // binding of its namespace
	declares bool  // it is a namespace declaration
}

// binding is a namespace declaration.
type binding struct {
	prefix, uri string
	owner       Node
}

const (
	noBinding  int32 = -1
	xmlBinding int32 = 0
)

// Doc is a parsed document. The zero value can Parse; a Doc that failed to
// parse is empty. It keeps its memory for the next Parse, and keeps the source
// alive.
type Doc struct {
	src   string
	lim   Limits
	nodes []node
	attrs []attr
	binds []binding
	scope []int32 // while parsing: the bindings in scope, innermost last
	cur   Node    // while parsing: the element that is open
	depth int
	root  Node
}

// Parse reads a document. Its errors wrap ErrTooLarge, ErrSyntax, ErrNamespace,
// ErrForbidden or ErrEncoding.
func Parse(src string, lim Limits) (*Doc, error) {
	d := new(Doc)
	if err := d.Parse(src, lim); err != nil {
		return nil, err
	}
	return d, nil
}

// Parse reads a document into d, in the place of what d held.
func (d *Doc) Parse(src string, lim Limits) error {
	d.reset()
	d.lim = lim.withDefaults()
	if len(src) > d.lim.MaxBytes {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(src), d.lim.MaxBytes)
	}
	d.src = src
	if err := d.parse(); err != nil {
		d.reset()
		return err
	}
	return nil
}

// docs keeps the memory of trees that live for one step only.
var docs = sync.Pool{New: func() any { return new(Doc) }}

// maxKept is up to how many nodes' memory Return keeps: far more than documents
// of one person have.
const maxKept = 4096

// Borrow returns a Doc to Parse into, with memory that has served before. Who
// borrows calls Return.
func Borrow() *Doc { return docs.Get().(*Doc) }

// Return gives back what Borrow gave. Neither d nor its nodes may be used any more;
// strings that it gave are good for ever.
func (d *Doc) Return() {
	d.reset()
	if cap(d.nodes) <= maxKept {
		docs.Put(d)
	}
}

// Release forgets the document but keeps the memory for the next one.
func (d *Doc) Release() { d.reset() }

func (d *Doc) reset() {
	clear(d.binds) // they hold strings of the last source
	d.src, d.cur, d.depth, d.root = "", Document, 0, None
	d.nodes = append(d.nodes[:0], node{kind: KindDocument, bind: noBinding, parent: None, first: None, last: None, next: None})
	d.attrs = d.attrs[:0]
	d.binds = append(d.binds[:0], binding{prefix: "xml", uri: XMLSpace, owner: Document})
	d.scope = append(d.scope[:0], xmlBinding)
}

// Source returns the document's text.
func (d *Doc) Source() string { return d.src }

// Root returns the root element.
func (d *Doc) Root() Node { return d.root }

// Len returns the number of nodes; they are 0 to Len()-1 in document order.
func (d *Doc) Len() int { return len(d.nodes) }

// Kind returns a node's kind.
func (d *Doc) Kind(n Node) Kind { return d.nodes[n].kind }

// Parent returns the node's parent, None for Document.
func (d *Doc) Parent(n Node) Node { return d.nodes[n].parent }

// FirstChild returns the first child of any kind, or None.
func (d *Doc) FirstChild(n Node) Node { return d.nodes[n].first }

// Next returns the next sibling of any kind, or None.
func (d *Doc) Next(n Node) Node { return d.nodes[n].next }

// FirstElement returns the first child that is an element, or None.
func (d *Doc) FirstElement(n Node) Node { return d.element(d.nodes[n].first) }

// NextElement returns the next sibling that is an element, or None.
func (d *Doc) NextElement(n Node) Node { return d.element(d.nodes[n].next) }

func (d *Doc) element(n Node) Node {
	for n != None && d.nodes[n].kind != KindElement {
		n = d.nodes[n].next
	}
	return n
}

// After returns the node that follows n and all that is in it, in document
// order; Len() at the end. So n's subtree is n to After(n)-1.
func (d *Doc) After(n Node) Node {
	for n != None {
		if next := d.nodes[n].next; next != None {
			return next
		}
		n = d.nodes[n].parent
	}
	return Node(len(d.nodes))
}

// Name returns an element's expanded name.
func (d *Doc) Name(n Node) Name { return Name{d.Space(n), d.Local(n)} }

// Space returns the namespace of an element, empty if it has none.
func (d *Doc) Space(n Node) string { return d.uri(d.nodes[n].bind) }

// Local returns the local part of an element's name.
func (d *Doc) Local(n Node) string {
	e := &d.nodes[n]
	if e.kind != KindElement {
		return ""
	}
	start := e.start + 1
	if e.prefix > 0 {
		start += int32(e.prefix) + 1
	}
	return d.src[start : e.start+1+int32(e.name)]
}

// Prefix returns the prefix that an element's name is written with.
func (d *Doc) Prefix(n Node) string {
	e := &d.nodes[n]
	if e.prefix == 0 {
		return ""
	}
	return d.src[e.start+1 : e.start+1+int32(e.prefix)]
}

// Is reports whether n is an element of that name.
func (d *Doc) Is(n Node, space, local string) bool {
	return d.nodes[n].kind == KindElement && d.Local(n) == local && d.Space(n) == space
}

func (d *Doc) uri(bind int32) string {
	if bind == noBinding {
		return ""
	}
	return d.binds[bind].uri
}

// Span returns the range of a node, tags included.
func (d *Doc) Span(n Node) Span {
	return Span{int(d.nodes[n].start), int(d.nodes[n].end)}
}

// Inner returns the range between an element's tags; it is empty, at the
// element's end, when there is but one tag.
func (d *Doc) Inner(n Node) Span {
	e := &d.nodes[n]
	return Span{int(e.tagEnd), int(e.closing)}
}

// NameEnd returns where an element's name ends in its start tag: the place to
// insert an attribute, with a space before it.
func (d *Doc) NameEnd(n Node) int { return int(d.nodes[n].start) + 1 + int(d.nodes[n].name) }

// Raw returns a node's text as written.
func (d *Doc) Raw(n Node) string { return d.src[d.nodes[n].start:d.nodes[n].end] }

// Text returns the character data directly in an element, references resolved
// and line ends made one line feed (XML 1.0, 2.11). It allocates only where that
// changes something or comments split the text.
func (d *Doc) Text(n Node) string {
	var (
		text  string
		parts int
		whole []byte // of the second part on, so that many parts cost no more than one
	)
	for c := d.nodes[n].first; c != None; c = d.nodes[c].next {
		piece, ok := d.characters(c)
		if !ok {
			continue
		}
		switch parts++; parts {
		case 1:
			text = piece
		case 2:
			whole = append(append(whole, text...), piece...)
		default:
			whole = append(whole, piece...)
		}
	}
	if parts > 1 {
		return string(whole)
	}
	return text
}

// characters returns the character data of a node of text or CDATA; of another
// kind there is none.
func (d *Doc) characters(n Node) (text string, ok bool) {
	switch e := &d.nodes[n]; e.kind {
	case KindText:
		return unescape(d.src[e.start:e.end], false), true
	case KindCData:
		return newlines(d.src[int(e.start)+len(cdataOpen) : int(e.end)-len(cdataClose)]), true
	}
	return "", false
}

// IsSpace reports whether n is text of nothing but white space.
func (d *Doc) IsSpace(n Node) bool {
	e := &d.nodes[n]
	if e.kind != KindText {
		return false
	}
	for i := e.start; i < e.end; i++ {
		if !isSpace(d.src[i]) {
			return false
		}
	}
	return true
}
