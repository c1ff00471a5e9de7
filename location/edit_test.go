package location

import (
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/xmltree"
)

// edited applies an Edit to one element and returns the whole document.
func edited(t testing.TB, doc *xmltree.Doc, n xmltree.Node, p Permission, o Options) (text string, removed bool) {
	t.Helper()
	edits, remove := p.Edit(doc, n, o)
	if remove {
		if len(edits) > 0 {
			t.Fatal("edits of what is removed")
		}
		return "", true
	}
	return xmltree.Splice(doc.Source(), xmltree.Span{End: len(doc.Source())}, edits), false
}

// noon is when locations are told in tests.
var noon = time.Date(2026, 11, 25, 12, 0, 0, 123, time.FixedZone("", 3600))

// checkEdits holds for one object, whatever it is: all that is told is
// well-formed and can be read, and telling it again changes nothing.
func checkEdits(t testing.TB, doc *xmltree.Doc, n xmltree.Node) {
	t.Helper()
	private := Whole()
	private.retransmission, private.reference, private.expiry, private.notes = no, no, 60, joinNotes([]note{{"en", "<&"}})
	for _, p := range []Permission{Nothing(), Whole(), private, Limited(Country, 0), Limited(Full, 1), Limited(City, 500), Limited(None, 100_000), Min(private, Limited(Building, MaxRadius))} {
		for _, band := range []Band{Tropics, 25, 45, 60} {
			o := Options{Band: band, Now: noon}
			text, removed := edited(t, doc, n, p, o)
			if removed {
				continue
			}
			again := parse(t, text)
			objects := AppendNodes(nil, again, xmltree.Document)
			before := AppendNodes(nil, doc, xmltree.Document)
			if len(objects) != len(before) {
				t.Fatalf("%d objects became %d", len(before), len(objects))
			}
			for i := range before {
				if before[i] != n {
					continue
				}
				if !p.whole {
					if got, err := Read(again, objects[i]); err != nil || got.Unread > 0 {
						t.Fatalf("%s in band %d makes what cannot be read: %v\n%s", p, band, err, text)
					}
				}
				if twice, gone := edited(t, again, objects[i], p, o); gone || twice != text {
					t.Fatalf("%s in band %d, twice (gone: %v):\n%s\n%s", p, band, gone, text, twice)
				}
			}
		}
	}
}

// TestLandmarkVector is the example of RFC 6772, 7.5. The RFC prints -105.243
// and -105.242, computed from rounded steps.
func TestLandmarkVector(t *testing.T) {
	t.Parallel()
	got, ok := Band(25).landmark(Position{Lat: 40, Lon: -105}, 100_000)
	if !ok || fmt.Sprintf("%.3f %.3f", got.Lat, got.Lon) != "39.467 -105.241" {
		t.Errorf("%v %.3f %.3f", ok, got.Lat, got.Lon)
	}
	d1 := 100 * 180 / (math.Pi * 6367.5 * math.Cos(rad(25)))
	west, east, x := column(-105, d1)
	if fmt.Sprintf("%.3f %.3f %.3f", west, east, x) != "-105.241 -104.248 0.242" {
		t.Errorf("%.3f %.3f %.3f", west, east, x)
	}
	doc := parse(t, shapeXML(point(40, -105)))
	text, _ := edited(t, doc, doc.Root(), Limited(None, 100_000), Options{Band: 25})
	want := `<gp:geopriv xmlns:gp="` + Space + `"><gp:location-info><gs:Circle xmlns:gs="` + ShapeSpace + `" xmlns:gml="` + GMLSpace +
		`" srsName="urn:ogc:def:crs:EPSG::4326"><gml:pos>39.467 -105.241</gml:pos><gs:radius uom="urn:ogc:def:uom:EPSG::9001">100000</gs:radius></gs:Circle>` +
		`</gp:location-info><gp:usage-rules xmlns:gbp="` + BasicPolicySpace + `"></gp:usage-rules></gp:geopriv>`
	if text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}

