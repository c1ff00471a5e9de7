package notifier

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/sip"
)

const (
	// forgetAfter is how long an ended subscription answers repetitions of the
	// request that ended it: 64*T1, RFC 3261's longest retransmission.
	forgetAfter = 32 * time.Second
	// markStep is how far the stored CSeq runs ahead of the used one: a restart
	// skips at most so many numbers, a record is written once in so many NOTIFYs.
	markStep = 1024
	// congestedFor is the pause after a connection's queue was full.
	congestedFor = 250 * time.Millisecond
	// redialAfter is the pause after a connection that could not be opened.
	redialAfter = 30 * time.Second
	// failedFor is the pause after a watcher's 5xx without Retry-After: it may be
	// well again, and if it is not, a NOTIFY a minute harms nobody.
	failedFor = time.Minute
	// maxRetryAfter bounds what a watcher's 503 can postpone.
	maxRetryAfter = 10 * time.Minute
)

// Config is what a Table needs.
type Config struct {
	Shard       shard.ID
	Packages    []Package
	Addresses   Addresses
	MinInterval time.Duration // least time between two NOTIFYs of one subscription (RFC 3856, 6.10)
	MinExpires  time.Duration // shorter requests get 423
	MaxExpires  time.Duration // longer ones are shortened
	MaxPer      int           // subscriptions of one watcher to one resource
	Secret      []byte        // keys the dialog tags; the same after a restart
	Timers      sip.Timers
	Counters    *Counters
	Waiting     *Waiting
	Moved       *Moved
	// Observe, if not nil, is called when a subscription begins, when Verdict on it
	// changes, and when it ends.
	Observe func(s *Subscription, h Happening, now time.Time, out *shard.Batch)
}

// Counters are shared by all shards.
type Counters struct {
	Subscriptions  atomic.Int64 // live now
	Accepted       atomic.Int64
	Refreshed      atomic.Int64
	Refused        atomic.Int64
	Notified       atomic.Int64
	Retransmitted  atomic.Int64
	Answered       atomic.Int64
	Failed         atomic.Int64 // final answers other than 2xx
	TimedOut       atomic.Int64
	TooLarge       atomic.Int64 // NOTIFYs that fit no datagram
	Ended          atomic.Int64
	StrayResponses atomic.Int64
}

// Table holds a shard's subscriptions.
type Table struct {
	cfg    Config
	subs   map[Tag]*Subscription
	byConn map[uint64][]*Subscription
	timers timers
	empty  []*Resource
	// resumed is when Resume was called.
	resumed int64

	mac       hash.Hash // keyed with cfg.Secret
	tagKey    TagKey
	tagSecret uint64 // of entity-tags
	scratch   []byte
	record    Record // put's, since the encoder makes it escape
}

// NewTable makes an empty one.
func NewTable(cfg Config) *Table {
	return &Table{
		cfg: cfg, subs: map[Tag]*Subscription{}, byConn: map[uint64][]*Subscription{},
		mac: hmac.New(sha256.New, cfg.Secret), tagKey: NewTagKey(cfg.Secret), tagSecret: hash64(hashSeed, "entity-tag"+string(cfg.Secret)),
	}
}

