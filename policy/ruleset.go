package policy

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/tacit-presence/tacit/xmltree"
)

// ErrRules says that a text cannot be read as authorization rules at all. A rule
// that can be read but not understood is no error: what it does not say grants
// nothing.
var ErrRules = errors.New("bad authorization rules")

const (
	// maxRules bounds one document: each decision asks every rule. The rules of a
	// big address book are some dozens.
	maxRules = 1000
	// maxRuleID bounds a rule's id in bytes: reasons name it.
	maxRuleID = 256
	// maxConditions bounds the conditions of one rule; RFC 4745 knows three.
	maxConditions = 64
)

// The namespaces of rules.
const (
	commonPolicySpace    = "urn:ietf:params:xml:ns:common-policy" // RFC 4745, 13
	presRulesSpace       = "urn:ietf:params:xml:ns:pres-rules"    // RFC 5025, 7
	omaCommonPolicySpace = "urn:oma:xml:xdm:common-policy"
	omaPresRulesSpace    = "urn:oma:xml:prs:pres-rules"
)

// Zones gives the time zone of an IANA name, nil if there is none. It must not
// change its mind. Nothing here reads the zones' files; who calls does.
type Zones func(name string) *time.Location

// RuleSet is a document of authorization rules (RFC 4745, 5025, 6772), ready to
// be asked. It is not changed and may be used by several goroutines. Its zero
// value has no rules, and grants nothing.
type RuleSet struct {
	rules []rule
	uses  Uses
}

// Uses says what decisions by rules depend on beside the watcher.
type Uses struct {
	Sphere   bool
	Location bool
	Time     bool
	Lists    []string // the URIs of external lists, sorted
}

func (u Uses) union(v Uses) Uses {
	u.Sphere, u.Location, u.Time = u.Sphere || v.Sphere, u.Location || v.Location, u.Time || v.Time
	if len(v.Lists) > 0 {
		u.Lists = slices.Concat(u.Lists, v.Lists)
		slices.Sort(u.Lists)
		u.Lists = slices.Compact(u.Lists)
	}
	return u
}

// Uses says what the rules ask for, so that nobody works it out in vain.
func (s *RuleSet) Uses() Uses {
	if s == nil {
		return Uses{}
	}
	return s.uses
}

// Len returns the number of rules.
func (s *RuleSet) Len() int {
	if s == nil {
		return 0
	}
	return len(s.rules)
}

// String tells the size alone.
func (s *RuleSet) String() string { return fmt.Sprintf("%d rules", s.Len()) }

// GoString is String: %#v shows no rules either, which tell of friends and foes.
func (s *RuleSet) GoString() string { return s.String() }

// LogValue keeps rules out of logs.
func (s *RuleSet) LogValue() slog.Value { return slog.StringValue(s.String()) }

// rule is one rule. Those without conditions match everybody, authenticated or
// not (RFC 4745, 7.1.1).
type rule struct {
	id         string
	conditions []condition
	times      []timed // the conditions that time alone changes
	other      bool    // OMA's other-identity: asked after all other rules

	handling    Handling
	handles     bool // says a handling at all
	permissions Permissions
}

