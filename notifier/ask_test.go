package notifier

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/identity"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/sip"
)

// fake is an event package whose document is text, in the format asked for.
type fake struct {
	text string
	told []uint64 // what Told was, at each Render
	body Body     // but for text and sum

	params []string // what came to Parameters
}

func (f *fake) Parameters(_ *Subscription, params string) string {
	f.params = append(f.params, params)
	mode, _ := sip.HeaderParam(params, "mode")
	if mode == "" {
		return ""
	}
	return ";mode=" + mode
}

func (*fake) Name() presence.EventPackage   { return "presence" }
func (*fake) Accepts() []string             { return []string{"text/plain", "text/enriched"} }
func (*fake) DefaultExpires() time.Duration { return time.Hour }
func (*fake) Bodies() []string              { return []string{"application/x-ask"} }

func (*fake) Decide(s *Subscription, _ time.Time) Grant {
	g := Grant{State: Active}
	if n, ok := s.Data().(int); ok {
		g.Class = int32(n)
	}
	return g
}

func (f *fake) Render(s *Subscription, _ time.Time) Body {
	f.told = append(f.told, s.Told())
	b := f.body
	b.contentType, b.text, b.sum = s.Format(), f.text, hash64(hashSeed, f.text)
	if s.Grant.Class != 0 {
		b.text += fmt.Sprint(s.Grant.Class)
	}
	return b
}

func (f *fake) Ask(s *Subscription, _, body string) (string, error) {
	return body, f.Recall(s, body)
}

var errAsk = errors.New("not \"a number\"\r\nX: y")

func (*fake) Recall(s *Subscription, kept string) error {
	var n int
	if _, err := fmt.Sscan(kept, &n); err != nil {
		return errAsk
	}
	s.SetData(n)
	return nil
}

type nowhere struct{}

func (nowhere) SentBy(sip.Flow) string        { return "192.0.2.1:5060" }
func (nowhere) Contact(sip.Flow, bool) string { return "<sip:tacit@192.0.2.1;gr=x>" }
func (nowhere) MayDial(sip.Flow) bool         { return false }

// bench is a table, its watcher and what came of the last event.
type bench struct {
	*testing.T
	pkg   *fake
	table *Table
	res   *Resource
	now   time.Time
	out   shard.Batch
	seq   int
	tag   string // of the dialog
	event string // parameters of Event
	store map[string][]byte
}

func newBench(t *testing.T, observe func(*Subscription, Happening, time.Time, *shard.Batch)) *bench {
	b := &bench{T: t, pkg: &fake{text: "hello"}, now: time.Unix(1_000_000_000, 0), store: map[string][]byte{}}
	b.res = &Resource{Presentity: "sip:alice@example.com"}
	b.table = b.newTable(observe)
	return b
}

func (b *bench) newTable(observe func(*Subscription, Happening, time.Time, *shard.Batch)) *Table {
	return NewTable(Config{
		Packages: []Package{b.pkg}, Addresses: nowhere{}, MinExpires: time.Second, MaxExpires: time.Hour, Secret: []byte("secret"),
		Timers: sip.DefaultTimers, Counters: new(Counters), Waiting: new(Waiting), Observe: observe,
	})
}

// settle stores what has been put, and returns the messages.
func (b *bench) settle() (sent []*sip.Message) {
	b.Helper()
	for i := range b.out.Sends {
		m := new(sip.Message)
		if err := m.Parse(string(b.out.Message(&b.out.Sends[i])), sip.DefaultLimits); err != nil {
			b.Fatal(err)
		}
		sent = append(sent, m)
	}
	_ = b.out.Records.Each(func(key, value []byte) error {
		if value == nil {
			delete(b.store, string(key))
		} else {
			b.store[string(key)] = slices.Clone(value)
		}
		return nil
	})
	b.out.Reset()
	return sent
}

