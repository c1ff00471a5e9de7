package identity

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/sip"
)

func TestChallengeOffer(t *testing.T) {
	t.Parallel()
	baresip := "User-Agent: baresip v1.0.0 (x86_64/Linux)\r\n"
	sha, short, md5 := sip.AlgorithmSHA256, sip.AlgorithmSHA512256, sip.AlgorithmMD5
	for name, c := range map[string]struct {
		algorithms []sip.Algorithm
		byAgent    map[string][]sip.Algorithm
		agent      string
		want       []sip.Algorithm
	}{
		"default":           {nil, ToleranceMD5ByUserAgent(), "", []sip.Algorithm{sha, short, md5}},
		"default, unknown":  {nil, ToleranceMD5ByUserAgent(), "User-Agent: Linphone/5.1\r\n", []sip.Algorithm{sha, short, md5}},
		"order":             {[]sip.Algorithm{short, sha}, nil, "", []sip.Algorithm{short, sha}},
		"baresip":           {nil, ToleranceMD5ByUserAgent(), baresip, []sip.Algorithm{md5}},
		"baresip, off":      {nil, nil, baresip, []sip.Algorithm{sha, short, md5}},
		"baresip, MD5 off":  {[]sip.Algorithm{sha}, ToleranceMD5ByUserAgent(), baresip, []sip.Algorithm{sha}},
		"longest name wins": {nil, map[string][]sip.Algorithm{"bare": {sha}, "baresip v1": {short}}, baresip, []sip.Algorithm{short}},
		"name within":       {nil, ToleranceMD5ByUserAgent(), "User-Agent: not baresip\r\n", []sip.Algorithm{sha, short, md5}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAuthenticator(t, func(cfg *Config) { cfg.Algorithms, cfg.ByUserAgent = c.algorithms, c.byAgent })
			req := request(t, "REGISTER", "sip:example.com", "<sip:alice@example.com>", c.agent, "")
			var got []sip.Algorithm
			nonce := ""
			for _, ch := range challenges(t, a.Identify(req, phone, begin)) {
				got = append(got, ch.Algorithm)
				if !slices.Equal(ch.QOP, []string{"auth", "auth-int"}) || ch.Realm != "example.com" || ch.Stale {
					t.Errorf("challenge %+v", ch)
				}
				if nonce != "" && ch.Nonce != nonce {
					t.Error("the challenges differ in nonce")
				}
				nonce = ch.Nonce
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("offered %v, want %v", got, c.want)
			}
			if again := challenges(t, a.Identify(req, phone, begin)); again[0].Nonce == nonce {
				t.Error("a nonce came twice")
			}
		})
	}
}

func TestRealm(t *testing.T) {
	t.Parallel()
	a := newAuthenticator(t, nil)
	for _, c := range []struct{ from, uri, want string }{
		{"<sip:alice@example.com>", "sip:x@example.net", "example.com"},
		{"<sip:alice@EXAMPLE.net>", "sip:x@example.com", "example.net"},
		{"<sip:zoe@elsewhere.org>", "sip:x@Example.NET", "example.net"},
		{"<sip:zoe@elsewhere.org>", "sip:x@192.0.2.1", "example.com"},
		{"<tel:+358555>", "tel:+358556", "example.com"},
	} {
		v := a.Identify(request(t, "SUBSCRIBE", c.uri, c.from, "", ""), phone, begin)
		if got := challenges(t, v)[0].Realm; got != c.want {
			t.Errorf("From %s to %s: realm %s, want %s", c.from, c.uri, got, c.want)
		}
	}
}

func TestRightCredentials(t *testing.T) {
	t.Parallel()
	for _, alg := range DefaultAlgorithms() {
		for _, qop := range []string{"auth", "auth-int"} {
			t.Run(string(alg)+" "+qop, func(t *testing.T) {
				t.Parallel()
				a := newAuthenticator(t, nil)
				body := "v=some body"
				c := alice.with(func(c *client) { c.qop, c.body, c.method = qop, body, "PUBLISH" })
				ch := challenged(t, a, alg, phone, begin)
				for nc := range uint32(3) {
					req := request(t, "PUBLISH", c.uri, "<sip:alice@example.com>", "Authorization: "+c.answer(ch, nc+1)+"\r\n", body)
					// The port does not matter: a client may change it.
					from := phone
					if nc == 1 {
						from = second
					}
					wantPrincipal(t, a.Identify(req, from, begin.Add(time.Minute)), aliceAOR, presence.MechanismDigest)
				}
				changed := request(t, "PUBLISH", c.uri, "<sip:alice@example.com>", "Authorization: "+c.answer(ch, 9)+"\r\n", body+"!")
				if v := a.Identify(changed, phone, begin); v.Principal.Known() != (qop == "auth") {
					t.Errorf("with another body: %+v", v)
				}
			})
		}
	}
}

