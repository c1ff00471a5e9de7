package xcapdiff

import (
	"slices"
	"strconv"
	"strings"

	"github.com/tacit-presence/tacit/xmltree"
)

const (
	// maxOps bounds a patch: after each operation whoever applies it reads the
	// document anew. What needs more is told by fewer and larger ones.
	maxOps = 32
	// root is the selector of a document's root.
	root = "*"
)

// limits let a document in that has been let in before, under whatever limits.
func limits(size int) xmltree.Limits {
	lim := xmltree.DefaultLimits()
	lim.MaxBytes = max(lim.MaxBytes, size)
	lim.MaxNodes = max(lim.MaxNodes, size)
	return lim
}

// Changes gives the operations that make a document into another one, or one of
// the same canonical form, which is all that RFC 5874, 1 asks for. nil: there are
// none, such as where something outside of the root has changed, or none that
// is not far longer than the document. Whatever is given has been tried.
func Changes(before, after string) []Op {
	old, err := xmltree.Parse(before, limits(len(before)))
	if err != nil {
		return nil
	}
	now, err := xmltree.Parse(after, limits(len(after)))
	if err != nil || outside(old) != outside(now) {
		return nil
	}
	want := canonical(now)
	c := comparison{old: old, now: now}
	c.element(old.Root(), now.Root(), root)
	if len(c.ops) > 0 && len(c.ops) <= maxOps && makes(c.ops, before, want, len(after)) {
		return c.ops
	}
	c.ops = nil
	c.replace(now.Root(), root)
	if makes(c.ops, before, want, len(after)) {
		return c.ops
	}
	return nil
}

// makes reports whether the operations make of a document what is wanted.
func makes(ops []Op, before, want string, size int) bool {
	item := Item{Sel: "x", Was: "1", Is: "2", Ops: ops}
	if item.Size() > size+size/2+1024 {
		return false
	}
	d, err := Parse(Diff{Items: []Item{item}}.Text())
	if err != nil {
		return false
	}
	got, err := d.Items[0].patch.Apply(before, limits(2*len(before)+size))
	if err != nil {
		return false
	}
	doc, err := xmltree.Parse(got, limits(len(got)))
	return err == nil && canonical(doc) == want
}

// outside is what stands around the root, but for white space and the XML
// declaration.
func outside(d *xmltree.Doc) string {
	var b strings.Builder
	for n := d.FirstChild(xmltree.Document); n != xmltree.None; n = d.Next(n) {
		if n == d.Root() {
			b.WriteByte('<')
			continue
		}
		b.WriteString(d.Raw(n))
		b.WriteByte('>')
	}
	return b.String()
}

// canonical is a form that only documents of one canonical form share: that of
// Canonical XML but for what need not be the same here, such as the spelling of
// characters in texts.
func canonical(d *xmltree.Doc) string {
	b := make([]byte, 0, len(d.Source()))
	var open []xmltree.Node // elements whose end has not come
	end := func(n xmltree.Node) {
		for len(open) > 0 && d.After(open[len(open)-1]) <= n {
			b = append(b, "</>"...)
			open = open[:len(open)-1]
		}
	}
	for n := xmltree.Document + 1; int(n) < d.Len(); n++ {
		end(n)
		if d.Kind(n) != xmltree.KindElement {
			b = append(b, d.Raw(n)...)
			continue
		}
		b = appendTag(b, d, n)
		open = append(open, n)
	}
	end(xmltree.Node(d.Len()))
	return string(b)
}

// appendTag appends a start tag whose attributes are in a fixed order.
func appendTag(b []byte, d *xmltree.Doc, n xmltree.Node) []byte {
	attrs := make([]string, 0, d.NumAttrs(n))
	for i := range d.NumAttrs(n) {
		a := d.AttrAt(n, i)
		name, _, _ := strings.Cut(a.Raw(), "=")
		attrs = append(attrs, strings.TrimRight(name, " \t\r\n")+`="`+xmltree.EscapeAttr(a.Value())+`"`)
	}
	slices.Sort(attrs)
	b = append(append(b, '<'), qname(d, n)...)
	for _, a := range attrs {
		b = append(append(b, ' '), a...)
	}
	return append(b, '>')
}

