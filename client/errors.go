package client

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tacit-presence/tacit/sip"
)

// Errors that callers may want to tell apart; they come wrapped.
var (
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("client: closed")
	// ErrNoAnswer means that no final answer came in time.
	ErrNoAnswer = errors.New("client: no answer")
	// ErrConnection means that the connection broke or could not be made.
	ErrConnection = errors.New("client: connection failed")
	// ErrConfig means that Config or an argument makes no sense.
	ErrConfig = errors.New("client: wrong configuration")
	// ErrProtocol means that the server's answer breaks the RFC.
	ErrProtocol = errors.New("client: answer breaks the protocol")
	errNoETag   = fmt.Errorf("%w: 200 to PUBLISH without SIP-ETag", ErrProtocol)
	// ErrNoSubscription means that the server does not know the subscription
	// any more, or that no NOTIFY ever came for it.
	ErrNoSubscription = errors.New("client: subscription is gone")
)

// ResponseError is a final answer other than 2xx.
type ResponseError struct {
	Status  int
	Reason  string // the server's phrase
	Headers []sip.Header
	Method  sip.Method // of the request
	Target  string     // its Request-URI
	Hint    string     // what a person can do, may be empty
}

// Error says what was refused, why, and what can be done.
func (e *ResponseError) Error() string {
	s := fmt.Sprintf("%s %s was answered %d %s", e.Method, e.Target, e.Status, e.Reason)
	if e.Hint != "" {
		s += ": " + e.Hint
	}
	return s
}

// Header returns the first value of a header field of the answer.
func (e *ResponseError) Header(id sip.HeaderID) (string, bool) {
	for _, h := range e.Headers {
		if h.ID == id {
			return h.Value, true
		}
	}
	return "", false
}

// responseError makes the error for a final answer to a request.
func responseError(method sip.Method, target string, m *sip.Message, authHint string) *ResponseError {
	e := &ResponseError{
		Status: m.Status, Reason: printable(m.Reason), Headers: m.Headers,
		Method: method, Target: target, Hint: authHint,
	}
	if e.Hint == "" {
		e.Hint = hint(method, m)
	}
	return e
}

// hint says what a person can do about an answer.
func hint(method sip.Method, m *sip.Message) string {
	get := func(id sip.HeaderID) string {
		v, _ := m.Get(id)
		return printable(v)
	}
	switch m.Status {
	case 400:
		if w := get(sip.HeaderWarning); w != "" {
			return "the server warns: " + w
		}
		return "the server finds the request malformed"
	case 403:
		if method == sip.MethodSubscribe {
			return "the presentity's rules do not let this user watch"
		}
		return "this user may not do that; is it the right user, with an address of its own?"
	case 404, 604:
		return "the server does not know this address"
	case 405, 501:
		return strings.TrimSpace("the server has no " + string(method) + "; it allows " + get(sip.HeaderAllow))
	case 408, 480:
		return "the server could not reach what is behind it; try again later"
	case 412:
		return "the publication has expired at the server or was replaced; publish anew"
	case 415:
		return "the server does not take this content type; it takes " + get(sip.HeaderAccept)
	case 416:
		return "the server does not serve this kind of address; use sip:"
	case 420:
		return "the server lacks an extension: " + get(sip.HeaderUnsupported)
	case 423:
		return "the least time the server grants is " + get(sip.HeaderMinExpires) + " seconds"
	case 481:
		return "the server has forgotten this subscription; subscribe anew"
	case 489:
		return "the server does not know this event package; it knows " + get(sip.HeaderAllowEvents)
	case 503:
		if v := get(sip.HeaderRetryAfter); v != "" {
			return "the server is overloaded; try again in " + v + " seconds"
		}
		return "the server is overloaded; try again later"
	case 500, 502, 504:
		if v := get(sip.HeaderRetryAfter); v != "" {
			return "the server asks to try again in " + v + " seconds"
		}
		return "the server has failed; its log may say why"
	case 513, 413:
		return "the document is too large for the server"
	case 301, 302, 305:
		return "the server points elsewhere: " + get(sip.HeaderContact)
	}
	return ""
}

// printable keeps text from the network from steering a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}
