package server

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/tacit-presence/tacit/shard"
)

// ErrRestart says that a changed setting needs a restart; all others have been
// applied.
var ErrRestart = errors.New("needs a restart")

// Reload applies a changed configuration to the running server without losing a
// connection: trust, peers, digest, the default decision, the rate floor,
// privacy and the certificate. A digest algorithm can be taken away, but none added. What it cannot change is named in an error that is ErrRestart.
func (s *Server) Reload(cfg Config) error {
	algorithms := cfg.Digest.Algorithms
	for _, a := range algorithms {
		if !slices.Contains(s.cfg.Digest.Algorithms, a) {
			cfg.Digest.Algorithms = s.cfg.Digest.Algorithms // nobody's password is at hand for a
		}
	}
	if err := s.authenticate(cfg); err != nil {
		return err
	}
	if err := s.cert.Reload(); err != nil {
		return fmt.Errorf("cannot read the certificate anew, the old one stays: %w", err)
	}
	for i := range shard.Count {
		err := s.admin().do(shard.ID(i), func(m *machine, now time.Time, out *shard.Batch) {
			m.agent.Reconfigure(s.settings(cfg), now, out)
		})
		if err != nil {
			return err
		}
	}
	s.conceal.Store(&cfg.Privacy)
	var errs []error
	for _, k := range [...]struct {
		name     string
		old, new any
	}{
		{"dir", s.cfg.Dir, cfg.Dir}, {"domains", s.cfg.Domains, cfg.Domains}, {"listeners", s.cfg.Listen, cfg.Listen},
		{"advertise", s.cfg.Advertise, cfg.Advertise}, {"composition", s.cfg.Composition, cfg.Composition},
		{"min_expires", s.cfg.MinExpires, cfg.MinExpires}, {"max_expires", s.cfg.MaxExpires, cfg.MaxExpires},
		{"http", s.cfg.HTTP, cfg.HTTP}, {"https", s.cfg.HTTPS, cfg.HTTPS}, {"limits", s.cfg.Limits, cfg.Limits},
		{"certificate files", s.cfg.CertFile + s.cfg.KeyFile, cfg.CertFile + cfg.KeyFile},
		{"websocket origins", s.cfg.WSOrigins, cfg.WSOrigins},
		{"digest.algorithms", cfg.Digest.Algorithms, algorithms},
	} {
		if !reflect.DeepEqual(k.old, k.new) {
			errs = append(errs, fmt.Errorf("%s: %w", k.name, ErrRestart))
		}
	}
	s.cfg.Trust, s.cfg.Peers, s.cfg.Digest = cfg.Trust, cfg.Peers, cfg.Digest
	s.cfg.DefaultDecision, s.cfg.MinInterval, s.cfg.GiveUp, s.cfg.Privacy = cfg.DefaultDecision, cfg.MinInterval, cfg.GiveUp, cfg.Privacy
	return errors.Join(errs...)
}
