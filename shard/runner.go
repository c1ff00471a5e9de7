package shard

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tacit-presence/tacit/store"
)

// ErrStopped is returned by Do when the runner has ended, or its store failed.
var ErrStopped = errors.New("shard: the server has stopped")

const (
	// granularity is how late a Tick may be; SIP's shortest timer is 500 ms.
	granularity = 10 * time.Millisecond
	// maxBatchBytes ends a batch, so that one sync never waits on megabytes.
	maxBatchBytes = 256 << 10
	// maxQueue bounds what waits for one worker; past it requests are refused.
	maxQueue = 100_000
)

// Sender lets messages out. It is called on the worker's goroutine, after the
// batch is durable, in the order in which the steps made them.
type Sender interface {
	Send(s *Send, message []byte) Outcome
	// SendRun lets out a run of requests at once: all go to the flow of the first,
	// and messages has them one after the other, each of size bytes but the last,
	// which may be shorter. False: none has left, and Send is to be tried with each.
	SendRun(run []Send, messages []byte, size int) bool
}

// Config is what a Runner needs.
type Config struct {
	Workers int // 0: one a processor
	Store   store.Store
	Sender  Sender
	Machine func(ID) Machine // called once a shard, before the first event
	// Failed is told once that the store failed: the state in memory is ahead of
	// the disk, so nothing more is sent and the process should end.
	Failed func(error)
}

// Runner drives all shards: a worker per processor, each with its share of them.
type Runner struct {
	cfg     Config
	workers []*worker
	started atomic.Bool
	failed  atomic.Bool
	broken  chan struct{} // closed when the store failed
	once    sync.Once
	done    sync.WaitGroup
	stop    chan struct{}
}

// worker owns the shards of one processor. Whoever has something for them does
// it, if nobody else is at it: the goroutine that reads a message steps it, the
// store's goroutine lets out what it has synced, and the worker's own goroutine
// does what has come due. That saves waking a thread for each message, which on
// a machine that is not saturated costs more than the work.
type worker struct {
	r        *Runner
	wake     chan struct{}
	acked    atomic.Int64 // batches that the store has acknowledged
	released atomic.Int64 // of these, those that have been let out
	shards   []ID
	onSync   func(error)

	// turn is held, never waited for, by the goroutine that works; it guards
	// what follows.
	turn     sync.Mutex
	machines [Count]Machine
	next     time.Time // earliest deadline, may be early; zero: none
	waiting  []*Batch  // stepped, not yet released, in order
	free     []*Batch
	events   []Event

	mu      sync.Mutex // guards what follows, for a few instructions
	queue   []Event
	wakesAt time.Time // when the worker's own goroutine wakes of itself; zero: it is awake
}

// NewRunner makes the machines; Start runs them.
func NewRunner(cfg Config) *Runner {
	if cfg.Workers == 0 {
		cfg.Workers = runtime.GOMAXPROCS(0)
	}
	r := &Runner{cfg: cfg, broken: make(chan struct{}), stop: make(chan struct{})}
	for range cfg.Workers {
		w := &worker{r: r, wake: make(chan struct{}, 1)}
		w.onSync = w.synchronised
		r.workers = append(r.workers, w)
	}
	for i := range Count {
		w := r.worker(ID(i))
		w.shards = append(w.shards, ID(i))
		m := cfg.Machine(ID(i))
		w.machines[i] = m
		w.lower(m.Deadline())
	}
	return r
}

// Start begins the work.
func (r *Runner) Start() {
	for _, w := range r.workers {
		// What a restored machine is to do comes before any event.
		w.turn.Lock()
		w.tick(time.Now())
		w.turn.Unlock()
	}
	r.started.Store(true)
	for _, w := range r.workers {
		r.done.Go(w.run)
	}
}

// Stop ends the workers after what is queued has been stepped and released.
func (r *Runner) Stop() {
	r.once.Do(func() { close(r.stop) })
	r.done.Wait()
}

func (r *Runner) worker(id ID) *worker { return r.workers[int(id)%len(r.workers)] }

