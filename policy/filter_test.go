package policy

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/location"
	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/rfc/vectors"
	"github.com/tacit-presence/tacit/xmltree"
)

var everybody = selection{all: true}

// tell filters documents, the newest first, and gives the root's children, one a
// line.
func tell(t testing.TB, g *grant, published ...string) string {
	t.Helper()
	for i := range published {
		published[i] = `<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model" xmlns:r="urn:ietf:params:xml:ns:pidf:rpid" ` +
			`xmlns:op="urn:oma:xml:prs:pidf:oma-pres" xmlns:gp="urn:ietf:params:xml:ns:pidf:geopriv10" xmlns:x="urn:x" entity="e">` + published[i] + `</presence>`
	}
	out := Apply(rawOf(t, published...), Decision{Handling: Allow, Permissions: g.finish()}).Document()
	var lines []string
	for _, c := range out.Parts() {
		lines = append(lines, c.Text)
	}
	text := out.Render("e")
	if _, err := (pidf.Tolerances{}).Parse(text); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
	if again := filtered(out, g, location.Options{}).Render("e"); again != text {
		t.Errorf("filtered twice:\n%s\nonce:\n%s", again, text)
	}
	return strings.Join(lines, "\n")
}

func person(content string) string { return `<dm:person id="a">` + content + `</dm:person>` }

