package store_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tacit-presence/tacit/store"
)

func TestKey(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		parts []string
		want  string
	}{
		{nil, "k\x07"},
		{[]string{""}, "k\x07\x00\x01"},
		{[]string{"alice"}, "k\x07alice\x00\x01"},
		{[]string{"a", "", "b"}, "k\x07a\x00\x01\x00\x01b\x00\x01"},
		{[]string{"a\x00b\x00"}, "k\x07a\x00\xffb\x00\xff\x00\x01"},
	} {
		got := store.Key('k', 7, tt.parts...)
		if string(got) != tt.want {
			t.Errorf("Key(%q) = %q, want %q", tt.parts, got, tt.want)
		}
		if cap(got) > len(got)+2*strings.Count(tt.want, "\xff") && !strings.Contains(tt.want, "\xff") {
			t.Errorf("Key(%q) has capacity %d for %d bytes", tt.parts, cap(got), len(got))
		}
		kind, shard, parts, err := store.KeyParts(got)
		if err != nil || kind != 'k' || shard != 7 || !slices.Equal(parts, tt.parts) {
			t.Errorf("KeyParts(%q) = %q %d %q, %v", got, kind, shard, parts, err)
		}
	}
	for _, bad := range []string{"", "k", "k\x07a", "k\x07a\x00", "k\x07a\x00\x02", "k\x07a\x00\xff", "k\x07a\x00\x01b", "k\x07\x00"} {
		if _, _, parts, err := store.KeyParts([]byte(bad)); !errors.Is(err, store.ErrKey) {
			t.Errorf("KeyParts(%q) = %q, %v; want ErrKey", bad, parts, err)
		}
	}
}

// FuzzKey: keys come apart into what they were made of, sort as their parts do,
// and are prefixes of each other exactly if their parts are.
func FuzzKey(f *testing.F) {
	f.Add(byte('k'), byte(1), "alice", "tag", "alice", "tag")
	f.Add(byte(0), byte(255), "a", "", "a\x00", "")
	f.Add(byte(0xff), byte(0), "a\x00\x01", "b", "a", "\x01b")
	f.Add(byte(0xff), byte(0), "\xff", "\x00\xff", "", "\x00\x01")
	f.Fuzz(func(t *testing.T, kind, shard byte, a1, a2, b1, b2 string) {
		lists := [][]string{nil, {a1}, {a1, a2}, {b1}, {b1, b2}, {a1, a2, b1}}
		for _, a := range lists {
			ka := store.Key(kind, shard, a...)
			gotKind, gotShard, parts, err := store.KeyParts(ka)
			if err != nil || gotKind != kind || gotShard != shard || !slices.Equal(parts, a) {
				t.Fatalf("KeyParts(Key(%q)) = %q, %v", a, parts, err)
			}
			for _, b := range lists {
				kb := store.Key(kind, shard, b...)
				if got, want := bytes.Compare(ka, kb), slices.Compare(a, b); got != want {
					t.Fatalf("keys of %q and %q compare as %d, want %d", a, b, got, want)
				}
				want := len(a) <= len(b) && slices.Equal(a, b[:len(a)])
				if got := bytes.HasPrefix(kb, ka); got != want {
					t.Fatalf("key of %q is a prefix of that of %q: %t, want %t", a, b, got, want)
				}
			}
		}
	})
}

// FuzzKeyParts: what is accepted is what Key makes.
func FuzzKeyParts(f *testing.F) {
	f.Add([]byte("k\x07a\x00\x01\x00\xff\x00\x01"))
	f.Add([]byte("k\x07a\x00"))
	f.Fuzz(func(t *testing.T, key []byte) {
		kind, shard, parts, err := store.KeyParts(key)
		if err != nil {
			return
		}
		if again := store.Key(kind, shard, parts...); !bytes.Equal(again, key) {
			t.Fatalf("%q was read as %q, which is %q", key, parts, again)
		}
	})
}
