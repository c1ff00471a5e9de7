package peertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// xcap makes one XCAP request of a user's, with digest, and gives the status and
// the content; 0: no answer. A process that is killed leaves no connection.
func (s *server) xcap(user, method, path, mediaType, body string, headers ...string) (status int, head http.Header, content string) {
	s.t.Helper()
	path = "/xcap-root/" + path
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	nonce := ""
	for range 2 {
		req, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.web+path, strings.NewReader(body))
		if err != nil {
			s.t.Fatal(err)
		}
		if mediaType != "" {
			req.Header.Set("Content-Type", mediaType)
		}
		lines := headers
		if nonce != "" {
			lines = append(lines, credentials(user, hash(user+":example.com:"+user[:1]+"-secret"), nonce, method, req.URL.RequestURI(), 1))
		}
		for _, line := range lines {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			req.Header.Set(name, value)
		}
		res, err := client.Do(req)
		if err != nil {
			return 0, nil, ""
		}
		text, err := io.ReadAll(res.Body)
		if err = errors.Join(err, res.Body.Close()); err != nil {
			return 0, nil, ""
		}
		status, head, content = res.StatusCode, res.Header, string(text)
		if status != http.StatusUnauthorized {
			break
		}
		for _, challenge := range head.Values("WWW-Authenticate") {
			if strings.Contains(challenge, "SHA-256") {
				nonce = param(challenge, "nonce")
			}
		}
	}
	return status, head, content
}

// The parts of what the presentity publishes, and of a rule that shows them.
const (
	xmlElement = "application/xcap-el+xml"
	rulesMedia = "application/auth-policy+xml"
	rulesPath  = "pres-rules/users/sip:alice@example.com/index"
	giveNotes  = `<pr:provide-note>true</pr:provide-note>`
	// RFC 5025, 9.3: names without a prefix are of pres-rules' own namespace.
	bobsNotes = rulesPath + "/~~/cp:ruleset/cp:rule%5b@id=%22bob%22%5d/cp:transformations/provide-note" +
		"?xmlns(cp=urn:ietf:params:xml:ns:common-policy)xmlns(pr=urn:ietf:params:xml:ns:pres-rules)"
)

// TestKillAfterDecision is ARCHITECTURE.md, 3: what a presentity has said about its
// watchers is in force for those who watch when it has been answered, also when the
// server is killed at that moment, and from then on nothing is told under what it
// said before.
func TestKillAfterDecision(t *testing.T) {
	t.Parallel()
	s := serve(t, "--user", "alice:a-secret", "--user", "bob:b-secret", "--default-decision", "polite-block", "--min-interval", "1ms")
	alice, bob := &source{phone: newPhone(t, s, "alice", "udp")}, newPhone(t, s, "bob", "udp")
	bob.subscribe("alice", "")
	xcap := func(want int, method, path, mediaType, body string) func() {
		return func() {
			if status, _, text := s.xcap("alice", method, path, mediaType, body); status != want {
				t.Fatalf("%s %s: %d, not %d: %s", method, path, status, want, text)
			}
		}
	}
	run := func(args ...string) func() { return func() { s.operate(args...) } }
	steps := []decision{
		{"a document is made", xcap(201, "PUT", rulesPath, rulesMedia, ruleSet(oneRule("bob", "allow", giveServices+giveNotes))), notes},
		{"an element is removed", xcap(200, "DELETE", bobsNotes, "", ""), services},
		{"an element is added", xcap(201, "PUT", bobsNotes, xmlElement, giveNotes), notes},
		{"a document is replaced", xcap(200, "PUT", rulesPath, rulesMedia, ruleSet(oneRule("bob", "allow", giveServices))), services},
		{"a watcher is approved", run("watchers", "alice", "approve", "bob"), notes},
		{"a watcher is blocked politely", run("watchers", "alice", "polite-block", "bob"), services},
		{"a document is removed", xcap(200, "DELETE", rulesPath, "", ""), nothing},
		{"a decision is taken back", run("watchers", "alice", "forget", "bob"), nothing},
		{"rules are put by the operator", run("rules", "put", "alice", someFile(t, "r.xml", ruleSet(oneRule("bob", "allow", giveServices+giveNotes)))), notes},
		{"preferences are put", run("rules", "put", "--auid", "tacit-preferences", "alice",
			someFile(t, "p.xml", `<preferences xmlns="https://github.com/tacit-presence/ns/rules"><levels><member id="sip:bob@example.com" level="full"/></levels></preferences>`)), notes},
		{"rules are deleted by the operator", run("rules", "delete", "alice"), notes},
		{"preferences are deleted", run("rules", "delete", "--auid", "tacit-preferences", "alice"), nothing},
	}
	for _, step := range steps {
		step.take(t, s, alice, bob)
	}
	s.healthy()
	s.stop()
}

