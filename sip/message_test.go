package sip

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// base is a valid request whose header fields the tables below replace.
var base = []string{
	"OPTIONS sip:example.com SIP/2.0",
	"Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1",
	"From: <sip:a@example.com>;tag=1",
	"To: <sip:b@example.com>",
	"Call-ID: c1@192.0.2.1",
	"CSeq: 1 OPTIONS",
	"Max-Forwards: 70",
	"Content-Length: 0",
}

// with gives base with each line replaced that has the same name, or added.
func with(lines ...string) string {
	out := slices.Clone(base)
	for _, line := range lines {
		name, _, _ := strings.Cut(line, ":")
		i := slices.IndexFunc(out[1:], func(l string) bool { return strings.HasPrefix(l, name+":") })
		if i >= 0 {
			out[i+1] = line
		} else {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\r\n") + "\r\n\r\n"
}

func without(name string) string {
	out := slices.DeleteFunc(slices.Clone(base), func(l string) bool { return strings.HasPrefix(l, name+":") })
	return strings.Join(out, "\r\n") + "\r\n\r\n"
}

func startWith(line string) string {
	_, rest, _ := strings.Cut(with(), "\r\n")
	return line + "\r\n" + rest
}

func wantParse(t *testing.T, raw string, status int, answerable bool) {
	t.Helper()
	var m Message
	err := m.Parse(raw, DefaultLimits)
	if status == 0 {
		if err != nil {
			t.Errorf("%q refused: %v", raw, err)
			return
		}
		roundTrip(t, &m)
		return
	}
	fault, ok := errors.AsType[*StatusError](err)
	if !ok || fault.Status != status {
		t.Errorf("%q: got %v, want status %d", raw, err, status)
		return
	}
	if m.Answerable() != answerable {
		t.Errorf("%q: answerable %v, want %v", raw, m.Answerable(), answerable)
	}
}

func TestParseStartLine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line       string
		status     int
		answerable bool
	}{
		{"OPTIONS sip:example.com SIP/2.0", 0, true},
		{"OPTIONS sip:example.com sip/2.0", 0, true},
		{"OPTIONS sips:a@[2001:db8::1]:5061;transport=tcp SIP/2.0", 0, true},
		{"OPTIONS tel:+1-201-555-0123 SIP/2.0", 0, true},
		{"OPTIONS pres:a@example.com SIP/2.0", 0, true},
		{"OPTIONS urn:service:sos SIP/2.0", 0, true},
		{"OPTIONS * SIP/2.0", 400, true},
		{"OPTIONS sip: SIP/2.0", 400, true},
		{"OPTIONS sip:a@ SIP/2.0", 400, true},
		{"OPTIONS sip:a@b@example.com SIP/2.0", 400, true},
		{"OPTIONS sip:a%4@example.com SIP/2.0", 400, true},
		{"OPTIONS sip:example.com:0 SIP/2.0", 400, true},
		{"OPTIONS sip:example.com:65536 SIP/2.0", 400, true},
		{"OPTIONS sip:example.com?a=b SIP/2.0", 400, true},
		{"OPTIONS http: SIP/2.0", 400, true},
		{"OPTIONS http://a\"b SIP/2.0", 400, true},
		{"OPTIONS sip:example.com SIP/3.0", 505, true},
		{"OPTIONS sip:example.com SIP/2.00", 505, true},
		{"OPTIONS sip:example.com SIP/2", 400, true},
		{"OPTIONS sip:example.com SIP/2.", 400, true},
		{"OPTIONS sip:example.com HTTP/1.1", 400, true},
		{"OPTIONS sip:example.com", 400, true},
		{"OPTIONS  sip:example.com SIP/2.0", 400, true},
		{"OPTIONS sip:example.com  SIP/2.0", 400, true},
		{"OPTIONS sip:example.com SIP/2.0 ", 400, true},
		{"OPT(IONS sip:example.com SIP/2.0", 400, true},
		{" OPTIONS sip:example.com SIP/2.0", 400, true},
		{"OPTIONS\tsip:example.com\tSIP/2.0", 400, true},
		{"OPTIONS sip:exam\x00ple.com SIP/2.0", 400, true},
		{"OPTIONS sip:example.com\r SIP/2.0", 400, true},
		{"SIP/2.0 200 OK", 0, false},
		{"SIP/2.0 200 ", 0, false},
		{"SIP/2.0 699 Whatever <you> \"like\"", 0, false},
		{"SIP/2.0 200", 400, false},
		{"SIP/2.0 099 No", 400, false},
		{"SIP/2.0 700 No", 400, false},
		{"SIP/2.0 20 No", 400, false},
		{"SIP/2.0 2000 No", 400, false},
		{"SIP/2.0  200 No", 400, false},
		{"SIP/3.0 200 OK", 505, false},
		{"SIP/x 200 OK", 400, false},
		{"SIP/2.0 200 \xff", 400, false},
	} {
		wantParse(t, startWith(c.line), c.status, c.answerable)
	}
}