// TestOfferedOrNot: what counts is what is configured, not what this client was
// offered.
func TestOfferedOrNot(t *testing.T) {
	t.Parallel()
	a := newAuthenticator(t, func(cfg *Config) { cfg.ByUserAgent = map[string][]sip.Algorithm{"baresip": {sip.AlgorithmMD5}} })
	ch := challenged(t, a, sip.AlgorithmMD5, phone, begin)
	ch.Algorithm = sip.AlgorithmSHA256
	req := request(t, "SUBSCRIBE", alice.uri, "<sip:alice@example.com>", "User-Agent: baresip\r\nAuthorization: "+alice.answer(ch, 1)+"\r\n", "")
	wantPrincipal(t, a.Identify(req, phone, begin), aliceAOR, presence.MechanismDigest)

	strict := newAuthenticator(t, func(cfg *Config) { cfg.Algorithms = []sip.Algorithm{sip.AlgorithmSHA256} })
	ch = challenged(t, strict, sip.AlgorithmSHA256, phone, begin)
	for _, alg := range []sip.Algorithm{sip.AlgorithmMD5, sip.AlgorithmSHA512256, "MD5-sess", "SHA-1"} {
		ch.Algorithm = alg
		wantChallenge(t, strict.Identify(subscribe(t, alice.answer(ch, 1)), phone, begin), false)
	}
	if got := strict.Stats().Wrong.Load(); got != 4 {
		t.Errorf("%d counted as wrong", got)
	}
}

func TestWrongCredentials(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]client{
		"password":         alice.with(func(c *client) { c.password = "open" }),
		"empty password":   alice.with(func(c *client) { c.password = "" }),
		"unknown user":     alice.with(func(c *client) { c.user = "nobody" }),
		"empty user":       alice.with(func(c *client) { c.user = "" }),
		"another's name":   alice.with(func(c *client) { c.user = "bob" }),
		"name with domain": alice.with(func(c *client) { c.user = "alice@example.com" }),
		"case of the name": alice.with(func(c *client) { c.user = "Alice" }),
		"anonymous":        alice.with(func(c *client) { c.user, c.password = "anonymous", "secret" }),
		"method":           alice.with(func(c *client) { c.method = "PUBLISH" }),
		"uri":              alice.with(func(c *client) { c.uri = "sip:carol@example.com" }),
		"uri's host":       alice.with(func(c *client) { c.uri = "sip:bob@example.net" }),
		"uri without user": alice.with(func(c *client) { c.uri = "sip:example.com" }),
		"no URI":           alice.with(func(c *client) { c.uri = "bob" }),
		"tel URI":          alice.with(func(c *client) { c.uri = "tel:+358555" }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAuthenticator(t, nil)
			ch := challenged(t, a, sip.AlgorithmSHA256, phone, begin)
			wantChallenge(t, a.Identify(subscribe(t, c.answer(ch, 1)), phone, begin), false)
			// Not stale on an old nonce either: that would say the password is right.
			wantChallenge(t, a.Identify(subscribe(t, c.answer(ch, 1)), phone, begin.Add(time.Hour)), false)
			if got := a.Stats().Wrong.Load(); got != 2 {
				t.Errorf("%d counted as wrong", got)
			}
			if a.Nonces() != 0 {
				t.Error("something is kept of a failure")
			}
		})
	}
}

