package xcap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/schema"
	"github.com/tacit-presence/tacit/xmltree"
)

// TestOthersTreesAreOne holds that nothing tells others' trees apart: with
// documents, without, and of nobody.
func TestOthersTreesAreOne(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	wantStatus(t, s.do("PUT", strings.Replace(lists, "alice", "bob", 1), friends, "User: sip:bob@example.com", isLists), 201)
	var first *httptest.ResponseRecorder
	for _, xui := range []string{"sip:bob@example.com", "bob@example.com", "sip:joe@example.com", "sip:nobody@example.com", "sip:bob@elsewhere.example",
		"nonsense", "tel:+1555", "sip:alice@example.org", "sip%3Abob%40example.com", "sip:Alice@example.com"} {
		for _, auid := range []string{"resource-lists", "pres-rules", "rls-services", "xcap-caps", string(AUIDDirectory)} {
			for _, rest := range []string{"", "/index", "/nothing", "/directory.xml", "/index/~~/resource-lists/list", "/index/~~/a[", "/index/~~/p:a", "/index/~~//",
				"/index/~~/resource-lists/namespace::*", "/a/b/c", "/", "//index", "/../x", "/%", "/%00", "/index/~~/%ff", "/" + long(256)} {
				for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "POST", "OPTIONS", "PATCH"} {
					for _, header := range []string{isLists, "Content-Type: text/html", `If-Match: "e1"`, `If-None-Match: "e1"`, "If-Match: junk"} {
						w := s.do(method, "/"+auid+"/users/"+xui+rest, friends, asAlice, header)
						if first == nil {
							first = w
							wantStatus(t, w, http.StatusForbidden)
						}
						if w.Code != first.Code || !reflect.DeepEqual(w.Header(), first.Header()) || !bytes.Equal(w.Body.Bytes(), first.Body.Bytes()) {
							t.Fatalf("%s %s%s of %s: %d %v", method, auid, rest, xui, w.Code, w.Header())
						}
					}
				}
			}
		}
	}
	// Without credentials, all is one challenge.
	first = nil
	for _, target := range []string{lists, strings.Replace(lists, "alice", "bob", 1), strings.Replace(lists, "alice", "nobody", 1), "/nothing", "/",
		"/resource-lists/global/index", "/xcap-caps/global/index", "/a/users/x/%", lists + "/~~/["} {
		w := s.do("GET", target, "")
		if first == nil {
			first = w
		}
		if w.Code != 401 || !reflect.DeepEqual(w.Header(), first.Header()) || w.Body.Len() != 0 {
			t.Errorf("%s: %d %v", target, w.Code, w.Header())
		}
	}
}

func TestOwnTree(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	wantStatus(t, s.do("PUT", lists, friends, asAlice, isLists), 201)
	for _, xui := range []string{"sip:alice@example.com", "alice@example.com", "SIPS:alice@EXAMPLE.COM", "sip:%2561lice@example.com", "sip%3Aa.smith%40example.com", "pres:a.smith@example.com"} {
		for _, as := range []string{asAlice, "User: sip:a.smith@example.com"} {
			w := s.do("GET", "/resource-lists/users/"+xui+"/ind%65x", "", as)
			if wantStatus(t, w, 200); w.Body.String() != friends {
				t.Errorf("%s: %s", xui, w.Body)
			}
		}
	}
	if len(s.docs.docs) != 1 {
		t.Errorf("%d documents", len(s.docs.docs))
	}
	w := s.do("HEAD", lists, "", asAlice)
	if w.Code != 200 || w.Body.Len() != 0 || w.Header().Get("Content-Length") != fmt.Sprint(len(friends)) || w.Header().Get("ETag") != `"e1"` ||
		w.Header().Get("Cache-Control") != "private, no-cache" || w.Header().Get("Content-Type") != "application/resource-lists+xml" {
		t.Errorf("HEAD: %d %v", w.Code, w.Header())
	}
	for _, target := range []string{"/resource-lists/users/sip:alice@example.com/", "/resource-lists/users/sip:alice@example.com", "/nothing/users/sip:alice@example.com/index",
		"/resource-lists/global/index", "/xcap-caps/users/sip:alice@example.com/index", "/", "/nothing/global/index", lists + "/index", lists + "/~~/resource-lists/list[2]",
		"/pres-rules/users/sip:alice@example.com/index/~~/ruleset", "/resource-lists/other/x/y"} {
		wantStatus(t, s.do("GET", target, "", asAlice), 404)
		wantStatus(t, s.do("DELETE", target, "", asAlice), 404)
	}
	wantStatus(t, s.do("DELETE", lists, "", asAlice), 200)
	wantStatus(t, s.do("DELETE", lists, "", asAlice), 404)
}

