package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tacit-presence/tacit/sip"
)

const (
	defaultExpires = time.Hour
	// removeTimeout bounds the removal at the end of Keep: who interrupts a
	// program does not want to wait.
	removeTimeout = 5 * time.Second
)

// Publication is one piece of event state at the server (RFC 3903).
type Publication struct {
	c      *Client
	turn   chan struct{} // RFC 3903, 4.1: one PUBLISH outstanding
	wake   chan struct{} // tells Keep that the expiry has changed
	callID string
	tag    string
	seq    uint32

	// Guarded by turn when changed; mu makes reading safe.
	mu          sync.Mutex
	etag        string // empty: not at the server
	body        string
	contentType string
	asked       time.Duration // the Expires we send
	expires     time.Duration // the one granted
	until       time.Time
}

// Publish makes a new publication of the own presence. If the server finds
// expires too brief, its least time is asked for. expires 0: one hour.
func (c *Client) Publish(ctx context.Context, body, contentType string, expires time.Duration) (*Publication, error) {
	if expires <= 0 {
		expires = defaultExpires
	}
	p := &Publication{
		c: c, turn: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		callID: newTag(), tag: newTag(), body: body, contentType: contentType, asked: expires,
	}
	if err := p.update(ctx, body); err != nil {
		return nil, err
	}
	return p, nil
}

// EntityTag returns the newest SIP-ETag; empty: there is no publication.
func (p *Publication) EntityTag() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.etag
}

// Expires returns the time that the server granted last.
func (p *Publication) Expires() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.expires
}

// Modify replaces the body; the content type stays. If the server has lost the
// publication, a new one is made.
func (p *Publication) Modify(ctx context.Context, body string) error { return p.update(ctx, body) }

// Refresh makes the publication live on for its time. If the server has lost
// it, it is published anew.
func (p *Publication) Refresh(ctx context.Context) error { return p.update(ctx, "") }

// Remove ends the publication. One that the server has lost is removed.
func (p *Publication) Remove(ctx context.Context) error {
	if err := p.c.acquire(ctx, p.turn); err != nil {
		return err
	}
	defer func() { <-p.turn }()
	if p.etag == "" {
		return nil
	}
	_, err := p.send(ctx, "", 0)
	if e, ok := errors.AsType[*ResponseError](err); ok && e.Status == 412 {
		err = nil
	}
	if err == nil {
		p.set("", 0)
	}
	return err
}

// update refreshes (body empty) or modifies, and publishes anew where there is
// nothing to refresh.
// RFC 3903, 4.2: after a 412 the entity-tag must not be used again.
func (p *Publication) update(ctx context.Context, body string) error {
	if err := p.c.acquire(ctx, p.turn); err != nil {
		return err
	}
	defer func() { <-p.turn }()
	if body != "" {
		p.body = body
	}
	var brief, gone bool
	for {
		send := body
		if p.etag == "" {
			send = p.body
		}
		m, err := p.send(ctx, send, p.asked)
		if err == nil {
			return p.granted(m)
		}
		if least, ok := tooBrief(err); ok && !brief && least > p.asked {
			brief, p.asked = true, least
			continue
		}
		if e, ok := errors.AsType[*ResponseError](err); ok && e.Status == 412 && !gone && p.etag != "" {
			gone = true
			p.set("", 0)
			continue
		}
		return err
	}
}

// send sends one PUBLISH. The holder of turn calls it.
func (p *Publication) send(ctx context.Context, body string, expires time.Duration) (*sip.Message, error) {
	r := &request{
		method: sip.MethodPublish, uri: p.c.aor, from: p.c.aor, fromTag: p.tag, to: p.c.aor,
		callID: p.callID, seq: &p.seq, contentType: p.contentType, body: body,
		headers: []sip.Header{{Name: "Event", Value: "presence"}, {Name: "Expires", Value: seconds(expires)}},
	}
	if p.etag != "" {
		r.headers = append(r.headers, sip.Header{Name: "SIP-If-Match", Value: p.etag})
	}
	x, err := p.c.do(ctx, r)
	return x.response, err
}

// granted keeps what a 200 says.
func (p *Publication) granted(m *sip.Message) error {
	etag, ok := m.Get(sip.HeaderSIPETag)
	if !ok || etag == "" {
		return errNoETag
	}
	expires, ok := headerSeconds(m, sip.HeaderExpires)
	if !ok {
		expires = p.asked // RFC 3903, 6: it must be there
	}
	p.set(etag, expires)
	return nil
}

func (p *Publication) set(etag string, expires time.Duration) {
	p.mu.Lock()
	p.etag, p.expires, p.until = etag, expires, time.Now().Add(expires)
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Keep keeps the publication refreshed until ctx ends, and then removes it; the
// error is that of the removal. A server that is gone or overloaded is tried
// again with growing pauses; Keep returns early only if the server refuses for
// good, as with 403.
func (p *Publication) Keep(ctx context.Context) error {
	failures := 0
	var next time.Time
	for {
		p.mu.Lock()
		if failures == 0 {
			next = p.until.Add(-margin(p.expires))
		}
		p.mu.Unlock()
		timer := time.NewTimer(time.Until(next))
		select {
		case <-ctx.Done():
			timer.Stop()
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
			defer cancel()
			return p.Remove(end)
		case <-p.c.done:
			timer.Stop()
			return ErrClosed
		case <-p.wake:
			timer.Stop()
			failures = 0
			continue
		case <-timer.C:
		}
		err := p.Refresh(ctx)
		switch {
		case err == nil:
			failures = 0
		case ctx.Err() != nil:
		case !passing(err):
			return err
		default:
			failures++
			pause := backOff(p.c.pause, failures, retryAfter(err))
			p.c.log.Warn("publication not refreshed", "err", err, "again_in", pause)
			next = time.Now().Add(pause)
		}
	}
}

// margin is how long before its end state is refreshed: up to a minute, enough
// for a whole transaction to fail and be repeated, and at random, so that the
// clients of a restarted server do not come all at once.
func margin(expires time.Duration) time.Duration {
	m := min(expires/2, time.Minute)
	return m + rand.N(m/2+1)
}

// passing reports whether a failure may pass by itself.
func passing(err error) bool {
	if e, ok := errors.AsType[*ResponseError](err); ok {
		return e.Status >= 500 && e.Status != 501 && e.Status != 505 && e.Status != 513 && e.Status < 600 ||
			e.Status == 408 || e.Status == 412 || e.Status == 480 || e.Status == 491
	}
	return errors.Is(err, ErrNoAnswer) || errors.Is(err, ErrConnection)
}

// retryAfter reads the Retry-After of an answer (RFC 3261, 20.33).
func retryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*ResponseError](err); ok {
		if v, ok := e.Header(sip.HeaderRetryAfter); ok {
			d, _ := parseSeconds(v)
			return d
		}
	}
	return 0
}

// backOff gives the pause after so many failures in a row: doubling, at random
// between half and whole, and not less than the server asked for.
func backOff(first time.Duration, failures int, least time.Duration) time.Duration {
	pause := first
	for range failures - 1 {
		if pause = min(2*pause, lastPause); pause == lastPause {
			break
		}
	}
	return max(least, pause/2+rand.N(pause/2+1))
}
