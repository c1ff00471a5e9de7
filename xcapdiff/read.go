package xcapdiff

import (
	"fmt"
	"log/slog"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/xmltree"
)

// MaxBytes bounds a diff that is read, in bytes: some documents of the largest
// size that an XCAP server keeps.
const MaxBytes = 1 << 20

// Parse reads a diff. What other namespaces have added to it is passed over
// (RFC 5874, 3). Errors wrap ErrMalformed or ErrTooBig.
func Parse(text string) (Diff, error) {
	lim := limits(len(text))
	lim.MaxBytes = MaxBytes
	d, err := xmltree.Parse(text, lim)
	if err != nil {
		return Diff{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	root := d.Root()
	if !d.Is(root, Namespace, "xcap-diff") {
		return Diff{}, fmt.Errorf("%w: the root is not xcap-diff", ErrMalformed)
	}
	var diff Diff
	var ok bool
	if diff.Root, ok = d.Attr(root, "", "xcap-root"); !ok {
		return Diff{}, fmt.Errorf("%w: no xcap-root", ErrMalformed)
	}
	for n := d.FirstElement(root); n != xmltree.None; n = d.NextElement(n) {
		if d.Space(n) != Namespace {
			continue
		}
		if len(diff.Items) == MaxItems {
			return Diff{}, fmt.Errorf("%w: more than %d", ErrTooBig, MaxItems)
		}
		i, err := readItem(d, n)
		if err != nil {
			return Diff{}, err
		}
		diff.Items = append(diff.Items, i)
	}
	return diff, nil
}

func readItem(d *xmltree.Doc, n xmltree.Node) (i Item, err error) {
	var ok bool
	if i.Sel, ok = d.Attr(n, "", "sel"); !ok {
		return i, fmt.Errorf("%w: no sel", ErrMalformed)
	}
	switch d.Local(n) {
	case "document":
		return i, i.readDocument(d, n)
	case "element":
		i.Kind = KindElement
	case "attribute":
		i.Kind = KindAttribute
	default:
		return i, fmt.Errorf("%w: an unknown element", ErrMalformed)
	}
	switch v, ok := d.Attr(n, "", "exists"); {
	case !ok, v == "1", v == "true":
	case v == "0", v == "false":
		i.Gone = true
		return i, nil
	default:
		return i, fmt.Errorf("%w: exists is no boolean", ErrMalformed)
	}
	first := d.FirstElement(n)
	switch {
	case i.Kind == KindAttribute:
		i.Text = d.Text(n)
	case first != xmltree.None && d.NextElement(first) != xmltree.None:
		return i, fmt.Errorf("%w: two elements in one", ErrMalformed)
	case first != xmltree.None:
		i.Text, i.Scope = d.Raw(first), scopeOf(d.AppendScope(nil, first), d.Raw(first))
	}
	return i, nil
}

func (i *Item) readDocument(d *xmltree.Doc, n xmltree.Node) error {
	was, hadWas := d.Attr(n, "", "previous-etag")
	is, hasIs := d.Attr(n, "", "new-etag")
	i.Was, i.Is = presence.EntityTag(was), presence.EntityTag(is)
	if !hadWas && !hasIs || hadWas && was == "" || hasIs && is == "" {
		return fmt.Errorf("%w: a document without entity-tag", ErrMalformed)
	}
	first := d.FirstElement(n)
	switch {
	case first == xmltree.None:
		return nil
	case !hadWas || !hasIs:
		// RFC 5874, figure 1.
		return fmt.Errorf("%w: a patch of what was not, or is not, there", ErrMalformed)
	case d.Is(first, Namespace, "body-not-changed"):
		i.Same = true
		return nil
	}
	p, err := xmltree.ParsePatch(d, n, Namespace)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	i.patch = p
	for ; first != xmltree.None; first = d.NextElement(first) {
		i.Ops = append(i.Ops, readOp(d, first))
	}
	return nil
}

func readOp(d *xmltree.Doc, n xmltree.Node) Op {
	o := Op{Name: d.Local(n)}
	o.Sel, _ = d.Attr(n, "", "sel")
	o.Pos, _ = d.Attr(n, "", "pos")
	o.Type, _ = d.Attr(n, "", "type")
	o.WS, _ = d.Attr(n, "", "ws")
	in := d.Inner(n)
	o.Content = d.Source()[in.Start:in.End]
	for i := range d.NumAttrs(n) {
		if a := d.AttrAt(n, i); a.Declares() && a.Prefix() != "xml" {
			o.Scope = append(o.Scope, xmltree.Binding{Prefix: a.Prefix(), Space: a.Value()})
		}
	}
	outer := d.AppendScope(nil, n)
	for _, b := range outer {
		if !binds(o.Scope, b.Prefix) {
			o.Scope = append(o.Scope, b)
		}
	}
	o.Scope = scopeOf(o.Scope, o.Sel+o.Type+o.Content)
	return o
}

func binds(list []xmltree.Binding, prefix string) bool {
	for i := range list {
		if list[i].Prefix == prefix {
			return true
		}
	}
	return false
}

// Copy is a document as a subscriber has it.
type Copy struct {
	ETag presence.EntityTag
	// Known says that Body is that version's; else it has to be fetched.
	Known bool
	Body  string
}

// String tells nothing of the document.
func (c Copy) String() string {
	return fmt.Sprintf("document %s, %d bytes, known: %t", c.ETag, len(c.Body), c.Known)
}

// GoString is String.
func (c Copy) GoString() string { return c.String() }

// LogValue is String.
func (c Copy) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Copies are what a subscriber has of the resources that it has subscribed to, by
// their URIs (RFC 5875, 4.8).
type Copies struct {
	Documents map[string]Copy
	// Parts are the elements and attributes that there are.
	Parts map[string]string
}

// String tells how many there are.
func (c *Copies) String() string {
	return fmt.Sprintf("%d documents and %d parts", len(c.Documents), len(c.Parts))
}

// Fetched puts in a document as a GET has given it. Diffs that have come since may
// be applied again.
func (c *Copies) Fetched(sel string, etag presence.EntityTag, body string) {
	c.document(sel, Copy{ETag: etag, Known: true, Body: body})
}

func (c *Copies) document(sel string, d Copy) {
	if c.Documents == nil {
		c.Documents = map[string]Copy{}
	}
	c.Documents[sel] = d
}

// Apply takes a diff in. A patch that cannot be applied leaves its document to be
// fetched; err tells of the first of them.
func (c *Copies) Apply(diff Diff) (err error) {
	for i := range diff.Items {
		it := &diff.Items[i]
		if it.Kind != KindDocument {
			if it.Gone {
				delete(c.Parts, it.Sel)
				continue
			}
			if c.Parts == nil {
				c.Parts = map[string]string{}
			}
			c.Parts[it.Sel] = it.Text
			continue
		}
		if e := c.step(it); e != nil && err == nil {
			err = fmt.Errorf("%s: %w", it.Sel, e)
		}
	}
	return err
}

// step follows RFC 5874, figure 1.
func (c *Copies) step(it *Item) error {
	have, there := c.Documents[it.Sel]
	switch {
	case it.Is == "":
		// Whatever version has been fetched since: if there is one again, that will
		// be told too.
		delete(c.Documents, it.Sel)
		return nil
	case there && have.ETag == it.Is:
		return nil // fetched meanwhile
	case it.Was == "" || !there || have.ETag != it.Was || !have.Known:
		// RFC 5875, 4.8: a version that it does not follow from is fetched.
		c.document(it.Sel, Copy{ETag: it.Is})
		return nil
	case it.Same:
		have.ETag = it.Is
		c.document(it.Sel, have)
		return nil
	case it.patch == nil:
		c.document(it.Sel, Copy{ETag: it.Is})
		return nil
	}
	body, err := it.patch.Apply(have.Body, limits(2*len(have.Body)+MaxBytes))
	if err != nil {
		c.document(it.Sel, Copy{ETag: it.Is})
		return err
	}
	c.document(it.Sel, Copy{ETag: it.Is, Known: true, Body: body})
	return nil
}
