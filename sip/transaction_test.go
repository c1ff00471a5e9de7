package sip

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

var epoch = time.Unix(1_000_000_000, 0)

// lifetime is 64*T1 of the default timers.
const lifetime = 32 * time.Second

func TestServerTable(t *testing.T) {
	t.Parallel()
	table := NewServerTable(100, DefaultTimers)
	m := parsed(t, samplePublish)
	want := func(at time.Duration, verdict Verdict, response string) TxKey {
		t.Helper()
		k, v, r := table.Lookup(m, epoch.Add(at))
		if v != verdict || string(r) != response {
			t.Fatalf("at %v: verdict %d %q, want %d %q", at, v, r, verdict, response)
		}
		return k
	}
	k := want(0, Fresh, "")
	if !table.Begin(k, epoch) || table.Begin(k, epoch) {
		t.Fatal("Begin must succeed once")
	}
	want(time.Second, InWork, "")
	response := []byte("SIP/2.0 200 OK")
	table.Answer(k, response, false, epoch.Add(2*time.Second))
	response[0] = 'X'
	want(3*time.Second, Answered, "SIP/2.0 200 OK")
	// Timer J counts from the answer.
	want(2*time.Second+lifetime-1, Answered, "SIP/2.0 200 OK")
	want(2*time.Second+lifetime, Fresh, "")
	if !table.Begin(k, epoch.Add(time.Minute)) || table.Len() != 1 {
		t.Fatalf("not begun anew, %d entries", table.Len())
	}
	// What is never answered goes too.
	want(time.Minute+lifetime-1, InWork, "")
	want(time.Minute+lifetime, Fresh, "")
	// Over a reliable transport nothing is kept.
	table.Answer(k, response, true, epoch.Add(time.Minute))
	want(time.Minute, Fresh, "")
	if table.Len() != 0 {
		t.Fatalf("%d entries left", table.Len())
	}
}

func TestTransactionKey(t *testing.T) {
	t.Parallel()
	table := NewServerTable(100, DefaultTimers)
	key := func(raw string) TxKey {
		k, _, _ := table.Lookup(parsed(t, raw), epoch)
		return k
	}
	const cookie, old = "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx", "Via: SIP/2.0/UDP 192.0.2.1;branch=x"
	same := [][2]string{
		{with(cookie), with(cookie)},
		{with(cookie), with(cookie + ";rport;x=y")},
		{with(cookie), strings.Replace(with(cookie), "sip:example.com", "sip:example.org", 1)},
		{with(cookie), with(strings.Replace(cookie, "UDP ", "udp  ", 1))},
		{with(old), with(old)},
	}
	for _, c := range same {
		if key(c[0]) != key(c[1]) {
			t.Errorf("different keys:\n%s\n%s", c[0], c[1])
		}
	}
	differ := [][2]string{
		{with(cookie), with(cookie + "y")},
		{with(cookie), with(strings.Replace(cookie, ".1;", ".2;", 1))},
		{with(cookie), with(strings.Replace(cookie, ".1;", ".1:5070;", 1))},
		{with(cookie), strings.ReplaceAll(with(cookie), "OPTIONS", "PUBLISH")},
		{with(cookie), with(cookie, "CSeq: 2 OPTIONS")},
		{with(cookie), with(cookie, "Authorization: Digest a=b")},
		{with(old), with(old, "To: <sip:b@example.com>;tag=1")},
		{with(old), strings.Replace(with(old), "sip:example.com", "sip:example.org", 1)},
		{with(old), with(old + ";y")},
		{with("Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK"), strings.Replace(with("Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK"), "sip:example.com", "sip:example.org", 1)},
	}
	for _, c := range differ {
		if key(c[0]) == key(c[1]) {
			t.Errorf("same key:\n%s\n%s", c[0], c[1])
		}
	}
}

func numbered(t testing.TB, i int) *Message {
	return parsed(t, with(fmt.Sprintf("CSeq: %d OPTIONS", i)))
}

