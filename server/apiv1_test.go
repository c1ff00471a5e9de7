package server

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/agent"
	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/sip"
)

// apiUser calls the API of a server as one user, by digest code of the test's own
// (RFC 7616, 3.4).
type apiUser struct {
	t              *testing.T
	base           string
	name, password string
}

func (u apiUser) send(method, target, body string, change func(*http.Request)) (int, http.Header, string) {
	u.t.Helper()
	do := func(authorization string) *http.Response {
		r, err := http.NewRequestWithContext(u.t.Context(), method, u.base+target, strings.NewReader(body))
		if err != nil {
			u.t.Fatal(err)
		}
		if body != "" {
			r.Header.Set("Content-Type", rulesMediaType)
		}
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		if change != nil {
			change(r)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			u.t.Fatal(err)
		}
		u.t.Cleanup(func() { _ = resp.Body.Close() })
		return resp
	}
	resp := do("")
	if u.name != "" && resp.StatusCode == http.StatusUnauthorized {
		ch, err := sip.ParseChallenge(resp.Header.Get("WWW-Authenticate"))
		if err != nil || ch.Algorithm != sip.AlgorithmSHA256 {
			u.t.Fatalf("challenge %+v, %v", ch, err)
		}
		h := func(parts ...string) string {
			return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(parts, ":"))))
		}
		ha1 := h(u.name, ch.Realm, u.password)
		response := h(ha1, ch.Nonce, "00000001", "abc", "auth", h(method, target))
		resp = do(fmt.Sprintf(`Digest username="%s", realm="%s", nonce="%s", uri="%s", algorithm=SHA-256, qop=auth, nc=00000001, cnonce="abc", response="%s"`,
			u.name, ch.Realm, ch.Nonce, target, response))
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		u.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(text)
}

// want calls and reads the answer.
func (u apiUser) want(status int, method, target, body string, into any) {
	u.t.Helper()
	code, head, text := u.send(method, target, body, nil)
	if code != status {
		u.t.Fatalf("%s %s: %d, not %d: %s", method, target, code, status, text)
	}
	if head.Get("Cache-Control") != "no-store" || head.Get("Content-Type") != "application/json" || head.Get("X-Content-Type-Options") != "nosniff" {
		u.t.Errorf("%s %s: %v", method, target, head)
	}
	if into == nil {
		into = new(any)
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		u.t.Errorf("%s %s: %v in %s", method, target, err, text)
	}
}

// apiServer is a running server with the API over a real socket.
func apiServer(t *testing.T, change func(*Config)) (s *Server, alice, bob, nobody apiUser) {
	t.Helper()
	cfg := LocalConfig()
	cfg.Dir = t.TempDir()
	cfg.Listen = []Listener{{Transport: sip.TransportTCP, Address: "127.0.0.1:0"}}
	if change != nil {
		change(&cfg)
	}
	s = localServer(t, cfg)
	srv := httptest.NewServer(route(s.trees, s.newAPI(), http.NotFoundHandler()))
	t.Cleanup(srv.Close)
	return s, apiUser{t, srv.URL, "alice", "a"}, apiUser{t, srv.URL, "bob", "b"}, apiUser{t: t, base: srv.URL}
}

const explainBob = apiRoot + "/explain?watcher=sip:bob@example.com"