// ReadRuleSet compiles a document of authorization rules. zones resolves those of
// recurring conditions; nil knows none.
//
// It reads with care, not strictly: package schema is what judges documents
// before they are stored. An element that is not known, or not as it should be,
// makes its condition false or grants nothing (RFC 4745, 7; RFC 5025, 10), so
// that what has not been understood never shows more.
func ReadRuleSet(text string, zones Zones) (*RuleSet, error) {
	doc, err := xmltree.Parse(text, xmltree.DefaultLimits())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRules, err)
	}
	root := doc.Root()
	if !doc.Is(root, commonPolicySpace, "ruleset") {
		return nil, fmt.Errorf("%w: the root is not ruleset of %s", ErrRules, commonPolicySpace)
	}
	r := ruleReader{doc: doc, zones: zones, set: new(RuleSet), grants: map[string]*grant{}}
	for n := doc.FirstElement(root); n != xmltree.None; n = doc.NextElement(n) {
		if !doc.Is(n, commonPolicySpace, "rule") {
			continue
		}
		if len(r.set.rules) == maxRules {
			return nil, fmt.Errorf("%w: more than %d rules", ErrRules, maxRules)
		}
		id, _ := doc.Attr(n, "", "id")
		if id = trimSpace(id); len(id) > maxRuleID {
			return nil, fmt.Errorf("%w: the id of rule %d has more than %d bytes", ErrRules, len(r.set.rules)+1, maxRuleID)
		}
		if id == "" {
			id = fmt.Sprintf("#%d", len(r.set.rules)+1)
		}
		one, err := r.rule(n)
		if err != nil {
			return nil, fmt.Errorf("%w: rule %q: %w", ErrRules, id, err)
		}
		one.id = id
		r.set.rules = append(r.set.rules, one)
	}
	r.set.rules = slices.Clone(r.set.rules) // it is kept, without room to grow
	slices.Sort(r.set.uses.Lists)
	r.set.uses.Lists = slices.Compact(r.set.uses.Lists)
	return r.set, nil
}

// ruleReader reads rules into a set.
type ruleReader struct {
	doc    *xmltree.Doc
	zones  Zones
	set    *RuleSet
	grants map[string]*grant // those of the rules read, by key
}

// intern returns the first of equal permissions: the rules of an address book
// grant few different things.
func (r *ruleReader) intern(p Permissions) Permissions {
	if p.set == nil {
		return p
	}
	if g, ok := r.grants[p.set.key]; ok {
		return Permissions{set: g}
	}
	r.grants[p.set.key] = p.set
	return p
}

var errConditions = fmt.Errorf("more than %d conditions", maxConditions)

func (r *ruleReader) rule(n xmltree.Node) (rule, error) {
	var one rule
	grants := newGrantReader(r.doc)
	strange := condition{kind: neverHolds}
	for c := r.doc.FirstElement(n); c != xmltree.None; c = r.doc.NextElement(c) {
		switch {
		case r.doc.Is(c, commonPolicySpace, "conditions"):
			for k := r.doc.FirstElement(c); k != xmltree.None; k = r.doc.NextElement(k) {
				if len(one.conditions)+len(one.times) >= maxConditions {
					return one, errConditions
				}
				r.condition(&one, k)
			}
		case r.doc.Is(c, commonPolicySpace, "actions"):
			r.actions(&one, c)
		case r.doc.Is(c, commonPolicySpace, "transformations"):
			grants.read(c)
		case strange.text == "":
			// Perhaps <condition>, misspelt: without it the rule would match more.
			strange.text = "<" + r.doc.Local(c) + "> does not belong in a rule"
		}
	}
	if strange.text != "" {
		one.conditions = append(one.conditions, strange)
	}
	one.permissions = r.intern(grants.permissions())
	// Cheap ones first; those of places are not.
	slices.SortStableFunc(one.conditions, func(a, b condition) int { return int(a.kind) - int(b.kind) })
	return one, nil
}

// actions reads sub-handling (RFC 5025, 3.2.1): of several, the largest.
func (r *ruleReader) actions(one *rule, n xmltree.Node) {
	for c := r.doc.FirstElement(n); c != xmltree.None; c = r.doc.NextElement(c) {
		if !r.doc.Is(c, presRulesSpace, "sub-handling") || r.doc.FirstElement(c) != xmltree.None {
			continue
		}
		if h, err := ParseHandling(trimSpace(r.doc.Text(c))); err == nil {
			one.handling, one.handles = max(one.handling, h), true
		}
	}
}

// plain reports that an element has no attributes but those named, and XML's own.
// A condition with another one is not understood: a domain that is misspelt must
// not be as good as none.
func plain(doc *xmltree.Doc, n xmltree.Node, known ...string) bool {
	for i := range doc.NumAttrs(n) {
		a := doc.AttrAt(n, i)
		if !a.Declares() && a.Space() != xmltree.XMLSpace && (a.Space() != "" || !slices.Contains(known, a.Local())) {
			return false
		}
	}
	return true
}
