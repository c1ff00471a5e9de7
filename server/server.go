package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/tacit-presence/tacit/certs"
	"github.com/tacit-presence/tacit/edge"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/store"
)

// storeName is the database's folder in DIR.
const storeName = "db"

// Server is one running presence server.
type Server struct {
	*Core
	cert      *certs.Source
	edge      *edge.Edge
	addrs     *addresses
	control   *Control
	webs      []*webListener
	running   bool
	listening []Listener
	warned    atomic.Int64 // when tooLarge last warned, Unix nanoseconds
}

// outward lets the gate send through the edge.
type outward struct{ s *Server }

// Send sends by the edge.
func (o outward) Send(flow sip.Flow, message []byte, dial, switchTCP bool) shard.Outcome {
	options := edge.Options{Dial: dial, SwitchTCP: switchTCP}
	err := o.s.edge.Send(flow, message, options)
	if errors.Is(err, edge.ErrFlowGone) && flow.Transport == sip.TransportUDP {
		// The socket that a stored subscription came on is one of an earlier start.
		flow.Local = netip.AddrPort{}
		err = o.s.edge.Send(flow, message, options)
	}
	switch {
	case err == nil:
		return shard.Sent
	case errors.Is(err, edge.ErrFlowGone) && flow.Transport.Reliable():
		return shard.Gone
	case errors.Is(err, edge.ErrQueueFull):
		return shard.Full
	case errors.Is(err, edge.ErrTooLarge):
		o.s.tooLarge(flow, len(message))
		return shard.Oversize
	}
	o.s.log.Debug("cannot send", "to", flow.Remote, "transport", flow.Transport.String(), "error", err)
	return shard.Sent // and lost, as a datagram may be: the transaction's timers see to it
}

// SendRun sends by the edge. What it does not take, Send sees to.
func (o outward) SendRun(flow sip.Flow, messages []byte, size int, switchTCP bool) bool {
	return o.s.edge.SendRun(flow, messages, size, edge.Options{SwitchTCP: switchTCP}) == nil
}

// tooLargeEvery is the least time between two warnings of messages too large: one
// long document of a presentity with many watchers makes as many.
const tooLargeEvery = time.Minute

// tooLarge warns of a message that no datagram can carry. All are counted.
func (s *Server) tooLarge(to sip.Flow, size int) {
	now := time.Now().UnixNano()
	last := s.warned.Load()
	if last != 0 && now-last < int64(tooLargeEvery) || !s.warned.CompareAndSwap(last, now) {
		return
	}
	s.log.Warn("a message is too large for UDP: its receiver needs TCP, or a shorter document",
		"to", to.Remote.String(), "bytes", size)
}

// Pin keeps a connection on which subscriptions live.
func (o outward) Pin(flow sip.Flow) { o.s.edge.Pin(flow, 1) }

// inward gives the gate what the edge reads.
type inward struct{ s *Server }

// Receive passes a message on.
func (i inward) Receive(m *sip.Message, flow sip.Flow, err error) { i.s.gate.Receive(m, flow, err) }

// Glance passes a datagram on.
func (i inward) Glance(b []byte, flow sip.Flow) bool { return i.s.gate.Glance(b, flow) }

// FlowClosed passes the end of a connection on.
func (i inward) FlowClosed(flow sip.Flow) { i.s.gate.FlowClosed(flow) }

// SendFailed tells the shards that a connection could not be opened.
func (i inward) SendFailed(flow sip.Flow) {
	i.s.runner.Broadcast(shard.Event{Kind: shard.FlowGone, Flow: flow})
}

// New opens everything that needs no listener: store, users, certificates, and
// the state of all presentities.
func New(cfg Config) (*Server, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the data folder: %w", err)
	}
	st, err := store.OpenPebble(filepath.Join(cfg.Dir, storeName), store.Options{Logger: cfg.Logger})
	if err != nil {
		return nil, fmt.Errorf("cannot open the data in %s: %w", cfg.Dir, err)
	}
	s := new(Server)
	if err := s.open(cfg, st); err != nil {
		_ = st.Close()
		return nil, err
	}
	return s, nil
}

func (s *Server) open(cfg Config, st store.Store) (err error) {
	if err := RememberDomains(cfg.Dir, cfg.Domains); err != nil {
		return err
	}
	if err := rememberAlgorithms(cfg.Dir, cfg.Digest.Algorithms); err != nil {
		return err
	}
	if s.Core, err = newCore(cfg, st); err != nil {
		return err
	}
	if err := s.certificates(); err != nil {
		return err
	}
	secret, instance, err := keys(st)
	if err != nil {
		return err
	}
	s.addrs = &addresses{dials: s.mayDial, instance: instance}
	s.edge = edge.New(s.edgeConfig())
	return s.build(secret, outward{s}, s.addrs)
}

func (s *Server) edgeConfig() edge.Config {
	l := s.cfg.Limits
	limits := sip.DefaultLimits
	if l.MaxMessage > 0 {
		limits.MaxMessage = l.MaxMessage
	}
	return edge.Config{
		Handler: inward{s}, Limits: limits, MaxConnections: l.MaxConnections, MaxPerAddress: l.MaxPerAddress,
		IdleTimeout: l.IdleTimeout, HeaderTimeout: l.HeaderTimeout,
		TLS: s.cert.TLSConfig(), OriginOK: s.originOK, MayDial: s.mayDial,
		Logger: s.log, Counters: &s.count.edge,
	}
}

// Shutdown stops listening, lets what is queued go out, and closes the store.
// It ends no subscription: they live on in the store.
func (s *Server) Shutdown(ctx context.Context) error {
	var errs []error
	s.stopOnce.Do(func() {
		if s.control != nil {
			errs = append(errs, s.control.Close(ctx))
		}
		for _, w := range s.webs {
			errs = append(errs, w.shutdown(ctx))
		}
		if s.running {
			s.Stop()
		}
		errs = append(errs, s.edge.Shutdown(ctx), s.store.Close())
		close(s.stopped)
	})
	return errors.Join(errs...)
}

// Addresses lists the SIP listeners as bound.
func (s *Server) Addresses() []Listener { return s.listening }
