// Package storetest is the conformance suite of package store: what every
// engine must do, and what its users may build on.
package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/tacit-presence/tacit/store"
)

// Instance is an open, empty store of the engine under test, and what can be
// done to it.
type Instance struct {
	Store store.Store
	// Restart ends the process, so to speak, without closing the store, and
	// returns what a new one opens. Store is not used again.
	Restart func(t *testing.T) store.Store
	// Fail makes every write to the disk fail from now on.
	Fail func(cause error)
}

// Open makes a new, empty instance; it registers its own cleaning up.
type Open func(t *testing.T) Instance

// Run runs the suite.
func Run(t *testing.T, open Open) {
	tests := []struct {
		name string
		test func(*testing.T, Instance)
	}{
		{"get", testGet},
		{"batch order", testBatchOrder},
		{"scan", testScan},
		{"scan is a snapshot", testSnapshot},
		{"done order", testDoneOrder},
		{"reuse in done", testReuse},
		{"large batch", testLarge},
		{"compare and set", testCAS},
		{"compare and set in turn", testCASTurn},
		{"compare and set concurrently", testCASConcurrent},
		{"restart", testRestart},
		{"close waits", testClose},
		{"closed", testClosed},
		{"close among commits", testCloseAmong},
		{"failure", testFailure},
		{"many commits", testMany},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.test(t, open(t))
		})
	}
}

// Put commits one put and waits until it is durable.
func Put(s store.Store, key, value string) error {
	var b store.Batch
	b.Put([]byte(key), []byte(value))
	return Commit(s, &b)
}

// Commit commits b and waits until it is durable.
func Commit(s store.Store, b *store.Batch) error {
	done := make(chan error, 1)
	s.Commit(b, func(err error) { done <- err })
	return <-done
}

func mustPut(t *testing.T, s store.Store, key, value string) {
	t.Helper()
	if err := Put(s, key, value); err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
}

// wantValue fails unless key has the value.
func wantValue(t *testing.T, s store.Store, key, want string) {
	t.Helper()
	got, err := s.Get([]byte(key))
	if err != nil || string(got) != want {
		t.Errorf("get %q = %.40q, %v; want %.40q", key, got, err, want)
	}
}

func wantAbsent(t *testing.T, s store.Store, key string) {
	t.Helper()
	if got, err := s.Get([]byte(key)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("get %q = %.40q, %v; want ErrNotFound", key, got, err)
	}
}

func scanKeys(t *testing.T, s store.Store, prefix string) []string {
	t.Helper()
	var keys []string
	err := s.Scan([]byte(prefix), func(key, _ []byte) error {
		keys = append(keys, string(key))
		return nil
	})
	if err != nil {
		t.Fatalf("scan %q: %v", prefix, err)
	}
	return keys
}

func testGet(t *testing.T, in Instance) {
	s := in.Store
	wantAbsent(t, s, "a")
	mustPut(t, s, "a", "1")
	wantValue(t, s, "a", "1")
	mustPut(t, s, "a", "2")
	wantValue(t, s, "a", "2")
	mustPut(t, s, "empty", "")
	wantValue(t, s, "empty", "")
	wantAbsent(t, s, "b")

	got, _ := s.Get([]byte("a"))
	got[0] = 'x'
	wantValue(t, s, "a", "2")

	// The arguments are copied at once.
	key, value := []byte("k"), []byte("v")
	var b store.Batch
	b.Put(key, value)
	b.Delete([]byte("never there"))
	key[0], value[0] = 'x', 'x'
	if err := Commit(s, &b); err != nil {
		t.Fatal(err)
	}
	wantValue(t, s, "k", "v")
	wantAbsent(t, s, "x")
}

func testBatchOrder(t *testing.T, in Instance) {
	s := in.Store
	mustPut(t, s, "old", "1")
	var b store.Batch
	b.Put([]byte("a"), []byte("1"))
	b.Put([]byte("a"), []byte("2"))
	b.Put([]byte("b"), []byte("1"))
	b.Delete([]byte("b"))
	b.Delete([]byte("old"))
	b.Delete([]byte("c"))
	b.Put([]byte("c"), []byte("1"))
	if b.Len() != 7 {
		t.Errorf("Len = %d, want 7", b.Len())
	}
	if err := Commit(s, &b); err != nil {
		t.Fatal(err)
	}
	wantValue(t, s, "a", "2")
	wantAbsent(t, s, "b")
	wantAbsent(t, s, "old")
	wantValue(t, s, "c", "1")
	if err := Commit(s, new(store.Batch)); err != nil {
		t.Errorf("empty batch: %v", err)
	}
}