// TestChooseFollowsTheRFC compares with a literal writing of RFC 6772, 6.5.2,
// step 5 and 6, and that its eight cases are all there is, each alone.
func TestChooseFollowsTheRFC(t *testing.T) {
	t.Parallel()
	const p, q = 0.2887, 0.7113
	for i := range 401 {
		for j := range 401 {
			x, y := float64(i)/401, float64(j)/401
			allowed, count := "", 0
			for _, c := range []struct {
				holds   bool
				corners string
			}{
				{x < p && y < p, "SW"},
				{p <= x && x < q && y < x && y < 1-x, "SW SE"},
				{q <= x && y < p, "SE"},
				{p <= y && y < q && x <= y && y < 1-x, "SW NW"},
				{p <= y && y < q && y < x && 1-x <= y, "SE NE"},
				{x < p && q <= y, "NW"},
				{p <= x && x < q && x <= y && 1-x <= y, "NW NE"},
				{q <= x && q <= y, "NE"},
			} {
				if c.holds {
					allowed = c.corners
					count++
				}
			}
			east, north := choose(x, y)
			corner := map[bool]string{false: "S", true: "N"}[north] + map[bool]string{false: "W", true: "E"}[east]
			if count != 1 || !strings.Contains(allowed, corner) {
				t.Fatalf("(%v, %v): %d cases, %q, chosen %s", x, y, count, allowed, corner)
			}
		}
	}
}

// TestGridFollowsTheRFC compares with a literal writing of RFC 6772, appendix B
// (but for its brackets around n-o), for places in all bands, north and south, away
// from the date line.
func TestGridFollowsTheRFC(t *testing.T) {
	t.Parallel()
	const p, q = 0.2887, 0.7113
	rfc := func(o, n, m, radius float64) (landmarks []Position) {
		d := radius / 1000
		d1, d2 := d*180/(math.Pi*6367.5*math.Cos(o*math.Pi/180)), d/110.6
		l, b := d1*math.Floor(m/d1), o+d2*math.Floor((n-o)/d2)
		right, top := l+d1, b+d2
		x, y := (m-l)/(right-l), (n-b)/(top-b)
		sw, se, nw, ne := Position{Lat: b, Lon: l}, Position{Lat: b, Lon: right}, Position{Lat: top, Lon: l}, Position{Lat: top, Lon: right}
		switch {
		case x < p && y < p:
			return []Position{sw}
		case x < p && q <= y:
			return []Position{nw}
		case q <= x && y < p:
			return []Position{se}
		case q <= x && q <= y:
			return []Position{ne}
		case p <= x && x < q && y < x && y < 1-x:
			return []Position{sw, se}
		case p <= y && y < q && x <= y && y < 1-x:
			return []Position{sw, nw}
		case p <= y && y < q && y < x && 1-x <= y:
			return []Position{se, ne}
		}
		return []Position{nw, ne}
	}
	rnd := random(t)
	for range 10_000 {
		limits := bands[rnd.IntN(len(bands))]
		lat, lon := limits.from+rnd.Float64()*(limits.to-limits.from), 300*rnd.Float64()-150
		origin := float64(limits.origin)
		if rnd.IntN(2) == 0 { // 7.5: o=-25, ... on the southern half
			lat, origin = -lat, -origin
		}
		radius := math.Floor(math.Exp(rnd.Float64() * math.Log(300_000)))
		got, ok := limits.origin.landmark(Position{Lat: lat, Lon: lon}, radius)
		found := false
		for _, want := range rfc(origin, lat, lon, radius) {
			found = found || math.Abs(got.Lat-want.Lat) < 1e-9 && math.Abs(got.Lon-want.Lon) < 1e-9
		}
		if !ok || !found {
			t.Fatalf("band %d, %f %f at %f: %f %f (%v)", limits.origin, lat, lon, radius, got.Lat, got.Lon, ok)
		}
	}
}

