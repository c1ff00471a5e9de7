package pidf

import (
	"slices"
	"strconv"
	"strings"

	"github.com/tacit-presence/tacit/xmltree"
)

const (
	// maxDiffParts bounds the parts that are compared; more change as a whole.
	maxDiffParts = 256
	// maxDiffDepth bounds how deep a change is looked for; presence has five
	// levels. Each may cost a predicate, of which a selector has few.
	maxDiffDepth = 8
	// maxDiffSelector bounds a selector, which a receiver bounds too.
	maxDiffSelector = 1 << 10
	// maxDiffWork bounds what applying the changes costs, in bytes of documents
	// that are read: half of what this package itself allows.
	maxDiffWork = 32 * MaxBytes
)

// DiffOf makes the pidf-diff that turns one document into another (RFC 5262, 3).
// Both are as Assembly.Render writes them, for one entity. It is false where a
// pidf-full is no larger, or where operations cannot express the change.
//
// What has been removed or has moved is removed first, with the line break
// before it. Then each part of the new document comes to its place: added after
// the one before it, or kept, and if it has changed, changed in the smallest
// element, text or attribute that makes the difference.
func DiffOf(old, new string) (Partial, bool) {
	f := differ{budget: 4 * len(new)}
	if !f.read(old, new) || !f.declarations() {
		return Partial{}, false
	}
	f.parts()
	f.undeclare()
	if f.failed {
		return Partial{}, false
	}
	p := f.document()
	return p, len(p.Text) < len(FullOf(new).Text)
}

// differ makes one pidf-diff.
type differ struct {
	old, new *xmltree.Doc
	root     []xmltree.Binding // what the new root declares
	gone     []string          // prefixes that the old one declares alone
	p        string            // prefix of the operations' names
	used     []bool            // of root: a name in the operations has it
	ops      []string
	budget   int // bytes of operations and selectors
	work     int // bytes that are read when the operations are applied
	failed   bool
}

// item is a part in the document as it is after the operations so far.
type item struct {
	node xmltree.Node
	xmltree.Name
	sel string // its name in a selector, empty if that needs another prefix
	id  string
	raw string
}

func (f *differ) read(old, new string) bool {
	if len(old) > MaxBytes || len(new) > MaxBytes || !strings.HasPrefix(old, prolog) || !strings.HasPrefix(new, prolog) {
		return false
	}
	var err error
	if f.old, err = xmltree.Parse(old, xmltree.Limits{}); err != nil {
		return false
	}
	f.new, err = xmltree.Parse(new, xmltree.Limits{})
	return err == nil
}

// declarations makes the namespaces of the two roots equal.
func (f *differ) declarations() bool {
	before, entity, ok := rootOf(f.old)
	after, newEntity, ok2 := rootOf(f.new)
	if !ok || !ok2 || entity != newEntity {
		return false
	}
	f.root, f.used = after, make([]bool, len(after))
	f.p = partialPrefix(func(prefix string) bool {
		return slices.ContainsFunc(before, named(prefix)) || slices.ContainsFunc(after, named(prefix))
	})
	for _, b := range before {
		if i := slices.IndexFunc(after, named(b.Prefix)); i < 0 {
			f.gone = append(f.gone, b.Prefix)
		} else if after[i].Space != b.Space {
			return false // what is unchanged would mean something else
		}
	}
	for _, b := range after {
		if slices.ContainsFunc(before, named(b.Prefix)) {
			continue
		}
		if isPartialPrefix(b.Prefix) {
			return false // the watcher's root may have it from a pidf-full
		}
		f.operation("add", "*", `" type="namespace::`+b.Prefix, xmltree.EscapeAttr(b.Space))
	}
	return true
}

func named(prefix string) func(xmltree.Binding) bool {
	return func(b xmltree.Binding) bool { return b.Prefix == prefix }
}

// rootOf reads what a root says: namespaces beside the default one, and entity.
func rootOf(d *xmltree.Doc) (list []xmltree.Binding, entity string, ok bool) {
	for i := range d.NumAttrs(d.Root()) {
		switch a := d.AttrAt(d.Root(), i); {
		case a.Declares() && a.Prefix() != "":
			list = append(list, xmltree.Binding{Prefix: a.Prefix(), Space: a.Value()})
		case a.Declares():
		case a.Space() == "" && a.Local() == "entity":
			entity = a.Value()
		default:
			return nil, "", false
		}
	}
	return list, entity, true
}

