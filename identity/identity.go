// Package identity says who sent a request. It keeps the users that the domains
// have provisioned (Directory) and turns a request into a presence.Principal
// (Authenticator): by digest authentication (RFC 7616, RFC 8760), or by the
// P-Asserted-Identity of a trusted address (RFC 3325, RFC 5876). It is the one
// package that makes Principals.
//
// # What an outsider may learn
//
// A request without valid credentials gets a challenge that is computed from
// the request, a key made at start and a counter; nothing is kept for it. A name
// that is nobody's and a wrong password take the same steps and get the same
// answer.
package identity

import (
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/sip"
)

// Verdict says who sent a request, or what to answer instead. Exactly one of
// these holds: Principal.Known(), len(Challenges) > 0, Status != 0.
type Verdict struct {
	Principal presence.Principal
	// Challenges are the WWW-Authenticate header fields of a 401, preferred
	// first (RFC 8760, 2.3). A presence agent never answers 407 (RFC 6665,
	// 4.2.1.3).
	Challenges []sip.Header
	// Status is 400 or 403, Reason the phrase for its status line.
	Status int
	Reason string
}

// RestorePrincipal gives back a Principal from a record in the store. aor and m
// must be those of a Principal that Identify made before.
func RestorePrincipal(aor presence.AOR, m presence.Mechanism) presence.Principal {
	return presence.NewPrincipal(aor, m)
}

// RestorePrivate is RestorePrincipal for one that had a second identity, or that
// nobody may be told of.
func RestorePrivate(aor presence.AOR, m presence.Mechanism, also presence.AOR, private bool) presence.Principal {
	return presence.NewPrincipal(aor, m).With(also, private)
}

// DefaultAlgorithms is the offer that lets in every softphone we know but one,
// and lets none that can do better fall back to MD5: linphone 5.1 takes the
// first challenge and cannot do SHA-512-256; pjsua takes SHA-256; finch, SIP.js
// 0.21 and JsSIP 3.13 know MD5 alone.
func DefaultAlgorithms() []sip.Algorithm {
	return []sip.Algorithm{sip.AlgorithmSHA256, sip.AlgorithmSHA512256, sip.AlgorithmMD5}
}

// ToleranceMD5ByUserAgent is a tolerance, for Config.ByUserAgent: baresip 1.0.0
// gives up when a 401 holds any challenge beside MD5, whatever the order, so
// that it is offered MD5 alone. It costs those who name themselves baresip the
// better algorithms; nobody else, as every configured algorithm is accepted
// from everybody. Without effect where MD5 is not among Config.Algorithms.
func ToleranceMD5ByUserAgent() map[string][]sip.Algorithm {
	return map[string][]sip.Algorithm{"baresip": {sip.AlgorithmMD5}}
}

// Supposed is a Principal for a question, such as what somebody would be told:
// who is not known for presence.Anonymous, else aor as such an address is proven
// here: by digest if it is of a domain of ours, and asserted if it is not. No
// request is ever let in with it.
func Supposed(aor presence.AOR, ours func(domain string) bool) presence.Principal {
	switch {
	case aor == presence.Anonymous:
		return presence.NewPrincipal(aor, presence.MechanismAnonymous)
	case ours(aor.Domain()):
		return presence.NewPrincipal(aor, presence.MechanismDigest)
	}
	return presence.NewPrincipal(aor, presence.MechanismAsserted)
}
