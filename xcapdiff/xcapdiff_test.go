package xcapdiff

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tacit-presence/tacit/rfc/vectors"
	"github.com/tacit-presence/tacit/schema"
	"github.com/tacit-presence/tacit/xmltree"
)

var conforms = schema.XCAPDiff()

// valid fails unless text is a diff of RFC 5874's schema, and gives what it says.
func valid(t testing.TB, text string) Diff {
	t.Helper()
	doc, err := xmltree.Parse(text, limits(len(text)))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if err := conforms(doc); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	d, err := Parse(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return d
}

// RFC 5874, figure 1 and A.1: what each form of a document tells.
func TestStepsOfADocument(t *testing.T) {
	t.Parallel()
	var c Copies
	const added = "tests/users/sip:joe@example.com/another_document"
	for _, step := range []struct {
		name  string
		want  Copy
		there bool
	}{
		{"first", Copy{}, false},
		{"second", Copy{ETag: "terteer"}, true},
		{"third", Copy{ETag: "huwiias"}, true},
		{"fourth", Copy{}, false},
	} {
		if err := c.Apply(valid(t, vectors.Text(t, "rfc5874/A.1", step.name))); err != nil {
			t.Fatal(err)
		}
		if got, there := c.Documents[added]; got != step.want || there != step.there {
			t.Errorf("%s: %v", step.name, got)
		}
	}
	if len(c.Documents) != 2 {
		t.Error("not those of A.1 any more:", len(c.Documents))
	}
	c.Fetched("x", "1", "<a/>")
	same := Item{Sel: "x", Was: "1", Is: "2", Same: true}
	if err := c.Apply(valid(t, Diff{Root: "r", Items: []Item{same}}.Text())); err != nil || c.Documents["x"] != (Copy{"2", true, "<a/>"}) {
		t.Error(c.Documents["x"], err)
	}
	// A version that is not the one before has to be fetched; one that has been
	// fetched meanwhile is left alone.
	c.Fetched("x", "7", "<a/>")
	_ = c.Apply(Diff{Items: []Item{{Sel: "x", Was: "2", Is: "3", Same: true}}})
	if got := c.Documents["x"]; got != (Copy{ETag: "3"}) {
		t.Error(got)
	}
	c.Fetched("x", "4", "<a/>")
	_ = c.Apply(Diff{Items: []Item{{Sel: "x", Was: "3", Is: "4", Same: true}}})
	if got := c.Documents["x"]; got != (Copy{"4", true, "<a/>"}) {
		t.Error(got)
	}
}

// RFC 5874, 3: an element keeps its prefixes, and each means what it meant.
func TestElementsKeepTheirNamespaces(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ doc, part string }{
		{`<doc><a/></doc>`, `<a/>`},
		{`<doc xmlns="urn:x"><a/></doc>`, `<a/>`},
		{`<d:doc xmlns:d="urn:x"><d:a/></d:doc>`, `<d:a/>`},
		{`<d:doc xmlns:d="urn:x" xmlns:d1="urn:y" xmlns:unused="urn:z"><d:a d1:b="1"/></d:doc>`, `<d:a d1:b="1"/>`},
		{`<doc xmlns:q="urn:q"><a t="q:name"/></doc>`, `<a t="q:name"/>`},
	} {
		d, err := xmltree.Parse(c.doc, xmltree.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		n := d.FirstElement(d.Root())
		item := Item{Kind: KindElement, Sel: "s", Text: d.Raw(n), Scope: scopeOf(d.AppendScope(nil, n), d.Raw(n))}
		got := valid(t, Diff{Root: "r", Items: []Item{item}}.Text()).Items[0]
		if got.Text != c.part {
			t.Errorf("%s: %s", c.doc, got.Text)
		}
		text := Diff{Root: "r", Items: []Item{item}}.Text()
		told, _ := xmltree.Parse(text, xmltree.Limits{})
		m := told.FirstElement(told.FirstElement(told.Root()))
		if told.Name(m) != d.Name(n) || strings.Contains(text, "unused") {
			t.Errorf("%s is %v in\n%s", c.doc, told.Name(m), text)
		}
		for _, b := range item.Scope {
			found := false
			for _, in := range told.AppendScope(nil, m) {
				found = found || in == b
			}
			if !found {
				t.Errorf("%s: %v is lost in\n%s", c.doc, b, text)
			}
		}
	}
}

func TestAttributesAreEscaped(t *testing.T) {
	t.Parallel()
	const value = "a<b>&\"'\r\n\tü"
	d := valid(t, Diff{Root: "r", Items: []Item{{Kind: KindAttribute, Sel: `a/@b[x="1"]`, Text: value}}}.Text())
	if got := d.Items[0]; got.Text != value || got.Sel != `a/@b[x="1"]` {
		t.Errorf("%q", got.Text)
	}
}

func TestWrongDiffs(t *testing.T) {
	t.Parallel()
	const head, tail = `<xcap-diff xmlns="urn:ietf:params:xml:ns:xcap-diff" xcap-root="r">`, `</xcap-diff>`
	for name, text := range map[string]string{
		"nothing":             ``,
		"another root":        `<xcap-diff xcap-root="r"/>`,
		"no xcap-root":        `<xcap-diff xmlns="urn:ietf:params:xml:ns:xcap-diff"/>`,
		"no sel":              head + `<document new-etag="1"/>` + tail,
		"no entity-tag":       head + `<document sel="a"/>` + tail,
		"empty entity-tag":    head + `<document sel="a" new-etag=""/>` + tail,
		"patch of a new one":  head + `<document sel="a" new-etag="1"><add sel="*"/></document>` + tail,
		"patch of a gone one": head + `<document sel="a" previous-etag="1"><body-not-changed/></document>` + tail,
		"unknown operation":   head + `<document sel="a" previous-etag="1" new-etag="2"><move sel="*"/></document>` + tail,
		"two elements":        head + `<element sel="a"><a/><b/></element>` + tail,
		"exists":              head + `<element sel="a" exists="no"/>` + tail,
		"unknown":             head + `<other sel="a"/>` + tail,
	} {
		if _, err := Parse(text); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	many := head + strings.Repeat(`<document sel="a" new-etag="1"/>`, MaxItems+1) + tail
	if _, err := Parse(many); !errors.Is(err, ErrTooBig) {
		t.Error(err)
	}
}

// RFC 5875, 4.4: what is not understood is passed over.
func TestLists(t *testing.T) {
	t.Parallel()
	const head, tail = `<resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists" xmlns:x="urn:x">`, `</resource-lists>`
	uris, err := ParseList(head + `<x:y/><list name="a" x:a="b"><display-name>N</display-name><entry uri=" a "><display-name>A</display-name></entry>` +
		`<entry-ref ref="b"/><external anchor="c"/><list><entry uri="d"/></list></list><list><entry uri="e"/></list>` + tail)
	if err != nil || fmt.Sprint(uris) != "[a e]" {
		t.Error(uris, err)
	}
	for text, want := range map[string]error{
		``: ErrMalformed,
		`<resource-lists><list><entry uri="a"/></list></resource-lists>`:                      ErrMalformed,
		head + `<list><entry/></list>` + tail:                                                 ErrMalformed,
		head + `<list><entry uri="a&#10;b"/></list>` + tail:                                   ErrMalformed,
		head + `<list><entry uri="` + strings.Repeat("a", maxURI+1) + `"/></list>` + tail:     ErrMalformed,
		head + `<list>` + strings.Repeat(`<entry uri="a"/>`, MaxEntries+1) + `</list>` + tail: ErrTooBig,
	} {
		if _, err := ParseList(text); !errors.Is(err, want) {
			t.Errorf("%.80s: %v", text, err)
		}
	}
}

func TestNothingOfDocumentsIsPrinted(t *testing.T) {
	t.Parallel()
	d := Diff{Items: []Item{{Kind: KindAttribute, Sel: "s", Text: "secret"}}}
	f := d.Render(1)
	if text := fmt.Sprintf("%v %+v %#v %v %#v %v", d, d, d, f, f, d.Items[0]); strings.Contains(text, "secret") {
		t.Error(text)
	}
}

// change is one way to change a document, and how many operations tell it.
var changeCases = []struct {
	name, before, after string
	ops                 int
}{
	{"an element at the end", "<doc>\n <a/>\n</doc>", "<doc>\n <a/><b/>\n</doc>", 1},
	{"an element and its line", "<doc>\n <a/>\n</doc>", "<doc>\n <a/>\n <b/>\n</doc>", 1},
	{"the first element", "<doc/>", "<doc><a>x</a></doc>", 1},
	{"the first element and its line", "<doc>\n</doc>", "<doc>\n <a/>\n</doc>", 1},
	{"an element before", "<doc><b/></doc>", "<doc><a/><b/></doc>", 1},
	{"an element away", "<doc>\n <a/>\n <b/>\n <c/>\n</doc>", "<doc>\n <a/>\n <c/>\n</doc>", 1},
	{"the last element away", "<doc>\n <a/>\n <b/>\n</doc>", "<doc>\n <a/>\n</doc>", 1},
	{"two elements away", "<doc>\n <a/>\n <b/>\n <c/>\n</doc>", "<doc>\n <a/>\n</doc>", 2},
	{"an attribute", `<doc><a x="1" y="2" z="3"/></doc>`, `<doc><a x="1" y="&lt;4" w="5"/></doc>`, 3},
	{"a text", "<doc><a>old</a></doc>", "<doc><a>n&amp;ew</a></doc>", 1},
	{"a text where there was none", "<doc><a/></doc>", "<doc><a>new</a></doc>", 1},
	{"no text any more", "<doc><a>old</a></doc>", "<doc><a></a></doc>", 1},
	{"deep down", "<doc><a><b><c/></b></a><a><b><c/></b></a></doc>", "<doc><a><b><c/></b></a><a><b><c/><c d='1'/></b></a></doc>", 1},
	{"several places", "<doc><a>1</a><b/><c>3</c></doc>", "<doc><a>4</a><b/><c>5</c></doc>", 2},
	{"another root", "<doc/>", "<other/>", 1},
	{"a prefix", `<doc xmlns:p="urn:p"><p:a/></doc>`, `<doc xmlns:p="urn:p"><p:a/><p:b p:c="d"/></doc>`, 1},
	{"a default namespace", `<doc xmlns="urn:p"><a/></doc>`, `<doc xmlns="urn:p"><a/><b/></doc>`, 1},
	{"our own prefix", `<doc xmlns:d="urn:p"><d:a/></doc>`, `<doc xmlns:d="urn:p"><d:a/><d:b/></doc>`, 1},
	{"a namespace more", `<doc><a/></doc>`, `<doc xmlns:p="urn:p"><a/></doc>`, 1},
	{"a comment", `<doc><a/></doc>`, `<doc><a/><!-- c --></doc>`, 1},
	{"outside of the root", `<doc/>`, `<!-- c --><doc/>`, 0},
	{"no XML", `<doc/>`, `<doc>`, 0},
}

// RFC 5874, 3: a patch turns the old version into the new one.
func TestChanges(t *testing.T) {
	t.Parallel()
	for _, c := range changeCases {
		ops := Changes(c.before, c.after)
		if len(ops) != c.ops {
			t.Errorf("%s: %d operations: %+v", c.name, len(ops), ops)
		}
		if c.ops > 0 {
			applies(t, c.before, c.after, ops)
		}
	}
}

// applies fails unless the operations make the one document of the other.
func applies(t testing.TB, before, after string, ops []Op) {
	t.Helper()
	d := valid(t, Diff{Root: "r", Items: []Item{{Sel: "x", Was: "1", Is: "2", Ops: ops}}}.Text())
	var c Copies
	c.Fetched("x", "1", before)
	if err := c.Apply(d); err != nil || c.Documents["x"].ETag != "2" {
		t.Fatalf("%v\n%s\n%s\n%s", err, before, after, d.Text())
	}
	got, err := xmltree.Parse(c.Documents["x"].Body, limits(0))
	want, _ := xmltree.Parse(after, limits(0))
	if err != nil || canonical(got) != canonical(want) {
		t.Fatalf("%v\n%s\nbecomes\n%s\nand not\n%s\nby\n%s", err, before, c.Documents["x"].Body, after, d.Text())
	}
}

// Whatever the changes are, a patch is right, or there is none.
func TestChangesOfRandomDocuments(t *testing.T) {
	t.Parallel()
	small := 0
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 1))
		text := randomDoc(r)
		for range 6 {
			next := mutate(r, text)
			if _, err := xmltree.Parse(next, limits(0)); err != nil {
				continue
			}
			if ops := Changes(text, next); ops != nil {
				applies(t, text, next, ops)
				if ops[0].Sel != root || ops[0].Name != "replace" {
					small++
				}
			} else if next != text {
				t.Errorf("no patch from\n%s\nto\n%s", text, next)
			}
			text = next
		}
	}
	if small < 500 {
		t.Error("only so many patches of parts:", small)
	}
}

