package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// domainsName is a file in DIR with one domain a line, the default first: tools
// that are given DIR alone read it when no server runs.
const domainsName = "domains"

// RememberDomains writes the domains into dir, whole or not at all.
func RememberDomains(dir string, domains []string) error {
	if old, err := RememberedDomains(dir); err == nil && strings.Join(old, "\n") == strings.Join(domains, "\n") {
		return nil
	}
	tmp := filepath.Join(dir, domainsName+".new")
	if err := os.WriteFile(tmp, []byte(strings.Join(domains, "\n")+"\n"), 0o600); err != nil {
		return fmt.Errorf("cannot note the domains: %w", err)
	}
	return os.Rename(tmp, filepath.Join(dir, domainsName))
}

// RememberedDomains reads them; none if no server has run on dir yet.
func RememberedDomains(dir string) ([]string, error) {
	data, err := os.ReadFile(filepath.Join(dir, domainsName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var domains []string
	for line := range strings.Lines(string(data)) {
		name, err := ParseDomain(strings.TrimSpace(line))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, domainsName), err)
		}
		domains = append(domains, name)
	}
	return domains, nil
}

// OpenOfflineConfig is OpenOffline for a configured server, so that a password
// set here is kept for the configured algorithms alone.
func OpenOfflineConfig(cfg Config) (*Offline, error) { return openOffline(cfg) }
