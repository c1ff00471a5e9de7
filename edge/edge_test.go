package edge

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/sip"
)

// request makes a valid request with a branch and Call-ID of its own.
func request(n int, transport, body string) string {
	return fmt.Sprintf("PUBLISH sip:alice@example.com SIP/2.0\r\n"+
		"Via: SIP/2.0/%s 192.0.2.1;branch=z9hG4bK%d;rport\r\n"+
		"From: <sip:alice@example.com>;tag=1\r\nTo: <sip:alice@example.com>\r\n"+
		"Call-ID: c%d\r\nCSeq: %d PUBLISH\r\nMax-Forwards: 70\r\n"+
		"Content-Length: %d\r\n\r\n%s", transport, n, n, n+1, len(body), body)
}

const okReply = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n" +
	"From: <sip:a@example.com>;tag=1\r\nTo: <sip:a@example.com>;tag=2\r\nCall-ID: c1\r\nCSeq: 1 PUBLISH\r\n" +
	"Content-Length: 0\r\n\r\n"

// arrival is one call of Receive.
type arrival struct {
	callID     string
	body       string
	flow       sip.Flow
	err        error
	answerable bool
}

// recorder is a Handler that keeps what it is told.
type recorder struct {
	mu       sync.Mutex
	got      []arrival
	closed   []sip.Flow
	failed   []sip.Flow
	receive  func(m *sip.Message, flow sip.Flow, err error) // may be nil
	arrivals chan arrival
	closings chan sip.Flow
	failures chan sip.Flow
}

func newRecorder() *recorder {
	return &recorder{
		arrivals: make(chan arrival, 10000),
		closings: make(chan sip.Flow, 10000),
		failures: make(chan sip.Flow, 10000),
	}
}

func (r *recorder) Receive(m *sip.Message, flow sip.Flow, err error) {
	a := arrival{m.CallID, m.Body, flow, err, m.Answerable()}
	if r.receive != nil {
		r.receive(m, flow, err)
	}
	m.Release()
	r.mu.Lock()
	r.got = append(r.got, a)
	r.mu.Unlock()
	select {
	case r.arrivals <- a:
	default:
	}
}

func (r *recorder) FlowClosed(flow sip.Flow) {
	r.mu.Lock()
	r.closed = append(r.closed, flow)
	r.mu.Unlock()
	r.closings <- flow
}

func (r *recorder) SendFailed(flow sip.Flow) {
	r.mu.Lock()
	r.failed = append(r.failed, flow)
	r.mu.Unlock()
	r.failures <- flow
}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got)
}

// patience bounds every wait in these tests.
const testPatience = 10 * time.Second

var (
	noTime    time.Time // no deadline
	farFuture = time.Now().Add(time.Hour)
)

func loopback(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
}

func await[T any](t testing.TB, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(testPatience):
		t.Fatalf("%s: nothing came", what)
	}
	panic("not reached")
}

// eventually waits for a condition that no channel tells.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(testPatience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: did not happen", what)
		}
	}
}

// newEdge makes an Edge that is shut down with the test.
func newEdge(t testing.TB, cfg Config) *Edge {
	t.Helper()
	if cfg.Handler == nil {
		cfg.Handler = newRecorder()
	}
	e := New(cfg)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testPatience)
		defer cancel()
		if err := e.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
	return e
}

// serveUDP gives the address of a new UDP socket that e serves.
func serveUDP(t testing.TB, e *Edge, addr string) netip.AddrPort {
	t.Helper()
	pc, err := ListenUDP(addr, e.cfg.Logger)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.ServeUDP(pc); err != nil {
		t.Fatal(err)
	}
	return addrPort(pc.LocalAddr())
}

// serveStream gives the address of a new listener that e serves.
func serveStream(t testing.TB, e *Edge, transport sip.Transport) netip.AddrPort {
	t.Helper()
	l, err := ListenStream("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	switch transport {
	case sip.TransportWS, sip.TransportWSS:
		err = e.ServeWS(l, transport == sip.TransportWSS)
	default:
		err = e.ServeStream(l, transport)
	}
	if err != nil {
		t.Fatal(err)
	}
	return addrPort(l.Addr())
}

// udpClient is a plain UDP socket.
func udpClient(t testing.TB, addr string) (*net.UDPConn, netip.AddrPort) {
	t.Helper()
	pc, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	return pc, addrPort(pc.LocalAddr())
}

func readDatagram(t testing.TB, c *net.UDPConn) (string, netip.AddrPort) {
	t.Helper()
	buf := make([]byte, maxDatagram)
	_ = c.SetReadDeadline(time.Now().Add(testPatience))
	n, from, err := c.ReadFromUDPAddrPort(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n]), netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
}

func dialTCP(t testing.TB, to netip.AddrPort) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(testPatience))
	return c
}

func write(t testing.TB, c io.Writer, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
}

// readMessage reads one message by its Content-Length.
func readMessage(t testing.TB, r *bufio.Reader) string {
	t.Helper()
	var b strings.Builder
	length := 0
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("after %q: %v", b.String(), err)
		}
		b.WriteString(line)
		if line == "\r\n" {
			break
		}
		_, _ = fmt.Sscanf(line, "Content-Length: %d", &length)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		t.Fatal(err)
	}
	return b.String() + string(body)
}
