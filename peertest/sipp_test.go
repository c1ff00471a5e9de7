package peertest

import (
	"fmt"
	"path/filepath"
	"strconv"
	"testing"
)

// sipp starts a scenario of testdata/sipp as a user. This sipp (3.6) takes the
// first challenge alone and knows no digest but MD5, so its scenarios call
// themselves baresip, which the server offers that.
func sipp(t *testing.T, s *server, scenario, user, transport, authURI string) *program {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", "sipp", scenario+".xml"))
	if err != nil {
		t.Fatal(err)
	}
	mode := map[string]string{"udp": "u1", "tcp": "t1"}[transport]
	return launch(t, t.TempDir(), "sipp", s.sip, "-sf", path, "-m", "1", "-t", mode,
		"-i", "127.0.0.1", "-p", strconv.Itoa(portOf(freePort(t))), "-cp", strconv.Itoa(portOf(freePort(t))),
		"-key", "user", user, "-au", user, "-ap", user[:1]+"-secret", "-auth_uri", authURI,
		"-timeout", "40", "-timeout_error", "-recv_timeout", "15000", "-nostdin", "-trace_err", "-error_file", "/dev/stderr")
}

// done wants sipp to have walked the whole scenario.
func played(t *testing.T, p *program) {
	t.Helper()
	if code := p.wait(2 * patience); code != 0 {
		t.Errorf("sipp ended with %d", code)
	}
}

func TestSipp(t *testing.T) {
	t.Parallel()
	needPeers(t, "sipp")
	s := serve(t, append(users, "--trust", "127.0.0.1/32")...)
	for _, transport := range []string{"udp", "tcp"} {
		for _, c := range []struct{ scenario, user, authURI string }{
			{"register", "bob", "example.com"},
			{"publish", "alice", "alice@example.com"},
			{"fetch", "bob", "alice@example.com"},
			{"refused", "bob", "bob@example.com"},
		} {
			t.Run(fmt.Sprintf("%s over %s", c.scenario, transport), func(t *testing.T) {
				played(t, sipp(t, s, c.scenario, c.user, transport, c.authURI))
			})
		}
		t.Run("watch over "+transport, func(t *testing.T) {
			before := s.metric("tacit_subscriptions")
			watcher := sipp(t, s, "watch", "bob", transport, "alice@example.com")
			eventually(t, "the subscription", func() bool { return s.metric("tacit_subscriptions") > before })
			played(t, sipp(t, s, "publish", "alice", transport, "alice@example.com"))
			played(t, watcher)
		})
	}
	s.healthy()
	s.stop()
}
