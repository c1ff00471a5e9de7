package xcap

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tacit-presence/tacit/schema"
	"github.com/tacit-presence/tacit/xmltree"
)

func parse(t testing.TB, text string) *xmltree.Doc {
	t.Helper()
	d, err := xmltree.Parse(text, xmltree.Limits{})
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return d
}

func selector(t testing.TB, node string, bindings ...xmltree.Binding) *Selector {
	t.Helper()
	s, err := ParseSelector(node, "", bindings)
	if err != nil {
		t.Fatalf("%v in %s", err, node)
	}
	return s
}

var lim = xmltree.DefaultLimits()

func TestGet(t *testing.T) {
	t.Parallel()
	d := parse(t, `<r><a x="1" y='&lt;"'/><!--c--><b xml:lang="de" p:q="2" xmlns:p="urn:p"><a/></b><a x="a&amp;b/&#39;"/>t<p:a xmlns:p="urn:p"/></r>`)
	for node, want := range map[string]string{
		"r/a[1]":                         `<a x="1" y='&lt;"'/>`,
		"r/a[01]":                        `<a x="1" y='&lt;"'/>`,
		`r/a[@x="1"]`:                    `<a x="1" y='&lt;"'/>`,
		`r/a[@y="&lt;&quot;"]/@x`:        `"1"`,
		`r/a[@y='&lt;"']/@y`:             `'&lt;"'`,
		`r/*[4]`:                         `<p:a xmlns:p="urn:p"/>`,
		`r/z:a`:                          `<p:a xmlns:p="urn:p"/>`,
		`r/*[3]/@x`:                      `"a&amp;b/&#39;"`,
		`r/a[@x="a&amp;b/'"]/@x`:         `"a&amp;b/&#39;"`,
		`r/a[2][@x="a&amp;b/&#x27;"]`:    `<a x="a&amp;b/&#39;"/>`,
		`r/*[@xml:lang='de']/a`:          `<a/>`,
		`r/b/@z:q`:                       `"2"`,
		`r/*[@z:q='2']/@xml:lang`:        `"de"`,
		`r/b/a/namespace::*`:             `<a xmlns:p="urn:p"/>`,
		`*/b/a`:                          `<a/>`,
		`r/a`:                            "",
		`r/*`:                            "",
		`r/a[3]`:                         "",
		`r/a[0]`:                         "",
		`r/a[1][@x="2"]`:                 "",
		`r/a[99999999999999999999]`:      "",
		`r/b/@q`:                         "",
		`r/b/@lang`:                      "",
		`a`:                              "",
		`r/r`:                            "",
		`r/*[@xmlns='urn:p']`:            "",
		`r/b/@xmlns`:                     "",
		`r/a[@x="1"]/a/b/c/namespace::*`: "",
	} {
		s := selector(t, node, xmltree.Binding{Prefix: "z", Space: "urn:p"})
		if got, ok := s.Get(d); got != want || ok != (want != "") || ok != s.Exists(d) {
			t.Errorf("%s: %q, %v, want %q", node, got, ok, want)
		}
		if s.String() != node {
			t.Errorf("%s became %s", node, s)
		}
	}
}

