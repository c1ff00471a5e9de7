// Package agent is the presence agent (RFC 3856, 6): one shard's presentities,
// their publications and rules, and the one way a piece of presence takes from
// its sources to a watcher.
package agent

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/tacit-presence/tacit/compose"
	"github.com/tacit-presence/tacit/location"
	"github.com/tacit-presence/tacit/notifier"
	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/sip"
)

const (
	eventPresence = "presence" // the event package of RFC 3856
	// defaultPublicationExpires is for a PUBLISH without Expires (pjsua sends none).
	defaultPublicationExpires = time.Hour
	// defaultSubscriptionExpires is the presence package's (RFC 3856, 6.4).
	defaultSubscriptionExpires = time.Hour
	// forgetAfter is how long a removed publication answers repetitions: 64*T1.
	forgetAfter = 32 * time.Second
	// maxClasses is how many classes of watchers one presentity may have before
	// those without a subscription are forgotten.
	maxClasses = 256
)

// Config is what a Shard needs.
type Config struct {
	ID              shard.ID
	Composition     compose.Policy
	Settings        Settings
	Owner           func(presence.Presentity) []presence.AOR // none: nobody's
	Serves          func(domain string) bool                 // nil: every one is ours
	ListMembers     ListMembers                              // nil: rules' external lists name nobody
	Trees           XCAPTrees                                // nil: there are no XCAP documents to subscribe to
	Undecided       *Undecided                               // nil: each shard counts for itself
	MinExpires      time.Duration
	MaxExpires      time.Duration
	MaxPublications int
	Notifier        notifier.Config // Shard, MinExpires, MaxExpires and MinInterval are filled in
	Seed            [32]byte        // of entity-tags
	Counters        *Counters
}

// Settings are what may change while the server runs (Reconfigure).
type Settings struct {
	Default     policy.Handling // for a watcher whom no rule names
	MinInterval time.Duration   // least time between two NOTIFYs of one subscription
	GiveUp      time.Duration   // how long watchers without a decision are remembered; 0: DefaultGiveUp
	// Conceals says whether a presentity's domain hides the decision on a
	// watcher, and who exists, from that watcher. nil: it does not.
	Conceals func(presence.Presentity) bool
	// Ceilings and Overrides are the operator's rules, as policy.Facts has them.
	Ceilings, Overrides *policy.RuleSet
	// HideOverrides keeps from presentities that an override has told a watcher
	// more than their own rules and the ceilings do.
	HideOverrides bool
	// Band is the one in which the places of those who name none are coarsened.
	Band location.Band
}

// Counters are shared by all shards.
type Counters struct {
	Published    atomic.Int64
	BadDocuments atomic.Int64
	Composed     atomic.Int64
	Views        atomic.Int64
	Notices      atomic.Int64
	// DamagedDocuments are the documents that could not be read at the start.
	DamagedDocuments atomic.Int64
}

// Shard is one shard's state, a shard.Machine. Only its worker touches it.
type Shard struct {
	cfg       Config
	table     *notifier.Table
	presence  *presencePackage
	winfo     *winfoPackage
	xcapDiff  *xcapDiffPackage
	people    map[presence.Presentity]*presentity
	rand      *rand.ChaCha8
	last      uint64 // of tick
	damaged   []error
	next      time.Time
	fresh     bool      // restored, not yet resumed
	waited    bool      // a watcher that waits has been stored
	triggered uint32    // number of changes that filters' triggers wanted told
	admitted  bool      // a watcher of presence has been decided on, and is not refused
	telling   bool      // those who watch watchers are told in this step
	later     time.Time // when they will be; zero: nothing is to be told
	resumed   time.Time
	overrides []use                     // of the operator's overrides, to be reported
	stirred   []*presentity             // something has happened to their watchers
	excess    []*notifier.Subscription  // that are to be given up
	pending   map[notifier.Tag]struct{} // those that cfg.Undecided counts
	scratch   []byte
	record    publicationRecord // to be encoded
	sources   []compose.Publication
}

