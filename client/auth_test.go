package client

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/sip"
)

// guard is digest authentication as a server does it, for one user.
type guard struct {
	challenges []sip.Challenge
	password   string
	proxy      bool

	mu    sync.Mutex
	stale int // so many right answers are called stale
	nc    []uint32
}

func (g *guard) handle(m *sip.Message, _ *peer) (sip.Reply, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	status, ask, answer := 401, sip.HeaderWWWAuthenticate, sip.HeaderAuthorization
	if g.proxy {
		status, ask, answer = 407, sip.HeaderProxyAuthenticate, sip.HeaderProxyAuthorization
	}
	refuse := sip.Reply{Status: status}
	stale := false
	if value, ok := m.Get(answer); ok {
		cr, err := sip.ParseCredentials(value)
		if err == nil && g.right(m, cr) {
			if g.nc = append(g.nc, cr.NC); g.stale == 0 {
				return sip.Reply{}, false
			}
			g.stale--
			stale = true
		}
	}
	for _, ch := range g.challenges {
		ch.Stale = stale
		refuse.Headers = append(refuse.Headers, sip.Header{ID: ask, Value: string(ch.Append(nil))})
	}
	return refuse, true
}

func (g *guard) right(m *sip.Message, cr sip.Credentials) bool {
	ha1, err := sip.HA1(cr.Algorithm, "alice", cr.Realm, g.password)
	if err != nil || cr.Username != "alice" || cr.URI != m.RequestURI {
		return false
	}
	want, err := sip.DigestResponse(ha1, cr, m.Method, m.Body)
	return err == nil && want == cr.Response
}

func TestDigest(t *testing.T) {
	t.Parallel()
	offer := func(a sip.Algorithm, qop ...string) sip.Challenge {
		return sip.Challenge{Realm: "example.com", Nonce: "n" + string(a), Opaque: "o", Algorithm: a, QOP: qop}
	}
	for name, g := range map[string]*guard{
		"SHA-256":           {challenges: []sip.Challenge{offer(sip.AlgorithmSHA256, "auth"), offer(sip.AlgorithmMD5, "auth")}},
		"SHA-512-256":       {challenges: []sip.Challenge{offer("unheard-of", "auth"), offer(sip.AlgorithmSHA512256, "auth", "auth-int")}},
		"MD5 without qop":   {challenges: []sip.Challenge{offer(sip.AlgorithmMD5)}},
		"auth-int":          {challenges: []sip.Challenge{offer(sip.AlgorithmSHA256, "unheard-of"), offer(sip.AlgorithmSHA256, "auth-int")}},
		"proxy":             {challenges: []sip.Challenge{offer(sip.AlgorithmSHA256, "auth")}, proxy: true},
		"stale, then right": {challenges: []sip.Challenge{offer(sip.AlgorithmSHA256, "auth")}, stale: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g.password = "secret"
			f := newFake(t, g.handle)
			c := f.dial(Config{Password: "secret"})
			p, err := c.Publish(t.Context(), "<one/>", PIDFType, 0)
			if err != nil {
				t.Fatal(err)
			}
			tries := len(f.seen(sip.MethodPublish))
			if err := p.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := f.seen(sip.MethodPublish)
			if len(got) != tries+1 {
				t.Errorf("%d PUBLISHes after %d: the nonce was not used again", len(got), tries)
			}
			if got[0].CallID != got[1].CallID || got[0].CSeq.Seq >= got[1].CSeq.Seq || got[0].From.Tag() != got[1].From.Tag() {
				t.Error("the repeated request is not of one series")
			}
			g.mu.Lock()
			defer g.mu.Unlock()
			if n := len(g.nc); len(g.challenges[0].QOP) > 0 && g.nc[n-1] != 2 {
				t.Errorf("nc %v, want 2 at last", g.nc)
			}
		})
	}
}

func TestDigestFails(t *testing.T) {
	t.Parallel()
	md5 := sip.Challenge{Realm: "example.com", Nonce: "n", Algorithm: sip.AlgorithmMD5, QOP: []string{"auth"}}
	other := md5
	other.Algorithm = "unheard-of"
	for name, tc := range map[string]struct {
		guard    *guard
		password string
		want     string
		tries    int
	}{
		"wrong password": {&guard{challenges: []sip.Challenge{md5}}, "wrong", "wrong user name or password", 2},
		"none":           {&guard{challenges: []sip.Challenge{md5}}, "", "none was given", 1},
		"unknown kind":   {&guard{challenges: []sip.Challenge{other}}, "secret", "no kind of authentication", 1},
		"endless":        {&guard{challenges: []sip.Challenge{md5}, stale: 1000}, "secret", "keeps asking", 6},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.guard.password = "secret"
			f := newFake(t, tc.guard.handle)
			err := f.dial(Config{Password: tc.password}).Register(t.Context(), time.Hour)
			e, ok := errors.AsType[*ResponseError](err)
			if !ok || e.Status != 401 || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v", err)
			}
			if n := len(f.seen(sip.MethodRegister)); n != tc.tries {
				t.Errorf("%d requests, want %d", n, tc.tries)
			}
		})
	}
}
