package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tacit-presence/tacit/load"
)

// TestInsert holds that each part is replaced alone.
func TestInsert(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "doc.md")
	text := "a\n" + beginMark + "\nold\n" + endMark + "\nb\n" + rulesMark + "\nold\n" + endMark + "\nc\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // what was inserted is replaced too
		for _, mark := range []string{rulesMark, beginMark} {
			if err := insert(file, mark, "of "+mark[:16]+"\n"); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := "a\n" + beginMark + "\n\nof " + beginMark[:16] + "\n\n" + endMark + "\nb\n" + rulesMark + "\n\nof " + rulesMark[:16] + "\n\n" + endMark + "\nc\n"
	if got, err := os.ReadFile(file); err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
	if err := insert(file, "<!-- another -->", "x"); err == nil {
		t.Error("there is no such place")
	}
}

// TestFollows holds that a server that ignores rules does not pass.
func TestFollows(t *testing.T) {
	t.Parallel()
	report := func(change func(*load.Report)) *load.Report {
		rep := &load.Report{
			Subscribe: &load.SubscribeReport{Accepted: presentities * watchers},
			Classes:   []load.ClassReport{{Documents: 10}, {Documents: 10}, {Documents: 10}},
		}
		change(rep)
		return rep
	}
	if err := follows(report(func(*load.Report) {})); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*load.Report){
		"told too much": func(r *load.Report) { r.Classes[1].Wrong = 1 },
		"told nothing":  func(r *load.Report) { r.Classes[2].Documents = 0 },
		"refused":       func(r *load.Report) { r.Subscribe.Accepted-- },
		"terminated":    func(r *load.Report) { r.Terminated = 1 },
		"pending":       func(r *load.Report) { r.Pending = 1 },
	} {
		if follows(report(change)) == nil {
			t.Errorf("%s passes", name)
		}
	}
}