func TestMethods(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	wantStatus(t, s.do("PUT", lists, friends, asAlice, isLists), 201)
	for _, c := range []struct {
		method, target string
		status         int
		allow          string
	}{
		{"POST", lists, 405, allowWrite},
		{"PATCH", lists, 405, allowWrite},
		{"TRACE", lists + "/~~/resource-lists", 405, allowWrite},
		{"OPTIONS", lists, 204, allowWrite},
		{"OPTIONS", lists + "/~~/resource-lists/namespace::*", 204, allowRead},
		{"POST", lists + "/~~/resource-lists/namespace::*", 405, allowRead},
		{"PUT", "/xcap-caps/global/index", 405, allowRead},
		{"OPTIONS", "/xcap-caps/global/index", 204, allowRead},
		{"DELETE", "/" + string(AUIDDirectory) + "/users/sip:alice@example.com/directory.xml", 405, allowRead},
	} {
		w := s.do(c.method, c.target, "", asAlice)
		if w.Code != c.status || w.Header().Get("Allow") != c.allow {
			t.Errorf("%s %s: %d, %q", c.method, c.target, w.Code, w.Header().Get("Allow"))
		}
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	put := func(h string) []string { return []string{asAlice, isLists, h} }
	list := []string{asAlice, isEl}
	const node = lists + "/~~/resource-lists/list"
	for _, c := range []struct {
		name, method, target string
		body                 string
		header               []string
		status               int
	}{
		{"create, any", "PUT", lists + "2", empty, put("If-Match: *"), 412},
		{"create, one", "PUT", lists + "2", empty, put(`If-Match: "e1"`), 412},
		{"create, none", "PUT", lists + "2", empty, put("If-None-Match: *"), 201},
		{"create, not one", "PUT", lists + "2", empty, put(`If-None-Match: "e1"`), 201},
		{"replace, any", "PUT", lists, empty, put("If-Match: *"), 200},
		{"replace, one", "PUT", lists, empty, put(`If-Match: "x", "e1"`), 200},
		{"replace, other", "PUT", lists, empty, put(`If-Match: "e2"`), 412},
		{"replace, weak", "PUT", lists, empty, put(`If-Match: W/"e1"`), 412},
		{"replace, none", "PUT", lists, empty, put("If-None-Match: *"), 412},
		{"replace, not this", "PUT", lists, empty, put(`If-None-Match: W/"e1"`), 412},
		{"replace, not that", "PUT", lists, empty, put(`If-None-Match: "e2"`), 200},
		{"insert, none", "PUT", node + "/list", `<list/>`, append(list, "If-None-Match: *"), 412},
		{"insert, this", "PUT", node + "/list", `<list/>`, append(list, `If-Match: "e1"`), 201},
		{"insert, other", "PUT", node + "/list", `<list/>`, append(list, `If-Match: "e2"`), 412},
		{"no parent first", "PUT", node + "/list/list", `<list/>`, append(list, `If-Match: "e2"`), 409},
		{"then the content", "PUT", node, `<list`, append(list, `If-Match: "e2"`), 412},
		{"type first", "PUT", node, `<list/>`, []string{asAlice, isLists, `If-Match: "e2"`}, 415},
		{"get, same", "GET", lists, "", []string{asAlice, `If-None-Match: "e1"`}, 304},
		{"get, weak", "GET", lists, "", []string{asAlice, `If-None-Match: "x" , W/"e1"`}, 304},
		{"get, any", "GET", node, "", []string{asAlice, "If-None-Match: *"}, 304},
		{"get, other", "GET", node + "/@name", "", []string{asAlice, `If-None-Match: "e2"`}, 200},
		{"get, match", "GET", node, "", []string{asAlice, `If-Match: "e2"`}, 412},
		{"get, two fields", "GET", lists, "", []string{asAlice, `If-None-Match: "e2"`, `If-None-Match: "e1"`}, 304},
		{"head", "HEAD", lists, "", []string{asAlice, `If-None-Match: "e1"`}, 304},
		{"none there", "GET", node + "/x", "", []string{asAlice, `If-None-Match: *`}, 404},
		{"delete, other", "DELETE", node, "", []string{asAlice, `If-Match: "e2"`}, 412},
		{"delete none, other", "DELETE", node + "/x", "", []string{asAlice, `If-Match: "e2"`}, 404},
		{"delete, this", "DELETE", node, "", []string{asAlice, `If-Match: "e1"`}, 200},
		{"delete document", "DELETE", lists, "", []string{asAlice, `If-Match: "e2"`}, 412},
		{"delete, not this", "DELETE", lists, "", []string{asAlice, `If-None-Match: "e1"`}, 412},
		{"caps", "GET", "/xcap-caps/global/index", "", []string{asAlice, `If-None-Match: *`}, 304},
		{"junk", "GET", lists, "", []string{asAlice, "If-Match: e1"}, 400},
		{"empty", "PUT", lists, empty, put("If-Match: "), 400},
		{"open", "PUT", lists, empty, put(`If-Match: "e1`), 400},
		{"no comma", "PUT", lists, empty, put(`If-Match: "e1" "e2"`), 400},
		{"star among", "PUT", lists, empty, put(`If-Match: "e1", *`), 400},
	} {
		s := newServer(t, nil)
		wantStatus(t, s.do("PUT", lists, friends, asAlice, isLists), 201)
		w := s.do(c.method, c.target, c.body, c.header...)
		if w.Code != c.status {
			t.Errorf("%s: %d, want %d %s", c.name, w.Code, c.status, w.Body)
		}
		if w.Code == 304 && (w.Header().Get("ETag") == "" || w.Body.Len() > 0) {
			t.Errorf("%s: %v", c.name, w.Header())
		}
		if w.Code == 412 && s.docs.puts != 1 {
			t.Errorf("%s: it was changed", c.name)
		}
	}
}

func TestContentRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(c *Config) { c.MaxDocument = 4 << 10 })
	wantStatus(t, s.do("PUT", lists, friends, asAlice, isLists), 201)
	big := strings.Replace(friends, "friends", long(5<<10), 1)
	for _, c := range []struct {
		name, target, body string
		header             []string
		status             int
	}{
		{"no type", lists, empty, nil, 415},
		{"other type", lists, empty, []string{"Content-Type: application/xml"}, 415},
		{"element to a document", lists, empty, []string{isEl}, 415},
		{"junk type", lists, empty, []string{"Content-Type: ;"}, 415},
		{"compressed", lists, empty, []string{isLists, "Content-Encoding: gzip"}, 415},
		{"charset", lists, empty, []string{isLists + `; charset="UTF-8"`}, 200},
		{"other charset", lists, empty, []string{isLists + "; charset=iso-8859-1"}, 409},
		{"in other case", lists, friends, []string{"Content-Type: Application/Resource-Lists+XML"}, 200},
		{"big", lists, big, []string{isLists}, 413},
		{"big by the edit", lists + "/~~/resource-lists/list", `<list name="` + long(4<<10-40) + `"/>`, []string{isEl}, 413},
		{"not XML", lists, "", []string{isLists}, 409},
		{"other root", lists, "<x/>", []string{isLists}, 409},
		{"other namespace", lists, `<resource-lists/>`, []string{isLists}, 409},
		{"long URI", lists + "/~~/" + long(maxURI), "", []string{isEl}, 414},
		{"prefix", lists + "/~~/p:a", "<a/>", []string{isEl}, 400},
		{"query", lists + "/~~/a?b", "<a/>", []string{isEl}, 400},
	} {
		if w := s.do("PUT", c.target, c.body, append(c.header, asAlice)...); w.Code != c.status {
			t.Errorf("%s: %d, want %d: %s", c.name, w.Code, c.status, w.Body)
		}
	}
	// Without Content-Length too.
	r := httptest.NewRequest("PUT", "/", io.NopCloser(strings.NewReader(big)))
	r.RequestURI, r.ContentLength = lists, -1
	r.Header = http.Header{"User": {"sip:alice@example.com"}, "Content-Type": {"application/resource-lists+xml"}}
	w := httptest.NewRecorder()
	if s.ServeHTTP(w, r); w.Code != 413 {
		t.Errorf("chunked: %d", w.Code)
	}
	// RFC 9110, 15.5.9: one that takes too long to come.
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader("<a>"), iotest.ErrReader(os.ErrDeadlineExceeded)))
	w = httptest.NewRecorder()
	if s.ServeHTTP(w, r); w.Code != 408 {
		t.Errorf("slow: %d", w.Code)
	}
	if w := s.do("GET", "http://xcap.example.com"+lists, "", asAlice); w.Code != 200 {
		t.Errorf("absolute form: %d", w.Code)
	}
	if w := s.do("PUT", lists, empty, asAlice, isLists, "Sec-Fetch-Site: cross-site"); w.Code != 403 {
		t.Errorf("another site's page: %d", w.Code)
	}
	total := uint64(0)
	wantStatus(t, s.do("BREW", lists, "", asAlice), 405)
	for by, n := range s.Responses().All() {
		total += n
		if by == (Counted{"PUT", 413}) && n != 3 || by.Status == 405 && by.Method != "other" {
			t.Errorf("%d responses were %v", n, by)
		}
	}
	if total != 22 {
		t.Errorf("%d responses were counted", total)
	}
}

