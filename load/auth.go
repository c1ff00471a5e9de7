package load

import (
	"crypto/rand"
	"strings"

	"github.com/tacit-presence/tacit/sip"
)

// credential answers the digest challenges to one user.
type credential struct {
	challenge sip.Challenge
	ha1       string
	nc        uint32
	proxy     bool
	auth      bool // qop=auth was offered
}

// credentials are those of one lane, by user's address.
type credentials map[string]*credential

// learn takes the first challenge of s that can be answered, and is false if
// there is none. The user's name is that of the address.
func (cs credentials) learn(s *scanned, aor, password string) bool {
	name, _, _ := strings.Cut(strings.TrimPrefix(aor, "sip:"), "@")
	for _, raw := range s.challenges[:s.challenged] {
		ch, err := sip.ParseChallenge(string(raw))
		if err != nil {
			continue
		}
		ha1, err := sip.HA1(ch.Algorithm, name, ch.Realm, password)
		if err != nil {
			continue
		}
		c := &credential{challenge: ch, ha1: ha1, proxy: s.proxy}
		for _, qop := range ch.QOP {
			c.auth = c.auth || qop == "auth"
		}
		if !c.auth && len(ch.QOP) > 0 {
			continue
		}
		cs[aor] = c
		return true
	}
	return false
}

// header makes the header field line for a request, empty if the server has
// not asked for one.
func (cs credentials) header(aor, uri string, method sip.Method) string {
	c := cs[aor]
	if c == nil {
		return ""
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(aor, "sip:"), "@")
	cr := sip.Credentials{
		Username: name, Realm: c.challenge.Realm, Nonce: c.challenge.Nonce, URI: uri,
		Algorithm: c.challenge.Algorithm, Opaque: c.challenge.Opaque,
	}
	if c.auth {
		c.nc++
		cr.QOP, cr.NC, cr.CNonce = "auth", c.nc, rand.Text()
	}
	var err error
	if cr.Response, err = sip.DigestResponse(c.ha1, cr, method, ""); err != nil {
		return ""
	}
	line := "Authorization: "
	if c.proxy {
		line = "Proxy-Authorization: "
	}
	return line + string(cr.Append(nil)) + "\r\n"
}
