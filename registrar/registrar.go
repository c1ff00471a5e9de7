// Package registrar keeps the bindings of REGISTER (RFC 3261, 10.3) for one
// shard: a pure machine beside the presence agent. It hands out no GRUU.
package registrar

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tacit-presence/tacit/notifier"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/store"
)

const (
	// KeyKind is the first byte of a binding record's key in the store.
	KeyKind = 'b'
	// defaultExpires is for a binding that asks for no duration (RFC 3261, 10.2).
	defaultExpires = time.Hour
	// maxBindings bounds one address-of-record: no person carries so many phones.
	maxBindings = 32
)

// Config is what a Registrar needs.
type Config struct {
	ID         shard.ID
	MinExpires time.Duration // shorter ones get 423
	MaxExpires time.Duration // longer ones are shortened
}

// Binding is one Contact of an address-of-record.
type Binding struct {
	URI     string `cbor:"1,keyasint"`
	Params  string `cbor:"2,keyasint,omitempty"` // header parameters as sent, without expires
	CallID  string `cbor:"3,keyasint"`
	CSeq    uint32 `cbor:"4,keyasint"`
	Expires int64  `cbor:"5,keyasint"` // Unix nanoseconds
	Print   uint64 `cbor:"6,keyasint"` // fingerprint of the request that set it
}

// Registrar is one shard's bindings. Only the shard's worker touches it.
type Registrar struct {
	cfg  Config
	by   map[presence.AOR][]Binding
	next int64
}

// New makes an empty one.
func New(cfg Config) *Registrar {
	return &Registrar{cfg: cfg, by: map[presence.AOR][]Binding{}}
}

// Restore reads the shard's records.
func (r *Registrar) Restore(st store.Store) error {
	return st.Scan(store.Key(KeyKind, byte(r.cfg.ID)), func(key, value []byte) error {
		_, _, parts, err := store.KeyParts(key)
		if err != nil || len(parts) != 1 {
			return fmt.Errorf("binding record: malformed key %x", key)
		}
		var list []Binding
		if err := store.Decode(value, &list); err != nil {
			return fmt.Errorf("bindings of %s: %w", parts[0], err)
		}
		r.by[presence.AOR(parts[0])] = list
		r.arm(list)
		return nil
	})
}

// Bindings lists the live bindings of an address-of-record.
func (r *Registrar) Bindings(a presence.AOR) []Binding { return slices.Clone(r.by[a]) }

// Deadline is when a Tick is wanted; zero: never.
func (r *Registrar) Deadline() time.Time {
	if r.next == 0 {
		return time.Time{}
	}
	return time.Unix(0, r.next)
}

// Step takes a REGISTER or a Tick.
func (r *Registrar) Step(ev *shard.Event, now time.Time, out *shard.Batch) {
	switch ev.Kind {
	case shard.Request:
		r.register(ev, now, out)
	case shard.Tick:
		r.tick(now, out)
	}
}

func (r *Registrar) register(ev *shard.Event, now time.Time, out *shard.Batch) {
	aor, err := ev.Msg.To.URI.AOR()
	if err != nil {
		reply(ev, out, sip.Reply{Status: 404})
		return
	}
	// RFC 3261, 10.3, step 4: only for one's own addresses.
	if !slices.Contains(ev.Owner, ev.Who.AOR()) {
		reply(ev, out, sip.Reply{Status: 403})
		return
	}
	list, no := r.update(ev.Msg, live(r.by[aor], now), now)
	if no != nil {
		reply(ev, out, *no)
		return
	}
	if _, changes := ev.Msg.Get(sip.HeaderContact); changes {
		r.put(aor, list, out)
	}
	headers := make([]sip.Header, 0, len(list))
	for _, b := range list {
		left := time.Duration(b.Expires - now.UnixNano())
		headers = append(headers, sip.Header{ID: sip.HeaderContact, Value: "<" + b.URI + ">" + b.Params + ";expires=" + notifier.Seconds(left)})
	}
	reply(ev, out, sip.Reply{Status: 200, Headers: headers})
}

// update applies the Contacts of m, all or none (RFC 3261, 10.3, steps 6 and 7).
func (r *Registrar) update(m *sip.Message, list []Binding, now time.Time) ([]Binding, *sip.Reply) {
	expires, no := r.expires(m)
	if no != nil {
		return nil, no
	}
	print := notifier.Fingerprint(m)
	list = slices.Clone(list)
	var contacts []string
	for v := range m.Values(sip.HeaderContact) {
		contacts = append(contacts, v)
	}
	if slices.Contains(contacts, "*") {
		v, _ := m.Get(sip.HeaderExpires)
		if len(contacts) != 1 || strings.Trim(v, "0") != "" || v == "" {
			return nil, &sip.Reply{Status: 400, Reason: "Contact * Needs Expires 0 and Nothing Else"}
		}
		for _, b := range list {
			if b.CallID == m.CallID && b.CSeq >= m.CSeq.Seq {
				return nil, &sip.Reply{Status: 500, Reason: "CSeq Out Of Order"}
			}
		}
		return nil, nil
	}
	for _, v := range contacts {
		c, err := sip.ParseNameAddr(v)
		if err != nil {
			return nil, &sip.Reply{Status: 400, Reason: "Malformed Contact"}
		}
		if list, no = r.bind(m, c, expires, print, list, now); no != nil {
			return nil, no
		}
	}
	if len(list) > maxBindings {
		// RFC 3261, 21.5.4: a 503 would be taken as the whole server's.
		return nil, &sip.Reply{Status: 500, Reason: "Too Many Contacts", Headers: []sip.Header{{ID: sip.HeaderRetryAfter, Value: "60"}}}
	}
	return list, nil
}

