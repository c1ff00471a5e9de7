package client

import (
	"strings"
	"testing"

	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/sip"
)

// partialPresence is a document as servers render it.
func partialPresence(note string) string {
	return pidf.NewAssembly("", []pidf.Component{
		{Text: `<tuple id="t1"><status><basic>open</basic></status><contact>sip:bob@example.com</contact><note>on a train</note></tuple>`},
		{Text: `<tuple id="t2"><status><basic>closed</basic></status><contact>sip:bob@example.org</contact><note>at home</note></tuple>`},
		{Text: "<note>" + note + "</note>"},
	}).Render("sip:bob@example.com")
}

// partialWatch is a subscription for partial presence, at a server that has sent
// its first NOTIFY.
func partialWatch(t *testing.T) (*fake, *Subscription) {
	t.Helper()
	f := newFake(t, nil)
	s, err := f.dial(Config{}).Subscribe(t.Context(), "sip:bob@example.com", SubscribeOptions{Partial: true})
	if err != nil {
		t.Fatal(err)
	}
	next(t, s)
	f.answer()
	return f, s
}

func (f *fake) accepts() (list []string) {
	for _, m := range f.seen(sip.MethodSubscribe) {
		accept, _ := m.Get(sip.HeaderAccept)
		list = append(list, accept)
	}
	return list
}

// diff makes the change of the note, with a version.
func diff(t *testing.T, old, new string, version uint32) string {
	t.Helper()
	d, ok := pidf.DiffOf(partialPresence(old), partialPresence(new))
	if !ok {
		t.Fatal("no diff")
	}
	return d.Body(version)
}

func TestPartialNotifications(t *testing.T) {
	t.Parallel()
	f, s := partialWatch(t)
	const active = "active;expires=3600"
	if got := f.accepts()[0]; got != "application/pidf+xml;q=0.3, application/pidf-diff+xml" {
		t.Errorf("Accept: %s", got)
	}
	want := func(note string) {
		t.Helper()
		if n := next(t, s); n.Body != partialPresence(note) || n.ContentType != PIDFType {
			t.Fatalf("got %s\n%s", n.ContentType, n.Body)
		}
	}
	sub := f.only()
	f.notify(sub, active, pidf.FullOf(partialPresence("one")).Body(5))
	want("one")
	f.notify(sub, active, diff(t, "one", "two", 6))
	want("two")
	f.notify(sub, active, diff(t, "one", "old", 6)) // not newer: ignored
	f.notify(sub, active, pidf.FullOf(partialPresence("old")).Body(4))
	f.notify(sub, active, diff(t, "two", "three", 7))
	want("three")
	f.notify(sub, active, pidf.FullOf(partialPresence("four")).Body(20)) // a whole one may leave versions out
	want("four")
	f.notify(sub, active, partialPresence("five")) // the other format
	want("five")
	f.notify(sub, active, pidf.FullOf(partialPresence("six")).Body(21))
	want("six")
	for range 8 {
		if status := f.answer(); status != 200 {
			t.Errorf("NOTIFY was answered %d", status)
		}
	}
	if got := f.accepts(); len(got) != 1 {
		t.Errorf("refreshed: %q", got)
	}
}

// TestPartialGap holds that a missed notification makes the watcher ask for a
// whole document, and that none is delivered until then.
func TestPartialGap(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"version left out":      diff(t, "one", "two", 3),
		"does not fit":          strings.Replace(diff(t, "one", "two", 2), "*/note", "*/note[2]", 1),
		"malformed":             "<pidf-diff",
		"without version":       strings.Replace(diff(t, "one", "two", 2), ` version="2"`, "", 1),
		"no document afterward": strings.Replace(diff(t, "one", "two", 2), "</p:pidf-diff>", `<p:remove sel="*/tuple[1]/status"/></p:pidf-diff>`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, s := partialWatch(t)
			sub := f.only()
			f.notify(sub, "active;expires=3600", pidf.FullOf(partialPresence("one")).Body(1))
			next(t, s)
			f.notify(sub, "active;expires=3600", body)
			// The fake answers the refresh with a plain document.
			if n := next(t, s); n.CSeq != 4 || !strings.Contains(n.Body, "first") {
				t.Errorf("got %+v", n)
			}
			if got := f.accepts(); len(got) != 2 || got[1] != got[0] {
				t.Errorf("Accept: %q", got)
			}
			f.notify(sub, "active;expires=3600", pidf.FullOf(partialPresence("four")).Body(4))
			if n := next(t, s); n.Body != partialPresence("four") {
				t.Errorf("got %+v", n)
			}
		})
	}
}

// TestPartialGivenUp holds that a server whose changes never fit is at last asked
// for plain documents, and does not make the watcher ask without end.
func TestPartialGivenUp(t *testing.T) {
	t.Parallel()
	f, s := partialWatch(t)
	sub := f.only()
	for i := range maxFaults + 1 {
		f.notify(sub, "active;expires=3600", diff(t, "one", "two", uint32(i+1)))
		next(t, s) // by the refresh
	}
	got := f.accepts()
	if len(got) != maxFaults+2 || got[maxFaults] == PIDFType || got[maxFaults+1] != PIDFType {
		t.Errorf("Accept: %q", got)
	}
	f.notify(sub, "active;expires=3600", diff(t, "one", "two", 99))
	f.notify(sub, "active;expires=3600", "")
	if n := next(t, s); n.Body != "" || len(f.accepts()) != len(got) {
		t.Errorf("asked again: %q", f.accepts())
	}
}

func TestPartialTerminated(t *testing.T) {
	t.Parallel()
	f, s := partialWatch(t)
	f.notify(f.only(), "terminated;reason=rejected", "<pidf-diff")
	if n := next(t, s); n.State != StateTerminated || n.Reason != "rejected" || n.Body != "" {
		t.Errorf("got %+v", n)
	}
}
