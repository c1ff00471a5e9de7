package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/server"
	"github.com/tacit-presence/tacit/sip"
)

// stopTimeout bounds a stop: what is queued goes out in far less.
const stopTimeout = 10 * time.Second

type localserveCmd struct {
	Dir             string        `placeholder:"DIR" type:"path" help:"State directory; a second start on it continues with what was there. Without it, a fresh temporary one, which is removed when the server is stopped (SIGINT, SIGTERM) and kept if it fails or is killed meanwhile."`
	Domain          string        `placeholder:"example.com" help:"The domain, which is the realm too. Without it, the one that --dir had before, else example.com."`
	SIP             string        `name:"sip" placeholder:"HOST:PORT" default:"127.0.0.1:5060" help:"SIP over UDP and TCP; empty: closed."`
	SIPS            string        `name:"sips" placeholder:"HOST:PORT" default:"127.0.0.1:5061" help:"SIP over TLS; empty: closed."`
	WS              string        `name:"ws" placeholder:"HOST:PORT" help:"SIP over WebSocket, in clear text. Closed unless given."`
	WSS             string        `name:"wss" placeholder:"HOST:PORT" help:"SIP over WebSocket, over TLS. Closed unless given."`
	HTTP            string        `name:"http" placeholder:"HOST:PORT" help:"Metrics and health over HTTP, and on loopback XCAP and the API. Closed unless given."`
	HTTPS           string        `name:"https" placeholder:"HOST:PORT" help:"Metrics, health, XCAP and the API over HTTPS. Closed unless given."`
	Advertise       string        `placeholder:"HOST[:PORT]" help:"What Via, Contact and Record-Route say, where the server listens on a wildcard or behind NAT."`
	User            []string      `sep:"none" placeholder:"NAME:PASSWORD" help:"A user; again for each. The password may hold colons. Then only the users given exist, and no rules are made."`
	UsersFile       string        `placeholder:"FILE" help:"Users, one a line: name,password[,AOR...]; the AORs are aliases of sip:name@domain, and their domains are served too. Then only the users given exist, and no rules are made."`
	Trust           []string      `placeholder:"CIDR" help:"An address or network whose P-Asserted-Identity is believed; again for each."`
	DefaultDecision string        `enum:"block,confirm,polite-block,allow" default:"confirm" placeholder:"DECISION" help:"What a watcher without a rule gets: block, confirm, polite-block or allow."`
	MinInterval     time.Duration `placeholder:"DURATION" default:"0s" help:"Least time between two notifications of one subscription."`
	Conceal         string        `enum:"on,off" default:"off" placeholder:"on|off" help:"on: watchers cannot tell block, confirm, polite-block and no-such-user from a presentity that publishes nothing. off: plainly by the RFCs."`
	Ceilings        string        `placeholder:"FILE" type:"path" help:"Authorization rules of the operator's that bound what presentities give."`
	Overrides       string        `placeholder:"FILE" type:"path" help:"Authorization rules of the operator's that hold whatever presentities say."`
	CPUProfile      string        `name:"cpu-profile" placeholder:"FILE" type:"path" help:"Write a CPU profile (pprof) of the whole run."`
	Verbose         bool          `short:"v" help:"Log what is usually not worth it."`
}

// Run serves until interrupted.
func (c *localserveCmd) Run(e *env) error {
	cfg, err := c.config(e)
	if err != nil {
		return err
	}
	users, err := c.users(cfg.Domains[0])
	if err != nil {
		return err
	}
	cfg.Domains = withDomainsOf(users, cfg.Domains)
	if cfg.Dir != "" {
		_, err := c.serve(e, cfg, users)
		return err
	}
	if cfg.Dir, err = os.MkdirTemp("", "tacit-"); err != nil {
		return fmt.Errorf("cannot make a state directory: %w", err)
	}
	ready, err := c.serve(e, cfg, users)
	if ready && err != nil {
		return err // what it was may be seen in there
	}
	if gone := os.RemoveAll(cfg.Dir); gone != nil {
		err = errors.Join(err, fmt.Errorf("cannot remove the temporary state: %w", gone))
	}
	return err
}

