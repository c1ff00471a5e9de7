package location

import (
	"bytes"
	"strconv"
	"time"

	"github.com/tacit-presence/tacit/xmltree"
)

// Options are what Edit needs beside rules and object.
type Options struct {
	// Band is the presentity's, by configuration. A place outside of its latitudes
	// is not told geodetically unless whole.
	Band Band
	// Now is when the location is told: set-retention-expiry counts from it
	// (RFC 6772, 6.2). Documents that shall be equal need the same.
	Now time.Time
	// Coarse is of how many seconds told times are whole multiples; 0: as they
	// are. A retention-expiry of the presentity's is rounded down as well: it is
	// mostly a fixed time after the location's own. One that Now makes tells nothing
	// of it, and stays.
	Coarse int
	// Circles are those of all objects that are told of the presentity; nil: none
	// is beside this one.
	Circles *Circles
}

// Edit gives the splices that make of one geopriv element what the permission
// grants, in order; remove says that nothing is left of it and that the
// element must go. Editing what Edit has made, with the same options, changes
// nothing.
//
// Whole leaves all but the usage rules as it is. All else is written anew from
// what is understood: the first shape as a circle, civic addresses by level, usage
// rules. The other shapes are left out, for circles of several cells meet in less
// than one; so are the method, which tells how precise the location is or which
// network it comes from, and provided-by, of which RFC 4119, 2.2.4 itself says
// that it can tell a place within four blocks; and other elements, attributes and
// comments, relative locations among them.
func (p Permission) Edit(doc *xmltree.Doc, geopriv xmltree.Node, o Options) (edits []xmltree.Edit, remove bool) {
	if p.IsNothing() || !IsObject(doc, geopriv) {
		return nil, true
	}
	if p.Unchanged() && o.Coarse == 0 {
		return nil, false
	}
	object, _ := Read(doc, geopriv) // what has faults is left out
	if p.whole {
		if doc.FirstElement(geopriv) == xmltree.None {
			return nil, true // there is no place for usage rules, nor use
		}
		return p.editRules(&object, o), false
	}
	text := p.rewrite(&object, o)
	switch string(text) {
	case "":
		return nil, true
	case doc.Raw(geopriv):
		return nil, false
	}
	return []xmltree.Edit{{Span: object.Span, Text: string(text)}}, false
}

// rewrite writes an object anew, nothing if no location is left.
func (p Permission) rewrite(object *Object, o Options) []byte {
	dst := make([]byte, 0, 1024)
	dst = append(dst, `<gp:geopriv xmlns:gp="`+Space+`"><gp:location-info>`...)
	empty := len(dst)
	told := false // the circle
	for _, c := range object.chunks {
		if c.civic >= 0 {
			dst = appendOnce(dst, empty, object.Civic[c.civic].append(nil, p.civic))
			continue
		}
		if told {
			continue
		}
		told = true // a second shape is no better where the first has no circle
		s := object.Shapes[c.shape]
		if center, radius, ok := o.Band.coarsen(s, p.radius); ok {
			dst = appendCircle(dst, o.Circles.instead(s, coarse{center, radius}))
		}
	}
	if len(dst) == empty {
		return nil
	}
	dst = append(dst, `</gp:location-info><gp:usage-rules xmlns:gbp="`+BasicPolicySpace+`">`...)
	dst = p.appendRules(dst, object, o, "")
	return append(dst, `</gp:usage-rules></gp:geopriv>`...)
}

// appendOnce appends an address unless it has become the same as one before it.
func appendOnce(dst []byte, from int, address []byte) []byte {
	if bytes.Contains(dst[from:], address) {
		return dst
	}
	return append(dst, address...)
}

func appendCircle(dst []byte, c coarse) []byte {
	places := decimals(c.radius)
	dst = append(dst, `<gs:Circle xmlns:gs="`+ShapeSpace+`" xmlns:gml="`+GMLSpace+`" srsName="`+crs2D+`"><gml:pos>`...)
	dst = append(append(dst, formatAngle(c.center.Lat, places)...), ' ')
	dst = append(dst, formatAngle(c.center.Lon, places)...)
	dst = append(dst, `</gml:pos><gs:radius uom="`+metres+`">`...)
	dst = strconv.AppendFloat(dst, c.radius, 'f', -1, 64)
	return append(dst, `</gs:radius></gs:Circle>`...)
}

// outcome is what the usage rules become.
func (p Permission) outcome(u UsageRules, o Options) UsageRules {
	if !p.whole {
		u.NoteLang = languageAndScript(plainLang(u.NoteLang))
	}
	switch p.retransmission {
	case no:
		u.Retransmission = No
	case yes:
		u.Retransmission = Yes
	}
	switch {
	case p.expiry >= 0:
		u.Expiry = o.Now.Truncate(time.Second).Add(time.Duration(p.expiry) * time.Second)
	case o.Coarse > 0 && !u.Expiry.IsZero():
		u.Expiry = RoundDown(u.Expiry, o.Coarse)
	}
	if p.reference == no {
		u.Ruleset = ""
	}
	if p.notes != "" {
		u.NoteWell, u.NoteLang = noteText(splitNotes(p.notes))
	}
	return u
}

