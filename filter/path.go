package filter

import (
	"strings"
	"unicode/utf8"

	"github.com/tacit-presence/tacit/xmltree"
)

// Limits of one expression: real ones have a handful of steps.
const (
	maxExpression = 1024 // bytes
	maxSteps      = 16
	maxTerms      = 16 // of one predicate
)

// blanks is XML's white space.
const blanks = " \t\r\n"

// path is an expression of RFC 4661, 5: location steps, the last of which may be
// an attribute.
type path struct {
	steps []step
	attr  *xmltree.Name // the attribute selected, nil: elements are
}

// step is one location step.
type step struct {
	deep  bool // any level below
	any   bool // *
	name  xmltree.Name
	terms []term // of the predicate, with "or" weaker than "and"
}

// term is one comparison of a predicate.
type term struct {
	or     bool // begins a new alternative
	parent bool // the path starts at ".."
	steps  []step
	attr   *xmltree.Name
	op     string // "", "=", "!=", "<", ">", "<=", ">="
	value  string
	number float64 // value, where it is one
	valid  bool    // value is a number
	quoted bool    // compared as a text by = and !=
}

// parser reads expressions; prefixes are those of <ns-bindings>.
type parser struct {
	text     string
	at       int
	prefixes map[string]string
}

// parsePath reads a reference with at most one predicate a step.
func parsePath(text string, prefixes map[string]string) (*path, error) {
	text = strings.Trim(text, blanks)
	if len(text) > maxExpression {
		return nil, bad("an expression has more than %d bytes", maxExpression)
	}
	p := &parser{text: text, prefixes: prefixes}
	result := new(path)
	for {
		p.space()
		if p.at == len(p.text) {
			break
		}
		if !p.take("/") {
			return nil, p.bad("/ is expected")
		}
		deep := p.take("/")
		p.space()
		if p.take("@") {
			name, err := p.attribute()
			if err != nil {
				return nil, err
			}
			if deep {
				result.steps = append(result.steps, step{deep: true, any: true})
			}
			if len(result.steps) == 0 {
				return nil, p.bad("the document itself has no attributes")
			}
			result.attr = &name
			if p.space(); p.at != len(p.text) {
				return nil, p.bad("an attribute ends an expression")
			}
			break
		}
		s, err := p.step(deep)
		if err != nil {
			return nil, err
		}
		if result.steps = append(result.steps, s); len(result.steps) > maxSteps {
			return nil, bad("an expression has more than %d steps", maxSteps)
		}
	}
	if len(result.steps) == 0 {
		return nil, bad("an expression selects nothing")
	}
	return result, nil
}

func (p *parser) step(deep bool) (s step, err error) {
	s.deep = deep
	if s.any, s.name, err = p.nameTest(); err != nil {
		return s, err
	}
	if p.space(); p.take("[") {
		if s.terms, err = p.predicate(); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (p *parser) predicate() (terms []term, err error) {
	or := true
	for {
		t, err := p.term()
		if err != nil {
			return nil, err
		}
		t.or = or
		if terms = append(terms, t); len(terms) > maxTerms {
			return nil, bad("a predicate has more than %d terms", maxTerms)
		}
		p.space()
		switch {
		case p.take("]"):
			return terms, nil
		case p.word("and"):
			or = false
		case p.word("or"):
			or = true
		default:
			return nil, p.bad("], and, or or is expected")
		}
	}
}

// term reads one comparison. The value is a literal in quotes, or a number.
func (p *parser) term() (t term, err error) {
	if p.space(); p.take("..") {
		t.parent = true
	} else if !p.take(".") {
		if err = p.relative(&t); err != nil {
			return t, err
		}
	}
	for t.attr == nil && p.take("/") {
		if err = p.relative(&t); err != nil {
			return t, err
		}
	}
	p.space()
	for _, op := range [...]string{"!=", "<=", ">=", "=", "<", ">"} {
		if p.take(op) {
			t.op = op
			break
		}
	}
	if t.op == "" {
		return t, nil // it is enough that there is one
	}
	p.space()
	if p.at == len(p.text) {
		return t, p.bad("a value is expected")
	}
	if q := p.text[p.at]; q == '"' || q == '\'' {
		end := strings.IndexByte(p.text[p.at+1:], q)
		if end < 0 {
			return t, p.bad("a value is not closed")
		}
		t.value, t.quoted = strings.Trim(p.text[p.at+1:p.at+1+end], blanks), true
		t.number, t.valid = number(t.value)
		p.at += end + 2
		return t, nil
	}
	start := p.at
	for p.at < len(p.text) && strings.IndexByte("+-.0123456789eE", p.text[p.at]) >= 0 {
		p.at++
	}
	t.value = p.text[start:p.at]
	if t.number, t.valid = number(t.value); !t.valid {
		return t, p.bad("a value is a number, or in quotes")
	}
	return t, nil
}

// relative reads a step of a term's path.
func (p *parser) relative(t *term) error {
	if p.space(); p.take("@") {
		name, err := p.attribute()
		t.attr = &name
		return err
	}
	var s step
	var err error
	if s.any, s.name, err = p.nameTest(); err != nil {
		return err
	}
	if t.steps = append(t.steps, s); len(t.steps) > maxSteps {
		return bad("an expression has more than %d steps", maxSteps)
	}
	return nil
}

func (p *parser) nameTest() (any bool, name xmltree.Name, err error) {
	if p.space(); p.take("*") {
		return true, name, nil
	}
	name, err = p.qname()
	return false, name, err
}

// attribute reads an attribute's name: without prefix it has no namespace.
func (p *parser) attribute() (xmltree.Name, error) { return p.qname() }

// qname reads a qualified name. RFC 4661, 5: without prefix its namespace is
// null, as in XPath 1.0; a prefix must be bound.
func (p *parser) qname() (xmltree.Name, error) {
	local := p.ncname()
	if local == "" {
		return xmltree.Name{}, p.bad("a name is expected")
	}
	if !p.take(":") {
		return xmltree.Name{Local: local}, nil
	}
	bound, ok := p.prefixes[local]
	if !ok {
		return xmltree.Name{}, bad("the prefix %q is not in <ns-bindings>", local)
	}
	if bound == figure2Space {
		bound = dynamicSpace
	}
	if local = p.ncname(); local == "" {
		return xmltree.Name{}, p.bad("a name is expected")
	}
	return xmltree.Name{Space: bound, Local: local}, nil
}

func (p *parser) ncname() string {
	start := p.at
	for p.at < len(p.text) {
		_, size := utf8.DecodeRuneInString(p.text[p.at:])
		if !xmltree.IsNCName(p.text[start : p.at+size]) {
			break
		}
		p.at += size
	}
	return p.text[start:p.at]
}

func (p *parser) space() {
	for p.at < len(p.text) && strings.IndexByte(blanks, p.text[p.at]) >= 0 {
		p.at++
	}
}

func (p *parser) take(s string) bool {
	if strings.HasPrefix(p.text[p.at:], s) {
		p.at += len(s)
		return true
	}
	return false
}

// word takes an operator's name, which a name may not follow at once.
func (p *parser) word(s string) bool {
	rest, ok := strings.CutPrefix(p.text[p.at:], s)
	if !ok || rest == "" || strings.IndexByte(" \t\r\n@.*", rest[0]) < 0 {
		return false
	}
	p.at += len(s)
	return true
}

func (p *parser) bad(what string) error {
	return bad("%s at position %d of %q", what, p.at+1, p.text)
}
