package policy

import (
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/tacit-presence/tacit/location"
	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/xmltree"
)

// child is a child element that is told.
type child struct {
	node xmltree.Node
	is   element
}

// piece is a part that is told. Its text is from start to end in the writer's
// buffer; of a component, what stands between its id and its timestamp. The
// timestamp's value, empty if it has none, is there too.
type piece struct {
	of         *pidf.Part
	start, end int
	time       xmltree.Span
	uses       namespaces
	idle       bool // a component with nothing left to tell but its time
}

// namespaces is a set of those that are written with prefixes of our own.
type namespaces uint8

const (
	usesDataModel namespaces = 1 << iota
	usesRPID
	usesOMA
	usesOwn
	allNamespaces = 1<<iota - 1
)

// ownBindings are the prefixes, in the order of namespaces.
var ownBindings = [...]xmltree.Binding{
	{Prefix: "dm", Space: pidf.DataModelSpace},
	{Prefix: "rpid", Space: pidf.RPIDSpace},
	{Prefix: "op", Space: pidf.OMASpace},
	{Prefix: "t", Space: ownSpace},
}

// declarations has the root's declarations for each set of namespaces.
var declarations = func() (t [allNamespaces + 1]string) {
	for set := range t {
		var b []byte
		for i, n := range ownBindings {
			if set>>i&1 != 0 {
				b = xmltree.AppendBinding(b, n)
			}
		}
		t[set] = string(b)
	}
	return t
}()

// writer writes what a grant leaves of a document. What is known is written
// anew, in one form and with one set of prefixes: bytes that stay as they were
// published would tell by their white space what has been cut out between them,
// by their prefixes which client wrote them, and by the root's declarations which
// formats the cut was in. What is not known is copied.
type writer struct {
	g       *grant
	options location.Options
	doc     *xmltree.Doc
	buf     []byte
	out     []byte
	uses    namespaces // of the piece that is being written
	pieces  []piece
	kids    []child
	status  []child
	edits   []xmltree.Edit
	scope   []xmltree.Binding // around the children of scoped
	own     []xmltree.Binding // of an element that is copied
	used    []bool            // by index of own, then scope
	scoped  xmltree.Node
	add     []byte
	grown   int           // by declarations
	left    int           // of maxCompared
	ids     map[named]int // how many ids are made of each
}

var writers = sync.Pool{New: func() any { return &writer{ids: make(map[named]int)} }}

// filtered is the privacy filter: what g leaves of a document.
func filtered(doc pidf.Assembly, g *grant, o location.Options) pidf.Assembly {
	if g == nil || !g.selects() {
		return pidf.Assembly{}
	}
	tree, err := doc.Tree()
	if err != nil || tree.Doc == nil { // beyond all limits: nothing may be told
		return pidf.Assembly{}
	}
	w := writers.Get().(*writer)
	w.g, w.options, w.doc, w.scoped, w.left = g, o, tree.Doc, xmltree.None, maxCompared
	w.options.Coarse = g.coarse
	w.options.Circles = w.circles(doc.Parts(), tree.Nodes)
	for i, c := range doc.Parts() {
		w.part(c.Of, tree.Nodes[i])
	}
	out := w.assembly()
	w.release()
	return out
}

// circles are those of all locations that are told.
func (w *writer) circles(parts []pidf.Component, nodes []xmltree.Node) *location.Circles {
	if radius, limited := w.g.location.Radius(); !limited || radius == 0 {
		return nil
	}
	var told []xmltree.Node
	left := maxCompared
	objects := func(parent xmltree.Node) {
		for c := w.doc.FirstElement(parent); c != xmltree.None; c = w.doc.NextElement(c) {
			if location.IsObject(w.doc, c) {
				told = append(told, c)
			}
		}
	}
	for i, c := range parts {
		if c.Of.Kind == pidf.Note || c.Of.Kind == pidf.Extension || !w.g.admits(c.Of, &left) {
			continue
		}
		objects(nodes[i])
		for n := w.doc.FirstElement(nodes[i]); n != xmltree.None; n = w.doc.NextElement(n) {
			if w.doc.Is(n, pidf.Space, "status") {
				objects(n)
			}
		}
	}
	return w.g.location.Circles(w.doc, told, w.options.Band)
}

