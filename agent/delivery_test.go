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

// What fits no datagram is not repeated, ends nothing, and is not tried again
// before there is something else to tell.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.mute = true
	r.subscribe("bob", "Expires: 600\n")
	r.respond(r.notifies[0], "200 OK")
	r.publish("one", "")
	tag := r.sends[0].Dialog
	large := shard.Event{Kind: shard.TooLarge, Flow: r.flow, Dialog: tag}
	r.event(large)
	r.event(large) // once is enough
	r.event(shard.Event{Kind: shard.TooLarge, Flow: r.flow})
	if n := r.cfg.Notifier.Counters.TooLarge.Load(); n != 1 {
		t.Errorf("%d counted", n)
	}
	if got := r.tick(5 * time.Minute); len(got) != 0 {
		t.Errorf("repeated: %v", got)
	}
	if n := r.cfg.Notifier.Counters.Subscriptions.Load(); n != 1 {
		t.Fatalf("%d subscriptions", n)
	}
	r.publish("two", "")
	if len(r.notifies) != 1 || !strings.Contains(r.notifies[0].Body, "two") {
		t.Fatalf("%v", r.notifies)
	}
	// The end is told even if the state does not fit.
	r.event(large)
	got := r.tick(5 * time.Minute)
	if len(got) != 1 || state(got[0]) != "terminated;reason=timeout" || got[0].Body == "" {
		t.Fatalf("%v", got)
	}
	r.event(large)
	if len(r.notifies) != 1 || state(r.notifies[0]) != "terminated;reason=timeout" || r.notifies[0].Body != "" {
		t.Errorf("%v", r.notifies)
	}
	r.event(large)
	if got := r.tick(time.Minute); len(got) != 0 || r.records(notifier.KeyKind) != 0 {
		t.Errorf("%v", got)
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
	r.presence.compact(r.people[alice])
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
		"another contact":   {Who: back.Who, Flow: back.Flow, Contact: "sip:bob@198.51.100.2"},
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

// device subscribes bob by TCP from a connection, with a Contact value; c makes
// the Call-ID.
func (r *rig) device(conn uint64, c, contact string) (tag [12]byte) {
	r.t.Helper()
	r.flow.Transport, r.flow.Conn = sip.TransportTCP, conn
	r.request("SUBSCRIBE", "bob", "Event: presence;id="+c+"\nContact: "+contact+"\n", "")
	if len(r.sends) != 1 {
		r.t.Fatalf("%+v", r.sends)
	}
	return r.sends[0].Dialog
}

// A watcher that comes back from another port gets what is its device's, and
// never what may be another's.
func TestFlowSeenFromAnotherPort(t *testing.T) {
	t.Parallel()
	const (
		a    = "<sip:bob@198.51.100.1:40001;transport=tcp>"
		b    = "<sip:bob@198.51.100.1:40002;transport=tcp>"
		back = "<sip:bob@198.51.100.1:40009;transport=tcp>"
		one  = ";+sip.instance=\"<urn:uuid:1>\""
		two  = ";+sip.instance=\"<urn:uuid:2>\""
	)
	for name, c := range map[string]struct {
		subs []string // Contacts, each on a connection of its own
		gone int      // how many of the connections are gone
		// restart is of the server: all connections are gone.
		restart bool
		seen    string
		source  string
		want    int // of them get the new connection
	}{
		"the only device":                   {subs: []string{a}, gone: 1, seen: back, want: 1},
		"with two subscriptions":            {subs: []string{a, a}, gone: 2, seen: back, want: 2},
		"an instance the first did not say": {subs: []string{a}, gone: 1, seen: back + one, want: 1},
		"one of two devices":                {subs: []string{a, b}, gone: 2, seen: back, want: 0},
		"another device lives":              {subs: []string{a, b}, gone: 1, seen: back, want: 0},
		"another host's device lives":       {subs: []string{a, "<sip:bob@198.51.100.2:5060>"}, gone: 1, seen: back, want: 1},
		"exactly one of two":                {subs: []string{a, b}, gone: 2, seen: b, want: 1},
		"by its instance":                   {subs: []string{a + one, b + two}, gone: 2, seen: back + one, want: 1},
		"by its instance, elsewhere":        {subs: []string{a + one}, gone: 1, seen: "<sip:bob@203.0.113.5>" + one, source: "203.0.113.5:9", want: 1},
		"another instance":                  {subs: []string{a + one}, gone: 1, seen: back + two, want: 0},
		"an instance said no more":          {subs: []string{a + one}, gone: 1, seen: back, want: 0},
		"another user":                      {subs: []string{a}, gone: 1, seen: "<sip:bob2@198.51.100.1:40009>", want: 0},
		"another network":                   {subs: []string{a}, gone: 1, seen: back, source: "203.0.113.5:9", want: 0},
		"by its instance, restarted":        {subs: []string{a + one, b + two}, gone: 0, restart: true, seen: back + one, want: 1},
		"the only device, restarted":        {subs: []string{a}, gone: 0, restart: true, seen: back, want: 1},
		"no address":                        {subs: []string{a}, gone: 1, seen: "*", want: 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			for i, contact := range c.subs {
				r.device(uint64(i+1), string(rune('a'+i)), contact)
			}
			if c.restart {
				c.gone = len(c.subs)
				r.restart(nil)
			}
			for i := range c.gone {
				r.flow.Conn = uint64(i + 1)
				r.event(shard.Event{Kind: shard.FlowGone, Flow: r.flow})
			}
			r.cfg.Notifier.Waiting.Take("sip:bob@example.com")
			r.publish("one", "")
			ev := shard.Event{Kind: shard.FlowSeen, Flow: r.flow, Who: who("bob"), Contact: c.seen}
			ev.Flow.Conn = 99
			if c.source != "" {
				ev.Flow.Remote = netip.MustParseAddrPort(c.source)
			}
			r.event(ev)
			if len(r.sends) != c.want {
				t.Fatalf("%d get it, not %d", len(r.sends), c.want)
			}
			for _, s := range r.sends {
				if s.Flow != ev.Flow {
					t.Errorf("sent to %v", s.Flow)
				}
			}
			if waits := r.cfg.Notifier.Waiting.Any(); waits != (c.want < c.gone) {
				t.Errorf("waits on: %t", waits)
			}
		})
	}
}

