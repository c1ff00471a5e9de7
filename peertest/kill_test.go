package peertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	// kills is how often the server is killed, every third time while it starts
	// too; each round takes about a second.
	kills = 12
	// recovery is how long after a restart a watcher may wait for the newest
	// state: some seconds, and more on a machine that is busy.
	recovery = 15 * time.Second
)

// source publishes without pause, each PUBLISH changing the last one. A PUBLISH
// whose answer does not come is repeated as it was, but for credentials that
// fit the new process, until it is answered: so a 412 means a lost state.
type source struct {
	*phone
	// sameSeq repeats what is authenticated anew with the same CSeq, as
	// libpurple does; others take the next one (RFC 3261, 22.2).
	sameSeq bool
	quiet   bool // publishes only before each kill, so that nothing else wakes its watcher
	mu      sync.Mutex
	tag     string
	acked   int // the number in the newest acknowledged document
	tried   int // the number in the newest document that was sent
}

func (s *source) newest() (acked, tried int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acked, s.tried
}

// step publishes the next document. Once begun it goes on until it is answered:
// the state at the server is not known before.
func (s *source) step() error {
	s.mu.Lock()
	s.tried++
	n, tag := s.tried, s.tag
	s.mu.Unlock()
	r := s.publication(tag, pidf(s.user, "open", fmt.Sprintf("number %d.", n)), 600)
	r.sameSeq = s.sameSeq
	r = s.fill(r)
	for late := time.Now().Add(2 * patience); time.Now().Before(late); {
		m, err := s.do(r, 2*time.Second)
		switch {
		case errors.Is(err, errNoAnswer):
			time.Sleep(20 * time.Millisecond)
			continue
		case err != nil:
			return err
		case m.status() == 503 && m.get("Retry-After") != "":
			time.Sleep(100 * time.Millisecond)
			continue
		case m.status() != 200:
			return fmt.Errorf("%s: document %d: %s", s.user, n, m.first)
		}
		s.mu.Lock()
		s.tag, s.acked = m.get("SIP-ETag"), n
		s.mu.Unlock()
		return nil
	}
	return fmt.Errorf("%s: document %d was never answered", s.user, n)
}

// number is the one in a document; 0: there is none.
func number(m message) int {
	if found := regexp.MustCompile(`number (\d+)\.`).FindStringSubmatch(m.body); found != nil {
		n, _ := strconv.Atoi(found[1])
		return n
	}
	return 0
}

// observer watches one source.
type observer struct {
	*phone
	of   *source
	sub  dialog
	seen int // NOTIFYs already checked
	cseq int
	last int // the newest number seen
}

// check holds what must be true of all NOTIFYs that have come.
func (o *observer) check() {
	o.t.Helper()
	list := o.notified()
	for _, m := range list[o.seen:] {
		switch seq := m.cseq(); {
		case seq < o.cseq:
			o.t.Errorf("%s: NOTIFY with CSeq %d after %d", o.user, seq, o.cseq)
		case seq == o.cseq:
			continue // repeated by the server
		default:
			o.cseq = seq
		}
		if !strings.HasPrefix(m.get("Subscription-State"), "active;expires=") {
			o.t.Errorf("%s: Subscription-State: %s", o.user, m.get("Subscription-State"))
		}
		if n := number(m); n < o.last {
			o.t.Errorf("%s was told document %d after %d", o.user, n, o.last)
		} else {
			o.last = n
		}
	}
	o.seen = len(list)
}

// arrives waits until the watcher has been told a document not older than n.
func (o *observer) arrives(mark, n int) bool {
	_, ok := o.await(mark, recovery, func(m message) bool { return number(m) >= n })
	return ok
}

