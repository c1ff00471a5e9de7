package pidf

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/rfc/vectors"
	"github.com/tacit-presence/tacit/xmltree"
)

// TestDocuments reads testdata, whose files say in their first comment what to
// expect: ok, or a part of the error.
func TestDocuments(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.xml")
	if err != nil || len(files) < 6 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			_, rest, _ := strings.Cut(string(text), "<!-- expect: ")
			want, _, ok := strings.Cut(rest, ";")
			if !ok {
				t.Fatal("no expectation")
			}
			d, err := Parse(string(text))
			if want != "ok" {
				if !errors.Is(err, ErrDocument) || !strings.Contains(err.Error(), want) {
					t.Errorf("%v, want %q", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d.Body() != string(text) || len(d.Parts()) == 0 {
				t.Errorf("%v", d)
			}
			for i := range d.Parts() {
				p := &d.Parts()[i]
				if s := d.Text()[p.Span.Start:p.Span.End]; s[0] != '<' || s[len(s)-1] != '>' {
					t.Errorf("part %q", s)
				}
			}
		})
	}
}

// load reads the presence document of a vector.
func load(t testing.TB, name string) *Document {
	t.Helper()
	d, err := Parse(vectors.Text(t, name, "presence"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRead(t *testing.T) {
	t.Parallel()
	d := load(t, "rfc4480/4")
	if d.Entity() != "pres:someone@example.com" || len(d.Bindings()) != 4 {
		t.Errorf("entity %s, %v", d.Entity(), d.Bindings())
	}
	var got []string
	for _, p := range d.Parts() {
		got = append(got, fmt.Sprint(p.Kind, " ", p.ID, " ", p.Basic, " ", p.DeviceID, " ", p.Class, " ", p.Contact, " ", p.Priority, " ", p.Timestamp, " ", p.Text))
	}
	want := []string{
		"tuple bs35r9 open urn:device:0003ba4811e3  im:someone@mobile.example.net 800 2005-10-27T16:49:29Z ",
		"tuple ty4658 open   mailto:secretary@example.com 1000  ",
		"tuple eg92n8 open urn:x-mac:0003ba4811e3 email mailto:someone@example.com 1000  ",
		"note  absent    -1  I'll be in Tokyo next week",
		"device pc147 absent urn:device:0003ba4811e3   -1  ",
		"person p1 absent  calendar  -1 2005-05-30T16:09:44+05:00 ",
	}
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Errorf("\n%v\nwant %v", got, want[i])
		}
	}
	if d.Text() != d.Body() {
		t.Error("a regular document is rewritten")
	}
}

const head = `<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model"` +
	` xmlns:rpid="urn:ietf:params:xml:ns:pidf:rpid" xmlns:x="urn:x" entity="sip:a@example.com">`

func TestRefused(t *testing.T) {
	t.Parallel()
	tuple := `<tuple id="t"><status><basic>open</basic></status></tuple>`
	for _, c := range []struct{ name, body, want string }{
		{"not XML", "hello", "not well-formed"},
		{"root", `<x/>`, "the root is <x>"},
		{"namespace", `<presence entity="sip:a@b"/>`, "the root is <presence> of namespace"},
		{"entity", `<presence xmlns="urn:ietf:params:xml:ns:pidf"/>`, "has no entity"},
		{"empty entity", `<presence xmlns="urn:ietf:params:xml:ns:pidf" entity=" "/>`, "has no entity"},
		{"root text", head + "hello</presence>", "<presence> has text"},
		{"tuple text", head + `<tuple id="t">x<status/></tuple></presence>`, "<tuple> has text"},
		{"tuple cdata", head + `<tuple id="t"><![CDATA[]]><status/></tuple></presence>`, "<tuple> has text"},
		{"status text", head + `<tuple id="t"><status>open</status></tuple></presence>`, "<status> has text"},
		{"person text", head + `<dm:person id="t">x</dm:person></presence>`, "<person> has text"},
		{"no id", head + `<tuple><status/></tuple></presence>`, "<tuple> has no id"},
		{"number id", head + `<tuple id="4"><status/></tuple></presence>`, `id "4" of <tuple> is no XML name`},
		{"colon id", head + `<dm:person id="a:b"/></presence>`, "is no XML name"},
		{"no status", head + `<tuple id="t"/></presence>`, "has no <status>"},
		{"two status", head + `<tuple id="t"><status/><status/></tuple></presence>`, "has two <status>"},
		{"two basic", head + `<tuple id="t"><status><basic>open</basic><basic>open</basic></status></tuple></presence>`, "has two <basic>"},
		{"two contacts", head + `<tuple id="t"><status/><contact/><contact/></tuple></presence>`, "has two <contact>"},
		{"two timestamps", head + `<dm:person id="t"><dm:timestamp>2026-01-01T00:00:00Z</dm:timestamp><dm:timestamp>2026-01-01T00:00:00Z</dm:timestamp></dm:person></presence>`, "has two <timestamp>"},
		{"timestamp", head + `<tuple id="t"><status/><timestamp>today</timestamp></tuple></presence>`, "is no date and time"},
		{"basic with child", head + `<tuple id="t"><status><basic><x:y/></basic></status></tuple></presence>`, "<basic> has elements"},
		{"note with child", head + `<note><b/></note></presence>`, "<note> has elements"},
		{"contact with child", head + `<tuple id="t"><status/><contact><x:y/></contact></tuple></presence>`, "<contact> has elements"},
		{"no deviceID", head + `<dm:device id="d"/></presence>`, "has no <deviceID>"},
		{"empty deviceID", head + `<dm:device id="d"><dm:deviceID> </dm:deviceID></dm:device></presence>`, "has no <deviceID>"},
		{"two deviceIDs", head + `<dm:device id="d"><dm:deviceID>a</dm:deviceID><dm:deviceID>b</dm:deviceID></dm:device></presence>`, "has two <deviceID>"},
		{"same tuple id", head + tuple + tuple + `</presence>`, `id "t" occurs twice`},
		{"same id across", head + tuple + `<dm:person id="t"/></presence>`, `id "t" occurs twice`},
		{"same rpid id", head + tuple + `<dm:person id="p"><rpid:activities id="t"/></dm:person></presence>`, `id "t" occurs twice`},
		{"rpid id", head + `<dm:person id="p"><rpid:activities id="4"/></dm:person></presence>`, "is no XML name"},
		{"many parts", head + strings.Repeat("<note/>", 200) + `</presence>`, "more than 128 elements"},
		{"many ids", head + `<dm:person id="p"><rpid:activities>` + strings.Repeat(`<rpid:x id="a"/>`, 100) + `</rpid:activities></dm:person></presence>`, "occurs twice"},
		{"long lang", strings.Replace(head, "<presence", `<presence xml:lang="`+strings.Repeat("x", 100)+`"`, 1) + `</presence>`, "xml:lang"},
		{"long namespaces", strings.Replace(head, "<presence", `<presence xmlns:y="`+strings.Repeat("x", 3000)+`"`, 1) + `</presence>`, "declares namespaces"},
		{"too large", head + "<note>" + strings.Repeat("x", MaxBytes) + "</note></presence>", "too large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d, err := Parse(c.body)
			if d != nil || !errors.Is(err, ErrDocument) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if err != nil && len(err.Error()) > 250 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	}
	if _, err := Parse("<!DOCTYPE presence>" + head + "</presence>"); !errors.Is(err, xmltree.ErrForbidden) {
		t.Error(err)
	}
}

// TestTolerances holds what each lets in and makes of it, and that it can be
// switched off.
func TestTolerances(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		off      Tolerances
		in, want string
		refused  string // without the tolerance; empty: a rule, not a tolerance
	}{
		{"unknown basic", Tolerances{RootOrder: true, ChildOrder: true},
			`<tuple id="t"><status><basic>unkown</basic></status></tuple>`, `<tuple id="t"><status></status></tuple>`, "neither open nor closed"},
		{"unknown basic beside another", Tolerances{RootOrder: true, ChildOrder: true},
			`<tuple id="t"><status><basic/><x:y/></status></tuple>`, `<tuple id="t"><status><x:y/></status></tuple>`, "neither open nor closed"},
		{"white space in basic", Tolerances{}, `<tuple id="t"><status><basic> open
</basic></status></tuple>`, `<tuple id="t"><status><basic>open</basic></status></tuple>`, ""},
		{"comment in basic", Tolerances{}, `<tuple id="t"><status><basic>&#111;p<!-- x -->en</basic></status></tuple>`, `<tuple id="t"><status><basic>open</basic></status></tuple>`, ""},
		{"root order", Tolerances{UnknownBasic: true, ChildOrder: true},
			`<note/><tuple id="t"><status/></tuple>`, `<note/><tuple id="t"><status/></tuple>`, "must not stand so late"},
		{"child order", Tolerances{UnknownBasic: true, RootOrder: true},
			`<tuple id="t"> <contact>c</contact> <status> <x:y/> <basic>open</basic> </status>
 <timestamp>2026-01-02T03:04:05Z</timestamp>  <note/><x:z/> </tuple>`,
			`<tuple id="t"> <status> <basic>open</basic> <x:y/> </status><x:z/> <contact>c</contact>  <note/>
 <timestamp>2026-01-02T03:04:05Z</timestamp> </tuple>`, "not in order"},
		{"child order and others", Tolerances{UnknownBasic: true, RootOrder: true},
			`<tuple id="t"><foo/><contact priority="9">c</contact><bar xmlns=""/><status><x:y/><basic>away</basic></status></tuple>`,
			`<tuple id="t"><status><x:y/></status><contact>c</contact></tuple>`, "not in order"},
		{"device order", Tolerances{UnknownBasic: true, RootOrder: true},
			`<dm:device id="d"><dm:note>n</dm:note><dm:deviceID>u</dm:deviceID><rpid:class>c</rpid:class></dm:device>`,
			`<dm:device id="d"><rpid:class>c</rpid:class><dm:deviceID>u</dm:deviceID><dm:note>n</dm:note></dm:device>`, "not in order"},
		{"priority", Tolerances{}, `<tuple id="t"><status/><contact priority="1.5">c</contact></tuple>`, `<tuple id="t"><status/><contact>c</contact></tuple>`, ""},
		{"unknown names", Tolerances{}, `<tuple id="t"><status><foo/><bar xmlns=""/></status><foo/></tuple><foo/><dm:person id="p"><dm:foo/><foo/></dm:person><dm:foo/>`,
			`<tuple id="t"><status></status></tuple><dm:person id="p"><foo/></dm:person><dm:foo/>`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in := head + c.in + "</presence>"
			d, err := Parse(in)
			if err != nil {
				t.Fatal(err)
			}
			if want := head + c.want + "</presence>"; d.Text() != want || d.Body() != in {
				t.Errorf("\n%s\nwant\n%s", d.Text(), want)
			}
			d, err = c.off.Parse(in)
			if c.refused == "" {
				if err != nil {
					t.Error(err)
				}
			} else if d != nil || err == nil || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("switched off: %v", err)
			}
		})
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int16{"0": 0, "1": 1000, "0.": 0, "0.5": 500, "0.021": 21, "1.00": 1000, " 0.8 ": 800} {
		if got, ok := thousandths(s); !ok || got != want {
			t.Errorf("priority %q: %d %v", s, got, ok)
		}
	}
	for _, s := range []string{"", "2", "-0.1", "0.1234", "1.001", ".5", "0,5", "0.5x", "00.5", "1.5"} {
		if _, ok := thousandths(s); ok {
			t.Errorf("priority %q", s)
		}
	}
	for s, want := range map[string]bool{
		"2026-01-02T03:04:05Z": true, "2026-01-02T03:04:05": true, "2026-01-02T03:04:05.123+14:00": true, "2024-02-29T00:00:00-00:30": true,
		"": false, "2026-01-02": false, "2026-01-02 03:04:05Z": false, "2026-01-02t03:04:05z": false, "2026-13-02T03:04:05Z": false,
		"2026-02-29T03:04:05Z": false, "2026-04-31T03:04:05Z": false, "2026-01-00T03:04:05Z": false, "2026-01-02T24:04:05Z": false,
		"2026-01-02T03:60:05Z": false, "2026-01-02T03:04:60Z": false, "2026-01-02T03:04:05.Z": false, "2026-01-02T03:04:05+1400": false,
		"2026-01-02T03:04:05+14:30": false, "2026-01-02T03:04:05+0a:00": false, "1900-02-29T03:04:05Z": false,
	} {
		if isDateTime(s) != want {
			t.Errorf("date %q", s)
		}
	}
}