func (r *Registrar) expires(m *sip.Message) (time.Duration, *sip.Reply) {
	v, ok := m.Get(sip.HeaderExpires)
	if !ok {
		return defaultExpires, nil
	}
	n, err := sip.ParseUint32(v)
	if err != nil {
		return 0, &sip.Reply{Status: 400, Reason: "Malformed Expires"}
	}
	return time.Duration(n) * time.Second, nil
}

func (r *Registrar) bind(m *sip.Message, c sip.NameAddr, expires time.Duration, print uint64, list []Binding, now time.Time) ([]Binding, *sip.Reply) {
	if v, ok := c.Param("expires"); ok {
		// RFC 3261, 10.2.1.1: a malformed one counts as 3600.
		expires = defaultExpires
		if n, err := sip.ParseUint32(v); err == nil {
			expires = time.Duration(n) * time.Second
		}
	}
	if expires > 0 && expires < r.cfg.MinExpires {
		return nil, &sip.Reply{Status: 423, Headers: []sip.Header{{ID: sip.HeaderMinExpires, Value: notifier.Seconds(r.cfg.MinExpires)}}}
	}
	expires = min(expires, r.cfg.MaxExpires)
	b := Binding{
		URI: strings.Clone(c.RawURI), Params: withoutExpires(c.Params), CallID: strings.Clone(m.CallID),
		CSeq: m.CSeq.Seq, Expires: now.Add(expires).UnixNano(), Print: print,
	}
	for i, old := range list {
		u, err := sip.ParseURI(old.URI)
		if err != nil || !u.Equal(c.URI) {
			continue
		}
		if old.CallID == b.CallID && old.CSeq >= b.CSeq && old.Print != print {
			return nil, &sip.Reply{Status: 500, Reason: "CSeq Out Of Order"}
		}
		list = slices.Delete(list, i, i+1)
		break
	}
	if expires > 0 {
		list = append(list, b)
	}
	return list, nil
}

// withoutExpires drops the expires parameter, which the answer states anew.
func withoutExpires(params string) string {
	var b strings.Builder
	for _, p := range splitParams(params) {
		name, _, _ := strings.Cut(p, "=")
		if p != "" && !strings.EqualFold(strings.TrimSpace(name), "expires") {
			b.WriteString(";" + strings.TrimSpace(p))
		}
	}
	return b.String()
}

// splitParams splits at semicolons outside quotes.
func splitParams(s string) []string {
	var parts []string
	quoted, from := false, 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ';' && !quoted:
			parts = append(parts, s[from:i])
			from = i + 1
		}
	}
	return append(parts, s[from:])
}

func (r *Registrar) put(aor presence.AOR, list []Binding, out *shard.Batch) {
	key := store.Key(KeyKind, byte(r.cfg.ID), string(aor))
	if len(list) == 0 {
		delete(r.by, aor)
		out.Records.Delete(key)
		return
	}
	r.by[aor] = list
	out.Records.Put(key, store.MustEncode(nil, list))
	r.arm(list)
}

// Remove forgets the bindings of a user that is no more.
func (r *Registrar) Remove(aor presence.AOR, out *shard.Batch) {
	if _, ok := r.by[aor]; ok {
		r.put(aor, nil, out)
	}
}

func (r *Registrar) arm(list []Binding) {
	for _, b := range list {
		if r.next == 0 || b.Expires < r.next {
			r.next = b.Expires
		}
	}
}

func (r *Registrar) tick(now time.Time, out *shard.Batch) {
	if r.next == 0 || r.next > now.UnixNano() {
		return
	}
	r.next = 0
	for aor, list := range r.by {
		if kept := live(list, now); len(kept) < len(list) {
			r.put(aor, kept, out)
		}
		r.arm(r.by[aor])
	}
}

func live(list []Binding, now time.Time) []Binding {
	var kept []Binding
	for _, b := range list {
		if b.Expires > now.UnixNano() {
			kept = append(kept, b)
		}
	}
	return kept
}

func reply(ev *shard.Event, out *shard.Batch, r sip.Reply) {
	if ev.Msg.To.Tag() == "" {
		r.ToTag = fmt.Sprintf("%016x", notifier.Fingerprint(ev.Msg))
	}
	out.Reply(ev, r)
}
