package sip

import (
	"net/netip"
	"strconv"
)

// AppendResponse appends a whole response to req: Via (all lines, the first
// value with received and rport of r.Source), From, To (with r.ToTag if it has
// no tag; never in a 100), Call-ID and CSeq as they came, then r.Headers in
// their order (Record-Route too, where the caller wants it), Content-Type if
// set, Content-Length always, and the body. req must be parsed, if with a
// fault then Answerable.
//
// No value can inject a line: CR, LF and other control characters become
// spaces, except those that a backslash quotes (RFC 3261, 25.1).
// RFC 3261, 8.2.6.2: what a response copies from its request.
func AppendResponse(dst []byte, req *Message, r Reply) []byte {
	dst = append(dst, "SIP/2.0 "...)
	dst = strconv.AppendInt(dst, int64(r.Status), 10)
	dst = append(dst, ' ')
	if r.Reason == "" {
		r.Reason = ReasonPhrase(r.Status)
	}
	dst = append(appendClean(dst, r.Reason), crlf...)
	var done uint64
	for i := range req.Headers {
		h := &req.Headers[i]
		switch h.ID {
		case HeaderVia:
			if done&(1<<HeaderVia) == 0 {
				dst = appendTopVia(dst, h.Value, r.Source)
			} else {
				dst = AppendHeader(dst, "Via", h.Value)
			}
		case HeaderTo, HeaderFrom, HeaderCallID, HeaderCSeq:
			if done&(1<<h.ID) != 0 {
				continue // a repeated one was refused; only the first is its
			}
			dst = append(append(dst, headerNames[h.ID]...), ": "...)
			dst = appendClean(dst, h.Value)
			if h.ID == HeaderTo && r.ToTag != "" && r.Status > 100 && req.To.Tag() == "" {
				dst = appendClean(append(dst, ";tag="...), r.ToTag)
			}
			dst = append(dst, crlf...)
		default:
			continue
		}
		done |= 1 << h.ID
	}
	for i := range r.Headers {
		dst = AppendHeader(dst, r.Headers[i].name(), r.Headers[i].Value)
	}
	if r.ContentType != "" {
		dst = AppendHeader(dst, "Content-Type", r.ContentType)
	}
	return appendBody(dst, r.Body)
}

// appendTopVia appends a Via line whose first value gets received and rport.
// RFC 3261, 18.2.1: received where sent-by is not the source address.
// RFC 3581, 4: if rport was asked for, both are set, whatever sent-by says.
func appendTopVia(dst []byte, value string, source netip.AddrPort) []byte {
	dst = append(dst, "Via: "...)
	var v Via
	end, err := v.parse(value, 0)
	if err != nil || !source.IsValid() {
		return append(appendClean(dst, value), crlf...)
	}
	addr := source.Addr().Unmap().WithZone("")
	params := len(trimWS(value[:end])) - len(v.Params)
	dst = appendClean(dst, trimWS(value[:params]))
	for i := 0; i < len(v.Params); {
		p, next, err := nextViaParam(v.Params, i)
		if err != nil {
			break // not reached: parse has read the same
		}
		switch {
		case equalFold(p.name, "received"):
			// The sender may not say where it is.
		case equalFold(p.name, "rport"):
			dst = strconv.AppendUint(append(dst, ";rport="...), uint64(source.Port()), 10)
		default:
			dst = appendClean(dst, trimWS(v.Params[i:next]))
		}
		i = next
	}
	if v.HasRPort || !v.sentByIs(addr) {
		// RFC 5118, 4.5: an IPv6 address here has no brackets.
		dst = addr.AppendTo(append(dst, ";received="...))
	}
	return append(appendClean(dst, value[end:]), crlf...)
}

// appendBody appends Content-Length, the empty line and the body.
func appendBody(dst []byte, body string) []byte {
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(body)), 10)
	return append(append(dst, crlfcrlf...), body...)
}

// AppendHeader appends "Name: value\r\n". In value control characters become
// spaces, in name all that is not a token's character becomes '_'.
func AppendHeader(dst []byte, name, value string) []byte {
	start := len(dst)
	dst = append(dst, name...)
	for i, c := range dst[start:] {
		if !is(c, classToken) {
			dst[start+i] = '_'
		}
	}
	dst = appendClean(append(dst, ": "...), value)
	return append(dst, crlf...)
}

// appendClean appends s with spaces for control characters, HTAB and those in
// a quoted-pair excepted.
func appendClean(dst []byte, s string) []byte {
	start := len(dst)
	dst = append(dst, s...)
	if control, _ := oddBytes(s); !control {
		return dst
	}
	for i, c := range dst[start:] {
		switch {
		case c >= 0x20 && c != 0x7f, c == '\t':
		case c != '\r' && c != '\n' && i > 0 && dst[start+i-1] == '\\':
		default:
			dst[start+i] = ' '
		}
	}
	return dst
}

// AppendMessage serialises m as it is, but that Content-Length always stands
// and is the body's: it replaces the one there was, or comes last.
func (m *Message) AppendMessage(dst []byte) []byte {
	if m.IsRequest() {
		dst = append(appendClean(dst, string(m.Method)), ' ')
		dst = append(appendClean(dst, m.RequestURI), " SIP/2.0\r\n"...)
	} else {
		dst = strconv.AppendInt(append(dst, "SIP/2.0 "...), int64(m.Status), 10)
		dst = append(appendClean(append(dst, ' '), m.Reason), crlf...)
	}
	length := false
	for i := range m.Headers {
		h := &m.Headers[i]
		if h.ID != HeaderContentLength {
			dst = AppendHeader(dst, h.name(), h.Value)
			continue
		}
		if !length {
			length = true
			dst = append(dst, "Content-Length: "...)
			dst = strconv.AppendInt(dst, int64(len(m.Body)), 10)
			dst = append(dst, crlf...)
		}
	}
	if !length {
		return appendBody(dst, m.Body)
	}
	return append(append(dst, crlf...), m.Body...)
}