func (w *writer) release() {
	clear(w.pieces)
	clear(w.scope)
	clear(w.own)
	w.g, w.doc, w.options, w.grown = nil, nil, location.Options{}, 0
	w.buf, w.out, w.pieces, w.kids, w.status = w.buf[:0], w.out[:0], w.pieces[:0], w.kids[:0], w.status[:0]
	w.edits, w.scope, w.own, w.used, w.add = w.edits[:0], w.scope[:0], w.own[:0], w.used[:0], w.add[:0]
	clear(w.ids)
	writers.Put(w)
}

// coarsePart is what the element that says how coarse times are was published as.
var coarsePart = pidf.Part{Kind: pidf.Extension, Priority: pidf.NoPriority}

// sayCoarse says in the document that its times are rounded down: a child of the
// root, where PIDF's schema leaves room for other namespaces' elements.
func (w *writer) sayCoarse() {
	start := len(w.buf)
	w.put(`<t:coarse-timestamps seconds="`)
	w.buf = strconv.AppendInt(w.buf, int64(w.g.coarse), 10)
	w.put(`"/>`)
	w.pieces = append(w.pieces, piece{of: &coarsePart, start: start, end: len(w.buf), uses: usesOwn})
}

func (w *writer) put(s string) { w.buf = append(w.buf, s...) }

// part writes a child of the root if it may be told.
//
// The root's notes, which RFC 5025 has no permission for, are told as those of
// components. Elements of other namespaces there are unknown attributes.
func (w *writer) part(p *pidf.Part, n xmltree.Node) {
	out := piece{of: p, start: len(w.buf)}
	w.uses = 0
	switch p.Kind {
	case pidf.Tuple, pidf.Person, pidf.Device:
		if !w.g.admits(p, &w.left) {
			return
		}
		w.component(n, &out)
	case pidf.Note:
		if !w.g.everything && w.g.attributes&provideNote == 0 {
			return
		}
		w.text(n, "<note", "</note>", true)
	default:
		e := classify(w.doc, n, inRoot)
		if !w.g.shows(w.doc, n, e, inRoot) {
			return
		}
		w.attribute(child{n, e})
	}
	out.uses = w.uses
	out.end = len(w.buf) - (out.time.End - out.time.Start)
	w.pieces = append(w.pieces, out)
}

// forms are how components are written.
var forms = [...]struct {
	open, close, note, noteEnd, time, timeEnd string
	in                                        place
	uses                                      namespaces
}{
	pidf.Tuple:     {`<tuple id="t`, "</tuple>", "<note", "</note>", "<timestamp>", "</timestamp>", inTuple, 0},
	pidf.Person:    {`<dm:person id="p`, "</dm:person>", "<dm:note", "</dm:note>", "<dm:timestamp>", "</dm:timestamp>", inPerson, usesDataModel},
	pidf.Device:    {`<dm:device id="d`, "</dm:device>", "<dm:note", "</dm:note>", "<dm:timestamp>", "</dm:timestamp>", inDevice, usesDataModel},
	pidf.Extension: {},
}

// component writes a tuple, person or device from the end of its id on.
func (w *writer) component(n xmltree.Node, out *piece) {
	form := &forms[out.of.Kind]
	w.uses |= form.uses
	if w.choose(n, form.in) {
		w.lang(n)
	}
	w.put(">")
	out.idle = true
	for _, c := range w.kids {
		before := len(w.buf)
		switch c.is {
		case elementStatus:
			out.idle = w.putStatus()
			continue
		case elementContact:
			w.contact(c.node)
		case elementNote:
			w.text(c.node, form.note, form.noteEnd, true)
		case elementTimestamp: // the last
			start := len(w.buf)
			w.buf, _ = appendTime(w.buf, trimSpace(w.doc.Text(c.node)), w.g.coarse)
			out.time = xmltree.Span{Start: start, End: len(w.buf)}
			continue
		default:
			w.attribute(c)
		}
		out.idle = out.idle && len(w.buf) == before // an attribute can lose all
	}
}

