package agent

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/identity"
	"github.com/tacit-presence/tacit/location"
	"github.com/tacit-presence/tacit/shard"
)

// coarseRules let bob see services, and where they are within 100 km.
const coarseRules = `<ruleset xmlns="urn:ietf:params:xml:ns:common-policy" xmlns:pr="urn:ietf:params:xml:ns:pres-rules"
 xmlns:gp="urn:ietf:params:xml:ns:geolocation-policy" xmlns:lp="urn:ietf:params:xml:ns:basic-location-profiles"><rule id="a">
<conditions><identity><one id="sip:bob@example.com"/></identity></conditions><actions><pr:sub-handling>allow</pr:sub-handling></actions>
<transformations><pr:provide-services><pr:all-services/></pr:provide-services>
<gp:set-retention-expiry>20</gp:set-retention-expiry>
<gp:provide-location profile="geodetic-transformation"><lp:provide-geo radius="100000"/></gp:provide-location></transformations></rule></ruleset>`

// at is a tuple at a place, without usage rules of its own.
func at(id, pos string) string {
	return `<tuple id="` + id + `"><status><basic>open</basic><gp:geopriv><gp:location-info><gml:Point srsName="urn:ogc:def:crs:EPSG::4326">` +
		`<gml:pos>` + pos + `</gml:pos></gml:Point></gp:location-info><gp:usage-rules/></gp:geopriv></status></tuple>`
}

func (r *rig) locate(rest string) {
	r.t.Helper()
	doc := `<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:gp="urn:ietf:params:xml:ns:pidf:geopriv10" xmlns:gml="http://www.opengis.net/gml" entity="pres:alice@example.com">` + rest + `</presence>`
	if m := r.request("PUBLISH", "alice", "Event: presence\nContent-Type: application/pidf+xml\n", doc); m.Status != 200 {
		r.t.Fatal(m.Status)
	}
}

func circlesIn(body string) (list []string) {
	for _, m := range regexp.MustCompile(`<gml:pos>([^<]*)</gml:pos><gs:radius`).FindAllStringSubmatch(body, -1) {
		list = append(list, m[1])
	}
	return list
}

// lastBody is that of the last NOTIFY, and how many there were in the last step.
func (r *rig) lastBody() (string, int) {
	if len(r.notifies) == 0 {
		return "", 0
	}
	return r.notifies[len(r.notifies)-1].Body, len(r.notifies)
}

// TestBand: places are coarsened in the domain's band, or in the user's own
// (RFC 6772, 7.5), and a change of either is told at once.
func TestBand(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Settings.Band = location.DefaultBand })
	r.put(AUIDPresRules, "index", coarseRules)
	r.locate(at("a", "40 -105"))
	r.subscribe("bob", "")
	want := func(when, pos string) {
		t.Helper()
		body, _ := r.lastBody()
		if got := strings.Join(circlesIn(body), ","); got != pos {
			t.Errorf("%s: %q, want %q\n%s", when, got, pos, body)
		}
		e := r.Ask(alice, identity.Supposed(bobs, everyDomain), Question{At: r.now}).Explain()
		if got := strings.Join(circlesIn(e.Document), ","); got != pos {
			t.Errorf("%s: explained as %q, want %q", when, got, pos)
		}
		warned := strings.Contains(strings.Join(e.Warnings, ""), "location band")
		if warned != (pos == "") {
			t.Errorf("%s: warned: %v", when, warned)
		}
	}
	want("the RFC's example", "39.467 -105.241")
	preferences := func(band string) string {
		return `<preferences xmlns="https://github.com/tacit-presence/ns/rules"><location-band>` + band + `</location-band></preferences>`
	}
	const tropics, domain = "39.783 -105.278", "39.521 -105.453"
	r.put(AUIDPreferences, "index", preferences("0"))
	want("by preference", tropics)
	r.put(AUIDPreferences, "index", preferences("60"))
	want("far from its latitudes", "")
	r.put(AUIDPreferences, "index", preferences("26"))
	want("no band", "")
	r.put(AUIDPreferences, "index", "")
	want("without preference", "39.467 -105.241")
	r.do(func(out *shard.Batch) {
		s := r.cfg.Settings
		s.Band = 35
		r.Reconfigure(s, r.now, out)
	})
	want("by the domain", domain)
}

// TestRetentionCountsFromTelling: what rules say of retention counts from the
// moment that a location is told (RFC 6772, 6.2), so anew for each SUBSCRIBE; and
// what the watcher may not see still makes no NOTIFY.
func TestRetentionCountsFromTelling(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Settings.Band = location.DefaultBand })
	r.put(AUIDPresRules, "index", coarseRules)
	r.locate(at("a", "40 -105"))
	want := func(when string) {
		t.Helper()
		body, _ := r.lastBody()
		until := r.now.Truncate(time.Second).Add(20 * time.Second).UTC().Format(time.RFC3339)
		if !strings.Contains(body, "expiry>"+until+"<") {
			t.Errorf("%s: not until %s:\n%s", when, until, body)
		}
	}
	r.tick(7 * time.Second)
	r.subscribe("bob", "")
	want("first")
	r.tick(90 * time.Second)
	r.subscribe("bob", "Expires: 0\n")
	want("a fetch")
	r.tick(90 * time.Second)
	r.locate(`<note>for alice's eyes</note>`)
	if list := r.tick(time.Minute); len(list) > 0 || len(r.notifies) > 0 {
		t.Errorf("%d NOTIFYs of what may not be seen", len(list)+len(r.notifies))
	}
	r.locate(at("b", "48 11"))
	r.tick(0)
	if body, n := r.lastBody(); n == 0 || len(circlesIn(body)) != 2 {
		t.Errorf("%d NOTIFYs: %s", n, body)
	}
	want("a change")
}

// TestTwoSourcesOfOnePlace: the places of several sources, seen a little apart, are
// told as one circle whichever of them has published last.
func TestTwoSourcesOfOnePlace(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Settings.Band = location.DefaultBand })
	r.put(AUIDPresRules, "index", coarseRules)
	r.locate(at("a", "40.1096 -105.2")) // by a border of cells, on either side
	r.subscribe("bob", "")
	body, _ := r.lastBody()
	one := circlesIn(body)
	r.locate(at("b", "40.1099 -105.2"))
	r.tick(time.Minute)
	r.subscribe("bob", "Expires: 0\n")
	body, _ = r.lastBody()
	two := circlesIn(body)
	for _, c := range two {
		if len(one) != 1 || c != one[0] {
			t.Errorf("%q, then %q", one, two)
		}
	}
}