// TestWorstCase holds that what must be put right costs a bounded time.
func TestWorstCase(t *testing.T) {
	t.Parallel()
	body := head + `<tuple id="t"><contact/>` + strings.Repeat("<a/><x:y/>", 6000) + "<status/></tuple></presence>"
	begin := time.Now()
	d, err := Parse(body)
	if err != nil || strings.Contains(d.Text(), "<a/>") {
		t.Error(err)
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Error(took)
	} else {
		t.Log(took)
	}
}

func TestRedaction(t *testing.T) {
	t.Parallel()
	d := load(t, "rfc4480/4")
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "doc", d)
	fmt.Fprintf(&b, "%v %+v %#v %s", d, d, d, d)
	if strings.Contains(b.String(), "Tokyo") || !strings.Contains(b.String(), "presence document (") {
		t.Error(b.String())
	}
}

// TestAllocations cannot run beside others: it counts theirs too. It leaves the
// pool of trees out, which the race detector makes forget.
func TestAllocations(t *testing.T) {
	text := sample(t)
	var tree xmltree.Doc
	if n := testing.AllocsPerRun(100, func() {
		if _, _, err := DefaultTolerances().read(&tree, text); err != nil {
			t.Fatal(err)
		}
	}); n > 5 {
		t.Errorf("%v allocations", n)
	}
}