// TestFilter is one line of the rules a case.
func TestFilter(t *testing.T) {
	t.Parallel()
	const (
		tuple  = `<tuple id="a" x:f="1"><status> <basic>open</basic> <x:s/> </status><r:class>c</r:class><dm:deviceID>urn:d</dm:deviceID><contact priority="0.50" x:f="1"> im:b@example.com </contact><note>n</note><timestamp>2026-01-02T03:04:05.10+01:00</timestamp></tuple>`
		bare   = `<tuple id="t` + "idOfB" + `"><status><basic>open</basic></status>`
		tail   = `<contact priority="0.50">im:b@example.com</contact>`
		when   = `<timestamp>2026-01-02T02:04:05.1Z</timestamp></tuple>`
		device = `<dm:device id="a"><r:user-input idle-threshold="60" last-input="2026-01-02T03:04:05Z" since="2026-01-02T03:04:05Z" x:f="1">idle</r:user-input><dm:deviceID>urn:d</dm:deviceID><dm:note>n</dm:note></dm:device>`
		rpid   = `<r:activities id="i" from="2026-01-02T03:04:05+01:00" until="soon"> <r:note xml:lang="fr"> n </r:note><r:away> </r:away><x:y><gp:geopriv/></x:y></r:activities><r:sphere>work</r:sphere>`
	)
	idOfB := tupleID("im:b@example.com")
	person1 := func(content string) string { return `<dm:person id="p1">` + content + `</dm:person>` }
	device1 := func(content string) string {
		return `<dm:device id="d` + strings.TrimPrefix(tupleID("urn:d"), "t") + `">` + content + `<dm:deviceID>urn:d</dm:deviceID></dm:device>`
	}
	for _, c := range []struct {
		name      string
		g         grant
		published string
		want      string
	}{
		{"nothing selected", grant{attributes: ^attribute(0), everything: true, userInput: userInputFull}, "<note>n</note>" + tuple, ""},
		{"selected what is not there", grant{persons: everybody, services: selection{schemes: []string{"sip"}}}, tuple, ""},
		{"always shown", grant{services: everybody}, tuple, bare + tail + when},
		{"class", grant{services: selection{classes: []string{"c"}}}, tuple, bare + tail + when},
		{"class, and shown", grant{services: selection{classes: []string{"c"}}, attributes: provideClass}, tuple, bare + `<rpid:class>c</rpid:class>` + tail + when},
		{"class differs in case", grant{services: selection{classes: []string{"C"}}}, tuple, ""},
		{"no class is not the empty class", grant{persons: selection{classes: []string{""}}}, person(""), ""},
		{"occurrence", grant{services: selection{ids: []string{"a"}}}, tuple, bare + tail + when},
		{"service-uri", grant{services: selection{uris: []string{"im:b@example.com"}}}, tuple, bare + tail + when},
		{"service-uri-scheme", grant{services: selection{schemes: []string{"im", "sip"}}}, tuple, bare + tail + when},
		{"another's selection", grant{persons: everybody, devices: everybody}, tuple, ""},
		{"deviceID", grant{services: everybody, attributes: provideDeviceID}, tuple, bare + `<dm:deviceID>urn:d</dm:deviceID>` + tail + when},
		{"note", grant{services: everybody, attributes: provideNote}, tuple + `<note xml:lang="en">r</note>`,
			bare + tail + `<note>n</note>` + when + "\n" + `<note xml:lang="en">r</note>`},
		{"unknown in the status", grant{services: everybody, unknown: []xmltree.Name{{Space: "urn:x", Local: "s"}}}, tuple,
			strings.Replace(bare, "</status>", `<x:s xmlns:x="urn:x"/></status>`, 1) + tail + when},
		{"a status that is left empty", grant{services: everybody}, `<tuple id="a"><status><x:s/></status></tuple>`, `<tuple id="t` + "idOf" + `"><status/></tuple>`},
		{"coarse", grant{services: everybody, coarse: 3600}, tuple, bare + tail + `<timestamp>2026-01-02T02:00:00Z</timestamp></tuple>` + "\n" + `<t:coarse-timestamps seconds="3600"/>`},
		{"user-input none", grant{devices: everybody}, device, device1("")},
		{"user-input bare", grant{devices: everybody, userInput: userInputBare}, device, device1(`<rpid:user-input>idle</rpid:user-input>`)},
		{"user-input thresholds", grant{devices: everybody, userInput: userInputThresholds}, device, device1(`<rpid:user-input idle-threshold="60">idle</rpid:user-input>`)},
		{"user-input full", grant{devices: everybody, userInput: userInputFull}, device,
			device1(`<rpid:user-input idle-threshold="60" last-input="2026-01-02T03:04:05Z" since="2026-01-02T03:04:05Z">idle</rpid:user-input>`)},
		{"device by deviceID", grant{devices: selection{deviceIDs: []string{"URN:d"}}}, device, device1("")},
		{"another device", grant{devices: selection{deviceIDs: []string{"urn:e"}}}, device, ""},
		{"a person with nothing", grant{persons: everybody}, person(rpid), person1("")},
		{"activities", grant{persons: everybody, attributes: provideActivities}, person(rpid),
			person1(`<rpid:activities from="2026-01-02T02:04:05Z"><rpid:note xml:lang="fr"> n </rpid:note><rpid:away/><x:y xmlns:x="urn:x"></x:y></rpid:activities>`)},
		{"known names are not unknown", grant{persons: everybody, unknown: []xmltree.Name{{Space: pidf.RPIDSpace, Local: "sphere"}, {Space: pidf.RPIDSpace, Local: "foo"}}},
			person(rpid + `<r:foo/>`), person1("")},
		{"misplaced", grant{services: everybody, attributes: provideActivities | provideSphere}, `<tuple id="a"><status/>` + rpid + `</tuple>`, `<tuple id="t` + "idOf" + `"><status/></tuple>`},
		{"location is no attribute", grant{persons: everybody, attributes: ^attribute(0), unknown: []xmltree.Name{{Space: geoprivSpace, Local: "geopriv"}}},
			person(`<gp:geopriv>here</gp:geopriv>`), person1("")},
		{"all-attributes", grant{persons: everybody, everything: true}, person(`<gp:geopriv>here</gp:geopriv><r:foo/><!-- c --><x:a b="c"><!-- d --></x:a>`),
			person1(`<x:a xmlns:x="urn:x" b="c"></x:a><r:foo xmlns:r="urn:ietf:params:xml:ns:pidf:rpid"/><gp:geopriv xmlns:gp="urn:ietf:params:xml:ns:pidf:geopriv10">here</gp:geopriv>`)},
		{"values with prefixes", grant{persons: everybody, unknown: []xmltree.Name{{Space: "urn:x", Local: "a"}}}, person(`<x:a type="gp:b">r:busy http://y</x:a>`),
			person1(`<x:a xmlns:r="urn:ietf:params:xml:ns:pidf:rpid" xmlns:gp="urn:ietf:params:xml:ns:pidf:geopriv10" xmlns:x="urn:x" type="gp:b">r:busy http://y</x:a>`)},
		{"OMA's", grant{persons: everybody, attributes: provideWillingness}, person(`<op:overriding-willingness><op:basic>open</op:basic></op:overriding-willingness><op:barring-state>x</op:barring-state>`),
			person1(`<op:overriding-willingness><op:basic>open</op:basic></op:overriding-willingness>`)},
		{"OMA's service-id", grant{services: selection{services: []string{"s"}}}, `<tuple id="b"><status/><op:service-description><op:service-id>s</op:service-id></op:service-description><contact>im:b@example.com</contact></tuple>` + tuple,
			`<tuple id="t` + "idOfB" + `"><status/><contact>im:b@example.com</contact></tuple>`},
		{"root extensions", grant{persons: everybody, unknown: []xmltree.Name{{Space: "urn:x", Local: "a"}}}, `<x:a/><x:b/><r:sphere/><op:willingness/>`, `<x:a xmlns:x="urn:x"/>`},
		{"a language of nothing", grant{persons: everybody}, `<dm:person id="a" xml:lang="en"><r:mood><r:note>x</r:note></r:mood></dm:person>`, person1("")},
		{"declarations of components", grant{persons: everybody, everything: true}, `<dm:person id="a" xmlns:y="urn:y1"><y:a/><y:b/></dm:person><dm:person id="b" xmlns:y="urn:y2"><y:a/></dm:person>`,
			person1(`<y:a xmlns:y="urn:y1"/><y:b xmlns:y="urn:y1"/>`) + "\n" + `<dm:person id="p2"><y:a xmlns:y="urn:y2"/></dm:person>`},
		{"default namespaces", grant{persons: everybody, everything: true}, `<dm:person id="a"><a xmlns="urn:y1"><b xmlns=""/></a><x:c xmlns="urn:y2"><d/></x:c></dm:person><dm:person id="b" xmlns="urn:y3"><x:c><d/></x:c></dm:person>`,
			person1(`<a xmlns="urn:y1"><b xmlns=""/></a><x:c xmlns:x="urn:x" xmlns="urn:y2"><d/></x:c>`) + "\n" + `<dm:person id="p2"><x:c xmlns:x="urn:x" xmlns="urn:y3"><d/></x:c></dm:person>`},
		{"languages", grant{persons: everybody, attributes: provideNote}, `<dm:person id="a" xml:lang="en"><r:mood><r:note>x</r:note></r:mood></dm:person><dm:person id="b" xml:lang="en"><dm:note>n</dm:note></dm:person>`,
			`<dm:person id="p1" xml:lang="en"><dm:note>n</dm:note></dm:person>`},
	} {
		want := strings.NewReplacer("tidOfB", idOfB, "tidOf", tupleID("")).Replace(c.want)
		if got := tell(t, &c.g, c.published); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, got, want)
		}
	}
}

