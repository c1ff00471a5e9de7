package schema

import (
	"errors"
	"strings"
	"testing"
)

// Documents around a fragment, with the prefixes of all namespaces.
const (
	prefixes = ` xmlns:cp="` + CommonPolicySpace + `" xmlns:pr="` + PresRulesSpace + `" xmlns:gp="` + GeoPolicySpace +
		`" xmlns:lp="` + LocationProfileSpace + `" xmlns:ocp="` + OMACommonPolicySpace + `" xmlns:op="` + OMAPresRulesSpace +
		`" xmlns:t="` + TacitSpace + `" xmlns:gs="http://www.opengis.net/pidflo/1.0" xmlns:x="urn:x"`
	list = `<resource-lists xmlns="` + ResourceListsSpace + `" xmlns:x="urn:x"><list name="a">`
)

func rule(s string) string {
	return `<cp:ruleset` + prefixes + `><cp:rule id="a">` + s + `</cp:rule></cp:ruleset>`
}
func condition(s string) string { return rule(`<cp:conditions>` + s + `</cp:conditions>`) }
func action(s string) string    { return rule(`<cp:actions>` + s + `</cp:actions>`) }
func transform(s string) string { return rule(`<cp:transformations>` + s + `</cp:transformations>`) }
func lists(s string) string     { return list + s + `</list></resource-lists>` }
func services(s string) string {
	return `<rls-services xmlns="` + RLSServicesSpace + `" xmlns:rl="` + ResourceListsSpace + `">` + s + `</rls-services>`
}
func prefs(s string) string { return `<t:preferences` + prefixes + `>` + s + `</t:preferences>` }
func levels(s string) string {
	return prefs(`<t:levels>` + s + `</t:levels>`)
}
func pidfDoc(s string) string {
	return `<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model" xmlns:r="urn:ietf:params:xml:ns:pidf:rpid" entity="pres:a@b">` + s + `</presence>`
}
func person(s string) string { return pidfDoc(`<dm:person id="p">` + s + `</dm:person>`) }
func filters(s string) string {
	return `<filter-set xmlns="` + FilterSpace + `">` + s + `</filter-set>`
}

