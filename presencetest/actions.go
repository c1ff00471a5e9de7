package presencetest

import (
	"fmt"
	"time"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/sip"
)

// pidfType is the media type of what is published.
const pidfType = "application/pidf+xml"

// Tuple is a small presence document: one tuple whose id is its note too.
func Tuple(id, basic string) string {
	return `<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="pres:x@example.net">` +
		`<tuple id="` + id + `"><status><basic>` + basic + `</basic></status><note>` + id + `</note></tuple></presence>`
}

// Options change a request from what a user agent sends by itself.
type Options struct {
	To        string // the Request-URI, else the obvious one
	Expires   string // the header field; empty: none, "-": the method's default
	Headers   []sip.Header
	CSeq      uint32 // 0: the next one
	Anonymous bool   // neither asserted nor authenticated
	Body      string // its type is among Headers
	Event     string // the package of a dialog that begins, if not presence
	strict    bool   // a strict router is in the way of the dialog that begins
}

func (o Options) apply(r *request) {
	if o.To != "" {
		r.uri = o.To
	}
	if o.Expires != "" {
		r.headers = append(r.headers, sip.Header{ID: sip.HeaderExpires, Value: o.Expires})
	}
	r.headers = append(r.headers, o.Headers...)
	if o.CSeq != 0 {
		r.seq = o.CSeq
	}
	r.anonymous = o.Anonymous
	if o.Body != "" {
		r.body = o.Body
	}
}

// outside makes a request that is in no dialog.
func (u *UA) outside(method sip.Method, target string) *request {
	u.seq++
	return &request{
		method: method, uri: target, to: "<" + target + ">",
		callID: u.id("call"), tag: u.id("tag"), seq: u.seq,
	}
}

// Publish sends a PUBLISH: an initial one, or one with match as SIP-If-Match. A
// 200 sets the entity-tag of the publication that the user agent calls pub.
func (u *UA) Publish(pub string, match presence.EntityTag, body string, o Options) int {
	r := u.outside(sip.MethodPublish, uri(u.user))
	r.headers = append(r.headers, sip.Header{ID: sip.HeaderEvent, Value: "presence"})
	if match != "" {
		r.headers = append(r.headers, sip.Header{ID: sip.HeaderSIPIfMatch, Value: string(match)})
	}
	if body != "" {
		r.headers = append(r.headers, sip.Header{ID: sip.HeaderContentType, Value: pidfType})
		r.body = body
	}
	r.headers = override(r.headers, o.Headers)
	o.apply(r)
	r.done = func(m *sip.Message) {
		tag, _ := m.Get(sip.HeaderSIPETag)
		left, _ := m.Get(sip.HeaderExpires)
		if tag == "" || left == "" {
			u.w.T.Errorf("%s: 200 to PUBLISH without SIP-ETag or Expires", u.name) // RFC 3903, 6
		}
		if tag == string(match) {
			u.w.T.Errorf("%s: the same entity-tag again", u.name) // RFC 3903, 6, step 6: each has its own
		}
		u.pubs[pub] = presence.EntityTag(tag)
	}
	return u.do(r)
}

// override leaves out of defaults what is given otherwise.
func override(defaults, given []sip.Header) (kept []sip.Header) {
	for _, d := range defaults {
		keep := true
		for _, g := range given {
			keep = keep && (g.ID != d.ID || d.ID == sip.HeaderOther)
		}
		if keep {
			kept = append(kept, d)
		}
	}
	return kept
}

// Tag is the entity-tag of a publication.
func (u *UA) Tag(pub string) presence.EntityTag {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.pubs[pub]
}

// Subscribe sends a SUBSCRIBE that makes a dialog, which the user agent calls
// name; id is that of Event, if not empty.
func (u *UA) Subscribe(name, target, id string, o Options) int {
	r := u.outside(sip.MethodSubscribe, uri(target))
	d := &Dialog{
		name: name, uri: r.uri, callID: r.callID, localTag: r.tag, seq: r.seq,
		contact: u.Contact, strict: o.strict, event: "presence",
	}
	if o.Event != "" {
		d.event = o.Event
	}
	if id != "" {
		d.event += ";id=" + id
	}
	u.mu.Lock()
	u.dialogs = append(u.dialogs, d)
	u.mu.Unlock()
	return u.subscribe(r, d, o)
}

