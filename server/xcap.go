package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/tacit-presence/tacit/agent"
	"github.com/tacit-presence/tacit/identity"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/schema"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/xcap"
	"github.com/tacit-presence/tacit/xmltree"
)

// xcapRoot is the path of the XCAP root on the http and https listeners.
const xcapRoot = "/xcap-root"

// auidTestApp is the application usage for trying clients out: RFC 4825's
// examples, and whatever else is well-formed. Those of 6.4 have a namespace and
// those of 8.2.3 have none, and both select by names without prefix.
const auidTestApp xcap.AUID = "test-app"

// zonesKnown checks the time zones that a document of rules names.
func zonesKnown(d *xmltree.Doc) error {
	return schema.Zones(func(name string) bool { return agent.Zones()(name) != nil })(d)
}

// newXCAP makes the XCAP server over documents.
func (c *Core) newXCAP(docs xcap.Documents) (*xcap.Handler, error) {
	usages := append(xcap.Standard(), xcap.Preferences(xcap.Validator(schema.Preferences())))
	for i := range usages {
		if u := &usages[i]; u.AUID == xcap.AUIDPresRules || u.AUID == xcap.AUIDOMAPresRules {
			valid := u.Validate
			u.Validate = func(d *xmltree.Doc) error {
				if err := valid(d); err != nil {
					return err
				}
				return zonesKnown(d)
			}
		}
	}
	if c.cfg.TestUsage {
		free := xcap.Test()
		free.AUID, free.Space, free.Validate = auidTestApp, xcap.RootSpace, func(*xmltree.Doc) error { return nil }
		usages = append(usages, xcap.Test(), free)
	}
	return xcap.New(xcap.Config{
		Root: xcapRoot, Usages: usages, Documents: docs,
		Authenticate: func(r *http.Request, domain string) (presence.Principal, []string, int) {
			return xcap.Digest(c.auth.Load(), time.Now)(r, domain)
		},
		Presentity: c.users.Presentity, Log: c.log,
		Exists: func(a presence.AOR) bool {
			_, exists := c.users.Presentity(a)
			return exists && !c.conceal.Load().conceals(a.Domain())
		},
	})
}

// route gives requests of XCAP and of the API to those, which want their paths
// untouched, and all others to the rest.
func route(trees, api, rest http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, _, _ := strings.Cut(xcap.RequestTarget(r), "?")
		switch {
		case path == xcapRoot || strings.HasPrefix(path, xcapRoot+"/"):
			trees.ServeHTTP(w, r)
			drain(r)
		case strings.HasPrefix(path, apiRoot+"/"):
			api.ServeHTTP(w, r)
			drain(r)
		default:
			rest.ServeHTTP(w, r)
		}
	})
}

// drain reads what a client of HTTP/2 still has to say, before the answer ends its
// stream. RFC 9113, 8.1: an answer to half a request may be followed by RST_STREAM,
// which takes nothing from the answer; but curl 7.88 throws it away, most often the
// challenge to its first, empty PUT. With HTTP/1 net/http does as much by itself.
func drain(r *http.Request) {
	if r.ProtoMajor >= 2 {
		_, _ = io.CopyN(io.Discard, r.Body, MaxDocument)
	}
}

// clearXCAP reports whether XCAP and the API may be served in clear text on an
// address.
func (c *Core) clearXCAP(address string) bool { return c.cfg.ClearXCAP && IsLoopback(address) }

// IsLoopback reports whether HOST:PORT is on loopback.
func IsLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && isLoopback(host)
}

// documents keeps XCAP documents in their owners' shards.
type documents struct{ c *Core }

// do runs fn in the owner's shard.
func (d documents) do(ctx context.Context, p presence.Presentity, fn func(a *agent.Shard, now time.Time, out *shard.Batch)) error {
	if p == "" {
		return xcap.ErrNotFound // nobody writes global documents
	}
	return d.visit(ctx, shard.Of(p), fn)
}

// visit runs fn in a shard.
func (d documents) visit(ctx context.Context, id shard.ID, fn func(a *agent.Shard, now time.Time, out *shard.Batch)) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	err := d.c.runner.Do(ctx, id, func(m shard.Machine, now time.Time, out *shard.Batch) { fn(m.(*machine).agent, now, out) })
	if err != nil {
		return fmt.Errorf("%w: %w", xcap.ErrUnavailable, err)
	}
	return nil
}

func nameOf(k xcap.Key) agent.DocumentName {
	return agent.DocumentName{AUID: string(k.AUID), Path: k.Path}
}