// undeclare removes the namespaces that the new root has no more.
func (f *differ) undeclare() {
	for _, prefix := range f.gone {
		f.operation("remove", "*/namespace::"+prefix, "", "")
	}
}

// items lists the parts; false if there is not one a line, as Render has it.
func (f *differ) items(d *xmltree.Doc) ([]item, bool) {
	var list []item
	n := d.FirstChild(d.Root())
	for {
		if n == xmltree.None || d.Kind(n) != xmltree.KindText || d.Raw(n) != "\n" {
			return nil, false
		}
		if n = d.Next(n); n == xmltree.None {
			return list, true
		}
		if d.Kind(n) != xmltree.KindElement || len(list) == maxDiffParts {
			return nil, false
		}
		id, _ := d.Attr(n, "", "id")
		list = append(list, item{n, d.Name(n), f.name(d, n), id, d.Raw(n)})
		n = d.Next(n)
	}
}

// name returns what an element is called in a selector, empty if the root does
// not declare its prefix so.
func (f *differ) name(d *xmltree.Doc, n xmltree.Node) string {
	prefix, space := d.Prefix(n), d.Space(n)
	if prefix == "" {
		if space != Space {
			return ""
		}
		return d.Local(n)
	}
	if f.declared(prefix, space) < 0 {
		return ""
	}
	return prefix + ":" + d.Local(n)
}

// declared returns which of the root's declarations says that, -1 if none.
func (f *differ) declared(prefix, space string) int {
	i := slices.IndexFunc(f.root, named(prefix))
	if i >= 0 && f.root[i].Space != space {
		return -1
	}
	return i
}

// use notes that a name needs a prefix of the root, if it is of the root.
func (f *differ) use(prefix, space string) {
	if i := f.declared(prefix, space); i >= 0 {
		f.used[i] = true
	}
}

// parts makes the operations on parts.
func (f *differ) parts() {
	now, ok := f.items(f.old)
	want, ok2 := f.items(f.new)
	if !ok || !ok2 {
		f.failed = true
		return
	}
	kept := keep(now, want)
	stays := make([]bool, len(now))
	for _, i := range kept {
		if i >= 0 {
			stays[i] = true
		}
	}
	for i := len(now) - 1; i >= 0; i-- {
		if !stays[i] {
			f.operation("remove", selector(now, i), `" ws="before`, "")
			now = slices.Delete(now, i, i+1)
		}
	}
	for i := 0; i < len(want) && !f.failed; {
		if kept[i] >= 0 {
			if now[i].raw != want[i].raw {
				f.changed(now[i].node, want[i].node, selector(now, i), 0)
			}
			now[i] = want[i]
			i++
			continue
		}
		end := i + 1
		for end < len(want) && kept[end] < 0 {
			end++
		}
		f.add(now, i, want[i:end])
		now = slices.Insert(now, i, want[i:end]...)
		i = end
	}
}

// add puts parts to place i.
func (f *differ) add(now []item, i int, parts []item) {
	var b strings.Builder
	for k := range parts {
		f.content(parts[k].node)
		if i < len(now) {
			b.WriteString("\n")
		}
		b.WriteString(parts[k].raw)
		if i == len(now) {
			b.WriteString("\n")
		}
	}
	switch {
	case i == len(now):
		f.operation("add", "*", "", b.String())
	case i == 0:
		f.operation("add", "*", `" pos="prepend`, b.String())
	default:
		f.operation("add", selector(now, i-1), `" pos="after`, b.String())
	}
}

// selector makes what finds part i.
func selector(now []item, i int) string {
	it := &now[i]
	if it.sel == "" {
		return "*/*[" + strconv.Itoa(i+1) + "]"
	}
	pos, same, sameID := 0, 0, 0
	for k := range now {
		if now[k].Name != it.Name {
			continue
		}
		if same++; k <= i {
			pos++
		}
		if now[k].id == it.id {
			sameID++
		}
	}
	switch {
	case it.id != "" && sameID == 1 && xmltree.IsNCName(it.id):
		return "*/" + it.sel + "[@id='" + it.id + "']"
	case same == 1:
		return "*/" + it.sel
	}
	return "*/" + it.sel + "[" + strconv.Itoa(pos) + "]"
}

