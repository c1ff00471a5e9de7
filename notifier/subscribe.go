package notifier

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/watcherinfo"
)

// ask is what a SUBSCRIBE asks for.
type ask struct {
	pkg      Package
	eventID  string
	params   string // of Event
	expires  time.Duration
	target   string
	format   int    // index in pkg.Accepts
	body     string // and its type, empty if there is none
	bodyType string
	rates    [len(rateNames)]float64
	rated    bool
	match    string // Suppress-If-Match; empty: none
	// instance is the Contact's, as instanceKey gives it.
	instance uint64
}

// refusal is an error answer to a request.
type refusal struct {
	status  int
	reason  string
	headers []sip.Header
}

// Subscribe takes a SUBSCRIBE outside any dialog (RFC 6665, 4.2.1.1).
func (t *Table) Subscribe(ev *shard.Event, res *Resource, now time.Time, out *shard.Batch) {
	a, no := t.read(ev.Msg)
	if no != nil {
		t.refuse(ev, no, out)
		return
	}
	tag := t.tag(ev)
	s := t.subs[tag]
	if s == nil && t.afresh(now) {
		s = res.madeBefore(ev)
	}
	if s != nil {
		t.again(ev, s, a, now, out)
		return
	}
	s = &Subscription{
		Tag: tag, Resource: res, Watcher: ev.Who, Package: a.pkg, EventID: strings.Clone(a.eventID),
		Entity: res.entity(ev.Msg.RequestURI), peer: peerKey(ev.Msg.CallID, ev.Msg.From.Tag()),
		request: Fingerprint(ev.Msg), fetch: a.expires == 0, index: -1,
	}
	s.format = uint8(a.format)
	if no := s.askPackage(a); no != nil {
		t.refuse(ev, no, out)
		return
	}
	s.Grant = a.pkg.Decide(s, now)
	if s.Grant.State == Refused {
		t.refuse(ev, &refusal{status: 403}, out)
		return
	}
	if t.cfg.MaxPer > 0 && res.count(s) >= t.cfg.MaxPer {
		// RFC 3261, 21.5.4: at a 503 a proxy would send nobody's requests here any more.
		t.refuse(ev, &refusal{status: 500, reason: "Too Many Subscriptions", headers: []sip.Header{{ID: sip.HeaderRetryAfter, Value: "60"}}}, out)
		return
	}
	if no := t.dialog(s, ev, a); no != nil {
		t.refuse(ev, no, out)
		return
	}
	s.parameters(a.params)
	s.state, s.since, s.expires = s.Grant.State, now.UnixNano(), now.Add(a.expires).UnixNano()
	s.event = watcherinfo.Subscribe
	t.add(s)
	t.setRates(s, a.rates, a.rated, now.UnixNano())
	t.conditional(s, a, now.UnixNano()) // RFC 5839, 6.2: there is a NOTIFY, without its body
	t.cfg.Counters.Accepted.Add(1)
	t.accept(ev, s, a.expires, out)
	if s.fetch {
		// A repeated fetch after a restart must not fall behind in CSeq.
		s.cseq = uint32(now.Unix()) & 0x7fffffff
		t.end(s, "timeout", now, out)
		return
	}
	s.mark = markStep
	t.put(s, out)
	if t.cfg.Observe != nil {
		t.cfg.Observe(s, Happening{Event: watcherinfo.Subscribe, Began: true}, now, out)
	}
	s.dirty, s.force = true, true
	t.flush(s, now.UnixNano(), out)
}

// InDialog takes a SUBSCRIBE with a To tag: refresh or unsubscribe (RFC 6665,
// 4.2.1.4).
func (t *Table) InDialog(ev *shard.Event, tag Tag, now time.Time, out *shard.Batch) {
	s := t.subs[tag]
	if s == nil || s.peer != peerKey(ev.Msg.CallID, ev.Msg.From.Tag()) || s.Watcher.AOR() != ev.Who.AOR() {
		t.refuse(ev, &refusal{status: 481}, out)
		return
	}
	a, no := t.read(ev.Msg)
	if no != nil {
		t.refuse(ev, no, out)
		return
	}
	if a.pkg != s.Package || a.eventID != s.EventID {
		t.refuse(ev, &refusal{status: 403, reason: "Dialog Sharing Is Not Supported"}, out) // RFC 6665, 4.5.2
		return
	}
	if s.state == Terminated {
		again := a.expires == 0 && (s.request == Fingerprint(ev.Msg) ||
			s.restored && t.afresh(now) && RepetitionOf(ev.Msg).Of(s.request))
		if again { // the answer to the request that ended it was lost
			status := 200
			if a.match != "" && s.extra != nil && s.extra.suppress.always {
				status = 204
			}
			t.answer(ev, s, status, 0, out)
			return
		}
		t.refuse(ev, &refusal{status: 481}, out)
		return
	}
	if seq := ev.Msg.CSeq.Seq; seq < s.remoteSeq || seq == s.remoteSeq && Fingerprint(ev.Msg) != s.request {
		t.refuse(ev, &refusal{status: 500, reason: "CSeq Out Of Order"}, out) // RFC 3261, 12.2.2
		return
	}
	t.refresh(ev, s, a, now, out)
}

