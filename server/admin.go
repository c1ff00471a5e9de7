package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tacit-presence/tacit/agent"
	"github.com/tacit-presence/tacit/identity"
	"github.com/tacit-presence/tacit/notifier"
	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/store"
)

// adminTimeout bounds what an operator's call waits for one shard.
const adminTimeout = 20 * time.Second

// traceBuffer is how many messages a slow reader of a trace may be behind.
const traceBuffer = 256

// admin is Admin on a running server.
type admin struct {
	c *Core
	desks
}

// Admin is what an operator can do to this server.
func (c *Core) Admin() Admin { return c.admin() }

func (c *Core) admin() admin { return admin{c, c.at} }

// do runs fn in one shard.
func (a admin) do(id shard.ID, fn func(m *machine, now time.Time, out *shard.Batch)) error {
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	return a.c.runner.Do(ctx, id, func(m shard.Machine, now time.Time, out *shard.Batch) { fn(m.(*machine), now, out) })
}

func (c *Core) presentity(aor presence.AOR) (presence.Presentity, error) {
	p, ok := c.users.Presentity(aor)
	if !ok {
		return "", fmt.Errorf("%w: %s", ErrNoUser, aor)
	}
	return p, nil
}

// Users lists the users.
func (a admin) Users() ([]UserInfo, error) { return listUsers(a.c.users), nil }

// AddUser adds one.
func (a admin) AddUser(u NewUser) error {
	if err := addUserTo(a.c.users, u); err != nil {
		return err
	}
	realm := cmp.Or(u.Domain, a.c.users.Domains()[0])
	added, ok := a.c.users.User(realm, u.Name)
	if !ok || !a.c.ready.Load() {
		return nil // the shards have not begun
	}
	// Where that is concealed, there may be watchers already.
	if err := a.c.Rehome(); err != nil {
		return err
	}
	p := presence.Presentity(added.AORs[0])
	return a.do(shard.Of(p), func(m *machine, now time.Time, out *shard.Batch) { m.agent.Redecide(p, now, out) })
}

// PutUsers adds users, or gives those of the same name their new password and,
// if any are named, addresses: all in one write, all or none.
func (c *Core) PutUsers(list []NewUser) error {
	all := make([]identity.NewUser, 0, len(list))
	for _, u := range list {
		realm := cmp.Or(u.Domain, c.users.Domains()[0])
		if old, ok := c.users.User(realm, u.Name); ok && len(u.AORs) == 0 {
			u.AORs = old.AORs
		}
		all = append(all, identity.NewUser{Name: u.Name, Realm: realm, Password: u.Password, AORs: u.AORs})
	}
	if err := c.users.AddAll(all); err != nil || !c.ready.Load() {
		return adminError(err)
	}
	return c.Rehome()
}

// RemoveUser removes one, with publications, rules, and every subscription to
// it or of it.
func (a admin) RemoveUser(name string) error {
	u, err := findUser(a.c.users, name)
	if err != nil {
		return err
	}
	if err := a.c.users.Remove(u.Realm, u.Name); err != nil {
		return err
	}
	p := presence.Presentity(u.AORs[0])
	err = a.do(shard.Of(p), func(m *machine, now time.Time, out *shard.Batch) { m.agent.RemovePresentity(p, now, out) })
	for i := range shard.Count {
		err = errors.Join(err, a.do(shard.ID(i), func(m *machine, now time.Time, out *shard.Batch) {
			for _, aor := range u.AORs {
				m.agent.RemoveWatcher(aor, now, out)
				m.registrar.Remove(aor, out)
			}
		}))
	}
	return errors.Join(err, a.c.Rehome())
}

// SetPassword changes one's password.
func (a admin) SetPassword(name, password string) error {
	return setPassword(a.c.users, name, password)
}

// SetRule sets one watcher's decision, effective when it returns.
func (a admin) SetRule(p, watcher presence.AOR, h policy.Handling) error {
	return a.changeRules(p, func(r *policy.Rules) error { return setRule(r, watcher, h) })
}

// maxDecisions bounds the decisions of one presentity, which are one record:
// watchers beyond it are for rules.
const maxDecisions = 10_000

