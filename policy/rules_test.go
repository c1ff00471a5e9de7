package policy

import (
	"testing"
	"time"
	_ "time/tzdata"
)

// zones resolves zones as the program does.
func zones(name string) *time.Location {
	l, err := time.LoadLocation(name)
	if err != nil {
		return nil
	}
	return l
}

func readRules(t testing.TB, text string) *RuleSet {
	t.Helper()
	s, err := ReadRuleSet(text, zones)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ruleDoc is a document of the rules in text.
func ruleDoc(rules string) string {
	return `<ruleset xmlns="` + commonPolicySpace + `" xmlns:pr="` + presRulesSpace + `" xmlns:ocp="` + omaCommonPolicySpace +
		`" xmlns:op="` + omaPresRulesSpace + `" xmlns:gp="urn:ietf:params:xml:ns:geolocation-policy" xmlns:t="` + ownSpace + `">` + rules + `</ruleset>`
}

// ruleOf is a rule that allows, of conditions and transformations.
func ruleOf(id, conditions, transformations string) string {
	return `<rule id="` + id + `"><conditions>` + conditions + `</conditions><actions><pr:sub-handling>allow</pr:sub-handling></actions><transformations>` +
		transformations + `</transformations></rule>`
}

func one(id string) string { return `<identity><one id="` + id + `"/></identity>` }

func when(t testing.TB, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