func TestURIOfTheSameTarget(t *testing.T) {
	t.Parallel()
	a := newAuthenticator(t, nil)
	ch := challenged(t, a, sip.AlgorithmSHA256, phone, begin)
	nc := uint32(0)
	for _, c := range []struct{ uri, requestURI string }{
		{"sip:bob@example.com", "sip:bob@example.com;transport=tcp"},
		{"sip:bob@example.com:5060", "sip:bob@example.com"},
		{"sips:bob@Example.com", "sip:%62ob@example.com"},
		{"sip:example.com", "sip:EXAMPLE.com;lr"},
		{"tel:+358555", "tel:+358555"},
	} {
		nc++
		answer := alice.with(func(x *client) { x.uri = c.uri }).answer(ch, nc)
		req := request(t, "SUBSCRIBE", c.requestURI, "<sip:alice@example.com>", "Authorization: "+answer+"\r\n", "")
		wantPrincipal(t, a.Identify(req, phone, begin), aliceAOR, presence.MechanismDigest)
	}
}

func TestFromMustBeTheUsers(t *testing.T) {
	t.Parallel()
	a := newAuthenticator(t, nil)
	ch := challenged(t, a, sip.AlgorithmSHA256, phone, begin)
	nc := uint32(0)
	for _, c := range []struct {
		from string
		want presence.AOR
	}{
		{"sip:alice@example.com", aliceAOR},
		{`"Alice" <sips:alice@Example.COM>`, aliceAOR},
		{"<pres:alice@example.com>", aliceAOR},
		{"<sip:alic%65@example.com:5061;transport=tls>", aliceAOR},
		{"<sip:a.smith@example.com>", "sip:a.smith@example.com"},
		{"<sip:bob@example.com>", ""},
		{"<sip:nobody@example.com>", ""},
		{"<sip:Alice@example.com>", ""},
		{"<sip:alice@example.org>", ""},
		{"<sip:example.com>", ""},
		{"<tel:+358555>", ""},
		{`"Anonymous" <sip:anonymous@anonymous.invalid>`, aliceAOR},
		{"<sip:anonymous@example.com>", aliceAOR},
	} {
		nc++
		req := request(t, "SUBSCRIBE", alice.uri, c.from, "Authorization: "+alice.answer(ch, nc)+"\r\n", "")
		v := a.Identify(req, phone, begin)
		if c.want == "" {
			wantStatus(t, v, 403)
		} else {
			wantPrincipal(t, v, c.want, presence.MechanismDigest)
		}
	}
	if got := a.Stats().Foreign.Load(); got != 6 {
		t.Errorf("%d counted as foreign", got)
	}
}

// TestAliasInAnotherDomain: the realm follows From, so the user must be known
// there too.
func TestAliasInAnotherDomain(t *testing.T) {
	t.Parallel()
	a := newAuthenticator(t, nil)
	const from = "<sip:alice@example.net>"
	ch := challenges(t, a.Identify(request(t, "SUBSCRIBE", alice.uri, from, "", ""), phone, begin))[0]
	if ch.Realm != "example.net" {
		t.Fatalf("realm %s", ch.Realm)
	}
	req := request(t, "SUBSCRIBE", alice.uri, from, "Authorization: "+alice.answer(ch, 1)+"\r\n", "")
	wantPrincipal(t, a.Identify(req, phone, begin), "sip:alice@example.net", presence.MechanismDigest)
}

