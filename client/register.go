package client

import (
	"context"
	"errors"
	"time"

	"github.com/tacit-presence/tacit/sip"
)

// registration is the one series of REGISTERs of a client.
// RFC 3261, 10.2: all of them share a Call-ID, with rising CSeq.
type registration struct {
	turn   chan struct{} // holds one token while a request is out
	callID string
	tag    string
	seq    uint32
}

func (r *registration) init() {
	r.turn = make(chan struct{}, 1)
	r.callID, r.tag = newTag(), newTag()
}

// Register binds this client's address to the user for the time expires (RFC
// 3261, 10.2), or the server's least time if that is longer. It is not
// repeated by itself.
func (c *Client) Register(ctx context.Context, expires time.Duration) error {
	return c.register(ctx, expires)
}

// Unregister removes what Register made.
func (c *Client) Unregister(ctx context.Context) error {
	return c.register(ctx, 0)
}

func (c *Client) register(ctx context.Context, expires time.Duration) error {
	g := &c.registration
	if err := c.acquire(ctx, g.turn); err != nil {
		return err
	}
	defer func() { <-g.turn }()
	r := &request{
		method: sip.MethodRegister, uri: "sip:" + c.domain, from: c.aor, fromTag: g.tag, to: c.aor,
		callID: g.callID, seq: &g.seq, hasContact: true,
	}
	for retried := false; ; retried = true {
		r.contact = ";expires=" + seconds(expires)
		_, err := c.do(ctx, r)
		least, ok := tooBrief(err)
		if retried || !ok || least <= expires || expires == 0 {
			return err
		}
		expires = least
	}
}

// tooBrief reads the Min-Expires of a 423.
func tooBrief(err error) (least time.Duration, ok bool) {
	e, is := errors.AsType[*ResponseError](err)
	if !is || e.Status != 423 {
		return 0, false
	}
	v, ok := e.Header(sip.HeaderMinExpires)
	if !ok {
		return 0, false
	}
	return parseSeconds(v)
}

// acquire takes a token that allows one request at a time.
func (c *Client) acquire(ctx context.Context, turn chan struct{}) error {
	select {
	case turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.done:
		return ErrClosed
	}
}
