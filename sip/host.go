package sip

import (
	"net/netip"
	"strings"
)

// bracketEnd gives the index after the ']' that closes s[i] == '[', or -1.
func bracketEnd(s string, i int) int {
	end := strings.IndexByte(s[i:], ']')
	if end < 0 {
		return -1
	}
	return i + end + 1
}

// maxHostname is DNS's own limit on a name (RFC 1035, 2.3.4), with a final dot.
const maxHostname = 254

// validIPv6 reports whether s is an IPv6 address without brackets. netip would
// take a zone too, which the grammar does not have.
func validIPv6(s string) bool {
	if strings.IndexByte(s, '%') >= 0 {
		return false
	}
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is6()
}

// validIPv4 reports whether s is dotted decimal. Leading zeros are refused,
// though RFC 3261's 1*3DIGIT has them: readers disagree on what they mean.
func validIPv4(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is4()
}

// validHostname checks hostname = *( domainlabel "." ) toplabel [ "." ].
func validHostname(s string) bool {
	if s == "" || len(s) > maxHostname {
		return false
	}
	top := 0 // where the current label begins
	for i := range len(s) {
		c := s[i]
		if c != '.' {
			if !is(c, classHost) || c == '-' && i == top {
				return false
			}
			continue
		}
		if i == top || s[i-1] == '-' {
			return false
		}
		if i+1 == len(s) {
			return is(s[top], classAlpha)
		}
		top = i + 1
	}
	return is(s[top], classAlpha) && s[len(s)-1] != '-'
}

// scanHost reads a host at s[i] and gives it in lower case, and the index after it.
func scanHost(s string, i int) (host string, end int, ok bool) {
	if i < len(s) && s[i] == '[' {
		if end = bracketEnd(s, i); end < 0 {
			return "", i, false
		}
		host = s[i:end]
		if validIPv6(host[1 : len(host)-1]) {
			return lower(host), end, true
		}
		host = withoutThirdColon(host)
		return host, end, host != ""
	}
	end = span(s, i, classHost)
	host = s[i:end]
	if host == "" {
		return "", end, false
	}
	if is(host[0], classDigit) && is(host[len(host)-1], classDigit) && validIPv4(host) {
		return host, end, true
	}
	return lower(host), end, validHostname(host)
}

// withoutThirdColon bears "[2001:db8:::192.0.2.1]", which RFC 3261's own
// grammar makes of an address that ends in dotted decimal, and gives the
// address without the extra colon, or "".
// RFC 5118, 4.10: both constructs must be tolerated.
func withoutThirdColon(host string) string {
	i := strings.Index(host, ":::")
	if i < 0 || strings.IndexByte(host, '.') < 0 {
		return ""
	}
	fixed := host[:i] + host[i+1:]
	if !validIPv6(fixed[1 : len(fixed)-1]) {
		return ""
	}
	return lower(fixed)
}

// maxPort is the largest port number.
const maxPort = 65535

// scanPort reads a port of 1 to 65535 at s[i] and gives the index after it.
func scanPort(s string, i int) (port uint16, end int, ok bool) {
	end = span(s, i, classDigit)
	n := 0
	for _, c := range []byte(s[i:end]) {
		if n = n*10 + int(c-'0'); n > maxPort {
			return 0, end, false
		}
	}
	return uint16(n), end, n > 0
}

// hostAddr gives the address if host is an IPv4 or bracketed IPv6 literal.
func hostAddr(host string) (netip.Addr, bool) {
	if host == "" {
		return netip.Addr{}, false
	}
	if host[0] == '[' {
		a, err := netip.ParseAddr(host[1 : len(host)-1])
		return a, err == nil
	}
	if !is(host[len(host)-1], classDigit) {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(host)
	return a, err == nil
}
