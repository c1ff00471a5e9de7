package identity

import (
	"iter"
	"sync/atomic"
)

// Stats counts what became of the requests that Identify saw, one counter each.
type Stats struct {
	Accepted  atomic.Uint64 // right credentials on a fresh nonce, and From is the user's
	Asserted  atomic.Uint64 // identity asserted by a trusted address
	Anonymous atomic.Uint64 // right credentials of the user "anonymous"

	Challenged atomic.Uint64 // no credentials for our realms
	Wrong      atomic.Uint64 // credentials that are not right: unknown name, wrong password, algorithm or uri
	Stale      atomic.Uint64 // right, but the nonce has expired or is not ours
	Replayed   atomic.Uint64 // right, but this use of the nonce was seen or can no longer be told from a seen one
	Foreign    atomic.Uint64 // right, but From is not the user's: 403
	Malformed  atomic.Uint64 // credentials or asserted identity unreadable: 400
	NoQOP      atomic.Uint64 // credentials without qop where they are not allowed: 400
	Nobody     atomic.Uint64 // asserted identity that names nobody: 403
}

// All yields the counters by the names that metrics give them.
func (s *Stats) All() iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) {
		for _, c := range [...]struct {
			name string
			n    *atomic.Uint64
		}{
			{"accepted", &s.Accepted},
			{"asserted", &s.Asserted},
			{"anonymous", &s.Anonymous},
			{"challenged", &s.Challenged},
			{"wrong", &s.Wrong},
			{"stale", &s.Stale},
			{"replayed", &s.Replayed},
			{"foreign_from", &s.Foreign},
			{"malformed", &s.Malformed},
			{"no_qop", &s.NoQOP},
			{"asserted_nobody", &s.Nobody},
		} {
			if !yield(c.name, c.n.Load()) {
				return
			}
		}
	}
}
