package edge

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/tacit-presence/tacit/sip"
)

// dialWS is a WebSocket client over any connection.
func dialWS(t testing.TB, url string, client *http.Client, header http.Header, protocols ...string) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testPatience)
	defer cancel()
	c, resp, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: client, HTTPHeader: header, Subprotocols: protocols})
	if err == nil {
		t.Cleanup(func() { _ = c.CloseNow() })
	}
	return c, resp, err
}

func writeWS(t testing.TB, c *websocket.Conn, kind websocket.MessageType, msg string) {
	t.Helper()
	if err := c.Write(t.Context(), kind, []byte(msg)); err != nil {
		t.Fatal(err)
	}
}

func readWS(t testing.TB, c *websocket.Conn) (websocket.MessageType, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testPatience)
	defer cancel()
	kind, b, err := c.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return kind, string(b)
}

func TestWebSocket(t *testing.T) {
	t.Parallel()
	serverTLS, clientTLS := certificates(t)
	for _, transport := range []sip.Transport{sip.TransportWS, sip.TransportWSS} {
		t.Run(transport.String(), func(t *testing.T) {
			t.Parallel()
			h := newRecorder()
			e := newEdge(t, Config{Handler: h, TLS: serverTLS})
			addr := serveStream(t, e, transport)
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: clientTLS}}
			c, resp, err := dialWS(t, strings.ToLower(transport.String())+"://"+addr.String()+"/ws", client, nil, "other", "sip")
			if err != nil {
				t.Fatal(err)
			}
			if got := resp.Header.Get("Sec-WebSocket-Protocol"); got != "sip" {
				t.Errorf("subprotocol %q", got)
			}
			// RFC 7118, 4.2: text and binary; 5: Content-Length may be absent.
			writeWS(t, c, websocket.MessageText, request(1, transport.String(), "one"))
			writeWS(t, c, websocket.MessageBinary, strings.Replace(request(2, transport.String(), "two"), "Content-Length: 3\r\n", "", 1))
			var flow sip.Flow
			for _, want := range []string{"one", "two"} {
				a := await(t, want, h.arrivals)
				if a.err != nil || a.body != want {
					t.Errorf("got %+v", a)
				}
				flow = a.flow
			}
			if flow.Transport != transport || flow.Local != addr || flow.Conn == 0 || !flow.Remote.IsValid() {
				t.Errorf("flow %+v", flow)
			}
			writeWS(t, c, websocket.MessageText, "\r\n")
			writeWS(t, c, websocket.MessageText, "\r\n\r\n")
			if kind, got := readWS(t, c); got != "\r\n" || kind != websocket.MessageText {
				t.Errorf("pong %q", got)
			}
			for _, msg := range []string{okReply, okReply + "\xff"} {
				if err := e.Send(flow, []byte(msg), Options{}); err != nil {
					t.Fatal(err)
				}
			}
			if kind, got := readWS(t, c); got != okReply || kind != websocket.MessageText {
				t.Errorf("got %v %q", kind, got)
			}
			if kind, got := readWS(t, c); got != okReply+"\xff" || kind != websocket.MessageBinary {
				t.Errorf("got %v %q", kind, got)
			}
			writeWS(t, c, websocket.MessageText, "nonsense")
			if a := await(t, "nonsense", h.arrivals); a.err == nil {
				t.Error("no error")
			}
			_ = c.Close(websocket.StatusNormalClosure, "")
			if got := await(t, "closing", h.closings); got != flow {
				t.Errorf("closed %+v", got)
			}
			eventually(t, "place given back", func() bool { return e.Connections() == 0 })
		})
	}
}

