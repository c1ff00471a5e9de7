package gate

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/identity"
	"github.com/tacit-presence/tacit/notifier"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/store"
)

// rig is a gate between an edge and shards that only remember.
type rig struct {
	*Gate
	t      *testing.T
	who    identity.Verdict
	asked  int // how often somebody was to be identified
	events []shard.Event
	full   bool
	sent   []sentMessage
	pinned []sip.Flow
	now    time.Time
}

type sentMessage struct {
	flow sip.Flow
	text string
}

var (
	udp = sip.Flow{Transport: sip.TransportUDP, Local: netip.MustParseAddrPort("192.0.2.1:5060"), Remote: netip.MustParseAddrPort("198.51.100.7:6060")}
	tcp = sip.Flow{Transport: sip.TransportTCP, Local: udp.Local, Remote: udp.Remote, Conn: 12}
)

const (
	alice = presence.Presentity("sip:alice@example.com")
	bob   = presence.AOR("sip:bob@example.com")
)

func newRig(t *testing.T) *rig {
	t.Helper()
	users, err := identity.OpenDirectory(store.NewMemory(), []string{"example.com"})
	if err != nil {
		t.Fatal(err)
	}
	err = users.Put(identity.NewUser{Name: "alice", Password: "x", AORs: []presence.AOR{"sip:alice@example.com", "sip:al@example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, now: time.Unix(1000, 0)}
	r.who.Principal = identity.RestorePrincipal(bob, presence.MechanismDigest)
	r.Gate = New(Config{
		Identify:  func(*sip.Message, netip.AddrPort, time.Time) identity.Verdict { r.asked++; return r.who },
		Directory: users, Shards: r, Out: r, Transactions: sip.NewServerTable(100, sip.DefaultTimers),
		Waiting: new(notifier.Waiting), Accept: "application/pidf+xml", AllowEvents: "presence",
		Counters: new(Counters), Now: func() time.Time { return r.now },
	})
	return r
}

// Submit implements Shards.
func (r *rig) Submit(ev shard.Event) bool {
	if !r.full {
		r.events = append(r.events, ev)
	}
	return !r.full
}

// Send implements Out.
func (r *rig) Send(flow sip.Flow, message []byte, _, _ bool) shard.Outcome {
	r.sent = append(r.sent, sentMessage{flow, string(message)})
	return shard.Sent
}

// SendRun implements Out.
func (r *rig) SendRun(flow sip.Flow, messages []byte, size int, _ bool) bool {
	for b := range slices.Chunk(messages, size) {
		r.sent = append(r.sent, sentMessage{flow, string(b)})
	}
	return true
}

// Pin implements Out.
func (r *rig) Pin(flow sip.Flow) { r.pinned = append(r.pinned, flow) }

// text makes a request; extra lines stand before Content-Length.
func text(method, uri, extra string) string {
	return strings.ReplaceAll(method+" "+uri+" SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.7:5080;branch=z9hG4bK1\nMax-Forwards: 70\n"+
		"From: <sip:bob@example.com>;tag=f\nTo: <sip:alice@example.com>\nCall-ID: c\nCSeq: 1 "+method+"\n"+extra+"Content-Length: 0\n\n", "\n", "\r\n")
}

// receive gives the gate a message and returns the answer that it sent itself.
func (r *rig) receive(flow sip.Flow, text string) (status int, answer *sip.Message) {
	r.t.Helper()
	m := sip.NewMessage()
	before := len(r.sent)
	r.Receive(m, flow, m.Parse(text, sip.DefaultLimits))
	if len(r.sent) == before {
		return 0, nil
	}
	answer = new(sip.Message)
	if err := answer.Parse(r.sent[before].text, sip.DefaultLimits); err != nil {
		r.t.Fatalf("%v in\n%s", err, r.sent[before].text)
	}
	return answer.Status, answer
}

func TestRequestReachesItsShard(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text string }{
		{"by name", text("PUBLISH", "sip:alice@example.com", "Event: presence\n")},
		{"in another spelling", text("PUBLISH", "SIPS:%61lice@EXAMPLE.com;transport=tcp", "Event: presence\n")},
		{"by alias", text("PUBLISH", "pres:al@example.com", "Event: presence\n")},
		{"by To", text("REGISTER", "sip:example.com", "Contact: <sip:x@198.51.100.7>\n")},
		{"subscription", text("SUBSCRIBE", "sip:alice@example.com", "Contact: <sip:x@198.51.100.7>\nEvent: presence\n")},
	} {
		r := newRig(t)
		if status, _ := r.receive(udp, c.text); status != 0 || len(r.events) != 1 {
			t.Errorf("%s: answered %d, %d events", c.name, status, len(r.events))
			continue
		}
		ev := r.events[0]
		if ev.Kind != shard.Request || ev.Presentity != alice || ev.ID != shard.Of(alice) || len(ev.Owner) != 2 || ev.Who.AOR() != bob {
			t.Errorf("%s: %+v", c.name, ev)
		}
		// RFC 3261, 18.2.2: without rport the answer goes to Via's port.
		if want := netip.MustParseAddrPort("198.51.100.7:5080"); ev.Flow.Remote != want {
			t.Errorf("%s: answered to %v", c.name, ev.Flow.Remote)
		}
		if r.asked != 1 {
			t.Errorf("%s: identified %d times", c.name, r.asked)
		}
	}
}

func TestDialogReachesItsShard(t *testing.T) {
	t.Parallel()
	tag := notifier.TagKey{}.Tag(42, [11]byte{1})
	r := newRig(t)
	in := strings.Replace(text("SUBSCRIBE", "sip:tacit@192.0.2.1", "Contact: <sip:x@198.51.100.7>\nEvent: presence\n"),
		"To: <sip:alice@example.com>", "To: <sip:alice@example.com>;tag="+tag.String(), 1)
	if status, _ := r.receive(udp, in); status != 0 || len(r.events) != 1 || r.events[0].ID != 42 {
		t.Errorf("%d, %+v", status, r.events)
	}
	in = strings.Replace(in, "Call-ID: c", "Call-ID: d", 1)
	if status, _ := r.receive(udp, strings.Replace(in, tag.String(), "x", 1)); status != 481 {
		t.Errorf("a tag that is not ours gets %d", status)
	}
	r.events = nil
	answer := "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK" + tag.String() +
		".9\r\nFrom: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>;tag=2\r\nCall-ID: c\r\nCSeq: 9 NOTIFY\r\nContent-Length: 0\r\n\r\n"
	r.receive(udp, answer)
	if len(r.events) != 1 || r.events[0].ID != 42 || r.events[0].Kind != shard.Response {
		t.Errorf("%+v", r.events)
	}
	// A glance takes the same, and says the same.
	if !r.Gate.Glance([]byte(answer), udp) || len(r.events) != 2 {
		t.Fatalf("not taken at a glance: %+v", r.events)
	}
	long, short := r.events[0], r.events[1]
	if long.Msg = nil; !reflect.DeepEqual(long, short) {
		t.Errorf("at a glance %+v, read %+v", short, long)
	}
	r.events = r.events[:1]
	for _, other := range []string{
		strings.Replace(answer, "200 OK", "202 Accepted", 1), strings.Replace(answer, "200 OK", "481 Gone", 1),
		strings.Replace(answer, "Via:", "X:", 1), strings.Replace(answer, tag.String(), "nobody", 1),
		strings.Replace(answer, ".9\r\n", ".\r\n", 1), strings.Replace(answer, "branch", "brunch", 1),
		strings.Replace(answer, "CSeq", "Event: presence;max-rate=1\r\nCSeq", 1), // RFC 6446, 9.3
		strings.Replace(answer, "CSeq", "event : presence\r\nCSeq", 1),           // and 5.1: no rate any more
		strings.Replace(answer, "CSeq", "o: presence\r\nCSeq", 1),
		"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK" + tag.String() + ".9", "", "SIP/2.0 200 OK\r\n",
	} {
		if r.Gate.Glance([]byte(other), udp) || len(r.events) != 1 {
			t.Errorf("taken at a glance: %q", other)
		}
	}
	r.receive(udp, strings.Replace(answer, tag.String(), "nobody", 1))
	if len(r.events) != 1 || r.cfg.Counters.StrayResponses.Load() != 1 {
		t.Errorf("an answer to nothing of ours: %+v", r.events)
	}
}

// What can be said without knowing who asks is said before anybody is
// identified, and leaves nothing behind.
func TestAnsweredBeforeIdentification(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		status     int
		header     string
	}{
		{"options", text("OPTIONS", "sip:example.com", ""), 200, "Allow: OPTIONS, REGISTER, PUBLISH, SUBSCRIBE"},
		{"unknown method", text("FOO", "sip:example.com", ""), 405, "Allow: OPTIONS, REGISTER, PUBLISH, SUBSCRIBE"},
		{"invite", text("INVITE", "sip:example.com", ""), 405, "Allow: OPTIONS, REGISTER, PUBLISH, SUBSCRIBE"},
		{"ack", text("ACK", "sip:example.com", ""), 0, ""},
		{"cancel", text("CANCEL", "sip:example.com", ""), 481, ""},
		{"scheme", text("PUBLISH", "im:alice@example.com", ""), 416, ""},
		{"require", text("PUBLISH", "sip:alice@example.com", "Require: a\nRequire: b, c\n"), 420, "Unsupported: a, b, c"},
		{"require of options", text("OPTIONS", "sip:example.com", "Require: a\n"), 420, "Unsupported: a"},
		{"expires", text("PUBLISH", "sip:alice@example.com", "Expires: soon\n"), 400, ""},
		{"no contact", text("SUBSCRIBE", "sip:alice@example.com", "Event: presence\n"), 400, ""},
		{"two contacts", text("SUBSCRIBE", "sip:alice@example.com", "Contact: <sip:a@x.org>\nContact: <sip:b@x.org>\n"), 400, ""},
		{"contact *", text("SUBSCRIBE", "sip:alice@example.com", "Contact: *\n"), 400, ""},
		{"malformed", strings.Replace(text("PUBLISH", "sip:alice@example.com", ""), "Max-Forwards: 70", "Max-Forwards: 300", 1), 400, ""},
		{"malformed ack", strings.Replace(text("ACK", "sip:alice@example.com", ""), "Max-Forwards: 70", "Max-Forwards: 300", 1), 0, ""},
		{"malformed answer", "SIP/2.0 2000 OK\r\n\r\n", 0, ""},
		{"not to be answered", "PUBLISH sip:alice@example.com SIP/2.0\r\n\r\n", 0, ""},
		{"version", strings.Replace(text("PUBLISH", "sip:alice@example.com", ""), "SIP/2.0", "SIP/7.0", 1), 505, ""},
	} {
		r := newRig(t)
		status, answer := r.receive(udp, c.text)
		if status != c.status {
			t.Errorf("%s: %d, not %d", c.name, status, c.status)
			continue
		}
		if r.asked != 0 || len(r.events) != 0 || r.cfg.Transactions.Len() != 0 {
			t.Errorf("%s: identified %d times, %d events, %d transactions", c.name, r.asked, len(r.events), r.cfg.Transactions.Len())
		}
		if status == 0 {
			continue
		}
		if answer.To.Tag() == "" {
			t.Errorf("%s: no To tag", c.name)
		}
		if c.header != "" && !strings.Contains(r.sent[0].text, "\r\n"+c.header+"\r\n") {
			t.Errorf("%s: no %s in\n%s", c.name, c.header, r.sent[0].text)
		}
	}
}

func TestUnidentified(t *testing.T) {
	t.Parallel()
	publish := text("PUBLISH", "sip:nobody@example.com", "")
	r := newRig(t)
	r.who = identity.Verdict{Challenges: []sip.Header{{ID: sip.HeaderWWWAuthenticate, Value: "Digest a"}, {ID: sip.HeaderWWWAuthenticate, Value: "Digest b"}}}
	if status, _ := r.receive(udp, publish); status != 401 || strings.Count(r.sent[0].text, "WWW-Authenticate: ") != 2 {
		t.Errorf("%d:\n%s", status, r.sent[0].text)
	}
	// RFC 3261, 8.2.7: a stateless server gives the repetition the same To tag.
	if r.receive(udp, publish); r.sent[0].text != r.sent[1].text {
		t.Errorf("%s and then\n%s", r.sent[0].text, r.sent[1].text)
	}
	r.who = identity.Verdict{Status: 403, Reason: "Not You"}
	if status, m := r.receive(udp, publish); status != 403 || m.Reason != "Not You" {
		t.Errorf("%d", status)
	}
	r.who = identity.Verdict{}
	if status, _ := r.receive(udp, publish); status != 403 {
		t.Errorf("a verdict without anything gets %d", status)
	}
	if r.cfg.Transactions.Len() != 0 || len(r.events) != 0 {
		t.Error("something is kept of those whom nobody knows")
	}
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		text("PUBLISH", "sip:nobody@example.com", ""), text("PUBLISH", "sip:alice@example.net", ""), text("PUBLISH", "sip:example.com", ""),
		text("REGISTER", "sip:example.net", ""), strings.Replace(text("REGISTER", "sip:example.com", ""), "To: <sip:alice@", "To: <sip:nobody@", 1),
		strings.Replace(text("REGISTER", "sip:example.com", ""), "To: <sip:alice@example.com>", "To: <tel:+1>", 1),
	} {
		r := newRig(t)
		if status, _ := r.receive(udp, in); status != 404 || r.cfg.Transactions.Len() != 0 {
			t.Errorf("%d for\n%s", status, in)
		}
	}
}

