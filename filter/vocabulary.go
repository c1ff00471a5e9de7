package filter

import (
	"github.com/tacit-presence/tacit/location"
	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/xmltree"
)

// winfoSpace is watcher information's (RFC 3858).
const winfoSpace = "urn:ietf:params:xml:ns:watcherinfo"

// known reports whether it is known which attributes the elements of a namespace
// need. Those of others keep what they have, for they may need it.
func known(space string) bool {
	return space == pidf.Space || space == pidf.DataModelSpace || space == pidf.RPIDSpace || space == winfoSpace
}

// needsAttr reports whether an element is not valid without an attribute
// (RFC 3863, 4.4; RFC 4479, 5.1; RFC 3858, 6).
func needsAttr(doc *xmltree.Doc, n xmltree.Node, name xmltree.Name) bool {
	if name.Space != "" {
		return false
	}
	switch doc.Local(n) {
	case "presence":
		return doc.Space(n) == pidf.Space && name.Local == "entity"
	case "tuple":
		return doc.Space(n) == pidf.Space && name.Local == "id"
	case "person", "device":
		return doc.Space(n) == pidf.DataModelSpace && name.Local == "id"
	case "watcherinfo":
		return doc.Space(n) == winfoSpace && (name.Local == "version" || name.Local == "state")
	case "watcher-list":
		return doc.Space(n) == winfoSpace && (name.Local == "resource" || name.Local == "package")
	case "watcher":
		return doc.Space(n) == winfoSpace && (name.Local == "status" || name.Local == "event" || name.Local == "id")
	}
	return false
}

// needsChild reports whether parent is not valid without n, a child of it
// (RFC 3863, 4.4; RFC 4479, 5.1; RFC 4119, 2.2.5).
func needsChild(doc *xmltree.Doc, parent, n xmltree.Node) bool {
	switch doc.Local(parent) {
	case "tuple":
		return doc.Is(n, pidf.Space, "status") && doc.Space(parent) == pidf.Space
	case "device":
		return doc.Is(n, pidf.DataModelSpace, "deviceID") && doc.Space(parent) == pidf.DataModelSpace
	case "geopriv":
		return doc.Space(parent) == location.Space && (doc.Is(n, location.Space, "location-info") || doc.Is(n, location.Space, "usage-rules"))
	}
	return false
}

// needsOne reports whether an element is not valid when it has no child at all
// but notes (RFC 3863, 4.1.3; RFC 4480, 5.1; RFC 4119, 2.2.1).
func needsOne(doc *xmltree.Doc, n xmltree.Node) bool {
	switch doc.Local(n) {
	case "status":
		return doc.Space(n) == pidf.Space
	case "mood", "place-type", "relationship", "service-class":
		return doc.Space(n) == pidf.RPIDSpace
	case "audio", "video", "text":
		return doc.Space(n) == pidf.RPIDSpace && doc.Is(doc.Parent(n), pidf.RPIDSpace, "place-is")
	case "location-info":
		return doc.Space(n) == location.Space
	}
	return false
}

// counts reports whether a child is one of those that needsOne asks for.
func counts(doc *xmltree.Doc, n xmltree.Node) bool { return !doc.Is(n, pidf.RPIDSpace, "note") }

// indivisible reports whether an element makes sense, and is valid, as a whole
// only: a circle without its radius is not the circle that was told. So is a
// service's description (OMA's presence data specification).
func indivisible(doc *xmltree.Doc, n xmltree.Node) bool {
	switch doc.Space(n) {
	case location.GMLSpace, location.OldGMLSpace, location.ShapeSpace:
		return location.IsShape(doc, n) || doc.Space(doc.Parent(n)) == location.Space
	case location.BasicPolicySpace:
		return true
	case pidf.OMASpace:
		return doc.Local(n) == "service-description"
	}
	return doc.Is(n, location.Space, "usage-rules")
}
