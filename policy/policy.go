// Package policy decides who may see what.
package policy

import (
	"errors"
	"time"

	"github.com/tacit-presence/tacit/compose"
	"github.com/tacit-presence/tacit/presence"
)

// ErrNotYourPresentity says that a source may not speak for a presentity.
var ErrNotYourPresentity = errors.New("not your presentity")

// Handling is what happens to a subscription (RFC 5025, 3.2.1).
type Handling uint8

// The handlings.
const (
	Block       Handling = 0
	Confirm     Handling = 10
	PoliteBlock Handling = 20
	Allow       Handling = 30
)

func (h Handling) String() string { return "" }

// ParseHandling reads one.
func ParseHandling(s string) (Handling, bool) { return Block, false }

// Rules are a presentity's.
type Rules struct {
	Decisions map[presence.AOR]Handling
}

// Set sets a watcher's decision.
func (r *Rules) Set(watcher presence.AOR, h Handling) {}

// Remove takes a watcher's decision back.
func (r *Rules) Remove(watcher presence.AOR) {}

// Permissions say what may be seen; comparable.
type Permissions struct{ all bool }

// Decision is what Decide finds.
type Decision struct {
	Handling    Handling
	Permissions Permissions
	Until       time.Time
	Matched     string
}

// Facts are what a decision depends on beside the rules.
type Facts struct {
	Default Handling
	Owner   bool
}

// Decide decides.
func Decide(r *Rules, who presence.Principal, now time.Time, f Facts) Decision { return Decision{} }

// Candidate is what authorisation has left.
type Candidate struct{ raw compose.Raw }

// Apply is the privacy filter.
func Apply(raw compose.Raw, d Decision) Candidate { return Candidate{} }

// AllowSource says whether who may speak for the presentity with those addresses.
func AllowSource(who presence.Principal, owner []presence.AOR) error { return nil }
