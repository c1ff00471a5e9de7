// Package sip is SIP as text and as state machines, without sockets and clock:
// the message grammar (RFC 3261, 25), framing of streams, building of responses,
// non-INVITE transactions (17.1.2 and 17.2.2), dialogs (12) and digest
// authentication (RFC 7616, RFC 8760).
//
// Parsing is strict: what two readers might understand differently is refused,
// and each tolerance is named where it is granted (Message.Parse, Via,
// ParseCredentials). Parsing a usual message allocates nothing; everything
// parsed is a piece of the one string that was given.
package sip
