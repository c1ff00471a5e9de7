package schema

import "github.com/tacit-presence/tacit/xmltree"

// CommonPolicy checks rule sets of RFC 4745 by its schema, section 13. Their
// conditions, actions and transformations may hold elements of any other
// namespace; those that PresRules knows are checked there alone.
func CommonPolicy() Validator {
	return compile(commonPolicy()).validator([]xmltree.Name{{Space: CommonPolicySpace, Local: "ruleset"}}, policyRules)
}

// PresRules checks presence authorization documents: rule sets with the actions
// and transformations of RFC 5025, section 7, the location conditions and
// transformations of RFC 6772, sections 8 and 9, OMA's, and Tacit's own. What
// no schema of these namespaces knows is refused (RFC 4825, 8.2.5), and what
// old drafts of RFC 6772 named otherwise is refused with today's name, for as an
// unknown element it would do nothing, and nobody would be told.
func PresRules() Validator {
	g := rules()
	ruleset := []xmltree.Name{{Space: CommonPolicySpace, Local: "ruleset"}}
	valid := g.validator(ruleset, policyRules, presenceRules, locationRules, tacitConditions)
	return func(d *xmltree.Doc) error {
		if err := obsoleteNames(d); err != nil {
			return err
		}
		return valid(d)
	}
}

// rules is the grammar of all that rules are made of.
func rules() *grammar {
	return compile(
		commonPolicy(), presRules(), geoPolicy(), locationProfiles(),
		omaCommonPolicy(), omaPresRules(), tacitRules(), preferences(),
	).documents()
}

const cp = space(CommonPolicySpace)

// extensible is the type of <actions> and <transformations>.
func extensible() *complexType { return model(cp.other().repeated()) }

// commonPolicy is RFC 4745, 13.
func commonPolicy() table {
	except := empty(may("domain", anyText), may("id", anyURI))
	identity := model(choice(
		cp.el("one", model(cp.other().optional(), need("id", anyURI))),
		cp.el("many", model(choice(cp.el("except", except), cp.other().optional()).repeated(), may("domain", anyText))),
		cp.other(),
	).some())
	validity := model(seq(cp.el("from", text(dateTime)), cp.el("until", text(dateTime))).some())
	conditions := model(choice(
		cp.el("identity", identity).optional(),
		cp.el("sphere", empty(need("value", anyText))).optional(),
		cp.el("validity", validity).optional(),
		cp.other().repeated(),
	).some())
	rule := model(seq(
		cp.el("conditions", conditions).optional(),
		cp.el("actions", extensible()).optional(),
		cp.el("transformations", extensible()).optional(),
	), need("id", id))
	return table{elements: []*element{cp.global("ruleset", model(cp.el("rule", rule).repeated()))}}
}

// presRules is RFC 5025, 7.
func presRules() table {
	const pr = space(PresRulesSpace)
	selector := func(all string, by ...particle) *complexType {
		return model(choice(pr.el(all, empty()), seq(choice(append(by, pr.other())...)).repeated()))
	}
	list := []*element{
		pr.global("service-uri-scheme", text(anyText)),
		pr.global("class", text(anyText)),
		pr.global("occurrence-id", text(anyText)),
		pr.global("service-uri", text(anyURI)),
		pr.global("deviceID", text(anyURI)),
		pr.global("provide-services", selector("all-services", pr.ref("service-uri"), pr.ref("service-uri-scheme"), pr.ref("occurrence-id"), pr.ref("class"))),
		pr.global("provide-devices", selector("all-devices", pr.ref("deviceID"), pr.ref("occurrence-id"), pr.ref("class"))),
		pr.global("provide-persons", selector("all-persons", pr.ref("occurrence-id"), pr.ref("class"))),
		pr.global("provide-user-input", text(enum("false", "bare", "thresholds", "full"))),
		pr.global("sub-handling", text(tokens("block", "confirm", "polite-block", "allow"))),
		pr.global("provide-unknown-attribute", text(boolean, need("name", anyText), need("ns", anyText))),
		pr.global("provide-all-attributes", empty()),
	}
	for _, name := range []string{
		"activities", "class", "deviceID", "mood", "place-is", "place-type", "privacy",
		"relationship", "status-icon", "sphere", "time-offset", "note",
	} {
		list = append(list, pr.global("provide-"+name, text(boolean)))
	}
	return table{elements: list}
}

// geoPolicy is RFC 6772, 9.
func geoPolicy() table {
	const gp = space(GeoPolicySpace)
	location := model(choice(gp.other().repeated()).some(), may("profile", anyText), may("label", anyText), lang())
	condition := model(choice(gp.el("location", location).some(), gp.other().repeated()).some())
	return table{elements: []*element{
		gp.global("location-condition", condition),
		gp.global("set-retransmission-allowed", text(boolean)).or("false"),
		gp.global("set-retention-expiry", text(integer)).or("0"),
		gp.global("set-note-well", text(anyText, lang())),
		gp.global("keep-rule-reference", text(boolean)).or("false"),
		gp.global("provide-location", model(choice(gp.other().repeated()).repeated(), may("profile", anyText))),
	}}
}

// locationProfiles is RFC 6772, 8.
func locationProfiles() table {
	const lp = space(LocationProfileSpace)
	return table{elements: []*element{
		lp.global("provide-civic", text(enum("full", "building", "city", "region", "country", "none"))).or("none"),
		lp.global("provide-geo", empty(may("radius", integer))),
	}}
}

// omaCommonPolicy holds the conditions of OMA-TS-XDM_Core, written from memory
// of that document and from what its clients send.
func omaCommonPolicy() table {
	const ocp = space(OMACommonPolicySpace)
	entry := model(ocp.other().repeated(), need("anc", anyURI)).open(ocp.otherAttrs())
	return table{elements: []*element{
		ocp.global("other-identity", empty()),
		ocp.global("anonymous-request", empty()),
		ocp.global("external-list", model(seq(ocp.el("entry", entry).repeated(), ocp.other().repeated()))),
	}}
}

// omaPresRules holds the transformations of OMA-TS-Presence_SIMPLE_XDM, written
// as omaCommonPolicy is.
func omaPresRules() table {
	const op = space(OMAPresRulesSpace)
	geopriv := enum("false", "full")
	list := []*element{
		// The name that clients send, and a longer one for the same.
		op.global("provide-geopriv", text(geopriv)),
		op.global("provide-geopriv-location", text(geopriv)),
		// In <provide-services>, beside RFC 5025's selectors.
		op.global("service-id", text(anyText)),
	}
	for _, name := range []string{"willingness", "network-availability", "session-participation", "registration-state", "barring-state"} {
		list = append(list, op.global("provide-"+name, text(boolean)))
	}
	return table{elements: list}
}
