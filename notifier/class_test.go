package notifier

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestClassesLeaveTogether has nine watchers of three classes: what they are told
// leaves class by class, in each in the order in which they came; and whoever goes is
// still found.
func TestClassesLeaveTogether(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	var tags []string
	for range 9 {
		b.tag = ""
		b.answer(only(t, b.subscribe("Expires: 600\n", ""), 200, 1), 200)
		tags = append(tags, b.tag)
	}
	for i, s := range slices.Clone(b.res.Subscribers()) {
		b.table.Decided(s, Grant{State: Active, Verdict: Active, Class: int32(i % 3)}, b.now, &b.out)
		for _, m := range b.settle() {
			b.answer(m, 200)
		}
	}
	b.now = b.now.Add(time.Minute)
	var order []string
	for _, m := range b.change("other") {
		order = append(order, m.From.Tag())
		b.answer(m, 200)
	}
	want := []string{tags[0], tags[3], tags[6], tags[1], tags[4], tags[7], tags[2], tags[5], tags[8]}
	if !slices.Equal(order, want) {
		t.Errorf("%q leave, want %q", order, want)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for len(b.res.Subscribers()) > 0 {
		subs := b.res.Subscribers()
		for i, s := range subs {
			if s.index != i || b.res.watchers[i] != watcherKey(s.Watcher.AOR()) {
				t.Fatalf("%d is at %d", i, s.index)
			}
			s.Grant.Class = rnd.Int32N(3)
		}
		b.table.unlink(subs[rnd.IntN(len(subs))])
		b.now = b.now.Add(time.Minute)
		b.table.Changed(b.res, b.pkg, b.now, &b.out)
		b.settle()
	}
}
