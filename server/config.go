package server

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tacit-presence/tacit/agent"
	"github.com/tacit-presence/tacit/location"
	"github.com/tacit-presence/tacit/sip"
)

// ConfigError is one fault of a configuration file.
type ConfigError struct {
	File    string
	Line    int    // 0: of the file as a whole
	Key     string // dotted; empty: none in particular
	Message string // what is wrong and what to do
}

// Error gives "file:line: key: message".
func (e *ConfigError) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	if e.Key != "" {
		b.WriteString(": " + e.Key)
	}
	return b.String() + ": " + e.Message
}

// file is the configuration file of `tacit serve`. Its tags are the one source
// of `config describe`, docs/config.md and the check of values:
//
//	toml    the key
//	doc     what it is for, one or more sentences
//	values  what it may be, separated by '|'
//	example what `config describe` shows for a required key
//
// The value of each key in defaults() is what holds where it is left out.
type file struct {
	Dir       string            `toml:"dir" doc:"Directory of the server's state: database, certificates, control socket. A relative path is relative to this file. Required." example:"/var/lib/tacit"`
	Domains   []string          `toml:"domains" doc:"The domains whose presentities live here. The first is the default one. Each is the digest realm of its users. Required." example:"example.com"`
	Advertise string            `toml:"advertise" doc:"HOST[:PORT] that peers reach the server at: put in Via, Contact and Record-Route. Needed where a listener is on a wildcard or behind NAT. Empty: the listener's own address."`
	Listener  []listenerSection `toml:"listener" doc:"SIP listeners, one table each; at least one."`
	Presence  presenceSection   `toml:"presence" doc:"What watchers are told, and how often."`
	Privacy   privacySection    `toml:"privacy" doc:"What watchers may learn beside presence."`
	Digest    digestSection     `toml:"digest" doc:"Digest authentication (RFC 7616, RFC 8760)."`
	Trust     trustSection      `toml:"trust" doc:"Which addresses are believed, and which may be called."`
	TLS       tlsSection        `toml:"tls" doc:"The certificate of the tls and wss listeners and of web.https."`
	Web       webSection        `toml:"web" doc:"Metrics, health, XCAP, the API, and WebSocket origins."`
	Limits    limitsSection     `toml:"limits" doc:"Bounds on memory and time. What is over them is refused and counted."`
	Log       logSection        `toml:"log" doc:"Logs, written to standard error."`
}

type listenerSection struct {
	Points     []string `toml:"points" doc:"The reference points it serves (names of 3GPP TS 23.141): peu, user agents that publish; pw, watchers." values:"peu|pw" example:"peu,pw"`
	Transport  string   `toml:"transport" doc:"How SIP travels here." values:"udp|tcp|tls|ws|wss" example:"tls"`
	Address    string   `toml:"address" doc:"HOST:PORT to listen on; [::] is every address." example:"[::]:5061"`
	Protection string   `toml:"protection" doc:"Clear text (udp, tcp, ws) on peu and pw is refused unless this says what protects it: ipsec, a tunnel below; none, nothing at all. Leave it out with tls and wss." values:"|ipsec|none"`
}

type presenceSection struct {
	DefaultDecision string   `toml:"default_decision" doc:"What a watcher gets that no rule knows: block, 403; confirm, pending until the presentity decides; polite-block, a presentity that looks unavailable; allow, everything." values:"block|confirm|polite-block|allow"`
	Composition     string   `toml:"composition" doc:"How several sources become one document: union, all of them, the most recent first; newest, the most recent alone." values:"union|newest"`
	MinInterval     Duration `toml:"min_interval" doc:"Least time between two notifications of one subscription (RFC 3856, 6.10)."`
	MinExpires      Duration `toml:"min_expires" doc:"A shorter Expires gets 423 (Interval Too Brief)."`
	MaxExpires      Duration `toml:"max_expires" doc:"A longer Expires is shortened to this."`
	GiveUp          Duration `toml:"give_up" doc:"How long a watcher is remembered who has gone before the presentity decided, so that it still learns of it (RFC 3857, 4.7.1)."`
}

