package server

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tacit-presence/tacit/agent"
	"github.com/tacit-presence/tacit/compose"
	"github.com/tacit-presence/tacit/edge"
	"github.com/tacit-presence/tacit/filter"
	"github.com/tacit-presence/tacit/gate"
	"github.com/tacit-presence/tacit/identity"
	"github.com/tacit-presence/tacit/notifier"
	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/registrar"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/store"
	"github.com/tacit-presence/tacit/xcap"
	"github.com/tacit-presence/tacit/xcapdiff"
)

// Core is a server without sockets and files: users, gate and shards over a
// given store and a given way out. Tests run it in memory.
type Core struct {
	cfg     Config
	log     *slog.Logger
	store   store.Store
	users   *identity.Directory
	auth    atomic.Pointer[identity.Authenticator]
	gate    *gate.Gate
	runner  *shard.Runner
	trees   *xcap.Handler
	trace   *gate.Trace
	addrs   notifier.Addresses
	tags    notifier.TagKey
	moved   notifier.Moved
	trusted atomic.Pointer[[]netip.Prefix] // who may be dialled
	conceal atomic.Pointer[Privacy]
	root    atomic.Pointer[string] // URI of the XCAP root, with a slash at its end
	count   counters
	// undecided is what all shards count.
	undecided agent.Undecided

	ready    atomic.Bool
	broken   atomic.Bool
	failed   chan error
	stopOnce sync.Once
	stopped  chan struct{}
}

// counters are those of all packages, for the metrics.
type counters struct {
	agent    agent.Counters
	notifier notifier.Counters
	gate     gate.Counters
	edge     edge.Counters
	txs      *sip.ServerTable
}

// newCore reads the users; build makes the rest.
func newCore(cfg Config, st store.Store) (*Core, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Core{cfg: cfg, log: cfg.Logger, store: st, trace: gate.NewTrace(), failed: make(chan error, 1), stopped: make(chan struct{})}
	c.conceal.Store(&cfg.Privacy)
	var err error
	if c.users, err = identity.OpenDirectory(st, cfg.Domains, cfg.Digest.Algorithms...); err != nil {
		return nil, fmt.Errorf("cannot read the users: %w", err)
	}
	c.setXCAPRoot("https", c.users.Domains()[0])
	if c.trees, err = c.newXCAP(documents{c}); err != nil {
		return nil, fmt.Errorf("cannot serve XCAP: %w", err)
	}
	return c, c.authenticate(cfg)
}

// NewCore makes a core that is ready to Start.
func NewCore(cfg Config, st store.Store, out gate.Out, addrs notifier.Addresses) (*Core, error) {
	c, err := newCore(cfg, st)
	if err != nil {
		return nil, err
	}
	secret, _, err := keys(st)
	if err != nil {
		return nil, err
	}
	return c, c.build(secret, out, addrs)
}

// build restores all shards and connects them with the gate.
func (c *Core) build(secret []byte, out gate.Out, addrs notifier.Addresses) error {
	c.addrs, c.tags = addrs, notifier.NewTagKey(secret)
	c.count.txs = sip.NewServerTable(c.cfg.Limits.MaxTransactions, sip.DefaultTimers)
	waiting := new(notifier.Waiting)
	machines, err := c.machines(secret, waiting)
	if err != nil {
		return err
	}
	c.gate = gate.New(gate.Config{
		Identify:     c.identify,
		Directory:    c.users,
		Budgets:      c.cfg.Limits.Budgets,
		Conceals:     func(domain string) bool { return c.conceal.Load().conceals(domain) },
		Shards:       submitter{c},
		Out:          out,
		Transactions: c.count.txs,
		Tags:         c.tags,
		Waiting:      waiting,
		Moved:        &c.moved,
		Trace:        c.trace,
		Accept:       strings.Join([]string{pidf.ContentType, pidf.PartialContentType, filter.ContentType, xcapdiff.ListType}, ", "),
		AllowEvents:  machines[0].agent.AllowEvents(),
		Personal:     []presence.EventPackage{agent.EventXCAPDiff},
		Logger:       c.log,
		Counters:     &c.count.gate,
	})
	c.runner = shard.NewRunner(shard.Config{
		Store: c.store, Sender: c.gate, Failed: c.storeFailed,
		Machine: func(id shard.ID) shard.Machine { return machines[id] },
	})
	return nil
}

// Gate is the way in for messages.
func (c *Core) Gate() *gate.Gate { return c.gate }

// Users are the provisioned users.
func (c *Core) Users() *identity.Directory { return c.users }

// Run begins the work.
func (c *Core) Run() {
	c.runner.Start()
	// Users may have changed while the server was stopped.
	if err := c.Rehome(); err != nil {
		c.log.Error("subscriptions to addresses that are somebody else's now stay where they are", "error", err)
	}
	c.ready.Store(true)
}

// Stop ends the work after what is queued; it does not close the store.
func (c *Core) Stop() {
	c.ready.Store(false)
	c.runner.Stop()
}

// submitter breaks the circle of gate and runner.
type submitter struct{ c *Core }

// Submit passes an event on.
func (b submitter) Submit(ev shard.Event) bool { return b.c.runner.Submit(ev) }

// machine is a shard's whole state: the presence agent and the registrar.
type machine struct {
	agent     *agent.Shard
	registrar *registrar.Registrar
}

