package xmltree

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	bom          = "\xEF\xBB\xBF"
	declOpen     = "<?xml"
	piClose      = "?>"
	commentOpen  = "<!--"
	commentClose = "-->"
	cdataOpen    = "<![CDATA["
	cdataClose   = "]]>"
)

// bad makes an error: the reason, where, and what.
func bad(reason error, at int, format string, args ...any) error {
	return fmt.Errorf("%w: at byte %d: %s", reason, at, fmt.Sprintf(format, args...))
}

func (d *Doc) parse() error {
	i, err := d.prolog()
	for s := d.src; err == nil && i < len(s); {
		switch {
		case s[i] != '<':
			i, err = d.text(i)
		case i+1 == len(s):
			return bad(ErrSyntax, i, "the document ends within a tag")
		case s[i+1] == '/':
			i, err = d.endTag(i)
		case s[i+1] == '!':
			i, err = d.markup(i)
		case s[i+1] == '?':
			i, err = d.instruction(i)
		default:
			i, err = d.startTag(i)
		}
	}
	switch {
	case err != nil:
		return err
	case d.cur != Document:
		return bad(ErrSyntax, len(d.src), "the document ends within <%s>", clip(d.qname(d.cur)))
	case d.root == None:
		return bad(ErrSyntax, len(d.src), "there is no element")
	}
	return nil
}

// prolog reads the byte order mark and the XML declaration, if there are.
func (d *Doc) prolog() (int, error) {
	s := d.src
	if strings.HasPrefix(s, "\xFE\xFF") || strings.HasPrefix(s, "\xFF\xFE") || strings.HasPrefix(s, "\x00<") || strings.HasPrefix(s, "<\x00") {
		return 0, bad(ErrEncoding, 0, "UTF-16; only UTF-8 is read")
	}
	i := 0
	if strings.HasPrefix(s, bom) {
		i = len(bom)
	}
	if !strings.HasPrefix(s[i:], declOpen) || i+len(declOpen) < len(s) && !isSpace(s[i+len(declOpen)]) {
		return i, nil
	}
	return d.declaration(i)
}

// declaration reads the XML declaration (XML 1.0, 2.8): version, then encoding,
// then standalone.
func (d *Doc) declaration(start int) (int, error) {
	s, i := d.src, start+len(declOpen)
	for k, name := range [...]string{"version", "encoding", "standalone"} {
		j := skipSpace(s, i)
		if !strings.HasPrefix(s[j:], name) {
			if k == 0 {
				return 0, bad(ErrSyntax, j, "an XML declaration without version")
			}
			continue
		}
		if j == i {
			return 0, bad(ErrSyntax, j, "white space is missing in the XML declaration")
		}
		value, end, ok := pseudoAttr(s, j+len(name))
		if !ok {
			return 0, bad(ErrSyntax, j, "malformed %s in the XML declaration", name)
		}
		i = end
		switch {
		case k == 0 && value != "1.0":
			return 0, bad(ErrForbidden, j, "XML version %q; only 1.0 is read", clip(value))
		case k == 1 && !strings.EqualFold(value, "UTF-8"):
			return 0, bad(ErrEncoding, j, "encoding %q; only UTF-8 is read", clip(value))
		case k == 2 && value != "yes" && value != "no":
			return 0, bad(ErrSyntax, j, "standalone is %q, neither yes nor no", clip(value))
		}
	}
	i = skipSpace(s, i)
	if !strings.HasPrefix(s[i:], piClose) {
		return 0, bad(ErrSyntax, i, "malformed XML declaration")
	}
	i += len(piClose)
	_, err := d.add(node{kind: KindPI, start: int32(start), end: int32(i)})
	return i, err
}

// pseudoAttr reads = and a quoted value.
func pseudoAttr(s string, i int) (value string, end int, ok bool) {
	i = skipSpace(s, i)
	if i >= len(s) || s[i] != '=' {
		return "", 0, false
	}
	i = skipSpace(s, i+1)
	if i >= len(s) || s[i] != '"' && s[i] != '\'' {
		return "", 0, false
	}
	n := strings.IndexByte(s[i+1:], s[i])
	if n < 0 {
		return "", 0, false
	}
	return s[i+1 : i+1+n], i + n + 2, true
}

func skipSpace(s string, i int) int {
	for i < len(s) && isSpace(s[i]) {
		i++
	}
	return i
}

// add appends a node as the last child of the open element.
func (d *Doc) add(n node) (Node, error) {
	if len(d.nodes) > d.lim.MaxNodes {
		return None, bad(ErrTooLarge, int(n.start), "more than %d nodes", d.lim.MaxNodes)
	}
	id := Node(len(d.nodes))
	n.parent, n.first, n.last, n.next = d.cur, None, None, None
	d.nodes = append(d.nodes, n)
	parent := &d.nodes[d.cur]
	if parent.last == None {
		parent.first = id
	} else {
		d.nodes[parent.last].next = id
	}
	parent.last = id
	return id, nil
}

// text reads character data up to the next '<'.
func (d *Doc) text(start int) (int, error) {
	s, i := d.src, start
	if d.cur == Document {
		if i = skipSpace(s, i); i < len(s) && s[i] != '<' {
			return 0, bad(ErrSyntax, i, "text outside of the root element")
		}
	}
	for {
		for i < len(s) && charClass[s[i]]&clsText != 0 {
			i++
		}
		if i == len(s) || s[i] == '<' {
			break
		}
		if s[i] == '>' {
			if i-start >= 2 && s[i-1] == ']' && s[i-2] == ']' {
				return 0, bad(ErrSyntax, i, "]]> in text")
			}
			i++
			continue
		}
		var err error
		if i, err = d.special(i); err != nil {
			return 0, err
		}
	}
	_, err := d.add(node{kind: KindText, start: int32(start), end: int32(i)})
	return i, err
}