func TestPut(t *testing.T) {
	t.Parallel()
	z := xmltree.Binding{Prefix: "z", Space: "urn:z"}
	const q = `<p:r xmlns:p="urn:p" xmlns:z="urn:y"><e  a="1"	b='2' /></p:r>`
	for i, c := range []struct{ doc, node, body, want string }{
		// Elements.
		{`<r/>`, `r/a`, `<a/>`, `<r><a/></r>`},
		{`<r />`, `r/a`, "\n<a>x</a>\n", `<r ><a>x</a></r>`},
		{`<r></r>`, `r/*[1]`, `<a/>`, `<r><a/></r>`},
		{`<r> x <!--c--> </r>`, `r/a`, `<a/>`, `<r> x <!--c--> <a/></r>`},
		{`<r><a/> <b/> <a/> <c/> </r>`, `r/a[@x="1"]`, `<a x="1"/>`, `<r><a/> <b/> <a/><a x="1"/> <c/> </r>`},
		{`<r><a/> <b/> </r>`, `r/*[3]`, `<c/>`, `<r><a/> <b/><c/> </r>`},
		{`<r> <a/> <b/> </r>`, `r/*[1][@x="1"]`, `<b x="1"/>`, `<r> <b x="1"/><a/> <b/> </r>`},
		{`<r><a/></r>`, `r/a`, `<a>&lt;</a>`, `<r><a>&lt;</a></r>`},
		{`<r><a/></r>`, `r`, `<r>new</r>`, `<r>new</r>`},
		{`<?x?><r/><!--c-->`, `r`, `<r>new</r>`, `<?x?><r>new</r><!--c-->`},
		{`<r xmlns:p="urn:z"/>`, `r/z:a`, `<p:a/>`, `<r xmlns:p="urn:z"><p:a/></r>`},
		{`<r/>`, `r/z:a`, `<a xmlns="urn:z"/>`, `<r><a xmlns="urn:z"/></r>`},
		{`<p:r xmlns:p="urn:z"/>`, `z:r/z:a`, `<p:a/>`, `<p:r xmlns:p="urn:z"><p:a/></p:r>`},
		// Attributes.
		{`<r a="1"/>`, `r/@a`, `'2'`, `<r a='2'/>`},
		{`<r a = "1"/>`, `r/@a`, `"&lt;"`, `<r a = "&lt;"/>`},
		{`<r a="1"/>`, `r/@b`, `""`, `<r b="" a="1"/>`},
		{`<r/>`, `r/@b`, `'"'`, `<r b='"'/>`},
		{`<r xmlns:p="urn:z"/>`, `r/@z:a`, `"1"`, `<r p:a="1" xmlns:p="urn:z"/>`},
		{`<r xmlns="urn:z"/>`, `z:r/@z:a`, `"1"`, `<r xmlns:z="urn:z" z:a="1" xmlns="urn:z"/>`},
		{`<r xmlns:z="urn:y"/>`, `r/@z:a`, `"1"`, `<r xmlns:n1="urn:z" n1:a="1" xmlns:z="urn:y"/>`},
		{`<r/>`, `r/@xml:lang`, `"de"`, `<r xml:lang="de"/>`},
		{q, `q:r/e/@b`, `"3"`, strings.Replace(q, `'2'`, `"3"`, 1)},
	} {
		d := parse(t, c.doc)
		s := selector(t, c.node, z, xmltree.Binding{Prefix: "q", Space: "urn:p"})
		got, err := s.Put(d, c.body, lim)
		if err != nil || got.Doc.Source() != c.want {
			t.Errorf("%d: %s in %s: %v, %v\nwant %s", i, c.node, c.doc, got, err, c.want)
			continue
		}
		if d.Source() != c.doc {
			t.Errorf("%d: the old document changed", i)
		}
	}
}

func TestPutRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		doc, node, body string
		want            Reason
	}{
		{`<r/>`, `s/a`, `<a/>`, NoParent},
		{`<r><a/><a/></r>`, `r/a/b`, `<b/>`, NoParent},
		{`<r/>`, `s/@a`, `"1"`, NoParent},
		{`<r/>`, `r/a/@b`, `"1"`, NoParent},
		{`<r/>`, `s`, `<s/>`, CannotInsert},
		{`<r/>`, `r`, `<s/>`, CannotInsert},
		{`<r/>`, `r/a`, `<b/>`, CannotInsert},
		{`<r/>`, `r/a[2]`, `<a/>`, CannotInsert},
		{`<r/>`, `r/a[0]`, `<a/>`, CannotInsert},
		{`<r/>`, `r/*[2]`, `<a/>`, CannotInsert},
		{`<r/>`, `r/a[@x="1"]`, `<a x="2"/>`, CannotInsert},
		{`<r><a/><a/></r>`, `r/a`, `<a/>`, CannotInsert},
		{`<r><a x="1"/></r>`, `r/a[@x="1"]`, `<a/>`, CannotInsert},
		{`<r><a x="1"/></r>`, `r/a[@x="1"]/@x`, `"2"`, CannotInsert},
		{`<r/>`, `r/@xmlns`, `"urn:x"`, CannotInsert},
		{`<r/>`, `r/a`, `<a xmlns="urn:x"/>`, CannotInsert},
		{`<r xmlns="urn:x"/>`, `x:r/a`, `<a/>`, CannotInsert},
		{`<r/>`, `r/namespace::*`, `<r/>`, CannotInsert},
		{`<r/>`, `r/a`, ``, NotXMLFragment},
		{`<r/>`, `r/a`, `text`, NotXMLFragment},
		{`<r/>`, `r/a`, `<a/>text`, NotXMLFragment},
		{`<r/>`, `r/a`, `<a/><!--c-->`, NotXMLFragment},
		{`<r/>`, `r/a`, `<a/><a/>`, NotXMLFragment},
		{`<r/>`, `r/a`, `<a>`, NotXMLFragment},
		{`<r/>`, `r/a`, `</f><f>`, NotXMLFragment},
		{`<r/>`, `r/a`, `<a/></f><f><a/>`, NotXMLFragment},
		{`<r/>`, `r/a`, `<a/></f><!--`, NotXMLFragment},
		{`<r/>`, `r/a`, `<p:a/>`, NotXMLFragment},
		{`<r/>`, `r/a`, `<?xml version="1.0"?><a/>`, NotXMLFragment},
		{`<r/>`, `r/a`, "<a>\x00</a>", NotXMLFragment},
		{`<r/>`, `r/a`, "<a>\xff</a>", NotUTF8},
		{`<r/>`, `r/a`, `<!DOCTYPE a><a/>`, NotXMLFragment},
		{`<r/>`, `r/a`, `<a>&x;</a>`, NotXMLFragment},
		{`<r/>`, `r/a`, strings.Repeat("<a>", 70) + strings.Repeat("</a>", 70), ConstraintFailed},
		{`<r/>`, `r/@a`, ``, NotAttributeValue},
		{`<r/>`, `r/@a`, `"&x;"`, NotAttributeValue},
		{`<r/>`, `r/@n:a`, `"1"`, CannotInsert},
		{`<r/>`, `r/@a`, `"`, NotAttributeValue},
		{`<r/>`, `r/@a`, `1`, NotAttributeValue},
		{`<r/>`, `r/@a`, `"1'`, NotAttributeValue},
		{`<r/>`, `r/@a`, `"1" b="2"`, NotAttributeValue},
		{`<r/>`, `r/@a`, `"1"/><r a="2"`, NotAttributeValue},
		{`<r/>`, `r/@a`, `"<"`, NotAttributeValue},
		{`<r/>`, `r/@a`, `"&"`, NotAttributeValue},
		{`<r/>`, `r/@a`, "\"1\"\n", NotAttributeValue},
		{`<r/>`, `r/@a`, "\"\x01\"", NotAttributeValue},
		{`<r/>`, `r/@a`, "\"\xff\"", NotUTF8},
	} {
		s := selector(t, c.node, xmltree.Binding{Prefix: "x", Space: "urn:x"}, xmltree.Binding{Prefix: "n", Space: xmltree.XMLNSSpace})
		got, err := s.Put(parse(t, c.doc), c.body, lim)
		if e, ok := errors.AsType[*Conflict](err); !ok || e.Reason != c.want {
			t.Errorf("%s in %s with %.40q: %v, %v, want %s", c.node, c.doc, c.body, got, err, c.want)
		}
	}
	small := xmltree.Limits{MaxBytes: 20}
	for node, body := range map[string]string{"r/a": "<a>0123456789abc</a>", "r/b": "<b>0123456789abcdef</b>", "r/@a": `"0123456789abcdef0"`, "r/@b": `"0123456789ab"`} {
		if _, err := selector(t, node).Put(parse(t, "<r c='d'/>"), body, small); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", node, err)
		}
	}
	if _, err := ParseDocument("<r>0123456789abcdef</r>", small); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ doc, node, want string }{
		{`<r> <a/> </r>`, `r/a`, `<r>  </r>`},
		{`<r><a/><a/></r>`, `r/a[2]`, `<r><a/></r>`},
		{`<r><a/><b/></r>`, `r/*[2]`, `<r><a/></r>`},
		{`<r><a x="1"/><a/></r>`, `r/a[1][@x="1"]`, `<r><a/></r>`},
		{"<r  a='1'\tb='2' />", `r/@a`, "<r\tb='2' />"},
		{"<r  a='1'\tb='2' />", `r/@b`, "<r  a='1' />"},
		{`<r xmlns:p="urn:x" p:a="1"/>`, `r/@x:a`, `<r xmlns:p="urn:x"/>`},
		{`<r><a x="1"/></r>`, `r/a[@x="1"]/@x`, `<r><a/></r>`},
		{`<r><a/><a/></r>`, `r/a[1]`, string(CannotDelete)},
		{`<r><a/><b/></r>`, `r/*[1]`, string(CannotDelete)},
		{`<r><a/><a/><a/></r>`, `r/a[2]`, string(CannotDelete)},
		{`<r><a/></r>`, `r`, string(SchemaInvalid)},
		{`<r><a/></r>`, `r/namespace::*`, string(CannotDelete)},
		{`<r><a/></r>`, `r/b`, ""},
		{`<r><a/><a/></r>`, `r/a`, ""},
		{`<r/>`, `r/@a`, ""},
		{`<r/>`, `s/@a`, ""},
	} {
		got, err := selector(t, c.node, xmltree.Binding{Prefix: "x", Space: "urn:x"}).Delete(parse(t, c.doc), lim)
		switch e, ok := errors.AsType[*Conflict](err); {
		case ok && string(e.Reason) == c.want, c.want == "" && errors.Is(err, ErrNotFound):
		case err != nil || got.Doc.Source() != c.want:
			t.Errorf("%s in %s: %v, %v, want %s", c.node, c.doc, got.Doc, err, c.want)
		}
	}
}

