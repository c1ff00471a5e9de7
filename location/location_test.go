package location

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/xmltree"
)

var expectation = regexp.MustCompile(`<!-- expect: (.*); (RFC [^>]*) -->`)

// vector reads a file of testdata and what it expects.
func vector(t *testing.T, name string) (doc *xmltree.Doc, want string) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	m := expectation.FindSubmatch(text)
	if m == nil {
		t.Fatal("no expectation")
	}
	doc, err = xmltree.Parse(string(text), xmltree.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return doc, string(m[1])
}

func parse(t testing.TB, text string) *xmltree.Doc {
	t.Helper()
	doc, err := xmltree.Parse(text, xmltree.Limits{})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return doc
}

// find returns the elements of a name in document order.
func find(doc *xmltree.Doc, space, local string) (list []xmltree.Node) {
	for n := range xmltree.Node(doc.Len()) {
		if doc.Kind(n) == xmltree.KindElement && doc.Is(n, space, local) {
			list = append(list, n)
		}
	}
	return list
}

// describe tells of an object what the vectors expect.
func describe(o Object) string {
	parts := []string{}
	for _, s := range o.Shapes {
		text := s.Kind.String()
		if len(s.Vertices) > 0 {
			text += fmt.Sprint(" ", len(s.Vertices))
		}
		if s.Solid {
			text += " 3D"
		}
		parts = append(parts, text)
	}
	for _, c := range o.Civic {
		parts = append(parts, fmt.Sprint("civic ", len(c.Items)))
	}
	if o.Unread > 0 {
		parts = append(parts, fmt.Sprint("unread ", o.Unread))
	}
	return [...]string{"device ", "tuple ", "person ", "elsewhere "}[o.Place] + strings.Join(parts, ", ")
}

// TestObjectVectors reads the presence documents of RFC 4119, 2.3 and RFC 5491.
func TestObjectVectors(t *testing.T) {
	t.Parallel()
	var files []string
	for _, rfc := range []string{"rfc4119", "rfc5491"} {
		list, err := filepath.Glob("testdata/" + rfc + "-*.xml")
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, list...)
	}
	if len(files) != 14 {
		t.Fatalf("%d files", len(files))
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			doc, want := vector(t, name)
			if _, err := pidf.Parse(doc.Source()); err != nil {
				t.Error(err)
			}
			objects, err := ReadAll(doc, xmltree.Document)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, o := range objects {
				got = append(got, describe(o))
			}
			if g := strings.Join(got, " + "); g != want {
				t.Errorf("got %q, want %q", g, want)
			}
			for _, g := range AppendNodes(nil, doc, xmltree.Document) {
				checkEdits(t, doc, g)
			}
		})
	}
}

func TestNumbersOfShapes(t *testing.T) {
	t.Parallel()
	read := func(name string) Shape {
		doc, _ := vector(t, "testdata/"+name)
		list, err := ReadAll(doc, xmltree.Document)
		if err != nil || len(list) != 1 || len(list[0].Shapes) != 1 {
			t.Fatal(name, err)
		}
		return list[0].Shapes[0]
	}
	if s := read("rfc5491-5.2.5-figure-12.xml"); s.Center != (Position{-43.5723, 153.2176, 0}) || s.Inner != 3594 || s.Radius != 4148 || s.Start != 20 || s.Opening != 20 {
		t.Errorf("arc band %+v", s.Radius)
	}
	if s := read("rfc5491-5.2.7-figure-15.xml"); s.Center.Alt != 26.3 || s.SemiMajor != 7.7156 || s.SemiMinor != 3.31 || s.Vertical != 28.7 || s.Orientation != 90 {
		t.Error("ellipsoid")
	}
	if s := read("rfc5491-5.2.8-figure-17.xml"); s.Height != 2.4 || s.Vertices[2] != (Position{42.656844, -73.348157, 36.6}) {
		t.Error("prism")
	}
	if a, b := read("rfc5491-5.2.2-figure-7.xml"), read("rfc5491-5.2.2-figure-8.xml"); len(a.Vertices) != 6 || fmt.Sprintf("%.4f", a.Vertices[3].Lat) != fmt.Sprintf("%.4f", b.Vertices[3].Lat) {
		t.Error("the two forms of a polygon differ")
	}
}

