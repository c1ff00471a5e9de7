package edge

import (
	"bufio"
	"context"
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

// closesAfter runs in a bubble: after setup has written what it wants, the
// server must close the connection after exactly this time.
func closesAfter(t *testing.T, cfg Config, want time.Duration, setup func(*Edge, *recorder, net.Conn)) *Edge {
	t.Helper()
	h := newRecorder()
	cfg.Handler = h
	e := newEdge(t, cfg)
	l := newPipeListener()
	transport := sip.TransportTCP
	if cfg.TLS != nil {
		transport = sip.TransportTLS
	}
	if err := e.ServeStream(l, transport); err != nil {
		t.Fatal(err)
	}
	c := l.dial("192.0.2.7:40000")
	start := time.Now()
	var done sync.WaitGroup
	done.Go(func() { setup(e, h, c) })
	_, _ = io.Copy(io.Discard, c)
	if took := time.Since(start).Round(time.Second); took != want {
		t.Errorf("closed after %v, want %v", took, want)
	}
	_ = c.Close()
	done.Wait()
	synctest.Wait()
	return e
}

func TestStreamTimeouts(t *testing.T) {
	t.Parallel()
	cfg := Config{HeaderTimeout: 30 * time.Second, IdleTimeout: 5 * time.Minute, PinnedIdleTimeout: time.Hour, HandshakeTimeout: 7 * time.Second}
	drip := func(c net.Conn, s string) {
		for _, b := range []byte(s) {
			if _, err := c.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(time.Second)
		}
	}
	t.Run("slow header", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			e := closesAfter(t, cfg, 30*time.Second, func(_ *Edge, _ *recorder, c net.Conn) { drip(c, request(1, "TCP", "")) })
			if n := e.Counters().HeaderTimeouts.Load(); n != 1 {
				t.Errorf("counted %d", n)
			}
		})
	})
	t.Run("slow body", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			closesAfter(t, cfg, 40*time.Second, func(_ *Edge, _ *recorder, c net.Conn) {
				time.Sleep(10 * time.Second)
				msg := request(1, "TCP", strings.Repeat("x", 1000))
				_, _ = io.WriteString(c, msg+msg[:len(msg)-900])
				drip(c, strings.Repeat("x", 800))
			})
		})
	})
	t.Run("idle", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			e := closesAfter(t, cfg, 5*time.Minute, func(*Edge, *recorder, net.Conn) {})
			if n := e.Counters().IdleTimeouts.Load(); n != 1 {
				t.Errorf("counted %d", n)
			}
		})
	})
	t.Run("idle after messages both ways", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			closesAfter(t, cfg, 10*time.Minute, func(e *Edge, h *recorder, c net.Conn) {
				time.Sleep(3 * time.Minute)
				_, _ = io.WriteString(c, request(1, "TCP", ""))
				flow := (<-h.arrivals).flow
				time.Sleep(2 * time.Minute)
				_ = e.Send(flow, []byte(okReply), Options{})
			})
		})
	})
	t.Run("pinned", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			closesAfter(t, cfg, time.Hour, func(e *Edge, h *recorder, c net.Conn) {
				_, _ = io.WriteString(c, request(1, "TCP", ""))
				e.Pin((<-h.arrivals).flow, 2)
			})
		})
	})
	t.Run("no longer pinned", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			// Looked at 2 s after the message and then every 5 minutes.
			closesAfter(t, cfg, 15*time.Minute+bufferPatience, func(e *Edge, h *recorder, c net.Conn) {
				_, _ = io.WriteString(c, request(1, "TCP", ""))
				flow := (<-h.arrivals).flow
				e.Pin(flow, 1)
				time.Sleep(12 * time.Minute)
				e.Pin(flow, -1)
			})
		})
	})
	t.Run("TLS handshake", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			cfg := cfg
			cfg.TLS, _ = certificates(t)
			e := closesAfter(t, cfg, 7*time.Second, func(*Edge, *recorder, net.Conn) {})
			if n := e.Counters().HandshakeErrors.Load(); n != 1 {
				t.Errorf("counted %d", n)
			}
		})
	})
	t.Run("writes not taken", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h := newRecorder()
			e := newEdge(t, Config{Handler: h, WriteTimeout: 9 * time.Second, MaxQueue: 3 * len(okReply)})
			l := newPipeListener()
			if err := e.ServeStream(l, sip.TransportTCP); err != nil {
				t.Fatal(err)
			}
			c := l.dial("192.0.2.7:40000")
			write(t, c, request(1, "TCP", ""))
			flow := (<-h.arrivals).flow
			for range 3 {
				if err := e.Send(flow, []byte(okReply), Options{}); err != nil {
					t.Fatal(err)
				}
			}
			if err := e.Send(flow, []byte(okReply), Options{}); !errors.Is(err, ErrQueueFull) {
				t.Errorf("fourth: %v", err)
			}
			start := time.Now()
			<-h.closings
			if took := time.Since(start); took != 9*time.Second {
				t.Errorf("closed after %v", took)
			}
		})
	})
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

