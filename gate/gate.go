// Package gate is what every message passes, in and out: checked, known
// retransmissions answered, identified, budgeted, and only then given to the
// shard that owns what it is about; and outward, the bytes on their way to edge.
package gate

import (
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tacit-presence/tacit/identity"
	"github.com/tacit-presence/tacit/notifier"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/sip"
)

// Out sends bytes down a flow; package edge does.
type Out interface {
	Send(flow sip.Flow, message []byte, dial, switchTCP bool) shard.Outcome
	// SendRun sends requests over UDP at once, each of size bytes but the last,
	// which may be shorter; false: it has sent none.
	SendRun(flow sip.Flow, messages []byte, size int, switchTCP bool) bool
	// Pin keeps a silent connection open, since subscriptions live on it.
	Pin(flow sip.Flow)
}

// Shards takes events; shard.Runner does.
type Shards interface {
	// Submit reports false when the shard has too much to do.
	Submit(ev shard.Event) bool
}

// Config is what a Gate needs.
type Config struct {
	Identify  func(req *sip.Message, from netip.AddrPort, now time.Time) identity.Verdict
	Directory *identity.Directory
	// Conceals says of a domain of ours that nobody may learn who exists in it:
	// then a request about nobody goes to the shard that he would be in. nil: none.
	Conceals     func(domain string) bool
	Shards       Shards
	Out          Out
	Budgets      Budgets
	Transactions *sip.ServerTable
	Tags         notifier.TagKey // of the shards' dialogs
	Waiting      *notifier.Waiting
	Moved        *notifier.Moved // of those dialogs, which live elsewhere
	Trace        *Trace
	Accept       string // body types that PUBLISH takes, for OPTIONS
	AllowEvents  string
	// Personal are the event packages that tell everybody of what is his own: a
	// SUBSCRIBE to one, whatever address in our domains it is sent to, is about who
	// sends it, if that is a user of ours.
	Personal []presence.EventPackage
	Server   string // the Server header field; empty: none
	Logger   *slog.Logger
	Counters *Counters
	Now      func() time.Time
}

// Counters count by kind what the gate did.
type Counters struct {
	Requests       [len(methods)]atomic.Int64
	OtherRequests  atomic.Int64
	Responses      atomic.Int64
	Malformed      atomic.Int64 // answered or dropped
	Retransmitted  atomic.Int64
	Challenged     atomic.Int64
	Refused        atomic.Int64 // answered 4xx by the gate itself
	Overload       atomic.Int64 // answered 503
	Overspent      atomic.Int64 // beyond a watcher's budget
	StrayResponses atomic.Int64
	Sent           atomic.Int64
}

// methods are those served; their order is Allow's.
var methods = [...]sip.Method{sip.MethodOptions, sip.MethodRegister, sip.MethodPublish, sip.MethodSubscribe}

const (
	allow = "OPTIONS, REGISTER, PUBLISH, SUBSCRIBE"
	// retryAfter is what an overloaded shard asks for, in seconds.
	retryAfter = "5"
)

// Gate is the one way in and out.
type Gate struct {
	cfg Config
	// flows remembers which shards a connection's subscriptions live in.
	flows  flowShards
	purses purses
}

// New makes a Gate.
func New(cfg Config) *Gate {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Trace == nil {
		cfg.Trace = NewTrace()
	}
	return &Gate{cfg: cfg}
}

// Receive takes a message from edge. It owns m.
func (g *Gate) Receive(m *sip.Message, flow sip.Flow, err error) {
	g.cfg.Trace.In(m, flow)
	switch {
	case err != nil:
		g.malformed(m, flow, err)
	case m.IsRequest():
		g.request(m, flow)
	default:
		g.response(m, flow)
	}
}

// FlowClosed tells the shards that a connection has ended.
func (g *Gate) FlowClosed(flow sip.Flow) {
	for _, id := range g.flows.take(flow.Conn) {
		g.cfg.Shards.Submit(shard.Event{Kind: shard.FlowGone, ID: id, Flow: flow})
	}
}

