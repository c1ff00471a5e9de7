package sip

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
)

// ErrNotDigest says that a challenge or credentials are of another scheme:
// well-formed, but nothing for us (RFC 4475, 3.3.7).
var ErrNotDigest = errors.New("sip: not the Digest scheme")

// ErrAlgorithm says that a digest algorithm is not among those of RFC 8760.
var ErrAlgorithm = errors.New("sip: unknown digest algorithm")

// ErrQOP says that a qop value is neither auth nor auth-int.
var ErrQOP = errors.New("sip: unknown qop")

var (
	errDigest        = errors.New("sip: malformed digest parameters")
	errDigestTwice   = errors.New("sip: digest parameter given twice")
	errDigestMissing = errors.New("sip: digest parameter missing")
	errDigestQuotes  = errors.New("sip: digest parameter must be quoted")
)

// The qop values (RFC 7616, 3.3).
const (
	qopAuth    = "auth"
	qopAuthInt = "auth-int"
)

// digestParams are the parameters of one challenge or credentials that mean
// something here. What kind each is follows RFC 7616, 3.3 and 3.4: quoted must
// be quoted strings. The others must not be, but are taken if they are:
// finch (libpurple 2.14) quotes nc, and RFC 2617's own samples had qop and
// algorithm both ways.
var digestParams = [...]struct {
	name   string
	quoted bool
}{
	{"algorithm", false},
	{"cnonce", true},
	{"nc", false},
	{"nonce", true},
	{"opaque", true},
	{"qop", false},
	{"realm", true},
	{"response", true},
	{"stale", false},
	{"uri", true},
	{"username", true},
}

// Indexes into digestParams.
const (
	digestAlgorithm = iota
	digestCNonce
	digestNC
	digestNonce
	digestOpaque
	digestQOP
	digestRealm
	digestResponse
	digestStale
	digestURI
	digestUsername
	digestCount
)

// digestFields are the parameters found, unquoted.
type digestFields struct {
	value [digestCount]string
	found [digestCount]bool
}

// parseDigest reads "Digest" LWS name EQUAL value *( COMMA name EQUAL value ).
// Parameters that mean nothing here are checked and left out, but none may come
// twice: two readers must not see different credentials.
func parseDigest(s string) (f digestFields, err error) {
	s = trimWS(s)
	end := span(s, 0, classToken)
	if end == 0 || end == len(s) || skipWS(s, end) == end {
		return f, errDigest
	}
	if !equalFold(s[:end], "Digest") {
		return f, ErrNotDigest
	}
	names := make([]string, 0, maxParams)
	for i := end; ; {
		var p param
		if p, i, err = nextParam(s, i); err != nil || p.value == "" {
			return f, errDigest
		}
		for _, name := range names {
			if equalFold(name, p.name) {
				return f, errDigestTwice
			}
		}
		if len(names) == maxParams {
			return f, errParamMany
		}
		names = append(names, p.name)
		if err = f.set(p); err != nil {
			return f, err
		}
		if i == len(s) {
			return f, nil
		}
		if s[i] != ',' {
			return f, errDigest
		}
	}
}

func (f *digestFields) set(p param) error {
	for i, known := range digestParams {
		if !equalFold(p.name, known.name) {
			continue
		}
		quoted := p.value[0] == '"'
		if known.quoted && !quoted {
			return errDigestQuotes
		}
		if f.value[i], f.found[i] = p.value, true; quoted {
			f.value[i] = unquote(p.value)
		}
	}
	return nil
}

// need reports whether all of the parameters are there.
func (f *digestFields) need(params ...int) error {
	for _, i := range params {
		if !f.found[i] {
			return errDigestMissing
		}
	}
	return nil
}

// algorithm gives the canonical spelling; one that is unknown stays as it is.
func (f *digestFields) algorithm() Algorithm {
	if !f.found[digestAlgorithm] {
		return AlgorithmMD5
	}
	v := f.value[digestAlgorithm]
	for _, a := range [...]Algorithm{AlgorithmMD5, AlgorithmSHA256, AlgorithmSHA512256} {
		if equalFold(v, string(a)) {
			return a
		}
	}
	return Algorithm(v)
}

// ParseChallenge reads one WWW-Authenticate or Proxy-Authenticate value. For a
// scheme other than Digest the error is ErrNotDigest.
func ParseChallenge(s string) (Challenge, error) {
	f, err := parseDigest(s)
	if err == nil {
		err = f.need(digestRealm, digestNonce)
	}
	if err != nil {
		return Challenge{}, err
	}
	c := Challenge{
		Realm:     f.value[digestRealm],
		Nonce:     f.value[digestNonce],
		Opaque:    f.value[digestOpaque],
		Algorithm: f.algorithm(),
		Stale:     equalFold(f.value[digestStale], "true"),
	}
	for q := range strings.SplitSeq(f.value[digestQOP], ",") {
		if q = trimWS(q); q != "" {
			c.QOP = append(c.QOP, lower(q))
		}
	}
	return c, nil
}

// Append appends the value of a WWW-Authenticate header field.
func (c Challenge) Append(dst []byte) []byte {
	dst = appendQuoted(append(dst, "Digest realm="...), c.Realm)
	dst = appendQuoted(append(dst, ", nonce="...), c.Nonce)
	if c.Opaque != "" {
		dst = appendQuoted(append(dst, ", opaque="...), c.Opaque)
	}
	if c.Algorithm != "" {
		dst = appendToken(append(dst, ", algorithm="...), string(c.Algorithm))
	}
	if len(c.QOP) > 0 {
		// RFC 3261, 25.1: no white space after the comma.
		dst = appendQuoted(append(dst, ", qop="...), strings.Join(c.QOP, ","))
	}
	if c.Stale {
		dst = append(dst, ", stale=true"...)
	}
	return dst
}

