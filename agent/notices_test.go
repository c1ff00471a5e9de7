package agent

import (
	"fmt"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/presence"
)

// TestPolling: a watcher that asks again and again is named to the presentity,
// once in a while, and not to itself.
func TestPolling(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.publish("one", "")
	poll := func(n int) {
		for range n {
			if m := r.subscribe("bob", "Expires: 0\n"); m.Status != 200 {
				t.Fatalf("%d", m.Status)
			}
		}
	}
	poll(pollingAfter - 1)
	if n := r.Notices(alice); len(n) != 0 {
		t.Errorf("%v", n)
	}
	poll(5)
	r.restart(nil)
	if n := r.Notices(alice); len(n) != 1 || n[0].Kind != NoticePolling || n[0].Watcher != "sip:bob@example.com" {
		t.Errorf("%v", n)
	}
	poll(pollingAfter) // counted anew, but known
	if n := r.Notices(alice); len(n) != 1 {
		t.Errorf("%v", n)
	}
	r.tick(2 * pollingWindow)
	poll(pollingAfter)
	if n := r.Notices(alice); len(n) != 2 {
		t.Errorf("%v", n)
	}
}

func TestNoticesAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for i := range maxAskers + maxNotices {
		for range pollingAfter {
			r.subscribe(fmt.Sprint("w", i), "Expires: 0\n")
		}
	}
	n := r.Notices(alice)
	if len(n) != maxNotices || n[len(n)-1].Watcher != presence.AOR(fmt.Sprintf("sip:w%d@example.com", maxAskers+maxNotices-1)) {
		t.Errorf("%d notices", len(n))
	}
	if len(r.people[alice].askers) != maxAskers {
		t.Errorf("%d askers", len(r.people[alice].askers))
	}
	r.tick(time.Minute)
}
