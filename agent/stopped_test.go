package agent

import (
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/notifier"
	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/shard"
)

// What comes to its end while the server is stopped is not told after the start, and
// is in the store no more: a rule's validity (RFC 4745, 7.3), and the retention of a
// location, published or in a document (RFC 4119, 2.2.2).
func TestTimeWhileStopped(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rules string
		gone  string // what is not told after the start
		stays string
	}{
		"validity":  {rulesUntil("<until>1970-01-12T15:00:00Z</until>"), "<basic>open", ""},
		"retention": {rulesUntil("<until>2037-01-01T00:00:00Z</until>"), "51.5", "<basic>open"},
	} {
		r := newRig(t, func(c *Config) { c.MaxExpires, c.Settings.Default = 100*time.Hour, policy.PoliteBlock })
		put := func(name DocumentName, body string) {
			meaning := suppose(t, name, body).Meaning
			r.do(func(out *shard.Batch) {
				if _, err := r.ChangeDocument(alice, DocumentChange{name, "", body, meaning}, r.now, out); err != nil {
					t.Fatal(err)
				}
			})
		}
		ends := r.now.Add(time.Hour).UTC().Format(time.RFC3339)
		put(indexRules, c.rules)
		put(DocumentName{AUIDManipulation, "index"}, strings.ReplaceAll(located(ends, ""), `"`, `'`))
		if m := r.request("PUBLISH", "alice", "Event: presence\nContent-Type: application/pidf+xml\nExpires: 180000\n", located(ends, "")); m.Status != 200 {
			t.Fatal(m.Status)
		}
		r.subscribe("bob", "Expires: 180000\n")
		if n := r.notifies; len(n) != 1 || !strings.Contains(n[0].Body, c.gone) {
			t.Fatalf("%s: at first %v", name, n)
		}
		r.now = r.now.Add(2 * time.Hour) // with nobody at work
		r.restart(nil)
		list := append(r.notifies, r.tick(2*time.Minute)...)
		if len(list) == 0 {
			t.Fatalf("%s: nothing is told after the start", name)
		}
		for _, m := range list {
			if strings.Contains(m.Body, c.gone) || !strings.Contains(m.Body, c.stays) {
				t.Errorf("%s: told after the start:\n%s", name, m.Body)
			}
		}
		for _, kind := range []byte{KeyPublication, KeyDocument, notifier.KeyKind} {
			_ = r.store.Scan([]byte{kind}, func(_, value []byte) error {
				if strings.Contains(string(value), "51.5") {
					t.Errorf("%s: the location is still in the store, in %c", name, kind)
				}
				return nil
			})
		}
	}
}

// rulesUntil allows everybody everything for a time that began long ago.
func rulesUntil(until string) string {
	text := strings.Replace(rulesFor("<many/>"), "</identity>", "</identity><validity><from>1970-01-01T00:00:00Z</from>"+until+"</validity>", 1)
	return strings.Replace(text, "</transformations>", "<pr:provide-persons><pr:all-persons/></pr:provide-persons><pr:provide-all-attributes/></transformations>", 1)
}
