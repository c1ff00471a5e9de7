package agent

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/identity"
	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/watcherinfo"
)

// watch subscribes to alice's watchers.
func (r *rig) watch(user string) *sip.Message {
	r.t.Helper()
	return r.request("SUBSCRIBE", user, "Event: presence.winfo\nContact: <sip:"+user+"@198.51.100.1>\n", "")
}

// by subscribes to alice as somebody who is not just a name.
func (r *rig) by(who presence.Principal, event string) *sip.Message {
	r.t.Helper()
	r.count++
	m := new(sip.Message)
	text := fmt.Sprintf("SUBSCRIBE sip:alice@example.com SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.1;branch=z9hG4bK%[1]d\nMax-Forwards: 70\n"+
		"From: <sip:anonymous@anonymous.invalid>;tag=%[1]d\nTo: <sip:alice@example.com>\nCall-ID: %[1]d\nCSeq: 1 SUBSCRIBE\n"+
		"Contact: <sip:198.51.100.1>\nEvent: %[2]s\nContent-Length: 0\n\n", r.count, event)
	if err := m.Parse(strings.ReplaceAll(text, "\n", "\r\n"), sip.DefaultLimits); err != nil {
		r.t.Fatal(err)
	}
	ev := shard.Event{Kind: shard.Request, ID: r.cfg.ID, Msg: m, Flow: r.flow, Who: who, Presentity: alice, Owner: owner(alice)}
	r.do(func(out *shard.Batch) { r.Step(&ev, r.now, out) })
	return r.answer
}

// leave ends the subscription that a 200 began.
func (r *rig) leave(user string, ok *sip.Message, event string) {
	r.t.Helper()
	from, _ := ok.Get(sip.HeaderFrom)
	to, _ := ok.Get(sip.HeaderTo)
	r.count++
	answer := r.raw(user, fmt.Sprintf("SUBSCRIBE sip:alice@example.com SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.1;branch=z9hG4bK%d\nMax-Forwards: 70\n"+
		"From: %s\nTo: %s\nCall-ID: %s\nCSeq: %d SUBSCRIBE\nEvent: %s\nExpires: 0\nContact: <sip:%s@198.51.100.1>\n", r.count, from, to, ok.CallID, 2+r.count, event, user), "")
	if answer.Status != 200 && answer.Status != 481 {
		r.t.Fatalf("%s leaves with %d", user, answer.Status)
	}
}

// last parses the newest document of watcher information among the NOTIFYs.
func (r *rig) last() (d watcherinfo.Document, text string) {
	r.t.Helper()
	for _, m := range r.notifies {
		if v, _ := m.Get(sip.HeaderContentType); v == watcherinfo.ContentType {
			var err error
			if d, err = watcherinfo.Parse(m.Body); err != nil {
				r.t.Fatal(err)
			}
			text = m.Body
		}
	}
	if text == "" {
		r.t.Fatalf("no watcher information in %d NOTIFYs", len(r.notifies))
	}
	return d, text
}

// Who wants to be nameless is nameless to the presentity, but the same from one
// day to the other; to another presentity it is somebody else. The operator sees
// who it is.
func TestPrivateWatcher(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.watch("alice")
	private := func(name string) presence.Principal {
		return identity.RestorePrivate(presence.AOR("sip:"+name+"@example.com"), presence.MechanismAsserted, "", true)
	}
	var ids []string
	for _, name := range []string{"bob", "bob", "carol"} {
		r.by(private(name), "presence")
		d, text := r.last()
		w := d.Lists[0].Watchers[0]
		if w.URI != string(presence.Anonymous) || strings.Contains(text, name) || !d.Partial {
			t.Errorf("%s is shown in %s", name, text)
		}
		ids = append(ids, w.ID)
	}
	name := func(id string) string { n, _, _ := strings.Cut(id, "."); return n }
	if ids[0] == ids[1] || name(ids[0]) != name(ids[1]) || name(ids[0]) == name(ids[2]) {
		t.Errorf("%q", ids)
	}
	if r.table.WatcherID("sip:dave@example.com", "sip:bob@example.com") == name(ids[0]) {
		t.Error("two presentities can compare notes")
	}
	list := r.Watchers(alice)
	if len(list) != 3 || list[0].AOR != "sip:bob@example.com" || !list[0].Private {
		t.Errorf("%+v", list)
	}
	// The presentity decides about it by that name, and about nobody else; not about
	// the same one who says who it is, for that would tell who is nameless.
	bob, ok := presence.ParseNameless(ids[0])
	if again, _ := presence.ParseNameless(ids[1]); !ok || again != bob {
		t.Errorf("%s, %s", bob, again)
	}
	r.subscribe("bob", "")
	decide := func(h policy.Handling) {
		rules := new(policy.Rules)
		rules.Set(bob, h)
		r.do(func(out *shard.Batch) {
			if err := r.SetRules(alice, rules, r.now, out); err != nil {
				t.Error(err)
			}
		})
	}
	decide(policy.Block)
	for who, want := range map[presence.Principal]policy.Handling{
		private("bob"): policy.Block, private("carol"): policy.Allow, identity.Supposed("sip:bob@example.com", everyDomain): policy.Allow,
	} {
		if d := r.decide(r.presentity(alice), who, r.now); d.Handling != want || want == policy.Block && d.Matched != string(bob) {
			t.Errorf("%+v: %+v", who, d)
		}
	}
	for _, w := range r.Watching(alice, Question{At: r.now}) {
		if want := policy.Allow; w.Decision.Handling != want {
			t.Errorf("%+v", w)
		}
	}
	decide(policy.Allow)
	// It sees itself by its name.
	r.by(private("bob"), "presence")
	r.by(private("bob"), "presence.winfo")
	if d, _ := r.last(); len(d.Lists[0].Watchers) != 2 || d.Lists[0].Watchers[1].URI != "sip:bob@example.com" {
		t.Errorf("%+v", d.Lists)
	}
}

