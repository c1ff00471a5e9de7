package location

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/tacit-presence/tacit/xmltree"
)

func target(t testing.TB, locations ...string) Target {
	t.Helper()
	var list []Object
	for _, text := range locations {
		doc := parse(t, shapeXML(text))
		o, _ := Read(doc, doc.Root())
		list = append(list, o)
	}
	return NewTarget(list)
}

func conditions(t *testing.T, name string) []Condition {
	t.Helper()
	doc := vector(t, name, "rules")
	var list []Condition
	for _, n := range find(doc, PolicySpace, "location-condition") {
		c, err := ParseCondition(doc, n)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, c)
	}
	if len(list) != 1 {
		t.Fatalf("%d conditions", len(list))
	}
	return list
}

const neuperlach = `<ca:civicAddress><ca:country>DE</ca:country><ca:A1>Bavaria</ca:A1><ca:A3>Munich</ca:A3><ca:A4>Perlach</ca:A4><ca:A6>Otto-Hahn-Ring</ca:A6><ca:HNO>6</ca:HNO><ca:FLR>2</ca:FLR></ca:civicAddress>`

func point(lat, lon float64) string {
	return fmt.Sprintf(`<gml:Point $2><gml:pos>%.10f %.10f</gml:pos></gml:Point>`, lat, lon)
}

func circle(lat, lon, r float64) string {
	return fmt.Sprintf(`<gs:Circle $2><gml:pos>%.10f %.10f</gml:pos><gs:radius $m>%.3f</gs:radius></gs:Circle>`, lat, lon, r)
}

// TestConditionVectors asks the conditions of RFC 6772, 7.1 to 7.3.
func TestConditionVectors(t *testing.T) {
	t.Parallel()
	opera := [2]float64{-33.8570029378, 151.2150070761}
	for _, c := range []struct {
		file string
		at   []string
		want bool
	}{
		{"rfc6772/7.1", []string{neuperlach}, true},
		{"rfc6772/7.1", []string{strings.ReplaceAll(neuperlach, "Munich", "\n Munich ")}, true},
		{"rfc6772/7.1", []string{strings.ReplaceAll(neuperlach, "Munich", "munich")}, false},
		{"rfc6772/7.1", []string{strings.ReplaceAll(neuperlach, "<ca:HNO>6</ca:HNO>", "")}, false},
		{"rfc6772/7.1", []string{point(48.1, 11.6)}, false},
		{"rfc6772/7.1", nil, false},
		{"rfc6772/7.2", []string{point(opera[0], opera[1])}, true},
		{"rfc6772/7.2", []string{circle(opera[0], opera[1], 1500)}, true},
		{"rfc6772/7.2", []string{circle(opera[0], opera[1], 1500.1)}, false},
		{"rfc6772/7.2", []string{circle(opera[0]+0.009, opera[1], 490)}, true}, // 998 m north
		{"rfc6772/7.2", []string{circle(opera[0]+0.009, opera[1], 510)}, false},
		{"rfc6772/7.2", []string{circle(opera[0], opera[1], 10) + `<gml:Curve/>`}, false},
		{"rfc6772/7.2", []string{circle(opera[0], opera[1], 10) + circle(0, 0, 10)}, false},
		{"rfc6772/7.2", []string{neuperlach}, false},
		{"rfc6772/7.2", nil, false},
		{"rfc6772/7.3", []string{neuperlach}, true},
		{"rfc6772/7.3", []string{circle(-34.410649, 150.87651, 30)}, true},
		{"rfc6772/7.3", []string{point(0, 0)}, false},
	} {
		if got := conditions(t, c.file)[0].Holds(target(t, c.at...)); got != c.want {
			t.Errorf("%s at %v: %v", c.file, c.at, got)
		}
	}
}

const conditionHead = `<location-condition xmlns="` + PolicySpace + `" xmlns:ca="` + CivicSpace + `" xmlns:gml="` + GMLSpace + `" xmlns:gs="` + ShapeSpace + `" xmlns:x="urn:example">`

func condition(t testing.TB, text string) (Condition, error) {
	t.Helper()
	text = strings.NewReplacer("$2", `srsName="`+crs2D+`"`, "$m", `uom="`+metres+`"`).Replace(text)
	doc := parse(t, conditionHead+text+`</location-condition>`)
	return ParseCondition(doc, doc.Root())
}

