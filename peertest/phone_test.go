package peertest

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// errNoAnswer means that no final answer came in time.
var errNoAnswer = errors.New("no answer")

// phone is a user agent with one flow to the server. It answers every NOTIFY
// with 200 and keeps it. A flow that breaks is made anew by the next request.
type phone struct {
	t                         testing.TB
	s                         *server
	user, password, transport string
	contact                   string // URI; made of the first flow's port, and kept
	agent                     string // of Call-IDs and tags

	mu        sync.Mutex
	conn      net.Conn
	waiting   map[string]chan message // by branch
	challenge string
	nc        int
	seq       int
	notes     []message
	noted     chan struct{} // closed and replaced at each NOTIFY
}

// newPhone makes one; its password is that of users.
func newPhone(t testing.TB, s *server, user, transport string) *phone {
	t.Helper()
	p := &phone{t: t, s: s, user: user, password: user[:1] + "-secret", transport: transport,
		agent: fmt.Sprintf("%08x", rand.Uint32()), waiting: map[string]chan message{}, noted: make(chan struct{})}
	if err := p.connect(); err != nil {
		t.Fatal(err)
	}
	p.contact = fmt.Sprintf("sip:%s@%s;transport=%s", user, p.conn.LocalAddr(), transport)
	t.Cleanup(p.hangUp)
	return p
}

func (p *phone) connect() (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != nil {
		return nil
	}
	switch p.transport {
	case "tls":
		var pem []byte
		if pem, err = os.ReadFile(filepath.Join(p.s.dir, "ca.pem")); err != nil {
			return err
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		p.conn, err = tls.Dial("tcp", p.s.sips, &tls.Config{RootCAs: pool})
	default:
		p.conn, err = net.Dial(p.transport, p.s.sip)
	}
	if err != nil {
		p.conn = nil
		return err
	}
	go p.read(p.conn)
	return nil
}

// hangUp breaks the flow.
func (p *phone) hangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != nil {
		_ = p.conn.Close()
		p.conn = nil
	}
}

func (p *phone) gone(c net.Conn) {
	_ = c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn == c {
		p.conn = nil
	}
}

// read takes what comes. A UDP socket lives on whatever ICMP says.
func (p *phone) read(c net.Conn) {
	if p.transport != "udp" {
		defer p.gone(c)
		for in := bufio.NewReader(c); ; {
			raw, err := readStream(in)
			if err != nil {
				return
			}
			p.take(raw)
		}
	}
	for buf := make([]byte, 64<<10); ; {
		n, err := c.Read(buf)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err == nil:
			p.take(string(buf[:n]))
		default:
			time.Sleep(time.Millisecond) // refused: the server is down
		}
	}
}

// readStream cuts one message from a connection.
func readStream(in *bufio.Reader) (string, error) {
	var b strings.Builder
	length := 0
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return b.String(), err
		}
		b.WriteString(line)
		if v, ok := strings.CutPrefix(line, "Content-Length: "); ok {
			length, _ = strconv.Atoi(strings.TrimSpace(v))
		}
		if line == "\r\n" {
			break
		}
	}
	_, err := io.CopyN(&b, in, int64(length))
	return b.String(), err
}

func (p *phone) take(raw string) {
	m, err := parseMessage(raw)
	if err != nil {
		p.t.Errorf("%s got a message that is none: %v", p.user, err)
		return
	}
	if m.status() == 0 {
		_ = p.send(m.answer())
		p.mu.Lock()
		p.notes = append(p.notes, m)
		close(p.noted)
		p.noted = make(chan struct{})
		p.mu.Unlock()
		return
	}
	p.mu.Lock()
	ch := p.waiting[param(m.get("Via"), "branch")]
	p.mu.Unlock()
	if ch != nil {
		select {
		case ch <- m:
		default:
		}
	}
}

func (p *phone) send(raw string) error {
	if err := p.connect(); err != nil {
		return err
	}
	p.mu.Lock()
	c := p.conn
	p.mu.Unlock()
	if c == nil {
		return net.ErrClosed
	}
	_, err := io.WriteString(c, raw)
	if err != nil && p.transport != "udp" {
		p.gone(c)
	}
	return err
}

// request is what a phone asks.
type request struct {
	method, uri   string
	to            string // with tag; empty: <uri>
	callID, tag   string // empty: new ones
	seq           int    // 0: the next one
	sameSeq       bool   // authenticated with the same CSeq, as libpurple does
	headers, body string // headers with CRLF each
}

// fill gives a request what the phone chooses, so that it can be repeated.
func (p *phone) fill(r request) request {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seq++
	if r.seq == 0 {
		r.seq = p.seq
	}
	if r.callID == "" {
		r.callID = fmt.Sprintf("%s-%d", p.agent, p.seq)
	}
	if r.tag == "" {
		r.tag = fmt.Sprintf("t%s%d", p.agent, p.seq)
	}
	if r.to == "" {
		r.to = "<" + r.uri + ">"
	}
	return r
}

// text writes a filled request.
func (p *phone) text(r request, branch, extra string) string {
	p.mu.Lock()
	local := "127.0.0.1:9"
	if p.conn != nil {
		local = p.conn.LocalAddr().String()
	}
	p.mu.Unlock()
	return fmt.Sprintf("%s %s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=%s;rport\r\nMax-Forwards: 70\r\n"+
		"From: <sip:%s@example.com>;tag=%s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\n%s%sContent-Length: %d\r\n\r\n%s",
		r.method, r.uri, strings.ToUpper(p.transport), local, branch,
		p.user, r.tag, r.to, r.callID, r.seq, r.method, r.headers, extra, len(r.body), r.body)
}

