package pidf

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tacit-presence/tacit/rfc/vectors"
	"github.com/tacit-presence/tacit/xmltree"
)

// canonical writes a document so that two that mean the same are equal.
func canonical(t testing.TB, src string) string {
	t.Helper()
	d, err := xmltree.Parse(src, xmltree.Limits{})
	if err != nil {
		t.Fatalf("%v in\n%s", err, src)
	}
	var b strings.Builder
	var walk func(n xmltree.Node)
	walk = func(n xmltree.Node) {
		fmt.Fprintf(&b, "<{%s}%s", d.Space(n), d.Local(n))
		var attrs []string
		for i := range d.NumAttrs(n) {
			a := d.AttrAt(n, i)
			attrs = append(attrs, fmt.Sprintf(" %t{%s}%s=%q", a.Declares(), a.Space(), a.Local(), a.Value()))
		}
		slices.Sort(attrs)
		b.WriteString(strings.Join(attrs, "") + ">")
		for c := d.FirstChild(n); c != xmltree.None; c = d.Next(c) {
			if d.Kind(c) == xmltree.KindElement {
				walk(c)
			} else {
				b.WriteString(d.Raw(c))
			}
		}
		b.WriteString("</>")
	}
	walk(d.Root())
	return b.String()
}

func parsePartial(t testing.TB, body string) *PartialDocument {
	t.Helper()
	p, err := ParsePartial(body)
	if err != nil {
		t.Fatalf("%v in\n%s", err, body)
	}
	return p
}

const partialOld = prolog + ` xmlns:dm="` + DataModelSpace + `" entity="sip:a@example.com">
<tuple id="t1"><status><basic>open</basic></status><note>in</note><timestamp>2026-01-01T00:00:00Z</timestamp></tuple>
<tuple id="t2"><status><basic>closed</basic></status><contact priority="0.5">sip:a@example.com</contact></tuple>
<note>A rather long note, so that a diff is worth its while</note>
<dm:person id="p1"><dm:note>A person's note, of some length too</dm:note></dm:person>` + epilog

func TestFullOf(t *testing.T) {
	t.Parallel()
	for _, document := range []string{
		partialOld, Unavailable("sip:a&b@example.com").Render("sip:a&b@example.com"), NewAssembly("", nil).Render("a"),
		NewAssembly(` xmlns:p="urn:x" xmlns:p1="urn:y"`, nil).Render(" xmlns:p2="),
	} {
		f := FullOf(document)
		p := parsePartial(t, f.Body(4294967295))
		full, ok := p.Full()
		if !ok || full != document || p.Version() != 4294967295 {
			t.Errorf("%t, version %d\n%s\nof\n%s", ok, p.Version(), full, f.Text)
		}
		if again, err := p.Apply(""); err != nil || again != document {
			t.Errorf("%v\n%s", err, again)
		}
	}
	for _, other := range []string{"", "<presence/>", prolog, prolog + epilog, strings.ReplaceAll(partialOld, "\n", " ")} {
		if f := FullOf(other); !f.None() || f.Body(1) != "" {
			t.Errorf("%q made %q", other, f.Text)
		}
	}
}

func TestDiffOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, old, new, want string }{
		{"nothing", "", "", ""},
		{"basic", ">open<", ">closed<", `<p:replace sel="*/tuple[@id='t1']/status/basic/text()">closed</p:replace>`},
		{"note", "A rather", "Another", `<p:replace sel="*/note/text()">Another long note, so that a diff is worth its while</p:replace>`},
		{"timestamp", "2026", "2027", `<p:replace sel="*/tuple[@id='t1']/timestamp/text()">2027-01-01T00:00:00Z</p:replace>`},
		{"prefix", "A person's", "One's", `<p:replace sel="*/dm:person[@id='p1']/dm:note/text()">One's note, of some length too</p:replace>`},
		{"attribute", `"0.5"`, `"0.7"`, `<p:replace sel="*/tuple[@id='t2']/contact/@priority">0.7</p:replace>`},
		{"element", `<note>in</note>`, `<note xml:lang="en">in</note>`, `<p:replace sel="*/tuple[@id='t1']/note"><note xml:lang="en">in</note></p:replace>`},
		{"namespace", ` entity`, ` xmlns:r="urn:r" entity`, `<p:add sel="*" type="namespace::r">urn:r</p:add>`},
		{
			"tuple added", "\n<note>A", "\n<tuple id=\"t3\"><status/></tuple>\n<note>A",
			"<p:add sel=\"*/tuple[@id='t2']\" pos=\"after\">\n<tuple id=\"t3\"><status/></tuple></p:add>",
		},
		{"first added", "\n<tuple id=\"t1\"", "\n<tuple id=\"t0\"><status/></tuple>\n<tuple id=\"t1\"", "<p:add sel=\"*\" pos=\"prepend\">\n<tuple id=\"t0\"><status/></tuple></p:add>"},
		{"last added", epilog, "\n<note>last</note>" + epilog, "<p:add sel=\"*\"><note>last</note>\n</p:add>"},
		{"person gone", partialOld[strings.Index(partialOld, "\n<dm:person"):], epilog, `<p:remove sel="*/dm:person[@id='p1']" ws="before"/>`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			changed := strings.Replace(partialOld, tt.old, tt.new, 1)
			p, ok := DiffOf(partialOld, changed)
			if !ok {
				t.Fatal("no diff")
			}
			_, ops, _ := strings.Cut(p.Body(2), ">\n")
			_, ops, _ = strings.Cut(ops, ">\n")
			ops = strings.TrimSuffix(strings.TrimSuffix(ops, "</p:pidf-diff>\n"), "\n")
			if ops != tt.want {
				t.Errorf("got  %s\nwant %s", ops, tt.want)
			}
			d := parsePartial(t, p.Body(2))
			if got, err := d.Apply(partialOld); err != nil || got != changed || d.Version() != 2 {
				t.Errorf("%v, version %d\n%s", err, d.Version(), got)
			}
		})
	}
	for name, new := range map[string]string{
		"another entity":             strings.Replace(partialOld, "sip:a@", "sip:b@", 1),
		"another namespace":          strings.Replace(partialOld, DataModelSpace, "urn:x", 1),
		"a prefix of the full state": strings.Replace(partialOld, " entity", ` xmlns:p="urn:x" entity`, 1),
		"not as rendered":            strings.Replace(partialOld, "\n<note>", "<note>", 1),
		"not XML":                    prolog + ">",
		"smaller as a whole":         NewAssembly("", nil).Render("sip:a@example.com"),
		"too large":                  strings.Replace(partialOld, "A rather", strings.Repeat("x", MaxBytes), 1),
	} {
		if p, ok := DiffOf(partialOld, new); ok {
			t.Errorf("%s: a diff\n%s", name, p.Text)
		}
	}
}

// randomDocument makes documents of few ids, texts and prefixes, so that two
// have much in common.
type randomDocument struct{ *rand.Rand }

func (r randomDocument) pick(list ...string) string { return list[r.IntN(len(list))] }

func (r randomDocument) maybe(s string) string {
	if r.IntN(2) == 0 {
		return ""
	}
	return s
}

var randomDeclarations = []string{
	` xmlns:dm="` + DataModelSpace + `"`, ` xmlns:rpid="` + RPIDSpace + `"`, ` xmlns:q="urn:q"`, ` xmlns:p="urn:p"`, ` xmlns:z="urn:z&amp;"`,
}

func (r randomDocument) tuple(id int) string {
	return fmt.Sprintf(`<tuple id="t%d"><status><basic>%s</basic>%s</status>%s%s%s%s</tuple>`, id, r.pick("open", "closed"),
		r.maybe(`<x:loc xmlns:x="urn:x">`+r.pick("here", "there")+`</x:loc>`),
		r.maybe("<q:a xmlns:q='"+r.pick("urn:q", "urn:q2")+"'><q:b/></q:a>"),
		r.maybe(fmt.Sprintf(`<contact priority=%s0.%d%[1]s>sip:a&amp;b@example.com</contact>`, r.pick(`"`, "'"), r.IntN(3))),
		r.maybe("<note"+r.maybe(` xml:lang="en"`)+">"+r.pick("n1", "n2", "<![CDATA[n<3]]>")+"</note>"),
		r.maybe("\n  <timestamp>2026-01-0"+r.pick("1", "2")+"T00:00:00Z</timestamp>\n"))
}