// tupleID is the id of the first tuple with a contact.
func tupleID(contact string) string {
	w := writer{ids: map[named]int{}}
	return "t" + string(w.appendID(nil, &pidf.Part{Kind: pidf.Tuple, Contact: contact}))
}

// TestMerge: the number of what looks the same tells nothing.
func TestMerge(t *testing.T) {
	t.Parallel()
	g := &grant{services: everybody, persons: everybody, devices: everybody, attributes: provideSphere}
	phone := func(id, basic, time string) string {
		if time != "" {
			time = "<timestamp>" + time + "</timestamp>"
		}
		return `<tuple id="` + id + `"><status><basic>` + basic + `</basic></status><r:class>` + id + `</r:class><contact>sip:a@example.com</contact>` + time + `</tuple>`
	}
	id := tupleID("sip:a@example.com")
	told := func(id, basic, time string) string {
		if time != "" {
			time = "<timestamp>" + time + "</timestamp>"
		}
		return `<tuple id="` + id + `"><status><basic>` + basic + `</basic></status><contact>sip:a@example.com</contact>` + time + `</tuple>`
	}
	const old, new, newer = "2026-01-02T03:04:05Z", "2026-01-02T06:04:05.5+02:00", "2026-01-02T04:04:05.5Z"
	one := told(id, "open", newer)
	coarse := *g
	coarse.coarse = 86400
	for _, c := range []struct {
		name      string
		g         *grant
		published []string
		want      string
	}{
		{"one", g, []string{phone("a", "open", newer)}, one},
		{"three", g, []string{phone("a", "open", "") + phone("b", "open", new), phone("c", "open", old)}, one},
		{"three, another order", g, []string{phone("c", "open", old), phone("a", "open", new) + phone("b", "open", "")}, one},
		{"two that differ", g, []string{phone("c", "closed", old), phone("a", "open", new) + phone("b", "closed", "")}, one + "\n" + told(id+"-2", "closed", old)},
		{"many", g, []string{strings.Repeat("", 1) + repeated(40, func(i string) string { return phone("x"+i, "open", "") }), phone("b", "open", newer)}, one},
		{"idle persons", g, []string{`<dm:person id="a"><r:mood/></dm:person><dm:person id="b"/>`, `<dm:person id="c"><dm:timestamp>` + old + `</dm:timestamp></dm:person>`},
			`<dm:person id="p1"><dm:timestamp>` + old + `</dm:timestamp></dm:person>`},
		{"idle persons beside another", g, []string{`<dm:person id="a"><r:mood/></dm:person><dm:person id="b"><r:sphere>work</r:sphere></dm:person>`},
			`<dm:person id="p1"><rpid:sphere>work</rpid:sphere></dm:person>`},
		{"an idle tuple beside another", g, []string{`<tuple id="x"><status><x:y/></status></tuple>` + phone("a", "open", newer)}, one},
		{"notes", &grant{services: everybody, attributes: provideNote}, []string{`<note>n</note><note><![CDATA[n]]></note>`}, `<note>n</note>`},
		{"coarse order", &coarse, []string{repeated(3, func(i string) string { return `<dm:person id="x` + i + `"><r:sphere>` + i + `</r:sphere></dm:person>` })},
			repeated(3, func(i string) string {
				return `<dm:person id="p` + string(i[0]+1) + `"><rpid:sphere>` + i + `</rpid:sphere></dm:person>` + "\n"
			}) + `<t:coarse-timestamps seconds="86400"/>`},
		{"coarse order, the other way", &coarse, []string{`<dm:person id="x2"><r:sphere>2</r:sphere></dm:person>`, `<dm:person id="x1"><r:sphere>1</r:sphere></dm:person>`, `<dm:person id="x0"><r:sphere>0</r:sphere></dm:person>`},
			repeated(3, func(i string) string {
				return `<dm:person id="p` + string(i[0]+1) + `"><rpid:sphere>` + i + `</rpid:sphere></dm:person>` + "\n"
			}) + `<t:coarse-timestamps seconds="86400"/>`},
	} {
		if got := tell(t, c.g, c.published...); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

func repeated(n int, f func(string) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(f(strings.TrimLeft(string([]byte{byte('0' + i/10), byte('0' + i%10)}), "0") + map[bool]string{true: "0"}[i == 0]))
	}
	return b.String()
}

func TestAppendTime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in     string
		coarse int
		want   string // empty: none
	}{
		{"2026-01-02T03:04:05Z", 0, "2026-01-02T03:04:05Z"},
		{"2026-01-02T03:04:05", 0, "2026-01-02T03:04:05"},
		{"2026-01-02T03:04:05.123000", 0, "2026-01-02T03:04:05.123"},
		{"2026-01-02T03:04:05.1234567890123Z", 0, "2026-01-02T03:04:05.123456789Z"},
		{"2026-01-01T23:59:59.9-14:00", 0, "2026-01-02T13:59:59.9Z"},
		{"2026-01-02T03:04:05.9Z", 1, "2026-01-02T03:04:05Z"},
		{"2026-01-02T03:04:05.9", 900, "2026-01-02T03:00:00"},
		{"2026-01-02T00:04:05+01:00", 86400, "2026-01-01T00:00:00Z"},
		{"1969-12-31T23:59:59Z", 86400, "1969-12-31T00:00:00Z"},
		{"0000-01-01T00:00:00Z", 900, "0000-01-01T00:00:00Z"},
		{"0000-01-01T00:00:00+01:00", 0, ""},
		{"9999-12-31T23:59:59-01:00", 0, ""},
		{"0000-01-01T00:00:00Z", 1 << 40, ""},
		{"2026-02-30T03:04:05Z", 0, ""},
		{"soon", 0, ""},
		{"", 900, ""},
	} {
		got, ok := appendTime([]byte("x"), c.in, c.coarse)
		if string(got) != "x"+c.want || ok != (c.want != "") {
			t.Errorf("%s by %d: %s %v", c.in, c.coarse, got, ok)
		}
	}
}

