package store

import (
	"encoding/binary"
	"errors"
)

// The operations as they stand in a batch's arena. The layout
//
//	operation (1 byte) | key length (uvarint) | key | value length (uvarint) | value
//
// (without the last two for a deletion) and these numbers are those of
// Pebble's own batches, so that merging batches for one fsync is copying bytes.
const (
	opDelete = 0
	opPut    = 1
)

// maxRetained is how much memory a Batch keeps over Reset. A publication with
// its disclosure records takes a few KB; a rare large batch must not be paid
// for by every shard forever.
const maxRetained = 256 << 10

var errArena = errors.New("store: batch is damaged")

// Batch is a list of puts and deletions that are applied together, in order:
// of several for one key the last one counts. The zero value is an empty batch.
// It is not safe for concurrent use.
type Batch struct {
	arena []byte
	count int
}

// Put sets key to value. Both are copied.
func (b *Batch) Put(key, value []byte) {
	b.arena = append(b.arena, opPut)
	b.append(key)
	b.append(value)
	b.count++
}

// Delete removes key, which need not exist. It is copied.
func (b *Batch) Delete(key []byte) {
	b.arena = append(b.arena, opDelete)
	b.append(key)
	b.count++
}

// Len returns the number of puts and deletions.
func (b *Batch) Len() int { return b.count }

// Size returns the number of bytes that the batch takes.
func (b *Batch) Size() int { return len(b.arena) }

// Reset empties the batch and keeps its memory for the next use.
func (b *Batch) Reset() {
	if cap(b.arena) > maxRetained {
		b.arena = nil
	}
	b.arena = b.arena[:0]
	b.count = 0
}

// Each calls fn for each operation in order; a deletion has a nil value, a put
// never has. The slices point into the batch.
func (b *Batch) Each(fn func(key, value []byte) error) error {
	for rest := b.arena; len(rest) > 0; {
		op := rest[0]
		key, tail, ok := cutBytes(rest[1:])
		if !ok {
			return errArena
		}
		var value []byte
		if op == opPut {
			if value, tail, ok = cutBytes(tail); !ok {
				return errArena
			}
		}
		rest = tail
		if err := fn(key, value); err != nil {
			return err
		}
	}
	return nil
}

func (b *Batch) append(p []byte) {
	b.arena = binary.AppendUvarint(b.arena, uint64(len(p)))
	b.arena = append(b.arena, p...)
}

func cutBytes(p []byte) (head, tail []byte, ok bool) {
	n, used := binary.Uvarint(p)
	if used <= 0 || n > uint64(len(p)-used) {
		return nil, nil, false
	}
	p = p[used:]
	return p[:n:n], p[n:], true
}
