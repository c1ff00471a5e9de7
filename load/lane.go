package load

import (
	"sync"
	"time"

	"github.com/tacit-presence/tacit/sip"
)

// stage is what a lane does at the moment.
type stage uint8

const (
	stageIdle   stage = iota // answers what comes, begins nothing
	stageFirst               // one SUBSCRIBE or PUBLISH for each
	stageRepeat              // PUBLISH again and again
)

// maxTries bounds the answers in a row that make a request be repeated at
// once: challenges and 412.
const maxTries = 4

// lane is what publishers and watchers have in common: many users on one link.
// The lanes' users are dealt out: lane l of n has l, l+n, l+2n...
type lane struct {
	r     *run
	link  *link
	w     writer
	index int
	lanes int

	mu     sync.Mutex // guards all below; nothing is sent under it
	stage  stage
	paced  bool // the run says when to begin; else an answer begins the next
	idle   int  // free places in the window
	cursor int  // next user
	count  int  // of users
	out    int  // outstanding requests
	queue  queue
	creds  credentials
	n      counters
	s      scanned
	own    outbox // of everything but the reader
}

func newLane(r *run, l *link, index, lanes int) lane {
	return lane{
		r: r, link: l, w: newWriter(&r.cfg, r.id, l.local), index: index, lanes: lanes,
		queue: queue{stream: l.stream}, creds: credentials{}, n: counters{statuses: map[int]int{}},
	}
}

// number gives a user's number in the run from that in the lane, and local the
// way back.
func (l *lane) number(local int) int { return local*l.lanes + l.index }
func (l *lane) local(number, count int) (int, bool) {
	i := number / l.lanes
	return i, number%l.lanes == l.index && i < count
}

// share gives this lane's part of something.
func (l *lane) share(total int) int {
	n := total / l.lanes
	if l.index < total%l.lanes {
		n++
	}
	return n
}

// request is where a user's newest request is.
type request struct {
	cseq  uint32 // of it
	tries uint8  // see maxTries
	out   bool   // it is outstanding
}

// user is one of both kinds of lane, as the run drives it.
type user interface {
	base() *lane
	// next begins a request of the next free user, and is false if there is
	// none. The holder of mu calls it.
	next(now time.Time, out *outbox) bool
	// request, write and lost are about the user of a number in the lane: where its
	// request is, sending that as it is, and that no answer has come. The holder of
	// mu calls them.
	request(i int) *request
	write(i int, out *outbox)
	lost(i int)
	// receive handles one message.
	receive(raw []byte, out *outbox)
}

// begin starts a stage with a share of the window; paced lanes wait for begun.
func begin(u user, s stage, window int, paced bool) error {
	l := u.base()
	l.mu.Lock()
	l.stage, l.paced, l.idle = s, paced, 0
	if s == stageFirst {
		l.cursor = 0
	}
	if !paced {
		l.idle = max(1, l.share(window)) - l.out
	}
	l.mu.Unlock()
	return pulse(u)
}

// pulse fills the window and repeats what is due.
func pulse(u user) error {
	l := u.base()
	l.mu.Lock()
	now := time.Now()
	l.repeat(u, now, &l.own)
	l.fill(u, now, &l.own)
	out := l.own
	l.own = outbox{}
	l.mu.Unlock()
	err := l.link.send(&out)
	l.mu.Lock()
	if l.own.buf == nil {
		l.own = out // its memory is used again
	}
	l.mu.Unlock()
	return err
}

// repeat sends what is due once more, and gives up what has been out for too long.
func (l *lane) repeat(u user, now time.Time, out *outbox) {
	l.queue.run(now, func(e *pending) bool {
		r := u.request(e.number)
		return r.out && r.cseq == e.cseq
	}, func(e *pending, a sip.ClientAction) {
		if a == sip.ClientRetransmit {
			l.n.repeated++
			u.write(e.number, out)
			return
		}
		l.n.timeouts++
		u.request(e.number).out = false
		u.lost(e.number)
		l.done(u, false, now, out)
	})
}

// fill begins requests while the window has free places.
func (l *lane) fill(u user, now time.Time, out *outbox) {
	for l.idle > 0 && l.stage != stageIdle && u.next(now, out) {
		l.idle--
	}
}

// push begins one request of a paced lane.
func push(u user, now time.Time, out *outbox) bool {
	l := u.base()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stage != stageIdle && u.next(now, out)
}

// done frees the place of a request that has its final answer; ok says that the
// next may begin at once. Otherwise the next tick begins it, so that a server
// that refuses all is not hammered.
func (l *lane) done(u user, ok bool, now time.Time, out *outbox) {
	l.out--
	if l.paced {
		return
	}
	l.idle++
	if ok {
		l.fill(u, now, out)
	}
}
