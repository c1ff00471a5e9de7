package xmltree

// Attr is one attribute of an element.
type Attr struct {
	doc *Doc
	at  *attr
}

// NumAttrs returns the number of an element's attributes, namespace
// declarations included.
func (d *Doc) NumAttrs(n Node) int { return int(d.nodes[n].numAttrs) }

// AttrAt returns an element's i-th attribute as written.
func (d *Doc) AttrAt(n Node, i int) Attr {
	return Attr{d, &d.attrs[int(d.nodes[n].attrs)+i]}
}

// Find returns an element's attribute of that name. Space is empty for an
// attribute without prefix: the default namespace does not reach attributes.
func (d *Doc) Find(n Node, space, local string) (Attr, bool) {
	e := &d.nodes[n]
	for i := e.attrs; i < e.attrs+int32(e.numAttrs); i++ {
		a := Attr{d, &d.attrs[i]}
		if !a.at.declares && a.Local() == local && a.Space() == space {
			return a, true
		}
	}
	return Attr{}, false
}

// Attr returns the value of an element's attribute, and whether it has it.
func (d *Doc) Attr(n Node, space, local string) (string, bool) {
	a, ok := d.Find(n, space, local)
	if !ok {
		return "", false
	}
	return a.Value(), true
}

// Declares reports whether it is a namespace declaration; Prefix and Value then
// say what it declares.
func (a Attr) Declares() bool { return a.at.declares }

// Space returns the namespace of the attribute's name.
func (a Attr) Space() string {
	if a.at.declares {
		return XMLNSSpace
	}
	return a.doc.uri(a.at.bind)
}

// Local returns the local part of the attribute's name.
func (a Attr) Local() string {
	start := a.at.start
	if a.at.prefix > 0 {
		start += int32(a.at.prefix) + 1
	}
	return a.doc.src[start : a.at.start+int32(a.at.name)]
}

// Prefix returns, of a namespace declaration, the prefix that it declares, empty
// for the default namespace.
func (a Attr) Prefix() string {
	if a.at.prefix == 0 {
		return ""
	}
	return a.Local()
}

// Value returns the attribute's value, normalised as XML 1.0, 3.3.3 says.
func (a Attr) Value() string {
	return unescape(a.doc.src[a.at.valStart:a.at.valEnd], true)
}

// ValueSpan returns the range of the value as written, between its quotes.
func (a Attr) ValueSpan() Span { return Span{int(a.at.valStart), int(a.at.valEnd)} }

// Span returns the range of the attribute as written, quotes included.
func (a Attr) Span() Span { return Span{int(a.at.start), int(a.at.valEnd) + 1} }

// Raw returns the attribute as written.
func (a Attr) Raw() string { return a.doc.src[a.at.start : a.at.valEnd+1] }

// Binding is a namespace declaration: prefix, empty for the default namespace,
// and namespace, which is empty where a default namespace is taken back.
type Binding struct{ Prefix, Space string }

// AppendScope appends the namespaces in scope at n that n's ancestors declare,
// each prefix once, without xml. They are what a copy of n needs elsewhere.
func (d *Doc) AppendScope(dst []Binding, n Node) []Binding {
	from := len(dst)
	for p := d.nodes[n].parent; p > Document; p = d.nodes[p].parent {
		for i := range d.NumAttrs(p) {
			a := d.AttrAt(p, i)
			if a.Declares() && a.Prefix() != "xml" && !bound(dst[from:], a.Prefix()) {
				dst = append(dst, Binding{a.Prefix(), a.Value()})
			}
		}
	}
	return dst
}

func bound(list []Binding, prefix string) bool {
	for i := range list {
		if list[i].Prefix == prefix {
			return true
		}
	}
	return false
}

// UsesOuterDefault reports whether an element in n's subtree, n included, is
// without prefix and has its default namespace, or the lack of one, from outside
// of the subtree.
func (d *Doc) UsesOuterDefault(n Node) bool {
	for i, end := n, d.After(n); i < end; i++ {
		e := &d.nodes[i]
		if e.kind == KindElement && e.prefix == 0 && (e.bind == noBinding || d.binds[e.bind].owner < n) {
			return true
		}
	}
	return false
}
