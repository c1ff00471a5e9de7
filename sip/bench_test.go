package sip

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"
)

const sampleRegister = "REGISTER sip:example.com SIP/2.0\r\n" +
	"Via: SIP/2.0/UDP 192.0.2.7:5070;rport;branch=z9hG4bKPjkq3b0Tr2\r\n" +
	"Max-Forwards: 70\r\n" +
	"From: \"Alice\" <sip:alice@example.com>;tag=a8f3\r\n" +
	"To: \"Alice\" <sip:alice@example.com>\r\n" +
	"Call-ID: kqf03-ABC\r\n" +
	"CSeq: 7 REGISTER\r\n" +
	"Contact: <sip:alice@192.0.2.7:5070;ob>;+sip.instance=\"<urn:uuid:0-1-2>\"\r\n" +
	"Expires: 300\r\n" +
	"Supported: replaces, outbound, gruu\r\n" +
	"Content-Length: 0\r\n\r\n"

// samplePublish is a PUBLISH of about 1.5 KB as a softphone sends it.
var samplePublish = "PUBLISH sip:alice@example.com SIP/2.0\r\n" +
	"Via: SIP/2.0/UDP 192.0.2.7:5070;rport;branch=z9hG4bKPj-2d4f0bd09f3c\r\n" +
	"Max-Forwards: 70\r\n" +
	"From: <sip:alice@example.com>;tag=6a7d1f0e\r\n" +
	"To: <sip:alice@example.com>\r\n" +
	"Call-ID: 1f9c3b0c77a14e5f\r\n" +
	"CSeq: 41 PUBLISH\r\n" +
	"Event: presence\r\n" +
	"Expires: 3600\r\n" +
	"SIP-If-Match: dx200xyz\r\n" +
	"User-Agent: Sample/1.0 (test)\r\n" +
	"Authorization: Digest username=\"alice\", realm=\"example.com\", nonce=\"WAqHgkRW4lU2Mfh1\", " +
	"uri=\"sip:alice@example.com\", response=\"8ca523f5e9506fed4657c9700eebdbec\", " +
	"algorithm=MD5, cnonce=\"0a4f113b\", qop=auth, nc=00000001\r\n" +
	"Content-Type: application/pidf+xml\r\n" +
	"Content-Length: 800\r\n\r\n" + strings.Repeat("<presence/>", 80)[:800]

const sampleResponse = "SIP/2.0 200 OK\r\n" +
	"Via: SIP/2.0/UDP 192.0.2.1:5060;rport=5060;branch=z9hG4bK1a.77f3c0d2e1b4a596;received=192.0.2.1\r\n" +
	"From: <sip:alice@example.com>;tag=9f8e7d6c5b4a\r\n" +
	"To: \"Bob\" <sip:bob@example.com>;tag=0d1c2b3a\r\n" +
	"Call-ID: 77e1d0f1a2b34c5d@192.0.2.9\r\n" +
	"CSeq: 102 NOTIFY\r\n" +
	"Contact: <sip:bob@192.0.2.9:5060;transport=udp>\r\n" +
	"Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, NOTIFY, SUBSCRIBE, PUBLISH, MESSAGE\r\n" +
	"Supported: replaces, outbound\r\n" +
	"User-Agent: Sample/1.0\r\n" +
	"Content-Length: 0\r\n\r\n"

