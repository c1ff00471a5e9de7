package xcap

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"time"

	"github.com/tacit-presence/tacit/identity"
	"github.com/tacit-presence/tacit/presence"
)

// Digest is an Authenticate by HTTP digest, with a's users (RFC 4825, 8).
func Digest(a *identity.Authenticator, now func() time.Time) Authenticate {
	return func(r *http.Request, domain string) (presence.Principal, []string, int) {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			return presence.Principal{}, nil, http.StatusInternalServerError
		}
		v := a.IdentifyHTTP(identity.HTTPRequest{
			Method:        r.Method,
			Target:        r.RequestURI,
			Authorization: r.Header["Authorization"],
			UserAgent:     r.UserAgent(),
			Realm:         domain,
			Body:          func() (string, error) { return peek(r) },
		}, from.Addr(), now())
		code := 0
		if v.Err != nil {
			code = http.StatusBadRequest
			if _, ok := errors.AsType[*http.MaxBytesError](v.Err); ok {
				code = http.StatusRequestEntityTooLarge
			}
		}
		return v.Principal, v.Challenges, code
	}
}

// peek reads the content and leaves it to be read again.
func peek(r *http.Request) (string, error) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return "", err
	}
	r.Body = io.NopCloser(bytes.NewReader(b))
	return string(b), nil
}
