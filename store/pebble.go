package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options are settings of OpenPebble. The zero value is the default.
type Options struct {
	// Logger gets what the engine does at debug level, and its failures at
	// error level. Default: none.
	Logger *slog.Logger
	// CacheBytes is the size of the cache of blocks read from disk; 0 means
	// DefaultCacheBytes.
	CacheBytes int64
	// Gather is the least time between the starts of two writes to the disk, as
	// long as fewer than 64 commits wait: a write costs some 70 µs of CPU
	// however few commits share it. The first commit after a quiet time does
	// not wait. 0 means none.
	Gather time.Duration
	// MemTableBytes is the size to which a table in memory grows before it is
	// written to disk; at most two exist. 0 means DefaultMemTableBytes.
	MemTableBytes int64

	fs vfs.FS // for tests with faults
}

const (
	// DefaultCacheBytes is small, since a running server hardly reads: shards
	// hold their state in memory, and recovery reads each block once.
	DefaultCacheBytes = 8 << 20
	// DefaultMemTableBytes lets what is rewritten often (a publication every
	// few minutes) be overwritten in memory before it costs a compaction, and
	// bounds memory and the log to replay to twice as much.
	DefaultMemTableBytes = 16 << 20

	maxMemTables = 2
	// The tables of a gigabyte are some hundred files; more descriptors belong
	// to the server's connections.
	maxOpenFiles = 256
	// blockSize is large for reads of single values, which are rare here: less
	// is spent on writing (a fifth of all CPU, against 4 KB).
	blockSize = 32 << 10
	// Compaction of level 0 starts at l0Compaction overlapping tables (an
	// eighth less CPU than Pebble's 4), whatever the number of files, and
	// writes stop for it at l0Stop.
	l0Compaction = 8
	l0Files      = 1000
	l0Stop       = 20
	// formatVersion is explicit, so that a new version of the library does not
	// by itself make the directory unreadable for the previous one.
	formatVersion = pebble.FormatTableFormatV6
	// maxArena is how much memory the merged batch keeps for the next one.
	maxArena = 4 * maxGroup
	// batchHeader is the length of what precedes the operations in Pebble's
	// batches: a sequence number (8, set by Pebble) and their count (4).
	batchHeader = 12
	countOffset = 8
)

// pebbleStore is a Store in a directory of the local disk.
type pebbleStore struct {
	committer committer
	db        *pebble.DB
	lock      *pebble.Lock
	batch     *pebble.Batch
	arena     []byte // of the committer's goroutine: the merged batch
	value     []byte // of the committer's goroutine
}

var _ Store = (*pebbleStore)(nil)

// OpenPebble opens the store in dir and makes it if there is none. The error is
// ErrLocked when dir is in use.
func OpenPebble(dir string, opt Options) (Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	s := &pebbleStore{}
	s.committer.init(s)
	s.committer.gather = opt.Gather
	log := newPebbleLog(opt.Logger, &s.committer)
	frozen := &freezingFS{FS: opt.fs, log: log}
	if frozen.FS == nil {
		frozen.FS = vfs.Default
	}
	if err := frozen.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	// One spelling, since the lock within a process goes by the name.
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	if s.lock, err = lockDir(dir, frozen); err != nil {
		return nil, err
	}
	settings := pebbleOptions(opt, log)
	settings.FS = frozen
	settings.Lock = s.lock
	if s.db, err = pebble.Open(dir, settings); err == nil {
		if err = s.committer.failure(); err != nil {
			_ = s.db.Close()
		}
	}
	if err != nil {
		_ = s.lock.Close()
		return nil, fmt.Errorf("store: opening %s: %w", dir, err)
	}
	s.batch = s.db.NewBatch()
	return s, nil
}

func pebbleOptions(opt Options, log *pebbleLog) *pebble.Options {
	if opt.CacheBytes == 0 {
		opt.CacheBytes = DefaultCacheBytes
	}
	if opt.MemTableBytes == 0 {
		opt.MemTableBytes = DefaultMemTableBytes
	}
	o := &pebble.Options{
		CacheSize:                   opt.CacheBytes,
		MemTableSize:                uint64(opt.MemTableBytes),
		MemTableStopWritesThreshold: maxMemTables,
		MaxOpenFiles:                maxOpenFiles,
		FormatMajorVersion:          formatVersion,
		Logger:                      log,
		EventListener: &pebble.EventListener{
			BackgroundError: log.backgroundError,
			DataCorruption: func(info pebble.DataCorruptionInfo) {
				log.Fatalf("data corruption: %s", info)
			},
		},
		L0CompactionThreshold:      l0Compaction,
		L0CompactionFileThreshold:  l0Files,
		L0StopWritesThreshold:      l0Stop,
		CompactionConcurrencyRange: func() (int, int) { return 1, 1 },
	}
	for i := range o.Levels {
		o.Levels[i].BlockSize = blockSize
	}
	// Documents shrink to a quarter, at no measurable cost; what is sealed does
	// not shrink, and costs a twentieth more.
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionFastest })
	return o
}

