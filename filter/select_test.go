package filter

import (
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/rfc/vectors"
)

const person = root + `<tuple id="t1" x:a="1" xml:lang="en"><status><basic>open</basic><x:label>g</x:label></status><r:class>IM</r:class><contact priority="0.8">im:a</contact><note>one</note></tuple>` +
	`<tuple id="t2"><status><basic>closed</basic></status><r:class>voice</r:class><contact>tel:1</contact><timestamp>2026-01-01T00:00:00Z</timestamp></tuple>` +
	`<note>root</note>` +
	`<dm:person id="p"><r:activities from="2026-01-01T00:00:00Z"><r:note>n</r:note><r:away/><r:busy/></r:activities><r:mood><r:happy/><r:sad/></r:mood></dm:person>` +
	`<dm:device id="d"><r:class>x</r:class><dm:deviceID>urn:1</dm:deviceID></dm:device></presence>`

// told is what a <what> leaves of a document: its parts without declarations.
func told(t testing.TB, document, what string) string {
	t.Helper()
	left := Apply(seen(t, document), filterOf(t, filterSet(`<what>`+what+`</what>`)))
	if left.Void() {
		return "void"
	}
	var b strings.Builder
	for _, p := range left.Document().Parts() {
		b.WriteString(p.Text)
	}
	return b.String()
}

func TestSelection(t *testing.T) {
	t.Parallel()
	for what, want := range map[string]string{
		`<include>/p:presence/p:note</include>`:                                                              `<note>root</note>`,
		`<include>//p:basic</include>`:                                                                       `<tuple id="t1" xml:lang="en"><status><basic>open</basic></status></tuple><tuple id="t2"><status><basic>closed</basic></status></tuple>`,
		`<include>//p:tuple[p:status/p:basic="open"]/r:class</include>`:                                      `<tuple id="t1" xml:lang="en"><status><basic>open</basic></status><r:class>IM</r:class></tuple>`,
		`<include>//p:tuple/@id</include><exclude>//x:label</exclude><exclude>//p:tuple[@id="t2"]</exclude>`: `<tuple id="t1" xml:lang="en"><status><basic>open</basic></status></tuple>`,
		`<include>//p:contact/@priority</include><exclude>//x:*</exclude>`:                                   "!", // no name of any namespace in the syntax
		`<include>//p:contact/@priority</include><exclude type="namespace">urn:x</exclude>`:                  `<tuple id="t1" xml:lang="en"><status><basic>open</basic></status><contact priority="0.8">im:a</contact></tuple>`,
		`<include>//dm:device/@id</include>`:                                                                 `<dm:device id="d"><dm:deviceID>urn:1</dm:deviceID></dm:device>`,
		`<include>//r:away</include>`:                                                                        `<dm:person id="p"><r:activities><r:away/></r:activities></dm:person>`,
		`<include>//r:activities/@from</include>`:                                                            `<dm:person id="p"><r:activities from="2026-01-01T00:00:00Z"></r:activities></dm:person>`,
		`<include type="namespace">urn:ietf:params:xml:ns:pidf:rpid</include><exclude>//r:mood/*</exclude><exclude>//p:tuple</exclude><exclude>//r:class</exclude>`:                                                `<dm:person id="p"><r:activities from="2026-01-01T00:00:00Z"><r:note>n</r:note><r:away/><r:busy/></r:activities><r:mood><r:happy/><r:sad/></r:mood></dm:person><dm:device id="d"><dm:deviceID>urn:1</dm:deviceID></dm:device>`,
		`<include>//r:mood</include><exclude>//r:happy</exclude><exclude>//r:sad</exclude>`:                                                                                                                        `<dm:person id="p"><r:mood><r:sad/></r:mood></dm:person>`,
		`<include type="namespace">urn:ietf:params:xml:ns:pidf</include><exclude>/p:presence/p:tuple/p:note</exclude>`:                                                                                             `<tuple id="t1" xml:lang="en"><status><basic>open</basic></status><contact priority="0.8">im:a</contact></tuple><tuple id="t2"><status><basic>closed</basic></status><contact>tel:1</contact><timestamp>2026-01-01T00:00:00Z</timestamp></tuple><note>root</note>`,
		`<include>//p:tuple</include><exclude>//p:tuple/@id</exclude><exclude>//p:tuple/@x:a</exclude><exclude>//p:status</exclude><exclude>//p:tuple[@id="t2"]</exclude><exclude>//p:contact/@priority</exclude>`: `<tuple id="t1" xml:lang="en"><status><basic>open</basic><x:label>g</x:label></status><r:class>IM</r:class><contact>im:a</contact><note>one</note></tuple>`,
		`<include>//p:tuple[@id="t1"]</include><exclude>//p:basic</exclude><exclude>//r:class</exclude><exclude>//p:tuple/*</exclude>`:                                                                             `<tuple id="t1" x:a="1" xml:lang="en"><status><x:label>g</x:label></status></tuple>`,
		`<include>//p:nothing</include>`:                                                           "void",
		`<include>//tuple</include>`:                                                               "void", // no prefix: no namespace
		`<include>/presence/tuple/status/basic</include>`:                                          "void",
		`<exclude>/p:presence</exclude><exclude>//p:tuple</exclude><exclude>//dm:*</exclude>`:      "!",
		`<exclude>//p:tuple</exclude><exclude>//dm:person</exclude><exclude>//dm:device</exclude>`: `<note>root</note>`,
		`<exclude>/p:presence/*</exclude>`:                                                         "void",
		`<include>/p:presence[@entity="sip:presentity@example.com"]/p:note</include>`:              `<note>root</note>`,
		`<include>/p:presence[@entity="sip:other@example.com"]/p:note</include>`:                   "void",
		`<include>//*[p:basic="open" or r:class="voice"]/p:contact</include>`:                      `<tuple id="t2"><status><basic>closed</basic></status><contact>tel:1</contact></tuple>`,
		`<include>//p:contact[@priority&gt;0.5]</include><exclude>//x:label</exclude>`:             `<tuple id="t1" xml:lang="en"><status><basic>open</basic></status><contact priority="0.8">im:a</contact></tuple>`,
		`<include>//p:presence/p:note</include><include>//p:note[.="root"]</include>`:              `<note>root</note>`,
	} {
		if want == "!" {
			if _, err := Read(filterSet(`<what>`+what+`</what>`), nil); err == nil {
				t.Errorf("%s is read", what)
			}
			continue
		}
		if got := told(t, person, what); got != want {
			t.Errorf("%s\n got %s\nwant %s", what, got, want)
		}
	}
}

