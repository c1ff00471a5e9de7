package identity

import (
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/sip"
)

// maxAsserted bounds the values of P-Asserted-Identity: RFC 3325, 9.1 allows
// two, RFC 5876, 4.5 wants more to be ignored.
const maxAsserted = 8

// maxTel bounds a tel URI: numbers have 15 digits (E.164), and their context may be
// a domain, of 253 letters (RFC 3966, 3).
const maxTel = 320

// anonymousHost is the host of addresses that name nobody (RFC 3323, 4.1.1.3).
const anonymousHost = "anonymous.invalid"

// asserted takes the identity from a request of a trusted address. Without a
// sip, sips or tel URI in P-Asserted-Identity ok is false, and the request is like
// anyone's. Credentials beside it do not matter: what they prove was for the
// one who asserts to check.
//
// RFC 3325, 9.1 and RFC 5876, 4.5: the first sip or sips URI counts, a tel URI may
// stand beside it or alone, and whatever else there is must be ignored.
func (a *Authenticator) asserted(req *sip.Message) (v Verdict, ok bool) {
	if _, there := req.Get(sip.HeaderPAssertedIdentity); !there {
		return Verdict{}, false
	}
	n, found := 0, false
	var first sip.NameAddr
	var tel presence.AOR
	for value := range req.Values(sip.HeaderPAssertedIdentity) {
		if n++; n > maxAsserted {
			return refuse(&a.stats.Malformed, statusBadRequest, "Too Many Asserted Identities"), true
		}
		addr, err := sip.ParseNameAddr(value)
		if err != nil {
			return refuse(&a.stats.Malformed, statusBadRequest, "Malformed P-Asserted-Identity"), true
		}
		switch addr.URI.Scheme {
		case "sip", "sips":
			if !found {
				first, found = addr, true
			}
		case "tel":
			if tel == "" {
				tel = telAOR(&addr.URI)
			}
		}
	}
	switch {
	case found:
		return a.assert(req, &first, tel), true
	case tel != "":
		a.stats.Asserted.Add(1)
		return Verdict{Principal: presence.NewPrincipal(tel, presence.MechanismAsserted).With("", wantsPrivacy(req))}, true
	}
	return Verdict{}, false
}

// telAOR makes a tel URI comparable; empty if it is too long to be one.
func telAOR(u *sip.URI) presence.AOR {
	aor, err := u.Tel()
	if err != nil || len(aor) > maxTel {
		return ""
	}
	return aor
}

func (a *Authenticator) assert(req *sip.Message, addr *sip.NameAddr, tel presence.AOR) Verdict {
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
	who := presence.NewPrincipal(aor, presence.MechanismAsserted)
	if private := Nameless(req); private || tel != "" {
		who = who.With(tel, private)
	}
	return Verdict{Principal: who}
}
