package edge

import (
	"bytes"
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/tacit-presence/tacit/sip"
)

// keepBuffer is the largest write buffer that is kept for re-use.
const keepBuffer = 64 << 10

// statusLine begins every answer.
var statusLine = []byte("SIP/2.0 ")

// writeBuffers recycles write buffers: a connection has one only while it has
// something to write.
var writeBuffers = sync.Pool{New: func() any { return new(batch) }}

// batch is messages one after the other, as they were queued.
type batch struct {
	bytes []byte
	ends  []int // where each message ends in bytes
}

func (b *batch) add(msg []byte) {
	b.bytes = append(b.bytes, msg...)
	b.ends = append(b.ends, len(b.bytes))
}

// each calls fn for every message until it fails.
func (b *batch) each(fn func(i int, msg []byte) error) error {
	start := 0
	for i, end := range b.ends {
		if err := fn(i, b.bytes[start:end]); err != nil {
			return err
		}
		start = end
	}
	return nil
}

func (b *batch) release() {
	if cap(b.bytes) > keepBuffer {
		return
	}
	b.bytes, b.ends = b.bytes[:0], b.ends[:0]
	writeBuffers.Put(b)
}

// state is a connection's life; it only grows.
type state uint8

const (
	dialling state = iota // queues, is not there yet
	open
	ending   // the peer has ended its side: takes answers alone
	draining // writes what is queued, takes no more
	closed
)

// conn is one connection: TCP, TLS or WebSocket. One goroutine reads; one
// writes, but only while there is something to write.
type conn struct {
	e    *Edge
	flow sip.Flow // Local is set before the first Receive; the rest never changes
	name string   // whom a dialled TLS peer's certificate names
	// lingers: opened by the peer, who may end its side and still read.
	lingers bool
	// owed is the requests that came, less the answers that went.
	owed atomic.Int32

	raw net.Conn        // the TCP connection, for closing at once
	nc  net.Conn        // raw, or TLS over it; nil for WebSocket
	ws  *websocket.Conn // nil but for WebSocket

	pins   atomic.Int32
	active atomic.Int64 // of the last byte in either direction, Unix nanoseconds

	mu      sync.Mutex // never held while reading, writing or calling the Handler
	state   state
	writing bool       // the writer runs
	queue   *batch     // nil: empty
	pending []sip.Flow // while dialling: what was given to Send with each message queued
	// inflight is the bytes that the writer has taken and not yet written.
	inflight int
	flushed  chan struct{} // not nil: closed by the writer when it ends
}

// send queues msg. from is the flow it was to go by, of use only while the
// connection is being dialled.
func (c *conn) send(msg []byte, from sip.Flow) error {
	isAnswer := bytes.HasPrefix(msg, statusLine)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state >= draining || c.state == ending && !isAnswer {
		return ErrFlowGone
	}
	if c.state == dialling && c.repeated(msg) {
		return nil
	}
	if c.inflight+c.queued()+len(msg) > c.e.cfg.MaxQueue {
		c.e.cfg.Counters.QueueFull.Add(1)
		return ErrQueueFull
	}
	if c.queue == nil {
		c.queue = writeBuffers.Get().(*batch)
	}
	if isAnswer {
		c.owed.Add(-1)
	}
	c.queue.add(msg)
	if c.state == dialling {
		c.pending = append(c.pending, from)
	} else {
		c.adapt(c.queue.bytes[len(c.queue.bytes)-len(msg):], from)
		c.startWriter()
	}
	return nil
}

func (c *conn) queued() int {
	if c.queue == nil {
		return 0
	}
	return len(c.queue.bytes)
}

// repeated finds retransmissions of what still waits for the connection.
func (c *conn) repeated(msg []byte) bool {
	if c.queue == nil {
		return false
	}
	start := 0
	for _, end := range c.queue.ends {
		if string(c.queue.bytes[start:end]) == string(msg) {
			return true
		}
		start = end
	}
	return false
}

