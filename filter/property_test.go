package filter

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tacit-presence/tacit/compose"
	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/schema"
	"github.com/tacit-presence/tacit/xmltree"
)

const bindings = `<ns-bindings><ns-binding prefix="p" urn="urn:ietf:params:xml:ns:pidf"/>` +
	`<ns-binding prefix="dm" urn="urn:ietf:params:xml:ns:pidf:data-model"/>` +
	`<ns-binding prefix="r" urn="urn:ietf:params:xml:ns:pidf:rpid"/>` +
	`<ns-binding prefix="gp" urn="urn:ietf:params:xml:ns:pidf:geopriv10"/>` +
	`<ns-binding prefix="ca" urn="urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr"/>` +
	`<ns-binding prefix="gml" urn="http://www.opengis.net/gml"/>` +
	`<ns-binding prefix="gs" urn="http://www.opengis.net/pidflo/1.0"/>` +
	`<ns-binding prefix="op" urn="urn:oma:xml:prs:pidf:oma-pres"/>` +
	`<ns-binding prefix="w" urn="urn:ietf:params:xml:ns:watcherinfo"/>` +
	`<ns-binding prefix="x" urn="urn:x"/></ns-bindings>`

func filterSet(content string) string {
	return `<filter-set xmlns="` + Space + `" xmlns:lf="` + LocationSpace + `">` + bindings + `<filter id="f">` + content + `</filter></filter-set>`
}

const root = `<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model"` +
	` xmlns:r="urn:ietf:params:xml:ns:pidf:rpid" xmlns:gp="urn:ietf:params:xml:ns:pidf:geopriv10" xmlns:x="urn:x"` +
	` xmlns:bp="urn:ietf:params:xml:ns:pidf:geopriv10:basicPolicy" xmlns:ca="urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr"` +
	` xmlns:gml="http://www.opengis.net/gml" xmlns:gs="http://www.opengis.net/pidflo/1.0"` +
	` xmlns:op="urn:oma:xml:prs:pidf:oma-pres" entity="sip:presentity@example.com">`

// dice writes random documents and filters.
type dice struct{ *rand.Rand }

func (d dice) of(list ...string) string { return list[d.IntN(len(list))] }

// some writes about half of the elements, in order.
func (d dice) some(list ...string) string {
	var b strings.Builder
	for _, s := range list {
		if d.IntN(2) == 0 {
			b.WriteString(d.of("", "", "\n  ", "<!-- c -->"))
			b.WriteString(s)
		}
	}
	return b.String()
}

func (d dice) location() string {
	circle := `<gs:Circle srsName="urn:ogc:def:crs:EPSG::4326"><gml:pos>42.5 -73.2</gml:pos><gs:radius uom="urn:ogc:def:uom:EPSG::9001">850</gs:radius></gs:Circle>`
	civic := `<ca:civicAddress xml:lang="en"><ca:country>FR</ca:country><ca:A1>x</ca:A1><ca:PC>7</ca:PC></ca:civicAddress>`
	return `<gp:geopriv><gp:location-info>` + d.of(circle, civic, circle+civic, civic+circle, `<x:where>there</x:where>`) +
		`</gp:location-info><gp:usage-rules><bp:retransmission-allowed>no</bp:retransmission-allowed></gp:usage-rules>` +
		d.some(`<gp:method>gps</gp:method>`) + `</gp:geopriv>`
}

func (d dice) rpid() string {
	return d.some(
		`<r:activities id="a`+d.id()+`" from="2026-01-01T00:00:00Z"><r:note xml:lang="en">n</r:note><r:away/><r:busy/></r:activities>`,
		`<r:class>`+d.of("IM", "voice")+`</r:class>`,
		`<r:mood><r:note>n</r:note><r:happy/><r:sad/></r:mood>`,
		`<r:place-type><r:other>bus</r:other></r:place-type>`,
		`<r:relationship><r:note>n</r:note><r:family/></r:relationship>`,
		`<r:status-icon until="2026-01-01T00:00:00Z">http://example.com/i</r:status-icon>`,
		`<r:user-input idle-threshold="10" last-input="2026-01-01T00:00:00Z">active</r:user-input>`,
		`<x:odd x:a="1" b="2">text<x:in>y</x:in>more<x:in c="3"/></x:odd>`,
		`<odd:simple xmlns:odd="urn:odd" odd:k="v">t &amp; u</odd:simple>`,
	)
}

