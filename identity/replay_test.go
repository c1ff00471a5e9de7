package identity

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestWindowAgainstModel compares the window with a plain set.
func TestWindowAgainstModel(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var w window
		used, top := map[uint32]bool{}, uint32(0)
		at := uint32(1)
		for range 400 {
			at += uint32(r.IntN(4))
			if r.IntN(50) == 0 {
				at += uint32(r.IntN(300))
			}
			nc := at - min(at, uint32(r.IntN(200)))
			want := nc != 0 && !used[nc] && (nc > top || top-nc < windowBits)
			if got := w.take(nc); got != want {
				t.Fatalf("nc %d with top %d: %v, want %v", nc, top, got, want)
			}
			if want {
				used[nc], top = true, max(top, nc)
			}
		}
	}
	var w window
	for _, c := range []struct {
		nc   uint32
		want bool
	}{{math.MaxUint32, true}, {math.MaxUint32, false}, {math.MaxUint32 - 127, true}, {math.MaxUint32 - 128, false}, {1, false}, {0, false}} {
		if got := w.take(c.nc); got != c.want {
			t.Errorf("nc %d: %v", c.nc, got)
		}
	}
}

// TestTableAgainstModel: whatever the order, no use of a nonce is accepted
// twice, and the table stays in its bounds.
func TestTableAgainstModel(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	const perShard = 5
	table := newReplayTable(perShard * replayShards)
	type use struct {
		number uint64
		nc     uint32
	}
	accepted := map[use]bool{}
	once := map[uint64]bool{}
	now := int64(1_000_000)
	ok := 0
	for i := range 20_000 {
		now += int64(r.IntN(3))
		id := nonceID{number: uint64(i/4 + 1 - r.IntN(min(i/4+1, 600)))}
		id.issued = 1_000_000 + int64(id.number)*4
		u := use{id.number, uint32(1 + r.IntN(4))}
		single := r.IntN(10) == 0
		if !table.use(id, u.nc, single, now-2000) {
			continue
		}
		ok++
		if accepted[u] || once[u.number] {
			t.Fatalf("%+v is accepted again", u)
		}
		accepted[u] = true
		once[u.number] = once[u.number] || single
		if single {
			for nc := range uint32(5) {
				if accepted[use{u.number, nc}] && nc != u.nc {
					t.Fatalf("%+v is accepted as one-use after use", u)
				}
			}
		}
	}
	if n := table.len(); n > perShard*replayShards || n == 0 {
		t.Errorf("%d nonces are kept", n)
	}
	if ok < 5_000 {
		t.Errorf("only %d uses are accepted: the test tests little", ok)
	}
	// All have expired: the next entry of each shard clears it.
	now += 1_000_000
	for s := range uint64(replayShards) {
		table.use(nonceID{number: 1<<20 + s, issued: now}, 1, false, now)
	}
	if n := table.len(); n != replayShards {
		t.Errorf("%d nonces are kept after all have expired", n)
	}
}

func TestNonces(t *testing.T) {
	t.Parallel()
	n, err := newNonces()
	if err != nil {
		t.Fatal(err)
	}
	src := phone.Addr()
	first := string(n.append(nil, src, begin))
	id, ok := n.open(first, src)
	if !ok || id.issued != begin.UnixMilli() || id.number != 1 {
		t.Errorf("%+v, %v", id, ok)
	}
	// Nothing shows how many were made: the next one looks unrelated.
	next := string(n.append(nil, src, begin))
	same := 0
	for i := range first {
		if first[i] == next[i] {
			same++
		}
	}
	if same > len(first)/3 {
		t.Errorf("%q and %q are alike", first, next)
	}
	for i := range first {
		for _, c := range []byte("A_z0\n=+ ") {
			altered := first[:i] + string(c) + first[i+1:]
			if _, ok := n.open(altered, src); ok != (altered == first) {
				t.Errorf("altered nonce %q: %v", altered, ok)
			}
		}
	}
	for _, s := range []string{"", first[1:], first + "A", first + "\n", first[:42] + "\n" + first[42:], strings.Repeat("A", 1<<16)} {
		if _, ok := n.open(s, src); ok {
			t.Errorf("%q is accepted", s)
		}
	}
	if _, ok := n.open(first, netip.MustParseAddr("192.0.2.11")); ok {
		t.Error("accepted from another address")
	}
}

func TestNoncesDifferAtOnce(t *testing.T) {
	t.Parallel()
	n, err := newNonces()
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	seen := map[string]bool{}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				s := string(n.append(nil, phone.Addr(), begin))
				if _, ok := n.open(s, phone.Addr()); !ok {
					t.Error("not accepted")
				}
				mu.Lock()
				seen[s] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != 800 {
		t.Errorf("%d different nonces", len(seen))
	}
}

func FuzzNonce(f *testing.F) {
	n, err := newNonces()
	if err != nil {
		f.Fatal(err)
	}
	src := phone.Addr()
	made := string(n.append(nil, src, time.UnixMilli(0)))
	f.Add(made, 0, byte(1))
	f.Add("", 0, byte(0))
	f.Fuzz(func(t *testing.T, s string, at int, flip byte) {
		if _, ok := n.open(s, src); ok && s != made {
			t.Errorf("%q is accepted", s)
		}
		b := []byte(made)
		b[uint(at)%uint(len(b))] ^= flip
		if _, ok := n.open(string(b), src); ok != (flip == 0) {
			t.Errorf("%q: %v", b, ok)
		}
	})
}