func (r randomDocument) person(id int) string {
	return fmt.Sprintf(`<dm:person xmlns:dm="%s" xmlns:r="%s" id="p%d"><r:activities><r:%s/></r:activities></dm:person>`, DataModelSpace, RPIDSpace, id, r.pick("away", "busy"))
}

func (r randomDocument) part(kind, id int) string {
	switch kind {
	case 0, 1:
		return r.tuple(id)
	case 2:
		return "<note>" + r.pick("one", "two", "three") + "</note>"
	case 3:
		return r.person(id)
	case 4:
		return `<rpid:x id="e` + r.pick("1", "2&apos;", "3") + `">` + r.pick("a", "b<rpid:c/>") + `</rpid:x>`
	case 5:
		return `<x xmlns="urn:default"><y>` + r.pick("1", "2") + `</y></x>`
	default:
		return `<dm:person id="d` + fmt.Sprint(id) + `"><rpid:activities rpid:id="x` + fmt.Sprint(id) + `"><rpid:` + r.pick("away", "busy") + `/>` +
			r.maybe("<rpid:other>"+r.pick("x", "y")+"</rpid:other>") + r.maybe("<!--c-->") + `</rpid:activities><dm:note>` + r.pick("m", "n") + `</dm:note></dm:person>`
	}
}

// pair makes two documents: what the second keeps of the first is the more the
// smaller change is.
func (r randomDocument) pair() (old, new string) {
	declare := func(must string) string {
		s := randomDeclarations[0] + randomDeclarations[1]
		for _, d := range randomDeclarations[2:] {
			s += r.maybe(d)
		}
		return s + must
	}
	type named struct{ kind, id int }
	var list []named
	for id := range r.IntN(8) {
		list = append(list, named{r.IntN(7), id})
	}
	render := func(declarations string, texts []string) string {
		var parts []Component
		for _, s := range texts {
			parts = append(parts, Component{Text: s})
		}
		return NewAssembly(declarations, parts).Render("sip:a@example.com")
	}
	var before, after []string
	for _, n := range list {
		before = append(before, r.part(n.kind, n.id))
	}
	for i, n := range list {
		switch r.IntN(6) {
		case 0:
		case 1:
			after = append(after, r.part(n.kind, n.id))
		case 2:
			after = append(after, before[i], r.part(r.IntN(7), 10+i))
		default:
			after = append(after, before[i])
		}
	}
	if r.IntN(3) == 0 {
		r.Shuffle(len(after), func(i, k int) { after[i], after[k] = after[k], after[i] })
	}
	declarations := declare("")
	old = render(declarations, before)
	if r.IntN(3) == 0 {
		declarations = declare("")
	}
	return old, render(declarations, after)
}

// TestDiffOfRandom holds that a diff, applied, makes the new document of the old
// one, whatever the two are.
func TestDiffOfRandom(t *testing.T) {
	t.Parallel()
	const rounds = 20000
	diffs, exact := 0, 0
	r := randomDocument{rand.New(rand.NewPCG(5262, 5261))}
	for range rounds {
		old, new := r.pair()
		p, ok := DiffOf(old, new)
		if !ok {
			continue
		}
		diffs++
		d := parsePartial(t, p.Body(2))
		got, err := d.patch.Apply(old, xmltree.Limits{})
		if err != nil {
			t.Fatalf("%v\nold %s\nnew %s\n%s", err, old, new, p.Text)
		}
		if got == new {
			exact++
		} else if canonical(t, got) != canonical(t, new) {
			t.Fatalf("got %s\nnew %s\nold %s\n%s", got, new, old, p.Text)
		}
		if len(p.Text) >= len(FullOf(new).Text) {
			t.Fatal("larger than the whole")
		}
	}
	if diffs < rounds/4 || exact < diffs*8/10 {
		t.Errorf("%d diffs of %d pairs, %d of them exact", diffs, rounds, exact)
	}
	t.Logf("%d diffs of %d pairs, %d of them exact", diffs, rounds, exact)
}

