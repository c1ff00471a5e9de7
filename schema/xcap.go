package schema

import (
	"regexp"

	"github.com/tacit-presence/tacit/xmltree"
)

// XCAPCaps checks a server's capabilities by RFC 4825, 12.2.
func XCAPCaps() Validator {
	return compile(xcapCaps()).validator([]xmltree.Name{{Space: XCAPCapsSpace, Local: "xcap-caps"}})
}

// XCAPError checks an error document by RFC 4825, 11.2.
func XCAPError() Validator {
	return compile(xcapError()).validator([]xmltree.Name{{Space: XCAPErrorSpace, Local: "xcap-error"}})
}

// XCAPDirectory checks a list of documents of OMA-TS-XDM_Core, written from
// memory of that document.
func XCAPDirectory() Validator {
	return compile(xcapDirectory()).validator([]xmltree.Name{{Space: XCAPDirectorySpace, Local: "xcap-directory"}})
}

// XCAPDiff checks changes of documents by RFC 5874, 4.
func XCAPDiff() Validator {
	return compile(xcapDiff()).validator([]xmltree.Name{{Space: XCAPDiffSpace, Local: "xcap-diff"}})
}

// Test takes the documents of the application usage that RFC 4825 makes its
// examples with: <foo> of 6.4 and <root> of 8.2.3, for which it has no schema.
func Test() Validator {
	free := func() *complexType {
		return model(anything(skip).repeated()).blend().open(&wildcard{process: skip})
	}
	foo, root := space(TestSpace).global("foo", free()), space("").global("root", free())
	return compile(table{elements: []*element{foo, root}}).validator([]xmltree.Name{foo.name, root.name})
}

// xcapCaps is RFC 4825, 12.2.
func xcapCaps() table {
	const xc = space(XCAPCapsSpace)
	list := func(name string, t *simpleType) *complexType { return model(seq(xc.el(name, text(t))).repeated()) }
	return table{elements: []*element{xc.global("xcap-caps", model(seq(
		xc.el("auids", list("auid", anyText)),
		xc.el("extensions", list("extension", anyText)).optional(),
		xc.el("namespaces", list("namespace", anyURI)),
		xc.other().repeated(),
	)))}}
}

// xcapError is RFC 4825, 11.2: one member of the group of error elements.
func xcapError() table {
	const xe = space(XCAPErrorSpace)
	phrase := may("phrase", anyText)
	exists := model(seq(xe.el("alt-value", text(anyText)).some()).optional(), need("field", anyText))
	members := []*element{
		xe.global("extension", model(anything(lax).repeated())),
		xe.global("no-parent", model(seq(xe.el("ancestor", text(anyURI)).optional()), phrase)),
		xe.global("uniqueness-failure", model(seq(xe.el("exists", exists).some()), phrase)),
	}
	for _, name := range []string{
		"schema-validation-error", "not-xml-frag", "cannot-insert", "not-xml-att-value",
		"not-well-formed", "constraint-failure", "cannot-delete", "not-utf-8",
	} {
		members = append(members, xe.global(name, empty(phrase)))
	}
	head := xe.global("error-element", &complexType{lax: true})
	head.abstract = true
	return table{
		elements: []*element{head, xe.global("xcap-error", model(seq(xe.ref("error-element"))))},
		groups:   map[xmltree.Name][]*element{head.name: members},
	}
}

// xcapDirectory is OMA's.
func xcapDirectory() table {
	const xd = space(XCAPDirectorySpace)
	entry := model(xd.other().repeated(), need("uri", anyURI), need("etag", anyText), may("last-modified", dateTime), may("size", natural)).
		open(xd.otherAttrs())
	folder := model(choice(
		seq(xd.el("entry", entry).repeated(), xd.other().repeated()),
		xd.el("error-code", text(anyText)),
	), need("auid", anyText)).open(xd.otherAttrs())
	return table{elements: []*element{xd.global("xcap-directory", model(seq(xd.el("folder", folder).repeated(), xd.other().repeated())))}}
}

// xcapDiff is RFC 5874, 4, with the patch operations of RFC 5261, 8.
func xcapDiff() table {
	const xd = space(XCAPDiffSpace)
	var (
		free     = &wildcard{}
		selector = &simpleType{what: "a selector of RFC 5261", is: matcher(selectAny)}
		target   = &simpleType{what: "a selector of an element", is: matcher(selectElement)}
		kind     = &simpleType{what: "an attribute's or namespace's name", is: matcher(`@` + qname + `|namespace::` + ncname)}
	)
	add := model(anything(lax).repeated(), need("sel", target), may("pos", enum("before", "after", "prepend")), may("type", kind)).blend().open(free)
	replace := model(anything(lax).optional(), need("sel", selector)).blend().open(free)
	remove := empty(need("sel", selector), may("ws", enum("before", "after", "both"))).open(free)
	document := model(choice(
		xd.el("body-not-changed", empty()),
		seq(choice(xd.el("add", add), xd.el("remove", remove), xd.el("replace", replace), xd.other())).repeated(),
	).optional(), need("sel", anyURI), may("new-etag", anyText), may("previous-etag", anyText)).open(free)
	part := model(anything(lax).optional(), need("sel", anyText), may("exists", boolean)).blend().open(free)
	attr := text(anyText, need("sel", anyText), may("exists", boolean)).open(free)
	return table{elements: []*element{xd.global("xcap-diff", model(seq(
		seq(choice(xd.el("document", document), xd.el("element", part), xd.el("attribute", attr))).repeated(),
		xd.other().repeated(),
	).optional(), need("xcap-root", anyURI)).open(free))}}
}

// The selectors of RFC 5261, 8, as expressions. Go's are of linear time. Names
// are a little wider than XML's.
const (
	ncname  = `[\pL_:][\pL\pN\pM._:\-]*`
	qname   = ncname
	pos     = `\[[0-9]+\]`
	attrIs  = `\[@` + qname + `=(?:'[^\n\r]*'|"[^\n\r]*")\]`
	valueIs = `\[(?:` + qname + `|\.)=(?:'[^\n\r]*'|"[^\n\r]*")\]`
	stepTo  = `(?:(?:` + qname + `|\*)(?:` + attrIs + `|` + valueIs + `|` + pos + `)*)`
	nodes   = `(?:(?:text\(\)|comment\(\)|processing-instruction\((?:'` + ncname + `'|"` + ncname + `")?\))(?:` + pos + `)?)`
	child   = `(?:` + nodes + `|` + stepTo + `)`
	last    = `(?:` + child + `|@` + qname + `|namespace::` + ncname + `)`
	byID    = `(?:id\((?:'` + ncname + `'|"` + ncname + `")?\))`

	selectAny     = `/?(?:` + byID + `(?:(?:/` + stepTo + `)*(?:/` + last + `))?|(?:` + stepTo + `/)*` + last + `)`
	selectElement = `/?(?:` + byID + `(?:(?:/` + stepTo + `)*(?:/` + child + `))?|(?:` + stepTo + `/)*` + child + `)`
)

// matcher makes a check that takes what fits the expression as a whole.
func matcher(expression string) func(string) bool {
	return regexp.MustCompile(`\A(?:` + expression + `)\z`).MatchString
}
