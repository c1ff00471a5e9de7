package load

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// sampleEvery is how often the server's memory is read, for its peak.
	sampleEvery = 250 * time.Millisecond
	// pollEvery is how often a phase looks whether it is over.
	pollEvery = 5 * time.Millisecond
	// paceEvery is the grid of a fixed rate: as fine as the runtime's timers.
	paceEvery = time.Millisecond
	// answerWait is more than any transaction lasts.
	answerWait = 40 * time.Second
)

// run is the state of one Run.
type run struct {
	cfg        Config
	id         string
	began      time.Time
	publishers []*publisher
	watchers   []*watcher
	from, to   atomic.Int64 // ns since began: documents sent in between are measured
	skipped    atomic.Int64 // PUBLISHes that a fixed rate had no free presentity for
	failed     chan error   // the first error of the network
	done       chan struct{}
	wg         sync.WaitGroup
	peak       atomic.Int64
	phase      atomic.Pointer[string]
}

// Run drives the server as cfg says. If ctx ends or the server goes away, the
// report says what was measured until then, beside the error.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	r := &run{
		cfg: cfg, id: strings.ToLower(rand.Text()[:8]), began: time.Now(),
		failed: make(chan error, 1), done: make(chan struct{}),
	}
	r.name("connecting")
	defer func() {
		close(r.done)
		for _, u := range r.users() {
			_ = u.base().link.conn.Close()
		}
		r.wg.Wait()
	}()
	if len(cfg.ServerPIDs) > 0 {
		if _, err := ReadCPU(cfg.ServerPIDs...); err != nil {
			return nil, err
		}
	}
	if err := r.open(); err != nil {
		return nil, err
	}
	r.wg.Go(r.pulse)
	r.wg.Go(r.watch)
	rep := r.newReport()
	err := r.phases(ctx, rep)
	r.finish(rep)
	return rep, err
}

