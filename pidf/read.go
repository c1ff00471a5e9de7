package pidf

import (
	"slices"
	"strings"

	"github.com/tacit-presence/tacit/xmltree"
)

// reader reads one document.
type reader struct {
	Tolerances
	tree  *xmltree.Doc
	doc   *Document
	edits []xmltree.Edit // what must be put right, in order
}

// child is a child element with its rank: children stand in the order of rank.
type child struct {
	node xmltree.Node
	rank rank
}

type rank uint8

// The ranks of the children of a tuple (RFC 3863, 4.1.2), and of a person or
// device (RFC 4479, 5.1), whose own elements follow the others.
const (
	rankStatus rank = iota
	rankExtension
	rankDeviceID
	rankContact
	rankNote
	rankTimestamp
	rankIgnored
)

func (r *reader) root() error {
	tree, root := r.tree, r.tree.Root()
	if !tree.Is(root, Space, "presence") {
		return bad("the root is <%s> of namespace %q, not <presence> of %s", tree.Local(root), tree.Space(root), Space)
	}
	if err := r.scope(root); err != nil {
		return err
	}
	r.doc.entity, _ = tree.Attr(root, "", "entity")
	r.doc.entity = trim(r.doc.entity)
	if r.doc.entity == "" {
		return bad("<presence> has no entity")
	}
	parts, ids := r.count(root)
	if parts > maxParts {
		return bad("<presence> has more than %d elements", maxParts)
	}
	r.doc.parts = make([]Part, 0, parts)
	if r.doc.ids = r.doc.fewIDs[:0]; ids > cap(r.doc.ids) {
		r.doc.ids = make([]ID, 0, ids)
	}
	last := Tuple
	for n := tree.FirstChild(root); n != xmltree.None; n = tree.Next(n) {
		ok, err := r.isElement(n, "presence")
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		kind, known := r.kind(n)
		if !known {
			r.remove(n)
			continue
		}
		if err := r.part(n, kind); err != nil {
			return err
		}
		place := min(kind, Person) // from here on the order is free
		if place < last && !r.RootOrder {
			return bad("<%s> must not stand so late in <presence>", kind.String())
		}
		last = max(last, place)
	}
	return nil
}

// scope reads what the root says for all parts.
func (r *reader) scope(root xmltree.Node) error {
	declared, size := 0, 0
	for i := range r.tree.NumAttrs(root) {
		if a := r.tree.AttrAt(root, i); a.Declares() {
			declared++
			size += len(a.Raw())
		}
	}
	if size > maxDeclared {
		return bad("<presence> declares namespaces in more than %d bytes", maxDeclared)
	}
	if r.doc.bindings = r.doc.fewBindings[:0]; declared > cap(r.doc.bindings) {
		r.doc.bindings = make([]xmltree.Binding, 0, declared)
	}
	for i := range r.tree.NumAttrs(root) {
		if a := r.tree.AttrAt(root, i); a.Declares() && a.Prefix() != "xml" {
			r.doc.bindings = append(r.doc.bindings, xmltree.Binding{Prefix: a.Prefix(), Space: a.Value()})
		}
	}
	r.doc.lang, _ = r.tree.Attr(root, xmltree.XMLSpace, "lang")
	if len(r.doc.lang) > maxLang {
		return bad("xml:lang of <presence> has more than %d bytes", maxLang)
	}
	return nil
}

// count finds how many parts and ids there are at most.
func (r *reader) count(root xmltree.Node) (parts, ids int) {
	for n := r.tree.FirstElement(root); n != xmltree.None; n = r.tree.NextElement(n) {
		parts++
	}
	for n := root + 1; n < xmltree.Node(r.tree.Len()); n++ {
		if r.tree.Kind(n) == xmltree.KindElement && r.tree.NumAttrs(n) > 0 {
			if _, ok := r.tree.Find(n, "", "id"); ok {
				ids++
			}
		}
	}
	return parts, ids
}

