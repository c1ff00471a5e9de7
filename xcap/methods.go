package xcap

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/tacit-presence/tacit/xmltree"
)

// document gets the document of the request, kept or made.
func (h *Handler) document(req *request) (Document, error) {
	made := req.usage.madeIn(req.key.Tree)
	if made == nil {
		return h.cfg.Documents.Get(req.Context(), req.key)
	}
	if req.key.Path != made.name {
		if req.key.Tree == TreeGlobal || req.usage.Validate == nil {
			return Document{}, ErrNotFound
		}
		return h.cfg.Documents.Get(req.Context(), req.key)
	}
	return made.document(req.Context(), h, req.key.Owner)
}

// parse reads a document that we have. One that was made may be of any size, and
// one that was kept from the time of other limits.
func (h *Handler) parse(doc Document) (*xmltree.Doc, error) {
	lim := h.limits
	lim.MaxBytes = max(lim.MaxBytes, len(doc.Body))
	lim.MaxNodes = max(lim.MaxNodes, len(doc.Body))
	d, err := xmltree.Parse(doc.Body, lim)
	if err != nil {
		return nil, fmt.Errorf("xcap: a document that was kept does not parse: %w", err)
	}
	return d, nil
}

// get answers GET and HEAD (RFC 4825, 8.3).
func (h *Handler) get(req *request) response {
	doc, err := h.document(req)
	if err != nil {
		return h.refuse(req, err)
	}
	body, mediaType := doc.Body, req.usage.MediaType
	if req.sel != nil {
		d, err := h.parse(doc)
		if err != nil {
			return h.refuse(req, err)
		}
		var ok bool
		if body, ok = req.sel.Get(d); !ok {
			return h.refuse(req, ErrNotFound)
		}
		mediaType = req.sel.MediaType()
	}
	switch match, noneMatch := req.conds.failed(doc.ETag); {
	case match:
		return h.refuse(req, errMatch)
	case noneMatch:
		return response{status: http.StatusNotModified, etag: doc.ETag}
	}
	return response{status: http.StatusOK, etag: doc.ETag, mediaType: mediaType, body: body}
}

// change answers PUT and DELETE: reads the document, makes the change, and puts
// it if the document is the same still; else begins anew, in its turn.
func (h *Handler) change(req *request) response {
	attempt := h.put
	if req.Method == http.MethodDelete {
		attempt = h.remove
	} else if err := h.acceptable(req); err != nil {
		return h.refuse(req, err)
	}
	content := &content{req: req}
	var resp response
	err := ErrChanged
	if h.writers.Length(req.key) == 0 {
		resp, err = attempt(req, content)
	}
	if errors.Is(err, ErrChanged) {
		resp, err = h.inTurn(req, content, attempt)
	}
	if err != nil {
		return h.refuse(req, err)
	}
	return resp
}

// inTurn makes a change that others are in the way of, when it is its turn.
func (h *Handler) inTurn(req *request, c *content, attempt func(*request, *content) (response, error)) (resp response, err error) {
	if req.Method == http.MethodPut {
		// Nobody waits for a client that sends slowly.
		if _, err := c.body(); err != nil {
			return response{}, err
		}
	}
	release, ok := h.writers.Take(req.Context(), req.key)
	if !ok {
		return response{}, ErrUnavailable
	}
	defer release()
	for range maxRaces {
		if resp, err = attempt(req, c); !errors.Is(err, ErrChanged) {
			break
		}
	}
	return resp, err
}

// acceptable says, before its content is read, why a PUT cannot be.
func (h *Handler) acceptable(req *request) error {
	want := req.usage.MediaType
	if req.sel != nil {
		want = req.sel.MediaType()
	}
	if err := checkMediaType(req.Header, want); err != nil {
		return err
	}
	if req.ContentLength > int64(h.cfg.MaxDocument) {
		return ErrTooLarge
	}
	return h.acceptableName(req)
}

// acceptableName says why there can be no document of that name.
func (h *Handler) acceptableName(req *request) error {
	switch {
	case strings.Contains(req.key.Path, "/"):
		// RFC 4825, 6.2: nobody can make subdirectories, so that there are none.
		return &Conflict{Reason: NoParent, Ancestor: h.uri(req.target.Dir)}
	case len(req.usage.Names) > 0 && !slices.Contains(req.usage.Names, req.key.Path):
		return conflict(ConstraintFailed, "a document of this application usage has another name")
	}
	return nil
}

// content is what a PUT brings, read once for all attempts.
type content struct {
	req  *request
	read bool
	text string
	doc  *xmltree.Doc // of a whole document, validated
}

