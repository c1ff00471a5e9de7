package load

import "bytes"

// maxVias bounds the Via lines of a NOTIFY; between neighbours there is one.
const maxVias = 8

// scanned is what is needed of a message: slices of the datagram, valid until
// the next read. Lines are whole, with name and CRLF.
type scanned struct {
	status       int  // of a response
	notify       bool // it is a NOTIFY
	request      bool // it is some request
	vias         [maxVias][]byte
	viaCount     int
	from, to     []byte // lines
	callID, cseq []byte // lines
	callIDValue  []byte
	number       uint32 // of CSeq
	etag         []byte
	state        []byte // Subscription-State's value
	challenges   [4][]byte
	challenged   int
	proxy        bool // the challenges are a proxy's
	body         []byte
}

type headerID uint8

const (
	hOther headerID = iota
	hVia
	hFrom
	hTo
	hCallID
	hCSeq
	hETag
	hState
	hWWWAuthenticate
	hProxyAuthenticate
)

// names are the header fields looked at, long form and compact.
var names = [...]struct {
	name    string
	compact byte
	id      headerID
}{
	{"Via", 'v', hVia}, {"From", 'f', hFrom}, {"To", 't', hTo}, {"Call-ID", 'i', hCallID},
	{"CSeq", 0, hCSeq}, {"SIP-ETag", 0, hETag}, {"Subscription-State", 0, hState},
	{"WWW-Authenticate", 0, hWWWAuthenticate}, {"Proxy-Authenticate", 0, hProxyAuthenticate},
}

// identify finds the header field's id; the usual spelling is tried first.
func identify(name []byte) headerID {
	if len(name) == 1 {
		for i := range names {
			if c := names[i].compact; c != 0 && name[0]|0x20 == c {
				return names[i].id
			}
		}
		return hOther
	}
	for i := range names {
		if len(names[i].name) == len(name) && (string(name) == names[i].name || bytes.EqualFold(name, []byte(names[i].name))) {
			return names[i].id
		}
	}
	return hOther
}

// scan reads one message; false: it is not one that can be used.
func (s *scanned) scan(b []byte) bool {
	s.status, s.notify, s.request, s.viaCount, s.challenged = 0, false, false, 0, 0
	s.from, s.to, s.callID, s.cseq, s.callIDValue = nil, nil, nil, nil, nil
	s.etag, s.state, s.body, s.number = nil, nil, nil, 0
	end := bytes.Index(b, []byte("\r\n"))
	if end < 0 {
		return false
	}
	s.startLine(b[:end])
	for pos := end + 2; ; {
		n := bytes.IndexByte(b[pos:], '\n')
		if n < 0 {
			return false
		}
		next := pos + n + 1
		if n <= 1 { // the empty line
			s.body = b[next:]
			break
		}
		for next < len(b) && (b[next] == ' ' || b[next] == '\t') { // folded
			if n = bytes.IndexByte(b[next:], '\n'); n < 0 {
				return false
			}
			next += n + 1
		}
		s.header(b[pos:next])
		pos = next
	}
	return s.callID != nil && s.cseq != nil && s.from != nil && s.to != nil && s.viaCount > 0
}

func (s *scanned) startLine(line []byte) {
	const version = "SIP/2.0 "
	if len(line) < len(version)+3 || string(line[:len(version)]) != version {
		s.request = true
		s.notify = bytes.HasPrefix(line, []byte("NOTIFY "))
		return
	}
	for _, c := range line[len(version) : len(version)+3] {
		s.status = s.status*10 + int(c-'0')
	}
}

func (s *scanned) header(line []byte) {
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		return
	}
	value := bytes.TrimSpace(line[colon+1:])
	switch id := identify(bytes.TrimRight(line[:colon], " \t")); id {
	case hVia:
		if s.viaCount < maxVias {
			s.vias[s.viaCount] = line
			s.viaCount++
		}
	case hFrom:
		s.from = line
	case hTo:
		s.to = line
	case hCallID:
		s.callID, s.callIDValue = line, value
	case hCSeq:
		s.cseq = line
		s.number, _ = digits(value)
	case hETag:
		s.etag = value
	case hState:
		s.state = value
	case hWWWAuthenticate, hProxyAuthenticate:
		if s.challenged < len(s.challenges) {
			s.challenges[s.challenged] = value
			s.challenged++
			s.proxy = id == hProxyAuthenticate
		}
	}
}

// appendOK appends the 200 to the NOTIFY scanned. rport is "=PORT;received=IP",
// for a top Via that asks for it (RFC 3581, 4).
func (s *scanned) appendOK(dst []byte, rport string) []byte {
	dst = append(dst, "SIP/2.0 200 OK\r\n"...)
	for i, via := range s.vias[:s.viaCount] {
		if i == 0 {
			dst = appendVia(dst, via, rport)
			continue
		}
		dst = append(dst, via...)
	}
	dst = append(append(append(append(dst, s.from...), s.to...), s.callID...), s.cseq...)
	return append(dst, "Content-Length: 0\r\n\r\n"...)
}

var rportParam = []byte(";rport")

func appendVia(dst, via []byte, rport string) []byte {
	i := bytes.Index(via, rportParam)
	if i < 0 {
		return append(dst, via...)
	}
	i += len(rportParam)
	if c := via[i]; c != ';' && c != ',' && c != '\r' { // has a value, or is a longer name
		return append(dst, via...)
	}
	dst = append(append(dst, via[:i]...), rport...)
	return append(dst, via[i:]...)
}

// digits reads the decimal number at the start of b.
func digits(b []byte) (n uint32, rest []byte) {
	var wide uint64
	wide, rest = digits64(b)
	return uint32(wide), rest
}

func digits64(b []byte) (n uint64, rest []byte) {
	for len(b) > 0 && b[0] >= '0' && b[0] <= '9' {
		n = n*10 + uint64(b[0]-'0')
		b = b[1:]
	}
	return n, b
}

// index reads the number that stands after prefix in a Call-ID of ours.
func index(callID []byte, prefix string) (int, bool) {
	if !bytes.HasPrefix(callID, []byte(prefix)) {
		return 0, false
	}
	n, rest := digits64(callID[len(prefix):])
	return int(n), len(rest) == 0
}
