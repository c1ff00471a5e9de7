// Package server wires all packages into one running presence server: it reads
// the configuration, opens store and listeners, and offers what operators do to
// a running or stopped server.
package server

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/tacit-presence/tacit/gate"
	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/sip"
)

// Config is what a server needs to run; localserve makes one from flags, serve
// from a file.
type Config struct {
	Dir     string   // state: database, certificates, control socket
	Domains []string // the first is the default realm
	Listen  []Listener
	// Advertise is the HOST[:PORT] put in Via, Contact and Record-Route instead of a wildcard or private address.
	Advertise string

	Trust []netip.Prefix // addresses whose P-Asserted-Identity is believed
	Peers []netip.Prefix // addresses that may be dialled because a Contact or Record-Route names them

	DefaultDecision policy.Handling
	Composition     string        // "union" or "newest"
	MinInterval     time.Duration // least time between two NOTIFYs of one subscription
	GiveUp          time.Duration // how long who waits for a decision is remembered; 0: a week
	MinExpires      time.Duration // shorter requests get 423
	MaxExpires      time.Duration // longer ones are shortened
	Digest          Digest
	Privacy         Privacy

	CertFile, KeyFile string   // TLS; empty: made from a CA in Dir
	HTTP, HTTPS       string   // HOST:PORT; empty: closed
	ClearXCAP         bool     // XCAP on HTTP too, where that is a loopback address
	TestUsage         bool     // the XCAP application usages of RFC 4825's examples
	WSOrigins         []string // allowed Origin hosts for WebSocket; empty: same host and the domains

	Limits Limits
	Logger *slog.Logger
}

// Listener is one SIP listener.
type Listener struct {
	Transport sip.Transport
	Address   string // HOST:PORT
}

// Digest configures digest authentication.
type Digest struct {
	Algorithms []sip.Algorithm // offered to a client that nothing is known of, preferred first
	// ByUserAgent overrides the offer for clients whose User-Agent begins with the key: a tolerance for baresip 1.0.
	ByUserAgent map[string][]sip.Algorithm
	AllowNoQOP  bool // RFC 2069 clients, one-use nonces: a tolerance for finch
	NonceLife   time.Duration
}

// Limits bound memory and time.
type Limits struct {
	MaxMessage       int           // bytes of one SIP message
	MaxConnections   int           // open stream connections
	MaxPerAddress    int           // of them from one IPv4 address or IPv6 /64; negative: no limit
	MaxTransactions  int           // server transactions kept
	MaxSubscriptions int           // of one watcher to one presentity
	MaxPublications  int           // of one presentity
	Budgets          gate.Budgets  // what one watcher may ask
	IdleTimeout      time.Duration // a silent connection without subscriptions
	HeaderTimeout    time.Duration // from a message's first byte to its last
}

// Admin is what an operator can do; the control socket offers it on a running
// server and Offline on a stopped one.
type Admin interface {
	Users() ([]UserInfo, error)
	AddUser(u NewUser) error      // ErrExists
	RemoveUser(name string) error // ErrNoUser
	SetPassword(name, password string) error

	SetRule(p, watcher presence.AOR, h policy.Handling) error // ErrNoUser when p is nobody's; effective when it returns
	RemoveRule(p, watcher presence.AOR) error
	Rules(p presence.AOR) ([]RuleInfo, error) // p empty: of all
	Pending(p presence.AOR) ([]SubInfo, error)
	RulesAdmin

	Subs(p presence.AOR) ([]SubInfo, error) // p empty: all
	EndSub(id string) error                 // terminated;reason=deactivated... ErrNoSuch
	Pubs(p presence.AOR) ([]PubInfo, error)
	EndPub(id string) error

	// Trace calls fn for each SIP message to or from the user, secrets redacted, until ctx ends. Running server only (ErrStopped).
	Trace(ctx context.Context, user presence.AOR, fn func(TraceLine) error) error
	Health() Health
}

// NewUser is a user to add. AORs empty: sip:Name@<default domain>.
type NewUser struct {
	Name     string         `json:"name"`
	Password string         `json:"password"`
	Domain   string         `json:"domain"` // realm; empty: the default domain
	AORs     []presence.AOR `json:"aors,omitempty"`
}

// UserInfo is one provisioned user.
type UserInfo struct {
	Name   string         `json:"name"`
	Domain string         `json:"domain"`
	AORs   []presence.AOR `json:"aors"`
}

// RuleInfo is one per-watcher decision.
type RuleInfo struct {
	// Presentity is whose decision it is; empty where one's rules were asked for.
	Presentity presence.Presentity `json:"presentity,omitempty"`

	Watcher  presence.AOR `json:"watcher"`
	Decision string       `json:"decision"`
}

// SubInfo is one live subscription.
type SubInfo struct {
	ID         string              `json:"id"`
	Presentity presence.Presentity `json:"presentity"`
	Entity     string              `json:"entity"`
	Watcher    presence.AOR        `json:"watcher"` // presence.Anonymous: it is not known, or wants to be nameless
	Event      string              `json:"event"`
	State      string              `json:"state"` // as the watcher is told: active, pending
	Waits      bool                `json:"waits"` // for the presentity's decision, told or not
	Expires    time.Time           `json:"expires"`
	Contact    string              `json:"contact"` // empty of one who wants to be nameless
	Flow       string              `json:"flow"`    // "UDP 192.0.2.1:5060", or "gone"
}

// PubInfo is one live publication.
type PubInfo struct {
	ID         string              `json:"id"` // its entity-tag
	Presentity presence.Presentity `json:"presentity"`
	Modified   time.Time           `json:"modified"`
	Expires    time.Time           `json:"expires"`
	Size       int                 `json:"size"`
}

// TraceLine is one SIP message seen.
type TraceLine struct {
	Time time.Time `json:"time"`
	In   bool      `json:"in"`
	Flow string    `json:"flow"`
	Text string    `json:"text"`
}

// Health is what /healthz tells.
type Health struct {
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
}
