package agent

import (
	"slices"
	"time"

	"github.com/tacit-presence/tacit/notifier"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/xcapdiff"
)

const (
	// maxSteps and maxStepBytes bound what is remembered of the versions of one
	// presentity's documents for patches; who has missed more fetches the document.
	maxSteps     = 64
	maxStepBytes = 1 << 20
	// maxPatched is the longest document that patches are worked out for: that
	// takes the time of some readings of it, which all of a shard wait for.
	maxPatched = 64 << 10
	// maxPatches is how many patches are kept for the next watcher who needs one.
	maxPatches = 16
)

// steps are the last changes of a presentity's documents. nil are none.
type steps struct {
	end     uint64 // number of changes so far
	list    []step // the last of them
	bytes   int
	patches map[[2]presence.EntityTag][]xcapdiff.Op
}

// step is one change of one document, from one version to the next; either may be
// none, with an empty entity-tag.
type step struct {
	was, is Document
	tree    xcapdiff.Tree
	known   bool // the versions may be kept, and are, and not their entity-tags alone
}

// name is the document's.
func (st *step) name() DocumentName {
	if st.is.ETag == "" {
		return st.was.DocumentName
	}
	return st.is.DocumentName
}

func (s *steps) count() uint64 {
	if s == nil {
		return 0
	}
	return s.end
}

// note remembers a change, and what the document said only where that is known.
func (s *steps) note(st step) {
	s.end++
	if !st.known {
		st.was.Body, st.is.Body = "", ""
	}
	s.list = append(s.list, st)
	s.bytes += st.size()
	drop := 0
	for drop < len(s.list) && (len(s.list)-drop > maxSteps || s.bytes > maxStepBytes) {
		s.bytes -= s.list[drop].size()
		drop++
	}
	s.list = slices.Delete(s.list, 0, drop)
}

func (st *step) size() int { return len(st.was.Body) + len(st.is.Body) }

// since lists the changes of a document after so many steps, if they are all
// known and lead from the one version to the other.
func (s *steps) since(at uint64, n DocumentName, was, is presence.EntityTag) []*step {
	if s == nil || s.end-at > uint64(len(s.list)) {
		return nil
	}
	var chain []*step
	for i := len(s.list) - int(s.end-at); i < len(s.list); i++ {
		if st := &s.list[i]; st.name() == n {
			if st.was.ETag != was {
				return nil
			}
			chain, was = append(chain, st), st.is.ETag
		}
	}
	if was != is {
		return nil
	}
	return chain
}

// patch adds to an item how the one version becomes the other, as far as that can
// be said.
func (s *steps) patch(i xcapdiff.Item, was, is string) xcapdiff.Item {
	switch {
	case i.Was == "" || i.Is == "" || max(len(was), len(is)) > maxPatched:
		return i
	case was == is:
		i.Same = true
		return i
	}
	key := [2]presence.EntityTag{i.Was, i.Is}
	ops, done := s.patches[key]
	if !done {
		ops = xcapdiff.Changes(was, is)
		if s.patches == nil || len(s.patches) >= maxPatches {
			s.patches = map[[2]presence.EntityTag][]xcapdiff.Op{}
		}
		s.patches[key] = ops
	}
	i.Ops = ops
	return i
}

// changesSince tells what has changed from the one state of a subscription to the
// other; parts are those of the new one.
func (p *presentity) changesSince(mode diffMode, old, now *diffState, parts []xcapdiff.Item) (items []xcapdiff.Item) {
	before, after := old.docs, now.docs
	for len(before)+len(after) > 0 {
		order := -1
		switch {
		case len(before) == 0:
			order = 1
		case len(after) > 0:
			order = before[0].compare(after[0].DocumentName)
		}
		var was, is diffDocument
		if order <= 0 {
			was, before = before[0], before[1:]
		}
		if order >= 0 {
			is, after = after[0], after[1:]
		}
		if was.etag != is.etag {
			items = append(items, p.steps.tell(mode, old.at, was, is)...)
		}
	}
	for i, part := range now.parts {
		if !slices.Contains(old.parts, part) {
			items = append(items, parts[i])
		}
	}
	for _, part := range old.parts {
		if !now.has(part) {
			// RFC 5875, 4.7: also where what it was in has gone.
			items = append(items, xcapdiff.Item{Kind: part.kind, Sel: part.sel, Gone: true})
		}
	}
	return items
}

