package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/server"
)

// document says which document of a presentity's is meant.
type document struct {
	Presentity string `arg:"" help:"Whose document, such as sip:alice@example.com."`
}

type documentName struct {
	Name string `default:"index" placeholder:"NAME" help:"The document's name below users/PRESENTITY/ in XCAP; index unless given."`
	AUID string `name:"auid" default:"pres-rules" placeholder:"AUID" help:"The application usage: pres-rules unless given; or org.openmobilealliance.pres-rules, resource-lists, rls-services, pidf-manipulation, tacit-preferences."`
}

// Validate refuses no name at all, which is what an unset variable of a script
// gives: it must not become index, and be removed.
func (n documentName) Validate() error {
	switch "" {
	case n.Name:
		return errors.New("--name is empty")
	case n.AUID:
		return errors.New("--auid is empty")
	}
	return nil
}

func (n documentName) name() server.DocumentName {
	return server.DocumentName{AUID: n.AUID, Name: n.Name}
}

// of opens the server and calls fn with the presentity's address.
func (d document) of(p place, fn func(o *operator, aor presence.AOR) error) error {
	return p.with(func(o *operator) error {
		aor, err := o.aor(d.Presentity)
		if err != nil {
			return err
		}
		return fn(o, aor)
	})
}

type diffCmd struct {
	document
	File string `arg:"" name:"rules.xml" help:"The document as it would be; - is standard input."`
	documentName
	listing
	place
}

// Run tells what the document would change.
func (c *diffCmd) Run(e *env) error {
	body, err := readDocument(e, c.File)
	if err != nil {
		return err
	}
	return c.of(c.place, func(o *operator, p presence.AOR) error {
		diff, err := o.CompareRules(p, server.DocumentInput{DocumentName: c.name(), Body: body})
		if err != nil {
			return err
		}
		o.noteGuessed(e)
		if c.JSON {
			return printJSON(e, diff)
		}
		_, err = io.WriteString(e.stdout, differences(diff))
		return err
	})
}

type putCmd struct {
	document
	File string `arg:"" help:"The document; - is standard input."`
	documentName
	place
}

// Run keeps the document and tells what it has changed.
func (c *putCmd) Run(e *env) error {
	body, err := readDocument(e, c.File)
	if err != nil {
		return err
	}
	in := server.DocumentInput{DocumentName: c.name(), Body: body}
	return c.change(e, c.place, in, "saved", func(o *operator, p presence.AOR) error { return o.PutDocument(p, in) })
}

// change does what puts in in the place of what there is, and tells what came of it.
func (d document) change(e *env, where place, in server.DocumentInput, done string, do func(o *operator, p presence.AOR) error) error {
	return d.of(where, func(o *operator, p presence.AOR) error {
		diff, err := o.CompareRules(p, in)
		if err != nil {
			return err
		}
		if err := do(o, p); err != nil {
			return err
		}
		o.noteGuessed(e)
		_, err = fmt.Fprintf(e.stdout, "%s: %s/%s is %s\n%s", p, in.AUID, printable(in.Name), done, differences(diff))
		return err
	})
}

type getCmd struct {
	document
	documentName
	place
}

// Run prints the document, byte for byte.
func (c *getCmd) Run(e *env) error {
	return c.of(c.place, func(o *operator, p presence.AOR) error {
		text, err := o.Document(p, c.name())
		if err != nil {
			return err
		}
		_, err = io.WriteString(e.stdout, text)
		return err
	})
}

type deleteCmd struct {
	document
	documentName
	place
}

// Run removes the document and tells what that has changed.
func (c *deleteCmd) Run(e *env) error {
	in := server.DocumentInput{DocumentName: c.name(), Absent: true}
	return c.change(e, c.place, in, "deleted", func(o *operator, p presence.AOR) error { return o.RemoveDocument(p, in.DocumentName) })
}

type documentsCmd struct {
	document
	listing
	place
}

// Run lists the documents.
func (c *documentsCmd) Run(e *env) error {
	return c.of(c.place, func(o *operator, p presence.AOR) error {
		list, err := o.Documents(p)
		if err != nil {
			return err
		}
		return print(e, c.listing, list, "AUID\tNAME\tBYTES\tMODIFIED\tETAG", func(d server.DocumentInfo) string {
			return fmt.Sprintf("%s\t%s\t%d\t%s\t%s", d.AUID, printable(d.Name), d.Size, when(d.Modified), d.ETag)
		})
	})
}

// differences says to a person who gains and loses what.
func differences(d server.RulesDiff) string {
	var b strings.Builder
	for _, c := range d.Changes {
		who := map[string]string{
			"address":         string(c.Watcher),
			"domain":          "anybody else of " + c.Domain,
			"others":          "anybody of another domain",
			"unauthenticated": "whoever is not authenticated",
		}[c.Kind]
		if c.Live {
			who += ", who watches now"
		}
		if !c.From.IsZero() {
			who += ", from " + whenThere(c.From)
		}
		if !c.Until.IsZero() {
			who += ", until " + whenThere(c.Until)
		}
		fmt.Fprintf(&b, "%s: ", printable(who))
		if c.Before == c.After {
			fmt.Fprintf(&b, "%s as before\n", c.After)
		} else {
			fmt.Fprintf(&b, "%s becomes %s\n", c.Before, c.After)
		}
		for _, x := range c.Differences {
			if x.What != "handling" { // it has been said
				fmt.Fprintf(&b, "  %s\n", printable(x.String()))
			}
		}
	}
	if len(d.Changes) == 0 {
		fmt.Fprintf(&b, "nothing changes for anybody (%d compared)\n", d.Compared)
	} else {
		fmt.Fprintf(&b, "%d of %d compared gain or lose something\n", d.Changed, d.Compared)
	}
	if d.LeftOut > 0 {
		fmt.Fprintf(&b, "%d more were not compared\n", d.LeftOut)
	}
	for _, w := range d.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", printable(w))
	}
	return b.String()
}
