package server

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/client"
	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/sip"
)

const (
	alice = presence.AOR("sip:alice@example.com")
	bob   = presence.AOR("sip:bob@example.com")
)

// localServer runs one on loopback, with alice and bob.
func localServer(t *testing.T, cfg Config) *Server {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Shutdown(t.Context()) })
	if err := s.PutUsers([]NewUser{{Name: "alice", Password: "a"}, {Name: "bob", Password: "b"}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// watching leaves a subscription of bob's whose connection is his client's.
func watching(t *testing.T, s *Server) *client.Client {
	t.Helper()
	c, err := client.Dial(t.Context(), client.Config{
		Server: s.Addresses()[0].Address, Transport: "tcp", User: string(bob), Password: "b", Timeout: 10 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Subscribe(t.Context(), string(alice), client.SubscribeOptions{}); err != nil {
		t.Fatal(err)
	}
	return c
}

func tcpConfig(dir string) Config {
	cfg := LocalConfig()
	cfg.Dir, cfg.Listen = dir, []Listener{{Transport: sip.TransportTCP, Address: "127.0.0.1:0"}}
	return cfg
}

// Who waits is listed also where the watcher is not told that it does, on a
// running server and on a stopped one.
func TestPendingWhereDecisionsAreConcealed(t *testing.T) {
	t.Parallel()
	cfg := tcpConfig(t.TempDir())
	cfg.Privacy.Conceal = true
	s := localServer(t, cfg)
	c := watching(t, s)
	defer c.Close()
	var pending func(presence.AOR) ([]SubInfo, error)
	want := func(n int) {
		t.Helper()
		if list, err := pending(alice); err != nil || len(list) != n || n > 0 && (list[0].Watcher != bob || !list[0].Waits) {
			t.Errorf("got %+v, %v, not %d", list, err, n)
		}
	}
	pending = s.Admin().Pending
	want(1)
	if list, err := s.Admin().Subs(alice); err != nil || len(list) != 1 || list[0].State != "active" {
		t.Errorf("got %+v, %v", list, err)
	}
	for _, h := range []policy.Handling{policy.Block, policy.PoliteBlock, policy.Allow} {
		if err := s.Admin().SetRule(alice, bob, h); err != nil {
			t.Fatal(err)
		}
		want(0)
	}
	if err := s.Admin().SetRule(alice, bob, policy.Confirm); err != nil {
		t.Fatal(err)
	}
	want(1)
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	o, err := OpenOffline(cfg.Dir, cfg.Domains)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	pending = o.Pending
	want(1)
}

// A stopped server's subscriptions have no connection; what they name is not
// called, whatever an operator does.
func TestOfflineWithSubscriptionsOfLostConnections(t *testing.T) {
	t.Parallel()
	cfg := tcpConfig(t.TempDir())
	cfg.Trust = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	s := localServer(t, cfg)
	c := watching(t, s)
	defer c.Close()
	running, err := s.Admin().Watchers(alice)
	if err != nil || len(running.Watchers) != 1 {
		t.Fatalf("%+v, %v", running, err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}

	o, err := OpenOffline(cfg.Dir, cfg.Domains)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	// Who is decided about by a name has the same one when the server runs again.
	if list, err := o.Watchers(alice); err != nil || len(list.Watchers) != 1 || list.Watchers[0].ID != running.Watchers[0].ID {
		t.Errorf("got %+v, %v, not %+v", list, err, running)
	}
	if list, err := o.Subs(""); err != nil || len(list) != 1 || list[0].Flow != "gone" {
		t.Errorf("got %+v, %v", list, err)
	}
	if list, err := o.Pending(alice); err != nil || len(list) != 1 {
		t.Errorf("got %+v, %v", list, err)
	}
	if err := o.SetRule(alice, bob, policy.Block); err != nil {
		t.Error(err)
	}
	if err := o.RemoveUser("bob"); err != nil {
		t.Error(err)
	}
	if list, err := o.Subs(""); err != nil || len(list) != 0 {
		t.Errorf("after removal: %+v, %v", list, err)
	}
}

func TestOfflinePasswordsAreKeptForTheConfiguredAlgorithms(t *testing.T) {
	t.Parallel()
	cfg := tcpConfig(t.TempDir())
	cfg.Digest.Algorithms = []sip.Algorithm{sip.AlgorithmSHA256}
	if err := localServer(t, cfg).Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	o, err := OpenOffline(cfg.Dir, cfg.Domains)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if got := o.core.cfg.Digest.Algorithms; !slices.Equal(got, cfg.Digest.Algorithms) {
		t.Errorf("got %q", got)
	}
}

func TestReloadTakesAlgorithmsAwayAndAddsNone(t *testing.T) {
	t.Parallel()
	cfg := tcpConfig(t.TempDir())
	cfg.Digest.Algorithms, cfg.Digest.ByUserAgent = []sip.Algorithm{sip.AlgorithmSHA256, sip.AlgorithmMD5}, nil
	s := localServer(t, cfg)
	for _, step := range []struct {
		want    []sip.Algorithm
		restart bool
	}{
		{[]sip.Algorithm{sip.AlgorithmSHA256}, false},
		{[]sip.Algorithm{sip.AlgorithmSHA256, sip.AlgorithmSHA512256}, true},
	} {
		cfg.Digest.Algorithms = step.want
		if err := s.Reload(cfg); errors.Is(err, ErrRestart) != step.restart {
			t.Errorf("%q: got %v", step.want, err)
		}
		watching(t, s).Close()
	}
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	s := localServer(t, tcpConfig(t.TempDir()))
	for _, c := range []struct {
		origin, host string
		want         bool
	}{
		{"https://example.com", "sip.example.com", true},
		{"https://sip.example.com:8443", "sip.example.com", true},
		{"https://example.net", "sip.example.com", false},
		{"null", "sip.example.com", false},
		{"http://localhost:3000", "127.0.0.1:8080", true},
		{"http://[::1]", "localhost:8080", true},
		{"http://localhost", "sip.example.com", false},
		{"http://example.net", "127.0.0.1:8080", false},
		{"http://localhost.example.net", "127.0.0.1:8080", false},
	} {
		if got := s.originOK(c.origin, c.host); got != c.want {
			t.Errorf("%s at %s: %t", c.origin, c.host, got)
		}
	}
}

// Root is sent away from a directory that is another user's, and only then.
func TestOfflineAsAnotherUser(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if os.Geteuid() == 0 {
		if err := os.Chown(dir, 54321, -1); err != nil {
			t.Fatal(err)
		}
		_, err := OpenOffline(dir, []string{"example.com"})
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "sudo -u '#54321'") {
			t.Errorf("root on another's directory: %v", err)
		}
		if list, _ := os.ReadDir(dir); len(list) != 0 {
			t.Errorf("%v is there", list)
		}
	}
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := checkOwner(dir, info, 0); !errors.Is(err, ErrInvalid) {
		t.Errorf("root on another's directory: %v", err)
	}
	if err := checkOwner(dir, info, 54322); err != nil {
		t.Errorf("a user, whom the system itself holds back: %v", err)
	}
}

// The rules of everybody, running and stopped.
func TestRulesOfEverybody(t *testing.T) {
	t.Parallel()
	cfg := tcpConfig(t.TempDir())
	s := localServer(t, cfg)
	want := []RuleInfo{
		{"sip:alice@example.com", alice, "confirm"}, {"sip:alice@example.com", bob, "block"}, {"sip:bob@example.com", alice, "polite-block"},
	}
	for _, r := range want {
		h, err := ParseDecision(r.Decision)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Admin().SetRule(presence.AOR(r.Presentity), r.Watcher, h); err != nil {
			t.Fatal(err)
		}
	}
	check := func(a Admin) {
		t.Helper()
		if got, err := a.Rules(""); err != nil || !slices.Equal(got, want) {
			t.Errorf("%+v, %v", got, err)
		}
		if got, err := a.Rules(bob); err != nil || !slices.Equal(got, []RuleInfo{{"", alice, "polite-block"}}) {
			t.Errorf("of one: %+v, %v", got, err)
		}
	}
	check(s.Admin())
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	o, err := OpenOffline(cfg.Dir, cfg.Domains)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	check(o)
}

// What is put while the server stands holds from its next start.
func TestOfflineDocuments(t *testing.T) {
	t.Parallel()
	cfg := tcpConfig(t.TempDir())
	s := localServer(t, cfg)
	c := watching(t, s)
	defer c.Close()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	o, err := OpenOfflineConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	list, err := o.Watchers(alice)
	if err != nil || len(list.Watchers) != 1 || list.Watchers[0].Watcher != bob || list.Watchers[0].State != "pending" {
		t.Errorf("%+v, %v", list, err)
	}
	in := DocumentInput{Body: []byte(someRules)}
	if diff, err := o.CompareRules(alice, in); err != nil || len(diff.Changes) != 2 || !diff.Changes[1].Live {
		t.Errorf("%+v, %v", diff, err)
	}
	if err := o.PutDocument(alice, in); err != nil {
		t.Error(err)
	}
	other := DocumentName{Name: "other one"}
	if err := o.PutDocument(alice, DocumentInput{DocumentName: other, Body: in.Body}); err != nil {
		t.Error(err)
	}
	if docs, err := o.Documents(alice); err != nil || len(docs) != 2 || docs[0].Name != "index" || docs[1].Name != "other one" {
		t.Errorf("%+v, %v", docs, err)
	}
	if text, err := o.Document(alice, other); err != nil || text != someRules {
		t.Errorf("%q, %v", text, err)
	}
	if err := errors.Join(o.RemoveDocument(alice, other), o.PutDocument(alice, in)); err != nil {
		t.Error(err)
	}
	if err := o.RemoveDocument(alice, other); !errors.Is(err, ErrNoSuch) {
		t.Errorf("twice: %v", err)
	}
	if _, err := o.Explain("sip:nobody@example.com", ExplainQuery{Watcher: bob}); !errors.Is(err, ErrNoUser) {
		t.Errorf("of nobody: %v", err)
	}
	if err := o.PutDocument(alice, DocumentInput{Body: []byte("<x/>")}); !errors.Is(err, ErrInvalid) {
		t.Errorf("no rules: %v", err)
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}

	s, err = New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Shutdown(t.Context()) }()
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err = s.Admin().Watchers(alice)
	if err != nil || len(list.Watchers) != 1 || list.Watchers[0].State != "active" || list.Watchers[0].Reason != "pres-rules/index/office" {
		t.Errorf("%+v, %v", list, err)
	}
}
