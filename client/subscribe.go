package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// queueLength is how many notifications wait for a slow reader. Then the
	// oldest are dropped, because full state makes them worthless.
	queueLength = 64
	// timerN is how long a NOTIFY may take after a SUBSCRIBE (RFC 6665, 4.1.2).
	timerN = 32 * time.Second
)

// SubscribeOptions change what Subscribe asks for. The zero value watches
// presence for an hour.
type SubscribeOptions struct {
	Event   string        // event package; empty: "presence"
	EventID string        // the Event header field's id parameter
	Expires time.Duration // 0: one hour
	Accept  []string      // empty: PIDF for presence, else no Accept
	// Persist makes a new subscription, with growing pauses, whenever the old
	// one is lost for a reason that may pass: a server that restarts, a
	// connection that breaks. Without it the loss ends Notifications.
	Persist bool
	// Partial lets the server tell what has changed alone (RFC 5263). Notifications
	// are of whole documents all the same. It is for presence without Accept.
	Partial bool
}

// State is what a NOTIFY says of the subscription itself.
type State string

// The states of RFC 6665, 4.1.3. There may be others.
const (
	StateActive     State = "active"
	StatePending    State = "pending"
	StateTerminated State = "terminated"
)

// Notification is one NOTIFY.
type Notification struct {
	State       State
	Reason      string        // why it is terminated (RFC 6665, 4.1.3)
	Expires     time.Duration // how long the subscription lives on; 0 if not said
	RetryAfter  time.Duration // with terminated: when to try again
	ContentType string
	Body        string
	CSeq        uint32
	Received    time.Time
}

// Subscription is one subscription at the server (RFC 6665). It refreshes
// itself until Unsubscribe or Close.
type Subscription struct {
	c      *Client
	target string
	o      SubscribeOptions
	notes  chan Notification
	turn   chan struct{} // one SUBSCRIBE outstanding
	poke   chan struct{} // tells run that something has changed
	done   chan struct{} // closed when it has ended

	mu      sync.Mutex // guards what follows, and sending to notes
	usage   *usage
	ended   bool
	leaving bool // Unsubscribe has begun
	err     error
}

// Subscribe watches target, an address such as "bob@example.com". It returns
// when the server has accepted; the first notification says whether the
// subscription is active or pending.
func (c *Client) Subscribe(ctx context.Context, target string, o SubscribeOptions) (*Subscription, error) {
	s, err := c.newSubscription(target, o)
	if err != nil {
		return nil, err
	}
	if err := s.renew(ctx, s.o.Expires); err != nil {
		s.finish(err)
		return nil, err
	}
	if !c.start(s.run) {
		s.finish(ErrClosed)
		return nil, ErrClosed
	}
	return s, nil
}

func (c *Client) newSubscription(target string, o SubscribeOptions) (*Subscription, error) {
	_, target, err := parseAddress(target)
	if err != nil {
		return nil, err
	}
	if o.Event == "" {
		o.Event = "presence"
	}
	o.Partial = o.Partial && o.Event == "presence" && len(o.Accept) == 0
	switch {
	case o.Partial:
		o.Accept = acceptPartial()
	case o.Event == "presence" && len(o.Accept) == 0:
		o.Accept = []string{PIDFType}
	}
	if o.Expires <= 0 {
		o.Expires = defaultExpires
	}
	s := &Subscription{
		c: c, target: target, o: o, notes: make(chan Notification, queueLength),
		turn: make(chan struct{}, 1), poke: make(chan struct{}, 1), done: make(chan struct{}),
	}
	return s, nil
}

// Fetch asks for target's presence once (RFC 6665, 4.4.3).
func (c *Client) Fetch(ctx context.Context, target string) (Notification, error) {
	s, err := c.newSubscription(target, SubscribeOptions{})
	if err != nil {
		return Notification{}, err
	}
	defer s.finish(nil)
	if err := s.renew(ctx, 0); err != nil {
		return Notification{}, err
	}
	timer := time.NewTimer(c.cfg.Timeout)
	defer timer.Stop()
	select {
	case n := <-s.notes:
		return n, nil
	case <-timer.C:
		return Notification{}, fmt.Errorf("%w: no NOTIFY came for %s", ErrNoAnswer, target)
	case <-ctx.Done():
		return Notification{}, context.Cause(ctx)
	case <-c.done:
		return Notification{}, ErrClosed
	}
}

// Target returns the URI that is watched.
func (s *Subscription) Target() string { return s.target }

// Notifications yields each NOTIFY once, in order. It is closed when the
// subscription has ended; Err then says why. A reader that is 64 notifications
// behind loses the oldest.
func (s *Subscription) Notifications() <-chan Notification { return s.notes }

// Err says why the subscription ended; nil while it lives and after
// Unsubscribe. If the server ended it, the last notification has the reason
// and Err is nil too.
func (s *Subscription) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Refresh asks for a longer life now; the server answers with a NOTIFY too.
func (s *Subscription) Refresh(ctx context.Context) error { return s.renew(ctx, s.o.Expires) }

