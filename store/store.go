package store

import "errors"

var (
	// ErrNotFound is returned by Get for a key that does not exist.
	ErrNotFound = errors.New("store: not found")
	// ErrConflict is returned by CompareAndSet when the value is not the
	// expected one. Nothing was changed.
	ErrConflict = errors.New("store: changed by another")
	// ErrClosed is returned for whatever is asked after Close.
	ErrClosed = errors.New("store: closed")
	// ErrLocked is returned when the directory is in use by another store, of
	// this process or another.
	ErrLocked = errors.New("store: directory is in use by another process")
	// ErrFailed is wrapped, with the cause, by the errors of all writes from
	// the first failed one on. Whether that one reached the disk is unknown.
	ErrFailed = errors.New("store: write failed, no more writes are taken")
)

// Store is an ordered map from keys to values with durable, atomic writes. Its
// methods may be called from several goroutines.
type Store interface {
	// Commit makes b durable (fsynced), all of it or nothing, then calls done
	// exactly once with nil, or with an error that is ErrFailed or ErrClosed.
	// It never blocks; the caller bounds what it has outstanding.
	//
	// Batches are applied, and their dones called, in the order of the Commit
	// calls. An empty batch is acknowledged in its turn too. done runs on the
	// store's own goroutine: it must not block for long, and must not call
	// CompareAndSet or Close, which wait for that goroutine.
	//
	// b belongs to the store until done is called; then the caller may Reset
	// and use it again, also from within done.
	Commit(b *Batch, done func(error))

	// Get returns a copy of the value of key, or ErrNotFound. It sees all that
	// was acknowledged, and may see what is not acknowledged yet.
	Get(key []byte) ([]byte, error)

	// Scan calls fn for each key that starts with prefix, in the order of the
	// keys, over a consistent snapshot of the moment of the call. key and value
	// are valid only during fn. An error of fn ends the scan and is returned.
	Scan(prefix []byte, fn func(key, value []byte) error) error

	// CompareAndSet replaces the value of key by new if it is old, in its turn
	// among the commits, and returns once that is durable. old nil means that
	// the key must not exist; new nil deletes it. Otherwise ErrConflict. An
	// error that is ErrFailed leaves it unknown whether it was done.
	CompareAndSet(key, old, new []byte) error

	// Close waits until what was committed is durable and acknowledged, and
	// until readers have ended, then releases the directory. Closing again does
	// nothing. A store that has failed returns ErrFailed, and may keep the
	// directory locked until the process ends.
	Close() error
}
