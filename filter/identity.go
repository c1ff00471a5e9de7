package filter

import (
	"encoding/binary"
	"strings"

	"github.com/tacit-presence/tacit/location"
	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/xmltree"
)

// matching says which elements of two documents are the same one. An element is
// known by the way to it: the names of the elements and, for each, its id, or its
// place among its like.
//
// For the root's children that is not enough. Where a watcher may see a part of
// the presence only, the ids of tuples, persons and devices are made of what is
// told, and clients make new ones as they start. So those whose id the other document has not are the
// same if they say the same contact, device, class and service, each with the
// first such. What is left is new, or gone. But where a value is asked for that
// has changed, what is new is taken as the successor, in order, of what of its
// kind is gone: a presentity's one tuple that takes the place of another.
type matching struct {
	old, now evaluation
	same     map[partOf]uint64
	heir     map[partOf]uint64 // with successors

	placed   bool // from and to have been read, and to is known
	known    bool // from is known
	from, to location.Shape
}

// partOf is a child of the root of one of the two documents.
type partOf struct {
	doc  *xmltree.Doc
	node xmltree.Node
}

// part is a child of the root.
type part struct {
	partOf
	id, says, kind string // without an id, id is empty
	matched        bool
}

func match(old, now evaluation) *matching {
	m := &matching{old: old, now: now, same: map[partOf]uint64{}, heir: map[partOf]uint64{}}
	was, is := parts(old), parts(now)
	serial := uint64(0)
	pair := func(key func(*part) string, same bool) {
		waiting := map[string][]*part{}
		for i := range was {
			if p := &was[i]; !p.matched {
				k := key(p)
				waiting[k] = append(waiting[k], p)
			}
		}
		for i := range is {
			p := &is[i]
			list := waiting[key(p)]
			if p.matched || len(list) == 0 || key(p) == "" {
				continue
			}
			waiting[key(p)] = list[1:]
			serial++
			p.matched, list[0].matched = true, true
			m.heir[p.partOf], m.heir[list[0].partOf] = serial, serial
			if same {
				m.same[p.partOf], m.same[list[0].partOf] = serial, serial
			}
		}
	}
	pair(func(p *part) string { return p.id }, true)
	pair(func(p *part) string { return p.says }, true)
	pair(func(p *part) string { return p.kind }, false)
	for _, list := range [][]part{was, is} {
		for i := range list {
			serial++
			if _, ok := m.same[list[i].partOf]; !ok {
				m.same[list[i].partOf] = serial
			}
			if _, ok := m.heir[list[i].partOf]; !ok {
				m.heir[list[i].partOf] = serial
			}
		}
	}
	return m
}

func parts(e evaluation) (list []part) {
	doc := e.doc
	for n := doc.FirstElement(doc.Root()); n != xmltree.None && e.spend(1); n = doc.NextElement(n) {
		p := part{partOf: partOf{doc, n}, kind: doc.Space(n) + " " + doc.Local(n)}
		if id, ok := doc.Attr(n, "", "id"); ok {
			p.id = p.kind + " " + id
		}
		var says strings.Builder
		says.WriteString(p.kind)
		for c := doc.FirstElement(n); c != xmltree.None && e.spend(1); c = doc.NextElement(c) {
			if doc.Is(c, pidf.Space, "contact") || doc.Is(c, pidf.DataModelSpace, "deviceID") ||
				doc.Is(c, pidf.RPIDSpace, "class") || doc.Is(c, pidf.OMASpace, "service-description") {
				says.WriteString(" " + doc.Local(c) + " " + strings.Trim(e.text(c), blanks))
			}
		}
		p.says = says.String()
		list = append(list, p)
	}
	return list
}

// instance is one thing that a path names.
type instance struct {
	key   uint64
	value string
}

// instances finds what a path names; successors says whether a part that takes
// another's place is the same.
func (m *matching) instances(p *path, e evaluation, successors bool) (list []instance) {
	known := m.same
	if successors {
		known = m.heir
	}
	for _, n := range e.elements(p) {
		i := instance{key: way(e, n, known)}
		if p.attr == nil {
			i.value = e.text(n)
		} else {
			var ok bool
			if i.value, ok = e.attr(n, *p.attr); !ok {
				continue
			}
		}
		list = append(list, i)
	}
	return list
}

// way is a hash of the way to an element.
func way(e evaluation, n xmltree.Node, known map[partOf]uint64) uint64 {
	doc, root := e.doc, e.doc.Root()
	var b []byte
	for ; n > root && e.spend(1); n = doc.Parent(n) {
		if doc.Parent(n) == root {
			b = binary.LittleEndian.AppendUint64(b, known[partOf{doc, n}])
			break
		}
		b = append(append(append(b, doc.Space(n)...), ' '), doc.Local(n)...)
		if id, ok := doc.Attr(n, "", "id"); ok {
			b = append(append(b, '#'), id...)
		} else {
			place := 0
			for c := doc.FirstElement(doc.Parent(n)); c != n && c != xmltree.None && e.spend(1); c = doc.NextElement(c) {
				if doc.Is(c, doc.Space(n), doc.Local(n)) {
					place++
				}
			}
			b = binary.AppendUvarint(append(b, '['), uint64(place))
		}
		b = append(b, '\n')
	}
	return pidf.Sum(string(b))
}
