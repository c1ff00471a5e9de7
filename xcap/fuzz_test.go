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
