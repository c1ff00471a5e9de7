package agent

import (
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/notifier"
	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/store"
)

func TestEndPublication(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	tag := presence.EntityTag(get(r.publish("one", ""), sip.HeaderSIPETag))
	r.subscribe("bob", "")
	r.do(func(out *shard.Batch) {
		if r.EndPublication("other", r.now, out) || !r.EndPublication(tag, r.now, out) {
			t.Error("the wrong one is ended")
		}
	})
	if len(r.notifies) != 1 || strings.Contains(r.notifies[0].Body, "one") || r.records(KeyPublication) != 0 {
		t.Errorf("%d are told, %d records", len(r.notifies), r.records(KeyPublication))
	}
}

func TestEndSubscription(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.publish("one", "")
	tag, _ := notifier.ParseTag(r.subscribe("bob", "").To.Tag())
	count := 0
	r.Subscriptions(alice, func(*notifier.Subscription) { count++ })
	r.Subscriptions("", func(*notifier.Subscription) { count++ })
	r.Subscriptions("sip:other@example.com", func(*notifier.Subscription) { count++ })
	if count != 2 {
		t.Errorf("seen %d times", count)
	}
	r.do(func(out *shard.Batch) {
		if r.EndSubscription(notifier.Tag{}, r.now, out) || !r.EndSubscription(tag, r.now, out) || r.EndSubscription(tag, r.now, out) {
			t.Error("the wrong one is ended, or one twice")
		}
	})
	// RFC 6665, 4.1.3: the watcher may subscribe anew at once.
	if len(r.notifies) != 1 || state(r.notifies[0]) != "terminated;reason=deactivated" || r.notifies[0].Body != "" {
		t.Errorf("%v", r.notifies)
	}
	r.tick(time.Minute)
	if n := r.records(notifier.KeyKind); n != 0 {
		t.Errorf("%d records", n)
	}
}

func TestRemovePresentity(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.publish("one", "")
	r.do(func(out *shard.Batch) { _ = r.SetRules(alice, new(policy.Rules), r.now, out) })
	r.subscribe("bob", "")
	r.do(func(out *shard.Batch) {
		r.RemovePresentity("sip:other@example.com", r.now, out)
		r.RemovePresentity(alice, r.now, out)
	})
	if len(r.notifies) != 1 || state(r.notifies[0]) != "terminated;reason=noresource" || r.notifies[0].Body != "" {
		t.Errorf("%v", r.notifies)
	}
	r.tick(time.Minute)
	if r.records(KeyPublication)+r.records(KeyRules)+r.records(notifier.KeyKind) != 0 || len(r.people) != 0 {
		t.Error("something is left")
	}
}

func TestRemoveWatcher(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.subscribe("bob", "")
	r.subscribe("bob", "")
	r.subscribe("carol", "")
	r.do(func(out *shard.Batch) { r.RemoveWatcher("sip:bob@example.com", r.now, out) })
	if len(r.notifies) != 2 || state(r.notifies[0]) != "terminated;reason=rejected" {
		t.Errorf("%v", r.notifies)
	}
	if r.publish("one", ""); len(r.notifies) != 1 {
		t.Errorf("%d are told", len(r.notifies))
	}
}

func TestReconfigure(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.publish("one", "")
	r.subscribe("bob", "")
	r.do(func(out *shard.Batch) {
		r.Reconfigure(Settings{Default: policy.Confirm, MinInterval: 5 * time.Second}, r.now, out)
	})
	if len(r.notifies) != 1 || !strings.HasPrefix(state(r.notifies[0]), "pending;") {
		t.Errorf("%v", r.notifies)
	}
	r.do(func(out *shard.Batch) {
		r.Reconfigure(Settings{Default: policy.Allow, MinInterval: 5 * time.Second}, r.now, out)
	})
	if r.publish("two", ""); len(r.notifies) != 0 {
		t.Error("the new interval does not hold")
	}
	if got := r.tick(6 * time.Second); len(got) != 1 || !strings.Contains(got[0].Body, "two") {
		t.Errorf("%v", got)
	}
}

