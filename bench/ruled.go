package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/tacit-presence/tacit/load"
)

// The goals with rules.
const (
	goalToPlain    = 1.3 // CPU a NOTIFY, to Tacit's own without rules
	goalToKamailio = 0.3 // CPU a NOTIFY, to Kamailio's with rules
	goalDecide     = 3.0 // µs
	goalPut        = 2.0 // ms of CPU
)

// errDisclosed: a server tells watchers what they are not to be told, or does not
// tell them what they are.
var errDisclosed = errors.New("the rules are not followed")

// The contestants with rules, in the order of their runs.
const (
	kamailioRules = iota
	tacitPlain
	tacitRules
	contestants
)

// ruledResults are what was measured with rules.
type ruledResults struct {
	options  options
	machine  string
	versions []string
	reports  [contestants][]*load.Report
	puts     []put
	decide   []float64 // µs
}

// ruled measures with rules.
func ruled(ctx context.Context, o options, dir string) error {
	kam, with := &kamailio{dir: dir, rules: true}, &tacit{dir: dir, program: o.tacit, rules: true}
	peers := [contestants]peer{kam, &tacit{dir: dir, program: o.tacit}, with}
	classes := [contestants][]load.Class{told(false), toldAll(), told(true)}
	versions, err := versionsOf(ctx, []peer{kam, with})
	if err != nil {
		return err
	}
	res := ruledResults{options: o, machine: machine(), versions: versions}
	fmt.Println("one watcher against the rules")
	if res.decide, err = decideTimes(ctx); err != nil {
		return err
	}
	for _, p := range []peer{kam, with} {
		fmt.Printf("who may see nothing: %s\n", p.name())
		if err := refuses(ctx, p); err != nil {
			return err
		}
	}
	for i := range o.runs {
		for n, p := range peers {
			fmt.Printf("%d rules a presentity, run %d of %d: %s\n", ruleCount, i+1, o.runs, p.name())
			rep, err := measure(ctx, p, load.Config{
				Presentities: presentities, Watchers: watchers, BodySize: bodySize, Rich: true, Classes: classes[n],
				Duration: o.duration, Warmup: 2 * time.Second, Coalescing: true, Window: window,
			})
			if err == nil {
				err = follows(rep)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", p.name(), err)
			}
			res.reports[n] = append(res.reports[n], rep)
		}
	}
	res.puts = with.puts
	return res.write()
}

// follows reports whether each class was told what it is to be told.
func follows(rep *load.Report) error {
	if n := presentities * watchers; rep.Subscribe.Accepted != n || rep.Pending+rep.Terminated > 0 {
		return fmt.Errorf("%w: %d of %d subscriptions accepted, %d NOTIFYs say pending, %d terminated",
			errDisclosed, rep.Subscribe.Accepted, n, rep.Pending, rep.Terminated)
	}
	for i, c := range rep.Classes {
		if c.Documents == 0 || c.Wrong > 0 {
			return fmt.Errorf("%w: of %d documents to class %d, %d are not what it is to be told", errDisclosed, c.Documents, i+1, c.Wrong)
		}
	}
	return nil
}

// refuses holds that a server tells nothing to those whom a rule blocks, nor to
// those whom no rule is about.
func refuses(ctx context.Context, p peer) error {
	_, stop, err := p.start(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", p.name(), err)
	}
	defer stop()
	for _, pattern := range []string{blockedPattern, strangerPattern} {
		rep, err := drive(ctx, p, load.Config{
			Presentities: 50, Watchers: 1, WatcherPattern: pattern, BodySize: bodySize, Rich: true,
			Classes: []load.Class{{Not: []string{"run="}}}, Coalescing: true,
			Duration: 300 * time.Millisecond, Warmup: 100 * time.Millisecond, Settle: 300 * time.Millisecond,
		})
		if errors.Is(err, load.ErrServer) && rep != nil && len(rep.Refusals) > 0 && rep.Subscribe.Accepted == 0 {
			continue // all refused at once: RFC 3856, 6.6.2 has that too
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p.name(), err)
		}
		if n := rep.Classes[0].Documents; n > 0 {
			return fmt.Errorf("%s: %w: %s was told %d documents", p.name(), errDisclosed, pattern, n)
		}
	}
	return nil
}

// benchLine is a line of `go test -bench`.
var benchLine = regexp.MustCompile(`(?m)^BenchmarkDecideFifty\S*\s+\d+\s+([0-9.]+) ns/op`)

// decideTimes asks the benchmark of package policy, in microseconds.
func decideTimes(ctx context.Context) (list []float64, err error) {
	out, err := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkDecideFifty$",
		"-benchtime", "300ms", "-count", "5", "./policy").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go test -bench: %w: %s", err, out)
	}
	for _, m := range benchLine.FindAllStringSubmatch(string(out), -1) {
		ns, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return nil, err
		}
		list = append(list, ns/1000)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("go test -bench printed no result: %s", out)
	}
	return list, nil
}

