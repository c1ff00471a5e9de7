package agent

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/compose"
	"github.com/tacit-presence/tacit/identity"
	"github.com/tacit-presence/tacit/notifier"
	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/store"
)

const (
	alice = presence.Presentity("sip:alice@example.com")
	al    = presence.AOR("sip:al@example.com")
)

// rig is one shard with its clock and what it has stored and sent.
type rig struct {
	*Shard
	t        *testing.T
	cfg      Config
	now      time.Time
	store    *store.Memory
	flow     sip.Flow
	count    int
	notifies []*sip.Message // of the last step
	sends    []shard.Send
	answer   *sip.Message // to the last request
	mute     bool         // NOTIFYs are not answered
}

type addresses struct{}

func (addresses) SentBy(sip.Flow) string        { return "192.0.2.1:5060" }
func (addresses) Contact(sip.Flow, bool) string { return "<sip:tacit@192.0.2.1:5060;gr>" }
func (addresses) MayDial(f sip.Flow) bool {
	return f.Remote.Addr() == netip.MustParseAddr("198.51.100.99")
}
func owner(presence.Presentity) []presence.AOR { return []presence.AOR{presence.AOR(alice), al} }
func who(name string) presence.Principal {
	return identity.RestorePrincipal(presence.AOR("sip:"+name+"@example.com"), presence.MechanismDigest)
}

func newRig(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, now: time.Unix(1_000_000, 0), store: store.NewMemory(), flow: sip.Flow{
		Transport: sip.TransportUDP, Local: netip.MustParseAddrPort("192.0.2.1:5060"), Remote: netip.MustParseAddrPort("198.51.100.1:5060"),
	}}
	r.cfg = Config{
		ID: shard.Of(alice), Composition: compose.Union(), Settings: Settings{Default: policy.Allow}, Owner: owner,
		MinExpires: time.Second, MaxExpires: time.Hour, MaxPublications: 3, Counters: new(Counters),
		Notifier: notifier.Config{
			Addresses: addresses{}, Secret: make([]byte, 32), Timers: sip.DefaultTimers,
			Counters: new(notifier.Counters), Waiting: new(notifier.Waiting),
		},
	}
	if change != nil {
		change(&r.cfg)
	}
	r.Shard = New(r.cfg)
	return r
}

// do runs fn and takes what it gives: records are stored, NOTIFYs are answered.
func (r *rig) do(fn func(out *shard.Batch)) {
	r.t.Helper()
	var out shard.Batch
	fn(&out)
	done := make(chan error, 1)
	r.store.Commit(&out.Records, func(err error) { done <- err })
	if err := <-done; err != nil {
		r.t.Fatal(err)
	}
	r.notifies, r.sends, r.answer = nil, nil, nil
	for i := range out.Sends {
		s := &out.Sends[i]
		m := new(sip.Message)
		if err := m.Parse(string(out.Message(s)), sip.DefaultLimits); err != nil {
			r.t.Fatalf("%v in\n%s", err, out.Message(s))
		}
		if s.Answer {
			r.answer = m
			continue
		}
		r.notifies, r.sends = append(r.notifies, m), append(r.sends, *s)
	}
	if r.mute {
		return
	}
	for _, m := range r.notifies {
		r.respond(m, "200 OK")
	}
}

// respond answers a NOTIFY; what comes of it is not looked at.
func (r *rig) respond(m *sip.Message, status string) {
	r.t.Helper()
	text := "SIP/2.0 " + status + "\r\n"
	for _, id := range []sip.HeaderID{sip.HeaderVia, sip.HeaderFrom, sip.HeaderTo, sip.HeaderCallID, sip.HeaderCSeq} {
		v, _ := m.Get(id)
		text += id.String() + ": " + v + "\r\n"
	}
	answer := new(sip.Message)
	if err := answer.Parse(text+"Content-Length: 0\r\n\r\n", sip.DefaultLimits); err != nil {
		r.t.Fatal(err)
	}
	var out shard.Batch
	tag, cseq, _ := notifier.ParseBranch(answer.TopVia.Branch)
	r.Step(&shard.Event{
		Kind: shard.Response, ID: r.cfg.ID, Msg: answer, Flow: r.flow, Dialog: tag, CSeq: cseq, Status: answer.Status,
	}, r.now, &out)
}

// request sends a request of a user about alice. lines stand before the body.
func (r *rig) request(method, user, lines, body string) *sip.Message {
	r.t.Helper()
	r.count++
	return r.raw(user, fmt.Sprintf("%s sip:alice@example.com SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.1;branch=z9hG4bK%[2]d\nMax-Forwards: 70\n"+
		"From: <sip:%[3]s@example.com>;tag=%[2]d\nTo: <sip:alice@example.com>\nCall-ID: %[2]d\nCSeq: 1 %[1]s\n%[4]s", method, r.count, user, lines), body)
}

