package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/tacit-presence/tacit/sip"
)

const (
	// subprotocol is RFC 7118, 4.1's.
	subprotocol = "sip"
	// maxHandshake bounds the HTTP header section of a WebSocket handshake;
	// browsers send cookies and tokens of some kilobytes.
	maxHandshake = 16 << 10
)

// connKey is the context key under which the HTTP server keeps its connection.
type connKey struct{}

// ServeWS accepts WebSocket connections from l until Shutdown; it returns at
// once. l accepts plain connections: for wss TLS is done here. Every path
// serves. The Edge owns l from now on.
func (e *Edge) ServeWS(l net.Listener, secure bool) error {
	t := sip.TransportWS
	if secure {
		t = sip.TransportWSS
	}
	if secure && e.cfg.TLS == nil {
		return fmt.Errorf("%w: %v", ErrNotServed, t)
	}
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { e.upgrade(w, r, t) }),
		// The TLS handshake is bounded by the same time.
		ReadHeaderTimeout: min(e.cfg.HeaderTimeout, e.cfg.HandshakeTimeout),
		WriteTimeout:      e.cfg.WriteTimeout,
		MaxHeaderBytes:    maxHandshake,
		ErrorLog:          slog.NewLogLogger(e.cfg.Logger.Handler(), slog.LevelDebug),
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){}, // no HTTP/2
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		ConnState: func(c net.Conn, s http.ConnState) {
			if tc, ok := c.(*tls.Conn); ok && s == http.StateClosed && !tc.ConnectionState().HandshakeComplete {
				e.cfg.Counters.HandshakeErrors.Add(1)
			}
		},
	}
	server.SetKeepAlivesEnabled(false)
	var accepts net.Listener = &listener{l, e}
	if secure {
		cfg := e.cfg.TLS.Clone()
		cfg.NextProtos = []string{"http/1.1"}
		accepts = tls.NewListener(accepts, cfg)
	}
	// Close ends handshakes too; connections that are upgraded are no longer the
	// HTTP server's.
	return e.listen(server, func() { _ = server.Serve(accepts) })
}

// upgrade makes a SIP connection of an HTTP request, or refuses it, and then
// lives as long as the connection.
func (e *Edge) upgrade(w http.ResponseWriter, r *http.Request, t sip.Transport) {
	if !e.enter() {
		http.Error(w, "shutting down", http.StatusServiceUnavailable)
		return
	}
	defer e.running.Done()
	nc, ok := r.Context().Value(connKey{}).(net.Conn)
	if !ok {
		http.Error(w, "no connection", http.StatusInternalServerError)
		return
	}
	remote := addrPort(nc.RemoteAddr())
	defer e.caught(t.String(), remote)
	if !e.handshakeOK(w, r) {
		return
	}
	c := &conn{e: e, raw: nc, state: open, flow: sip.Flow{
		Transport: t, Local: addrPort(nc.LocalAddr()), Remote: remote, Conn: e.nextConn.Add(1)}}
	if tc, ok := nc.(*tls.Conn); ok {
		c.raw = tc.NetConn()
	}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:       []string{subprotocol},
		InsecureSkipVerify: true, // handshakeOK has looked at the origin
		OnPingReceived:     func(context.Context, []byte) bool { c.touch(); return true },
		OnPongReceived:     func(context.Context, []byte) { c.touch() },
	})
	if err != nil {
		e.cfg.Counters.RefusedUpgrade.Add(1)
		return
	}
	ws.SetReadLimit(int64(e.cfg.Limits.MaxMessage))
	c.ws = ws
	if !e.remember(c) {
		_ = ws.CloseNow()
		return
	}
	c.readMessages()
}

// handshakeOK refuses what is no SIP WebSocket handshake of an allowed origin.
func (e *Edge) handshakeOK(w http.ResponseWriter, r *http.Request) bool {
	if !hasToken(r.Header["Connection"], "upgrade") || !hasToken(r.Header["Upgrade"], "websocket") {
		e.cfg.Counters.RefusedUpgrade.Add(1)
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
		http.Error(w, "SIP over WebSocket is served here (RFC 7118)", http.StatusUpgradeRequired)
		return false
	}
	// RFC 7118, 4.1: the client must offer "sip".
	if !hasToken(r.Header["Sec-Websocket-Protocol"], subprotocol) {
		e.cfg.Counters.RefusedUpgrade.Add(1)
		http.Error(w, `Sec-WebSocket-Protocol must offer "sip"`, http.StatusBadRequest)
		return false
	}
	// RFC 6455, 10.2: a browser tells whose page it acts for.
	for _, origin := range r.Header["Origin"] {
		if !e.cfg.OriginOK(origin, r.Host) {
			e.cfg.Counters.RefusedOrigin.Add(1)
			http.Error(w, "origin not allowed", http.StatusForbidden)
			return false
		}
	}
	return true
}

// hasToken looks into a header of comma-separated tokens, in any case.
func hasToken(lines []string, token string) bool {
	for _, line := range lines {
		for t := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}

// sameOrigin allows pages that came from the host they connect to.
func sameOrigin(origin, host string) bool {
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, host)
}

// readMessages is the reader of a WebSocket connection.
func (c *conn) readMessages() {
	defer c.gone()
	defer c.e.caught(c.flow.Transport.String(), c.flow.Remote)
	c.touch()
	idle := c.watchIdle()
	defer idle.Stop()
	slow := time.AfterFunc(c.e.cfg.HeaderTimeout, func() {
		c.e.cfg.Counters.HeaderTimeouts.Add(1)
		c.abort()
	})
	defer slow.Stop()
	var buf []byte
	for {
		slow.Stop()
		_, r, err := c.ws.Reader(context.Background())
		if err != nil {
			return
		}
		c.touch()
		slow.Reset(c.e.cfg.HeaderTimeout)
		buf, err = readAll(r, buf[:0])
		if err != nil {
			if errors.Is(err, websocket.ErrMessageTooBig) {
				c.e.cfg.Counters.Oversize.Add(1)
			}
			return
		}
		c.touch()
		slow.Stop()
		c.message(buf)
		if cap(buf) > keepBuffer {
			buf = nil
		}
	}
}

// message takes one WebSocket message, of text or binary.
// RFC 7118, 5: it is one SIP message; 6: or a CRLF keep-alive.
func (c *conn) message(b []byte) {
	switch string(b) {
	case "", "\r\n":
	case "\r\n\r\n":
		c.e.cfg.Counters.Pings.Add(1)
		_ = c.send(pong, sip.Flow{})
	default:
		c.e.deliver(string(b), c.flow, nil)
	}
}

// watchIdle closes the connection when it has been silent too long. Reading
// itself has no time-out, since an end of its context ends the connection.
func (c *conn) watchIdle() *time.Timer {
	var t *time.Timer
	ready := make(chan struct{})
	t = time.AfterFunc(c.e.cfg.IdleTimeout, func() {
		<-ready
		if left := c.patience(time.Now()); left > 0 {
			t.Reset(left)
			return
		}
		c.e.cfg.Counters.IdleTimeouts.Add(1)
		c.abort()
	})
	close(ready)
	return t
}

// readAll reads r to its end into buf, which grows as the bytes come.
func readAll(r io.Reader, buf []byte) ([]byte, error) {
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, make([]byte, max(len(buf), firstBuffer))...)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
}
