package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/tacit-presence/tacit/client"
)

// maxDocument bounds a PIDF file: what is larger is a mistaken file.
const maxDocument = 1 << 20

// account says where and as whom the client tools log in.
type account struct {
	Server    string `placeholder:"HOST[:PORT]" help:"The server, or the proxy in front of it. Without it, what DNS says of the user's domain."`
	Transport string `enum:"udp,tcp,tls,ws,wss" default:"udp" help:"udp, tcp, tls, ws or wss."`
	User      string `required:"" placeholder:"ADDRESS" help:"Your address, such as sip:alice@example.com."`
	AuthUser  string `placeholder:"NAME" help:"The user name to log in with, where it is not that of --user."`
	Password  string `placeholder:"TEXT" env:"TACIT_PASSWORD" help:"Your password; better given in the environment, where others cannot see it."`
	CA        string `name:"ca" placeholder:"FILE" type:"path" help:"PEM file with the CA of the server's certificate, instead of the system's."`
}

func (a *account) dial(e *env) (*client.Client, error) {
	return client.Dial(e.ctx, client.Config{
		Server: a.Server, Transport: a.Transport, User: a.User, AuthUser: a.AuthUser, Password: a.Password, CAFile: a.CA,
		Logger: slog.New(slog.NewTextHandler(e.stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
}

type publishCmd struct {
	Status   string        `enum:"open,closed" default:"open" help:"open or closed."`
	Note     string        `placeholder:"TEXT" help:"A note for people."`
	Activity string        `placeholder:"NAME" help:"What you do: an activity of RFC 4480 such as meeting or on-the-phone, or words of your own."`
	File     string        `placeholder:"PIDF.xml" help:"Publish this document instead; - reads standard input."`
	Expires  time.Duration `default:"1h" help:"How long it holds between two refreshes."`
	Keep     bool          `negatable:"" default:"true" help:"Keep it refreshed until interrupted, then remove it. With --no-keep: publish once and leave it until it expires."`
	account
}

// Run publishes.
func (c *publishCmd) Run(e *env) error {
	if c.Expires < time.Second {
		return usage("--expires %s is less than the protocol's unit, 1s; `tacit pubs end` removes a publication", c.Expires)
	}
	body, err := c.document(e)
	if err != nil {
		return err
	}
	cl, err := c.dial(e)
	if err != nil {
		return err
	}
	defer cl.Close()
	p, err := cl.Publish(e.ctx, body, client.PIDFType, c.Expires)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "published, entity-tag %s, for %s\n", p.EntityTag(), p.Expires())
	if !c.Keep {
		return nil
	}
	fmt.Fprintln(e.stdout, "kept until interrupted")
	if err := p.Keep(e.ctx); err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.stdout, "removed")
	return err
}

func (c *publishCmd) document(e *env) (string, error) {
	if c.File == "" {
		entity := c.User
		if !hasScheme(entity) {
			entity = "sip:" + entity
		}
		return client.PIDF(entity, c.Status, c.Note, c.Activity), nil
	}
	if c.Note != "" || c.Activity != "" {
		return "", usage("--file says all by itself; leave --note and --activity out")
	}
	in := io.Reader(e.stdin)
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return "", err
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxDocument+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("cannot read the document: %w", err)
	case len(data) > maxDocument:
		return "", fmt.Errorf("%s is larger than %d bytes; is it a presence document?", c.File, maxDocument)
	case len(data) == 0:
		return "", fmt.Errorf("%s is empty", c.File)
	}
	return string(data), nil
}

type watchCmd struct {
	Target  []string `arg:"" help:"Whom to watch, such as sip:bob@example.com."`
	Once    bool     `help:"Fetch the presence of now and end."`
	JSON    bool     `name:"json" help:"Print a line of JSON for each notification, for programs."`
	Partial bool     `help:"Let the server send what has changed alone, where it can."`
	account
}

// Run watches.
func (c *watchCmd) Run(e *env) error {
	cl, err := c.dial(e)
	if err != nil {
		return err
	}
	defer cl.Close()
	err = cl.WatchTerminal(e.ctx, c.Target, e.stdout, client.WatchConfig{JSON: c.JSON, Once: c.Once, Partial: c.Partial})
	if err != nil && e.ctx.Err() == context.Canceled && !c.Once {
		return nil // interrupted: the way a live view ends
	}
	return err
}

func jsonLine(e *env, v any) error { return json.NewEncoder(e.stdout).Encode(v) }

// printable keeps text from the network from steering a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\r' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 {
			return '\uFFFD'
		}
		return r
	}, s)
}
