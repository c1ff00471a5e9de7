package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/xcap"
)

const (
	// apiRoot is the path of the API of presentities on the http and https
	// listeners, beside XCAP (docs/api.md).
	apiRoot = "/api/v1"
	// apiAtOnce is how many requests are worked on at once, and only one of each
	// presentity: to explain or to compare a thousand rules takes a second.
	apiAtOnce = 4
	// apiQueued is how many of one presentity may be there, as many as a page asks.
	apiQueued = 8
	// maxAddress bounds an address in a request, in bytes.
	maxAddress = 512
)

// The errors of the API, beside Admin's.
var (
	errForbidden   = errors.New("forbidden")
	errUnknownPath = errors.New("no such resource")
	errMediaType   = errors.New("the body must be application/auth-policy+xml")
	errBusy        = errors.New("too many requests at once, try again")
	errRefused     = errors.New("the document is refused")
	errTooLarge    = fmt.Errorf("the body is too large: a document has at most %d bytes", MaxDocument)
)

const rulesMediaType = "application/auth-policy+xml"

// apiV1 lets a presentity ask and decide about its own watchers, and nobody
// else's: whom a request is about follows from who has sent it.
type apiV1 struct {
	c       *Core
	origins *http.CrossOriginProtection
	slots   chan struct{}
	counts  xcap.Counts
	turns   xcap.Turns[presence.Presentity]
}

func (c *Core) newAPI() *apiV1 {
	return &apiV1{c: c, origins: http.NewCrossOriginProtection(), slots: make(chan struct{}, apiAtOnce), turns: xcap.Turns[presence.Presentity]{Most: apiQueued}}
}

// apiCall is one request that has been let in.
type apiCall struct {
	*http.Request
	c     *Core
	owner presence.AOR
	desk  *desk
	path  []string // below apiRoot, unescaped
	query url.Values
	body  []byte
}

// apiMethods are what answers each method on one resource.
type apiMethods map[string]func(*apiCall) (any, error)

// of is what answers a method. HEAD is a GET whose body net/http leaves out
// (RFC 9110, 9.3.2).
func (m apiMethods) of(method string) func(*apiCall) (any, error) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	return m[method]
}

// allow lists the methods, as the header does.
func (m apiMethods) allow() string {
	var list []string
	for _, method := range [...]string{http.MethodGet, http.MethodHead, http.MethodPost} {
		if m.of(method) != nil {
			list = append(list, method)
		}
	}
	return strings.Join(list, ", ")
}

// apiDomain is the domain to challenge with: the presentity's, as of a user of
// another than the first, where the query names it.
func apiDomain(rawQuery string) string {
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return ""
	}
	about, _ := apiAddress(query.Get("presentity"), "")
	return about.Domain()
}

// apiParameters are all that a query may have.
var apiParameters = []string{"presentity", "watcher", "at", "name"}

// apiQuery reads a query. What is misspelt or said twice is refused: an answer to
// another question would be taken for the one to this.
func apiQuery(raw string) (url.Values, error) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: unreadable query", ErrInvalid)
	}
	for name, values := range query {
		if !slices.Contains(apiParameters, name) {
			return nil, fmt.Errorf("%w: a query has %s, and not %q", ErrInvalid, strings.Join(apiParameters, ", "), name)
		}
		if len(values) > 1 {
			return nil, fmt.Errorf("%w: %s is there twice", ErrInvalid, name)
		}
	}
	return query, nil
}

// apiRoutes are the resources, by their path.
var apiRoutes = map[string]apiMethods{
	"explain":    {http.MethodGet: apiExplain, http.MethodPost: apiExplain},
	"rules/diff": {http.MethodPost: apiDiff},
	"watchers": {http.MethodGet: func(a *apiCall) (any, error) {
		list, err := a.desk.watchers()
		return struct {
			Watchers []WatcherInfo `json:"watchers"`
		}{list.Watchers}, err
	}},
	"watchers/*/*": {http.MethodPost: apiDecide},
	"notices": {http.MethodGet: func(a *apiCall) (any, error) {
		list, err := a.desk.watchers()
		return struct {
			Notices []NoticeInfo `json:"notices"`
		}{list.Notices}, err
	}},
}

