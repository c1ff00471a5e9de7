package location

import (
	"log/slog"

	"github.com/tacit-presence/tacit/xmltree"
)

// Level is how much of a civic address may be told (RFC 6772, 6.5.1).
type Level uint8

// The levels; each includes those before it.
const (
	None Level = iota
	Country
	Region
	City
	Building
	Full
)

// String gives the level as provide-civic has it.
func (l Level) String() string {
	return [...]string{"none", "country", "region", "city", "building", "full"}[min(l, Full)]
}

// ParseLevel reads a level.
func ParseLevel(s string) (Level, bool) {
	for l := None; l <= Full; l++ {
		if s == l.String() {
			return l, true
		}
	}
	return None, false
}

// civicElements are those of RFC 5139, 4 in the order of its schema, each with
// the lowest level that includes it.
var civicElements = [...]struct {
	local string
	level Level
}{
	{"country", Country}, {"A1", Region}, {"A2", City}, {"A3", City}, {"A4", Building}, {"A5", Building}, {"A6", Building},
	{"PRM", Building}, {"PRD", Building}, {"RD", Building}, {"STS", Building}, {"POD", Building}, {"POM", Building},
	{"RDSEC", Building}, {"RDBR", Building}, {"RDSUBBR", Building}, {"HNO", Building}, {"HNS", Building}, {"LMK", Building},
	{"LOC", Full}, {"FLR", Full}, {"NAM", Full}, {"PC", Building}, {"BLD", Full}, {"UNIT", Full}, {"ROOM", Full},
	{"SEAT", Full}, {"PLC", Full}, {"PCN", Full}, {"POBOX", Full}, {"ADDCODE", Full},
}

// Item is one element of a civic address.
type Item struct {
	// Name is the element's; RFC 4119's old namespace is given as RFC 5139's.
	Name  xmltree.Name
	Value string // white space collapsed (RFC 5139, 3.6)
	Lang  string // its own xml:lang
}

// Civic is one civic address. Several of one object are the same place in
// different languages (RFC 5139, 3.5).
type Civic struct {
	Node  xmltree.Node
	Lang  string
	Items []Item // in order of the document, extensions too, each name once
	space string // as it is written: CivicSpace or OldCivicSpace
}

// Value returns the value of an element, and whether the address has it.
func (c Civic) Value(n xmltree.Name) (string, bool) {
	for i := range c.Items {
		if c.Items[i].Name == n {
			return c.Items[i].Value, true
		}
	}
	return "", false
}

// String hides the address.
func (c Civic) String() string { return "civic address" }

// GoString is String: %#v shows no place either.
func (c Civic) GoString() string { return c.String() }

// LogValue keeps addresses out of logs.
func (c Civic) LogValue() slog.Value { return slog.StringValue(c.String()) }

// String hides the value.
func (i Item) String() string { return i.Name.Local }

// GoString is String.
func (i Item) GoString() string { return i.String() }

// LogValue keeps values out of logs.
func (i Item) LogValue() slog.Value { return slog.StringValue(i.String()) }

// maxItems bounds what is compared element by element: RFC 5139 has 31, RFC 4776
// a few more.
const maxItems = 64

// civicSpace returns the namespace of a civic address, empty if the element is
// none. RFC 4119's own example declares its namespace after a space.
func civicSpace(doc *xmltree.Doc, n xmltree.Node) string {
	if doc.Local(n) != "civicAddress" {
		return ""
	}
	switch space := trim(doc.Space(n)); space {
	case CivicSpace, OldCivicSpace:
		return space
	}
	return ""
}

// readCivic reads a civic address.
func readCivic(doc *xmltree.Doc, n xmltree.Node) (Civic, *Error) {
	c := Civic{Node: n, space: civicSpace(doc, n)}
	c.Lang, _ = doc.Attr(n, xmltree.XMLSpace, "lang")
	if hasText(doc, n) {
		return c, bad(ErrObject, n, "<civicAddress> has text between its elements")
	}
	items, err := readItems(doc, n, ErrObject)
	c.Items = items
	return c, err
}