func TestNonceThatNoLongerVerifies(t *testing.T) {
	t.Parallel()
	a := newAuthenticator(t, func(cfg *Config) { cfg.NonceLife = time.Minute })
	restarted := newAuthenticator(t, func(cfg *Config) { cfg.Directory = a.dir })
	ch := challenged(t, a, sip.AlgorithmSHA256, phone, begin)
	madeUp := ch
	madeUp.Nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093"
	wrong := alice.with(func(c *client) { c.password = "x" })
	for name, c := range map[string]struct {
		a    *Authenticator
		ch   sip.Challenge
		from netip.AddrPort
		now  time.Time
	}{
		"expired":         {a, ch, phone, begin.Add(time.Minute + time.Millisecond)},
		"from the future": {a, ch, phone, begin.Add(-time.Minute)},
		"other address":   {a, ch, other, begin},
		"IPv6 address":    {a, ch, netip.MustParseAddrPort("[2001:db8::1]:5060"), begin},
		"other process":   {restarted, ch, phone, begin},
		"made up":         {a, madeUp, phone, begin},
	} {
		for nc := range uint32(2) {
			v := c.a.Identify(subscribe(t, alice.answer(c.ch, nc+1)), c.from, c.now)
			wantChallenge(t, v, true)
			if fresh := challenges(t, v)[0].Nonce; fresh == c.ch.Nonce {
				t.Errorf("%s: the old nonce again", name)
			}
			wantChallenge(t, c.a.Identify(subscribe(t, wrong.answer(c.ch, nc+1)), c.from, c.now), false)
		}
	}
	if a.Nonces() != 0 {
		t.Error("a stale nonce is kept")
	}
	// The way back needs no password: the fresh nonce works.
	v := restarted.Identify(subscribe(t, alice.answer(ch, 1)), phone, begin)
	wantPrincipal(t, restarted.Identify(subscribe(t, alice.answer(challenges(t, v)[0], 1)), phone, begin), aliceAOR, presence.MechanismDigest)
	// To the last millisecond of its life it is fresh; a mapped address is the same one.
	mapped := netip.AddrPortFrom(netip.AddrFrom16(phone.Addr().As16()), 7)
	wantPrincipal(t, a.Identify(subscribe(t, alice.answer(ch, 1)), mapped, begin.Add(time.Minute)), aliceAOR, presence.MechanismDigest)
}

func TestReplay(t *testing.T) {
	t.Parallel()
	a := newAuthenticator(t, nil)
	ch := challenged(t, a, sip.AlgorithmSHA256, phone, begin)
	use := func(nc uint32) Verdict { return a.Identify(subscribe(t, alice.answer(ch, nc)), phone, begin) }
	// UDP may deliver the second request first.
	for _, nc := range []uint32{2, 1, 5, 3, 4, 300, 173} {
		wantPrincipal(t, use(nc), aliceAOR, presence.MechanismDigest)
	}
	for _, nc := range []uint32{1, 2, 5, 300, 173, 172, 171} {
		wantChallenge(t, use(nc), true)
	}
	wantPrincipal(t, use(174), aliceAOR, presence.MechanismDigest)
	if got := a.Stats().Replayed.Load(); got != 7 {
		t.Errorf("%d counted as replayed", got)
	}
	if got := a.Stats().Accepted.Load(); got != 8 {
		t.Errorf("%d counted as accepted", got)
	}
	// A replay with a changed nc is a wrong response.
	changed := strings.Replace(alice.answer(ch, 1), "nc=00000001", "nc=00000999", 1)
	wantChallenge(t, a.Identify(subscribe(t, changed), phone, begin), false)
}

func TestEvictedNonceIsNotFresh(t *testing.T) {
	t.Parallel()
	a := newAuthenticator(t, func(cfg *Config) { cfg.MaxNonces = 2 * replayShards })
	first := challenged(t, a, sip.AlgorithmSHA256, phone, begin)
	unused := challenged(t, a, sip.AlgorithmSHA256, phone, begin)
	recorded := subscribe(t, alice.answer(first, 1))
	wantPrincipal(t, a.Identify(recorded, phone, begin), aliceAOR, presence.MechanismDigest)
	var last sip.Challenge
	for range 4 * replayShards {
		last = challenged(t, a, sip.AlgorithmSHA256, phone, begin)
		wantPrincipal(t, a.Identify(subscribe(t, alice.answer(last, 1)), phone, begin), aliceAOR, presence.MechanismDigest)
	}
	if n := a.Nonces(); n != 2*replayShards {
		t.Errorf("%d nonces are kept, want %d", n, 2*replayShards)
	}
	// Gone from the table, yet neither its used nor an unused nc is taken; nor
	// a nonce of that age that was never in it.
	wantChallenge(t, a.Identify(recorded, phone, begin), true)
	wantChallenge(t, a.Identify(subscribe(t, alice.answer(first, 2)), phone, begin), true)
	wantChallenge(t, a.Identify(subscribe(t, alice.answer(unused, 1)), phone, begin), true)
	wantPrincipal(t, a.Identify(subscribe(t, alice.answer(last, 2)), phone, begin), aliceAOR, presence.MechanismDigest)
	// The clock set back a day: new nonces are fresh all the same.
	yesterday := begin.Add(-24 * time.Hour)
	next := challenged(t, a, sip.AlgorithmSHA256, phone, yesterday)
	wantPrincipal(t, a.Identify(subscribe(t, alice.answer(next, 1)), phone, yesterday), aliceAOR, presence.MechanismDigest)
}

