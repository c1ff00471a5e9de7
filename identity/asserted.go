package identity

import (
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/sip"
)

// maxAsserted bounds the values of P-Asserted-Identity: RFC 3325, 9.1 allows
// two, RFC 5876, 4.5 wants more to be ignored.
const maxAsserted = 8

// anonymousHost is the host of addresses that name nobody (RFC 3323, 4.1.1.3).
const anonymousHost = "anonymous.invalid"

// asserted takes the identity from a request of a trusted address. Without a
// sip or sips URI in P-Asserted-Identity ok is false, and the request is like
// anyone's. Credentials beside it do not matter: what they prove was for the
// one who asserts to check.
//
// RFC 5876, 4.5: the first sip or sips URI counts, a tel URI may stand beside
// it, and whatever else there is must be ignored.
func (a *Authenticator) asserted(req *sip.Message) (v Verdict, ok bool) {
	if _, there := req.Get(sip.HeaderPAssertedIdentity); !there {
		return Verdict{}, false
	}
	n := 0
	for value := range req.Values(sip.HeaderPAssertedIdentity) {
		if n++; n > maxAsserted {
			return refuse(&a.stats.Malformed, statusBadRequest, "Too Many Asserted Identities"), true
		}
		addr, err := sip.ParseNameAddr(value)
		if err != nil {
			return refuse(&a.stats.Malformed, statusBadRequest, "Malformed P-Asserted-Identity"), true
		}
		if s := addr.URI.Scheme; s != "sip" && s != "sips" {
			continue
		}
		return a.assert(&addr), true
	}
	return Verdict{}, false
}

func (a *Authenticator) assert(addr *sip.NameAddr) Verdict {
	var aor presence.AOR
	if r := a.dir.byAOR.get(presence.AOR(addr.RawURI)); r != nil {
		aor = r.spelled(addr.RawURI)
	}
	if aor == "" {
		var err error
		if aor, err = addr.URI.AOR(); err != nil {
			return refuse(&a.stats.Malformed, statusBadRequest, "Malformed P-Asserted-Identity")
		}
		if aor.User() == anonymousUser || aor.Domain() == anonymousHost {
			return refuse(&a.stats.Nobody, statusForbidden, "Asserted Identity Names Nobody")
		}
	}
	a.stats.Asserted.Add(1)
	return Verdict{Principal: presence.NewPrincipal(aor, presence.MechanismAsserted)}
}
