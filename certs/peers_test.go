package certs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestOpenSSL lets an independent peer judge the certificates. It runs where
// TACIT_PEERS=1 says that the peers are installed.
func TestOpenSSL(t *testing.T) {
	t.Parallel()
	if os.Getenv("TACIT_PEERS") != "1" {
		return
	}
	dir := t.TempDir()
	mustLocal(t, dir, Names{Domains: []string{"example.com"}, Hosts: []string{"192.0.2.7"}}, start)
	ca, server := filepath.Join(dir, CAFile), filepath.Join(dir, ServerFile)
	openssl := func(args ...string) string {
		t.Helper()
		out, err := exec.Command("openssl", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	for _, name := range []string{"localhost", "example.com"} {
		openssl("verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", ca, "-verify_hostname", name, server)
	}
	for _, ip := range []string{"127.0.0.1", "::1", "192.0.2.7"} {
		openssl("verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", ca, "-verify_ip", ip, server)
	}
	openssl("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", ca, server)
	openssl("pkey", "-noout", "-check", "-in", filepath.Join(dir, ServerKeyFile))
	if out := openssl("x509", "-noout", "-ext", "subjectAltName", "-in", server); !strings.Contains(out, "URI:sip:example.com") {
		t.Errorf("no sip URI in %s", out)
	}
}