func (d dice) id() string { return fmt.Sprintf("%x", d.Uint32()) }

func (d dice) document() string {
	var b strings.Builder
	b.WriteString(root)
	for range d.IntN(4) {
		status := d.of(`<basic>open</basic>`, `<basic>closed</basic>`, `<basic>open</basic>`+d.location(), d.location(), `<basic>closed</basic><x:label>game-X</x:label>`)
		fmt.Fprintf(&b, `<tuple id="t%s"%s><status>%s</status>%s</tuple>`, d.id(), d.of("", ` x:a="1"`, ` xml:lang="en"`), status,
			d.rpid()+d.some(`<dm:deviceID>urn:d:1</dm:deviceID>`, `<contact priority="0.`+d.of("1", "8")+`">im:someone@example.com</contact>`,
				`<note xml:lang="en">hello</note>`, `<note>you</note>`, `<timestamp>2026-01-01T00:00:00Z</timestamp>`))
	}
	b.WriteString(d.some(`<note xml:lang="fr">salut</note>`))
	for range d.IntN(3) {
		fmt.Fprintf(&b, `<dm:person id="p%s">%s</dm:person>`, d.id(), d.rpid()+d.some(d.location(), `<dm:note>n</dm:note>`, `<dm:timestamp>2026-01-01T00:00:00Z</dm:timestamp>`))
	}
	for range d.IntN(2) {
		fmt.Fprintf(&b, `<dm:device id="d%s">%s</dm:device>`, d.id(), d.rpid()+`<dm:deviceID>urn:d:1</dm:deviceID>`+d.some(`<dm:note>n</dm:note>`))
	}
	b.WriteString(d.some(`<x:root x:a="b">r</x:root>`) + `</presence>`)
	return b.String()
}

var names = strings.Fields(`p:presence p:tuple p:status p:basic p:contact p:note p:timestamp dm:person dm:device dm:deviceID dm:note
	r:activities r:away r:class r:mood r:happy r:note r:place-type r:other r:relationship r:family r:user-input r:status-icon
	gp:geopriv gp:location-info gp:usage-rules gp:method ca:civicAddress ca:country gs:Circle gml:pos gs:radius x:odd x:in x:root x:label * * *`)

var attributes = strings.Fields(`id entity priority from until last-input x:a b srsName uom x:none`)

func (d dice) path() string {
	var b strings.Builder
	if d.IntN(3) == 0 {
		b.WriteString("/p:presence")
	}
	for range 1 + d.IntN(3) {
		b.WriteString(d.of("/", "//", "//") + d.of(names...))
		if d.IntN(4) == 0 {
			b.WriteString("[" + d.term() + d.of("", "", " and "+d.term(), " or "+d.term()) + "]")
		}
	}
	if d.IntN(5) == 0 {
		b.WriteString(d.of("/", "//") + "@" + d.of(attributes...))
	}
	return strings.ReplaceAll(b.String(), "<", "&lt;")
}

func (d dice) term() string {
	return d.of(d.of(names...), ".", "..", "@"+d.of(attributes...), "*/"+d.of(names...)) + d.of("", "=", "!=", "<", ">=") + d.of(`"open"`, "0.5", `"IM"`, `"en"`)
}

func (d dice) clause(name string) string {
	if d.IntN(4) == 0 {
		return `<` + name + ` type="namespace">` + d.of("urn:ietf:params:xml:ns:pidf", "urn:ietf:params:xml:ns:pidf:data-model",
			"urn:ietf:params:xml:ns:pidf:rpid", "urn:ietf:params:xml:ns:pidf:geopriv10", "http://www.opengis.net/gml", "urn:x", "urn:odd") + `</` + name + `>`
	}
	return `<` + name + `>` + d.path() + `</` + name + `>`
}

