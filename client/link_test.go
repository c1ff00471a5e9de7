package client

import (
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/tacit-presence/tacit/sip"
)

func TestWebSocket(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		f := newFake(t, nil)
		web := httptest.NewUnstartedServer(http.HandlerFunc(f.serveWS))
		cfg := Config{Transport: "ws"}
		if secure {
			web.StartTLS()
			cfg = Config{Transport: "wss", CAFile: writeCA(t, web)}
		} else {
			web.Start()
		}
		t.Cleanup(web.Close)
		cfg.Server = web.Listener.Addr().String()
		c := f.dial(cfg)
		s, err := c.Subscribe(t.Context(), "sip:bob@example.com", SubscribeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		next(t, s)
		m := f.seen(sip.MethodSubscribe)[0]
		contact, _ := m.Get(sip.HeaderContact)
		if !strings.HasSuffix(m.TopVia.Host, ".invalid") || m.TopVia.Transport != strings.ToUpper(cfg.Transport) ||
			!strings.Contains(contact, ".invalid;transport=ws>") {
			t.Errorf("Via %+v, Contact %s", m.TopVia, contact)
		}
		_ = c.Close()
	}
}

func writeCA(t *testing.T, web *httptest.Server) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	raw := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWebSocketWithoutSIP(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, err := websocket.Accept(w, r, nil); err == nil {
			_ = conn.CloseNow()
		}
	}))
	t.Cleanup(web.Close)
	_, err := Dial(t.Context(), Config{Server: web.URL[len("http://"):], Transport: "ws", User: "alice@example.com"})
	if !errors.Is(err, ErrProtocol) {
		t.Errorf("got %v", err)
	}
}

func TestParseServer(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		server    string
		transport sip.Transport
		want      string
		path      string
	}{
		{"example.com", sip.TransportUDP, "udp example.com:5060", "/"},
		{"example.com", sip.TransportTLS, "tls example.com:5061", "/"},
		{"sip:example.com", sip.TransportWS, "ws example.com:80", "/"},
		{"sip:example.com:5070;transport=tcp", sip.TransportTCP, "tcp example.com:5070", "/"},
		{"wss://example.com/sip", sip.TransportWSS, "wss example.com:443", "/sip"},
		{"ws://127.0.0.1:8080", sip.TransportWS, "ws 127.0.0.1:8080", "/"},
		{"127.0.0.1:5080", sip.TransportUDP, "udp 127.0.0.1:5080", "/"},
		{"[::1]:5080", sip.TransportUDP, "udp [::1]:5080", "/"},
		{"[::1]", sip.TransportUDP, "udp [::1]:5060", "/"},
		{"::1", sip.TransportUDP, "udp [::1]:5060", "/"},
	} {
		e, err := parseServer(tc.server, tc.transport)
		if err != nil || e.String() != tc.want || e.path != tc.path {
			t.Errorf("%q: got %s %s, %v", tc.server, e, e.path, err)
		}
	}
	for _, bad := range []string{"", ":5060", "example.com:0", "example.com:99999", "a b", "sip:", "ws://", "u@example.com"} {
		if e, err := parseServer(bad, sip.TransportUDP); !errors.Is(err, ErrConfig) {
			t.Errorf("%q: got %s, %v", bad, e, err)
		}
	}
}

func TestWrongConfig(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{
		"no user":      {},
		"no user part": {User: "sip:example.com"},
		"transport":    {User: "alice@example.com", Transport: "sctp"},
		"server":       {User: "alice@example.com", Server: "a:b:c"},
		"CA file":      {User: "alice@example.com", Transport: "tls", CAFile: "/nonexistent"},
	} {
		if _, err := Dial(t.Context(), cfg); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if strings.Contains((Config{Password: "secret"}).LogValue().String(), "secret") {
		t.Error("the password is logged")
	}
}
