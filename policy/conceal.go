package policy

// Concealed is what a watcher is told of a decision where answers must not tell
// it: everything but Allow looks like PoliteBlock, which looks like a presentity
// that publishes nothing (RFC 6665, 6.2: an answer that seems valid where
// another would reveal the policy).
func (d Decision) Concealed() Decision {
	if d.Handling != Allow {
		d.Handling, d.Permissions = PoliteBlock, Permissions{}
	}
	return d
}
