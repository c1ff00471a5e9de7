package agent

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/tacit-presence/tacit/filter"
	"github.com/tacit-presence/tacit/identity"
	"github.com/tacit-presence/tacit/location"
	"github.com/tacit-presence/tacit/notifier"
	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/watcherinfo"
)

// Supposition is a document that is asked about as if it stood in the place of
// the one of that name.
type Supposition struct {
	DocumentName
	Body    string
	Meaning Meaning // of Body
	Absent  bool    // there is none of that name
}

// Question is about what a presentity's watchers would get.
type Question struct {
	At      time.Time
	Suppose *Supposition // nil: as it is
	// NoOverrides leaves the operator's overrides out: for a presentity that may
	// not learn of them.
	NoOverrides bool
}

// Explanation is policy.Explanation with what the watcher gets.
type Explanation struct {
	policy.Explanation
	Concealed bool   // the watcher is told Decision.Concealed
	Document  string // empty: nothing is told
}

// supposed is a copy of a presentity as a question has it: nothing of the question
// stays, and no other goroutine uses what it holds.
func (s *Shard) supposed(id presence.Presentity, q Question) *presentity {
	c := &presentity{}
	c.Presentity = id
	if p := s.people[id]; p != nil {
		c.docs, c.decisions, c.raw, c.lists, c.uses = slices.Clone(p.docs), p.decisions, p.raw, p.lists, p.uses
		if p.rules != nil {
			c.rules = apart(p.rules)
		}
	} else {
		c.raw = s.cfg.Composition.Compose(id, nil)
	}
	if w := q.Suppose; w != nil {
		c.docs = slices.DeleteFunc(c.docs, func(d *kept) bool { return d.DocumentName == w.DocumentName })
		if !w.Absent {
			c.docs = append(c.docs, &kept{Document: Document{DocumentName: w.DocumentName, Body: w.Body}, meaning: w.Meaning})
			sortDocuments(c.docs)
		}
		s.force(c)
	}
	return c
}

// around are the facts of a question but for the watcher's.
func (s *Shard) around(p *presentity, q Question) policy.Facts {
	f := s.facts(p, presence.Principal{})
	if q.NoOverrides {
		f.Overrides = nil
	}
	if u := s.uses(p.rules); u.Sphere || u.Location {
		f.Surroundings = policy.Observe(p.raw, q.At)
	}
	return f
}

// owned completes facts with whether who is the presentity.
func owned(owner []presence.AOR, who presence.Principal, f policy.Facts) policy.Facts {
	f.Owner = who.Known() && slices.Contains(owner, who.AOR())
	return f
}

// Answer is what Explain says, and a copy of all that it needs: it may be used
// outside the shard, since to say it of many rules takes long.
type Answer struct {
	Concealed bool
	Document  string

	rules *policy.Rules
	facts policy.Facts
	who   presence.Principal
	at    time.Time

	outOfBand, filtered bool
}

// Supposed is who would ask with an address: who watches with it, if somebody does,
// for the way it was proven matters to rules; else somebody as identity.Supposed has
// it. Watchers who want to be nameless are found only with private, as in Comparer.
func (s *Shard) Supposed(id presence.Presentity, aor presence.AOR, private bool) presence.Principal {
	if p := s.people[id]; p != nil {
		for _, w := range s.watching(p) {
			if w.who.AOR() == aor && w.who.Known() && (private || !w.who.Private()) {
				return w.who
			}
		}
	}
	return identity.Supposed(aor, s.serves)
}

func (s *Shard) serves(domain string) bool { return s.cfg.Serves == nil || s.cfg.Serves(domain) }

// Ask decides about a watcher, and renders what it gets.
func (s *Shard) Ask(id presence.Presentity, who presence.Principal, q Question) *Answer {
	p := s.supposed(id, q)
	a := &Answer{Concealed: s.conceals(p), rules: p.rules, facts: owned(s.cfg.Owner(id), who, s.around(p, q)), who: who, at: q.At}
	d := policy.Decide(a.rules, who, a.at, a.facts)
	d.Location = location.Options{Band: s.band(p), Now: q.At}
	a.outOfBand = d.OutOfBand(p.raw)
	c := &class{decision: d, conceal: a.Concealed, entity: string(id), filter: s.ownFilter(id, who)}
	a.filtered = !c.filter.Equal(filter.Filter{})
	a.Document = tell(p, c).Body()
	return a
}

