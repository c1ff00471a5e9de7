package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/tacit-presence/tacit/load"
	"github.com/tacit-presence/tacit/sip"
)

// xcapClient puts documents as a softphone does: over one connection that is kept,
// each user with a nonce that is used again (RFC 7616, 3.4).
type xcapClient struct {
	root   string
	http   *http.Client
	proofs map[int]*proof // by user
}

// proof is what a user answers a challenge with.
type proof struct {
	challenge sip.Challenge
	ha1       string
	nc        uint32
}

func newXCAPClient(address string) *xcapClient {
	return &xcapClient{
		root: "http://" + address, proofs: map[int]*proof{},
		http: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 1}},
	}
}

// put puts the rules of user i.
func (c *xcapClient) put(ctx context.Context, i int, body string) error {
	for range 2 { // the first answer may be a challenge
		status, challenges, err := c.once(ctx, i, body)
		switch {
		case err != nil:
			return err
		case status == http.StatusOK || status == http.StatusCreated:
			return nil
		case status != http.StatusUnauthorized:
			return fmt.Errorf("PUT of the rules of user%d: %d %s", i, status, http.StatusText(status))
		}
		if err := c.learn(i, challenges); err != nil {
			return err
		}
	}
	return fmt.Errorf("PUT of the rules of user%d: challenged again", i)
}

func (c *xcapClient) once(ctx context.Context, i int, body string) (status int, challenges []string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, c.root+xcapPath(i), strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/auth-policy+xml")
	if p := c.proofs[i]; p != nil {
		value, err := p.answer(i, req.URL.RequestURI())
		if err != nil {
			return 0, nil, err
		}
		req.Header.Set("Authorization", value)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body) // else the connection is not kept
	return resp.StatusCode, resp.Header.Values("WWW-Authenticate"), err
}

func userName(i int) string { return fmt.Sprintf("user%d", i) }

// password is that of the users file.
func password(i int) string { return fmt.Sprintf("secret%d", i) }

// learn takes the challenge for SHA-256.
func (c *xcapClient) learn(i int, challenges []string) error {
	for _, value := range challenges {
		ch, err := sip.ParseChallenge(value)
		if err != nil || ch.Algorithm != sip.AlgorithmSHA256 {
			continue
		}
		ha1, err := sip.HA1(ch.Algorithm, userName(i), ch.Realm, password(i))
		if err != nil {
			return err
		}
		c.proofs[i] = &proof{challenge: ch, ha1: ha1}
		return nil
	}
	return errors.New("PUT: no challenge for SHA-256")
}

// answer makes an Authorization for a PUT.
func (p *proof) answer(i int, uri string) (string, error) {
	p.nc++
	cr := sip.Credentials{
		Username: userName(i), Realm: p.challenge.Realm, Nonce: p.challenge.Nonce, URI: uri,
		Algorithm: p.challenge.Algorithm, Opaque: p.challenge.Opaque, QOP: "auth", NC: p.nc, CNonce: rand.Text(),
	}
	var err error
	if cr.Response, err = sip.DigestResponse(p.ha1, cr, http.MethodPut, ""); err != nil {
		return "", err
	}
	return string(cr.Append(nil)), nil
}

// put is what the PUTs of documents that exist cost, each.
type put struct {
	count  int
	bytes  int     // of a document
	cpu    float64 // of the server, in milliseconds
	millis float64 // until its answer
}

// measure changes the document of every user once.
func (c *xcapClient) measure(ctx context.Context, pid int) (put, error) {
	bodies := make([]string, presentities)
	p := put{count: len(bodies)}
	for i := range bodies {
		bodies[i] = ruleDocument(i, 1)
		p.bytes += len(bodies[i])
	}
	p.bytes /= p.count
	before, err := load.ReadCPU(pid)
	if err != nil {
		return p, err
	}
	began := time.Now()
	for i, body := range bodies {
		if err := c.put(ctx, i, body); err != nil {
			return p, err
		}
	}
	took := time.Since(began)
	after, err := load.ReadCPU(pid)
	each := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 / float64(p.count) }
	p.cpu, p.millis = each(after-before), each(took)
	return p, err
}
