package xcapdiff

import (
	"fmt"
	"strings"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/xmltree"
)

const (
	// ListType is the media type of the lists of resources of a SUBSCRIBE
	// (RFC 4826, 3.4.5).
	ListType  = "application/resource-lists+xml"
	listSpace = "urn:ietf:params:xml:ns:resource-lists"
	// MaxEntries bounds what one subscription names (RFC 5875, 7): all documents
	// that a user may have, and some parts of them.
	MaxEntries = 128
	// maxURI bounds one of them, as it is bounded in a request to the XCAP server.
	maxURI = 8 << 10
)

// Tree says which documents of an application usage are meant (RFC 4825, 6.2).
type Tree uint8

// The trees. The zero value is both.
const (
	EitherTree Tree = iota
	UserTree        // those of a user
	GlobalTree      // those that are nobody's
)

// Resource is what an entry of a list names, as far as it may be one of a user's, or
// one that the server makes.
type Resource struct {
	Sel string // its URI as written, relative to the root
	// Collection says that all documents below it are meant; then whatever is
	// empty of AUID, User and Path stands for all.
	Collection bool
	AUID       string
	Tree       Tree // that the way to it names
	User       presence.AOR
	Path       string // the document's name below its user, or its tree
	// Made says that the server itself makes the document, or some of those in the
	// collection.
	Made bool
	// Part selects an element or attribute of the document; nil: all of it.
	Part Part
}

// Part is a node selector (RFC 4825, 6.3).
type Part interface {
	// Element finds the element, or the one that has the attribute.
	Element(d *xmltree.Doc) (xmltree.Node, bool)
	// Attribute is the attribute's name; false: the element is meant.
	Attribute() (xmltree.Name, bool)
}

// ParseList reads the URIs of a list of resources. It is flat: whatever stands in
// it beside entries, or in another list, is passed over (RFC 5875, 4.4).
func ParseList(text string) ([]string, error) {
	d, err := xmltree.Parse(text, xmltree.Limits{})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if !d.Is(d.Root(), listSpace, "resource-lists") {
		return nil, fmt.Errorf("%w: the root is not resource-lists", ErrMalformed)
	}
	var uris []string
	for l := d.FirstElement(d.Root()); l != xmltree.None; l = d.NextElement(l) {
		if !d.Is(l, listSpace, "list") {
			continue
		}
		for e := d.FirstElement(l); e != xmltree.None; e = d.NextElement(e) {
			if !d.Is(e, listSpace, "entry") {
				continue
			}
			uri, ok := d.Attr(e, "", "uri")
			switch uri = strings.Trim(uri, " "); {
			case !ok:
				return nil, fmt.Errorf("%w: an entry without uri", ErrMalformed)
			case len(uri) > maxURI:
				return nil, fmt.Errorf("%w: a URI of more than %d bytes", ErrMalformed, maxURI)
			case strings.ContainsFunc(uri, func(r rune) bool { return r < ' ' }):
				return nil, fmt.Errorf("%w: a control character in a URI", ErrMalformed)
			case len(uris) == MaxEntries:
				return nil, fmt.Errorf("%w: more than %d", ErrTooBig, MaxEntries)
			}
			uris = append(uris, uri)
		}
	}
	return uris, nil
}

// Names reports whether the resource is, or is in, or has in it the document of
// that name in one of the trees.
func (r *Resource) Names(tree Tree, auid, path string) bool {
	if r.Tree != EitherTree && r.Tree != tree {
		return false
	}
	if !r.Collection {
		return r.AUID == auid && r.Path == path
	}
	return (r.AUID == "" || r.AUID == auid) && (r.Path == "" || strings.HasPrefix(path, r.Path+"/"))
}

// SelOf is the URI of a document in a collection: what the collection's does not
// say is added to it. All of name are escaped; without user it is in the global
// tree.
func (r *Resource) SelOf(auid, user, path string) string {
	tree, below := "global/", path
	if user != "" {
		tree, below = "users/", user+"/"+path
	}
	switch {
	case r.AUID == "":
		return r.Sel + auid + "/" + tree + below
	case r.Path != "":
		return r.Sel + strings.TrimPrefix(path, r.Path+"/")
	case r.User != "":
		return r.Sel + path
	case r.Tree != EitherTree:
		return r.Sel + below
	}
	return r.Sel + tree + below
}

// Select gives the part of a document that the resource names; false: there is
// none. The text of an element of more than most bytes is left out (RFC 5875, 4.7).
func (r *Resource) Select(d *xmltree.Doc, most int) (Item, bool) {
	i := Item{Kind: KindElement, Sel: r.Sel}
	n, ok := r.Part.Element(d)
	if !ok {
		return i, false
	}
	if name, is := r.Part.Attribute(); is {
		i.Kind = KindAttribute
		i.Text, ok = d.Attr(n, name.Space, name.Local)
		return i, ok
	}
	if span := d.Span(n); span.End-span.Start <= most {
		i.Text = d.Raw(n)
		i.Scope = scopeOf(d.AppendScope(nil, n), i.Text)
	}
	return i, true
}

// Hash is a hash of some texts, the same in every process. It protects nobody from
// himself: whoever has two of his own states collide misses a change of one.
func Hash(texts ...string) uint64 {
	const seed, prime = 14695981039346656037, 1099511628211
	h := uint64(seed)
	for _, s := range texts {
		h = (h ^ uint64(len(s))) * prime
		for i := 0; i < len(s); i++ {
			h = (h ^ uint64(s[i])) * prime
		}
	}
	// Mixed well, so that sums of hashes are as good (SplitMix64's last step).
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
