package edge

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/tacit-presence/tacit/sip"
)

// Config is what an Edge needs; only Handler has no default.
type Config struct {
	Handler Handler
	Limits  sip.Limits // zero: sip.DefaultLimits

	MaxConnections int // open connections of all kinds; 0: DefaultMaxConnections
	MaxPerAddress  int // of one IPv4 address or IPv6 /64; 0: DefaultMaxPerAddress; negative: no limit
	MaxQueue       int // bytes waiting on one connection; 0: DefaultMaxQueue
	UDPReaders     int // goroutines reading one UDP socket; 0: 1, which is cheapest and keeps a peer's datagrams in order
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

// The defaults of Config.
const (
	DefaultMaxConnections = 20000   // 350 MB if all are TLS and idle (17 KB each)
	DefaultMaxPerAddress  = 1000    // an office behind one address
	DefaultMaxQueue       = 1 << 20 // hundreds of NOTIFYs for a proxy that pauses
	DefaultUDPSwitchSize  = 1300    // RFC 3261, 18.1.1: for an unknown path MTU

	DefaultIdleTimeout       = 5 * time.Minute  // RFC 5626, 4.4.1: clients ping every 95 to 120 s
	DefaultPinnedIdleTimeout = 2 * time.Hour    // a subscription is usually refreshed within one
	DefaultHeaderTimeout     = 32 * time.Second // RFC 3261's 64*T1, after which nobody waits for the answer
	DefaultHandshakeTimeout  = 10 * time.Second // some round trips over a bad mobile link
	DefaultWriteTimeout      = 20 * time.Second // a peer that takes nothing for so long is gone
	DefaultDialTimeout       = 5 * time.Second  // two retransmissions of SYN
)

// fill sets the defaults.
func (c *Config) fill() {
	orInt := func(p *int, d int) {
		if *p == 0 {
			*p = d
		}
	}
	orTime := func(p *time.Duration, d time.Duration) {
		if *p == 0 {
			*p = d
		}
	}
	orInt(&c.Limits.MaxMessage, sip.DefaultLimits.MaxMessage)
	orInt(&c.Limits.MaxHeaders, sip.DefaultLimits.MaxHeaders)
	orInt(&c.Limits.MaxHeader, sip.DefaultLimits.MaxHeader)
	c.Limits.MaxHeader = min(c.Limits.MaxHeader, c.Limits.MaxMessage)
	orInt(&c.MaxConnections, DefaultMaxConnections)
	orInt(&c.MaxPerAddress, DefaultMaxPerAddress)
	orInt(&c.MaxQueue, DefaultMaxQueue)
	orInt(&c.UDPReaders, 1)
	orInt(&c.UDPSwitchSize, DefaultUDPSwitchSize)
	orTime(&c.IdleTimeout, DefaultIdleTimeout)
	orTime(&c.PinnedIdleTimeout, DefaultPinnedIdleTimeout)
	orTime(&c.HeaderTimeout, DefaultHeaderTimeout)
	orTime(&c.HandshakeTimeout, DefaultHandshakeTimeout)
	orTime(&c.WriteTimeout, DefaultWriteTimeout)
	orTime(&c.DialTimeout, DefaultDialTimeout)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Counters == nil {
		c.Counters = new(Counters)
	}
	if c.OriginOK == nil {
		c.OriginOK = sameOrigin
	}
	if c.TLSClient == nil {
		c.TLSClient = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if c.Dial == nil {
		c.Dial = func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", to.String())
		}
	}
}