func (r *rig) raw(user, head, body string) *sip.Message {
	r.t.Helper()
	m := new(sip.Message)
	text := strings.ReplaceAll(head+fmt.Sprintf("Content-Length: %d\n\n", len(body)), "\n", "\r\n") + body
	if err := m.Parse(text, sip.DefaultLimits); err != nil {
		r.t.Fatalf("%v in\n%s", err, text)
	}
	ev := shard.Event{Kind: shard.Request, ID: r.cfg.ID, Msg: m, Flow: r.flow, Who: who(user), Presentity: alice, Owner: owner(alice)}
	r.do(func(out *shard.Batch) { r.Step(&ev, r.now, out) })
	if r.answer == nil {
		r.t.Fatalf("no answer to\n%s", text)
	}
	return r.answer
}

func (r *rig) publish(note, lines string) *sip.Message {
	r.t.Helper()
	return r.request("PUBLISH", "alice", "Event: presence\nContent-Type: application/pidf+xml\n"+lines, document(note))
}

func document(note string) string {
	return `<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="pres:x@y.org"><tuple id="` + note +
		`"><status><basic>open</basic></status><note>` + note + `</note></tuple></presence>`
}

func (r *rig) subscribe(user, lines string) *sip.Message {
	r.t.Helper()
	return r.request("SUBSCRIBE", user, "Event: presence\nContact: <sip:"+user+"@198.51.100.1>\n"+lines, "")
}

// tick moves the clock, doing what comes due on the way as it comes due.
func (r *rig) tick(d time.Duration) (notifies []*sip.Message) {
	r.t.Helper()
	end := r.now.Add(d)
	for {
		at := r.Deadline()
		if at.IsZero() || at.After(end) {
			r.now = end
			return notifies
		}
		if at.After(r.now) {
			r.now = at
		}
		r.do(func(out *shard.Batch) { r.Step(&shard.Event{Kind: shard.Tick, ID: r.cfg.ID}, r.now, out) })
		notifies = append(notifies, r.notifies...)
	}
}

// restart makes a new shard of what was stored.
func (r *rig) restart(change func(*Config)) {
	r.t.Helper()
	if change != nil {
		change(&r.cfg)
	}
	r.Shard = New(r.cfg)
	if err := r.Restore(r.store, r.now); err != nil {
		r.t.Fatal(err)
	}
	r.do(func(out *shard.Batch) { r.Step(&shard.Event{Kind: shard.Tick, ID: r.cfg.ID}, r.now, out) })
}

func state(m *sip.Message) string {
	v, _ := m.Get(sip.HeaderSubscriptionState)
	return v
}

func get(m *sip.Message, id sip.HeaderID) string {
	v, _ := m.Get(id)
	return v
}

// records counts what is stored.
func (r *rig) records(kind byte) (n int) {
	r.t.Helper()
	if err := r.store.Scan([]byte{kind}, func([]byte, []byte) error { n++; return nil }); err != nil {
		r.t.Fatal(err)
	}
	return n
}

// Watchers who may see the same share one rendering, and all share one
// composition.
func TestWatchersShareViews(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for i := range 10 {
		r.subscribe(fmt.Sprint("w", i), "")
	}
	rules := new(policy.Rules)
	rules.Set("sip:w3@example.com", policy.PoliteBlock)
	r.do(func(out *shard.Batch) {
		if err := r.SetRules(alice, rules, r.now, out); err != nil {
			t.Fatal(err)
		}
	})
	composed, views := r.cfg.Counters.Composed.Load(), r.cfg.Counters.Views.Load()
	r.publish("one", "")
	if len(r.notifies) != 9 {
		t.Errorf("%d are told, not 9: what the tenth may see has not changed", len(r.notifies))
	}
	for _, m := range r.notifies {
		if m.Body != r.notifies[0].Body || !strings.Contains(m.Body, "one") {
			t.Errorf("%s", m.Body)
		}
	}
	if c, v := r.cfg.Counters.Composed.Load()-composed, r.cfg.Counters.Views.Load()-views; c != 1 || v != 2 {
		t.Errorf("composed %d times, %d views", c, v)
	}
}

// The 200 and the NOTIFYs of a PUBLISH are in one batch, the 200 first.
func TestOnePublishIsOneBatch(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.subscribe("bob", "")
	var out shard.Batch
	m := new(sip.Message)
	body := document("x")
	text := strings.ReplaceAll(fmt.Sprintf("PUBLISH sip:alice@example.com SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.1;branch=z9hG4bKp\nFrom: <sip:alice@example.com>;tag=1\n"+
		"To: <sip:alice@example.com>\nCall-ID: p\nCSeq: 1 PUBLISH\nEvent: presence\nContent-Type: application/pidf+xml\nContent-Length: %d\n\n", len(body)), "\n", "\r\n") + body
	if err := m.Parse(text, sip.DefaultLimits); err != nil {
		t.Fatal(err)
	}
	r.Step(&shard.Event{Kind: shard.Request, ID: r.cfg.ID, Msg: m, Flow: r.flow, Who: who("alice"), Presentity: alice, Owner: owner(alice)}, r.now, &out)
	if out.Records.Len() != 1 || len(out.Sends) != 2 || !out.Sends[0].Answer || out.Sends[1].Answer {
		t.Errorf("%d records, sends %+v", out.Records.Len(), out.Sends)
	}
}

