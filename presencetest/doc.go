// Package presencetest runs the whole server in memory: a [World] is a server
// core over a store fake and an in-memory network, with user agents that behave
// as RFC 3261 and RFC 6665 want them to and complain of a server that does not.
// [Run] plays a scenario written as a text file in a world of its own.
//
// A world belongs in a testing/synctest bubble: then hours pass at once, and
// after [World.Settle] nothing is left to happen without time passing. Its parts
// are for tests alone.
package presencetest
