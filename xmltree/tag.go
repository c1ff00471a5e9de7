package xmltree

import (
	"strings"
	"unicode/utf8"
)

// readName reads the qualified name at i: where it ends, and how long its prefix is.
func readName(s string, i int) (end, prefix int, err error) {
	end = ncName(s, i)
	if end > i && end < len(s) && s[end] == ':' {
		prefix = end - i
		local := end + 1
		if end = ncName(s, local); end == local {
			end = i
		}
	}
	switch {
	case end == i:
		return 0, 0, bad(ErrSyntax, i, "malformed name")
	case end < len(s) && s[end] == ':':
		return 0, 0, bad(ErrNamespace, i, "a name with two colons")
	case end-i > maxName:
		return 0, 0, bad(ErrTooLarge, i, "a name of more than %d bytes", maxName)
	}
	return end, prefix, nil
}

func (d *Doc) startTag(start int) (int, error) {
	s := d.src
	if d.cur == Document && d.root != None {
		return 0, bad(ErrSyntax, start, "a second root element")
	}
	if d.depth++; d.depth > d.lim.MaxDepth {
		return 0, bad(ErrTooLarge, start, "elements nested deeper than %d", d.lim.MaxDepth)
	}
	i, prefix, err := readName(s, start+1)
	if err != nil {
		return 0, err
	}
	id, err := d.add(node{
		kind: KindElement, start: int32(start), prefix: uint16(prefix), name: uint16(i - start - 1), attrs: int32(len(d.attrs)),
	})
	if err != nil {
		return 0, err
	}
	if d.cur == Document {
		d.root = id
	}
	qualified := false // an attribute has a prefix, or is a declaration
	for {
		j := skipSpace(s, i)
		if j == len(s) {
			return 0, bad(ErrSyntax, start, "the document ends within a tag")
		}
		if s[j] == '>' || s[j] == '/' {
			i = j
			break
		}
		if j == i {
			return 0, bad(ErrSyntax, j, "malformed tag")
		}
		if i, err = d.attribute(id, j, &qualified); err != nil {
			return 0, err
		}
	}
	e := &d.nodes[id]
	e.numAttrs = uint16(len(d.attrs) - int(e.attrs))
	if e.bind, err = d.resolve(s[start+1:start+1+prefix], start); err != nil {
		return 0, err
	}
	if qualified {
		if err := d.resolveAttrs(d.attrs[e.attrs:]); err != nil {
			return 0, err
		}
	}
	return d.tagEnd(id, i)
}

// tagEnd reads the end of a start tag, at i.
func (d *Doc) tagEnd(id Node, i int) (int, error) {
	empty := d.src[i] == '/'
	if empty {
		if i++; i == len(d.src) || d.src[i] != '>' {
			return 0, bad(ErrSyntax, i, "malformed tag")
		}
	}
	i++
	e := &d.nodes[id]
	e.tagEnd = int32(i)
	d.cur = id
	if empty {
		e.closing, e.end = int32(i), int32(i)
		d.closed()
	}
	return i, nil
}

// attribute reads the attribute of element id at i.
func (d *Doc) attribute(id Node, i int, qualified *bool) (int, error) {
	s := d.src
	end, prefix, err := readName(s, i)
	if err != nil {
		return 0, err
	}
	a := attr{start: int32(i), prefix: uint16(prefix), name: uint16(end - i), bind: noBinding}
	name := s[i:end]
	others := d.attrs[d.nodes[id].attrs:]
	if len(others) >= d.lim.MaxAttrs {
		return 0, bad(ErrTooLarge, i, "an element with more than %d attributes", d.lim.MaxAttrs)
	}
	for k := range others {
		o := &others[k]
		if o.name == a.name && s[o.start:o.start+int32(o.name)] == name {
			return 0, bad(ErrSyntax, i, "attribute %s occurs twice", clip(name))
		}
	}
	j := skipSpace(s, end)
	if j == len(s) || s[j] != '=' {
		return 0, bad(ErrSyntax, i, "attribute %s without value", clip(name))
	}
	j = skipSpace(s, j+1)
	if j == len(s) || s[j] != '"' && s[j] != '\'' {
		return 0, bad(ErrSyntax, j, "the value of attribute %s has no quotes", clip(name))
	}
	a.valStart = int32(j + 1)
	if j, err = d.value(j+1, s[j]); err != nil {
		return 0, err
	}
	a.valEnd = int32(j)
	if a.declares = prefix == 0 && name == "xmlns" || prefix > 0 && name[:prefix] == "xmlns"; a.declares {
		if err := d.declare(id, &a); err != nil {
			return 0, err
		}
	}
	*qualified = *qualified || prefix > 0 && !a.declares
	d.attrs = append(d.attrs, a)
	return j + 1, nil
}

