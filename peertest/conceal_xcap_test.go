package peertest

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// own is the case of what is the observer's own, which it may tell from all others:
// in the control alone.
const own = "own"

// treeCases are whose XCAP tree it is: a user's without documents, one's with a
// document, nobody's.
var treeCases = []string{allowed, blocked, nobody}

const listDocument = `<resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists"><list/></resource-lists>`

// treeKinds are what an observer may ask of others' XCAP trees, over HTTP beside
// TCP and over HTTPS beside TLS.
var treeKinds = []kind{
	{"xcap get", treeCases, treeAsk("GET", "/index", "")},
	{"xcap put", treeCases, treeAsk("PUT", "/index", listDocument)},
	{"xcap delete", treeCases, treeAsk("DELETE", "/index", "")},
	{"xcap element", treeCases, treeAsk("GET", "/index/~~/resource-lists/list", "")},
	{"xcap challenge", treeCases, func(p *prober, name, _, which string) []*observation {
		return []*observation{p.fetch(name, "GET", treePath(name)+"/index", "", "")}
	}},
	{"xcap password", []string{"wrong", "of nobody"}, func(p *prober, name, _, which string) []*observation {
		user, path := p.user, treePath(name)+"/index"
		if which == "of nobody" {
			user = p.stranger()
		}
		line := credentials(user, hash(user+":example.com:a wrong one"), p.nonce, "GET", path, p.nc+1)
		return []*observation{p.fetch(name, "GET", path, "", line)}
	}},
}

func treePath(name string) string {
	return "/xcap-root/resource-lists/users/sip:" + name + "@example.com"
}

func treeAsk(method, rest, body string) func(p *prober, name, before, which string) []*observation {
	return func(p *prober, name, _, which string) []*observation {
		if which == own {
			name = p.user
		}
		path := treePath(name) + rest
		return []*observation{p.fetch(name, method, path, body, p.authorization(method, path))}
	}
}

// kindsOver are what is asked over a transport.
func kindsOver(transport string) []kind {
	if transport == "udp" {
		return kinds
	}
	return append(kinds[:len(kinds):len(kinds)], treeKinds...)
}

// webConn is a prober's connection to the XCAP server.
type webConn struct {
	conn net.Conn
	in   *bufio.Reader
}

// dialWeb connects to the listener that goes with a transport.
func dialWeb(t testing.TB, s *server, transport string) *webConn {
	t.Helper()
	var w webConn
	var err error
	if transport == "tls" {
		w.conn, err = tls.Dial("tcp", s.https, &tls.Config{RootCAs: s.roots()})
	} else {
		w.conn, err = net.Dial("tcp", s.web)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.conn.Close() })
	w.in = bufio.NewReaderSize(w.conn, 64<<10)
	return &w
}

// authorization is the prober's own header field for a request.
func (p *prober) authorization(method, path string) string {
	p.nc++
	return credentials(p.user, p.ha1, p.nonce, method, path, p.nc)
}

// fetch makes one HTTP exchange about a user's tree.
func (p *prober) fetch(name, method, path, body, authorization string) *observation {
	p.t.Helper()
	if p.web == nil {
		p.web = dialWeb(p.t, p.server, p.transport)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: xcap.example.com\r\n%s", method, path, authorization)
	if method == "PUT" {
		fmt.Fprintf(&b, "Content-Type: application/resource-lists+xml\r\nContent-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n" + body)
	o := new(observation)
	_ = p.web.conn.SetDeadline(time.Now().Add(patience))
	start := time.Now()
	if _, err := io.WriteString(p.web.conn, b.String()); err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.web.in.Peek(1); err != nil {
		p.t.Fatal(err)
	}
	o.times[0] = time.Since(start).Seconds()
	o.first = p.response(name)
	return o
}

// response reads one and leaves of it what may not differ.
func (p *prober) response(name string) string {
	p.t.Helper()
	var b strings.Builder
	length := 0
	for {
		line, err := p.web.in.ReadString('\n')
		if err != nil {
			p.t.Fatal(err)
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			break
		}
		field, value, _ := strings.Cut(line, ": ")
		switch field {
		case "Content-Length":
			if length, err = strconv.Atoi(value); err != nil {
				p.t.Fatal(err)
			}
		case "Date", "Etag":
			line = field
		case "Www-Authenticate":
			nonce := param(value, "nonce")
			line = strings.ReplaceAll(line, nonce, strconv.Itoa(len(nonce)))
		}
		b.WriteString(line + "\n")
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(p.web.in, body); err != nil {
		p.t.Fatal(err)
	}
	b.Write(body)
	return strings.ReplaceAll(b.String(), name, "TARGET")
}

// furnish gives users a document each.
func furnish(p *prober, names []string) {
	for _, name := range names {
		p.become(name)
		p.put(strings.TrimPrefix(treePath(name), "/xcap-root/")+"/index", listDocument)
	}
}
