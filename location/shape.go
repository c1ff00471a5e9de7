package location

import (
	"log/slog"
	"math"
	"strconv"
	"strings"

	"github.com/tacit-presence/tacit/xmltree"
)

// Kind is the kind of a Shape.
type Kind uint8

// The shapes of RFC 5491, 5.
const (
	Point Kind = iota
	Circle
	Ellipse
	ArcBand
	Polygon
	Sphere
	Ellipsoid
	Prism
)

// String names the kind as its element is named.
func (k Kind) String() string {
	return [...]string{"Point", "Circle", "Ellipse", "ArcBand", "Polygon", "Sphere", "Ellipsoid", "Prism"}[k]
}

const (
	// maxVertices bounds a polygon. RFC 5491, 5.1 wants 15 at most; the outline of
	// a country stays below.
	maxVertices = 256
	// maxNumber is the longest number: a double needs 25 characters.
	maxNumber = 64
	// maxDepth is how far below the ground an altitude may lie, in metres; a
	// position nearer to the Earth's centre has no place on its surface.
	maxDepth = 20_000
	// maxHeight is the highest altitude and the largest length: beyond the moon
	// nobody has presence.
	maxHeight = 1e9
)

// Position is a point of WGS 84: degrees and, in three dimensions, metres.
type Position struct{ Lat, Lon, Alt float64 }

// String hides it.
func (Position) String() string { return "position" }

// GoString is String.
func (Position) GoString() string { return "position" }

// LogValue keeps positions out of logs.
func (Position) LogValue() slog.Value { return slog.StringValue("position") }

// Shape is one geodetic location. Lengths are metres, angles degrees clockwise
// from north. All numbers are finite, latitudes and longitudes in range.
type Shape struct {
	Kind                 Kind
	Solid                bool       // in three dimensions
	Center               Position   // but for Polygon and Prism
	Radius               float64    // of a Circle or Sphere; an ArcBand's outer one
	Inner                float64    // an ArcBand's inner radius
	SemiMajor, SemiMinor float64    // of an Ellipse or Ellipsoid
	Vertical             float64    // an Ellipsoid's vertical axis
	Orientation          float64    // of the SemiMajor axis
	Start, Opening       float64    // angles of an ArcBand
	Vertices             []Position // of a Polygon or a Prism's base, the first not repeated
	Height               float64    // of a Prism
}

// String names the kind alone.
func (s Shape) String() string { return s.Kind.String() }

// GoString is String: %#v shows no place either.
func (s Shape) GoString() string { return s.String() }

// LogValue keeps places out of logs.
func (s Shape) LogValue() slog.Value { return slog.StringValue(s.String()) }

// shapeKind finds what a child of location-info is.
func shapeKind(doc *xmltree.Doc, n xmltree.Node) (Kind, bool) {
	local := doc.Local(n)
	switch doc.Space(n) {
	case GMLSpace:
		switch local {
		case "Point":
			return Point, true
		case "Polygon":
			return Polygon, true
		}
	case ShapeSpace:
		for k := Circle; k <= Prism; k++ {
			if k != Polygon && local == k.String() {
				return k, true
			}
		}
	}
	return 0, false
}

// shapeReader reads one shape; the first fault stays.
type shapeReader struct {
	doc *xmltree.Doc
	err *Error
	dim int
	crs string
}

func (r *shapeReader) fail(n xmltree.Node, format string, args ...any) {
	if r.err == nil {
		r.err = bad(ErrObject, n, format, args...)
	}
}

// readShape reads a shape of a known kind.
func readShape(doc *xmltree.Doc, n xmltree.Node, k Kind) (Shape, *Error) {
	r := shapeReader{doc: doc, dim: 2}
	s := Shape{Kind: k}
	srs, _ := doc.Attr(n, "", "srsName")
	switch r.crs = trim(srs); {
	case r.crs == crs2D && k <= Polygon:
	case r.crs == crs3D && (k == Point || k >= Polygon):
		r.dim, s.Solid = 3, true
	case r.crs == "":
		r.fail(n, "<%s> has no srsName", k)
	default:
		r.fail(n, "the srsName of <%s> is not one that RFC 5491 allows for it", k)
	}
	r.dimension(n)
	switch k {
	case Polygon:
		s.Vertices = r.ring(n)
	case Prism:
		base := r.child(n, ShapeSpace, "base", 0)
		s.Vertices = r.ring(r.child(base, GMLSpace, "Polygon", 0))
		s.Height = r.length(n, "height", 1)
		r.end(n, 2)
		if s.Height <= 0 {
			r.fail(n, "the height of <Prism> is not positive")
		}
	default:
		s.Center = r.position(r.child(n, GMLSpace, "pos", 0))
		r.measures(n, &s)
	}
	if r.err != nil {
		return Shape{}, r.err
	}
	return s, nil
}

