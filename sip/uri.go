package sip

import (
	"errors"
	"strconv"
	"strings"

	"github.com/tacit-presence/tacit/presence"
)

var (
	errURIScheme   = errors.New("sip: malformed URI scheme")
	errURIUser     = errors.New("sip: malformed user part of a URI")
	errURIHost     = errors.New("sip: malformed host of a URI")
	errURIPort     = errors.New("sip: malformed port of a URI")
	errURIParam    = errors.New("sip: malformed parameter of a URI")
	errURIHeader   = errors.New("sip: malformed headers of a URI")
	errURIOpaque   = errors.New("sip: malformed URI")
	errNotAnAOR    = errors.New("sip: not a sip, sips or pres URI")
	errAORWithout  = errors.New("sip: URI without a user part")
	errNotTel      = errors.New("sip: not a tel URI")
	errTelNumber   = errors.New("sip: malformed number of a tel URI")
	errURIHeadMany = errors.New("sip: too many headers in a URI")
)

// The schemes that are more than opaque text here.
const (
	schemeSIP  = "sip"
	schemeSIPS = "sips"
	schemePres = "pres"
	schemeTel  = "tel"
)

// ParseURI reads a whole URI. sip and sips are checked by RFC 3261, 25.1, pres
// as user@host with headers (RFC 3859, 6), tel by RFC 3966, 3. Of any other
// absolute URI the characters are checked and User holds all after the colon;
// its Host is empty.
func ParseURI(s string) (URI, error) {
	var u URI
	err := u.parse(s)
	return u, err
}

func (u *URI) parse(s string) error {
	*u = URI{}
	colon := schemeEnd(s)
	if colon < 0 {
		return errURIScheme
	}
	rest := s[colon+1:]
	switch u.Scheme = knownScheme(s[:colon]); u.Scheme {
	case schemeSIP, schemeSIPS, schemePres:
		return u.parseHierarchy(rest)
	case schemeTel:
		return u.parseTel(rest)
	}
	u.User = rest
	if rest == "" || spanEscaped(rest, 0, classURI) != len(rest) {
		return errURIOpaque
	}
	return nil
}

// schemeEnd gives the index of the colon after a well-formed scheme, or -1.
func schemeEnd(s string) int {
	if s == "" || !is(s[0], classAlpha) {
		return -1
	}
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == ':':
			return i
		case !is(c, classAlpha|classDigit) && c != '+' && c != '-' && c != '.':
			return -1
		}
	}
	return -1
}

func knownScheme(s string) string {
	for _, known := range [...]string{schemeSIP, schemeSIPS, schemePres, schemeTel} {
		if equalFold(s, known) {
			return known
		}
	}
	return lower(s)
}

// parseHierarchy reads [ userinfo "@" ] hostport uri-parameters [ headers ].
func (u *URI) parseHierarchy(s string) error {
	// RFC 3261, 25.1: '@' is in no other part, so the first one ends userinfo.
	i := 0
	if at := strings.IndexByte(s, '@'); at >= 0 {
		if err := u.parseUserinfo(s[:at]); err != nil {
			return err
		}
		i = at + 1
	}
	host, i, ok := scanHost(s, i)
	if !ok {
		return errURIHost
	}
	u.Host = host
	if i < len(s) && s[i] == ':' {
		if u.Port, i, ok = scanPort(s, i+1); !ok {
			return errURIPort
		}
	}
	end, err := checkURIParams(s, i)
	if err != nil {
		return err
	}
	u.Params = s[i:end]
	if end == len(s) {
		return nil
	}
	if s[end] != '?' {
		if end == i {
			return errURIHost
		}
		return errURIParam
	}
	u.Headers = s[end+1:]
	return checkURIHeaders(u.Headers)
}

func (u *URI) parseUserinfo(s string) error {
	u.User = s
	if colon := strings.IndexByte(s, ':'); colon >= 0 {
		u.User, u.Password = s[:colon], s[colon+1:]
		if spanEscaped(u.Password, 0, classPassword) != len(u.Password) {
			return errURIUser
		}
	}
	if u.User == "" || spanEscaped(u.User, 0, classUser) != len(u.User) {
		return errURIUser
	}
	return nil
}

// checkURIParams walks *( ";" pname [ "=" pvalue ] ) and gives the index after
// it. No name may come twice (RFC 3261, 19.1.1).
func checkURIParams(s string, i int) (int, error) {
	var seen nameSet
	escaped := false // nameSet does not know that "%6Cr" is "lr"
	for start := i; i < len(s) && s[i] == ';'; {
		end := spanEscaped(s, i+1, classParam)
		name := s[i+1 : end]
		if name == "" {
			return i, errURIParam
		}
		maybe, ok := seen.add(name)
		if !ok {
			return i, errParamMany
		}
		escaped = escaped || strings.IndexByte(name, '%') >= 0
		if maybe || escaped {
			if _, _, again := uriParam(s[start:i], name); again {
				return i, errParamTwice
			}
		}
		if end < len(s) && s[end] == '=' {
			value := end + 1
			if end = spanEscaped(s, value, classParam); end == value {
				return i, errURIParam
			}
		}
		i = end
	}
	return i, nil
}

