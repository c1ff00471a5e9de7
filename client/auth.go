package client

import (
	"slices"

	"github.com/tacit-presence/tacit/sip"
)

const (
	// maxChallenges bounds the challenges answered for one request: one each by
	// a proxy and the server, and each of these may call a nonce stale once.
	maxChallenges = 5
	// maxSessions bounds the realms remembered: there is one server.
	maxSessions = 4
)

// session is a challenge that is answered in advance (RFC 7616, 3.3: a nonce
// may be used again, with a higher nc).
type session struct {
	proxy     bool
	challenge sip.Challenge
	ha1       string
	nc        uint32
}

// attempt follows the challenges to one request.
type attempt struct {
	challenges int
	answered   []realm // with a nonce that came for this very request
}

type realm struct {
	proxy bool
	name  string
}

// authorize makes the credentials of a request, for every realm known.
func (c *Client) authorize(r *request) []sip.Header {
	c.mu.Lock()
	defer c.mu.Unlock()
	var headers []sip.Header
	for _, s := range c.sessions {
		s.nc++
		value, err := s.credentials(c.authUser, r)
		if err != nil {
			continue // not reached: challenged took only what can be done
		}
		h := sip.Header{Name: "Authorization", Value: value}
		if s.proxy {
			h.Name = "Proxy-Authorization"
		}
		headers = append(headers, h)
	}
	return headers
}

func (s *session) credentials(user string, r *request) (string, error) {
	cr := sip.Credentials{
		Username: user, Realm: s.challenge.Realm, Nonce: s.challenge.Nonce, URI: r.uri,
		Algorithm: s.challenge.Algorithm, Opaque: s.challenge.Opaque,
	}
	if qop, _ := chooseQOP(s.challenge.QOP); qop != "" {
		cr.QOP, cr.CNonce, cr.NC = qop, newTag(), s.nc
	}
	var err error
	if cr.Response, err = sip.DigestResponse(s.ha1, cr, r.method, r.body); err != nil {
		return "", err
	}
	return string(cr.Append(nil)), nil
}

// chooseQOP prefers auth; none offered is RFC 2069's form.
func chooseQOP(offered []string) (string, bool) {
	for _, qop := range []string{"auth", "auth-int"} {
		if slices.Contains(offered, qop) {
			return qop, true
		}
	}
	return "", len(offered) == 0
}

// challenged keeps the first challenge of a 401 or 407 that can be answered
// (RFC 8760, 2.4: they stand in the server's order of preference). It returns
// what is wrong if there is no use in trying again.
func (c *Client) challenged(m *sip.Message, a *attempt) (problem string) {
	id, proxy := sip.HeaderWWWAuthenticate, false
	if m.Status == 407 {
		id, proxy = sip.HeaderProxyAuthenticate, true
	}
	if a.challenges++; a.challenges > maxChallenges {
		return "the server keeps asking for the password"
	}
	if c.cfg.Password == "" {
		return "the server asks for a password, and none was given"
	}
	for value := range m.Values(id) {
		ch, err := sip.ParseChallenge(value)
		if err != nil {
			continue
		}
		if _, ok := chooseQOP(ch.QOP); !ok {
			continue
		}
		ha1, err := sip.HA1(ch.Algorithm, c.authUser, ch.Realm, c.cfg.Password)
		if err != nil {
			continue
		}
		key := realm{proxy, ch.Realm}
		if slices.Contains(a.answered, key) && !ch.Stale {
			c.forget(key)
			return "wrong user name or password (user " + c.authUser + ", realm " + printable(ch.Realm) + ")"
		}
		a.answered = append(a.answered, key)
		c.forget(key)
		c.mu.Lock()
		c.sessions = append(c.sessions, &session{proxy: proxy, challenge: ch, ha1: ha1})
		if len(c.sessions) > maxSessions {
			c.sessions = slices.Delete(c.sessions, 0, 1)
		}
		c.mu.Unlock()
		return ""
	}
	return "the server offers no kind of authentication that is known here"
}

// forget drops the session of a realm.
func (c *Client) forget(key realm) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sessions = slices.DeleteFunc(c.sessions, func(s *session) bool {
		return s.proxy == key.proxy && s.challenge.Realm == key.name
	})
}
