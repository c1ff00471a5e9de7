package xcap

import (
	"fmt"
	"math"
	"strings"

	"github.com/tacit-presence/tacit/xmltree"
)

// Selector is a node selector (RFC 4825, 6.3): the way to one element, and what
// of it is meant.
type Selector struct {
	steps    []step
	terminal terminal
	attr     xmltree.Name // of a terminal attribute
	prefix   string       // as the attribute's name was written
	bindings []xmltree.Binding
	texts    []string // the steps and the terminal as written
}

// terminal is what is selected of the last step's element.
type terminal uint8

const (
	wholeElement terminal = iota
	oneAttribute
	allNamespaces
)

// step chooses among the child elements of one element.
type step struct {
	any      bool         // *: any name
	name     xmltree.Name // else this one
	position int          // from 1; noPosition: any
	tests    bool         // an attribute must have a value
	attr     xmltree.Name
	value    string
}

const (
	noPosition = -1
	// maxPosition stands for all that is beyond any document.
	maxPosition = math.MaxInt32
)

const namespaceTerminal = "namespace::*"

// ParseSelector reads a node selector that is not percent-encoded any more.
// Element names without prefix are in space, the default document namespace of
// the application usage (RFC 4825, 5.2). The error is ErrURI, ErrPrefix or
// ErrStep.
func ParseSelector(node, space string, bindings []xmltree.Binding) (*Selector, error) {
	texts, err := splitSteps(node)
	if err != nil {
		return nil, err
	}
	s := &Selector{texts: texts, bindings: bindings}
	last := len(texts) - 1
	for i, text := range texts {
		switch {
		case i > 0 && i == last && text == namespaceTerminal:
			s.terminal = allNamespaces
		case i > 0 && i == last && strings.HasPrefix(text, "@"):
			s.terminal = oneAttribute
			if s.attr, err = s.attribute(text[1:]); err != nil {
				return nil, err
			}
			s.prefix, _, _ = cutQName(text[1:])
		default:
			st, err := s.step(text, space)
			if err != nil {
				return nil, err
			}
			s.steps = append(s.steps, st)
		}
	}
	return s, nil
}

// String returns the selector as it was written.
func (s *Selector) String() string { return strings.Join(s.texts, "/") }

// Namespaces reports whether it selects the namespaces of an element.
func (s *Selector) Namespaces() bool { return s.terminal == allNamespaces }

// splitSteps splits at each slash outside of quotes.
func splitSteps(node string) ([]string, error) {
	var texts []string
	var quote byte
	start := 0
	for i := 0; i <= len(node); i++ {
		switch {
		case i == len(node) || quote == 0 && node[i] == '/':
			if start == i {
				return nil, fmt.Errorf("%w: an empty step", ErrURI)
			}
			if len(texts) == maxSteps {
				return nil, fmt.Errorf("%w: more than %d steps", ErrURI, maxSteps)
			}
			texts = append(texts, node[start:i])
			start = i + 1
		case quote != 0 && node[i] == quote:
			quote = 0
		case quote == 0 && (node[i] == '"' || node[i] == '\''):
			quote = node[i]
		}
	}
	return texts, nil
}

