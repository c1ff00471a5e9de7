package peertest

import (
	"os/exec"
	"strings"
	"testing"
)

// TestXmllint lets libxml2 judge what watchers are told, where sources publish
// XML that is odd but right.
func TestXmllint(t *testing.T) {
	t.Parallel()
	needPeers(t, "xmllint")
	s := serve(t, users...)
	alice, bob := newPhone(t, s, "alice", "tcp"), newPhone(t, s, "bob", "tcp")
	bob.subscribe("alice", "")
	judge := func(m message) {
		t.Helper()
		cmd := exec.Command("xmllint", "--nonet", "--c14n", "-")
		cmd.Stdin = strings.NewReader(m.body)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("xmllint: %v\n%s\nof %s", err, out, m.body)
		}
	}
	judge(bob.wantNotify(0, "active", "closed"))
	for _, body := range []string{
		pidf("alice", "open", "plain-mark"),
		`<p:presence xmlns:p="urn:ietf:params:xml:ns:pidf" entity="pres:alice@example.com"><p:tuple id="a1"><p:status><p:basic>open</p:basic></p:status>` +
			`<p:note xml:lang="de">Grüße &amp; &#x263A; prefixed-mark</p:note></p:tuple></p:presence>`,
		`<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:x="urn:example:x" entity="sip:alice@example.com"><!-- a comment -->` +
			`<tuple id="a1"><status><basic>closed</basic><x:mood x:level='"high"'><![CDATA[<&>]]></x:mood></status><note>extension-mark</note></tuple></presence>`,
		`<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:x="urn:example:other" entity="sip:alice@example.com">` +
			`<tuple id="a1"><status><basic>open</basic><inner xmlns="urn:example:inner"><x:y xmlns:x="urn:example:again"/><x:y/></inner></status><note>scope-mark</note></tuple></presence>`,
		`<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model" xmlns:r="urn:ietf:params:xml:ns:pidf:rpid" entity="sip:alice@example.com">` +
			`<tuple id="a1"><status><basic>open</basic></status><note>person-mark</note></tuple>` +
			`<dm:person id="p1"><r:activities><r:meeting/><r:on-the-phone/></r:activities></dm:person></presence>`,
	} {
		mark := len(bob.notified())
		alice.ask(200, alice.publication("", body, 600)) // each one a source of its own
		word := body[:strings.Index(body, "-mark")+len("-mark")]
		word = word[strings.LastIndexAny(word, "> ")+1:]
		judge(bob.wantNotify(mark, "active", word))
	}
	s.healthy()
	s.stop()
}
