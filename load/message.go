package load

import (
	"bytes"
	"strconv"
	"strings"
)

// writer builds the messages of one socket. Its strings are ready-made.
type writer struct {
	cfg   *Config
	run   string // distinguishes this run's identifiers and documents
	via   string // "Via: SIP/2.0/UDP 127.0.0.1:4711;rport;branch=z9hG4bK" and the run
	addr  string // "127.0.0.1:4711"
	param string // of the Contact: ";transport=udp"
	// What Call-IDs begin with; the series' number follows.
	publishID, subscribeID string
}

func newWriter(cfg *Config, run, addr string) writer {
	return writer{
		cfg: cfg, run: run, addr: addr, param: ";transport=" + cfg.Transport,
		publishID: run + "-p", subscribeID: run + "-w",
		via: "Via: SIP/2.0/" + strings.ToUpper(cfg.Transport) + " " + addr + ";rport;branch=z9hG4bK" + run,
	}
}

// series names a row of requests: what kind it is, and its number.
type series struct {
	kind   byte // 'p' or 'w'
	number int
	cseq   uint32
}

// head appends the start line and the header fields that all requests have.
// Branch, tag and Call-ID follow from the series, so that a repetition needs no
// memory.
func (w *writer) head(dst []byte, method, to, from string, s series) []byte {
	dst = append(append(append(append(dst, method...), ' '), to...), " SIP/2.0\r\n"...)
	dst = append(append(dst, w.via...), s.kind)
	dst = strconv.AppendInt(dst, int64(s.number), 10)
	dst = append(dst, 'c')
	dst = strconv.AppendUint(dst, uint64(s.cseq), 10)
	dst = append(append(dst, "\r\nMax-Forwards: 70\r\nFrom: <"...), from...)
	dst = append(append(dst, ">;tag="...), s.kind)
	dst = strconv.AppendInt(dst, int64(s.number), 10)
	dst = append(append(append(dst, "\r\nTo: <"...), to...), ">\r\nCall-ID: "...)
	dst = append(append(append(dst, w.run...), '-'), s.kind)
	dst = strconv.AppendInt(dst, int64(s.number), 10)
	dst = append(dst, "\r\nCSeq: "...)
	dst = strconv.AppendUint(dst, uint64(s.cseq), 10)
	dst = append(append(append(dst, ' '), method...), "\r\nEvent: presence\r\n"...)
	if w.cfg.AssertedIdentity {
		dst = append(append(append(dst, "P-Asserted-Identity: <"...), from...), ">\r\n"...)
	}
	return dst
}

func appendExpires(dst []byte, seconds int) []byte {
	dst = strconv.AppendInt(append(dst, "Expires: "...), int64(seconds), 10)
	return append(dst, "\r\n"...)
}

// subscribe appends a SUBSCRIBE. The Contact names its transport, so that no
// server has to choose one by size.
func (w *writer) subscribe(dst []byte, to, from, auth string, s series) []byte {
	dst = w.head(dst, "SUBSCRIBE", to, from, s)
	dst = append(append(append(append(dst, "Contact: <sip:load@"...), w.addr...), w.param...), ">\r\n"...)
	dst = appendExpires(dst, int(w.cfg.SubscribeExpires.Seconds()))
	dst = append(append(dst, auth...), "Accept: application/pidf+xml\r\nContent-Length: 0\r\n\r\n"...)
	return dst
}

// publish appends a PUBLISH of document seq at time t.
func (w *writer) publish(dst []byte, aor, auth string, etag []byte, body []byte, s series) []byte {
	dst = w.head(dst, "PUBLISH", aor, aor, s)
	dst = appendExpires(dst, int(w.cfg.PublishExpires.Seconds()))
	if len(etag) > 0 {
		dst = append(append(append(dst, "SIP-If-Match: "...), etag...), "\r\n"...)
	}
	dst = append(append(dst, auth...), "Content-Type: application/pidf+xml\r\nContent-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(body)), 10)
	return append(append(dst, "\r\n\r\n"...), body...)
}

// The document: RFC 3863, 4479 and 4480. The padded note comes last.
const (
	docHead = `<?xml version="1.0" encoding="UTF-8"?>` + "\r\n" +
		`<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model"` +
		` xmlns:rpid="urn:ietf:params:xml:ns:pidf:rpid" entity="`
	docTuple = `"><tuple id="t1"><status><basic>open</basic></status><contact priority="0.8">`
	docNote  = `</contact><note>`
	docTail  = `</note></tuple><dm:person id="p1"><rpid:activities><rpid:busy/></rpid:activities></dm:person></presence>`
)

// Widths of the numbers in a document, so that its size does not change.
const (
	seqWidth  = 10
	timeWidth = 19
)

// document appends the PIDF of aor: "run=R seq=N t=NANOSECONDS" and padding to
// size.
func document(dst []byte, run, aor string, size int, seq uint32, t int64) []byte {
	start := len(dst)
	dst = append(append(append(append(dst, docHead...), aor...), docTuple...), aor...)
	dst = appendMark(append(dst, docNote...), ' ', run, seq, t)
	dst = appendPadding(dst, size-(len(dst)-start)-len(docTail))
	return append(dst, docTail...)
}

// appendMark appends what sequence finds.
func appendMark(dst []byte, separator byte, run string, seq uint32, t int64) []byte {
	dst = append(append(append(dst, "run="...), run...), separator)
	dst = appendPadded(append(dst, "seq="...), uint64(seq), seqWidth)
	return appendPadded(append(append(dst, separator), "t="...), uint64(t), timeWidth)
}

// appendPadding appends text of so many bytes, none if they are negative.
func appendPadding(dst []byte, missing int) []byte {
	for missing > 0 {
		n := min(missing, len(padding))
		dst = append(dst, padding[:n]...)
		missing -= n
	}
	return dst
}

const padding = " at my desk, but please write before you call; I read mail between meetings"

func appendPadded(dst []byte, n uint64, width int) []byte {
	for range width {
		dst = append(dst, '0')
	}
	for i := len(dst) - 1; n > 0 && i >= len(dst)-width; i-- {
		dst[i] = byte('0' + n%10)
		n /= 10
	}
	return dst
}

// sequence finds the newest sequence number of this run in a document, and its
// time. A server may show several publications. The marker is "run=R".
func sequence(body, marker []byte) (seq uint32, t int64, ok bool) {
	for {
		i := bytes.Index(body, marker)
		if i < 0 {
			return seq, t, ok
		}
		body = body[i+len(marker):]
		rest, isSeq := param(body, "seq=")
		if !isSeq {
			continue
		}
		n, rest := digits64(rest)
		if rest, isSeq = param(rest, "t="); !isSeq {
			continue
		}
		if ns, _ := digits64(rest); !ok || uint32(n) > seq {
			seq, t, ok = uint32(n), int64(ns), true
		}
	}
}

// param skips the name of a number: after a space in a note, after a semicolon in
// a URI.
func param(b []byte, name string) (rest []byte, ok bool) {
	if n := 1 + len(name); len(b) > n && (b[0] == ' ' || b[0] == ';') && string(b[1:n]) == name {
		return b[n:], true
	}
	return b, false
}