// step reads NameorAny ["[" position "]"] ["[" attr-test "]"].
func (s *Selector) step(text, space string) (st step, err error) {
	name, rest := text, ""
	if i := strings.IndexByte(text, '['); i >= 0 {
		name, rest = text[:i], text[i:]
	}
	if st.any = name == "*"; !st.any {
		if st.name, err = s.expand(name, space); err != nil {
			return st, err
		}
	}
	st.position = noPosition
	if len(rest) > 1 && isDigit(rest[1]) {
		i := 1
		for st.position = 0; i < len(rest) && isDigit(rest[i]); i++ {
			st.position = min(st.position*10+int(rest[i]-'0'), maxPosition)
		}
		if i == len(rest) || rest[i] != ']' {
			return st, ErrStep
		}
		rest = rest[i+1:]
	}
	if rest == "" {
		return st, nil
	}
	test, ok := strings.CutPrefix(rest, "[@")
	if !ok {
		return st, ErrStep
	}
	attr, value, ok := strings.Cut(test, "=")
	if !ok {
		return st, ErrStep
	}
	st.tests = true
	if st.attr, err = s.attribute(attr); err != nil {
		return st, err
	}
	value, ok = strings.CutSuffix(value, "]")
	if !ok {
		return st, ErrStep
	}
	if st.value, ok = attValue(value); !ok {
		return st, ErrStep
	}
	return st, nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// expand gives the expanded name of a QName of the selector, in space if it has
// no prefix.
func (s *Selector) expand(qname, space string) (xmltree.Name, error) {
	prefix, local, ok := cutQName(qname)
	switch {
	case !ok:
		return xmltree.Name{}, ErrStep
	case prefix == "":
		return xmltree.Name{Space: space, Local: local}, nil
	case prefix == "xml":
		return xmltree.Name{Space: xmltree.XMLSpace, Local: local}, nil
	}
	for i := len(s.bindings) - 1; i >= 0; i-- {
		if s.bindings[i].Prefix == prefix {
			return xmltree.Name{Space: s.bindings[i].Space, Local: local}, nil
		}
	}
	return xmltree.Name{}, fmt.Errorf("%w: %.64q", ErrPrefix, prefix)
}

// attribute gives the expanded name of an attribute: in no namespace without a
// prefix (RFC 4825, 6.3).
func (s *Selector) attribute(qname string) (xmltree.Name, error) { return s.expand(qname, "") }

func cutQName(qname string) (prefix, local string, ok bool) {
	local = qname
	if i := strings.IndexByte(qname, ':'); i >= 0 {
		if prefix, local = qname[:i], qname[i+1:]; !xmltree.IsNCName(prefix) {
			return "", "", false
		}
	}
	return prefix, local, xmltree.IsNCName(local)
}

// attValue reads an AttValue of XML 1.0, quotes included, and gives the value
// that it stands for.
func attValue(text string) (string, bool) {
	if len(text) < 2 || text[0] != '"' && text[0] != '\'' || text[len(text)-1] != text[0] ||
		strings.IndexByte(text[1:len(text)-1], text[0]) >= 0 {
		return "", false
	}
	if !strings.ContainsAny(text, "<&\t\r\n") {
		// Nothing in it to resolve; what is not a character of XML is in no
		// document.
		return text[1 : len(text)-1], true
	}
	d, err := xmltree.Parse("<a v="+text+"/>", xmltree.Limits{})
	if err != nil {
		return "", false
	}
	return d.Attr(d.Root(), "", "v")
}

// matches returns the first child element of parent that the step chooses, and
// how many there are, not counting beyond 2.
func (st *step) matches(d *xmltree.Doc, parent xmltree.Node) (first xmltree.Node, count int) {
	first = xmltree.None
	at := 0
	for n := d.FirstElement(parent); n != xmltree.None && count < 2; n = d.NextElement(n) {
		if !st.fits(d, n) {
			continue
		}
		at++
		if st.position != noPosition && st.position != at || !st.passes(d, n) {
			continue
		}
		if count++; count == 1 {
			first = n
		}
	}
	return first, count
}

// fits reports whether the element's name is that of the step.
func (st *step) fits(d *xmltree.Doc, n xmltree.Node) bool {
	space := st.name.Space
	if space == RootSpace {
		space = d.Space(d.Root())
	}
	return st.any || d.Is(n, space, st.name.Local)
}

// passes reports whether the element has the attribute that the step tests for.
func (st *step) passes(d *xmltree.Doc, n xmltree.Node) bool {
	if !st.tests {
		return true
	}
	v, ok := d.Attr(n, st.attr.Space, st.attr.Local)
	return ok && v == st.value
}

// walk follows steps from the document's root; done says how many of them
// selected just one element each.
func walk(d *xmltree.Doc, steps []step) (n xmltree.Node, done int) {
	n = xmltree.Document
	for i := range steps {
		next, count := steps[i].matches(d, n)
		if count != 1 {
			return n, i
		}
		n = next
	}
	return n, len(steps)
}

// element returns the element that all steps lead to.
func (s *Selector) element(d *xmltree.Doc) (xmltree.Node, bool) {
	n, done := walk(d, s.steps)
	return n, done == len(s.steps)
}

// Exists reports whether the selector selects something in d.
func (s *Selector) Exists(d *xmltree.Doc) bool {
	n, ok := s.element(d)
	if ok && s.terminal == oneAttribute {
		_, ok = d.Find(n, s.attr.Space, s.attr.Local)
	}
	return ok
}

// parent is where a PUT puts its node: the element of all steps but the last,
// or of all for an attribute.
func (s *Selector) parent() []step {
	if s.terminal == oneAttribute {
		return s.steps
	}
	return s.steps[:len(s.steps)-1]
}

// HasParent reports whether d has the element into which a PUT puts its node,
// and if not, the escaped selector of the closest one that it has, with its
// query; empty if not even the root fits.
func (s *Selector) HasParent(d *xmltree.Doc) (closest string, ok bool) {
	steps := s.parent()
	_, done := walk(d, steps)
	if done == len(steps) {
		return "", true
	}
	if done == 0 {
		return "", false
	}
	var b []byte
	for i, text := range s.texts[:done] {
		if i > 0 {
			b = append(b, '/')
		}
		b = appendEscaped(b, text)
	}
	return string(appendQuery(b, s.bindings)), false
}
