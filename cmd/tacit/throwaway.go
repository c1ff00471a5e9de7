package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/server"
)

// throwawayNames are the users of a localserve that was told of none.
var throwawayNames = []string{"alice", "bob", "carol"}

// passwordsName is a file in DIR with the made-up passwords of these users, so
// that a second start can print them: the store keeps only hashes. It is
// written for nobody else.
const passwordsName = "passwords.txt"

const (
	passwordsHead   = "# Throw-away users of `tacit localserve`, name and password"
	passwordsUnmade = "# not all made yet" // until users and rules are in the store
)

// throwaway is the content of that file.
type throwaway struct {
	path      string
	passwords map[string]string
	made      bool // nothing is left to make
}

// openThrowaway reads the file of an earlier start. Without one it makes
// passwords if the store has no users, and else leaves those users alone.
func openThrowaway(dir string, noUsers bool) (*throwaway, error) {
	t := &throwaway{path: filepath.Join(dir, passwordsName), passwords: map[string]string{}}
	data, err := os.ReadFile(t.path)
	switch {
	case err == nil:
		t.made = true
		for line := range strings.Lines(string(data)) {
			line = strings.TrimSpace(line)
			if line == passwordsUnmade {
				t.made = false
			}
			if name, password, ok := strings.Cut(line, " "); ok && !strings.HasPrefix(line, "#") {
				t.passwords[name] = password
			}
		}
		return t, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case !noUsers:
		t.made = true
		return t, nil
	}
	for _, name := range throwawayNames {
		t.passwords[name] = randomPassword(throwawayLength)
	}
	return t, t.write()
}

// write replaces the file as a whole: a start that is killed finds it complete
// or not at all.
func (t *throwaway) write() error {
	var b strings.Builder
	b.WriteString(passwordsHead + "\n")
	if !t.made {
		b.WriteString(passwordsUnmade + "\n")
	}
	for _, name := range throwawayNames {
		if p, ok := t.passwords[name]; ok {
			b.WriteString(name + " " + p + "\n")
		}
	}
	tmp := t.path + ".new"
	if err := os.WriteFile(tmp, []byte(b.String()), 0o600); err != nil {
		return fmt.Errorf("cannot keep the passwords: %w", err)
	}
	return os.Rename(tmp, t.path)
}

// users are the users to make.
func (t *throwaway) users() (list []server.NewUser) {
	for _, name := range throwawayNames {
		list = append(list, server.NewUser{Name: name, Password: t.passwords[name]})
	}
	return list
}

// finish lets the users see each other and notes that all is made.
func (t *throwaway) finish(a server.Admin, domain string) error {
	for _, p := range throwawayNames {
		for _, w := range throwawayNames {
			if p == w {
				continue
			}
			if err := a.SetRule(presence.AOR("sip:"+p+"@"+domain), presence.AOR("sip:"+w+"@"+domain), policy.Allow); err != nil {
				return fmt.Errorf("cannot let %s see %s: %w", w, p, err)
			}
		}
	}
	t.made = true
	return t.write()
}

// accounts lists the users that are there, with the passwords we know of.
func (t *throwaway) accounts(users []server.UserInfo, domain string) (list []login) {
	for _, u := range users {
		password := "(as set before)"
		if p, ok := t.passwords[u.Name]; ok && u.Domain == domain {
			password = p
		}
		list = append(list, login{u.Name, address(u.AORs, u.Name, u.Domain), password})
	}
	return list
}

// forgetPassword takes a user whose password has been changed or who is gone
// out of the file: its line becomes a comment in its place. So the file stays
// whole, and the server's, whoever has asked a running one for the change. That
// it cannot be written does no harm worth an error: it would show a password
// that no longer holds.
func forgetPassword(dir, name string) {
	name, _, _ = strings.Cut(name, "@")
	f, err := os.OpenFile(filepath.Join(dir, passwordsName), os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		return
	}
	at := int64(0)
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, name+" ") {
			_, _ = f.WriteAt(bytes.Repeat([]byte("#"), len(strings.TrimRight(line, "\r\n"))), at)
		}
		at += int64(len(line))
	}
}