var radii = []float64{1, 37, 500, 1000, 12_345, 100_000, 777_777, MaxRadius}

// TestLandmarks holds of random places, those by the date line and by the bands'
// edges among them: the landmark is within the radius, its printed form is its
// own landmark, printed the same, and no larger radius prints more digits.
func TestLandmarks(t *testing.T) {
	t.Parallel()
	rnd := random(t)
	for range 30_000 {
		limits := bands[rnd.IntN(len(bands))]
		m := Position{Lat: limits.from + rnd.Float64()*(limits.to-limits.from), Lon: rnd.Float64()*360 - 180}
		switch rnd.IntN(4) {
		case 0:
			m.Lon = wrap(180 + rnd.NormFloat64())
		case 1:
			m.Lat = limits.to
		case 2:
			m.Lon = [...]float64{-180, 180, 0, math.Copysign(0, -1)}[rnd.IntN(4)]
		}
		if rnd.IntN(2) == 0 {
			m.Lat = -m.Lat
		}
		r := radii[rnd.IntN(len(radii))]
		at, ok := limits.origin.landmark(m, r)
		if !ok {
			t.Fatalf("no landmark for %f %f in band %d at %f", m.Lat, m.Lon, limits.origin, r)
		}
		if d := distance(m, at); d > r {
			t.Fatalf("%f %f in band %d: landmark %f %f is %f away, more than %f", m.Lat, m.Lon, limits.origin, at.Lat, at.Lon, d, r)
		}
		lat, lon := formatAngle(at.Lat, decimals(r)), formatAngle(at.Lon, decimals(r))
		var printed Position
		if _, err := fmt.Sscan(lat, &printed.Lat); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Sscan(lon, &printed.Lon); err != nil {
			t.Fatal(err)
		}
		if math.Abs(printed.Lat) > 90 || math.Abs(printed.Lon) > 180 {
			t.Fatalf("landmark %s %s", lat, lon)
		}
		own, ok := limits.origin.landmark(printed, r)
		if !ok || formatAngle(own.Lat, decimals(r)) != lat || formatAngle(own.Lon, decimals(r)) != lon {
			t.Fatalf("%f %f in band %d at %f: landmark %s %s has another, %f %f (%v)", m.Lat, m.Lon, limits.origin, r, lat, lon, own.Lat, own.Lon, ok)
		}
	}
	for i := 1; i < len(radii); i++ {
		if decimals(radii[i]) > decimals(radii[i-1]) {
			t.Errorf("%f has more digits than %f", radii[i], radii[i-1])
		}
	}
}

// TestBeyondBand holds of random places anywhere: what is told of them contains
// them, is told again as it is, and hides as much as at the edge of the band; and
// only far from the band is nothing told.
func TestBeyondBand(t *testing.T) {
	t.Parallel()
	rnd := random(t)
	told := map[Band]int{}
	const tries = 5000
	for _, limits := range bands {
		for range tries {
			m := Position{Lat: (rnd.Float64()*2 - 1) * maxLatitude, Lon: rnd.Float64()*360 - 180}
			radius := uint32(radii[rnd.IntN(len(radii))])
			at, coarse, ok := limits.origin.coarsen(Shape{Center: m}, radius)
			if !ok {
				if lat := math.Abs(m.Lat); lat >= limits.from && lat <= limits.to {
					t.Fatalf("nothing is told of %f %f in band %d at %d", m.Lat, m.Lon, limits.origin, radius)
				}
				continue
			}
			told[limits.origin]++
			if d := distance(m, at); d > coarse || coarse < float64(radius) {
				t.Fatalf("%f %f in band %d: %f %f is %f away, more than %f", m.Lat, m.Lon, limits.origin, at.Lat, at.Lon, d, coarse)
			}
			if least := float64(radius) * math.Cos(rad(limits.to)); coarse*math.Cos(rad(m.Lat)) < least*0.999 {
				t.Fatalf("%f %f in band %d: %f hides no more than %f", m.Lat, m.Lon, limits.origin, coarse, least)
			}
			again, r, ok := limits.origin.coarsen(Shape{Kind: Circle, Center: at, Radius: coarse}, radius)
			if !ok || r != coarse || !samePlace(again, at, decimals(coarse)) {
				t.Fatalf("%f %f in band %d at %d: %v becomes %v, %f (%v)", m.Lat, m.Lon, limits.origin, radius, at, again, r, ok)
			}
		}
	}
	for band, least := range map[Band]int{Tropics: 85, 25: 85, 35: 85, 45: 55, 55: 30, 60: 20} {
		if told[band] < tries*least/100 {
			t.Errorf("in band %d only %d of %d are told", band, told[band], tries)
		}
	}
}

