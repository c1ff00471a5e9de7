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

// maxHTTPAuthorization bounds one Authorization: the request target is in it,
// and XCAP's have up to 8 KB.
const maxHTTPAuthorization = 12 << 10

// HTTPRequest is what digest authentication looks at in an HTTP request.
type HTTPRequest struct {
	Method string
	// Target is the request target as it was sent, query included.
	Target string
	// Authorization are the values of its header fields of that name.
	Authorization []string
	UserAgent     string
	// Realm is the domain to challenge with; where it is not served, the
	// default one is taken.
	Realm string
	// Body reads the content; it is called where credentials cover it alone.
	Body func() (string, error)
}

// HTTPVerdict says who sent an HTTP request, or what to answer instead. Exactly
// one of these holds: Principal.Known(), len(Challenges) > 0, Err != nil.
type HTTPVerdict struct {
	Principal presence.Principal
	// Challenges are the values of the WWW-Authenticate fields of a 401,
	// preferred first.
	Challenges []string
	// Err is ErrAuthorization, for a 400, or what Body returned.
	Err error
}

// ErrAuthorization: the credentials are malformed, or of a kind that is not
// taken.
var ErrAuthorization = errors.New("identity: unusable Authorization")

// IdentifyHTTP says who sent req, which came from the address from, or what to
// answer: as Identify does, with the same users, nonces and algorithms, by
// digest alone (RFC 7616). The Principal has the user's first address. Who
// enters as "anonymous" is told to enter otherwise: nothing over HTTP is for
// nobody in particular.
func (a *Authenticator) IdentifyHTTP(req HTTPRequest, from netip.Addr, now time.Time) HTTPVerdict {
	src := from.Unmap().WithZone("")
	c, found, err := a.httpCredentials(req.Authorization)
	switch {
	case err != nil:
		a.stats.Malformed.Add(1)
		return HTTPVerdict{Err: ErrAuthorization}
	case !found:
		a.stats.Challenged.Add(1)
		return a.challengeHTTP(&req, src, now, false)
	}
	body := ""
	if c.QOP == qopAuthInt && req.Body != nil {
		if body, err = req.Body(); err != nil {
			return HTTPVerdict{Err: err}
		}
	}
	user, o := a.prove(&c, sip.Method(req.Method), originForm(c.URI) == originForm(req.Target), body, src, now)
	switch o {
	case malformed, withoutQOP:
		counter := &a.stats.Malformed
		if o == withoutQOP {
			counter = &a.stats.NoQOP
		}
		counter.Add(1)
		return HTTPVerdict{Err: ErrAuthorization}
	case proven:
		a.stats.Accepted.Add(1)
		return HTTPVerdict{Principal: presence.NewPrincipal(user.aors[0], presence.MechanismDigest)}
	case anonymous:
		a.stats.Wrong.Add(1)
	}
	return a.challengeHTTP(&req, src, now, o == stale)
}

// httpCredentials reads the one Authorization that a request may have
// (RFC 9110, 11.6.2). Other schemes and other realms are not for us.
func (a *Authenticator) httpCredentials(values []string) (c sip.Credentials, found bool, err error) {
	switch {
	case len(values) == 0:
		return c, false, nil
	case len(values) > 1 || len(values[0]) > maxHTTPAuthorization:
		return c, false, errCredentials
	}
	c, err = sip.ParseCredentials(values[0])
	if errors.Is(err, sip.ErrNotDigest) {
		return c, false, nil
	}
	if err != nil || c.Response == "" || c.Nonce == "" || !slices.Contains(a.dir.domains, c.Realm) {
		return c, false, err
	}
	return c, true, nil
}

func (a *Authenticator) challengeHTTP(req *HTTPRequest, src netip.Addr, now time.Time, stale bool) HTTPVerdict {
	realm := a.dir.served(req.Realm)
	if realm == "" {
		realm = a.dir.domains[0]
	}
	var ends [len(algorithmOrder)]int
	all, n := a.challenges(&ends, realm, a.offer(req.UserAgent), src, now, stale)
	values := make([]string, n)
	start := 0
	for i, end := range ends[:n] {
		values[i] = all[start:end]
		start = end
	}
	return HTTPVerdict{Challenges: values}
}

// originForm is a request target without scheme and authority, which a client
// of a proxy writes into it. RFC 7616, 3.4.6: the two must be for one resource;
// there is no reason why they should be spelled otherwise.
func originForm(target string) string {
	for _, scheme := range [...]string{"http://", "https://"} {
		if len(target) >= len(scheme) && strings.EqualFold(target[:len(scheme)], scheme) {
			if i := strings.IndexByte(target[len(scheme):], '/'); i >= 0 {
				return target[len(scheme)+i:]
			}
			return "/"
		}
	}
	return target
}
