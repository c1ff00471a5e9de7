package xcap

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/identity"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/schema"
	"github.com/tacit-presence/tacit/xmltree"
)

// memory is Documents in memory, which counts and can be made to fail.
type memory struct {
	mu   sync.Mutex
	docs map[Key]Document
	n    int
	puts int
	// before is called with each Put and Delete, unlocked.
	before func(Key) error
}

func newMemory() *memory { return &memory{docs: map[Key]Document{}} }

func (m *memory) Get(_ context.Context, k Key) (Document, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, ok := m.docs[k]
	if !ok {
		return Document{}, fmt.Errorf("%s: %w", k.Path, ErrNotFound)
	}
	if d.Body == "" {
		return d, ErrDamaged
	}
	return d, nil
}

func (m *memory) Put(_ context.Context, k Key, was presence.EntityTag, body string) (Document, error) {
	if m.before != nil {
		if err := m.before(k); err != nil {
			return Document{}, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	old, exists := m.docs[k]
	if exists != (was != "") || old.ETag != was {
		return Document{}, ErrChanged
	}
	count := 0
	for other := range m.docs {
		if other.Owner == k.Owner {
			count++
		}
	}
	if !exists && count >= 16 {
		return Document{}, ErrTooMany
	}
	m.n++
	m.puts++
	d := Document{ETag: presence.EntityTag(fmt.Sprintf("e%d", m.n)), Body: body, Modified: time.Date(2026, 3, 1, 12, 0, m.n, 0, time.UTC)}
	m.docs[k] = d
	return d, nil
}

func (m *memory) Delete(_ context.Context, k Key, was presence.EntityTag) error {
	if m.before != nil {
		if err := m.before(k); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if old, exists := m.docs[k]; !exists || old.ETag != was {
		return ErrChanged
	}
	delete(m.docs, k)
	return nil
}

func (m *memory) sorted(take func(Key) bool) (keys []Key) {
	for k := range m.docs {
		if take(k) {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b Key) int {
		return cmp.Or(cmp.Compare(a.AUID, b.AUID), cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Path, b.Path))
	})
	return keys
}

func (m *memory) List(_ context.Context, owner presence.Presentity) (list []Entry, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range m.sorted(func(k Key) bool { return k.Owner == owner }) {
		d := m.docs[k]
		list = append(list, Entry{Key: k, ETag: d.ETag, Size: len(d.Body), Modified: d.Modified})
	}
	return list, nil
}

func (m *memory) Each(_ context.Context, auid AUID, fn func(Key, Document) bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range m.sorted(func(k Key) bool { return k.AUID == auid && k.Tree == TreeUsers }) {
		if !fn(k, m.docs[k]) {
			return nil
		}
	}
	return nil
}

// people are those who exist: alice, who is a.smith too, and others.
func people(aor presence.AOR) (presence.Presentity, bool) {
	switch aor {
	case "sip:a.smith@example.com":
		return "sip:alice@example.com", true
	case "sip:alice@example.com", "sip:bob@example.com", "sip:bill@example.com", "sip:joe@example.com", "sip:someone@example.com",
		"sip:rls@example.com", "sip:professor@example.net":
		return presence.Presentity(aor), true
	}
	return "", false
}

// byHeader believes what the test says: the header field User.
func byHeader() Authenticate {
	return func(r *http.Request, domain string) (presence.Principal, []string, int) {
		user := r.Header.Get("User")
		if user == "" {
			return presence.Principal{}, []string{`Digest realm="` + cmp.Or(domain, "example.com") + `"`}, 0
		}
		return identity.RestorePrincipal(presence.AOR(user), presence.MechanismDigest), nil, 0
	}
}

func testUsages() []Usage {
	return append(Standard(), Test(),
		Usage{AUID: "root", MediaType: "application/xml", Validate: Validator(schema.Test())},
		Usage{AUID: "free", MediaType: "application/xml", Space: RootSpace, Validate: func(*xmltree.Doc) error { return nil }},
		Usage{AUID: "watcherinfo", MediaType: "application/watcherinfo+xml", Space: schema.WatcherInfoSpace, Validate: Validator(schema.WatcherInfo())},
		Usage{AUID: "shared", MediaType: "application/xml", Validate: Validator(schema.Test()), Global: true},
		Preferences(Validator(schema.Preferences())))
}

type server struct {
	*Handler
	docs *memory
}

func newServer(t testing.TB, change func(*Config)) server {
	t.Helper()
	docs := newMemory()
	cfg := Config{Root: "http://xcap.example.com", Usages: testUsages(), Documents: docs, Authenticate: byHeader(), Presentity: people,
		Trusted: func(p presence.Principal) bool { return p.AOR() == "sip:rls@example.com" }}
	if change != nil {
		change(&cfg)
	}
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return server{h, docs}
}

// do sends a request; header fields as "Name: value".
func (s server) do(method, target, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/", strings.NewReader(body))
	r.RequestURI = target
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func wantStatus(t testing.TB, w *httptest.ResponseRecorder, status int) {
	t.Helper()
	if w.Code != status {
		t.Errorf("status %d, want %d: %s", w.Code, status, w.Body)
	}
}

const (
	asAlice = "User: sip:alice@example.com"
	isLists = "Content-Type: application/resource-lists+xml"
	isRules = "Content-Type: application/auth-policy+xml"
	isEl    = "Content-Type: application/xcap-el+xml"
	isAtt   = "Content-Type: application/xcap-att+xml"
	lists   = "/resource-lists/users/sip:alice@example.com/index"
	empty   = `<resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists"/>`
	friends = `<resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists"><list name="friends"><entry uri="sip:bob@example.com"/></list></resource-lists>`
)
