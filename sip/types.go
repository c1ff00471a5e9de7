package sip

import (
	"net/netip"
	"sync"
	"time"

	"github.com/tacit-presence/tacit/presence"
)

// Method is a SIP request method, case-sensitive (RFC 3261, 7.1).
type Method string

// The methods Tacit knows by name.
const (
	MethodInvite    Method = "INVITE"
	MethodAck       Method = "ACK"
	MethodBye       Method = "BYE"
	MethodCancel    Method = "CANCEL"
	MethodOptions   Method = "OPTIONS"
	MethodRegister  Method = "REGISTER"
	MethodPublish   Method = "PUBLISH"
	MethodSubscribe Method = "SUBSCRIBE"
	MethodNotify    Method = "NOTIFY"
)

// HeaderID names a header field that Tacit looks at; every other one is
// HeaderOther and keeps its name in Header.Name.
type HeaderID uint8

// The header fields known by number, compact forms included (RFC 3261, 7.3.3).
const (
	HeaderOther HeaderID = iota
	HeaderAccept
	HeaderAllow
	HeaderAllowEvents
	HeaderAuthenticationInfo
	HeaderAuthorization
	HeaderCallID
	HeaderContact
	HeaderContentEncoding
	HeaderContentLength
	HeaderContentType
	HeaderCSeq
	HeaderDate
	HeaderEvent
	HeaderExpires
	HeaderFrom
	HeaderIdentity
	HeaderMaxForwards
	HeaderMinExpires
	HeaderPAssertedIdentity
	HeaderPPreferredIdentity
	HeaderPrivacy
	HeaderProxyAuthenticate
	HeaderProxyAuthorization
	HeaderProxyRequire
	HeaderReason
	HeaderRecordRoute
	HeaderRequire
	HeaderRetryAfter
	HeaderRoute
	HeaderServer
	HeaderSIPETag
	HeaderSIPIfMatch
	HeaderSubscriptionState
	HeaderSupported
	HeaderSuppressIfMatch
	HeaderTo
	HeaderUnsupported
	HeaderUserAgent
	HeaderVia
	HeaderWarning
	HeaderWWWAuthenticate
	headerCount
)

// Header is one header field line: the value unfolded and trimmed, possibly
// with several comma-separated values.
type Header struct {
	ID    HeaderID
	Name  string // as on the wire; for known ids String() gives the long form
	Value string
}

// CSeq is the parsed CSeq header field.
type CSeq struct {
	Seq    uint32
	Method Method
}

// Via is one parsed Via value.
type Via struct {
	Transport string // upper case: "UDP", "TCP", "TLS", "WS", "WSS"
	Host      string // IPv6 in brackets
	Port      uint16 // 0 if absent
	Branch    string
	Received  string
	RPort     uint16
	HasRPort  bool   // ";rport" is there, with or without a value
	Params    string // all parameters as on the wire, with leading ';'
}

// URI is a parsed SIP, SIPS, PRES or TEL URI. Strings are pieces of the input.
type URI struct {
	Scheme   string // lower case
	User     string // as on the wire, still escaped; for tel: the number
	Password string
	Host     string // lower case; IPv6 in brackets
	Port     uint16 // 0 if absent
	Params   string // as on the wire, with leading ';'
	Headers  string // as on the wire, without the leading '?'
}

// NameAddr is a name-addr or addr-spec with its header parameters: From, To,
// Contact, Route, Record-Route, P-Asserted-Identity.
type NameAddr struct {
	Display string // unquoted
	URI     URI
	RawURI  string // the URI as on the wire
	Params  string // header parameters, with leading ';'
}

// Message is one parsed SIP message. All strings are pieces of the one string
// given to Parse, so they stay valid however long they are kept. A Message may
// be reused by parsing into it again.
type Message struct {
	Method     Method // of the request; of a response: empty
	RequestURI string
	Status     int // of the response; of a request: 0
	Reason     string
	Headers    []Header // in wire order
	Body       string   // cut to Content-Length

	// Parsed and checked by Parse; mandatory in every message (RFC 3261, 8.1.1).
	TopVia Via
	CSeq   CSeq
	CallID string
	From   NameAddr
	To     NameAddr

	inline [28]Header
}

