package agent

import (
	"slices"
	"strings"
	"time"

	"github.com/tacit-presence/tacit/notifier"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/xcapdiff"
	"github.com/tacit-presence/tacit/xmltree"
)

const (
	// EventXCAPDiff is the event package of RFC 5875.
	EventXCAPDiff = "xcap-diff"
	// defaultDiffExpires is the package's (RFC 5875, 4.5).
	defaultDiffExpires = time.Hour
	// maxShown bounds what is looked at of elements and attributes for one NOTIFY,
	// in bytes: several of the largest documents. Of what is beyond it there is
	// told that it is there, and not what it says.
	maxShown = 1 << 20
	// maxAttributes bounds the values of the attributes of one NOTIFY, in bytes:
	// they cannot be left out as an element's content can. One that is beyond it
	// is taken for one that does not exist.
	maxAttributes = 16 << 10
)

// XCAPTrees is what package xcap knows of the names of XCAP resources.
type XCAPTrees interface {
	// Root is the URI of the XCAP root, with a slash at its end.
	Root() string
	// Resolve reads a URI that a watcher has named.
	Resolve(uri string) (xcapdiff.Resource, error)
	// User is how a user's documents are named: a segment of a path.
	User(p presence.Presentity) string
	// Made are the documents that the server itself makes and that a user may read
	// who has those documents, sorted by name: what the XCAP server gives him.
	Made(p presence.Presentity, docs []Document) []ReadableDocument
}

// ReadableDocument is a document that a user may read: of his own tree, or of the
// global one.
type ReadableDocument struct {
	Document
	Tree xcapdiff.Tree
}

// diffMode is how changes of documents are told (RFC 5875, 4.3). The zero value
// tells nothing but that there are some.
type diffMode uint8

const (
	noPatching diffMode = iota
	xcapPatching
	aggregate
)

var diffModes = [...]string{noPatching: "", xcapPatching: "xcap-patching", aggregate: "aggregate"}

// diffWatch is what is kept of a subscription to XCAP resources.
type diffWatch struct {
	mode  diffMode
	named []xcapdiff.Resource
	sum   uint64 // of what was named, in whatever order
	// states are what it is known to have, if anything, and what it has been told
	// since; oldest first.
	states []*diffState
}

// maxStates bounds what is remembered of NOTIFYs that may have arrived or not.
const maxStates = 4

// diffState is the state of all that one subscription names.
type diffState struct {
	sum   uint64
	at    uint64 // how many steps of documents led to it
	stale bool   // told before the last SUBSCRIBE
	docs  []diffDocument
	parts []diffPart
}

// diffDocument is a document that is there.
type diffDocument struct {
	DocumentName
	sel  string
	etag presence.EntityTag
}

// diffPart is an element or attribute that is there.
type diffPart struct {
	kind xcapdiff.Kind
	sel  string
	hash uint64 // of what it says
}

// xcapDiffPackage is the event package "xcap-diff" (RFC 5875): who subscribes
// learns of changes of the XCAP documents that he may read: his own, nobody else's,
// and what the server makes for him.
type xcapDiffPackage struct{ shard *Shard }

// Name is the package's name.
func (*xcapDiffPackage) Name() presence.EventPackage { return EventXCAPDiff }

var diffTypes, diffLists = []string{xcapdiff.ContentType}, []string{xcapdiff.ListType}

// Accepts lists the one format that there is.
func (*xcapDiffPackage) Accepts() []string { return diffTypes }

// DefaultExpires is an hour.
func (*xcapDiffPackage) DefaultExpires() time.Duration { return defaultDiffExpires }

// Bodies lists what a SUBSCRIBE names resources with.
func (*xcapDiffPackage) Bodies() []string { return diffLists }

// watchOf finds or makes what is kept of a subscription.
func watchOf(sub *notifier.Subscription) *diffWatch {
	w, ok := sub.Data().(*diffWatch)
	if !ok {
		w = &diffWatch{}
		sub.SetData(w)
	}
	return w
}

// Ask reads the list of resources that a watcher names.
func (k *xcapDiffPackage) Ask(sub *notifier.Subscription, _, body string) (keep string, err error) {
	uris, err := xcapdiff.ParseList(body)
	if err != nil {
		return "", err
	}
	k.name(watchOf(sub), uris)
	return strings.Join(uris, "\n"), nil
}

// Recall takes the list that was kept.
func (k *xcapDiffPackage) Recall(sub *notifier.Subscription, keep string) error {
	k.name(watchOf(sub), strings.Split(keep, "\n"))
	return nil
}

// name sets what a subscription is to. What nobody can have is no error
// (RFC 5875, 4.7); there will never be anything to tell of it.
func (k *xcapDiffPackage) name(w *diffWatch, uris []string) {
	w.named, w.sum = nil, 0
	seen := map[string]bool{}
	for _, uri := range uris {
		if seen[uri] {
			continue
		}
		seen[uri] = true
		w.sum += xcapdiff.Hash(uri)
		if k.shard.cfg.Trees == nil {
			continue
		}
		r, err := k.shard.cfg.Trees.Resolve(uri)
		same := func(old xcapdiff.Resource) bool { return old.Sel == r.Sel }
		if err == nil && !slices.ContainsFunc(w.named, same) {
			w.named = append(w.named, r)
		}
	}
}

