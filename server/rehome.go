package server

import (
	"errors"
	"time"

	"github.com/tacit-presence/tacit/agent"
	"github.com/tacit-presence/tacit/shard"
)

// Rehome takes every subscription to the shard of whom it is about now. Where it is
// concealed who exists, there are subscriptions to addresses of nobody, and they
// live where he would; a user who comes with such an address as his alias lives
// elsewhere. Their watchers are told what they may know then, and nothing of the
// move. To be called when users, or their addresses, have changed.
func (c *Core) Rehome() error {
	var errs error
	for i := range shard.Count {
		errs = errors.Join(errs, c.rehome(shard.ID(i)))
	}
	return errs
}

func (c *Core) rehome(from shard.ID) error {
	var all []agent.Move
	do := c.admin().do
	err := do(from, func(m *machine, now time.Time, out *shard.Batch) { all = m.agent.Strays(c.gate.Presentity, now, out) })
	byShard := map[shard.ID][]agent.Move{}
	for _, m := range all {
		to := shard.Of(m.To)
		byShard[to] = append(byShard[to], m)
		flow, _ := m.Subscription.Flow()
		c.moved.Note(m.Subscription.Tag, to, c.tags)
		c.gate.Pin(flow, to)
	}
	for to, moves := range byShard {
		failed := do(to, func(m *machine, now time.Time, out *shard.Batch) { m.agent.Adopt(moves, now, out) })
		if failed == nil && to != from { // else the record is the one that was adopted
			failed = do(from, func(m *machine, _ time.Time, out *shard.Batch) { m.agent.Forgo(moves, out) })
		}
		err = errors.Join(err, failed)
	}
	return err
}