func TestMalformedCredentials(t *testing.T) {
	t.Parallel()
	a := newAuthenticator(t, nil)
	ch := challenged(t, a, sip.AlgorithmSHA256, phone, begin)
	good := alice.answer(ch, 1)
	for name, c := range map[string]struct{ old, new string }{
		"nc missing":      {", nc=00000001", ""},
		"nc zero":         {"nc=00000001", "nc=00000000"},
		"nc short":        {"nc=00000001", "nc=1"},
		"nc long":         {"nc=00000001", "nc=000000001"},
		"nc not hex":      {"nc=00000001", "nc=0000000g"},
		"nc signed":       {"nc=00000001", "nc=+0000001"},
		"cnonce missing":  {`, cnonce="0a4f113b"`, ""},
		"cnonce empty":    {`cnonce="0a4f113b"`, `cnonce=""`},
		"qop unknown":     {"qop=auth", "qop=auth-conf"},
		"qop list":        {"qop=auth", `qop="auth,auth-int"`},
		"qop missing":     {", qop=auth", ""},
		"realm missing":   {`realm="example.com", `, ""},
		"name twice":      {`username="alice"`, `username="alice", username="bob"`},
		"no parameters":   {good, "Digest"},
		"huge":            {"0a4f113b", strings.Repeat("0", maxAuthorization)},
		"response is odd": {`response="`, `response="zz`},
	} {
		wantStatus(t, a.Identify(subscribe(t, strings.Replace(good, c.old, c.new, 1)), phone, begin), 400)
		if t.Failed() {
			t.Fatal(name)
		}
	}
	many := strings.Repeat("Authorization: "+good+"\r\n", maxAuthorizations+1)
	wantStatus(t, a.Identify(request(t, "SUBSCRIBE", alice.uri, "<sip:alice@example.com>", many, ""), phone, begin), 400)
	if a.Nonces() != 0 {
		t.Error("malformed credentials used a nonce")
	}
	wantPrincipal(t, a.Identify(subscribe(t, good), phone, begin), aliceAOR, presence.MechanismDigest)
}

func TestSeveralAuthorizations(t *testing.T) {
	t.Parallel()
	a := newAuthenticator(t, nil)
	ch := challenged(t, a, sip.AlgorithmSHA256, phone, begin)
	foreign, odd := ch, ch
	foreign.Realm = "elsewhere.org"
	odd.Algorithm = "SHA-1"
	send := func(from string, answers ...string) Verdict {
		more := ""
		for _, s := range answers {
			more += "Authorization: " + s + "\r\n"
		}
		return a.Identify(request(t, "SUBSCRIBE", alice.uri, from, more, ""), phone, begin)
	}
	const from = "<sip:alice@example.com>"
	wantPrincipal(t, send(from, alice.answer(foreign, 1), "Bearer abc", alice.answer(ch, 1)), aliceAOR, presence.MechanismDigest)
	wantPrincipal(t, send(from, alice.answer(odd, 1), alice.answer(ch, 2)), aliceAOR, presence.MechanismDigest)
	// Another of our realms serves if there is no better one.
	net := ch
	net.Realm = "example.net"
	wantPrincipal(t, send(from, alice.answer(net, 3)), aliceAOR, presence.MechanismDigest)
	wrong := alice.with(func(c *client) { c.password = "x" })
	wantPrincipal(t, send(from, wrong.answer(net, 4), alice.answer(ch, 4)), aliceAOR, presence.MechanismDigest)

	before := a.Stats().Challenged.Load()
	wantChallenge(t, send(from, alice.answer(foreign, 1)), false)
	wantChallenge(t, send(from, "Bearer abc"), false)
	wantChallenge(t, send(from, "Basic YWxpY2U6b3BlbiBzZXNhbWU="), false)
	wantChallenge(t, send(from, `Digest username="alice", realm="example.com", nonce="", uri="sip:bob@example.com", response=""`), false)
	if got := a.Stats().Challenged.Load() - before; got != 4 {
		t.Errorf("%d counted as challenged", got)
	}
}