// partKey is what makes two parts the same one: its id, else its text.
type partKey struct {
	xmltree.Name
	id, raw string
}

func (it *item) key() partKey {
	if it.id != "" {
		return partKey{it.Name, it.id, ""}
	}
	return partKey{it.Name, "", it.raw}
}

// keep finds for each new part the old one that it comes of, -1 if none: the
// most that stand in the same order.
func keep(old, new []item) []int {
	kept := make([]int, len(new))
	queues := make(map[partKey][]int, len(old))
	for i := range old {
		queues[old[i].key()] = append(queues[old[i].key()], i)
	}
	taken := make([]bool, len(old))
	for i := range new {
		kept[i] = -1
		if q := queues[new[i].key()]; len(q) > 0 {
			kept[i], queues[new[i].key()], taken[q[0]] = q[0], q[1:], true
		}
	}
	// A part without id that has changed is the one of its name that is left.
	left := map[xmltree.Name][]int{}
	for i := range old {
		if !taken[i] && old[i].id == "" {
			left[old[i].Name] = append(left[old[i].Name], i)
		}
	}
	for i := range new {
		if q := left[new[i].Name]; kept[i] < 0 && new[i].id == "" && len(q) > 0 {
			kept[i], left[new[i].Name] = q[0], q[1:]
		}
	}
	return increasing(kept)
}

// increasing sets to -1 what is not of a longest increasing subsequence.
func increasing(list []int) []int {
	length, before := make([]int, len(list)), make([]int, len(list))
	best := -1
	for i, v := range list {
		if v < 0 {
			continue
		}
		length[i], before[i] = 1, -1
		for k := range i {
			if list[k] >= 0 && list[k] < v && length[k] >= length[i] {
				length[i], before[i] = length[k]+1, k
			}
		}
		if best < 0 || length[i] > length[best] {
			best = i
		}
	}
	in := make([]bool, len(list))
	for ; best >= 0; best = before[best] {
		in[best] = true
	}
	for i := range list {
		if !in[i] {
			list[i] = -1
		}
	}
	return list
}

// changed makes the operations that turn an element into another, where it
// stands: those within it if they are shorter than its replacement.
func (f *differ) changed(o, n xmltree.Node, sel string, depth int) {
	if f.budget -= len(sel); f.budget < 0 {
		f.failed = true
	}
	if f.failed || f.old.Raw(o) == f.new.Raw(n) {
		return
	}
	first, work := len(f.ops), f.work
	if f.inside(o, n, sel, depth) {
		size := 0
		for _, op := range f.ops[first:] {
			size += len(op)
		}
		if size < len("<p:replace sel=''></p:replace>")+len(sel)+len(f.new.Raw(n)) {
			return
		}
	}
	f.ops, f.work = f.ops[:first], work
	f.content(n)
	f.operation("replace", sel, "", f.new.Raw(n))
}

// inside makes the operations for what differs within two elements; false if
// there is more than values, texts and elements of the same names.
func (f *differ) inside(o, n xmltree.Node, sel string, depth int) bool {
	if depth == maxDiffDepth || f.old.Name(o) != f.new.Name(n) || !f.attributes(o, n, sel) {
		return false
	}
	count, pos := map[xmltree.Name]int{}, map[xmltree.Name]int{}
	for c := f.old.FirstElement(o); c != xmltree.None; c = f.old.NextElement(c) {
		count[f.old.Name(c)]++
	}
	all := 0
	a, b := f.old.FirstChild(o), f.new.FirstChild(n)
	for ; a != xmltree.None && b != xmltree.None; a, b = f.old.Next(a), f.new.Next(b) {
		kind := f.old.Kind(a)
		if kind != f.new.Kind(b) {
			return false
		}
		if kind == xmltree.KindElement {
			name := f.old.Name(a)
			if name != f.new.Name(b) {
				return false
			}
			all++
			pos[name]++
			step := f.name(f.old, a)
			switch {
			case step == "":
				step = "*[" + strconv.Itoa(all) + "]"
			case count[name] > 1:
				step += "[" + strconv.Itoa(pos[name]) + "]"
			}
			if f.old.Raw(a) == f.new.Raw(b) {
				continue
			}
			if len(sel)+len(step) > maxDiffSelector {
				return false
			}
			f.changed(a, b, sel+"/"+step, depth+1)
			if f.failed {
				return true
			}
			continue
		}
		if f.old.Raw(a) == f.new.Raw(b) {
			continue
		}
		if kind != xmltree.KindText || f.old.Next(a) != xmltree.None || f.new.Next(b) != xmltree.None || a != f.old.FirstChild(o) {
			return false
		}
		f.operation("replace", sel+"/text()", "", f.new.Raw(b))
	}
	return a == b // both None
}

