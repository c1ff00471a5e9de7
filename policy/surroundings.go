package policy

import (
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/tacit-presence/tacit/compose"
	"github.com/tacit-presence/tacit/location"
	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/xmltree"
)

// Surroundings are what rules may ask about the presentity itself: its sphere and
// its place, as it has published them. The zero value knows neither. Copies of one
// are used by one goroutine at a time.
type Surroundings struct {
	Sphere   Sphere
	Location location.Target
	// Until is when they must be observed again though nothing is published: a
	// sphere begins or ends, or a location expires. Zero: never.
	Until time.Time

	// held remembers which conditions hold of the place: they are the same for all
	// watchers, and many circles around a polygon of many corners take their time.
	held map[*location.Condition]bool
}

// in reports whether a condition holds of the place.
func (s *Surroundings) in(c *location.Condition) bool {
	holds, asked := s.held[c]
	if !asked {
		holds = c.Holds(s.Location)
		if s.held != nil {
			s.held[c] = holds
		}
	}
	return holds
}

// LogValue keeps where somebody is out of logs.
func (s Surroundings) LogValue() slog.Value { return slog.StringValue(s.String()) }

// String tells nothing.
func (s Surroundings) String() string { return "surroundings" }

// GoString is String: %#v shows none either.
func (s Surroundings) GoString() string { return s.String() }

// Sphere is the state that a presentity is in, such as "work". The zero value is
// not known, and in no sphere.
type Sphere struct{ words []string }

// NewSphere makes a sphere of what is published: words in any case. Of nothing
// comes one that is not known.
func NewSphere(s string) Sphere { return Sphere{strings.Fields(strings.ToLower(s))} }

// Known reports whether there is one.
func (s Sphere) Known() bool { return len(s.words) > 0 }

// in reports whether the sphere is one that a condition lists (RFC 4745, 7.3).
// One of several words, as RFC 4480's example has it, is meant where all of them
// are listed: "not work" is not "work".
func (s Sphere) in(words []string) bool {
	for _, w := range s.words {
		if !slices.Contains(words, w) {
			return false
		}
	}
	return s.Known()
}

// Observe works out the surroundings of a presentity from what all its sources
// have published, by the clock.
func Observe(raw compose.Raw, now time.Time) Surroundings {
	var s Surroundings
	tree, err := raw.Document().Tree()
	if err != nil || tree.Doc == nil {
		return s
	}
	o := observer{doc: tree.Doc, now: now, to: &s}
	for i, c := range raw.Parts() {
		if c.Of.Kind == pidf.Person {
			o.person(tree.Nodes[i])
		}
	}
	if o.disagree {
		s.Sphere = Sphere{}
	}
	// What cannot be read of a location is known as such to the Target.
	all, _ := location.ReadAll(tree.Doc, tree.Doc.Root())
	for _, object := range all {
		if o.current(object, raw.Parts(), tree.Nodes) {
			o.objects = append(o.objects, object)
		}
	}
	if s.Location = location.NewTarget(o.objects); !s.Location.Unknown() {
		s.held = make(map[*location.Condition]bool)
	}
	return s
}

// observer collects what is published.
type observer struct {
	doc      *xmltree.Doc
	now      time.Time
	to       *Surroundings
	disagree bool
	objects  []location.Object
}

func (o *observer) soon(t time.Time) {
	if t.After(o.now) && (o.to.Until.IsZero() || t.Before(o.to.Until)) {
		o.to.Until = t
	}
}

// person looks for spheres: RFC 5025, 3.1.2: all that are published must agree,
// else there is none.
func (o *observer) person(n xmltree.Node) {
	for c := o.doc.FirstElement(n); c != xmltree.None; c = o.doc.NextElement(c) {
		if !o.doc.Is(c, pidf.RPIDSpace, "sphere") || !o.during(c) {
			continue
		}
		sphere := o.sphere(c)
		switch {
		case !o.to.Sphere.Known():
			o.to.Sphere = sphere
		case !slices.Equal(o.to.Sphere.words, sphere.words):
			o.disagree = true
		}
		o.disagree = o.disagree || !sphere.Known()
	}
}

// sphere reads <sphere>: RFC 4480's schema has elements in it, such as <work/>,
// and its example a text.
func (o *observer) sphere(n xmltree.Node) Sphere {
	var words []string
	for c := o.doc.FirstElement(n); c != xmltree.None; c = o.doc.NextElement(c) {
		if o.doc.Is(c, pidf.RPIDSpace, "note") || o.doc.Is(c, pidf.RPIDSpace, "other") {
			words = append(words, o.doc.Text(c))
			continue
		}
		words = append(words, o.doc.Local(c))
	}
	return NewSphere(strings.Join(append(words, o.doc.Text(n)), " "))
}

// during reports whether now is within an element's from and until, which say
// when it is true (RFC 4480, 3.1). What is no time is never.
func (o *observer) during(n xmltree.Node) bool {
	ok := true
	if v, has := o.doc.Attr(n, "", "from"); has {
		t, valid := instant(v, laterZone)
		o.soon(t)
		ok = valid && !o.now.Before(t)
	}
	if v, has := o.doc.Attr(n, "", "until"); has {
		t, valid := instant(v, earlierZone)
		o.soon(t)
		ok = ok && valid && o.now.Before(t)
	}
	return ok
}

// current reports whether a location has not expired (RFC 4119, 2.2.2).
func (o *observer) current(object location.Object, parts []pidf.Component, nodes []xmltree.Node) bool {
	var timestamp time.Time
	has := false
	if i := slices.Index(nodes, object.Component); i >= 0 {
		timestamp, has = instant(parts[i].Of.Timestamp, earlierZone)
	}
	at, ok := object.Expires(timestamp, has)
	if !ok {
		return true
	}
	o.soon(at)
	return o.now.Before(at)
}
