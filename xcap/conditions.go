package xcap

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/tacit-presence/tacit/presence"
)

var errConditions = errors.New("unreadable If-Match or If-None-Match")

// conditions are the preconditions of a request (RFC 9110, 13.1). Dates are no
// conditions here: no response tells one.
type conditions struct {
	match, noneMatch tags
}

// tags is a list of entity-tags.
type tags struct {
	given, any   bool
	strong, weak []presence.EntityTag
}

func readConditions(h http.Header) (c conditions, err error) {
	if c.match, err = readTags(h["If-Match"]); err == nil {
		c.noneMatch, err = readTags(h["If-None-Match"])
	}
	return c, err
}

// readTags reads "*" or a list of entity-tags. What cannot be read is refused:
// to pass over it would do what the client wanted to prevent.
func readTags(values []string) (t tags, err error) {
	if len(values) == 0 {
		return t, nil
	}
	t.given = true
	s := strings.Trim(strings.Join(values, ","), " \t")
	if s == "*" {
		t.any = true
		return t, nil
	}
	for {
		s = strings.TrimLeft(s, ", \t")
		if s == "" {
			break
		}
		tag, weak := strings.CutPrefix(s, "W/")
		if tag == "" || tag[0] != '"' {
			return t, errConditions
		}
		end := strings.IndexByte(tag[1:], '"')
		if end < 0 {
			return t, errConditions
		}
		value := presence.EntityTag(tag[1 : 1+end])
		if weak {
			t.weak = append(t.weak, value)
		} else {
			t.strong = append(t.strong, value)
		}
		s = strings.TrimLeft(tag[2+end:], " \t")
		if s != "" && s[0] != ',' {
			return t, errConditions
		}
	}
	if len(t.weak)+len(t.strong) == 0 {
		return t, errConditions
	}
	return t, nil
}

// failed reports which condition does not hold of a resource with that
// entity-tag, which is empty if there is no resource.
// RFC 9110, 13.1.1: If-Match compares strongly; 13.1.2: If-None-Match weakly.
func (c *conditions) failed(tag presence.EntityTag) (match, noneMatch bool) {
	exists := tag != ""
	if m := &c.match; m.given {
		match = !exists || !m.any && !slices.Contains(m.strong, tag)
	}
	if n := &c.noneMatch; n.given && exists {
		noneMatch = n.any || slices.Contains(n.strong, tag) || slices.Contains(n.weak, tag)
	}
	return match, noneMatch
}
