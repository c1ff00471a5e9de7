package load

import (
	"math/bits"
	"time"
)

// Buckets of a histogram: exact below subBuckets microseconds, then subBuckets/2
// for each power of two, so that a value is off by less than 1/64.
const (
	subBits    = 7
	subBuckets = 1 << subBits
	bucketRows = 32 // up to 2^38 µs, three days
)

// histogram counts durations in fixed memory.
type histogram struct {
	buckets [subBuckets + bucketRows*subBuckets/2]uint64
	count   uint64
	max     time.Duration
}

func (h *histogram) add(d time.Duration) {
	h.count++
	h.max = max(h.max, d)
	h.buckets[bucket(uint64(max(0, d.Microseconds())))]++
}

// bucket gives the index for a number of microseconds.
func bucket(v uint64) int {
	if v < subBuckets {
		return int(v)
	}
	shift := bits.Len64(v) - subBits
	if shift > bucketRows {
		return subBuckets + bucketRows*subBuckets/2 - 1
	}
	return subBuckets + (shift-1)*subBuckets/2 + int(v>>shift) - subBuckets/2
}

// upper gives the largest number of microseconds in a bucket.
func upper(i int) uint64 {
	if i < subBuckets {
		return uint64(i)
	}
	i -= subBuckets
	shift := i/(subBuckets/2) + 1
	return (uint64(i%(subBuckets/2))+subBuckets/2+1)<<shift - 1
}

func (h *histogram) merge(o *histogram) {
	for i, n := range o.buckets {
		h.buckets[i] += n
	}
	h.count += o.count
	h.max = max(h.max, o.max)
}

// quantile gives the duration below which the part q of all is.
func (h *histogram) quantile(q float64) time.Duration {
	if h.count == 0 {
		return 0
	}
	rank := uint64(q * float64(h.count))
	if rank >= h.count {
		return h.max
	}
	var seen uint64
	for i, n := range h.buckets {
		if seen += n; seen > rank {
			if i == len(h.buckets)-1 { // holds all that is longer
				return h.max
			}
			return min(h.max, time.Duration(upper(i))*time.Microsecond)
		}
	}
	return h.max
}