// A watcher can make new classes by new spellings of the URI; those that nobody
// is in are forgotten, and the others keep their meaning.
func TestClassesAreForgotten(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.publish("one", "")
	r.subscribe("bob", "")
	rules := new(policy.Rules)
	rules.Set("sip:eve@example.com", policy.PoliteBlock)
	r.do(func(out *shard.Batch) { _ = r.SetRules(alice, rules, r.now, out) })
	for i := range 3 * maxClasses {
		head := fmt.Sprintf("SUBSCRIBE sip:alice@example.com:%d SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.1;branch=z9hG4bKx%[1]d\n"+
			"From: <sip:carol@example.com>;tag=%[1]d\nTo: <sip:alice@example.com>\nCall-ID: x%[1]d\nCSeq: 1 SUBSCRIBE\nEvent: presence\n"+
			"Contact: <sip:carol@198.51.100.1>\nExpires: 0\n", i+1)
		r.raw("carol", head, "")
		if len(r.notifies) != 1 || !strings.Contains(r.notifies[0].Body, fmt.Sprintf("alice@example.com:%d\"", i+1)) {
			t.Fatalf("%d: %v", i, r.notifies)
		}
		if i%50 == 0 {
			r.subscribe(fmt.Sprint("w", i), "")
		}
		if i == maxClasses/2 {
			r.subscribe("eve", "")
		}
	}
	if n := len(r.people[alice].classes); n > maxClasses {
		t.Errorf("there are %d classes", n)
	}
	r.publish("two", "")
	for _, m := range r.notifies {
		if strings.Contains(m.To.RawURI, "eve") || !strings.Contains(m.Body, "two") || !strings.Contains(m.Body, `entity="sip:alice@example.com"`) {
			t.Errorf("%s", m.AppendMessage(nil))
		}
	}
	if want := 1 + (3*maxClasses+49)/50; len(r.notifies) != want {
		t.Errorf("%d are told, not %d", len(r.notifies), want)
	}
}

func TestTooManyPublications(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	var tags []string
	for i := range 3 {
		tags = append(tags, get(r.publish(fmt.Sprint("p", i), ""), sip.HeaderSIPETag))
	}
	if m := r.publish("p3", ""); m.Status != 500 || get(m, sip.HeaderRetryAfter) != "60" {
		t.Errorf("%d", m.Status)
	}
	if m := r.request("PUBLISH", "alice", "Event: presence\nExpires: 0\nSIP-If-Match: "+tags[0]+"\n", ""); m.Status != 200 {
		t.Fatal(m.Status)
	}
	if m := r.publish("p4", ""); m.Status != 200 {
		t.Errorf("%d although one was removed", m.Status)
	}
	if n := r.records(KeyPublication); n != 3 {
		t.Errorf("%d records", n)
	}
	r.tick(2 * time.Hour)
	if n := r.records(KeyPublication); n != 0 || r.people[alice] != nil {
		t.Errorf("at the end %d records, and %v", n, r.people[alice])
	}
}

func TestRemovedPublicationIsForgotten(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	tag := get(r.publish("one", ""), sip.HeaderSIPETag)
	r.request("PUBLISH", "alice", "Event: presence\nExpires: 0\nSIP-If-Match: "+tag+"\n", "")
	r.tick(forgetAfter - time.Second)
	if n := r.records(KeyPublication); n != 1 {
		t.Errorf("a repetition of the removal could not be answered: %d records", n)
	}
	r.tick(time.Second)
	if n := r.records(KeyPublication); n != 0 || len(r.people) != 0 {
		t.Errorf("%d records, %d presentities", n, len(r.people))
	}
}

func TestOtherMethods(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	if m := r.request("MESSAGE", "bob", "", ""); m.Status != 405 || m.To.Tag() == "" {
		t.Errorf("%d", m.Status)
	}
	if m := r.publish("x", "Expires: 4294967295\n"); m.Status != 200 || get(m, sip.HeaderExpires) != "3600" {
		t.Errorf("%d, Expires %s", m.Status, get(m, sip.HeaderExpires))
	}
	if m := r.request("PUBLISH", "bob", "Event: presence\n", document("x")); m.Status != 403 {
		t.Errorf("another's publication gets %d", m.Status)
	}
	if m := r.request("PUBLISH", "al", "Event: presence\nContent-Type: APPLICATION/PIDF+XML;charset=utf-8\n", document("x")); m.Status != 200 {
		t.Errorf("an alias gets %d", m.Status)
	}
	if got := slices.Sorted(mapKeys(r.Publications(alice))); len(got) != 2 {
		t.Errorf("%v", got)
	}
}

func mapKeys(list []Publication) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, p := range list {
			if !yield(string(p.Tag)) {
				return
			}
		}
	}
}
