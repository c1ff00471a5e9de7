package schema

import (
	"strings"

	"github.com/tacit-presence/tacit/xmltree"
)

// each calls fn for every element until it finds a fault.
func each(d *xmltree.Doc, fn func(xmltree.Node) *Error) error {
	for n := d.Root(); int(n) < d.Len(); n++ {
		if d.Kind(n) != xmltree.KindElement {
			continue
		}
		if e := fn(n); e != nil {
			return e
		}
	}
	return nil
}

// policyRules are what RFC 4745 says beside its schema.
func policyRules(d *xmltree.Doc) error {
	return each(d, func(n xmltree.Node) *Error {
		if d.Space(n) != CommonPolicySpace {
			return nil
		}
		switch d.Local(n) {
		case "validity":
			return validityPairs(d, n)
		case "except":
			_, byID := d.Attr(n, "", "id")
			_, byDomain := d.Attr(n, "", "domain")
			// RFC 4745, 7.1.3: an exception is one user or one domain; one of
			// neither would silently except nobody.
			if byID == byDomain {
				return fault(Constraint, d, n, "", tag(d, n)+" must have either id or domain")
			}
		}
		return nil
	})
}

// validityPairs holds that each <until> is after its <from>: RFC 4745, 7.4: a
// pair is from its start until before its end, so that the other way round it
// never holds.
func validityPairs(d *xmltree.Doc, n xmltree.Node) *Error {
	for from := d.FirstElement(n); from != xmltree.None; {
		until := d.NextElement(from)
		start, _ := instant(collapse(d.Text(from)))
		end, _ := instant(collapse(d.Text(until)))
		if !start.Before(end) {
			return fault(Constraint, d, until, "", tag(d, until)+" must be later than the "+tag(d, from)+" before it")
		}
		from = d.NextElement(until)
	}
	return nil
}

// presenceRules are what RFC 5025 says beside its schema.
func presenceRules(d *xmltree.Doc) error {
	return each(d, func(n xmltree.Node) *Error {
		if !d.Is(n, PresRulesSpace, "provide-unknown-attribute") {
			return nil
		}
		// RFC 5025, 3.3.2.14: a name without prefix, and a namespace's URI.
		if name, _ := d.Attr(n, "", "name"); !xmltree.IsNCName(name) {
			return fault(Constraint, d, n, "name", "the name in "+tag(d, n)+" must be an element's name without prefix")
		}
		if ns, _ := d.Attr(n, "", "ns"); ns == "" || !isURI(ns) {
			return fault(Constraint, d, n, "ns", "the ns of "+tag(d, n)+" must be the URI of a namespace")
		}
		return nil
	})
}

// What RFC 6772 calls the profiles, and the shape of a place.
const (
	civicCondition         = "civic-condition"
	geodeticCondition      = "geodetic-condition"
	civicTransformation    = "civic-transformation"
	geodeticTransformation = "geodetic-transformation"

	shapeSpace = "http://www.opengis.net/pidflo/1.0"
	wgs84      = "urn:ogc:def:crs:EPSG::4326"
)

// locationRules are what RFC 6772 says beside its schemas.
func locationRules(d *xmltree.Doc) error {
	return each(d, func(n xmltree.Node) *Error {
		switch d.Name(n) {
		case xmltree.Name{Space: GeoPolicySpace, Local: "location-condition"}:
			return hasLocation(d, n)
		case xmltree.Name{Space: GeoPolicySpace, Local: "location"}:
			return locationProfile(d, n)
		case xmltree.Name{Space: GeoPolicySpace, Local: "provide-location"}:
			return provideLocation(d, n)
		case xmltree.Name{Space: GeoPolicySpace, Local: "set-retention-expiry"}:
			// RFC 6772, 6.2: not negative, which the schema does not say.
			if !natural.valid(d.Text(n)) && collapse(d.Text(n)) != "" {
				return fault(Constraint, d, n, "", tag(d, n)+" must be a number of seconds, not negative")
			}
		case xmltree.Name{Space: LocationProfileSpace, Local: "provide-geo"}:
			radius, ok := d.Attr(n, "", "radius")
			// RFC 6772, 6.5.2: the radius is the whole meaning of the element.
			if !ok || !natural.valid(radius) {
				return fault(Constraint, d, n, "radius", tag(d, n)+" needs a radius in metres, not negative")
			}
		}
		return nil
	})
}

