package store

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"time"
)

// engine is what a committer needs of the place where data is kept. Only the
// committer's goroutine calls it.
type engine interface {
	// write applies the batches in order and returns when they are durable.
	write(group []*Batch) error
	// get returns the value of key, valid until the next write, or ErrNotFound.
	get(key []byte) ([]byte, error)
}

// condition is the test of a CompareAndSet.
type condition struct {
	key, old, new []byte
	batch         Batch
}

// request is one Commit or CompareAndSet that waits for its turn.
type request struct {
	batch *Batch
	done  func(error)
	cond  *condition // nil for a Commit
	err   error      // set by submit if the store was closed

	refused bool // err was set by submit
}

// unlimited is a committer's credit outside of tests.
const unlimited = -1

// committer gives a store its order: requests queue up while the engine is busy
// with the ones before, and then share one write. Its goroutine exists only
// while there is work, so that an idle store has none and a busy one is never
// woken: a request finds it running.
type committer struct {
	engine engine

	mu      sync.Mutex
	changed sync.Cond // of running, pending, readers
	queue   []request
	buffer  []request // of what was last taken from the queue
	taken   []request // what of it is not answered yet
	running bool
	writing int    // how many of taken the engine is writing now
	turn    uint64 // which goroutine is the current one; see rescue
	closing bool
	pending int // accepted before Close, not answered yet
	readers int
	credit  int // how many requests may still be taken, or unlimited

	gather time.Duration // see Options.Gather
	last   time.Time     // when the goroutine last took requests

	failMu sync.Mutex
	failed error // what all later writes get; ErrFailed with its cause

	group []*Batch // of the goroutine
}

func (c *committer) init(e engine) {
	c.engine = e
	c.changed.L = &c.mu
	c.credit = unlimited
}

func (c *committer) submit(r request) {
	c.mu.Lock()
	if c.closing {
		r.err = ErrClosed
	} else {
		c.pending++
	}
	c.queue = append(c.queue, r)
	c.start()
	c.mu.Unlock()
}

// start starts the goroutine if there is something to do; mu is held.
func (c *committer) start() {
	if !c.running && len(c.queue) > 0 && c.credit != 0 {
		c.running = true
		go c.run(c.turn)
	}
}

func (c *committer) compareAndSet(key, old, new []byte) error {
	cond := &condition{key: key, old: old, new: new}
	if new == nil {
		cond.batch.Delete(key)
	} else {
		cond.batch.Put(key, new)
	}
	done := make(chan error, 1)
	c.submit(request{batch: &cond.batch, cond: cond, done: func(err error) { done <- err }})
	return <-done
}

// run serves requests until there are none, or until another goroutine has its
// turn. A CompareAndSet begins a new group, since it must see all that was asked
// before it.
func (c *committer) run(turn uint64) {
	c.mu.Lock()
	for c.fill() {
		n, size := 1, c.taken[0].batch.Size()
		for n < len(c.taken) && c.taken[n].cond == nil && size < maxGroup {
			size += c.taken[n].batch.Size()
			n++
		}
		group := c.taken[:n]
		c.mu.Unlock()
		var err error
		if c.prepare(group); len(c.group) > 0 {
			c.beginWrite(n)
			err = c.engine.write(c.group)
			if !c.endWrite(turn) {
				return
			}
			clear(c.group)
		}
		c.answer(group, err)
		c.mu.Lock()
	}
	c.running = false
	c.changed.Broadcast()
	c.mu.Unlock()
}

// maxGroup bounds how many bytes share one write, so that a large group does
// not leave the disk idle while it is copied, nor its buffer stay large.
const maxGroup = 1 << 20

// fill takes requests if none are left and tells whether there are any; mu is
// held, but not while it waits for more.
func (c *committer) fill() bool {
	if len(c.taken) > 0 {
		return true
	}
	if wait := c.pause(); wait > 0 {
		c.mu.Unlock()
		time.Sleep(wait)
		c.mu.Lock()
	}
	c.take()
	return len(c.taken) > 0
}

func (c *committer) beginWrite(n int) {
	c.mu.Lock()
	c.writing = n
	c.mu.Unlock()
}

// endWrite tells whether it is still the caller's turn.
func (c *committer) endWrite(turn uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.turn != turn {
		return false
	}
	c.writing = 0
	return true
}

