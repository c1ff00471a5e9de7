package location

import "math"

// WGS 84, and bounds that follow from it, in metres.
const (
	equatorial = 6378137.0
	flattening = 1 / 298.257223563
	polar      = equatorial * (1 - flattening)
	meanRadius = 6371008.8
	// farthest is more than any two places on the ellipsoid are apart.
	farthest = 20_004_000.0
)

const (
	// sphereError bounds, as a share, how far distances on a sphere of the mean
	// radius are from those on the ellipsoid: the radii of curvature, 6335 to
	// 6400 km, differ by 0.6 %.
	sphereError = 0.007
	// rounding is what a computed distance may be short of the true one.
	rounding = 1e-3
	// convexRadius is a radius below which what lies between two points of a
	// circle lies in the circle too; a quarter of the Earth would do.
	convexRadius = 5_000_000.0
	// maxEdge is the longest edge of a polygon whose course is trusted.
	// RFC 5491, 5.1 wants 130 km at most.
	maxEdge = 500_000.0
)

func rad(deg float64) float64 { return deg * (math.Pi / 180) }

// distance is the length of the shortest way on the ellipsoid, by Vincenty's
// inverse formula. Where that does not converge, which is near the opposite side
// of the Earth, it returns farthest; so it is never too short.
func distance(a, b Position) float64 {
	l := rad(math.Mod(b.Lon-a.Lon+540, 360) - 180)
	if a.Lat == b.Lat && (l == 0 || math.Abs(a.Lat) == 90) {
		return 0
	}
	u1, u2 := math.Atan((1-flattening)*math.Tan(rad(a.Lat))), math.Atan((1-flattening)*math.Tan(rad(b.Lat)))
	sinU1, cosU1 := math.Sincos(u1)
	sinU2, cosU2 := math.Sincos(u2)
	lambda := l
	for range 100 {
		sinL, cosL := math.Sincos(lambda)
		sinS := math.Hypot(cosU2*sinL, cosU1*sinU2-sinU1*cosU2*cosL)
		if sinS == 0 {
			if cosL > 0 {
				return 0
			}
			return farthest
		}
		cosS := sinU1*sinU2 + cosU1*cosU2*cosL
		s := math.Atan2(sinS, cosS)
		sinA := cosU1 * cosU2 * sinL / sinS
		cos2A := 1 - sinA*sinA
		cos2M := 0.0 // along the equator
		if cos2A > 1e-15 {
			cos2M = cosS - 2*sinU1*sinU2/cos2A
		}
		c := flattening / 16 * cos2A * (4 + flattening*(4-3*cos2A))
		was := lambda
		lambda = l + (1-c)*flattening*sinA*(s+c*sinS*(cos2M+c*cosS*(2*cos2M*cos2M-1)))
		if math.Abs(lambda) > math.Pi {
			return farthest
		}
		if math.Abs(lambda-was) > 1e-13 {
			continue
		}
		k := cos2A * (equatorial*equatorial - polar*polar) / (polar * polar)
		ka := 1 + k/16384*(4096+k*(-768+k*(320-175*k)))
		kb := k / 1024 * (256 + k*(-128+k*(74-47*k)))
		ds := kb * sinS * (cos2M + kb/4*(cosS*(2*cos2M*cos2M-1)-kb/6*cos2M*(4*sinS*sinS-3)*(4*cos2M*cos2M-3)))
		return polar*ka*(s-ds) + rounding
	}
	return farthest
}

// travel goes a distance in a direction on the sphere of the mean radius.
func travel(from Position, bearing, metres float64) Position {
	sinD, cosD := math.Sincos(metres / meanRadius)
	sinB, cosB := math.Sincos(rad(bearing))
	sinLat, cosLat := math.Sincos(rad(from.Lat))
	sinTo := min(1, max(-1, sinLat*cosD+cosLat*sinD*cosB))
	lon := from.Lon + math.Atan2(sinB*sinD*cosLat, cosD-sinLat*sinTo)*180/math.Pi
	return Position{Lat: math.Asin(sinTo) * 180 / math.Pi, Lon: wrap(lon)}
}

