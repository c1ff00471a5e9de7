package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tacit-presence/tacit/location"
	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/xmltree"
)

// canary is a text that stands once in a generated document.
type canary struct {
	text  string
	shown func(*grant) bool // who may see it
	must  bool              // and does: no merging can take it away
}

// sheet generates a document whose every value is a canary, and knows by the text
// of the RFCs who may see which. It shares nothing with the filter.
type sheet struct {
	rng      *rand.Rand
	layout   *rand.Rand // for white space
	n        int
	canaries []canary
	b        strings.Builder
	only     *grant // what it may not see is left out
	hidden   int    // depth of what is left out
	rpid, dm string // prefixes
	classes  []string
	ids      []string
	uris     []string
	devices  []string
}

func (s *sheet) put(format string, args ...any) {
	if s.hidden == 0 {
		fmt.Fprintf(&s.b, format, args...)
	}
}

func (s *sheet) chance(percent int) bool { return s.rng.IntN(100) < percent }

func (s *sheet) new(shown func(*grant) bool) string {
	s.n++
	text := fmt.Sprintf("c%06dz", s.n)
	s.canaries = append(s.canaries, canary{text, shown, true})
	return text
}

func never(*grant) bool { return false }

// when writes what only some may see.
func (s *sheet) when(shown func(*grant) bool, write func()) {
	out := s.only != nil && !shown(s.only)
	if out {
		s.hidden++
	}
	write()
	if out {
		s.hidden--
	}
}

// noise is what nobody sees.
func (s *sheet) noise() {
	s.put("%s", [...]string{"", "\n  ", " ", "\r\n\t"}[s.layout.IntN(4)])
	s.when(never, func() {
		switch s.rng.IntN(8) {
		case 0:
			s.put("<!-- %s -->", s.new(never))
		case 1:
			s.put("<?%s %s?>", s.new(never), s.new(never))
		}
	})
}

// foreign is an attribute of another namespace, and sometimes one of none.
func (s *sheet) foreign() {
	s.when(never, func() {
		if s.chance(30) {
			s.put(` f:%s="%s"`, s.new(never), s.new(never))
		}
		if s.chance(20) {
			s.put(` odd="%s"`, s.new(never))
		}
	})
}

// time is a time whose fraction is a canary.
func (s *sheet) time(shown func(*grant) bool) string {
	s.n++
	text := fmt.Sprintf(".%06d", s.n*10+1)
	s.canaries = append(s.canaries, canary{text + "Z", func(g *grant) bool { return g.coarse == 0 && shown(g) }, false})
	return "2026-01-02T03:04:05" + text + [...]string{"Z", "+05:00", "-03:30"}[s.rng.IntN(3)]
}

func all(fs ...func(*grant) bool) func(*grant) bool {
	return func(g *grant) bool {
		return !slices.ContainsFunc(fs, func(f func(*grant) bool) bool { return !f(g) })
	}
}

func everything(g *grant) bool { return g.everything }

func granted(a attribute) func(*grant) bool {
	return func(g *grant) bool { return g.everything || g.attributes&a != 0 }
}

func inputLevel(l userInput) func(*grant) bool {
	return func(g *grant) bool { return g.everything || g.userInput >= l }
}

// table1 is RFC 4480's, with the permissions of RFC 5025: where an element may
// stand, and what shows it there.
var table1 = []struct {
	name  string
	in    string
	shown func(*grant) bool
}{
	{"activities", "person", granted(provideActivities)},
	{"mood", "person", granted(provideMood)},
	{"place-is", "person", granted(providePlaceIs)},
	{"place-type", "person", granted(providePlaceType)},
	{"privacy", "person tuple", granted(providePrivacy)},
	{"relationship", "tuple", granted(provideRelationship)},
	{"service-class", "tuple", func(*grant) bool { return true }},
	{"sphere", "person", granted(provideSphere)},
	{"status-icon", "person tuple", granted(provideStatusIcon)},
	{"time-offset", "person", granted(provideTimeOffset)},
	{"user-input", "person tuple device", inputLevel(userInputBare)},
	{"undefined", "", everything},
}

var omaTable = []struct {
	name  string
	shown func(*grant) bool
}{
	{"willingness", granted(provideWillingness)},
	{"overriding-willingness", granted(provideWillingness)},
	{"network-availability", granted(provideNetworkAvailability)},
	{"session-participation", granted(provideSessionParticipation)},
	{"registration-state", granted(provideRegistrationState)},
	{"barring-state", granted(provideBarringState)},
}