// Deadline is when Tick wants to be called; zero: never.
func (t *Table) Deadline() time.Time {
	if at := t.timers.next(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

// SetMinInterval changes the rate floor for NOTIFYs to come.
func (t *Table) SetMinInterval(d time.Duration) { t.cfg.MinInterval = d }

// Find returns the subscription with that tag, or nil.
func (t *Table) Find(tag Tag) *Subscription { return t.subs[tag] }

// Package returns the event package of that name, or nil.
func (t *Table) Package(name presence.EventPackage) Package {
	for _, p := range t.cfg.Packages {
		if p.Name() == name {
			return p
		}
	}
	return nil
}

// tag derives the dialog's tag from the request that makes it, so that its
// repetition, even after a restart or for a fetch, names the same dialog. What was
// asked for is in it too: two aliases of one presentity are two requests.
func (t *Table) tag(ev *shard.Event) Tag {
	m := ev.Msg
	event, _ := m.Get(sip.HeaderEvent)
	b := binary.BigEndian.AppendUint32(t.scratch[:0], m.CSeq.Seq)
	for _, s := range [...]string{string(ev.Presentity), m.RequestURI, string(ev.Who.AOR()), m.CallID, m.From.Tag(), event} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	t.mac.Reset()
	t.mac.Write(b)
	b = t.mac.Sum(b[:0])
	t.scratch = b
	return t.tagKey.Tag(t.cfg.Shard, [len(Tag{}) - 1]byte(b))
}

// Fingerprint tells whether a request is the one seen before: by Call-ID, CSeq,
// From tag, and, since one client's Call-IDs and tags begin anew at each start,
// by body, Expires and SIP-If-Match. It is the same in every process.
func Fingerprint(m *sip.Message) uint64 { return hashOf(m).with(m.CSeq.Seq) }

// Repetition knows the requests that one may repeat just after a restart of the
// server: its client had to authenticate itself with a new nonce, and so the
// repetition has the next CSeq number (RFC 3261, 22.2). The zero value is of a
// request without credentials, which would be repeated as it was.
type Repetition struct {
	hash requestHash
	seq  uint32
}

// maxAttempts is how many CSeq numbers a repetition may be ahead: one for each
// restart while the client tries.
const maxAttempts = 3

// RepetitionOf reads what m may be a repetition of.
func RepetitionOf(m *sip.Message) Repetition {
	if _, ok := m.Get(sip.HeaderAuthorization); !ok {
		return Repetition{}
	}
	return Repetition{hash: hashOf(m), seq: m.CSeq.Seq}
}

// Of reports whether it repeats the request with that fingerprint.
func (r Repetition) Of(print uint64) bool {
	for n := range min(r.seq, maxAttempts) {
		if r.hash.with(r.seq-1-n) == print {
			return true
		}
	}
	return false
}

// RepeatsFor is how long after a restart a client may be repeating a request of
// before: until its transaction times out (RFC 3261, 17.1.2.2: timer F).
const RepeatsFor = forgetAfter

// afresh reports whether the server has restarted just now.
func (t *Table) afresh(now time.Time) bool { return now.UnixNano() < t.resumed+int64(RepeatsFor) }

// requestHash is all of a fingerprint but CSeq.
type requestHash uint64

func hashOf(m *sip.Message) requestHash {
	expires, _ := m.Get(sip.HeaderExpires)
	match, _ := m.Get(sip.HeaderSIPIfMatch)
	h := hashSeed
	for _, s := range [...]string{m.CallID, m.From.Tag(), string(m.CSeq.Method), expires, match, m.Body} {
		h = hash64(h, s)
	}
	return requestHash(h)
}

func (h requestHash) with(cseq uint32) uint64 { return (uint64(h) ^ uint64(cseq)) * hashPrime }

// The hash of fingerprints, FNV-1a over words of eight bytes: it is stored, so it
// may never change, and a client that makes two of its requests collide harms
// itself alone.
const (
	hashSeed  uint64 = 14695981039346656037
	hashPrime uint64 = 1099511628211
)

func hash64(h uint64, s string) uint64 {
	h = (h ^ uint64(len(s))) * hashPrime
	for ; len(s) >= 8; s = s[8:] {
		word := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		h = bits.RotateLeft64((h^word)*hashPrime, 31)
	}
	for i := 0; i < len(s); i++ {
		h = (h ^ uint64(s[i])) * hashPrime
	}
	return h
}

// Emptied calls fn for each resource that has lost its last subscription since
// the last call.
func (t *Table) Emptied(fn func(*Resource)) {
	for i, r := range t.empty {
		t.empty[i] = nil
		fn(r)
	}
	t.empty = t.empty[:0]
}

// add enters s; its flow is bound by attach.
func (t *Table) add(s *Subscription) {
	t.subs[s.Tag] = s
	s.index = len(s.Resource.subs)
	s.Resource.subs = append(s.Resource.subs, s)
	s.Resource.watchers = append(s.Resource.watchers, watcherKey(s.Watcher.AOR()))
	t.cfg.Counters.Subscriptions.Add(1)
}

// unlink takes s from its resource, since it has ended; its tag and timer stay.
func (t *Table) unlink(s *Subscription) {
	if s.index >= 0 {
		t.depart(s)
		t.cfg.Counters.Ended.Add(1)
	}
}

// depart takes s from its resource.
func (t *Table) depart(s *Subscription) {
	subs := s.Resource.subs
	last := subs[len(subs)-1]
	subs[s.index] = last
	last.index = s.index
	subs[len(subs)-1] = nil
	s.Resource.subs = subs[:len(subs)-1]
	watchers := s.Resource.watchers
	watchers[s.index] = watchers[len(watchers)-1]
	s.Resource.watchers = watchers[:len(watchers)-1]
	s.index = -1
	if len(s.Resource.subs) == 0 {
		t.empty = append(t.empty, s.Resource)
	}
	t.cfg.Counters.Subscriptions.Add(-1)
}

// forget removes the last trace of s, its record too.
func (t *Table) forget(s *Subscription, out *shard.Batch) {
	t.unlink(s)
	t.unbind(s)
	t.timers.remove(s)
	delete(t.subs, s.Tag)
	if !s.fetch {
		out.Records.Delete(t.key(s.Tag))
	}
	if home := t.tagKey.Shard(s.Tag); home != t.cfg.Shard {
		t.cfg.Moved.Note(s.Tag, home, t.tagKey)
	}
}

// bind enters s under its connection.
func (t *Table) bind(s *Subscription) {
	if c := s.flow.Conn; c != 0 {
		t.byConn[c] = append(t.byConn[c], s)
	}
}

func (t *Table) unbind(s *Subscription) {
	list := t.byConn[s.flow.Conn]
	for i, other := range list {
		if other == s {
			list[i] = list[len(list)-1]
			list[len(list)-1] = nil
			list = list[:len(list)-1]
			if len(list) == 0 {
				delete(t.byConn, s.flow.Conn)
			} else {
				t.byConn[s.flow.Conn] = list
			}
			return
		}
	}
}

// FlowGone detaches the subscriptions of a connection that has ended: they wait
// for their watcher's next request, or are reached by dialling where that is
// allowed.
func (t *Table) FlowGone(f sip.Flow, now time.Time, out *shard.Batch) {
	if f.Conn == 0 {
		t.undialled(f, now)
		return
	}
	list := t.byConn[f.Conn]
	delete(t.byConn, f.Conn)
	for _, s := range list {
		s.flow.Conn = 0
		if s.pending {
			s.pending, s.tx = false, sip.ClientTx{}
			s.untold()
		}
		if t.route(s); s.dial {
			t.flush(s, now.UnixNano(), out)
			continue
		}
		t.detach(s)
		t.arm(s)
	}
}

// Undelivered says that a NOTIFY found its connection's queue full: its watcher
// takes less than it is told. The newest state goes when there may be room.
func (t *Table) Undelivered(tag Tag, now time.Time) {
	s := t.subs[tag]
	if s == nil || !s.pending {
		return
	}
	s.pending, s.tx = false, sip.ClientTx{}
	if s.flow.Transport.Reliable() {
		s.unsent()
	}
	s.untold()
	s.quiet = now.Add(congestedFor).UnixNano()
	t.arm(s)
}

// TooLarge says that a NOTIFY does not fit the only transport to its watcher: it
// would not leave however often it were repeated. That ends no subscription, the
// next state may fit; only a final NOTIFY goes once more, without its body, for
// there is no next one.
func (t *Table) TooLarge(tag Tag, now time.Time, out *shard.Batch) {
	s := t.subs[tag]
	if s == nil || !s.pending {
		return
	}
	t.cfg.Counters.TooLarge.Add(1)
	s.pending, s.tx = false, sip.ClientTx{}
	s.unsent()
	if s.state == Terminated && s.sentBody.text != "" {
		s.over, s.dirty, s.force = true, true, true
	}
	s.sentBody = Body{}
	t.flush(s, now.UnixNano(), out)
}

// undialled keeps those whose NOTIFY found no connection to be opened: a
// transport error counts as 503 (RFC 3261, 8.1.3.1), which ends nothing.
func (t *Table) undialled(f sip.Flow, now time.Time) {
	for _, s := range t.subs {
		if s.pending && s.flow == f {
			s.pending, s.tx = false, sip.ClientTx{}
			s.untold()
			s.quiet = now.Add(redialAfter).UnixNano()
			t.arm(s)
		}
	}
}

func (t *Table) detach(s *Subscription) {
	s.detached = true
	if s.state == Terminated {
		return // nobody asks for it any more
	}
	t.cfg.Waiting.Add(s.Watcher.AOR(), t.cfg.Shard)
}

// attach makes f the way to the watcher.
func (t *Table) attach(s *Subscription, f sip.Flow) {
	t.unbind(s)
	s.flow = f
	s.detached, s.guessed, s.misguessed = false, false, false
	t.bind(s)
}
