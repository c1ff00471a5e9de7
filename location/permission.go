package location

import (
	"cmp"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxRadius is the largest radius, in metres, that coarsening can do: beyond, the
// grid's cells would reach over a pole. A larger one tells no geodetic location.
const MaxRadius = 2_000_000

// choice is what rules say of a boolean usage rule. Its order is that of Combine:
// keeping the source's value tells more than No and permits less than Yes.
type choice uint8

const (
	unsaid choice = iota // of Nothing, and while a rule is read
	no
	keep // the source's value
	yes
)

// retention is what rules say of the retention's end: seconds, or retentionKept.
type retention int64

// retentionKept leaves the source's value.
const retentionKept retention = -1

// maxRetention is a hundred years, in seconds; longer is as long.
const maxRetention = 100 * 366 * 24 * 3600

const (
	// maxNote is the longest note-well of one rule, in bytes; each watcher is sent it.
	maxNote = 1024
	// maxNotes is how many of them one Permission keeps: the first in order.
	maxNotes = 8
)

// Permission is how much of a location may be told, and under which usage rules.
// It is a value: equal ones, by ==, tell the same. The zero value is Nothing, and
// all that tell nothing are equal to it.
type Permission struct {
	whole          bool
	civic          Level
	radius         uint32 // metres; 0: nothing geodetic
	retransmission choice
	reference      choice // keep-rule-reference; never yes
	expiry         retention
	notes          string // canonical, see joinNotes
}

// Nothing permits no location.
func Nothing() Permission { return Permission{} }

// Whole permits every location as it is, usage rules unchanged.
func Whole() Permission { return keepRules(Permission{whole: true}) }

// Limited permits civic addresses down to a level, and geodetic locations of a
// radius in metres, 0 for none; usage rules unchanged. It is for ceilings that do
// not come from rules.
func Limited(civic Level, radius uint32) Permission {
	return keepRules(Permission{civic: min(civic, Full), radius: radius}).canonical()
}

func keepRules(p Permission) Permission {
	p.retransmission, p.reference, p.expiry = keep, keep, retentionKept
	return p
}

// canonical makes all that tell nothing the same.
func (p Permission) canonical() Permission {
	if !p.whole && p.civic == None && p.radius == 0 {
		return Permission{}
	}
	if p.whole {
		p.civic, p.radius = None, 0
	}
	return p
}

// IsNothing reports that no location may be told.
func (p Permission) IsNothing() bool { return p == Permission{} }

// IsWhole reports that every location may be told as it is; usage rules may still
// be set.
func (p Permission) IsWhole() bool { return p.whole }

// Unchanged reports that Edit leaves every object as it is.
func (p Permission) Unchanged() bool { return p == Whole() }

// Civic returns the level of civic addresses, and whether it limits them.
func (p Permission) Civic() (level Level, limited bool) { return p.civic, !p.whole }

// Radius returns that of geodetic locations, 0 for none, and whether it limits them.
func (p Permission) Radius() (metres uint32, limited bool) { return p.radius, !p.whole }

// SetsRetention reports whether Edit makes a time that counts from Options.Now.
func (p Permission) SetsRetention() bool { return !p.IsNothing() && p.expiry >= 0 }

// Combine permits what either permits. RFC 6772 has no rule for it and a radius'
// maximum, by RFC 4745, 10.2, would take away by granting: so the smallest
// radius, the highest level, and the whole where one permits that. Of usage rules
// that both set, the more permissive; unchanged stands between No and Yes, so
// that a second rule never hides a ruleset that the first shows. Of two times of
// retention the longer; all note-wells.
func Combine(a, b Permission) Permission {
	if a.IsNothing() {
		return b
	}
	if b.IsNothing() {
		return a
	}
	c := Permission{
		whole:          a.whole || b.whole,
		civic:          max(a.civic, b.civic),
		radius:         least(a.radius, b.radius),
		retransmission: max(a.retransmission, b.retransmission),
		reference:      max(a.reference, b.reference),
		expiry:         max(a.expiry, b.expiry),
		notes:          mergeNotes(a.notes, b.notes),
	}
	return c.canonical()
}

// Min permits what both permit, as for an operator's ceiling: the larger radius,
// the lower level. Of usage rules the stricter; a side that leaves one unchanged
// does not limit the other, so that Whole limits nothing. All note-wells.
func Min(a, b Permission) Permission {
	if a.IsNothing() || b.IsNothing() {
		return Permission{}
	}
	c := Permission{
		retransmission: stricter(a.retransmission, b.retransmission),
		reference:      stricter(a.reference, b.reference),
		expiry:         a.expiry,
		notes:          mergeNotes(a.notes, b.notes),
	}
	if b.expiry >= 0 && (a.expiry < 0 || b.expiry < a.expiry) {
		c.expiry = b.expiry
	}
	switch {
	case a.whole:
		c.whole, c.civic, c.radius = b.whole, b.civic, b.radius
	case b.whole:
		c.civic, c.radius = a.civic, a.radius
	default:
		c.civic = min(a.civic, b.civic)
		if a.radius != 0 && b.radius != 0 {
			c.radius = max(a.radius, b.radius)
		}
	}
	return c.canonical()
}

// stricter orders No, Yes, unchanged: what is set comes before what is not.
func stricter(a, b choice) choice {
	rank := func(c choice) int { return [...]int{unsaid: 3, no: 0, keep: 2, yes: 1}[c] }
	if rank(b) < rank(a) {
		return b
	}
	return a
}

// AppendKey appends bytes that are equal for equal Permissions and no others, and
// of which none is the start of another's.
func (p Permission) AppendKey(dst []byte) []byte {
	dst = append(dst, 'L', '0'+byte(p.civic), '0'+byte(p.retransmission), '0'+byte(p.reference))
	if p.whole {
		dst = append(dst, 'w')
	}
	dst = strconv.AppendUint(append(dst, ','), uint64(p.radius), 10)
	dst = strconv.AppendInt(append(dst, ','), int64(p.expiry), 10)
	dst = strconv.AppendInt(append(dst, ','), int64(len(p.notes)), 10)
	return append(append(dst, ':'), p.notes...)
}

// String names it for people, without the note-wells' text.
func (p Permission) String() string {
	if p.IsNothing() {
		return "no location"
	}
	var parts []string
	if p.whole {
		parts = append(parts, "whole location")
	}
	if p.civic != None {
		parts = append(parts, "civic location: "+p.civic.String())
	}
	if p.radius != 0 {
		parts = append(parts, "geodetic location within "+strconv.FormatUint(uint64(p.radius), 10)+" m")
	}
	switch p.retransmission {
	case no:
		parts = append(parts, "not to be passed on")
	case yes:
		parts = append(parts, "may be passed on")
	}
	if p.expiry >= 0 {
		parts = append(parts, "to be forgotten after "+strconv.FormatInt(int64(p.expiry), 10)+" s")
	}
	if p.reference == no {
		parts = append(parts, "without reference to rules")
	}
	if n := len(splitNotes(p.notes)); n > 0 {
		parts = append(parts, strconv.Itoa(n)+" note-well")
	}
	return strings.Join(parts, "; ")
}

// GoString is String.
func (p Permission) GoString() string { return p.String() }

// LogValue keeps note-wells out of logs.
func (p Permission) LogValue() slog.Value { return slog.StringValue(p.String()) }

// note is one note-well.
type note struct{ lang, text string }

func (n note) compare(m note) int {
	return cmp.Or(cmp.Compare(n.text, m.text), cmp.Compare(n.lang, m.lang))
}

// joinNotes writes notes, in order and without duplicates, as one string: each as
// its two lengths and its two parts.
func joinNotes(list []note) string {
	if len(list) == 0 {
		return ""
	}
	slices.SortFunc(list, note.compare)
	list = slices.Compact(list)
	var b []byte
	for _, n := range list[:min(len(list), maxNotes)] {
		b = strconv.AppendInt(b, int64(len(n.lang)), 10)
		b = strconv.AppendInt(append(b, ','), int64(len(n.text)), 10)
		b = append(append(append(b, ':'), n.lang...), n.text...)
	}
	return string(b)
}

// splitNotes reads what joinNotes has written.
func splitNotes(s string) (list []note) {
	for s != "" {
		head, rest, _ := strings.Cut(s, ":")
		lang, text, _ := strings.Cut(head, ",")
		l, _ := strconv.Atoi(lang)
		t, _ := strconv.Atoi(text)
		list = append(list, note{rest[:l], rest[l : l+t]})
		s = rest[l+t:]
	}
	return list
}

// mergeNotes keeps the first maxNotes of both, whichever way they are merged.
func mergeNotes(a, b string) string {
	if a == "" || a == b {
		return b
	}
	if b == "" {
		return a
	}
	return joinNotes(append(splitNotes(a), splitNotes(b)...))
}

// noteText makes one text of several note-wells, and its language if it has one.
func noteText(list []note) (text, lang string) {
	if len(list) == 0 {
		return "", ""
	}
	lang = list[0].lang
	for i, n := range list {
		if i > 0 {
			text += "\n"
		}
		text += n.text
		if n.lang != lang {
			lang = ""
		}
	}
	return text, lang
}

// validNote reports that a note-well is short enough.
func validNote(s string) bool { return len(s) <= maxNote && utf8.ValidString(s) }
