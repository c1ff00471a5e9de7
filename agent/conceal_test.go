package agent

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/sip"
)

func concealing(c *Config) {
	c.Settings.Default = policy.Confirm
	c.Settings.Conceals = func(presence.Presentity) bool { return true }
}

// The answer to a watcher does not come later because the presentity looks at who
// watches it: that is told later, and there is a later step if nobody looks, too.
func TestPresentityToldLater(t *testing.T) {
	t.Parallel()
	r := newRig(t, concealing)
	r.subscribe("bob", "Expires: 0\n")
	if at := r.Deadline(); at.After(r.now.Add(tellAfter + tellSpread)) {
		t.Errorf("the next step is only at %v", at)
	}
	r.tick(time.Second)
	r.watch("alice")
	for _, expires := range []string{"600", "0"} {
		r.subscribe("bob", "Expires: "+expires+"\n")
		if len(r.notifies) != 1 {
			t.Errorf("%d NOTIFYs in the watcher's step", len(r.notifies))
		}
		if told := r.tick(tellAfter - 1); len(told) != 0 {
			t.Errorf("the presentity is told by %d NOTIFYs at once", len(told))
		}
		if told := r.tick(tellSpread); len(told) != 1 {
			t.Errorf("the presentity is told by %d NOTIFYs", len(told))
		}
	}
}

// Every answer waits for the disk, whatever is kept of the request.
func TestAnswersWaitForDisk(t *testing.T) {
	t.Parallel()
	r := newRig(t, concealing)
	for i, handling := range []policy.Handling{policy.Allow, policy.Block, policy.PoliteBlock, policy.Confirm} {
		rules := &policy.Rules{}
		rules.Set("sip:bob@example.com", handling)
		r.do(func(out *shard.Batch) {
			if err := r.SetRules(alice, rules, r.now, out); err != nil {
				t.Fatal(err)
			}
		})
		for j, event := range []string{"presence", "presence.winfo", "none"} {
			m := new(sip.Message)
			text := fmt.Sprintf("SUBSCRIBE sip:alice@example.com SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.1;branch=z9hG4bK%[1]d\nMax-Forwards: 70\n"+
				"From: <sip:bob@example.com>;tag=%[1]d\nTo: <sip:alice@example.com>\nCall-ID: %[1]d\nCSeq: 1 SUBSCRIBE\n"+
				"Contact: <sip:198.51.100.1>\nExpires: 0\nEvent: %[2]s\nContent-Length: 0\n\n", 10*i+j, event)
			if err := m.Parse(strings.ReplaceAll(text, "\n", "\r\n"), sip.DefaultLimits); err != nil {
				t.Fatal(err)
			}
			ev := shard.Event{Kind: shard.Request, ID: r.cfg.ID, Msg: m, Flow: r.flow, Who: who("bob"), Presentity: alice, Owner: owner(alice)}
			r.do(func(out *shard.Batch) {
				if r.Step(&ev, r.now, out); out.Records.Len() == 0 {
					t.Errorf("%s, %s: it does not", handling, event)
				}
			})
		}
	}
}
