package peertest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tacit-presence/tacit/xcapdiff"
)

// RFC 5875, 4.4 and 4.7 on real listeners: a document is put by HTTP or HTTPS, and
// who has subscribed to it by SIP, by whatever form of its URI, has it as it is by
// patches alone, or is told to fetch it.
func TestXCAPDiff(t *testing.T) {
	t.Parallel()
	https := freePort(t)
	s := serve(t, "--user", "joe:"+secret, "--https", https, "--min-interval", "1ms")
	s.https = https
	const sel = "resource-lists/users/sip:joe@example.com/index"
	forms := []string{sel, "resource-lists/users/sip:joe@example.com/", "/xcap-root/" + sel, "https://" + https + "/xcap-root/" + sel}
	modes := []string{"xcap-patching", "aggregate", "no-patching"}
	for i, transport := range []string{"udp", "tcp", "tls"} {
		for j, uri := range forms {
			p := newProber(t, s, 10*i+j, transport)
			p.become("joe")
			p.follow(uri, sel, modes[(i+j)%len(modes)])
			_ = p.conn.Close()
		}
	}
	s.healthy()
}

// follow changes a document, and follows the changes as they are told.
func (p *prober) follow(uri, sel, mode string) {
	p.t.Helper()
	text := listOf(1)
	p.put(sel, text)
	callID := p.watchTree(uri, mode)
	var c xcapdiff.Copies
	for n := 1; n < 5; n++ {
		d, err := xcapdiff.Parse(p.told(callID).body)
		if err != nil || len(d.Items) != 1 || d.Items[0].Sel != sel || d.Root != "https://"+p.server.https+"/xcap-root/" {
			p.t.Fatalf("%s, %s, %s: %+v %v", p.transport, uri, mode, d, err)
		}
		item := d.Items[0]
		if first := n == 1; (item.Was == "") != first || (len(item.Ops) > 0) != (!first && mode != "no-patching") {
			p.t.Errorf("%s, %s, %s: %+v", p.transport, uri, mode, item)
		}
		if err := c.Apply(d); err != nil {
			p.t.Fatal(err)
		}
		if len(item.Ops) == 0 {
			c.Fetched(sel, item.Is, text)
		}
		if got := c.Documents[sel]; got.Body != text || got.ETag != item.Is {
			p.t.Errorf("%s, %s, %s: has\n%s\nnot\n%s", p.transport, uri, mode, got.Body, text)
		}
		text = listOf(n + 1)
		p.put(sel, text)
	}
}

// watchTree subscribes to a resource, and returns the Call-ID.
func (p *prober) watchTree(uri, mode string) string {
	p.t.Helper()
	q := &probe{method: "SUBSCRIBE", from: "joe", target: "joe", identified: true,
		headers: "Event: xcap-diff;diff-processing=" + mode + "\r\nExpires: 600\r\nContent-Type: application/resource-lists+xml\r\n",
		body:    `<resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists"><list><entry uri="` + uri + `"/></list></resource-lists>`}
	if _, err := p.conn.Write([]byte(p.text(q))); err != nil {
		p.t.Fatal(err)
	}
	return q.callID
}

// RFC 5875, 4.7: what is told of the documents that the server makes, of which a
// user sees his own and the global ones, is what a GET of them gives.
func TestXCAPDiffOfWhatTheServerMakes(t *testing.T) {
	t.Parallel()
	https := freePort(t)
	s := serve(t, "--user", "joe:"+secret, "--https", https, "--min-interval", "1ms")
	s.https = https
	const list = "resource-lists/users/sip:joe@example.com/index"
	const directory = "org.openmobilealliance.xcap-directory/users/sip:joe@example.com/directory.xml"
	p := newProber(t, s, 1, "tcp")
	p.become("joe")
	p.put(list, listOf(1))
	callID := p.watchTree("", "aggregate")
	for n, want := range [][]string{{directory, list, "xcap-caps/global/index"}, {directory, list}, {directory, list}} {
		if n > 0 {
			p.put(list, listOf(n+1))
		}
		d, err := xcapdiff.Parse(p.told(callID).body)
		if err != nil || len(d.Items) != len(want) {
			t.Fatalf("%v %v", d.Items, err)
		}
		for i, item := range d.Items {
			path := "/xcap-root/" + item.Sel
			o := p.fetch(p.user, "GET", path, "", p.authorization("GET", path)+"If-None-Match: \""+string(item.Is)+"\"\r\n")
			if item.Sel != want[i] || (len(item.Ops) > 0) != (n > 0) || !strings.HasPrefix(o.first, "HTTP/1.1 304 ") {
				t.Errorf("%s, not %s: %s", item, want[i], o.first)
			}
		}
	}
	s.healthy()
}

// put changes a document of the prober's.
func (p *prober) put(sel, text string) {
	p.t.Helper()
	path := "/xcap-root/" + sel
	if o := p.fetch(p.user, "PUT", path, text, p.authorization("PUT", path)); !strings.HasPrefix(o.first, "HTTP/1.1 20") {
		p.t.Fatalf("a user's own document: %s", o.first)
	}
}

// told is the next NOTIFY of a dialog.
func (p *prober) told(callID string) message {
	p.t.Helper()
	for {
		raw, _ := p.read()
		m, err := parseMessage(raw)
		if err != nil || m.status() >= 300 {
			p.t.Fatalf("%v\n%s", err, raw)
		}
		if m.status() != 0 {
			continue
		}
		if _, err := p.conn.Write([]byte(m.answer())); err != nil {
			p.t.Fatal(err)
		}
		if m.get("Call-ID") == callID {
			return m
		}
	}
}

// listOf is a document with n entries.
func listOf(n int) string {
	var b strings.Builder
	b.WriteString("<resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\">\n <list name=\"friends\">\n")
	for i := range n {
		fmt.Fprintf(&b, "  <entry uri=\"sip:friend-%d@example.com\"/>\n", i)
	}
	b.WriteString(" </list>\n</resource-lists>")
	return b.String()
}
