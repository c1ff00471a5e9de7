package identity

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/sip"
)

const (
	// maxAuthorizations bounds the Authorization header fields of one request:
	// one for each realm on the way, so a handful.
	maxAuthorizations = 16
	// maxAuthorization bounds one of them; real ones have some 300 bytes.
	maxAuthorization = 4096

	// clockSlack is how far the clock may have been set back, or differ among
	// those who read it for us, before a nonce counts as not ours.
	clockSlack = time.Second

	qopAuth    = "auth"
	qopAuthInt = "auth-int"
)

var errCredentials = errors.New("identity: malformed credentials")

// credentials picks, of several, those for the realm that we would challenge
// with, else for another of our domains, and in an algorithm that we accept if
// there are such. Credentials of other schemes and realms are not for us
// (RFC 3261, 22.3). What is for Digest must be well-formed.
func (a *Authenticator) credentials(req *sip.Message) (best sip.Credentials, found bool, err error) {
	seen, rank := 0, 0
	for i := range req.Headers {
		h := &req.Headers[i]
		if h.ID != sip.HeaderAuthorization {
			continue
		}
		seen++
		if seen > maxAuthorizations || len(h.Value) > maxAuthorization {
			return best, false, errCredentials
		}
		c, err := sip.ParseCredentials(h.Value)
		if errors.Is(err, sip.ErrNotDigest) {
			continue
		}
		if err != nil {
			return best, false, err
		}
		if r := a.rank(req, &c); r > rank {
			best, rank = c, r
		}
	}
	return best, rank > 0, nil
}

// rank says how welcome credentials are; 0: not for us.
func (a *Authenticator) rank(req *sip.Message, c *sip.Credentials) int {
	// RFC 8760, 2.7: who has not been challenged yet may say so by empty values.
	if c.Response == "" || c.Nonce == "" || !slices.Contains(a.dir.domains, c.Realm) {
		return 0
	}
	rank := 1
	if slices.Contains(a.algorithms, c.Algorithm) {
		rank += 2
		if strings.EqualFold(c.Realm, req.From.URI.Host) {
			rank++
		}
	}
	return rank
}

// verify says who sent a request with these credentials.
func (a *Authenticator) verify(req *sip.Message, c sip.Credentials, src netip.Addr, now time.Time) Verdict {
	user, o := a.prove(&c, req.Method, sameTarget(c.URI, req.RequestURI), req.Body, src, now)
	switch o {
	case malformed:
		return refuse(&a.stats.Malformed, statusBadRequest, "Malformed Authorization")
	case withoutQOP:
		return refuse(&a.stats.NoQOP, statusBadRequest, "Digest Without qop")
	case wrong, stale:
		return a.challenge(req, src, now, o == stale)
	case anonymous:
		return a.nobody(req)
	}
	who, ok := user.sender(req)
	if !ok {
		// RFC 3261, 21.4.4: the credentials are right; asking again will not help.
		return refuse(&a.stats.Foreign, statusForbidden, "From Is Not Yours")
	}
	a.stats.Accepted.Add(1)
	return Verdict{Principal: who}
}

// outcome is what credentials prove.
type outcome uint8

const (
	proven     outcome = iota
	anonymous          // right, of the user of that name
	wrong              // counted
	stale              // right, but not on a fresh nonce, or not for the first time; counted
	malformed          // not counted
	withoutQOP         // not counted
)

// prove checks credentials step by step. target says that they are for what is
// asked. Up to the comparison of the responses the steps do not depend on
// whether the user exists.
func (a *Authenticator) prove(c *sip.Credentials, method sip.Method, target bool, body string, src netip.Addr, now time.Time) (*record, outcome) {
	once := c.QOP == ""
	switch {
	case once && !a.allowNoQOP:
		return nil, withoutQOP
	case !once && !wellFormed(c):
		return nil, malformed
	case !slices.Contains(a.algorithms, c.Algorithm), !target:
		a.stats.Wrong.Add(1)
		return nil, wrong
	}

	user, ha1 := a.ha1(c)
	id, ours := a.nonces.open(c.Nonce, src)
	want, err := a.digest(ha1, *c, method, body)
	if err != nil {
		return nil, malformed
	}
	nobody := user == nil && c.Username == anonymousUser
	if right := equalText(want, c.Response); !right || user == nil && !nobody {
		a.stats.Wrong.Add(1)
		return nil, wrong
	}

	expired := now.Add(-a.life).UnixMilli()
	switch {
	case !ours, id.issued < expired, id.issued > now.Add(clockSlack).UnixMilli():
		a.stats.Stale.Add(1)
		return nil, stale
	case !a.used.use(id, c.NC, once, expired):
		a.stats.Replayed.Add(1)
		return nil, stale
	case nobody:
		return nil, anonymous
	}
	return user, proven
}

// wellFormed checks what must be there with qop, beyond sip.ParseCredentials.
// RFC 7616, 3.4: an improper parameter gets a 4xx.
func wellFormed(c *sip.Credentials) bool {
	return (c.QOP == qopAuth || c.QOP == qopAuthInt) && c.CNonce != "" && c.NC != 0
}

// ha1 finds the user and HA1 that credentials call for; of the anonymous user the
// HA1 alone. Without one, the decoy makes the digest that follows cost the same.
func (a *Authenticator) ha1(c *sip.Credentials) (*record, string) {
	i := algorithmIndex(c.Algorithm)
	r := a.dir.byName.get(nameKey{c.Realm, c.Username})
	if r != nil {
		if k := r.inRealm(c.Realm); k != nil && k.ha1[i] != "" {
			return r, k.ha1[i]
		}
	}
	if c.Username == anonymousUser {
		return nil, a.anonymous[c.Realm][i]
	}
	return nil, a.decoys[i]
}

// owns reports whether from is an address-of-record of the user, and which one.
func (r *record) owns(from *sip.NameAddr) (presence.AOR, bool) {
	if aor := r.spelled(from.RawURI); aor != "" {
		return aor, true
	}
	aor, err := from.URI.AOR()
	if err != nil {
		return "", false
	}
	if i := slices.Index(r.aors, aor); i >= 0 {
		return r.aors[i], true
	}
	return "", false
}

// spelled returns the address that is kept in just this spelling, or "". Most
// clients write it so; taking the kept one then saves making it canonical, and
// holds no message in memory.
func (r *record) spelled(uri string) presence.AOR {
	for _, aor := range r.aors {
		if string(aor) == uri {
			return aor
		}
	}
	return ""
}

// sameTarget reports whether the digest's uri is for the Request-URI: the same
// user at the same host. Port and parameters may differ, which proxies and
// clients add and drop.
// RFC 8760, 2.6, item 6: a request may be accepted though the two differ, since
// a proxy may have forwarded it to another user; no client that we know needs
// that, and a request moved to another presentity would pass.
func sameTarget(uri, requestURI string) bool {
	if uri == requestURI {
		return true
	}
	u, err := sip.ParseURI(uri)
	if err != nil {
		return false
	}
	v, err := sip.ParseURI(requestURI)
	if err != nil {
		return false
	}
	if u.User == "" && v.User == "" {
		return u.Host != "" && strings.EqualFold(u.Host, v.Host)
	}
	x, err := u.AOR()
	if err != nil {
		return false
	}
	y, err := v.AOR()
	return err == nil && x == y
}

// equalText compares in a time that depends on the lengths alone.
func equalText(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	var diff byte
	for i := range len(a) {
		diff |= a[i] ^ b[i]
	}
	return diff == 0
}
