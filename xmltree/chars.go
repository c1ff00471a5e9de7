package xmltree

import (
	"strings"
	"unicode/utf8"
)

// What a byte below 0x80 can be.
const (
	clsSpace     uint8 = 1 << iota // XML 1.0, 2.3: S
	clsNameStart                   // of an NCName
	clsName                        // in an NCName
	clsText                        // in character data, as it stands
	clsAttr                        // in an attribute's value, as it stands; its own quote apart
)

var charClass = func() (t [256]uint8) {
	for c := range 0x80 {
		if c >= ' ' || c == '\t' || c == '\n' || c == '\r' {
			t[c] = clsText | clsAttr
		}
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_':
			t[c] |= clsNameStart | clsName
		case c >= '0' && c <= '9', c == '-', c == '.':
			t[c] |= clsName
		case c == ' ', c == '\t', c == '\n', c == '\r':
			t[c] |= clsSpace
		}
	}
	t['<'] &^= clsText | clsAttr
	t['&'] &^= clsText | clsAttr
	t['>'] &^= clsText // may end "]]>"
	return t
}()

func isSpace(c byte) bool { return charClass[c]&clsSpace != 0 }

// isChar is the production Char (XML 1.0, 2.2).
func isChar(r rune) bool {
	return r >= 0x20 && r <= 0xD7FF || r == '\t' || r == '\n' || r == '\r' ||
		r >= 0xE000 && r <= 0xFFFD || r >= 0x10000 && r <= 0x10FFFF
}

// isNameStart and isName are NameStartChar and NameChar (XML 1.0, 2.3) without
// the colon, above ASCII.
func isNameStart(r rune) bool {
	return r >= 0xC0 && r <= 0x2FF && r != 0xD7 && r != 0xF7 || r >= 0x370 && r <= 0x1FFF && r != 0x37E ||
		r == 0x200C || r == 0x200D || r >= 0x2070 && r <= 0x218F || r >= 0x2C00 && r <= 0x2FEF ||
		r >= 0x3001 && r <= 0xD7FF || r >= 0xF900 && r <= 0xFDCF || r >= 0xFDF0 && r <= 0xFFFD && r != utf8.RuneError ||
		r >= 0x10000 && r <= 0xEFFFF
}

func isName(r rune) bool {
	return isNameStart(r) || r == 0xB7 || r >= 0x300 && r <= 0x36F || r == 0x203F || r == 0x2040
}

// ncName returns the end of the NCName that starts at i; i itself if none does.
func ncName(s string, i int) int {
	start := i
	for i < len(s) {
		if c := s[i]; c < utf8.RuneSelf {
			cls := clsName
			if i == start {
				cls = clsNameStart
			}
			if charClass[c]&cls == 0 {
				return i
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if i == start && !isNameStart(r) || !isName(r) {
			return i
		}
		i += size
	}
	return i
}

// IsNCName reports whether s is a name without a colon, as xs:ID wants it
// (Namespaces in XML 1.0, 3).
func IsNCName(s string) bool { return s != "" && ncName(s, 0) == len(s) }

// clip shortens a name for an error text.
func clip(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

// reference reads the reference at s[i], which is '&': its character, and where
// it ends; 0 if it is not allowed.
func reference(s string, i int) (rune, int) {
	const longest = len("&#x0010FFFF;")
	end := strings.IndexByte(s[i:min(len(s), i+longest)], ';')
	if end < 0 {
		return 0, i
	}
	name := s[i+1 : i+end]
	end += i + 1
	switch name {
	case "amp":
		return '&', end
	case "lt":
		return '<', end
	case "gt":
		return '>', end
	case "quot":
		return '"', end
	case "apos":
		return '\'', end
	}
	if len(name) < 2 || name[0] != '#' {
		return 0, i
	}
	if r := number(name[1:]); isChar(r) {
		return r, end
	}
	return 0, i
}

// number reads a character reference's number; -1 if it is none.
func number(s string) rune {
	base := rune(10)
	if s[0] == 'x' {
		base, s = 16, s[1:]
	}
	if s == "" {
		return -1
	}
	var r rune
	for i := range len(s) {
		c, v := s[i], rune(0)
		switch {
		case c >= '0' && c <= '9':
			v = rune(c - '0')
		case base == 16 && c >= 'a' && c <= 'f':
			v = rune(c-'a') + 10
		case base == 16 && c >= 'A' && c <= 'F':
			v = rune(c-'A') + 10
		default:
			return -1
		}
		if r = r*base + v; r > utf8.MaxRune {
			return -1
		}
	}
	return r
}

// unescape resolves references, which have been checked, and normalises line
// ends, and in attributes white space.
func unescape(s string, attribute bool) string {
	stop := "&\r"
	if attribute {
		stop = "&\r\n\t"
	}
	i := strings.IndexAny(s, stop)
	if i < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i >= 0 {
		b.WriteString(s[:i])
		switch s[i] {
		case '&':
			r, end := reference(s, i)
			b.WriteRune(r)
			s = s[max(end, i+1):]
		case '\r':
			if i+1 < len(s) && s[i+1] == '\n' {
				i++
			}
			fallthrough
		default:
			if attribute {
				b.WriteByte(' ')
			} else {
				b.WriteByte('\n')
			}
			s = s[i+1:]
		}
		i = strings.IndexAny(s, stop)
	}
	b.WriteString(s)
	return b.String()
}

func newlines(s string) string {
	if strings.IndexByte(s, '\r') < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
}
