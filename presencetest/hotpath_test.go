package presencetest_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/agent"
	"github.com/tacit-presence/tacit/compose"
	"github.com/tacit-presence/tacit/gate"
	"github.com/tacit-presence/tacit/identity"
	"github.com/tacit-presence/tacit/notifier"
	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/store"
)

const (
	hotWatchers = 10
	// maxAllocsPerNotify gates the hot path: what a NOTIFY may cost, with its
	// share of the PUBLISH behind it and of that one's 200, and its own answer;
	// the text that edge makes of each datagram is counted too.
	maxAllocsPerNotify = 2
)

// TestAllocationsPerNotify measures one PUBLISH that ten watchers are told of,
// from gate to gate.
func TestAllocationsPerNotify(t *testing.T) {
	p := newHotPath(t)
	rounds := 0
	perRound := testing.AllocsPerRun(200, func() { p.round(); rounds++ })
	if want := (rounds + warmUp) * hotWatchers; p.notified != want {
		t.Fatalf("%d NOTIFYs were sent, not %d", p.notified, want)
	}
	if got := perRound / hotWatchers; got > maxAllocsPerNotify && !raced {
		t.Errorf("%.2f allocations a NOTIFY, more than %d", got, maxAllocsPerNotify)
	} else {
		t.Logf("%.2f allocations a NOTIFY", got)
	}
}

// BenchmarkPublishNotify tells what the same costs; an operation is one NOTIFY.
func BenchmarkPublishNotify(b *testing.B) {
	p := newHotPath(b)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if n%hotWatchers == 0 {
			p.publish()
		}
		p.answer(n % hotWatchers)
	}
}

// hotPath is the way from gate to gate without sockets, goroutines and disk: each
// message is stepped at once, and what comes of it is sent at once to nobody.
type hotPath struct {
	gate    *gate.Gate
	machine *agent.Shard
	id      shard.ID
	now     time.Time
	flow    sip.Flow
	out     shard.Batch

	text     []byte              // of the PUBLISH
	etag     []byte              // of the last 200
	answers  [hotWatchers][]byte // to the NOTIFYs of the last one
	sent     int                 // of them
	notified int
	count    int64
}

// warmUp is how many rounds let buffers and pools grow.
const warmUp = 50

var hotAddr = netip.MustParseAddrPort("198.51.100.1:5060")

type hotAddresses struct{}

func (hotAddresses) SentBy(sip.Flow) string { return "192.0.2.1:5060" }
func (hotAddresses) Contact(sip.Flow, bool) string {
	return "<sip:tacit@192.0.2.1:5060;gr=urn:uuid:00000000-0000-4000-8000-000000000000>"
}
func (hotAddresses) MayDial(sip.Flow) bool { return false }

