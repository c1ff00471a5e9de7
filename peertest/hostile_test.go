package peertest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

const (
	// quietFor is how long a third party must hear nothing. NOTIFYs and answers
	// leave within milliseconds.
	quietFor = 500 * time.Millisecond
	// mostMemory bounds the server's resident memory after all that is thrown
	// at it; it is about 30 MB at rest, more with the race detector.
	mostMemory = 400 << 20
)

// options is a request that is answered without credentials; PORT becomes the
// sender's port and EXTRA header lines.
const options = "OPTIONS sip:example.com SIP/2.0\r\n" +
	"Via: SIP/2.0/TRANSPORT 127.0.0.1:PORT;branch=z9hG4bKBRANCH;rport\r\n" +
	"Max-Forwards: 70\r\n" +
	"From: <sip:mallory@example.net>;tag=m1\r\n" +
	"To: <sip:example.com>\r\n" +
	"Call-ID: BRANCH@example.net\r\n" +
	"CSeq: 1 OPTIONS\r\n" +
	"EXTRA" +
	"Content-Length: 0\r\n\r\n"

// hostile is one message that no client of ours sends.
type hostile struct {
	name    string
	raw     string
	status  int    // wanted; 0: silence
	counter string // must go up
	reply   string // must be in the answer
}

func with(extra string) string { return strings.Replace(options, "EXTRA", extra, 1) }

func without(old, replacement string) string {
	return strings.Replace(with(""), old, replacement, 1)
}

const (
	parseErrors   = "tacit_parse_errors_total"
	framingErrors = "tacit_framing_errors_total"
	oversize      = "tacit_oversize_total"
	refused       = "tacit_refused_total"
	received      = "tacit_received_total"
)

