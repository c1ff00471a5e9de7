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

// unionOf permits what any of the rules permits. It sorts once, for a document can
// have many rules of long lists.
func unionOf(p Permissions, list []found) Permissions {
	var g grant
	several := false
	for _, r := range list {
		q := r.permissions
		switch {
		case p.all || q.set == nil && !q.all || p.set != nil && q.set != nil && p.set.key == q.set.key:
		case q.all || p.set == nil:
			p = q
		case !several:
			several, g = true, p.set.clone()
			fallthrough
		default:
			g.collect(q.set)
		}
	}
	if p.all || !several {
		return p
	}
	g.sort()
	return g.finish()
}

// clone returns a copy of g to add to.
func (g *grant) clone() grant {
	c := *g
	for _, s := range [...]*selection{&c.devices, &c.persons, &c.services} {
		for _, list := range s.pointers() {
			*list = slices.Clone(*list)
		}
		s.both = slices.Clone(s.both)
	}
	c.unknown = slices.Clone(c.unknown)
	return c
}

// collect adds b's permissions to g, which must be sorted when it has all. Times
// are as exact as any rule tells them that grants something: a rule that says
// coarse takes nothing away from another that does not.
func (g *grant) collect(b *grant) {
	exact := g.coarse == 0 && !g.nothing() || b.coarse == 0 && !b.nothing()
	switch {
	case exact:
		g.coarse = 0
	case g.coarse == 0 || b.coarse != 0 && b.coarse < g.coarse:
		g.coarse = b.coarse
	}
	g.devices.collect(&b.devices)
	g.persons.collect(&b.persons)
	g.services.collect(&b.services)
	g.attributes |= b.attributes
	g.userInput = max(g.userInput, b.userInput)
	g.unknown = append(g.unknown, b.unknown...)
	g.everything = g.everything || b.everything
	g.location = location.Combine(g.location, b.location)
}

// sort puts all lists in order, without duplicates.
func (g *grant) sort() {
	for _, s := range [...]*selection{&g.devices, &g.persons, &g.services} {
		for _, list := range s.pointers() {
			slices.Sort(*list)
			*list = slices.Compact(*list)
		}
	}
	g.unknown = sortedNames(g.unknown)
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

// selectors are the elements that the lists are read from, in the lists' order.
var selectors = [...]struct {
	name xmltree.Name
	in   place // what they select
}{
	{xmltree.Name{Space: presRulesSpace, Local: "class"}, inTuple | inPerson | inDevice},
	{xmltree.Name{Space: presRulesSpace, Local: "occurrence-id"}, inTuple | inPerson | inDevice},
	{xmltree.Name{Space: presRulesSpace, Local: "deviceID"}, inDevice},
	{xmltree.Name{Space: presRulesSpace, Local: "service-uri"}, inTuple},
	{xmltree.Name{Space: presRulesSpace, Local: "service-uri-scheme"}, inTuple},
	{xmltree.Name{Space: omaPresRulesSpace, Local: "service-id"}, inTuple},
}

func (s *selection) lists() [len(selectors)][]string {
	return [...][]string{s.classes, s.ids, s.deviceIDs, s.uris, s.schemes, s.services}
}

func (s *selection) pointers() [len(selectors)]*[]string {
	return [...]*[]string{&s.classes, &s.ids, &s.deviceIDs, &s.uris, &s.schemes, &s.services}
}