func qname(d *xmltree.Doc, n xmltree.Node) string {
	return d.Source()[d.Span(n).Start+1 : d.NameEnd(n)]
}

// comparison finds the operations.
type comparison struct {
	old, now *xmltree.Doc
	ops      []Op
}

// element compares two elements that stand in one place, at path.
func (c *comparison) element(x, y xmltree.Node, path string) {
	mark := len(c.ops)
	if qname(c.old, x) == qname(c.now, y) && c.attributes(x, y, path) && c.children(x, y, path) && len(c.ops) <= maxOps {
		return
	}
	c.ops = c.ops[:mark]
	c.replace(y, path)
}

// replace puts y in the place of what is at path.
func (c *comparison) replace(y xmltree.Node, path string) {
	raw := c.now.Raw(y)
	c.ops = append(c.ops, Op{Name: "replace", Sel: path, Content: raw, Scope: scopeOf(c.now.AppendScope(nil, y), raw)})
}

// scopeOf leaves out the prefixes that a text cannot use.
func scopeOf(list []xmltree.Binding, text string) []xmltree.Binding {
	return slices.DeleteFunc(list, func(b xmltree.Binding) bool {
		return b.Space == "" || b.Prefix != "" && !strings.Contains(text, b.Prefix+":")
	})
}

// attributes compares attributes; false: what differs is more than those without
// prefix.
func (c *comparison) attributes(x, y xmltree.Node, path string) bool {
	old, special := plain(c.old, x)
	now, alike := plain(c.now, y)
	if special != alike {
		return false
	}
	for _, a := range now {
		v, there := c.old.Attr(x, "", a.Local())
		switch {
		case !there:
			c.ops = append(c.ops, Op{Name: "add", Sel: path, Type: "@" + a.Local(), Content: xmltree.EscapeAttr(a.Value())})
		case v != a.Value():
			c.ops = append(c.ops, Op{Name: "replace", Sel: path + "/@" + a.Local(), Content: xmltree.EscapeAttr(a.Value())})
		}
	}
	for _, a := range old {
		if _, still := c.now.Find(y, "", a.Local()); !still {
			c.ops = append(c.ops, Op{Name: "remove", Sel: path + "/@" + a.Local()})
		}
	}
	return true
}

// plain lists the attributes without prefix, and gives all others, namespaces
// among them, as one text.
func plain(d *xmltree.Doc, n xmltree.Node) (list []xmltree.Attr, others string) {
	var rest []string
	for i := range d.NumAttrs(n) {
		if a := d.AttrAt(n, i); a.Declares() || a.Space() != "" {
			rest = append(rest, a.Raw())
		} else {
			list = append(list, a)
		}
	}
	slices.Sort(rest)
	return list, strings.Join(rest, " ")
}

// run is a stretch of the children of an element.
type run struct {
	d    *xmltree.Doc
	all  []xmltree.Node
	from int
	to   int
}

func childrenOf(d *xmltree.Doc, n xmltree.Node) run {
	r := run{d: d}
	for c := d.FirstChild(n); c != xmltree.None; c = d.Next(c) {
		r.all = append(r.all, c)
	}
	r.to = len(r.all)
	return r
}

func (r *run) len() int { return r.to - r.from }

func (r *run) raw(i int) string { return r.d.Raw(r.all[i]) }

func (r *run) kind(i int) xmltree.Kind { return r.d.Kind(r.all[i]) }

// is reports whether there is an i-th child, of that kind.
func (r *run) is(i int, k xmltree.Kind) bool { return i >= 0 && i < len(r.all) && r.kind(i) == k }

// position is the i-th child's among the elements, from 1.
func (r *run) position(i int) int {
	n := 0
	for k := range i + 1 {
		if r.kind(k) == xmltree.KindElement {
			n++
		}
	}
	return n
}

