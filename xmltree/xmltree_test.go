package xmltree

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func parse(t testing.TB, src string) *Doc {
	t.Helper()
	d, err := Parse(src, Limits{})
	if err != nil {
		t.Fatalf("%q: %v", src, err)
	}
	return d
}

func TestTree(t *testing.T) {
	t.Parallel()
	src := "\ufeff<?xml version='1.0' encoding=\"utf-8\" standalone='yes' ?>\r\n<!-- c -->" +
		"<a:r xmlns:a='urn:a' xmlns='urn:d' x=\"1\" a:x='2 &lt;&#65;&#x42;\t\r\n&quot;' xml:lang=\"en\">\n" +
		"<e>one &amp; <!-- no -->two<![CDATA[ <three> & ]]>\r\n</e><a:f/><?pi x?>" +
		"<g xmlns=''><h xmlns=\"urn:h\"/><é.ü-·/></g></a:r>\n<?end?> "
	d := parse(t, src)
	root := d.Root()
	if got := d.Name(root); got != (Name{"urn:a", "r"}) || d.Prefix(root) != "a" {
		t.Errorf("root %v %q", got, d.Prefix(root))
	}
	for _, a := range []struct{ space, local, want string }{{"", "x", "1"}, {"urn:a", "x", "2 <AB  \""}, {XMLSpace, "lang", "en"}} {
		if got, ok := d.Attr(root, a.space, a.local); !ok || got != a.want {
			t.Errorf("attribute %s %s: %q %v, want %q", a.space, a.local, got, ok, a.want)
		}
	}
	if _, ok := d.Attr(root, "urn:d", "x"); ok {
		t.Error("the default namespace reaches an attribute")
	}
	e := d.FirstElement(root)
	if !d.Is(e, "urn:d", "e") || d.Text(e) != "one & two <three> & \n" {
		t.Errorf("e: %v %q", d.Name(e), d.Text(e))
	}
	f := d.NextElement(e)
	if !d.Is(f, "urn:a", "f") || d.Raw(f) != "<a:f/>" || d.Inner(f) != (Span{d.Span(f).End, d.Span(f).End}) || d.Text(f) != "" {
		t.Errorf("f: %v %q", d.Name(f), d.Raw(f))
	}
	g := d.NextElement(f)
	h := d.FirstElement(g)
	if !d.Is(g, "", "g") || !d.Is(h, "urn:h", "h") || !d.Is(d.NextElement(h), "", "é.ü-·") || d.NextElement(g) != None {
		t.Errorf("g: %v, h: %v", d.Name(g), d.Name(h))
	}
	if d.Parent(h) != g || d.After(g) != d.Next(root) || d.Kind(d.After(h)) != KindElement {
		t.Error("navigation")
	}
	if got := rebuild(d, Document); got != src[len("\ufeff"):] {
		t.Errorf("rebuilt:\n%q\n%q", got, src)
	}
}

// rebuild makes the text of a node from its parts.
func rebuild(d *Doc, n Node) string {
	var b strings.Builder
	if d.Kind(n) == KindElement {
		s, in := d.Span(n), d.Inner(n)
		b.WriteString(d.Source()[s.Start:in.Start])
		for c := d.FirstChild(n); c != None; c = d.Next(c) {
			b.WriteString(rebuild(d, c))
		}
		b.WriteString(d.Source()[in.End:s.End])
		return b.String()
	}
	if n != Document {
		return d.Raw(n)
	}
	for c := d.FirstChild(n); c != None; c = d.Next(c) {
		b.WriteString(rebuild(d, c))
	}
	return b.String()
}

