package policy

import (
	"strconv"
	"strings"

	"github.com/tacit-presence/tacit/compose"
	"github.com/tacit-presence/tacit/location"
	"github.com/tacit-presence/tacit/xmltree"
)

// Permissions say what of a presence document may be seen: the combination of
// all matching rules' transformations (RFC 5025, 3.3). Watchers with Equal ones
// see the same. The zero value permits no component at all.
type Permissions struct {
	all bool   // the whole document, as published
	set *grant // nil: nothing
}

// Everything permits the whole document.
func Everything() Permissions { return Permissions{all: true} }

// All reports that the whole document is permitted, untouched.
func (p Permissions) All() bool { return p.all }

// SetsRetention reports whether locations are told with a time of retention that
// counts from when they are told (RFC 6772, 6.2).
func (p Permissions) SetsRetention() bool { return p.set != nil && p.set.location.SetsRetention() }

// OutOfBand reports whether a place that is published could be told coarsely but
// for the band that Location names (location.Permission.OutOfBand).
func (d Decision) OutOfBand(raw compose.Raw) bool {
	if d.Permissions.set == nil {
		return false
	}
	tree, err := raw.Document().Tree()
	return err == nil && tree.Doc != nil && d.Permissions.set.location.OutOfBand(tree.Doc, d.Location.Band)
}

// Equal reports whether watchers with p and with q see the same.
func (p Permissions) Equal(q Permissions) bool {
	return p.all == q.all && (p.set == q.set || p.set != nil && q.set != nil && p.set.key == q.set.key)
}

// attribute is a set of the permissions of RFC 5025, 3.3.2 that are plain
// booleans.
type attribute uint32

// The attributes that a rule can grant by a boolean.
const (
	provideActivities attribute = 1 << iota
	provideClass
	provideDeviceID // within a tuple
	provideMood
	providePlaceIs
	providePlaceType
	providePrivacy
	provideRelationship
	provideSphere
	provideStatusIcon
	provideTimeOffset
	provideNote
	provideWillingness          // urn:oma:xml:prs:pidf:oma-pres, by OMA's rules
	provideNetworkAvailability  // likewise
	provideSessionParticipation // likewise
	provideRegistrationState    // likewise
	provideBarringState         // likewise
)

// userInput is how much of RPID's user-input may be seen (RFC 5025, 3.3.2.12).
type userInput uint8

// The levels, with their values.
const (
	userInputNone       userInput = 0
	userInputBare       userInput = 10
	userInputThresholds userInput = 20
	userInputFull       userInput = 30
)

// selection says which components of one kind may be seen (RFC 5025, 3.3.1).
// The zero value selects none. The lists are sorted and without duplicates.
type selection struct {
	all       bool
	classes   []string
	ids       []string // occurrence-id
	deviceIDs []string // devices only
	uris      []string // services only: service-uri, in the form that compares
	schemes   []string // services only: service-uri-scheme, lower case
	services  []string // services only: OMA's service-id
	// both are what an operator's ceiling makes: each is a list of selections, and
	// what all of a list select is selected.
	both [][]selection
}

// grant is a set of permissions. A finished grant has its key and is not changed.
type grant struct {
	key        string // canonical: equal keys, equal permissions
	devices    selection
	persons    selection
	services   selection
	attributes attribute
	userInput  userInput
	unknown    []xmltree.Name // provide-unknown-attribute, sorted
	everything bool           // provide-all-attributes
	location   location.Permission
	coarse     int // seconds that timestamps are rounded down to; 0: as they are
}

// finish makes the key of a grant and the Permissions of it. RFC 5025, 3.3.2.15:
// all attributes are every single one, so the location too, as it is; what other
// rules say of its usage holds.
func (g *grant) finish() Permissions {
	if g.everything && !g.location.IsWhole() {
		g.location = location.Combine(g.location, location.Whole())
	}
	b := make([]byte, 0, 128)
	for _, s := range [...]*selection{&g.devices, &g.persons, &g.services} {
		b = s.appendKey(b)
	}
	b = strconv.AppendUint(append(b, '|'), uint64(g.attributes), 16)
	b = strconv.AppendUint(append(b, '|'), uint64(g.userInput), 10)
	b = strconv.AppendBool(append(b, '|'), g.everything)
	b = strconv.AppendInt(append(b, '|'), int64(g.coarse), 10)
	b = g.location.AppendKey(append(b, '|'))
	for _, n := range g.unknown {
		b = append(b, '|')
		b = strconv.AppendInt(b, int64(len(n.Space)), 10)
		b = append(b, ':')
		b = append(b, n.Space...)
		b = append(b, n.Local...)
	}
	g.key = string(b)
	return Permissions{set: g}
}

func (s *selection) appendKey(b []byte) []byte {
	b = strconv.AppendBool(b, s.all)
	for _, list := range s.lists() {
		b = append(b, ';')
		for _, v := range list {
			b = strconv.AppendInt(b, int64(len(v)), 10)
			b = append(b, ':')
			b = append(b, v...)
		}
	}
	for _, group := range s.both {
		b = append(b, '(')
		for i := range group {
			b = group[i].appendKey(append(b, '&'))
		}
		b = append(b, ')')
	}
	return b
}

// collect adds b's selection to s: a component that either selects is selected.
// The lists must be sorted after it.
func (s *selection) collect(b *selection) {
	s.all = s.all || b.all
	for i, list := range b.lists() {
		to := s.pointers()[i]
		*to = append(*to, list...)
	}
	s.both = append(s.both, b.both...)
}

// String names them for people.
func (p Permissions) String() string {
	switch {
	case p.all:
		return "everything"
	case p.set == nil:
		return "nothing"
	}
	var parts []string
	for _, k := range [...]struct {
		name string
		s    *selection
	}{{"devices", &p.set.devices}, {"persons", &p.set.persons}, {"services", &p.set.services}} {
		if text := k.s.String(); text != "" {
			parts = append(parts, k.name+" "+text)
		}
	}
	return strings.Join(parts, "; ")
}

// String names what is selected, empty for nothing.
func (s *selection) String() string {
	if s.all {
		return "all"
	}
	var parts []string
	for i, list := range s.lists() {
		for _, v := range list {
			parts = append(parts, selectors[i].name.Local+"="+v)
		}
	}
	for _, group := range s.both {
		var all []string
		for i := range group {
			all = append(all, group[i].String())
		}
		parts = append(parts, "("+strings.Join(all, ") within (")+")")
	}
	return strings.Join(parts, ",")
}