// subscribe sends a SUBSCRIBE with these lines and body, in the dialog if there
// is one; the answer is the first of what is sent.
func (b *bench) subscribe(lines, body string) []*sip.Message {
	b.Helper()
	b.seq++
	text := subscribeText(lines)
	text = strings.Replace(text, "CSeq: 7", fmt.Sprintf("CSeq: %d", 7+b.seq), 1)
	text = strings.Replace(text, "Content-Length: 0\n\n", fmt.Sprintf("Content-Length: %d\n\n", len(body)), 1) + body
	text = strings.Replace(text, "Event: presence", "Event: presence"+b.event, 1)
	if b.tag != "" {
		text = strings.Replace(text, "To: <sip:alice@example.com>", "To: <sip:alice@example.com>;tag="+b.tag, 1)
	}
	ev := &shard.Event{
		Kind: shard.Request, Msg: message(b, text), Who: identity.RestorePrincipal("sip:bob@example.com", presence.MechanismDigest),
		Presentity: b.res.Presentity,
		Flow:       sip.Flow{Transport: sip.TransportUDP, Remote: netip.MustParseAddrPort("192.0.2.9:5060")},
	}
	if tag, ok := ParseTag(b.tag); ok {
		b.table.InDialog(ev, tag, b.now, &b.out)
	} else {
		b.table.Subscribe(ev, b.res, b.now, &b.out)
	}
	sent := b.settle()
	if len(sent) == 0 {
		b.Fatal("no answer")
	}
	if sent[0].Status < 300 {
		b.tag = sent[0].To.Tag()
	}
	return sent
}

// change tells another text; answer answers the last NOTIFY.
func (b *bench) change(text string) []*sip.Message {
	b.pkg.text = text
	b.table.Changed(b.res, b.pkg, b.now, &b.out)
	return b.settle()
}

func (b *bench) answer(notify *sip.Message, status int) []*sip.Message {
	b.Helper()
	tag, cseq, ok := ParseBranch(notify.TopVia.Branch)
	if !ok {
		b.Fatal(notify.TopVia.Branch)
	}
	b.table.Response(&shard.Event{Kind: shard.Response, Dialog: tag, CSeq: cseq, Status: status, Msg: &sip.Message{Status: status}}, b.now, &b.out)
	return b.settle()
}

func (b *bench) restart() {
	b.Helper()
	b.table = b.newTable(nil)
	b.res = &Resource{Presentity: b.res.Presentity}
	for key, value := range b.store {
		if err := b.table.Restore([]byte(key), value, func(presence.Presentity) *Resource { return b.res }, b.now); err != nil {
			b.Fatal(err)
		}
	}
	b.table.Resume(b.now, &b.out)
}

func (b *bench) tick(d time.Duration) []*sip.Message {
	b.now = b.now.Add(d)
	b.table.Tick(b.now, &b.out)
	return b.settle()
}

// only expects an answer with that status and n NOTIFYs after it.
func only(t *testing.T, sent []*sip.Message, status, n int) *sip.Message {
	t.Helper()
	if len(sent) != n+1 || sent[0].Status != status {
		t.Fatalf("%d messages, the first %+v", len(sent), sent[0])
	}
	return sent[n]
}

// RFC 4660, 5.2, 5.2.2 and 5.4.
func TestBodies(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	const ask = "Content-Type: application/x-ask\n"
	m := only(t, b.subscribe("Content-Type: text/plain\n", "5"), 415, 0)
	if v, _ := m.Get(sip.HeaderAccept); v != "application/x-ask" {
		t.Errorf("Accept: %q", v)
	}
	only(t, b.subscribe("", "5"), 415, 0)
	only(t, b.subscribe(ask+"Content-Encoding: gzip\n", "5"), 415, 0)
	only(t, b.subscribe(ask, strings.Repeat("5", MaxAskBytes+1)), 413, 0)
	m = only(t, b.subscribe(ask, "five"), 488, 0)
	if v, _ := m.Get(sip.HeaderWarning); v != `399 tacit "not 'a number'''X: y"` {
		t.Errorf("Warning: %q", v)
	}
	if len(b.res.Subscribers()) != 0 || len(b.store) != 0 {
		t.Error("a refused SUBSCRIBE left something")
	}
	body := func(sent []*sip.Message, status int, want string) {
		t.Helper()
		m := only(t, sent, status, 1)
		if m.Body != want {
			t.Errorf("%q, not %q", m.Body, want)
		}
		b.answer(m, 200)
	}
	body(b.subscribe(ask+"Expires: 600\n", "5"), 200, "hello5")
	body(b.subscribe("Expires: 600\n", ""), 200, "hello5")    // what was asked holds
	only(t, b.subscribe(ask+"Expires: 600\n", "six"), 488, 0) // and is not lost by what is refused
	body(b.subscribe("Expires: 600\n", ""), 200, "hello5")
	body(b.subscribe("Content-Type: Application/X-Ask;a=b\nExpires: 600\n", "6"), 200, "hello6")
	b.restart()
	if sent := b.tick(0); len(sent) != 1 || sent[0].Body != "hello6" {
		t.Errorf("after a restart %v", sent)
	}
}

