package xcap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/schema"
	"github.com/tacit-presence/tacit/xmltree"
)

// The application usages that come with the server.
const (
	AUIDCapabilities AUID = "xcap-caps"                             // RFC 4825, 12
	AUIDPresRules    AUID = "pres-rules"                            // RFC 5025, 9
	AUIDOMAPresRules AUID = "org.openmobilealliance.pres-rules"     // OMA Presence SIMPLE
	AUIDLists        AUID = "resource-lists"                        // RFC 4826, 3.4
	AUIDServices     AUID = "rls-services"                          // RFC 4826, 4.4
	AUIDManipulation AUID = "pidf-manipulation"                     // RFC 4827
	AUIDDirectory    AUID = "org.openmobilealliance.xcap-directory" // OMA XDM
	AUIDPreferences  AUID = "tacit-preferences"                     // ours
	AUIDTest         AUID = "test"                                  // RFC 4825, 6.4
)

const (
	indexName     = "index"         // RFC 4825, 5.5
	directoryName = "directory.xml" // OMA XDM

)

// RootSpace, as a Usage's Space, stands for the namespace of the root of the
// document that is selected from, which may be none.
const RootSpace = "#root"

// Validator says whether a document may be kept. Its error is a *Conflict or a
// *schema.Error; any other is a fault of the server.
type Validator func(*xmltree.Doc) error

// Usage is one application usage (RFC 4825, 5.9). The default authorization
// policy is the only one (5.7).
type Usage struct {
	AUID      AUID
	MediaType string
	// Space is the default document namespace: of names without prefix in a
	// node selector; or RootSpace.
	Space string
	// Validate decides what is kept; there must be one, but where everything is
	// made by the server.
	Validate Validator
	// Names are those that a document may have; none: any.
	Names []string
	// Namespaces are those that Validate understands, for xcap-caps; Space is
	// one of them.
	Namespaces []string
	// Global says that there are documents in the global tree, which trusted
	// users write.
	Global bool

	// made is the one document that the server makes, with no other in its tree.
	made *madeDocument
	// noUsers says that users have no documents.
	noUsers bool
	// check is what Validate cannot see in one document. What it has reserved is
	// reserved until the change is done or given up.
	check func(context.Context, *Handler, *change) (release func(), err error)
}

// madeDocument is a document that nobody writes.
type madeDocument struct {
	tree Tree
	name string
	// trusted says that only trusted users see it, and that make makes it; any
	// other follows from the documents of whose it is, and of makes it.
	trusted bool
	make    func(ctx context.Context, h *Handler, owner presence.Presentity) (string, error)
	of      func(h *Handler, owner presence.Presentity, docs []Entry) string
}

// change is what a request would do to a document.
type change struct {
	key Key
	old *xmltree.Doc // nil: there was none
	new *xmltree.Doc
}

// Standard are the usages of a presence server, but for xcap-caps and
// xcap-directory, which New adds.
func Standard() []Usage {
	policy := Usage{
		MediaType: "application/auth-policy+xml", Validate: Validator(schema.PresRules()),
		Namespaces: []string{
			schema.CommonPolicySpace, schema.PresRulesSpace, schema.GeoPolicySpace, schema.LocationProfileSpace,
			schema.OMACommonPolicySpace, schema.OMAPresRulesSpace, schema.TacitSpace,
		},
	}
	rules, oma := policy, policy
	rules.AUID, rules.Space = AUIDPresRules, schema.PresRulesSpace
	oma.AUID, oma.Space = AUIDOMAPresRules, schema.CommonPolicySpace
	return []Usage{
		rules, oma,
		{
			AUID: AUIDLists, MediaType: "application/resource-lists+xml", Space: schema.ResourceListsSpace,
			Validate: Validator(schema.ResourceLists()),
		},
		{
			AUID: AUIDServices, MediaType: "application/rls-services+xml", Space: schema.RLSServicesSpace,
			Validate: Validator(schema.RLSServices()), Namespaces: []string{schema.ResourceListsSpace},
			check: checkServices,
			// RFC 4826, 4.4.9: the index is of all users.
			made: &madeDocument{tree: TreeGlobal, name: indexName, trusted: true, make: servicesIndex},
		},
		{
			// RFC 4827, 9: a single document, so named.
			AUID: AUIDManipulation, MediaType: "application/pidf+xml", Space: pidf.Space,
			Validate: Validator(schema.Presence()), Names: []string{indexName},
			Namespaces: []string{pidf.DataModelSpace, pidf.RPIDSpace},
		},
	}
}

// Preferences is the usage of what a user prefers that no standard has a
// document for, checked by validate.
func Preferences(validate Validator) Usage {
	return Usage{
		AUID: AUIDPreferences, MediaType: "application/vnd.tacit.preferences+xml", Space: schema.TacitSpace,
		Validate: validate, Names: []string{indexName},
	}
}

