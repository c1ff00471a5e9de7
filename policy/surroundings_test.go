package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/compose"
)

// personDoc is a presence document with one person.
func personDoc(inner string) string {
	return `<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model" xmlns:rpid="urn:ietf:params:xml:ns:pidf:rpid" entity="sip:alice@example.com"><dm:person id="p">` +
		inner + `</dm:person></presence>`
}

func TestObserveSphere(t *testing.T) {
	t.Parallel()
	now := when(t, "2026-03-02T12:00:00Z")
	for _, c := range []struct {
		name   string
		docs   []string
		sphere string // empty: not known
		until  string
	}{
		{"nothing", nil, "", ""},
		{"no sphere", []string{personDoc(`<rpid:class>x</rpid:class>`)}, "", ""},
		{"RFC 4480, 3.11", []string{personDoc(`<rpid:sphere><rpid:home/></rpid:sphere>`)}, "home", ""},
		{"RFC 4480, 4", []string{personDoc(`<rpid:sphere>bowling  league</rpid:sphere>`)}, "bowling league", ""},
		{"an extension", []string{personDoc(`<rpid:sphere><x:Scouting xmlns:x="urn:x"/></rpid:sphere>`)}, "scouting", ""},
		{"agreeing", []string{personDoc(`<rpid:sphere><rpid:work/></rpid:sphere>`), personDoc(`<rpid:sphere>WORK</rpid:sphere>`), personDoc(``)}, "work", ""},
		{"disagreeing", []string{personDoc(`<rpid:sphere><rpid:work/></rpid:sphere>`), personDoc(`<rpid:sphere><rpid:home/></rpid:sphere>`)}, "", ""},
		{"disagreeing in one", []string{personDoc(`<rpid:sphere><rpid:work/></rpid:sphere><rpid:sphere><rpid:home/></rpid:sphere>`)}, "", ""},
		{"disagreeing twice", []string{personDoc(`<rpid:sphere>a</rpid:sphere>`), personDoc(`<rpid:sphere>b</rpid:sphere>`), personDoc(`<rpid:sphere>b</rpid:sphere>`)}, "", ""},
		{"empty beside another", []string{personDoc(`<rpid:sphere><rpid:work/></rpid:sphere>`), personDoc(`<rpid:sphere/>`)}, "", ""},
		{"over", []string{personDoc(`<rpid:sphere until="2026-03-02T12:00:00Z"><rpid:work/></rpid:sphere>`), personDoc(`<rpid:sphere><rpid:home/></rpid:sphere>`)}, "home", ""},
		{"to come", []string{personDoc(`<rpid:sphere from="2026-03-02T13:00:00Z"><rpid:work/></rpid:sphere>`)}, "", "2026-03-02T13:00:00Z"},
		{"for a time", []string{personDoc(`<rpid:sphere from="2026-03-02T12:00:00Z" until="2026-03-02T13:00:00+01:00"><rpid:work/></rpid:sphere>`)}, "", ""},
		{"until", []string{personDoc(`<rpid:sphere from="2026-03-02T12:00:00Z" until="2026-03-02T13:00:00Z"><rpid:work/></rpid:sphere>`)}, "work", "2026-03-02T13:00:00Z"},
		{"no time", []string{personDoc(`<rpid:sphere until="soon"><rpid:work/></rpid:sphere>`)}, "", ""},
	} {
		s := Observe(rawOf(t, c.docs...), now)
		until := ""
		if !s.Until.IsZero() {
			until = s.Until.UTC().Format(time.RFC3339)
		}
		if got := strings.Join(s.Sphere.words, " "); got != c.sphere || s.Sphere.Known() != (c.sphere != "") || until != c.until {
			t.Errorf("%s: sphere %q until %q", c.name, got, until)
		}
	}
	if s := Observe(compose.Raw{}, now); s.Sphere.Known() || !s.Location.Unknown() {
		t.Error("of nothing", s)
	}
	// A sphere of several words is not each of them.
	for value, want := range map[string]bool{"work": false, "not": false, "not work": true, "work home not": true} {
		if NewSphere("not work").in(strings.Fields(value)) != want {
			t.Errorf("not work in %q: %v", value, !want)
		}
	}
}

// locationDoc is a document with a civic address in one kind of component.
func locationDoc(component, attrs, city, rules string) string {
	return `<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model" xmlns:gp="urn:ietf:params:xml:ns:pidf:geopriv10" xmlns:cl="urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr" xmlns:gbp="urn:ietf:params:xml:ns:pidf:geopriv10:basicPolicy" entity="sip:alice@example.com"><` +
		component + attrs + `><gp:geopriv><gp:location-info><cl:civicAddress><cl:country>DE</cl:country><cl:A1>Bavaria</cl:A1><cl:A3>` + city +
		`</cl:A3></cl:civicAddress></gp:location-info><gp:usage-rules>` + rules + `</gp:usage-rules></gp:geopriv>`
}

func TestLocationCondition(t *testing.T) {
	t.Parallel()
	r := setsOf(t, ruleOf("munich", `<gp:location-condition><gp:location profile="civic-condition" xml:lang="en" label="the works" xmlns="urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr"><country>DE</country><A1>Bavaria</A1><A3>Munich</A3></gp:location></gp:location-condition>`, ""))
	now := when(t, "2026-03-02T12:00:00Z")
	device := func(city, rules, timestamp string) string {
		return locationDoc("dm:device", ` id="d"`, city, rules) + `<dm:deviceID>urn:x:d</dm:deviceID>` + timestamp + `</dm:device></presence>`
	}
	person := func(city string) string {
		return locationDoc("dm:person", ` id="p"`, city, "") + `</dm:person></presence>`
	}
	for _, c := range []struct {
		name  string
		docs  []string
		holds bool
		until string
	}{
		{"nothing", nil, false, ""},
		{"there", []string{person("Munich")}, true, ""},
		{"elsewhere", []string{person("Augsburg")}, false, ""},
		{"octet by octet", []string{person("munich")}, false, ""},
		{"the device counts", []string{person("Munich"), device("Augsburg", "", "")}, false, ""},
		{"the device is there", []string{person("Augsburg"), device("Munich", "", "")}, true, ""},
		{"expired", []string{person("Munich"), device("Augsburg", `<gbp:retention-expiry>2026-03-02T11:00:00Z</gbp:retention-expiry>`, "")}, true, ""},
		{"expires", []string{device("Munich", `<gbp:retention-expiry>2026-03-02T13:00:00Z</gbp:retention-expiry>`, "")}, true, "2026-03-02T13:00:00Z"},
		{"a day after its timestamp", []string{device("Munich", "", `<dm:timestamp>2026-03-02T11:00:00Z</dm:timestamp>`)}, true, "2026-03-03T11:00:00Z"},
		{"a day and more", []string{device("Munich", "", `<dm:timestamp>2026-03-01T11:00:00Z</dm:timestamp>`)}, false, ""},
	} {
		f := Facts{Surroundings: Observe(rawOf(t, c.docs...), now)}
		d := Decide(r, known(bob), now, f)
		until := ""
		if !d.Until.IsZero() {
			until = d.Until.UTC().Format(time.RFC3339)
		}
		if (d.Handling == Allow) != c.holds || until != c.until {
			t.Errorf("%s: %v until %q", c.name, d.Handling, until)
		}
		if x := Explain(r, known(bob), now, f); x.Rules[0].Matched != c.holds || strings.Contains(x.Rules[0].Failed, "not known") != f.Surroundings.Location.Unknown() {
			t.Errorf("%s: %+v", c.name, x.Rules[0])
		}
	}
}
