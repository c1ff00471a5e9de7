package peertest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// message is a SIP message, read without mercy or care: what the server sends
// must be so regular that this suffices.
type message struct {
	first   string
	headers [][2]string
	body    string
}

func parseMessage(raw string) (m message, err error) {
	head, body, ok := strings.Cut(raw, "\r\n\r\n")
	if !ok {
		return m, fmt.Errorf("no end of the header section in %q", raw)
	}
	lines := strings.Split(head, "\r\n")
	m.first, m.body = lines[0], body
	for _, line := range lines[1:] {
		name, value, ok := strings.Cut(line, ": ")
		if !ok && !strings.HasSuffix(line, ":") {
			return m, fmt.Errorf("header line %q", line)
		}
		m.headers = append(m.headers, [2]string{strings.TrimSuffix(name, ":"), value})
	}
	n, err := strconv.Atoi(m.get("Content-Length"))
	if err != nil || n != len(body) {
		return m, fmt.Errorf("Content-Length %q, body of %d bytes", m.get("Content-Length"), len(body))
	}
	return m, nil
}

// get gives the first value of a header field.
func (m message) get(name string) string {
	for _, h := range m.headers {
		if h[0] == name {
			return h[1]
		}
	}
	return ""
}

// all gives the values of a header field.
func (m message) all(name string) (values []string) {
	for _, h := range m.headers {
		if h[0] == name {
			values = append(values, h[1])
		}
	}
	return values
}

// status is a response's code; a request's is 0.
func (m message) status() int {
	if !strings.HasPrefix(m.first, "SIP/2.0 ") || len(m.first) < 11 {
		return 0
	}
	n, _ := strconv.Atoi(m.first[8:11])
	return n
}

func (m message) cseq() int {
	n, _, _ := strings.Cut(m.get("CSeq"), " ")
	seq, _ := strconv.Atoi(n)
	return seq
}

// param finds a parameter of a header field's value.
func param(value, name string) string {
	m := regexp.MustCompile(`[;, ]` + regexp.QuoteMeta(name) + `="?([^";,]*)`).FindStringSubmatch(value)
	if m == nil {
		return ""
	}
	return m[1]
}

// answer makes the 200 to a request.
func (m message) answer() string {
	var b strings.Builder
	b.WriteString("SIP/2.0 200 OK\r\n")
	for _, name := range []string{"Via", "From", "To", "Call-ID", "CSeq"} {
		for _, v := range m.all(name) {
			fmt.Fprintf(&b, "%s: %s\r\n", name, v)
		}
	}
	b.WriteString("Content-Length: 0\r\n\r\n")
	return b.String()
}

// challenge picks the SHA-256 one of a 401.
func (m message) challenge() string {
	for _, v := range m.all("WWW-Authenticate") {
		if strings.Contains(v, "algorithm=SHA-256,") {
			return v
		}
	}
	return ""
}

// authorization answers a challenge by SHA-256 with qop=auth (RFC 7616, 3.4).
func authorization(challenge, user, password, method, uri string, nc int) string {
	realm, nonce := param(challenge, "realm"), param(challenge, "nonce")
	const cnonce = "0a4f113b"
	count := fmt.Sprintf("%08x", nc)
	ha1 := hash(user + ":" + realm + ":" + password)
	ha2 := hash(method + ":" + uri)
	return fmt.Sprintf(`Digest username="%s", realm="%s", nonce="%s", uri="%s", algorithm=SHA-256, qop=auth, cnonce="%s", nc=%s, response="%s"`,
		user, realm, nonce, uri, cnonce, count, hash(ha1+":"+nonce+":"+count+":"+cnonce+":auth:"+ha2))
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// pidf is a small presence document.
func pidf(user, basic, note string) string {
	return `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
		`<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="sip:` + user + `@example.com">` +
		`<tuple id="` + user + `1"><status><basic>` + basic + `</basic></status><note>` + note + `</note></tuple></presence>`
}