// rescue answers for an engine that does not come back from a write after a
// failure elsewhere in it: it waits for a flush, say, which is refused now. The
// goroutine in there is given up.
func (c *committer) rescue() {
	for {
		time.Sleep(rescueAfter)
		c.mu.Lock()
		if !c.running {
			c.mu.Unlock()
			return
		}
		if c.writing > 0 {
			break
		}
		c.mu.Unlock()
	}
	group := c.taken[:c.writing]
	c.writing = 0
	c.turn++
	turn := c.turn
	c.mu.Unlock()
	c.answer(group, c.failure())
	c.run(turn)
}

// rescueAfter is how long a write may take after the failure.
const rescueAfter = time.Second

// gatherEnough is how many requests are worth a write at once: its fixed cost
// is then a microsecond for each.
const gatherEnough = 64

// pause returns how long to wait for more requests; mu is held.
func (c *committer) pause() time.Duration {
	if c.gather <= 0 || c.closing || len(c.queue) == 0 || len(c.queue) >= gatherEnough {
		return 0
	}
	now := time.Now()
	if wait := c.last.Add(c.gather).Sub(now); wait > 0 {
		c.last = now.Add(wait)
		return wait
	}
	c.last = now
	return 0
}

// take moves the requests that may be served now to taken; mu is held.
func (c *committer) take() {
	n := len(c.queue)
	if c.credit != unlimited {
		n = min(n, c.credit)
		c.credit -= n
	}
	c.buffer = append(c.buffer[:0], c.queue[:n]...)
	c.taken = c.buffer
	rest := copy(c.queue, c.queue[n:])
	clear(c.queue[rest:])
	c.queue = c.queue[:rest]
}

// prepare sets the error of those requests of a group that fail before it is
// written, and c.group to the batches of the others. At most the first is
// conditional.
func (c *committer) prepare(group []request) {
	failed := c.failure()
	c.group = c.group[:0]
	for i := range group {
		r := &group[i]
		r.refused = r.err != nil
		if r.err == nil {
			r.err = failed
		}
		if r.err == nil && r.cond != nil {
			r.err = c.check(r.cond)
		}
		if r.err == nil && r.batch.Len() > 0 {
			c.group = append(c.group, r.batch)
		}
	}
}

// answer calls the dones of a group, which are the first of c.taken, after its
// write gave err.
func (c *committer) answer(group []request, err error) {
	if err != nil {
		err = c.fail(err)
	} else if len(c.group) > 0 {
		// The engine may tell of a failure by another way than by err.
		err = c.failure()
	}
	accepted := 0
	for i := range group {
		r := &group[i]
		if !r.refused {
			accepted++
		}
		if r.err == nil {
			r.err = err
		}
		r.done(r.err)
	}
	clear(group)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taken = c.taken[len(group):]
	if c.pending -= accepted; c.pending == 0 {
		c.changed.Broadcast()
	}
}

func (c *committer) check(cond *condition) error {
	value, err := c.engine.get(cond.key)
	switch {
	case errors.Is(err, ErrNotFound):
		if cond.old != nil {
			return ErrConflict
		}
		return nil
	case err != nil:
		return fmt.Errorf("store: comparing: %w", err)
	case cond.old == nil || !bytes.Equal(value, cond.old):
		return ErrConflict
	}
	return nil
}

// failure returns what all writes get since the first failure, or nil.
func (c *committer) failure() error {
	c.failMu.Lock()
	defer c.failMu.Unlock()
	return c.failed
}

// fail stops the store; the first cause is kept and returned.
func (c *committer) fail(cause error) error {
	c.failMu.Lock()
	defer c.failMu.Unlock()
	if c.failed == nil {
		c.failed = fmt.Errorf("%w: %w", ErrFailed, cause)
	}
	return c.failed
}

// enter registers a reader, so that Close waits for it; leave ends it.
func (c *committer) enter() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return ErrClosed
	}
	c.readers++
	return nil
}

func (c *committer) leave() {
	c.mu.Lock()
	c.readers--
	if c.readers == 0 {
		c.changed.Broadcast()
	}
	c.mu.Unlock()
}

// close refuses what comes from now on, and returns when all before is answered
// and no reader is left; first tells whether this was the first call.
func (c *committer) close() (first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	first = !c.closing
	c.closing = true
	c.credit = unlimited
	c.start()
	for c.pending > 0 || c.readers > 0 {
		c.changed.Wait()
	}
	return first
}
