package peertest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	tacit "github.com/tacit-presence/tacit/server"
)

const (
	// exchanges is how many of each case are made; where there are fewer, chance
	// alone can look like a difference.
	exchanges = 2000
	// limit is how often an observer may be right about which of two cases it is.
	limit = 0.55
)

// The presentities of one watcher, as far as they differ in what was decided.
const (
	allowed = "allow" // publishes nothing: whom all the others look like
	blocked = "block" // is there, publishes, and looks at who watches it
	polite  = "polite-block"
	pending = "confirm"
	nobody  = "nobody" // no such user
)

var presentities = []string{allowed, blocked, polite, pending, nobody}

// kind is something that an observer may ask.
type kind struct {
	name  string
	cases []string
	// ask makes one exchange of a case, about a presentity that nothing was asked
	// about in this way; one before it has been fetched.
	ask func(p *prober, name, before, which string) []*observation
}

// steps are what one exchange of a kind consists of.
var steps = map[string][]string{
	"life": {"subscribe", "refresh", "unsubscribe"},
}

const eventPresence = "Event: presence\r\n"

var kinds = []kind{
	{"fetch", presentities, func(p *prober, name, _, _ string) []*observation {
		return p.one(&probe{method: "SUBSCRIBE", target: name, headers: eventPresence + "Expires: 0\r\n"})
	}},
	{"life", presentities, (*prober).life},
	{"winfo", presentities, func(p *prober, name, _, _ string) []*observation {
		return p.one(&probe{method: "SUBSCRIBE", target: name, headers: "Event: presence.winfo\r\nExpires: 0\r\n"})
	}},
	{"xcap-diff", []string{allowed, blocked, nobody}, func(p *prober, name, _, _ string) []*observation {
		return p.one(&probe{method: "SUBSCRIBE", target: name, body: "<resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\"><list>" +
			"<entry uri=\"pidf-manipulation/users/sip:" + name + "@example.com/index\"/></list></resource-lists>",
			headers: "Event: xcap-diff\r\nExpires: 0\r\nContent-Type: application/resource-lists+xml\r\n"})
	}},
	{"publish", []string{allowed, blocked, nobody}, func(p *prober, name, _, _ string) []*observation {
		return p.one(&probe{method: "PUBLISH", target: name, body: pidf(name, "open", "x"),
			headers: eventPresence + "Expires: 600\r\nContent-Type: application/pidf+xml\r\n"})
	}},
	{"register", []string{allowed, nobody}, func(p *prober, name, _, _ string) []*observation {
		return p.one(&probe{method: "REGISTER", target: name, uri: "sip:example.com",
			headers: "Contact: <sip:x@127.0.0.1:9>\r\nExpires: 600\r\n"})
	}},
	{"challenge", []string{allowed, nobody, "from nobody"}, func(p *prober, name, before, which string) []*observation {
		from := p.user
		if which == "from nobody" {
			from, name = p.stranger(), before
		}
		return p.plain(&probe{method: "SUBSCRIBE", from: from, target: name, headers: eventPresence})
	}},
	{"password", []string{"wrong", "of nobody"}, func(p *prober, name, before, which string) []*observation {
		user := p.user
		if which == "of nobody" {
			user = p.stranger()
		}
		return p.plain(&probe{method: "SUBSCRIBE", from: user, target: before, headers: eventPresence, user: user, secret: "a wrong one"})
	}},
}

// stranger is the name of no user, of the form of the prober's own.
func (p *prober) stranger() string { return "watcher-" + randomName()[:len(p.user)-len("watcher-")] }

func (p *prober) plain(q *probe) []*observation {
	_, o := p.ask(q)
	return []*observation{o}
}

func (p *prober) one(q *probe) []*observation {
	q.from, q.identified = p.user, true
	return p.plain(q)
}