// rpidElement writes one of table 1, with all that it may and may not have.
func (s *sheet) rpidElement(place string, selected func(*grant) bool) {
	row := table1[s.rng.IntN(len(table1))]
	shown := all(selected, row.shown)
	if !slices.Contains(strings.Fields(row.in), place) {
		shown = all(selected, everything)
	}
	s.when(shown, func() {
		s.put("<%s:%s", s.rpid, row.name)
		if row.name == "undefined" {
			s.put(">%s</%s:undefined>", s.new(shown), s.rpid)
			return
		}
		s.foreign()
		s.when(never, func() { s.put(` id="%s"`, s.new(never)) })
		switch row.name {
		case "user-input":
			s.userInput(shown)
			return
		case "time-offset":
			s.put(` description="%s">-240</%s:time-offset>`, s.new(shown), s.rpid)
			return
		case "sphere", "status-icon":
			s.put(` from="%s">%s</%s:%s>`, s.time(shown), s.new(shown), s.rpid, row.name)
			return
		case "activities", "mood", "place-is", "place-type", "privacy":
			s.put(` from="%s" until="%s"`, s.time(shown), s.time(shown))
		}
		s.put(">")
		s.noise()
		s.put("<%s:note>%s</%s:note>", s.rpid, s.new(shown), s.rpid)
		s.noise()
		s.put("<%s:unknown/><%s:other>%s<![CDATA[%s]]></%s:other>", s.rpid, s.rpid, s.new(shown), s.new(shown), s.rpid)
		if s.chance(30) {
			s.location(all(shown, everything))
		}
		s.noise()
		s.put("</%s:%s>", s.rpid, row.name)
	})
}

func (s *sheet) userInput(shown func(*grant) bool) {
	thresholds, full := all(shown, inputLevel(userInputThresholds)), all(shown, inputLevel(userInputFull))
	s.when(thresholds, func() {
		s.n++
		text := fmt.Sprintf(`"9%06d"`, s.n)
		s.canaries = append(s.canaries, canary{text, thresholds, true})
		s.put(" idle-threshold=%s", text)
	})
	s.when(full, func() { s.put(` last-input="%s"`, s.time(full)) })
	s.put(">idle</%s:user-input>", s.rpid)
}

func (s *sheet) location(shown func(*grant) bool) {
	s.when(shown, func() {
		s.put(`<gp:geopriv><gp:location-info>%s</gp:location-info></gp:geopriv>`, s.new(shown))
	})
}

// unknown writes an element that has no permission of its own: one that a rule
// can name, in a namespace of the presentity's or of its own element.
func (s *sheet) unknown(selected func(*grant) bool) {
	name := unknownNames[s.rng.IntN(len(unknownNames))]
	shown := all(selected, func(g *grant) bool { return g.everything || slices.Contains(g.unknown, name) })
	s.when(shown, func() {
		prefix, value := s.new(shown), s.new(shown)
		s.put(`<%s:%s xmlns:%s="%s" %s:x="%s" xmlns:%s="urn:%s">`, prefix, name.Local, prefix, name.Space, prefix, s.new(shown), value, s.new(shown))
		s.put(`%s %s:%s`, s.new(shown), value, s.new(shown))
		s.when(never, func() { s.put(`<!-- %s -->`, s.new(never)) })
		if s.chance(50) {
			s.location(all(shown, everything))
		}
		s.put(`<i>%s</i></%s:%s>`, s.new(shown), prefix, name.Local)
	})
}

var unknownNames = []xmltree.Name{
	{Space: "urn:example:u", Local: "a"}, {Space: "urn:example:u", Local: "b"}, {Space: "urn:ietf:params:xml:ns:pidf:cipid", Local: "card"},
	{Space: pidf.OMASpace, Local: "service-description"}, {Space: "urn:ietf:params:xml:ns:pidf:caps", Local: "servcaps"},
}

func (s *sheet) extensions(place string, selected func(*grant) bool) {
	for range s.rng.IntN(5) {
		s.noise()
		switch s.rng.IntN(6) {
		case 0:
			s.unknown(selected)
		case 1:
			s.location(all(selected, func(g *grant) bool { return g.everything || place != "root" && g.location.IsWhole() }))
		case 2:
			row := omaTable[s.rng.IntN(len(omaTable))]
			shown := all(selected, row.shown)
			if place == "root" {
				shown = all(selected, everything)
			}
			s.when(shown, func() { s.put(`<op:%s><op:basic>%s</op:basic></op:%s>`, row.name, s.new(shown), row.name) })
		default:
			s.rpidElement(place, selected)
		}
	}
	s.noise()
}