func (d dice) what() string {
	var b strings.Builder
	for range d.IntN(4) {
		b.WriteString(d.clause("include"))
	}
	for range d.IntN(4) {
		b.WriteString(d.clause("exclude"))
	}
	if d.IntN(4) == 0 {
		b.WriteString(`<lf:locationType exact="` + d.of("true", "false") + `">` + d.of("civic", "geodetic", "any", "civic geodetic") + `</lf:locationType>`)
	}
	return `<what>` + b.String() + `</what>`
}

// filter reads a random filter; a term without an operator may have a value that
// it must not have, and then there is none.
func (d dice) filter() (Filter, string, bool) {
	body := filterSet(d.what())
	set, err := Read(body, nil)
	if err != nil {
		return Filter{}, body, false
	}
	return set.For(presentity), body, true
}

// included reports whether b is what is left of a: the same element, with some of
// its attributes, some of its children in order, and its text if it has one.
func included(a, b *xmltree.Doc, m, n xmltree.Node) bool {
	if a.Name(m) != b.Name(n) {
		return false
	}
	for i := range b.NumAttrs(n) {
		if at := b.AttrAt(n, i); !at.Declares() {
			if v, ok := a.Attr(m, at.Space(), at.Local()); !ok || v != at.Value() {
				return false
			}
		}
	}
	c, text := a.FirstElement(m), false
	for k := b.FirstChild(n); k != xmltree.None; k = b.Next(k) {
		if b.Kind(k) != xmltree.KindElement {
			text = text || b.Kind(k) != xmltree.KindText || !b.IsSpace(k)
			continue
		}
		for c != xmltree.None && !included(a, b, c, k) {
			c = a.NextElement(c)
		}
		if c == xmltree.None {
			return false
		}
		c = a.NextElement(c)
	}
	return !text || strings.TrimSpace(a.Text(m)) == strings.TrimSpace(b.Text(n))
}

func tree(t testing.TB, text string) *xmltree.Doc {
	t.Helper()
	doc, err := xmltree.Parse(text, xmltree.Limits{})
	if err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	return doc
}

// TestOnlyRemoves holds of random documents and filters that what is told was
// there, that it is valid, and that filtering is the same for the same.
func TestOnlyRemoves(t *testing.T) {
	t.Parallel()
	d := dice{rand.New(rand.NewPCG(1, 2))}
	valid := schema.Presence()
	told, void, less, refused := 0, 0, 0, 0
	for i := range 20_000 {
		text := d.document()
		input := seen(t, text)
		f, body, ok := d.filter()
		if !ok {
			refused++
			continue
		}
		left := Apply(input, f)
		if left.Void() {
			void++
			continue
		}
		told++
		before, after := input.Document().Render(presentity), left.Document().Render(presentity)
		if input.Document().Empty() {
			before = pidf.Unavailable(presentity).Render(presentity)
		}
		if len(after) < len(before) {
			less++
		}
		a, b := tree(t, before), tree(t, after)
		if !included(a, b, a.Root(), b.Root()) {
			t.Fatalf("%d: it tells what it was not told:\n%s\n%s\n%s", i, body, before, after)
		}
		if _, err := pidf.Parse(after); err != nil {
			t.Fatalf("%d: %v:\n%s\n%s\n%s", i, err, body, before, after)
		}
		if err := valid(b); err != nil && valid(a) == nil {
			t.Fatalf("%d: %v:\n%s\n%s\n%s", i, err, body, before, after)
		}
		if strings.Contains(after, "Circle") != strings.Contains(after, "850</gs:radius>") {
			t.Fatalf("%d: half a circle:\n%s\n%s", i, body, after)
		}
	}
	if told < 5000 || void < 1000 || less < 3000 || refused > 12_000 {
		t.Errorf("%d told, %d void, %d shortened, %d refused", told, void, less, refused)
	}
}

