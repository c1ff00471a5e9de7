package presencetest_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tacit-presence/tacit/agent"
	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/presencetest"
	"github.com/tacit-presence/tacit/server"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/store"
)

const (
	openRules = `<ruleset xmlns="urn:ietf:params:xml:ns:common-policy" xmlns:pr="urn:ietf:params:xml:ns:pres-rules"><rule id="a">` +
		`<conditions><identity><many/></identity></conditions><actions><pr:sub-handling>allow</pr:sub-handling></actions>` +
		`<transformations><pr:provide-services><pr:all-services/></pr:provide-services></transformations></rule></ruleset>`
	listRules = `<ruleset xmlns="urn:ietf:params:xml:ns:common-policy" xmlns:oma="urn:oma:xml:xdm:common-policy"><rule id="a"><conditions>` +
		`<oma:external-list><oma:entry anc="http://localhost/xcap-root/resource-lists/users/sip:alice@example.com/index/~~/resource-lists/list"/>` +
		`</oma:external-list></conditions></rule></ruleset>`
	ownPreferences = `<preferences xmlns="https://github.com/tacit-presence/ns/rules"><unknown-watchers>allow</unknown-watchers></preferences>`
	someLists      = `<resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists"><list name="a"/></resource-lists>`
	hardState      = `<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="sip:alice@example.com"><tuple id="hard"><status><basic>open</basic></status></tuple></presence>`
)

// A document that cannot be read at the start keeps the server from nothing, and its
// presentity from being told to anybody: it may have refused somebody. It is logged,
// counted, and can be put anew or removed. Here everybody is allowed who is not refused.
func TestDamagedDocument(t *testing.T) {
	t.Parallel()
	records := map[string][]byte{
		"cut off": {1, 0xa4, 1, 0x61}, "empty": {}, "of another version": append([]byte{2}, "whatever"...), "not CBOR": []byte("\x01<ruleset/>"),
		"of a document that is none": encoded(t, "<ruleset"),
	}
	documents := map[string]struct {
		path, body, beside string // the document, and rules beside it
		denies             bool
	}{
		"rules":               {"pres-rules/index", openRules, "", true},
		"OMA's rules":         {"org.openmobilealliance.pres-rules/pres-rules", openRules, "", true},
		"preferences":         {"tacit-preferences/index", ownPreferences, "", true},
		"lists that are used": {"resource-lists/index", someLists, listRules, true},
		"other lists":         {"resource-lists/index", someLists, "", false},
		"presence":            {"pidf-manipulation/index", hardState, "", false},
	}
	for kind, record := range records {
		for name, d := range documents {
			if kind != "cut off" && name != "rules" {
				continue // one kind is enough for the others
			}
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				damaged(t, record, d.path, d.body, d.beside, d.denies)
			})
		}
	}
}

