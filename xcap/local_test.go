package xcap

import (
	"errors"
	"net/http"
	"testing"

	"github.com/tacit-presence/tacit/presence"
)

const localRules = `<ruleset xmlns="urn:ietf:params:xml:ns:common-policy"><rule id="a"/></ruleset>`

// What is put without HTTP is held to what a PUT is held to.
func TestLocal(t *testing.T) {
	t.Parallel()
	docs := newMemory()
	h, err := New(Config{
		Root: "/x", Usages: Standard(), Documents: docs,
		Authenticate: func(*http.Request, string) (presence.Principal, []string, int) {
			return presence.Principal{}, nil, http.StatusForbidden
		},
		Presentity: func(presence.AOR) (presence.Presentity, bool) { return "", false },
	})
	if err != nil {
		t.Fatal(err)
	}
	const alice = presence.Presentity("sip:alice@example.com")
	ctx := t.Context()
	first, err := h.Put(ctx, alice, AUIDPresRules, "in dex", localRules)
	if err != nil || first.Body != localRules || first.ETag == "" {
		t.Fatalf("%v, %v", first, err)
	}
	if _, there := docs.docs[Key{AUID: AUIDPresRules, Owner: alice, Path: "in%20dex"}]; !there {
		t.Errorf("kept as %v", docs.docs)
	}
	// Another change comes between.
	races := 0
	docs.before = func(Key) error {
		if races++; races < 3 {
			return ErrChanged
		}
		return nil
	}
	if again, err := h.Put(ctx, alice, AUIDPresRules, "in dex", localRules+"\n"); err != nil || again.ETag == first.ETag || races != 3 {
		t.Errorf("%v, %v after %d", again, err, races)
	}
	docs.before = nil
	if got, err := h.Get(ctx, alice, AUIDPresRules, "in dex"); err != nil || got.Body != localRules+"\n" {
		t.Errorf("%v, %v", got, err)
	}
	if list, err := h.List(ctx, alice); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
	var c *Conflict
	for body, reason := range map[string]Reason{
		"<ruleset": NotWellFormed, `<ruleset xmlns="x"/>`: SchemaInvalid,
		`<ruleset xmlns="urn:ietf:params:xml:ns:common-policy"><rule id="a"/><rule id="a"/></ruleset>`: NotUnique,
	} {
		if _, err := h.Put(ctx, alice, AUIDPresRules, "index", body); !errors.As(err, &c) || c.Reason != reason {
			t.Errorf("%s: %v", body, err)
		}
		if _, err := h.Check(alice, AUIDPresRules, "index", body); !errors.As(err, &c) || c.Reason != reason {
			t.Errorf("%s: checked: %v", body, err)
		}
	}
	if _, err := h.Check(alice, AUIDManipulation, "other", ""); !errors.As(err, &c) || c.Reason != ConstraintFailed {
		t.Errorf("another name: %v", err)
	}
	for _, auid := range []AUID{AUIDCapabilities, AUIDDirectory, "nothing"} {
		if _, err := h.Put(ctx, alice, auid, "index", localRules); !errors.Is(err, ErrUsage) {
			t.Errorf("%s: %v", auid, err)
		}
	}
	for _, name := range []string{"", "..", "~~"} {
		if _, err := h.Put(ctx, alice, AUIDPresRules, name, localRules); err == nil {
			t.Errorf("%q is kept", name)
		}
	}
	if err := h.Delete(ctx, alice, AUIDPresRules, "in dex"); err != nil {
		t.Error(err)
	}
	if err := h.Delete(ctx, alice, AUIDPresRules, "in dex"); !errors.Is(err, ErrNotFound) {
		t.Errorf("twice: %v", err)
	}
	if _, err := h.Get(ctx, alice, AUIDPresRules, "in dex"); !errors.Is(err, ErrNotFound) {
		t.Errorf("and is there: %v", err)
	}
}