func TestSameURI(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"sip:alice@example.com", "SIP:alice@EXAMPLE.com", true},
		{"sip:alice@example.com", "sip:alice@example.com;newparam=5", true},
		{"sip:alice@example.com", "sip:alice@example.com;transport=tcp", false},
		{"sip:alice@example.com", "sip:Alice@example.com", false},
		{"sip:alice@example.com", "sips:alice@example.com", false},
		{"sip:%61lice@example.com", "sip:alice@example.com", true},
		{"tel:+1-555-1234", "tel:+15551234", true},
		{"mailto:a@b", "MAILTO:a@b", true},
		{"mailto:a@b", "mailto:A@b", false},
		{"urn:uuid:F81D4FAE-7dec-11d0-a765-00a0c91e6bf6", "URN:UUID:f81d4fae-7dec-11d0-a765-00a0c91e6bf6", true},
		{"urn:example:A", "urn:Example:A", true},
		{"urn:example:A", "urn:example:a", false},
		{"urn:example:a%2fb", "URN:Example:a%2Fb", true},
		{"urn:example:a%62", "urn:example:ab", false},
		{"mailto:alice@EXAMPLE.com", "MAILTO:%61lice@example.com", true},
		{"mailto:Alice@example.com", "mailto:alice@example.com", false},
		{"mailto:a@example.com?subject=X@Y", "mailto:a@Example.com?subject=X@Y", true},
		{"mailto:a@example.com?subject=X@Y", "mailto:a@example.com?subject=X@y", false},
		{"xmpp:a@EXAMPLE.com/Desk", "xmpp:a@example.com/Desk", true},
		{"xmpp:a@example.com/Desk", "xmpp:a@example.com/desk", false},
		{"http://example.com", "HTTP://Example.com:80/", true},
		{"https://example.com:443?a=b", "https://example.com/?a=b", true},
		{"https://User@example.com/", "https://user@example.com/", false},
		{"http://example.com:8080/", "http://example.com/", false},
		{"http://example.com/A", "http://example.com/a", false},
		{"http://example.com/a%2fb", "http://example.com/a/b", false},
		{"http://example.com/%7ea%2fb", "http://example.com/~a%2Fb", true},
		{"http://example.com/100%", "http://example.com/100%", true},
		{"no uri", "no uri", true},
		{"no uri", "No uri", false},
		{"", ":", false},
		{"sip:@", "sip:@@", false},
	} {
		if sameURI(c.a, c.b) != c.same || sameURI(c.b, c.a) != c.same {
			t.Errorf("%s and %s", c.a, c.b)
		}
	}
}

