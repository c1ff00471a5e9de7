package sip

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The files are the messages of RFC 4475 and RFC 5118 as their appendices
// archive them. RFC 5118's archive has bare LF and is written here with CRLF;
// its ipv6-in-sdp had a Content-Length for neither, and the two messages of
// 4.10 lacked the empty line at the end.

type tortureCase struct {
	name    string
	section string
	status  int    // 0: must parse
	reply   bool   // a refused message can be answered
	why     string // where the RFC leaves a choice, or the answer is not the parser's
}

var torture4475 = []tortureCase{
	{"wsinv", "3.1.1.1", 0, false, ""},
	{"intmeth", "3.1.1.2", 0, false, "unknown method: the gate's 405"},
	{"esc01", "3.1.1.3", 0, false, ""},
	{"escnull", "3.1.1.4", 0, false, ""},
	{"esc02", "3.1.1.5", 0, false, "unknown method: the gate's 405"},
	{"lwsdisp", "3.1.1.6", 0, false, "should be accepted"},
	{"longreq", "3.1.1.7", 0, false, ""},
	{"dblreq", "3.1.1.8", 0, false, "what follows in the datagram is ignored"},
	{"semiuri", "3.1.1.9", 0, false, ""},
	{"transports", "3.1.1.10", 0, false, ""},
	{"mpart01", "3.1.1.11", 0, false, ""},
	{"unreason", "3.1.1.12", 0, false, ""},
	{"noreason", "3.1.1.13", 0, false, ""},
	{"badinv01", "3.1.2.1", 400, true, ""},
	{"clerr", "3.1.2.2", 400, true, ""},
	{"ncl", "3.1.2.3", 400, true, ""},
	{"scalar02", "3.1.2.4", 400, true, ""},
	{"scalarlg", "3.1.2.5", 400, false, "a response: dropped"},
	{"quotbal", "3.1.2.6", 400, true, ""},
	{"ltgtruri", "3.1.2.7", 400, true, ""},
	{"lwsruri", "3.1.2.8", 400, true, ""},
	{"lwsstart", "3.1.2.9", 400, true, "acceptable to reject"},
	{"trws", "3.1.2.10", 400, true, "acceptable to reject"},
	{"escruri", "3.1.2.11", 400, true, "acceptable to reject"},
	{"baddate", "3.1.2.12", 0, false, "Date plays no role, so it should not be rejected"},
	{"regbadct", "3.1.2.13", 400, true, "reasonable to reject"},
	{"badaspec", "3.1.2.14", 400, true, "reasonable to reject"},
	{"baddn", "3.1.2.15", 400, true, "reasonable to reject"},
	{"badvers", "3.1.2.16", 505, true, ""},
	{"mismatch01", "3.1.2.17", 400, true, ""},
	{"mismatch02", "3.1.2.18", 400, true, "501 or 400; the parser knows no methods"},
	{"bigcode", "3.1.2.19", 400, false, "a response: dropped"},
	{"badbranch", "3.2.1", 0, false, "the transaction key falls back to RFC 2543's"},
	{"insuf", "3.3.1", 400, true, ""},
	{"unkscm", "3.3.2", 0, false, "the gate's 416"},
	{"novelsc", "3.3.3", 0, false, "the gate's 416"},
	{"unksm2", "3.3.4", 0, false, "the registrar's 400"},
	{"bext01", "3.3.5", 0, false, "the gate's 420"},
	{"invut", "3.3.6", 0, false, "the gate's 415 or 405"},
	{"regaut01", "3.3.7", 0, false, "the gate's 401"},
	{"multi01", "3.3.8", 400, true, ""},
	{"mcl01", "3.3.9", 400, true, ""},
	{"bcast", "3.3.10", 0, false, "well formed; two Via: dropped by the edge"},
	{"zeromf", "3.3.11", 0, false, ""},
	{"cparam01", "3.3.12", 0, false, ""},
	{"cparam02", "3.3.13", 0, false, ""},
	{"regescrt", "3.3.14", 0, false, ""},
	{"sdp01", "3.3.15", 0, false, "the gate's 405 or 406"},
	{"inv2543", "3.4.1", 0, false, ""},
}

