package agent

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tacit-presence/tacit/compose"
	"github.com/tacit-presence/tacit/notifier"
	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/store"
)

// publication is one source's event state (RFC 3903, 3).
type publication struct {
	tag      presence.EntityTag
	serial   uint64 // names it for life
	order    uint64 // of its last change, over all publications of the presentity
	modified time.Time
	expires  time.Time
	discard  time.Time // when the first location object of its document must go; zero: none
	request  uint64    // fingerprint of the PUBLISH that made, changed or removed it
	from     presence.AOR
	doc      *pidf.Document
	body     string
	apart    bool   // an id of its document was an older publication's once
	removed  bool   // kept only to answer a repetition
	restored bool   // made before the last restart
	key      []byte // in the store
}

// publicationRecord is a publication at rest.
type publicationRecord struct {
	Tag      presence.EntityTag `cbor:"1,keyasint"`
	Order    uint64             `cbor:"2,keyasint"`
	Modified int64              `cbor:"3,keyasint"` // Unix nanoseconds
	Expires  int64              `cbor:"4,keyasint"` // Unix nanoseconds
	Request  uint64             `cbor:"5,keyasint"`
	Source   presence.AOR       `cbor:"6,keyasint"`
	Body     string             `cbor:"7,keyasint,omitempty"`
	Removed  bool               `cbor:"8,keyasint,omitempty"`
	Apart    bool               `cbor:"9,keyasint,omitempty"`
}

// KeyPublication and KeyRules are the first bytes of keys in the store.
const (
	KeyPublication = 'p'
	KeyRules       = 'r'
)

func (s *Shard) publicationKey(p *presentity, serial uint64) []byte {
	return store.Key(KeyPublication, byte(s.cfg.ID), string(p.Presentity), fmt.Sprintf("%016x", serial))
}

func (s *Shard) putPublication(p *presentity, pub *publication, out *shard.Batch) {
	s.record = publicationRecord{
		Tag: pub.tag, Order: pub.order, Modified: pub.modified.UnixNano(), Expires: pub.expires.UnixNano(),
		Request: pub.request, Source: pub.from, Body: pub.body, Removed: pub.removed, Apart: pub.apart,
	}
	s.scratch = store.MustEncode(s.scratch[:0], &s.record)
	s.record = publicationRecord{}
	if pub.key == nil {
		pub.key = s.publicationKey(p, pub.serial)
	}
	out.Records.Put(pub.key, s.scratch)
}

// publish takes a PUBLISH by the steps of RFC 3903, 6. Step 1 (whose resource
// is it) is done: ev.Presentity is one of ours.
func (s *Shard) publish(ev *shard.Event, now time.Time, out *shard.Batch) {
	m := ev.Msg
	if err := policy.AllowSource(ev.Who, ev.Owner); err != nil {
		s.answer(ev, out, 403, "")
		return
	}
	// Step 2.
	event, _ := m.Get(sip.HeaderEvent)
	name, _ := sip.SplitParams(event)
	if name != eventPresence { // of the others nothing can be published
		s.answer(ev, out, 489, "", s.table.AllowEvents())
		return
	}
	p := s.presentity(ev.Presentity)
	defer s.drop(p)
	request := notifier.Fingerprint(m)
	var repetition notifier.Repetition
	if now.Before(s.resumed.Add(notifier.RepeatsFor)) {
		repetition = notifier.RepetitionOf(m)
	}
	for _, pub := range p.pubs {
		if pub.request == request || pub.restored && repetition.Of(pub.request) {
			s.published(ev, pub, now, out) // its first answer was lost
			return
		}
	}
	// Step 3.
	match, conditional := m.Get(sip.HeaderSIPIfMatch)
	var pub *publication
	if conditional {
		if strings.ContainsAny(match, ", \t") {
			s.answer(ev, out, 400, "SIP-If-Match Must Be One Entity-Tag")
			return
		}
		if pub = p.find(presence.EntityTag(match)); pub == nil {
			s.answer(ev, out, 412, "")
			return
		}
	}
	// Step 4.
	expires, status := s.publicationExpires(m)
	if status != 0 {
		s.answer(ev, out, status, "", sip.Header{ID: sip.HeaderMinExpires, Value: notifier.Seconds(s.cfg.MinExpires)})
		return
	}
	// Step 5.
	var doc *pidf.Document
	if expires > 0 || !conditional {
		var bad bool
		if doc, bad = s.document(ev, pub, out); bad {
			return
		}
	}
	if pub == nil {
		if len(p.pubs) >= s.cfg.MaxPublications && !s.forgetRemoved(p, out) {
			// RFC 3261, 21.5.4: a 503 would be taken as the whole server's.
			s.answer(ev, out, 500, "Too Many Publications", sip.Header{ID: sip.HeaderRetryAfter, Value: "60"})
			return
		}
		pub = &publication{serial: s.tick(now), from: ev.Who.AOR()}
		p.pubs = append(p.pubs, pub)
	}
	pub.request, pub.restored, pub.expires = request, false, now.Add(expires)
	s.apply(p, pub, doc, now, out)
	// Step 6, after the state that it acknowledges.
	s.published(ev, pub, now, out)
	if doc != nil || expires == 0 {
		s.changed(p, now, out)
	}
}

// apply changes one publication, whose request and end have been set, and stores
// it: doc takes the place of its document, if it is not nil; one that ends now is
// removed.
func (s *Shard) apply(p *presentity, pub *publication, doc *pidf.Document, now time.Time, out *shard.Batch) {
	pub.tag = s.entityTag()
	switch {
	case pub.expires.Equal(now):
		pub.removed, pub.doc, pub.body = true, nil, ""
		pub.expires = now.Add(forgetAfter)
	case doc != nil:
		pub.doc, pub.body = doc, doc.Body()
		pub.modified, pub.order = now, s.tick(now)
		pub.discardFrom(now)
		pub.apart = pub.apart || s.collides(p, pub)
	}
	s.putPublication(p, pub, out)
	s.arm(p)
}

