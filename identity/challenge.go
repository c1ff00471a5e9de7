package identity

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tacit-presence/tacit/sip"
)

// offer is what clients whose User-Agent begins with agent are challenged with.
type offer struct {
	agent      string
	algorithms []sip.Algorithm
}

// offeredQOP is in every challenge (RFC 8760, 2.6, item 8); as one string,
// which need not be joined each time.
var offeredQOP = []string{qopAuth + "," + qopAuthInt}

// challengeSize holds a usual challenge of three algorithms.
const challengeSize = 640

// makeOffers keeps of byAgent what is among the algorithms; an offer of which
// nothing is left is no offer.
func (a *Authenticator) makeOffers(byAgent map[string][]sip.Algorithm) error {
	for agent, algorithms := range byAgent {
		o := offer{agent: agent}
		for _, alg := range algorithms {
			if algorithmIndex(alg) < 0 || slices.Contains(o.algorithms, alg) {
				return fmt.Errorf("identity: digest algorithm %q for %q is unknown or given twice", alg, agent)
			}
			if slices.Contains(a.algorithms, alg) {
				o.algorithms = append(o.algorithms, alg)
			}
		}
		if agent != "" && len(o.algorithms) > 0 {
			a.offers = append(a.offers, o)
		}
	}
	slices.SortFunc(a.offers, func(x, y offer) int {
		return cmp.Or(cmp.Compare(len(y.agent), len(x.agent)), cmp.Compare(x.agent, y.agent))
	})
	return nil
}

// offer is what to challenge a client of that User-Agent with.
func (a *Authenticator) offer(agent string) []sip.Algorithm {
	for _, o := range a.offers {
		if strings.HasPrefix(agent, o.agent) {
			return o.algorithms
		}
	}
	return a.algorithms
}

// realm is the realm to challenge with: the domain that the client belongs to
// if it is ours, else the one it asks, else the default one.
func (a *Authenticator) realm(req *sip.Message) string {
	if d := a.dir.served(req.From.URI.Host); d != "" {
		return d
	}
	if u, err := sip.ParseURI(req.RequestURI); err == nil {
		if d := a.dir.served(u.Host); d != "" {
			return d
		}
	}
	return a.dir.domains[0]
}

// challenge makes the header fields of a 401.
func (a *Authenticator) challenge(req *sip.Message, src netip.Addr, now time.Time, stale bool) Verdict {
	agent := ""
	if len(a.offers) > 0 {
		agent, _ = req.Get(sip.HeaderUserAgent)
	}
	var ends [len(algorithmOrder)]int
	all, n := a.challenges(&ends, a.realm(req), a.offer(agent), src, now, stale)
	headers := make([]sip.Header, n)
	start := 0
	for i, end := range ends[:n] {
		headers[i] = sip.Header{ID: sip.HeaderWWWAuthenticate, Name: "WWW-Authenticate", Value: all[start:end]}
		start = end
	}
	return Verdict{Challenges: headers}
}

// challenges makes n challenges, one an algorithm, as one string, and says where
// each ends. They share one nonce, as the client will answer one of them. stale
// tells the client that its credentials are right but must be computed anew,
// without asking the user (RFC 7616, 3.3).
func (a *Authenticator) challenges(ends *[len(algorithmOrder)]int, realm string, algorithms []sip.Algorithm, src netip.Addr, now time.Time, stale bool) (all string, n int) {
	var nonceBuf [64]byte
	c := sip.Challenge{
		Realm: realm,
		Nonce: string(a.nonces.append(nonceBuf[:0], src, now)),
		QOP:   offeredQOP,
		Stale: stale,
	}
	var buf [challengeSize]byte
	text := buf[:0]
	for i, alg := range algorithms {
		c.Algorithm = alg
		text = c.Append(text)
		ends[i] = len(text)
	}
	return string(text), len(algorithms)
}
