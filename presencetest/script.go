package presencetest

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/tacit-presence/tacit/server"
	"github.com/tacit-presence/tacit/sip"
)

// Run plays the scenario in the file at path: a txtar archive whose comment is
// the script, one command a line, and whose files are the documents that it
// names. With update the documents that a `want notify body=` names are written
// anew from what came.
//
// A script begins with comment lines that name the rule it tests. Commands:
//
//	config KEY=VALUE...              before everything else
//	user NAME [alias=URI]...         provision a user, or give it aliases
//	remove-user NAME                 as tacit user rm does
//	as NAME[/DEVICE] [transport=tcp] [digest]
//	rule PRESENTITY block|confirm|polite-block|allow|none WATCHER
//	document USER AUID/NAME FILE|none  put the user's XCAP document, or remove it
//
//	publish FILE [pub=NAME]          initial PUBLISH; for FILE open:NAME or closed:NAME
//	                                 means a tuple with that status, id and note
//	refresh, modify FILE, remove     of the publication [pub=NAME]
//	subscribe PRESENTITY [id=ID] [dialog=NAME] [event=PACKAGE]
//	resubscribe, unsubscribe         in the dialog [dialog=NAME] [of=UA]
//	fetch PRESENTITY
//	register [CONTACT]...
//	request METHOD                   any other, outside a dialog
//	send FILE                        a message as it stands
//	repeat                           the last request, byte for byte
//
// All of these take want=STATUS (200 without it; none: no answer), expires=N,
// to=URI, match=ETAG, cseq=N, contact=URI, anonymous, body=FILE, and
// header=NAME:VALUE, where a VALUE @etag is the SIP-ETag of the NOTIFY looked at.
//
//	answered STATUS                  the last request has been answered so
//	response NAME VALUE              its response has the header field value; VALUE
//	                                 * for any, none for no such field
//	same-etag, other-etag            compare the entity-tag with the one before
//	want notify [state=] [reason=] [body=FILE|none] [dialog=] [expires=] [has=TEXT] [lacks=TEXT]
//	     [winfo="VERSION full|partial NAME:STATUS:EVENT..."] [xcap-diff="ROOT ITEM..."]
//	want nothing                     no NOTIFY has come that was not looked at
//	notify NAME VALUE                a header field of the last one, or Request-URI
//	transmissions DURATION...        when it and its retransmissions came
//	drop                             forget what has come
//	answer STATUS [retry-after=N] [event=VALUE]  to the next NOTIFY
//	mute, unmute                     answer no NOTIFY
//
//	sleep DURATION
//	hold, release                    nothing becomes durable between
//	crash [keep=N], restart          kill -9, after which N held writes are found; a stop in good order
//	disconnect, connect              the connection of this user agent
//	subs N, pubs N                   what the server holds
//
// At the end every NOTIFY must have been looked at.
func Run(t *testing.T, path string, update bool) {
	t.Helper()
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(archive.Comment), "\n")
	cfg, dials := config(t, lines)
	s := &script{archive: archive, update: update}
	synctest.Test(t, func(t *testing.T) {
		s.w = NewWorld(t, cfg)
		s.w.dials = dials
		defer s.w.Close()
		for i, line := range lines {
			s.line(t, fmt.Sprintf("%s:%d: %s", path, i+1, line), line)
		}
		for name, u := range s.w.uas {
			if n := u.next(); n != nil {
				t.Errorf("%s: nobody looked at this NOTIFY to %s:\n%s", path, name, n.Msg.AppendMessage(nil))
			}
		}
	})
	if s.changed {
		if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// script is a running scenario.
type script struct {
	w       *World
	archive *txtar.Archive
	update  bool
	changed bool
	u       *UA
	now     *Notify // the one looked at last
	etag    string  // of the last 200 to PUBLISH
}

// command is one line: words and key=value pairs.
type command struct {
	name  string
	words []string
	pairs []pair
}

type pair struct{ key, value string }

func (c *command) get(key string) (value string) {
	for _, p := range c.pairs {
		if p.key == key {
			value = p.value
		}
	}
	return value
}

func (c *command) word(i int) string {
	if i < len(c.words) {
		return c.words[i]
	}
	return ""
}

func (c *command) has(word string) bool {
	for _, w := range c.words {
		if w == word {
			return true
		}
	}
	return false
}

// parse splits a line at spaces outside quotation marks; ok is false for a line
// without command.
func parse(line string) (c command, ok bool) {
	var parts []string
	quoted, part, any := false, "", false
	for _, r := range line {
		switch {
		case r == '"':
			quoted, any = !quoted, true
		case r == ' ' && !quoted || r == '\t':
			if any {
				parts = append(parts, part)
			}
			part, any = "", false
		default:
			part, any = part+string(r), true
		}
	}
	if any {
		parts = append(parts, part)
	}
	if len(parts) == 0 || strings.HasPrefix(parts[0], "#") {
		return c, false
	}
	c.name = parts[0]
	for _, p := range parts[1:] {
		key, value, isPair := strings.Cut(p, "=")
		if isPair && key != "" && strings.Trim(key, "abcdefghijklmnopqrstuvwxyz-") == "" {
			c.pairs = append(c.pairs, pair{key, value})
		} else {
			c.words = append(c.words, p)
		}
	}
	return c, true
}

// config reads the config lines.
func config(t *testing.T, lines []string) (cfg server.Config, dials []netip.Prefix) {
	t.Helper()
	cfg = DefaultConfig()
	for _, line := range lines {
		c, ok := parse(line)
		if !ok || c.name != "config" {
			continue
		}
		for _, p := range c.pairs {
			var err error
			switch p.key {
			case "default-decision":
				cfg.DefaultDecision, err = server.ParseDecision(p.value)
			case "give-up":
				cfg.GiveUp, err = time.ParseDuration(p.value)
			case "min-interval":
				cfg.MinInterval, err = time.ParseDuration(p.value)
			case "min-expires":
				cfg.MinExpires, err = time.ParseDuration(p.value)
			case "max-expires":
				cfg.MaxExpires, err = time.ParseDuration(p.value)
			case "conceal":
				cfg.Privacy.Conceal = p.value == "on"
			case "composition":
				cfg.Composition = p.value
			case "max-subscriptions":
				cfg.Limits.MaxSubscriptions, err = strconv.Atoi(p.value)
			case "max-publications":
				cfg.Limits.MaxPublications, err = strconv.Atoi(p.value)
			case "dial":
				var prefix netip.Prefix
				prefix, err = netip.ParsePrefix(p.value)
				dials = append(dials, prefix)
			default:
				err = fmt.Errorf("no such key")
			}
			if err != nil {
				t.Fatalf("config %s=%s: %v", p.key, p.value, err)
			}
		}
	}
	return cfg, dials
}

// line runs one line.
func (s *script) line(t *testing.T, where, line string) {
	c, ok := parse(line)
	if !ok || c.name == "config" {
		return
	}
	var err error
	if fn, known := commands[c.name]; known {
		err = fn(s, &c)
	} else {
		err = fmt.Errorf("no such command")
	}
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	if t.Failed() {
		t.Fatalf("%s: see above", where)
	}
}

// file gives a document of the archive, or the one that its name describes:
// open:NAME and closed:NAME are a tuple with that status, id and note.
func (s *script) file(name string) (string, error) {
	if basic, id, ok := strings.Cut(name, ":"); ok {
		return Tuple(id, basic), nil
	}
	for _, f := range s.archive.Files {
		if f.Name == name {
			return string(f.Data), nil
		}
	}
	return "", fmt.Errorf("no file %s", name)
}

// replace writes a document of the archive anew.
func (s *script) replace(name, text string) {
	s.changed = true
	for i := range s.archive.Files {
		if s.archive.Files[i].Name == name {
			s.archive.Files[i].Data = []byte(text)
			return
		}
	}
	s.archive.Files = append(s.archive.Files, txtar.File{Name: name, Data: []byte(text)})
}

// options reads what all requests take.
func (s *script) options(c *command) (o Options, err error) {
	o.To, o.Expires, o.Anonymous = c.get("to"), c.get("expires"), c.has("anonymous")
	if v := c.get("cseq"); v != "" {
		n, err := strconv.ParseUint(v, 10, 32)
		if err != nil {
			return o, err
		}
		o.CSeq = uint32(n)
	}
	for _, p := range c.pairs {
		if p.key != "header" {
			continue
		}
		name, value, ok := strings.Cut(p.value, ":")
		if !ok {
			return o, fmt.Errorf("header=NAME:VALUE is wanted")
		}
		value = strings.TrimSpace(value)
		if value == "@etag" {
			value, _ = s.now.Msg.Get(sip.HeaderSIPETag)
		}
		o.Headers = append(o.Headers, header(name, value))
	}
	if f := c.get("body"); f != "" {
		if o.Body, err = s.file(f); err != nil {
			return o, err
		}
	}
	return o, nil
}

// header makes a header field by name.
func header(name, value string) sip.Header {
	m := new(sip.Message)
	_ = m.Parse("OPTIONS sip:x SIP/2.0\r\n"+name+": "+value+"\r\n\r\n", sip.DefaultLimits)
	for _, h := range m.Headers {
		if h.ID != sip.HeaderOther {
			return sip.Header{ID: h.ID, Value: value}
		}
	}
	return sip.Header{Name: name, Value: value}
}

// status compares a request's outcome with want=.
func (c *command) status(got int) error {
	want := 200
	switch v := c.get("want"); v {
	case "":
	case "none":
		want = 0
	default:
		n, err := strconv.Atoi(v)
		if err != nil {
			return err
		}
		want = n
	}
	if got != want {
		return fmt.Errorf("answered %d, not %d", got, want)
	}
	return nil
}
