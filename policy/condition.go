package policy

import (
	"slices"
	"strings"
	"time"

	"github.com/tacit-presence/tacit/location"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/sip"
)

// conditionKind is the kind of a condition, in the order in which they are asked.
type conditionKind uint8

const (
	neverHolds conditionKind = iota // not known, or not as it should be: RFC 4745, 7
	byMechanism
	byAnonymity
	byIdentity
	bySphere
	byList
	byLocation
)

// condition is a condition that time alone does not change.
type condition struct {
	kind     conditionKind
	text     string // of neverHolds: why
	identity *identity
	words    []string // the tokens of a sphere, mechanisms, or URIs of lists
	place    *location.Condition
}

// asking is one question to rules.
type asking struct {
	who presence.Principal
	// ids and domains are the watcher's n identities (RFC 5025, 3.1.1.2: each that
	// is asserted, and no aliases); none if it is not known.
	ids, domains [2]string
	n            int
	now          time.Time
	facts        *Facts
	until        time.Time // when the answer may change
	clock        clock
}

func ask(who presence.Principal, now time.Time, f *Facts) asking {
	a := asking{who: who, now: now, facts: f}
	if !who.Known() {
		return a
	}
	for _, id := range [...]presence.AOR{who.AOR(), who.Also()} {
		if id != "" {
			a.ids[a.n], a.domains[a.n] = string(id), strings.TrimSuffix(id.Domain(), ".")
			a.n++
		}
	}
	return a
}

// soon notes an instant at which the answer may change.
func (a *asking) soon(t time.Time) {
	if t.After(a.now) && (a.until.IsZero() || t.Before(a.until)) {
		a.until = t
	}
}

func (c *condition) holds(a *asking) bool {
	switch c.kind {
	case byIdentity:
		return c.identity.holds(a)
	case byMechanism:
		return slices.Contains(c.words, a.who.Mechanism().String())
	case byAnonymity:
		return !a.who.Known() || a.who.Private()
	case bySphere:
		return a.facts.Surroundings.Sphere.in(c.words)
	case byList:
		if !a.who.Known() || a.facts.Lists == nil {
			return false
		}
		for _, uri := range c.words {
			if a.facts.Lists(uri, a.who) {
				return true
			}
		}
	case byLocation:
		return a.facts.Surroundings.in(c.place)
	}
	return false
}

// holds reports whether all conditions hold but other-identity, and notes when
// time may change that. Time changes nothing while another condition does not
// hold.
func (r *rule) holds(a *asking) bool {
	for i := range r.conditions {
		if !r.conditions[i].holds(a) {
			return false
		}
	}
	if r.other && !a.who.Known() {
		return false
	}
	all := true
	for i := range r.times {
		now, next := a.clock.at(&r.times[i], a.now)
		a.soon(next)
		all = all && now
	}
	return all
}

// identity is <identity>. It holds for the authenticated alone.
type identity struct {
	ids  []string // sorted
	many []many
}

// many is <many>: everybody of a domain, or of all, but for exceptions.
type many struct {
	domain        string // empty: any
	exceptIDs     []string
	exceptDomains []string
}

func (id *identity) holds(a *asking) bool {
	for i := range a.n {
		if has(id.ids, a.ids[i]) {
			return true
		}
	}
	for i := range id.many {
		if id.many[i].holds(a) {
			return true
		}
	}
	return false
}

// holds: one identity in the domain is enough to be in, and one excepted to be
// out (RFC 5025, 3.1.1.2).
func (m *many) holds(a *asking) bool {
	in := false
	for i := range a.n {
		if has(m.exceptIDs, a.ids[i]) || has(m.exceptDomains, a.domains[i]) {
			return false
		}
		in = in || m.domain == "" || m.domain == a.domains[i]
	}
	return in
}

// name is an identity of a rule in the form that compares.
type name struct {
	text string
	// exact is false where the principals' form says less than the rule does: an
	// exception holds for it, a permission does not.
	exact bool
}

// canonicalID gives the form of a URI in which principals have theirs: that of
// presence.AOR, and of a tel URI the number without visual separators (RFC 3966,
// 4). A number's parameters, which principals' have lost, make it another number.
// RFC 5025, 3.1.1.2: URIs of different schemes are never equivalent; sip, sips
// and pres URIs of one address are one identity here.
func canonicalID(uri string) (name, bool) {
	u, err := sip.ParseURI(trimSpace(uri))
	if err != nil {
		return name{}, false
	}
	switch u.Scheme {
	case "sip", "sips", "pres":
		aor, err := u.AOR()
		return name{string(aor), true}, err == nil
	case "tel":
		number := strings.Map(func(r rune) rune {
			if strings.ContainsRune("-.()", r) {
				return -1
			}
			return r
		}, u.User)
		return name{"tel:" + strings.ToLower(number), u.Params == ""}, true
	}
	return name{u.Scheme + ":" + u.User, true}, true
}

// canonicalDomain gives the form of a domain that compares. RFC 4745, 7.1.3 has
// percent-encoding undone and names compared as ToASCII makes them; a name that
// is not ASCII fails, and must be written as it stands in the DNS.
func canonicalDomain(s string) (string, bool) {
	s = trimSpace(s)
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			if i+2 >= len(s) || hexDigit(s[i+1]) < 0 || hexDigit(s[i+2]) < 0 {
				return "", false
			}
			c = byte(hexDigit(s[i+1])<<4 | hexDigit(s[i+2]))
			i += 2
		}
		switch {
		case c >= 'A' && c <= 'Z':
			c |= 0x20
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', strings.IndexByte("-._[]:", c) >= 0:
		default:
			return "", false
		}
		b = append(b, c)
	}
	name := strings.TrimSuffix(string(b), ".")
	return name, name != ""
}

func hexDigit(c byte) int {
	if c >= 'A' && c <= 'F' {
		c |= 0x20
	}
	return strings.IndexByte("0123456789abcdef", c)
}
