package presencetest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/watcherinfo"
	"github.com/tacit-presence/tacit/xcapdiff"
)

// commands are those of a script; Run documents them.
var commands = map[string]func(*script, *command) error{
	"user": (*script).addUser,
	"remove-user": func(s *script, c *command) error {
		defer s.w.Settle()
		return s.w.Core.Admin().RemoveUser(c.word(0))
	},
	"as":       (*script).as,
	"document": (*script).document,
	"rule":     func(s *script, c *command) error { s.w.Rule(c.word(0), c.word(1), c.word(2)); s.w.Settle(); return nil },

	"publish":     (*script).publish,
	"refresh":     (*script).publish,
	"modify":      (*script).publish,
	"remove":      (*script).publish,
	"subscribe":   (*script).subscribe,
	"fetch":       (*script).subscribe,
	"resubscribe": (*script).refresh,
	"unsubscribe": (*script).refresh,
	"register":    (*script).register,
	"request":     (*script).request,
	"send":        (*script).send,
	"repeat":      (*script).repeat,
	"answered": func(s *script, c *command) error {
		c.pairs = []pair{{"want", c.word(0)}}
		return c.status(s.u.Status())
	},
	"response":   func(s *script, c *command) error { return field(s.u.Response(), c) },
	"same-etag":  (*script).compareTag,
	"other-etag": (*script).compareTag,

	"want":          (*script).want,
	"notify":        func(s *script, c *command) error { return field(s.now.Msg, c) },
	"transmissions": (*script).transmissions,
	"drop":          func(s *script, _ *command) error { s.u.Drop(); return nil },
	"answer":        (*script).answer,
	"mute":          func(s *script, _ *command) error { s.u.Mute(true); return nil },
	"unmute":        func(s *script, _ *command) error { s.u.Mute(false); return nil },

	"sleep":      (*script).sleep,
	"hold":       func(s *script, _ *command) error { s.w.Store.Hold(); return nil },
	"release":    func(s *script, _ *command) error { s.w.Store.Release(); s.w.Settle(); return nil },
	"crash":      (*script).crash,
	"restart":    func(s *script, _ *command) error { s.w.Restart(); s.w.Settle(); return nil },
	"disconnect": func(s *script, _ *command) error { s.u.Disconnect(); s.w.Settle(); return nil },
	"connect":    func(s *script, _ *command) error { s.u.Connect(); return nil },
	"subs":       (*script).subs,
	"pubs":       (*script).pubs,
}

func (s *script) addUser(c *command) error {
	var aliases []string
	for _, p := range c.pairs {
		if p.key == "alias" {
			aliases = append(aliases, p.value)
		}
	}
	if aliases != nil {
		aliases = append([]string{uri(c.word(0))}, aliases...)
	}
	s.w.AddUser(c.word(0), aliases...)
	return nil
}

func (s *script) as(c *command) error {
	name := c.word(0)
	if s.u = s.w.uas[name]; s.u != nil {
		return nil
	}
	user, device, _ := strings.Cut(name, "/")
	transport := sip.TransportUDP
	if v := c.get("transport"); v != "" {
		var ok bool
		if transport, ok = sip.ParseTransport(v); !ok {
			return fmt.Errorf("no such transport")
		}
	}
	s.u = s.w.NewUA(user, device, transport, c.has("digest"))
	s.w.uas[name] = s.u
	return nil
}

func (s *script) document(c *command) error {
	body := ""
	if f := c.word(2); f != "none" {
		var err error
		if body, err = s.file(f); err != nil {
			return err
		}
	}
	defer s.w.Settle()
	return s.w.Document(c.word(0), c.word(1), body)
}

func (s *script) publish(c *command) error {
	o, err := s.options(c)
	if err != nil {
		return err
	}
	pub, body, match := c.get("pub"), "", presence.EntityTag("")
	if c.name != "publish" {
		match = s.u.Tag(pub)
	}
	if v := c.get("match"); v != "" {
		match = presence.EntityTag(v)
	}
	if c.name == "remove" {
		o.Expires = "0"
	}
	if f := c.word(0); f != "" && f != "anonymous" {
		if body, err = s.file(f); err != nil {
			return err
		}
	}
	s.etag = string(s.u.Tag(pub))
	return c.status(s.u.Publish(pub, match, body, o))
}

func (s *script) repeat(c *command) error {
	s.etag = string(s.u.Tag(c.get("pub")))
	return c.status(s.u.Repeat())
}

