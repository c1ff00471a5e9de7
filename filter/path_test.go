package filter

import (
	"errors"
	"strings"
	"testing"

	"github.com/tacit-presence/tacit/xmltree"
)

const sample = `<a xmlns:n="urn:n" k="0"><b i="1"><c>one</c><c>two</c></b><b i="2"><n:c>three</n:c><q><b i="3"><c> 5 </c></b></q></b><a><q><z i="4">x<!-- y -->y</z></q><w><q><z i="5"/></q></w></a></a>`

// selected lists what a path selects, by i or by text.
func selected(t testing.TB, doc *xmltree.Doc, expression string) string {
	t.Helper()
	p, err := parsePath(expression, map[string]string{"n": "urn:n", "m": "urn:m"})
	if err != nil {
		return "bad"
	}
	left := maxVisits
	e := evaluation{doc: doc, left: &left}
	var list []string
	last := xmltree.Document
	for _, n := range e.elements(p) {
		if n <= last {
			t.Errorf("%s: not in order, or twice", expression)
		}
		last = n
		if p.attr != nil {
			if v, ok := e.attr(n, *p.attr); ok {
				list = append(list, "@"+v)
			}
			continue
		}
		if v, ok := doc.Attr(n, "", "i"); ok {
			list = append(list, v)
		} else {
			list = append(list, strings.TrimSpace(e.text(n)))
		}
	}
	return strings.Join(list, ",")
}

func TestPath(t *testing.T) {
	t.Parallel()
	doc := tree(t, sample)
	for expression, want := range map[string]string{
		"/a/b": "1,2", "//b": "1,2,3", " / a / b ": "1,2", "/b": "", "/*": "onetwothree 5 xy", "/a/*/c": "one,two", "//c": "one,two,5",
		"//n:c": "three", "//m:c": "", "//b/@i": "@1,@2,@3", "//@k": "@0", "/a/@k": "@0", "//b//c": "one,two,5", "//a//z": "4,5", "//a/q//z": "4", "//*/q//*": "3,5,4,5",
		`//b[@i="2"]`: "2", `//b[@i=2]`: "2", `//b[@i="2.0"]`: "", `//b[@i=2.0]`: "2", `//b[@i>1]`: "2,3", `//b[@i<"2"]`: "1", `//b[@i>=2]`: "2,3", `//b[@i<=1]`: "1", `//b[@i!=2]`: "1,3", `//b[@i!="2"]`: "1,3",
		`//b[c="two"]`: "1", `//b[c!="two"]`: "1,3", `//b[c]`: "1,3", `//b[@j]`: "", `//b[@i]`: "1,2,3", `//c[.=5]`: "5", `//c[.="5"]`: "5", `//c[.='two']`: "two",
		`//c[../@i="3"]`: "5", `//q[..="xy"]`: "xy", `//b[*/b/c=5]`: "2", `//b[./c="one"]`: "1", `//b[*="one"]`: "1", `//b[*/@i=3]`: "", `//q[*/@i=3]`: "5",
		`//b[@i=1 or @i=2 and @i=3]`: "1", `//b[@i=1 and @i=3 or @i=2]`: "2", `//b[@i=1 and @i=1 and c="one" or @i=9]`: "1", `//b[@i=3 or @i=1]/c`: "one,two,5", `//z[.="xy"]`: "4",
		`/a[..="x"]`: "", `//b[c<2]`: "", `//b[c>4]`: "3",
		`//b[@i="1"or @i="2"]`: "1,2", `//b[ @i = "1" ]`: "1", `//b[@i=-1]`: "", `//b[@i="a]b"]`: "",
	} {
		if got := selected(t, doc, expression); got != want {
			t.Errorf("%s: %q, want %q", expression, got, want)
		}
	}
	for _, expression := range []string{
		"", "/", "//", "///a", "a", "a/b", "/a/", "/a//", "/@k/b", "/@", "/@k", "/a[", "/a[]", "/a[b", "/a[b=]", "/a[b=c]", "/a[b='c]", "/a[b='c' and]", "/a[b='c' xor d='e']",
		"/a[1]", "/a[b]['c']", "/a[b][c]", "/a[//b]", "/a[/b]", "/a[not(b)]", "/a[count(b)=1]", "/a|/b", "/n:", "/n:*", "/:a", "/n:a:b", "/a b", "/x:a", "/a[x:b=1]", "/a[@x:b=1]", "/a::b", "/child::a",
		"/..", "/.", "/a/..", "/a[b=1e999]", "/a[b=0x1]", "/a[b='c'andd]", "/a\x00", "/\xff", "/a[@b/c]",
		"/" + strings.Repeat("a", maxExpression), strings.Repeat("/a", maxSteps+1), "/a[" + strings.Repeat("b/", maxSteps) + "b]", "/a[b" + strings.Repeat(" or b", maxTerms) + "]",
	} {
		p, err := parsePath(expression, map[string]string{"n": "urn:n"})
		if !errors.Is(err, ErrFilter) || p != nil {
			t.Errorf("%q: %v", expression, err)
		}
	}
}

// TestListed has the references that RFC 4661, 5 lists: without prefixes they
// select what has no namespace.
func TestListed(t *testing.T) {
	t.Parallel()
	doc := tree(t, `<presence><tuple i="1"><status><basic>open</basic></status><type>device</type></tuple><tuple i="2"><status><basic>closed</basic></status><type>device</type></tuple></presence>`)
	winfo := tree(t, `<list><watcher i="1" duration-subscribed="400" event="rejected"/><watcher i="2" duration-subscribed="500" event="x"/></list>`)
	for expression, want := range map[string]string{
		`/presence/tuple/status/basic`: "open,closed", `//tuple/status/basic`: "open,closed",
		`//*[status/basic="open"]`: "1", `/presence/tuple[*/basic="open"]`: "1", `//tuple[status/basic="open" and type="device"]`: "1",
	} {
		if got := selected(t, doc, expression); got != want {
			t.Errorf("%s: %s", expression, got)
		}
	}
	for expression, want := range map[string]string{
		`/*/watcher`: "1,2", `//watcher[@duration-subscribed<500]`: "1", `/*/watcher[@event="rejected"]`: "1", `//watcher/@duration-subscribed`: "@400,@500",
	} {
		if got := selected(t, winfo, expression); got != want {
			t.Errorf("%s: %s", expression, got)
		}
	}
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{"//b[@i=1 or ../n:c!='x' and .<5]/@k", "/a/*//n:c", "//*[*/b/@i>=2]", "//@i"} {
		f.Add(s, sample)
	}
	f.Fuzz(func(t *testing.T, expression, document string) {
		p, err := parsePath(expression, map[string]string{"n": "urn:n"})
		if err != nil {
			if !errors.Is(err, ErrFilter) {
				t.Fatal(err)
			}
			return
		}
		e, ok := evaluate(document)
		if !ok {
			return
		}
		last := xmltree.Document
		for _, n := range e.elements(p) {
			if n <= last || e.doc.Kind(n) != xmltree.KindElement {
				t.Fatalf("%q selects %d after %d", expression, n, last)
			}
			last = n
		}
	})
}