// appendToken appends s if it is a token, else a quoted string.
func appendToken(dst []byte, s string) []byte {
	if isToken(s) {
		return append(dst, s...)
	}
	return appendQuoted(dst, s)
}

// ParseCredentials reads one Authorization or Proxy-Authorization value. For a
// scheme other than Digest the error is ErrNotDigest. An algorithm that is
// unknown here is no error, but DigestResponse will not compute it. nc without
// qop, which finch sends, is kept and means nothing.
func ParseCredentials(s string) (Credentials, error) {
	f, err := parseDigest(s)
	if err == nil {
		err = f.need(digestUsername, digestRealm, digestNonce, digestURI, digestResponse)
	}
	if err == nil && f.found[digestQOP] {
		// RFC 7616, 3.4: both are there if qop is.
		err = f.need(digestNC, digestCNonce)
	}
	if err != nil {
		return Credentials{}, err
	}
	c := Credentials{
		Username:  f.value[digestUsername],
		Realm:     f.value[digestRealm],
		Nonce:     f.value[digestNonce],
		URI:       f.value[digestURI],
		Response:  f.value[digestResponse],
		Algorithm: f.algorithm(),
		Opaque:    f.value[digestOpaque],
		CNonce:    f.value[digestCNonce],
		QOP:       lower(f.value[digestQOP]),
		NCText:    f.value[digestNC],
	}
	if f.found[digestNC] {
		// nc-value = 8LHEX.
		nc, err := strconv.ParseUint(c.NCText, 16, 32)
		if err != nil || len(c.NCText) != 8 {
			return Credentials{}, errDigest
		}
		c.NC = uint32(nc)
	}
	// RFC 8760, 2.7: the response is empty before the first challenge.
	if f.found[digestQOP] && c.QOP == "" || span(c.Response, 0, classHex) != len(c.Response) {
		return Credentials{}, errDigest
	}
	return c, nil
}

// nc gives the nonce count as it takes part in the digest.
func (c *Credentials) nc() string {
	if c.NCText != "" {
		return c.NCText
	}
	s := strconv.FormatUint(uint64(c.NC), 16)
	return "00000000"[len(s):] + s
}

// Append appends the value of an Authorization header field.
func (c Credentials) Append(dst []byte) []byte {
	dst = appendQuoted(append(dst, "Digest username="...), c.Username)
	dst = appendQuoted(append(dst, ", realm="...), c.Realm)
	dst = appendQuoted(append(dst, ", nonce="...), c.Nonce)
	dst = appendQuoted(append(dst, ", uri="...), c.URI)
	dst = appendQuoted(append(dst, ", response="...), c.Response)
	if c.Algorithm != "" {
		dst = appendToken(append(dst, ", algorithm="...), string(c.Algorithm))
	}
	if c.CNonce != "" || c.QOP != "" {
		dst = appendQuoted(append(dst, ", cnonce="...), c.CNonce)
	}
	if c.Opaque != "" {
		dst = appendQuoted(append(dst, ", opaque="...), c.Opaque)
	}
	if c.QOP != "" {
		dst = appendToken(append(dst, ", qop="...), c.QOP)
	}
	if c.QOP != "" || c.NCText != "" {
		dst = appendToken(append(dst, ", nc="...), c.nc())
	}
	return dst
}

// HA1 is H(user:realm:password) in lower-case hex: RFC 7616, 3.4.2.
func HA1(a Algorithm, user, realm, password string) (string, error) {
	return digest(a, user, realm, password)
}

// DigestResponse is the request-digest of RFC 7616, 3.4.1 for c (Algorithm,
// URI, Nonce, NC, CNonce, QOP), with body for auth-int; without QOP the
// RFC 2069 form (RFC 3261, 22.4). The result is lower-case hex.
func DigestResponse(ha1 string, c Credentials, method Method, body string) (string, error) {
	var ha2 string
	var err error
	switch c.QOP {
	case "", qopAuth:
		ha2, err = digest(c.Algorithm, string(method), c.URI)
	case qopAuthInt:
		var hashed string
		if hashed, err = digest(c.Algorithm, body); err == nil {
			ha2, err = digest(c.Algorithm, string(method), c.URI, hashed)
		}
	default:
		return "", ErrQOP
	}
	if err != nil {
		return "", err
	}
	if c.QOP == "" {
		return digest(c.Algorithm, ha1, c.Nonce, ha2)
	}
	return digest(c.Algorithm, ha1, c.Nonce, c.nc(), c.CNonce, c.QOP, ha2)
}

// digest hashes the parts joined by colons.
func digest(a Algorithm, parts ...string) (string, error) {
	b := make([]byte, 0, 256)
	for i, part := range parts {
		if i > 0 {
			b = append(b, ':')
		}
		b = append(b, part...)
	}
	switch a {
	case AlgorithmMD5, "":
		sum := md5.Sum(b)
		return hex.EncodeToString(sum[:]), nil
	case AlgorithmSHA256:
		sum := sha256.Sum256(b)
		return hex.EncodeToString(sum[:]), nil
	case AlgorithmSHA512256:
		sum := sha512.Sum512_256(b)
		return hex.EncodeToString(sum[:]), nil
	}
	return "", ErrAlgorithm
}
