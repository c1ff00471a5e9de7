package agent

import (
	"slices"
	"time"

	"github.com/tacit-presence/tacit/policy"
)

const (
	// ahead is how far a comparison looks from its first change, and from where the
	// validity of each rule begins and ends: days and hours come again after a week.
	ahead = 7 * 24 * time.Hour
	// maxMoments bounds at how many later moments a Comparer decides, for all its
	// subjects together; each costs two decisions.
	maxMoments = 12_000
)

// edges lists when the validity of rules of the presentity's and of the operator's
// begins or ends after now.
func edges(now time.Time, f *policy.Facts, all ...*policy.Rules) (list []time.Time) {
	sets := []*policy.RuleSet{f.Ceilings, f.Overrides}
	for _, r := range all {
		if r == nil {
			continue
		}
		for _, set := range r.Sets {
			sets = append(sets, set.RuleSet)
		}
	}
	for _, set := range sets {
		list = append(list, set.Edges()...)
	}
	list = slices.DeleteFunc(list, func(t time.Time) bool { return !t.After(now) })
	slices.SortFunc(list, time.Time.Compare)
	return slices.CompactFunc(list, time.Time.Equal)
}

// Later says what time alone makes of first, which Compare has said: each other way
// in which something changes, the first time that it is so, with spheres and places
// as they are now. Where time makes nothing of it, first is lengthened. False: there
// was too much to look at all of it.
func (c *Comparer) Later(first *Comparison) (list []Comparison, whole bool) {
	seen := []*Comparison{first}
	last, reached := first, first.From
	for _, start := range append([]time.Time{first.Until}, c.edges...) {
		if !start.After(reached) { // there is none, or it has been walked over
			continue
		}
		if !start.Equal(last.Until) {
			last = &Comparison{}
		}
		for at, end := start, start.Add(ahead); at.After(reached) && at.Before(end); at = last.Until {
			if c.moments++; c.moments > maxMoments {
				return changes(seen[1:]), false
			}
			now := c.compare(first.Subject, at, policy.Decide(c.after.rules, first.Who, at, owned(c.owner, first.Who, c.changed)))
			reached = at
			alike := func(x *Comparison) bool { return slices.Equal(x.Differences, now.Differences) }
			if at.Equal(last.Until) && alike(last) {
				last.Until = now.Until
				continue
			}
			last = &now
			if !slices.ContainsFunc(seen, alike) {
				seen = append(seen, last)
			}
		}
	}
	return changes(seen[1:]), true
}

// changes leaves out where nothing changes.
func changes(seen []*Comparison) (list []Comparison) {
	for _, x := range seen {
		if len(x.Differences) > 0 {
			list = append(list, *x)
		}
	}
	return list
}