func (s *script) compareTag(c *command) error {
	tag := string(s.u.Tag(c.get("pub")))
	if same := tag == s.etag; same != (c.name == "same-etag") {
		return fmt.Errorf("the entity-tag is %q, and was %q", tag, s.etag)
	}
	return nil
}

func (s *script) subscribe(c *command) error {
	o, err := s.options(c)
	if err != nil {
		return err
	}
	if c.name == "fetch" {
		o.Expires = "0"
	}
	if v := c.get("contact"); v != "" {
		s.u.Contact = v
	}
	o.strict, o.Event = c.has("strict"), c.get("event")
	return c.status(s.u.Subscribe(c.get("dialog"), c.word(0), c.get("id"), o))
}

func (s *script) refresh(c *command) error {
	o, err := s.options(c)
	if err != nil {
		return err
	}
	if c.name == "unsubscribe" {
		o.Expires = "0"
	}
	if v := c.get("contact"); v != "" {
		s.u.Contact = v
	}
	owner := s.u
	if v := c.get("of"); v != "" {
		owner = s.w.uas[v]
	}
	d := owner.Dialog(c.get("dialog"))
	if d == nil {
		return fmt.Errorf("no such dialog")
	}
	if owner != s.u { // another one says what it has overheard
		copied := *d
		d = &copied
	}
	return c.status(s.u.Refresh(d, o))
}

func (s *script) register(c *command) error {
	o, err := s.options(c)
	if err != nil {
		return err
	}
	contacts := slices.DeleteFunc(c.words, func(w string) bool { return w == "anonymous" })
	return c.status(s.u.Register(contacts, o))
}

func (s *script) request(c *command) error {
	o, err := s.options(c)
	if err != nil {
		return err
	}
	return c.status(s.u.Other(sip.Method(c.word(0)), o))
}

func (s *script) send(c *command) error {
	text, err := s.file(c.word(0))
	if err != nil {
		return err
	}
	return c.status(s.u.Raw(strings.ReplaceAll(text, "\n", "\r\n")))
}

// field compares a header field of a message.
func field(m *sip.Message, c *command) error {
	if m == nil {
		return fmt.Errorf("there is no message")
	}
	name, want := c.word(0), strings.Join(c.words[1:], " ")
	for _, p := range c.pairs { // a value may look like a pair
		want = strings.TrimSpace(want + " " + p.key + "=" + p.value)
	}
	var got []string
	switch h := header(name, "x"); {
	case name == "Request-URI":
		got = append(got, m.RequestURI)
	case h.ID == sip.HeaderOther:
		if v, ok := m.Named(name); ok {
			got = append(got, v)
		}
	default:
		for v := range m.Values(h.ID) {
			got = append(got, v)
		}
	}
	found := want == "*" && len(got) > 0 || want == "none" && len(got) == 0
	for _, v := range got {
		found = found || v == want
	}
	if !found {
		return fmt.Errorf("%s is %q in\n%s", name, got, m.AppendMessage(nil))
	}
	return nil
}

func (s *script) want(c *command) error {
	s.w.Settle()
	n := s.u.next()
	if c.word(0) == "nothing" {
		if n != nil {
			return fmt.Errorf("there is a NOTIFY:\n%s", n.Msg.AppendMessage(nil))
		}
		return nil
	}
	if n == nil {
		return fmt.Errorf("there is no NOTIFY")
	}
	s.now = n
	v, _ := n.Msg.Get(sip.HeaderSubscriptionState)
	state, params := sip.SplitParams(v)
	reason, _ := sip.HeaderParam(params, "reason")
	expires, _ := sip.HeaderParam(params, "expires")
	for _, p := range c.pairs {
		var err error
		switch p.key {
		case "state":
			err = equal(p.value, state)
		case "reason":
			err = equal(p.value, reason)
		case "expires":
			err = equal(p.value, expires)
		case "dialog":
			err = equal(p.value, n.Dialog.name)
		case "body":
			err = s.body(p.value, n.Msg.Body)
		case "winfo":
			err = s.winfo(p.value, n.Msg.Body)
		case "xcap-diff":
			err = s.xcapDiff(p.value, n.Msg.Body)
		case "has":
			if !strings.Contains(n.Msg.Body, p.value) {
				err = fmt.Errorf("%s is not in", p.value)
			}
		case "lacks":
			if strings.Contains(n.Msg.Body, p.value) {
				err = fmt.Errorf("%s is in", p.value)
			}
		default:
			err = fmt.Errorf("no such condition: %s", p.key)
		}
		if err != nil {
			return fmt.Errorf("%w\n%s", err, n.Msg.AppendMessage(nil))
		}
	}
	return nil
}

