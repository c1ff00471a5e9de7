package gate

import (
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tacit-presence/tacit/identity"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/sip"
)

// Trace shows chosen users' SIP messages to operators, secrets redacted. With
// nobody looking it costs one atomic load a message.
type Trace struct {
	watching atomic.Int64
	mu       sync.Mutex
	taps     map[int]tap
	next     int
}

type tap struct {
	user presence.AOR
	fn   func(in bool, flow sip.Flow, text string)
}

// NewTrace makes one that nobody looks at.
func NewTrace() *Trace { return &Trace{taps: map[int]tap{}} }

// Tap calls fn for each message to or from user until stop is called. fn must
// not block: it is called on the message's own goroutine.
func (t *Trace) Tap(user presence.AOR, fn func(in bool, flow sip.Flow, text string)) (stop func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	id := t.next
	t.next++
	t.taps[id] = tap{user, fn}
	t.watching.Add(1)
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if _, ok := t.taps[id]; ok {
			delete(t.taps, id)
			t.watching.Add(-1)
		}
	}
}

// Active reports whether anybody looks.
func (t *Trace) Active() bool { return t.watching.Load() > 0 }

// In shows a message that has come.
func (t *Trace) In(m *sip.Message, flow sip.Flow) {
	if t.watching.Load() > 0 {
		t.show(true, m, flow)
	}
}

// Out shows a message that is about to leave.
func (t *Trace) Out(message []byte, flow sip.Flow) {
	if t.watching.Load() == 0 {
		return
	}
	m := sip.NewMessage()
	defer m.Release()
	if m.Parse(string(message), sip.DefaultLimits) == nil {
		t.show(false, m, flow)
	}
}

func (t *Trace) show(in bool, m *sip.Message, flow sip.Flow) {
	if m.CallID == "" {
		return // not understood: nobody's
	}
	from, _ := m.From.URI.AOR()
	to, _ := m.To.URI.AOR()
	t.mu.Lock()
	defer t.mu.Unlock()
	text := ""
	for _, tap := range t.taps {
		if tap.user != from && tap.user != to {
			continue
		}
		if text == "" {
			text = redacted(m)
		}
		tap.fn(in, flow, text)
	}
}

// redacted is m's text without what proves an identity, and without what others have
// asserted of somebody who is to be named to nobody (RFC 3325, 7).
func redacted(m *sip.Message) string {
	var b strings.Builder
	nameless := identity.Nameless(m)
	for line := range strings.SplitAfterSeq(string(m.AppendMessage(nil)), "\n") {
		name, _, isHeader := strings.Cut(line, ":")
		switch field := strings.ToLower(strings.TrimSpace(name)); field {
		case "authorization", "proxy-authorization", "authentication-info", "p-asserted-identity", "p-preferred-identity":
			if isHeader && (nameless || !strings.HasPrefix(field, "p-")) {
				line = name + ": [redacted]\r\n"
			}
		}
		b.WriteString(line)
	}
	return b.String()
}
