package policy

import (
	"time"

	"github.com/tacit-presence/tacit/location"
)

// appendTime appends a time of a presence document in the form that watchers
// get: in UTC, rounded down to a multiple of coarse seconds. Another zone would
// tell where the presentity is without time-offset's permission. A time without
// a zone, which the schemas allow, stays without. False means that s is no time
// that could be written so, and nothing is appended.
func appendTime(b []byte, s string, coarse int) ([]byte, bool) {
	layout := time.RFC3339Nano
	t, err := time.Parse(layout, s)
	if err != nil {
		layout = "2006-01-02T15:04:05.999999999"
		if t, err = time.Parse(layout, s); err != nil {
			return b, false
		}
	}
	if t = t.UTC(); coarse > 0 {
		t = location.RoundDown(t, coarse)
	}
	if y := t.Year(); y < 0 || y > 9999 {
		return b, false
	}
	return t.AppendFormat(b, layout), true
}
