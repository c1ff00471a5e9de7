package filter

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tacit-presence/tacit/compose"
	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/policy"
)

// read reads a file of testdata; it was cut out of the RFC that its name says.
func read(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	// RFC 4660's tuple ids begin with a digit, which xs:ID does not allow.
	return strings.ReplaceAll(string(b), `id="432sd"`, `id="t432sd"`)
}

// seen is what a watcher who may see all of a document may see.
func seen(t testing.TB, text string) policy.Candidate {
	t.Helper()
	doc, err := pidf.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return policy.Apply(compose.Union().Compose("", []compose.Publication{{Doc: doc}}), policy.Decision{Handling: policy.Allow, Permissions: policy.Everything()})
}

const presentity = "sip:presentity@example.com"

func filterOf(t testing.TB, body string) Filter {
	t.Helper()
	set, err := Read(body, nil)
	if err != nil {
		t.Fatal(err)
	}
	return set.For(presentity)
}

var between = regexp.MustCompile(`>\s+<`)

// flat writes a document without the white space between its elements.
func flat(text string) string {
	_, text, _ = strings.Cut(text, "?>")
	text = regexp.MustCompile(`\s+`).ReplaceAllString(between.ReplaceAllString(text, "><"), " ")
	return strings.TrimSpace(text)
}

// TestVectors runs the examples of RFC 4660, 7.1: what the filter makes of the
// presence document is what the RFC shows.
func TestVectors(t *testing.T) {
	t.Parallel()
	for filter, want := range map[string]string{
		"rfc4660-7.1.1-0-filter-set.xml": "rfc4660-7.1.1-1-presence.xml",
		"rfc4660-7.1.2-0-filter-set.xml": "rfc4660-7.1.2-1-presence.xml",
	} {
		f := filterOf(t, read(t, filter))
		left := Apply(seen(t, read(t, "rfc4660-7.1-0-presence.xml")), f)
		if got, want := flat(left.Document().Render(presentity)), flat(read(t, want)); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", filter, got, want)
		}
	}
}

// TestTriggerVector runs RFC 4660, 7.1.3: of the three documents the second and
// the third change a basic from closed to open.
func TestTriggerVector(t *testing.T) {
	t.Parallel()
	f := filterOf(t, read(t, "rfc4660-7.1.3-0-filter-set.xml"))
	docs := []policy.Candidate{}
	for _, name := range []string{"rfc4660-7.1.3-1-presence.xml", "rfc4660-7.1.3-2-presence.xml", "rfc4660-7.1.3-3-presence.xml"} {
		docs = append(docs, seen(t, read(t, name)))
	}
	for i, want := range [][]bool{{false, true, true}, {false, false, true}, {false, true, false}} {
		for k := range docs {
			if got := f.Triggered(docs[i], docs[k]); got != want[k] {
				t.Errorf("from %d to %d: %v", i, k, got)
			}
		}
	}
}

// TestUnderstood: every example of the RFCs is read, but for those that do not
// keep to their own rules.
func TestUnderstood(t *testing.T) {
	t.Parallel()
	refused := map[string]string{
		"rfc4660-7.2.3-0-filter-set.xml": "simple-winfo-filter",                       // a namespace that nobody defined
		"rfc4661-6.5.xml":                `the prefix "pidf" is not in <ns-bindings>`, // the RFC forgot it
	}
	names, err := filepath.Glob("testdata/*")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, path := range names {
		name := filepath.Base(path)
		body := read(t, name)
		if !strings.Contains(body, "<filter-set") {
			continue
		}
		n++
		set, err := Read(body, nil)
		if why, bad := refused[name]; bad {
			if !errors.Is(err, ErrFilter) || !strings.Contains(err.Error(), why) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		again, err := Restore(set.Text())
		if err != nil || again.Text() != set.Text() {
			t.Errorf("%s: restored %v", name, err)
		}
	}
	if n < 19 {
		t.Errorf("%d examples", n)
	}
}