// isElement refuses text where elements only may be.
func (r *reader) isElement(n xmltree.Node, parent string) (bool, error) {
	switch r.tree.Kind(n) {
	case xmltree.KindElement:
		return true, nil
	case xmltree.KindText:
		if r.tree.IsSpace(n) {
			return false, nil
		}
		return false, bad("<%s> has text between its elements", parent)
	case xmltree.KindCData:
		return false, bad("<%s> has text between its elements", parent)
	default:
		return false, nil
	}
}

// kind finds what a child of the root is; unknown is what must be ignored.
func (r *reader) kind(n xmltree.Node) (kind Kind, known bool) {
	local := r.tree.Local(n)
	switch r.tree.Space(n) {
	case "":
		return 0, false
	case Space:
		switch local {
		case "tuple":
			return Tuple, true
		case "note":
			return Note, true
		}
		return 0, false
	case DataModelSpace:
		switch local {
		case "person":
			return Person, true
		case "device":
			return Device, true
		}
	}
	return Extension, true
}

func (r *reader) part(n xmltree.Node, kind Kind) error {
	p := Part{
		Kind: kind, Priority: NoPriority, Span: r.tree.Span(n), NameEnd: r.tree.NameEnd(n),
		OuterDefault: r.tree.UsesOuterDefault(n), ids: int32(len(r.doc.ids)),
	}
	r.own(n, &p)
	var err error
	switch kind {
	case Note:
		p.Lang = r.doc.lang
		if p.HasLang {
			p.Lang, _ = r.tree.Attr(n, xmltree.XMLSpace, "lang")
		}
		p.Text, err = r.simple(n)
	case Tuple, Person, Device:
		err = r.component(n, &p)
	}
	if err == nil {
		err = r.nestedIDs(n)
	}
	p.endIDs = int32(len(r.doc.ids))
	r.doc.parts = append(r.doc.parts, p)
	return err
}

// own reads what a part's element says that the root could have said for it.
func (r *reader) own(n xmltree.Node, p *Part) {
	_, p.HasLang = r.tree.Attr(n, xmltree.XMLSpace, "lang")
	for i := range r.tree.NumAttrs(n) {
		if a := r.tree.AttrAt(n, i); a.Declares() && a.Prefix() != "" {
			p.Declares = append(p.Declares, a.Prefix())
		}
	}
}

// component reads a tuple, person or device.
func (r *reader) component(n xmltree.Node, p *Part) error {
	name := p.Kind.String()
	id, ok := r.tree.Find(n, "", "id")
	if !ok {
		return bad("<%s> has no id", name)
	}
	if err := r.addID(id, name); err != nil {
		return err
	}
	p.ID = r.doc.ids[len(r.doc.ids)-1].Value
	firstEdit, last, sorted := len(r.edits), rankStatus, true
	var seen [rankIgnored + 1]int
	for c := r.tree.FirstChild(n); c != xmltree.None; c = r.tree.Next(c) {
		ok, err := r.isElement(c, name)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		rank := r.rank(c, p.Kind)
		if seen[rank]++; seen[rank] > 1 && rank != rankExtension && rank != rankNote && rank != rankIgnored {
			return bad("<%s id=%q> has two <%s>", name, p.ID, r.tree.Local(c))
		}
		if err := r.child(c, rank, p); err != nil {
			return err
		}
		if rank != rankIgnored {
			sorted, last = sorted && rank >= last, rank
		}
	}
	if p.Kind == Tuple && seen[rankStatus] == 0 {
		return bad("<tuple id=%q> has no <status>", p.ID)
	}
	if p.Kind == Device && p.DeviceID == "" {
		return bad("<device id=%q> has no <deviceID>", p.ID)
	}
	if sorted {
		return nil
	}
	return r.sort(n, firstEdit, func(c xmltree.Node) rank { return r.rank(c, p.Kind) })
}