// TestLandmarksAreApart counts landmarks along a walk, and measures the columns by
// the date line.
func TestLandmarksAreApart(t *testing.T) {
	t.Parallel()
	const r = 1000
	d2 := 1.0 / latitudeUnit
	seen := map[string]bool{}
	for i := range 300 {
		at, ok := Tropics.landmark(Position{Lat: d2 * float64(i) / 100, Lon: 7}, r)
		if !ok {
			t.Fatal("no landmark")
		}
		seen[formatAngle(at.Lat, 8)+" "+formatAngle(at.Lon, 8)] = true
	}
	if len(seen) > 5 {
		t.Errorf("three cells have %d landmarks along a meridian", len(seen))
	}
	// the grid closes at the date line: neighbours across it are a cell apart
	for _, r := range radii {
		d1 := r / 1000 * 180 / (math.Pi * meridional)
		for _, lon := range []float64{179.999999, 180, -179.999999} {
			west, east, x := column(lon, d1)
			if width := math.Mod(east-west+360, 360); width < d1*0.999999 || width > d1*1.126 || x < 0 || x > 1 {
				t.Errorf("the cell of %f at %f is %f wide, not %f; %f", lon, r, width, d1, x)
			}
		}
	}
}

func TestNoLandmark(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		band   Band
		m      Position
		radius float64
	}{
		{NoBand, Position{Lat: 40}, 1000}, {Tropics, Position{Lat: 90}, 1000},
		{60, Position{Lat: 89.9}, 1000}, {25, Position{Lat: 0.001}, 3000}, {1, Position{}, 1000}, {Tropics, Position{}, 0}, {Tropics, Position{}, MaxRadius + 1}, {Tropics, Position{}, math.Inf(1)},
	} {
		if at, ok := c.band.landmark(c.m, c.radius); ok {
			t.Errorf("%d %#v %f: %#v", c.band, c.m.Lat, c.radius, at.Lat)
		}
	}
}

const everyShape = `<gml:Point $2><gml:pos>40 -105</gml:pos></gml:Point>|<gml:Point $3><gml:pos>40 -105 1609.3</gml:pos></gml:Point>|` +
	`<gs:Circle $2><gml:pos>40 -105</gml:pos><gs:radius $m>5</gs:radius></gs:Circle>|` +
	`<gs:Sphere $3><gml:pos>40 -105 -20</gml:pos><gs:radius $m>5</gs:radius></gs:Sphere>|` +
	`<gs:Ellipse $2><gml:pos>40 -105</gml:pos><gs:semiMajorAxis $m>5</gs:semiMajorAxis><gs:semiMinorAxis $m>4</gs:semiMinorAxis><gs:orientation $r>1.5</gs:orientation></gs:Ellipse>|` +
	`<gs:Ellipsoid $3><gml:pos>40 -105 3</gml:pos><gs:semiMajorAxis $m>5</gs:semiMajorAxis><gs:semiMinorAxis $m>4</gs:semiMinorAxis><gs:verticalAxis $m>4</gs:verticalAxis><gs:orientation $d>1.5</gs:orientation></gs:Ellipsoid>|` +
	`<gs:ArcBand $2><gml:pos>40 -105</gml:pos><gs:innerRadius $m>3</gs:innerRadius><gs:outerRadius $m>4</gs:outerRadius><gs:startAngle $d>1</gs:startAngle><gs:openingAngle $d>30</gs:openingAngle></gs:ArcBand>|` +
	`<gml:Polygon $2><gml:exterior><gml:LinearRing><gml:posList>40 -105 40 -104.99 40.01 -104.99 40 -105</gml:posList></gml:LinearRing></gml:exterior></gml:Polygon>|` +
	`<gs:Prism $3><gs:base><gml:Polygon><gml:exterior><gml:LinearRing><gml:posList>40 -105 1 40 -104.99 1 40.01 -104.99 1 40 -105 1</gml:posList></gml:LinearRing></gml:exterior></gml:Polygon></gs:base><gs:height $m>5</gs:height></gs:Prism>`