var torture5118 = []tortureCase{
	{"ipv6-good", "4.1", 0, false, ""},
	{"ipv6-bad", "4.2", 400, true, ""},
	{"port-ambiguous", "4.3", 0, false, ""},
	{"port-unambiguous", "4.4", 0, false, ""},
	{"via-received-param-with-delim", "4.5", 0, false, "must be parsed"},
	{"via-received-param-no-delim", "4.5", 0, false, ""},
	{"ipv6-in-sdp", "4.6", 0, false, ""},
	{"mult-ip-in-header", "4.7", 0, false, ""},
	{"mult-ip-in-sdp", "4.8", 0, false, ""},
	{"ipv4-mapped-ipv6", "4.9", 0, false, ""},
	{"ipv6-bug-abnf-3-colons", "4.10", 0, false, "must be tolerated"},
	{"ipv6-correct-abnf-2-colons", "4.10", 0, false, ""},
}

func TestTorture(t *testing.T) {
	t.Parallel()
	for dir, cases := range map[string][]tortureCase{"rfc4475": torture4475, "rfc5118": torture5118} {
		files, err := filepath.Glob(filepath.Join("testdata", dir, "*.dat"))
		if err != nil || len(files) != len(cases) {
			t.Errorf("%s: %d files, %d cases (%v)", dir, len(files), len(cases), err)
		}
		for _, c := range cases {
			t.Run(dir+"/"+c.section+" "+c.name, func(t *testing.T) {
				t.Parallel()
				tortureTest(t, c, readTorture(t, dir, c.name))
			})
		}
	}
}

func readTorture(t testing.TB, dir, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", dir, name+".dat"))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func tortureTest(t *testing.T, c tortureCase, raw string) {
	var m Message
	err := m.Parse(raw, DefaultLimits)
	if c.status == 0 {
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		roundTrip(t, &m)
		return
	}
	fault, ok := errors.AsType[*StatusError](err)
	if !ok || fault.Status != c.status {
		t.Fatalf("got %v, want status %d", err, c.status)
	}
	if fault.Reason == "" {
		t.Error("no reason given")
	}
	if m.Answerable() != c.reply {
		t.Fatalf("Answerable %v, want %v", m.Answerable(), c.reply)
	}
	if !c.reply {
		return
	}
	var answer Message
	out := AppendResponse(nil, &m, Reply{Status: fault.Status, Reason: fault.Reason, ToTag: "t"})
	err = answer.Parse(string(out), DefaultLimits)
	if answer.Status != fault.Status || answer.CallID != m.CallID {
		t.Errorf("answer %q: %v", out, err)
	}
}

// roundTrip checks that what AppendMessage writes is read as the same message.
func roundTrip(t *testing.T, m *Message) {
	t.Helper()
	var again Message
	out := m.AppendMessage(nil)
	if err := again.Parse(string(out), DefaultLimits); err != nil {
		t.Fatalf("own output refused: %v\n%q", err, out)
	}
	if d := difference(m, &again); d != "" {
		t.Fatalf("%s differs after a round trip\n%q", d, out)
	}
	if second := again.AppendMessage(nil); string(second) != string(out) {
		t.Fatalf("second output differs\n%q\n%q", out, second)
	}
}

// difference names the first thing in which two messages differ; a
// Content-Length that AppendMessage corrected or added does not count.
func difference(a, b *Message) string {
	switch {
	case a.Method != b.Method || a.RequestURI != b.RequestURI:
		return "request line"
	case a.Status != b.Status || a.Reason != b.Reason:
		return "status line"
	case a.Body != b.Body:
		return "body"
	case a.TopVia != b.TopVia:
		return "top Via"
	case a.CSeq != b.CSeq || a.CallID != b.CallID:
		return "CSeq or Call-ID"
	case a.From != b.From || a.To != b.To:
		return "From or To"
	}
	i := 0
	for _, h := range b.Headers {
		if h.ID == HeaderContentLength {
			if i < len(a.Headers) && a.Headers[i].ID == h.ID {
				i++
			}
			continue
		}
		if i == len(a.Headers) || a.Headers[i] != h {
			return h.Name
		}
		i++
	}
	if i != len(a.Headers) {
		return "number of header fields"
	}
	return ""
}

