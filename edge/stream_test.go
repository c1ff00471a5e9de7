package edge

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tacit-presence/tacit/sip"
)

// connect dials a listener of e by its transport.
func connect(t testing.TB, e *Edge, transport sip.Transport, client *tls.Config) net.Conn {
	t.Helper()
	c := dialTCP(t, serveStream(t, e, transport))
	if transport != sip.TransportTLS {
		return c
	}
	cfg := client.Clone()
	cfg.ServerName = "example.com"
	tc := tls.Client(c, cfg)
	t.Cleanup(func() { _ = tc.Close() })
	return tc
}

func TestStream(t *testing.T) {
	t.Parallel()
	serverTLS, clientTLS := certificates(t)
	for _, transport := range []sip.Transport{sip.TransportTCP, sip.TransportTLS} {
		t.Run(transport.String(), func(t *testing.T) {
			t.Parallel()
			h := newRecorder()
			e := newEdge(t, Config{Handler: h, TLS: serverTLS})
			c := connect(t, e, transport, clientTLS)
			// Two and a half messages in one write, then the rest byte by byte.
			third := request(3, transport.String(), strings.Repeat("y", 20000))
			write(t, c, "\r\n"+request(1, transport.String(), "one")+request(2, transport.String(), "")+third[:100])
			for _, b := range []byte(third[100:300]) {
				write(t, c, string(b))
			}
			write(t, c, third[300:])
			var flow sip.Flow
			for _, want := range []string{"c1", "c2", "c3"} {
				a := await(t, want, h.arrivals)
				if a.err != nil || a.callID != want {
					t.Errorf("got %s: %v", a.callID, a.err)
				}
				flow = a.flow
			}
			if flow.Transport != transport || flow.Remote != addrPort(c.LocalAddr()) || flow.Local != addrPort(c.RemoteAddr()) || flow.Conn == 0 {
				t.Errorf("flow %+v", flow)
			}
			if !e.Alive(flow) || e.Connections() != 1 {
				t.Errorf("alive %v, %d connections", e.Alive(flow), e.Connections())
			}
			for range 100 {
				if err := e.Send(flow, []byte(okReply), Options{}); err != nil {
					t.Fatal(err)
				}
			}
			r := bufio.NewReader(c)
			for range 100 {
				if got := readMessage(t, r); got != okReply {
					t.Fatalf("got %q", got)
				}
			}
			_ = c.Close()
			if got := await(t, "closing", h.closings); got != flow {
				t.Errorf("closed %v, want %v", got, flow)
			}
			if err := e.Send(flow, []byte(request(4, "TCP", "")), Options{}); !errors.Is(err, ErrFlowGone) {
				t.Errorf("Send after close: %v", err)
			}
			eventually(t, "connection forgotten", func() bool { return !e.Alive(flow) && e.Connections() == 0 })
			// The same number with another peer's address is not this flow.
			other := flow
			other.Remote = loopback(1)
			if e.Alive(other) {
				t.Error("other peer's flow is alive")
			}
		})
	}
}

// RFC 3261, 18.2.2: an answer goes by the connection as long as that is open.
func TestHalfClosedPeerIsAnswered(t *testing.T) {
	t.Parallel()
	h := newRecorder()
	e := newEdge(t, Config{Handler: h})
	c := connect(t, e, sip.TransportTCP, nil)
	write(t, c, request(1, "TCP", ""))
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	flow := await(t, "request", h.arrivals).flow
	if got := await(t, "closing", h.closings); got != flow || e.Alive(flow) {
		t.Errorf("closed %v, alive %t", got, e.Alive(flow))
	}
	if err := e.Send(flow, []byte(request(2, "TCP", "")), Options{}); !errors.Is(err, ErrFlowGone) {
		t.Errorf("a request: %v", err)
	}
	if err := e.Send(flow, []byte(okReply), Options{}); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || string(got) != okReply {
		t.Errorf("got %q, %v", got, err)
	}
	eventually(t, "connection forgotten", func() bool { return e.Connections() == 0 })
	if err := e.Send(flow, []byte(okReply), Options{}); !errors.Is(err, ErrFlowGone) {
		t.Errorf("after all: %v", err)
	}
}

