package location

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/rfc/vectors"
	"github.com/tacit-presence/tacit/xmltree"
)

// vector reads a file of a vector.
func vector(t testing.TB, name, file string) *xmltree.Doc {
	t.Helper()
	return parse(t, vectors.Text(t, name, file))
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

// TestEditsOfExamples edits the location objects of RFC 4119, 2.3 and RFC 5491.
func TestEditsOfExamples(t *testing.T) {
	t.Parallel()
	for _, v := range append(vectors.Matching(t, "rfc4119/*"), vectors.Matching(t, "rfc5491/*")...) {
		doc := vector(t, v.Name, "presence")
		for _, g := range AppendNodes(nil, doc, xmltree.Document) {
			checkEdits(t, doc, g)
		}
	}
}

func TestCivicVector(t *testing.T) {
	t.Parallel()
	doc := vector(t, "rfc5139/5", "civic")
	c, err := readCivic(doc, doc.Root())
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"country": "AU", "A3": "Wollongong", "A4": "North Wollongong", "LMK": "Gilligan's Island", "ROOM": "Westerns and Classics", "POBOX": "Private Box 15"} {
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
	doc := vector(t, "rfc5491/3.4-figure-3", "presence")
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
