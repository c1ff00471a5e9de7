package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var start = time.Now()

func mustLocal(t *testing.T, dir string, names Names, now time.Time) *Source {
	t.Helper()
	s, err := Local(dir, names, now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustRead(t *testing.T, parts ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// handshake connects to a listener's configuration and returns what the client
// saw.
func handshake(t *testing.T, server, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	go tls.Server(a, server).Handshake() //nolint:errcheck // the client's side tells
	c := tls.Client(b, client)
	err := c.Handshake()
	return c.ConnectionState(), err
}

func TestLocalIsTrustedForItsNames(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "made")
	s := mustLocal(t, dir, Names{Domains: []string{"Example.com", "example.net"}, Hosts: []string{"sip.example.com", "192.0.2.7", "[2001:db8::1]"}}, start)

	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(mustRead(t, dir, CAFile)) {
		t.Fatal("no certificate in", CAFile)
	}
	for _, name := range []string{"localhost", "127.0.0.1", "::1", "example.com", "example.net", "sip.example.com", "192.0.2.7", "2001:db8::1"} {
		state, err := handshake(t, s.TLSConfig(), &tls.Config{RootCAs: roots, ServerName: name, MinVersion: tls.VersionTLS12})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if state.Version != tls.VersionTLS13 {
			t.Errorf("%s: version %x", name, state.Version)
		}
	}
	if _, err := handshake(t, s.TLSConfig(), &tls.Config{RootCAs: roots, ServerName: "example.org"}); err == nil {
		t.Error("the certificate serves a name that was not asked for")
	}
	want := []string{"URI:sip:example.com", "URI:sip:example.net"}
	if got := subjects(s.Leaf()); !slices.Contains(got, want[0]) || !slices.Contains(got, want[1]) {
		t.Errorf("names %v lack %v", got, want)
	}
	if s.Leaf().IsCA {
		t.Error("the server's certificate is a CA's")
	}
}

func TestTLSVersions(t *testing.T) {
	t.Parallel()
	s := mustLocal(t, t.TempDir(), Names{}, start)
	client := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12}
	state, err := handshake(t, s.TLSConfig(), client)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(suites, state.CipherSuite) {
		t.Errorf("suite %s", tls.CipherSuiteName(state.CipherSuite))
	}
	client.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
	if _, err := handshake(t, s.TLSConfig(), client); err == nil {
		t.Error("a CBC suite is accepted")
	}
	old := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	if _, err := handshake(t, s.TLSConfig(), old); err == nil {
		t.Error("TLS 1.1 is accepted")
	}
}

func TestLocalIsKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	names := Names{Domains: []string{"example.com"}}
	first := mustLocal(t, dir, names, start)
	ca := mustRead(t, dir, CAFile)
	again := mustLocal(t, dir, names, start.Add(300*24*time.Hour))
	if !first.Leaf().Equal(again.Leaf()) {
		t.Error("the certificate changed without need")
	}

	other := mustLocal(t, dir, Names{Domains: []string{"example.com"}, Hosts: []string{"10.1.2.3"}}, start)
	if other.Leaf().Equal(first.Leaf()) {
		t.Error("the certificate does not follow the names")
	}
	late := mustLocal(t, dir, names, start.Add(340*24*time.Hour))
	if got := late.NotAfter(); !got.After(start.Add(700 * 24 * time.Hour)) {
		t.Errorf("near its end the certificate still ends on %v", got)
	}
	early := mustLocal(t, dir, names, start.Add(-48*time.Hour))
	if early.Leaf().NotBefore.After(start.Add(-48 * time.Hour)) {
		t.Error("a certificate from the future is kept")
	}
	if !bytes.Equal(ca, mustRead(t, dir, CAFile)) {
		t.Error("the authority changed")
	}
	for name, mode := range map[string]fs.FileMode{CAFile: 0o644, CAKeyFile: 0o600, ServerFile: 0o644, ServerKeyFile: 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
	if files, _ := os.ReadDir(dir); len(files) != 4 {
		t.Errorf("files left over: %v", files)
	}
}

func TestAuthorityAtItsEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := mustLocal(t, dir, Names{}, start)
	end := start.Add(caLife)
	ca := mustRead(t, dir, CAFile)

	// A server's certificate does not outlive the authority.
	near := mustLocal(t, dir, Names{}, end.Add(-60*24*time.Hour))
	if near.NotAfter().After(end) {
		t.Errorf("ends on %v, the authority on %v", near.NotAfter(), end)
	}
	if !bytes.Equal(ca, mustRead(t, dir, CAFile)) {
		t.Error("the authority changed too early")
	}
	after := mustLocal(t, dir, Names{}, end.Add(-time.Hour))
	if bytes.Equal(ca, mustRead(t, dir, CAFile)) || after.Leaf().Equal(first.Leaf()) {
		t.Error("the authority is not renewed")
	}
	mustLocal(t, dir, Names{}, end)
}

