// Package watcherinfo is the documents of the winfo template (RFC 3858): who
// watches a resource, and how far each subscription has come. It writes what a
// notifier sends, reads it strictly, and merges what a subscriber has been sent
// into the list that it is about.
package watcherinfo

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/xmltree"
)

// The media type, and the namespace of its documents (RFC 3858, 3 and 8.1).
const (
	ContentType = "application/watcherinfo+xml"
	Namespace   = "urn:ietf:params:xml:ns:watcherinfo"
)

// Status is how far a subscription has come (RFC 3857, 4.7.1).
type Status uint8

// The statuses. The zero value is none.
const (
	NoStatus Status = iota
	Pending
	Active
	Waiting
	Terminated
)

var statuses = [...]string{"", "pending", "active", "waiting", "terminated"}

// String gives the value of the attribute.
func (s Status) String() string { return named(statuses[:], int(s)) }

// Event is what brought a subscription to its Status (RFC 3857, 4.7.1). The
// numbers are stored and do not change.
type Event uint8

// The events. The zero value is none.
const (
	NoEvent Event = iota
	Subscribe
	Approved
	Deactivated
	Probation
	Rejected
	Timeout
	GiveUp
	NoResource
)

var events = [...]string{"", "subscribe", "approved", "deactivated", "probation", "rejected", "timeout", "giveup", "noresource"}

// String gives the value of the attribute.
func (e Event) String() string { return named(events[:], int(e)) }

// Ending is the event that goes with a reason of Subscription-State (RFC 6665,
// 4.1.3), whose names are the same; one without a name of its own deactivates.
func Ending(reason string) Event {
	if e := Event(numbered(events[:], reason)); e >= Deactivated {
		return e
	}
	return Deactivated
}

func named(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return ""
}

// numbered finds a name; 0: it is none.
func numbered(names []string, name string) int {
	for i, n := range names {
		if n == name {
			return i
		}
	}
	return 0
}

// Seconds is a time that a document may leave out. The zero value is left out.
type Seconds struct {
	N    uint64
	Said bool
}

// Secs is n seconds.
func Secs(n uint64) Seconds { return Seconds{N: n, Said: true} }

// Watcher is one subscription.
type Watcher struct {
	ID                 string
	Status             Status
	Event              Event
	URI                string
	DisplayName        string // optional
	Lang               string // of DisplayName; optional
	Expiration         Seconds
	DurationSubscribed Seconds
}

// List is the watchers of one resource.
type List struct {
	Resource string
	Package  presence.EventPackage
	Watchers []Watcher
}

// Document is what a notification says: all watchers, or those that have changed
// since the one before.
type Document struct {
	Version uint32
	Partial bool
	Lists   []List
}

// String tells no watcher: a document must not get into logs.
func (d Document) String() string {
	n := 0
	for _, l := range d.Lists {
		n += len(l.Watchers)
	}
	return fmt.Sprintf("watcher information (%d watchers)", n)
}

// GoString is String.
func (d Document) GoString() string { return d.String() }

// LogValue is String.
func (d Document) LogValue() slog.Value { return slog.StringValue(d.String()) }

// Final is a document as it is sent, but for its version, which each subscription
// counts for itself. The zero value tells nothing.
type Final struct {
	text      string
	versionAt int
	sum       uint64
}

// Body returns the document without the digits of its version.
func (f Final) Body() string { return f.text }

// VersionAt is where in Body they belong.
func (f Final) VersionAt() int { return f.versionAt }

// Sum is the hash of the state that its receiver has with it.
func (f Final) Sum() uint64 { return f.sum }

// WithSum is f with another Sum.
func (f Final) WithSum(sum uint64) Final {
	f.sum = sum
	return f
}

// Filtered is what a filter of the subscriber's own leaves of f, and the watchers in
// it. Where it leaves nothing, or no document that is valid, nothing is told: the
// zero Final.
func (f Final) Filtered(leave func(document string) (left string, ok bool)) (Final, []Watcher) {
	const attribute = ` version="`
	text, ok := leave(f.text)
	at := strings.LastIndex(text[:strings.Index(text, "<watcher-list")+1], attribute) + len(attribute)
	if !ok || at < len(attribute) {
		return Final{sum: f.sum}, nil
	}
	d, err := Parse(text[:at] + "0" + text[at:])
	if err != nil {
		return Final{sum: f.sum}, nil
	}
	var told []Watcher
	for i := range d.Lists {
		told = append(told, d.Lists[i].Watchers...)
	}
	return Final{text: text, versionAt: at, sum: f.sum}, told
}

