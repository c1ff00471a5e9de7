package location

import (
	"math"

	"github.com/tacit-presence/tacit/xmltree"
)

// Transformations collects the children of one rule's <transformations> that
// RFC 6772, 6 defines. The zero value is a rule without any.
type Transformations struct{ p Permission }

// Read takes one child. known is false for what is none of RFC 6772's elements.
// An error is an *Error of ErrTransformation; the element then grants nothing.
func (t *Transformations) Read(doc *xmltree.Doc, n xmltree.Node) (known bool, err error) {
	if today, ok := ObsoleteName(doc.Name(n)); ok {
		return false, bad(ErrTransformation, n, "<%s> is of a draft; today it is %s", doc.Local(n), today)
	}
	if doc.Space(n) != PolicySpace {
		return false, nil
	}
	var fault *Error
	switch doc.Local(n) {
	case "provide-location":
		fault = t.provide(doc, n)
	case "set-retransmission-allowed":
		var v choice
		if v, fault = readChoice(doc, n, no, yes); fault == nil {
			t.p.retransmission = max(t.p.retransmission, v)
		}
	case "keep-rule-reference":
		var v choice
		if v, fault = readChoice(doc, n, no, keep); fault == nil {
			t.p.reference = max(t.p.reference, v)
		}
	case "set-retention-expiry":
		fault = t.retention(doc, n)
	case "set-note-well":
		fault = t.noteWell(doc, n)
	default:
		return false, nil
	}
	if fault != nil {
		return true, fault
	}
	return true, nil
}

// Permission returns what the rule grants. What a rule that grants a location
// does not set is unchanged (RFC 6772, 6.1 to 6.4); one that grants none says
// nothing of others' usage rules either.
func (t *Transformations) Permission() Permission {
	p := t.p.canonical()
	if p.IsNothing() {
		return p
	}
	if p.retransmission == unsaid {
		p.retransmission = keep
	}
	if p.reference == unsaid {
		p.reference = keep
	}
	// Seconds are kept one higher while the rule is read, so that 0 is none.
	p.expiry--
	return p
}

// readChoice reads an xs:boolean whose default is false.
func readChoice(doc *xmltree.Doc, n xmltree.Node, ifFalse, ifTrue choice) (choice, *Error) {
	text, err := simple(doc, n)
	if err != nil {
		return unsaid, err
	}
	switch text {
	case "true", "1":
		return ifTrue, nil
	case "false", "0", "":
		return ifFalse, nil
	}
	return unsaid, bad(ErrTransformation, n, "<%s> is neither true nor false", doc.Local(n))
}

// simple reads an element that has text only and no attributes but those named.
func simple(doc *xmltree.Doc, n xmltree.Node, attrs ...string) (string, *Error) {
	if a, ok := strangeAttr(doc, n, attrs...); ok {
		return "", bad(ErrTransformation, n, "<%s> has no attribute %s", doc.Local(n), a)
	}
	if e := doc.FirstElement(n); e != xmltree.None {
		return "", bad(ErrTransformation, e, "<%s> has elements in its text", doc.Local(n))
	}
	return trim(doc.Text(n)), nil
}

func (t *Transformations) retention(doc *xmltree.Doc, n xmltree.Node) *Error {
	text, err := simple(doc, n)
	if err != nil {
		return err
	}
	seconds := int64(0) // the schema's default
	if text != "" {
		var ok bool
		if seconds, ok = integer(text); !ok || seconds < 0 {
			return bad(ErrTransformation, n, "<set-retention-expiry> is no number of seconds")
		}
	}
	t.p.expiry = max(t.p.expiry, retention(min(seconds, maxRetention))+1)
	return nil
}

// integer reads an xs:integer; what is beyond int64 is its end.
func integer(s string) (int64, bool) {
	sign := int64(1)
	if s != "" && (s[0] == '-' || s[0] == '+') {
		if s[0] == '-' {
			sign = -1
		}
		s = s[1:]
	}
	if s == "" {
		return 0, false
	}
	v := int64(0)
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		if v > (math.MaxInt64-9)/10 {
			v = math.MaxInt64
			continue
		}
		v = v*10 + int64(s[i]-'0')
	}
	return sign * v, true
}

