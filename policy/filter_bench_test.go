package policy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/compose"
	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/rfc/vectors"
)

// publications reads documents of pidf's test data or of vectors, the newest first.
func publications(t testing.TB, names ...string) compose.Raw {
	t.Helper()
	texts := make([]string, len(names))
	for i, name := range names {
		if strings.Contains(name, "/") {
			texts[i] = vectors.Text(t, name, "presence")
			continue
		}
		text, err := os.ReadFile(filepath.Join("..", "pidf", "testdata", name+".xml"))
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = string(text)
	}
	return rawOf(t, texts...)
}

// rawOf composes documents, the newest first.
func rawOf(t testing.TB, texts ...string) compose.Raw {
	t.Helper()
	pubs := make([]compose.Publication, len(texts))
	for i, text := range texts {
		doc, err := pidf.Parse(text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		n := len(texts) - i
		pubs[i] = compose.Publication{Serial: uint64(n), Modified: time.Unix(int64(n), 0), Order: uint64(n), Doc: doc}
	}
	return compose.Union().Compose("", pubs)
}

// friends is a grant as an address book's rule may give it.
func friends() *grant {
	return &grant{
		devices: selection{all: true}, persons: selection{all: true}, services: selection{schemes: []string{"im", "mailto", "sip"}},
		attributes: provideActivities | provideMood | provideNote | provideStatusIcon, userInput: userInputBare,
	}
}

// BenchmarkApply is a view's cost in a PUBLISH: the filter, and the document as it
// is sent; the composition and its tree are shared by all views.
func BenchmarkApply(b *testing.B) {
	coarse := friends()
	coarse.coarse = 900
	for name, g := range map[string]*grant{"friends": friends(), "coarse": coarse, "all-attributes": {
		devices: selection{all: true}, persons: selection{all: true}, services: selection{all: true}, everything: true,
	}} {
		for _, file := range []string{"rfc4480/4", "sample", "client-linphone"} {
			b.Run(name+"/"+file, func(b *testing.B) {
				d := Decision{Handling: Allow, Permissions: g.finish()}
				raw := publications(b, file)
				b.ReportAllocs()
				for b.Loop() {
					if c := Apply(raw, d); c.Document().Render("sip:alice@example.com") == "" {
						b.Fatal()
					}
				}
			})
		}
	}
}

// BenchmarkTree is what the first view of a composition costs more.
func BenchmarkTree(b *testing.B) {
	raw := publications(b, "rfc4480/4")
	b.ReportAllocs()
	for b.Loop() {
		doc := raw.Document().With(raw.Parts())
		if _, err := doc.Tree(); err != nil {
			b.Fatal(err)
		}
		doc.Forget()
	}
}
