package location

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tacit-presence/tacit/xmltree"
)

const transformationsHead = `<t xmlns="` + PolicySpace + `" xmlns:lp="` + ProfileSpace + `" xmlns:x="urn:example">`

// rule reads the children of a rule's transformations.
func rule(t testing.TB, text string) (Permission, error) {
	t.Helper()
	doc := parse(t, transformationsHead+text+`</t>`)
	return readRule(t, doc, doc.Root())
}

func readRule(t testing.TB, doc *xmltree.Doc, n xmltree.Node) (Permission, error) {
	t.Helper()
	var tr Transformations
	for c := doc.FirstElement(n); c != xmltree.None; c = doc.NextElement(c) {
		if known, err := tr.Read(doc, c); err != nil {
			return tr.Permission(), err
		} else if !known && doc.Space(c) == PolicySpace {
			t.Errorf("<%s> is not known", doc.Local(c))
		}
	}
	return tr.Permission(), nil
}

func TestTransformationForms(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{``, "no location"},
		{`<provide-location/>`, "whole location"},
		{`<provide-location><!-- all --> </provide-location>`, "whole location"},
		{`<provide-location profile="civic-transformation"/>`, "no location"},
		{`<provide-location profile=""/>`, "no location"},
		{`<provide-location profile="lunar"/>`, "no location"},
		{`<provide-location profile="lunar"><x:crater/></provide-location>`, "no location"},
		{`<provide-location profile="lunar"><lp:provide-civic>full</lp:provide-civic></provide-location>`, "no location"},
		{`<provide-location profile="civic-transformation"><lp:provide-civic>city</lp:provide-civic><x:but-not-at-night/></provide-location>`, "no location"},
		{`<provide-location profile="civic-transformation"><lp:provide-civic/></provide-location>`, "no location"},
		{`<provide-location profile="civic-transformation"><lp:provide-civic> city </lp:provide-civic></provide-location>`, "civic location: city"},
		{`<provide-location profile="geodetic-transformation"><lp:provide-geo/></provide-location>`, "no location"},
		{`<provide-location profile="geodetic-transformation"><lp:provide-geo radius="99999999999999999999"/></provide-location>`, "geodetic location within 4294967295 m"},
		{`<provide-location profile="geodetic-transformation"><lp:provide-geo radius="+0500"/><lp:provide-geo radius="900"/></provide-location>`, "geodetic location within 500 m"},
		{`<set-retransmission-allowed>true</set-retransmission-allowed>`, "no location"},
		{`<provide-location/><set-retransmission-allowed/><keep-rule-reference/><set-retention-expiry/>`, "whole location; not to be passed on; to be forgotten after 0 s; without reference to rules"},
		{`<provide-location/><set-retransmission-allowed> 1 </set-retransmission-allowed><keep-rule-reference>1</keep-rule-reference>`, "whole location; may be passed on"},
		{`<provide-location/><set-retention-expiry>99999999999999999999999</set-retention-expiry>`, "whole location; to be forgotten after 3162240000 s"},
		{`<x:provide-location/>`, "no location"},

		{`<provide-location Profile="civic-transformation"/>`, "fault: no attribute Profile"},
		{`<provide-location x:profile="civic-transformation"/>`, "fault: no attribute profile"},
		{`<provide-location>city</provide-location>`, "fault: text"},
		{`<provide-location><lp:provide-civic>city</lp:provide-civic></provide-location>`, "fault: no profile"},
		{`<provide-location profile="civic-transformation"><lp:provide-geo radius="500"/></provide-location>`, "fault: does not belong"},
		{`<provide-location profile="geodetic-transformation"><lp:provide-civic>city</lp:provide-civic></provide-location>`, "fault: does not belong"},
		{`<provide-location profile="civic-transformation"><lp:provide-civic>street</lp:provide-civic></provide-location>`, "fault: none of"},
		{`<provide-location profile="civic-transformation"><lp:provide-civic><x:city/></lp:provide-civic></provide-location>`, "fault: elements"},
		{`<provide-location profile="geodetic-transformation"><lp:provide-geo radius="0"/></provide-location>`, "fault: positive"},
		{`<provide-location profile="geodetic-transformation"><lp:provide-geo radius="-500"/></provide-location>`, "fault: positive"},
		{`<provide-location profile="geodetic-transformation"><lp:provide-geo radius="1e3"/></provide-location>`, "fault: positive"},
		{`<provide-location profile="geodetic-transformation"><lp:provide-geo radius=""/></provide-location>`, "fault: positive"},
		{`<provide-location profile="geodetic-transformation"><lp:lat-resolution>1</lp:lat-resolution></provide-location>`, "fault: of a draft"},
		{`<civic-loc-transformation/>`, "fault: of a draft"},
		{`<set-retransmission-allowed>no</set-retransmission-allowed>`, "fault: neither"},
		{`<set-retention-expiry>-1</set-retention-expiry>`, "fault: seconds"},
		{`<set-retention-expiry>-99999999999999999999999</set-retention-expiry>`, "fault: seconds"},
		{`<set-note-well>` + strings.Repeat("x", 1025) + `</set-note-well>`, "fault: more than"},
	} {
		p, err := rule(t, c.text)
		want, faulty := strings.CutPrefix(c.want, "fault: ")
		if !faulty {
			if err != nil || p.String() != want {
				t.Errorf("%s: %q, %v", c.text, p, err)
			}
			continue
		}
		var fault *Error
		if !errors.As(err, &fault) || !errors.Is(err, ErrTransformation) || !strings.Contains(fault.Phrase, want) {
			t.Errorf("%s: %v, want %q", c.text, err, want)
		}
		if !p.IsNothing() {
			t.Errorf("%s: refused, and grants %s", c.text, p)
		}
	}
}

