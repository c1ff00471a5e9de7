// Package presence holds the words of the field as types: who is watched, who
// watches, who publishes, and by what proof. It has no behaviour beyond naming
// and comparing, and imports nothing of Tacit.
package presence

import (
	"log/slog"
	"strings"
)

// AOR is a canonical address-of-record: always "sip:user@host", host in lower
// case, user unescaped where RFC 3261, 19.1.2 lets it be, without port and
// parameters. sip:, sips: and pres: forms of one address share one AOR.
// Only sip.URI.AOR makes one from outside input.
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

// The mechanisms, weakest first.
const (
	// MechanismNone is the zero value: no identity at all.
	MechanismNone Mechanism = iota
	// MechanismAsserted is P-Asserted-Identity from a trusted address (RFC 3325).
	MechanismAsserted
	// MechanismDigest is digest authentication (RFC 7616, 8760).
	MechanismDigest
)

// String returns the mechanism's name.
func (m Mechanism) String() string {
	return [...]string{"none", "asserted", "digest"}[m]
}

// Principal is a verified identity. It can be made by package identity alone
// (a test at the root of the module holds this), so holding one with Known true
// means that somebody has checked it. The zero value is nobody.
type Principal struct {
	aor       AOR
	mechanism Mechanism
}

// NewPrincipal is for package identity only.
func NewPrincipal(aor AOR, m Mechanism) Principal { return Principal{aor: aor, mechanism: m} }

// AOR returns the verified address-of-record.
func (p Principal) AOR() AOR { return p.aor }

// Mechanism returns how it was proven.
func (p Principal) Mechanism() Mechanism { return p.mechanism }

// Known reports whether p is an authenticated identity.
func (p Principal) Known() bool { return p.mechanism != MechanismNone }

// LogValue keeps logs short and uniform.
func (p Principal) LogValue() slog.Value {
	if !p.Known() {
		return slog.StringValue("nobody")
	}
	return slog.StringValue(string(p.aor) + " (" + p.mechanism.String() + ")")
}