// checkURIHeaders checks hname "=" hvalue *( "&" hname "=" hvalue ).
func checkURIHeaders(s string) error {
	for n := 0; ; n++ {
		if n == maxParams {
			return errURIHeadMany
		}
		end := spanEscaped(s, 0, classHeader)
		if end == 0 || end == len(s) || s[end] != '=' {
			return errURIHeader
		}
		end = spanEscaped(s, end+1, classHeader)
		if end == len(s) {
			return nil
		}
		if s[end] != '&' {
			return errURIHeader
		}
		s = s[end+1:]
	}
}

// parseTel reads a telephone-subscriber: RFC 3966, 3.
func (u *URI) parseTel(s string) error {
	end := strings.IndexByte(s, ';')
	if end < 0 {
		end = len(s)
	}
	u.User, u.Params = s[:end], s[end:]
	number, global := strings.CutPrefix(u.User, "+")
	digits := 0
	for i := range len(number) {
		switch c := number[i]; {
		case is(c, classDigit), !global && (is(c, classHex) || c == '*' || c == '#'):
			digits++
		case c == '-' || c == '.' || c == '(' || c == ')':
		default:
			return errTelNumber
		}
	}
	if digits == 0 {
		return errTelNumber
	}
	if end, err := checkURIParams(u.Params, 0); err != nil || end != len(u.Params) {
		return errURIParam
	}
	return nil
}

// String gives the URI as it is written; only scheme and host were changed (to
// lower case) by parsing.
func (u URI) String() string { return string(u.append(nil)) }

func (u *URI) append(dst []byte) []byte {
	dst = append(append(dst, u.Scheme...), ':')
	dst = append(dst, u.User...)
	if u.Host != "" {
		if u.Password != "" {
			dst = append(append(dst, ':'), u.Password...)
		}
		if u.User != "" {
			dst = append(dst, '@')
		}
		dst = append(dst, u.Host...)
		if u.Port != 0 {
			dst = strconv.AppendUint(append(dst, ':'), uint64(u.Port), 10)
		}
	}
	dst = append(dst, u.Params...)
	if u.Headers != "" {
		dst = append(append(dst, '?'), u.Headers...)
	}
	return dst
}

// Param returns a URI parameter (name in any case; value unescaped only of
// %hh; "" and true for a flag).
func (u URI) Param(name string) (string, bool) {
	value, _, ok := uriParam(u.Params, name)
	return unescape(value), ok
}

// uriParam looks up name in well-formed URI parameters, escapes in either name
// minded; value is as on the wire.
func uriParam(params, name string) (value string, flag, ok bool) {
	for i := 0; i < len(params) && params[i] == ';'; {
		end := spanEscaped(params, i+1, classParam)
		n := params[i+1 : end]
		value, flag = "", true
		if end < len(params) && params[end] == '=' {
			start := end + 1
			end = spanEscaped(params, start, classParam)
			value, flag = params[start:end], false
		}
		if equalEscaped(n, name, true) {
			return value, flag, true
		}
		if end == i {
			return "", false, false
		}
		i = end
	}
	return "", false, false
}

// unescape undoes %hh once, never repeatedly (RFC 4475, 3.1.1.3); it allocates
// only if there is one.
func unescape(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		c, n := escapedByte(s, i)
		b = append(b, c)
		i += n
	}
	return string(b)
}

// escapedByte gives the byte at s[i], unescaped, and how many bytes wrote it.
func escapedByte(s string, i int) (byte, int) {
	if s[i] == '%' && i+2 < len(s) && is(s[i+1], classHex) && is(s[i+2], classHex) {
		return unhex(s[i+1])<<4 | unhex(s[i+2]), 3
	}
	return s[i], 1
}

// Tel gives the canonical form of a tel URI as an identity: equivalent ones (RFC
// 3966, 4) have the same, parameters included. It fails for other schemes.
func (u URI) Tel() (presence.AOR, error) {
	if u.Scheme != schemeTel {
		return "", errNotTel
	}
	return presence.AOR(u.canonicalTel()), nil
}

// ParseAOR gives the canonical address-of-record of a text that is a sip, sips or
// pres URI: as ParseURI and URI.AOR.
func ParseAOR(s string) (presence.AOR, error) {
	u, err := ParseURI(s)
	if err != nil {
		return "", err
	}
	return u.AOR()
}

// AOR gives the canonical address-of-record of a sip, sips or pres URI:
// password, port, parameters and headers dropped, escapes undone where the
// character may stand by itself and else in upper-case hex, host in lower case.
// It fails for other schemes and without a user part.
// RFC 3261, 10.3, step 5: so that one address has one spelling.
func (u URI) AOR() (presence.AOR, error) {
	switch u.Scheme {
	case schemeSIP, schemeSIPS, schemePres:
	default:
		return "", errNotAnAOR
	}
	if u.User == "" {
		return "", errAORWithout
	}
	b := make([]byte, 0, len("sip:@")+len(u.User)+len(u.Host))
	b = append(b, "sip:"...)
	for i := 0; i < len(u.User); {
		c, n := escapedByte(u.User, i)
		if is(c, classUser) {
			b = append(b, c)
		} else {
			const hex = "0123456789ABCDEF"
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
		i += n
	}
	b = append(b, '@')
	if a, ok := hostAddr(u.Host); ok && a.Is6() {
		// RFC 5954, 4.2: IPv6 addresses are compared by value.
		b = append(a.AppendTo(append(b, '[')), ']')
	} else {
		b = append(b, lower(u.Host)...)
	}
	return presence.AOR(b), nil
}
