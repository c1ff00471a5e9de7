package main

import (
	"fmt"
	"strings"

	"github.com/tacit-presence/tacit/load"
)

const (
	domain = "example.com"
	// ruleCount is how many rules each presentity has: a big address book's. They
	// have some 20 KB.
	ruleCount = 50
	// every is how far apart the rules are that are about watchers of the load.
	every = ruleCount / watchers
	// blockedPattern are users whom a rule blocks; strangerPattern, users whom no
	// rule is about.
	blockedPattern, strangerPattern = "blocked%d", "stranger%d"
)

// permissions are the transformations of the three classes of watchers. Kamailio
// shows what no transformation is about, so that what a class is not told of is
// said where it would not have to be; and it takes the first rule that matches,
// so that only one matches a watcher.
var permissions = [...]string{
	`<pr:provide-services><pr:all-services/></pr:provide-services>
  <pr:provide-persons><pr:all-persons/></pr:provide-persons>
  <pr:provide-all-attributes/>`,
	`<pr:provide-services/>
  <pr:provide-persons><pr:class>` + load.RichClass + `</pr:class></pr:provide-persons>
  <pr:provide-activities>true</pr:provide-activities>
  <pr:provide-mood>false</pr:provide-mood>
  <pr:provide-note>true</pr:provide-note>`,
	`<pr:provide-services><pr:service-uri-scheme>sip</pr:service-uri-scheme></pr:provide-services>
  <pr:provide-persons/>
  <pr:provide-note>false</pr:provide-note>
  <gp:provide-location profile="civic-transformation"><lp:provide-civic>city</lp:provide-civic></gp:provide-location>`,
}

// told is what watchers must be told by permissions. Kamailio knows no
// locations, and leaves out less.
func told(locations bool) []load.Class {
	list := []load.Class{
		{Has: []string{load.RichCity, load.RichStreet, load.RichNote, load.RichPhone, load.RichActivity, load.RichMood}},
		{Has: []string{load.RichActivity}, Not: []string{"contact", load.RichStreet, load.RichNote, load.RichMood}},
		{Has: []string{"contact", load.RichCity}, Not: []string{load.RichNote, load.RichPhone, load.RichActivity, load.RichMood}},
	}
	if locations {
		list[2].Not = append(list[2].Not, load.RichStreet)
	}
	return list
}

// toldAll is what watchers are told where there are no rules.
func toldAll() []load.Class { return told(true)[:1] }

// ruleDocument makes the rules of presentity i, one and the same for both
// servers. Another edition is the same but for a name.
func ruleDocument(i, edition int) string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>
<ruleset xmlns="urn:ietf:params:xml:ns:common-policy" xmlns:pr="urn:ietf:params:xml:ns:pres-rules" xmlns:gp="urn:ietf:params:xml:ns:geolocation-policy" xmlns:lp="urn:ietf:params:xml:ns:basic-location-profiles">
`)
	one := func(pattern string, n int) string {
		return `<one id="sip:` + fmt.Sprintf(pattern, n) + "@" + domain + `"/>`
	}
	for n := range ruleCount {
		identity, extra, handling, class := "", "", "allow", n%len(permissions)
		switch n % every {
		case 0:
			identity = one("colleague%d", i*ruleCount+n)
		case 1:
			identity = one("colleague%d", i*ruleCount+n) + one("friend%d", i*ruleCount+n)
		case every / 2: // a watcher of the load: its number is load.Config's
			w := n / every
			identity, class = one("watcher%d", i*watchers+w), w%len(permissions)
		case 3:
			identity = fmt.Sprintf(`<many domain="partner-%d.%s"><except id="sip:sales@partner-%d.%s"/></many>`, n, domain, n, domain)
			handling = "confirm"
		default:
			identity = one("guest%d", i*ruleCount+n)
			extra = `<validity><from>2020-01-01T00:00:00Z</from><until>2037-12-31T23:59:59Z</until></validity>`
		}
		if n == ruleCount-1 {
			identity, extra, handling = one(blockedPattern, i), "", "block"
		}
		grants := permissions[class]
		if handling == "confirm" {
			grants = "" // nothing until somebody has confirmed
		}
		fmt.Fprintf(&b, `<rule id="rule-%d-%d">
 <conditions><identity>%s</identity>%s</conditions>
 <actions><pr:sub-handling>%s</pr:sub-handling></actions>
 <transformations>
  %s
 </transformations>
</rule>
`, n, edition, identity, extra, handling, grants)
	}
	b.WriteString("</ruleset>\n")
	return b.String()
}

// xcapTable makes Kamailio's table of XCAP documents, whose head is given, as
// db_text keeps it.
func xcapTable(head string, presentities int) string {
	const (
		presRules = 2 // PRES_RULES of its xcap_client
		own       = 0 // INTEGRATED_SERVER
	)
	escape := strings.NewReplacer("\\", `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`, ":", `\:`)
	var b strings.Builder
	b.WriteString(strings.TrimRight(head, "\n") + "\n")
	for i := range presentities {
		fmt.Fprintf(&b, "%d:user%d:%s:%s:%d:etag%d:%d:%s:0\n", i+1, i, domain, escape.Replace(ruleDocument(i, 0)), presRules, i, own,
			escape.Replace(xcapPath(i)))
	}
	return b.String()
}

// xcapPath is where the rules of presentity i are.
func xcapPath(i int) string {
	return fmt.Sprintf("/xcap-root/pres-rules/users/sip:user%d@%s/index", i, domain)
}