func TestServerTableBound(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{-1, 1, 10, 5000} {
		table := NewServerTable(limit, DefaultTimers)
		n := max(3*limit, 10)
		for i := range n {
			k, v, _ := table.Lookup(numbered(t, i), epoch)
			if v != Fresh || !table.Begin(k, epoch) {
				t.Fatalf("limit %d: %d not fresh", limit, i)
			}
			if i%2 == 0 {
				table.Answer(k, []byte("x"), false, epoch)
			}
			if table.Len() > max(limit, 1) {
				t.Fatalf("limit %d: holds %d", limit, table.Len())
			}
		}
		if _, v, _ := table.Lookup(numbered(t, n-1), epoch); v == Fresh {
			t.Errorf("limit %d: the newest is gone", limit)
		}
		if _, v, _ := table.Lookup(numbered(t, 0), epoch); v != Fresh {
			t.Errorf("limit %d: the oldest is still there", limit)
		}
		if k, _, _ := table.Lookup(numbered(t, n), epoch); !table.Begin(k, epoch.Add(time.Hour)) || limit <= 10 && table.Len() != 1 {
			t.Errorf("limit %d: %d left after an hour", limit, table.Len())
		}
	}
}

func TestServerTableConcurrent(t *testing.T) {
	t.Parallel()
	table := NewServerTable(1000, DefaultTimers)
	var wg sync.WaitGroup
	var mu sync.Mutex
	begun := 0
	for range 4 {
		wg.Go(func() {
			for i := range 500 {
				k, _, _ := table.Lookup(numbered(t, i), epoch)
				if table.Begin(k, epoch) {
					mu.Lock()
					begun++
					mu.Unlock()
				}
				table.Answer(k, []byte("x"), false, epoch)
			}
		})
	}
	wg.Wait()
	if begun != 500 || table.Len() != 500 {
		t.Errorf("%d begun, %d held, want 500", begun, table.Len())
	}
}

func TestClientTx(t *testing.T) {
	t.Parallel()
	run := func(reliable bool, provisional time.Duration) (sent []time.Duration, end time.Duration) {
		var c ClientTx
		c.Start(epoch, reliable, DefaultTimers)
		for {
			now := c.Next
			if provisional > 0 && now.Sub(epoch) > provisional {
				c.Provisional(epoch.Add(provisional), DefaultTimers)
				provisional = 0
			}
			if a := c.Tick(now.Add(-1), DefaultTimers); a != ClientNothing {
				t.Fatalf("%d before the deadline", a)
			}
			switch c.Tick(now, DefaultTimers) {
			case ClientRetransmit:
				sent = append(sent, now.Sub(epoch))
			case ClientTimeout:
				if !c.Next.IsZero() || c.Tick(now.Add(time.Hour), DefaultTimers) != ClientNothing {
					t.Fatal("a deadline after timer F")
				}
				return sent, now.Sub(epoch)
			default:
				t.Fatal("nothing at the deadline")
			}
		}
	}
	// RFC 3261, 17.1.2.2: 500 ms, 1 s, 2 s, 4 s, 4 s... until 64*T1.
	sent, end := run(false, 0)
	if got, want := fmt.Sprint(sent), "[500ms 1.5s 3.5s 7.5s 11.5s 15.5s 19.5s 23.5s 27.5s 31.5s]"; got != want || end != lifetime {
		t.Errorf("%s until %v, want %s", got, end, want)
	}
	sent, end = run(false, time.Second)
	if got, want := fmt.Sprint(sent), "[500ms 1.5s 5.5s 9.5s 13.5s 17.5s 21.5s 25.5s 29.5s]"; got != want || end != lifetime {
		t.Errorf("after a provisional response %s until %v, want %s", got, end, want)
	}
	if sent, end = run(true, time.Second); len(sent) != 0 || end != lifetime {
		t.Errorf("reliable: %v until %v", sent, end)
	}
}
