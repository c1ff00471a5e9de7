package server

import (
	"net"
	"net/netip"
	"strings"

	"github.com/tacit-presence/tacit/agent"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/xcap"
	"github.com/tacit-presence/tacit/xcapdiff"
)

// xcapNames is what the agent asks of the names of XCAP resources.
type xcapNames struct{ c *Core }

// Root is the URI of the XCAP root.
func (n xcapNames) Root() string { return *n.c.root.Load() }

// Resolve reads a URI that a watcher has named.
func (n xcapNames) Resolve(uri string) (xcapdiff.Resource, error) { return n.c.trees.Resolve(uri) }

// User is a user as a segment of a path.
func (n xcapNames) User(p presence.Presentity) string { return xcap.Escape(string(p)) }

// Made are the documents that the server makes for a user who has docs.
func (n xcapNames) Made(p presence.Presentity, docs []agent.Document) []agent.ReadableDocument {
	made := n.c.trees.Made(p, entries(docs, p))
	list := make([]agent.ReadableDocument, 0, len(made))
	for _, m := range made {
		doc := agent.Document{DocumentName: nameOf(m.Key), ETag: m.ETag, Body: m.Body}
		list = append(list, agent.ReadableDocument{Document: doc, Tree: m.Key.Tree.Named()})
	}
	return list
}

// setXCAPRoot notes by what scheme and HOST[:PORT] the XCAP root is reached. Until
// a listener serves it, it is taken to be at the domain.
func (c *Core) setXCAPRoot(scheme, host string) {
	root := scheme + "://" + host + xcapRoot + "/"
	c.root.Store(&root)
}

// servesXCAP notes that a listener, configured as address, serves XCAP. It is
// called by the advertised host, by the name that it is configured with, or by the
// address that it has.
func (s *Server) servesXCAP(at net.Addr, address string, secure bool) {
	host, port, _ := net.SplitHostPort(publicAddress(addrPort(at), s.cfg.Advertise, false))
	if s.cfg.Advertise == "" {
		if named, _, err := net.SplitHostPort(address); err == nil && named != "" {
			if ip, err := netip.ParseAddr(named); err != nil || !ip.IsUnspecified() {
				host = named
			}
		}
	}
	scheme, usual := "http", "80"
	if secure {
		scheme, usual = "https", "443"
	}
	switch {
	case port != usual:
		host = net.JoinHostPort(host, port)
	case strings.Contains(host, ":"):
		host = "[" + host + "]"
	}
	s.setXCAPRoot(scheme, host)
}
