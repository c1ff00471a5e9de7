package store_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/store"
)

// What a child process, which is this test binary, shall do and where.
const (
	childMode = "TACIT_STORE_TEST_CHILD"
	childDir  = "TACIT_STORE_TEST_DIR"
)

// TestChild is the child's side of TestKill and TestLocked; run as a test of
// its own it has nothing to do.
func TestChild(t *testing.T) {
	switch os.Getenv(childMode) {
	case "lock":
		_, err := store.OpenPebble(os.Getenv(childDir), store.Options{})
		fmt.Println("locked:", err)
	case "write":
		childWrite(t, os.Getenv(childDir))
	}
}

// childWriters outstanding commits keep groups forming at every moment of a
// kill; childRounds bounds an orphan's life.
const (
	childWriters = 64
	childRounds  = 100_000
)

// childWrite writes until it is killed, and says each key once it is
// acknowledged. The parent reads what was said from the pipe, which outlives
// the process.
func childWrite(t *testing.T, dir string) {
	s, err := store.OpenPebble(dir, store.Options{MemTableBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	run := fmt.Sprint(os.Getpid(), "-", time.Now().UnixNano())
	filler := strings.Repeat("x", 1000)
	var said sync.Mutex
	var all sync.WaitGroup
	for w := range childWriters {
		all.Go(func() {
			var b store.Batch
			done := make(chan error, 1)
			for i := range childRounds {
				key := fmt.Sprintf("%s-%d-%d", run, w, i)
				b.Reset()
				b.Put([]byte(key), []byte(key+filler))
				b.Put([]byte("twin "+key), nil)
				s.Commit(&b, func(err error) { done <- err })
				if err := <-done; err != nil {
					t.Errorf("commit: %v", err)
					return
				}
				said.Lock()
				fmt.Println("acknowledged", key)
				said.Unlock()
			}
		})
	}
	all.Wait()
}

// TestKill: kill -9 at any moment loses nothing acknowledged, and leaves no
// half batch.
func TestKill(t *testing.T) {
	t.Parallel()
	const kills = 5
	dir := filepath.Join(t.TempDir(), "data")
	acknowledged := map[string]bool{}
	for round := range kills {
		keys := runAndKill(t, dir, time.Duration(80+70*round)*time.Millisecond)
		if len(keys) == 0 {
			t.Fatalf("round %d: the child acknowledged nothing", round)
		}
		for _, k := range keys {
			acknowledged[k] = true
		}
	}
	s := openPebble(t, dir, store.Options{})
	values, twins := 0, 0
	err := s.Scan(nil, func(key, value []byte) error {
		if k, ok := strings.CutPrefix(string(key), "twin "); ok {
			twins++
			if _, err := s.Get([]byte(k)); err != nil {
				return fmt.Errorf("twin of %s: %w", k, err)
			}
			return nil
		}
		values++
		if !strings.HasPrefix(string(value), string(key)) {
			return fmt.Errorf("%s has the value of another", key)
		}
		delete(acknowledged, string(key))
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if values != twins {
		t.Errorf("%d values and %d twins: half a batch", values, twins)
	}
	if len(acknowledged) > 0 {
		t.Errorf("%d acknowledged keys of %d are lost", len(acknowledged), values)
	}
	t.Logf("%d writes survived %d kills", values, kills)
}

// runAndKill starts a child, kills it when it has written for the given time,
// and returns the keys it said were acknowledged.
func runAndKill(t *testing.T, dir string, after time.Duration) (keys []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.count=1")
	cmd.Env = append(os.Environ(), childMode+"=write", childDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	var kill sync.Once
	for {
		// A line without its end was cut by the kill.
		line, err := lines.ReadString('\n')
		if err != nil {
			break
		}
		key, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "acknowledged ")
		if !ok {
			continue
		}
		keys = append(keys, key)
		kill.Do(func() {
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		})
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the child ended by itself: %v", err)
	}
	return keys
}
