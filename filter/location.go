package filter

import (
	"slices"
	"strings"

	"github.com/tacit-presence/tacit/xmltree"
)

// locationType is <locationType> (RFC 6447, 3.5).
type locationType struct {
	types []string // civic, geodetic; none: any
	exact bool
}

func readLocationType(doc *xmltree.Doc, n xmltree.Node) (*locationType, error) {
	l := new(locationType)
	var err error
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
// or where one that is asked for is there.
func (l *locationType) apply(s *selection) {
	if l.types == nil {
		return
	}
	for n := s.doc.Root(); n < xmltree.Node(s.doc.Len()); n++ {
		if s.doc.Kind(n) != xmltree.KindElement || !s.doc.Is(n, geoprivSpace, "location-info") {
			continue
		}
		wanted, others := 0, []xmltree.Node(nil)
		for c := s.doc.FirstElement(n); c != xmltree.None; c = s.doc.NextElement(c) {
			if slices.Contains(l.types, formOf(s.doc, c)) {
				wanted++
			} else {
				others = append(others, c)
			}
		}
		switch {
		case wanted == 0 && l.exact:
			// Nothing of it is what was asked for: the location object goes.
			s.gone[s.doc.Parent(n)] = true
		case wanted > 0:
			for _, c := range others {
				s.gone[c] = true
			}
		}
	}
}

// formOf tells civic addresses and geodetic shapes by their namespaces.
func formOf(doc *xmltree.Doc, n xmltree.Node) string {
	switch space := doc.Space(n); {
	case strings.HasPrefix(space, geoprivSpace+":civic"):
		return "civic"
	case space == "http://www.opengis.net/gml" || space == "http://www.opengis.net/pidflo/1.0":
		return "geodetic"
	}
	return ""
}

// readLocation reads a trigger of RFC 6447.
func (t *trigger) readLocation(doc *xmltree.Doc, n xmltree.Node) error {
	return bad("<%s> of namespace %q is not understood in <trigger>", doc.Local(n), doc.Space(n))
}
