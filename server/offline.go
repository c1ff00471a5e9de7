package server

import (
	"context"
	"errors"
	"time"

	"github.com/tacit-presence/tacit/compose"
	"github.com/tacit-presence/tacit/notifier"
	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/shard"
)

// Close gives the data back.
func (o *Offline) Close() error { return o.store.Close() }

// Users lists the users.
func (o *Offline) Users() ([]UserInfo, error) { return listUsers(o.users), nil }

// AddUser adds one.
func (o *Offline) AddUser(u NewUser) error { return addUserTo(o.users, u) }

// SetPassword changes one's password.
func (o *Offline) SetPassword(name, password string) error {
	return setPassword(o.users, name, password)
}

// RemoveUser removes one, with publications, rules and subscriptions.
func (o *Offline) RemoveUser(name string) error {
	u, err := findUser(o.users, name)
	if err != nil {
		return err
	}
	if err := o.users.Remove(u.Realm, u.Name); err != nil {
		return err
	}
	p := presence.Presentity(u.AORs[0])
	for i := range shard.Count {
		err := o.change(shard.ID(i), func(m *machine, now time.Time, out *shard.Batch) error {
			if shard.ID(i) == shard.Of(p) {
				m.agent.RemovePresentity(p, now, out)
			}
			for _, aor := range u.AORs {
				m.agent.RemoveWatcher(aor, now, out)
				m.registrar.Remove(aor, out)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// load restores one shard as the server would.
func (o *Offline) load(id shard.ID) (*machine, error) {
	composition, ok := compose.Named(o.core.cfg.Composition)
	if !ok {
		composition = compose.Union()
	}
	m := o.core.machine(id, composition, o.secret, new(notifier.Waiting))
	err := errors.Join(m.agent.Restore(o.store, time.Now()), m.registrar.Restore(o.store))
	return m, err
}

// change runs fn in a restored shard and stores what it changed. Its messages
// are not sent: there is nobody to send them; watchers are told at the next
// start.
func (o *Offline) change(id shard.ID, fn func(m *machine, now time.Time, out *shard.Batch) error) error {
	m, err := o.load(id)
	if err != nil {
		return err
	}
	out := new(shard.Batch)
	if err := fn(m, time.Now(), out); err != nil || out.Records.Len() == 0 {
		return err
	}
	done := make(chan error, 1)
	o.store.Commit(&out.Records, func(err error) { done <- err })
	return <-done
}

func (o *Offline) changeRules(aor presence.AOR, change func(*policy.Rules) error) error {
	p, err := o.core.presentity(aor)
	if err != nil {
		return err
	}
	return o.change(shard.Of(p), func(m *machine, now time.Time, out *shard.Batch) error {
		rules := copyRules(m.agent.Rules(p))
		if err := change(rules); err != nil {
			return err
		}
		return m.agent.StoreRules(p, rules, out)
	})
}

// SetRule sets one watcher's decision.
func (o *Offline) SetRule(p, watcher presence.AOR, h policy.Handling) error {
	return o.changeRules(p, func(r *policy.Rules) error { return setRule(r, watcher, h) })
}

// RemoveRule takes one back.
func (o *Offline) RemoveRule(p, watcher presence.AOR) error {
	return o.changeRules(p, func(r *policy.Rules) error { return removeRule(r, p, watcher) })
}

// Rules lists a presentity's decisions, or everybody's.
func (o *Offline) Rules(aor presence.AOR) ([]RuleInfo, error) {
	if aor == "" {
		return everyonesRules(o.users, func(id shard.ID, fn func(m *machine)) error {
			m, err := o.load(id)
			if err == nil {
				fn(m)
			}
			return err
		})
	}
	p, err := o.core.presentity(aor)
	if err != nil {
		return nil, err
	}
	m, err := o.load(shard.Of(p))
	if err != nil {
		return nil, err
	}
	return listRules(m.agent.Rules(p)), nil
}

// Pending lists the subscriptions that wait for a decision.
func (o *Offline) Pending(aor presence.AOR) ([]SubInfo, error) {
	list, err := o.Subs(aor)
	return waiting(list), err
}

// shards calls fn for the presentity's restored shard, or for all.
func (o *Offline) shards(aor presence.AOR, fn func(m *machine, p presence.Presentity)) error {
	var p presence.Presentity
	ids := make([]shard.ID, 0, shard.Count)
	if aor != "" {
		var err error
		if p, err = o.core.presentity(aor); err != nil {
			return err
		}
		ids = append(ids, shard.Of(p))
	} else {
		for i := range shard.Count {
			ids = append(ids, shard.ID(i))
		}
	}
	for _, id := range ids {
		m, err := o.load(id)
		if err != nil {
			return err
		}
		fn(m, p)
	}
	return nil
}

// Subs lists the stored subscriptions.
func (o *Offline) Subs(aor presence.AOR) ([]SubInfo, error) {
	list := []SubInfo{}
	err := o.shards(aor, func(m *machine, p presence.Presentity) { list = appendSubs(list, m.agent, p) })
	sortSubs(list)
	return list, err
}

// Pubs lists the stored publications.
func (o *Offline) Pubs(aor presence.AOR) ([]PubInfo, error) {
	list := []PubInfo{}
	err := o.shards(aor, func(m *machine, p presence.Presentity) { list = appendPubs(list, m.agent, p) })
	sortPubs(list)
	return list, err
}

// EndSub needs a running server: the watcher has to be told.
func (o *Offline) EndSub(string) error { return ErrStopped }

// EndPub needs a running server: the watchers have to be told.
func (o *Offline) EndPub(string) error { return ErrStopped }

// Trace needs a running server.
func (o *Offline) Trace(context.Context, presence.AOR, func(TraceLine) error) error {
	return ErrStopped
}

// Health says that it does not run.
func (o *Offline) Health() Health { return Health{Detail: "the server is stopped"} }

var _ Admin = (*Offline)(nil)
