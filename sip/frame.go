package sip

import "bytes"

var (
	errNoLength    = &StatusError{400, "Missing Content-Length header field"}
	errLength      = &StatusError{400, "Malformed Content-Length header field"}
	errLengthTwice = &StatusError{400, "Repeated Content-Length header field"}
)

var (
	crlf     = []byte("\r\n")
	crlfcrlf = []byte("\r\n\r\n")
)

// Frame finds the first whole message in buf, the unread bytes of a stream.
//
// skip is the number of leading CRLF bytes, to be dropped whatever else is
// returned; the message is buf[skip : skip+n], and n is 0 if more bytes are
// needed. pings counts the CRLFCRLF pairs in skip, each to be answered with a
// CRLF (RFC 5626, 4.4.1); skip 2 without a ping is a pong. A ping whose halves
// come in two reads looks like two pongs unless the caller shows both at once.
//
// An error is a *StatusError after which the stream cannot be framed, so the
// connection is to be closed; n is then the size of the header section if that
// is known, for an answer by Parse of those bytes.
// RFC 3261, 20.14: on a stream Content-Length is mandatory.
func Frame(buf []byte, lim Limits) (skip, n, pings int, err error) {
	for bytes.HasPrefix(buf[skip:], crlf) {
		skip += len(crlf)
	}
	pings = skip / len(crlfcrlf)
	buf = buf[skip:]
	section := buf[:min(len(buf), lim.MaxHeader)]
	end := bytes.Index(section, crlfcrlf)
	if end < 0 {
		switch {
		case hasBareLF(section):
			return skip, 0, pings, errBareLF
		case len(buf) >= lim.MaxHeader:
			return skip, 0, pings, errHeaderSize
		}
		return skip, 0, pings, nil
	}
	n = end + len(crlfcrlf)
	length, fault := frameLength(buf[:end+len(crlf)])
	if hasBareLF(buf[:end]) {
		fault = errBareLF
	}
	if fault == nil && length > lim.MaxMessage-n {
		fault = errTooLarge
	}
	if fault != nil {
		return skip, n, pings, fault
	}
	if len(buf) < n+length {
		return skip, 0, pings, nil
	}
	return skip, n + length, pings, nil
}

// hasBareLF finds line ends that would be read differently elsewhere, or would
// never become a whole header section: their sender hears of it at once and not
// after a time-out.
func hasBareLF(section []byte) bool {
	for i := 0; ; i++ {
		n := bytes.IndexByte(section[i:], '\n')
		if n < 0 {
			return false
		}
		if i += n; i == 0 || section[i-1] != '\r' {
			return true
		}
	}
}

// frameLength finds the one Content-Length in a header section whose lines all
// end in CRLF.
func frameLength(section []byte) (length int, fault *StatusError) {
	found := false
	for first := true; len(section) > 0; first = false {
		var line []byte
		line, section = cutField(section)
		if first {
			continue // the start line
		}
		value, ok := lengthField(line)
		if !ok {
			continue
		}
		if found {
			return 0, errLengthTwice
		}
		found = true
		// The string is on the stack: parseLength does not keep it.
		n, err := parseLength(string(bytes.TrimSpace(value)))
		if err != nil {
			return 0, errLength
		}
		length = n
	}
	if !found {
		return 0, errNoLength
	}
	return length, nil
}

// cutField cuts one header field, continuation lines included.
func cutField(section []byte) (field, rest []byte) {
	for i := 0; ; {
		n := bytes.Index(section[i:], crlf)
		if n < 0 {
			return section, nil
		}
		i += n + len(crlf)
		if i == len(section) || section[i] != ' ' && section[i] != '\t' {
			return section[:i], section[i:]
		}
	}
}

// lengthField gives the value if field is Content-Length, long or compact.
func lengthField(field []byte) ([]byte, bool) {
	const long = "Content-Length"
	if len(field) == 0 || field[0]|0x20 != 'c' && field[0]|0x20 != 'l' {
		return nil, false
	}
	colon := bytes.IndexByte(field, ':')
	if colon < 0 {
		return nil, false
	}
	name := bytes.TrimRight(field[:colon], " \t")
	return field[colon+1:], len(name) == 1 && name[0]|0x20 == 'l' || bytes.EqualFold(name, []byte(long))
}
