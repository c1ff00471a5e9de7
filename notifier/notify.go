package notifier

import (
	"encoding/hex"
	"sort"
	"strconv"
	"time"

	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/watcherinfo"
)

// Changed says that the resource's state has changed: each of its active
// subscriptions of package p is told, at once or when the rate allows. Those of one
// class follow one another: what they are told is of one size, and so can leave
// together (docs/adr/0017).
func (t *Table) Changed(r *Resource, p Package, now time.Time, out *shard.Batch) {
	at := now.UnixNano()
	if !sort.IsSorted(byClass{r}) {
		sort.Stable(byClass{r})
	}
	for _, s := range r.subs {
		if s.Package == p && s.state == Active {
			s.dirty = true
			t.flush(s, at, out)
		}
	}
}

// byClass orders a resource's subscriptions.
type byClass struct{ *Resource }

func (o byClass) Len() int           { return len(o.subs) }
func (o byClass) Less(i, j int) bool { return o.subs[i].Grant.Class < o.subs[j].Grant.Class }
func (o byClass) Swap(i, j int) {
	o.subs[i], o.subs[j] = o.subs[j], o.subs[i]
	o.watchers[i], o.watchers[j] = o.watchers[j], o.watchers[i]
	o.subs[i].index, o.subs[j].index = i, j
}

// Ceased is Changed for a state that is over: it is told whatever the rate allows.
func (t *Table) Ceased(r *Resource, p Package, now time.Time, out *shard.Batch) {
	for _, s := range r.subs {
		if s.Package == p && s.state == Active {
			s.hurry = true
		}
	}
	t.Changed(r, p, now, out)
}

// Decided applies a new decision on one subscription (RFC 5025, 3.2.1: what each
// change of sub-handling does to a subscription that runs).
func (t *Table) Decided(s *Subscription, g Grant, now time.Time, out *shard.Batch) {
	old := s.Grant
	s.Grant = g
	if s.state == Terminated || g == old && g.State == s.state {
		return
	}
	if g.State == Refused {
		t.end(s, "rejected", now, out)
		return
	}
	s.dirty = true
	if g.State != s.state {
		// RFC 6446, 5.2: a change of state is not held back.
		s.state, s.force = g.State, true
		t.put(s, out)
	}
	t.judged(s, old.Verdict, now, out)
	if g.Narrowed {
		// Nothing wider stays on its way. But where nothing is narrower for this
		// watcher, a NOTIFY would only tell that a decision was taken.
		s.hurry = true
	}
	t.flush(s, now.UnixNano(), out)
}

// End ends a subscription with a NOTIFY that says why (RFC 6665, 4.1.3).
func (t *Table) End(s *Subscription, reason string, now time.Time, out *shard.Batch) {
	if s.state != Terminated {
		t.end(s, reason, now, out)
	}
}

// end tells the watcher that it is over, if it can be told, and keeps the tag
// and its record until repetitions of the request that ended it have died out.
func (t *Table) end(s *Subscription, reason string, now time.Time, out *shard.Batch) {
	s.state, s.reason = Terminated, reason
	s.forget = now.Add(forgetAfter).UnixNano()
	t.unlink(s)
	if !s.fetch {
		t.put(s, out)
	}
	t.happened(s, watcherinfo.Ending(reason), now, out)
	if s.detached {
		t.arm(s)
		return
	}
	s.dirty, s.force = true, true
	t.flush(s, now.UnixNano(), out)
}

// flush sends what is due, and sets the timer for what is not yet.
func (t *Table) flush(s *Subscription, now int64, out *shard.Batch) {
	ending := s.state != Terminated && s.expires <= now // Tick will say so
	if s.dirty && !s.detached && !ending && (s.force || s.hurry || !s.pending && now >= s.earliest(t.cfg.MinInterval)) {
		t.notify(s, now, out)
	}
	t.arm(s)
}

