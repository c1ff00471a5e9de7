package sip

import (
	"math"
	"strings"
	"unicode/utf8"
)

// Faults of a message that need no detail.
var (
	errBareLF        = &StatusError{400, "Bare LF in a header line"}
	errBareCR        = &StatusError{400, "Bare CR in a header line"}
	errControl       = &StatusError{400, "Control character in a header line"}
	errUTF8          = &StatusError{400, "Invalid UTF-8 in a header line"}
	errStartLine     = &StatusError{400, "Malformed start line"}
	errMethod        = &StatusError{400, "Malformed method"}
	errRequestURI    = &StatusError{400, "Malformed Request-URI"}
	errRequestURIHdr = &StatusError{400, "Headers in the Request-URI"}
	errVersion       = &StatusError{505, "Version Not Supported"}
	errStatusCode    = &StatusError{400, "Malformed status code"}
	errHeaderName    = &StatusError{400, "Malformed header field name"}
	errHeaderEnd     = &StatusError{400, "Header section does not end"}
	errHeaderCount   = &StatusError{513, "Too many header fields"}
	errHeaderSize    = &StatusError{513, "Header section too large"}
	errTooLarge      = &StatusError{413, "Message too large"}
	errBodyShort     = &StatusError{400, "Content-Length larger than the message"}
	errCSeqMethod    = &StatusError{400, "CSeq method does not match"}
	errCSeqRange     = &StatusError{400, "CSeq number too large"}
	errMaxForwards   = &StatusError{400, "Max-Forwards larger than 255"}
)

// statusUnread is Status after a failed Parse of something that begins like a
// response but has no readable status code: so that IsRequest says no.
const statusUnread = -1

// Parse reads one whole message (a datagram, or what Frame cut from a stream)
// by RFC 3261, 25. Bytes after Content-Length are ignored (RFC 3261, 18.3);
// CRLFs before the start line are skipped (7.5). Faults are *StatusError with
// the status to answer; after one the rest is still read, so that m holds what
// is needed for the answer if Answerable is true. A faulty response is to be
// dropped.
//
// Header fields that no rule of ours depends on are checked only as text.
// Tolerances, each for the clients or the RFC named:
//   - no Content-Length: the body runs to the end (RFC 3261, 18.3; Linphone
//     over UDP leaves it out of messages without body). Frame does not bear it.
//   - no Max-Forwards, branch or From tag (RFC 4475, 3.4.1: RFC 2543's syntax).
//   - no white space before '<' (RFC 4475, 3.1.1.6).
//   - brackets around an IPv6 "received", and three colons before dotted
//     decimal in an IPv6 reference (RFC 5118, 4.5 and 4.10).
//   - Date and Warning are not checked (RFC 4475, 3.1.2.12: not for a reader
//     that does not use them).
func (m *Message) Parse(raw string, lim Limits) error {
	m.reset()
	if len(raw) > lim.MaxMessage {
		return errTooLarge
	}
	p := parser{m: m, raw: raw, lim: lim, length: -1}
	for strings.HasPrefix(p.raw[p.pos:], "\r\n") {
		p.pos += 2
	}
	p.start = p.pos
	if line, ok := p.line(); !ok {
		p.fail(errHeaderEnd)
	} else if p.startLine(line); p.headers() {
		p.finish()
	}
	if p.err != nil {
		return p.err
	}
	return nil
}

func (m *Message) reset() {
	m.Method, m.RequestURI, m.Status, m.Reason = "", "", 0, ""
	m.Headers, m.Body = m.inline[:0], ""
	m.TopVia, m.CSeq, m.CallID = Via{}, CSeq{}, ""
	m.From, m.To = NameAddr{}, NameAddr{}
}

// Answerable reports whether a failed Parse left a request and its top Via in m,
// so that AppendResponse can refuse it, with those of From, To, Call-ID and CSeq
// that are there (RFC 4475, 3.3.1: a request without them ideally gets 400). A
// From or To that could not be read then has an empty URI and its text in
// RawURI; a CSeq number out of range is cut. Responses and ACK are never
// answered.
func (m *Message) Answerable() bool {
	return m.IsRequest() && m.Method != MethodAck && m.CSeq.Method != MethodAck && m.TopVia.Host != ""
}

// parser is the state of one Parse.
type parser struct {
	m      *Message
	raw    string
	lim    Limits
	start  int // of the start line
	pos    int // of the next line
	seen   uint64
	length int // Content-Length, or -1
	err    *StatusError
}

// fail keeps the first fault.
func (p *parser) fail(err *StatusError) {
	if p.err == nil {
		p.err = err
	}
}

