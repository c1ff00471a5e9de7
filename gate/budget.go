package gate

import (
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/tacit-presence/tacit/notifier"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/sip"
)

// Budget is what one watcher may ask in a time: Burst at once, and PerMinute in
// the long run. The zero value is no limit.
type Budget struct{ Burst, PerMinute int }

// Budgets bound how much a watcher can learn by asking again and again. A
// watcher is its identity, whichever proxy brings it; all who are
// unauthenticated at one address (an IPv6 /64) are one watcher.
type Budgets struct {
	Fetches       Budget // SUBSCRIBE with Expires 0 outside a dialog
	Subscriptions Budget // other SUBSCRIBEs outside a dialog
}

// maxSpenders bounds who is remembered. Whoever has a full purse need not be.
const maxSpenders = 1 << 17

// purse holds what is left of a budget, as the time when it will be full again.
type purse struct{ full time.Time }

// spender names who spends: an identity or, unauthenticated, an address.
type spender struct {
	who   presence.AOR
	from  netip.Addr
	fetch bool
}

// purses are all watchers' purses. Safe for concurrent use.
type purses struct {
	mu sync.Mutex
	by map[spender]purse
}

// spend takes one from a budget. wait is how long there is nothing left.
func (p *purses) spend(s spender, b Budget, now time.Time) (wait time.Duration) {
	if b.Burst <= 0 || b.PerMinute <= 0 {
		return 0
	}
	each := time.Minute / time.Duration(b.PerMinute)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.by == nil {
		p.by = map[spender]purse{}
	}
	full := p.by[s].full
	if full.Before(now) {
		full = now
	}
	full = full.Add(each)
	if over := full.Sub(now) - each*time.Duration(b.Burst); over > 0 {
		return over
	}
	if len(p.by) >= maxSpenders {
		p.sweep(now)
	}
	p.by[s] = purse{full}
	return 0
}

// sweep forgets full purses; if none is, all: who has spent gets a new purse
// before a crowd of names can fill the memory.
func (p *purses) sweep(now time.Time) {
	for s, purse := range p.by {
		if !purse.full.After(now) {
			delete(p.by, s)
		}
	}
	if len(p.by) >= maxSpenders {
		clear(p.by)
	}
}

// overspent refuses a SUBSCRIBE that is beyond its watcher's budget. It is asked
// before anybody looks whom it is about, so it tells nothing of him. 500 and not
// 503: a proxy would take the latter as its own (RFC 3261, 21.5.4).
func (g *Gate) overspent(ev *shard.Event, now time.Time) (no sip.Reply) {
	m := ev.Msg
	if m.Method != sip.MethodSubscribe || m.To.Tag() != "" {
		return no
	}
	s, budget := spender{who: ev.Who.AOR()}, g.cfg.Budgets.Subscriptions
	if !ev.Who.Known() {
		s.from = network(ev.Flow.Remote.Addr())
	}
	if v, ok := m.Get(sip.HeaderExpires); ok {
		if n, err := sip.ParseUint32(v); err == nil && n == 0 {
			s.fetch, budget = true, g.cfg.Budgets.Fetches
		}
	}
	wait := g.purses.spend(s, budget, now)
	if wait <= 0 {
		return no
	}
	g.cfg.Counters.Overspent.Add(1)
	return sip.Reply{Status: 500, Reason: "Asked Too Often", Headers: []sip.Header{{ID: sip.HeaderRetryAfter, Value: notifier.Seconds(wait)}}}
}

// network is the address that counts as one sender.
func network(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if a.Is6() {
		if p, err := a.WithZone("").Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// String names a budget for logs.
func (b Budget) String() string {
	if b.Burst <= 0 || b.PerMinute <= 0 {
		return "no limit"
	}
	return strconv.Itoa(b.Burst) + ", then " + strconv.Itoa(b.PerMinute) + " a minute"
}
