package agent

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/notifier"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/sip"
)

func (r *rig) event(ev shard.Event) {
	r.t.Helper()
	ev.ID = r.cfg.ID
	r.do(func(out *shard.Batch) { r.Step(&ev, r.now, out) })
}

// RFC 3261, 17.1.2.2: after a provisional answer a NOTIFY is sent again each T2.
func TestProvisionalAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.mute = true
	r.subscribe("bob", "")
	r.respond(r.notifies[0], "100 Trying")
	if got := r.tick(499 * time.Millisecond); len(got) != 0 {
		t.Errorf("%d before timer E", len(got))
	}
	if got := r.tick(time.Millisecond); len(got) != 1 {
		t.Errorf("%d at timer E", len(got))
	}
	if got := r.tick(3999 * time.Millisecond); len(got) != 0 {
		t.Errorf("%d before T2", len(got))
	}
	if got := r.tick(time.Millisecond); len(got) != 1 {
		t.Errorf("%d at T2", len(got))
	}
}

// An answer counts for the NOTIFY it answers, and once.
func TestStrayAnswers(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.mute = true
	r.subscribe("bob", "")
	first := r.notifies[0]
	r.respond(first, "200 OK")
	r.respond(first, "481 Gone")
	r.publish("one", "")
	second := r.notifies[0]
	r.respond(first, "481 Gone")
	other := *second
	for i, h := range other.Headers {
		if h.ID == sip.HeaderVia {
			other.Headers[i].Value = strings.Replace(h.Value, "z9hG4bK"+second.From.Tag(), "z9hG4bK"+notifier.Tag{r.notifies[0].From.Tag()[0]}.String(), 1)
		}
	}
	r.respond(&other, "481 Gone")
	if n := r.cfg.Notifier.Counters.StrayResponses.Load(); n != 3 {
		t.Errorf("%d strays", n)
	}
	if n := r.cfg.Notifier.Counters.Subscriptions.Load(); n != 1 {
		t.Errorf("%d subscriptions", n)
	}
}

