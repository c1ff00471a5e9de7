package peertest

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"
)

// baresip is a running baresip 1.0, which is bob: it registers, publishes
// itself and watches alice.
type baresip struct {
	*program
	control string
}

const baresipConfig = `poll_method epoll
sip_listen %s
sip_verify_server yes
sip_cafile %s
module_path %s
module_tmp account.so
module_app contact.so
module_app menu.so
module_app presence.so
module_app ctrl_tcp.so
ctrl_tcp_listen %s
`

// startBaresip starts it with its SIP trace on standard output.
func startBaresip(t *testing.T, s *server, transport string) *baresip {
	t.Helper()
	dir := t.TempDir()
	modules, err := filepath.Glob("/usr/lib*/baresip/modules")
	if err != nil || len(modules) == 0 {
		t.Fatalf("baresip's modules are not where Debian has them: %v", err)
	}
	proxy := s.sip
	if transport == "tls" {
		proxy = s.sips
	}
	own := freePorts(t, 2) // the second one is for TLS
	b := &baresip{control: freePort(t)}
	for name, text := range map[string]string{
		"config": fmt.Sprintf(baresipConfig, own, filepath.Join(s.dir, "ca.pem"), modules[0], b.control),
		"accounts": fmt.Sprintf("<sip:bob@example.com>;auth_user=bob;auth_pass=b-secret;regint=600;pubint=10;"+
			"outbound=\"sip:%s;transport=%s\"\n", proxy, transport),
		"contacts": "\"Alice\" <sip:alice@example.com>;presence=p2p\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.program = launch(t, dir, "baresip", "-f", dir, "-s", "-v")
	b.expect(`baresip is ready`)
	return b
}

// command gives baresip a command over its control socket (a netstring of
// JSON), and gives what it says.
func (b *baresip) command(name string) string {
	b.t.Helper()
	c, err := net.DialTimeout("tcp", b.control, patience)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(patience))
	text, err := json.Marshal(map[string]string{"command": name, "params": "", "token": "t"})
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(c, "%d:%s,", len(text), text); err != nil {
		b.t.Fatal(err)
	}
	var size int
	if _, err := fmt.Fscanf(c, "%d:", &size); err != nil || size > 1<<20 {
		b.t.Fatalf("baresip's control socket: %d %v", size, err)
	}
	reply := make([]byte, size)
	if _, err := io.ReadFull(c, reply); err != nil {
		b.t.Fatal(err)
	}
	var r struct {
		OK   bool   `json:"ok"`
		Data string `json:"data"`
	}
	if err := json.Unmarshal(reply, &r); err != nil || !r.OK {
		b.t.Fatalf("baresip's answer to %s: %s %v", name, reply, err)
	}
	return r.Data
}

// publish gives a command that makes baresip publish, and waits until it knows
// the new entity-tag.
func (b *baresip) publish(command string) {
	b.t.Helper()
	mark := b.len()
	b.command(command)
	b.expectAfter(mark, `SIP-ETag: `)
}

// colour is the escape sequence around what baresip prints.
const colour = `(?:\x1b?\[[0-9;]*m)?`

func TestBaresip(t *testing.T) {
	t.Parallel()
	needPeers(t, "baresip")
	for _, transport := range []string{"udp", "tcp", "tls"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			s := serve(t, users...)
			watch := s.watch("alice", "bob", transport)
			watch.expect(`"state":"active".*"status":"closed"`)

			b := startBaresip(t, s, transport)
			b.expect(`200 OK \(\) \[1 binding\]`)
			watch.expect(`"status":"open"`)

			// As a watcher.
			eventually(t, "baresip's subscription", func() bool {
				return regexp.MustCompile(`sip:bob@example\.com`).MatchString(s.operate("subs", "list", "sip:alice@example.com"))
			})
			mark := b.len()
			p := s.publish("alice", transport, "--note", "at my desk")
			b.expectAfter(mark, `<sip:alice@example\.com> changed status from `+colour+`(?:Offline|Unknown)`+colour+` to `+colour+`Online`)
			if list := b.command("contacts"); !regexp.MustCompile(`Online.*Alice`).MatchString(list) {
				t.Errorf("baresip's contacts: %q", list)
			}
			mark = b.len()
			p.signal(syscall.SIGINT)
			if code := p.wait(patience); code != 0 {
				t.Errorf("tacit publish ended with %d", code)
			}
			b.expectAfter(mark, `<sip:alice@example\.com> changed status from `+colour+`Online`+colour+` to `+colour+`Offline`)

			// As a source. It may publish twice before its first entity-tag
			// returns, and then forgets one of the two, which runs out after
			// pubint: so each of these may take that long.
			mark = watch.len()
			b.publish("presence_offline")
			watch.expectAfter(mark, `"status":"closed"`)
			mark = watch.len()
			b.publish("presence_online")
			watch.expectAfter(mark, `"status":"open"`)
			mark = watch.len()
			b.signal(syscall.SIGTERM)
			b.wait(patience)
			watch.expectAfter(mark, `"state":"active",(?:"status":"closed"|"document":)`)
			eventually(t, "the end of baresip's publications", func() bool {
				return !regexp.MustCompile(`sip:bob@example`).MatchString(s.operate("pubs", "list"))
			})
			s.healthy()
			s.stop()
		})
	}
}
