package filter

import (
	"slices"
	"strings"

	"github.com/tacit-presence/tacit/location"
	"github.com/tacit-presence/tacit/xmltree"
)

// RFC 6447, figure 2, has for RFC 5962's namespace one that RFC 5962 does not
// define: what is asked of the first is asked of the second.
const (
	dynamicSpace = "urn:ietf:params:xml:ns:pidf:geopriv10:dynamic"
	figure2Space = "urn:ietf:params:xml:schema:pidf:dynamic"
)

// locationType is <locationType> (RFC 6447, 3.5).
type locationType struct {
	types []string // civic, geodetic; none: any
	exact bool
}

func readLocationType(doc *xmltree.Doc, n xmltree.Node) (*locationType, error) {
	l := new(locationType)
	var err error
	if doc.FirstElement(n) != xmltree.None {
		return nil, bad("<locationType> holds an element")
	}
	if l.exact, err = boolean(doc, n, "exact", false); err != nil {
		return nil, err
	}
	l.types = strings.Fields(doc.Text(n))
	for _, t := range l.types {
		if t != "civic" && t != "geodetic" && (t != "any" || len(l.types) > 1) {
			return nil, bad("the location type %q is not understood", t)
		}
	}
	if len(l.types) == 0 {
		return nil, bad("<locationType> names no type")
	}
	if l.types[0] == "any" {
		l.types = nil
	}
	return l, nil
}

// apply drops locations of other types, where exactly the asked ones are wanted,
// or where one that is asked for is there. Their order stays: a filter removes.
func (l *locationType) apply(s *selection) {
	if l.types == nil {
		return
	}
	for _, object := range location.AppendNodes(nil, s.doc, s.doc.Root()) {
		wanted, others := 0, []xmltree.Node(nil)
		for info := s.doc.FirstElement(object); info != xmltree.None; info = s.doc.NextElement(info) {
			if !s.doc.Is(info, location.Space, "location-info") {
				continue
			}
			for c := s.doc.FirstElement(info); c != xmltree.None; c = s.doc.NextElement(c) {
				if slices.Contains(l.types, formOf(s.doc, c)) {
					wanted++
				} else {
					others = append(others, c)
				}
			}
		}
		switch {
		case wanted == 0 && l.exact:
			// Nothing of it is what was asked for: the location object goes.
			s.states[object] |= barred
		case wanted > 0:
			for _, c := range others {
				s.states[c] |= barred
			}
		}
	}
}

// formOf tells civic addresses and geodetic shapes by their namespaces.
func formOf(doc *xmltree.Doc, n xmltree.Node) string {
	switch doc.Space(n) {
	case location.CivicSpace, location.OldCivicSpace:
		return "civic"
	case location.GMLSpace, location.OldGMLSpace, location.ShapeSpace:
		return "geodetic"
	}
	return ""
}

// where is what a trigger of RFC 6447 asks for.
type where struct {
	moved   float64 // metres
	region  location.Shape
	regions bool // it is an <enterOrExit>, else a <moved>
}

// readWhere reads <moved> or <enterOrExit> (RFC 6447, 3.1 and 3.4).
func readWhere(doc *xmltree.Doc, n xmltree.Node) (w where, err error) {
	switch doc.Local(n) {
	case "moved":
		var ok bool
		if w.moved, ok = number(strings.Trim(doc.Text(n), blanks)); !ok || w.moved < 0 || doc.FirstElement(n) != xmltree.None {
			return w, bad("<moved> is no distance in metres")
		}
		return w, nil
	case "enterOrExit":
		shape := doc.FirstElement(n)
		if shape == xmltree.None || doc.NextElement(shape) != xmltree.None {
			return w, bad("<enterOrExit> needs one circle or polygon")
		}
		if w.region, err = location.ReadShape(doc, shape); err != nil {
			return w, bad("<enterOrExit>: %v", err)
		}
		if k := w.region.Kind; k != location.Circle && k != location.Polygon || w.region.Solid {
			return w, bad("<enterOrExit> has neither a circle nor a polygon in two dimensions")
		}
		w.regions = true
		return w, nil
	}
	return w, bad("<%s> of namespace %q is not understood in <trigger>", doc.Local(n), doc.Space(n))
}

// place is where a presentity is by the document that a watcher may see.
func place(doc *xmltree.Doc) (location.Shape, bool) {
	objects, _ := location.ReadAll(doc, doc.Root()) // what can be read counts
	return location.NewTarget(objects).Shape()
}

// fires compares two places; the first is what was told last (RFC 6447, 3.1). One
// that becomes known is told, for there is nothing to measure it by.
func (w *where) fires(from location.Shape, known bool, to location.Shape) bool {
	if w.regions {
		return w.crossed(from, known, to)
	}
	if !known {
		return true
	}
	distance, ok := location.Distance(from, to)
	return ok && distance >= w.moved
}

// half is the confidence that RFC 6447, 3.4 asks for.
const half = 0.5

// crossed reports whether the target is now surely in the region and was not, or
// is surely out and was not. Where it was not sure what was told, either is news;
// where no place has been told, only that it is in.
func (w *where) crossed(from location.Shape, known bool, to location.Shape) bool {
	wasIn, wasOut := 0.0, 1.0
	if known {
		wasIn, wasOut = from.Confidence(w.region)
	}
	in, out := to.Confidence(w.region)
	return in >= half && wasIn < half || out >= half && wasOut < half
}
