package identity

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/store"
)

var (
	// ErrExists: there is a user of that name already.
	ErrExists = errors.New("identity: user exists")
	// ErrNoUser: there is no user of that name.
	ErrNoUser = errors.New("identity: no such user")
	// ErrName: the user name cannot be used.
	ErrName = errors.New("identity: unusable user name")
	// ErrPassword: the password cannot be used.
	ErrPassword = errors.New("identity: unusable password")
	// ErrAOR: that is not an address-of-record.
	ErrAOR = errors.New("identity: not an address-of-record")
	// ErrDomain: the domain is not one of the server's.
	ErrDomain = errors.New("identity: domain is not served here")
	// ErrTaken: the address-of-record, or the name in a realm, is another user's.
	ErrTaken = errors.New("identity: taken by another user")
)

// algorithmOrder gives each algorithm its place in a record's array.
var algorithmOrder = [...]sip.Algorithm{sip.AlgorithmMD5, sip.AlgorithmSHA256, sip.AlgorithmSHA512256}

func algorithmIndex(a sip.Algorithm) int { return slices.Index(algorithmOrder[:], a) }

// User is one provisioned user.
type User struct {
	Name, Realm string
	// AORs: the first names the presentity, the others are its aliases.
	AORs []presence.AOR
	// HA1 is H(name:realm:password), in lower-case hex.
	HA1 map[sip.Algorithm]string
}

// NewUser is a user to provision.
type NewUser struct {
	Name string
	// Realm is the user's home domain; empty: the server's first.
	Realm    string
	Password string
	// AORs: the first names the presentity, the others are its aliases. Empty:
	// sip:Name@Realm. They are made canonical, so any form that ParseAOR reads
	// will do.
	AORs []presence.AOR
}

// Directory holds the provisioned users: all of them in memory, where reading
// takes no lock, and each as one record in the store. A method that changes it
// returns when the change is durable and seen by every reader.
type Directory struct {
	st         store.Store
	domains    []string
	algorithms []sip.Algorithm

	mu     sync.Mutex // held by one writer, over its write to the store
	byName snapshot[nameKey, *record]
	byAOR  snapshot[presence.AOR, *record]
}

// nameKey names a user as credentials do. A user whose addresses lie in several
// domains is found under each: its softphone is challenged with the realm of
// the address that it is configured for.
type nameKey struct{ realm, name string }

// record is a User in memory; it never changes.
type record struct {
	name, realm string
	aors        []presence.AOR
	keys        []realmKeys // of realm first
}

type realmKeys struct {
	realm string
	ha1   [len(algorithmOrder)]string
}

// OpenDirectory reads the users from st. domains are the served ones, the first
// the default; with none it is ErrDomain. HA1s are made and loaded for the given
// algorithms only (none given: for all), so that where MD5 is not allowed
// nothing made with it is kept for a new user or password.
func OpenDirectory(st store.Store, domains []string, algorithms ...sip.Algorithm) (*Directory, error) {
	if len(domains) == 0 {
		return nil, fmt.Errorf("%w: no domain is given", ErrDomain)
	}
	if len(algorithms) == 0 {
		algorithms = algorithmOrder[:]
	}
	d := &Directory{st: st, algorithms: slices.Clone(algorithms)}
	for _, a := range algorithms {
		if algorithmIndex(a) < 0 {
			return nil, fmt.Errorf("identity: unknown digest algorithm %q", a)
		}
	}
	for _, s := range domains {
		if s == "" {
			return nil, fmt.Errorf("%w: an empty domain is given", ErrDomain)
		}
		d.domains = append(d.domains, strings.ToLower(s))
	}
	d.byName.init()
	d.byAOR.init()
	if err := d.load(); err != nil {
		return nil, err
	}
	return d, nil
}

// Domains returns the served domains in lower case, the first the default. The
// slice must not be changed.
func (d *Directory) Domains() []string { return d.domains }

