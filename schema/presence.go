package schema

import (
	"errors"
	"strings"

	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/xmltree"
)

// Presence checks presence documents without any of the tolerances that a
// PUBLISH is read with: PIDF by RFC 3863, 4.4, the data model by RFC 4479, 5.1,
// RPID by RFC 4480, 5.1, and then all that package pidf asks for. It is for
// documents that a user keeps on the server (RFC 4827).
func Presence() Validator {
	g := compile(presenceFormat(), dataModel(), rpid()).documents()
	return g.validator([]xmltree.Name{{Space: pidf.Space, Local: "presence"}}, readable)
}

// readable holds that the document can be composed.
func readable(d *xmltree.Doc) error {
	if _, err := (pidf.Tolerances{}).Parse(d.Source()); err != nil {
		phrase := strings.TrimPrefix(err.Error(), pidf.ErrDocument.Error()+": ")
		if errors.Is(err, xmltree.ErrTooLarge) {
			phrase = "the document is too large for presence"
		}
		return fault(Constraint, d, d.Root(), "", phrase)
	}
	return nil
}

// WatcherInfo checks watcher information by RFC 3858, 6.
func WatcherInfo() Validator {
	return compile(watcherInfo()).validator([]xmltree.Name{{Space: WatcherInfoSpace, Local: "watcherinfo"}})
}

// note is text in a language.
func note() *complexType { return text(anyText, lang()) }

// presenceFormat is RFC 3863, 4.4.
func presenceFormat() table {
	const pf = space(pidf.Space)
	priority := &simpleType{what: "a decimal from 0 to 1 with at most three digits after the point", collapse: true, is: isPriority}
	status := model(seq(pf.el("basic", text(enum("open", "closed"))).optional(), pf.other().repeated()))
	tuple := model(seq(
		pf.el("status", status),
		pf.other().repeated(),
		pf.el("contact", text(anyURI, may("priority", priority))).optional(),
		pf.el("note", note()).repeated(),
		pf.el("timestamp", text(dateTime)).optional(),
	), need("id", id))
	return table{
		elements: []*element{pf.global("presence", model(seq(
			pf.el("tuple", tuple).repeated(),
			pf.el("note", note()).repeated(),
			pf.other().repeated(),
		), need("entity", anyURI)))},
		attrs: []attribute{{name: pf.name("mustUnderstand"), typ: boolean}},
	}
}

// isPriority is RFC 3863, 4.1.5. The schema's patterns forget to escape their
// point, so that it takes 0123; the text does not.
func isPriority(s string) bool {
	whole, fraction, _ := strings.Cut(s, ".")
	if len(fraction) > 3 || fraction != "" && !digits(fraction) {
		return false
	}
	return whole == "0" || whole == "1" && strings.Trim(fraction, "0") == ""
}

// dataModel is RFC 4479, 5.1.
func dataModel() table {
	const dm = space(pidf.DataModelSpace)
	end := []particle{dm.el("note", note()).repeated(), dm.el("timestamp", text(dateTime)).optional()}
	return table{elements: []*element{
		dm.global("deviceID", text(anyURI)),
		dm.global("device", model(seq(dm.other().repeated(), dm.ref("deviceID"), seq(end...)), need("id", id))),
		dm.global("person", model(seq(dm.other().repeated(), seq(end...)), need("id", id))),
	}}
}

const rp = space(pidf.RPIDSpace)

// words are empty elements.
func words(names string) []particle {
	var list []particle
	for name := range strings.FieldsSeq(names) {
		list = append(list, rp.el(name, empty()))
	}
	return list
}

// span opens a type to RPID's attributes: from, until, id and any other.
func span(t *complexType) *complexType {
	t.attrs = append(t.attrs, may("from", dateTime), may("until", dateTime), may("id", id))
	return t.open(&wildcard{})
}

// described is a model that begins with notes.
func described(p particle) *complexType { return model(seq(rp.el("note", note()).repeated(), p)) }

// manyOf is the content of <activities> and <mood>: <unknown>, or any number of
// words, <other> and elements of others.
func manyOf(unknown particle, names string) particle {
	return choice(unknown, seq(choice(append(words(names), rp.el("other", note()), rp.other().some())...)).some())
}

const activities = `appointment away breakfast busy dinner holiday in-transit looking-for-work meal meeting
	on-the-phone performance permanent-absence playing presentation shopping sleeping spectator steering
	travel tv vacation working worship`

const moods = `afraid amazed angry annoyed anxious ashamed bored brave calm cold confused contented cranky
	curious depressed disappointed disgusted distracted embarrassed excited flirtatious frustrated grumpy
	guilty happy hot humbled humiliated hungry hurt impressed in_awe in_love indignant interested invincible
	jealous lonely mean moody nervous neutral offended playful proud relieved remorseful restless sad
	sarcastic serious shocked shy sick sleepy stressed surprised thirsty worried`

// rpid is RFC 4480, 5.1. One thing is wider: <sphere> may be text, as in the
// RFC's own example, section 4.
func rpid() table {
	unknown := func() particle { return rp.el("unknown", empty()) }
	others := rp.other().some()
	oneOf := func(names string, more ...particle) particle { return choice(append(words(names), more...)...) }
	place := func(name, names string) particle { return rp.el(name, model(oneOf(names))).optional() }
	audible := seq(
		rp.el("audio", empty()).optional(), rp.el("text", empty()).optional(), rp.el("video", empty()).optional(),
		rp.other().repeated(),
	)
	input := text(enum("active", "idle"), may("idle-threshold", positive), may("last-input", dateTime), may("id", id))
	return table{elements: []*element{
		rp.global("activities", span(described(manyOf(unknown().optional(), activities)))),
		rp.global("mood", span(described(manyOf(unknown(), moods)))),
		rp.global("class", text(anyText)),
		rp.global("place-is", span(described(seq(
			place("audio", "noisy ok quiet unknown"),
			place("video", "toobright ok dark unknown"),
			place("text", "uncomfortable inappropriate ok unknown"),
		)))),
		rp.global("place-type", span(described(choice(rp.el("other", note()), others)))),
		rp.global("privacy", span(described(choice(unknown(), audible)))),
		rp.global("relationship", described(oneOf("assistant associate family friend self supervisor unknown",
			rp.el("other", note()).optional(), others))),
		rp.global("service-class", described(oneOf("courier electronic freight in-person postal unknown", others))),
		rp.global("sphere", span(model(oneOf("home work unknown", others).optional())).blend()),
		rp.global("status-icon", span(text(anyURI))),
		rp.global("time-offset", span(text(integer, may("description", anyText)))),
		rp.global("user-input", input.open(&wildcard{})),
	}}
}

// watcherInfo is RFC 3858, 6.
func watcherInfo() table {
	const wi = space(WatcherInfoSpace)
	watcher := text(anyURI,
		may("display-name", anyText),
		need("status", enum("pending", "active", "waiting", "terminated")),
		need("event", enum("subscribe", "approved", "deactivated", "probation", "rejected", "timeout", "giveup", "noresource")),
		may("expiration", unsignedLong), need("id", anyText), may("duration-subscribed", unsignedLong), lang())
	return table{elements: []*element{
		wi.global("watcher", watcher),
		wi.global("watcher-list", model(seq(wi.ref("watcher").repeated(), wi.other().repeated()),
			need("resource", anyURI), need("package", anyText))),
		wi.global("watcherinfo", model(seq(wi.ref("watcher-list").repeated(), wi.other().repeated()),
			need("version", natural), need("state", enum("full", "partial")))),
	}}
}
