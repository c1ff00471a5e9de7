package filter

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tacit-presence/tacit/schema"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/xmltree"
)

// ErrFilter is what every error of Read wraps: the filter is not understood, and
// its SUBSCRIBE gets 488 (RFC 4660, 5.4).
var ErrFilter = errors.New("bad filter")

// ContentType is the media type of filters (RFC 4661, 3.1).
const ContentType = "application/simple-filter+xml"

// The namespaces of filters.
const (
	Space         = "urn:ietf:params:xml:ns:simple-filter"
	LocationSpace = "urn:ietf:params:xml:ns:location-filter" // RFC 6447
)

// Limits of one subscription's filters.
const (
	MaxBytes    = 16 << 10
	maxFilters  = 32
	maxClauses  = 64 // includes, excludes, triggers of one filter
	maxBindings = 32
	// maxWhere bounds the triggers about places: each may compare a hundred points
	// with a polygon of hundreds of corners.
	maxWhere = 8
)

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFilter, fmt.Sprintf(format, args...))
}

// Set is all filters of one subscription: those of its SUBSCRIBEs' bodies
// together (RFC 4660, 3.3.3). A Set is not changed; Read makes a new one.
type Set struct {
	filters []one
	text    string
}

// one is one <filter>.
type one struct {
	id, uri, domain string
	enabled         bool
	what            *what
	triggers        []trigger
	source          string // the element, with the bindings, for text
}

// clause is one <include> or <exclude>.
type clause struct {
	path  *path  // nil: a namespace
	space string // type="namespace"
}

type what struct {
	include, exclude []clause
	location         *locationType
}

// presencePackage is the event package that filters are for unless they say
// otherwise.
const presencePackage = "presence"

// valid is RFC 4661's schema.
var valid = schema.FilterSet()

// Read reads the body of a SUBSCRIBE to presence and applies it to the filters of
// its dialog before it; old is nil if there are none. Its errors wrap ErrFilter.
func Read(body string, old *Set) (*Set, error) { return ReadFor(presencePackage, body, old) }

// ReadFor is Read for a subscription to another event package, as
// "presence.winfo".
func ReadFor(event, body string, old *Set) (*Set, error) { return readSet(event, body, old, MaxBytes) }

func readSet(event, body string, old *Set, limit int) (*Set, error) {
	doc, err := xmltree.Parse(body, xmltree.Limits{MaxBytes: limit})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFilter, err)
	}
	root := doc.Root()
	if !doc.Is(root, Space, "filter-set") {
		return nil, bad("the root is <%s> of namespace %q, not <filter-set>", doc.Local(root), doc.Space(root))
	}
	// What the schema's rules beside it refuse is said below in more words; an empty
	// <trigger> is no error (RFC 4660, 5.4).
	if fault, ok := errors.AsType[*schema.Error](valid(doc)); ok && fault.Kind == schema.Schema {
		return nil, bad("%s", fault.Phrase)
	}
	if p, ok := doc.Attr(root, "", "package"); ok && p != event {
		return nil, bad("it is for the package %q", p)
	}
	prefixes := map[string]string{}
	set := new(Set)
	if old != nil {
		set.filters = slices.Clone(old.filters)
	}
	seen := map[string]bool{}
	for n := doc.FirstElement(root); n != xmltree.None; n = doc.NextElement(n) {
		switch {
		case doc.Is(n, Space, "ns-bindings") && len(seen) == 0 && len(prefixes) == 0:
			if err := readBindings(doc, n, prefixes); err != nil {
				return nil, err
			}
		case doc.Is(n, Space, "filter"):
			f, err := readOne(doc, n, prefixes)
			if err != nil {
				return nil, err
			}
			if seen[f.id] {
				return nil, bad("the id %q is there twice", f.id)
			}
			seen[f.id] = true
			if err := set.change(doc, n, f); err != nil {
				return nil, err
			}
		default:
			return nil, bad("<%s> of namespace %q must not be there", doc.Local(n), doc.Space(n))
		}
	}
	if len(seen) == 0 {
		return nil, bad("there is no <filter>")
	}
	return set, set.check()
}

// readBindings reads <ns-bindings> (RFC 4661, 3.3).
func readBindings(doc *xmltree.Doc, n xmltree.Node, prefixes map[string]string) error {
	for c := doc.FirstElement(n); c != xmltree.None; c = doc.NextElement(c) {
		if !doc.Is(c, Space, "ns-binding") {
			return bad("<%s> must not be in <ns-bindings>", doc.Local(c))
		}
		prefix, ok := doc.Attr(c, "", "prefix")
		urn, ok2 := doc.Attr(c, "", "urn")
		if !ok || !ok2 || urn == "" || !xmltree.IsNCName(prefix) {
			return bad("<ns-binding> needs a prefix and an urn")
		}
		if _, twice := prefixes[prefix]; twice || len(prefixes) >= maxBindings {
			return bad("the prefix %q is there twice, or there are more than %d", prefix, maxBindings)
		}
		prefixes[prefix] = strings.Trim(urn, blanks)
	}
	return nil
}

