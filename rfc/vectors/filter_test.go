package vectors_test

import (
	"cmp"
	"regexp"
	"strings"

	"github.com/tacit-presence/tacit/filter"
	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/rfc/vectors"
)

var between = regexp.MustCompile(`>\s+<`)

// flat writes a document without declaration and the white space between elements.
func flat(text string) string {
	if _, rest, ok := strings.Cut(text, "?>"); ok {
		text = rest
	}
	return strings.Join(strings.Fields(between.ReplaceAllString(text, "><")), " ")
}

// winfo is the event package whose documents are watcher information.
const winfo = "presence.winfo"

// filterOf reads the vector's filter for the resource that it is about, and holds
// that a filter comes back from what is kept of it.
func filterOf(v *vectors.Vector) (filter.Filter, error) {
	set, err := filter.ReadFor(cmp.Or(v.Argument("event"), "presence"), v.Text("filter"), nil)
	if err != nil {
		return filter.Filter{}, err
	}
	if again, err := filter.Restore(set.Text()); err != nil || again.Text() != set.Text() {
		return filter.Filter{}, mismatched("restored: %v", err)
	}
	return set.For(v.Argument("resource")), nil
}

// seen is what a watcher who may see all of a document may see.
func seen(v *vectors.Vector, name string) (policy.Candidate, error) {
	raw, err := published(v, name)
	return policy.Apply(raw, policy.Decision{Handling: policy.Allow, Permissions: policy.Everything()}), err
}

// runFilter compares what "filter" leaves of "presence" or "watcherinfo" with
// "left"; without either the filter is read alone.
func runFilter(v *vectors.Vector) error {
	f, err := filterOf(v)
	switch {
	case err != nil:
		return err
	case v.Has("watcherinfo"):
		left, ok := f.Text(v.Text("watcherinfo"))
		if !ok {
			left = "nothing"
		}
		return compare(v, "left", left, flat)
	case v.Has("presence"):
		c, err := seen(v, "presence")
		if err != nil {
			return err
		}
		return compare(v, "left", filter.Apply(c, f).Document().Render(v.Argument("resource")), flat)
	}
	return nil
}

// runTrigger asks "filter" the lines of "want": "A B tells" where the change from
// document A to B is told, "A B waits" where it is not.
func runTrigger(v *vectors.Vector) error {
	f, err := filterOf(v)
	if err != nil {
		return err
	}
	asked := 0
	for line := range strings.Lines(v.Text("want")) {
		words := strings.Fields(line)
		if len(words) != 3 || words[2] != "tells" && words[2] != "waits" {
			return mismatched("no question: %s", line)
		}
		told, err := triggered(v, f, words[0], words[1])
		if err != nil {
			return err
		}
		if told != (words[2] == "tells") {
			return mismatched("%s is told: %v", strings.TrimSpace(line), told)
		}
		asked++
	}
	if asked == 0 {
		return mismatched("nothing is asked")
	}
	return nil
}

// triggered reports whether the change from one document to another is told.
func triggered(v *vectors.Vector, f filter.Filter, from, to string) (bool, error) {
	if v.Argument("event") == winfo {
		if !v.Has(from) || !v.Has(to) {
			return false, mismatched("no file %q or %q", from, to)
		}
		return f.TriggeredText(v.Text(from), v.Text(to)), nil
	}
	before, err := seen(v, from)
	if err != nil {
		return false, err
	}
	after, err := seen(v, to)
	return f.Triggered(before, after), err
}
