package client

import "github.com/tacit-presence/tacit/sip"

// ResponseError is a final answer other than 2xx.
type ResponseError struct {
	Status  int
	Reason  string // the server's phrase
	Headers []sip.Header
	Method  sip.Method // of the request
	Target  string     // its Request-URI
}

// Error says what was refused, why, and what can be done.
func (e *ResponseError) Error() string { return e.Reason }