func testScan(t *testing.T, in Instance) {
	s := in.Store
	var b store.Batch
	for _, k := range []string{"b\xff", "a", "ab", "b", "b\x00", "c", "\xff\xffz", "\xff", "\xff\xff", "ba", "gone"} {
		b.Put([]byte(k), []byte("="+k))
	}
	b.Delete([]byte("gone"))
	if err := Commit(s, &b); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ prefix, want string }{
		{"", `["a" "ab" "b" "b\x00" "ba" "b\xff" "c" "\xff" "\xff\xff" "\xff\xffz"]`},
		{"b", `["b" "b\x00" "ba" "b\xff"]`},
		{"b\xff", `["b\xff"]`},
		{"\xff", `["\xff" "\xff\xff" "\xff\xffz"]`},
		{"\xff\xff", `["\xff\xff" "\xff\xffz"]`},
		{"d", `[]`},
	} {
		if got := fmt.Sprintf("%q", scanKeys(t, s, tt.prefix)); got != tt.want {
			t.Errorf("scan %q = %s, want %s", tt.prefix, got, tt.want)
		}
	}
	stop := errors.New("stop")
	n := 0
	err := s.Scan([]byte("b"), func(key, value []byte) error {
		if string(value) != "="+string(key) {
			t.Errorf("value of %q is %q", key, value)
		}
		// Reading within a scan works.
		wantValue(t, s, string(key), string(value))
		if n++; n == 2 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || n != 2 {
		t.Errorf("scan stopped with %v after %d keys, want %v after 2", err, n, stop)
	}
}

// testSnapshot writes one value to all keys in each batch: a reader that sees
// two values has seen half a batch.
func testSnapshot(t *testing.T, in Instance) {
	const keys, rounds = 20, 60
	s := in.Store
	var writer sync.WaitGroup
	stop := make(chan struct{})
	writer.Go(func() {
		var b store.Batch
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			b.Reset()
			for k := range keys {
				b.Put(fmt.Appendf(nil, "k%02d", k), fmt.Appendf(nil, "%d", i))
			}
			if err := Commit(s, &b); err != nil {
				t.Errorf("commit: %v", err)
				return
			}
		}
	})
	for range rounds {
		seen := map[string]int{}
		err := s.Scan([]byte("k"), func(_, value []byte) error {
			seen[string(value)]++
			return nil
		})
		if err != nil {
			t.Errorf("scan: %v", err)
		}
		if len(seen) > 1 {
			t.Errorf("a scan saw %v, want one value", seen)
		}
		for v, n := range seen {
			if n != keys {
				t.Errorf("a scan saw %q %d times, want %d", v, n, keys)
			}
		}
	}
	close(stop)
	writer.Wait()
}

func testDoneOrder(t *testing.T, in Instance) {
	const n = 2000
	var order []int // only the store's goroutine appends
	var all sync.WaitGroup
	all.Add(n)
	for i := range n {
		b := new(store.Batch)
		if i%3 != 0 { // empty batches wait for their turn, too
			b.Put(fmt.Appendf(nil, "%d", i), []byte("v"))
		}
		in.Store.Commit(b, func(err error) {
			if err != nil {
				t.Errorf("commit %d: %v", i, err)
			}
			order = append(order, i)
			all.Done()
		})
	}
	all.Wait()
	if len(order) != n {
		t.Fatalf("%d dones, want %d", len(order), n)
	}
	for i, got := range order {
		if got != i {
			t.Fatalf("done %d came at place %d", got, i)
		}
	}
}

func testReuse(t *testing.T, in Instance) {
	const n = 50
	var b store.Batch
	finished := make(chan struct{})
	i := 0
	var next func(error)
	next = func(err error) {
		if err != nil {
			t.Errorf("commit %d: %v", i, err)
		}
		if i == n {
			close(finished)
			return
		}
		b.Reset()
		b.Put(fmt.Appendf(nil, "k%d", i), fmt.Appendf(nil, "v%d", i))
		i++
		in.Store.Commit(&b, next)
	}
	next(nil)
	<-finished
	for k := range n {
		wantValue(t, in.Store, fmt.Sprintf("k%d", k), fmt.Sprintf("v%d", k))
	}
}

// testLarge crosses the sizes at which engines change their way.
func testLarge(t *testing.T, in Instance) {
	var b store.Batch
	for round := range 3 {
		b.Reset()
		value := make([]byte, 1<<20)
		value[0] = byte('a' + round)
		for i := range 12 {
			b.Put(fmt.Appendf(nil, "%d-%d", round, i), value)
		}
		if err := Commit(in.Store, &b); err != nil {
			t.Fatal(err)
		}
		mustPut(t, in.Store, "small", fmt.Sprint(round))
	}
	s := in.Restart(t)
	wantValue(t, s, "small", "2")
	n := 0
	err := s.Scan(nil, func(key, value []byte) error {
		if len(key) == 5 && string(key) == "small" {
			return nil
		}
		n++
		if len(value) != 1<<20 || value[0] != 'a'+key[0]-'0' {
			t.Errorf("%q has %d bytes, first %q", key, len(value), value[0])
		}
		return nil
	})
	if err != nil || n != 36 {
		t.Errorf("scan: %d values, %v; want 36", n, err)
	}
}

func testRestart(t *testing.T, in Instance) {
	mustPut(t, in.Store, "a", "1")
	mustPut(t, in.Store, "b", "1")
	if err := in.Store.CompareAndSet([]byte("hard"), nil, []byte("1")); err != nil {
		t.Fatal(err)
	}
	var b store.Batch
	b.Delete([]byte("b"))
	if err := Commit(in.Store, &b); err != nil {
		t.Fatal(err)
	}
	s := in.Restart(t)
	if got := fmt.Sprint(scanKeys(t, s, "")); got != "[a hard]" {
		t.Errorf("after a restart: %s, want [a hard]", got)
	}
	mustPut(t, s, "c", "1")
}
