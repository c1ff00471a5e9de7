package gate

import (
	"sync"

	"github.com/tacit-presence/tacit/shard"
)

// flowShards remembers, for each connection, the shards that may hold
// subscriptions reached by it, so that its end is told to those alone.
type flowShards struct {
	mu sync.Mutex
	by map[uint64]*[shard.Count / 64]uint64
}

// add reports whether it is the connection's first.
func (f *flowShards) add(conn uint64, id shard.ID) (first bool) {
	if conn == 0 {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.by == nil {
		f.by = map[uint64]*[shard.Count / 64]uint64{}
	}
	set := f.by[conn]
	if set == nil {
		set = new([shard.Count / 64]uint64)
		f.by[conn] = set
		first = true
	}
	set[id/64] |= 1 << (id % 64)
	return first
}

func (f *flowShards) take(conn uint64) []shard.ID {
	f.mu.Lock()
	defer f.mu.Unlock()
	set := f.by[conn]
	if set == nil {
		return nil
	}
	delete(f.by, conn)
	var ids []shard.ID
	for i := range shard.Count {
		if set[i/64]&(1<<(i%64)) != 0 {
			ids = append(ids, shard.ID(i))
		}
	}
	return ids
}