type privacySection struct {
	Conceal bool     `toml:"conceal" doc:"Hide from watchers how they are decided upon, and which users exist: whatever is not allowed looks like a presentity that publishes nothing. Off: plainly by RFC 5025, 3.2.1, and 404 for nobody."`
	Open    []string `toml:"open" doc:"Domains where conceal does not hold."`
	// Where the grid for coarse locations lies.
	LocationBand int `toml:"location_band" doc:"The latitudes in which places are told coarsely (RFC 6772, 7.5), north and south of the equator alike: 0, up to 45 degrees; 25, from 25 to 50; 35, from 35 to 55; 45, from 45 to 60; 55, from 55 to 65; 60, from 60 to 70. Towards the poles a place is told with twice the radius or more; far on the other side it is not told coarsely. Users can name another (location-band in their preferences). It never goes by where somebody is, and each change of it can tell watchers more than rules permit: choose once." values:"0|25|35|45|55|60"`
	// The operator's own rules, and what presentities may know of them.
	Ceilings          string `toml:"ceilings" doc:"File with authorization rules of yours (RFC 4745, RFC 5025) that bound what presentities give: of those whom such a rule matches, nobody is told more than it says. <identity> matches the authenticated alone: a rule without it bounds everybody. Relative to this file. Empty: none."`
	Overrides         string `toml:"overrides" doc:"File with authorization rules of yours that hold whatever presentities and ceilings say: whom such a rule matches is told what it grants. Each use is noted for the presentity. Empty: none."`
	ShowOverrides     bool   `toml:"show_overrides" doc:"Let presentities know of overrides: that one has told a watcher more than their rules do, and in explanations. Off: they see what their own rules and the ceilings give."`
	ShowOperatorRules bool   `toml:"show_operator_rules" doc:"Let presentities see the names of the ceilings and overrides that are asked, and why they match. Off: only that there was one."`
}

type digestSection struct {
	Algorithms  []string            `toml:"algorithms" doc:"Offered to every client, preferred first. MD5 is broken: add it only for clients that know nothing else." values:"SHA-256|SHA-512-256|MD5"`
	ByUserAgent map[string][]string `toml:"by_user_agent" doc:"Another offer for clients whose User-Agent begins with the key. A tolerance: baresip 1.0 enters only where MD5 is the one algorithm offered." values:"SHA-256|SHA-512-256|MD5"`
	AllowNoQOP  bool                `toml:"allow_no_qop" doc:"Let in clients that know digest only as RFC 2069 had it, each nonce for one use. A tolerance for libpurple."`
	NonceLife   Duration            `toml:"nonce_life" doc:"How long a nonce is taken; after it the client is given a new one (stale=true) and asks nobody."`
}

type trustSection struct {
	Asserted []Network `toml:"asserted" doc:"Addresses or networks whose P-Asserted-Identity is believed (RFC 3325), for any domain: the proxies of your trust domain."`
	Peers    []Network `toml:"peers" doc:"Addresses or networks that may be called because a Contact or Record-Route names them. Others are reached only the way that their SUBSCRIBE came."`
}

type tlsSection struct {
	Cert string `toml:"cert" doc:"PEM file with the certificate and its chain. Empty: the server makes a CA of its own in dir (ca.pem) and signs one."`
	Key  string `toml:"key" doc:"PEM file with the private key of cert."`
}

type webSection struct {
	HTTP    string   `toml:"http" doc:"HOST:PORT of metrics (/metrics) and health (/healthz, /readyz) in clear text: keep it on loopback or a network of your own. Empty: closed."`
	HTTPS   string   `toml:"https" doc:"HOST:PORT of the same over TLS, and of XCAP (/xcap-root/) and the API of presentities (/api/v1/). Empty: closed."`
	Origins []string `toml:"origins" doc:"Hosts of web pages that may open a WebSocket here (the Origin header). Empty: those of the domains and of the host that the page calls."`
}

type limitsSection struct {
	MaxMessage       int      `toml:"max_message" doc:"Bytes of one SIP message."`
	MaxConnections   int      `toml:"max_connections" doc:"Open connections, all listeners together."`
	MaxPerAddress    int      `toml:"max_per_address" doc:"Open connections from one IPv4 address or IPv6 /64. Raise it where many clients come through one NAT or load balancer."`
	MaxTransactions  int      `toml:"max_transactions" doc:"Server transactions kept for repeated requests."`
	MaxSubscriptions int      `toml:"max_subscriptions" doc:"Subscriptions of one watcher to one presentity."`
	MaxPublications  int      `toml:"max_publications" doc:"Live publications of one presentity."`
	Fetches          int      `toml:"fetches" doc:"Presence fetches (SUBSCRIBE with Expires 0) that one watcher may send at once."`
	FetchesRate      int      `toml:"fetches_per_minute" doc:"And how many a minute in the long run."`
	Subscribes       int      `toml:"subscribes" doc:"New subscriptions that one watcher may ask for at once: at least as many as a big contact list has."`
	SubscribesRate   int      `toml:"subscribes_per_minute" doc:"And how many a minute in the long run."`
	IdleTimeout      Duration `toml:"idle_timeout" doc:"A connection that is silent for so long and carries no subscription is closed."`
	HeaderTimeout    Duration `toml:"header_timeout" doc:"A message whose last byte is not here so long after its first ends its connection."`
}

type logSection struct {
	Level  string `toml:"level" doc:"The least that is logged." values:"debug|info|warn|error"`
	Format string `toml:"format" doc:"text is for people, json for machines." values:"text|json"`
}

