package identity

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/store"
)

const (
	aliceAOR = presence.AOR("sip:alice@example.com")
	bobAOR   = presence.AOR("sip:bob@example.com")
)

var (
	begin  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	phone  = netip.MustParseAddrPort("192.0.2.10:5060")
	second = netip.MustParseAddrPort("192.0.2.10:40000") // the same phone's other port
	other  = netip.MustParseAddrPort("192.0.2.11:5060")
	proxy  = netip.MustParseAddrPort("198.51.100.1:5060")
)

func newDirectory(t testing.TB, algorithms ...sip.Algorithm) *Directory {
	t.Helper()
	st := store.NewMemory()
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	d, err := OpenDirectory(st, []string{"example.com", "example.net"}, algorithms...)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.AddAll([]NewUser{
		{Name: "alice", Password: "open sesame", AORs: []presence.AOR{aliceAOR, "sip:a.smith@example.com", "sip:alice@example.net"}},
		{Name: "bob", Password: "bobs"},
	}); err != nil {
		t.Fatal(err)
	}
	return d
}

func newAuthenticator(t testing.TB, change func(*Config)) *Authenticator {
	t.Helper()
	cfg := Config{Trusted: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}
	if change != nil {
		change(&cfg)
	}
	if cfg.Directory == nil {
		cfg.Directory = newDirectory(t)
	}
	a, err := NewAuthenticator(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// request makes a request as a client would, with more header fields, each
// ending in CRLF.
func request(t testing.TB, method, uri, from, more, body string) *sip.Message {
	t.Helper()
	text := fmt.Sprintf("%s %s SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK1;rport\r\nMax-Forwards: 70\r\n"+
		"From: %s;tag=f1\r\nTo: <sip:bob@example.com>\r\nCall-ID: c1\r\nCSeq: 1 %s\r\n%sContent-Length: %d\r\n\r\n%s",
		method, uri, from, method, more, len(body), body)
	m := new(sip.Message)
	if err := m.Parse(text, sip.DefaultLimits); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	return m
}

// subscribe is alice's request to see bob, with an Authorization if given.
func subscribe(t testing.TB, authorization string) *sip.Message {
	t.Helper()
	if authorization != "" {
		authorization = "Authorization: " + authorization + "\r\n"
	}
	return request(t, "SUBSCRIBE", "sip:bob@example.com", "<"+string(aliceAOR)+">", authorization, "")
}

// client answers challenges by its own digest code, written from RFC 7616, 3.4.
type client struct {
	user, password string
	method, uri    string
	qop            string // "" for RFC 2069
	cnonce, body   string
	quoteNC        bool
}

var alice = client{user: "alice", password: "open sesame", method: "SUBSCRIBE", uri: "sip:bob@example.com", qop: "auth", cnonce: "0a4f113b"}

func (c client) with(change func(*client)) client {
	change(&c)
	return c
}

func hashOf(a sip.Algorithm, parts ...string) string {
	s := []byte(strings.Join(parts, ":"))
	switch a {
	case sip.AlgorithmSHA256:
		return fmt.Sprintf("%x", sha256.Sum256(s))
	case sip.AlgorithmSHA512256:
		return fmt.Sprintf("%x", sha512.Sum512_256(s))
	}
	return fmt.Sprintf("%x", md5.Sum(s))
}

func (c client) answer(ch sip.Challenge, nc uint32) string {
	ha1 := hashOf(ch.Algorithm, c.user, ch.Realm, c.password)
	a2 := []string{c.method, c.uri}
	if c.qop == "auth-int" {
		a2 = append(a2, hashOf(ch.Algorithm, c.body))
	}
	ha2 := hashOf(ch.Algorithm, a2...)
	count := fmt.Sprintf("%08x", nc)
	head := fmt.Sprintf(`Digest username="%s", realm="%s", nonce="%s", uri="%s", algorithm=%s`, c.user, ch.Realm, ch.Nonce, c.uri, ch.Algorithm)
	if c.qop == "" {
		if c.quoteNC {
			head += `, nc="` + count + `"`
		}
		return head + fmt.Sprintf(`, response="%s"`, hashOf(ch.Algorithm, ha1, ch.Nonce, ha2))
	}
	response := hashOf(ch.Algorithm, ha1, ch.Nonce, count, c.cnonce, c.qop, ha2)
	return head + fmt.Sprintf(`, response="%s", qop=%s, cnonce="%s", nc=%s`, response, c.qop, c.cnonce, count)
}

// challenges reads a verdict that must be a challenge.
func challenges(t testing.TB, v Verdict) []sip.Challenge {
	t.Helper()
	if v.Principal.Known() || v.Status != 0 || len(v.Challenges) == 0 {
		t.Fatalf("verdict %+v is not a challenge", v)
	}
	var all []sip.Challenge
	for _, h := range v.Challenges {
		c, err := sip.ParseChallenge(h.Value)
		if err != nil || h.ID != sip.HeaderWWWAuthenticate {
			t.Fatalf("challenge %+v: %v", h, err)
		}
		all = append(all, c)
	}
	return all
}

// challenged gives the challenge of the algorithm to a request without credentials.
func challenged(t testing.TB, a *Authenticator, alg sip.Algorithm, from netip.AddrPort, now time.Time) sip.Challenge {
	t.Helper()
	for _, c := range challenges(t, a.Identify(subscribe(t, ""), from, now)) {
		if c.Algorithm == alg {
			return c
		}
	}
	t.Fatalf("no challenge for %s", alg)
	return sip.Challenge{}
}

func wantPrincipal(t testing.TB, v Verdict, aor presence.AOR, m presence.Mechanism) {
	t.Helper()
	if !v.Principal.Known() || v.Principal.AOR() != aor || v.Principal.Mechanism() != m || v.Status != 0 || v.Challenges != nil {
		t.Errorf("verdict %+v, want %s by %s", v, aor, m)
	}
}

func wantStatus(t testing.TB, v Verdict, status int) {
	t.Helper()
	if v.Status != status || v.Reason == "" || v.Principal.Known() || v.Challenges != nil {
		t.Errorf("verdict %+v, want status %d", v, status)
	}
}

func wantChallenge(t testing.TB, v Verdict, stale bool) {
	t.Helper()
	if v.Principal.Known() || v.Status != 0 || len(v.Challenges) == 0 {
		t.Errorf("verdict %+v, want a challenge", v)
		return
	}
	for _, c := range challenges(t, v) {
		if c.Stale != stale {
			t.Errorf("challenge %+v, want stale %v", c, stale)
		}
	}
}
