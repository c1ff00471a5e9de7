package xcap

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/tacit-presence/tacit/presence"
)

// ErrUsage: there is no such application usage, or its users have no documents of
// their own.
var ErrUsage = errors.New("no such application usage")

// Key names a document of a user's by the name that people give it. The error is
// ErrUsage or ErrURI.
func (h *Handler) Key(owner presence.Presentity, auid AUID, name string) (Key, error) {
	req, err := h.local(context.Background(), owner, auid, name)
	if err != nil {
		return Key{}, err
	}
	return req.key, nil
}

// Check says whether a PUT of a whole document by its owner would be refused for
// what it is. Errors are as those of Put.
func (h *Handler) Check(owner presence.Presentity, auid AUID, name, body string) (Key, error) {
	req, err := h.local(context.Background(), owner, auid, name)
	if err != nil {
		return Key{}, err
	}
	if err := h.acceptableName(req); err != nil {
		return Key{}, err
	}
	doc, err := ParseDocument(body, h.limits)
	if err == nil {
		err = req.usage.validate(doc)
	}
	return req.key, err
}

// Put puts a whole document in the place of what there is, as a PUT of its owner
// does, without HTTP. The error is ErrUsage, ErrURI, ErrTooLarge, ErrTooMany, a
// *Conflict, or one of Documents.
func (h *Handler) Put(ctx context.Context, owner presence.Presentity, auid AUID, name, body string) (Document, error) {
	req, err := h.local(ctx, owner, auid, name)
	if err == nil {
		err = h.acceptableName(req)
	}
	if err != nil {
		return Document{}, err
	}
	for range maxRaces {
		if _, err = h.put(req, &content{req: req, read: true, text: body}); err == nil {
			return h.cfg.Documents.Get(ctx, req.key)
		}
		if !errors.Is(err, ErrChanged) {
			break
		}
	}
	return Document{}, err
}

// Get returns a whole document.
func (h *Handler) Get(ctx context.Context, owner presence.Presentity, auid AUID, name string) (Document, error) {
	req, err := h.local(ctx, owner, auid, name)
	if err != nil {
		return Document{}, err
	}
	return h.cfg.Documents.Get(ctx, req.key)
}

// Delete removes a whole document, as a DELETE of its owner does.
func (h *Handler) Delete(ctx context.Context, owner presence.Presentity, auid AUID, name string) error {
	req, err := h.local(ctx, owner, auid, name)
	if err != nil {
		return err
	}
	for range maxRaces {
		if _, err = h.remove(req, nil); !errors.Is(err, ErrChanged) {
			return err
		}
	}
	return err
}

// List lists a user's documents.
func (h *Handler) List(ctx context.Context, owner presence.Presentity) ([]Entry, error) {
	return h.cfg.Documents.List(ctx, owner)
}

// local is a request of the owner's for one of his documents.
func (h *Handler) local(ctx context.Context, owner presence.Presentity, auid AUID, name string) (*request, error) {
	usage := h.usage(auid)
	if usage == nil || usage.noUsers || usage.Validate == nil {
		return nil, fmt.Errorf("%w: %q", ErrUsage, auid)
	}
	target, err := ParseTarget(h.base, h.base+"/"+string(auid)+"/users/"+escape(string(owner))+"/"+escape(name))
	if err == nil && (target.Path == "" || target.HasNode) {
		err = ErrURI
	}
	if err != nil {
		return nil, fmt.Errorf("%w: the name %q", ErrURI, name)
	}
	return &request{
		Request: (&http.Request{}).WithContext(ctx), target: target, usage: usage,
		key: Key{AUID: auid, Tree: TreeUsers, Owner: owner, Path: target.Path},
	}, nil
}
