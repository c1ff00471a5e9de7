package server

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/tacit-presence/tacit/store"
)

// What cannot be stored is answered 503, by XCAP and by the API, and so is whatever
// is asked afterwards: what is in memory is ahead of what is on the disk.
func TestFailingStore(t *testing.T) {
	t.Parallel()
	disk := store.NewMemory()
	cfg := LocalConfig()
	cfg.Domains = []string{"example.com"}
	c, err := NewCore(cfg, disk, nil, nil) // nobody watches: nothing is sent
	if err != nil {
		t.Fatal(err)
	}
	c.Run()
	defer c.Stop()
	if err := c.PutUsers([]NewUser{{Name: "alice", Password: "a"}}); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(route(c.trees, c.newAPI(), http.NotFoundHandler()))
	defer srv.Close()
	alice := apiUser{t, srv.URL, "alice", "a"}
	const rules = xcapRoot + "/pres-rules/users/sip:alice@example.com/index"
	const empty = `<ruleset xmlns="urn:ietf:params:xml:ns:common-policy"/>`
	ask := func(want int, method, target, body string) {
		t.Helper()
		code, head, text := alice.send(method, target, body, nil)
		if code != want || (code == 503) != (head.Get("Retry-After") != "") {
			t.Errorf("%s %s: %d %v, not %d: %s", method, target, code, head, want, text)
		}
	}
	ask(201, "PUT", rules, empty)
	ask(200, "POST", apiRoot+"/watchers/sip:bob@example.com/approve", "")
	disk.Fault = func(op string) error {
		if op == "commit" {
			return errors.New("the disk is full")
		}
		return nil
	}
	for range 2 {
		ask(503, "PUT", rules, empty+"<!-- else -->")
		ask(503, "DELETE", rules, "")
		ask(503, "GET", rules, "")
		ask(503, "POST", apiRoot+"/watchers/sip:bob@example.com/block", "")
		ask(503, "GET", apiRoot+"/watchers", "")
	}
	if err := c.Wait(); err == nil {
		t.Error("the core does not say why it has ended")
	}
}