// boolean reads an xs:boolean.
func boolean(doc *xmltree.Doc, n xmltree.Node, name string, absent bool) (bool, error) {
	v, ok := doc.Attr(n, "", name)
	if !ok {
		return absent, nil
	}
	switch strings.Trim(v, blanks) {
	case "true", "1":
		return true, nil
	case "false", "0":
		return false, nil
	}
	return false, bad("%s is %q, not true or false", name, v)
}

// readOne reads a <filter> (RFC 4661, 3.4).
func readOne(doc *xmltree.Doc, n xmltree.Node, prefixes map[string]string) (f one, err error) {
	var ok bool
	if f.id, ok = doc.Attr(n, "", "id"); !ok {
		return f, bad("<filter> has no id")
	}
	f.uri, _ = doc.Attr(n, "", "uri")
	f.domain, _ = doc.Attr(n, "", "domain")
	if f.uri != "" && f.domain != "" {
		return f, bad("<filter id=%q> has both uri and domain", f.id)
	}
	if f.enabled, err = boolean(doc, n, "enabled", true); err != nil {
		return f, err
	}
	clauses, places := 0, 0
	for c := doc.FirstElement(n); c != xmltree.None; c = doc.NextElement(c) {
		switch {
		case doc.Is(c, Space, "what") && f.what == nil && len(f.triggers) == 0:
			f.what, err = readWhat(doc, c, prefixes, &clauses)
		case doc.Is(c, Space, "trigger"):
			var t trigger
			t, err = readTrigger(doc, c, prefixes, &clauses)
			if places += len(t.where); places > maxWhere {
				err = bad("<filter id=%q> has more than %d triggers about places", f.id, maxWhere)
			}
			if err == nil && !t.empty() { // RFC 4660, 5.4: an empty one does not exist
				f.triggers = append(f.triggers, t)
			}
		default:
			err = bad("<%s> of namespace %q is not understood in <filter>", doc.Local(c), doc.Space(c))
		}
		if err == nil && clauses > maxClauses {
			err = bad("<filter id=%q> has more than %d parts", f.id, maxClauses)
		}
		if err != nil {
			return f, err
		}
	}
	return f, nil
}

func readWhat(doc *xmltree.Doc, n xmltree.Node, prefixes map[string]string, clauses *int) (*what, error) {
	w := new(what)
	for c := doc.FirstElement(n); c != xmltree.None; c = doc.NextElement(c) {
		*clauses++
		list := &w.include
		switch {
		case doc.Is(c, Space, "include") && len(w.exclude) == 0:
		case doc.Is(c, Space, "exclude"):
			list = &w.exclude
		case doc.Is(c, LocationSpace, "locationType") && w.location == nil:
			var err error
			if w.location, err = readLocationType(doc, c); err != nil {
				return nil, err
			}
			continue
		default:
			return nil, bad("<%s> of namespace %q is not understood in <what>", doc.Local(c), doc.Space(c))
		}
		k, err := readClause(doc, c, prefixes)
		if err != nil {
			return nil, err
		}
		*list = append(*list, k)
	}
	if len(w.include)+len(w.exclude) == 0 && w.location == nil {
		return nil, nil // RFC 4660, 5.4: an empty one does not exist
	}
	return w, nil
}

func readClause(doc *xmltree.Doc, n xmltree.Node, prefixes map[string]string) (k clause, err error) {
	// The schema has seen to it that there is text alone, and to the type.
	if kind, _ := doc.Attr(n, "", "type"); kind != "namespace" {
		k.path, err = parsePath(doc.Text(n), prefixes)
		return k, err
	}
	if k.space = strings.Trim(doc.Text(n), blanks); k.space == "" {
		return k, bad("<%s> names no namespace", doc.Local(n))
	}
	return k, nil
}

// change puts a filter of a body in its place (RFC 4660, 3.3.3; RFC 4661, 3.4).
func (s *Set) change(doc *xmltree.Doc, n xmltree.Node, f one) error {
	remove, err := boolean(doc, n, "remove", false)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(s.filters, func(o one) bool { return o.id == f.id })
	switch bare := f.what == nil && len(f.triggers) == 0; {
	case remove && i < 0:
		return bad("there is no filter %q to be removed", f.id)
	case remove:
		s.filters = slices.Delete(slices.Clone(s.filters), i, i+1)
		return nil
	case bare && i >= 0:
		// A filter is disabled, or enabled again, without its content.
		old := s.filters[i]
		if f.uri+f.domain != "" && (canonical(f.uri) != canonical(old.uri) || !strings.EqualFold(f.domain, old.domain)) {
			return bad("the filter %q without content is for another resource", f.id)
		}
		old.enabled = f.enabled
		s.filters[i] = old
		return nil
	case bare && f.enabled && doc.FirstElement(n) == xmltree.None:
		return bad("<filter id=%q> has neither <what> nor <trigger>", f.id)
	}
	f.source = source(doc, n)
	if i >= 0 {
		s.filters[i] = f
		return nil
	}
	if s.filters = append(s.filters, f); len(s.filters) > maxFilters {
		return bad("there are more than %d filters", maxFilters)
	}
	return nil
}