// TestPlaces: what RPID wants in the parts of <place-is>, and not in <privacy>.
func TestPlaces(t *testing.T) {
	t.Parallel()
	const doc = root + `<tuple id="t"><status><basic>open</basic></status></tuple><dm:person id="p"><r:place-is>` +
		`<r:note>n</r:note><r:audio><r:noisy/></r:audio><r:video><r:dark/></r:video><r:text><r:ok/></r:text></r:place-is><r:privacy><r:text/></r:privacy></dm:person></presence>`
	for what, want := range map[string]string{
		`<include>//r:audio</include><exclude>//r:noisy</exclude>`:                                                           `<r:place-is><r:audio><r:noisy/></r:audio></r:place-is>`,
		`<include type="namespace">urn:ietf:params:xml:ns:pidf:rpid</include><exclude>/p:presence/dm:person/*/*/*</exclude>`: `<r:place-is><r:note>n</r:note><r:audio><r:noisy/></r:audio><r:video><r:dark/></r:video><r:text><r:ok/></r:text></r:place-is><r:privacy><r:text/></r:privacy>`,
		`<include>//r:privacy</include>`:        `<r:privacy><r:text/></r:privacy>`,
		`<include>//r:place-is/@from</include>`: "",
	} {
		if want != "" {
			want = `<dm:person id="p">` + want + `</dm:person>`
		} else {
			want = "void"
		}
		if got := told(t, doc, what); got != want {
			t.Errorf("%s\n got %s\nwant %s", what, got, want)
		}
	}
}

const (
	circle = `<gs:Circle srsName="urn:ogc:def:crs:EPSG::4326"><gml:pos>42.5 -73.2</gml:pos><gs:radius uom="urn:ogc:def:uom:EPSG::9001">850</gs:radius></gs:Circle>`
	civic  = `<ca:civicAddress><ca:country>FR</ca:country><ca:A3>Lyon</ca:A3><ca:PC>7</ca:PC></ca:civicAddress>`
	rules  = `<gp:usage-rules><bp:retransmission-allowed>no</bp:retransmission-allowed></gp:usage-rules>`
)

func located(places string) string {
	return root + `<tuple id="t"><status><gp:geopriv><gp:location-info>` + places + `</gp:location-info>` + rules + `</gp:geopriv></status></tuple></presence>`
}

