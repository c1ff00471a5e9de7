package presencetest_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/identity"
	"github.com/tacit-presence/tacit/notifier"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/presencetest"
	"github.com/tacit-presence/tacit/server"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/store"
)

// A subscription to what is a user's alias later is one subscription, of that user,
// wherever a crash interrupts its move; also if the user came while the server was
// stopped.
func TestMoveInterrupted(t *testing.T) {
	t.Parallel()
	for _, test := range []string{"before", "amid", "after"} {
		t.Run(test, func(t *testing.T) {
			t.Parallel()
			cfg := presencetest.DefaultConfig()
			cfg.Privacy = server.Privacy{Conceal: true}
			worldOf(t, cfg, func(t *testing.T, w *presencetest.World) {
				bob := w.NewUA("bob", "", sip.TransportUDP, false)
				if status := bob.Subscribe("", "al", "", presencetest.Options{Expires: "3600"}); status != 200 {
					t.Fatal(status)
				}
				w.Settle()
				old := subscriptions(t, w.Store)
				erin := identity.NewUser{Name: "erin", Password: "erin's password", AORs: []presence.AOR{"sip:erin@example.com", "sip:al@example.com"}}
				if test == "before" {
					if err := w.Core.Users().Put(erin); err != nil {
						t.Fatal(err)
					}
				} else {
					w.AddUser("erin", "sip:erin@example.com", "sip:al@example.com")
				}
				if test == "amid" {
					commit(t, w.Store, old[0])
				}
				w.Crash(0)
				w.Sleep(time.Minute)
				is := subscriptions(t, w.Store)
				if len(old) != 1 || len(is) != 1 || bytes.Equal(old[0].key, is[0].key) {
					t.Fatalf("records %x, then %x", old, is)
				}
				subs, err := w.Core.Admin().Subs("")
				if err != nil || len(subs) != 1 || subs[0].Presentity != "sip:erin@example.com" {
					t.Fatalf("%+v %v", subs, err)
				}
				ua := w.NewUA("erin", "", sip.TransportUDP, false)
				if status := ua.Publish("", "", presencetest.Tuple("home", "open"), presencetest.Options{}); status != 200 {
					t.Fatal(status)
				}
				w.Sleep(time.Minute)
				if _, body := bob.Heard(bob.Dialog("")); tuples(body) != "home" {
					t.Errorf("bob was told %s", body)
				}
				if status := bob.Refresh(bob.Dialog(""), presencetest.Options{Expires: "0"}); status != 200 {
					t.Errorf("the end of it: %d", status)
				}
				w.Sleep(time.Hour)
				if is = subscriptions(t, w.Store); len(is) != 0 {
					t.Errorf("left over: %x", is)
				}
			})
		})
	}
}

type record struct{ key, value []byte }

func subscriptions(t *testing.T, st *store.Memory) (list []record) {
	t.Helper()
	err := st.Scan([]byte{notifier.KeyKind}, func(key, value []byte) error {
		list = append(list, record{slices.Clone(key), slices.Clone(value)})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func commit(t *testing.T, st *store.Memory, r record) {
	t.Helper()
	var b store.Batch
	b.Put(r.key, r.value)
	done := make(chan error, 1)
	st.Commit(&b, func(err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