// defaults is what holds where the file says nothing: safe, not convenient.
func defaults() file {
	return file{
		Presence: presenceSection{
			DefaultDecision: "confirm", // RFC 5025, 3.2.1: nobody is told before the presentity says so
			Composition:     "union",
			MinInterval:     Duration(5 * time.Second), // RFC 3856, 6.10: not more than one notification in 5 s
			MinExpires:      Duration(time.Minute),
			MaxExpires:      Duration(time.Hour), // RFC 3856, 6.4: the package's default, 3600 s
			GiveUp:          Duration(agent.DefaultGiveUp),
		},
		Privacy: privacySection{Conceal: true, ShowOverrides: true, LocationBand: int(location.DefaultBand)},
		Digest: digestSection{
			Algorithms: []string{string(sip.AlgorithmSHA256), string(sip.AlgorithmSHA512256)},
			NonceLife:  Duration(5 * time.Minute),
		},
		Limits: defaultLimits(),
		Log:    logSection{Level: "info", Format: "text"},
	}
}

// defaultLimits are the limits of serve and of localserve.
func defaultLimits() limitsSection {
	return limitsSection{
		MaxMessage:       sip.DefaultLimits.MaxMessage,
		MaxConnections:   20_000,                     // about 1 GB with TLS buffers, under usual descriptor limits raised once
		MaxPerAddress:    1000,                       // an office behind one address
		MaxTransactions:  1 << 17,                    // 32 s of 4,000 requests a second (RFC 3261, 17.1.2.2: timer J)
		MaxSubscriptions: 64,                         // a person's devices and their restarts, or a test bench
		MaxPublications:  64,                         // a person's devices, and those that crashed without removing theirs
		Fetches:          60,                         // a contact list looked through once, by one that does not subscribe
		FetchesRate:      30,                         // one in 2 s: no use for watching somebody's every step
		Subscribes:       2000,                       // a contact list on each of a few devices, all started at once
		SubscribesRate:   600,                        // ten a second, while a network comes and goes
		IdleTimeout:      Duration(15 * time.Minute), // RFC 5626, 4.4.1: keep-alives at most 14 minutes apart where nothing is configured
		HeaderTimeout:    Duration(10 * time.Second), // slow, but no slower than a phone on a bad link
	}
}

// LoadConfig reads, checks and translates the configuration file at path. The
// warnings are things that work and that an operator should know of. The error
// joins one *ConfigError for each fault found.
func LoadConfig(path string) (Config, []string, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, nil, &ConfigError{File: path, Message: "there is no such file; `tacit quickstart you@domain` writes one"}
	}
	if err != nil {
		return Config{}, nil, fmt.Errorf("cannot read the configuration: %w", err)
	}
	return parseConfig(path, data)
}

func parseConfig(path string, data []byte) (Config, []string, error) {
	r := &configReader{path: path, data: slices.Clone(data), hidden: map[string]bool{}}
	if !r.read() {
		return Config{}, nil, errors.Join(r.faults...)
	}
	c := &checker{file: path, lines: keyLines(r.data), hidden: r.hidden, partial: r.partial}
	c.values(&r.f)
	cfg := c.config(&r.f)
	if faults := append(r.faults, c.faults...); len(faults) > 0 {
		sortFaults(faults)
		return Config{}, nil, errors.Join(faults...)
	}
	return cfg, c.warnings, nil
}

// Duration is a time.Duration written as "5s" or "1h30m".
type Duration time.Duration

// UnmarshalText reads it.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf(`%q is no duration; write it as "5s", "10m" or "1h30m"`, text)
	}
	if v < 0 {
		return fmt.Errorf("%q is negative", text)
	}
	*d = Duration(v)
	return nil
}

// String writes it without zero units at the end.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Network is an address or a network in CIDR form.
type Network netip.Prefix

// ParseNetwork reads "192.0.2.1" (that address alone) or "192.0.2.0/24".
func ParseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		if a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q has a zone; write the address alone", s)
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf(`%q is neither an address nor a network; write it as "192.0.2.1" or "192.0.2.0/24"`, s)
	}
	return p.Masked(), nil
}

// UnmarshalText reads it.
func (n *Network) UnmarshalText(text []byte) error {
	p, err := ParseNetwork(string(text))
	*n = Network(p)
	return err
}

// String gives the CIDR form.
func (n Network) String() string { return netip.Prefix(n).String() }

// newLogger makes the logger that the file asks for.
func newLogger(l logSection) *slog.Logger {
	opt := &slog.HandlerOptions{}
	// The value was checked to be one of slog's own names.
	var level slog.Level
	if level.UnmarshalText([]byte(l.Level)) == nil {
		opt.Level = level
	}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, opt))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, opt))
}

// resolve makes p relative to the configuration file's folder.
func resolve(file, p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(filepath.Dir(file), p)
}
