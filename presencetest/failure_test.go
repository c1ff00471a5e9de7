package presencetest_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/presencetest"
	"github.com/tacit-presence/tacit/sip"
)

// A store that fails ends the server's word: nothing is acknowledged and nobody
// is told any more, and what had been acknowledged is found by the next start.
func TestStoreFailure(t *testing.T) {
	t.Parallel()
	for good := range 6 {
		t.Run(fmt.Sprint(good), func(t *testing.T) {
			t.Parallel()
			world(t, func(t *testing.T, w *presencetest.World) {
				bob := w.NewUA("bob", "", sip.TransportUDP, false)
				if status := bob.Subscribe("", "alice", "", presencetest.Options{Expires: "3600"}); status != 200 {
					t.Fatal(status)
				}
				var left atomic.Int64
				left.Store(int64(good))
				w.Store.Fault = func(op string) error {
					if op == "commit" && left.Add(-1) < 0 {
						return errors.New("the disk is gone")
					}
					return nil
				}
				alice := w.NewUA("alice", "", sip.TransportUDP, false)
				var acknowledged []string
				for i := range 6 {
					name := fmt.Sprintf("doc%d", i)
					status := alice.Publish(name, "", presencetest.Tuple(name, "open"), presencetest.Options{})
					switch {
					case status == 200 && i < good:
						acknowledged = append(acknowledged, name)
					case status != 0 || i < good:
						t.Errorf("PUBLISH %d of %d that can be stored gets %d", i, good, status)
					}
					w.Sleep(time.Second)
				}
				want := good
				if _, body := bob.Heard(bob.Dialog("")); tuples(body) != tupleSet(acknowledged) {
					t.Errorf("bob was told %s", tuples(body))
				}
				if err := w.Core.Wait(); err == nil {
					t.Error("the core does not say why it has ended")
				}
				w.Crash(0)
				w.Sleep(time.Minute)
				pubs, err := w.Core.Admin().Pubs("")
				if err != nil || len(pubs) != want {
					t.Errorf("%d publications are found, not %d (%v)", len(pubs), want, err)
				}
				if _, body := bob.Heard(bob.Dialog("")); tuples(body) != tupleSet(acknowledged) {
					t.Errorf("bob was told %s after the restart, not %s", tuples(body), tupleSet(acknowledged))
				}
			})
		})
	}
}
