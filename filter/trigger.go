package filter

import (
	"strconv"
	"strings"

	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/xmltree"
)

// trigger is one <trigger>: all its parts must hold (RFC 4661, 3.6).
type trigger struct {
	changed        []change
	added, removed []*path
}

// change is one <changed>.
type change struct {
	path     *path
	from, to *string
	by       *float64
}

func (t *trigger) empty() bool { return len(t.changed)+len(t.added)+len(t.removed) == 0 }

func readTrigger(doc *xmltree.Doc, n xmltree.Node, prefixes map[string]string, clauses *int) (t trigger, err error) {
	for c := doc.FirstElement(n); c != xmltree.None; c = doc.NextElement(c) {
		*clauses++
		var p *path
		switch {
		case doc.Space(c) == LocationSpace:
			err = t.readLocation(doc, c)
		case doc.Space(c) != Space:
			err = bad("<%s> of namespace %q is not understood in <trigger>", doc.Local(c), doc.Space(c))
		case doc.FirstElement(c) != xmltree.None:
			err = bad("<%s> holds an element", doc.Local(c))
		case doc.Local(c) == "changed":
			var k change
			if k, err = readChange(doc, c, prefixes); err == nil {
				t.changed = append(t.changed, k)
			}
		case doc.Local(c) == "added":
			if p, err = parsePath(doc.Text(c), prefixes); err == nil {
				t.added = append(t.added, p)
			}
		case doc.Local(c) == "removed":
			if p, err = parsePath(doc.Text(c), prefixes); err == nil {
				t.removed = append(t.removed, p)
			}
		default:
			err = bad("<%s> is not understood in <trigger>", doc.Local(c))
		}
		if err != nil {
			return t, err
		}
	}
	return t, nil
}

func readChange(doc *xmltree.Doc, n xmltree.Node, prefixes map[string]string) (k change, err error) {
	if k.path, err = parsePath(doc.Text(n), prefixes); err != nil {
		return k, err
	}
	for name, to := range map[string]**string{"from": &k.from, "to": &k.to} {
		if v, ok := doc.Attr(n, "", name); ok {
			*to = &v
		}
	}
	if v, ok := doc.Attr(n, "", "by"); ok {
		d, ok := number(strings.Trim(v, " \t\r\n"))
		if !ok || d < 0 {
			return k, bad("by is %q, not a positive number", v)
		}
		k.by = &d
	}
	return k, nil
}

// Triggered reports whether what a watcher may see has changed from before to
// after in a way that it wants to be told of. Both are before its filter
// (RFC 4661, 3.6.1). Without triggers every change is.
func (f Filter) Triggered(before, after policy.Candidate) bool {
	if !f.Triggers() || before.None() != after.None() {
		return true
	}
	old, err := f.tree(before)
	if err != nil {
		return true
	}
	now, err := f.tree(after)
	if err != nil {
		return true
	}
	for i := range f.one.triggers {
		if f.one.triggers[i].fires(old, now) {
			return true
		}
	}
	return false
}

func (f Filter) tree(c policy.Candidate) (*xmltree.Doc, error) {
	doc := c.Document()
	if doc.Empty() {
		doc = pidf.Unavailable(f.entity)
	}
	tree, err := doc.Tree()
	return tree.Doc, err
}

func (t *trigger) fires(old, now *xmltree.Doc) bool {
	for i := range t.changed {
		if !t.changed[i].fires(old, now) {
			return false
		}
	}
	for _, p := range t.added {
		if !appears(p, old, now) {
			return false
		}
	}
	for _, p := range t.removed {
		if !appears(p, now, old) {
			return false
		}
	}
	return true
}

// appears reports whether something that p names is in now and not in old.
func appears(p *path, old, now *xmltree.Doc) bool {
	was, is := instances(p, old), instances(p, now)
	for _, k := range is.order {
		if _, ok := was.value[k]; !ok {
			return true
		}
	}
	return false
}

// values are what a path names in a document: value by instance.
type values struct {
	order []string
	value map[string]string
}

// instances finds what a path names. An instance is known by the way to it: the
// names of the elements and, for each, its id, or its place among its like.
func instances(p *path, doc *xmltree.Doc) values {
	v := values{value: map[string]string{}}
	p.elements(doc, func(n xmltree.Node) {
		value := text(doc, n)
		if p.attr != nil {
			var ok bool
			if value, ok = doc.Attr(n, p.attr.Space, p.attr.Local); !ok {
				return
			}
		}
		key := way(doc, n)
		v.order = append(v.order, key)
		v.value[key] = strings.Trim(value, " \t\r\n")
	})
	return v
}

func way(doc *xmltree.Doc, n xmltree.Node) string {
	var b strings.Builder
	for ; n > xmltree.Document; n = doc.Parent(n) {
		b.WriteString(doc.Space(n))
		b.WriteByte(' ')
		b.WriteString(doc.Local(n))
		if id, ok := doc.Attr(n, "", "id"); ok {
			b.WriteByte('#')
			b.WriteString(id)
		} else {
			place := 0
			for c := doc.FirstElement(doc.Parent(n)); c != n && c != xmltree.None; c = doc.NextElement(c) {
				if doc.Name(c) == doc.Name(n) {
					place++
				}
			}
			b.WriteByte('[')
			b.WriteString(strconv.Itoa(place))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// fires compares each instance with what it was. Instances that are new are
// compared in order with those that are gone: where a presentity's one tuple
// takes the place of another, its status has changed.
func (k *change) fires(old, now *xmltree.Doc) bool {
	was, is := instances(k.path, old), instances(k.path, now)
	var gone []string
	for _, key := range was.order {
		if _, ok := is.value[key]; !ok {
			gone = append(gone, was.value[key])
		}
	}
	for _, key := range is.order {
		before, ok := was.value[key]
		if !ok {
			if len(gone) == 0 {
				continue
			}
			before, gone = gone[0], gone[1:]
		}
		if k.between(before, is.value[key]) {
			return true
		}
	}
	return false
}

// between reports whether a change of a value is one that is asked for (RFC 4661,
// 3.6.1.4: all that is said must hold).
func (k *change) between(before, after string) bool {
	if same(before, after) || k.from != nil && !same(before, *k.from) || k.to != nil && !same(after, *k.to) {
		return false
	}
	if k.by == nil {
		return true
	}
	a, ok := number(before)
	b, ok2 := number(after)
	return ok && ok2 && max(a-b, b-a) >= *k.by
}

// same compares values: as numbers where both are.
func same(a, b string) bool {
	a, b = strings.Trim(a, " \t\r\n"), strings.Trim(b, " \t\r\n")
	if a == b {
		return true
	}
	x, ok := number(a)
	y, ok2 := number(b)
	return ok && ok2 && x == y
}
