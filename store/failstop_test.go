package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/tacit-presence/tacit/store"
	"github.com/tacit-presence/tacit/store/storetest"
)

// syncedBuffer is a log that several goroutines write.
type syncedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// TestFailedEngine lets one kind of file fail, in turn at each of its writes
// and syncs. Whatever failed: every commit is answered, the store says so in
// its log and its errors, it closes, and a restart finds all that was
// acknowledged.
func TestFailedEngine(t *testing.T) {
	t.Parallel()
	bad := errors.New("bad sector")
	for _, tt := range []struct {
		file string
		kind errorfs.OpKind
		name string
	}{
		{".log", errorfs.OpFileWrite, "log write"},
		{".log", errorfs.OpFileSync, "log sync"},
		{"MANIFEST", errorfs.OpFileWrite, "manifest write"},
		{"MANIFEST", errorfs.OpFileSync, "manifest sync"},
		{".sst", errorfs.OpCreate, "table create"},
		{".sst", errorfs.OpFileWrite, "table write"},
		{".sst", errorfs.OpFileSync, "table sync"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			failEngine(t, bad, func(op errorfs.Op) bool {
				isSync := op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo
				return (op.Kind == tt.kind || tt.kind == errorfs.OpFileSync && isSync) && strings.Contains(op.Path, tt.file)
			})
		})
	}
}

func failEngine(t *testing.T, bad error, hit func(errorfs.Op) bool) {
	var armed atomic.Bool
	var hits atomic.Int32
	disk := vfs.NewCrashableMem()
	faulty := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if armed.Load() && hit(op) {
			hits.Add(1)
			return bad
		}
		return nil
	}))
	var log syncedBuffer
	opt := store.Options{MemTableBytes: 256 << 10, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	s := openPebble(t, "/data", opt.WithFS(faulty))
	acknowledged := 0
	filler := strings.Repeat("x", 4000)
	write := func(n int) (err error) {
		for range n {
			if err = storetest.Put(s, fmt.Sprintf("%06d", acknowledged), filler); err != nil {
				return err
			}
			acknowledged++
		}
		return nil
	}
	if err := write(100); err != nil {
		t.Fatal(err)
	}
	armed.Store(true)
	// Failed flushes are tried again until the memory's tables are full and
	// writes wait: let the disk recover before that.
	time.AfterFunc(300*time.Millisecond, func() { armed.Store(false) })
	err := write(500)
	if err != nil && (!errors.Is(err, store.ErrFailed) || !strings.Contains(err.Error(), bad.Error())) {
		t.Errorf("a write failed with %v, want ErrFailed with %v", err, bad)
	}
	if err != nil && !strings.Contains(log.String(), bad.Error()) {
		t.Errorf("the log does not tell the cause: %s", log.String())
	}
	if n := hits.Load(); n == 0 || n > 20 {
		t.Errorf("what fails was tried %d times in 300 ms, want 1 to 20", n)
	}
	// Its result is the engine's business: the disk is what counts.
	_ = s.Close()
	after := openPebble(t, "/data", store.Options{}.WithFS(disk.CrashClone(vfs.CrashCloneCfg{})))
	found := 0
	if err := after.Scan(nil, func(key, _ []byte) error {
		if string(key) == fmt.Sprintf("%06d", found) {
			found++
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if found < acknowledged {
		t.Errorf("%d of %d acknowledged keys are there (write error: %v)", found, acknowledged, err)
	}
	t.Logf("%d hits, %d acknowledged, error %v", hits.Load(), acknowledged, err)
}

// TestGather: commits that come one after the other share writes, and the first
// after a quiet time does not wait.
func TestGather(t *testing.T) {
	t.Parallel()
	var syncs atomic.Int32
	disk := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData {
			syncs.Add(1)
		}
		return nil
	}))
	const gather = 2 * time.Second // far more than a busy machine takes for ten commits
	s := openPebble(t, "/data", store.Options{Gather: gather}.WithFS(disk))
	start := time.Now()
	if err := storetest.Put(s, "first", "v"); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > gather/2 {
		t.Errorf("the first commit took %v", took)
	}
	before := syncs.Load()
	acknowledged := make(chan error, 10)
	for range cap(acknowledged) {
		b := new(store.Batch)
		b.Put([]byte("k"), []byte("v"))
		s.Commit(b, func(err error) { acknowledged <- err })
		time.Sleep(time.Millisecond)
	}
	for range cap(acknowledged) {
		if err := <-acknowledged; err != nil {
			t.Error(err)
		}
	}
	if n := syncs.Load() - before; n > 2 {
		t.Errorf("%d syncs for the commits of %v, want one or, at its end, two", n, gather)
	}
}