func TestWithoutQOP(t *testing.T) {
	t.Parallel()
	finch := alice.with(func(c *client) { c.qop, c.quoteNC = "", true })
	strict := newAuthenticator(t, nil)
	ch := challenged(t, strict, sip.AlgorithmMD5, phone, begin)
	wantStatus(t, strict.Identify(subscribe(t, finch.answer(ch, 1)), phone, begin), 400)

	a := newAuthenticator(t, func(cfg *Config) { cfg.AllowNoQOP = true })
	ch = challenged(t, a, sip.AlgorithmMD5, phone, begin)
	wantPrincipal(t, a.Identify(subscribe(t, finch.answer(ch, 1)), phone, begin), aliceAOR, presence.MechanismDigest)
	// Once only, whatever nc says, which is not covered; and qop does not help.
	v := a.Identify(subscribe(t, finch.answer(ch, 2)), phone, begin)
	wantChallenge(t, v, true)
	wantChallenge(t, a.Identify(subscribe(t, alice.answer(ch, 7)), phone, begin), true)
	fresh := challenges(t, v)[2]
	wantPrincipal(t, a.Identify(subscribe(t, finch.answer(fresh, 1)), phone, begin), aliceAOR, presence.MechanismDigest)
	// A nonce used with qop does not serve without.
	ch = challenged(t, a, sip.AlgorithmMD5, phone, begin)
	wantPrincipal(t, a.Identify(subscribe(t, alice.answer(ch, 1)), phone, begin), aliceAOR, presence.MechanismDigest)
	wantChallenge(t, a.Identify(subscribe(t, finch.answer(ch, 2)), phone, begin), true)
	wantChallenge(t, a.Identify(subscribe(t, finch.with(func(c *client) { c.password = "x" }).answer(fresh, 1)), phone, begin), false)
	// Without algorithm it is MD5 (RFC 2069).
	ch = challenged(t, a, sip.AlgorithmMD5, phone, begin)
	bare := strings.Replace(finch.answer(ch, 1), ", algorithm=MD5", "", 1)
	wantPrincipal(t, a.Identify(subscribe(t, bare), phone, begin), aliceAOR, presence.MechanismDigest)
}

// TestUnknownUserTakesTheSamePath counts what costs time, and compares the
// answers, for a known and an unknown name.
func TestUnknownUserTakesTheSamePath(t *testing.T) {
	t.Parallel()
	type call struct {
		alg       sip.Algorithm
		ha1, body int
	}
	for _, alg := range DefaultAlgorithms() {
		a := newAuthenticator(t, nil)
		var calls []call
		inner := a.digest
		a.digest = func(ha1 string, c sip.Credentials, m sip.Method, body string) (string, error) {
			calls = append(calls, call{c.Algorithm, len(ha1), len(body)})
			return inner(ha1, c, m, body)
		}
		ch := challenged(t, a, alg, phone, begin)
		try := func(user string) (Verdict, []call) {
			calls = nil
			c := alice.with(func(c *client) { c.user, c.password = user, "wrong" })
			return a.Identify(subscribe(t, c.answer(ch, 1)), phone, begin), calls
		}
		known, k := try("alice")
		unknown, u := try("nobo1")
		if len(k) != 1 || !slices.Equal(k, u) {
			t.Errorf("%s: digests %v for a known user, %v for an unknown one", alg, k, u)
		}
		x, y := challenges(t, known), challenges(t, unknown)
		for i := range x {
			x[i].Nonce, y[i].Nonce = "", ""
			if fmt.Sprint(x[i]) != fmt.Sprint(y[i]) {
				t.Errorf("%s: answers %+v and %+v", alg, x[i], y[i])
			}
		}
	}
}

// TestDecoyIsNoPassword: even who knew a decoy would not get in by it.
func TestDecoyIsNoPassword(t *testing.T) {
	t.Parallel()
	a := newAuthenticator(t, nil)
	a.digest = func(string, sip.Credentials, sip.Method, string) (string, error) { return strings.Repeat("0", 64), nil }
	ch := challenged(t, a, sip.AlgorithmSHA256, phone, begin)
	c := alice.with(func(c *client) { c.user = "nobody" }).answer(ch, 1)
	i := strings.Index(c, `response="`) + len(`response="`)
	wantChallenge(t, a.Identify(subscribe(t, c[:i]+strings.Repeat("0", 64)+c[i+64:]), phone, begin), false)
}

