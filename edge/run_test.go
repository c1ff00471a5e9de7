package edge

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/tacit-presence/tacit/sip"
)

func TestSendRun(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ listen, client, source string }{
		"IPv4":             {"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1"},
		"IPv6":             {"[::1]:0", "[::1]:0", "::1"},
		"second address 4": {"0.0.0.0:0", "127.0.0.1:0", "127.0.0.9"},
		"second address":   {"[::]:0", "127.0.0.1:0", "127.0.0.9"},
		"lost address":     {"0.0.0.0:0", "127.0.0.1:0", "192.0.2.1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t, Config{Handler: newRecorder()})
			local := serveUDP(t, e, c.listen)
			client, addr := udpClient(t, c.client)
			flow := sip.Flow{Transport: sip.TransportUDP, Remote: addr,
				Local: netip.AddrPortFrom(netip.MustParseAddr(c.source), local.Port())}
			run := append(append(bytes.Repeat([]byte("a"), 1500), bytes.Repeat([]byte("b"), 1500)...), "short"...)
			err := e.SendRun(flow, run, 1500, Options{})
			if name == "lost address" { // either the system chooses another, or Send is left to
				if err != nil {
					return
				}
			} else if err != nil {
				t.Skip("this system sends no runs:", err)
			}
			for _, want := range []string{string(run[:1500]), string(run[1500:3000]), "short"} {
				got, from := readDatagram(t, client)
				if got != want {
					t.Errorf("got %d bytes, want %d", len(got), len(want))
				}
				if name != "lost address" && from != flow.Local {
					t.Errorf("from %v, want %v", from, flow.Local)
				}
			}
			if n := e.Counters().Sent[sip.TransportUDP].Load(); n != 3 {
				t.Errorf("%d are counted", n)
			}
		})
	}
}

// What the system refuses is left to Send, and is not tried again; what is
// shorter is.
func TestSendRunRefused(t *testing.T) {
	t.Parallel()
	e := newEdge(t, Config{Handler: newRecorder()})
	local := serveUDP(t, e, "127.0.0.1:0")
	client, addr := udpClient(t, "127.0.0.1:0")
	flow := sip.Flow{Transport: sip.TransportUDP, Remote: addr, Local: local}
	if e.SendRun(flow, make([]byte, 60000), 10, Options{}) == nil {
		t.Fatal("the system took a run of 6000")
	}
	if e.SendRun(flow, make([]byte, 30), 10, Options{}) == nil {
		t.Error("tried again")
	}
	if err := e.SendRun(flow, []byte("xxyy"), 2, Options{}); err != nil {
		t.Skip("this system sends no runs:", err)
	}
	for _, want := range []string{"xx", "yy"} {
		if got, _ := readDatagram(t, client); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if e.SendRun(sip.Flow{Transport: sip.TransportUDP}, []byte("xx"), 1, Options{}) == nil {
		t.Error("sent to nobody")
	}
}

// A run that would leave by TCP is left to Send.
func TestSendRunSwitches(t *testing.T) {
	t.Parallel()
	e := newEdge(t, Config{Handler: newRecorder()})
	local := serveUDP(t, e, "127.0.0.1:0")
	_, addr := udpClient(t, "127.0.0.1:0")
	flow := sip.Flow{Transport: sip.TransportUDP, Remote: addr, Local: local}
	if e.SendRun(flow, make([]byte, 6000), 3000, Options{SwitchTCP: true}) == nil {
		t.Error("a run of large requests went by UDP, though the peer takes TCP")
	}
}
