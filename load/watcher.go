package load

import (
	"time"

	"github.com/tacit-presence/tacit/sip"
)

// subscription is one watcher of one presentity. There may be hundreds of
// thousands, so it is small.
type subscription struct {
	request
	last   uint32 // newest document seen
	got    uint32 // different documents seen
	notify uint32 // CSeq of the newest NOTIFY
	active bool   // accepted, and not terminated
	heard  bool   // there was a NOTIFY
}

// watcher is a lane of subscriptions.
type watcher struct {
	lane
	all     []subscription
	auths   map[int]string // header field lines of outstanding SUBSCRIBEs
	marker  []byte
	heard   int       // subscriptions with a NOTIFY
	latency histogram // PUBLISH to NOTIFY
	classes []class
}

func newWatcher(r *run, l *link, index, lanes int) *watcher {
	w := &watcher{lane: newLane(r, l, index, lanes), auths: map[int]string{}}
	w.marker = []byte("run=" + r.id)
	for _, c := range r.cfg.Classes {
		w.classes = append(w.classes, newClass(c))
	}
	w.count = w.share(r.cfg.Presentities * r.cfg.Watchers)
	w.all = make([]subscription, w.count)
	return w
}

func (w *watcher) base() *lane { return &w.lane }

// addresses gives whom and who of a subscription.
func (w *watcher) addresses(i int) (presentity, own string) {
	n, m := w.number(i), w.r.cfg.Watchers
	return w.r.cfg.user(n / m), w.r.cfg.watcher(n/m, n%m)
}

func (w *watcher) next(now time.Time, out *outbox) bool {
	if w.stage != stageFirst || w.cursor >= len(w.all) {
		return false
	}
	i := w.cursor
	w.cursor++
	w.all[i].out = true
	w.out++
	w.n.requests++
	w.again(i, now, out)
	return true
}

// again sends a SUBSCRIBE in a new transaction.
func (w *watcher) again(i int, now time.Time, out *outbox) {
	u := &w.all[i]
	u.cseq++
	if len(w.creds) > 0 {
		to, own := w.addresses(i)
		w.auths[i] = w.creds.header(own, to, sip.MethodSubscribe)
	}
	w.queue.add(i, u.cseq, now)
	w.write(i, out)
}

func (w *watcher) write(i int, out *outbox) {
	to, own := w.addresses(i)
	out.buf = w.w.subscribe(out.buf, to, own, w.auths[i], series{'w', w.number(i), w.all[i].cseq})
	out.end()
}

func (w *watcher) request(i int) *request { return &w.all[i].request }

func (w *watcher) lost(int) {}

func (w *watcher) receive(raw []byte, out *outbox) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &w.s
	if !s.scan(raw) || s.request && !s.notify {
		return
	}
	if s.notify { // whatever it is for: a 200 costs the server least
		out.buf = s.appendOK(out.buf, w.link.rport)
		out.end()
	}
	number, ok := index(s.callIDValue, w.w.subscribeID)
	if !ok {
		return
	}
	i, ok := w.local(number, len(w.all))
	if !ok {
		return
	}
	if s.notify {
		w.notified(i)
	} else if s.status >= 200 {
		w.answered(i, out)
	}
}

// answered handles the final response to a SUBSCRIBE.
func (w *watcher) answered(i int, out *outbox) {
	u, s := &w.all[i], &w.s
	if !u.out || s.number != u.cseq {
		return // answered before
	}
	now := time.Now()
	challenge := s.status == 401 || s.status == 407
	if challenge && u.tries < maxTries {
		u.tries++
		n, m := w.number(i), w.r.cfg.Watchers
		password := w.r.cfg.password(w.r.cfg.watcherNumber(n/m, n%m))
		if _, own := w.addresses(i); w.creds.learn(s, own, password) {
			w.again(i, now, out)
			return
		}
	}
	u.out = false
	delete(w.auths, i)
	if s.status < 300 {
		u.active = true
		w.n.answers++
	} else {
		w.n.statuses[s.status]++
	}
	w.done(w, s.status < 300, now, out)
}

// notified handles a NOTIFY.
func (w *watcher) notified(i int) {
	u, s := &w.all[i], &w.s
	if u.heard && s.number <= u.notify {
		w.n.seenBefore++
		return
	}
	if !u.heard {
		u.heard = true
		w.heard++
	}
	u.notify = s.number
	w.n.notifies++
	if len(s.state) > 0 {
		switch s.state[0] | 0x20 {
		case 'p':
			w.n.pending++
		case 't':
			w.n.terminated++
			u.active = false
		}
	}
	seq, t, ok := sequence(s.body, w.marker)
	if ok && len(w.classes) > 0 {
		w.classes[w.number(i)%w.r.cfg.Watchers%len(w.classes)].count(s.body)
	}
	switch {
	case !ok || seq == u.last:
		return
	case seq < u.last:
		w.n.backwards++
		return
	}
	u.last = seq
	u.got++
	w.n.documents++
	if sent := time.Duration(t); w.r.measures(sent) {
		w.latency.add(time.Since(w.r.began) - sent)
	}
}