// Serves reports whether domain, in any case, is one of the server's.
func (d *Directory) Serves(domain string) bool { return d.served(domain) != "" }

// served returns the directory's own copy of a served domain, else "".
func (d *Directory) served(domain string) string {
	for _, s := range d.domains {
		if strings.EqualFold(s, domain) {
			return s
		}
	}
	return ""
}

// Presentity finds the presentity that aor, its name or an alias, belongs to.
func (d *Directory) Presentity(aor presence.AOR) (presence.Presentity, bool) {
	r := d.byAOR.get(aor)
	if r == nil {
		return "", false
	}
	return presence.Presentity(r.aors[0]), true
}

// Owner returns all addresses of p, its name first; none if p is nobody. The
// slice must not be changed.
func (d *Directory) Owner(p presence.Presentity) []presence.AOR {
	r := d.byAOR.get(presence.AOR(p))
	if r == nil || r.aors[0] != presence.AOR(p) {
		return nil
	}
	return r.aors
}

// User returns the user of that name at home in realm; an empty realm is the
// default one.
func (d *Directory) User(realm, name string) (User, bool) {
	r := d.byName.get(nameKey{d.realm(realm), name})
	if r == nil || r.realm != d.realm(realm) {
		return User{}, false
	}
	return r.user(), true
}

// List returns all users, sorted by realm and name.
func (d *Directory) List() []User {
	var users []User
	d.byName.all(func(k nameKey, r *record) {
		if k.realm == r.realm {
			users = append(users, r.user())
		}
	})
	slices.SortFunc(users, func(a, b User) int {
		return cmp.Or(cmp.Compare(a.Realm, b.Realm), cmp.Compare(a.Name, b.Name))
	})
	return users
}

// Add provisions a user. The error is ErrExists, ErrTaken, one of the others
// above for what cannot be used, or the store's.
func (d *Directory) Add(u NewUser) error { return d.change([]NewUser{u}, refuseExisting) }

// Put is Add, but replaces a user of the same name and realm.
func (d *Directory) Put(u NewUser) error { return d.change([]NewUser{u}, replaceExisting) }

// AddAll is Put for many users: all, or none if one cannot be used. An address
// may move from one of them to another. (Should the store fail midway, some of
// the records may have been written.)
func (d *Directory) AddAll(us []NewUser) error { return d.change(us, replaceExisting) }

// ReplaceAll is AddAll and removes every other user.
func (d *Directory) ReplaceAll(us []NewUser) error { return d.change(us, replaceEverything) }

// SetPassword gives a user a new password. The error is ErrNoUser, ErrPassword
// or the store's.
func (d *Directory) SetPassword(realm, name, password string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	old, err := d.existing(realm, name)
	if err != nil {
		return err
	}
	r, err := d.newRecord(NewUser{Name: old.name, Realm: old.realm, Password: password, AORs: old.aors})
	if err != nil {
		return err
	}
	p := d.newPlan()
	p.drop(old)
	if err := p.insert(r); err != nil {
		return err
	}
	return p.commit()
}

// Remove takes a user away; its addresses are free then. What the presentity
// has published or been granted is not touched here. The error is ErrNoUser or
// the store's.
func (d *Directory) Remove(realm, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	old, err := d.existing(realm, name)
	if err != nil {
		return err
	}
	p := d.newPlan()
	p.drop(old)
	return p.commit()
}

func (d *Directory) existing(realm, name string) (*record, error) {
	realm = d.realm(realm)
	r := d.byName.get(nameKey{realm, name})
	if r == nil || r.realm != realm {
		return nil, fmt.Errorf("%w: %q of %s", ErrNoUser, name, realm)
	}
	return r, nil
}

func (d *Directory) realm(realm string) string {
	if realm == "" {
		return d.domains[0]
	}
	return strings.ToLower(realm)
}

// mode says what change does with users that are there already.
type mode uint8

const (
	refuseExisting mode = iota
	replaceExisting
	replaceEverything
)

