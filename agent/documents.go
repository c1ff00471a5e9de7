package agent

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tacit-presence/tacit/compose"
	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/store"
)

// The errors of a change of a document.
var (
	// ErrChanged: the document is not the one that the change was made for.
	ErrChanged = errors.New("the document has changed meanwhile")
	// ErrTooManyDocuments: the presentity has as many as it may have.
	ErrTooManyDocuments = errors.New("too many documents")
)

const (
	// KeyDocument is the first byte of a document's key in the store.
	KeyDocument = 'd'
	// maxDocuments bounds those of one presentity; a softphone has up to five.
	maxDocuments = 64
	// hardSerial is the Serial of the presence in a pidf-manipulation document:
	// older than that of any publication, so that those step aside for its ids.
	hardSerial = 1
)

// The application usages whose documents mean something to the agent.
const (
	AUIDPresRules    = "pres-rules"                        // RFC 5025, 9
	AUIDOMAPresRules = "org.openmobilealliance.pres-rules" // OMA Presence XDM
	AUIDManipulation = "pidf-manipulation"                 // RFC 4827, 4
	AUIDLists        = "resource-lists"                    // RFC 4826, 3
	AUIDPreferences  = "tacit-preferences"                 // ours
)

// DocumentName names an XCAP document within a presentity's tree.
type DocumentName struct {
	AUID string
	Path string // below users/XUI/
}

// compare is the order of names.
func (n DocumentName) compare(o DocumentName) int {
	return cmp.Or(cmp.Compare(n.AUID, o.AUID), cmp.Compare(n.Path, o.Path))
}

// Document is one document as it is kept.
type Document struct {
	DocumentName
	ETag     presence.EntityTag
	Body     string
	Modified time.Time
}

// Meaning is what a document says, read by ReadMeaning outside the shard, since
// reading is what costs. The zero value says nothing.
type Meaning struct {
	Presence    *pidf.Document      // pidf-manipulation
	Rules       *policy.RuleSet     // pres-rules, of either kind
	Preferences *policy.Preferences // ours
}

// ReadMeaning reads a document that has been validated.
func ReadMeaning(name DocumentName, body string) (m Meaning, err error) {
	switch name.AUID {
	case AUIDManipulation:
		m.Presence, err = pidf.Parse(body)
	case AUIDPresRules, AUIDOMAPresRules:
		m.Rules, err = policy.ReadRuleSet(body, zone)
	case AUIDPreferences:
		m.Preferences, err = policy.ReadPreferences(body)
	}
	return m, err
}

// kept is a Document and what it says.
type kept struct {
	Document
	meaning Meaning
	order   uint64    // of its last change, as a publication has it
	discard time.Time // when the first location object in it must go; zero: none
	// damaged: what it says, and its Body if that is empty, could not be read from the
	// store. It stays as it is until it is changed or removed.
	damaged bool
}

// documentRecord is a document at rest.
type documentRecord struct {
	ETag     presence.EntityTag `cbor:"1,keyasint"`
	Modified int64              `cbor:"2,keyasint"` // Unix nanoseconds
	Order    uint64             `cbor:"3,keyasint"`
	Body     string             `cbor:"4,keyasint"`
}

func (s *Shard) documentKey(p *presentity, n DocumentName) []byte {
	return store.Key(KeyDocument, byte(s.cfg.ID), string(p.Presentity), n.AUID, n.Path)
}

// Documents returns all documents of a presentity, sorted by name.
func (s *Shard) Documents(id presence.Presentity) []Document {
	p := s.people[id]
	if p == nil {
		return nil
	}
	list := make([]Document, 0, len(p.docs))
	for _, d := range p.docs {
		list = append(list, d.Document)
	}
	return list
}

// Document returns one; false: there is none.
func (s *Shard) Document(id presence.Presentity, n DocumentName) (Document, bool) {
	if p := s.people[id]; p != nil {
		if d := p.document(n); d != nil {
			return d.Document, true
		}
	}
	return Document{}, false
}

func (p *presentity) document(n DocumentName) *kept {
	for _, d := range p.docs {
		if d.DocumentName == n {
			return d
		}
	}
	return nil
}

// DocumentChange is a document that is to be put.
type DocumentChange struct {
	DocumentName
	// Was is the entity-tag of the document in whose place it is put; empty: there
	// must be none.
	Was     presence.EntityTag
	Body    string
	Meaning Meaning // of Body
}

// ChangeDocument puts a document. Where the one there is not what c says it was,
// its error is ErrChanged; ErrTooManyDocuments. When the batch is durable the
// change is in effect: what it narrows has been narrowed, and nothing is told
// under the old rules any more.
func (s *Shard) ChangeDocument(id presence.Presentity, c DocumentChange, now time.Time, out *shard.Batch) (Document, error) {
	p := s.presentity(id)
	defer s.drop(p)
	old, retain := p.version(c.DocumentName)
	d, err := s.replaceDocument(p, c, now, out)
	if err == nil {
		_, still := p.version(c.DocumentName)
		s.documentChanged(p, c.DocumentName, now, out)
		s.stepped(p, step{was: old, is: d, known: retain && still}, now, out)
	}
	return d, err
}

// StoreDocument is ChangeDocument for a shard that does not run: the change takes
// effect when it is next restored.
func (s *Shard) StoreDocument(id presence.Presentity, c DocumentChange, now time.Time, out *shard.Batch) (Document, error) {
	return s.replaceDocument(s.presentity(id), c, now, out)
}