func setRule(r *policy.Rules, watcher presence.AOR, h policy.Handling) error {
	if _, known := r.Decisions[watcher]; !known && len(r.Decisions) >= maxDecisions {
		return fmt.Errorf("%w: there are %d decisions already; write rules for groups of watchers", ErrInvalid, maxDecisions)
	}
	r.Set(watcher, h)
	return nil
}

// RemoveRule takes one back: the default decision holds again.
func (a admin) RemoveRule(p, watcher presence.AOR) error {
	return a.changeRules(p, func(r *policy.Rules) error { return removeRule(r, p, watcher) })
}

func removeRule(r *policy.Rules, p, watcher presence.AOR) error {
	if _, ok := r.Decisions[watcher]; !ok {
		return fmt.Errorf("%w: no rule of %s for %s", ErrNoSuch, p, watcher)
	}
	r.Remove(watcher)
	return nil
}

func (a admin) changeRules(aor presence.AOR, change func(*policy.Rules) error) error {
	p, err := a.c.presentity(aor)
	if err != nil {
		return err
	}
	var failed error
	err = a.do(shard.Of(p), func(m *machine, now time.Time, out *shard.Batch) {
		rules := copyRules(m.agent.Rules(p))
		if failed = change(rules); failed == nil {
			failed = m.agent.SetRules(p, rules, now, out)
		}
	})
	return errors.Join(err, failed)
}

func copyRules(old *policy.Rules) *policy.Rules {
	rules := &policy.Rules{Decisions: map[presence.AOR]policy.Handling{}}
	if old != nil {
		maps.Copy(rules.Decisions, old.Decisions)
	}
	return rules
}

// Rules lists a presentity's decisions, or everybody's.
func (a admin) Rules(aor presence.AOR) (list []RuleInfo, err error) {
	if aor == "" {
		return everyonesRules(a.c.users, func(id shard.ID, fn func(m *machine)) error {
			return a.do(id, func(m *machine, _ time.Time, _ *shard.Batch) { fn(m) })
		})
	}
	p, err := a.c.presentity(aor)
	if err != nil {
		return nil, err
	}
	err = a.do(shard.Of(p), func(m *machine, _ time.Time, _ *shard.Batch) { list = listRules(m.agent.Rules(p)) })
	return list, err
}

func listRules(rules *policy.Rules) []RuleInfo {
	list := []RuleInfo{}
	if rules == nil {
		return list
	}
	for _, w := range slices.Sorted(maps.Keys(rules.Decisions)) {
		list = append(list, RuleInfo{Watcher: w, Decision: rules.Decisions[w].String()})
	}
	return list
}

// usersByShard lists all users by where they live, by name in each shard.
func usersByShard(d *identity.Directory) (in [shard.Count][]presence.Presentity) {
	for _, u := range d.List() {
		p := presence.Presentity(u.AORs[0])
		in[shard.Of(p)] = append(in[shard.Of(p)], p)
	}
	return in
}

