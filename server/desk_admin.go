package server

import (
	"context"
	"time"

	"github.com/tacit-presence/tacit/agent"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/xcap"
)

// desk opens the desk of one presentity on a running server.
func (c *Core) desk(ctx context.Context, p presence.Presentity, own bool) *desk {
	return &desk{p: p, privacy: c.conceal.Load(), trees: c.trees, own: own, visit: func(fn func(*agent.Shard, time.Time)) error {
		ctx, cancel := context.WithTimeout(ctx, adminTimeout)
		defer cancel()
		return c.runner.Do(ctx, shard.Of(p), func(m shard.Machine, now time.Time, _ *shard.Batch) { fn(m.(*machine).agent, now) })
	}}
}

// at is desks of a running server.
func (c *Core) at(aor presence.AOR, fn func(ctx context.Context, d *desk) error) error {
	p, err := c.presentity(aor)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	return fn(ctx, c.desk(ctx, p, false))
}

// at is desks of a stopped server. What they read is as it would be now if the
// server ran: what has expired meanwhile is over.
func (o *Offline) at(aor presence.AOR, fn func(ctx context.Context, d *desk) error) error {
	p, err := o.core.presentity(aor)
	if err != nil {
		return err
	}
	trees, err := o.core.newXCAP(offlineDocuments{o})
	if err != nil {
		return err
	}
	var m *machine
	ctx := context.Background()
	return fn(ctx, &desk{p: p, privacy: &o.core.cfg.Privacy, trees: trees, visit: func(fn func(*agent.Shard, time.Time)) error {
		now := time.Now()
		if m == nil {
			var err error
			if m, err = o.load(shard.Of(p)); err != nil {
				return err
			}
			m.Step(&shard.Event{Kind: shard.Tick}, now, new(shard.Batch)) // what comes of it is not stored
		}
		fn(m.agent, now)
		return nil
	}})
}

// desks is RulesAdmin: it calls a function with the desk of an address's presentity.
type desks func(aor presence.AOR, fn func(ctx context.Context, d *desk) error) error

// Explain says what a watcher would get of p, and why.
func (at desks) Explain(p presence.AOR, q ExplainQuery) (e Explanation, err error) {
	return e, at(p, func(_ context.Context, d *desk) (err error) { e, err = d.explain(q); return err })
}

// CompareRules says who would gain and lose what.
func (at desks) CompareRules(p presence.AOR, in DocumentInput) (r RulesDiff, err error) {
	return r, at(p, func(ctx context.Context, d *desk) (err error) { r, err = d.compare(ctx, in); return err })
}

// Documents lists p's documents.
func (at desks) Documents(p presence.AOR) (list []DocumentInfo, err error) {
	return list, at(p, func(ctx context.Context, d *desk) (err error) { list, err = d.documents(ctx); return err })
}

// Document returns one of p's documents.
func (at desks) Document(p presence.AOR, n DocumentName) (text string, err error) {
	return text, at(p, func(ctx context.Context, d *desk) (err error) { text, err = d.document(ctx, n); return err })
}

// PutDocument keeps a document: effective when it returns, or with the next start.
func (at desks) PutDocument(p presence.AOR, in DocumentInput) error {
	return at(p, func(ctx context.Context, d *desk) error { return d.put(ctx, in) })
}

// RemoveDocument removes one.
func (at desks) RemoveDocument(p presence.AOR, n DocumentName) error {
	return at(p, func(ctx context.Context, d *desk) error { return d.remove(ctx, n) })
}

// Watchers lists who watches p.
func (at desks) Watchers(p presence.AOR) (list WatcherList, err error) {
	return list, at(p, func(_ context.Context, d *desk) (err error) { list, err = d.watchers(); return err })
}

// offlineDocuments are documents in a stopped server's store.
type offlineDocuments struct{ o *Offline }

// Get reads one.
func (d offlineDocuments) Get(_ context.Context, k xcap.Key) (xcap.Document, error) {
	m, err := d.o.load(shard.Of(k.Owner))
	if err != nil {
		return xcap.Document{}, err
	}
	return found(m.agent.Document(k.Owner, nameOf(k)))
}

// Put changes one.
func (d offlineDocuments) Put(_ context.Context, k xcap.Key, was presence.EntityTag, body string) (xcap.Document, error) {
	meaning, err := agent.ReadMeaning(nameOf(k), body)
	if err != nil {
		return xcap.Document{}, &xcap.Conflict{Reason: xcap.ConstraintFailed, Phrase: err.Error()}
	}
	var doc agent.Document
	err = d.o.change(shard.Of(k.Owner), func(m *machine, now time.Time, out *shard.Batch) (err error) {
		doc, err = m.agent.StoreDocument(k.Owner, agent.DocumentChange{DocumentName: nameOf(k), Was: was, Body: body, Meaning: meaning}, now, out)
		return changeError(err)
	})
	return documentOf(doc), err
}

// Delete removes one.
func (d offlineDocuments) Delete(_ context.Context, k xcap.Key, was presence.EntityTag) error {
	return d.o.change(shard.Of(k.Owner), func(m *machine, _ time.Time, out *shard.Batch) error {
		return changeError(m.agent.DropDocument(k.Owner, nameOf(k), was, out))
	})
}

// List lists a user's.
func (d offlineDocuments) List(_ context.Context, owner presence.Presentity) ([]xcap.Entry, error) {
	m, err := d.o.load(shard.Of(owner))
	if err != nil {
		return nil, err
	}
	return entries(m.agent.Documents(owner), owner), nil
}

// Each walks over the documents of all users.
func (d offlineDocuments) Each(_ context.Context, auid xcap.AUID, fn func(xcap.Key, xcap.Document) bool) error {
	return each(d.o.users, auid, fn, func(id shard.ID, fn func(*agent.Shard)) error {
		m, err := d.o.load(id)
		if err == nil {
			fn(m.agent)
		}
		return err
	})
}

var _ xcap.Collector = offlineDocuments{}
