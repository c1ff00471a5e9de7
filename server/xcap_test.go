package server

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tacit-presence/tacit/sip"
)

// xcapServer is a running server with XCAP in clear text.
func xcapServer(t *testing.T, change func(*Config)) *Server {
	t.Helper()
	cfg := LocalConfig()
	cfg.Dir = t.TempDir()
	cfg.Listen = []Listener{{Transport: sip.TransportTCP, Address: "127.0.0.1:0"}}
	cfg.HTTP = "127.0.0.1:0"
	change(&cfg)
	return localServer(t, cfg)
}

// TestClearXCAP holds that passwords and documents go in clear text over loopback
// alone, and there only where it is for trying out.
func TestClearXCAP(t *testing.T) {
	t.Parallel()
	for address, loopback := range map[string]bool{
		"127.0.0.1:80": true, "127.9.9.9:80": true, "[::1]:80": true, "localhost:80": true,
		"0.0.0.0:80": false, "[::]:80": false, ":80": false, "192.0.2.1:80": false, "localhost.example.com:80": false, "": false,
	} {
		for _, clear := range []bool{false, true} {
			c := &Core{cfg: Config{ClearXCAP: clear}}
			if c.clearXCAP(address) != (clear && loopback) {
				t.Errorf("%q, %v: %v", address, clear, !clear || !loopback)
			}
		}
	}
	served, _, err := parseConfig("/etc/tacit/tacit.toml", []byte(least+"\n[web]\nhttp = \"127.0.0.1:80\"\n"))
	if err != nil || served.HTTP == "" || served.ClearXCAP || !LocalConfig().ClearXCAP {
		t.Errorf("%+v, %v: it is for localserve", served, err)
	}
}

// TestServicesAreNoUsers holds RFC 4826, 4.4.5, as far as it does not tell who
// exists where that is hidden.
func TestServicesAreNoUsers(t *testing.T) {
	t.Parallel()
	for _, conceal := range []bool{false, true} {
		s := xcapServer(t, func(c *Config) { c.Privacy.Conceal = conceal })
		base := strings.TrimSuffix(*s.root.Load(), xcapRoot+"/")
		alice, bob := apiUser{t, base, "alice", "a"}, apiUser{t, base, "bob", "b"}
		other := 409
		if conceal {
			other = 201
		}
		for i, c := range []struct {
			user   apiUser
			name   string
			uri    string
			status int
		}{
			{alice, "index", "sip:alice@example.com", 409},
			{alice, "index", "sip:friends@example.com", 201},
			{alice, "second", "sip:friends@example.com", 409},
			{bob, "second", "sip:friends@example.com", 409},
			{bob, "second", "sip:more@example.com", 201},
			{alice, "third", "sip:more@example.com", 409},
			{alice, "third", "sip:bob@example.com", other},
		} {
			target := xcapRoot + "/rls-services/users/sip:" + c.user.name + "@example.com/" + c.name
			body := `<rls-services xmlns="urn:ietf:params:xml:ns:rls-services"><service uri="` + c.uri + `"><list/></service></rls-services>`
			code, _, text := c.user.send("PUT", target, body, func(r *http.Request) { r.Header.Set("Content-Type", "application/rls-services+xml") })
			if code != c.status || code == 409 && !strings.Contains(text, "<alt-value>") {
				t.Errorf("%d, concealed %v: %d, want %d: %s", i, conceal, code, c.status, text)
			}
		}
	}
}

// TestResponsesAreCounted holds that the metrics tell how requests of XCAP and of
// the API were answered, whatever methods clients make up.
func TestResponsesAreCounted(t *testing.T) {
	t.Parallel()
	s := xcapServer(t, func(*Config) {})
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