// everyonesRules lists the decisions of all users, those of a shard in one visit.
func everyonesRules(d *identity.Directory, visit func(id shard.ID, fn func(m *machine)) error) ([]RuleInfo, error) {
	list := []RuleInfo{}
	for i, people := range usersByShard(d) {
		if len(people) == 0 {
			continue
		}
		err := visit(shard.ID(i), func(m *machine) {
			for _, p := range people {
				for _, r := range listRules(m.agent.Rules(p)) {
					r.Presentity = p
					list = append(list, r)
				}
			}
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(list, func(x, y RuleInfo) int {
		return cmp.Or(cmp.Compare(x.Presentity, y.Presentity), cmp.Compare(x.Watcher, y.Watcher))
	})
	return list, nil
}

// Pending lists the subscriptions that wait for a decision.
func (a admin) Pending(aor presence.AOR) ([]SubInfo, error) {
	list, err := a.Subs(aor)
	return waiting(list), err
}

func waiting(list []SubInfo) []SubInfo {
	return slices.DeleteFunc(list, func(i SubInfo) bool { return !i.Waits })
}

// shards calls fn in the presentity's shard, or in all.
func (a admin) shards(aor presence.AOR, fn func(m *machine, p presence.Presentity, now time.Time)) error {
	if aor != "" {
		p, err := a.c.presentity(aor)
		if err != nil {
			return err
		}
		return a.do(shard.Of(p), func(m *machine, now time.Time, _ *shard.Batch) { fn(m, p, now) })
	}
	for i := range shard.Count {
		err := a.do(shard.ID(i), func(m *machine, now time.Time, _ *shard.Batch) { fn(m, "", now) })
		if err != nil {
			return err
		}
	}
	return nil
}

// Subs lists live subscriptions.
func (a admin) Subs(aor presence.AOR) ([]SubInfo, error) {
	list := []SubInfo{}
	err := a.shards(aor, func(m *machine, p presence.Presentity, _ time.Time) { list = appendSubs(list, m.agent, p) })
	sortSubs(list)
	return list, err
}

func sortSubs(list []SubInfo) {
	slices.SortFunc(list, func(x, y SubInfo) int {
		return cmp.Or(cmp.Compare(x.Presentity, y.Presentity), cmp.Compare(x.Watcher, y.Watcher), cmp.Compare(x.ID, y.ID))
	})
}

func appendSubs(list []SubInfo, s *agent.Shard, p presence.Presentity) []SubInfo {
	s.Subscriptions(p, func(sub *notifier.Subscription) {
		f, alive := sub.Flow()
		way := "gone"
		if alive {
			way = f.Transport.String() + " " + f.Remote.String()
		}
		contact := sub.Target()
		if sub.Watcher.Private() {
			contact = "" // it may say who that is
		}
		list = append(list, SubInfo{
			ID: sub.Tag.String(), Presentity: sub.Resource.Presentity, Entity: sub.Entity,
			Watcher: sub.Watcher.Shown(), Event: string(sub.Package.Name()), State: sub.State().String(),
			Waits:   sub.Grant.Verdict == notifier.Pending,
			Expires: sub.Expires(), Contact: contact, Flow: way,
		})
	})
	return list
}

// EndSub ends a subscription.
func (a admin) EndSub(id string) error {
	tag, ok := notifier.ParseTag(id)
	if !ok {
		return fmt.Errorf("%w: no subscription %s", ErrNoSuch, id)
	}
	err := a.do(a.c.moved.Shard(tag, a.c.tags), func(m *machine, now time.Time, out *shard.Batch) { ok = m.agent.EndSubscription(tag, now, out) })
	if err == nil && !ok {
		err = fmt.Errorf("%w: no subscription %s", ErrNoSuch, id)
	}
	return err
}

// Pubs lists live publications.
func (a admin) Pubs(aor presence.AOR) ([]PubInfo, error) {
	list := []PubInfo{}
	err := a.shards(aor, func(m *machine, p presence.Presentity, _ time.Time) { list = appendPubs(list, m.agent, p) })
	sortPubs(list)
	return list, err
}

func sortPubs(list []PubInfo) {
	slices.SortFunc(list, func(x, y PubInfo) int {
		return cmp.Or(cmp.Compare(x.Presentity, y.Presentity), cmp.Compare(x.ID, y.ID))
	})
}

func appendPubs(list []PubInfo, s *agent.Shard, p presence.Presentity) []PubInfo {
	for _, pub := range s.Publications(p) {
		list = append(list, PubInfo{ID: string(pub.Tag), Presentity: pub.Presentity, Modified: pub.Modified, Expires: pub.Expires, Size: pub.Size})
	}
	return list
}

// EndPub removes a publication by its entity-tag.
func (a admin) EndPub(id string) error {
	found := false
	for i := range shard.Count {
		err := a.do(shard.ID(i), func(m *machine, now time.Time, out *shard.Batch) {
			found = m.agent.EndPublication(presence.EntityTag(id), now, out)
		})
		if err != nil || found {
			return err
		}
	}
	return fmt.Errorf("%w: no publication %s", ErrNoSuch, id)
}

// Trace shows a user's messages until ctx ends or fn fails.
func (a admin) Trace(ctx context.Context, user presence.AOR, fn func(TraceLine) error) error {
	lines := make(chan TraceLine, traceBuffer)
	stop := a.c.trace.Tap(user, func(in bool, flow sip.Flow, text string) {
		select {
		case lines <- TraceLine{Time: time.Now(), In: in, Flow: flow.Transport.String() + " " + flow.Remote.String(), Text: text}:
		default: // a reader that is too slow misses messages; the server does not wait
		}
	})
	defer stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-a.c.stopped:
			return ErrStopped
		case l := <-lines:
			if err := fn(l); err != nil {
				return err
			}
		}
	}
}

// Health says whether the server does its work.
func (a admin) Health() Health {
	switch {
	case a.c.broken.Load():
		return Health{Detail: "the store has failed"}
	case !a.c.ready.Load():
		return Health{Detail: "starting"}
	}
	return Health{OK: true}
}

func listUsers(d *identity.Directory) []UserInfo {
	list := []UserInfo{}
	for _, u := range d.List() {
		list = append(list, UserInfo{Name: u.Name, Domain: u.Realm, AORs: u.AORs})
	}
	return list
}

func addUserTo(d *identity.Directory, u NewUser) error {
	return adminError(d.Add(identity.NewUser{Name: u.Name, Realm: u.Domain, Password: u.Password, AORs: u.AORs}))
}

func setPassword(d *identity.Directory, name, password string) error {
	u, err := findUser(d, name)
	if err != nil {
		return err
	}
	return adminError(d.SetPassword(u.Realm, u.Name, password))
}

// adminError names identity's errors as Admin's.
func adminError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, identity.ErrExists), errors.Is(err, identity.ErrTaken):
		return fmt.Errorf("%w: %w", ErrExists, err)
	case errors.Is(err, identity.ErrNoUser):
		return fmt.Errorf("%w: %w", ErrNoUser, err)
	}
	return fmt.Errorf("%w: %w", ErrInvalid, err)
}

