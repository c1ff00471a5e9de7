package pidf

import "math/bits"

// Odd constants with bits in disorder: the fractions of pi and e.
const (
	mixA = 0x243F6A8885A308D3
	mixB = 0xB7E151628AED2A6B
)

// Sum hashes a text, the same in every process, eight bytes at a time: each is multiplied into the state
// and both halves of the product are kept. It resists nobody who looks for a
// collision.
func Sum(s string) uint64 {
	h := uint64(len(s)) ^ mixA
	for len(s) >= 8 {
		h = mix(h ^ word(s))
		s = s[8:]
	}
	var last uint64
	for i := range len(s) {
		last |= uint64(s[i]) << (8 * i)
	}
	return mix(mix(h^last) ^ mixA)
}

func mix(x uint64) uint64 {
	hi, lo := bits.Mul64(x^mixB, mixA)
	return hi ^ lo
}

func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}
