package load

import (
	"time"

	"github.com/tacit-presence/tacit/sip"
)

// tick is how often repetitions are looked after, and a window that was held back
// is filled. It is well below T1.
const tick = 5 * time.Millisecond

// pending is one request that waits for its answer. It is dropped at the next
// tick after that came.
type pending struct {
	number int // in its lane
	cseq   uint32
	tx     sip.ClientTx
}

// queue holds what a lane has outstanding.
type queue struct {
	list   []pending
	stream bool
}

func (q *queue) add(number int, cseq uint32, now time.Time) {
	p := pending{number: number, cseq: cseq}
	p.tx.Start(now, q.stream, sip.DefaultTimers)
	q.list = append(q.list, p)
}

// run asks live whether an entry still waits, and says what to do if its timer
// has run out (RFC 3261, 17.1.2.2).
func (q *queue) run(now time.Time, live func(p *pending) bool, act func(p *pending, a sip.ClientAction)) {
	kept := q.list[:0]
	for _, p := range q.list {
		if !live(&p) {
			continue
		}
		a := p.tx.Tick(now, sip.DefaultTimers)
		if a != sip.ClientNothing {
			act(&p, a)
		}
		if a != sip.ClientTimeout {
			kept = append(kept, p)
		}
	}
	q.list = kept
}
