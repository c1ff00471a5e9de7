package vectors_test

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // rules name zones

	"github.com/tacit-presence/tacit/compose"
	"github.com/tacit-presence/tacit/filter"
	"github.com/tacit-presence/tacit/location"
	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/rfc/vectors"
	"github.com/tacit-presence/tacit/view"
)

// zones resolves zones as the program does.
func zones(name string) *time.Location {
	l, err := time.LoadLocation(name)
	if err != nil {
		return nil
	}
	return l
}

func rulesOf(text string) (*policy.Rules, error) {
	set, err := policy.ReadRuleSet(text, zones)
	if err != nil {
		return nil, err
	}
	return &policy.Rules{Sets: []policy.NamedSet{{RuleSet: set}}}, nil
}

// question is a line of a vector:
//
//	ask WHO [also URI] [private] [by asserted] [sphere S] [where FILE,FILE...] [at TIME] = MATCHED [| HANDLING [| PERMISSIONS]] [| until TIME] [| never]
//
// where names presence documents of the presentity's, which tell its sphere and its
// place.
type question struct {
	who   presence.Principal
	at    time.Time
	facts policy.Facts
	want  []string
}

func parseQuestion(v *vectors.Vector, line string) (q question, err error) {
	head, want, ok := strings.Cut(line, " =")
	words := strings.Fields(head)
	if !ok || len(words) < 2 || words[0] != "ask" {
		return q, mismatched("no question: %s", line)
	}
	q = question{at: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	mechanism, also, private, where := presence.MechanismDigest, presence.AOR(""), false, ""
	aor := presence.AOR(words[1])
	if aor == "anonymous" {
		aor, mechanism = presence.Anonymous, presence.MechanismAnonymous
	}
	for words = words[2:]; len(words) > 0; words = words[1:] {
		if words[0] == "private" {
			private = true
			continue
		}
		if len(words) == 1 {
			return q, mismatched("what of %s? %s", words[0], line)
		}
		switch words[0] {
		case "also":
			also = presence.AOR(words[1])
		case "by":
			mechanism = presence.MechanismAsserted
		case "sphere":
			q.facts.Surroundings.Sphere = policy.NewSphere(words[1])
		case "where":
			where = words[1]
		case "at":
			if q.at, err = time.Parse(time.RFC3339, words[1]); err != nil {
				return q, mismatched("%v", err)
			}
		default:
			return q, mismatched("what is %s? %s", words[0], line)
		}
		words = words[1:]
	}
	if where != "" {
		raw, err := published(v, where)
		if err != nil {
			return q, err
		}
		q.facts.Surroundings = policy.Observe(raw, q.at)
	}
	q.who = presence.NewPrincipal(aor, mechanism).With(also, private)
	for _, w := range strings.Split(want, "|") {
		q.want = append(q.want, strings.TrimSpace(w))
	}
	return q, nil
}

// check says what of a decision is not as wanted.
func (q *question) check(d policy.Decision) string {
	got := []string{d.Matched, d.Handling.String(), strings.Join(d.Permissions.Words(), "; ")}
	for i, w := range q.want {
		until, timed := strings.CutPrefix(w, "until ")
		switch {
		case timed && d.Until.UTC().Format(time.RFC3339) != until:
			return "until " + d.Until.UTC().String()
		case timed:
		case w == "never" && !d.Until.IsZero():
			return "until " + d.Until.String()
		case w == "never":
		case i >= len(got) || got[i] != w:
			return fmt.Sprintf("%q, not %s", got, w)
		}
	}
	return ""
}

// runRules asks the rules of "rules" the questions of "want".
func runRules(v *vectors.Vector) error {
	rules, err := rulesOf(v.Text("rules"))
	if err != nil {
		return err
	}
	asked := 0
	for line := range strings.Lines(v.Text("want")) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		asked++
		q, err := parseQuestion(v, line)
		if err != nil {
			return err
		}
		d := policy.Decide(rules, q.who, q.at, q.facts)
		if wrong := q.check(d); wrong != "" {
			return mismatched("%s\n\tgot %s", line, wrong)
		}
		if x := policy.Explain(rules, q.who, q.at, q.facts); x.Decision != d {
			return mismatched("%s\n\texplained as %+v, decided as %+v", line, x.Decision, d)
		}
	}
	if asked == 0 {
		return mismatched("nothing is asked")
	}
	return nil
}

// published is what the presentity says by one or several of the vector's files.
func published(v *vectors.Vector, names string) (compose.Raw, error) {
	var list []compose.Publication
	for name := range strings.SplitSeq(names, ",") {
		if !v.Has(name) {
			return compose.Raw{}, mismatched("no file %q", name)
		}
		doc, err := pidf.Parse(v.Text(name))
		if err != nil {
			return compose.Raw{}, err
		}
		n := uint64(len(list))
		list = append(list, compose.Publication{Serial: n, Order: n, Doc: doc})
	}
	return compose.Union().Compose("", list), nil
}

// runTold compares what "watcher" is told of the document "presence", by the rules
// of "rules", with "told".
func runTold(v *vectors.Vector) error {
	rules, err := rulesOf(v.Text("rules"))
	if err != nil {
		return err
	}
	raw, err := published(v, "presence")
	if err != nil {
		return err
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	who := presence.NewPrincipal(presence.AOR(v.Argument("watcher")), presence.MechanismDigest)
	d := policy.Decide(rules, who, now, policy.Facts{Surroundings: policy.Observe(raw, now)})
	d.Location = location.Options{Now: now, Band: 25}
	entity := v.Argument("entity")
	final := view.Finish(filter.Apply(policy.Apply(raw, d), filter.Filter{}), presence.Presentity(entity), entity)
	if final.None() {
		return mismatched("nothing is told")
	}
	return compare(v, "told", final.Body(), flat)
}