// ownFilter is what a watcher itself has asked to be left out: the filter of its
// subscriptions, none if they differ.
func (s *Shard) ownFilter(id presence.Presentity, who presence.Principal) (own filter.Filter) {
	p := s.people[id]
	if p == nil || !who.Known() {
		return own
	}
	found := false
	for _, sub := range p.Subscribers() {
		if !s.told(sub) || sub.State() == notifier.Terminated || sub.Watcher.AOR() != who.AOR() || sub.Watcher.Private() != who.Private() {
			continue
		}
		f := filterOf(sub)
		if found && !f.Equal(own) {
			return filter.Filter{}
		}
		own, found = f, true
	}
	return own
}

// Explain says how it came to what the watcher gets.
func (a *Answer) Explain() Explanation {
	x := Explanation{policy.Explain(a.rules, a.who, a.at, a.facts), a.Concealed, a.Document}
	if a.filtered {
		x.Warnings = append(x.Warnings, "the watcher has filters of its own: it could have more than the document shows")
	}
	if a.outOfBand {
		x.Warnings = append(x.Warnings, "a place is not told coarsely: it lies too far from the latitudes of the presentity's location band, or the radius would be more than 2000 km")
	}
	return x
}

// SubjectKind says whom a Subject stands for.
type SubjectKind string

// The kinds.
const (
	SubjectAddress         SubjectKind = "address"         // that watcher
	SubjectDomain          SubjectKind = "domain"          // whoever is not named, of that domain
	SubjectOthers          SubjectKind = "others"          // whoever is not named, of a domain that is not
	SubjectUnauthenticated SubjectKind = "unauthenticated" // who is not known
)

// Subject is one whom a comparison is about.
type Subject struct {
	Kind   SubjectKind
	Who    presence.Principal
	Domain string // of SubjectDomain
	Live   bool   // has a subscription, or waits
}

// unnamed is the user of one whom no rules name, elsewhere the domain.
const (
	unnamed   = "somebody"
	elsewhere = "elsewhere.invalid" // RFC 2606, 2: nobody's
)

// Comparer compares what is with what a question supposes, for one subject after
// another. It is a copy of all that it needs: it may be used outside the shard, by
// one goroutine at a time.
type Comparer struct {
	before, after *presentity
	old, changed  policy.Facts
	at            time.Time
	edges         []time.Time // after at, where the validity of a rule begins or ends
	moments       int         // at which Later has compared
	owner         []presence.AOR
	live          []presence.Principal
	serves        func(domain string) bool
}

// Comparer makes one. Watchers who want to be nameless are among those who watch
// only with private: for a presentity, to see what its rules do to one would tell
// its name.
func (s *Shard) Comparer(id presence.Presentity, q Question, private bool) *Comparer {
	is := q
	is.Suppose = nil
	c := &Comparer{before: s.supposed(id, is), after: s.supposed(id, q), at: q.At, owner: s.cfg.Owner(id), serves: s.serves}
	c.old, c.changed = s.around(c.before, is), s.around(c.after, q)
	c.edges = edges(c.at, &c.changed, c.before.rules, c.after.rules)
	if p := s.people[id]; p != nil {
		for _, w := range s.watching(p) {
			if private || !w.who.Private() {
				c.live = append(c.live, w.who)
			}
		}
	}
	return c
}

