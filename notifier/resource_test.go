package notifier

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tacit-presence/tacit/identity"
	"github.com/tacit-presence/tacit/presence"
)

// A watcher's own subscriptions are found whatever has come and gone meanwhile.
func TestSubscriptionsOfWatcher(t *testing.T) {
	t.Parallel()
	table, r := NewTable(Config{Counters: new(Counters)}), new(Resource)
	var live []*Subscription
	for range 5000 {
		if len(live) > 0 && rand.IntN(3) == 0 {
			i := rand.IntN(len(live))
			table.unlink(live[i])
			live = slices.Delete(live, i, i+1)
			continue
		}
		s := &Subscription{Resource: r, index: -1}
		s.Watcher = identity.RestorePrincipal(presence.AOR(fmt.Sprintf("sip:%d@example.com", rand.IntN(20))), presence.MechanismDigest)
		table.add(s)
		live = append(live, s)
	}
	for w := range 21 {
		a := presence.AOR(fmt.Sprintf("sip:%d@example.com", w))
		want := map[*Subscription]bool{}
		for _, s := range live {
			if s.Watcher.AOR() == a {
				want[s] = true
			}
		}
		n := 0
		for s := range r.Of(a) {
			if n++; !want[s] {
				t.Errorf("%s has another one's", a)
			}
		}
		if n != len(want) {
			t.Errorf("%s has %d, and %d were found", a, len(want), n)
		}
	}
}
