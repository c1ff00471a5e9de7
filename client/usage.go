package client

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tacit-presence/tacit/sip"
)

const (
	// answeredKept is how many NOTIFYs are known again when they are repeated:
	// the server has one outstanding, and some may be late on the way.
	answeredKept = 16
	// tombstone is how long a usage that has ended still answers repetitions of
	// its last NOTIFY: Timer J (RFC 3261, 17.2.2).
	tombstone = 32 * time.Second
	// healthyPauses is how long a usage must have lived, in first pauses, to be
	// replaced at once: 10 s.
	healthyPauses = 20
)

// loss says how a usage ended.
type loss struct {
	err     error
	returns bool          // a new subscription may work
	atOnce  bool          // without a pause
	after   time.Duration // not before
}

// usage is one dialog with a subscription in it.
type usage struct {
	c      *Client
	s      *Subscription
	callID string
	tag    string
	made   time.Time
	seq    uint32 // of our requests; guarded by the subscription's turn

	mu          sync.Mutex
	dialog      sip.Dialog
	established bool
	heard       bool // dialog.RemoteSeq is known
	answered    []string
	healthy     bool // there was a NOTIFY that did not terminate
	sent        time.Time
	notified    time.Time
	notifyBy    time.Time // Timer N; zero: not running
	refreshAt   time.Time
	until       time.Time
	link        *link
	ended       bool
	why         loss
	pieces      pieces
}

func (c *Client) newUsage(s *Subscription) *usage {
	u := &usage{c: c, s: s, callID: newTag(), tag: newTag(), made: time.Now()}
	c.mu.Lock()
	c.usages[u.callID] = u
	c.mu.Unlock()
	return u
}

// endsSubscription is RFC 6665, 4.1.2.2: these answers to a refresh mean that
// the subscription is gone; others leave it until it expires.
func endsSubscription(status int) bool {
	switch status {
	case 404, 405, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604:
		return true
	}
	return false
}

// subscribe sends one SUBSCRIBE with its credentials.
func (u *usage) subscribe(ctx context.Context, expires time.Duration) error {
	o := &u.s.o
	event := o.Event
	if o.EventID != "" {
		event += ";id=" + o.EventID
	}
	r := &request{
		method: sip.MethodSubscribe, uri: u.s.target, from: u.c.aor, fromTag: u.tag, to: u.s.target,
		callID: u.callID, seq: &u.seq, hasContact: true,
		headers: []sip.Header{{Name: "Event", Value: event}, {Name: "Expires", Value: seconds(expires)}},
	}
	accept := o.Accept
	u.mu.Lock()
	u.pieces.askAt = time.Time{}
	if u.pieces.plain {
		accept = []string{PIDFType}
	}
	if u.established {
		r.toTag = u.dialog.RemoteTag
		r.uri, r.routes = u.dialog.NextHop()
	}
	u.sent = time.Now()
	u.mu.Unlock()
	if len(accept) > 0 {
		r.headers = append(r.headers, sip.Header{Name: "Accept", Value: strings.Join(accept, ", ")})
	}
	x, err := u.c.do(ctx, r)
	if err != nil {
		return err
	}
	return u.accepted(x, expires)
}

// accepted notes a 2xx. RFC 6665, 8.3.1: a 202 is like a 200.
func (u *usage) accepted(x exchange, asked time.Duration) error {
	granted, ok := headerSeconds(x.response, sip.HeaderExpires)
	if !ok {
		granted = asked // RFC 6665, 4.2.1.1: it must be there
	}
	var req sip.Message
	if err := req.Parse(string(x.request), sip.DefaultLimits); err != nil {
		return fmt.Errorf("client: own request: %w", err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	d, err := sip.DialogFromResponse(&req, x.response)
	switch {
	case err == nil && !u.established:
		u.dialog, u.established = d, true
	case err == nil && d.RemoteTag == u.dialog.RemoteTag:
		u.dialog.RemoteTarget = d.RemoteTarget
	case !u.established:
		return fmt.Errorf("%w: answer to SUBSCRIBE: %w", ErrProtocol, err)
	}
	u.link = x.link
	if asked == 0 {
		granted = timerN // only its last NOTIFY is waited for
	}
	u.until = now.Add(granted)
	u.refreshAt = u.until.Add(-margin(granted))
	// RFC 6665, 4.1.2.4: without a NOTIFY in Timer N there is no subscription.
	u.notifyBy = time.Time{}
	if u.notified.Before(u.sent) {
		u.notifyBy = now.Add(timerN)
	}
	return nil
}

// end ends the usage; the first reason stays. It answers repetitions for a
// while.
func (u *usage) end(why loss) {
	u.mu.Lock()
	first := !u.ended
	if first {
		u.ended, u.why = true, why
	}
	heard := u.heard
	u.mu.Unlock()
	if !first {
		return
	}
	remove := func() {
		u.c.mu.Lock()
		delete(u.c.usages, u.callID)
		u.c.mu.Unlock()
	}
	if heard {
		time.AfterFunc(tombstone, remove)
	} else {
		remove()
	}
}

func (u *usage) hasEnded() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.ended
}

func (u *usage) isEstablished() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.established
}

// wasHealthy reports whether it lived for a while: so that a server that ends
// each subscription at once is asked more and more seldom.
func (u *usage) wasHealthy() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.healthy && time.Since(u.made) > healthyPauses*u.c.pause
}

func (u *usage) loss() loss {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.why
}

