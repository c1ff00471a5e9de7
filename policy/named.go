package policy

import (
	"slices"
	"time"

	"github.com/tacit-presence/tacit/presence"
)

// Named lists whom the rules name: single identities and domains, exceptions
// among them, each sorted and once.
func (s *RuleSet) Named() (people []presence.AOR, domains []string) {
	if s == nil {
		return nil, nil
	}
	for i := range s.rules {
		for _, c := range s.rules[i].conditions {
			if c.kind != byIdentity {
				continue
			}
			for _, id := range c.identity.ids {
				people = append(people, presence.AOR(id))
			}
			for _, m := range c.identity.many {
				for _, id := range m.exceptIDs {
					people = append(people, presence.AOR(id))
				}
				domains = append(domains, m.exceptDomains...)
				if m.domain != "" {
					domains = append(domains, m.domain)
				}
			}
		}
	}
	slices.Sort(people)
	slices.Sort(domains)
	return slices.Compact(people), slices.Compact(domains)
}

// Edges lists when the validity of a rule begins or ends, sorted and once.
func (s *RuleSet) Edges() (list []time.Time) {
	if s == nil {
		return nil
	}
	for i := range s.rules {
		for _, t := range s.rules[i].times {
			for _, p := range t.validity {
				list = append(list, p.from, p.until)
			}
		}
	}
	slices.SortFunc(list, time.Time.Compare)
	return slices.CompactFunc(list, time.Time.Equal)
}

// Words lists what is permitted, permission by permission, for people.
func (p Permissions) Words() []string {
	list := []string{}
	for _, f := range p.facets() {
		list = append(list, f.String())
	}
	return list
}

// Named lists whom the levels of trust name, as that of a RuleSet does.
func (p *Preferences) Named() (people []presence.AOR, domains []string) { return p.levels().Named() }

// NotUnderstood lists the rules that never hold since a condition of theirs has not
// been understood, each with why.
func (s *RuleSet) NotUnderstood() (list []string) {
	if s == nil {
		return nil
	}
	for i := range s.rules {
		for _, c := range s.rules[i].conditions {
			if c.kind == neverHolds {
				list = append(list, "rule "+s.rules[i].id+": "+c.text)
			}
		}
	}
	return list
}
