package edge

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tacit-presence/tacit/sip"
)

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