// TestLocationType is RFC 6447, 3.5; figure 8 is the third.
func TestLocationType(t *testing.T) {
	t.Parallel()
	const wrap = `<tuple id="t"><status><gp:geopriv><gp:location-info>@</gp:location-info>` + rules + `</gp:geopriv></status></tuple>`
	for _, c := range []struct{ has, types, exact, want string }{
		{circle + civic, "any", "true", circle + civic},
		{circle + civic, "civic", "false", civic},
		{circle + civic, "geodetic", "true", circle},
		{circle + civic, "civic geodetic", "true", circle + civic},
		{civic, "geodetic", "false", civic},
		{civic, "geodetic", "true", ""},
		{`<x:uri>u</x:uri>`, "civic geodetic", "true", ""},
		{`<x:uri>u</x:uri>` + civic, "civic", "true", civic},
	} {
		want := strings.Replace(wrap, "@", c.want, 1)
		if c.want == "" {
			want = `<tuple id="t"><status></status></tuple>`
		}
		if got := told(t, located(c.has), `<lf:locationType exact="`+c.exact+`">`+c.types+`</lf:locationType>`); got != want {
			t.Errorf("%+v: %s", c, got)
		}
	}
	left := Apply(seen(t, located(circle+civic)), filterOf(t, vectors.Text(t, "rfc6447/3.5-figure-8", "filter")))
	if text := left.Document().Render(presentity); strings.Contains(text, "civic>") || !strings.Contains(text, "850") {
		t.Error(text)
	}
}

const winfo = `<?xml version="1.0"?>
<w:watcherinfo xmlns:w="urn:ietf:params:xml:ns:watcherinfo" version="3" state="partial" x="y"><w:watcher-list resource="sip:p@example.com" package="presence">` +
	`<w:watcher id="a" status="pending" event="subscribe" display-name="A">sip:a@example.com</w:watcher>` +
	`<w:watcher id="b" status="active" event="approved">sip:b@example.com</w:watcher></w:watcher-list></w:watcherinfo>
`