// TestInvalid holds kind and phrase of what is wrong; nil and empty mean that it
// is not.
func TestInvalid(t *testing.T) {
	t.Parallel()
	all := validators()
	const (
		from  = `<cp:from>2026-01-01T00:00:00Z</cp:from>`
		until = `<cp:until>2026-01-02T00:00:00Z</cp:until>`
		low   = `<t:level name="low"><cp:transformations/></t:level>`
	)
	for _, c := range []struct {
		schema, text string
		kind         error
		phrase       string
	}{
		// RFC 4745
		{"common-policy", condition(`<cp:identity/>`), ErrSchema, "rule/conditions/identity: <cp:identity> ends too early: expected is <one>, <many> or an element of another namespace"},
		{"common-policy", condition(`<cp:identity><cp:one/></cp:identity>`), ErrSchema, "identity/one/@id: <cp:one> lacks the attribute id"},
		{"common-policy", condition(`<cp:identity><cp:two/></cp:identity>`), ErrSchema, "<cp:two> may not stand here in <cp:identity>"},
		{"common-policy", condition(`<cp:identity><cp:many><cp:except/></cp:many></cp:identity>`), ErrConstraint, "either id or domain"},
		{"common-policy", condition(`<cp:identity><cp:many><cp:except id="sip:a@b" domain="b"/></cp:many></cp:identity>`), ErrConstraint, "either id or domain"},
		{"common-policy", condition(`<cp:sphere/>`), ErrSchema, "lacks the attribute value"},
		{"common-policy", condition(`<cp:sphere value="work"> </cp:sphere>`), ErrSchema, "<cp:sphere> must be empty"},
		{"common-policy", condition(`<cp:validity>` + from + `</cp:validity>`), ErrSchema, "ends too early: expected is <until>"},
		{"common-policy", condition(`<cp:validity>` + from + until + from + `</cp:validity>`), ErrSchema, "ends too early"},
		{"common-policy", condition(`<cp:validity>` + until + from + `</cp:validity>`), ErrSchema, "expected is <from>"},
		{"common-policy", condition(`<cp:validity>` + from + until + from + strings.Replace(until, "02T", "01T", 1) + `</cp:validity>`), ErrConstraint, "validity/until[2]: <cp:until> must be later"},
		{"common-policy", condition(`<cp:validity><cp:from>2026-01-01T02:00:00+02:00</cp:from><cp:until>2026-01-01T00:00:00Z</cp:until></cp:validity>`), ErrConstraint, "must be later"},
		{"common-policy", condition(`<cp:validity><cp:from>2026-02-29T00:00:00Z</cp:from>` + until + `</cp:validity>`), ErrSchema, "is not a date and time"},
		{"common-policy", condition(`text`), ErrSchema, "text stands in <cp:conditions>"},
		{"common-policy", condition(`<none/>`), ErrSchema, "<none> may not stand here"},
		{"common-policy", rule(`<cp:actions/><cp:conditions/>`), ErrSchema, "<cp:conditions> may not stand here in <cp:rule>: expected is <transformations> or the end"},
		{"common-policy", rule(`<cp:actions><cp:identity/></cp:actions>`), ErrSchema, "expected is an element of another namespace or the end"},
		{"common-policy", `<cp:ruleset` + prefixes + `><cp:rule/></cp:ruleset>`, ErrSchema, "lacks the attribute id"},
		{"common-policy", `<cp:ruleset` + prefixes + `><cp:rule id="1"/></cp:ruleset>`, ErrSchema, "is not an ID"},
		{"common-policy", `<cp:ruleset` + prefixes + `><cp:rule id="a"/><cp:rule id=" a "/></cp:ruleset>`, ErrUniqueness, "rule[2]/@id"},
		{"common-policy", `<cp:ruleset` + prefixes + `><cp:rule id="a" x:y=""/></cp:ruleset>`, ErrSchema, "the attribute y may not stand on <cp:rule>"},
		{"common-policy", `<cp:ruleset` + prefixes + ` xmlns:xsi="` + instanceSpace + `" xsi:type="cp:x"/>`, ErrSchema, "xsi:type may not stand"},
		{"common-policy", `<ruleset/>`, ErrSchema, "the root is <ruleset>"},
		{"common-policy", `<cp:rule` + prefixes + ` id="a"/>`, ErrSchema, "the root is <cp:rule>"},
		// A schema error goes before what is not unique, and that before the rest.
		{"common-policy", `<cp:ruleset` + prefixes + `><cp:rule id="a"/><cp:rule id="a"/><cp:role/></cp:ruleset>`, ErrSchema, "<cp:role>"},
		{"common-policy", `<cp:ruleset` + prefixes + `><cp:rule id="a"><cp:conditions><cp:identity><cp:many><cp:except/></cp:many></cp:identity></cp:conditions></cp:rule><cp:rule id="a"/></cp:ruleset>`, ErrUniqueness, "@id"},

		// RFC 5025
		{"pres-rules", action(`<pr:sub-handling>maybe</pr:sub-handling>`), ErrSchema, "actions/sub-handling: the value of <pr:sub-handling> is not block, confirm, polite-block or allow"},
		{"pres-rules", action(`<pr:sub-handling/>`), ErrSchema, "is not block"},
		{"pres-rules", action(`<pr:sub-handling>al<!-- -->low</pr:sub-handling>`), nil, ""},
		{"pres-rules", action(`<pr:sub-handling>allow<x:y/></pr:sub-handling>`), ErrSchema, "expected is text alone"},
		{"pres-rules", transform(`<pr:provide-user-input> bare</pr:provide-user-input>`), ErrSchema, "is not false, bare, thresholds or full"},
		{"pres-rules", transform(`<pr:provide-mood>yes</pr:provide-mood>`), ErrSchema, "is not true or false"},
		{"pres-rules", transform(`<pr:provide-all-attributes>true</pr:provide-all-attributes>`), ErrSchema, "must be empty"},
		{"pres-rules", transform(`<pr:provide-persons><pr:all-persons/><pr:class>a</pr:class></pr:provide-persons>`), ErrSchema, "expected is the end"},
		{"pres-rules", transform(`<pr:provide-persons><pr:deviceID>a</pr:deviceID></pr:provide-persons>`), ErrSchema, "expected is <all-persons>, <occurrence-id>, <class>"},
		{"pres-rules", transform(`<pr:provide-unknown-attribute ns="urn:x">true</pr:provide-unknown-attribute>`), ErrSchema, "lacks the attribute name"},
		{"pres-rules", transform(`<pr:provide-unknown-attribute ns="urn:x" name="x:y">true</pr:provide-unknown-attribute>`), ErrConstraint, "without prefix"},
		{"pres-rules", transform(`<pr:provide-unknown-attribute ns="" name="y">true</pr:provide-unknown-attribute>`), ErrConstraint, "URI of a namespace"},
		// Within what nobody knows, what is known is checked.
		{"pres-rules", transform(`<x:y><x:z><pr:provide-mood>yes</pr:provide-mood></x:z></x:y>`), ErrSchema, "y/z/provide-mood"},
		{"pres-rules", transform(`<x:y xml:lang="1"/>`), ErrSchema, "is not a language tag"},
		{"pres-rules", transform(`<x:y a="1" x:b="2">text<a/>text</x:y>`), nil, ""},
		// RFC 4825, 8.2.5: what is unknown of a namespace that is known.
		{"pres-rules", transform(`<x:y cp:c=""/>`), ErrSchema, "the attribute c is none of " + CommonPolicySpace},
		{"pres-rules", transform(`<x:y><cp:c/></x:y>`), ErrSchema, "<cp:c> is no element of"},
		{"pres-rules", transform(`<x:y><cp:one id="a"/></x:y>`), nil, ""},
		{"pres-rules", transform(`<pr:provide-mod>true</pr:provide-mod>`), ErrSchema, "<pr:provide-mod> is no element of"},
		{"pres-rules", transform(`<op:provide-everything>true</op:provide-everything>`), ErrSchema, "is no element of"},
		{"pres-rules", condition(`<gp:weather/>`), ErrSchema, "is no element of"},
		{"common-policy", `<cp:ruleset xmlns:cp="` + CommonPolicySpace + `" xmlns:pr="` + PresRulesSpace + `"><cp:rule id="a"><cp:actions><pr:x/></cp:actions></cp:rule></cp:ruleset>`, nil, ""},
		{"rls-services", services(`<service uri="sip:a@b"><list/><rl:lst/></service>`), ErrSchema, "<rl:lst> is no element of"},
		{"presence", pidfDoc(`<tuple id="a"><status/><r:mod/></tuple>`), ErrSchema, "<r:mod> is no element of"},
		{"presence", pidfDoc(`<tuple id="a"><status/><mod xmlns="urn:x"/></tuple>`), nil, ""},

		// RFC 6772
		{"pres-rules", condition(`<gp:location-condition/>`), ErrConstraint, "must hold a location"},
		{"pres-rules", condition(`<gp:location-condition><x:y/></gp:location-condition>`), ErrConstraint, "must hold a location"},
		{"pres-rules", condition(`<gp:location-condition><gp:location profile="geodetic-condition"/></gp:location-condition>`), ErrConstraint, "must hold one Circle"},
		{"pres-rules", condition(`<gp:location-condition><gp:location profile="geodetic-condition"><gs:Circle srsName="urn:ogc:def:crs:EPSG::4979"/></gp:location></gp:location-condition>`), ErrConstraint, "srsName"},
		{"pres-rules", condition(`<gp:location-condition><gp:location profile="geodetic-condition"><gs:Circle srsName="urn:ogc:def:crs:EPSG::4326" srsDimension="2"/></gp:location></gp:location-condition>`), ErrConstraint, "srsDimension"},
		{"pres-rules", condition(`<gp:location-condition><gp:location profile="of-somebody"><x:y/></gp:location></gp:location-condition>`), nil, ""},
		{"pres-rules", transform(`<gp:provide-location profile="civic-transformation"/>`), nil, ""},
		{"pres-rules", transform(`<gp:provide-location><lp:provide-civic>city</lp:provide-civic></gp:provide-location>`), ErrConstraint, "must have a profile"},
		{"pres-rules", transform(`<gp:provide-location profile="civic-transformation"><lp:provide-geo radius="1"/></gp:provide-location>`), ErrConstraint, "<lp:provide-geo> does not belong"},
		{"pres-rules", transform(`<gp:provide-location profile="geodetic-transformation"><lp:provide-civic>city</lp:provide-civic></gp:provide-location>`), ErrConstraint, "does not belong"},
		{"pres-rules", transform(`<gp:provide-location profile="geodetic-transformation"><lp:provide-geo/></gp:provide-location>`), ErrConstraint, "needs a radius"},
		{"pres-rules", transform(`<gp:provide-location profile="geodetic-transformation"><lp:provide-geo radius="-5"/></gp:provide-location>`), ErrConstraint, "needs a radius"},
		{"pres-rules", transform(`<gp:provide-location profile="civic-transformation"><lp:provide-civic>street</lp:provide-civic></gp:provide-location>`), ErrSchema, "is not full, building"},
		{"pres-rules", transform(`<gp:provide-location profile="of-somebody"><x:y/></gp:provide-location>`), nil, ""},
		{"pres-rules", transform(`<gp:set-retention-expiry>-1</gp:set-retention-expiry>`), ErrConstraint, "not negative"},
		{"pres-rules", transform(`<gp:set-retention-expiry>1.5</gp:set-retention-expiry>`), ErrSchema, "is not a whole number"},
		{"pres-rules", transform(`<gp:provide-location><lat-resolution>2</lat-resolution></gp:provide-location>`), ErrConstraint, `today it is <provide-geo radius="…"/>`},
		{"pres-rules", transform(`<gp:lon-resolution>2</gp:lon-resolution>`), ErrConstraint, "<provide-geo"},
		{"pres-rules", transform(`<lp:alt-resolution>2</lp:alt-resolution>`), ErrConstraint, "<provide-geo"},
		{"pres-rules", transform(`<x:y><gp:civic-loc-transformation/></x:y>`), ErrConstraint, "today it is <provide-civic>"},
		{"pres-rules", transform(`<gp:geodetic-loc-transformation/>`), ErrConstraint, "<provide-geo"},
		{"pres-rules", transform(`<gp:distribution-transformation/>`), ErrConstraint, "<set-retransmission-allowed>"},
		{"pres-rules", transform(`<gp:retention-transformation/>`), ErrConstraint, "<set-retention-expiry>"},
		{"pres-rules", transform(`<gp:keep-ruleset-reference-transformation/>`), ErrConstraint, "<keep-rule-reference>"},
		{"pres-rules", condition(`<gp:civic-loc-condition/>`), ErrConstraint, "<location-condition>"},
		{"pres-rules", transform(`<x:lat-resolution/>`), nil, ""},

		// OMA
		{"pres-rules", condition(`<ocp:other-identity>x</ocp:other-identity>`), ErrSchema, "must be empty"},
		{"pres-rules", condition(`<ocp:external-list><ocp:entry/></ocp:external-list>`), ErrSchema, "lacks the attribute anc"},
		{"pres-rules", transform(`<op:provide-geopriv>true</op:provide-geopriv>`), ErrSchema, "is not false or full"},

		// Tacit
		{"pres-rules", condition(`<t:recurring from="09:00" until="17:00"/>`), ErrSchema, "lacks the attribute zone"},
		{"pres-rules", condition(`<t:recurring zone="Europe/Berlin" from="09:00"/>`), ErrConstraint, "both from and until"},
		{"pres-rules", condition(`<t:recurring zone="Europe/Berlin" from="09:00" until="09:00"/>`), ErrConstraint, "must differ"},
		{"pres-rules", condition(`<t:recurring zone="Europe/Berlin" from="24:00" until="09:00"/>`), ErrSchema, "is not a time of day"},
		{"pres-rules", condition(`<t:recurring zone="Europe/Berlin" from="9:00" until="24:01"/>`), ErrSchema, "is not a time of day"},
		{"pres-rules", condition(`<t:recurring zone="Europe/Berlin" from="23:30" until="24:00"/>`), nil, ""},
		{"pres-rules", condition(`<t:recurring zone="Europe/Berlin" from="22:00" until="06:00"/>`), nil, ""},
		{"pres-rules", condition(`<t:recurring zone="../etc/passwd"/>`), ErrSchema, "name of a time zone"},
		{"pres-rules", condition(`<t:recurring zone="Etc/GMT+5" days="mon tues"/>`), ErrSchema, "is not a list of mon"},
		{"pres-rules", condition(`<t:recurring zone="Etc/GMT+5" days=""/>`), ErrSchema, "is not a list of mon"},
		{"pres-rules", condition(`<t:mechanism>digest  tls</t:mechanism>`), nil, ""},
		{"pres-rules", condition(`<t:mechanism>digest rumour</t:mechanism>`), ErrSchema, "is not a list of digest"},
		{"pres-rules", condition(`<t:mechanism/>`), ErrSchema, "is not a list of digest"},
		{"pres-rules", condition(`<t:reccuring zone="UTC"/>`), ErrSchema, "is no element of"},
		{"pres-rules", transform(`<t:mechanism>tls</t:mechanism>`), ErrConstraint, "may stand in <conditions> alone"},
		{"pres-rules", action(`<t:recurring zone="UTC"/>`), ErrConstraint, "may stand in <conditions> alone"},
		{"pres-rules", condition(`<x:y><t:coarse-timestamps seconds="1"/></x:y>`), ErrConstraint, "may stand in <transformations> alone"},
		{"pres-rules", transform(`<t:levels/>`), ErrConstraint, "stands in preferences alone"},
		{"pres-rules", transform(`<t:coarse-timestamps seconds="0"/>`), ErrSchema, "is not a number of seconds from 1 to 86400"},
		{"pres-rules", transform(`<t:coarse-timestamps seconds="86401"/>`), ErrSchema, "is not a number of seconds"},
		{"pres-rules", transform(`<t:coarse-timestamps seconds="0086400"/>`), nil, ""},
		{"preferences", prefs(`<t:conceal>on</t:conceal><t:conceal>on</t:conceal>`), ErrSchema, "<t:conceal> stands twice in <t:preferences>"},
		{"preferences", prefs(`<t:conceal>maybe</t:conceal>`), ErrSchema, "is not on, off or domain"},
		{"preferences", prefs(`<t:location-band>30</t:location-band>`), ErrSchema, "is not 0, 25"},
		{"preferences", prefs(`<x:y/>`), ErrSchema, "expected is <watchers>, <unknown-watchers>, <announce>, <conceal>, <location-band>, <levels> or the end"},
		{"preferences", prefs(`<t:watchers/>`), ErrSchema, "lacks the attribute authentication"},
		{"preferences", prefs(`<t:announce polling="on"/>`), ErrSchema, "is not true or false"},
		{"preferences", prefs(`text`), ErrSchema, "text stands in"},
		{"preferences", levels(`<t:level name="low"/>`), ErrSchema, "ends too early: expected is <actions> or <transformations>"},
		{"preferences", levels(low + low), ErrUniqueness, "level[2]/@name"},
		{"preferences", levels(`<t:level name="none"><cp:transformations/></t:level>`), ErrConstraint, "cannot be declared"},
		{"preferences", levels(`<t:member level="high" id="sip:a@b"/>`), ErrConstraint, "is not declared"},
		{"preferences", levels(`<t:member level="colleagues" id="sip:a@b"/><t:level name="colleagues"><cp:transformations/></t:level>`), nil, ""},
		{"preferences", levels(`<t:member level="low"/>`), ErrConstraint, "either id or domain"},
		{"preferences", levels(`<t:member level="low" id="sip:a@b" domain="b"/>`), ErrConstraint, "either id or domain"},
		{"preferences", levels(`<t:member level="low" id="sip:a@b"/><t:member level="full" id="sip:a@b"/>`), ErrUniqueness, "member[2]/@id"},
		{"preferences", levels(`<t:member level="low" domain="b"/><t:member level="full" domain="B"/>`), ErrUniqueness, "member[2]/@domain"},
		{"preferences", levels(`<t:member level="low" id="b"/><t:member level="full" domain="b"/>`), nil, ""},
		{"preferences", levels(`<t:level name="low"><cp:transformations><gp:lat-resolution/></cp:transformations></t:level>`), ErrConstraint, "today it is"},
		{"preferences", levels(`<t:level name="low"><cp:transformations><t:mechanism>tls</t:mechanism></cp:transformations></t:level>`), ErrConstraint, "in <conditions> alone"},

		// RFC 4826
		{"resource-lists", lists(`<entry/>`), ErrSchema, "list/entry/@uri: <entry> lacks the attribute uri"},
		{"resource-lists", lists(`<entry uri="sip:a@b"/><entry uri="sip:a@b"/>`), ErrUniqueness, "resource-lists/list/entry[2]/@uri"},
		{"resource-lists", lists(`<entry uri="sip:a@b"/><list><entry uri="sip:a@b"/></list>`), nil, ""},
		{"resource-lists", lists(`<entry uri="sip:a@b"/><entry uri="sip:A@b"/>`), nil, ""},
		{"resource-lists", lists(`<list name="x"/><list name="x"/>`), ErrUniqueness, "list/list[2]/@name"},
		{"resource-lists", lists(`<list/><list/>`), nil, ""},
		{"resource-lists", lists(`<entry-ref ref="a/b"/><entry-ref ref="a/b"/>`), ErrUniqueness, "@ref"},
		{"resource-lists", lists(`<entry-ref ref="/a/b"/>`), ErrConstraint, "relative to the XCAP root"},
		{"resource-lists", lists(`<entry-ref ref="http://a/b"/>`), ErrConstraint, "relative to the XCAP root"},
		{"resource-lists", lists(`<entry-ref ref=""/>`), ErrConstraint, "relative to the XCAP root"},
		{"resource-lists", lists(`<external/>`), ErrConstraint, "needs an anchor"},
		{"resource-lists", lists(`<external anchor="a/b"/>`), ErrConstraint, "absolute HTTP URI"},
		{"resource-lists", lists(`<external anchor="ftp://a/b"/>`), ErrConstraint, "absolute HTTP URI"},
		{"resource-lists", lists(`<external anchor="HTTPS://a/b"/><external anchor="HTTPS://a/b"/>`), ErrUniqueness, "@anchor"},
		{"resource-lists", lists(`<external/><entry uri="a:b"/><entry uri="a:b"/>`), ErrUniqueness, "@uri"},
		{"resource-lists", lists(`<x:y/><entry uri="sip:a@b"/>`), ErrSchema, "expected is an element of another namespace or the end"},
		{"resource-lists", lists(`<entry uri="sip:a%4"/>`), ErrSchema, "is not a URI"},
		{"rls-services", services(`<service uri="sip:a@b"/>`), ErrSchema, "expected is <resource-list> or <list>"},
		{"rls-services", services(`<service uri="sip:a@b"><list/></service><service uri=" sip:a@b"><list/></service>`), ErrUniqueness, "service[2]/@uri"},
		{"rls-services", services(`<service uri="sip:a@b"><resource-list>a/b</resource-list></service>`), ErrConstraint, "absolute HTTP URI"},
		{"rls-services", services(`<service uri="sip:a@b"><resource-list>http://a/pres-rules/b</resource-list></service>`), ErrConstraint, "resource-lists"},
		{"rls-services", services(`<service uri="sip:a@b"><list><rl:entry uri="a:b"/><rl:entry uri="a:b"/></list></service>`), ErrUniqueness, "entry[2]/@uri"},
		{"rls-services", services(`<service uri="sip:a@b"><resource-list>x</resource-list></service><service uri="sip:c@b"><list><rl:entry uri="a:b"/><rl:entry uri="a:b"/></list></service>`), ErrUniqueness, "entry[2]/@uri"},

		// RFC 4825
		{"xcap-error", `<xcap-error xmlns="` + XCAPErrorSpace + `"/>`, ErrSchema, "expected is <extension>, <no-parent>"},
		{"xcap-error", `<xcap-error xmlns="` + XCAPErrorSpace + `"><error-element/></xcap-error>`, ErrSchema, "<error-element> may not stand here"},
		{"xcap-error", `<xcap-error xmlns="` + XCAPErrorSpace + `"><extension><error-element/></extension></xcap-error>`, ErrSchema, "only names a group"},
		{"xcap-error", `<xcap-error xmlns="` + XCAPErrorSpace + `"><cannot-insert/><cannot-insert/></xcap-error>`, ErrSchema, "expected is the end"},
		{"xcap-caps", `<xcap-caps xmlns="` + XCAPCapsSpace + `"><namespaces/></xcap-caps>`, ErrSchema, "expected is <auids>"},
		{"test", `<other xmlns="` + TestSpace + `"/>`, ErrSchema, "the root is"},

		// RFC 5874
		{"xcap-diff", `<xcap-diff xmlns="` + XCAPDiffSpace + `"/>`, ErrSchema, "lacks the attribute xcap-root"},
		{"xcap-diff", `<xcap-diff xmlns="` + XCAPDiffSpace + `" xcap-root="a"><document sel="a"><add sel="a/@b"/></document></xcap-diff>`, ErrSchema, "selector of an element"},
		{"xcap-diff", `<xcap-diff xmlns="` + XCAPDiffSpace + `" xcap-root="a"><document sel="a"><replace sel="a//b"/></document></xcap-diff>`, ErrSchema, "selector of RFC 5261"},
		{"xcap-diff", `<xcap-diff xmlns="` + XCAPDiffSpace + `" xcap-root="a"><document sel="a"><replace sel="a"><b/><b/></replace></document></xcap-diff>`, ErrSchema, "expected is the end"},

		// RFC 3858
		{"watcherinfo", `<watcherinfo xmlns="` + WatcherInfoSpace + `" version="-1" state="full"/>`, ErrSchema, "is not a whole number"},
		{"watcherinfo", `<watcherinfo xmlns="` + WatcherInfoSpace + `" version="0" state="half"/>`, ErrSchema, "is not full or partial"},

		// RFC 4661
		{"filter-set", filters(``), ErrSchema, "expected is <ns-bindings> or <filter>"},
		{"filter-set", filters(`<filter id="a"/><filter id="a"/>`), ErrUniqueness, "filter[2]/@id"},
		{"filter-set", filters(`<filter id="a" uri="sip:a@b" domain="b"/>`), ErrConstraint, "uri and domain together"},
		{"filter-set", filters(`<filter id="a"><trigger/></filter>`), ErrConstraint, "what triggers it"},
		{"filter-set", filters(`<filter id="a"><what><include type="css">a</include></what></filter>`), ErrSchema, "is not xpath or namespace"},

		// RFC 3863, 4479, 4480
		{"presence", pidfDoc(`<note>a</note><tuple id="a"><status/></tuple>`), ErrSchema, "<tuple> may not stand here"},
		{"presence", pidfDoc(`<tuple id="a"><status><basic>unknown</basic></status></tuple>`), ErrSchema, "is not open or closed"},
		{"presence", pidfDoc(`<tuple id="a"><status/></tuple><dm:person id="a"/>`), ErrUniqueness, "person/@id"},
		{"presence", pidfDoc(`<tuple id="a"><status/><contact priority="0123">a</contact></tuple>`), ErrSchema, "is not a decimal"},
		{"presence", pidfDoc(`<dm:device id="a"/>`), ErrSchema, "expected is <deviceID> or an element of another namespace"},
		{"presence", person(`<r:mood/>`), ErrSchema, "<r:mood> ends too early"},
		{"presence", person(`<r:mood><r:happy/><r:unknown/></r:mood>`), ErrSchema, "<r:unknown> may not stand here"},
		{"presence", person(`<r:mood><r:happy/><r:in_love/><r:other xml:lang="en">x</r:other></r:mood><r:activities/>`), nil, ""},
		{"presence", person(`<r:activities from="now"><r:away/></r:activities>`), ErrSchema, "is not a date and time"},
		{"presence", person(`<r:activities><r:awya/></r:activities>`), ErrSchema, "<note>, <unknown>, <appointment>, <away>, <breakfast>, <busy>, <dinner>, <holiday>, others"},
		{"presence", person(`<r:user-input idle-threshold="0">idle</r:user-input>`), ErrSchema, "is not a whole number above 0"},
		// What the schema lets pass, but nobody could compose.
		{"presence", pidfDoc(`<tuple id="a"><status/><contact>a</contact><timestamp>2026-01-01T24:00:00Z</timestamp></tuple>`), ErrConstraint, "timestamp"},
	} {
		err := all[c.schema](parse(t, c.text))
		if c.kind == nil {
			if err != nil {
				t.Errorf("%s: %v\n%s", c.schema, err, c.text)
			}
			continue
		}
		if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.phrase) {
			t.Errorf("%s: %v, want %v, %q\n%s", c.schema, err, c.kind, c.phrase, c.text)
		}
	}
}