func TestConditionForms(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want string // true, false or the fault
	}{
		{`<location profile="civic-condition"><ca:civicAddress><ca:A3>Munich</ca:A3></ca:civicAddress></location>`, "true"},
		{`<location profile="civic-condition"><ca:A3>Munich</ca:A3><ca:civicAddress><ca:A4>Schwabing</ca:A4></ca:civicAddress></location>`, "false"},
		{`<location profile="civic-condition"><ca:A3>Munich</ca:A3><x:moon>full</x:moon></location>`, "false"},
		{`<location profile="civic-condition"><ca:A3>Munich</ca:A3><x:moon><x:full/></x:moon></location>`, "false"},
		{`<location profile="civic-condition"><ca:A2/></location>`, "false"},
		{`<location profile="lunar"><x:crater/></location>`, "false"},
		{`<location profile="lunar"><x:crater/></location><location profile="civic-condition"><ca:A3>Munich</ca:A3></location>`, "true"},
		{`<location profile="civic-condition"><ca:A3>Munich</ca:A3></location><x:only-by-night/>`, "false"},
		{`<location profile="geodetic-condition"><gs:Circle $2><gml:pos>0 0</gml:pos><gs:radius $m>1e9</gs:radius></gs:Circle></location>`, "false"},
		{`<location profile="geodetic-condition"><x:area/></location>`, "false"},
		{`<location profile="civic-condition"><ca:civicAddress/></location>`, "no civic element"},
		{`<location profile="civic-condition"/>`, "no element"},
		{`<location profile="civic-condition">Munich</location>`, "no element"},
		{`<location><ca:A3>Munich</ca:A3></location>`, "no profile"},
		{`<location profil="civic-condition"><ca:A3>Munich</ca:A3></location>`, "no attribute profil"},
		{`<location profile="geodetic-condition"><gs:Circle srsName="urn:ogc:def:crs:EPSG::4979"><gml:pos>0 0 0</gml:pos><gs:radius $m>1</gs:radius></gs:Circle></location>`, "srsName"},
		{`<location profile="geodetic-condition"><gml:Polygon/></location>`, "not the <Circle>"},
		{`<location profile="geodetic-condition"><gs:Circle $2><gml:pos>0 nan</gml:pos><gs:radius $m>1</gs:radius></gs:Circle></location>`, "none"},
		{``, "no <location>"},
		{`<civic-condition><ca:A3>Munich</ca:A3></civic-condition>`, "of a draft"},
		{`<place/>`, "does not belong"},
	} {
		got, err := condition(t, c.text)
		var fault *Error
		switch c.want {
		case "true", "false":
			if err != nil || fmt.Sprint(got.Holds(target(t, neuperlach))) != c.want {
				t.Errorf("%s: %v, %v", c.text, got.Holds(target(t, neuperlach)), err)
			}
		default:
			if !errors.As(err, &fault) || !errors.Is(err, ErrCondition) || !strings.Contains(fault.Phrase, c.want) {
				t.Errorf("%s: %v, want %q", c.text, err, c.want)
			}
			if got.Holds(target(t, neuperlach)) {
				t.Errorf("%s: refused, and holds", c.text)
			}
		}
	}
}

// TestTargetPrefers holds RFC 5491, 3, rule 8 with the example of 3.4.
func TestTargetPrefers(t *testing.T) {
	t.Parallel()
	doc := vector(t, "rfc5491/3.4-figure-3", "presence")
	list, err := ReadAll(doc, xmltree.Document)
	if err != nil {
		t.Fatal(err)
	}
	geo, err := condition(t, `<location profile="geodetic-condition"><gs:Circle $2><gml:pos>-34.41 150.87</gml:pos><gs:radius $m>100000</gs:radius></gs:Circle></location>`)
	if err != nil {
		t.Fatal(err)
	}
	if geo.Holds(NewTarget(list)) {
		t.Error("the person's location counts though a device has one")
	}
	if !geo.Holds(NewTarget(list[1:])) {
		t.Error("the person's location does not count")
	}
	list[0], list[1] = list[1], list[0]
	if geo.Holds(NewTarget(list)) {
		t.Error("the order of components counts more than their kind")
	}
	if !NewTarget(nil).Unknown() || !target(t, ``).Unknown() || target(t, neuperlach).Unknown() {
		t.Error("unknown")
	}
}

