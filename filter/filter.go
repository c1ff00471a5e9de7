// Package filter applies a watcher's own filter.
package filter

import "github.com/tacit-presence/tacit/policy"

// Filter is a watcher's filter.
type Filter struct{}

// Filtered is what it left.
type Filtered struct{ c policy.Candidate }

// Apply filters.
func Apply(c policy.Candidate, f Filter) Filtered { return Filtered{c} }