func TestConnectionLimits(t *testing.T) {
	t.Parallel()
	t.Run("5000 beyond the total", func(t *testing.T) {
		t.Parallel()
		h := newRecorder()
		e := newEdge(t, Config{Handler: h, MaxConnections: 20, MaxPerAddress: -1})
		addr := serveStream(t, e, sip.TransportTCP)
		var kept []net.Conn
		for range 20 {
			c := dialTCP(t, addr)
			write(t, c, request(1, "TCP", ""))
			await(t, "request", h.arrivals)
			kept = append(kept, c)
		}
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				for range 500 {
					if c, err := net.Dial("tcp", addr.String()); err == nil {
						_ = c.SetReadDeadline(time.Now().Add(testPatience))
						if _, err := c.Read(make([]byte, 1)); errors.Is(err, context.DeadlineExceeded) {
							t.Error("not closed")
						}
						_ = c.Close()
					}
				}
			})
		}
		wg.Wait()
		if n := e.Connections(); n != 20 {
			t.Errorf("%d connections", n)
		}
		eventually(t, "all refused", func() bool { return e.Counters().RefusedTotal.Load() == 5000 })
		for _, c := range kept { // undisturbed
			write(t, c, request(1, "TCP", ""))
			await(t, "request", h.arrivals)
		}
		_ = kept[0].Close()
		eventually(t, "a place is free", func() bool { return e.Connections() == 19 })
		write(t, dialTCP(t, addr), request(1, "TCP", ""))
		await(t, "request", h.arrivals)
	})
	t.Run("per address", func(t *testing.T) {
		t.Parallel()
		h := newRecorder()
		e := newEdge(t, Config{Handler: h, MaxPerAddress: 2})
		l := newPipeListener()
		if err := e.ServeStream(l, sip.TransportTCP); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			from string
			ok   bool
		}{
			{"192.0.2.7:1", true}, {"192.0.2.7:2", true}, {"192.0.2.7:3", false}, {"192.0.2.8:1", true},
			{"[2001:db8::1]:1", true}, {"[2001:db8::2]:1", true}, {"[2001:db8::3]:1", false}, {"[2001:db8:0:1::1]:1", true},
			{"[::ffff:192.0.2.7]:1", false},
		} {
			conn := l.dial(c.from)
			t.Cleanup(func() { _ = conn.Close() })
			_, err := io.WriteString(conn, request(1, "TCP", ""))
			if (err == nil) != c.ok {
				t.Errorf("%s: %v", c.from, err)
			}
		}
		if n := e.Counters().RefusedAddress.Load(); n != 3 {
			t.Errorf("%d refused", n)
		}
	})
}

func TestShutdownFlushes(t *testing.T) {
	t.Parallel()
	h := newRecorder()
	e := New(Config{Handler: h})
	c := connect(t, e, sip.TransportTCP, nil)
	write(t, c, request(1, "TCP", ""))
	flow := await(t, "request", h.arrivals).flow
	const n = 1000
	for range n {
		if err := e.Send(flow, []byte(okReply), Options{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil || len(got) != n*len(okReply) {
		t.Errorf("got %d bytes of %d: %v", len(got), n*len(okReply), err)
	}
	if len(h.closings) != 0 {
		t.Error("FlowClosed after Shutdown")
	}
	if err := e.Send(flow, []byte(okReply), Options{Dial: true}); err == nil {
		t.Error("Send after Shutdown")
	}
	if err := e.ServeStream(newPipeListener(), sip.TransportTCP); !errors.Is(err, ErrClosed) {
		t.Errorf("ServeStream after Shutdown: %v", err)
	}
}

// A peer that does not read cannot hold Shutdown up.
func TestShutdownGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newRecorder()
		e := New(Config{Handler: h})
		l := newPipeListener()
		if err := e.ServeStream(l, sip.TransportTCP); err != nil {
			t.Fatal(err)
		}
		c := l.dial("192.0.2.7:40000")
		write(t, c, request(1, "TCP", ""))
		if err := e.Send((<-h.arrivals).flow, []byte(okReply), Options{}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		if err := e.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("took %v", took)
		}
	})
}
