package location

import (
	"strings"

	"github.com/tacit-presence/tacit/xmltree"
)

// OldGMLSpace is how RFC 4119, 2.3 names GML 3.0.
const OldGMLSpace = "urn:opengis:specification:gml:schema-xsd:feature:v3.0"

// oldCRS is how it names WGS 84 in two dimensions.
const oldCRS = "epsg:4326"

func isGML(space string) bool { return space == GMLSpace || space == OldGMLSpace }

// geometry returns what a <gml:location>, which RFC 4119's example has around its
// Point, holds, if that is one element; else n.
func geometry(doc *xmltree.Doc, n xmltree.Node) xmltree.Node {
	if doc.Local(n) != "location" || !isGML(doc.Space(n)) {
		return n
	}
	first := doc.FirstElement(n)
	if first == xmltree.None || doc.NextElement(first) != xmltree.None || hasText(doc, n) {
		return n
	}
	return first
}

// isOldPoint reports whether n is a Point as RFC 4119 has it and RFC 5491 has no
// more: by its namespace or its <coordinates>.
func isOldPoint(doc *xmltree.Doc, n xmltree.Node) bool {
	if doc.Local(n) != "Point" || !isGML(doc.Space(n)) {
		return false
	}
	first := doc.FirstElement(n)
	return doc.Space(n) == OldGMLSpace || first != xmltree.None && doc.Local(first) == "coordinates"
}

// readOldPoint reads it: <pos>, or <coordinates> with degrees, minutes and seconds
// as in the RFC's example, or in decimal degrees. Where no letters say otherwise
// latitude comes first, as EPSG 4326 has it. <coord>, by X and Y, does not say
// which is which, so it is not understood.
func readOldPoint(doc *xmltree.Doc, n xmltree.Node) (Shape, *Error) {
	r := shapeReader{doc: doc, dim: 2, crs: crs2D}
	srs, _ := doc.Attr(n, "", "srsName")
	if srs = trim(srs); srs != crs2D && !strings.EqualFold(srs, oldCRS) {
		r.fail(n, "the srsName of <Point> is not %s", oldCRS)
	}
	s := Shape{Kind: Point}
	c := doc.FirstElement(n)
	switch {
	case c == xmltree.None || !isGML(doc.Space(c)) || doc.NextElement(c) != xmltree.None:
		r.fail(n, "<Point> has not one <pos> or <coordinates>")
	case doc.Local(c) == "pos":
		s.Center = r.position(c)
	case doc.Local(c) == "coordinates":
		s.Center = r.coordinates(c)
	default:
		r.fail(c, "<%s> is not understood in <Point>", doc.Local(c))
	}
	if r.err != nil {
		return Shape{}, r.err
	}
	return s, nil
}

// coordinates reads the text of <coordinates>.
func (r *shapeReader) coordinates(n xmltree.Node) Position {
	for _, a := range [...]struct{ name, def string }{{"decimal", "."}, {"cs", ","}, {"ts", " "}} {
		if v, ok := r.doc.Attr(n, "", a.name); ok && v != a.def {
			r.fail(n, "<coordinates> with a %s of its own is not understood", a.name)
		}
	}
	if r.doc.FirstElement(n) != xmltree.None {
		r.fail(n, "<coordinates> has elements in its text")
	}
	words := strings.FieldsFunc(r.doc.Text(n), func(c rune) bool { return c == ',' || c < 0x80 && isSpace(byte(c)) })
	if len(words) != 2 {
		r.fail(n, "<coordinates> are not those of one place in two dimensions")
	}
	if r.err != nil {
		return Position{}
	}
	a, axisA, okA := parseDegrees(words[0])
	b, axisB, okB := parseDegrees(words[1])
	if axisA == 'E' && axisB == 'N' {
		a, axisA, b, axisB = b, axisB, a, axisA
	}
	if !okA || !okB || axisA != 0 && axisA != 'N' || axisB != 0 && axisB != 'E' || (axisA == 0) != (axisB == 0) {
		r.fail(n, "<coordinates> has no latitude and longitude")
		return Position{}
	}
	return r.place(n, []float64{a, b})
}

// parseDegrees reads degrees, or degrees:minutes, or degrees:minutes:seconds, of
// which the last may have a fraction; with a sign, or with a letter N, S, E or W
// behind. axis is 'N', 'E', or 0 where no letter says.
func parseDegrees(s string) (degrees float64, axis byte, ok bool) {
	if s == "" {
		return 0, 0, false
	}
	sign := 1.0
	switch last := s[len(s)-1] &^ 0x20; last { // a capital
	case 'N', 'E':
		axis, s = last, s[:len(s)-1]
	case 'S':
		axis, s, sign = 'N', s[:len(s)-1], -1
	case 'W':
		axis, s, sign = 'E', s[:len(s)-1], -1
	default:
		if s[0] == '-' {
			sign = -1
		}
		if s[0] == '-' || s[0] == '+' {
			s = s[1:]
		}
	}
	parts := strings.Split(s, ":")
	if len(parts) > 3 {
		return 0, 0, false
	}
	unit := 1.0
	for i, p := range parts {
		v, ok := parseNumber(p)
		if !ok || strings.Trim(p, "0123456789.") != "" || i < len(parts)-1 && strings.Contains(p, ".") || i > 0 && v >= 60 {
			return 0, 0, false
		}
		degrees += v / unit
		unit *= 60
	}
	return sign * degrees, axis, true
}
