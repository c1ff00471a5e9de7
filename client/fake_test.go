package client

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/tacit-presence/tacit/sip"
)

// patience bounds every wait of these tests.
const patience = 10 * time.Second

// fake is a small presence server for these tests. It answers what handle
// says, or, if that returns false, behaves well.
type fake struct {
	t      *testing.T
	addr   netip.AddrPort // of UDP and TCP
	udp    *net.UDPConn
	tcp    net.Listener
	handle func(m *sip.Message, p *peer) (sip.Reply, bool)

	mu       sync.Mutex
	requests []*sip.Message // all, repetitions too
	answers  chan *sip.Message
	etags    int
	subs     map[string]*fakeSub // by Call-ID
	conns    []net.Conn
}

// peer is where a request came from.
type peer struct {
	send   func(raw []byte)
	source netip.AddrPort
	via    string // of requests to it
	fake   *fake
}

// silence is a Reply that is not sent.
var silence = sip.Reply{}

type fakeSub struct {
	peer   *peer
	dialog sip.Dialog
	event  string
	cseq   uint32
}

func newFake(t *testing.T, handle func(m *sip.Message, p *peer) (sip.Reply, bool)) *fake {
	t.Helper()
	f := &fake{t: t, handle: handle, answers: make(chan *sip.Message, 100), subs: map[string]*fakeSub{}}
	for range 20 { // the same port must be free for both
		var err error
		if f.udp, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
			t.Fatal(err)
		}
		f.addr = f.udp.LocalAddr().(*net.UDPAddr).AddrPort()
		if f.tcp, err = net.Listen("tcp", f.addr.String()); err == nil {
			break
		}
		_ = f.udp.Close()
	}
	if f.tcp == nil {
		t.Fatal("no port is free")
	}
	t.Cleanup(f.stop)
	go f.readUDP()
	go f.accept(f.tcp)
	return f
}

func (f *fake) stop() {
	_ = f.udp.Close()
	_ = f.tcp.Close()
	f.dropConnections()
}

func (f *fake) dropConnections() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		_ = c.Close()
	}
	f.conns = nil
}

func (f *fake) readUDP() {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := f.udp.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		f.receive(string(buf[:n]), &peer{source: from, via: "SIP/2.0/UDP " + f.addr.String(),
			send: func(raw []byte) { _, _ = f.udp.WriteToUDPAddrPort(raw, from) }})
	}
}

func (f *fake) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		f.conns = append(f.conns, conn)
		f.mu.Unlock()
		go f.readStream(conn)
	}
}

func (f *fake) readStream(conn net.Conn) {
	p := &peer{source: conn.RemoteAddr().(*net.TCPAddr).AddrPort(), via: "SIP/2.0/TCP " + f.addr.String(),
		send: func(raw []byte) { _, _ = conn.Write(raw) }}
	var buf []byte
	chunk := make([]byte, 16<<10)
	for {
		n, err := conn.Read(chunk)
		if err != nil {
			return
		}
		buf = append(buf, chunk[:n]...)
		for {
			skip, n, _, err := sip.Frame(buf, sip.DefaultLimits)
			if err != nil {
				_ = conn.Close()
				return
			}
			if n == 0 {
				buf = buf[skip:]
				break
			}
			f.receive(string(buf[skip:skip+n]), p)
			buf = buf[skip+n:]
		}
	}
}

// serveWS makes f answer SIP over WebSocket.
func (f *fake) serveWS(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"sip"}})
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()
	p := &peer{source: netip.MustParseAddrPort(r.RemoteAddr), via: "SIP/2.0/WS " + f.addr.String(),
		send: func(raw []byte) { _ = conn.Write(context.Background(), websocket.MessageText, raw) }}
	for {
		_, raw, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		f.receive(string(raw), p)
	}
}

func (f *fake) receive(raw string, p *peer) {
	if strings.TrimSpace(raw) == "" {
		return
	}
	m := new(sip.Message)
	if err := m.Parse(raw, sip.DefaultLimits); err != nil {
		f.t.Errorf("the client sent something malformed: %v\n%s", err, raw)
		return
	}
	if !m.IsRequest() {
		f.answers <- m
		return
	}
	f.mu.Lock()
	f.requests = append(f.requests, m)
	f.mu.Unlock()
	p.fake = f
	reply, done := sip.Reply{}, false
	if f.handle != nil {
		reply, done = f.handle(m, p)
	}
	if !done {
		reply = f.behave(m)
	}
	if reply.Status == 0 {
		return
	}
	f.respond(m, p, reply)
	if m.Method == sip.MethodSubscribe && reply.Status == 200 {
		f.subscribed(m, p)
	}
}

func (f *fake) respond(m *sip.Message, p *peer, reply sip.Reply) {
	reply.Source = p.source
	if reply.ToTag == "" {
		reply.ToTag = "fake"
	}
	p.send(sip.AppendResponse(nil, m, reply))
}