// String tells the size alone.
func (f Final) String() string { return fmt.Sprintf("watcher information (%d bytes)", len(f.text)) }

// GoString is String.
func (f Final) GoString() string { return f.String() }

// LogValue is String.
func (f Final) LogValue() slog.Value { return slog.StringValue(f.String()) }

// Render writes a document. Its Version is left out: the notifier puts in what the
// subscription has come to. sum is the hash of the whole state that it leads to,
// of which times are no part.
func (d Document) Render(sum uint64) Final {
	b := make([]byte, 0, 256+160*d.size())
	b = append(b, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"+`<watcherinfo xmlns="`+Namespace+`" version="`...)
	at := len(b)
	b = append(b, `" state="`...)
	if d.Partial {
		b = append(b, "partial"...)
	} else {
		b = append(b, "full"...)
	}
	b = append(b, "\">\n"...)
	for i := range d.Lists {
		b = d.Lists[i].append(b)
	}
	b = append(b, "</watcherinfo>\n"...)
	return Final{text: string(b), versionAt: at, sum: sum}
}

// Text is the whole document.
func (d Document) Text() string {
	f := d.Render(0)
	return f.text[:f.versionAt] + strconv.FormatUint(uint64(d.Version), 10) + f.text[f.versionAt:]
}

func (d Document) size() (n int) {
	for i := range d.Lists {
		n += 1 + len(d.Lists[i].Watchers)
	}
	return n
}

func (l *List) append(b []byte) []byte {
	b = append(b, "<watcher-list"...)
	b = attribute(b, "resource", l.Resource)
	b = attribute(b, "package", string(l.Package))
	b = append(b, ">\n"...)
	for i := range l.Watchers {
		b = l.Watchers[i].append(b)
	}
	return append(b, "</watcher-list>\n"...)
}

func (w *Watcher) append(b []byte) []byte {
	b = append(b, "<watcher"...)
	b = attribute(b, "id", w.ID)
	b = attribute(b, "status", w.Status.String())
	b = attribute(b, "event", w.Event.String())
	if w.DisplayName != "" {
		b = attribute(b, "display-name", w.DisplayName)
	}
	if w.Lang != "" {
		b = attribute(b, "xml:lang", w.Lang)
	}
	if w.Expiration.Said {
		b = attribute(b, "expiration", strconv.FormatUint(w.Expiration.N, 10))
	}
	if w.DurationSubscribed.Said {
		b = attribute(b, "duration-subscribed", strconv.FormatUint(w.DurationSubscribed.N, 10))
	}
	b = append(b, '>')
	b = append(b, xmltree.EscapeAttr(w.URI)...)
	return append(b, "</watcher>\n"...)
}

func attribute(b []byte, name, value string) []byte {
	b = append(b, ' ')
	b = append(b, name...)
	b = append(b, `="`...)
	b = append(b, xmltree.EscapeAttr(value)...)
	return append(b, '"')
}

// The reasons to refuse a document, beside xmltree's.
var (
	ErrForm   = errors.New("not a watcher information document")
	ErrTooBig = errors.New("too many watchers")
)

// MaxWatchers bounds those of one document, and of one Table: more than anybody
// reads, less than a client's memory.
const MaxWatchers = 10_000

// limits bound what a document may cost: MaxWatchers with an extension each.
var limits = xmltree.Limits{MaxBytes: 4 << 20, MaxDepth: 16, MaxNodes: 8 * MaxWatchers, MaxAttrs: 32}

// Parse reads a document strictly by the schema of RFC 3858, 6. What is of other
// namespaces is not looked at (RFC 3858, 3).
func Parse(text string) (Document, error) {
	tree, err := xmltree.Parse(text, limits)
	if err != nil {
		return Document{}, err
	}
	p := parser{tree: tree, ids: map[string]bool{}}
	d := p.document(tree.Root())
	if p.err != nil {
		return Document{}, p.err
	}
	return d, nil
}

// parser keeps the first error.
type parser struct {
	tree *xmltree.Doc
	ids  map[string]bool // RFC 3858, 3: unique in all lists of a subscription
	err  error
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("%w: %s", ErrForm, fmt.Sprintf(format, args...))
	}
}

