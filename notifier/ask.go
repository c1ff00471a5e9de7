package notifier

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/sip"
)

// MaxAskBytes is the longest body of a SUBSCRIBE: it is kept with the
// subscription.
const MaxAskBytes = 16 << 10

// Asker is an event package that takes bodies of SUBSCRIBEs, such as filters.
type Asker interface {
	// Bodies lists the media types that it takes.
	Bodies() []string
	// Ask takes the body of a SUBSCRIBE that makes or refreshes s, before Decide
	// does; the package puts what it has read into s.Data. keep is stored with the
	// subscription. An error refuses the SUBSCRIBE with 488 (RFC 4660, 5.4) and
	// must have changed nothing.
	Ask(s *Subscription, contentType, body string) (keep string, err error)
	// Recall takes what Ask had kept, after a restart.
	Recall(s *Subscription, keep string) error
}

// extra is what few subscriptions have.
type extra struct {
	kept     string // what Asker.Ask wants kept
	data     any    // the package's own
	rates    rates
	suppress bool // Suppress-If-Match: * holds until the next SUBSCRIBE
}

// Data is what the event package has put there.
func (s *Subscription) Data() any {
	if s.extra == nil {
		return nil
	}
	return s.extra.data
}

// SetData keeps something of the event package's with s, for as long as the
// process lives.
func (s *Subscription) SetData(v any) { s.more().data = v }

func (s *Subscription) more() *extra {
	if s.extra == nil {
		s.extra = new(extra)
	}
	return s.extra
}

// read checks the body of a SUBSCRIBE (RFC 4660, 5.2).
func (a *ask) read(m *sip.Message) *refusal {
	if m.Body == "" {
		return nil
	}
	asker, takes := a.pkg.(Asker)
	if !takes {
		return &refusal{status: 415, headers: []sip.Header{{ID: sip.HeaderAccept, Value: ""}}}
	}
	types := sip.Header{ID: sip.HeaderAccept, Value: strings.Join(asker.Bodies(), ", ")}
	contentType, _ := m.Get(sip.HeaderContentType)
	contentType, _ = sip.SplitParams(contentType)
	for _, t := range asker.Bodies() {
		if strings.EqualFold(contentType, t) {
			a.bodyType = t
		}
	}
	if a.bodyType == "" {
		return &refusal{status: 415, headers: []sip.Header{types}}
	}
	if enc, ok := m.Get(sip.HeaderContentEncoding); ok && !strings.EqualFold(enc, "identity") {
		return &refusal{status: 415, headers: []sip.Header{{Name: "Accept-Encoding", Value: "identity"}, types}}
	}
	if len(m.Body) > MaxAskBytes {
		return &refusal{status: 413, reason: "Filter Too Large"}
	}
	a.body = m.Body
	return nil
}

// askPackage gives the body of a SUBSCRIBE to the event package.
func (s *Subscription) askPackage(a ask) *refusal {
	if a.bodyType == "" {
		return nil // what was asked before holds (RFC 4660, 3.3.3)
	}
	keep, err := a.pkg.(Asker).Ask(s, a.bodyType, strings.Clone(a.body))
	if err != nil {
		return &refusal{status: 488, headers: []sip.Header{{ID: sip.HeaderWarning, Value: `399 tacit "` + quoted(err) + `"`}}}
	}
	s.more().kept = keep
	return nil
}

// maxWarning bounds the text of a Warning.
const maxWarning = 200

// quoted makes an error fit for a quoted-string.
func quoted(err error) string {
	text := err.Error()
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '\''
		}
		return r
	}, text[:min(len(text), maxWarning)])
}

var errRecall = errors.New("what was asked cannot be read any more")

// recall gives back to the package what it had kept.
func (s *Subscription) recall(kept string) error {
	asker, ok := s.Package.(Asker)
	if !ok {
		return errRecall
	}
	s.more().kept = kept
	return asker.Recall(s, kept)
}

// format chooses among the package's body types the one that the watcher likes
// best: by q, else in the package's order. Without Accept it is the default.
func format(m *sip.Message, types []string) (int, *refusal) {
	listed, best, rank := false, -1, 0.0
	for v := range m.Values(sip.HeaderAccept) {
		if v == "" {
			continue
		}
		listed = true
		name, params := sip.SplitParams(v)
		q := 1.0
		if text, ok := sip.HeaderParam(params, "q"); ok {
			if parsed, err := strconv.ParseFloat(text, 64); err == nil && parsed >= 0 && parsed <= 1 {
				q = parsed
			}
		}
		if i := matching(strings.ToLower(strings.ReplaceAll(name, " ", "")), types); i >= 0 && q > 0 && (q > rank || q == rank && i < best) {
			best, rank = i, q
		}
	}
	switch {
	case !listed:
		return 0, nil
	case best < 0:
		return 0, &refusal{status: 406, headers: []sip.Header{{ID: sip.HeaderAccept, Value: strings.Join(types, ", ")}}}
	}
	return best, nil
}

// matching finds the first type that a media range names.
func matching(name string, types []string) int {
	for i, ours := range types {
		group, _, _ := strings.Cut(ours, "/")
		if name == ours || name == "*/*" || name == group+"/*" {
			return i
		}
	}
	return -1
}

// Format is the media type that the watcher wants its documents in: one of the
// package's Accepts.
func (s *Subscription) Format() string { return s.Package.Accepts()[s.format] }

// Told is the Sum of the state that the watcher is known to have: that of the
// last NOTIFY, if it was answered with 2xx in this dialog since the server began
// and since the watcher's last SUBSCRIBE; else 0. A document that says only what
// has changed since is understood.
func (s *Subscription) Told() uint64 { return s.told }

// conditional reports whether a SUBSCRIBE is conditional and its watcher has the
// state as it is (RFC 5839, 6.2).
func (t *Table) conditional(s *Subscription, a ask, now int64) (matches bool) {
	if a.match == "" || s.state != Active {
		return false
	}
	return a.match == "*" || a.match == string(t.entityTag(nil, s, s.Package.Render(s, time.Unix(0, now))))
}

// entityTag appends the entity-tag of a state as s is told it (RFC 5839, 6.1): of
// equal documents of one type and one event id it is the same.
func (t *Table) entityTag(b []byte, s *Subscription, body Body) []byte {
	h := hash64(hash64(t.tagSecret^body.sum, s.Format()), s.EventID)
	const digits = "0123456789abcdef"
	for i := 60; i >= 0; i -= 4 {
		b = append(b, digits[h>>i&15])
	}
	return b
}

// silent answers a conditional SUBSCRIBE whose watcher knows all already with
// 204 and no NOTIFY (RFC 5839, 6.3).
func (t *Table) silent(ev *shard.Event, s *Subscription, a ask, now time.Time, out *shard.Batch) {
	t.answer(ev, s, 204, a.expires, out)
	if a.expires == 0 { // RFC 5839, 5.7
		s.forget = now.Add(forgetAfter).UnixNano()
		s.state, s.reason, s.over = Terminated, "timeout", true
		t.unlink(s)
		t.put(s, out)
		s.dirty = false
		t.arm(s)
		return
	}
	s.more().suppress = a.match == "*"
	s.lastSum, s.lastState = s.Package.Render(s, now).sum, Active
	if s.lastNotify == 0 {
		s.lastNotify = now.UnixNano()
	}
	s.dirty = false
	if s.mark <= s.cseq+markStep/2 {
		s.mark = s.cseq + markStep
	}
	t.put(s, out)
	t.arm(s)
}