// write prints the tables and puts them into the document.
func (r *ruledResults) write() error {
	text := r.markdown()
	fmt.Println(text)
	return insert(r.options.doc, rulesMark, text)
}

func (r *ruledResults) column(n int, get func(*load.Report) float64) (v []float64) {
	for _, rep := range r.reports[n] {
		v = append(v, get(rep))
	}
	return v
}

// ratios are of neighbouring runs.
func ratios(a, b []float64) spread {
	v := make([]float64, len(a))
	for i := range a {
		v[i] = a[i] / max(b[i], 1e-9)
	}
	return spreadOf(v)
}

func (r *ruledResults) markdown() string {
	var b strings.Builder
	of := r.reports[tacitRules][0]
	fmt.Fprintf(&b, "Measured %s on %s.\n%s; %s.\n\n", time.Now().UTC().Format(time.DateOnly), r.machine, r.versions[0], r.versions[1])
	fmt.Fprintf(&b, "%d presentities with %d rules of %.1f KB and %d watchers each, of %d classes; documents of\n%d bytes, UDP on loopback, %d PUBLISHes outstanding. Medians of %d runs each, in turn,\nwith least and most; ratios are of neighbouring runs.\n\n",
		presentities, ruleCount, float64(r.puts[0].bytes)/1e3, watchers, len(permissions), of.BodyBytes, window, len(r.reports[0]))
	b.WriteString("| | Kamailio with rules | Tacit without | Tacit with rules |\n|---|---|---|---|\n")
	type line struct {
		what, format string
		get          func(*load.Report) float64
	}
	lines := []line{
		{"server CPU a NOTIFY, µs", "%.1f", cpuNotify},
		{"server CPU a SUBSCRIBE, µs", "%.1f", func(p *load.Report) float64 { return p.Subscribe.CPUMicros }},
		{"NOTIFYs a second", "%.0f", func(p *load.Report) float64 { return p.Publish.NotifiesPerSecond }},
		{"p99 PUBLISH to NOTIFY, ms", "%.2f", func(p *load.Report) float64 { return p.Publish.Latency.P99 }},
		{"peak memory, MB", "%.0f", func(p *load.Report) float64 { return float64(p.PeakRSSBytes) / 1e6 }},
		{"stale watchers at the end", "%.0f", stale},
	}
	for i := range permissions {
		lines = append(lines, line{fmt.Sprintf("bytes told to class %d", i+1), "%.0f", func(p *load.Report) float64 {
			return float64(p.Classes[i%len(p.Classes)].Bytes)
		}})
	}
	for _, l := range lines {
		fmt.Fprintf(&b, "| %s |", l.what)
		for n := range r.reports {
			fmt.Fprintf(&b, " %s |", spreadOf(r.column(n, l.get)).text(l.format))
		}
		b.WriteString("\n")
	}
	b.WriteString("\n| Goal | | Measured | |\n|---|---|---|---|\n")
	with := r.column(tacitRules, cpuNotify)
	var cpu, millis []float64
	for _, p := range r.puts {
		cpu, millis = append(cpu, p.cpu), append(millis, p.millis)
	}
	for _, g := range []struct {
		what   string
		goal   float64
		within bool // the goal itself is met too
		unit   string
		got    spread
	}{
		{"CPU a NOTIFY with rules, to Tacit without", goalToPlain, true, "", ratios(with, r.column(tacitPlain, cpuNotify))},
		{"CPU a NOTIFY with rules, to Kamailio with its rules", goalToKamailio, true, "", ratios(with, r.column(kamailioRules, cpuNotify))},
		{fmt.Sprintf("one watcher against %d rules", ruleCount), goalDecide, false, " µs", spreadOf(r.decide)},
		{fmt.Sprintf("CPU of an XCAP PUT of %.1f KB", float64(r.puts[0].bytes)/1e3), goalPut, false, " ms", spreadOf(cpu)},
	} {
		sign, met := "<", g.got.median < g.goal
		if g.within {
			sign, met = "≤", g.got.median <= g.goal
		}
		verdict := "missed"
		if met {
			verdict = "met"
		}
		fmt.Fprintf(&b, "| %s | %s %.2f%s | %s%s | %s |\n", g.what, sign, g.goal, g.unit, g.got.text("%.2f"), g.unit, verdict)
	}
	fmt.Fprintf(&b, "\nEach watcher was told what its class is to be told, and no more; whom a rule blocks, or\nno rule is about, was told nothing. A PUT took %s ms until its answer.\n", spreadOf(millis).text("%.2f"))
	return b.String()
}