func TestTortureDetails(t *testing.T) {
	t.Parallel()
	parse := func(name string) *Message {
		m := new(Message)
		if err := m.Parse(readTorture(t, "rfc4475", name), DefaultLimits); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return m
	}
	m := parse("wsinv")
	if m.TopVia.Host != "192.0.2.2" || m.TopVia.Transport != "UDP" || m.TopVia.Branch != "390skdjuw" {
		t.Errorf("wsinv: top Via %+v", m.TopVia)
	}
	if m.CSeq != (CSeq{9, MethodInvite}) || m.To.Tag() != "1918181833n" || m.From.Display != `J Rosenberg \"` {
		t.Errorf("wsinv: %+v %+v %+v", m.CSeq, m.To, m.From)
	}
	if v, ok := m.Named("newfangledheader"); !ok || v != "newfangled value continued newfangled value" {
		t.Errorf("wsinv: unfolded %q", v)
	}
	n := 0
	for v := range m.Values(HeaderVia) {
		if _, err := ParseVia(v); err != nil {
			t.Errorf("wsinv: Via %q: %v", v, err)
		}
		n++
	}
	if n != 3 || len(m.Body) != 150 {
		t.Errorf("wsinv: %d Via, body of %d", n, len(m.Body))
	}
	if v, ok := m.Named("Subject"); !ok || v != "" {
		t.Errorf("wsinv: compact Subject %q %v", v, ok)
	}

	m = parse("intmeth")
	if m.To.Display != "BEL:\a NUL:\x00 DEL:\x7f" || m.From.Tag() != "_token~1'+`*%!-." {
		t.Errorf("intmeth: %q %q", m.To.Display, m.From.Tag())
	}
	if v, ok := m.From.Param("fromParam''~+*_!.-%"); !ok || v != "работающий" {
		t.Errorf("intmeth: parameter %q", v)
	}

	m = parse("escnull")
	if a, err := m.To.URI.AOR(); err != nil || a != "sip:null-%00-null@example.com" {
		t.Errorf("escnull: %q %v", a, err)
	}

	m = parse("esc01")
	if a, err := m.To.URI.AOR(); err != nil || a != "sip:user@example.com" {
		t.Errorf("esc01: %q %v", a, err)
	}
	contact, _ := m.Get(HeaderContact)
	c, err := ParseNameAddr(contact)
	if err != nil {
		t.Fatal(err)
	}
	if _, lr := c.URI.Param("lr"); !lr {
		t.Error("esc01: escaped lr is not seen")
	}
	if v, _ := c.URI.Param("name"); v != "value%41" {
		t.Errorf("esc01: name is %q, must be unescaped once", v)
	}

	m = parse("semiuri")
	if u, err := ParseURI(m.RequestURI); err != nil || u.User != "user;par=u%40example.net" || u.Params != "" {
		t.Errorf("semiuri: %+v %v", u, err)
	}
	if m = parse("dblreq"); m.Body != "" || m.Method != MethodRegister {
		t.Errorf("dblreq: body %q", m.Body)
	}
	if m = parse("mpart01"); !strings.HasSuffix(m.Body, "--7a9cbec02ceef655--\r\n") {
		t.Error("mpart01: body cut")
	}
	if m = parse("cparam01"); m.Headers[0].ID != HeaderVia {
		t.Error("cparam01: order lost")
	}
	contact, _ = m.Get(HeaderContact)
	if c, err = ParseNameAddr(contact); err != nil || c.URI.Params != "" || c.Params != ";unknownparam" {
		t.Errorf("cparam01: %+v %v", c, err)
	}
}
