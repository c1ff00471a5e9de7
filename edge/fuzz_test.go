package edge

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/tacit-presence/tacit/sip"
)

// The fuzzers drive a whole Edge with a script: each step is a kind, a length
// and that many bytes. What they hold: no panic; every valid message arrives
// exactly once, unharmed, in order, whatever is around it; nothing else arrives
// as valid.

// step is one step of a script.
type step struct {
	kind byte
	data []byte
}

// maxSteps keeps one run short.
const maxSteps = 64

func steps(script []byte) (all []step) {
	for len(script) >= 2 && len(all) < maxSteps {
		n := min(int(script[1]), len(script)-2)
		all = append(all, step{script[0], script[2 : 2+n]})
		script = script[2+n:]
	}
	return all
}

// smallLimits are near what a script reaches, so that it passes them.
var smallLimits = sip.Limits{MaxMessage: 9000, MaxHeader: 800, MaxHeaders: 12}

// body makes a body that begins with a step's bytes and is up to 8 KB long, so
// that buffers grow.
func (s step) body() string {
	return strings.Repeat(string(s.data), 1+int(s.kind/16)*2)
}

// valid gives the bodies of the arrivals without error, after checking that
// they are whole.
func valid(t *testing.T, h *recorder) (bodies []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range h.got {
		if a.err == nil {
			bodies = append(bodies, a.body)
		}
	}
	return bodies
}

// scriptSeeds are shared: valid messages, keep-alives, garbage, in turn.
func scriptSeeds(f *testing.F, add func(script []byte)) {
	f.Helper()
	one := request(1, "UDP", "raw")
	add([]byte{0, 3, 'a', 'b', 'c', 1, 0, 2, 0, 3, 0, 0, 1, 'x'})
	add(append([]byte{0, 0, 255, 200}, bytes.Repeat([]byte("0123456789"), 20)...))
	add(append([]byte{0, 1, 'a', 4, byte(len(one))}, one...))
	add([]byte{0, 1, 'a', 4, 5, '\r', '\n', '\n', 0, 'A', 0, 1, 'b'})
	add([]byte{4, 30, 'A', ' ', 'b', ' ', 'S', 'I', 'P', '/', '2', '.', '0', '\r', '\n', 'l', ':', '9', '9', '9', '9', '9', '9', '\r', '\n', '\r', '\n'})
}

func FuzzUDP(f *testing.F) {
	scriptSeeds(f, func(script []byte) { f.Add(script) })
	f.Fuzz(func(t *testing.T, script []byte) {
		h := newRecorder()
		e := newEdge(t, Config{Handler: h, Limits: smallLimits})
		pc := newMemPacket()
		if err := e.ServeUDP(pc); err != nil {
			t.Fatal(err)
		}
		var want []string
		other := 0 // what is neither valid nor a keep-alive
		send := func(b string) { pc.in <- datagram{loopback(5060), []byte(b)} }
		for _, s := range steps(script) {
			switch s.kind % 5 {
			case 0:
				want = append(want, s.body())
				send(request(1, "UDP", s.body()))
			case 1:
				send(strings.Repeat("\r\n", len(s.data)))
			case 2:
				send(strings.Repeat("\x00", len(s.data)))
			case 3:
				send("\x00\x01\x00\x00\x21\x12\xa4\x42" + strings.Repeat("x", 12+len(s.data)))
			default: // cannot be valid, nor a keep-alive
				send("\xff" + string(s.data))
				other++
			}
		}
		send(request(1, "UDP", "last"))
		want = append(want, "last")
		for range len(want) + other {
			await(t, "arrival", h.arrivals)
		}
		if got := valid(t, h); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if n := e.Counters().Panics.Load(); n != 0 || h.count() != len(want)+other {
			t.Errorf("%d panics, %d arrivals", n, h.count())
		}
	})
}

// runStream writes the bytes in pieces of the sizes given (over and over) to a
// connection, and gives what arrived when it is closed.
func runStream(t *testing.T, stream []byte, sizes []byte) (*Edge, *recorder) {
	t.Helper()
	h := newRecorder()
	e := newEdge(t, Config{Handler: h, Limits: smallLimits})
	l := newPipeListener()
	if err := e.ServeStream(l, sip.TransportTCP); err != nil {
		t.Fatal(err)
	}
	c := l.dial("192.0.2.7:40000")
	go func() { _, _ = io.Copy(io.Discard, c) }()
	for i := 0; len(stream) > 0; i++ {
		n := len(stream)
		if len(sizes) > 0 {
			n = min(n, 1+int(sizes[i%len(sizes)])*8)
		}
		if _, err := c.Write(stream[:n]); err != nil {
			break // refused
		}
		stream = stream[n:]
	}
	_ = c.Close()
	await(t, "closing", h.closings)
	if n := e.Counters().Panics.Load(); n != 0 {
		t.Errorf("%d panics", n)
	}
	return e, h
}

