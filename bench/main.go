// Command bench measures Tacit and Kamailio side by side: the same generator,
// the same load, one after the other, several times. It prints medians with
// their spread, and writes them into docs/performance.md and docs/performance.svg.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/tacit-presence/tacit/load"
)

// options are the command line.
type options struct {
	tacit    string
	runs     int
	duration time.Duration
	many     int
	doc      string
	chart    string
	rules    bool // the rules' part alone
}

func main() {
	var o options
	flag.StringVar(&o.tacit, "tacit", "tacit", "the tacit program")
	flag.IntVar(&o.runs, "runs", 5, "runs of each")
	flag.DurationVar(&o.duration, "duration", 8*time.Second, "measured time of each run")
	flag.IntVar(&o.many, "many", 200_000, "subscriptions of the memory run; 0: none")
	flag.StringVar(&o.doc, "doc", "docs/performance.md", "document with a measured part between markers")
	flag.StringVar(&o.chart, "chart", "docs/performance.svg", "chart to draw")
	flag.BoolVar(&o.rules, "rules-only", false, "measure with privacy rules alone, and write that part alone")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// rates are the PUBLISHes a second of the runs at an equal rate: what is easy for
// Kamailio on two processors, and some three quarters of what it can.
var rates = [...]float64{2000, 4000}

// presentities and watchers are the shape of the load that the goals are for.
const (
	presentities = 1000
	watchers     = 10
	bodySize     = 1024
	window       = 32 // PUBLISHes outstanding where each answers as fast as it can
)

func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "tacit-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if !o.rules {
		if err := plain(ctx, o, dir); err != nil {
			return err
		}
	}
	return ruled(ctx, o, dir)
}

// plain measures without rules.
func plain(ctx context.Context, o options, dir string) error {
	peers := []peer{&kamailio{dir: dir}, &tacit{dir: dir, program: o.tacit}}
	versions, err := versionsOf(ctx, peers)
	if err != nil {
		return err
	}
	res := results{options: o, machine: machine(), versions: versions}
	for i := range o.runs {
		for r, rate := range rates {
			for n, p := range peers {
				fmt.Printf("%.0f PUBLISHes a second, run %d of %d: %s\n", rate, i+1, o.runs, p.name())
				rep, err := measure(ctx, p, load.Config{
					Presentities: presentities, Watchers: watchers, BodySize: bodySize,
					Rate: rate, Duration: o.duration, Warmup: 2 * time.Second,
				})
				if err != nil {
					return fmt.Errorf("%s: %w", p.name(), err)
				}
				res.rated[r][n] = append(res.rated[r][n], rep)
			}
		}
	}
	for i := range o.runs {
		for n, p := range peers {
			fmt.Printf("as fast as it answers, run %d of %d: %s\n", i+1, o.runs, p.name())
			rep, err := measure(ctx, p, load.Config{
				Presentities: presentities, Watchers: watchers, BodySize: bodySize,
				Duration: o.duration, Warmup: 2 * time.Second, Coalescing: true, Window: window,
			})
			if err != nil {
				return fmt.Errorf("%s: %w", p.name(), err)
			}
			res.flat[n] = append(res.flat[n], rep)
		}
	}
	if o.many > 0 {
		fmt.Printf("%d subscriptions\n", o.many)
		if res.many, err = measure(ctx, peers[1], load.Config{
			Presentities: presentities, Watchers: o.many / presentities, BodySize: bodySize, Phase: load.PhaseSubscribe,
		}); err != nil {
			return err
		}
	}
	fmt.Println("where a NOTIFY's time goes")
	if res.profile, err = profiled(ctx, peers[1].(*tacit), o); err != nil {
		return err
	}
	return res.write()
}

func versionsOf(ctx context.Context, peers []peer) (list []string, err error) {
	for _, p := range peers {
		v, err := p.version(ctx)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// measure starts p, drives it, and stops it.
func measure(ctx context.Context, p peer, cfg load.Config) (*load.Report, error) {
	pids, stop, err := p.start(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	cfg.ServerPIDs = pids
	cfg.Progress = os.Stdout
	return drive(ctx, p, cfg)
}

// drive drives a server that runs.
func drive(ctx context.Context, p peer, cfg load.Config) (*load.Report, error) {
	cfg.Server = p.address()
	cfg.Domain = domain
	cfg.AssertedIdentity = true
	cfg.DistinctWatchers = true
	return load.Run(ctx, cfg)
}
