package edge

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tacit-presence/tacit/sip"
)

func anyAddr(netip.Addr) bool { return true }

// listenTCP is a plain listener of a peer.
func listenTCP(t testing.TB, addr string) (net.Listener, netip.AddrPort) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, addrPort(l.Addr())
}

func acceptConn(t testing.TB, l net.Listener) (net.Conn, *bufio.Reader) {
	t.Helper()
	_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(testPatience))
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(testPatience))
	return c, bufio.NewReader(c)
}

func TestDial(t *testing.T) {
	t.Parallel()
	h := newRecorder()
	e := newEdge(t, Config{Handler: h, MayDial: anyAddr})
	l, remote := listenTCP(t, "127.0.0.1:0")
	flow := sip.Flow{Transport: sip.TransportTCP, Remote: remote}
	if err := e.Send(flow, []byte(okReply), Options{}); !errors.Is(err, ErrFlowGone) {
		t.Errorf("without Dial: %v", err)
	}
	for n := range 3 {
		if err := e.Send(flow, []byte(request(n, "TCP", "")), Options{Dial: true}); err != nil {
			t.Fatal(err)
		}
	}
	c, r := acceptConn(t, l)
	for n := range 3 {
		if got, want := readMessage(t, r), request(n, "TCP", ""); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	// What comes back is served, and the flow it has is the connection.
	write(t, c, request(7, "TCP", ""))
	a := await(t, "request", h.arrivals)
	if a.flow.Remote != remote || a.flow.Conn == 0 || a.flow.Local != addrPort(c.RemoteAddr()) {
		t.Errorf("flow %+v", a.flow)
	}
	for _, f := range []sip.Flow{a.flow, flow, {Transport: sip.TransportTCP, Remote: remote, Conn: 12345}} {
		if err := e.Send(f, []byte(okReply), Options{Dial: true}); err != nil {
			t.Fatal(err)
		}
		if got := readMessage(t, r); got != okReply {
			t.Errorf("got %q", got)
		}
	}
	if n := e.Counters().Dialled.Load(); n != 1 || e.Connections() != 1 {
		t.Errorf("%d dialled, %d open", n, e.Connections())
	}
	_ = c.Close()
	if got := await(t, "closing", h.closings); got != a.flow {
		t.Errorf("closed %+v", got)
	}
	// It is opened again.
	if err := e.Send(a.flow, []byte(okReply), Options{Dial: true}); err != nil {
		t.Fatal(err)
	}
	_, r = acceptConn(t, l)
	if got := readMessage(t, r); got != okReply {
		t.Errorf("got %q", got)
	}
}

func TestDialReusesIncoming(t *testing.T) {
	t.Parallel()
	h := newRecorder()
	e := newEdge(t, Config{Handler: h}) // MayDial allows nothing
	c := connect(t, e, sip.TransportTCP, nil)
	write(t, c, request(1, "TCP", ""))
	flow := await(t, "request", h.arrivals).flow
	flow.Conn = 0
	if err := e.Send(flow, []byte(okReply), Options{Dial: true}); err != nil {
		t.Fatal(err)
	}
	if got := readMessage(t, bufio.NewReader(c)); got != okReply {
		t.Errorf("got %q", got)
	}
}

func TestDialRefused(t *testing.T) {
	t.Parallel()
	h := newRecorder()
	e := newEdge(t, Config{Handler: h, MaxConnections: 1, MayDial: func(a netip.Addr) bool { return a.IsLoopback() }})
	l, remote := listenTCP(t, "127.0.0.1:0")
	_ = l.Close()
	for name, c := range map[string]struct {
		flow sip.Flow
		want error
	}{
		"not allowed":  {sip.Flow{Transport: sip.TransportTCP, Remote: netip.MustParseAddrPort("192.0.2.1:5060")}, ErrMayNotDial},
		"no address":   {sip.Flow{Transport: sip.TransportTCP}, ErrMayNotDial},
		"WebSocket":    {sip.Flow{Transport: sip.TransportWS, Remote: remote}, ErrFlowGone},
		"no transport": {sip.Flow{Remote: remote}, ErrFlowGone},
	} {
		if err := e.Send(c.flow, []byte(okReply), Options{Dial: true}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	flow := sip.Flow{Transport: sip.TransportTCP, Remote: remote}
	if err := e.Send(flow, []byte(okReply), Options{Dial: true}); err != nil {
		t.Fatal(err)
	}
	if got := await(t, "failure", h.failures); got != flow {
		t.Errorf("failed %+v", got)
	}
	eventually(t, "place given back", func() bool { return e.Connections() == 0 })
	dialTCP(t, serveStream(t, e, sip.TransportTCP))
	eventually(t, "place taken", func() bool { return e.Connections() == 1 })
	if err := e.Send(flow, []byte(okReply), Options{Dial: true}); !errors.Is(err, ErrTooMany) {
		t.Errorf("beyond the limit: %v", err)
	}
}

func TestDialTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newRecorder()
		e := newEdge(t, Config{Handler: h, MayDial: anyAddr, DialTimeout: 7 * time.Second, Dial: dialNothing, MaxQueue: 2 * len(request(1, "TCP", ""))})
		flow := sip.Flow{Transport: sip.TransportTCP, Remote: netip.MustParseAddrPort("192.0.2.1:5060")}
		other := flow
		other.Conn = 99
		start := time.Now()
		for n, f := range []sip.Flow{flow, other, flow} {
			if err := e.Send(f, []byte(request(n, "TCP", "")), Options{Dial: true}); err != nil && n < 2 {
				t.Fatal(err)
			} else if n == 2 && !errors.Is(err, ErrQueueFull) {
				t.Errorf("third: %v", err)
			}
		}
		if got := []sip.Flow{<-h.failures, <-h.failures}; got[0] != flow || got[1] != other {
			t.Errorf("failed: %v", got)
		}
		if took := time.Since(start); took != 7*time.Second {
			t.Errorf("took %v", took)
		}
		synctest.Wait()
		if len(h.failures) != 0 || len(h.closings) != 0 || e.Connections() != 0 {
			t.Error("told too much, or a place is kept")
		}
		// Shutdown does not wait for a dial.
		if err := e.Send(flow, []byte(okReply), Options{Dial: true}); err != nil {
			t.Fatal(err)
		}
		start = time.Now()
		if err := e.Shutdown(t.Context()); err != nil || time.Since(start) != 0 || len(h.failures) != 0 {
			t.Errorf("Shutdown: %v after %v", err, time.Since(start))
		}
	})
}

