package store_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tacit-presence/tacit/store"
	"github.com/tacit-presence/tacit/store/storetest"
)

// commitAll commits one put for each key and returns the acknowledgements as
// they come.
func commitAll(m *store.Memory, keys ...string) *[]string {
	acknowledged := new([]string)
	for _, k := range keys {
		b := new(store.Batch)
		b.Put([]byte(k), []byte("v"))
		m.Commit(b, func(err error) {
			if err != nil {
				k += " " + err.Error()
			}
			*acknowledged = append(*acknowledged, k)
		})
	}
	return acknowledged
}

func has(m *store.Memory, key string) bool {
	_, err := m.Get([]byte(key))
	return err == nil
}

func TestMemoryHold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := store.NewMemory()
		m.Hold()
		acknowledged := commitAll(m, "a", "b", "c", "d")
		want := func(list string, held int) {
			t.Helper()
			synctest.Wait()
			if got := fmt.Sprint(*acknowledged); got != list || m.Held() != held {
				t.Errorf("acknowledged %s with %d held, want %s with %d", got, m.Held(), list, held)
			}
		}
		want("[]", 4)
		if has(m, "a") {
			t.Error("what is held is visible")
		}
		m.ReleaseN(1)
		want("[a]", 3)
		if !has(m, "a") || has(m, "b") {
			t.Error("after one release not exactly one is visible")
		}
		m.ReleaseN(2)
		want("[a b c]", 1)
		m.Release()
		want("[a b c d]", 0)
		m.ReleaseN(1) // without effect
		m.Hold()
		m.ReleaseN(2) // also what is still to come
		acknowledged = commitAll(m, "e", "f", "g")
		want("[e f]", 1)
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		want("[e f g]", 0)
	})
}

func TestMemoryCrash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for kept := range 4 {
			m := store.NewMemory()
			if err := storetest.Put(m, "a", "v"); err != nil {
				t.Fatal(err)
			}
			m.Hold()
			acknowledged := commitAll(m, "b", "c")
			after := m.CrashKeeping(kept)
			synctest.Wait()
			for i, key := range []string{"a", "b", "c"} {
				if got, want := has(after, key), i <= kept; got != want {
					t.Errorf("keeping %d: %q is there: %t, want %t", kept, key, got, want)
				}
			}
			if len(*acknowledged) != 2 {
				t.Errorf("%d answers to what was held, want 2", len(*acknowledged))
			}
			if err := storetest.Put(m, "d", "v"); !errors.Is(err, store.ErrFailed) {
				t.Errorf("the crashed store: %v, want ErrFailed", err)
			}
			if err := storetest.Put(after, "d", "v"); err != nil || has(m, "d") {
				t.Errorf("the new store: %v; the old one sees its write: %t", err, has(m, "d"))
			}
		}
	})
}

// TestMemoryIdle: no goroutine is left when nothing is to do, so that a store
// need not be closed in a bubble, and time passes.
func TestMemoryIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := store.NewMemory()
		if err := storetest.Put(m, "a", "v"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
	})
}

func TestMemoryFault(t *testing.T) {
	t.Parallel()
	bad := errors.New("bad luck")
	var op string
	m := store.NewMemory()
	m.Fault = func(now string) error {
		if now == op {
			return bad
		}
		return nil
	}
	if err := storetest.Put(m, "a", "1"); err != nil {
		t.Fatal(err)
	}
	op = "get"
	if _, err := m.Get([]byte("a")); !errors.Is(err, bad) {
		t.Errorf("get: %v", err)
	}
	op = "scan"
	if err := m.Scan(nil, func(_, _ []byte) error { return nil }); !errors.Is(err, bad) {
		t.Errorf("scan: %v", err)
	}
	op = "cas"
	err := m.CompareAndSet([]byte("a"), []byte("1"), []byte("2"))
	if !errors.Is(err, bad) || errors.Is(err, store.ErrFailed) {
		t.Errorf("compare and set: %v, want the reading's error alone", err)
	}
	op = "close"
	if err := storetest.Put(m, "a", "2"); err != nil {
		t.Errorf("reading's errors failed the store: %v", err)
	}
	if err := m.Close(); !errors.Is(err, bad) {
		t.Errorf("close: %v", err)
	}
}
