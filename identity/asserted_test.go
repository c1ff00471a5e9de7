package identity

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/sip"
)

func TestAsserted(t *testing.T) {
	t.Parallel()
	a := newAuthenticator(t, nil)
	const pai = "P-Asserted-Identity: "
	for name, c := range map[string]struct {
		headers string
		want    presence.AOR // "": challenged, unless status is set
		status  int
	}{
		"ours":                   {pai + "<sip:bob@example.com>\r\n", bobAOR, 0},
		"bare":                   {pai + "sip:bob@example.com\r\n", bobAOR, 0},
		"other spelling":         {pai + `"Bob" <sips:b%6fb@EXAMPLE.com:5061;transport=tcp>` + "\r\n", bobAOR, 0},
		"other domain":           {pai + "<sip:zoe@elsewhere.org>\r\n", "sip:zoe@elsewhere.org", 0},
		"with a telephone":       {pai + "<tel:+358555>, <sip:zoe@elsewhere.org>\r\n", "sip:zoe@elsewhere.org", 0},
		"in two lines":           {pai + "<tel:+358555>\r\n" + pai + "<sip:zoe@elsewhere.org>\r\n", "sip:zoe@elsewhere.org", 0},
		"two: the first counts":  {pai + "<sip:bob@example.com>, <sips:zoe@elsewhere.org>\r\n", bobAOR, 0},
		"other scheme ignored":   {pai + "<mailto:bob@example.com>, <sip:bob@example.com>\r\n", bobAOR, 0},
		"comma in display name":  {pai + `"Smith, Bob" <sip:bob@example.com>` + "\r\n", bobAOR, 0},
		"none":                   {"", "", 0},
		"telephone alone":        {pai + "<tel:+358-555>, <tel:+1>\r\n", "tel:+358555", 0},
		"telephone too long":     {pai + "<tel:+358" + strings.Repeat("5", maxTel) + ">\r\n", "", 0},
		"pres is not asserted":   {pai + "<pres:bob@example.com>\r\n", "", 0},
		"preferred means little": {"P-Preferred-Identity: <sip:bob@example.com>\r\n", "", 0},
		"malformed":              {pai + "<sip:bob@example.com\r\n", "", 400},
		"without user":           {pai + "<sip:example.com>\r\n", "", 400},
		"too many":               {pai + strings.Repeat("<tel:+358555>, ", maxAsserted) + "<sip:bob@example.com>\r\n", "", 400},
		"anonymous":              {pai + "<sip:anonymous@anonymous.invalid>\r\n", "", 403},
		"anonymous of a domain":  {pai + "<sip:%61nonymous@example.com>\r\n", "", 403},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := request(t, "PUBLISH", "sip:bob@example.com", "<sip:x@y.org>", c.headers, "")
			v := a.Identify(req, proxy, begin)
			switch {
			case c.status != 0:
				wantStatus(t, v, c.status)
			case c.want == "":
				wantChallenge(t, v, false)
			default:
				wantPrincipal(t, v, c.want, presence.MechanismAsserted)
			}
			// From anyone else nothing of it counts.
			wantChallenge(t, a.Identify(req, phone, begin), false)
		})
	}
}

func TestAssertedBesideCredentials(t *testing.T) {
	t.Parallel()
	a := newAuthenticator(t, nil)
	ch := challenged(t, a, sip.AlgorithmSHA256, proxy, begin)
	send := func(more string, from netip.AddrPort, nc uint32) Verdict {
		return a.Identify(request(t, "SUBSCRIBE", alice.uri, "<sip:alice@example.com>", more+"Authorization: "+alice.answer(ch, nc)+"\r\n", ""), from, begin)
	}
	const pai = "P-Asserted-Identity: <sip:bob@example.com>\r\n"
	wantPrincipal(t, send(pai, proxy, 1), bobAOR, presence.MechanismAsserted)
	wantPrincipal(t, send(pai+"Authorization: nonsense\r\n", proxy, 1), bobAOR, presence.MechanismAsserted)
	// A trusted address without asserted identity is like anyone.
	wantPrincipal(t, send("", proxy, 1), aliceAOR, presence.MechanismDigest)

	ch = challenged(t, a, sip.AlgorithmSHA256, phone, begin)
	wantPrincipal(t, send(pai, phone, 1), aliceAOR, presence.MechanismDigest)
	if s := a.Stats(); s.Asserted.Load() != 2 || s.Accepted.Load() != 2 {
		t.Errorf("%d asserted, %d accepted", s.Asserted.Load(), s.Accepted.Load())
	}
}

func TestTrustedAddresses(t *testing.T) {
	t.Parallel()
	a := newAuthenticator(t, func(cfg *Config) {
		cfg.Trusted = []netip.Prefix{
			netip.MustParsePrefix("198.51.100.77/24"), // host bits do not matter
			netip.MustParsePrefix("::ffff:203.0.113.0/120"),
			netip.MustParsePrefix("2001:db8:1::/48"),
			netip.MustParsePrefix("fe80::/64"),
		}
	})
	req := request(t, "SUBSCRIBE", "sip:bob@example.com", "<sip:x@y.org>", "P-Asserted-Identity: <sip:bob@example.com>\r\n", "")
	for addr, want := range map[string]bool{
		"198.51.100.1":        true,
		"::ffff:198.51.100.1": true,
		"203.0.113.9":         true,
		"::ffff:203.0.113.9":  true,
		"2001:db8:1::9":       true,
		"fe80::1%eth0":        true,
		"198.51.101.1":        false,
		"192.0.2.1":           false,
		"2001:db8:2::9":       false,
		"::1":                 false,
	} {
		v := a.Identify(req, netip.AddrPortFrom(netip.MustParseAddr(addr), 5060), begin)
		if v.Principal.Known() != want {
			t.Errorf("%s: %+v", addr, v)
		}
	}
	none := newAuthenticator(t, func(cfg *Config) { cfg.Trusted = nil })
	for _, addr := range []string{"127.0.0.1", "::1", "198.51.100.1"} {
		wantChallenge(t, none.Identify(req, netip.AddrPortFrom(netip.MustParseAddr(addr), 5060), begin), false)
	}
}

func TestRestorePrincipal(t *testing.T) {
	t.Parallel()
	a := newAuthenticator(t, nil)
	req := request(t, "SUBSCRIBE", "sip:bob@example.com", "<sip:x@y.org>", "P-Asserted-Identity: <sip:bob@example.com>\r\n", "")
	p := a.Identify(req, proxy, begin).Principal
	if got := RestorePrincipal(p.AOR(), p.Mechanism()); got != p {
		t.Errorf("%v, want %v", got, p)
	}
}
