package client

import (
	"bytes"
	"context"
	"encoding/json"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestPIDF(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ status, note, activity string }{
		{"open", "", ""},
		{"closed", `a < b & "c"`, "away"},
		{"open", "ünïcode", "on-the-phone"},
		{"closed", "", `feeding <the> "cat"`},
	} {
		doc := PIDF("pres:alice@example.com?x=1&y=2", tc.status, tc.note, tc.activity)
		p, err := ParsePIDF(doc)
		if err != nil {
			t.Fatalf("%v in %s", err, doc)
		}
		want := Presence{Entity: "pres:alice@example.com?x=1&y=2", Status: tc.status}
		if tc.note != "" {
			want.Notes = []string{tc.note}
		}
		if tc.activity != "" {
			want.Activities = []string{tc.activity}
		}
		if !reflect.DeepEqual(p, want) {
			t.Errorf("got %+v, want %+v", p, want)
		}
	}
	if a, b := PIDF("sip:a@b", "open", "", ""), PIDF("sip:a@b", "open", "", ""); a != b {
		t.Error("ids change within a run")
	}
}

func TestParsePIDFOpenWins(t *testing.T) {
	t.Parallel()
	p, err := ParsePIDF(`<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="sip:a@b">
		<tuple id="a"><status><basic>closed</basic></status></tuple>
		<tuple id="b"><status><basic> open </basic></status></tuple>
		<tuple id="c"><status><basic>closed</basic></status></tuple><note>hi</note></presence>`)
	if err != nil || p.Status != StatusOpen || len(p.Notes) != 1 {
		t.Errorf("got %+v, %v", p, err)
	}
}

func FuzzParsePIDF(f *testing.F) {
	f.Add(PIDF("sip:alice@example.com", "open", "note", "away"))
	f.Add("<presence")
	f.Add("")
	f.Fuzz(func(t *testing.T, body string) {
		p, err := ParsePIDF(body)
		if err == nil && p.Status != "" && p.Status != StatusOpen && p.Status != StatusClosed {
			t.Errorf("status %q", p.Status)
		}
		// What is shown survives being published.
		if err != nil || len(p.Notes) == 0 || len(p.Activities) == 0 {
			return
		}
		q, err := ParsePIDF(PIDF(p.Entity, p.Status, p.Notes[0], p.Activities[0]))
		if err != nil || q.Entity != p.Entity || !reflect.DeepEqual(q.Notes, p.Notes[:1]) ||
			!reflect.DeepEqual(q.Activities, p.Activities[:1]) {
			t.Errorf("%+v became %+v, %v", p, q, err)
		}
	})
}

// output is a writer for several goroutines.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func TestWatchTerminal(t *testing.T) {
	t.Parallel()
	f := newFake(t, nil)
	c := f.dial(Config{})
	ctx, cancel := context.WithCancel(t.Context())
	var out output
	done := make(chan error, 1)
	go func() { done <- c.WatchTerminal(ctx, []string{"bob@example.com"}, &out, WatchConfig{}) }()
	eventually(t, "a line", func() bool { return strings.Count(out.String(), "\n") == 1 })
	f.notify(f.only(), "active;expires=100", PIDF("sip:bob@example.com", "closed", "evil\x1b[2J", "away"))
	eventually(t, "a second line", func() bool { return strings.Count(out.String(), "\n") == 2 })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	text := out.String()
	if !strings.Contains(text, `bob@example.com  open  "first"`) || !strings.Contains(text, "bob@example.com  closed  away") ||
		strings.Contains(text, "\x1b") {
		t.Errorf("got %q", text)
	}
}

func TestWatchOnce(t *testing.T) {
	t.Parallel()
	f := newFake(t, nil)
	var out output
	err := f.dial(Config{}).WatchTerminal(t.Context(), []string{"sip:bob@example.com", "sip:carol@example.com"}, &out, WatchConfig{JSON: true, Once: true})
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(strings.NewReader(out.String()))
	for range 2 {
		var si sighting
		if err := d.Decode(&si); err != nil {
			t.Fatal(err)
		}
		if si.Status != "open" || si.State != StateTerminated || si.Document == "" {
			t.Errorf("got %+v", si)
		}
	}
}

func TestDraw(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := newScreen(&out, []string{"a", "b"}, false)
	s.width = 24
	s.draw(sighting{Time: time.Now(), Target: "b", State: StatePending})
	s.draw(sighting{Time: time.Now(), Target: "a", State: StateActive, Status: "open", Notes: []string{"a long note indeed"}})
	if text := out.String(); !strings.Contains(text, "a  waiting") || !strings.Contains(text, "b  pending") ||
		!strings.Contains(text, "\x1b[2A") || !strings.Contains(text, "…") {
		t.Errorf("got %q", text)
	}
}

func TestLinesOfAFetch(t *testing.T) {
	t.Parallel()
	for want, si := range map[string]sighting{
		`00:00:00  a  open  "hi"`: {Status: "open", Notes: []string{"hi"}, Document: "<p/>", fetched: true},
		"00:00:00  a  nothing to see: this user may not watch, or not yet": {fetched: true},
		"00:00:00  a  neither open nor closed":                             {Document: "<p/>", fetched: true},
		"00:00:00  a  open  terminated (timeout)":                          {Status: "open", Document: "<p/>"},
	} {
		si.Target, si.State, si.Reason = "a", StateTerminated, "timeout"
		if got := si.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