// earliest is when an ordinary NOTIFY may go.
func (s *Subscription) earliest(minInterval time.Duration) int64 {
	if s.lastNotify == 0 {
		return s.quiet
	}
	if s.extra != nil {
		minInterval = max(minInterval, s.extra.rates.least)
	}
	return max(s.lastNotify+int64(minInterval), s.quiet)
}

// arm sets s's one timer to the earliest of all it waits for.
func (t *Table) arm(s *Subscription) {
	at := s.expires
	if s.state == Terminated {
		at = s.forget
	}
	if s.pending {
		if next := s.tx.Next.UnixNano(); next < at {
			at = next
		}
	} else if s.dirty && !s.detached {
		at = min(at, s.earliest(t.cfg.MinInterval))
	} else if again := s.repeatAt(); again != 0 {
		at = min(at, again)
	}
	t.timers.set(s, at)
}

// Tick does what has come due.
func (t *Table) Tick(now time.Time, out *shard.Batch) {
	at := now.UnixNano()
	for next := t.timers.next(); next != 0 && next <= at; next = t.timers.next() {
		s := t.timers.heap[0]
		switch {
		case s.state == Terminated && s.forget <= at:
			t.forget(s, out)
			continue
		case s.state != Terminated && s.expires <= at:
			t.end(s, "timeout", now, out)
			continue
		case s.pending && s.tx.Next.UnixNano() <= at:
			t.retransmit(s, now, out)
		default:
			if again := s.repeatAt(); !s.pending && again != 0 && again <= at {
				s.dirty, s.force = true, true // RFC 6446, 6.2
			}
		}
		if _, alive := t.subs[s.Tag]; alive {
			t.flush(s, at, out)
		}
	}
}

func (t *Table) retransmit(s *Subscription, now time.Time, out *shard.Batch) {
	switch s.tx.Tick(now, t.cfg.Timers) {
	case sip.ClientRetransmit:
		t.cfg.Counters.Retransmitted.Add(1)
		t.write(s, out)
	case sip.ClientTimeout:
		// RFC 6665, 4.2.2: a NOTIFY that times out ends the subscription.
		t.cfg.Counters.TimedOut.Add(1)
		if s.guessed && s.state != Terminated {
			t.misguess(s)
			return
		}
		t.remove(s, now, out)
	}
}

// remove ends s without a word: its watcher has said, or shown, that it is gone.
func (t *Table) remove(s *Subscription, now time.Time, out *shard.Batch) {
	s.pending, s.dirty = false, false
	if s.state == Terminated {
		t.arm(s)
		return
	}
	s.state, s.forget = Terminated, now.UnixNano()
	t.forget(s, out)
	t.happened(s, watcherinfo.Timeout, now, out)
}

// notify sends the state as it is now.
func (t *Table) notify(s *Subscription, now int64, out *shard.Batch) {
	body := s.body(now)
	if s.hurry && !s.force && body.sum == s.lastSum && (s.pending || now < s.earliest(t.cfg.MinInterval)) {
		// It is not due, and nothing in it is narrower. If the watcher refused it and
		// is to be told again, one that came now would tell that a decision was taken.
		s.hurry = false
		return
	}
	mute := s.suppresses(body)
	if s.lastNotify != 0 && s.state == s.lastState && (mute || !s.force && body.sum == s.lastSum && !s.asks(body)) {
		// The change is not one that this watcher may see, or wants to (RFC 5839,
		// 6.3: whatever else would have it told).
		s.dirty, s.force, s.hurry = false, false, false
		return
	}
	s.dirty, s.force, s.hurry, s.sentMute = false, false, false, mute
	if !mute && body.text != "" && s.extra != nil && s.extra.suppress.sum != 0 {
		s.extra.suppress.sum = 0 // not true any more, nor after a restart
		if !s.fetch && s.state != Terminated {
			t.put(s, out)
		}
	}
	s.cseq++
	if s.cseq >= s.mark && !s.fetch && s.state != Terminated {
		s.mark = s.cseq + markStep
		t.put(s, out)
	}
	s.pending = true
	s.lastNotify, s.lastSum, s.lastState = now, body.sum, s.state
	s.sentState, s.sentBody = s.state, body
	s.told = 0
	if body.versionAt > 0 && !mute {
		s.version++
	}
	if s.extra != nil {
		s.extra.retry, s.extra.asked = 0, body.asked
		s.extra.rates.noted(now)
	}
	s.sentLeft = 0
	if s.state != Terminated {
		s.sentLeft = uint32((max(s.expires-now, 0) + int64(time.Second) - 1) / int64(time.Second))
	}
	s.tx.Start(time.Unix(0, now), s.flow.Transport.Reliable(), t.cfg.Timers)
	t.cfg.Counters.Notified.Add(1)
	t.write(s, out)
}