// A configuration that has changed between two runs holds from the start.
func TestRestartWithAnotherDefault(t *testing.T) {
	t.Parallel()
	for handling, want := range map[policy.Handling]string{
		policy.Allow: "active;expires=3600", policy.Confirm: "pending;expires=3600",
		policy.PoliteBlock: "active;expires=3600", policy.Block: "terminated;reason=rejected",
	} {
		r := newRig(t, nil)
		r.publish("one", "")
		r.subscribe("bob", "")
		r.restart(func(c *Config) { c.Settings.Default = handling })
		if len(r.notifies) != 1 || state(r.notifies[0]) != want {
			t.Errorf("%v: %v", handling, r.notifies)
			continue
		}
		if has := strings.Contains(r.notifies[0].Body, "one"); has != (handling == policy.Allow) {
			t.Errorf("%v:\n%s", handling, r.notifies[0].Body)
		}
		if got := r.tick(time.Minute); len(got) != 0 {
			t.Errorf("%v: and later %d", handling, len(got))
		}
	}
}

// Rules that were stored while the server stood hold with the next start.
func TestStoreRules(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.subscribe("bob", "")
	rules := new(policy.Rules)
	rules.Set("sip:bob@example.com", policy.Confirm)
	r.do(func(out *shard.Batch) {
		if err := r.StoreRules(alice, rules, out); err != nil {
			t.Error(err)
		}
	})
	if len(r.notifies) != 0 || r.Rules(alice) != nil || r.Rules("sip:other@example.com") != nil {
		t.Error("they hold at once")
	}
	r.restart(nil)
	if len(r.notifies) != 1 || !strings.HasPrefix(state(r.notifies[0]), "pending") || r.Rules(alice).Decisions["sip:bob@example.com"] != policy.Confirm {
		t.Errorf("%v", r.notifies)
	}
	r.do(func(out *shard.Batch) { _ = r.SetRules(alice, nil, r.now, out) })
	if len(r.notifies) != 1 || !strings.HasPrefix(state(r.notifies[0]), "active") || r.records(KeyRules) != 0 {
		t.Errorf("%v", r.notifies)
	}
}

// After a restart watchers are told at a rate, not all at once; so are those
// whose time ran out meanwhile.
func TestRestartSpreads(t *testing.T) {
	t.Parallel()
	for name, pause := range map[string]time.Duration{"live": 0, "expired": 2 * time.Hour} {
		r := newRig(t, nil)
		for i := range 40 {
			r.subscribe("w"+string(rune('a'+i%26)), "")
		}
		r.now = r.now.Add(pause)
		r.restart(nil)
		begin, last := r.now, r.now
		total := len(r.notifies)
		if total > 1 {
			t.Errorf("%s: %d at once", name, total)
		}
		for range 1000 {
			before := r.now
			if got := len(r.tick(10 * time.Millisecond)); got > 0 {
				total += got
				last = before
			}
		}
		if spread := last.Sub(begin); total != 40 || spread < time.Second || spread > 3*time.Second {
			t.Errorf("%s: %d within %v", name, total, spread)
		}
	}
}

func TestDamagedRecords(t *testing.T) {
	t.Parallel()
	id := byte(shard.Of(alice))
	good, err := store.Encode(&publicationRecord{Body: document("x")})
	if err != nil {
		t.Fatal(err)
	}
	noDocument, err := store.Encode(&publicationRecord{Body: "<presence"})
	if err != nil {
		t.Fatal(err)
	}
	for name, record := range map[string]struct{ key, value []byte }{
		"rules key":           {store.Key(KeyRules, id, "a", "b"), good},
		"rules":               {store.Key(KeyRules, id, string(alice)), []byte("x")},
		"publication key":     {store.Key(KeyPublication, id, "a"), good},
		"publication serial":  {store.Key(KeyPublication, id, string(alice), "xyz"), good},
		"publication":         {store.Key(KeyPublication, id, string(alice), "1"), []byte{1, 2}},
		"document":            {store.Key(KeyPublication, id, string(alice), "1"), noDocument},
		"subscription key":    {store.Key(notifier.KeyKind, id, "short"), good},
		"subscription":        {store.Key(notifier.KeyKind, id, "123456789012"), []byte{9}},
		"subscription record": {store.Key(notifier.KeyKind, id, "123456789012"), good},
	} {
		r := newRig(t, nil)
		if err := r.store.CompareAndSet(record.key, nil, record.value); err != nil {
			t.Fatal(err)
		}
		if err := r.Restore(r.store, r.now); err == nil {
			t.Errorf("%s: restored without a word", name)
		}
	}
}
