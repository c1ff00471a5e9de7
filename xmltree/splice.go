package xmltree

import "strings"

// Edit replaces a range of a text.
type Edit struct {
	Span
	Text string
}

// Splice returns the part s of src with the edits made. Edits are in order, do
// not overlap and lie within s; every other byte stays. Without edits nothing is
// copied.
func Splice(src string, s Span, edits []Edit) string {
	if len(edits) == 0 {
		return src[s.Start:s.End]
	}
	size := s.End - s.Start
	for i := range edits {
		size += len(edits[i].Text) - (edits[i].End - edits[i].Start)
	}
	var b strings.Builder
	b.Grow(size)
	at := s.Start
	for i := range edits {
		b.WriteString(src[at:edits[i].Start])
		b.WriteString(edits[i].Text)
		at = edits[i].End
	}
	b.WriteString(src[at:s.End])
	return b.String()
}

// Copy returns element n as it can stand under a place where the namespaces in
// outer are in scope, with the declarations that it lacks there added to its
// start tag. All namespaces in scope are kept, whether a name uses them or not,
// for values may use them too.
func (d *Doc) Copy(n Node, outer []Binding) string {
	var scope []Binding
	scope = d.AppendScope(scope, n)
	var add []byte
	for _, b := range scope {
		if b.Prefix != "" && !d.declares(n, b.Prefix) && lookup(outer, b.Prefix) != b.Space {
			add = AppendBinding(add, b)
		}
	}
	if def := lookup(scope, ""); def != lookup(outer, "") && d.UsesOuterDefault(n) {
		add = AppendBinding(add, Binding{"", def})
	}
	if len(add) == 0 {
		return d.Raw(n)
	}
	at := d.NameEnd(n)
	return Splice(d.src, d.Span(n), []Edit{{Span{at, at}, string(add)}})
}

func (d *Doc) declares(n Node, prefix string) bool {
	for i := range d.NumAttrs(n) {
		if a := d.AttrAt(n, i); a.Declares() && a.Prefix() == prefix {
			return true
		}
	}
	return false
}

func lookup(list []Binding, prefix string) string {
	for i := range list {
		if list[i].Prefix == prefix {
			return list[i].Space
		}
	}
	return ""
}

// AppendBinding appends a namespace declaration, with a space before it.
func AppendBinding(dst []byte, n Binding) []byte {
	dst = append(dst, " xmlns"...)
	if n.Prefix != "" {
		dst = append(dst, ':')
		dst = append(dst, n.Prefix...)
	}
	dst = append(dst, `="`...)
	dst = append(dst, EscapeAttr(n.Space)...)
	return append(dst, '"')
}

// EscapeAttr makes s fit for an attribute's value in double quotes. Characters
// that XML does not allow, and bytes that are not UTF-8, become U+FFFD.
func EscapeAttr(s string) string {
	i := 0
	for i < len(s) && s[i] >= ' ' && charClass[s[i]]&clsAttr != 0 && s[i] != '"' && s[i] != '>' {
		i++
	}
	if i == len(s) {
		return s
	}
	var b strings.Builder
	b.WriteString(s[:i])
	for _, r := range s[i:] {
		switch r {
		case '&':
			b.WriteString("&amp;")
		case '<':
			b.WriteString("&lt;")
		case '>':
			b.WriteString("&gt;")
		case '"':
			b.WriteString("&quot;")
		case '\t', '\n', '\r': // else a reader makes them spaces
			b.WriteString("&#")
			b.WriteString([...]string{'\t': "9", '\n': "10", '\r': "13"}[r])
			b.WriteByte(';')
		default:
			if !isChar(r) {
				r = '\uFFFD'
			}
			b.WriteRune(r)
		}
	}
	return b.String()
}
