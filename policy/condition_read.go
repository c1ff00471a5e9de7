package policy

import (
	"slices"
	"strings"

	"github.com/tacit-presence/tacit/location"
	"github.com/tacit-presence/tacit/xmltree"
)

// condition reads one condition into a rule. What is not known, or not as it
// should be, never holds.
func (r *ruleReader) condition(one *rule, n xmltree.Node) {
	var c condition
	switch r.doc.Name(n) {
	case xmltree.Name{Space: commonPolicySpace, Local: "identity"}:
		c = condition{kind: byIdentity, identity: r.identity(n)}
	case xmltree.Name{Space: commonPolicySpace, Local: "sphere"}:
		c = r.sphere(n)
		r.set.uses.Sphere = true
	case xmltree.Name{Space: commonPolicySpace, Local: "validity"}:
		if v, ok := r.validity(n); ok {
			one.times = append(one.times, timed{validity: v})
			r.set.uses.Time = true
			return
		}
	case xmltree.Name{Space: location.PolicySpace, Local: "location-condition"}:
		if place, err := location.ParseCondition(r.doc, n); err == nil {
			c = condition{kind: byLocation, place: &place}
			r.set.uses.Location = true
		}
	case xmltree.Name{Space: omaCommonPolicySpace, Local: "other-identity"}:
		one.other = true
		return
	case xmltree.Name{Space: omaCommonPolicySpace, Local: "anonymous-request"}:
		c = condition{kind: byAnonymity}
	case xmltree.Name{Space: omaCommonPolicySpace, Local: "external-list"}:
		c = r.lists(n)
		r.set.uses.Lists = append(r.set.uses.Lists, c.words...)
	case xmltree.Name{Space: ownSpace, Local: "recurring"}:
		if rec, ok := r.recurring(n); ok {
			one.times = append(one.times, timed{recurring: rec})
			r.set.uses.Time = true
			return
		}
	case xmltree.Name{Space: ownSpace, Local: "mechanism"}:
		if words := strings.Fields(r.doc.Text(n)); len(words) > 0 && plain(r.doc, n) && r.doc.FirstElement(n) == xmltree.None {
			c = condition{kind: byMechanism, words: words}
		}
	default:
		c.text = "the condition <" + r.doc.Local(n) + "> is not known"
	}
	if c.kind == neverHolds && c.text == "" {
		c.text = "the condition <" + r.doc.Local(n) + "> is not as it should be"
	}
	one.conditions = append(one.conditions, c)
}

// identity reads <identity>: any of its children may hold (RFC 4745, 7.1.1). One
// without any that is understood never does.
func (r *ruleReader) identity(n xmltree.Node) *identity {
	id := new(identity)
	if !plain(r.doc, n) {
		return id
	}
	for c := r.doc.FirstElement(n); c != xmltree.None; c = r.doc.NextElement(c) {
		switch {
		case r.doc.Is(c, commonPolicySpace, "one"):
			// An extension within may narrow it.
			uri, ok := r.doc.Attr(c, "", "id")
			if ok && plain(r.doc, c, "id") && r.doc.FirstElement(c) == xmltree.None {
				// RFC 5025, 3.1.1.2: URIs of different schemes are never equivalent. Who
				// is authenticated has a sip or a tel URI, so a sips or pres one names
				// nobody.
				if name, ok := canonicalID(uri); ok && uriScheme(trimSpace(uri)) == uriScheme(name) {
					id.ids = append(id.ids, name)
				}
			}
		case r.doc.Is(c, commonPolicySpace, "many"):
			if m, ok := r.many(c); ok {
				id.many = append(id.many, m)
			}
		}
	}
	slices.Sort(id.ids)
	id.ids = slices.Compact(id.ids)
	return id
}

