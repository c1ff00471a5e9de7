package policy

import (
	"slices"
	"strings"
	"time"

	"github.com/tacit-presence/tacit/presence"
)

// Decide says how a subscription of who is handled, and what it may see. It
// denies by default: who is not known is blocked unless a rule without identity
// says otherwise, and Facts.Default, which holds where no rule does, denies
// unless the domain says otherwise. r may be nil.
//
// All rules of all sets are asked, and what those that match grant is combined
// (RFC 4745, 10): the largest handling, the union of what is granted. A rule that
// says no handling says Block. OMA's other-identity holds where nothing else of
// the presentity's matches. Then the requirements of Preferences, the operator's
// ceilings and at last its overrides have their say. The presentity itself sees
// everything, whatever they say.
func Decide(r *Rules, who presence.Principal, now time.Time, f Facts) Decision {
	switch {
	case !who.Present():
		return Decision{Matched: MatchedNobody}
	case f.Owner && who.Known():
		return decision(Allow, MatchedOwner)
	}
	if e := r.use(&f); e != nil {
		return e.decide(r, who, now, f)
	}
	return r.simply(who, &f)
}

// decide asks all rules; what comes of those that match is known or worked out.
func (e *engine) decide(r *Rules, who presence.Principal, now time.Time, f Facts) Decision {
	a := ask(who, now, &f)
	a.clock = e.clock
	own, matched := e.question(r, &a)
	out, ok := e.outcomes[string(e.key)]
	if !ok {
		out = e.combine(e.key)
		e.remember(out)
	}
	d := *out
	d.Until = a.until
	if own.decided && d.Matched != MatchedAuthentication && d.Matched != MatchedUnreadable {
		if d.Matched != "" {
			d.Matched = matched + ", " + d.Matched
		} else {
			d.Matched = matched
		}
	}
	return d
}

// simply decides where there are no rules but Decisions, which is so of most
// presentities: nothing is remembered for them.
func (r *Rules) simply(who presence.Principal, f *Facts) Decision {
	if !r.readable() {
		return Decision{Matched: MatchedUnreadable}
	}
	var p *Preferences
	own, matched := r.decided(who, f)
	if r != nil {
		p = r.Preferences
	}
	switch {
	case own.decided:
	case !who.Known():
		return Decision{Matched: MatchedNobody}
	default:
		own.handling, matched = p.byDefault(f), MatchedDefault
	}
	if own.handling > Block && !p.met(who.Mechanism()) {
		return Decision{Matched: MatchedAuthentication}
	}
	return decision(own.handling, matched)
}

func (r *Rules) readable() bool { return r == nil || !r.Unreadable }

// byDefault is the handling of known watchers whom no rule matches.
func (p *Preferences) byDefault(f *Facts) Handling {
	if h, said := p.Unknown(); said {
		return h
	}
	return f.Default.floor()
}

// met reports whether a mechanism meets the requirement, if there is one.
func (p *Preferences) met(m presence.Mechanism) bool { return p == nil || p.Authentication.Met(m) }

func decision(h Handling, matched string) Decision {
	d := Decision{Handling: h.floor(), Matched: matched}
	if d.Handling == Allow {
		d.Permissions = Everything()
	}
	return d
}

// group is a group of rule sets.
type group uint8

const (
	ofPresentity group = iota
	ofCeilings
	ofOverrides
	groups
)

// engine asks the rules of one presentity, and remembers what comes of each
// combination of rules that match. Watchers are many, combinations few.
type engine struct {
	sets        [groups][]NamedSet
	preferences *Preferences
	places      bool // some rule asks for surroundings
	// key is the combination being asked: a header, then a bit a rule.
	key      []byte
	outcomes map[string]*Decision
	size     int               // what outcomes take, roughly, in bytes
	grants   map[string]*grant // by key: equal permissions are one pointer
	clock    clock             // nil if no rule asks for the time
}

// maxRemembered bounds what an engine remembers, in bytes: each of a presentity's
// watchers can match other rules, and granted sets can be long.
const maxRemembered = 64 << 10

// use returns the engine for rules and facts, nil if there are no rules to ask.
func (r *Rules) use(f *Facts) *engine {
	bounds := f.Ceilings.Len() + f.Overrides.Len()
	if r == nil {
		if bounds == 0 {
			return nil
		}
		return newEngine(nil, f)
	}
	if bounds == 0 && r.Preferences.levels().Len() == 0 &&
		!slices.ContainsFunc(r.Sets, func(s NamedSet) bool { return s.Len() > 0 }) {
		return nil
	}
	if r.engine == nil || !r.engine.isFor(r, f) {
		r.engine = newEngine(r, f)
	}
	return r.engine
}

