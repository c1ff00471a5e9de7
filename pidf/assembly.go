package pidf

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/tacit-presence/tacit/xmltree"
)

// Component is one child of the root of an Assembly.
type Component struct {
	// Of is the part as published: what rules and filters ask about it. Its ID
	// may differ from the one in Text, and it keeps the class, the occurrence id,
	// the deviceID and the contact that a rule has selected the component by when
	// Text no longer says them. It is never written.
	Of *Part
	// Text is the element as it stands under a root whose default namespace is
	// PIDF's and which has the Assembly's declarations.
	Text string
}

// Assembly is a presence document that is being put together of parts of
// published ones: what one stage of the pipeline hands to the next. It is a
// value; its parts are not changed, a stage makes an Assembly With others. The
// zero value is Empty.
type Assembly struct {
	declarations string
	parts        []Component
	tree         *assemblyTree
}

// assemblyTree is an Assembly's tree, made when the first stage asks for it.
type assemblyTree struct {
	made bool
	Tree
}

// Tree is an Assembly as an XML tree.
type Tree struct {
	Doc *xmltree.Doc
	// Nodes are the elements of Assembly.Parts, index by index, in Doc.
	Nodes []xmltree.Node
}

// NewAssembly makes one of parts and of the namespace declarations that its root
// needs beside PIDF's, as attributes, each with a space before it.
func NewAssembly(declarations string, parts []Component) Assembly {
	return Assembly{declarations: declarations, parts: parts, tree: new(assemblyTree)}
}

// With makes an Assembly of other parts under the same root.
func (a Assembly) With(parts []Component) Assembly { return NewAssembly(a.declarations, parts) }

// Empty reports that there is no part.
func (a Assembly) Empty() bool { return len(a.parts) == 0 }

// Parts returns the root's children in order: tuples, notes, persons, devices,
// other elements. It must not be changed.
func (a Assembly) Parts() []Component { return a.parts }

// Declarations returns what NewAssembly was given.
func (a Assembly) Declarations() string { return a.declarations }

const (
	prolog = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<presence xmlns="` + Space + `"`
	epilog = "\n</presence>\n"
)

// Render writes the document as the presence of entity, a line a part.
func (a Assembly) Render(entity string) string {
	entity = xmltree.EscapeAttr(entity)
	size := len(prolog) + len(a.declarations) + len(` entity="">`) + len(entity) + len(epilog)
	for i := range a.parts {
		size += len("\n") + len(a.parts[i].Text)
	}
	var b strings.Builder
	b.Grow(size)
	b.WriteString(prolog)
	b.WriteString(a.declarations)
	b.WriteString(` entity="`)
	b.WriteString(entity)
	b.WriteString(`">`)
	for i := range a.parts {
		b.WriteByte('\n')
		b.WriteString(a.parts[i].Text)
	}
	b.WriteString(epilog)
	return b.String()
}

// assemblyLimits are those of many published documents together, each of which
// has kept to the limits of one.
var assemblyLimits = xmltree.Limits{MaxBytes: 64 * MaxBytes, MaxNodes: 1 << 20, MaxAttrs: 1 << 10}

// Tree returns the document as a tree, with an empty entity. It is made once and
// shared by all copies of a; like a, it is for one goroutine at a time. An error
// means that the parts together are beyond all limits: nothing may be told then.
func (a Assembly) Tree() (Tree, error) {
	if a.tree == nil || a.tree.made {
		if a.tree == nil {
			return Tree{}, nil
		}
		return a.tree.Tree, nil
	}
	doc := xmltree.Borrow()
	if err := doc.Parse(a.Render(""), assemblyLimits); err != nil {
		doc.Return()
		return Tree{}, fmt.Errorf("%w: put together: %w", ErrDocument, err)
	}
	nodes := make([]xmltree.Node, 0, len(a.parts))
	for n := doc.FirstElement(doc.Root()); n != xmltree.None; n = doc.NextElement(n) {
		nodes = append(nodes, n)
	}
	if len(nodes) != len(a.parts) {
		doc.Return()
		return Tree{}, fmt.Errorf("%w: put together it has %d parts, not %d", ErrDocument, len(nodes), len(a.parts))
	}
	a.tree.Tree, a.tree.made = Tree{Doc: doc, Nodes: nodes}, true
	return a.tree.Tree, nil
}

// Forget gives the tree's memory back: it is larger than the document. Whatever
// Tree has given is not to be used any more; it can be called again.
func (a Assembly) Forget() {
	if a.tree != nil && a.tree.made {
		a.tree.Doc.Return()
		*a.tree = assemblyTree{}
	}
}

// LogValue keeps presence out of logs.
func (a Assembly) LogValue() slog.Value { return slog.StringValue(a.String()) }

// String tells the size alone.
func (a Assembly) String() string { return fmt.Sprintf("presence (%d parts)", len(a.parts)) }

// GoString is String: %#v shows no presence either.
func (a Assembly) GoString() string { return a.String() }
