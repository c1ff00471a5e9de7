package identity

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/sip"
)

// maxPrivacy bounds the values of Privacy that are read: RFC 3323 and RFC 3325
// have six.
const maxPrivacy = 16

// makeAnonymous makes the HA1s of the digest user "anonymous", whose password is
// empty (RFC 3261, 22.1), one a domain and algorithm.
func (a *Authenticator) makeAnonymous() error {
	a.anonymous = map[string][len(algorithmOrder)]string{}
	for _, realm := range a.dir.domains {
		var keys [len(algorithmOrder)]string
		for i, alg := range algorithmOrder {
			ha1, err := sip.HA1(alg, anonymousUser, realm, "")
			if err != nil {
				return fmt.Errorf("identity: %w", err)
			}
			keys[i] = ha1
		}
		a.anonymous[realm] = keys
	}
	return nil
}

// namesNobody reports whether a URI is that of an anonymous user: at the host
// of nobody (RFC 3323, 4.1.1.3), or of a domain that vouches for it (RFC 5767,
// 5.1.4).
func namesNobody(u *sip.URI) bool {
	return strings.EqualFold(u.Host, anonymousHost) || u.User == anonymousUser
}

// sender says who sent a request of a known user: as From says, if that is
// his; or, if he is anonymous in From, his first address, to be told to nobody
// (RFC 3323, 4.1). ok is false when From is somebody else.
func (r *record) sender(req *sip.Message) (p presence.Principal, ok bool) {
	private := wantsPrivacy(req)
	aor, ok := r.owns(&req.From)
	if !ok {
		// RFC 5767, 5.1.2: a user agent that sees to its privacy itself need not ask
		// for it with Privacy.
		if !namesNobody(&req.From.URI) {
			return p, false
		}
		aor, private = r.aors[0], true
	}
	return presence.NewPrincipal(aor, presence.MechanismDigest).With("", private), true
}

// nobody admits the digest user "anonymous": an unauthenticated principal. From
// must not say that it is one of our users.
func (a *Authenticator) nobody(req *sip.Message) Verdict {
	if aor, err := req.From.URI.AOR(); err == nil && !namesNobody(&req.From.URI) && a.dir.Serves(aor.Domain()) {
		return refuse(&a.stats.Foreign, statusForbidden, "From Is Not Yours")
	}
	a.stats.Anonymous.Add(1)
	return Verdict{Principal: presence.NewPrincipal(presence.Anonymous, presence.MechanismAnonymous)}
}

// Nameless reports whether a request says, by Privacy or by an anonymous From, that
// its sender is to be named to nobody. It need not be right, nor known.
func Nameless(req *sip.Message) bool { return wantsPrivacy(req) || namesNobody(&req.From.URI) }

// wantsPrivacy reports whether the sender asked that its identity be told to
// nobody: Privacy with "id" (RFC 3325, 9.3), "user" or "header" (RFC 3323, 4.2);
// "none" beside them has no meaning and does not take them back.
func wantsPrivacy(req *sip.Message) bool {
	n := 0
	for i := range req.Headers {
		h := &req.Headers[i]
		if h.ID != sip.HeaderPrivacy {
			continue
		}
		for value := range strings.SplitSeq(h.Value, ";") {
			if n++; n > maxPrivacy {
				return true // who asks so much asks for privacy
			}
			value = strings.ToLower(strings.Trim(value, " \t"))
			if slices.Contains(privacyValues[:], value) {
				return true
			}
		}
	}
	return false
}

var privacyValues = [...]string{"id", "user", "header"}
