package edge

import (
	"strings"
	"testing"

	"github.com/tacit-presence/tacit/sip"
)

// echo answers every message on its flow with a fixed reply.
type echo struct {
	e     *Edge
	reply []byte
}

func (h *echo) Receive(m *sip.Message, flow sip.Flow, _ error) {
	m.Release()
	_ = h.e.Send(flow, h.reply, Options{})
}

func (h *echo) FlowClosed(sip.Flow) {}

// BenchmarkUDP is one datagram of 1.5 KB in and a small one out, with the
// client's half: allocations are the server's (one: the message's string).
func BenchmarkUDP(b *testing.B) {
	for _, listen := range []string{"127.0.0.1:0", "[::]:0"} {
		b.Run(listen, func(b *testing.B) {
			h := &echo{reply: []byte(okReply)}
			h.e = newEdge(b, Config{Handler: h})
			local := serveUDP(b, h.e, listen)
			client, _ := udpClient(b, "127.0.0.1:0")
			to := loopback(local.Port())
			msg := []byte(request(1, "UDP", strings.Repeat("x", 1000)))
			buf := make([]byte, maxDatagram)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := client.WriteToUDPAddrPort(msg, to); err != nil {
					b.Fatal(err)
				}
				if _, _, err := client.ReadFromUDPAddrPort(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkUDPSend is one datagram of 1.5 KB out.
func BenchmarkUDPSend(b *testing.B) {
	for _, listen := range []string{"127.0.0.1:0", "[::]:0"} {
		b.Run(listen, func(b *testing.B) {
			e := newEdge(b, Config{})
			local := serveUDP(b, e, listen)
			_, addr := udpClient(b, "127.0.0.1:0") // nobody reads: the kernel drops
			flow := sip.Flow{Transport: sip.TransportUDP, Local: loopback(local.Port()), Remote: addr}
			msg := []byte(request(1, "UDP", strings.Repeat("x", 1000)))
			b.ReportAllocs()
			for b.Loop() {
				if err := e.Send(flow, msg, Options{SwitchTCP: false}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestUDPAllocations gates what the benchmarks show.
func TestUDPAllocations(t *testing.T) {
	e := newEdge(t, Config{})
	local := serveUDP(t, e, "[::]:0")
	_, addr := udpClient(t, "127.0.0.1:0")
	flow := sip.Flow{Transport: sip.TransportUDP, Local: loopback(local.Port()), Remote: addr}
	msg := []byte(request(1, "UDP", strings.Repeat("x", 1500)))
	e.noTCP.add(addr, farFuture)
	for name, o := range map[string]Options{"plain": {}, "TCP refused": {SwitchTCP: true}} {
		if n := testing.AllocsPerRun(100, func() { _ = e.Send(flow, msg, o) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	if n := e.Counters().SendErrors.Load(); n != 0 {
		t.Errorf("%d send errors", n)
	}
}

// BenchmarkStream is one message of 1.5 KB in over TCP and a small one out.
func BenchmarkStream(b *testing.B) {
	h := &echo{reply: []byte(okReply)}
	h.e = newEdge(b, Config{Handler: h})
	client := dialTCP(b, serveStream(b, h.e, sip.TransportTCP))
	_ = client.SetDeadline(noTime)
	msg := []byte(request(1, "TCP", strings.Repeat("x", 1000)))
	buf := make([]byte, maxDatagram)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Write(msg); err != nil {
			b.Fatal(err)
		}
		if _, err := client.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
}
