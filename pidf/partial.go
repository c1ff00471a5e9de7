package pidf

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/tacit-presence/tacit/xmltree"
)

// PartialContentType is the media type of partial presence (RFC 5262, 5.2).
const PartialContentType = "application/pidf-diff+xml"

// PartialSpace is its namespace.
const PartialSpace = "urn:ietf:params:xml:ns:pidf-diff"

var (
	// ErrPartial is what every error of ParsePartial and Apply wraps. It is the
	// sender's fault: RFC 5264, 4.3.2 answers 400 (Bad Request), and RFC 5263, 4.5
	// has a watcher refresh its subscription. Where a patch operation is to
	// blame, the error wraps its xmltree.PatchError too; what is wrong with the
	// presence document that came of it is an ErrDocument.
	ErrPartial = errors.New("bad partial presence document")
	// ErrNoFullState says that there is no document to change: a watcher has
	// missed the first one, or an initial publication is a pidf-diff, which
	// RFC 5264, 4.3.2 answers with 400 (Invalid Partial Publication). Errors that
	// wrap it wrap ErrPartial too.
	ErrNoFullState = errors.New("no full presence document to change")
)

// Partial is a document of the partial format but for its version: that counts
// within one subscription, while many are told the same.
type Partial struct {
	Text string
	// VersionAt is where the version's number belongs in Text.
	VersionAt int
}

// None reports that there is no document.
func (p Partial) None() bool { return p.Text == "" }

// Body returns the document with its version. RFC 5263, 4.4: that is 1 in the
// first notification of a subscription, and one more in each.
func (p Partial) Body(version uint32) string {
	if p.None() {
		return ""
	}
	return p.Text[:p.VersionAt] + strconv.FormatUint(uint64(version), 10) + p.Text[p.VersionAt:]
}

// LogValue keeps presence out of logs.
func (p Partial) LogValue() slog.Value { return slog.StringValue(p.String()) }

// String tells the size alone.
func (p Partial) String() string { return fmt.Sprintf("partial presence (%d bytes)", len(p.Text)) }

// GoString is String: %#v shows no presence either.
func (p Partial) GoString() string { return p.String() }

// FullOf makes the pidf-full of a document as Assembly.Render writes it: the
// same but for its root (RFC 5262, 3). Of any other text it makes none.
func FullOf(document string) Partial {
	rest, ok := strings.CutPrefix(document, prolog)
	if !ok || !strings.HasSuffix(document, epilog) {
		return Partial{}
	}
	tag, inner, ok := strings.Cut(rest, ">") // Render writes no > in a value
	if !ok || strings.Contains(tag, "<") {
		return Partial{}
	}
	p := partialPrefix(func(prefix string) bool { return strings.Contains(tag, " xmlns:"+prefix+"=") })
	var b strings.Builder
	b.Grow(len(document) + 100)
	partialRoot(&b, p, "pidf-full")
	b.WriteString(tag)
	b.WriteString(` version="`)
	at := b.Len()
	b.WriteString(`">`)
	b.WriteString(strings.TrimSuffix(inner, epilog))
	b.WriteString("\n</" + p + ":pidf-full>\n")
	return Partial{b.String(), at}
}

// partialRoot begins a document of the partial format.
func partialRoot(b *strings.Builder, prefix, name string) {
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n<")
	b.WriteString(prefix + ":" + name)
	b.WriteString(` xmlns="` + Space + `" xmlns:` + prefix + `="` + PartialSpace + `"`)
}

// partialPrefix chooses the prefix of the partial format's namespace: p, as the
// RFCs' examples, or p and a number where that is taken.
func partialPrefix(taken func(string) bool) string {
	prefix := "p"
	for i := 1; taken(prefix); i++ {
		prefix = "p" + strconv.Itoa(i)
	}
	return prefix
}

// isPartialPrefix reports whether partialPrefix could choose it.
func isPartialPrefix(prefix string) bool {
	number, ok := strings.CutPrefix(prefix, "p")
	return ok && strings.Trim(number, "0123456789") == ""
}

// PartialDocument is a document of the partial format from a stranger: a
// publication, or a notification that a watcher gets.
type PartialDocument struct {
	size    int
	version uint32
	full    string         // of a pidf-full: the presence document
	patch   *xmltree.Patch // of a pidf-diff
	entity  string         // of a pidf-diff
}

// ParsePartial reads a document of the partial format.
func ParsePartial(body string) (*PartialDocument, error) {
	tree, err := xmltree.Parse(body, xmltree.Limits{MaxBytes: MaxBytes})
	if err != nil {
		return nil, fmt.Errorf("%w: %w: %w", ErrPartial, xmltree.ErrInvalidDiffFormat, err)
	}
	p := &PartialDocument{size: len(body)}
	if err := p.readVersion(tree); err != nil {
		return nil, err
	}
	root := tree.Root()
	switch {
	case tree.Is(root, PartialSpace, "pidf-full"):
		p.full = presenceOf(tree)
		_, err = Parse(p.full)
	case tree.Is(root, PartialSpace, "pidf-diff"):
		p.entity, _ = tree.Attr(root, "", "entity")
		p.patch, err = xmltree.ParsePatch(tree, root, PartialSpace)
	default: // RFC 5262, 3: <presence> is not allowed
		err = fmt.Errorf("%w: the root is neither pidf-full nor pidf-diff", xmltree.ErrInvalidDiffFormat)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPartial, err)
	}
	return p, nil
}

