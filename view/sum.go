package view

import "github.com/tacit-presence/tacit/pidf"

// sum hashes a document.
func sum(s string) uint64 { return pidf.Sum(s) }
