package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/server"
)

// anonymousWord is how the command line calls who is not authenticated.
const anonymousWord = "anonymous"

type explainCmd struct {
	Presentity string `arg:"" help:"Whose presence, such as sip:alice@example.com."`
	Watcher    string `arg:"" help:"Who asks for it, such as sip:bob@example.com: as it watches now, else as its address is proven here: by digest if it is of a domain served here, asserted by a trusted server if not; or anonymous: somebody who is not authenticated."`
	At         string `placeholder:"TIME" help:"Then instead of now, of what is published now: as 2026-11-25T09:00:00Z or 2026-11-25T09:00+01:00, or in local time as 2026-11-25T09:00 or 2026-11-25."`
	AsIf       string `placeholder:"RULES.xml" help:"As if this file (-: standard input) stood in the place of the rules document pres-rules/index. Nothing is changed."`
	listing
	place
}

// Run explains.
func (c *explainCmd) Run(e *env) error {
	q, err := c.query(e)
	if err != nil {
		return err
	}
	return c.with(func(o *operator) error {
		p, err := o.aor(c.Presentity)
		if err != nil {
			return err
		}
		if q.Watcher == "" {
			if q.Watcher, err = o.watcher(c.Watcher); err != nil {
				return err
			}
		}
		x, err := o.Explain(p, q)
		if err != nil {
			return err
		}
		o.noteGuessed(e)
		if c.JSON {
			return printJSON(e, x)
		}
		_, err = io.WriteString(e.stdout, printable(explained(x)))
		return err
	})
}

// query reads the flags; its watcher is empty where that needs the domain.
func (c *explainCmd) query(e *env) (q server.ExplainQuery, err error) {
	if c.Watcher == anonymousWord {
		q.Watcher = presence.Anonymous
	} else if err := plainWatcher(c.Watcher); err != nil {
		return q, err
	}
	if c.At != "" {
		if q.At, err = parseTime(c.At); err != nil {
			return q, err
		}
	}
	if c.AsIf != "" {
		body, err := readDocument(e, c.AsIf)
		if err != nil {
			return q, err
		}
		q.AsIf = &server.DocumentInput{Body: body}
	}
	return q, nil
}

// parseTime reads RFC 3339, with the seconds or not, with a T or a blank, and
// with a zone or in local time; a date alone is its midnight.
func parseTime(s string) (time.Time, error) {
	text := strings.Replace(strings.ToUpper(strings.TrimSpace(s)), " ", "T", 1)
	for _, layout := range [...]string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usage("--at %q is no time; write it as 2026-11-25T09:00:00Z, or in local time as 2026-11-25T09:00", s)
}

// readDocument reads a document from a file, or from standard input for "-".
func readDocument(e *env, file string) ([]byte, error) {
	var in io.Reader = e.stdin
	if file != "-" {
		f, err := os.Open(file)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, usage("%s: there is no such file", file)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read the document: %w", err)
		}
		defer f.Close()
		in = f
	}
	body, err := io.ReadAll(io.LimitReader(in, server.MaxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the document: %w", err)
	}
	if len(body) > server.MaxDocument {
		return nil, fmt.Errorf("%s has more than the %d bytes that a document may have", file, server.MaxDocument)
	}
	return body, nil
}

func printJSON(e *env, v any) error {
	enc := json.NewEncoder(e.stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// called is how a watcher is called before people.
func called(a presence.AOR) string {
	if a == presence.Anonymous {
		return anonymousWord
	}
	return string(a)
}

// explained says an explanation to a person.
func explained(x server.Explanation) string {
	var b strings.Builder
	who := called(x.Watcher)
	fmt.Fprintf(&b, "%s asks for the presence of %s at %s\n\n", who, x.Presentity, whenThere(x.At))
	fmt.Fprintf(&b, "Decision: %s, by %s\n", x.Decision, x.Reason)
	if x.Capped != "" {
		fmt.Fprintf(&b, "Bounded by the operator: %s\n", x.Capped)
	}
	if x.Raised != "" {
		fmt.Fprintf(&b, "Raised by the operator: %s\n", x.Raised)
	}
	fmt.Fprintf(&b, "Told: %s\n", toldWords(x))
	if !x.Until.IsZero() {
		fmt.Fprintf(&b, "Time alone may change this at %s\n", whenThere(x.Until))
	}
	section := func(title string, lines []string) {
		if len(lines) == 0 {
			return
		}
		fmt.Fprintf(&b, "\n%s:\n", title)
		for _, l := range lines {
			fmt.Fprintf(&b, "  %s\n", l)
		}
	}
	section("It may see", x.Permissions)
	var rules []string
	for _, r := range x.Rules {
		rules = append(rules, ruleLine(r))
	}
	section("Rules", rules)
	section("Warnings", x.Warnings)
	if x.Document == "" {
		b.WriteString("\nIt gets no document.\n")
	} else {
		fmt.Fprintf(&b, "\nThe document that it gets:\n%s\n", strings.TrimRight(x.Document, "\n"))
	}
	return b.String()
}

// ruleLine says what came of one rule. A ceiling gives nothing: it lets through.
func ruleLine(r server.RuleFound) string {
	adds := " matches, and adds "
	if strings.HasPrefix(r.Name, server.CeilingPrefix) {
		adds = " matches, and lets through at most "
	}
	line := "+ " + r.Name + adds + strings.Join(r.Adds, "; ")
	if !r.Matches {
		line = "- " + r.Name + " does not match: " + r.Why
	}
	if !r.Until.IsZero() {
		line += " (until " + whenThere(r.Until) + ")"
	}
	return line
}

// toldWords says what the watcher really sees of a decision.
func toldWords(x server.Explanation) string {
	text := map[string]string{
		"block":        "refused (403); a subscription ends",
		"confirm":      "pending, until there is a decision",
		"polite-block": "a presentity that looks unavailable",
		"allow":        "what it may see",
	}[x.Told]
	if x.Concealed && x.Told != x.Decision {
		text += ", as of one that publishes nothing: decisions are hidden from watchers"
	}
	return text
}
