package policy

import (
	"slices"
	"testing"

	"github.com/tacit-presence/tacit/presence"
)

func TestNamed(t *testing.T) {
	t.Parallel()
	set, err := ReadRuleSet(`<ruleset xmlns="urn:ietf:params:xml:ns:common-policy">
 <rule id="a"><conditions><identity><one id="sip:bob@example.com"/><one id="sip:al@example.com"/></identity></conditions></rule>
 <rule id="b"><conditions><identity><one id="sip:bob@example.com"/>
  <many domain="example.org"><except id="sip:eve@example.org"/></many><many><except domain="example.net"/></many></identity></conditions></rule>
 <rule id="c"><conditions><sphere value="work"/></conditions></rule></ruleset>`, nil)
	if err != nil {
		t.Fatal(err)
	}
	people, domains := set.Named()
	if want := []presence.AOR{"sip:al@example.com", "sip:bob@example.com", "sip:eve@example.org"}; !slices.Equal(people, want) {
		t.Errorf("people: %q", people)
	}
	if want := []string{"example.net", "example.org"}; !slices.Equal(domains, want) {
		t.Errorf("domains: %q", domains)
	}
	people, domains = (*RuleSet)(nil).Named()
	if len(people)+len(domains) != 0 {
		t.Error("no rules name somebody")
	}
	if people, _ := (*Preferences)(nil).Named(); len(people) != 0 {
		t.Error("no preferences name somebody")
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	if got := (Permissions{}).Words(); got == nil || len(got) != 0 {
		t.Errorf("nothing: %q", got)
	}
	if got := Everything().Words(); !slices.Contains(got, "all services") || !slices.Contains(got, "mood") {
		t.Errorf("everything: %q", got)
	}
}

func TestNotUnderstood(t *testing.T) {
	t.Parallel()
	set, err := ReadRuleSet(`<ruleset xmlns="urn:ietf:params:xml:ns:common-policy">
 <rule id="a"><conditions><identity><one id="sip:bob@example.com"/></identity></conditions></rule>
 <rule id="b"><conditions><x:moon xmlns:x="urn:x"/></conditions></rule></ruleset>`, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := set.NotUnderstood(); len(got) != 1 || got[0] != "rule b: the condition <moon> is not known" {
		t.Errorf("%q", got)
	}
	if (*RuleSet)(nil).NotUnderstood() != nil {
		t.Error("no rules are not understood")
	}
}