// A package's own parameters of Event come with each SUBSCRIBE that is accepted,
// and once more after a restart.
func TestParameters(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.event = ";mode=fine;other=1"
	b.answer(only(t, b.subscribe("Expires: 600\n", ""), 200, 1), 200)
	b.restart()
	b.event = ""
	only(t, b.subscribe("Expires: 0\nContent-Type: text/plain\n", "refused"), 415, 0)
	b.answer(only(t, b.subscribe("Expires: 600\n", ""), 200, 1), 200)
	b.restart()
	if got := fmt.Sprintf("%q", b.pkg.params); got != `[";mode=fine;other=1" ";mode=fine" ""]` {
		t.Error(got)
	}
}

// Who cannot be told what it asked for any more is told so, and the server starts.
func TestRecallFails(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.answer(only(t, b.subscribe("Content-Type: application/x-ask\nExpires: 600\n", "5"), 200, 1), 200)
	for key, value := range b.store {
		b.store[key] = bytes.Replace(value, []byte("\x18\x1f\x615"), []byte("\x18\x1f\x61x"), 1)
	}
	b.restart()
	sent := b.tick(0)
	if len(sent) != 1 || sent[0].Body != "" {
		t.Fatalf("%v", sent)
	}
	if v, _ := sent[0].Get(sip.HeaderSubscriptionState); v != "terminated;reason=deactivated" {
		t.Error(v)
	}
	b.answer(sent[0], 200)
	if b.tick(time.Minute); len(b.store) != 0 {
		t.Error("it is stored for ever")
	}
}

// RFC 3858, 3 and RFC 5263, 4.4: versions count the documents of a subscription,
// from their own first one on, whoever shares them; retransmissions are the same.
func TestVersions(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.pkg.body = Body{versionAt: 2, firstVersion: 1}
	want := func(sent []*sip.Message, body string, told bool) *sip.Message {
		t.Helper()
		m := sent[len(sent)-1]
		if m.Body != body {
			t.Errorf("%q, not %q", m.Body, body)
		}
		if got := b.pkg.told[len(b.pkg.told)-1] != 0; got != told {
			t.Errorf("%s: told %t", body, got)
		}
		return m
	}
	m := want(b.subscribe("Expires: 600\n", ""), "he1llo", false)
	b.answer(m, 200)
	m = want(b.change("word"), "wo2rd", true)
	if b.pkg.told[1] != hash64(hashSeed, "hello") {
		t.Error("told something else")
	}
	if again := b.tick(500 * time.Millisecond); len(again) != 1 || string(again[0].AppendMessage(nil)) != string(m.AppendMessage(nil)) {
		t.Errorf("repeated as %v", again)
	}
	b.answer(m, 500) // not known to have arrived
	b.answer(want(b.change("third"), "th3ird", false), 200)
	b.answer(want(b.subscribe("Expires: 600\n", ""), "th4ird", false), 200)
	b.answer(want(b.change("fourth"), "fo5urth", true), 200)

	// What did not leave has no number.
	want(b.change("large"), "la6rge", true)
	tag, _ := ParseTag(b.tag)
	b.table.TooLarge(tag, b.now, &b.out)
	b.settle()
	b.answer(want(b.change("small"), "sm6all", false), 200)

	// After a restart numbers go on above all that may have been used, and nothing
	// counts as told.
	b.restart()
	m = want(b.tick(0), fmt.Sprintf("sm%dall", markStep+1), false)
	b.answer(m, 200)
	want(b.change("end"), fmt.Sprintf("en%dd", markStep+2), true)

	// A suppressed document has none either (RFC 5839, 6.2).
	c := newBench(t, nil)
	c.pkg.body = Body{versionAt: 2}
	m = only(t, c.subscribe("Expires: 600\n", ""), 200, 1)
	etag, _ := m.Get(sip.HeaderSIPETag)
	c.tag = ""
	m = only(t, c.subscribe("Expires: 600\nSuppress-If-Match: "+etag+"\n", ""), 200, 1)
	if got, _ := m.Get(sip.HeaderSIPETag); m.Body != "" || got != etag {
		t.Errorf("%q with %q", m.Body, got)
	}
	c.answer(m, 200)
	if sent := c.change("next"); len(sent) != 1 || sent[0].Body != "ne0xt" { // the first dialog's is unanswered
		t.Errorf("%v", sent[0].Body)
	}
}