// Step gives an event to the one it is for.
func (m *machine) Step(ev *shard.Event, now time.Time, out *shard.Batch) {
	switch {
	case ev.Kind == shard.Tick:
		m.registrar.Step(ev, now, out)
		m.agent.Step(ev, now, out)
	case ev.Kind == shard.Request && ev.Msg.Method == sip.MethodRegister:
		m.registrar.Step(ev, now, out)
	default:
		m.agent.Step(ev, now, out)
	}
}

// Deadline is the earlier one.
func (m *machine) Deadline() time.Time {
	a, r := m.agent.Deadline(), m.registrar.Deadline()
	if a.IsZero() || !r.IsZero() && r.Before(a) {
		return r
	}
	return a
}

// machines restores all shards, on all processors.
func (c *Core) machines(secret []byte, waiting *notifier.Waiting) (list [shard.Count]*machine, err error) {
	composition, ok := compose.Named(c.cfg.Composition)
	if !ok {
		return list, fmt.Errorf("unknown composition policy %q: it is union or newest", c.cfg.Composition)
	}
	now := time.Now()
	var errs [shard.Count]error
	var group sync.WaitGroup
	next := make(chan int)
	for range 4 {
		group.Go(func() {
			for i := range next {
				m := c.machine(shard.ID(i), composition, secret, waiting)
				errs[i] = errors.Join(m.agent.Restore(c.store, now), m.registrar.Restore(c.store))
				for _, err := range m.agent.Damaged() {
					c.log.Error("a user's document cannot be read; of a presentity whose rules need it nobody is told until it is put anew or removed", "error", err)
				}
				list[i] = m
			}
		})
	}
	for i := range shard.Count {
		next <- i
	}
	close(next)
	group.Wait()
	return list, errors.Join(errs[:]...)
}

func (c *Core) machine(id shard.ID, composition compose.Policy, secret []byte, waiting *notifier.Waiting) *machine {
	a := agent.Config{
		ID: id, Composition: composition, Settings: c.settings(c.cfg), Owner: c.users.Owner, Serves: c.users.Serves, ListMembers: listMembers, Trees: xcapNames{c},
		MinExpires: c.cfg.MinExpires, MaxExpires: c.cfg.MaxExpires, MaxPublications: c.cfg.Limits.MaxPublications,
		Notifier: notifier.Config{
			Addresses: c.addrs, MaxPer: c.cfg.Limits.MaxSubscriptions,
			Secret: secret, Timers: sip.DefaultTimers, Counters: &c.count.notifier, Waiting: waiting, Moved: &c.moved,
		},
		Counters: &c.count.agent, Undecided: &c.undecided,
	}
	_, _ = rand.Read(a.Seed[:])
	return &machine{
		agent:     agent.New(a),
		registrar: registrar.New(registrar.Config{ID: id, MinExpires: c.cfg.MinExpires, MaxExpires: c.cfg.MaxExpires}),
	}
}

// keys reads, or makes at the first start, the key of dialog tags and the
// server's instance name.
func keys(st store.Store) (secret []byte, instance string, err error) {
	secret, err = lasting(st, "tags", 32)
	if err != nil {
		return nil, "", err
	}
	id, err := lasting(st, "instance", 16)
	if err != nil {
		return nil, "", err
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80 // RFC 9562, 5.4: a random UUID
	return secret, fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:]), nil
}

// lasting reads random bytes from the store, making them if there are none.
func lasting(st store.Store, name string, size int) ([]byte, error) {
	key := store.Key('m', 0, name)
	b, err := st.Get(key)
	if err == nil && len(b) == size {
		return slices.Clone(b), nil
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	b = make([]byte, size)
	_, _ = rand.Read(b)
	if err := st.CompareAndSet(key, nil, b); err != nil {
		return nil, fmt.Errorf("cannot store a new key: %w", err)
	}
	return slices.Clone(b), nil
}

func (c *Core) authenticate(cfg Config) error {
	a, err := identity.NewAuthenticator(identity.Config{
		Directory: c.users, Algorithms: cfg.Digest.Algorithms, ByUserAgent: cfg.Digest.ByUserAgent,
		AllowNoQOP: cfg.Digest.AllowNoQOP, NonceLife: cfg.Digest.NonceLife, Trusted: cfg.Trust,
	})
	if err != nil {
		return err
	}
	c.auth.Store(a)
	peers := slices.Concat(cfg.Peers, cfg.Trust)
	c.trusted.Store(&peers)
	return nil
}

func (c *Core) identify(req *sip.Message, from netip.AddrPort, now time.Time) identity.Verdict {
	return c.auth.Load().Identify(req, from, now)
}

func (c *Core) mayDial(a netip.Addr) bool {
	for _, p := range *c.trusted.Load() {
		if p.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}

// storeFailed ends the server: what is in memory is ahead of what is on disk.
func (c *Core) storeFailed(err error) {
	c.broken.Store(true)
	c.log.Error("the store has failed; nothing more is acknowledged", "error", err)
	select {
	case c.failed <- fmt.Errorf("the store has failed: %w", err):
	default:
	}
}

// Wait returns when the server has stopped, with the reason if it was a fault.
func (c *Core) Wait() error {
	select {
	case err := <-c.failed:
		return err
	case <-c.stopped:
		return nil
	}
}
