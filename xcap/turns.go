package xcap

import (
	"context"
	"sync"
)

// Turns lets one after another work on what has the same key. Its zero value is
// ready.
type Turns[K comparable] struct {
	// Most bounds how many may be there for one key, the one at work included;
	// 0: any number.
	Most int

	mu     sync.Mutex
	queues map[K]*queue
}

// queue is who is there for one key.
type queue struct {
	turn   chan struct{}
	length int
}

// Take waits for the key's turn, which lasts until release is called; false: for
// longer than ctx, or there are too many before it.
func (t *Turns[K]) Take(ctx context.Context, k K) (release func(), ok bool) {
	t.mu.Lock()
	q := t.queues[k]
	if q == nil {
		q = &queue{turn: make(chan struct{}, 1)}
		if t.queues == nil {
			t.queues = map[K]*queue{}
		}
		t.queues[k] = q
	}
	full := t.Most > 0 && q.length >= t.Most
	if !full {
		q.length++
	}
	t.mu.Unlock()
	if full {
		return nil, false
	}
	leave := func() {
		t.mu.Lock()
		if q.length--; q.length == 0 {
			delete(t.queues, k)
		}
		t.mu.Unlock()
	}
	select {
	case q.turn <- struct{}{}:
		return func() { <-q.turn; leave() }, true
	case <-ctx.Done():
		leave()
		return nil, false
	}
}

// Length is how many are there for a key, at work or waiting.
func (t *Turns[K]) Length(k K) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if q := t.queues[k]; q != nil {
		return q.length
	}
	return 0
}
