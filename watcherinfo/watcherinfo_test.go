package watcherinfo

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/tacit-presence/tacit/rfc/vectors"
	"github.com/tacit-presence/tacit/xmltree"
)

func roundTrip(t *testing.T, d Document) {
	t.Helper()
	again, err := Parse(d.Text())
	if err != nil {
		t.Fatalf("%v in\n%s", err, d.Text())
	}
	if !reflect.DeepEqual(again, d) {
		t.Fatalf("%+v comes back as %+v", d.Lists, again.Lists)
	}
}

// professor is the example of RFC 3858, 5.
func professor(t *testing.T) Document {
	t.Helper()
	d, err := Parse(vectors.Text(t, "rfc3858/5", "watcherinfo"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestExample(t *testing.T) {
	t.Parallel()
	want := Document{Lists: []List{{Resource: "sip:professor@example.net", Package: "presence", Watchers: []Watcher{
		{ID: "8ajksjda7s", Status: Active, Event: Approved, URI: "sip:userA@example.net", DurationSubscribed: Secs(509)},
		{ID: "hh8juja87s997-ass7", Status: Pending, Event: Subscribe, URI: "sip:userB@example.org", DisplayName: "Mr. Subscriber"},
	}}}}
	if got := professor(t); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got.Lists)
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	d := Document{Version: 7, Partial: true, Lists: []List{{Resource: `sip:"a"&b@example.com`, Package: "presence", Watchers: []Watcher{
		{
			ID: "x", Status: Waiting, Event: Timeout, URI: "sip:<c>@example.com", DisplayName: "A \"B\"\n<C>", Lang: "de",
			Expiration: Secs(0), DurationSubscribed: Secs(18446744073709551615),
		},
	}}, {Resource: "sip:d@example.com", Package: "presence"}}}
	const want = `<?xml version="1.0" encoding="UTF-8"?>
<watcherinfo xmlns="urn:ietf:params:xml:ns:watcherinfo" version="7" state="partial">
<watcher-list resource="sip:&quot;a&quot;&amp;b@example.com" package="presence">
<watcher id="x" status="waiting" event="timeout" display-name="A &quot;B&quot;&#10;&lt;C&gt;" xml:lang="de" expiration="0" duration-subscribed="18446744073709551615">sip:&lt;c&gt;@example.com</watcher>
</watcher-list>
<watcher-list resource="sip:d@example.com" package="presence">
</watcher-list>
</watcherinfo>
`
	if got := strings.ReplaceAll(d.Text(), "&#xA;", "&#10;"); got != want {
		t.Errorf("%s", got)
	}
	roundTrip(t, d)
	f := d.Render(5)
	if f.Sum() != 5 || !strings.HasSuffix(f.Body()[:f.VersionAt()], ` version="`) {
		t.Errorf("version at %q", f.Body()[f.VersionAt():])
	}
	for _, v := range []any{d, f} {
		for _, form := range []string{"%v", "%+v", "%#v", "%s"} {
			if text := fmt.Sprintf(form, v); strings.Contains(text, "example.com") {
				t.Errorf("%s tells %s", form, text)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	text := professor(t).Text()
	for what, change := range map[string][2]string{
		"another root":       {"watcherinfo ", "watchers "},
		"another namespace":  {Namespace, Namespace + "s"},
		"no version":         {` version="0"`, ""},
		"version":            {` version="0"`, ` version="4294967296"`},
		"negative version":   {` version="0"`, ` version="-1"`},
		"state":              {`"full"`, `"whole"`},
		"no resource":        {` resource="sip:professor@example.net"`, ""},
		"no package":         {` package="presence"`, ""},
		"no id":              {` id="8ajksjda7s"`, ""},
		"one id twice":       {`"hh8juja87s997-ass7"`, `"8ajksjda7s"`},
		"status":             {`"pending"`, `"init"`},
		"no status":          {`status="pending" `, ""},
		"event":              {`"approved"`, `"refresh"`},
		"no event":           {` event="approved"`, ""},
		"unknown attribute":  {`event="approved"`, `event="approved" colour="red"`},
		"no URI":             {"sip:userA@example.net", " \n "},
		"duration":           {`"509"`, `"-509"`},
		"element in watcher": {"sip:userA@example.net", "sip:userA@example.net<watcher/>"},
		"element in list":    {"</watcher>", "</watcher><user/>"},
		"list in list":       {"</watcher>", `</watcher><watcher-list resource="a" package="b"/>`},
		"watcher in no list": {"</watcherinfo>", `<watcher id="a" status="active" event="approved">sip:a@b.example</watcher></watcherinfo>`},
		"text in list":       {"</watcher>", "</watcher>text"},
	} {
		changed := strings.Replace(text, change[0], change[1], 1)
		if what == "another root" {
			changed = strings.Replace(changed, "/watcherinfo", "/watchers", 1)
		}
		if changed == text {
			t.Fatalf("%s changes nothing", what)
		}
		if _, err := Parse(changed); !errors.Is(err, ErrForm) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := Parse("<!DOCTYPE a>" + text[39:]); !errors.Is(err, xmltree.ErrForbidden) {
		t.Errorf("document type: %v", err)
	}
}

// RFC 3858, 3: what is of other namespaces is ignored.
func TestExtensions(t *testing.T) {
	t.Parallel()
	want := professor(t)
	text := want.Text()
	text = strings.Replace(text, "<watcherinfo ", `<watcherinfo xmlns:x="urn:x" x:version="9" `, 1)
	text = strings.Replace(text, "<watcher-list ", `<x:list/><watcher-list x:a="b" `, 1)
	text = strings.Replace(text, "<watcher ", `<watcher x:id="c" `, 1)
	text = strings.Replace(text, "</watcher>", "<x:note>text</x:note></watcher><x:note>text</x:note>", 1)
	if got, err := Parse(text); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %+v", err, got.Lists)
	}
}

func TestTooMany(t *testing.T) {
	t.Parallel()
	d := Document{Lists: []List{{Resource: "sip:a@example.com", Package: "presence"}}}
	for i := range MaxWatchers {
		d.Lists[0].Watchers = append(d.Lists[0].Watchers, Watcher{ID: fmt.Sprint(i), Status: Active, Event: Approved, URI: fmt.Sprintf("sip:u%d@example.com", i)})
	}
	roundTrip(t, d)
	d.Lists[0].Watchers = append(d.Lists[0].Watchers, Watcher{ID: "x", Status: Active, Event: Approved, URI: "sip:x@example.com"})
	if _, err := Parse(d.Text()); !errors.Is(err, ErrTooBig) {
		t.Error(err)
	}
	var table Table
	var err error
	for i := range 3 {
		for j := range d.Lists[0].Watchers {
			d.Lists[0].Watchers[j].ID = fmt.Sprint(i, "-", j)
		}
		d.Version, d.Partial = uint32(i), true
		_, err = table.Merge(d)
	}
	if !errors.Is(err, ErrTooBig) || table.count > maxTable {
		t.Errorf("%v, with %d", err, table.count)
	}
}

// RFC 3858, 4.
func TestMerge(t *testing.T) {
	t.Parallel()
	row := func(id string, s Status) Watcher {
		return Watcher{ID: id, Status: s, Event: Subscribe, URI: "sip:" + id + "@example.com"}
	}
	doc := func(version uint32, partial bool, rows ...Watcher) Document {
		return Document{Version: version, Partial: partial, Lists: []List{{Resource: "sip:r@example.com", Package: "presence", Watchers: rows}}}
	}
	var table Table
	for i, step := range []struct {
		d    Document
		want Merged
		rows string
	}{
		{doc(3, false, row("a", Pending), row("b", Active)), Current, "a pending b active"},
		{doc(4, true, row("a", Active), row("c", Waiting)), Current, "a active b active c waiting"},
		{doc(4, true, row("a", Terminated)), Discarded, "a active b active c waiting"},
		{doc(2, false), Discarded, "a active b active c waiting"},
		{doc(5, true, row("b", Terminated), row("d", Terminated)), Current, "a active c waiting"},
		{doc(7, true, row("a", Pending)), Incomplete, "a pending c waiting"},
		{doc(8, true), Current, "a pending c waiting"},
		{doc(1025, false, row("e", Active)), Current, "e active"}, // full state needs nothing before it
		{doc(1026, false), Current, ""},
	} {
		got, err := table.Merge(step.d)
		if err != nil || got != step.want {
			t.Errorf("%d: %v, %v", i, got, err)
		}
		var rows []string
		for _, l := range table.Lists() {
			for _, w := range l.Watchers {
				rows = append(rows, w.ID, w.Status.String())
			}
		}
		if text := strings.Join(rows, " "); text != step.rows {
			t.Errorf("%d: %s", i, text)
		}
	}
	var fresh Table
	if got, _ := fresh.Merge(doc(9, true, row("a", Active))); got != Incomplete {
		t.Errorf("what begins with a change is %v", got)
	}
	other := doc(10, true, row("a", Active))
	other.Lists[0].Package = "presence.winfo"
	if _, err := fresh.Merge(other); err != nil || len(fresh.Lists()) != 2 {
		t.Errorf("two packages are %d lists, %v", len(fresh.Lists()), err)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]Event{
		"rejected": Rejected, "timeout": Timeout, "noresource": NoResource, "giveup": GiveUp, "probation": Probation,
		"deactivated": Deactivated, "invariant": Deactivated, "": Deactivated, "subscribe": Deactivated,
	} {
		if got := Ending(reason); got != want {
			t.Errorf("%s is %v", reason, got)
		}
	}
	if Status(99).String() != "" || Event(99).String() != "" {
		t.Error("a number without a name has one")
	}
}

// FuzzParse: what is read comes back from what is written of it.
func FuzzParse(f *testing.F) {
	for _, text := range vectors.Documents(f, "watcherinfo") {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := Parse(text)
		if err != nil {
			return
		}
		roundTrip(t, d)
		var table Table
		if _, err := table.Merge(d); err != nil {
			t.Fatal(err)
		}
	})
}

// TestFiltered: what a filter leaves is a document of the same kind, whose version
// is still to come, or nothing.
func TestFiltered(t *testing.T) {
	t.Parallel()
	f := professor(t).Render(5)
	cut := func(document string) (string, bool) {
		at := strings.Index(document, "<watcher id=\"hh8juja87s997-ass7\"")
		end := strings.Index(document[at:], "</watcher>") + at + len("</watcher>")
		return document[:at] + document[end:], true
	}
	left, told := f.Filtered(cut)
	if len(told) != 1 || told[0].URI != "sip:userA@example.net" || left.Sum() != 5 || left.WithSum(6).Sum() != 6 {
		t.Errorf("%+v of %v", told, left)
	}
	d, err := Parse(left.Body()[:left.VersionAt()] + "42" + left.Body()[left.VersionAt():])
	if err != nil || d.Version != 42 || len(d.Lists[0].Watchers) != 1 {
		t.Errorf("%v: %s", err, left.Body())
	}
	for what, leave := range map[string]func(string) (string, bool){
		"nothing":    func(string) (string, bool) { return "", false },
		"no version": func(s string) (string, bool) { return strings.Replace(s, ` version=""`, "", 1), true },
		"no lists":   func(string) (string, bool) { return `<watcherinfo version="" state="full"/>`, true },
		"no id":      func(s string) (string, bool) { return strings.Replace(s, " id=", " xd=", 1), true },
	} {
		if left, told := f.Filtered(leave); left.Body() != "" || told != nil || left.Sum() != 5 {
			t.Errorf("%s: %q", what, left.Body())
		}
	}
}
