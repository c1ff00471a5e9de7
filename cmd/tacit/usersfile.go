package main

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tacit-presence/tacit/server"
)

// byteOrderMark is how some editors and spreadsheets begin a file.
const byteOrderMark = "\ufeff"

// readUsers reads a users file: name,password[,AOR...] a line, as CSV; empty
// lines and those that begin with # are passed over. The AORs are aliases of
// sip:name@domain. One without a domain is of that domain too.
func readUsers(r io.Reader, file, domain string) ([]server.NewUser, error) {
	text := bufio.NewReader(r)
	if mark, err := text.Peek(len(byteOrderMark)); err == nil && string(mark) == byteOrderMark {
		_, _ = text.Discard(len(byteOrderMark)) // just peeked at
	}
	in := csv.NewReader(text)
	in.Comment = '#'
	in.FieldsPerRecord = -1
	in.TrimLeadingSpace = true
	var list []server.NewUser
	lineOf := map[string]int{} // of each name
	for {
		fields, err := in.Read()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		var syntax *csv.ParseError
		if errors.As(err, &syntax) {
			return nil, usage("%s:%d: %v", file, syntax.Line, syntax.Err)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read the users: %w", err)
		}
		line, _ := in.FieldPos(0)
		u, err := readUser(fields, domain)
		if err != nil {
			return nil, usage("%s:%d: %v", file, line, err)
		}
		if first, twice := lineOf[u.Name]; twice {
			return nil, usage("%s:%d: %s is on line %d already", file, line, u.Name, first)
		}
		lineOf[u.Name] = line
		list = append(list, u)
	}
}

func readUser(fields []string, domain string) (server.NewUser, error) {
	if len(fields) < 2 {
		return server.NewUser{}, errors.New("a line is name,password[,AOR...]")
	}
	u := server.NewUser{Name: strings.TrimSpace(fields[0]), Password: fields[1]}
	if u.Name == "" {
		return u, errors.New("the name is empty")
	}
	if u.Password == "" {
		return u, fmt.Errorf("the password of %s is empty", u.Name)
	}
	var err error
	if u.Name, err = nameIn(u.Name, domain); err != nil {
		return u, err
	}
	for _, s := range fields[2:] {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		if len(u.AORs) == 0 {
			own, err := parseAOR(u.Name, domain)
			if err != nil {
				return u, fmt.Errorf("the name %q makes no address: %w", u.Name, err)
			}
			u.AORs = append(u.AORs, own)
		}
		aor, err := parseAOR(s, domain)
		if err != nil {
			return u, err
		}
		if !slices.Contains(u.AORs, aor) {
			u.AORs = append(u.AORs, aor)
		}
	}
	return u, nil
}
