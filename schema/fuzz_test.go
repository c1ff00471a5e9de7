package schema

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/xmltree"
)

// FuzzValidate holds that no document upsets a validator, that every refusal
// says where and why in few words, and that validators remember nothing.
func FuzzValidate(f *testing.F) {
	for _, v := range everyVector(f) {
		f.Add(v.text)
	}
	validators := validators()
	f.Fuzz(func(t *testing.T, src string) {
		d, err := xmltree.Parse(src, xmltree.DefaultLimits())
		if err != nil {
			return
		}
		accepted := 0
		for name, valid := range validators {
			err := valid(d)
			if again := valid(d); fmt.Sprint(err) != fmt.Sprint(again) {
				t.Fatalf("%s: %v, then %v", name, err, again)
			}
			if err == nil {
				accepted++
				continue
			}
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Path == "" || e.Phrase == "" || len(e.Error()) > 2*maxPath || e.Offset >= len(src) {
				t.Fatalf("%s: %#v", name, err)
			}
		}
		if limit := 2; accepted > limit { // rule sets have two
			t.Fatalf("%d validators accept it", accepted)
		}
	})
}

// big is a rule set of a size in bytes or a little more.
func big(size int) string {
	var b strings.Builder
	b.WriteString(`<cp:ruleset` + prefixes + `>`)
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, `
  <cp:rule id="r%d">
    <cp:conditions>
      <cp:identity><cp:one id="sip:user%d@example.com"/><cp:many domain="example.org"><cp:except id="sip:x%d@example.org"/></cp:many></cp:identity>
      <cp:validity><cp:from>2026-01-01T00:00:00Z</cp:from><cp:until>2026-12-31T00:00:00+01:00</cp:until></cp:validity>
      <t:recurring days="mon tue" from="09:00" until="17:00" zone="Europe/Berlin"/>
    </cp:conditions>
    <cp:actions><pr:sub-handling>allow</pr:sub-handling></cp:actions>
    <cp:transformations>
      <pr:provide-services><pr:service-uri-scheme>sip</pr:service-uri-scheme><pr:class>work</pr:class></pr:provide-services>
      <pr:provide-persons><pr:all-persons/></pr:provide-persons>
      <pr:provide-activities>true</pr:provide-activities><pr:provide-user-input>bare</pr:provide-user-input>
      <gp:provide-location profile="geodetic-transformation"><lp:provide-geo radius="500"/></gp:provide-location>
    </cp:transformations>
  </cp:rule>`, i, i, i)
	}
	b.WriteString(`</cp:ruleset>`)
	return b.String()
}

// TestLinear holds that hostile shapes of the largest documents cost no more than
// a multiple of plain ones: the bounds are some hundred times what is measured.
func TestLinear(t *testing.T) {
	t.Parallel()
	all := validators()
	lim := xmltree.Limits{MaxBytes: 1 << 20, MaxNodes: 1 << 18, MaxDepth: 64, MaxAttrs: 64}
	repeat := func(unit string) string { return strings.Repeat(unit, 200_000/len(unit)) }
	numbered := func(form string) string {
		var b strings.Builder
		for i := 0; b.Len() < 200_000; i++ {
			fmt.Fprintf(&b, form, i)
		}
		return b.String()
	}
	for name, c := range map[string]struct{ schema, text string }{
		"rules":           {"pres-rules", big(200_000)},
		"wide":            {"pres-rules", action(repeat(`<x:y/>`))},
		"one sibling off": {"common-policy", `<cp:ruleset` + prefixes + `>` + numbered(`<cp:rule id="a%d"/>`) + `<cp:rule/></cp:ruleset>`},
		"comments":        {"pres-rules", action(`<pr:sub-handling>` + repeat(`a<!---->`) + `</pr:sub-handling>`)},
		"references":      {"pres-rules", action(`<pr:sub-handling>` + repeat(`&#32;`) + `allow</pr:sub-handling>`)},
		"deep":            {"pres-rules", action(repeat(strings.Repeat(`<x:y>`, 55) + strings.Repeat(`</x:y>`, 55)))},
		"moods":           {"presence", person(`<r:mood>` + repeat(`<r:happy/><r:sad/>`) + `</r:mood>`)},
		"entries":         {"resource-lists", lists(numbered(`<entry uri="sip:%d@example.com"/>`))},
		"pairs":           {"common-policy", condition(`<cp:validity>` + repeat(`<cp:from>2026-01-01T00:00:00Z</cp:from><cp:until>2026-01-02T00:00:00Z</cp:until>`) + `</cp:validity>`)},
		"members":         {"preferences", levels(numbered(`<t:member level="low" id="sip:%d@example.com"/>`))},
		"selector": {"xcap-diff", `<xcap-diff xmlns="` + XCAPDiffSpace + `" xcap-root="a"><document sel="a"><remove sel="` +
			repeat(`a[@b='c'][1]/`) + `!"/></document></xcap-diff>`},
		"days": {"pres-rules", condition(`<t:recurring zone="UTC" days="` + repeat(`mon  `) + `"/>`)},
	} {
		d, err := xmltree.Parse(c.text, lim)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		start := time.Now()
		err = all[c.schema](d)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s took %v (%v)", name, took, err)
		} else {
			t.Logf("%s: %v, %v", name, took, err)
		}
	}
}

func BenchmarkPresRules(b *testing.B) {
	d := parse(b, big(20_000))
	valid := PresRules()
	b.SetBytes(int64(len(d.Source())))
	b.ReportAllocs()
	for b.Loop() {
		if err := valid(d); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMakePresRules(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		PresRules()
	}
}
