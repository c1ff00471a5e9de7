package xcap

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/sip"
)

// Target is what a request's URI names, read but not looked up.
type Target struct {
	AUID AUID
	Tree Tree
	// XUI is the user as written, decoded; empty in the global tree.
	XUI string
	// Dir is the document's directory below the root, Path the document below
	// that of its user or of the global tree; both in one spelling, escaped.
	Dir, Path string
	// HasNode says that there is a node selector; Node is it, decoded.
	HasNode bool
	Node    string
	// Query is the query as written, without '?'.
	Query string
}

// ParseTarget reads a request target, of which root, such as "/xcap-root", is
// the path of the XCAP root. The error is ErrNotFound, ErrURI or ErrURITooLong;
// the target then has AUID, Tree and XUI if all of them could be read.
func ParseTarget(root, uri string) (t Target, err error) {
	if len(uri) > maxURI {
		return t, ErrURITooLong
	}
	raw, query, _ := strings.Cut(uri, "?")
	if strings.Contains(query, "#") || strings.Contains(raw, "#") {
		return t, fmt.Errorf("%w: a fragment", ErrURI)
	}
	t.Query = query
	raw, ok := strings.CutPrefix(raw, root+"/")
	if !ok {
		return t, ErrNotFound
	}
	segments, node, hasNode, err := splitPath(raw)
	if err != nil {
		if len(segments) > 2 && segments[1] == segmentUsers {
			t.AUID, t.Tree, t.XUI = AUID(segments[0]), TreeUsers, segments[2]
		}
		return t, err
	}
	if len(segments) < 3 {
		return t, ErrNotFound
	}
	t.AUID = AUID(segments[0])
	doc := segments[2:]
	switch segments[1] {
	case segmentGlobal:
		t.Tree = TreeGlobal
	case segmentUsers:
		t.Tree, t.XUI, doc = TreeUsers, segments[2], segments[3:]
	default:
		return t, ErrNotFound
	}
	for i, s := range segments {
		segments[i] = escape(s)
	}
	t.Dir = strings.Join(segments[:len(segments)-len(doc)], "/")
	t.Path = strings.Join(doc, "/")
	if !hasNode {
		return t, nil
	}
	t.HasNode = true
	if t.Node, err = unescape(node); err != nil {
		return t, err
	}
	return t, nil
}

// splitPath decodes the segments of the document selector and cuts off the node
// selector. With an error come the segments before it.
// RFC 4825, 6: the first ~~ separates them, and %7E%7E is the same.
func splitPath(raw string) (segments []string, node string, hasNode bool, err error) {
	for more := true; more; {
		var s string
		s, raw, more = strings.Cut(raw, "/")
		if s, err = unescape(s); err != nil {
			return segments, "", false, err
		}
		switch {
		case s == separator:
			return segments, raw, true, nil
		case s == "" || s == "." || s == ".." || len(s) > maxSegment:
			return segments, "", false, ErrNotFound
		case strings.ContainsFunc(s, isControl):
			return segments, "", false, fmt.Errorf("%w: a control character", ErrURI)
		}
		segments = append(segments, s)
	}
	return segments, "", false, nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7F }

// Document returns the URI of the target's document below the root.
func (t *Target) Document() string {
	if t.Path == "" {
		return t.Dir
	}
	return t.Dir + "/" + t.Path
}

// User returns the address-of-record that the XUI names, with sip:, sips: or
// pres: before it or not.
// RFC 4825, 6.2: the XUI is the address-of-record, so that all of its spellings
// are one user.
func (t *Target) User() (presence.AOR, bool) {
	if t.Tree != TreeUsers {
		return "", false
	}
	s := t.XUI
	if user, _, found := strings.Cut(s, "@"); found && !strings.Contains(user, ":") {
		s = "sip:" + s
	}
	aor, err := sip.ParseAOR(s)
	return aor, err == nil
}

// unescape resolves percent-encoding, once.
func unescape(s string) (string, error) {
	i := strings.IndexByte(s, '%')
	if i < 0 {
		if !utf8.ValidString(s) {
			return "", fmt.Errorf("%w: not UTF-8", ErrURI)
		}
		return s, nil
	}
	b := append(make([]byte, 0, len(s)), s[:i]...)
	for ; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			if i+2 >= len(s) {
				return "", fmt.Errorf("%w: percent-encoding", ErrURI)
			}
			hi, lo := unhex(s[i+1]), unhex(s[i+2])
			if hi < 0 || lo < 0 {
				return "", fmt.Errorf("%w: percent-encoding", ErrURI)
			}
			c = byte(hi<<4 | lo)
			i += 2
		}
		b = append(b, c)
	}
	if !utf8.Valid(b) {
		return "", fmt.Errorf("%w: not UTF-8", ErrURI)
	}
	return string(b), nil
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// pchars are the marks that stay as they are in a path segment (RFC 3986, 3.3).
const pchars = "-._~!$&'()*+,;=:@"

// escape encodes what a path segment cannot hold, so that each segment has one
// spelling.
func escape(s string) string {
	for i := range len(s) {
		if !isPchar(s[i]) {
			return string(appendEscaped(nil, s))
		}
	}
	return s
}

func appendEscaped(dst []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; isPchar(c) {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		}
	}
	return dst
}

func isPchar(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(pchars, c) >= 0
}