func TestCivicVector(t *testing.T) {
	t.Parallel()
	doc, want := vector(t, "testdata/rfc5139-5.xml")
	c, err := readCivic(doc, doc.Root())
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"country": "AU", "A3": want, "A4": "North Wollongong", "LMK": "Gilligan's Island", "ROOM": "Westerns and Classics", "POBOX": "Private Box 15"} {
		if v, ok := c.Value(xmltree.Name{Space: CivicSpace, Local: name}); !ok || v != value {
			t.Errorf("%s is %q", name, v)
		}
	}
	for level, want := range map[Level]string{
		None:    ``,
		Country: `<ca:civicAddress xmlns:ca="` + CivicSpace + `" xml:lang="en"><ca:country>AU</ca:country></ca:civicAddress>`,
		Region:  `<ca:civicAddress xmlns:ca="` + CivicSpace + `" xml:lang="en"><ca:country>AU</ca:country><ca:A1>NSW</ca:A1></ca:civicAddress>`,
		City:    `<ca:civicAddress xmlns:ca="` + CivicSpace + `" xml:lang="en"><ca:country>AU</ca:country><ca:A1>NSW</ca:A1><ca:A3>Wollongong</ca:A3></ca:civicAddress>`,
	} {
		if got := string(c.append(nil, level)); got != want {
			t.Errorf("%s: %s", level, got)
		}
	}
	if got := string(c.append(nil, Building)); !strings.Contains(got, "<ca:LMK>Gilligan's Island</ca:LMK><ca:PC>2500</ca:PC></") || strings.Contains(got, "NAM") || strings.Contains(got, "POBOX") {
		t.Error(got)
	}
	if got := string(c.append(nil, Full)); !strings.Contains(got, "<ca:POBOX>Private Box 15</ca:POBOX></") || !strings.Contains(got, `"en-AU"`) {
		t.Error(got)
	}
}

// TestLevelsAreThoseOfTheRFC compares with the sets of RFC 6772, 6.5.1.
func TestLevelsAreThoseOfTheRFC(t *testing.T) {
	t.Parallel()
	sets := map[Level]string{
		Country: "country", Region: "country A1", City: "country A1 A2 A3",
		Building: "country A1 A2 A3 A4 A5 A6 PRD POD STS HNO HNS LMK PC RD RDSEC RDBR RDSUBBR PRM POM",
		Full:     "country A1 A2 A3 A4 A5 A6 PRD POD STS HNO HNS LMK LOC PC NAM FLR BLD UNIT ROOM PLC PCN POBOX ADDCODE SEAT RD RDSEC RDBR RDSUBBR PRM POM",
	}
	for level, set := range sets {
		count := 0
		for _, e := range civicElements {
			in := strings.Contains(" "+set+" ", " "+e.local+" ")
			if in != (e.level <= level) {
				t.Errorf("%s in %s: %v", e.local, level, in)
			}
			if in {
				count++
			}
		}
		if count != len(strings.Fields(set)) {
			t.Errorf("%s has %d elements", level, count)
		}
	}
}

func TestUsageRulesAndExpiry(t *testing.T) {
	t.Parallel()
	const rules = `<gp:geopriv xmlns:gp="` + Space + `" xmlns:gbp="` + BasicPolicySpace + `"><gp:location-info/><gp:usage-rules>%s</gp:usage-rules></gp:geopriv>`
	stamp := time.Date(2003, 6, 22, 20, 57, 29, 0, time.UTC)
	for _, c := range []struct {
		rules string
		flag  Flag
		until string
		fault string
	}{
		{``, Unset, "2003-06-23T20:57:29Z", ""},
		{`<gp:retransmission-allowed>no</gp:retransmission-allowed><gp:retention-expiry>2003-06-23T04:57:29Z</gp:retention-expiry>`, No, "2003-06-23T04:57:29Z", ""},
		{`<gbp:retransmission-allowed> true </gbp:retransmission-allowed><gbp:retention-expires>2003-06-23T04:57:29</gbp:retention-expires>`, Yes, "2003-06-23T04:57:29Z", ""},
		{`<gp:retransmission-allowed>yes</gp:retransmission-allowed><gbp:retransmission-allowed>no</gbp:retransmission-allowed>`, No, "2003-06-23T20:57:29Z", ""},
		{`<gbp:retransmission-allowed>perhaps</gbp:retransmission-allowed>`, No, "2003-06-23T20:57:29Z", "no boolean"},
		{`<gbp:retention-expiry>soon</gbp:retention-expiry>`, Unset, "2003-06-23T20:57:29Z", "no date and time"},
	} {
		doc := parse(t, fmt.Sprintf(rules, c.rules))
		o, err := Read(doc, doc.Root())
		var fault *Error
		switch {
		case c.fault == "" && err != nil, c.fault != "" && (!errors.As(err, &fault) || !errors.Is(err, ErrObject) || !strings.Contains(fault.Phrase, c.fault)):
			t.Errorf("%s: %v", c.rules, err)
		}
		if o.Rules.Retransmission != c.flag {
			t.Errorf("%s: %v", c.rules, o.Rules.Retransmission)
		}
		if at, ok := o.Expires(stamp, true); !ok || at.Format(time.RFC3339) != c.until {
			t.Errorf("%s: until %v", c.rules, at)
		}
		if _, ok := o.Expires(time.Time{}, false); ok != strings.Contains(c.rules, "29") {
			t.Errorf("%s without timestamp: %v", c.rules, ok)
		}
	}
}

