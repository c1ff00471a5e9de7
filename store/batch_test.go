package store

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestBatchLayout holds the arena against Pebble's own batches, from which
// write takes it that it is their body.
func TestBatchLayout(t *testing.T) {
	t.Parallel()
	db, err := pebble.Open("", &pebble.Options{FS: vfs.NewMem(), Logger: newPebbleLog(nil, new(committer))})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	theirs := db.NewBatch()
	defer theirs.Close()
	var ours Batch
	for i, size := range []int{0, 1, 127, 128, 16383, 16384, 1 << 20} {
		key, value := bytes.Repeat([]byte{'k'}, size%1000+1), make([]byte, size)
		ours.Put(key, value)
		ours.Delete(value)
		if err := errors.Join(theirs.Set(key, value, nil), theirs.Delete(value, nil)); err != nil {
			t.Fatal(err)
		}
		if ours.Len() != 2*i+2 || int(theirs.Count()) != ours.Len() || ours.Size() != len(ours.arena) {
			t.Errorf("Len = %d, Size = %d", ours.Len(), ours.Size())
		}
	}
	if got := theirs.Repr()[batchHeader:]; !bytes.Equal(got, ours.arena) {
		t.Error("the arena is not the body of a batch of Pebble")
	}
}

func TestBatchEach(t *testing.T) {
	t.Parallel()
	var b Batch
	b.Put([]byte("a"), []byte("1"))
	b.Delete([]byte("b"))
	b.Put([]byte("c"), nil)
	list := func() string {
		var s strings.Builder
		if err := b.Each(func(key, value []byte) error {
			_, err := fmt.Fprintf(&s, "%s=%s,%t ", key, value, value == nil)
			return err
		}); err != nil {
			t.Error(err)
		}
		return s.String()
	}
	if got, want := list(), "a=1,false b=,true c=,false "; got != want {
		t.Errorf("operations %q, want %q", got, want)
	}
	stop := errors.New("stop")
	if err := b.Each(func(_, _ []byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("Each = %v, want %v", err, stop)
	}
	for cut := range b.Size() {
		damaged := Batch{arena: b.arena[:cut], count: 3}
		n := 0
		err := damaged.Each(func(_, _ []byte) error { n++; return nil })
		if err == nil && n == 3 {
			t.Errorf("an arena cut at %d gave all operations", cut)
		}
	}
	b.Reset()
	if b.Len() != 0 || b.Size() != 0 || list() != "" {
		t.Error("Reset left something")
	}
	if cap(b.arena) == 0 {
		t.Error("Reset gave its memory away")
	}
	b.Put(nil, make([]byte, maxRetained+1))
	b.Reset()
	if cap(b.arena) != 0 {
		t.Error("Reset kept a large arena")
	}
}

// TestBatchAllocations: a batch in use again costs no memory.
func TestBatchAllocations(t *testing.T) {
	var b Batch
	value := make([]byte, 1000)
	key := Key('p', 1, "sip:alice@example.com", "tag")
	if n := testing.AllocsPerRun(100, func() {
		b.Reset()
		key = AppendKey(key[:0], 'p', 1, "sip:alice@example.com", "tag")
		b.Put(key, value)
		b.Delete(key)
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
