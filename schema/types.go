package schema

import (
	"strings"

	"github.com/tacit-presence/tacit/xmltree"
)

// simpleType is the type of a text.
type simpleType struct {
	what     string            // how a phrase names it
	collapse bool              // white space is trimmed and made single before the check
	is       func(string) bool // nil takes everything
	unique   bool              // xs:ID: no two in a document are equal
}

func (t *simpleType) valid(s string) bool {
	if t.is == nil {
		return true
	}
	if t.collapse {
		s = collapse(s)
	}
	return t.is(s)
}

// The built-in types that the schemas use. They are constants in all but name.
var (
	anyText  = &simpleType{what: "text"} // xs:string, xs:token, xs:anySimpleType
	anyURI   = &simpleType{what: "a URI", collapse: true, is: isURI}
	boolean  = &simpleType{what: "true or false", collapse: true, is: oneOf("true", "false", "1", "0")}
	integer  = &simpleType{what: "a whole number", collapse: true, is: isInteger}
	positive = &simpleType{what: "a whole number above 0", collapse: true, is: func(s string) bool {
		m, negative, ok := magnitude(s)
		return ok && !negative && m != ""
	}}
	natural = &simpleType{what: "a whole number", collapse: true, is: func(s string) bool {
		m, negative, ok := magnitude(s)
		return ok && (!negative || m == "")
	}}
	unsignedLong = &simpleType{what: "a whole number below 2^64, without sign", collapse: true, is: func(s string) bool {
		return digits(s) && fits(strings.TrimLeft(s, "0"), "18446744073709551615")
	}}
	decimal      = &simpleType{what: "a decimal number", collapse: true, is: isDecimal}
	dateTime     = &simpleType{what: "a date and time", collapse: true, is: func(s string) bool { _, ok := instant(s); return ok }}
	id           = &simpleType{what: "an ID: a name without colon", collapse: true, is: xmltree.IsNCName, unique: true}
	langType     = &simpleType{what: "a language tag", is: func(s string) bool { return s == "" || isLanguage(collapse(s)) }}
	xmlSpaceType = enum("default", "preserve")
)

// enum is one of a few words, without white space around, as restrictions of
// xs:string are.
func enum(words ...string) *simpleType {
	return &simpleType{what: alternatives(words), is: oneOf(words...)}
}

// tokens is one of a few words, as restrictions of xs:token are.
func tokens(words ...string) *simpleType {
	return &simpleType{what: alternatives(words), collapse: true, is: oneOf(words...)}
}

// listOf is one or more of the words, with white space between.
func listOf(words ...string) *simpleType {
	one := oneOf(words...)
	return &simpleType{what: "a list of " + alternatives(words), collapse: true, is: func(s string) bool {
		for s != "" {
			word, rest, more := strings.Cut(s, " ")
			if !one(word) {
				return false
			}
			if s = rest; !more {
				return true
			}
		}
		return false
	}}
}

func alternatives(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

func oneOf(words ...string) func(string) bool {
	return func(s string) bool {
		for _, w := range words {
			if w == s {
				return true
			}
		}
		return false
	}
}

// collapse trims white space and makes runs of it one space.
func collapse(s string) string {
	s = strings.Trim(s, " \t\r\n")
	for i := range len(s) {
		if s[i] == '\t' || s[i] == '\r' || s[i] == '\n' || s[i] == ' ' && s[i+1] == ' ' {
			return strings.Join(strings.FieldsFunc(s, func(c rune) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }), " ")
		}
	}
	return s
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func isInteger(s string) bool { _, _, ok := magnitude(s); return ok }

// magnitude gives an integer's digits without leading zeros.
func magnitude(s string) (m string, negative, ok bool) {
	if s != "" && (s[0] == '+' || s[0] == '-') {
		negative = s[0] == '-'
		s = s[1:]
	}
	return strings.TrimLeft(s, "0"), negative, digits(s)
}

// fits compares numbers written without leading zeros.
func fits(m, limit string) bool {
	return len(m) < len(limit) || len(m) == len(limit) && m <= limit
}

func isDecimal(s string) bool {
	if s != "" && (s[0] == '+' || s[0] == '-') {
		s = s[1:]
	}
	whole, fraction, _ := strings.Cut(s, ".")
	return (whole != "" || fraction != "") && (whole == "" || digits(whole)) && (fraction == "" || digits(fraction))
}

// isURI is xs:anyURI, which takes almost everything: what a URI must escape may
// stand unescaped. What stays wrong is a broken escape, a second fragment, and
// a first segment with a colon that is no scheme (RFC 3986, 4.2).
func isURI(s string) bool {
	for i := range len(s) {
		if s[i] == '%' && (i+2 >= len(s) || !hex(s[i+1]) || !hex(s[i+2])) {
			return false
		}
	}
	if strings.Count(s, "#") > 1 {
		return false
	}
	i := strings.IndexAny(s, ":/?#")
	return i < 0 || s[i] != ':' || isScheme(s[:i])
}

func hex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func isScheme(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !letter(c) && (i == 0 || (c < '0' || c > '9') && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return s != ""
}

// isLanguage is xs:language.
func isLanguage(s string) bool {
	for i := 0; ; i++ {
		part, rest, more := strings.Cut(s, "-")
		if len(part) < 1 || len(part) > 8 {
			return false
		}
		for j := range len(part) {
			if c := part[j]; !letter(c) && (i == 0 || c < '0' || c > '9') {
				return false
			}
		}
		if !more {
			return true
		}
		s = rest
	}
}
