package policy

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/presence"
)

// plainRule is a rule as a reference evaluator without any cleverness takes it.
type plainRule struct {
	id         string
	conditions []plainCondition
	handling   string // empty: unsaid
	facets     map[string]bool
	input      int
	coarse     int
	other      bool
}

type plainCondition struct {
	xml   string
	holds func(q *plainQuestion) bool
}

type plainQuestion struct {
	who    presence.Principal
	ids    []string
	now    time.Time
	sphere string
	lists  map[string]bool
}

var (
	propertyIDs     = []string{"sip:a@x.example", "sip:b@x.example", "sip:a@y.example", "tel:+15551", "sip:c@z.example"}
	propertyDomains = []string{"x.example", "y.example", "z.example"}
	propertyTime    = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	handlingNames   = []string{"block", "confirm", "polite-block", "allow"}
)

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

func domainOf(id string) string { _, d, _ := strings.Cut(id, "@"); return d }

func randomCondition(r *rand.Rand) plainCondition {
	switch r.IntN(9) {
	case 0, 1, 2:
		a, b := pick(r, propertyIDs), pick(r, propertyIDs)
		return plainCondition{`<identity><one id="` + a + `"/><one id="` + b + `"/></identity>`, func(q *plainQuestion) bool {
			return slices.Contains(q.ids, a) || slices.Contains(q.ids, b)
		}}
	case 3:
		domain, but, except := pick(r, propertyDomains), pick(r, propertyDomains), pick(r, propertyIDs)
		return plainCondition{`<identity><many domain="` + domain + `"><except id="` + except + `"/><except domain="` + but + `"/></many></identity>`, func(q *plainQuestion) bool {
			in := false
			for _, id := range q.ids {
				if id == except || domainOf(id) == but {
					return false
				}
				in = in || domainOf(id) == domain
			}
			return in
		}}
	case 4:
		except := pick(r, propertyIDs)
		return plainCondition{`<identity><many><except id="` + except + `"/></many></identity>`, func(q *plainQuestion) bool {
			return len(q.ids) > 0 && !slices.Contains(q.ids, except)
		}}
	case 5:
		return plainCondition{`<sphere value="work gym"/>`, func(q *plainQuestion) bool { return q.sphere == "work" }}
	case 6:
		from := propertyTime.Add(time.Duration(r.IntN(100)-50) * time.Hour)
		until := from.Add(time.Duration(r.IntN(50)+1) * time.Hour)
		return plainCondition{`<validity><from>` + from.Format(time.RFC3339) + `</from><until>` + until.Format(time.RFC3339) + `</until></validity>`, func(q *plainQuestion) bool {
			return !q.now.Before(from) && q.now.Before(until)
		}}
	case 7:
		hour, length := r.IntN(24), 1+r.IntN(23)
		end := (hour + length) % 24
		return plainCondition{fmt.Sprintf(`<t:recurring from="%02d:00" until="%02d:00" zone="Europe/Berlin"/>`, hour, end), func(q *plainQuestion) bool {
			h := q.now.Add(time.Hour).Hour() // March 2 to 8: winter time
			return (h-hour+24)%24 < length
		}}
	default:
		if r.IntN(3) == 0 {
			return plainCondition{`<x:unknown xmlns:x="urn:x"/>`, func(*plainQuestion) bool { return false }}
		}
		list := pick(r, []string{"http://l/1", "http://l/2"})
		return plainCondition{`<ocp:external-list><ocp:entry anc="` + list + `"/></ocp:external-list>`, func(q *plainQuestion) bool {
			return len(q.ids) > 0 && q.lists[list]
		}}
	}
}

func randomRule(r *rand.Rand, i int, others bool) plainRule {
	p := plainRule{id: fmt.Sprintf("r%d", i), facets: map[string]bool{}}
	for range r.IntN(3) {
		p.conditions = append(p.conditions, randomCondition(r))
	}
	p.other = others && r.IntN(6) == 0
	if r.IntN(4) > 0 {
		p.handling = pick(r, handlingNames)
	}
	for range r.IntN(4) {
		p.facets[pick(r, []string{"mood", "notes", "activities", "all services", "devices of class biz", "persons of class home"})] = true
	}
	p.input = pick(r, []int{0, 0, 10, 20, 30})
	p.coarse = pick(r, []int{0, 0, 0, 60, 900})
	return p
}

