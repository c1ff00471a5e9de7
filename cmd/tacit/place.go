package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/server"
	"github.com/tacit-presence/tacit/store"
)

// configName is what quickstart writes and what is read where nothing is said.
const configName = "tacit.toml"

// place says which server an operator means.
type place struct {
	Dir    string `placeholder:"DIR" xor:"place" help:"The server's state directory."`
	Config string `placeholder:"FILE" xor:"place" help:"The server's configuration file. Without either, ./tacit.toml."`
}

// operator is the Admin of a running or stopped server.
type operator struct {
	server.Admin
	dir     string
	domains []string // the first is the default; may be empty on a running server
	stopped bool
	guessed bool // stopped, and no configuration is at hand
	close   func() error
}

// file is the configuration file that is meant, or empty if --dir says enough.
// It may name the folder given to quickstart, which holds the file and has the
// state in a folder of its own.
func (p *place) file() (string, error) {
	if p.Dir != "" {
		if info, err := os.Stat(p.Dir); err != nil || !info.IsDir() {
			return "", usage("--dir %s: there is no such directory", p.Dir)
		}
		domains, err := server.RememberedDomains(p.Dir)
		file := filepath.Join(p.Dir, configName)
		if _, statErr := os.Stat(file); err != nil || len(domains) > 0 || statErr != nil {
			return "", err
		}
		return file, nil
	}
	if p.Config != "" {
		return p.Config, nil
	}
	if _, err := os.Stat(configName); errors.Is(err, fs.ErrNotExist) {
		return "", usage("which server? Give --dir DIR or --config FILE")
	}
	return configName, nil
}

// open finds the server: the running one by its control socket, else the
// stopped one's store.
func (p *place) open() (*operator, error) {
	file, err := p.file()
	if err != nil {
		return nil, err
	}
	o := &operator{dir: p.Dir}
	offline := func() (*server.Offline, error) { return server.OpenOffline(o.dir, o.domains) }
	if file != "" {
		cfg, _, err := server.LoadConfig(file)
		if err != nil {
			return nil, err
		}
		o.dir, o.domains = cfg.Dir, cfg.Domains
		offline = func() (*server.Offline, error) { return server.OpenOfflineConfig(cfg) }
	} else if o.domains, err = server.RememberedDomains(o.dir); err != nil {
		return nil, err
	}
	err = patiently(func() error {
		running, err := server.DialControl(o.dir)
		if err == nil {
			o.Admin, o.close = running, running.Close
			return nil
		}
		if !errors.Is(err, server.ErrStopped) {
			return err
		}
		stopped, err := offline()
		if err != nil {
			return err
		}
		o.Admin, o.stopped, o.guessed, o.close = stopped, true, file == "", stopped.Close
		return nil
	})
	return o, err
}

// A server that starts or stops, and a tool that works on a stopped one, hold
// the store for a moment in which the other finds it taken.
const (
	lockPatience = 5 * time.Second
	lockPause    = 50 * time.Millisecond
)

// patiently repeats fn while the store is taken.
func patiently(fn func() error) error {
	for end := time.Now().Add(lockPatience); ; time.Sleep(lockPause) {
		if err := fn(); !errors.Is(err, store.ErrLocked) || time.Now().After(end) {
			return err
		}
	}
}

// newServer opens the server's state.
func newServer(cfg server.Config) (s *server.Server, err error) {
	err = patiently(func() error {
		s, err = server.New(cfg)
		if !errors.Is(err, store.ErrLocked) {
			return err
		}
		if c, dialErr := server.DialControl(cfg.Dir); dialErr == nil {
			c.Close()
			return fmt.Errorf("a server runs on %s already; stop it first, or choose another directory", cfg.Dir)
		}
		return err
	})
	return s, err
}

// domain is the default one, or empty.
func (o *operator) domain() string {
	if len(o.domains) == 0 {
		return ""
	}
	return o.domains[0]
}

// aor reads an address; a name alone is one of the default domain.
func (o *operator) aor(s string) (presence.AOR, error) { return parseAOR(s, o.domain()) }

// watcher reads a watcher's address, which may be a tel URI too.
func (o *operator) watcher(s string) (presence.AOR, error) {
	if !isTel(s) {
		return o.aor(s)
	}
	id, ok := policy.Identity(s)
	if !ok {
		return "", usage("%q is no tel URI such as tel:+15551234", s)
	}
	return id, nil
}

// noteStopped says why what is listed may not be as it has been decided.
func (o *operator) noteStopped(e *env) {
	if o.stopped {
		fmt.Fprintln(e.stderr, "note: the server is stopped; what was decided meanwhile takes effect on subscriptions at its next start")
	}
}

// noteGuessed says that what depends on the configuration may be otherwise.
func (o *operator) noteGuessed(e *env) {
	if o.guessed {
		fmt.Fprintln(e.stderr, "note: the server is stopped and no configuration is given: the default decision, concealment and operator's rules are taken to be localserve's")
	}
}

// with opens the server, runs fn, and closes it.
func (p *place) with(fn func(o *operator) error) error {
	o, err := p.open()
	if err != nil {
		return err
	}
	err = fn(o)
	if o.stopped && errors.Is(err, server.ErrStopped) {
		err = fmt.Errorf("%w on %s; that works on a running one alone", server.ErrStopped, o.dir)
	}
	return errors.Join(err, o.close())
}

// listing prints lists.
type listing struct {
	JSON bool `name:"json" help:"Print JSON, for programs."`
}

// print writes list as JSON, or as a table with a row for each element.
func print[T any](e *env, l listing, list []T, header string, row func(T) string) error {
	if l.JSON {
		if list == nil {
			list = []T{}
		}
		enc := json.NewEncoder(e.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(list)
	}
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, header)
	for _, x := range list {
		fmt.Fprintln(w, row(x))
	}
	return w.Flush()
}
