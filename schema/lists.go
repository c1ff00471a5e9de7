package schema

import (
	"strings"

	"github.com/tacit-presence/tacit/xmltree"
)

// ResourceLists checks resource lists by RFC 4826, 3.2, and its uniqueness and
// reference rules, 3.1 and 3.4.5.
func ResourceLists() Validator {
	return compile(resourceLists()).documents().validator([]xmltree.Name{{Space: ResourceListsSpace, Local: "resource-lists"}}, listRules)
}

// RLSServices checks RLS services by RFC 4826, 4.2 and 4.4.5. That a service's
// URI is unique on the whole server, and that a <resource-list> is of the same
// user, is for whoever knows the other documents and the user.
func RLSServices() Validator {
	return compile(rlsServices()).documents().validator([]xmltree.Name{{Space: RLSServicesSpace, Local: "rls-services"}}, serviceRules, listRules)
}

const rl = space(ResourceListsSpace)

// listType is RFC 4826's type of <list>, which holds itself.
func listType() *complexType {
	display := text(anyText, lang())
	described := func(attrs ...attribute) *complexType {
		return model(seq(rl.el("display-name", display).optional(), rl.other().repeated()), attrs...).open(rl.otherAttrs())
	}
	list := &complexType{attrs: []attribute{may("name", anyText)}, anyAttr: rl.otherAttrs()}
	content := seq(
		rl.el("display-name", display).optional(),
		seq(choice(
			rl.el("list", list),
			rl.el("external", described(may("anchor", anyURI))),
			rl.el("entry", described(need("uri", anyURI))),
			rl.el("entry-ref", described(need("ref", anyURI))),
		)).repeated(),
		rl.other().repeated(),
	)
	list.content = &content
	return list
}

// resourceLists is RFC 4826, 3.2.
func resourceLists() table {
	return table{elements: []*element{rl.global("resource-lists", model(seq(rl.el("list", listType())).repeated()))}}
}

// rlsServices is RFC 4826, 4.2.
func rlsServices() table {
	const rls = space(RLSServicesSpace)
	packages := model(seq(rls.el("package", text(anyText)), rls.other().repeated()).repeated())
	service := model(seq(
		choice(rls.el("resource-list", text(anyURI)), rls.el("list", listType())),
		rls.el("packages", packages).optional(),
		rls.other().repeated(),
	), need("uri", anyURI)).open(rls.otherAttrs())
	return table{elements: []*element{rls.global("rls-services", model(seq(rls.el("service", service)).repeated()))}}
}

// handle names, of a list's children, the attribute that tells them apart.
func handle(local string) string {
	switch local {
	case "list":
		return "name"
	case "entry":
		return "uri"
	case "entry-ref":
		return "ref"
	case "external":
		return "anchor"
	}
	return ""
}

// listRules are those of RFC 4826, 3.1: what is unique among the children of one
// element, and what kind of URI a reference is.
func listRules(d *xmltree.Doc) error {
	type key struct {
		parent       xmltree.Node
		local, value string
	}
	seen := map[key]struct{}{}
	var twice, wrong *Error // the one goes before the other
	_ = each(d, func(n xmltree.Node) *Error {
		if ns := d.Space(n); ns != ResourceListsSpace && ns != RLSServicesSpace {
			return nil
		}
		local := d.Local(n)
		name := handle(local)
		if name == "" {
			return nil
		}
		value, ok := d.Attr(n, "", name)
		if !ok {
			if local == "external" && wrong == nil {
				// RFC 4826, 3.1: mandatory, though its schema does not say so.
				wrong = fault(Constraint, d, n, name, tag(d, n)+" needs an anchor")
			}
			return nil
		}
		if local != "list" {
			value = collapse(value) // xs:anyURI; the name is a string
		}
		k := key{d.Parent(n), local, value}
		if _, ok := seen[k]; ok {
			twice = twice.also(d, n, name, "another "+tag(d, n)+" beside it has the same "+name)
		}
		seen[k] = struct{}{}
		if wrong == nil {
			wrong = reference(d, n, value)
		}
		return nil
	})
	return firstOf(twice, wrong)
}

// firstOf returns the first error that there is.
func firstOf(list ...*Error) error {
	for _, e := range list {
		if e != nil {
			return e
		}
	}
	return nil
}

// reference checks what kind of URI an <entry-ref> or <external> has.
func reference(d *xmltree.Doc, n xmltree.Node, value string) *Error {
	switch d.Local(n) {
	case "entry-ref":
		// A path from the XCAP root, so that it does not begin with a slash, and
		// has no scheme.
		i := strings.IndexAny(value, ":/?#")
		if value == "" || i == 0 || i > 0 && value[i] == ':' {
			return fault(Constraint, d, n, "ref", "the ref of "+tag(d, n)+" must be a path relative to the XCAP root")
		}
	case "external":
		if !isHTTP(value) {
			return fault(Constraint, d, n, "anchor", "the anchor of "+tag(d, n)+" must be an absolute HTTP URI")
		}
	}
	return nil
}

// isHTTP reports whether s is an absolute HTTP URI with a host.
func isHTTP(s string) bool {
	scheme, rest, ok := strings.Cut(s, "://")
	return ok && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")) && rest != "" && rest[0] != '/'
}

// serviceRules are those of RFC 4826, 4.4.5, that one document shows.
func serviceRules(d *xmltree.Doc) error {
	seen := map[string]struct{}{}
	var twice, wrong *Error
	for n := d.FirstElement(d.Root()); n != xmltree.None; n = d.NextElement(n) {
		uri, _ := d.Attr(n, "", "uri")
		uri = collapse(uri)
		if _, ok := seen[uri]; ok {
			twice = twice.also(d, n, "uri", "another "+tag(d, n)+" has the same uri")
		}
		seen[uri] = struct{}{}
		c := d.FirstElement(n)
		if !d.Is(c, RLSServicesSpace, "resource-list") || wrong != nil {
			continue
		}
		if v := collapse(d.Text(c)); !isHTTP(v) {
			wrong = fault(Constraint, d, c, "", tag(d, c)+" must be an absolute HTTP URI")
		} else if !strings.Contains(v, "/resource-lists/") {
			wrong = fault(Constraint, d, c, "", tag(d, c)+" must lead to a document of resource-lists")
		}
	}
	return firstOf(twice, wrong)
}