// presentity is all that is known of one presentity.
type presentity struct {
	notifier.Resource
	pubs []*publication // oldest first
	docs []*kept        // sorted by name
	// decisions are made watcher by watcher and stored as one record; nil: none.
	decisions *policy.Rules
	rules     *policy.Rules                        // in force: decisions and documents together; nil: none
	own       *policy.Rules                        // the same, asked without overrides; nil: not yet
	uses      policy.Uses                          // what rules and the operator's depend on
	lists     map[string]map[presence.AOR]struct{} // whom they name, by their URIs
	around    policy.Surroundings                  // if uses asks for them
	until     time.Time                            // when time changes a decision; zero: never
	raw       compose.Raw
	classes   []class
	notices   []Notice // oldest first
	askers    []asker
	waiting   []*waiting // oldest first
	winfo     *winfo     // nil: nobody watches its watchers
	steps     *steps     // of its documents; nil: nobody watches them
	next      time.Time  // when the first publication runs out
}

// New makes an empty shard.
func New(cfg Config) *Shard {
	s := &Shard{
		cfg: cfg, people: map[presence.Presentity]*presentity{}, rand: rand.NewChaCha8(cfg.Seed),
		pending: map[notifier.Tag]struct{}{},
	}
	if s.cfg.Undecided == nil {
		s.cfg.Undecided = new(Undecided)
	}
	s.presence, s.winfo, s.xcapDiff = &presencePackage{shard: s}, &winfoPackage{shard: s}, &xcapDiffPackage{shard: s}
	n := cfg.Notifier
	n.Shard, n.MinExpires, n.MaxExpires, n.MinInterval = cfg.ID, cfg.MinExpires, cfg.MaxExpires, cfg.Settings.MinInterval
	n.Packages = []notifier.Package{s.presence, s.winfo, s.xcapDiff}
	n.Observe = s.happened
	s.table = notifier.NewTable(n)
	return s
}

// AllowEvents lists the event packages, as Allow-Events has them.
func (s *Shard) AllowEvents() string { return s.table.AllowEvents().Value }

// Step applies one event.
func (s *Shard) Step(ev *shard.Event, now time.Time, out *shard.Batch) {
	if s.fresh {
		s.fresh, s.resumed = false, now
		s.table.Resume(now, out)
		// Decisions may have been taken, or their time have come, while nobody ran.
		for _, p := range s.people {
			s.rewait(p, now, out)
		}
	}
	switch ev.Kind {
	case shard.Request:
		s.request(ev, now, out)
	case shard.Response:
		s.table.Response(ev, now, out)
	case shard.FlowGone:
		s.table.FlowGone(ev.Flow, now, out)
	case shard.Undelivered:
		s.table.Undelivered(ev.Dialog, now)
	case shard.TooLarge:
		s.table.TooLarge(ev.Dialog, now, out)
	case shard.FlowSeen:
		s.table.FlowSeen(ev, now, out)
	case shard.Tick:
		s.tickAll(now, out)
	}
	s.telling = !s.later.IsZero() && !s.later.After(now)
	s.report(now, out)
	if s.telling {
		s.telling, s.later = false, time.Time{}
	}
	s.table.Emptied(func(r *notifier.Resource) { s.drop(r.Owner.(*presentity)) })
}

func (s *Shard) request(ev *shard.Event, now time.Time, out *shard.Batch) {
	switch ev.Msg.Method {
	case sip.MethodPublish:
		s.publish(ev, now, out)
	case sip.MethodSubscribe:
		if tag := ev.Msg.To.Tag(); tag != "" {
			t, _ := notifier.ParseTag(tag) // an unknown one finds nothing
			sub := s.table.Find(t)
			conceal := sub != nil && s.conceals(sub.Resource.Owner.(*presentity))
			s.waited = false
			if s.table.InDialog(ev, t, now, out); conceal {
				s.level(ev, now, out)
			}
			return
		}
		p := s.presentity(ev.Presentity)
		conceal := s.conceals(p)
		s.waited = false
		s.asked(p, ev, now, out)
		s.admitted = false
		s.table.Subscribe(ev, &p.Resource, now, out)
		if s.admitted {
			s.announce(p, ev, now, out)
		}
		if conceal {
			s.level(ev, now, out)
		}
		p.raw.Forget()
		s.drop(p)
	default:
		s.answer(ev, out, 405, "")
	}
}

// Deadline is when a Tick is wanted.
func (s *Shard) Deadline() time.Time {
	d := s.table.Deadline()
	if !s.next.IsZero() && (d.IsZero() || s.next.Before(d)) {
		d = s.next
	}
	if s.fresh {
		return time.Unix(0, 1)
	}
	return earlier(d, s.later)
}

