package main

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/term"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/server"
)

type userCmd struct {
	Add    userAddCmd    `cmd:"" help:"Add a user."`
	Rm     userRmCmd     `cmd:"" help:"Remove a user, with publications, rules and subscriptions."`
	Passwd userPasswdCmd `cmd:"" help:"Set a user's password."`
	List   userListCmd   `cmd:"" help:"List the users."`
}

// password is where a new password comes from. Standard input is read only
// where that is asked for: a script that inherits an open pipe must not hang.
type password struct {
	Password      string `placeholder:"TEXT" xor:"password" help:"The password. Other users of this machine may see it while the command runs: better leave it out; then it is asked for on a terminal, and made up and printed elsewhere."`
	PasswordStdin bool   `xor:"password" help:"Read the password from standard input, one line."`
}

// get gives the password and whether it was made up.
func (p *password) get(e *env) (text string, made bool, err error) {
	switch {
	case p.Password != "":
		return p.Password, false, nil
	case p.PasswordStdin:
		line, err := bufio.NewReader(e.stdin).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", false, fmt.Errorf("cannot read the password: %w", err)
		}
		if text = strings.TrimRight(line, "\r\n"); text == "" {
			return "", false, usage("standard input has no password; write it there as one line")
		}
		return text, false, nil
	case term.IsTerminal(int(e.stdin.Fd())):
		text, err := ask(e)
		if err != nil || text != "" {
			return text, false, err
		}
	}
	return randomPassword(passwordLength), true, nil
}

// ask reads a password twice without showing it.
func ask(e *env) (string, error) {
	var answers [2]string
	for i, prompt := range [...]string{"Password (empty: one is made up): ", "Again: "} {
		fmt.Fprint(e.stderr, prompt)
		b, err := term.ReadPassword(int(e.stdin.Fd()))
		fmt.Fprintln(e.stderr)
		if err != nil {
			return "", fmt.Errorf("cannot read the password: %w", err)
		}
		if len(b) == 0 && i == 0 {
			return "", nil
		}
		answers[i] = string(b)
	}
	if answers[0] != answers[1] {
		return "", errors.New("the two passwords differ; nothing was changed")
	}
	return answers[0], nil
}

// Lengths of made-up passwords, in characters of 5 random bits each: one that
// must stand against whoever has overheard an answer, and one that a person
// types into a softphone on the same table.
const (
	passwordLength  = 20
	throwawayLength = 12
)

// randomPassword makes a password of letters and digits, at most 26.
func randomPassword(length int) string { return strings.ToLower(rand.Text()[:length]) }

type userAddCmd struct {
	Name string   `arg:"" help:"NAME, of the default domain, or NAME@DOMAIN."`
	AOR  []string `name:"aor" placeholder:"ADDRESS" help:"An address-of-record of the user, such as sip:alice@example.com; again for each alias. The first names the presentity. Without any: sip:NAME@DOMAIN."`
	password
	place
}

// Run adds the user.
func (c *userAddCmd) Run(e *env) error {
	name, domain, err := splitUser(c.Name)
	if err != nil {
		return err
	}
	return c.with(func(o *operator) error {
		u := server.NewUser{Name: name, Domain: domain}
		for _, s := range c.AOR {
			aor, err := o.aor(s)
			if err != nil {
				return err
			}
			u.AORs = append(u.AORs, aor)
		}
		text, made, err := c.get(e)
		if err != nil {
			return err
		}
		u.Password = text
		if err := o.AddUser(u); err != nil {
			return err
		}
		return told(e, "added", c.Name, text, made)
	})
}

// told prints what was done, and a password that nobody knows yet.
func told(e *env, what, name, text string, made bool) error {
	if made {
		_, err := fmt.Fprintf(e.stdout, "%s %s, password %s\n", what, name, text)
		return err
	}
	_, err := fmt.Fprintln(e.stdout, what, name)
	return err
}

type userRmCmd struct {
	Name string `arg:"" help:"NAME or NAME@DOMAIN."`
	place
}

// Run removes the user.
func (c *userRmCmd) Run(e *env) error {
	name, err := userName(c.Name)
	if err != nil {
		return err
	}
	return c.with(func(o *operator) error {
		if err := o.RemoveUser(name); err != nil {
			return err
		}
		forgetPassword(o.dir, name)
		return told(e, "removed", c.Name, "", false)
	})
}

type userPasswdCmd struct {
	Name string `arg:"" help:"NAME or NAME@DOMAIN."`
	password
	place
}

// Run sets the password.
func (c *userPasswdCmd) Run(e *env) error {
	name, err := userName(c.Name)
	if err != nil {
		return err
	}
	return c.with(func(o *operator) error {
		text, made, err := c.get(e)
		if err != nil {
			return err
		}
		if err := o.SetPassword(name, text); err != nil {
			return err
		}
		forgetPassword(o.dir, name)
		return told(e, "new password for", c.Name, text, made)
	})
}

// userName checks NAME or NAME@DOMAIN and gives it without scheme.
func userName(s string) (string, error) {
	name, domain, err := splitUser(s)
	if err == nil && domain != "" {
		name += "@" + domain
	}
	return name, err
}

type userListCmd struct {
	listing
	place
}

// Run lists the users.
func (c *userListCmd) Run(e *env) error {
	return c.with(func(o *operator) error {
		list, err := o.Users()
		if err != nil {
			return err
		}
		return print(e, c.listing, list, "NAME\tDOMAIN\tADDRESSES", func(u server.UserInfo) string {
			return u.Name + "\t" + u.Domain + "\t" + joinAORs(u.AORs)
		})
	})
}

func joinAORs(list []presence.AOR) string {
	var b strings.Builder
	for i, a := range list {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(a))
	}
	return b.String()
}
