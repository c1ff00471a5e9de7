package sip

import (
	"encoding/binary"
	"hash/maphash"
	"strings"
	"sync"
	"time"
)

// Verdict says what ServerTable knows of a request.
type Verdict uint8

// The verdicts.
const (
	Fresh    Verdict = iota // never seen
	InWork                  // seen, no answer yet: absorb
	Answered                // send the stored answer again
)

// TxKey identifies a server transaction. It is a keyed hash, meaningful only in
// the ServerTable that made it.
type TxKey [16]byte

// branchCookie marks a branch as a transaction's unique name (RFC 3261, 8.1.1.7).
const branchCookie = "z9hG4bK"

// txIdentity is what makes two requests one transaction.
// RFC 3261, 17.2.3: branch, sent-by and method. Call-ID, CSeq, From tag and
// credentials cannot differ between a request and its retransmission either;
// they take part because finch's branches repeat across users and restarts,
// and so that a stored answer is sent again only to who repeats the credentials.
// The last three are for branches without the cookie alone.
type txIdentity struct {
	branch, host       string
	method             Method
	callID, fromTag    string
	credentials, proxy string
	toTag, requestURI  string
	via                string
	seq                uint32
	port               uint16
	transport          string
}

// timeoutFactor times T1 is how long a transaction lives: timers F and J
// (RFC 3261, 17.1.2.2 and 17.2.2).
const timeoutFactor = 64

// Each stripe has its own lock. A small table has fewer, so that its bound and
// its order of eviction stay exact.
const (
	maxStripes     = 16
	stripeEntries  = 256 // fewer entries than this are not worth a second stripe
	noEntry        = ^uint32(0)
	initialEntries = 16
)

// ServerTable is the bounded table of non-INVITE server transactions
// (RFC 3261, 17.2.2). It holds a hash and the answer's bytes of each, for 64*T1
// from the answer, or from Begin while there is none. When it is full the
// oldest goes. Safe for concurrent use; it keeps no clock.
type ServerTable struct {
	stripes  []txStripe
	lifetime int64 // nanoseconds
	seeds    [2]maphash.Seed
}

// txStripe is a map into a slab of entries, which also form a list in the order
// of their expiry: all live equally long, so a renewed one goes to the tail.
type txStripe struct {
	mu         sync.Mutex
	index      map[TxKey]uint32
	entries    []txEntry
	free       uint32 // list of unused entries, by next
	head, tail uint32
	max        int
}

type txEntry struct {
	key        TxKey
	response   []byte // nil: in work
	expires    int64  // Unix nanoseconds
	prev, next uint32
}

// NewServerTable makes a table of at most limit transactions (at least one).
func NewServerTable(limit int, t Timers) *ServerTable {
	n := 1
	for n < maxStripes && limit/(2*n) >= stripeEntries {
		n *= 2
	}
	table := &ServerTable{
		stripes:  make([]txStripe, n),
		lifetime: int64(timeoutFactor * t.T1),
		seeds:    [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
	}
	for i := range table.stripes {
		s := &table.stripes[i]
		s.max = max(limit/n, 1)
		s.index = make(map[TxKey]uint32)
		s.free, s.head, s.tail = noEntry, noEntry, noEntry
	}
	return table
}

// key hashes the identity of the transaction that m belongs to.
func (t *ServerTable) key(m *Message) (k TxKey) {
	id := txIdentity{
		branch: m.TopVia.Branch, host: m.TopVia.Host, port: m.TopVia.Port,
		transport: m.TopVia.Transport, method: m.Method,
		callID: m.CallID, seq: m.CSeq.Seq, fromTag: m.From.Tag(),
	}
	id.credentials, _ = m.Get(HeaderAuthorization)
	id.proxy, _ = m.Get(HeaderProxyAuthorization)
	if len(id.branch) <= len(branchCookie) || !strings.HasPrefix(id.branch, branchCookie) {
		// RFC 4475, 3.2.1: the bare cookie names no transaction.
		id.toTag, id.requestURI = m.To.Tag(), m.RequestURI
		id.via, _ = m.Get(HeaderVia)
	}
	binary.LittleEndian.PutUint64(k[:8], maphash.Comparable(t.seeds[0], id))
	binary.LittleEndian.PutUint64(k[8:], maphash.Comparable(t.seeds[1], id))
	return k
}

func (t *ServerTable) stripe(k TxKey) *txStripe {
	return &t.stripes[int(k[0])&(len(t.stripes)-1)]
}

// Lookup says what is known of the request m. The answer's bytes may be kept
// and must not be changed. It changes nothing and does not allocate.
func (t *ServerTable) Lookup(m *Message, now time.Time) (TxKey, Verdict, []byte) {
	k := t.key(m)
	s := t.stripe(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.index[k]
	if !ok || s.entries[i].expires <= now.UnixNano() {
		return k, Fresh, nil
	}
	if r := s.entries[i].response; r != nil {
		return k, Answered, r
	}
	return k, InWork, nil
}

// Begin enters a request that Lookup called Fresh; false: somebody did so meanwhile.
func (t *ServerTable) Begin(k TxKey, now time.Time) bool {
	s := t.stripe(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	at := now.UnixNano()
	s.expire(at)
	if _, ok := s.index[k]; ok {
		return false
	}
	s.put(k, nil, at+t.lifetime)
	return true
}

// Answer keeps a copy of the final response, for 64*T1 (timer J). Over a
// reliable transport timer J is zero and the transaction is forgotten.
func (t *ServerTable) Answer(k TxKey, response []byte, reliable bool, now time.Time) {
	var kept []byte
	if !reliable {
		kept = make([]byte, len(response))
		copy(kept, response)
	}
	s := t.stripe(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	at := now.UnixNano()
	s.expire(at)
	if i, ok := s.index[k]; ok {
		s.remove(i)
	}
	if !reliable {
		s.put(k, kept, at+t.lifetime)
	}
}

// Len is the number of transactions held, some perhaps expired already.
func (t *ServerTable) Len() (n int) {
	for i := range t.stripes {
		s := &t.stripes[i]
		s.mu.Lock()
		n += len(s.index)
		s.mu.Unlock()
	}
	return n
}

// expire removes what has expired; the lock is held.
func (s *txStripe) expire(now int64) {
	for s.head != noEntry && s.entries[s.head].expires <= now {
		s.remove(s.head)
	}
}

// put adds an entry at the tail, evicting the oldest if need be; the lock is held.
func (s *txStripe) put(k TxKey, response []byte, expires int64) {
	if len(s.index) >= s.max {
		s.remove(s.head)
	}
	i := s.free
	if i != noEntry {
		s.free = s.entries[i].next
	} else {
		if s.entries == nil {
			s.entries = make([]txEntry, 0, min(initialEntries, s.max))
		}
		i = uint32(len(s.entries))
		s.entries = append(s.entries, txEntry{})
	}
	s.entries[i] = txEntry{key: k, response: response, expires: expires, prev: s.tail, next: noEntry}
	if s.tail == noEntry {
		s.head = i
	} else {
		s.entries[s.tail].next = i
	}
	s.tail = i
	s.index[k] = i
}

// remove takes entry i out; the lock is held.
func (s *txStripe) remove(i uint32) {
	e := &s.entries[i]
	delete(s.index, e.key)
	if e.prev == noEntry {
		s.head = e.next
	} else {
		s.entries[e.prev].next = e.next
	}
	if e.next == noEntry {
		s.tail = e.prev
	} else {
		s.entries[e.next].prev = e.prev
	}
	*e = txEntry{next: s.free}
	s.free = i
}
