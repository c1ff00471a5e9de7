package sip

import (
	"errors"
	"math"
)

var (
	errParam      = errors.New("sip: malformed parameter")
	errParamTwice = errors.New("sip: parameter given twice")
	errParamMany  = errors.New("sip: too many parameters")
	errNumber     = errors.New("sip: not a number")
)

// maxParams bounds the parameters of one URI or header value, because looking
// for repeated names costs their number squared. Clients send fewer than 20.
const maxParams = 64

// ParseUint32 is for delta-seconds and the like: digits only, saturating at
// 2^32-1 (RFC 3261, 20.19).
func ParseUint32(s string) (uint32, error) {
	if s == "" {
		return 0, errNumber
	}
	var n uint64
	for i := range len(s) {
		c := s[i] - '0'
		if c > 9 {
			return 0, errNumber
		}
		n = min(n*10+uint64(c), math.MaxUint32)
	}
	return uint32(n), nil
}

// param is one parameter as on the wire: value may be a quoted-string.
type param struct {
	name, value string
	hasValue    bool
}

// nextParam reads the parameter that begins at s[i] == ';' and gives the index
// after it and the white space that follows.
func nextParam(s string, i int) (p param, end int, err error) {
	i = skipWS(s, i+1)
	end = span(s, i, classToken)
	if end == i {
		return p, end, errParam
	}
	p.name = s[i:end]
	end = skipWS(s, end)
	if end == len(s) || s[end] != '=' {
		return p, end, nil
	}
	p.hasValue = true
	i = skipWS(s, end+1)
	if end, err = valueEnd(s, i); err != nil {
		return p, end, err
	}
	p.value = s[i:end]
	return p, skipWS(s, end), nil
}

// valueEnd gives the end of the gen-value at s[i]: a token, an IPv6 reference
// or a quoted-string.
func valueEnd(s string, i int) (int, error) {
	if i == len(s) {
		return i, errParam
	}
	var end int
	switch s[i] {
	case '"':
		if end = quotedEnd(s, i); end < 0 {
			return i, errParam
		}
	case '[':
		if end = bracketEnd(s, i); end < 0 || !validIPv6(s[i+1:end-1]) {
			return i, errParam
		}
	default:
		if end = span(s, i, classToken); end == i {
			return i, errParam
		}
	}
	return end, nil
}

// checkParams walks *( SEMI generic-param ) from s[i] on and gives the index of
// the comma that follows, or len(s). No name may come twice (RFC 3261, 7.3.1).
func checkParams(s string, i int) (int, error) {
	var seen nameSet
	i = skipWS(s, i)
	for start := i; i < len(s) && s[i] == ';'; {
		p, end, err := nextParam(s, i)
		if err != nil {
			return i, err
		}
		maybe, ok := seen.add(p.name)
		if !ok {
			return i, errParamMany
		}
		if maybe && paramBefore(s[start:i], p.name) {
			return i, errParamTwice
		}
		i = end
	}
	if i < len(s) && s[i] != ',' {
		return i, errParam
	}
	return i, nil
}

// paramBefore reports whether the well-formed params hold name.
func paramBefore(params, name string) bool {
	_, ok := HeaderParam(params, name)
	return ok
}

// nameSet tells cheaply that a name cannot have been there yet.
type nameSet struct {
	bits uint64
	n    int
}

// add reports whether name may have been added before, and false for ok if
// there are too many.
func (s *nameSet) add(name string) (maybe, ok bool) {
	bit := uint64(1) << ((uint(len(name))*7 + uint(name[0]|0x20)) & 63)
	maybe = s.bits&bit != 0
	s.bits |= bit
	s.n++
	return maybe, s.n <= maxParams
}

// SplitParams splits "presence;id=4;x" into "presence" and ";id=4;x". A ';' in
// a quoted string or within <> does not count.
func SplitParams(v string) (value, params string) {
	angle := false
	for i := 0; i < len(v); i++ {
		switch v[i] {
		case ';':
			if !angle {
				return trimWS(v[:i]), v[i:]
			}
		case '"':
			if angle {
				continue
			}
			end := quotedEnd(v, i)
			if end < 0 {
				return trimWS(v), ""
			}
			i = end - 1
		case '<':
			angle = true
		case '>':
			angle = false
		}
	}
	return trimWS(v), ""
}

// HeaderParam looks up a header parameter (name in any case) in a string such
// as ";id=4;x". A quoted value is unquoted; a flag gives "" and true. Of a
// malformed string the parameters before the fault are seen.
func HeaderParam(params, name string) (string, bool) {
	for i := skipWS(params, 0); i < len(params) && params[i] == ';'; {
		p, end, err := nextParam(params, i)
		if err != nil {
			return "", false
		}
		if equalFold(p.name, name) {
			if p.value != "" && p.value[0] == '"' {
				return unquote(p.value), true
			}
			return p.value, true
		}
		i = end
	}
	return "", false
}
