package schema

import (
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/xmltree"
)

func TestSimpleTypes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		typ       *simpleType
		good, bad string // separated by |
	}{
		{anyURI, "|sip:a@b|a b|http://[::1]/%41#f|../x|?q:r|#f|a/b:c|ü", "%|%4|a%4g|1a:b|:a|#a#b|a b:c"},
		{boolean, "true|false|1|0| true\n", "|TRUE|yes|2"},
		{integer, "0|-1|+1|007| 5 ", "|-|+|1.0|1e3|0x1|--1"},
		{positive, "1|+1|001", "0|-1|-0|"},
		{natural, "0|-0|1", "-1|a|"},
		{unsignedLong, "0|18446744073709551615|00018446744073709551615", "18446744073709551616|-0|+1|99999999999999999999"},
		{decimal, "1|.5|5.|-1.5|+0.0", "|.|-|1.2.3|1,5|a|1e3"},
		{dateTime, "2026-02-28T23:59:59Z|2024-02-29T00:00:00|2026-01-01T24:00:00Z|2026-01-01T00:00:00.5+14:00|2026-01-01T00:00:00.1234567890123-00:30",
			"|2026-02-29T00:00:00Z|2026-13-01T00:00:00Z|2026-00-01T00:00:00Z|2026-01-00T00:00:00Z|0000-01-01T00:00:00Z|2026-01-01T24:00:01Z|2026-01-01T24:00:00.1Z" +
				"|2026-01-01T25:00:00Z|2026-01-01T00:60:00Z|2026-01-01T00:00:60Z|2026-01-01T00:00:00.Z|2026-01-01T00:00:00+14:01|2026-01-01T00:00:00+15:00" +
				"|2026-01-01T00:00:00+1:00|2026-01-01 00:00:00Z|2026-01-01|26-01-01T00:00:00Z|2026-01-01T00:00:00+aa:00|2026-01-01T00:00:00+00:60|2026-01-01T00:00:00z"},
		{id, "a|a.b-c_1| a |ü", "|1|a:b|a b|-a"},
		{langType, "|en|en-US|x-a1-b2| de ", "e_n|1a|en-|-en|abcdefghi| "},
		{enum("a", "b"), "a|b", " a|c|"},
		{tokens("a", "b c"), "a|b   c", "bc|"},
		{listOf("a", "b"), "a|a b|a  b\nb| b ", "|c|a,b|a c"},
	} {
		for _, s := range strings.Split(c.good, "|") {
			if !c.typ.valid(s) {
				t.Errorf("%q is not %s", s, c.typ.what)
			}
		}
		for _, s := range strings.Split(c.bad, "|") {
			if c.typ.valid(s) {
				t.Errorf("%q is %s", s, c.typ.what)
			}
		}
	}
}

func TestInstant(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]time.Time{
		"2026-01-01T24:00:00Z":              time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC),
		"2026-01-01T00:30:00+01:00":         time.Date(2025, 12, 31, 23, 30, 0, 0, time.UTC),
		"2026-01-01T00:30:00.25-01:30":      time.Date(2026, 1, 1, 2, 0, 0, 250_000_000, time.UTC),
		"2026-01-01T00:00:00":               time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		"2026-01-01T00:00:00.1234567899999": time.Date(2026, 1, 1, 0, 0, 0, 123_456_789, time.UTC),
	} {
		if got, ok := instant(s); !ok || !got.Equal(want) {
			t.Errorf("%s: %v", s, got)
		}
	}
}

func TestPriority(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"0": true, "1": true, "0.": true, "0.123": true, "1.000": true, "1.": true,
		"": false, "2": false, "0.1234": false, "1.001": false, "0123": false, "0.a": false, ".5": false, "-0": false,
	} {
		if isPriority(s) != want {
			t.Error(s)
		}
	}
}

func TestCollapse(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{"": "", " ": "", "a": "a", " a\tb \n c ": "a b c", "a b": "a b", "a\u00a0b": "a\u00a0b"} {
		if got := collapse(s); got != want {
			t.Errorf("%q: %q", s, got)
		}
	}
}