func equal(want, got string) error {
	if want != got {
		return fmt.Errorf("%s is wanted, not %s", want, got)
	}
	return nil
}

// body compares a NOTIFY's body with a document of the archive.
func (s *script) body(name, got string) error {
	if name == "none" {
		return equal("", got)
	}
	want, err := s.file(name)
	if want == got && err == nil {
		return nil
	}
	if s.update {
		s.replace(name, got)
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("the body is not %s:\n%s", name, want)
}

// winfo compares a document of watcher information: its version, full or partial,
// and for each watcher the user's name, status and event.
func (s *script) winfo(want, got string) error {
	d, err := watcherinfo.Parse(got)
	if err != nil {
		return err
	}
	var rows []string
	for _, l := range d.Lists {
		for _, w := range l.Watchers {
			user, _, _ := strings.Cut(strings.TrimPrefix(w.URI, "sip:"), "@")
			rows = append(rows, fmt.Sprintf(" %s:%s:%s", user, w.Status, w.Event))
		}
	}
	slices.Sort(rows)
	kind := "full"
	if d.Partial {
		kind = "partial"
	}
	return equal(want, fmt.Sprint(d.Version, " ", kind, strings.Join(rows, "")))
}

// xcapDiff compares a document of changes of XCAP resources: its root, and in their
// order what it tells: +SEL a document that is there, ~SEL one that has changed and
// has to be fetched, ~SEL/NUMBER with so many operations that change it, ~SEL/same
// with a new entity-tag alone, -SEL one that has gone, <SEL> an element, =SEL:VALUE
// an attribute, and !SEL either that has gone.
func (s *script) xcapDiff(want, got string) error {
	d, err := xcapdiff.Parse(got)
	if err != nil {
		return err
	}
	text := d.Root
	for _, i := range d.Items {
		text += " "
		switch {
		case i.Gone:
			text += "!" + i.Sel
		case i.Kind == xcapdiff.KindElement:
			text += "<" + i.Sel + ">"
		case i.Kind == xcapdiff.KindAttribute:
			text += "=" + i.Sel + ":" + i.Text
		case i.Was == "":
			text += "+" + i.Sel
		case i.Is == "":
			text += "-" + i.Sel
		case i.Same:
			text += "~" + i.Sel + "/same"
		case len(i.Ops) > 0:
			text += fmt.Sprintf("~%s/%d", i.Sel, len(i.Ops))
		default:
			text += "~" + i.Sel
		}
	}
	return equal(want, text)
}

func (s *script) transmissions(c *command) error {
	got := fmt.Sprint(s.u.transmissions(s.now))
	var want []time.Duration
	for _, w := range c.words {
		d, err := time.ParseDuration(w)
		if err != nil {
			return err
		}
		want = append(want, d)
	}
	return equal(fmt.Sprint(want), got)
}

func (s *script) answer(c *command) error {
	status, err := strconv.Atoi(c.word(0))
	if err != nil {
		return err
	}
	var headers []sip.Header
	if v := c.get("retry-after"); v != "" {
		headers = append(headers, sip.Header{ID: sip.HeaderRetryAfter, Value: v})
	}
	if v := c.get("event"); v != "" {
		headers = append(headers, sip.Header{ID: sip.HeaderEvent, Value: v})
	}
	s.u.Answer(status, headers...)
	return nil
}

func (s *script) sleep(c *command) error {
	d, err := time.ParseDuration(c.word(0))
	if err != nil {
		return err
	}
	s.w.Sleep(d)
	return nil
}

func (s *script) crash(c *command) error {
	keep := 0
	if v := c.get("keep"); v != "" {
		var err error
		if keep, err = strconv.Atoi(v); err != nil {
			return err
		}
	}
	s.w.Crash(keep)
	s.w.Settle()
	return nil
}

func (s *script) subs(c *command) error {
	list, err := s.w.Core.Admin().Subs("")
	if err != nil {
		return err
	}
	return equal(c.word(0), strconv.Itoa(len(list)))
}

func (s *script) pubs(c *command) error {
	list, err := s.w.Core.Admin().Pubs("")
	if err != nil {
		return err
	}
	return equal(c.word(0), strconv.Itoa(len(list)))
}
