package server

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tacit-presence/tacit/presence"
)

const someRules = `<?xml version="1.0"?>
<ruleset xmlns="urn:ietf:params:xml:ns:common-policy" xmlns:pr="urn:ietf:params:xml:ns:pres-rules">
  <rule id="office">
    <conditions><identity><many domain="example.com"/></identity></conditions>
    <actions><pr:sub-handling>allow</pr:sub-handling></actions>
    <transformations><pr:provide-services><pr:all-services/></pr:provide-services></transformations>
  </rule>
</ruleset>
`

func writeFile(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOperatorRules(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	set, err := ReadOperatorRules(writeFile(t, dir, "good.xml", someRules))
	if err != nil || set.Len() != 1 {
		t.Errorf("%v, %v", set, err)
	}
	for text, want := range map[string]string{
		strings.Replace(someRules, "allow<", "perhaps<", 1):               ":5: ruleset/rule/actions/sub-handling: ",
		strings.Replace(someRules, `id="office"`, `id="of fice"`, 1):      ":3: ruleset/rule/@id: ",
		strings.Replace(someRules, "</conditions>", "</condition>", 1):    ":4: ",
		`<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="pres:a"/>`: ":1: presence: ",
		"": ":1: ",
		strings.Replace(someRules, "<conditions>", `<conditions><o:external-list xmlns:o="urn:oma:xml:xdm:common-policy"><o:entry anc="https://x.example.com/xcap-root/resource-lists/users/sip:a@example.com/index"/></o:external-list>`, 1): ": external-list: ",
		strings.Replace(someRules, "<conditions>", `<conditions><x:moon xmlns:x="urn:x"/>`, 1): ": rule office: the condition <moon> is not known, so that the rule would never hold",
		strings.Repeat(" ", maxOperatorRules) + someRules:                                      ": has more than ",
	} {
		path := writeFile(t, dir, "bad.xml", text)
		_, err := ReadOperatorRules(path)
		var e *ConfigError
		if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), path+want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if _, err := ReadOperatorRules(filepath.Join(dir, "nothing.xml")); err == nil || !strings.HasSuffix(err.Error(), "nothing.xml: cannot be read: no such file or directory") {
		t.Errorf("no file: %v", err)
	}
}

func TestOperatorRulesInConfig(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, dir, "caps.xml", someRules)
	config := `dir = "state"
domains = ["example.com"]
[privacy]
ceilings = "caps.xml"
overrides = "caps.xml"
show_operator_rules = true
[[listener]]
points = ["pw"]
transport = "tls"
address = ":5061"
`
	cfg, _, err := parseConfig(filepath.Join(dir, "tacit.toml"), []byte(config))
	if err != nil {
		t.Fatal(err)
	}
	if p := cfg.Privacy; p.Ceilings.Len() != 1 || p.Overrides.Len() != 1 || !p.ShowOverrides || !p.ShowOperatorRules {
		t.Errorf("%+v", p)
	}
	_, _, err = parseConfig(filepath.Join(dir, "tacit.toml"), []byte(strings.Replace(config, "caps.xml", "none.xml", 1)))
	if err == nil || !strings.Contains(err.Error(), "none.xml: cannot be read") {
		t.Errorf("got %v", err)
	}
}

func TestListMembers(t *testing.T) {
	t.Parallel()
	const doc = `<resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists"><list name="friends"><entry uri="sip:bob@example.com"/></list></resource-lists>`
	document := func(path string) (string, bool) { return doc, path == "index" }
	owner := []presence.AOR{"sip:alice@example.com"}
	const uri = "https://x.example.com/xcap-root/resource-lists/users/sip:%s@example.com/index/~~/resource-lists/list"
	members, ok := listMembers(strings.Replace(uri, "%s", "alice", 1), owner, document)
	if _, there := members["sip:bob@example.com"]; !ok || !there {
		t.Errorf("%v, %v", members, ok)
	}
	if members, ok := listMembers(strings.Replace(uri, "%s", "carol", 1), owner, document); ok {
		t.Errorf("another's list: %v", members)
	}
}

// The examples of docs/rules.md are taken as they stand, and understood.
func TestRulesAsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	s, alice, _, _ := apiServer(t, nil)
	parts := strings.Split(string(text), "```xml\n")
	if len(parts) != 3 {
		t.Fatalf("%d examples", len(parts)-1)
	}
	for i, auid := range []string{"pres-rules", "tacit-preferences"} {
		body, _, _ := strings.Cut(parts[i+1], "```")
		in := DocumentInput{DocumentName: DocumentName{AUID: auid}, Body: []byte(body)}
		if err := s.Admin().PutDocument("sip:alice@example.com", in); err != nil {
			t.Errorf("%s: %v", auid, err)
		}
		if auid == "pres-rules" {
			if _, err := ReadOperatorRules(writeFile(t, t.TempDir(), "rules.xml", body)); err != nil {
				t.Error(err)
			}
		}
	}
	for watcher, want := range map[string]string{
		"sip:bob@example.com": "level/full", "sip:dave@example.com": "level/team", "sip:eve@example.com": "level/none", "anonymous": "authentication",
	} {
		var x Explanation
		if alice.want(200, "GET", apiRoot+"/explain?watcher="+watcher, "", &x); !strings.Contains(x.Reason, want) {
			t.Errorf("%s: %s", watcher, x.Reason)
		}
	}
}
