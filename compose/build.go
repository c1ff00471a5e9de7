package compose

import (
	"cmp"
	"slices"
	"sync"

	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/xmltree"
)

// source is a publication in the making of a document.
type source struct {
	Publication
	renamed []string // by index of the document's ids; empty: as published
	extra   string   // declarations that its parts need
	// foreignDefault says that the root's default namespace was not PIDF's.
	foreignDefault bool
	defaultSpace   string
}

type note struct{ lang, text string }

// builder makes one document. What it needs meanwhile is kept for the next one:
// a presence server composes at each PUBLISH.
type builder struct {
	sources  []source  // newest first
	bySerial []*source // oldest first
	root     []xmltree.Binding
	attrs    []byte
	devices  table[string, *pidf.Document] // the document whose device is told
	taken    table[string, struct{}]       // ids
	seen     table[note, struct{}]
	rivals   []int
	parts    []pidf.Component
}

var builders = sync.Pool{New: func() any { return new(builder) }}

func build(pubs []Publication) Raw {
	b := builders.Get().(*builder)
	total := 0
	for i := range pubs {
		b.sources = append(b.sources, source{Publication: pubs[i]})
		total += len(pubs[i].Doc.Parts())
	}
	slices.SortFunc(b.sources, func(x, y source) int { return newestFirst(x.Publication, y.Publication) })
	for i := range b.sources {
		b.bySerial = append(b.bySerial, &b.sources[i])
	}
	slices.SortFunc(b.bySerial, func(x, y *source) int { return cmp.Compare(x.Serial, y.Serial) })
	b.chooseDevices()
	b.rename()
	declarations := b.declare()
	b.parts = make([]pidf.Component, 0, total)
	b.tuples()
	b.notes()
	for kind := pidf.Person; kind <= pidf.Extension; kind++ {
		b.all(kind)
	}
	raw := Raw{pidf.NewAssembly(declarations, b.parts)}
	b.release()
	return raw
}

// release forgets all of the document.
func (b *builder) release() {
	clear(b.sources)
	clear(b.bySerial)
	clear(b.root)
	b.sources, b.bySerial, b.root = b.sources[:0], b.bySerial[:0], b.root[:0]
	b.devices.reset()
	b.taken.reset()
	b.seen.reset()
	b.parts = nil
	builders.Put(b)
}

// chooseDevices finds whose occurrences of each device are told.
func (b *builder) chooseDevices() {
	if len(b.sources) == 1 {
		return
	}
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
	for i := range b.sources {
		s := &b.sources[i]
		for k := range s.Doc.Parts() {
			p := &s.Doc.Parts()[k]
			if p.Kind != pidf.Note {
				continue
			}
			n := note{p.Lang, p.Text}
			if _, ok := b.seen.get(n); !ok {
				b.seen.put(n, struct{}{})
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
	var edits []xmltree.Edit
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
	b.parts = append(b.parts, pidf.Component{Of: p, Text: xmltree.Splice(s.Doc.Text(), p.Span, edits)})
}

// declare puts the sources' namespace declarations on the root, the oldest's
// first, so that they change little. What cannot stand there, for an older
// source uses the prefix otherwise, is left to each part of the source. All
// prefixes are kept, used in names or not: values use them too.
func (b *builder) declare() string {
	b.attrs = b.attrs[:0]
	for _, s := range b.bySerial {
		s.foreignDefault = true
		var extra []byte
		for _, n := range s.Doc.Bindings() {
			if n.Prefix == "" {
				s.foreignDefault, s.defaultSpace = n.Space != pidf.Space, n.Space
				continue
			}
			switch space, ok := b.bound(n.Prefix); {
			case !ok:
				b.root = append(b.root, n)
				b.attrs = xmltree.AppendBinding(b.attrs, n)
			case space != n.Space:
				extra = xmltree.AppendBinding(extra, n)
			}
		}
		s.extra = string(extra)
	}
	return string(b.attrs)
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
	var b []byte
	if foreign {
		b = xmltree.AppendBinding(b, xmltree.Binding{Space: s.defaultSpace})
	}
	if s.extra != "" && len(p.Declares) == 0 {
		b = append(b, s.extra...)
	} else if s.extra != "" {
		b = s.undeclared(b, p)
	}
	if lang {
		b = append(b, ` xml:lang="`...)
		b = append(b, xmltree.EscapeAttr(s.Doc.Lang())...)
		b = append(b, '"')
	}
	return string(b)
}

// undeclared appends those of the root's declarations that the part's element
// does not replace.
func (s *source) undeclared(b []byte, p *pidf.Part) []byte {
	for _, n := range s.Doc.Bindings() {
		if n.Prefix != "" && !slices.Contains(p.Declares, n.Prefix) {
			b = xmltree.AppendBinding(b, n)
		}
	}
	return b
}
