package edge

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/tacit-presence/tacit/sip"
)

const (
	// switchTimeout is how long a request too large for UDP waits for TCP:
	// within timer F (32 s) enough is left for UDP.
	switchTimeout = 2 * time.Second
	// refusalLife is how long an address that does not speak TCP is not tried.
	refusalLife = 10 * time.Minute
	// maxRefusals bounds what is remembered of them, to about 10 MB.
	maxRefusals = 100_000
)

// peer is what a connection may be used again for.
type peer struct {
	transport sip.Transport
	remote    netip.AddrPort
	name      string // of the certificate asked for; a connection from a peer has none
}

func (c *conn) peer() peer { return peer{c.flow.Transport, c.flow.Remote, c.name} }

// dial queues msg on a connection to flow.Remote, which is opened if there is
// none yet.
func (e *Edge) dial(flow sip.Flow, msg []byte, o Options) error {
	if flow.Transport != sip.TransportTCP && flow.Transport != sip.TransportTLS {
		return ErrFlowGone // RFC 7118, 5.4: a WebSocket is opened by the client
	}
	p := peer{transport: flow.Transport, remote: flow.Remote}
	if p.transport == sip.TransportTLS {
		p.name = o.ServerName
	}
	return e.sendPeer(p, flow, msg, e.cfg.DialTimeout)
}

// sendPeer queues msg on the connection to p. A new one is registered while it
// is still being dialled, so that messages keep their order.
func (e *Edge) sendPeer(p peer, from sip.Flow, msg []byte, timeout time.Duration) error {
	if c := e.peer(p); c != nil {
		if err := c.send(msg, from); !errors.Is(err, ErrFlowGone) {
			return err
		}
	}
	if !p.remote.IsValid() || from.Transport != sip.TransportUDP &&
		(e.cfg.MayDial == nil || !e.cfg.MayDial(p.remote.Addr())) {
		return ErrMayNotDial
	}
	if err := e.admission.enter(p.remote.Addr(), &e.cfg); err != nil {
		return err
	}
	c := &conn{e: e, name: p.name, state: dialling, flow: sip.Flow{
		Transport: p.transport, Remote: p.remote, Conn: e.nextConn.Add(1)}}
	e.mu.Lock()
	if other := e.peers[p]; other.life() < ending { // somebody was faster
		e.mu.Unlock()
		e.admission.leave(p.remote.Addr())
		return other.send(msg, from)
	}
	if e.closed {
		e.mu.Unlock()
		e.admission.leave(p.remote.Addr())
		return ErrClosed
	}
	e.conns[c.flow.Conn] = c
	e.peers[p] = c
	err := c.send(msg, from)
	e.dials.Add(1)
	e.running.Go(func() { c.serveDialled(timeout) })
	e.mu.Unlock()
	return err
}

func (e *Edge) peer(p peer) *conn {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.peers[p]
}

// serveDialled opens the connection and then reads from it until it ends.
func (c *conn) serveDialled(timeout time.Duration) {
	defer c.e.caught(c.flow.Transport.String(), c.flow.Remote)
	ctx, cancel := context.WithTimeout(c.e.ctx, timeout)
	err := c.connect(ctx)
	cancel()
	if err != nil {
		c.e.cfg.Counters.DialErrors.Add(1)
		c.e.cfg.Logger.Debug("dial failed", "flow", c.flow, "err", err)
		c.failed()
		return
	}
	c.e.cfg.Counters.Dialled.Add(1)
	c.opened()
	if c.e.ctx.Err() != nil { // Shutdown may have looked before there was anything to close
		c.gone()
		return
	}
	c.read()
}

// connect sets raw and nc.
func (c *conn) connect(ctx context.Context) error {
	addr := c.flow.Remote.Addr()
	nc, err := c.e.cfg.Dial(ctx, c.flow.Remote)
	if err != nil {
		c.e.admission.leave(addr)
		return err
	}
	raw := &admitted{Conn: nc, admission: &c.e.admission, addr: addr}
	c.mu.Lock()
	c.raw, c.nc = raw, raw
	c.mu.Unlock()
	c.flow.Local = addrPort(nc.LocalAddr())
	if c.flow.Transport == sip.TransportTLS {
		cfg := c.e.cfg.TLSClient.Clone()
		if c.name != "" {
			cfg.ServerName = c.name
		} else if cfg.ServerName == "" {
			cfg.ServerName = addr.WithZone("").String()
		}
		tc := tls.Client(raw, cfg)
		if err := tc.HandshakeContext(ctx); err != nil {
			_ = raw.Close()
			return err
		}
		c.mu.Lock()
		c.nc = tc
		c.mu.Unlock()
	}
	return nil
}

// opened lets the writer begin with what waited.
func (c *conn) opened() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.e.dials.Add(-1)
	if c.state != dialling {
		return
	}
	c.state = open
	if c.queue != nil {
		_ = c.queue.each(func(i int, msg []byte) error {
			c.adapt(msg, c.pending[i])
			return nil
		})
	}
	c.pending = nil
	c.startWriter()
}

