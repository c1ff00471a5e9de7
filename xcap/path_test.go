package xcap

import (
	"errors"
	"strings"
	"testing"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/xmltree"
)

func TestParseTarget(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]Target{
		"/xcap-root/pres-rules/users/sip:alice@example.com/index": {
			AUID: "pres-rules", XUI: "sip:alice@example.com", Dir: "pres-rules/users/sip:alice@example.com", Path: "index"},
		"/xcap-root/pres-rules/users/sip%3aalice%40example.com/%69ndex": {
			AUID: "pres-rules", XUI: "sip:alice@example.com", Dir: "pres-rules/users/sip:alice@example.com", Path: "index"},
		"/xcap-root/xcap-caps/global/index": {AUID: "xcap-caps", Tree: TreeGlobal, Dir: "xcap-caps/global", Path: "index"},
		"/xcap-root/a/users/x/index/~~/r/e%5b@a=%22~~/%2522%22%5d?xmlns(a=b)": {
			AUID: "a", XUI: "x", Dir: "a/users/x", Path: "index", HasNode: true, Node: `r/e[@a="~~/%22"]`, Query: "xmlns(a=b)"},
		"/xcap-root/a/users/x/index/%7E%7e/r": {AUID: "a", XUI: "x", Dir: "a/users/x", Path: "index", HasNode: true, Node: "r"},
		"/xcap-root/a/users/x/index/~~/":      {AUID: "a", XUI: "x", Dir: "a/users/x", Path: "index", HasNode: true},
		"/xcap-root/a/users/x/index/~~":       {AUID: "a", XUI: "x", Dir: "a/users/x", Path: "index", HasNode: true},
		"/xcap-root/a/users/x/b%2Fc/d e":      {AUID: "a", XUI: "x", Dir: "a/users/x", Path: "b%2Fc/d%20e"},
		"/xcap-root/a/users/x/~~/r":           {AUID: "a", XUI: "x", Dir: "a/users/x", HasNode: true, Node: "r"},
		"/xcap-root/a/users/x":                {AUID: "a", XUI: "x", Dir: "a/users/x"},
		"/xcap-root/a/users/%C3%A9/%c3%a9":    {AUID: "a", XUI: "é", Dir: "a/users/%C3%A9", Path: "%C3%A9"},
	} {
		got, err := ParseTarget("/xcap-root", uri)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v\nwant %+v", uri, got, err, want)
		}
	}
	for uri, want := range map[string]error{
		"/":                                  ErrNotFound,
		"/xcap-root":                         ErrNotFound,
		"/xcap-root/":                        ErrNotFound,
		"/xcap-root2/a/users/x/index":        ErrNotFound,
		"/xcap-root/a/users":                 ErrNotFound,
		"/xcap-root/a/users/":                ErrNotFound,
		"/xcap-root/a/other/x/index":         ErrNotFound,
		"/xcap-root/a/users/x/":              ErrNotFound,
		"/xcap-root/a/users//index":          ErrNotFound,
		"/xcap-root/a/users/x/../y/index":    ErrNotFound,
		"/xcap-root/a/users/x/%2e%2E/index":  ErrNotFound,
		"/xcap-root/~~/users/x/index":        ErrNotFound,
		"/xcap-root/a/users/x/%":             ErrURI,
		"/xcap-root/a/users/x/%4":            ErrURI,
		"/xcap-root/a/users/x/%g0":           ErrURI,
		"/xcap-root/a/users/x/%ff":           ErrURI,
		"/xcap-root/a/users/x/%00":           ErrURI,
		"/xcap-root/a/users/x/i/~~/%80":      ErrURI,
		"/xcap-root/a/users/x/i#frag":        ErrURI,
		"/xcap-root/a/users/x/i?q#f":         ErrURI,
		"/" + strings.Repeat("a", maxURI):    ErrURITooLong,
		"/xcap-root/a/users/x/" + long(256):  ErrNotFound,
		"/xcap-root/" + long(256) + "/users": ErrNotFound,
	} {
		if got, err := ParseTarget("/xcap-root", uri); !errors.Is(err, want) {
			t.Errorf("%.80s: %+v, %v, want %v", uri, got, err, want)
		}
	}
}

func long(n int) string { return strings.Repeat("a", n) }

func TestUser(t *testing.T) {
	t.Parallel()
	for xui, want := range map[string]presence.AOR{
		"sip:alice@example.com":            "sip:alice@example.com",
		"alice@example.com":                "sip:alice@example.com",
		"SIP:alice@EXAMPLE.com":            "sip:alice@example.com",
		"sips:alice@example.com":           "sip:alice@example.com",
		"pres:alice@example.com":           "sip:alice@example.com",
		"sip:%61lice@example.com":          "sip:alice@example.com",
		"%61lice@example.com":              "sip:alice@example.com",
		"sip:alice@example.com;user=phone": "sip:alice@example.com",
		"sip:a/b@example.com":              "sip:a/b@example.com",
		"Alice@example.com":                "sip:Alice@example.com",
		"alice":                            "",
		"sip:example.com":                  "",
		"tel:+15551234":                    "",
		"http://alice@example.com":         "",
		"alice@":                           "",
		"@example.com":                     "",
		"alice@example.com\r\nx":           "",
	} {
		target := Target{Tree: TreeUsers, XUI: xui}
		if got, ok := target.User(); got != want || ok != (want != "") {
			t.Errorf("%q is %q, %v, want %q", xui, got, ok, want)
		}
	}
	if _, ok := (&Target{Tree: TreeGlobal}).User(); ok {
		t.Error("the global tree has a user")
	}
}

