package peertest

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// TestStopEndsNothing holds that an orderly stop tells nobody that it is over:
// subscriptions live on, and what ran out meanwhile is told after the start.
func TestStopEndsNothing(t *testing.T) {
	t.Parallel()
	s := serve(t, users...)
	alice, bob := newPhone(t, s, "alice", "udp"), newPhone(t, s, "bob", "udp")
	bob.subscribe("alice", "")
	tag := alice.ask(200, alice.publication("", pidf("alice", "open", "lasting"), 600)).get("SIP-ETag")
	alice.ask(200, alice.publication("", pidf("alice", "open", "brief"), 2))
	bob.wantNotify(0, "active", "brief")
	mark := len(bob.notified())
	s.stop()
	time.Sleep(2500 * time.Millisecond)
	if n := len(bob.notified()); n != mark {
		t.Errorf("the stop sent %d NOTIFYs", n-mark)
	}
	s.again()
	m, ok := bob.await(mark, patience, func(message) bool { return true })
	switch {
	case !ok:
		t.Fatal("nothing was told after the start")
	case !strings.Contains(m.body, "lasting") || strings.Contains(m.body, "brief"):
		t.Errorf("told %q", m.body)
	case !strings.HasPrefix(m.get("Subscription-State"), "active;expires="):
		t.Errorf("Subscription-State: %s", m.get("Subscription-State"))
	}
	alice.ask(200, alice.publication(tag, "", 600))
	s.healthy()
	s.stop()
}

// TestStrangersLeaveNothing holds ARCHITECTURE.md, 6.1: without credentials
// there is a challenge and no state, for users who exist and those who do not.
func TestStrangersLeaveNothing(t *testing.T) {
	t.Parallel()
	s := serve(t, users...)
	c, err := net.Dial("udp", s.sip)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	const requests = 3000 // a multiple of the methods and users
	buf := make([]byte, 64<<10)
	sizes := map[string]int{} // of the answers, by method
	for i := range requests {
		method, user := []string{"SUBSCRIBE", "PUBLISH", "REGISTER"}[i%3], []string{"alice", "nobdy"}[i%2]
		text := fmt.Sprintf("%[1]s sip:%[2]s@example.com SIP/2.0\r\nVia: SIP/2.0/UDP %[3]s;branch=z9hG4bK%06[4]d;rport\r\n"+
			"Max-Forwards: 70\r\nFrom: <sip:%[2]s@example.com>;tag=x\r\nTo: <sip:%[2]s@example.com>\r\nCall-ID: %06[4]d\r\nCSeq: 1 %[1]s\r\n"+
			"Event: presence\r\nContact: <sip:x@%[3]s>\r\nExpires: 600\r\nContent-Length: 0\r\n\r\n", method, user, c.LocalAddr(), i)
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(patience))
		n, err := c.Read(buf)
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		got := string(buf[:n])
		if !strings.HasPrefix(got, "SIP/2.0 401 ") {
			t.Fatalf("request %d got %q", i, got)
		}
		if sizes[method] == 0 {
			sizes[method] = len(got)
		}
		if len(got) != sizes[method] {
			t.Fatalf("%s of %s: %d bytes, not %d: known and unknown users differ: %q", method, user, len(got), sizes[method], got)
		}
	}
	for _, name := range []string{"tacit_transactions", "tacit_subscriptions", "tacit_notify_sent_total", "tacit_published_total"} {
		if n := s.metric(name); n != 0 {
			t.Errorf("%s is %v", name, n)
		}
	}
	if n := s.metric("tacit_challenged_total"); n != requests {
		t.Errorf("%v challenges for %d requests", n, requests)
	}
	s.healthy()
	s.small()
	s.stop()
}
