package policy

import (
	"cmp"
	"slices"

	"github.com/tacit-presence/tacit/location"
	"github.com/tacit-presence/tacit/xmltree"
)

func compareNames(a, b xmltree.Name) int {
	return cmp.Or(cmp.Compare(a.Space, b.Space), cmp.Compare(a.Local, b.Local))
}

func sortedNames(list []xmltree.Name) []xmltree.Name {
	slices.SortFunc(list, compareNames)
	return slices.Compact(list)
}

// union permits what either permits (RFC 4745, 10.2).
func (p Permissions) union(q Permissions) Permissions {
	switch {
	case p.all || q.set == nil && !q.all:
		return p
	case q.all || p.set == nil:
		return q
	case p.set == q.set || p.set.key == q.set.key:
		return p
	}
	g := *p.set
	g.add(q.set)
	return g.finish()
}

// minimum permits what both permit: an operator's ceiling.
func (p Permissions) minimum(q Permissions) Permissions {
	switch {
	case p.all:
		return q
	case q.all || p.set == nil:
		return p
	case q.set == nil:
		return q
	case p.set.key == q.set.key:
		return p
	}
	g := meet(p.set, q.set)
	return g.finish()
}

// nothing reports that nothing is granted but, perhaps, that times are coarse.
func (g *grant) nothing() bool {
	return !g.selects() && g.attributes == 0 && g.userInput == userInputNone && len(g.unknown) == 0 && !g.everything && g.location.IsNothing()
}

// add adds b's permissions to g, which is not finished, or is so anew. Times are
// as exact as any rule tells them that grants something: a rule that says coarse
// takes nothing away from another that does not.
func (g *grant) add(b *grant) {
	exact := g.coarse == 0 && !g.nothing() || b.coarse == 0 && !b.nothing()
	switch {
	case exact:
		g.coarse = 0
	case g.coarse == 0 || b.coarse != 0 && b.coarse < g.coarse:
		g.coarse = b.coarse
	}
	g.devices.union(&b.devices)
	g.persons.union(&b.persons)
	g.services.union(&b.services)
	g.attributes |= b.attributes
	g.userInput = max(g.userInput, b.userInput)
	g.unknown = sortedNames(slices.Concat(g.unknown, b.unknown))
	g.everything = g.everything || b.everything
	g.location = location.Combine(g.location, b.location)
}

// meet is what both permit; times are as coarse as either has them.
func meet(a, b *grant) grant {
	g := grant{
		devices: intersection(&a.devices, &b.devices), persons: intersection(&a.persons, &b.persons), services: intersection(&a.services, &b.services),
		attributes: a.attributes & b.attributes, userInput: min(a.userInput, b.userInput),
		everything: a.everything && b.everything,
		coarse:     max(a.coarse, b.coarse),
		location:   location.Min(a.location, b.location),
	}
	switch {
	case g.everything:
		g.attributes, g.userInput = a.attributes|b.attributes, max(a.userInput, b.userInput)
		g.unknown = sortedNames(slices.Concat(a.unknown, b.unknown))
	case a.everything:
		g.attributes, g.userInput, g.unknown = b.attributes, b.userInput, b.unknown
	case b.everything:
		g.attributes, g.userInput, g.unknown = a.attributes, a.userInput, a.unknown
	default:
		for _, n := range a.unknown {
			if slices.Contains(b.unknown, n) {
				g.unknown = append(g.unknown, n)
			}
		}
	}
	return g
}

// intersection selects what both select.
func intersection(a, b *selection) selection {
	switch {
	case a.within(b):
		return *a
	case b.within(a):
		return *b
	}
	return selection{both: [][]selection{{*a, *b}}}
}

// within reports whether b selects all that s selects, as far as their lists tell.
func (s *selection) within(b *selection) bool {
	if b.all || !s.any() {
		return true
	}
	if s.all {
		return false
	}
	for i, list := range s.lists() {
		for _, v := range list {
			if !has(b.lists()[i], v) {
				return false
			}
		}
	}
	for _, group := range s.both {
		if !groupWithin(group, b) {
			return false
		}
	}
	return true
}

// groupWithin reports that some selection of a group is within b.
func groupWithin(group []selection, b *selection) bool {
	return slices.ContainsFunc(group, func(s selection) bool { return s.within(b) })
}

func (s *selection) lists() [6][]string {
	return [...][]string{s.classes, s.ids, s.deviceIDs, s.uris, s.schemes, s.services}
}