// TestHostile: what a publisher can write costs bounded time, and does not make
// the watchers' document invalid.
func TestHostile(t *testing.T) {
	t.Parallel()
	var declared strings.Builder
	for i := range 60 {
		declared.WriteString(` xmlns:n` + strings.Repeat("a", i) + `="urn:n"`)
	}
	id := tupleID("")
	long := strings.Repeat("l", 1900)
	for _, published := range []string{
		`<tuple id="a"` + declared.String() + `><status/>` + strings.Repeat("<x:a/>", 6000) + `</tuple>`,
		`<tuple id="a"` + declared.String() + `><status/><x:a>` + strings.Repeat(":", 40000) + `</x:a></tuple>`,
		`<tuple id="a" xmlns:l="urn:` + long + `"><status/>` + strings.Repeat("<l:a/>", 6000) + `</tuple>`,
		`<tuple id="a"><status/><x:a><r:b id="` + id + `"/></x:a></tuple>`,
		`<dm:person id="a">` + strings.Repeat("<r:sphere>", 60) + strings.Repeat("</r:sphere>", 60) + `</dm:person>`,
		repeated(60, func(i string) string {
			return `<tuple id="x` + i + `"><status/><contact>` + i + `</contact></tuple><dm:device id="y` + i + `"><dm:deviceID>` + i + `</dm:deviceID></dm:device>`
		}),
	} {
		if told := tell(t, &grant{services: everybody, persons: everybody, devices: everybody, everything: true}, published); len(told) > len(published)+maxDeclared+1024 {
			t.Errorf("%d bytes of %d", len(told), len(published))
		}
	}
}

