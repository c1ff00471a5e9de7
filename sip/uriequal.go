package sip

import (
	"slices"
	"strings"
)

// Equal is RFC 3261, 19.1.4 for sip and sips URIs, with IPv6 addresses compared
// by value (RFC 5954, 4.2). pres URIs are compared in the same way, tel URIs by
// RFC 3966, 4, others byte by byte.
func (u URI) Equal(v URI) bool {
	if !equalFold(u.Scheme, v.Scheme) {
		return false
	}
	switch u.Scheme {
	case schemeSIP, schemeSIPS, schemePres:
		return equalEscaped(u.User, v.User, false) &&
			equalEscaped(u.Password, v.Password, false) &&
			equalHost(u.Host, v.Host) && u.Port == v.Port &&
			equalURIParams(u.Params, v.Params) && equalURIParams(v.Params, u.Params) &&
			equalURIHeaders(u.Headers, v.Headers)
	case schemeTel:
		return u.canonicalTel() == v.canonicalTel()
	}
	return u == v
}

// equalEscaped compares two pieces of URIs, where a character that is not
// reserved equals its escape and a reserved one does not.
func equalEscaped(a, b string, fold bool) bool {
	if a == b {
		return true
	}
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		c, n := escapedByte(a, i)
		d, m := escapedByte(b, j)
		if c != d && !(fold && lowerByte(c) == lowerByte(d)) {
			return false
		}
		if n != m && is(c, classReserved) {
			return false
		}
		i, j = i+n, j+m
	}
	return i == len(a) && j == len(b)
}

func equalHost(a, b string) bool {
	if equalFold(a, b) {
		return true
	}
	if a == "" || b == "" || a[0] != '[' || b[0] != '[' {
		return false
	}
	x, okX := hostAddr(a)
	y, okY := hostAddr(b)
	return okX && okY && x == y
}

// mustMatch are the parameters that may not be in one URI alone.
var mustMatch = [...]string{"user", "ttl", "method", "maddr", "transport"}

// equalURIParams checks a's parameters against b's: those in both must match,
// those of mustMatch must be in both.
// RFC 3261, 19.1.4: a URI without transport is no match for one with its
// default value, which the list of parameters there leaves out.
func equalURIParams(a, b string) bool {
	for i := 0; i < len(a); {
		name, value, flag, end := uriParamAt(a, i)
		other, otherFlag, ok := uriParam(b, name)
		if ok && (flag != otherFlag || !equalEscaped(value, other, true)) {
			return false
		}
		if !ok {
			for _, must := range mustMatch {
				if equalEscaped(name, must, true) {
					return false
				}
			}
		}
		i = end
	}
	return true
}

// uriParamAt reads the parameter at s[i] == ';' and gives the index after it.
func uriParamAt(s string, i int) (name, value string, flag bool, end int) {
	end = spanEscaped(s, i+1, classParam)
	name = s[i+1 : end]
	if end == len(s) || s[end] != '=' {
		return name, "", true, max(end, i+1)
	}
	start := end + 1
	end = spanEscaped(s, start, classParam)
	return name, s[start:end], false, end
}

// equalURIHeaders compares headers as multisets: none is ever ignored, their
// order does not matter.
func equalURIHeaders(a, b string) bool {
	if a == b {
		return true
	}
	if strings.Count(a, "&") != strings.Count(b, "&") || a == "" || b == "" {
		return false
	}
	for rest := a; rest != ""; {
		var h string
		h, rest, _ = strings.Cut(rest, "&")
		if countHeader(a, h) != countHeader(b, h) {
			return false
		}
	}
	return true
}

func countHeader(headers, h string) (n int) {
	for headers != "" {
		var other string
		other, headers, _ = strings.Cut(headers, "&")
		if equalURIHeader(h, other) {
			n++
		}
	}
	return n
}

func equalURIHeader(a, b string) bool {
	an, av, _ := strings.Cut(a, "=")
	bn, bv, _ := strings.Cut(b, "=")
	return equalEscaped(an, bn, true) && equalEscaped(av, bv, true)
}

// canonicalTel writes a tel URI so that equivalent ones are equal text.
// RFC 3966, 4: without visual separators in its numbers, in lower case, with its
// parameters in one order, a phone-context that is a domain as a host name.
func (u *URI) canonicalTel() string {
	var params []string
	for i := 0; i < len(u.Params); {
		name, value, flag, end := uriParamAt(u.Params, i)
		name, value = lower(unescapeUnreserved(name)), lower(unescapeUnreserved(value))
		bare := value
		switch {
		case name == "ext", name == "phone-context" && strings.HasPrefix(value, "+"):
			bare = withoutSeparators(value)
		case name == "phone-context":
			bare = strings.TrimSuffix(value, ".")
		}
		if bare != "" { // else it is no number, and no name
			value = bare
		}
		if !flag {
			name += "=" + value
		}
		params = append(params, ";"+name)
		i = end
	}
	slices.Sort(params)
	return schemeTel + ":" + withoutSeparators(lower(u.User)) + strings.Join(params, "")
}

// unescapeUnreserved undoes %hh where RFC 2396, 2.3 lets the character stand by
// itself.
func unescapeUnreserved(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		c, n := escapedByte(s, i)
		if n == 1 || is(c, classAlpha|classDigit) || strings.IndexByte("-_.!~*'()", c) >= 0 {
			b = append(b, c)
		} else {
			b = append(b, s[i:i+n]...)
		}
		i += n
	}
	return string(b)
}

// withoutSeparators leaves out RFC 3966's visual separators.
func withoutSeparators(number string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("-.()", r) {
			return -1
		}
		return r
	}, number)
}
