package policy

import (
	"strings"

	"github.com/tacit-presence/tacit/sip"
)

// sameURI reports whether two URIs are equivalent, each by the rules of its
// scheme, as RFC 5025, 3.3.1 wants of service-uri and deviceID: sip, sips, pres
// and tel as package sip compares them, URNs by RFC 8141, 3.1 (of a UUID all
// without regard to case, RFC 4122, 3), others as RFC 3986, 6.2.2 and 6.2.3 make
// them normal, but for dots in their paths. What is no URI is equal to itself alone.
func sameURI(a, b string) bool {
	if a == b {
		return true
	}
	scheme := uriScheme(a)
	if scheme == "" || scheme != uriScheme(b) {
		return false
	}
	restA, restB := a[len(scheme)+1:], b[len(scheme)+1:]
	switch scheme {
	case "sip", "sips", "pres", "tel":
		u, errU := sip.ParseURI(a)
		v, errV := sip.ParseURI(b)
		return errU == nil && errV == nil && u.Equal(v)
	case "urn":
		nidA, nssA, _ := strings.Cut(restA, ":")
		nidB, nssB, _ := strings.Cut(restB, ":")
		nssA, nssB = normalEscapes(nssA, false), normalEscapes(nssB, false)
		return strings.EqualFold(nidA, nidB) && (nssA == nssB || strings.EqualFold(nidA, "uuid") && strings.EqualFold(nssA, nssB))
	}
	return normalRest(scheme, restA) == normalRest(scheme, restB)
}

// normalRest makes what follows the scheme of a URI normal (RFC 3986, 6.2.2): its
// host in lower case, be it in an authority or behind the '@' of an address, its
// escapes as they are shortest; of http and https no default port, and a path (6.2.3).
func normalRest(scheme, s string) string {
	s = normalEscapes(s, true)
	authority, ok := strings.CutPrefix(s, "//")
	if !ok {
		end := len(s)
		if i := strings.IndexAny(s, "/?#"); i >= 0 {
			end = i
		}
		at := strings.LastIndexByte(s[:end], '@') + 1
		if at == 0 {
			return s
		}
		return s[:at] + strings.ToLower(s[at:end]) + s[end:]
	}
	path := ""
	if i := strings.IndexAny(authority, "/?#"); i >= 0 {
		authority, path = authority[:i], authority[i:]
	}
	at := strings.LastIndexByte(authority, '@') + 1
	host := strings.TrimSuffix(strings.ToLower(authority[at:]), ":")
	if scheme == "http" || scheme == "https" {
		host = strings.TrimSuffix(host, map[string]string{"http": ":80", "https": ":443"}[scheme])
		if path == "" || path[0] != '/' {
			path = "/" + path
		}
	}
	return "//" + authority[:at] + host + path
}

// normalEscapes writes percent-escapes in upper case, and undoes those of unreserved
// characters if asked for (RFC 3986, 6.2.2.1, 6.2.2.2).
func normalEscapes(s string, undo bool) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' || i+2 >= len(s) || hexDigit(s[i+1]) < 0 || hexDigit(s[i+2]) < 0 {
			b = append(b, s[i])
			continue
		}
		if c := byte(hexDigit(s[i+1])<<4 | hexDigit(s[i+2])); undo && isUnreserved(c) {
			b = append(b, c)
		} else {
			b = append(b, strings.ToUpper(s[i:i+3])...)
		}
		i += 2
	}
	return string(b)
}

// isUnreserved reports a character of RFC 3986, 2.3.
func isUnreserved(c byte) bool {
	l := c | 0x20
	return l >= 'a' && l <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// uriScheme returns the scheme of a URI in lower case, empty if s is none.
func uriScheme(s string) string {
	scheme, _, ok := strings.Cut(s, ":")
	if !ok {
		return ""
	}
	for i := range len(scheme) {
		c := scheme[i] | 0x20
		if (c < 'a' || c > 'z') && (i == 0 || strings.IndexByte("0123456789+-.", scheme[i]) < 0) {
			return ""
		}
	}
	return strings.ToLower(scheme)
}
