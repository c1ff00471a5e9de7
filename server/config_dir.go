package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tacit-presence/tacit/sip"
)

// Files in DIR, one name a line: what tools that are given DIR alone must know
// of the server's configuration when none runs.
const (
	domainsName    = "domains"    // the default first
	algorithmsName = "algorithms" // of digest, preferred first: what a password is kept for
)

// RememberDomains writes the domains into dir, whole or not at all.
func RememberDomains(dir string, domains []string) error { return remember(dir, domainsName, domains) }

func rememberAlgorithms(dir string, list []sip.Algorithm) error {
	names := make([]string, len(list))
	for i, a := range list {
		names[i] = string(a)
	}
	return remember(dir, algorithmsName, names)
}

func remember(dir, name string, lines []string) error {
	if old, err := remembered(dir, name); err == nil && strings.Join(old, "\n") == strings.Join(lines, "\n") {
		return nil
	}
	tmp := filepath.Join(dir, name+".new")
	if err := os.WriteFile(tmp, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return fmt.Errorf("cannot note the %s: %w", name, err)
	}
	return os.Rename(tmp, filepath.Join(dir, name))
}

// remembered reads one of the files; nothing if no server has run on dir yet.
func remembered(dir, name string) ([]string, error) {
	data, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return strings.Fields(string(data)), err
}

// RememberedDomains reads the domains; none if no server has run on dir yet.
func RememberedDomains(dir string) ([]string, error) {
	list, err := remembered(dir, domainsName)
	if err != nil {
		return nil, err
	}
	for i, s := range list {
		if list[i], err = ParseDomain(s); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, domainsName), err)
		}
	}
	return list, nil
}

func rememberedAlgorithms(dir string) ([]sip.Algorithm, error) {
	names, err := remembered(dir, algorithmsName)
	list := make([]sip.Algorithm, len(names))
	for i, s := range names {
		list[i] = sip.Algorithm(s)
	}
	return list, err
}

// OpenOfflineConfig is OpenOffline for a configured server, so that a password
// set here is kept for the configured algorithms alone.
func OpenOfflineConfig(cfg Config) (*Offline, error) { return openOffline(cfg) }