func TestDialTLS(t *testing.T) {
	t.Parallel()
	serverTLS, clientTLS := certificates(t)
	h := newRecorder()
	e := newEdge(t, Config{Handler: h, MayDial: anyAddr, TLSClient: clientTLS})
	l, remote := listenTCP(t, "127.0.0.1:0")
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			tc := tls.Server(c, serverTLS)
			go func() {
				buf := make([]byte, 10000)
				for {
					n, err := tc.Read(buf)
					if err != nil {
						_ = tc.Close()
						return
					}
					_, _ = tc.Write(buf[:n])
				}
			}()
		}
	}()
	flow := sip.Flow{Transport: sip.TransportTLS, Remote: remote}
	for _, name := range []string{"", "example.com"} {
		if err := e.Send(flow, []byte(request(5, "TLS", name)), Options{Dial: true, ServerName: name}); err != nil {
			t.Fatal(err)
		}
		if a := await(t, "echo", h.arrivals); a.body != name || a.flow.Transport != sip.TransportTLS {
			t.Errorf("got %+v", a)
		}
	}
	if err := e.Send(flow, []byte(okReply), Options{Dial: true, ServerName: "other.example"}); err != nil {
		t.Fatal(err)
	}
	if got := await(t, "failure", h.failures); got != flow {
		t.Errorf("failed %+v", got)
	}
	if n := e.Counters().Dialled.Load(); n != 2 {
		t.Errorf("%d dialled", n)
	}
}

// bothPorts is a peer's UDP socket and TCP listener on one port.
func bothPorts(t testing.TB) (*net.UDPConn, net.Listener, netip.AddrPort) {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		pc, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addrPort(l.Addr())))
		if err != nil {
			_ = l.Close()
			continue
		}
		t.Cleanup(func() { _, _ = l.Close(), pc.Close() })
		return pc, l, addrPort(l.Addr())
	}
	t.Fatal("no port free for both")
	return nil, nil, netip.AddrPort{}
}

func TestSwitchTCP(t *testing.T) {
	t.Parallel()
	h := newRecorder()
	e := newEdge(t, Config{Handler: h})
	local := serveUDP(t, e, "127.0.0.1:0")
	pc, l, remote := bothPorts(t)
	flow := sip.Flow{Transport: sip.TransportUDP, Local: local, Remote: remote}
	big := strings.Repeat("x", 1400)
	send := func(msg string, o Options) {
		t.Helper()
		if err := e.Send(flow, []byte(msg), o); err != nil {
			t.Fatal(err)
		}
	}
	udp := func(want string) {
		t.Helper()
		if got, _ := readDatagram(t, pc); got != want {
			t.Errorf("by UDP: %q, want %q", got, want)
		}
	}
	switching := Options{SwitchTCP: true}
	send(request(1, "UDP", "small"), switching)
	udp(request(1, "UDP", "small"))
	send(request(2, "UDP", big), Options{}) // not allowed
	udp(request(2, "UDP", big))
	response := strings.Replace(okReply, "200 OK", "200 "+big, 1)
	send(response, switching) // goes back as it came
	udp(response)
	for n := 3; n < 6; n++ {
		send(request(n, "UDP", big), switching)
	}
	c, r := acceptConn(t, l)
	for n := 3; n < 6; n++ {
		if got := readMessage(t, r); got != request(n, "TCP", big) {
			t.Errorf("by TCP: %q", got)
		}
	}
	write(t, c, request(7, "TCP", ""))
	if a := await(t, "request", h.arrivals); a.flow.Transport != sip.TransportTCP || a.flow.Remote != remote {
		t.Errorf("flow %+v", a.flow)
	}
	send(request(8, "UDP", big), switching)
	if got := readMessage(t, r); got != request(8, "TCP", big) {
		t.Errorf("on the open connection: %q", got)
	}
	if n := e.Counters().Switched.Load(); n != 4 {
		t.Errorf("%d switched", n)
	}
}