func TestStreamPings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newRecorder()
		e := newEdge(t, Config{Handler: h})
		l := newPipeListener()
		if err := e.ServeStream(l, sip.TransportTCP); err != nil {
			t.Fatal(err)
		}
		c := l.dial("192.0.2.7:40000")
		var mu sync.Mutex
		var got strings.Builder
		go func() {
			buf := make([]byte, 100)
			for {
				n, err := c.Read(buf)
				mu.Lock()
				got.Write(buf[:n])
				mu.Unlock()
				if err != nil {
					return
				}
			}
		}()
		for _, step := range []struct {
			write string
			pongs int
		}{
			{"\r\n\r\n", 1},
			{"\r\n", 0}, // a pong, or a mere keep-alive
			{"\r\n", 0}, // another, 5 s later
			{"\r\n\r\n\r\n\r\n", 2},
			{"\r\n\r\n" + request(1, "TCP", ""), 1},
			{request(2, "TCP", "") + "\r\n\r\n", 1},
		} {
			time.Sleep(5 * time.Second)
			write(t, c, step.write)
			synctest.Wait()
			mu.Lock()
			if want := strings.Repeat("\r\n", step.pongs); got.String() != want {
				t.Errorf("after %q: got %q", step.write, got.String())
			}
			got.Reset()
			mu.Unlock()
		}
		for _, piece := range []string{"\r", "\n\r", "\n"} { // one ping in pieces
			write(t, c, piece)
		}
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if got.String() != "\r\n" {
			t.Errorf("ping in pieces: got %q", got.String())
		}
		if n := e.Counters().Pings.Load(); n != 6 {
			t.Errorf("%d pings", n)
		}
		if h.count() != 2 {
			t.Errorf("%d messages", h.count())
		}
		_ = c.Close()
	})
}

func TestStreamBadInput(t *testing.T) {
	t.Parallel()
	good := request(1, "TCP", "")
	for name, c := range map[string]struct {
		bytes  string
		status int // that the Handler is told; 0: nothing
		answer bool
	}{
		"two Content-Lengths": {strings.Replace(good, "\r\n\r\n", "\r\nContent-Length: 5\r\n\r\n", 1), 400, true},
		"no Content-Length":   {strings.Replace(good, "Content-Length: 0\r\n", "", 1), 400, true},
		"body too large":      {strings.Replace(good, "Length: 0", "Length: 10000000", 1), 413, true},
		"bad Content-Length":  {strings.Replace(good, "Length: 0", "Length: -1", 1), 400, true},
		"giant header":        {strings.Replace(good, "Max-", "X: "+strings.Repeat("x", 200000)+"\r\nMax-", 1), 0, false},
		"HTTP":                {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400, false},
		"bare LF":             {strings.ReplaceAll(good, "\r\n", "\n"), 0, false},
		"stray CR":            {"\r" + good, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newRecorder()
			e := newEdge(t, Config{Handler: h})
			h.receive = func(m *sip.Message, flow sip.Flow, _ error) {
				if m.Answerable() {
					_ = e.Send(flow, []byte(okReply), Options{})
				}
			}
			conn := connect(t, e, sip.TransportTCP, nil)
			// The server may close before it has taken all.
			_, _ = io.WriteString(conn, c.bytes)
			got, _ := io.ReadAll(conn)
			if c.answer != (string(got) == okReply) {
				t.Errorf("answer %q", got)
			}
			if c.status != 0 {
				a := await(t, "fault", h.arrivals)
				fault, ok := errors.AsType[*sip.StatusError](a.err)
				if !ok || fault.Status != c.status || a.answerable != c.answer {
					t.Errorf("told %+v", a)
				}
			}
			_ = conn.Close() // else the server lingers
			await(t, "closing", h.closings)
			if h.count() > 1 {
				t.Errorf("%d messages", h.count())
			}
			if n := e.Counters().FramingErrors.Load(); n != 1 {
				t.Errorf("%d framing errors", n)
			}
		})
	}
}