// random makes documents and selectors of few names, so that they often meet.
type random struct{ *rand.Rand }

func (r random) pick(list ...string) string { return list[r.IntN(len(list))] }

func (r random) attrs() string {
	var b strings.Builder
	for _, name := range []string{"x", "y", "p:x"} {
		if r.IntN(3) == 0 {
			b.WriteString(r.pick(" ", "\n  ") + name + r.pick(`="1"`, `='2'`, `="a&amp;b"`))
		}
	}
	return b.String()
}

func (r random) element(depth int) string {
	name := r.pick("a", "b", "p:a")
	head := "<" + name + r.attrs()
	if r.IntN(8) == 0 {
		head += ` xmlns="urn:p"`
	}
	if r.IntN(4) == 0 {
		return head + r.pick("/>", " />")
	}
	var b strings.Builder
	b.WriteString(head + ">")
	for range r.IntN(5) {
		if r.IntN(2) == 0 || depth == 0 {
			b.WriteString(r.pick("\n ", "text", "<!--c-->", "<?pi x?>", "<![CDATA[<]]>", "&amp;"))
		} else {
			b.WriteString(r.element(depth - 1))
		}
	}
	return b.String() + "</" + name + ">"
}

func (r random) document() string {
	root := r.element(3)
	i := strings.IndexAny(root, " \n/>")
	return r.pick("", `<?xml version="1.0"?>`, "<!--c-->\n") + root[:i] + ` xmlns:p="urn:p"` + root[i:] + r.pick("", "\n")
}

