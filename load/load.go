// Package load drives any SIP presence server with many presentities and
// watchers, and measures what it answers, how fast, and at what cost.
//
// Every published document carries a sequence number and its time, so that a
// watcher's NOTIFY tells which PUBLISH it belongs to and how old it is.
//
// The generator shares the machine with the server under test, so it is built
// to cost little: few sockets, ready-made messages, and a scan of what comes in
// that looks only at what the answer needs. It is not a strict SIP peer; package
// client is.
package load

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// ErrConfig means that Config makes no sense.
var ErrConfig = errors.New("load: wrong configuration")

// Phase selects what a run does.
type Phase string

// The phases.
const (
	PhaseBoth      Phase = "both"
	PhaseSubscribe Phase = "subscribe" // no PUBLISH at all
	PhasePublish   Phase = "publish"   // no watchers: PUBLISH alone is measured
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

	BodySize int // bytes of each published document, if it is not smaller than it can be; default 1024
	// Rich publishes two services, a place and more of a person, so that there is
	// something to keep from watchers.
	Rich bool
	// Classes say what watchers are to be told: watcher j of each presentity is of
	// class j modulo their number. None: nothing is looked at.
	Classes []Class
	// Rate is PUBLISHes per second; 0: closed loop with Window outstanding
	// PUBLISHes (default 64). At most one is outstanding for a presentity.
	Rate     float64
	Window   int
	Duration time.Duration // measured; default 10 s
	Warmup   time.Duration // published but not measured, after one PUBLISH of each; default 2 s
	Settle   time.Duration // wait for late NOTIFYs after each phase; default 3 s

	SubscribeExpires time.Duration // default 1 h; nothing is refreshed
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

// Class is what some watchers are to be told, by texts in the documents that hold
// a sequence number.
type Class struct {
	Has, Not []string
}

// Limits of one run: what fits a machine beside the server.
const (
	maxPresentities  = 1_000_000
	maxSubscriptions = 10_000_000
	maxSockets       = 1000
	maxBodySize      = 60 << 10 // a UDP datagram holds 65,507 bytes with the headers
	maxClasses       = 100      // each is a search in every document
)

// complete fills in defaults and checks.
func (c *Config) complete() error {
	set(&c.Transport, "udp")
	set(&c.Domain, "example.com")
	set(&c.Presentities, 100)
	set(&c.Watchers, 10)
	set(&c.Users, "user%d")
	set(&c.WatcherPattern, "watcher%d")
	set(&c.BodySize, 1024)
	set(&c.Window, 64)
	set(&c.SubscribeWindow, 64)
	set(&c.Duration, 10*time.Second)
	set(&c.Warmup, 2*time.Second)
	set(&c.Settle, 3*time.Second)
	set(&c.SubscribeExpires, time.Hour)
	set(&c.PublishExpires, time.Hour)
	set(&c.Phase, PhaseBoth)
	set(&c.Sockets, 1)
	if c.Progress == nil {
		c.Progress = io.Discard
	}
	for _, check := range []struct {
		ok   bool
		what string
	}{
		{c.Server != "", "no server"},
		{c.Transport == "udp" || c.Transport == "tcp", "transport " + c.Transport + " is neither udp nor tcp"},
		{c.Presentities > 0 && c.Presentities <= maxPresentities, "the number of presentities"},
		{c.Watchers > 0 && c.Watchers <= maxSubscriptions/c.Presentities, "the number of watchers"},
		{strings.Count(c.Users, "%d") == 1, "users " + c.Users + " has no %d"},
		{strings.Count(c.WatcherPattern, "%d") == 1, "watchers " + c.WatcherPattern + " has no %d"},
		{c.BodySize > 0 && c.BodySize <= maxBodySize, "the body size"},
		{c.Rate >= 0 && c.SubscribeRate >= 0, "a negative rate"},
		{c.Window > 0 && c.SubscribeWindow > 0, "a negative window"},
		{len(c.Classes) <= maxClasses, "the number of classes"},
		{c.Sockets > 0 && c.Sockets <= maxSockets, "the number of sockets"},
		{c.Phase == PhaseBoth || c.Phase == PhasePublish || c.Phase == PhaseSubscribe, "phase " + string(c.Phase)},
		{min(c.Duration, c.Warmup, c.Settle, c.SubscribeExpires, c.PublishExpires) > 0, "a negative duration"},
	} {
		if !check.ok {
			return fmt.Errorf("%w: %s", ErrConfig, check.what)
		}
	}
	return nil
}

// set gives a field its default.
func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c *Config) publishes() bool  { return c.Phase != PhaseSubscribe }
func (c *Config) subscribes() bool { return c.Phase != PhasePublish }

// user gives the address-of-record of presentity i.
func (c *Config) user(i int) string {
	return "sip:" + fmt.Sprintf(c.Users, i) + "@" + c.Domain
}

// watcherNumber gives the number of presentity i's watcher j.
func (c *Config) watcherNumber(i, j int) int {
	if c.DistinctWatchers {
		j += i * c.Watchers
	}
	return j
}

// password gives that of a user.
func (c *Config) password(number int) string {
	return strings.ReplaceAll(c.Password, "%d", strconv.Itoa(number))
}

// watcher gives the address-of-record of presentity i's watcher j.
func (c *Config) watcher(i, j int) string {
	return "sip:" + fmt.Sprintf(c.WatcherPattern, c.watcherNumber(i, j)) + "@" + c.Domain
}