// component writes a tuple, person or device.
func (s *sheet) component(kind string) {
	class, id, key := "", fmt.Sprintf("c%06dz", s.n+1), fmt.Sprintf("c%06dz", s.n+2)
	if s.chance(60) {
		class = fmt.Sprintf("c%06dz", s.n+3)
	}
	scheme := []string{"im", "SIP"}[s.rng.IntN(2)]
	uri := scheme + ":" + key + "@Example.com"
	if kind == "device" {
		uri = "urn:uuid:" + key
	}
	s.n += 3
	selected := func(g *grant) bool {
		sel := map[string]selection{"tuple": g.services, "person": g.persons, "device": g.devices}[kind]
		same := func(v string) bool { return strings.EqualFold(v, uri) }
		return sel.all || class != "" && slices.Contains(sel.classes, class) || slices.Contains(sel.ids, id) ||
			kind == "tuple" && (slices.Contains(sel.schemes, strings.ToLower(scheme)) || slices.ContainsFunc(sel.uris, same)) ||
			kind == "device" && slices.ContainsFunc(sel.deviceIDs, same)
	}
	s.canaries = append(s.canaries, canary{id, never, false})
	s.ids = append(s.ids, id)
	if class != "" {
		s.classes = append(s.classes, class)
		s.canaries = append(s.canaries, canary{class, all(selected, granted(provideClass)), true})
	}
	space := s.dm + ":"
	if kind == "tuple" {
		space = ""
	}
	s.when(selected, func() {
		s.put(`<%s%s id="%s"`, space, kind, id)
		s.foreign()
		s.put(">")
		if kind == "tuple" {
			s.noise()
			s.put("<status>")
			s.noise()
			if s.chance(80) {
				s.put("<basic>%s</basic>", [...]string{"open", "closed"}[s.rng.IntN(2)])
			}
			s.extensions("status", selected)
			s.put("</status>")
		}
		if class != "" {
			s.put("<%s:class>%s</%s:class>", s.rpid, class, s.rpid) // it may be what selects
		}
		s.extensions(kind, selected)
		s.keys(kind, uri, key, selected)
		s.rest(space, selected)
		s.put("</%s%s>", space, kind)
	})
}

// keys writes a component's URIs.
func (s *sheet) keys(kind, uri, key string, selected func(*grant) bool) {
	switch kind {
	case "tuple":
		if s.chance(50) {
			shown := all(selected, granted(provideDeviceID))
			s.when(shown, func() { s.put("<%s:deviceID>urn:uuid:%s</%s:deviceID>", s.dm, s.new(shown), s.dm) })
		}
		s.uris = append(s.uris, uri)
		s.put("<contact")
		s.foreign()
		s.put(` priority="0.5">%s</contact>`, uri)
	case "device":
		s.devices = append(s.devices, uri)
		s.put("<%s:deviceID>%s</%s:deviceID>", s.dm, uri, s.dm)
	default:
		return
	}
	s.canaries = append(s.canaries, canary{key, selected, true})
}

func (s *sheet) rest(space string, selected func(*grant) bool) {
	if s.chance(50) {
		shown := all(selected, granted(provideNote))
		s.when(shown, func() { s.put(`<%snote xml:lang="en">%s</%snote>`, space, s.new(shown), space) })
	}
	s.noise()
	if s.chance(70) {
		s.put("<%stimestamp>%s</%stimestamp>", space, s.time(selected), space)
	}
}

// document writes one.
func (s *sheet) document() string {
	s.b.Reset()
	prefixes := [...][2]string{{"rpid", "dm"}, {"r", "d"}, {"dm", "rpid"}, {"t", "op2"}}[s.rng.IntN(4)]
	s.rpid, s.dm = prefixes[0], prefixes[1]
	anything := func(g *grant) bool {
		return slices.ContainsFunc([]selection{g.devices, g.persons, g.services}, func(x selection) bool {
			return x.all || len(x.classes)+len(x.ids)+len(x.deviceIDs)+len(x.uris)+len(x.schemes)+len(x.services) > 0
		})
	}
	s.put(`<presence xmlns="%s" xmlns:%s="%s" xmlns:%s="%s" xmlns:gp="urn:ietf:params:xml:ns:pidf:geopriv10" xmlns:op="%s" xmlns:f="urn:example:f"`,
		pidf.Space, s.rpid, pidf.RPIDSpace, s.dm, pidf.DataModelSpace, pidf.OMASpace)
	s.when(never, func() { s.put(` xmlns:%s="urn:%s"`, s.new(never), s.new(never)) })
	s.put(` entity="sip:%s@example.com">`, s.new(never))
	for range s.rng.IntN(4) {
		s.noise()
		s.component("tuple")
	}
	if s.chance(40) {
		shown := all(anything, granted(provideNote))
		s.when(shown, func() { s.put("<note>%s</note>", s.new(shown)) })
	}
	for range s.rng.IntN(4) {
		s.noise()
		s.component([...]string{"person", "device"}[s.rng.IntN(2)])
	}
	if s.chance(40) {
		s.extensions("root", anything)
	}
	s.put("</presence>")
	return s.b.String()
}