// malformed answers what the parser refused, before any challenge and without
// state: 400 and its like to a request that can be answered, silence else.
func (g *Gate) malformed(m *sip.Message, flow sip.Flow, err error) {
	g.cfg.Counters.Malformed.Add(1)
	fault, ok := errors.AsType[*sip.StatusError](err)
	if ok && m.Answerable() && m.IsRequest() && m.Method != sip.MethodAck {
		g.answer(m, flow, sip.Reply{Status: fault.Status, Reason: fault.Reason})
	}
	m.Release()
}

func (g *Gate) response(m *sip.Message, flow sip.Flow) {
	g.cfg.Counters.Responses.Add(1)
	tag, cseq, ok := notifier.ParseBranch(m.TopVia.Branch)
	ev := shard.Event{Kind: shard.Response, ID: g.home(tag), Msg: m, Flow: flow, Dialog: tag, CSeq: cseq, Status: m.Status}
	if !ok || !g.cfg.Shards.Submit(ev) {
		g.cfg.Counters.StrayResponses.Add(1)
		m.Release()
	}
}

// request is the order in which a request is looked at. Nothing is kept of it
// until somebody is known to have sent it.
func (g *Gate) request(m *sip.Message, flow sip.Flow) {
	now := g.cfg.Now()
	g.count(m.Method)
	key, verdict, stored := g.cfg.Transactions.Lookup(m, now)
	if verdict != sip.Fresh {
		g.cfg.Counters.Retransmitted.Add(1)
		if verdict == sip.Answered {
			g.cfg.Out.Send(responseFlow(m, flow), stored, false, false)
		}
		m.Release()
		return
	}
	if g.answered(m, flow) {
		m.Release()
		return
	}
	who := g.cfg.Identify(m, flow.Remote, now)
	if !who.Principal.Present() {
		g.unidentified(m, flow, who)
		m.Release()
		return
	}
	if !who.Principal.Known() && m.Method != sip.MethodSubscribe {
		// Nobody may ask; but only somebody can publish or register.
		g.unidentified(m, flow, identity.Verdict{Status: 403})
		m.Release()
		return
	}
	ev := shard.Event{Kind: shard.Request, Msg: m, Flow: responseFlow(m, flow), Tx: key, Who: who.Principal}
	no := g.overspent(&ev, now)
	if no.Status == 0 {
		no = g.address(&ev)
	}
	if no.Status != 0 {
		g.cfg.Counters.Refused.Add(1)
		g.answer(m, flow, no)
		m.Release()
		return
	}
	if !g.cfg.Transactions.Begin(key, now) {
		m.Release() // the same request, on another goroutine, was first
		return
	}
	back := g.waiting(&ev)
	if m.Method == sip.MethodSubscribe {
		g.pin(flow, ev.ID)
	}
	if !g.cfg.Shards.Submit(ev) {
		g.cfg.Counters.Overload.Add(1)
		reply := sip.Reply{Status: 503, Headers: []sip.Header{{ID: sip.HeaderRetryAfter, Value: retryAfter}}}
		g.finish(&ev, g.build(m, flow, reply))
		m.Release()
	}
	// After the request itself, which may be the refresh that gives one of them
	// its way back.
	for _, id := range back.shards {
		g.pin(flow, id)
		if !g.cfg.Shards.Submit(shard.Event{Kind: shard.FlowSeen, ID: id, Flow: ev.Flow, Who: ev.Who, Contact: back.contact}) {
			g.cfg.Waiting.Add(ev.Who.AOR(), id)
		}
	}
}

// home is the shard that a dialog lives in.
func (g *Gate) home(tag notifier.Tag) shard.ID { return g.cfg.Moved.Shard(tag, g.cfg.Tags) }