func TestRaces(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	wantStatus(t, s.do("PUT", lists, empty, asAlice, isLists), 201)
	var wg sync.WaitGroup
	const writers, each = 40, 5
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				name := fmt.Sprintf("w%d-%d", w, i)
				if w := s.do("PUT", lists+"/~~/resource-lists/list%5B@name='"+name+"'%5D", `<list name="`+name+`"/>`, asAlice, isEl); w.Code != 201 {
					t.Errorf("%s: %d %s", name, w.Code, w.Body)
				}
			}
		})
	}
	wg.Wait()
	if n := strings.Count(s.do("GET", lists, "", asAlice).Body.String(), "<list "); n != writers*each {
		t.Errorf("%d lists, want %d: one was lost", n, writers*each)
	}

	// One that comes between is seen by the condition.
	raced := false
	s.docs.before = func(k Key) error {
		if !raced {
			raced = true
			d := s.docs.docs[k]
			_, err := s.docs.Put(context.Background(), k, d.ETag, strings.Replace(friends, "friends", "between", 1))
			return err
		}
		return nil
	}
	etag := s.do("HEAD", lists, "", asAlice).Header().Get("ETag")
	wantStatus(t, s.do("PUT", lists, friends, asAlice, isLists, "If-Match: "+etag), 412)
	raced = false
	wantStatus(t, s.do("PUT", lists+"/~~/resource-lists/list/@name", `"x"`, asAlice, isAtt), 200)
	if body := s.do("GET", lists, "", asAlice).Body.String(); body != strings.Replace(friends, "friends", "x", 1) {
		t.Error(body)
	}
	raced = false
	wantStatus(t, s.do("DELETE", lists, "", asAlice), 200)
	s.docs.before = func(Key) error { return ErrChanged }
	if w := s.do("PUT", lists, friends, asAlice, isLists); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := newServer(t, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	for err, status := range map[error]int{
		errors.New("disk"):                            500,
		fmt.Errorf("owner: %w", ErrUnavailable):       503,
		fmt.Errorf("alice: %w", ErrTooMany):           409,
		context.DeadlineExceeded:                      503,
		fmt.Errorf("x: %w", conflict(NotUnique, "p")): 409,
	} {
		s.docs.before = func(Key) error { return err }
		w := s.do("PUT", lists, friends, asAlice, isLists)
		if w.Code != status {
			t.Errorf("%v: %d, want %d", err, w.Code, status)
		}
		if body := w.Body.String(); strings.Contains(body, "disk") || strings.Contains(body, "owner") {
			t.Errorf("%v is told: %s", err, body)
		}
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "disk") || strings.Contains(text, "bob") {
		t.Errorf("log: %s", text)
	}
	d := Document{ETag: "e", Body: "secret"}
	for _, text := range []string{d.String(), fmt.Sprintf("%#v", d), fmt.Sprintf("%v", d), d.LogValue().String()} {
		if strings.Contains(text, "secret") {
			t.Errorf("a document shows itself: %s", text)
		}
	}
	s.docs.before = nil
	for i := range 20 {
		if w := s.do("PUT", lists+fmt.Sprint(i), friends, asAlice, isLists); w.Code != 201 && (w.Code != 409 || i < 16) {
			t.Errorf("document %d: %d", i, w.Code)
		}
	}
}