// Parameters reads diff-processing. A value that is not known is the least.
func (*xcapDiffPackage) Parameters(sub *notifier.Subscription, params string) (keep string) {
	w := watchOf(sub)
	for _, st := range w.states {
		st.stale = true
	}
	v, _ := sip.HeaderParam(params, "diff-processing")
	w.mode = noPatching
	for mode, name := range diffModes {
		if name != "" && strings.EqualFold(v, name) {
			w.mode = diffMode(mode)
		}
	}
	if w.mode == noPatching {
		return ""
	}
	return ";diff-processing=" + diffModes[w.mode]
}

// Decide lets in everybody who is known (RFC 5875, 7), whatever he names: of what
// he may not read he is not told that it is there (4.7).
func (*xcapDiffPackage) Decide(sub *notifier.Subscription, _ time.Time) notifier.Grant {
	if !sub.Watcher.Known() {
		return notifier.Grant{}
	}
	return notifier.Grant{State: notifier.Active}
}

// Render gives all that is there of what the subscription names, or where it is
// known what the subscriber has, what has changed since.
func (k *xcapDiffPackage) Render(sub *notifier.Subscription, _ time.Time) notifier.Body {
	p, w := sub.Resource.Owner.(*presentity), watchOf(sub)
	now, parts := k.state(p, sub.Watcher, w)
	var d xcapdiff.Diff
	if k.shard.cfg.Trees != nil {
		d.Root = k.shard.cfg.Trees.Root()
	}
	told := sub.Told()
	if old := w.state(told); old != nil {
		d.Items = p.changesSince(w.mode, old, now, parts)
	} else {
		d.Items = append(all(now, parts), w.lost(now)...)
	}
	fit(sub, d.Items)
	w.keep(now, told)
	return notifier.FromXCAPDiff(d.Render(now.sum))
}

// all tells a whole state.
func all(now *diffState, parts []xcapdiff.Item) []xcapdiff.Item {
	items := make([]xcapdiff.Item, 0, len(now.docs)+len(parts))
	for _, d := range now.docs {
		items = append(items, xcapdiff.Item{Sel: d.sel, Is: d.etag})
	}
	return append(items, parts...)
}

// state works out what there is of what w names. It is what the owner may read, or
// nothing: the XCAP server lets in its users alone.
func (k *xcapDiffPackage) state(p *presentity, who presence.Principal, w *diffWatch) (*diffState, []xcapdiff.Item) {
	st := &diffState{sum: w.sum, at: p.steps.count()}
	own := k.shard.cfg.Owner(p.Presentity)
	var parts []xcapdiff.Item
	if slices.Contains(own, who.AOR()) {
		v := partsView{shown: maxShown, attributes: maxAttributes}
		docs := k.shard.readable(p, w)
		for i := range docs {
			v.doc, v.parsed = &docs[i], nil
			k.document(p, w, own, st, &v)
		}
		parts = v.items
		st.parts = v.parts
	}
	for _, d := range st.docs {
		st.sum += xcapdiff.Hash("document", d.sel, string(d.etag))
	}
	for _, part := range st.parts {
		st.sum += xcapdiff.Hash(part.kind.String(), part.sel) ^ part.hash
	}
	st.sum = max(st.sum, 1)
	return st, parts
}

// readable lists the documents of which w may name some, sorted by name.
// RFC 5875, 4.7: all that may be read, so what the server makes as well.
func (s *Shard) readable(p *presentity, w *diffWatch) []ReadableDocument {
	list := make([]ReadableDocument, 0, len(p.docs)+2)
	for _, d := range p.docs {
		list = append(list, ReadableDocument{d.Document, xcapdiff.UserTree})
	}
	if w.made() {
		list = append(list, s.cfg.Trees.Made(p.Presentity, s.Documents(p.Presentity))...)
		slices.SortFunc(list, func(a, b ReadableDocument) int { return a.compare(b.DocumentName) })
	}
	return list
}

// made reports whether w names documents that the server makes.
func (w *diffWatch) made() bool {
	return slices.ContainsFunc(w.named, func(r xcapdiff.Resource) bool { return r.Made })
}

