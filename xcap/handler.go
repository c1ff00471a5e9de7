package xcap

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/xmltree"
)

const (
	// DefaultMaxDocument is the rule document of a big address book, twice.
	DefaultMaxDocument = 256 << 10
	// maxRaces is how often a change is made anew, once it is its turn, because
	// another came before it: one that did not wait, or one of another server's.
	maxRaces = 8
	// maxWriters is how many changes of one document may wait for their turn; each
	// holds its content.
	maxWriters = 128
	// retryAfter, in seconds, is what a client is asked to wait where we cannot
	// answer now.
	retryAfter = "1"
)

// Authenticate says who sent r, or how to answer instead: with the challenges of
// a 401, or with a status. domain is that of the user whose documents are asked
// for, empty if none. It may read r.Body, and then puts another in its place.
type Authenticate func(r *http.Request, domain string) (who presence.Principal, challenges []string, status int)

// Config configures a Handler.
type Config struct {
	// Root is the URI of the XCAP root, such as "https://xcap.example.com/xcap-root",
	// without a slash at its end; or its path alone, which makes the URIs in
	// responses relative.
	Root string
	// Usages are served beside xcap-caps and xcap-directory; see Standard.
	Usages       []Usage
	Documents    Documents
	Authenticate Authenticate
	// Presentity finds whom an address-of-record belongs to.
	Presentity func(presence.AOR) (presence.Presentity, bool)
	// Trusted says who may write global documents and read the index of all
	// users' services; nil: nobody.
	Trusted func(presence.Principal) bool
	// Exists reports whether the domain has a resource of that address, which
	// then is no service's (RFC 4826, 4.4.5). Whoever adds a service learns it,
	// so that it says no of whom nobody may know; nil: no of all. A user's own
	// addresses are no service's of his anyway.
	Exists func(presence.AOR) bool
	// MaxDocument bounds a document, in bytes; 0: DefaultMaxDocument.
	MaxDocument int
	// Log gets faults of the server; nil: nobody.
	Log *slog.Logger
}

// Handler is the XCAP server. Give it requests as they came: not behind an
// http.ServeMux, which redirects paths with two slashes in a predicate.
type Handler struct {
	cfg      Config
	base     string // path of the root
	usages   []Usage
	limits   xmltree.Limits
	origins  *http.CrossOriginProtection
	reserved reservations
	counts   Counts
	writers  Turns[Key] // of documents that several change at once
}

// New makes a Handler.
func New(cfg Config) (*Handler, error) {
	if cfg.Documents == nil || cfg.Authenticate == nil || cfg.Presentity == nil {
		return nil, errors.New("xcap: Documents, Authenticate and Presentity must be given")
	}
	cfg.MaxDocument = cmp.Or(cfg.MaxDocument, DefaultMaxDocument)
	cfg.Root = strings.TrimSuffix(cfg.Root, "/")
	h := &Handler{writers: Turns[Key]{Most: maxWriters}, cfg: cfg, base: pathOf(cfg.Root), limits: filled(xmltree.Limits{MaxBytes: cfg.MaxDocument}), origins: http.NewCrossOriginProtection()}
	h.usages = append(slices.Clone(cfg.Usages), directory())
	h.usages = append(h.usages, capabilities(h.usages))
	slices.SortFunc(h.usages, func(a, b Usage) int { return cmp.Compare(a.AUID, b.AUID) })
	for i := range h.usages {
		if err := h.usages[i].valid(); err != nil {
			return nil, err
		}
		if i > 0 && h.usages[i].AUID == h.usages[i-1].AUID {
			return nil, errors.New("xcap: " + string(h.usages[i].AUID) + " is given twice")
		}
	}
	return h, nil
}

// pathOf is a URI's path, or the path itself.
func pathOf(root string) string {
	if _, rest, ok := strings.Cut(root, "://"); ok {
		_, path, _ := strings.Cut(rest, "/")
		if path == "" {
			return ""
		}
		return "/" + path
	}
	return root
}

// uri gives the URI of what is below the root, escaped.
func (h *Handler) uri(below string) string { return h.cfg.Root + "/" + below }