func TestUnchangedIsNotWritten(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	wantStatus(t, s.do("PUT", lists, friends, asAlice, isLists), 201)
	for target, body := range map[string]string{lists: friends, lists + "/~~/resource-lists/list/@name": `"friends"`} {
		w := s.do("PUT", target, body, asAlice, map[bool]string{true: isLists, false: isAtt}[body == friends])
		if wantStatus(t, w, 200); w.Header().Get("ETag") != `"e1"` || w.Body.Len() != 0 {
			t.Errorf("%v", w.Header())
		}
	}
	if s.docs.puts != 1 {
		t.Errorf("%d puts", s.docs.puts)
	}
}

func TestMadeDocuments(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	wantStatus(t, s.do("PUT", lists, friends, asAlice, isLists), 201)
	wantStatus(t, s.do("PUT", "/pres-rules/users/sip:alice@example.com/a&b", `<ruleset xmlns="urn:ietf:params:xml:ns:common-policy"/>`, asAlice, isRules), 201)
	caps := s.do("GET", "/xcap-caps/global/index", "", "User: sip:joe@example.com")
	if wantStatus(t, caps, 200); caps.Header().Get("Content-Type") != "application/xcap-caps+xml" {
		t.Error(caps.Header())
	}
	if err := schema.XCAPCaps()(parse(t, caps.Body.String())); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"<auid>xcap-caps<", "<auid>pres-rules<", "<auid>org.openmobilealliance.xcap-directory<", "<auid>tacit-preferences<",
		"<namespace>urn:ietf:params:xml:ns:xcap-caps<", "<namespace>urn:ietf:params:xml:ns:pres-rules<", "<namespace>urn:ietf:params:xml:ns:common-policy<"} {
		if strings.Count(caps.Body.String(), want) != 1 {
			t.Errorf("%s is not there once: %s", want, caps.Body)
		}
	}
	own := "/" + string(AUIDDirectory) + "/users/sip:a.smith@example.com/directory.xml"
	dir := s.do("GET", own, "", asAlice)
	if wantStatus(t, dir, 200); dir.Header().Get("Content-Type") != "application/vnd.oma.xcap-directory+xml" {
		t.Error(dir.Header())
	}
	if err := schema.XCAPDirectory()(parse(t, dir.Body.String())); err != nil {
		t.Error(err)
	}
	for _, want := range []string{
		`<folder auid="pidf-manipulation"/>`,
		`<entry uri="http://xcap.example.com/resource-lists/users/sip:alice@example.com/index" etag="e1" last-modified="2026-03-01T12:00:01Z" size="141"/>`,
		`<entry uri="http://xcap.example.com/pres-rules/users/sip:alice@example.com/a&amp;b" etag="e2"`} {
		if !strings.Contains(dir.Body.String(), want) {
			t.Errorf("%s is not in %s", want, dir.Body)
		}
	}
	if w := s.do("GET", own+"/~~/xcap-directory/folder%5B@auid='resource-lists'%5D/entry/@size", "", asAlice); w.Body.String() != `"141"` {
		t.Error(w.Body)
	}
	if again := s.do("GET", own, "", asAlice); !maps.EqualFunc(again.Header(), dir.Header(), func(a, b []string) bool { return a[0] == b[0] }) {
		t.Error("its entity-tag changes by itself")
	}
}

