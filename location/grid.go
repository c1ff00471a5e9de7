package location

import (
	"math"
	"strconv"
)

// Band is one of the regions of RFC 6772, 7.5, by the latitude of its grid's
// origin. All but Tropics are two, north and south of the equator, too far apart
// for a circle to leave open which. Bands overlap, and to choose by position would
// tell on which side of a border someone is: a presentity's band is configured.
// Who leaves it goes on in its grid, as far as that serves (coarsen). The zero
// value is Tropics.
type Band int8

// The bands of RFC 6772, 7.5 by name.
const (
	Tropics Band = 0 // from 45 degrees south to 45 degrees north
	// DefaultBand, the one of the RFC's own example, has the continental United
	// States, the Mediterranean, Southern Europe, most of China, and Japan; and
	// most of Chile and Argentina, Australia's south and New Zealand.
	DefaultBand Band = 25
	// NoBand is none: in it no place is told geodetically, unless whole.
	NoBand Band = -1
)

// bands gives their limits in degrees, north and south alike: 7.5 has the southern
// origins at the same latitudes. Appendix B's table says -50 for Chile and New
// Zealand, but cells must not grow away from the origin.
var bands = [...]struct {
	origin   Band
	from, to float64
}{{Tropics, 0, 45}, {DefaultBand, 25, 50}, {35, 35, 55}, {45, 45, 60}, {55, 55, 65}, {60, 60, 70}}

// Limits returns the latitudes that the band covers, north and south of the
// equator alike; ok is false if there is no such band.
func (b Band) Limits() (from, to float64, ok bool) {
	for i := range bands {
		if bands[i].origin == b {
			return bands[i].from, bands[i].to, true
		}
	}
	return 0, 0, false
}

// ParseBand reads a band as it is configured: the latitude of its origin.
func ParseBand(s string) (Band, bool) {
	for i := range bands {
		if b := bands[i].origin; strconv.Itoa(int(b)) == s {
			return b, true
		}
	}
	return NoBand, false
}

// The measures of RFC 6772, 7.5: kilometres of the meridional radius and of one
// degree of latitude; and p and q of 6.5.2.
const (
	meridional   = 6367.5
	latitudeUnit = 110.6
	gridP        = 0.2887
	gridQ        = 1 - gridP
)

// seamCells is how many columns on either side of the date line are adjusted.
// The grid starts at Greenwich and its columns seldom close around the Earth. So
// the last of both sides are spread evenly over what is left: cells there are up
// to 1/(2*seamCells) wider than elsewhere, never narrower, and a point is still
// within the radius of its landmark, for which 0.77 of it are needed elsewhere.
const seamCells = 4

// landmark returns the landmark that stands for a place (RFC 6772, 6.5.2) in the
// grid of a band for a radius in metres. Where the RFC lets two landmarks be
// chosen, the western of a cell's southern and northern pair is, and the southern
// of the other two: always the same, so that coming back tells nothing new
// (13.3), and such that what maps to one landmark is one connected region.
//
// A landmark's own cells' corners map to itself with much room, so that a
// landmark that has been rounded is still its own: coarsening twice is coarsening
// once.
func (b Band) landmark(m Position, radius float64) (Position, bool) {
	_, _, ok := b.Limits()
	if !ok || radius < 1 || radius > MaxRadius {
		return Position{}, false
	}
	km := radius / 1000
	d1 := km * 180 / (math.Pi * meridional * math.Cos(rad(float64(b))))
	d2 := km / latitudeUnit
	origin := math.Copysign(float64(b), m.Lat)
	l, r, x := column(wrap(m.Lon), d1)
	j := math.Floor((m.Lat - origin) / d2) // the RFC's "n-o/d2" lacks brackets
	bottom, top := origin+d2*j, origin+d2*(j+1)
	y := (m.Lat - bottom) / (top - bottom)
	at := Position{Lat: bottom, Lon: l}
	switch east, north := choose(x, y); {
	case east && north:
		at = Position{Lat: top, Lon: r}
	case east:
		at.Lon = r
	case north:
		at.Lat = top
	}
	places := decimals(radius)
	if formatAngle(at.Lon, places) == formatAngle(-180, places) {
		at.Lon = 180 // one name for the date line
	}
	if at.Lat*math.Copysign(1, m.Lat) < 0 && b != Tropics || math.Abs(at.Lat) > maxLandmark {
		return Position{}, false // beyond the equator the grid is another; beyond the pole there is none
	}
	return at, true
}