// ServeHTTP answers one request.
func (a *apiV1) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, MaxDocument)
	head := w.Header()
	head.Set("Content-Type", "application/json")
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	result, status, err := a.answer(r, head)
	if err != nil {
		if status == 0 {
			status = apiStatus(err)
		}
		if status == http.StatusServiceUnavailable {
			head.Set("Retry-After", "1")
		}
		if status == http.StatusInternalServerError {
			a.c.log.ErrorContext(r.Context(), "api", "method", r.Method, "error", err)
			err = errors.New("internal error")
		}
		result = struct {
			Error string `json:"error"`
		}{err.Error()}
	} else {
		status = http.StatusOK
	}
	a.counts.Add(r.Method, status)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(result) // who went away is not told
}

// answer lets nobody learn what there is before he is known, and nobody anything
// of another.
func (a *apiV1) answer(r *http.Request, head http.Header) (result any, status int, err error) {
	path, rawQuery, _ := strings.Cut(xcap.RequestTarget(r), "?")
	who, challenges, code := xcap.Digest(a.c.auth.Load(), time.Now)(r, apiDomain(rawQuery))
	switch {
	case code != 0:
		return nil, code, errors.New(strings.ToLower(http.StatusText(code)))
	case !who.Known():
		for _, c := range challenges {
			head.Add("WWW-Authenticate", c)
		}
		return nil, http.StatusUnauthorized, errors.New("authenticate by digest")
	case a.origins.Check(r) != nil:
		return nil, http.StatusForbidden, errForbidden
	}
	p, known := a.c.users.Presentity(who.AOR())
	if !known {
		return nil, http.StatusForbidden, errForbidden
	}
	ctx, cancel := context.WithTimeout(r.Context(), adminTimeout)
	defer cancel()
	call := &apiCall{Request: r.WithContext(ctx), c: a.c, owner: who.AOR(), path: apiPath(path)}
	if call.query, err = apiQuery(rawQuery); err != nil {
		return nil, 0, err
	}
	// A request may say whom it is about; others are all alike, those too that there
	// are not.
	if named := call.query.Get("presentity"); call.query.Has("presentity") {
		aor, err := apiAddress(named, who.AOR().Domain())
		if about, exists := a.c.users.Presentity(aor); err != nil || !exists || about != p {
			return nil, http.StatusForbidden, errForbidden
		}
	}
	name := strings.Join(call.path, "/")
	if len(call.path) == 3 && call.path[0] == "watchers" {
		name = "watchers/*/*"
	}
	methods, exists := apiRoutes[name]
	if !exists {
		return nil, 0, errUnknownPath
	}
	do := methods.of(r.Method)
	if do == nil {
		head.Set("Allow", methods.allow())
		return nil, http.StatusMethodNotAllowed, errors.New("method not allowed")
	}
	if r.Method == http.MethodPost {
		if call.body, err = io.ReadAll(r.Body); err != nil {
			if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
				return nil, 0, errTooLarge
			}
			return nil, 0, fmt.Errorf("%w: the body was not received", ErrInvalid)
		}
	}
	release, ok := a.enter(ctx, p)
	if !ok {
		return nil, 0, errBusy
	}
	defer release()
	call.desk = a.c.desk(ctx, p, true)
	result, err = do(call)
	return result, 0, err
}

// enter waits for the presentity's turn and for a slot; false: for too long, or
// there are too many before it.
func (a *apiV1) enter(ctx context.Context, p presence.Presentity) (release func(), ok bool) {
	leave, ok := a.turns.Take(ctx, p)
	if !ok {
		return nil, false
	}
	select {
	case a.slots <- struct{}{}:
		return func() { <-a.slots; leave() }, true
	case <-ctx.Done():
		leave()
		return nil, false
	}
}

// apiPath gives the segments below the root; none if one is malformed.
func apiPath(path string) []string {
	list := strings.Split(strings.TrimPrefix(path, apiRoot+"/"), "/")
	for i := range list {
		var err error
		if list[i], err = url.PathUnescape(list[i]); err != nil {
			return nil
		}
	}
	return list
}

// apiStatus turns an error into a status.
func apiStatus(err error) int {
	for _, known := range [...]struct {
		err    error
		status int
	}{
		{errRefused, http.StatusConflict},
		{errMediaType, http.StatusUnsupportedMediaType},
		{errTooLarge, http.StatusRequestEntityTooLarge},
		{ErrInvalid, http.StatusBadRequest},
		{ErrNoSuch, http.StatusNotFound},
		{errUnknownPath, http.StatusNotFound},
		{errBusy, http.StatusServiceUnavailable},
		{shard.ErrStopped, http.StatusServiceUnavailable}, // or has too much to do
		{context.DeadlineExceeded, http.StatusServiceUnavailable},
		{context.Canceled, http.StatusServiceUnavailable},
		{xcap.ErrUnavailable, http.StatusServiceUnavailable},
	} {
		if errors.Is(err, known.err) {
			return known.status
		}
	}
	return http.StatusInternalServerError
}