// source is a document of its own that holds one filter and its bindings.
func source(doc *xmltree.Doc, n xmltree.Node) string {
	root := doc.Root()
	var b strings.Builder
	b.WriteString(`<filter-set xmlns="` + Space + `">`)
	for c := doc.FirstElement(root); c != xmltree.None; c = doc.NextElement(c) {
		if c == n || doc.Is(c, Space, "ns-bindings") {
			b.WriteString(doc.Copy(c, []xmltree.Binding{{Space: Space}}))
		}
	}
	b.WriteString("</filter-set>")
	return b.String()
}

// check refuses two filters for the same resource or domain (RFC 4660, 5.2), and
// makes the set's text.
func (s *Set) check() error {
	seen := map[string]string{}
	var b strings.Builder
	for _, f := range s.filters {
		target := "domain " + strings.ToLower(f.domain)
		if f.domain == "" {
			target = "uri " + canonical(f.uri)
		}
		if other, ok := seen[target]; ok {
			return bad("the filters %q and %q are for the same resource", other, f.id)
		}
		seen[target] = f.id
		mark := byte('0')
		if f.enabled {
			mark = '1'
		}
		b.WriteByte(mark)
		b.WriteString(strconv.Itoa(len(f.source)))
		b.WriteByte(':')
		b.WriteString(f.source)
	}
	s.text = b.String()
	if len(s.text) > 2*MaxBytes {
		return bad("the filters have more than %d bytes together", MaxBytes)
	}
	return nil
}

// Unique refuses a filter without a URI beside one for the URI that the
// subscription is for, which it is for as well (RFC 4660, 5.2 and 5.2.1).
func (s *Set) Unique(entity string) error {
	bare, named := "", ""
	for i := range s.filters {
		switch f := &s.filters[i]; {
		case f.domain != "":
		case f.uri == "":
			bare = f.id
		case canonical(f.uri) == canonical(entity):
			named = f.id
		}
	}
	if bare != "" && named != "" {
		return bad("the filters %q and %q are for the same resource", bare, named)
	}
	return nil
}

// canonical makes URIs of one resource equal.
func canonical(uri string) string {
	aor, err := sip.ParseAOR(uri)
	if err != nil {
		return uri
	}
	return string(aor)
}

// Text is what Restore makes an equal set of: it is kept with the subscription.
func (s *Set) Text() string {
	if s == nil {
		return ""
	}
	return s.text
}

// Restore makes a set of its Text. Its errors wrap ErrFilter.
func Restore(text string) (*Set, error) {
	set := new(Set)
	for rest := text; rest != ""; {
		head, tail, ok := strings.Cut(rest, ":")
		if !ok || len(head) < 2 {
			return nil, bad("the kept text is damaged")
		}
		size, err := strconv.Atoi(head[1:])
		if err != nil || size < 0 || size > len(tail) {
			return nil, bad("the kept text is damaged")
		}
		one, err := readSet("", tail[:size], nil, maxText)
		if err != nil {
			return nil, err
		}
		f := one.filters[0]
		f.enabled = head[0] == '1'
		set.filters = append(set.filters, f)
		rest = tail[size:]
	}
	return set, set.check()
}

// For finds the filter for the resource that a subscription asked for by the
// URI entity: one for that URI or without any, of which Unique lets there be one
// only, else one for its domain (RFC 4660, 3.3.2). Filters for other resources and
// domains do not matter: they would be for the members of a list, and RFC 4660,
// 5.2.1 leaves it to us whether they are ignored or refused. Refusing them would
// tell a watcher which URIs are names of one presentity. Without any, it is the
// zero Filter.
func (s *Set) For(entity string) Filter {
	if s == nil {
		return Filter{}
	}
	best, rank := -1, 0
	target := canonical(entity)
	for i, f := range s.filters {
		r := 0
		switch {
		case !f.enabled: // it is as good as absent (RFC 4660, 5.3)
		case f.uri != "" && canonical(f.uri) == target:
			r = 3
		case f.uri == "" && f.domain == "":
			r = 2
		case f.domain != "" && strings.EqualFold(f.domain, domain(target)):
			r = 1
		}
		if r > rank {
			best, rank = i, r
		}
	}
	if best < 0 {
		return Filter{}
	}
	return Filter{one: &s.filters[best], entity: entity}
}

func domain(uri string) string {
	_, d, _ := strings.Cut(uri, "@")
	return d
}
