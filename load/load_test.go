package load

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/sip"
)

// agent is a presence agent for these tests: it answers PUBLISH and SUBSCRIBE,
// and sends NOTIFYs without waiting for their answers.
type agent struct {
	t    *testing.T
	addr string
	udp  *net.UDPConn
	tcp  net.Listener

	guard *sip.Challenge // challenge everybody once
	fault func(n int, m *sip.Message) (drop bool, status int)

	mu       sync.Mutex
	n        int
	etags    map[string]string   // by Request-URI
	subs     map[string][]*watch // by Request-URI
	byCall   map[string]bool
	answered int
	bad      []string
}

type watch struct {
	dialog sip.Dialog
	via    string
	send   func([]byte)
	cseq   int
}

func newAgent(t *testing.T) *agent {
	t.Helper()
	a := &agent{t: t, etags: map[string]string{}, subs: map[string][]*watch{}, byCall: map[string]bool{}}
	for range 20 {
		var err error
		if a.udp, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
			t.Fatal(err)
		}
		a.addr = a.udp.LocalAddr().String()
		if a.tcp, err = net.Listen("tcp", a.addr); err == nil {
			break
		}
		_ = a.udp.Close()
	}
	_ = a.udp.SetReadBuffer(4 << 20)
	t.Cleanup(func() { _ = a.udp.Close(); _ = a.tcp.Close() })
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, from, err := a.udp.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			a.receive(string(buf[:n]), from, "UDP", func(b []byte) { _, _ = a.udp.WriteToUDPAddrPort(b, from) })
		}
	}()
	go func() {
		for {
			conn, err := a.tcp.Accept()
			if err != nil {
				return
			}
			go a.stream(conn)
		}
	}()
	return a
}

// set changes how a behaves.
func (a *agent) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

func (a *agent) stream(conn net.Conn) {
	from := conn.RemoteAddr().(*net.TCPAddr).AddrPort()
	buf := make([]byte, 1<<20)
	have := 0
	for {
		n, err := conn.Read(buf[have:])
		if err != nil {
			return
		}
		var out outbox
		used, err := frames(buf[:have+n], func(b []byte, _ *outbox) {
			a.receive(string(b), from, "TCP", func(b []byte) { _, _ = conn.Write(b) })
		}, &out)
		if err != nil {
			_ = conn.Close()
			return
		}
		have = copy(buf, buf[used:have+n])
	}
}

func (a *agent) receive(raw string, from netip.AddrPort, transport string, send func([]byte)) {
	m := new(sip.Message)
	err := m.Parse(raw, sip.DefaultLimits)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.bad = append(a.bad, err.Error()+": "+raw)
		return
	}
	a.n++
	if !m.IsRequest() {
		a.answered++
		if m.TopVia.RPort == 0 || m.TopVia.Received == "" {
			a.bad = append(a.bad, "answer without rport: "+raw)
		}
		return
	}
	reply := sip.Reply{Status: 200, ToTag: "agent", Source: from}
	if a.fault != nil {
		drop, status := a.fault(a.n, m)
		if drop {
			return
		}
		if status != 0 {
			reply.Status = status
			send(sip.AppendResponse(nil, m, reply))
			return
		}
	}
	if a.guard != nil {
		if _, ok := m.Get(sip.HeaderAuthorization); !ok {
			reply.Status = 401
			reply.Headers = []sip.Header{{ID: sip.HeaderWWWAuthenticate, Value: string(a.guard.Append(nil))}}
			send(sip.AppendResponse(nil, m, reply))
			return
		}
		a.checkCredentials(m)
	}
	uri := m.RequestURI
	switch m.Method {
	case sip.MethodPublish:
		match, _ := m.Get(sip.HeaderSIPIfMatch)
		if match != a.etags[uri] {
			reply.Status = 412
			send(sip.AppendResponse(nil, m, reply))
			return
		}
		a.etags[uri] = fmt.Sprint("e", a.n)
		reply.Headers = []sip.Header{{ID: sip.HeaderSIPETag, Value: a.etags[uri]}, {ID: sip.HeaderExpires, Value: "3600"}}
		send(sip.AppendResponse(nil, m, reply))
		for _, w := range a.subs[uri] {
			a.notify(w, m.Body)
		}
	case sip.MethodSubscribe:
		reply.Headers = []sip.Header{{ID: sip.HeaderExpires, Value: "3600"}, {ID: sip.HeaderContact, Value: "<sip:" + a.addr + ">"}}
		send(sip.AppendResponse(nil, m, reply))
		if a.byCall[m.CallID] {
			return
		}
		d, err := sip.DialogFromRequest(m, "agent")
		if err != nil {
			a.bad = append(a.bad, err.Error())
			return
		}
		a.byCall[m.CallID] = true
		w := &watch{dialog: d, via: transport + " " + a.addr, send: send}
		a.subs[uri] = append(a.subs[uri], w)
		a.notify(w, "")
	}
}