// choose lists the children that are told, in order, and reports whether any of
// them is text in some language.
func (w *writer) choose(n xmltree.Node, in place) (speaks bool) {
	w.kids, w.status = w.kids[:0], w.status[:0]
	for c := w.doc.FirstElement(n); c != xmltree.None; c = w.doc.NextElement(c) {
		e := classify(w.doc, c, in)
		switch {
		case !w.g.shows(w.doc, c, e, in):
			continue
		case e == elementStatus:
			for s := w.doc.FirstElement(c); s != xmltree.None; s = w.doc.NextElement(s) {
				if e := classify(w.doc, s, inStatus); w.g.shows(w.doc, s, e, inStatus) {
					w.status = append(w.status, child{s, e})
					speaks = speaks || e != elementBasic && e != elementLocation
				}
			}
		}
		w.kids = append(w.kids, child{c, e})
		switch e {
		case elementStatus, elementContact, elementTimestamp, elementTupleDevice, elementDeviceID, elementClass,
			elementStatusIcon, elementTimeOffset, elementUserInput, elementLocation:
		default:
			speaks = true
		}
	}
	inOrder(w.kids)
	inOrder(w.status)
	return speaks
}

// inOrder sorts children, which are few and mostly sorted, by what they are.
func inOrder(list []child) {
	slices.SortStableFunc(list, func(a, b child) int { return int(a.is) - int(b.is) })
}

// putStatus writes a status, and reports whether nothing is in it. The schema
// wants the element even so.
func (w *writer) putStatus() (empty bool) {
	at := len(w.buf)
	w.put("<status>")
	before := len(w.buf)
	for _, c := range w.status {
		if c.is == elementBasic {
			w.text(c.node, "<basic", "</basic>", false)
			continue
		}
		w.attribute(c)
	}
	if empty = len(w.buf) == before; empty {
		w.buf = append(w.buf[:at], "<status/>"...)
		return empty
	}
	w.put("</status>")
	return empty
}

func (w *writer) contact(n xmltree.Node) {
	w.put("<contact")
	if v, ok := w.doc.Attr(n, "", "priority"); ok {
		w.attr("priority", trimSpace(v))
	}
	w.put(">")
	w.escape(trimSpace(w.doc.Text(n)))
	w.put("</contact>")
}

// attribute writes what is no element of PIDF's own.
func (w *writer) attribute(c child) {
	switch {
	case c.is == elementTupleDevice || c.is == elementDeviceID:
		w.uses |= usesDataModel
		w.text(c.node, "<dm:deviceID", "</dm:deviceID>", false)
	case isRPID(c.is):
		w.rpid(c)
	case c.is == elementLocation:
		w.location(c.node)
	default:
		w.raw(c.node)
	}
}

// text writes an element that has text only. That of a note stays as it is, with
// its language; else white space around it goes.
func (w *writer) text(n xmltree.Node, open, end string, note bool) {
	w.put(open)
	text := w.doc.Text(n)
	if note {
		w.lang(n)
	} else {
		text = trimSpace(text)
	}
	w.put(">")
	w.escape(text)
	w.put(end)
}

func (w *writer) lang(n xmltree.Node) {
	if v, ok := w.doc.Attr(n, xmltree.XMLSpace, "lang"); ok {
		w.attr("xml:lang", v)
	}
}

func (w *writer) attr(name, value string) {
	w.put(" ")
	w.put(name)
	w.put(`="`)
	w.put(xmltree.EscapeAttr(value))
	w.put(`"`)
}

// escape appends text. A carriage return is written as a reference, else a reader
// makes it a line feed.
func (w *writer) escape(s string) {
	for {
		i := strings.IndexAny(s, "&<>\r")
		if i < 0 {
			w.put(s)
			return
		}
		w.put(s[:i])
		switch s[i] {
		case '&':
			w.put("&amp;")
		case '<':
			w.put("&lt;")
		case '>':
			w.put("&gt;")
		default:
			w.put("&#13;")
		}
		s = s[i+1:]
	}
}

// trimSpace removes XML's white space around s.
func trimSpace(s string) string { return strings.Trim(s, " \t\r\n") }
