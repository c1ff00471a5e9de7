package location

import (
	"fmt"
	"log/slog"

	"github.com/tacit-presence/tacit/xmltree"
)

// The profiles of RFC 6772.
const (
	geodeticCondition      = "geodetic-condition"
	civicCondition         = "civic-condition"
	geodeticTransformation = "geodetic-transformation"
	civicTransformation    = "civic-transformation"
)

// maxPlaces bounds the <location> elements of one condition.
const maxPlaces = 256

// Target is where a presentity is: the location that RFC 5491, 3 (rule 8) says
// counts. The zero value is unknown.
type Target struct{ objects []Object }

// NewTarget takes all objects of a presentity in the order of its document. Only
// those of one component count: of the first device that has a location, else of
// the first tuple, else of the first person. Another component may be about
// another place (rule 3), so none is asked for a form that the first lacks.
func NewTarget(objects []Object) Target {
	best := -1
	for i := range objects {
		if !objects[i].Empty() && (best < 0 || objects[i].Place < objects[best].Place) {
			best = i
		}
	}
	if best < 0 {
		return Target{}
	}
	var t Target
	first := &objects[best]
	for i := range objects {
		if o := &objects[i]; !o.Empty() && o.Doc == first.Doc && o.Component == first.Component && (i == best || o.Component != xmltree.None) {
			t.objects = append(t.objects, *o)
		}
	}
	for i := range t.objects {
		t.objects[i].Doc = nil // it does not live as long
	}
	return t
}

// Unknown reports that there is no location.
func (t Target) Unknown() bool { return len(t.objects) == 0 }

// String tells the number of objects alone.
func (t Target) String() string { return fmt.Sprintf("target (%d locations)", len(t.objects)) }

// GoString is String: %#v shows no place either.
func (t Target) GoString() string { return t.String() }

// LogValue keeps locations out of logs.
func (t Target) LogValue() slog.Value { return slog.StringValue(t.String()) }

// within reports whether all that is known of the place geodetically lies in the
// circle. Shapes beside one another are of the same place (RFC 5491, 3, rule 6);
// one that is not understood may lie outside.
func (t Target) within(c Position, r float64) bool {
	known := false
	for i := range t.objects {
		if t.objects[i].Geodetic {
			return false
		}
		for _, s := range t.objects[i].Shapes {
			if !s.within(c, r) {
				return false
			}
			known = true
		}
	}
	return known
}

// has reports whether one civic address has all the items. Several are the same
// place in other languages (RFC 5139, 3.5).
func (t Target) has(items []Item) bool {
	for i := range t.objects {
		for j := range t.objects[i].Civic {
			if t.objects[i].Civic[j].has(items) {
				return true
			}
		}
	}
	return false
}

func (c *Civic) has(items []Item) bool {
	for i := range items {
		if v, ok := c.Value(items[i].Name); !ok || v != items[i].Value {
			return false
		}
	}
	return true
}

// place is one <location> of a condition that is understood.
type place struct {
	civic  bool
	items  []Item
	center Position
	radius float64
}

// Condition is a <location-condition> (RFC 6772, 4). The zero value never holds.
type Condition struct {
	strange bool // has an extension: it never holds
	places  []place
}

// ParseCondition reads a <location-condition>. A profile or an extension that is
// not understood is no error: what has it never holds (RFC 6772, 4). An error is
// an *Error of ErrCondition.
func ParseCondition(doc *xmltree.Doc, n xmltree.Node) (Condition, error) {
	var c Condition
	if !doc.Is(n, PolicySpace, "location-condition") {
		return c, bad(ErrCondition, n, "<%s> is not <location-condition> of %s", doc.Local(n), PolicySpace)
	}
	if hasText(doc, n) {
		return c, bad(ErrCondition, n, "<location-condition> has text between its elements")
	}
	count := 0
	for e := doc.FirstElement(n); e != xmltree.None; e = doc.NextElement(e) {
		if !doc.Is(e, PolicySpace, "location") {
			if today, ok := ObsoleteName(doc.Name(e)); ok {
				return Condition{}, bad(ErrCondition, e, "<%s> is of a draft; today it is %s", doc.Local(e), today)
			}
			if s := doc.Space(e); s == PolicySpace || s == "" {
				return Condition{}, bad(ErrCondition, e, "<%s> does not belong in <location-condition>", doc.Local(e))
			}
			c.strange = true
			continue
		}
		if count++; count > maxPlaces {
			return Condition{}, bad(ErrCondition, e, "<location-condition> has more than %d <location>", maxPlaces)
		}
		p, understood, err := parsePlace(doc, e)
		if err != nil {
			return Condition{}, err
		}
		if understood {
			c.places = append(c.places, p)
		}
	}
	if count == 0 {
		return Condition{}, bad(ErrCondition, n, "<location-condition> has no <location>")
	}
	return c, nil
}