// Pin keeps a connection that a subscription which was another shard's lives on, and
// tells that shard when it ends.
func (g *Gate) Pin(flow sip.Flow, id shard.ID) { g.pin(flow, id) }

// pin keeps a connection that subscriptions of a shard live on.
func (g *Gate) pin(flow sip.Flow, id shard.ID) {
	if g.flows.add(flow.Conn, id) {
		g.cfg.Out.Pin(flow)
	}
}

// unidentified answers a request whose sender is not known: a challenge or a
// refusal, both without state.
func (g *Gate) unidentified(m *sip.Message, flow sip.Flow, v identity.Verdict) {
	if len(v.Challenges) > 0 {
		g.cfg.Counters.Challenged.Add(1)
		g.answer(m, flow, sip.Reply{Status: 401, Headers: v.Challenges})
		return
	}
	g.cfg.Counters.Refused.Add(1)
	if v.Status == 0 {
		v.Status = 403
	}
	g.answer(m, flow, sip.Reply{Status: v.Status, Reason: v.Reason})
}

// address finds the shard that a request is for. A reply with a Status refuses.
func (g *Gate) address(ev *shard.Event) (no sip.Reply) {
	m := ev.Msg
	if m.Method == sip.MethodSubscribe && m.To.Tag() != "" {
		tag, ok := notifier.ParseTag(m.To.Tag())
		if !ok {
			return sip.Reply{Status: 481}
		}
		ev.ID = g.home(tag)
		return sip.Reply{}
	}
	about := m.RequestURI
	if m.Method == sip.MethodRegister {
		about = m.To.RawURI
		if u, err := sip.ParseURI(m.RequestURI); err != nil || !g.cfg.Directory.Serves(u.Host) {
			return sip.Reply{Status: 404}
		}
	}
	if g.personal(ev) {
		about = string(ev.Who.AOR())
	}
	p, ok := g.Presentity(about)
	if !ok {
		return sip.Reply{Status: 404}
	}
	ev.Presentity, ev.Owner, ev.ID = p, g.cfg.Directory.Owner(p), shard.Of(p)
	return sip.Reply{}
}

// personal reports whether a request is about who sends it. Who is no user of ours
// has nothing here; his request goes where it is sent to.
func (g *Gate) personal(ev *shard.Event) bool {
	if ev.Msg.Method != sip.MethodSubscribe || len(g.cfg.Personal) == 0 || !ev.Who.Known() {
		return false
	}
	event, _ := ev.Msg.Get(sip.HeaderEvent)
	name, _ := sip.SplitParams(event)
	if !slices.Contains(g.cfg.Personal, presence.EventPackage(name)) {
		return false
	}
	u, err := sip.ParseURI(ev.Msg.RequestURI)
	if err != nil || !g.cfg.Directory.Serves(u.Host) {
		return false
	}
	_, ours := g.presentity(string(ev.Who.AOR()))
	return ours
}

// presentity finds whom a URI names. Most write it as we do, and then nothing
// has to be made canonical.
func (g *Gate) presentity(uri string) (presence.Presentity, bool) {
	if p, ok := g.cfg.Directory.Presentity(presence.AOR(uri)); ok {
		return p, true
	}
	aor, err := sip.ParseAOR(uri)
	if err != nil {
		return "", false
	}
	return g.cfg.Directory.Presentity(aor)
}

// nobody names whom a URI would mean if he were a user of ours, where his domain
// conceals whether he is; else it is empty.
func (g *Gate) nobody(uri string) presence.Presentity {
	if g.cfg.Conceals == nil {
		return ""
	}
	aor, err := sip.ParseAOR(uri)
	if err != nil || !g.cfg.Directory.Serves(aor.Domain()) || !g.cfg.Conceals(aor.Domain()) {
		return ""
	}
	return presence.Presentity(aor)
}

