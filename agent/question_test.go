package agent

import (
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

// rulesFor lets one identity see all services.
func everyDomain(string) bool { return true }

func rulesFor(identity string) string {
	return `<ruleset xmlns="urn:ietf:params:xml:ns:common-policy" xmlns:pr="urn:ietf:params:xml:ns:pres-rules"><rule id="a">
<conditions><identity>` + identity + `</identity></conditions><actions><pr:sub-handling>allow</pr:sub-handling></actions>
<transformations><pr:provide-services><pr:all-services/></pr:provide-services></transformations></rule></ruleset>`
}

func suppose(t *testing.T, name DocumentName, body string) *Supposition {
	t.Helper()
	m, err := ReadMeaning(name, body)
	if err != nil {
		t.Fatal(err)
	}
	return &Supposition{DocumentName: name, Body: body, Meaning: m}
}

var indexRules = DocumentName{AUID: AUIDPresRules, Path: "index"}

const bobs = presence.AOR("sip:bob@example.com")

// The document is the one that the watcher gets, byte for byte.
func TestExplainTellsWhatIsTold(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.publish("desk", "")
	r.subscribe("bob", "")
	e := r.Ask(alice, identity.Supposed(bobs, everyDomain), Question{At: r.now}).Explain()
	if len(r.notifies) != 1 || e.Document == "" || e.Document != r.notifies[0].Body {
		t.Errorf("%s\nis not\n%s", e.Document, r.notifies[0].Body)
	}
}

// So it is where the watcher has filters of its own, unless each of its
// subscriptions asks for something else: then it is all that it could have.
func TestExplainOwnFilter(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.publish("desk", "")
	ask := func(exclude string) string {
		r.request("SUBSCRIBE", "bob", "Event: presence\nContact: <sip:bob@198.51.100.1>\nContent-Type: application/simple-filter+xml\n",
			`<filter-set xmlns="urn:ietf:params:xml:ns:simple-filter"><ns-bindings><ns-binding prefix="p" urn="urn:ietf:params:xml:ns:pidf"/></ns-bindings><filter id="1"><what><exclude>//p:`+exclude+`</exclude></what></filter></filter-set>`)
		return r.notifies[len(r.notifies)-1].Body
	}
	explain := func() Explanation {
		return r.Ask(alice, identity.Supposed(bobs, everyDomain), Question{At: r.now}).Explain()
	}
	whole := explain().Document
	for range 2 {
		told := ask("note")
		if e := explain(); e.Document != told || told == whole || len(e.Warnings) != 1 {
			t.Errorf("%s\nis not\n%s\nwarnings %q", e.Document, told, e.Warnings)
		}
	}
	r.subscribe("carol", "")
	ask("contact")
	if e := explain(); e.Document != whole || len(e.Warnings) != 0 {
		t.Errorf("%s\nis not\n%s\nwarnings %q", e.Document, whole, e.Warnings)
	}
}

// What is asked about as if it were so is not so afterwards.
func TestExplainAsIf(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Settings.Default = policy.Confirm })
	r.publish("desk", "")
	bob := identity.Supposed(bobs, everyDomain)
	as := Question{At: r.now, Suppose: suppose(t, indexRules, rulesFor(`<one id="sip:bob@example.com"/>`))}
	before := r.Ask(alice, bob, Question{At: r.now}).Explain()
	if before.Decision.Handling != policy.Confirm || before.Document != "" {
		t.Errorf("%v, %s", before.Decision.Handling, before.Document)
	}
	if e := r.Ask(alice, bob, as).Explain(); e.Decision.Handling != policy.Allow || !strings.Contains(e.Document, "open") || e.Decision.Matched != "pres-rules/index/a" {
		t.Errorf("%+v, %s", e.Decision, e.Document)
	}
	if e := r.Ask("sip:new@example.com", bob, as).Explain(); e.Decision.Handling != policy.Allow || strings.Contains(e.Document, "open") {
		t.Errorf("of one of whom nothing is known: %+v, %s", e.Decision, e.Document)
	}
	if e := r.Ask(alice, bob, Question{At: r.now}).Explain(); e.Decision.Handling != policy.Confirm || len(r.Documents(alice)) != 0 || r.people["sip:new@example.com"] != nil {
		t.Error("it stayed")
	}
	r.do(func(out *shard.Batch) {
		if _, err := r.ChangeDocument(alice, DocumentChange{indexRules, "", as.Suppose.Body, as.Suppose.Meaning}, r.now, out); err != nil {
			t.Error(err)
		}
	})
	if e := r.Ask(alice, bob, Question{At: r.now, Suppose: &Supposition{DocumentName: indexRules, Absent: true}}).Explain(); e.Decision.Handling != policy.Confirm {
		t.Errorf("without it: %+v", e.Decision)
	}
}

