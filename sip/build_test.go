package sip

import (
	"net/netip"
	"strings"
	"testing"
)

func parsed(t testing.TB, raw string) *Message {
	t.Helper()
	m := new(Message)
	if err := m.Parse(raw, DefaultLimits); err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	return m
}

func TestAppendResponse(t *testing.T) {
	t.Parallel()
	req := parsed(t, with(
		"Via: SIP/2.0/UDP a.example.com:5070;rport;branch=z9hG4bK1;received=9.9.9.9 , SIP/2.0/TCP b.example.com;branch=z9hG4bK0",
		"To: Bob\r\n <sip:b@example.com>",
		"v: SIP/2.0/TLS c.example.com",
		"Record-Route: <sip:p.example.com;lr>"))
	got := string(AppendResponse(nil, req, Reply{
		Status: 200, ToTag: "tt", Source: netip.MustParseAddrPort("192.0.2.55:6000"),
		Headers:     []Header{{ID: HeaderExpires, Value: "60"}, {Name: "X-Thing", Value: "1"}},
		ContentType: "text/plain", Body: "hi\r\n",
	}))
	want := "SIP/2.0 200 OK\r\n" +
		"Via: SIP/2.0/UDP a.example.com:5070;rport=6000;branch=z9hG4bK1;received=192.0.2.55, SIP/2.0/TCP b.example.com;branch=z9hG4bK0\r\n" +
		"From: <sip:a@example.com>;tag=1\r\n" +
		"To: Bob <sip:b@example.com>;tag=tt\r\n" +
		"Call-ID: c1@192.0.2.1\r\n" +
		"CSeq: 1 OPTIONS\r\n" +
		"Via: SIP/2.0/TLS c.example.com\r\n" +
		"Expires: 60\r\n" +
		"X-Thing: 1\r\n" +
		"Content-Type: text/plain\r\n" +
		"Content-Length: 4\r\n\r\nhi\r\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	resp := parsed(t, got)
	if resp.To.Tag() != "tt" || resp.TopVia.RPort != 6000 || resp.TopVia.Received != "192.0.2.55" {
		t.Errorf("%+v", resp)
	}
}

func TestAppendResponseVia(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ via, source, want string }{
		{"SIP/2.0/UDP 192.0.2.1;branch=b", "192.0.2.1:5060", "SIP/2.0/UDP 192.0.2.1;branch=b"},
		{"SIP/2.0/UDP 192.0.2.1;branch=b", "192.0.2.2:5060", "SIP/2.0/UDP 192.0.2.1;branch=b;received=192.0.2.2"},
		{"SIP/2.0/UDP 192.0.2.1;received=1.1.1.1", "192.0.2.1:5060", "SIP/2.0/UDP 192.0.2.1"},
		{"SIP/2.0/UDP 192.0.2.1;rport", "192.0.2.1:99", "SIP/2.0/UDP 192.0.2.1;rport=99;received=192.0.2.1"},
		{"SIP/2.0/UDP 192.0.2.1;rport=4;x", "192.0.2.1:99", "SIP/2.0/UDP 192.0.2.1;rport=99;x;received=192.0.2.1"},
		{"SIP/2.0/UDP a.example.com", "192.0.2.1:99", "SIP/2.0/UDP a.example.com;received=192.0.2.1"},
		{"SIP/2.0/UDP [2001:db8::0:1];x=\"a;b,c\"", "[2001:db8::1]:5060", "SIP/2.0/UDP [2001:db8::0:1];x=\"a;b,c\""},
		{"SIP/2.0/UDP [::2]", "[fe80::1%eth0]:5060", "SIP/2.0/UDP [::2];received=fe80::1"},
		{"SIP/2.0/UDP 192.0.2.1", "[::ffff:192.0.2.1]:5060", "SIP/2.0/UDP 192.0.2.1"},
		{"SIP/2.0/UDP [::2] ; rport , SIP/2.0/UDP c.d", "[::3]:7", "SIP/2.0/UDP [::2];rport=7;received=::3, SIP/2.0/UDP c.d"},
	} {
		out := string(AppendResponse(nil, parsed(t, with("Via: "+c.via)), Reply{Status: 200, Source: netip.MustParseAddrPort(c.source)}))
		if _, after, _ := strings.Cut(out, "Via: "); !strings.HasPrefix(after, c.want+"\r\n") {
			t.Errorf("%s from %s: %q", c.via, c.source, out)
		}
	}
	// Without a source nothing is added.
	out := string(AppendResponse(nil, parsed(t, with("Via: SIP/2.0/UDP a.b;rport")), Reply{Status: 200}))
	if !strings.Contains(out, "Via: SIP/2.0/UDP a.b;rport\r\n") {
		t.Errorf("%q", out)
	}
}