func FuzzStream(f *testing.F) {
	scriptSeeds(f, func(script []byte) {
		f.Add(script, []byte{})
		f.Add(script, []byte{0})
		f.Add(script, []byte{0, 3, 1, 255})
	})
	f.Fuzz(func(t *testing.T, script, sizes []byte) {
		var stream []byte
		var want []string
		garbage := false
		pings, half := uint64(0), false
		for _, s := range steps(script) {
			switch s.kind % 5 {
			case 0, 3:
				stream = append(stream, request(1, "TCP", s.body())...)
				if !garbage {
					want = append(want, s.body())
				}
				half = false
			case 1, 2:
				for range len(s.data) % 8 {
					stream = append(stream, "\r\n"...)
					if half && !garbage {
						pings++
					}
					half = !half
				}
			default:
				stream = append(stream, s.data...)
				garbage = garbage || len(s.data) > 0
			}
		}
		e, h := runStream(t, stream, sizes)
		got := valid(t, h)
		if !garbage && !slices.Equal(got, want) || len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if n := e.Counters().Pings.Load(); !garbage && n != pings {
			t.Errorf("%d pings, want %d", n, pings)
		}
		// How the bytes are cut makes no difference, but that garbage may be
		// refused sooner.
		_, whole := runStream(t, stream, nil)
		if all := valid(t, whole); !slices.Equal(all[:min(len(all), len(got))], got[:min(len(all), len(got))]) {
			t.Errorf("in pieces %q, whole %q", got, all)
		}
	})
}

// frame is a masked WebSocket frame (RFC 6455, 5.2), with a mask of zero.
func frame(first byte, payload string) []byte {
	b := []byte{first, 0x80 | 127}
	b = binary.BigEndian.AppendUint64(b, uint64(len(payload)))
	return append(append(b, 0, 0, 0, 0), payload...)
}

func FuzzWebSocket(f *testing.F) {
	scriptSeeds(f, func(script []byte) { f.Add(script) })
	f.Add([]byte{1, 0, 5, 3, 'p', 'p', 'p', 6, 8, 0, 0, 0, 0, 0, 0, 0, 0, 7, 4, 0x88, 0x80, 0, 0, 0, 1, 'x'})
	f.Fuzz(func(t *testing.T, script []byte) {
		const (
			text, binaryFrame, continuation, ping = 0x1, 0x2, 0x0, 0x9
			fin                                   = 0x80
		)
		var stream []byte
		var want []string
		pings := uint64(0)
		garbage := false
		for _, s := range steps(script) {
			msg := strings.ReplaceAll(request(1, "WS", s.body()), "Content-Length: 0\r\n", "")
			before := len(want)
			switch s.kind % 8 {
			case 0:
				stream, want = append(stream, frame(fin|text, msg)...), append(want, s.body())
			case 1:
				stream, want = append(stream, frame(fin|binaryFrame, msg)...), append(want, s.body())
			case 2: // in fragments, with a ping between
				at := len(msg) * len(s.data) / 256
				stream = append(stream, frame(text, msg[:at])...)
				stream = append(stream, shortFrame(fin|ping, "p")...)
				stream = append(stream, frame(fin|continuation, msg[at:])...)
				want = append(want, s.body())
			case 3:
				stream = append(stream, frame(fin|text, "\r\n")...)
			case 4:
				stream = append(stream, frame(fin|text, "\r\n\r\n")...)
				if !garbage {
					pings++
				}
			case 5:
				stream = append(stream, frame(fin|text, "\xff"+string(s.data))...) // arrives as an error
			case 6:
				stream = append(stream, frame(fin|binaryFrame, "")...)
			default:
				stream = append(stream, s.data...)
				garbage = garbage || len(s.data) > 0
			}
			if garbage {
				want = want[:before]
			}
		}
		h := newRecorder()
		e := newEdge(t, Config{Handler: h, Limits: smallLimits})
		l := newPipeListener()
		if err := e.ServeWS(l, false); err != nil {
			t.Fatal(err)
		}
		c := l.dial("192.0.2.7:40000")
		upgradeRaw(t, c)
		go func() { _, _ = io.Copy(io.Discard, c) }()
		if !garbage {
			stream = append(stream, frame(fin|text, request(1, "WS", "last"))...)
			want = append(want, "last")
		}
		_, _ = c.Write(stream)
		// A pong that finds the peer gone ends the connection, unread frames with
		// it: so the peer stays until all has arrived.
		for len(valid(t, h)) < len(want) {
			await(t, "arrival", h.arrivals)
		}
		_ = c.Close()
		await(t, "closing", h.closings)
		got := valid(t, h)
		if !garbage && !slices.Equal(got, want) || len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
			t.Errorf("got %q, want %q", got, want)
		}
		c1 := e.Counters()
		if c1.Panics.Load() != 0 || !garbage && c1.Pings.Load() != pings {
			t.Errorf("%d panics, %d pings, want %d", c1.Panics.Load(), c1.Pings.Load(), pings)
		}
	})
}

// shortFrame is frame for a control frame, whose length has one byte.
func shortFrame(first byte, payload string) []byte {
	return append([]byte{first, 0x80 | byte(len(payload)), 0, 0, 0, 0}, payload...)
}

// upgradeRaw does the handshake and leaves the connection at the first frame.
func upgradeRaw(t *testing.T, c net.Conn) {
	t.Helper()
	write(t, c, "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: sip\r\n\r\n")
	var head []byte
	for b := make([]byte, 1); !bytes.HasSuffix(head, headerEnd); head = append(head, b...) {
		if _, err := c.Read(b); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) {
		t.Fatalf("got %q", head)
	}
}
