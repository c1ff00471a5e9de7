package peertest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// ruleSet wraps rules of RFC 4745 in their root.
func ruleSet(rules string) string {
	return `<ruleset xmlns="urn:ietf:params:xml:ns:common-policy" xmlns:pr="urn:ietf:params:xml:ns:pres-rules">` + rules + `</ruleset>`
}

// oneRule lets one watcher have the transformations.
func oneRule(watcher, handling, transformations string) string {
	return `<rule id="` + watcher + `"><conditions><identity><one id="sip:` + watcher + `@example.com"/></identity></conditions>` +
		`<actions><pr:sub-handling>` + handling + `</pr:sub-handling></actions>` +
		`<transformations>` + transformations + `</transformations></rule>`
}

const (
	giveServices = `<pr:provide-services><pr:all-services/></pr:provide-services>`
	givePersons  = `<pr:provide-persons><pr:all-persons/></pr:provide-persons>`
)

// someFile writes a file of the test's.
func someFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// What explain shows is what the watcher gets, byte for byte: with part of it
// given, all of it, nothing, under a ceiling, and by an override.
func TestExplainedIsWhatIsSent(t *testing.T) {
	t.Parallel()
	for _, conceal := range []string{"off", "on"} {
		t.Run("conceal "+conceal, func(t *testing.T) {
			t.Parallel()
			ceilings := `<rule id="all"><conditions/><actions><pr:sub-handling>allow</pr:sub-handling></actions>` +
				`<transformations>` + giveServices + givePersons + `<pr:provide-activities>true</pr:provide-activities></transformations></rule>`
			s := serve(t, "--conceal", conceal, "--default-decision", "polite-block",
				"--user", "alice:a-secret", "--user", "bob:b-secret", "--user", "carol:c-secret", "--user", "dave:d-secret", "--user", "eve:e-secret",
				"--ceilings", someFile(t, "ceilings.xml", ruleSet(ceilings)),
				"--overrides", someFile(t, "overrides.xml", ruleSet(oneRule("dave", "allow", givePersons+`<pr:provide-mood>true</pr:provide-mood>`))))
			rules := ruleSet(oneRule("bob", "allow", giveServices) +
				oneRule("carol", "allow", giveServices+givePersons+`<pr:provide-all-attributes/>`) +
				oneRule("dave", "block", ""))
			s.operate("rules", "put", "alice", someFile(t, "rules.xml", rules))
			alice := newPhone(t, s, "alice", "tcp")
			alice.ask(200, alice.publication("", `<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model"`+
				` xmlns:r="urn:ietf:params:xml:ns:pidf:rpid" entity="sip:alice@example.com"><tuple id="t"><status><basic>open</basic></status>`+
				`<contact>sip:alice@192.0.2.1</contact><note>a note</note></tuple><dm:person id="p"><r:activities><r:meeting/></r:activities>`+
				`<r:mood><r:happy/></r:mood></dm:person></presence>`, 600))
			bodies := map[string]string{}
			for _, name := range []string{"bob", "carol", "dave", "eve"} {
				p := newPhone(t, s, name, "tcp")
				p.subscribe("alice", "")
				bodies[name] = p.wantNotify(0, "active", "<presence").body
				var x struct{ Document string }
				if err := json.Unmarshal([]byte(s.operate("explain", "alice", name, "--json")), &x); err != nil {
					t.Fatal(err)
				}
				if x.Document != bodies[name] {
					t.Errorf("%s is told\n%s\nand not\n%s", name, bodies[name], x.Document)
				}
				if text := s.operate("explain", "alice", name); !strings.HasSuffix(text, "The document that it gets:\n"+bodies[name]) {
					t.Errorf("%s: %s", name, text)
				}
			}
			for name, want := range map[string][2]string{
				"bob": {"192.0.2.1", "meeting"}, "carol": {"meeting", "happy"}, "dave": {"happy", "192.0.2.1"}, "eve": {"closed", "open"},
			} {
				if !strings.Contains(bodies[name], want[0]) || strings.Contains(bodies[name], want[1]) {
					t.Errorf("%s is told %s", name, bodies[name])
				}
			}
			s.healthy()
		})
	}
}

// curl puts rules by HTTP/2, each time: challenged, it has more to say than it has
// said, and must not lose the challenge.
func TestCurlOverHTTP2(t *testing.T) {
	t.Parallel()
	needPeers(t, "curl")
	address := freePort(t)
	s := serve(t, append(users, "--https", address)...)
	file := someFile(t, "rules.xml", ruleSet(oneRule("bob", "allow", giveServices)))
	for i := range 20 {
		want := "200"
		if i == 0 {
			want = "201"
		}
		out, err := exec.Command("curl", "--silent", "--show-error", "--digest", "--user", "alice:a-secret", "--write-out", "%{http_code}",
			"--cacert", filepath.Join(s.dir, "ca.pem"), "--header", "Content-Type: application/auth-policy+xml", "--request", "PUT",
			"--data-binary", "@"+file, "https://"+address+"/xcap-root/pres-rules/users/sip:alice@example.com/index").CombinedOutput()
		if err != nil || string(out) != want {
			t.Fatalf("%d: %v %s", i, err, out)
		}
	}
	s.healthy()
}

// A softphone waits, is approved, and is told of a rule that is put by XCAP.
func TestRulesReachLinphone(t *testing.T) {
	t.Parallel()
	needPeers(t, "linphonec", "curl")
	s := serve(t, "--user", "alice:a-secret", "--user", "bob:b-secret")
	s.publish("alice", "udp", "--note", "at my desk")
	l, quit := startLinphone(t, s, "udp")
	eventually(t, "linphone among the watchers", func() bool {
		return strings.Contains(s.operate("watchers", "alice"), "sip:bob@example.com  pending")
	})
	mark := l.len()
	s.operate("watchers", "alice", "approve", "bob")
	l.expectAfter(mark, `We are notified that \["Alice" <sip:alice@example\.com>\] has presence \[open\]`)

	put := func(rules string) {
		t.Helper()
		out, err := exec.Command("curl", "--silent", "--show-error", "--digest", "--user", "alice:a-secret", "--write-out", "%{http_code}",
			"--header", "Content-Type: application/auth-policy+xml", "--upload-file", someFile(t, "rules.xml", rules),
			"http://"+s.web+"/xcap-root/pres-rules/users/sip:alice@example.com/index").CombinedOutput()
		if err != nil || string(out) != "201" && string(out) != "200" {
			t.Fatalf("curl: %v %s", err, out)
		}
	}
	put(ruleSet(oneRule("bob", "polite-block", "")))
	mark = l.len()
	s.operate("rules", "remove", "alice", "bob") // the decision gave more than the rule
	l.expectAfter(mark, `We are notified that \["Alice" <sip:alice@example\.com>\] has presence \[closed\]`)
	mark = l.len()
	put(ruleSet(oneRule("bob", "allow", giveServices)))
	l.expectAfter(mark, `We are notified that \["Alice" <sip:alice@example\.com>\] has presence \[open\]`)
	quit()
	l.wait(patience)
	s.healthy()
	s.stop()
}
