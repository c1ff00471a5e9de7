package schema

import (
	"slices"
	"strconv"
	"strings"

	"github.com/tacit-presence/tacit/xmltree"
)

// Preferences checks a user's preferences, Tacit's own document.
func Preferences() Validator {
	g := rules()
	valid := g.validator([]xmltree.Name{{Space: TacitSpace, Local: "preferences"}}, levelRules, presenceRules, locationRules, tacitConditions)
	return func(d *xmltree.Doc) error {
		if err := obsoleteNames(d); err != nil {
			return err
		}
		return valid(d)
	}
}

const own = space(TacitSpace)

// maxCoarse is a day: what is told less often than that is no timestamp.
const maxCoarse = 24 * 60 * 60

// tacitRules are Tacit's own conditions and transformations.
func tacitRules() table {
	days := listOf("mon", "tue", "wed", "thu", "fri", "sat", "sun")
	start := &simpleType{what: "a time of day, HH:MM", collapse: true, is: func(s string) bool { _, ok := minuteOfDay(s, false); return ok }}
	end := &simpleType{what: "a time of day, HH:MM, at most 24:00", collapse: true, is: func(s string) bool { _, ok := minuteOfDay(s, true); return ok }}
	zone := &simpleType{what: "the name of a time zone, such as Europe/Berlin", collapse: true, is: isZoneName}
	seconds := &simpleType{what: "a number of seconds from 1 to " + strconv.Itoa(maxCoarse), collapse: true, is: func(s string) bool {
		m, negative, ok := magnitude(s)
		return ok && !negative && m != "" && fits(m, strconv.Itoa(maxCoarse))
	}}
	mechanisms := listOf("digest", "asserted", "anonymous", "tls", "smime", "passport", "bearer")
	return table{elements: []*element{
		own.global("recurring", empty(may("days", days), may("from", start), may("until", end), need("zone", zone))),
		own.global("mechanism", text(mechanisms)),
		own.global("coarse-timestamps", empty(need("seconds", seconds))),
	}}
}

// preferences is the document of Tacit's own application usage.
func preferences() table {
	level := model(seq(cp.el("actions", extensible()).optional(), cp.el("transformations", extensible())), need("name", levelName))
	who := empty(need("level", levelName), may("id", anyURI), may("domain", anyText))
	root := &complexType{all: []member{
		{decl: own.global("watchers", empty(need("authentication", tokens("any", "authenticated", "strong"))))},
		{decl: own.global("unknown-watchers", text(tokens("block", "confirm", "polite-block", "allow")))},
		{decl: own.global("announce", empty(may("new-watchers", boolean), may("polling", boolean)))},
		{decl: own.global("conceal", text(tokens("on", "off", "domain")))},
		{decl: own.global("location-band", text(tokens("0", "25", "35", "45", "55", "60")))},
		{decl: own.global("levels", model(choice(own.el("level", level), own.el("member", who)).repeated()))},
	}}
	return table{elements: []*element{own.global("preferences", root)}}
}

// levelName names a level of trust.
var levelName = &simpleType{what: "the name of a level", collapse: true, is: xmltree.IsNCName}

// givenLevels are the levels that need no declaration; none cannot have one, for
// it must stay what it says.
var givenLevels = []string{"none", "low", "medium", "full"}

// tacitConditions holds what Tacit's own elements ask for beside the table. A
// wildcard would let one pass in the wrong place: it would mean nothing there.
func tacitConditions(d *xmltree.Doc) error {
	return each(d, func(n xmltree.Node) *Error {
		if d.Space(n) != TacitSpace {
			return nil
		}
		switch d.Local(n) {
		case "recurring":
			if e := within(d, n, "conditions"); e != nil {
				return e
			}
			return recurring(d, n)
		case "mechanism":
			return within(d, n, "conditions")
		case "coarse-timestamps":
			return within(d, n, "transformations")
		case "preferences", "watchers", "unknown-watchers", "announce", "conceal", "location-band", "levels", "level", "member":
			if d.Is(d.Root(), TacitSpace, "preferences") && (n == d.Root() || d.Space(d.Parent(n)) == TacitSpace) {
				return nil // the table has checked them
			}
			return fault(Constraint, d, n, "", tag(d, n)+" stands in preferences alone")
		}
		return nil
	})
}

