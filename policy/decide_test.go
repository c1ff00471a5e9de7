package policy

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/presence"
)

func setsOf(t testing.TB, texts ...string) *Rules {
	t.Helper()
	r := new(Rules)
	for i, text := range texts {
		r.Sets = append(r.Sets, NamedSet{fmt.Sprint("doc", i), readRules(t, ruleDoc(text))})
	}
	return r
}

var anonymous = presence.NewPrincipal(presence.Anonymous, presence.MechanismAnonymous)

func TestReadRuleSetRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing":      ``,
		"no XML":       `rules`,
		"another root": `<ruleset/>`,
		"a DTD":        `<!DOCTYPE ruleset><ruleset xmlns="` + commonPolicySpace + `"/>`,
		"many rules":   ruleDoc(strings.Repeat(`<rule/>`, maxRules+1)),
		"a long id":    ruleDoc(`<rule id="` + strings.Repeat("x", maxRuleID+1) + `"/>`),
		"conditions":   ruleDoc(ruleOf("a", strings.Repeat(`<sphere value="x"/>`, maxConditions+1), "")),
		"large":        ruleDoc(strings.Repeat(" ", 300<<10)),
	} {
		if s, err := ReadRuleSet(text, nil); s != nil || !errors.Is(err, ErrRules) {
			t.Errorf("%s: %v %v", name, s, err)
		}
	}
	for name, text := range map[string]string{
		"no rule": ruleDoc(``), "strangers": ruleDoc(`<x/><t:rule/>`), "most rules": ruleDoc(strings.Repeat(`<rule/>`, maxRules)),
	} {
		if _, err := ReadRuleSet(text, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUses(t *testing.T) {
	t.Parallel()
	r := setsOf(t, ruleOf("a", `<sphere value="work"/>`, ""),
		ruleOf("b", `<ocp:external-list><ocp:entry anc="http://b"/><ocp:entry anc="http://a"/></ocp:external-list>`, ""),
		ruleOf("c", `<t:recurring days="mon" zone="Europe/Berlin"/>`+one("sip:b@example.com"), ""),
		ruleOf("d", `<gp:location-condition><gp:location profile="civic-condition"><country xmlns="urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr">DE</country></gp:location></gp:location-condition>`, ""))
	for i, want := range []Uses{{Sphere: true}, {Lists: []string{"http://a", "http://b"}}, {Time: true}, {Location: true}} {
		if got := r.Sets[i].Uses(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%d: %+v, want %+v", i, got, want)
		}
	}
	if u := r.Uses(); !u.Sphere || !u.Location || !u.Time || len(u.Lists) != 2 {
		t.Errorf("%+v", u)
	}
	if u := (*Rules)(nil).Uses(); fmt.Sprint(u) != fmt.Sprint(Uses{}) {
		t.Errorf("%+v", u)
	}
}

func TestDecisionsAreRules(t *testing.T) {
	t.Parallel()
	r := setsOf(t, ruleOf("b", one(string(bob)), `<pr:provide-mood>true</pr:provide-mood>`), ruleOf("others", `<ocp:other-identity/>`, ""))
	r.Decisions = map[presence.AOR]Handling{bob: Block, carol: Confirm, "tel:+15551": Allow}
	for _, c := range []struct {
		who  presence.Principal
		want string
	}{
		{known(bob), "allow [mood] " + string(bob) + ", doc0/b"}, // a block takes nothing away, nor gives everything
		{known(carol), "confirm [] " + string(carol)},            // other-identity: a decision is a rule too
		{known("sip:eve@example.com"), "allow [] doc1/others"},
		{known(carol).With("tel:+15551", false), "allow [a tuple's deviceID activities all devices all other attributes"},
		{anonymous, "block [] unauthenticated"},
	} {
		d := Decide(r, c.who, time.Time{}, Facts{Default: PoliteBlock})
		if got := decisionText(d) + " " + d.Matched; !strings.HasPrefix(got, c.want) {
			t.Errorf("%v: %s, want %s", c.who, got, c.want)
		}
	}
	r.Set(carol, PoliteBlock)
	if d := Decide(r, known(carol), time.Time{}, Facts{}); d.Handling != PoliteBlock {
		t.Error("a new decision does not hold:", d)
	}
}

// TestChangedRulesHold: what is remembered of old documents is not asked.
func TestChangedRulesHold(t *testing.T) {
	t.Parallel()
	r := setsOf(t, ruleOf("b", one(string(bob)), ""))
	f := Facts{}
	ask := func(want string) {
		t.Helper()
		if d := Decide(r, known(bob), time.Time{}, f); d.Handling.String()+" "+d.Matched != want {
			t.Errorf("%s %s, want %s", d.Handling, d.Matched, want)
		}
	}
	ask("allow doc0/b")
	r.Sets[0].RuleSet = readRules(t, ruleDoc(ruleOf("c", one(string(carol)), "")))
	ask("block default")
	r.Sets = append(r.Sets, NamedSet{"new", readRules(t, ruleDoc(ruleOf("b", one(string(bob)), "")))})
	ask("allow new/b")
	f.Ceilings = readRules(t, ruleDoc(`<rule id="c"><actions><pr:sub-handling>polite-block</pr:sub-handling></actions></rule>`))
	ask("polite-block new/b")
	f.Ceilings = nil
	ask("allow new/b")
	r.Sets = r.Sets[:1]
	ask("block default")
	p, err := ReadPreferences(`<preferences xmlns="` + ownSpace + `"><levels><member level="full" id="` + string(bob) + `"/></levels></preferences>`)
	if err != nil {
		t.Fatal(err)
	}
	r.Preferences = p
	ask("allow level/full")
	r.Preferences = nil
	ask("block default")
}

func TestOperator(t *testing.T) {
	t.Parallel()
	r := setsOf(t, ruleOf("b", one(string(bob)), `<pr:provide-services><pr:class>biz</pr:class><pr:service-uri-scheme>sip</pr:service-uri-scheme></pr:provide-services>
		<pr:provide-all-attributes/>`))
	r.Set(carol, Allow)
	f := Facts{
		Ceilings: readRules(t, ruleDoc(
			ruleOf("calm", `<identity><many domain="example.com"/></identity>`, `<pr:provide-services><pr:service-uri-scheme>sip</pr:service-uri-scheme><pr:occurrence-id>t1</pr:occurrence-id></pr:provide-services>
				<pr:provide-mood>true</pr:provide-mood><pr:provide-user-input>bare</pr:provide-user-input><pr:provide-unknown-attribute ns="urn:x" name="foo">true</pr:provide-unknown-attribute>
				<gp:provide-location profile="civic-transformation"><lp:provide-civic xmlns:lp="urn:ietf:params:xml:ns:basic-location-profiles">city</lp:provide-civic></gp:provide-location><t:coarse-timestamps seconds="60"/>`)+
				`<rule id="eve">`+`<conditions>`+one("sip:eve@example.com")+`</conditions></rule>`)),
		Overrides: readRules(t, ruleDoc(ruleOf("rescue", one("sip:rescue@example.net"), `<pr:provide-persons><pr:all-persons/></pr:provide-persons><gp:provide-location/>`)+
			ruleOf("nobody", one("sip:nobody@example.net"), ``))),
	}
	for _, c := range []struct {
		who                   presence.Principal
		want, cap, raise, why string
	}{
		{known(bob), "allow [<foo> of urn:x location: civic location: city mood services of (class=biz,service-uri-scheme=sip) within (occurrence-id=t1,service-uri-scheme=sip) times: in steps of 60 s user-input: bare]", "ceiling/calm", "", "doc0/b"},
		{known(carol), "allow [<foo> of urn:x location: civic location: city mood services of occurrence-id t1 services of service-uri-scheme sip times: in steps of 60 s user-input: bare]", "ceiling/calm", "", string(carol)},
		{known("sip:eve@example.com"), "block []", "ceiling/eve, ceiling/calm", "", MatchedDefault},
		{known("sip:rescue@example.net"), "allow [all persons location: whole location]", "", "override/rescue", MatchedDefault},
		{known("sip:frank@example.net"), "confirm []", "", "", MatchedDefault},
	} {
		f.Default = Confirm
		d := Decide(r, c.who, time.Time{}, f)
		if strings.HasPrefix(c.cap, "ceiling/eve") {
			c.cap = "ceiling/eve" // calm alone leaves a confirm as it is
		}
		if decisionText(d) != c.want || d.Capped != c.cap || d.Raised != c.raise || d.Matched != c.why {
			t.Errorf("%v: %s capped by %q, raised by %q, matched %s\nwant %s", c.who, decisionText(d), d.Capped, d.Raised, d.Matched, c.want)
		}
		// Without rules of its own a presentity has the operator's all the same.
		if n := Decide(nil, c.who, time.Time{}, f); c.why == MatchedDefault && !n.same(d) {
			t.Errorf("%v without rules: %v, not %v", c.who, n, d)
		}
	}
	if d := Decide(r, known(alice), time.Time{}, Facts{Owner: true, Ceilings: f.Ceilings}); !d.Permissions.All() || d.Capped != "" {
		t.Error("the owner is capped:", d)
	}
}

func TestPreferences(t *testing.T) {
	t.Parallel()
	read := func(inner string) *Preferences {
		p, err := ReadPreferences(`<preferences xmlns="` + ownSpace + `" xmlns:cp="` + commonPolicySpace + `" xmlns:pr="` + presRulesSpace + `">` + inner + `</preferences>`)
		if err != nil {
			t.Fatal(inner, err)
		}
		return p
	}
	p := read(`<watchers authentication="strong"/><unknown-watchers>confirm</unknown-watchers><announce new-watchers="true" polling="false"/><conceal>on</conceal>
	<levels>
		<level name="low"><cp:actions><pr:sub-handling>polite-block</pr:sub-handling></cp:actions><cp:transformations/></level>
		<level name="work"><cp:actions><pr:sub-handling>allow</pr:sub-handling></cp:actions><cp:transformations><pr:provide-mood>true</pr:provide-mood></cp:transformations></level>
		<level name="none"><cp:actions><pr:sub-handling>allow</pr:sub-handling></cp:actions></level>
		<member level="low" id="sip:low@example.com"/><member level="work" domain="EXAMPLE.com"/><member level="none" id="sip:none@example.com"/>
		<member level="medium" id="tel:+1-555"/><member level="full" id="sips:full@example.net"/><member level="mystery" id="sip:mystery@example.com"/>
	</levels>`)
	if p.NewWatchers != Yes || p.Polling != No || p.Conceal != Yes || p.Authentication != Strong || !p.NewWatchers.Or(false) || p.Polling.Or(true) || !LeftToDomain.Or(true) {
		t.Errorf("%#v", p)
	}
	r := &Rules{Preferences: p}
	for _, c := range []struct {
		who  presence.Principal
		want string
	}{
		{known("sip:low@example.com"), "polite-block [] level/low"},
		{known("sip:x@example.com"), "allow [mood] level/work"},
		{known("sip:none@example.com"), "block [] level/none"},
		{known("sip:mystery@example.com"), "confirm [] default"},
		{known("tel:+1555"), "allow [activities all devices all persons all services mood network availability notes place-is status-icon user-input: bare willingness] level/medium"},
		{known("sip:eve@example.org"), "confirm [] default"},
		{presence.NewPrincipal("sip:x@example.com", presence.MechanismAsserted), "block [] authentication"},
		{anonymous, "block [] unauthenticated"},
	} {
		d := Decide(r, c.who, time.Time{}, Facts{Default: Allow})
		if got := decisionText(d) + " " + d.Matched; got != c.want {
			t.Errorf("%v: %s, want %s", c.who, got, c.want)
		}
	}
	if d := Decide(r, known("sip:full@example.net"), time.Time{}, Facts{}); !d.Permissions.All() || d.Matched != "level/full" {
		t.Error(d)
	}
	// What cannot be read shows least.
	p = read(`<watchers authentication="stong"/><unknown-watchers>alow</unknown-watchers><conceal>yes</conceal>
		<levels><member level="full" domain="example.com"/><member level="none" id="bob"/></levels>`)
	if h, said := p.Unknown(); h != Block || !said || p.Authentication != Strong || p.Conceal != Yes {
		t.Errorf("%v %v %+v", h, said, p.Authentication)
	}
	if d := Decide(&Rules{Preferences: p}, known(bob), time.Time{}, Facts{Default: Allow}); d.Handling != Block {
		t.Error("who is not read is not excepted:", d)
	}
	p = read(`<conceal>domain</conceal><x/>`)
	if _, said := p.Unknown(); said || p.Conceal != LeftToDomain || p.Authentication != AnyWatcher {
		t.Error("nothing said, and yet something")
	}
	for _, text := range []string{``, `<preferences/>`, `<preferences xmlns="` + ownSpace + `"><conceal>on</conceal><conceal>off</conceal></preferences>`,
		`<preferences xmlns="` + ownSpace + `"><levels>` + manyLevels() + `</levels></preferences>`} {
		if p, err := ReadPreferences(text); p != nil || !errors.Is(err, ErrPreferences) {
			t.Errorf("%.80s: %v %v", text, p, err)
		}
	}
}

func manyLevels() string {
	var b strings.Builder
	for i := range maxLevels {
		fmt.Fprintf(&b, `<level name="l%d"/>`, i)
	}
	return b.String()
}

// TestSimplyIsTheSame: without rules to ask all is as with one that never holds.
func TestSimplyIsTheSame(t *testing.T) {
	t.Parallel()
	p, err := ReadPreferences(`<preferences xmlns="` + ownSpace + `"><watchers authentication="strong"/><unknown-watchers>polite-block</unknown-watchers></preferences>`)
	if err != nil {
		t.Fatal(err)
	}
	decisions := map[presence.AOR]Handling{bob: Allow, carol: 25, "tel:+1": Block}
	unheld := setsOf(t, ruleOf("moon", `<moon/>`, "")).Sets
	for _, prefs := range []*Preferences{nil, p, new(Preferences)} {
		for _, who := range []presence.Principal{{}, anonymous, known(bob), known(carol).With("tel:+1", true), known("tel:+1"), known("sip:eve@example.com"),
			presence.NewPrincipal(bob, presence.MechanismAsserted), presence.NewPrincipal("sip:eve@example.com", presence.MechanismAsserted)} {
			for _, f := range []Facts{{}, {Default: Allow}, {Default: 29}, {Owner: true}} {
				simple := Decide(&Rules{Decisions: decisions, Preferences: prefs, Sets: []NamedSet{{RuleSet: new(RuleSet)}}}, who, time.Time{}, f)
				full := Decide(&Rules{Decisions: decisions, Preferences: prefs, Sets: unheld}, who, time.Time{}, f)
				if simple != full {
					t.Errorf("%v: %+v, not %+v", who, simple, full)
				}
			}
		}
	}
}

func TestAuthentication(t *testing.T) {
	t.Parallel()
	for m, want := range map[presence.Mechanism][3]bool{
		presence.MechanismNone: {true, false, false}, presence.MechanismAnonymous: {true, false, false},
		presence.MechanismAsserted: {true, true, false}, presence.MechanismDigest: {true, true, true},
	} {
		for a, w := range want {
			if Authentication(a).Met(m) != w {
				t.Errorf("%v by %v: %v", a, m, !w)
			}
		}
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	r := setsOf(t, ruleOf("sphere", `<sphere value="home"/>`+one(string(bob)), "")+
		ruleOf("time", one(string(bob))+`<validity><from>2030-01-01T00:00:00Z</from><until>2031-01-01T00:00:00Z</until></validity>`, "")+
		ruleOf("many", `<identity><many><except id="`+string(bob)+`"/></many></identity>`, "")+
		ruleOf("carol", one(string(carol)), "")+
		ruleOf("moon", `<x:moon xmlns:x="urn:x"/>`, "")+
		`<rule id="block"><conditions>`+one(string(bob))+`</conditions><actions><pr:sub-handling>block</pr:sub-handling></actions></rule>`+
		ruleOf("all", `<identity><many domain="example.com"/></identity>`, `<pr:provide-persons><pr:all-persons/></pr:provide-persons><pr:provide-all-attributes/>`)+
		ruleOf("other", `<ocp:other-identity/>`, "")+
		ruleOf("hours", `<t:recurring from="01:00" until="02:00" zone="UTC"/>`, ""))
	now := when(t, "2029-01-01T00:00:00Z")
	x := Explain(r, known(bob), now, Facts{Surroundings: Surroundings{Sphere: NewSphere("Work")}})
	want := []string{
		`doc0/sphere: sphere: the presentity's is "work", not home`,
		`doc0/time: validity: it is not within any of the periods; next at 2030-01-01T00:00:00Z`,
		`doc0/many: identity: the watcher is excepted`,
		`doc0/carol: identity: is about others`,
		`doc0/moon: the condition <moon> is not known, so it is false`,
		`doc0/block: matches`,
		`doc0/all: matches`,
		`doc0/other: other-identity: another rule matches`,
		`doc0/hours: recurring: it is another day or hour in UTC; next at 2029-01-01T01:00:00Z`,
	}
	for i, rule := range x.Rules {
		got := rule.Name + ": " + rule.Failed
		if rule.Matched {
			got += "matches"
		}
		if i >= len(want) || got != want[i] {
			t.Errorf("%d: %s", i, got)
		}
	}
	if len(x.Rules) != len(want) || len(x.Warnings) != 2 || !strings.Contains(x.Warnings[0], "says block") || !strings.Contains(x.Warnings[1], "exact location") {
		t.Errorf("%d rules, warnings %q", len(x.Rules), x.Warnings)
	}
	if adds := strings.Join(x.Rules[6].Adds, "; "); !strings.HasPrefix(adds, "handling: allow; all persons; activities") || !strings.Contains(adds, "location: whole location") {
		t.Error(adds)
	}
	if x.Decision.Until != when(t, "2029-01-01T01:00:00Z") || !x.Rules[1].Until.Equal(when(t, "2030-01-01T00:00:00Z")) {
		t.Error(x.Decision.Until, x.Rules[1].Until)
	}
	if x := Explain(nil, known(bob), now, Facts{}); x.Decision.Matched != MatchedDefault || x.Rules != nil {
		t.Error(x)
	}
	r.Set(bob, Block)
	if x := Explain(r, known(bob), now, Facts{}); x.Rules[0].Name != string(bob) || len(x.Warnings) != 3 {
		t.Error(x.Rules[0], x.Warnings)
	}
}

// RFC 5025, 3.1.1.2: URIs of different schemes are never equivalent; but what is to
// keep somebody out does so by any of them.
func TestSchemesOfIdentities(t *testing.T) {
	t.Parallel()
	for id, matches := range map[string]bool{
		"sip:bob@example.com": true, " SIP:%62ob@EXAMPLE.com ": true, "sip:bob@example.com;user=phone": true,
		"sips:bob@example.com": false, "pres:bob@example.com": false, "tel:bob": false, "mailto:bob@example.com": false,
	} {
		d := Decide(setsOf(t, ruleOf("one", one(id), "")), known("sip:bob@example.com"), time.Time{}, Facts{})
		if got := d.Handling == Allow; got != matches {
			t.Errorf("one %q matches: %v", id, got)
		}
	}
	for id, excepted := range map[string]bool{"sip:bob@example.com": true, "sips:bob@example.com": true, "pres:bob@example.com": true, "mailto:bob@example.com": false} {
		d := Decide(setsOf(t, ruleOf("many", `<identity><many><except id="`+id+`"/></many></identity>`, "")), known("sip:bob@example.com"), time.Time{}, Facts{})
		if got := d.Handling != Allow; got != excepted {
			t.Errorf("except %q excepts: %v", id, got)
		}
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	decide := func(transformations string) Decision {
		return Decide(setsOf(t, ruleOf("b", one(string(bob)), transformations)), known(bob), time.Time{}, Facts{})
	}
	mood := decide(`<pr:provide-persons><pr:all-persons/></pr:provide-persons><pr:provide-mood>true</pr:provide-mood><pr:provide-user-input>full</pr:provide-user-input><t:coarse-timestamps seconds="60"/>`)
	note := decide(`<pr:provide-persons><pr:class>x</pr:class></pr:provide-persons><pr:provide-note>true</pr:provide-note><pr:provide-user-input>bare</pr:provide-user-input><t:coarse-timestamps seconds="900"/><gp:provide-location/>`)
	for _, c := range []struct {
		before, after Decision
		want          string
	}{
		{mood, mood, ""},
		{mood, note, "loses persons (all becomes class=x); loses mood; loses user-input (full becomes bare); loses times (in steps of 60 s becomes in steps of 900 s); gains notes; gains location (whole location)"},
		{note, mood, "gains persons (class=x becomes all); loses notes; gains user-input (bare becomes full); loses location (whole location); gains times (in steps of 900 s becomes in steps of 60 s); gains mood"},
		{mood, Decision{Handling: PoliteBlock}, "loses handling (allow becomes polite-block); loses all persons; loses mood; loses user-input (full)"},
		{Decision{}, Decision{Handling: Confirm, Permissions: Everything()}, "gains handling (block becomes confirm)"},
	} {
		var got []string
		for _, d := range Compare(c.before, c.after) {
			got = append(got, d.String())
		}
		if text := strings.Join(got, "; "); text != c.want {
			t.Errorf("got  %s\nwant %s", text, c.want)
		}
	}
	everything := decision(Allow, "")
	if d := Compare(mood, everything); len(d) < 10 || more(everything, mood) != nil {
		t.Error(d)
	}
}

func TestRulesAreSecret(t *testing.T) {
	t.Parallel()
	p, err := ReadPreferences(`<preferences xmlns="` + ownSpace + `"><levels><member level="none" id="sip:foe@example.com"/></levels></preferences>`)
	if err != nil {
		t.Fatal(err)
	}
	set := readRules(t, ruleDoc(ruleOf("friend", one("sip:foe@example.com"), "")))
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "rules", set, "p", p, "s", Surroundings{Sphere: NewSphere("foe")})
	fmt.Fprintf(&b, "%v %+v %#v %v %+v %#v %v %+v %#v", set, set, set, p, p, p, NamedSet{"n", set}, Surroundings{Sphere: NewSphere("foe")}, Surroundings{Sphere: NewSphere("foe")})
	if strings.Contains(b.String(), "foe") {
		t.Error(b.String())
	}
}

// TestEqualPermissionsAreOne: of many watchers of the same rules the permissions
// are the same pointer.
func TestEqualPermissionsAreOne(t *testing.T) {
	t.Parallel()
	r := setsOf(t, ruleOf("a", one(string(alice)), `<pr:provide-mood>true</pr:provide-mood>`)+ruleOf("b", one(string(bob)), `<pr:provide-mood>true</pr:provide-mood>`)+
		ruleOf("c", one(string(bob)), `<pr:provide-mood>1</pr:provide-mood>`))
	a, b := Decide(r, known(alice), time.Time{}, Facts{}), Decide(r, known(bob), time.Time{}, Facts{})
	if a.Permissions != b.Permissions || a.Permissions.set == nil || a.Matched == b.Matched {
		t.Error(a, b)
	}
}

// TestEngineForgets holds that what is remembered is bounded.
func TestEngineForgets(t *testing.T) {
	t.Parallel()
	var rules strings.Builder
	for i := range 12 {
		fmt.Fprintf(&rules, `<rule id="r%d"><conditions><ocp:external-list><ocp:entry anc="http://l/%d"/></ocp:external-list></conditions><transformations><pr:provide-services><pr:class>%d%s</pr:class></pr:provide-services></transformations></rule>`, i, i, i, strings.Repeat("x", 99))
	}
	r := setsOf(t, rules.String())
	for n := range 1 << 12 {
		Decide(r, known(bob), time.Time{}, Facts{Lists: func(l string, _ presence.Principal) bool {
			var i int
			_, _ = fmt.Sscanf(l, "http://l/%d", &i)
			return n&(1<<i) != 0
		}})
		if size := len(r.engine.outcomes); r.engine.size > maxRemembered || size > maxRemembered/256 {
			t.Fatal(size, r.engine.size)
		}
	}
}

// Of rules that cannot all be read nobody knows whom they refuse: everybody is, but
// for the presentity itself and by the operator's overrides.
func TestUnreadableRules(t *testing.T) {
	t.Parallel()
	r := setsOf(t, ruleOf("all", `<identity><many/></identity>`, `<pr:provide-all-attributes/>`))
	r.Set(bob, Allow)
	overrides := readRules(t, ruleDoc(ruleOf("rescue", one("sip:rescue@example.net"), `<pr:provide-persons><pr:all-persons/></pr:provide-persons>`)))
	f := Facts{Default: Allow, Overrides: overrides}
	who, now := known(bob), when(t, "2026-03-02T12:00:00Z")
	if d := Decide(r, who, now, f); d.Handling != Allow {
		t.Fatalf("%+v", d)
	}
	r.Unreadable = true
	for _, sets := range [][]NamedSet{r.Sets, nil} {
		r.Sets = sets
		if d := Decide(r, who, now, f); d.Handling != Block || d.Matched != MatchedUnreadable || !d.Permissions.Equal(Permissions{}) {
			t.Errorf("%+v", d)
		}
		if d := Decide(r, who, now, Facts{Default: Allow}); d.Handling != Block || d.Matched != MatchedUnreadable {
			t.Errorf("%+v", d)
		}
		if d := Decide(r, known("sip:rescue@example.net"), now, f); d.Handling != Allow || d.Raised != "override/rescue" {
			t.Errorf("%+v", d)
		}
		if d := Decide(r, who, now, Facts{Owner: true}); d.Handling != Allow {
			t.Errorf("%+v", d)
		}
	}
}

func fiftyRules(b testing.TB) *Rules {
	var rules strings.Builder
	for i := range 50 {
		conditions := one(fmt.Sprintf("sip:user%d@example.com", i))
		switch i % 5 {
		case 1:
			conditions = `<identity><many domain="example.com"><except id="sip:x@example.com"/></many></identity><sphere value="work"/>`
		case 2:
			conditions += `<validity><from>2020-01-01T00:00:00Z</from><until>2099-01-01T00:00:00Z</until></validity>`
		case 3:
			conditions += `<t:recurring days="mon tue" from="08:00" until="18:00" zone="Europe/Berlin"/>`
		}
		rules.WriteString(ruleOf(fmt.Sprint("rule", i), conditions, `<pr:provide-services><pr:all-services/></pr:provide-services><pr:provide-mood>true</pr:provide-mood>`))
	}
	return setsOf(b, rules.String())
}

// BenchmarkDecideFifty is one watcher against fifty rules, of which eleven match.
func BenchmarkDecideFifty(b *testing.B) {
	r := fiftyRules(b)
	who, now := known("sip:user8@example.com"), when(b, "2026-03-02T12:00:00Z")
	f := Facts{Surroundings: Surroundings{Sphere: NewSphere("work")}}
	b.ReportAllocs()
	for b.Loop() {
		if Decide(r, who, now, f).Handling != Allow {
			b.Fatal()
		}
	}
}

func BenchmarkReadRuleSet(b *testing.B) {
	text := ruleDoc(ruleOf("a", one(string(bob)), `<pr:provide-services><pr:all-services/></pr:provide-services><pr:provide-mood>true</pr:provide-mood>`))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ReadRuleSet(text, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzReadRuleSet(f *testing.F) {
	f.Add(ruleDoc(ruleOf("a", one("sip:a@x.example")+`<t:recurring days="mon" from="23:00" until="01:00" zone="Europe/Berlin"/>`, `<pr:provide-mood>1</pr:provide-mood>`)))
	f.Add(ruleDoc(ruleOf("a", `<identity><many domain="b%C3%BCcher.example."><except domain="straße。example"/><except id="sip:ö@ü.example:5060"/></many><one id="tel:1;phone-context=+1-2;%61=b"/></identity>`, "")))
	f.Add(ruleDoc(ruleOf("a", `<identity><many domain="%65xample.com"><except id="tel:1;x=y"/></many></identity><validity><from>2026-01-01T24:00:00</from><until>9999-12-31T24:00:00+14:00</until></validity>`, `<gp:provide-location/>`)))
	f.Add(ruleDoc(`<rule/><rule><conditions><ocp:other-identity/><ocp:anonymous-request/></conditions></rule>`))
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ReadRuleSet(text, func(string) *time.Location { return time.FixedZone("", 3600) })
		if (err == nil) == (s == nil) || err != nil && !errors.Is(err, ErrRules) {
			t.Fatal(s, err)
		}
		if err != nil {
			return
		}
		r := &Rules{Sets: []NamedSet{{RuleSet: s}}}
		now := time.Date(2026, 3, 29, 0, 59, 30, 1, time.UTC)
		for _, who := range []presence.Principal{{}, anonymous, known("sip:a@x.example"), known("tel:+1").With("sip:b@example.com", true)} {
			d := Decide(r, who, now, Facts{})
			if x := Explain(r, who, now, Facts{Ceilings: s, Overrides: s}); x.Decision.Handling != d.Handling {
				t.Fatalf("bounded by itself %v becomes %v", d, x.Decision)
			}
			if !d.Until.IsZero() && !d.Until.After(now) || d.Handling != Allow && d.Permissions != (Permissions{}) || d.Matched == "" {
				t.Fatalf("%+v", d)
			}
		}
	})
}

func FuzzReadPreferences(f *testing.F) {
	f.Add(`<preferences xmlns="` + ownSpace + `"><watchers authentication="any"/><levels><level name="a"/><member level="a" id="sip:a@b"/><member level="full" domain="b"/></levels></preferences>`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ReadPreferences(text)
		if (err == nil) == (p == nil) || err != nil && !errors.Is(err, ErrPreferences) {
			t.Fatal(p, err)
		}
		r := &Rules{Preferences: p}
		for _, who := range []presence.Principal{anonymous, known("sip:a@b")} {
			d := Decide(r, who, time.Time{}, Facts{})
			if !who.Known() && d.Handling != Block || d.Matched == "" {
				t.Fatalf("%+v", d)
			}
		}
	})
}

// Whoever loses anything, in whatever respect, has less; who gains alone, or stays
// the same, has not.
func TestNarrower(t *testing.T) {
	t.Parallel()
	rule := func(handling, transformations string) Decision {
		set := setsOf(t, `<rule id="a"><conditions/><actions><pr:sub-handling>`+handling+`</pr:sub-handling></actions><transformations>`+transformations+`</transformations></rule>`)
		return Decide(set, presence.NewPrincipal("sip:bob@example.com", presence.MechanismDigest), time.Time{}, Facts{})
	}
	const (
		services = `<pr:provide-services><pr:all-services/></pr:provide-services>`
		im       = `<pr:provide-services><pr:service-uri-scheme>im</pr:service-uri-scheme></pr:provide-services>`
		note     = `<pr:provide-note>true</pr:provide-note>`
		mood     = `<pr:provide-mood>true</pr:provide-mood>`
	)
	all := Decision{Handling: Allow, Permissions: Everything()}
	for _, c := range []struct {
		before, after Decision
		want          bool
	}{
		{all, all, false},
		{all, rule("allow", services), true},
		{rule("allow", services), all, false},
		{rule("allow", services), rule("allow", services), false},
		{rule("allow", services+note), rule("allow", services), true},
		{rule("allow", services), rule("allow", services+note), false},
		{rule("allow", services+note), rule("allow", services+mood), true},
		{rule("allow", services), rule("allow", im), true},
		{rule("allow", im), rule("allow", services), false},
		{rule("allow", services), rule("polite-block", services), true},
		{rule("confirm", services), rule("allow", ""), false},
		{rule("allow", ""), rule("allow", note), false},
	} {
		if got := c.after.Narrower(c.before); got != c.want {
			t.Errorf("%+v after %+v: %v", c.after, c.before, got)
		}
	}
}
