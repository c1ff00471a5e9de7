package identity

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/store"
)

// keyKind marks the users' records in the store. They belong to no shard.
const keyKind byte = 'u'

// usersPerBatch bounds what one batch of AddAll holds, to some 400 KB.
const usersPerBatch = 1000

// userRecord is a user in the store.
type userRecord struct {
	Name  string         `cbor:"1,keyasint"`
	Realm string         `cbor:"2,keyasint"`
	AORs  []presence.AOR `cbor:"3,keyasint"`
	Keys  []keysRecord   `cbor:"4,keyasint"`
}

type keysRecord struct {
	Realm string                   `cbor:"1,keyasint"`
	HA1   map[sip.Algorithm]string `cbor:"2,keyasint"`
}

func (r *record) encode() ([]byte, error) {
	u := userRecord{Name: r.name, Realm: r.realm, AORs: r.aors}
	for _, k := range r.keys {
		kr := keysRecord{Realm: k.realm, HA1: make(map[sip.Algorithm]string, len(k.ha1))}
		for i, h := range k.ha1 {
			if h != "" {
				kr.HA1[algorithmOrder[i]] = h
			}
		}
		u.Keys = append(u.Keys, kr)
	}
	return store.Encode(&u)
}

func (d *Directory) decode(data []byte) (*record, error) {
	var u userRecord
	if err := store.Decode(data, &u); err != nil {
		return nil, err
	}
	if len(u.AORs) == 0 || len(u.Keys) == 0 || u.Keys[0].Realm != u.Realm {
		return nil, errors.New("the record lacks addresses or keys")
	}
	r := &record{name: u.Name, realm: d.shared(u.Realm), aors: u.AORs, keys: make([]realmKeys, len(u.Keys))}
	for i, k := range u.Keys {
		r.keys[i].realm = d.shared(k.Realm)
		for a, h := range k.HA1 {
			if slices.Contains(d.algorithms, a) {
				r.keys[i].ha1[algorithmIndex(a)] = h
			}
		}
	}
	return r, nil
}

// shared returns the directory's own copy of a domain, so that a user costs none.
func (d *Directory) shared(domain string) string {
	if i := slices.Index(d.domains, domain); i >= 0 {
		return d.domains[i]
	}
	return domain
}

// load fills the snapshots of a directory that nobody uses yet. Users of a
// domain that is no longer served are kept: it may be again.
func (d *Directory) load() error {
	p := d.newPlan()
	err := d.st.Scan(store.Key(keyKind, 0), func(key, value []byte) error {
		r, err := d.decode(value)
		if err != nil {
			return fmt.Errorf("identity: user record %q: %w", key, err)
		}
		return p.index(r)
	})
	if err != nil {
		return err
	}
	p.publish()
	return nil
}

// plan is a change of the directory in the making. The directory's mutex is
// held as long as there is one.
type plan struct {
	d      *Directory
	byName edit[nameKey, *record]
	byAOR  edit[presence.AOR, *record]
	write  map[nameKey]*record // by name and home realm; nil: delete
}

func (d *Directory) newPlan() *plan {
	p := &plan{d: d, write: make(map[nameKey]*record)}
	p.byName.of = &d.byName
	p.byAOR.of = &d.byAOR
	return p
}

// drop removes a user. Doing so twice does nothing.
func (p *plan) drop(r *record) {
	if p.byName.get(nameKey{r.realm, r.name}) != r {
		return
	}
	for _, k := range r.keys {
		p.byName.delete(nameKey{k.realm, r.name})
	}
	for _, aor := range r.aors {
		p.byAOR.delete(aor)
	}
	p.write[nameKey{r.realm, r.name}] = nil
}

// insert adds a user whose name and addresses must be free by now.
func (p *plan) insert(r *record) error {
	if err := p.index(r); err != nil {
		return err
	}
	p.write[nameKey{r.realm, r.name}] = r
	return nil
}

func (p *plan) index(r *record) error {
	for _, k := range r.keys {
		key := nameKey{k.realm, r.name}
		switch other := p.byName.get(key); {
		case other == nil:
			p.byName.set(key, r)
		case other.realm == r.realm:
			return fmt.Errorf("%w: %q of %s is given twice", ErrExists, r.name, r.realm)
		default:
			return fmt.Errorf("%w: the name %q in the realm %s, by %q of %s", ErrTaken, r.name, k.realm, other.name, other.realm)
		}
	}
	for _, aor := range r.aors {
		if other := p.byAOR.get(aor); other != nil {
			return fmt.Errorf("%w: %s (wanted for %q), by %q of %s", ErrTaken, aor, r.name, other.name, other.realm)
		}
		p.byAOR.set(aor, r)
	}
	return nil
}

// publish shows the change to readers. Names go first: should a user be
// replaced, a reader between the two sees one whole user or the other.
func (p *plan) publish() {
	p.byName.publish()
	p.byAOR.publish()
}

// commit writes the change to the store and then shows it.
func (p *plan) commit() error {
	var err error
	if len(p.write) == 1 {
		for key, r := range p.write {
			err = p.writeOne(key, r)
		}
	} else {
		err = p.writeMany()
	}
	if err != nil {
		return fmt.Errorf("identity: %w", err)
	}
	p.publish()
	return nil
}

func (p *plan) writeOne(key nameKey, r *record) error {
	k := store.Key(keyKind, 0, key.realm, key.name)
	old, err := p.d.st.Get(k)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	var data []byte
	if r != nil {
		if data, err = r.encode(); err != nil {
			return err
		}
	}
	if slices.Equal(old, data) {
		return nil
	}
	return p.d.st.CompareAndSet(k, old, data)
}

// writeMany uses batches: compare-and-set would cost an fsync a user. The
// directory is the only writer of its records.
func (p *plan) writeMany() error {
	var batches []*store.Batch
	for key, r := range p.write {
		if n := len(batches); n == 0 || batches[n-1].Len() == usersPerBatch {
			batches = append(batches, new(store.Batch))
		}
		b := batches[len(batches)-1]
		k := store.Key(keyKind, 0, key.realm, key.name)
		if r == nil {
			b.Delete(k)
			continue
		}
		data, err := r.encode()
		if err != nil {
			return err
		}
		b.Put(k, data)
	}
	done := make(chan error, len(batches))
	for _, b := range batches {
		p.d.st.Commit(b, func(err error) { done <- err })
	}
	var errs []error
	for range batches {
		errs = append(errs, <-done)
	}
	return errors.Join(errs...)
}