// RFC 3857, 6.1: nobody who is not known sees watchers, or is told of as one.
func TestUnknownWatcher(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	name := DocumentName{AUID: AUIDPresRules, Path: "index"}
	const rules = `<ruleset xmlns="urn:ietf:params:xml:ns:common-policy"><rule id="a"><conditions/><actions>` +
		`<sub-handling xmlns="urn:ietf:params:xml:ns:pres-rules">allow</sub-handling></actions></rule></ruleset>`
	m, err := ReadMeaning(name, rules)
	if err != nil {
		t.Fatal(err)
	}
	r.do(func(out *shard.Batch) {
		_, err = r.ChangeDocument(alice, DocumentChange{name, "", rules, m}, r.now, out)
	})
	if err != nil {
		t.Fatal(err)
	}
	r.watch("alice")
	nobody := identity.RestorePrincipal(presence.Anonymous, presence.MechanismAnonymous)
	if answer := r.by(nobody, "presence"); answer.Status != 200 {
		t.Fatalf("%d", answer.Status)
	}
	for _, m := range r.notifies {
		if v, _ := m.Get(sip.HeaderEvent); v != "presence" {
			t.Errorf("told of nobody:\n%s", m.Body)
		}
	}
	if answer := r.by(nobody, "presence.winfo"); answer.Status != 403 {
		t.Errorf("%d", answer.Status)
	}
	if list := r.Watchers(alice); len(list) != 0 {
		t.Errorf("%+v", list)
	}
}

// RFC 3857, 4.7.1: a watcher waits for no more than some presentities, a
// presentity has no more than some watchers wait. Who sees that it is pending is
// told when it is given up.
func TestTooManyUndecided(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Settings.Default = policy.Confirm })
	r.Undecided().by = map[presence.AOR]int{"sip:bob@example.com": maxUndecidedOf - 1}
	first := r.subscribe("bob", "")
	if first.Status != 200 || len(r.notifies) != 1 {
		t.Fatalf("%d, %d NOTIFYs", first.Status, len(r.notifies))
	}
	r.subscribe("bob", "")
	if v, _ := r.notifies[len(r.notifies)-1].Get(sip.HeaderSubscriptionState); v != "terminated;reason=giveup" {
		t.Errorf("one too many is %s", v)
	}
	r.leave("bob", first, "presence")
	if list := r.Watchers(alice); len(list) != 1 || list[0].Status != watcherinfo.Waiting {
		t.Errorf("%+v", list)
	}
	if n := r.Undecided().by["sip:bob@example.com"]; n != maxUndecidedOf {
		t.Errorf("%d are counted", n)
	}
	r.do(func(out *shard.Batch) { r.RemoveWatcher("sip:bob@example.com", r.now, out) })
	if n := r.Undecided().by["sip:bob@example.com"]; n != maxUndecidedOf-1 {
		t.Errorf("%d are counted", n)
	}

	// Fetches make a crowd that waits, but not without end.
	for i := range maxUndecided + 10 {
		r.subscribe(fmt.Sprintf("w%d", i), "Expires: 0\n")
		r.subscribe(fmt.Sprintf("w%d", i), "Expires: 0\n") // who polls waits once
	}
	if list := r.Watchers(alice); len(list) != maxUndecided {
		t.Errorf("%d wait", len(list))
	}
	r.subscribe("dave", "")
	if v, _ := r.notifies[len(r.notifies)-1].Get(sip.HeaderSubscriptionState); v != "terminated;reason=giveup" {
		t.Errorf("one too many is %s", v)
	}
	r.restart(nil)
	if list := r.Watchers(alice); len(list) != maxUndecided || len(r.Undecided().by) != maxUndecided {
		t.Errorf("%d wait, %d are counted", len(list), len(r.Undecided().by))
	}
	r.tick(DefaultGiveUp)
	if list := r.Watchers(alice); len(list) != 0 || len(r.Undecided().by) != 0 || len(r.people) != 0 {
		t.Errorf("%d wait for ever, %d are counted, %d presentities are left", len(list), len(r.Undecided().by), len(r.people))
	}
	if n := r.records(KeyWaiting); n != 0 {
		t.Errorf("%d records are left", n)
	}
}

