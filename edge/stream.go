package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/tacit-presence/tacit/sip"
)

const (
	// bufferPatience is how long a silent connection keeps its read buffer.
	bufferPatience = 2 * time.Second
	// lingerTime and lingerBytes bound what is still read and thrown away after
	// a framing error, so that the peer reads our answer before a reset.
	// lingerTime is also how long a peer that has ended its side of the
	// connection, and no more, is given its answers.
	lingerTime  = time.Second
	lingerPause = 5 * time.Millisecond // between two looks whether all answers have gone
	lingerBytes = 1 << 20
	// pingPause tells the two halves of a ping, sent together, from two single
	// CRLFs, which ask for no answer.
	pingPause = time.Second
)

var crlf = []byte("\r\n")

// pong answers a ping (RFC 5626, 4.4.1).
var pong = crlf

// accept takes connections from l until it is closed.
func (e *Edge) accept(l net.Listener, t sip.Transport) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		if !e.enter() {
			_ = nc.Close()
			return
		}
		go func() {
			defer e.running.Done()
			e.serveAccepted(nc, t)
		}()
	}
}

// serveAccepted lives as long as the connection.
func (e *Edge) serveAccepted(raw net.Conn, t sip.Transport) {
	defer func() { _ = raw.Close() }()
	remote := addrPort(raw.RemoteAddr())
	defer e.caught(t.String(), remote)
	nc := raw
	if t == sip.TransportTLS {
		tc := tls.Server(raw, e.cfg.TLS)
		ctx, cancel := context.WithTimeout(e.ctx, e.cfg.HandshakeTimeout)
		err := tc.HandshakeContext(ctx)
		cancel()
		if err != nil {
			e.cfg.Counters.HandshakeErrors.Add(1)
			e.cfg.Logger.Debug("TLS handshake failed", "remote", remote.String(), "err", err)
			return
		}
		nc = tc
	}
	c := &conn{e: e, raw: raw, nc: nc, state: open, lingers: true, flow: sip.Flow{
		Transport: t, Local: addrPort(raw.LocalAddr()), Remote: remote, Conn: e.nextConn.Add(1)}}
	if e.remember(c) {
		c.read()
	}
}

// read is the reader of a TCP or TLS connection: it returns when that is over.
func (c *conn) read() {
	defer c.gone()
	defer c.e.caught(c.flow.Transport.String(), c.flow.Remote)
	f := framer{lim: c.e.cfg.Limits}
	defer f.release()
	c.touch()
	for {
		n, err := c.readSome(&f, c.deadline(&f))
		if n > 0 && !c.consume(&f) {
			return
		}
		now := time.Now()
		switch {
		case err == nil:
		case err == io.EOF:
			c.halfClosed()
			return
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return
		case f.empty() && c.patience(now) > 0:
			f.release()
		case f.empty():
			c.e.cfg.Counters.IdleTimeouts.Add(1)
			return
		case !now.Before(f.begun.Add(c.e.cfg.HeaderTimeout)):
			c.e.cfg.Counters.HeaderTimeouts.Add(1)
			return
		}
	}
}

// halfClosed lets the answers to the last requests go out, by the connection as
// long as that is open (RFC 3261, 18.2.2): an end of the peer's side does not
// tell whether it still reads. Whatever else was to go this way is told at once.
func (c *conn) halfClosed() {
	if !c.lingers {
		return
	}
	c.mu.Lock()
	c.state = max(c.state, ending)
	c.mu.Unlock()
	c.e.tellClosed(c.flow)
	end := time.Unix(0, c.active.Load()).Add(lingerTime)
	for c.owed.Load() > 0 && time.Now().Before(end) && c.e.ctx.Err() == nil {
		time.Sleep(lingerPause)
	}
	c.drain()
}

// deadline is until when the next bytes must come.
func (c *conn) deadline(f *framer) time.Time {
	now := time.Now()
	if !f.empty() {
		if f.begun.IsZero() {
			f.begun = now
		}
		return f.begun.Add(c.e.cfg.HeaderTimeout)
	}
	wait := c.patience(now)
	if !f.idle() {
		wait = min(wait, bufferPatience)
	}
	return now.Add(wait)
}

func (c *conn) readSome(f *framer, deadline time.Time) (int, error) {
	if err := c.nc.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	n, err := c.nc.Read(f.space())
	if n > 0 {
		now := time.Now().UnixNano()
		if now-c.active.Swap(now) > int64(pingPause) {
			f.half = false
		}
		f.filled(n)
	}
	return n, err
}

// consume delivers every whole message; false means that the connection is to
// be closed.
func (c *conn) consume(f *framer) bool {
	for {
		raw, pings, ok, err := f.next()
		c.e.cfg.Counters.Pings.Add(uint64(pings))
		for ; pings > 0 && c.send(pong, sip.Flow{}) == nil; pings-- {
		}
		switch {
		case err != nil:
			c.refuse(raw, err)
			return false
		case !ok:
			return true
		}
		if !strings.HasPrefix(raw, string(statusLine)) {
			c.owed.Add(1)
		}
		c.e.deliver(raw, c.flow, nil)
	}
}

// refuse hands what cannot be framed to the Handler for an answer, and ends the
// connection so that the peer can still read that.
func (c *conn) refuse(raw string, err error) {
	c.e.cfg.Counters.FramingErrors.Add(1)
	if raw != "" {
		c.e.deliver(raw, c.flow, err)
	} else if tooLarge(err) {
		c.e.cfg.Counters.Oversize.Add(1)
	}
	c.drain()
	if h, ok := c.nc.(interface{ CloseWrite() error }); ok && h.CloseWrite() == nil {
		_ = c.nc.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.CopyN(io.Discard, c.nc, lingerBytes)
	}
}