func TestWebSocketTooLarge(t *testing.T) {
	t.Parallel()
	h := newRecorder()
	e := newEdge(t, Config{Handler: h, Limits: sip.Limits{MaxMessage: 5000}})
	addr := serveStream(t, e, sip.TransportWS)
	c, _, err := dialWS(t, "ws://"+addr.String(), nil, nil, "sip")
	if err != nil {
		t.Fatal(err)
	}
	writeWS(t, c, websocket.MessageText, request(1, "WS", strings.Repeat("x", 5000)))
	if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
		t.Errorf("got %v", err)
	}
	await(t, "closing", h.closings)
	if n := e.Counters().Oversize.Load(); n != 1 || h.count() != 0 {
		t.Errorf("%d oversize, %d messages", n, h.count())
	}
}

func TestWebSocketHandshake(t *testing.T) {
	t.Parallel()
	e := newEdge(t, Config{OriginOK: func(origin, host string) bool {
		return origin == "https://phone.example.com" || sameOrigin(origin, host)
	}})
	addr := serveStream(t, e, sip.TransportWS).String()
	upgrade := "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for name, c := range map[string]struct {
		head   string
		status int
	}{
		"plain":             {"GET / HTTP/1.1\r\n", 426},
		"POST":              {"POST / HTTP/1.1\r\nContent-Length: 0\r\n", 426},
		"no subprotocol":    {"GET / HTTP/1.1\r\n" + upgrade, 400},
		"other subprotocol": {"GET / HTTP/1.1\r\n" + upgrade + "Sec-WebSocket-Protocol: xmpp\r\n", 400},
		"bad version":       {"GET / HTTP/1.1\r\n" + strings.Replace(upgrade, ": 13", ": 12", 1) + "Sec-WebSocket-Protocol: sip\r\n", 400},
		"no key":            {"GET / HTTP/1.1\r\n" + strings.Replace(upgrade, "Key", "Kex", 1) + "Sec-WebSocket-Protocol: sip\r\n", 400},
		"foreign origin":    {"GET / HTTP/1.1\r\n" + upgrade + "Sec-WebSocket-Protocol: sip\r\nOrigin: https://evil.example\r\n", 403},
		"two origins":       {"GET / HTTP/1.1\r\n" + upgrade + "Sec-WebSocket-Protocol: sip\r\nOrigin: http://" + addr + "\r\nOrigin: https://evil.example\r\n", 403},
		"null origin":       {"GET / HTTP/1.1\r\n" + upgrade + "Sec-WebSocket-Protocol: sip\r\nOrigin: null\r\n", 403},
		"bad origin":        {"GET / HTTP/1.1\r\n" + upgrade + "Sec-WebSocket-Protocol: sip\r\nOrigin: http://%zz\r\n", 403},
		"giant header":      {"GET / HTTP/1.1\r\nCookie: " + strings.Repeat("x", 100000) + "\r\n", 431},
		"same origin":       {"GET / HTTP/1.1\r\n" + upgrade + "Sec-WebSocket-Protocol: sip\r\nOrigin: http://" + addr + "\r\n", 101},
		"listed origin":     {"GET /ws HTTP/1.1\r\n" + upgrade + "Sec-WebSocket-Protocol: xmpp, sip\r\nOrigin: https://phone.example.com\r\n", 101},
		"no origin":         {"GET /any/path HTTP/1.1\r\n" + upgrade + "Sec-WebSocket-Protocol: xmpp\r\nSec-WebSocket-Protocol: sip\r\n", 101},
	} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(testPatience))
		go func() { _, _ = io.WriteString(conn, c.head+"Host: "+addr+"\r\n\r\n") }()
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if resp.StatusCode != c.status {
			t.Errorf("%s: %s", name, resp.Status)
		}
		if c.status == 426 && resp.Header.Get("Upgrade") != "websocket" {
			t.Errorf("%s: no Upgrade header", name)
		}
		_ = conn.Close()
	}
	if n := e.Counters().RefusedOrigin.Load(); n != 4 {
		t.Errorf("%d origins refused", n)
	}
	if n := e.Counters().RefusedUpgrade.Load(); n != 6 {
		t.Errorf("%d upgrades refused", n)
	}
	eventually(t, "places given back", func() bool { return e.Connections() == 0 })
}

