package agent

import (
	"strings"
	"time"

	"github.com/tacit-presence/tacit/location"
	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/xmltree"
)

// defaultRetention is for a location object without a time of its own, in a
// component without a timestamp: a day from when it came (RFC 4119, 2.2.2).
const defaultRetention = 24 * time.Hour

// discard takes out of a presence document the location objects whose retention
// has ended (RFC 4119, 2.2.2; RFC 3693, 7.5), and says when the next one's does;
// zero: there is none. received is when the document came. An object that cannot
// be read goes when the default retention ends.
func discard(body string, received, now time.Time) (kept string, next time.Time) {
	if !strings.Contains(body, location.Space) {
		return body, next
	}
	doc := xmltree.Borrow()
	defer doc.Return()
	if doc.Parse(body, xmltree.Limits{MaxBytes: pidf.MaxBytes}) != nil {
		return body, next // it has been parsed before
	}
	var edits []xmltree.Edit
	for _, n := range location.AppendNodes(nil, doc, doc.Root()) {
		object, _ := location.Read(doc, n)
		stamp, has := timestamp(doc, object.Component)
		at, ok := object.Expires(stamp, has)
		if !ok {
			at = received.Add(defaultRetention)
		}
		switch {
		case !at.After(now):
			edits = append(edits, xmltree.Edit{Span: doc.Span(n)})
		case next.IsZero() || at.Before(next):
			next = at
		}
	}
	return xmltree.Splice(body, xmltree.Span{End: len(body)}, edits), next
}

// timestamp reads that of a tuple, person or device.
func timestamp(doc *xmltree.Doc, component xmltree.Node) (time.Time, bool) {
	if component == xmltree.None {
		return time.Time{}, false
	}
	for c := doc.FirstElement(component); c != xmltree.None; c = doc.NextElement(c) {
		if doc.Local(c) != "timestamp" || doc.Space(c) != pidf.Space && doc.Space(c) != pidf.DataModelSpace {
			continue
		}
		at, err := time.Parse(time.RFC3339, strings.ToUpper(strings.TrimSpace(doc.Text(c))))
		return at, err == nil
	}
	return time.Time{}, false
}

// discardFrom discards what is due of one publication's document, and reports
// whether it has changed.
func (pub *publication) discardFrom(now time.Time) bool {
	if pub.removed || pub.doc == nil {
		return false
	}
	var kept string
	kept, pub.discard = discard(pub.body, pub.modified, now)
	if kept == pub.body {
		return false
	}
	doc, err := pidf.Parse(kept)
	if err != nil {
		// What is left is no document: nothing of it may be kept then.
		kept, doc = emptied(pub.doc.Entity())
	}
	pub.body, pub.doc = kept, doc
	return true
}

// emptied is a document without any presence.
func emptied(entity string) (string, *pidf.Document) {
	body := `<presence xmlns="` + pidf.Space + `" entity="` + xmltree.EscapeAttr(entity) + `"/>`
	doc, err := pidf.Parse(body)
	if err != nil {
		panic("agent: an empty document cannot fail to parse: " + err.Error())
	}
	return body, doc
}

// discardDue discards, from memory and from the store, the location objects of p
// whose retention has ended; true: something has.
func (s *Shard) discardDue(p *presentity, now time.Time, out *shard.Batch) (changed bool) {
	for _, pub := range p.pubs {
		if !pub.discard.IsZero() && !pub.discard.After(now) && pub.discardFrom(now) {
			s.putPublication(p, pub, out)
			changed = true
		}
	}
	for _, d := range p.docs {
		if d.meaning.Presence == nil || d.discard.IsZero() || d.discard.After(now) {
			continue
		}
		kept, next := discard(d.Body, d.Modified, now)
		d.discard = next
		if kept == d.Body {
			continue
		}
		doc, err := pidf.Parse(kept)
		if err != nil {
			kept, doc = emptied(d.meaning.Presence.Entity())
		}
		old := d.Document
		d.Body, d.meaning.Presence, d.ETag = kept, doc, s.entityTag()
		s.putDocument(p, d, out)
		s.stepped(p, step{was: old, is: d.Document}, now, out)
		changed = true
	}
	return changed
}
