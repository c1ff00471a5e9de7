package edge

import (
	"bytes"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/tacit-presence/tacit/sip"
)

func TestUDPReceiveAndSend(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ listen, client, dest string }{
		"IPv4":             {"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1"},
		"IPv6":             {"[::1]:0", "[::1]:0", "::1"},
		"IPv4 wildcard":    {"0.0.0.0:0", "127.0.0.1:0", "127.0.0.1"},
		"wildcard by IPv4": {"[::]:0", "127.0.0.1:0", "127.0.0.1"},
		"wildcard by IPv6": {"[::]:0", "[::1]:0", "::1"},
		"second address":   {"[::]:0", "127.0.0.1:0", "127.0.0.9"},
		"second address 4": {"0.0.0.0:0", "127.0.0.1:0", "127.0.0.9"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newRecorder()
			e := newEdge(t, Config{Handler: h})
			local := serveUDP(t, e, c.listen)
			client, addr := udpClient(t, c.client)
			dest := netip.AddrPortFrom(netip.MustParseAddr(c.dest), local.Port())
			if _, err := client.WriteToUDPAddrPort([]byte(request(7, "UDP", "hello")), dest); err != nil {
				t.Fatal(err)
			}
			a := await(t, "request", h.arrivals)
			if a.err != nil || a.callID != "c7" || a.body != "hello" {
				t.Errorf("got %+v", a)
			}
			want := sip.Flow{Transport: sip.TransportUDP, Local: dest, Remote: addr}
			if a.flow != want {
				t.Errorf("flow %v, want %v", a.flow, want)
			}
			if !e.Alive(a.flow) {
				t.Error("flow is not alive")
			}
			if err := e.Send(a.flow, []byte(okReply), Options{}); err != nil {
				t.Fatal(err)
			}
			got, from := readDatagram(t, client)
			if got != okReply || from != dest {
				t.Errorf("got %q from %v, want from %v", got, from, dest)
			}
			// A flow that names only the peer takes any socket.
			if err := e.Send(sip.Flow{Transport: sip.TransportUDP, Remote: addr}, []byte("x"), Options{}); err != nil {
				t.Fatal(err)
			}
			if got, _ := readDatagram(t, client); got != "x" {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestUDPPortable(t *testing.T) {
	t.Parallel()
	h := newRecorder()
	e := newEdge(t, Config{Handler: h})
	real, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	for _, pc := range []packetSocket{portableUDP{real}, portablePacket{real}} {
		s := &udpSocket{packetSocket: pc, local: addrPort(real.LocalAddr())}
		client, addr := udpClient(t, "127.0.0.1:0")
		if _, err := client.WriteToUDPAddrPort([]byte(request(1, "UDP", "")), s.local); err != nil {
			t.Fatal(err)
		}
		b, remote, _, err := s.reader()()
		if err != nil || len(b) == 0 || remote != addr {
			t.Errorf("read %d from %v: %v", len(b), remote, err)
		}
		if err := s.write([]byte("x"), remote, netip.Addr{}); err != nil {
			t.Error(err)
		}
		if got, _ := readDatagram(t, client); got != "x" {
			t.Errorf("got %q", got)
		}
		s.stop()
		if _, _, _, err := s.reader()(); err == nil {
			t.Error("reads after stop")
		}
		_ = real.SetReadDeadline(noTime)
	}
	if err := e.ServeUDP(real); err != nil {
		t.Fatal(err)
	}
}

func TestUDPKeepAlives(t *testing.T) {
	t.Parallel()
	h := newRecorder()
	e := newEdge(t, Config{Handler: h})
	local := serveUDP(t, e, "127.0.0.1:0")
	client, _ := udpClient(t, "127.0.0.1:0")
	stun, err := hex.DecodeString("000100002112a442000102030405060708090a0b")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"\r\n", "\r\n\r\n", "\n", "", "\x00", "\x00\x00\x00\x00", string(stun), request(1, "UDP", "")} {
		if _, err := client.WriteToUDPAddrPort([]byte(p), local); err != nil {
			t.Fatal(err)
		}
	}
	if a := await(t, "request", h.arrivals); a.err != nil {
		t.Error(a.err)
	}
	if n := h.count(); n != 1 {
		t.Errorf("%d messages", n)
	}
	c := e.Counters()
	for name, n := range map[string][2]uint64{
		"CRLF": {c.KeepAliveCRLF.Load(), 3},
		"NUL":  {c.KeepAliveNUL.Load(), 3},
		"STUN": {c.KeepAliveSTUN.Load(), 1},
		"UDP":  {c.Received[sip.TransportUDP].Load(), 1},
		"sent": {c.Sent[sip.TransportUDP].Load(), 0},
	} {
		if n[0] != n[1] {
			t.Errorf("%s: %d, want %d", name, n[0], n[1])
		}
	}
}

func TestUDPBadInput(t *testing.T) {
	t.Parallel()
	h := newRecorder()
	e := newEdge(t, Config{Handler: h, Limits: sip.Limits{MaxMessage: 8000}})
	local := serveUDP(t, e, "127.0.0.1:0")
	client, _ := udpClient(t, "127.0.0.1:0")
	good := request(1, "UDP", "")
	for name, c := range map[string]struct {
		datagram   string
		answerable bool
	}{
		"garbage":             {"GARBAGE", false},
		"two Content-Lengths": {strings.Replace(good, "\r\n\r\n", "\r\nContent-Length: 5\r\n\r\n", 1), true},
		"NUL":                 {strings.Replace(good, "Max-", "Subject: a\x00b\r\nMax-", 1), true},
		"bare LF":             {strings.Replace(good, "Max-", "Subject: a\nb\r\nMax-", 1), true},
		"too large":           {request(1, "UDP", strings.Repeat("x", 8000)), false},
		"short body":          {strings.Replace(good, "Length: 0", "Length: 9", 1), true},
	} {
		if _, err := client.WriteToUDPAddrPort([]byte(c.datagram), local); err != nil {
			t.Fatal(err)
		}
		a := await(t, name, h.arrivals)
		if _, ok := errors.AsType[*sip.StatusError](a.err); !ok || a.answerable != c.answerable {
			t.Errorf("%s: %+v", name, a)
		}
	}
	if n := e.Counters().ParseErrors.Load(); n != 6 {
		t.Errorf("%d parse errors", n)
	}
	if n := e.Counters().Oversize.Load(); n != 1 {
		t.Errorf("%d oversize", n)
	}
}

func TestUDPHandlerPanic(t *testing.T) {
	t.Parallel()
	h := newRecorder()
	h.receive = func(m *sip.Message, _ sip.Flow, _ error) {
		if m.CallID == "c1" {
			panic("defect")
		}
	}
	e := newEdge(t, Config{Handler: h})
	local := serveUDP(t, e, "127.0.0.1:0")
	client, _ := udpClient(t, "127.0.0.1:0")
	for n := range 3 {
		if _, err := client.WriteToUDPAddrPort([]byte(request(n, "UDP", "")), local); err != nil {
			t.Fatal(err)
		}
	}
	if a := await(t, "first", h.arrivals); a.callID != "c0" {
		t.Errorf("got %+v", a)
	}
	if a := await(t, "third", h.arrivals); a.callID != "c2" {
		t.Errorf("got %+v", a)
	}
	if n := e.Counters().Panics.Load(); n != 1 {
		t.Errorf("%d panics", n)
	}
}

func TestUDPSendErrors(t *testing.T) {
	t.Parallel()
	e := newEdge(t, Config{})
	local := serveUDP(t, e, "127.0.0.1:0")
	_, addr := udpClient(t, "127.0.0.1:0")
	flow := sip.Flow{Transport: sip.TransportUDP, Local: local, Remote: addr}
	if err := e.Send(flow, make([]byte, maxDatagram), Options{}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	for name, f := range map[string]sip.Flow{
		"no such socket": {Transport: sip.TransportUDP, Local: netip.MustParseAddrPort("127.0.0.1:1"), Remote: addr},
		"other family":   {Transport: sip.TransportUDP, Local: local, Remote: netip.MustParseAddrPort("[::1]:5060")},
		"no remote":      {Transport: sip.TransportUDP, Local: local},
	} {
		if err := e.Send(f, []byte("x"), Options{}); !errors.Is(err, ErrFlowGone) {
			t.Errorf("%s: %v", name, err)
		}
		if e.Alive(f) {
			t.Errorf("%s: alive", name)
		}
	}
	ctx := t.Context()
	if err := e.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if err := e.Send(flow, []byte("x"), Options{}); !errors.Is(err, ErrFlowGone) {
		t.Errorf("after Shutdown: %v", err)
	}
	if e.Alive(flow) {
		t.Error("alive after Shutdown")
	}
	pc, _ := udpClient(t, "127.0.0.1:0")
	if err := e.ServeUDP(pc); !errors.Is(err, ErrClosed) {
		t.Errorf("ServeUDP after Shutdown: %v", err)
	}
}

// A peer that a wildcard socket's host no longer has the address for is still
// sent to.
func TestUDPLostLocalAddress(t *testing.T) {
	t.Parallel()
	e := newEdge(t, Config{})
	for _, listen := range []string{"0.0.0.0:0", "[::]:0"} {
		local := serveUDP(t, e, listen)
		client, addr := udpClient(t, "127.0.0.1:0")
		flow := sip.Flow{Transport: sip.TransportUDP, Remote: addr,
			Local: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.77"), local.Port())}
		if err := e.Send(flow, []byte("x"), Options{}); err != nil {
			t.Errorf("%s: %v", listen, err)
			continue
		}
		if got, _ := readDatagram(t, client); got != "x" {
			t.Errorf("got %q", got)
		}
	}
}

// failingPacket gives errors between datagrams, as ICMP may cause.
type failingPacket struct {
	*memPacket
	failures int
}

func (p *failingPacket) ReadFrom(b []byte) (int, net.Addr, error) {
	if p.failures > 0 {
		p.failures--
		return 0, nil, syscall.ECONNREFUSED
	}
	return p.memPacket.ReadFrom(b)
}

func TestUDPReadErrors(t *testing.T) {
	t.Parallel()
	h := newRecorder()
	e := newEdge(t, Config{Handler: h})
	pc := &failingPacket{newMemPacket(), 5}
	if err := e.ServeUDP(pc); err != nil {
		t.Fatal(err)
	}
	pc.in <- datagram{loopback(5060), []byte(request(1, "UDP", ""))}
	await(t, "request", h.arrivals)
	if n := e.Counters().UDPReadErrors.Load(); n != 5 {
		t.Errorf("counted %d", n)
	}
}

// Several goroutines may read one socket, and all may send at once, while it is
// closed.
func TestUDPConcurrency(t *testing.T) {
	t.Parallel()
	h := newRecorder()
	e := newEdge(t, Config{Handler: h, UDPReaders: 4})
	local := serveUDP(t, e, "127.0.0.1:0")
	client, addr := udpClient(t, "127.0.0.1:0")
	const n = 200
	for i := range n {
		if _, err := client.WriteToUDPAddrPort([]byte(request(i, "UDP", "")), local); err != nil {
			t.Fatal(err)
		}
	}
	seen := make(map[string]bool)
	for range n {
		seen[await(t, "request", h.arrivals).callID] = true
	}
	if len(seen) != n {
		t.Errorf("%d of %d", len(seen), n)
	}
	flow := sip.Flow{Transport: sip.TransportUDP, Local: local, Remote: addr}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for e.Send(flow, []byte("x"), Options{}) == nil {
			}
		})
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
}

func TestListenUDP(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	c, err := ListenUDP("127.0.0.1:0", slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	for _, want := range []string{"asked=8388608", "receive=", "send=", "listener=127.0.0.1:"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log lacks %q: %s", want, &log)
		}
	}
	if _, err := ListenUDP(c.LocalAddr().String(), slog.New(slog.DiscardHandler)); err == nil {
		t.Error("same address twice")
	}
	if _, err := ListenStream("nonsense"); err == nil {
		t.Error("nonsense is listened on")
	}
}