func TestCombineAndMin(t *testing.T) {
	t.Parallel()
	const (
		city    = `<provide-location profile="civic-transformation"><lp:provide-civic>city</lp:provide-civic></provide-location>`
		country = `<provide-location profile="civic-transformation"><lp:provide-civic>country</lp:provide-civic></provide-location>`
		near    = `<provide-location profile="geodetic-transformation"><lp:provide-geo radius="500"/></provide-location>`
		far     = `<provide-location profile="geodetic-transformation"><lp:provide-geo radius="9000"/></provide-location>`
		whole   = `<provide-location/>`
		private = `<set-retransmission-allowed>false</set-retransmission-allowed><keep-rule-reference>false</keep-rule-reference>`
		public  = `<set-retransmission-allowed>true</set-retransmission-allowed>`
		hour    = `<set-retention-expiry>3600</set-retention-expiry>`
		day     = `<set-retention-expiry>86400</set-retention-expiry>`
	)
	for _, c := range []struct{ a, b, combined, least string }{
		{city, country, "civic location: city", "civic location: country"},
		{near, far, "geodetic location within 500 m", "geodetic location within 9000 m"},
		{city, near, "civic location: city; geodetic location within 500 m", "no location"},
		{city + near, far, "civic location: city; geodetic location within 500 m", "geodetic location within 9000 m"},
		{whole, far + country, "whole location", "civic location: country; geodetic location within 9000 m"},
		{whole + private, whole, "whole location", "whole location; not to be passed on; without reference to rules"},
		{whole + private, whole + public, "whole location; may be passed on", "whole location; not to be passed on; without reference to rules"},
		{whole + public, whole, "whole location; may be passed on", "whole location; may be passed on"},
		{whole + private, public, "whole location; not to be passed on; without reference to rules", "no location"},
		{whole + hour, whole, "whole location; to be forgotten after 3600 s", "whole location; to be forgotten after 3600 s"},
		{whole + hour, whole + day, "whole location; to be forgotten after 86400 s", "whole location; to be forgotten after 3600 s"},
	} {
		a, err := rule(t, c.a)
		b, err2 := rule(t, c.b)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		if got := Combine(a, b).String(); got != c.combined {
			t.Errorf("%s and %s combined: %s", a, b, got)
		}
		if got := Min(a, b).String(); got != c.least {
			t.Errorf("the least of %s and %s: %s", a, b, got)
		}
	}
	if p := Limited(City, 500); p != Min(p, Whole()) || Limited(None, 0) != Nothing() || !Whole().Unchanged() || !Whole().IsWhole() {
		t.Error("constructors")
	}
}

