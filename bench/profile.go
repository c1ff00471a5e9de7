package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/pprof/profile"

	"github.com/tacit-presence/tacit/load"
)

// share is one row of the table of where the time goes.
type share struct {
	what   string
	micros float64 // of one NOTIFY
}

// places are the parts of the program, by parts of function names.
var places = []struct {
	what string
	on   []string // parts of function names, any of them
}{
	{"kernel: sending", []string{"edge.(*fastSocket).send", "edge.(*fastSocket).write", "edge.(*Edge).sendUDP"}},
	{"kernel: receiving", []string{"edge.(*datagramReader)", "edge.(*fastSocket).reader"}},
	{"store: log, sync and memory table", []string{"cockroachdb/pebble", "tacit/store."}},
	{"garbage collection", []string{"runtime.gcBgMarkWorker", "runtime.bgsweep", "runtime.gcAssistAlloc", "runtime.bgscavenge"}},
	{"parsing SIP", []string{"sip.(*Message).Parse"}},
	{"gate: transactions, identity, addressing", []string{"tacit/gate.", "tacit/identity."}},
	{"parsing PIDF, composition, filter, view", []string{"tacit/pidf.", "tacit/compose.", "tacit/policy.", "tacit/filter.", "tacit/view."}},
	{"notifier: dialogs, timers, writing NOTIFYs", []string{"tacit/notifier."}},
	{"agent and shard frame", []string{"tacit/agent.", "tacit/shard."}},
	{"edge, in Go", []string{"tacit/edge."}},
	{"Go's scheduler and network poller", []string{"runtime."}},
}

// profiled runs once with a CPU profile.
func profiled(ctx context.Context, t *tacit, o options) ([]share, error) {
	file := filepath.Join(t.dir, "cpu.pprof")
	p := &tacit{dir: t.dir, program: t.program, profile: file}
	rep, err := measure(ctx, p, load.Config{
		Presentities: presentities, Watchers: watchers, BodySize: bodySize,
		Duration: o.duration, Warmup: time.Second, Coalescing: true, Window: window,
	})
	if err != nil {
		return nil, err
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("no profile: %w", err)
	}
	defer f.Close()
	prof, err := profile.Parse(f)
	if err != nil {
		return nil, err
	}
	sums := make([]float64, len(places)+1)
	total := 0.0
	for _, s := range prof.Sample {
		v := float64(s.Value[len(s.Value)-1])
		sums[place(s)] += v
		total += v
	}
	var list []share
	for i, v := range sums {
		what := "other"
		if i < len(places) {
			what = places[i].what
		}
		if v > 0 {
			list = append(list, share{what, rep.Publish.CPUMicros * v / total})
		}
	}
	return list, nil
}

// place finds the innermost frame that belongs to one of the places. The
// runtime works for whoever called it, and for itself only where nobody did.
func place(s *profile.Sample) int {
	const runtime = "runtime."
	own := len(places)
	for _, loc := range s.Location { // innermost first
		for _, line := range loc.Line {
			if line.Function == nil {
				continue
			}
			for i, p := range places {
				for _, part := range p.on {
					if !strings.Contains(line.Function.Name, part) {
						continue
					}
					if part == runtime {
						own = min(own, i)
						continue
					}
					return i
				}
			}
		}
	}
	return own
}
