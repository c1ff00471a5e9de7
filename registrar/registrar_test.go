package registrar

import (
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
	"github.com/tacit-presence/tacit/store"
)

const (
	alice = presence.AOR("sip:alice@example.com")
	al    = presence.AOR("sip:al@example.com")
)

// rig is a registrar with its clock and store.
type rig struct {
	*Registrar
	t      *testing.T
	now    time.Time
	store  *store.Memory
	seq    int
	writes int // records that the last request wrote
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return &rig{
		Registrar: New(Config{ID: 9, MinExpires: time.Minute, MaxExpires: time.Hour}),
		t:         t, now: time.Unix(1_000_000, 0), store: store.NewMemory(),
	}
}

func (r *rig) do(fn func(out *shard.Batch)) *shard.Batch {
	r.t.Helper()
	out := new(shard.Batch)
	fn(out)
	r.writes = out.Records.Len()
	done := make(chan error, 1)
	r.store.Commit(&out.Records, func(err error) { done <- err })
	if err := <-done; err != nil {
		r.t.Fatal(err)
	}
	return out
}

// register sends a REGISTER for an address and gives the answer.
func (r *rig) register(aor presence.AOR, call string, lines string) *sip.Message {
	r.t.Helper()
	r.seq++
	return r.send(fmt.Sprintf("REGISTER sip:example.com SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.1;branch=z9hG4bK%d\nMax-Forwards: 70\n"+
		"From: <%s>;tag=f\nTo: <%[2]s>\nCall-ID: %s\nCSeq: %[1]d REGISTER\n%[4]sContent-Length: 0\n\n", r.seq, aor, call, lines))
}

func (r *rig) send(text string) *sip.Message {
	r.t.Helper()
	m, answer := new(sip.Message), new(sip.Message)
	if err := m.Parse(strings.ReplaceAll(text, "\n", "\r\n"), sip.DefaultLimits); err != nil {
		r.t.Fatalf("%v in\n%s", err, text)
	}
	ev := shard.Event{
		Kind: shard.Request, ID: 9, Msg: m, Who: identity.RestorePrincipal(alice, presence.MechanismDigest),
		Owner: []presence.AOR{alice, al}, Flow: sip.Flow{Transport: sip.TransportUDP, Remote: netip.MustParseAddrPort("198.51.100.1:5060")},
	}
	out := r.do(func(out *shard.Batch) { r.Step(&ev, r.now, out) })
	if len(out.Sends) != 1 || !out.Sends[0].Answer {
		r.t.Fatalf("%+v", out.Sends)
	}
	if err := answer.Parse(string(out.Message(&out.Sends[0])), sip.DefaultLimits); err != nil {
		r.t.Fatal(err)
	}
	return answer
}

func contacts(m *sip.Message) (list []string) { return slices.Collect(m.Values(sip.HeaderContact)) }

func TestBindingsAreKept(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	m := r.register(alice, "a", "Contact: <sip:alice@198.51.100.1>;+sip.instance=\"<urn:uuid:1;x>\";expires=120;q=0.7, sip:alice@198.51.100.2\n")
	want := []string{`<sip:alice@198.51.100.1>;+sip.instance="<urn:uuid:1;x>";q=0.7;expires=120`, `<sip:alice@198.51.100.2>;expires=3600`}
	if m.Status != 200 || !slices.Equal(contacts(m), want) {
		t.Errorf("%d %q", m.Status, contacts(m))
	}
	if m.To.Tag() == "" {
		t.Error("no To tag")
	}
	// An alias is another address-of-record, with bindings of its own.
	if m := r.register(al, "b", "Contact: <sip:al@198.51.100.1>\n"); len(contacts(m)) != 1 {
		t.Errorf("%q", contacts(m))
	}
	b := r.Bindings(alice)
	if len(b) != 2 || b[0].URI != "sip:alice@198.51.100.1" || b[0].CallID != "a" || b[0].Expires != r.now.Add(2*time.Minute).UnixNano() {
		t.Errorf("%+v", b)
	}
	b[0].URI = "changed"
	if r.Bindings(alice)[0].URI == "changed" {
		t.Error("Bindings gives out its own")
	}
	// A query changes nothing.
	if m := r.register(alice, "c", ""); !slices.Equal(contacts(m), want) || r.writes != 0 {
		t.Errorf("%q, %d records", contacts(m), r.writes)
	}
}

