package policy

import (
	"strconv"
	"strings"
	"time"

	"github.com/tacit-presence/tacit/presence"
)

// Explanation is a Decision with how it came about.
type Explanation struct {
	Decision Decision
	Rules    []RuleTrace // all that were asked, in the order of sets and documents
	Warnings []string    // what the owner of the rules may not have meant
}

// RuleTrace is what was found of one rule.
type RuleTrace struct {
	Name    string // as in Decision.Matched
	Matched bool
	Failed  string   // the first condition that did not hold, in words
	Adds    []string // what a rule that matched grants
	Until   time.Time
}

// Explain decides, and says of each rule why it matches or not and what it adds.
// It shows all the rules, so it is for their owner and for the operator alone.
func Explain(r *Rules, who presence.Principal, now time.Time, f Facts) Explanation {
	x := Explanation{Decision: Decide(r, who, now, f)}
	if !who.Present() || f.Owner && who.Known() {
		return x
	}
	e := r.use(&f)
	if e == nil {
		return x
	}
	a := ask(who, now, &f)
	own, matched := e.question(r, &a)
	if own.decided {
		t := RuleTrace{Name: matched, Matched: true, Adds: []string{"handling: " + own.handling.String()}}
		if own.handling == Allow {
			t.Adds = append(t.Adds, "everything")
		}
		x.Rules = append(x.Rules, t)
	}
	list := e.matching(e.key)
	for g := range e.sets {
		hit := list[g]
		for _, s := range e.sets[g] {
			for i := range s.Len() {
				one := &s.rules[i]
				t := RuleTrace{Name: found{s.Name, one}.name()}
				t.Matched = len(hit) > 0 && hit[0].rule == one
				if t.Matched {
					t.Adds, hit = one.adds(), hit[1:]
				} else {
					t.Failed = one.failure(&a)
				}
				t.Until = one.changes(&a)
				x.Rules = append(x.Rules, t)
			}
		}
	}
	x.Warnings = warnings(x.Decision, own, list)
	return x
}

// adds is what a rule grants, in words.
func (r *rule) adds() (list []string) {
	list = append(list, "handling: "+r.handling.String())
	if !r.handles {
		list[0] += " (it says none)"
	}
	for _, f := range r.permissions.facets() {
		list = append(list, f.String())
	}
	return list
}

// changes is when time changes whether a rule matches.
func (r *rule) changes(a *asking) time.Time {
	b := *a
	b.until = time.Time{}
	r.holds(&b)
	return b.until
}

// failure says which condition does not hold.
func (r *rule) failure(a *asking) string {
	for i := range r.conditions {
		if c := &r.conditions[i]; !c.holds(a) {
			return c.failure(a)
		}
	}
	if r.other && !a.who.Known() {
		return "other-identity is for the authenticated alone"
	}
	for i := range r.times {
		if ok, next := r.times[i].at(a.now); !ok {
			return r.times[i].failure(next)
		}
	}
	return "other-identity: another rule matches"
}

func (t *timed) failure(next time.Time) string {
	text := "validity: it is not within any of the periods"
	if t.recurring != nil {
		text = "recurring: it is another day or hour in " + t.recurring.zone.String()
	}
	if next.IsZero() {
		return text
	}
	return text + "; next at " + next.UTC().Format(time.RFC3339)
}

// failure says why a condition does not hold.
func (c *condition) failure(a *asking) string {
	switch c.kind {
	case byMechanism:
		return "mechanism: the watcher was proven by " + a.who.Mechanism().String() + ", not by " + strings.Join(c.words, " or ")
	case byAnonymity:
		return "anonymous-request: the watcher is known, and asked for no privacy"
	case byIdentity:
		return c.identity.failure(a)
	case bySphere:
		s := a.facts.Surroundings.Sphere
		if !s.Known() {
			return "sphere: the presentity's is not known, or its sources disagree"
		}
		return "sphere: the presentity's is " + strconv.Quote(strings.Join(s.words, " ")) + ", not " + strings.Join(c.words, " or ")
	case byList:
		if !a.who.Known() {
			return "external-list: the watcher is not authenticated"
		}
		return "external-list: the watcher is in none of the lists"
	case byLocation:
		if a.facts.Surroundings.Location.Unknown() {
			return "location-condition: where the presentity is is not known"
		}
		return "location-condition: the presentity is somewhere else"
	}
	return c.text + ", so it is false"
}

func (id *identity) failure(a *asking) string {
	if a.n == 0 {
		return "identity: the watcher is not authenticated"
	}
	if len(id.ids)+len(id.many) == 0 {
		return "identity: names nobody that could be understood"
	}
	for i := range id.many {
		m := id.many[i]
		if m.exceptIDs, m.exceptDomains = nil, nil; m.holds(a) {
			return "identity: the watcher is excepted"
		}
	}
	return "identity: is about others"
}

// warnings are about what is easily misunderstood.
func warnings(d Decision, own decided, list [groups][]found) (out []string) {
	rules := list[ofPresentity]
	for _, r := range rules {
		if g := r.permissions.set; g != nil && g.everything {
			out = append(out, r.name()+" grants all attributes, the exact location among them: a provide-location beside it takes nothing away (RFC 5025, 3.3.2.15)")
		}
		if r.other {
			out = append(out, r.name()+" holds because nothing else matches: removing another rule can make it hold for more watchers")
		}
		if r.handles && r.handling == Block && d.Handling > Block {
			out = append(out, r.name()+" says block, but another rule gives more, and a rule takes nothing away (RFC 5025, 3.2.1)")
		}
		if !r.handles && len(rules) == 1 && !own.decided {
			out = append(out, r.name()+" matches but says no handling, which is to block")
		}
	}
	if own.decided && own.handling == Block && d.Handling > Block {
		out = append(out, "the decision on the watcher is to block, but another rule gives more, and a rule takes nothing away (RFC 5025, 3.2.1)")
	}
	if d.Handling == Allow && !d.Permissions.all && (d.Permissions.set == nil || !d.Permissions.set.selects()) {
		out = append(out, "the watcher is allowed, but no rule lets it see any service, person or device")
	}
	return out
}