func (d *Directory) change(us []NewUser, m mode) error {
	records := make([]*record, len(us))
	for i, u := range us {
		r, err := d.newRecord(u)
		if err != nil {
			return err
		}
		records[i] = r
	}

	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.newPlan()
	// All that goes goes first, so that the order of us does not matter for an
	// address that moves from one user to another.
	if m == replaceEverything {
		d.byName.all(func(_ nameKey, r *record) { p.drop(r) })
	}
	for _, r := range records {
		old := d.byName.get(nameKey{r.realm, r.name})
		if old == nil || old.realm != r.realm {
			continue
		}
		if m == refuseExisting {
			return fmt.Errorf("%w: %q of %s", ErrExists, r.name, r.realm)
		}
		p.drop(old)
	}
	for _, r := range records {
		if err := p.insert(r); err != nil {
			return err
		}
	}
	return p.commit()
}

// newRecord checks u and computes what is kept of it.
func (d *Directory) newRecord(u NewUser) (*record, error) {
	if err := checkName(u.Name); err != nil {
		return nil, err
	}
	if err := checkPassword(u.Password); err != nil {
		return nil, fmt.Errorf("%w (user %q)", err, u.Name)
	}
	r := &record{name: strings.Clone(u.Name), realm: d.realm(u.Realm)}
	i := slices.Index(d.domains, r.realm)
	if i < 0 {
		return nil, fmt.Errorf("%w: %q (user %q)", ErrDomain, r.realm, u.Name)
	}
	r.realm = d.domains[i] // one string for all users
	if err := d.setAORs(r, u.AORs); err != nil {
		return nil, err
	}
	for i := range r.keys {
		k := &r.keys[i]
		for _, a := range d.algorithms {
			ha1, err := sip.HA1(a, r.name, k.realm, u.Password)
			if err != nil {
				return nil, fmt.Errorf("identity: user %q: %w", u.Name, err)
			}
			k.ha1[algorithmIndex(a)] = ha1
		}
	}
	return r, nil
}

// setAORs sets r.aors and makes room in r.keys for each domain among them.
func (d *Directory) setAORs(r *record, aors []presence.AOR) error {
	if len(aors) == 0 {
		aors = []presence.AOR{presence.AOR("sip:" + escapeUser(r.name) + "@" + r.realm)}
	}
	if len(aors) > maxAORs {
		return fmt.Errorf("%w: user %q has more than %d", ErrAOR, r.name, maxAORs)
	}
	r.aors = make([]presence.AOR, 0, len(aors))
	r.keys = []realmKeys{{realm: r.realm}}
	for _, given := range aors {
		aor, err := ParseAOR(string(given))
		if err != nil {
			return fmt.Errorf("%w (user %q)", err, r.name)
		}
		if aor.User() == anonymousUser {
			return fmt.Errorf("%w: %s stands for nobody (user %q)", ErrAOR, aor, r.name)
		}
		i := slices.Index(d.domains, aor.Domain())
		if i < 0 {
			return fmt.Errorf("%w: %s (user %q)", ErrDomain, aor, r.name)
		}
		if slices.Contains(r.aors, aor) {
			continue
		}
		r.aors = append(r.aors, aor)
		if r.inRealm(d.domains[i]) == nil {
			r.keys = append(r.keys, realmKeys{realm: d.domains[i]})
		}
	}
	return nil
}

// inRealm returns the keys for credentials of realm, or nil.
func (r *record) inRealm(realm string) *realmKeys {
	for i := range r.keys {
		if r.keys[i].realm == realm {
			return &r.keys[i]
		}
	}
	return nil
}

func (r *record) user() User {
	u := User{Name: r.name, Realm: r.realm, AORs: r.aors, HA1: make(map[sip.Algorithm]string, len(algorithmOrder))}
	for i, a := range algorithmOrder {
		if h := r.keys[0].ha1[i]; h != "" {
			u.HA1[a] = h
		}
	}
	return u
}
