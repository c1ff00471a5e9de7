package presencetest

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/tacit-presence/tacit/identity"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/sip"
)

// sipPort is every user agent's own port.
const sipPort = 5060

// UA is one user agent. Its methods are for one goroutine at a time; what the
// server sends meanwhile it takes on the server's.
type UA struct {
	w         *World
	user      string // who it says it is
	name      string // what sets its identifiers apart
	addr      netip.AddrPort
	transport sip.Transport
	digest    bool // lives where it is not trusted, and authenticates itself

	// Contact is the URI that its dialogs have.
	Contact string

	challenge sip.Challenge // the last one; Nonce is empty without
	nonceUsed uint32
	count     int // of identifiers made
	seq       uint32
	last      *request

	mu       sync.Mutex
	flow     sip.Flow
	muted    bool
	answers  []answer // to the NOTIFYs to come; when empty: 200
	waiting  map[string]*request
	dialogs  []*Dialog
	notifies []*Notify          // not looked at yet
	seen     map[string]*Notify // by branch
	pubs     map[string]presence.EntityTag
}

// answer is how a user agent answers one NOTIFY.
type answer struct {
	status  int
	headers []sip.Header
}

// Dialog is the subscriber's side of a subscription.
type Dialog struct {
	name      string
	uri       string // of the presentity
	callID    string
	localTag  string
	remoteTag string
	target    string // the server's Contact
	contact   string // ours
	strict    bool   // what comes has a strict router's URI as Request-URI
	event     string
	seq       uint32
	heard     uint32 // CSeq of the last NOTIFY
	over      bool   // a final NOTIFY has come

	// State and Body are those of the last NOTIFY.
	State, Body string
}

// Notify is a NOTIFY that has arrived.
type Notify struct {
	Msg    *sip.Message
	Dialog *Dialog
	At     []time.Time // it, and each retransmission
	answer answer
}

// request is one that was sent, with what has come back.
type request struct {
	method    sip.Method
	uri, to   string // to is the whole header field
	callID    string
	tag       string // From's
	seq       uint32
	headers   []sip.Header
	body      string
	anonymous bool // without identity

	branch   string
	text     string // as sent last
	tries    int    // of authentication
	response *sip.Message
	done     func(*sip.Message) // called with a 2xx
}

// NewUA makes a user agent of a user at an address of its own.
func (w *World) NewUA(user, device string, transport sip.Transport, digest bool) *UA {
	w.T.Helper()
	block := trusted
	if digest {
		block = stranger
	}
	u := &UA{
		w: w, user: user, name: user + device, transport: transport, digest: digest,
		addr: netip.AddrPortFrom(w.host(block), sipPort), waiting: map[string]*request{},
		seen: map[string]*Notify{}, pubs: map[string]presence.EntityTag{},
	}
	u.Contact = "sip:" + u.name + "@" + u.addr.String()
	if transport != sip.TransportUDP {
		u.Contact += ";transport=" + strings.ToLower(transport.String())
	}
	w.net.mu.Lock()
	w.net.hosts[u.addr] = u.take
	w.net.mu.Unlock()
	u.Connect()
	return u
}