func (p *parser) document(n xmltree.Node) (d Document) {
	if !p.tree.Is(n, Namespace, "watcherinfo") {
		p.fail("the root is not watcherinfo")
		return d
	}
	attrs := p.attributes(n, "version", "state")
	version, err := strconv.ParseUint(attrs["version"], 10, 32)
	if err != nil {
		p.fail("its version is no number of 32 bits")
	}
	d.Version = uint32(version)
	switch attrs["state"] {
	case "full":
	case "partial":
		d.Partial = true
	default:
		p.fail("its state is neither full nor partial")
	}
	for c := range p.children(n, "watcher-list") {
		d.Lists = append(d.Lists, p.list(c))
	}
	return d
}

func (p *parser) list(n xmltree.Node) (l List) {
	attrs := p.attributes(n, "resource", "package")
	l.Resource, l.Package = attrs["resource"], presence.EventPackage(attrs["package"])
	if l.Resource == "" || l.Package == "" {
		p.fail("a watcher-list has no resource or no package")
	}
	for c := range p.children(n, "watcher") {
		if len(p.ids) >= MaxWatchers {
			p.err = fmt.Errorf("%w: more than %d", ErrTooBig, MaxWatchers)
			break
		}
		l.Watchers = append(l.Watchers, p.watcher(c))
	}
	return l
}

func (p *parser) watcher(n xmltree.Node) (w Watcher) {
	attrs := p.attributes(n, "id", "status", "event", "display-name", "expiration", "duration-subscribed")
	w = Watcher{
		ID: attrs["id"], Status: Status(numbered(statuses[:], attrs["status"])), Event: Event(numbered(events[:], attrs["event"])),
		DisplayName: attrs["display-name"], URI: strings.Trim(p.tree.Text(n), " \t\r\n"),
		Expiration: p.seconds(attrs, "expiration"), DurationSubscribed: p.seconds(attrs, "duration-subscribed"),
	}
	w.Lang, _ = p.tree.Attr(n, xmltree.XMLSpace, "lang")
	switch {
	case w.ID == "" || p.ids[w.ID]:
		p.fail("the id of a watcher is missing or not its own")
	case w.Status == NoStatus || w.Event == NoEvent:
		p.fail("the status or event of a watcher is missing or unknown")
	case w.URI == "":
		p.fail("a watcher has no URI")
	}
	p.ids[w.ID] = true
	for range p.children(n) {
		p.fail("there are elements in a watcher")
	}
	return w
}

// seconds reads an xs:unsignedLong.
func (p *parser) seconds(attrs map[string]string, name string) Seconds {
	text, said := attrs[name]
	if !said {
		return Seconds{}
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		p.fail("%s is no number", name)
	}
	return Secs(n)
}

// attributes gives an element's attributes without a namespace, which must be
// among these; of others none is looked at.
func (p *parser) attributes(n xmltree.Node, known ...string) map[string]string {
	attrs := map[string]string{}
	for i := range p.tree.NumAttrs(n) {
		a := p.tree.AttrAt(n, i)
		if a.Declares() || a.Space() != "" {
			continue
		}
		attrs[a.Local()] = a.Value()
		if !slices.Contains(known, a.Local()) {
			p.fail("%s has an attribute that it cannot have", p.tree.Local(n))
		}
	}
	return attrs
}

// children gives the elements in n of our namespace, which must all have that
// name and no text between them; without a name there must be none.
func (p *parser) children(n xmltree.Node, name ...string) func(yield func(xmltree.Node) bool) {
	return func(yield func(xmltree.Node) bool) {
		for c := p.tree.FirstChild(n); c != xmltree.None && p.err == nil; c = p.tree.Next(c) {
			switch {
			case p.tree.Kind(c) == xmltree.KindText && len(name) > 0 && !p.tree.IsSpace(c):
				p.fail("%s holds text", p.tree.Local(n))
			case p.tree.Kind(c) != xmltree.KindElement || p.tree.Space(c) != Namespace:
				continue
			}
			if len(name) == 0 || p.tree.Local(c) != name[0] {
				p.fail("%s holds an element that it cannot have", p.tree.Local(n))
				return
			}
			if !yield(c) {
				return
			}
		}
	}
}
