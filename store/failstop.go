package store

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// pebbleLog is Pebble's logger. Pebble takes it that Fatalf ends the process;
// ours fails the store instead, so that what was acknowledged keeps being
// served until the operator, or the caller of Commit, acts. Pebble's code
// returns an error after it, and freezingFS keeps the disk as it was.
type pebbleLog struct {
	logger    *slog.Logger
	committer *committer
	errors    atomic.Uint64 // of the background, counted to log few of them
	troubled  atomic.Bool   // the last background work failed
}

func newPebbleLog(logger *slog.Logger, c *committer) *pebbleLog {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &pebbleLog{logger: logger, committer: c}
}

func (l *pebbleLog) Infof(format string, args ...any) {
	if l.logger.Enabled(context.Background(), slog.LevelDebug) {
		l.logger.Debug("store engine", "text", fmt.Sprintf(format, args...))
	}
}

func (l *pebbleLog) Errorf(format string, args ...any) {
	l.logger.Error("store engine", "text", fmt.Sprintf(format, args...))
}

func (l *pebbleLog) Fatalf(format string, args ...any) {
	cause := fmt.Errorf("engine: %s", fmt.Sprintf(format, args...))
	if l.committer.failure() == nil {
		l.logger.Error("store failed, no more writes are taken", "error", cause)
		go l.committer.rescue()
	}
	_ = l.committer.fail(cause)
}

// backgroundError hears of failed flushes and compactions. Pebble repeats them
// without end (a full disk may get room), so only the errors whose count is a
// power of two are logged.
func (l *pebbleLog) backgroundError(err error) {
	l.troubled.Store(true)
	if n := l.errors.Add(1); n&(n-1) == 0 {
		l.logger.Error("store engine: background work failed, it is tried again", "error", err, "times", n)
	}
}

// retryPause is the time between two tries of failed background work, which
// Pebble would repeat at once.
const retryPause = 100 * time.Millisecond

// freezingFS refuses to make, replace or remove files once the store has
// failed: after a failed write Pebble's view of the disk may be wrong, and a
// next start must find what is there, log files above all.
type freezingFS struct {
	vfs.FS
	log *pebbleLog
}

func (f *freezingFS) failure() error { return f.log.committer.failure() }

// Create is where background work begins, so the pause is here: Pebble holds no
// lock meanwhile.
func (f *freezingFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if f.log.troubled.Swap(false) {
		time.Sleep(retryPause)
	}
	if err := f.failure(); err != nil {
		return nil, err
	}
	return f.FS.Create(name, c)
}

func (f *freezingFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	if err := f.failure(); err != nil {
		return nil, err
	}
	return f.FS.OpenReadWrite(name, c, opts...)
}

func (f *freezingFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.failure(); err != nil {
		return nil, err
	}
	return f.FS.ReuseForWrite(from, to, c)
}

func (f *freezingFS) Link(from, to string) error {
	if err := f.failure(); err != nil {
		return err
	}
	return f.FS.Link(from, to)
}

func (f *freezingFS) Rename(from, to string) error {
	if err := f.failure(); err != nil {
		return err
	}
	return f.FS.Rename(from, to)
}

func (f *freezingFS) Remove(name string) error {
	if err := f.failure(); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

func (f *freezingFS) RemoveAll(name string) error {
	if err := f.failure(); err != nil {
		return err
	}
	return f.FS.RemoveAll(name)
}

// Unwrap implements vfs.FS.
func (f *freezingFS) Unwrap() vfs.FS { return f.FS }