// open makes the lanes, each with a link and its reader.
func (r *run) open() error {
	dial := func(u func(*link) user) error {
		l, err := dialLink(r.cfg.Transport, r.cfg.Server)
		if err != nil {
			return err
		}
		handle := u(l).receive
		r.wg.Go(func() { r.fail(l.read(handle)) })
		return nil
	}
	for i := range r.cfg.Sockets {
		if r.cfg.subscribes() {
			err := dial(func(l *link) user {
				r.watchers = append(r.watchers, newWatcher(r, l, i, r.cfg.Sockets))
				return r.watchers[i]
			})
			if err != nil {
				return err
			}
		}
		if r.cfg.publishes() {
			err := dial(func(l *link) user {
				r.publishers = append(r.publishers, newPublisher(r, l, i, r.cfg.Sockets))
				return r.publishers[i]
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *run) users() (all []user) {
	for _, w := range r.watchers {
		all = append(all, w)
	}
	return append(all, r.sources()...)
}

func (r *run) sources() (all []user) {
	for _, p := range r.publishers {
		all = append(all, p)
	}
	return all
}

func (r *run) sinks() (all []user) {
	for _, w := range r.watchers {
		all = append(all, w)
	}
	return all
}

// behind reports whether watchers have more to read than they should.
func (r *run) behind() bool {
	for _, w := range r.watchers {
		if w.link.queued() > maxBacklog {
			return true
		}
	}
	return false
}

// fail keeps the first error.
func (r *run) fail(err error) {
	if err == nil {
		return
	}
	select {
	case r.failed <- err:
	default:
	}
}

// measures reports whether a document sent then is measured.
func (r *run) measures(sent time.Duration) bool {
	from, to := r.from.Load(), r.to.Load()
	return from != 0 && int64(sent) >= from && (to == 0 || int64(sent) < to)
}

// pulse looks after the timers of all lanes.
func (r *run) pulse() {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	users := r.users()
	for {
		select {
		case <-r.done:
			return
		case <-ticker.C:
		}
		for _, u := range users {
			r.fail(pulse(u))
		}
	}
}

// wait waits until over, at most limit.
func (r *run) wait(ctx context.Context, limit time.Duration, over func() bool) error {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	end := time.Now().Add(limit)
	for !over() && time.Now().Before(end) {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-r.failed:
			return err
		case <-ticker.C:
		}
	}
	return nil
}

// sleep waits for a time.
func (r *run) sleep(ctx context.Context, d time.Duration) error {
	return r.wait(ctx, d, func() bool { return false })
}

func begins(users []user, s stage, window int, paced bool) error {
	for _, u := range users {
		if err := begin(u, s, window, paced); err != nil {
			return err
		}
	}
	return nil
}

// pace begins requests at a fixed rate until none is left to begin (first
// stage) or stop is closed.
func (r *run) pace(users []user, rate float64, first bool, stop <-chan struct{}) {
	ticker := time.NewTicker(paceEvery)
	defer ticker.Stop()
	began := time.Now()
	outs := make([]outbox, len(users))
	sent, turn, finished := 0, 0, false
	for !finished {
		select {
		case <-stop:
			return
		case <-r.done:
			return
		case <-ticker.C:
		}
		now := time.Now()
		for due := int(now.Sub(began).Seconds() * rate); sent < due; sent++ {
			pushed := false
			for range users {
				turn = (turn + 1) % len(users)
				if pushed = push(users[turn], now, &outs[turn]); pushed {
					break
				}
			}
			if pushed {
				continue
			}
			if first {
				finished = true
				break
			}
			r.skipped.Add(1)
		}
		for i, u := range users {
			r.fail(u.base().link.send(&outs[i]))
		}
	}
}

// once makes every user send its first request, and waits for the answers.
func (r *run) once(ctx context.Context, users []user, window int, rate float64) error {
	if err := begins(users, stageFirst, window, rate > 0); err != nil {
		return err
	}
	if rate > 0 {
		stop := make(chan struct{})
		defer close(stop)
		r.wg.Go(func() { r.pace(users, rate, true, stop) })
	}
	settled := func() bool {
		for _, u := range users {
			if !u.base().rested() {
				return false
			}
		}
		return true
	}
	for { // there is an end: every transaction has its timer
		if err := r.wait(ctx, answerWait, settled); err != nil || settled() {
			return err
		}
	}
}

// phases does what the configuration asks for.
func (r *run) phases(ctx context.Context, rep *Report) error {
	if r.cfg.subscribes() {
		r.name("subscribe")
		if err := r.subscribe(ctx, rep); err != nil {
			return err
		}
	}
	if !r.cfg.publishes() {
		return nil
	}
	r.name("first publish")
	if err := r.once(ctx, r.sources(), r.cfg.Window, 0); err != nil {
		return err
	}
	if r.totals().published == 0 {
		return fmt.Errorf("%w: it has accepted no PUBLISH: %s", ErrServer, r.complaints())
	}
	r.name("warm-up")
	return r.publish(ctx, rep)
}

func (r *run) subscribe(ctx context.Context, rep *Report) error {
	s := &SubscribeReport{}
	rep.Subscribe = s
	s.RSSBefore = r.memory(rep)
	before := r.sample(rep)
	err := r.once(ctx, r.sinks(), r.cfg.SubscribeWindow, r.cfg.SubscribeRate)
	took := time.Since(before.at)
	if err == nil {
		err = r.wait(ctx, r.cfg.Settle, func() bool { n := r.totals(); return n.heard >= n.answers })
	}
	after := r.sample(rep)
	n := after.n
	s.Sent, s.Accepted, s.Notified = n.requests, n.answers, n.heard
	s.Seconds = took.Seconds()
	s.PerSecond = float64(n.answers) / s.Seconds
	s.CPUMicros = per(after.cpu-before.cpu, n.answers)
	if err != nil {
		return err
	}
	if n.answers == 0 {
		return fmt.Errorf("%w: it has accepted no SUBSCRIBE: %s", ErrServer, r.complaints())
	}
	if len(r.cfg.ServerPIDs) > 0 { // memory is looked at when what was transient is gone
		if err := r.sleep(ctx, r.cfg.Settle); err != nil {
			return err
		}
	}
	s.RSSAfter = r.memory(rep)
	s.BytesPerSubscription = (s.RSSAfter - s.RSSBefore) / int64(n.answers)
	return nil
}

func (r *run) publish(ctx context.Context, rep *Report) error {
	p := &PublishReport{}
	rep.Publish = p
	sources := r.sources()
	if err := begins(sources, stageRepeat, r.cfg.Window, r.cfg.Rate > 0); err != nil {
		return err
	}
	stop := make(chan struct{})
	if r.cfg.Rate > 0 {
		r.wg.Go(func() { r.pace(sources, r.cfg.Rate, false, stop) })
	}
	err := r.sleep(ctx, r.cfg.Warmup)
	r.name("publish")
	before := r.sample(rep)
	r.skipped.Store(0)
	r.from.Store(int64(before.at.Sub(r.began)))
	if err == nil {
		err = r.sleep(ctx, r.cfg.Duration)
	}
	after := r.sample(rep)
	r.to.Store(int64(after.at.Sub(r.began)))
	close(stop)
	_ = begins(sources, stageIdle, r.cfg.Window, true)
	r.name("settle")
	if err == nil {
		err = r.wait(ctx, answerWait, func() bool { return r.totals().out == 0 })
	}
	if err == nil {
		err = r.wait(ctx, r.cfg.Settle, func() bool {
			end := r.compare()
			return end.stale == 0 && (end.lost == 0 || r.cfg.Coalescing)
		})
	}
	p.measured(r, before, after)
	return err
}

// sample is the state at one moment.
type sample struct {
	at  time.Time
	n   totals
	cpu time.Duration
}

// sample reads counters and the server's processor time.
func (r *run) sample(rep *Report) sample {
	s := sample{at: time.Now(), n: r.totals()}
	if len(r.cfg.ServerPIDs) > 0 {
		var err error
		s.cpu, err = ReadCPU(r.cfg.ServerPIDs...)
		rep.note(err)
	}
	return s
}

// memory reads what the server holds.
func (r *run) memory(rep *Report) int64 {
	if len(r.cfg.ServerPIDs) == 0 {
		return 0
	}
	rss, err := ReadRSS(r.cfg.ServerPIDs...)
	rep.note(err)
	r.notePeak(rss)
	return rss
}

func (r *run) notePeak(rss int64) {
	if rss > r.peak.Load() {
		r.peak.Store(rss)
	}
}

// watch shows the progress each second and looks for the memory's peak.
func (r *run) watch() {
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	last := sample{at: time.Now()}
	for {
		select {
		case <-r.done:
			return
		case <-ticker.C:
		}
		if len(r.cfg.ServerPIDs) > 0 {
			if rss, err := glanceRSS(r.cfg.ServerPIDs...); err == nil {
				r.notePeak(rss)
			}
		}
		if now := time.Now(); now.Sub(last.at) >= time.Second-sampleEvery/2 {
			n := r.totals()
			r.progress(last, sample{at: now, n: n})
			last = sample{at: now, n: n}
		}
	}
}

func (r *run) name(phase string) { r.phase.Store(&phase) }

// generatorCPU is what this process has used itself.
func generatorCPU() time.Duration {
	p, _ := readStat(os.Getpid())
	return p.cpu
}