func newHotPath(tb testing.TB) *hotPath {
	tb.Helper()
	must := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	p := &hotPath{now: time.Unix(1_000_000_000, 0), flow: sip.Flow{Transport: sip.TransportUDP, Local: hotAddr, Remote: hotAddr}}
	users, err := identity.OpenDirectory(store.NewMemory(), []string{"example.com"})
	must(err)
	must(users.Put(identity.NewUser{Name: "alice", Password: "secret"}))
	auth, err := identity.NewAuthenticator(identity.Config{Directory: users, Trusted: []netip.Prefix{netip.PrefixFrom(hotAddr.Addr(), 24)}})
	must(err)
	alice := presence.Presentity("sip:alice@example.com")
	p.id = shard.Of(alice)
	p.machine = agent.New(agent.Config{
		ID: p.id, Composition: compose.Union(), Settings: agent.Settings{Default: policy.Block}, Owner: users.Owner,
		MinExpires: time.Second, MaxExpires: time.Hour, MaxPublications: 8, Counters: new(agent.Counters),
		Notifier: notifier.Config{
			Addresses: hotAddresses{}, Secret: make([]byte, 32), Timers: sip.DefaultTimers,
			Counters: new(notifier.Counters), Waiting: new(notifier.Waiting),
		},
	})
	rules := new(policy.Rules)
	for i := range hotWatchers {
		rules.Set(presence.AOR(fmt.Sprintf("sip:w%d@example.com", i)), policy.Allow)
	}
	must(p.machine.SetRules(alice, rules, p.now, &p.out))
	p.out.Reset()
	p.gate = gate.New(gate.Config{
		Identify: auth.Identify, Directory: users, Shards: p, Out: p,
		Transactions: sip.NewServerTable(1<<10, sip.DefaultTimers), Waiting: new(notifier.Waiting),
		Counters: new(gate.Counters), Now: func() time.Time { return p.now },
	})
	for i := range hotWatchers {
		p.receive(fmt.Appendf(nil, "SUBSCRIBE sip:alice@example.com SIP/2.0\r\n"+
			"Via: SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bKs%[1]d;rport\r\nMax-Forwards: 70\r\n"+
			"From: <sip:w%[1]d@example.com>;tag=w%[1]d\r\nTo: <sip:alice@example.com>\r\nCall-ID: sub%[1]d\r\n"+
			"CSeq: 1 SUBSCRIBE\r\nContact: <sip:w%[1]d@198.51.100.1:5060>\r\nP-Asserted-Identity: <sip:w%[1]d@example.com>\r\n"+
			"Event: presence\r\nExpires: 3600\r\nContent-Length: 0\r\n\r\n", i))
		p.answer(0)
		p.sent = 0
	}
	if p.notified != hotWatchers {
		tb.Fatalf("%d watchers were told at first", p.notified)
	}
	p.notified = 0
	for range warmUp {
		p.round()
	}
	return p
}

// round is one PUBLISH and all that follows.
func (p *hotPath) round() {
	p.publish()
	for i := range p.sent {
		p.answer(i)
	}
}