// Unsubscribe ends the subscription and waits for its last NOTIFY.
func (s *Subscription) Unsubscribe(ctx context.Context) error {
	s.mu.Lock()
	ended := s.ended
	s.leaving = true
	s.mu.Unlock()
	if ended {
		return nil
	}
	defer s.finish(nil)
	err := s.renew(ctx, 0)
	if e, ok := errors.AsType[*ResponseError](err); ok && endsSubscription(e.Status) {
		return nil
	}
	if err != nil {
		return err
	}
	timer := time.NewTimer(s.c.cfg.Timeout)
	defer timer.Stop()
	select {
	case <-s.done:
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil
}

// renew sends a SUBSCRIBE: within the dialog if there is one, else a new one.
func (s *Subscription) renew(ctx context.Context, expires time.Duration) error {
	if err := s.c.acquire(ctx, s.turn); err != nil {
		return err
	}
	defer func() { <-s.turn }()
	u, err := s.current()
	if err != nil {
		return err
	}
	brief := false
	for {
		err = u.subscribe(ctx, expires)
		if least, ok := tooBrief(err); ok && !brief && expires > 0 && least > expires {
			brief, expires = true, least
			continue
		}
		break
	}
	e, refused := errors.AsType[*ResponseError](err)
	if err != nil && !u.isEstablished() || refused && endsSubscription(e.Status) {
		u.end(loss{err: err, returns: passing(err) || refused && e.Status == 481, atOnce: true})
	}
	s.kick()
	return err
}

// current gives the dialog usage, a new one if there is none.
func (s *Subscription) current() (*usage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil, ErrNoSubscription
	}
	if s.usage != nil && !s.usage.hasEnded() {
		return s.usage, nil
	}
	if s.usage != nil && s.leaving {
		return nil, ErrNoSubscription
	}
	s.usage = s.c.newUsage(s)
	return s.usage, nil
}

// kick makes run look again at what has changed.
func (s *Subscription) kick() {
	select {
	case s.poke <- struct{}{}:
	default:
	}
}

// deliver hands a notification to the reader.
func (s *Subscription) deliver(n Notification) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	for {
		select {
		case s.notes <- n:
			return
		default:
		}
		select {
		case <-s.notes:
			s.c.log.Warn("a notification was dropped, its reader is slow", "target", s.target)
		default:
		}
	}
}

// finish ends the subscription here.
func (s *Subscription) finish(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.ended, s.err = true, err
	if s.usage != nil {
		s.usage.end(loss{err: err})
	}
	close(s.done)
	close(s.notes)
}

// run keeps the subscription alive until it ends.
func (s *Subscription) run() {
	failures := 0
	for {
		u := s.now()
		if !s.keep(u) {
			return
		}
		if u.wasHealthy() {
			failures = 0
		}
		if !s.revive(u.loss(), &failures) {
			return
		}
	}
}

// now gives the newest dialog usage.
func (s *Subscription) now() *usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.usage
}

// keep refreshes u in time until it is lost. It is false if the subscription
// has ended with it.
func (s *Subscription) keep(u *usage) bool {
	failures := 0
	var retry time.Time
	for !u.hasEnded() {
		due, last, lost := u.deadlines()
		if !retry.IsZero() {
			due, lost = retry, nil
		}
		if s.isLeaving() { // Unsubscribe sees to all but the end
			due, lost = last, nil
		}
		if last.Before(due) {
			due = last
		}
		if !s.wait(due, lost, s.poke) {
			return false
		}
		now := time.Now()
		switch {
		case !now.Before(last):
			u.end(loss{err: ErrNoSubscription, returns: true})
			continue
		case now.Before(due) && !isClosed(lost):
			continue // poked
		}
		ctx, cancel := context.WithTimeout(context.Background(), s.c.cfg.Timeout)
		err := s.renew(ctx, s.o.Expires)
		cancel()
		retry = time.Time{}
		if err == nil {
			failures = 0
			continue
		}
		failures++
		pause := backOff(s.c.pause, failures, retryAfter(err))
		retry = time.Now().Add(pause)
		s.c.log.Warn("subscription not refreshed", "target", s.target, "err", err, "again_in", pause)
	}
	l := u.loss()
	if s.o.Persist && l.returns && !s.isLeaving() {
		return true
	}
	s.finish(l.err)
	return false
}

// revive subscribes anew after a loss. It is false if the subscription has
// ended.
func (s *Subscription) revive(l loss, failures *int) bool {
	after := l.after
	for {
		pause := backOff(s.c.pause, *failures+1, after)
		if *failures == 0 && l.atOnce {
			pause = 0
		}
		*failures++
		if !s.wait(time.Now().Add(pause), nil, nil) {
			return false
		}
		ctx, cancel := context.WithTimeout(context.Background(), s.c.cfg.Timeout)
		err := s.renew(ctx, s.o.Expires)
		cancel()
		if err == nil {
			s.c.log.Info("subscribed again", "target", s.target)
			return true
		}
		if !passing(err) {
			s.finish(err)
			return false
		}
		after = retryAfter(err)
		s.c.log.Warn("not subscribed", "target", s.target, "err", err)
	}
}

// wait returns at due, when lost or poke has something, or false at the end.
func (s *Subscription) wait(due time.Time, lost <-chan struct{}, poke <-chan struct{}) bool {
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-s.done:
		return false
	case <-s.c.done:
		s.finish(ErrClosed)
		return false
	case <-poke:
	case <-lost:
	case <-timer.C:
	}
	return true
}

func (s *Subscription) isLeaving() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leaving
}

// isClosed looks at a channel that carries nothing; nil is not closed.
func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