// TestUserWithoutThatAlgorithm: made while MD5 was off, asked with MD5 on.
func TestUserWithoutThatAlgorithm(t *testing.T) {
	t.Parallel()
	d := newDirectory(t, sip.AlgorithmSHA256)
	a := newAuthenticator(t, func(cfg *Config) { cfg.Directory = d })
	wantChallenge(t, a.Identify(subscribe(t, alice.answer(challenged(t, a, sip.AlgorithmMD5, phone, begin), 1)), phone, begin), false)
	wantPrincipal(t, a.Identify(subscribe(t, alice.answer(challenged(t, a, sip.AlgorithmSHA256, phone, begin), 1)), phone, begin), aliceAOR, presence.MechanismDigest)
}

// TestOneWinner: of many that send the same request at once one gets in.
func TestOneWinner(t *testing.T) {
	t.Parallel()
	a := newAuthenticator(t, func(cfg *Config) { cfg.MaxNonces = replayShards })
	const rounds, racers = 50, 4
	for range rounds {
		ch := challenged(t, a, sip.AlgorithmSHA256, phone, begin)
		req := subscribe(t, alice.answer(ch, 1))
		var mu sync.Mutex
		in := 0
		var wg sync.WaitGroup
		for range racers {
			wg.Go(func() {
				if a.Identify(req, phone, begin).Principal.Known() {
					mu.Lock()
					in++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if in != 1 {
			t.Fatalf("%d got in", in)
		}
	}
	if got := a.Stats().Accepted.Load(); got != rounds {
		t.Errorf("%d accepted", got)
	}
}

func TestNewAuthenticatorRefuses(t *testing.T) {
	t.Parallel()
	d := newDirectory(t)
	for name, cfg := range map[string]Config{
		"no directory":            {},
		"unknown algorithm":       {Directory: d, Algorithms: []sip.Algorithm{"SHA-1"}},
		"algorithm twice":         {Directory: d, Algorithms: []sip.Algorithm{"MD5", "MD5"}},
		"unknown for an agent":    {Directory: d, ByUserAgent: map[string][]sip.Algorithm{"x": {"SHA-1"}}},
		"given twice to an agent": {Directory: d, ByUserAgent: map[string][]sip.Algorithm{"x": {"MD5", "MD5"}}},
	} {
		if _, err := NewAuthenticator(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestStatsNames(t *testing.T) {
	t.Parallel()
	a := newAuthenticator(t, nil)
	a.Identify(subscribe(t, ""), phone, begin)
	n := 0
	for name, count := range a.Stats().All() {
		n++
		if (count == 1) != (name == "challenged") {
			t.Errorf("%s is %d", name, count)
		}
	}
	if n != 11 {
		t.Errorf("%d counters", n)
	}
	for range a.Stats().All() {
		break
	}
}

func FuzzIdentify(f *testing.F) {
	d := newDirectory(f)
	a, err := NewAuthenticator(Config{Directory: d, AllowNoQOP: true})
	if err != nil {
		f.Fatal(err)
	}
	ch := challenged(f, a, sip.AlgorithmMD5, phone, begin)
	f.Add(alice.with(func(c *client) { c.password = "guess" }).answer(ch, 1))
	f.Add(alice.with(func(c *client) { c.qop = "" }).answer(ch, 1)[:150])
	f.Add("Digest username=\"\", realm=\"example.com\", nonce=\"\", uri=\"\", response=\"\"")
	f.Fuzz(func(t *testing.T, value string) {
		req := subscribe(t, "")
		req.Headers = append(slices.Clone(req.Headers), sip.Header{ID: sip.HeaderAuthorization, Value: value})
		v := a.Identify(req, phone, begin)
		ways := 0
		for _, is := range []bool{v.Principal.Known(), len(v.Challenges) > 0, v.Status != 0} {
			if is {
				ways++
			}
		}
		if ways != 1 || v.Principal.Known() {
			t.Errorf("verdict %+v for %q", v, value)
		}
	})
}
