package peertest

import (
	"crypto/x509"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// server is a running `tacit localserve`, or one that is about to run again on
// the same directory and ports.
type server struct {
	*program
	t                       testing.TB
	dir                     string
	sip, sips, ws, wss, web string
	https                   string // empty: closed
	extra                   []string
}

// users are those of most tests; everybody may watch everybody.
var users = []string{"--user", "alice:a-secret", "--user", "bob:b-secret", "--default-decision", "allow"}

// serve starts a server of its own for a test, and waits until it is ready.
func serve(t testing.TB, args ...string) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir(), extra: args,
		sip: freePort(t), sips: freePort(t), ws: freePort(t), wss: freePort(t), web: freePort(t)}
	s.again()
	return s
}

// again starts it on the directory and ports that it had.
func (s *server) again() {
	s.t.Helper()
	s.launch()
	s.expect(`(?m)^ready$`)
}

// launch does not wait until it is ready.
func (s *server) launch() {
	s.t.Helper()
	args := append([]string{"localserve", "--dir", s.dir, "--sip", s.sip, "--sips", s.sips,
		"--ws", s.ws, "--wss", s.wss, "--http", s.web}, s.extra...)
	s.program = launch(s.t, s.dir, binary, args...)
}

// roots are those that its TLS certificate is to be checked with.
func (s *server) roots() *x509.CertPool {
	s.t.Helper()
	pem, err := os.ReadFile(filepath.Join(s.dir, "ca.pem"))
	if err != nil {
		s.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return pool
}

// stop ends the server as an operator does, and wants that to go well.
func (s *server) stop() {
	s.t.Helper()
	s.signal(syscall.SIGTERM)
	if code := s.wait(patience); code != 0 {
		s.t.Errorf("the server ended with %d", code)
	}
	s.checkOutput()
}

// checkOutput looks for what no server may print.
func (s *server) checkOutput() {
	s.t.Helper()
	text, _, _ := s.from(0)
	for _, bad := range []string{"DATA RACE", "panic:", "goroutine 1 ["} {
		if strings.Contains(text, bad) {
			s.t.Errorf("the server printed %q:\n%s", bad, text)
		}
	}
}

// healthy wants /healthz to say so, and no panic to have been caught.
func (s *server) healthy() {
	s.t.Helper()
	res, err := http.Get("http://" + s.web + "/healthz")
	if err != nil {
		s.t.Fatalf("the server is not healthy: %v", err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		s.t.Fatalf("the server is not healthy: %s", res.Status)
	}
	if n := s.metric("tacit_panics_total"); n != 0 {
		s.t.Fatalf("%v panics were caught", n)
	}
	s.checkOutput()
}

// metric sums a metric over its labels.
func (s *server) metric(name string) float64 {
	s.t.Helper()
	res, err := http.Get("http://" + s.web + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	sum, found := 0.0, false
	for line := range strings.Lines(string(text)) {
		left, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if left, _, _ = strings.Cut(left, "{"); left != name {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			s.t.Fatalf("metric %q: %v", line, err)
		}
		sum, found = sum+n, true
	}
	if !found {
		s.t.Fatalf("there is no metric %s", name)
	}
	return sum
}

// tacit runs a command of the program to its end and gives what it printed.
func (s *server) tacit(args ...string) string {
	s.t.Helper()
	out, err := exec.Command(binary, args...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("tacit %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// operate runs a command on the server's directory.
func (s *server) operate(args ...string) string {
	s.t.Helper()
	return s.tacit(append(args, "--dir", s.dir)...)
}

// as gives the flags of the client commands.
func (s *server) as(user, transport string) []string {
	at := map[string]string{"udp": s.sip, "tcp": s.sip, "tls": s.sips, "ws": s.ws, "wss": s.wss}[transport]
	return []string{"--server", at, "--transport", transport, "--ca", filepath.Join(s.dir, "ca.pem"),
		"--user", "sip:" + user + "@example.com", "--password", user[:1] + "-secret"}
}

// watch starts `tacit watch --json`.
func (s *server) watch(watcher, target, transport string) *program {
	s.t.Helper()
	return launch(s.t, s.t.TempDir(), binary, append([]string{"watch", "--json", "sip:" + target + "@example.com"}, s.as(watcher, transport)...)...)
}

// publish starts `tacit publish`, waits until it has published, and leaves it
// running.
func (s *server) publish(user, transport string, args ...string) *program {
	s.t.Helper()
	p := launch(s.t, s.t.TempDir(), binary, append(append([]string{"publish"}, args...), s.as(user, transport)...)...)
	p.expect(`published`)
	return p
}

// eventually waits until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("in vain waited for: %s", what)
		}
	}
}

// taken are the ports given out; no test gets another's.
var taken = struct {
	sync.Mutex
	ports map[int]bool
}{ports: map[int]bool{}}

// freePort gives a loopback address whose port is free for UDP and TCP. It lies
// below the range from which systems take the ports of outgoing connections.
func freePort(t testing.TB) string {
	t.Helper()
	return freePorts(t, 1)
}

// freePorts gives the first of several free ports in a row.
func freePorts(t testing.TB, n int) string {
	t.Helper()
	taken.Lock()
	defer taken.Unlock()
	for range 1000 {
		first := 10000 + rand.IntN(20000)
		free := true
		for p := first; p < first+n; p++ {
			free = free && !taken.ports[p] && isFree(p)
		}
		if free {
			for p := first; p < first+n; p++ {
				taken.ports[p] = true
			}
			return fmt.Sprintf("127.0.0.1:%d", first)
		}
	}
	t.Fatal("no port is free")
	return ""
}

func isFree(port int) bool {
	address := fmt.Sprintf("127.0.0.1:%d", port)
	l, err := net.Listen("tcp", address)
	if err != nil {
		return false
	}
	_ = l.Close()
	c, err := net.ListenPacket("udp", address)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// portOf is the port of HOST:PORT.
func portOf(address string) int {
	_, port, _ := net.SplitHostPort(address)
	n, _ := strconv.Atoi(port)
	return n
}
