package edge

import (
	"bytes"
	"strconv"
	"sync"
	"time"

	"github.com/tacit-presence/tacit/sip"
)

// firstBuffer is the read buffer a connection starts with; most messages fit.
const firstBuffer = 4 << 10

// buffers recycles read buffers of firstBuffer bytes: a connection has one only
// while it has something to read.
var buffers = sync.Pool{New: func() any { return new([firstBuffer]byte) }}

var errStrayCR = &sip.StatusError{Status: 400, Reason: "Bare CR before the start line"}

// framer cuts a byte stream into messages. It holds a buffer only while part of
// a message is there or more is expected at once.
type framer struct {
	lim  sip.Limits
	buf  []byte
	r, w int // what is unread
	one  [1]byte

	need  int // no message ends before this many unread bytes
	scan  int // unread bytes in which the header section's end is not
	asked int // unread bytes when Frame was last asked

	begun time.Time // when the message not yet whole began; set by the reader

	cr   bool // the CR of a keep-alive is read, its LF is not
	half bool // one CRLF is read that may be the first half of a ping
}

// empty reports whether no part of a message is waiting.
func (f *framer) empty() bool { return f.r == f.w }

// idle reports whether the framer holds no buffer.
func (f *framer) idle() bool { return f.buf == nil }

// release gives the buffer back; what is unread is lost.
func (f *framer) release() {
	if len(f.buf) == firstBuffer {
		buffers.Put((*[firstBuffer]byte)(f.buf))
	}
	f.buf, f.r, f.w = nil, 0, 0
}

// space is where to read into. An idle framer offers one byte: so a thousand
// silent connections cost no buffers, and over TLS the rest of the record is
// then there without another system call.
func (f *framer) space() []byte {
	switch {
	case f.buf == nil:
		return f.one[:]
	case f.w < len(f.buf):
	case f.r > 0:
		f.w = copy(f.buf, f.buf[f.r:f.w])
		f.r = 0
	default:
		// By what came, not by what Content-Length promises. Frame has refused
		// whatever needs more than MaxMessage.
		old := f.buf
		f.buf = make([]byte, min(2*len(old), len(old)+f.lim.MaxMessage))
		copy(f.buf, old)
		if len(old) == firstBuffer {
			buffers.Put((*[firstBuffer]byte)(old))
		}
	}
	return f.buf[f.w:]
}

// filled says that n bytes were read into space.
func (f *framer) filled(n int) {
	if f.buf == nil && n > 0 {
		f.buf = buffers.Get().(*[firstBuffer]byte)[:]
		f.buf[0] = f.one[0]
	}
	f.w += n
}

// keepAlives eats the CRLFs before a message and counts the pings, CRLFCRLF
// (RFC 5626, 4.4.1), in whatever pieces they come.
func (f *framer) keepAlives() (pings int, err error) {
	for ; f.r < f.w; f.r++ {
		switch b := f.buf[f.r]; {
		case f.cr && b == '\n':
			f.cr = false
			if f.half {
				pings++
			}
			f.half = !f.half
		case f.cr:
			return pings, errStrayCR
		case b == '\r':
			f.cr = true
		default:
			f.half = false
			return pings, nil
		}
	}
	f.r, f.w = 0, 0
	return pings, nil
}

// next cuts a message if a whole one is there; ok is false if more is needed.
// After an error the stream is of no more use; raw is then the header section
// if there is one.
func (f *framer) next() (raw string, pings int, ok bool, err error) {
	if f.scan == 0 { // not within a message
		if pings, err = f.keepAlives(); err != nil {
			return "", pings, false, err
		}
	}
	unread := f.buf[f.r:f.w]
	if len(unread) == 0 || len(unread) < f.need || !f.headerMayEnd(unread) {
		return "", pings, false, nil
	}
	_, n, _, err := sip.Frame(unread, f.lim)
	switch {
	case err != nil:
		return string(unread[:n]), pings, false, err
	case n == 0:
		f.learnNeed(unread)
		return "", pings, false, nil
	}
	raw = string(unread[:n])
	f.r += n
	f.need, f.scan, f.asked, f.begun = 0, 0, 0, time.Time{}
	if f.empty() {
		f.r, f.w = 0, 0
	}
	return raw, pings, true, nil
}

var headerEnd = []byte("\r\n\r\n")

// headerMayEnd looks at each byte once, so that a peer that sends one byte at a
// time cannot have the whole header section searched for each. Beside that
// Frame is asked whenever the bytes have doubled, to refuse garbage early.
func (f *framer) headerMayEnd(unread []byte) bool {
	if f.need > 0 {
		return true
	}
	from := max(0, f.scan-len(headerEnd)+1)
	f.scan = len(unread)
	if bytes.Contains(unread[from:], headerEnd) || len(unread) >= f.lim.MaxHeader || len(unread) >= 2*f.asked {
		f.asked = len(unread)
		return true
	}
	return false
}

// learnNeed notes the whole message's size once its header section is there, so
// that Frame is not asked again for each piece of the body.
func (f *framer) learnNeed(unread []byte) {
	end := bytes.Index(unread, headerEnd)
	if end < 0 {
		return
	}
	end += len(headerEnd)
	f.need = len(unread) + 1
	m := sip.NewMessage()
	defer m.Release()
	// The body is missing, so Parse fails; only the one length that Frame has
	// already checked is of interest.
	_ = m.Parse(string(unread[:end]), f.lim)
	length, _ := m.Get(sip.HeaderContentLength)
	n, err := strconv.Atoi(length)
	if err == nil && n > 0 && n <= f.lim.MaxMessage {
		f.need = end + n
	}
}
