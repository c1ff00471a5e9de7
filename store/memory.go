package store

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Memory is a Store that keeps its data in memory: for tests, and for a server
// that shall leave nothing on disk. What is acknowledged counts as durable.
type Memory struct {
	// Fault, if not nil, is asked before each operation: "commit" (a group of
	// batches that share a write, which an error makes fail for good), "get",
	// "scan", "cas" (the reading) and "close". Set it before the first use; it
	// is called from several goroutines.
	Fault func(op string) error

	committer committer

	mu   sync.RWMutex
	data map[string][]byte // a value's bytes never change
}

var _ Store = (*Memory)(nil)

// NewMemory returns an empty store.
func NewMemory() *Memory {
	m := &Memory{data: make(map[string][]byte)}
	m.committer.init(m)
	return m
}

// Commit implements Store.
func (m *Memory) Commit(b *Batch, done func(error)) {
	m.committer.submit(request{batch: b, done: done})
}

// CompareAndSet implements Store.
func (m *Memory) CompareAndSet(key, old, new []byte) error {
	return m.committer.compareAndSet(key, old, new)
}

// Get implements Store.
func (m *Memory) Get(key []byte) ([]byte, error) {
	if err := m.committer.enter(); err != nil {
		return nil, err
	}
	defer m.committer.leave()
	if err := m.fault("get"); err != nil {
		return nil, err
	}
	value, err := m.lookup(key)
	return bytes.Clone(value), err
}

// Scan implements Store.
func (m *Memory) Scan(prefix []byte, fn func(key, value []byte) error) error {
	if err := m.committer.enter(); err != nil {
		return err
	}
	defer m.committer.leave()
	if err := m.fault("scan"); err != nil {
		return err
	}
	type pair struct {
		key   string
		value []byte
	}
	var found []pair
	m.mu.RLock()
	for k, v := range m.data {
		if strings.HasPrefix(k, string(prefix)) {
			found = append(found, pair{k, v})
		}
	}
	m.mu.RUnlock()
	slices.SortFunc(found, func(a, b pair) int { return strings.Compare(a.key, b.key) })
	for _, p := range found {
		if err := fn([]byte(p.key), bytes.Clone(p.value)); err != nil {
			return err
		}
	}
	return nil
}

// Close implements Store. What is held is released first.
func (m *Memory) Close() error {
	if !m.committer.close() {
		return nil
	}
	return m.fault("close")
}

// Hold stops all writes: from now on nothing becomes durable, visible or
// acknowledged before Release.
func (m *Memory) Hold() { m.setCredit(0) }

// Release undoes Hold; what was held is acknowledged in order.
func (m *Memory) Release() { m.setCredit(unlimited) }

// ReleaseN lets n held writes through, also ones still to come.
func (m *Memory) ReleaseN(n int) {
	m.committer.mu.Lock()
	if m.committer.credit != unlimited {
		m.committer.credit += n
		m.committer.start()
	}
	m.committer.mu.Unlock()
}

// Held returns how many writes wait for their acknowledgement.
func (m *Memory) Held() int {
	m.committer.mu.Lock()
	defer m.committer.mu.Unlock()
	return m.committer.pending
}

func (m *Memory) setCredit(n int) {
	m.committer.mu.Lock()
	m.committer.credit = n
	m.committer.start()
	m.committer.mu.Unlock()
}

// errCrashed is the cause that what was not acknowledged gets after Crash.
var errCrashed = errors.New("crashed")

// Crash returns what a new start would find: a store with all that was
// acknowledged and nothing else. The old one fails for good, and so do the
// writes that it still held.
func (m *Memory) Crash() *Memory { return m.CrashKeeping(0) }

// CrashKeeping is Crash where the first n held writes had reached the disk, but
// their acknowledgement had reached nobody.
func (m *Memory) CrashKeeping(n int) *Memory {
	c := &m.committer
	c.mu.Lock()
	c.credit = 0
	for c.running {
		c.changed.Wait()
	}
	_ = c.fail(errCrashed)
	after := NewMemory()
	m.mu.RLock()
	after.data = maps.Clone(m.data)
	m.mu.RUnlock()
	for _, r := range c.queue[:min(n, len(c.queue))] {
		if r.cond == nil || after.committer.check(r.cond) == nil {
			_ = after.write([]*Batch{r.batch})
		}
	}
	c.credit = unlimited
	c.start()
	c.mu.Unlock()
	return after
}

func (m *Memory) fault(op string) error {
	if m.Fault == nil {
		return nil
	}
	return m.Fault(op)
}

// write implements engine.
func (m *Memory) write(group []*Batch) error {
	if err := m.fault("commit"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range group {
		err := b.Each(func(key, value []byte) error {
			if value == nil {
				delete(m.data, string(key))
			} else {
				m.data[string(key)] = append([]byte{}, value...)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// get implements engine.
func (m *Memory) get(key []byte) ([]byte, error) {
	if err := m.fault("cas"); err != nil {
		return nil, err
	}
	return m.lookup(key)
}

func (m *Memory) lookup(key []byte) ([]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	value, ok := m.data[string(key)]
	if !ok {
		return nil, ErrNotFound
	}
	return value, nil
}
