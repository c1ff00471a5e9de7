// Package peertest holds no code, only tests: they start the real program and
// drive it over real sockets with peers that share nothing with it (sipp,
// baresip, linphone, sipgo, and a user agent of its own of some hundred lines),
// with bad input, and with kill -9.
//
// The tests with installed programs run where TACIT_PEERS=1 is set, which
// `make test` does; without it they are skipped, and say so. With it, a program
// that lacks is a failure. TACIT_BINARY names a program to test instead of the
// one built from this source.
package peertest