// datagrams are bad input over UDP, one datagram each.
var datagrams = []hostile{
	{"NUL in a header field", with("Subject: a\x00b\r\n"), 400, parseErrors, ""},
	{"bare LF in a header field", with("Subject: a\nInjected: b\r\n"), 400, parseErrors, ""},
	{"bare CR in a header field", with("Subject: a\rInjected: b\r\n"), 400, parseErrors, ""},
	{"two Content-Lengths that differ", with("Content-Length: 5\r\n"), 400, parseErrors, ""},
	{"two Content-Lengths that agree", with("Content-Length: 0\r\n"), 400, parseErrors, ""},
	{"two Content-Lengths, one compact", with("l: 0\r\n"), 400, parseErrors, ""},
	{"Content-Length larger than the datagram", without("Content-Length: 0", "Content-Length: 10"), 400, parseErrors, ""},
	{"negative Content-Length", without("Content-Length: 0", "Content-Length: -1"), 400, parseErrors, ""},
	{"Content-Length without end", without("Content-Length: 0", "Content-Length: 99999999999999999999"), 400, parseErrors, ""},
	{"Content-Length in hexadecimal", without("Content-Length: 0", "Content-Length: 0x0"), 400, parseErrors, ""},
	// RFC 3261, 18.3: what is beyond Content-Length is thrown away.
	{"Content-Length smaller than the datagram", with("") + "NOTIFY sip:x SIP/2.0\r\n\r\n", 200, received, ""},
	{"two From", with("From: <sip:alice@example.com>;tag=2\r\n"), 400, parseErrors, ""},
	{"two Call-ID, one compact", with("i: other\r\n"), 400, parseErrors, ""},
	{"two CSeq", with("CSeq: 2 OPTIONS\r\n"), 400, parseErrors, ""},
	{"CSeq of another method", without("1 OPTIONS", "1 PUBLISH"), 400, parseErrors, ""},
	{"CSeq beyond 32 bits", without("1 OPTIONS", "4294967296 OPTIONS"), 400, parseErrors, ""},
	{"another version", without("example.com SIP/2.0", "example.com SIP/3.0"), 505, parseErrors, ""},
	{"a Request-URI with a space", without("sip:example.com SIP", "sip:exam ple.com SIP"), 400, parseErrors, ""},
	{"a From that does not end", without("mallory@example.net>", "mallory@example.net"), 400, parseErrors, ""},
	{"bytes that are no UTF-8", with("Subject: \xff\xfe\r\n"), 400, parseErrors, ""},
	{"300 header fields", with(strings.Repeat("X: y\r\n", 300)), 513, parseErrors, ""},
	{"a header section that does not end", strings.TrimSuffix(with(""), "\r\n"), 400, parseErrors, ""},
	{"no Via", without("Via:", "X-Via:"), 0, parseErrors, ""},
	{"a Via without an address", without("TRANSPORT 127.0.0.1:PORT", "UDP"), 0, parseErrors, ""},
	{"a response to nothing", without("OPTIONS sip:example.com SIP/2.0", "SIP/2.0 200 OK"), 0, "tacit_stray_responses_total", ""},
	{"a TLS handshake", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03hello", 0, parseErrors, ""},
	{"HTTP", "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", 0, parseErrors, ""},
	{"an ACK to nothing", strings.ReplaceAll(with(""), "OPTIONS", "ACK"), 0, received, ""},
	{"INVITE", strings.ReplaceAll(with(""), "OPTIONS", "INVITE"), 405, refused, "Allow: "},
	{"CANCEL", strings.ReplaceAll(with(""), "OPTIONS", "CANCEL"), 481, refused, ""},
	{"an option we lack", with("Require: teleport\r\n"), 420, refused, "Unsupported: teleport"},
	{"another URI scheme", without("OPTIONS sip:example.com", "OPTIONS tel:+15551234"), 416, refused, ""},
	{"keep-alive CRLF", "\r\n\r\n", 0, "tacit_keepalives_total", ""},
	{"keep-alive NUL", "\x00", 0, "tacit_keepalives_total", ""},
	{"keep-alive STUN", "\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl", 0, "tacit_keepalives_total", ""},
}

// filled puts port and branch into a message.
func filled(raw, transport string, local net.Addr, branch string) string {
	_, port, _ := net.SplitHostPort(local.String())
	return strings.NewReplacer("TRANSPORT", transport, "PORT", port, "BRANCH", branch).Replace(raw)
}

// TestHostileDatagrams sends each bad message, then a good one from the same
// socket: so silence is known without a long wait.
func TestHostileDatagrams(t *testing.T) {
	t.Parallel()
	s := serve(t, users...)
	for i, h := range datagrams {
		t.Run(h.name, func(t *testing.T) {
			c, err := net.Dial("udp", s.sip)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			before := s.metric(h.counter)
			bad, good := fmt.Sprintf("bad%d", i), fmt.Sprintf("good%d", i)
			_, _ = io.WriteString(c, filled(h.raw, "UDP", c.LocalAddr(), bad))
			got := reads(c, patience, h.status != 0)
			_, _ = io.WriteString(c, filled(with(""), "UDP", c.LocalAddr(), good))
			after := reads(c, patience, true)
			switch {
			case len(after) == 0 || !strings.Contains(after[len(after)-1], good):
				t.Fatalf("the good request after it was not answered: %q", after)
			case h.status == 0 && len(after) > 1:
				t.Errorf("answered: %q", after[0])
			case h.status != 0 && (len(got) != 1 || !strings.HasPrefix(got[0], fmt.Sprintf("SIP/2.0 %d ", h.status))):
				t.Errorf("got %q, want %d", got, h.status)
			case h.reply != "" && !strings.Contains(got[0], h.reply):
				t.Errorf("got %q, want %q in it", got[0], h.reply)
			}
			if now := s.metric(h.counter); now <= before {
				t.Errorf("%s did not go up", h.counter)
			}
		})
	}
	s.healthy()
	s.small()
	s.stop()
}

// reads gives the datagrams of now, or waits for the first one; then what
// follows it at once.
func reads(c net.Conn, patience time.Duration, wait bool) (list []string) {
	const pause = 30 * time.Millisecond
	buf := make([]byte, 64<<10)
	for {
		timeout := pause
		if wait && len(list) == 0 {
			timeout = patience
		}
		_ = c.SetReadDeadline(time.Now().Add(timeout))
		n, err := c.Read(buf)
		if err != nil {
			return list
		}
		list = append(list, string(buf[:n]))
	}
}

// small wants that what was thrown at the server has cost it no memory.
func (s *server) small() {
	s.t.Helper()
	if n := s.metric("process_resident_memory_bytes"); n > mostMemory {
		s.t.Errorf("the server has grown to %.0f MB", n/(1<<20))
	}
}

// TestHostileStreams sends what cannot be cut into messages: the server answers
// if it can, and closes the connection.
func TestHostileStreams(t *testing.T) {
	t.Parallel()
	s := serve(t, users...)
	const big = 10 << 20
	head := "PUBLISH sip:alice@example.com SIP/2.0\r\n" + strings.TrimPrefix(strings.ReplaceAll(without("Content-Length: 0",
		fmt.Sprintf("Content-Length: %d", big)), "1 OPTIONS", "1 PUBLISH"), "OPTIONS sip:example.com SIP/2.0\r\n")
	for _, h := range []hostile{
		{"a body of 10 MB", strings.Replace(head, "EXTRA", "Content-Type: application/pidf+xml\r\n", 1) + strings.Repeat("x", big), 413, oversize, ""},
		{"a header section of 10 MB", with("X: " + strings.Repeat("y", big) + "\r\n"), 0, framingErrors, ""},
		{"10 MB of header fields", with(strings.Repeat("X: y\r\n", big/6)), 0, framingErrors, ""},
		{"10 MB without a line", strings.Repeat("x", big), 0, framingErrors, ""},
		{"two Content-Lengths", with("Content-Length: 5\r\n"), 400, framingErrors, ""},
		{"a Content-Length that is too small", without("Content-Length: 0", "Content-Length: 2") + "body that goes on\r\n\r\n", 200, framingErrors, ""},
		{"a Content-Length that is no number", without("Content-Length: 0", "Content-Length: ten"), 400, framingErrors, ""},
		{"no Content-Length", without("Content-Length: 0\r\n", ""), 400, framingErrors, ""},
		{"NUL in a header field", with("Subject: a\x00b\r\n"), 400, parseErrors, ""},
		{"bare LF in a header field", with("Subject: a\nInjected: b\r\n"), 400, parseErrors, ""},
		{"a TLS handshake", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03hello\r\n\r\n", 0, framingErrors, ""},
		{"HTTP", "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", 0, framingErrors, ""},
	} {
		t.Run(h.name, func(t *testing.T) {
			c, err := net.Dial("tcp", s.sip)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			_ = c.SetDeadline(time.Now().Add(patience))
			before := s.metric(h.counter)
			go func() { _, _ = io.WriteString(c, filled(h.raw, "TCP", c.LocalAddr(), "stream")) }()
			got, err := readStream(bufio.NewReader(c))
			switch {
			case errors.Is(err, os.ErrDeadlineExceeded):
				t.Error("the connection was neither answered nor closed")
			case h.status != 0 && !strings.HasPrefix(got, fmt.Sprintf("SIP/2.0 %d ", h.status)):
				t.Errorf("got %q (%v), want %d", got, err, h.status)
			case h.status == 0 && got != "":
				t.Errorf("answered: %q", got)
			}
			eventually(t, h.counter+" to go up", func() bool { return s.metric(h.counter) > before })
			s.healthy()
		})
	}
	s.small()
	s.stop()
}

// TestHostileOrigin opens a WebSocket as a foreign web page would.
func TestHostileOrigin(t *testing.T) {
	t.Parallel()
	s := serve(t, users...)
	req, err := http.NewRequest(http.MethodGet, "http://"+s.ws+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
		"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "sip", "Origin": "https://evil.example.net",
	} {
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("got %s, want 403", res.Status)
	}
	if s.metric("tacit_connections_refused_total") != 1 {
		t.Error("it was not counted")
	}
	s.healthy()
	s.stop()
}

// TestHostileDocuments publishes XML that must not be taken, as a user who may
// publish.
func TestHostileDocuments(t *testing.T) {
	t.Parallel()
	s := serve(t, users...)
	alice := newPhone(t, s, "alice", "tcp")
	const open, end = `<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="sip:alice@example.com"`, `</presence>`
	tuple := `<tuple id="t"><status><basic>open</basic></status></tuple>`
	var laughs strings.Builder
	for i := range 20 {
		fmt.Fprintf(&laughs, `<!ENTITY l%d "&l%d;&l%d;">`, i+1, i, i)
	}
	const deep = 20_000
	good := alice.ask(200, alice.publication("", open+">"+tuple+end, 600)).get("SIP-ETag")
	for _, c := range []struct{ name, body string }{
		{"DTD", `<!DOCTYPE presence SYSTEM "http://127.0.0.1:9/x.dtd">` + open + `>` + tuple + end},
		{"external entity", `<!DOCTYPE presence [<!ENTITY x SYSTEM "file:///etc/passwd">]>` + open + `><note>&x;</note>` + end},
		{"a billion laughs", `<!DOCTYPE presence [<!ENTITY l0 "ha">` + laughs.String() + `]>` + open + `><note>&l20;</note>` + end},
		{"an entity that is not declared", open + `><note>&x;</note>` + end},
		{"a character that XML forbids", open + `><note>&#0;</note>` + end},
		{"duplicate attributes", open + `><tuple id="t" id="u"><status><basic>open</basic></status></tuple>` + end},
		{"duplicate attributes by namespace", open + ` xmlns:a="urn:x" xmlns:b="urn:x"><tuple id="t" a:y="1" b:y="2"><status/></tuple>` + end},
		{"an unbound prefix", open + `><tuple id="t"><status><x:y/></status></tuple>` + end},
		{"an unbound prefix of an attribute", open + `><tuple id="t" x:y="z"><status/></tuple>` + end},
		{"the xmlns prefix bound anew", open + ` xmlns:xmlns="urn:x">` + tuple + end},
		{"20,000 elements deep", open + `>` + strings.Repeat(`<a>`, deep) + strings.Repeat(`</a>`, deep) + end},
		{"20,000 elements deep, unclosed", open + `>` + strings.Repeat(`<a>`, deep)},
		{"two roots", open + `>` + tuple + end + open + `/>`},
		{"tags that do not match", open + `>` + tuple + `</presense>`},
		{"an attribute without quotes", open + `><tuple id=t><status/></tuple>` + end},
		{"bytes that are no UTF-8", open + ">" + tuple + "<note>\xff\xfe</note>" + end},
		{"another encoding", `<?xml version="1.0" encoding="UTF-16"?>` + open + `>` + tuple + end},
		{"a NUL", open + ">" + tuple + "<note>\x00</note>" + end},
		{"another root", `<presences xmlns="urn:ietf:params:xml:ns:pidf"/>`},
		{"no XML", `{"basic":"open"}`},
		{"10,000 namespaces", open + manyNamespaces(10_000) + `>` + tuple + end},
		{"a name of 100 KB", open + `><` + strings.Repeat("a", 100<<10) + `/>` + end},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, began := s.metric("tacit_bad_documents_total"), time.Now()
			alice.t = t
			m := alice.ask(400, alice.publication("", c.body, 600))
			if m.get("Warning") == "" {
				t.Error("no Warning says what is wrong")
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
			if now := s.metric("tacit_bad_documents_total"); now != before+1 {
				t.Errorf("tacit_bad_documents_total went from %v to %v", before, now)
			}
		})
	}
	alice.t = t
	alice.ask(200, alice.publication(good, "", 600)) // what was there is there still
	s.healthy()
	s.small()
	s.stop()
}

func manyNamespaces(n int) string {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, ` xmlns:n%d="u:%d"`, i, i)
	}
	return b.String()
}

