package sip

import (
	"strings"
	"testing"
)

func mustURI(t *testing.T, s string) URI {
	t.Helper()
	u, err := ParseURI(s)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return u
}

func TestParseURI(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]URI{
		"sip:alice@Example.COM":                    {Scheme: "sip", User: "alice", Host: "example.com"},
		"SIPS:a%20b:pw@[2001:DB8::1]:5061;x=y?s=1": {Scheme: "sips", User: "a%20b", Password: "pw", Host: "[2001:db8::1]", Port: 5061, Params: ";x=y", Headers: "s=1"},
		"sip:example.com;lr":                       {Scheme: "sip", Host: "example.com", Params: ";lr"},
		"sip:[2001:db8:::192.0.2.1]":               {Scheme: "sip", Host: "[2001:db8::192.0.2.1]"},
		"pres:alice@example.com":                   {Scheme: "pres", User: "alice", Host: "example.com"},
		"tel:+1-201-555;ext=9":                     {Scheme: "tel", User: "+1-201-555", Params: ";ext=9"},
		"tel:*31#;phone-context=example.com":       {Scheme: "tel", User: "*31#", Params: ";phone-context=example.com"},
		"urn:service:sos":                          {Scheme: "urn", User: "service:sos"},
	} {
		u := mustURI(t, s)
		if u != want {
			t.Errorf("%q: %+v, want %+v", s, u, want)
		}
		if again := mustURI(t, u.String()); again != u {
			t.Errorf("%q: String gives %q", s, u.String())
		}
	}
	for _, s := range []string{
		"", "sip", ":", "1sip:a", "sip:", "sip:a b@c.d", "sip:a@b.c ", "sip:a@b..c", "sip:.b", "sip:a@b.c;", "sip:a@b.c;=x",
		"sip:a@b.c;x=", "sip:a@b.c;x=y=z", "sip:a@b.c:", "sip:a@b.c:x", "sip:a@b.c:123456", "sip:a@[::1", "sip:a@[]",
		"sip:a@[::1]x", "sip:a%@b.c", "sip:a%4g@b.c", "sip:a\x00@b.c", "sip:é@b.c", "sip:a@b.c;x;X", "sip:a@b.c;%78;x",
		"sip:a@b.c?", "sip:a@b.c?x", "sip:a@b.c?x=y&", "sip:a@b.c?x=y&&z=1", "sip:a@b.c?=y", "sip:a@01.2.3.4",
		"sip:a@b-.c", "sip:a@" + strings.Repeat("a.", 130) + "b", "tel:1x", "tel:+", "tel:+1;", "http:", "http://a b", "http://a%zz",
		"pres:", "pres:@b.c",
	} {
		if u, err := ParseURI(s); err == nil {
			t.Errorf("%q accepted: %+v", s, u)
		}
	}
}

