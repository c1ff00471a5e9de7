package policy

import (
	"slices"
	"strings"
	"time"

	"github.com/tacit-presence/tacit/location"
	"github.com/tacit-presence/tacit/presence"
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