// TestEveryShapeBecomesTheCircle coarsens each kind to the same circle.
func TestEveryShapeBecomesTheCircle(t *testing.T) {
	t.Parallel()
	for _, shape := range strings.Split(everyShape, "|") {
		doc := parse(t, shapeXML(shape))
		text, removed := edited(t, doc, doc.Root(), Limited(Full, 100_000), Options{Band: 25})
		if removed || strings.Count(text, "<gml:pos>") != 1 || !strings.Contains(text, "<gml:pos>39.467 -105.241</gml:pos>") {
			t.Errorf("%s: %s", shape, text)
		}
		checkEdits(t, doc, doc.Root())
	}
}

// TestUncertainShapes has shapes larger than the radius, whose circle is larger.
func TestUncertainShapes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reach  float64
		radius uint32
		want   string
	}{{850.24, 1000, "1000"}, {1000, 1000, "1000"}, {1000.1, 1000, "2000"}, {70_000, 1000, "128000"}, {1_900_000, 1_100_000, ""}} {
		doc := parse(t, shapeXML(circle(40, -105, c.reach)))
		text, removed := edited(t, doc, doc.Root(), Limited(None, c.radius), Options{Band: 25})
		if removed != (c.want == "") || !removed && !strings.Contains(text, ">"+c.want+"</gs:radius>") {
			t.Errorf("%f at %d: %s", c.reach, c.radius, text)
		}
		checkEdits(t, doc, doc.Root())
	}
}

// TestWhatIsNotGrantedIsNotTold puts a secret wherever one can be.
func TestWhatIsNotGrantedIsNotTold(t *testing.T) {
	t.Parallel()
	const object = `<p xmlns:x="urn:x"><gp:geopriv xmlns:gp="` + Space + `" xmlns:gml="` + GMLSpace + `" xmlns:gs="` + ShapeSpace + `" xmlns:ca="` + CivicSpace + `" x:at="SECRET" id="SECRET">
<!-- SECRET -->SECRET<![CDATA[SECRET]]><?SECRET SECRET?>
<gp:location-info x:at="SECRET">SECRET<gml:Point gml:id="SECRET" srsName="` + crs2D + `"><gml:pos>39.623456 -105.054321</gml:pos></gml:Point>
<gml:Point srsName="` + crs2D + `"><gml:pos>39.512345 -105.112345</gml:pos></gml:Point>
<ca:civicAddress x:at="SECRET" xml:lang="en-x-SECRET"><ca:country x:at="SECRET" xml:lang="x-SECRET">US</ca:country><ca:A1>CO</ca:A1><ca:A3 xml:lang="en-SECRET">Boulder</ca:A3><ca:RD>SECRET</ca:RD><ca:NAM>SECRET</ca:NAM><x:desk>SECRET</x:desk><ca:SECRET>SECRET</ca:SECRET></ca:civicAddress>
<x:relative-location>SECRET</x:relative-location></gp:location-info>
<gp:usage-rules><gp:retransmission-allowed>yes</gp:retransmission-allowed><x:SECRET/></gp:usage-rules>
<gp:method>SECRET</gp:method><gp:provided-by><x:SECRET/></gp:provided-by><x:near>SECRET</x:near></gp:geopriv></p>`
	doc := parse(t, object)
	n := AppendNodes(nil, doc, xmltree.Document)[0]
	text, removed := edited(t, doc, n, Limited(City, 100_000), Options{Band: 25})
	if removed || strings.Contains(text, "SECRET") || strings.Contains(text, "39.6") || strings.Contains(text, "39.5") || strings.Contains(text, "-105.0") || strings.Contains(text, "-105.1") {
		t.Errorf("told: %s", text)
	}
	for _, granted := range []string{"<ca:country>US</ca:country><ca:A1>CO</ca:A1><ca:A3", ">Boulder<", "39.467 -105.241", "<gbp:retransmission-allowed>true<"} {
		if !strings.Contains(text, granted) {
			t.Errorf("%s is not told: %s", granted, text)
		}
	}
	if text, removed := edited(t, doc, n, Limited(Country, 0), Options{}); removed || strings.Contains(text, "Circle") || strings.Contains(text, "A1") {
		t.Errorf("told: %s", text)
	}
	if _, removed := edited(t, doc, n, Limited(None, 1000), Options{Band: 60}); !removed {
		t.Error("told far from the band")
	}
	if _, removed := edited(t, doc, doc.Root(), Whole(), Options{}); !removed {
		t.Error("what is no location object is told")
	}
	checkEdits(t, doc, n)
}