func TestComparer(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Settings.Default = policy.Confirm })
	r.subscribe("bob", "")
	r.by(identity.RestorePrivate("sip:eve@example.com", presence.MechanismAsserted, "", true), "presence")
	rules := new(policy.Rules)
	rules.Set("sip:dave@example.com", policy.Block)
	rules.Set("sip:alice@example.com", policy.Block) // herself
	rules.Set("sip:somebody0@example.com", policy.Block)
	r.do(func(out *shard.Batch) { _ = r.SetRules(alice, rules, r.now, out) })
	q := Question{At: r.now, Suppose: suppose(t, indexRules, rulesFor(`<one id="sip:carol@example.org"/><many domain="example.net"><except id="sip:x@example.net"/></many>`))}

	kinds := func(private bool) (list []string, live int) {
		for _, s := range r.Comparer(alice, q, private).Subjects() {
			switch {
			case s.Kind == SubjectAddress:
				list = append(list, string(s.Who.AOR()))
			case s.Kind == SubjectDomain:
				list = append(list, "* of "+s.Domain)
				if s.Who.AOR() == "sip:somebody0@example.com" {
					t.Error("the unnamed one is named")
				}
			default:
				list = append(list, string(s.Kind))
			}
			if s.Live {
				live++
			}
		}
		return list, live
	}
	want := []string{"unauthenticated", "others", "* of example.com", "* of example.net",
		"sip:bob@example.com", "sip:carol@example.org", "sip:dave@example.com", "sip:somebody0@example.com", "sip:x@example.net"}
	if got, live := kinds(false); !slices.Equal(got, want) || live != 1 {
		t.Errorf("%q, %d live", got, live)
	}
	// To the presentity nameless watchers stay nameless.
	if got, live := kinds(true); len(got) != len(want)+1 || !slices.Contains(got, "sip:eve@example.com") || live != 2 {
		t.Errorf("%q, %d live", got, live)
	}

	changed := map[string]int{}
	compare := r.Comparer(alice, q, false)
	for _, s := range compare.Subjects() {
		c := compare.Compare(s)
		if len(c.Differences) > 0 {
			changed[string(c.Kind)+" "+string(c.Who.AOR().Domain())] = len(c.Differences)
			if c.Before.Handling != policy.Confirm || c.After.Handling != policy.Allow {
				t.Errorf("%+v", c)
			}
		}
	}
	if len(changed) != 2 || changed["domain example.net"] == 0 || changed["address example.org"] == 0 {
		t.Errorf("%v", changed)
	}
}

// What time alone will bring is compared too.
func TestComparerLater(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Settings.Default = policy.Confirm })
	rule := func(id, condition, gives string) string {
		return `<rule id="` + id + `"><conditions><identity><one id="sip:bob@example.com"/></identity>` + condition + `</conditions>` +
			`<actions><pr:sub-handling>allow</pr:sub-handling></actions><transformations>` + gives + `</transformations></rule>`
	}
	const hours = `<t:recurring days="tue" from="09:00" until="17:00" zone="UTC"/>`
	validity := func(from, until time.Time) string {
		return "<validity><from>" + from.Format(time.RFC3339) + "</from><until>" + until.Format(time.RFC3339) + "</until></validity>"
	}
	services, persons := `<pr:provide-services><pr:all-services/></pr:provide-services>`, `<pr:provide-persons><pr:all-persons/></pr:provide-persons>`
	far := time.Date(r.now.Year()+2, 5, 1, 0, 0, 0, 0, time.UTC)
	tuesday := r.now.Truncate(24 * time.Hour)
	for tuesday.Weekday() != time.Tuesday || !tuesday.After(r.now) {
		tuesday = tuesday.Add(24 * time.Hour)
	}
	type stretch struct {
		from, until time.Time
		gains       int
	}
	for name, c := range map[string]struct {
		rules string
		first stretch
		later []stretch
	}{
		"for good":  {rule("a", "", services), stretch{gains: 2}, nil},
		"for a day": {rule("a", validity(r.now.Add(-time.Hour), far), services), stretch{until: far, gains: 2}, nil},
		"hours": {rule("a", hours, services), stretch{until: tuesday.Add(9 * time.Hour)},
			[]stretch{{tuesday.Add(9 * time.Hour), tuesday.Add(17 * time.Hour), 2}}},
		"hours, and some day more": {rule("a", hours, services) + rule("b", validity(far, far.Add(time.Hour)), persons),
			stretch{until: tuesday.Add(9 * time.Hour)},
			[]stretch{{tuesday.Add(9 * time.Hour), tuesday.Add(17 * time.Hour), 2}, {far, far.Add(time.Hour), 2}}},
		// A boundary at which nothing changes for him does not cut it.
		"twice the same": {rule("a", validity(r.now.Add(-time.Hour), r.now.Add(time.Hour)), services) +
			rule("b", validity(r.now.Add(time.Hour), far), services), stretch{until: far, gains: 2}, nil},
	} {
		doc := `<ruleset xmlns="urn:ietf:params:xml:ns:common-policy" xmlns:pr="urn:ietf:params:xml:ns:pres-rules" xmlns:t="https://github.com/tacit-presence/ns/rules">` + c.rules + `</ruleset>`
		compare := r.Comparer(alice, Question{At: r.now, Suppose: suppose(t, indexRules, doc)}, false)
		first := compare.Compare(Subject{Kind: SubjectAddress, Who: identity.Supposed(bobs, everyDomain)})
		later, whole := compare.Later(&first)
		if got := (stretch{first.Until, first.Until, len(first.Differences)}); !got.until.Equal(c.first.until) || got.gains != c.first.gains || !whole {
			t.Errorf("%s: until %v, %d, %v", name, got.until, got.gains, whole)
		}
		same := slices.EqualFunc(later, c.later, func(x Comparison, want stretch) bool {
			return x.From.Equal(want.from) && x.Until.Equal(want.until) && len(x.Differences) == want.gains
		})
		if !same {
			t.Errorf("%s: %+v, not %+v", name, later, c.later)
		}
		compare.moments = maxMoments
		if again := compare.Compare(first.Subject); !again.Until.IsZero() {
			if later, whole := compare.Later(&again); whole || len(later) > 0 {
				t.Errorf("%s: beyond the bound: %v %v", name, later, whole)
			}
		}
	}
}