func TestParseHeaders(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line   string
		status int
	}{
		// From and To.
		{"From: sip:a@example.com", 0},
		{"From: sip:a@example.com;tag=x;epid=", 400},
		{"From: sip:a@example.com;tag=x;epid=0a1b", 0},
		{"From: A. User<sip:a@example.com>;tag=x", 0},
		{"From: \"A \\\" , User\" <sip:a@example.com>;tag=x;q=\"1,2\"", 0},
		{"From: \"nul \\\x00\" <sip:a@example.com>;tag=x", 0},
		{"From: \"nul \x00\" <sip:a@example.com>;tag=x", 400},
		{"From: \\\x00 <sip:a@example.com>;tag=x", 400},
		{"From: \"é\" <sip:a@example.com>;tag=x", 0},
		{"From: \"\xe9\" <sip:a@example.com>;tag=x", 400},
		{"From: <sip:a@example.com>;tag=x;TAG=y", 400},
		{"From: <sip:a@example.com>;tag=x,<sip:b@example.com>", 400},
		{"From: <sip:a@example.com>;;tag=x", 400},
		{"From: <sip:a@example.com> tag=x", 400},
		{"From: <sip:a@example.com>;tag=\"unended", 400},
		{"From: <sip:a@example.com", 400},
		{"From: <sip:a@example.com ;tag=x>", 400},
		{"From: a@example.com", 400},
		{"From: *", 400},
		{"To: <sip:b@example.com;lr;lr>", 400},
		{"To: <sip:b@exa_mple.com>", 400},
		{"To: <sip:b@-example.com>", 400},
		{"To: <sip:b@example.1>", 400},
		{"To: <sip:b@256.1.1.1>", 400},
		{"To: <sip:b@1.2.3>", 400},
		{"To: <sip:b@[::1%eth0]>", 400},
		{"To: <sip:b@[1.2.3.4]>", 400},
		{"To: <sip:b@example.com.>", 0},
		{"To: <sip:b:@example.com>", 0},
		{"To: <sip:b:p%41@example.com>", 0},
		{"To: <sip:b:p;@example.com>", 400},
		{"To: <sip:@example.com>", 400},
		{"To: <sip:b@example.com?a>", 400},
		{"To: <sip:b@example.com?a=&b=c>", 0},
		{"To: <tel:+1(201)555-0123;phone-context=x>", 0},
		{"To: <tel:>", 400},
		{"To: <tel:+abc>", 400},
		{"To: <http://example.com/a?b>", 0},
		// Via.
		{"Via: SIP/2.0/UDP 192.0.2.1", 0},
		{"Via: SIP/2.0/UDP h.example.com:5060;rport;branch=z9hG4bK1", 0},
		{"Via: SIP / 2.0 / UDP h.example.com : 5060 ; rport = 7 ; branch = z", 0},
		{"Via: SIP/2.0/UDP a.b;branch=1, SIP/2.0/TCP c.d;branch=2", 0},
		{"Via: SIP/2.0/UDP a.b;received=::1;branch=1", 0},
		{"Via: SIP/2.0/UDP a.b;received=[::1]", 0},
		{"Via: SIP/2.0/UDP a.b;received=nobody", 400},
		{"Via: SIP/2.0/UDP a.b;received=2001:db8::1;x=\"a;branch=no\"", 0},
		{"Via: SIP/2.0/UDP a.b;ttl=256", 400},
		{"Via: SIP/2.0/UDP a.b;rport=0", 400},
		{"Via: SIP/2.0/UDP a.b;rport=70000", 400},
		{"Via: SIP/2.0/UDP a.b;branch=a;branch=b", 400},
		{"Via: SIP/2.0/UDP a.b;branch=\"a\"", 400},
		{"Via: SIP/2.0/UDP a.b;branch", 400},
		{"Via: SIP/2.0/UDP a.b,", 400},
		{"Via: SIP/2.0/UDP", 400},
		{"Via: SIP/2.0 a.b", 400},
		{"Via: SIP/2.0/UDPa.b", 400},
		{"Via: SIP/2.0/UDP 2001:db8::1", 400},
		{"Via: SIP/2.0/UDP a.b:99999", 400},
		{"Via: SIP/2.0/UDP a.b junk", 400},
		// Call-ID and CSeq.
		{"Call-ID: a@b@c", 400},
		{"Call-ID: a b", 400},
		{"Call-ID: @b", 400},
		{"Call-ID: a@", 400},
		{"Call-ID: %Z!<>()[]{}?/\\\":@x", 0},
		{"CSeq: 1", 400},
		{"CSeq: OPTIONS", 400},
		{"CSeq: 1OPTIONS", 400},
		{"CSeq: -1 OPTIONS", 400},
		{"CSeq: 1 options", 400},
		{"CSeq: 1 OPTIONS x", 400},
		{"CSeq: 2147483647 OPTIONS", 0},
		{"CSeq: 2147483648 OPTIONS", 400},
		{"CSeq: 99999999999999999999999999 OPTIONS", 400},
		{"CSeq: 0001 \t OPTIONS", 0},
		// Numbers.
		{"Max-Forwards: 255", 0},
		{"Max-Forwards: 0070", 0},
		{"Max-Forwards: 256", 400},
		{"Max-Forwards: 4294967366", 400},
		{"Max-Forwards: x", 400},
		{"Expires: 99999999999", 0},
		{"Expires: 1.5", 400},
		{"Expires: -1", 400},
		{"Min-Expires: 1h", 400},
		{"Retry-After: 5 (busy);duration=3", 0},
		{"Retry-After: soon", 400},
		// Contact and routes.
		{"Contact: *", 0},
		{"Contact: *, <sip:a@b.c>", 400},
		{"Contact: <sip:a@b.c>, *", 400},
		{"Contact: sip:a@b.c;expires=3,\"x, y\" <sip:d@e.f>;+sip.instance=\"<urn:x>\"", 0},
		{"Contact: <sip:a@b.c>,", 400},
		{"Contact: sip:a@b.c?x=y", 400},
		{"Route: <sip:a.b;lr>, <sip:c.d>;x", 0},
		{"Route: sip:a.b;lr", 400},
		{"Record-Route: P <sip:a.b;lr>", 0},
		{"Record-Route: <sip:a.b;lr>,,<sip:c.d>", 400},
		// Token lists, media types, events.
		{"Supported: ", 0},
		{"Supported: a, b", 0},
		{"Supported: a,, b", 400},
		{"Supported: a b", 400},
		{"Require: a,", 400},
		{"Allow:", 0},
		{"Allow-Events: presence, presence.winfo", 0},
		{"Allow-Events: a/b", 400},
		{"Accept:", 0},
		{"Accept: */*, text/*;q=0.5, application/pidf+xml;x=\"a,b\"", 0},
		{"Accept: text", 400},
		{"Accept: text/plain text/html", 400},
		{"Content-Type: application / pidf+xml ; charset=\"UTF-8\"", 0},
		{"Content-Type: text/plain, text/html", 400},
		{"Content-Type: text", 400},
		{"Content-Encoding: gzip, deflate", 0},
		{"Event: presence;id=7", 0},
		{"Event: presence.winfo", 0},
		{"Event: presence,dialog", 400},
		{"Event: ;id=7", 400},
		{"Subscription-State: active;expires=60", 0},
		{"Subscription-State: \"active\"", 400},
		{"SIP-If-Match: abc.1", 0},
		{"SIP-If-Match: a b", 400},
		{"SIP-If-Match: \"abc\"", 400},
		{"SIP-ETag: a,b", 400},
		{"Suppress-If-Match: *", 0},
		// Empty values.
		{"Event:", 400}, {"Expires: ", 400}, {"Call-ID: \t", 400}, {"Require:", 400},
		{"Content-Type:", 400}, {"User-Agent:", 400}, {"Date:", 400}, {"In-Reply-To:", 400},
		{"Subject:", 0}, {"Organization:", 0}, {"Accept-Encoding:", 0}, {"X-Thing:", 0},
		// Names, folding and odd bytes.
		{"X Thing: 1", 400},
		{"X-Thing 1", 400},
		{"X-Thing\t : 1", 0},
		{"X(Thing): 1", 400},
		{": 1", 400},
		{"X-Thing: a\r\n b\r\n\t c", 0},
		{"X-Thing:\r\n \r\n a", 0},
		{"X-Thing: a\nb", 400},
		{"X-Thing: a\rb", 400},
		{"X-Thing: a\r\n b\rc", 400},
		{"X-Thing: a\x00b", 400},
		{"X-Thing: a\\\x00b", 400},
		{"X-Thing: a\x7fb", 400},
		{"X-Thing: a\x1bb", 400},
		{"X-Thing: \xc3\xa9 a\tb", 0},
		{"X-Thing: \xc3", 400},
		{"X-Th\xc3\xa9ng: 1", 400},
		{"User-Agent: Any (thing) [goes: here]", 0},
	} {
		// All but Via leave enough for an answer.
		name, _, _ := strings.Cut(c.line, ":")
		answerable := true
		var m Message
		if _ = m.Parse(with(c.line), DefaultLimits); name == "Via" {
			answerable = m.TopVia.Host != ""
		}
		wantParse(t, with(c.line), c.status, answerable)
	}
}