// Presentity names whom a URI is about: a user of ours, or where it is concealed who
// exists, whoever would be.
func (g *Gate) Presentity(uri string) (presence.Presentity, bool) {
	if p, ok := g.presentity(uri); ok {
		return p, true
	}
	p := g.nobody(uri)
	return p, p != ""
}

// returning is a watcher some of whose subscriptions lost their connection.
type returning struct {
	shards  []shard.ID // where they are
	contact string     // by which they are known
}

// waiting finds the subscriptions that lost their connection and whose watcher
// is here again.
func (g *Gate) waiting(ev *shard.Event) (r returning) {
	if g.cfg.Waiting == nil || !g.cfg.Waiting.Any() {
		return r
	}
	for v := range ev.Msg.Values(sip.HeaderContact) {
		if _, err := sip.ParseNameAddr(v); err == nil {
			r.contact = v
			r.shards = g.cfg.Waiting.Take(ev.Who.AOR())
			break
		}
	}
	return r // without a Contact there is nothing to compare
}

// Send lets out what a shard has made durable; it is the runner's sender.
func (g *Gate) Send(s *shard.Send, message []byte) shard.Outcome {
	g.cfg.Counters.Sent.Add(1)
	g.cfg.Trace.Out(message, s.Flow)
	if s.Answer {
		g.cfg.Transactions.Answer(s.Tx, message, s.Flow.Transport.Reliable(), g.cfg.Now())
	}
	return g.cfg.Out.Send(s.Flow, message, s.Dial, s.SwitchTCP)
}

// SendRun lets out requests to one flow at once.
func (g *Gate) SendRun(run []shard.Send, messages []byte, size int) bool {
	if g.cfg.Trace.Active() {
		return false // who looks is shown each before it leaves
	}
	if !g.cfg.Out.SendRun(run[0].Flow, messages, size, run[0].SwitchTCP) {
		return false
	}
	g.cfg.Counters.Sent.Add(int64(len(run)))
	return true
}

// answer sends a response without state.
func (g *Gate) answer(m *sip.Message, flow sip.Flow, r sip.Reply) {
	b := g.build(m, flow, r)
	g.cfg.Trace.Out(b, flow)
	g.cfg.Out.Send(responseFlow(m, flow), b, false, false)
}

func (g *Gate) build(m *sip.Message, flow sip.Flow, r sip.Reply) []byte {
	r.Source = flow.Remote
	if m.To.Tag() == "" {
		r.ToTag = statelessTag(m)
	}
	return sip.AppendResponse(nil, m, r)
}

// finish answers within the transaction that has begun.
func (g *Gate) finish(ev *shard.Event, message []byte) {
	g.Send(&shard.Send{Flow: ev.Flow, Tx: ev.Tx, Answer: true}, message)
}

// responseFlow is where a response goes (RFC 3261, 18.2.2; RFC 3581, 4): over a
// stream the connection; over UDP the source address, with its port if rport
// was asked for, else the port that Via names.
func responseFlow(m *sip.Message, flow sip.Flow) sip.Flow {
	if flow.Transport != sip.TransportUDP || m.TopVia.HasRPort {
		return flow
	}
	port := m.TopVia.Port
	if port == 0 {
		port = 5060
	}
	flow.Remote = netip.AddrPortFrom(flow.Remote.Addr(), port)
	return flow
}

func (g *Gate) count(method sip.Method) {
	for i, m := range methods {
		if m == method {
			g.cfg.Counters.Requests[i].Add(1)
			return
		}
	}
	g.cfg.Counters.OtherRequests.Add(1)
}

// MethodNames lists the methods of Counters.Requests in order.
func MethodNames() []sip.Method { return methods[:] }

// ours reports whether a Request-URI's scheme is one we serve.
func ours(uri string) bool {
	scheme, _, _ := strings.Cut(uri, ":")
	switch strings.ToLower(scheme) {
	case "sip", "sips", "pres":
		return true
	}
	return false
}