// Refresh sends a SUBSCRIBE within a dialog, with Expires 0 an unsubscription.
func (u *UA) Refresh(d *Dialog, o Options) int {
	u.mu.Lock()
	d.seq++
	r := &request{
		method: sip.MethodSubscribe, uri: d.target, to: fmt.Sprintf("<%s>;tag=%s", d.uri, d.remoteTag),
		callID: d.callID, tag: d.localTag, seq: d.seq,
	}
	d.contact = u.Contact
	u.mu.Unlock()
	status := u.subscribe(r, d, o)
	u.mu.Lock()
	d.seq = max(d.seq, r.seq)
	u.mu.Unlock()
	return status
}

func (u *UA) subscribe(r *request, d *Dialog, o Options) int {
	r.headers = override([]sip.Header{
		{ID: sip.HeaderEvent, Value: d.event}, {ID: sip.HeaderContact, Value: "<" + d.contact + ">"},
	}, o.Headers)
	o.apply(r)
	r.done = func(m *sip.Message) {
		d.remoteTag, d.seq = m.To.Tag(), max(d.seq, r.seq)
		v, _ := m.Get(sip.HeaderContact)
		c, err := sip.ParseNameAddr(v)
		if err != nil {
			u.w.T.Errorf("%s: 200 to SUBSCRIBE with Contact %q", u.name, v)
		}
		d.target = c.RawURI
		if v, _ := m.Get(sip.HeaderExpires); v == "" {
			u.w.T.Errorf("%s: 200 to SUBSCRIBE without Expires", u.name) // RFC 6665, 4.2.1.1
		}
	}
	return u.do(r)
}

// Dialog finds the newest dialog of that name; nil: there is none.
func (u *UA) Dialog(name string) *Dialog {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i := len(u.dialogs) - 1; i >= 0; i-- {
		if u.dialogs[i].name == name {
			return u.dialogs[i]
		}
	}
	return nil
}

// Heard is what the last NOTIFY of a dialog said.
func (u *UA) Heard(d *Dialog) (state, body string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return d.State, d.Body
}

// Register sends a REGISTER with these Contacts. All of one user agent's have
// one Call-ID (RFC 3261, 10.2).
func (u *UA) Register(contacts []string, o Options) int {
	r := u.outside(sip.MethodRegister, "sip:example.com")
	r.callID, r.tag, r.to = "register-"+u.name, "register-"+u.name, "<"+uri(u.user)+">"
	for _, c := range contacts {
		r.headers = append(r.headers, sip.Header{ID: sip.HeaderContact, Value: c})
	}
	o.apply(r)
	return u.do(r)
}

// Other sends a request of any method outside a dialog.
func (u *UA) Other(method sip.Method, o Options) int {
	r := u.outside(method, "sip:example.com")
	o.apply(r)
	r.to = "<" + uri("alice") + ">"
	return u.do(r)
}

// Raw sends a message as it stands. What is answered to it is Response's if its
// top Via has the branch.
func (u *UA) Raw(text string) int {
	m := new(sip.Message)
	_ = m.Parse(text, sip.DefaultLimits) // it may well be malformed
	r := &request{text: text, branch: m.TopVia.Branch, seq: m.CSeq.Seq, callID: m.CallID, tag: m.From.Tag(), anonymous: true}
	return u.transmit(r)
}

// Answer has the next NOTIFY answered so.
func (u *UA) Answer(status int, headers ...sip.Header) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answers = append(u.answers, answer{status, headers})
}

// transmissions gives the times at which a NOTIFY came, since the first.
func (u *UA) transmissions(n *Notify) (since []time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, at := range n.At {
		since = append(since, at.Sub(n.At[0]))
	}
	return since
}