func TestParseRepeated(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"From: <sip:x@example.com>;tag=2", "f: <sip:x@example.com>", "To: <sip:x@example.com>", "T: <sip:x@a.b>",
		"Call-ID: 2", "i: 2", "CSeq: 1 OPTIONS", "Content-Length: 0", "l: 0", "Max-Forwards: 1",
	} {
		wantParse(t, strings.TrimSuffix(with(), "\r\n")+line+"\r\n\r\n", 400, true)
	}
	for _, line := range []string{
		"Content-Type: a/b", "Expires: 1", "Event: a", "SIP-If-Match: a", "SIP-ETag: a",
		"Subscription-State: active", "Min-Expires: 1", "Date: Sat, 13 Nov 2010 23:29:00 GMT",
	} {
		wantParse(t, strings.TrimSuffix(with(), "\r\n")+line+"\r\n"+line+"\r\n\r\n", 400, true)
	}
	for _, line := range []string{
		"Via: SIP/2.0/TCP a.b", "Contact: <sip:a@b.c>", "Content-Encoding: gzip", "Accept: a/b", "Supported: x",
		"Authorization: Digest a=b", "Route: <sip:a.b>",
	} {
		wantParse(t, strings.TrimSuffix(with(), "\r\n")+line+"\r\n"+line+"\r\n\r\n", 0, true)
	}
}