// tell tells how a document has come from one version to another. What is not
// known well enough is told as without patches, as it may be at any time
// (RFC 5875, 4.7).
func (s *steps) tell(mode diffMode, at uint64, was, is diffDocument) []xcapdiff.Item {
	n, sel := is.DocumentName, is.sel
	if is.etag == "" {
		n, sel = was.DocumentName, was.sel
	}
	whole := xcapdiff.Item{Sel: sel, Was: was.etag, Is: is.etag}
	if mode == noPatching {
		return []xcapdiff.Item{whole}
	}
	chain := s.since(at, n, was.etag, is.etag)
	if len(chain) == 0 {
		return []xcapdiff.Item{whole}
	}
	if mode == aggregate {
		if first, last := chain[0], chain[len(chain)-1]; first.known && last.known {
			whole = s.patch(whole, first.was.Body, last.is.Body)
		}
		return []xcapdiff.Item{whole}
	}
	items := make([]xcapdiff.Item, 0, len(chain))
	for _, st := range chain {
		i := xcapdiff.Item{Sel: sel, Was: st.was.ETag, Is: st.is.ETag}
		if st.known {
			i = s.patch(i, st.was.Body, st.is.Body)
		}
		items = append(items, i)
	}
	return items
}

// stepped tells those who watch p's documents of a change; the new version is in
// its place. What must not be kept for longer than the document is not kept here
// either: then st is not known.
func (s *Shard) stepped(p *presentity, st step, now time.Time, out *shard.Batch) {
	var watching, concerned []*notifier.Subscription
	made := false
	for _, sub := range p.Subscribers() {
		if sub.Package == s.xcapDiff {
			watching = append(watching, sub)
			made = made || watchOf(sub).made()
		}
	}
	if len(watching) == 0 {
		p.steps = nil
		return
	}
	if p.steps == nil {
		p.steps = &steps{}
	}
	st.tree = xcapdiff.UserTree
	all := []step{st}
	if made {
		all = append(all, s.follow(p, st)...)
	}
	for _, st := range all {
		patching := false
		for _, sub := range watching {
			if w := watchOf(sub); w.names(&st) {
				patching = patching || w.mode != noPatching
				if !slices.Contains(concerned, sub) {
					concerned = append(concerned, sub)
				}
			}
		}
		st.known = st.known && patching
		p.steps.note(st)
	}
	for _, sub := range concerned {
		s.table.Touch(sub, now, out)
	}
}

// names reports whether w names the document, or what is in it or around it.
func (w *diffWatch) names(st *step) bool {
	n := st.name()
	return slices.ContainsFunc(w.named, func(r xcapdiff.Resource) bool { return r.Names(st.tree, n.AUID, n.Path) })
}

// follow lists how the documents that the server makes of p's change with one of
// these.
func (s *Shard) follow(p *presentity, st step) (list []step) {
	n := st.name()
	before, after := s.cfg.Trees.Made(p.Presentity, p.with(n, st.was)), s.cfg.Trees.Made(p.Presentity, p.with(n, st.is))
	for i := range after {
		if before[i].ETag != after[i].ETag {
			list = append(list, step{before[i].Document, after[i].Document, after[i].Tree, st.known})
		}
	}
	return list
}

// with lists p's documents as they are with that version of the one named n, or
// without it, where it has no entity-tag.
func (p *presentity) with(n DocumentName, version Document) []Document {
	list := make([]Document, 0, len(p.docs)+1)
	for _, d := range p.docs {
		if d.DocumentName != n {
			list = append(list, d.Document)
		}
	}
	if version.ETag != "" {
		list = append(list, version)
		slices.SortFunc(list, func(a, b Document) int { return a.compare(b.DocumentName) })
	}
	return list
}
