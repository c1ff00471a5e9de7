package xmltree

import (
	"encoding/xml"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// FuzzParse holds that what is accepted is made of its parts, byte for byte,
// that splicing nothing changes nothing, that a copied element parses with the
// same names, and that encoding/xml, which is laxer, accepts it too.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		sample, "<a/>", "\ufeff<?xml version='1.0'?><a xmlns:p='u' p:x='&#10;'><!--c--><p:b>]]&gt;<![CDATA[]]]]></p:b></a>",
		"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "<a xmlns=''><b xmlns='u'><c xmlns=''/></b></a>", "<a><?p q?></a>\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		d, err := Parse(src, Limits{})
		if err != nil {
			return
		}
		if got := rebuild(d, Document); got != strings.TrimPrefix(src, bom) {
			t.Fatalf("rebuilt %q", got)
		}
		if got := Splice(src, Span{0, len(src)}, nil); got != src {
			t.Fatalf("spliced %q", got)
		}
		if strings.IndexFunc(src, func(r rune) bool { return r >= 0x80 }) < 0 { // its names are of an older edition of XML
			standard(t, src)
		}
		for n := range Node(min(d.Len(), 50)) {
			if d.Kind(n) == KindElement && d.Parent(n) != Document {
				copied(t, d, n)
			}
		}
	})
}

func standard(t *testing.T, src string) {
	t.Helper()
	dec := xml.NewDecoder(strings.NewReader(src))
	for {
		if _, err := dec.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatalf("encoding/xml: %v", err)
		}
	}
}

func copied(t *testing.T, d *Doc, n Node) {
	t.Helper()
	text := "<o xmlns='urn:other' xmlns:p='urn:q'>" + d.Copy(n, []Binding{{"", "urn:other"}, {"p", "urn:q"}}) + "</o>"
	c, err := Parse(text, Limits{MaxBytes: len(text), MaxDepth: 1000, MaxAttrs: 1000})
	if err != nil {
		t.Fatalf("copy %q: %v", text, err)
	}
	m := c.FirstElement(c.Root())
	for end := d.After(n); n < end; n, m = n+1, m+1 {
		if d.Kind(n) != c.Kind(m) || d.Name(n) != c.Name(m) {
			t.Fatalf("copy %q: %v became %v", text, d.Name(n), c.Name(m))
		}
	}
}

// TestPeers holds that xmllint accepts what we accept, of a few documents
// beyond ASCII too.
func TestPeers(t *testing.T) {
	t.Parallel()
	if os.Getenv("TACIT_PEERS") != "1" {
		t.Skip("NOT RUN: xmllint as a peer; set TACIT_PEERS=1 with libxml2-utils installed")
	}
	for _, src := range []string{sample, "\ufeff<é.ü xml:lang='de'>“ß”&#x1F600;</é.ü>", "<?xml version='1.0' standalone='no'?><a xmlns=''/>"} {
		parse(t, src)
		cmd := exec.Command("xmllint", "--noout", "-")
		cmd.Stdin = strings.NewReader(src)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", src, err, out)
		}
	}
}

const sample = `<?xml version="1.0" encoding="UTF-8"?>
<presence xmlns="urn:ietf:params:xml:ns:pidf"
  xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model"
  xmlns:rpid="urn:ietf:params:xml:ns:pidf:rpid"
  xmlns:v="urn:example:vendor"
  entity="sip:alice@example.com">
 <tuple id="desk-7f3a">
  <status><basic>open</basic></status>
  <dm:deviceID>urn:uuid:48662e19-5fbf-43fc-a2fd-d23002787599</dm:deviceID>
  <rpid:relationship><rpid:self/></rpid:relationship>
  <v:capability v:level="3">audio &amp; video</v:capability>
  <contact priority="0.8">sip:alice@desk.example.com</contact>
  <note xml:lang="en">At my desk</note>
  <timestamp>2026-01-02T03:04:05Z</timestamp>
 </tuple>
 <dm:person id="me">
  <rpid:activities><rpid:on-the-phone/></rpid:activities>
  <rpid:mood><rpid:happy/></rpid:mood>
  <dm:note>Back at noon</dm:note>
  <dm:timestamp>2026-01-02T03:04:05Z</dm:timestamp>
 </dm:person>
 <dm:device id="pc">
  <rpid:user-input>active</rpid:user-input>
  <dm:deviceID>urn:uuid:48662e19-5fbf-43fc-a2fd-d23002787599</dm:deviceID>
 </dm:device>
</presence>
`

func BenchmarkParse(b *testing.B) {
	var d Doc
	b.ReportAllocs()
	b.SetBytes(int64(len(sample)))
	for b.Loop() {
		if err := d.Parse(sample, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}
