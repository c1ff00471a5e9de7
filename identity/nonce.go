package identity

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// macSize is the length of the truncated HMAC: 128 bits cannot be guessed.
	macSize = 16
	// nonceBytes: time and number in one AES block, then the HMAC.
	nonceBytes = aes.BlockSize + macSize
)

// nonceText makes text of a nonce. Strict: each nonce has one form only.
var nonceText = base64.RawURLEncoding.Strict()

// nonces makes and recognises nonces without keeping any. A nonce is
//
//	AES(time | number) | HMAC-SHA-256(that | source address)[:16]
//
// under keys made at start: those keys are the boot id, so that a nonce of
// another process does not verify. The number makes each nonce differ and
// orders them whatever the clock does; it is enciphered because it would tell
// everybody how busy the server is.
type nonces struct {
	block cipher.Block
	macs  sync.Pool // hash.Hash, keyed
	last  atomic.Uint64
}

// nonceID is what a nonce says.
type nonceID struct {
	issued int64 // Unix time in milliseconds
	number uint64
}

func newNonces() (*nonces, error) {
	key := make([]byte, 16+sha256.Size)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	block, err := aes.NewCipher(key[:16])
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	n := &nonces{block: block}
	n.macs.New = func() any { return hmac.New(sha256.New, key[16:]) }
	return n, nil
}

// append appends a new nonce for src.
func (n *nonces) append(dst []byte, src netip.Addr, now time.Time) []byte {
	var raw [nonceBytes]byte
	binary.BigEndian.PutUint64(raw[0:], uint64(now.UnixMilli()))
	binary.BigEndian.PutUint64(raw[8:], n.last.Add(1))
	sealed := raw[:aes.BlockSize]
	n.block.Encrypt(sealed, sealed)
	mac := n.mac(sealed, src)
	copy(raw[aes.BlockSize:], mac[:macSize])
	return nonceText.AppendEncode(dst, raw[:])
}

// open reports whether this process has made nonce for src, and what it says.
func (n *nonces) open(nonce string, src netip.Addr) (nonceID, bool) {
	var raw [nonceBytes]byte
	if len(nonce) != nonceText.EncodedLen(nonceBytes) {
		return nonceID{}, false
	}
	if k, err := nonceText.Decode(raw[:], []byte(nonce)); err != nil || k != nonceBytes {
		return nonceID{}, false
	}
	sealed := raw[:aes.BlockSize]
	mac := n.mac(sealed, src)
	if !hmac.Equal(mac[:macSize], raw[aes.BlockSize:]) {
		return nonceID{}, false
	}
	n.block.Decrypt(sealed, sealed)
	return nonceID{
		issued: int64(binary.BigEndian.Uint64(raw[0:])),
		number: binary.BigEndian.Uint64(raw[8:]),
	}, true
}

func (n *nonces) mac(sealed []byte, src netip.Addr) (sum [sha256.Size]byte) {
	h, _ := n.macs.Get().(hash.Hash)
	h.Reset()
	h.Write(sealed)
	addr := src.As16()
	h.Write(addr[:])
	h.Sum(sum[:0])
	n.macs.Put(h)
	return sum
}