// RoundDown gives the last whole multiple of so many seconds since 1970 that is not
// after t, in UTC. seconds is above 0.
func RoundDown(t time.Time, seconds int) time.Time {
	sec, step := t.Unix(), int64(seconds)
	return time.Unix(sec-((sec%step)+step)%step, 0).UTC()
}

// appendRules writes the elements of usage-rules in the schema's order.
// declaration goes into each where gbp is not in scope.
func (p Permission) appendRules(dst []byte, object *Object, o Options, declaration string) []byte {
	u := p.outcome(object.Rules, o)
	element := func(name, lang, text string) {
		dst = append(append(append(dst, "<gbp:"...), name...), declaration...)
		dst = appendLang(dst, lang, Full)
		dst = append(append(dst, '>'), xmltree.EscapeAttr(text)...)
		dst = append(append(append(dst, "</gbp:"...), name...), '>')
	}
	switch u.Retransmission {
	case No:
		element("retransmission-allowed", "", "false")
	case Yes:
		element("retransmission-allowed", "", "true")
	}
	if t := u.Expiry.UTC(); !u.Expiry.IsZero() && t.Year() >= 0 && t.Year() <= 9999 {
		element("retention-expiry", "", t.Format(time.RFC3339Nano))
	}
	if u.Ruleset != "" {
		element("external-ruleset", "", u.Ruleset)
	}
	if u.NoteWell != "" {
		element("note-well", u.NoteLang, u.NoteWell)
	}
	return dst
}

const gbpDeclared = ` xmlns:gbp="` + BasicPolicySpace + `"`

// editRules sets the usage rules of an object that is told whole. Elements of
// usage-rules that are not RFC 4119's stay.
func (p Permission) editRules(object *Object, o Options) (edits []xmltree.Edit) {
	doc, n := object.Doc, object.Rules.Node
	if n == xmltree.None {
		if u := object.Rules; p.outcome(u, o) == u {
			return nil
		}
		text := p.appendRules([]byte(`<gp:usage-rules xmlns:gp="`+Space+`">`), object, o, gbpDeclared)
		return []xmltree.Edit{insertRules(object, string(append(text, `</gp:usage-rules>`...)))}
	}
	if p.changes(object, o) {
		if text := p.wholeRules(object, o); text != doc.Raw(n) {
			edits = append(edits, xmltree.Edit{Span: doc.Span(n), Text: text})
		}
	}
	for c := doc.NextElement(n); c != xmltree.None; c = doc.NextElement(c) {
		if doc.Is(c, Space, "usage-rules") { // a second one could say otherwise
			edits = append(edits, xmltree.Edit{Span: doc.Span(c)})
		}
	}
	return edits
}

// changes reports whether usage-rules must be written anew: also for a ruleset
// that is not a URI alone.
func (p Permission) changes(object *Object, o Options) bool {
	if p.outcome(object.Rules, o) != object.Rules {
		return true
	}
	doc := object.Doc
	for c := doc.FirstElement(object.Rules.Node); c != xmltree.None; c = doc.NextElement(c) {
		if p.reference == no && ruleOf(doc, c) == ruleRuleset {
			return true
		}
	}
	return false
}

// wholeRules writes usage-rules as it was but for what is set.
func (p Permission) wholeRules(object *Object, o Options) string {
	doc, n := object.Doc, object.Rules.Node
	span, inner := doc.Span(n), doc.Inner(n)
	name := doc.Local(n)
	if prefix := doc.Prefix(n); prefix != "" {
		name = prefix + ":" + name
	}
	text := []byte(doc.Source()[span.Start:inner.Start])
	if inner.Start == span.End { // a single tag
		text = append(text[:len(text)-len("/>")], '>')
	}
	text = p.appendRules(text, object, o, gbpDeclared)
	for c := doc.FirstElement(n); c != xmltree.None; c = doc.NextElement(c) {
		if ruleOf(doc, c) == ruleOther {
			text = append(text, doc.Raw(c)...)
		}
	}
	return string(append(append(append(text, "</"...), name...), '>'))
}

// insertRules puts usage-rules behind location-info, into an object that lacks
// them.
func insertRules(object *Object, text string) xmltree.Edit {
	doc := object.Doc
	for c := doc.FirstElement(object.Node); c != xmltree.None; c = doc.NextElement(c) {
		if doc.Is(c, Space, "location-info") {
			end := doc.Span(c).End
			return xmltree.Edit{Span: xmltree.Span{Start: end, End: end}, Text: text}
		}
	}
	inner := doc.Inner(object.Node)
	return xmltree.Edit{Span: xmltree.Span{Start: inner.Start, End: inner.Start}, Text: text}
}
