package xmltree

import (
	"errors"
	"strings"
	"testing"

	"github.com/tacit-presence/tacit/rfc/vectors"
)

// patched applies the operations within a root element.
func patched(target, diff string) (string, error) {
	d, err := Parse(diff, Limits{})
	if err != nil {
		return "", err
	}
	p, err := ParsePatch(d, d.Root(), d.Space(d.Root()))
	if err != nil {
		return "", err
	}
	return p.Apply(target, Limits{})
}

func TestPatch(t *testing.T) {
	for _, tt := range []struct{ name, target, ops, want string }{
		{"nothing", `<a/>`, ``, `<a/>`},
		{"into an empty element", `<a><b x="1"/></a>`, `<add sel="a/b"><c/></add>`, `<a><b x="1"><c/></b></a>`},
		{"nothing into an empty element", `<a/>`, `<add sel="a"/>`, `<a/>`},
		{"prepend", `<a><b/></a>`, `<add sel="/a" pos="prepend">t<c/></add>`, `<a>t<c/><b/></a>`},
		{"after text", `<a>x<b/>y</a>`, `<add sel="*/text()[2]" pos="after">z<c/></add>`, `<a>x<b/>yz<c/></a>`},
		{"before text with CDATA", `<a><b/>x<![CDATA[y]]>z</a>`, `<add sel="a/text()" pos="before"><c/></add>`, `<a><b/><c/>x<![CDATA[y]]>z</a>`},
		{"text with CDATA is one", `<a>x<![CDATA[y]]>z</a>`, `<replace sel="a/text()">&lt;</replace>`, `<a>&lt;</a>`},
		{"empty text", `<a>x</a>`, `<replace sel="a/text()"/>`, `<a></a>`},
		{"attribute in single quotes", `<a x='"'/>`, `<replace sel="a/@x">'&quot;&lt;</replace>`, `<a x="'&quot;&lt;"/>`},
		{"empty attribute", `<a x='1'/>`, `<replace sel="a/@x"/>`, `<a x=""/>`},
		{"attribute xml:lang", `<a/>`, `<add sel="a" type="@xml:lang">en</add>`, `<a xml:lang="en"/>`},
		{"remove an attribute and the space before it", "<a y=''\n x='1'/>", `<remove sel="a/@x"/>`, "<a y=''/>"},
		{"comment beside the root", "<?xml version='1.0'?>\n<a/>", `<add sel="*" pos="before"><!--c--></add>`, "<?xml version='1.0'?>\n<!--c--><a/>"},
		{"comment of the document", `<!--c--><a/>`, `<remove sel="comment()"/>`, `<a/>`},
		{"the declaration is no instruction", `<?xml version="1.0"?><?p q?><a/>`, `<remove sel="processing-instruction()"/>`, `<?xml version="1.0"?><a/>`},
		{"an element on a line of its own", `<a><b/></a>`, "<replace sel='a/b'>\n  <c>\n</c>\n</replace>", "<a><c>\n</c></a>"},
		{"a comment on a line of its own", `<a><!--b--></a>`, "<replace sel='a/comment()'>\n<!-- c -->\n</replace>", `<a><!-- c --></a>`},
		{"text keeps its white space", `<a>x</a>`, `<replace sel="a/text()"> y </replace>`, `<a> y </a>`},
		{"root replaced", `<a/>`, `<replace sel="a"><b/></replace>`, `<b/>`},
		{"text of the element", `<a><b>x<c>y</c></b><b>x</b></a>`, `<remove sel="a/b[.='xy']"/>`, `<a><b>x</b></a>`},
		{"text of a child", `<a><b><c>x</c></b><b><c>&lt;</c></b></a>`, `<remove sel="a/b[c='&lt;']"/>`, `<a><b><c>x</c></b></a>`},
		{"predicates in turn", `<a><b x="1"/><b x="2"/><b x="2"/></a>`, `<remove sel="a/b[@x='2'][2]"/>`, `<a><b x="1"/><b x="2"/></a>`},
		{"predicates the other way", `<a><b x="1"/><b x="2"/><b x="2"/></a>`, `<remove sel="a/b[2][@x=&quot;2&quot;]"/>`, `<a><b x="1"/><b x="2"/></a>`},
		{"positions of each parent", `<a><b><c/></b><d><c/><c y=""/></d></a>`, `<remove sel="*/*/*[2]"/>`, `<a><b><c/></b><d><c/></d></a>`},
		{"one after the other", `<a><b/></a>`, `<add sel="a/b"><c/></add><remove sel="a/b/c"/><remove sel="a/b"/>`, `<a></a>`},
		{"white space both", "<a> <b/>\n<c/></a>", `<remove sel="a/b" ws="both"/>`, `<a><c/></a>`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := patched(tt.target, "<diff>"+tt.ops+"</diff>")
			if err != nil || got != tt.want {
				t.Errorf("got %s, %v\nwant %s", got, err, tt.want)
			}
		})
	}
}

