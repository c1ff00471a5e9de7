package location

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/tacit-presence/tacit/xmltree"
)

func shapeOf(t *testing.T, text string) (Shape, error) {
	t.Helper()
	doc, err := xmltree.Parse(text, xmltree.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return ReadShape(doc, doc.Root())
}

func TestReadShape(t *testing.T) {
	t.Parallel()
	s, err := shapeOf(t, `<p:Circle xmlns:p="`+ShapeSpace+`" srsName="urn:ogc:def:crs:EPSG::4326"><g:pos xmlns:g="`+GMLSpace+`">1 2</g:pos><p:radius uom="urn:ogc:def:uom:EPSG::9001">3</p:radius></p:Circle>`)
	if err != nil || s.Kind != Circle || s.Center != (Position{Lat: 1, Lon: 2}) || s.Radius != 3 {
		t.Errorf("%+v %v", s.Center.Lat, err)
	}
	for _, text := range []string{`<Circle/>`, `<Circle xmlns="` + ShapeSpace + `"/>`, `<Circle xmlns="` + GMLSpace + `"/>`} {
		if _, err := shapeOf(t, text); !errors.Is(err, ErrObject) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestDistanceOfShapes(t *testing.T) {
	t.Parallel()
	at := func(lat, lon float64) Shape { return Shape{Kind: Point, Center: Position{Lat: lat, Lon: lon}} }
	high := func(s Shape, alt float64) Shape { s.Solid, s.Center.Alt = true, alt; return s }
	ring := func(alt, height float64) Shape {
		s := Shape{Kind: Prism, Solid: true, Height: height}
		for _, p := range [][2]float64{{-.01, -.01}, {-.01, .01}, {.01, .01}, {.01, -.01}} {
			s.Vertices = append(s.Vertices, Position{p[0], p[1], alt})
		}
		return s
	}
	for name, c := range map[string]struct {
		a, b Shape
		want float64
	}{
		"none":                  {at(1, 1), at(1, 1), 0},
		"a degree of latitude":  {at(0, 0), at(1, 0), 110574.389},
		"a degree of longitude": {at(0, 0), at(0, 1), 111319.491},
		"over the date line":    {at(0, 179.5), at(0, -179.5), 111319.491},
		"up":                    {high(at(5, 5), 0), high(at(5, 5), 400), 400},
		"up and along":          {high(at(0, 0), 0), high(at(0, 1), 111319.491), 111319.491 * math.Sqrt2},
		"one height unknown":    {high(at(5, 5), 9000), at(5, 5), 0},
		"a prism's middle":      {ring(100, 50), high(at(0, 0), 25), 100},
	} {
		got, ok := Distance(c.a, c.b)
		back, _ := Distance(c.b, c.a)
		if !ok || math.Abs(got-c.want) > 0.01 || math.Abs(got-back) > 1e-6 {
			t.Errorf("%s: %v and back %v, want %v", name, got, back, c.want)
		}
	}
	around := Shape{Kind: Polygon, Vertices: []Position{{0, 0, 0}, {0, 90, 0}, {0, 180, 0}, {0, -90, 0}}}
	if _, ok := Distance(around, at(0, 0)); ok {
		t.Error("a polygon around the Earth has a middle")
	}
}

func TestConfidence(t *testing.T) {
	t.Parallel()
	square := func(lat, lon, half float64) Shape {
		return Shape{Kind: Polygon, Vertices: []Position{{lat - half, wrap(lon - half), 0}, {lat - half, wrap(lon + half), 0}, {lat + half, wrap(lon + half), 0}, {lat + half, wrap(lon - half), 0}}}
	}
	circle := func(lat, lon, r float64) Shape {
		return Shape{Kind: Circle, Center: Position{Lat: lat, Lon: lon}, Radius: r}
	}
	point := func(lat, lon float64) Shape { return Shape{Kind: Point, Center: Position{Lat: lat, Lon: lon}} }
	ellipse := Shape{Kind: Ellipse, SemiMajor: 4000, SemiMinor: 100, Orientation: 90}
	band := Shape{Kind: ArcBand, Inner: 1000, Radius: 2000, Start: 0, Opening: 180}
	for name, c := range map[string]struct {
		s, region Shape
		in        float64 // share of the location's confidence
	}{
		"a point in a circle":             {point(0, 0), circle(0, 0.001, 200), 1},
		"a point out of a circle":         {point(0, 0), circle(0, 0.01, 200), 0},
		"a point in a square":             {point(40, 40), square(40, 40, 1), 1},
		"a point out of a square":         {point(40, 42), square(40, 40, 1), 0},
		"a point over the date line":      {point(0, 179.9), square(0, -179.95, 0.5), 1},
		"a point behind the date line":    {point(0, 179), square(0, -179.95, 0.5), 0},
		"on the other side of the Earth":  {point(0, 180), square(0, 0, 1), 0},
		"all of a circle":                 {circle(10, 10, 100), circle(10, 10, 200), 1},
		"a quarter of a circle":           {circle(10, 10, 2000), circle(10, 10, 1000), 0.25},
		"half a circle":                   {circle(0, 0, 1000), square(0, 1, 1), 0.5},
		"nothing of a circle":             {circle(0, 0, 1000), circle(1, 1, 1000), 0},
		"the wrong half of an ellipse":    {ellipse, square(0, 1, 1), 0.5},
		"an ellipse along its axis":       {ellipse, Shape{Kind: Polygon, Vertices: []Position{{-.002, -.05, 0}, {-.002, .05, 0}, {.002, .05, 0}, {.002, -.05, 0}}}, 1},
		"an eastern band":                 {band, square(0, 1, 1), 1},
		"an eastern band from the west":   {band, square(0, -1, 1), 0},
		"an eastern band from the north":  {band, square(1, 0, 1), 0.5},
		"half a square":                   {square(0, 0, 0.01), square(0, 1, 1), 0.5},
		"a square in a circle":            {square(0, 0, 0.01), circle(0, 0, 5000), 1},
		"a circle where no sample can be": {square(0, 0, 1), circle(0, 0, 1), 0},
	} {
		sure := 0.95
		if c.s.Kind == Point {
			sure = 1
		}
		in, out := c.s.Confidence(c.region)
		if math.Abs(in-sure*c.in) > 0.03 || math.Abs(in+out-sure) > 1e-9 {
			t.Errorf("%s: %.3f in, %.3f out, want %.3f", name, in, out, sure*c.in)
		}
	}
	flat := Shape{Kind: Polygon, Vertices: []Position{{0, 0, 0}, {0, 1, 0}, {0, 2, 0}}}
	if in, _ := flat.Confidence(circle(0, 1, 500_000)); in < 0.9 {
		t.Errorf("a line: %v", in)
	}
}

func TestTargetShape(t *testing.T) {
	t.Parallel()
	objects := []Object{{Place: OfTuple, Shapes: []Shape{{Kind: Circle}}}, {Place: OfDevice, Component: 7, Shapes: []Shape{{Kind: Point}, {Kind: Sphere}}}}
	if s, ok := NewTarget(objects).Shape(); !ok || s.Kind != Point {
		t.Error(s.Kind, ok)
	}
	if _, ok := (Target{}).Shape(); ok {
		t.Error("the unknown place has a shape")
	}
	if _, ok := NewTarget([]Object{{Civic: make([]Civic, 1)}}).Shape(); ok {
		t.Error("an address has a shape")
	}
	if s := (Shape{Kind: Prism}).String(); strings.Contains(s, "0") {
		t.Error(s)
	}
}