// parsePlace reads a <location>.
func parsePlace(doc *xmltree.Doc, n xmltree.Node) (p place, understood bool, err error) {
	if a, ok := strangeAttr(doc, n, "profile", "label"); ok {
		return p, false, bad(ErrCondition, n, "<location> has no attribute %s", a)
	}
	if doc.FirstElement(n) == xmltree.None {
		return p, false, bad(ErrCondition, n, "<location> has no element")
	}
	if hasText(doc, n) {
		return p, false, bad(ErrCondition, n, "<location> has text between its elements")
	}
	for e := doc.FirstElement(n); e != xmltree.None; e = doc.NextElement(e) {
		if s := doc.Space(e); s == PolicySpace || s == "" {
			return p, false, bad(ErrCondition, e, "<%s> does not belong in <location>", doc.Local(e))
		}
	}
	profile, _ := doc.Attr(n, "", "profile")
	switch trim(profile) {
	case geodeticCondition:
		return parseGeodetic(doc, n)
	case civicCondition:
		return parseCivic(doc, n)
	case "":
		return p, false, bad(ErrCondition, n, "<location> has no profile")
	}
	return p, false, nil
}

// parseGeodetic reads the one Circle of the geodetic profile (RFC 6772, 4.1).
func parseGeodetic(doc *xmltree.Doc, n xmltree.Node) (p place, understood bool, err error) {
	circle := doc.FirstElement(n)
	if !doc.Is(circle, ShapeSpace, "Circle") {
		if _, ok := shapeKind(doc, circle); ok || doc.Space(circle) == ShapeSpace || doc.Space(circle) == GMLSpace {
			return p, false, bad(ErrCondition, circle, "<%s> is not the <Circle> of a geodetic-condition", doc.Local(circle))
		}
		return p, false, nil
	}
	s, fault := readShape(doc, circle, Circle)
	if fault != nil {
		return p, false, as(ErrCondition, fault)
	}
	if more := doc.NextElement(circle); more != xmltree.None {
		if _, ok := shapeKind(doc, more); ok {
			return p, false, bad(ErrCondition, more, "<location> has more than one shape: each belongs in a <location> of its own")
		}
		return p, false, nil // an extension that may narrow the circle
	}
	return place{center: s.Center, radius: s.Radius}, true, nil
}

// parseCivic reads the civic profile (RFC 6772, 4.2): civic elements as section 7
// has them, or a civicAddress with them; all of them must be equal.
func parseCivic(doc *xmltree.Doc, n xmltree.Node) (p place, understood bool, err error) {
	p.civic, understood = true, true
	for e := doc.FirstElement(n); e != xmltree.None; e = doc.NextElement(e) {
		if civicSpace(doc, e) == "" {
			item, simple := readItem(doc, e)
			if !simple && item.Name.Space == CivicSpace {
				return p, false, bad(ErrCondition, e, "<%s> has elements in its text", item.Name.Local)
			}
			understood = understood && simple
			p.items = append(p.items, item)
		} else {
			a, fault := readCivic(doc, e)
			if fault != nil {
				return p, false, as(ErrCondition, fault)
			}
			understood = understood && len(a.Items) == elements(doc, e)
			p.items = append(p.items, a.Items...)
		}
		if len(p.items) > maxItems {
			return p, false, bad(ErrCondition, e, "a civic-condition has more than %d elements", maxItems)
		}
	}
	if len(p.items) == 0 && understood {
		// all of nothing would hold everywhere
		return p, false, bad(ErrCondition, n, "a civic-condition has no civic element")
	}
	return p, understood, nil
}

// elements counts an element's children that are elements.
func elements(doc *xmltree.Doc, n xmltree.Node) (count int) {
	for e := doc.FirstElement(n); e != xmltree.None; e = doc.NextElement(e) {
		count++
	}
	return count
}

// Holds reports whether the target is in one of the places.
func (c Condition) Holds(t Target) bool {
	if c.strange {
		return false
	}
	for i := range c.places {
		if p := &c.places[i]; p.civic && t.has(p.items) || !p.civic && t.within(p.center, p.radius) {
			return true
		}
	}
	return false
}

// String tells the number of places alone.
func (c Condition) String() string {
	return fmt.Sprintf("location condition (%d places)", len(c.places))
}

// GoString is String: %#v shows no place either.
func (c Condition) GoString() string { return c.String() }

// LogValue keeps places out of logs.
func (c Condition) LogValue() slog.Value { return slog.StringValue(c.String()) }

// strangeAttr finds an attribute that is neither one of the known ones, nor a
// namespace declaration, nor XML's own: a misspelt one must not be as good as none.
func strangeAttr(doc *xmltree.Doc, n xmltree.Node, known ...string) (string, bool) {
next:
	for i := range doc.NumAttrs(n) {
		a := doc.AttrAt(n, i)
		if a.Declares() || a.Space() == xmltree.XMLSpace {
			continue
		}
		for _, k := range known {
			if a.Space() == "" && a.Local() == k {
				continue next
			}
		}
		return a.Local(), true
	}
	return "", false
}
