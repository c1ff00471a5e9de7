// Package certs gives the server its TLS certificate: from files that an
// operator keeps, or from a certificate authority of its own that it makes in
// its directory. Either can be renewed while connections are open.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

var (
	// ErrCA: the certificate authority's files cannot be used. They are never
	// replaced for that, since clients trust them.
	ErrCA = errors.New("certs: unusable certificate authority")
	// ErrCertificate: the certificate or its key cannot be used.
	ErrCertificate = errors.New("certs: unusable certificate")
	// ErrName: a name cannot be put into a certificate.
	ErrName = errors.New("certs: unusable name")
)

// maxFile bounds a PEM file: a long chain takes 20 KB.
const maxFile = 1 << 20

// Source holds the certificate in use. Its methods may be called from several
// goroutines.
type Source struct {
	load    func(now time.Time) (*tls.Certificate, error)
	reload  sync.Mutex // one at a time: Local may write files
	current atomic.Pointer[tls.Certificate]
}

// Files takes a certificate with its chain and its key from PEM files. The error
// wraps ErrCertificate or is the file system's.
func Files(certFile, keyFile string) (*Source, error) {
	return newSource(func(time.Time) (*tls.Certificate, error) { return readPair(certFile, keyFile) }, time.Time{})
}

func newSource(load func(time.Time) (*tls.Certificate, error), now time.Time) (*Source, error) {
	s := &Source{load: load}
	c, err := load(now)
	if err != nil {
		return nil, err
	}
	s.current.Store(c)
	return s, nil
}

// Reload takes the certificate anew: Files reads its files again; Local makes a
// new certificate if the old one nears its end. New connections get it. After an
// error the old one stays in use.
func (s *Source) Reload() error {
	s.reload.Lock()
	defer s.reload.Unlock()
	c, err := s.load(time.Now())
	if err != nil {
		return err
	}
	s.current.Store(c)
	return nil
}

// NotAfter returns when the certificate in use expires.
func (s *Source) NotAfter() time.Time { return s.Leaf().NotAfter }

// Leaf returns the certificate in use; it must not be changed.
func (s *Source) Leaf() *x509.Certificate { return s.current.Load().Leaf }

// suites are those of TLS 1.2 that RFC 9325, 4.2 recommends, and their kin with
// ChaCha20: forward secret, authenticated encryption. TLS 1.3 has no others.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// TLSConfig returns a new configuration for a listener. It follows Reload.
// RFC 9325, 3.1.1: nothing older than TLS 1.2.
func (s *Source) TLSConfig() *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS12,
		CipherSuites: suites,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return s.current.Load(), nil
		},
	}
}

// readPair reads and checks a certificate and its key. Its validity is not
// checked: an expired certificate still serves clients that do not look, and
// NotAfter tells the operator.
func readPair(certFile, keyFile string) (*tls.Certificate, error) {
	cert, err := readFile(certFile)
	if err != nil {
		return nil, err
	}
	key, err := readFile(keyFile)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%w: %s with %s: %w", ErrCertificate, certFile, keyFile, err)
	}
	if pair.Leaf == nil {
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrCertificate, certFile, err)
		}
	}
	return &pair, nil
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("certs: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("certs: %w", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%w: %s is larger than %d bytes", ErrCertificate, name, maxFile)
	}
	return data, nil
}
