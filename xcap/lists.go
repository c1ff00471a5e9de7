package xcap

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/schema"
	"github.com/tacit-presence/tacit/xmltree"
)

const (
	// maxListDepth bounds lists within and by reference of lists.
	maxListDepth = 8
	// maxMembers bounds what one list can name.
	maxMembers = 10_000
)

// ErrList: a URI does not name a list that can be read here.
var ErrList = errors.New("no such list")

// Lists finds what the lists of one user name (RFC 4826, 3).
type Lists struct {
	// Root is the path of the XCAP root.
	Root string
	// Owns reports whether an address is the user's: nobody else's lists are
	// read, since nobody but their owner may know who is in them.
	Owns func(presence.AOR) bool
	// Document returns the user's resource-lists document of that path.
	Document func(path string) (string, bool)
}

// Members returns the addresses that the list, or lists, at a URI name: their
// entries, and those of the lists in them or that they refer to, as far as they
// are the same user's. An error is ErrList: there is none, or one that is too
// big or that goes in circles.
func (l *Lists) Members(uri string) (map[presence.AOR]struct{}, error) {
	r := listReader{Lists: l, members: map[presence.AOR]struct{}{}}
	if err := r.at(uri, 0); err != nil {
		return nil, err
	}
	return r.members, nil
}

type listReader struct {
	*Lists
	members map[presence.AOR]struct{}
	docs    map[string]*xmltree.Doc
}

// at reads what a URI names: absolute, or relative to the root.
func (r *listReader) at(uri string, depth int) error {
	if depth > maxListDepth {
		return fmt.Errorf("%w: lists refer to lists too deep", ErrList)
	}
	u, err := url.Parse(strings.Trim(uri, spaces))
	if err != nil {
		return fmt.Errorf("%w: %q is no URI", ErrList, uri)
	}
	target := u.EscapedPath()
	if u.Scheme == "" && u.Host == "" && !strings.HasPrefix(target, "/") {
		target = r.Root + "/" + target
	}
	if u.RawQuery != "" {
		target += "?" + u.RawQuery
	}
	t, err := ParseTarget(r.Root, target)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrList, err)
	}
	owner, ok := t.User()
	if t.AUID != AUIDLists || t.Tree != TreeUsers || !ok || !r.Owns(owner) {
		return fmt.Errorf("%w: %q is not in the lists of the same user", ErrList, uri)
	}
	doc, err := r.document(t.Path)
	if err != nil {
		return err
	}
	n := doc.Root()
	if t.HasNode {
		bindings, err := ParseBindings(t.Query)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrList, err)
		}
		s, err := ParseSelector(t.Node, schema.ResourceListsSpace, bindings)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrList, err)
		}
		if n, ok = s.element(doc); !ok {
			return fmt.Errorf("%w: %q selects nothing", ErrList, uri)
		}
	}
	return r.element(doc, n, depth)
}

func (r *listReader) document(path string) (*xmltree.Doc, error) {
	if d := r.docs[path]; d != nil {
		return d, nil
	}
	text, ok := r.Document(path)
	if !ok {
		return nil, fmt.Errorf("%w: there is no document %s", ErrList, path)
	}
	d, err := xmltree.Parse(text, xmltree.DefaultLimits())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrList, err)
	}
	if r.docs == nil {
		r.docs = map[string]*xmltree.Doc{}
	}
	r.docs[path] = d
	return d, nil
}

// element reads a list, an entry, or all lists of a document. What refers to
// where we cannot read names nobody.
func (r *listReader) element(d *xmltree.Doc, n xmltree.Node, depth int) error {
	if depth > maxListDepth {
		return fmt.Errorf("%w: lists stand in lists too deep", ErrList)
	}
	switch d.Space(n) + " " + d.Local(n) {
	case schema.ResourceListsSpace + " resource-lists", schema.ResourceListsSpace + " list":
		for c := d.FirstElement(n); c != xmltree.None; c = d.NextElement(c) {
			if err := r.element(d, c, depth+1); err != nil {
				return err
			}
		}
	case schema.ResourceListsSpace + " entry":
		uri, _ := d.Attr(n, "", "uri")
		if aor, ok := policy.Identity(uri); ok {
			r.members[aor] = struct{}{}
		}
	case schema.ResourceListsSpace + " entry-ref":
		ref, _ := d.Attr(n, "", "ref")
		if err := r.at(ref, depth+1); err != nil && depth >= maxListDepth {
			return err
		}
	case schema.ResourceListsSpace + " external":
		anchor, _ := d.Attr(n, "", "anchor")
		if err := r.at(anchor, depth+1); err != nil && depth >= maxListDepth {
			return err
		}
	}
	if len(r.members) > maxMembers {
		return fmt.Errorf("%w: it has more than %d members", ErrList, maxMembers)
	}
	return nil
}
