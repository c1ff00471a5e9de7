package xcap

import (
	"context"
	"crypto/sha256"
	"encoding/base64"

	"github.com/tacit-presence/tacit/presence"
)

// Made is a document that the server makes itself.
type Made struct {
	Key Key
	Document
}

// Made returns the documents that the server makes and that a user may read of
// whom docs are all documents, as List has them: as a GET of his gives them, in the
// order of their AUIDs. Nothing is looked up.
func (h *Handler) Made(user presence.Presentity, docs []Entry) []Made {
	var list []Made
	for i := range h.usages {
		m := h.usages[i].shown()
		if m == nil {
			continue
		}
		key := Key{AUID: h.usages[i].AUID, Tree: m.tree, Path: m.name}
		if key.Tree == TreeUsers {
			key.Owner = user
		}
		list = append(list, Made{key, tagged(m.of(h, user, docs))})
	}
	return list
}

// document makes it.
func (m *madeDocument) document(ctx context.Context, h *Handler, owner presence.Presentity) (Document, error) {
	if m.trusted {
		body, err := m.make(ctx, h, owner)
		if err != nil {
			return Document{}, err
		}
		return tagged(body), nil
	}
	var docs []Entry
	if m.tree == TreeUsers {
		var err error
		if docs, err = h.cfg.Documents.List(ctx, owner); err != nil {
			return Document{}, err
		}
	}
	return tagged(m.of(h, owner, docs)), nil
}

// tagged gives a document that was made the entity-tag that says what is in it.
func tagged(body string) Document {
	sum := sha256.Sum256([]byte(body))
	return Document{ETag: presence.EntityTag(base64.RawURLEncoding.EncodeToString(sum[:18])), Body: body}
}