// serve serves until interrupted, and tells whether it came to that.
func (c *localserveCmd) serve(e *env, cfg server.Config, users []server.NewUser) (ready bool, err error) {
	s, err := newServer(cfg)
	if err != nil {
		return false, err
	}
	accounts, finish, err := provision(s, cfg, users)
	if err != nil {
		return false, errors.Join(err, stop(s))
	}
	if err := s.Start(e.ctx); err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			err = fmt.Errorf("%w; stop what has that port, or choose another with --sip, --sips, --ws, --wss, --http or --https", err)
		}
		return false, errors.Join(err, stop(s))
	}
	if err := finish(); err != nil {
		return false, errors.Join(err, stop(s))
	}
	if err := guide(e.stdout, cfg, c.Dir == "", s.Addresses(), accounts); err != nil {
		return false, errors.Join(err, stop(s))
	}
	if c.CPUProfile != "" {
		end, err := profile(c.CPUProfile)
		if err != nil {
			return false, errors.Join(err, stop(s))
		}
		defer end()
	}
	if _, err := fmt.Fprintln(e.stdout, "ready"); err != nil {
		return false, errors.Join(err, stop(s))
	}
	return true, wait(e.ctx, s, nil)
}

// profile writes a CPU profile until end is called.
func profile(file string) (end func(), err error) {
	f, err := os.Create(file)
	if err != nil {
		return nil, fmt.Errorf("cannot write the profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}, nil
}

// config makes the server's configuration from the flags.
func (c *localserveCmd) config(e *env) (server.Config, error) {
	cfg := server.LocalConfig()
	cfg.Dir = c.Dir
	if err := c.domain(&cfg); err != nil {
		return cfg, err
	}
	for _, l := range []struct {
		flag, address string
		transports    []sip.Transport
	}{
		{"--sip", c.SIP, []sip.Transport{sip.TransportUDP, sip.TransportTCP}},
		{"--sips", c.SIPS, []sip.Transport{sip.TransportTLS}},
		{"--ws", c.WS, []sip.Transport{sip.TransportWS}},
		{"--wss", c.WSS, []sip.Transport{sip.TransportWSS}},
		{"--http", c.HTTP, nil},
		{"--https", c.HTTPS, nil},
	} {
		if l.address == "" {
			continue
		}
		if err := server.CheckAddress(l.address); err != nil {
			return cfg, usage("%s: %v", l.flag, err)
		}
		for _, t := range l.transports {
			cfg.Listen = append(cfg.Listen, server.Listener{Transport: t, Address: l.address})
		}
	}
	cfg.HTTP, cfg.HTTPS = c.HTTP, c.HTTPS
	if c.Advertise != "" {
		if err := server.CheckAdvertise(c.Advertise); err != nil {
			return cfg, usage("--advertise: %v", err)
		}
		cfg.Advertise = c.Advertise
	}
	for _, s := range c.Trust {
		n, err := server.ParseNetwork(s)
		if err != nil {
			return cfg, usage("--trust: %v", err)
		}
		cfg.Trust = append(cfg.Trust, n)
	}
	if c.MinInterval < 0 {
		return cfg, usage("--min-interval: %s is negative", c.MinInterval)
	}
	cfg.MinInterval = c.MinInterval
	var err error
	cfg.Privacy.Conceal = c.Conceal == "on"
	for _, f := range [...]struct {
		path string
		set  **policy.RuleSet
	}{{c.Ceilings, &cfg.Privacy.Ceilings}, {c.Overrides, &cfg.Privacy.Overrides}} {
		if f.path == "" {
			continue
		}
		if *f.set, err = server.ReadOperatorRules(f.path); err != nil {
			return cfg, err
		}
	}
	if cfg.DefaultDecision, err = server.ParseDecision(c.DefaultDecision); err != nil {
		return cfg, usage("--default-decision: %v", err)
	}
	level := slog.LevelInfo
	if c.Verbose {
		level = slog.LevelDebug
	}
	cfg.Logger = slog.New(slog.NewTextHandler(e.stderr, &slog.HandlerOptions{Level: level}))
	return cfg, nil
}

// domain takes the flag's domain, or the one that the directory had.
func (c *localserveCmd) domain(cfg *server.Config) error {
	if c.Domain != "" {
		name, err := server.ParseDomain(c.Domain)
		if err != nil {
			return usage("--domain: %v", err)
		}
		cfg.Domains = []string{name}
		return nil
	}
	if c.Dir == "" {
		return nil
	}
	before, err := server.RememberedDomains(c.Dir)
	if len(before) > 0 {
		cfg.Domains = before
	}
	return err
}

// users gives those of the flags; nil means that none are given.
func (c *localserveCmd) users(domain string) ([]server.NewUser, error) {
	if len(c.User) == 0 && c.UsersFile == "" {
		return nil, nil
	}
	list := []server.NewUser{}
	seen := map[string]bool{}
	for _, s := range c.User {
		name, password, ok := strings.Cut(s, ":")
		if !ok || name == "" || password == "" {
			return nil, usage("--user %q is not NAME:PASSWORD", name)
		}
		name, err := nameIn(name, domain)
		if err != nil {
			return nil, usage("--user: %v", err)
		}
		if seen[name] {
			return nil, usage("--user %s is there twice", name)
		}
		seen[name] = true
		list = append(list, server.NewUser{Name: name, Password: password})
	}
	if c.UsersFile == "" {
		return list, nil
	}
	f, err := os.Open(c.UsersFile)
	if err != nil {
		return nil, fmt.Errorf("cannot read the users: %w", err)
	}
	defer f.Close()
	fromFile, err := readUsers(f, c.UsersFile, domain)
	if err != nil {
		return nil, err
	}
	for _, u := range fromFile {
		if seen[u.Name] {
			return nil, usage("%s: %s is given with --user too", c.UsersFile, u.Name)
		}
	}
	return append(list, fromFile...), nil
}

// withDomainsOf adds the domains of the users' addresses: a users file is how
// localserve comes to serve more than one.
func withDomainsOf(users []server.NewUser, domains []string) []string {
	for _, u := range users {
		for _, a := range u.AORs {
			if d := a.Domain(); !slices.Contains(domains, d) {
				domains = append(slices.Clip(domains), d)
			}
		}
	}
	return domains
}

// provision makes the users, before anyone can connect. finish, called once
// the server runs, makes the rules of the throw-away users.
func provision(s *server.Server, cfg server.Config, given []server.NewUser) (accounts []login, finish func() error, err error) {
	a := s.Admin()
	before, err := a.Users()
	if err != nil {
		return nil, nil, err
	}
	finish = func() error { return nil }
	throwaway := given == nil
	if throwaway {
		t, err := openThrowaway(cfg.Dir, len(before) == 0)
		if err != nil {
			return nil, nil, err
		}
		if t.made { // of an earlier start, or of none
			return t.accounts(before, cfg.Domains[0]), finish, nil
		}
		given, finish = t.users(), func() error { return t.finish(a, cfg.Domains[0]) }
	}
	if err := s.PutUsers(given); err != nil {
		return nil, nil, fmt.Errorf("cannot make the users: %w", err)
	}
	for _, u := range given {
		password := "(as given)" // not repeated into a log
		if throwaway {
			password = u.Password
		}
		accounts = append(accounts, login{u.Name, address(u.AORs, u.Name, cfg.Domains[0]), password})
	}
	return accounts, finish, nil
}

// login is one line of the guide.
type login struct{ name, address, password string }

// secret is the password where it is shown at all.
func (l login) secret() string {
	if strings.HasPrefix(l.password, "(") {
		return "..."
	}
	return l.password
}

// address is the first of a user's, with scheme.
func address(aors []presence.AOR, name, domain string) string {
	if len(aors) > 0 {
		return string(aors[0])
	}
	return "sip:" + name + "@" + domain
}

// guide tells a person how to point a softphone at the server.
func guide(w io.Writer, cfg server.Config, temporary bool, addresses []server.Listener, accounts []login) error {
	const most = 20 // of accounts shown, so that a file of thousands does not hide the rest
	domain := cfg.Domains[0]
	var b strings.Builder
	state := cfg.Dir
	if temporary {
		state += ", removed when it stops"
	}
	fmt.Fprintf(&b, "Tacit %s: presence for %s, state in %s\n\n", server.Version, domain, state)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  Account\tUser name\tPassword")
	for i, a := range accounts {
		if i == most {
			break
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\n", a.address, a.name, a.password)
	}
	t.Flush()
	if n := len(accounts) - most; n > 0 {
		fmt.Fprintf(&b, "  and %d more\n", n)
	}
	fmt.Fprintf(&b, "\nPoint a softphone at it:\n")
	fmt.Fprintf(t, "  Domain (realm)\t%s\n", domain)
	tls := false
	for _, l := range addresses {
		fmt.Fprintf(t, "  Proxy (SIP server)\t%s\ttransport %s\n", proxyAddress(cfg, l), strings.ToLower(l.Transport.String()))
		tls = tls || l.Transport == sip.TransportTLS || l.Transport == sip.TransportWSS
	}
	ca := filepath.Join(cfg.Dir, "ca.pem")
	if tls {
		fmt.Fprintf(t, "  Trusted CA for tls\t%s\n", ca)
	}
	for _, l := range [...]struct{ scheme, address string }{{"http", cfg.HTTP}, {"https", cfg.HTTPS}} {
		if l.address != "" {
			fmt.Fprintf(t, "  Metrics, health\t%s://%s/metrics, /healthz\n", l.scheme, l.address)
			if l.scheme == "https" || server.IsLoopback(l.address) {
				fmt.Fprintf(t, "  XCAP root, API\t%s://%s/xcap-root/, /api/v1/\n", l.scheme, l.address)
			}
		}
	}
	t.Flush()
	if len(accounts) >= 2 && len(addresses) > 0 {
		via := fmt.Sprintf("--server %s --transport %s", proxyAddress(cfg, addresses[0]), strings.ToLower(addresses[0].Transport.String()))
		if t := addresses[0].Transport; t == sip.TransportTLS || t == sip.TransportWSS {
			via += " --ca " + ca
		}
		fmt.Fprintf(&b, "\nOr try it from two terminals:\n  TACIT_PASSWORD=%s tacit watch %s --user %s %s\n  TACIT_PASSWORD=%s tacit publish --note 'at my desk' --user %s %s\n",
			accounts[1].secret(), accounts[0].address, accounts[1].address, via, accounts[0].secret(), accounts[0].address, via)
	}
	fmt.Fprintf(&b, "\nDecide who sees what:\n  tacit rules allow sip:PRESENTITY sip:WATCHER --dir %s\n\n", cfg.Dir)
	_, err := io.WriteString(w, b.String())
	return err
}

// proxyAddress is what a softphone on this or another machine can call.
func proxyAddress(cfg server.Config, l server.Listener) string {
	own, port, _ := net.SplitHostPort(l.Address)
	if cfg.Advertise == "" && own == "127.0.0.1" && (l.Transport == sip.TransportTLS || l.Transport == sip.TransportWSS) {
		return net.JoinHostPort("localhost", port) // linphone finds only names in a certificate
	}
	return server.PublicAddress(l, cfg.Advertise)
}

// stoppable is what stop needs of a server.
type stoppable interface {
	Shutdown(ctx context.Context) error
}

// stop lets what is queued go out and closes the store.
func stop(s stoppable) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		return fmt.Errorf("stopping: %w", err)
	}
	return nil
}
