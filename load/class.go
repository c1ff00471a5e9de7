package load

import "bytes"

// The document of Config.Rich: RFC 3863, 4119, 4479 and 4480. The number is in
// two places, so that whoever is told of the service or of the person alone has
// it.
const (
	richHead = `<?xml version="1.0"?>` + "\r\n" +
		`<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:d="urn:ietf:params:xml:ns:pidf:data-model"` +
		` xmlns:r="urn:ietf:params:xml:ns:pidf:rpid" entity="`
	richService = `"><tuple id="t1"><status><basic>open</basic><g:geopriv xmlns:g="urn:ietf:params:xml:ns:pidf:geopriv10">` +
		`<g:location-info><c:civicAddress xmlns:c="urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr"><c:country>DE</c:country>` +
		`<c:A3>` + RichCity + `</c:A3><c:RD>` + RichStreet + `</c:RD></c:civicAddress></g:location-info><g:usage-rules/></g:geopriv></status>` +
		`<r:class>desk</r:class><contact>`
	richNote  = `</contact><note>` + RichNote
	richPhone = `</note></tuple><tuple id="t2"><status><basic>closed</basic></status><contact>` + RichPhone +
		`</contact></tuple><d:person id="p1"><r:activities><r:` + RichActivity + `/></r:activities><r:class>` + RichClass + `</r:class><r:mood><r:` +
		RichMood + `/></r:mood><d:note>`
	richTail = `</d:note></d:person></presence>`
)

// Texts of the document of Config.Rich, each in one place alone; those that a
// watcher may not have are no text that an id made by hashing could have in it.
const (
	RichCity     = "Bonn"          // of the first service's place
	RichStreet   = "Markt"         // of the same
	RichNote     = "desk phone"    // of the first service
	RichPhone    = "tel:+49228555" // contact of the second service
	RichActivity = "on-the-phone"
	RichMood     = "in_love"
	RichClass    = "me" // class of the person
)

// document appends the document that c asks for.
func (c *Config) document(dst []byte, run, aor string, seq uint32, t int64) []byte {
	if !c.Rich {
		return document(dst, run, aor, c.BodySize, seq, t)
	}
	start := len(dst)
	dst = append(append(append(append(dst, richHead...), aor...), richService...), aor...)
	dst = appendMark(append(dst, ';'), ';', run, seq, t)
	dst = append(dst, richNote...)
	rest := len(richPhone) + len("run= seq= t=") + len(run) + seqWidth + timeWidth + len(richTail)
	dst = appendPadding(dst, c.BodySize-(len(dst)-start)-rest)
	dst = appendMark(append(dst, richPhone...), ' ', run, seq, t)
	return append(dst, richTail...)
}

// class is a Class and what its watchers were told.
type class struct {
	has, not  [][]byte
	documents int
	bytes     int
	wrong     int
}

func newClass(c Class) (k class) {
	for _, text := range c.Has {
		k.has = append(k.has, []byte(text))
	}
	for _, text := range c.Not {
		k.not = append(k.not, []byte(text))
	}
	return k
}

// count looks at a document that a watcher of the class was told.
func (k *class) count(body []byte) {
	k.documents++
	k.bytes += len(body)
	for _, text := range k.has {
		if !bytes.Contains(body, text) {
			k.wrong++
			return
		}
	}
	for _, text := range k.not {
		if bytes.Contains(body, text) {
			k.wrong++
			return
		}
	}
}

// ClassReport is what the watchers of a class were told in the whole run.
type ClassReport struct {
	Documents int `json:"documents"`
	Bytes     int `json:"bytes_each"`
	Wrong     int `json:"wrong"` // documents with a text that they may not have, or without one that they must
}

func (r *run) classReports() []ClassReport {
	list := make([]ClassReport, len(r.cfg.Classes))
	for _, w := range r.watchers {
		w.mu.Lock()
		for i := range w.classes {
			list[i].Documents += w.classes[i].documents
			list[i].Bytes += w.classes[i].bytes
			list[i].Wrong += w.classes[i].wrong
		}
		w.mu.Unlock()
	}
	for i := range list {
		list[i].Bytes /= max(1, list[i].Documents)
	}
	return list
}