func (p *parser) failHeader(id HeaderID, err error) {
	if p.err != nil {
		return
	}
	if status, ok := err.(*StatusError); ok {
		p.err = status
		return
	}
	p.err = &StatusError{400, "Malformed " + id.String() + " header field: " +
		strings.TrimPrefix(err.Error(), "sip: ")}
}

// line cuts the next line, without its CRLF, and checks its bytes. It is false
// at the end of raw.
func (p *parser) line() (string, bool) {
	for i := p.pos; ; {
		n := strings.IndexByte(p.raw[i:], '\n')
		if n < 0 {
			return "", false
		}
		i += n
		if i > p.pos && p.raw[i-1] == '\r' {
			line := p.raw[p.pos : i-1]
			p.pos = i + 1
			return line, true
		}
		p.fail(errBareLF)
		i++
	}
}

// foldedLine is line with the continuation lines that follow (RFC 3261, 7.3.1),
// still folded; folded says that there are some.
func (p *parser) foldedLine() (line string, folded, ok bool) {
	start := p.pos
	line, ok = p.line()
	if line == "" || p.pos == len(p.raw) || p.raw[p.pos] != ' ' && p.raw[p.pos] != '\t' {
		return line, false, ok
	}
	for p.pos < len(p.raw) && (p.raw[p.pos] == ' ' || p.raw[p.pos] == '\t') {
		if _, ok = p.line(); !ok {
			return line, true, false
		}
	}
	return p.raw[start : p.pos-2], true, true
}

// unfold turns each line break with the white space around it into one space.
func unfold(s string) string {
	b := make([]byte, 0, len(s))
	for {
		i := strings.Index(s, "\r\n")
		if i < 0 {
			return string(append(b, s...))
		}
		b = append(append(b, trimWS(s[:i])...), ' ')
		s = s[i+2:]
		s = s[skipWS(s, 0):]
	}
}

// startLine reads Request-Line or Status-Line.
func (p *parser) startLine(line string) {
	p.checkText(line, false)
	if len(line) >= 4 && equalFold(line[:4], "SIP/") {
		p.statusLine(line)
		return
	}
	m := p.m
	end := span(line, 0, classToken)
	if end == 0 || end == len(line) || line[end] != ' ' {
		p.fail(errMethod)
		return
	}
	m.Method = Method(line[:end])
	rest := line[end+1:]
	end = strings.IndexByte(rest, ' ')
	if end < 0 {
		p.fail(errStartLine)
		return
	}
	m.RequestURI = rest[:end]
	switch version := rest[end+1:]; {
	case equalFold(version, "SIP/2.0"):
	case validVersion(version):
		p.fail(errVersion)
	default:
		p.fail(errStartLine)
		return
	}
	var u URI
	if err := u.parseRequestURI(m.RequestURI); err != nil {
		p.fail(err)
	}
}

// parseRequestURI checks a Request-URI: sip and sips in full and without the
// parts that may not be there (RFC 3261, 19.1.1, table 1), any other as an
// absolute URI; whether its scheme is served is decided elsewhere.
func (u *URI) parseRequestURI(s string) *StatusError {
	colon := schemeEnd(s)
	if colon < 0 {
		return errRequestURI
	}
	if scheme := s[:colon]; !equalFold(scheme, schemeSIP) && !equalFold(scheme, schemeSIPS) {
		if rest := s[colon+1:]; rest == "" || spanEscaped(rest, 0, classURI) != len(rest) {
			return errRequestURI
		}
		return nil
	}
	if err := u.parse(s); err != nil {
		return errRequestURI
	}
	if u.Headers != "" {
		return errRequestURIHdr
	}
	return nil
}

// validVersion checks "SIP" "/" 1*DIGIT "." 1*DIGIT.
func validVersion(s string) bool {
	if len(s) < 4 || !equalFold(s[:4], "SIP/") {
		return false
	}
	major, minor, ok := strings.Cut(s[4:], ".")
	return ok && isDigits(major) && isDigits(minor)
}

// statusLine reads SIP-Version SP Status-Code SP Reason-Phrase. The phrase is
// for people and may be any text.
func (p *parser) statusLine(line string) {
	p.m.Status = statusUnread
	version, rest, ok := strings.Cut(line, " ")
	if !ok || !validVersion(version) {
		p.fail(errStartLine)
		return
	}
	if !equalFold(version, "SIP/2.0") {
		p.fail(errVersion)
		return
	}
	if len(rest) < 4 || rest[3] != ' ' || !isDigits(rest[:3]) || rest[0] < '1' || rest[0] > '6' {
		p.fail(errStatusCode)
		return
	}
	p.m.Status = int(rest[0]-'0')*100 + int(rest[1]-'0')*10 + int(rest[2]-'0')
	p.m.Reason = rest[4:]
}