// life subscribes, refreshes and unsubscribes.
func (p *prober) life(_, name, _ string) []*observation {
	q := &probe{method: "SUBSCRIBE", from: p.user, target: name, identified: true, headers: eventPresence + "Expires: 600\r\n"}
	m, begin := p.ask(q)
	list := []*observation{begin, {}, {}}
	for i, expires := range []int{0, 300, 0} {
		if i > 0 && m.status() < 300 {
			_, list[i] = p.ask(&probe{method: "SUBSCRIBE", from: p.user, target: name, identified: true, callID: q.callID, seq: i + 1,
				uri: strings.Trim(m.get("Contact"), "<>"), to: ";tag=" + param(m.get("To"), "tag"),
				headers: fmt.Sprintf("%sExpires: %d\r\n", eventPresence, expires)})
		}
	}
	return list
}

func randomName() string { return fmt.Sprintf("%012x", rand.Uint64()>>16) }

const (
	// together is how many rounds one watcher asks in: fewer than the presentities
	// for which one may wait for a decision, since beyond that nothing is kept of it.
	together = 40
)

// turns are the transports that are observed at once, and how many probers share
// the rounds of each. The one over TCP is alone, so that it measures as well as can
// be. Over UDP the server lets datagrams gather for a millisecond, and one prober
// would take long.
var turns = []map[string]int{{"tcp": 1}, {"udp": 6, "tls": 2}}

// people are users, n of each case, all named alike.
type people map[string][]string

func newPeople(n int) people {
	list := people{}
	for _, which := range presentities {
		for range n {
			list[which] = append(list[which], "p"+randomName())
		}
	}
	return list
}

// watcher is who asks in a round.
func watcher(transport string, round int) string {
	return fmt.Sprintf("watcher-%s-%03d", transport, round/together)
}

// concealed starts a server with these people and the watchers of n rounds, and
// sets the rules.
func concealed(t *testing.T, conceal string, list people, transports []string, n int) *server {
	t.Helper()
	file := filepath.Join(t.TempDir(), "users")
	var b strings.Builder
	for _, transport := range transports {
		for r := 0; r < n+together; r += together {
			fmt.Fprintf(&b, "%s,%s\n", watcher(transport, r), secret)
		}
	}
	for _, which := range presentities {
		for _, name := range list[which] {
			if which != nobody {
				fmt.Fprintf(&b, "%s,%s\n", name, secret)
			}
		}
	}
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	https := freePort(t)
	s := serve(t, "--users-file", file, "--default-decision", "confirm", "--conceal", conceal, "--https", https)
	s.https = https
	var group sync.WaitGroup
	for _, which := range []string{allowed, blocked, polite} {
		for _, transport := range transports {
			group.Go(func() { decide(t, s, which, transport, list[which]) })
		}
	}
	group.Wait()
	present(t, s, list[blocked])
	return s
}

// present has users publish, and subscribe to the list of their watchers, who keep
// hearing of each.
func present(t *testing.T, s *server, names []string) {
	t.Helper()
	p := newProber(t, s, 99, "tcp")
	furnish(p, names)
	for _, name := range names {
		p.become(name)
		p.one(&probe{method: "PUBLISH", target: name, body: pidf(name, "open", "x"),
			headers: eventPresence + "Expires: 3600\r\nContent-Type: application/pidf+xml\r\n"})
		p.one(&probe{method: "SUBSCRIBE", target: name, headers: "Event: presence.winfo\r\nExpires: 3600\r\n"})
	}
	_ = p.conn.SetReadDeadline(time.Time{})
	go func() {
		for {
			raw, err := readStream(p.in)
			m, bad := parseMessage(raw)
			if err != nil || bad != nil {
				return // the test is over
			}
			if _, err := p.conn.Write([]byte(m.answer())); err != nil {
				return
			}
		}
	}()
}

