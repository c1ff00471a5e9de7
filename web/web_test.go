package web

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

var quiet = slog.New(slog.DiscardHandler)

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestHealthFollowsTheServer(t *testing.T) {
	t.Parallel()
	var sick atomic.Bool
	ts := httptest.NewServer(New(prometheus.NewRegistry(), func() error {
		if sick.Load() {
			return errors.New("store: write failed")
		}
		return nil
	}, quiet))
	defer ts.Close()
	for _, path := range []string{"/healthz", "/readyz"} {
		sick.Store(false)
		if code, body := get(t, ts.URL+path); code != 200 || body != "ok\n" {
			t.Errorf("%s well: got %d %q", path, code, body)
		}
		sick.Store(true)
		if code, body := get(t, ts.URL+path); code != 503 || body != "store: write failed\n" {
			t.Errorf("%s ill: got %d %q", path, code, body)
		}
	}
}

func TestMetricsShowTheRegistryAndTheBuild(t *testing.T) {
	t.Parallel()
	reg := NewRegistry("1.2.3")
	n := prometheus.NewCounter(prometheus.CounterOpts{Name: "tacit_test_total", Help: "Of the test."})
	reg.MustRegister(n)
	n.Add(7)
	ts := httptest.NewServer(New(reg, func() error { return nil }, quiet))
	defer ts.Close()
	code, body := get(t, ts.URL+"/metrics")
	if code != 200 {
		t.Fatalf("got %d", code)
	}
	for _, want := range []string{"tacit_test_total 7\n", `version="1.2.3"`, "go_goroutines", "process_"} {
		if !strings.Contains(body, want) {
			t.Errorf("metrics lack %q", want)
		}
	}
}

func TestOnlyWhatIsOffered(t *testing.T) {
	t.Parallel()
	ts := httptest.NewServer(New(NewRegistry(""), func() error { return nil }, quiet))
	defer ts.Close()
	if code, _ := get(t, ts.URL+"/debug/pprof/"); code != 404 {
		t.Errorf("profiling is open: %d", code)
	}
	resp, err := http.Post(ts.URL+"/metrics", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 405 {
		t.Errorf("POST: got %d", resp.StatusCode)
	}
}

func TestServerBoundsEveryPhase(t *testing.T) {
	t.Parallel()
	s := NewServer(http.NotFoundHandler(), nil, quiet)
	if s.ReadHeaderTimeout == 0 || s.ReadTimeout == 0 || s.WriteTimeout == 0 || s.IdleTimeout == 0 || s.MaxHeaderBytes == 0 {
		t.Errorf("an unbounded phase: %+v", s)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(ln) }()
	code, _ := get(t, "http://"+ln.Addr().String()+"/")
	if code != 404 {
		t.Errorf("got %d", code)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}

// TestLongTargetsArrive holds that what is longer than any URI of XCAP's reaches
// its handler, whose answer says so.
func TestLongTargetsArrive(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusRequestURITooLong) }), nil, quiet)
	go func() { _ = s.Serve(ln) }()
	t.Cleanup(func() { _ = s.Close() })
	for size, want := range map[int]int{10 << 10: 414, 60 << 10: 414, 200 << 10: 431} {
		resp, err := http.Get("http://" + ln.Addr().String() + "/" + strings.Repeat("a", size))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%d bytes: %d, want %d", size, resp.StatusCode, want)
		}
	}
}
