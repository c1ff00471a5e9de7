// Package edge carries SIP over UDP, TCP, TLS and WebSocket (RFC 3261, 18;
// RFC 7118): it cuts what arrives into messages, bounds what a peer may cost,
// and sends bytes down a flow. It knows nothing of transactions: what a message
// means is its Handler's business.
package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/tacit-presence/tacit/sip"
)

var (
	// ErrFlowGone says that the flow's connection or socket is not there any more.
	ErrFlowGone = errors.New("edge: flow is gone")
	// ErrQueueFull says that the peer takes its messages too slowly.
	ErrQueueFull = errors.New("edge: connection's queue is full")
	// ErrTooLarge says that the message does not fit the flow's transport.
	ErrTooLarge = errors.New("edge: message too large for the transport")
	// ErrTooMany says that a connection would be one more than the limit.
	ErrTooMany = errors.New("edge: too many connections")
	// ErrMayNotDial says that Config.MayDial does not allow the address.
	ErrMayNotDial = errors.New("edge: address may not be dialled")
	// ErrClosed says that Shutdown has begun.
	ErrClosed = errors.New("edge: closed")
)

// Handler is told what arrives. Its methods are called on the reading
// goroutine, so messages of one connection, or of one UDP socket with one
// reader, come in order; they must not block long.
type Handler interface {
	// Receive owns m and must Release it. err is not nil when m was not
	// understood; then it is a *sip.StatusError, and m.Answerable says whether
	// m holds what an answer needs.
	Receive(m *sip.Message, flow sip.Flow, err error)
	// FlowClosed says that a connection ended. It is not called for those that
	// Shutdown ends.
	FlowClosed(flow sip.Flow)
}

// SendFailer is what a Handler may offer beside: it is told that a message
// accepted by Send could not be delivered since no connection came about.
// flow is as it was given to Send.
type SendFailer interface {
	SendFailed(flow sip.Flow)
}

// Config is what an Edge needs; only Handler has no default.
type Config struct {
	Handler Handler
	Limits  sip.Limits // zero: sip.DefaultLimits

	MaxConnections int // open connections of all kinds; 0: DefaultMaxConnections
	MaxPerAddress  int // of one IPv4 address or IPv6 /64; 0: DefaultMaxPerAddress; negative: no limit
	MaxQueue       int // bytes waiting on one connection; 0: DefaultMaxQueue
	UDPReaders     int // goroutines reading one UDP socket; 0: 1, which keeps a peer's datagrams in order
	UDPSwitchSize  int // a larger request goes by TCP if Options.SwitchTCP; 0: DefaultUDPSwitchSize

	IdleTimeout       time.Duration // silence in both directions before a connection is closed
	PinnedIdleTimeout time.Duration // the same for a pinned connection
	HeaderTimeout     time.Duration // from a message's first byte to its last
	HandshakeTimeout  time.Duration // TLS
	WriteTimeout      time.Duration // for one write of what is queued
	DialTimeout       time.Duration // TCP and TLS handshake together

	TLS       *tls.Config // of tls and wss listeners
	TLSClient *tls.Config // of connections we open; nil: the system's roots

	// OriginOK decides on a WebSocket handshake that has an Origin (from a
	// browser); host is the Host header. nil: the origin's host must be host.
	OriginOK func(origin, host string) bool
	// MayDial must allow an address before Options.Dial opens a connection to
	// it; nil allows none.
	MayDial func(netip.Addr) bool
	// Dial opens a TCP connection; nil: net.Dialer.
	Dial func(ctx context.Context, to netip.AddrPort) (net.Conn, error)

	Logger   *slog.Logger // nil: none
	Counters *Counters    // nil: an own one
}

// Options of one Send.
type Options struct {
	// Dial allows a new connection to flow.Remote when flow.Conn is 0 or gone:
	// the caller vouches that the address is a configured peer's.
	Dial bool
	// ServerName is whom the certificate of a dialled TLS peer must name;
	// empty: its IP address.
	ServerName string
	// SwitchTCP says that the peer at flow.Remote may be tried by TCP: a request
	// above Config.UDPSwitchSize then goes that way (RFC 3261, 18.1.1). The
	// caller vouches that flow.Remote is a proven source or a configured peer.
	SwitchTCP bool
}

// Edge is all listeners and connections of one server. Its methods may be
// called by any goroutine.
type Edge struct {
	cfg Config
}

// Counters count what happened, by kind. All only grow, but Connections.
type Counters struct {
	Received [sip.TransportWSS + 1]atomic.Uint64 // messages, parsed or not, by sip.Transport
	Sent     [sip.TransportWSS + 1]atomic.Uint64 // messages written or queued, by sip.Transport
}

// New makes an Edge without listeners.
func New(cfg Config) *Edge { return &Edge{cfg: cfg} }

// ServeUDP reads datagrams from pc until Shutdown; it returns at once. The
// Edge owns pc from now on.
func (e *Edge) ServeUDP(pc net.PacketConn) error { return ErrClosed }

// ServeStream accepts connections from l, for TCP or TLS, until Shutdown; it
// returns at once. l accepts plain connections: TLS is done here.
func (e *Edge) ServeStream(l net.Listener, t sip.Transport) error { return ErrClosed }

// ServeWS accepts WebSocket connections from l until Shutdown; it returns at
// once. l accepts plain connections: for wss TLS is done here.
func (e *Edge) ServeWS(l net.Listener, secure bool) error { return ErrClosed }

// ListenUDP opens a UDP socket with large buffers and logs what the kernel
// grants. An address without a host, or [::], takes IPv4 and IPv6.
func ListenUDP(addr string, log *slog.Logger) (*net.UDPConn, error) { return nil, ErrClosed }

// ListenStream opens a TCP listener, for any of the other transports.
func ListenStream(addr string) (net.Listener, error) { return net.Listen("tcp", addr) }

// Send writes msg to flow and does not keep it. A datagram leaves at once;
// for a connection msg is queued, and nil means no more than that. Errors:
// ErrFlowGone, ErrQueueFull, ErrTooLarge, ErrTooMany, ErrMayNotDial, ErrClosed,
// or that of the UDP socket.
func (e *Edge) Send(flow sip.Flow, msg []byte, o Options) error { return ErrFlowGone }

// Alive reports whether flow can be sent to without dialling.
func (e *Edge) Alive(flow sip.Flow) bool { return false }

// Pin adds n to the connection's pins: while there are any (subscriptions live
// on it) PinnedIdleTimeout holds for it.
func (e *Edge) Pin(flow sip.Flow, n int) {}

// Connections is how many connections are open now, those being dialled and in
// their handshake included.
func (e *Edge) Connections() int { return 0 }

// Counters gives the counters in use.
func (e *Edge) Counters() *Counters { return e.cfg.Counters }

// Shutdown stops accepting and reading, writes what is queued, and closes
// everything; when ctx ends first, it closes at once and returns ctx's error.
func (e *Edge) Shutdown(ctx context.Context) error { return nil }