// IsRequest reports whether m is a request.
func (m *Message) IsRequest() bool { return m.Status == 0 }

// Transport is how a message travels.
type Transport uint8

// The transports.
const (
	TransportNone Transport = iota
	TransportUDP
	TransportTCP
	TransportTLS
	TransportWS
	TransportWSS
)

// String gives the form used in Via: "UDP", "TCP", "TLS", "WS", "WSS".
func (t Transport) String() string {
	return [...]string{"NONE", "UDP", "TCP", "TLS", "WS", "WSS"}[t]
}

// Reliable reports whether t delivers by itself, so that no retransmission
// timer is needed (RFC 3261, 17).
func (t Transport) Reliable() bool { return t != TransportUDP }

// Flow is one way to a peer: a UDP address pair or one connection. It is
// comparable and can be stored; Conn is meaningful only in the process that
// made it (0 for UDP).
type Flow struct {
	Transport Transport
	Local     netip.AddrPort // the listener's own address
	Remote    netip.AddrPort
	Conn      uint64
}

// Limits bound what Parse and Frame accept.
type Limits struct {
	MaxMessage int // bytes of a whole message
	MaxHeaders int // number of header fields
	MaxHeader  int // bytes of all header fields together
}

// DefaultLimits fit every client we know with a wide margin.
var DefaultLimits = Limits{MaxMessage: 256 << 10, MaxHeaders: 256, MaxHeader: 64 << 10}

// StatusError is a fault that RFC 3261 answers with a status code.
type StatusError struct {
	Status int    // 400, 413, 505, ...
	Reason string // phrase for the status line, says what is wrong
}

// Error returns the phrase.
func (e *StatusError) Error() string { return e.Reason }

// Reply is what AppendResponse needs beside the request.
type Reply struct {
	Status      int
	Reason      string // empty: the RFC's phrase
	ToTag       string // added if To has none
	Headers     []Header
	ContentType string
	Body        string
	// Source is where the request came from: it sets received and rport in the
	// top Via (RFC 3261, 18.2.1; RFC 3581, 4).
	Source netip.AddrPort
}

// Timers are RFC 3261's timer values (17.1.2.2, table 4).
type Timers struct{ T1, T2, T4 time.Duration }

// DefaultTimers are the RFC's own.
var DefaultTimers = Timers{T1: 500 * time.Millisecond, T2: 4 * time.Second, T4: 5 * time.Second}

// Dialog is the state of RFC 3261, 12, as both sides need it.
type Dialog struct {
	CallID       string
	LocalTag     string
	RemoteTag    string
	LocalURI     string // From's URI in our requests, with display name or not, without tag
	RemoteURI    string
	RemoteTarget string   // the Contact's URI
	RouteSet     []string // Route values as on the wire, in the order we send them
	LocalSeq     uint32
	RemoteSeq    uint32
}

// Realm, Algorithm and the rest of digest: see digest.go.

// Algorithm is a digest algorithm's name in its canonical spelling.
type Algorithm string

// The algorithms (RFC 7616, 3.3; RFC 8760).
const (
	AlgorithmMD5       Algorithm = "MD5"
	AlgorithmSHA256    Algorithm = "SHA-256"
	AlgorithmSHA512256 Algorithm = "SHA-512-256"
)

// Challenge is one WWW-Authenticate value.
type Challenge struct {
	Realm     string
	Nonce     string
	Opaque    string
	Algorithm Algorithm // MD5 if absent on the wire
	QOP       []string  // "auth", "auth-int"; empty: none offered (RFC 2069)
	Stale     bool
}

// Credentials is one Authorization value.
type Credentials struct {
	Username, Realm, Nonce, URI, Response string
	Algorithm                             Algorithm // MD5 if absent
	Opaque, CNonce, QOP                   string
	NC                                    uint32 // 0 if absent
	NCText                                string // as on the wire
}

var _ presence.AOR

// messages recycles Message values: they are about 1.5 KB and one is needed for
// each message on the wire.
var messages = sync.Pool{New: func() any { return new(Message) }}

// NewMessage returns an empty Message from the pool.
func NewMessage() *Message { return messages.Get().(*Message) }

// Release gives m back. Strings taken from it stay valid; m itself must not be
// used again.
func (m *Message) Release() { messages.Put(m) }