func sample(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("testdata/sample.xml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func BenchmarkParse(b *testing.B) {
	text := sample(b)
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzParse holds that a document's text is a document without any tolerance,
// with the same parts.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.xml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	for _, text := range vectors.Documents(f, "presence") {
		f.Add(text)
	}
	f.Add(head + `<tuple id="t"><foo/><contact priority="9">c</contact><bar xmlns=""/><status><x:y/><basic>away</basic></status></tuple></presence>`)
	f.Fuzz(func(t *testing.T, body string) {
		d, err := Parse(body)
		if err != nil {
			return
		}
		again, err := Tolerances{RootOrder: true}.Parse(d.Text())
		if err != nil {
			t.Fatalf("%q: %v", d.Text(), err)
		}
		if again.Text() != d.Text() || len(again.Parts()) != len(d.Parts()) {
			t.Fatalf("%q became %q", d.Text(), again.Text())
		}
		for i, p := range d.Parts() {
			if q := again.Parts()[i]; p.ID != q.ID || p.Kind != q.Kind || p.Basic != q.Basic || p.Span != q.Span {
				t.Fatalf("%+v became %+v", p, q)
			}
		}
		for _, id := range d.AllIDs() {
			if v := strings.TrimSpace(d.Text()[id.Span.Start:id.Span.End]); v != id.Value && !strings.Contains(v, "&") {
				t.Fatalf("id %q at %q", id.Value, v)
			}
		}
	})
}