// decide makes the rules of one case for the watchers of one transport: who asks
// in the round of a name, and in the one before.
func decide(t *testing.T, s *server, which, transport string, names []string) {
	control, err := tacit.DialControl(s.dir)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = control.Close() }()
	h, err := policy.ParseHandling(which)
	for i, name := range names {
		for j := max(i-1, 0); j <= i && err == nil; j++ {
			if j == i || watcher(transport, j) != watcher(transport, i) {
				err = control.SetRule(presence.AOR("sip:"+name+"@example.com"), presence.AOR("sip:"+watcher(transport, j)+"@example.com"), h)
			}
		}
	}
	if err != nil {
		t.Error(err)
	}
}

// observations are those of each step and case.
type observations map[string]map[string]sample

func newObservations(kinds []kind, n int) observations {
	all := observations{}
	for _, k := range kinds {
		for _, step := range stepsOf(k) {
			all[step] = map[string]sample{}
			for _, which := range k.cases {
				all[step][which] = make(sample, n)
			}
		}
	}
	return all
}

// observe makes one exchange a round of each case of each kind, in random order.
func (all observations) observe(p *prober, kinds []kind, list people, from, to int) {
	type turn struct {
		k     kind
		which string
	}
	var round []turn
	for _, k := range kinds {
		for _, which := range k.cases {
			round = append(round, turn{k, which})
		}
	}
	for r := from; r < to; r++ {
		p.become(watcher(p.transport, r))
		rand.Shuffle(len(round), func(i, j int) { round[i], round[j] = round[j], round[i] })
		for _, turn := range round {
			names := list[turn.which]
			if names == nil {
				names = list[allowed]
			}
			seen := turn.k.ask(p, names[r+1], names[r], turn.which)
			for i, step := range stepsOf(turn.k) {
				all[step][turn.which][r] = seen[i]
			}
		}
	}
}

func stepsOf(k kind) []string {
	if s := steps[k.name]; s != nil {
		return s
	}
	return []string{k.name}
}

// withoutRace runs a test again in a process without the race detector, whose own
// time is more than what is measured. False: this one is without.
func withoutRace(t *testing.T) bool {
	t.Helper()
	if !raceEnabled {
		return false
	}
	out, err := exec.Command("go", "test", "-count=1", "-v", "-run", "^"+t.Name()+"$", "github.com/tacit-presence/tacit/peertest").CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
	return true
}

// Where decisions are hidden, a watcher that has a clock, that asks two thousand
// times and remembers all that it has been answered, guesses who has blocked it, has
// not decided, does not exist, or allows it and is silent, hardly better than by
// tossing a coin.
func TestConcealment(t *testing.T) {
	if withoutRace(t) {
		return
	}
	transports := []string{"udp", "tcp", "tls"}
	list := newPeople(exchanges + 1)
	s := concealed(t, "on", list, transports, exchanges)
	seen := map[string]observations{}
	number := 0
	for _, turn := range turns {
		var group sync.WaitGroup
		for transport, n := range turn {
			asked := kindsOver(transport)
			mine := newObservations(asked, exchanges)
			seen[transport] = mine
			for j := range n {
				number++
				p := newProber(t, s, number, transport)
				group.Go(func() { mine.observe(p, asked, list, j*exchanges/n, (j+1)*exchanges/n) })
			}
		}
		group.Wait()
	}
	if t.Failed() {
		return
	}
	s.stop()
	which := halves(exchanges)
	for _, transport := range transports {
		seen[transport].pairs(kindsOver(transport), func(step, a, b string, x, y sample) {
			v := separate(x, y, which)
			t.Logf("%s %-14s %-12s %-12s %.3f", transport, step, a, b, v)
			if v.worst() > limit {
				t.Errorf("%s, %s: %s and %s are told apart in %.3f of cases", transport, step, a, b, v.worst())
			}
		})
	}
}