func (h *Handler) usage(id AUID) *Usage {
	i, ok := slices.BinarySearchFunc(h.usages, id, func(u Usage, id AUID) int { return cmp.Compare(u.AUID, id) })
	if !ok {
		return nil
	}
	return &h.usages[i]
}

// Responses are those that there were.
func (h *Handler) Responses() *Counts { return &h.counts }

// response is what a request is answered with.
type response struct {
	status     int
	etag       presence.EntityTag
	mediaType  string
	body       string
	allow      string
	challenges []string
}

func status(code int) response { return response{status: code} }

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, int64(h.cfg.MaxDocument))
	resp := h.answer(r)
	h.counts.Add(r.Method, resp.status)
	head := w.Header()
	for _, c := range resp.challenges {
		head.Add("WWW-Authenticate", c)
	}
	if resp.allow != "" {
		head.Set("Allow", resp.allow)
	}
	if resp.etag != "" {
		head.Set("ETag", `"`+string(resp.etag)+`"`)
	}
	// RFC 4825, 9: caches on the way do not know what depends on what.
	head.Set("Cache-Control", "private, no-cache")
	if resp.status >= http.StatusBadRequest {
		head.Set("Cache-Control", "no-store")
	}
	if resp.status == http.StatusServiceUnavailable {
		head.Set("Retry-After", retryAfter)
	}
	// A browser must not take a user's document for a page.
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	if resp.mediaType != "" {
		head.Set("Content-Type", resp.mediaType)
	}
	if resp.status != http.StatusNotModified && resp.status != http.StatusNoContent {
		head.Set("Content-Length", strconv.Itoa(len(resp.body)))
	}
	w.WriteHeader(resp.status)
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, resp.body) // who went away is not told
	}
}

// request is one that has been let in.
type request struct {
	*http.Request
	target Target
	usage  *Usage
	key    Key
	who    presence.Principal
	sel    *Selector // nil: the whole document
	conds  conditions
}

// answer follows RFC 4825, 8; but nobody learns what there is before he is
// known, and nobody but its owner what there is of a user.
func (h *Handler) answer(r *http.Request) response {
	target, unreadable := ParseTarget(h.base, RequestTarget(r))
	req := &request{Request: r, target: target}
	if errors.Is(unreadable, ErrURITooLong) {
		return h.refuse(req, unreadable)
	}
	user, named := target.User()
	who, challenges, code := h.cfg.Authenticate(r, user.Domain())
	switch {
	case code != 0:
		return status(code)
	case !who.Known():
		return response{status: http.StatusUnauthorized, challenges: challenges}
	case h.origins.Check(r) != nil:
		return status(http.StatusForbidden)
	case unreadable != nil && target.XUI == "":
		return h.refuse(req, unreadable)
	}
	req.who = who
	if req.usage = h.usage(target.AUID); req.usage == nil {
		return h.refuse(req, ErrNotFound)
	}
	req.key = Key{AUID: target.AUID, Tree: target.Tree, Path: target.Path}
	if target.Tree == TreeUsers {
		if req.key.Owner, named = h.own(who, user, named); !named {
			return status(http.StatusForbidden)
		}
	}
	if unreadable != nil {
		return h.refuse(req, unreadable)
	}
	if !req.usage.has(target.Tree) || target.Path == "" {
		return h.refuse(req, ErrNotFound)
	}
	if made := req.usage.madeIn(target.Tree); made != nil && made.trusted && !h.trusts(who) {
		return status(http.StatusForbidden)
	}
	return h.dispatch(req)
}

// RequestTarget is the request's target as it came, without scheme and
// authority: r.URL has been decoded, and would be so twice.
func RequestTarget(r *http.Request) string {
	uri := r.RequestURI
	if !strings.HasPrefix(uri, "/") {
		if _, rest, ok := strings.Cut(uri, "://"); ok {
			_, path, _ := strings.Cut(rest, "/")
			return "/" + path
		}
	}
	return uri
}

// own returns the presentity of an address, if who is it too.
func (h *Handler) own(who presence.Principal, user presence.AOR, named bool) (presence.Presentity, bool) {
	owner, exists := h.cfg.Presentity(user)
	self, known := h.cfg.Presentity(who.AOR())
	return owner, named && exists && known && owner == self
}

