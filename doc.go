// Package tacit is the root of the module and holds no code, only the tests of
// its shape: which package may import which, and which other modules are used.
// The server is in cmd/tacit; ARCHITECTURE.md explains the packages.
package tacit
