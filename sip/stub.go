package sip

import "time"

// ---- transaction.go

// Verdict says what ServerTable knows of a request.
type Verdict uint8

const (
	Fresh    Verdict = iota // never seen
	InWork                  // seen, no answer yet: absorb
	Answered                // send the stored answer again
)

// TxKey identifies a server transaction (RFC 3261, 17.2.3; method and sent-by always take part,
// and for a branch without the magic cookie also From tag, To tag, Call-ID, CSeq, Request-URI and top Via).
type TxKey [16]byte

// ServerTable is the bounded table of non-INVITE server transactions. Safe for concurrent use (striped), no clock inside.
type ServerTable struct{ _ int }

func NewServerTable(max int, t Timers) *ServerTable                                  { panic("stub") }
func (t *ServerTable) Lookup(m *Message, now time.Time) (TxKey, Verdict, []byte)     { panic("stub") }
func (t *ServerTable) Begin(k TxKey, now time.Time) bool                             { panic("stub") } // false: somebody began it meanwhile
func (t *ServerTable) Answer(k TxKey, response []byte, reliable bool, now time.Time) { panic("stub") } // copies response
func (t *ServerTable) Len() int                                                      { panic("stub") }

// ClientTx is a non-INVITE client transaction's timer state (RFC 3261, 17.1.2), by value, no allocation.
type ClientTx struct {
	Started  time.Time
	Next     time.Time // next deadline: timer E or F; zero: none
	interval time.Duration
}

type ClientAction uint8

const (
	ClientNothing ClientAction = iota
	ClientRetransmit
	ClientTimeout
)

func (c *ClientTx) Start(now time.Time, reliable bool, t Timers) { panic("stub") }
func (c *ClientTx) Provisional(now time.Time, t Timers)          { panic("stub") } // timer E becomes T2
func (c *ClientTx) Tick(now time.Time, t Timers) ClientAction    { panic("stub") }

// ---- dialog.go

// DialogFromRequest makes the notifier's (UAS) side; DialogFromResponse the UAC's side (route set reversed).
func DialogFromRequest(req *Message, localTag string) (Dialog, error) { panic("stub") }
func DialogFromResponse(req, resp *Message) (Dialog, error)           { panic("stub") }

// NextHop gives Request-URI and Route header values of an in-dialog request (loose and strict routing, 12.2.1.1).
func (d *Dialog) NextHop() (requestURI string, routes []string) { panic("stub") }

// ---- digest.go

func ParseChallenge(s string) (Challenge, error)     { panic("stub") }
func (c Challenge) Append(dst []byte) []byte         { panic("stub") }
func ParseCredentials(s string) (Credentials, error) { panic("stub") }
func (c Credentials) Append(dst []byte) []byte       { panic("stub") }

// HA1 is H(user:realm:password) in lower-case hex.
func HA1(a Algorithm, user, realm, password string) (string, error) { panic("stub") }

// DigestResponse is the request-digest of RFC 7616, 3.4.1 for c (URI, Nonce, NC, CNonce, QOP), with body for auth-int;
// without QOP the RFC 2069 form.
func DigestResponse(ha1 string, c Credentials, method Method, body string) (string, error) {
	panic("stub")
}
