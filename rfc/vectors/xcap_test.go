package vectors_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tacit-presence/tacit/identity"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/rfc/vectors"
	"github.com/tacit-presence/tacit/schema"
	"github.com/tacit-presence/tacit/xcap"
	"github.com/tacit-presence/tacit/xmltree"
)

// shelf keeps documents in memory; their entity-tags are e1, e2, ...
type shelf struct {
	mu   sync.Mutex
	docs map[xcap.Key]xcap.Document
	puts int
}

func (s *shelf) Get(_ context.Context, k xcap.Key) (xcap.Document, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d, ok := s.docs[k]; ok {
		return d, nil
	}
	return xcap.Document{}, xcap.ErrNotFound
}

func (s *shelf) Put(_ context.Context, k xcap.Key, was presence.EntityTag, body string) (xcap.Document, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.docs[k].ETag != was {
		return xcap.Document{}, xcap.ErrChanged
	}
	s.puts++
	d := xcap.Document{ETag: presence.EntityTag(fmt.Sprintf("e%d", s.puts)), Body: body, Modified: time.Unix(int64(s.puts), 0)}
	s.docs[k] = d
	return d, nil
}

func (s *shelf) Delete(_ context.Context, k xcap.Key, was presence.EntityTag) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.docs[k].ETag != was {
		return xcap.ErrChanged
	}
	delete(s.docs, k)
	return nil
}

func (s *shelf) List(_ context.Context, owner presence.Presentity) (list []xcap.Entry, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, d := range s.docs {
		if k.Owner == owner {
			list = append(list, xcap.Entry{Key: k, ETag: d.ETag, Size: len(d.Body), Modified: d.Modified})
		}
	}
	return list, nil
}

// Each goes through all users' documents, in the order of their owners.
func (s *shelf) Each(_ context.Context, auid xcap.AUID, fn func(xcap.Key, xcap.Document) bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := slices.SortedFunc(maps.Keys(s.docs), func(a, b xcap.Key) int {
		return cmp.Or(cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Path, b.Path))
	})
	for _, k := range keys {
		if k.AUID == auid && k.Tree == xcap.TreeUsers && !fn(k, s.docs[k]) {
			break
		}
	}
	return nil
}

// xcapServer serves the application usages of the RFCs' examples, to whoever says
// who he is: everybody exists.
func xcapServer() (*xcap.Handler, error) {
	// RFC 4825, 6.3, 6.4 and 8.2.3 have usages of their own; free takes any root.
	usages := append(xcap.Standard(), xcap.Test(),
		xcap.Usage{AUID: "root", MediaType: "application/xml", Validate: xcap.Validator(schema.Test())},
		xcap.Usage{AUID: "free", MediaType: "application/xml", Space: xcap.RootSpace, Validate: func(*xmltree.Doc) error { return nil }},
		xcap.Usage{AUID: "watcherinfo", MediaType: "application/watcherinfo+xml", Space: schema.WatcherInfoSpace, Validate: xcap.Validator(schema.WatcherInfo())})
	return xcap.New(xcap.Config{
		Root: "http://xcap.example.com", Usages: usages, Documents: &shelf{docs: map[xcap.Key]xcap.Document{}},
		Presentity: func(aor presence.AOR) (presence.Presentity, bool) { return presence.Presentity(aor), true },
		Authenticate: func(r *http.Request, _ string) (presence.Principal, []string, int) {
			return identity.RestorePrincipal(presence.AOR(r.Header.Get("User")), presence.MechanismDigest), nil, 0
		},
		Trusted: func(p presence.Principal) bool { return strings.HasPrefix(string(p.AOR()), "sip:rls@") },
	})
}

// exchange is a request of a dialogue and the response to it. A dialogue:
//
//	>>> METHOD target
//	Header: value
//
//	body, to the next line that starts with <<<
//	<<< status
//	Header: value
//
//	body, compared byte for byte if there is an empty line before it
//
// A line that starts with a slash or a tilde in place of a header goes on with the
// target, as the RFCs fold it. In place of what follows >>> or <<<, @NAME stands
// for a message that is the vector's file NAME, as the RFC prints it; a body that
// is a line @NAME is that file. Without a field User a request comes from the user
// whose tree it is for.
type exchange struct {
	line              int
	request, response message
}

// some stands for any value of a header field.
const some = "..."

// message is a request or response.
type message struct {
	method, target string
	status         int
	header         []string
	body           *string
}

func readDialogue(v *vectors.Vector) (list []exchange, err error) {
	lines := strings.Split(strings.TrimSuffix(v.Text("want"), "\n"), "\n")
	for i := 0; i < len(lines); {
		start := i
		for i++; i < len(lines) && !strings.HasPrefix(lines[i], ">>> ") && !strings.HasPrefix(lines[i], "<<< "); i++ {
		}
		block := lines[start:i]
		first, ok := strings.CutPrefix(block[0], ">>> ")
		switch {
		case ok:
			x := exchange{line: start + 1}
			if x.request, err = readMessage(v, first, block[1:]); err != nil {
				return nil, err
			}
			list = append(list, x)
		case strings.HasPrefix(block[0], "<<< ") && len(list) > 0:
			if list[len(list)-1].response, err = readMessage(v, block[0][4:], block[1:]); err != nil {
				return nil, err
			}
		default:
			return nil, mismatched("line %d of the dialogue: %q", start+1, block[0])
		}
	}
	return list, nil
}