func (h *Handler) trusts(who presence.Principal) bool {
	return h.cfg.Trusted != nil && h.cfg.Trusted(who)
}

const (
	allowRead  = "GET, HEAD, OPTIONS"
	allowWrite = "GET, HEAD, PUT, DELETE, OPTIONS"
)

// dispatch reads what is left to read of the request, and does it.
func (h *Handler) dispatch(req *request) response {
	var err error
	if req.target.HasNode {
		bindings, err := ParseBindings(req.target.Query)
		if err == nil {
			req.sel, err = ParseSelector(req.target.Node, req.usage.Space, bindings)
		}
		if err != nil {
			return h.refuse(req, err)
		}
	}
	if req.conds, err = readConditions(req.Header); err != nil {
		return h.refuse(req, err)
	}
	allow := allowWrite
	if req.usage.madeIn(req.key.Tree) != nil && (req.key.Tree == TreeGlobal || req.usage.Validate == nil) ||
		req.sel != nil && req.sel.Namespaces() {
		// RFC 4825, 8.2: also where namespaces are selected.
		allow = allowRead
	}
	switch req.Method {
	case http.MethodGet, http.MethodHead:
		return h.get(req)
	case http.MethodOptions:
		return response{status: http.StatusNoContent, allow: allow}
	case http.MethodPut, http.MethodDelete:
		if allow == allowRead {
			break
		}
		if req.key.Tree == TreeGlobal && !h.trusts(req.who) {
			// RFC 4825, 5.7: others only read.
			return status(http.StatusForbidden)
		}
		return h.change(req)
	}
	// RFC 4825, 8.1: POST is for none of these.
	return response{status: http.StatusMethodNotAllowed, allow: allow}
}

// refuse turns an error into a response.
func (h *Handler) refuse(req *request, err error) response {
	if c, ok := errors.AsType[*Conflict](err); ok {
		return response{status: http.StatusConflict, mediaType: errorMediaType, body: c.Report()}
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		err = ErrTooLarge
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		err = ErrUnavailable
	}
	for _, known := range [...]struct {
		err    error
		status int
	}{
		{ErrNotFound, http.StatusNotFound},
		// RFC 4825, 8: an extension that we do not know.
		{ErrStep, http.StatusNotFound},
		{ErrURI, http.StatusBadRequest},
		{ErrPrefix, http.StatusBadRequest},
		{errConditions, http.StatusBadRequest},
		{errSlow, http.StatusRequestTimeout},
		{errBody, http.StatusBadRequest},
		{ErrURITooLong, http.StatusRequestURITooLong},
		{ErrTooLarge, http.StatusRequestEntityTooLarge},
		{errMediaType, http.StatusUnsupportedMediaType},
		{errMatch, http.StatusPreconditionFailed},
		{ErrUnavailable, http.StatusServiceUnavailable},
		{ErrChanged, http.StatusServiceUnavailable}, // again and again
	} {
		if errors.Is(err, known.err) {
			// The sentence alone: nothing of the request comes back.
			return response{status: known.status, mediaType: "text/plain; charset=utf-8", body: known.err.Error() + "\n"}
		}
	}
	if errors.Is(err, ErrTooMany) {
		return h.refuse(req, conflict(ConstraintFailed, "there are as many documents as there may be"))
	}
	if h.cfg.Log != nil {
		h.cfg.Log.ErrorContext(req.Context(), "xcap", "method", req.Method, "auid", string(req.key.AUID), "owner", string(req.key.Owner), "error", err)
	}
	return status(http.StatusInternalServerError)
}

var (
	errMediaType = errors.New("media type is not that of the resource")
	errMatch     = errors.New("a condition does not hold")
	errBody      = errors.New("content not received")
	errSlow      = errors.New("content not received in time")
)

// checkMediaType holds that the content is said to be what the resource is
// (RFC 4825, 8.2.2).
func checkMediaType(h http.Header, want string) error {
	if e := h.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return errMediaType
	}
	have, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || !strings.EqualFold(have, want) {
		return errMediaType
	}
	if c, ok := params["charset"]; ok && !strings.EqualFold(c, "utf-8") && !strings.EqualFold(c, "us-ascii") {
		return conflict(NotUTF8, "the content is said to be in another character set")
	}
	return nil
}
