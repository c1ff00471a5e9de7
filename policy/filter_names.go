package policy

import (
	"slices"

	"github.com/tacit-presence/tacit/location"
	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/xmltree"
)

const (
	geoprivSpace = location.Space
	// ownSpace is Tacit's: of the element that says how coarse times are.
	ownSpace = "https://github.com/tacit-presence/ns/rules"
)

// element is what a child of a tuple, status, person or device is. The values
// are in the order in which children are written: it is the schemas' (RFC 3863,
// 4.4; RFC 4479, 5.1.2), and of what they leave free always the same, so that
// order tells nothing of who wrote it.
type element uint8

const (
	elementStatus element = iota
	elementBasic
	elementActivities
	elementClass
	elementTupleDevice // the deviceID of a tuple
	elementMood
	elementPlaceIs
	elementPlaceType
	elementPrivacy
	elementRelationship
	elementServiceClass
	elementSphere
	elementStatusIcon
	elementTimeOffset
	elementUserInput
	elementWillingness
	elementNetworkAvailability
	elementSessionParticipation
	elementRegistrationState
	elementBarringState
	elementUnknown  // outside of the schemas that have permissions
	elementOdd      // of such a schema, but it has no such element
	elementLocation // geopriv
	elementDeviceID // of a device
	elementContact
	elementNote
	elementTimestamp
	elementOwn // Tacit's own: made anew
)

// place is a set of where an element may stand.
type place uint8

const (
	inTuple place = 1 << iota
	inPerson
	inDevice
	inStatus
	inRoot
	inParts = inTuple | inPerson | inDevice | inStatus
)

// trait is what the filter knows of an element that has a permission of its own.
type trait struct {
	local      string    // of RPID's
	in         place     // of RPID's: RFC 4480, table 1
	permission attribute // 0: RFC 5025, 3.3.2 shows it always, or it has levels
	times      bool      // it may have from and until (RFC 4480, table 1)
}

// traits are those of RPID's elements, and of others.
var traits = [...]trait{
	elementActivities:   {"activities", inPerson, provideActivities, true},
	elementClass:        {"class", inTuple | inPerson | inDevice, provideClass, false},
	elementMood:         {"mood", inPerson, provideMood, true},
	elementPlaceIs:      {"place-is", inPerson, providePlaceIs, true},
	elementPlaceType:    {"place-type", inPerson, providePlaceType, true},
	elementPrivacy:      {"privacy", inPerson | inTuple, providePrivacy, true},
	elementRelationship: {"relationship", inTuple, provideRelationship, false},
	elementServiceClass: {"service-class", inTuple, 0, false},
	elementSphere:       {"sphere", inPerson, provideSphere, true},
	elementStatusIcon:   {"status-icon", inPerson | inTuple, provideStatusIcon, true},
	elementTimeOffset:   {"time-offset", inPerson, provideTimeOffset, true},
	elementUserInput:    {"user-input", inPerson | inTuple | inDevice, 0, false},

	elementTupleDevice:          {in: inTuple, permission: provideDeviceID},
	elementWillingness:          {in: inParts, permission: provideWillingness},
	elementNetworkAvailability:  {in: inParts, permission: provideNetworkAvailability},
	elementSessionParticipation: {in: inParts, permission: provideSessionParticipation},
	elementRegistrationState:    {in: inParts, permission: provideRegistrationState},
	elementBarringState:         {in: inParts, permission: provideBarringState},
	elementNote:                 {in: inParts, permission: provideNote},
}

// isRPID reports whether an element is one of RPID's.
func isRPID(e element) bool {
	return e >= elementActivities && e <= elementUserInput && e != elementTupleDevice
}

func rpidElement(local string) element {
	switch local {
	case "activities":
		return elementActivities
	case "class":
		return elementClass
	case "mood":
		return elementMood
	case "place-is":
		return elementPlaceIs
	case "place-type":
		return elementPlaceType
	case "privacy":
		return elementPrivacy
	case "relationship":
		return elementRelationship
	case "service-class":
		return elementServiceClass
	case "sphere":
		return elementSphere
	case "status-icon":
		return elementStatusIcon
	case "time-offset":
		return elementTimeOffset
	case "user-input":
		return elementUserInput
	}
	return elementOdd
}

// omaElement finds what an element of OMA's presence extensions is. Those that
// OMA's rules have no permission for are unknown attributes.
func omaElement(local string) element {
	switch local {
	case "willingness", "overriding-willingness":
		return elementWillingness
	case "network-availability":
		return elementNetworkAvailability
	case "session-participation":
		return elementSessionParticipation
	case "registration-state":
		return elementRegistrationState
	case "barring-state":
		return elementBarringState
	}
	return elementUnknown
}

