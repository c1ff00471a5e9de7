package filter

import (
	"errors"
	"strings"
	"testing"

	"github.com/tacit-presence/tacit/rfc/vectors"
)

// TestRefused: what is not understood is an error for which a SUBSCRIBE gets 488.
func TestRefused(t *testing.T) {
	t.Parallel()
	set := func(content string) string {
		return `<filter-set xmlns="` + Space + `" xmlns:lf="` + LocationSpace + `" xmlns:gml="http://www.opengis.net/gml" xmlns:gs="http://www.opengis.net/pidflo/1.0">` + bindings + content + `</filter-set>`
	}
	what := func(content string) string { return set(`<filter id="f"><what>` + content + `</what></filter>`) }
	trigger := func(content string) string { return set(`<filter id="f"><trigger>` + content + `</trigger></filter>`) }
	for name, body := range map[string]string{
		"no XML":                     `nothing`,
		"empty":                      ``,
		"another root":               `<filter xmlns="` + Space + `"/>`,
		"no namespace":               `<filter-set><filter id="a"/></filter-set>`,
		"a DTD":                      `<!DOCTYPE a>` + what(`<include>//p:a</include>`),
		"too large":                  what(`<include>//p:a</include>` + strings.Repeat(" ", MaxBytes)),
		"no filter":                  set(``),
		"another package":            strings.Replace(what(`<include>//p:a</include>`), `<filter-set`, `<filter-set package="presence.winfo"`, 1),
		"no id":                      set(`<filter><what><include>//p:a</include></what></filter>`),
		"the same id":                set(`<filter id="a"><what><include>//p:a</include></what></filter><filter id="a" uri="sip:a@b"><what><include>//p:a</include></what></filter>`),
		"uri and domain":             set(`<filter id="a" uri="sip:a@b" domain="b"><what><include>//p:a</include></what></filter>`),
		"the same resource":          set(`<filter id="a" uri="sip:a@b"><what><include>//p:a</include></what></filter><filter id="b" uri="sip:a@B;x=y"><what><include>//p:a</include></what></filter>`),
		"the same domain":            set(`<filter id="a" domain="b"><what><include>//p:a</include></what></filter><filter id="b" domain="B"><what><include>//p:a</include></what></filter>`),
		"no resource twice":          set(`<filter id="a"><what><include>//p:a</include></what></filter><filter id="b"><what><include>//p:a</include></what></filter>`),
		"enabled is no boolean":      set(`<filter id="a" enabled="yes"><what><include>//p:a</include></what></filter>`),
		"neither what nor trigger":   set(`<filter id="a"/>`),
		"removes what is not there":  set(`<filter id="a" remove="true"/>`),
		"another attribute":          set(`<filter id="a" limit="1"><what><include>//p:a</include></what></filter>`),
		"another element":            set(`<filter id="a"><lf:moved>1</lf:moved></filter>`),
		"an unknown element":         what(`<include>//p:a</include><x:y xmlns:x="urn:x"/>`),
		"text between":               what(`text<include>//p:a</include>`),
		"include after exclude":      what(`<exclude>//p:a</exclude><include>//p:a</include>`),
		"trigger before what":        set(`<filter id="a"><trigger><added>//p:a</added></trigger><what><include>//p:a</include></what></filter>`),
		"two what":                   set(`<filter id="a"><what><include>//p:a</include></what><what/></filter>`),
		"an unknown type":            what(`<include type="xquery">//p:a</include>`),
		"an empty namespace":         what(`<include type="namespace"> </include>`),
		"an element in an include":   what(`<include><p/></include>`),
		"an unbound prefix":          what(`<include>//q:a</include>`),
		"too many clauses":           what(strings.Repeat(`<include>//p:a</include>`, maxClauses+1)),
		"bindings twice":             set(bindings + `<filter id="a"><what><include>//p:a</include></what></filter>`),
		"bindings without any":       `<filter-set xmlns="` + Space + `"><ns-bindings/><filter id="a"><what><include>//a</include></what></filter></filter-set>`,
		"a prefix twice":             `<filter-set xmlns="` + Space + `"><ns-bindings><ns-binding prefix="a" urn="b"/><ns-binding prefix="a" urn="c"/></ns-bindings><filter id="a"><what><include>//a</include></what></filter></filter-set>`,
		"a prefix that is none":      `<filter-set xmlns="` + Space + `"><ns-bindings><ns-binding prefix="a:b" urn="b"/></ns-bindings><filter id="a"><what><include>//a</include></what></filter></filter-set>`,
		"by is no number":            trigger(`<changed by="x">//p:a</changed>`),
		"by is negative":             trigger(`<changed by="-1">//p:a</changed>`),
		"by with a text":             trigger(`<changed by="1" from="FR">//p:a</changed>`),
		"an element in changed":      trigger(`<changed><p/></changed>`),
		"an expression in added":     trigger(`<added>p:a</added>`),
		"an expression in removed":   trigger(`<removed/>`),
		"an unknown trigger":         trigger(`<lf:stopped>1</lf:stopped>`),
		"a foreign trigger":          trigger(`<x:y xmlns:x="urn:x"/>`),
		"moved by nothing":           trigger(`<lf:moved/>`),
		"moved by less than nothing": trigger(`<lf:moved>-3</lf:moved>`),
		"moved twice":                trigger(`<lf:moved>3</lf:moved><lf:moved>4</lf:moved>`),
		"too many places":            set(`<filter id="f">` + strings.Repeat(`<trigger><lf:moved>1</lf:moved></trigger>`, maxWhere+1) + `</filter>`),
		"no region":                  trigger(`<lf:enterOrExit/>`),
		"two regions":                trigger(`<lf:enterOrExit>` + circle + circle + `</lf:enterOrExit>`),
		"a point":                    trigger(`<lf:enterOrExit><gml:Point srsName="urn:ogc:def:crs:EPSG::4326"><gml:pos>1 2</gml:pos></gml:Point></lf:enterOrExit>`),
		"a bad circle":               trigger(`<lf:enterOrExit>` + strings.Replace(circle, "42.5", "142", 1) + `</lf:enterOrExit>`),
		"a civic region":             trigger(`<lf:enterOrExit><gml:Envelope/></lf:enterOrExit>`),
		"a location type":            what(`<lf:locationType>relative</lf:locationType>`),
		"any and more":               what(`<lf:locationType>any civic</lf:locationType>`),
		"no location type":           what(`<lf:locationType/>`),
		"exact is no boolean":        what(`<lf:locationType exact="x">civic</lf:locationType>`),
		"two location types":         what(`<lf:locationType>civic</lf:locationType><lf:locationType>civic</lf:locationType>`),
		"an element in a type":       what(`<lf:locationType>civic<x/></lf:locationType>`),
	} {
		if _, err := Read(body, nil); !errors.Is(err, ErrFilter) {
			t.Errorf("%s: %v", name, err)
		}
	}
	many := ""
	for i := range maxFilters + 1 {
		many += `<filter id="` + strings.Repeat("i", i+1) + `" uri="sip:` + strings.Repeat("i", i+1) + `@b"><what><include>//p:a</include></what></filter>`
	}
	if _, err := Read(set(many), nil); !errors.Is(err, ErrFilter) {
		t.Errorf("too many filters: %v", err)
	}
}

