package filter

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/compose"
	"github.com/tacit-presence/tacit/location"
	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/rfc/vectors"
)

// docOf is a document of parts.
func docOf(parts ...string) string { return root + strings.Join(parts, "") + `</presence>` }

func tupleOf(id, basic, contact string) string {
	s := `<tuple id="` + id + `"><status><basic>` + basic + `</basic></status>`
	if contact != "" {
		s += `<contact>` + contact + `</contact>`
	}
	return s + `</tuple>`
}

func TestTriggered(t *testing.T) {
	t.Parallel()
	open, closed := tupleOf("a", "open", "sip:a"), tupleOf("a", "closed", "sip:a")
	other, otherOpen := tupleOf("b", "closed", "sip:b"), tupleOf("b", "open", "sip:b")
	number := func(n string) string { return `<x:n v="` + n + `">` + n + `</x:n>` }
	const basic = `//p:basic</changed>`
	for _, c := range []struct {
		triggers, before, after string
		want                    bool
	}{
		{`<changed>` + basic, docOf(closed), docOf(open), true},
		{`<changed>` + basic, docOf(closed), docOf(closed, `<note>n</note>`), false},
		{`<changed from="closed">` + basic, docOf(closed), docOf(open), true},
		{`<changed from="open">` + basic, docOf(closed), docOf(open), false},
		{`<changed to="open">` + basic, docOf(closed), docOf(open), true},
		{`<changed to="closed">` + basic, docOf(closed), docOf(open), false},
		{`<changed from="closed" to="open">` + basic, docOf(closed, other), docOf(closed, otherOpen), true},
		{`<changed from="CLOSED" to="OPEN">` + basic, docOf(closed), docOf(open), true}, // RFC 4661, 6.2
		{`<changed from="OPEN" to="CLOSED">` + basic, docOf(closed), docOf(open), false},
		{`<changed from="A" to="B">//p:contact</changed>`, docOf(tupleOf("a", "open", "a")), docOf(tupleOf("a", "open", "b")), false},
		{`<changed>` + basic, docOf(closed), docOf(closed, otherOpen), false}, // it is added
		{`<changed>` + basic, docOf(closed, otherOpen), docOf(closed), false},
		{`<changed>` + basic, docOf(closed, otherOpen), docOf(otherOpen, closed), false}, // their order does not count
		{`<changed>` + basic, docOf(closed), docOf(tupleOf("z", "open", "sip:a")), true}, // another id, the same contact
		{`<changed>` + basic, docOf(closed), docOf(tupleOf("z", "open", "sip:z")), true}, // its successor
		{`<changed>` + basic, docOf(closed), docOf(tupleOf("y", "closed", "sip:z"), tupleOf("z", "open", "sip:a")), true},
		{`<changed to="open">` + basic, docOf(), docOf(open), true}, // from unavailable
		{`<changed by="2">//x:n</changed>`, docOf(number("6")), docOf(number("8")), true},
		{`<changed by="2">//x:n/@v</changed>`, docOf(number("6")), docOf(number("4")), true},
		{`<changed by="2">//x:n</changed>`, docOf(number("6")), docOf(number("7.9")), false},
		{`<changed by="2">//x:n</changed>`, docOf(number("6")), docOf(number("many")), false},
		{`<changed by="2" from="6">//x:n</changed>`, docOf(number("6.0")), docOf(number("9")), true},
		{`<changed by="2" to="10">//x:n</changed>`, docOf(number("6")), docOf(number("9")), false},
		{`<changed>//x:n</changed>`, docOf(number("6")), docOf(number(" 6.0 ")), false},
		{`<added>//p:tuple</added>`, docOf(closed), docOf(closed, other), true},
		{`<added>//p:tuple</added>`, docOf(closed), docOf(open), false},
		{`<added>//p:tuple</added>`, docOf(closed), docOf(tupleOf("z", "open", "sip:a")), false},
		{`<added>//p:tuple</added>`, docOf(closed), docOf(tupleOf("z", "closed", "sip:z")), true},
		{`<removed>//p:tuple</removed>`, docOf(closed), docOf(tupleOf("z", "closed", "sip:z")), true},
		{`<removed>//p:tuple</removed>`, docOf(closed, other), docOf(other), true},
		{`<removed>//p:tuple</removed>`, docOf(closed), docOf(closed, other), false},
		{`<added>//p:note</added>`, docOf(`<note>a</note>`), docOf(`<note>a</note>`, `<note>b</note>`), true},
		{`<added>//x:n/@v</added>`, docOf(`<x:n/>`), docOf(`<x:n v="1"/>`), true},
		{`<added>//p:tuple[p:status/p:basic="open"]</added>`, docOf(closed), docOf(open), true},
		{`<changed>` + basic + `<added>//p:note</added>`, docOf(closed), docOf(open), false}, // all of one trigger
		{`<changed>` + basic + `<added>//p:note</added>`, docOf(closed), docOf(open, `<note>a</note>`), true},
		{`<changed>` + basic + `</trigger><trigger><added>//p:note</added>`, docOf(closed), docOf(open), true}, // any trigger
		{`<changed>` + basic + `</trigger><trigger><added>//p:note</added>`, docOf(closed), docOf(closed, `<note>a</note>`), true},
	} {
		f := filterOf(t, filterSet(`<trigger>`+c.triggers+`</trigger>`))
		if got := f.Triggered(seen(t, c.before), seen(t, c.after)); got != c.want {
			t.Errorf("%s: %v\n%s\n%s", c.triggers, got, c.before, c.after)
		}
	}
	f := filterOf(t, filterSet(`<trigger><added>//p:nothing</added></trigger>`))
	a := seen(t, docOf(open))
	if !f.Triggered(policy.Candidate{}, a) || !f.Triggered(a, policy.Candidate{}) || !(Filter{}).Triggered(a, a) {
		t.Error("another decision, or no trigger, is no change")
	}
}

