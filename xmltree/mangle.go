package xmltree

import (
	"cmp"
	"fmt"
	"slices"
)

// mangler gives names of a diff the prefixes that they have in the document they
// are added to (RFC 5261, 4.2.3).
type mangler struct {
	diff    *Doc
	op      Node
	scope   []Binding // in the document, at the place of the addition
	context Binding   // the prefix and namespace of the element there
	chosen  map[mangled]string
}

// mangled is a prefix of the diff in its use for elements or for attributes.
type mangled struct {
	prefix string
	attr   bool
}

// mangler is one for what is added below parent.
func (a *application) mangler(parent Node) *mangler {
	m := &mangler{diff: a.diff, op: a.node, chosen: map[mangled]string{}}
	if parent == Document {
		return m
	}
	m.context = Binding{a.doc.Prefix(parent), a.doc.Space(parent)}
	for i := range a.doc.NumAttrs(parent) {
		if attr := a.doc.AttrAt(parent, i); attr.Declares() && attr.Prefix() != "xml" {
			m.scope = append(m.scope, Binding{attr.Prefix(), attr.Value()})
		}
	}
	m.scope = a.doc.AppendScope(m.scope, parent)
	slices.SortStableFunc(m.scope, func(x, y Binding) int { return cmp.Compare(x.Prefix, y.Prefix) })
	m.scope = slices.CompactFunc(m.scope, func(x, y Binding) bool { return x.Prefix == y.Prefix }) // the inner one is first
	return m
}

// prefix finds what a prefix of the diff is in the document.
func (m *mangler) prefix(prefix, space string, attr bool) (string, error) {
	key := mangled{prefix, attr}
	if p, ok := m.chosen[key]; ok {
		return p, nil
	}
	p, ok := m.choose(prefix, space, attr)
	if !ok {
		return "", fmt.Errorf("%w: the document does not declare the namespace of prefix %q", ErrInvalidNamespaceURI, clip(prefix))
	}
	if p != prefix && m.declared(p) {
		return "", fmt.Errorf("%w: prefix %q means something else in what is added", ErrInvalidNamespacePrefix, clip(p))
	}
	m.chosen[key] = p
	return p, nil
}

// choose takes the three rules of RFC 5261, 4.2.3 in their order.
func (m *mangler) choose(prefix, space string, attr bool) (string, bool) {
	if prefix == "xml" {
		return prefix, true
	}
	if space == "" { // RFC 5261, 4.2.1: only where there is no default namespace
		return "", lookup(m.scope, "") == ""
	}
	var same []string
	for _, b := range m.scope {
		if b.Space == space && (b.Prefix != "" || !attr) {
			same = append(same, b.Prefix)
		}
	}
	switch {
	case len(same) == 0:
		return "", false
	case slices.Contains(same, prefix):
		return prefix, true
	case m.context.Space == space && (m.context.Prefix != "" || !attr):
		return m.context.Prefix, true
	}
	best := same[0]
	for _, p := range same {
		if p < prefix {
			best = p
		}
	}
	return best, true
}

// declared reports whether what is added declares a prefix itself.
func (m *mangler) declared(prefix string) bool {
	for i, end := m.op+1, m.diff.After(m.op); i < end; i++ {
		if m.diff.nodes[i].kind == KindElement && m.diff.declares(i, prefix) {
			return true
		}
	}
	return false
}

// outer reports whether a binding comes from around what is added.
func (m *mangler) outer(bind int32) bool {
	return bind == noBinding || bind != xmlBinding && m.diff.binds[bind].owner <= m.op
}

// content returns the operation's children as they stand below parent in the
// document.
func (a *application) content(parent Node) (string, error) {
	d, inner := a.diff, a.diff.Inner(a.node)
	m := a.mangler(parent)
	var edits []Edit
	size := inner.End - inner.Start
	rename := func(at int, from, to string) {
		if from == to {
			return
		}
		span := Span{at, at}
		if from != "" {
			span.End += len(from) + len(":")
		}
		if to != "" {
			to += ":"
		}
		size += len(to)
		edits = append(edits, Edit{span, to})
	}
	for n, end := a.node+1, d.After(a.node); n < end; n++ {
		e := &d.nodes[n]
		if e.kind != KindElement {
			continue
		}
		if m.outer(e.bind) {
			to, err := m.prefix(d.Prefix(n), d.uri(e.bind), false)
			if err != nil {
				return "", err
			}
			rename(int(e.start)+len("<"), d.Prefix(n), to)
			if e.closing < e.end {
				rename(int(e.closing)+len("</"), d.Prefix(n), to)
			}
		}
		for i := range d.NumAttrs(n) {
			at := d.AttrAt(n, i).at
			if at.declares || at.prefix == 0 || !m.outer(at.bind) {
				continue
			}
			from := d.src[at.start : at.start+int32(at.prefix)]
			to, err := m.prefix(from, d.uri(at.bind), true)
			if err != nil {
				return "", err
			}
			rename(int(at.start), from, to)
		}
		if size > a.most {
			return "", fmt.Errorf("%w: what is added", ErrTooLarge)
		}
	}
	slices.SortFunc(edits, func(x, y Edit) int { return cmp.Compare(x.Start, y.Start) })
	return Splice(d.src, inner, edits), nil
}