func encoded(t *testing.T, body string) []byte {
	t.Helper()
	value, err := store.Encode(&struct {
		ETag     presence.EntityTag `cbor:"1,keyasint"`
		Modified int64              `cbor:"2,keyasint"`
		Order    uint64             `cbor:"3,keyasint"`
		Body     string             `cbor:"4,keyasint"`
	}{"abc", 1, 1, body})
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// overwrite puts something else in the place of what is kept of alice's document.
func overwrite(t *testing.T, w *presencetest.World, path string, record []byte) {
	t.Helper()
	auid, file, _ := strings.Cut(path, "/")
	owner := presence.Presentity("sip:alice@example.com")
	var b store.Batch
	b.Put(store.Key(agent.KeyDocument, byte(shard.Of(owner)), string(owner), auid, file), record)
	done := make(chan error, 1)
	w.Store.Commit(&b, func(err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func damaged(t *testing.T, record []byte, path, body, beside string, denies bool) {
	t.Helper()
	var log bytes.Buffer
	cfg := presencetest.DefaultConfig()
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	synctest.Test(t, func(t *testing.T) {
		w := presencetest.NewWorld(t, cfg)
		defer w.Close()
		put := func(user, path, body string) {
			t.Helper()
			if err := w.Document(user, path, body); err != nil {
				t.Fatal(err)
			}
			w.Settle()
		}
		put("alice", path, body)
		if beside != "" {
			put("alice", "pres-rules/index", beside)
		}
		alice, carol := w.NewUA("alice", "", sip.TransportUDP, false), w.NewUA("carol", "", sip.TransportUDP, false)
		alice.Publish("", "", presencetest.Tuple("desk", "open"), presencetest.Options{Expires: "3600"})
		carol.Publish("", "", presencetest.Tuple("desk", "open"), presencetest.Options{Expires: "3600"})
		bob := w.NewUA("bob", "", sip.TransportUDP, false)
		for _, target := range []string{"alice", "carol"} {
			if status := bob.Subscribe(target, target, "", presencetest.Options{Expires: "3600"}); status != 200 {
				t.Fatal(target, status)
			}
		}
		w.Settle()

		overwrite(t, w, path, record)
		w.Crash(0)
		w.Sleep(time.Minute)

		devices := 0
		told := func(want bool) {
			t.Helper()
			devices++
			dave := w.NewUA("dave", fmt.Sprint(devices), sip.TransportUDP, false)
			status, text := dave.Subscribe("", "alice", "", presencetest.Options{Expires: "0"}), ""
			w.Settle()
			if status == 200 {
				_, text = dave.Heard(dave.Dialog(""))
			}
			if strings.Contains(text, "<basic>open") != want {
				t.Errorf("dave asks for alice: %d, %s", status, text)
			}
			e, err := w.Core.Admin().Explain(w.AOR("alice"), server.ExplainQuery{Watcher: w.AOR("dave")})
			if err != nil || (e.Reason == policy.MatchedUnreadable) == want {
				t.Errorf("explained as %+v (%v)", e, err)
			}
		}
		told(!denies)
		if denies {
			if state, text := bob.Heard(bob.Dialog("alice")); !strings.HasPrefix(state, "terminated") && !strings.Contains(text, "<basic>closed") {
				t.Errorf("bob's subscription is %s: %s", state, text)
			}
		}
		carol.Publish("", carol.Tag(""), presencetest.Tuple("elsewhere", "open"), presencetest.Options{})
		w.Sleep(time.Minute)
		if _, text := bob.Heard(bob.Dialog("carol")); !strings.Contains(text, "elsewhere") {
			t.Errorf("of carol bob was told %s", text)
		}
		if status := alice.Subscribe("own", "alice", "", presencetest.Options{Expires: "0"}); status != 200 {
			t.Errorf("alice asks for herself: %d", status)
		}
		if !strings.Contains(log.String(), "document "+path+" of sip:alice@example.com") {
			t.Errorf("logged:\n%s", log.String())
		}
		list, err := w.Core.Admin().Documents(w.AOR("alice"))
		if err != nil || len(list) == 0 {
			t.Errorf("%v %v", list, err)
		}
		w.Restart() // nothing of it changes by itself
		told(!denies)
		put("alice", path, body)
		told(true)
		w.Crash(0)
		told(true)
		put("alice", path, "")
		told(true)
	})
}

// A document that cannot be stored has not been put: that is said, nobody is told
// anything by it, whether it shows more or less, and the next start is as before.
func TestStoreFailsWhileADocumentChanges(t *testing.T) {
	t.Parallel()
	for name, rules := range map[string][2]string{"more": {"", openRules}, "less": {openRules, ""}, "else": {openRules, listRules}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w, _, bob, before := watchedByBob(t, rules[0])
				defer w.Close()
				w.Store.Fault = func(op string) error {
					if op == "commit" {
						return errors.New("the disk is full")
					}
					return nil
				}
				if err := w.Document("alice", "pres-rules/index", rules[1]); err == nil {
					t.Error("the change is said to have been made")
				}
				w.Sleep(time.Minute)
				if _, now := bob.Heard(bob.Dialog("")); now != before {
					t.Errorf("bob is told\n%s", now)
				}
				if err := w.Core.Wait(); err == nil || !strings.Contains(err.Error(), "the disk is full") {
					t.Errorf("the core ends with %v", err)
				}
				w.Crash(0)
				w.Sleep(time.Minute)
				if _, now := bob.Heard(bob.Dialog("")); now != before || strings.Contains(now, "<basic>open") != (rules[0] != "") {
					t.Errorf("after the start bob is told\n%s", now)
				}
				list, err := w.Core.Admin().Documents(w.AOR("alice"))
				if err != nil || (len(list) == 1) != (rules[0] != "") {
					t.Errorf("after the start there is %v (%v)", list, err)
				}
			})
		})
	}
}