func newEngine(r *Rules, f *Facts) *engine {
	e := &engine{outcomes: make(map[string]*Decision), grants: make(map[string]*grant)}
	var u Uses
	if r != nil {
		e.preferences = r.Preferences
		e.sets[ofPresentity] = append(e.sets[ofPresentity], r.Sets...)
		if levels := r.Preferences.levels(); levels.Len() > 0 {
			e.sets[ofPresentity] = append(e.sets[ofPresentity], NamedSet{Name: levelsName, RuleSet: levels})
		}
		u = r.Uses()
	}
	e.sets[ofCeilings] = []NamedSet{{Name: "ceiling", RuleSet: f.Ceilings}}
	e.sets[ofOverrides] = []NamedSet{{Name: "override", RuleSet: f.Overrides}}
	u = u.union(f.Ceilings.Uses()).union(f.Overrides.Uses())
	e.places = u.Sphere || u.Location
	if u.Time {
		e.clock = clock{}
	}
	return e
}

// isFor reports whether the engine was made of the same documents.
func (e *engine) isFor(r *Rules, f *Facts) bool {
	if e.preferences != r.Preferences || e.sets[ofCeilings][0].RuleSet != f.Ceilings || e.sets[ofOverrides][0].RuleSet != f.Overrides {
		return false
	}
	sets := e.sets[ofPresentity]
	if len(sets) < len(r.Sets) || len(sets) > len(r.Sets)+1 {
		return false
	}
	for i := range r.Sets {
		if sets[i] != r.Sets[i] {
			return false
		}
	}
	return len(sets) == len(r.Sets) || sets[len(r.Sets)].Name == levelsName && sets[len(r.Sets)].RuleSet == r.Preferences.levels()
}

// decided is what Rules.Decisions say of a watcher.
type decided struct {
	decided  bool
	handling Handling
}

// The header of a key.
const (
	keyDecided  = iota // 0, or the handling decided plus one
	keyDefault         // the handling where nothing matches, plus one; 0: none for the unauthenticated
	keyProven          // 1: proven as Preferences require
	keyReadable        // 1: not Rules.Unreadable
	keyHeader          // its length
)

// question makes the key of what matches.
func (e *engine) question(r *Rules, a *asking) (own decided, matched string) {
	e.key = append(e.key[:0], make([]byte, keyHeader)...)
	if own, matched = r.decided(a.who, a.facts); own.decided {
		e.key[keyDecided] = byte(own.handling) + 1
	}
	if a.who.Known() {
		e.key[keyDefault] = byte(e.preferences.byDefault(a.facts)) + 1
	}
	if e.preferences.met(a.who.Mechanism()) {
		e.key[keyProven] = 1
	}
	if r.readable() {
		e.key[keyReadable] = 1
	}
	for g := range e.sets {
		e.match(e.sets[g], a, group(g) == ofPresentity && own.decided)
	}
	if e.places {
		a.soon(a.facts.Surroundings.Until)
	}
	return own, matched
}

// decided looks a watcher up in Decisions, by each of its identities and the name
// that it has where it wants to be nameless.
func (r *Rules) decided(who presence.Principal, f *Facts) (d decided, matched string) {
	if r == nil || len(r.Decisions) == 0 || !who.Known() {
		return d, ""
	}
	for _, id := range [...]presence.AOR{who.AOR(), who.Also(), f.Nameless} {
		if id == "" {
			continue
		}
		if h, ok := r.Decisions[id]; ok && (!d.decided || h.floor() > d.handling) {
			d, matched = decided{true, h.floor()}, string(id)
		}
	}
	return d, matched
}

// match appends the bits of a group's rules to the key. any says that something
// else of the group has matched already.
func (e *engine) match(sets []NamedSet, a *asking, any bool) {
	start, others := len(e.key), false
	for _, s := range sets {
		base := len(e.key)
		if s.Len() == 0 {
			continue
		}
		e.key = append(e.key, make([]byte, (len(s.rules)+7)/8)...)
		for i := range s.rules {
			if s.rules[i].other {
				others = true
			} else if s.rules[i].holds(a) {
				any = true
				e.key[base+i/8] |= 1 << (i % 8)
			}
		}
	}
	if !others || any {
		return
	}
	for _, s := range sets {
		if s.Len() == 0 {
			continue
		}
		for i := range s.rules {
			if s.rules[i].other && s.rules[i].holds(a) {
				e.key[start+i/8] |= 1 << (i % 8)
			}
		}
		start += (len(s.rules) + 7) / 8
	}
}

// found is a rule that matches, with its set's name.
type found struct {
	set string
	*rule
}

func (f found) name() string {
	if f.set == "" {
		return f.id
	}
	return f.set + "/" + f.id
}

