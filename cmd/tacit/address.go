package main

import (
	"strings"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/sip"
)

// parseAOR reads an address as people write it: with sip:, sips: or pres:,
// without a scheme, or, where there is a default domain, as a name alone.
func parseAOR(s, domain string) (presence.AOR, error) {
	text := s
	if !hasScheme(s) {
		if user, _, _ := strings.Cut(s, "@"); strings.Contains(user, ":") {
			return "", usage("%q is no address such as sip:alice@example.com; the schemes are sip, sips and pres", s)
		}
		text = "sip:" + s
	}
	if _, after, _ := strings.Cut(text, ":"); !strings.Contains(after, "@") {
		if domain == "" {
			return "", usage("%q has no domain; write it as sip:alice@example.com", s)
		}
		text += "@" + domain
	}
	u, err := sip.ParseURI(text)
	if err != nil {
		return "", usage("%q is no address such as sip:alice@example.com: %v", s, err)
	}
	aor, err := u.AOR()
	if err != nil {
		return "", usage("%q is no address such as sip:alice@example.com: %v", s, err)
	}
	return presence.AOR(strings.Clone(string(aor))), nil
}

func hasScheme(s string) bool {
	scheme, _, ok := strings.Cut(s, ":")
	if !ok {
		return false
	}
	switch strings.ToLower(scheme) {
	case "sip", "sips", "pres":
		return true
	}
	return false
}

// splitUser reads NAME or NAME@DOMAIN, with or without a scheme.
func splitUser(s string) (name, domain string, err error) {
	if hasScheme(s) {
		_, s, _ = strings.Cut(s, ":")
	}
	name = s
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		name, domain = s[:i], strings.ToLower(s[i+1:])
		if domain == "" {
			return "", "", usage("%q has no domain behind the @", s)
		}
	}
	if name == "" {
		return "", "", usage("the user's name is empty")
	}
	return name, domain, nil
}

// nameIn is the user name of NAME or NAME@DOMAIN where there is one domain.
func nameIn(s, domain string) (string, error) {
	name, of, err := splitUser(s)
	if err == nil && of != "" && of != domain {
		return "", usage("%s is of another domain than %s", s, domain)
	}
	return name, err
}