func (r random) step() string {
	s := r.pick("a", "b", "z:a", "*", "a", "*")
	if r.IntN(3) == 0 {
		s += fmt.Sprintf("[%d]", r.IntN(4))
	}
	if r.IntN(3) == 0 {
		s += "[@" + r.pick("x", "y", "z:x") + "=" + r.pick(`"1"`, `"2"`, `'a&amp;b'`) + "]"
	}
	return s
}

func (r random) selector() string {
	s := r.pick("a", "b", "z:a", "*", "*")
	for range r.IntN(4) {
		s += "/" + r.step()
	}
	if r.IntN(4) == 0 {
		s += "/@" + r.pick("x", "y", "z:x")
	}
	return s
}

func (r random) body(s *Selector) string {
	if s.terminal == oneAttribute {
		return r.pick(`"1"`, `'2'`, `"&lt;"`, `""`)
	}
	return r.element(1)
}

// TestEditsAreIdempotent holds that what a PUT put a GET gives back, that the
// same PUT again changes nothing, that after a DELETE there is nothing, and that
// no other byte changes.
func TestEditsAreIdempotent(t *testing.T) {
	t.Parallel()
	r := random{rand.New(rand.NewPCG(1, 2))}
	created, replaced, deleted := 0, 0, 0
	for range 60000 {
		text, node := r.document(), r.selector()
		d := parse(t, text)
		s := selector(t, node, xmltree.Binding{Prefix: "z", Space: "urn:p"})
		body := r.body(s)
		existed := s.Exists(d)
		put, err := s.Put(d, body, lim)
		if err == nil {
			if put.Created {
				created++
			} else {
				replaced++
			}
			if put.Created == existed {
				t.Fatalf("created %v, existed %v: %s in %s", put.Created, existed, node, text)
			}
			checkPut(t, s, text, body, put)
			if put.Created && s.terminal == wholeElement {
				if want := wherePut(t, s, d, body); want != put.Doc.Source() {
					t.Fatalf("%s with %s in\n%s\nbecame\n%s\nwant\n%s", node, body, text, put.Doc.Source(), want)
				}
			}
		} else if _, ok := errors.AsType[*Conflict](err); !ok {
			t.Fatalf("%v: %s in %s", err, node, text)
		}
		gone, err := s.Delete(d, lim)
		if existed == errors.Is(err, ErrNotFound) {
			t.Fatalf("%v: %s in %s", err, node, text)
		}
		if err != nil {
			continue
		}
		deleted++
		if _, err := s.Delete(gone.Doc, lim); !errors.Is(err, ErrNotFound) {
			t.Fatalf("%v: %s is still in %s", err, node, gone.Doc.Source())
		}
	}
	if created < 1000 || replaced < 1000 || deleted < 1000 {
		t.Errorf("%d created, %d replaced, %d deleted: the test meets too few", created, replaced, deleted)
	}
}

func checkPut(t *testing.T, s *Selector, text, body string, put Edited) {
	t.Helper()
	result := put.Doc.Source()
	if got, ok := s.Get(put.Doc); !ok || got != body {
		t.Fatalf("%s: got %q, put %q: %s", s, got, body, result)
	}
	again, err := s.Put(put.Doc, body, lim)
	if err != nil || again.Created || again.Doc.Source() != result {
		t.Fatalf("%s: %v: %s became %s", s, err, result, again.Doc.Source())
	}
	// What precedes and what follows is as before.
	before := 0
	for before < len(text) && before < len(result) && text[before] == result[before] {
		before++
	}
	after := 0
	for after < len(text)-before && after < len(result)-before && text[len(text)-1-after] == result[len(result)-1-after] {
		after++
	}
	if changed := result[before : len(result)-after]; put.Created && len(changed) > len(body)+len(` xmlns:n1="urn:p" p:x=></p:a>`) {
		t.Fatalf("%s: %q was inserted for %q in %s", s, changed, body, text)
	}
}

