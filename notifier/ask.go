package notifier

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/watcherinfo"
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

// Parametered is an event package with parameters of Event of its own.
type Parametered interface {
	// Parameters takes those of a SUBSCRIBE that makes or refreshes s, after Ask.
	// keep is stored with the subscription, and comes back after a restart, after
	// Recall, as if it were the parameters.
	Parameters(s *Subscription, params string) (keep string)
}

// parameters gives those of Event to the event package.
func (s *Subscription) parameters(params string) {
	p, ok := s.Package.(Parametered)
	if !ok {
		return
	}
	if keep := p.Parameters(s, params); keep != "" || s.extra != nil {
		s.more().params = keep
	}
}

// extra is what few subscriptions have.
type extra struct {
	kept     string // what Asker.Ask wants kept
	params   string // what Parametered.Parameters wants kept
	data     any    // the package's own
	rates    rates
	suppress condition
	asked    uint32 // Body.asked of the last NOTIFY
	retry    int64  // when what was refused goes again; 0: never
}

// condition is what a Suppress-If-Match left behind that was true: it holds until
// the next SUBSCRIBE, or until it is not true any more (RFC 5839, 6.3).
type condition struct {
	always bool   // it was *
	sum    uint64 // of the state that the watcher has; 0: no condition
}

// met reports whether it lets a NOTIFY with that body go without the body.
func (c condition) met(body Body) bool {
	return c.always || c.sum != 0 && c.sum == body.sum
}

// suppresses reports whether s needs no body now, as far as its condition goes.
func (s *Subscription) suppresses(body Body) bool {
	return s.extra != nil && body.text != "" && s.extra.suppress.met(body)
}

// asks reports whether a change that the watcher asked to be told of leads to
// body, and it has not been told yet.
func (s *Subscription) asks(body Body) bool {
	return body.asked != 0 && (s.extra == nil || s.extra.asked != body.asked)
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
		return &refusal{status: 488, headers: []sip.Header{sip.Warning(err)}}
	}
	s.more().kept = keep
	return nil
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
// best: by q. Of those that it likes alike it is the package's first, which is its
// default, but for one that the watcher names: nobody names partial documents who
// does not want them (RFC 5263, 4.2). Without Accept it is the default.
func format(m *sip.Message, types []string) (int, *refusal) {
	best, rank := -1, 0.0
	for i, t := range types {
		q, named, listed := quality(m, t)
		if !listed {
			return 0, nil
		}
		if q > rank || named && q > 0 && q == rank {
			best, rank = i, q
		}
	}
	if best < 0 {
		return 0, &refusal{status: 406, headers: []sip.Header{{ID: sip.HeaderAccept, Value: strings.Join(types, ", ")}}}
	}
	return best, nil
}

// quality is how much a watcher likes a media type: what its most specific media
// range says (RFC 9110, 12.5.1, whose Accept is SIP's), and whether that is the
// type's own name. listed is false where Accept names nothing at all.
func quality(m *sip.Message, mediaType string) (q float64, named, listed bool) {
	const ownName = 3
	group, _, _ := strings.Cut(mediaType, "/")
	closest := 0
	for v := range m.Values(sip.HeaderAccept) {
		if v == "" {
			continue
		}
		listed = true
		name, params := sip.SplitParams(v)
		close := 0
		switch strings.ToLower(strings.ReplaceAll(name, " ", "")) {
		case mediaType:
			close = ownName
		case group + "/*":
			close = 2
		case "*/*":
			close = 1
		}
		if close <= closest {
			continue
		}
		closest, q = close, 1
		if text, ok := sip.HeaderParam(params, "q"); ok {
			if parsed, err := strconv.ParseFloat(text, 64); err == nil && parsed >= 0 && parsed <= 1 {
				q = parsed
			}
		}
	}
	return q, closest == ownName, listed
}

// Format is the media type that the watcher wants its documents in: one of the
// package's Accepts.
func (s *Subscription) Format() string { return s.Package.Accepts()[s.format] }

// Answering reports whether the NOTIFY that is being rendered answers a SUBSCRIBE,
// or says that the subscription itself has changed.
func (s *Subscription) Answering() bool { return s.force || s.lastNotify == 0 || s.state == Terminated }

// Told is the Sum of the state that the watcher is known to have: that of the
// last NOTIFY, if it was answered with 2xx in this dialog since the server began
// and since the watcher's last SUBSCRIBE; else 0. A document that says only what
// has changed since is understood.
func (s *Subscription) Told() uint64 { return s.told }

// conditional reports whether a SUBSCRIBE is conditional and its watcher has the
// state as it is (RFC 5839, 6.2). The condition holds from then on.
func (t *Table) conditional(s *Subscription, a ask, now int64) (matches bool) {
	switch {
	case a.match == "":
		return false
	case a.match == anyTag:
		s.more().suppress.always = true
		return true
	case s.state != Active:
		return false
	}
	body := s.Package.Render(s, time.Unix(0, now))
	if a.match != string(t.entityTag(nil, s, body)) {
		return false
	}
	s.more().suppress.sum = body.sum
	return true
}

// anyTag is the condition that is always true (RFC 5839, 7.3).
const anyTag = "*"

// entityTag appends the entity-tag of a state as s is told it (RFC 5839, 6.1): of
// equal documents of one type and one event id it is the same.
func (t *Table) entityTag(b []byte, s *Subscription, body Body) []byte {
	h := hash64(hash64(t.tagSecret^body.sum, s.Format()), s.EventID)
	var sum [8]byte
	binary.BigEndian.PutUint64(sum[:], h)
	return hex.AppendEncode(b, sum[:])
}

// silent answers a conditional SUBSCRIBE whose watcher knows all already with
// 204 and no NOTIFY (RFC 5839, 6.3).
func (t *Table) silent(ev *shard.Event, s *Subscription, a ask, now time.Time, out *shard.Batch) {
	t.answer(ev, s, 204, a.expires, out)
	if a.expires == 0 { // RFC 5839, 5.7
		s.forget = now.Add(forgetAfter).UnixNano()
		s.state, s.reason, s.over = Terminated, "timeout", true
		s.more().suppress.always = true
		t.unlink(s)
		t.put(s, out)
		s.dirty = false
		t.happened(s, watcherinfo.Timeout, now, out)
		t.arm(s)
		return
	}
	if has := s.extra.suppress.sum; has != 0 && has != s.lastSum {
		s.lastSum, s.told = has, 0 // it has it from elsewhere
	}
	s.dirty, s.force, s.hurry = false, false, false
	s.remark()
	t.put(s, out)
	t.arm(s)
}
