package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The files that Local keeps in its directory.
const (
	CAFile        = "ca.pem"         // the authority's certificate, for clients to trust
	CAKeyFile     = "ca-key.pem"     // its key, for nobody else
	ServerFile    = "server.pem"     // the server's certificate
	ServerKeyFile = "server-key.pem" // its key
)

const (
	// caLife: clients must be told of a new authority by hand, so rarely.
	caLife = 10 * 365 * 24 * time.Hour
	// serverLife is below the 398 days that browsers bear, for wss and https.
	serverLife = 365 * 24 * time.Hour
	// renewBefore is how long before its end a certificate is replaced.
	renewBefore = 30 * 24 * time.Hour
	// backdate lets in clients whose clocks are slow.
	backdate = time.Hour
	// maxCommonName is X.520's bound.
	maxCommonName = 64
)

// Names are what the server's certificate is for, beside localhost.
type Names struct {
	// Domains are the SIP domains, the first the main one. Each is in the
	// certificate as sip URI (RFC 5922, 7.1) and as DNS name, for the clients
	// that look for that.
	Domains []string
	// Hosts are further names or IP addresses that clients connect to, such as
	// the advertised one.
	Hosts []string
}

// Local makes, or takes up again, a certificate authority in dir and a
// certificate of it for localhost, 127.0.0.1, ::1 and names; all with ECDSA
// P-256. The certificate is made anew when it nears its end or names change,
// the authority when it nears its own. The error wraps ErrCA, ErrName or is the
// file system's.
func Local(dir string, names Names, now time.Time) (*Source, error) {
	want, err := names.certificate()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("certs: %w", err)
	}
	return newSource(func(now time.Time) (*tls.Certificate, error) { return local(dir, want, now) }, now)
}

func local(dir string, want *x509.Certificate, now time.Time) (*tls.Certificate, error) {
	ca, err := authority(dir, now)
	if err != nil {
		return nil, err
	}
	certFile, keyFile := filepath.Join(dir, ServerFile), filepath.Join(dir, ServerKeyFile)
	// The certificate can be made again at any time: whatever is wrong with the
	// old one, a new one is the answer.
	if pair, err := readPair(certFile, keyFile); err == nil && serves(pair.Leaf, want, ca.Leaf, now) {
		return pair, nil
	}
	template := *want
	template.NotBefore = now.Add(-backdate)
	template.NotAfter = now.Add(serverLife)
	if end := ca.Leaf.NotAfter; template.NotAfter.After(end) {
		template.NotAfter = end
	}
	if err := issue(&template, ca, certFile, keyFile); err != nil {
		return nil, err
	}
	return readPair(certFile, keyFile)
}

// serves reports whether have does for what is wanted for some time yet.
func serves(have, want, ca *x509.Certificate, now time.Time) bool {
	return !now.Before(have.NotBefore) && now.Before(have.NotAfter.Add(-renewBefore)) &&
		slices.Equal(subjects(have), subjects(want)) && have.CheckSignatureFrom(ca) == nil
}

// subjects lists the alternative names of c, sorted.
func subjects(c *x509.Certificate) []string {
	var s []string
	for _, n := range c.DNSNames {
		s = append(s, "DNS:"+n)
	}
	for _, ip := range c.IPAddresses {
		s = append(s, "IP:"+ip.String())
	}
	for _, u := range c.URIs {
		s = append(s, "URI:"+u.String())
	}
	slices.Sort(s)
	return s
}

// certificate makes a template without times.
func (n Names) certificate() (*x509.Certificate, error) {
	c := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "Tacit"},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		// Not a CA, and it says so.
		BasicConstraintsValid: true,
	}
	for _, name := range slices.Concat([]string{"localhost", "127.0.0.1", "::1"}, n.Domains, n.Hosts) {
		if err := addName(c, name); err != nil {
			return nil, err
		}
	}
	for i, d := range n.Domains {
		d = strings.ToLower(d)
		u := &url.URL{Scheme: "sip", Opaque: d}
		if !slices.ContainsFunc(c.URIs, func(v *url.URL) bool { return *v == *u }) {
			c.URIs = append(c.URIs, u)
		}
		if i == 0 && len(d) <= maxCommonName {
			c.Subject.CommonName = d
		}
	}
	return c, nil
}

// addName adds a DNS name or an IP address, IPv6 in brackets or not, once.
func addName(c *x509.Certificate, name string) error {
	bare := strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	if a, err := netip.ParseAddr(bare); err == nil {
		ip := net.IP(a.Unmap().WithZone("").AsSlice())
		if !slices.ContainsFunc(c.IPAddresses, ip.Equal) {
			c.IPAddresses = append(c.IPAddresses, ip)
		}
		return nil
	}
	name = strings.ToLower(name)
	if !isHostName(name) {
		return fmt.Errorf("%w: %q is neither a host name nor an IP address", ErrName, name)
	}
	if !slices.Contains(c.DNSNames, name) {
		c.DNSNames = append(c.DNSNames, name)
	}
	return nil
}

// isHostName: RFC 5922, 7.2: no wildcards, so letters, digits and inner hyphens
// only (and the underscore that some networks use).
func isHostName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

// authority reads the CA of dir, or makes one if there is none or it nears its
// end.
func authority(dir string, now time.Time) (*tls.Certificate, error) {
	certFile, keyFile := filepath.Join(dir, CAFile), filepath.Join(dir, CAKeyFile)
	ca, err := readPair(certFile, keyFile)
	switch {
	case err == nil && !ca.Leaf.IsCA:
		return nil, fmt.Errorf("%w: %s is not a CA's certificate", ErrCA, certFile)
	case err == nil && now.Before(ca.Leaf.NotAfter.Add(-renewBefore)):
		return ca, nil
	case err == nil:
		// It nears its end. It goes first, or else a stop between the writing
		// of the new key and certificate would leave two that do not fit.
		if err := os.Remove(certFile); err != nil {
			return nil, fmt.Errorf("certs: %w", err)
		}
	case errors.Is(err, fs.ErrNotExist):
		if _, statErr := os.Lstat(certFile); statErr == nil {
			return nil, fmt.Errorf("%w: there is %s without its key: %w", ErrCA, certFile, err)
		}
	default:
		return nil, fmt.Errorf("%w: %w", ErrCA, err)
	}
	if err := makeAuthority(certFile, keyFile, now); err != nil {
		return nil, err
	}
	return readPair(certFile, keyFile)
}

func makeAuthority(certFile, keyFile string, now time.Time) error {
	// Several authorities of one name confuse the clients that know more than
	// one.
	id := make([]byte, 4)
	if _, err := rand.Read(id); err != nil {
		return fmt.Errorf("certs: %w", err)
	}
	return issue(&x509.Certificate{
		Subject:               pkix.Name{CommonName: "Tacit CA " + hex.EncodeToString(id)},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(caLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}, nil, certFile, keyFile)
}

// issue makes a key and a certificate for it, signed by ca or, if that is nil,
// by itself, and writes both; the key first, so that a certificate never stands
// without its key.
func issue(template *x509.Certificate, ca *tls.Certificate, certFile, keyFile string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("certs: %w", err)
	}
	parent, signer := template, any(key)
	if ca != nil {
		parent, signer = ca.Leaf, ca.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return fmt.Errorf("certs: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("certs: %w", err)
	}
	if err := writePEM(keyFile, "PRIVATE KEY", keyDER, 0o600); err != nil {
		return err
	}
	return writePEM(certFile, "CERTIFICATE", der, 0o644)
}
