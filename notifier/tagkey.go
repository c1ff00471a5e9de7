package notifier

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"github.com/tacit-presence/tacit/shard"
)

// TagKey finds the shard in a Tag. It does not stand there for all to see: every
// presentity has its shard, whatever it is called by, and which one a name would
// have can be worked out. So a watcher could tell that a name is another one's
// alias, and therefore somebody's.
type TagKey struct{ k0, k1 uint64 }

// NewTagKey derives it from the secret that also keys the rest of the tags.
func NewTagKey(secret []byte) TagKey {
	sum := sha256.Sum256(append([]byte("shard of a tag\x00"), secret...))
	return TagKey{binary.LittleEndian.Uint64(sum[:]), binary.LittleEndian.Uint64(sum[8:])}
}

// Tag makes the tag of a dialog in a shard.
func (k TagKey) Tag(id shard.ID, secret [len(Tag{}) - 1]byte) (t Tag) {
	copy(t[1:], secret[:])
	t[0] = byte(id) ^ k.mask(&t)
	return t
}

// Shard is where the dialog lives.
func (k TagKey) Shard(t Tag) shard.ID { return shard.ID(t[0] ^ k.mask(&t)) }

func (k TagKey) mask(t *Tag) byte { return byte(k.hash(t[1:])) }

// hash is SipHash-2-4 (Aumasson and Bernstein, 2012), which allocates nothing: an
// answer to each NOTIFY asks for it.
func (k TagKey) hash(b []byte) uint64 {
	v0, v1 := k.k0^0x736f6d6570736575, k.k1^0x646f72616e646f6d
	v2, v3 := k.k0^0x6c7967656e657261, k.k1^0x7465646279746573
	round := func() {
		v0, v2 = v0+v1, v2+v3
		v1, v3 = bits.RotateLeft64(v1, 13)^v0, bits.RotateLeft64(v3, 16)^v2
		v0 = bits.RotateLeft64(v0, 32)
		v2, v0 = v2+v1, v0+v3
		v1, v3 = bits.RotateLeft64(v1, 17)^v2, bits.RotateLeft64(v3, 21)^v0
		v2 = bits.RotateLeft64(v2, 32)
	}
	last := uint64(len(b)) << 56
	for ; len(b) >= 8; b = b[8:] {
		m := binary.LittleEndian.Uint64(b)
		v3 ^= m
		round()
		round()
		v0 ^= m
	}
	for i, c := range b {
		last |= uint64(c) << (8 * i)
	}
	v3 ^= last
	round()
	round()
	v0 ^= last
	v2 ^= 0xff
	for range 4 {
		round()
	}
	return v0 ^ v1 ^ v2 ^ v3
}