func TestParseBindings(t *testing.T) {
	t.Parallel()
	for query, want := range map[string][]xmltree.Binding{
		"":                                  nil,
		"xmlns(a=urn:x)":                    {{Prefix: "a", Space: "urn:x"}},
		"xmlns(a=urn:x)xmlns(b=urn:y)":      {{Prefix: "a", Space: "urn:x"}, {Prefix: "b", Space: "urn:y"}},
		"xmlns(a=urn:x)%20xmlns(b=urn:y)":   {{Prefix: "a", Space: "urn:x"}, {Prefix: "b", Space: "urn:y"}},
		"xmlns%28a%20=%20urn:x%29":          {{Prefix: "a", Space: "urn:x"}},
		"xmlns(a=urn:(x))":                  {{Prefix: "a", Space: "urn:(x)"}},
		"xmlns(a=urn:^)^(^^)":               {{Prefix: "a", Space: "urn:)(^"}},
		"element(/1)xmlns(a=urn:x)":         {{Prefix: "a", Space: "urn:x"}},
		"x:y(z(w))":                         nil,
		"xmlns(xml=urn:x)":                  nil,
		"xmlns(a=http://x/?y=%26z%3D1&w=2)": {{Prefix: "a", Space: "http://x/?y=&z=1&w=2"}},
	} {
		got, err := ParseBindings(query)
		if err != nil || len(got) != len(want) {
			t.Errorf("%q: %v, %v", query, got, err)
			continue
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%q: %v, want %v", query, got, want)
			}
		}
	}
	for _, query := range []string{"a", "a=b", "xmlns", "xmlns(", "xmlns(a=b", "xmlns(a=(b)", "xmlns(a)", "xmlns(=b)", "xmlns(a=)", "xmlns(a:b=c)",
		"xmlns(xmlns=urn:x)", "xmlns(a=^b)", "xmlns(a=^", ")", "()", "%", strings.Repeat("xmlns(a=b)", maxBindings+1)} {
		if got, err := ParseBindings(query); !errors.Is(err, ErrURI) {
			t.Errorf("%.40q: %v, %v", query, got, err)
		}
	}
}

func TestParseSelectorErrors(t *testing.T) {
	t.Parallel()
	for node, want := range map[string]error{
		"":                         ErrURI,
		"/a":                       ErrURI,
		"a/":                       ErrURI,
		"a//b":                     ErrURI,
		strings.Repeat("a/", 80):   ErrURI,
		"p:a":                      ErrPrefix,
		"a/@p:b":                   ErrPrefix,
		"a[@p:b='c']":              ErrPrefix,
		"xmlns:a":                  ErrPrefix,
		"@a":                       ErrStep,
		"namespace::*":             ErrStep,
		"a/@b/c":                   ErrStep,
		"a/namespace::*/b":         ErrStep,
		"a/namespace::x":           ErrStep,
		"a/@*":                     ErrStep,
		"a[]":                      ErrStep,
		"a[-1]":                    ErrStep,
		"a[1":                      ErrStep,
		"a[1]x":                    ErrStep,
		"a[1][2]":                  ErrStep,
		"a[@b='c'][1]":             ErrStep,
		"a[@b='c'][@d='e']":        ErrStep,
		"a[@b=c]":                  ErrStep,
		"a[@b='c'":                 ErrStep,
		"a[@b='c]":                 ErrStep,
		"a[@b='<']":                ErrStep,
		"a[@b='&x;']":              ErrStep,
		"a[@b]":                    ErrStep,
		"a[b='c']":                 ErrStep,
		"a[ 1 ]":                   ErrStep,
		"..":                       ErrStep,
		"1a":                       ErrStep,
		"a:b:c":                    ErrStep,
		":a":                       ErrStep,
		"a:":                       ErrStep,
		"id('x')":                  ErrStep,
		"~~":                       ErrStep,
		"a[position()=1]":          ErrStep,
		"a[@b='c' or '1'='1']":     ErrStep,
		"a/text()":                 ErrStep,
		"a[@b=\"c\"]\"]":           ErrStep,
		"*:a":                      ErrStep,
		"a[@b='c']/@d[1]":          ErrStep,
		"a[1][@b='c']]":            ErrStep,
		"child::a":                 ErrStep,
		"a[@xmlns:p='urn:x']":      ErrPrefix,
		"a[99999999999999999999]x": ErrStep,
	} {
		if s, err := ParseSelector(node, "", nil); !errors.Is(err, want) {
			t.Errorf("%.40q: %v, %v, want %v", node, s, err, want)
		}
	}
}
