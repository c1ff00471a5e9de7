package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
)

// callTimeout bounds one operation on a running server: a store that cannot
// sync in this time is broken.
const callTimeout = 30 * time.Second

// ControlClient is Admin on a running server.
type ControlClient struct {
	dir  string
	http *http.Client
}

var _ Admin = (*ControlClient)(nil)

// DialControl connects to the server that runs on dir. Without one it returns
// an error that is ErrStopped; then OpenOffline may serve.
func DialControl(dir string) (*ControlClient, error) {
	c := &ControlClient{dir: dir}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dialControl(ctx, dir) },
	}}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	conn, err := dialControl(ctx, dir)
	if err != nil {
		return nil, err
	}
	conn.Close()
	return c, nil
}

func dialControl(ctx context.Context, dir string) (net.Conn, error) {
	addr, release, err := socketAddress(dir)
	if err != nil {
		return nil, err
	}
	defer release()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", addr.Name)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("%w on %s", ErrStopped, dir)
	case err != nil:
		return nil, fmt.Errorf("cannot reach the server on %s: %w", dir, err)
	}
	return conn, nil
}

// Close frees the connection.
func (c *ControlClient) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// call asks for one operation and reads its result into out.
func (c *ControlClient) call(op string, in controlCall, out any) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	resp, err := c.post(ctx, op, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("the server on %s gave an answer that cannot be read: %w", c.dir, err)
	}
	return nil
}

func (c *ControlClient) post(ctx context.Context, op string, in controlCall) (*http.Response, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	// The host is never looked up; the transport knows one way only.
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://control/"+op, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("the server on %s does not answer: %w", c.dir, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, readFault(resp, op)
}

func readFault(resp *http.Response, op string) error {
	const longest = 64 << 10
	data, _ := io.ReadAll(io.LimitReader(resp.Body, longest))
	var f controlFault
	if json.Unmarshal(data, &f) != nil || f.Message == "" {
		return fmt.Errorf("the server does not know %q (%s): is it older than this tool?", op, resp.Status)
	}
	if sentinel, ok := controlCodes[f.Code]; ok {
		return &remoteError{message: f.Message, kind: sentinel}
	}
	return errors.New(f.Message)
}

// remoteError is an error of the server's Admin: its own words, our sentinel.
type remoteError struct {
	message string
	kind    error
}

func (e *remoteError) Error() string { return e.message }
func (e *remoteError) Unwrap() error { return e.kind }

// Users lists the provisioned users.
func (c *ControlClient) Users() (list []UserInfo, err error) {
	return list, c.call("users", controlCall{}, &list)
}

// AddUser adds u.
func (c *ControlClient) AddUser(u NewUser) error {
	return c.call("add-user", controlCall{User: &u}, new(any))
}

// RemoveUser removes a user.
func (c *ControlClient) RemoveUser(name string) error {
	return c.call("remove-user", controlCall{Name: name}, new(any))
}

// SetPassword changes a user's password.
func (c *ControlClient) SetPassword(name, password string) error {
	return c.call("set-password", controlCall{Name: name, Password: password}, new(any))
}

// SetRule sets what watcher gets of p.
func (c *ControlClient) SetRule(p, watcher presence.AOR, h policy.Handling) error {
	return c.call("set-rule", controlCall{Presentity: p, Watcher: watcher, Decision: h.String()}, new(any))
}

// RemoveRule leaves watcher to the default decision.
func (c *ControlClient) RemoveRule(p, watcher presence.AOR) error {
	return c.call("remove-rule", controlCall{Presentity: p, Watcher: watcher}, new(any))
}

// Rules lists the decisions of p, or all.
func (c *ControlClient) Rules(p presence.AOR) (list []RuleInfo, err error) {
	return list, c.call("rules", controlCall{Presentity: p}, &list)
}

// Pending lists who waits for p's decision.
func (c *ControlClient) Pending(p presence.AOR) (list []SubInfo, err error) {
	return list, c.call("pending", controlCall{Presentity: p}, &list)
}

// Subs lists live subscriptions to p, or all.
func (c *ControlClient) Subs(p presence.AOR) (list []SubInfo, err error) {
	return list, c.call("subs", controlCall{Presentity: p}, &list)
}

// EndSub ends a subscription.
func (c *ControlClient) EndSub(id string) error {
	return c.call("end-sub", controlCall{ID: id}, new(any))
}

// Pubs lists live publications of p, or all.
func (c *ControlClient) Pubs(p presence.AOR) (list []PubInfo, err error) {
	return list, c.call("pubs", controlCall{Presentity: p}, &list)
}

// EndPub ends a publication.
func (c *ControlClient) EndPub(id string) error {
	return c.call("end-pub", controlCall{ID: id}, new(any))
}

// Explain says what a watcher would get of p, and why.
func (c *ControlClient) Explain(p presence.AOR, q ExplainQuery) (e Explanation, err error) {
	return e, c.call("explain", controlCall{Presentity: p, Query: &q}, &e)
}

// CompareRules says who would gain and lose what by d.
func (c *ControlClient) CompareRules(p presence.AOR, d DocumentInput) (r RulesDiff, err error) {
	return r, c.call("compare-rules", controlCall{Presentity: p, Document: &d}, &r)
}

// Documents lists p's documents.
func (c *ControlClient) Documents(p presence.AOR) (list []DocumentInfo, err error) {
	return list, c.call("documents", controlCall{Presentity: p}, &list)
}

// Document returns one of p's documents.
func (c *ControlClient) Document(p presence.AOR, n DocumentName) (text string, err error) {
	return text, c.call("document", controlCall{Presentity: p, Document: &DocumentInput{DocumentName: n}}, &text)
}

// PutDocument keeps a document of p's.
func (c *ControlClient) PutDocument(p presence.AOR, d DocumentInput) error {
	return c.call("put-document", controlCall{Presentity: p, Document: &d}, new(any))
}

// RemoveDocument removes one.
func (c *ControlClient) RemoveDocument(p presence.AOR, n DocumentName) error {
	return c.call("remove-document", controlCall{Presentity: p, Document: &DocumentInput{DocumentName: n}}, new(any))
}

// Watchers lists who watches p, and what p is to be told of.
func (c *ControlClient) Watchers(p presence.AOR) (list WatcherList, err error) {
	return list, c.call("watchers", controlCall{Presentity: p}, &list)
}

// Health asks how the server is; one that does not answer is not well.
func (c *ControlClient) Health() (h Health) {
	if err := c.call("health", controlCall{}, &h); err != nil {
		return Health{Detail: err.Error()}
	}
	return h
}

// Trace calls fn for each SIP message of user until ctx ends or the server
// stops.
func (c *ControlClient) Trace(ctx context.Context, user presence.AOR, fn func(TraceLine) error) error {
	resp, err := c.post(ctx, "trace", controlCall{Presentity: user})
	if err != nil {
		return traceEnd(ctx, err)
	}
	defer resp.Body.Close()
	dec := json.NewDecoder(resp.Body)
	for {
		var l TraceLine
		if err := dec.Decode(&l); err != nil {
			return traceEnd(ctx, err)
		}
		if err := fn(l); err != nil {
			return err
		}
	}
}

// traceEnd tells the wanted end of a trace from one by the server.
func traceEnd(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w any more", ErrStopped)
	default:
		return err
	}
}