// wrap brings a longitude to -180 < lon <= 180, as RFC 6772, appendix B has it.
func wrap(lon float64) float64 {
	switch {
	case lon > 180:
		return lon - 360
	case lon <= -180:
		return lon + 360
	}
	return lon
}

// within reports whether the shape lies completely within the circle of radius r
// around c (RFC 6772, 4.1), altitudes aside. It errs to false: a location that
// may reach over the edge is not within.
func (s Shape) within(c Position, r float64) bool {
	if r >= farthest {
		return true
	}
	switch s.Kind {
	case Polygon, Prism:
		return s.ringWithin(c, r)
	case ArcBand:
		return distance(c, s.Center)+s.Radius <= r || s.bandWithin(c, r)
	}
	return distance(c, s.Center)+s.reach() <= r
}

// reach is how far the shape goes from its centre on the ground. Below the
// ground a length spans more of the surface.
func (s Shape) reach() float64 {
	reach := max(s.Radius, s.SemiMajor, s.SemiMinor)
	if s.Center.Alt < 0 {
		reach *= meanRadius / (meanRadius + s.Center.Alt)
	}
	return reach
}

// ringWithin asks for the corners, and allows for edges that somebody has drawn
// as straight lines of a map: such a line leaves the shortest way by less than
// the square of its length over the Earth's radius, up to 80 degrees of latitude.
func (s Shape) ringWithin(c Position, r float64) bool {
	if r > convexRadius {
		return false
	}
	last := s.Vertices[len(s.Vertices)-1]
	for _, v := range s.Vertices {
		edge := distance(last, v)
		if edge > maxEdge || math.Abs(v.Lat) > 80 || distance(c, v)+edge*edge/meanRadius > r {
			return false
		}
		last = v
	}
	return true
}

// bandStep is the largest angle that bandWithin looks at as one piece.
const bandStep = 5.0

// bandWithin cuts the band into pieces, each within a circle around its middle:
// no point of it is farther than half the band's width and then along an arc.
func (s Shape) bandWithin(c Position, r float64) bool {
	if s.Radius > maxEdge {
		return false
	}
	pieces := max(1, math.Ceil(s.Opening/bandStep))
	step := s.Opening / pieces
	reach := (s.Radius-s.Inner)/2 + s.Radius*rad(step)/2 + s.Radius*sphereError
	for i := range int(pieces) {
		middle := travel(s.Center, s.Start+step*(float64(i)+0.5), (s.Inner+s.Radius)/2)
		if distance(c, middle)+reach > r {
			return false
		}
	}
	return true
}

// middle is the place that stands for the shape where one is needed, and how far
// the shape goes from it. ok is false where there is none.
func (s Shape) middle() (p Position, reach float64, ok bool) {
	switch s.Kind {
	case Polygon, Prism:
		return s.centroid()
	case ArcBand:
		aside := (s.Radius-s.Inner)/2 + s.Radius*rad(s.Opening)/2
		if aside < s.Radius && s.Radius <= maxEdge {
			return travel(s.Center, s.Start+s.Opening/2, (s.Inner+s.Radius)/2), aside, true
		}
		return s.Center, s.Radius, true
	}
	return s.Center, s.reach(), true
}

// centroid is the direction of the corners' mean, which knows no date line.
func (s Shape) centroid() (p Position, reach float64, ok bool) {
	var x, y, z float64
	for _, v := range s.Vertices {
		sinLat, cosLat := math.Sincos(rad(v.Lat))
		sinLon, cosLon := math.Sincos(rad(v.Lon))
		x, y, z = x+cosLat*cosLon, y+cosLat*sinLon, z+sinLat
	}
	flat := math.Hypot(x, y)
	if math.Hypot(flat, z) < 1e-3*float64(len(s.Vertices)) {
		return Position{}, 0, false
	}
	p = Position{Lat: math.Atan2(z, flat) * 180 / math.Pi, Lon: wrap(math.Atan2(y, x) * 180 / math.Pi)}
	for _, v := range s.Vertices {
		reach = max(reach, distance(p, v))
	}
	return p, reach, true
}
