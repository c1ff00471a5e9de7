package gate

import (
	"fmt"
	"strings"

	"github.com/tacit-presence/tacit/notifier"
	"github.com/tacit-presence/tacit/sip"
)

// answered deals with what needs no identity: it says whether m is done with.
// What is malformed or asks for what we lack is answered before any challenge
// (RFC 3261, 8.2).
func (g *Gate) answered(m *sip.Message, flow sip.Flow) bool {
	reply, done := g.check(m)
	if !done {
		return false
	}
	if reply.Status != 0 {
		if reply.Status >= 300 {
			g.cfg.Counters.Refused.Add(1)
		}
		g.answer(m, flow, reply)
	}
	return true
}

// check returns the answer to give, done with status 0 for none at all.
func (g *Gate) check(m *sip.Message) (r sip.Reply, done bool) {
	switch m.Method {
	case sip.MethodAck:
		return sip.Reply{}, true // of the INVITE we refused
	case sip.MethodCancel:
		return sip.Reply{Status: 481}, true // RFC 3261, 9.2: nothing to cancel
	}
	if !served(m.Method) {
		return sip.Reply{Status: 405, Headers: []sip.Header{{ID: sip.HeaderAllow, Value: allow}}}, true
	}
	if !ours(m.RequestURI) {
		return sip.Reply{Status: 416}, true
	}
	if unsupported := required(m); unsupported != "" {
		return sip.Reply{Status: 420, Headers: []sip.Header{{ID: sip.HeaderUnsupported, Value: unsupported}}}, true
	}
	if reason := incomplete(m); reason != "" {
		return sip.Reply{Status: 400, Reason: reason}, true
	}
	if m.Method == sip.MethodOptions {
		return g.options(), true
	}
	return sip.Reply{}, false
}

func served(method sip.Method) bool {
	for _, m := range methods {
		if m == method {
			return true
		}
	}
	return false
}

// required lists the option tags of Require: we support none that may be
// required (RFC 3261, 8.2.2.3).
func required(m *sip.Message) string {
	var tags []string
	for v := range m.Values(sip.HeaderRequire) {
		if v != "" {
			tags = append(tags, v)
		}
	}
	return strings.Join(tags, ", ")
}

// incomplete says what a request lacks that its method must have.
func incomplete(m *sip.Message) string {
	for _, id := range [...]sip.HeaderID{sip.HeaderExpires, sip.HeaderMaxForwards} {
		if v, ok := m.Get(id); ok {
			if _, err := sip.ParseUint32(v); err != nil {
				return "Malformed " + id.String()
			}
		}
	}
	if m.Method != sip.MethodSubscribe && m.Method != sip.MethodRegister {
		return ""
	}
	contacts := 0
	for v := range m.Values(sip.HeaderContact) {
		contacts++
		if v == "*" && m.Method == sip.MethodRegister {
			continue
		}
		c, err := sip.ParseNameAddr(v)
		if err != nil {
			return "Malformed Contact"
		}
		if m.Method == sip.MethodSubscribe && c.URI.Scheme != "sip" && c.URI.Scheme != "sips" {
			return "Contact Must Be a SIP URI"
		}
	}
	// RFC 6665, 8.1 with RFC 3261, 12.1.1: one Contact makes the dialog.
	if m.Method == sip.MethodSubscribe && contacts != 1 {
		return "SUBSCRIBE Needs One Contact"
	}
	return ""
}

// options answers what we are (RFC 3261, 11.2; RFC 3903, 7).
func (g *Gate) options() sip.Reply {
	return sip.Reply{Status: 200, Headers: []sip.Header{
		{ID: sip.HeaderAllow, Value: allow},
		{ID: sip.HeaderAllowEvents, Value: g.cfg.AllowEvents},
		{ID: sip.HeaderAccept, Value: g.cfg.Accept},
		{ID: sip.HeaderSupported, Value: ""},
	}}
}

// statelessTag is a To tag that the repetition of the request gets again
// (RFC 3261, 8.2.7).
func statelessTag(m *sip.Message) string {
	return fmt.Sprintf("%016x", notifier.Fingerprint(m))
}