func TestBindingsExpire(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.register(alice, "a", "Contact: <sip:a@198.51.100.1>;expires=100, <sip:b@198.51.100.1>;expires=200\n")
	r.register(al, "a", "Contact: <sip:c@198.51.100.1>;expires=150\n")
	for _, want := range []struct {
		after time.Duration
		left  int
	}{{100 * time.Second, 1}, {50 * time.Second, 1}, {50 * time.Second, 0}} {
		r.now = r.now.Add(want.after - 1)
		if d := r.Deadline(); !d.Equal(r.now.Add(1)) {
			t.Fatalf("the deadline is %v at %v", d, r.now)
		}
		r.do(func(out *shard.Batch) { r.Step(&shard.Event{Kind: shard.Tick}, r.now, out) }) // too early
		if r.writes != 0 {
			t.Error("removed too early")
		}
		r.now = r.now.Add(1)
		r.do(func(out *shard.Batch) { r.Step(&shard.Event{Kind: shard.Tick}, r.now, out) })
		if n := len(r.Bindings(alice)); n != want.left {
			t.Errorf("%d are left, not %d", n, want.left)
		}
	}
	if !r.Deadline().IsZero() || len(r.by) != 0 {
		t.Errorf("at the end: %v, %v", r.Deadline(), r.by)
	}
	again := New(r.cfg)
	if err := again.Restore(r.store); err != nil || len(again.by) != 0 {
		t.Errorf("%v, %v", again.by, err)
	}
}

// RFC 3261, 10.3, step 7: all of a request or nothing.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lines  string
		status int
	}{
		"one too brief":      {"Contact: <sip:a@198.51.100.1>, <sip:b@198.51.100.1>;expires=59\n", 423},
		"all too brief":      {"Contact: <sip:a@198.51.100.1>\nExpires: 1\n", 423},
		"* without Expires":  {"Contact: *\n", 400},
		"* with expires":     {"Contact: *\nExpires: 60\n", 400},
		"too many":           {"Contact: " + many(maxBindings) + "\n", 500},
		"CSeq of before":     {"", 500},
		"* with CSeq before": {"*", 500},
	} {
		r := newRig(t)
		r.seq = 10
		r.register(alice, "a", "Contact: <sip:old@198.51.100.1>\n")
		var m *sip.Message
		switch c.lines {
		case "":
			r.seq = 5
			m = r.register(alice, "a", "Contact: <sip:new@198.51.100.1>, <sip:old@198.51.100.1>;expires=60\n")
		case "*":
			r.seq = 5
			m = r.register(alice, "a", "Contact: *\nExpires: 0\n")
		default:
			m = r.register(alice, "b", c.lines)
		}
		if m.Status != c.status {
			t.Errorf("%s: %d, not %d", name, m.Status, c.status)
		}
		if b := r.Bindings(alice); len(b) != 1 || b[0].URI != "sip:old@198.51.100.1" || r.writes != 0 {
			t.Errorf("%s: left %+v", name, b)
		}
	}
}

func many(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("<sip:d%d@198.51.100.1>", i))
	}
	return strings.Join(list, ", ")
}

func TestOthersAddresses(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if m := r.send("REGISTER sip:example.com SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.1;branch=z9hG4bK1\nFrom: <sip:x@example.com>;tag=f\n" +
		"To: <tel:+15551234>\nCall-ID: x\nCSeq: 1 REGISTER\nContent-Length: 0\n\n"); m.Status != 404 {
		t.Errorf("a telephone number gets %d", m.Status)
	}
	r.register(alice, "a", "Contact: <sip:a@198.51.100.1>\n")
	r.do(func(out *shard.Batch) { r.Remove(alice, out); r.Remove(al, out) })
	if len(r.Bindings(alice)) != 0 || r.writes != 1 {
		t.Errorf("%d records, left %v", r.writes, r.Bindings(alice))
	}
}

func TestRestore(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.register(alice, "a", "Contact: <sip:a@198.51.100.1>;q=0.5\n")
	again := New(r.cfg)
	if err := again.Restore(r.store); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(again.Bindings(alice), r.Bindings(alice)) || !again.Deadline().Equal(r.Deadline()) {
		t.Errorf("%+v, %v", again.Bindings(alice), again.Deadline())
	}
	for name, record := range map[string]struct{ key, value []byte }{
		"key":   {store.Key(KeyKind, 9, "a", "b"), []byte{1, 0x80}},
		"value": {store.Key(KeyKind, 9, "x"), []byte("?")},
	} {
		st := store.NewMemory()
		if err := st.CompareAndSet(record.key, nil, record.value); err != nil {
			t.Fatal(err)
		}
		if err := New(r.cfg).Restore(st); err == nil {
			t.Errorf("%s: restored without a word", name)
		}
	}
}

func TestWithoutExpires(t *testing.T) {
	t.Parallel()
	for params, want := range map[string]string{
		"":                              "",
		";expires=60":                   "",
		";q=0.5;EXPIRES=60":             ";q=0.5",
		"; expires = 60 ; lr":           ";lr",
		`;a="x;expires=5";expires=7`:    `;a="x;expires=5"`,
		`;a="x\";expires=5";expires=7;`: `;a="x\";expires=5"`,
		";expiresnot=1":                 ";expiresnot=1",
	} {
		if got := withoutExpires(params); got != want {
			t.Errorf("%q: %q, not %q", params, got, want)
		}
	}
}
