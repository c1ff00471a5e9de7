package xcap

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestXPath holds that a selector, which is an XPath expression too
// (RFC 4825, 6.3), selects what xmllint does: one element at each step.
func TestXPath(t *testing.T) {
	t.Parallel()
	if os.Getenv("TACIT_PEERS") != "1" {
		t.Skip("NOT RUN: xmllint as a peer; set TACIT_PEERS=1 with libxml2-utils installed")
	}
	r := random{rand.New(rand.NewPCG(3, 4))}
	names := regexp.MustCompile(`p:| xmlns="urn:p"`)
	found := 0
	for range 300 {
		// XPath has no default namespace, and no references in its literals.
		text := names.ReplaceAllString(strings.ReplaceAll(r.document(), "p:x", "z"), "")
		node := strings.ReplaceAll(strings.ReplaceAll(r.selector(), "z:", ""), "&amp;", "")
		if r.IntN(2) == 0 {
			node = "*/*" + strings.Repeat("/*[1]", r.IntN(3))
		}
		s := selector(t, node)
		var counts []string
		for i := range s.texts {
			counts = append(counts, "count(/"+strings.Join(s.texts[:i+1], "/")+")")
		}
		cmd := exec.Command("xmllint", "--xpath", "concat("+strings.Join(counts, `," ",`)+`,"")`, "-")
		cmd.Stdin = strings.NewReader(text)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s: %s in %s", err, out, node, text)
		}
		one := strings.TrimSpace(strings.Repeat("1 ", len(counts)))
		want := strings.TrimSpace(string(out)) == one
		if got := s.Exists(parse(t, text)); got != want {
			t.Errorf("%v, xmllint counts %s: %s in %s", got, out, node, text)
		}
		if want {
			found++
		}
	}
	if found < 20 {
		t.Errorf("%d selectors found something: too few", found)
	}
}
