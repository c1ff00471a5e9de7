package policy

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/tacit-presence/tacit/location"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/xmltree"
)

// ErrPreferences says that a text cannot be read as a user's preferences at all.
var ErrPreferences = errors.New("bad preferences")

// Authentication is what a presentity requires of all its watchers. A watcher
// that does not meet it is blocked, whatever rules say. The zero value requires
// nothing.
type Authentication uint8

// The requirements.
const (
	AnyWatcher    Authentication = iota
	Authenticated                // the watcher's identity is known
	Strong                       // and has been proven to this server by cryptography
)

// Met reports whether a mechanism meets the requirement. Strong is every one but
// the anonymous user's and an assertion: with that, another server says that it
// has seen a proof, and one's trust is in that server.
func (a Authentication) Met(m presence.Mechanism) bool {
	switch a {
	case AnyWatcher:
		return true
	case Authenticated:
		return m != presence.MechanismNone && m != presence.MechanismAnonymous
	}
	return m != presence.MechanismNone && m != presence.MechanismAnonymous && m != presence.MechanismAsserted
}

// Choice is a choice that the user may leave to the domain.
type Choice uint8

// The choices.
const (
	LeftToDomain Choice = iota
	No
	Yes
)

// Or returns the choice, def where it is left to the domain.
func (c Choice) Or(def bool) bool {
	if c == LeftToDomain {
		return def
	}
	return c == Yes
}

// Preferences are a user's own document beside its rules.
type Preferences struct {
	Authentication Authentication
	NewWatchers    Choice // announce watchers that are new
	Polling        Choice // announce watchers that poll
	Conceal        Choice // hide decisions from watchers

	band        location.Band
	namesBand   bool
	unknown     Handling
	asksUnknown bool
	byLevel     *RuleSet
}

// Unknown returns the handling of watchers whom no rule matches, and whether the
// user has said it.
func (p *Preferences) Unknown() (Handling, bool) {
	if p == nil {
		return Block, false
	}
	return p.unknown, p.asksUnknown
}

// Band returns the band that the user's places are coarsened in, and whether the
// user has named one.
func (p *Preferences) Band() (location.Band, bool) { return p.band, p.namesBand }

// Uses is as that of a RuleSet.
func (p *Preferences) Uses() Uses { return p.levels().Uses() }

// String tells nothing of whom the user trusts.
func (p *Preferences) String() string { return "preferences" }

// GoString is String.
func (p *Preferences) GoString() string { return p.String() }

// LogValue keeps whom the user trusts out of logs.
func (p *Preferences) LogValue() slog.Value { return slog.StringValue(p.String()) }

// levels are the levels of trust, as rules.
func (p *Preferences) levels() *RuleSet {
	if p == nil {
		return nil
	}
	return p.byLevel
}

// levelsName is the name of the levels' set in reasons.
const levelsName = "level"

const (
	maxLevels  = 64       // of one document: nobody can tell more apart
	maxMembers = 16 << 10 // the document's own limit comes before
)

// ReadPreferences reads a user's preferences. As with rules, what is not as it
// should be is taken as what shows least: a requirement that is not known is the
// strongest, a handling blocks, concealment is on, places lie in no band, and a
// level grants nothing.
func ReadPreferences(text string) (*Preferences, error) {
	doc, err := xmltree.Parse(text, xmltree.DefaultLimits())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPreferences, err)
	}
	if !doc.Is(doc.Root(), ownSpace, "preferences") {
		return nil, fmt.Errorf("%w: the root is not preferences of %s", ErrPreferences, ownSpace)
	}
	p := new(Preferences)
	seen := map[string]bool{}
	for n := doc.FirstElement(doc.Root()); n != xmltree.None; n = doc.NextElement(n) {
		if doc.Space(n) != ownSpace {
			continue
		}
		local := doc.Local(n)
		if seen[local] {
			return nil, fmt.Errorf("%w: <%s> comes twice", ErrPreferences, local)
		}
		seen[local] = true
		if err := p.read(doc, n); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *Preferences) read(doc *xmltree.Doc, n xmltree.Node) error {
	word := trimSpace(doc.Text(n))
	attr := func(name string) string { v, _ := doc.Attr(n, "", name); return trimSpace(v) }
	switch doc.Local(n) {
	case "watchers":
		switch attr("authentication") {
		case "any":
			p.Authentication = AnyWatcher
		case "authenticated":
			p.Authentication = Authenticated
		default:
			p.Authentication = Strong
		}
	case "unknown-watchers":
		p.asksUnknown = true
		p.unknown, _ = ParseHandling(word)
	case "announce":
		p.NewWatchers, p.Polling = choice(attr("new-watchers")), choice(attr("polling"))
	case "conceal":
		switch word {
		case "domain":
		case "off":
			p.Conceal = No
		default:
			p.Conceal = Yes
		}
	case "location-band":
		p.namesBand = true
		p.band, _ = location.ParseBand(word)
	case "levels":
		return p.readLevels(doc, n)
	}
	return nil
}