// adapt changes a request that was meant for UDP, once it is certain that it
// goes by TCP: its Via says how it travels.
func (c *conn) adapt(msg []byte, from sip.Flow) {
	if from.Transport == sip.TransportUDP {
		c.e.cfg.Counters.Switched.Add(1)
		setViaTCP(msg)
	}
}

// failed sends by UDP what may go that way and tells the Handler of the rest.
func (c *conn) failed() {
	c.mu.Lock()
	queue, pending := c.queue, c.pending
	c.queue, c.pending = nil, nil
	byUDP := func(f sip.Flow) bool { return f.Transport == sip.TransportUDP }
	if c.e.ctx.Err() == nil && slices.ContainsFunc(pending, byUDP) {
		c.e.cfg.Counters.SwitchFailed.Add(1)
		c.e.noTCP.add(c.flow.Remote, time.Now()) // before anyone finds c closed
	}
	c.state = closed
	c.mu.Unlock()
	c.e.forget(c)
	c.e.dials.Add(-1)
	if queue == nil {
		return
	}
	defer queue.release()
	told := make(map[sip.Flow]bool)
	_ = queue.each(func(i int, msg []byte) error {
		switch flow := pending[i]; {
		case byUDP(flow):
			_ = c.e.sendUDP(flow, msg) // a loss as any other: the transaction sends again
		case !told[flow] && c.e.ctx.Err() == nil:
			told[flow] = true
			c.e.tellFailed(flow)
		}
		return nil
	})
}

func (e *Edge) tellFailed(flow sip.Flow) {
	defer e.caught(flow.Transport.String(), flow.Remote)
	if h, ok := e.cfg.Handler.(SendFailer); ok {
		h.SendFailed(flow)
	}
}

// switchTCP takes a request of a UDP flow if it is to go by TCP, since it is
// too large or since others to the same address wait for TCP and must not be
// overtaken. RFC 3261, 18.1.1: a request larger than the path MTU.
func (e *Edge) switchTCP(flow sip.Flow, msg []byte) bool {
	large := len(msg) > e.cfg.UDPSwitchSize
	if !large && e.dials.Load() == 0 || !isRequest(msg) {
		return false
	}
	p := peer{transport: sip.TransportTCP, remote: flow.Remote}
	switch c := e.peer(p); c.life() {
	case dialling:
		return c.send(msg, flow) == nil
	case open:
	default:
		if e.noTCP.has(flow.Remote, time.Now()) {
			return false
		}
	}
	return large && e.sendPeer(p, flow, msg, switchTimeout) == nil
}

// staysUDP reports whether switchTCP would leave a request of that size to UDP.
func (e *Edge) staysUDP(flow sip.Flow, size int) bool {
	large := size > e.cfg.UDPSwitchSize
	if !large && e.dials.Load() == 0 {
		return true
	}
	switch e.peer(peer{transport: sip.TransportTCP, remote: flow.Remote}).life() {
	case dialling:
		return false
	case open:
		return !large
	}
	return !large || e.noTCP.has(flow.Remote, time.Now())
}

// life is the connection's state; none is as good as a closed one.
func (c *conn) life() state {
	if c == nil {
		return closed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

func isRequest(msg []byte) bool { return !bytes.HasPrefix(msg, []byte("SIP/2.0 ")) }

var (
	viaUDP = []byte("SIP/2.0/UDP")
	viaTCP = []byte("SIP/2.0/TCP")
)

// setViaTCP changes the transport in the top Via; the length stays.
func setViaTCP(msg []byte) {
	for rest := msg; ; {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			return
		}
		rest = rest[i+1:]
		if bytes.HasPrefix(rest, crlf) { // the body follows
			return
		}
		name, value, ok := bytes.Cut(rest, []byte(":"))
		name = bytes.TrimRight(name, " \t")
		if !ok || !bytes.EqualFold(name, []byte("Via")) && !bytes.EqualFold(name, []byte("v")) {
			continue
		}
		if value = bytes.TrimLeft(value, " \t"); bytes.HasPrefix(value, viaUDP) {
			copy(value, viaTCP)
		}
		return
	}
}

// refusals remembers addresses that did not take a TCP connection.
type refusals struct {
	mu    sync.RWMutex
	until map[netip.AddrPort]time.Time
}

func (r *refusals) has(a netip.AddrPort, now time.Time) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return now.Before(r.until[a])
}

// add makes room, when it must, by forgetting what has run out, or else all.
func (r *refusals) add(a netip.AddrPort, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.until) >= maxRefusals {
		maps.DeleteFunc(r.until, func(_ netip.AddrPort, until time.Time) bool { return now.After(until) })
	}
	if len(r.until) >= maxRefusals {
		clear(r.until)
	}
	r.until[a] = now.Add(refusalLife)
}