func TestRetransmission(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	in := text("PUBLISH", "sip:alice@example.com", "Event: presence\n")
	r.receive(udp, in)
	r.receive(udp, in) // in work: absorbed
	if len(r.events) != 1 || len(r.sent) != 0 || r.asked != 1 {
		t.Fatalf("%d events, %d answers, identified %d times", len(r.events), len(r.sent), r.asked)
	}
	ev := r.events[0]
	var out shard.Batch
	out.Reply(&ev, sip.Reply{Status: 200, ToTag: "x"})
	r.Gate.Send(&out.Sends[0], out.Message(&out.Sends[0]))
	if status, _ := r.receive(udp, in); status != 200 || r.sent[0] != r.sent[1] || len(r.events) != 1 {
		t.Errorf("%d, %+v", status, r.sent)
	}
	r.now = r.now.Add(33 * time.Second)
	if r.receive(udp, in); len(r.events) != 2 {
		t.Error("a transaction lives longer than timer J")
	}
}

func TestOverload(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.full = true
	in := text("PUBLISH", "sip:alice@example.com", "Event: presence\n")
	status, m := r.receive(udp, in)
	if v, _ := m.Get(sip.HeaderRetryAfter); status != 503 || v != retryAfter {
		t.Errorf("%d, Retry-After %q", status, v)
	}
	r.full = false
	if status, _ := r.receive(udp, in); status != 503 || len(r.events) != 0 {
		t.Errorf("its retransmission gets %d, %d events", status, len(r.events))
	}
}

