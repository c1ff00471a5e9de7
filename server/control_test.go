package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
)

// fakeAdmin notes each call and answers with made-up values, or with fail.
type fakeAdmin struct {
	mu    sync.Mutex
	calls []string
	fail  error
	lines chan TraceLine
}

func (f *fakeAdmin) note(format string, args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
	return f.fail
}

var (
	someTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	someUser = UserInfo{Name: "alice", Domain: "example.com", AORs: []presence.AOR{"sip:alice@example.com"}}
	someRule = RuleInfo{Watcher: "sip:bob@example.com", Decision: "allow"}
	someSub  = SubInfo{ID: "s1", Presentity: "sip:alice@example.com", Entity: "pres:alice@example.com",
		Watcher: "sip:bob@example.com", Event: "presence", State: "pending", Expires: someTime, Contact: "<sip:b@h>", Flow: "gone"}
	somePub = PubInfo{ID: "e1", Presentity: "sip:alice@example.com", Modified: someTime, Expires: someTime, Size: 7}
)

func (f *fakeAdmin) Users() ([]UserInfo, error)   { return []UserInfo{someUser}, f.note("users") }
func (f *fakeAdmin) AddUser(u NewUser) error      { return f.note("add %+v", u) }
func (f *fakeAdmin) RemoveUser(name string) error { return f.note("remove %s", name) }
func (f *fakeAdmin) SetPassword(n, p string) error {
	return f.note("password %s %s", n, p)
}
func (f *fakeAdmin) SetRule(p, w presence.AOR, h policy.Handling) error {
	return f.note("rule %s %s %s", p, w, h)
}
func (f *fakeAdmin) RemoveRule(p, w presence.AOR) error { return f.note("unrule %s %s", p, w) }
func (f *fakeAdmin) Rules(p presence.AOR) ([]RuleInfo, error) {
	return []RuleInfo{someRule}, f.note("rules %s", p)
}
func (f *fakeAdmin) Pending(p presence.AOR) ([]SubInfo, error) {
	return []SubInfo{someSub}, f.note("pending %s", p)
}
func (f *fakeAdmin) Subs(p presence.AOR) ([]SubInfo, error) {
	return []SubInfo{someSub}, f.note("subs %s", p)
}
func (f *fakeAdmin) EndSub(id string) error { return f.note("endsub %s", id) }
func (f *fakeAdmin) Pubs(p presence.AOR) ([]PubInfo, error) {
	return []PubInfo{somePub}, f.note("pubs %s", p)
}
func (f *fakeAdmin) EndPub(id string) error { return f.note("endpub %s", id) }
func (f *fakeAdmin) Health() Health         { return Health{OK: true, Detail: "well"} }
func (f *fakeAdmin) Explain(p presence.AOR, q ExplainQuery) (Explanation, error) {
	return Explanation{Presentity: presence.Presentity(p), Watcher: q.Watcher, At: q.At, Document: string(q.AsIf.Body)}, f.note("explain")
}
func (f *fakeAdmin) CompareRules(p presence.AOR, d DocumentInput) (RulesDiff, error) {
	return RulesDiff{Presentity: presence.Presentity(p), Warnings: []string{string(d.Body)}}, f.note("compare %s", d)
}
func (f *fakeAdmin) Documents(p presence.AOR) ([]DocumentInfo, error) {
	return []DocumentInfo{{AUID: "pres-rules", Name: "index", Modified: someTime}}, f.note("documents %s", p)
}
func (f *fakeAdmin) Document(p presence.AOR, n DocumentName) (string, error) {
	return "<ruleset/>", f.note("document %s %+v", p, n)
}
func (f *fakeAdmin) PutDocument(p presence.AOR, d DocumentInput) error {
	return f.note("put %s %s", p, d.Body)
}
func (f *fakeAdmin) RemoveDocument(p presence.AOR, n DocumentName) error {
	return f.note("drop %s %+v", p, n)
}
func (f *fakeAdmin) Watchers(p presence.AOR) (WatcherList, error) {
	return WatcherList{Watchers: []WatcherInfo{{ID: "w"}}}, f.note("watchers %s", p)
}
func (f *fakeAdmin) Trace(ctx context.Context, user presence.AOR, fn func(TraceLine) error) error {
	if err := f.note("trace %s", user); err != nil {
		return err
	}
	for {
		select {
		case l := <-f.lines:
			if err := fn(l); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// serveFake runs a control socket on dir and connects to it.
func serveFake(t *testing.T, dir string) (*fakeAdmin, *Control, *ControlClient) {
	t.Helper()
	f := &fakeAdmin{lines: make(chan TraceLine, 8)}
	ctl, err := ListenControl(dir, f, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ctl.Close(context.Background()) })
	c, err := DialControl(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return f, ctl, c
}

// must drops the error of a call that the test reads otherwise.
func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
		return v
	}
}

func TestEveryCallCrossesTheSocket(t *testing.T) {
	t.Parallel()
	f, _, c := serveFake(t, t.TempDir())
	const alice, bob = presence.AOR("sip:alice@example.com"), presence.AOR("sip:bob@example.com")
	results := []any{
		must[[]UserInfo](t)(c.Users()),
		must[[]RuleInfo](t)(c.Rules(alice)),
		must[[]SubInfo](t)(c.Pending(alice)),
		must[[]SubInfo](t)(c.Subs("")),
		must[[]PubInfo](t)(c.Pubs(bob)),
		c.Health(),
	}
	if want := []any{[]UserInfo{someUser}, []RuleInfo{someRule}, []SubInfo{someSub}, []SubInfo{someSub}, []PubInfo{somePub}, Health{OK: true, Detail: "well"}}; !reflect.DeepEqual(results, want) {
		t.Errorf("got  %+v\nwant %+v", results, want)
	}
	u := NewUser{Name: "dave", Password: "p:w", Domain: "example.org", AORs: []presence.AOR{"sip:d@example.org"}}
	for _, err := range []error{c.AddUser(u), c.RemoveUser("dave"), c.SetPassword("dave", "x y"), c.SetRule(alice, bob, policy.PoliteBlock),
		c.RemoveRule(alice, bob), c.EndSub("s1"), c.EndPub("e1")} {
		if err != nil {
			t.Error(err)
		}
	}
	want := []string{"users", "rules " + string(alice), "pending " + string(alice), "subs ", "pubs " + string(bob), fmt.Sprintf("add %+v", u), "remove dave",
		"password dave x y", "rule sip:alice@example.com sip:bob@example.com polite-block", "unrule sip:alice@example.com sip:bob@example.com", "endsub s1", "endpub e1"}
	if !reflect.DeepEqual(f.calls, want) {
		t.Errorf("got  %q\nwant %q", f.calls, want)
	}
}

func TestRulesCrossTheSocket(t *testing.T) {
	t.Parallel()
	f, _, c := serveFake(t, t.TempDir())
	const alice, bob = presence.AOR("sip:alice@example.com"), presence.AOR("sip:bob@example.com")
	d := DocumentInput{DocumentName: DocumentName{AUID: "pres-rules", Name: "index"}, Body: []byte("<\x00>")}
	results := []any{
		must[Explanation](t)(c.Explain(alice, ExplainQuery{Watcher: bob, At: someTime, AsIf: &d})),
		must[RulesDiff](t)(c.CompareRules(alice, d)),
		must[[]DocumentInfo](t)(c.Documents(alice)),
		must[string](t)(c.Document(alice, d.DocumentName)),
		must[WatcherList](t)(c.Watchers(alice)),
	}
	want := []any{
		Explanation{Presentity: "sip:alice@example.com", Watcher: bob, At: someTime, Document: "<\x00>"},
		RulesDiff{Presentity: "sip:alice@example.com", Warnings: []string{"<\x00>"}},
		[]DocumentInfo{{AUID: "pres-rules", Name: "index", Modified: someTime}},
		"<ruleset/>",
		WatcherList{Watchers: []WatcherInfo{{ID: "w"}}},
	}
	if !reflect.DeepEqual(results, want) {
		t.Errorf("got  %+v\nwant %+v", results, want)
	}
	if err := errors.Join(c.PutDocument(alice, d), c.RemoveDocument(alice, d.DocumentName)); err != nil {
		t.Error(err)
	}
	calls := []string{"explain", "compare document pres-rules/index, 3 bytes", "documents sip:alice@example.com",
		"document sip:alice@example.com {AUID:pres-rules Name:index}", "watchers sip:alice@example.com",
		"put sip:alice@example.com <\x00>", "drop sip:alice@example.com {AUID:pres-rules Name:index}"}
	if !reflect.DeepEqual(f.calls, calls) {
		t.Errorf("got  %q\nwant %q", f.calls, calls)
	}
	for _, op := range []string{"explain", "compare-rules", "put-document"} {
		if err := c.call(op, controlCall{}, new(any)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s about nothing: %v", op, err)
		}
	}
}

func TestErrorsKeepTheirKindAndWords(t *testing.T) {
	t.Parallel()
	f, _, c := serveFake(t, t.TempDir())
	for code, sentinel := range controlCodes {
		f.fail = fmt.Errorf("%w: eve", sentinel)
		if err := c.RemoveUser("eve"); !errors.Is(err, sentinel) || err.Error() != f.fail.Error() {
			t.Errorf("%s: got %v", code, err)
		}
		if _, err := c.Subs(""); !errors.Is(err, sentinel) {
			t.Errorf("%s: got %v", code, err)
		}
	}
	f.fail = errors.New("the disk is full")
	if err := c.EndPub("x"); err == nil || err.Error() != "the disk is full" {
		t.Errorf("got %v", err)
	}
	if err := c.call("no-such-operation", controlCall{}, new(any)); err == nil || !strings.Contains(err.Error(), "older") {
		t.Errorf("an unknown operation: %v", err)
	}
	if err := c.call("set-rule", controlCall{Decision: "perhaps"}, new(any)); !errors.Is(err, ErrInvalid) {
		t.Errorf("an unknown decision: %v", err)
	}
	if err := c.call("add-user", controlCall{}, new(any)); !errors.Is(err, ErrInvalid) {
		t.Errorf("no user: %v", err)
	}
}

func TestSocketIsItsOwnersAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serveFake(t, dir)
	info, err := os.Lstat(filepath.Join(dir, controlName))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 || info.Mode().Type() != os.ModeSocket {
		t.Errorf("mode is %v", info.Mode())
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".control-*")); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestLongDirectories(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 40))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	_, ctl, c := serveFake(t, dir)
	if h := c.Health(); !h.OK {
		t.Errorf("got %+v", h)
	}
	if err := ctl.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := DialControl(dir); !errors.Is(err, ErrStopped) {
		t.Errorf("after Close: %v", err)
	}
}