// rank finds a child's place.
func (r *reader) rank(c xmltree.Node, in Kind) rank {
	local, own := r.tree.Local(c), DataModelSpace
	if in == Tuple {
		own = Space
	}
	switch r.tree.Space(c) {
	case "":
		return rankIgnored
	case own:
	default:
		return rankExtension
	}
	switch {
	case local == "note":
		return rankNote
	case local == "timestamp":
		return rankTimestamp
	case in == Tuple && local == "status":
		return rankStatus
	case in == Tuple && local == "contact":
		return rankContact
	case in == Device && local == "deviceID":
		return rankDeviceID
	}
	return rankIgnored
}

// child reads a child of a tuple, person or device.
func (r *reader) child(c xmltree.Node, rank rank, p *Part) (err error) {
	switch rank {
	case rankIgnored:
		r.remove(c)
	case rankStatus:
		p.Basic, err = r.status(c, p.ID)
	case rankContact:
		if p.Contact, err = r.simple(c); err == nil {
			p.Priority = r.priority(c)
		}
	case rankNote:
		_, err = r.simple(c)
	case rankDeviceID:
		p.DeviceID, err = r.simple(c)
	case rankTimestamp:
		if p.Timestamp, err = r.simple(c); err == nil && !isDateTime(p.Timestamp) {
			err = bad("<timestamp> of <%s id=%q> is no date and time", p.Kind.String(), p.ID)
		}
	case rankExtension:
		switch {
		case p.Kind == Tuple && r.tree.Is(c, DataModelSpace, "deviceID"):
			p.DeviceID, err = r.simple(c)
		case r.tree.Is(c, RPIDSpace, "class"):
			p.Class, err = r.simple(c)
		case p.Kind == Tuple && r.tree.Is(c, OMASpace, "service-description"):
			p.ServiceID = r.serviceID(c)
		}
	}
	return err
}

// serviceID reads a service-description. What is wrong in it is not PIDF's to
// refuse; then it has no service-id.
func (r *reader) serviceID(description xmltree.Node) string {
	for c := r.tree.FirstElement(description); c != xmltree.None; c = r.tree.NextElement(c) {
		if r.tree.Is(c, OMASpace, "service-id") {
			id, _ := r.simple(c)
			return id
		}
	}
	return ""
}

// status reads a tuple's status. RFC 3863, 4.1.3 wants a child in it; the schema
// does not, and what is left of a status of an unknown basic has none.
func (r *reader) status(n xmltree.Node, tuple string) (Basic, error) {
	firstEdit, basic, late := len(r.edits), xmltree.None, false
	for c := r.tree.FirstChild(n); c != xmltree.None; c = r.tree.Next(c) {
		ok, err := r.isElement(c, "status")
		if err != nil {
			return Absent, err
		}
		if !ok {
			continue
		}
		switch r.statusRank(c) {
		case rankIgnored:
			r.remove(c)
		case rankStatus:
			if basic != xmltree.None {
				return Absent, bad("<status> of <tuple id=%q> has two <basic>", tuple)
			}
			basic = c
			late = c != r.tree.FirstElement(n)
			if err := r.trimBasic(c, tuple); err != nil {
				return Absent, err
			}
		}
	}
	value := r.basic(basic)
	if late {
		return value, r.sort(n, firstEdit, r.statusRank)
	}
	return value, nil
}

// statusRank finds the place of a child of a status: basic, then others.
func (r *reader) statusRank(c xmltree.Node) rank {
	switch {
	case r.tree.Is(c, Space, "basic"):
		return rankStatus
	case r.tree.Space(c) == "" || r.tree.Space(c) == Space:
		return rankIgnored
	}
	return rankExtension
}

func (r *reader) basic(n xmltree.Node) Basic {
	if n == xmltree.None {
		return Absent
	}
	switch trim(r.tree.Text(n)) {
	case Open.String():
		return Open
	case Closed.String():
		return Closed
	}
	return Absent
}

