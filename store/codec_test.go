package store_test

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/store"
)

type record struct {
	Name    string            `cbor:"1,keyasint,omitempty"`
	Body    []byte            `cbor:"2,keyasint,omitempty"`
	Count   uint64            `cbor:"3,keyasint,omitempty"`
	Signed  int64             `cbor:"4,keyasint,omitempty"`
	Flag    bool              `cbor:"5,keyasint,omitempty"`
	At      time.Time         `cbor:"6,keyasint,omitzero"`
	List    []string          `cbor:"7,keyasint,omitempty"`
	Map     map[string]uint32 `cbor:"8,keyasint,omitempty"`
	Pointer *record           `cbor:"9,keyasint,omitempty"`
}

func TestCodec(t *testing.T) {
	t.Parallel()
	for _, in := range []record{
		{},
		{Name: "alice", Body: []byte{0, 1, 0xff}, Count: math.MaxUint64, Signed: math.MinInt64, Flag: true},
		{At: time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC)},
		{List: []string{"", "b"}, Map: map[string]uint32{"z": 1, "a": 2}, Pointer: &record{Name: "inner"}},
	} {
		data, err := store.Encode(&in)
		if err != nil {
			t.Fatal(err)
		}
		if data[0] != 1 {
			t.Errorf("the schema's version is %d, want 1", data[0])
		}
		again, err := store.AppendEncode([]byte("head"), &in)
		if err != nil || string(again) != "head"+string(data) {
			t.Errorf("AppendEncode = %x, %v; want %x after the head", again, err, data)
		}
		var out record
		if err := store.Decode(data, &out); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(in, out) {
			t.Errorf("decoded %+v, want %+v", out, in)
		}
		clear(data)
		if !reflect.DeepEqual(in, out) {
			t.Error("the decoded value keeps the data")
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	deep := append([]byte{1}, bytes.Repeat([]byte{0xa1, 0x09}, 40)...)
	deep = append(deep, 0xa0)
	for name, data := range map[string]string{
		"half a record":       "\x01\xa1\x01\x65ali",
		"trailing bytes":      "\x01\xa0\x00",
		"nothing":             "\x01",
		"unknown field":       "\x01\xa1\x18\x63\x00",
		"unknown name":        "\x01\xa1\x64Name\x61a",
		"field given twice":   "\x01\xa2\x01\x61a\x01\x61b",
		"indefinite length":   "\x01\xbf\x01\x61a\xff",
		"tag":                 "\x01\xa1\x01\xc1\x61a",
		"not UTF-8":           "\x01\xa1\x01\x61\xff",
		"wrong type":          "\x01\xa1\x01\x05",
		"overflow":            "\x01\xa1\x04\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
		"huge array":          "\x01\xa1\x07\x9a\x7f\xff\xff\xff",
		"huge string":         "\x01\xa1\x01\x7a\x7f\xff\xff\xff",
		"too deep":            string(deep),
		"larger than a limit": "\x01" + strings.Repeat("\x00", 5<<20),
	} {
		var out record
		if err := store.Decode([]byte(data), &out); err == nil || errors.Is(err, store.ErrVersion) {
			t.Errorf("%s: %v, want an error of the record", name, err)
		}
	}
	for _, data := range []string{"", "\x00\xa0", "\x02\xa0", "\xa0"} {
		if err := store.Decode([]byte(data), new(record)); !errors.Is(err, store.ErrVersion) {
			t.Errorf("%q: %v, want ErrVersion", data, err)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	head := []byte("head")
	for _, v := range []any{make(chan int), &record{Body: make([]byte, 5<<20)}} {
		got, err := store.AppendEncode(head, v)
		if err == nil || string(got) != "head" {
			t.Errorf("%T: %d bytes, %v; want the head and an error", v, len(got), err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, r := range []record{{}, {Name: "a", List: []string{"b"}, Map: map[string]uint32{"c": 1}}, {At: time.Unix(1, 2).UTC()}} {
		data, _ := store.Encode(&r)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var first record
		if store.Decode(data, &first) != nil {
			return
		}
		once, err := store.Encode(&first)
		if err != nil {
			t.Fatalf("encoding what was decoded: %v", err)
		}
		var second record
		if err := store.Decode(once, &second); err != nil {
			t.Fatalf("decoding what was encoded: %v", err)
		}
		twice, err := store.Encode(&second)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("encoded first as %x, then as %x, %v", once, twice, err)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	r := record{Name: "sip:alice@example.com", Body: make([]byte, 600), Count: 7, Signed: 1 << 40}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if buf, err = store.AppendEncode(buf[:0], &r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	data, err := store.Encode(&record{Name: "sip:alice@example.com", Body: make([]byte, 600), Count: 7, Signed: 1 << 40})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		var r record
		if err := store.Decode(data, &r); err != nil {
			b.Fatal(err)
		}
	}
}
