package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// leaveTimeout bounds the unsubscribing when a watch is interrupted.
const leaveTimeout = 3 * time.Second

// sighting is one change of one presentity, as it is shown; its JSON form is a
// line of `tacit watch --json`.
type sighting struct {
	Time       time.Time `json:"time"`
	Target     string    `json:"target"`
	State      State     `json:"state"` // of the subscription
	Reason     string    `json:"reason,omitempty"`
	Error      string    `json:"error,omitempty"`
	Status     string    `json:"status,omitempty"` // open or closed
	Notes      []string  `json:"notes,omitempty"`
	Activities []string  `json:"activities,omitempty"`
	Document   string    `json:"document,omitempty"`

	fetched bool // its end is no news: a fetch ends with its only NOTIFY
}

// WatchConfig changes what WatchTerminal does.
type WatchConfig struct {
	JSON    bool // one JSON object per line
	Once    bool // fetch each target's presence and return
	Partial bool // let the server tell what has changed alone
}

// WatchTerminal shows the presence of targets on out until ctx ends or every
// subscription has ended: one line per change, or a view that is redrawn if
// out is a terminal. Lost connections and subscriptions are made again. The
// error joins those of targets that could not be watched.
func (c *Client) WatchTerminal(ctx context.Context, targets []string, out io.Writer, w WatchConfig) error {
	s := newScreen(out, targets, w.JSON || w.Once)
	show := s.line
	switch {
	case w.JSON:
		show = s.json
	case s.width > 0:
		show = s.draw
	}
	var failed []error
	var mu sync.Mutex
	var watchers sync.WaitGroup
	for _, target := range targets {
		watchers.Go(func() {
			err := c.watchOne(ctx, target, w, func(si sighting) {
				mu.Lock()
				defer mu.Unlock()
				show(si)
			})
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				if len(targets) > 1 || !w.Once {
					show(sighting{Time: time.Now(), Target: target, State: StateTerminated, Error: err.Error()})
				}
				failed = append(failed, fmt.Errorf("%s: %w", target, err))
			}
		})
	}
	watchers.Wait()
	return errors.Join(append(failed, s.err)...)
}

// watchOne shows one target until ctx ends.
func (c *Client) watchOne(ctx context.Context, target string, w WatchConfig, show func(sighting)) error {
	if w.Once {
		n, err := c.Fetch(ctx, target)
		if err == nil {
			si := see(target, n)
			si.fetched = n.State == StateTerminated && n.Reason == "timeout"
			show(si)
		}
		return err
	}
	s, err := c.subscribeStubbornly(ctx, target, SubscribeOptions{Persist: true, Partial: w.Partial})
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	for {
		select {
		case n, ok := <-s.Notifications():
			if !ok {
				return s.Err()
			}
			show(see(target, n))
		case <-ctx.Done():
			leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
			defer cancel()
			if err := s.Unsubscribe(leave); err != nil {
				c.log.Debug("not unsubscribed", "target", target, "err", err)
			}
			return nil
		}
	}
}

// subscribeStubbornly tries again where a server that answers is only
// overloaded. One that cannot be reached is told at once: the address may be
// wrong.
func (c *Client) subscribeStubbornly(ctx context.Context, target string, o SubscribeOptions) (*Subscription, error) {
	for failures := 1; ; failures++ {
		s, err := c.Subscribe(ctx, target, o)
		if _, answered := errors.AsType[*ResponseError](err); err == nil || !answered || !passing(err) {
			return s, err
		}
		select {
		case <-time.After(backOff(c.pause, failures, retryAfter(err))):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// see reads a notification for showing.
func see(target string, n Notification) sighting {
	si := sighting{Time: n.Received, Target: target, State: n.State, Reason: n.Reason, Document: n.Body}
	if n.Body == "" {
		return si
	}
	p, err := ParsePIDF(n.Body)
	if err != nil {
		si.Error = err.Error()
		return si
	}
	si.Status, si.Notes, si.Activities = p.Status, p.Notes, p.Activities
	return si
}

// screen writes sightings. Its methods are called one at a time.
type screen struct {
	out   io.Writer
	order []string
	last  map[string]sighting
	width int // of the terminal; 0: not one, or lines are wanted
	lines int // drawn so far
	err   error
}

func newScreen(out io.Writer, targets []string, lines bool) *screen {
	s := &screen{out: out, order: targets, last: map[string]sighting{}}
	if f, ok := out.(*os.File); ok && !lines && term.IsTerminal(int(f.Fd())) {
		s.width = 80
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			s.width = w
		}
	}
	return s
}

func (s *screen) write(text string) {
	if _, err := io.WriteString(s.out, text); err != nil && s.err == nil {
		s.err = err
	}
}

func (s *screen) json(si sighting) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // XML is to be read, not to be put into a page
	if err := enc.Encode(si); err != nil {
		s.err = errors.Join(s.err, err)
		return
	}
	s.write(b.String())
}

func (s *screen) line(si sighting) { s.write(si.String() + "\n") }

// draw shows the newest of every target in place, one line each.
func (s *screen) draw(si sighting) {
	s.last[si.Target] = si
	var b strings.Builder
	if s.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", s.lines)
	}
	for _, target := range s.order {
		text := strings.Repeat(" ", len("15:04:05")) + "  " + target + "  waiting"
		if si, ok := s.last[target]; ok {
			text = si.String()
		}
		if runes := []rune(text); len(runes) > s.width {
			text = string(runes[:s.width-1]) + "…"
		}
		b.WriteString("\r" + text + "\x1b[K\n")
	}
	s.lines = len(s.order)
	s.write(b.String())
}

// String is one line for people. Text from the network cannot steer the
// terminal.
func (si sighting) String() string {
	parts := []string{si.Time.Format("15:04:05"), si.Target}
	switch {
	case si.Error != "":
		parts = append(parts, string(si.State), "error: "+si.Error)
	case si.Status != "":
		parts = append(parts, si.Status)
	}
	switch {
	case si.Error != "" || si.fetched && si.Status != "":
	case si.fetched && si.Document == "":
		parts = append(parts, "nothing to see: this user may not watch, or not yet")
	case si.fetched:
		parts = append(parts, "neither open nor closed")
	case si.State != StateActive || si.Status == "":
		state := string(si.State)
		if si.Reason != "" {
			state += " (" + si.Reason + ")"
		}
		parts = append(parts, state)
	}
	if len(si.Activities) > 0 {
		parts = append(parts, strings.Join(si.Activities, ", "))
	}
	for _, note := range si.Notes {
		parts = append(parts, fmt.Sprintf("%q", note))
	}
	return printable(strings.Join(parts, "  "))
}