// apiAddress reads a watcher's address: with sip:, sips: or pres: before it or
// not, or a tel URI; a name alone is of the domain.
func apiAddress(s, domain string) (presence.AOR, error) {
	wrong := fmt.Errorf("%w: the address must be one such as sip:bob@example.com, or anonymous", ErrInvalid)
	if s == "anonymous" {
		return presence.Anonymous, nil
	}
	if a, ok := presence.ParseNameless(s); ok {
		return a, nil
	}
	if s == "" || len(s) > maxAddress {
		return "", wrong
	}
	scheme, _, ok := strings.Cut(strings.ToLower(s), ":")
	if ok && scheme == "tel" {
		if id, ok := policy.Identity(s); ok {
			return id, nil
		}
		return "", wrong
	}
	if strings.ContainsAny(s, "*<>;?, \t") {
		return "", wrong
	}
	if !ok || scheme != "sip" && scheme != "sips" && scheme != "pres" {
		s = "sip:" + s
	}
	if !strings.Contains(s, "@") {
		s += "@" + domain
	}
	aor, err := sip.ParseAOR(s)
	if err != nil {
		return "", wrong
	}
	return aor, nil
}

// rules reads the document of the body.
func (a *apiCall) rules() (*DocumentInput, error) {
	media, _, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
	if err != nil || media != rulesMediaType {
		return nil, errMediaType
	}
	return &DocumentInput{DocumentName: DocumentName{Name: a.query.Get("name")}, Body: a.body}, nil
}

// refused tells a document's faults from those of the request.
func refused(err error) error {
	if _, ok := errors.AsType[*xcap.Conflict](err); ok {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	return err
}

func apiExplain(a *apiCall) (any, error) {
	var q ExplainQuery
	var err error
	if q.Watcher, err = apiAddress(a.query.Get("watcher"), a.owner.Domain()); err != nil {
		return nil, err
	}
	if at := a.query.Get("at"); at != "" {
		// A time has no blank: it was the + of a zone, which clients forget to escape.
		if q.At, err = time.Parse(time.RFC3339, strings.ReplaceAll(at, " ", "+")); err != nil {
			return nil, fmt.Errorf("%w: at must be a time such as 2026-11-25T09:00:00Z", ErrInvalid)
		}
	}
	if a.Method == http.MethodPost {
		if q.AsIf, err = a.rules(); err != nil {
			return nil, err
		}
	}
	x, err := a.desk.explain(q)
	return x, refused(err)
}

func apiDiff(a *apiCall) (any, error) {
	in, err := a.rules()
	if err != nil {
		return nil, err
	}
	diff, err := a.desk.compare(a.Context(), *in)
	return diff, refused(err)
}

// apiDecisions are the words of the API for handlings; forget takes a decision
// back.
var apiDecisions = map[string]policy.Handling{
	"approve": policy.Allow, "block": policy.Block, "polite-block": policy.PoliteBlock, "confirm": policy.Confirm,
}

// Decided is what came of a decision: with rules beside it, it may be more.
type Decided struct {
	Watcher  presence.AOR `json:"watcher"`
	Decision string       `json:"decision"`
	Reason   string       `json:"reason"`
}

func apiDecide(a *apiCall) (any, error) {
	w, err := apiAddress(a.path[1], a.owner.Domain())
	if err != nil || w == presence.Anonymous {
		return nil, fmt.Errorf("%w: the address must be one such as sip:bob@example.com", ErrInvalid)
	}
	h, known := apiDecisions[a.path[2]]
	switch {
	case known:
		err = a.c.admin().SetRule(a.owner, w, h)
	case a.path[2] == "forget":
		err = a.c.admin().RemoveRule(a.owner, w)
	default:
		return nil, fmt.Errorf("%w: the decision must be approve, block, polite-block, confirm or forget", ErrInvalid)
	}
	if err != nil {
		return nil, err
	}
	x, err := a.desk.explain(ExplainQuery{Watcher: w})
	return Decided{Watcher: w, Decision: x.Decision, Reason: x.Reason}, err
}