// TestDistance compares with geodesics of published accuracy: the worked example
// of Vincenty's line from Flinders Peak to Buninyong, and quarters of the Earth.
func TestDistance(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b Position
		want float64
	}{
		{Position{-37.95103341666667, 144.42486788888888, 0}, Position{-37.65282113888889, 143.92649552777777, 0}, 54972.271},
		{Position{0, 0, 0}, Position{90, 77, 0}, 10001965.729},
		{Position{0, -179.5, 0}, Position{0, 179.5, 0}, 111319.491},
		{Position{0, 10, 0}, Position{0, 100, 0}, 10018754.171},
		{Position{48, 11, 0}, Position{48, 11, 0}, 0},
		{Position{90, 11, 0}, Position{90, -100, 0}, 0},
		{Position{0, 0, 0}, Position{0.5, 179.7, 0}, farthest},
	} {
		if got := distance(c.a, c.b); math.Abs(got-c.want) > 0.01 {
			t.Errorf("%.3f, want %.3f", got, c.want)
		}
	}
}

// TestWithinIsConservative samples points of random shapes: of a shape that is
// within a circle, no point lies outside; and circles that are clearly large
// enough have it within.
func TestWithinIsConservative(t *testing.T) {
	t.Parallel()
	rnd := random(t)
	held := 0
	for range 3000 {
		c := Position{Lat: rnd.Float64()*160 - 80, Lon: rnd.Float64()*360 - 180}
		r := math.Pow(10, 1+rnd.Float64()*4)
		at := travel(c, rnd.Float64()*360, rnd.Float64()*1.2*r)
		size := r * math.Pow(10, -2*rnd.Float64())
		s := Shape{Kind: [...]Kind{Point, Circle, Ellipse, ArcBand, Polygon}[rnd.IntN(5)], Center: at}
		var points []Position
		switch s.Kind {
		case Point:
			points = []Position{at}
		case Circle:
			s.Radius = size
			for b := range 36 {
				points = append(points, travel(at, float64(b)*10, size*(1-sphereError)))
			}
		case Ellipse:
			s.SemiMajor, s.SemiMinor = size, size/3
			points = append(points, travel(at, s.Orientation, size*(1-sphereError)))
		case ArcBand:
			s.Radius, s.Inner, s.Start, s.Opening = size, size*rnd.Float64(), rnd.Float64()*360, rnd.Float64()*360
			for range 40 {
				points = append(points, travel(at, s.Start+s.Opening*rnd.Float64(), s.Inner+(s.Radius-s.Inner)*rnd.Float64()))
			}
		case Polygon:
			for b := range 5 {
				s.Vertices = append(s.Vertices, travel(at, -float64(b)*72, size))
			}
			for i, v := range s.Vertices { // halfway on the map
				w := s.Vertices[(i+1)%5]
				points = append(points, v, Position{Lat: (v.Lat + w.Lat) / 2, Lon: v.Lon + (math.Mod(w.Lon-v.Lon+540, 360)-180)/2})
			}
		}
		if s.within(c, r) {
			held++
			for _, p := range points {
				if distance(c, p) > r+0.01 {
					t.Fatalf("%s at %#v size %f is within %f of %#v, but not a point of it: %f", s.Kind, at, size, r, c, distance(c, p))
				}
			}
		}
		if math.Abs(at.Lat) < 75 && !s.within(c, 3*r+1000) {
			t.Fatalf("%s of size %f at %f from the centre is not within %f", s.Kind, size, distance(at, c), 3*r+1000)
		}
	}
	if held < 300 {
		t.Errorf("only %d shapes were within", held)
	}
}

func TestWithinSolidsAndBands(t *testing.T) {
	t.Parallel()
	band := Shape{Kind: ArcBand, Center: Position{Lat: 0, Lon: 0}, Inner: 9000, Radius: 10000, Start: 80, Opening: 20}
	middle := travel(band.Center, 90, 9500)
	if !band.within(middle, 2300) || band.within(middle, 1500) {
		t.Error("an arc band is as wide as its tower's range")
	}
	if s := (Shape{Kind: Sphere, Radius: 10, Center: Position{Lat: 1, Lon: 1, Alt: 5000}}); !s.within(Position{Lat: 1, Lon: 1}, 10) {
		t.Error("altitude counts")
	}
	if s := (Shape{Kind: Ellipsoid, SemiMajor: 5, SemiMinor: 5, Vertical: 500, Center: Position{Lat: 1, Lon: 1}}); !s.within(Position{Lat: 1, Lon: 1}, 10) {
		t.Error("height counts")
	}
	wide := Shape{Kind: Polygon, Vertices: []Position{{0, 0, 0}, {0, 90, 0}, {80, 45, 0}}}
	if wide.within(Position{Lat: 20, Lon: 45}, 4_900_000) || !wide.within(Position{Lat: 20, Lon: 45}, 3e7) {
		t.Error("a polygon of long edges")
	}
}