// special reads what needs a look: a reference, or a character beyond ASCII.
func (d *Doc) special(i int) (int, error) {
	s := d.src
	if s[i] != '&' {
		return char(s, i)
	}
	if r, end := reference(s, i); r != 0 {
		return end, nil
	}
	name := s[i+1 : min(len(s), i+1+maxName)]
	if n := strings.IndexAny(name, "; \t\r\n<&\"'"); n >= 0 {
		name = name[:n]
	}
	if IsNCName(name) {
		// XML 1.0, 4.1: without a document type declaration, and there is none, every
		// other entity must not be.
		return 0, bad(ErrSyntax, i, "entity &%s; is none of the five that XML has", clip(name))
	}
	return 0, bad(ErrSyntax, i, "malformed reference")
}

// char reads one character that must be allowed in XML.
func char(s string, i int) (int, error) {
	r, size := utf8.DecodeRuneInString(s[i:])
	switch {
	case r == utf8.RuneError && size == 1:
		return 0, bad(ErrEncoding, i, "not UTF-8")
	case !isChar(r):
		return 0, bad(ErrSyntax, i, "character U+%04X", r)
	}
	return i + size, nil
}

// chars checks a range of a comment, CDATA section or processing instruction.
func chars(s string, i, end int) error {
	for i < end {
		if c := s[i]; c >= ' ' && c < utf8.RuneSelf || isSpace(c) {
			i++
			continue
		}
		var err error
		if i, err = char(s, i); err != nil {
			return err
		}
	}
	return nil
}

// markup reads what begins with "<!".
func (d *Doc) markup(start int) (int, error) {
	s := d.src
	n := node{kind: KindComment, start: int32(start)}
	var inner, end int
	switch {
	case strings.HasPrefix(s[start:], commentOpen):
		inner = start + len(commentOpen)
		end = strings.Index(s[inner:], "--")
		if end >= 0 && !strings.HasPrefix(s[inner+end:], commentClose) {
			return 0, bad(ErrSyntax, inner+end, "-- within a comment")
		}
	case strings.HasPrefix(s[start:], cdataOpen):
		if d.cur == Document {
			return 0, bad(ErrSyntax, start, "text outside of the root element")
		}
		n.kind = KindCData
		inner = start + len(cdataOpen)
		end = strings.Index(s[inner:], cdataClose)
	case strings.HasPrefix(s[start:], "<!DOCTYPE"):
		return 0, bad(ErrForbidden, start, "a document type declaration")
	default:
		return 0, bad(ErrSyntax, start, "markup that is neither comment nor CDATA section")
	}
	if end < 0 {
		return 0, bad(ErrSyntax, start, "a comment or CDATA section without end")
	}
	end += inner
	if err := chars(s, inner, end); err != nil {
		return 0, err
	}
	end += len(commentClose) // as long as cdataClose
	n.end = int32(end)
	_, err := d.add(n)
	return end, err
}

// instruction reads a processing instruction.
func (d *Doc) instruction(start int) (int, error) {
	s := d.src
	target := start + len("<?")
	end := ncName(s, target)
	length := strings.Index(s[end:], piClose)
	switch {
	case end == target:
		return 0, bad(ErrSyntax, start, "a processing instruction without name")
	case strings.EqualFold(s[target:end], "xml"):
		return 0, bad(ErrSyntax, start, "an XML declaration that is not at the beginning")
	case length < 0:
		return 0, bad(ErrSyntax, start, "a processing instruction without end")
	case length > 0 && !isSpace(s[end]):
		return 0, bad(ErrSyntax, end, "malformed name of a processing instruction")
	}
	if err := chars(s, end, end+length); err != nil {
		return 0, err
	}
	end += length + len(piClose)
	_, err := d.add(node{kind: KindPI, start: int32(start), end: int32(end)})
	return end, err
}

func (d *Doc) endTag(start int) (int, error) {
	s := d.src
	if d.cur == Document {
		return 0, bad(ErrSyntax, start, "an end tag without start tag")
	}
	open := &d.nodes[d.cur]
	name := d.qname(d.cur)
	i := start + len("</")
	if !strings.HasPrefix(s[i:], name) {
		return 0, bad(ErrSyntax, start, "<%s> is not closed by its end tag", clip(name))
	}
	i = skipSpace(s, i+len(name))
	if i == len(s) || s[i] != '>' {
		return 0, bad(ErrSyntax, start, "<%s> is not closed by its end tag", clip(name))
	}
	open.closing, open.end = int32(start), int32(i+1)
	d.closed()
	return i + 1, nil
}

// closed leaves the open element and its namespace declarations.
func (d *Doc) closed() {
	for n := len(d.scope) - 1; d.binds[d.scope[n]].owner == d.cur; n-- {
		d.scope = d.scope[:n]
	}
	d.cur = d.nodes[d.cur].parent
	d.depth--
}

func (d *Doc) qname(n Node) string {
	e := &d.nodes[n]
	return d.src[e.start+1 : e.start+1+int32(e.name)]
}