// body is what the NOTIFY that is due carries. A final one that answers a
// SUBSCRIBE, or says that time has run out, carries the state once more; one that
// says rejected has nothing to tell.
func (s *Subscription) body(now int64) Body {
	switch {
	case s.state == Active:
		return s.Package.Render(s, time.Unix(0, now))
	case s.state != Terminated || s.Grant.State != Active || !s.fetch && s.expires > now:
		return Body{}
	case s.over:
		// The resource does not know s any more, nor what its Class was.
		return s.sentBody
	}
	s.over = true
	return s.Package.Render(s, time.Unix(0, now))
}

// untold notes that the last NOTIFY has not arrived, so that what it said is
// news still.
func (s *Subscription) untold() {
	s.dirty, s.lastState, s.told = true, Refused, 0
}

// unsent gives back the version of a document that has certainly not left.
func (s *Subscription) unsent() {
	if s.sentBody.versionAt > 0 && !s.sentMute {
		s.version--
	}
}

// write builds the NOTIFY last sent, anew from its parts, so that nothing of it
// has to be kept for retransmission.
func (t *Table) write(s *Subscription, out *shard.Batch) {
	b := out.Buffer()
	b = append(b, "NOTIFY "...)
	b = append(b, s.target...)
	b = append(b, " SIP/2.0\r\nVia: SIP/2.0/"...)
	b = append(b, s.flow.Transport.String()...)
	b = append(b, ' ')
	b = append(b, t.cfg.Addresses.SentBy(s.flow)...)
	b = append(b, ";branch="+branchPrefix...)
	b = appendTag(b, s.Tag)
	b = append(b, '.')
	b = strconv.AppendUint(b, uint64(s.cseq), 10)
	b = append(b, ";rport\r\nMax-Forwards: 70\r\n"...)
	b = append(b, s.fixed...)
	b = append(b, "Contact: "...)
	b = append(b, t.cfg.Addresses.Contact(s.flow, s.sips())...)
	b = append(b, "\r\nCSeq: "...)
	b = strconv.AppendUint(b, uint64(s.cseq), 10)
	b = append(b, " NOTIFY\r\nSubscription-State: "...)
	b = append(b, s.sentState.String()...)
	if s.sentState == Terminated {
		b = append(b, ";reason="...)
		b = append(b, s.reason...)
	} else {
		b = append(b, ";expires="...)
		b = strconv.AppendUint(b, uint64(s.sentLeft), 10)
		if s.extra != nil {
			b = append(b, s.extra.rates.shown...)
		}
	}
	b = t.appendBody(b, s)
	out.Add(shard.Send{Flow: s.flow, ID: t.cfg.Shard, Dialog: s.Tag, Dial: s.dial, SwitchTCP: s.switchTCP}, b)
}