// attributes makes the operations for the values of attributes. An element that
// declares namespaces changes as a whole: what is within it may need them.
func (f *differ) attributes(o, n xmltree.Node, sel string) bool {
	if f.old.NumAttrs(o) != f.new.NumAttrs(n) {
		return false
	}
	for i := range f.old.NumAttrs(o) {
		a, b := f.old.AttrAt(o, i), f.new.AttrAt(n, i)
		if a.Declares() || b.Declares() || a.Local() != b.Local() || a.Space() != b.Space() {
			return false
		}
		if a.Value() == b.Value() {
			continue
		}
		name := a.Local()
		if a.Space() != "" {
			prefix, _, _ := strings.Cut(a.Raw(), ":")
			if prefix != "xml" && f.declared(prefix, a.Space()) < 0 {
				return false
			}
			name = prefix + ":" + name
		}
		f.operation("replace", sel+"/@"+name, "", xmltree.EscapeAttr(b.Value()))
	}
	return true
}

// content notes the prefixes of the root that an element of the new document
// uses in names. What else it uses, it declares itself.
func (f *differ) content(n xmltree.Node) {
	for i, end := n, f.new.After(n); i < end; i++ {
		if f.new.Kind(i) != xmltree.KindElement {
			continue
		}
		if prefix := f.new.Prefix(i); prefix != "" {
			f.use(prefix, f.new.Space(i))
		}
		for k := range f.new.NumAttrs(i) {
			if a := f.new.AttrAt(i, k); !a.Declares() && a.Space() != "" {
				prefix, _, _ := strings.Cut(a.Raw(), ":")
				f.use(prefix, a.Space())
			}
		}
	}
}

// operation appends one; more are attributes after sel, without the last quote.
func (f *differ) operation(name, sel, more, content string) {
	f.work += (1 + strings.Count(sel, "[")) * (len(f.old.Source()) + len(f.new.Source()))
	var b strings.Builder
	b.WriteString("<" + f.p + ":" + name + ` sel="` + sel + more + `"`)
	if content == "" {
		b.WriteString("/>\n")
	} else {
		b.WriteString(">" + content + "</" + f.p + ":" + name + ">\n")
	}
	for i, n := range f.root {
		f.used[i] = f.used[i] || strings.Contains(sel, "/"+n.Prefix+":") || strings.Contains(sel, "@"+n.Prefix+":")
	}
	f.budget -= b.Len()
	if f.budget < 0 || f.work > maxDiffWork || len(sel) > maxDiffSelector {
		f.failed = true
		return
	}
	f.ops = append(f.ops, b.String())
}

// document puts the operations together.
func (f *differ) document() Partial {
	var b strings.Builder
	partialRoot(&b, f.p, "pidf-diff")
	for i, n := range f.root {
		if f.used[i] {
			b.Write(xmltree.AppendBinding(nil, n))
		}
	}
	entity, _ := f.new.Find(f.new.Root(), "", "entity")
	b.WriteString(" " + entity.Raw() + ` version="`)
	at := b.Len()
	b.WriteString("\">\n")
	for _, op := range f.ops {
		b.WriteString(op)
	}
	b.WriteString("</" + f.p + ":pidf-diff>\n")
	return Partial{b.String(), at}
}