func (c *content) body() (string, error) {
	if c.read {
		return c.text, nil
	}
	b, err := io.ReadAll(c.req.Body)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return "", fmt.Errorf("%w: %w", errSlow, err)
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", errBody, err)
	}
	c.text, c.read = string(b), true
	return c.text, nil
}

// current gets the document that a PUT or DELETE is about to change. What is left of
// a damaged one will do for replacing it.
func (h *Handler) current(req *request) (Document, error) {
	doc, err := h.cfg.Documents.Get(req.Context(), req.key)
	if errors.Is(err, ErrDamaged) && req.sel == nil {
		doc.Body, err = "", nil
	}
	return doc, err
}

// put is one attempt at a PUT (RFC 4825, 8.2).
func (h *Handler) put(req *request, c *content) (response, error) {
	doc, err := h.current(req)
	exists := err == nil
	if !exists {
		if !errors.Is(err, ErrNotFound) {
			return response{}, err
		}
		doc = Document{}
	}
	var old *xmltree.Doc
	if req.sel != nil {
		if old, err = h.parent(req, doc, exists); err != nil {
			return response{}, err
		}
	}
	// RFC 4825, 8.2.6: an element or attribute has the entity-tag of its document
	// before it is there.
	if match, noneMatch := req.conds.failed(doc.ETag); match || noneMatch {
		return response{}, errMatch
	}
	text, err := c.body()
	if err != nil {
		return response{}, err
	}
	edited := Edited{Doc: c.doc, Created: !exists}
	if req.sel != nil {
		edited, err = req.sel.Put(old, text, h.limits)
	} else if c.doc == nil {
		edited.Doc, err = ParseDocument(text, h.limits)
	}
	if err != nil {
		return response{}, err
	}
	if c.doc == nil {
		if err := req.usage.validate(edited.Doc); err != nil {
			return response{}, err
		}
	}
	if req.sel == nil {
		c.doc = edited.Doc
	}
	if doc, err = h.keep(req, doc, old, edited.Doc); err != nil {
		return response{}, err
	}
	if edited.Created {
		return response{status: http.StatusCreated, etag: doc.ETag}, nil
	}
	return response{status: http.StatusOK, etag: doc.ETag}, nil
}

// parent parses the document and holds that it has the parent of what a PUT
// brings (RFC 4825, 8.2.1).
func (h *Handler) parent(req *request, doc Document, exists bool) (*xmltree.Doc, error) {
	if !exists {
		return nil, &Conflict{Reason: NoParent, Ancestor: h.uri(req.target.Dir)}
	}
	d, err := h.parse(doc)
	if err != nil {
		return nil, err
	}
	if closest, ok := req.sel.HasParent(d); !ok {
		c := &Conflict{Reason: NoParent, Ancestor: h.uri(req.target.Document())}
		if closest != "" {
			c.Ancestor += "/" + separator + "/" + closest
		}
		return nil, c
	}
	return d, nil
}

// keep puts the result of a change, which is valid by itself, in the place of
// doc, which has the tree old if there was need to parse it.
func (h *Handler) keep(req *request, doc Document, old, result *xmltree.Doc) (Document, error) {
	if doc.ETag != "" && doc.Body == result.Source() {
		return doc, nil // nothing changes
	}
	if req.usage.check != nil {
		if old == nil && doc.Body != "" {
			var err error
			if old, err = h.parse(doc); err != nil {
				return Document{}, err
			}
		}
		release, err := req.usage.check(req.Context(), h, &change{key: req.key, old: old, new: result})
		defer release()
		if err != nil {
			return Document{}, err
		}
	}
	return h.cfg.Documents.Put(req.Context(), req.key, doc.ETag, result.Source())
}

// remove is one attempt at a DELETE (RFC 4825, 8.4).
func (h *Handler) remove(req *request, _ *content) (response, error) {
	doc, err := h.current(req)
	if err != nil {
		return response{}, err
	}
	var old *xmltree.Doc
	if req.sel != nil {
		if old, err = h.parse(doc); err != nil {
			return response{}, err
		}
		if !req.sel.Exists(old) {
			return response{}, ErrNotFound
		}
	}
	if match, noneMatch := req.conds.failed(doc.ETag); match || noneMatch {
		return response{}, errMatch
	}
	if req.sel == nil {
		return status(http.StatusOK), h.cfg.Documents.Delete(req.Context(), req.key, doc.ETag)
	}
	edited, err := req.sel.Delete(old, h.limits)
	if err == nil {
		err = req.usage.validate(edited.Doc)
	}
	if err == nil {
		doc, err = h.keep(req, doc, old, edited.Doc)
	}
	return response{status: http.StatusOK, etag: doc.ETag}, err
}