// document enters one document, and the parts of it, as far as w names them. One
// that is named by itself and in a collection is told once (RFC 5875, 4.7).
func (k *xcapDiffPackage) document(p *presentity, w *diffWatch, own []presence.AOR, st *diffState, v *partsView) {
	sel, single, user := "", false, ""
	if v.doc.Tree != xcapdiff.GlobalTree {
		user = k.shard.cfg.Trees.User(p.Presentity)
	}
	for i := range w.named {
		r := &w.named[i]
		switch {
		case !r.Names(v.doc.Tree, v.doc.AUID, v.doc.Path) || r.User != "" && !slices.Contains(own, r.User):
		case r.Part != nil:
			v.add(r)
		case !r.Collection && !single:
			sel, single = r.Sel, true
		case r.Collection && sel == "":
			sel = r.SelOf(v.doc.AUID, user, v.doc.Path)
		}
	}
	if sel != "" {
		st.docs = append(st.docs, diffDocument{v.doc.DocumentName, sel, v.doc.ETag})
	}
}

// partsView collects parts of documents.
type partsView struct {
	doc        *ReadableDocument
	parsed     *xmltree.Doc // doc, once it is needed
	shown      int          // bytes that may still be looked at
	attributes int          // bytes of attributes that may still be told
	items      []xcapdiff.Item
	parts      []diffPart
}

// add enters a part of the document, if it is there.
func (v *partsView) add(r *xcapdiff.Resource) {
	if v.parsed == nil {
		lim := xmltree.DefaultLimits()
		lim.MaxBytes, lim.MaxNodes = max(lim.MaxBytes, len(v.doc.Body)), max(lim.MaxNodes, len(v.doc.Body))
		var err error
		if v.parsed, err = xmltree.Parse(v.doc.Body, lim); err != nil {
			return // a document that was kept does parse
		}
	}
	item, there := r.Select(v.parsed, v.shown)
	if !there {
		return
	}
	hash := xcapdiff.Hash(string(v.doc.ETag)) // of what is not shown
	switch {
	case item.Kind == xcapdiff.KindAttribute:
		if v.attributes -= len(item.Text); v.attributes < 0 {
			v.attributes = 0
			return
		}
		hash = xcapdiff.Hash(item.Text)
	case item.Text != "":
		v.shown -= len(item.Text)
		hash = xcapdiff.Hash(item.Text)
		for _, b := range item.Scope {
			hash += xcapdiff.Hash(b.Prefix, b.Space)
		}
	}
	v.items = append(v.items, item)
	v.parts = append(v.parts, diffPart{item.Kind, item.Sel, hash})
}

// state finds the one with that sum; nil: it is not known any more.
func (w *diffWatch) state(sum uint64) *diffState {
	for _, st := range w.states {
		if sum != 0 && st.sum == sum {
			return st
		}
	}
	return nil
}

// keep remembers what is told now, beside what the watcher has or may have.
func (w *diffWatch) keep(now *diffState, told uint64) {
	w.states = slices.DeleteFunc(w.states, func(st *diffState) bool {
		return st.sum == now.sum || st.sum != told && (told != 0 || st.stale)
	})
	if len(w.states) >= maxStates {
		w.states = slices.Delete(w.states, 0, 1)
	}
	w.states = append(w.states, now)
}

// lost tells that something has gone that a NOTIFY has told of which may have
// arrived or not, so that telling all there is would not say it. Who subscribes
// anew believes nothing of before (RFC 5875, 4.8).
func (w *diffWatch) lost(now *diffState) (items []xcapdiff.Item) {
	for _, st := range w.states {
		if st.stale {
			continue
		}
		for _, d := range st.docs {
			same := func(other diffDocument) bool { return other.DocumentName == d.DocumentName }
			told := func(i xcapdiff.Item) bool { return i.Sel == d.sel && i.Was == d.etag }
			if !slices.ContainsFunc(now.docs, same) && !slices.ContainsFunc(items, told) {
				items = append(items, xcapdiff.Item{Sel: d.sel, Was: d.etag})
			}
		}
		for _, part := range st.parts {
			told := func(i xcapdiff.Item) bool { return i.Sel == part.sel && i.Kind == part.kind }
			if !now.has(part) && !slices.ContainsFunc(items, told) {
				items = append(items, xcapdiff.Item{Kind: part.kind, Sel: part.sel, Gone: true})
			}
		}
	}
	return items
}

// has reports whether an element or attribute is there, whatever it says.
func (st *diffState) has(part diffPart) bool {
	return slices.ContainsFunc(st.parts, func(other diffPart) bool { return other.kind == part.kind && other.sel == part.sel })
}

// fit leaves out of a document what makes it too large for its way: first come,
// first served. Patches that are left out, and the content of elements, can be had
// from the XCAP server (RFC 5875, 4.7).
func fit(sub *notifier.Subscription, items []xcapdiff.Item) {
	left := room(sub)
	bare := func(i xcapdiff.Item) xcapdiff.Item {
		i.Ops = nil
		if i.Kind == xcapdiff.KindElement {
			i.Text, i.Scope = "", nil
		}
		return i
	}
	for i := range items {
		b := bare(items[i])
		left -= b.Size()
	}
	for i := range items {
		b := bare(items[i])
		extra := items[i].Size() - b.Size()
		if extra > left {
			items[i] = b
			continue
		}
		left -= extra
	}
}