func (p *plainRule) xml() string {
	var b strings.Builder
	b.WriteString(`<rule id="` + p.id + `"><conditions>`)
	for _, c := range p.conditions {
		b.WriteString(c.xml)
	}
	if p.other {
		b.WriteString(`<ocp:other-identity/>`)
	}
	b.WriteString(`</conditions><actions>`)
	if p.handling != "" {
		b.WriteString(`<pr:sub-handling>` + p.handling + `</pr:sub-handling>`)
	}
	b.WriteString(`</actions><transformations>`)
	for f := range p.facets {
		b.WriteString(map[string]string{
			"mood": `<pr:provide-mood>true</pr:provide-mood>`, "notes": `<pr:provide-note>true</pr:provide-note>`, "activities": `<pr:provide-activities>true</pr:provide-activities>`,
			"all services":          `<pr:provide-services><pr:all-services/></pr:provide-services>`,
			"devices of class biz":  `<pr:provide-devices><pr:class>biz</pr:class></pr:provide-devices>`,
			"persons of class home": `<pr:provide-persons><pr:class>home</pr:class></pr:provide-persons>`,
		}[f])
	}
	if p.input > 0 {
		b.WriteString(`<pr:provide-user-input>` + [...]string{"", "bare", "thresholds", "full"}[p.input/10] + `</pr:provide-user-input>`)
	}
	if p.coarse > 0 {
		fmt.Fprintf(&b, `<t:coarse-timestamps seconds="%d"/>`, p.coarse)
	}
	b.WriteString(`</transformations></rule>`)
	return b.String()
}

func (p *plainRule) holds(q *plainQuestion) bool {
	for _, c := range p.conditions {
		if !c.holds(q) {
			return false
		}
	}
	return !p.other || len(q.ids) > 0
}

// reference decides as RFC 4745, 10 says it, and returns the decision as text.
func reference(rules []plainRule, q *plainQuestion) string {
	matching := func(other bool) (list []plainRule) {
		for _, p := range rules {
			if p.other == other && p.holds(q) {
				list = append(list, p)
			}
		}
		return list
	}
	list := matching(false)
	if len(list) == 0 {
		list = matching(true)
	}
	if len(list) == 0 {
		return "block []"
	}
	handling, facets, input, coarse, exact := 0, map[string]bool{}, 0, 0, false
	for _, p := range list {
		handling = max(handling, slices.Index(handlingNames, p.handling))
		maps.Copy(facets, p.facets)
		input = max(input, p.input)
		exact = exact || p.coarse == 0 && len(p.facets)+p.input > 0
		if p.coarse > 0 && (coarse == 0 || p.coarse < coarse) {
			coarse = p.coarse
		}
	}
	if input > 0 {
		facets["user-input: "+userInputNames[userInput(input)]] = true
	}
	if coarse > 0 && !exact && len(facets) > 0 {
		facets[fmt.Sprintf("times: in steps of %d s", coarse)] = true
	}
	if handling < 3 {
		facets = nil
	}
	return handlingNames[handling] + " " + fmt.Sprint(slices.Sorted(maps.Keys(facets)))
}

func decisionText(d Decision) string {
	var list []string
	for _, f := range d.Permissions.facets() {
		list = append(list, f.String())
	}
	slices.Sort(list)
	return d.Handling.String() + " " + fmt.Sprint(list)
}

func randomQuestion(r *rand.Rand) (*plainQuestion, Facts) {
	q := &plainQuestion{now: propertyTime.Add(time.Duration(r.IntN(96)) * 30 * time.Minute), sphere: pick(r, []string{"", "work", "home"}), lists: map[string]bool{}}
	switch r.IntN(6) {
	case 0:
		q.who = presence.NewPrincipal(presence.Anonymous, presence.MechanismAnonymous)
	case 1:
		a, b := pick(r, propertyIDs), pick(r, propertyIDs)
		q.who, q.ids = presence.NewPrincipal(presence.AOR(a), presence.MechanismAsserted).With(presence.AOR(b), r.IntN(2) == 0), []string{a, b}
	default:
		q.ids = []string{pick(r, propertyIDs)}
		q.who = known(presence.AOR(q.ids[0]))
	}
	for _, l := range []string{"http://l/1", "http://l/2"} {
		q.lists[l] = r.IntN(2) == 0
	}
	return q, Facts{Surroundings: Surroundings{Sphere: NewSphere(q.sphere)}, Lists: func(l string, who presence.Principal) bool {
		return who == q.who && q.lists[l]
	}}
}

// build splits rules into documents.
func build(t testing.TB, r *rand.Rand, rules []plainRule) *Rules {
	texts := make([]string, 1+r.IntN(3))
	for _, p := range rules {
		texts[r.IntN(len(texts))] += p.xml()
	}
	out := new(Rules)
	for i, text := range texts {
		out.Sets = append(out.Sets, NamedSet{fmt.Sprint("d", i), readRules(t, ruleDoc(text))})
	}
	return out
}

