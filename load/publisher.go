package load

import (
	"time"

	"github.com/tacit-presence/tacit/sip"
)

// presentity is one source with one publication.
type presentity struct {
	request
	aor    string
	auth   string // header field line of the newest request
	etag   []byte
	seq    uint32        // of the newest document
	acked  uint32        // of the newest document that was acknowledged
	acks   uint32        // how many were
	sentAt time.Duration // of the newest document, since the run began
}

// publisher is a lane of presentities.
type publisher struct {
	lane
	all     []presentity
	body    []byte
	latency histogram // PUBLISH to its answer
}

func newPublisher(r *run, l *link, index, lanes int) *publisher {
	p := &publisher{lane: newLane(r, l, index, lanes)}
	for i := index; i < r.cfg.Presentities; i += lanes {
		p.all = append(p.all, presentity{aor: r.cfg.user(i)})
	}
	p.count = len(p.all)
	return p
}

func (p *publisher) base() *lane { return &p.lane }

func (p *publisher) next(now time.Time, out *outbox) bool {
	if p.stage == stageFirst {
		if p.cursor >= len(p.all) {
			return false
		}
		p.publish(p.cursor, now, out)
		p.cursor++
		return true
	}
	if !p.paced && p.r.behind() {
		return false
	}
	for range p.all {
		p.cursor = (p.cursor + 1) % len(p.all)
		if !p.all[p.cursor].out {
			p.publish(p.cursor, now, out)
			return true
		}
	}
	return false
}

// publish sends the next document of a presentity.
func (p *publisher) publish(i int, now time.Time, out *outbox) {
	u := &p.all[i]
	u.out, u.tries = true, 0
	u.seq++
	u.sentAt = now.Sub(p.r.began)
	p.out++
	p.n.requests++
	p.again(i, now, out)
}

// again sends the newest document in a new transaction.
func (p *publisher) again(i int, now time.Time, out *outbox) {
	u := &p.all[i]
	u.cseq++
	u.auth = p.creds.header(u.aor, u.aor, sip.MethodPublish)
	p.queue.add(i, u.cseq, now)
	p.write(i, out)
}

func (p *publisher) write(i int, out *outbox) {
	u := &p.all[i]
	p.body = p.r.cfg.document(p.body[:0], p.r.id, u.aor, u.seq, int64(u.sentAt))
	out.buf = p.w.publish(out.buf, u.aor, u.auth, u.etag, p.body, series{'p', p.number(i), u.cseq})
	out.end()
}

func (p *publisher) request(i int) *request { return &p.all[i].request }

// lost forgets the entity-tag: whether the server has a newer one is unknown.
func (p *publisher) lost(i int) { p.all[i].etag = nil }

func (p *publisher) receive(raw []byte, out *outbox) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.s
	if !s.scan(raw) || s.request || s.status < 200 {
		return
	}
	number, ok := index(s.callIDValue, p.w.publishID)
	if !ok {
		return
	}
	i, ok := p.local(number, len(p.all))
	if !ok {
		return
	}
	u := &p.all[i]
	if !u.out || s.number != u.cseq {
		return // answered before
	}
	now := time.Now()
	if s.status < 300 {
		p.acknowledged(u, now)
		u.out = false
		p.done(p, true, now, out)
		return
	}
	u.tries++
	again := u.tries < maxTries
	if again && (s.status == 401 || s.status == 407) && p.creds.learn(s, u.aor, p.r.cfg.password(p.number(i))) {
		p.again(i, now, out)
		return
	}
	p.n.statuses[s.status]++
	if again && s.status == 412 {
		u.etag = u.etag[:0]
		p.again(i, now, out)
		return
	}
	u.out = false
	p.done(p, false, now, out)
}

func (p *publisher) acknowledged(u *presentity, now time.Time) {
	u.etag = append(u.etag[:0], p.s.etag...)
	u.acked = u.seq
	u.acks++
	p.n.answers++
	if p.r.measures(u.sentAt) {
		p.latency.add(now.Sub(p.r.began) - u.sentAt)
	}
}