// The sets of RFC 3261, 19.1.4, and of RFC 5954, 4.2.
func TestURIEqual(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{
		{"sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"},
		{"sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"},
		{"sip:carol@chicago.com", "sip:carol@chicago.com;security=on"},
		{"sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"},
		{"sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com", "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com"},
		{"sip:alice@atlanta.com?subject=project%20x&priority=urgent", "sip:alice@atlanta.com?priority=urgent&subject=project%20x"},
		{"sip:carol@chicago.com", "sip:carol@chicago.com;security=off"},
		{"sip:a@[2001:db8::9:1]", "sip:a@[2001:DB8:0:0::9:01]"},
		{"sip:a@b.c;%6cr;n=%31", "sip:a@b.c;lr;n=1"},
		{"sip:a%3Bb@c.d", "sip:a%3bb@c.d"},
		{"tel:+1-201-555-0123", "tel:+12015550123"},
		{"tel:12;phone-context=Example.com;ext=1", "tel:12;ext=1;phone-context=example.com"},
		{"tel:863-1234;phone-context=+1-914-555", "TEL:8631234;Phone-Context=+1914(555)"},
		{"tel:7042;phone-context=example.com.", "tel:7042;phone-context=example.com"},
		{"tel:+1-201-555-0123;ext=1-2.3;isub=%61%2Fb", "tel:+12015550123;isub=A%2fb;ext=123"},
		{"tel:*A#;phone-context=x", "tel:*a#;phone-context=X"},
		{"urn:service:sos", "URN:service:sos"},
	} {
		u, v := mustURI(t, c[0]), mustURI(t, c[1])
		if !u.Equal(v) || !v.Equal(u) || !u.Equal(u) {
			t.Errorf("%s and %s must be equal", u, v)
		}
	}
	for _, c := range [][2]string{
		{"SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"},
		{"sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"},
		{"sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"},
		{"sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"},
		{"sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"},
		{"sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"},
		{"sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"},
		{"sip:a@b.c", "sips:a@b.c"},
		{"sip:a@b.c", "sip:b.c"},
		{"sip:a:p@b.c", "sip:a@b.c"},
		{"sip:a:p@b.c", "sip:a:P@b.c"},
		{"sip:a@b.c;user=phone", "sip:a@b.c"},
		{"sip:a@b.c;maddr=1.2.3.4", "sip:a@b.c"},
		{"sip:a@b.c;ttl=1", "sip:a@b.c"},
		{"sip:a@b.c;method=INVITE", "sip:a@b.c"},
		{"sip:a%3Bb@c.d", "sip:a;b@c.d"},
		{"sip:a@b.c;x", "sip:a@b.c;x=1"},
		{"sip:a@b.c?x=1&x=1", "sip:a@b.c?x=1&x=2"},
		{"sip:a@[::1]", "sip:a@[::2]"},
		{"tel:+12", "tel:12"},
		{"tel:12;ext=1", "tel:12"},
		{"tel:12;ext=1", "tel:12;ext=2"},
		{"tel:12;phone-context=a-b.c", "tel:12;phone-context=ab.c"},
		{"tel:12;phone-context=+1", "tel:12;phone-context=1.x"},
		{"tel:12;x", "tel:12;x=1"},
		{"tel:12;x=a;y=b", "tel:12;x=b;y=a"},
		{"urn:a", "urn:b"},
	} {
		u, v := mustURI(t, c[0]), mustURI(t, c[1])
		if u.Equal(v) || v.Equal(u) {
			t.Errorf("%s and %s must differ", u, v)
		}
	}
}

// TestTel: as an identity, a tel URI has one spelling.
func TestTel(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"TEL:+1-(201).555-0123":                       "tel:+12015550123",
		"tel:7042;Phone-Context=+1-914;ext=2.3;%61=B": "tel:7042;a=b;ext=23;phone-context=+1914",
	} {
		got, err := mustURI(t, s).Tel()
		if err != nil || string(got) != want {
			t.Errorf("%s: %s %v", s, got, err)
		}
		again, err := mustURI(t, string(got)).Tel()
		if err != nil || again != got {
			t.Errorf("%s again: %s %v", got, again, err)
		}
	}
	if got, err := mustURI(t, "sip:a@b.c").Tel(); err == nil {
		t.Errorf("a sip URI: %s", got)
	}
}

func TestAOR(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"sip:Alice@EXAMPLE.com:5070;user=phone?a=b": "sip:Alice@example.com",
		"sips:%61lice:secret@example.com":           "sip:alice@example.com",
		"pres:alice@example.com":                    "sip:alice@example.com",
		"sip:a%40b@example.com":                     "sip:a%40b@example.com",
		"sip:a%3ab@example.com":                     "sip:a%3Ab@example.com",
		"sip:a%3bb@example.com":                     "sip:a;b@example.com",
		"sip:%e4@example.com":                       "sip:%E4@example.com",
		"sip:%2500@example.com":                     "sip:%2500@example.com",
		"sip:a@[2001:DB8:0::1]":                     "sip:a@[2001:db8::1]",
		"sip:a@192.0.2.1":                           "sip:a@192.0.2.1",
	} {
		a, err := mustURI(t, s).AOR()
		if err != nil || string(a) != want {
			t.Errorf("%s: %q %v, want %q", s, a, err, want)
		}
		if again, err := mustURI(t, string(a)).AOR(); err != nil || again != a {
			t.Errorf("%q is not canonical: %q %v", a, again, err)
		}
	}
	for _, s := range []string{"sip:example.com", "tel:+12015550123", "http://example.com", "pres:example.com"} {
		if a, err := mustURI(t, s).AOR(); err == nil {
			t.Errorf("%s has the address-of-record %q", s, a)
		}
	}
}