func (a *agent) checkCredentials(m *sip.Message) {
	value, _ := m.Get(sip.HeaderAuthorization)
	cr, err := sip.ParseCredentials(value)
	if err != nil {
		a.bad = append(a.bad, err.Error())
		return
	}
	ha1, _ := sip.HA1(cr.Algorithm, cr.Username, cr.Realm, "pw-"+strings.TrimLeft(cr.Username, "userwatch"))
	if want, _ := sip.DigestResponse(ha1, cr, m.Method, m.Body); want != cr.Response || cr.Username != m.From.URI.User {
		a.bad = append(a.bad, "wrong credentials: "+value)
	}
}

// notify has compact and folded header fields, for the scanner's sake.
func (a *agent) notify(w *watch, body string) {
	w.cseq++
	w.send(fmt.Appendf(nil, "NOTIFY %s SIP/2.0\r\nv: SIP/2.0/%s;rport;branch=z9hG4bK%d-%s\r\nMax-Forwards: 70\r\n"+
		"f: %s;tag=agent\r\nTo: %s\r\n ;tag=%s\r\ni: %s\r\nCSeq: %d NOTIFY\r\nEvent: presence\r\n"+
		"Subscription-State: active;expires=100\r\nContact: <sip:%s>\r\nContent-Type: application/pidf+xml\r\nContent-Length: %d\r\n\r\n%s",
		w.dialog.RemoteTarget, w.via, w.cseq, w.dialog.CallID, w.dialog.LocalURI, w.dialog.RemoteURI, w.dialog.RemoteTag,
		w.dialog.CallID, w.cseq, a.addr, len(body), body))
}

// check fails the test if the generator sent something wrong.
func (a *agent) check() {
	a.t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.bad) > 0 {
		a.t.Errorf("%d faults, first: %s", len(a.bad), a.bad[0])
	}
}

// small is a short run.
func small(a *agent) Config {
	return Config{
		Server: a.addr, Presentities: 20, Watchers: 3, Window: 8, Duration: 300 * time.Millisecond,
		Warmup: 50 * time.Millisecond, Settle: time.Second, AssertedIdentity: true,
	}
}

func TestClosedLoop(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"udp", "tcp"} {
		for _, sockets := range []int{1, 3} {
			t.Run(fmt.Sprint(transport, sockets), func(t *testing.T) {
				t.Parallel()
				a := newAgent(t)
				cfg := small(a)
				cfg.Transport, cfg.Sockets = transport, sockets
				rep, err := Run(t.Context(), cfg)
				if err != nil {
					t.Fatal(err)
				}
				a.check()
				s, p := rep.Subscribe, rep.Publish
				if s.Accepted != 60 || s.Notified != 60 || rep.BodyBytes != 1024 {
					t.Errorf("got %+v", s)
				}
				if p.Published == 0 || p.Latency.Count == 0 || p.Latency.P50 <= 0 || p.Latency.P99 < p.Latency.P50 ||
					p.Stale != 0 || p.Lost != 0 || p.Answer.Count == 0 || len(rep.Refusals) != 0 || rep.Backwards != 0 {
					t.Errorf("got %+v %+v", rep, p)
				}
				want, got := int(p.Expected)+60, 0
				for end := time.Now().Add(10 * time.Second); got < want && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
					a.mu.Lock()
					got = a.answered
					a.mu.Unlock()
				}
				if got != want {
					t.Errorf("%d NOTIFYs answered, want %d", got, want)
				}
			})
		}
	}
}

func TestFixedRate(t *testing.T) {
	t.Parallel()
	a := newAgent(t)
	cfg := small(a)
	cfg.Rate, cfg.SubscribeRate, cfg.DistinctWatchers = 200, 1000, true
	cfg.Duration = 500 * time.Millisecond
	cfg.ServerPIDs = []int{os.Getpid()}
	var progress bytes.Buffer
	cfg.Progress = &progress
	rep, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	a.check()
	if n := rep.Publish.PerSecond; n < 20 || n > 260 {
		t.Errorf("%.0f publishes a second", n)
	}
	if rep.PeakRSSBytes == 0 || rep.Subscribe.RSSBefore == 0 || rep.ProcessError != "" {
		t.Errorf("got %+v", rep)
	}
	if !strings.Contains(progress.String(), "publish/s") {
		t.Errorf("progress %q", progress.String())
	}
	var text strings.Builder
	if err := rep.WriteText(&text); err != nil || !strings.Contains(text.String(), "PUBLISH to NOTIFY") {
		t.Errorf("%v: %s", err, text.String())
	}
	if raw, err := json.Marshal(rep); err != nil || !bytes.Contains(raw, []byte(`"p99_ms"`)) {
		t.Errorf("%v: %s", err, raw)
	}
}

