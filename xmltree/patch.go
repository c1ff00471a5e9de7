package xmltree

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// PatchError is an error condition of RFC 5261, 5.1: the name of the element
// that tells it.
type PatchError string

// The conditions. Errors of patches wrap one of them, or ErrTooLarge. Character
// sets, entities and xml:id are Parse's to refuse, so theirs never occur here.
const (
	ErrInvalidAttributeValue       PatchError = "invalid-attribute-value"
	ErrInvalidCharacterSet         PatchError = "invalid-character-set"
	ErrInvalidDiffFormat           PatchError = "invalid-diff-format"
	ErrInvalidEntityDeclaration    PatchError = "invalid-entity-declaration"
	ErrInvalidNamespacePrefix      PatchError = "invalid-namespace-prefix"
	ErrInvalidNamespaceURI         PatchError = "invalid-namespace-uri"
	ErrInvalidNodeTypes            PatchError = "invalid-node-types"
	ErrInvalidPatchDirective       PatchError = "invalid-patch-directive"
	ErrInvalidRootElementOperation PatchError = "invalid-root-element-operation"
	ErrInvalidXMLPrologOperation   PatchError = "invalid-xml-prolog-operation"
	ErrInvalidWhitespaceDirective  PatchError = "invalid-whitespace-directive"
	ErrUnlocatedNode               PatchError = "unlocated-node"
	ErrUnsupportedIDFunction       PatchError = "unsupported-id-function"
	ErrUnsupportedXMLID            PatchError = "unsupported-xml-id"
)

// Error returns the condition's name.
func (e PatchError) Error() string { return string(e) }

// patchWork bounds what applying a patch may cost, in readings of a document of
// the limits' size: after each operation the document is read again, and each
// predicate of a selector may look at all of it.
const patchWork = 64

// Patch is a list of patch operations (RFC 5261, 4) that has been checked as far
// as it can be without the document that it is for.
type Patch struct {
	diff *Doc
	ops  []op
}

type opKind uint8

const (
	opAdd opKind = iota
	opReplace
	opRemove
)

// op is one operation.
type op struct {
	kind opKind
	node Node // its element
	sel  selector
	// Of add: what is added, stepElement if it is the content; and where to.
	added step
	pos   string
	ws    string // of remove
}

// ParsePatch reads the operations that are the children of element n of diff:
// elements add, replace and remove of that namespace. The Patch keeps diff, which
// must not change.
func ParsePatch(diff *Doc, n Node, space string) (*Patch, error) {
	p := &Patch{diff: diff}
	for c := diff.FirstChild(n); c != None; c = diff.Next(c) {
		switch diff.Kind(c) {
		case KindComment, KindPI:
			continue
		case KindElement:
		default:
			if diff.IsSpace(c) {
				continue
			}
			return nil, fmt.Errorf("%w: text between the operations", ErrInvalidDiffFormat)
		}
		kind := slices.Index([]string{"add", "replace", "remove"}, diff.Local(c))
		if diff.Space(c) != space || kind < 0 {
			return nil, fmt.Errorf("%w: <%s> is no operation", ErrInvalidDiffFormat, clip(diff.Local(c)))
		}
		o, err := p.read(opKind(kind), c)
		if err != nil {
			return nil, fmt.Errorf("operation %d: %w", len(p.ops)+1, err)
		}
		p.ops = append(p.ops, o)
	}
	return p, nil
}

// Len returns the number of operations.
func (p *Patch) Len() int { return len(p.ops) }

func (p *Patch) read(kind opKind, n Node) (op, error) {
	o := op{kind: kind, node: n}
	sel, typ := "", ""
	for i := range p.diff.NumAttrs(n) {
		a := p.diff.AttrAt(n, i)
		if a.Declares() || a.Space() != "" {
			continue
		}
		switch name := a.Local(); {
		case name == "sel":
			sel = a.Value()
		case name == "pos" && kind == opAdd:
			o.pos = a.Value()
		case name == "type" && kind == opAdd:
			if typ = a.Value(); typ == "" {
				return o, fmt.Errorf("%w: an empty type", ErrInvalidAttributeValue)
			}
		case name == "ws" && kind == opRemove:
			o.ws = a.Value()
		default:
			return o, fmt.Errorf("%w: unknown attribute %s", ErrInvalidDiffFormat, clip(name))
		}
		if a.Value() == "" {
			return o, fmt.Errorf("%w: an empty %s", ErrInvalidAttributeValue, a.Local())
		}
	}
	var err error
	if o.sel, err = p.diff.selector(n, sel); err != nil {
		return o, err
	}
	switch kind {
	case opAdd:
		return o, p.readAdd(&o, typ)
	case opRemove:
		return o, p.readRemove(&o)
	}
	return o, nil
}