var randomParts = []string{
	"<a/>", "<b x='1'>t</b>", "\n ", "<p:c/>", "<p:c p:x=\"2\"><a/>\n</p:c>", "<!-- c -->", "text", "<a xmlns='urn:own'><b/></a>",
	"<![CDATA[<]]>", "<d:e xmlns:d='urn:d'/>", "&lt;", "<?pi x?>",
}

func randomDoc(r *rand.Rand) string {
	var b strings.Builder
	b.WriteString([]string{"<doc xmlns:p='urn:p'>", "<doc xmlns='urn:x' xmlns:p='urn:p'>", "<p:doc xmlns:p='urn:p' y='1'>"}[r.IntN(3)])
	end := "</doc>"
	if strings.HasPrefix(b.String(), "<p:") {
		end = "</p:doc>"
	}
	for range r.IntN(12) {
		b.WriteString(randomParts[r.IntN(len(randomParts))])
	}
	return b.String() + end
}

// mutate changes a document somewhere; it may not be well-formed any more.
func mutate(r *rand.Rand, text string) string {
	at := strings.IndexByte(text, '>') + 1
	spots := []int{at}
	for i := at; i < len(text); i++ {
		if text[i] == '<' {
			spots = append(spots, i)
		}
	}
	i := spots[r.IntN(len(spots))]
	switch r.IntN(4) {
	case 0: // an element away
		for _, p := range randomParts {
			if strings.HasPrefix(text[i:], p) {
				return text[:i] + text[i+len(p):]
			}
		}
		fallthrough
	case 1:
		return strings.Replace(text, "x='1'", fmt.Sprintf("x='%d'", r.IntN(9)), 1)
	default:
		return text[:i] + randomParts[r.IntN(len(randomParts))] + text[i:]
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range append(vectors.Documents(f, "xcap-diff"), vectors.Documents(f, "resource-lists")...) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if uris, err := ParseList(text); err == nil && len(uris) > MaxEntries {
			t.Error(len(uris))
		}
		d, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(d.Text())
		if err != nil {
			t.Fatalf("%v\n%s", err, d.Text())
		}
		if again.Text() != d.Text() {
			t.Errorf("%s\nand then\n%s", d.Text(), again.Text())
		}
	})
}

func FuzzChanges(f *testing.F) {
	for _, c := range changeCases {
		f.Add(c.before, c.after)
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		if ops := Changes(before, after); ops != nil {
			applies(t, before, after, ops)
		}
	})
}