// startWriter needs c.mu.
func (c *conn) startWriter() {
	if c.writing || c.queue == nil || c.state == dialling {
		return
	}
	c.writing = true
	c.e.running.Go(c.write)
}

// write is the writer: it ends when nothing is left.
func (c *conn) write() {
	defer c.e.caught(c.flow.Transport.String(), c.flow.Remote)
	ended := false
	defer func() {
		if !ended { // a panic
			c.abort()
			c.take()
		}
	}()
	for {
		b := c.take()
		if b == nil {
			ended = true
			return
		}
		err := c.writeBatch(b)
		b.release()
		if err != nil {
			c.e.cfg.Counters.SendErrors.Add(1)
			c.e.cfg.Logger.Debug("write failed", "flow", c.flow, "err", err)
			c.abort()
		}
	}
}

// take gives what is queued to the writer, nil if it is to end.
func (c *conn) take() *batch {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inflight = 0
	b := c.queue
	c.queue = nil
	if b == nil || c.state == closed {
		c.writing = false
		if c.flushed != nil {
			close(c.flushed)
			c.flushed = nil
		}
		return nil
	}
	c.inflight = len(b.bytes)
	return b
}

func (c *conn) writeBatch(b *batch) error {
	defer c.touch()
	if c.ws != nil {
		return b.each(c.writeFrame)
	}
	if err := c.nc.SetWriteDeadline(time.Now().Add(c.e.cfg.WriteTimeout)); err != nil {
		return err
	}
	_, err := c.nc.Write(b.bytes)
	return err
}

// writeFrame writes one WebSocket message.
// RFC 7118, 4.2: what is not UTF-8 goes in a binary message.
func (c *conn) writeFrame(_ int, msg []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), c.e.cfg.WriteTimeout)
	defer cancel()
	kind := websocket.MessageText
	if !utf8.Valid(msg) {
		kind = websocket.MessageBinary
	}
	return c.ws.Write(ctx, kind, msg)
}

// drain takes no more messages and waits until those queued are written, or
// writing failed.
func (c *conn) drain() {
	c.mu.Lock()
	c.state = max(c.state, draining)
	var done chan struct{}
	if c.writing {
		if c.flushed == nil {
			c.flushed = make(chan struct{})
		}
		done = c.flushed
	}
	c.mu.Unlock()
	if done != nil {
		<-done
	}
}

// abort closes the connection at once; the reader then ends and tells.
func (c *conn) abort() {
	c.mu.Lock()
	c.state = closed
	raw := c.raw
	c.mu.Unlock()
	if raw != nil {
		_ = raw.Close()
	}
}

// gone is the end of the reader, and of the connection.
func (c *conn) gone() {
	c.mu.Lock()
	c.state = closed
	if c.queue != nil && !c.writing {
		c.queue.release()
		c.queue = nil
	}
	c.mu.Unlock()
	c.e.forget(c)
	if c.e.ctx.Err() == nil {
		c.e.tellClosed(c.flow)
	}
	switch {
	case c.ws != nil:
		_ = c.ws.CloseNow()
	case c.nc != nil:
		_ = c.nc.Close()
	}
	if c.raw != nil {
		_ = c.raw.Close()
	}
}

// touch says that bytes went either way now.
func (c *conn) touch() { c.active.Store(time.Now().UnixNano()) }

// patience is how much longer the connection may stay silent; not above 0: no
// longer. It is looked at anew at least every IdleTimeout, since pins change.
func (c *conn) patience(now time.Time) time.Duration {
	limit := c.e.cfg.IdleTimeout
	if c.pins.Load() > 0 {
		limit = c.e.cfg.PinnedIdleTimeout
	}
	left := limit - now.Sub(time.Unix(0, c.active.Load()))
	return min(left, c.e.cfg.IdleTimeout)
}

// end flushes and closes the connection politely.
func (c *conn) end() {
	c.drain()
	if c.ws != nil {
		_ = c.ws.Close(websocket.StatusGoingAway, "")
		return
	}
	c.mu.Lock()
	nc := c.nc
	c.mu.Unlock()
	if nc != nil {
		_ = nc.Close()
	}
}
