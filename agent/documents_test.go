package agent

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/shard"
)

const hardState = `<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="sip:alice@example.com"><tuple id="hard"><status><basic>open</basic></status></tuple></presence>`

// TestDocuments: a document is put, compared, kept and removed; a presence
// document is a source like another (RFC 4827, 1).
func TestDocuments(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	name := DocumentName{AUIDManipulation, "index"}
	meaning, err := ReadMeaning(name, hardState)
	if err != nil {
		t.Fatal(err)
	}
	r.subscribe("bob", "")
	var d Document
	r.do(func(out *shard.Batch) {
		if _, err := r.ChangeDocument(alice, DocumentChange{name, "other", hardState, meaning}, r.now, out); !errors.Is(err, ErrChanged) {
			t.Errorf("%v", err)
		}
		if d, err = r.ChangeDocument(alice, DocumentChange{name, "", hardState, meaning}, r.now, out); err != nil {
			t.Fatal(err)
		}
		if _, err := r.ChangeDocument(alice, DocumentChange{name, "", hardState, meaning}, r.now, out); !errors.Is(err, ErrChanged) {
			t.Errorf("%v", err)
		}
	})
	if n := len(r.notifies); n == 0 || !strings.Contains(r.notifies[n-1].Body, `"hard"`) {
		t.Errorf("told %v", r.notifies)
	}
	if got, ok := r.Document(alice, name); !ok || got != d || d.ETag == "" || len(r.Documents(alice)) != 1 {
		t.Errorf("%+v %v", got, ok)
	}
	if n := r.records(KeyDocument); n != 1 {
		t.Errorf("%d records", n)
	}
	r.tick(time.Minute)
	r.do(func(out *shard.Batch) {
		if err := r.RemoveDocument(alice, name, "other", r.now, out); !errors.Is(err, ErrChanged) {
			t.Errorf("%v", err)
		}
		if err := r.RemoveDocument(alice, name, d.ETag, r.now, out); err != nil {
			t.Error(err)
		}
		if err := r.RemoveDocument(alice, name, d.ETag, r.now, out); !errors.Is(err, ErrChanged) {
			t.Errorf("%v", err)
		}
	})
	if n := len(r.notifies); strings.Contains(r.notifies[n-1].Body, `"hard"`) || r.records(KeyDocument) != 0 || len(r.Documents(alice)) != 0 {
		t.Errorf("something is left: %v", r.notifies[n-1])
	}
}

func TestTooManyDocuments(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.do(func(out *shard.Batch) {
		for i := range maxDocuments + 1 {
			_, err := r.ChangeDocument(alice, DocumentChange{DocumentName{"x", strings.Repeat("a", i+1)}, "", "<x/>", Meaning{}}, r.now, out)
			if errors.Is(err, ErrTooManyDocuments) != (i == maxDocuments) {
				t.Errorf("%d: %v", i, err)
			}
		}
	})
}