func TestText(t *testing.T) {
	t.Parallel()
	for what, want := range map[string]string{
		`<include>//w:watcher[@id="a"]</include><exclude>//@event</exclude><exclude>//@display-name</exclude><exclude>//w:watcher-list/@package</exclude>`: `<?xml version="1.0"?>
<w:watcherinfo xmlns:w="urn:ietf:params:xml:ns:watcherinfo" version="3" state="partial"><w:watcher-list resource="sip:p@example.com" package="presence">` +
			`<w:watcher id="a" status="pending" event="subscribe">sip:a@example.com</w:watcher></w:watcher-list></w:watcherinfo>
`,
		`<exclude>//w:watcher</exclude>`: `<?xml version="1.0"?>
<w:watcherinfo xmlns:w="urn:ietf:params:xml:ns:watcherinfo" version="3" state="partial" x="y"><w:watcher-list resource="sip:p@example.com" package="presence"></w:watcher-list></w:watcherinfo>
`,
		`<include>//w:nobody</include>`:       "",
		`<exclude>//w:watcher-list</exclude>`: "",
	} {
		set, err := ReadFor("presence.winfo", filterSet(`<what>`+what+`</what>`), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := set.For("sip:p@example.com").Text(winfo); got != want || ok != (want != "") {
			t.Errorf("%s: %v\n%s", what, ok, got)
		}
	}
	if got, ok := (Filter{}).Text("anything"); got != "anything" || !ok {
		t.Error("no filter changes a text")
	}
	f := filterOf(t, filterSet(`<what><include>//w:a</include></what>`))
	for _, text := range []string{"", "<", "<a><b></a>", "<!DOCTYPE a><a/>", "<a/>"} {
		if _, ok := f.Text(text); ok {
			t.Errorf("%q is told", text)
		}
	}
}

// TestTextTriggers is RFC 4661, 6.3.
func TestTextTriggers(t *testing.T) {
	t.Parallel()
	set, err := ReadFor("presence.winfo", vectors.Text(t, "rfc4661/6.3", "filter"), nil)
	if err != nil {
		t.Fatal(err)
	}
	f := set.For(presentity)
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{`"active"`, `"waiting"`, true}, {`"active"`, `"terminated"`, false}, {`"active"`, `"pending"`, true}, {`"active"`, `"active"`, false},
	} {
		if got := f.TriggeredText(strings.Replace(winfo, `"active"`, c.from, 1), strings.Replace(winfo, `"active"`, c.to, 1)); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	if !f.TriggeredText("<", winfo) || !f.TriggeredText(winfo, "<") || !(Filter{}).TriggeredText("", "") {
		t.Error("what cannot be found out is not told")
	}
	left, ok := f.Text(winfo)
	if !ok || strings.Contains(left, "sip:b@") || !strings.Contains(left, "sip:a@") {
		t.Error(left)
	}
}

// worst are expressions that look at as much as they can.
func worst() []string {
	deep := strings.Repeat("/*", maxSteps-1)
	var or []string
	for range maxTerms {
		or = append(or, "*/*/*/*/*/*/*/*/*/*/*/*/*/*/* = 'no'")
	}
	predicate := "[" + strings.Join(or, " or ") + "]"
	return []string{
		"/" + deep + "/*" + "[.='no']",
		strings.Repeat("//*", maxSteps-1) + "//*[.='no']",
		"//*" + predicate,
		"//*[*/@a='no' or */*/@a='no' or ..='no' or .='no']",
		"//@none",
	}
}

// TestBounded: neither expressions nor documents make a filter take long, and
// what takes too long tells nothing.
func TestBounded(t *testing.T) {
	t.Parallel()
	var nested, wide strings.Builder
	nested.WriteString(root + `<x:r>`)
	for range 120 {
		nested.WriteString(strings.Repeat("<x:a>", 24) + strings.Repeat("</x:a>", 24))
	}
	nested.WriteString(`</x:r></presence>`)
	wide.WriteString(root + `<x:r>` + strings.Repeat("<x:a/>", 1900) + `</x:r></presence>`)
	text := root + `<x:r>` + strings.Repeat("<x:a>", 24) + strings.Repeat("x", 60_000) + strings.Repeat("</x:a>", 24) + `</x:r></presence>`
	longest := time.Duration(0)
	for _, document := range []string{nested.String(), wide.String(), text} {
		c := seen(t, document)
		if _, err := c.Document().Tree(); err != nil {
			t.Fatal(err)
		}
		for _, path := range worst() {
			n := min(maxClauses/4, (MaxBytes-2000)/4/(len(path)+20))
			many := func(name string) string { return strings.Repeat(`<`+name+`>`+path+`</`+name+`>`, n) }
			f := filterOf(t, filterSet(`<what>`+many("include")+many("exclude")+`</what><trigger>`+many("changed")+many("added")+`</trigger>`))
			start := time.Now()
			left := Apply(c, f)
			f.Triggered(c, c)
			longest = max(longest, time.Since(start))
			if !left.Void() && left.Document().Empty() {
				t.Error("a filter that tells nothing is not void")
			}
		}
	}
	if longest > 5*time.Second { // some milliseconds where nothing else runs
		t.Errorf("a filter takes %v", longest)
	}
	f := filterOf(t, filterSet(`<what>`+strings.Repeat(`<include>`+worst()[2]+`</include>`, 10)+`</what>`))
	if !Apply(seen(t, nested.String()), f).Void() {
		t.Error("what takes too long is told")
	}
	g := filterOf(t, filterSet(`<trigger>`+strings.Repeat(`<changed>`+worst()[2]+`</changed>`, 10)+`</trigger>`))
	if c := seen(t, nested.String()); !g.Triggered(c, c) {
		t.Error("what takes too long is not told")
	}
	t.Logf("the longest takes %v", longest)
}

func BenchmarkApply(b *testing.B) {
	c := seen(b, person)
	if _, err := c.Document().Tree(); err != nil {
		b.Fatal(err)
	}
	for name, what := range map[string]string{
		"basic":     `<include>//p:tuple/p:status/p:basic</include><include>//p:tuple/p:contact</include>`,
		"namespace": `<include type="namespace">urn:ietf:params:xml:ns:pidf</include><exclude>//p:note</exclude>`,
		"predicate": `<include>//p:tuple[r:class="IM" or r:class="SMS"]/p:contact</include>`,
	} {
		f := filterOf(b, filterSet(`<what>`+what+`</what>`))
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Apply(c, f)
			}
		})
	}
	f := filterOf(b, filterSet(`<trigger><changed>//p:basic</changed></trigger>`))
	other := seen(b, strings.Replace(person, "open", "closed", 1))
	b.Run("trigger", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			f.Triggered(other, c)
		}
	})
	none := policy.Candidate{}
	b.Run("none", func(b *testing.B) {
		for b.Loop() {
			Apply(none, f)
		}
	})
}