func TestAPIExplain(t *testing.T) {
	t.Parallel()
	s, alice, _, _ := apiServer(t, nil)
	var x Explanation
	alice.want(200, "GET", explainBob, "", &x)
	if x.Decision != "confirm" || x.Reason != policy.MatchedDefault || x.Presentity != "sip:alice@example.com" || x.At.IsZero() || x.Document != "" {
		t.Errorf("%v", x)
	}
	// A HEAD is a GET without its body; it is nobody's without a password.
	if code, head, text := alice.send("HEAD", explainBob, "", nil); code != 200 || text != "" || head.Get("Content-Type") != "application/json" {
		t.Errorf("%d %v %q", code, head, text)
	}
	// The + of a zone, escaped or not.
	for _, zone := range []string{"%2B02:00", "+02:00"} {
		alice.want(200, "GET", explainBob+"&at=2027-01-01T00:30:00"+zone, "", &x)
		if !x.At.Equal(time.Date(2026, 12, 31, 22, 30, 0, 0, time.UTC)) {
			t.Errorf("%s: %v", zone, x.At)
		}
	}
	// As if; nothing of it stays.
	alice.want(200, "POST", explainBob+"&at=2027-01-01T00:00:00Z", someRules, &x)
	if x.Decision != "allow" || x.Reason != "pres-rules/index/office" || x.At.Year() != 2027 || !strings.Contains(x.Document, "<presence") || len(x.Rules) != 1 {
		t.Errorf("%v %+v", x, x.Rules)
	}
	x = Explanation{}
	alice.want(200, "GET", explainBob, "", &x)
	if x.Decision != "confirm" || len(x.Rules) != 0 {
		t.Errorf("%v: it stayed", x)
	}
	if list, err := s.Admin().Documents("sip:alice@example.com"); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	x = Explanation{}
	alice.want(200, "GET", apiRoot+"/explain?watcher=anonymous", "", &x)
	if x.Decision != "block" || x.Reason != policy.MatchedNobody || x.Watcher != presence.Anonymous {
		t.Errorf("%v", x)
	}
	alice.want(200, "GET", apiRoot+"/explain?watcher=tel:%2B1-555%3Bext=2", "", &x)
	if x.Watcher != "tel:+1555;ext=2" {
		t.Errorf("%+v", x)
	}
	alice.want(200, "GET", apiRoot+"/explain?watcher=bob&presentity=alice", "", &x)
	if x.Watcher != "sip:bob@example.com" {
		t.Errorf("%v", x)
	}
}

func TestAPIRefusals(t *testing.T) {
	t.Parallel()
	_, alice, bob, nobody := apiServer(t, nil)
	for _, c := range []struct {
		status               int
		user                 apiUser
		method, target, body string
		says                 string
	}{
		{401, nobody, "GET", explainBob, "", "digest"},
		{401, nobody, "GET", apiRoot + "/nothing", "", "digest"},
		{401, apiUser{t, alice.base, "alice", "wrong"}, "GET", explainBob, "", "digest"},
		{403, bob, "GET", explainBob + "&presentity=alice", "", "forbidden"},
		{403, bob, "GET", explainBob + "&presentity=sip:nobody@example.com", "", "forbidden"},
		{403, bob, "GET", explainBob + "&presentity=", "", "forbidden"},
		{403, bob, "GET", apiRoot + "/nothing?presentity=alice", "", "forbidden"},
		{400, alice, "GET", apiRoot + "/explain", "", "address"},
		{400, alice, "GET", apiRoot + "/explain?watcher=*@example.com", "", "address"},
		{400, alice, "GET", apiRoot + "/explain?watcher=tel:alice", "", "address"},
		{400, alice, "GET", apiRoot + "/explain?watcher=" + strings.Repeat("a", 600), "", "address"},
		{400, alice, "GET", explainBob + "&at=noon", "", "2026-11-25T09:00:00Z"},
		{400, alice, "GET", apiRoot + "/explain?%zz", "", "query"},
		{400, alice, "GET", explainBob + "&when=2026-11-25T09:00:00Z", "", `not "when"`},
		{400, alice, "GET", explainBob + "&watcher=sip:carol@example.com", "", "watcher is there twice"},
		{400, bob, "GET", explainBob + "&presentity=bob&presentity=alice", "", "presentity is there twice"},
		{404, alice, "GET", apiRoot + "/nothing", "", "no such resource"},
		{404, alice, "GET", apiRoot + "/watchers/", "", "no such resource"},
		{405, alice, "PUT", explainBob, someRules, "method"},
		{405, alice, "GET", apiRoot + "/rules/diff", "", "method"},
		{409, alice, "POST", explainBob, strings.Replace(someRules, "allow<", "perhaps<", 1), "ruleset/rule/actions/sub-handling"},
		{409, alice, "POST", apiRoot + "/rules/diff", "<ruleset", "not-well-formed"},
		{413, alice, "POST", apiRoot + "/rules/diff", strings.Repeat(" ", MaxDocument+1), "too large"},
		{415, alice, "POST", apiRoot + "/rules/diff", "", "application/auth-policy+xml"},
		{400, alice, "POST", apiRoot + "/watchers/sip:bob@example.com/perhaps", "", "approve"},
		{400, alice, "POST", apiRoot + "/watchers/anonymous/approve", "", "address"},
		{400, alice, "POST", apiRoot + "/watchers/*/approve", "", "address"},
		{404, alice, "POST", apiRoot + "/watchers/sip:bob@example.com/forget", "", "no rule"},
	} {
		var fault struct {
			Error string `json:"error"`
		}
		c.user.want(c.status, c.method, c.target, c.body, &fault)
		if !strings.Contains(fault.Error, c.says) {
			t.Errorf("%s %.80s: %q", c.method, c.target, fault.Error)
		}
	}
	// A page of another site makes no decisions.
	code, _, _ := alice.send("POST", apiRoot+"/watchers/sip:bob@example.com/approve", "", func(r *http.Request) {
		r.Header.Set("Sec-Fetch-Site", "cross-site")
	})
	if code != http.StatusForbidden {
		t.Errorf("cross-site: %d", code)
	}
	for target, want := range map[string]string{
		explainBob: "GET, HEAD, POST", apiRoot + "/rules/diff": "POST", apiRoot + "/notices": "GET, HEAD",
	} {
		if _, head, _ := alice.send("DELETE", target, "", nil); head.Get("Allow") != want {
			t.Errorf("%s: %v", target, head)
		}
	}
}