// TestPatchPrefixes holds RFC 5261, 4.2.3.
func TestPatchPrefixes(t *testing.T) {
	for _, tt := range []struct{ name, target, diff, want string }{
		{
			"another prefix", `<r xmlns:b="foo:"/>`, `<d:d xmlns:d="d" xmlns:a="foo:"><d:add sel="r"><a:bar a:x="1"><a:c/></a:bar></d:add></d:d>`,
			`<r xmlns:b="foo:"><b:bar b:x="1"><b:c/></b:bar></r>`,
		},
		{
			"from default to prefix", `<b:r xmlns:b="foo:"/>`, `<d:d xmlns:d="d" xmlns="foo:"><d:add sel="r"><bar x="1"></bar></d:add></d:d>`,
			`<b:r xmlns:b="foo:"><b:bar x="1"></b:bar></b:r>`,
		},
		{
			"from prefix to default", `<r xmlns="foo:"/>`, `<d:d xmlns:d="d" xmlns:a="foo:"><d:add sel="a:r"><a:bar></a:bar></d:add></d:d>`,
			`<r xmlns="foo:"><bar></bar></r>`,
		},
		{
			"the same prefix first", `<r xmlns="foo:" xmlns:a="foo:"/>`, `<d:d xmlns:d="d" xmlns:a="foo:"><d:add sel="*"><a:bar/></d:add></d:d>`,
			`<r xmlns="foo:" xmlns:a="foo:"><a:bar/></r>`,
		},
		{
			"then that of the place", `<y:r xmlns:x="foo:" xmlns:y="foo:"/>`, `<d:d xmlns:d="d" xmlns:a="foo:"><d:add sel="*"><a:bar/></d:add></d:d>`,
			`<y:r xmlns:x="foo:" xmlns:y="foo:"><y:bar/></y:r>`,
		},
		{
			"then the one just before", `<r xmlns:x="foo:" xmlns:y="foo:"/>`, `<d:d xmlns:d="d" xmlns:xx="foo:"><d:add sel="*"><xx:bar/></d:add></d:d>`,
			`<r xmlns:x="foo:" xmlns:y="foo:"><x:bar/></r>`,
		},
		{
			"or the first", `<r xmlns:x="foo:" xmlns:y="foo:"/>`, `<d:d xmlns:d="d" xmlns:a="foo:"><d:add sel="*"><a:bar/></d:add></d:d>`,
			`<r xmlns:x="foo:" xmlns:y="foo:"><x:bar/></r>`,
		},
		{
			"attributes have no default", `<r xmlns="foo:" xmlns:y="foo:"/>`, `<d:d xmlns:d="d" xmlns:a="foo:"><d:add sel="*" type="@a:x">1</d:add></d:d>`,
			`<r xmlns="foo:" xmlns:y="foo:" y:x="1"/>`,
		},
		{
			"a namespace added", `<r xmlns="foo:" x=""/>`, `<d:d xmlns:d="d" xmlns="foo:"><d:add sel="r" type="namespace::p">v</d:add></d:d>`,
			`<r xmlns="foo:" xmlns:p="v" x=""/>`,
		},
		{
			"local declarations stay", `<r/>`, `<d:d xmlns:d="d"><d:add sel="r"><a:bar xmlns:a="foo:"/></d:add></d:d>`,
			`<r><a:bar xmlns:a="foo:"/></r>`,
		},
		{
			"an inner declaration hides an outer one", `<r xmlns:a="foo:"><s xmlns:a="bar:" xmlns:b="foo:"/></r>`,
			`<d:d xmlns:d="d" xmlns:a="foo:"><d:add sel="r/s"><a:x/></d:add></d:d>`,
			`<r xmlns:a="foo:"><s xmlns:a="bar:" xmlns:b="foo:"><b:x/></s></r>`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := patched(tt.target, tt.diff); err != nil || got != tt.want {
				t.Errorf("got %s, %v\nwant %s", got, err, tt.want)
			}
		})
	}
}

