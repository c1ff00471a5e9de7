package client

import (
	"context"
	"io"
)

// WatchTerminal shows the presence of targets on out until ctx ends.
func (c *Client) WatchTerminal(ctx context.Context, targets []string, out io.Writer, json, once bool) error {
	return nil
}