func TestUsageRulesAreSet(t *testing.T) {
	t.Parallel()
	const given = `<gp:retransmission-allowed>no</gp:retransmission-allowed><gp:retention-expiry>2003-06-23T04:57:29.5Z</gp:retention-expiry><gp:ruleset-reference>https://example.com/r?a&amp;b</gp:ruleset-reference><gp:note-well xml:lang="en">mine</gp:note-well><x:other xmlns:x="u"/>`
	for _, c := range []struct {
		rule, rules, want string
		coarse            int
	}{
		{``, given, given, 0},
		{`<set-retransmission-allowed>true</set-retransmission-allowed>`, ``, `<r>true</r>`, 0},
		{`<set-retransmission-allowed>true</set-retransmission-allowed>`, given, `<r>true</r><e>2003-06-23T04:57:29.5Z</e><x>https://example.com/r?a&amp;b</x><n xml:lang="en">mine</n><x:other xmlns:x="u"/>`, 0},
		{`<set-retention-expiry>86400</set-retention-expiry>`, ``, `<e>2026-11-26T11:00:00Z</e>`, 0},
		{`<set-retention-expiry>0</set-retention-expiry>`, given, `<r>false</r><e>2026-11-25T11:00:00Z</e><x>https://example.com/r?a&amp;b</x><n xml:lang="en">mine</n><x:other xmlns:x="u"/>`, 0},
		{`<keep-rule-reference>false</keep-rule-reference>`, given, `<r>false</r><e>2003-06-23T04:57:29.5Z</e><n xml:lang="en">mine</n><x:other xmlns:x="u"/>`, 0},
		{`<keep-rule-reference>false</keep-rule-reference>`, `<gp:external-ruleset><x:y xmlns:x="u"/></gp:external-ruleset>`, ``, 0},
		{`<keep-rule-reference>true</keep-rule-reference>`, given, given, 0},
		{`<set-note-well xml:lang="de">nicht &lt; weiter</set-note-well>`, ``, `<n xml:lang="de">nicht &lt; weiter</n>`, 0},
		{``, given, `<r>false</r><e>2003-06-23T04:00:00Z</e><x>https://example.com/r?a&amp;b</x><n xml:lang="en">mine</n><x:other xmlns:x="u"/>`, 3600},
		{``, `<gp:retention-expiry>1969-12-31T23:59:59Z</gp:retention-expiry>`, `<e>1969-12-31T00:00:00Z</e>`, 86400},
		{``, `<gp:note-well>mine</gp:note-well>`, `<gp:note-well>mine</gp:note-well>`, 3600},
		{`<set-retention-expiry>90</set-retention-expiry>`, ``, `<e>2026-11-25T11:01:30Z</e>`, 3600},
	} {
		doc := parse(t, strings.Replace(shapeXML(point(1, 1)), "<gp:usage-rules/>", "<gp:usage-rules>"+c.rules+"</gp:usage-rules>", 1))
		p, err := rule(t, `<provide-location/>`+c.rule)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := edited(t, doc, doc.Root(), p, Options{Now: noon, Coarse: c.coarse})
		_, got, _ := strings.Cut(text, "<gp:usage-rules>")
		got, _, _ = strings.Cut(got, "</gp:usage-rules>")
		got = strings.NewReplacer(gbpDeclared, "", "gbp:retransmission-allowed", "r", "gbp:retention-expiry", "e", "gbp:external-ruleset", "x", "gbp:note-well", "n").Replace(got)
		if got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.rule, got, c.want)
		}
		checkEdits(t, doc, doc.Root())
	}
	for _, text := range []string{
		`<geopriv xmlns="` + Space + `"><location-info/><usage-rules/></geopriv>`, `<geopriv xmlns="` + Space + `"><location-info/></geopriv>`,
		`<geopriv xmlns="` + Space + `"/>`, `<geopriv xmlns="` + Space + `"></geopriv>`,
		`<geopriv xmlns="` + Space + `"><usage-rules/><usage-rules><external-ruleset>u</external-ruleset></usage-rules></geopriv>`,
	} {
		doc := parse(t, text)
		checkEdits(t, doc, doc.Root())
	}
}