func TestParseMissing(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Via", "From", "To", "Call-ID", "CSeq"} {
		wantParse(t, without(name), 400, name != "Via")
	}
	wantParse(t, without("Max-Forwards"), 0, true)
	wantParse(t, without("Content-Length"), 0, true)
	for _, raw := range []string{"", "\r\n\r\n", "\x00", "hello", "hello\r\n\r\n", "OPTIONS sip:a SIP/2.0\r\n"} {
		wantParse(t, raw, 400, false)
	}
	// The header section must end in an empty line.
	wantParse(t, strings.TrimSuffix(with(), "\r\n"), 400, true)
	// An ACK is never answered (RFC 3261, 17.1.1.3).
	wantParse(t, strings.ReplaceAll(with("Expires: x"), "OPTIONS", "ACK"), 400, false)
}

func TestParseBody(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		raw, body string
		status    int
	}{
		{with("Content-Length: 3") + "abc", "abc", 0},
		{with("Content-Length: 3") + "abcdef", "abc", 0},
		{with("Content-Length: 003") + "abc", "abc", 0},
		{with("Content-Length:\r\n 3") + "abc", "abc", 0},
		{without("Content-Length") + "a\x00\r\n\r\nb", "a\x00\r\n\r\nb", 0},
		{"\r\n\r\n" + with("Content-Length: 1") + "a", "a", 0},
		{with("Content-Length: 4") + "abc", "", 400},
		{with("Content-Length: -1") + "abc", "", 400},
		{with("Content-Length: +1") + "abc", "", 400},
		{with("Content-Length: 1, 1") + "abc", "", 400},
		{with("Content-Length: 0x1") + "abc", "", 400},
		{with("Content-Length: 18446744073709551619") + "abc", "", 400},
		{with("Content-Length: 4294967299") + "abc", "", 400},
	} {
		var m Message
		err := m.Parse(c.raw, DefaultLimits)
		if (err != nil) != (c.status != 0) || err == nil && m.Body != c.body {
			t.Errorf("%q: body %q, %v", c.raw, m.Body, err)
		}
		if !m.Answerable() {
			t.Errorf("%q: not answerable", c.raw)
		}
	}
}

