// Package shard is the frame in which all state of presentities lives: 256
// shards, each a pure state machine changed by one goroutine at a time, whose
// effects come out as batches of records and of messages that leave only after
// the records are durable.
package shard

import (
	"time"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/store"
)

// Count is the number of shards: enough that a cluster of tens of nodes can be
// balanced, few enough that scanning them all is nothing.
const Count = 256

// ID is a shard's number.
type ID uint8

// Of returns the shard that owns a presentity: FNV-1a over its name, so that it
// is the same in every process and version.
func Of(p presence.Presentity) ID {
	const offset, prime = 2166136261, 16777619
	h := uint32(offset)
	for i := 0; i < len(p); i++ {
		h = (h ^ uint32(p[i])) * prime
	}
	return ID(h ^ h>>8 ^ h>>16 ^ h>>24)
}

// Kind tells events apart.
type Kind uint8

// The kinds of event.
const (
	// Request is a SIP request, identified and admitted by gate.
	Request Kind = iota
	// Response answers a request that this shard sent.
	Response
	// FlowGone says that Flow's connection has ended.
	FlowGone
	// Undelivered says that Flow could not take the message of Dialog: its peer is
	// slower than what it is told.
	Undelivered
	// TooLarge says that the message of Dialog does not fit Flow's transport, and
	// so cannot be sent at all.
	TooLarge
	// FlowSeen says that Who, reachable at Contact, has just been heard on Flow:
	// what waits for it can go out.
	FlowSeen
	// Call runs Do inside the shard, with the shard's machine.
	Call
	// Tick says that the machine's deadline has come.
	Tick
)

// Event is what a machine can be told.
type Event struct {
	Kind Kind
	ID   ID
	Msg  *sip.Message // Request, and Response but for a plain 200; valid during Step only, its strings for ever
	Flow sip.Flow
	Tx   sip.TxKey // Request: the server transaction to answer

	Who        presence.Principal  // Request, FlowSeen
	Presentity presence.Presentity // Request outside a dialog: whom it is about
	Owner      []presence.AOR      // and all addresses-of-record of that presentity
	Contact    string              // FlowSeen: the Contact header field's value
	Dialog     [12]byte            // Undelivered, TooLarge: that of the Send; Response: what its branch says
	CSeq       uint32              // Response: the request's, by its branch
	Status     int                 // Response: Msg may be nil where this says it all

	Do func(m Machine, now time.Time, out *Batch) // Call
}

// Machine is one shard's state. It has no goroutine, no clock and no socket.
type Machine interface {
	// Step applies one event. All effects go to out.
	Step(ev *Event, now time.Time, out *Batch)
	// Deadline is when the machine wants a Tick; zero: never.
	Deadline() time.Time
}

// Outcome is what became of a Send.
type Outcome uint8

// The outcomes.
const (
	Sent     Outcome = iota // or queued
	Gone                    // the flow's connection does not exist any more
	Full                    // the flow takes no more just now
	Oversize                // no message of that size can leave by the flow
)

// Send is one message to be sent once the batch it stands in is durable.
type Send struct {
	Flow      sip.Flow
	Tx        sip.TxKey // an answer: its server transaction
	Answer    bool
	Dial      bool     // a connection to Flow.Remote may be opened
	SwitchTCP bool     // the peer takes TCP if the message is too large for UDP
	ID        ID       // the shard that sends
	Dialog    [12]byte // what the machine knows a request of its own by
	from, to  int
}

// maxRetained is how much memory a Batch keeps: a worker ends a batch past
// maxBatchBytes, but one step can tell ten thousand watchers at once.
const maxRetained = 4 * maxBatchBytes

// Batch is the outcome of one or several steps: records first, then messages.
// It is reused; nothing given to it is kept after it was released.
type Batch struct {
	Records store.Batch
	Sends   []Send

	buf    []byte
	after  []func()
	commit bool
}

// Buffer returns the arena to append a message to; Add takes what was appended.
func (b *Batch) Buffer() []byte { return b.buf }

// Add queues the message that buf has more than Buffer() had.
func (b *Batch) Add(s Send, buf []byte) {
	s.from, s.to = len(b.buf), len(buf)
	b.buf = buf
	b.Sends = append(b.Sends, s)
}

// Message returns the bytes of s.
func (b *Batch) Message(s *Send) []byte { return b.buf[s.from:s.to] }

// What one system call takes (Linux' UDP_MAX_SEGMENTS, and the most that a
// datagram's length can say).
const (
	maxRun      = 64
	maxRunBytes = 65000
)

// run is the end of the run that begins with Sends[i]: requests over UDP to one
// flow, of one size but for a last shorter one. Watchers behind a proxy make such
// runs. It is i+1 at the least.
func (b *Batch) run(i int) int {
	first, end := &b.Sends[i], i+1
	if first.Answer || first.Flow.Transport != sip.TransportUDP {
		return end
	}
	for end < len(b.Sends) && end-i < maxRun {
		s := &b.Sends[end]
		if s.Answer || s.Flow != first.Flow || s.SwitchTCP != first.SwitchTCP || s.size() > first.size() ||
			s.from != b.Sends[end-1].to || s.to-first.from > maxRunBytes {
			break
		}
		end++
		if s.size() < first.size() {
			break
		}
	}
	return end
}

// messages returns the bytes of a run.
func (b *Batch) messages(i, end int) []byte { return b.buf[b.Sends[i].from:b.Sends[end-1].to] }

func (s *Send) size() int { return s.to - s.from }

// After has fn called when the batch is durable and its messages are sent.
func (b *Batch) After(fn func()) { b.after = append(b.after, fn) }

// Reset empties b and keeps its memory.
func (b *Batch) Reset() {
	b.Records.Reset()
	clear(b.Sends)
	b.Sends = b.Sends[:0]
	if cap(b.buf) > maxRetained {
		b.buf = nil
	}
	b.buf = b.buf[:0]
	clear(b.after)
	b.after = b.after[:0]
	b.commit = false
}

// Reply queues the answer to the request in ev.
func (b *Batch) Reply(ev *Event, r sip.Reply) {
	r.Source = ev.Flow.Remote
	b.Add(Send{Flow: ev.Flow, Tx: ev.Tx, Answer: true, ID: ev.ID}, sip.AppendResponse(b.buf, ev.Msg, r))
}