// third is somebody who has nothing to do with it, at an address of its own:
// whatever comes there was sent only because a message named it.
type third struct {
	t       *testing.T
	udp     net.PacketConn
	tcp     net.Listener
	address string
}

func newThird(t *testing.T) *third {
	t.Helper()
	th := &third{t: t}
	var err error
	if th.udp, err = net.ListenPacket("udp", "127.0.0.2:0"); err != nil {
		t.Fatalf("no second loopback address: %v", err)
	}
	th.address = th.udp.LocalAddr().String()
	if th.tcp, err = net.Listen("tcp", th.address); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = th.udp.Close(), th.tcp.Close() })
	return th
}

// heardNothing waits a moment for anything to come.
func (th *third) heardNothing() {
	th.t.Helper()
	_ = th.udp.SetReadDeadline(time.Now().Add(quietFor))
	buf := make([]byte, 64<<10)
	if n, from, err := th.udp.ReadFrom(buf); err == nil {
		th.t.Errorf("from %s came %q", from, buf[:n])
	}
	if l, ok := th.tcp.(*net.TCPListener); ok {
		_ = l.SetDeadline(time.Now().Add(10 * time.Millisecond))
		if c, err := l.Accept(); err == nil {
			th.t.Errorf("a connection came from %s", c.RemoteAddr())
			_ = c.Close()
		}
	}
}