// Submit gives an event to its shard; the caller may find itself stepping it. It
// reports false when the shard's queue is full: the caller answers 503.
func (r *Runner) Submit(ev Event) bool {
	w := r.worker(ev.ID)
	w.mu.Lock()
	if len(w.queue) >= maxQueue {
		w.mu.Unlock()
		return false
	}
	w.queue = append(w.queue, ev)
	w.mu.Unlock()
	w.help()
	return true
}

// Do runs fn inside the shard and returns when its records are durable and its
// messages sent. fn does not run after Do has returned: with an error it has not run
// at all, or what it has done may not be durable yet.
func (r *Runner) Do(ctx context.Context, id ID, fn func(m Machine, now time.Time, out *Batch)) error {
	var mu sync.Mutex // held while fn runs
	over := false
	done := make(chan struct{})
	ok := r.Submit(Event{Kind: Call, ID: id, Do: func(m Machine, now time.Time, out *Batch) {
		mu.Lock()
		defer mu.Unlock()
		if over {
			return
		}
		fn(m, now, out)
		out.After(func() { close(done) })
	}})
	if !ok {
		return ErrStopped
	}
	var err error
	select {
	case <-done:
		return nil
	case <-r.broken:
		err = ErrStopped
	case <-r.stop:
		err = ErrStopped
	case <-ctx.Done():
		err = ctx.Err()
	}
	mu.Lock()
	defer mu.Unlock()
	over = true
	return err
}

// Broadcast queues an event for every shard.
func (r *Runner) Broadcast(ev Event) {
	for i := range Count {
		ev.ID = ID(i)
		r.Submit(ev)
	}
}

func (w *worker) notify() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// synchronised is called by the store's goroutine.
func (w *worker) synchronised(err error) {
	if err != nil {
		if w.r.failed.CompareAndSwap(false, true) {
			close(w.r.broken)
			if w.r.cfg.Failed != nil {
				w.r.cfg.Failed(err)
			}
		}
		w.notify() // a worker that is to stop waits for an acknowledgement
		return
	}
	w.acked.Add(1)
	w.help()
}

// help does what there is to do unless somebody is at it: he will look again
// before he leaves. Before Start nothing is done.
func (w *worker) help() {
	for w.r.started.Load() && w.turn.TryLock() {
		now := time.Now()
		more := w.work(now)
		early := w.tooLate()
		w.turn.Unlock()
		if early {
			w.notify()
		}
		if !more && w.idle() {
			return
		}
	}
}

// work steps what is queued and lets out what is durable. It reports whether
// there was anything.
func (w *worker) work(now time.Time) bool {
	w.events = w.take(w.events)
	n := len(w.events)
	if n > 0 {
		w.stepAll(w.events, now)
	}
	return w.release() || n > 0
}

// tooLate reports whether the worker's goroutine sleeps beyond the next deadline.
func (w *worker) tooLate() bool {
	if w.next.IsZero() {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.wakesAt.IsZero() && w.next.Add(granularity).Before(w.wakesAt)
}

// run is the worker's own goroutine: it does what comes due, and whatever else
// it finds.
func (w *worker) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		w.turn.Lock()
		now := time.Now()
		w.work(now)
		w.tick(now)
		w.release()
		wait := time.Hour
		if !w.next.IsZero() {
			wait = max(w.next.Sub(now), granularity)
		}
		done := w.stopping() && w.finished()
		// Before others can have the turn, so that who lowers next sees it.
		w.setWakes(now.Add(wait))
		w.turn.Unlock()
		if done {
			return
		}
		if w.idle() {
			w.sleep(timer, wait)
		}
		w.setWakes(time.Time{})
	}
}

func (w *worker) setWakes(at time.Time) {
	w.mu.Lock()
	w.wakesAt = at
	w.mu.Unlock()
}

func (w *worker) take(events []Event) []Event {
	clear(events)
	w.mu.Lock()
	defer w.mu.Unlock()
	events, w.queue = w.queue, events[:0]
	return events
}

// idle reports whether nothing waits to be stepped or released. It may be called
// without the turn.
func (w *worker) idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue) == 0 && w.acked.Load() == w.released.Load()
}

func (w *worker) stopping() bool {
	select {
	case <-w.r.stop:
		return true
	default:
		return false
	}
}