// matching gives the rules of a key, by group.
func (e *engine) matching(key []byte) (list [groups][]found) {
	bits := key[keyHeader:]
	for g := range e.sets {
		for _, s := range e.sets[g] {
			if s.Len() == 0 {
				continue
			}
			for i := range s.rules {
				if bits[i/8]&(1<<(i%8)) != 0 {
					list[g] = append(list[g], found{s.Name, &s.rules[i]})
				}
			}
			bits = bits[(len(s.rules)+7)/8:]
		}
	}
	return list
}

// combine works out what comes of a key; Until and the watcher of Decisions are
// the caller's.
func (e *engine) combine(key []byte) *Decision {
	list := e.matching(key)
	d := Decision{Matched: names(list[ofPresentity])}
	switch own := key[keyDecided]; {
	case own != 0:
		d = decision(Handling(own-1), d.Matched)
	case len(list[ofPresentity]) > 0:
	case key[keyDefault] == 0:
		d = Decision{Matched: MatchedNobody}
	default:
		d = decision(Handling(key[keyDefault]-1), MatchedDefault)
	}
	for _, r := range list[ofPresentity] {
		d.Handling = max(d.Handling, r.handling)
	}
	d.Permissions = unionOf(d.Permissions, list[ofPresentity])
	switch {
	case key[keyReadable] == 0:
		d = Decision{Matched: MatchedUnreadable}
	case key[keyProven] == 0 && d.Handling > Block:
		d = Decision{Matched: MatchedAuthentication}
	}
	d = d.settled()
	d = capped(d, list[ofCeilings])
	d = raised(d, list[ofOverrides])
	d.Permissions = e.intern(d.Permissions)
	return &d
}

// settled drops permissions that the handling does not use, and those that show
// nothing.
func (d Decision) settled() Decision {
	if g := d.Permissions.set; d.Handling != Allow || g != nil && g.nothing() {
		d.Permissions = Permissions{}
	}
	return d
}

// Narrower reports whether d takes something away, in whatever respect, from a
// watcher who was told by before; what it gives beside that does not matter.
func (d Decision) Narrower(before Decision) bool {
	old, now := before.settled(), d.settled()
	return now.Handling < old.Handling || !old.Permissions.minimum(now.Permissions).Equal(old.Permissions)
}

// under is the decision that one ceiling leaves.
func (d Decision) under(r *rule) Decision {
	d.Handling, d.Permissions = min(d.Handling, r.handling), d.Permissions.minimum(r.permissions)
	return d.settled()
}

// over is the decision with what one override grants.
func (d Decision) over(r *rule) Decision {
	d.Handling, d.Permissions = max(d.Handling, r.handling), unionOf(d.Permissions, []found{{rule: r}})
	return d.settled()
}

func (d Decision) same(o Decision) bool {
	return d.Handling == o.Handling && d.Permissions.Equal(o.Permissions)
}

// capped applies ceilings. Those take effect that change the decision by
// themselves.
func capped(d Decision, list []found) Decision {
	before := d
	var effective []found
	for _, r := range list {
		if d = d.under(r.rule); !before.under(r.rule).same(before) {
			effective = append(effective, r)
		}
	}
	d.Capped = names(effective)
	return d
}

// raised applies overrides: to all of them together, for one may say the handling
// and another what it shows.
func raised(d Decision, list []found) Decision {
	if len(list) == 0 {
		return d
	}
	before, all := d, rule{}
	for _, r := range list {
		all.handling = max(all.handling, r.handling)
	}
	all.permissions = unionOf(all.permissions, list)
	if d = d.over(&all); d.same(before) {
		return d
	}
	var effective []found
	for _, r := range list {
		alone := before
		alone.Handling = d.Handling
		if r.handling > before.Handling || !alone.over(r.rule).same(alone) {
			effective = append(effective, r)
		}
	}
	d.Raised = names(effective)
	return d
}

// maxNames is how many rules a reason names.
const maxNames = 8

func names(list []found) string {
	if len(list) == 1 {
		return list[0].name()
	}
	var b strings.Builder
	for i, r := range list {
		if i > 0 {
			b.WriteString(", ")
		}
		if i == maxNames {
			b.WriteString("…")
			break
		}
		b.WriteString(r.name())
	}
	return b.String()
}

// intern returns the first of equal permissions.
func (e *engine) intern(p Permissions) Permissions {
	if p.set == nil {
		return p
	}
	if g, ok := e.grants[p.set.key]; ok {
		return Permissions{set: g}
	}
	e.grants[p.set.key] = p.set
	e.size += 2 * len(p.set.key)
	return p
}

// remember keeps the outcome of the key. When that becomes too much all is
// forgotten: then equal permissions are equal, but no longer by pointer.
func (e *engine) remember(out *Decision) {
	e.size += len(e.key) + len(out.Matched) + 256
	if e.size > maxRemembered {
		clear(e.outcomes)
		clear(e.grants)
		e.size = 0
	}
	e.outcomes[string(e.key)] = out
}
