package xcap

import "testing"

// What is kept of a document cannot be read: it is replaced as a whole or removed, by
// its entity-tag too, and nothing is said to be in it.
func TestDamaged(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	wantStatus(t, s.do("PUT", lists, friends, asAlice, isLists), 201)
	damage := func() {
		for k, d := range s.docs.docs {
			s.docs.docs[k] = Document{ETag: d.ETag}
		}
	}
	damage()
	for _, method := range []string{"GET", "HEAD"} {
		wantStatus(t, s.do(method, lists, "", asAlice), 500)
	}
	element := lists + "/~~/resource-lists/list"
	wantStatus(t, s.do("GET", element, "", asAlice), 500)
	wantStatus(t, s.do("PUT", element, "<list/>", asAlice, isEl), 500)
	wantStatus(t, s.do("DELETE", element, "", asAlice), 500)
	wantStatus(t, s.do("PUT", lists, friends, asAlice, isLists, `If-Match: "e2"`), 412)
	wantStatus(t, s.do("PUT", lists, friends, asAlice, isLists, "If-None-Match: *"), 412)
	wantStatus(t, s.do("PUT", lists, friends, asAlice, isLists, `If-Match: "e1"`), 200)
	if body := s.do("GET", lists, "", asAlice).Body.String(); body != friends {
		t.Error(body)
	}
	damage()
	wantStatus(t, s.do("DELETE", lists, "", asAlice), 200)
	wantStatus(t, s.do("GET", lists, "", asAlice), 404)
}
