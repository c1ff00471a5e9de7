package server

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tacit-presence/tacit/sip"
)

// TestResponsesAreCounted holds that the metrics tell how requests of XCAP and of
// the API were answered, whatever methods clients make up.
func TestResponsesAreCounted(t *testing.T) {
	t.Parallel()
	cfg := LocalConfig()
	cfg.Dir = t.TempDir()
	cfg.Listen = []Listener{{Transport: sip.TransportTCP, Address: "127.0.0.1:0"}}
	cfg.HTTP = "127.0.0.1:0"
	s := localServer(t, cfg)
	base := strings.TrimSuffix(*s.root.Load(), xcapRoot+"/")
	alice, nobody := apiUser{t, base, "alice", "a"}, apiUser{t: t, base: base}
	const doc = xcapRoot + "/test-app/users/sip:alice@example.com/index"
	asXML := func(r *http.Request) { r.Header.Set("Content-Type", "application/xml") }
	for _, c := range []struct {
		status               int
		user                 apiUser
		method, target, body string
	}{
		{201, alice, "PUT", doc, "<root/>"},
		{200, alice, "PUT", doc, "<root><a/></root>"},
		{200, alice, "GET", doc + "/~~/root/a", ""},
		{404, alice, "GET", doc + "/~~/root/b", ""},
		{401, nobody, "GET", doc, ""},
		{405, alice, "BREW", doc, ""},
		{405, alice, "STEEP", doc, ""},
		{200, alice, "GET", apiRoot + "/watchers", ""},
	} {
		if code, _, text := c.user.send(c.method, c.target, c.body, asXML); code != c.status {
			t.Errorf("%s %s: %d, not %d: %s", c.method, c.target, code, c.status, text)
		}
	}
	_, _, text := nobody.send("GET", "/metrics", "", nil)
	for _, want := range []string{
		`tacit_xcap_responses_total{method="PUT",status="201"} 1`, `tacit_xcap_responses_total{method="PUT",status="200"} 1`,
		`tacit_xcap_responses_total{method="GET",status="200"} 1`, `tacit_xcap_responses_total{method="GET",status="404"} 1`,
		`tacit_xcap_responses_total{method="other",status="405"} 2`, `tacit_api_responses_total{method="GET",status="200"} 1`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("%s is not in\n%s", want, text)
		}
	}
	if strings.Contains(text, "BREW") {
		t.Error("clients make up series")
	}
}
