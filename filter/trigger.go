package filter

import (
	"slices"
	"strings"

	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/xmltree"
)

// trigger is one <trigger>: all its parts must hold (RFC 4661, 3.6).
type trigger struct {
	changed        []change
	added, removed []*path
	where          []where
}

// change is one <changed>.
type change struct {
	path     *path
	from, to *string
	by       *float64
}

func (t *trigger) empty() bool {
	return len(t.changed)+len(t.added)+len(t.removed)+len(t.where) == 0
}

func readTrigger(doc *xmltree.Doc, n xmltree.Node, prefixes map[string]string, clauses *int) (t trigger, err error) {
	for c := doc.FirstElement(n); c != xmltree.None; c = doc.NextElement(c) {
		*clauses++
		var p *path
		switch {
		case doc.Space(c) == LocationSpace:
			var w where
			if w, err = readWhere(doc, c); err == nil && !w.regions && slices.ContainsFunc(t.where, func(o where) bool { return !o.regions }) {
				err = bad("there are two <moved>")
			}
			t.where = append(t.where, w)
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

// basicName is the element that RFC 4661, 6.2 has with values in capitals, which
// RFC 3863 has in small letters.
var basicName = xmltree.Name{Space: pidf.Space, Local: "basic"}

func readChange(doc *xmltree.Doc, n xmltree.Node, prefixes map[string]string) (k change, err error) {
	if k.path, err = parsePath(doc.Text(n), prefixes); err != nil {
		return k, err
	}
	ofBasic := k.path.attr == nil && k.path.steps[len(k.path.steps)-1].name == basicName
	for name, to := range map[string]**string{"from": &k.from, "to": &k.to} {
		if v, ok := doc.Attr(n, "", name); ok {
			if ofBasic {
				v = strings.ToLower(v)
			}
			*to = &v
		}
	}
	if v, ok := doc.Attr(n, "", "by"); ok {
		d, ok := number(strings.Trim(v, blanks))
		if !ok || d < 0 {
			return k, bad("by is %q, not a positive number", v)
		}
		k.by = &d
		for _, other := range []*string{k.from, k.to} {
			if other == nil {
				continue
			}
			if _, ok := number(strings.Trim(*other, blanks)); !ok { // RFC 4661, 3.6.1.4
				return k, bad("%q beside by is not a number", *other)
			}
		}
	}
	return k, nil
}

// Triggered reports whether what a watcher may see has changed in a way that it
// wants to be told of. before is what it could see when it was last told, and
// after what it can see now, both before its filter (RFC 4661, 3.6.1; RFC 6447,
// 3.1). Without triggers every change is one.
//
// Where it cannot be found out in time the watcher is told: too much, not too
// little.
func (f Filter) Triggered(before, after policy.Candidate) bool {
	return f.triggered(before, after, func(*trigger) bool { return true })
}

// Stepped is Triggered with what the watcher could see when its triggers were last
// asked, though it was not told: what goes from open by closed to open again has
// become open. How far something is from what it was counts from what was told
// alone, so that triggers with by, and those of RFC 6447, are not asked.
func (f Filter) Stepped(seen, after policy.Candidate) bool {
	return f.triggered(seen, after, func(t *trigger) bool {
		return len(t.where) == 0 && !slices.ContainsFunc(t.changed, func(k change) bool { return k.by != nil })
	})
}

func (f Filter) triggered(before, after policy.Candidate, asked func(*trigger) bool) bool {
	if !f.Triggers() || before.None() != after.None() {
		return true
	}
	left := maxVisits
	old, ok := f.tree(before, &left)
	now, ok2 := f.tree(after, &left)
	return !ok || !ok2 || f.fires(old, now, asked)
}

// TriggeredText is Triggered for documents of another package (see Text).
func (f Filter) TriggeredText(before, after string) bool {
	if !f.Triggers() {
		return true
	}
	old, ok := evaluate(before)
	now, ok2 := evaluate(after)
	if !ok || !ok2 {
		return true
	}
	now.left = old.left
	return f.fires(old, now, func(*trigger) bool { return true })
}

func (f Filter) tree(c policy.Candidate, left *int) (evaluation, bool) {
	doc := c.Document()
	if doc.Empty() {
		doc = pidf.Unavailable(f.entity)
	}
	tree, err := doc.Tree()
	return evaluation{tree.Doc, f.entity, left}, err == nil && tree.Doc != nil
}

// fires asks those of the triggers: one that holds is enough (RFC 4661, 3.6).
func (f Filter) fires(old, now evaluation, asked func(*trigger) bool) bool {
	m := match(old, now)
	for i := range f.one.triggers {
		if t := &f.one.triggers[i]; asked(t) && (m.fires(t) || now.over()) {
			return true
		}
	}
	return now.over()
}

// fires reports whether all that a trigger asks for is true.
func (m *matching) fires(t *trigger) bool {
	for i := range t.changed {
		if !m.changed(&t.changed[i]) {
			return false
		}
	}
	for _, p := range t.added {
		if !m.appears(p, m.old, m.now) {
			return false
		}
	}
	for _, p := range t.removed {
		if !m.appears(p, m.now, m.old) {
			return false
		}
	}
	if len(t.where) > 0 && !m.placed {
		m.from, m.known = place(m.old.doc)
		m.to, m.placed = place(m.now.doc)
		if !m.placed {
			return false // one that is not known any longer has not moved
		}
	}
	for i := range t.where {
		if !t.where[i].fires(m.from, m.known, m.to) {
			return false
		}
	}
	return true
}

// appears reports whether something that p names is in now and not in old.
func (m *matching) appears(p *path, old, now evaluation) bool {
	was := map[uint64]bool{}
	for _, i := range m.instances(p, old, false) {
		was[i.key] = true
	}
	for _, i := range m.instances(p, now, false) {
		if !was[i.key] {
			return true
		}
	}
	return false
}

// changed compares each instance of a value with what it was. One that was not
// there has not changed.
func (m *matching) changed(k *change) bool {
	was := map[uint64]string{}
	for _, i := range m.instances(k.path, m.old, true) {
		was[i.key] = i.value
	}
	for _, i := range m.instances(k.path, m.now, true) {
		if before, ok := was[i.key]; ok && k.between(before, i.value) {
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
	a, ok := number(strings.Trim(before, blanks))
	b, ok2 := number(strings.Trim(after, blanks))
	return ok && ok2 && max(a-b, b-a) >= *k.by
}

// same compares values: as numbers where both are.
func same(a, b string) bool {
	a, b = strings.Trim(a, blanks), strings.Trim(b, blanks)
	if a == b {
		return true
	}
	x, ok := number(a)
	y, ok2 := number(b)
	return ok && ok2 && x == y
}
