package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"github.com/tacit-presence/tacit/server"
)

type serveCmd struct {
	Config string `placeholder:"FILE" default:"tacit.toml" help:"The configuration file."`
}

// Run serves until interrupted.
func (c *serveCmd) Run(e *env) error {
	cfg, warnings, err := server.LoadConfig(c.Config)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		cfg.Logger.Warn("configuration", "warning", w)
	}
	s, err := newServer(cfg)
	if err != nil {
		return err
	}
	if err := s.Start(e.ctx); err != nil {
		return errors.Join(err, stop(s))
	}
	for _, l := range s.Addresses() {
		cfg.Logger.Info("listening", "transport", l.Transport.String(), "address", l.Address)
	}
	if _, err := fmt.Fprintln(e.stdout, "ready"); err != nil {
		return errors.Join(err, stop(s))
	}
	if err := notifySystemd("READY=1"); err != nil {
		cfg.Logger.Warn("systemd cannot be told that the server is ready", "error", err)
	}
	return wait(e.ctx, s, &reloader{e: e, file: c.Config, log: cfg.Logger, apply: s.Reload})
}

// waitable is what wait needs of a server.
type waitable interface {
	stoppable
	Wait() error
}

// wait returns when ctx has ended and the server is stopped, or when the
// server has failed. Meanwhile SIGHUP reloads.
func wait(ctx context.Context, s waitable, r *reloader) error {
	failed := make(chan error, 1)
	go func() { failed <- s.Wait() }()
	var hangup <-chan os.Signal
	if r != nil {
		hangup = r.e.hangup
	}
	for {
		select {
		case <-hangup:
			r.reload()
		case err := <-failed:
			return errors.Join(err, stop(s))
		case <-ctx.Done():
			if r != nil {
				// That systemd cannot be told changes nothing in a stop.
				_ = notifySystemd("STOPPING=1")
			}
			return stop(s)
		}
	}
}

// reloader reads the configuration again.
type reloader struct {
	e     *env
	file  string
	log   *slog.Logger
	apply func(server.Config) error
}

// reload applies the file as it is now. A file with a fault changes nothing.
func (r *reloader) reload() {
	cfg, warnings, err := server.LoadConfig(r.file)
	if err != nil {
		r.log.Error("the configuration has a fault and was not applied", "error", err)
		return
	}
	for _, w := range warnings {
		r.log.Warn("configuration", "warning", w)
	}
	switch err := r.apply(cfg); {
	case errors.Is(err, server.ErrRestart):
		r.log.Warn("configuration applied, but for what needs a restart", "error", err)
	case err != nil:
		r.log.Error("the configuration was not applied", "error", err)
	default:
		r.log.Info("configuration applied")
	}
}

// notifySystemd tells the service manager of a state (sd_notify); without one
// it does nothing.
func notifySystemd(state string) error {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"}) // a leading @ is an abstract name
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte(state))
	return err
}

type configCmd struct {
	Check    configCheckCmd    `cmd:"" help:"Tell every fault of the file, with its line, and what an operator should know."`
	Describe configDescribeCmd `cmd:"" help:"Print every key with its meaning and default, as a file."`
}

type configCheckCmd struct {
	Config string `placeholder:"FILE" xor:"place" help:"The configuration file."`
	Dir    string `placeholder:"DIR" xor:"place" help:"The folder that holds tacit.toml. Without either, the working directory."`
}

// Run checks the file.
func (c *configCheckCmd) Run(e *env) error {
	if c.Config == "" {
		c.Config = filepath.Join(c.Dir, configName)
	}
	_, warnings, err := server.LoadConfig(c.Config)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		fmt.Fprintln(e.stdout, "warning: "+w)
	}
	_, err = fmt.Fprintln(e.stdout, c.Config+": ok")
	return err
}

// configDescribeCmd takes the flags of the others, though all servers have the
// same keys: so that a script need not tell it apart.
type configDescribeCmd struct {
	place `hidden:""`
}

// Run describes the file.
func (configDescribeCmd) Run(e *env) error { return server.DescribeConfig(e.stdout) }
