package xcap

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tacit-presence/tacit/xcapdiff"
	"github.com/tacit-presence/tacit/xmltree"
)

// Resolve reads a URI of a list of resources that somebody wants to be told of
// (RFC 5875, 4.4): an absolute one, or one that is relative to the root. What
// host it names is not looked at, as in a request: there may be several names for
// one. There is no more than the URI says: whether there is such a resource, and
// who may read it, is for others. An error says that nobody can have it.
func (h *Handler) Resolve(uri string) (r xcapdiff.Resource, err error) {
	if len(uri) > maxURI {
		return r, ErrURITooLong
	}
	if r.Sel, err = h.below(uri); err != nil {
		return r, err
	}
	path, _, queried := strings.Cut(r.Sel, "?")
	if path == "" || strings.HasSuffix(path, "/") {
		if queried {
			return r, fmt.Errorf("%w: a collection with a query", ErrURI)
		}
		err = collection(&r, strings.TrimSuffix(path, "/"))
		r.Made = slices.ContainsFunc(h.usages, func(u Usage) bool {
			m := u.shown()
			return m != nil && r.Names(m.tree.Named(), string(u.AUID), m.name)
		})
		return r, err
	}
	t, err := ParseTarget("", "/"+r.Sel)
	if err != nil {
		return r, err
	}
	usage := h.usage(t.AUID)
	if usage == nil || t.Path == "" {
		return r, ErrNotFound
	}
	r.AUID, r.Path = string(t.AUID), t.Path
	m := usage.shown()
	r.Made = m != nil && m.tree == t.Tree && m.name == t.Path
	if t.Tree == TreeUsers {
		var named bool
		if r.User, named = t.User(); !named {
			return r, ErrNotFound
		}
	} else if !r.Made {
		return r, ErrNotFound // there are no others
	}
	r.Tree = t.Tree.Named()
	if !t.HasNode {
		return r, nil
	}
	bindings, err := ParseBindings(t.Query)
	if err != nil {
		return r, err
	}
	sel, err := ParseSelector(t.Node, usage.Space, bindings)
	if err != nil {
		return r, err
	}
	if sel.Namespaces() {
		return r, fmt.Errorf("%w: namespaces", ErrURI) // RFC 5875, 4.1
	}
	r.Part = sel
	return r, nil
}

// below gives what of a URI is relative to the root.
func (h *Handler) below(uri string) (string, error) {
	if scheme, rest, ok := strings.Cut(uri, "://"); ok && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")) {
		_, path, _ := strings.Cut(rest, "/")
		uri = "/" + path
	}
	if !strings.HasPrefix(uri, "/") {
		return uri, nil
	}
	rest, ok := strings.CutPrefix(uri, h.base+"/")
	if !ok {
		return "", ErrNotFound
	}
	return rest, nil
}

// collection reads the path of a collection.
func collection(r *xcapdiff.Resource, path string) error {
	r.Collection = true
	if path == "" {
		return nil
	}
	segments, _, hasNode, err := splitPath(path)
	switch {
	case err != nil:
		return err
	case hasNode:
		return fmt.Errorf("%w: a part of a document with a slash", ErrURI)
	}
	r.AUID = segments[0]
	if len(segments) == 1 {
		return nil
	}
	below := segments[2:]
	switch segments[1] {
	case segmentUsers:
		if r.Tree = xcapdiff.UserTree; len(below) == 0 {
			return nil
		}
		t := Target{Tree: TreeUsers, XUI: below[0]}
		var named bool
		if r.User, named = t.User(); !named {
			return ErrNotFound
		}
		below = below[1:]
	case segmentGlobal:
		r.Tree = xcapdiff.GlobalTree
	default:
		return ErrNotFound
	}
	for i, s := range below {
		below[i] = escape(s)
	}
	r.Path = strings.Join(below, "/")
	return nil
}

// Named is a tree as an xcapdiff.Resource names it.
func (t Tree) Named() xcapdiff.Tree {
	if t == TreeGlobal {
		return xcapdiff.GlobalTree
	}
	return xcapdiff.UserTree
}

// Escape writes a text as a segment of a path, as documents are named.
func Escape(s string) string { return escape(s) }

// Element implements xcapdiff.Part.
func (s *Selector) Element(d *xmltree.Doc) (xmltree.Node, bool) { return s.element(d) }

// Attribute implements xcapdiff.Part.
func (s *Selector) Attribute() (xmltree.Name, bool) { return s.attr, s.terminal == oneAttribute }
