// Package policy is all that decides who may do what: which source may speak for
// a presentity, how a subscription is handled, and what of the composed presence
// a watcher may see. Nothing else in the program takes such a decision.
package policy

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tacit-presence/tacit/location"
	"github.com/tacit-presence/tacit/presence"
)

// ErrNotYourPresentity says that a source may not speak for a presentity.
var ErrNotYourPresentity = errors.New("not your presentity")

// ErrHandling says that a text names no handling.
var ErrHandling = errors.New("no decision: write block, confirm, polite-block or allow")

// Handling is what happens to a subscription, with the values of RFC 5025,
// 3.2.1: of several, the largest counts.
type Handling uint8

// The handlings.
const (
	Block       Handling = 0  // refused
	Confirm     Handling = 10 // pending until the presentity decides
	PoliteBlock Handling = 20 // accepted, and told that the presentity is unavailable
	Allow       Handling = 30 // accepted, and told what Permissions allow
)

var handlings = [...]struct {
	handling Handling
	name     string
}{{Block, "block"}, {Confirm, "confirm"}, {PoliteBlock, "polite-block"}, {Allow, "allow"}}

// String gives the name that RFC 5025, 3.2.1 has for it.
func (h Handling) String() string {
	for _, k := range handlings {
		if k.handling == h {
			return k.name
		}
	}
	return fmt.Sprintf("Handling(%d)", uint8(h))
}

// ParseHandling reads a handling by its name; else its error is ErrHandling.
func ParseHandling(s string) (Handling, error) {
	for _, k := range handlings {
		if k.name == s {
			return k.handling, nil
		}
	}
	return Block, fmt.Errorf("%w, not %q", ErrHandling, s)
}

// floor makes a value that is no handling, which only a damaged record can hold,
// the next smaller one.
func (h Handling) floor() Handling {
	best := Block
	for _, k := range handlings {
		if k.handling <= h {
			best = k.handling
		}
	}
	return best
}

// Rules are what a presentity has decided. Nothing but a field that is set anew
// changes them while they are used, and one goroutine uses them at a time.
type Rules struct {
	// Decisions are watcher by watcher: each is a rule whose one condition is that
	// identity. One that allows grants everything, the others nothing.
	Decisions map[presence.AOR]Handling
	// Sets are all the presentity's documents of authorization rules (RFC 5025,
	// 9.7). They are stored elsewhere.
	Sets []NamedSet `cbor:"-" json:"-"`
	// Preferences are the presentity's own document beside them; nil: none. They
	// are stored elsewhere too.
	Preferences *Preferences `cbor:"-" json:"-"`
	// Unreadable says that some of the documents cannot be read any more. They may
	// have refused somebody: then nobody but the presentity is told anything, save
	// by the operator's overrides.
	Unreadable bool `cbor:"-" json:"-"`

	engine *engine // made when it is needed
}

// NamedSet is a document of authorization rules with its name, which reasons have
// before a rule's id. The name may be empty.
type NamedSet struct {
	Name string
	*RuleSet
}

// Uses says what decisions depend on beside the watcher. r may be nil.
func (r *Rules) Uses() Uses {
	var u Uses
	if r == nil {
		return u
	}
	for _, s := range r.Sets {
		u = u.union(s.Uses())
	}
	return u.union(r.Preferences.Uses())
}

// Set makes the decision on one watcher.
func (r *Rules) Set(watcher presence.AOR, h Handling) {
	if r.Decisions == nil {
		r.Decisions = make(map[presence.AOR]Handling)
	}
	r.Decisions[watcher] = h
}

// Remove takes the decision on one watcher back: Facts.Default holds again.
func (r *Rules) Remove(watcher presence.AOR) { delete(r.Decisions, watcher) }

// Decision is what Decide found, with the reason. The zero value blocks.
type Decision struct {
	Handling    Handling
	Permissions Permissions      // nothing unless Handling is Allow
	Until       time.Time        // when it must be taken again; zero: nothing but a change of what it depends on changes it
	Location    location.Options // what a location is told with beside Permissions; the caller's
	// Matched is the reason: one of the Matched constants, or the rules that match,
	// separated by commas: each a set's name, a slash and the rule's id, or the
	// watcher of Rules.Decisions.
	Matched string
	// Capped names the operator's ceilings that took something away, and Raised its
	// overrides that gave something, each as Matched does. Their use is recorded.
	Capped, Raised string
}

// The reasons of a Decision that no rule gave.
const (
	MatchedNobody  = "unauthenticated" // the watcher is not known, and no rule is about such
	MatchedOwner   = "owner"           // the watcher is the presentity
	MatchedDefault = "default"         // no rule is about the watcher
	// MatchedAuthentication: rules are about the watcher, or the default is, but it
	// has not proven its identity as Preferences require.
	MatchedAuthentication = "authentication"
	MatchedUnreadable     = "unreadable document" // of Rules.Unreadable
)

// Facts are what a decision depends on beside the rules.
type Facts struct {
	// Default is for a known watcher whom no rule matches, unless Preferences say
	// otherwise. Its zero value denies.
	Default Handling
	// Owner says that the watcher is the presentity itself, by any of its
	// addresses, and so sees everything.
	Owner bool
	// Nameless is the name that a Private watcher has to this presentity (see
	// presence.Nameless): Decisions may be about it. Empty: none.
	Nameless presence.AOR
	// Surroundings are the presentity's, for rules that ask for them (Rules.Uses).
	Surroundings Surroundings
	// Lists says whether a watcher is in a list that rules name. Nil: in none.
	Lists func(listURI string, who presence.Principal) bool
	// Ceilings are the operator's: each rule of them that matches a watcher bounds
	// what the presentity's rules have given, in handling and in permissions; what
	// such a rule does not say is bounded to the least. Nil: none.
	Ceilings *RuleSet
	// Overrides are the operator's too: what those of them that match grant is
	// granted whatever the presentity's rules and the ceilings say. Nil: none.
	Overrides *RuleSet
}

// AllowSource says whether who may publish for the presentity with the addresses
// in owner: today the presentity alone. Otherwise it returns
// ErrNotYourPresentity. It asks nothing of the document: the RFC leaves its
// entity free, and it is replaced.
func AllowSource(who presence.Principal, owner []presence.AOR) error {
	if who.Known() && slices.Contains(owner, who.AOR()) {
		return nil
	}
	return ErrNotYourPresentity
}