var secondPos = regexp.MustCompile(`<gml:pos>(\S+) (\S+)</gml:pos>`)

// TestCoarserShowsNoMoreDigits compares the same place under growing radii.
func TestCoarserShowsNoMoreDigits(t *testing.T) {
	t.Parallel()
	rnd := random(t)
	for range 300 {
		doc := parse(t, shapeXML(point(rnd.Float64()*80-40, rnd.Float64()*360-180)))
		digits := 100
		for _, r := range radii {
			text, _ := edited(t, doc, doc.Root(), Limited(None, uint32(r)), Options{})
			m := secondPos.FindStringSubmatch(text)
			if m == nil {
				t.Fatal(text)
			}
			for _, v := range m[1:] {
				_, fraction, _ := strings.Cut(v, ".")
				if len(fraction) > digits {
					t.Fatalf("%s at %f", text, r)
				}
			}
			_, fraction, _ := strings.Cut(m[1], ".")
			digits = len(fraction)
		}
	}
}

// FuzzObject holds for any document that telling its locations never fails, never
// makes what cannot be read, and is the same the second time.
func FuzzObject(f *testing.F) {
	for _, shape := range strings.Split(everyShape, "|") {
		f.Add(shapeXML(shape))
	}
	f.Add(shapeXML(neuperlach))
	f.Add(`<p xmlns='urn:ietf:params:xml:ns:pidf'><tuple id='a'><status><g:geopriv xmlns:g='` + Space + `'><g:location-info><g:geopriv/></g:location-info><g:usage-rules><g:note-well>x</g:note-well></g:usage-rules></g:geopriv></status></tuple></p>`)
	center := Position{Lat: 40, Lon: -105}
	f.Fuzz(func(t *testing.T, text string) {
		doc, err := xmltree.Parse(text, xmltree.Limits{})
		if err != nil {
			return
		}
		list, _ := ReadAll(doc, xmltree.Document)
		NewTarget(list).within(center, 1e6)
		for _, g := range AppendNodes(nil, doc, xmltree.Document) {
			checkEdits(t, doc, g)
		}
	})
}