// findUser takes NAME or NAME@DOMAIN; NAME alone is the default domain's.
func findUser(d *identity.Directory, name string) (identity.User, error) {
	if u, ok := d.User(d.Domains()[0], name); ok {
		return u, nil
	}
	if i := strings.LastIndexByte(name, '@'); i > 0 {
		if u, ok := d.User(name[i+1:], name[:i]); ok {
			return u, nil
		}
	}
	return identity.User{}, fmt.Errorf("%w: %s", ErrNoUser, name)
}

// Offline is Admin on a stopped server's store.
type Offline struct {
	store store.Store
	users *identity.Directory
	core  *Core
	// secret is the server's: of it are made the names of the nameless, which must
	// be the same when it runs again.
	secret []byte
	desks
}

// OpenOffline opens a stopped server's data. Close it soon: the server cannot
// start meanwhile.
func OpenOffline(dir string, domains []string) (*Offline, error) {
	cfg := LocalConfig()
	cfg.Dir, cfg.Domains = dir, domains
	if list, err := rememberedAlgorithms(dir); err != nil {
		return nil, err
	} else if len(list) > 0 {
		cfg.Digest.Algorithms = list
	}
	return openOffline(cfg)
}

func openOffline(cfg Config) (*Offline, error) {
	if len(cfg.Domains) == 0 {
		return nil, fmt.Errorf("%w: no server has run on %s yet, and no domain is given", ErrStopped, cfg.Dir)
	}
	if info, err := os.Stat(cfg.Dir); err == nil {
		if err := checkOwner(cfg.Dir, info, os.Geteuid()); err != nil {
			return nil, err
		}
	}
	st, err := store.OpenPebble(filepath.Join(cfg.Dir, storeName), store.Options{})
	if err != nil {
		return nil, fmt.Errorf("cannot open the data in %s: %w", cfg.Dir, err)
	}
	users, err := identity.OpenDirectory(st, cfg.Domains, cfg.Digest.Algorithms...)
	if err != nil {
		_ = st.Close()
		return nil, err
	}
	secret, _, err := keys(st)
	if err != nil {
		_ = st.Close()
		return nil, err
	}
	o := &Offline{store: st, users: users, secret: secret, core: &Core{cfg: cfg, users: users, store: st, addrs: &addresses{}}}
	o.desks = o.at
	return o, nil
}
