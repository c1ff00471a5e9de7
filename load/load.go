// Package load drives any SIP presence server with many presentities and
// watchers, and measures what it answers, how fast, and at what cost.
package load

import (
	"context"
	"io"
	"time"
)

// Phase selects what a run does.
type Phase string

// The phases. PhasePublish runs against subscriptions of nobody: it measures
// PUBLISH alone.
const (
	PhaseBoth      Phase = "both"
	PhaseSubscribe Phase = "subscribe"
	PhasePublish   Phase = "publish"
)

// Config describes one run. Zero values get the defaults that are named.
type Config struct {
	Server    string // host:port
	Transport string // "udp" (default) or "tcp"
	Domain    string // of all users; default "example.com"

	Presentities int // default 100
	Watchers     int // of each presentity; default 10
	// Users and WatcherPattern make user names from a number, counted from 0;
	// defaults "user%d", "watcher%d". Watcher j watches every presentity, unless
	// DistinctWatchers gives each subscription an identity of its own.
	Users            string
	WatcherPattern   string
	DistinctWatchers bool

	// AssertedIdentity sends P-Asserted-Identity, for a server that trusts this
	// address.
	AssertedIdentity bool
	// Password answers digest challenges; it may hold %d for the user's number.
	Password string

	BodySize int // bytes of each published document; default 1024
	// Rate is PUBLISHes per second; 0: closed loop with Window outstanding
	// PUBLISHes (default 64). At most one is outstanding for a presentity.
	Rate     float64
	Window   int
	Duration time.Duration // measured; default 10 s
	Warmup   time.Duration // published but not measured, after one PUBLISH of each; default 2 s
	Settle   time.Duration // wait for late NOTIFYs at the end; default 3 s

	SubscribeExpires time.Duration // default 1 h
	SubscribeRate    float64       // SUBSCRIBEs per second; 0: closed loop with SubscribeWindow outstanding
	SubscribeWindow  int           // default 64
	PublishExpires   time.Duration // default 1 h

	Phase Phase // default PhaseBoth
	// Sockets is how many sockets (or connections) the watchers share, and the
	// publishers too; default 1 each.
	Sockets int
	// Coalescing says that the server may skip states, so that fewer NOTIFYs
	// than PUBLISHes are no loss.
	Coalescing bool

	// ServerPIDs are the processes to measure, with all that descend from them.
	ServerPIDs []int
	Progress   io.Writer // gets a line each second; nil: none
}

// Report is what a run measured.
type Report struct{ _ int }

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error { return nil }

// Run drives the server as cfg says.
func Run(ctx context.Context, cfg Config) (*Report, error) { return nil, nil }