func documentOf(d agent.Document) xcap.Document {
	return xcap.Document{ETag: d.ETag, Body: d.Body, Modified: d.Modified}
}

// found is the answer of Get. A document is never empty, unless it was damaged.
func found(d agent.Document, there bool) (xcap.Document, error) {
	switch {
	case !there:
		return xcap.Document{}, xcap.ErrNotFound
	case d.Body == "":
		return documentOf(d), xcap.ErrDamaged
	}
	return documentOf(d), nil
}

// Get reads one.
func (d documents) Get(ctx context.Context, k xcap.Key) (xcap.Document, error) {
	var doc agent.Document
	there := false
	err := d.do(ctx, k.Owner, func(a *agent.Shard, _ time.Time, _ *shard.Batch) { doc, there = a.Document(k.Owner, nameOf(k)) })
	if err != nil {
		return xcap.Document{}, err
	}
	return found(doc, there)
}

// Put changes one. What it means is read here, so that the shard, which all its
// presentities wait for, has only to compare and to swap.
func (d documents) Put(ctx context.Context, k xcap.Key, was presence.EntityTag, body string) (xcap.Document, error) {
	meaning, err := agent.ReadMeaning(nameOf(k), body)
	if err != nil {
		return xcap.Document{}, &xcap.Conflict{Reason: xcap.ConstraintFailed, Phrase: err.Error()}
	}
	var doc agent.Document
	var failed error
	err = d.do(ctx, k.Owner, func(a *agent.Shard, now time.Time, out *shard.Batch) {
		doc, failed = a.ChangeDocument(k.Owner, agent.DocumentChange{DocumentName: nameOf(k), Was: was, Body: body, Meaning: meaning}, now, out)
	})
	return documentOf(doc), errors.Join(err, changeError(failed))
}

// Delete removes one.
func (d documents) Delete(ctx context.Context, k xcap.Key, was presence.EntityTag) error {
	var failed error
	err := d.do(ctx, k.Owner, func(a *agent.Shard, now time.Time, out *shard.Batch) {
		failed = a.RemoveDocument(k.Owner, nameOf(k), was, now, out)
	})
	return errors.Join(err, changeError(failed))
}

func changeError(err error) error {
	switch {
	case errors.Is(err, agent.ErrChanged):
		return xcap.ErrChanged
	case errors.Is(err, agent.ErrTooManyDocuments):
		return xcap.ErrTooMany
	}
	return err
}

// List lists a user's.
func (d documents) List(ctx context.Context, owner presence.Presentity) (list []xcap.Entry, err error) {
	err = d.do(ctx, owner, func(a *agent.Shard, _ time.Time, _ *shard.Batch) { list = entries(a.Documents(owner), owner) })
	return list, err
}

func entries(docs []agent.Document, owner presence.Presentity) (list []xcap.Entry) {
	for _, doc := range docs {
		list = append(list, xcap.Entry{
			Key: keyOf(owner, doc), ETag: doc.ETag, Size: len(doc.Body), Modified: doc.Modified,
		})
	}
	return list
}

// Each walks over the documents of all users.
func (d documents) Each(ctx context.Context, auid xcap.AUID, fn func(xcap.Key, xcap.Document) bool) error {
	return each(d.c.users, auid, fn, func(id shard.ID, fn func(*agent.Shard)) error {
		return d.visit(ctx, id, func(a *agent.Shard, _ time.Time, _ *shard.Batch) { fn(a) })
	})
}

// each walks over the documents of an application usage of all users, those of a
// shard in one visit. One that is damaged is left out.
func each(users *identity.Directory, auid xcap.AUID, fn func(xcap.Key, xcap.Document) bool, visit func(shard.ID, func(*agent.Shard)) error) error {
	for id, people := range usersByShard(users) {
		if len(people) == 0 {
			continue
		}
		var keys []xcap.Key
		var docs []xcap.Document
		err := visit(shard.ID(id), func(a *agent.Shard) {
			for _, p := range people {
				for _, doc := range a.Documents(p) {
					if doc.AUID == string(auid) && doc.Body != "" {
						keys, docs = append(keys, keyOf(p, doc)), append(docs, documentOf(doc))
					}
				}
			}
		})
		if err != nil {
			return err
		}
		for i, key := range keys {
			if !fn(key, docs[i]) {
				return nil
			}
		}
	}
	return nil
}

// keyOf is the reverse of nameOf.
func keyOf(owner presence.Presentity, doc agent.Document) xcap.Key {
	return xcap.Key{AUID: xcap.AUID(doc.AUID), Tree: xcap.TreeUsers, Owner: owner, Path: doc.Path}
}
