package client

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/sip"
)

func TestPublishLife(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, nil)
			c := f.dial(Config{Transport: transport, AssertedIdentity: "sip:alice@example.com"})
			ctx := t.Context()
			p, err := c.Publish(ctx, "<one/>", PIDFType, 100*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if p.EntityTag() != "tag1" || p.Expires() != 100*time.Second {
				t.Errorf("got %s, %s", p.EntityTag(), p.Expires())
			}
			for _, step := range []error{p.Modify(ctx, "<two/>"), p.Refresh(ctx), p.Remove(ctx), p.Remove(ctx)} {
				if step != nil {
					t.Fatal(step)
				}
			}
			want := []struct{ match, expires, body string }{
				{"", "100", "<one/>"}, {"tag1", "100", "<two/>"}, {"tag2", "100", ""}, {"tag3", "0", ""},
			}
			got := f.seen(sip.MethodPublish)
			if len(got) != len(want) {
				t.Fatalf("%d PUBLISHes, want %d", len(got), len(want))
			}
			for i, w := range want {
				m := got[i]
				match, _ := m.Get(sip.HeaderSIPIfMatch)
				expires, _ := m.Get(sip.HeaderExpires)
				if match != w.match || expires != w.expires || m.Body != w.body {
					t.Errorf("PUBLISH %d: If-Match %q Expires %q body %q, want %v", i, match, expires, m.Body, w)
				}
				if m.CSeq.Seq != uint32(i+1) || m.RequestURI != "sip:alice@example.com" {
					t.Errorf("PUBLISH %d: CSeq %d to %s", i, m.CSeq.Seq, m.RequestURI)
				}
				if id, _ := m.Get(sip.HeaderPAssertedIdentity); id != "<sip:alice@example.com>" {
					t.Errorf("P-Asserted-Identity %q", id)
				}
			}
			if p.EntityTag() != "" {
				t.Error("an entity-tag is left after Remove")
			}
		})
	}
}