func TestPatchErrors(t *testing.T) {
	long := strings.Repeat("<b/>", 1000)
	for _, tt := range []struct {
		target, ops string
		want        error
	}{
		{`<a/>`, `<add sel=""/>`, ErrInvalidAttributeValue},
		{`<a/>`, `<add/>`, ErrInvalidAttributeValue},
		{`<a/>`, `<add sel="a" pos="" />`, ErrInvalidAttributeValue},
		{`<a/>`, `<add sel="a" pos="within"/>`, ErrInvalidAttributeValue},
		{`<a/>`, `<add sel="a" pos="before" type="@x">1</add>`, ErrInvalidAttributeValue},
		{`<a/>`, `<add sel="a" type="b">1</add>`, ErrInvalidAttributeValue},
		{`<a/>`, `<add sel="a" type="@x y">1</add>`, ErrInvalidAttributeValue},
		{`<a/>`, `<add sel="a" type="@xmlns">u</add>`, ErrInvalidAttributeValue},
		{`<a x="1"/>`, `<add sel="a" type="@x">1</add>`, ErrInvalidAttributeValue},
		{`<a/>`, `<add sel="a" type="@x"><![CDATA[1]]></add>`, ErrInvalidAttributeValue},
		{`<a x="1"/>`, `<add sel="a/@x">1</add>`, ErrInvalidAttributeValue},
		{`<a x="1"/>`, `<remove sel="a/@x" ws="after"/>`, ErrInvalidAttributeValue},
		{`<a/>`, `<remove sel="a" ws="all"/>`, ErrInvalidAttributeValue},
		{`<a/>`, `<remove sel="a//b"/>`, ErrInvalidAttributeValue},
		{`<a/>`, `<remove sel="a/@x/b"/>`, ErrInvalidAttributeValue},
		{`<a/>`, `<remove sel="a[b]"/>`, ErrInvalidAttributeValue},
		{`<a/>`, `<remove sel="a[@b=c]"/>`, ErrInvalidAttributeValue},
		{`<a/>`, `<remove sel="a/text()[1][1]"/>`, ErrInvalidAttributeValue},
		{`<a/>`, `<remove sel="a[99999999999999999999]"/>`, ErrInvalidAttributeValue},
		{`<a/>`, `<remove sel="a` + strings.Repeat("[1]", maxConds+1) + `"/>`, ErrInvalidAttributeValue},
		{`<a/>`, `<remove sel="` + strings.Repeat("a/", maxSelector) + `a"/>`, ErrInvalidAttributeValue},
		{`<a/>`, `<move sel="a"/>`, ErrInvalidDiffFormat},
		{`<a/>`, `text`, ErrInvalidDiffFormat},
		{`<a/>`, `<add sel="a" ws="both"/>`, ErrInvalidDiffFormat},
		{`<a><b/></a>`, `<remove sel="a/b">x</remove>`, ErrInvalidDiffFormat},
		{`<a/>`, `<remove sel="p:a"/>`, ErrInvalidNamespacePrefix},
		{`<a xmlns:p="u"><b><p:c/></b></a>`, `<add sel="a/b" type="namespace::p">v</add>`, ErrInvalidNamespacePrefix},
		{`<a xmlns:p="u"/>`, `<add sel="a" type="namespace::p">v</add>`, ErrInvalidNamespacePrefix},
		{`<a xmlns:p="u"><b p:x=""/></a>`, `<remove sel="a/namespace::p"/>`, ErrInvalidNamespacePrefix},
		{`<a xmlns:b="u"/>`, `<add sel="a" xmlns:p="u"><p:x xmlns:b="v"/></add>`, ErrInvalidNamespacePrefix},
		{`<a/>`, `<add sel="a" type="namespace::p"/>`, ErrInvalidNamespaceURI},
		{`<a/>`, `<add sel="a" xmlns:p="u"><p:x/></add>`, ErrInvalidNamespaceURI},
		{`<a/>`, `<add sel="a" xmlns:p="u"><x p:y=""/></add>`, ErrInvalidNamespaceURI},
		{`<a xmlns="u"/>`, `<add sel="*"><x/></add>`, ErrInvalidNamespaceURI},
		{`<a><b/></a>`, `<replace sel="a/b">x</replace>`, ErrInvalidNodeTypes},
		{`<a><b/></a>`, `<replace sel="a/b"><c/><c/></replace>`, ErrInvalidNodeTypes},
		{`<a><b/></a>`, `<replace sel="a/b"/>`, ErrInvalidNodeTypes},
		{`<a><b/></a>`, `<replace sel="a/b"> </replace>`, ErrInvalidNodeTypes},
		{`<a><b/></a>`, `<replace sel="a/b"> x <c/></replace>`, ErrInvalidNodeTypes},
		{`<a>x</a>`, `<replace sel="a/text()"><b/></replace>`, ErrInvalidNodeTypes},
		{`<a x=""/>`, `<replace sel="a/@x"><b/></replace>`, ErrInvalidNodeTypes},
		{`<a><!--c--></a>`, `<replace sel="a/comment()"><b/></replace>`, ErrInvalidNodeTypes},
		{`<a>x</a>`, `<add sel="a/text()"><b/></add>`, ErrInvalidPatchDirective},
		{`<a>]]<b/>&gt;</a>`, `<replace sel="a/b"><b/></replace><add sel="a/b" pos="before">></add>`, ErrInvalidPatchDirective},
		{`<a/>`, `<remove sel="a"/>`, ErrInvalidRootElementOperation},
		{`<a/>`, `<add sel="a" pos="after"><b/></add>`, ErrInvalidRootElementOperation},
		{`<a/>`, `<add sel="a" pos="after">x</add>`, ErrInvalidXMLPrologOperation},
		{`<a><b/></a>`, `<remove sel="a/b" ws="before"/>`, ErrInvalidWhitespaceDirective},
		{`<a><b/> x</a>`, `<remove sel="a/b" ws="after"/>`, ErrInvalidWhitespaceDirective},
		{"<!--c-->\n<a/>", `<remove sel="comment()" ws="after"/>`, ErrInvalidWhitespaceDirective},
		{`<a/>`, `<remove sel="b"/>`, ErrUnlocatedNode},
		{`<a xmlns="u"/>`, `<remove sel="a"/>`, ErrUnlocatedNode},
		{`<a><b/><b/></a>`, `<remove sel="a/b"/>`, ErrUnlocatedNode},
		{`<a><b/></a>`, `<remove sel="a/b[0]"/>`, ErrUnlocatedNode},
		{`<a x="1"/>`, `<remove sel="a/namespace::x"/>`, ErrUnlocatedNode},
		{`<?xml version="1.0"?><a/>`, `<remove sel="processing-instruction('xml')"/>`, ErrUnlocatedNode},
		{`<a id="x"/>`, `<remove sel="id('x')"/>`, ErrUnsupportedIDFunction},
		{`<a/>`, `<add sel="a[*='y']"/>`, ErrInvalidAttributeValue},
		{`<a>` + strings.Repeat(long, 15) + `</a>`, strings.Repeat(`<add sel="a/b[1][1][1][1][1][1][1][1][1]"/>`, 100), ErrTooLarge},
		{`<a>` + strings.Repeat("x", 200<<10) + `</a>`, `<add sel="a">` + strings.Repeat("x", 100<<10) + `</add>`, ErrTooLarge},
	} {
		got, err := patched(tt.target, "<diff>"+tt.ops+"</diff>")
		if !errors.Is(err, tt.want) {
			t.Errorf("%.80s to %.80s: got %.80s, %v; want %v", tt.ops, tt.target, got, err, tt.want)
		}
	}
}

