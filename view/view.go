// Package view makes final documents.
package view

import (
	"github.com/tacit-presence/tacit/filter"
	"github.com/tacit-presence/tacit/presence"
)

// Final is what a watcher may be told.
type Final struct {
	body string
	sum  uint64
}

// Body returns the document.
func (f Final) Body() string { return f.body }

// ContentType returns its media type.
func (f Final) ContentType() string { return "" }

// Sum is a hash of the body.
func (f Final) Sum() uint64 { return f.sum }

// None reports that there is nothing to tell.
func (f Final) None() bool { return f.body == "" }

// Finish makes the final document.
func Finish(f filter.Filtered, p presence.Presentity, entity string) Final { return Final{} }

// Unavailable is the document that tells nothing.
func Unavailable(p presence.Presentity, entity string) Final { return Final{} }
