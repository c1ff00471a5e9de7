package gate

import (
	"bytes"

	"github.com/tacit-presence/tacit/notifier"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/sip"
)

var (
	answerOK = []byte("SIP/2.0 200 ")
	crlf     = []byte("\r\n")
	branchIs = []byte(";branch=")
	eventIs  = []byte("Event")
	eventIn  = []byte("o") // its short form
	colon    = []byte(":")
)

// Glance takes a datagram if it is a plain 200 to a NOTIFY of ours, the most
// frequent message of all: its status and the branch of its topmost Via, the
// first header field, are all that anybody would look at. Only somebody who has
// seen the NOTIFY knows the branch. Anything else is left to Receive.
func (g *Gate) Glance(b []byte, flow sip.Flow) (taken bool) {
	if !bytes.HasPrefix(b, answerOK) || g.cfg.Trace.Active() {
		return false
	}
	_, rest, _ := bytes.Cut(b, crlf)
	via, others, whole := bytes.Cut(rest, crlf)
	if !whole || len(via) < 4 || !(bytes.EqualFold(via[:4], []byte("Via:")) || bytes.EqualFold(via[:2], []byte("v:"))) {
		return false
	}
	_, branch, _ := bytes.Cut(via, branchIs)
	if i := bytes.IndexAny(branch, ";, \t"); i >= 0 {
		branch = branch[:i]
	}
	tag, cseq, ok := notifier.ParseBranch(branch)
	if !ok || saysEvent(others) {
		return false
	}
	taken = g.cfg.Shards.Submit(shard.Event{Kind: shard.Response, ID: g.home(tag), Flow: flow, Dialog: tag, CSeq: cseq, Status: 200})
	if taken {
		g.cfg.Counters.Responses.Add(1)
	}
	return taken
}

// saysEvent reports whether header fields may hold an Event: it sets rates, and
// without any of them ends those that there were (RFC 6446, 5.1 and 9.3).
func saysEvent(fields []byte) bool {
	for line := range bytes.SplitSeq(fields, crlf) {
		name, _, _ := bytes.Cut(line, colon)
		switch name = bytes.TrimRight(name, " \t"); {
		case len(line) == 0:
			return false // what follows is no header field
		case bytes.EqualFold(name, eventIs), bytes.EqualFold(name, eventIn):
			return true
		}
	}
	return false
}
