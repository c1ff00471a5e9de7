package filter

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/tacit-presence/tacit/compose"
	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/policy"
)

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

func candidate(t *testing.T, d policy.Decision) policy.Candidate {
	t.Helper()
	doc, err := pidf.Parse(`<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="e"><note>secret</note></presence>`)
	if err != nil {
		t.Fatal(err)
	}
	return policy.Apply(compose.Union().Compose("", []compose.Publication{{Doc: doc}}), d)
}

// TestApply holds that no filter tells what the candidate does not.
func TestApply(t *testing.T) {
	t.Parallel()
	for _, d := range []policy.Decision{
		{}, {Handling: policy.Confirm}, {Handling: policy.PoliteBlock}, {Handling: policy.Allow},
		{Handling: policy.Allow, Permissions: policy.Everything()},
	} {
		c := candidate(t, d)
		f := Apply(c, Filter{})
		if f.None() != c.None() || len(f.Document().Parts()) != len(c.Document().Parts()) {
			t.Errorf("%+v: %v of %v", d, f, c)
		}
	}
	if !(Filtered{}).None() {
		t.Error("the zero value tells")
	}
	if m := map[Filter]int{{}: 1}; m[Filter{}] != 1 {
		t.Error("a filter is no key")
	}
}

func TestRedaction(t *testing.T) {
	t.Parallel()
	f := Apply(candidate(t, policy.Decision{Handling: policy.Allow, Permissions: policy.Everything()}), Filter{})
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "doc", f)
	fmt.Fprintf(&b, "%v %+v %#v %v", f, f, f, Filtered{})
	if strings.Contains(b.String(), "secret") || !strings.Contains(b.String(), "filtered presence (1 parts)") {
		t.Error(b.String())
	}
}