// Users of another domain than the first say so, and are challenged with it.
func TestAPIOtherDomain(t *testing.T) {
	t.Parallel()
	s, alice, _, _ := apiServer(t, func(cfg *Config) { cfg.Domains = append(cfg.Domains, "example.net") })
	if err := s.Admin().AddUser(NewUser{Name: "dora", Password: "d", Domain: "example.net"}); err != nil {
		t.Fatal(err)
	}
	dora := apiUser{t, alice.base, "dora", "d"}
	var x Explanation
	dora.want(200, "GET", explainBob+"&presentity=sip:dora@example.net", "", &x)
	if x.Presentity != "sip:dora@example.net" {
		t.Errorf("%v", x)
	}
	dora.want(401, "GET", explainBob, "", nil)
	dora.want(401, "GET", explainBob+"&presentity=sip:dora@nowhere.example", "", nil)
	alice.want(403, "GET", explainBob+"&presentity=sip:alice@nowhere.example", "", nil)
	alice.want(401, "GET", explainBob+"&presentity=sip:dora@example.net", "", nil) // of another realm
}

func TestAPIWatchers(t *testing.T) {
	t.Parallel()
	s, alice, bob, _ := apiServer(t, nil)
	c := watching(t, s)
	defer c.Close()
	var list WatcherList
	alice.want(200, "GET", apiRoot+"/watchers", "", &list)
	if len(list.Watchers) != 1 || list.Watchers[0].Watcher != "sip:bob@example.com" || list.Watchers[0].State != "pending" ||
		list.Watchers[0].Decision != "confirm" || list.Watchers[0].Reason != policy.MatchedDefault {
		t.Errorf("%+v", list)
	}
	var diff RulesDiff
	alice.want(200, "POST", apiRoot+"/rules/diff", someRules, &diff)
	if n := len(diff.Changes); n != 2 || diff.Changes[0].Kind != "domain" || diff.Changes[1].Watcher != "sip:bob@example.com" || !diff.Changes[1].Live ||
		diff.Changes[1].After != "allow" || diff.Compared != 4 {
		t.Errorf("%+v", diff)
	}
	for _, step := range []struct{ decision, result, state string }{
		{"approve", "allow", "active"}, {"polite-block", "polite-block", "active"}, {"confirm", "confirm", "pending"}, {"forget", "confirm", "pending"},
	} {
		var d Decided
		alice.want(200, "POST", apiRoot+"/watchers/sip:bob@example.com/"+step.decision, "", &d)
		if d.Decision != step.result {
			t.Errorf("%s: %+v", step.decision, d)
		}
		list = WatcherList{}
		alice.want(200, "GET", apiRoot+"/watchers", "", &list)
		if len(list.Watchers) != 1 || list.Watchers[0].State != step.state || list.Watchers[0].Decision != step.result {
			t.Errorf("%s: %+v", step.decision, list)
		}
	}
	// Bob decides about his own watchers alone.
	bob.want(200, "POST", apiRoot+"/watchers/sip:bob@example.com/approve", "", nil)
	if rules, err := s.Admin().Rules("sip:alice@example.com"); err != nil || len(rules) != 0 {
		t.Errorf("%v, %v", rules, err)
	}
	list = WatcherList{}
	bob.want(200, "GET", apiRoot+"/watchers", "", &list)
	if len(list.Watchers) != 0 || list.Watchers == nil {
		t.Errorf("%+v", list)
	}
	alice.want(200, "POST", apiRoot+"/watchers/bob/block", "", nil)
	if rules, err := s.Admin().Rules("sip:alice@example.com"); err != nil || len(rules) != 1 || rules[0].Decision != "block" {
		t.Errorf("%v, %v", rules, err)
	}
}