func TestConnections(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	subscribe := func(call string) string {
		return strings.Replace(text("SUBSCRIBE", "sip:alice@example.com", "Contact: <sip:bob@198.51.100.7>\nEvent: presence\n"), "Call-ID: c", "Call-ID: "+call, 1)
	}
	r.receive(tcp, subscribe("1"))
	r.receive(tcp, subscribe("2"))
	r.receive(udp, subscribe("3"))
	if !slices.Equal(r.pinned, []sip.Flow{tcp}) {
		t.Errorf("pinned: %v", r.pinned)
	}
	r.events = nil
	r.FlowClosed(udp)
	other := tcp
	other.Conn++
	r.FlowClosed(other)
	if len(r.events) != 0 {
		t.Errorf("%+v", r.events)
	}
	r.FlowClosed(tcp)
	r.FlowClosed(tcp)
	if len(r.events) != 1 || r.events[0].Kind != shard.FlowGone || r.events[0].ID != shard.Of(alice) || r.events[0].Flow != tcp {
		t.Errorf("%+v", r.events)
	}
}

// A watcher that comes back is told to the shards that wait for it, after its
// request, and the new connection is kept for them.
func TestWatcherComesBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cfg.Waiting.Add(bob, 7)
	r.cfg.Waiting.Add(bob, 200)
	r.receive(tcp, text("PUBLISH", "sip:alice@example.com", "Event: presence\n"))
	r.receive(tcp, strings.Replace(text("REGISTER", "sip:example.com", ""), "Call-ID: c", "Call-ID: d", 1))
	if len(r.events) != 2 || !r.cfg.Waiting.Any() {
		t.Fatalf("requests without Contact: %+v", r.events)
	}
	r.events = nil
	r.receive(tcp, text("REGISTER", "sip:example.com", "Contact: <sip:bob@198.51.100.7;transport=tcp>;expires=60\n"))
	if len(r.events) != 3 || r.events[0].Kind != shard.Request {
		t.Fatalf("%+v", r.events)
	}
	for i, id := range []shard.ID{7, 200} {
		ev := r.events[i+1]
		if ev.Kind != shard.FlowSeen || ev.ID != id || ev.Flow != tcp || ev.Who.AOR() != bob || ev.Contact != "<sip:bob@198.51.100.7;transport=tcp>;expires=60" {
			t.Errorf("%+v", ev)
		}
	}
	if len(r.pinned) != 1 || r.cfg.Waiting.Any() {
		t.Errorf("pinned %v, waiting %t", r.pinned, r.cfg.Waiting.Any())
	}
	r.events = nil
	if r.FlowClosed(tcp); len(r.events) != 2 {
		t.Errorf("the end of the connection is told to %d shards", len(r.events))
	}
	// A shard that has too much to do hears of it another time.
	r.cfg.Waiting.Add(bob, 9)
	r.full = true
	r.receive(tcp, strings.Replace(text("REGISTER", "sip:example.com", "Contact: <sip:bob@198.51.100.7>\n"), "Call-ID: c", "Call-ID: e", 1))
	if got := r.cfg.Waiting.Take(bob); !slices.Equal(got, []shard.ID{9}) {
		t.Errorf("%v", got)
	}
}