// TestKillNine is the promise of ARCHITECTURE.md, 6.7: whenever the server is
// killed, nothing that it acknowledged is lost, and every watcher gets the
// newest state.
func TestKillNine(t *testing.T) {
	t.Parallel()
	k := newKillNine(t)
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	var published atomic.Int64
	for _, src := range k.sources {
		if src.quiet {
			continue
		}
		work.Go(func() {
			for ctx.Err() == nil {
				if err := src.step(); err != nil {
					t.Error(err)
					return
				}
				published.Add(1)
				time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
			}
		})
	}
	defer work.Wait()
	defer stop()
	for round := range kills {
		before := published.Load()
		eventually(t, "publications", func() bool { return published.Load() > before+20 })
		time.Sleep(time.Duration(rand.IntN(800)) * time.Millisecond)
		k.decide(round)
		k.s.kill()
		k.s.checkOutput()
		marks := k.marks()
		if round%3 == 2 {
			k.s.launch()
			time.Sleep(time.Duration(rand.IntN(80)) * time.Millisecond)
			k.s.kill()
		}
		k.s.again()
		k.recovered(round, marks)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	stop()
	work.Wait()
	k.settled()
	t.Logf("%d publications acknowledged over %d kills", published.Load(), kills)
}

// killNine is the scene: three sources and their watchers a transport, one of
// the sources quiet.
type killNine struct {
	t         *testing.T
	s         *server
	sources   []*source
	observers []*observer
	bound     *phone // has a registration
	decision  string
}

func newKillNine(t *testing.T) *killNine {
	t.Helper()
	var args []string
	const each = 3
	for i := range 2 * each {
		for _, role := range []string{"pub", "watch"} {
			args = append(args, "--user", fmt.Sprintf("%s%d:%s-secret", role, i, role[:1]))
		}
	}
	k := &killNine{t: t, s: serve(t, args...)}
	k.s.extra = nil // users and rules must survive by themselves
	for i := range 2 * each {
		transport := []string{"udp", "tcp"}[i/each]
		src := &source{phone: newPhone(t, k.s, fmt.Sprintf("pub%d", i), transport), quiet: i%each == 0, sameSeq: i%2 == 0}
		o := &observer{phone: newPhone(t, k.s, fmt.Sprintf("watch%d", i), transport), of: src}
		k.s.operate("rules", "allow", "sip:"+src.user+"@example.com", "sip:"+o.user+"@example.com")
		o.sub = o.subscribe(src.user, "")
		k.sources, k.observers = append(k.sources, src), append(k.observers, o)
	}
	k.bound = newPhone(t, k.s, "watch0", "udp")
	k.bound.ask(200, k.bound.register(600))
	return k
}

// decide makes a rule, and quiet sources publish, both acknowledged just before
// the kill.
func (k *killNine) decide(round int) {
	k.t.Helper()
	k.decision = []string{"polite-block", "block"}[round%2]
	k.s.operate("rules", k.decision, "sip:pub0@example.com", "sip:watch5@example.com")
	for _, src := range k.sources {
		if !src.quiet {
			continue
		}
		if err := src.step(); err != nil {
			k.t.Error(err)
		}
	}
}

// marks tells the NOTIFYs of before a restart from those after it.
func (k *killNine) marks() (marks []int) {
	for _, o := range k.observers {
		marks = append(marks, len(o.notified()))
	}
	return marks
}

// recovered holds what must be true some seconds after a restart.
func (k *killNine) recovered(round int, marks []int) {
	k.t.Helper()
	for i, o := range k.observers {
		acked, _ := o.of.newest()
		if o.transport == "udp" {
			if !o.arrives(marks[i], acked) {
				k.t.Errorf("%s (UDP) was not told document %d by itself", o.user, acked)
			}
			o.check()
			continue
		}
		// Its connection is gone: its next request brings the state, whichever
		// request that is.
		r := o.register(600)
		if round%2 == 1 {
			r = o.again(o.sub, 600)
		}
		if m, err := o.do(o.fill(r), patience); err != nil || m.status() != 200 {
			k.t.Errorf("%s: %s after a restart: %v %s", o.user, r.method, err, m.first)
		}
		if !o.arrives(marks[i], acked) {
			k.t.Errorf("%s (TCP) was not told document %d with its next request, a %s", o.user, acked, r.method)
		}
		o.check()
	}
	if list := k.s.operate("rules", "list", "sip:pub0@example.com", "sip:watch5@example.com"); !strings.Contains(list, k.decision) {
		k.t.Errorf("the decision %s is lost: %s", k.decision, list)
	}
}

// settled holds what must be true at the end, with nobody publishing any more.
func (k *killNine) settled() {
	k.t.Helper()
	for _, o := range k.observers {
		acked, _ := o.of.newest()
		if !o.arrives(0, acked) {
			k.t.Errorf("%s was never told document %d", o.user, acked)
		}
		o.check()
		list := k.s.operate("pubs", "list", "sip:"+o.of.user+"@example.com")
		if n := strings.Count(list, o.of.user+"@"); n != 1 {
			k.t.Errorf("%s has %d publications, not 1: %s", o.of.user, n, list)
		}
		o.of.mu.Lock()
		tag := o.of.tag
		o.of.mu.Unlock()
		o.of.ask(200, o.of.publication(tag, "", 600))
	}
	m := k.bound.ask(200, request{method: "REGISTER", uri: "sip:example.com", to: "<sip:watch0@example.com>"})
	if !strings.Contains(strings.Join(m.all("Contact"), " "), "<"+k.bound.contact+">") {
		k.t.Errorf("the registration is lost: %q", m.all("Contact"))
	}
	k.s.healthy()
	k.s.stop()
}

// TestRepeatedAfterKill repeats requests whose answers may have been lost by a
// kill (ARCHITECTURE.md, 3): they get their first answer.
func TestRepeatedAfterKill(t *testing.T) {
	t.Parallel()
	s := serve(t, append(users, "--trust", "127.0.0.1/32")...)
	alice, bob := newPhone(t, s, "alice", "udp"), newPhone(t, s, "bob", "udp")
	const asserted = "P-Asserted-Identity: <sip:alice@example.com>\r\n"

	// By digest, which must be made anew since the nonce was the old process's:
	// with the next CSeq (RFC 3261, 22.2), or with the same, as libpurple does.
	alice.ask(200, alice.register(600)) // for a nonce
	var made [2]request
	var first [2]message
	for i := range made {
		made[i] = alice.fill(alice.publication("", pidf("alice", "open", fmt.Sprint("by digest ", i)), 600))
		made[i].sameSeq = i == 1
		var err error
		if first[i], err = alice.do(made[i], patience); err != nil || first[i].status() != 200 {
			t.Fatalf("%v %s", err, first[i].first)
		}
	}
	old, count := alice.challenge, alice.nc
	// From a trusted address, to the byte.
	trusted := alice.fill(alice.publication("", pidf("alice", "open", "asserted"), 600))
	initial, err := alice.once(trusted, asserted, patience)
	if err != nil || initial.status() != 200 {
		t.Fatalf("%v %s", err, initial.first)
	}
	modified := alice.fill(alice.publication(initial.get("SIP-ETag"), pidf("alice", "open", "changed"), 600))
	second, err := alice.once(modified, asserted, patience)
	if err != nil || second.status() != 200 {
		t.Fatalf("%v %s", err, second.first)
	}
	sub := bob.fill(request{method: "SUBSCRIBE", uri: "sip:alice@example.com",
		headers: "Event: presence\r\nExpires: 600\r\nContact: <" + bob.contact + ">\r\n"})
	const assertedBob = "P-Asserted-Identity: <sip:bob@example.com>\r\n"
	subscribed, err := bob.once(sub, assertedBob, patience)
	if err != nil || subscribed.status() != 200 {
		t.Fatalf("%v %s", err, subscribed.first)
	}
	bob.wantNotify(0, "active", "changed")

	s.kill()
	s.again()
	for i, r := range made {
		alice.challenge, alice.nc = old, count
		m, err := alice.do(r, patience)
		if err != nil || m.get("SIP-ETag") != first[i].get("SIP-ETag") {
			t.Errorf("by digest, same CSeq %v: %v, %s with entity-tag %q, want %q", r.sameSeq, err, m.first, m.get("SIP-ETag"), first[i].get("SIP-ETag"))
		}
		if advanced := m.cseq() != r.seq; advanced == r.sameSeq {
			t.Errorf("the repetition of CSeq %d had %d", r.seq, m.cseq())
		}
	}
	if m, err := alice.once(modified, asserted, patience); err != nil || m.get("SIP-ETag") != second.get("SIP-ETag") {
		t.Errorf("asserted: %v, %s with entity-tag %q, want %q", err, m.first, m.get("SIP-ETag"), second.get("SIP-ETag"))
	}
	if m, err := bob.once(sub, assertedBob, patience); err != nil || m.get("To") != subscribed.get("To") {
		t.Errorf("SUBSCRIBE: %v, %s in the dialog %q, want %q", err, m.first, m.get("To"), subscribed.get("To"))
	}
	if n := s.metric("tacit_subscriptions"); n != 1 {
		t.Errorf("%v subscriptions, want 1", n)
	}
	if list := s.operate("pubs", "list"); strings.Count(list, "sip:alice@") != 3 {
		t.Errorf("publications:\n%s", list)
	}
	s.healthy()
	s.stop()
}

// TestStaleNonceAfterRestart holds that no softphone asks for its password
// after a restart, and that a wrong password is not taken for a stale nonce.
func TestStaleNonceAfterRestart(t *testing.T) {
	t.Parallel()
	s := serve(t, users...)
	alice := newPhone(t, s, "alice", "udp")
	alice.ask(200, alice.register(600))
	old := alice.challenge
	s.kill()
	s.again()
	for _, c := range []struct{ password, stale string }{{"a-secret", "true"}, {"wrong", ""}} {
		r := alice.fill(alice.register(600))
		m, err := alice.once(r, "Authorization: "+authorization(old, "alice", c.password, r.method, r.uri, 7)+"\r\n", patience)
		if err != nil || m.status() != 401 {
			t.Fatalf("%v %s", err, m.first)
		}
		if got := param(m.challenge(), "stale"); got != c.stale {
			t.Errorf("password %s: stale=%q, want %q", c.password, got, c.stale)
		}
	}
	alice.ask(200, alice.register(600))
	s.healthy()
	s.stop()
}

// TestToolsSurviveKill holds that `tacit watch` and `tacit publish` go on after
// the server was killed and started again, over each transport.
func TestToolsSurviveKill(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"udp", "tcp", "tls", "ws"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			s := serve(t, users...)
			watch := s.watch("bob", "alice", transport)
			watch.expect(`"status":"closed"`)
			s.publish("alice", transport, "--note", "before", "--expires", "60s")
			watch.expect(`"notes":\["before"\]`)

			s.kill()
			mark := watch.len()
			s.again()
			s.publish("alice", transport, "--note", "after")
			watch.expectAfter(mark, `"notes":\[[^]]*"after"`)
			if list := s.operate("pubs", "list"); strings.Count(list, "sip:alice@") != 2 {
				t.Errorf("publications:\n%s", list)
			}
			s.healthy()
			s.stop()
		})
	}
}
