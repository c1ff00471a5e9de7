// Package edge carries SIP over UDP, TCP, TLS and WebSocket (RFC 3261, 18;
// RFC 7118): it cuts what arrives into messages, bounds what a peer may cost,
// and sends bytes down a flow. It knows nothing of transactions: what a message
// means is its Handler's business.
package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tacit-presence/tacit/sip"
)

var (
	// ErrFlowGone says that the flow's connection or socket is not there any more.
	ErrFlowGone = errors.New("edge: flow is gone")
	// ErrQueueFull says that the peer takes its messages too slowly.
	ErrQueueFull = errors.New("edge: connection's queue is full")
	// ErrTooLarge says that the message does not fit the flow's transport.
	ErrTooLarge = errors.New("edge: message too large for the transport")
	// ErrTooMany says that a connection would be one more than the limit.
	ErrTooMany = errors.New("edge: too many connections")
	// ErrMayNotDial says that Config.MayDial does not allow the address.
	ErrMayNotDial = errors.New("edge: address may not be dialled")
	// ErrNotServed says that a listener of that transport is not possible.
	ErrNotServed = errors.New("edge: transport cannot be served")
	// ErrClosed says that Shutdown has begun.
	ErrClosed = errors.New("edge: closed")
)

// Handler is told what arrives. Its methods are called on the reading
// goroutine, so messages of one connection, or of one UDP socket with one
// reader, come in order; they must not block long.
type Handler interface {
	// Receive owns m and must Release it. err is not nil when m was not
	// understood; then it is a *sip.StatusError, and m.Answerable says whether
	// m holds what an answer needs. Where the fault leaves a connection without
	// message boundaries it is closed afterwards: an answer must then be sent
	// before Receive returns.
	Receive(m *sip.Message, flow sip.Flow, err error)
	// FlowClosed says that a connection ended. It is not called for those that
	// Shutdown ends.
	FlowClosed(flow sip.Flow)
}

// Glancer is what a Handler may offer beside: it is shown a datagram before
// anything is made of it, and takes it if it needs no more than a glance. b is
// good during the call only.
type Glancer interface {
	Glance(b []byte, flow sip.Flow) (taken bool)
}

// SendFailer is what a Handler may offer beside: it is told that a message
// accepted by Send could not be delivered since no connection came about.
// flow is as it was given to Send.
type SendFailer interface {
	SendFailed(flow sip.Flow)
}

// Edge is all listeners and connections of one server. Its methods may be
// called by any goroutine.
type Edge struct {
	cfg       Config
	ctx       context.Context // ends when Shutdown begins
	stop      context.CancelFunc
	admission admission
	nextConn  atomic.Uint64
	sockets   atomic.Pointer[[]*udpSocket]
	dials     atomic.Int32 // connections being dialled
	noTCP     refusals
	glance    func(b []byte, flow sip.Flow) bool // the Handler's, if it offers that

	mu        sync.RWMutex // never held while reading, writing or calling the Handler
	closed    bool
	conns     map[uint64]*conn // by flow.Conn
	peers     map[peer]*conn   // TCP and TLS; the newest to each peer
	listeners []io.Closer

	running sync.WaitGroup // every goroutine; Add only under mu while not closed, or by one that is counted
}

// New makes an Edge without listeners.
func New(cfg Config) *Edge {
	cfg.fill()
	e := &Edge{cfg: cfg, conns: make(map[uint64]*conn), peers: make(map[peer]*conn)}
	if h, ok := cfg.Handler.(Glancer); ok {
		e.glance = h.Glance
	}
	e.ctx, e.stop = context.WithCancel(context.Background())
	e.admission.places = make(map[netip.Addr]int)
	e.noTCP.until = make(map[netip.AddrPort]time.Time)
	// A Conn number kept by an earlier process must not name another peer's
	// connection now; lookups compare the address too.
	e.nextConn.Store(rand.Uint64())
	return e
}

// enter counts a goroutine that Shutdown waits for, until its running.Done;
// false: Shutdown has begun.
func (e *Edge) enter() bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.closed {
		return false
	}
	e.running.Add(1)
	return true
}

// caught ends a panic of this goroutine: one message must not end the process.
// To be deferred.
func (e *Edge) caught(where string, addr netip.AddrPort) {
	if r := recover(); r != nil {
		e.cfg.Counters.Panics.Add(1)
		e.cfg.Logger.Error("panic", "transport", where, "addr", addr.String(), "panic", r, "stack", string(debug.Stack()))
	}
}

// deliver parses raw and hands it to the Handler; fault, if not nil, is what
// was found before parsing.
func (e *Edge) deliver(raw string, flow sip.Flow, fault error) {
	m := sip.NewMessage()
	err := m.Parse(raw, e.cfg.Limits)
	if fault != nil {
		err = fault
	}
	e.cfg.Counters.Received[flow.Transport].Add(1)
	if err != nil {
		e.cfg.Counters.ParseErrors.Add(1)
		if tooLarge(err) {
			e.cfg.Counters.Oversize.Add(1)
		}
	}
	e.cfg.Handler.Receive(m, flow, err)
}

// tooLarge reports whether a fault of sip is about size.
func tooLarge(err error) bool {
	fault, ok := errors.AsType[*sip.StatusError](err)
	return ok && (fault.Status == 413 || fault.Status == 513)
}