func (r *run) path(parent string, i int) string {
	return parent + "/*[" + strconv.Itoa(r.position(i)) + "]"
}

// children compares what is in two elements of equal start tags, where equal
// texts mean the same; false: nothing smaller than the elements will do.
func (c *comparison) children(x, y xmltree.Node, path string) bool {
	a, b := childrenOf(c.old, x), childrenOf(c.now, y)
	same := func(i, k int) bool { return a.kind(i) == b.kind(k) && a.raw(i) == b.raw(k) }
	for a.from < a.to && b.from < b.to && same(a.from, b.from) {
		a.from, b.from = a.from+1, b.from+1
	}
	for a.from < a.to && b.from < b.to && same(a.to-1, b.to-1) {
		a.to, b.to = a.to-1, b.to-1
	}
	switch {
	case a.len() == 0 && b.len() == 0:
		return true
	case a.len() == 0:
		return c.insert(&a, &b, path)
	case b.len() == 0:
		return c.remove(&a, path)
	case len(a.all) == 1 && len(b.all) == 1 && a.is(0, xmltree.KindText) && b.is(0, xmltree.KindText):
		c.ops = append(c.ops, Op{Name: "replace", Sel: path + "/text()[1]", Content: b.raw(0)})
		return true
	}
	return c.pairs(&a, &b, path)
}

// pairs compares one by one children that have stayed in their places.
func (c *comparison) pairs(a, b *run, path string) bool {
	if a.len() != b.len() {
		return false
	}
	for i := range a.len() {
		x, y := a.from+i, b.from+i
		switch {
		case a.kind(x) == b.kind(y) && a.raw(x) == b.raw(y):
		case a.is(x, xmltree.KindElement) && b.is(y, xmltree.KindElement):
			c.element(a.all[x], b.all[y], a.path(path, x))
		default:
			return false
		}
	}
	return true
}

// insert adds the run of b where a has nothing.
func (c *comparison) insert(a, b *run, path string) bool {
	// A run that follows a text that it ends with may as well begin with it: then
	// it stands beside an element.
	for b.from > 0 && !b.is(b.from-1, xmltree.KindElement) && b.raw(b.from-1) == b.raw(b.to-1) {
		b.from, b.to, a.from = b.from-1, b.to-1, a.from-1
	}
	var content strings.Builder
	for i := b.from; i < b.to; i++ {
		content.WriteString(b.raw(i))
	}
	o := Op{Name: "add", Sel: path, Content: content.String()}
	switch {
	case a.from == len(a.all):
	case a.from == 0:
		o.Pos = "prepend"
	case a.is(a.from-1, xmltree.KindElement):
		o.Sel, o.Pos = a.path(path, a.from-1), "after"
	case a.is(a.from, xmltree.KindElement):
		o.Sel, o.Pos = a.path(path, a.from), "before"
	default:
		return false
	}
	for i := b.from; i < b.to; i++ {
		if b.is(i, xmltree.KindElement) {
			o.Scope = scopeOf(b.d.AppendScope(nil, b.all[i]), o.Content)
			break
		}
	}
	c.ops = append(c.ops, o)
	return true
}

// remove takes the run of a away: elements, each with the white space before or
// after it.
func (c *comparison) remove(a *run, path string) bool {
	if a.len() == 1 && len(a.all) == 1 && a.is(0, xmltree.KindText) {
		c.ops = append(c.ops, Op{Name: "remove", Sel: path + "/text()[1]"})
		return true
	}
	// From the last one on, so that those before keep their positions.
	for i := a.to - 1; i >= a.from; i-- {
		o := Op{Name: "remove"}
		if a.is(i, xmltree.KindText) {
			o.WS = "after"
			i--
		}
		if i < a.from || !a.is(i, xmltree.KindElement) {
			return false
		}
		o.Sel = a.path(path, i)
		if o.WS == "" && i > a.from && a.is(i-1, xmltree.KindText) && a.is(a.from, xmltree.KindText) {
			o.WS = "before"
			i--
		}
		c.ops = append(c.ops, o)
	}
	return true
}