func (t *Transformations) noteWell(doc *xmltree.Doc, n xmltree.Node) *Error {
	text, err := simple(doc, n)
	if err != nil {
		return err
	}
	if !validNote(text) {
		return bad(ErrTransformation, n, "<set-note-well> has more than %d bytes", maxNote)
	}
	lang, _ := doc.Attr(n, xmltree.XMLSpace, "lang")
	t.p.notes = mergeNotes(t.p.notes, joinNotes([]note{{plainLang(lang), text}}))
	return nil
}

// provide reads provide-location (RFC 6772, 6.5). Empty and without profile it
// grants the whole; with a profile it grants what its children say, so without
// children, or with one that is not understood, nothing.
func (t *Transformations) provide(doc *xmltree.Doc, n xmltree.Node) *Error {
	if a, ok := strangeAttr(doc, n, "profile"); ok {
		return bad(ErrTransformation, n, "<provide-location> has no attribute %s", a)
	}
	if hasText(doc, n) {
		return bad(ErrTransformation, n, "<provide-location> has text between its elements")
	}
	profile, named := doc.Attr(n, "", "profile")
	profile = trim(profile)
	first := doc.FirstElement(n)
	switch {
	case first == xmltree.None:
		t.p.whole = t.p.whole || !named
		return nil
	case !named:
		return bad(ErrTransformation, n, "<provide-location> has elements but no profile")
	}
	civic, radius, strange := None, uint32(0), false
	for e := first; e != xmltree.None; e = doc.NextElement(e) {
		var err *Error
		switch {
		case doc.Is(e, ProfileSpace, "provide-civic"):
			if profile == geodeticTransformation {
				return bad(ErrTransformation, e, "<provide-civic> does not belong to the profile %s", profile)
			}
			civic, err = provideCivic(doc, e, civic)
		case doc.Is(e, ProfileSpace, "provide-geo"):
			if profile == civicTransformation {
				return bad(ErrTransformation, e, "<provide-geo> does not belong to the profile %s", profile)
			}
			radius, err = provideGeo(doc, e, radius)
		default:
			err = wrongProfile(doc, e)
			strange = true
		}
		if err != nil {
			return err
		}
	}
	if strange || profile != civicTransformation && profile != geodeticTransformation {
		return nil
	}
	t.p.civic = max(t.p.civic, civic)
	t.p.radius = least(t.p.radius, radius)
	return nil
}

// wrongProfile refuses children that can be no extension.
func wrongProfile(doc *xmltree.Doc, e xmltree.Node) *Error {
	if today, ok := ObsoleteName(doc.Name(e)); ok {
		return bad(ErrTransformation, e, "<%s> is of a draft; today it is %s", doc.Local(e), today)
	}
	if s := doc.Space(e); s == PolicySpace || s == "" || s == ProfileSpace {
		return bad(ErrTransformation, e, "<%s> does not belong in <provide-location>", doc.Local(e))
	}
	return nil
}

func provideCivic(doc *xmltree.Doc, e xmltree.Node, before Level) (Level, *Error) {
	text, err := simple(doc, e)
	if err != nil {
		return None, err
	}
	level, ok := ParseLevel(text)
	if !ok && text != "" { // the schema's default is none
		return None, bad(ErrTransformation, e, "<provide-civic> is none of none, country, region, city, building, full")
	}
	return max(before, level), nil
}

// provideGeo reads a radius. The schema lets it lack, and be 0 or less: without
// one nothing is granted, and no uncertainty at all is not what anyone writes who
// wants the location as it is, for which there is an empty provide-location.
func provideGeo(doc *xmltree.Doc, e xmltree.Node, before uint32) (uint32, *Error) {
	text, err := simple(doc, e, "radius")
	if err != nil {
		return 0, err
	}
	if text != "" {
		return 0, bad(ErrTransformation, e, "<provide-geo> has text")
	}
	value, ok := doc.Attr(e, "", "radius")
	if !ok {
		return before, nil
	}
	radius, ok := integer(trim(value))
	if !ok || radius <= 0 {
		return 0, bad(ErrTransformation, e, "the radius of <provide-geo> is no positive number of metres")
	}
	return least(before, uint32(min(radius, math.MaxUint32))), nil
}

// least is the smaller of two radii, of which 0 is none.
func least(a, b uint32) uint32 {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}
