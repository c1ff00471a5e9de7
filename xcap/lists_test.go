package xcap

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tacit-presence/tacit/presence"
)

const friendsDocument = `<resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists">
 <list name="friends"><entry uri="sip:bob@example.com"/><entry uri="pres:Carol@Example.COM"/>
  <list name="close"><entry uri="sip:dave@example.com;transport=tcp"/></list>
  <entry-ref ref="resource-lists/users/sip:alice@example.com/index/~~/resource-lists/list%5b@name=%22work%22%5d/entry%5b@uri=%22sip:erin@example.com%22%5d"/>
  <external anchor="https://xcap.example.com/xcap-root/resource-lists/users/sip:alice@example.com/other/~~/resource-lists/list%5b1%5d"/>
  <external anchor="https://xcap.example.com/xcap-root/resource-lists/users/sip:mallory@example.com/index/~~/resource-lists/list%5b1%5d"/>
 </list>
 <list name="work"><entry uri="sip:erin@example.com"/><entry uri="sip:frank@example.com"/></list>
 <list name="phones"><entry uri="tel:+1-555-1234;ext=1-2"/><entry uri="sip:hans@bücher.example"/><entry uri="not one"/></list>
 <list name="circle"><external anchor="resource-lists/users/sip:alice@example.com/index/~~/resource-lists/list%5b@name=%22circle%22%5d"/><entry uri="sip:bob@example.com"/></list>
</resource-lists>`

func TestMembers(t *testing.T) {
	t.Parallel()
	l := Lists{
		Root: "/xcap-root",
		Owns: func(a presence.AOR) bool { return a == "sip:alice@example.com" },
		Document: func(path string) (string, bool) {
			switch path {
			case "index":
				return friendsDocument, true
			case "other":
				return `<resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists"><list><entry uri="sip:gina@example.com"/></list></resource-lists>`, true
			}
			return "", false
		},
	}
	const index = "https://xcap.example.com/xcap-root/resource-lists/users/sip:alice@example.com/index"
	for uri, want := range map[string]string{
		index + "/~~/resource-lists/list%5b@name=%22friends%22%5d":    "Carol bob dave erin gina",
		index + "/~~/resource-lists/list%5b2%5d":                      "erin frank",
		"/xcap-root/resource-lists/users/sip:alice@example.com/other": "gina",
		"resource-lists/users/alice@example.com/index/~~/r:resource-lists/r:list%5b@name=%22work%22%5d?xmlns(r=urn:ietf:params:xml:ns:resource-lists)": "erin frank",
		index + "/~~/resource-lists/list%5b@name=%22phones%22%5d":                                                                                      "hans tel:+15551234;ext=12",
		index + "/~~/resource-lists/list%5b@name=%22circle%22%5d":                                                                                      "bob",
		index + "/~~/resource-lists/list%5b@name=%22none%22%5d":                                                                                        "!",
		strings.Replace(index, "alice", "mallory", 1):                                                                                                  "!",
		strings.Replace(index, "resource-lists/", "pres-rules/", 1):                                                                                    "!",
		"https://xcap.example.com/elsewhere":                                                                                                           "!",
		"%zz":                                                                                                                                          "!",
		"":                                                                                                                                             "!",
	} {
		got, err := l.Members(uri)
		if want == "!" {
			if !errors.Is(err, ErrList) {
				t.Errorf("%s: %v, %v", uri, got, err)
			}
			continue
		}
		var names []string
		for _, a := range slices.Sorted(maps.Keys(got)) {
			names = append(names, a.User())
		}
		if err != nil || strings.Join(names, " ") != want {
			t.Errorf("%s: %v, %v, want %s", uri, names, err, want)
		}
	}
}
