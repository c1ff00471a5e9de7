package load

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// counters are what a lane counts.
type counters struct {
	requests   int // SUBSCRIBEs or PUBLISHes begun
	answers    int // accepted
	repeated   int // sent again by timer
	timeouts   int
	notifies   int // each once
	seenBefore int // repeated by the server
	documents  int // NOTIFYs with a newer document
	backwards  int // NOTIFYs with an older document than one before
	pending    int
	terminated int
	statuses   map[int]int
}

// totals are the sums of all lanes.
type totals struct {
	counters
	published int // accepted PUBLISHes
	out       int
	heard     int
}

func (r *run) totals() totals {
	t := totals{counters: counters{statuses: map[int]int{}}}
	add := func(l *lane) {
		t.requests += l.n.requests
		t.answers += l.n.answers
		t.repeated += l.n.repeated
		t.timeouts += l.n.timeouts
		t.notifies += l.n.notifies
		t.seenBefore += l.n.seenBefore
		t.documents += l.n.documents
		t.backwards += l.n.backwards
		t.pending += l.n.pending
		t.terminated += l.n.terminated
		t.out += l.out
		for code, n := range l.n.statuses {
			t.statuses[code] += n
		}
	}
	for _, p := range r.publishers {
		p.mu.Lock()
		add(&p.lane)
		t.published += p.n.answers
		p.mu.Unlock()
	}
	for _, w := range r.watchers {
		w.mu.Lock()
		add(&w.lane)
		t.heard += w.heard
		w.mu.Unlock()
	}
	return t
}

// rested reports whether a lane's first stage is over.
func (l *lane) rested() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cursor >= l.count && l.out == 0
}

// ending says how the watchers stand to what was acknowledged.
type ending struct {
	expected int64 // NOTIFYs, one for each acknowledged PUBLISH and its active watchers
	lost     int64
	stale    int // watchers that have not seen the last acknowledged document
}

func (r *run) compare() (e ending) {
	type state struct{ acked, acks uint32 }
	states := make([]state, r.cfg.Presentities)
	for _, p := range r.publishers {
		p.mu.Lock()
		for i := range p.all {
			states[p.number(i)] = state{p.all[i].acked, p.all[i].acks}
		}
		p.mu.Unlock()
	}
	for _, w := range r.watchers {
		w.mu.Lock()
		for i := range w.all {
			u := &w.all[i]
			if !u.active {
				continue
			}
			s := states[w.number(i)/r.cfg.Watchers]
			e.expected += int64(s.acks)
			e.lost += max(0, int64(s.acks)-int64(u.got))
			if u.last < s.acked {
				e.stale++
			}
		}
		w.mu.Unlock()
	}
	return e
}

// complaints says what the server answered instead of 2xx.
func (r *run) complaints() string {
	t := r.totals()
	var parts []string
	for _, code := range slices.Sorted(maps.Keys(t.statuses)) {
		parts = append(parts, fmt.Sprintf("%d times %d", t.statuses[code], code))
	}
	if t.timeouts > 0 {
		parts = append(parts, fmt.Sprintf("%d times no answer", t.timeouts))
	}
	return strings.Join(parts, ", ")
}

func (r *run) progress(last, now sample) {
	seconds := now.at.Sub(last.at).Seconds()
	rate := func(now, last int) float64 { return float64(now-last) / seconds }
	subscribed := now.n.answers - now.n.published - (last.n.answers - last.n.published)
	_, _ = fmt.Fprintf(r.cfg.Progress,
		"%5.0f s  %-13s  %7.0f subscribe/s  %7.0f publish/s  %8.0f notify/s  outstanding %d, repeated %d, no answer %d%s\n",
		now.at.Sub(r.began).Seconds(), *r.phase.Load(), float64(subscribed)/seconds,
		rate(now.n.published, last.n.published), rate(now.n.notifies, last.n.notifies),
		now.n.out, now.n.repeated, now.n.timeouts, refusals(now.n.statuses))
}

func refusals(statuses map[int]int) string {
	var b strings.Builder
	for _, code := range slices.Sorted(maps.Keys(statuses)) {
		fmt.Fprintf(&b, ", %d×%d", statuses[code], code)
	}
	return b.String()
}