// headers reads all header fields and reports whether the section ended.
func (p *parser) headers() bool {
	for {
		line, folded, ok := p.foldedLine()
		if !ok {
			p.fail(errHeaderEnd)
			return false
		}
		if p.pos-p.start > p.lim.MaxHeader {
			p.fail(errHeaderSize)
			return false
		}
		if line == "" {
			return true
		}
		if len(p.m.Headers) >= p.lim.MaxHeaders {
			p.fail(errHeaderCount)
			return false
		}
		p.header(line, folded)
	}
}

// header reads one header field: header-name HCOLON header-value.
func (p *parser) header(line string, folded bool) {
	end := span(line, 0, classToken)
	colon := skipWS(line, end)
	if end == 0 || colon == len(line) || line[colon] != ':' {
		p.checkText(line, false)
		p.fail(errHeaderName)
		return
	}
	value := line[colon+1:]
	if folded {
		value = unfold(value)
	}
	value = trimWS(value)
	h := Header{ID: lookupHeader(line[:end]), Name: line[:end], Value: value}
	p.checkText(value, quotedPairs[h.ID])
	p.m.Headers = append(p.m.Headers, h)
	p.value(h)
}

// quotedPairs are the header fields in whose quoted strings any ASCII
// character, NUL too, may stand behind a backslash (RFC 3261, 25.1; RFC 4475,
// 3.1.1.2). Elsewhere control characters are refused even so.
var quotedPairs = [headerCount]bool{
	HeaderContact:            true,
	HeaderFrom:               true,
	HeaderPAssertedIdentity:  true,
	HeaderPPreferredIdentity: true,
	HeaderRecordRoute:        true,
	HeaderRoute:              true,
	HeaderTo:                 true,
}

// checkText refuses control characters and what is not UTF-8.
func (p *parser) checkText(s string, quotedPair bool) {
	control, high := oddBytes(s)
	if high && !utf8.ValidString(s) {
		p.fail(errUTF8)
	}
	if !control {
		return
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\t' || c >= 0x20 && c != 0x7f:
		case c == '\r':
			p.fail(errBareCR)
		case c == '\n':
			p.fail(errBareLF)
		case quotedPair && i > 0 && s[i-1] == '\\':
			// The grammar of the field says whether this is in quotes.
		default:
			p.fail(errControl)
		}
	}
}

// oddBytes reports whether s may hold control characters (HTAB counts) and
// whether it holds bytes beyond ASCII, eight bytes at a time.
func oddBytes(s string) (control, high bool) {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	var odd, all uint64
	for len(s) >= 8 {
		x := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		all |= x
		del := x ^ ones*0x7f
		odd |= (x-ones*0x20)&^x | (del-ones)&^del
		s = s[8:]
	}
	for i := range len(s) {
		c := s[i]
		all |= uint64(c)
		if c < 0x20 || c == 0x7f {
			odd |= 0x80
		}
	}
	return odd&tops != 0, all&tops != 0
}

// finish checks what concerns the whole message and cuts the body.
func (p *parser) finish() {
	m := p.m
	for _, id := range [...]HeaderID{HeaderVia, HeaderFrom, HeaderTo, HeaderCallID, HeaderCSeq} {
		if p.seen&(1<<id) == 0 {
			p.fail(missing[id])
		}
	}
	if m.Method != "" && m.CSeq.Method != "" && m.CSeq.Method != m.Method {
		p.fail(errCSeqMethod)
	}
	m.Body = p.raw[p.pos:]
	if p.length >= 0 {
		if p.length > len(m.Body) {
			p.fail(errBodyShort)
			return
		}
		m.Body = m.Body[:p.length]
	}
}

var missing = [headerCount]*StatusError{
	HeaderVia:    {400, "Missing Via header field"},
	HeaderFrom:   {400, "Missing From header field"},
	HeaderTo:     {400, "Missing To header field"},
	HeaderCallID: {400, "Missing Call-ID header field"},
	HeaderCSeq:   {400, "Missing CSeq header field"},
}

// parseLength reads a Content-Length, saturating: what does not fit an int32
// is larger than any limit.
func parseLength(s string) (int, error) {
	n, err := ParseUint32(s)
	return int(min(n, math.MaxInt32)), err
}