// once sends a request and gives the final answer, repeating it over UDP
// (RFC 3261, 17.1.2). An answer that does not come is errNoAnswer, and so is a
// flow that breaks.
func (p *phone) once(r request, extra string, timeout time.Duration) (message, error) {
	branch := fmt.Sprintf("z9hG4bK%016x", rand.Uint64())
	ch := make(chan message, 4)
	p.mu.Lock()
	p.waiting[branch] = ch
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.waiting, branch)
	}()
	_ = p.connect() // so that Via names its port
	text := p.text(r, branch, extra)
	deadline := time.After(timeout)
	if err := p.send(text); err != nil && p.transport != "udp" {
		return message{}, fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	p.mu.Lock()
	flow := p.conn
	p.mu.Unlock()
	again := time.NewTicker(500 * time.Millisecond)
	defer again.Stop()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case m := <-ch:
			if m.status() >= 200 {
				return m, nil
			}
		case <-deadline:
			return message{}, errNoAnswer
		case <-again.C:
			if p.transport == "udp" {
				_ = p.send(text)
			}
		case <-look.C:
			p.mu.Lock()
			broken := p.conn != flow
			p.mu.Unlock()
			if broken && p.transport != "udp" {
				return message{}, fmt.Errorf("%w: the connection broke", errNoAnswer)
			}
		}
	}
}

// do sends a filled request with the credentials of the last challenge, and
// answers up to two more challenges.
func (p *phone) do(r request, timeout time.Duration) (m message, err error) {
	for range 3 {
		p.mu.Lock()
		extra := ""
		if p.challenge != "" {
			p.nc++
			extra = "Authorization: " + authorization(p.challenge, p.user, p.password, r.method, r.uri, p.nc) + "\r\n"
		}
		p.mu.Unlock()
		m, err = p.once(r, extra, timeout)
		if err != nil || m.status() != 401 {
			return m, err
		}
		p.mu.Lock()
		p.challenge, p.nc = m.challenge(), 0
		if !r.sameSeq {
			r.seq++
			p.seq = max(p.seq, r.seq)
		}
		p.mu.Unlock()
	}
	return m, err
}

// ask does a new request and wants a status.
func (p *phone) ask(want int, r request) message {
	p.t.Helper()
	m, err := p.do(p.fill(r), patience)
	if err != nil {
		p.t.Fatalf("%s: %s %s: %v", p.user, r.method, r.uri, err)
	}
	if m.status() != want {
		p.t.Fatalf("%s: %s %s: %s, want %d; %s", p.user, r.method, r.uri, m.first, want, m.get("Warning"))
	}
	return m
}

// publication is a PUBLISH of the phone's own presence; etag and body may be empty.
func (p *phone) publication(etag, body string, expires int) request {
	r := request{method: "PUBLISH", uri: "sip:" + p.user + "@example.com", body: body,
		headers: fmt.Sprintf("Event: presence\r\nExpires: %d\r\n", expires)}
	if etag != "" {
		r.headers += "SIP-If-Match: " + etag + "\r\n"
	}
	if body != "" {
		r.headers += "Content-Type: application/pidf+xml\r\n"
	}
	return r
}

// dialog is a subscription as its watcher knows it.
type dialog struct {
	r      request
	target string
}

// subscribe makes a subscription.
func (p *phone) subscribe(target string, headers string) dialog {
	p.t.Helper()
	r := p.fill(request{method: "SUBSCRIBE", uri: "sip:" + target + "@example.com",
		headers: "Event: presence\r\nExpires: 600\r\nContact: <" + p.contact + ">\r\n" + headers})
	m, err := p.do(r, patience)
	if err != nil || m.status() != 200 {
		p.t.Fatalf("%s: SUBSCRIBE %s: %v %s", p.user, target, err, m.first)
	}
	r.to, r.seq = m.get("To"), m.cseq()
	return dialog{r: r, target: strings.Trim(m.get("Contact"), "<>")}
}

// again refreshes a subscription, or ends it with expires 0.
func (p *phone) again(d dialog, expires int) request {
	p.mu.Lock()
	defer p.mu.Unlock()
	d.r.uri = d.target
	p.seq = max(p.seq, d.r.seq) + 1
	d.r.seq = p.seq
	d.r.headers = fmt.Sprintf("Event: presence\r\nExpires: %d\r\nContact: <%s>\r\n", expires, p.contact)
	return d.r
}

// register binds the phone's Contact.
func (p *phone) register(expires int) request {
	return request{method: "REGISTER", uri: "sip:example.com", to: "<sip:" + p.user + "@example.com>",
		headers: fmt.Sprintf("Contact: <%s>\r\nExpires: %d\r\n", p.contact, expires)}
}

// notified gives the NOTIFYs so far.
func (p *phone) notified() []message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.notes[:len(p.notes):len(p.notes)]
}

// await waits for a NOTIFY, of those after the first skip, that ok accepts.
func (p *phone) await(skip int, timeout time.Duration, ok func(message) bool) (message, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	for {
		p.mu.Lock()
		list, more := p.notes[skip:len(p.notes):len(p.notes)], p.noted
		p.mu.Unlock()
		for _, m := range list {
			if ok(m) {
				return m, true
			}
		}
		skip += len(list)
		select {
		case <-more:
		case <-ctx.Done():
			return message{}, false
		}
	}
}

// wantNotify waits for a NOTIFY whose Subscription-State begins with state and
// whose body holds text.
func (p *phone) wantNotify(skip int, state, text string) message {
	p.t.Helper()
	m, ok := p.await(skip, patience, func(m message) bool {
		return strings.HasPrefix(m.get("Subscription-State"), state) && strings.Contains(m.body, text)
	})
	if !ok {
		p.t.Fatalf("%s was never told %q with %q; NOTIFYs: %d", p.user, state, text, len(p.notified()))
	}
	return m
}
