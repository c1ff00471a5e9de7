package policy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/tacit-presence/tacit/presence"
)

// zones resolves zones as the program does.
func zones(name string) *time.Location {
	l, err := time.LoadLocation(name)
	if err != nil {
		return nil
	}
	return l
}

func readRules(t testing.TB, text string) *RuleSet {
	t.Helper()
	s, err := ReadRuleSet(text, zones)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ruleDoc is a document of the rules in text.
func ruleDoc(rules string) string {
	return `<ruleset xmlns="` + commonPolicySpace + `" xmlns:pr="` + presRulesSpace + `" xmlns:ocp="` + omaCommonPolicySpace +
		`" xmlns:op="` + omaPresRulesSpace + `" xmlns:gp="urn:ietf:params:xml:ns:geolocation-policy" xmlns:t="` + ownSpace + `">` + rules + `</ruleset>`
}

// ruleOf is a rule that allows, of conditions and transformations.
func ruleOf(id, conditions, transformations string) string {
	return `<rule id="` + id + `"><conditions>` + conditions + `</conditions><actions><pr:sub-handling>allow</pr:sub-handling></actions><transformations>` +
		transformations + `</transformations></rule>`
}

func one(id string) string { return `<identity><one id="` + id + `"/></identity>` }

func when(t testing.TB, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// question is a line of a vector:
//
//	ask WHO [also URI] [private] [by asserted] [sphere S] [at TIME] = MATCHED [| HANDLING [| PERMISSIONS]] [| until TIME] [| never]
type question struct {
	who   presence.Principal
	at    time.Time
	facts Facts
	want  []string
}

func parseQuestion(t *testing.T, line string) question {
	t.Helper()
	head, want, ok := strings.Cut(line, " =")
	words := strings.Fields(head)
	if !ok || len(words) < 2 || words[0] != "ask" {
		t.Fatalf("no question: %s", line)
	}
	q := question{at: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	mechanism, also, private := presence.MechanismDigest, presence.AOR(""), false
	aor := presence.AOR(words[1])
	if aor == "anonymous" {
		aor, mechanism = presence.Anonymous, presence.MechanismAnonymous
	}
	for words = words[2:]; len(words) > 0; words = words[1:] {
		if words[0] == "private" {
			private = true
			continue
		}
		switch words[0] {
		case "also":
			also = presence.AOR(words[1])
		case "by":
			mechanism = presence.MechanismAsserted
		case "sphere":
			q.facts.Surroundings.Sphere = NewSphere(words[1])
		case "at":
			q.at = when(t, words[1])
		default:
			t.Fatalf("what is %s? %s", words[0], line)
		}
		words = words[1:]
	}
	q.who = presence.NewPrincipal(aor, mechanism).With(also, private)
	for _, w := range strings.Split(want, "|") {
		q.want = append(q.want, strings.TrimSpace(w))
	}
	return q
}

func (q *question) check(d Decision) string {
	var words []string
	for _, f := range d.Permissions.facets() {
		words = append(words, f.String())
	}
	got := []string{d.Matched, d.Handling.String(), strings.Join(words, "; ")}
	for i, w := range q.want {
		time, timed := strings.CutPrefix(w, "until ")
		switch {
		case timed && d.Until.UTC().Format("2006-01-02T15:04:05Z") != time:
			return "until " + d.Until.UTC().String()
		case timed:
		case w == "never" && !d.Until.IsZero():
			return "until " + d.Until.String()
		case w == "never":
		case got[i] != w:
			return got[i] + ", not " + w
		}
	}
	return ""
}

// TestRuleVectors runs the examples of RFCs, and our own.
func TestRuleVectors(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/rules/*.txt")
	if err != nil || len(files) < 11 {
		t.Fatal(err, len(files))
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			head, doc, ok := strings.Cut(string(text), "\n---\n")
			if !ok {
				t.Fatal("no ---")
			}
			rules := &Rules{Sets: []NamedSet{{RuleSet: readRules(t, doc)}}}
			asked := 0
			for line := range strings.Lines(head) {
				if line = strings.TrimSpace(line); strings.HasPrefix(line, "#") {
					continue
				}
				asked++
				q := parseQuestion(t, line)
				d := Decide(rules, q.who, q.at, q.facts)
				if wrong := q.check(d); wrong != "" {
					t.Errorf("%s\n\tgot %s", line, wrong)
				}
				if x := Explain(rules, q.who, q.at, q.facts); x.Decision != d {
					t.Errorf("%s\n\texplained as %+v, decided as %+v", line, x.Decision, d)
				}
			}
			if asked == 0 {
				t.Error("nothing is asked")
			}
		})
	}
}
