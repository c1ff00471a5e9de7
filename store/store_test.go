package store_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/tacit-presence/tacit/store"
	"github.com/tacit-presence/tacit/store/storetest"
)

func TestMemoryConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Instance {
		var fault atomic.Pointer[error]
		m := store.NewMemory()
		m.Fault = func(op string) error {
			if p := fault.Load(); p != nil && op == "commit" {
				return *p
			}
			return nil
		}
		closeLater(t, m)
		return storetest.Instance{
			Store: m,
			Restart: func(t *testing.T) store.Store {
				after := m.Crash()
				closeLater(t, after)
				return after
			},
			Fail: func(err error) { fault.Store(&err) },
		}
	})
}

// TestPebbleConformance runs over a file system that forgets at a restart what
// was not synced, as a power failure does.
func TestPebbleConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Instance {
		var fault atomic.Pointer[error]
		disk := vfs.NewCrashableMem()
		faulty := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if p := fault.Load(); p != nil && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
				return *p
			}
			return nil
		}))
		s := openPebble(t, "/data", store.Options{}.WithFS(faulty))
		return storetest.Instance{
			Store: s,
			Restart: func(t *testing.T) store.Store {
				after := disk.CrashClone(vfs.CrashCloneCfg{})
				return openPebble(t, "/data", store.Options{}.WithFS(after))
			},
			Fail: func(err error) { fault.Store(&err) },
		}
	})
}

// TestPebbleOnDisk runs the suite over real files; its restart closes first.
func TestPebbleOnDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openPebble(t, dir, store.Options{})
	if err := storetest.Put(s, "a", "1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openPebble(t, dir, store.Options{})
	if got, err := s.Get([]byte("a")); err != nil || string(got) != "1" {
		t.Errorf("get = %q, %v", got, err)
	}
	info, err := os.Stat(dir)
	if err != nil || !info.IsDir() {
		t.Errorf("stat: %v", err)
	}
}

func closeLater(t *testing.T, s store.Store) {
	t.Cleanup(func() { _ = s.Close() })
}

func openPebble(t *testing.T, dir string, opt store.Options) store.Store {
	t.Helper()
	s, err := store.OpenPebble(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	closeLater(t, s)
	return s
}

func TestLocked(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	s := openPebble(t, dir, store.Options{})
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{dir, link} {
		_, err := store.OpenPebble(name, store.Options{})
		if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), dir) {
			t.Errorf("opening %s twice: %v, want ErrLocked with the directory", name, err)
		}
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), childMode+"=lock", childDir+"="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "locked: "+store.ErrLocked.Error()) {
		t.Errorf("another process: %v, %s", err, out)
	}
	if err := storetest.Put(s, "a", "1"); err != nil {
		t.Errorf("the first store: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	openPebble(t, dir, store.Options{})
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.OpenPebble(file, store.Options{}); err == nil || errors.Is(err, store.ErrLocked) {
		t.Errorf("opening a file: %v, want an error other than ErrLocked", err)
	}
	faulty := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSync {
			return errors.New("no sync here")
		}
		return nil
	}))
	if _, err := store.OpenPebble("/data", store.Options{}.WithFS(faulty)); err == nil {
		t.Error("opening on a disk that cannot sync succeeded")
	}
}