// Subjects lists those for whom something may change: the unauthenticated, one
// unnamed watcher of each domain named, of the presentity's own and of another,
// then all who are named by rules, decisions and lists, or watch, by address.
func (c *Comparer) Subjects() []Subject {
	domains := map[string]bool{presence.AOR(c.before.Presentity).Domain(): true}
	people := map[presence.AOR]Subject{}
	name := func(list []presence.AOR, more []string) {
		for _, a := range list {
			people[a] = Subject{Kind: SubjectAddress, Who: identity.Supposed(a, c.serves)}
		}
		for _, d := range more {
			domains[d] = true
		}
	}
	for _, p := range [...]*presentity{c.before, c.after} {
		if p.rules == nil {
			continue
		}
		for _, set := range p.rules.Sets {
			name(set.Named())
		}
		name(p.rules.Preferences.Named())
		name(slices.Collect(maps.Keys(p.rules.Decisions)), nil)
		for _, members := range p.lists {
			name(slices.Collect(maps.Keys(members)), nil)
		}
	}
	for _, who := range c.live {
		people[who.AOR()] = Subject{Kind: SubjectAddress, Who: who, Live: true}
	}
	for _, a := range c.owner {
		delete(people, a) // sees everything, whatever is said
	}
	somebody := func(domain string) presence.Principal {
		for n := 0; ; n++ {
			a := presence.AOR("sip:" + unnamed + strconv.Itoa(n) + "@" + domain)
			if _, taken := people[a]; !taken {
				return identity.Supposed(a, c.serves)
			}
		}
	}
	list := []Subject{
		{Kind: SubjectUnauthenticated, Who: identity.Supposed(presence.Anonymous, c.serves)},
		{Kind: SubjectOthers, Who: somebody(elsewhere)},
	}
	for _, d := range slices.Sorted(maps.Keys(domains)) {
		list = append(list, Subject{Kind: SubjectDomain, Who: somebody(d), Domain: d})
	}
	for _, a := range slices.Sorted(maps.Keys(people)) {
		list = append(list, people[a])
	}
	return list
}

// Comparison is what a change changes for one subject.
type Comparison struct {
	Subject
	From, Until   time.Time // Until zero: as far as time goes
	Before, After policy.Decision
	Differences   []policy.Difference
	Warnings      []string // of how it is after
}

// Compare says what changes for one subject.
func (c *Comparer) Compare(subject Subject) Comparison {
	e := policy.Explain(c.after.rules, subject.Who, c.at, owned(c.owner, subject.Who, c.changed))
	out := c.compare(subject, c.at, e.Decision)
	out.Warnings = e.Warnings
	return out
}

// compare compares what is decided at a time with how it is decided after.
func (c *Comparer) compare(subject Subject, at time.Time, after policy.Decision) Comparison {
	before := policy.Decide(c.before.rules, subject.Who, at, owned(c.owner, subject.Who, c.old))
	return Comparison{
		Subject: subject, From: at, Until: earlier(before.Until, after.Until),
		Before: before, After: after, Differences: policy.Compare(before, after),
	}
}

// Watching is a Watcher with what has been decided about it.
type Watching struct {
	Watcher
	Decision  policy.Decision
	Concealed bool // it is told Decision.Concealed
}

// Watching lists a presentity's watchers as Watchers does, with how they are
// decided, and after them those that are refused without being told.
func (s *Shard) Watching(id presence.Presentity, q Question) []Watching {
	p := s.people[id]
	if p == nil {
		return nil
	}
	c, list := s.supposed(id, q), []Watching(nil)
	f, owner := s.around(c, q), s.cfg.Owner(id)
	for _, w := range s.named(p, s.watching(p)) {
		facts := owned(owner, w.who, f)
		facts.Nameless = s.nameless(p, w.who)
		d := policy.Decide(c.rules, w.who, q.At, facts)
		if s.decide(p, w.who, q.At).Raised != "" {
			switch status := statusOf(d.Handling); {
			case q.NoOverrides && status == watcherinfo.Terminated && !s.conceals(c):
				continue // by its rules it would have been refused, and not be there
			case w.Status != watcherinfo.Waiting || status != watcherinfo.Pending:
				w.Status = status
			}
		}
		list = append(list, Watching{Watcher: w, Decision: d, Concealed: s.conceals(c)})
	}
	return list
}

// watching is watchers with those that are refused but do not know it.
func (s *Shard) watching(p *presentity) []Watcher {
	rows := s.watchers(p)
	for _, sub := range p.Subscribers() {
		if s.told(sub) && sub.Grant.Verdict == notifier.Refused && sub.State() != notifier.Terminated {
			rows = append(rows, watcher(sub, notifier.Refused))
		}
	}
	return rows
}

// statusOf is that of a subscription so handled.
func statusOf(h policy.Handling) watcherinfo.Status {
	switch h {
	case policy.Block:
		return watcherinfo.Terminated
	case policy.Confirm:
		return watcherinfo.Pending
	}
	return watcherinfo.Active
}
