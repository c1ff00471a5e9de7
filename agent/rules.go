package agent

import (
	"slices"
	"strings"
	"time"

	"github.com/tacit-presence/tacit/location"
	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/shard"
)

// ListMembers finds whom a list names (RFC 4826): by its URI, among the
// resource-lists documents of one presentity, which document returns by path.
// false: there is no such list that a rule of owner's may use.
type ListMembers func(uri string, owner []presence.AOR, document func(path string) (string, bool)) (map[presence.AOR]struct{}, bool)

// zone finds a time zone for recurring conditions.
func zone(name string) *time.Location {
	if name == "" || name == "Local" || strings.Contains(name, "..") {
		return nil
	}
	l, err := time.LoadLocation(name)
	if err != nil {
		return nil
	}
	return l
}

// Zones resolves the time zones that rules name.
func Zones() policy.Zones { return zone }

// force brings all that a presentity has said about its watchers into force: the
// decisions, the documents, the lists that they name.
func (s *Shard) force(p *presentity) {
	rules := &policy.Rules{}
	if p.decisions != nil {
		rules.Decisions = p.decisions.Decisions
	}
	for _, d := range p.docs {
		if d.meaning.Rules != nil {
			rules.Sets = append(rules.Sets, policy.NamedSet{Name: d.AUID + "/" + d.Path, RuleSet: d.meaning.Rules})
		}
		if d.meaning.Preferences != nil {
			rules.Preferences = d.meaning.Preferences
		}
		if d.damaged && d.AUID == AUIDPreferences {
			// Whether decisions are to be hidden is not known.
			rules.Preferences = &policy.Preferences{Conceal: policy.Yes}
		}
	}
	p.rules, p.own, p.lists = rules, nil, nil
	p.uses = s.uses(rules)
	rules.Unreadable = slices.ContainsFunc(p.docs, func(d *kept) bool { return d.damaged && d.decides(p.uses) })
	if s.cfg.ListMembers == nil {
		return
	}
	for _, uri := range p.uses.Lists {
		members, ok := s.cfg.ListMembers(uri, s.cfg.Owner(p.Presentity), func(path string) (string, bool) {
			d := p.document(DocumentName{AUID: AUIDLists, Path: path})
			if d == nil {
				return "", false
			}
			return d.Body, true
		})
		if ok {
			if p.lists == nil {
				p.lists = map[string]map[presence.AOR]struct{}{}
			}
			p.lists[uri] = members
		}
	}
}

// decides reports whether what a document says is asked in decisions that depend on u.
func (d *kept) decides(u policy.Uses) bool {
	switch d.AUID {
	case AUIDPresRules, AUIDOMAPresRules, AUIDPreferences:
		return true
	case AUIDLists:
		return len(u.Lists) > 0
	}
	return false
}

// uses is what decisions depend on, by the presentity's rules and the operator's.
func (s *Shard) uses(rules *policy.Rules) policy.Uses {
	u := rules.Uses()
	for _, set := range [...]*policy.RuleSet{s.cfg.Settings.Ceilings, s.cfg.Settings.Overrides} {
		v := set.Uses()
		u.Sphere, u.Location, u.Time = u.Sphere || v.Sphere, u.Location || v.Location, u.Time || v.Time
	}
	return u
}

// observe works out what rules may ask about p itself, if any does; true: it may
// have changed.
func (s *Shard) observe(p *presentity, now time.Time) bool {
	if !p.uses.Sphere && !p.uses.Location {
		return false
	}
	p.around = policy.Observe(p.raw, now)
	return true
}

// decide asks the presentity's rules about a watcher.
func (s *Shard) decide(p *presentity, who presence.Principal, now time.Time) policy.Decision {
	d := policy.Decide(p.rules, who, now, s.facts(p, who))
	d.Location = location.Options{Band: s.band(p)}
	return d
}

// band is the one that p's places are coarsened in (RFC 6772, 7.5): its own, else
// the domain's.
func (s *Shard) band(p *presentity) location.Band {
	if p.rules != nil && p.rules.Preferences != nil {
		if b, said := p.rules.Preferences.Band(); said {
			return b
		}
	}
	return s.cfg.Settings.Band
}

// verdict is a decision as the presentity may know it.
func (s *Shard) verdict(p *presentity, who presence.Principal, d policy.Decision, now time.Time) policy.Decision {
	if d.Raised == "" || !s.cfg.Settings.HideOverrides {
		return d
	}
	if p.own == nil && p.rules != nil {
		// Rules remember what comes of them with one set of overrides.
		p.own = apart(p.rules)
	}
	f := s.facts(p, who)
	f.Overrides = nil
	d = policy.Decide(p.own, who, now, f)
	s.due(p, d.Until)
	return d
}

// apart is rules as they are, with a memory of their own.
func apart(r *policy.Rules) *policy.Rules {
	return &policy.Rules{Decisions: r.Decisions, Sets: r.Sets, Preferences: r.Preferences, Unreadable: r.Unreadable}
}

// facts are what a decision depends on beside the presentity's rules.
func (s *Shard) facts(p *presentity, who presence.Principal) policy.Facts {
	c := &s.cfg.Settings
	f := policy.Facts{Default: c.Default, Surroundings: p.around, Ceilings: c.Ceilings, Overrides: c.Overrides, Lists: p.listed}
	f = owned(s.cfg.Owner(p.Presentity), who, f)
	if p.rules != nil && len(p.rules.Decisions) > 0 {
		f.Nameless = s.nameless(p, who)
	}
	return f
}

// nameless is the address by which p can decide about a watcher that wants to be
// nameless, and tell it from others; empty for those who do not.
func (s *Shard) nameless(p *presentity, who presence.Principal) presence.AOR {
	if !who.Private() {
		return ""
	}
	return presence.Nameless(s.table.WatcherID(p.Presentity, who.AOR()))
}

// listed reports whether a watcher is in a list that p's rules name. Each of its
// identities counts, as in RFC 5025, 3.1.1.2.
func (p *presentity) listed(uri string, who presence.Principal) bool {
	members := p.lists[uri]
	_, ok := members[who.AOR()]
	if !ok && who.Also() != "" {
		_, ok = members[who.Also()]
	}
	return ok
}

// conceals reports whether the decisions on p's watchers are hidden from them.
func (s *Shard) conceals(p *presentity) bool {
	def := s.cfg.Settings.Conceals != nil && s.cfg.Settings.Conceals(p.Presentity)
	if p.rules != nil && p.rules.Preferences != nil {
		return p.rules.Preferences.Conceal.Or(def)
	}
	return def
}

// redecide asks anew about all subscriptions to p, and arms the timer for when
// time alone will change an answer.
func (s *Shard) redecide(p *presentity, now time.Time, out *shard.Batch) {
	p.until = time.Time{}
	s.observe(p, now)
	s.table.Redecide(&p.Resource, now, out)
	s.rewait(p, now, out)
	s.arm(p)
	s.report(now, out)
}

// due notes when a decision must be taken again.
func (s *Shard) due(p *presentity, at time.Time) {
	if !at.IsZero() && earlier(p.until, at) != p.until {
		p.until = at
		s.arm(p)
	}
}