// TestIndistinguishable holds that no filter tells a presentity that blocks a
// watcher politely from one that shows it nothing, or that publishes nothing.
func TestIndistinguishable(t *testing.T) {
	t.Parallel()
	d := dice{rand.New(rand.NewPCG(3, 4))}
	nothing := compose.Union().Compose("", nil)
	for range 3000 {
		f, body, ok := d.filter()
		if !ok {
			continue
		}
		doc, err := pidf.Parse(d.document())
		if err != nil {
			t.Fatal(err)
		}
		raw := compose.Union().Compose("", []compose.Publication{{Doc: doc}})
		var all []Filtered
		var candidates []policy.Candidate
		for _, c := range []policy.Candidate{
			policy.Apply(raw, policy.Decision{Handling: policy.PoliteBlock}),
			policy.Apply(nothing, policy.Decision{Handling: policy.PoliteBlock}),
			policy.Apply(nothing, policy.Decision{Handling: policy.Allow, Permissions: policy.Everything()}),
			policy.Apply(raw, policy.Decision{Handling: policy.Allow}),
		} {
			all, candidates = append(all, Apply(c, f)), append(candidates, c)
		}
		for i := range all {
			if all[i].None() || all[i].Void() != all[0].Void() || all[i].Document().Render(presentity) != all[0].Document().Render(presentity) {
				t.Fatalf("%d differs: %s", i, body)
			}
		}
		g := filterOf(t, filterSet(`<trigger><changed>//p:basic</changed></trigger><trigger><added>//*</added></trigger><trigger><removed>//@id</removed></trigger>`))
		for _, a := range candidates {
			for _, b := range candidates {
				if g.Triggered(a, b) {
					t.Fatal("nothing has changed to nothing, and it is told")
				}
			}
		}
	}
}

// TestNoneStaysNone: what must not be told is told by no filter.
func TestNoneStaysNone(t *testing.T) {
	t.Parallel()
	d := dice{rand.New(rand.NewPCG(5, 6))}
	for range 500 {
		f, _, _ := d.filter()
		for _, h := range []policy.Handling{policy.Block, policy.Confirm} {
			if left := Apply(candidate(t, policy.Decision{Handling: h}), f); !left.None() || left.Void() || !left.Document().Empty() {
				t.Fatal("a filter tells what must not be told")
			}
		}
	}
}

// TestTriggersAgree holds of random documents and triggers that the same document
// never fires, and that added and removed are each other's mirror.
func TestTriggersAgree(t *testing.T) {
	t.Parallel()
	d := dice{rand.New(rand.NewPCG(7, 8))}
	fired := 0
	for range 3000 {
		path := d.path()
		set, err := Read(filterSet(`<trigger><added>`+path+`</added></trigger>`), nil)
		if err != nil {
			continue
		}
		gone, err := Read(filterSet(`<trigger><removed>`+path+`</removed></trigger>`), nil)
		if err != nil {
			t.Fatal(err)
		}
		changed, err := Read(filterSet(`<trigger><changed>`+path+`</changed></trigger><trigger><lf:moved>0.1</lf:moved></trigger>`), nil)
		if err != nil {
			t.Fatal(err)
		}
		a, b := seen(t, d.document()), seen(t, d.document())
		f, g, h := set.For(presentity), gone.For(presentity), changed.For(presentity)
		if f.Triggered(a, a) || g.Triggered(a, a) || h.Triggered(a, a) {
			t.Fatalf("what has not changed fires: %s", path)
		}
		if f.Triggered(a, b) {
			fired++
		}
		if f.Triggered(a, b) != g.Triggered(b, a) {
			t.Fatalf("%s: added and removed differ", path)
		}
	}
	if fired < 100 {
		t.Errorf("%d fired", fired)
	}
}

// TestDice: the random documents are valid, most of them by the schema too.
func TestDice(t *testing.T) {
	t.Parallel()
	d := dice{rand.New(rand.NewPCG(9, 10))}
	valid, n := schema.Presence(), 0
	for range 500 {
		if valid(tree(t, d.document())) == nil {
			n++
		}
	}
	if n < 100 {
		t.Errorf("%d of 500 are valid", n)
	}
	if !slices.Contains(names, "p:tuple") {
		t.Error("no names")
	}
}
