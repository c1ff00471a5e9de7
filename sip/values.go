package sip

import (
	"errors"
	"math"
)

var (
	errCallID    = errors.New("sip: not a word or word@word")
	errCSeq      = errors.New("sip: not a number and a method")
	errToken     = errors.New("sip: not a token")
	errMediaType = errors.New("sip: not a media type")
	errStar      = errors.New("sip: '*' beside other values")
	errAngleless = errors.New("sip: URI without <>")
)

// value checks the value of a known header field by its grammar and keeps what
// Message shows parsed.
func (p *parser) value(h Header) {
	if h.Value == "" {
		if !mayBeEmpty(h) {
			p.fail(&StatusError{400, "Empty " + h.name() + " header field"})
		}
		return
	}
	if h.ID == HeaderOther {
		return
	}
	again := p.seen&(1<<h.ID) != 0
	p.seen |= 1 << h.ID
	if again && single[h.ID] {
		p.fail(&StatusError{400, "Repeated " + h.ID.String() + " header field"})
		return
	}
	if err := p.check(h, !again); err != nil {
		p.failHeader(h.ID, err)
	}
}

// name is the header field's name as AppendResponse writes it.
func (h *Header) name() string {
	if h.Name == "" {
		return h.ID.String()
	}
	return h.Name
}

// check looks at one non-empty value; first is false for further lines.
func (p *parser) check(h Header, first bool) (err error) {
	m, v := p.m, h.Value
	switch h.ID {
	case HeaderVia:
		return m.setVia(v, first)
	case HeaderFrom:
		return setAddr(&m.From, v)
	case HeaderTo:
		return setAddr(&m.To, v)
	case HeaderCallID:
		m.CallID = v
		return checkCallID(v)
	case HeaderCSeq:
		m.CSeq, err = parseCSeq(v)
	case HeaderContentLength:
		if p.length, err = parseLength(v); err != nil {
			p.length = -1
		}
	case HeaderMaxForwards:
		var n uint32
		if n, err = ParseUint32(v); n > 255 {
			// RFC 3261, 20.22: an integer in the range 0-255.
			return errMaxForwards
		}
	case HeaderExpires, HeaderMinExpires:
		_, err = ParseUint32(v)
	case HeaderRetryAfter:
		if !is(v[0], classDigit) {
			return errNumber
		}
	case HeaderContact:
		return checkContacts(v)
	case HeaderRoute, HeaderRecordRoute:
		return checkRoutes(v)
	case HeaderRequire, HeaderProxyRequire, HeaderSupported, HeaderUnsupported,
		HeaderAllow, HeaderAllowEvents, HeaderContentEncoding:
		return checkTokens(v)
	case HeaderAccept:
		return checkAccept(v)
	case HeaderContentType:
		return checkMediaType(v)
	case HeaderEvent, HeaderSubscriptionState:
		return checkTokenParams(v)
	case HeaderSIPETag, HeaderSIPIfMatch, HeaderSuppressIfMatch:
		if !isToken(v) {
			return errToken
		}
	}
	return err
}

// setVia checks all values of a Via line and keeps the first of the first line.
func (m *Message) setVia(v string, first bool) error {
	var other Via
	for i := 0; ; i++ {
		via := &other
		if first && i == 0 {
			via = &m.TopVia
		}
		end, err := via.parse(v, i)
		if err != nil {
			return err
		}
		if end == len(v) {
			return nil
		}
		first = false
		i = end
	}
}

// setAddr keeps the whole text of what is malformed, for the answer.
func setAddr(n *NameAddr, v string) error {
	end, err := n.parse(v, 0)
	if err == nil && end != len(v) {
		err = errTrailing
	}
	if err != nil {
		*n = NameAddr{RawURI: v}
	}
	return err
}

// checkCallID checks callid = word [ "@" word ].
func checkCallID(v string) error {
	end := span(v, 0, classWord)
	if end > 0 && end < len(v) && v[end] == '@' {
		start := end + 1
		if end = span(v, start, classWord); end == start {
			return errCallID
		}
	}
	if end == 0 || end != len(v) {
		return errCallID
	}
	return nil
}

// maxCSeq is the largest sequence number (RFC 3261, 8.1.1.5: less than 2^31).
const maxCSeq = math.MaxInt32