// RFC 5839, 6.1: another type or another document has another tag.
func TestEntityTags(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	tags := map[string]bool{}
	next := func(lines string) {
		b.tag = ""
		etag, _ := only(t, b.subscribe(lines, ""), 200, 1).Get(sip.HeaderSIPETag)
		tags[etag] = true
	}
	next("Expires: 600\n")
	next("Accept: text/plain\nExpires: 600\n")
	if len(tags) != 1 {
		t.Errorf("equal documents have %v", tags)
	}
	next("Accept: text/enriched\nExpires: 600\n")
	b.pkg.text = "other"
	next("Expires: 600\n")
	if len(tags) != 3 || tags[""] {
		t.Errorf("%v", tags)
	}
}

func TestFormat(t *testing.T) {
	t.Parallel()
	types := []string{"application/pidf+xml", "application/pidf-diff+xml"}
	for accept, want := range map[string]int{
		"application/pidf+xml;q=0.3, application/pidf-diff+xml;q=1": 1, // RFC 5263, 5
		"application/pidf-diff+xml, application/pidf+xml":           1,
		"application/pidf+xml, application/pidf-diff+xml":           1,
		"application/pidf+xml, application/pidf-diff+xml;q=0.9":     0,
		"application/pidf+xml, */*":                                 0,
		"application/pidf-diff+xml, */*":                            1,
		"application/pidf-diff+xml;q=0, application/pidf+xml":       0,
		"application/pidf-diff+xml;q=0.9, */*;q=0.8":                1,
		"application/pidf+xml;q=0.1, */*":                           1,
		"application/pidf+xml;q=0, */*;q=0.1":                       1,
		"application/pidf+xml;q=0, application/*":                   1,
		"*/*;q=0, application/pidf+xml":                             0,
		"*/*":                                                       0,
		"application/pidf+xml;q=x":                                  0,
		"application/pidf-diff+xml;q=0, application/pidf+xml;q=0":   -1,
		"*/*;q=0": -1,
	} {
		got, no := format(message(t, subscribeText("Accept: "+accept+"\n")), types)
		if no != nil {
			got = -1
		}
		if got != want {
			t.Errorf("%s: %d, not %d", accept, got, want)
		}
	}
}

func TestRates(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]float64{
		"1": 1, "0.5": 0.5, "99.9999999999": 99.9999999999, "0.0000000001": 1e-10, "00.10": 0.1,
		"": 0, "0": 0, "0.0": 0, "100": 0, ".5": 0, "1.": 0, "1e1": 0, "-1": 0, "+1": 0, "0.00000000001": 0, "1.2.3": 0, "NaN": 0, " 1": 0,
	} {
		if got, ok := rate(text); ok != (want != 0) || ok && got != want {
			t.Errorf("%q is %v, %t", text, got, ok)
		}
	}
	for v, want := range map[float64]string{0.2: "0.2", 1: "1", 10: "10", 1e-10: "0.0000000001", 1.0 / 3: "0.3333333333"} {
		if got := formatRate(v); got != want {
			t.Errorf("%v is %s", v, got)
		}
	}
	// RFC 6446, 7.4: who has had many lately waits longer, within max-rate and min-rate.
	now := int64(time.Hour)
	r := rates{adaptive: 0.1}
	if got := r.silence(now); got != fastest {
		t.Errorf("after nothing at all %v", got)
	}
	for range 2 * adaptivePeriod {
		r.noted(now)
	}
	if got := r.silence(now); got.Round(time.Second) != 20*time.Second {
		t.Errorf("after twice as many as wanted %v", got)
	}
	r.most = 15 * time.Second
	if got := r.silence(now); got != r.most {
		t.Errorf("with min-rate %v", got)
	}
	r.most, r.least = 0, 30*time.Second
	if got := r.silence(now); got != r.least {
		t.Errorf("with max-rate %v", got)
	}
	for range 10 * maxHistory {
		r.noted(now)
	}
	if len(r.sent) > maxHistory {
		t.Errorf("%d are remembered", len(r.sent))
	}
}

