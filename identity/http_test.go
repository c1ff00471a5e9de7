package identity

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/sip"
)

const xcapTarget = "/xcap-root/pres-rules/users/sip:alice@example.com/index/~~/ruleset/rule%5b@id=%22a%22%5d?xmlns(a=urn:x)"

func httpChallenge(t *testing.T, v HTTPVerdict, alg sip.Algorithm) sip.Challenge {
	t.Helper()
	if v.Principal.Known() || v.Err != nil {
		t.Fatalf("verdict %+v is not a challenge", v)
	}
	for _, text := range v.Challenges {
		c, err := sip.ParseChallenge(text)
		if err != nil {
			t.Fatal(err)
		}
		if c.Algorithm == alg {
			return c
		}
	}
	t.Fatalf("no challenge for %s in %q", alg, v.Challenges)
	return sip.Challenge{}
}

func TestHTTPDigest(t *testing.T) {
	t.Parallel()
	a := newAuthenticator(t, nil)
	put := client{user: "alice", password: "open sesame", method: "PUT", uri: xcapTarget, qop: "auth", cnonce: "c", body: "<a/>"}
	body := func() (string, error) { return "<a/>", nil }
	req := HTTPRequest{Method: "PUT", Target: xcapTarget, Realm: "EXAMPLE.net", Body: body}
	for _, alg := range DefaultAlgorithms() {
		for _, c := range []struct {
			name   string
			client client
			ok     bool
		}{
			{"auth", put, true},
			{"auth-int", put.with(func(c *client) { c.qop = "auth-int" }), true},
			{"absolute form", put.with(func(c *client) { c.uri = "https://xcap.example.net:8443" + xcapTarget }), true},
			{"other body", put.with(func(c *client) { c.qop, c.body = "auth-int", "<b/>" }), false},
			{"other method", put.with(func(c *client) { c.method = "GET" }), false},
			{"other resource", put.with(func(c *client) { c.uri = "/xcap-root/pres-rules/users/sip:alice@example.com/index" }), false},
			{"wrong password", put.with(func(c *client) { c.password = "x" }), false},
			{"nobody", put.with(func(c *client) { c.user = "carol" }), false},
			{"anonymous", put.with(func(c *client) { c.user, c.password = "anonymous", "" }), false},
		} {
			ch := httpChallenge(t, a.IdentifyHTTP(req, phone.Addr(), begin), alg)
			if ch.Realm != "example.net" {
				t.Errorf("realm %q", ch.Realm)
			}
			with := req
			with.Authorization = []string{c.client.answer(ch, 1)}
			v := a.IdentifyHTTP(with, phone.Addr(), begin)
			if !c.ok {
				if again := httpChallenge(t, v, alg); again.Stale {
					t.Errorf("%s %s: stale", alg, c.name)
				}
				continue
			}
			if v.Principal != presence.NewPrincipal(aliceAOR, presence.MechanismDigest) || v.Err != nil || v.Challenges != nil {
				t.Errorf("%s %s: %+v", alg, c.name, v)
			}
			if !httpChallenge(t, a.IdentifyHTTP(with, phone.Addr(), begin), alg).Stale {
				t.Errorf("%s %s: replayed", alg, c.name)
			}
		}
	}
}

func TestHTTPNonces(t *testing.T) {
	t.Parallel()
	a := newAuthenticator(t, nil)
	get := client{user: "bob", password: "bobs", method: "GET", uri: "/x", qop: "auth", cnonce: "c"}
	req := HTTPRequest{Method: "GET", Target: "/x", Realm: "nowhere.example"}
	ch := httpChallenge(t, a.IdentifyHTTP(req, phone.Addr(), begin), sip.AlgorithmSHA256)
	if ch.Realm != "example.com" {
		t.Errorf("realm %q is not the default", ch.Realm)
	}
	req.Authorization = []string{get.answer(ch, 1)}
	if v := a.IdentifyHTTP(req, other.Addr(), begin); !httpChallenge(t, v, sip.AlgorithmSHA256).Stale {
		t.Error("a nonce serves at another address")
	}
	if v := a.IdentifyHTTP(req, phone.Addr(), begin.Add(2*DefaultNonceLife)); !httpChallenge(t, v, sip.AlgorithmSHA256).Stale {
		t.Error("an old nonce serves")
	}
	for nc := uint32(1); nc < 4; nc++ {
		req.Authorization = []string{get.answer(ch, nc)}
		if v := a.IdentifyHTTP(req, phone.Addr(), begin.Add(time.Second)); v.Principal.AOR() != bobAOR {
			t.Errorf("nc %d: %+v", nc, v)
		}
	}
}

func TestHTTPCredentialsUnusable(t *testing.T) {
	t.Parallel()
	a := newAuthenticator(t, nil)
	unread := errors.New("body unread")
	ch := httpChallenge(t, a.IdentifyHTTP(HTTPRequest{Method: "PUT", Target: "/x"}, phone.Addr(), begin), sip.AlgorithmMD5)
	put := client{user: "bob", password: "bobs", method: "PUT", uri: "/x", qop: "auth", cnonce: "c"}
	for name, c := range map[string]struct {
		values []string
		want   error
	}{
		"Basic":         {[]string{"Basic Ym9iOmJvYnM="}, nil},
		"other realm":   {[]string{strings.Replace(put.answer(ch, 1), `realm="example.com"`, `realm="example.org"`, 1)}, nil},
		"malformed":     {[]string{"Digest username=bob"}, ErrAuthorization},
		"two":           {[]string{put.answer(ch, 1), put.answer(ch, 2)}, ErrAuthorization},
		"long":          {[]string{put.answer(ch, 1) + strings.Repeat(" ", maxHTTPAuthorization)}, ErrAuthorization},
		"without qop":   {[]string{put.with(func(c *client) { c.qop = "" }).answer(ch, 1)}, ErrAuthorization},
		"unknown qop":   {[]string{put.with(func(c *client) { c.qop = "conf" }).answer(ch, 1)}, ErrAuthorization},
		"unread body":   {[]string{put.with(func(c *client) { c.qop = "auth-int" }).answer(ch, 1)}, unread},
		"no algorithm":  {[]string{strings.Replace(put.answer(ch, 1), "algorithm=MD5", "algorithm=SHA-1", 1)}, nil},
		"none at all":   {nil, nil},
		"empty answers": {[]string{`Digest username="bob", realm="example.com", nonce="", uri="/x", response=""`}, nil},
	} {
		req := HTTPRequest{Method: "PUT", Target: "/x", Authorization: c.values, Body: func() (string, error) { return "", unread }}
		v := a.IdentifyHTTP(req, phone.Addr(), begin)
		if !errors.Is(v.Err, c.want) || v.Principal.Known() || (len(v.Challenges) > 0) != (c.want == nil) {
			t.Errorf("%s: %+v, want %v", name, v, c.want)
		}
	}
}
