package location

import (
	"strings"

	"github.com/tacit-presence/tacit/xmltree"
)

const ietfSpaces = "urn:ietf:params:xml:ns:"

// ObsoleteName recognises an element of the drafts that became RFC 6772 and says
// what has its place today, for the phrase of an error. Nothing else is done with
// such elements: what they meant differs from draft to draft.
func ObsoleteName(n xmltree.Name) (today string, ok bool) {
	if !strings.HasPrefix(n.Space, ietfSpaces) {
		return "", false
	}
	const (
		geo       = `<provide-geo radius="…"> in <provide-location profile="geodetic-transformation">`
		civic     = `<provide-civic> in <provide-location profile="civic-transformation">`
		inCivic   = `<location profile="civic-condition">`
		inGeo     = `<location profile="geodetic-condition">`
		retransm  = `<set-retransmission-allowed>`
		retention = `<set-retention-expiry>`
	)
	switch n.Local {
	case "lat-resolution", "lon-resolution", "alt-resolution", "geodetic-loc-transformation", "geospatial-loc-transformation",
		"geodetic-transformation", "geospatial-transformation", "provide-geospatial":
		return geo, true
	case "civic-loc-transformation", "civic-transformation":
		return civic, true
	case "civic-condition", "civic-loc-condition", "civil-loc-condition":
		return inCivic, true
	case "geodetic-condition", "geodetic-loc-condition", "geospatial-condition", "geospatial-loc-condition":
		return inGeo, true
	case "distribution-transformation", "set-distribution", "distribution":
		return retransm, true
	case "retention-transformation", "set-retention", "keep-transformation":
		return retention, true
	case "note-well-transformation":
		return `<set-note-well>`, true
	case "keep-rules-reference", "keep-ruleset-reference", "external-ruleset-transformation":
		return `<keep-rule-reference>`, true
	}
	return "", false
}
