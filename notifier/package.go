// Package notifier is the notifier's side of RFC 6665 for every event package:
// subscriptions, their dialogs, rate, CSeq, transactions and records. It is a
// pure machine; an event package decides and renders, and only bodies made by a
// package's last stage can be sent.
package notifier

import (
	"iter"
	"time"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/view"
	"github.com/tacit-presence/tacit/watcherinfo"
	"github.com/tacit-presence/tacit/xcapdiff"
)

// State is what an event package makes of a subscription.
type State uint8

// The states, the zero value being the refusal (default deny).
const (
	Refused State = iota
	Pending
	Active
	Terminated
)

// String gives the substate-value of RFC 6665, 8.4; a refusal has none.
func (s State) String() string {
	return [...]string{"refused", "pending", "active", "terminated"}[s]
}

// Grant is an event package's decision on one subscription.
type Grant struct {
	State State
	// Verdict is what the presentity knows it to be: less than State where the
	// decision is hidden from the watcher. A package that leaves it out, Refused,
	// has subscriptions that no presentity is told of.
	Verdict State
	// Narrowed says that the watcher may see less than before: the next NOTIFY
	// does not wait for the rate floor.
	Narrowed bool
	// Class names what the watcher may see: subscriptions to one resource with
	// equal Class get the same body. Its meaning is the event package's.
	Class int32
}

// Body is what a NOTIFY may carry. It has no public constructor but From...,
// one for each event package's last stage.
type Body struct {
	contentType string
	text        string
	// versionAt is where in the text each watcher's own version number stands, 0:
	// nowhere. It counts the documents sent to it, from firstVersion on.
	versionAt    int32
	firstVersion uint32
	// sum is the hash of the state that the watcher has when it has the body: that
	// of a body that tells a difference is the whole state's.
	sum uint64
	// asked is not 0 if the watcher wants to be told of some changes only, and
	// another number after each of them.
	asked uint32
}

// AskedFor is b after the n-th of the changes that its watcher has asked to be
// told of: it is sent once for each n that is not 0, though it say what the last
// one said (RFC 4660, 5.3).
func (b Body) AskedFor(n uint32) Body {
	b.asked = n
	return b
}

// FromView makes the body of a presence NOTIFY.
func FromView(f view.Final) Body {
	if f.None() {
		return Body{}
	}
	const first = 1 // RFC 5263, 4.4
	return Body{contentType: f.ContentType(), text: f.Body(), versionAt: int32(f.VersionAt()), firstVersion: first, sum: f.Sum()}
}

// FromWatchers makes the body of a NOTIFY of watcher information.
func FromWatchers(f watcherinfo.Final) Body {
	if f.Body() == "" {
		return Body{sum: f.Sum()} // a filter has left nothing (RFC 4660, 5.3.1)
	}
	// RFC 3858, 3: versions begin at 0.
	return Body{contentType: watcherinfo.ContentType, text: f.Body(), versionAt: int32(f.VersionAt()), sum: f.Sum()}
}

// FromXCAPDiff makes the body of a NOTIFY of changes of XCAP resources.
func FromXCAPDiff(f xcapdiff.Final) Body {
	if f.Body() == "" {
		return Body{}
	}
	return Body{contentType: xcapdiff.ContentType, text: f.Body(), sum: f.Sum()}
}

// Package is one event package (RFC 6665, 7.2).
type Package interface {
	Name() presence.EventPackage
	// Accepts lists the body types it renders, its default first.
	Accepts() []string
	// DefaultExpires is the duration of a subscription that asks for none.
	DefaultExpires() time.Duration
	// Decide says what the watcher may have now.
	Decide(s *Subscription, now time.Time) Grant
	// Render gives the body for an active subscription.
	Render(s *Subscription, now time.Time) Body
}

// Resource is what can be subscribed to: the packages' own state of one
// presentity embeds it.
type Resource struct {
	Presentity presence.Presentity
	Owner      any             // the state that embeds it
	subs       []*Subscription // of every event package
	watchers   []uint32        // for each of them watcherKey
}

// Of gives the live subscriptions of one watcher. It looks at no other's: how long
// that takes would tell a watcher how many they are, and so that there are any.
func (r *Resource) Of(a presence.AOR) iter.Seq[*Subscription] {
	return func(yield func(*Subscription) bool) {
		key := watcherKey(a)
		for i, k := range r.watchers {
			if k == key && r.subs[i].Watcher.AOR() == a && !yield(r.subs[i]) {
				return
			}
		}
	}
}

func watcherKey(a presence.AOR) uint32 { return uint32(hash64(hashSeed, string(a)) >> 32) }

// Subscribers returns the live subscriptions; the slice is the Resource's own.
func (r *Resource) Subscribers() []*Subscription { return r.subs }

// Addresses tells how this server is reached: what stands in Via and Contact.
type Addresses interface {
	// SentBy is the HOST:PORT of Via for messages that leave by f.
	SentBy(f sip.Flow) string
	// Contact is the Contact header field's value for f: a GRUU (RFC 6665, 4.5.1),
	// with a SIPS URI if the dialog was asked for with one (RFC 3261, 12.1.1).
	Contact(f sip.Flow, sips bool) string
	// MayDial reports whether a Contact's or Record-Route's address may be
	// connected to although no request came from there.
	MayDial(f sip.Flow) bool
}