// A device that answers 481, or nothing, to what was sent to it by a guess ends
// nothing, and the guess is not made again; the instance outlives a restart.
func TestWrongGuess(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(r *rig){
		"481":     func(r *rig) { r.respond(r.notifies[0], "481 Gone") },
		"silence": func(r *rig) { r.tick(32 * time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			r.device(1, "a", "<sip:bob@198.51.100.1:40001;transport=tcp>")
			r.event(shard.Event{Kind: shard.FlowGone, Flow: r.flow})
			r.publish("one", "")
			r.mute = true
			ev := shard.Event{Kind: shard.FlowSeen, Flow: r.flow, Who: who("bob"), Contact: "<sip:bob@198.51.100.1:40009;transport=tcp>"}
			ev.Flow.Conn = 2
			if r.event(ev); len(r.notifies) != 1 {
				t.Fatalf("%v", r.notifies)
			}
			answer(r)
			if n := r.cfg.Notifier.Counters.Subscriptions.Load(); n != 1 {
				t.Fatalf("%d subscriptions", n)
			}
			if r.event(ev); len(r.notifies) != 0 {
				t.Error("guessed again")
			}
			if r.publish("two", ""); len(r.notifies) != 0 {
				t.Error("told by the wrong connection")
			}
			ev.Contact = "<sip:bob@198.51.100.1:40001;transport=tcp>"
			ev.Flow.Conn = 3
			if r.event(ev); len(r.notifies) != 1 || !strings.Contains(r.notifies[0].Body, "two") {
				t.Fatalf("%v", r.notifies)
			}
			r.respond(r.notifies[0], "481 Gone")
			if n := r.cfg.Notifier.Counters.Subscriptions.Load(); n != 0 {
				t.Errorf("a true 481 leaves %d subscriptions", n)
			}
		})
	}
}