// shapeXML writes a shape for tests.
func shapeXML(s string) string {
	return `<gp:geopriv xmlns:gp="` + Space + `" xmlns:gml="` + GMLSpace + `" xmlns:gs="` + ShapeSpace + `" xmlns:ca="` + CivicSpace + `"><gp:location-info>` +
		strings.NewReplacer("$2", `srsName="`+crs2D+`"`, "$3", `srsName="`+crs3D+`"`, "$m", `uom="`+metres+`"`, "$d", `uom="`+degrees+`"`, "$r", `uom="`+radians+`"`).Replace(s) +
		`</gp:location-info><gp:usage-rules/></gp:geopriv>`
}

func TestBadObjects(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ xml, fault string }{
		{`<gml:Point><gml:pos>1 2</gml:pos></gml:Point>`, "no srsName"},
		{`<gml:Point srsName="epsg:4326"><gml:pos>1 2</gml:pos></gml:Point>`, "not one that"},
		{`<gs:Circle $3><gml:pos>1 2 3</gml:pos><gs:radius $m>1</gs:radius></gs:Circle>`, "not one that"},
		{`<gs:Sphere $2><gml:pos>1 2</gml:pos><gs:radius $m>1</gs:radius></gs:Sphere>`, "not one that"},
		{`<gml:Point $2><gml:pos>1 2 3</gml:pos></gml:Point>`, "or too many"},
		{`<gml:Point $3><gml:pos>1 2</gml:pos></gml:Point>`, "3 numbers"},
		{`<gml:Point $2/>`, "lacks its <pos>"},
		{`<gml:Point $2><gml:pos>1 2</gml:pos><gml:pos>1 2</gml:pos></gml:Point>`, "does not belong"},
		{`<gml:Point $2><gml:pos>NaN 2</gml:pos></gml:Point>`, "none"},
		{`<gml:Point $2><gml:pos>INF 2</gml:pos></gml:Point>`, "none"},
		{`<gml:Point $2><gml:pos>1e999 2</gml:pos></gml:Point>`, "none"},
		{`<gml:Point $2><gml:pos>0x10 2</gml:pos></gml:Point>`, "none"},
		{`<gml:Point $2><gml:pos>90.1 2</gml:pos></gml:Point>`, "outside"},
		{`<gml:Point $2><gml:pos>1 -180.5</gml:pos></gml:Point>`, "outside"},
		{`<gml:Point $2><gml:pos srsName="urn:other">1 2</gml:pos></gml:Point>`, "changes the srsName"},
		{`<gml:Point $2 srsDimension="3"><gml:pos>1 2</gml:pos></gml:Point>`, "srsDimension"},
		{`<gs:Circle $2><gml:pos>1 2</gml:pos><gs:radius uom="feet">1</gs:radius></gs:Circle>`, "uom"},
		{`<gs:Circle $2><gml:pos>1 2</gml:pos><gs:radius $m>-1</gs:radius></gs:Circle>`, "negative"},
		{`<gs:Circle $2><gml:pos>1 2</gml:pos><gs:radius $m>1e308</gs:radius></gs:Circle>`, "too long"},
		{`<gs:ArcBand $2><gml:pos>1 2</gml:pos><gs:innerRadius $m>5</gs:innerRadius><gs:outerRadius $m>4</gs:outerRadius><gs:startAngle $d>1</gs:startAngle><gs:openingAngle $d>1</gs:openingAngle></gs:ArcBand>`, "larger"},
		{`<gs:ArcBand $2><gml:pos>1 2</gml:pos><gs:innerRadius $m>3</gs:innerRadius><gs:outerRadius $m>4</gs:outerRadius><gs:startAngle $r>7</gs:startAngle><gs:openingAngle $d>1</gs:openingAngle></gs:ArcBand>`, "full turn"},
		{`<gml:Polygon $2><gml:exterior><gml:LinearRing><gml:posList>1 1 1 2 2 2 1 3</gml:posList></gml:LinearRing></gml:exterior></gml:Polygon>`, "end where it starts"},
		{`<gml:Polygon $2><gml:exterior><gml:LinearRing><gml:posList>` + strings.Repeat("1 1 ", 300) + `</gml:posList></gml:LinearRing></gml:exterior></gml:Polygon>`, "too many"},
		{`<gml:Polygon $3><gml:exterior><gml:LinearRing><gml:posList>1 1 0 1 2 0 2 2 1 1 1 0</gml:posList></gml:LinearRing></gml:exterior></gml:Polygon>`, "level"},
		{`<ca:civicAddress><ca:A1>a</ca:A1><ca:A1>b</ca:A1></ca:civicAddress>`, "twice"},
		{`<ca:civicAddress><ca:A1><ca:A2/></ca:A1></ca:civicAddress>`, "in its text"},
		{`<ca:civicAddress>at home</ca:civicAddress>`, "between"},
		{strings.Repeat(`<ca:civicAddress/>`, 17), "more than 16"},
	} {
		doc := parse(t, shapeXML(c.xml))
		o, err := Read(doc, doc.Root())
		var fault *Error
		if !errors.As(err, &fault) || !errors.Is(err, ErrObject) || !strings.Contains(fault.Phrase, c.fault) {
			t.Errorf("%s: %v, want %q", c.xml, err, c.fault)
		}
		if o.Unread == 0 {
			t.Errorf("%s: nothing unread", c.xml)
		}
		if text, removed := edited(t, doc, doc.Root(), Limited(Full, 1000), Options{}); !removed && !strings.Contains(c.fault, "more than") {
			t.Errorf("%s: told %s", c.xml, text)
		}
		if text, removed := edited(t, doc, doc.Root(), Whole(), Options{}); removed || text != doc.Source() {
			t.Errorf("%s: not whole", c.xml)
		}
	}
	for _, text := range []string{`<a/>`, `<geopriv xmlns="` + Space + `"/>`, `<geopriv xmlns="` + Space + `"><location-info/><location-info/><usage-rules/></geopriv>`, `<geopriv xmlns="` + Space + `"><location-info/></geopriv>`, `<geopriv xmlns="` + Space + `"><location-info/><usage-rules/><usage-rules/></geopriv>`} {
		doc := parse(t, text)
		if _, err := Read(doc, doc.Root()); !errors.Is(err, ErrObject) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestLogsHideLocations(t *testing.T) {
	t.Parallel()
	doc, _ := vector(t, "testdata/rfc5491-3.4-figure-3.xml")
	list, err := ReadAll(doc, xmltree.Document)
	if err != nil {
		t.Fatal(err)
	}
	var tr Transformations
	note := parse(t, `<set-note-well xmlns="`+PolicySpace+`">Wollongong 34.41</set-note-well>`)
	if _, err := tr.Read(note, note.Root()); err != nil {
		t.Fatal(err)
	}
	tr.p.whole = true
	target := NewTarget(list)
	var b strings.Builder
	log := slog.New(slog.NewTextHandler(&b, nil))
	for _, v := range []any{list[0], &list[0], list, list[1].Shapes, list[1].Shapes[0].Center, list[0].Civic, list[0].Civic[0].Items, target, list[0].Rules, tr.Permission()} {
		log.Info("x", "v", v)
		fmt.Fprintf(&b, "%v %+v %#v %s\n", v, v, v, v)
	}
	for _, secret := range []string{"34.4", "150.8", "Wollongong", "Flinders"} {
		if strings.Contains(b.String(), secret) {
			t.Errorf("%s is in the log:\n%s", secret, b.String())
		}
	}
}

func TestObsoleteNames(t *testing.T) {
	t.Parallel()
	for _, local := range []string{"lat-resolution", "lon-resolution", "alt-resolution", "civic-loc-transformation", "geodetic-loc-transformation", "distribution-transformation", "civic-condition"} {
		if today, ok := ObsoleteName(xmltree.Name{Space: PolicySpace, Local: local}); !ok || !strings.HasPrefix(today, "<") {
			t.Errorf("%s: %q", local, today)
		}
		if _, ok := ObsoleteName(xmltree.Name{Space: "urn:example", Local: local}); ok {
			t.Errorf("%s of another namespace", local)
		}
	}
	for _, local := range []string{"provide-location", "provide-geo", "provide-civic", "location-condition", "location", "set-retransmission-allowed", "set-retention-expiry", "set-note-well", "keep-rule-reference"} {
		if today, ok := ObsoleteName(xmltree.Name{Space: PolicySpace, Local: local}); ok {
			t.Errorf("%s is today's, not %s", local, today)
		}
	}
}

// random returns a source that a failure can be repeated with.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 1))
}