// Connect gives the user agent a way to the server: a new connection, unless it
// speaks UDP.
func (u *UA) Connect() {
	flow := sip.Flow{Transport: u.transport, Local: serverAddr, Remote: u.addr}
	if u.transport != sip.TransportUDP {
		u.count++
		flow = u.w.net.connect(u.transport, netip.AddrPortFrom(u.addr.Addr(), uint16(30000+u.count)), u.take)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.flow = flow
}

// Disconnect ends the connection.
func (u *UA) Disconnect() { u.w.net.disconnect(u.Flow()) }

// Connected reports whether there is a way to the server.
func (u *UA) Connected() bool { return u.w.net.alive(u.Flow()) }

// Flow is the way to the server as the server sees it.
func (u *UA) Flow() sip.Flow {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.flow
}

// Mute has the user agent answer no NOTIFY.
func (u *UA) Mute(muted bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.muted = muted
}

// id makes an identifier that nobody else has.
func (u *UA) id(kind string) string {
	u.count++
	return fmt.Sprintf("%s-%s-%d", kind, u.name, u.count)
}

// do sends a request, answers challenges, and gives the status of the final
// response; 0 without.
func (u *UA) do(r *request) int {
	if u.digest && !r.anonymous && u.challenge.Nonce != "" && r.tries == 0 {
		u.authenticate(r)
	}
	u.build(r)
	return u.transmit(r)
}

// Repeat sends the last request again, byte for byte. The server may not know
// any more that it has answered it.
func (u *UA) Repeat() int {
	u.mu.Lock()
	u.last.response = nil
	u.last.tries = 0
	u.mu.Unlock()
	return u.transmit(u.last)
}

func (u *UA) transmit(r *request) int {
	u.last = r
	u.mu.Lock()
	u.waiting[r.branch] = r
	flow := u.flow
	u.mu.Unlock()
	u.w.net.toServer(flow, r.text)
	u.w.Settle()
	status := u.Status()
	if status != 401 || !u.digest || r.anonymous || r.tries >= 2 {
		return status
	}
	u.mu.Lock()
	list := r.response
	r.response = nil
	u.mu.Unlock()
	u.take401(list)
	// RFC 3261, 22.2: the same Call-ID, To and From, the next CSeq.
	r.seq++
	u.seq = max(u.seq, r.seq)
	u.authenticate(r)
	u.build(r)
	return u.transmit(r)
}

// Status is that of the last request's final response; 0: there is none.
func (u *UA) Status() int {
	if m := u.Response(); m != nil {
		return m.Status
	}
	return 0
}

// Response is the last request's final response; nil: there is none.
func (u *UA) Response() *sip.Message {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.last == nil {
		return nil
	}
	return u.last.response
}

// take401 keeps the first challenge, the one that the server prefers.
func (u *UA) take401(m *sip.Message) {
	u.w.T.Helper()
	v, _ := m.Get(sip.HeaderWWWAuthenticate)
	c, err := sip.ParseChallenge(v)
	if err != nil {
		u.w.T.Fatalf("%s: challenge %q: %v", u.name, v, err)
	}
	u.challenge, u.nonceUsed = c, 0
}

// authenticate adds credentials for the last challenge (RFC 7616, 3.4).
func (u *UA) authenticate(r *request) {
	u.w.T.Helper()
	r.tries++
	u.nonceUsed++
	c := sip.Credentials{
		Username: u.user, Realm: u.challenge.Realm, Nonce: u.challenge.Nonce, URI: r.uri,
		Algorithm: u.challenge.Algorithm, Opaque: u.challenge.Opaque, QOP: "auth", CNonce: "0a4f113b",
		NC: u.nonceUsed, NCText: fmt.Sprintf("%08x", u.nonceUsed),
	}
	ha1, err := sip.HA1(c.Algorithm, u.user, c.Realm, password(u.user))
	if err == nil {
		c.Response, err = sip.DigestResponse(ha1, c, r.method, r.body)
	}
	if err != nil {
		u.w.T.Fatal(err)
	}
	kept := r.headers[:0:0]
	for _, h := range r.headers {
		if h.ID != sip.HeaderAuthorization {
			kept = append(kept, h)
		}
	}
	r.headers = append(kept, sip.Header{ID: sip.HeaderAuthorization, Value: string(c.Append(nil))})
}

// build writes the request's text, with a branch of its own.
func (u *UA) build(r *request) {
	r.branch = "z9hG4bK" + u.id("b")
	b := []byte(string(r.method) + " " + r.uri + " SIP/2.0\r\n")
	line := func(name, value string) { b = sip.AppendHeader(b, name, value) }
	line("Via", fmt.Sprintf("SIP/2.0/%s %s;branch=%s;rport", u.transport, u.addr, r.branch))
	line("Max-Forwards", "70")
	line("From", "<"+uri(u.user)+">;tag="+r.tag)
	line("To", r.to)
	line("Call-ID", r.callID)
	line("CSeq", fmt.Sprintf("%d %s", r.seq, r.method))
	if !u.digest && !r.anonymous {
		line("P-Asserted-Identity", "<"+uri(u.user)+">")
	}
	for _, h := range r.headers {
		name := h.Name
		if name == "" {
			name = h.ID.String()
		}
		line(name, h.Value)
	}
	line("Content-Length", fmt.Sprint(len(r.body)))
	r.text = string(b) + "\r\n" + r.body
}

// AOR is a user's or an address's address-of-record.
func (w *World) AOR(name string) presence.AOR {
	w.T.Helper()
	aor, err := identity.ParseAOR(uri(name))
	if err != nil {
		w.T.Fatal(err)
	}
	return aor
}