func subscribe(attrs, content string) string {
	return `<filter-set xmlns="` + Space + `">` + bindings + `<filter ` + attrs + `>` + content + `</filter></filter-set>`
}

// TestDialog changes filters within a dialog (RFC 4660, 3.3.3).
func TestDialog(t *testing.T) {
	t.Parallel()
	const note, tuple = `<what><include>/p:presence/p:note</include></what>`, `<what><include>//p:tuple[@id="t2"]</include></what>`
	const noteLeft, tupleLeft, all = 1, 2, 3 // what is told of the document
	var set *Set
	for i, s := range []struct {
		body string
		bad  bool
		want int
	}{
		{subscribe(`id="a" enabled="false"`, note), false, all},
		{subscribe(`id="a"`, ``), false, noteLeft}, // enabled again, without its content
		{subscribe(`id="a"`, tuple), false, tupleLeft},
		{subscribe(`id="b"`, note), true, tupleLeft}, // the same resource by another id
		{subscribe(`id="b" uri="`+presentity+`"`, note), false, noteLeft},
		{subscribe(`id="c" domain="EXAMPLE.com"`, tuple), false, noteLeft},
		{subscribe(`id="d" uri="sip:other@example.com"`, tuple), false, noteLeft},
		{subscribe(`id="e" domain="example.net"`, tuple), false, noteLeft},
		{subscribe(`id="b" enabled="false"`, ``), false, tupleLeft}, // a disabled one is as good as absent
		{subscribe(`id="b" uri="sip:another@example.com" enabled="true"`, ``), true, tupleLeft},
		{subscribe(`id="b" enabled="1"`, ``), false, noteLeft},
		{subscribe(`id="b" remove="true"`, ``), false, tupleLeft},
		{subscribe(`id="b" remove="true"`, ``), true, tupleLeft},
		{subscribe(`id="a" remove="1"`, ``), false, tupleLeft},
		{subscribe(`id="c"`, note), false, noteLeft}, // replaced: for no resource now
		{subscribe(`id="c" remove="true"`, ``), false, all},
		{subscribe(`id="e" remove="true"`, ``), false, all},
		{subscribe(`id="d" remove="true"`, ``), false, all},
		{subscribe(`id="g"`, `<what/><trigger/>`), false, all}, // RFC 4660, 5.4
	} {
		next, err := Read(s.body, set)
		if s.bad != errors.Is(err, ErrFilter) {
			t.Fatalf("%d: %v", i, err)
		}
		if !s.bad {
			set = next
		}
		again, err := Restore(set.Text())
		if err != nil || again.Text() != set.Text() {
			t.Fatalf("%d: restored: %v", i, err)
		}
		for _, set := range []*Set{set, again} {
			left := Apply(seen(t, person), set.For(presentity)).Document().Parts()
			got := all
			if len(left) == 1 && strings.HasPrefix(left[0].Text, "<note") {
				got = noteLeft
			} else if len(left) == 1 {
				got = tupleLeft
			}
			if got != s.want {
				t.Errorf("%d: %d parts", i, len(left))
			}
		}
	}
	if (*Set)(nil).Text() != "" || (*Set)(nil).For(presentity) != (Filter{}) {
		t.Error("no filters are a filter")
	}
	if set.For("sip:nobody@example.org").Triggers() {
		t.Error("nothing triggers")
	}
}

