package policy

import (
	"strings"

	"github.com/tacit-presence/tacit/sip"
)

// sameURI reports whether two URIs are equivalent, each by the rules of its
// scheme, as RFC 5025, 3.3.1 wants of service-uri and deviceID: sip, sips, pres
// and tel as package sip compares them, URNs by RFC 8141, 3.1 (of a UUID all
// without regard to case, RFC 4122, 3), others byte by byte but for the scheme.
// What is no URI is equal to itself alone.
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
		return strings.EqualFold(nidA, nidB) && (nssA == nssB || strings.EqualFold(nidA, "uuid") && strings.EqualFold(nssA, nssB))
	}
	return restA == restB
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