func (s *Shard) replaceDocument(p *presentity, c DocumentChange, now time.Time, out *shard.Batch) (Document, error) {
	d := p.document(c.DocumentName)
	if d == nil && c.Was != "" || d != nil && d.ETag != c.Was {
		return Document{}, ErrChanged
	}
	if d == nil {
		if len(p.docs) >= maxDocuments {
			return Document{}, fmt.Errorf("%w: %d", ErrTooManyDocuments, maxDocuments)
		}
		d = &kept{Document: Document{DocumentName: c.DocumentName}}
		p.docs = append(p.docs, d)
		sortDocuments(p.docs)
	}
	d.ETag, d.Body, d.Modified, d.meaning, d.order, d.damaged = s.entityTag(), c.Body, now, c.Meaning, s.tick(now), false
	if c.Meaning.Presence != nil {
		_, d.discard = discard(c.Body, now, time.Time{})
		s.arm(p)
	}
	s.putDocument(p, d, out)
	return d.Document, nil
}

func (s *Shard) putDocument(p *presentity, d *kept, out *shard.Batch) {
	r := documentRecord{ETag: d.ETag, Modified: d.Modified.UnixNano(), Order: d.order, Body: d.Body}
	out.Records.Put(s.documentKey(p, d.DocumentName), store.MustEncode(nil, &r))
}

// RemoveDocument removes the document with that entity-tag, else its error is
// ErrChanged. It is in effect as ChangeDocument is.
func (s *Shard) RemoveDocument(id presence.Presentity, n DocumentName, was presence.EntityTag, now time.Time, out *shard.Batch) error {
	p := s.people[id]
	if p == nil {
		return ErrChanged
	}
	old, retain := p.version(n)
	if err := s.DropDocument(id, n, was, out); err != nil {
		return err
	}
	s.documentChanged(p, n, now, out)
	s.stepped(p, step{was: old, known: retain}, now, out)
	s.drop(p)
	return nil
}

// DropDocument is RemoveDocument for a shard that does not run.
func (s *Shard) DropDocument(id presence.Presentity, n DocumentName, was presence.EntityTag, out *shard.Batch) error {
	p := s.people[id]
	if p == nil {
		return ErrChanged
	}
	d := p.document(n)
	if d == nil || d.ETag != was {
		return ErrChanged
	}
	p.docs = slices.DeleteFunc(p.docs, func(other *kept) bool { return other == d })
	out.Records.Delete(s.documentKey(p, n))
	return nil
}

// version is a document as it is, the zero Document if there is none; retain says
// that it may be kept when it is no more: nothing in it has to be discarded at some
// time.
func (p *presentity) version(n DocumentName) (d Document, retain bool) {
	if k := p.document(n); k != nil {
		return k.Document, k.discard.IsZero() && !k.damaged
	}
	return Document{}, true
}

// documentChanged brings a change into effect.
func (s *Shard) documentChanged(p *presentity, n DocumentName, now time.Time, out *shard.Batch) {
	switch n.AUID {
	case AUIDManipulation:
		s.changed(p, now, out)
	case AUIDPresRules, AUIDOMAPresRules, AUIDPreferences, AUIDLists:
		s.force(p)
		s.redecide(p, now, out)
	}
}

// hardState lists the presence that documents hold, for composition: a source
// that lasts until it is changed (RFC 4827, 1).
func (p *presentity) hardState(buf []compose.Publication) []compose.Publication {
	for _, d := range p.docs {
		if d.meaning.Presence != nil {
			buf = append(buf, compose.Publication{Serial: hardSerial, Modified: d.Modified, Order: d.order, Doc: d.meaning.Presence})
		}
	}
	return buf
}

// restoreDocument takes a document back. One that cannot be read keeps nobody else's
// presence from being served: its own presentity's is told to nobody (force).
func (s *Shard) restoreDocument(key, value []byte) error {
	_, _, parts, err := store.KeyParts(key)
	if err != nil || len(parts) != 3 {
		return fmt.Errorf("document record: malformed key %x", key)
	}
	d := &kept{Document: Document{DocumentName: DocumentName{AUID: parts[1], Path: parts[2]}}}
	var r documentRecord
	if err = store.Decode(value, &r); err == nil {
		d.ETag, d.Body, d.Modified, d.order = r.ETag, r.Body, time.Unix(0, r.Modified), r.Order
		d.meaning, err = ReadMeaning(d.DocumentName, d.Body)
	} else {
		sum := sha256.Sum256(value)
		d.ETag = presence.EntityTag(hex.EncodeToString(sum[:8])) // the same until it is changed
	}
	if err != nil {
		d.damaged, d.meaning = true, Meaning{}
		s.damaged = append(s.damaged, fmt.Errorf("document %s/%s of %s: %w", parts[1], parts[2], parts[0], err))
		s.cfg.Counters.DamagedDocuments.Add(1)
	}
	if d.meaning.Presence != nil {
		_, d.discard = discard(d.Body, d.Modified, time.Time{})
	}
	s.last = max(s.last, d.order)
	p := s.presentity(presence.Presentity(parts[0]))
	p.docs = append(p.docs, d)
	return nil
}

// Damaged lists what Restore could not read, and has passed over.
func (s *Shard) Damaged() []error { return s.damaged }

func sortDocuments(docs []*kept) {
	slices.SortFunc(docs, func(a, b *kept) int { return a.compare(b.DocumentName) })
}