// publish modifies the publication; the document is of about 1 KB.
func (p *hotPath) publish() {
	p.sent = 0
	p.count++
	p.now = p.now.Add(10 * time.Millisecond)
	b := append(p.text[:0], "PUBLISH sip:alice@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bKp"...)
	b = strconv.AppendInt(b, p.count, 10)
	b = append(b, ";rport\r\nMax-Forwards: 70\r\nFrom: <sip:alice@example.com>;tag=a\r\nTo: <sip:alice@example.com>\r\nCall-ID: pub\r\nCSeq: "...)
	b = strconv.AppendInt(b, p.count, 10)
	b = append(b, " PUBLISH\r\nP-Asserted-Identity: <sip:alice@example.com>\r\nEvent: presence\r\nExpires: 3600\r\n"...)
	if len(p.etag) > 0 {
		b = append(append(append(b, "SIP-If-Match: "...), p.etag...), "\r\n"...)
	}
	b = append(b, "Content-Type: application/pidf+xml\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(hotBefore)+10+len(hotAfter)), 10)
	b = append(append(b, "\r\n\r\n"...), hotBefore...)
	for i, n := 0, p.count; i < 10; i, n = i+1, n/10 {
		b = append(b, '0'+byte(n%10))
	}
	p.text = append(b, hotAfter...)
	p.receive(p.text)
}

const hotBefore = `<?xml version="1.0" encoding="UTF-8"?>
<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model" xmlns:rpid="urn:ietf:params:xml:ns:pidf:rpid" entity="sip:alice@example.com">
<tuple id="ty4658"><status><basic>open</basic></status><rpid:class>sip</rpid:class><contact priority="0.8">sip:alice@desk.example.com</contact><note>`

var hotAfter = `</note><timestamp>2005-10-27T16:49:29Z</timestamp></tuple>
<dm:person id="p1"><rpid:activities><rpid:on-the-phone/></rpid:activities><rpid:mood><rpid:happy/></rpid:mood><dm:note>` +
	strings.Repeat("at the desk until five ", 10) + `</dm:note></dm:person>
<dm:device id="pc147"><rpid:user-input idle-threshold="600">idle</rpid:user-input><dm:deviceID>mac:8asd7d7d70</dm:deviceID></dm:device>
</presence>
`

// answer sends the 200 to the i-th NOTIFY of the last PUBLISH.
func (p *hotPath) answer(i int) { p.receive(p.answers[i]) }

// receive does what edge does with a datagram.
func (p *hotPath) receive(datagram []byte) {
	if p.gate.Glance(datagram, p.flow) {
		return
	}
	m := sip.NewMessage()
	err := m.Parse(string(datagram), sip.DefaultLimits)
	p.gate.Receive(m, p.flow, err)
}

// Submit implements gate.Shards.
func (p *hotPath) Submit(ev shard.Event) bool {
	p.machine.Step(&ev, p.now, &p.out)
	if ev.Msg != nil {
		ev.Msg.Release()
	}
	for i := range p.out.Sends {
		p.gate.Send(&p.out.Sends[i], p.out.Message(&p.out.Sends[i]))
	}
	p.out.Reset()
	return true
}

// SendRun implements gate.Out.
func (p *hotPath) SendRun(flow sip.Flow, messages []byte, size int, _ bool) bool {
	for m := range slices.Chunk(messages, size) {
		p.Send(flow, m, false, false)
	}
	return true
}

// Send implements gate.Out. Of a 200 it keeps the entity-tag, to a NOTIFY it
// makes the answer; once its buffers have grown it allocates nothing.
func (p *hotPath) Send(_ sip.Flow, message []byte, _, _ bool) shard.Outcome {
	if bytes.HasPrefix(message, []byte("SIP/2.0 200")) {
		if _, rest, ok := bytes.Cut(message, []byte("SIP-ETag: ")); ok {
			tag, _, _ := bytes.Cut(rest, []byte("\r\n"))
			p.etag = append(p.etag[:0], tag...)
		}
		return shard.Sent
	}
	if !bytes.HasPrefix(message, []byte("NOTIFY ")) {
		panic(string(message))
	}
	b := append(p.answers[p.sent][:0], "SIP/2.0 200 OK\r\n"...)
	for line := range bytes.Lines(message) {
		if len(line) <= 2 {
			break
		}
		for _, name := range [...]string{"Via:", "From:", "To:", "Call-ID:", "CSeq:"} {
			if len(line) > len(name) && string(line[:len(name)]) == name {
				b = append(b, line...)
			}
		}
	}
	p.answers[p.sent] = append(b, "Content-Length: 0\r\n\r\n"...)
	p.sent++
	p.notified++
	return shard.Sent
}

// Pin implements gate.Out.
func (p *hotPath) Pin(sip.Flow) {}

// BenchmarkSubscribe is a new subscription with its first NOTIFY and that one's
// answer; an operation is one SUBSCRIBE.
func BenchmarkSubscribe(b *testing.B) {
	p := newHotPath(b)
	p.machine.Reconfigure(agent.Settings{Default: policy.Allow}, p.now, &p.out)
	p.out.Reset()
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		p.now = p.now.Add(time.Millisecond)
		p.sent = 0
		p.text = fmt.Appendf(p.text[:0], "SUBSCRIBE sip:alice@example.com SIP/2.0\r\n"+
			"Via: SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bKb%[1]d;rport\r\nMax-Forwards: 70\r\n"+
			"From: <sip:w%[1]d@example.net>;tag=b%[1]d\r\nTo: <sip:alice@example.com>\r\nCall-ID: bench%[1]d\r\n"+
			"CSeq: 1 SUBSCRIBE\r\nContact: <sip:w%[1]d@198.51.100.1:5060>\r\nP-Asserted-Identity: <sip:w%[1]d@example.net>\r\n"+
			"Event: presence\r\nAccept: application/pidf+xml\r\nExpires: 3600\r\nContent-Length: 0\r\n\r\n", n)
		p.receive(p.text)
		p.answer(0)
	}
}