// TestCapabilitiesAreTrue holds that xcap-caps names the namespaces whose elements
// are known, and no others (RFC 4825, 8.2.5 and 12).
func TestCapabilitiesAreTrue(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	caps := s.do("GET", "/xcap-caps/global/index", "", asAlice).Body.String()
	for _, c := range []struct{ target, header, document, space string }{
		{"/pres-rules/users/alice@example.com/index", isRules, rulesOf, schema.CommonPolicySpace},
		{"/pres-rules/users/alice@example.com/index", isRules, rulesOf, schema.PresRulesSpace},
		{"/pres-rules/users/alice@example.com/index", isRules, rulesOf, schema.GeoPolicySpace},
		{"/pres-rules/users/alice@example.com/index", isRules, rulesOf, schema.LocationProfileSpace},
		{"/pres-rules/users/alice@example.com/index", isRules, rulesOf, schema.OMAPresRulesSpace},
		{"/org.openmobilealliance.pres-rules/users/alice@example.com/pres-rules", isRules, rulesOf, schema.OMACommonPolicySpace},
		{"/org.openmobilealliance.pres-rules/users/alice@example.com/pres-rules", isRules, rulesOf, schema.TacitSpace},
		{"/org.openmobilealliance.pres-rules/users/alice@example.com/pres-rules", isRules, rulesOf, "urn:ietf:params:xml:ns:pidf:geopriv10"},
		{"/pidf-manipulation/users/alice@example.com/index", "Content-Type: application/pidf+xml", pidfOf, pidf.RPIDSpace},
		{"/pidf-manipulation/users/alice@example.com/index", "Content-Type: application/pidf+xml", pidfOf, pidf.DataModelSpace},
		{"/pidf-manipulation/users/alice@example.com/index", "Content-Type: application/pidf+xml", pidfOf, "urn:ietf:params:xml:ns:pidf:geopriv10"},
		{"/rls-services/users/alice@example.com/index", "Content-Type: application/rls-services+xml", servicesOf, schema.ResourceListsSpace},
		{"/rls-services/users/alice@example.com/index", "Content-Type: application/rls-services+xml", servicesOf, "urn:x"},
	} {
		w := s.do("PUT", c.target, strings.Replace(c.document, "%", `<x:unheard xmlns:x="`+c.space+`"/>`, 1), asAlice, c.header)
		advertised := strings.Contains(caps, "<namespace>"+c.space+"<")
		refused := w.Code == http.StatusConflict && strings.Contains(w.Body.String(), "<schema-validation-error ")
		if advertised != refused || !refused && w.Code >= 300 {
			t.Errorf("%s: %s is advertised: %v; %d %s", c.target, c.space, advertised, w.Code, w.Body)
		}
	}
}

