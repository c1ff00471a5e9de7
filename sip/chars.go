package sip

import "strings"

// Character classes of RFC 3261, 25.1, one bit each. '%' belongs to a class
// only where it stands for itself; where the grammar says "escaped" the
// scanners handle it.
const (
	classToken      uint16 = 1 << iota // token
	classWord                          // word (Call-ID)
	classUnreserved                    // unreserved = alphanum / mark
	classReserved                      // reserved
	classUser                          // user, without escapes
	classPassword                      // password, without escapes
	classParam                         // paramchar, without escapes
	classHeader                        // hname and hvalue, without escapes
	classURI                           // uric, and the brackets of RFC 3986, without escapes
	classDigit
	classAlpha
	classHex
	classHost   // hostname's letters, digits, '-' and '.'
	classQuoted // qdtext but for UTF-8 and white space
)

var class = makeClasses()

func makeClasses() [256]uint16 {
	var t [256]uint16
	add := func(bit uint16, chars string) {
		for i := range len(chars) {
			t[chars[i]] |= bit
		}
	}
	const (
		digits = "0123456789"
		alpha  = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		mark   = "-_.!~*'()"
	)
	add(classDigit, digits)
	add(classAlpha, alpha)
	add(classHex, digits+"abcdefABCDEF")
	add(classHost, digits+alpha+"-.")
	add(classToken, digits+alpha+"-.!%*_+`'~")
	add(classWord, digits+alpha+"-.!%*_+`'~()<>:\\\"/[]?{}")
	add(classUnreserved, digits+alpha+mark)
	add(classReserved, ";/?:@&=+$,")
	add(classUser, digits+alpha+mark+"&=+$,;?/")
	add(classPassword, digits+alpha+mark+"&=+$,")
	add(classParam, digits+alpha+mark+"[]/:&+$")
	add(classHeader, digits+alpha+mark+"[]/?:+$")
	add(classURI, digits+alpha+mark+";/?:@&=+$,[]")
	for c := 0x21; c < 0x7f; c++ {
		if c != '"' && c != '\\' {
			t[c] |= classQuoted
		}
	}
	for c := 0x80; c < 0x100; c++ {
		t[c] |= classQuoted // UTF-8 is checked for the whole line
	}
	return t
}

func is(c byte, bit uint16) bool { return class[c]&bit != 0 }

// span gives the index of the first byte of s at or after i that is not in bit.
func span(s string, i int, bit uint16) int {
	for i < len(s) && class[s[i]]&bit != 0 {
		i++
	}
	return i
}

// spanEscaped is span for productions that also allow "%" HEXDIG HEXDIG. It
// stops at a '%' that begins no escape.
func spanEscaped(s string, i int, bit uint16) int {
	for i < len(s) {
		switch {
		case class[s[i]]&bit != 0:
			i++
		case s[i] == '%' && i+2 < len(s) && is(s[i+1], classHex) && is(s[i+2], classHex):
			i += 3
		default:
			return i
		}
	}
	return i
}

func isToken(s string) bool { return s != "" && span(s, 0, classToken) == len(s) }

func isDigits(s string) bool { return s != "" && span(s, 0, classDigit) == len(s) }

// skipWS skips the white space that is left once a line is unfolded.
func skipWS(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t') {
		i++
	}
	return i
}

func trimWS(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// equalFold compares in ASCII only, which is all that SIP's tokens are.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	if a == b {
		return true
	}
	for i := range len(a) {
		if a[i] != b[i] && lowerByte(a[i]) != lowerByte(b[i]) {
			return false
		}
	}
	return true
}

// lower allocates only if there is something to change.
func lower(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			return strings.ToLower(s)
		}
	}
	return s
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	default:
		return c - 'a' + 10
	}
}

// quotedEnd gives the index after the closing quote of the quoted-string that
// begins at s[i] == '"', or -1 if it does not end or holds what the grammar
// does not allow.
func quotedEnd(s string, i int) int {
	for i++; i < len(s); {
		switch c := s[i]; {
		case class[c]&classQuoted != 0 || c == ' ' || c == '\t':
			i++
		case c == '"':
			return i + 1
		case c == '\\':
			// RFC 3261, 25.1: any ASCII may be quoted but CR and LF.
			if i+1 >= len(s) || s[i+1] >= 0x80 || s[i+1] == '\r' || s[i+1] == '\n' {
				return -1
			}
			i += 2
		default:
			return -1
		}
	}
	return -1
}

// unquote gives the content of a quoted-string; it allocates only for escapes.
func unquote(s string) string {
	s = s[1 : len(s)-1]
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// appendQuoted appends s as a quoted-string. Control characters become spaces:
// what is quoted here came from configuration or the peer and may not inject.
func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20 || c == 0x7f:
			dst = append(dst, ' ')
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
