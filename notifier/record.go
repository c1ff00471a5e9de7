package notifier

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/tacit-presence/tacit/identity"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/store"
	"github.com/tacit-presence/tacit/watcherinfo"
)

// KeyKind is the first byte of a subscription's key in the store.
const KeyKind = 's'

// recoveryRate is how many NOTIFYs a second a restarted server sends of itself,
// over all shards.
const recoveryRate = 5000

// Record is a subscription at rest. Fields are only ever added.
type Record struct {
	Presentity presence.Presentity `cbor:"1,keyasint"`
	Watcher    presence.AOR        `cbor:"2,keyasint"`
	Mechanism  presence.Mechanism  `cbor:"3,keyasint"`
	Entity     string              `cbor:"4,keyasint"`
	Event      string              `cbor:"5,keyasint"`
	EventID    string              `cbor:"6,keyasint,omitempty"`
	State      State               `cbor:"7,keyasint"`
	Reason     string              `cbor:"8,keyasint,omitempty"`
	Target     string              `cbor:"9,keyasint"`
	Fixed      string              `cbor:"10,keyasint"`
	Transport  sip.Transport       `cbor:"11,keyasint"`
	Local      string              `cbor:"12,keyasint"`
	Remote     string              `cbor:"13,keyasint"`
	Dial       bool                `cbor:"14,keyasint,omitempty"`
	SwitchTCP  bool                `cbor:"15,keyasint,omitempty"`
	Peer       uint64              `cbor:"16,keyasint"`
	Expires    int64               `cbor:"17,keyasint"` // Unix nanoseconds
	Request    uint64              `cbor:"18,keyasint"`
	RemoteSeq  uint32              `cbor:"19,keyasint"`
	Mark       uint32              `cbor:"20,keyasint"`
	Forget     int64               `cbor:"21,keyasint,omitempty"`
	Strict     bool                `cbor:"22,keyasint,omitempty"`
	Instance   uint64              `cbor:"23,keyasint,omitempty"`
	Format     string              `cbor:"30,keyasint,omitempty"` // if not the default
	Kept       string              `cbor:"31,keyasint,omitempty"`
	Rates      string              `cbor:"32,keyasint,omitempty"`
	Always     bool                `cbor:"33,keyasint,omitempty"` // Suppress-If-Match: *
	Has        uint64              `cbor:"34,keyasint,omitempty"` // or the sum of what matched
	Since      int64               `cbor:"35,keyasint,omitempty"`
	Happening  watcherinfo.Event   `cbor:"36,keyasint,omitempty"`
	Params     string              `cbor:"37,keyasint,omitempty"` // of Event, as the package keeps them
	Also       presence.AOR        `cbor:"40,keyasint,omitempty"`
	Private    bool                `cbor:"41,keyasint,omitempty"`
}

func (t *Table) key(tag Tag) []byte { return store.Key(KeyKind, byte(t.cfg.Shard), string(tag[:])) }

// put stores s with the batch.
func (t *Table) put(s *Subscription, out *shard.Batch) {
	t.record = Record{
		Presentity: s.Resource.Presentity, Watcher: s.Watcher.AOR(), Mechanism: s.Watcher.Mechanism(),
		Entity: s.Entity, Event: string(s.Package.Name()), EventID: s.EventID,
		State: s.state, Reason: s.reason, Target: s.target, Fixed: s.fixed,
		Transport: s.flow.Transport, Local: s.flow.Local.String(), Remote: s.flow.Remote.String(),
		Dial: s.dial, SwitchTCP: s.switchTCP, Peer: s.peer, Expires: s.expires,
		Request: s.request, RemoteSeq: s.remoteSeq, Mark: s.mark, Forget: s.forget, Strict: s.strict, Instance: s.instance,
		Since: s.since, Happening: s.event,
		Format: s.formatName(), Kept: s.keptText(), Rates: s.ratesText(),
		Also: s.Watcher.Also(), Private: s.Watcher.Private(),
	}
	if s.extra != nil {
		t.record.Params = s.extra.params
		t.record.Always, t.record.Has = s.extra.suppress.always, s.extra.suppress.sum
	}
	t.scratch = store.MustEncode(t.scratch[:0], &t.record)
	out.Records.Put(t.key(s.Tag), t.scratch)
	t.record = Record{}
}