// What bob is told of alice: that she is closed, that she is open, and her note too.
const nothing, services, notes = "closed", "open", "open with note"

// decision is one about bob, and what he is told by it.
type decision struct {
	name string
	do   func()
	told string
}

// allows reports whether the decision lets a document be told.
func (d decision) allows(m message) bool {
	return d.told == notes || !strings.Contains(m.body, "number") && (d.told == services || !strings.Contains(m.body, "open"))
}

// take takes the decision, kills the server when it has been answered, and starts
// it again.
func (d decision) take(t *testing.T, s *server, alice *source, bob *phone) {
	// All the time something new is published, and told as fast as can be.
	ctx, halt := context.WithCancel(t.Context())
	var work sync.WaitGroup
	defer work.Wait()
	defer halt()
	publish := func() {
		if err := alice.step(); err != nil {
			t.Error(err)
		}
	}
	work.Go(func() {
		for ctx.Err() == nil {
			publish()
		}
	})
	time.Sleep(50 * time.Millisecond)
	before := len(bob.notified())
	d.do()
	s.kill()
	halt()
	time.Sleep(50 * time.Millisecond) // for what is on the way
	mark := len(bob.notified())
	s.checkOutput()
	s.again()
	work.Wait()
	publish()
	number := fmt.Sprintf("number %d.", alice.acked)
	isTold := func(m message) bool {
		text := map[string]string{nothing: "closed", services: "open", notes: number}[d.told]
		return d.allows(m) && strings.Contains(m.body, text)
	}
	if _, ok := bob.await(mark, recovery, isTold); !ok {
		t.Errorf("%s: bob is not told %q", d.name, d.told)
	}
	narrowed := false
	for i, m := range bob.notified()[before:] {
		switch {
		case d.allows(m):
			narrowed = true
		case narrowed || before+i >= mark:
			t.Errorf("%s: bob was told afterwards\n%s", d.name, m.body)
		}
	}
	if t.Failed() {
		t.Fatal(d.name)
	}
}

// RFC 4825, 8.5 and 7.11: of writers that have seen the same document one changes it
// and the others are told, and of those that do not ask no change is lost.
func TestWritersRace(t *testing.T) {
	t.Parallel()
	s := serve(t, users...)
	const (
		path    = "resource-lists/users/sip:alice@example.com/index"
		media   = "application/resource-lists+xml"
		writers = 6
	)
	document := func(name string) string {
		return `<resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists"><list name="` + name + `"/></resource-lists>`
	}
	if status, _, text := s.xcap("alice", "PUT", path, media, document("first")); status != 201 {
		t.Fatal(status, text)
	}
	together := func(fn func(i int)) {
		var all sync.WaitGroup
		for i := range writers {
			all.Go(func() { fn(i) })
		}
		all.Wait()
	}
	for round := range 10 {
		_, head, _ := s.xcap("alice", "GET", path, "", "")
		var mu sync.Mutex
		won := map[string]string{}
		together(func(i int) {
			body := document(fmt.Sprintf("%d-%d", round, i))
			switch status, after, text := s.xcap("alice", "PUT", path, media, body, "If-Match: "+head.Get("ETag")); status {
			case 200:
				mu.Lock()
				won[body] = after.Get("ETag")
				mu.Unlock()
			case 412:
			default:
				t.Errorf("%d: %s", status, text)
			}
		})
		_, after, text := s.xcap("alice", "GET", path, "", "")
		if tag, ok := won[text]; len(won) != 1 || !ok || tag != after.Get("ETag") || tag == head.Get("ETag") {
			t.Fatalf("%d writers are answered 200, and kept is %s as %s", len(won), text, after.Get("ETag"))
		}
	}
	together(func(i int) {
		status, _, text := s.xcap("alice", "PUT", fmt.Sprintf("%s/~~/resource-lists/list%%5b@name=%%22new-%d%%22%%5d", path, i), xmlElement, fmt.Sprintf(`<list name="new-%d"/>`, i))
		if status != 201 {
			t.Errorf("%d: %s", status, text)
		}
	})
	_, _, text := s.xcap("alice", "GET", path, "", "")
	for i := range writers {
		if !strings.Contains(text, fmt.Sprintf(`"new-%d"`, i)) {
			t.Errorf("list %d is lost: %s", i, text)
		}
	}
	s.healthy()
	s.stop()
}
