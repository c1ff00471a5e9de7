package server

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/sip"
)

// What no datagram can carry is not taken for sent, and the log says so once.
func TestTooLargeForUDP(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	cfg := LocalConfig()
	cfg.Dir, cfg.Logger = t.TempDir(), slog.New(slog.NewTextHandler(&log, nil))
	cfg.Listen = []Listener{{Transport: sip.TransportUDP, Address: "127.0.0.1:0"}}
	s := localServer(t, cfg)
	flow := sip.Flow{Transport: sip.TransportUDP, Remote: netip.MustParseAddrPort("127.0.0.1:9")}
	out := outward{s}
	for range 3 {
		if got := out.Send(flow, make([]byte, 70_000), false, false); got != shard.Oversize {
			t.Errorf("it is %v", got)
		}
	}
	if got := out.Send(flow, make([]byte, 60_000), false, false); got != shard.Sent {
		t.Errorf("a large datagram is %v", got)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "too large"); n != 1 {
		t.Errorf("%d lines in\n%s", n, log.String())
	}
}
