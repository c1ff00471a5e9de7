package peertest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
)

// sipgoAgent is a user agent made with sipgo.
type sipgoAgent struct {
	t                     *testing.T
	ctx                   context.Context
	user, transport, addr string
	client                *sipgo.Client
	contact               string
	notified              chan *sip.Request
}

func newSipgoAgent(t *testing.T, s *server, user, transport string) *sipgoAgent {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(s.dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	ua, err := sipgo.NewUA(sipgo.WithUserAgent(user), sipgo.WithUserAgentHostname("example.com"),
		sipgo.WithUserAgenTLSConfig(&tls.Config{RootCAs: pool, ServerName: "localhost"}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ua.Close() })
	own := freePort(t)
	a := &sipgoAgent{t: t, user: user, transport: transport, notified: make(chan *sip.Request, 16),
		addr:    map[string]string{"udp": s.sip, "tcp": s.sip, "tls": s.sips, "ws": s.ws, "wss": s.wss}[transport],
		contact: fmt.Sprintf("<sip:%s@%s;transport=%s>", user, own, transport)}
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	t.Cleanup(cancel)
	a.ctx = ctx
	if a.client, err = sipgo.NewClient(ua, sipgo.WithClientNAT(),
		sipgo.WithClientHostname("127.0.0.1"), sipgo.WithClientConnectionAddr(own)); err != nil {
		t.Fatal(err)
	}
	srv, err := sipgo.NewServer(ua)
	if err != nil {
		t.Fatal(err)
	}
	srv.OnNotify(func(req *sip.Request, tx sip.ServerTransaction) {
		_ = tx.Respond(sip.NewResponseFromRequest(req, 200, "OK", nil))
		a.notified <- req
	})
	return a
}

// ask does a request with digest and wants a status.
func (a *sipgoAgent) ask(want int, method sip.RequestMethod, uri string, body string, headers ...sip.Header) (*sip.Request, *sip.Response) {
	a.t.Helper()
	var recipient sip.Uri
	if err := sip.ParseUri(uri, &recipient); err != nil {
		a.t.Fatalf("%s: %v", uri, err)
	}
	req := sip.NewRequest(method, recipient)
	req.SetTransport(strings.ToUpper(a.transport))
	req.SetDestination(a.addr)
	for _, h := range headers {
		req.AppendHeader(h)
	}
	req.SetBody([]byte(body))
	res, err := a.client.Do(a.ctx, req)
	if err != nil {
		a.t.Fatalf("%s %s: %v", method, uri, err)
	}
	if res.StatusCode == 401 {
		res, err = a.client.DoDigestAuth(a.ctx, req, res, sipgo.DigestAuth{Username: a.user, Password: a.user[:1] + "-secret"})
		if err != nil {
			a.t.Fatalf("%s %s with digest: %v", method, uri, err)
		}
	}
	if res.StatusCode != want {
		a.t.Fatalf("%s %s: %s, want %d", method, uri, res.StartLine(), want)
	}
	return req, res
}

// wantNotify waits for one with that beginning of its state, and that text.
func (a *sipgoAgent) wantNotify(state, text string) *sip.Request {
	a.t.Helper()
	for late := time.After(patience); ; {
		select {
		case n := <-a.notified:
			got := ""
			if h := n.GetHeader("Subscription-State"); h != nil {
				got = h.Value()
			}
			if strings.HasPrefix(got, state) && strings.Contains(string(n.Body()), text) {
				return n
			}
		case <-late:
			a.t.Fatalf("sipgo was never told %q with %q", state, text)
		}
	}
}

func header(res *sip.Response, name string) string {
	if h := res.GetHeader(name); h != nil {
		return h.Value()
	}
	return ""
}

func TestSipgo(t *testing.T) {
	t.Parallel()
	s := serve(t, users...)
	presence := sip.NewHeader("Event", "presence")
	expires := func(n int) sip.Header { return sip.NewHeader("Expires", fmt.Sprint(n)) }
	kind := sip.NewHeader("Content-Type", "application/pidf+xml")
	for _, transport := range []string{"udp", "tcp", "tls", "ws", "wss"} {
		t.Run(transport, func(t *testing.T) {
			alice, bob := newSipgoAgent(t, s, "alice", transport), newSipgoAgent(t, s, "bob", transport)
			contact := sip.NewHeader("Contact", bob.contact)
			bob.ask(200, sip.REGISTER, "sip:example.com", "", sip.NewHeader("To", "<sip:bob@example.com>"), contact, expires(600))

			first, res := bob.ask(200, sip.SUBSCRIBE, "sip:alice@example.com", "", presence, expires(600), contact)
			target, to := strings.Trim(header(res, "Contact"), "<>"), header(res, "To")
			bob.wantNotify("active", "closed")

			_, res = alice.ask(200, sip.PUBLISH, "sip:alice@example.com", pidf("alice", "open", transport+"-one"), presence, expires(600), kind)
			bob.wantNotify("active", transport+"-one")
			tag := sip.NewHeader("SIP-If-Match", header(res, "SIP-ETag"))
			_, res = alice.ask(200, sip.PUBLISH, "sip:alice@example.com", pidf("alice", "open", transport+"-two"), presence, expires(600), kind, tag)
			bob.wantNotify("active", transport+"-two")
			alice.ask(412, sip.PUBLISH, "sip:alice@example.com", "", presence, expires(600), tag)
			tag = sip.NewHeader("SIP-If-Match", header(res, "SIP-ETag"))
			alice.ask(200, sip.PUBLISH, "sip:alice@example.com", "", presence, expires(0), tag)
			bob.wantNotify("active", "closed")

			// In the dialog: a refresh is told the state, and so is the end.
			inDialog := func(seq uint32, expiry int) {
				cseq := sip.CSeqHeader{SeqNo: seq, MethodName: sip.SUBSCRIBE}
				bob.ask(200, sip.SUBSCRIBE, target, "", presence, expires(expiry), contact, &cseq,
					sip.NewHeader("From", first.From().Value()), sip.NewHeader("To", to), sip.NewHeader("Call-ID", first.CallID().Value()))
			}
			inDialog(first.CSeq().SeqNo+10, 600)
			bob.wantNotify("active", "")
			inDialog(first.CSeq().SeqNo+20, 0)
			bob.wantNotify("terminated;reason=timeout", "")
		})
	}
	s.healthy()
	s.stop()
}
