package presencetest_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/presencetest"
	"github.com/tacit-presence/tacit/sip"
)

var seeds = flag.Int("seeds", 40, "how many random histories TestModel plays")

var noteText = regexp.MustCompile(`<note>([^<]*)</note>`)

// tuples lists the notes of a document, in order: each document of these tests
// has its own.
func tuples(body string) string {
	var notes []string
	for _, m := range noteText.FindAllStringSubmatch(body, -1) {
		notes = append(notes, m[1])
	}
	return tupleSet(notes)
}

// tupleSet is a list of notes without order, as text.
func tupleSet(notes []string) string {
	return strings.Join(slices.Sorted(slices.Values(notes)), " ")
}

// TestModel plays random histories against a server and against a model that is
// a few maps. The process is killed at any moment: when nothing was written yet,
// when it was written and nobody knows, in the midst of NOTIFYs. A user agent
// without an answer repeats its request until there is one. Nothing that was
// acknowledged may be lost, nothing may be done twice, and after a quiet time
// each watcher that can be reached knows the newest state.
func TestModel(t *testing.T) {
	t.Parallel()
	for seed := range *seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			cfg := presencetest.DefaultConfig()
			cfg.MinInterval = time.Duration(seed%2) * 5 * time.Second
			worldOf(t, cfg, func(t *testing.T, w *presencetest.World) {
				m := newModel(t, w, uint64(seed))
				for range 60 {
					m.step()
					if t.Failed() {
						break
					}
				}
				m.quiet()
				if t.Failed() {
					t.Logf("the history:\n%s", strings.Join(m.history, "\n"))
				}
			})
		})
	}
}

// model is what should be.
type model struct {
	t       *testing.T
	w       *presencetest.World
	rnd     *rand.Rand
	sources []*modelSource
	subs    []*modelSub
	people  []string
	allowed map[[2]string]string // the decision by presentity and watcher
	watcher map[string]*presencetest.UA
	docs    int
	history []string
}

// modelSource is a publication that lives, or may do so.
type modelSource struct {
	ua      *presencetest.UA
	user    string
	note    string // of its document
	expires time.Time
}

// modelSub is a subscription that lives.
type modelSub struct {
	ua       *presencetest.UA
	user, of string
	dialog   string
	expires  time.Time
}

func newModel(t *testing.T, w *presencetest.World, seed uint64) *model {
	m := &model{
		t: t, w: w, rnd: rand.New(rand.NewPCG(seed, 1)), people: []string{"alice", "bob", "carol", "dave"},
		allowed: map[[2]string]string{}, watcher: map[string]*presencetest.UA{},
	}
	for _, p := range m.people {
		transport := []sip.Transport{sip.TransportUDP, sip.TransportUDP, sip.TransportTCP}[m.rnd.IntN(3)]
		m.watcher[p] = w.NewUA(p, "watcher", transport, m.rnd.IntN(3) == 0)
	}
	return m
}