// spellings are ways of writing a name's URI.
var spellings = []string{
	"sip:%s@example.com", "sips:%s@example.com", "pres:%s@example.com", "SIP:%s@EXAMPLE.com", "sip:%s@example.com:5070",
	"sip:%s@example.com;user=phone", "sip:%s@example.com;transport=tcp;lr", "sip:%s:word@example.com", "sip:%%70%s@example.com",
	"sip:%s%%00@example.com", "sip:%s%%40@example.com", "sip:%s;x=y@example.com", "sip:%s." + strings.Repeat("x", 400) + "@example.com",
	"sip:%s@example.org", "sip:%s@example.com.", "im:%s@example.com", "sip:example.com;x=%s",
}

// However a name is spelled, whoever it is of is answered alike.
func TestConcealedSpellings(t *testing.T) {
	const n = 2
	list := newPeople(n)
	s := concealed(t, "on", list, []string{"tcp"}, n)
	p := newProber(t, s, 0, "tcp")
	p.become(watcher("tcp", 0))
	for _, spelling := range spellings {
		for _, method := range []string{"SUBSCRIBE", "PUBLISH"} {
			var first *observation
			for _, which := range presentities {
				name := list[which][0]
				q := &probe{method: method, target: name, uri: fmt.Sprintf(spelling, name), headers: eventPresence + "Expires: 0\r\n"}
				if strings.Contains(spelling, "%%70") { // the p that all names begin with
					q.target, q.uri = name[1:], fmt.Sprintf(spelling, name[1:])
				}
				o := p.one(q)[0]
				if first == nil {
					first = o
				}
				if o.shape != first.shape {
					t.Errorf("%s %s: %s is answered\n%s\n%s\nand %s\n%s\n%s", method, q.uri, which, o.first, o.second, allowed, first.first, first.second)
				}
			}
		}
	}
	s.healthy()
}

// The same observer tells them apart where nothing is hidden.
func TestPlainAnswers(t *testing.T) {
	const n = 100
	list := newPeople(n + 1)
	s := concealed(t, "off", list, []string{"tcp"}, n)
	asked := kindsOver("tcp")
	for i := range asked {
		if strings.HasPrefix(asked[i].name, "xcap ") && len(asked[i].cases) == len(treeCases) {
			asked[i].cases = append([]string{own}, asked[i].cases...)
		}
	}
	seen := newObservations(asked, n)
	seen.observe(newProber(t, s, 0, "tcp"), asked, list, 0, n)
	s.stop()
	which := halves(n)
	seen.pairs(asked, func(step, a, b string, x, y sample) {
		if v := separate(x, y, which); !alike(step, a, b) && v.worst() < 0.95 {
			t.Errorf("%s: %s and %s are told apart in %.3f of cases only", step, a, b, v.worst())
		}
	})
}

// alike are the cases that are so by RFC 5025, 3.2.1 and RFC 3903, 6.
func alike(step, a, b string) bool {
	silent := func(which string) bool { return which == allowed || which == polite }
	switch step {
	case "challenge", "password", "xcap-diff", "xcap challenge", "xcap password":
		return true // nobody else is looked up
	case "xcap get", "xcap put", "xcap delete", "xcap element":
		return a != own // others' trees are all alike, hidden or not
	case "subscribe", "fetch":
		return silent(a) && silent(b)
	case "winfo":
		return a != blocked && a != nobody && b != blocked && b != nobody
	case "publish", "register":
		return a != nobody && b != nobody
	}
	return silent(a) && silent(b) || !live(a) && !live(b)
}

// live reports whether there is a subscription that can be refreshed.
func live(which string) bool { return which != blocked && which != nobody }

// pairs calls fn for any two cases of each step.
func (all observations) pairs(kinds []kind, fn func(step, a, b string, x, y sample)) {
	for _, k := range kinds {
		for _, step := range stepsOf(k) {
			for i, a := range k.cases {
				for _, b := range k.cases[i+1:] {
					fn(step, a, b, all[step][a], all[step][b])
				}
			}
		}
	}
}
