// Package xcapdiff is the documents that tell how XCAP resources have changed
// (RFC 5874), and the lists of resources that somebody wants to be told of
// (RFC 5875, 4.4). It writes what a notifier sends, works out the patches in it,
// reads it strictly, and keeps for a subscriber what it has been sent.
package xcapdiff

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/xmltree"
)

// The media type, and the namespace of its documents (RFC 5874, 8).
const (
	ContentType = "application/xcap-diff+xml"
	Namespace   = "urn:ietf:params:xml:ns:xcap-diff"
)

// The errors of reading.
var (
	// ErrMalformed: it is no such document.
	ErrMalformed = errors.New("malformed XCAP diff or list of resources")
	// ErrTooBig: it names more than may be named.
	ErrTooBig = errors.New("too many XCAP resources")
)

// MaxItems bounds what one diff tells: the steps of all documents that one user
// may have.
const MaxItems = 1024

// Kind is what an item of a diff is about.
type Kind uint8

// The kinds (RFC 5874, 3).
const (
	KindDocument Kind = iota
	KindElement
	KindAttribute
)

// String is the name of the element that tells of it.
func (k Kind) String() string { return [...]string{"document", "element", "attribute"}[k] }

// Item is the state, or a change, of one resource.
type Item struct {
	Kind Kind
	Sel  string // its URI, relative to the root

	// Of a document: what it was and is; empty: it was or is not there
	// (RFC 5874, figure 1). One that Was and Is has changed, and so Same or Ops
	// says how; without either it has to be fetched.
	Was, Is presence.EntityTag
	Same    bool // nothing but its entity-tag has changed
	Ops     []Op

	// Of an element or attribute: it is there, or Gone. Text is the element as
	// written, empty if it is left out, or the attribute's value; Scope are the
	// namespaces around the element.
	Gone  bool
	Text  string
	Scope []xmltree.Binding

	patch *xmltree.Patch // Ops as Parse has read them
}

// Op is one operation of a patch (RFC 5261, 4).
type Op struct {
	Name    string // add, replace or remove
	Sel     string
	Pos     string // of add
	Type    string // of add
	WS      string // of remove
	Content string // as written
	Scope   []xmltree.Binding
}

// Diff is one document.
type Diff struct {
	Root  string // URI of the XCAP root
	Items []Item
}

// Final is a document that is ready for its NOTIFY.
type Final struct {
	text string
	sum  uint64
}

// Body returns the document.
func (f Final) Body() string { return f.text }

// Sum is the hash of the state that its receiver has with it.
func (f Final) Sum() uint64 { return f.sum }

// String tells the size alone.
func (f Final) String() string { return fmt.Sprintf("XCAP diff (%d bytes)", len(f.text)) }

// GoString is String.
func (f Final) GoString() string { return f.String() }

// LogValue is String.
func (f Final) LogValue() slog.Value { return slog.StringValue(f.String()) }

// Render writes a diff. sum is the hash of the whole state that it leads to.
func (d Diff) Render(sum uint64) Final { return Final{text: d.Text(), sum: sum} }