func TestLocalDamage(t *testing.T) {
	t.Parallel()
	remove := func(t *testing.T, dir, name string) {
		t.Helper()
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	write := func(t *testing.T, dir, name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		damage func(t *testing.T, dir string)
		want   error
	}{
		"server key lost":      {func(t *testing.T, dir string) { remove(t, dir, ServerKeyFile) }, nil},
		"server lost":          {func(t *testing.T, dir string) { remove(t, dir, ServerFile) }, nil},
		"server damaged":       {func(t *testing.T, dir string) { write(t, dir, ServerFile, "x") }, nil},
		"authority's key lost": {func(t *testing.T, dir string) { remove(t, dir, CAKeyFile) }, ErrCA},
		"authority damaged":    {func(t *testing.T, dir string) { write(t, dir, CAFile, "x") }, ErrCA},
		"authority huge":       {func(t *testing.T, dir string) { write(t, dir, CAFile, strings.Repeat("x", maxFile+1)) }, ErrCA},
		"stopped midway":       {func(t *testing.T, dir string) { remove(t, dir, CAFile) }, nil},
		"not an authority": {func(t *testing.T, dir string) {
			write(t, dir, CAFile, string(mustRead(t, dir, ServerFile)))
			write(t, dir, CAKeyFile, string(mustRead(t, dir, ServerKeyFile)))
		}, ErrCA},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			mustLocal(t, dir, Names{}, start)
			c.damage(t, dir)
			s, err := Local(dir, Names{}, start)
			if !errors.Is(err, c.want) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			if err == nil {
				roots := x509.NewCertPool()
				roots.AppendCertsFromPEM(mustRead(t, dir, CAFile))
				if _, err := handshake(t, s.TLSConfig(), &tls.Config{RootCAs: roots, ServerName: "localhost"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "*.example.com", "a b", "a..b", "-a", "a-", "a\x00b", "exämple", strings.Repeat("a", 64), strings.Repeat("a.", 127) + "a"} {
		if _, err := Local(t.TempDir(), Names{Domains: []string{bad}}, start); !errors.Is(err, ErrName) {
			t.Errorf("domain %q: %v", bad, err)
		}
	}
	s := mustLocal(t, t.TempDir(), Names{Domains: []string{"EXAMPLE.com", "example.com", "192.0.2.1"}, Hosts: []string{"localhost", "::ffff:127.0.0.1"}}, start)
	want := []string{"DNS:example.com", "DNS:localhost", "IP:127.0.0.1", "IP:192.0.2.1", "IP:::1", "URI:sip:192.0.2.1", "URI:sip:example.com"}
	if got := subjects(s.Leaf()); !slices.Equal(got, want) {
		t.Errorf("names %v, want %v", got, want)
	}
}

func TestReloadKeepsTheOldOnError(t *testing.T) {
	t.Parallel()
	dir, other := t.TempDir(), t.TempDir()
	mustLocal(t, dir, Names{}, start)
	mustLocal(t, other, Names{}, start)
	certFile, keyFile := filepath.Join(dir, ServerFile), filepath.Join(dir, ServerKeyFile)
	s, err := Files(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	old := s.Leaf()
	for name, text := range map[string][]byte{"another key's": mustRead(t, other, ServerFile), "no": []byte("x")} {
		if err := os.WriteFile(certFile, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.Reload(); !errors.Is(err, ErrCertificate) {
			t.Errorf("with %s certificate: %v", name, err)
		}
		if s.Leaf() != old {
			t.Errorf("with %s certificate the old one is gone", name)
		}
	}
	// Both new: taken, by listeners that run already.
	config := s.TLSConfig()
	for _, name := range []string{ServerFile, ServerKeyFile} {
		if err := os.WriteFile(filepath.Join(dir, name), mustRead(t, other, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	state, err := handshake(t, config, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	if state.PeerCertificates[0].Equal(old) {
		t.Error("the listener still shows the old certificate")
	}
	if _, err := Files(filepath.Join(dir, "none"), keyFile); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func TestReloadWhileInUse(t *testing.T) {
	t.Parallel()
	s := mustLocal(t, t.TempDir(), Names{}, start.Add(-350*24*time.Hour))
	config := s.TLSConfig()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5 {
				if _, err := handshake(t, config, &tls.Config{InsecureSkipVerify: true}); err != nil {
					t.Error(err)
				}
				if err := s.Reload(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if s.NotAfter().Before(start.Add(300 * 24 * time.Hour)) {
		t.Errorf("not renewed: ends on %v", s.NotAfter())
	}
}

func TestWriteFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// A directory in the file's place cannot be replaced.
	if err := os.MkdirAll(filepath.Join(dir, CAKeyFile, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Local(dir, Names{}, start); err == nil {
		t.Fatal("no error")
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("files left over: %v", files)
	}
}