func (p *PartialDocument) readVersion(tree *xmltree.Doc) error {
	value, ok := tree.Attr(tree.Root(), "", "version")
	if !ok {
		return nil
	}
	n, err := strconv.ParseUint(trim(value), 10, 32)
	if err != nil { // RFC 5262, 11
		return fmt.Errorf("%w: %w: version is no number", ErrPartial, xmltree.ErrInvalidAttributeValue)
	}
	p.version = uint32(n)
	return nil
}

// presenceOf makes a presence document of a pidf-full: another root, without
// version, and without the namespace of the partial format if nothing else has
// it.
func presenceOf(tree *xmltree.Doc) string {
	root := tree.Root()
	edits := make([]xmltree.Edit, 0, 5)
	prefix, bound := "", false
	defaultSpace := ""
	for i := range tree.NumAttrs(root) {
		if a := tree.AttrAt(root, i); a.Declares() && a.Prefix() == "" {
			defaultSpace = a.Value()
		} else if a.Declares() && a.Value() == Space && !bound {
			prefix, bound = a.Prefix(), true
		}
	}
	name, declare := "presence", ""
	switch {
	case defaultSpace == Space:
	case bound:
		name = prefix + ":presence"
	default:
		prefix = freePrefix(tree)
		name, declare = prefix+":presence", string(xmltree.AppendBinding(nil, xmltree.Binding{Prefix: prefix, Space: Space}))
	}
	start := tree.Span(root).Start + len("<")
	edits = append(edits, xmltree.Edit{Span: xmltree.Span{Start: start, End: tree.NameEnd(root)}, Text: name + declare})
	for i := range tree.NumAttrs(root) {
		a := tree.AttrAt(root, i)
		version := !a.Declares() && a.Space() == "" && a.Local() == "version"
		if version || a.Declares() && a.Prefix() != "" && a.Value() == PartialSpace && !usesSpace(tree, PartialSpace) {
			span := a.Span()
			for isSpace(tree.Source()[span.Start-1]) {
				span.Start--
			}
			edits = append(edits, xmltree.Edit{Span: span})
		}
	}
	if in, span := tree.Inner(root), tree.Span(root); in.End < span.End {
		edits = append(edits, xmltree.Edit{Span: xmltree.Span{Start: in.End, End: span.End}, Text: "</" + name + ">"})
	}
	return xmltree.Splice(tree.Source(), xmltree.Span{Start: 0, End: len(tree.Source())}, edits)
}

// freePrefix finds one that the root does not declare.
func freePrefix(tree *xmltree.Doc) string {
	for i := 0; ; i++ {
		prefix, free := "pidf"+strconv.Itoa(i), true
		for k := range tree.NumAttrs(tree.Root()) {
			a := tree.AttrAt(tree.Root(), k)
			free = free && !(a.Declares() && a.Prefix() == prefix)
		}
		if free {
			return prefix
		}
	}
}

// usesSpace reports whether a name below the root, or an attribute of the root,
// is of that namespace.
func usesSpace(tree *xmltree.Doc, space string) bool {
	for n := tree.Root(); n < xmltree.Node(tree.Len()); n++ {
		if tree.Kind(n) != xmltree.KindElement {
			continue
		}
		if n != tree.Root() && tree.Space(n) == space {
			return true
		}
		for i := range tree.NumAttrs(n) {
			if a := tree.AttrAt(n, i); !a.Declares() && a.Space() == space {
				return true
			}
		}
	}
	return false
}

// Full returns the presence document of a pidf-full; false if it is a pidf-diff.
func (p *PartialDocument) Full() (string, bool) { return p.full, p.patch == nil }

// Version returns the version, 0 if it has none: it is for notifications, which
// begin with 1 (RFC 5263, 4.4); publications go by their entity-tags (RFC 5264,
// 3.2).
func (p *PartialDocument) Version() uint32 { return p.version }

// Apply returns the presence document that comes of the old one, or of none if
// the whole is a pidf-full. Nothing of the old one is lost where it fails.
func (p *PartialDocument) Apply(old string) (string, error) {
	if p.patch == nil {
		return p.full, nil
	}
	if old == "" {
		return "", fmt.Errorf("%w: %w", ErrPartial, ErrNoFullState)
	}
	doc, err := Parse(old)
	if err != nil {
		return "", fmt.Errorf("%w: the old document: %w", ErrPartial, err)
	}
	if p.entity != "" && trim(p.entity) != doc.Entity() { // RFC 5262, 3.2
		return "", fmt.Errorf("%w: %w: the entity is another", ErrPartial, xmltree.ErrInvalidAttributeValue)
	}
	text, err := p.patch.Apply(old, xmltree.Limits{MaxBytes: MaxBytes})
	if err == nil {
		_, err = Parse(text)
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrPartial, err)
	}
	return text, nil
}

// LogValue keeps presence out of logs.
func (p *PartialDocument) LogValue() slog.Value { return slog.StringValue(p.String()) }

// String tells the kind and size alone.
func (p *PartialDocument) String() string {
	switch {
	case p == nil:
		return "no partial presence document"
	case p.patch == nil:
		return fmt.Sprintf("pidf-full (%d bytes)", p.size)
	}
	return fmt.Sprintf("pidf-diff (%d bytes, %d operations)", p.size, p.patch.Len())
}

// GoString is String: %#v shows no presence either.
func (p *PartialDocument) GoString() string { return p.String() }