func TestRefused(t *testing.T) {
	t.Parallel()
	many := func(n int, s string) string { return strings.Repeat(s, n) }
	scope := "<a>"
	for i := range 5 {
		scope += "<b"
		for j := range 30 {
			scope += " xmlns:p" + string(rune('a'+i)) + strings.Repeat("q", j) + "='u'"
		}
		scope += ">"
	}
	for _, c := range []struct {
		name, src string
		want      error
	}{
		{"empty", "", ErrSyntax},
		{"blank", " \n", ErrSyntax},
		{"text only", "hello", ErrSyntax},
		{"unclosed", "<a><b></b>", ErrSyntax},
		{"half tag", "<a", ErrSyntax},
		{"one byte", "<", ErrSyntax},
		{"wrong end", "<a></b>", ErrSyntax},
		{"longer end", "<a></ab>", ErrSyntax},
		{"end of nothing", "</a>", ErrSyntax},
		{"crossed", "<a><b></a></b>", ErrSyntax},
		{"two roots", "<a/><b/>", ErrSyntax},
		{"text after", "<a/>x", ErrSyntax},
		{"text before", "x<a/>", ErrSyntax},
		{"reference outside", "<a/>&#32;", ErrSyntax},
		{"cdata outside", "<a/><![CDATA[x]]>", ErrSyntax},
		{"twice", "<a x='1' x='2'/>", ErrSyntax},
		{"twice expanded", "<a xmlns:p='u' xmlns:q='u' p:x='1' q:x='2'/>", ErrNamespace},
		{"twice declared", "<a xmlns:p='u' xmlns:p='v'/>", ErrSyntax},
		{"unbound element", "<p:a/>", ErrNamespace},
		{"unbound attribute", "<a p:x='1'/>", ErrNamespace},
		{"unbound after", "<a><b xmlns:p='u'/><p:c/></a>", ErrNamespace},
		{"two colons", "<a:b:c/>", ErrNamespace},
		{"empty prefix", "<:a/>", ErrSyntax},
		{"empty local", "<a: xmlns:a='u'/>", ErrSyntax},
		{"prefix to nothing", "<a xmlns:p=''/>", ErrNamespace},
		{"prefix xmlns", "<a xmlns:xmlns='u'/>", ErrNamespace},
		{"prefix xml", "<a xmlns:xml='u'/>", ErrNamespace},
		{"xml by another", "<a xmlns:p='" + XMLSpace + "'/>", ErrNamespace},
		{"xmlns by another", "<a xmlns:p='" + XMLNSSpace + "'/>", ErrNamespace},
		{"element xmlns", "<xmlns:a/>", ErrNamespace},
		{"no value", "<a x/>", ErrSyntax},
		{"no quotes", "<a x=1/>", ErrSyntax},
		{"open quote", "<a x='1/>", ErrSyntax},
		{"no space", "<a x='1'y='2'/>", ErrSyntax},
		{"< in value", "<a x='<'/>", ErrSyntax},
		{"slash", "<a/ >", ErrSyntax},
		{"digit", "<1a/>", ErrSyntax},
		{"]]>", "<a>]]></a>", ErrSyntax},
		{"-- in comment", "<a><!-- -- --></a>", ErrSyntax},
		{"open comment", "<a><!-- </a>", ErrSyntax},
		{"open cdata", "<a><![CDATA[</a>", ErrSyntax},
		{"other markup", "<a><!ELEMENT></a>", ErrSyntax},
		{"pi without name", "<a><??></a>", ErrSyntax},
		{"pi with colon", "<a><?a:b?></a>", ErrSyntax},
		{"open pi", "<a><?x </a>", ErrSyntax},
		{"late declaration", " <?xml version='1.0'?><a/>", ErrSyntax},
		{"XML as target", "<a><?XmL x?></a>", ErrSyntax},
		{"no version", "<?xml encoding='UTF-8'?><a/>", ErrSyntax},
		{"order", "<?xml version='1.0' standalone='yes' encoding='UTF-8'?><a/>", ErrSyntax},
		{"standalone", "<?xml version='1.0' standalone='maybe'?><a/>", ErrSyntax},
		{"declaration space", "<?xml version='1.0'encoding='UTF-8'?><a/>", ErrSyntax},
		{"version", "<?xml version='1.1'?><a/>", ErrForbidden},
		{"latin1", "<?xml version='1.0' encoding='ISO-8859-1'?><a/>", ErrEncoding},
		{"utf16", "\xff\xfe<\x00a\x00/\x00>\x00", ErrEncoding},
		{"utf16 without mark", "<\x00a\x00/\x00>\x00", ErrEncoding},
		{"not utf8", "<a>\xff</a>", ErrEncoding},
		{"not utf8 in comment", "<a><!--\xc3--></a>", ErrEncoding},
		{"overlong", "<a>\xc0\xaf</a>", ErrEncoding},
		{"surrogate", "<a>\xed\xa0\x80</a>", ErrEncoding},
		{"control", "<a>\x01</a>", ErrSyntax},
		{"nul", "<a x='\x00'/>", ErrSyntax},
		{"fffe", "<a>\ufffe</a>", ErrSyntax},
		{"control in cdata", "<a><![CDATA[\x02]]></a>", ErrSyntax},
		{"dtd", "<!DOCTYPE a><a/>", ErrForbidden},
		{"billion laughs", `<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><l>&b;</l>`, ErrForbidden},
		{"entity", "<a>&nbsp;</a>", ErrSyntax},
		{"entity in value", "<a x='&b;'/>", ErrSyntax},
		{"bare &", "<a>fish & chips</a>", ErrSyntax},
		{"no ;", "<a>&amp</a>", ErrSyntax},
		{"&;", "<a>&;</a>", ErrSyntax},
		{"&#;", "<a>&#;</a>", ErrSyntax},
		{"&#x;", "<a>&#x;</a>", ErrSyntax},
		{"reference to nul", "<a>&#0;</a>", ErrSyntax},
		{"reference to control", "<a>&#x1F;</a>", ErrSyntax},
		{"reference to surrogate", "<a>&#xD800;</a>", ErrSyntax},
		{"reference beyond", "<a>&#x110000;</a>", ErrSyntax},
		{"reference overflow", "<a>&#99999999999;</a>", ErrSyntax},
		{"ten megabytes", "<a>" + many(10<<20, "x") + "</a>", ErrTooLarge},
		{"deep", many(20000, "<a>"), ErrTooLarge},
		{"nodes", "<a>" + many(20000, "<b/>") + "</a>", ErrTooLarge},
		{"attributes", "<a" + many(30, " a='' b='' c=''") + "/>", ErrSyntax},
		{"long name", "<" + many(2000, "n") + "/>", ErrTooLarge},
		{"namespaces in scope", scope, ErrTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d, err := Parse(c.src, Limits{})
			if !errors.Is(err, c.want) || d != nil {
				t.Errorf("%v, want %v", err, c.want)
			}
			if err != nil && len(err.Error()) > 200 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	}
}

func TestTooManyAttributes(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("<a")
	for i := range 65 {
		b.WriteString(" a" + strings.Repeat("b", i) + "=''")
	}
	b.WriteString("/>")
	if _, err := Parse(b.String(), Limits{}); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	if _, err := Parse(b.String(), Limits{MaxAttrs: 65}); err != nil {
		t.Error(err)
	}
}

// TestWorstCase holds that no document within the limits costs more than a
// little: each is the worst of its kind.
func TestWorstCase(t *testing.T) {
	t.Parallel()
	scope := "<a"
	for i := range 60 {
		scope += " xmlns:p" + strings.Repeat("q", i) + "='urn:x'"
	}
	attrs := "<b"
	for i := range 60 {
		attrs += " a" + string(rune('A'+i/26)) + string(rune('a'+i%26)) + "=''"
	}
	qualified := "<b"
	for i := range 60 {
		qualified += " p:a" + string(rune('A'+i/26)) + string(rune('a'+i%26)) + "=''"
	}
	for name, src := range map[string]string{
		"scope":      scope + ">" + strings.Repeat("<p:b/>", 16000) + "</a>",
		"attributes": "<a>" + strings.Repeat(attrs+"/>", 600) + "</a>",
		"qualified":  scope + ">" + strings.Repeat(qualified+"/>", 450) + "</a>",
		"text":       "<a>" + strings.Repeat("]]&gt;>", 35000) + "</a>",
		"ampersands": "<a>" + strings.Repeat("&amp;", 50000) + "</a>",
		"comments":   "<a>" + strings.Repeat("<!-->-->", 10) + "</a>",
		"open":       "<a>" + strings.Repeat("<![CDATA[", 20000) + "</a>",
		"brackets":   "<a>" + strings.Repeat("&", 200000) + "</a>",
	} {
		begin := time.Now()
		d, err := Parse(src, Limits{})
		if err == nil {
			d.Text(d.Root())
			d.UsesOuterDefault(d.Root())
		}
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("%s: %v", name, took)
		}
		t.Logf("%s: %d bytes, %v, %v", name, len(src), time.Since(begin), err)
	}
}