// column finds the western and eastern side of a place's cell, for columns of d1
// degrees, and how far in it the place is, from 0 to 1.
func column(lon, d1 float64) (west, east, x float64) {
	last := math.Floor(180/d1) - seamCells // landmarks -last to last are the RFC's
	edge := d1 * last
	if lon >= -edge && lon < edge {
		i := math.Floor(lon / d1)
		west, east = d1*i, d1*(i+1)
		return west, east, (lon - west) / (east - west)
	}
	into := lon - edge
	if lon < 0 {
		into += 360
	}
	seam := 360 - 2*edge
	cells := math.Floor(seam / d1)
	width := seam / cells
	k := min(max(math.Floor(into/width), 0), cells-1)
	x = (into - k*width) / width
	west, east = wrap(edge+k*width), wrap(edge+(k+1)*width)
	if k == cells-1 {
		east = -edge
	}
	return west, east, x
}

// choose is step 5 and 6 of RFC 6772, 6.5.2: the corner for local coordinates.
func choose(x, y float64) (east, north bool) {
	const p, q = gridP, gridQ
	switch {
	case x < p && y < p: // C1: SW
		return false, false
	case p <= x && x < q && y < x && y < 1-x: // C2: SW or SE
		return false, false
	case q <= x && y < p: // C3: SE
		return true, false
	case p <= y && y < q && x <= y && y < 1-x: // C4: SW or NW
		return false, false
	case p <= y && y < q && y < x && 1-x <= y: // C5: SE or NE
		return true, false
	case x < p && q <= y: // C6: NW
		return false, true
	case p <= x && x < q && x <= y && 1-x <= y: // C7: NW or NE
		return false, true
	}
	return true, true // C8: NE
}

// decimals is how many digits after the point a coordinate of a radius has: they
// are a thousandth of the radius, and a larger radius never shows more.
func decimals(radius float64) int {
	n := 8
	for r := 10.0; r <= radius && n > 3; r *= 10 {
		n--
	}
	return n
}

func formatAngle(v float64, places int) string {
	s := strconv.FormatFloat(v, 'f', places, 64)
	if s[0] == '-' && zero(s[1:]) {
		return s[1:]
	}
	return s
}

func zero(s string) bool {
	for i := range len(s) {
		if s[i] != '0' && s[i] != '.' {
			return false
		}
	}
	return true
}

// Beyond a band's latitudes its grid still serves, within limits. Towards the pole
// its cells grow narrower, which a larger radius makes up for. Towards the equator
// they grow wider, up to maxStretch times what they are at its origin: 0.77 of that
// is still within the radius.
const (
	maxLatitude = 80
	maxLandmark = 88
	maxStretch  = 1.25
)

// coarsen returns the circle that stands for a shape in a band, at least of a
// radius. A shape that is itself larger gets the radius doubled until it is not:
// to claim more precision than there is would be a lie, and radii of their own
// would be grids of their own. So does a place beyond the band's latitudes, until
// its cell is as wide as they are at the band's edge. A circle that has been told
// is its own.
func (b Band) coarsen(s Shape, radius uint32) (center Position, coarse float64, ok bool) {
	m, reach, ok := s.middle()
	_, to, known := b.Limits()
	if !ok || !known || radius == 0 {
		return Position{}, 0, false
	}
	coarse = float64(radius)
	for coarse < reach && coarse <= MaxRadius {
		coarse *= 2
	}
	if s.Kind == Circle && s.Radius == coarse {
		if center, ok = b.landmark(m, coarse); ok && samePlace(center, m, decimals(coarse)) {
			return center, coarse, true
		}
	}
	width := math.Cos(rad(m.Lat))
	if math.Abs(m.Lat) > maxLatitude || width > maxStretch*math.Cos(rad(float64(b))) {
		return Position{}, 0, false
	}
	for coarse*width < float64(radius)*math.Cos(rad(to)) && math.Abs(m.Lat) > to && coarse <= MaxRadius {
		coarse *= 2
	}
	center, ok = b.landmark(m, coarse)
	return center, coarse, ok
}

// samePlace compares as coordinates are told.
func samePlace(a, b Position, places int) bool {
	return formatAngle(a.Lat, places) == formatAngle(b.Lat, places) &&
		formatAngle(wrap(a.Lon), places) == formatAngle(wrap(b.Lon), places)
}