// Documents with a place, %, for an element that their schema does not name.
const (
	rulesOf = `<cp:ruleset xmlns:cp="urn:ietf:params:xml:ns:common-policy"><cp:rule id="a"><cp:transformations><u xmlns="urn:u">%</u></cp:transformations></cp:rule></cp:ruleset>`
	pidfOf  = `<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="sip:alice@example.com"><tuple id="a"><status/>%</tuple></presence>`

	servicesOf = `<rls-services xmlns="urn:ietf:params:xml:ns:rls-services"><service uri="sip:a@b"><list/>%</service></rls-services>`
)

func TestGlobalTree(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	const shared = "/shared/global/all"
	const rls = "User: sip:rls@example.com"
	wantStatus(t, s.do("GET", shared, "", asAlice), 404)
	wantStatus(t, s.do("PUT", shared, "<root/>", asAlice, "Content-Type: application/xml"), 403)
	wantStatus(t, s.do("PUT", shared, "<root/>", rls, "Content-Type: application/xml"), 201)
	wantStatus(t, s.do("GET", shared+"/~~/root", "", asAlice), 200)
	wantStatus(t, s.do("DELETE", shared, "", asAlice), 403)
	wantStatus(t, s.do("DELETE", shared, "", rls), 200)
	s = newServer(t, func(c *Config) { c.Trusted = nil })
	wantStatus(t, s.do("PUT", shared, "<root/>", rls, "Content-Type: application/xml"), 403)
	wantStatus(t, s.do("GET", "/rls-services/global/index", "", rls), 403)
}