// TestHappenings: who observes hears of each step of RFC 3857, 4.7.1 once.
func TestHappenings(t *testing.T) {
	t.Parallel()
	var heard []string
	b := newBench(t, func(s *Subscription, h Happening, _ time.Time, _ *shard.Batch) {
		step := fmt.Sprintf("%s %s", h.Event, s.State())
		if h.Began {
			step += ", began"
		}
		heard = append(heard, step)
	})
	want := func(steps ...string) {
		t.Helper()
		if !slices.Equal(heard, steps) {
			t.Errorf("heard %q, not %q", heard, steps)
		}
		heard = nil
	}
	decide := func(state, verdict State) {
		for _, s := range slices.Clone(b.res.Subscribers()) {
			b.table.Decided(s, Grant{State: state, Verdict: verdict, Class: int32(verdict)}, b.now, &b.out)
		}
		b.settle()
	}
	b.answer(only(t, b.subscribe("Expires: 600\n", ""), 200, 1), 200)
	want("subscribe active, began")
	decide(Active, Active)
	decide(Active, Active)
	want("approved active")
	decide(Pending, Pending)
	want("subscribe pending")
	decide(Active, Pending)
	want()
	decide(Active, Refused)
	want("rejected active")
	b.subscribe("Expires: 600\n", "")
	want() // a refresh is nothing new
	b.subscribe("Expires: 0\n", "")
	want("timeout terminated")
	b.tag = ""
	b.subscribe("Expires: 0\n", "")
	want("timeout terminated") // a fetch ends, and never began
	b.tag = ""
	b.subscribe("Expires: 1\n", "")
	b.tick(2 * time.Second)
	want("subscribe active, began", "timeout terminated")
	b.tag = ""
	b.answer(only(t, b.subscribe("Expires: 600\n", ""), 200, 1), 481)
	want("subscribe active, began", "timeout terminated")
	for _, reason := range []string{"deactivated", "probation", "rejected", "giveup", "noresource"} {
		b.tag = ""
		b.subscribe("Expires: 600\n", "")
		b.table.End(b.res.Subscribers()[0], reason, b.now, &b.out)
		b.settle()
		want("subscribe active, began", reason+" terminated")
	}
	decide(Refused, Refused)
	b.tag = ""
	m := only(t, b.subscribe("Expires: 600\n", ""), 200, 1)
	decide(Refused, Refused)
	want("subscribe active, began", "rejected terminated")
	b.answer(m, 200)
	if etag, _ := m.Get(sip.HeaderSIPETag); etag != "" {
		b.tag = ""
		b.subscribe("Expires: 600\n", "")
		b.subscribe("Expires: 0\nSuppress-If-Match: "+etag+"\n", "")
		want("subscribe active, began", "timeout terminated")
	}

	// An ID is not the tag, and lasts.
	b.tag = ""
	b.subscribe("Expires: 600\n", "")
	tag, _ := ParseTag(b.tag)
	id := b.table.ID(tag)
	if len(id) != 2*idBytes || strings.Contains(b.tag, id[:8]) {
		t.Errorf("the ID %s of %s", id, b.tag)
	}
	b.restart()
	if again := b.table.ID(tag); again != id {
		t.Errorf("%s is %s after a restart", id, again)
	}
}

// RFC 5839, 4: a tag is of a state, in whatever dialog it was told. What this
// dialog was told before does not hide what comes after.
func TestTagFromElsewhere(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.answer(only(t, b.subscribe("Expires: 600\n", ""), 200, 1), 200)
	first := b.tag
	b.pkg.text, b.tag = "other", ""
	m := only(t, b.subscribe("Expires: 600\n", ""), 200, 1)
	b.answer(m, 200)
	etag, _ := m.Get(sip.HeaderSIPETag)
	b.tag = first
	only(t, b.subscribe("Expires: 600\nSuppress-If-Match: "+etag+"\n", ""), 204, 0)
	if sent := b.change("hello"); len(sent) != 2 || sent[0].Body != "hello" || sent[1].Body != "hello" {
		t.Errorf("%d are told", len(sent))
	}
	if b.pkg.told[len(b.pkg.told)-2] != 0 && b.pkg.told[len(b.pkg.told)-1] != 0 {
		t.Error("what was told elsewhere counts as told here")
	}
}
