package edge

import (
	"sync/atomic"

	"github.com/tacit-presence/tacit/sip"
)

// Counters count what happened, by kind. They only grow.
type Counters struct {
	Received [sip.TransportWSS + 1]atomic.Uint64 // messages, understood or not, by sip.Transport
	Sent     [sip.TransportWSS + 1]atomic.Uint64 // datagrams written and messages queued, by sip.Transport

	// Keep-alives: those of UDP are dropped, pings on connections are answered.
	KeepAliveCRLF atomic.Uint64 // UDP: nothing but CR and LF
	KeepAliveNUL  atomic.Uint64 // UDP: nothing but NUL, or nothing at all
	KeepAliveSTUN atomic.Uint64 // UDP: RFC 5389, 6
	Pings         atomic.Uint64 // connections: CRLFCRLF

	ParseErrors    atomic.Uint64 // messages that Parse refused
	FramingErrors  atomic.Uint64 // connections closed since no message could be cut
	Oversize       atomic.Uint64 // messages above Limits, whatever the transport
	HeaderTimeouts atomic.Uint64 // connections closed in the middle of a message
	IdleTimeouts   atomic.Uint64 // connections closed for silence
	Panics         atomic.Uint64 // caught; each is a defect

	Accepted        atomic.Uint64 // connections
	RefusedTotal    atomic.Uint64 // connections above MaxConnections
	RefusedAddress  atomic.Uint64 // connections above MaxPerAddress
	RefusedOrigin   atomic.Uint64 // WebSocket handshakes from a foreign origin
	RefusedUpgrade  atomic.Uint64 // HTTP requests that are no SIP WebSocket handshake
	HandshakeErrors atomic.Uint64 // TLS handshakes that failed, incoming
	AcceptErrors    atomic.Uint64
	UDPReadErrors   atomic.Uint64

	Dialled      atomic.Uint64 // connections opened by us
	DialErrors   atomic.Uint64
	Switched     atomic.Uint64 // requests too large for UDP that went by TCP (RFC 3261, 18.1.1)
	SwitchFailed atomic.Uint64 // addresses found not to speak TCP
	QueueFull    atomic.Uint64 // messages refused since the peer is slow
	SendErrors   atomic.Uint64 // datagrams the socket did not take, and connections that failed in writing
}