func (m *model) note(format string, args ...any) {
	m.history = append(m.history, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

func (m *model) pick() string { return m.people[m.rnd.IntN(len(m.people))] }

// step does one thing at random.
func (m *model) step() {
	switch n := m.rnd.IntN(100); {
	case n < 20:
		m.publish()
	case n < 45:
		m.change()
	case n < 60:
		m.subscribe()
	case n < 72:
		m.resubscribe()
	case n < 82:
		p, who := m.pick(), m.pick()
		decision := []string{"allow", "block", "polite-block", "confirm"}[m.rnd.IntN(4)]
		m.note("rule %s %s %s", p, decision, who)
		m.w.Rule(p, decision, who)
		m.w.Settle()
		m.allowed[[2]string{p, who}] = decision
		if decision == "block" && p != who {
			m.subs = slices.DeleteFunc(m.subs, func(s *modelSub) bool { return s.of == p && s.user == who })
		}
	case n < 92:
		m.sleep(time.Duration(m.rnd.IntN(40_000)) * time.Millisecond)
	case n < 94:
		m.note("crash")
		m.w.Crash(0)
		m.w.Settle()
	case n < 96:
		p := m.pick()
		m.note("%s loses its connection and what is sent to it", p)
		m.watcher[p].Disconnect()
		m.watcher[p].Mute(true)
		m.change()
		m.watcher[p].Mute(false)
	default:
		m.quiet()
	}
	m.forget()
}

func (m *model) sleep(d time.Duration) {
	m.note("sleep %v", d)
	m.w.Sleep(d)
	m.forget()
}

// forget drops what has run out.
func (m *model) forget() {
	now := time.Now()
	m.sources = slices.DeleteFunc(m.sources, func(s *modelSource) bool { return !now.Before(s.expires) })
	m.subs = slices.DeleteFunc(m.subs, func(s *modelSub) bool { return !now.Before(s.expires) })
}

// until sends a request, and in some runs kills the server in the midst: then it
// repeats it until it is answered.
func (m *model) until(ua *presencetest.UA, send func() int) int {
	if !ua.Connected() {
		ua.Connect()
	}
	if m.rnd.IntN(4) > 0 {
		status := send()
		m.note("  answered %d", status)
		return status
	}
	m.w.Store.Hold()
	status := send()
	for tries := 0; status == 0; tries++ {
		keep := m.rnd.IntN(3)
		m.note("  crash keeping %d", keep)
		m.w.Crash(keep)
		if m.rnd.IntN(2) == 0 {
			m.w.Settle()
		}
		if !ua.Connected() {
			ua.Connect()
		}
		if tries < 2 && m.rnd.IntN(3) == 0 {
			m.w.Store.Hold()
		}
		status = ua.Repeat()
		m.note("  repeated: %d", status)
	}
	m.w.Store.Release()
	m.w.Settle()
	return status
}

func (m *model) expires() (string, time.Time) {
	n := 30 + m.rnd.IntN(600)
	return fmt.Sprint(n), time.Now().Add(time.Duration(n) * time.Second)
}

// document makes a new one.
func (m *model) document() (note, body string) {
	m.docs++
	note = fmt.Sprintf("doc%d", m.docs)
	return note, presencetest.Tuple(note, []string{"open", "closed"}[m.rnd.IntN(2)])
}

func (m *model) publish() {
	user := m.pick()
	s := &modelSource{ua: m.w.NewUA(user, fmt.Sprint("source", m.docs), sip.TransportUDP, m.rnd.IntN(3) == 0), user: user}
	var o presencetest.Options
	var body string
	s.note, body = m.document()
	o.Expires, s.expires = m.expires()
	m.note("%s publishes %s for %s s", user, s.note, o.Expires)
	if status := m.until(s.ua, func() int { return s.ua.Publish("", "", body, o) }); status != 200 {
		m.t.Errorf("PUBLISH gets %d", status)
	}
	m.sources = append(m.sources, s)
}

// change modifies, refreshes or removes a publication.
func (m *model) change() {
	if len(m.sources) == 0 {
		return
	}
	i := m.rnd.IntN(len(m.sources))
	s := m.sources[i]
	var o presencetest.Options
	o.Expires, s.expires = m.expires()
	note, body := s.note, ""
	switch m.rnd.IntN(4) {
	case 0:
		o.Expires = "0"
		m.sources = slices.Delete(m.sources, i, i+1)
		m.note("%s removes %s", s.user, s.note)
	case 1:
		m.note("%s refreshes %s for %s s", s.user, s.note, o.Expires)
	default:
		note, body = m.document()
		m.note("%s modifies %s to %s for %s s", s.user, s.note, note, o.Expires)
	}
	tag := s.ua.Tag("")
	if status := m.until(s.ua, func() int { return s.ua.Publish("", tag, body, o) }); status != 200 {
		m.t.Errorf("PUBLISH gets %d", status)
	}
	s.note = note
}

// decision is what a watcher may have.
func (m *model) decision(p, who string) string {
	if p == who {
		return "allow"
	}
	if d := m.allowed[[2]string{p, who}]; d != "" {
		return d
	}
	return "allow"
}

func (m *model) subscribe() {
	s := &modelSub{user: m.pick(), of: m.pick(), dialog: fmt.Sprintf("d%d", m.docs)}
	m.docs++
	s.ua = m.watcher[s.user]
	var o presencetest.Options
	o.Expires, s.expires = m.expires()
	m.note("%s subscribes to %s for %s s", s.user, s.of, o.Expires)
	status := m.until(s.ua, func() int { return s.ua.Subscribe(s.dialog, s.of, "", o) })
	want := 200
	if m.decision(s.of, s.user) == "block" {
		want = 403
	}
	if m.count(s.of, s.user) >= maxSubscriptions {
		want = 500
	}
	if status != want {
		m.t.Errorf("SUBSCRIBE gets %d, not %d", status, want)
	}
	if status == 200 {
		m.subs = append(m.subs, s)
	}
}

// maxSubscriptions is what one watcher may have to one presentity by default.
const maxSubscriptions = 16

func (m *model) count(of, user string) (n int) {
	for _, s := range m.subs {
		if s.of == of && s.user == user {
			n++
		}
	}
	return n
}

func (m *model) resubscribe() {
	if len(m.subs) == 0 {
		return
	}
	i := m.rnd.IntN(len(m.subs))
	s := m.subs[i]
	var o presencetest.Options
	if o.Expires, s.expires = m.expires(); m.rnd.IntN(3) == 0 {
		o.Expires = "0"
		m.subs = slices.Delete(m.subs, i, i+1)
	}
	m.note("%s refreshes %s of %s for %s s", s.user, s.dialog, s.of, o.Expires)
	if status := m.until(s.ua, func() int { return s.ua.Refresh(s.ua.Dialog(s.dialog), o) }); status != 200 {
		m.t.Errorf("SUBSCRIBE in the dialog gets %d", status)
	}
}

// quiet waits until everybody must know everything, and compares.
func (m *model) quiet() {
	for _, p := range m.people {
		// Those whose connection is gone are told with their next request.
		if ua := m.watcher[p]; !ua.Connected() {
			ua.Connect()
			if status := ua.Register([]string{"<" + ua.Contact + ">"}, presencetest.Options{}); status != 200 {
				m.t.Errorf("REGISTER gets %d", status)
			}
		}
	}
	m.sleep(10 * time.Second)
	state := map[string][]string{}
	for _, s := range m.sources {
		state[s.user] = append(state[s.user], s.note)
	}
	for _, p := range m.people {
		list, err := m.w.Core.Admin().Pubs(m.w.AOR(p))
		if err != nil || len(list) != len(state[p]) {
			m.t.Errorf("%s has %d publications, not %d (%v)", p, len(list), len(state[p]), err)
		}
	}
	live := map[string]int{}
	for _, s := range m.subs {
		live[s.user]++
		told, body := s.ua.Heard(s.ua.Dialog(s.dialog))
		state, want := "active", tupleSet(state[s.of])
		switch m.decision(s.of, s.user) {
		case "confirm":
			state, want = "pending", ""
		case "polite-block":
			want = ""
		}
		if told != state || tuples(body) != want {
			m.t.Errorf("%s %s: %s of %s knows it as %s with %q, not %s with %q", time.Now().Format("15:04:05.000"),
				s.dialog, s.user, s.of, told, tuples(body), state, want)
		}
	}
	all, err := m.w.Core.Admin().Subs("")
	if err != nil || len(all) != len(m.subs) {
		m.t.Errorf("%d subscriptions live, not %d (%v): %v", len(all), len(m.subs), err, slices.Sorted(maps.Keys(live)))
	}
}
