package store

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// ErrVersion is returned by Decode for a record of a schema this program does
// not know.
var ErrVersion = errors.New("store: record of an unknown schema version")

// schemaVersion is the first byte of each record that Encode makes.
const schemaVersion = 1

// Bounds of what Decode accepts. A record is our own, but the disk is not
// trusted to give back what was written, and an external store less so.
const (
	// maxRecord bounds one record. The largest is a document of an XCAP user
	// or a publication's body, both limited far below this at the edge.
	maxRecord = 4 << 20
	// maxElements bounds one array or map; a disclosure record lists the
	// watchers of one view, at most some ten thousand.
	maxElements = 1 << 17
	// maxDepth bounds nesting. Our records are two or three levels deep.
	maxDepth = 16
)

// codec holds CBOR's modes, which are immutable once made.
type codec struct {
	enc  cbor.UserBufferEncMode
	dec  cbor.DecMode
	bufs sync.Pool // *bytes.Buffer
}

var records = sync.OnceValues(newCodec)

func newCodec() (*codec, error) {
	eo := cbor.CoreDetEncOptions()
	// The default would drop what is below a second.
	eo.Time = cbor.TimeRFC3339NanoUTC
	enc, err := eo.UserBufferEncMode()
	if err != nil {
		return nil, err
	}
	dec, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxArrayElements:  maxElements,
		MaxMapPairs:       maxElements,
		MaxNestedLevels:   maxDepth,
		UTF8:              cbor.UTF8RejectInvalid,
	}.DecMode()
	if err != nil {
		return nil, err
	}
	c := &codec{enc: enc, dec: dec}
	c.bufs.New = func() any { return new(bytes.Buffer) }
	return c, nil
}

// Encode makes a record of v. Pass a pointer: it costs less than a copy.
func Encode(v any) ([]byte, error) { return AppendEncode(nil, v) }

// MustEncode is AppendEncode for records of plain fields that are bounded before
// they get here: one that cannot be encoded is a fault of the program, and panics.
func MustEncode(dst []byte, v any) []byte {
	value, err := AppendEncode(dst, v)
	if err != nil {
		panic(fmt.Sprintf("%T cannot be encoded: %v", v, err))
	}
	return value
}

// AppendEncode appends to dst the record that Encode makes.
func AppendEncode(dst []byte, v any) ([]byte, error) {
	c, err := records()
	if err != nil {
		return dst, fmt.Errorf("store: %w", err)
	}
	buf, _ := c.bufs.Get().(*bytes.Buffer)
	buf.Reset()
	buf.WriteByte(schemaVersion)
	err = c.enc.MarshalToBuffer(v, buf)
	if err == nil && buf.Len() > maxRecord {
		err = fmt.Errorf("record of %d bytes, at most %d are allowed", buf.Len(), maxRecord)
	}
	if err == nil {
		dst = append(dst, buf.Bytes()...)
	}
	if buf.Cap() <= maxRetained {
		c.bufs.Put(buf)
	}
	if err != nil {
		return dst, fmt.Errorf("store: encoding %T: %w", v, err)
	}
	return dst, nil
}

// Decode reads into v, a pointer, a record that Encode made. It refuses unknown
// fields, fields given twice, trailing bytes, and what is too large or too
// deep; ErrVersion for another schema. v does not keep data.
func Decode(data []byte, v any) error {
	c, err := records()
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if len(data) > maxRecord {
		return fmt.Errorf("store: record of %d bytes, at most %d are allowed", len(data), maxRecord)
	}
	if len(data) == 0 || data[0] != schemaVersion {
		return ErrVersion
	}
	if err := c.dec.Unmarshal(data[1:], v); err != nil {
		return fmt.Errorf("store: decoding %T: %w", v, err)
	}
	return nil
}
