package identity

import (
	"hash/maphash"
	"maps"
	"sync/atomic"
)

// snapshotParts is how many pieces a snapshot has. With 200,000 users a change
// then copies some 800 entries, not all.
const snapshotParts = 256

// snapshot is a map that is read without locks. A writer copies the parts that
// it changes and then puts them in place, part by part: a reader sees each part
// before or after the change. Writers exclude one another.
type snapshot[K comparable, V any] struct {
	seed  maphash.Seed
	parts [snapshotParts]atomic.Pointer[map[K]V]
}

func (s *snapshot[K, V]) init() {
	s.seed = maphash.MakeSeed()
	for i := range s.parts {
		s.parts[i].Store(&map[K]V{})
	}
}

func (s *snapshot[K, V]) part(k K) int {
	return int(maphash.Comparable(s.seed, k) % snapshotParts)
}

func (s *snapshot[K, V]) get(k K) V { return (*s.parts[s.part(k)].Load())[k] }

// all calls fn for each entry, in no order.
func (s *snapshot[K, V]) all(fn func(K, V)) {
	for i := range s.parts {
		for k, v := range *s.parts[i].Load() {
			fn(k, v)
		}
	}
}

// edit is a change of a snapshot that nobody sees before publish.
type edit[K comparable, V any] struct {
	of      *snapshot[K, V]
	changed [snapshotParts]map[K]V
}

func (e *edit[K, V]) get(k K) V {
	i := e.of.part(k)
	if m := e.changed[i]; m != nil {
		return m[k]
	}
	return (*e.of.parts[i].Load())[k]
}

func (e *edit[K, V]) copied(k K) map[K]V {
	i := e.of.part(k)
	if e.changed[i] == nil {
		e.changed[i] = maps.Clone(*e.of.parts[i].Load())
	}
	return e.changed[i]
}

func (e *edit[K, V]) set(k K, v V) { e.copied(k)[k] = v }

func (e *edit[K, V]) delete(k K) { delete(e.copied(k), k) }

func (e *edit[K, V]) publish() {
	for i, m := range e.changed {
		if m != nil {
			e.of.parts[i].Store(&m)
		}
	}
}