// again takes the repetition of a dialog's first SUBSCRIBE.
func (t *Table) again(ev *shard.Event, s *Subscription, a ask, now time.Time, out *shard.Batch) {
	if s.state == Terminated || s.fetch {
		t.accept(ev, s, 0, out)
		return
	}
	t.refresh(ev, s, a, now, out)
}

func (t *Table) refresh(ev *shard.Event, s *Subscription, a ask, now time.Time, out *shard.Batch) {
	if no := s.askPackage(a); no != nil {
		t.refuse(ev, no, out)
		return
	}
	if no := t.dialog(s, ev, a); no != nil {
		t.refuse(ev, no, out)
		return
	}
	s.parameters(a.params)
	s.request = Fingerprint(ev.Msg)
	s.expires = now.Add(a.expires).UnixNano()
	told := s.told
	if s.format != uint8(a.format) {
		told = 0 // RFC 5263, 4.4: what it has is of the other format
	}
	// RFC 3857, 4.3 and RFC 5263, 4.4: who subscribes anew is told all.
	s.told, s.format = 0, uint8(a.format)
	if s.extra != nil {
		s.extra.suppress = condition{}
	}
	t.setRates(s, a.rates, a.rated, now.UnixNano())
	if a.bodyType != "" {
		// What was decided stays, but what it means for the body does not.
		if g := a.pkg.Decide(s, now); g.State == s.state {
			s.Grant = g
		}
	}
	t.cfg.Counters.Refreshed.Add(1)
	if t.conditional(s, a, now.UnixNano()) && s.lastState == s.state {
		s.told = told
		t.silent(ev, s, a, now, out)
		return
	}
	t.accept(ev, s, a.expires, out)
	if a.expires == 0 {
		t.end(s, "timeout", now, out)
		return
	}
	s.remark()
	t.put(s, out)
	s.dirty, s.force = true, true
	t.flush(s, now.UnixNano(), out)
}

// remark moves the mark on where little is left below it, since s is stored anyway.
func (s *Subscription) remark() {
	if s.mark <= s.cseq+markStep/2 {
		s.mark = s.cseq + markStep
	}
}

// read checks the parts of a SUBSCRIBE that do not depend on the resource.
func (t *Table) read(m *sip.Message) (a ask, no *refusal) {
	event, _ := m.Get(sip.HeaderEvent)
	name, params := sip.SplitParams(event)
	a.params = params
	if a.pkg = t.Package(presence.EventPackage(name)); a.pkg == nil {
		return a, &refusal{status: 489, headers: []sip.Header{t.AllowEvents()}}
	}
	if a.eventID, _ = sip.HeaderParam(params, "id"); !token(a.eventID) {
		return a, &refusal{status: 400, reason: "Event Id Must Be a Token"} // RFC 6665, 8.4
	}
	var ok bool
	if a.rates, a.rated, ok = readRates(params); !ok {
		return a, &refusal{status: 400, reason: "Malformed Rate"}
	}
	if a.format, no = format(m, a.pkg.Accepts()); no != nil {
		return a, no
	}
	if no = a.read(m); no != nil {
		return a, no
	}
	if v, ok := m.Get(sip.HeaderSuppressIfMatch); ok {
		if v == "" || v != anyTag && !token(v) {
			return a, &refusal{status: 400, reason: "Suppress-If-Match Must Be One Entity-Tag"}
		}
		a.match = v
	}
	a.expires = a.pkg.DefaultExpires()
	if v, ok := m.Get(sip.HeaderExpires); ok {
		n, err := sip.ParseUint32(v)
		if err != nil {
			return a, &refusal{status: 400, reason: "Malformed Expires"}
		}
		a.expires = time.Duration(n) * time.Second
	}
	if a.expires > 0 && a.expires < t.cfg.MinExpires {
		return a, &refusal{status: 423, headers: []sip.Header{{ID: sip.HeaderMinExpires, Value: Seconds(t.cfg.MinExpires)}}}
	}
	a.expires = min(a.expires, t.cfg.MaxExpires)
	for v := range m.Values(sip.HeaderContact) {
		c, err := sip.ParseNameAddr(v)
		if err != nil || c.URI.Scheme != "sip" && c.URI.Scheme != "sips" {
			return a, &refusal{status: 400, reason: "Contact Must Be a SIP URI"}
		}
		a.target, a.instance = c.RawURI, instanceKey(c.Params)
		return a, nil
	}
	return a, &refusal{status: 400, reason: "Missing Contact"}
}

