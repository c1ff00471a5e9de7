package identity

import (
	"math"
	"sync"
)

const (
	// replayShards spreads the nonces in use over locks.
	replayShards = 64
	// windowBits is how far behind the highest nc one may arrive. A client has
	// a few requests under way at once, and UDP reorders those alone.
	windowBits = 128
	// firstRing is the first size of a shard's ring; it doubles with need, up
	// to the configured bound.
	firstRing = 8
)

// replayTable remembers which nc of which nonces were used. A nonce enters with
// its first success, so that without credentials nothing can be put here. It is
// bounded: the nonce that has been in longest leaves first, and what leaves
// raises the shard's floor. A nonce at or below the floor that is not in the
// table counts as used up, or else forgetting one would make its requests
// replayable. The floor is a nonce's number, not a time, so that no jump of the
// clock can move it past nonces that are still to be made.
type replayTable struct {
	max    int // windows a shard
	shards [replayShards]replayShard
}

type replayShard struct {
	mu    sync.Mutex
	floor uint64
	at    map[uint64]uint64 // a nonce's number to its place
	ring  []window          // place p is ring[p % len(ring)]
	head  uint64            // the oldest place
	tail  uint64            // the next one
}

// window is one nonce and the nc that were used with it.
type window struct {
	nonceID
	top  uint32 // the highest used
	seen bitmap // bit i: top-i was used
}

func newReplayTable(maxNonces int) *replayTable {
	t := &replayTable{max: max(1, maxNonces/replayShards)}
	for i := range t.shards {
		t.shards[i].at = make(map[uint64]uint64)
	}
	return t
}

// use records that nc was used with the nonce id, and reports whether that was
// the first time. once says that the nonce is used up by that. Nonces issued
// before expired (Unix milliseconds) are forgotten by the way.
func (t *replayTable) use(id nonceID, nc uint32, once bool, expired int64) bool {
	s := &t.shards[id.number%replayShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if place, ok := s.at[id.number]; ok {
		w := s.slot(place)
		return !once && w.take(nc)
	}
	if id.number <= s.floor {
		return false
	}
	for s.head != s.tail && s.slot(s.head).issued < expired {
		s.forget()
	}
	for s.tail-s.head >= uint64(t.max) {
		s.forget()
		if id.number <= s.floor {
			return false
		}
	}
	w := window{nonceID: id}
	if once {
		w.top, w.seen = math.MaxUint32, fullBitmap
	} else if !w.take(nc) {
		return false
	}
	s.enter(w)
	return true
}

// len returns how many nonces are kept.
func (t *replayTable) len() int {
	n := 0
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		n += len(s.at)
		s.mu.Unlock()
	}
	return n
}

func (s *replayShard) slot(place uint64) *window { return &s.ring[place%uint64(len(s.ring))] }

func (s *replayShard) forget() {
	w := s.slot(s.head)
	s.floor = max(s.floor, w.number)
	delete(s.at, w.number)
	s.head++
}

func (s *replayShard) enter(w window) {
	if s.tail-s.head == uint64(len(s.ring)) {
		grown := make([]window, max(firstRing, 2*len(s.ring)))
		for p := s.head; p != s.tail; p++ {
			grown[p%uint64(len(grown))] = *s.slot(p)
		}
		s.ring = grown
	}
	*s.slot(s.tail) = w
	s.at[w.number] = s.tail
	s.tail++
}

// take marks nc as used, and reports whether it was not and is neither zero nor
// below the window.
func (w *window) take(nc uint32) bool {
	switch {
	case nc == 0:
		return false
	case nc > w.top:
		w.seen.shift(nc - w.top)
		w.top = nc
	case w.top-nc >= windowBits || w.seen.has(w.top-nc):
		return false
	}
	w.seen.set(w.top - nc)
	return true
}

// bitmap is windowBits bits.
type bitmap [windowBits / 64]uint64

var fullBitmap = bitmap{math.MaxUint64, math.MaxUint64}

func (b *bitmap) has(i uint32) bool { return b[i/64]>>(i%64)&1 != 0 }

func (b *bitmap) set(i uint32) { b[i/64] |= 1 << (i % 64) }

// shift moves every bit up by n.
func (b *bitmap) shift(n uint32) {
	switch {
	case n >= 128:
		*b = bitmap{}
	case n >= 64:
		b[1], b[0] = b[0]<<(n-64), 0
	default:
		b[1], b[0] = b[1]<<n|b[0]>>(64-n), b[0]<<n
	}
}
