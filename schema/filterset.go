package schema

import "github.com/tacit-presence/tacit/xmltree"

// FilterSet checks a watcher's filters by RFC 4661, 7, and what it says beside
// its schema in 3.
func FilterSet() Validator {
	return compile(filterSet()).validator([]xmltree.Name{{Space: FilterSpace, Local: "filter-set"}}, filterRules)
}

// filterSet is RFC 4661, 7.
func filterSet() table {
	const sf = space(FilterSpace)
	pick := func() *complexType {
		return text(anyText, may("type", enum("xpath", "namespace"))).open(sf.otherAttrs())
	}
	changed := text(anyText, may("from", anyText), may("to", anyText), may("by", decimal)).open(sf.otherAttrs())
	what := model(seq(sf.el("include", pick()).repeated(), sf.el("exclude", pick()).repeated(), sf.other().repeated()))
	trigger := model(seq(
		sf.el("changed", changed).repeated(),
		sf.el("added", text(anyText)).repeated(),
		sf.el("removed", text(anyText)).repeated(),
		sf.other().repeated(),
	))
	filter := model(
		seq(sf.el("what", what).optional(), sf.el("trigger", trigger).repeated(), sf.other().repeated()),
		need("id", anyText), may("uri", anyURI), may("domain", anyText), may("remove", boolean), may("enabled", boolean),
	).open(sf.otherAttrs())
	bindings := model(seq(sf.el("ns-binding", empty(need("prefix", anyText), need("urn", anyURI))).some()))
	return table{elements: []*element{sf.global("filter-set", model(
		seq(sf.el("ns-bindings", bindings).optional(), sf.el("filter", filter).some()),
		may("package", anyText),
	).open(sf.otherAttrs()))}}
}

// filterRules are those of RFC 4661, 3.4 and 3.6.
func filterRules(d *xmltree.Doc) error {
	seen := map[string]struct{}{}
	var wrong *Error
	for n := d.FirstElement(d.Root()); n != xmltree.None; n = d.NextElement(n) {
		if !d.Is(n, FilterSpace, "filter") {
			continue
		}
		name, _ := d.Attr(n, "", "id")
		if _, ok := seen[name]; ok {
			return fault(Uniqueness, d, n, "id", "another "+tag(d, n)+" has the same id")
		}
		seen[name] = struct{}{}
		_, byURI := d.Attr(n, "", "uri")
		_, byDomain := d.Attr(n, "", "domain")
		if byURI && byDomain && wrong == nil {
			wrong = fault(Constraint, d, n, "domain", tag(d, n)+" must not have uri and domain together")
		}
		for c := d.FirstElement(n); c != xmltree.None && wrong == nil; c = d.NextElement(c) {
			if d.Is(c, FilterSpace, "trigger") && d.FirstElement(c) == xmltree.None {
				wrong = fault(Constraint, d, c, "", tag(d, c)+" must hold what triggers it")
			}
		}
	}
	if wrong != nil {
		return wrong
	}
	return nil
}
