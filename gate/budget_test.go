package gate

import (
	"net/netip"
	"testing"
	"time"
)

func TestBudget(t *testing.T) {
	t.Parallel()
	var p purses
	now := time.Unix(1_000_000, 0)
	b := Budget{Burst: 3, PerMinute: 6}
	bob, carol := spender{who: "sip:bob@example.com"}, spender{who: "sip:carol@example.com"}
	for i := range 5 {
		if wait := p.spend(bob, b, now); (wait > 0) != (i >= 3) || wait > 10*time.Second {
			t.Errorf("%d: %v", i, wait)
		}
	}
	if p.spend(carol, b, now) != 0 || p.spend(spender{who: bob.who, fetch: true}, b, now) != 0 {
		t.Error("one pays for another")
	}
	if p.spend(bob, b, now.Add(9*time.Second)) == 0 || p.spend(bob, b, now.Add(10*time.Second)) != 0 {
		t.Error("the purse is not refilled every 10 s")
	}
	if p.spend(bob, Budget{}, now) != 0 {
		t.Error("no budget is a limit")
	}
	// An hour later everything is there again, and no more than that.
	spent := 0
	for range 10 {
		if p.spend(bob, b, now.Add(time.Hour)) == 0 {
			spent++
		}
	}
	if spent != 3 {
		t.Errorf("%d at once", spent)
	}
}

func TestPursesAreBounded(t *testing.T) {
	t.Parallel()
	var p purses
	b := Budget{Burst: 2, PerMinute: 1}
	now := time.Unix(1_000_000, 0)
	for i := range maxSpenders + 10 {
		p.spend(spender{from: netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})}, b, now)
	}
	if len(p.by) > maxSpenders {
		t.Errorf("%d are remembered", len(p.by))
	}
}

// TestSenderNetwork: who owns a /64 has no more purses than who owns an address.
func TestSenderNetwork(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1",
		"2001:db8::1": "2001:db8::", "2001:db8:0:0:1::1": "2001:db8::", "fe80::1%eth0": "fe80::",
	} {
		if got := network(netip.MustParseAddr(addr)); got.String() != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
}