// TestManyURIs: rules and publications of many URIs cost bounded time; what is
// equal to the letter is selected even so.
func TestManyURIs(t *testing.T) {
	t.Parallel()
	g := &grant{}
	for i := range 100_000 {
		g.services.uris = append(g.services.uris, fmt.Sprintf("sip:a@example.com;x=%d", i))
	}
	slices.Sort(g.services.uris)
	tuple := func(i string) string {
		return `<tuple id="a` + i + `"><status/><contact>sip:a@example.com;x=` + i + `</contact></tuple>`
	}
	start := time.Now()
	told := tell(t, g, repeated(100, func(i string) string { return tuple("none" + i) })+tuple("99999"))
	if took := time.Since(start); took > time.Second {
		t.Errorf("it took %v", took)
	}
	if strings.Count(told, "<tuple") != 1 || !strings.Contains(told, "x=99999<") {
		t.Errorf("told: %s", told)
	}
}

// TestCoarseTimesOfPlaces: what a location says of its own time is as coarse as all
// else, whatever is granted of it.
func TestCoarseTimesOfPlaces(t *testing.T) {
	t.Parallel()
	const text = `<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="sip:a@example.com"><tuple id="a"><status><basic>open</basic>` +
		`<gp:geopriv xmlns:gp="urn:ietf:params:xml:ns:pidf:geopriv10"><gp:location-info><c:civicAddress xmlns:c="urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr"><c:country>NZ</c:country></c:civicAddress></gp:location-info>` +
		`<gp:usage-rules><b:retention-expiry xmlns:b="urn:ietf:params:xml:ns:pidf:geopriv10:basicPolicy">2026-11-26T11:14:59Z</b:retention-expiry></gp:usage-rules></gp:geopriv>` +
		`</status><timestamp>2026-11-25T11:14:59Z</timestamp></tuple></presence>`
	for _, g := range []*grant{
		{services: everybody, location: location.Whole(), coarse: 900},
		{services: everybody, location: location.Limited(location.City, 0), coarse: 900},
		{services: everybody, everything: true, coarse: 900},
	} {
		g.finish()
		told := filtered(rawOf(t, text).Document(), g, location.Options{}).Render("e")
		if !strings.Contains(told, "2026-11-26T11:00:00Z") || strings.Contains(told, ":14:59") {
			t.Errorf("told: %s", told)
		}
	}
}