// A connection to a configured peer that cannot be opened is tried again later,
// and what was to be told is told then.
func TestUndialled(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.mute = true
	r.flow.Transport, r.flow.Conn = sip.TransportTCP, 5
	r.request("SUBSCRIBE", "bob", "Event: presence\nContact: <sip:bob@198.51.100.99;transport=tcp>\n", "")
	if len(r.sends) != 1 || r.sends[0].Flow.Conn != 5 || !r.sends[0].Dial {
		t.Fatalf("%+v", r.sends)
	}
	r.event(shard.Event{Kind: shard.FlowGone, Flow: r.flow})
	if len(r.sends) != 1 {
		t.Fatalf("%+v", r.sends)
	}
	dialled := r.sends[0].Flow
	if dialled.Conn != 0 || dialled.Remote != netip.MustParseAddrPort("198.51.100.99:5060") || !r.sends[0].Dial {
		t.Errorf("%+v", dialled)
	}
	r.event(shard.Event{Kind: shard.FlowGone, Flow: dialled})
	r.publish("one", "")
	if len(r.sends) != 0 {
		t.Error("dialled again at once")
	}
	if got := r.tick(29 * time.Second); len(got) != 0 {
		t.Errorf("%d too early", len(got))
	}
	got := r.tick(time.Second)
	if len(got) != 1 || !strings.Contains(got[0].Body, "one") {
		t.Errorf("%v", got)
	}
	r.respond(got[0], "200 OK")
	// The same for another address is nothing of ours.
	other := dialled
	other.Remote = netip.MustParseAddrPort("198.51.100.98:5060")
	r.event(shard.Event{Kind: shard.FlowGone, Flow: other})
	if got := r.tick(time.Minute); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

// A connection that takes no more: the newest state is told when there is room.
func TestUndelivered(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.mute = true
	r.flow.Transport, r.flow.Conn = sip.TransportTCP, 5
	r.subscribe("bob", "")
	tag := r.sends[0].Dialog
	r.event(shard.Event{Kind: shard.Undelivered, Flow: r.flow, Dialog: tag})
	r.event(shard.Event{Kind: shard.Undelivered, Flow: r.flow, Dialog: tag}) // once is enough
	r.event(shard.Event{Kind: shard.Undelivered, Flow: r.flow})
	r.publish("one", "")
	r.publish("two", "")
	if len(r.notifies) != 0 {
		t.Error("told at once")
	}
	got := r.tick(10 * time.Second)
	if len(got) != 1 || !strings.Contains(got[0].Body, "two") {
		t.Errorf("%v", got)
	}
	r.respond(got[0], "200 OK")
	if got := r.tick(time.Minute); len(got) != 0 {
		t.Errorf("and again: %v", got)
	}
}

// A final NOTIFY that was lost with its connection is sent again as it was: the
// presentity does not know its subscription any more.
func TestFinalNotifyIsSentAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.publish("one", "")
	r.flow.Transport, r.flow.Conn = sip.TransportTCP, 5
	r.mute = true
	r.request("SUBSCRIBE", "bob", "Event: presence\nContact: <sip:bob@198.51.100.99;transport=tcp>\nExpires: 10\n", "")
	r.respond(r.notifies[0], "200 OK")
	got := r.tick(10 * time.Second)
	if len(got) != 1 || state(got[0]) != "terminated;reason=timeout" || !strings.Contains(got[0].Body, "one") {
		t.Fatalf("%v", got)
	}
	// Meanwhile all classes are other ones.
	r.people[alice].compact()
	r.publish("two", "")
	r.event(shard.Event{Kind: shard.FlowGone, Flow: r.flow})
	if len(r.notifies) != 1 || r.notifies[0].Body != got[0].Body || state(r.notifies[0]) != state(got[0]) {
		t.Errorf("%v", r.notifies)
	}
	r.respond(r.notifies[0], "503 Service Unavailable")
	if got := r.tick(time.Minute); len(got) != 0 {
		t.Errorf("%v", got)
	}
	if n := r.records(notifier.KeyKind); n != 0 {
		t.Errorf("%d records", n)
	}
}

// A watcher who lost its connection and had not answered before it went, and one
// that had.
func TestFlowSeen(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.flow.Transport, r.flow.Conn = sip.TransportTCP, 5
	r.subscribe("bob", "")
	r.event(shard.Event{Kind: shard.FlowGone, Flow: r.flow})
	r.publish("one", "")
	if len(r.notifies) != 0 || !r.cfg.Notifier.Waiting.Any() {
		t.Error("who is not reached does not wait")
	}
	back := shard.Event{Kind: shard.FlowSeen, Flow: r.flow, Who: who("bob"), Contact: "sip:bob@198.51.100.1"}
	back.Flow.Conn = 6
	for name, ev := range map[string]shard.Event{
		"another's":         {Who: who("carol"), Flow: back.Flow, Contact: back.Contact},
		"another contact":   {Who: back.Who, Flow: back.Flow, Contact: "sip:bob@198.51.100.1:5099"},
		"no contact":        {Who: back.Who, Flow: back.Flow},
		"another transport": {Who: back.Who, Flow: sip.Flow{Transport: sip.TransportTLS, Conn: 7}, Contact: back.Contact},
	} {
		ev.Kind = shard.FlowSeen
		r.cfg.Notifier.Waiting.Take("sip:bob@example.com")
		if r.event(ev); len(r.notifies) != 0 {
			t.Errorf("%s: told", name)
		}
		if waits := r.cfg.Notifier.Waiting.Any(); waits != (name != "another's") {
			t.Errorf("%s: waits on: %t", name, waits)
		}
	}
	r.event(back)
	if len(r.notifies) != 1 || !strings.Contains(r.notifies[0].Body, "one") || r.sends[0].Flow != back.Flow {
		t.Errorf("%v", r.sends)
	}
	if r.publish("two", ""); len(r.notifies) != 1 {
		t.Error("not told by the new connection")
	}
}
