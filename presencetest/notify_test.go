package presencetest_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tacit-presence/tacit/presencetest"
	"github.com/tacit-presence/tacit/server"
	"github.com/tacit-presence/tacit/sip"
)

// world runs fn in a world and a bubble of its own.
func world(t *testing.T, fn func(t *testing.T, w *presencetest.World)) {
	t.Helper()
	worldOf(t, presencetest.DefaultConfig(), fn)
}

func worldOf(t *testing.T, cfg server.Config, fn func(t *testing.T, w *presencetest.World)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := presencetest.NewWorld(t, cfg)
		defer w.Close()
		fn(t, w)
	})
}

// subs counts the live subscriptions.
func subs(t *testing.T, w *presencetest.World) int {
	t.Helper()
	list, err := w.Core.Admin().Subs("")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// RFC 6665, 4.2.2 lists the answers to a NOTIFY that end a subscription; each
// other one keeps it.
func TestNotifyAnswers(t *testing.T) {
	t.Parallel()
	ends := map[int]bool{}
	for _, status := range []int{404, 405, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604} {
		ends[status] = true
	}
	world(t, func(t *testing.T, w *presencetest.World) {
		alice := w.NewUA("alice", "", sip.TransportUDP, false)
		if status := alice.Publish("", "", presencetest.Tuple("desk", "open"), presencetest.Options{}); status != 200 {
			t.Fatal(status)
		}
		for status := 200; status < 700; status++ {
			if status == 401 || status == 407 { // no one may ask a server for a password
				continue
			}
			bob := w.NewUA("bob", fmt.Sprint(status), sip.TransportUDP, false)
			bob.Answer(status)
			if got := bob.Subscribe("", "alice", "", presencetest.Options{Expires: "600"}); got != 200 {
				t.Fatal(got)
			}
			want := 1
			if ends[status] {
				want = 0
			}
			if got := subs(t, w); got != want {
				t.Errorf("after %d there are %d subscriptions, not %d", status, got, want)
			}
			if want == 0 {
				if got := bob.Refresh(bob.Dialog(""), presencetest.Options{}); got != 481 {
					t.Errorf("after %d a refresh gets %d", status, got)
				}
				continue
			}
			bob.Drop()
			if got := bob.Refresh(bob.Dialog(""), presencetest.Options{Expires: "0"}); got != 200 {
				t.Errorf("after %d an unsubscription gets %d", status, got)
			}
			w.Sleep(time.Minute)
		}
	})
}
