package server

import (
	"time"

	"github.com/tacit-presence/tacit/gate"
	"github.com/tacit-presence/tacit/identity"
	"github.com/tacit-presence/tacit/location"
	"github.com/tacit-presence/tacit/policy"
)

// LocalConfig is localserve's configuration before its flags: throw-away
// users on loopback, every softphone let in, no waiting. It has no directory
// and no listeners.
func LocalConfig() Config {
	limits := defaultLimits().limits()
	limits.MaxPerAddress = -1       // on loopback everybody comes from one
	limits.Budgets = gate.Budgets{} // who tries it out may ask as often as he likes
	return Config{
		Domains:         []string{"example.com"},
		DefaultDecision: policy.Confirm,
		Composition:     "union",
		MinInterval:     0, // a person who tries it out wants to see each change
		MinExpires:      time.Second,
		MaxExpires:      time.Hour,
		Digest: Digest{
			// No single offer lets every softphone in: linphone takes the first
			// challenge and knows no SHA-512-256, SIP.js and JsSIP know MD5
			// alone, and baresip 1.0 enters only where MD5 is the one challenge.
			Algorithms:  identity.DefaultAlgorithms(),
			ByUserAgent: identity.ToleranceMD5ByUserAgent(),
			AllowNoQOP:  true, // libpurple answers as RFC 2069 had it
			NonceLife:   5 * time.Minute,
		},
		Privacy:   Privacy{ShowOverrides: true, ShowOperatorRules: true, Band: location.DefaultBand},
		ClearXCAP: true,
		TestUsage: true,
		Limits:    limits,
	}
}
