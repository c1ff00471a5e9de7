package agent

import (
	"github.com/tacit-presence/tacit/pidf"
)

// acceptedTypes are the media types of publications. That the partial one is
// among them tells sources that they may use it (RFC 5264, 4.1).
const acceptedTypes = pidf.ContentType + ", " + pidf.PartialContentType

// partialBody returns the presence document that a publication of the partial
// format (RFC 5264) comes to; pub is what it changes, nil if it is an initial
// one. Only that document is kept: there is no way back to an earlier one, and
// the order of changes is the entity-tags', so a version is not looked at (3.2).
func partialBody(body string, pub *publication) (string, error) {
	partial, err := pidf.ParsePartial(body)
	if err != nil {
		return "", err
	}
	old := ""
	if pub != nil {
		old = pub.body
	}
	return partial.Apply(old)
}