// appendBody appends what a NOTIFY carries, and the header fields about it.
func (t *Table) appendBody(b []byte, s *Subscription) []byte {
	body := &s.sentBody
	if body.text == "" {
		return append(b, "\r\nContent-Length: 0\r\n\r\n"...)
	}
	b = append(b, "\r\nSIP-ETag: "...)
	b = t.entityTag(b, s, *body)
	if s.sentMute {
		return append(b, "\r\nContent-Length: 0\r\n\r\n"...)
	}
	var number [10]byte
	version := number[:0]
	if body.versionAt > 0 {
		version = strconv.AppendUint(version, uint64(s.version-1+body.firstVersion), 10)
	}
	b = append(b, "\r\nContent-Type: "...)
	b = append(b, body.contentType...)
	b = append(b, "\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(body.text)+len(version)), 10)
	b = append(b, "\r\n\r\n"...)
	b = append(b, body.text[:body.versionAt]...)
	b = append(b, version...)
	return append(b, body.text[body.versionAt:]...)
}

func appendTag(b []byte, t Tag) []byte { return hex.AppendEncode(b, t[:]) }

// Response takes the answer to a NOTIFY.
func (t *Table) Response(ev *shard.Event, now time.Time, out *shard.Batch) {
	s := t.subs[ev.Dialog]
	if s == nil || !s.pending || ev.CSeq != s.cseq {
		t.cfg.Counters.StrayResponses.Add(1)
		return
	}
	status := ev.Status
	if status < 200 {
		s.tx.Provisional(now, t.cfg.Timers)
		t.arm(s)
		return
	}
	s.pending = false
	s.tx = sip.ClientTx{}
	switch {
	case status < 300:
		t.cfg.Counters.Answered.Add(1)
		s.guessed = false
		if s.sentState == Active && !s.sentMute {
			s.told = s.lastSum
		}
		t.paced(s, ev.Msg, now)
	case endsSubscription(status) && s.guessed && s.state != Terminated:
		t.cfg.Counters.Failed.Add(1)
		t.misguess(s)
		return
	case endsSubscription(status):
		t.cfg.Counters.Failed.Add(1)
		t.remove(s, now, out)
		return
	default:
		t.cfg.Counters.Failed.Add(1)
		t.postpone(s, ev.Msg, now)
	}
	s.sentBody, s.sentMute = Body{}, false
	t.flush(s, now.UnixNano(), out)
}

// paced takes new rates from a 2xx to a NOTIFY (RFC 6446, 5.2): its Event says
// all of them anew; without one nothing changes. One of another package says
// nothing (RFC 6446, 9.3).
func (t *Table) paced(s *Subscription, m *sip.Message, now time.Time) {
	if m == nil {
		return
	}
	event, ok := m.Get(sip.HeaderEvent)
	if !ok {
		return
	}
	name, params := sip.SplitParams(event)
	if want, any, ok := readRates(params); ok && name == string(s.Package.Name()) {
		t.setRates(s, want, any, now.UnixNano())
	}
}

// endsSubscription lists the codes of RFC 6665, 4.2.2 exactly.
func endsSubscription(status int) bool {
	switch status {
	case 404, 405, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604:
		return true
	}
	return false
}

// postpone keeps a subscription whose watcher could not take the NOTIFY just
// now: it is told again when it says, or a while after a failure of its own. Not
// with whatever happens next: that may be what this watcher must not learn of.
func (t *Table) postpone(s *Subscription, m *sip.Message, now time.Time) {
	if s.state == Terminated {
		return // it has heard of it
	}
	v, ok := m.Get(sip.HeaderRetryAfter)
	if !ok || m.Status != 500 && m.Status != 503 {
		if m.Status >= 500 && m.Status < 600 {
			s.more().retry = now.Add(failedFor).UnixNano()
		}
		return // RFC 3261, 21.4: the same again would be refused again
	}
	v, _ = sip.SplitParams(v)
	digits := 0
	for digits < len(v) && '0' <= v[digits] && v[digits] <= '9' {
		digits++
	}
	n, err := sip.ParseUint32(v[:digits])
	if err != nil {
		return
	}
	s.quiet = now.Add(min(time.Duration(n)*time.Second, maxRetryAfter)).UnixNano()
	s.dirty, s.lastState = true, Refused // what it refused is not what it was told
}