func (p *Patch) readAdd(o *op, typ string) error {
	if k := o.sel.last().kind; k == stepAttr || k == stepNamespace {
		return fmt.Errorf("%w: nothing can be added to an attribute", ErrInvalidAttributeValue)
	}
	switch o.pos {
	case "", "prepend", "before", "after":
	default:
		return fmt.Errorf("%w: pos is none of prepend, before, after", ErrInvalidAttributeValue)
	}
	if typ == "" {
		return nil
	}
	if o.pos != "" {
		return fmt.Errorf("%w: pos and type exclude one another", ErrInvalidAttributeValue)
	}
	r := selectorReader{rest: typ, doc: p.diff, at: o.node}
	var err error
	if !strings.HasPrefix(typ, "@") && !strings.HasPrefix(typ, "namespace::") {
		return fmt.Errorf("%w: type is neither an attribute nor a namespace", ErrInvalidAttributeValue)
	}
	if o.added, err = r.step(); err != nil {
		return err
	}
	if r.rest != "" {
		return fmt.Errorf("%w: malformed type", ErrInvalidAttributeValue)
	}
	if o.added.kind == stepAttr {
		o.added.local, _, _ = strings.Cut(typ[1:], ":")
		if o.added.name.Space == "" {
			o.added.local = ""
		}
		if o.added.name == (Name{"", "xmlns"}) || o.added.local == "xmlns" {
			return fmt.Errorf("%w: a namespace is no attribute", ErrInvalidAttributeValue)
		}
	}
	return nil
}

func (p *Patch) readRemove(o *op) error {
	switch o.ws {
	case "", "before", "after", "both":
	default:
		return fmt.Errorf("%w: ws is none of before, after, both", ErrInvalidAttributeValue)
	}
	// RFC 5261, 4.5: not for texts, attributes and namespaces.
	if k := o.sel.last().kind; o.ws != "" && k != stepElement && k != stepComment && k != stepPI {
		return fmt.Errorf("%w: ws does not fit what is removed", ErrInvalidAttributeValue)
	}
	for c := p.diff.FirstChild(o.node); c != None; c = p.diff.Next(c) {
		if k := p.diff.Kind(c); k == KindElement || p.diff.isText(c) && !p.diff.IsSpace(c) {
			return fmt.Errorf("%w: a remove with content", ErrInvalidDiffFormat)
		}
	}
	return nil
}

// Apply makes the changes to a document, one after the other (RFC 5261, 4), and
// returns its new text. What no operation names stays byte for byte. The limits
// are for each document on the way.
func (p *Patch) Apply(src string, lim Limits) (string, error) {
	lim = lim.withDefaults()
	budget := patchWork * lim.MaxBytes
	var d Doc
	if err := d.Parse(src, lim); err != nil {
		return "", err
	}
	for i := range p.ops {
		o := &p.ops[i]
		if budget -= len(src) * (1 + o.sel.conds); budget < 0 {
			return "", fmt.Errorf("operation %d: %w: the patch costs too much", i+1, ErrTooLarge)
		}
		a := application{Patch: p, op: o, doc: &d, most: lim.MaxBytes}
		edit, err := a.edit()
		if err == nil {
			src = Splice(src, Span{0, len(src)}, []Edit{edit})
			if err = d.Parse(src, lim); err != nil && !errors.Is(err, ErrTooLarge) {
				err = fmt.Errorf("%w: the result: %w", ErrInvalidPatchDirective, err)
			}
		}
		if err != nil {
			return "", fmt.Errorf("operation %d: %w", i+1, err)
		}
	}
	return src, nil
}

// application is one operation on one document.
type application struct {
	*Patch
	*op
	doc  *Doc
	most int // bytes
}

func (a *application) edit() (Edit, error) {
	f, err := a.doc.locate(&a.sel)
	if err != nil {
		return Edit{}, err
	}
	switch {
	case a.kind == opRemove:
		return a.remove(f)
	case a.kind == opReplace:
		return a.replace(f)
	case a.added.kind == stepAttr:
		return a.addAttr(f)
	case a.added.kind == stepNamespace:
		return a.addNamespace(f)
	}
	return a.add(f)
}