// finished reports whether a stopping worker has nothing left to release.
func (w *worker) finished() bool {
	return len(w.waiting) == 0 && w.idle() || w.r.failed.Load()
}

func (w *worker) sleep(timer *time.Timer, wait time.Duration) {
	if w.stopping() {
		wait = min(wait, granularity) // for the store's last acknowledgements
	}
	timer.Reset(wait)
	stop := w.r.stop
	if w.stopping() {
		stop = nil
	}
	select {
	case <-stop:
	case <-w.wake:
	case <-timer.C:
	}
}

func (w *worker) lower(d time.Time) {
	if !d.IsZero() && (w.next.IsZero() || d.Before(w.next)) {
		w.next = d
	}
}

func (w *worker) stepAll(events []Event, now time.Time) {
	b := w.batch()
	for i := range events {
		ev := &events[i]
		m := w.machines[ev.ID]
		if ev.Kind == Call {
			ev.Do(m, now, b)
		} else {
			m.Step(ev, now, b)
		}
		if ev.Msg != nil {
			ev.Msg.Release()
		}
		w.lower(m.Deadline())
		if len(b.buf) > maxBatchBytes {
			w.submit(b)
			b = w.batch()
		}
	}
	w.submit(b)
}

func (w *worker) tick(now time.Time) {
	if w.next.IsZero() || w.next.After(now) {
		return
	}
	w.next = time.Time{}
	b := w.batch()
	for _, id := range w.shards {
		m := w.machines[id]
		if d := m.Deadline(); !d.IsZero() && !d.After(now) {
			m.Step(&Event{Kind: Tick, ID: id}, now, b)
		}
		w.lower(m.Deadline())
		if len(b.buf) > maxBatchBytes {
			w.submit(b)
			b = w.batch()
		}
	}
	w.submit(b)
}

func (w *worker) batch() *Batch {
	if n := len(w.free); n > 0 {
		b := w.free[n-1]
		w.free = w.free[:n-1]
		return b
	}
	return new(Batch)
}

// submit hands the records to the store, or queues b behind those that wait.
func (w *worker) submit(b *Batch) {
	if b.Records.Len() == 0 && len(b.Sends) == 0 && len(b.after) == 0 {
		w.free = append(w.free, b)
		return
	}
	w.waiting = append(w.waiting, b)
	if b.Records.Len() > 0 {
		b.commit = true
		w.r.cfg.Store.Commit(&b.Records, w.onSync)
	}
}

// release sends what has become durable, in order, and reports whether there
// was any.
func (w *worker) release() bool {
	n := 0
	for _, b := range w.waiting {
		if b.commit {
			if w.acked.Load() == w.released.Load() {
				break
			}
			w.released.Add(1)
		}
		if !w.r.failed.Load() {
			w.send(b)
		}
		b.Reset()
		w.free = append(w.free, b)
		n++
	}
	if n > 0 {
		w.waiting = slices.Delete(w.waiting, 0, n)
	}
	return n > 0
}

func (w *worker) send(b *Batch) {
	for i := 0; i < len(b.Sends); {
		end := b.run(i)
		if end-i > 1 && w.r.cfg.Sender.SendRun(b.Sends[i:end], b.messages(i, end), b.Sends[i].size()) {
			i = end
			continue
		}
		for ; i < end; i++ {
			w.sendOne(b, &b.Sends[i])
		}
	}
	for _, fn := range b.after {
		fn()
	}
}

func (w *worker) sendOne(b *Batch, s *Send) {
	outcome := w.r.cfg.Sender.Send(s, b.Message(s))
	switch {
	case s.Answer || outcome == Sent: // an answer lost is asked for again
	case outcome == Gone:
		w.r.Submit(Event{Kind: FlowGone, ID: s.ID, Flow: s.Flow})
	case outcome == Full:
		w.r.Submit(Event{Kind: Undelivered, ID: s.ID, Flow: s.Flow, Dialog: s.Dialog})
	case outcome == Oversize:
		w.r.Submit(Event{Kind: TooLarge, ID: s.ID, Flow: s.Flow, Dialog: s.Dialog})
	}
}
