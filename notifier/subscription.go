package notifier

import (
	"encoding/hex"
	"math"
	"time"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/watcherinfo"
)

// Tag is our side's dialog tag: the shard's number, masked by a TagKey, and 88
// bits that only the dialog's two ends know. It also carries our branches, so an
// answer finds its shard and its subscription without a global map.
type Tag [12]byte

// tagLen is the length of a Tag as text.
const tagLen = 2 * len(Tag{})

// String gives the form on the wire.
func (t Tag) String() string { return hex.EncodeToString(t[:]) }

// ParseTag reads a To tag; ok is false for a tag that we never gave out.
func ParseTag[S ~string | ~[]byte](s S) (t Tag, ok bool) {
	if len(s) != tagLen {
		return t, false
	}
	for i := range t {
		hi, lo := nibble(s[2*i]), nibble(s[2*i+1])
		if hi > 15 || lo > 15 {
			return t, false
		}
		t[i] = hi<<4 | lo
	}
	return t, true
}

func nibble(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}

// branchPrefix begins each branch of ours: the magic cookie of RFC 3261,
// 8.1.1.7, then Tag, a point and the CSeq number.
const branchPrefix = "z9hG4bK"

// ParseBranch reads the branch of a NOTIFY of ours back from its answer.
func ParseBranch[S ~string | ~[]byte](s S) (t Tag, cseq uint32, ok bool) {
	const digits = len(branchPrefix) + tagLen + 1 // where CSeq begins
	if len(s) <= digits || len(s) > digits+10 || string(s[:len(branchPrefix)]) != branchPrefix || s[digits-1] != '.' {
		return t, 0, false
	}
	if t, ok = ParseTag(s[len(branchPrefix) : digits-1]); !ok {
		return t, 0, false
	}
	var n uint64
	for i := digits; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return t, 0, false
		}
		n = n*10 + uint64(s[i]-'0')
	}
	return t, uint32(n), n <= math.MaxUint32
}

// Subscription is one subscription and its dialog. There may be hundreds of
// thousands, so times are Unix nanoseconds and what every NOTIFY repeats is
// kept once, ready-made.
type Subscription struct {
	Tag      Tag
	Grant    Grant
	Resource *Resource
	Watcher  presence.Principal
	Entity   string // the URI the watcher asked for, without parameters
	Package  Package
	EventID  string

	reason   string
	target   string // Request-URI of our requests
	fixed    string // Route, From, To, Call-ID and Event lines, each with CRLF
	flow     sip.Flow
	peer     uint64 // hash of Call-ID and remote tag
	instance uint64 // hash of the Contact's +sip.instance; zero: it has none
	since    int64  // as Since
	expires  int64
	request  uint64 // fingerprint of the request that made or last changed it

	tx         sip.ClientTx
	sentBody   Body   // of the NOTIFY that is out, to build it again
	told       uint64 // as Told
	extra      *extra // of few
	quiet      int64  // no NOTIFY before (Retry-After)
	lastNotify int64
	lastSum    uint64
	forget     int64 // terminated: when the record and the tag may go

	remoteSeq uint32
	cseq      uint32 // of the last NOTIFY
	mark      uint32 // no CSeq at or above this was used before it was stored
	version   uint32 // how many documents with a version have been sent
	sentLeft  uint32 // expires of the NOTIFY that is out

	state      State             // what the watcher has been told, or will be with the NOTIFY that is due
	sentState  State             // that of the NOTIFY that is out
	lastState  State             // that of the last one
	event      watcherinfo.Event // as Event
	format     uint8             // index in Package.Accepts
	pending    bool              // a NOTIFY is out and unanswered
	sentMute   bool              // its body is left out (RFC 5839, 6.2), but not its entity-tag
	dirty      bool              // there is something newer than the last NOTIFY
	force      bool              // send even if the body is as before, and now
	hurry      bool              // send now, if the body is not as before
	over       bool              // Terminated, and its last body is made
	detached   bool              // its connection is gone
	guessed    bool              // flow is a guess of FlowSeen's that no answer has confirmed
	misguessed bool              // such a guess was wrong once, and is not made again
	strict     bool              // the first route is a strict router: target is its URI
	dial       bool              // flow may be dialled
	switchTCP  bool
	fetch      bool // never stored
	restored   bool // made before the last restart

	index int // in Resource.subs
	timer timerSlot
}

// State is the subscription's state.
func (s *Subscription) State() State { return s.state }

// Expires is when it ends unless refreshed.
func (s *Subscription) Expires() time.Time { return time.Unix(0, s.expires) }

// Target is the watcher's Contact URI.
func (s *Subscription) Target() string { return s.target }

// Flow is the way NOTIFYs take; alive is false when its connection is gone.
func (s *Subscription) Flow() (f sip.Flow, alive bool) { return s.flow, !s.detached }

// instanceKey hashes the +sip.instance of a Contact's parameters (RFC 5626, 4.1):
// it is compared only among the devices of one watcher.
func instanceKey(params string) uint64 {
	if v, ok := sip.HeaderParam(params, "+sip.instance"); ok && v != "" {
		return hash64(hashSeed, v)
	}
	return 0
}

// peerKey hashes the dialog's identifiers of the remote side: an answer to "is
// this request of that dialog" for which the strings need not be kept. The tag,
// which only the two ends know, is what protects.
func peerKey(callID, remoteTag string) uint64 {
	return hash64(hash64(hashSeed, callID), remoteTag)
}
