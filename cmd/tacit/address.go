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
	aor, err := sip.ParseAOR(text)
	if err != nil {
		return "", usage("%q is no address such as sip:alice@example.com: %v", s, err)
	}
	return aor, nil
}

// plainAddress refuses what names more, or less, than one person: a rule is for
// one presentity and one watcher, and one for anything else would never match.
// what is the argument's name.
func plainAddress(s, what string) error {
	bare := s
	if hasScheme(s) {
		_, bare, _ = strings.Cut(s, ":")
	}
	user, host, whole := strings.Cut(bare, "@")
	tail := host // where parameters would stand; a user part may hold their signs
	if !whole {
		tail = user
	}
	switch {
	case user == "*" || strings.Contains(host, "*") || strings.Contains(user, "*") && !dialled(user):
		return usage("%s %q is a pattern, and a rule is for one address; write it as sip:bob@example.com "+
			"(for all without a rule, the server's default decision holds)", what, s)
	case user == "", whole && host == "", strings.ContainsAny(bare, "<>\" \t"), strings.ContainsAny(tail, ";?,/@"),
		strings.Contains(user, ":"), strings.Contains(host, ":") && !strings.HasSuffix(host, "]"):
		return usage("%s %q is no plain address; write it as sip:bob@example.com", what, s)
	}
	return nil
}

// isTel reports whether an address is a tel URI.
func isTel(s string) bool {
	scheme, _, ok := strings.Cut(s, ":")
	return ok && strings.EqualFold(scheme, "tel")
}

// plainWatcher is plainAddress for a watcher, who may be known by a tel URI alone.
func plainWatcher(s string) error {
	if isTel(s) {
		return nil
	}
	return plainAddress(s, "WATCHER")
}

// dialled reports whether a user is what one dials, such as *97.
func dialled(user string) bool {
	return strings.Trim(user, "0123456789*#+") == "" && strings.ContainsAny(user, "0123456789")
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