// trimBasic checks a basic and puts it right: white space in it is as wrong as a
// value that is none (RFC 3863, 4.4), but harmless.
func (r *reader) trimBasic(n xmltree.Node, tuple string) error {
	if _, err := r.simple(n); err != nil {
		return err
	}
	value, in := r.basic(n), r.tree.Inner(n)
	switch {
	case value == Absent && !r.UnknownBasic:
		return bad("<basic> of <tuple id=%q> is neither open nor closed", tuple)
	case value == Absent:
		r.remove(n)
	case r.tree.Source()[in.Start:in.End] != value.String():
		r.edits = append(r.edits, xmltree.Edit{Span: in, Text: value.String()})
	}
	return nil
}

// priority reads a contact's priority, and removes one that is out of range.
func (r *reader) priority(contact xmltree.Node) int16 {
	a, ok := r.tree.Find(contact, "", "priority")
	if !ok {
		return NoPriority
	}
	v, ok := thousandths(a.Value())
	if !ok {
		span := a.Span()
		span.Start-- // the white space before it
		r.edits = append(r.edits, xmltree.Edit{Span: span})
		return NoPriority
	}
	return v
}

// simple reads an element that has text only, without the white space around it.
func (r *reader) simple(n xmltree.Node) (string, error) {
	if r.tree.FirstElement(n) != xmltree.None {
		return "", bad("<%s> has elements in its text", r.tree.Local(n))
	}
	return trim(r.tree.Text(n)), nil
}

// nestedIDs reads the ids of RPID's elements.
func (r *reader) nestedIDs(n xmltree.Node) error {
	for i, end := n+1, r.tree.After(n); i < end; i++ {
		if r.tree.Kind(i) != xmltree.KindElement || r.tree.NumAttrs(i) == 0 || r.tree.Space(i) != RPIDSpace {
			continue
		}
		if id, ok := r.tree.Find(i, "", "id"); ok {
			if err := r.addID(id, r.tree.Local(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *reader) addID(a xmltree.Attr, element string) error {
	value := trim(a.Value())
	if !xmltree.IsNCName(value) {
		return bad("id %q of <%s> is no XML name", value, element)
	}
	r.doc.ids = append(r.doc.ids, ID{value, a.ValueSpan()})
	return nil
}

func (r *reader) remove(n xmltree.Node) {
	r.edits = append(r.edits, xmltree.Edit{Span: r.tree.Span(n)})
}

// sort puts n's child elements in the order of their ranks; those to be ignored
// and comments between them are dropped. The edits from first on are n's.
func (r *reader) sort(n xmltree.Node, first int, rankOf func(xmltree.Node) rank) error {
	if !r.ChildOrder {
		return bad("the elements in <%s> are not in order", r.tree.Local(n))
	}
	var order []child
	for c := r.tree.FirstElement(n); c != xmltree.None; c = r.tree.NextElement(c) {
		if rank := rankOf(c); rank != rankIgnored {
			order = append(order, child{c, rank})
		}
	}
	slices.SortStableFunc(order, func(a, b child) int { return int(a.rank) - int(b.rank) })
	var b strings.Builder
	inner, text := r.tree.Inner(n), r.tree.Source()
	for _, c := range order {
		chunk := r.tree.Span(c.node)
		for chunk.Start > inner.Start && isSpace(text[chunk.Start-1]) {
			chunk.Start--
		}
		b.WriteString(xmltree.Splice(text, chunk, r.within(first, chunk)))
	}
	last := inner.End
	for last > inner.Start && isSpace(text[last-1]) {
		last--
	}
	b.WriteString(text[last:inner.End])
	r.edits = append(r.edits[:first], xmltree.Edit{Span: inner, Text: b.String()})
	return nil
}

// within returns the edits from first on that lie in s.
func (r *reader) within(first int, s xmltree.Span) []xmltree.Edit {
	lo, _ := slices.BinarySearchFunc(r.edits[first:], s.Start, func(e xmltree.Edit, start int) int { return e.Start - start })
	lo += first
	hi := lo
	for hi < len(r.edits) && r.edits[hi].End <= s.End {
		hi++
	}
	return r.edits[lo:hi]
}
