package shard

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tacit-presence/tacit/sip"
)

// A run is what one flow gets in requests of one size; whatever else there is
// ends it, and none is lost, doubled or put in another order.
func TestRuns(t *testing.T) {
	t.Parallel()
	proxy := sip.Flow{Transport: sip.TransportUDP, Remote: netip.MustParseAddrPort("127.0.0.1:5080")}
	other := sip.Flow{Transport: sip.TransportUDP, Remote: netip.MustParseAddrPort("127.0.0.1:5081")}
	stream := sip.Flow{Transport: sip.TransportTCP, Remote: netip.MustParseAddrPort("127.0.0.1:5080"), Conn: 1}
	type message struct {
		text   string
		flow   sip.Flow
		answer bool
	}
	messages := []message{
		{"200", proxy, true},
		{"aaa", proxy, false}, {"bbb", proxy, false}, {"c", proxy, false}, // the last one may be shorter
		{"ddd", proxy, false}, {"eeee", proxy, false}, // and none longer
		{"ffff", other, false}, {"gggg", proxy, false}, {"hhhh", proxy, false},
		{"iiii", proxy, true},
		{"jjjj", stream, false}, {"kkkk", stream, false},
	}
	send := func(s *setup, outcome Outcome) []string {
		s.sender.set(outcome)
		s.Submit(Event{Kind: Call, Do: func(_ Machine, _ time.Time, out *Batch) {
			for _, m := range messages {
				out.Add(Send{Flow: m.flow, Answer: m.answer}, append(out.Buffer(), m.text...))
			}
		}})
		synctest.Wait()
		return s.sender.all()
	}
	bubble(t, 1, func(t *testing.T, s *setup) {
		want := []string{"200", "3:aaabbbc", "ddd", "eeee", "ffff", "4:gggghhhh", "iiii", "jjjj", "kkkk"}
		if got := send(s, Sent); !slices.Equal(got, want) {
			t.Errorf("sent %q, want %q", got, want)
		}
	})
	bubble(t, 1, func(t *testing.T, s *setup) {
		var want []string
		for _, m := range messages {
			want = append(want, m.text)
		}
		if got := send(s, Oversize); !slices.Equal(got, want) {
			t.Errorf("one by one %q, want %q", got, want)
		}
	})
}

// A run is no longer than one system call takes.
func TestRunIsBounded(t *testing.T) {
	t.Parallel()
	for _, size := range []int{100, 1500, 40000} {
		b := new(Batch)
		for range 200 {
			b.Add(Send{Flow: sip.Flow{Transport: sip.TransportUDP}}, append(b.Buffer(), make([]byte, size)...))
		}
		for i := 0; i < 200; {
			end := b.run(i)
			if n := len(b.messages(i, end)); end <= i || end-i > maxRun || n > maxRunBytes || n != (end-i)*size {
				t.Fatalf("size %d: a run of %d, %d bytes", size, end-i, n)
			}
			i = end
		}
	}
}