// Test is the usage of RFC 4825's own examples, for clients' tests.
func Test() Usage {
	return Usage{AUID: AUIDTest, MediaType: "application/xml", Space: schema.TestSpace, Validate: Validator(schema.Test())}
}

// capabilities is xcap-caps (RFC 4825, 12).
func capabilities(all []Usage) Usage {
	text := capabilitiesDocument(all)
	return Usage{
		AUID: AUIDCapabilities, MediaType: "application/xcap-caps+xml", Space: schema.XCAPCapsSpace, noUsers: true,
		made: &madeDocument{tree: TreeGlobal, name: indexName, of: func(*Handler, presence.Presentity, []Entry) string { return text }},
	}
}

// directory is OMA's list of the documents that a user has.
func directory() Usage {
	return Usage{
		AUID: AUIDDirectory, MediaType: "application/vnd.oma.xcap-directory+xml", Space: schema.XCAPDirectorySpace,
		made: &madeDocument{tree: TreeUsers, name: directoryName, of: directoryDocument},
	}
}

func (u *Usage) valid() error {
	switch {
	case u.AUID == "" || escape(string(u.AUID)) != string(u.AUID) || u.AUID == separator:
		return fmt.Errorf("xcap: %q cannot be an AUID", u.AUID)
	case u.MediaType == "":
		return fmt.Errorf("xcap: %s has no media type", u.AUID)
	case u.Validate == nil && u.made == nil:
		return fmt.Errorf("xcap: %s has no validator", u.AUID)
	}
	return nil
}

// madeIn returns the document that the server makes in that tree, or nil.
func (u *Usage) madeIn(t Tree) *madeDocument {
	if u.made != nil && u.made.tree == t {
		return u.made
	}
	return nil
}

// shown returns the document that the server makes and that not trusted users
// alone may read, or nil.
func (u *Usage) shown() *madeDocument {
	if u.made == nil || u.made.trusted {
		return nil
	}
	return u.made
}

// has reports whether there may be documents in that tree.
func (u *Usage) has(t Tree) bool {
	switch {
	case u.madeIn(t) != nil:
		return true
	case t == TreeGlobal:
		return u.Global && u.Validate != nil
	}
	return !u.noUsers && u.Validate != nil
}

// validate checks the document that a change makes. The error is a *Conflict
// but for faults of the server.
func (u *Usage) validate(d *xmltree.Doc) error {
	err := u.Validate(d)
	e, ok := errors.AsType[*schema.Error](err)
	if !ok {
		return err
	}
	c := conflict(SchemaInvalid, e.Path+": "+e.Phrase)
	switch e.Kind {
	case schema.Constraint:
		c.Reason = ConstraintFailed
	case schema.Uniqueness:
		c.Reason = NotUnique
		// RFC 4825, 11.1: each that is not unique.
		for _, twice := range append([]*schema.Error{e}, e.More...) {
			c.Exists = append(c.Exists, Exists{Field: faultField(d, twice, u.Space)})
		}
	}
	return c
}

// faultField is the selector of the element or attribute that an error is about.
func faultField(d *xmltree.Doc, e *schema.Error, space string) string {
	for n := d.Root(); int(n) < d.Len(); n++ {
		if d.Kind(n) != xmltree.KindElement || d.Span(n).Start != e.Offset {
			continue
		}
		for i := range d.NumAttrs(n) {
			if a := d.AttrAt(n, i); e.Attr != "" && !a.Declares() && a.Local() == e.Attr {
				return Field(d, n, &xmltree.Name{Space: a.Space(), Local: a.Local()}, space)
			}
		}
		return Field(d, n, nil, space)
	}
	return escape(d.Local(d.Root()))
}

func capabilitiesDocument(all []Usage) string {
	auids, spaces := []string{string(AUIDCapabilities)}, []string{schema.XCAPCapsSpace}
	for i := range all {
		auids = append(auids, string(all[i].AUID))
		spaces = append(append(spaces, all[i].Space), all[i].Namespaces...)
	}
	var b strings.Builder
	b.WriteString(xmlDeclaration + `<xcap-caps xmlns="` + schema.XCAPCapsSpace + `">`)
	writeList(&b, "auids", "auid", auids)
	b.WriteString("\n  <extensions/>")
	writeList(&b, "namespaces", "namespace", spaces)
	b.WriteString("\n</xcap-caps>\n")
	return b.String()
}

func writeList(b *strings.Builder, name, item string, values []string) {
	slices.Sort(values)
	b.WriteString("\n  <" + name + ">")
	for _, v := range slices.Compact(values) {
		if v != "" && v != RootSpace {
			b.WriteString("\n    <" + item + ">" + xmltree.EscapeAttr(v) + "</" + item + ">")
		}
	}
	b.WriteString("\n  </" + name + ">")
}
