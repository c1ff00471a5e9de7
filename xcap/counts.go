package xcap

import (
	"iter"
	"net/http"
	"slices"
	"sync/atomic"
)

// countedMethods are told apart; a client may make up any number of others.
var countedMethods = [...]string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodPost, http.MethodOptions}

const (
	otherMethods = "other"
	// maxStatus is beyond any status of HTTP (RFC 9110, 15).
	maxStatus = 600
)

// Counts counts responses by method and status. Its zero value is ready, and may
// be used from everywhere at once.
type Counts struct {
	n [len(countedMethods) + 1][maxStatus]atomic.Uint64
}

// Counted is what responses are counted by.
type Counted struct {
	Method string // "other" for what is none of HTTP's usual
	Status int
}

// Add counts one response.
func (c *Counts) Add(method string, status int) {
	if status < 0 || status >= maxStatus {
		return
	}
	i := slices.Index(countedMethods[:], method)
	if i < 0 {
		i = len(countedMethods)
	}
	c.n[i][status].Add(1)
}

// All yields what has been counted at least once.
func (c *Counts) All() iter.Seq2[Counted, uint64] {
	return func(yield func(Counted, uint64) bool) {
		for i := range c.n {
			method := otherMethods
			if i < len(countedMethods) {
				method = countedMethods[i]
			}
			for status := range c.n[i] {
				if n := c.n[i][status].Load(); n > 0 && !yield(Counted{method, status}, n) {
					return
				}
			}
		}
	}
}
