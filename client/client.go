// Package client is a SIP presence user agent: it publishes and watches
// presence on any server that keeps RFC 3261, 3856, 3903 and 6665.
//
//	c, err := client.Dial(ctx, client.Config{Server: "127.0.0.1:5060", User: "alice@example.com", Password: "secret"})
//	p, err := c.Publish(ctx, client.PIDF("sip:alice@example.com", "open", "at my desk", "working"), client.PIDFType, time.Hour)
//	s, err := c.Subscribe(ctx, "sip:bob@example.com", client.SubscribeOptions{})
//	for n := range s.Notifications() { ... }
//
// Every request goes to Config.Server, as to an outbound proxy, and answers and
// NOTIFYs may come from anywhere. All methods may be called from several
// goroutines at once.
package client

import (
	"context"
	"log/slog"
	"time"
)

// Config says which server to use, and as whom.
type Config struct {
	// Server is "host[:port]" or "sip:domain[:port]"; for ws and wss also a URL
	// with a path. Empty: the domain of User. The default port is 5060, for tls
	// 5061, for ws 80, for wss 443. For a domain without a port the SRV records
	// are asked first (RFC 3263, 4.2).
	Server string
	// Transport is "udp" (the default), "tcp", "tls", "ws" or "wss".
	Transport string
	// User is the own address-of-record: "sip:alice@example.com" or
	// "alice@example.com". It is the only field that must be set.
	User string
	// AuthUser is the user name for digest authentication; empty: the user
	// part of User.
	AuthUser string
	Password string
	// CAFile holds PEM certificates to trust instead of the system's, for tls
	// and wss.
	CAFile string
	// ServerName is the name to find in the server's certificate; empty: the
	// host or domain of Server.
	ServerName string
	// AssertedIdentity is sent as P-Asserted-Identity if not empty: for tests
	// from an address that the server trusts (RFC 3325).
	AssertedIdentity string
	// UserAgent is the User-Agent header field; empty: "tacit".
	UserAgent string
	// Timeout bounds one request with all its repetitions; 0: 32 s, the RFC's
	// 64*T1.
	Timeout time.Duration
	// Logger gets what no caller is told, such as a reconnection; nil: nothing
	// is logged.
	Logger *slog.Logger
}

// Client is a user agent with one flow to its server.
type Client struct{ _ int }

// Dial connects. Nothing is sent but what a TLS or WebSocket handshake needs.
func Dial(ctx context.Context, cfg Config) (*Client, error) { return nil, nil }

// Close ends the connection and all subscriptions here, without telling the
// server: what it holds expires there.
func (c *Client) Close() error { return nil }

// Register binds this client's address to the user for the time expires (RFC
// 3261, 10.2). It is not repeated by itself.
func (c *Client) Register(ctx context.Context, expires time.Duration) error { return nil }

// Unregister removes what Register made.
func (c *Client) Unregister(ctx context.Context) error { return nil }
