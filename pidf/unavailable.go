package pidf

import "strconv"

// Unavailable makes the one document that tells nothing: one closed tuple. It is
// what becomes of an empty document, so a watcher cannot tell a presentity that
// blocks it politely from one that publishes nothing. The tuple's id is a hash of
// the entity alone: it is stable, and tells no more than the watcher asked with.
// The presentity is not in it, for who watches two of its aliases must not learn
// so that they are one.
func Unavailable(entity string) Assembly {
	id := strconv.FormatUint(Sum(entity), 36)
	return NewAssembly("", []Component{{
		Of:   &Part{Kind: Tuple, Basic: Closed, Priority: NoPriority, ID: "t" + id},
		Text: `<tuple id="t` + id + `"><status><basic>closed</basic></status></tuple>`,
	}})
}