// FuzzRule holds that what a rule says is never a fault of the reader, and that
// what is refused grants nothing.
func FuzzRule(f *testing.F) {
	f.Add(`<provide-location/><set-note-well xml:lang="en">x</set-note-well><set-retention-expiry>5</set-retention-expiry>`)
	f.Add(`<provide-location profile="civic-transformation"><lp:provide-civic>city</lp:provide-civic></provide-location>`)
	f.Add(`<provide-location profile="geodetic-transformation"><lp:provide-geo radius="5"/></provide-location>`)
	f.Add(`<location profile="civic-condition"><x:A3>Munich</x:A3></location>`)
	f.Fuzz(func(t *testing.T, text string) {
		doc, err := xmltree.Parse(transformationsHead+text+`</t>`, xmltree.Limits{})
		if err != nil {
			return
		}
		p, err := readRule(fuzzing{t}, doc, doc.Root())
		if p != p.canonical() || p.IsNothing() != (p.String() == "no location") {
			t.Fatalf("%s, %v", p, err)
		}
		doc, err = xmltree.Parse(conditionHead+text+`</location-condition>`, xmltree.Limits{})
		if err != nil {
			return
		}
		if c, err := ParseCondition(doc, doc.Root()); err != nil && c.Holds(NewTarget(nil)) {
			t.Fatal("refused, and holds")
		}
	})
}

// fuzzing is a test that unknown elements do not fail.
type fuzzing struct{ testing.TB }

func (fuzzing) Errorf(string, ...any) {}

// TestRandomPlaces edits places all over the Earth, poles and date line too.
func TestRandomPlaces(t *testing.T) {
	t.Parallel()
	rnd := random(t)
	for range 400 {
		lat, lon := rnd.Float64()*180-90, rnd.Float64()*360-180
		switch rnd.IntN(6) {
		case 0:
			lon = wrap(180 + rnd.NormFloat64()/100)
		case 1:
			lat = [...]float64{-90, 90, 45, -45, 25, 0}[rnd.IntN(6)]
		case 2:
			lon = [...]float64{-180, 180, 0}[rnd.IntN(3)]
		}
		shape := point(lat, lon)
		switch rnd.IntN(3) {
		case 0:
			shape = circle(lat, lon, math.Pow(10, rnd.Float64()*9))
		case 1:
			shape = `<gml:Polygon $2><gml:exterior><gml:LinearRing>`
			first := Position{}
			for i := range 4 {
				v := travel(Position{Lat: lat, Lon: lon}, -float64(i)*90, 3000)
				if i == 0 {
					first = v
				}
				shape += fmt.Sprintf(`<gml:pos>%.7f %.7f</gml:pos>`, v.Lat, v.Lon)
			}
			shape += fmt.Sprintf(`<gml:pos>%.7f %.7f</gml:pos></gml:LinearRing></gml:exterior></gml:Polygon>`, first.Lat, first.Lon)
		}
		doc := parse(t, shapeXML(shape))
		if _, err := Read(doc, doc.Root()); err != nil {
			t.Fatal(shape, err)
		}
		checkEdits(t, doc, doc.Root())
	}
}

func TestPolygonOverTheDateLine(t *testing.T) {
	t.Parallel()
	s := Shape{Kind: Polygon, Vertices: []Position{{10, 179.9, 0}, {10, -179.9, 0}, {10.2, -179.9, 0}, {10.2, 179.9, 0}}}
	m, reach, ok := s.middle()
	if !ok || math.Abs(m.Lat-10.1) > 0.001 || math.Abs(math.Abs(m.Lon)-180) > 0.001 || reach > 16_000 {
		t.Errorf("%v %f %f %f", ok, m.Lat, m.Lon, reach)
	}
	if !s.within(Position{Lat: 10.1, Lon: 180}, 17_000) || s.within(Position{Lat: 10.1, Lon: 180}, 15_000) {
		t.Error("within")
	}
	around := Shape{Kind: Polygon, Vertices: []Position{{0, 0, 0}, {0, 90, 0}, {0, 180, 0}, {0, -90, 0}}}
	if _, _, ok := around.middle(); ok {
		t.Error("the equator has a middle")
	}
}
