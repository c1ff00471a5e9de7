package compose

import (
	"math/bits"
	"strconv"
)

// table is a map that is cheap while it is small.
type table[K comparable, V any] struct {
	keys   []K
	values []V
	big    map[K]V
}

const smallTable = 16

func (t *table[K, V]) get(k K) (v V, ok bool) {
	if t.big != nil {
		v, ok = t.big[k]
		return v, ok
	}
	for i := range t.keys {
		if t.keys[i] == k {
			return t.values[i], true
		}
	}
	return v, false
}

// put adds a key that is not there.
func (t *table[K, V]) put(k K, v V) {
	if t.big == nil && len(t.keys) < smallTable {
		t.keys, t.values = append(t.keys, k), append(t.values, v)
		return
	}
	if t.big == nil {
		t.big = make(map[K]V, 4*smallTable)
		for i := range t.keys {
			t.big[t.keys[i]] = t.values[i]
		}
	}
	t.big[k] = v
}

func (t *table[K, V]) reset() {
	clear(t.keys)
	clear(t.values)
	t.keys, t.values, t.big = t.keys[:0], t.values[:0], nil
}

// rename makes the ids of all sources different, oldest first: what has no rival
// before it keeps its name.
func (b *builder) rename() {
	if len(b.sources) == 1 && !b.sources[0].Apart {
		return
	}
	for _, s := range b.bySerial {
		b.renameOne(s)
	}
}

// renameOne names one source's ids. What keeps its name is taken first, so that
// no new name is one of those.
func (b *builder) renameOne(s *source) {
	doc := s.Doc
	b.rivals = b.rivals[:0]
	for k := range doc.Parts() {
		p := &doc.Parts()[k]
		if !b.keeps(s, p) {
			continue
		}
		first := doc.FirstID(p)
		for i, id := range doc.IDs(p) {
			if _, rival := b.taken.get(id.Value); rival || s.Apart {
				b.rivals = append(b.rivals, first+i)
			} else {
				b.taken.put(id.Value, struct{}{})
			}
		}
	}
	if len(b.rivals) == 0 {
		return
	}
	ids := doc.AllIDs()
	s.renamed = make([]string, len(ids))
	for _, i := range b.rivals {
		name := newName(ids[i].Value, s.Serial, &b.taken)
		b.taken.put(name, struct{}{})
		s.renamed[i] = name
	}
}

// newName makes another id: the same for the same publication and id, unless it
// is taken too.
func newName(id string, serial uint64, taken *table[string, struct{}]) string {
	base := id + "-" + strconv.FormatUint(uint64(suffix(serial)), 36)
	name := base
	for i := 2; ; i++ {
		if _, ok := taken.get(name); !ok {
			return name
		}
		name = base + "-" + strconv.Itoa(i)
	}
}

// suffix hashes a Serial, to 32 bits so that many have each value: it must not
// tell what the Serial is.
func suffix(serial uint64) uint32 {
	hi, lo := bits.Mul64(serial^0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93)
	x := hi ^ lo
	return uint32(x ^ x>>32)
}

// Collides reports whether the document of a publication has an id that another
// of the publications has too. A caller that keeps Publication.Apart asks when
// the document comes.
func Collides(pub Publication, others []Publication) bool {
	var ids table[string, struct{}]
	for _, id := range pub.Doc.AllIDs() {
		ids.put(id.Value, struct{}{})
	}
	for i := range others {
		if others[i].Serial == pub.Serial {
			continue
		}
		for _, id := range others[i].Doc.AllIDs() {
			if _, ok := ids.get(id.Value); ok {
				return true
			}
		}
	}
	return false
}
