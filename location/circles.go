package location

import (
	"cmp"
	"log/slog"
	"math"
	"slices"

	"github.com/tacit-presence/tacit/xmltree"
)

// Circles are those that stand for a presentity's location objects when they are
// told side by side. Two sources that see one place a few metres apart may see it
// in two cells, and two circles with it would tell that it is by the border
// between them (RFC 6772, 13.2). So of all circles that contain a place, each
// object of the presentity's is told the same one.
type Circles struct{ list []coarse }

// coarse is what is told instead of a place.
type coarse struct {
	center Position
	radius float64
}

func (a coarse) compare(b coarse) int {
	return cmp.Or(cmp.Compare(a.radius, b.radius), cmp.Compare(a.center.Lat, b.center.Lat), cmp.Compare(a.center.Lon, b.center.Lon))
}

// maxCircles bounds how many are compared with each object: a presentity is in
// fewer places.
const maxCircles = 16

// Circles finds them for the geopriv elements that may be told of one document.
// Their order does not count, nor where in the document they are: what is told
// may not change when a source publishes again. Of more than 16 the first count.
func (p Permission) Circles(doc *xmltree.Doc, geopriv []xmltree.Node, b Band) *Circles {
	if p.radius == 0 || len(geopriv) < 2 {
		return nil
	}
	c := new(Circles)
	for _, n := range geopriv {
		object, _ := Read(doc, n)
		if len(object.Shapes) == 0 {
			continue
		}
		if center, radius, ok := b.coarsen(object.Shapes[0], p.radius); ok {
			c.list = append(c.list, coarse{center, radius})
		}
	}
	slices.SortFunc(c.list, coarse.compare)
	c.list = slices.Compact(c.list)
	c.list = c.list[:min(len(c.list), maxCircles)]
	return c
}

// instead returns the circle that is told of a shape whose own is given. A shape
// that is its own circle has been coarsened: it stays what it is.
func (c *Circles) instead(s Shape, own coarse) coarse {
	if c == nil {
		return own
	}
	if s.Kind == Circle && s.Radius == own.radius && samePlace(s.Center, own.center, decimals(own.radius)) {
		return own
	}
	m, _, _ := s.middle()
	for _, one := range c.list {
		if one.radius != own.radius || math.Abs(one.center.Lat-m.Lat) > 1.1*own.radius/1000/latitudeUnit {
			continue
		}
		if distance(one.center, m) <= one.radius {
			return one
		}
	}
	return own
}

// String hides the places.
func (*Circles) String() string { return "circles" }

// GoString is String.
func (c *Circles) GoString() string { return c.String() }

// LogValue keeps places out of logs.
func (c *Circles) LogValue() slog.Value { return slog.StringValue(c.String()) }

// outOfBand reports whether the object has a shape for which there is no circle.
func (o *Object) outOfBand(b Band, radius uint32) bool {
	for _, s := range o.Shapes {
		if _, _, ok := b.coarsen(s, radius); !ok {
			return true
		}
	}
	return false
}

// OutOfBand reports whether a place in the document may be told as a circle but
// is not, because it lies too far from the band's latitudes, or the circle would be
// larger than MaxRadius.
func (p Permission) OutOfBand(doc *xmltree.Doc, b Band) bool {
	if p.radius == 0 {
		return false
	}
	for _, n := range AppendNodes(nil, doc, doc.Root()) {
		if object, _ := Read(doc, n); object.outOfBand(b, p.radius) {
			return true
		}
	}
	return false
}
