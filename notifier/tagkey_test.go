package notifier

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/tacit-presence/tacit/shard"
)

// The example of the paper on SipHash, appendix A.
func TestSipHash(t *testing.T) {
	t.Parallel()
	var b [16]byte
	for i := range b {
		b[i] = byte(i)
	}
	k := TagKey{binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:])}
	if got := k.hash(b[:15]); got != 0xa129ca6149be45e5 {
		t.Errorf("%x", got)
	}
}

// Tags of one shard do not look like it, and tell it to whoever has the key.
func TestShardOfTag(t *testing.T) {
	t.Parallel()
	k := NewTagKey([]byte("secret"))
	seen := map[byte]int{}
	for i := range 256 * 100 {
		var secret [11]byte
		binary.BigEndian.PutUint64(secret[i%4:], rand.Uint64())
		id := shard.ID(i % 2)
		tag := k.Tag(id, secret)
		if got := k.Shard(tag); got != id {
			t.Fatalf("%s is said to be of shard %d", tag, got)
		}
		seen[tag[0]]++
	}
	for c := range 256 {
		if n := seen[byte(c)]; n < 40 || n > 180 { // 100, give or take six deviations and more
			t.Errorf("%d tags begin with %02x", n, c)
		}
	}
}
