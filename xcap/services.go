package xcap

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/schema"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/xmltree"
)

// alternatives is how many URIs are proposed for one that is taken.
const alternatives = 3

// maxNewServices bounds the services that one request may add: each is looked
// for among all that there are.
const maxNewServices = 64

// reservations are the URIs that requests under way want for services. They
// keep two requests of this server from taking one URI at the same time.
type reservations struct {
	mu   sync.Mutex // held for a look-up
	held map[string]struct{}
}

// take reserves a URI; false: it is reserved.
func (r *reservations) take(uri string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.held[uri]; ok {
		return false
	}
	if r.held == nil {
		r.held = map[string]struct{}{}
	}
	r.held[uri] = struct{}{}
	return true
}

func (r *reservations) release(uris []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, uri := range uris {
		delete(r.held, uri)
	}
}

// service is one <service> element.
type service struct {
	node xmltree.Node
	uri  string // as written, without white space around it
	key  string // in one spelling
}

func services(d *xmltree.Doc) []service {
	var list []service
	for n := d.FirstElement(d.Root()); n != xmltree.None; n = d.NextElement(n) {
		if d.Is(n, schema.RLSServicesSpace, "service") {
			uri, _ := d.Attr(n, "", "uri")
			uri = strings.Trim(uri, spaces)
			list = append(list, service{node: n, uri: uri, key: serviceKey(uri)})
		}
	}
	return list
}

// serviceKey is a service's URI in one spelling: what two SIP URIs of one
// address have in common (RFC 4826, 5), else the URI itself.
func serviceKey(uri string) string {
	if aor, err := sip.ParseAOR(uri); err == nil {
		return string(aor)
	}
	return uri
}

// checkServices holds what RFC 4826, 4.4.5 asks for beyond one document: lists
// are of the same user, and new services have URIs that nobody has.
func checkServices(ctx context.Context, h *Handler, c *change) (func(), error) {
	nothing := func() {}
	known := map[string]struct{}{}
	if c.old != nil {
		for _, s := range services(c.old) {
			known[s.key] = struct{}{}
		}
	}
	var added []service
	var again []Exists
	seen := map[string]struct{}{}
	for _, s := range services(c.new) {
		if err := h.ownList(c, s.node); err != nil {
			return nothing, err
		}
		if _, twice := seen[s.key]; twice {
			again = append(again, exists(c.new, s, nil))
			continue
		}
		seen[s.key] = struct{}{}
		if _, ok := known[s.key]; !ok {
			added = append(added, s)
		}
	}
	switch {
	case again != nil:
		return nothing, notUnique(again)
	case len(added) == 0:
		return nothing, nil
	case len(added) > maxNewServices:
		return nothing, conflict(ConstraintFailed, "too many new services in one request")
	}
	return h.reserve(ctx, c, added)
}

// reserve reserves the URIs of new services, then looks whether one is another's:
// in this order, two requests at once do not both find it free.
func (h *Handler) reserve(ctx context.Context, c *change, added []service) (release func(), err error) {
	var held []string
	release = func() { h.reserved.release(held) }
	blocked := ""
	for _, s := range added {
		if !h.reserved.take(s.key) {
			blocked = s.key
			break
		}
		held = append(held, s.key)
	}
	others, err := h.othersServices(ctx, c.key)
	free := func(key string) bool {
		if _, ok := others[key]; ok || key == blocked {
			return false
		}
		aor, err := sip.ParseAOR(key)
		if err != nil {
			return true
		}
		self, ok := h.cfg.Presentity(aor)
		return !(ok && self == c.key.Owner) && (h.cfg.Exists == nil || !h.cfg.Exists(aor))
	}
	if err == nil {
		err = taken(c.new, added, free)
	}
	if err != nil {
		release()
		return func() {}, err
	}
	return release, nil
}

// othersServices collects the URIs of all services but those of one document.
// RFC 4826, 4.4.5: of any document, be it in the index or not.
func (h *Handler) othersServices(ctx context.Context, but Key) (map[string]struct{}, error) {
	all := map[string]struct{}{}
	collector, ok := h.cfg.Documents.(Collector)
	if !ok {
		return all, nil
	}
	var d xmltree.Doc
	err := collector.Each(ctx, AUIDServices, func(k Key, doc Document) bool {
		if k == but || d.Parse(doc.Body, h.limits) != nil {
			return true
		}
		for _, s := range services(&d) {
			all[s.key] = struct{}{}
		}
		return true
	})
	return all, err
}