func TestResponseFlow(t *testing.T) {
	t.Parallel()
	for via, want := range map[string]string{
		"SIP/2.0/UDP 10.0.0.1:5080;branch=z9hG4bK1":       "198.51.100.7:5080",
		"SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1":            "198.51.100.7:5060",
		"SIP/2.0/UDP 10.0.0.1:5080;rport;branch=z9hG4bK1": "198.51.100.7:6060",
		"SIP/2.0/UDP victim.example;maddr=203.0.113.9":    "198.51.100.7:5060",
	} {
		m := new(sip.Message)
		in := strings.Replace(text("OPTIONS", "sip:example.com", ""), "SIP/2.0/UDP 198.51.100.7:5080;branch=z9hG4bK1", via, 1)
		if err := m.Parse(in, sip.DefaultLimits); err != nil {
			t.Fatal(err)
		}
		if got := responseFlow(m, udp).Remote.String(); got != want {
			t.Errorf("%s: to %s, not %s", via, got, want)
		}
		if got := responseFlow(m, tcp); got != tcp {
			t.Errorf("%s over a stream: to %v", via, got)
		}
	}
}

func TestTrace(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var seen []string
	stop := r.cfg.Trace.Tap(bob, func(in bool, flow sip.Flow, text string) {
		if flow != udp {
			t.Errorf("over %v", flow)
		}
		if in {
			text = "in: " + text
		}
		seen = append(seen, text)
	})
	other := r.cfg.Trace.Tap("sip:carol@example.com", func(bool, sip.Flow, string) { t.Error("carol sees it too") })
	in := text("OPTIONS", "sip:example.com", "Authorization: Digest username=\"bob\",\n response=\"secret\"\nSubject: x\n")
	r.receive(udp, in)
	if len(seen) != 2 || !strings.HasPrefix(seen[0], "in: OPTIONS") || !strings.HasPrefix(seen[1], "SIP/2.0 200") {
		t.Fatalf("%q", seen)
	}
	if strings.Contains(seen[0], "secret") || !strings.Contains(seen[0], "Authorization: [redacted]\r\n") || !strings.Contains(seen[0], "Subject: x\r\n") {
		t.Errorf("%s", seen[0])
	}
	// Who is to be named to nobody is not named here either.
	for more, shown := range map[string]bool{"": true, "Privacy: none\n": true, "Privacy: id\n": false} {
		seen = nil
		r.receive(udp, text("OPTIONS", "sip:example.com", "P-Asserted-Identity: <sip:dave@example.com>\n"+more))
		if got := strings.Contains(seen[0], "sip:dave@"); got != shown || !shown && !strings.Contains(seen[0], "P-Asserted-Identity: [redacted]\r\n") {
			t.Errorf("%s%s", more, seen[0])
		}
	}
	seen = seen[:0]
	r.receive(udp, in)
	stop()
	stop()
	other()
	if r.receive(udp, in); len(seen) != 2 || r.cfg.Trace.watching.Load() != 0 {
		t.Error("it goes on")
	}
}

func TestCounters(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, m := range []string{"OPTIONS", "PUBLISH", "SUBSCRIBE", "REGISTER", "BYE"} {
		r.receive(udp, text(m, "sip:alice@example.com", ""))
	}
	for i, m := range MethodNames() {
		if n := r.cfg.Counters.Requests[i].Load(); n != 1 {
			t.Errorf("%s: %d", m, n)
		}
	}
	if n := r.cfg.Counters.OtherRequests.Load(); n != 1 {
		t.Errorf("others: %d", n)
	}
}
