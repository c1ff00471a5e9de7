package policy

import (
	"bytes"
	"slices"
	"strings"

	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/xmltree"
)

// rpid writes an element of RPID's that is told. Of its XML attributes those
// stay that RPID defines and the watcher may know: from and until, the language,
// a time-offset's description, user-input's as its level says. Its id goes, and
// so does what other namespaces have put there.
func (w *writer) rpid(c child) {
	t := &traits[c.is]
	w.uses |= usesRPID
	w.put("<rpid:")
	w.put(t.local)
	w.lang(c.node)
	if t.times {
		w.timeAttr(c.node, "from")
		w.timeAttr(c.node, "until")
	}
	switch c.is {
	case elementTimeOffset:
		w.plainAttr(c.node, "description")
	case elementUserInput:
		level := w.g.userInput
		if w.g.everything {
			level = userInputFull
		}
		// RFC 5025, 3.3.2.12 calls the time of the last input "since", as drafts
		// of RPID did.
		if level >= userInputThresholds {
			w.plainAttr(c.node, "idle-threshold")
		}
		if level >= userInputFull {
			w.timeAttr(c.node, "last-input")
			w.timeAttr(c.node, "since")
		}
	}
	w.content(c.node, t.local, false)
}

func (w *writer) plainAttr(n xmltree.Node, name string) {
	if v, ok := w.doc.Attr(n, "", name); ok {
		w.attr(name, v)
	}
}

// timeAttr writes an attribute that is a time. What is none goes: nothing could
// be said of how exact it is.
func (w *writer) timeAttr(n xmltree.Node, name string) {
	v, ok := w.doc.Attr(n, "", name)
	if !ok {
		return
	}
	at := len(w.buf)
	w.put(" ")
	w.put(name)
	w.put(`="`)
	b, ok := appendTime(w.buf, trimSpace(v), w.g.coarse)
	if w.buf = b; !ok {
		w.buf = w.buf[:at]
		return
	}
	w.put(`"`)
}

// content writes the rest of an RPID element of which the start tag is open.
// Between elements, white space and comments go.
func (w *writer) content(n xmltree.Node, local string, prose bool) {
	if w.doc.FirstElement(n) == xmltree.None {
		text := w.doc.Text(n)
		if !prose || isBlank(text) {
			text = trimSpace(text)
		}
		if text == "" {
			w.put("/>")
			return
		}
		w.put(">")
		w.escape(text)
		w.closeRPID(local)
		return
	}
	w.put(">")
	for c := w.doc.FirstChild(n); c != xmltree.None; c = w.doc.Next(c) {
		switch w.doc.Kind(c) {
		case xmltree.KindElement:
			w.value(c)
		case xmltree.KindText:
			if text := w.doc.Raw(c); !isBlank(text) {
				w.put(text)
			}
		case xmltree.KindCData:
			if text := strings.TrimSuffix(strings.TrimPrefix(w.doc.Raw(c), "<![CDATA["), "]]>"); !isBlank(text) {
				w.escape(text)
			}
		}
	}
	w.closeRPID(local)
}

func (w *writer) closeRPID(local string) {
	w.put("</rpid:")
	w.put(local)
	w.put(">")
}

// value writes an element within an RPID element: RPID's own, such as <away/> or
// a note, or another namespace's.
func (w *writer) value(n xmltree.Node) {
	if w.doc.Space(n) != pidf.RPIDSpace {
		if w.g.everything || !w.doc.Is(n, geoprivSpace, "geopriv") {
			w.raw(n)
		}
		return
	}
	local := w.doc.Local(n)
	w.put("<rpid:")
	w.put(local)
	w.lang(n)
	w.content(n, local, local == "note" || local == "other")
}

// isBlank reports that s is white space alone, whichever way it is written.
func isBlank(s string) bool {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case ' ', '\t', '\r', '\n':
		default:
			return false
		}
	}
	return true
}

// maxDeclared bounds by how many bytes of declarations the copies in a document
// may grow together: else some thousand short elements under one long namespace
// would swell what each watcher is sent a thousandfold. Documents of real clients
// need a few hundred.
const maxDeclared = 16 << 10

// raw copies an element that is not known, all of it but for comments, processing
// instructions, locations (which a name that a rule does not know must not carry
// along) and ids that must be unique in the document. It gets the declarations
// that it needs from around it, for the root will not have them, and keeps of its
// own those that it needs: composition may have put its publication's there.
func (w *writer) raw(n xmltree.Node) { w.copy(n, nil) }

// location writes what the permission leaves of a geopriv element.
func (w *writer) location(n xmltree.Node) {
	edits, remove := w.g.location.Edit(w.doc, n, w.options)
	switch {
	case remove:
	case len(edits) == 1 && edits[0].Span == w.doc.Span(n): // with all that it needs
		w.put(edits[0].Text)
	default:
		w.copy(n, edits)
	}
}

