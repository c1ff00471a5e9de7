// Package policy is all that decides who may do what: which source may speak for
// a presentity, how a subscription is handled, and what of the composed presence
// a watcher may see. Nothing else in the program takes such a decision.
package policy

import (
	"errors"
	"fmt"
	"time"

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

// Rules are what a presentity has decided. Today it decides watcher by watcher;
// the rule sets of RFC 5025 will be further fields, of which Decisions is the
// simplest case: a rule whose one condition is that identity. A change makes a
// new value: a Rules in use is not changed.
type Rules struct {
	Decisions map[presence.AOR]Handling
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
	Permissions Permissions
	Until       time.Time // when it must be taken again; zero: nothing but a change of rules changes it
	Matched     string    // the reason: one of the Matched constants, or the watcher of Rules.Decisions
}

// The reasons of a Decision that no rule gave.
const (
	MatchedNobody  = "unauthenticated" // the watcher is not known
	MatchedOwner   = "owner"           // the watcher is the presentity
	MatchedDefault = "default"         // no rule is about the watcher
)

// Facts are what a decision depends on beside the rules.
type Facts struct {
	// Default is for a watcher whom no rule names. Its zero value denies.
	Default Handling
	// Owner says that the watcher is the presentity itself, by any of its
	// addresses, and so sees everything.
	Owner bool
}

// Decide says how a subscription of who is handled, and what it may see. It
// denies by default: a principal who is not known is blocked whatever the rules
// say, and Facts.Default, which holds where no rule does, denies unless the
// domain says otherwise. r may be nil. The time will matter to rules with a
// validity.
func Decide(r *Rules, who presence.Principal, _ time.Time, f Facts) Decision {
	switch {
	case !who.Known():
		return Decision{Matched: MatchedNobody}
	case f.Owner:
		return decision(Allow, MatchedOwner)
	}
	if r != nil {
		if h, ok := r.Decisions[who.AOR()]; ok {
			return decision(h, string(who.AOR()))
		}
	}
	return decision(f.Default, MatchedDefault)
}

func decision(h Handling, matched string) Decision {
	d := Decision{Handling: h.floor(), Matched: matched}
	if d.Handling == Allow {
		d.Permissions = Everything()
	}
	return d
}

// AllowSource says whether who may publish for the presentity with the addresses
// in owner: today the presentity alone. Otherwise it returns
// ErrNotYourPresentity. It asks nothing of the document: the RFC leaves its
// entity free, and it is replaced.
func AllowSource(who presence.Principal, owner []presence.AOR) error {
	if who.Known() {
		for _, a := range owner {
			if a == who.AOR() {
				return nil
			}
		}
	}
	return ErrNotYourPresentity
}