func lockDir(dir string, fsys vfs.FS) (*pebble.Lock, error) {
	lock, err := pebble.LockDirectory(dir, fsys)
	if err == nil {
		return lock, nil
	}
	// Making the lock file failed, or locks are not supported there; any other
	// error means that it is held.
	var path *fs.PathError
	var code syscall.Errno
	if errors.As(err, &path) || errors.As(err, &code) && code != syscall.EAGAIN && code != syscall.EACCES {
		return nil, fmt.Errorf("store: locking %s: %w", dir, err)
	}
	return nil, fmt.Errorf("%w: %s", ErrLocked, dir)
}

// Commit implements Store.
func (s *pebbleStore) Commit(b *Batch, done func(error)) {
	s.committer.submit(request{batch: b, done: done})
}

// CompareAndSet implements Store.
func (s *pebbleStore) CompareAndSet(key, old, new []byte) error {
	return s.committer.compareAndSet(key, old, new)
}

// Get implements Store.
func (s *pebbleStore) Get(key []byte) ([]byte, error) {
	if err := s.committer.enter(); err != nil {
		return nil, err
	}
	defer s.committer.leave()
	return s.appendValue(nil, key)
}

func (s *pebbleStore) appendValue(dst, key []byte) ([]byte, error) {
	value, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("store: reading: %w", err)
	}
	dst = append(dst, value...)
	if err := closer.Close(); err != nil {
		return nil, fmt.Errorf("store: reading: %w", err)
	}
	return dst, nil
}

// Scan implements Store.
func (s *pebbleStore) Scan(prefix []byte, fn func(key, value []byte) error) error {
	if err := s.committer.enter(); err != nil {
		return err
	}
	defer s.committer.leave()
	bounds := pebble.IterOptions{UpperBound: prefixEnd(prefix)}
	if len(prefix) > 0 { // an empty bound is not the same to Pebble as none
		bounds.LowerBound = prefix
	}
	it, err := s.db.NewIter(&bounds)
	if err != nil {
		return fmt.Errorf("store: scanning: %w", err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			_ = it.Close()
			return fmt.Errorf("store: scanning: %w", err)
		}
		if err := fn(it.Key(), value); err != nil {
			_ = it.Close()
			return err
		}
	}
	// Close tells why the iteration ended, too.
	if err := it.Close(); err != nil {
		return fmt.Errorf("store: scanning: %w", err)
	}
	return nil
}

// prefixEnd returns the first key after all that start with prefix, or nil if
// there is none.
func prefixEnd(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// Close implements Store.
func (s *pebbleStore) Close() error {
	if !s.committer.close() {
		return nil
	}
	if err := s.committer.failure(); err != nil {
		// Pebble may still be in a call that does not return, and holds open
		// files: nobody else may have the directory while this process lives.
		return fmt.Errorf("store: closed without its engine, the directory stays locked: %w", err)
	}
	err := errors.Join(s.batch.Close(), s.db.Close(), s.lock.Close())
	if err != nil {
		return fmt.Errorf("store: closing: %w", err)
	}
	return nil
}

// write implements engine: one batch of Pebble, one fsync.
func (s *pebbleStore) write(group []*Batch) error {
	arena := append(s.arena[:0], make([]byte, batchHeader)...)
	count := 0
	for _, b := range group {
		arena = append(arena, b.arena...)
		count += b.count
	}
	binary.LittleEndian.PutUint32(arena[countOffset:], uint32(count))
	if err := s.batch.SetRepr(arena); err != nil {
		return err
	}
	if err := s.db.Apply(s.batch, pebble.Sync); err != nil {
		return err
	}
	// Of a very large batch Pebble keeps the memory, and gives other.
	if s.arena = s.batch.Repr(); cap(s.arena) > maxArena {
		s.arena = nil
	}
	s.batch.Reset()
	return nil
}

// get implements engine.
func (s *pebbleStore) get(key []byte) ([]byte, error) {
	value, err := s.appendValue(s.value[:0], key)
	if err == nil {
		s.value = value
	}
	return value, err
}