// add puts the content in its place (RFC 5261, 4.3).
func (a *application) add(f found) (Edit, error) {
	d := a.doc
	parent, at := f.first, 0
	switch a.pos {
	case "before":
		parent, at = d.Parent(f.first), d.Span(f.first).Start
	case "after":
		parent, at = d.Parent(f.first), d.Span(f.last).End
	default:
		if f.kind != stepElement {
			return Edit{}, fmt.Errorf("%w: only an element has children", ErrInvalidPatchDirective)
		}
		if in := d.Inner(f.first); a.pos == "prepend" {
			at = in.Start
		} else {
			at = in.End
		}
	}
	if parent == Document {
		if err := a.besideRoot(); err != nil {
			return Edit{}, err
		}
	}
	text, err := a.content(parent)
	if err != nil || text == "" {
		return Edit{Span: Span{at, at}}, err
	}
	if e := &d.nodes[parent]; e.kind == KindElement && e.closing == e.end && a.pos != "before" && a.pos != "after" {
		return Edit{Span{at - len("/>"), at}, ">" + text + "</" + d.qname(parent) + ">"}, nil
	}
	return Edit{Span{at, at}, text}, nil
}

// besideRoot checks what is added outside of the root.
func (a *application) besideRoot() error {
	for c := a.diff.FirstChild(a.node); c != None; c = a.diff.Next(c) {
		switch {
		case a.diff.Kind(c) == KindElement:
			return fmt.Errorf("%w: a second root", ErrInvalidRootElementOperation)
		case a.diff.isText(c) && !a.diff.IsSpace(c):
			return fmt.Errorf("%w: text beside the root", ErrInvalidXMLPrologOperation)
		}
	}
	return nil
}

// plain reads content that is to be text alone: of a value, where CDATA sections
// are wrong too.
func (a *application) plain(wrong PatchError) (string, error) {
	for c := a.diff.FirstChild(a.node); c != None; c = a.diff.Next(c) {
		switch a.diff.Kind(c) {
		case KindText:
		case KindCData:
			return "", fmt.Errorf("%w: a CDATA section in the value of an attribute", ErrInvalidAttributeValue)
		default:
			return "", fmt.Errorf("%w: a value that is no text", wrong)
		}
	}
	return a.diff.Text(a.node), nil
}

func (a *application) addAttr(f found) (Edit, error) {
	d, name := a.doc, a.added.name
	value, err := a.plain(ErrInvalidAttributeValue)
	if err != nil {
		return Edit{}, err
	}
	if f.kind != stepElement {
		return Edit{}, fmt.Errorf("%w: only an element has attributes", ErrInvalidPatchDirective)
	}
	if _, ok := d.Find(f.first, name.Space, name.Local); ok {
		return Edit{}, fmt.Errorf("%w: the attribute exists", ErrInvalidAttributeValue)
	}
	prefix := ""
	if name.Space != "" {
		m := a.mangler(f.first)
		if prefix, err = m.prefix(a.added.local, name.Space, true); err != nil {
			return Edit{}, err
		}
		prefix += ":"
	}
	at := d.NameEnd(f.first)
	if n := d.NumAttrs(f.first); n > 0 {
		at = d.AttrAt(f.first, n-1).Span().End
	}
	return Edit{Span{at, at}, " " + prefix + name.Local + `="` + EscapeAttr(value) + `"`}, nil
}

// addNamespace declares a prefix. A prefix that names below already have from
// above cannot be bound anew without changing them.
func (a *application) addNamespace(f found) (Edit, error) {
	d, prefix := a.doc, a.added.local
	uri, err := a.plain(ErrInvalidNamespaceURI)
	switch {
	case err != nil:
		return Edit{}, err
	case uri == "":
		return Edit{}, fmt.Errorf("%w: an empty one", ErrInvalidNamespaceURI)
	case f.kind != stepElement:
		return Edit{}, fmt.Errorf("%w: only an element declares namespaces", ErrInvalidPatchDirective)
	case d.declares(f.first, prefix) || d.usesBinding(f.first, prefix, false):
		return Edit{}, fmt.Errorf("%w: prefix %s is in use", ErrInvalidNamespacePrefix, clip(prefix))
	}
	at := d.NameEnd(f.first)
	for i := range d.NumAttrs(f.first) {
		if attr := d.AttrAt(f.first, i); attr.Declares() {
			at = attr.Span().End
		}
	}
	return Edit{Span{at, at}, string(AppendBinding(nil, Binding{prefix, uri}))}, nil
}

// usesBinding reports whether a name in n's subtree has the prefix as n itself
// declares it, or as it is declared above n.
func (d *Doc) usesBinding(n Node, prefix string, own bool) bool {
	is := func(bind int32) bool {
		if bind == noBinding || d.binds[bind].prefix != prefix {
			return false
		}
		owner := d.binds[bind].owner
		return own && owner == n || !own && owner < n
	}
	for i, end := n, d.After(n); i < end; i++ {
		if d.nodes[i].kind != KindElement {
			continue
		}
		if is(d.nodes[i].bind) {
			return true
		}
		for k := range d.NumAttrs(i) {
			if at := d.AttrAt(i, k).at; !at.declares && is(at.bind) {
				return true
			}
		}
	}
	return false
}

