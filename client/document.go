package client

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
)

// PIDFType is the media type of presence documents (RFC 3863).
const PIDFType = "application/pidf+xml"

// Presence states of a tuple (RFC 3863, 4.1.4).
const (
	StatusOpen   = "open"
	StatusClosed = "closed"
)

// activities are those with a name of their own (RFC 4480, 3.2).
var activities = []string{
	"appointment", "away", "breakfast", "busy", "dinner", "holiday", "in-transit", "looking-for-work",
	"lunch", "meal", "meeting", "on-the-phone", "performance", "permanent-absence", "playing",
	"presentation", "shopping", "sleeping", "spectator", "steering", "travel", "tv", "unknown",
	"vacation", "working", "worship",
}

// Activities lists the activities of RFC 4480, 3.2, in alphabetical order.
func Activities() []string { return slices.Clone(activities) }

// ids are the tuple's and person's id. They differ per process, so that two
// sources of one user do not collide, and stay within it, so that a changed
// document is about the same things (RFC 3863, 4.1.1).
var ids = sync.OnceValue(func() [2]string {
	id := strings.ToLower(newTag()[:10])
	return [2]string{"t" + id, "p" + id}
})

// PIDF makes a presence document (RFC 3863) of one tuple with status (closed
// if it is "closed", else open), and, if activity is not empty, of one person
// (RFC 4479) with an RPID activity (RFC 4480). An activity that RFC 4480 does
// not know becomes an "other" with that text. note is free text for people.
func PIDF(entity, status, note, activity string) string {
	id := ids()
	if status != StatusClosed {
		status = StatusOpen
	}
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
		`<presence xmlns="urn:ietf:params:xml:ns:pidf"`)
	if activity != "" {
		b.WriteString(` xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model"` +
			` xmlns:rpid="urn:ietf:params:xml:ns:pidf:rpid"`)
	}
	b.WriteString(` entity="` + escape(entity) + `">` + "\n" +
		`  <tuple id="` + id[0] + `">` + "\n" +
		`    <status><basic>` + status + `</basic></status>` + "\n")
	if note != "" {
		b.WriteString(`    <note>` + escape(note) + `</note>` + "\n")
	}
	b.WriteString("  </tuple>\n")
	if activity != "" {
		element := "<rpid:other>" + escape(activity) + "</rpid:other>"
		if slices.Contains(activities, activity) {
			element = "<rpid:" + activity + "/>"
		}
		b.WriteString(`  <dm:person id="` + id[1] + `">` + "\n" +
			`    <rpid:activities>` + element + `</rpid:activities>` + "\n")
		if note != "" {
			b.WriteString(`    <dm:note>` + escape(note) + `</dm:note>` + "\n")
		}
		b.WriteString("  </dm:person>\n")
	}
	b.WriteString("</presence>\n")
	return b.String()
}

// escape makes text safe in content and attributes; characters that XML cannot
// hold become U+FFFD.
func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder does not fail
	return b.String()
}

// Presence is what a person wants to know of a presence document.
type Presence struct {
	Entity     string
	Status     string   // "open" if any tuple is open, else "closed"; empty if no tuple says
	Notes      []string // each text once, in document order
	Activities []string // names of RFC 4480, or the text of an "other"
}

var errNotPIDF = errors.New("client: not a PIDF document")

// Elements that ParsePIDF knows, by namespace.
const (
	nsPIDF = "urn:ietf:params:xml:ns:pidf"
	nsDM   = "urn:ietf:params:xml:ns:pidf:data-model"
	nsRPID = "urn:ietf:params:xml:ns:pidf:rpid"
)

// maxDepth bounds the nesting ParsePIDF follows; documents have five levels.
const maxDepth = 32

// ParsePIDF reads a presence document tolerantly: what it does not know it
// passes over.
func ParsePIDF(body string) (Presence, error) {
	var p Presence
	d := xml.NewDecoder(strings.NewReader(body))
	var path []xml.Name
	var text strings.Builder
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return p, fmt.Errorf("%w: %w", errNotPIDF, err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			path = append(path, t.Name)
			text.Reset()
			if len(path) > maxDepth || len(path) == 1 && t.Name != (xml.Name{Space: nsPIDF, Local: "presence"}) {
				return p, errNotPIDF
			}
			if len(path) == 1 {
				for _, a := range t.Attr {
					if a.Name.Local == "entity" {
						p.Entity = a.Value
					}
				}
			}
			p.activity(path)
		case xml.CharData:
			text.Write(t)
		case xml.EndElement:
			p.element(path, strings.TrimSpace(text.String()))
			path = path[:len(path)-1]
			text.Reset()
		}
	}
	if p.Entity == "" && p.Status == "" && len(p.Notes) == 0 && body == "" {
		return p, errNotPIDF
	}
	return p, nil
}

// activity notes an element within activities.
func (p *Presence) activity(path []xml.Name) {
	n := len(path)
	if n < 2 || path[n-2] != (xml.Name{Space: nsRPID, Local: "activities"}) {
		return
	}
	name := path[n-1]
	if name.Space == nsRPID && name.Local != "other" && name.Local != "note" {
		p.Activities = appendOnce(p.Activities, name.Local)
	}
}

// element notes the text of an element that ends.
func (p *Presence) element(path []xml.Name, text string) {
	name := path[len(path)-1]
	switch {
	case name == (xml.Name{Space: nsPIDF, Local: "basic"}):
		if text == StatusOpen || text == StatusClosed && p.Status == "" {
			p.Status = text
		}
	case name.Local == "note" && text != "" && (name.Space == nsPIDF || name.Space == nsDM || name.Space == nsRPID):
		p.Notes = appendOnce(p.Notes, text)
	case name == (xml.Name{Space: nsRPID, Local: "other"}) && text != "":
		p.Activities = appendOnce(p.Activities, text)
	}
}

func appendOnce(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}