// TestPatchGrowth holds that prefixes of the document, which may be long, do not
// swell what is added beyond the limits.
func TestPatchGrowth(t *testing.T) {
	target := `<a xmlns:` + strings.Repeat("p", 1000) + `="u"/>`
	diff := `<diff xmlns:q="u"><add sel="a">` + strings.Repeat("<q:b/>", 16000) + "</add></diff>"
	if _, err := patched(target, diff); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}

// FuzzPatch holds that a patch of any diff either fails or makes a document, and
// that a selector that is read finds one node or none.
func FuzzPatch(f *testing.F) {
	for _, v := range vectors.Matching(f, "rfc5261/*") {
		f.Add(v.Text("target"), v.Text("diff"))
	}
	f.Add(`<a xmlns:b="u"><b x='1'>t<![CDATA[u]]></b></a>`, `<d xmlns:p="u"><add sel="a/b[.='tu']" pos="before"><p:c p:d="1"/>x</add><remove sel="*/*[2]/text()[1]"/></d>`)
	f.Fuzz(func(t *testing.T, target, diff string) {
		lim := Limits{MaxBytes: 1 << 12}
		d, err := Parse(diff, lim)
		if err != nil {
			return
		}
		p, err := ParsePatch(d, d.Root(), d.Space(d.Root()))
		if err != nil {
			if _, ok := errors.AsType[PatchError](err); !ok {
				t.Fatalf("an error without condition: %v", err)
			}
			return
		}
		got, err := p.Apply(target, lim)
		if err != nil {
			return
		}
		if _, err := Parse(got, lim); err != nil {
			t.Fatalf("made %q: %v", got, err)
		}
		if p.Len() == 0 && got != target {
			t.Fatalf("nothing made %q of %q", got, target)
		}
	})
}