func benchmarkParse(b *testing.B, raw string) {
	var m Message
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if err := m.Parse(raw, DefaultLimits); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseRequest(b *testing.B)  { benchmarkParse(b, samplePublish) }
func BenchmarkParseRegister(b *testing.B) { benchmarkParse(b, sampleRegister) }
func BenchmarkParseResponse(b *testing.B) { benchmarkParse(b, sampleResponse) }

func BenchmarkFrame(b *testing.B) {
	raw := []byte(samplePublish)
	b.ReportAllocs()
	for b.Loop() {
		if _, n, _, err := Frame(raw, DefaultLimits); err != nil || n != len(raw) {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	var m Message
	if err := m.Parse(samplePublish, DefaultLimits); err != nil {
		b.Fatal(err)
	}
	table := NewServerTable(1<<16, DefaultTimers)
	now := time.Unix(1e9, 0)
	k, _, _ := table.Lookup(&m, now)
	table.Begin(k, now)
	b.ReportAllocs()
	for b.Loop() {
		table.Lookup(&m, now)
	}
}

func BenchmarkTransaction(b *testing.B) {
	table := NewServerTable(1<<16, DefaultTimers)
	now := time.Unix(1e9, 0)
	answer := []byte(sampleResponse)
	var m Message
	if err := m.Parse(samplePublish, DefaultLimits); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		m.CSeq.Seq++
		k, _, _ := table.Lookup(&m, now)
		table.Begin(k, now)
		table.Answer(k, answer, false, now)
	}
}

func BenchmarkAppendResponse(b *testing.B) {
	var m Message
	if err := m.Parse(samplePublish, DefaultLimits); err != nil {
		b.Fatal(err)
	}
	r := Reply{
		Status: 200, ToTag: "x1y2z3", Source: netip.MustParseAddrPort("192.0.2.7:5070"),
		Headers: []Header{{ID: HeaderExpires, Value: "3600"}, {ID: HeaderSIPETag, Value: "dx200xyz"}},
	}
	buf := make([]byte, 0, 2048)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendResponse(buf[:0], &m, r)
	}
}

func BenchmarkDigestResponse(b *testing.B) {
	for _, a := range []Algorithm{AlgorithmMD5, AlgorithmSHA256, AlgorithmSHA512256} {
		b.Run(string(a), func(b *testing.B) {
			ha1, _ := HA1(a, "alice", "example.com", "secret")
			c := Credentials{Algorithm: a, Nonce: "WAqHgkRW4lU2Mfh1", NC: 1, CNonce: "0a4f113b", QOP: qopAuth, URI: "sip:alice@example.com"}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := DigestResponse(ha1, c, MethodPublish, ""); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestAllocs holds the hot path to its budget. It cannot run in parallel:
// AllocsPerRun counts the whole process.
func TestAllocs(t *testing.T) {
	var m Message
	table := NewServerTable(1024, DefaultTimers)
	now := time.Unix(1e9, 0)
	for name, raw := range map[string]string{
		"PUBLISH": samplePublish, "REGISTER": sampleRegister, "200": sampleResponse,
	} {
		if n := testing.AllocsPerRun(100, func() {
			if err := m.Parse(raw, DefaultLimits); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("Parse of %s: %v allocations, want 0", name, n)
		}
		if n := testing.AllocsPerRun(100, func() { table.Lookup(&m, now) }); n != 0 {
			t.Errorf("Lookup of %s: %v allocations, want 0", name, n)
		}
		buf := []byte(raw)
		if n := testing.AllocsPerRun(100, func() { Frame(buf, DefaultLimits) }); n != 0 {
			t.Errorf("Frame of %s: %v allocations, want 0", name, n)
		}
	}
	if err := m.Parse(samplePublish, DefaultLimits); err != nil {
		t.Fatal(err)
	}
	out := make([]byte, 0, 4096)
	r := Reply{Status: 200, ToTag: "t", Source: netip.MustParseAddrPort("[2001:db8::1]:5060")}
	if n := testing.AllocsPerRun(100, func() { out = AppendResponse(out[:0], &m, r) }); n != 0 {
		t.Errorf("AppendResponse: %v allocations, want 0", n)
	}
	if n := testing.AllocsPerRun(100, func() { out = m.AppendMessage(out[:0]) }); n != 0 {
		t.Errorf("AppendMessage: %v allocations, want 0", n)
	}
	// Many header fields cost what growing the slice costs, no more.
	many := strings.Replace(sampleRegister, "Expires", strings.Repeat("X: 1\r\n", 100)+"Expires", 1)
	if n := testing.AllocsPerRun(100, func() { _ = m.Parse(many, DefaultLimits) }); n > 3 {
		t.Errorf("Parse of %s header fields: %v allocations, want 3 at most", strconv.Itoa(len(m.Headers)), n)
	}
}
