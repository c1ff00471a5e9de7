package main

import (
	"errors"
	"time"

	"github.com/tacit-presence/tacit/load"
)

type loadCmd struct {
	Server    string `placeholder:"HOST:PORT" default:"127.0.0.1:5060" help:"The server: one of yours."`
	Transport string `enum:"udp,tcp" default:"udp" help:"udp or tcp."`
	Domain    string `default:"example.com" help:"Domain of all users."`

	Presentities     int    `default:"100" help:"How many publish."`
	Watchers         int    `default:"10" help:"Watchers of each presentity."`
	Users            string `default:"user%d" help:"User names of presentities; %d is a number from 0."`
	WatcherPattern   string `default:"watcher%d" help:"User names of watchers; %d is a number from 0."`
	DistinctWatchers bool   `help:"A watcher of its own for each subscription, instead of each watcher watching all."`

	Asserted bool   `help:"Send P-Asserted-Identity, to a server that trusts this address (--trust)."`
	Password string `placeholder:"TEXT" env:"TACIT_PASSWORD" help:"Password of all users; it may hold %d for the user's number."`

	Body     int           `default:"1024" help:"Bytes of each published document."`
	Rate     float64       `default:"0" help:"PUBLISHes a second; 0: as fast as they are answered."`
	Window   int           `default:"64" help:"PUBLISHes outstanding where --rate is 0."`
	Duration time.Duration `default:"10s" help:"How long to measure."`
	Warmup   time.Duration `default:"2s" help:"How long to publish before."`
	Settle   time.Duration `default:"3s" help:"How long to wait for late NOTIFYs at the end."`

	SubscribeExpires time.Duration `default:"1h" help:"Expires of subscriptions."`
	SubscribeRate    float64       `default:"0" help:"SUBSCRIBEs a second; 0: as fast as they are answered."`
	SubscribeWindow  int           `default:"64" help:"SUBSCRIBEs outstanding where --subscribe-rate is 0."`
	PublishExpires   time.Duration `default:"1h" help:"Expires of publications."`

	Phase      string `enum:"both,subscribe,publish" default:"both" help:"both; subscribe alone; publish alone, with nobody watching."`
	Sockets    int    `default:"1" help:"Sockets (or connections) of the watchers, and of the publishers."`
	Coalescing bool   `help:"The server may leave out states that are followed at once: fewer NOTIFYs than PUBLISHes are no loss."`
	Pid        []int  `placeholder:"PID" help:"A process of the server, measured with its children; again for each."`
	Quiet      bool   `help:"No line of progress each second."`
}

// Run puts load on a server and prints what was measured.
func (c *loadCmd) Run(e *env) error {
	if min(c.Presentities, c.Watchers, c.Sockets, c.Window, c.SubscribeWindow) < 1 || c.Duration <= 0 {
		return usage("--presentities, --watchers, --sockets, --duration and the windows must be more than 0; for no watchers, --phase publish")
	}
	if min(c.Rate, c.SubscribeRate) < 0 || c.Body < 0 {
		return usage("--rate, --subscribe-rate and --body must not be less than 0")
	}
	cfg := load.Config{
		Server: c.Server, Transport: c.Transport, Domain: c.Domain,
		Presentities: c.Presentities, Watchers: c.Watchers, Users: c.Users, WatcherPattern: c.WatcherPattern, DistinctWatchers: c.DistinctWatchers,
		AssertedIdentity: c.Asserted, Password: c.Password,
		BodySize: c.Body, Rate: c.Rate, Window: c.Window, Duration: c.Duration, Warmup: c.Warmup, Settle: c.Settle,
		SubscribeExpires: c.SubscribeExpires, SubscribeRate: c.SubscribeRate, SubscribeWindow: c.SubscribeWindow, PublishExpires: c.PublishExpires,
		Phase: load.Phase(c.Phase), Sockets: c.Sockets, Coalescing: c.Coalescing, ServerPIDs: c.Pid,
	}
	if !c.Quiet {
		cfg.Progress = e.stderr
	}
	report, err := load.Run(e.ctx, cfg)
	if report != nil { // what was measured before it failed or was interrupted
		err = errors.Join(err, report.WriteText(e.stdout))
	}
	return err
}
