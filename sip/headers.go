package sip

import "iter"

var headerNames = [headerCount]string{
	HeaderAccept:             "Accept",
	HeaderAllow:              "Allow",
	HeaderAllowEvents:        "Allow-Events",
	HeaderAuthenticationInfo: "Authentication-Info",
	HeaderAuthorization:      "Authorization",
	HeaderCallID:             "Call-ID",
	HeaderContact:            "Contact",
	HeaderContentEncoding:    "Content-Encoding",
	HeaderContentLength:      "Content-Length",
	HeaderContentType:        "Content-Type",
	HeaderCSeq:               "CSeq",
	HeaderDate:               "Date",
	HeaderEvent:              "Event",
	HeaderExpires:            "Expires",
	HeaderFrom:               "From",
	HeaderIdentity:           "Identity",
	HeaderMaxForwards:        "Max-Forwards",
	HeaderMinExpires:         "Min-Expires",
	HeaderPAssertedIdentity:  "P-Asserted-Identity",
	HeaderPPreferredIdentity: "P-Preferred-Identity",
	HeaderPrivacy:            "Privacy",
	HeaderProxyAuthenticate:  "Proxy-Authenticate",
	HeaderProxyAuthorization: "Proxy-Authorization",
	HeaderProxyRequire:       "Proxy-Require",
	HeaderReason:             "Reason",
	HeaderRecordRoute:        "Record-Route",
	HeaderRequire:            "Require",
	HeaderRetryAfter:         "Retry-After",
	HeaderRoute:              "Route",
	HeaderServer:             "Server",
	HeaderSIPETag:            "SIP-ETag",
	HeaderSIPIfMatch:         "SIP-If-Match",
	HeaderSubscriptionState:  "Subscription-State",
	HeaderSupported:          "Supported",
	HeaderSuppressIfMatch:    "Suppress-If-Match",
	HeaderTo:                 "To",
	HeaderUnsupported:        "Unsupported",
	HeaderUserAgent:          "User-Agent",
	HeaderVia:                "Via",
	HeaderWarning:            "Warning",
	HeaderWWWAuthenticate:    "WWW-Authenticate",
}

// String gives the long form of a known header name, "" for HeaderOther.
func (id HeaderID) String() string {
	if id >= headerCount {
		return ""
	}
	return headerNames[id]
}

// maxKnownName is the length of the longest name in headerNames.
const maxKnownName = len("P-Preferred-Identity")

// namesByLength lists the known ids by the length of their names, so that a
// look-up compares a handful of candidates at most.
var namesByLength = func() (t [maxKnownName + 1][]HeaderID) {
	for id := HeaderOther + 1; id < headerCount; id++ {
		n := len(headerNames[id])
		t[n] = append(t[n], id)
	}
	return t
}()

// lookupHeader finds the id of a header name in any case, long or compact.
func lookupHeader(name string) HeaderID {
	if len(name) == 1 {
		return compactHeader(name[0])
	}
	if len(name) > maxKnownName {
		return HeaderOther
	}
	for _, id := range namesByLength[len(name)] {
		known := headerNames[id]
		if name[0]|0x20 == known[0]|0x20 && equalFold(name, known) {
			return id
		}
	}
	return HeaderOther
}

// compactHeader maps the compact forms (RFC 3261, 7.3.3; RFC 6665, 8.2;
// RFC 4474, 14.1) of the header fields that have an id.
func compactHeader(c byte) HeaderID {
	switch lowerByte(c) {
	case 'c':
		return HeaderContentType
	case 'e':
		return HeaderContentEncoding
	case 'f':
		return HeaderFrom
	case 'i':
		return HeaderCallID
	case 'k':
		return HeaderSupported
	case 'l':
		return HeaderContentLength
	case 'm':
		return HeaderContact
	case 'o':
		return HeaderEvent
	case 't':
		return HeaderTo
	case 'u':
		return HeaderAllowEvents
	case 'v':
		return HeaderVia
	case 'y':
		return HeaderIdentity
	}
	return HeaderOther
}

