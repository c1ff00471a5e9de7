package policy

import (
	"strconv"

	"github.com/tacit-presence/tacit/location"
	"github.com/tacit-presence/tacit/xmltree"
)

// maxCoarse is the coarsest that timestamps can be told: a day.
const maxCoarse = 24 * 60 * 60

// booleans are the transformations that are plain booleans.
var booleans = map[xmltree.Name]attribute{
	{Space: presRulesSpace, Local: "provide-activities"}:               provideActivities,
	{Space: presRulesSpace, Local: "provide-class"}:                    provideClass,
	{Space: presRulesSpace, Local: "provide-deviceID"}:                 provideDeviceID,
	{Space: presRulesSpace, Local: "provide-mood"}:                     provideMood,
	{Space: presRulesSpace, Local: "provide-place-is"}:                 providePlaceIs,
	{Space: presRulesSpace, Local: "provide-place-type"}:               providePlaceType,
	{Space: presRulesSpace, Local: "provide-privacy"}:                  providePrivacy,
	{Space: presRulesSpace, Local: "provide-relationship"}:             provideRelationship,
	{Space: presRulesSpace, Local: "provide-sphere"}:                   provideSphere,
	{Space: presRulesSpace, Local: "provide-status-icon"}:              provideStatusIcon,
	{Space: presRulesSpace, Local: "provide-time-offset"}:              provideTimeOffset,
	{Space: presRulesSpace, Local: "provide-note"}:                     provideNote,
	{Space: omaPresRulesSpace, Local: "provide-willingness"}:           provideWillingness,
	{Space: omaPresRulesSpace, Local: "provide-network-availability"}:  provideNetworkAvailability,
	{Space: omaPresRulesSpace, Local: "provide-session-participation"}: provideSessionParticipation,
	{Space: omaPresRulesSpace, Local: "provide-registration-state"}:    provideRegistrationState,
	{Space: omaPresRulesSpace, Local: "provide-barring-state"}:         provideBarringState,
}

var userInputs = map[string]userInput{
	"bare": userInputBare, "thresholds": userInputThresholds, "full": userInputFull,
}

// wholeLocation is RFC 6772's way to say "the location as it is": what else says
// so is read as this, so that usage rules of the same rule hold for it.
const wholeLocation = `<provide-location xmlns="` + location.PolicySpace + `"/>`

// grantReader reads the transformations of one rule. What is not known, or not as
// it should be, grants nothing.
type grantReader struct {
	doc      *xmltree.Doc
	g        grant
	location location.Transformations
}

func newGrantReader(doc *xmltree.Doc) *grantReader { return &grantReader{doc: doc} }

// read takes <transformations>.
func (r *grantReader) read(n xmltree.Node) {
	for c := r.doc.FirstElement(n); c != xmltree.None; c = r.doc.NextElement(c) {
		r.transformation(c)
	}
}

func (r *grantReader) transformation(n xmltree.Node) {
	name := r.doc.Name(n)
	if a, ok := booleans[name]; ok {
		if r.yes(n) {
			r.g.attributes |= a
		}
		return
	}
	switch name {
	case xmltree.Name{Space: presRulesSpace, Local: "provide-devices"}:
		r.selection(&r.g.devices, n, inDevice, "all-devices")
	case xmltree.Name{Space: presRulesSpace, Local: "provide-persons"}:
		r.selection(&r.g.persons, n, inPerson, "all-persons")
	case xmltree.Name{Space: presRulesSpace, Local: "provide-services"}:
		r.selection(&r.g.services, n, inTuple, "all-services")
	case xmltree.Name{Space: presRulesSpace, Local: "provide-user-input"}:
		r.g.userInput = max(r.g.userInput, userInputs[r.word(n)])
	case xmltree.Name{Space: presRulesSpace, Local: "provide-unknown-attribute"}:
		local, _ := r.doc.Attr(n, "", "name")
		space, _ := r.doc.Attr(n, "", "ns")
		if r.yes(n) && xmltree.IsNCName(local) && space != "" {
			r.g.unknown = append(r.g.unknown, xmltree.Name{Space: space, Local: local})
		}
	case xmltree.Name{Space: presRulesSpace, Local: "provide-all-attributes"}:
		if r.doc.FirstElement(n) == xmltree.None && r.word(n) == "" {
			r.g.everything = true
			r.whole()
		}
	case xmltree.Name{Space: omaPresRulesSpace, Local: "provide-geopriv"}, xmltree.Name{Space: omaPresRulesSpace, Local: "provide-geopriv-location"}:
		if r.word(n) == "full" {
			r.whole()
		}
	case xmltree.Name{Space: ownSpace, Local: "coarse-timestamps"}:
		r.coarse(n)
	default:
		_, _ = r.location.Read(r.doc, n) // an error grants nothing
	}
}

// word returns the text of an element that has nothing else in it.
func (r *grantReader) word(n xmltree.Node) string {
	if r.doc.FirstElement(n) != xmltree.None {
		return "?"
	}
	return trimSpace(r.doc.Text(n))
}

func (r *grantReader) yes(n xmltree.Node) bool { w := r.word(n); return w == "true" || w == "1" }

func (r *grantReader) whole() {
	if doc, err := xmltree.Parse(wholeLocation, xmltree.Limits{}); err == nil {
		_, _ = r.location.Read(doc, doc.Root())
	}
}

// coarse reads Tacit's coarse-timestamps. One that cannot be read is as coarse as
// can be: the rule wanted some.
func (r *grantReader) coarse(n xmltree.Node) {
	text, _ := r.doc.Attr(n, "", "seconds")
	seconds, err := strconv.Atoi(trimSpace(text))
	if err != nil || seconds < 1 || seconds > maxCoarse {
		seconds = maxCoarse
	}
	if r.g.coarse == 0 || seconds < r.g.coarse {
		r.g.coarse = seconds
	}
}

// selection reads who is in a set of components of one kind (RFC 5025, 3.3.1).
func (r *grantReader) selection(s *selection, n xmltree.Node, kind place, all string) {
	for c := r.doc.FirstElement(n); c != xmltree.None; c = r.doc.NextElement(c) {
		if r.doc.Is(c, presRulesSpace, all) {
			s.all = true
			continue
		}
		name := r.doc.Name(c)
		for i, to := range s.pointers() {
			if selectors[i].name != name || selectors[i].in&kind == 0 || r.doc.FirstElement(c) != xmltree.None {
				continue
			}
			if v := r.word(c); v != "" {
				*to = append(*to, v)
			}
		}
	}
}

// permissions finishes the rule's grant. It is a copy, since what points into the
// reader would keep the parsed document, thrice as large as its text.
func (r *grantReader) permissions() Permissions {
	g := r.g
	g.location = r.location.Permission()
	g.sort()
	return g.finish()
}