// TestPartialPermissions: the ids of what is told in part change with it; a tuple
// whose status changes is the same tuple all the same.
func TestPartialPermissions(t *testing.T) {
	t.Parallel()
	rules, err := policy.ReadRuleSet(`<ruleset xmlns="urn:ietf:params:xml:ns:common-policy" xmlns:pr="urn:ietf:params:xml:ns:pres-rules"><rule id="a"><conditions/>`+
		`<actions><pr:sub-handling>allow</pr:sub-handling></actions><transformations><pr:provide-services><pr:all-services/></pr:provide-services></transformations></rule></ruleset>`, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := policy.Decide(&policy.Rules{Sets: []policy.NamedSet{{RuleSet: rules}}}, presence.NewPrincipal("sip:w@example.com", presence.MechanismDigest), time.Time{}, policy.Facts{})
	told := func(parts ...string) policy.Candidate {
		doc, err := pidf.Parse(docOf(parts...))
		if err != nil {
			t.Fatal(err)
		}
		c := policy.Apply(compose.Union().Compose("", []compose.Publication{{Doc: doc}}), d)
		if c.Document().Empty() {
			t.Fatalf("%v tells nothing", d)
		}
		return c
	}
	before := told(tupleOf("a", "closed", "sip:a"), tupleOf("b", "closed", "sip:b"))
	after := told(tupleOf("a", "open", "sip:a"), tupleOf("b", "closed", "sip:b"))
	plain, plainOpen := told(tupleOf("a", "closed", "")), told(tupleOf("a", "open", ""))
	if plain.Document().Parts()[0].Text == plainOpen.Document().Parts()[0].Text {
		t.Error("a status is not told")
	}
	more := told(tupleOf("a", "open", "sip:a"), tupleOf("b", "closed", "sip:b"), tupleOf("c", "open", "sip:c"))
	for _, c := range []struct {
		trigger  string
		from, to policy.Candidate
		want     bool
	}{
		{`<changed from="closed" to="open">//p:basic</changed>`, before, after, true},
		{`<changed from="open" to="closed">//p:basic</changed>`, before, after, false},
		{`<added>//p:tuple</added>`, before, after, false},
		{`<removed>//p:tuple</removed>`, before, after, false},
		{`<added>//p:tuple</added>`, after, more, true},
		{`<removed>//p:tuple</removed>`, more, after, true},
		{`<changed>//p:basic</changed>`, after, more, false},
		{`<changed to="open">//p:basic</changed>`, plain, plainOpen, true},
		{`<added>//p:tuple</added>`, plain, plainOpen, false},
		{`<added>//p:tuple</added>`, plain, before, true},
	} {
		if got := filterOf(t, filterSet(`<trigger>`+c.trigger+`</trigger>`)).Triggered(c.from, c.to); got != c.want {
			t.Errorf("%s: %v", c.trigger, got)
		}
	}
}

func pointAt(lat, lon string) string {
	return `<gml:Point srsName="urn:ogc:def:crs:EPSG::4326"><gml:pos>` + lat + ` ` + lon + `</gml:pos></gml:Point>`
}

func heightAt(alt string) string {
	return `<gml:Point srsName="urn:ogc:def:crs:EPSG::4979"><gml:pos>42.5 -73.2 ` + alt + `</gml:pos></gml:Point>`
}

// TestLocationTriggers asks the triggers of RFC 6447.
func TestLocationTriggers(t *testing.T) {
	t.Parallel()
	home := pointAt("42.5463", "-73.2512")
	wide := func(lon string) string {
		return strings.Replace(strings.Replace(circle, "42.5 -73.2", "42.5463 "+lon, 1), "850", "5000", 1)
	}
	exact := func(lat, lon string) string {
		return strings.Replace(strings.Replace(circle, "42.5 -73.2", lat+" "+lon, 1), "850", "100", 1)
	}
	address := func(country, a3, pc string) string {
		return fmt.Sprintf(`<ca:civicAddress><ca:country>%s</ca:country><ca:A3>%s</ca:A3><ca:PC>%s</ca:PC></ca:civicAddress>`, country, a3, pc)
	}
	speed := func(v string) string {
		return `<dyn:Dynamic xmlns:dyn="urn:ietf:params:xml:ns:pidf:geopriv10:dynamic"><dyn:speed>` + v + `</dyn:speed></dyn:Dynamic>`
	}
	const (
		figure1 = "rfc6447/3.1-figure-1"
		figure2 = "rfc6447/3.2-figure-2"
		figure3 = "rfc6447/3.3-figure-3"
		figure4 = "rfc6447/3.3-figure-4"
		figure5 = "rfc6447/3.3-figure-5"
		figure6 = "rfc6447/3.4-figure-6"
		figure7 = "rfc6447/3.4-figure-7"
	)
	for _, c := range []struct {
		figure, before, after string
		want                  bool
	}{
		{figure1, home, home, false},
		{figure1, home, pointAt("42.5480", "-73.2512"), false}, // 189 m
		{figure1, home, pointAt("42.5491", "-73.2512"), true},  // 311 m
		{figure1, heightAt("0"), heightAt("301"), true},
		{figure1, heightAt("0"), heightAt("299"), false},
		{figure1, civic, home, true}, // a place becomes known
		{figure1, home, civic, false},
		{figure2, speed("10"), speed("13"), true},
		{figure2, speed("10"), speed("12.5"), false},
		{figure3, address("FR", "a", "1"), address("DE", "a", "1"), true},
		{figure3, address("DE", "a", "1"), address("FR", "a", "1"), false},
		{figure4, address("FR", "a", "1"), address("FR", "a", "2"), true},
		{figure4, address("FR", "a", "1"), address("FR", "a", "1"), false},
		{figure5, address("FR", "a", "1"), address("FR", "a", "2"), false},
		{figure5, address("FR", "a", "1"), address("FR", "b", "2"), true},
		{figure6, pointAt("42.6", "-73.2512"), home, true},
		{figure6, home, pointAt("42.6", "-73.2512"), true},
		{figure6, home, pointAt("42.5470", "-73.2512"), false},
		{figure6, pointAt("42.6", "-73.2"), pointAt("42.7", "-73.2"), false},
		{figure6, exact("42.5463", "-73.2512"), wide("-73.2512"), true},               // most of it lies outside
		{figure6, exact("42.6", "-73.2512"), wide("-73.2512"), false},                 // not surely inside
		{figure6, exact("42.5463", "-73.2512"), exact("42.55395", "-73.2512"), false}, // on the border
		{figure6, exact("42.6", "-73.2512"), exact("42.55395", "-73.2512"), false},
		{figure6, exact("42.55395", "-73.2512"), home, true}, // which was not sure
		{figure6, civic, home, true},
		{figure6, civic, pointAt("42.6", "-73.2512"), false},
		{figure6, home, civic, false},
		{figure7, pointAt("43.0", "-73.2"), pointAt("43.2", "-73.25"), true},
		{figure7, pointAt("43.2", "-73.25"), pointAt("43.4", "-73.42"), true},
		{figure7, pointAt("43.2", "-73.25"), pointAt("43.3", "-73.3"), false},
	} {
		f := filterOf(t, vectors.Text(t, c.figure, "filter"))
		if got := f.Triggered(seen(t, located(c.before)), seen(t, located(c.after))); got != c.want {
			t.Errorf("%s: %v\n%s\n%s", c.figure, got, c.before, c.after)
		}
	}
}

// TestStepped: what was there between what was told and what is there now counts,
// but not for distances.
func TestStepped(t *testing.T) {
	t.Parallel()
	number := func(n string) string { return `<x:n>` + n + `</x:n>` }
	place := `<tuple id="a"><status><gp:geopriv xmlns:gp="` + location.Space + `"><gp:location-info><gml:Point xmlns:gml="` + location.GMLSpace +
		`" srsName="urn:ogc:def:crs:EPSG::4326"><gml:pos>1 2</gml:pos></gml:Point></gp:location-info><gp:usage-rules/></gp:geopriv></status></tuple>`
	open, closed := docOf(tupleOf("a", "open", "sip:a")), docOf(tupleOf("a", "closed", "sip:a"))
	for _, c := range []struct {
		triggers, seen, now string
		want                bool
	}{
		{`<changed from="closed" to="open">//p:basic</changed>`, closed, open, true},
		{`<changed from="closed" to="open">//p:basic</changed>`, open, open, false},
		{`<added>//p:note</added>`, open, docOf(`<note>n</note>`), true},
		{`<changed by="2">//x:n</changed>`, docOf(number("5")), docOf(number("7")), false},
		{`<changed>//x:n</changed>`, docOf(number("5")), docOf(number("7")), true},
		{`<lf:moved xmlns:lf="` + LocationSpace + `">1</lf:moved>`, docOf(), docOf(place), false},
	} {
		f := filterOf(t, filterSet(`<trigger>`+c.triggers+`</trigger>`))
		if got := f.Stepped(seen(t, c.seen), seen(t, c.now)); got != c.want {
			t.Errorf("%s: %v", c.triggers, got)
		}
		if c.want = c.want || c.seen != open; f.Triggered(seen(t, c.seen), seen(t, c.now)) != c.want {
			t.Errorf("%s: triggered %v", c.triggers, !c.want)
		}
	}
}