// hasLocation is RFC 6772, 4: at least one <location>, which the schema's choice
// of repeatable things does not ask for.
func hasLocation(d *xmltree.Doc, n xmltree.Node) *Error {
	for c := d.FirstElement(n); c != xmltree.None; c = d.NextElement(c) {
		if d.Is(c, GeoPolicySpace, "location") {
			return nil
		}
	}
	return fault(Constraint, d, n, "", tag(d, n)+" must hold a location")
}

// locationProfile is RFC 6772, 4.1: a place is a circle, of WGS 84 in two
// dimensions. Other profiles are whatever defines them.
func locationProfile(d *xmltree.Doc, n xmltree.Node) *Error {
	if profile, _ := d.Attr(n, "", "profile"); profile != geodeticCondition {
		return nil
	}
	c := d.FirstElement(n)
	if c == xmltree.None || !d.Is(c, shapeSpace, "Circle") || d.NextElement(c) != xmltree.None {
		return fault(Constraint, d, n, "", tag(d, n)+" of profile "+geodeticCondition+" must hold one Circle")
	}
	if srs, _ := d.Attr(c, "", "srsName"); srs != wgs84 {
		return fault(Constraint, d, c, "srsName", "the srsName of "+tag(d, c)+" must be "+wgs84)
	}
	if _, ok := d.Attr(c, "", "srsDimension"); ok {
		return fault(Constraint, d, c, "srsDimension", tag(d, c)+" must not have srsDimension")
	}
	return nil
}

// provideLocation is RFC 6772, 6.5: child elements need a profile, and are those
// of it. A profile without them, which should not be, fits the schema and is
// taken: it tells nothing, so nobody is told more than whoever wrote it thinks.
func provideLocation(d *xmltree.Doc, n xmltree.Node) *Error {
	profile, ok := d.Attr(n, "", "profile")
	first := d.FirstElement(n)
	if !ok && first != xmltree.None {
		return fault(Constraint, d, n, "profile", tag(d, n)+" with child elements must have a profile")
	}
	want := ""
	switch profile {
	case civicTransformation:
		want = "provide-civic"
	case geodeticTransformation:
		want = "provide-geo"
	default:
		return nil
	}
	for c := first; c != xmltree.None; c = d.NextElement(c) {
		if !d.Is(c, LocationProfileSpace, want) {
			return fault(Constraint, d, c, "", tag(d, c)+" does not belong to the profile "+profile+", which has <"+want+">")
		}
	}
	return nil
}

// today gives, for an element that drafts of RFC 6772 had, the one that its final
// text has for the purpose, or nothing.
func today(local string) string {
	switch local {
	case "lat-resolution", "lon-resolution", "alt-resolution", "geodetic-loc-transformation":
		return "<provide-geo radius=\"…\"/> in <provide-location profile=\"geodetic-transformation\">"
	case "civic-loc-transformation":
		return "<provide-civic> in <provide-location profile=\"civic-transformation\">"
	case "distribution-transformation":
		return "<set-retransmission-allowed>"
	case "retention-transformation":
		return "<set-retention-expiry>"
	case "keep-ruleset-reference-transformation", "keep-rule-reference-transformation":
		return "<keep-rule-reference>"
	case "civic-loc-condition", "geodetic-loc-condition":
		return "<location-condition> with a <location profile=\"…\">"
	}
	return ""
}

// obsoleteNames refuses elements of old drafts, wherever they stand and in
// whichever namespace of the IETF, or none. A name of somebody else's namespace
// is theirs.
func obsoleteNames(d *xmltree.Doc) error {
	if d == nil || d.Len() < 2 {
		return nil
	}
	return each(d, func(n xmltree.Node) *Error {
		if len(d.Local(n)) < len("lat-resolution") {
			return nil
		}
		ns := d.Space(n)
		if ns != "" && !strings.HasPrefix(ns, "urn:ietf:params:xml:ns:") {
			return nil
		}
		if now := today(d.Local(n)); now != "" {
			return fault(Constraint, d, n, "", tag(d, n)+" is of a draft of RFC 6772; today it is "+now)
		}
		return nil
	})
}
