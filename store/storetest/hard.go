package storetest

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/tacit-presence/tacit/store"
)

func testCAS(t *testing.T, in Instance) {
	s := in.Store
	for i, tt := range []struct {
		key, old, new string // "-" stands for nil
		want          error
		after         string
	}{
		{"a", "1", "2", store.ErrConflict, "-"},
		{"a", "", "2", store.ErrConflict, "-"},
		{"a", "1", "-", store.ErrConflict, "-"},
		{"a", "-", "-", nil, "-"},
		{"a", "-", "1", nil, "1"},
		{"a", "-", "2", store.ErrConflict, "1"},
		{"a", "0", "2", store.ErrConflict, "1"},
		{"a", "1", "2", nil, "2"},
		{"a", "2", "2", nil, "2"},
		{"a", "2", "", nil, ""},
		{"a", "-", "3", store.ErrConflict, ""},
		{"a", "", "3", nil, "3"},
		{"a", "-", "-", store.ErrConflict, "3"},
		{"a", "3", "-", nil, "-"},
		{"a", "-", "4", nil, "4"},
	} {
		err := s.CompareAndSet([]byte(tt.key), orNil(tt.old), orNil(tt.new))
		if !errors.Is(err, tt.want) {
			t.Errorf("%d: %q to %q gives %v, want %v", i, tt.old, tt.new, err, tt.want)
		}
		if tt.after == "-" {
			wantAbsent(t, s, tt.key)
		} else {
			wantValue(t, s, tt.key, tt.after)
		}
	}
	wantValue(t, in.Restart(t), "a", "4")
}

func orNil(s string) []byte {
	if s == "-" {
		return nil
	}
	return []byte(s)
}

// testCASTurn: a CompareAndSet sees all commits before it, acknowledged or not,
// and none after it.
func testCASTurn(t *testing.T, in Instance) {
	const n = 100
	s := in.Store
	for i := range n {
		b := new(store.Batch)
		b.Put([]byte("k"), fmt.Appendf(nil, "%d", i))
		s.Commit(b, func(err error) {
			if err != nil {
				t.Errorf("commit: %v", err)
			}
		})
	}
	if err := s.CompareAndSet([]byte("k"), fmt.Appendf(nil, "%d", n-1), []byte("end")); err != nil {
		t.Errorf("after %d commits: %v", n, err)
	}
	wantValue(t, s, "k", "end")
}

func testCASConcurrent(t *testing.T, in Instance) {
	const writers, each = 6, 15
	s := in.Store
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range each {
				if err := increment(s, []byte("counter")); err != nil {
					t.Errorf("increment: %v", err)
				}
			}
		})
		all.Go(func() { // soft state beside it
			for i := range each {
				if err := Put(s, fmt.Sprint(i), "v"); err != nil {
					t.Errorf("put: %v", err)
				}
			}
		})
	}
	all.Wait()
	wantValue(t, s, "counter", fmt.Sprint(writers*each))
}

func increment(s store.Store, key []byte) error {
	for {
		old, err := s.Get(key)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		n, _ := strconv.Atoi(string(old))
		err = s.CompareAndSet(key, old, fmt.Appendf(nil, "%d", n+1))
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}