func TestParseLimits(t *testing.T) {
	t.Parallel()
	lim := Limits{MaxMessage: 2000, MaxHeaders: 10, MaxHeader: 1000}
	for _, c := range []struct {
		raw    string
		status int
	}{
		{with(), 0},
		{with("X: " + strings.Repeat("a", 900)), 513},
		{with("A: 1", "B: 1", "D: 1"), 0},
		{with("A: 1", "B: 1", "D: 1", "G: 1"), 513},
		{without("Content-Length") + strings.Repeat("a", 2000), 413},
	} {
		var m Message
		err := m.Parse(c.raw, lim)
		fault, _ := errors.AsType[*StatusError](err)
		if c.status == 0 && err != nil || c.status != 0 && (fault == nil || fault.Status != c.status) {
			t.Errorf("%q: %v, want %d", c.raw, err, c.status)
		}
	}
	// Many parameters must not cost their number squared.
	var many strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&many, ";a%d", i)
	}
	for _, raw := range []string{
		with("From: <sip:a@b.c>" + many.String()), with("To: <sip:a@b.c" + many.String() + ">"),
		with("Via: SIP/2.0/UDP a.b" + many.String()),
	} {
		var m Message
		if err := m.Parse(raw, Limits{MaxMessage: 1 << 20, MaxHeaders: 100, MaxHeader: 1 << 20}); err == nil {
			t.Error("20000 parameters accepted")
		}
	}
}

