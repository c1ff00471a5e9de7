package xcap

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tacit-presence/tacit/xmltree"
)

func FuzzParseTarget(f *testing.F) {
	for _, uri := range []string{
		"/xcap-root/pres-rules/users/sip:alice@example.com/index/~~/ruleset/rule%5b@id=%22a%22%5d?xmlns(a=urn:x)",
		"/xcap-root/xcap-caps/global/index", "/xcap-root/a/users/b%2fc/%7e%7E/x", "/xcap-root/a/users/x/..",
	} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		target, err := ParseTarget("/xcap-root", uri)
		if err != nil {
			if !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrURI) && !errors.Is(err, ErrURITooLong) {
				t.Error(err)
			}
			return
		}
		if !utf8.ValidString(target.XUI + target.Node) {
			t.Errorf("%q is not UTF-8", target.XUI)
		}
		// The document's URI names the same document, and is its own spelling.
		again, err := ParseTarget("", "/"+target.Document())
		if err != nil || again.Document() != target.Document() || again.XUI != target.XUI || again.AUID != target.AUID || again.Path != target.Path || again.HasNode {
			t.Errorf("%q: %+v became %+v, %v", uri, target, again, err)
		}
		target.User()
		if _, err := ParseBindings(target.Query); err != nil && !errors.Is(err, ErrURI) {
			t.Error(err)
		}
	})
}

func FuzzSelector(f *testing.F) {
	const doc = `<r xmlns:p="urn:p"><a x="1"/><b y="2">t<a x="&amp;"/><p:a p:x="3"/></b><c/></r>`
	for _, node := range []string{"r/a", `r/*[2]/a[1][@x="&amp;"]/@x`, "r/b/p:a/namespace::*", "r/a[@x='/']", "r/@xml:lang", "r/a[@p:x='1']"} {
		f.Add(node, "xmlns(p=urn:p)", `<a x="1"/>`)
		f.Add(node, "xmlns(q=urn:p)xmlns(p=urn:^(^))", `"1"`)
	}
	f.Fuzz(func(t *testing.T, node, query, body string) {
		bindings, err := ParseBindings(query)
		if err != nil {
			return
		}
		// What is written of bindings is read as the same.
		again, err := ParseBindings(strings.TrimPrefix(string(appendQuery(nil, bindings)), "?"))
		if err != nil || len(again) != len(bindings) {
			t.Fatalf("%q: %v, %v", query, again, err)
		}
		for i := range again {
			if again[i] != bindings[i] {
				t.Fatalf("%q: %v became %v", query, bindings, again)
			}
		}
		s, err := ParseSelector(node, "", bindings)
		if err != nil {
			if !errors.Is(err, ErrStep) && !errors.Is(err, ErrURI) && !errors.Is(err, ErrPrefix) {
				t.Error(err)
			}
			return
		}
		if s.String() != node {
			t.Fatalf("%q became %q", node, s)
		}
		d, err := xmltree.Parse(doc, xmltree.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		put, err := s.Put(d, body, lim)
		if err != nil {
			if _, ok := errors.AsType[*Conflict](err); !ok && !errors.Is(err, ErrTooLarge) {
				t.Error(err)
			}
		} else if got, ok := s.Get(put.Doc); !ok || got != strings.Trim(body, spaces) {
			t.Errorf("%q: put %q, got %q", node, body, got)
		}
		if gone, err := s.Delete(d, lim); err == nil && s.Exists(gone.Doc) {
			t.Errorf("%q is still there", node)
		}
	})
}

// FuzzHandler sends requests, a few in a row, and holds what every response has
// in common.
func FuzzHandler(f *testing.F) {
	f.Add("PUT", lists, "", friends, "application/resource-lists+xml", "")
	f.Add("PUT", lists+"/~~/resource-lists/list/entry", "xmlns(a=urn:x)", `<entry uri="sip:joe@example.com"/>`, "application/xcap-el+xml", `"e1"`)
	f.Add("DELETE", lists+"/~~/resource-lists/list/@name", "", "", "", "*")
	f.Add("GET", "/xcap-caps/global/index/~~/xcap-caps/auids/namespace::*", "", "", "", `W/"x"`)
	f.Add("PUT", "/rls-services/users/sip:alice@example.com/index", "", `<rls-services xmlns="urn:ietf:params:xml:ns:rls-services"/>`, "application/rls-services+xml", "")
	f.Fuzz(func(t *testing.T, method, target, query, body, contentType, match string) {
		s := newServer(t, nil)
		if w := s.do("PUT", lists, friends, asAlice, isLists); w.Code != 201 {
			t.Fatal(w.Code)
		}
		if query != "" {
			target += "?" + query
		}
		header := []string{asAlice, "Content-Type: " + contentType}
		if match != "" {
			header = append(header, "If-Match: "+match)
		}
		first := statusOf(s, method, target, body, header)
		again := statusOf(s, method, target, body, header)
		if first >= 500 || again >= 500 {
			t.Errorf("%s %q: %d, then %d", method, target, first, again)
		}
		// RFC 4825, 7: what was put can be put again, what was deleted is gone.
		if match == "" && (method == "PUT" && first < 300 && again != 200 || method == "DELETE" && first == 200 && again != 404) {
			t.Errorf("%s %q: %d, then %d", method, target, first, again)
		}
		for k, d := range s.docs.docs {
			if k.Owner != "sip:alice@example.com" {
				t.Errorf("%s %q wrote for %s", method, target, k.Owner)
			}
			if u := s.usage(k.AUID); u == nil || u.validate(parse(t, d.Body)) != nil {
				t.Errorf("%s %q left %q in %s", method, target, d.Body, k.AUID)
			}
		}
	})
}

func statusOf(s server, method, target, body string, header []string) int {
	// httptest reads the method as part of a request line.
	if !xmltree.IsNCName(method) {
		method = "GET"
	}
	return s.do(method, target, body, header...).Code
}
