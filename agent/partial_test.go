package agent

import (
	"strings"
	"testing"

	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/rfc/vectors"
	"github.com/tacit-presence/tacit/sip"
)

// partial publishes a document of the partial format.
func (r *rig) partial(body, lines string) *sip.Message {
	r.t.Helper()
	return r.request("PUBLISH", "alice", "Event: presence\nContent-Type: application/pidf-diff+xml\n"+lines, body)
}

const (
	partialRoot = ` xmlns="urn:ietf:params:xml:ns:pidf" xmlns:p="urn:ietf:params:xml:ns:pidf-diff" entity="pres:x@y.org">`
	partialFull = "<p:pidf-full" + partialRoot + `<tuple id="t"><status><basic>open</basic></status><note>one</note></tuple></p:pidf-full>`
)

func operations(ops string) string { return "<p:pidf-diff" + partialRoot + ops + "</p:pidf-diff>" }

func TestPartialPublication(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.subscribe("bob", "")
	told := func(what string) {
		t.Helper()
		if len(r.notifies) != 1 || !strings.Contains(r.notifies[0].Body, what) || strings.Contains(r.notifies[0].Body, "pidf-") {
			t.Fatalf("told %v", r.notifies)
		}
	}
	if m := r.partial(operations(""), ""); m.Status != 400 || m.Reason != "Invalid Partial Publication" {
		t.Errorf("an initial pidf-diff: %d %s", m.Status, m.Reason)
	}
	m := r.partial(partialFull, "")
	tag := get(m, sip.HeaderSIPETag)
	if m.Status != 200 || tag == "" {
		t.Fatal(m.Status)
	}
	told("<note>one</note>")
	m = r.partial(operations(`<p:replace sel="*/tuple[@id='t']/note/text()">two</p:replace>`), "SIP-If-Match: "+tag+"\n")
	if m.Status != 200 || get(m, sip.HeaderSIPETag) == tag {
		t.Fatal(m.Status)
	}
	told("<note>two</note>")
	if m := r.partial(operations(""), "SIP-If-Match: "+tag+"\n"); m.Status != 412 {
		t.Errorf("a change of what has changed: %d", m.Status)
	}
	tag = get(m, sip.HeaderSIPETag)
	for _, bad := range []string{
		operations(`<p:remove sel="*/tuple[@id='t']/note"/><p:remove sel="*/tuple[@id='u']"/>`), operations(`<p:remove sel="*/tuple/status"/>`),
		"<p:pidf-diff", partialFull[:len(partialFull)-1], document("plain"), strings.Replace(operations(""), "pres:x", "pres:y", 1),
	} {
		if m := r.partial(bad, "SIP-If-Match: "+tag+"\n"); m.Status != 400 || m.Reason != "Bad Presence Document" || len(r.notifies) != 0 {
			t.Errorf("%d %s, %d NOTIFYs to %s", m.Status, m.Reason, len(r.notifies), bad)
		}
	}
	// What was stored is the whole, and it goes on after a restart.
	r.restart(nil)
	m = r.partial(operations(`<p:add sel="*"><note>three</note></p:add>`), "SIP-If-Match: "+tag+"\n")
	if m.Status != 200 {
		t.Fatal(m.Status)
	}
	told("<note>two</note></tuple>\n<note>three</note>")
	m = r.partial(partialFull, "SIP-If-Match: "+get(m, sip.HeaderSIPETag)+"\n")
	if m.Status != 200 {
		t.Fatal(m.Status)
	}
	told("<note>one</note>")
	m = r.request("PUBLISH", "alice", "Event: presence\nContent-Type: application/pidf+xml\nSIP-If-Match: "+get(m, sip.HeaderSIPETag)+"\n", document("plain"))
	m = r.partial(operations(`<p:replace sel="*/tuple/note/text()">four</p:replace>`), "SIP-If-Match: "+get(m, sip.HeaderSIPETag)+"\n")
	if m.Status != 200 {
		t.Fatal(m.Status)
	}
	told("<note>four</note>")
	if m := r.request("PUBLISH", "alice", "Event: presence\nContent-Type: text/plain\n", "x"); m.Status != 415 ||
		get(m, sip.HeaderAccept) != "application/pidf+xml, application/pidf-diff+xml" {
		t.Errorf("%d, Accept: %s", m.Status, get(m, sip.HeaderAccept))
	}
}

// TestPartialPublicationExample is RFC 5264, 6: M1 and M3.
func TestPartialPublicationExample(t *testing.T) {
	t.Parallel()
	m1, m3 := vectors.Text(t, "rfc5264/6", "full"), vectors.Text(t, "rfc5264/6", "diff")
	r := newRig(t, nil)
	r.subscribe("bob", "")
	tag := get(r.partial(m1, ""), sip.HeaderSIPETag)
	if m := r.partial(m3, "SIP-If-Match: "+tag+"\n"); m.Status != 200 || len(r.notifies) != 1 {
		t.Fatal(m.Status)
	}
	d, err := pidf.Parse(r.notifies[0].Body)
	if err != nil {
		t.Fatal(err)
	}
	if body := r.notifies[0].Body; len(d.Parts()) != 7 || strings.Contains(body, "busy") || !strings.Contains(body, "ert4773") {
		t.Errorf("%s", body)
	}
}
