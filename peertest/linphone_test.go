package peertest

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// linphoneConfig makes linphone bob: it registers, publishes itself and watches
// alice. A port of -1 is any that is free.
const linphoneConfig = `[sip]
sip_port=-1
sip_tcp_port=-1
sip_tls_port=-1
use_ipv6=0
default_proxy=0
publish_presence=1
root_ca=%[3]s
verify_server_certs=1
verify_server_cn=1

[net]
firewall_policy=0

[proxy_0]
reg_proxy=<sip:%[1]s;transport=%[2]s>
reg_route=<sip:%[1]s;transport=%[2]s>
reg_identity=sip:bob@example.com
reg_expires=600
reg_sendregister=1
publish=1
publish_expires=600

[auth_info_0]
username=bob
passwd=b-secret
realm=example.com
domain=example.com

[friend_0]
url="Alice" <sip:alice@example.com>
pol=accept
subscribe=1
`

// startLinphone starts linphonec with its log, which holds every message, on
// standard output. quit ends it as its user would.
func startLinphone(t *testing.T, s *server, transport string) (p *program, quit func()) {
	t.Helper()
	dir := t.TempDir()
	proxy := s.sip
	if transport == "tls" {
		// Its TLS library finds no address in a certificate, only names.
		proxy = fmt.Sprintf("localhost:%d", portOf(s.sips))
	}
	config := filepath.Join(dir, "linphonerc")
	text := fmt.Sprintf(linphoneConfig, proxy, transport, filepath.Join(s.dir, "ca.pem"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// Without a place for its database it does not start, and does not say so.
	for _, sub := range []string{".local/share/linphone", ".config/linphone", "linphone"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close() })
	p = launchWith(t, in, dir, "linphonec", "-c", config, "-d", "6")
	_ = in.Close()
	return p, func() {
		_, _ = io.WriteString(out, "quit\n")
		_ = out.Close()
	}
}

func TestLinphone(t *testing.T) {
	t.Parallel()
	needPeers(t, "linphonec")
	for _, transport := range []string{"udp", "tcp", "tls"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			s := serve(t, users...)
			watch := s.watch("alice", "bob", transport)
			watch.expect(`"state":"active".*"status":"closed"`)

			l, quit := startLinphone(t, s, transport)
			l.expect(`moving from state \[LinphoneRegistrationProgress\] to \[LinphoneRegistrationOk\]`)
			l.expect(`has presence \[closed\]`)
			watch.expect(`"status":"open"`)
			if list := s.operate("subs", "list", "sip:alice@example.com"); !strings.Contains(list, "sip:bob@example.com") {
				t.Errorf("linphone is not among the watchers: %s", list)
			}

			// As a watcher.
			mark := l.len()
			p := s.publish("alice", transport, "--note", "at my desk")
			l.expectAfter(mark, `We are notified that \["Alice" <sip:alice@example\.com>\] has presence \[open\]`)
			mark = l.len()
			p.signal(syscall.SIGINT)
			l.expectAfter(mark, `We are notified that \["Alice" <sip:alice@example\.com>\] has presence \[closed\]`)

			// Rules reach it at once.
			mark = l.len()
			s.operate("rules", "block", "sip:alice@example.com", "sip:bob@example.com")
			l.expectAfter(mark, `Subscription-State: terminated;reason=rejected`)

			// As a source that leaves.
			mark = watch.len()
			quit()
			l.wait(patience)
			watch.expectAfter(mark, `"status":"closed"`)
			if list := s.operate("pubs", "list", "sip:bob@example.com"); strings.Contains(list, "bob@") {
				t.Errorf("linphone's publication outlives it: %s", list)
			}
			s.healthy()
			s.stop()
		})
	}
}