// Restore takes a record back into the table. resource finds or makes the state
// of a presentity, which must be as complete as the packages' Decide needs it.
// What can be reached is told the newest state by itself, the n-th one after
// n/recoveryRate seconds. Resume must follow.
func (t *Table) Restore(key, value []byte, resource func(presence.Presentity) *Resource, now time.Time) error {
	var r Record
	if err := store.Decode(value, &r); err != nil {
		return fmt.Errorf("subscription record: %w", err)
	}
	_, _, parts, err := store.KeyParts(key)
	if err != nil || len(parts) != 1 || len(parts[0]) != len(Tag{}) {
		return fmt.Errorf("subscription record: malformed key %x", key)
	}
	p := t.Package(presence.EventPackage(r.Event))
	if p == nil {
		return fmt.Errorf("subscription record: unknown event package %q", r.Event)
	}
	s := &Subscription{
		Resource: resource(r.Presentity), Watcher: identity.RestorePrivate(r.Watcher, r.Mechanism, r.Also, r.Private),
		Entity: r.Entity, Package: p, EventID: r.EventID, state: r.State, reason: r.Reason,
		target: r.Target, fixed: r.Fixed, strict: r.Strict, dial: r.Dial, switchTCP: r.SwitchTCP, peer: r.Peer, instance: r.Instance,
		expires: r.Expires, request: r.Request, remoteSeq: r.RemoteSeq, restored: true,
		cseq: r.Mark, mark: r.Mark, version: r.Mark, forget: r.Forget, index: -1,
		since: r.Since, event: r.Happening,
	}
	copy(s.Tag[:], parts[0])
	if t.tagKey.Shard(s.Tag) != t.cfg.Shard {
		t.cfg.Moved.Note(s.Tag, t.cfg.Shard, t.tagKey)
	}
	s.flow.Transport = r.Transport
	s.flow.Local, _ = netip.ParseAddrPort(r.Local)
	s.flow.Remote, _ = netip.ParseAddrPort(r.Remote)
	s.dirty = true
	s.quiet = now.Add(time.Duration(len(t.subs)) * shard.Count * time.Second / recoveryRate).UnixNano()
	if s.state == Terminated {
		// Whether the watcher was told is not known. Once more does no harm, but
		// the body is no longer to be had.
		s.over, s.dirty = true, !r.Always
		if r.Always {
			s.more().suppress.always = true
		}
		t.subs[s.Tag] = s
	} else {
		if t.restoreExtra(s, &r, now) != nil {
			// What the watcher asked for is not understood any more: it may ask anew.
			s.state, s.reason, s.over, s.forget = Terminated, "deactivated", true, now.Add(forgetAfter).UnixNano()
			t.subs[s.Tag] = s
			t.arm(s)
			return nil
		}
		// Those that ran out meanwhile are told at that rate too.
		s.expires = max(s.expires, s.quiet)
		s.Grant = p.Decide(s, now)
		t.add(s)
	}
	if s.flow.Transport.Reliable() {
		if t.route(s); !s.dial {
			t.detach(s)
		}
	}
	t.arm(s)
	return nil
}

// Resume applies, after the last Restore, what the packages have decided about
// subscriptions and had not before: their configuration may be another one now.
func (t *Table) Resume(now time.Time, out *shard.Batch) {
	t.resumed = now.UnixNano()
	for _, s := range t.subs {
		if g := s.Grant; s.state != Terminated && g.State != s.state {
			t.Decided(s, g, now, out)
		}
	}
}

// Redecide asks the packages anew about every subscription of a resource, whose
// rules have changed.
func (t *Table) Redecide(r *Resource, now time.Time, out *shard.Batch) {
	for _, s := range slices.Clone(r.subs) {
		t.Decided(s, s.Package.Decide(s, now), now, out)
	}
}

// formatName is what is stored of a format: the default one needs no word.
func (s *Subscription) formatName() string {
	if s.format == 0 {
		return ""
	}
	return s.Format()
}

func (s *Subscription) keptText() string {
	if s.extra == nil {
		return ""
	}
	return s.extra.kept
}

func (s *Subscription) ratesText() string {
	if s.extra == nil {
		return ""
	}
	return s.extra.rates.shown
}

// restoreExtra takes back what few subscriptions have.
func (t *Table) restoreExtra(s *Subscription, r *Record, now time.Time) error {
	for i, name := range s.Package.Accepts() {
		if name == r.Format {
			s.format = uint8(i)
		}
	}
	if want, any, ok := readRates(r.Rates); ok && any {
		t.setRates(s, want, any, now.UnixNano())
	}
	if c := (condition{always: r.Always, sum: r.Has}); c != (condition{}) {
		s.more().suppress = c
	}
	if r.Kept != "" {
		if err := s.recall(r.Kept); err != nil {
			return err
		}
	}
	if r.Params != "" {
		s.parameters(r.Params)
	}
	return nil
}