// longName expands the compact forms of the header fields without an id.
func longName(name string) string {
	if len(name) != 1 {
		return name
	}
	switch lowerByte(name[0]) {
	case 'a':
		return "Accept-Contact"
	case 'b':
		return "Referred-By"
	case 'd':
		return "Request-Disposition"
	case 'j':
		return "Reject-Contact"
	case 'n':
		return "Identity-Info"
	case 'r':
		return "Refer-To"
	case 's':
		return "Subject"
	case 'x':
		return "Session-Expires"
	}
	return name
}

// single are the header fields that may stand in a message once only. A
// second one is how two readers of a message are made to disagree, so it is
// refused and never resolved (RFC 3261, 7.3.1).
var single = [headerCount]bool{
	HeaderCallID:            true,
	HeaderContentLength:     true,
	HeaderContentType:       true,
	HeaderCSeq:              true,
	HeaderDate:              true,
	HeaderEvent:             true,
	HeaderExpires:           true,
	HeaderFrom:              true,
	HeaderMaxForwards:       true,
	HeaderMinExpires:        true,
	HeaderRetryAfter:        true,
	HeaderSIPETag:           true,
	HeaderSIPIfMatch:        true,
	HeaderSubscriptionState: true,
	HeaderSuppressIfMatch:   true,
	HeaderTo:                true,
}

// lists are the header fields whose lines are comma-separated lists.
var lists = [headerCount]bool{
	HeaderAccept:             true,
	HeaderAllow:              true,
	HeaderAllowEvents:        true,
	HeaderContact:            true,
	HeaderContentEncoding:    true,
	HeaderPAssertedIdentity:  true,
	HeaderPPreferredIdentity: true,
	HeaderProxyRequire:       true,
	HeaderReason:             true,
	HeaderRecordRoute:        true,
	HeaderRequire:            true,
	HeaderRoute:              true,
	HeaderSupported:          true,
	HeaderUnsupported:        true,
	HeaderVia:                true,
	HeaderWarning:            true,
}

// Get returns the first value line of a known header field.
func (m *Message) Get(id HeaderID) (string, bool) {
	for i := range m.Headers {
		if m.Headers[i].ID == id {
			return m.Headers[i].Value, true
		}
	}
	return "", false
}

// Values yields every value of a known header field in wire order. Lines of
// fields that are comma-separated lists are split, quoted strings and <>
// respected; of all others (Authorization, Date, User-Agent...) each line is
// one value. Values are trimmed; the empty value of "Supported:" is left out.
func (m *Message) Values(id HeaderID) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range m.Headers {
			if m.Headers[i].ID != id {
				continue
			}
			rest := m.Headers[i].Value
			if !lists[id] {
				if !yield(rest) {
					return
				}
				continue
			}
			for rest != "" {
				end := listEnd(rest)
				if v := trimWS(rest[:end]); v != "" && !yield(v) {
					return
				}
				rest = rest[min(end+1, len(rest)):]
			}
		}
	}
}

// Named returns the first line of the header field with that name, in any
// case, long or compact, known or not.
func (m *Message) Named(name string) (string, bool) {
	if id := lookupHeader(name); id != HeaderOther {
		return m.Get(id)
	}
	name = longName(name)
	for i := range m.Headers {
		h := &m.Headers[i]
		if h.ID == HeaderOther && equalFold(longName(h.Name), name) {
			return h.Value, true
		}
	}
	return "", false
}

// listEnd gives the index of the comma that ends the first value of a list, or
// len(s): commas within quoted strings and within <> do not count.
func listEnd(s string) int {
	angle := false
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case ',':
			if !angle {
				return i
			}
		case '"':
			if angle {
				continue
			}
			end := quotedEnd(s, i)
			if end < 0 {
				return len(s)
			}
			i = end - 1
		case '<':
			angle = true
		case '>':
			angle = false
		}
	}
	return len(s)
}