func TestStreamIPv6(t *testing.T) {
	t.Parallel()
	h := newRecorder()
	e := newEdge(t, Config{Handler: h})
	for _, listen := range []string{"[::1]:0", "[::]:0"} {
		l, err := ListenStream(listen)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.ServeStream(l, sip.TransportTCP); err != nil {
			t.Fatal(err)
		}
		to := netip.AddrPortFrom(netip.IPv6Loopback(), addrPort(l.Addr()).Port())
		write(t, dialTCP(t, to), request(1, "TCP", ""))
		if a := await(t, "request", h.arrivals); a.flow.Local != to || !a.flow.Remote.Addr().Is6() {
			t.Errorf("flow %+v", a.flow)
		}
		if listen == "[::]:0" { // takes IPv4 too, and says so plainly
			to = loopback(to.Port())
			write(t, dialTCP(t, to), request(1, "TCP", ""))
			if a := await(t, "request", h.arrivals); a.flow.Local != to || !a.flow.Remote.Addr().Is4() {
				t.Errorf("flow %+v", a.flow)
			}
		}
	}
}

// failingListener fails a few times, as when file descriptors run out.
type failingListener struct {
	*pipeListener
	failures int
}

func (l *failingListener) Accept() (net.Conn, error) {
	if l.failures > 0 {
		l.failures--
		return nil, syscall.EMFILE
	}
	return l.pipeListener.Accept()
}

func TestAcceptErrors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newRecorder()
		e := newEdge(t, Config{Handler: h})
		l := &failingListener{newPipeListener(), 10}
		if err := e.ServeStream(l, sip.TransportTCP); err != nil {
			t.Fatal(err)
		}
		c := l.dial("192.0.2.7:40000")
		write(t, c, request(1, "TCP", ""))
		<-h.arrivals
		if n := e.Counters().AcceptErrors.Load(); n != 10 {
			t.Errorf("counted %d", n)
		}
		_ = c.Close()
	})
}

// A message that Parse refuses but that has its boundaries does not end the
// connection.
func TestStreamParseError(t *testing.T) {
	t.Parallel()
	h := newRecorder()
	e := newEdge(t, Config{Handler: h})
	c := connect(t, e, sip.TransportTCP, nil)
	write(t, c, strings.Replace(request(1, "TCP", ""), "Max-", "Subject: a\x00b\r\nMax-", 1)+request(2, "TCP", ""))
	if a := await(t, "first", h.arrivals); a.err == nil || !a.answerable {
		t.Errorf("got %+v", a)
	}
	if a := await(t, "second", h.arrivals); a.err != nil || a.callID != "c2" {
		t.Errorf("got %+v", a)
	}
}

func TestStreamHandlerPanic(t *testing.T) {
	t.Parallel()
	h := newRecorder()
	h.receive = func(m *sip.Message, _ sip.Flow, _ error) {
		if m.CallID == "c1" {
			panic("defect")
		}
	}
	e := newEdge(t, Config{Handler: h})
	c := connect(t, e, sip.TransportTCP, nil)
	write(t, c, request(1, "TCP", ""))
	await(t, "closing", h.closings)
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("connection is open")
	}
	if n := e.Counters().Panics.Load(); n != 1 {
		t.Errorf("%d panics", n)
	}
	eventually(t, "place given back", func() bool { return e.Connections() == 0 })
}

func TestTLSGarbage(t *testing.T) {
	t.Parallel()
	serverTLS, _ := certificates(t)
	h := newRecorder()
	e := newEdge(t, Config{Handler: h, TLS: serverTLS})
	for _, transport := range []sip.Transport{sip.TransportTLS, sip.TransportWSS} {
		c := dialTCP(t, serveStream(t, e, transport))
		write(t, c, request(1, "TLS", "not TLS at all"))
		if _, err := io.Copy(io.Discard, c); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Log(err) // a reset will do
		}
	}
	eventually(t, "places given back", func() bool { return e.Connections() == 0 })
	if n := e.Counters().HandshakeErrors.Load(); n != 2 {
		t.Errorf("counted %d", n)
	}
	if h.count() != 0 || len(h.closings) != 0 {
		t.Error("Handler was told")
	}
}

func TestTLSNeedsConfiguration(t *testing.T) {
	t.Parallel()
	e := newEdge(t, Config{})
	l := newPipeListener()
	for _, err := range []error{
		e.ServeStream(l, sip.TransportTLS), e.ServeStream(l, sip.TransportUDP), e.ServeWS(l, true),
	} {
		if !errors.Is(err, ErrNotServed) {
			t.Errorf("got %v", err)
		}
	}
}
