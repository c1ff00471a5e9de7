package sip

import (
	"errors"
	"strings"
)

var (
	errDisplay  = errors.New("sip: malformed display name")
	errAngle    = errors.New("sip: URI in <> does not end")
	errTrailing = errors.New("sip: something follows the value")
	errEmpty    = errors.New("sip: empty value")
	// RFC 3261, 20: a URI with a comma, question mark or semicolon needs <>.
	errBareURI = errors.New("sip: URI with headers must be in <>")
)

// ParseNameAddr reads one name-addr or addr-spec with its header parameters.
func ParseNameAddr(s string) (NameAddr, error) {
	var n NameAddr
	end, err := n.parse(s, 0)
	if err == nil && end != len(s) {
		err = errTrailing
	}
	return n, err
}

// parse reads one value from s[i] on, and gives the index of the comma that
// ends it, or len(s).
func (n *NameAddr) parse(s string, i int) (int, error) {
	*n = NameAddr{}
	i = skipWS(s, i)
	if i == len(s) {
		return i, errEmpty
	}
	start := i
	if s[i] == '"' {
		end := quotedEnd(s, i)
		if end < 0 {
			return i, errDisplay
		}
		n.Display = unquote(s[i:end])
		if i = skipWS(s, end); i == len(s) || s[i] != '<' {
			return i, errDisplay
		}
	} else {
		for i < len(s) && (is(s[i], classToken) || s[i] == ' ' || s[i] == '\t') {
			i++
		}
		if i < len(s) && s[i] == '<' {
			// RFC 4475, 3.1.1.6: no white space is needed before the '<'.
			n.Display = trimWS(s[start:i])
		} else {
			i = start
		}
	}
	var err error
	if s[i] == '<' {
		end := strings.IndexByte(s[i:], '>')
		if end < 0 {
			return i, errAngle
		}
		n.RawURI = s[i+1 : i+end]
		i += end + 1
	} else if i, err = n.bareURI(s, i); err != nil {
		return i, err
	}
	if err = n.URI.parse(n.RawURI); err != nil {
		return i, err
	}
	i = skipWS(s, i)
	end, err := checkParams(s, i)
	if err != nil {
		return end, err
	}
	n.Params = trimWS(s[i:end])
	return end, nil
}

// bareURI cuts an addr-spec without <>: a ';' begins header parameters.
func (n *NameAddr) bareURI(s string, i int) (int, error) {
	start := i
	for i < len(s) {
		switch s[i] {
		case ';', ',', ' ', '\t':
			n.RawURI = s[start:i]
			return i, nil
		case '?':
			return i, errBareURI
		}
		i++
	}
	n.RawURI = s[start:]
	return i, nil
}

// Param returns a header parameter such as "tag" or "q", unquoted.
func (n NameAddr) Param(name string) (string, bool) { return HeaderParam(n.Params, name) }

// Tag is Param("tag").
func (n NameAddr) Tag() string {
	tag, _ := HeaderParam(n.Params, "tag")
	return tag
}