func TestParseReuse(t *testing.T) {
	t.Parallel()
	var m Message
	if err := m.Parse(samplePublish, DefaultLimits); err != nil {
		t.Fatal(err)
	}
	kept := m.CallID
	if err := m.Parse(sampleResponse, DefaultLimits); err != nil {
		t.Fatal(err)
	}
	if m.Method != "" || m.RequestURI != "" || m.Body != "" || m.IsRequest() || kept != "1f9c3b0c77a14e5f" {
		t.Errorf("left over from the last message: %+v", m)
	}
	if _, ok := m.Get(HeaderEvent); ok {
		t.Error("a header field is left over")
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	var m Message
	raw := with("Contact: \"a, b\" <sip:a,b@c.d;x>;q=1 , sip:e@f.g;p=\"x,y\"", "Supported:", "m: <sip:z@f.g>",
		"Date: Sat, 13 Nov 2010 23:29:00 GMT", "Accept: a/b,c/d", "s: hello, you", "o: presence")
	if err := m.Parse(raw, DefaultLimits); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		id   HeaderID
		want []string
	}{
		{HeaderContact, []string{"\"a, b\" <sip:a,b@c.d;x>;q=1", "sip:e@f.g;p=\"x,y\"", "<sip:z@f.g>"}},
		{HeaderSupported, nil},
		{HeaderDate, []string{"Sat, 13 Nov 2010 23:29:00 GMT"}},
		{HeaderAccept, []string{"a/b", "c/d"}},
		{HeaderRoute, nil},
	} {
		if got := slices.Collect(m.Values(c.id)); !slices.Equal(got, c.want) {
			t.Errorf("%v: %q, want %q", c.id, got, c.want)
		}
	}
	for v := range m.Values(HeaderContact) {
		if v == "" {
			t.Error("empty value")
		}
		break
	}
	for name, want := range map[string]string{"subject": "hello, you", "S": "hello, you", "EVENT": "presence", "o": "presence"} {
		if v, ok := m.Named(name); !ok || v != want {
			t.Errorf("Named(%q) = %q, %v", name, v, ok)
		}
	}
	if _, ok := m.Named("X-None"); ok {
		t.Error("X-None found")
	}
}

func TestHeaderNames(t *testing.T) {
	t.Parallel()
	for id := HeaderOther + 1; id < headerCount; id++ {
		name := id.String()
		if name == "" {
			t.Fatalf("%d has no name", id)
		}
		for _, n := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			if got := lookupHeader(n); got != id {
				t.Errorf("%q is %d, want %d", n, got, id)
			}
		}
		if lookupHeader(name+"x") != HeaderOther {
			t.Errorf("%qx is known", name)
		}
	}
	if HeaderOther.String() != "" || HeaderID(200).String() != "" {
		t.Error("unknown ids have a name")
	}
}

func TestSplitParams(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]string{
		{"presence;id=4;x", "presence", ";id=4;x"},
		{" presence ", "presence", ""},
		{"\"a;b\" <sip:a;b>;c", "\"a;b\" <sip:a;b>", ";c"},
		{"", "", ""},
	} {
		if v, p := SplitParams(c[0]); v != c[1] || p != c[2] {
			t.Errorf("%q: %q %q", c[0], v, p)
		}
	}
	params := `; Id = 4 ;x;q="a\";b";h=[::1]`
	for name, want := range map[string]string{"id": "4", "X": "", "q": `a";b`, "h": "[::1]"} {
		if v, ok := HeaderParam(params, name); !ok || v != want {
			t.Errorf("%s: %q %v", name, v, ok)
		}
	}
	for _, params := range []string{"", "y", ";z=", ";=y", ";q=\"", ";x=1;"} {
		if _, ok := HeaderParam(params, "y"); ok {
			t.Errorf("y found in %q", params)
		}
	}
	for s, want := range map[string]uint32{"0": 0, "0070": 70, "4294967295": 1<<32 - 1, "4294967296": 1<<32 - 1, "99999999999999999999": 1<<32 - 1} {
		if n, err := ParseUint32(s); err != nil || n != want {
			t.Errorf("%s: %d %v", s, n, err)
		}
	}
	for _, s := range []string{"", "-1", "+1", "1 ", "0x1", "1.0", "\u0661"} {
		if _, err := ParseUint32(s); err == nil {
			t.Errorf("%q accepted", s)
		}
	}
}
