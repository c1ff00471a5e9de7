// Package location is where a presentity is and how much of it may be told:
// PIDF-LO (RFC 4119, 5139, 5491) is read, the conditions of RFC 6772, 4 are
// asked, its transformations (6) are combined to a Permission, and a Permission
// makes of one location object what it grants.
//
// What is not granted whole is written anew from what has been understood, so
// that attributes, comments and extensions that nobody has thought of cannot
// tell more than was granted.
package location

import (
	"errors"
	"fmt"

	"github.com/tacit-presence/tacit/xmltree"
)

// The namespaces of location objects and of the rules about them.
const (
	Space            = "urn:ietf:params:xml:ns:pidf:geopriv10"
	BasicPolicySpace = "urn:ietf:params:xml:ns:pidf:geopriv10:basicPolicy"
	CivicSpace       = "urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr"
	OldCivicSpace    = "urn:ietf:params:xml:ns:pidf:geopriv10:civicLoc" // RFC 4119, 2.2.5
	GMLSpace         = "http://www.opengis.net/gml"
	ShapeSpace       = "http://www.opengis.net/pidflo/1.0"
	PolicySpace      = "urn:ietf:params:xml:ns:geolocation-policy"
	ProfileSpace     = "urn:ietf:params:xml:ns:basic-location-profiles"
)

// The systems and units that RFC 5491, 5 allows.
const (
	crs2D   = "urn:ogc:def:crs:EPSG::4326"
	crs3D   = "urn:ogc:def:crs:EPSG::4979"
	metres  = "urn:ogc:def:uom:EPSG::9001"
	radians = "urn:ogc:def:uom:EPSG::9101"
	degrees = "urn:ogc:def:uom:EPSG::9102"
)

// What is wrong with an element; each Error wraps one of them.
var (
	ErrObject         = errors.New("bad location object")
	ErrCondition      = errors.New("bad location condition")
	ErrTransformation = errors.New("bad location transformation")
)

// Error says which element breaks which rule, without the location itself.
type Error struct {
	Kind   error        // ErrObject, ErrCondition or ErrTransformation
	Node   xmltree.Node // the element at fault
	Phrase string       // for people; fit for XCAP's constraint-failure
}

// Error gives kind and phrase.
func (e *Error) Error() string { return e.Kind.Error() + ": " + e.Phrase }

// Unwrap returns the kind.
func (e *Error) Unwrap() error { return e.Kind }

func bad(kind error, n xmltree.Node, format string, args ...any) *Error {
	return &Error{Kind: kind, Node: n, Phrase: fmt.Sprintf(format, args...)}
}

// as turns the error of a shape in a rule into the rule's kind.
func as(kind error, err *Error) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: kind, Node: err.Node, Phrase: err.Phrase}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// trim removes XML's white space around s.
func trim(s string) string {
	for s != "" && isSpace(s[0]) {
		s = s[1:]
	}
	for s != "" && isSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

// collapse makes s an xs:token: single spaces between words (RFC 5139, 3.6). It
// allocates only where that changes more than the ends.
func collapse(s string) string {
	s = trim(s)
	clean := true
	for i := 0; i < len(s) && clean; i++ {
		clean = s[i] != '\t' && s[i] != '\n' && s[i] != '\r' && (s[i] != ' ' || s[i-1] != ' ')
	}
	if clean {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := range len(s) {
		switch {
		case !isSpace(s[i]):
			b = append(b, s[i])
		case b[len(b)-1] != ' ':
			b = append(b, ' ')
		}
	}
	return string(b)
}

// hasText reports text other than white space directly in an element.
func hasText(doc *xmltree.Doc, n xmltree.Node) bool { return trim(doc.Text(n)) != "" }
