// Package client is a SIP presence user agent: it publishes and watches
// presence on any server that keeps RFC 3261, 3856, 3903 and 6665.
//
//	c, err := client.Dial(ctx, client.Config{User: "alice@example.com", Password: "secret"})
//	p, err := c.Publish(ctx, client.PIDF("sip:alice@example.com", "open", "at my desk", "working"), client.PIDFType, time.Hour)
//	s, err := c.Subscribe(ctx, "bob@example.com", client.SubscribeOptions{})
//	for n := range s.Notifications() { ... }
//
// Every request goes to Config.Server, as to an outbound proxy (RFC 3261,
// 8.1.2); over UDP a NOTIFY may come from anywhere. All methods may be called
// from several goroutines at once.
package client

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/tacit-presence/tacit/sip"
)

// defaultTimeout is Timer F: 64*T1 (RFC 3261, 17.1.2.2).
const defaultTimeout = 32 * time.Second

// Pauses between attempts to get a lost connection or subscription back: they
// double from the first to the last, so that a server that restarts is found
// soon and one that is gone is not hammered.
const (
	firstPause = 500 * time.Millisecond
	lastPause  = time.Minute
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

// LogValue leaves the password out.
func (c Config) LogValue() slog.Value {
	return slog.GroupValue(slog.String("server", c.Server), slog.String("transport", c.Transport),
		slog.String("user", c.User))
}

// Client is a user agent with one flow to its server.
type Client struct {
	cfg      Config
	log      *slog.Logger
	endpoint endpoint
	tls      *tls.Config // nil unless the transport needs it
	aor      string      // the own address-of-record, with scheme
	userPart string      // of the own Contact
	domain   string
	authUser string
	timers   sip.Timers
	pause    time.Duration // the first pause

	dialing chan struct{} // holds one token: who has it may dial
	done    chan struct{} // closed by Close
	wg      sync.WaitGroup

	registration registration

	mu       sync.Mutex // guards all below, never held while sending
	closed   bool
	link     *link
	pending  map[string]chan *sip.Message // by branch
	usages   map[string]*usage            // by Call-ID
	sessions []*session                   // digest challenges to answer in advance
}

// Dial connects. Nothing is sent but what a TLS or WebSocket handshake needs.
func Dial(ctx context.Context, cfg Config) (*Client, error) {
	c, err := newClient(cfg)
	if err != nil {
		return nil, err
	}
	if _, err := c.flow(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

func newClient(cfg Config) (*Client, error) {
	if cfg.Transport == "" {
		cfg.Transport = "udp"
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "tacit"
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	transport, ok := sip.ParseTransport(cfg.Transport)
	if !ok {
		return nil, fmt.Errorf("%w: transport %q is none of udp, tcp, tls, ws, wss", ErrConfig, cfg.Transport)
	}
	user, aor, err := parseAddress(cfg.User)
	if err != nil {
		return nil, err
	}
	if user.User == "" {
		return nil, fmt.Errorf("%w: %q has no user part", ErrConfig, cfg.User)
	}
	if cfg.Server == "" {
		cfg.Server = "sip:" + user.Host
	}
	c := &Client{
		cfg: cfg, log: cfg.Logger, aor: aor, userPart: user.User, domain: user.Host,
		authUser: cfg.AuthUser, timers: sip.DefaultTimers, pause: firstPause,
		dialing: make(chan struct{}, 1), done: make(chan struct{}),
		pending: map[string]chan *sip.Message{}, usages: map[string]*usage{},
	}
	c.registration.init()
	if c.authUser == "" {
		c.authUser = user.User
	}
	if c.endpoint, err = parseServer(cfg.Server, transport); err != nil {
		return nil, err
	}
	if transport == sip.TransportTLS || transport == sip.TransportWSS {
		if c.tls, err = tlsConfig(cfg, c.endpoint.host); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func tlsConfig(cfg Config, host string) (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: cfg.ServerName}
	if t.ServerName == "" {
		t.ServerName = host
	}
	if cfg.CAFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(cfg.CAFile)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	t.RootCAs = x509.NewCertPool()
	if !t.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%w: %s holds no PEM certificate", ErrConfig, cfg.CAFile)
	}
	return t, nil
}

// Close ends the connection and all subscriptions here, without telling the
// server: what it holds expires there. It always returns nil.
func (c *Client) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	l := c.link
	close(c.done)
	c.mu.Unlock()
	if l != nil {
		l.fail(ErrClosed)
	}
	c.wg.Wait()
	return nil
}

// start runs f in a goroutine that Close waits for, unless c is closed.
func (c *Client) start(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.wg.Go(f)
	}
	return !c.closed
}

// newTag makes a tag, Call-ID or branch suffix of 128 random bits.
func newTag() string { return rand.Text() }