// copy is raw with edits, which are in order.
func (w *writer) copy(n xmltree.Node, edits []xmltree.Edit) {
	w.edits, w.own = w.edits[:0], w.own[:0]
	for i, end := n, w.doc.After(n); i < end; i++ {
		for len(edits) > 0 && w.doc.Span(i).Start >= edits[0].Start {
			w.edits = append(w.edits, edits[0])
			edits = edits[1:]
		}
		if len(w.edits) > 0 && w.doc.Span(i).Start < w.edits[len(w.edits)-1].End {
			continue // it is in what is replaced
		}
		switch w.doc.Kind(i) {
		case xmltree.KindComment, xmltree.KindPI:
			w.edits = append(w.edits, xmltree.Edit{Span: w.doc.Span(i)})
		case xmltree.KindElement:
			if i != n && !w.g.everything && w.doc.Is(i, geoprivSpace, "geopriv") {
				w.edits = append(w.edits, xmltree.Edit{Span: w.doc.Span(i)})
				continue
			}
			w.attributes(i, i == n)
		}
	}
	w.edits = append(w.edits, edits...)
	start, span := len(w.buf), w.doc.Span(n)
	from, src := span.Start, w.doc.Source()
	for _, e := range w.edits {
		w.put(src[from:e.Start])
		w.put(e.Text)
		from = e.End
	}
	w.put(src[from:span.End])
	w.declare(n, start)
}

// attributes removes the id of an RPID element, and of the element that is copied
// the declarations, which are made anew.
func (w *writer) attributes(n xmltree.Node, copied bool) {
	rpid := w.doc.NumAttrs(n) > 0 && w.doc.Space(n) == pidf.RPIDSpace
	if !rpid && !copied {
		return
	}
	for i := range w.doc.NumAttrs(n) {
		a := w.doc.AttrAt(n, i)
		declares := copied && a.Declares() && a.Prefix() != ""
		if declares {
			w.own = append(w.own, xmltree.Binding{Prefix: a.Prefix(), Space: a.Value()})
		} else if !rpid || a.Space() != "" || a.Local() != "id" {
			continue
		}
		span := a.Span()
		for isBlank(w.doc.Source()[span.Start-1 : span.Start]) {
			span.Start--
		}
		w.edits = append(w.edits, xmltree.Edit{Span: span})
	}
}

// declare gives the copy of n at start its namespaces: those of which the prefix
// stands before a colon in it, for a value may use one as names do. Where they
// are too many in all, the element is not told.
func (w *writer) declare(n xmltree.Node, start int) {
	if parent := w.doc.Parent(n); parent != w.scoped {
		w.scope, w.scoped = w.doc.AppendScope(w.scope[:0], n), parent
	}
	all := len(w.own) + len(w.scope)
	if all == 0 {
		return
	}
	w.used = append(w.used[:0], make([]bool, all)...)
	w.mentioned(w.buf[start:])
	w.add = w.add[:0]
	outer := pidf.Space
	for i, used := range w.used {
		b := w.binding(i)
		switch {
		case b.Prefix == "":
			outer = b.Space
		case !used || b.Prefix == "xml":
		default:
			if own := slices.Index(ownBindings[:], b); own >= 0 {
				w.uses |= 1 << own // the root declares it
				continue
			}
			w.add = xmltree.AppendBinding(w.add, b)
		}
	}
	if outer != pidf.Space && w.doc.UsesOuterDefault(n) {
		w.add = xmltree.AppendBinding(w.add, xmltree.Binding{Space: outer})
	}
	before := w.doc.Span(n)
	w.grown += max(0, len(w.buf)-start+len(w.add)-(before.End-before.Start))
	if w.grown > maxDeclared {
		w.buf = w.buf[:start]
		return
	}
	w.buf = slices.Insert(w.buf, start+w.doc.NameEnd(n)-before.Start, w.add...)
}

// binding returns one of those that an element that is copied has, its own first.
func (w *writer) binding(i int) xmltree.Binding {
	if i < len(w.own) {
		return w.own[i]
	}
	return w.scope[i-len(w.own)]
}

// mentioned marks the prefixes in scope that stand before a colon in a text, and
// are not the end of a longer name.
func (w *writer) mentioned(text []byte) {
	for from := 0; ; {
		colon := bytes.IndexByte(text[from:], ':')
		if colon < 0 {
			return
		}
		colon += from
		start := colon
		for start > from && inName(text[start-1]) {
			start--
		}
		for i := range w.used {
			if w.binding(i).Prefix == string(text[start:colon]) {
				w.used[i] = true
				break
			}
		}
		from = colon + 1
	}
}

// inName reports whether a byte can be part of a name.
func inName(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c >= 0x80
}