// collides reports whether an older publication has an id of pub's document. The
// younger one's are renamed then, and stay so when the older one ends: watchers
// know them by it.
func (s *Shard) collides(p *presentity, pub *publication) bool {
	if len(p.pubs)+len(p.docs) == 1 {
		return false
	}
	s.sources = p.sources(s.sources)
	defer clear(s.sources)
	older := s.sources[:0]
	for _, other := range s.sources {
		if other.Serial < pub.serial {
			older = append(older, other)
		}
	}
	return compose.Collides(pub.source(), older)
}

func (s *Shard) published(ev *shard.Event, pub *publication, now time.Time, out *shard.Batch) {
	left := max(pub.expires.Sub(now), 0)
	if pub.removed {
		left = 0
	}
	s.cfg.Counters.Published.Add(1)
	// The entity-tag does for the To tag: a repetition gets the same one again.
	out.Reply(ev, sip.Reply{Status: 200, ToTag: string(pub.tag), Headers: []sip.Header{
		{ID: sip.HeaderSIPETag, Value: string(pub.tag)},
		{ID: sip.HeaderExpires, Value: notifier.Seconds(left)},
	}})
}

// publicationExpires reads the wanted duration; a status other than 0 refuses.
func (s *Shard) publicationExpires(m *sip.Message) (time.Duration, int) {
	expires := defaultPublicationExpires
	if v, ok := m.Get(sip.HeaderExpires); ok {
		n, err := sip.ParseUint32(v)
		if err != nil {
			return 0, 400
		}
		expires = time.Duration(n) * time.Second
	}
	if expires > 0 && expires < s.cfg.MinExpires {
		return 0, 423
	}
	return min(expires, s.cfg.MaxExpires), 0
}

// document reads the body of a publication, initial if pub is nil; bad means that
// the request has been answered.
func (s *Shard) document(ev *shard.Event, pub *publication, out *shard.Batch) (doc *pidf.Document, bad bool) {
	m := ev.Msg
	if m.Body == "" {
		if pub == nil {
			s.answer(ev, out, 400, "Initial Publication Without Body")
			return nil, true
		}
		return nil, false // a refresh
	}
	contentType, _ := m.Get(sip.HeaderContentType)
	contentType, _ = sip.SplitParams(contentType)
	partial := strings.EqualFold(contentType, pidf.PartialContentType)
	if !partial && !strings.EqualFold(contentType, pidf.ContentType) {
		s.answer(ev, out, 415, "", sip.Header{ID: sip.HeaderAccept, Value: acceptedTypes})
		return nil, true
	}
	if enc, ok := m.Get(sip.HeaderContentEncoding); ok && !strings.EqualFold(enc, "identity") {
		s.answer(ev, out, 415, "", sip.Header{Name: "Accept-Encoding", Value: "identity"}, sip.Header{ID: sip.HeaderAccept, Value: acceptedTypes})
		return nil, true
	}
	body := m.Body
	var err error
	if partial {
		body, err = partialBody(body, pub)
	}
	if err == nil {
		doc, err = pidf.Parse(body)
	}
	if err != nil {
		s.cfg.Counters.BadDocuments.Add(1)
		reason := "Bad Presence Document"
		if errors.Is(err, pidf.ErrNoFullState) {
			reason = "Invalid Partial Publication" // RFC 5264, 4.3.2
		}
		s.answer(ev, out, 400, reason, sip.Warning(err))
		return nil, true
	}
	return doc, false
}

// expirePublications drops what has run out, and locations that must be forgotten.
func (s *Shard) expirePublications(p *presentity, now time.Time, out *shard.Batch) {
	kept, lost := p.pubs[:0], false
	for _, pub := range p.pubs {
		if pub.expires.After(now) {
			kept = append(kept, pub)
			continue
		}
		lost = lost || !pub.removed
		out.Records.Delete(s.publicationKey(p, pub.serial))
	}
	clear(p.pubs[len(kept):])
	p.pubs = kept
	lost = s.discardDue(p, now, out) || lost
	s.arm(p)
	if lost {
		s.changed(p, now, out)
	}
	s.drop(p)
}

// forgetRemoved makes room for a publication: the oldest of the removed ones no
// longer answers repetitions. False: there is none.
func (s *Shard) forgetRemoved(p *presentity, out *shard.Batch) bool {
	for i, pub := range p.pubs {
		if pub.removed {
			out.Records.Delete(s.publicationKey(p, pub.serial))
			p.pubs = slices.Delete(p.pubs, i, i+1)
			return true
		}
	}
	return false
}

func (p *presentity) find(tag presence.EntityTag) *publication {
	for _, pub := range p.pubs {
		if pub.tag == tag && !pub.removed {
			return pub
		}
	}
	return nil
}

// sources lists the live publications and the hard state for composition.
func (p *presentity) sources(buf []compose.Publication) []compose.Publication {
	buf = buf[:0]
	for _, pub := range p.pubs {
		if !pub.removed {
			buf = append(buf, pub.source())
		}
	}
	return p.hardState(buf)
}

// source is pub as composition takes it.
func (pub *publication) source() compose.Publication {
	return compose.Publication{Serial: pub.serial, Modified: pub.modified, Order: pub.order, Apart: pub.apart, Doc: pub.doc}
}