// TestDiffOfChain holds that a watcher's copy, which came by other diffs and has
// the root of the pidf-full that began it, follows too.
func TestDiffOfChain(t *testing.T) {
	t.Parallel()
	r := randomDocument{rand.New(rand.NewPCG(5263, 5264))}
	diffs := 0
	for range 1000 {
		now, next := r.pair()
		held := FullOf(now).Body(1)
		for range 10 {
			p, ok := DiffOf(now, next)
			if !ok {
				held = FullOf(next).Body(1)
			} else {
				diffs++
				text, err := parsePartial(t, p.Body(2)).patch.Apply(held, xmltree.Limits{})
				if err != nil {
					t.Fatalf("%v\nheld %s\nnext %s\n%s", err, held, next, p.Text)
				}
				held = text
			}
			tree, err := xmltree.Parse(held, xmltree.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if got := canonical(t, presenceOf(tree)); got != canonical(t, next) {
				t.Fatalf("got %s\nnext %s\nnow %s\n%s", got, next, now, p.Text)
			}
			now = next
			if _, next = r.pair(); r.IntN(2) == 0 {
				next = strings.NewReplacer("open", "closed", "n1", "n2", "away", "busy").Replace(now)
			}
		}
	}
	if diffs < 1000 {
		t.Errorf("%d diffs", diffs)
	}
}

func TestParsePartialErrors(t *testing.T) {
	t.Parallel()
	const open, end = `<p:pidf-diff xmlns="` + Space + `" xmlns:p="` + PartialSpace + `" entity="sip:a@example.com">`, `</p:pidf-diff>`
	for _, tt := range []struct {
		name, body string
		want       error
	}{
		{"empty", "", xmltree.ErrInvalidDiffFormat},
		{"presence", partialOld, xmltree.ErrInvalidDiffFormat},
		{"version", strings.Replace(open, " entity", ` version="-1" entity`, 1) + end, xmltree.ErrInvalidAttributeValue},
		{"version too large", strings.Replace(open, " entity", ` version="4294967296" entity`, 1) + end, xmltree.ErrInvalidAttributeValue},
		{"no version", FullOf(partialOld).Text, xmltree.ErrInvalidAttributeValue},
		{"full of nothing", `<p:pidf-full xmlns:p="` + PartialSpace + `"/>`, ErrDocument},
		{"entity", strings.Replace(open, "sip:a", "sip:b", 1) + end, xmltree.ErrInvalidAttributeValue},
		{"unlocated", open + `<p:remove sel="*/tuple"/>` + end, xmltree.ErrUnlocatedNode},
		{"result", open + `<p:remove sel="*/tuple[1]/status"/>` + end, ErrDocument},
		{"root", open + `<p:replace sel="presence"><note/></p:replace>` + end, xmltree.ErrInvalidNamespaceURI},
		{"too large", open + strings.Repeat(" ", MaxBytes) + end, xmltree.ErrTooLarge},
	} {
		p, err := ParsePartial(tt.body)
		if err == nil {
			_, err = p.Apply(partialOld)
		}
		if !errors.Is(err, ErrPartial) || !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	if _, err := parsePartial(t, open+end).Apply(""); !errors.Is(err, ErrPartial) || !errors.Is(err, ErrNoFullState) {
		t.Errorf("without full state: %v", err)
	}
}

// TestFullOfStrangers holds that a pidf-full is a presence document however its
// namespaces are written.
func TestFullOfStrangers(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`<p:pidf-full xmlns="` + Space + `" xmlns:p="` + PartialSpace + `" entity="a"><tuple id="t"><status/></tuple></p:pidf-full>`,
		`<pidf-full xmlns="` + PartialSpace + `" xmlns:x="` + Space + `" entity="a"><x:tuple id="t"><x:status/></x:tuple></pidf-full>`,
		`<pidf-full xmlns="` + PartialSpace + `" xmlns:pidf0="urn:x" entity="a"><tuple xmlns="` + Space + `" id="t"><status/></tuple></pidf-full>`,
		`<p:pidf-full version="1" xmlns:p="` + PartialSpace + `" xmlns:x="` + Space + `" entity="a"><x:tuple id="t"><x:status/></x:tuple><p:q/></p:pidf-full>`,
	} {
		full, ok := parsePartial(t, body).Full()
		d, err := Parse(full)
		if !ok || err != nil || len(d.Parts()) == 0 || d.Parts()[0].ID != "t" || strings.Contains(full, "version") {
			t.Errorf("%s: %v", full, err)
		}
	}
}

func TestPartialRedacts(t *testing.T) {
	t.Parallel()
	p := FullOf(partialOld)
	d := parsePartial(t, p.Body(1))
	diff, _ := DiffOf(partialOld, strings.Replace(partialOld, "open", "closed", 1))
	for _, v := range []slog.LogValuer{p, d, diff, parsePartial(t, diff.Body(1))} {
		for _, s := range []string{v.LogValue().String(), fmt.Sprint(v), fmt.Sprintf("%+v", v), fmt.Sprintf("%#v", v)} {
			if strings.Contains(s, "sip:") || strings.Contains(s, "closed") || s == "" {
				t.Errorf("shows %q", s)
			}
		}
	}
}

// FuzzParsePartial holds that what a stranger sends is refused, or makes a
// document that Parse takes.
func FuzzParsePartial(f *testing.F) {
	for _, name := range []string{"rfc5262/6", "rfc5263/5", "rfc5264/6"} {
		full := vectors.Text(f, name, "full")
		old, _ := parsePartial(f, full).Full()
		f.Add(full, partialOld)
		f.Add(vectors.Text(f, name, "diff"), old)
	}
	f.Fuzz(func(t *testing.T, body, old string) {
		p, err := ParsePartial(body)
		if err == nil {
			var text string
			if text, err = p.Apply(old); err == nil {
				if _, err := Parse(text); err != nil {
					t.Fatalf("made %q: %v", text, err)
				}
				return
			}
		}
		if !errors.Is(err, ErrPartial) {
			t.Fatalf("%v", err)
		}
	})
}

// FuzzDiffOf holds that of any two lists of parts a diff makes the second of the
// first.
func FuzzDiffOf(f *testing.F) {
	f.Add(partialOld[strings.Index(partialOld, "\n<"):], "\n<tuple id='t1'>x</tuple>"+epilog)
	r := randomDocument{rand.New(rand.NewPCG(1, 2))}
	head := prolog + strings.Join(randomDeclarations, "") + ` entity="e">`
	for range 50 {
		old, new := r.pair()
		f.Add(old[strings.Index(old, "\n<")+1:], new[strings.Index(new, "\n<")+1:])
	}
	f.Fuzz(func(t *testing.T, old, new string) {
		old, new = head+"\n"+strings.TrimPrefix(old, "\n"), head+"\n"+strings.TrimPrefix(new, "\n")
		p, ok := DiffOf(old, new)
		if !ok {
			return
		}
		d, err := ParsePartial(p.Body(1))
		if err != nil {
			t.Fatalf("%v\n%s", err, p.Text)
		}
		got, err := d.patch.Apply(old, xmltree.Limits{MaxBytes: MaxBytes})
		if err != nil {
			t.Fatalf("%v\nold %s\nnew %s\n%s", err, old, new, p.Text)
		}
		if got != new && canonical(t, got) != canonical(t, new) {
			t.Fatalf("got %s\nnew %s\nold %s\n%s", got, new, old, p.Text)
		}
	})
}

func BenchmarkDiffOf(b *testing.B) {
	changed := strings.Replace(partialOld, ">open<", ">closed<", 1)
	b.ReportAllocs()
	for b.Loop() {
		DiffOf(partialOld, changed)
	}
}
