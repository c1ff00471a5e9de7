package store

import (
	"errors"
	"strings"
)

// ErrKey is returned by KeyParts for what Key did not make.
var ErrKey = errors.New("store: malformed key")

// A part ends in escape, partEnd; a zero byte within it is escape, escapedZero.
// partEnd is the smaller, so that "a" sorts before "a\x00".
const (
	escape      = 0x00
	partEnd     = 0x01
	escapedZero = 0xff
)

// keyHead is the length of a key without parts: kind and shard.
const keyHead = 2

// Key makes a key; the package's documentation tells the layout. Without parts
// it is the prefix of all keys of that kind and shard.
func Key(kind, shard byte, parts ...string) []byte {
	n := keyHead
	for _, p := range parts {
		n += len(p) + 2
	}
	return AppendKey(make([]byte, 0, n), kind, shard, parts...)
}

// AppendKey appends to dst the key that Key makes.
func AppendKey(dst []byte, kind, shard byte, parts ...string) []byte {
	dst = append(dst, kind, shard)
	for _, p := range parts {
		dst = appendPart(dst, p)
	}
	return dst
}

func appendPart(dst []byte, p string) []byte {
	for {
		i := strings.IndexByte(p, escape)
		if i < 0 {
			break
		}
		dst = append(dst, p[:i]...)
		dst = append(dst, escape, escapedZero)
		p = p[i+1:]
	}
	dst = append(dst, p...)
	return append(dst, escape, partEnd)
}

// KeyParts takes apart what Key made. It accepts nothing else: a key that it
// accepts is made again by Key from the result. The error is ErrKey.
func KeyParts(key []byte) (kind, shard byte, parts []string, err error) {
	if len(key) < keyHead {
		return 0, 0, nil, ErrKey
	}
	kind, shard = key[0], key[1]
	var part []byte
	for i := keyHead; i < len(key); i++ {
		if key[i] != escape {
			part = append(part, key[i])
			continue
		}
		i++
		switch {
		case i < len(key) && key[i] == escapedZero:
			part = append(part, 0)
		case i < len(key) && key[i] == partEnd:
			parts = append(parts, string(part))
			part = part[:0]
		default:
			return 0, 0, nil, ErrKey
		}
	}
	if len(part) > 0 {
		return 0, 0, nil, ErrKey
	}
	return kind, shard, parts, nil
}
