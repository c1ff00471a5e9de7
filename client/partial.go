package client

import (
	"strings"
	"time"

	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/sip"
)

// PartialType is the media type of partial presence (RFC 5262), in which a server
// tells what has changed alone.
const PartialType = pidf.PartialContentType

// maxFaults is how often a whole document is asked for because no change fits;
// then partial notifications are asked for no more.
const maxFaults = 3

// acceptPartial prefers partial notifications (RFC 5263, 4.2).
func acceptPartial() []string { return []string{PIDFType + ";q=0.3", PartialType} }

// pieces is what a subscription's partial notifications have come to.
type pieces struct {
	document string // empty: there is none to change
	version  uint32
	faults   int       // since the last change that fitted
	plain    bool      // partial notifications are asked for no more
	askAt    time.Time // when to ask for a whole document; zero: no need
}

// outcome is what has come of a partial document.
type outcome uint8

const (
	whole   outcome = iota // a document has come of it
	stale                  // it is to be ignored
	unclear                // a whole document is needed
)

// take puts a partial document to what there is (RFC 5263, 4.5).
func (p *pieces) take(body string) outcome {
	d, err := pidf.ParsePartial(body)
	if err != nil {
		return unclear
	}
	full, isFull := d.Full()
	switch {
	case d.Version() <= p.version:
		if d.Version() == 0 { // RFC 5263, 4.4: there must be one
			return unclear
		}
		return stale
	case isFull:
		p.document = full
	case p.document == "" || d.Version() != p.version+1:
		return unclear
	default:
		if p.document, err = d.Apply(p.document); err != nil {
			return unclear
		}
		p.faults = 0
	}
	p.version, p.plain, p.askAt = d.Version(), false, time.Time{}
	return whole
}

// assemble makes a full document of a notification with a partial one; false if
// there is nothing to deliver. The holder of mu calls it.
func (u *usage) assemble(n *Notification) bool {
	if !u.s.o.Partial || n.Body == "" {
		return true
	}
	p := &u.pieces
	media, _ := sip.SplitParams(n.ContentType)
	if !strings.EqualFold(media, PartialType) {
		p.document = "" // RFC 5263, 4.5: the version counts on
		return true
	}
	switch p.take(n.Body) {
	case whole:
		n.ContentType, n.Body = PIDFType, p.document
		return true
	case unclear:
		u.askAgain(n.Received)
	}
	// What the NOTIFY says of the subscription holds nonetheless.
	n.ContentType, n.Body = "", ""
	return n.State != StateActive
}

// askAgain lets the subscription be refreshed, which brings a whole document. A
// server that cannot do it right is asked more and more seldom, and at last for
// plain documents. The holder of mu calls it.
func (u *usage) askAgain(now time.Time) {
	p := &u.pieces
	p.document = ""
	if p.plain || !p.askAt.IsZero() {
		return
	}
	p.plain = p.faults == maxFaults
	p.faults = min(p.faults+1, maxFaults)
	p.askAt = now
	if soonest := u.sent.Add(u.c.pause << p.faults); soonest.After(now) {
		p.askAt = soonest
	}
	u.c.log.Warn("a partial notification does not fit, asking for a whole one", "target", u.s.target)
	u.s.kick()
}
