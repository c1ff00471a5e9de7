package identity

import (
	"testing"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/sip"
)

// TestAnonymous: the digest user "anonymous" with an empty password is
// unauthenticated, but there (RFC 3261, 22.1; RFC 5025, 3.1.1.2).
func TestAnonymous(t *testing.T) {
	t.Parallel()
	nobody := alice.with(func(c *client) { c.user, c.password = "anonymous", "" })
	for _, alg := range DefaultAlgorithms() {
		a := newAuthenticator(t, nil)
		ch := challenged(t, a, alg, phone, begin)
		nc := uint32(0)
		for from, status := range map[string]int{
			`"Anonymous" <sip:anonymous@anonymous.invalid>`: 0,
			"<sip:anonymous@example.com>":                   0,
			"<sip:eve@elsewhere.example>":                   0,
			"<sip:alice@example.com>":                       403,
			"<sip:eve@example.com>":                         403,
		} {
			nc++
			v := a.Identify(request(t, "SUBSCRIBE", alice.uri, from, "Authorization: "+nobody.answer(ch, nc)+"\r\n", ""), phone, begin)
			if status != 0 {
				wantStatus(t, v, status)
				continue
			}
			p := v.Principal
			if p.Known() || !p.Present() || p.AOR() != presence.Anonymous || p.Mechanism() != presence.MechanismAnonymous || p.Private() {
				t.Errorf("%s %s: %+v", alg, from, v)
			}
		}
		if n := a.Stats().Anonymous.Load(); n != 3 {
			t.Errorf("%d anonymous", n)
		}
	}
}

// TestPrivacy: who asks for it is known to rules, and to nobody else.
func TestPrivacy(t *testing.T) {
	t.Parallel()
	a := newAuthenticator(t, nil)
	ch := challenged(t, a, sip.AlgorithmSHA256, phone, begin)
	const anonymous = `"Anonymous" <sip:anonymous@anonymous.invalid>`
	for i, c := range []struct {
		from, privacy string
		private       bool
		status        int
	}{
		{"<sip:alice@example.com>", "", false, 0},
		{"<sip:alice@example.com>", "none", false, 0},
		{"<sip:alice@example.com>", "session;critical", false, 0},
		{"<sip:alice@example.com>", "id", true, 0},
		{"<sip:alice@example.com>", "critical ; ID", true, 0},
		{anonymous, "id", true, 0},
		{anonymous, "user", true, 0},
		{anonymous, "", true, 0},
		{anonymous, "none", true, 0},
		{"<sip:anonymous@example.com>", "", true, 0},
		{"<sip:bob@example.com>", "id", false, 403},
	} {
		more := "Authorization: " + alice.answer(ch, uint32(i+1)) + "\r\n"
		if c.privacy != "" {
			more += "Privacy: " + c.privacy + "\r\n"
		}
		v := a.Identify(request(t, "SUBSCRIBE", alice.uri, c.from, more, ""), phone, begin)
		if c.status != 0 {
			wantStatus(t, v, c.status)
			continue
		}
		wantPrincipal(t, v, aliceAOR, presence.MechanismDigest)
		p := v.Principal
		if p.Private() != c.private || (p.Shown() == presence.Anonymous) != c.private {
			t.Errorf("%s, Privacy %q: %+v", c.from, c.privacy, v)
		}
	}
}

// TestSecondAssertedIdentity: a tel URI may stand beside the sip URI (RFC 3325,
// 9.1).
func TestSecondAssertedIdentity(t *testing.T) {
	t.Parallel()
	a := newAuthenticator(t, nil)
	for more, want := range map[string]presence.AOR{
		"P-Asserted-Identity: <sip:bob@example.com>\r\n":                                                     "",
		"P-Asserted-Identity: <sip:bob@example.com>, <tel:+1-(555).123;ext=4-5>\r\nPrivacy: id\r\n":          "tel:+1555123;ext=45",
		"P-Asserted-Identity: <tel:+1555123>\r\nP-Asserted-Identity: <sip:bob@example.com>, <tel:+1999>\r\n": "tel:+1555123",
	} {
		v := a.Identify(request(t, "SUBSCRIBE", alice.uri, "<sip:x@y.org>", more, ""), proxy, begin)
		wantPrincipal(t, v, bobAOR, presence.MechanismAsserted)
		if v.Principal.Also() != want {
			t.Errorf("%s: %+v", more, v)
		}
	}
}