// measures reads what follows a shape's centre.
func (r *shapeReader) measures(n xmltree.Node, s *Shape) {
	switch s.Kind {
	case Point:
		r.end(n, 1)
	case Circle, Sphere:
		s.Radius = r.length(n, "radius", 1)
		r.end(n, 2)
	case Ellipse:
		s.SemiMajor, s.SemiMinor = r.length(n, "semiMajorAxis", 1), r.length(n, "semiMinorAxis", 2)
		s.Orientation = r.angle(n, "orientation", 3)
		r.end(n, 4)
	case Ellipsoid:
		s.SemiMajor, s.SemiMinor = r.length(n, "semiMajorAxis", 1), r.length(n, "semiMinorAxis", 2)
		s.Vertical = r.length(n, "verticalAxis", 3)
		s.Orientation = r.angle(n, "orientation", 4)
		r.end(n, 5)
	case ArcBand:
		s.Inner, s.Radius = r.length(n, "innerRadius", 1), r.length(n, "outerRadius", 2)
		s.Start, s.Opening = r.angle(n, "startAngle", 3), r.angle(n, "openingAngle", 4)
		r.end(n, 5)
		if s.Inner > s.Radius {
			r.fail(n, "the inner radius of <ArcBand> is larger than the outer one")
		}
		if s.Opening < 0 {
			r.fail(n, "the opening angle of <ArcBand> is negative")
		}
	}
}

// child returns the i-th child element, which must be of that name.
func (r *shapeReader) child(n xmltree.Node, space, local string, i int) xmltree.Node {
	if r.err != nil {
		return xmltree.None
	}
	c := r.doc.FirstElement(n)
	for ; i > 0 && c != xmltree.None; i-- {
		c = r.doc.NextElement(c)
	}
	if c == xmltree.None || !r.doc.Is(c, space, local) {
		r.fail(n, "<%s> lacks its <%s>, or it stands elsewhere", r.doc.Local(n), local)
		return xmltree.None
	}
	r.dimension(c)
	if srs, ok := r.doc.Attr(c, "", "srsName"); ok && trim(srs) != r.crs {
		// RFC 5491, 5: sub-elements must not change the system.
		r.fail(c, "<%s> changes the srsName", local)
	}
	return c
}

// dimension checks an srsDimension, which should not be there (RFC 5491, 5).
func (r *shapeReader) dimension(n xmltree.Node) {
	if v, ok := r.doc.Attr(n, "", "srsDimension"); ok && trim(v) != strconv.Itoa(r.dim) {
		r.fail(n, "the srsDimension of <%s> is not that of its srsName", r.doc.Local(n))
	}
}

// end refuses more than count children.
func (r *shapeReader) end(n xmltree.Node, count int) {
	if r.err != nil {
		return
	}
	for c := r.doc.FirstElement(n); c != xmltree.None; c = r.doc.NextElement(c) {
		if count--; count < 0 {
			r.fail(c, "<%s> does not belong in <%s>", r.doc.Local(c), r.doc.Local(n))
			return
		}
	}
}

// numbers reads the numbers of an element's text, at most limit.
func (r *shapeReader) numbers(n xmltree.Node, limit int) []float64 {
	if r.err != nil {
		return nil
	}
	if r.doc.FirstElement(n) != xmltree.None {
		r.fail(n, "<%s> has elements in its text", r.doc.Local(n))
		return nil
	}
	var list []float64
	for word := range strings.FieldsFuncSeq(r.doc.Text(n), func(c rune) bool { return c < 0x80 && isSpace(byte(c)) }) {
		v, ok := parseNumber(word)
		if !ok || len(list) == limit {
			r.fail(n, "<%s> has numbers that are none, or too many", r.doc.Local(n))
			return nil
		}
		list = append(list, v)
	}
	return list
}