// Report is what a run measured. Durations are in the unit their name says;
// what was not measured is 0.
type Report struct {
	Server       string `json:"server"`
	Transport    string `json:"transport"`
	Presentities int    `json:"presentities"`
	Watchers     int    `json:"watchers_each"`
	BodyBytes    int    `json:"body_bytes"`

	Subscribe *SubscribeReport `json:"subscribe,omitempty"`
	Publish   *PublishReport   `json:"publish,omitempty"`

	// Of the whole run.
	Repeated         int         `json:"repeated_requests"`   // ours, by RFC 3261's timers
	RepeatedNotifies int         `json:"repeated_notifies"`   // the server's: not counted as NOTIFYs
	NoAnswer         int         `json:"requests_unanswered"` // for 64*T1
	Backwards        int         `json:"notifies_out_of_order"`
	Pending          int         `json:"notifies_pending"`
	Terminated       int         `json:"notifies_terminated"`
	Refusals         map[int]int `json:"refusals"` // answers other than 2xx and solved challenges, by code

	Classes []ClassReport `json:"classes,omitempty"` // as configured

	ServerCPUSeconds    float64 `json:"server_cpu_seconds"`
	GeneratorCPUSeconds float64 `json:"generator_cpu_seconds"`
	PeakRSSBytes        int64   `json:"peak_rss_bytes"`
	ProcessError        string  `json:"process_error,omitempty"` // why the server's numbers are not whole

	cpuBefore, ownBefore time.Duration
}

// SubscribeReport is the phase in which every watcher subscribes.
type SubscribeReport struct {
	Sent                 int     `json:"sent"`
	Accepted             int     `json:"accepted"`
	Notified             int     `json:"notified"` // of these, with a first NOTIFY
	Seconds              float64 `json:"seconds"`
	PerSecond            float64 `json:"per_second"`
	CPUMicros            float64 `json:"cpu_micros_each"` // of the server, first NOTIFY included
	RSSBefore            int64   `json:"rss_before_bytes"`
	RSSAfter             int64   `json:"rss_after_bytes"` // settled
	BytesPerSubscription int64   `json:"bytes_per_subscription"`
}

// PublishReport is the measured time of the phase in which states change, and
// its end.
type PublishReport struct {
	Seconds           float64 `json:"seconds"`
	Published         int     `json:"published"` // acknowledged
	PerSecond         float64 `json:"publishes_per_second"`
	Notifies          int     `json:"notifies"` // with a new document
	NotifiesPerSecond float64 `json:"notifies_per_second"`
	Skipped           int64   `json:"skipped"` // a fixed rate found every presentity waiting
	CPUMicros         float64 `json:"cpu_micros_per_notify"`
	CPUMicrosPublish  float64 `json:"cpu_micros_per_publish"`

	Answer  Latency `json:"publish_to_answer"`
	Latency Latency `json:"publish_to_notify"`

	// Of all PUBLISHes of the run, when it had settled.
	Expected int64 `json:"notifies_expected"`
	Lost     int64 `json:"notifies_lost"`  // 0 if coalescing is allowed
	Stale    int   `json:"watchers_stale"` // they have not seen the last acknowledged document
}

// Latency is a distribution of times in milliseconds.
type Latency struct {
	Count uint64  `json:"count"`
	P50   float64 `json:"p50_ms"`
	P90   float64 `json:"p90_ms"`
	P99   float64 `json:"p99_ms"`
	P999  float64 `json:"p999_ms"`
	Max   float64 `json:"max_ms"`
}

func (h *histogram) latency() Latency {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return Latency{
		Count: h.count, P50: ms(h.quantile(0.5)), P90: ms(h.quantile(0.9)), P99: ms(h.quantile(0.99)),
		P999: ms(h.quantile(0.999)), Max: ms(h.max),
	}
}

// per divides processor time among n, in microseconds.
func per(cpu time.Duration, n int) float64 {
	if n <= 0 {
		return 0
	}
	return float64(cpu.Nanoseconds()) / 1000 / float64(n)
}

func (r *run) newReport() *Report {
	rep := &Report{
		Server: r.cfg.Server, Transport: r.cfg.Transport, Presentities: r.cfg.Presentities, Watchers: r.cfg.Watchers,
		BodyBytes: len(r.cfg.document(nil, r.id, r.cfg.user(0), 0, 0)), ownBefore: generatorCPU(),
	}
	if !r.cfg.subscribes() {
		rep.Watchers = 0
	}
	rep.cpuBefore = r.sample(rep).cpu
	return rep
}

// note keeps the first reason why the server's numbers are not whole: a process
// that has ended.
func (r *Report) note(err error) {
	if err != nil && r.ProcessError == "" {
		r.ProcessError = err.Error()
	}
}

// finish fills in what is of the whole run.
func (r *run) finish(rep *Report) {
	end := r.sample(rep)
	rep.Repeated, rep.RepeatedNotifies, rep.NoAnswer = end.n.repeated, end.n.seenBefore, end.n.timeouts
	rep.Backwards, rep.Pending, rep.Terminated = end.n.backwards, end.n.pending, end.n.terminated
	rep.Refusals = end.n.statuses
	rep.Classes = r.classReports()
	rep.ServerCPUSeconds = max(0, end.cpu-rep.cpuBefore).Seconds()
	rep.GeneratorCPUSeconds = (generatorCPU() - rep.ownBefore).Seconds()
	rep.PeakRSSBytes = r.peak.Load()
}