// Text is the document.
func (d Diff) Text() string {
	w := writer{prefix: d.prefix()}
	space := "xmlns"
	if w.prefix != "" {
		space += ":" + strings.TrimSuffix(w.prefix, ":")
	}
	w.b = append(w.b, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"...)
	w.open("xcap-diff")
	w.attr(space, Namespace)
	w.attr("xcap-root", d.Root)
	if len(d.Items) == 0 {
		w.b = append(w.b, "/>\n"...)
		return string(w.b)
	}
	w.b = append(w.b, ">\n"...)
	for i := range d.Items {
		w.item(&d.Items[i])
	}
	w.close("xcap-diff")
	w.b = append(w.b, '\n')
	return string(w.b)
}

// String tells no document.
func (d Diff) String() string { return fmt.Sprintf("XCAP diff (%d items)", len(d.Items)) }

// GoString is String.
func (d Diff) GoString() string { return d.String() }

// LogValue is String.
func (d Diff) LogValue() slog.Value { return slog.StringValue(d.String()) }

// String tells nothing of the resource's content.
func (i Item) String() string {
	return fmt.Sprintf("%s %s: %s to %s", i.Kind, i.Sel, i.Was, i.Is)
}

// GoString is String.
func (i Item) GoString() string { return i.String() }

// LogValue is String.
func (i Item) LogValue() slog.Value { return slog.StringValue(i.String()) }

// prefix is that of the elements of the format, with its colon. Where parts of
// other documents stand among them, these keep their default namespace, or the
// lack of one, and no prefix of theirs is bound anew.
func (d Diff) prefix() string {
	foreign := false
	used := map[string]bool{}
	note := func(scope []xmltree.Binding) {
		foreign = true
		for _, b := range scope {
			used[b.Prefix] = true
		}
	}
	for i := range d.Items {
		it := &d.Items[i]
		if it.Kind == KindElement && it.Text != "" {
			note(it.Scope)
		}
		for _, o := range it.Ops {
			note(o.Scope)
		}
	}
	if !foreign {
		return ""
	}
	for n := 0; ; n++ {
		p := "d"
		if n > 0 {
			p += strconv.Itoa(n)
		}
		if !used[p] {
			return p + ":"
		}
	}
}

type writer struct {
	b      []byte
	prefix string
}

func (w *writer) open(name string) {
	w.b = append(append(append(w.b, '<'), w.prefix...), name...)
}

func (w *writer) close(name string) {
	w.b = append(append(append(append(w.b, "</"...), w.prefix...), name...), '>')
}

func (w *writer) attr(name, value string) {
	w.b = append(append(append(w.b, ' '), name...), `="`...)
	w.b = append(append(w.b, xmltree.EscapeAttr(value)...), '"')
}

// some writes an attribute if it has a value.
func (w *writer) some(name, value string) {
	if value != "" {
		w.attr(name, value)
	}
}

func (w *writer) scope(list []xmltree.Binding) {
	for _, b := range list {
		if b.Space != "" {
			w.b = xmltree.AppendBinding(w.b, b)
		}
	}
}

func (w *writer) item(i *Item) {
	name, inner := i.Kind.String(), false
	w.b = append(w.b, ' ')
	w.open(name)
	w.some("previous-etag", string(i.Was))
	w.attr("sel", i.Sel)
	w.some("new-etag", string(i.Is))
	start := func() {
		if !inner {
			w.b, inner = append(w.b, '>'), true
		}
	}
	switch {
	case i.Kind == KindDocument && i.Same:
		start()
		w.open("body-not-changed")
		w.b = append(w.b, "/>"...)
	case i.Kind == KindDocument:
		for k := range i.Ops {
			start()
			w.op(&i.Ops[k])
		}
	case i.Gone:
		w.attr("exists", "0")
	case i.Kind == KindAttribute:
		start()
		w.b = append(w.b, xmltree.EscapeAttr(i.Text)...)
	case i.Text != "":
		w.scope(i.Scope)
		start()
		w.b = append(w.b, i.Text...)
	}
	if inner {
		w.close(name)
	} else {
		w.b = append(w.b, "/>"...)
	}
	w.b = append(w.b, '\n')
}

func (w *writer) op(o *Op) {
	w.open(o.Name)
	w.attr("sel", o.Sel)
	w.some("pos", o.Pos)
	w.some("type", o.Type)
	w.some("ws", o.WS)
	w.scope(o.Scope)
	if o.Content == "" {
		w.b = append(w.b, "/>"...)
		return
	}
	w.b = append(append(w.b, '>'), o.Content...)
	w.close(o.Name)
}

// Size is about what an item takes in a document, in bytes.
func (i *Item) Size() int {
	const tag = 100 // an element with its attributes' names
	n := tag + len(i.Sel) + len(i.Was) + len(i.Is) + len(i.Text)
	for _, b := range i.Scope {
		n += len(b.Prefix) + len(b.Space) + len(` xmlns:=""`)
	}
	for k := range i.Ops {
		o := &i.Ops[k]
		n += tag + len(o.Sel) + len(o.Content)
		for _, b := range o.Scope {
			n += len(b.Prefix) + len(b.Space) + len(` xmlns:=""`)
		}
	}
	return n
}
