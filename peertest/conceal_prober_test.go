package peertest

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// shape is what an observer notes of one exchange, besides its times.
type shape struct {
	first, second string // the messages in their order, without what must differ
	unasked       int    // NOTIFYs that came later
}

// observation is one exchange as an observer sees it.
type observation struct {
	shape
	times [3]float64 // seconds: to the final answer, to the NOTIFY, and between them
}

// prober is a watcher with one flow and a good clock: it asks one thing at a time
// and reads what comes on the goroutine that has asked.
type prober struct {
	t               testing.TB
	user, transport string
	server          *server
	conn            net.Conn
	web             *webConn // made when it is first needed
	in              *bufio.Reader
	buf             []byte
	local           string

	ha1, nonce string
	nc, count  int
	number     int                     // of its connection, so that no two have the same Call-IDs
	unasked    map[string]*observation // by Call-ID: who was told what last
}

func newProber(t testing.TB, s *server, number int, transport string) *prober {
	t.Helper()
	p := &prober{t: t, server: s, number: number, transport: transport, buf: make([]byte, 64<<10), unasked: map[string]*observation{}}
	var err error
	if transport == "tls" {
		p.conn, err = tls.Dial("tcp", s.sips, &tls.Config{RootCAs: s.roots()})
	} else {
		p.conn, err = net.Dial(transport, s.sip)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.conn.Close() })
	p.in, p.local = bufio.NewReaderSize(p.conn, 64<<10), p.conn.LocalAddr().String()
	p.become("somebody")
	m, _ := p.ask(&probe{method: "SUBSCRIBE", from: p.user, target: "nobody", headers: "Event: presence\r\n"})
	p.nonce = param(m.challenge(), "nonce")
	return p
}

// become makes the prober another user.
func (p *prober) become(user string) {
	if p.user != user {
		p.user, p.ha1 = user, hash(user+":example.com:"+secret)
	}
}

// secret is the password of all the users here.
const secret = "a-secret"

// probe is one request.
type probe struct {
	method       string
	from         string // user
	target       string // user that it is about
	uri          string // Request-URI, if not the target's
	to           string // To's tag
	callID       string // empty: a new one
	seq          int
	headers      string
	body         string
	user, secret string // other credentials than none
	identified   bool   // with the prober's own credentials
}

// text writes a request.
func (p *prober) text(q *probe) string {
	p.count++
	if q.callID == "" {
		q.callID = fmt.Sprintf("call-%02d-%07d", p.number, p.count)
	}
	if q.seq == 0 {
		q.seq = 1
	}
	address := "sip:" + q.target + "@example.com"
	uri := q.uri
	if uri == "" {
		uri = address
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=z9hG4bK%02d%07d;rport\r\nMax-Forwards: 70\r\n"+
		"From: <sip:%s@example.com>;tag=t%07d\r\nTo: <%s>%s\r\nCall-ID: %s\r\nCSeq: %d %s\r\n%s",
		q.method, uri, strings.ToUpper(p.transport), p.local, p.number, p.count,
		q.from, len(q.callID), address, q.to, q.callID, q.seq, q.method, q.headers)
	if q.method == "SUBSCRIBE" {
		fmt.Fprintf(&b, "Contact: <sip:%s@%s;transport=%s>\r\n", p.user, p.local, p.transport)
	}
	switch {
	case q.identified:
		p.nc++
		b.WriteString(credentials(p.user, p.ha1, p.nonce, q.method, uri, p.nc))
	case q.user != "":
		b.WriteString(credentials(q.user, hash(q.user+":example.com:"+q.secret), p.nonce, q.method, uri, p.nc+1))
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(q.body), q.body)
	return b.String()
}

func credentials(user, ha1, nonce, method, uri string, nc int) string {
	ha2 := sha256.Sum256([]byte(method + ":" + uri))
	count := fmt.Sprintf("%08x", nc)
	return fmt.Sprintf("Authorization: Digest username=\"%s\", realm=\"example.com\", nonce=\"%s\", uri=\"%s\", algorithm=SHA-256, "+
		"qop=auth, cnonce=\"0a4f113b\", nc=%s, response=\"%s\"\r\n", user, nonce, uri, count,
		hash(ha1+":"+nonce+":"+count+":0a4f113b:auth:"+hex.EncodeToString(ha2[:])))
}