func TestURIParam(t *testing.T) {
	t.Parallel()
	u := mustURI(t, "sip:a@b.c;lr;Transport=TCP;n%61me=v%61l;x=%zz;y=1"[:len("sip:a@b.c;lr;Transport=TCP;n%61me=v%61l")])
	for name, want := range map[string]string{"LR": "", "transport": "TCP", "name": "val"} {
		if v, ok := u.Param(name); !ok || v != want {
			t.Errorf("%s: %q %v", name, v, ok)
		}
	}
	if _, ok := u.Param("l"); ok {
		t.Error("l found")
	}
}

func TestParseNameAddr(t *testing.T) {
	t.Parallel()
	n, err := ParseNameAddr(`"A \"B\"" <sip:a@B.c;lr>;tag=x;q="1"`)
	if err != nil || n.Display != `A "B"` || n.RawURI != "sip:a@B.c;lr" || n.Tag() != "x" || n.URI.Host != "b.c" {
		t.Errorf("%+v %v", n, err)
	}
	if q, ok := n.Param("Q"); !ok || q != "1" {
		t.Errorf("q is %q", q)
	}
	if n, err = ParseNameAddr("  sip:a@b.c ; tag = y "); err != nil || n.Tag() != "y" || n.URI.Params != "" {
		t.Errorf("%+v %v", n, err)
	}
	for _, s := range []string{"", " ", "<>", "<sip:a@b.c>,<sip:d@e.f>", "\"x\" sip:a@b.c", "x sip:a@b.c", "<sip:a@b.c>>", ";tag=1"} {
		if n, err := ParseNameAddr(s); err == nil {
			t.Errorf("%q accepted: %+v", s, n)
		}
	}
}

func TestParseVia(t *testing.T) {
	t.Parallel()
	v, err := ParseVia("SIP/2.0/udp H.example.com:5070 ;rport=7;branch=z9hG4bKx;received=2001:db8::1;maddr=[::1]")
	want := Via{Transport: "UDP", Host: "h.example.com", Port: 5070, Branch: "z9hG4bKx", Received: "2001:db8::1", RPort: 7, HasRPort: true,
		Params: ";rport=7;branch=z9hG4bKx;received=2001:db8::1;maddr=[::1]"}
	if err != nil || v != want {
		t.Errorf("%+v %v", v, err)
	}
	if v, err = ParseVia("SIP/2.0/sctp [2001:DB8::1]"); err != nil || v.Transport != "SCTP" || v.Host != "[2001:db8::1]" {
		t.Errorf("%+v %v", v, err)
	}
	if _, err = ParseVia("SIP/2.0/UDP a.b, SIP/2.0/UDP c.d"); err == nil {
		t.Error("a list accepted")
	}
}

func TestTransport(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]Transport{"udp": TransportUDP, "TCP": TransportTCP, "Tls": TransportTLS, "ws": TransportWS, "WSS": TransportWSS} {
		if got, ok := ParseTransport(s); !ok || got != want {
			t.Errorf("%s: %v %v", s, got, ok)
		}
	}
	for _, s := range []string{"", "NONE", "sctp", "tcp "} {
		if _, ok := ParseTransport(s); ok {
			t.Errorf("%q known", s)
		}
	}
}
