package store

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
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
	err   error      // known before its turn: the store was closed
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
	changed sync.Cond // of running, readers
	queue   []request
	free    []request // the queue's other buffer
	running bool
	closing bool
	pending int // accepted before Close, not answered yet
	readers int
	credit  int // how many requests may still be taken, or unlimited

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
		go c.run()
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

func (c *committer) run() {
	c.mu.Lock()
	for {
		taken := c.take()
		if len(taken) == 0 {
			break
		}
		c.mu.Unlock()
		accepted := c.serve(taken)
		clear(taken)
		c.mu.Lock()
		if cap(c.free) < cap(taken) {
			c.free = taken[:0]
		}
		c.pending -= accepted
		if c.pending == 0 {
			c.changed.Broadcast()
		}
	}
	c.running = false
	c.changed.Broadcast()
	c.mu.Unlock()
}

// take returns the requests that may be served now; mu is held.
func (c *committer) take() []request {
	taken := c.queue
	if c.credit != unlimited && c.credit < len(taken) {
		taken = append(c.free[:0:0], taken[:c.credit]...)
		c.queue = append(c.queue[:0], c.queue[c.credit:]...)
		c.credit = 0
		return taken
	}
	if c.credit != unlimited {
		c.credit -= len(taken)
	}
	c.queue, c.free = c.free[:0], nil
	return taken
}

// serve answers the requests in order and returns how many of them had been
// accepted before Close. A CompareAndSet begins a new group, since it must see
// all that was asked before it.
func (c *committer) serve(taken []request) (accepted int) {
	for len(taken) > 0 {
		n, bytes := 1, taken[0].batch.Size()
		for n < len(taken) && taken[n].cond == nil && bytes < maxGroup {
			bytes += taken[n].batch.Size()
			n++
		}
		c.writeGroup(taken[:n])
		for i := range taken[:n] {
			if taken[i].err != ErrClosed {
				accepted++
			}
			taken[i].done(taken[i].err)
		}
		taken = taken[n:]
	}
	return accepted
}

// maxGroup bounds how many bytes share one write, so that a large group does
// not leave the disk idle while it is copied, nor its buffer stay large.
const maxGroup = 1 << 20

// writeGroup writes a group, of which at most the first is conditional, and
// sets each request's error.
func (c *committer) writeGroup(group []request) {
	failed := c.failure()
	c.group = c.group[:0]
	for i := range group {
		r := &group[i]
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
	if len(c.group) == 0 {
		return
	}
	err := c.engine.write(c.group)
	clear(c.group)
	if err == nil {
		// The engine may have heard of a failure by another way.
		err = c.failure()
	}
	if err == nil {
		return
	}
	err = c.fail(err)
	for i := range group {
		if group[i].err == nil {
			group[i].err = err
		}
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