// readMessage reads a message whose first line is apart.
func readMessage(v *vectors.Vector, first string, rest []string) (m message, err error) {
	name, printed := strings.CutPrefix(first, "@")
	if printed {
		if !v.Has(name) {
			return m, mismatched("no file %q", name)
		}
		lines := strings.Split(strings.TrimSpace(v.Text(name)), "\n")
		first, rest = lines[0], append(lines[1:], rest...)
	}
	if after, ok := strings.CutPrefix(first, "HTTP/1.1 "); ok {
		first = after
	}
	number, _, _ := strings.Cut(first, " ")
	if m.status, err = strconv.Atoi(number); err != nil {
		m.method, m.target, _ = strings.Cut(first, " ")
	}
	for len(rest) > 0 && m.status == 0 && !strings.HasSuffix(m.target, "HTTP/1.1") && !strings.Contains(rest[0], ": ") && strings.TrimSpace(rest[0]) != "" {
		m.target, rest = m.target+strings.TrimSpace(rest[0]), rest[1:]
	}
	m.target = strings.TrimSpace(strings.TrimSuffix(m.target, "HTTP/1.1"))
	for ; len(rest) > 0 && rest[0] != ""; rest = rest[1:] {
		field, value, _ := strings.Cut(strings.TrimSpace(rest[0]), ":")
		if printed && strings.EqualFold(field, "ETag") {
			value = some // the RFC's server has its own
		}
		m.header = append(m.header, field+": "+strings.TrimSpace(value))
	}
	if len(rest) > 0 {
		body := strings.Join(rest[1:], "\n")
		if name, ok := strings.CutPrefix(strings.TrimSpace(body), "@"); ok {
			if !v.Has(name) {
				return m, mismatched("no file %q", name)
			}
			body = strings.TrimSuffix(v.Text(name), "\n")
		}
		m.body = &body
	}
	return m, nil
}

// anyPhrase stands for a phrase that another package words.
const anyPhrase = `phrase="*"`

var (
	phrases = regexp.MustCompile(`phrase="[^"]+"`)
	treeOf  = regexp.MustCompile(`/users/([^/]+)`)
)

// runXCAP holds the dialogue "want" with a server; and once more with another
// application usage, if "also" names one.
func runXCAP(v *vectors.Vector) error {
	dialogue, err := readDialogue(v)
	if err != nil {
		return err
	}
	if len(dialogue) == 0 {
		return mismatched("nothing is said")
	}
	if err := hold(dialogue, ""); err != nil || v.Argument("also") == "" {
		return err
	}
	return hold(dialogue, v.Argument("also"))
}

// hold holds a dialogue, with an application usage in the place of the dialogue's.
func hold(dialogue []exchange, auid string) error {
	h, err := xcapServer()
	if err != nil {
		return mismatched("%v", err)
	}
	for _, x := range dialogue {
		body := ""
		if x.request.body != nil {
			body = *x.request.body
		}
		r := httptest.NewRequest(x.request.method, "/", strings.NewReader(body))
		r.RequestURI = x.request.target
		if auid != "" {
			_, rest, _ := strings.Cut(x.request.target[1:], "/")
			r.RequestURI = "/" + auid + "/" + rest
		}
		if m := treeOf.FindStringSubmatch(x.request.target); m != nil {
			r.Header.Set("User", m[1])
		}
		for _, line := range x.request.header {
			name, value, _ := strings.Cut(line, ":")
			r.Header.Set(name, strings.TrimSpace(value))
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if wrong := x.response.differs(w); wrong != "" {
			return mismatched("line %d: %s %s: %s", x.line, r.Method, r.RequestURI, wrong)
		}
	}
	return nil
}

// differs says how a response is not the wanted one.
func (m message) differs(w *httptest.ResponseRecorder) string {
	if w.Code != m.status {
		return fmt.Sprintf("status %d, not %d\n%s", w.Code, m.status, w.Body)
	}
	for _, line := range m.header {
		name, value, _ := strings.Cut(line, ": ")
		if got := w.Header().Get(name); got != value && (value != some || got == "") {
			return fmt.Sprintf("%s: %q, not %q", name, got, value)
		}
	}
	got := w.Body.String()
	if m.body != nil && strings.Contains(*m.body, anyPhrase) {
		got = phrases.ReplaceAllString(got, anyPhrase)
	}
	if m.body != nil && strings.TrimSuffix(got, "\n") != strings.TrimSuffix(*m.body, "\n") {
		return fmt.Sprintf("body\n%s\nnot\n%s", got, *m.body)
	}
	return ""
}
