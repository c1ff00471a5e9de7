package schema

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tacit-presence/tacit/rfc/vectors"
	"github.com/tacit-presence/tacit/xmltree"
)

// validators are all, by the names that testdata uses.
func validators() map[string]Validator {
	return map[string]Validator{
		"common-policy":  CommonPolicy(),
		"pres-rules":     PresRules(),
		"resource-lists": ResourceLists(),
		"rls-services":   RLSServices(),
		"xcap-caps":      XCAPCaps(),
		"xcap-error":     XCAPError(),
		"xcap-directory": XCAPDirectory(),
		"xcap-diff":      XCAPDiff(),
		"test":           Test(),
		"presence":       Presence(),
		"watcherinfo":    WatcherInfo(),
		"filter-set":     FilterSet(),
		"preferences":    Preferences(),
	}
}

// vector is a document of testdata, whose first comment names its schema and what
// to expect of it, ok or a part of the error; or one of the RFCs, whose verdicts
// are held with the other vectors.
type vector struct {
	name, schema, expect, text string
}

func ownVectors(t testing.TB) (list []vector) {
	t.Helper()
	files, err := filepath.Glob("testdata/own/*.xml")
	if err != nil || len(files) < 16 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		head, _, _ := strings.Cut(string(text), "-->")
		v := vector{name: filepath.Base(f), text: string(text)}
		for _, field := range strings.Split(head, ";") {
			field = strings.TrimPrefix(strings.TrimSpace(field), "<!-- ")
			if s, ok := strings.CutPrefix(field, "schema: "); ok {
				v.schema = s
			}
			if s, ok := strings.CutPrefix(field, "expect: "); ok {
				v.expect = s
			}
		}
		if v.schema == "" || v.expect == "" {
			t.Fatalf("%s names no schema or expectation", f)
		}
		list = append(list, v)
	}
	return list
}

// everyVector lists our own and the RFCs'.
func everyVector(t testing.TB) []vector {
	t.Helper()
	list := ownVectors(t)
	for name := range validators() {
		roots := map[string][]string{"pres-rules": {"ruleset"}, "common-policy": {"ruleset"}, "test": {"root", "foo"}, "xcap-caps": nil, "xcap-directory": nil, "preferences": nil}
		names, ok := roots[name]
		if !ok {
			names = []string{name}
		}
		for _, root := range names {
			for i, text := range vectors.Documents(t, root) {
				list = append(list, vector{name: fmt.Sprintf("%s %d of the RFCs", root, i), schema: name, text: text})
			}
		}
	}
	return list
}

func parse(t testing.TB, text string) *xmltree.Doc {
	t.Helper()
	d, err := xmltree.Parse(text, xmltree.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestVectors(t *testing.T) {
	t.Parallel()
	validators := validators()
	for _, v := range ownVectors(t) {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			valid := validators[v.schema]
			if valid == nil {
				t.Fatalf("no schema %q", v.schema)
			}
			err := valid(parse(t, v.text))
			if v.expect == "ok" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if e, ok := errors.AsType[*Error](err); !ok || !strings.Contains(e.Error(), v.expect) {
				t.Errorf("%v, want %q", err, v.expect)
			}
		})
	}
}

// TestTablesAreSound holds that every content model is deterministic, every
// reference leads somewhere, and no table has outgrown the automata.
func TestTablesAreSound(t *testing.T) {
	t.Parallel()
	g := compile(commonPolicy(), presRules(), geoPolicy(), locationProfiles(), omaCommonPolicy(), omaPresRules(), tacitRules(),
		preferences(), resourceLists(), rlsServices(), xcapCaps(), xcapError(), xcapDirectory(), xcapDiff(),
		presenceFormat(), dataModel(), rpid(), watcherInfo(), filterSet())
	for _, d := range g.defects {
		t.Error(d)
	}
	bad := space("urn:x")
	broken := compile(table{elements: []*element{
		bad.global("a", model(seq(bad.el("b", empty()).optional(), bad.el("b", empty())))),
		bad.global("a", model(seq(bad.ref("nowhere")))),
		bad.global("c", model(seq(anything(lax).optional(), bad.el("b", empty())))),
		bad.global("d", model(seq(bad.other().optional(), anything(lax)))),
	}})
	got := strings.Join(broken.defects, "\n")
	for _, want := range []string{"a is declared twice", "nowhere is not declared", "a wildcard takes b", "two wildcards compete"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestNothingIsNoDocument(t *testing.T) {
	t.Parallel()
	for name, valid := range validators() {
		for _, d := range []*xmltree.Doc{nil, {}} {
			if err := valid(d); !errors.Is(err, ErrSchema) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestErrorsTellWhere holds path, element, attribute and offset of an error, and
// that it repeats no value.
func TestErrorsTellWhere(t *testing.T) {
	t.Parallel()
	const text = `<cr:ruleset xmlns:cr="urn:ietf:params:xml:ns:common-policy"><cr:rule id="secret"/><cr:rule id="secret"/></cr:ruleset>`
	err := CommonPolicy()(parse(t, text))
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Kind != Uniqueness || e.Path != "ruleset/rule[2]/@id" || e.Attr != "id" ||
		e.Element != (xmltree.Name{Space: CommonPolicySpace, Local: "rule"}) || e.Offset != strings.LastIndex(text, "<cr:rule ") {
		t.Errorf("%+v", e)
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("%v tells a value", err)
	}
	if got := e.Error(); got != "ruleset/rule[2]/@id: the id of <cr:rule> is that of another element too" {
		t.Error(got)
	}
	long := strings.Repeat("n", 900)
	deep := strings.Repeat("<"+long+">", 50) + strings.Repeat("</"+long+">", 50)
	err = CommonPolicy()(parse(t, `<ruleset xmlns="urn:ietf:params:xml:ns:common-policy"><rule id="a"><actions><x xmlns="urn:x">`+deep+
		`</x></actions><`+long+`/></rule></ruleset>`))
	if !errors.Is(err, ErrSchema) || len(err.Error()) > 300 {
		t.Errorf("%d bytes: %v", len(err.Error()), err)
	}
}

// TestKinds holds names and sentinels.
func TestKinds(t *testing.T) {
	t.Parallel()
	for kind, want := range map[Kind]error{Schema: ErrSchema, Constraint: ErrConstraint, Uniqueness: ErrUniqueness} {
		if e := (&Error{Kind: kind}); !errors.Is(e, want) || !strings.Contains(want.Error(), map[Kind]string{Schema: "schema", Constraint: "rule", Uniqueness: "unique"}[kind]) {
			t.Errorf("%v", kind)
		}
	}
	if Kind(9).String() != "kind 9" || Schema.String()+Constraint.String()+Uniqueness.String() != "schemaconstraintuniqueness" {
		t.Error("names of kinds")
	}
}
