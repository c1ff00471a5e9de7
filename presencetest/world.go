package presencetest

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tacit-presence/tacit/identity"
	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/server"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/store"
)

// World is a server, a network and the people on it.
type World struct {
	T     testing.TB
	Store *store.Memory
	Core  *server.Core

	cfg   server.Config
	net   *network
	dials []netip.Prefix
	users map[string]identity.NewUser
	uas   map[string]*UA
	hosts map[netip.Prefix]byte // the last host number given out
}

// DefaultConfig is localserve's, but that everybody is allowed to watch.
func DefaultConfig() server.Config {
	cfg := server.LocalConfig()
	cfg.Domains = []string{"example.com", "example.org"}
	cfg.DefaultDecision = policy.Allow
	cfg.Trust = []netip.Prefix{trusted}
	return cfg
}

// NewWorld starts a server with the users alice, bob, carol and dave. The test
// stops it at its end.
func NewWorld(t testing.TB, cfg server.Config) *World {
	w := &World{
		T: t, Store: store.NewMemory(), cfg: cfg, net: newNetwork(), users: map[string]identity.NewUser{},
		uas: map[string]*UA{}, hosts: map[netip.Prefix]byte{},
	}
	w.start()
	for _, name := range []string{"alice", "bob", "carol", "dave"} {
		w.AddUser(name)
	}
	return w
}

// AddUser provisions a user of that name, password and, as far as given,
// addresses-of-record.
func (w *World) AddUser(name string, aors ...string) {
	w.T.Helper()
	u := identity.NewUser{Name: name, Password: password(name)}
	for _, a := range aors {
		aor, err := identity.ParseAOR(a)
		if err != nil {
			w.T.Fatal(err)
		}
		u.AORs = append(u.AORs, aor)
	}
	if err := w.Core.Users().Put(u); err != nil {
		w.T.Fatal(err)
	}
	if err := w.Core.Rehome(); err != nil {
		w.T.Fatal(err)
	}
}

func password(name string) string { return name + "'s password" }

// start makes a core over what the store holds.
func (w *World) start() {
	w.T.Helper()
	out := w.net.attach()
	core, err := server.NewCore(w.cfg, w.Store, out, addresses{w})
	if err != nil {
		w.T.Fatal(err)
	}
	w.Core = core
	w.net.serve(core.Gate().Receive, core.Gate().FlowClosed)
	core.Run()
}

// Crash ends the server as kill -9 does, at once and without a word, and starts
// another on what had reached the disk: all that was acknowledged, and of what
// was not yet the first keep writes. Connections break.
func (w *World) Crash(keep int) {
	w.T.Helper()
	w.net.attach() // nothing the old one may still do reaches anybody
	after := w.Store.CrashKeeping(keep)
	w.Core.Stop()
	w.Store = after
	w.start()
}

// Restart stops the server in good order and starts another.
func (w *World) Restart() {
	w.T.Helper()
	w.Core.Stop()
	w.start()
}

// Close stops the server.
func (w *World) Close() {
	w.Store.Release()
	w.Core.Stop()
	if err := w.Store.Close(); err != nil {
		w.T.Error(err)
	}
}

// Settle waits until nothing more happens without time passing.
func (w *World) Settle() { synctest.Wait() }

// Sleep lets time pass.
func (w *World) Sleep(d time.Duration) {
	time.Sleep(d)
	w.Settle()
}

// Rule sets a decision of a presentity on a watcher; both are users' names or
// addresses.
func (w *World) Rule(presentity, decision, watcher string) {
	w.T.Helper()
	p, who := w.AOR(presentity), w.AOR(watcher)
	if decision == "none" {
		if err := w.Core.Admin().RemoveRule(p, who); err != nil {
			w.T.Fatal(err)
		}
		return
	}
	h, err := policy.ParseHandling(decision)
	if err == nil {
		err = w.Core.Admin().SetRule(p, who, h)
	}
	if err != nil {
		w.T.Fatal(err)
	}
}

// Document puts a user's XCAP document as the XCAP server would, in the place of
// what is there; without body it removes it. Path is AUID/NAME, such as
// "pres-rules/index".
func (w *World) Document(user, path, body string) error {
	auid, name, ok := strings.Cut(path, "/")
	if !ok {
		return fmt.Errorf("AUID/NAME is wanted, not %s", path)
	}
	n := server.DocumentName{AUID: auid, Name: name}
	if body == "" {
		return w.Core.Admin().RemoveDocument(w.AOR(user), n)
	}
	return w.Core.Admin().PutDocument(w.AOR(user), server.DocumentInput{DocumentName: n, Body: []byte(body)})
}

// host gives out a new address.
func (w *World) host(p netip.Prefix) netip.Addr {
	w.hosts[p]++
	b := p.Addr().As4()
	b[3] = w.hosts[p]
	return netip.AddrFrom4(b)
}

// uri is a name as a user of the default domain, or the URI that it is.
func uri(name string) string {
	if strings.Contains(name, ":") {
		return name
	}
	return "sip:" + name + "@example.com"
}

// addresses is the server's notifier.Addresses.
type addresses struct{ w *World }

// SentBy implements notifier.Addresses.
func (addresses) SentBy(sip.Flow) string { return serverAddr.String() }

// Contact implements notifier.Addresses.
func (addresses) Contact(f sip.Flow, sips bool) string {
	scheme, params := "sip:", ""
	if sips {
		scheme = "sips:"
	}
	if f.Transport == sip.TransportTCP {
		params = ";transport=tcp"
	}
	return "<" + scheme + "tacit@" + serverAddr.String() + params + ";gr=urn:uuid:00000000-0000-4000-8000-000000000000>"
}

// MayDial implements notifier.Addresses.
func (a addresses) MayDial(f sip.Flow) bool {
	for _, p := range a.w.dials {
		if p.Contains(f.Remote.Addr()) {
			return true
		}
	}
	return false
}
