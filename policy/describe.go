package policy

import (
	"slices"
	"strconv"

	"github.com/tacit-presence/tacit/location"
)

// attributeNames are what the booleans grant, in words, in the order of their bits.
var attributeNames = [...]string{
	"activities", "class", "a tuple's deviceID", "mood", "place-is", "place-type", "privacy", "relationship", "sphere",
	"status-icon", "time-offset", "notes", "willingness", "network availability", "session participation",
	"registration state", "barring state",
}

var userInputNames = map[userInput]string{
	userInputNone: "none", userInputBare: "bare", userInputThresholds: "with thresholds", userInputFull: "full",
}

// everythingGrant is the whole document, permission by permission.
func everythingGrant() *grant {
	return &grant{
		devices: selection{all: true}, persons: selection{all: true}, services: selection{all: true},
		attributes: 1<<len(attributeNames) - 1, userInput: userInputFull, everything: true, location: location.Whole(),
	}
}

// facet is one permission in words. Facets of one name exclude one another, so
// that a difference says from what to what.
type facet struct {
	name, value string
	kind        string      // of a part of a selection: devices, persons or services
	group       []selection // of a part that a ceiling has left
}

func (f facet) String() string {
	if f.value == "" {
		return f.name
	}
	return f.name + ": " + f.value
}

// facets lists what is permitted, permission by permission.
func (p Permissions) facets() (list []facet) {
	g := p.set
	if p.all {
		g = everythingGrant()
	}
	if g == nil {
		return nil
	}
	for i, kind := range componentKinds {
		list = append(list, p.selection(i).facets(kind)...)
	}
	for i, name := range attributeNames {
		if g.everything || g.attributes&(1<<i) != 0 {
			list = append(list, facet{name: name})
		}
	}
	input := g.userInput
	if g.everything {
		input = userInputFull
	}
	if input != userInputNone {
		list = append(list, facet{name: "user-input", value: userInputNames[input]})
	}
	for _, n := range g.unknown {
		list = append(list, facet{name: "<" + n.Local + "> of " + n.Space})
	}
	if g.everything {
		list = append(list, facet{name: "all other attributes"})
	}
	if !g.location.IsNothing() {
		list = append(list, facet{name: "location", value: g.location.String()})
	}
	if g.coarse > 0 && len(list) > 0 {
		list = append(list, facet{name: "times", value: "in steps of " + strconv.Itoa(g.coarse) + " s"})
	}
	if p.all {
		list = append(list, facet{name: "the document as it was published"})
	}
	return list
}

func (s *selection) facets(kind string) (list []facet) {
	if s.all {
		return []facet{{name: "all " + kind, kind: kind}}
	}
	for i, values := range s.lists() {
		for _, v := range values {
			list = append(list, facet{name: kind + " of " + selectors[i].name.Local + " " + v, kind: kind})
		}
	}
	for _, group := range s.both {
		both := selection{both: [][]selection{group}}
		list = append(list, facet{name: kind + " of " + both.String(), kind: kind, group: group})
	}
	return list
}

// Difference is one thing that a watcher gains or loses, in words. Before or
// After is empty where there is nothing of it.
type Difference struct {
	What          string // "handling", or what is permitted
	Before, After string
	Gained        bool // else lost
}

// String says it in a sentence's worth of words.
func (d Difference) String() string {
	verb := "loses "
	if d.Gained {
		verb = "gains "
	}
	switch {
	case d.Before != "" && d.After != "":
		return verb + d.What + " (" + d.Before + " becomes " + d.After + ")"
	case d.Before+d.After != "":
		return verb + d.What + " (" + d.Before + d.After + ")"
	}
	return verb + d.What
}

// Compare says what a watcher gains and loses where one decision takes the place
// of another: the handling first, then permission by permission.
func Compare(before, after Decision) (list []Difference) {
	if before.Handling != after.Handling {
		list = append(list, Difference{What: "handling", Before: before.Handling.String(), After: after.Handling.String(), Gained: after.Handling > before.Handling})
	}
	old, now := before.settled().Permissions, after.settled().Permissions
	if old.Equal(now) {
		return list
	}
	was, is := old.facets(), now.facets()
	told := map[string]bool{} // kinds of which all become some, or some all
	for i, kind := range componentKinds {
		if b, a := old.selection(i), now.selection(i); b.all != a.all && b.any() && a.any() {
			told[kind] = true
			list = append(list, Difference{What: kind, Before: b.String(), After: a.String(), Gained: a.all})
		}
	}
	find := func(in []facet, name string) (string, bool) {
		i := slices.IndexFunc(in, func(f facet) bool { return f.name == name })
		if i < 0 {
			return "", false
		}
		return in[i].value, true
	}
	more := func(name string) bool { return name != "times" } // coarse times are less
	for _, f := range was {
		switch value, still := find(is, f.name); {
		case told[f.kind], !more(f.name) && len(is) == 0: // of nothing
		case !still && now.covers(f):
		case !still:
			list = append(list, Difference{What: f.name, Before: f.value, Gained: !more(f.name)})
		case value != f.value:
			list = append(list, Difference{What: f.name, Before: f.value, After: value, Gained: tellsMore(f.name, old, now)})
		}
	}
	for _, f := range is {
		if _, had := find(was, f.name); !had && !told[f.kind] && !old.covers(f) && (more(f.name) || len(was) > 0) {
			list = append(list, Difference{What: f.name, After: f.value, Gained: more(f.name)})
		}
	}
	return list
}

// componentKinds are the kinds of components, in the order of a grant's selections.
var componentKinds = [...]string{"devices", "persons", "services"}

func (p Permissions) selection(kind int) *selection {
	switch {
	case p.all:
		return &selection{all: true}
	case p.set == nil:
		return new(selection)
	}
	return [...]*selection{&p.set.devices, &p.set.persons, &p.set.services}[kind]
}

// covers reports whether what is left of a part of a selection is selected by
// others too: that it has a name of its own is no gain, and its end no loss.
func (p Permissions) covers(f facet) bool {
	return f.group != nil && groupWithin(f.group, p.selection(slices.Index(componentKinds[:], f.kind)))
}

// tellsMore reports whether a facet that both have tells more after than before.
func tellsMore(name string, before, after Permissions) bool {
	b, a := before.set, after.set
	if before.all {
		b = everythingGrant()
	}
	if after.all {
		a = everythingGrant()
	}
	switch name {
	case "user-input":
		return a.userInput > b.userInput || a.everything
	case "times":
		return a.coarse < b.coarse
	}
	return location.Combine(b.location, a.location) == a.location
}