// readItems reads the children of a civic address. An extension that is not
// simple is left out: nothing equals it, and nothing tells it.
func readItems(doc *xmltree.Doc, n xmltree.Node, kind error) (items []Item, fault *Error) {
	for e := doc.FirstElement(n); e != xmltree.None; e = doc.NextElement(e) {
		item, simple := readItem(doc, e)
		switch {
		case !simple && item.Name.Space == CivicSpace:
			return items, bad(kind, e, "<%s> has elements in its text", item.Name.Local)
		case !simple:
			continue
		case len(items) == maxItems:
			return items, bad(kind, e, "a civic address has more than %d elements", maxItems)
		}
		for i := range items {
			if items[i].Name == item.Name {
				return items, bad(kind, e, "a civic address has <%s> twice", item.Name.Local)
			}
		}
		items = append(items, item)
	}
	return items, nil
}

// readItem reads one element of a civic address; simple is false if it has
// elements itself.
func readItem(doc *xmltree.Doc, e xmltree.Node) (item Item, simple bool) {
	item.Name = doc.Name(e)
	if space := trim(item.Name.Space); space == OldCivicSpace || space == CivicSpace {
		item.Name.Space = CivicSpace
	}
	if doc.FirstElement(e) != xmltree.None {
		return item, false
	}
	item.Value = collapse(doc.Text(e))
	item.Lang, _ = doc.Attr(e, xmltree.XMLSpace, "lang")
	return item, true
}

// append writes what a level permits of the address, nothing if there is nothing
// of it. Elements that RFC 6772 does not list are of no level.
func (c Civic) append(dst []byte, level Level) []byte {
	start := len(dst)
	for _, e := range civicElements {
		if e.level > level {
			continue
		}
		for i := range c.Items {
			item := &c.Items[i]
			if item.Name.Local != e.local || item.Name.Space != CivicSpace || item.Value == "" {
				continue
			}
			if len(dst) == start {
				dst = append(dst, `<ca:civicAddress xmlns:ca="`...)
				dst = append(dst, c.space...)
				dst = appendLang(append(dst, '"'), c.Lang, level)
				dst = append(dst, '>')
			}
			dst = append(append(dst, "<ca:"...), e.local...)
			if e.local != "country" && e.local != "PLC" { // RFC 5139, 3.5: neutral
				dst = appendLang(dst, item.Lang, level)
			}
			dst = append(append(dst, '>'), xmltree.EscapeAttr(item.Value)...)
			dst = append(append(append(dst, "</ca:"...), e.local...), '>')
		}
	}
	if len(dst) > start {
		dst = append(dst, "</ca:civicAddress>"...)
	}
	return dst
}

// maxLang is the longest language tag that is told on; RFC 5646, 4.4.1 wants
// room for 35.
const maxLang = 35

// appendLang writes an xml:lang. Below Full only language and script are told: a
// tag's region, variant and extensions can name a place, down to a subdivision.
func appendLang(dst []byte, lang string, level Level) []byte {
	lang = plainLang(lang)
	if level < Full {
		lang = languageAndScript(lang)
	}
	if lang == "" {
		return dst
	}
	return append(append(append(dst, ` xml:lang="`...), lang...), '"')
}

// plainLang returns a tag that looks like one (RFC 5646, 2.1), else nothing.
func plainLang(lang string) string {
	lang = trim(lang)
	if len(lang) > maxLang {
		return ""
	}
	run := 0
	for i := range len(lang) {
		switch c := lang[i]; {
		case c == '-' && run > 0:
			run = 0
		case (c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9') && run < 8:
			run++
		default:
			return ""
		}
	}
	if run == 0 {
		return ""
	}
	return lang
}

func languageAndScript(lang string) string {
	end := 0
	for end < len(lang) && lang[end] != '-' {
		end++
	}
	if end < 2 || end > 3 { // x-, i-, and what is no language of ISO 639
		return ""
	}
	for _, c := range []byte(lang[:end]) {
		if c <= '9' {
			return ""
		}
	}
	const script = 4
	next := end + 1 + script
	if next > len(lang) || next < len(lang) && lang[next] != '-' {
		return lang[:end]
	}
	for _, c := range []byte(lang[end+1 : next]) {
		if c <= '9' { // a variant such as 1996, or a shorter subtag
			return lang[:end]
		}
	}
	return lang[:next]
}