// TestOccurrences holds what particles with numbers of occurrences let in; the
// schemas of this package need few of them.
func TestOccurrences(t *testing.T) {
	t.Parallel()
	const x = space("urn:x")
	times := func(p particle, least, most int) particle { p.min, p.max = least, most; return p }
	a, b := x.el("a", empty()), x.el("b", empty())
	for _, c := range []struct {
		model particle
		good  string
		bad   string
	}{
		{times(a, 2, 3), "aa aaa", "- a aaaa"},
		{times(a, 2, unbounded), "aa aaa aaaaaa", "- a b"},
		{times(a, 0, 2), "- a aa", "aaa"},
		{times(seq(a, b), 1, 2), "ab abab", "- a aab aba ababab"},
		{seq(times(a, 0, 2), b), "b ab aab", "- a aa aaab bb"},
		{choice(a, b).repeated(), "- a b ab baab", ""},
		{choice(seq(a, b), seq(b, a)), "ab ba", "- aa bb a b abba"},
		{seq(choice(a.optional(), b), choice(x.el("c", empty()).optional()).some()), "- a b ac bc ccc", "bb ab ca"},
	} {
		g := compile(table{elements: []*element{x.global("r", model(c.model))}})
		if g.defects != nil {
			t.Errorf("%+v: %v", c.model, g.defects)
		}
		valid := g.validator([]xmltree.Name{x.name("r")})
		for _, s := range strings.Fields(c.good) {
			if valid(parse(t, word(s))) != nil {
				t.Errorf("%+v refuses %s", c.model, s)
			}
		}
		for _, s := range strings.Fields(c.bad) {
			if valid(parse(t, word(s))) == nil {
				t.Errorf("%+v takes %s", c.model, s)
			}
		}
	}
}

// word makes a document of letters; "-" is none.
func word(s string) string {
	var b strings.Builder
	b.WriteString(`<r xmlns="urn:x">`)
	for _, c := range s {
		if c != '-' {
			b.WriteString("<" + string(c) + "/>")
		}
	}
	return b.String() + "</r>"
}

// TestWildcards holds what each kind of wildcard lets in, and what becomes of it.
func TestWildcards(t *testing.T) {
	t.Parallel()
	const x, y = space("urn:x"), space("urn:y")
	wild := func(w wildcard) particle { return particle{kind: isWildcard, min: 1, max: 1, wild: w} }
	number := y.global("n", text(integer))
	for _, c := range []struct {
		wild      wildcard
		good, bad string // separated by |
	}{
		{wildcard{}, `<n xmlns="urn:y">1</n>|<u xmlns="urn:x"/>|<u xmlns=""/>`, `<n xmlns="urn:y">a</n>`},
		{wildcard{not: "urn:x"}, `<n xmlns="urn:y">1</n>|<u xmlns="urn:z"/>`, `<u/>|<u xmlns=""/>`},
		{wildcard{only: []string{"urn:y", ""}}, `<n xmlns="urn:y">1</n>|<u xmlns=""/>`, `<u/>|<u xmlns="urn:z"/>`},
		{wildcard{process: skip}, `<n xmlns="urn:y">a</n>|<u><n xmlns="urn:y">a</n></u>`, ``},
		{wildcard{process: strict}, `<n xmlns="urn:y">1</n>`, `<n xmlns="urn:y">a</n>|<m xmlns="urn:y"/>`},
		{wildcard{}, `<u><n xmlns="urn:y">1</n></u>`, `<u><v><n xmlns="urn:y">a</n></v></u>`},
	} {
		g := compile(table{elements: []*element{x.global("r", model(wild(c.wild))), number}})
		valid := g.validator([]xmltree.Name{x.name("r")})
		for _, s := range strings.Split(c.good, "|") {
			if err := valid(parse(t, `<r xmlns="urn:x">`+s+`</r>`)); err != nil {
				t.Errorf("%+v: %s: %v", c.wild, s, err)
			}
		}
		for _, s := range strings.Split(c.bad, "|") {
			if s != "" && valid(parse(t, `<r xmlns="urn:x">`+s+`</r>`)) == nil {
				t.Errorf("%+v takes %s", c.wild, s)
			}
		}
	}
	strictAttrs := compile(table{elements: []*element{x.global("r", empty().open(&wildcard{process: strict}))}})
	valid := strictAttrs.validator([]xmltree.Name{x.name("r")})
	if valid(parse(t, `<r xmlns="urn:x" xml:lang="en"/>`)) != nil || valid(parse(t, `<r xmlns="urn:x" y:a="" xmlns:y="urn:y"/>`)) == nil {
		t.Error("strict attributes")
	}
	required := compile(table{elements: []*element{x.global("r", &complexType{all: []member{{decl: x.global("a", empty()), required: true}, {decl: x.global("b", empty())}}})}})
	valid = required.validator([]xmltree.Name{x.name("r")})
	for s, good := range map[string]bool{"a": true, "ab": true, "ba": true, "-": false, "b": false, "aba": false} {
		if (valid(parse(t, word(s))) == nil) != good {
			t.Errorf("all: %s", s)
		}
	}
}