func TestStoppedServerIsToldApart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := DialControl(dir); !errors.Is(err, ErrStopped) {
		t.Errorf("never started: %v", err)
	}
	_, ctl, c := serveFake(t, dir)
	if err := ctl.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := DialControl(dir); !errors.Is(err, ErrStopped) {
		t.Errorf("stopped: %v", err)
	}
	if err := c.RemoveUser("x"); !errors.Is(err, ErrStopped) {
		t.Errorf("stopped meanwhile: %v", err)
	}
}

func TestSocketOfAKilledServerIsReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// A killed server leaves its socket file with nobody behind it.
	ln, _, err := bindControl(dir)
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if _, err := DialControl(dir); !errors.Is(err, ErrStopped) {
		t.Errorf("left socket: %v", err)
	}
	_, _, c := serveFake(t, dir)
	if h := c.Health(); !h.OK {
		t.Errorf("got %+v", h)
	}
}

func TestTraceStreamsAndEnds(t *testing.T) {
	t.Parallel()
	f, _, c := serveFake(t, t.TempDir())
	line := TraceLine{Time: someTime, In: true, Flow: "UDP 192.0.2.1:5060", Text: "PUBLISH sip:a@b SIP/2.0\r\n\r\n"}

	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan TraceLine)
	ended := make(chan error, 1)
	go func() {
		ended <- c.Trace(ctx, "sip:alice@example.com", func(l TraceLine) error { got <- l; return nil })
	}()
	for range 3 { // each is there before the next is sent: nothing waits in a buffer
		f.lines <- line
		if l := <-got; l != line {
			t.Errorf("got %+v", l)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("ended by us: %v", err)
	}

	g, ctl, d := serveFake(t, t.TempDir()) // of its own, since the first may not have noticed its end yet
	go func() {
		ended <- d.Trace(t.Context(), "sip:alice@example.com", func(l TraceLine) error { got <- l; return nil })
	}()
	g.lines <- line
	<-got
	if err := ctl.Close(t.Context()); err != nil {
		t.Errorf("close while traced: %v", err)
	}
	if err := <-ended; !errors.Is(err, ErrStopped) {
		t.Errorf("ended by the server: %v", err)
	}
}

func TestTraceRefusal(t *testing.T) {
	t.Parallel()
	f, _, c := serveFake(t, t.TempDir())
	f.fail = fmt.Errorf("%w: sip:eve@example.com", ErrNoUser)
	if err := c.Trace(t.Context(), "sip:eve@example.com", nil); !errors.Is(err, ErrNoUser) {
		t.Errorf("got %v", err)
	}
}

func TestRequestsAreLoggedWithoutPasswords(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	log := slog.New(slog.NewTextHandler(&b, nil))
	log.Info("x", "request", controlCall{Name: "alice", Password: "hunter2", ID: "i1"})
	log.Info("y", "request", controlCall{User: &NewUser{Name: "bob", Domain: "example.com", Password: "hunter2"}})
	log.Info("z", "request", controlCall{})
	s := b.String()
	if strings.Contains(s, "hunter2") || !strings.HasSuffix(s, "msg=z\n") {
		t.Errorf("logged: %s", s)
	}
	for _, want := range []string{"msg=x request.name=alice request.id=i1\n", "msg=y request.name=bob@example.com\n"} {
		if !strings.Contains(s, want) {
			t.Errorf("%q is not in %s", want, s)
		}
	}
}
