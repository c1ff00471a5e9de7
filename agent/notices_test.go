package agent

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/identity"
	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/shard"
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

// Nameless watchers that poll are told apart, and can be decided about, without being
// named.
func TestNamelessPolling(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for _, name := range []string{"bob", "carol", "bob"} {
		who := identity.RestorePrivate(presence.AOR("sip:"+name+"@example.com"), presence.MechanismAsserted, "", true)
		for range pollingAfter {
			r.by(who, "presence")
		}
	}
	n := r.Notices(alice)
	if len(n) != 2 || n[0].Detail == n[1].Detail {
		t.Fatalf("%+v", n)
	}
	for _, one := range n {
		if one.Watcher != presence.Anonymous || !strings.HasSuffix(one.Detail, "@anonymous.invalid") || strings.Contains(one.Detail, "example.com") {
			t.Errorf("%+v", one)
		}
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

// TestNewWatchers: a watcher that is new is named once, also one that looks but
// once; one that is refused is not.
func TestNewWatchers(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.put(AUIDPreferences, "index", `<preferences xmlns="https://github.com/tacit-presence/ns/rules"><announce new-watchers="true"/></preferences>`)
	rules := new(policy.Rules)
	rules.Set("sip:carol@example.com", policy.Block)
	r.do(func(out *shard.Batch) { _ = r.SetRules(alice, rules, r.now, out) })
	r.subscribe("bob", "Expires: 0\n")
	r.subscribe("bob", "")
	r.subscribe("carol", "")
	r.subscribe("dan", "")
	r.subscribe("dan", "Expires: 0\n")
	r.subscribe("fay", "Expires: 0\n")
	r.subscribe("eve", "Accept: text/plain\n")
	var names []string
	for _, n := range r.Notices(alice) {
		names = append(names, string(n.Kind)+" "+n.Watcher.User())
	}
	if got := strings.Join(names, ", "); got != "new-watcher bob, new-watcher dan, new-watcher fay" {
		t.Error(got)
	}
}

// TestUsesOfOverrides: each time that an override takes effect is recorded, and
// watchers who are new, however many, do not drive it out.
func TestUsesOfOverrides(t *testing.T) {
	t.Parallel()
	set, err := policy.ReadRuleSet(rulesFor(`<one id="sip:bob@example.com"/>`), Zones())
	if err != nil {
		t.Fatal(err)
	}
	change := func(c *Config) { c.Settings = Settings{Default: policy.Confirm, Overrides: set} }
	r := newRig(t, change)
	r.put(AUIDPreferences, "index", `<preferences xmlns="https://github.com/tacit-presence/ns/rules"><announce new-watchers="true"/></preferences>`)
	began := r.now
	r.subscribe("bob", "Expires: 0\n")
	r.tick(time.Minute)
	for range 2 {
		r.subscribe("bob", "Expires: 0\n")
	}
	for i := range maxNotices + 1 {
		r.subscribe(fmt.Sprint("w", i), "Expires: 0\n")
	}
	last := r.now
	r.restart(change)
	overrides := func() (list []Notice) {
		for _, n := range r.Notices(alice) {
			if n.Kind == NoticeOverride {
				list = append(list, n)
			}
		}
		return list
	}
	want := Notice{Kind: NoticeOverride, Time: began.UnixNano(), Watcher: "sip:bob@example.com", Detail: "override/a", Again: 2, Last: last.UnixNano()}
	if list := overrides(); len(list) != 1 || list[0] != want {
		t.Errorf("%+v, not %+v", list, want)
	}
	r.tick(pollingWindow)
	r.subscribe("bob", "Expires: 0\n")
	if list := overrides(); len(list) != 2 || list[1].Again != 0 {
		t.Errorf("%+v", list)
	}
}