// measured fills in the publish phase.
func (p *PublishReport) measured(r *run, before, after sample) {
	p.Seconds = after.at.Sub(before.at).Seconds()
	p.Published = after.n.published - before.n.published
	p.Notifies = after.n.documents - before.n.documents
	p.PerSecond = float64(p.Published) / p.Seconds
	p.NotifiesPerSecond = float64(p.Notifies) / p.Seconds
	p.Skipped = r.skipped.Load()
	p.CPUMicros = per(after.cpu-before.cpu, p.Notifies)
	p.CPUMicrosPublish = per(after.cpu-before.cpu, p.Published)
	var answer, latency histogram
	for _, u := range r.publishers {
		u.mu.Lock()
		answer.merge(&u.latency)
		u.mu.Unlock()
	}
	for _, w := range r.watchers {
		w.mu.Lock()
		latency.merge(&w.latency)
		w.mu.Unlock()
	}
	p.Answer, p.Latency = answer.latency(), latency.latency()
	end := r.compare()
	p.Expected, p.Lost, p.Stale = end.expected, end.lost, end.stale
	if r.cfg.Coalescing {
		p.Lost = 0
	}
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		_, _ = fmt.Fprintf(t, name+"\t"+format+"\n", args...)
	}
	row("server", "%s %s", r.Transport, r.Server)
	row("presentities", "%d with %d watchers each, documents of %d bytes", r.Presentities, r.Watchers, r.BodyBytes)
	measured := r.ServerCPUSeconds > 0
	if s := r.Subscribe; s != nil {
		row("subscribe", "%d of %d accepted in %.1f s: %.0f/s, %d told at once", s.Accepted, s.Sent, s.Seconds, s.PerSecond, s.Notified)
		if measured {
			row("", "server CPU %.1f µs each; memory %s before, %s after: %d bytes each",
				s.CPUMicros, size(s.RSSBefore), size(s.RSSAfter), s.BytesPerSubscription)
		}
	}
	if p := r.Publish; p != nil {
		row("publish", "%d in %.1f s: %.0f/s", p.Published, p.Seconds, p.PerSecond)
		row("notify", "%d: %.0f/s", p.Notifies, p.NotifiesPerSecond)
		row("PUBLISH to answer", "%s", p.Answer)
		if r.Subscribe != nil {
			row("PUBLISH to NOTIFY", "%s", p.Latency)
			how := ""
			if p.Lost > 0 && p.Stale == 0 {
				how = ", or left out by a server that sends the newest state alone (--coalescing)"
			}
			row("at the end", "%d watchers stale, %d of %d NOTIFYs lost%s", p.Stale, p.Lost, p.Expected, how)
		}
		if p.Skipped > 0 {
			row("", "%d PUBLISHes not sent: every presentity was waiting for its answer", p.Skipped)
		}
		if measured {
			row("server CPU", "%.1f µs a NOTIFY, %.1f µs a PUBLISH", p.CPUMicros, p.CPUMicrosPublish)
		}
	}
	row("repeated", "%d requests of ours, %d NOTIFYs of the server", r.Repeated, r.RepeatedNotifies)
	if r.NoAnswer+r.Backwards+r.Pending+r.Terminated+len(r.Refusals) > 0 {
		row("unexpected", "%d unanswered, %d NOTIFYs out of order, %d pending, %d terminated%s",
			r.NoAnswer, r.Backwards, r.Pending, r.Terminated, refusals(r.Refusals))
	}
	for i, c := range r.Classes {
		row(fmt.Sprintf("class %d", i+1), "%d documents of %d bytes, %d not what it is to be told", c.Documents, c.Bytes, c.Wrong)
	}
	if measured {
		row("whole run", "server CPU %.2f s, memory at most %s; generator CPU %.2f s",
			r.ServerCPUSeconds, size(r.PeakRSSBytes), r.GeneratorCPUSeconds)
	}
	if r.ProcessError != "" {
		row("server process", "%s", r.ProcessError)
	}
	return t.Flush()
}

// String is the line for people.
func (l Latency) String() string {
	return fmt.Sprintf("p50 %.2f ms, p90 %.2f ms, p99 %.2f ms, p99.9 %.2f ms, max %.2f ms", l.P50, l.P90, l.P99, l.P999, l.Max)
}

func size(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/(1<<20)) }