// randomGrant makes one that is about what the sheet has written.
func randomGrant(rng *rand.Rand, s *sheet) *grant {
	g := &grant{attributes: attribute(rng.Uint32()), everything: rng.IntN(6) == 0}
	if rng.IntN(3) == 0 {
		g.attributes = 0
	}
	g.userInput = [...]userInput{userInputNone, userInputBare, userInputThresholds, userInputFull}[rng.IntN(4)]
	g.coarse = [...]int{0, 0, 1, 900}[rng.IntN(4)]
	some := func(list []string) (out []string) {
		for _, v := range list {
			if rng.IntN(3) == 0 {
				out = append(out, v)
			}
		}
		slices.Sort(out)
		return out
	}
	for _, sel := range []*selection{&g.devices, &g.persons, &g.services} {
		switch rng.IntN(4) {
		case 0:
			sel.all = true
		case 1:
			sel.classes, sel.ids = some(s.classes), some(s.ids)
		case 2:
			if sel == &g.services {
				sel.uris, sel.schemes = some(s.uris), some([]string{"im", "sip"})
			}
			if sel == &g.devices {
				sel.deviceIDs = some(s.devices)
			}
		}
	}
	// What the sheet writes as a location is none, so that less than whole is nothing.
	g.location = [...]location.Permission{location.Nothing(), location.Limited(location.Full, 100), location.Whole()}[rng.IntN(3)]
	for _, n := range unknownNames {
		if rng.IntN(3) == 0 {
			g.unknown = append(g.unknown, n)
		}
	}
	return g
}

// TestNothingUnauthorized filters random documents by random grants. Of what was
// published the watcher gets what the RFCs grant and nothing else, in a document
// that is valid, that a second filtering leaves as it is, and that is the same as
// if the rest had never been published.
func TestNothingUnauthorized(t *testing.T) {
	t.Parallel()
	told := 0
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		s := &sheet{rng: rng, layout: rand.New(rand.NewPCG(seed, 3))}
		first, second := s.document(), s.document()
		g := randomGrant(rand.New(rand.NewPCG(seed, 2)), s)
		p := g.finish()
		out := Apply(rawOf(t, first, second), Decision{Handling: Allow, Permissions: p}).Document()
		text := out.Render("e")
		fail := func(format string, args ...any) {
			t.Fatalf("seed %d: %s\ngrant %s, %+v\nfirst\n%s\nsecond\n%s\ntold\n%s", seed, fmt.Sprintf(format, args...), p, *g, first, second, text)
		}
		for _, c := range s.canaries {
			switch has, may := strings.Contains(text, c.text), c.shown(g); {
			case has && !may:
				fail("%s is told", c.text)
			case !has && may && c.must:
				fail("%s is not told", c.text)
			case has:
				told++
			}
		}
		if strings.Contains(text, "<!--") || strings.Contains(text[1:], "<?") || strings.Contains(text, "+05:00") || strings.Contains(text, "-03:30") {
			fail("a comment, an instruction or a zone")
		}
		if _, err := (pidf.Tolerances{}).Parse(text); err != nil {
			fail("%v", err)
		}
		if err := check(text, g); err != nil {
			fail("%v", err)
		}
		if again := filtered(out, g, location.Options{}).Render("e"); again != text {
			fail("filtered twice\n%s", again)
		}
		less := &sheet{rng: rand.New(rand.NewPCG(seed, 1)), layout: rand.New(rand.NewPCG(seed, 4)), only: g}
		if got := filtered(rawOf(t, less.document(), less.document()).Document(), g, location.Options{}).Render("e"); got != text {
			fail("what is withheld leaves a trace; without it\n%s", got)
		}
	}
	if told < 10000 {
		t.Errorf("only %d texts told: the test tests little", told)
	}
}