// more reports what of a decision is not in another one.
func more(than, d Decision) (list []Difference) {
	for _, x := range Compare(than, d) {
		if x.Gained {
			list = append(list, x)
		}
	}
	return list
}

// TestRulesAreAsTheReferenceSays also holds what must be true of any rules: order
// and document do not matter, time changes nothing before Until, removing a rule
// never shows more, ceilings and overrides bound.
func TestRulesAreAsTheReferenceSays(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	matched := 0
	for round := range 400 {
		others := round%2 == 0
		var rules []plainRule
		for i := range r.IntN(9) {
			rules = append(rules, randomRule(r, i, others))
		}
		set := build(t, r, rules)
		shuffled := slices.Clone(rules)
		r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		again := build(t, r, shuffled)
		removed := rules
		if len(rules) > 0 {
			i := r.IntN(len(rules))
			removed = slices.Delete(slices.Clone(rules), i, i+1)
		}
		fewer := build(t, r, removed)
		var bounds [2]*RuleSet
		for i := range bounds {
			bounds[i] = readRules(t, ruleDoc((&plainRule{id: "c", handling: pick(r, handlingNames), facets: randomRule(r, 0, false).facets, input: 20, coarse: 60}).xml()))
		}
		for range 20 {
			q, f := randomQuestion(r)
			d := Decide(set, q.who, q.now, f)
			if got, want := decisionText(d), reference(rules, q); got != want {
				t.Fatalf("%v at %v in %q, lists %v:\ngot  %s\nwant %s\n%v", q.ids, q.now, q.sphere, q.lists, got, want, ruleTexts(rules))
			}
			if d.Matched != MatchedDefault && d.Matched != MatchedNobody {
				matched++
			} else if d.Handling != Block || d.Permissions != (Permissions{}) {
				t.Fatal("no rule matches, and yet", d)
			}
			e := Decide(again, q.who, q.now, f)
			if !e.same(d) || !e.Until.Equal(d.Until) {
				t.Fatalf("in another order %+v, not %+v", e, d)
			}
			if x := Explain(set, q.who, q.now, f); x.Decision != d {
				t.Fatalf("explained as %+v, decided as %+v", x.Decision, d)
			}
			if !others {
				if shown := more(d, Decide(fewer, q.who, q.now, f)); shown != nil {
					t.Fatalf("without a rule more is shown: %v\n%v\n%v", shown, ruleTexts(rules), ruleTexts(removed))
				}
			}
			checkUntil(t, r, set, q, f, d)
			checkBounds(t, set, q, f, d, bounds)
		}
	}
	if matched < 2000 {
		t.Error("rules match in too few of the questions:", matched)
	}
}

func ruleTexts(rules []plainRule) (list []string) {
	for _, p := range rules {
		list = append(list, p.xml())
	}
	return list
}

func checkUntil(t *testing.T, r *rand.Rand, set *Rules, q *plainQuestion, f Facts, d Decision) {
	t.Helper()
	span := 240 * time.Hour
	if !d.Until.IsZero() {
		if span = d.Until.Sub(q.now); span <= 0 {
			t.Fatalf("until %v at %v", d.Until, q.now)
		}
	}
	for range 3 {
		at := q.now.Add(time.Duration(r.Int64N(int64(span))))
		if e := Decide(set, q.who, at, f); !e.same(d) {
			t.Fatalf("%v becomes %v at %v, before %v", d, e, at, d.Until)
		}
	}
}

func checkBounds(t *testing.T, set *Rules, q *plainQuestion, f Facts, d Decision, bounds [2]*RuleSet) {
	t.Helper()
	alone := func(s *RuleSet) Decision {
		return Decide(&Rules{Sets: []NamedSet{{RuleSet: s}}}, q.who, q.now, Facts{})
	}
	f.Ceilings = bounds[0]
	low := Decide(set, q.who, q.now, f)
	if more(d, low) != nil || more(alone(bounds[0]), low) != nil || (low.Capped == "") != low.same(d) {
		t.Fatalf("%v under %v is %v", d, alone(bounds[0]), low)
	}
	f.Overrides = bounds[1]
	high := Decide(set, q.who, q.now, f)
	if more(high, low) != nil || more(high, alone(bounds[1])) != nil || (high.Raised == "") != high.same(low) {
		t.Fatalf("%v over %v is %v: %v", low, alone(bounds[1]), high, Compare(low, high))
	}
}
