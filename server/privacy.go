package server

import (
	"slices"

	"github.com/tacit-presence/tacit/agent"
	"github.com/tacit-presence/tacit/presence"
)

// Privacy configures what watchers may learn beside presence.
type Privacy struct {
	// Conceal hides from watchers how they are decided upon, and who exists
	// (ARCHITECTURE.md, 6): block, confirm, polite-block and no-such-user look
	// like a presentity that publishes nothing.
	Conceal bool
	// Open are domains of ours where Conceal does not hold.
	Open []string
}

func (p *Privacy) conceals(domain string) bool {
	return p.Conceal && !slices.Contains(p.Open, domain)
}

// settings are the shards' part of a configuration.
func (c *Core) settings(cfg Config) agent.Settings {
	privacy := cfg.Privacy
	return agent.Settings{
		Default: cfg.DefaultDecision, MinInterval: cfg.MinInterval, GiveUp: cfg.GiveUp,
		Conceals: func(p presence.Presentity) bool { return privacy.conceals(presence.AOR(p).Domain()) },
	}
}
