package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tacit-presence/tacit/store"
)

func testClose(t *testing.T, in Instance) {
	const n = 300
	var acknowledged atomic.Int32
	for i := range n {
		b := new(store.Batch)
		b.Put(fmt.Appendf(nil, "%d", i), []byte("v"))
		in.Store.Commit(b, func(err error) {
			if err != nil {
				t.Errorf("commit %d: %v", i, err)
			}
			acknowledged.Add(1)
		})
	}
	if err := in.Store.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if got := acknowledged.Load(); got != n {
		t.Errorf("Close returned after %d of %d acknowledgements", got, n)
	}
}

func testClosed(t *testing.T, in Instance) {
	s := in.Store
	mustPut(t, s, "a", "1")
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	_, getErr := s.Get([]byte("a"))
	for op, err := range map[string]error{
		"get":             getErr,
		"scan":            s.Scan(nil, func(_, _ []byte) error { return nil }),
		"compare and set": s.CompareAndSet([]byte("a"), []byte("1"), nil),
		"commit":          Put(s, "a", "2"),
		"empty commit":    Commit(s, new(store.Batch)),
	} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s of a closed store: %v, want ErrClosed", op, err)
		}
	}
}

// testCloseAmong closes while others write: each done is called once, and what
// it acknowledged is there after a restart.
func testCloseAmong(t *testing.T, in Instance) {
	const writers, each = 8, 200
	answers := make([][each]atomic.Int32, writers)
	acknowledged := make([][each]bool, writers)
	var all sync.WaitGroup
	all.Add(writers * each)
	started := make(chan struct{}, writers*each)
	for w := range writers {
		go func() {
			for i := range each {
				b := new(store.Batch)
				b.Put(fmt.Appendf(nil, "%d-%d", w, i), []byte("v"))
				in.Store.Commit(b, func(err error) {
					if answers[w][i].Add(1) > 1 {
						t.Errorf("done %d-%d was called twice", w, i)
						return
					}
					if err != nil && !errors.Is(err, store.ErrClosed) {
						t.Errorf("commit: %v", err)
					}
					acknowledged[w][i] = err == nil
					all.Done()
				})
				started <- struct{}{}
			}
		}()
	}
	for range writers * each / 4 {
		<-started
	}
	if err := in.Store.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	all.Wait()
	s := in.Restart(t)
	for w := range writers {
		for i := range each {
			if key := fmt.Sprintf("%d-%d", w, i); acknowledged[w][i] {
				wantValue(t, s, key, "v")
			} else {
				wantAbsent(t, s, key)
			}
		}
	}
}

func testFailure(t *testing.T, in Instance) {
	const before, after = 50, 50
	s := in.Store
	for i := range before {
		mustPut(t, s, fmt.Sprintf("before %02d", i), "v")
	}
	cause := errors.New("disk is on fire")
	in.Fail(cause)
	var order []int
	var all sync.WaitGroup
	all.Add(after)
	for i := range after {
		b := new(store.Batch)
		b.Put(fmt.Appendf(nil, "after %02d", i), []byte("v"))
		s.Commit(b, func(err error) {
			if !errors.Is(err, store.ErrFailed) {
				t.Errorf("commit after a failure: %v, want ErrFailed", err)
			}
			order = append(order, i)
			all.Done()
		})
	}
	all.Wait()
	for i, got := range order {
		if got != i {
			t.Fatalf("done %d came at place %d", got, i)
		}
	}
	in.Fail(nil) // the disk works again, the store must not
	if err := Put(s, "after 99", "v"); !errors.Is(err, store.ErrFailed) {
		t.Errorf("commit after the disk recovered: %v, want ErrFailed", err)
	}
	if err := Commit(s, new(store.Batch)); !errors.Is(err, store.ErrFailed) {
		t.Errorf("empty commit: %v, want ErrFailed", err)
	}
	if err := s.CompareAndSet([]byte("cas"), nil, []byte("v")); !errors.Is(err, store.ErrFailed) {
		t.Errorf("compare and set: %v, want ErrFailed", err)
	}
	wantValue(t, s, "before 00", "v")
	s = in.Restart(t)
	if got := len(scanKeys(t, s, "before ")); got != before {
		t.Errorf("%d of %d acknowledged keys after a restart", got, before)
	}
	mustPut(t, s, "again", "v")
}

// testMany has several writers, each with many commits outstanding.
func testMany(t *testing.T, in Instance) {
	const writers, each = 100, 100
	s := in.Store
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			var mine sync.WaitGroup
			mine.Add(each)
			last := -1
			for i := range each {
				b := new(store.Batch)
				b.Put(fmt.Appendf(nil, "%03d-%03d", w, i), fmt.Appendf(nil, "%d", i))
				b.Put(fmt.Appendf(nil, "last %03d", w), fmt.Appendf(nil, "%d", i))
				s.Commit(b, func(err error) {
					if err != nil || i != last+1 {
						t.Errorf("writer %d: done %d after %d: %v", w, i, last, err)
					}
					last = i
					mine.Done()
				})
			}
			mine.Wait()
			wantValue(t, s, fmt.Sprintf("last %03d", w), fmt.Sprint(each-1))
		})
	}
	all.Wait()
	s = in.Restart(t)
	if got := len(scanKeys(t, s, "")); got != writers*each+writers {
		t.Errorf("%d keys after a restart, want %d", got, writers*each+writers)
	}
}
