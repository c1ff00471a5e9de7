package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// peer is a presence server that can be started afresh.
type peer interface {
	name() string
	version(ctx context.Context) (string, error)
	address() string
	// start gives the processes to measure and what ends them.
	start(ctx context.Context) (pids []int, stop func(), err error)
}

// kamailio is Debian's Kamailio, set up in bench/kamailio.cfg.
type kamailio struct {
	dir   string
	rules bool // with rules for each presentity
}

const kamailioPort = "15080"

func (k *kamailio) name() string  { return "Kamailio" + withRules(k.rules) }
func (*kamailio) address() string { return "127.0.0.1:" + kamailioPort }

func withRules(rules bool) string {
	if rules {
		return " with rules"
	}
	return ""
}

func (*kamailio) version(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "kamailio", "-v").Output()
	if err != nil {
		return "", fmt.Errorf("kamailio: %w", err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return "Kamailio " + strings.TrimSpace(strings.TrimPrefix(line, "version: kamailio")), nil
}

func (k *kamailio) start(ctx context.Context) ([]int, func(), error) {
	cfg, err := os.ReadFile("bench/kamailio.cfg")
	if err != nil {
		return nil, nil, err
	}
	db := filepath.Join(k.dir, "kamailio-db")
	if err := os.RemoveAll(db); err != nil {
		return nil, nil, err
	}
	if err := os.MkdirAll(db, 0o755); err != nil {
		return nil, nil, err
	}
	for _, table := range []string{"version", "presentity", "active_watchers", "watchers", "xcap"} {
		data, err := os.ReadFile(filepath.Join("/usr/share/kamailio/dbtext/kamailio", table))
		if err != nil {
			return nil, nil, err
		}
		if table == "xcap" && k.rules {
			data = []byte(xcapTable(string(data), presentities))
		}
		if err := os.WriteFile(filepath.Join(db, table), data, 0o644); err != nil {
			return nil, nil, err
		}
	}
	active, subs := "1", "0"
	if k.rules {
		active, subs = "0", "2"
	}
	text := strings.NewReplacer("KAMPORT", kamailioPort, "KAMDB", db, "KAMACTIVE", active, "KAMSUBS", subs).Replace(string(cfg))
	file := filepath.Join(k.dir, "kamailio.cfg")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, "kamailio", "-f", file, "-x", "fm", "-X", "fm", "-m", "8192", "-M", "64", "-DD", "-E")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	stop := func() { end(cmd) }
	// It says nothing when it is ready; its workers are there within a second.
	if err := sleep(ctx, 2*time.Second); err != nil {
		stop()
		return nil, nil, err
	}
	return []int{cmd.Process.Pid}, stop, nil
}

// tacit is the program under test: durable, a decision for every watcher, behind
// a trusted address.
type tacit struct {
	dir, program string
	profile      string // file for a CPU profile, if any
	rules        bool   // with rules for each presentity, and nothing for whom none is about
	puts         []put  // what the PUTs of those cost, one of each start
}

const (
	tacitPort = "15070"
	tacitHTTP = "127.0.0.1:15071"
)

func (t *tacit) name() string  { return "Tacit" + withRules(t.rules) }
func (*tacit) address() string { return "127.0.0.1:" + tacitPort }

func (t *tacit) version(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, t.program, "version").Output()
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(out)) + ", " + runtime.Version(), nil
}

func (t *tacit) start(ctx context.Context) ([]int, func(), error) {
	data := filepath.Join(t.dir, "tacit")
	if err := os.RemoveAll(data); err != nil {
		return nil, nil, err
	}
	users := filepath.Join(t.dir, "users.csv")
	var b strings.Builder
	for i := range presentities {
		fmt.Fprintf(&b, "%s,%s\n", userName(i), password(i))
	}
	if err := os.WriteFile(users, []byte(b.String()), 0o600); err != nil {
		return nil, nil, err
	}
	decision := "allow"
	if t.rules {
		decision = "block"
	}
	args := []string{"localserve", "--dir", data, "--sip", t.address(), "--sips", "", "--users-file", users,
		"--trust", "127.0.0.1", "--default-decision", decision}
	if t.rules {
		args = append(args, "--http", tacitHTTP)
	}
	if t.profile != "" {
		args = append(args, "--cpu-profile", t.profile)
	}
	cmd := exec.CommandContext(ctx, t.program, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	stop := func() { end(cmd) }
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if lines.Text() == "ready" {
			go io.Copy(io.Discard, out)
			if err := t.provision(ctx, cmd.Process.Pid); err != nil {
				stop()
				return nil, nil, err
			}
			return []int{cmd.Process.Pid}, stop, nil
		}
	}
	stop()
	return nil, nil, errors.New("tacit did not become ready")
}

// provision puts the rules of all presentities, and then measures what a PUT
// costs that changes them.
func (t *tacit) provision(ctx context.Context, pid int) error {
	if !t.rules {
		return nil
	}
	c := newXCAPClient(tacitHTTP)
	for i := range presentities {
		if err := c.put(ctx, i, ruleDocument(i, 0)); err != nil {
			return err
		}
	}
	p, err := c.measure(ctx, pid)
	t.puts = append(t.puts, p)
	return err
}

// end stops a process that was started here, and waits for it.
func end(cmd *exec.Cmd) {
	_ = cmd.Process.Signal(syscall.SIGTERM)
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // its own group
		<-done
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// machine says where it was measured.
func machine() string {
	model := "unknown processor"
	if data, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(data)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	kernel := ""
	if data, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		kernel = ", Linux " + strings.TrimSpace(string(data))
	}
	return fmt.Sprintf("%d processors (%s)%s", runtime.NumCPU(), model, kernel)
}