// TestNobodyElseHears names a third party wherever a message can name one.
func TestNobodyElseHears(t *testing.T) {
	t.Parallel()
	s := serve(t, users...)
	th := newThird(t)
	publisher := newPhone(t, s, "alice", "udp")
	for _, transport := range []string{"udp", "tcp"} {
		t.Run("Via over "+transport, func(t *testing.T) {
			for i, raw := range []string{
				without("127.0.0.1:PORT", th.address),
				without("127.0.0.1:PORT", th.address+";received=127.0.0.2"),
				without("127.0.0.1:PORT", "127.0.0.1:PORT;maddr=127.0.0.2"),
				without("Via:", "Via: SIP/2.0/UDP "+th.address+";branch=z9hG4bKtop\r\nVia:"),
				strings.Replace(without("127.0.0.1:PORT", th.address), ";rport", "", 1),
				strings.Replace(without("127.0.0.1:PORT", th.address), "OPTIONS sip:example.com", "OPTIONS sip:x@"+th.address, 1),
				with("Route: <sip:" + th.address + ";lr>\r\n"),
				without("SIP/2.0/TRANSPORT 127.0.0.1:PORT", "SIP/2.0/TCP "+th.address),
				without("OPTIONS sip", "BOGUS sip"), // malformed and refused ones too
				strings.Replace(without("127.0.0.1:PORT", th.address), "EXTRA", "Content-Length: 1\r\n", 1),
			} {
				c, err := net.Dial(transport, s.sip)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.WriteString(c, filled(raw, strings.ToUpper(transport), c.LocalAddr(), fmt.Sprintf("via%s%d", transport, i)))
				_ = reads(c, patience, false)
				_ = c.Close()
			}
			th.heardNothing()
		})
		for _, c := range []struct{ name, contact, headers string }{
			{"Contact", "sip:bob@" + th.address, ""},
			{"Contact by TCP", "sip:bob@" + th.address + ";transport=tcp", ""},
			{"Contact with maddr", "sip:bob@127.0.0.1:9;maddr=127.0.0.2", ""},
			{"Record-Route", "sip:bob@" + th.address, "Record-Route: <sip:" + th.address + ";lr>\r\n"},
			{"strict Record-Route", "sip:bob@127.0.0.1:9", "Record-Route: <sip:" + th.address + ">\r\n"},
		} {
			t.Run(c.name+" over "+transport, func(t *testing.T) {
				bob := newPhone(t, s, "bob", transport)
				bob.contact = c.contact
				d := bob.subscribe("alice", c.headers)
				// It is the subscriber who is told, by the way it came.
				bob.wantNotify(0, "active", "")
				publisher.t = t
				tag := publisher.ask(200, publisher.publication("", pidf("alice", "open", c.name), 600)).get("SIP-ETag")
				bob.wantNotify(0, "active", c.name)
				publisher.ask(200, publisher.publication(tag, "", 0))
				if m, err := bob.do(bob.again(d, 0), patience); err != nil || m.status() != 200 {
					t.Errorf("%v %s", err, m.first)
				}
				bob.wantNotify(0, "terminated", "")
				th.heardNothing()
			})
		}
	}
	publisher.t = t
	s.healthy()
	s.stop()
}
