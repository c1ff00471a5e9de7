// Package presence holds the words of the field as types: who is watched, who
// watches, who publishes, and by what proof. It has no behaviour beyond naming
// and comparing, and imports nothing of Tacit.
package presence

import (
	"log/slog"
	"strings"
)

// AOR is a canonical address-of-record: "sip:user@host", host in lower case, user
// unescaped where RFC 3261, 19.1.2 lets it be, without port and parameters. sip:,
// sips: and pres: forms of one address share one AOR. A watcher's may be of the form
// "tel:+15551234", with the parameters that tell numbers apart.
// Only sip.URI.AOR and sip.URI.Tel make one from outside input.
type AOR string

// User returns the part before the '@'.
func (a AOR) User() string {
	u, _, _ := strings.Cut(strings.TrimPrefix(string(a), "sip:"), "@")
	return u
}

// Domain returns the part after the '@', in lower case.
func (a AOR) Domain() string {
	_, d, _ := strings.Cut(string(a), "@")
	return d
}

// Presentity names a presentity by the first of its addresses-of-record; the
// others are its aliases (RFC 4479, 3.1: one presentity, several URIs).
type Presentity AOR

// EntityTag is an opaque entity-tag of RFC 3903, 4.1.
type EntityTag string

// EventPackage is the name of an event package, such as "presence".
type EventPackage string

// Mechanism says how a Principal was proven.
type Mechanism uint8

// The mechanisms. Their numbers are stored and do not change.
const (
	// MechanismNone is the zero value: no identity at all.
	MechanismNone Mechanism = iota
	// MechanismAsserted is P-Asserted-Identity from a trusted address (RFC 3325).
	MechanismAsserted
	// MechanismDigest is digest authentication (RFC 7616, 8760).
	MechanismDigest
	// MechanismAnonymous is the digest user "anonymous" with an empty password
	// (RFC 3261, 22.1): nobody is known, but who sent it receives at the address
	// that it came from.
	MechanismAnonymous
)

// String returns the mechanism's name.
func (m Mechanism) String() string {
	return [...]string{"none", "asserted", "digest", "anonymous"}[m]
}

// Anonymous is the address-of-record of everybody who is not known.
const Anonymous AOR = "sip:anonymous@anonymous.invalid"

// Nameless is the address by which a presentity decides about a watcher that wants
// to be nameless (Principal.Private): name is what it is called to this presentity
// alone. Nobody can prove to have such an address.
func Nameless(name string) AOR { return AOR("sip:" + name + "@anonymous.invalid") }

// ParseNameless makes a Nameless address of the id that such a watcher has in
// watcher information: its name, a point, and what tells its subscriptions apart.
func ParseNameless(id string) (a AOR, ok bool) {
	const name, rest = 20, 8
	if len(id) != name+1+rest || id[name] != '.' || strings.Trim(id[:name]+id[name+1:], "0123456789abcdef") != "" {
		return "", false
	}
	return Nameless(id[:name]), true
}

// Principal is who sent a request. It can be made by package identity alone (a
// test at the root of the module holds this), so holding one with Known true
// means that somebody has checked it. The zero value is nobody. It is
// comparable.
type Principal struct {
	aor       AOR
	also      AOR
	mechanism Mechanism
	private   bool
}

// NewPrincipal is for package identity only.
func NewPrincipal(aor AOR, m Mechanism) Principal { return Principal{aor: aor, mechanism: m} }

// AOR returns the verified address-of-record; Anonymous if it is not Known.
func (p Principal) AOR() AOR { return p.aor }

// Also returns a second identity that was asserted beside AOR, such as
// "tel:+15551234", empty if there is none (RFC 3325, 9.1).
func (p Principal) Also() AOR { return p.also }

// Mechanism returns how it was proven.
func (p Principal) Mechanism() Mechanism { return p.mechanism }

// Known reports whether p is an authenticated identity.
func (p Principal) Known() bool {
	return p.mechanism != MechanismNone && p.mechanism != MechanismAnonymous
}

// Present reports whether p may be dealt with at all: it is Known, or
// unauthenticated at an address that has answered a challenge.
func (p Principal) Present() bool { return p.mechanism != MechanismNone }

// Private reports that p is Known but has asked that its identity be told to
// nobody (RFC 3323, 4.2; RFC 3325, 9.3: Privacy "id"). Rules match it; whoever
// is told of it is told Anonymous.
func (p Principal) Private() bool { return p.private }

// With is for package identity only: p with a second identity, and private or not.
func (p Principal) With(also AOR, private bool) Principal {
	p.also, p.private = also, private
	return p
}

// Shown is the address that others may read: Anonymous for who is not Known or
// is Private.
func (p Principal) Shown() AOR {
	if !p.Known() || p.private {
		return Anonymous
	}
	return p.aor
}

// LogValue keeps logs short and uniform, and tells no private identity.
func (p Principal) LogValue() slog.Value {
	if !p.Present() {
		return slog.StringValue("nobody")
	}
	return slog.StringValue(string(p.Shown()) + " (" + p.mechanism.String() + ")")
}
