package xcap

import (
	"fmt"
	"strings"

	"github.com/tacit-presence/tacit/xmltree"
)

// ParseBindings reads a query: an XPointer of xmlns() parts, each binding a
// prefix (RFC 4825, 6.4). Parts of other schemes are passed over. The error is
// ErrURI.
func ParseBindings(query string) ([]xmltree.Binding, error) {
	s, err := unescape(query)
	if err != nil {
		return nil, err
	}
	var list []xmltree.Binding
	for s = strings.TrimLeft(s, spaces); s != ""; s = strings.TrimLeft(s, spaces) {
		scheme, rest, ok := strings.Cut(s, "(")
		if !ok || !isQName(scheme) {
			return nil, fmt.Errorf("%w: the query is not of xmlns() parts", ErrURI)
		}
		data, rest, ok := pointerData(rest)
		if !ok {
			return nil, fmt.Errorf("%w: the query's parentheses", ErrURI)
		}
		s = rest
		if scheme != "xmlns" {
			continue
		}
		b, ok := binding(data)
		if !ok || len(list) == maxBindings {
			return nil, fmt.Errorf("%w: xmlns() in the query", ErrURI)
		}
		// The xmlns() scheme: a prefix that is bound anew has the later meaning,
		// xml its own for ever.
		if b.Prefix != "xml" {
			list = append(list, b)
		}
	}
	return list, nil
}

const spaces = " \t\r\n"

// pointerData reads the data of one part, whose opening parenthesis has been
// read. A circumflex escapes itself and parentheses; others must be balanced.
func pointerData(s string) (data, rest string, ok bool) {
	b := make([]byte, 0, len(s))
	for i, depth := 0, 1; i < len(s); i++ {
		switch c := s[i]; c {
		case '^':
			if i++; i == len(s) || !strings.ContainsRune("^()", rune(s[i])) {
				return "", "", false
			}
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return string(b), s[i+1:], true
			}
		}
		b = append(b, s[i])
	}
	return "", "", false
}

func binding(data string) (b xmltree.Binding, ok bool) {
	prefix, space, ok := strings.Cut(data, "=")
	prefix, space = strings.Trim(prefix, spaces), strings.TrimLeft(space, spaces)
	return xmltree.Binding{Prefix: prefix, Space: space}, ok && xmltree.IsNCName(prefix) && prefix != "xmlns" && space != ""
}

func isQName(s string) bool {
	prefix, local, ok := strings.Cut(s, ":")
	return xmltree.IsNCName(prefix) && (!ok || xmltree.IsNCName(local))
}

// appendQuery appends bindings as a query, with the '?'; nothing if there are
// none.
func appendQuery(dst []byte, list []xmltree.Binding) []byte {
	for i, b := range list {
		if i == 0 {
			dst = append(dst, '?')
		}
		dst = append(dst, "xmlns("...)
		dst = appendEscaped(dst, b.Prefix)
		dst = append(dst, '=')
		dst = appendEscaped(dst, pointerEscaper.Replace(b.Space))
		dst = append(dst, ')')
	}
	return dst
}

var pointerEscaper = strings.NewReplacer("^", "^^", "(", "^(", ")", "^)")