func TestAppendResponseTag(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		to     string
		status int
		want   string
	}{
		{"<sip:b@example.com>", 100, "<sip:b@example.com>"},
		{"<sip:b@example.com>", 200, "<sip:b@example.com>;tag=mine"},
		{"<sip:b@example.com>;tag=old", 200, "<sip:b@example.com>;tag=old"},
		{"sip:b@example.com", 404, "sip:b@example.com;tag=mine"},
	} {
		out := string(AppendResponse(nil, parsed(t, with("To: "+c.to)), Reply{Status: c.status, ToTag: "mine"}))
		if !strings.Contains(out, "\r\nTo: "+c.want+"\r\n") {
			t.Errorf("%s %d: %q", c.to, c.status, out)
		}
	}
}

// Nothing that is given can add a line to what is written.
func TestNoInjection(t *testing.T) {
	t.Parallel()
	const evil = "x\r\nEvil: 1\r\n\r\n\\\r\\\nEvil: 2\x00"
	m := parsed(t, with())
	out := AppendResponse(nil, m, Reply{
		Status: 400, Reason: evil, ToTag: evil, ContentType: evil,
		Headers: []Header{{Name: "X-" + evil, Value: evil}, {ID: HeaderExpires, Value: evil}},
	})
	m.Headers = append(m.Headers, Header{Name: evil, Value: evil})
	m.RequestURI, m.Method = evil, Method(evil)
	both := string(m.AppendMessage(out))
	if n := strings.Count(both, "\n"); n != 11+10 || strings.Count(both, "\r") != n {
		t.Errorf("%d lines:\n%q", n, both)
	}
	for line := range strings.SplitSeq(both, "\r\n") {
		if strings.HasPrefix(line, "Evil") || strings.ContainsAny(line, "\r\n\x00") {
			t.Errorf("injected: %q", line)
		}
	}
	out = Challenge{Realm: evil, Nonce: evil, Algorithm: evil, QOP: []string{evil}}.Append(nil)
	out = Credentials{Username: evil, URI: evil, QOP: evil, NCText: evil}.Append(out)
	if strings.ContainsAny(string(out), "\r\n\x00") {
		t.Errorf("%q", out)
	}
}

func TestAppendMessageLength(t *testing.T) {
	t.Parallel()
	m := parsed(t, without("Content-Length")+"body")
	if out := string(m.AppendMessage(nil)); !strings.HasSuffix(out, "Content-Length: 4\r\n\r\nbody") {
		t.Errorf("%q", out)
	}
	m = parsed(t, with("Content-Length: 2")+"body")
	m.Body = "other"
	if out := string(m.AppendMessage(nil)); !strings.HasSuffix(out, "Content-Length: 5\r\n\r\nother") {
		t.Errorf("%q", out)
	}
}

func TestReasonPhrase(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{
		200: "OK", 299: "OK", 489: "Bad Event", 412: "Conditional Request Failed", 499: "Bad Request",
		599: "Server Internal Error", 699: "Busy Everywhere", 199: "Session Progress", 399: "Multiple Choices",
	} {
		if got := ReasonPhrase(status); got != want {
			t.Errorf("%d: %s", status, got)
		}
	}
}