// FuzzFilter filters what anybody publishes: the outcome is valid, does not change
// when it is filtered again, and holds nothing of what was withheld.
func FuzzFilter(f *testing.F) {
	files, err := filepath.Glob("../pidf/testdata/*.xml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	for _, text := range vectors.Documents(f, "presence") {
		f.Add(text)
	}
	full := &grant{services: everybody, persons: everybody, devices: everybody, everything: true, coarse: 900}
	full.finish()
	some := friends()
	some.location = location.Limited(location.City, 1000)
	some.unknown = []xmltree.Name{{Space: "http://www.linphone.org/xsds/pidfonline.xsd", Local: "online"}, {Space: "urn:example:vendor", Local: "capability"}}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := pidf.Parse(text); err != nil {
			return
		}
		raw := rawOf(t, text).Document()
		for _, g := range []*grant{full, some, {services: everybody}} {
			out := filtered(raw, g, location.Options{})
			told := out.Render("e")
			if _, err := (pidf.Tolerances{}).Parse(told); err != nil && !out.Empty() {
				t.Fatalf("%v\n%s", err, told)
			}
			if again := filtered(out, g, location.Options{}).Render("e"); again != told {
				t.Fatalf("filtered twice\n%s\nonce\n%s", again, told)
			}
			if err := check(told, g); err != nil && !strings.Contains(err.Error(), "XML syntax error") {
				t.Fatalf("%v\n%s", err, told)
			}
		}
	})
}

// TestLocation: where a component may be told, its location is told as far as the
// permission for it goes.
func TestLocation(t *testing.T) {
	t.Parallel()
	const (
		civic = `<gp:geopriv><gp:location-info><ca:civicAddress xmlns:ca="urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr"><ca:country>DE</ca:country><ca:A1>Bayern</ca:A1><ca:A3>Ulm</ca:A3><ca:RD>Gasse</ca:RD></ca:civicAddress></gp:location-info><gp:usage-rules/><!-- c --></gp:geopriv>`
		tuple = `<tuple id="a"><status>` + civic + `</status></tuple>`
	)
	limited := func(civic location.Level, radius uint32) *grant {
		return &grant{services: everybody, persons: everybody, location: location.Limited(civic, radius)}
	}
	for _, c := range []struct {
		name           string
		g              *grant
		published      string
		told, withheld []string
	}{
		{"nothing", &grant{services: everybody, persons: everybody}, tuple, []string{"<status/>"}, []string{"geopriv"}},
		{"region", limited(location.Region, 0), tuple, []string{"<status><gp:geopriv", "DE", "Bayern"}, []string{"Ulm", "Gasse", "<!--"}},
		{"region of a person", limited(location.Region, 0), person(civic), []string{"DE", "Bayern"}, []string{"Ulm", "Gasse"}},
		{"no geodetic one", limited(location.None, 1000), tuple, []string{"<status/>"}, []string{"geopriv", "DE"}},
		{"no geodetic one of a person", limited(location.None, 1000), person(civic) + `<dm:person id="b"><r:class>c</r:class></dm:person>`, []string{`<dm:person id="p1"></dm:person>`}, []string{"p2"}},
		{"whole", &grant{services: everybody, location: location.Whole()}, tuple, []string{"Ulm", "Gasse"}, []string{"<!--"}},
		{"all-attributes", &grant{services: everybody, everything: true}, tuple, []string{"Ulm", "Gasse"}, []string{"<!--"}},
		{"whole, within another", &grant{services: everybody, location: location.Whole(), unknown: []xmltree.Name{{Space: "urn:x", Local: "a"}}},
			`<tuple id="a"><status/><x:a>` + civic + `</x:a></tuple>`, []string{"<x:a"}, []string{"DE"}},
		{"at the root", &grant{services: everybody, location: location.Whole()}, civic, nil, []string{"geopriv"}},
		{"of what is not selected", &grant{services: everybody, location: location.Whole()}, person(civic), nil, []string{"geopriv"}},
	} {
		got := tell(t, c.g, c.published)
		for _, s := range c.told {
			if !strings.Contains(got, s) {
				t.Errorf("%s: %s is missing in %s", c.name, s, got)
			}
		}
		for _, s := range c.withheld {
			if strings.Contains(got, s) {
				t.Errorf("%s: %s in %s", c.name, s, got)
			}
		}
	}
	if a, b := limited(location.City, 0).finish(), limited(location.Region, 0).finish(); a.Equal(b) {
		t.Error("equal, though they tell different places")
	}
}
