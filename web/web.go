// Package web serves what operators' tools read over HTTP: Prometheus metrics
// and health. It knows nothing of the server: it is given a registry and a
// question to ask.
package web

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Limits of the listener: its readers are scrapers and probes on a network of
// ours, whose requests are short and come whole, and clients of XCAP.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 2 * time.Minute // longer than a usual scrape interval, so that a connection serves many
	// maxHeader leaves room for what is longer than any URI of XCAP's, so that
	// XCAP itself can answer it (414).
	maxHeader = 64 << 10
	// maxScrapes is how many answers with metrics are made at once; each costs
	// a walk over all of them.
	maxScrapes = 4
)

// NewRegistry makes a registry with the Go runtime's, the process' and the
// build's own metrics; the server adds its own.
func NewRegistry(version string) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	goVersion := "unknown"
	if b, ok := debug.ReadBuildInfo(); ok {
		goVersion = b.GoVersion
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "tacit_build_info",
		Help:        "Always 1; the labels tell what runs.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": goVersion},
	})
	build.Set(1)
	reg.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), build)
	return reg
}

// New makes the handler of the http and https listeners:
//
//	/metrics  all of reg, in Prometheus' formats
//	/healthz  200 "ok" while health returns nil, else 503 with its words
//	/readyz   the same: the server opens its listeners when all of it is ready
//
// health is called for each probe and must be fast. log gets what fails while
// metrics are gathered.
func New(reg *prometheus.Registry, health func() error, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.InstrumentMetricHandler(reg, promhttp.HandlerFor(reg, promhttp.HandlerOpts{
		ErrorLog:            scrapeLog{log},
		ErrorHandling:       promhttp.ContinueOnError, // one broken metric must not hide the others
		MaxRequestsInFlight: maxScrapes,
		Timeout:             writeTimeout - time.Second,
	})))
	probe := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		if err := health(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, err.Error()+"\n")
			return
		}
		io.WriteString(w, "ok\n")
	}
	mux.HandleFunc("GET /healthz", probe)
	mux.HandleFunc("GET /readyz", probe)
	return mux
}

// NewServer makes an HTTP server for h with time-outs that no slow or silent
// client outlasts. tlsConfig is nil on the clear-text listener. The caller
// serves on listeners of its own and calls Shutdown.
func NewServer(h http.Handler, tlsConfig *tls.Config, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		TLSConfig:         tlsConfig,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // scanners fill it
	}
}

// scrapeLog gives promhttp's errors to slog.
type scrapeLog struct{ log *slog.Logger }

// Println is promhttp.Logger.
func (l scrapeLog) Println(v ...any) { l.log.Error("metrics could not be gathered", "error", v) }
