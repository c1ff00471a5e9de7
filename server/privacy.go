package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/tacit-presence/tacit/agent"
	"github.com/tacit-presence/tacit/location"
	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/schema"
	"github.com/tacit-presence/tacit/xcap"
	"github.com/tacit-presence/tacit/xmltree"
)

// Privacy configures what watchers may learn beside presence, and what the
// operator has to say about it.
type Privacy struct {
	// Conceal hides from watchers how they are decided upon, and who exists
	// (ARCHITECTURE.md, 6): block, confirm, polite-block and no-such-user look
	// like a presentity that publishes nothing.
	Conceal bool
	// Open are domains of ours where Conceal does not hold.
	Open []string
	// Ceilings bound what presentities' rules give, Overrides give whatever those
	// say; as policy.Facts has them. Nil: none.
	Ceilings, Overrides *policy.RuleSet
	// ShowOverrides lets presentities know what overrides have given of them.
	ShowOverrides bool
	// ShowOperatorRules lets presentities see which rules of the operator's match.
	ShowOperatorRules bool
	// Band is the one in which the places of those who name none are coarsened.
	Band location.Band
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
		Ceilings: privacy.Ceilings, Overrides: privacy.Overrides, HideOverrides: !privacy.ShowOverrides, Band: privacy.Band,
	}
}

// listMembers finds whom a list of the owner's names.
func listMembers(uri string, owner []presence.AOR, document func(string) (string, bool)) (map[presence.AOR]struct{}, bool) {
	lists := xcap.Lists{Root: xcapRoot, Owns: func(a presence.AOR) bool { return slices.Contains(owner, a) }, Document: document}
	members, err := lists.Members(uri)
	return members, err == nil
}

// maxOperatorRules bounds a file of the operator's rules, in bytes.
const maxOperatorRules = 1 << 20

// ReadOperatorRules reads a file of ceilings or overrides, a document of
// authorization rules as presentities have them. Its faults are *ConfigError.
func ReadOperatorRules(path string) (*policy.RuleSet, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &ConfigError{File: path, Message: "cannot be read: " + reasonOf(err)}
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxOperatorRules+1))
	switch {
	case err != nil:
		return nil, &ConfigError{File: path, Message: "cannot be read: " + reasonOf(err)}
	case len(text) > maxOperatorRules:
		return nil, &ConfigError{File: path, Message: fmt.Sprintf("has more than %d bytes", maxOperatorRules)}
	}
	limits := xmltree.DefaultLimits()
	limits.MaxBytes = maxOperatorRules
	doc, err := xmltree.Parse(string(text), limits)
	if err != nil {
		line := 0
		var at int
		if _, after, ok := strings.Cut(err.Error(), "at byte "); ok {
			if _, scanErr := fmt.Sscanf(after, "%d", &at); scanErr == nil {
				line = lineAt(text, at)
			}
		}
		return nil, &ConfigError{File: path, Line: line, Message: err.Error()}
	}
	if err := schema.PresRules()(doc); err != nil {
		if e, ok := errors.AsType[*schema.Error](err); ok {
			return nil, &ConfigError{File: path, Line: lineAt(text, e.Offset), Key: e.Path, Message: e.Phrase}
		}
		return nil, err
	}
	set, err := policy.ReadRuleSet(string(text), agent.Zones())
	if err != nil {
		return nil, &ConfigError{File: path, Message: err.Error()}
	}
	// A presentity's rule that is not understood shows nothing; such a ceiling would
	// bound nothing.
	if strange := set.NotUnderstood(); len(strange) > 0 {
		return nil, &ConfigError{File: path, Message: strange[0] + ", so that the rule would never hold"}
	}
	if len(set.Uses().Lists) > 0 {
		return nil, &ConfigError{File: path, Message: "external-list: lists are presentities' own; name the watchers"}
	}
	return set, nil
}

// reasonOf is what the system says without the file's name, which stands before it.
func reasonOf(err error) string {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}

// lineAt is the line of an offset.
func lineAt(text []byte, offset int) int {
	return 1 + bytes.Count(text[:min(max(offset, 0), len(text))], []byte("\n"))
}
