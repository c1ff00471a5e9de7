package client

import (
	"context"
	"time"
)

// SubscribeOptions change what Subscribe asks for. The zero value watches
// presence for an hour.
type SubscribeOptions struct {
	Event   string        // event package; empty: "presence"
	EventID string        // the Event header field's id parameter
	Expires time.Duration // 0: one hour
	Accept  []string      // empty: PIDF for presence, else no Accept
	// Persist makes a new subscription, with growing pauses, whenever the old
	// one is lost for a reason that may pass.
	Persist bool
}

// Notification is one NOTIFY.
type Notification struct {
	State       string        // "active", "pending" or "terminated"
	Reason      string        // why it is terminated (RFC 6665, 4.1.3)
	Expires     time.Duration // how long the subscription lives on
	RetryAfter  time.Duration // with terminated: when to try again
	ContentType string
	Body        string
	CSeq        uint32
	Received    time.Time
}

// Subscription is one subscription at the server (RFC 6665).
type Subscription struct{ _ int }

// Subscribe watches target.
func (c *Client) Subscribe(ctx context.Context, target string, o SubscribeOptions) (*Subscription, error) {
	return nil, nil
}

// Notifications yields each NOTIFY once, in order. It is closed when the
// subscription has ended.
func (s *Subscription) Notifications() <-chan Notification { return nil }

// Err says why the subscription ended.
func (s *Subscription) Err() error { return nil }

// Refresh asks for a longer life now.
func (s *Subscription) Refresh(ctx context.Context) error { return nil }

// Unsubscribe ends the subscription and waits for its last NOTIFY.
func (s *Subscription) Unsubscribe(ctx context.Context) error { return nil }

// Fetch asks for target's state once.
func (c *Client) Fetch(ctx context.Context, target string, o SubscribeOptions) (Notification, error) {
	return Notification{}, nil
}