func choice(s string) Choice {
	switch s {
	case "true", "1":
		return Yes
	case "false", "0":
		return No
	}
	return LeftToDomain
}

// givenLevels are there without being declared. A declaration takes the place of
// all but none.
func givenLevels() []rule {
	low := grant{services: selection{all: true}}
	medium := grant{
		services: selection{all: true}, persons: selection{all: true}, devices: selection{all: true},
		attributes: provideActivities | provideMood | provideNote | providePlaceIs | provideStatusIcon | provideWillingness | provideNetworkAvailability,
		userInput:  userInputBare,
	}
	return []rule{
		{id: "none", handles: true},
		{id: "low", handling: Allow, handles: true, permissions: low.finish()},
		{id: "medium", handling: Allow, handles: true, permissions: medium.finish()},
		{id: "full", handling: Allow, handles: true, permissions: Everything()},
	}
}

// readLevels makes a rule of each level that has members. A member by its domain
// is there for whoever is no member by itself: so a level for one person holds
// whatever that of its domain is.
func (p *Preferences) readLevels(doc *xmltree.Doc, n xmltree.Node) error {
	levels := givenLevels()
	for c := doc.FirstElement(n); c != xmltree.None; c = doc.NextElement(c) {
		if !doc.Is(c, ownSpace, "level") {
			continue
		}
		one := readLevel(doc, c)
		i := slices.IndexFunc(levels, func(r rule) bool { return r.id == one.id })
		switch {
		case i == 0: // none stays what it says
		case i > 0:
			levels[i] = one
		case len(levels) == maxLevels || len(one.id) > maxRuleID:
			return fmt.Errorf("%w: more than %d levels, or a name of more than %d bytes", ErrPreferences, maxLevels, maxRuleID)
		default:
			levels = append(levels, one)
		}
	}
	who := make([]identity, len(levels))
	domains := make([][]string, len(levels))
	var all []string
	count, unread := 0, false
	for c := doc.FirstElement(n); c != xmltree.None; c = doc.NextElement(c) {
		if !doc.Is(c, ownSpace, "member") {
			continue
		}
		if count++; count > maxMembers {
			return fmt.Errorf("%w: more than %d members", ErrPreferences, maxMembers)
		}
		level, _ := doc.Attr(c, "", "level")
		i := slices.IndexFunc(levels, func(r rule) bool { return r.id == trimSpace(level) })
		if uri, ok := doc.Attr(c, "", "id"); ok {
			id, ok := canonicalID(uri)
			if unread = unread || !ok; !ok {
				continue
			}
			all = append(all, id)
			if i >= 0 {
				who[i].ids = append(who[i].ids, id)
			}
		} else if domain, ok := doc.Attr(c, "", "domain"); ok && i >= 0 {
			if domain, _, ok := canonicalDomain(domain); ok {
				domains[i] = append(domains[i], domain)
			}
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	p.byLevel = new(RuleSet)
	for i := range levels {
		for _, d := range domains[i] {
			if unread { // who is not read cannot be excepted
				break
			}
			who[i].many = append(who[i].many, many{domain: d, exceptIDs: all})
		}
		if len(who[i].ids)+len(who[i].many) == 0 {
			continue
		}
		slices.Sort(who[i].ids)
		levels[i].conditions = []condition{{kind: byIdentity, identity: &who[i]}}
		p.byLevel.rules = append(p.byLevel.rules, levels[i])
	}
	return nil
}

// readLevel reads a level: actions and transformations as a rule's. Without
// actions it blocks, as a rule does.
func readLevel(doc *xmltree.Doc, n xmltree.Node) rule {
	name, _ := doc.Attr(n, "", "name")
	one := rule{id: trimSpace(name)}
	r := ruleReader{doc: doc}
	grants := newGrantReader(doc)
	for c := doc.FirstElement(n); c != xmltree.None; c = doc.NextElement(c) {
		switch {
		case doc.Is(c, commonPolicySpace, "actions"):
			r.actions(&one, c)
		case doc.Is(c, commonPolicySpace, "transformations"):
			grants.read(c)
		}
	}
	one.permissions = grants.permissions()
	return one
}