// taken is the conflict about URIs that are another's.
func taken(d *xmltree.Doc, added []service, free func(key string) bool) error {
	var list []Exists
	for _, s := range added {
		if !free(s.key) {
			list = append(list, exists(d, s, propose(s.uri, free)))
		}
	}
	if list == nil {
		return nil
	}
	return notUnique(list)
}

func exists(d *xmltree.Doc, s service, instead []string) Exists {
	return Exists{Field: Field(d, s.node, &xmltree.Name{Local: "uri"}, schema.RLSServicesSpace), Alternatives: instead}
}

func notUnique(list []Exists) *Conflict {
	return &Conflict{Reason: NotUnique, Phrase: "that URI is taken", Exists: list}
}

// propose makes URIs like uri that are free.
func propose(uri string, free func(key string) bool) []string {
	user, rest, ok := strings.Cut(uri, "@")
	if !ok {
		return nil
	}
	var list []string
	for range alternatives {
		if v := user + "-" + strings.ToLower(rand.Text()[:5]) + "@" + rest; free(serviceKey(v)) {
			list = append(list, v)
		}
	}
	return list
}

// ownList holds that a service's <resource-list> leads to a document of the
// user whose services they are.
func (h *Handler) ownList(c *change, n xmltree.Node) error {
	list := c.new.FirstElement(n)
	if list == xmltree.None || !c.new.Is(list, schema.RLSServicesSpace, "resource-list") || c.key.Tree != TreeUsers {
		return nil
	}
	// RFC 4826, 4.4.5: by the value of the URI, which is not followed.
	uri := strings.Join(strings.Fields(c.new.Text(list)), "")
	const marker = "/" + string(AUIDLists) + "/"
	i := strings.Index(uri, marker)
	if i < 0 {
		return conflict(ConstraintFailed, "<resource-list> must lead to a document of resource-lists")
	}
	t, err := ParseTarget("", uri[i:])
	if err != nil {
		return conflict(ConstraintFailed, "<resource-list> must lead to a document")
	}
	aor, ok := t.User()
	if ok {
		var owner presence.Presentity
		owner, ok = h.cfg.Presentity(aor)
		ok = ok && owner == c.key.Owner
	}
	if !ok {
		return conflict(ConstraintFailed, "<resource-list> must lead to a document of the same user")
	}
	return nil
}

// errIndexTooLarge: the services of all users are more than one document holds.
var errIndexTooLarge = errors.New("xcap: the index of services is too large")

// maxIndex bounds the index of all services, which is made anew for each
// request for it; a service has some 400 bytes.
const maxIndex = 64 << 20

// servicesIndex is the union of all users' services (RFC 4826, 4.4.8).
func servicesIndex(ctx context.Context, h *Handler, _ presence.Presentity) (string, error) {
	collector, ok := h.cfg.Documents.(Collector)
	if !ok {
		return "", ErrNotFound
	}
	outer := []xmltree.Binding{{Space: schema.RLSServicesSpace}, {Prefix: "rl", Space: schema.ResourceListsSpace}}
	b := append([]byte(xmlDeclaration), "<rls-services"...)
	for _, o := range outer {
		b = xmltree.AppendBinding(b, o)
	}
	b = append(b, '>')
	var d xmltree.Doc
	err := collector.Each(ctx, AUIDServices, func(k Key, doc Document) bool {
		// RFC 4826, 4.4.7: a service elsewhere is none of the index.
		if k.Path != indexName || d.Parse(doc.Body, h.limits) != nil {
			return true
		}
		for _, s := range services(&d) {
			b = append(append(b, "\n "...), d.Copy(s.node, outer)...)
		}
		return len(b) <= maxIndex
	})
	if err == nil && len(b) > maxIndex {
		err = errIndexTooLarge
	}
	return string(append(b, "\n</rls-services>\n"...)), err
}
