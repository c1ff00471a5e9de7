package agent

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/tacit-presence/tacit/notifier"
	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/store"
	"github.com/tacit-presence/tacit/watcherinfo"
)

func (s *Shard) rulesKey(p *presentity) []byte {
	return store.Key(KeyRules, byte(s.cfg.ID), string(p.Presentity))
}

// StoreRules stores rules that take effect when the shard is next restored.
func (s *Shard) StoreRules(id presence.Presentity, rules *policy.Rules, out *shard.Batch) error {
	return s.putRules(s.presentity(id), rules, out)
}

func (s *Shard) putRules(p *presentity, rules *policy.Rules, out *shard.Batch) error {
	if rules == nil {
		out.Records.Delete(s.rulesKey(p))
		return nil
	}
	value, err := store.Encode(rules)
	if err != nil {
		return fmt.Errorf("rules of %s: %w", p.Presentity, err)
	}
	out.Records.Put(s.rulesKey(p), value)
	return nil
}

// Restore reads a shard's records: all of them before the first Step.
func (s *Shard) Restore(st store.Store, now time.Time) error {
	id := byte(s.cfg.ID)
	if err := st.Scan(store.Key(KeyRules, id), s.restoreRules); err != nil {
		return err
	}
	err := st.Scan(store.Key(KeyPublication, id), func(key, value []byte) error {
		return s.restorePublication(key, value)
	})
	if err != nil {
		return err
	}
	if err := st.Scan(store.Key(KeyDocument, id), s.restoreDocument); err != nil {
		return err
	}
	if err := st.Scan(store.Key(KeyNotices, id), s.restoreNotices); err != nil {
		return err
	}
	if err := st.Scan(store.Key(KeyWaiting, id), s.restoreWaiting); err != nil {
		return err
	}
	for _, p := range s.people {
		sortDocuments(p.docs)
		s.force(p)
		s.arm(p)
		s.compose(p)
		s.observe(p, now)
	}
	s.fresh = true
	resource := func(id presence.Presentity) *notifier.Resource { return &s.presentity(id).Resource }
	err = st.Scan(store.Key(notifier.KeyKind, id), func(key, value []byte) error {
		return s.table.Restore(key, value, resource, now)
	})
	for _, p := range s.people {
		s.restoreWatched(p)
	}
	return err
}

func (s *Shard) restoreRules(key, value []byte) error {
	_, _, parts, err := store.KeyParts(key)
	if err != nil || len(parts) != 1 {
		return fmt.Errorf("rules record: malformed key %x", key)
	}
	var rules policy.Rules
	if err := store.Decode(value, &rules); err != nil {
		return fmt.Errorf("rules of %s: %w", parts[0], err)
	}
	s.presentity(presence.Presentity(parts[0])).decisions = &rules
	return nil
}

func (s *Shard) restorePublication(key, value []byte) error {
	_, _, parts, err := store.KeyParts(key)
	if err != nil || len(parts) != 2 {
		return fmt.Errorf("publication record: malformed key %x", key)
	}
	serial, err := strconv.ParseUint(parts[1], 16, 64)
	if err != nil {
		return fmt.Errorf("publication record: malformed key %x", key)
	}
	var r publicationRecord
	if err := store.Decode(value, &r); err != nil {
		return fmt.Errorf("publication of %s: %w", parts[0], err)
	}
	pub := &publication{
		tag: r.Tag, serial: serial, order: r.Order, modified: time.Unix(0, r.Modified),
		expires: time.Unix(0, r.Expires), request: r.Request, from: r.Source, body: r.Body, removed: r.Removed,
		apart: r.Apart, restored: true,
	}
	if !r.Removed {
		if pub.doc, err = pidf.Parse(r.Body); err != nil {
			return fmt.Errorf("publication of %s: %w", parts[0], err)
		}
		_, pub.discard = discard(pub.body, pub.modified, time.Time{})
	}
	s.last = max(s.last, pub.order, pub.serial)
	p := s.presentity(presence.Presentity(parts[0]))
	p.pubs = append(p.pubs, pub)
	return nil
}

// Rules returns the decisions on single watchers, nil if there are none. They must
// not be changed.
func (s *Shard) Rules(id presence.Presentity) *policy.Rules {
	if p := s.people[id]; p != nil {
		return p.decisions
	}
	return nil
}

// Publication is a live publication as an operator sees it.
type Publication struct {
	Tag               presence.EntityTag
	Presentity        presence.Presentity
	Modified, Expires time.Time
	Size              int // bytes of its document
}