// parseNumber reads an xs:double that is a number.
func parseNumber(s string) (float64, bool) {
	if len(s) > maxNumber {
		return 0, false
	}
	for i := range len(s) { // no hexadecimal, underscores, infinities
		if c := s[i]; (c < '0' || c > '9') && c != '+' && c != '-' && c != '.' && c != 'e' && c != 'E' {
			return 0, false
		}
	}
	v, err := strconv.ParseFloat(s, 64)
	return v, err == nil && !math.IsInf(v, 0) && !math.IsNaN(v)
}

// place makes a position of dim numbers.
func (r *shapeReader) place(n xmltree.Node, v []float64) Position {
	p := Position{Lat: v[0], Lon: v[1]}
	if r.dim == 3 {
		p.Alt = v[2]
	}
	if math.Abs(p.Lat) > 90 || math.Abs(p.Lon) > 180 || p.Alt < -maxDepth || p.Alt > maxHeight {
		r.fail(n, "<%s> lies outside of the Earth's coordinates", r.doc.Local(n))
	}
	return p
}

func (r *shapeReader) position(pos xmltree.Node) Position {
	v := r.numbers(pos, r.dim)
	if r.err != nil {
		return Position{}
	}
	if len(v) != r.dim {
		r.fail(pos, "<%s> has not the %d numbers of its srsName", r.doc.Local(pos), r.dim)
		return Position{}
	}
	return r.place(pos, v)
}

// measure reads the i-th child as one number with its unit.
func (r *shapeReader) measure(n xmltree.Node, local string, i int) (v float64, uom string, at xmltree.Node) {
	c := r.child(n, ShapeSpace, local, i)
	list := r.numbers(c, 1)
	if r.err != nil {
		return 0, "", c
	}
	if len(list) != 1 {
		r.fail(c, "<%s> has no number", local)
		return 0, "", c
	}
	uom, _ = r.doc.Attr(c, "", "uom")
	return list[0], trim(uom), c
}

func (r *shapeReader) length(n xmltree.Node, local string, i int) float64 {
	v, uom, c := r.measure(n, local, i)
	switch {
	case r.err != nil:
	case uom != metres:
		r.fail(c, "the uom of <%s> is not %s", local, metres)
	case v < 0 || v > maxHeight:
		r.fail(c, "<%s> is negative or too long", local)
	}
	return v
}

// angle reads an angle into degrees.
func (r *shapeReader) angle(n xmltree.Node, local string, i int) float64 {
	v, uom, c := r.measure(n, local, i)
	switch {
	case r.err != nil:
	case uom == radians:
		v *= 180 / math.Pi
	case uom != degrees:
		r.fail(c, "the uom of <%s> is neither %s nor %s", local, degrees, radians)
	}
	if math.Abs(v) > 360.001 { // a full turn in radians has rounding
		r.fail(c, "<%s> is more than a full turn", local)
	}
	return v
}

// ring reads a polygon's outline (RFC 5491, 5.2.2): pos elements, or a posList.
func (r *shapeReader) ring(polygon xmltree.Node) []Position {
	exterior := r.child(polygon, GMLSpace, "exterior", 0)
	ring := r.child(exterior, GMLSpace, "LinearRing", 0)
	if r.err != nil {
		return nil
	}
	r.end(polygon, 1)
	var list []Position
	if first := r.doc.FirstElement(ring); first != xmltree.None && r.doc.Is(first, GMLSpace, "posList") {
		v := r.numbers(r.child(ring, GMLSpace, "posList", 0), (maxVertices+1)*r.dim)
		r.end(ring, 1)
		if len(v)%r.dim != 0 {
			r.fail(first, "<posList> has not positions of %d numbers", r.dim)
		}
		for ; r.err == nil && len(v) > 0; v = v[r.dim:] {
			list = append(list, r.place(first, v))
		}
	} else {
		for c := first; c != xmltree.None && r.err == nil; c = r.doc.NextElement(c) {
			if !r.doc.Is(c, GMLSpace, "pos") || len(list) > maxVertices {
				r.fail(c, "<LinearRing> has a <%s>, or more than %d positions", r.doc.Local(c), maxVertices)
				break
			}
			list = append(list, r.position(c))
		}
	}
	if r.err != nil {
		return nil
	}
	last := len(list) - 1
	if last < 3 || list[0] != list[last] {
		r.fail(ring, "<LinearRing> has less than four positions, or does not end where it starts")
		return nil
	}
	for _, p := range list {
		if p.Alt != list[0].Alt {
			r.fail(ring, "<LinearRing> is not level")
			return nil
		}
	}
	return list[:last]
}