// behave gives the answer of a well-behaved server.
func (f *fake) behave(m *sip.Message) sip.Reply {
	expires, _ := m.Get(sip.HeaderExpires)
	switch m.Method {
	case sip.MethodPublish:
		f.mu.Lock()
		defer f.mu.Unlock()
		f.etags++
		return sip.Reply{Status: 200, Headers: []sip.Header{
			{ID: sip.HeaderSIPETag, Value: fmt.Sprintf("tag%d", f.etags)}, {ID: sip.HeaderExpires, Value: expires},
		}}
	case sip.MethodSubscribe:
		return sip.Reply{Status: 200, Headers: []sip.Header{
			{ID: sip.HeaderExpires, Value: expires}, {ID: sip.HeaderContact, Value: "<sip:agent@" + f.addr.String() + ">"},
		}}
	}
	return sip.Reply{Status: 200}
}

// subscribed keeps a subscription and sends its NOTIFY.
func (f *fake) subscribed(m *sip.Message, p *peer) {
	f.mu.Lock()
	s := f.subs[m.CallID]
	if s == nil {
		d, err := sip.DialogFromRequest(m, "fake")
		if err != nil {
			f.t.Errorf("SUBSCRIBE makes no dialog: %v", err)
			f.mu.Unlock()
			return
		}
		event, _ := m.Get(sip.HeaderEvent)
		s = &fakeSub{dialog: d, event: event}
		f.subs[m.CallID] = s
	}
	s.peer = p
	f.mu.Unlock()
	expires, _ := m.Get(sip.HeaderExpires)
	state := "active;expires=" + expires
	if expires == "0" {
		state = "terminated;reason=timeout"
	}
	f.notify(s, state, PIDF("sip:bob@example.com", "open", "first", ""))
}

// notify sends the next NOTIFY of s and returns its bytes.
func (f *fake) notify(s *fakeSub, state, body string) []byte {
	f.mu.Lock()
	s.cseq++
	raw := f.buildNotify(s, s.cseq, newTag(), state, body)
	p := s.peer
	f.mu.Unlock()
	p.send(raw)
	return raw
}

func (f *fake) buildNotify(s *fakeSub, cseq uint32, branch, state, body string) []byte {
	uri, routes := s.dialog.NextHop()
	raw := []byte("NOTIFY " + uri + " SIP/2.0\r\n")
	raw = sip.AppendHeader(raw, "Via", s.peer.via+";branch=z9hG4bK"+branch+";rport")
	for _, r := range routes {
		raw = sip.AppendHeader(raw, "Route", r)
	}
	raw = sip.AppendHeader(raw, "From", s.dialog.LocalURI+";tag=fake")
	raw = sip.AppendHeader(raw, "To", s.dialog.RemoteURI+";tag="+s.dialog.RemoteTag)
	raw = sip.AppendHeader(raw, "Call-ID", s.dialog.CallID)
	raw = sip.AppendHeader(raw, "CSeq", fmt.Sprintf("%d NOTIFY", cseq))
	raw = sip.AppendHeader(raw, "Contact", "<sip:agent@"+f.addr.String()+">")
	raw = sip.AppendHeader(raw, "Event", s.event)
	raw = sip.AppendHeader(raw, "Subscription-State", state)
	switch {
	case strings.Contains(body, "pidf-diff"):
		raw = sip.AppendHeader(raw, "Content-Type", PartialType)
	case body != "":
		raw = sip.AppendHeader(raw, "Content-Type", PIDFType)
	}
	raw = sip.AppendHeader(raw, "Content-Length", fmt.Sprint(len(body)))
	return append(append(raw, "\r\n"...), body...)
}

// only returns the one subscription there is.
func (f *fake) only() *fakeSub {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.subs) != 1 {
		f.t.Fatalf("%d subscriptions, want 1", len(f.subs))
	}
	for _, s := range f.subs {
		return s
	}
	return nil
}

// seen returns the requests of a method so far.
func (f *fake) seen(method sip.Method) (list []*sip.Message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.requests {
		if m.Method == method {
			list = append(list, m)
		}
	}
	return list
}

// answer waits for the client's next response.
func (f *fake) answer() int {
	f.t.Helper()
	select {
	case m := <-f.answers:
		return m.Status
	case <-time.After(patience):
		f.t.Fatal("no answer")
	}
	return 0
}

// dial connects a client with quick timers.
func (f *fake) dial(cfg Config) *Client {
	f.t.Helper()
	if cfg.Server == "" {
		cfg.Server = f.addr.String()
	}
	if cfg.User == "" {
		cfg.User = "alice@example.com"
	}
	c, err := newClient(cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	c.timers = sip.Timers{T1: 30 * time.Millisecond, T2: 200 * time.Millisecond, T4: 200 * time.Millisecond}
	c.pause = 20 * time.Millisecond
	if _, err := c.flow(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = c.Close() })
	return c
}

// next waits for a notification.
func next(t *testing.T, s *Subscription) Notification {
	t.Helper()
	select {
	case n, ok := <-s.Notifications():
		if !ok {
			t.Fatalf("notifications ended: %v", s.Err())
		}
		return n
	case <-time.After(patience):
		t.Fatal("no notification")
	}
	return Notification{}
}

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
	}
}
