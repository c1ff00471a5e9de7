package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tacit-presence/tacit/certs"
	"github.com/tacit-presence/tacit/edge"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/web"
)

// Version is the program's, shown in the metrics; the linker may set it.
var Version = "0.1.0-dev"

// Start opens all listeners; each accepts when it returns.
func (s *Server) Start(ctx context.Context) error {
	if err := s.listen(); err != nil {
		_ = s.Shutdown(ctx)
		return err
	}
	s.running = true
	s.Run()
	control, err := ListenControl(s.cfg.Dir, s.Admin(), s.log)
	if err != nil {
		_ = s.Shutdown(ctx)
		return err
	}
	s.control = control
	go s.renew()
	return nil
}

// renewEvery is how often a certificate of our own making is looked at.
const renewEvery = 12 * time.Hour

// renew replaces a certificate before it ends, until the server stops.
func (s *Server) renew() {
	ticker := time.NewTicker(renewEvery)
	defer ticker.Stop()
	for {
		select {
		case <-s.stopped:
			return
		case <-ticker.C:
			if err := s.cert.Reload(); err != nil {
				s.log.Error("cannot renew the certificate, the old one stays", "error", err)
			}
		}
	}
}

// bound is a listener that nobody reads from yet.
type bound struct {
	t  sip.Transport
	at netip.AddrPort
	pc *net.UDPConn
	l  net.Listener
}

func (b bound) close() {
	if b.pc != nil {
		_ = b.pc.Close()
	} else {
		_ = b.l.Close()
	}
}

