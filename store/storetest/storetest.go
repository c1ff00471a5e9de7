// Package storetest is the conformance suite of package store: what every
// engine must do, and what its users may build on.
package storetest
