package client

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/tacit-presence/tacit/sip"
)

// maxForwards is RFC 3261, 8.1.1.6.
const maxForwards = "70"

// request is what stays the same when a request is repeated with credentials.
type request struct {
	method  sip.Method
	uri     string // Request-URI
	from    string // URI
	fromTag string
	to      string // URI
	toTag   string // within a dialog
	callID  string
	seq     *uint32 // last CSeq number used; counted up. Its owner sends one request at a time
	routes  []string
	contact string // parameters after the Contact; used if hasContact
	// hasContact adds the link's own Contact.
	hasContact  bool
	headers     []sip.Header
	contentType string
	body        string
}

// append builds the request for one attempt.
func (c *Client) append(dst []byte, r *request, l *link, branch string, auth []sip.Header) []byte {
	dst = append(append(append(dst, r.method...), ' '), r.uri...)
	dst = append(dst, " SIP/2.0\r\n"...)
	dst = sip.AppendHeader(dst, "Via", "SIP/2.0/"+l.transport.String()+" "+l.sentBy+";rport;branch="+branch)
	for _, route := range r.routes {
		dst = sip.AppendHeader(dst, "Route", route)
	}
	dst = sip.AppendHeader(dst, "Max-Forwards", maxForwards)
	dst = sip.AppendHeader(dst, "From", "<"+r.from+">;tag="+r.fromTag)
	to := "<" + r.to + ">"
	if r.toTag != "" {
		to += ";tag=" + r.toTag
	}
	dst = sip.AppendHeader(dst, "To", to)
	dst = sip.AppendHeader(dst, "Call-ID", r.callID)
	dst = sip.AppendHeader(dst, "CSeq", strconv.FormatUint(uint64(*r.seq), 10)+" "+string(r.method))
	if r.hasContact {
		dst = sip.AppendHeader(dst, "Contact", "<"+l.contact+">"+r.contact)
	}
	for _, h := range r.headers {
		dst = sip.AppendHeader(dst, h.Name, h.Value)
	}
	for _, h := range auth {
		dst = sip.AppendHeader(dst, h.Name, h.Value)
	}
	if c.cfg.AssertedIdentity != "" {
		dst = sip.AppendHeader(dst, "P-Asserted-Identity", "<"+c.cfg.AssertedIdentity+">")
	}
	dst = sip.AppendHeader(dst, "User-Agent", c.cfg.UserAgent)
	if r.body != "" {
		dst = sip.AppendHeader(dst, "Content-Type", r.contentType)
	}
	dst = sip.AppendHeader(dst, "Content-Length", strconv.Itoa(len(r.body)))
	dst = append(dst, "\r\n"...)
	return append(dst, r.body...)
}

// exchange is what do got.
type exchange struct {
	request  []byte // the last attempt
	response *sip.Message
	link     *link
}

// do sends a request, answers challenges, and returns the final response. One
// that is not 2xx is a *ResponseError beside it.
func (c *Client) do(ctx context.Context, r *request) (exchange, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.Timeout, c.noAnswer(r))
	defer cancel()
	var x exchange
	var attempt attempt
	for {
		l, err := c.flow(ctx)
		if err != nil {
			return x, err
		}
		// RFC 3261, 8.1.3.5: the same Call-ID, From and To, a higher CSeq.
		*r.seq++
		branch := "z9hG4bK" + newTag()
		x.link = l
		x.request = c.append(make([]byte, 0, 1024+len(r.body)), r, l, branch, c.authorize(r))
		if x.response, err = c.transact(ctx, l, branch, x.request, r); err != nil {
			return x, err
		}
		switch status := x.response.Status; {
		case status < 300:
			return x, nil
		case status != 401 && status != 407:
			return x, responseError(r.method, r.uri, x.response, "")
		}
		if problem := c.challenged(x.response, &attempt); problem != "" {
			return x, responseError(r.method, r.uri, x.response, problem)
		}
	}
}

func (c *Client) noAnswer(r *request) error {
	return fmt.Errorf("%w: %s to %s had none from %s within %s; is that the server's address, and its transport?",
		ErrNoAnswer, r.method, r.uri, c.endpoint, c.cfg.Timeout)
}

