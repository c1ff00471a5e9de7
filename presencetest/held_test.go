package presencetest_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presencetest"
	"github.com/tacit-presence/tacit/sip"
)

// While a change of rules is on its way to the disk nothing is told by it, and after a
// kill either it is in force or it has never been. What is published behind it is told
// by it or not at all.
func TestChangeOfRulesIsHeld(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ was, is string }{{"", openRules}, {openRules, ""}} {
		for keep := range 4 {
			t.Run(fmt.Sprintf("%t %d", c.is != "", keep), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w, alice, bob, before := watchedByBob(t, c.was)
					defer w.Close()
					w.Store.Hold()
					answered := make(chan error, 1)
					go func() { answered <- w.Document("alice", "pres-rules/index", c.is) }()
					w.Settle()
					alice.Publish("", alice.Tag(""), presencetest.Tuple("elsewhere", "open"), presencetest.Options{})
					w.Settle()
					if _, now := bob.Heard(bob.Dialog("")); now != before || len(answered) != 0 {
						t.Errorf("before it is on the disk, it is answered %v, and bob is told\n%s", len(answered) != 0, now)
					}
					w.Crash(keep)
					w.Sleep(time.Minute)
					if err := <-answered; err == nil {
						t.Error("what was killed is said to have been made")
					}
					list, err := w.Core.Admin().Documents(w.AOR("alice"))
					if err != nil {
						t.Fatal(err)
					}
					_, now := bob.Heard(bob.Dialog(""))
					if open := strings.Contains(now, "<basic>open"); open != (len(list) == 1) {
						t.Errorf("%d documents, and bob is told\n%s", len(list), now)
					}
					if made := (len(list) == 1) == (c.is != ""); made != (keep > 0) {
						t.Errorf("of the held writes %d have reached the disk, and the change is made: %v", keep, made)
					}
				})
			})
		}
	}
}

// watchedByBob is a world, to be closed, in which who is not named is politely blocked,
// alice has these rules, if any, and publishes, and bob watches her; before is what bob
// has been told a minute later.
func watchedByBob(t *testing.T, rules string) (w *presencetest.World, alice, bob *presencetest.UA, before string) {
	t.Helper()
	cfg := presencetest.DefaultConfig()
	cfg.DefaultDecision = policy.PoliteBlock
	w = presencetest.NewWorld(t, cfg)
	if rules != "" {
		if err := w.Document("alice", "pres-rules/index", rules); err != nil {
			t.Fatal(err)
		}
	}
	alice, bob = w.NewUA("alice", "", sip.TransportUDP, false), w.NewUA("bob", "", sip.TransportUDP, false)
	alice.Publish("", "", presencetest.Tuple("desk", "open"), presencetest.Options{Expires: "36000"})
	if status := bob.Subscribe("", "alice", "", presencetest.Options{Expires: "36000"}); status != 200 {
		t.Fatal(status)
	}
	w.Sleep(time.Minute)
	_, before = bob.Heard(bob.Dialog(""))
	return w, alice, bob, before
}
