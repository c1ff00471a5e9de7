package agent

import (
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/shard"
)

// located is a document with a place in it.
func located(expiry, stamp string) string {
	if expiry != "" {
		expiry = `<bp:retention-expiry>` + expiry + `</bp:retention-expiry>`
	}
	if stamp != "" {
		stamp = `<timestamp>` + stamp + `</timestamp>`
	}
	return `<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:gp="urn:ietf:params:xml:ns:pidf:geopriv10"` +
		` xmlns:bp="urn:ietf:params:xml:ns:pidf:geopriv10:basicPolicy" xmlns:gml="http://www.opengis.net/gml" entity="pres:alice@example.com">` +
		`<tuple id="here"><status><basic>open</basic><gp:geopriv><gp:location-info><gml:Point srsName="urn:ogc:def:crs:EPSG::4326">` +
		`<gml:pos>51.5 -0.1</gml:pos></gml:Point></gp:location-info><gp:usage-rules>` + expiry + `</gp:usage-rules></gp:geopriv></status>` + stamp + `</tuple></presence>`
}

// TestRetention: a location is forgotten when it says so, else a day after its
// timestamp, else a day after it came (RFC 4119, 2.2.2); by itself, and from the
// store too. All else stays.
func TestRetention(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		expiry, stamp time.Duration // from now; 0: none
		after         time.Duration
	}{
		"by itself":      {expiry: time.Hour, after: time.Hour},
		"by timestamp":   {stamp: -20 * time.Hour, after: 4 * time.Hour},
		"by its receipt": {after: 24 * time.Hour},
		"late already":   {expiry: -time.Minute, after: 0},
	} {
		for _, restart := range []bool{false, true} {
			r := newRig(t, func(c *Config) { c.MaxExpires = 100 * time.Hour })
			at := func(d time.Duration) string {
				if d == 0 {
					return ""
				}
				return r.now.Add(d).UTC().Format(time.RFC3339)
			}
			doc := located(at(c.expiry), at(c.stamp))
			lines := "Event: presence\nContent-Type: application/pidf+xml\nExpires: 180000\n"
			if m := r.request("PUBLISH", "alice", lines, doc); m.Status != 200 {
				t.Fatalf("%s: %d", name, m.Status)
			}
			r.subscribe("bob", "Expires: 180000\n")
			has := func() bool {
				n := r.notifies
				if len(n) == 0 {
					t.Fatalf("%s: not told", name)
				}
				body := n[len(n)-1].Body
				if !strings.Contains(body, "open") {
					t.Errorf("%s:\n%s", name, body)
				}
				return strings.Contains(body, "51.5")
			}
			if has() != (c.after > 0) {
				t.Errorf("%s: at first %v", name, has())
			}
			if restart {
				r.restart(nil)
			}
			if c.after > 0 {
				r.tick(c.after - 2*time.Second)
				if n := r.tick(3 * time.Second); len(n) == 0 {
					t.Errorf("%s, restart %v: nobody is told", name, restart)
				} else if r.notifies = n; has() {
					t.Errorf("%s, restart %v: it is still there", name, restart)
				}
			}
			_ = r.store.Scan([]byte{KeyPublication}, func(_, value []byte) error {
				if strings.Contains(string(value), "51.5") {
					t.Errorf("%s, restart %v: it is in the store", name, restart)
				}
				return nil
			})
		}
	}
}

func TestRetentionOfDocuments(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	name := DocumentName{AUIDManipulation, "index"}
	body := located("", "")
	meaning, err := ReadMeaning(name, body)
	if err != nil {
		t.Fatal(err)
	}
	r.do(func(out *shard.Batch) {
		if _, err := r.ChangeDocument(alice, DocumentChange{name, "", body, meaning}, r.now, out); err != nil {
			t.Fatal(err)
		}
	})
	before, _ := r.Document(alice, name)
	r.tick(defaultRetention)
	after, _ := r.Document(alice, name)
	if strings.Contains(after.Body, "51.5") || after.ETag == before.ETag || !strings.Contains(after.Body, "open") {
		t.Errorf("%+v", after)
	}
}