// Where decisions are hidden a watcher that is blocked is there, and does not know.
func TestWatching(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) {
		c.Settings.Default, c.Settings.Conceals = policy.Block, func(presence.Presentity) bool { return true }
	})
	if r.Watching(alice, Question{At: r.now}) != nil {
		t.Error("somebody watches")
	}
	r.subscribe("bob", "")
	list := r.Watching(alice, Question{At: r.now})
	if len(list) != 1 || list[0].Status != watcherinfo.Terminated || list[0].Decision.Handling != policy.Block || !list[0].Concealed || list[0].ID == "" {
		t.Errorf("%+v", list)
	}
	// An override that the presentity may not know of is not seen in it.
	set, err := policy.ReadRuleSet(rulesFor(`<one id="sip:bob@example.com"/>`), Zones())
	if err != nil {
		t.Fatal(err)
	}
	r.do(func(out *shard.Batch) {
		s := r.cfg.Settings
		s.Overrides = set
		r.Reconfigure(s, r.now, out)
	})
	for blind, want := range map[bool]watcherinfo.Status{false: watcherinfo.Active, true: watcherinfo.Terminated} {
		list := r.Watching(alice, Question{At: r.now, NoOverrides: blind})
		if len(list) != 1 || list[0].Status != want || (list[0].Decision.Raised == "") != blind {
			t.Errorf("%v: %+v", blind, list)
		}
	}
	if e := r.Ask(alice, identity.Supposed(bobs, everyDomain), Question{At: r.now, NoOverrides: true}).Explain(); e.Decision.Handling != policy.Block || len(e.Rules) != 0 {
		t.Errorf("%+v", e.Explanation)
	}
}

// Watcher information says what the presentity's own rules would make of a watcher,
// where it may not know of the override that has raised it.
func TestHiddenOverride(t *testing.T) {
	t.Parallel()
	set, err := policy.ReadRuleSet(rulesFor(`<one id="sip:bob@example.com"/>`), Zones())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		own          policy.Handling
		hide, hidden bool
		want         string // bob's status and event; empty: he is not there
		waits        bool   // when he has gone
	}{
		{policy.Confirm, true, false, "pending subscribe", true},
		{policy.Confirm, true, true, "pending subscribe", true},
		{policy.Confirm, false, false, "active subscribe", false},
		{policy.Block, true, false, "", false},
		{policy.Block, true, true, "", false},
		{policy.Block, false, false, "active subscribe", false},
	} {
		r := newRig(t, func(cfg *Config) {
			cfg.Settings.Default, cfg.Settings.Overrides, cfg.Settings.HideOverrides = c.own, set, c.hide
			cfg.Settings.Conceals = func(presence.Presentity) bool { return c.hidden }
		})
		ok := r.subscribe("bob", "")
		if v, _ := r.notifies[0].Get(sip.HeaderSubscriptionState); !strings.HasPrefix(v, "active;") {
			t.Errorf("%+v: the override does not hold: %s", c, v)
		}
		shown := func() (list []string) {
			r.request("SUBSCRIBE", "alice", "Event: presence.winfo\nContact: <sip:alice@198.51.100.1>\nExpires: 0\n", "")
			d, _ := r.last()
			for _, w := range d.Lists[0].Watchers {
				list = append(list, w.Status.String()+" "+w.Event.String())
			}
			return list
		}
		if got := strings.Join(shown(), ", "); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
		list := r.Watching(alice, Question{At: r.now, NoOverrides: c.hide})
		switch {
		case c.hide && c.own == policy.Block && !c.hidden:
			if len(list) != 0 {
				t.Errorf("%+v: %+v", c, list)
			}
		case len(list) != 1 || c.want != "" && list[0].Status.String() != strings.Fields(c.want)[0]:
			t.Errorf("%+v: %+v", c, list)
		}
		if list := r.Watching(alice, Question{At: r.now}); len(list) != 1 || list[0].Status != watcherinfo.Active {
			t.Errorf("%+v: the operator sees %+v", c, list)
		}
		r.leave("bob", ok, "presence")
		if got := strings.Join(shown(), ", "); got != map[bool]string{true: "waiting timeout"}[c.waits] {
			t.Errorf("%+v: when he has gone %s", c, got)
		}
	}
}

