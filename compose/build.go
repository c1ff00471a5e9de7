package compose

import (
	"cmp"
	"slices"
	"strings"

	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/xmltree"
)

// source is a publication in the making of a document.
type source struct {
	*Publication
	renamed []string // by index of the document's ids; empty: as published
	extra   string   // declarations that its parts need
	// foreignDefault says that the root's default namespace was not PIDF's.
	foreignDefault bool
	defaultSpace   string
}

type builder struct {
	sources []source // newest first
	root    []xmltree.Binding
	devices table[string, *pidf.Document] // the document whose device is told
	parts   []Part
}

// few publications and ids fit into memory on the stack.
const few = 4

func build(pubs []Publication) Raw {
	var buf [few]source
	b := builder{sources: buf[:0]}
	total := 0
	for i := range pubs {
		b.sources = append(b.sources, source{Publication: &pubs[i]})
		total += len(pubs[i].Doc.Parts())
	}
	if len(pubs) > 1 {
		slices.SortFunc(b.sources, func(a, b source) int { return newestFirst(*a.Publication, *b.Publication) })
		b.chooseDevices()
	}
	bySerial := b.bySerial()
	b.rename(bySerial)
	declarations := b.declare(bySerial)
	b.parts = make([]Part, 0, total)
	b.tuples()
	b.notes()
	for kind := pidf.Person; kind <= pidf.Extension; kind++ {
		b.all(kind)
	}
	return Raw{&document{declarations: declarations, parts: b.parts}}
}

// bySerial lists the sources oldest first.
func (b *builder) bySerial() []*source {
	list := make([]*source, len(b.sources))
	for i := range b.sources {
		list[i] = &b.sources[i]
	}
	slices.SortFunc(list, func(x, y *source) int { return cmp.Compare(x.Serial, y.Serial) })
	return list
}

// chooseDevices finds whose occurrences of each device are told.
func (b *builder) chooseDevices() {
	for i := range b.sources {
		doc := b.sources[i].Doc
		for k := range doc.Parts() {
			if p := &doc.Parts()[k]; p.Kind == pidf.Device {
				if _, ok := b.devices.get(p.DeviceID); !ok {
					b.devices.put(p.DeviceID, doc)
				}
			}
		}
	}
}

// keeps reports whether a source's part is told.
func (b *builder) keeps(s *source, p *pidf.Part) bool {
	if p.Kind != pidf.Device || len(b.sources) == 1 {
		return true
	}
	doc, _ := b.devices.get(p.DeviceID)
	return doc == s.Doc
}

func (b *builder) tuples() {
	for _, basic := range [...]pidf.Basic{pidf.Open, pidf.Absent, pidf.Closed} {
		for i := range b.sources {
			s := &b.sources[i]
			for k := range s.Doc.Parts() {
				if p := &s.Doc.Parts()[k]; p.Kind == pidf.Tuple && p.Basic == basic {
					b.add(s, p)
				}
			}
		}
	}
}

func (b *builder) notes() {
	type note struct{ lang, text string }
	var seen table[note, struct{}]
	for i := range b.sources {
		s := &b.sources[i]
		for k := range s.Doc.Parts() {
			p := &s.Doc.Parts()[k]
			if p.Kind != pidf.Note {
				continue
			}
			n := note{p.Lang, p.Text}
			if _, ok := seen.get(n); !ok {
				seen.put(n, struct{}{})
				b.add(s, p)
			}
		}
	}
}

func (b *builder) all(kind pidf.Kind) {
	for i := range b.sources {
		s := &b.sources[i]
		for k := range s.Doc.Parts() {
			if p := &s.Doc.Parts()[k]; p.Kind == kind && b.keeps(s, p) {
				b.add(s, p)
			}
		}
	}
}

// add renders a part: the published bytes, with what the new root does not say
// for it, and with its new ids.
func (b *builder) add(s *source, p *pidf.Part) {
	var buf [few]xmltree.Edit
	edits := buf[:0]
	if attrs := s.attributes(p); attrs != "" {
		edits = append(edits, xmltree.Edit{Span: xmltree.Span{Start: p.NameEnd, End: p.NameEnd}, Text: attrs})
	}
	if s.renamed != nil {
		first := s.Doc.FirstID(p)
		for i, id := range s.Doc.IDs(p) {
			if name := s.renamed[first+i]; name != "" {
				edits = append(edits, xmltree.Edit{Span: id.Span, Text: name})
			}
		}
	}
	b.parts = append(b.parts, Part{Of: p, Text: xmltree.Splice(s.Doc.Text(), p.Span, edits)})
}

// declare puts the sources' namespace declarations on the root, the oldest's
// first, so that they change little. What cannot stand there, for an older
// source uses the prefix otherwise, is left to each part of the source. All
// prefixes are kept, used in names or not: values use them too.
func (b *builder) declare(bySerial []*source) string {
	var buf [12]xmltree.Binding
	b.root = buf[:0]
	var root, extra strings.Builder
	root.Grow(512)
	for _, s := range bySerial {
		s.foreignDefault = true
		for _, n := range s.Doc.Bindings() {
			if n.Prefix == "" {
				s.foreignDefault, s.defaultSpace = n.Space != pidf.Space, n.Space
				continue
			}
			switch space, ok := b.bound(n.Prefix); {
			case !ok:
				b.root = append(b.root, n)
				xmltree.AppendBinding(&root, n)
			case space != n.Space:
				xmltree.AppendBinding(&extra, n)
			}
		}
		s.extra = extra.String()
		extra.Reset()
	}
	return root.String()
}

func (b *builder) bound(prefix string) (string, bool) {
	for i := range b.root {
		if b.root[i].Prefix == prefix {
			return b.root[i].Space, true
		}
	}
	return "", false
}

// attributes makes what the source's root said for a part and the new one does not.
func (s *source) attributes(p *pidf.Part) string {
	lang := s.Doc.Lang() != "" && !p.HasLang
	foreign := s.foreignDefault && p.OuterDefault
	if s.extra == "" && !lang && !foreign {
		return ""
	}
	var b strings.Builder
	if foreign {
		xmltree.AppendBinding(&b, xmltree.Binding{Space: s.defaultSpace})
	}
	switch {
	case s.extra == "":
	case len(p.Declares) == 0:
		b.WriteString(s.extra)
	default:
		s.undeclared(&b, p)
	}
	if lang {
		b.WriteString(` xml:lang="`)
		b.WriteString(xmltree.EscapeAttr(s.Doc.Lang()))
		b.WriteByte('"')
	}
	return b.String()
}

// undeclared writes those of the root's declarations that the part's element
// does not replace.
func (s *source) undeclared(b *strings.Builder, p *pidf.Part) {
	for _, n := range s.Doc.Bindings() {
		if n.Prefix != "" && !slices.Contains(p.Declares, n.Prefix) {
			xmltree.AppendBinding(b, n)
		}
	}
}
