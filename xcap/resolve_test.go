package xcap

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/xcapdiff"
	"github.com/tacit-presence/tacit/xmltree"
)

func resolver(t *testing.T) *Handler {
	t.Helper()
	h, err := New(Config{
		Root: "https://xcap.example.com/root", Usages: append(Standard(), Test()), Documents: newMemory(),
		Authenticate: func(*http.Request, string) (presence.Principal, []string, int) { return presence.Principal{}, nil, 403 },
		Presentity:   func(presence.AOR) (presence.Presentity, bool) { return "", false },
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// RFC 5875, 4.1 and 4.4: collections end in a slash; URIs are relative to the
// root or absolute.
func TestResolve(t *testing.T) {
	t.Parallel()
	h := resolver(t)
	const joe = presence.AOR("sip:joe@example.com")
	for uri, want := range map[string]xcapdiff.Resource{
		"":                               {Collection: true, Made: true},
		"https://xcap.example.com/root/": {Collection: true, Made: true},
		"xcap-caps/":                     {Sel: "xcap-caps/", Collection: true, AUID: "xcap-caps", Made: true},
		"xcap-caps/users/":               {Sel: "xcap-caps/users/", Collection: true, AUID: "xcap-caps", Tree: xcapdiff.UserTree},
		"xcap-caps/global/": {
			Sel: "xcap-caps/global/", Collection: true, AUID: "xcap-caps", Tree: xcapdiff.GlobalTree, Made: true,
		},
		"xcap-caps/global/index": {
			Sel: "xcap-caps/global/index", AUID: "xcap-caps", Tree: xcapdiff.GlobalTree, Path: "index", Made: true,
		},
		// Trusted users alone read this one, and it is no document of a user's.
		"rls-services/":        {Sel: "rls-services/", Collection: true, AUID: "rls-services"},
		"rls-services/global/": {Sel: "rls-services/global/", Collection: true, AUID: "rls-services", Tree: xcapdiff.GlobalTree},
		string(AUIDDirectory) + "/users/joe@example.com/directory.xml": {
			Sel:  string(AUIDDirectory) + "/users/joe@example.com/directory.xml",
			AUID: string(AUIDDirectory), Tree: xcapdiff.UserTree, User: joe, Path: "directory.xml", Made: true,
		},
		string(AUIDDirectory) + "/users/joe@example.com/x": {
			Sel: string(AUIDDirectory) + "/users/joe@example.com/x", AUID: string(AUIDDirectory), Tree: xcapdiff.UserTree, User: joe, Path: "x",
		},
		"test/":                       {Sel: "test/", Collection: true, AUID: "test"},
		"other/users/":                {Sel: "other/users/", Collection: true, AUID: "other", Tree: xcapdiff.UserTree},
		"test/users/joe@example.com/": {Sel: "test/users/joe@example.com/", Collection: true, AUID: "test", Tree: xcapdiff.UserTree, User: joe},
		"test/users/sip:joe@example.com/a%20b/": {
			Sel: "test/users/sip:joe@example.com/a%20b/", Collection: true, AUID: "test", Tree: xcapdiff.UserTree, User: joe, Path: "a%20b",
		},
		"resource-lists/users/sip:joe@example.com/index": {
			Sel: "resource-lists/users/sip:joe@example.com/index", AUID: "resource-lists", Tree: xcapdiff.UserTree, User: joe, Path: "index",
		},
		"/root/test/users/sip%3ajoe@EXAMPLE.com/%69ndex": {
			Sel: "test/users/sip%3ajoe@EXAMPLE.com/%69ndex", AUID: "test", Tree: xcapdiff.UserTree, User: joe, Path: "index",
		},
		"HTTP://127.0.0.1:8080/root/test/users/sip:joe@example.com/x": {
			Sel: "test/users/sip:joe@example.com/x", AUID: "test", Tree: xcapdiff.UserTree, User: joe, Path: "x",
		},
	} {
		got, err := h.Resolve(uri)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", uri, got, err)
		}
	}
	for _, uri := range []string{
		"/", "/other/test/", "https://xcap.example.com", "test", "test/users", "test/global/index", "test/other/", "rls-services/global/index", "xcap-caps/global/other", "xcap-caps/index/index", "test/users/joe/",
		"unknown/users/sip:joe@example.com/index", "test/users/sip:joe@example.com", "test/users/sip:joe@example.com/../x",
		"test/users/sip:joe@example.com/index/~~/", "test/?x", "test/users/sip:joe@example.com/index/~~/foo/namespace::*",
		"test/users/sip:joe@example.com/index/~~/p:foo", "test/users/sip:joe@example.com/index/~~/foo[", "test//", "%",
		"test/users/sip:joe@example.com/" + strings.Repeat("a", maxURI),
	} {
		if got, err := h.Resolve(uri); err == nil {
			t.Errorf("%s: %+v", uri, got)
		}
	}
}

// RFC 5875, 4.6 and 5: parts of documents, with and without prefixes.
func TestResolvedParts(t *testing.T) {
	t.Parallel()
	h := resolver(t)
	const index = "rls-services/users/sip:joe@example.com/index/~~/"
	d, err := xmltree.Parse(`<s:rls-services xmlns:s="urn:ietf:params:xml:ns:rls-services" xmlns:rl="urn:ietf:params:xml:ns:resource-lists">`+
		`<s:service uri="sip:marketing@example.com"><s:list name="a &lt; b"><rl:entry uri="sip:joe@example.com"/></s:list></s:service></s:rls-services>`,
		xmltree.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for uri, want := range map[string]string{
		index + "*/service%5b@uri='sip:marketing@example.com'%5d/list/@name":            "a < b",
		index + "*/service/list/x:entry?xmlns(x=urn:ietf:params:xml:ns:resource-lists)": `<rl:entry uri="sip:joe@example.com"/>`,
		index + "*/service/list/entry":                                                  "",
		index + "*/service/@name":                                                       "",
	} {
		r, err := h.Resolve(uri)
		if err != nil || r.Part == nil || r.Sel != uri {
			t.Fatalf("%s: %+v, %v", uri, r, err)
		}
		got, ok := r.Select(d, 1000)
		if ok != (want != "") || ok && (got.Text != want || got.Sel != uri) {
			t.Errorf("%s: %q, %t", uri, got.Text, ok)
		}
	}
}
