package identity

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/sip"
)

const (
	// maxName bounds user names; a softphone's field takes less.
	maxName = 255
	// maxPassword bounds passwords, so that a mistaken file is noticed.
	maxPassword = 1024
	// maxAORs bounds the addresses-of-record of one user: they are looked
	// through one by one for each request of that user.
	maxAORs = 64
)

// anonymousUser is the user part of addresses that name nobody (RFC 3323, 4.1.1.3),
// and the digest user of those who do not want to be known (RFC 3261, 22.1).
const anonymousUser = "anonymous"

func checkName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: it is empty", ErrName)
	case len(name) > maxName:
		return fmt.Errorf("%w: longer than %d bytes", ErrName, maxName)
	case !utf8.ValidString(name):
		return fmt.Errorf("%w: %q is not UTF-8", ErrName, name)
	case strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("%w: %q holds a control character", ErrName, name)
	case strings.Contains(name, ":"):
		// RFC 7616, 3.4.2: the colon separates the name from the realm.
		return fmt.Errorf("%w: %q holds a colon", ErrName, name)
	case strings.ContainsAny(name, `"\`):
		// RFC 7616, 3.4.2: clients disagree on whether the backslash of a
		// quoted pair takes part in the hash.
		return fmt.Errorf("%w: %q holds a quotation mark or a backslash", ErrName, name)
	case strings.TrimSpace(name) != name:
		return fmt.Errorf("%w: %q begins or ends with a space", ErrName, name)
	case name == anonymousUser:
		return fmt.Errorf("%w: %q stands for nobody", ErrName, name)
	}
	return nil
}

func checkPassword(password string) error {
	switch {
	case password == "":
		return fmt.Errorf("%w: it is empty", ErrPassword)
	case len(password) > maxPassword:
		return fmt.Errorf("%w: longer than %d bytes", ErrPassword, maxPassword)
	case !utf8.ValidString(password):
		return fmt.Errorf("%w: not UTF-8", ErrPassword)
	}
	return nil
}

// ParseAOR reads a SIP, SIPS or PRES URI as an operator writes it and gives its
// canonical address-of-record. The error is ErrAOR.
func ParseAOR(s string) (presence.AOR, error) {
	aor, err := sip.ParseAOR(s)
	if err != nil {
		return "", fmt.Errorf("%w: %q: %w", ErrAOR, s, err)
	}
	return aor, nil
}

// escapeUser writes name as the user part of a SIP URI (RFC 3261, 25.1).
func escapeUser(name string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			strings.IndexByte("-_.!~*'()&=+$,;?/", c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}
