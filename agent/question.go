package agent

import (
	"maps"
	"slices"
	"strconv"
	"time"

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

// supposed is a presentity as a question has it. One that differs from what is in
// force is a copy, so that nothing of the question stays.
func (s *Shard) supposed(id presence.Presentity, q Question) *presentity {
	p := s.people[id]
	if p != nil && q.Suppose == nil && !q.NoOverrides {
		return p
	}
	c := &presentity{}
	c.Presentity = id
	if p != nil {
		c.docs, c.decisions, c.raw = slices.Clone(p.docs), p.decisions, p.raw
	} else {
		c.raw = s.cfg.Composition.Compose(id, nil)
	}
	if w := q.Suppose; w != nil {
		c.docs = slices.DeleteFunc(c.docs, func(d *kept) bool { return d.DocumentName == w.DocumentName })
		if !w.Absent {
			c.docs = append(c.docs, &kept{Document: Document{DocumentName: w.DocumentName, Body: w.Body}, meaning: w.Meaning})
			sortDocuments(c.docs)
		}
	}
	s.force(c)
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
func (s *Shard) owned(p *presentity, who presence.Principal, f policy.Facts) policy.Facts {
	f.Owner = who.Known() && slices.Contains(s.cfg.Owner(p.Presentity), who.AOR())
	return f
}

// Explain decides about a watcher as Decide does, and says why. It also renders
// what that watcher gets.
func (s *Shard) Explain(id presence.Presentity, who presence.Principal, q Question) Explanation {
	p := s.supposed(id, q)
	e := policy.Explain(p.rules, who, q.At, s.owned(p, who, s.around(p, q)))
	d := e.Decision
	d.Location = location.Options{Now: q.At}
	c := class{decision: d, conceal: s.conceals(p), entity: string(id)}
	return Explanation{Explanation: e, Concealed: c.conceal, Document: tell(p, &c).Body()}
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

// Concerned lists those for whom a change may change something: the
// unauthenticated, one unnamed watcher of each domain named, of the presentity's
// own and of another, then all who are named by rules, decisions and lists, or
// watch, by address. Watchers who want to be nameless are listed as such only with
// private: for a presentity, to see what its rules do to one would tell its name.
func (s *Shard) Concerned(id presence.Presentity, q Question, private bool) []Subject {
	domains := map[string]bool{presence.AOR(id).Domain(): true}
	people := map[presence.AOR]Subject{}
	name := func(list []presence.AOR, more []string) {
		for _, a := range list {
			people[a] = Subject{Kind: SubjectAddress, Who: identity.Supposed(a)}
		}
		for _, d := range more {
			domains[d] = true
		}
	}
	for _, c := range [...]*presentity{s.supposed(id, Question{At: q.At}), s.supposed(id, q)} {
		if c.rules == nil {
			continue
		}
		for _, set := range c.rules.Sets {
			name(set.Named())
		}
		name(c.rules.Preferences.Named())
		name(slices.Collect(maps.Keys(c.rules.Decisions)), nil)
		for _, members := range c.lists {
			name(slices.Collect(maps.Keys(members)), nil)
		}
	}
	if p := s.people[id]; p != nil {
		for _, w := range s.watching(p) {
			if w.who.Private() && !private {
				continue
			}
			people[w.AOR] = Subject{Kind: SubjectAddress, Who: w.who, Live: true}
		}
	}
	for _, a := range s.cfg.Owner(id) {
		delete(people, a) // sees everything, whatever is said
	}
	somebody := func(domain string) presence.Principal {
		for n := 0; ; n++ {
			a := presence.AOR("sip:" + unnamed + strconv.Itoa(n) + "@" + domain)
			if _, taken := people[a]; !taken {
				return identity.Supposed(a)
			}
		}
	}
	list := []Subject{
		{Kind: SubjectUnauthenticated, Who: identity.Supposed(presence.Anonymous)},
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
	Before, After policy.Decision
	Differences   []policy.Difference
	Warnings      []string // of how it is after
}

// Compare says what a supposition changes for each subject. Each costs two
// decisions and an explanation: ask for some at a time.
func (s *Shard) Compare(id presence.Presentity, q Question, subjects []Subject) []Comparison {
	is := q
	is.Suppose = nil
	before, after := s.supposed(id, is), s.supposed(id, q)
	old, changed := s.around(before, is), s.around(after, q)
	list := make([]Comparison, 0, len(subjects))
	for _, subject := range subjects {
		e := policy.Explain(after.rules, subject.Who, q.At, s.owned(after, subject.Who, changed))
		c := Comparison{
			Subject: subject, After: e.Decision, Warnings: e.Warnings,
			Before: policy.Decide(before.rules, subject.Who, q.At, s.owned(before, subject.Who, old)),
		}
		c.Differences = policy.Compare(c.Before, c.After)
		list = append(list, c)
	}
	return list
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
	f := s.around(c, q)
	for _, w := range s.named(p, s.watching(p)) {
		d := policy.Decide(c.rules, w.who, q.At, s.owned(c, w.who, f))
		if q.NoOverrides && s.decide(p, w.who, q.At).Raised != "" {
			w.Status = statusOf(d.Handling)
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
