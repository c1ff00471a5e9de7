package peertest

import (
	"strings"
	"testing"
)

// TestPhone walks the main path over each transport with the phone that the
// other tests rely on.
func TestPhone(t *testing.T) {
	t.Parallel()
	s := serve(t, users...)
	for _, transport := range []string{"udp", "tcp", "tls"} {
		t.Run(transport, func(t *testing.T) {
			alice, bob := newPhone(t, s, "alice", transport), newPhone(t, s, "bob", transport)
			if m := alice.ask(200, alice.register(600)); !strings.Contains(strings.Join(m.all("Contact"), " "), "<"+alice.contact+">") {
				t.Errorf("bound to %q", m.all("Contact"))
			}
			d := bob.subscribe("alice", "")
			bob.wantNotify(0, "active;expires=", "closed")

			tag := alice.ask(200, alice.publication("", pidf("alice", "open", "one"), 600)).get("SIP-ETag")
			bob.wantNotify(0, "active", "one")
			refreshed := alice.ask(200, alice.publication(tag, "", 600)).get("SIP-ETag")
			if refreshed == tag {
				t.Error("RFC 3903, 6: a refresh gives a new entity-tag")
			}
			alice.ask(412, alice.publication(tag, "", 600))
			tag = alice.ask(200, alice.publication(refreshed, pidf("alice", "open", "two"), 600)).get("SIP-ETag")
			bob.wantNotify(0, "active", "two")

			mark := len(bob.notified())
			if m, err := bob.do(bob.again(d, 600), patience); err != nil || m.status() != 200 {
				t.Fatalf("refresh: %v %s", err, m.first)
			}
			bob.wantNotify(mark, "active", "two")
			alice.ask(200, alice.publication(tag, "", 0))
			bob.wantNotify(mark, "active", "closed")
			if m, err := bob.do(bob.again(d, 0), patience); err != nil || m.status() != 200 {
				t.Fatalf("unsubscribe: %v %s", err, m.first)
			}
			bob.wantNotify(mark, "terminated;reason=timeout", "")
		})
	}
	s.healthy()
	s.stop()
}