func TestSwitchTCPRefused(t *testing.T) {
	t.Parallel()
	h := newRecorder()
	e := newEdge(t, Config{Handler: h})
	local := serveUDP(t, e, "127.0.0.1:0")
	pc, l, remote := bothPorts(t)
	_ = l.Close()
	flow := sip.Flow{Transport: sip.TransportUDP, Local: local, Remote: remote}
	for n := range 3 {
		msg := request(n, "UDP", strings.Repeat("x", 1400))
		if err := e.Send(flow, []byte(msg), Options{SwitchTCP: true}); err != nil {
			t.Fatal(err)
		}
		if got, from := readDatagram(t, pc); got != msg || from != local {
			t.Errorf("got %q", got)
		}
	}
	if n := e.Counters().SwitchFailed.Load(); n != 1 {
		t.Errorf("%d attempts failed", n)
	}
	eventually(t, "place given back", func() bool { return e.Connections() == 0 })
	if len(h.failures) != 0 {
		t.Error("Handler was told")
	}
}

// While TCP is tried, what follows waits; a retransmission is not sent twice;
// after 2 s all go by UDP in order, and for 10 minutes TCP is not tried again.
func TestSwitchTCPTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dials := 0
		e := newEdge(t, Config{Dial: func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
			dials++
			return dialNothing(ctx, to)
		}})
		pc := newMemPacket()
		if err := e.ServeUDP(pc); err != nil {
			t.Fatal(err)
		}
		flow := sip.Flow{Transport: sip.TransportUDP, Local: addrPort(pc.LocalAddr()), Remote: netip.MustParseAddrPort("192.0.2.9:5060")}
		big := strings.Repeat("x", 1400)
		send := func(msg string) {
			if err := e.Send(flow, []byte(msg), Options{SwitchTCP: true}); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		send(request(1, "UDP", big))
		send(request(2, "UDP", "small"))
		time.Sleep(500 * time.Millisecond)
		send(request(1, "UDP", big))
		send(okReply)
		if d := <-pc.out; string(d.b) != okReply {
			t.Errorf("a response waited, got %q", d.b)
		}
		for _, want := range []string{request(1, "UDP", big), request(2, "UDP", "small")} {
			if d := <-pc.out; string(d.b) != want || d.addr != flow.Remote {
				t.Errorf("got %q", d.b)
			}
		}
		if took := time.Since(start); took != switchTimeout {
			t.Errorf("took %v", took)
		}
		synctest.Wait()
		send(request(3, "UDP", big))
		if d := <-pc.out; string(d.b) != request(3, "UDP", big) || time.Since(start) != switchTimeout || len(pc.out) != 0 {
			t.Errorf("got %q", d.b)
		}
		time.Sleep(refusalLife)
		send(request(4, "UDP", big))
		<-pc.out
		if dials != 2 {
			t.Errorf("%d dials", dials)
		}
	})
}

func TestSetViaTCP(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"A b SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nVia: SIP/2.0/UDP i\r\n\r\n":       "A b SIP/2.0\r\nVia: SIP/2.0/TCP h\r\nVia: SIP/2.0/UDP i\r\n\r\n",
		"A b SIP/2.0\r\nX: SIP/2.0/UDP\r\nv :\t SIP/2.0/UDP h\r\n\r\n":          "A b SIP/2.0\r\nX: SIP/2.0/UDP\r\nv :\t SIP/2.0/TCP h\r\n\r\n",
		"A b SIP/2.0\r\nVia: SIP/2.0/TLS h\r\nVia: SIP/2.0/UDP i\r\n\r\n":       "A b SIP/2.0\r\nVia: SIP/2.0/TLS h\r\nVia: SIP/2.0/UDP i\r\n\r\n",
		"A b SIP/2.0\r\nContent-Length: 20\r\n\r\nVia: SIP/2.0/UDP in the body": "A b SIP/2.0\r\nContent-Length: 20\r\n\r\nVia: SIP/2.0/UDP in the body",
		"no lines": "no lines", "": "", "\n": "\n", "x\nVia": "x\nVia",
	} {
		msg := []byte(in)
		if setViaTCP(msg); string(msg) != want {
			t.Errorf("%q: got %q", in, msg)
		}
	}
}

func TestRefusalsAreBounded(t *testing.T) {
	t.Parallel()
	r := refusals{until: make(map[netip.AddrPort]time.Time)}
	now := time.Now()
	addr := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 5060)
	}
	for i := range maxRefusals {
		r.add(addr(i), now.Add(time.Duration(i%2)*time.Minute))
	}
	r.add(addr(maxRefusals), now.Add(refusalLife+time.Second)) // half have run out
	if n := len(r.until); n != maxRefusals/2+1 {
		t.Errorf("%d kept", n)
	}
	for i := range 2 * maxRefusals {
		r.add(addr(i), now)
	}
	if n := len(r.until); n > maxRefusals {
		t.Errorf("%d kept", n)
	}
}