func TestNew(t *testing.T) {
	t.Parallel()
	good := Config{Documents: newMemory(), Authenticate: byHeader(), Presentity: people}
	for name, change := range map[string]func(*Config){
		"no documents": func(c *Config) { c.Documents = nil },
		"nobody asked": func(c *Config) { c.Authenticate = nil },
		"nobody known": func(c *Config) { c.Presentity = nil },
		"twice":        func(c *Config) { c.Usages = append(Standard(), Standard()...) },
		"ours": func(c *Config) {
			c.Usages = []Usage{{AUID: AUIDCapabilities, MediaType: "a/b", Validate: func(*xmltree.Doc) error { return nil }}}
		},
		"no validator":   func(c *Config) { c.Usages = []Usage{{AUID: "a", MediaType: "a/b"}} },
		"no media type":  func(c *Config) { c.Usages = []Usage{Preferences(nil)}; c.Usages[0].MediaType = "" },
		"unfit as a URI": func(c *Config) { c.Usages = []Usage{{AUID: "a/b", MediaType: "a/b"}} },
	} {
		cfg := good
		change(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for root, want := range map[string]string{"": "/a", "/xcap-root": "/xcap-root/a", "/xcap-root/": "/xcap-root/a", "https://x.example": "https://x.example/a",
		"https://x.example/r": "https://x.example/r/a"} {
		cfg := good
		cfg.Root = root
		h, err := New(cfg)
		if err != nil || h.uri("a") != want {
			t.Errorf("%q: %v", root, err)
			continue
		}
		w := server{h, nil}.do("GET", h.base+"/xcap-caps/global/index", "", asAlice)
		wantStatus(t, w, 200)
	}
}

func TestServicesAreUnique(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(c *Config) {
		c.Exists = func(aor presence.AOR) bool { return aor == "sip:reception@example.com" }
	})
	doc := func(uris ...string) string {
		var b strings.Builder
		b.WriteString(`<rls-services xmlns="urn:ietf:params:xml:ns:rls-services">`)
		for _, uri := range uris {
			b.WriteString(`<service uri="` + uri + `"><list/></service>`)
		}
		return b.String() + `</rls-services>`
	}
	const mine = "/rls-services/users/sip:alice@example.com/index"
	const is = "Content-Type: application/rls-services+xml"
	bobs := strings.Replace(mine, "alice", "bob", 1)
	const asBob = "User: sip:bob@example.com"
	wantStatus(t, s.do("PUT", mine, doc("sip:friends@example.com"), asAlice, is), 201)
	wantStatus(t, s.do("PUT", mine, doc("sip:friends@example.com", "urn:x"), asAlice, is), 200)
	for _, uri := range []string{"sip:friends@example.com", "sip:friends@EXAMPLE.com", "sips:%66riends@example.com", "urn:x", "sip:reception@example.com", "sip:bob@example.com"} {
		w := s.do("PUT", bobs, doc("sip:other@example.com", uri), asBob, is)
		if w.Code != 409 || !strings.Contains(w.Body.String(), `<exists field="rls-services/service%5B2%5D/@uri">`) {
			t.Errorf("%s: %d %s", uri, w.Code, w.Body)
		}
		if strings.HasPrefix(uri, "sip") && strings.Count(w.Body.String(), "<alt-value>"+strings.Split(uri, "@")[0]+"-") != alternatives {
			t.Errorf("%s: %s", uri, w.Body)
		}
	}
	if w := s.do("PUT", bobs, doc("sip:a@example.com", "sip:%61@example.com"), asBob, is); w.Code != 409 {
		t.Errorf("one URI in two spellings: %d", w.Code)
	}
	// Documents of other names count, the same user's too; the index leaves them out.
	elsewhere := strings.Replace(mine, "index", "elsewhere", 1)
	wantStatus(t, s.do("PUT", elsewhere, doc("sip:friends@example.com"), asAlice, is), 409)
	wantStatus(t, s.do("PUT", elsewhere, doc("sip:elsewhere@example.com"), asAlice, is), 201)
	wantStatus(t, s.do("PUT", bobs, doc("sip:elsewhere@example.com"), asBob, is), 409)
	if w := s.do("GET", "/rls-services/global/index", "", "User: sip:rls@example.com"); w.Code != 200 ||
		strings.Contains(w.Body.String(), "elsewhere") || !strings.Contains(w.Body.String(), "friends") {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
	// RFC 4825, 11.1: an <exists> for each that is not unique.
	for text, want := range map[string]int{
		doc("sip:friends@example.com", "sip:free@example.com", "sip:reception@example.com"):                                   2,
		doc("sip:a@example.com", "sip:%61@example.com", "sips:a@example.com"):                                                 2,
		doc("sip:a@example.com", "sip:b@example.com", "sip:a@example.com", "sip:b@example.com"):                               2,
		strings.Replace(doc(strings.Split(strings.Repeat("urn:y ", 40), " ")...), `<service uri=""><list/></service>`, "", 1): 16,
	} {
		w := s.do("PUT", bobs, text, asBob, is)
		if err := schema.XCAPError()(parse(t, w.Body.String())); err != nil || strings.Count(w.Body.String(), "<exists ") != want {
			t.Errorf("%d: %v, %s, want %d", w.Code, err, w.Body, want)
		}
	}
	w := s.do("PUT", lists, strings.Replace(friends, "<entry", `<list name="a"/><list name="a"/><entry uri="sip:bob@example.com"/><entry`, 1), asAlice, isLists)
	if !strings.Contains(w.Body.String(), `<exists field="resource-lists/list/list%5B2%5D/@name"></exists><exists field="resource-lists/list/entry%5B2%5D/@uri"></exists>`) {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
	wantStatus(t, s.do("PUT", bobs, doc(), asBob, is), 201)
	const one = "/~~/rls-services/service%5B@uri='sip:friends@example.com'%5D"
	wantStatus(t, s.do("PUT", bobs+one, `<service uri="sip:friends@example.com"><list/></service>`, asBob, isEl), 409)
	wantStatus(t, s.do("DELETE", mine+one, "", asAlice), 200)
	wantStatus(t, s.do("PUT", bobs+one, `<service uri="sip:friends@example.com"><list/></service>`, asBob, isEl), 201)

	// Many want one at once; one gets it.
	var wg sync.WaitGroup
	got := make(chan string, 8)
	for _, user := range []string{"alice", "bob", "bill", "joe"} {
		wg.Go(func() {
			target := strings.Replace(mine, "alice", user, 1)
			if code := s.do("PUT", target, doc("sip:one@example.com"), "User: sip:"+user+"@example.com", is).Code; code < 300 {
				got <- user
			}
		})
	}
	if wg.Wait(); len(got) > 1 {
		t.Errorf("%d have the service", len(got))
	}
	if len(s.reserved.held) != 0 {
		t.Errorf("%v stay reserved", s.reserved.held)
	}
	many := make([]string, maxNewServices+1)
	for i := range many {
		many[i] = fmt.Sprintf("sip:s%d@example.com", i)
	}
	wantStatus(t, s.do("PUT", mine, doc(many...), asAlice, is), 409)
}

func BenchmarkPut20KB(b *testing.B) {
	s := newServer(b, nil)
	var rules strings.Builder
	rules.WriteString(`<cr:ruleset xmlns="urn:ietf:params:xml:ns:pres-rules" xmlns:cr="urn:ietf:params:xml:ns:common-policy">`)
	for i := 0; rules.Len() < 20<<10; i++ {
		fmt.Fprintf(&rules, "\n <cr:rule id=\"r%d\"><cr:conditions><cr:identity><cr:one id=\"sip:u%d@example.com\"/></cr:identity></cr:conditions>"+
			"<cr:actions><sub-handling>allow</sub-handling></cr:actions><cr:transformations><provide-persons><all-persons/></provide-persons>"+
			"<provide-activities>true</provide-activities></cr:transformations></cr:rule>", i, i)
	}
	rules.WriteString("</cr:ruleset>")
	const target = "/pres-rules/users/sip:alice@example.com/index"
	text := rules.String()
	wantStatus(b, s.do("PUT", target, text, asAlice, isRules), 201)
	b.Run("document", func(b *testing.B) {
		i := 0
		for b.Loop() {
			i++
			if w := s.do("PUT", target, text+strings.Repeat("\n", i%2), asAlice, isRules); w.Code != 200 {
				b.Fatal(w.Code, w.Body)
			}
		}
	})
	b.Run("element", func(b *testing.B) {
		i := 0
		for b.Loop() {
			i++
			body := `<cr:one id="sip:u9@example.com" xmlns:x="urn:x` + fmt.Sprint(i%2) + `"/>`
			w := s.do("PUT", target+"/~~/cr:ruleset/cr:rule%5B@id=%22r9%22%5D/cr:conditions/cr:identity/cr:one?xmlns(cr=urn:ietf:params:xml:ns:common-policy)", body, asAlice, isEl)
			if w.Code != 200 {
				b.Fatal(w.Code, w.Body)
			}
		}
	})
}