func (s *Shard) tickAll(now time.Time, out *shard.Batch) {
	if !s.next.IsZero() && !s.next.After(now) {
		s.next = time.Time{}
		for _, p := range s.people {
			if !p.next.IsZero() && !p.next.After(now) {
				s.giveUp(p, now, out)
				s.expirePublications(p, now, out)
				if !p.until.IsZero() && !p.until.After(now) {
					s.redecide(p, now, out)
				}
			} else {
				s.arm(p)
			}
		}
	}
	s.table.Tick(now, out)
}

// arm notes when something of p's runs out first.
func (s *Shard) arm(p *presentity) {
	p.next = time.Time{}
	for _, pub := range p.pubs {
		p.next = earlier(p.next, pub.expires)
		p.next = earlier(p.next, pub.discard)
	}
	for _, d := range p.docs {
		p.next = earlier(p.next, d.discard)
	}
	for _, w := range p.waiting {
		p.next = earlier(p.next, w.until)
	}
	p.next = earlier(p.next, p.until)
	s.next = earlier(s.next, p.next)
}

// earlier is the earlier of two times; zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// presentity finds or makes the state of one presentity.
func (s *Shard) presentity(id presence.Presentity) *presentity {
	p := s.people[id]
	if p == nil {
		p = &presentity{}
		p.Presentity, p.Owner = id, p
		p.raw = s.cfg.Composition.Compose(id, nil)
		s.people[id] = p
	}
	return p
}

// drop forgets a presentity of whom there is nothing left to know.
func (s *Shard) drop(p *presentity) {
	if len(p.pubs) == 0 && len(p.docs) == 0 && len(p.notices)+len(p.askers)+len(p.waiting) == 0 && p.decisions == nil && len(p.Subscribers()) == 0 && s.people[p.Presentity] == p {
		delete(s.people, p.Presentity)
	}
}

// changed composes anew and tells the watchers.
func (s *Shard) changed(p *presentity, now time.Time, out *shard.Batch) {
	s.compose(p)
	defer p.raw.Forget()
	if s.observe(p, now) {
		// What is published now may change who may see it: first the decisions.
		s.redecide(p, now, out)
	}
	if s.conceals(p) && p.silent() {
		// As if all watchers had been blocked: so who has been cannot tell by the pace.
		s.table.Ceased(&p.Resource, s.presence, now, out)
		return
	}
	s.table.Changed(&p.Resource, s.presence, now, out)
}

// silent reports whether p publishes nothing.
func (p *presentity) silent() bool {
	for _, pub := range p.pubs {
		if !pub.removed {
			return false
		}
	}
	return len(p.hardState(nil)) == 0
}

func (s *Shard) compose(p *presentity) {
	s.sources = p.sources(s.sources)
	p.raw.Forget()
	p.raw = s.cfg.Composition.Compose(p.Presentity, s.sources)
	clear(s.sources)
	s.cfg.Counters.Composed.Add(1)
	for i := range p.classes {
		p.classes[i].stale = true
	}
}

// SetRules replaces the decisions on single watchers, stores them, and applies
// them to every subscription that runs.
func (s *Shard) SetRules(id presence.Presentity, rules *policy.Rules, now time.Time, out *shard.Batch) error {
	p := s.presentity(id)
	if err := s.putRules(p, rules, out); err != nil {
		s.drop(p)
		return err
	}
	p.decisions = rules
	s.force(p)
	s.redecide(p, now, out)
	s.drop(p)
	return nil
}

// answer sends an error response.
func (s *Shard) answer(ev *shard.Event, out *shard.Batch, status int, reason string, headers ...sip.Header) {
	out.Reply(ev, sip.Reply{Status: status, Reason: reason, ToTag: s.toTag(ev), Headers: headers})
}

// toTag is a tag for answers that make no dialog.
func (s *Shard) toTag(ev *shard.Event) string {
	if ev.Msg.To.Tag() != "" {
		return ""
	}
	return s.random()
}

func (s *Shard) entityTag() presence.EntityTag { return presence.EntityTag(s.random()) }

func (s *Shard) random() string {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], s.rand.Uint64())
	return hex.EncodeToString(b[:])
}

// tick gives increasing numbers that go on increasing after a restart: the
// time in nanoseconds, or one more than the last.
func (s *Shard) tick(now time.Time) uint64 {
	s.last = max(s.last+1, uint64(now.UnixNano()))
	return s.last
}
