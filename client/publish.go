package client

import (
	"context"
	"time"
)

// Publication is one piece of event state at the server (RFC 3903).
type Publication struct{ _ int }

// Publish makes a new publication of the own presence. A 423 is answered by
// asking for the server's least time. expires 0: one hour.
func (c *Client) Publish(ctx context.Context, body, contentType string, expires time.Duration) (*Publication, error) {
	return nil, nil
}

// EntityTag returns the newest SIP-ETag.
func (p *Publication) EntityTag() string { return "" }

// Expires returns the time that the server granted last.
func (p *Publication) Expires() time.Duration { return 0 }

// Modify replaces the body, the content type stays.
func (p *Publication) Modify(ctx context.Context, body string) error { return nil }

// Refresh makes the publication live on.
func (p *Publication) Refresh(ctx context.Context) error { return nil }

// Remove ends the publication.
func (p *Publication) Remove(ctx context.Context) error { return nil }

// Keep keeps the publication refreshed until ctx ends and then removes it.
func (p *Publication) Keep(ctx context.Context) error { return nil }