// parseCSeq reads 1*DIGIT LWS Method. A number out of range is cut.
func parseCSeq(v string) (CSeq, error) {
	end := span(v, 0, classDigit)
	method := skipWS(v, end)
	if end == 0 || method == end || !isToken(v[method:]) {
		return CSeq{}, errCSeq
	}
	n, _ := ParseUint32(v[:end])
	c := CSeq{Seq: min(n, maxCSeq), Method: Method(v[method:])}
	if n > maxCSeq {
		return c, errCSeqRange
	}
	return c, nil
}

// checkContacts checks STAR / contact-param *( COMMA contact-param ).
func checkContacts(v string) error {
	if v == "*" {
		return nil
	}
	var n NameAddr
	for i := 0; ; i++ {
		end, err := n.parse(v, i)
		if err != nil {
			if v[0] == '*' {
				return errStar
			}
			return err
		}
		if end == len(v) {
			return nil
		}
		i = end
	}
}

// checkRoutes checks a list of name-addr, where the <> are not optional
// (RFC 3261, 20.30 and 20.34).
func checkRoutes(v string) error {
	var n NameAddr
	for i := 0; ; i++ {
		end, err := n.parse(v, i)
		if err != nil {
			return err
		}
		if !hasAngle(v[i:end], n.RawURI) {
			return errAngleless
		}
		if end == len(v) {
			return nil
		}
		i = end
	}
}

// hasAngle reports whether the URI of a well-formed value stands in <>.
func hasAngle(v, rawURI string) bool {
	i := skipWS(v, 0)
	return len(v)-i < len(rawURI) || v[i:i+len(rawURI)] != rawURI
}

// checkTokens checks token *( COMMA token ).
func checkTokens(v string) error {
	for i := 0; ; {
		i = skipWS(v, i)
		end := span(v, i, classToken)
		if end == i {
			return errToken
		}
		if i = skipWS(v, end); i == len(v) {
			return nil
		}
		if v[i] != ',' {
			return errToken
		}
		i++
	}
}

// mediaEnd gives the end of type SLASH subtype at v[i], or -1.
func mediaEnd(v string, i int) int {
	end := span(v, i, classToken)
	if end == i {
		return -1
	}
	if i = skipWS(v, end); i == len(v) || v[i] != '/' {
		return -1
	}
	i = skipWS(v, i+1)
	if end = span(v, i, classToken); end == i {
		return -1
	}
	return end
}

// checkAccept checks accept-range *( COMMA accept-range ).
func checkAccept(v string) error {
	for i := 0; ; i++ {
		end := mediaEnd(v, skipWS(v, i))
		if end < 0 {
			return errMediaType
		}
		end, err := checkParams(v, end)
		if err != nil {
			return err
		}
		if end == len(v) {
			return nil
		}
		i = end
	}
}

// checkMediaType checks m-type SLASH m-subtype *( SEMI m-parameter ).
func checkMediaType(v string) error {
	end := mediaEnd(v, 0)
	if end < 0 {
		return errMediaType
	}
	return checkAllParams(v, end)
}

// checkTokenParams checks token *( SEMI generic-param ).
func checkTokenParams(v string) error {
	end := span(v, 0, classToken)
	if end == 0 {
		return errToken
	}
	return checkAllParams(v, end)
}

func checkAllParams(v string, i int) error {
	end, err := checkParams(v, i)
	if err == nil && end != len(v) {
		err = errTrailing
	}
	return err
}

// mayBeEmpty reports whether the grammar lets the value be empty
// (RFC 3261, 25.1): fields with an optional list or text, and extensions.
func mayBeEmpty(h Header) bool {
	switch h.ID {
	case HeaderAccept, HeaderAllow, HeaderSupported:
		return true
	case HeaderOther:
		for _, name := range neverEmpty {
			if equalFold(h.Name, name) {
				return false
			}
		}
		return true
	}
	return false
}

// neverEmpty are the header fields of RFC 3261 that have no id and no form
// without a value.
var neverEmpty = [...]string{
	"Alert-Info", "Call-Info", "Content-Disposition", "Content-Language",
	"Error-Info", "In-Reply-To", "MIME-Version", "Priority", "Reply-To", "Timestamp",
}
