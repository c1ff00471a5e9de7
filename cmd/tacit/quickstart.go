package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/tacit-presence/tacit/server"
)

type quickstartCmd struct {
	You     string `arg:"" help:"Your address, such as you@example.com: the domain to serve and the first user."`
	Dir     string `placeholder:"DIR" default:"." type:"path" help:"Folder for tacit.toml and the server's state."`
	Host    string `placeholder:"NAME" help:"The server's name in DNS. Without it, sip.DOMAIN."`
	Address string `placeholder:"IP" help:"The server's public address, for the DNS records."`
}

// Run writes everything and prints what is left to do.
func (c *quickstartCmd) Run(e *env) error {
	you, err := parseAOR(c.You, "")
	if err != nil {
		return err
	}
	domain, err := server.ParseDomain(you.Domain())
	if err != nil {
		return usage("%v", err)
	}
	host := "sip." + domain
	if c.Host != "" {
		if host, err = server.ParseDomain(c.Host); err != nil {
			return usage("--host: %v", err)
		}
	}
	record, err := addressRecord(host, c.Address)
	if err != nil {
		return err
	}
	file := filepath.Join(c.Dir, configName)
	if err := writeNew(c.Dir, file, quickConfig(domain, host)); err != nil {
		return err
	}
	cfg, _, err := server.LoadConfig(file)
	if err != nil {
		return err
	}
	password := randomPassword(passwordLength)
	if err := prepare(cfg, server.NewUser{Name: you.User(), Password: password}); err != nil {
		return errors.Join(err, os.Remove(file)) // so that it can be tried again
	}
	_, err = fmt.Fprint(e.stdout, quickNext(quickFacts{
		file: file, state: cfg.Dir, domain: domain, host: host, user: you.User(), password: password, address: record,
	}))
	return err
}

// addressRecord is the host's A or AAAA record, or a place to fill in.
func addressRecord(host, address string) (string, error) {
	if address == "" {
		return fmt.Sprintf("%s.  IN A      ...           ; the server's public address", host), nil
	}
	a, err := netip.ParseAddr(address)
	if err != nil || a.Zone() != "" || a.IsUnspecified() {
		return "", usage("--address %q is no IP address that others can call", address)
	}
	kind := "A   "
	if a = a.Unmap(); a.Is6() {
		kind = "AAAA"
	}
	return fmt.Sprintf("%s.  IN %s   %s", host, kind, a), nil
}

// writeNew writes a file that must not be there yet.
func writeNew(dir, file, text string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) // it holds no secret
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already; remove it or choose another --dir", file)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// prepare opens the server once: that makes CA, certificate and store.
func prepare(cfg server.Config, first server.NewUser) error {
	cfg.Logger = slog.New(slog.DiscardHandler)
	s, err := newServer(cfg)
	if err != nil {
		return err
	}
	err = s.Admin().AddUser(first)
	if errors.Is(err, server.ErrExists) { // of a run whose configuration was removed
		err = s.Admin().SetPassword(first.Name, first.Password)
	}
	return errors.Join(err, stop(s))
}

func quickConfig(domain, host string) string {
	return fmt.Sprintf(`# Tacit for %[1]s. Every key: tacit config describe. A check: tacit config check.

dir = "state"
domains = ["%[1]s"]
advertise = "%[2]s"

# User agents and watchers, over TLS alone. Clear text needs a listener of its
# own that says so: transport = "udp", protection = "none".
[[listener]]
points = ["peu", "pw"]
transport = "tls"
address = "[::]:5061"

[presence]
default_decision = "confirm"

# A certificate that clients trust by themselves takes the place of the one
# signed by state/ca.pem:
# [tls]
# cert = "/etc/letsencrypt/live/%[2]s/fullchain.pem"
# key = "/etc/letsencrypt/live/%[2]s/privkey.pem"

[web]
http = "127.0.0.1:9090"
# Where users write their own rules, by XCAP and the API:
# https = "[::]:8443"

# Where most users live, for places that are told coarsely: the latitude from which
# their band begins, 0, 25, 35, 45, 55 or 60 (RFC 6772, 7.5).
# [privacy]
# location_band = 45
`, domain, host)
}

type quickFacts struct {
	file, state, domain, host, user, password, address string
}

// quickNext says what is left to do: DNS (RFC 3263, 4.1: NAPTR and SRV; RFC
// 3861, 3: _pres._sip, for pres: addresses), the service, the softphone.
func quickNext(q quickFacts) string {
	program, err := os.Executable()
	if err != nil {
		program = "/usr/local/bin/tacit"
	}
	return strings.NewReplacer("{file}", q.file, "{state}", q.state, "{domain}", q.domain, "{host}", q.host,
		"{user}", q.user, "{password}", q.password, "{address}", q.address, "{program}", program).Replace(`Wrote {file}
      {state}: CA (ca.pem), certificate and database

Account:
  address    sip:{user}@{domain}
  password   {password}

1. DNS records of {domain}:

{domain}.  IN NAPTR  10 50 "s" "SIPS+D2T" "" _sips._tcp.{domain}.
_sips._tcp.{domain}.  IN SRV  0 0 5061 {host}.
_pres._sip.{domain}.  IN SRV  0 0 5061 {host}.
{address}

   Only where you open clear-text listeners too:

{domain}.  IN NAPTR  20 50 "s" "SIP+D2T" "" _sip._tcp.{domain}.
{domain}.  IN NAPTR  30 50 "s" "SIP+D2U" "" _sip._udp.{domain}.
_sip._tcp.{domain}.  IN SRV  0 0 5060 {host}.
_sip._udp.{domain}.  IN SRV  0 0 5060 {host}.

2. A service, /etc/systemd/system/tacit.service
   (first: useradd --system tacit; chown -R tacit: {state}):

[Unit]
Description=Tacit presence server of {domain}
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
User=tacit
ExecStart={program} serve --config {file}
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
LimitNOFILE=65536
NoNewPrivileges=yes
PrivateTmp=yes
ProtectHome=read-only
ProtectSystem=strict
ReadWritePaths={state}

[Install]
WantedBy=multi-user.target

3. A softphone: the account above, proxy {host}:5061 over TLS, trusted CA
   {state}/ca.pem. More users: tacit user add NAME --config {file}
`)
}