// TestRestore: a kept text that is damaged is an error; one that Read has let
// pass is not, however much it has declared.
func TestRestore(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"x", ":", "1:", "15:abc", "1-1:", "13:abc", "199999999999999999999:x"} {
		if _, err := Restore(text); !errors.Is(err, ErrFilter) {
			t.Errorf("%q: %v", text, err)
		}
	}
	var b strings.Builder
	b.WriteString(`<filter-set xmlns="` + Space + `" xmlns:long="` + strings.Repeat("u", 12_000) + `">` + bindings)
	b.WriteString(`<filter id="a"><what><include>//p:a</include></what></filter></filter-set>`)
	set, err := Read(b.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(set.Text()); err != nil {
		t.Error(err)
	}
	if set, err := Restore(""); err != nil || set.For("x") != (Filter{}) {
		t.Error("the empty text is no empty set")
	}
}

// TestKey: a Filter is a key, and the same set gives equal ones.
func TestKey(t *testing.T) {
	t.Parallel()
	set, err := Read(filterSet(`<what><include>//p:a</include></what>`), nil)
	if err != nil {
		t.Fatal(err)
	}
	first, again := set.For(presentity), set.For(presentity)
	if first != again || first == set.For("sip:other@example.com") {
		t.Error("filters compare wrongly")
	}
}

func FuzzRead(f *testing.F) {
	f.Add(filterSet(`<what><include>//p:tuple[p:status/p:basic="open" and @id!='x']/p:note</include><exclude type="namespace">urn:x</exclude></what>`), person)
	f.Add(filterSet(`<trigger><changed from="1" to="2" by="1">//p:basic</changed><added>//@id</added><lf:moved>3</lf:moved></trigger>`), winfo)
	f.Add(vectors.Text(f, "rfc6447/3.4-figure-7", "filter"), located(circle))
	f.Fuzz(func(t *testing.T, body, document string) {
		set, err := Read(body, nil)
		if err != nil {
			if !errors.Is(err, ErrFilter) {
				t.Fatal(err)
			}
			return
		}
		again, err := Restore(set.Text())
		if err != nil || again.Text() != set.Text() {
			t.Fatalf("restored: %v", err)
		}
		f, g := set.For(presentity), again.For(presentity)
		left, ok := f.Text(document)
		if right, ok2 := g.Text(document); left != right || ok != ok2 {
			t.Fatal("the restored filter filters otherwise")
		}
		if f.TriggeredText(document, winfo) != g.TriggeredText(document, winfo) {
			t.Fatal("the restored filter triggers otherwise")
		}
		if f.one == nil || f.one.what == nil || !ok {
			return
		}
		a, b := tree(t, document), tree(t, left)
		if !included(a, b, a.Root(), b.Root()) {
			t.Fatalf("more is told than there was: %q of %q", left, document)
		}
	})
}

// TestUnique: a filter without a URI is for the Request-URI's resource, as is one
// that names it (RFC 4660, 5.2 and 5.2.1).
func TestUnique(t *testing.T) {
	t.Parallel()
	one := func(id, target string) string {
		return `<filter id="` + id + `"` + target + `><what><include>//p:note</include></what></filter>`
	}
	for content, want := range map[string]bool{
		one("a", ""): true,
		one("a", "") + one("b", ` uri="sip:presentity@example.com"`):                                false,
		one("a", "") + one("b", ` uri="sip:presentity@EXAMPLE.com;x=y"`):                            false,
		one("a", "") + one("b", ` uri="sip:other@example.com"`) + one("c", ` domain="example.com"`): true,
		one("a", ` domain="example.com"`) + one("b", ` uri="sip:presentity@example.com"`):           true,
		one("a", ` uri="sip:other@example.com"`) + one("b", ` uri="sip:presentity@example.com"`):    true,
		`<filter id="a" enabled="false"/>` + one("b", ` uri="sip:presentity@example.com"`):          false,
	} {
		set, err := Read(`<filter-set xmlns="`+Space+`">`+bindings+content+`</filter-set>`, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := set.Unique(presentity); (err == nil) != want || err != nil && !errors.Is(err, ErrFilter) {
			t.Errorf("%s: %v", content, err)
		}
	}
}
