package identity

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/store"
)

func open(t *testing.T, st store.Store, algorithms ...sip.Algorithm) *Directory {
	t.Helper()
	d, err := OpenDirectory(st, []string{"example.com", "example.net"}, algorithms...)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func empty(t *testing.T) (*Directory, *store.Memory) {
	t.Helper()
	st := store.NewMemory()
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return open(t, st), st
}

func names(d *Directory) string {
	var s []string
	for _, u := range d.List() {
		s = append(s, u.Name+"@"+u.Realm)
	}
	return strings.Join(s, " ")
}

func mustDo(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestDirectoryLookUp(t *testing.T) {
	t.Parallel()
	d := newDirectory(t)
	for _, aor := range []presence.AOR{aliceAOR, "sip:a.smith@example.com", "sip:alice@example.net"} {
		if p, ok := d.Presentity(aor); !ok || p != presence.Presentity(aliceAOR) {
			t.Errorf("%s: %s, %v", aor, p, ok)
		}
	}
	if p, ok := d.Presentity("sip:nobody@example.com"); ok {
		t.Errorf("nobody is %s", p)
	}
	want := []presence.AOR{aliceAOR, "sip:a.smith@example.com", "sip:alice@example.net"}
	if got := d.Owner(presence.Presentity(aliceAOR)); !slices.Equal(got, want) {
		t.Errorf("owner %v", got)
	}
	if got := d.Owner("sip:a.smith@example.com"); got != nil {
		t.Errorf("an alias is a presentity: %v", got)
	}
	u, ok := d.User("", "alice")
	if !ok || u.Realm != "example.com" || u.HA1[sip.AlgorithmMD5] != hashOf(sip.AlgorithmMD5, "alice", "example.com", "open sesame") ||
		len(u.HA1[sip.AlgorithmSHA256]) != 64 || len(u.HA1[sip.AlgorithmSHA512256]) != 64 {
		t.Errorf("%+v, %v", u, ok)
	}
	if _, ok := d.User("example.net", "alice"); ok {
		t.Error("alice is at home in example.net")
	}
	for domain, want := range map[string]bool{"example.com": true, "EXAMPLE.net": true, "example.org": false, "": false, "sub.example.com": false} {
		if d.Serves(domain) != want {
			t.Errorf("serves %q: %v", domain, !want)
		}
	}
	if d.Domains()[0] != "example.com" {
		t.Error("the default domain is not the first")
	}
}

func TestDirectoryRefuses(t *testing.T) {
	t.Parallel()
	d := newDirectory(t)
	u := func(name string, aors ...presence.AOR) NewUser { return NewUser{Name: name, Password: "p", AORs: aors} }
	for name, c := range map[string]struct {
		u    NewUser
		want error
		says string
	}{
		"exists":            {u("alice"), ErrExists, "alice"},
		"empty name":        {u(""), ErrName, "empty"},
		"colon":             {u("a:b"), ErrName, "colon"},
		"line feed":         {u("a\nb"), ErrName, "control"},
		"NUL":               {u("a\x00b"), ErrName, "control"},
		"C1 control":        {u("a\u0085b"), ErrName, "control"},
		"not UTF-8":         {u("a\xffb"), ErrName, "UTF-8"},
		"quotation mark":    {u(`a"b`), ErrName, "quotation"},
		"long name":         {u(strings.Repeat("a", maxName+1)), ErrName, "255"},
		"space":             {u(" a"), ErrName, "space"},
		"anonymous":         {u("anonymous"), ErrName, "nobody"},
		"no password":       {NewUser{Name: "x"}, ErrPassword, "x"},
		"long password":     {NewUser{Name: "x", Password: strings.Repeat("a", maxPassword+1)}, ErrPassword, "1024"},
		"odd password":      {NewUser{Name: "x", Password: "\xff"}, ErrPassword, "UTF-8"},
		"foreign realm":     {NewUser{Name: "x", Password: "p", Realm: "example.org"}, ErrDomain, "example.org"},
		"foreign address":   {u("x", "sip:x@example.org"), ErrDomain, "sip:x@example.org"},
		"no address":        {u("x", "x"), ErrAOR, "x"},
		"address no user":   {u("x", "sip:example.com"), ErrAOR, "example.com"},
		"telephone":         {u("x", "tel:+358555"), ErrAOR, "tel"},
		"anonymous address": {u("x", "sip:anonymous@example.com"), ErrAOR, "nobody"},
		"too many":          {u("x", make([]presence.AOR, maxAORs+1)...), ErrAOR, "64"},
		"alice's address":   {u("x", "sip:x@example.com", "sip:alice@example.com"), ErrTaken, `"alice" of example.com`},
		"alice's alias":     {u("x", "sips:a.smith@EXAMPLE.com"), ErrTaken, "sip:a.smith@example.com"},
		"alice's realm":     {NewUser{Name: "alice", Realm: "example.net", Password: "p", AORs: []presence.AOR{"sip:al@example.net"}}, ErrTaken, "alice"},
		"alice's other":     {u("bob2", "sip:bob2@example.com", "sip:alice@example.net"), ErrTaken, "alice"},
	} {
		err := d.Add(c.u)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := names(d); got != "alice@example.com bob@example.com" {
		t.Errorf("users %s", got)
	}
	if _, ok := d.Presentity("sip:x@example.com"); ok {
		t.Error("something of a refused user is left")
	}
}

func TestDirectoryAddresses(t *testing.T) {
	t.Parallel()
	d, _ := empty(t)
	mustDo(t, d.Add(NewUser{Name: "jörg b@x", Password: "p", Realm: "Example.NET"}))
	if got := d.List()[0].AORs; !slices.Equal(got, []presence.AOR{"sip:j%C3%B6rg%20b%40x@example.net"}) {
		t.Errorf("address %v", got)
	}
	mustDo(t, d.Add(NewUser{Name: "c", Password: "p", AORs: []presence.AOR{"sips:%63@EXAMPLE.com:5061;x=y", "pres:c@example.com", "sip:d@example.com"}}))
	if u, _ := d.User("", "c"); !slices.Equal(u.AORs, []presence.AOR{"sip:c@example.com", "sip:d@example.com"}) {
		t.Errorf("addresses %v", u.AORs)
	}
}

func TestDirectoryIsKept(t *testing.T) {
	t.Parallel()
	d, st := empty(t)
	mustDo(t, d.AddAll([]NewUser{
		{Name: "alice", Password: "a", AORs: []presence.AOR{aliceAOR, "sip:alice@example.net"}},
		{Name: "bob", Password: "b"},
		{Name: "carol", Password: "c", Realm: "example.net"},
	}))
	mustDo(t, d.SetPassword("", "bob", "new"))
	mustDo(t, d.Remove("example.net", "carol"))
	mustDo(t, d.Add(NewUser{Name: "dave", Password: "d"}))

	again := open(t, st)
	if a, b := fmt.Sprint(d.List()), fmt.Sprint(again.List()); a != b {
		t.Errorf("after opening again\n%s\nwant\n%s", b, a)
	}
	if got := names(again); got != "alice@example.com bob@example.com dave@example.com" {
		t.Errorf("users %s", got)
	}
	if u, _ := again.User("", "bob"); u.HA1[sip.AlgorithmMD5] != hashOf(sip.AlgorithmMD5, "bob", "example.com", "new") {
		t.Error("the password did not change")
	}
	if r := again.byName.get(nameKey{"example.net", "alice"}); r == nil || r.inRealm("example.net") == nil {
		t.Error("alice is unknown in her other realm")
	}

	// Where MD5 is off it is not loaded, and goes with the next password.
	strict := open(t, st, sip.AlgorithmSHA256)
	if u, _ := strict.User("", "bob"); len(u.HA1) != 1 {
		t.Errorf("HA1 %v", u.HA1)
	}
	mustDo(t, strict.SetPassword("", "bob", "newer"))
	if u, _ := open(t, st).User("", "bob"); len(u.HA1) != 1 {
		t.Errorf("HA1 %v", u.HA1)
	}
}

func TestDirectoryReplace(t *testing.T) {
	t.Parallel()
	d, st := empty(t)
	first := []NewUser{{Name: "alice", Password: "a", AORs: []presence.AOR{aliceAOR, "sip:boss@example.com"}}, {Name: "bob", Password: "b"}, {Name: "zoe", Password: "z"}}
	mustDo(t, d.AddAll(first))
	mustDo(t, d.AddAll(first))

	// The alias moves, in either order; those not named stay.
	mustDo(t, d.AddAll([]NewUser{{Name: "bob", Password: "b", AORs: []presence.AOR{bobAOR, "sip:boss@example.com"}}, {Name: "alice", Password: "a"}}))
	for range 2 {
		if p, _ := d.Presentity("sip:boss@example.com"); p != presence.Presentity(bobAOR) {
			t.Errorf("boss is %s", p)
		}
		if got := names(d); got != "alice@example.com bob@example.com zoe@example.com" {
			t.Errorf("users %s", got)
		}
		d = open(t, st)
	}
	// All or nothing.
	for _, us := range [][]NewUser{
		{{Name: "dave", Password: "d"}, {Name: "alice", Password: "a2", AORs: []presence.AOR{"sip:zoe@example.com"}}},
		{{Name: "dave", Password: "d"}, {Name: "dave", Password: "e"}},
		{{Name: "dave", Password: "d"}, {Name: "eve"}},
	} {
		if err := d.AddAll(us); err == nil {
			t.Errorf("%v: no error", us)
		}
		if got := names(d); got != "alice@example.com bob@example.com zoe@example.com" {
			t.Errorf("users %s", got)
		}
	}
	if _, ok := d.Presentity(aliceAOR); !ok {
		t.Error("alice has lost her address")
	}
	mustDo(t, d.Put(NewUser{Name: "zoe", Password: "z", AORs: []presence.AOR{"sip:z@example.com"}}))
	if _, ok := d.Presentity("sip:zoe@example.com"); ok {
		t.Error("zoe's old address is left")
	}
	mustDo(t, d.ReplaceAll([]NewUser{{Name: "zoe", Password: "z2"}, {Name: "bob", Realm: "example.net", Password: "b"}}))
	if a, b := names(d), names(open(t, st)); a != "zoe@example.com bob@example.net" || b != a {
		t.Errorf("users %s, after opening again %s", a, b)
	}
	mustDo(t, d.ReplaceAll(nil))
	if got := names(d) + names(open(t, st)); got != "" {
		t.Errorf("users %s", got)
	}
	mustDo(t, d.AddAll(nil))
}

func TestDirectoryNoSuchUser(t *testing.T) {
	t.Parallel()
	d := newDirectory(t)
	for name, err := range map[string]error{
		"remove":            d.Remove("", "nobody"),
		"remove, realm":     d.Remove("example.net", "bob"),
		"remove, not home":  d.Remove("example.net", "alice"),
		"password":          d.SetPassword("", "nobody", "x"),
		"password, unhomed": d.SetPassword("example.net", "alice", "x"),
	} {
		if !errors.Is(err, ErrNoUser) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := d.SetPassword("", "alice", ""); !errors.Is(err, ErrPassword) {
		t.Errorf("empty password: %v", err)
	}
}

func TestDirectoryStoreFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	var mu sync.Mutex
	fail := ""
	st := store.NewMemory()
	st.Fault = func(op string) error {
		mu.Lock()
		defer mu.Unlock()
		if op == fail {
			return broken
		}
		return nil
	}
	breakAt := func(op string) {
		mu.Lock()
		defer mu.Unlock()
		fail = op
	}
	d := open(t, st)
	mustDo(t, d.Add(NewUser{Name: "alice", Password: "a"}))
	breakAt("scan")
	if _, err := OpenDirectory(st, []string{"example.com"}); !errors.Is(err, broken) {
		t.Errorf("open: %v", err)
	}
	breakAt("get")
	if err := d.Add(NewUser{Name: "bob", Password: "b"}); !errors.Is(err, broken) {
		t.Errorf("add: %v", err)
	}
	breakAt("commit")
	if err := d.AddAll([]NewUser{{Name: "bob", Password: "b"}, {Name: "carol", Password: "c"}}); !errors.Is(err, store.ErrFailed) {
		t.Errorf("add all: %v", err)
	}
	// What is not durable is not shown.
	if got := names(d); got != "alice@example.com" {
		t.Errorf("users %s", got)
	}
}

func TestDirectoryDamage(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]any{
		"no addresses": &userRecord{Name: "x", Realm: "example.com", Keys: []keysRecord{{Realm: "example.com"}}},
		"no keys":      &userRecord{Name: "x", Realm: "example.com", AORs: []presence.AOR{"sip:x@example.com"}},
		"other realm":  &userRecord{Name: "x", Realm: "example.com", AORs: []presence.AOR{"sip:x@example.com"}, Keys: []keysRecord{{Realm: "example.net"}}},
		"taken":        &userRecord{Name: "x", Realm: "example.com", AORs: []presence.AOR{aliceAOR}, Keys: []keysRecord{{Realm: "example.com"}}},
		"not a record": "x",
	} {
		d, st := empty(t)
		mustDo(t, d.Add(NewUser{Name: "alice", Password: "a"}))
		data, err := store.Encode(value)
		mustDo(t, err)
		mustDo(t, st.CompareAndSet(store.Key(keyKind, 0, "example.com", "x"), nil, data))
		if _, err := OpenDirectory(st, []string{"example.com"}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for _, domains := range [][]string{nil, {""}} {
		if _, err := OpenDirectory(store.NewMemory(), domains); !errors.Is(err, ErrDomain) {
			t.Errorf("domains %q: %v", domains, err)
		}
	}
	if _, err := OpenDirectory(store.NewMemory(), []string{"x"}, "SHA-1"); err == nil {
		t.Error("unknown algorithm: no error")
	}
}

// TestDirectoryWhileRead: readers see each user whole, before or after.
func TestDirectoryWhileRead(t *testing.T) {
	t.Parallel()
	d := newDirectory(t)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if p, ok := d.Presentity(bobAOR); !ok || p != presence.Presentity(bobAOR) {
					t.Error("bob is gone")
				}
				if u, ok := d.User("", "bob"); !ok || len(u.HA1) != 3 {
					t.Error("bob is not whole")
				}
				d.List()
			}
		})
	}
	for i := range 100 {
		name := fmt.Sprint("u", i)
		mustDo(t, d.Put(NewUser{Name: "bob", Password: name}))
		mustDo(t, d.Add(NewUser{Name: name, Password: "p"}))
		if i%2 == 0 {
			mustDo(t, d.Remove("", name))
		}
	}
	close(stop)
	wg.Wait()
	if got := len(d.List()); got != 52 {
		t.Errorf("%d users", got)
	}
}

func TestDirectoryManyUsers(t *testing.T) {
	t.Parallel()
	const n = 20_000
	us := make([]NewUser, n)
	for i := range us {
		us[i] = NewUser{Name: fmt.Sprintf("user%d", i), Password: "p"}
	}
	d, st := empty(t)
	mustDo(t, d.AddAll(us))
	mustDo(t, d.Add(NewUser{Name: "one more", Password: "p"}))
	if got := len(open(t, st).List()); got != n+1 {
		t.Errorf("%d users", got)
	}
}