// token reports whether s holds only characters of a token (RFC 3261, 25.1); it
// is put into header fields of ours.
func token(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-.!%*_+`'~", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// AllowEvents is the header field that names the packages (RFC 6665, 8.2.2).
func (t *Table) AllowEvents() sip.Header {
	var names []string
	for _, p := range t.cfg.Packages {
		names = append(names, string(p.Name()))
	}
	return sip.Header{ID: sip.HeaderAllowEvents, Value: strings.Join(names, ", ")}
}

// dialog takes the dialog's state from a SUBSCRIBE: the first one, or one that
// refreshes the target (RFC 3261, 12.1.1 and 12.2.2).
func (t *Table) dialog(s *Subscription, ev *shard.Event, a ask) *refusal {
	m := ev.Msg
	if s.fixed == "" {
		if no := t.open(s, m, a); no != nil {
			return no
		}
	} else {
		s.retarget(a.target)
	}
	s.remoteSeq, s.instance = m.CSeq.Seq, a.instance
	t.attach(s, ev.Flow)
	t.route(s)
	return nil
}

// open takes what stays the same for the dialog's life from its first request.
func (t *Table) open(s *Subscription, m *sip.Message, a ask) *refusal {
	b, uri := t.scratch[:0], a.target
	b = append(b, uri...)
	if _, routed := m.Get(sip.HeaderRecordRoute); routed {
		d, err := sip.DialogFromRequest(m, "")
		if err != nil {
			return &refusal{status: 400, reason: "Malformed Dialog"}
		}
		var routes []string
		uri, routes = d.NextHop()
		s.strict = uri != d.RemoteTarget
		b = append(b[:0], uri...)
		for _, r := range routes {
			b = sip.AppendHeader(b, "Route", r)
		}
	}
	to, _ := m.Get(sip.HeaderTo)
	from, _ := m.Get(sip.HeaderFrom)
	b = append(b, "From: "...)
	b = append(b, to...)
	b = append(b, ";tag="...)
	b = appendTag(b, s.Tag)
	b = append(b, "\r\nTo: "...)
	b = append(b, from...)
	b = append(b, "\r\nCall-ID: "...)
	b = append(b, m.CallID...)
	b = append(b, "\r\nEvent: "...)
	b = append(b, a.pkg.Name()...)
	if a.eventID != "" {
		b = append(b, ";id="...)
		b = append(b, a.eventID...)
	}
	b = append(b, "\r\n"...)
	all := string(b)
	t.scratch = b
	s.target, s.fixed = all[:len(uri)], all[len(uri):]
	return nil
}

// retarget changes the remote target of the dialog. Where the first route is a
// strict router it stands last in Route instead (RFC 3261, 12.2.1.1).
func (s *Subscription) retarget(target string) {
	if !s.strict {
		if s.target != target {
			s.target = strings.Clone(target)
		}
		return
	}
	end := strings.Index(s.fixed, "\r\nFrom: ") + len("\r\n")
	last := strings.LastIndex(s.fixed[:end], routeName)
	s.fixed = s.fixed[:last] + routeName + "<" + target + ">\r\n" + s.fixed[end:]
}

// routeName begins each Route line of Subscription.fixed, which come first in it.
const routeName = "Route: "

// route chooses the way to the watcher: the way its request came, unless the
// next hop that it names lies in a configured range (never an address only
// because a message names it).
func (t *Table) route(s *Subscription) {
	hop := s.target
	if first, _, _ := strings.Cut(s.fixed, "\r\n"); !s.strict && strings.HasPrefix(first, routeName) {
		if n, err := sip.ParseNameAddr(strings.TrimSpace(first[len(routeName):])); err == nil {
			hop = n.RawURI
		}
	}
	s.dial, s.switchTCP = false, false
	u, err := sip.ParseURI(hop)
	if err != nil {
		return
	}
	transport, named := u.Param("transport")
	s.switchTCP = s.flow.Transport == sip.TransportUDP && !named && u.Scheme == "sip"
	to, ok := hopFlow(u, transport, s.flow)
	if !ok || to.Transport == sip.TransportUDP && to.Remote == s.flow.Remote || !t.cfg.Addresses.MayDial(to) {
		return
	}
	s.dial = true
	if s.flow.Conn == 0 || to.Transport == sip.TransportUDP {
		t.attach(s, to)
	}
}

// hopFlow is the flow to a URI whose host is an IP address.
func hopFlow(u sip.URI, transport string, from sip.Flow) (sip.Flow, bool) {
	ip, err := netip.ParseAddr(strings.Trim(u.Host, "[]"))
	if err != nil {
		return sip.Flow{}, false
	}
	f := sip.Flow{Transport: sip.TransportUDP, Local: from.Local}
	if transport != "" {
		if f.Transport, _ = sip.ParseTransport(transport); f.Transport == sip.TransportNone {
			return sip.Flow{}, false
		}
	} else if from.Transport != sip.TransportUDP {
		f.Transport = from.Transport
	}
	if u.Scheme == "sips" {
		f.Transport = sip.TransportTLS
	}
	port := u.Port
	if port == 0 {
		port = 5060
		if f.Transport == sip.TransportTLS {
			port = 5061
		}
	}
	f.Remote = netip.AddrPortFrom(ip, port)
	return f, true
}

// accept answers 200 (RFC 6665, 4.2.1.1).
func (t *Table) accept(ev *shard.Event, s *Subscription, left time.Duration, out *shard.Batch) {
	t.answer(ev, s, 200, left, out)
}

func (t *Table) answer(ev *shard.Event, s *Subscription, status int, left time.Duration, out *shard.Batch) {
	headers := make([]sip.Header, 0, 4)
	for _, h := range ev.Msg.Headers {
		if h.ID == sip.HeaderRecordRoute {
			headers = append(headers, sip.Header{ID: h.ID, Value: h.Value})
		}
	}
	headers = append(headers,
		sip.Header{ID: sip.HeaderContact, Value: t.cfg.Addresses.Contact(ev.Flow, s.sips())},
		sip.Header{ID: sip.HeaderExpires, Value: Seconds(left)})
	out.Reply(ev, sip.Reply{Status: status, ToTag: s.Tag.String(), Headers: headers})
}

func (t *Table) refuse(ev *shard.Event, no *refusal, out *shard.Batch) {
	t.cfg.Counters.Refused.Add(1)
	tag := t.tag(ev)
	out.Reply(ev, sip.Reply{Status: no.status, Reason: no.reason, ToTag: tag.String(), Headers: no.headers})
}

// sips reports whether our Contact is to be a SIPS URI: what was asked for is
// one, or else the first hop to the watcher (RFC 3261, 12.1.1).
func (s *Subscription) sips() bool {
	hop := s.target
	if first, routed := strings.CutPrefix(s.fixed, routeName); routed && !s.strict {
		_, hop, _ = strings.Cut(first, "<")
	}
	return hasSIPS(s.Entity) || hasSIPS(hop)
}

func hasSIPS(uri string) bool {
	const scheme = "sips:"
	return len(uri) >= len(scheme) && strings.EqualFold(uri[:len(scheme)], scheme)
}

// Seconds writes a duration as delta-seconds (RFC 3261, 25.1), rounded up.
func Seconds(d time.Duration) string {
	n := int64((d + time.Second - 1) / time.Second)
	if minutes := n / 60; n%60 == 0 && 0 <= minutes && minutes < int64(len(fullMinutes)) {
		return fullMinutes[minutes]
	}
	return strconv.FormatInt(n, 10)
}

// fullMinutes holds the usual answers, up to an hour, ready.
var fullMinutes = func() (t [61]string) {
	for i := range t {
		t[i] = strconv.Itoa(60 * i)
	}
	return t
}()

// entity returns the URI the watcher asked for, without parameters. Most ask for
// the same one, so it shares the string of the first.
func (r *Resource) entity(requestURI string) string {
	if len(r.subs) > 0 && r.subs[0].Entity == requestURI {
		return r.subs[0].Entity // the first one stands for most
	}
	e := strings.Clone(requestURI)
	if u, err := sip.ParseURI(requestURI); err == nil {
		u.Params, u.Headers, u.Password = "", "", ""
		e = u.String()
	}
	if len(r.subs) > 0 && r.subs[0].Entity == e {
		return r.subs[0].Entity
	}
	return e
}

// madeBefore finds the subscription that was made before a restart by the request
// that this one repeats with new credentials; nil: there is none.
func (r *Resource) madeBefore(ev *shard.Event) *Subscription {
	repetition := RepetitionOf(ev.Msg)
	for s := range r.Of(ev.Who.AOR()) {
		if s.restored && repetition.Of(s.request) && s.AskedFor(ev.Msg.RequestURI) {
			return s
		}
	}
	return nil
}

// count is how many there are like s already: of one alias, for a common limit
// would tell a watcher which ones are one presentity's.
func (r *Resource) count(s *Subscription) (n int) {
	for other := range r.Of(s.Watcher.AOR()) {
		if other.Package == s.Package && other.AskedFor(s.Entity) {
			n++
		}
	}
	return n
}

// AskedFor reports whether s was made for that address-of-record, however it is
// spelled, and not for another one of the same presentity.
func (s *Subscription) AskedFor(uri string) bool {
	if s.Entity == uri {
		return true
	}
	a, errA := sip.ParseAOR(s.Entity)
	b, errB := sip.ParseAOR(uri)
	return errA == nil && errB == nil && a == b
}