// many reads <many>. Of an exception that is not understood nobody can say whom
// it excepts, so that such a <many> matches nobody.
func (r *ruleReader) many(n xmltree.Node) (m many, ok bool) {
	if !plain(r.doc, n, "domain") {
		return m, false
	}
	if domain, has := r.doc.Attr(n, "", "domain"); has {
		if m.domain, _, ok = canonicalDomain(domain); !ok {
			return m, false
		}
	}
	for c := r.doc.FirstElement(n); c != xmltree.None; c = r.doc.NextElement(c) {
		if !r.doc.Is(c, commonPolicySpace, "except") || !plain(r.doc, c, "id", "domain") {
			return m, false
		}
		uri, byID := r.doc.Attr(c, "", "id")
		domain, byDomain := r.doc.Attr(c, "", "domain")
		if !byID && !byDomain {
			return m, false
		}
		if byID {
			name, ok := canonicalID(uri)
			if !ok {
				return m, false
			}
			m.exceptIDs = append(m.exceptIDs, name)
		}
		if byDomain {
			name, today, ok := canonicalDomain(domain)
			if !ok {
				return m, false
			}
			if m.exceptDomains = append(m.exceptDomains, name); today != name {
				m.exceptDomains = append(m.exceptDomains, today)
			}
		}
	}
	slices.Sort(m.exceptIDs)
	slices.Sort(m.exceptDomains)
	return m, true
}

// sphere reads the tokens of <sphere> (RFC 4745, 7.3).
func (r *ruleReader) sphere(n xmltree.Node) condition {
	value, _ := r.doc.Attr(n, "", "value")
	words := strings.Fields(strings.ToLower(value))
	if len(words) == 0 || !plain(r.doc, n, "value") {
		return condition{}
	}
	return condition{kind: bySphere, words: words}
}

// lists reads the lists of OMA's external-list: of any of them.
func (r *ruleReader) lists(n xmltree.Node) condition {
	var c condition
	for e := r.doc.FirstElement(n); e != xmltree.None; e = r.doc.NextElement(e) {
		if anc, ok := r.doc.Attr(e, "", "anc"); ok && r.doc.Is(e, omaCommonPolicySpace, "entry") && trimSpace(anc) != "" {
			c.kind, c.words = byList, append(c.words, trimSpace(anc))
		}
	}
	return c
}

// validity reads pairs of <from> and <until> (RFC 4745, 7.4).
func (r *ruleReader) validity(n xmltree.Node) (list []period, ok bool) {
	if !plain(r.doc, n) {
		return nil, false
	}
	for from := r.doc.FirstElement(n); from != xmltree.None; {
		until := r.doc.NextElement(from)
		if until == xmltree.None || !r.doc.Is(from, commonPolicySpace, "from") || !r.doc.Is(until, commonPolicySpace, "until") {
			return nil, false
		}
		var p period
		if p.from, ok = instant(r.doc.Text(from), laterZone); !ok {
			return nil, false
		}
		if p.until, ok = instant(r.doc.Text(until), earlierZone); !ok {
			return nil, false
		}
		list = append(list, p)
		from = r.doc.NextElement(until)
	}
	return list, len(list) > 0
}

var dayNames = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} // as time.Weekday counts

// recurring reads Tacit's own condition of days and hours.
func (r *ruleReader) recurring(n xmltree.Node) (*recurring, bool) {
	if !plain(r.doc, n, "days", "from", "until", "zone") || r.doc.FirstElement(n) != xmltree.None {
		return nil, false
	}
	c := &recurring{days: allDays, until: minutesOfDay}
	if days, ok := r.doc.Attr(n, "", "days"); ok {
		c.days = 0
		for _, d := range strings.Fields(days) {
			i := slices.Index(dayNames, d)
			if i < 0 {
				return nil, false
			}
			c.days |= 1 << i
		}
	}
	from, hasFrom := r.doc.Attr(n, "", "from")
	until, hasUntil := r.doc.Attr(n, "", "until")
	if hasFrom != hasUntil || c.days == 0 {
		return nil, false
	}
	if hasFrom {
		var okFrom, okUntil bool
		c.from, okFrom = minuteOfDay(trimSpace(from))
		c.until, okUntil = minuteOfDay(trimSpace(until))
		if !okFrom || !okUntil || c.from == c.until || c.from == minutesOfDay {
			return nil, false
		}
	}
	zone, _ := r.doc.Attr(n, "", "zone")
	if c.zone = r.zone(trimSpace(zone)); c.zone == nil {
		return nil, false
	}
	return c, true
}