func (e *Edge) tellClosed(flow sip.Flow) {
	defer e.caught(flow.Transport.String(), flow.Remote)
	e.cfg.Handler.FlowClosed(flow)
}

// ServeUDP reads datagrams from pc until Shutdown; it returns at once. The
// Edge owns pc from now on. On Linux a wildcard socket's flows have the address
// that the peer chose as Local; else it is the socket's own.
func (e *Edge) ServeUDP(pc net.PacketConn) error {
	s := newUDPSocket(pc)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		s.close()
		return ErrClosed
	}
	var all []*udpSocket
	if old := e.sockets.Load(); old != nil {
		all = append(all, *old...)
	}
	all = append(all, s)
	e.sockets.Store(&all)
	for range e.cfg.UDPReaders {
		e.running.Go(func() { e.readUDP(s) })
	}
	return nil
}

// ServeStream accepts connections from l, for TCP or TLS, until Shutdown; it
// returns at once. l accepts plain connections: TLS is done here. The Edge owns
// l from now on.
func (e *Edge) ServeStream(l net.Listener, t sip.Transport) error {
	if t != sip.TransportTCP && t != sip.TransportTLS || t == sip.TransportTLS && e.cfg.TLS == nil {
		return fmt.Errorf("%w: %v", ErrNotServed, t)
	}
	return e.listen(l, func() { e.accept(&listener{l, e}, t) })
}

// listen runs serve, which accepts from l until that is closed.
func (e *Edge) listen(l io.Closer, serve func()) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		_ = l.Close()
		return ErrClosed
	}
	e.listeners = append(e.listeners, l)
	e.running.Go(serve)
	return nil
}

// Send writes msg to flow and does not keep it. A datagram leaves at once;
// for a connection msg is queued, and nil means no more than that. Errors:
// ErrFlowGone, ErrQueueFull, ErrTooLarge, ErrTooMany, ErrMayNotDial, ErrClosed,
// or that of the UDP socket.
func (e *Edge) Send(flow sip.Flow, msg []byte, o Options) error {
	if flow.Transport == sip.TransportUDP {
		if o.SwitchTCP && e.switchTCP(flow, msg) {
			return nil
		}
		return e.sendUDP(flow, msg)
	}
	err := ErrFlowGone
	if c := e.conn(flow); c != nil {
		err = c.send(msg, flow)
	}
	if errors.Is(err, ErrFlowGone) && o.Dial {
		err = e.dial(flow, msg, o)
	}
	if err == nil {
		e.cfg.Counters.Sent[flow.Transport].Add(1)
	}
	return err
}

// conn finds a flow's connection.
func (e *Edge) conn(flow sip.Flow) *conn {
	if flow.Conn == 0 {
		return nil
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	c := e.conns[flow.Conn]
	if c == nil || c.flow.Transport != flow.Transport || c.flow.Remote != flow.Remote {
		return nil
	}
	return c
}

// Alive reports whether flow can be sent to without dialling.
func (e *Edge) Alive(flow sip.Flow) bool {
	if flow.Transport == sip.TransportUDP {
		s, _ := e.udpSocket(flow)
		return s != nil && e.ctx.Err() == nil
	}
	c := e.conn(flow)
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == open
}

// Pin adds n to the connection's pins: while there are any (subscriptions live
// on it) PinnedIdleTimeout holds for it.
func (e *Edge) Pin(flow sip.Flow, n int) {
	if c := e.conn(flow); c != nil {
		c.pins.Add(int32(n))
	}
}

// Connections is how many connections are open now, those being dialled and in
// their handshake included.
func (e *Edge) Connections() int {
	e.admission.mu.Lock()
	defer e.admission.mu.Unlock()
	return e.admission.total
}

// Counters gives the counters in use.
func (e *Edge) Counters() *Counters { return e.cfg.Counters }

// remember registers a connection; false: Shutdown has begun.
func (e *Edge) remember(c *conn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	e.conns[c.flow.Conn] = c
	if t := c.flow.Transport; t == sip.TransportTCP || t == sip.TransportTLS {
		e.peers[c.peer()] = c
	}
	return true
}

func (e *Edge) forget(c *conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.conns, c.flow.Conn)
	if e.peers[c.peer()] == c {
		delete(e.peers, c.peer())
	}
}

// Shutdown stops accepting and reading, writes what is queued, and closes
// everything; when ctx ends first, it closes at once and returns ctx's error.
// After it no method of the Handler is called.
func (e *Edge) Shutdown(ctx context.Context) error {
	e.mu.Lock()
	again := e.closed
	e.closed = true
	listeners := e.listeners
	conns := slices.Collect(maps.Values(e.conns))
	e.mu.Unlock()
	e.stop()
	if again {
		e.running.Wait()
		return nil
	}
	for _, l := range listeners {
		_ = l.Close()
	}
	var sockets []*udpSocket
	if p := e.sockets.Load(); p != nil {
		sockets = *p
	}
	for _, s := range sockets {
		s.stop()
	}
	ended := make(chan struct{})
	go func() {
		var flushing sync.WaitGroup
		for _, c := range conns {
			flushing.Go(c.end)
		}
		flushing.Wait()
		e.running.Wait()
		close(ended)
	}()
	var err error
	select {
	case <-ended:
	case <-ctx.Done():
		err = ctx.Err()
		for _, c := range conns {
			c.abort()
		}
		<-ended
	}
	for _, s := range sockets {
		s.close()
	}
	return err
}