// What is stored while the shard does not run tells nobody, and holds after.
func TestStoreDocument(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.subscribe("bob", "")
	body := strings.Replace(rulesFor(`<one id="sip:bob@example.com"/>`), "allow<", "polite-block<", 1)
	s := suppose(t, indexRules, body)
	r.tick(time.Minute)
	var tag presence.EntityTag
	r.do(func(out *shard.Batch) {
		d, err := r.StoreDocument(alice, DocumentChange{indexRules, "", body, s.Meaning}, r.now, out)
		if tag = d.ETag; err != nil || len(out.Sends) != 0 {
			t.Errorf("%v, %d sends", err, len(out.Sends))
		}
		if _, err := r.StoreDocument(alice, DocumentChange{indexRules, "", body, s.Meaning}, r.now, out); err == nil {
			t.Error("stored over another")
		}
	})
	r.restart(nil)
	if d, there := r.Document(alice, indexRules); !there || d.Body != body || d.ETag != tag {
		t.Errorf("%v", d)
	}
	if e := r.Ask(alice, identity.Supposed(bobs, everyDomain), Question{At: r.now}).Explain(); e.Decision.Matched != "pres-rules/index/a" {
		t.Errorf("%+v", e.Decision)
	}
	r.do(func(out *shard.Batch) {
		if err := r.DropDocument(alice, indexRules, "other", out); err == nil {
			t.Error("another was dropped")
		}
		if err := r.DropDocument(alice, indexRules, tag, out); err != nil {
			t.Error(err)
		}
	})
	r.restart(nil)
	if _, there := r.Document(alice, indexRules); there {
		t.Error("it is there")
	}
}

// TestSupposed: a question is about the watcher as it is proven here, and as it
// watches; not, for the presentity, about who wants to be nameless.
func TestSupposed(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Serves = func(domain string) bool { return domain == "example.com" } })
	carol := presence.NewPrincipal("sip:carol@example.com", presence.MechanismAsserted)
	dan := presence.NewPrincipal("sip:dan@example.com", presence.MechanismAsserted).With("", true)
	r.put(AUIDPreferences, "index", `<preferences xmlns="https://github.com/tacit-presence/ns/rules"><watchers authentication="strong"/></preferences>`)
	for _, c := range []struct {
		aor  presence.AOR
		want presence.Mechanism
	}{
		{bobs, presence.MechanismDigest},
		{"sip:zoe@elsewhere.org", presence.MechanismAsserted},
		{"tel:+1555", presence.MechanismAsserted},
		{presence.Anonymous, presence.MechanismAnonymous},
	} {
		who := r.Supposed(alice, c.aor, false)
		if who.AOR() != c.aor || who.Mechanism() != c.want {
			t.Errorf("%s: %v", c.aor, who)
		}
		handling := r.Ask(alice, who, Question{At: r.now}).Explain().Decision.Handling
		if strong := c.want == presence.MechanismDigest; (handling == policy.Allow) != strong {
			t.Errorf("%s: %s", c.aor, handling)
		}
	}
	r.put(AUIDPreferences, "index", "")
	r.by(carol, eventPresence)
	r.by(dan, eventPresence)
	if who := r.Supposed(alice, carol.AOR(), false); who != carol {
		t.Errorf("%v", who)
	}
	if who := r.Supposed(alice, dan.AOR(), false); who == dan {
		t.Error("the nameless one is named")
	}
	if who := r.Supposed(alice, dan.AOR(), true); who != dan {
		t.Errorf("%v", who)
	}
}