func TestDigest(t *testing.T) {
	t.Parallel()
	for _, qop := range [][]string{nil, {"auth"}} {
		a := newAgent(t)
		a.set(func() {
			a.guard = &sip.Challenge{Realm: "example.com", Nonce: "n", Algorithm: sip.AlgorithmSHA256, QOP: qop}
		})
		cfg := small(a)
		cfg.Password = "pw-%d"
		rep, err := Run(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		a.check()
		if rep.Subscribe.Accepted != 60 || rep.Publish.Stale != 0 || len(rep.Refusals) != 0 {
			t.Errorf("got %+v", rep)
		}
	}
}

func TestRepetition(t *testing.T) {
	t.Parallel()
	a := newAgent(t)
	a.set(func() { a.fault = func(n int, _ *sip.Message) (bool, int) { return n%17 == 0, 0 } })
	rep, err := Run(t.Context(), small(a))
	if err != nil {
		t.Fatal(err)
	}
	if rep.Repeated == 0 || rep.Subscribe.Accepted != 60 || rep.Publish.Stale != 0 || rep.NoAnswer != 0 {
		t.Errorf("got %+v", rep)
	}
}

func TestPublishAnew(t *testing.T) {
	t.Parallel()
	a := newAgent(t)
	forgot := 0
	fault := func(_ int, m *sip.Message) (bool, int) {
		if forgot++; m.Method == sip.MethodPublish && forgot%10 == 0 {
			delete(a.etags, m.RequestURI)
		}
		return false, 0
	}
	a.set(func() { a.fault = fault })
	rep, err := Run(t.Context(), small(a))
	if err != nil {
		t.Fatal(err)
	}
	if rep.Refusals[412] == 0 || rep.Publish.Stale != 0 {
		t.Errorf("got %+v", rep)
	}
}

func TestLostNotifies(t *testing.T) {
	t.Parallel()
	a := newAgent(t)
	cfg := small(a)
	cfg.Settle = 100 * time.Millisecond
	seen := 0
	fault := func(_ int, m *sip.Message) (bool, int) {
		if seen++; m.Method == sip.MethodPublish && seen > 90 {
			a.subs[m.RequestURI] = a.subs[m.RequestURI][:2] // one watcher of each is forgotten
		}
		return false, 0
	}
	a.set(func() { a.fault = fault })
	rep, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if rep.Publish.Lost == 0 || rep.Publish.Stale != 20 {
		t.Errorf("got %+v", rep.Publish)
	}
}

func TestRefusedAll(t *testing.T) {
	t.Parallel()
	a := newAgent(t)
	a.set(func() { a.fault = func(int, *sip.Message) (bool, int) { return false, 403 } })
	for _, phase := range []Phase{PhaseSubscribe, PhasePublish} {
		cfg := small(a)
		cfg.Phase = phase
		rep, err := Run(t.Context(), cfg)
		if !errors.Is(err, ErrServer) || !strings.Contains(err.Error(), "403") || rep.Refusals[403] == 0 {
			t.Errorf("%s: got %v", phase, err)
		}
	}
}

func TestPhases(t *testing.T) {
	t.Parallel()
	for _, phase := range []Phase{PhaseSubscribe, PhasePublish} {
		a := newAgent(t)
		cfg := small(a)
		cfg.Phase = phase
		rep, err := Run(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if (rep.Subscribe != nil) != (phase == PhaseSubscribe) || (rep.Publish != nil) != (phase == PhasePublish) {
			t.Errorf("%s: got %+v", phase, rep)
		}
	}
}

// TestClasses holds that who is told too much or too little is counted.
func TestClasses(t *testing.T) {
	t.Parallel()
	a := newAgent(t)
	cfg := small(a)
	cfg.Rich = true
	cfg.Classes = []Class{{Has: []string{RichCity, RichMood}}, {Not: []string{"nothing", RichMood}}, {Has: []string{"more"}}}
	rep, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	a.check()
	if len(rep.Classes) != 3 {
		t.Fatalf("got %+v", rep.Classes)
	}
	for i, c := range rep.Classes {
		if wrong := i > 0; c.Documents == 0 || c.Bytes != rep.BodyBytes || (c.Wrong == c.Documents) != wrong || (c.Wrong == 0) == wrong {
			t.Errorf("class %d: %+v", i, c)
		}
	}
	var text strings.Builder
	if err := rep.WriteText(&text); err != nil || !strings.Contains(text.String(), "class 3") {
		t.Errorf("%v: %s", err, text.String())
	}
}

func TestNothingListens(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"udp", "tcp"} {
		_, err := Run(t.Context(), Config{Server: "127.0.0.78:9", Transport: transport})
		if !errors.Is(err, ErrServer) {
			t.Errorf("got %v", err)
		}
	}
}

func TestWrongConfig(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{
		"server":    {},
		"transport": {Server: "h", Transport: "tls"},
		"users":     {Server: "h", Users: "user"},
		"body":      {Server: "h", BodySize: 1 << 20},
		"rate":      {Server: "h", Rate: -1},
		"phase":     {Server: "h", Phase: "none"},
		"watchers":  {Server: "h", Presentities: 1_000_000, Watchers: 11},
		"duration":  {Server: "h", Duration: -1},
	} {
		if _, err := Run(t.Context(), cfg); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := Run(t.Context(), Config{Server: "127.0.0.78:9", ServerPIDs: []int{1 << 30}}); !errors.Is(err, ErrProc) {
		t.Errorf("got %v", err)
	}
}