// classify finds what a child of a component or status is.
func classify(doc *xmltree.Doc, n xmltree.Node, in place) element {
	local := doc.Local(n)
	switch doc.Space(n) {
	case pidf.Space:
		return pidfElement(local, in)
	case pidf.DataModelSpace:
		return dataModelElement(local, in)
	case pidf.RPIDSpace:
		return rpidElement(local)
	case geoprivSpace:
		if local == "geopriv" {
			return elementLocation
		}
		return elementOdd
	case pidf.OMASpace:
		if e := omaElement(local); e == elementUnknown || in != inRoot {
			return e
		}
		return elementOdd
	case ownSpace:
		return elementOwn
	}
	return elementUnknown
}

func pidfElement(local string, in place) element {
	switch {
	case in == inStatus && local == "basic":
		return elementBasic
	case in != inTuple:
		return elementOdd
	}
	switch local {
	case "status":
		return elementStatus
	case "contact":
		return elementContact
	case "note":
		return elementNote
	case "timestamp":
		return elementTimestamp
	}
	return elementOdd
}

func dataModelElement(local string, in place) element {
	switch {
	case local == "deviceID" && in == inTuple:
		return elementTupleDevice
	case local == "deviceID" && in == inDevice:
		return elementDeviceID
	case local == "note" && in&(inPerson|inDevice) != 0:
		return elementNote
	case local == "timestamp" && in&(inPerson|inDevice) != 0:
		return elementTimestamp
	}
	return elementOdd
}

// shows reports whether a child of a component that is told may be told too.
//
// An RPID element that stands where RPID does not define it (RFC 4480, table 1)
// has a permission for no such place, so all-attributes alone shows it.
func (g *grant) shows(doc *xmltree.Doc, n xmltree.Node, e element, in place) bool {
	switch e {
	case elementStatus, elementBasic, elementContact, elementTimestamp, elementDeviceID:
		return true
	case elementOwn:
		return false
	case elementLocation:
		return g.everything || in != inRoot && !g.location.IsNothing()
	}
	if g.everything {
		return true
	}
	switch e {
	case elementUnknown:
		return slices.Contains(g.unknown, doc.Name(n))
	case elementOdd:
		return false
	case elementUserInput:
		return g.userInput > userInputNone && traits[e].in&in != 0
	}
	t := &traits[e]
	return t.in&in != 0 && (t.permission == 0 || g.attributes&t.permission != 0)
}

// selects reports that the grant selects any component. One that does not
// permits nothing at all, whatever attributes it names: the root's notes and
// elements are told of components.
func (g *grant) selects() bool {
	return g.devices.any() || g.persons.any() || g.services.any()
}

func (s *selection) any() bool {
	return s.all || len(s.classes)+len(s.ids)+len(s.deviceIDs)+len(s.uris)+len(s.schemes)+len(s.services)+len(s.both) > 0
}

// maxCompared bounds how many URIs one filtering may compare: a few milliseconds.
// Who publishes, and writes rules, could else have his shard compare millions.
// Clients have some dozen parts, and rules as many URIs. Beyond it URIs select what
// is equal to the letter.
const maxCompared = 1 << 14

// admits reports whether the grant selects a tuple, person or device, by what was
// published of it (RFC 5025, 3.3.1). left is how many URIs may still be compared.
func (g *grant) admits(p *pidf.Part, left *int) bool {
	switch p.Kind {
	case pidf.Tuple:
		return g.services.admits(p, left)
	case pidf.Person:
		return g.persons.admits(p, left)
	case pidf.Device:
		return g.devices.admits(p, left)
	}
	return false
}

func (s *selection) admits(p *pidf.Part, left *int) bool {
	if s.all || has(s.classes, p.Class) || has(s.ids, p.ID) {
		return true
	}
	for _, group := range s.both {
		if !slices.ContainsFunc(group, func(s selection) bool { return !s.admits(p, left) }) {
			return true
		}
	}
	switch p.Kind {
	case pidf.Tuple:
		return len(s.schemes) > 0 && has(s.schemes, uriScheme(p.Contact)) || has(s.services, p.ServiceID) || hasURI(s.uris, p.Contact, left)
	case pidf.Device:
		return hasURI(s.deviceIDs, p.DeviceID, left)
	}
	return false
}

// has looks for a value that is there, in a sorted list.
func has(list []string, v string) bool {
	if len(list) == 0 || v == "" {
		return false
	}
	_, found := slices.BinarySearch(list, v)
	return found
}

// hasURI is linear, for equivalence of SIP URIs has no order and no normal form:
// a parameter that one of two lacks does not count (RFC 3261, 19.1.4).
func hasURI(list []string, v string, left *int) bool {
	if v == "" || has(list, v) {
		return v != ""
	}
	list = list[:min(len(list), *left)]
	*left -= len(list)
	return slices.ContainsFunc(list, func(u string) bool { return sameURI(u, v) })
}