func TestNoteWells(t *testing.T) {
	t.Parallel()
	var all Permission
	texts := []string{"b", "a", "c:3,4", "a", "d", "e", "f", "g", "h", "i", "j"}
	for _, text := range texts {
		p, err := rule(t, `<provide-location/><set-note-well xml:lang="en">`+text+`</set-note-well>`)
		if err != nil {
			t.Fatal(err)
		}
		all = Combine(all, p)
	}
	if text, lang := noteText(splitNotes(all.notes)); text != "a\nb\nc:3,4\nd\ne\nf\ng\nh" || lang != "en" {
		t.Errorf("%q %q", text, lang)
	}
	p, err := rule(t, `<provide-location/><set-note-well xml:lang="de">a</set-note-well>`)
	if err != nil {
		t.Fatal(err)
	}
	if _, lang := noteText(splitNotes(Combine(all, p).notes)); lang != "" {
		t.Errorf("two languages are called %q", lang)
	}
}

// randomPermission makes one as a rule would.
func randomPermission(rnd *rand.Rand) Permission {
	p := Permission{whole: rnd.IntN(5) == 0, civic: Level(rnd.IntN(6)), expiry: retention(rnd.IntN(4) - 1),
		retransmission: no + choice(rnd.IntN(3)), reference: no + choice(rnd.IntN(2))}
	if rnd.IntN(3) > 0 {
		p.radius = [...]uint32{1, 50, 777, 10_000, 100_000, 2_000_000, 3_000_000}[rnd.IntN(7)]
	}
	for range rnd.IntN(3) {
		p.notes = mergeNotes(p.notes, joinNotes([]note{{"en", string(rune('a' + rnd.IntN(12)))}}))
	}
	return p.canonical()
}

// atLeast reports that a tells all that b tells.
func atLeast(a, b Permission) bool {
	if b.IsNothing() || a.whole {
		return b.IsNothing() || a.reference >= b.reference
	}
	return !b.whole && a.civic >= b.civic && (b.radius == 0 || a.radius != 0 && a.radius <= b.radius) && a.reference >= b.reference
}

func TestPermissionLaws(t *testing.T) {
	t.Parallel()
	rnd := random(t)
	keys := map[string]Permission{}
	for range 20_000 {
		a, b, c := randomPermission(rnd), randomPermission(rnd), randomPermission(rnd)
		for name, op := range map[string]func(a, b Permission) Permission{"Combine": Combine, "Min": Min} {
			switch {
			case op(a, b) != op(b, a):
				t.Fatalf("%s is not commutative: %s, %s", name, a, b)
			case op(a, op(b, c)) != op(op(a, b), c):
				t.Fatalf("%s is not associative: %s, %s, %s", name, a, b, c)
			case op(a, a) != a:
				t.Fatalf("%s is not idempotent: %s", name, a)
			case op(a, b) != op(a, b).canonical():
				t.Fatalf("%s is not canonical: %s, %s", name, a, b)
			}
		}
		if Combine(a, Nothing()) != a || Min(a, Nothing()) != Nothing() || Min(a, Whole()) != a {
			t.Fatalf("neutral elements: %s", a)
		}
		if !atLeast(Combine(a, b), a) {
			t.Fatalf("%s takes from %s: %s", b, a, Combine(a, b))
		}
		if m := Min(a, b); !atLeast(a, m) {
			t.Fatalf("the least of %s and %s tells more: %s", a, b, m)
		}
		key := string(a.AppendKey(nil))
		if before, ok := keys[key]; ok && before != a {
			t.Fatalf("%s and %s have one key", before, a)
		}
		if (a == b) != (key == string(b.AppendKey(nil))) {
			t.Fatalf("keys of %s and %s", a, b)
		}
		keys[key] = a
	}
}