// What presentities see of the operator's rules is what is configured; the
// operator sees all.
func TestAPIOperatorsRules(t *testing.T) {
	t.Parallel()
	set, err := policy.ReadRuleSet(strings.Replace(someRules, `<many domain="example.com"/>`, `<one id="sip:bob@example.com"/>`, 1), agent.Zones())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		overrides, names bool
		decision, raised string
		rules, notices   int
	}{
		{true, true, "allow", "override/office", 1, 1},
		{true, false, "allow", operatorsRule, 0, 1},
		{false, true, "confirm", "", 0, 0},
		{false, false, "confirm", "", 0, 0},
	} {
		s, alice, _, _ := apiServer(t, func(cfg *Config) {
			cfg.Privacy = Privacy{Overrides: set, ShowOverrides: c.overrides, ShowOperatorRules: c.names}
		})
		client := watching(t, s)
		var x Explanation
		alice.want(200, "GET", explainBob, "", &x)
		if x.Decision != c.decision || x.Raised != c.raised || len(x.Rules) != c.rules {
			t.Errorf("%+v: %s, raised by %q, %+v", c, x.Decision, x.Raised, x.Rules)
		}
		if x, err := s.Admin().Explain("sip:alice@example.com", ExplainQuery{Watcher: "sip:bob@example.com"}); err != nil ||
			x.Decision != "allow" || x.Raised != "override/office" {
			t.Errorf("%+v: the operator sees %v, %v", c, x, err)
		}
		var list WatcherList
		alice.want(200, "GET", apiRoot+"/notices", "", &list)
		if len(list.Notices) != c.notices {
			t.Errorf("%+v: %+v", c, list.Notices)
		}
		for _, n := range list.Notices {
			if n.Kind != "override" || n.Detail != c.raised {
				t.Errorf("%+v: %+v", c, n)
			}
		}
		recorded, err := s.Admin().Watchers("sip:alice@example.com")
		if err != nil || len(recorded.Notices) != 1 || recorded.Notices[0].Detail != "override/office" {
			t.Errorf("%+v: the operator is told of %+v, %v", c, recorded.Notices, err)
		}
		alice.want(200, "GET", apiRoot+"/watchers", "", &list)
		want := map[bool]string{true: "active", false: "pending"}[c.overrides]
		if len(list.Watchers) != 1 || list.Watchers[0].State != want || list.Watchers[0].Decision != c.decision {
			t.Errorf("%+v: %+v", c, list.Watchers)
		}
		client.Close()
	}
}

// One presentity has one turn at a time, all together have a few.
func TestAPISlots(t *testing.T) {
	t.Parallel()
	s, alice, bob, _ := apiServer(t, nil)
	api := s.newAPI()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	var releases []func()
	for i := range apiAtOnce {
		p := presence.Presentity(fmt.Sprintf("sip:%d@example.com", i))
		release, ok := api.enter(t.Context(), p)
		if !ok {
			t.Fatal("no slot")
		}
		if _, again := api.enter(over, p); again {
			t.Error("two of one presentity")
		}
		releases = append(releases, release)
	}
	if _, ok := api.enter(over, "sip:more@example.com"); ok {
		t.Error("too many")
	}
	waited := make(chan bool)
	for range apiQueued - 1 {
		go func() {
			release, ok := api.enter(t.Context(), "sip:0@example.com")
			if ok {
				release()
			}
			waited <- ok
		}()
	}
	for api.turns.Length("sip:0@example.com") < apiQueued {
		time.Sleep(time.Millisecond)
	}
	if _, ok := api.enter(t.Context(), "sip:0@example.com"); ok {
		t.Error("the queue has no end")
	}
	for _, release := range releases {
		release()
	}
	for range apiQueued - 1 {
		if !<-waited {
			t.Error("one waited in vain")
		}
	}
	if api.turns.Length("sip:0@example.com") != 0 || len(api.slots) != 0 {
		t.Error("something is left")
	}
	for _, u := range []apiUser{alice, bob, alice} {
		u.want(200, "POST", apiRoot+"/rules/diff", someRules, nil)
	}
}