func TestReuse(t *testing.T) {
	t.Parallel()
	var d Doc
	for range 2 {
		if err := d.Parse("<a xmlns='urn:x'><b/></a>", Limits{}); err != nil || d.Len() != 3 {
			t.Fatal(err, d.Len())
		}
		if err := d.Parse("<a><b>", Limits{}); err == nil || d.Root() != None || d.Source() != "" {
			t.Fatal("a failed document stays")
		}
		if err := d.Parse("<a><b/></a>", Limits{}); err != nil || d.Space(d.Root()) != "" {
			t.Fatal(err, d.Space(d.Root()))
		}
	}
}

// TestAllocations cannot run beside others: it counts theirs too.
func TestAllocations(t *testing.T) {
	var d Doc
	if n := testing.AllocsPerRun(100, func() {
		if err := d.Parse(sample, Limits{}); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSplice(t *testing.T) {
	t.Parallel()
	src := "<a><b x='1'/><c/></a>"
	d := parse(t, src)
	if got := Splice(src, d.Span(d.Root()), nil); got != src {
		t.Error(got)
	}
	b := d.FirstElement(d.Root())
	x, _ := d.Find(b, "", "x")
	c := d.NextElement(b)
	got := Splice(src, d.Span(d.Root()), []Edit{{x.ValueSpan(), "22"}, {Span{d.NameEnd(c), d.NameEnd(c)}, " y=''"}})
	if got != "<a><b x='22'/><c y=''/></a>" {
		t.Error(got)
	}
	if got := Splice(src, d.Span(b), []Edit{{x.Span(), ""}}); got != "<b />" {
		t.Error(got)
	}
}

func TestCopy(t *testing.T) {
	t.Parallel()
	outer := []Binding{{"", "urn:d"}, {"p", "urn:p"}, {"q", "urn:q"}}
	for _, c := range []struct{ src, want string }{
		{"<a xmlns='urn:d'><b/></a>", "<b/>"},
		{"<a xmlns='urn:other'><b/></a>", `<b xmlns="urn:other"/>`},
		{"<a><b><c/></b></a>", `<b xmlns=""><c/></b>`},
		{"<a><b xmlns='urn:d'><c/></b></a>", `<b xmlns='urn:d'><c/></b>`},
		{"<p:a xmlns:p='urn:p'><p:b/></p:a>", `<p:b/>`},
		{"<p:a xmlns:p='urn:d'><p:b x='p:y'/></p:a>", `<p:b xmlns:p="urn:d" x='p:y'/>`},
		{"<p:a xmlns:p='urn:d'><b xmlns='u' xmlns:p='urn:z'/></p:a>", `<b xmlns='u' xmlns:p='urn:z'/>`},
		{`<p:a xmlns:p='a"&lt;&amp;'><p:b/></p:a>`, `<p:b xmlns:p="a&quot;&lt;&amp;"/>`},
	} {
		d := parse(t, c.src)
		if got := d.Copy(d.FirstElement(d.Root()), outer); got != c.want {
			t.Errorf("%s: %s, want %s", c.src, got, c.want)
		}
	}
	d := parse(t, "<a xmlns='u' xmlns:x='1'><b xmlns:x='2' xmlns='v'><c/></b></a>")
	if got := d.Copy(d.FirstElement(d.FirstElement(d.Root())), nil); got != `<c xmlns:x="2" xmlns="v"/>` {
		t.Error(got)
	}
}

func TestEscapeAttr(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                      "",
		"sip:alice@example.com": "sip:alice@example.com",
		`a"b'c<d>e&f`:           "a&quot;b'c&lt;d&gt;e&amp;f",
		"\t\r\n":                "&#9;&#13;&#10;",
		"é\x00\xff":             "é\ufffd\ufffd",
	} {
		got := EscapeAttr(in)
		if got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
		parse(t, `<a x="`+got+`"/>`)
	}
}

func TestIsNCName(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{"": false, "a": true, "_1-.": true, "1a": false, "a:b": false, "é": true, "-a": false, "a b": false, "\xff": false, "a\u00b7": true} {
		if IsNCName(s) != want {
			t.Errorf("%q", s)
		}
	}
}