func TestPublishAnewAfter412(t *testing.T) {
	t.Parallel()
	f := newFake(t, func(m *sip.Message, _ *peer) (sip.Reply, bool) {
		match, _ := m.Get(sip.HeaderSIPIfMatch)
		return sip.Reply{Status: 412}, match == "tag1"
	})
	c := f.dial(Config{})
	p, err := c.Publish(t.Context(), "<one/>", PIDFType, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := f.seen(sip.MethodPublish)
	if len(got) != 3 || got[2].Body != "<one/>" || p.EntityTag() != "tag2" {
		t.Errorf("%d PUBLISHes, tag %s", len(got), p.EntityTag())
	}
}

func TestPublishTooBrief(t *testing.T) {
	t.Parallel()
	f := newFake(t, func(m *sip.Message, _ *peer) (sip.Reply, bool) {
		expires, _ := m.Get(sip.HeaderExpires)
		return sip.Reply{Status: 423, Headers: []sip.Header{{ID: sip.HeaderMinExpires, Value: "60"}}}, expires == "5"
	})
	p, err := f.dial(Config{}).Publish(t.Context(), "<one/>", PIDFType, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if p.Expires() != time.Minute {
		t.Errorf("granted %s", p.Expires())
	}
}

func TestRefusalSaysWhatToDo(t *testing.T) {
	t.Parallel()
	f := newFake(t, func(m *sip.Message, _ *peer) (sip.Reply, bool) {
		return sip.Reply{Status: 489, Headers: []sip.Header{{ID: sip.HeaderAllowEvents, Value: "dialog"}}}, true
	})
	_, err := f.dial(Config{}).Publish(t.Context(), "<one/>", PIDFType, 0)
	e, ok := errors.AsType[*ResponseError](err)
	if !ok || e.Status != 489 || !strings.Contains(err.Error(), "it knows dialog") {
		t.Errorf("got %v", err)
	}
}

func TestKeepRefreshesAndRemoves(t *testing.T) {
	t.Parallel()
	var busy atomic.Bool
	f := newFake(t, func(m *sip.Message, _ *peer) (sip.Reply, bool) {
		if match, _ := m.Get(sip.HeaderSIPIfMatch); match == "tag2" && busy.CompareAndSwap(false, true) {
			return sip.Reply{Status: 503, Headers: []sip.Header{{ID: sip.HeaderRetryAfter, Value: "1 (busy)"}}}, true
		}
		return sip.Reply{}, false
	})
	p, err := f.dial(Config{}).Publish(t.Context(), "<one/>", PIDFType, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	kept := make(chan error, 1)
	go func() { kept <- p.Keep(ctx) }()
	eventually(t, "a refresh after the 503", func() bool { return len(f.seen(sip.MethodPublish)) >= 4 })
	cancel()
	if err := <-kept; err != nil {
		t.Error(err)
	}
	got := f.seen(sip.MethodPublish)
	if expires, _ := got[len(got)-1].Get(sip.HeaderExpires); expires != "0" {
		t.Errorf("the last PUBLISH has Expires %s", expires)
	}
}

func TestKeepEndsOnRefusal(t *testing.T) {
	t.Parallel()
	f := newFake(t, func(m *sip.Message, _ *peer) (sip.Reply, bool) {
		_, refresh := m.Get(sip.HeaderSIPIfMatch)
		return sip.Reply{Status: 403}, refresh
	})
	p, err := f.dial(Config{}).Publish(t.Context(), "<one/>", PIDFType, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if e, ok := errors.AsType[*ResponseError](p.Keep(t.Context())); !ok || e.Status != 403 {
		t.Errorf("got %v", e)
	}
}

func TestRetransmission(t *testing.T) {
	t.Parallel()
	var count atomic.Int32
	f := newFake(t, func(*sip.Message, *peer) (sip.Reply, bool) { return silence, count.Add(1) <= 2 })
	if err := f.dial(Config{}).Register(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	got := f.seen(sip.MethodRegister)
	if len(got) != 3 || got[0].TopVia.Branch != got[2].TopVia.Branch {
		t.Errorf("%d REGISTERs", len(got))
	}
	if contact, _ := got[0].Get(sip.HeaderContact); !strings.Contains(contact, ";transport=udp>;expires=3600") {
		t.Errorf("Contact %s", contact)
	}
}

func TestNothingListens(t *testing.T) {
	t.Parallel()
	const addr = "127.0.0.77:9" // no other test is on this address
	c, err := Dial(t.Context(), Config{Server: addr, User: "alice@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.Unregister(t.Context()); !errors.Is(err, ErrConnection) || !strings.Contains(err.Error(), "nothing listens") {
		t.Errorf("got %v", err)
	}
	if _, err := Dial(t.Context(), Config{Server: addr, User: "alice@example.com", Transport: "tcp"}); !errors.Is(err, ErrConnection) {
		t.Errorf("got %v", err)
	}
}

func TestNoAnswer(t *testing.T) {
	t.Parallel()
	f := newFake(t, func(*sip.Message, *peer) (sip.Reply, bool) { return silence, true })
	c := f.dial(Config{Timeout: 100 * time.Millisecond})
	if err := c.Register(t.Context(), time.Hour); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Register(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	_ = c.Close()
	if err := c.Register(t.Context(), time.Hour); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestRefusedDocumentSaysWhy(t *testing.T) {
	t.Parallel()
	f := newFake(t, func(m *sip.Message, p *peer) (sip.Reply, bool) {
		return sip.Reply{Status: 400, Reason: "Bad Presence Document", ToTag: "f", Headers: []sip.Header{
			{ID: sip.HeaderWarning, Value: `399 h "two roots"`},
		}}, m.Method == sip.MethodPublish
	})
	_, err := f.dial(Config{}).Publish(t.Context(), "<a/>", PIDFType, time.Minute)
	if err == nil || !strings.HasSuffix(err.Error(), `400 Bad Presence Document: the server warns: 399 h "two roots"`) {
		t.Errorf("got %v", err)
	}
}