// Where decisions are hidden, no limit tells that one is pending.
func TestTooManyUndecidedConcealed(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) {
		c.Settings.Default = policy.Confirm
		c.Settings.Conceals = func(presence.Presentity) bool { return true }
	})
	r.Undecided().by = map[presence.AOR]int{"sip:bob@example.com": maxUndecidedOf}
	ok := r.subscribe("bob", "")
	if v, _ := r.notifies[0].Get(sip.HeaderSubscriptionState); len(r.notifies) != 1 || !strings.HasPrefix(v, "active;") {
		t.Errorf("%d NOTIFYs, %s", len(r.notifies), v)
	}
	r.leave("bob", ok, "presence")
	if list := r.Watchers(alice); len(list) != 0 {
		t.Errorf("%+v", list)
	}
}

// Undecided is what the shard counts in.
func (s *Shard) Undecided() *Undecided { return s.cfg.Undecided }

// A presentity that goes takes all that waits for it along; a user who goes does
// not wait any more.
func TestWaitingEnds(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Settings.Default = policy.Confirm })
	r.watch("alice")
	r.subscribe("bob", "Expires: 0\n")
	r.subscribe("carol", "Expires: 0\n")
	r.do(func(out *shard.Batch) { r.RemoveWatcher("sip:bob@example.com", r.now, out) })
	if d, _ := r.last(); len(d.Lists[0].Watchers) != 1 || d.Lists[0].Watchers[0].Event != watcherinfo.Rejected {
		t.Errorf("%+v", d.Lists)
	}
	r.do(func(out *shard.Batch) { r.RemovePresentity(alice, r.now, out) })
	if len(r.Watchers(alice)) != 0 || len(r.Undecided().by) != 0 {
		t.Error("somebody waits for nobody")
	}
	r.restart(nil)
	if len(r.Watchers(alice)) != 0 {
		t.Error("somebody waits again")
	}
}

// Who subscribes without ever being told, and what is over before it is told, is
// in no document (RFC 3857, 4.7.2); more changes than are remembered make a full
// one, and a flood of watchers no endless one.
func TestManyChanges(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Settings.MinInterval = 5 * time.Second })
	r.watch("alice")
	first := r.subscribe("bob", "")
	r.leave("bob", first, "presence")
	r.subscribe("carol", "")
	r.notifies = r.tick(5 * time.Second)
	if d, _ := r.last(); !d.Partial || len(d.Lists[0].Watchers) != 1 || d.Lists[0].Watchers[0].URI != "sip:carol@example.com" {
		t.Errorf("%+v", d.Lists)
	}
	r.tick(5 * time.Second)
	for i := range 2000 {
		r.subscribe(fmt.Sprintf("w%d", i), "Expires: 3600\n")
	}
	r.notifies = r.tick(5 * time.Second)
	if d, text := r.last(); d.Partial || len(text) > maxDatagram+1000 || len(d.Lists[0].Watchers) < 200 {
		t.Errorf("partial %t, %d watchers, %d bytes", d.Partial, len(d.Lists[0].Watchers), len(text))
	}
	if n := len(r.presentity(alice).winfo.changes); n > maxChanges {
		t.Errorf("%d changes are remembered", n)
	}
}

// decided is a filter of those on whom there is nothing to decide.
const decided = `<filter-set xmlns="urn:ietf:params:xml:ns:simple-filter"><ns-bindings><ns-binding prefix="w" urn="urn:ietf:params:xml:ns:watcherinfo"/>` +
	`</ns-bindings><filter id="1"><what><exclude>//w:watcher[@status="pending" or @status="waiting"]</exclude></what></filter></filter-set>`