// listen binds everything first, so that a port that is taken ends the start
// before a message is read.
func (s *Server) listen() error {
	all, err := s.bindAll()
	// With port 0, the port that UDP was given may be taken for TCP.
	for range portAttempts {
		if err == nil || !errors.Is(err, syscall.EADDRINUSE) || !slices.ContainsFunc(s.cfg.Listen, anyPort) {
			break
		}
		all, err = s.bindAll()
	}
	if err != nil {
		return err
	}
	for _, b := range all {
		s.addrs.add(b.t, b.at, s.cfg.Advertise)
		s.listening = append(s.listening, Listener{Transport: b.t, Address: b.at.String()})
	}
	if err := s.listenWeb(); err != nil {
		for _, b := range all {
			b.close()
		}
		return err
	}
	for _, b := range all {
		var err error
		switch b.t {
		case sip.TransportUDP:
			err = s.edge.ServeUDP(b.pc)
		case sip.TransportWS, sip.TransportWSS:
			err = s.edge.ServeWS(b.l, b.t == sip.TransportWSS)
		default:
			err = s.edge.ServeStream(b.l, b.t)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// portAttempts is how often a free port is tried for UDP and TCP together.
const portAttempts = 20

func anyPort(l Listener) bool { return strings.HasSuffix(l.Address, ":0") }

// bindAll opens the SIP listeners, all or none.
func (s *Server) bindAll() (all []bound, err error) {
	for _, c := range s.cfg.Listen {
		b := bound{t: c.Transport}
		if c.Transport == sip.TransportUDP {
			if b.pc, err = edge.ListenUDP(c.Address, s.log); err == nil {
				b.at = addrPort(b.pc.LocalAddr())
			}
		} else if b.l, err = edge.ListenStream(samePort(c, all)); err == nil {
			b.at = addrPort(b.l.Addr())
		}
		if err != nil {
			for _, b := range all {
				b.close()
			}
			return nil, fmt.Errorf("cannot listen for %s on %s: %w", c.Transport, c.Address, err)
		}
		all = append(all, b)
	}
	return all, nil
}

// samePort gives a TCP listener on port 0 the port that UDP was just given on
// the same address: one SIP port for both.
func samePort(c Listener, all []bound) string {
	if c.Transport == sip.TransportTCP && anyPort(c) {
		for _, b := range all {
			if b.t == sip.TransportUDP {
				host, _, _ := net.SplitHostPort(c.Address)
				return net.JoinHostPort(host, strconv.Itoa(int(b.at.Port())))
			}
		}
	}
	return c.Address
}

func addrPort(a net.Addr) netip.AddrPort {
	p, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

// certificates reads the configured certificate, or makes one under a CA of the
// data folder's own.
func (s *Server) certificates() (err error) {
	if s.cfg.CertFile != "" {
		if s.cert, err = certs.Files(s.cfg.CertFile, s.cfg.KeyFile); err != nil {
			return fmt.Errorf("cannot read the certificate: %w", err)
		}
		return nil
	}
	names := certs.Names{Domains: s.cfg.Domains}
	for _, a := range [...]string{s.cfg.Advertise, s.cfg.HTTPS} {
		if host := hostOf(a); host != "" {
			names.Hosts = append(names.Hosts, host)
		}
	}
	names.Hosts = append(names.Hosts, listenHosts(s.cfg.Listen)...)
	if s.cert, err = certs.Local(s.cfg.Dir, names, time.Now()); err != nil {
		return fmt.Errorf("cannot make a certificate in %s: %w", s.cfg.Dir, err)
	}
	return nil
}

// listenHosts are the hosts by which the listeners are called; for a wildcard
// this machine's own address.
func listenHosts(list []Listener) (hosts []string) {
	for _, l := range list {
		host := hostOf(l.Address)
		if host == "" {
			h, _, _ := net.SplitHostPort(l.Address)
			host = machineAddress(h == "0.0.0.0").String()
		}
		if !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// hostOf takes the host of HOST[:PORT]; empty for a wildcard.
func hostOf(a string) string {
	host := a
	if h, _, err := net.SplitHostPort(a); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		return ""
	}
	return host
}

// originOK decides on a browser's WebSocket (RFC 7118, 8): pages of a served
// domain, of this host, or of a configured origin. On loopback the host has
// several names, and a page that comes from there was put there by its owner.
func (s *Server) originOK(origin, host string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	if len(s.cfg.WSOrigins) > 0 {
		for _, o := range s.cfg.WSOrigins {
			if strings.EqualFold(o, u.Host) || strings.EqualFold(o, u.Hostname()) || o == "*" {
				return true
			}
		}
		return false
	}
	if strings.EqualFold(u.Host, host) || strings.EqualFold(u.Hostname(), hostOf(host)) {
		return true
	}
	if isLoopback(u.Hostname()) && isLoopback(hostOf(host)) {
		return true
	}
	return s.users.Serves(u.Hostname())
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
}

// webListener is one HTTP listener.
type webListener struct{ http *http.Server }

func (w *webListener) shutdown(ctx context.Context) error { return w.http.Shutdown(ctx) }

func (s *Server) listenWeb() error {
	reg := web.NewRegistry(Version)
	s.register(reg)
	api := s.newAPI()
	reg.MustRegister(
		newResponses("xcap", "Responses of XCAP, by method and status.", s.trees.Responses()),
		newResponses("api", "Responses of the API of presentities, by method and status.", &api.counts))
	pages := web.New(reg, s.healthy, s.log)
	for _, w := range [...]struct {
		addr string
		tls  *tls.Config
	}{{s.cfg.HTTP, nil}, {s.cfg.HTTPS, s.cert.TLSConfig()}} {
		if w.addr == "" {
			continue
		}
		ln, err := net.Listen("tcp", w.addr)
		if err != nil {
			return fmt.Errorf("cannot listen for HTTP on %s: %w", w.addr, err)
		}
		handler := pages
		if w.tls != nil || s.clearXCAP(w.addr) {
			handler = route(s.trees, api, pages)
			s.servesXCAP(ln.Addr(), w.addr, w.tls != nil)
		}
		h := web.NewServer(handler, w.tls, s.log)
		s.webs = append(s.webs, &webListener{http: h})
		go func() {
			serve := h.Serve
			if w.tls != nil {
				serve = func(l net.Listener) error { return h.ServeTLS(l, "", "") }
			}
			if err := serve(ln); !errors.Is(err, http.ErrServerClosed) {
				s.log.Error("HTTP listener ended", "address", w.addr, "error", err)
			}
		}()
	}
	return nil
}

// healthy is what /healthz asks.
func (s *Server) healthy() error {
	if h := s.Admin().Health(); !h.OK {
		return errors.New(h.Detail)
	}
	return nil
}