// Publications lists the live publications of one presentity, or of all when id
// is empty.
func (s *Shard) Publications(id presence.Presentity) []Publication {
	var list []Publication
	for _, p := range s.people {
		if id != "" && p.Presentity != id {
			continue
		}
		for _, pub := range p.pubs {
			if !pub.removed {
				list = append(list, Publication{pub.tag, p.Presentity, pub.modified, pub.expires, len(pub.body)})
			}
		}
	}
	return list
}

// EndPublication removes the publication with that entity-tag; false: there is none.
func (s *Shard) EndPublication(tag presence.EntityTag, now time.Time, out *shard.Batch) bool {
	for _, p := range s.people {
		if pub := p.find(tag); pub != nil {
			pub.expires = now
			s.expirePublications(p, now, out)
			return true
		}
	}
	return false
}

// Subscriptions calls fn for each live subscription to one presentity, or to
// all when id is empty.
func (s *Shard) Subscriptions(id presence.Presentity, fn func(*notifier.Subscription)) {
	for _, p := range s.people {
		if id != "" && p.Presentity != id {
			continue
		}
		for _, sub := range p.Subscribers() {
			fn(sub)
		}
	}
}

// EndSubscription ends the one with that tag as RFC 6665, 4.1.3 names it:
// deactivated, so that its watcher may subscribe anew. False: there is none.
func (s *Shard) EndSubscription(tag notifier.Tag, now time.Time, out *shard.Batch) bool {
	sub := s.table.Find(tag)
	if sub == nil || sub.State() == notifier.Terminated {
		return false
	}
	s.table.End(sub, "deactivated", now, out)
	s.report(now, out)
	return true
}

// RemovePresentity ends all that is kept of a presentity that is no more. Where
// its domain conceals, its watchers see one that publishes nothing any more.
func (s *Shard) RemovePresentity(id presence.Presentity, now time.Time, out *shard.Batch) {
	p := s.people[id]
	if p == nil {
		return
	}
	if conceal := s.conceals(p); !conceal {
		for _, sub := range slices.Clone(p.Subscribers()) {
			s.table.End(sub, "noresource", now, out)
		}
	}
	for _, pub := range p.pubs {
		out.Records.Delete(s.publicationKey(p, pub.serial))
	}
	p.pubs = nil
	for _, d := range p.docs {
		out.Records.Delete(s.documentKey(p, d.DocumentName))
	}
	gone := p.docs
	p.docs, p.askers = nil, nil
	for _, d := range gone {
		s.stepped(p, step{was: d.Document}, now, out)
	}
	s.endWaiting(p, out, func(*waiting) watcherinfo.Event { return watcherinfo.NoResource })
	if p.notices != nil {
		out.Records.Delete(s.noticesKey(p))
		p.notices = nil
	}
	if p.decisions != nil {
		out.Records.Delete(s.rulesKey(p))
		p.decisions = nil
	}
	s.force(p)
	s.redecide(p, now, out)
	s.changed(p, now, out)
	s.drop(p)
}

// RemoveWatcher ends the subscriptions of a watcher that is no more.
func (s *Shard) RemoveWatcher(a presence.AOR, now time.Time, out *shard.Batch) {
	for _, p := range s.people {
		for _, sub := range slices.Clone(p.Subscribers()) {
			if sub.Watcher.AOR() == a {
				s.table.End(sub, "rejected", now, out)
			}
		}
		s.stopWaiting(p, a, watcherinfo.Rejected, out)
		s.drop(p)
	}
	s.report(now, out)
}

// Reconfigure applies what may change while the server runs, at once.
func (s *Shard) Reconfigure(c Settings, now time.Time, out *shard.Batch) {
	s.cfg.Settings = c
	s.table.SetMinInterval(c.MinInterval)
	for _, p := range s.people {
		s.force(p)
		s.redecide(p, now, out)
	}
}

// Redecide decides anew on all subscriptions to a presentity: it has just begun,
// or ceased, to be somebody.
func (s *Shard) Redecide(id presence.Presentity, now time.Time, out *shard.Batch) {
	if p := s.people[id]; p != nil {
		s.redecide(p, now, out)
		for _, sub := range p.Subscribers() {
			if sub.Package == s.xcapDiff {
				s.table.Touch(sub, now, out) // what the server makes can be read now
			}
		}
	}
}