// replace puts the content in the place of one node (RFC 5261, 4.4).
func (a *application) replace(f found) (Edit, error) {
	d := a.doc
	switch f.kind {
	case stepAttr:
		value, err := a.plain(ErrInvalidNodeTypes)
		return a.newValue(f, value), err
	case stepNamespace:
		uri, err := a.plain(ErrInvalidNodeTypes)
		if err == nil && uri == "" {
			err = fmt.Errorf("%w: an empty one", ErrInvalidNamespaceURI)
		}
		return a.newValue(f, uri), err
	case stepText:
		for c := a.diff.FirstChild(a.node); c != None; c = a.diff.Next(c) {
			if !a.diff.isText(c) {
				return Edit{}, fmt.Errorf("%w: text is replaced by text only", ErrInvalidNodeTypes)
			}
		}
	default:
		kinds := []Kind{}
		for c := a.diff.FirstChild(a.node); c != None; c = a.diff.Next(c) {
			if !a.diff.IsSpace(c) { // white space is the operation's own lines
				kinds = append(kinds, a.diff.Kind(c))
			}
		}
		if len(kinds) != 1 || kinds[0] != d.Kind(f.first) {
			return Edit{}, fmt.Errorf("%w: a node is replaced by one of its kind", ErrInvalidNodeTypes)
		}
	}
	text, err := a.content(d.Parent(f.first))
	if f.kind != stepText {
		text = strings.Trim(text, " \t\r\n")
	}
	return Edit{Span{d.Span(f.first).Start, d.Span(f.last).End}, text}, err
}

// newValue replaces an attribute's value, quotes and all.
func (a *application) newValue(f found, value string) Edit {
	span := a.doc.AttrAt(f.first, f.attr).ValueSpan()
	return Edit{Span{span.Start - 1, span.End + 1}, `"` + EscapeAttr(value) + `"`}
}

// remove takes a node away (RFC 5261, 4.5).
func (a *application) remove(f found) (Edit, error) {
	d := a.doc
	span := Span{d.Span(f.first).Start, d.Span(f.last).End}
	switch f.kind {
	case stepAttr, stepNamespace:
		attr := d.AttrAt(f.first, f.attr)
		if attr.Declares() && d.usesBinding(f.first, attr.Prefix(), true) {
			return Edit{}, fmt.Errorf("%w: prefix %s is in use", ErrInvalidNamespacePrefix, clip(attr.Prefix()))
		}
		span = attr.Span()
		for isSpace(d.src[span.Start-1]) {
			span.Start--
		}
		return Edit{Span: span}, nil
	case stepElement:
		if f.first == d.Root() {
			return Edit{}, fmt.Errorf("%w: the root cannot be removed", ErrInvalidRootElementOperation)
		}
	}
	if a.ws == "before" || a.ws == "both" {
		n := d.textBefore(f.first)
		if !d.isWhite(n) {
			return Edit{}, fmt.Errorf("%w: no white space before", ErrInvalidWhitespaceDirective)
		}
		span.Start = d.Span(n).Start
	}
	if a.ws == "after" || a.ws == "both" {
		n := d.Next(f.last)
		if !d.isWhite(n) {
			return Edit{}, fmt.Errorf("%w: no white space after", ErrInvalidWhitespaceDirective)
		}
		span.End = d.Span(d.textEnd(n)).End
	}
	return Edit{Span: span}, nil
}

// textBefore returns the first of the texts right before n, None if there is none.
func (d *Doc) textBefore(n Node) Node {
	start := None
	for c := d.nodes[d.nodes[n].parent].first; c != n; c = d.nodes[c].next {
		switch {
		case !d.isText(c):
			start = None
		case start == None:
			start = c
		}
	}
	return start
}

// isWhite reports whether the text that starts with n is of white space alone.
// Outside of the root there is no text.
func (d *Doc) isWhite(n Node) bool {
	if n == None || !d.isText(n) || d.nodes[n].parent == Document {
		return false
	}
	for last := d.textEnd(n); ; n = d.nodes[n].next {
		s := d.Raw(n)
		if d.nodes[n].kind == KindCData {
			s = s[len(cdataOpen) : len(s)-len(cdataClose)]
		}
		if skipSpace(s, 0) < len(s) {
			return false
		}
		if n == last {
			return true
		}
	}
}
