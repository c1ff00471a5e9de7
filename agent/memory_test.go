package agent

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/shard"
)

// addressBook makes a document of fifty rules, some 20 KB.
func addressBook(owner int) string {
	var b strings.Builder
	b.WriteString(`<ruleset xmlns="urn:ietf:params:xml:ns:common-policy" xmlns:pr="urn:ietf:params:xml:ns:pres-rules">`)
	for i := range 50 {
		fmt.Fprintf(&b, `
<rule id="rule-%d">
 <conditions>
  <identity><one id="sip:colleague%d@example.com"/></identity>
  <validity><from>2020-01-01T00:00:00Z</from><until>2037-12-31T23:59:59Z</until></validity>
 </conditions>
 <actions><pr:sub-handling>allow</pr:sub-handling></actions>
 <transformations>
  <pr:provide-services><pr:service-uri-scheme>sip</pr:service-uri-scheme></pr:provide-services>
  <pr:provide-persons/>
  <pr:provide-note>%t</pr:provide-note>
 </transformations>
</rule>`, i, owner*50+i, i%2 == 0)
	}
	return b.String() + "\n</ruleset>\n"
}

// What is kept of a document of rules is its text and as much again: not the tree
// that it was read from, nor the permissions of every rule apart. Not parallel,
// since it measures the heap.
func TestMemoryOfRules(t *testing.T) {
	const (
		presentities = 100
		most         = 3 // times the text; 1.8 is what it takes
	)
	r := newRig(t, nil)
	live := func() uint64 {
		runtime.GC()
		runtime.GC() // the first may have begun before
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, size := live(), 0
	for i := range presentities {
		id, body := presence.Presentity(fmt.Sprintf("sip:user%d@example.com", i)), addressBook(i)
		size += len(body)
		s := suppose(t, indexRules, body)
		if _, err := r.ChangeDocument(id, DocumentChange{indexRules, "", body, s.Meaning}, r.now, new(shard.Batch)); err != nil {
			t.Fatal(err)
		}
	}
	after := live()
	if kept := float64(after-before) / float64(size); kept > most {
		t.Errorf("of %d bytes of rules a presentity %.1f times as many are kept", size/presentities, kept)
	} else {
		t.Logf("%.2f times %d bytes", kept, size/presentities)
	}
	runtime.KeepAlive(r)
}
