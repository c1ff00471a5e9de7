package client

import (
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/sip"
)

func TestSubscriptionLife(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, nil)
			c := f.dial(Config{Transport: transport})
			s, err := c.Subscribe(t.Context(), "bob@example.com", SubscribeOptions{EventID: "7"})
			if err != nil {
				t.Fatal(err)
			}
			n := next(t, s)
			if n.State != StateActive || n.Expires != time.Hour || n.ContentType != PIDFType || !strings.Contains(n.Body, "first") {
				t.Errorf("got %+v", n)
			}
			if status := f.answer(); status != 200 {
				t.Errorf("NOTIFY was answered %d", status)
			}
			f.notify(f.only(), "pending", "")
			if n := next(t, s); n.State != StatePending || n.Body != "" || n.CSeq != 2 {
				t.Errorf("got %+v", n)
			}
			if err := s.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			next(t, s)
			if err := s.Unsubscribe(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := next(t, s); n.State != StateTerminated || n.Reason != "timeout" {
				t.Errorf("got %+v", n)
			}
			if _, open := <-s.Notifications(); open || s.Err() != nil {
				t.Errorf("not ended: %v", s.Err())
			}
			got := f.seen(sip.MethodSubscribe)
			if len(got) != 3 {
				t.Fatalf("%d SUBSCRIBEs", len(got))
			}
			first, refresh := got[0], got[1]
			contact, _ := first.Get(sip.HeaderContact)
			event, _ := first.Get(sip.HeaderEvent)
			accept, _ := first.Get(sip.HeaderAccept)
			if first.RequestURI != "sip:bob@example.com" || event != "presence;id=7" || accept != PIDFType ||
				!strings.Contains(contact, ";transport="+transport+">") || !first.TopVia.HasRPort {
				t.Errorf("SUBSCRIBE %s, Event %s, Accept %s, Contact %s", first.RequestURI, event, accept, contact)
			}
			if refresh.RequestURI != "sip:agent@"+f.addr.String() || refresh.To.Tag() != "fake" ||
				refresh.CallID != first.CallID || refresh.From.Tag() != first.From.Tag() || refresh.CSeq.Seq != first.CSeq.Seq+1 {
				t.Error("the refresh is not in the dialog")
			}
		})
	}
}

