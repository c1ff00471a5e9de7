package location

import (
	"math"

	"github.com/tacit-presence/tacit/xmltree"
)

// IsShape reports whether n is one of the shapes of RFC 5491, 5.
func IsShape(doc *xmltree.Doc, n xmltree.Node) bool {
	_, ok := shapeKind(doc, n)
	return ok
}

// ReadShape reads one shape. An error is an *Error of ErrObject.
func ReadShape(doc *xmltree.Doc, n xmltree.Node) (Shape, error) {
	kind, ok := shapeKind(doc, n)
	if !ok {
		return Shape{}, bad(ErrObject, n, "<%s> is no shape", doc.Local(n))
	}
	s, err := readShape(doc, n, kind)
	if err != nil {
		return Shape{}, err
	}
	return s, nil
}

// Shape returns the target's first shape: RFC 5491, 3 (rule 6) has the others be
// of the same place. ok is false if its place is not known geodetically.
func (t Target) Shape() (s Shape, ok bool) {
	for i := range t.objects {
		if len(t.objects[i].Shapes) > 0 {
			return t.objects[i].Shapes[0], true
		}
	}
	return Shape{}, false
}

// level is the altitude of a shape's middle.
func (s Shape) level() float64 {
	if s.Kind == Polygon || s.Kind == Prism {
		return s.Vertices[0].Alt + s.Height/2
	}
	return s.Center.Alt
}

// Distance is how far the middles of two shapes are apart, in metres: along the
// ground, and up or down where both say how high they are (RFC 6447, 3.1). ok is
// false where a shape has no middle.
func Distance(a, b Shape) (metres float64, ok bool) {
	from, _, ok := a.middle()
	to, _, ok2 := b.middle()
	if !ok || !ok2 {
		return 0, false
	}
	metres = distance(from, to)
	if metres > 0 {
		metres = max(0, metres-rounding) // here a distance must not be too long
	}
	if a.Solid && b.Solid {
		metres = math.Hypot(metres, a.level()-b.level())
	}
	return metres, true
}

// shapeConfidence is how sure it is that a target is in the shape that its
// location gives (RFC 5491, 5: what is recommended where nothing else is said).
// A Point has no uncertainty that is known: it is taken at its word.
const shapeConfidence = 0.95

// Confidence is how sure it is that a target that a location says is in s is
// within the region, a circle or a polygon, and how sure that it is not; their
// sum is the confidence of the location (RFC 6447, 3.4). Altitudes do not count.
// Within its shape a target is anywhere with the same probability.
func (s Shape) Confidence(region Shape) (inside, outside float64) {
	sure := shapeConfidence
	if s.Kind == Point {
		sure = 1
	}
	share := s.share(region)
	return sure * share, sure * (1 - share)
}

// samples is how many places stand for an uncertain shape: enough to tell a half
// of it within some percent.
const samples = 128

// share is how much of the shape's area lies in the region.
func (s Shape) share(region Shape) float64 {
	middle, reach, ok := s.middle()
	if !ok {
		return 0
	}
	if region.Kind == Circle {
		// What is surely in or out, which is most, needs no samples.
		if s.within(region.Center, region.Radius) {
			return 1
		}
		if distance(region.Center, middle)-2*rounding > region.Radius+reach*(1+sphereError) {
			return 0
		}
	}
	in, all := 0.0, 0.0
	s.sample(func(p Position) {
		weight := 1.0
		if s.Kind == Polygon || s.Kind == Prism {
			weight = math.Cos(rad(p.Lat)) // its samples are even in degrees
		}
		all += weight
		if region.contains(p) {
			in += weight
		}
	})
	if all == 0 { // a polygon thinner than the samples are apart
		if region.contains(middle) {
			return 1
		}
		return 0
	}
	return in / all
}

// contains reports whether a circle or a polygon contains a place.
func (s Shape) contains(p Position) bool {
	if s.Kind != Polygon && s.Kind != Prism {
		return distance(s.Center, p) <= s.Radius+rounding
	}
	// Longitudes as seen from the first corner, so that there is no date line for
	// what is less than half of the Earth wide.
	in, first, a := false, s.Vertices[0], s.Vertices[len(s.Vertices)-1]
	at := east(first, p)
	for _, b := range s.Vertices {
		x, y := east(first, a), east(first, b)
		if (a.Lat > p.Lat) != (b.Lat > p.Lat) && x+(y-x)*(p.Lat-a.Lat)/(b.Lat-a.Lat) > at {
			in = !in
		}
		a = b
	}
	return in
}

// east is how many degrees b lies east of a, -180 to 180.
func east(a, b Position) float64 { return wrap(b.Lon - a.Lon) }

// golden is the golden angle in degrees: points that follow one another by it
// fill a disc evenly.
const golden = 137.50776405003785

// sample calls fn for places spread evenly over the shape's ground.
func (s Shape) sample(fn func(Position)) {
	switch s.Kind {
	case Polygon, Prism:
		s.samplePolygon(fn)
	case ArcBand:
		for i := range samples {
			share := (float64(i) + 0.5) / samples
			radius := math.Sqrt(s.Inner*s.Inner + share*(s.Radius*s.Radius-s.Inner*s.Inner))
			turn := math.Mod(float64(i)*golden/360, 1)
			fn(travel(s.Center, s.Start+turn*s.Opening, radius))
		}
	case Ellipse, Ellipsoid:
		for i := range samples {
			share := math.Sqrt((float64(i) + 0.5) / samples)
			sin, cos := math.Sincos(rad(float64(i) * golden))
			along, aside := s.SemiMajor*share*cos, s.SemiMinor*share*sin
			fn(travel(s.Center, s.Orientation+math.Atan2(aside, along)*180/math.Pi, math.Hypot(along, aside)))
		}
	case Circle, Sphere:
		for i := range samples {
			fn(travel(s.Center, float64(i)*golden, s.Radius*math.Sqrt((float64(i)+0.5)/samples)))
		}
	default:
		fn(s.Center)
	}
}

// rows is how many rows and columns samplePolygon lays over a polygon.
const rows = 16

func (s Shape) samplePolygon(fn func(Position)) {
	first := s.Vertices[0]
	south, north, west, eastmost := first.Lat, first.Lat, 0.0, 0.0
	for _, v := range s.Vertices {
		d := east(first, v)
		south, north = min(south, v.Lat), max(north, v.Lat)
		west, eastmost = min(west, d), max(eastmost, d)
	}
	for i := range rows * rows {
		p := Position{
			Lat: south + (north-south)*(float64(i/rows)+0.5)/rows,
			Lon: wrap(first.Lon + west + (eastmost-west)*(float64(i%rows)+0.5)/rows),
		}
		if s.contains(p) {
			fn(p)
		}
	}
}