// Zones holds that the time zones that recurring conditions name are known: which
// there are is not for a schema to say. One that is misspelt would never hold.
func Zones(known func(name string) bool) Validator {
	return func(d *xmltree.Doc) error {
		return each(d, func(n xmltree.Node) *Error {
			if d.Space(n) != TacitSpace || d.Local(n) != "recurring" {
				return nil
			}
			zone, _ := d.Attr(n, "", "zone")
			if zone = collapse(zone); !known(zone) {
				return fault(Constraint, d, n, "zone", "there is no time zone "+strconv.Quote(zone))
			}
			return nil
		})
	}
}

// within holds that an element is a child of one of a rule's parts.
func within(d *xmltree.Doc, n xmltree.Node, part string) *Error {
	if d.Is(d.Parent(n), CommonPolicySpace, part) {
		return nil
	}
	return fault(Constraint, d, n, "", tag(d, n)+" may stand in <"+part+"> alone")
}

// recurring holds that a time of day has a beginning and an end.
func recurring(d *xmltree.Doc, n xmltree.Node) *Error {
	from, hasFrom := d.Attr(n, "", "from")
	until, hasUntil := d.Attr(n, "", "until")
	if hasFrom != hasUntil {
		return fault(Constraint, d, n, "", tag(d, n)+" must have both from and until, or neither")
	}
	// It might mean all day or never.
	if hasFrom && collapse(from) == collapse(until) {
		return fault(Constraint, d, n, "until", "from and until of "+tag(d, n)+" must differ; leave both out for the whole day")
	}
	return nil
}

// levelRules hold that levels and their members are told apart, and that each
// member's level exists.
func levelRules(d *xmltree.Doc) error {
	list := d.FirstElement(d.Root())
	for list != xmltree.None && d.Local(list) != "levels" {
		list = d.NextElement(list)
	}
	if list == xmltree.None {
		return nil
	}
	r := levelCheck{levels: map[string]struct{}{}, members: map[string]struct{}{}}
	for _, c := range []struct {
		local string
		check func(*xmltree.Doc, xmltree.Node) *Error
	}{{"level", r.level}, {"member", r.member}} {
		for n := d.FirstElement(list); n != xmltree.None; n = d.NextElement(n) {
			if d.Local(n) != c.local {
				continue
			}
			if e := c.check(d, n); e != nil {
				return e
			}
		}
	}
	if r.wrong != nil {
		return r.wrong
	}
	return nil
}

// levelCheck is one check of <levels>.
type levelCheck struct {
	levels, members map[string]struct{}
	wrong           *Error // the first constraint; what is not unique goes before it
}

func (r *levelCheck) note(e *Error) {
	if r.wrong == nil {
		r.wrong = e
	}
}

func (r *levelCheck) level(d *xmltree.Doc, n xmltree.Node) *Error {
	name, _ := d.Attr(n, "", "name")
	name = collapse(name)
	if _, ok := r.levels[name]; ok {
		return fault(Uniqueness, d, n, "name", "another "+tag(d, n)+" has the same name")
	}
	r.levels[name] = struct{}{}
	if name == givenLevels[0] {
		r.note(fault(Constraint, d, n, "name", "the level none grants nothing and cannot be declared"))
	}
	return nil
}

func (r *levelCheck) member(d *xmltree.Doc, n xmltree.Node) *Error {
	uri, byID := d.Attr(n, "", "id")
	domain, byDomain := d.Attr(n, "", "domain")
	if byID == byDomain {
		r.note(fault(Constraint, d, n, "", tag(d, n)+" must have either id or domain"))
		return nil
	}
	// The first letter keeps ids and domains apart.
	key, attr := "i"+collapse(uri), "id"
	if byDomain {
		key, attr = "d"+strings.ToLower(domain), "domain"
	}
	if _, ok := r.members[key]; ok {
		return fault(Uniqueness, d, n, attr, "another "+tag(d, n)+" has the same "+attr)
	}
	r.members[key] = struct{}{}
	level, _ := d.Attr(n, "", "level")
	level = collapse(level)
	if _, ok := r.levels[level]; !ok && !slices.Contains(givenLevels, level) {
		r.note(fault(Constraint, d, n, "level", "the level of "+tag(d, n)+" is not declared"))
	}
	return nil
}