// pipeWS upgrades an in-memory connection.
func pipeWS(t *testing.T, l *pipeListener) *websocket.Conn {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return l.dial("192.0.2.7:40000"), nil
	}}}
	c, _, err := websocket.Dial(t.Context(), "ws://example.com/", &websocket.DialOptions{HTTPClient: client, Subprotocols: []string{"sip"}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWebSocketTimeouts(t *testing.T) {
	t.Parallel()
	cfg := Config{HeaderTimeout: 30 * time.Second, IdleTimeout: 5 * time.Minute, PinnedIdleTimeout: time.Hour}
	run := func(name string, want time.Duration, use func(*testing.T, *Edge, *recorder, *websocket.Conn)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newRecorder()
				cfg := cfg
				cfg.Handler = h
				e := newEdge(t, cfg)
				l := newPipeListener()
				if err := e.ServeWS(l, false); err != nil {
					t.Fatal(err)
				}
				c := pipeWS(t, l)
				start := time.Now()
				use(t, e, h, c)
				<-h.closings
				if took := time.Since(start); took != want {
					t.Errorf("closed after %v, want %v", took, want)
				}
				_ = c.CloseNow()
				time.Sleep(time.Minute) // for what use has started
			})
		})
	}
	run("idle", 5*time.Minute, func(*testing.T, *Edge, *recorder, *websocket.Conn) {})
	run("pinged", 9*time.Minute, func(t *testing.T, _ *Edge, _ *recorder, c *websocket.Conn) {
		time.Sleep(4 * time.Minute)
		ctx := c.CloseRead(t.Context())
		if err := c.Ping(ctx); err != nil {
			t.Error(err)
		}
	})
	run("pinned", time.Hour, func(t *testing.T, e *Edge, h *recorder, c *websocket.Conn) {
		writeWS(t, c, websocket.MessageText, request(1, "WS", ""))
		e.Pin((<-h.arrivals).flow, 1)
	})
	run("slow message", 40*time.Second, func(t *testing.T, _ *Edge, _ *recorder, c *websocket.Conn) {
		time.Sleep(10 * time.Second)
		w, err := c.Writer(t.Context(), websocket.MessageText)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for range 100 {
				if _, err := io.WriteString(w, strings.Repeat("x", 5000)); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}()
	})
}

func TestWebSocketSlowHandshake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEdge(t, Config{HandshakeTimeout: 7 * time.Second})
		l := newPipeListener()
		if err := e.ServeWS(l, false); err != nil {
			t.Fatal(err)
		}
		c := l.dial("192.0.2.7:40000")
		start := time.Now()
		write(t, c, "GET / HTTP/1.1\r\nHost: ")
		if _, err := c.Read(make([]byte, 1)); err == nil || time.Since(start) != 7*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		synctest.Wait()
		if e.Connections() != 0 {
			t.Error("place is kept")
		}
	})
}

func TestWebSocketShutdown(t *testing.T) {
	t.Parallel()
	h := newRecorder()
	e := New(Config{Handler: h, TLS: &tls.Config{MinVersion: tls.VersionTLS12}})
	addr := serveStream(t, e, sip.TransportWS)
	c, _, err := dialWS(t, "ws://"+addr.String(), nil, nil, "sip")
	if err != nil {
		t.Fatal(err)
	}
	writeWS(t, c, websocket.MessageText, request(1, "WS", ""))
	if err := e.Send(await(t, "request", h.arrivals).flow, []byte(okReply), Options{}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- e.Shutdown(context.Background()) }()
	if _, got := readWS(t, c); got != okReply {
		t.Errorf("got %q", got)
	}
	if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("got %v", err)
	}
	if err := await(t, "Shutdown", ended); err != nil {
		t.Error(err)
	}
	if len(h.closings) != 0 {
		t.Error("FlowClosed after Shutdown")
	}
}
