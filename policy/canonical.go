package policy

import (
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/sip"
)

// canonicalID gives the form of a URI in which principals have theirs: that of
// presence.AOR for sip, sips, pres and tel. ok is false for what is none.
// sip, sips and pres URIs of one address have one form.
func canonicalID(iri string) (id string, ok bool) {
	uri, ok := fromIRI(trimSpace(iri))
	if !ok {
		return "", false
	}
	u, err := sip.ParseURI(uri)
	if err != nil {
		return "", false
	}
	switch u.Scheme {
	case "sip", "sips", "pres":
		aor, err := u.AOR()
		return string(aor), err == nil
	case "tel":
		aor, err := u.Tel()
		return string(aor), err == nil
	}
	return u.Scheme + ":" + u.User, true
}

// Identity gives the form in which principals have an identity that somebody has
// written into a document: a URI, or an IRI. ok is false for what is none.
func Identity(iri string) (id presence.AOR, ok bool) {
	text, ok := canonicalID(iri)
	return presence.AOR(text), ok
}

// fromIRI makes a URI of an IRI (RFC 3987, 3.1): the domain as ToASCII has it, all
// else percent-encoded. RFC 5025, 3.1.1 lets identities be written so.
func fromIRI(s string) (uri string, ok bool) {
	if isASCII(s) {
		return s, true
	}
	if !utf8.ValidString(s) {
		return "", false
	}
	before, after, _ := strings.Cut(s, "@")
	host := after
	if end := strings.IndexAny(host, ":;?"); end >= 0 {
		host = host[:end]
	}
	rest := after[len(host):]
	if !isASCII(host) {
		domain, today, ok := canonicalDomain(host)
		if !ok || domain != today {
			// Whom it names depends on who reads it.
			return "", false
		}
		host = domain
	}
	return escapeNonASCII(before) + "@" + host + escapeNonASCII(rest), true
}

func escapeNonASCII(s string) string {
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(s))
	for i := range len(s) {
		if c := s[i]; c < utf8.RuneSelf {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

// toASCII is RFC 3490's operation as UTS 46 has it today: with the four characters
// mapped (ß to ss) that IDNA2008 keeps. toASCIIToday keeps them.
var (
	toASCII = idna.New(idna.MapForLookup(), idna.Transitional(true), idna.StrictDomainName(true),
		idna.BidiRule(), idna.VerifyDNSLength(true))
	toASCIIToday = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(true),
		idna.BidiRule(), idna.VerifyDNSLength(true))
)

// canonicalDomain gives the form of a domain that compares. RFC 4745, 7.1.3:
// percent-encoding is undone, then ToASCII (RFC 3490); where that fails ok is false,
// and the domain equals none. today is the form that registries give the same
// letters now, where that is another one: an exception holds for it too.
func canonicalDomain(s string) (domain, today string, ok bool) {
	if s, ok = unescapeDomain(trimSpace(s)); !ok {
		return "", "", false
	}
	if !isASCII(s) {
		ascii, err := toASCII.ToASCII(strings.TrimSuffix(s, "."))
		if err != nil {
			return "", "", false
		}
		if today, err = toASCIIToday.ToASCII(strings.TrimSuffix(s, ".")); err != nil {
			today = ascii
		}
		return ascii, today, true
	}
	domain = strings.TrimSuffix(strings.ToLower(s), ".")
	if len(domain) > 1 && domain[0] == '[' && domain[len(domain)-1] == ']' {
		// As principals have it (RFC 5954, 4.2).
		ip, err := netip.ParseAddr(domain[1 : len(domain)-1])
		domain = "[" + ip.String() + "]"
		return domain, domain, err == nil && ip.Is6() && ip.Zone() == ""
	}
	for i := range len(domain) {
		c := domain[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && strings.IndexByte("-._", c) < 0 {
			return "", "", false
		}
	}
	return domain, domain, domain != ""
}

// unescapeDomain undoes percent-encoding; ok is false if it is not whole, or not
// UTF-8.
func unescapeDomain(s string) (plain string, ok bool) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			if i+2 >= len(s) || hexDigit(s[i+1]) < 0 || hexDigit(s[i+2]) < 0 {
				return "", false
			}
			c = byte(hexDigit(s[i+1])<<4 | hexDigit(s[i+2]))
			i += 2
		}
		b = append(b, c)
	}
	return string(b), utf8.Valid(b)
}

func hexDigit(c byte) int {
	if c >= 'A' && c <= 'F' {
		c |= 0x20
	}
	return strings.IndexByte("0123456789abcdef", c)
}