func TestAPIIsBesideXCAP(t *testing.T) {
	t.Parallel()
	seen := ""
	note := func(name string) http.Handler {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen = name })
	}
	h := route(note("xcap"), note("api"), note("rest"))
	for target, want := range map[string]string{
		"/xcap-root/pres-rules": "xcap", "/xcap-root": "xcap", "/xcap-rootx": "rest", "/api/v1/explain?x=/xcap-root/": "api",
		"/api/v2/x": "rest", "/api/v1": "rest", "/metrics": "rest",
		// RFC 9110, 7.1: the absolute form names the same.
		"http://example.com/xcap-root/pres-rules": "xcap", "https://example.com/api/v1/explain": "api", "http://example.com/": "rest",
	} {
		if h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", target, nil)); seen != want {
			t.Errorf("%s: %s", target, seen)
		}
	}
}

// What a client of HTTP/2 sends is read to its end, whatever is answered.
func TestRequestsAreReadToTheirEnd(t *testing.T) {
	t.Parallel()
	s, _, _, _ := apiServer(t, nil)
	h := route(s.trees, s.newAPI(), http.NotFoundHandler())
	for _, target := range []string{"/xcap-root/pres-rules/users/sip:alice@example.com/index", apiRoot + "/rules/diff"} {
		body := strings.NewReader(someRules)
		r := httptest.NewRequest("PUT", target, io.NopCloser(body))
		r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != http.StatusUnauthorized || body.Len() > 0 {
			t.Errorf("%s: %d, %d bytes are left", target, w.Code, body.Len())
		}
	}
}

// Comparisons read what shards use, while it changes.
func TestAPIWhileRulesChange(t *testing.T) {
	t.Parallel()
	s, alice, _, _ := apiServer(t, nil)
	defer watching(t, s).Close()
	put := func(text string) {
		if err := s.Admin().PutDocument("sip:alice@example.com", DocumentInput{Body: []byte(text)}); err != nil {
			t.Error(err)
		}
	}
	put(someRules)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 20 {
			put(strings.Replace(someRules, "office", fmt.Sprintf("office%d", i), 1))
			if err := s.Admin().SetRule("sip:alice@example.com", presence.AOR(fmt.Sprintf("sip:w%d@example.com", i)), policy.Block); err != nil {
				t.Error(err)
			}
		}
	}()
	var diff RulesDiff
	for range 10 {
		alice.want(200, "POST", apiRoot+"/rules/diff", strings.Replace(someRules, "example.com", "example.net", 1), &diff)
	}
	<-done
	if alice.want(200, "POST", apiRoot+"/rules/diff", someRules, &diff); diff.Compared != 24 {
		t.Errorf("%d compared", diff.Compared)
	}
}

// The operator's rules are read again without a restart.
func TestReloadOperatorRules(t *testing.T) {
	t.Parallel()
	s, alice, _, _ := apiServer(t, func(cfg *Config) { cfg.DefaultDecision = policy.Allow })
	defer watching(t, s).Close()
	decision := func() string {
		var x Explanation
		var list WatcherList
		alice.want(200, "GET", explainBob, "", &x)
		alice.want(200, "GET", apiRoot+"/watchers", "", &list)
		return x.Decision + " " + x.Capped + " " + list.Watchers[0].State
	}
	if got := decision(); got != "allow  active" {
		t.Errorf("at first %q", got)
	}
	cfg := s.cfg
	var err error
	if cfg.Privacy.Ceilings, err = policy.ReadRuleSet(strings.Replace(someRules, "allow<", "confirm<", 1), agent.Zones()); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	if got := decision(); got != "confirm ceiling/office pending" {
		t.Errorf("then %q", got)
	}
	cfg.Privacy.Ceilings = nil
	if err := s.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	if got := decision(); got != "allow  active" {
		t.Errorf("at last %q", got)
	}
}
