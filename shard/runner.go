package shard

import (
	"context"
	"errors"
	"runtime"
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
	// Send sends; gone means that the flow's connection does not exist any more.
	Send(s *Send, message []byte) (gone bool)
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
	failed  atomic.Bool
	broken  chan struct{} // closed when the store failed
	once    sync.Once
	done    sync.WaitGroup
	stop    chan struct{}
}

type worker struct {
	r        *Runner
	wake     chan struct{}
	acked    atomic.Int64 // batches that the store has acknowledged
	shards   []ID
	machines [Count]Machine
	next     time.Time // earliest deadline, may be early; zero: none

	mu    sync.Mutex
	queue []Event

	// Only the worker's goroutine touches these.
	waiting []*Batch // stepped, not yet released, in order
	synced  int64    // acknowledged batches already released
	free    []*Batch
	onSync  func(error)
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
		r.done.Go(w.run)
	}
}

// Stop ends the workers after what is queued has been stepped and released.
func (r *Runner) Stop() {
	r.once.Do(func() { close(r.stop) })
	r.done.Wait()
}

func (r *Runner) worker(id ID) *worker { return r.workers[int(id)%len(r.workers)] }

// Submit queues an event for its shard. It reports false when the shard's queue
// is full: the caller answers 503.
func (r *Runner) Submit(ev Event) bool {
	w := r.worker(ev.ID)
	w.mu.Lock()
	if len(w.queue) >= maxQueue {
		w.mu.Unlock()
		return false
	}
	first := len(w.queue) == 0
	w.queue = append(w.queue, ev)
	w.mu.Unlock()
	if first {
		w.notify()
	}
	return true
}

// Do runs fn inside the shard and returns when its records are durable and its
// messages sent.
func (r *Runner) Do(ctx context.Context, id ID, fn func(m Machine, now time.Time, out *Batch)) error {
	done := make(chan struct{})
	ok := r.Submit(Event{Kind: Call, ID: id, Do: func(m Machine, now time.Time, out *Batch) {
		fn(m, now, out)
		out.After(func() { close(done) })
	}})
	if !ok {
		return ErrStopped
	}
	select {
	case <-done:
		return nil
	case <-r.broken:
		return ErrStopped
	case <-r.stop:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
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
	w.notify()
}

func (w *worker) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var events []Event
	w.tick(time.Now()) // what a restored machine is to do comes before any event
	for {
		events = w.take(events)
		now := time.Now()
		if len(events) > 0 {
			w.stepAll(events, now)
		}
		w.tick(now)
		w.release()
		if w.idle() {
			select {
			case <-w.r.stop:
				if w.finished() {
					return
				}
			default:
			}
			w.sleep(timer, now)
		}
	}
}

func (w *worker) take(events []Event) []Event {
	clear(events)
	w.mu.Lock()
	defer w.mu.Unlock()
	events, w.queue = w.queue, events[:0]
	return events
}

func (w *worker) idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue) == 0 && w.acked.Load() == w.synced
}

// finished reports whether a stopping worker has nothing left to release.
func (w *worker) finished() bool { return len(w.waiting) == 0 || w.r.failed.Load() }

func (w *worker) sleep(timer *time.Timer, now time.Time) {
	wait := time.Hour
	if !w.next.IsZero() {
		wait = max(w.next.Sub(now), granularity)
	}
	timer.Reset(wait)
	stop := w.r.stop
	select {
	case <-stop:
		stop = nil
		if len(w.waiting) > 0 {
			<-w.wake // the store's acknowledgement of what is still waiting
		}
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

// release sends what has become durable, in order.
func (w *worker) release() {
	n := 0
	for _, b := range w.waiting {
		if b.commit {
			if w.acked.Load() == w.synced {
				break
			}
			w.synced++
		}
		if !w.r.failed.Load() {
			w.send(b)
		}
		b.Reset()
		w.free = append(w.free, b)
		n++
	}
	w.waiting = append(w.waiting[:0], w.waiting[n:]...)
}

func (w *worker) send(b *Batch) {
	for i := range b.Sends {
		s := &b.Sends[i]
		if gone := w.r.cfg.Sender.Send(s, b.Message(s)); gone && !s.Answer {
			w.r.Submit(Event{Kind: FlowGone, ID: s.ID, Flow: s.Flow})
		}
	}
	for _, fn := range b.after {
		fn()
	}
}