// transact is one non-INVITE client transaction (RFC 3261, 17.1.2).
func (c *Client) transact(ctx context.Context, l *link, branch string, raw []byte, r *request) (*sip.Message, error) {
	answers := make(chan *sip.Message, 4)
	c.mu.Lock()
	c.pending[branch] = answers
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.pending, branch)
		c.mu.Unlock()
	}()
	var tx sip.ClientTx
	tx.Start(time.Now(), l.transport.Reliable(), c.timers)
	if err := l.send(raw); err != nil {
		return nil, err
	}
	timer := time.NewTimer(time.Until(tx.Next))
	defer timer.Stop()
	var refused chan bool
	for {
		select {
		case m := <-answers:
			if m.Status >= 200 {
				return m, nil
			}
			tx.Provisional(time.Now(), c.timers)
		case <-timer.C:
			switch tx.Tick(time.Now(), c.timers) {
			case sip.ClientRetransmit:
				c.log.Debug("request repeated", "method", r.method, "uri", r.uri)
				if err := l.send(raw); err != nil {
					return nil, err
				}
				if refused == nil {
					refused = make(chan bool, 1)
					go func() { refused <- l.refused() }()
				}
			case sip.ClientTimeout:
				return nil, c.noAnswer(r)
			}
			timer.Reset(time.Until(tx.Next))
		case yes := <-refused:
			if yes {
				return nil, fmt.Errorf("%w: nothing listens at %s", ErrConnection, c.endpoint)
			}
			refused = make(chan bool) // once is enough
		case <-l.done:
			return nil, l.err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// receive takes one message from the network. What is malformed is dropped: a
// user agent on an open port owes strangers no answer.
func (c *Client) receive(l *link, raw string, from netip.AddrPort) {
	if len(raw) <= len(crlfcrlf) {
		return // keep-alive
	}
	m := new(sip.Message)
	if err := m.Parse(raw, sip.DefaultLimits); err != nil {
		c.log.Debug("message dropped", "from", from.String(), "err", err)
		return
	}
	if !m.IsRequest() {
		c.mu.Lock()
		answers := c.pending[m.TopVia.Branch]
		c.mu.Unlock()
		select {
		case answers <- m:
		default: // repeated, or for a transaction that has ended
		}
		return
	}
	if m.Method == sip.MethodAck {
		return
	}
	// The answer goes first: whoever reads the notification may close at once,
	// and the server would repeat it to nobody.
	reply, deliver := c.answer(m)
	reply.Source = from
	if err := l.write(sip.AppendResponse(nil, m, reply), responseAddr(m, from)); err != nil {
		c.log.Debug("answer not sent", "method", m.Method, "err", err)
	}
	if deliver != nil {
		deliver()
	}
}

// answer handles a request from the server; what it returns besides, if not
// nil, is to be done once the answer is sent.
func (c *Client) answer(m *sip.Message) (sip.Reply, func()) {
	if m.Method == sip.MethodNotify {
		return c.notified(m)
	}
	return c.refuse(m), nil
}

// refuse answers what is no NOTIFY.
func (c *Client) refuse(m *sip.Message) sip.Reply {
	switch m.Method {
	case sip.MethodOptions:
		return sip.Reply{Status: 200, ToTag: newTag(), Headers: []sip.Header{
			{ID: sip.HeaderAllow, Value: "NOTIFY, OPTIONS"}, {ID: sip.HeaderAccept, Value: PIDFType},
		}}
	case sip.MethodCancel:
		return sip.Reply{Status: 481, ToTag: newTag()}
	}
	return sip.Reply{Status: 405, ToTag: newTag(), Headers: []sip.Header{
		{ID: sip.HeaderAllow, Value: "NOTIFY, OPTIONS"},
	}}
}

// responseAddr is RFC 3261, 18.2.2 and RFC 3581, 4: to the source address, and
// to its port if rport asks for it, else to Via's.
func responseAddr(m *sip.Message, from netip.AddrPort) netip.AddrPort {
	switch {
	case m.TopVia.HasRPort:
		return from
	case m.TopVia.Port != 0:
		return netip.AddrPortFrom(from.Addr(), m.TopVia.Port)
	}
	return netip.AddrPortFrom(from.Addr(), defaultPort(sip.TransportUDP))
}

// seconds formats a duration for Expires, rounded up.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// headerSeconds reads a header field with delta-seconds.
func headerSeconds(m *sip.Message, id sip.HeaderID) (time.Duration, bool) {
	v, ok := m.Get(id)
	if !ok {
		return 0, false
	}
	return parseSeconds(v)
}

// parseSeconds reads delta-seconds; what follows them (Retry-After may have a
// comment and parameters) is ignored.
func parseSeconds(v string) (time.Duration, bool) {
	digits := 0
	for digits < len(v) && v[digits] >= '0' && v[digits] <= '9' {
		digits++
	}
	n, err := sip.ParseUint32(v[:digits])
	return time.Duration(n) * time.Second, err == nil
}