// value reads an attribute's value up to its quote.
func (d *Doc) value(i int, quote byte) (int, error) {
	s := d.src
	for i < len(s) {
		c := s[i]
		switch {
		case c == quote:
			return i, nil
		case charClass[c]&clsAttr != 0:
			i++
		case c == '<':
			return 0, bad(ErrSyntax, i, "< in the value of an attribute")
		case c == '&' || c < ' ' || c >= utf8.RuneSelf:
			var err error
			if i, err = d.special(i); err != nil {
				return 0, err
			}
		default: // DEL
			i++
		}
	}
	return 0, bad(ErrSyntax, i, "the document ends within the value of an attribute")
}

// declare puts a namespace declaration in scope (Namespaces in XML 1.0, 3).
func (d *Doc) declare(id Node, a *attr) error {
	at := int(a.start)
	prefix := ""
	if a.prefix > 0 {
		prefix = d.src[at+int(a.prefix)+1 : at+int(a.name)]
	}
	uri := unescape(d.src[a.valStart:a.valEnd], true)
	switch {
	case prefix == "xmlns" || uri == XMLNSSpace:
		return bad(ErrNamespace, at, "a declaration of xmlns")
	case (prefix == "xml") != (uri == XMLSpace):
		return bad(ErrNamespace, at, "prefix xml and its namespace belong together")
	case prefix != "" && uri == "":
		return bad(ErrNamespace, at, "prefix %s is bound to nothing", clip(prefix))
	case len(d.scope) >= maxScope:
		return bad(ErrTooLarge, at, "more than %d namespaces in scope", maxScope)
	}
	d.scope = append(d.scope, int32(len(d.binds)))
	d.binds = append(d.binds, binding{prefix, uri, id})
	return nil
}

// resolve finds what a prefix is bound to; the empty one may be bound to nothing.
func (d *Doc) resolve(prefix string, at int) (int32, error) {
	for k := len(d.scope) - 1; k >= 0; k-- {
		if b := d.scope[k]; d.binds[b].prefix == prefix {
			return b, nil
		}
	}
	if prefix == "" {
		return noBinding, nil
	}
	return noBinding, bad(ErrNamespace, at, "prefix %s is not bound", clip(prefix))
}

// resolveAttrs finds the namespaces of attributes, and refuses two with one
// expanded name (Namespaces in XML 1.0, 6.3).
func (d *Doc) resolveAttrs(attrs []attr) error {
	for k := range attrs {
		a := &attrs[k]
		if a.declares || a.prefix == 0 {
			continue
		}
		var err error
		if a.bind, err = d.resolve(d.src[a.start:a.start+int32(a.prefix)], int(a.start)); err != nil {
			return err
		}
		local := d.local(a)
		for j := range k {
			o := &attrs[j]
			if !o.declares && o.prefix > 0 && d.local(o) == local && d.binds[o.bind].uri == d.binds[a.bind].uri {
				return bad(ErrNamespace, int(a.start), "attribute %s occurs twice", clip(strings.Clone(local)))
			}
		}
	}
	return nil
}

func (d *Doc) local(a *attr) string {
	return d.src[a.start+int32(a.prefix)+1 : a.start+int32(a.name)]
}
