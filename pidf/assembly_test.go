package pidf

import (
	"fmt"
	"testing"
)

// TestForget: a tree that was given back is made again, the same, though its memory
// has served others; what it gave as text is still good.
func TestForget(t *testing.T) {
	t.Parallel()
	assembly := func(name string) Assembly {
		return NewAssembly("", []Component{
			{Of: new(Part), Text: `<tuple id="` + name + `"><status/></tuple>`}, {Of: new(Part), Text: "<note>" + name + "</note>"},
		})
	}
	a := assembly("a")
	note := func(a Assembly) string {
		tree, err := a.Tree()
		if err != nil || len(tree.Nodes) != 2 {
			t.Fatal(err)
		}
		return tree.Doc.Text(tree.Nodes[1])
	}
	text := note(a)
	copied := a
	copied.Forget()
	a.Forget() // of one tree
	var others []Assembly
	for i := range 50 {
		b := assembly(fmt.Sprint("other", i))
		if got := note(b); got != fmt.Sprint("other", i) {
			t.Errorf("%d: %q", i, got)
		}
		if others = append(others, b); i%2 == 0 {
			b.Forget()
		}
	}
	if again := note(a); text != "a" || again != "a" {
		t.Errorf("%q, then %q", text, again)
	}
	for i, b := range others {
		if got := note(b); got != fmt.Sprint("other", i) {
			t.Errorf("%d: %q", i, got)
		}
	}
	Assembly{}.Forget()
}