// wherePut inserts body at each place of its parent in turn, and takes the one
// that RFC 4825, 8.2.3 describes: written from its text, slowly.
func wherePut(t *testing.T, s *Selector, d *xmltree.Doc, body string) string {
	t.Helper()
	parent, _ := walk(d, s.parent())
	st := s.steps[len(s.steps)-1]
	src, inner, whole := d.Source(), d.Inner(parent), d.Span(parent)
	if inner.Start == whole.End {
		name := src[whole.Start+1 : d.NameEnd(parent)]
		return src[:whole.End-2] + ">" + body + "</" + name + ">" + src[whole.End:]
	}
	places := []int{inner.Start}
	for n := d.FirstChild(parent); n != xmltree.None; n = d.Next(n) {
		places = append(places, d.Span(n).End)
	}
	first, last, alone := "", "", true
	for _, at := range places {
		result := src[:at] + body + src[at:]
		r := parse(t, result)
		n, ok := s.element(r)
		if !ok || r.Span(n).Start != at {
			continue
		}
		same := false
		for sib := r.NextElement(n); sib != xmltree.None; sib = r.NextElement(sib) {
			same = same || r.Name(sib) == r.Name(n)
		}
		for sib := r.FirstElement(r.Parent(n)); sib != xmltree.None; sib = r.NextElement(sib) {
			alone = alone && (sib == n || st.position == noPosition && r.Name(sib) != r.Name(n) || st.position != noPosition && !st.fits(r, sib))
		}
		if st.position == noPosition && same {
			continue
		}
		if first == "" {
			first = result
		}
		last = result
	}
	// The earliest place, but the last for who is alone of his name, and for the
	// first position just before what had it.
	if alone || st.position == 1 {
		return last
	}
	return first
}

func TestReports(t *testing.T) {
	t.Parallel()
	valid := schema.XCAPError()
	for _, c := range []*Conflict{
		conflict(NotWellFormed, ""), conflict(NotXMLFragment, `<"&`), conflict(SchemaInvalid, "x"), conflict(NotAttributeValue, "x"),
		conflict(CannotInsert, "x"), conflict(CannotDelete, "x"), conflict(ConstraintFailed, "\x00\xff"), conflict(NotUTF8, "x"),
		{Reason: NoParent}, {Reason: NoParent, Ancestor: "http://x/?a=b&c", Phrase: "p"},
		{Reason: NotUnique, Exists: []Exists{{Field: "a/@b"}, {Field: "a", Alternatives: []string{"<", "y"}}}},
		{Reason: Extension, Phrase: "left out", Content: `<x xmlns="urn:x"/>`},
	} {
		if err := valid(parse(t, c.Report())); err != nil {
			t.Errorf("%v: %v\n%s", c, err, c.Report())
		}
	}
}

func TestField(t *testing.T) {
	t.Parallel()
	d := parse(t, `<a xmlns="urn:a" xmlns:b="urn:(b)"><b:c/><d/><b:c><e b:f="1" xml:lang="x"/></b:c></a>`)
	var e xmltree.Node
	for n := range d.Len() {
		if d.Local(xmltree.Node(n)) == "e" {
			e = xmltree.Node(n)
		}
	}
	got := Field(d, e, &xmltree.Name{Space: "urn:(b)", Local: "f"}, "urn:a")
	if want := "a/n1:c%5B2%5D/e/@n1:f?xmlns(n1=urn:%5E(b%5E))"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	target, err := ParseTarget("", "/x/users/y/z/~~/"+got)
	if err != nil {
		t.Fatal(err)
	}
	bindings, err := ParseBindings(target.Query)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ParseSelector(target.Node, "urn:a", bindings)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := s.Get(d); !ok || got != `"1"` {
		t.Errorf("%q, %v", got, ok)
	}
	if got := Field(d, e, &xmltree.Name{Space: xmltree.XMLSpace, Local: "lang"}, "urn:a"); !strings.HasSuffix(got, "/e/@xml:lang?xmlns(n1=urn:%5E(b%5E))") {
		t.Error(got)
	}
}
