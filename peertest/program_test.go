package peertest

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// patience is how long a test waits for what takes milliseconds on an idle
	// machine; race detector and neighbours on two processors stretch it.
	patience = 20 * time.Second
	// logTail is how much of a program's output a failed test shows.
	logTail = 6000
)

// output collects what a program prints and lets tests wait for it.
type output struct {
	mu     sync.Mutex
	text   bytes.Buffer
	closed bool
	more   chan struct{} // closed and replaced whenever something comes
}

func newOutput() *output { return &output{more: make(chan struct{})} }

// Write appends.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(b)
	close(o.more)
	o.more = make(chan struct{})
	return len(b), nil
}

// end says that nothing more comes.
func (o *output) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	close(o.more)
	o.more = make(chan struct{})
}

func (o *output) from(offset int) (text string, closed bool, more <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text.Bytes()[min(offset, o.text.Len()):]), o.closed, o.more
}

// len is a mark for waitAfter: what is printed from now on.
func (o *output) len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Len()
}

// waitAfter waits until pattern matches what was printed after mark, and gives
// the match with its groups; nil: it did not come in time.
func (o *output) waitAfter(mark int, pattern string, timeout time.Duration) []string {
	re := regexp.MustCompile(pattern)
	late := time.After(timeout)
	for {
		text, closed, more := o.from(mark)
		if m := re.FindStringSubmatch(text); m != nil {
			return m
		}
		if closed {
			return nil
		}
		select {
		case <-more:
		case <-late:
			return nil
		}
	}
}

// program is one process that a test has started and ends.
type program struct {
	*output
	t    testing.TB
	name string
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of Wait; set when done is closed
}

// launch starts a program whose HOME and working directory are dir. The test's
// end kills it.
func launch(t testing.TB, dir, path string, args ...string) *program {
	t.Helper()
	return launchWith(t, nil, dir, path, args...)
}

// launchWith gives the program a standard input; a file, since for another
// reader Wait would wait longer than the program runs.
func launchWith(t testing.TB, in *os.File, dir, path string, args ...string) *program {
	t.Helper()
	p := &program{output: newOutput(), t: t, name: path, cmd: exec.Command(path, args...), done: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
	if in != nil {
		p.cmd.Stdin = in
	}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.WaitDelay = time.Second // for children that keep the pipe
	p.start()
	return p
}

func (p *program) start() {
	p.t.Helper()
	if err := p.cmd.Start(); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		p.end()
		close(p.done)
	}()
	p.t.Cleanup(func() {
		p.signal(syscall.SIGKILL)
		<-p.done
		if p.t.Failed() {
			text, _, _ := p.from(0)
			p.t.Logf("%s %q printed:\n%s", p.name, p.cmd.Args[1:], text[max(0, len(text)-logTail):])
		}
	})
}

// signal sends s unless the process has ended.
func (p *program) signal(s syscall.Signal) {
	select {
	case <-p.done:
	default:
		_ = p.cmd.Process.Signal(s)
	}
}

// kill is kill -9.
func (p *program) kill() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

// wait gives the exit code of a program that is about to end.
func (p *program) wait(timeout time.Duration) int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(timeout):
		p.t.Fatalf("%s %q has not ended after %v", p.name, p.cmd.Args[1:], timeout)
	}
	if exit, ok := errors.AsType[*exec.ExitError](p.err); ok {
		return exit.ExitCode()
	}
	if p.err != nil && !errors.Is(p.err, exec.ErrWaitDelay) {
		p.t.Fatalf("%s: %v", p.name, p.err)
	}
	return 0
}

// expect waits for pattern in all that has been or will be printed.
func (p *program) expect(pattern string) []string {
	p.t.Helper()
	return p.expectAfter(0, pattern)
}

// expectAfter waits for pattern in what was printed after mark.
func (p *program) expectAfter(mark int, pattern string) []string {
	p.t.Helper()
	m := p.waitAfter(mark, pattern, patience)
	if m == nil {
		p.t.Fatalf("%s never printed %s", p.name, pattern)
	}
	return m
}