// deadlines gives when to refresh, when all is over, and a channel that closes
// when the connection is lost.
func (u *usage) deadlines() (refresh, last time.Time, lost <-chan struct{}) {
	u.mu.Lock()
	defer u.mu.Unlock()
	last = u.until
	if !u.notifyBy.IsZero() && u.notifyBy.Before(last) {
		last = u.notifyBy
	}
	if u.link != nil {
		lost = u.link.done
	}
	refresh = u.refreshAt
	if ask := u.pieces.askAt; !ask.IsZero() && ask.Before(refresh) {
		refresh = ask
	}
	return refresh, last, lost
}

// notified handles a NOTIFY: its answer, and what delivers it.
func (c *Client) notified(m *sip.Message) (sip.Reply, func()) {
	c.mu.Lock()
	u := c.usages[m.CallID]
	c.mu.Unlock()
	// RFC 6665, 4.1.3: 481 where there is no such subscription.
	if u == nil || m.To.Tag() != u.tag {
		return sip.Reply{Status: 481, ToTag: newTag()}, nil
	}
	n, fault := readNotification(m)
	status, fresh := u.take(m, &n, fault)
	if !fresh {
		return sip.Reply{Status: status}, nil
	}
	return sip.Reply{Status: status}, func() {
		u.s.deliver(n)
		if n.State == StateTerminated {
			u.end(terminated(n))
			if !u.s.o.Persist {
				u.s.finish(nil)
			}
		}
		u.s.kick()
	}
}

// readNotification reads what a reader of notifications needs; fault is the
// status to refuse the NOTIFY with.
func readNotification(m *sip.Message) (n Notification, fault int) {
	value, ok := m.Get(sip.HeaderSubscriptionState)
	if !ok {
		return n, 400 // RFC 6665, 8.2.1: mandatory
	}
	state, params := sip.SplitParams(value)
	n = Notification{
		State: State(strings.ToLower(state)), Body: strings.Clone(m.Body), CSeq: m.CSeq.Seq, Received: time.Now(),
	}
	if n.Reason, ok = sip.HeaderParam(params, "reason"); ok {
		n.Reason = strings.ToLower(n.Reason)
	}
	if v, ok := sip.HeaderParam(params, "expires"); ok {
		n.Expires, _ = parseSeconds(v)
	}
	if v, ok := sip.HeaderParam(params, "retry-after"); ok {
		n.RetryAfter, _ = parseSeconds(v)
	}
	if v, ok := m.Get(sip.HeaderContentType); ok {
		n.ContentType = strings.Clone(v)
	}
	return n, 0
}

// take checks a NOTIFY against its dialog, and says what to answer and whether
// it is to be delivered.
func (u *usage) take(m *sip.Message, n *Notification, fault int) (status int, fresh bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if slices.Contains(u.answered, m.TopVia.Branch) {
		return 200, false // repeated, our answer was lost
	}
	value, _ := m.Get(sip.HeaderEvent)
	event, params := sip.SplitParams(value)
	id, _ := sip.HeaderParam(params, "id")
	switch {
	case u.ended,
		u.established && m.From.Tag() != u.dialog.RemoteTag, // a fork of the SUBSCRIBE: one dialog is enough
		event != u.s.o.Event || id != u.s.o.EventID:
		return 481, false
	case fault != 0:
		return fault, false
	}
	if !u.established {
		// RFC 6665, 4.4.1: the NOTIFY may come before the 2xx and makes the dialog.
		d, err := sip.DialogFromRequest(m, u.tag)
		if err != nil {
			return 400, false
		}
		u.dialog, u.established = d, true
		u.until = n.Received.Add(max(n.Expires, u.s.o.Expires))
		u.refreshAt = u.until.Add(-margin(u.s.o.Expires))
	}
	// RFC 3261, 12.2.2: a lower number is out of order; the same number on
	// another branch has been served.
	if u.heard && m.CSeq.Seq < u.dialog.RemoteSeq {
		return 500, false
	}
	if fresh = !u.heard || m.CSeq.Seq != u.dialog.RemoteSeq; fresh {
		u.note(m, n)
		fresh = u.assemble(n)
	}
	if len(u.answered) == answeredKept {
		u.answered = slices.Delete(u.answered, 0, 1)
	}
	u.answered = append(u.answered, strings.Clone(m.TopVia.Branch))
	return 200, fresh
}

// note keeps what a new NOTIFY says. The holder of mu calls it.
func (u *usage) note(m *sip.Message, n *Notification) {
	u.heard, u.dialog.RemoteSeq = true, m.CSeq.Seq
	u.notified, u.notifyBy = n.Received, time.Time{}
	if contact, ok := m.Get(sip.HeaderContact); ok {
		if addr, err := sip.ParseNameAddr(contact); err == nil { // RFC 6665, 4.4.1: target refresh
			u.dialog.RemoteTarget = strings.Clone(addr.RawURI)
		}
	}
	if n.State == StateTerminated {
		return
	}
	u.healthy = true
	// RFC 6665, 4.1.2.1: the notifier may shorten the time in a NOTIFY.
	if until := n.Received.Add(n.Expires); n.Expires > 0 && until.Before(u.until.Add(-time.Second)) {
		u.until = until
		u.refreshAt = until.Add(-margin(n.Expires))
	}
}

// terminated reads what may be done after a last NOTIFY (RFC 6665, 4.1.3).
func terminated(n Notification) loss {
	l := loss{returns: true, after: n.RetryAfter}
	switch n.Reason {
	case "deactivated", "timeout":
		l.atOnce = true
	case "rejected", "noresource", "invariant":
		l.returns = false
	}
	return l
}