func TestRouteSet(t *testing.T) {
	t.Parallel()
	f := newFake(t, func(m *sip.Message, p *peer) (sip.Reply, bool) {
		expires, _ := m.Get(sip.HeaderExpires)
		return sip.Reply{Status: 202, Headers: []sip.Header{
			{ID: sip.HeaderRecordRoute, Value: "<sip:second.example.com;lr>, <sip:first.example.com;lr>"},
			{ID: sip.HeaderContact, Value: "<sip:agent@192.0.2.1>"}, {ID: sip.HeaderExpires, Value: expires},
		}}, m.Method == sip.MethodSubscribe
	})
	s, err := f.dial(Config{}).Subscribe(t.Context(), "sip:bob@example.com", SubscribeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	refresh := f.seen(sip.MethodSubscribe)[1]
	var routes []string
	for r := range refresh.Values(sip.HeaderRoute) {
		routes = append(routes, r)
	}
	if refresh.RequestURI != "sip:agent@192.0.2.1" || strings.Join(routes, " ") != "<sip:first.example.com;lr> <sip:second.example.com;lr>" {
		t.Errorf("to %s by %s", refresh.RequestURI, routes)
	}
}

func TestNotifyBeforeAnswer(t *testing.T) {
	t.Parallel()
	f := newFake(t, func(m *sip.Message, p *peer) (sip.Reply, bool) {
		if m.Method == sip.MethodSubscribe {
			p.fake.subscribed(m, p)
			p.fake.respond(m, p, p.fake.behave(m))
			return silence, true
		}
		return sip.Reply{}, false
	})
	s, err := f.dial(Config{}).Subscribe(t.Context(), "sip:bob@example.com", SubscribeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if n := next(t, s); n.CSeq != 1 {
		t.Errorf("got %+v", n)
	}
}

func TestNotifyChecks(t *testing.T) {
	t.Parallel()
	f := newFake(t, nil)
	c := f.dial(Config{})
	s, err := c.Subscribe(t.Context(), "sip:bob@example.com", SubscribeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	next(t, s)
	f.answer()
	sub := f.only()
	expect := func(what string, want int, raw []byte) {
		t.Helper()
		sub.peer.send(raw)
		if got := f.answer(); got != want {
			t.Errorf("%s: answered %d, want %d", what, got, want)
		}
	}
	second := f.buildNotify(sub, 7, "b", "active", "seven")
	expect("new", 200, second)
	expect("repeated", 200, second)
	expect("same number, other branch", 200, f.buildNotify(sub, 7, "c", "active", "seven"))
	expect("lower number", 500, f.buildNotify(sub, 6, "d", "active", "six"))
	stranger := *sub
	stranger.dialog.CallID = "other"
	expect("unknown dialog", 481, f.buildNotify(&stranger, 8, "e", "active", "x"))
	stranger = *sub
	stranger.dialog.RemoteTag = "other"
	expect("unknown tag", 481, f.buildNotify(&stranger, 8, "f", "active", "x"))
	stranger = *sub
	stranger.event = "presence;id=1"
	expect("other event", 481, f.buildNotify(&stranger, 8, "g", "active", "x"))
	stateless := strings.Replace(string(f.buildNotify(sub, 8, "h", "active", "x")), "Subscription-State", "X", 1)
	expect("without Subscription-State", 400, []byte(stateless))
	last := f.buildNotify(sub, 9, "i", "terminated;reason=rejected", "")
	expect("last", 200, last)
	expect("last, repeated", 200, last)
	expect("after the last", 481, f.buildNotify(sub, 10, "j", "active", "ten"))

	if n := next(t, s); n.Body != "seven" {
		t.Errorf("got %+v", n)
	}
	if n := next(t, s); n.State != StateTerminated || n.Reason != "rejected" {
		t.Errorf("got %+v", n)
	}
	if _, open := <-s.Notifications(); open {
		t.Error("more notifications")
	}
	options := strings.Replace(string(f.buildNotify(sub, 1, "k", "active", "")), "NOTIFY", "OPTIONS", 2)
	expect("OPTIONS", 200, []byte(strings.Replace(options, "1 NOTIFY", "1 OPTIONS", 1)))
	message := strings.ReplaceAll(string(f.buildNotify(sub, 1, "l", "active", "")), "NOTIFY", "MESSAGE")
	expect("MESSAGE", 405, []byte(message))
}

func TestRefreshInTime(t *testing.T) {
	t.Parallel()
	f := newFake(t, nil)
	if _, err := f.dial(Config{}).Subscribe(t.Context(), "sip:bob@example.com", SubscribeOptions{Expires: time.Second}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "two refreshes", func() bool { return len(f.seen(sip.MethodSubscribe)) >= 3 })
	f.only()
}

func TestRefusedSubscription(t *testing.T) {
	t.Parallel()
	f := newFake(t, func(*sip.Message, *peer) (sip.Reply, bool) { return sip.Reply{Status: 403}, true })
	c := f.dial(Config{})
	_, err := c.Subscribe(t.Context(), "sip:bob@example.com", SubscribeOptions{Persist: true})
	if e, ok := errors.AsType[*ResponseError](err); !ok || e.Status != 403 {
		t.Errorf("got %v", err)
	}
	if _, err := c.Fetch(t.Context(), "not an address"); !errors.Is(err, ErrConfig) {
		t.Errorf("got %v", err)
	}
}

func TestPersist(t *testing.T) {
	t.Parallel()
	f := newFake(t, nil)
	s, err := f.dial(Config{}).Subscribe(t.Context(), "sip:bob@example.com", SubscribeOptions{Persist: true})
	if err != nil {
		t.Fatal(err)
	}
	next(t, s)
	f.notify(f.only(), "terminated;reason=deactivated", "")
	if n := next(t, s); n.State != StateTerminated {
		t.Errorf("got %+v", n)
	}
	if n := next(t, s); n.State != StateActive {
		t.Errorf("got %+v", n)
	}
	got := f.seen(sip.MethodSubscribe)
	if len(got) != 2 || got[0].CallID == got[1].CallID || got[1].To.Tag() != "" {
		t.Error("no new subscription")
	}
}

func TestConnectionLost(t *testing.T) {
	t.Parallel()
	var forgotten atomic.Bool
	f := newFake(t, func(m *sip.Message, _ *peer) (sip.Reply, bool) {
		return sip.Reply{Status: 481}, forgotten.Load() && m.To.Tag() != ""
	})
	s, err := f.dial(Config{Transport: "tcp"}).Subscribe(t.Context(), "sip:bob@example.com", SubscribeOptions{Persist: true})
	if err != nil {
		t.Fatal(err)
	}
	next(t, s)
	f.dropConnections()
	if n := next(t, s); n.State != StateActive || n.CSeq != 2 {
		t.Errorf("got %+v", n)
	}
	got := f.seen(sip.MethodSubscribe)
	if len(got) != 2 || got[0].CallID != got[1].CallID || got[1].To.Tag() != "fake" {
		t.Error("the dialog was not kept")
	}

	forgotten.Store(true) // and so does a server that has lost its state
	f.dropConnections()
	if n := next(t, s); n.State != StateActive || n.CSeq != 1 {
		t.Errorf("got %+v", n)
	}
}

// TestServerReturns stops the server's listener for a while.
func TestServerReturns(t *testing.T) {
	t.Parallel()
	f := newFake(t, nil)
	s, err := f.dial(Config{Transport: "tcp"}).Subscribe(t.Context(), "sip:bob@example.com", SubscribeOptions{Persist: true})
	if err != nil {
		t.Fatal(err)
	}
	next(t, s)
	_ = f.tcp.Close()
	f.dropConnections()
	time.Sleep(100 * time.Millisecond) // some attempts fail
	if f.tcp, err = net.Listen("tcp", f.addr.String()); err != nil {
		t.Fatal(err)
	}
	go f.accept(f.tcp)
	if n := next(t, s); n.State != StateActive {
		t.Errorf("got %+v", n)
	}
}

func TestFetch(t *testing.T) {
	t.Parallel()
	f := newFake(t, nil)
	n, err := f.dial(Config{}).Fetch(t.Context(), "sip:bob@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if p, err := ParsePIDF(n.Body); err != nil || n.State != StateTerminated || p.Status != StatusOpen {
		t.Errorf("got %+v, %v", n, err)
	}
}

func TestFetchAnswersBeforeItReturns(t *testing.T) {
	t.Parallel()
	f := newFake(t, nil)
	for range 50 { // who fetches once closes at once
		c := f.dial(Config{Transport: "tcp"})
		if _, err := c.Fetch(t.Context(), "sip:bob@example.com"); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		f.answer()
	}
}

func TestSlowReaderLosesTheOldest(t *testing.T) {
	t.Parallel()
	f := newFake(t, nil)
	s, err := f.dial(Config{}).Subscribe(t.Context(), "sip:bob@example.com", SubscribeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f.answer()
	for range queueLength + 5 {
		f.notify(f.only(), "active", "x")
		f.answer()
	}
	if n := next(t, s); n.CSeq != 7 {
		t.Errorf("the oldest is %d", n.CSeq)
	}
}
