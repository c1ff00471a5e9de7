package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/tacit-presence/tacit/compose"
	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/presence"
)

const (
	alice = presence.AOR("sip:alice@example.com")
	bob   = presence.AOR("sip:bob@example.com")
	carol = presence.AOR("sip:carol@example.com")
)

func known(a presence.AOR) presence.Principal {
	return presence.NewPrincipal(a, presence.MechanismDigest)
}

func TestHandling(t *testing.T) {
	t.Parallel()
	for h, name := range map[Handling]string{Block: "block", Confirm: "confirm", PoliteBlock: "polite-block", Allow: "allow"} {
		got, err := ParseHandling(name)
		if err != nil || got != h || h.String() != name {
			t.Errorf("%s: %v %v %s", name, got, err, h)
		}
	}
	for _, s := range []string{"", "Allow", "deny", "Handling(7)"} {
		if h, err := ParseHandling(s); h != Block || !errors.Is(err, ErrHandling) {
			t.Errorf("%q: %v %v", s, h, err)
		}
	}
	if Handling(7).String() != "Handling(7)" {
		t.Error(Handling(7))
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	rules := &Rules{}
	rules.Set(bob, Allow)
	rules.Set(carol, PoliteBlock)
	rules.Set("sip:damaged@example.com", 25)
	rules.Set("", Allow)
	for _, c := range []struct {
		name    string
		rules   *Rules
		who     presence.Principal
		facts   Facts
		want    Handling
		matched string
	}{
		{"nobody", rules, presence.Principal{}, Facts{Default: Allow}, Block, MatchedNobody},
		{"nobody as the owner", rules, presence.Principal{}, Facts{Default: Allow, Owner: true}, Block, MatchedNobody},
		{"unproven", rules, presence.NewPrincipal(bob, presence.MechanismNone), Facts{Default: Allow}, Block, MatchedNobody},
		{"owner", rules, known(alice), Facts{Owner: true}, Allow, MatchedOwner},
		{"owner with a rule", rules, known(carol), Facts{Owner: true}, Allow, MatchedOwner},
		{"allowed", rules, known(bob), Facts{}, Allow, string(bob)},
		{"politely blocked", rules, known(carol), Facts{Default: Allow}, PoliteBlock, string(carol)},
		{"damaged rule", rules, known("sip:damaged@example.com"), Facts{}, PoliteBlock, "sip:damaged@example.com"},
		{"default", rules, known("sip:eve@example.com"), Facts{Default: Confirm}, Confirm, MatchedDefault},
		{"default is to deny", rules, known("sip:eve@example.com"), Facts{}, Block, MatchedDefault},
		{"no rules", nil, known(bob), Facts{Default: Allow}, Allow, MatchedDefault},
		{"no rules, no default", nil, known(bob), Facts{}, Block, MatchedDefault},
		{"empty rules", &Rules{}, known(bob), Facts{}, Block, MatchedDefault},
		{"another domain", rules, known("sip:bob@example.org"), Facts{}, Block, MatchedDefault},
	} {
		d := Decide(c.rules, c.who, time.Time{}, c.facts)
		if d.Handling != c.want || d.Matched != c.matched || !d.Until.IsZero() || d.Permissions.All() != (c.want == Allow) {
			t.Errorf("%s: %+v", c.name, d)
		}
	}
	rules.Remove(bob)
	if d := Decide(rules, known(bob), time.Time{}, Facts{}); d.Handling != Block {
		t.Errorf("a removed rule holds: %+v", d)
	}
	new(Rules).Remove(bob)
}

func TestRulesAreStored(t *testing.T) {
	t.Parallel()
	rules := Rules{Decisions: map[presence.AOR]Handling{bob: Allow, carol: PoliteBlock}}
	for name, trip := range map[string]func(Rules) (Rules, error){
		"cbor": func(r Rules) (out Rules, err error) {
			b, err := cbor.Marshal(r)
			return out, errors.Join(err, cbor.Unmarshal(b, &out))
		},
		"json": func(r Rules) (out Rules, err error) {
			b, err := json.Marshal(r)
			return out, errors.Join(err, json.Unmarshal(b, &out))
		},
	} {
		got, err := trip(rules)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(rules) {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
}

func TestPermissionsAreAKey(t *testing.T) {
	t.Parallel()
	m := map[Permissions]int{{}: 1, Everything(): 2}
	if m[Permissions{}] != 1 || m[Everything()] != 2 || Everything().String() != "everything" || (Permissions{}).String() != "nothing" {
		t.Error(m)
	}
}

func TestAllowSource(t *testing.T) {
	t.Parallel()
	owner := []presence.AOR{alice, "sip:al@example.com"}
	for _, c := range []struct {
		who   presence.Principal
		owner []presence.AOR
		ok    bool
	}{
		{known(alice), owner, true},
		{known("sip:al@example.com"), owner, true},
		{known(bob), owner, false},
		{presence.Principal{}, owner, false},
		{presence.NewPrincipal(alice, presence.MechanismNone), owner, false},
		{known(alice), nil, false},
		{presence.Principal{}, []presence.AOR{""}, false},
	} {
		if err := AllowSource(c.who, c.owner); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrNotYourPresentity) {
			t.Errorf("%v for %v: %v", c.who, c.owner, err)
		}
	}
}

func composed(t *testing.T) compose.Raw {
	t.Helper()
	doc, err := pidf.Parse(`<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="e"><note>secret</note></presence>`)
	if err != nil {
		t.Fatal(err)
	}
	return compose.Union().Compose("", []compose.Publication{{Doc: doc}})
}

func TestApply(t *testing.T) {
	t.Parallel()
	raw := composed(t)
	for _, c := range []struct {
		d           Decision
		none, empty bool
	}{
		{Decision{}, true, true},
		{Decision{Handling: Block, Permissions: Everything()}, true, true},
		{Decision{Handling: Confirm, Permissions: Everything()}, true, true},
		{Decision{Handling: PoliteBlock, Permissions: Everything()}, false, true},
		{Decision{Handling: Allow}, false, true},
		{Decision{Handling: Allow, Permissions: Everything()}, false, false},
		{Decision{Handling: 29, Permissions: Everything()}, true, true},
		{Decision{Handling: 255, Permissions: Everything()}, true, true},
	} {
		got := Apply(raw, c.d)
		if got.None() != c.none || got.Document().Empty() != c.empty {
			t.Errorf("%+v: none %v, empty %v", c.d, got.None(), got.Document().Empty())
		}
	}
	if !(Candidate{}).None() {
		t.Error("the zero candidate tells")
	}
}

func TestRedaction(t *testing.T) {
	t.Parallel()
	c := Apply(composed(t), Decision{Handling: Allow, Permissions: Everything()})
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "doc", c)
	fmt.Fprintf(&b, "%v %+v %#v %v", c, c, c, Candidate{})
	if strings.Contains(b.String(), "secret") || !strings.Contains(b.String(), "authorized presence (1 parts)") {
		t.Error(b.String())
	}
}

func BenchmarkDecide(b *testing.B) {
	rules := &Rules{}
	rules.Set(bob, Allow)
	who := known(bob)
	b.ReportAllocs()
	for b.Loop() {
		if Decide(rules, who, time.Time{}, Facts{}).Handling != Allow {
			b.Fatal()
		}
	}
}