// A filter is asked before a document is cut to what a NOTIFY can carry.
func TestManyFiltered(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Settings.MinInterval = 5 * time.Second })
	for i := range 1000 {
		r.subscribe(fmt.Sprintf("w%d", i), "Expires: 3600\n")
	}
	const head = "Event: presence.winfo\nContact: <sip:alice@198.51.100.1>\nContent-Type: application/simple-filter+xml\n"
	one := strings.Replace(decided, `<exclude>//w:watcher[@status="pending" or @status="waiting"]</exclude>`, `<include>//w:watcher[.="sip:w999@example.com"]</include>`, 1)
	for body, want := range map[string]int{one: 1, decided: 200} {
		r.notifies = nil
		r.request("SUBSCRIBE", "alice", head, body)
		if d, text := r.last(); d.Partial || len(text) > maxDatagram+1000 || len(d.Lists[0].Watchers) < want {
			t.Errorf("%d watchers, %d bytes", len(d.Lists[0].Watchers), len(text))
		}
	}
}

// TestWatchersMerged: whatever happens, what a subscriber has merged of all it was
// sent is what there is; with a filter, what there is of it.
func TestWatchersMerged(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		r := newRig(t, func(c *Config) {
			c.Settings.Default = policy.Confirm
			c.Settings.MinInterval = time.Duration(rnd.IntN(2)) * 5 * time.Second
			if hides := rnd.IntN(2) == 0; hides {
				c.Settings.Conceals = func(presence.Presentity) bool { return true }
			}
		})
		var table watcherinfo.Table
		rules := new(policy.Rules)
		live := map[string][]*sip.Message{}
		take := func(list []*sip.Message) {
			for _, m := range list {
				if v, _ := m.Get(sip.HeaderEvent); v != eventWinfo || m.To.Tag() != "1" {
					continue
				}
				if m.Body == "" { // the filter has left nothing
					table = watcherinfo.Table{}
					continue
				}
				d, err := watcherinfo.Parse(m.Body)
				if err != nil {
					t.Fatal(err)
				}
				if outcome, err := table.Merge(d); err != nil || outcome != watcherinfo.Current {
					t.Fatalf("seed %d: version %d is %d, %v", seed, d.Version, outcome, err)
				}
			}
		}
		filtered := seed%2 == 1
		if filtered {
			r.request("SUBSCRIBE", "alice", "Event: presence.winfo\nContact: <sip:alice@198.51.100.1>\nContent-Type: application/simple-filter+xml\n", decided)
		} else {
			r.watch("alice")
		}
		take(r.notifies)
		for step := range 150 {
			user := fmt.Sprintf("w%d", rnd.IntN(6))
			r.notifies = nil
			switch rnd.IntN(8) {
			case 0, 1:
				if ok := r.subscribe(user, fmt.Sprintf("Expires: %d\n", 30+rnd.IntN(100))); ok.Status == 200 {
					live[user] = append(live[user], ok)
				}
			case 2:
				r.subscribe(user, "Expires: 0\n")
			case 3:
				if list := live[user]; len(list) > 0 {
					live[user] = list[1:]
					r.leave(user, list[0], "presence")
				}
			case 4:
				rules.Set(presence.AOR("sip:"+user+"@example.com"), []policy.Handling{policy.Block, policy.Confirm, policy.PoliteBlock, policy.Allow}[rnd.IntN(4)])
				changed := policy.Rules{Decisions: maps.Clone(rules.Decisions)}
				r.do(func(out *shard.Batch) { _ = r.SetRules(alice, &changed, r.now, out) })
			case 5, 6:
				r.notifies = r.tick(time.Duration(rnd.IntN(20)) * time.Second)
			case 7:
				if step%10 == 0 {
					r.restart(nil)
				}
			}
			take(r.notifies)
		}
		now := func() (rows []string) {
			for _, w := range r.Watchers(alice) {
				if filtered && w.Status != watcherinfo.Active {
					continue
				}
				rows = append(rows, fmt.Sprint(w.ID, " ", w.AOR, " ", w.Status, " ", w.Event))
			}
			return rows
		}
		want := now()
		for quiet := false; !quiet; want = now() {
			take(r.tick(6 * time.Second))
			quiet = slices.Equal(want, now())
		}
		var got []string
		for _, l := range table.Lists() {
			for _, w := range l.Watchers {
				got = append(got, fmt.Sprint(w.ID, " ", w.URI, " ", w.Status, " ", w.Event))
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(want, got) {
			t.Fatalf("seed %d: merged is\n%s\nbut there is\n%s", seed, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}
