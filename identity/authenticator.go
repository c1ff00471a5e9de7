package identity

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tacit-presence/tacit/sip"
)

const (
	// DefaultNonceLife is how long a nonce is fresh: a stolen request that was
	// never delivered is worthless after that. It costs a client one round
	// trip in that time.
	DefaultNonceLife = 5 * time.Minute
	// DefaultMaxNonces is how many nonces in use are remembered, in about 6 MB.
	DefaultMaxNonces = 1 << 16
)

// Config configures an Authenticator.
type Config struct {
	Directory *Directory
	// Algorithms are offered to a client that nothing is known of, preferred
	// first, and are the only ones accepted. Empty: DefaultAlgorithms.
	Algorithms []sip.Algorithm
	// ByUserAgent overrides the offer, within Algorithms, for clients whose
	// User-Agent begins with the key; see ToleranceMD5ByUserAgent.
	ByUserAgent map[string][]sip.Algorithm
	// AllowNoQOP is a tolerance: finch (libpurple 2.14) ignores the qop that it
	// is offered and answers as RFC 2069 says. Its response covers neither nc
	// nor cnonce, so that such a client's nonce serves for one request.
	AllowNoQOP bool
	NonceLife  time.Duration // 0: DefaultNonceLife
	MaxNonces  int           // 0: DefaultMaxNonces
	// Trusted are the addresses whose P-Asserted-Identity is believed; none by
	// default. They are the trust domain of RFC 3325, 1.
	Trusted []netip.Prefix
}

// Authenticator says who sent requests. Its methods may be called from several
// goroutines.
type Authenticator struct {
	dir        *Directory
	algorithms []sip.Algorithm
	offers     []offer // longest User-Agent first, the default last
	allowNoQOP bool
	life       time.Duration
	trusted    []netip.Prefix

	nonces *nonces
	used   *replayTable
	// decoys stand in for the HA1 of whom there is none, one an algorithm.
	decoys [len(algorithmOrder)]string
	// anonymous are the HA1s of the user of that name, by realm.
	anonymous map[string][len(algorithmOrder)]string
	digest    func(ha1 string, c sip.Credentials, m sip.Method, body string) (string, error)
	stats     Stats
}

// NewAuthenticator makes an Authenticator with new keys, so that no nonce made
// before is fresh to it.
func NewAuthenticator(cfg Config) (*Authenticator, error) {
	a := &Authenticator{
		dir:        cfg.Directory,
		algorithms: slices.Clone(cfg.Algorithms),
		allowNoQOP: cfg.AllowNoQOP,
		life:       cfg.NonceLife,
		digest:     sip.DigestResponse,
	}
	if a.dir == nil {
		return nil, errors.New("identity: no directory is given")
	}
	if a.life == 0 {
		a.life = DefaultNonceLife
	}
	if len(a.algorithms) == 0 {
		a.algorithms = DefaultAlgorithms()
	}
	for i, alg := range a.algorithms {
		// RFC 8760, 2.3: challenges of one realm differ in algorithm.
		if algorithmIndex(alg) < 0 || slices.Contains(a.algorithms[:i], alg) {
			return nil, fmt.Errorf("identity: digest algorithm %q is unknown or given twice", alg)
		}
	}
	for _, p := range cfg.Trusted {
		a.trusted = append(a.trusted, unmapped(p).Masked())
	}
	if err := a.makeOffers(cfg.ByUserAgent); err != nil {
		return nil, err
	}
	maxNonces := cfg.MaxNonces
	if maxNonces == 0 {
		maxNonces = DefaultMaxNonces
	}
	a.used = newReplayTable(maxNonces)
	var err error
	if a.nonces, err = newNonces(); err != nil {
		return nil, err
	}
	return a, errors.Join(a.makeDecoys(), a.makeAnonymous())
}

// makeDecoys makes HA1s of the right form that belong to no password.
func (a *Authenticator) makeDecoys() error {
	for i, size := range [...]int{16, 32, 32} {
		b := make([]byte, size)
		if _, err := rand.Read(b); err != nil {
			return fmt.Errorf("identity: %w", err)
		}
		a.decoys[i] = hex.EncodeToString(b)
	}
	return nil
}

// unmapped turns ::ffff:192.0.2.0/120 into 192.0.2.0/24, as sources are compared.
func unmapped(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

// Stats returns the counters.
func (a *Authenticator) Stats() *Stats { return &a.stats }

// Nonces returns how many nonces in use are remembered.
func (a *Authenticator) Nonces() int { return a.used.len() }

// Identify says who sent req, which came from the address from, or what to
// answer. It must be asked once a request: the same one again is a replay.
//
// That From and To of a REGISTER fit (RFC 3261, 10.3) is for the registrar to
// check.
func (a *Authenticator) Identify(req *sip.Message, from netip.AddrPort, now time.Time) Verdict {
	src := from.Addr().Unmap().WithZone("")
	if a.trusts(src) {
		if v, asserted := a.asserted(req); asserted {
			return v
		}
	}
	c, found, err := a.credentials(req)
	switch {
	case err != nil:
		return refuse(&a.stats.Malformed, statusBadRequest, "Malformed Authorization")
	case !found:
		a.stats.Challenged.Add(1)
		return a.challenge(req, src, now, false)
	}
	return a.verify(req, c, src, now)
}

func (a *Authenticator) trusts(src netip.Addr) bool {
	for _, p := range a.trusted {
		if p.Contains(src) {
			return true
		}
	}
	return false
}

// The statuses of a Verdict.
const (
	statusBadRequest = 400
	statusForbidden  = 403
)

func refuse(counter *atomic.Uint64, status int, reason string) Verdict {
	counter.Add(1)
	return Verdict{Status: status, Reason: reason}
}