// ask sends a request and waits for the final answer and, if that is a 2xx to a
// SUBSCRIBE, for the NOTIFY, which it answers.
func (p *prober) ask(q *probe) (final message, o *observation) {
	p.t.Helper()
	text := p.text(q)
	o = new(observation)
	seen := p.unasked[q.callID]
	p.unasked[q.callID] = o
	defer func() {
		if seen != nil {
			p.unasked[q.callID] = seen
		}
	}()
	start := time.Now()
	if _, err := p.conn.Write([]byte(text)); err != nil {
		p.t.Fatal(err)
	}
	var answered, notified time.Time
	for answered.IsZero() || notified.IsZero() && q.method == "SUBSCRIBE" && final.status() < 300 {
		raw, at := p.read()
		m, err := parseMessage(raw)
		if err != nil {
			p.t.Fatal(err)
		}
		if m.status() == 0 {
			if _, err := p.conn.Write([]byte(m.answer())); err != nil {
				p.t.Fatal(err)
			}
		}
		switch {
		case m.status() == 0 && (m.get("Call-ID") != q.callID || !notified.IsZero()):
			if late := p.unasked[m.get("Call-ID")]; late != nil {
				late.unasked++
			}
			continue
		case m.status() == 0:
			notified = at
		case m.get("Call-ID") != q.callID || m.cseq() != q.seq:
			p.t.Fatalf("an answer to nothing that was asked:\n%s", raw)
		default:
			final, answered = m, at
		}
		if s := blank(m, raw, q); o.first == "" {
			o.first = s
		} else {
			o.second = s
		}
	}
	o.times[0] = answered.Sub(start).Seconds()
	if !notified.IsZero() {
		o.times[1], o.times[2] = notified.Sub(start).Seconds(), notified.Sub(answered).Seconds()
	}
	return final, o
}

// read gives the next message and when it came.
func (p *prober) read() (string, time.Time) {
	_ = p.conn.SetReadDeadline(time.Now().Add(patience))
	if p.transport == "udp" {
		n, err := p.conn.Read(p.buf)
		at := time.Now()
		for errors.Is(err, os.ErrDeadlineExceeded) {
			p.t.Fatal("no answer came")
		}
		if err != nil {
			p.t.Fatal(err)
		}
		return string(p.buf[:n]), at
	}
	if _, err := p.in.Peek(1); err != nil {
		p.t.Fatal(err)
	}
	at := time.Now()
	raw, err := readStream(p.in)
	if err != nil {
		p.t.Fatal(err)
	}
	return raw, at
}

// blank leaves of a message what may not differ: all but the names, tags and
// numbers that are the exchange's own, of which it leaves the length.
func blank(m message, raw string, q *probe) string {
	var b strings.Builder
	b.Grow(len(raw))
	named := func(text string) string {
		return strings.ReplaceAll(strings.ReplaceAll(text, q.target, "TARGET"), q.from, "FROM")
	}
	b.WriteString(named(m.first))
	for _, h := range m.headers {
		value := named(h[1])
		switch h[0] {
		case "Via", "From", "To", "Call-ID", "SIP-ETag", "CSeq":
			value = strconv.Itoa(len(h[1]))
		case "WWW-Authenticate":
			value = strings.ReplaceAll(value, param(value, "nonce"), strconv.Itoa(len(param(value, "nonce"))))
		}
		b.WriteString("\n" + h[0] + ": " + value)
	}
	// The id of the one tuple is a hash of its name, in as few digits as it takes.
	body, spare := named(m.body), 0
	if head, tail, ok := strings.Cut(body, `<tuple id="`); ok {
		id, tail, _ := strings.Cut(tail, `"`)
		body, spare = head+`<tuple id="ID"`+tail, len(id)
	}
	fmt.Fprintf(&b, "\n\n%s\n%d", body, len(raw)-spare)
	return strings.Replace(b.String(), "Content-Length: "+strconv.Itoa(len(m.body)), "Content-Length: "+strconv.Itoa(len(m.body)-spare), 1)
}
