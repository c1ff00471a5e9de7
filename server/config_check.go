package server

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/tacit-presence/tacit/gate"
	"github.com/tacit-presence/tacit/location"
	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/sip"
)

// checker gathers what is wrong with a file, so that one run names it all.
type checker struct {
	file     string
	lines    map[string]int
	hidden   map[string]bool // keys whose value is not known
	partial  bool            // keys that are not in lines may still be in the file
	faults   []error
	warnings []string
}

// known reports whether all these keys hold what the file says of them.
func (c *checker) known(keys ...string) bool {
	for _, key := range keys {
		if _, there := c.lines[key]; !there && c.partial {
			return false
		}
		for ; key != ""; key, _ = cutLast(key) {
			if c.hidden[key] {
				return false
			}
		}
	}
	return true
}

// fault notes an error of key, unless its value is not known.
func (c *checker) fault(key, format string, args ...any) {
	if !c.known(key) {
		return
	}
	c.faults = append(c.faults, &ConfigError{File: c.file, Line: c.line(key), Key: key, Message: fmt.Sprintf(format, args...)})
}

// warn notes what works but should be known.
func (c *checker) warn(key, format string, args ...any) {
	e := ConfigError{File: c.file, Line: c.line(key), Key: key, Message: fmt.Sprintf(format, args...)}
	c.warnings = append(c.warnings, e.Error())
}

// line finds key's line, or that of the table that it is missing from.
func (c *checker) line(key string) int {
	for {
		if n, ok := c.lines[key]; ok {
			return n
		}
		i := strings.LastIndexByte(key, '.')
		if i < 0 {
			return 0
		}
		key = key[:i]
	}
}

// keyLines maps each dotted key of a file to its line.
func keyLines(data []byte) map[string]int {
	lines := map[string]int{}
	list, _ := expressions(data)
	for _, e := range list {
		lines[e.path] = e.line
	}
	return lines
}

// indexed names the n-th table of an array, from 0.
func indexed(path string, n int) string { return fmt.Sprintf("%s[%d]", path, n) }

// keyPath joins the parts of an expression's key and tells where it begins.
func keyPath(e *unstable.Node) (path string, offset int) {
	if e.Kind != unstable.Table && e.Kind != unstable.ArrayTable && e.Kind != unstable.KeyValue {
		return "", 0
	}
	var parts []string
	for it := e.Key(); it.Next(); {
		n := it.Node()
		parts = append(parts, string(n.Data))
		if len(parts) == 1 && n.Raw.Length > 0 {
			offset = int(n.Raw.Offset)
		}
	}
	return strings.Join(parts, "."), offset
}

// values holds every key to its `values` tag.
func (c *checker) values(f *file) { c.walk("", reflect.ValueOf(f).Elem()) }

func (c *checker) walk(prefix string, v reflect.Value) {
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		key := prefix + tag.Get("toml")
		allowed, limited := tag.Lookup("values")
		switch fv := v.Field(i).Interface().(type) {
		case string:
			if limited {
				c.oneOf(key, fv, allowed)
			}
		case []string:
			for _, s := range fv {
				if limited {
					c.oneOf(key, s, allowed)
				}
			}
		case map[string][]string:
			for name, list := range fv {
				for _, s := range list {
					c.oneOf(key+"."+name, s, allowed)
				}
			}
		case []listenerSection:
			for n := range fv {
				c.walk(indexed(key, n)+".", reflect.ValueOf(&fv[n]).Elem())
			}
		default:
			if v.Field(i).Kind() == reflect.Struct {
				c.walk(key+".", v.Field(i))
			}
		}
	}
}

func (c *checker) oneOf(key, got, allowed string) {
	list := strings.Split(allowed, "|")
	if slices.Contains(list, got) {
		return
	}
	list = slices.DeleteFunc(list, func(s string) bool { return s == "" })
	if got == "" {
		c.fault(key, "is missing; write one of %s", strings.Join(list, ", "))
		return
	}
	c.fault(key, "%q is not known; write one of %s", got, strings.Join(list, ", "))
}

// config translates a file whose values are known to be of their kind.
func (c *checker) config(f *file) Config {
	cfg := Config{
		Dir:         resolve(c.file, f.Dir),
		Advertise:   f.Advertise,
		Composition: f.Presence.Composition,
		MinInterval: time.Duration(f.Presence.MinInterval),
		MinExpires:  time.Duration(f.Presence.MinExpires),
		MaxExpires:  time.Duration(f.Presence.MaxExpires),
		GiveUp:      time.Duration(f.Presence.GiveUp),
		CertFile:    resolve(c.file, f.TLS.Cert),
		KeyFile:     resolve(c.file, f.TLS.Key),
		HTTP:        f.Web.HTTP,
		HTTPS:       f.Web.HTTPS,
		WSOrigins:   f.Web.Origins,
		Limits:      f.Limits.limits(),
		Privacy: Privacy{
			Conceal: f.Privacy.Conceal, Open: append([]string(nil), f.Privacy.Open...),
			ShowOverrides: f.Privacy.ShowOverrides, ShowOperatorRules: f.Privacy.ShowOperatorRules,
		},
		Logger: newLogger(f.Log),
	}
	c.basics(f, &cfg)
	c.listeners(f, &cfg)
	c.digest(f, &cfg)
	c.presence(f, &cfg)
	for i, d := range f.Privacy.Open {
		if !slices.Contains(f.Domains, d) && c.known("domains") {
			c.fault("privacy.open", "%s is none of the domains", f.Privacy.Open[i])
		}
	}
	band, ok := location.ParseBand(strconv.Itoa(f.Privacy.LocationBand))
	if cfg.Privacy.Band = band; !ok {
		c.fault("privacy.location_band", "%d is the latitude of no grid's origin: 0, 25, 35, 45, 55 or 60", f.Privacy.LocationBand)
	}
	cfg.Privacy.Ceilings = c.operatorRules(f.Privacy.Ceilings)
	cfg.Privacy.Overrides = c.operatorRules(f.Privacy.Overrides)
	c.web(f)
	c.limits(f)
	for _, n := range f.Trust.Asserted {
		cfg.Trust = append(cfg.Trust, netip.Prefix(n))
		if n := netip.Prefix(n); n.Bits() == 0 {
			c.fault("trust.asserted", "%s is everybody: anyone could be anyone; name the proxies you trust", n)
		}
	}
	for _, n := range f.Trust.Peers {
		cfg.Peers = append(cfg.Peers, netip.Prefix(n))
	}
	return cfg
}

// operatorRules reads a file of ceilings or overrides; none if it is not named.
func (c *checker) operatorRules(path string) *policy.RuleSet {
	if path == "" {
		return nil
	}
	set, err := ReadOperatorRules(resolve(c.file, path))
	if err != nil {
		c.faults = append(c.faults, err)
	}
	return set
}

func (c *checker) basics(f *file, cfg *Config) {
	if f.Dir == "" {
		c.fault("dir", "is missing; name the directory for the server's state")
	}
	if len(f.Domains) == 0 {
		c.fault("domains", `is missing; name at least one, such as ["example.com"]`)
	}
	for _, d := range f.Domains {
		name, err := ParseDomain(d)
		switch {
		case err != nil:
			c.fault("domains", "%v", err)
		case slices.Contains(cfg.Domains, name):
			c.fault("domains", "%q is there twice", d)
		}
		cfg.Domains = append(cfg.Domains, name)
	}
	if f.Advertise != "" {
		if err := CheckAdvertise(f.Advertise); err != nil {
			c.fault("advertise", "%v", err)
		}
	}
	if !c.known("tls.cert", "tls.key") {
		return
	}
	if (f.TLS.Cert == "") != (f.TLS.Key == "") {
		c.fault("tls", "cert and key go together; give both, or neither")
	} else if f.TLS.Cert != "" {
		if _, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile); err != nil {
			c.fault("tls.cert", "%v", err)
		}
	}
}

func (c *checker) listeners(f *file, cfg *Config) {
	if len(f.Listener) == 0 {
		c.fault("listener", "there is none; add a [[listener]] table, `tacit config describe` shows one")
	}
	seen := map[string]bool{}
	for i, l := range f.Listener {
		key := indexed("listener", i)
		t, _ := sip.ParseTransport(l.Transport) // values() has refused what is not one
		if err := CheckAddress(l.Address); err != nil {
			c.fault(key+".address", "%v", err)
		}
		socket := l.Address + "/stream"
		if t == sip.TransportUDP {
			socket = l.Address + "/datagram"
		}
		known := c.known(key + ".transport")
		if known && seen[socket] {
			c.fault(key+".address", "%s is taken by a listener above", l.Address)
		}
		seen[socket] = seen[socket] || known
		if len(l.Points) == 0 {
			c.fault(key+".points", `is missing; write ["peu", "pw"], or one of them`)
		}
		if known {
			c.protection(key, t, l)
		}
		cfg.Listen = append(cfg.Listen, Listener{Transport: t, Address: l.Address})
	}
}

// protection refuses clear text to user agents and watchers unless the
// operator has said in words what protects it.
func (c *checker) protection(key string, t sip.Transport, l listenerSection) {
	secure := t == sip.TransportTLS || t == sip.TransportWSS
	switch {
	case secure && l.Protection != "":
		c.fault(key+".protection", "%s protects itself; leave protection out", l.Transport)
	case !secure && l.Protection == "":
		c.fault(key+".protection", `%s on %s is clear text; use tls or wss, or say protection = "ipsec" or "none"`,
			l.Transport, strings.Join(l.Points, " and "))
	case l.Protection == "none":
		c.warn(key+".protection", "presence goes over %s %s readable and changeable by anyone on the way", l.Transport, l.Address)
	}
}

func (c *checker) digest(f *file, cfg *Config) {
	d := f.Digest
	cfg.Digest = Digest{AllowNoQOP: d.AllowNoQOP, NonceLife: time.Duration(d.NonceLife)}
	if len(d.Algorithms) == 0 {
		c.fault("digest.algorithms", "is empty, so nobody could enter; leave it out for the default")
	}
	for _, a := range d.Algorithms {
		cfg.Digest.Algorithms = append(cfg.Digest.Algorithms, sip.Algorithm(a))
	}
	md5 := slices.Contains(d.Algorithms, string(sip.AlgorithmMD5))
	for agent, list := range d.ByUserAgent {
		key := "digest.by_user_agent." + agent
		if len(list) == 0 {
			c.fault(key, "offers nothing, so nobody could enter")
		}
		// A weaker offer by a name that anyone can send must not exist where
		// the weak algorithm is off.
		if slices.Contains(list, string(sip.AlgorithmMD5)) && !md5 && c.known("digest.algorithms") {
			c.fault(key, "offers MD5, which is off; add it to digest.algorithms too, if you must")
		}
		if cfg.Digest.ByUserAgent == nil {
			cfg.Digest.ByUserAgent = map[string][]sip.Algorithm{}
		}
		for _, a := range list {
			cfg.Digest.ByUserAgent[agent] = append(cfg.Digest.ByUserAgent[agent], sip.Algorithm(a))
		}
	}
	if md5 {
		c.warn("digest.algorithms", "MD5 is broken; whoever overhears one answer can guess passwords fast")
	}
	if d.AllowNoQOP {
		c.warn("digest.allow_no_qop", "such answers protect neither the body nor the client against chosen nonces")
	}
	if d.NonceLife < Duration(10*time.Second) {
		c.fault("digest.nonce_life", "%s is too short for a client to answer; at least 10s", d.NonceLife)
	}
}

func (c *checker) presence(f *file, cfg *Config) {
	h, err := ParseDecision(f.Presence.DefaultDecision)
	if err == nil {
		cfg.DefaultDecision = h
	}
	if h == policy.Allow {
		c.warn("presence.default_decision", "everybody who can log in sees everybody")
	}
	p := f.Presence
	if p.MinExpires < Duration(time.Second) {
		c.fault("presence.min_expires", "%s is less than the protocol's unit, a second", p.MinExpires)
	}
	if p.MaxExpires < p.MinExpires && c.known("presence.min_expires") {
		c.fault("presence.max_expires", "%s is less than min_expires, %s", p.MaxExpires, p.MinExpires)
	}
	if p.GiveUp < Duration(time.Minute) {
		c.fault("presence.give_up", "%s is less than a minute: nobody would learn of those who wait", p.GiveUp)
	}
	if p.MinInterval > p.MaxExpires && c.known("presence.max_expires") {
		c.fault("presence.min_interval", "%s is more than max_expires, %s: nobody would be told twice", p.MinInterval, p.MaxExpires)
	}
}

func (c *checker) web(f *file) {
	if f.Web.HTTPS != "" {
		if err := CheckAddress(f.Web.HTTPS); err != nil {
			c.fault("web.https", "%v", err)
		}
	}
	if f.Web.HTTP == "" {
		return
	}
	if err := CheckAddress(f.Web.HTTP); err != nil {
		c.fault("web.http", "%v", err)
		return
	}
	if !IsLoopback(f.Web.HTTP) {
		c.warn("web.http", "metrics are readable by whoever reaches %s", f.Web.HTTP)
	}
}

func (c *checker) limits(f *file) {
	v := reflect.ValueOf(f.Limits)
	for i := range v.NumField() {
		if v.Field(i).Int() <= 0 {
			c.fault("limits."+v.Type().Field(i).Tag.Get("toml"), "must be more than 0; leave it out for the default")
		}
	}
	const leastMessage = 65535 // RFC 3261, 18.1.1: every implementation takes datagrams up to this size
	if f.Limits.MaxMessage > 0 && f.Limits.MaxMessage < leastMessage {
		c.fault("limits.max_message", "%d is less than the %d bytes that every SIP server must take", f.Limits.MaxMessage, leastMessage)
	}
}

func (l limitsSection) limits() Limits {
	return Limits{
		MaxMessage: l.MaxMessage, MaxConnections: l.MaxConnections, MaxPerAddress: l.MaxPerAddress, MaxTransactions: l.MaxTransactions,
		MaxSubscriptions: l.MaxSubscriptions, MaxPublications: l.MaxPublications,
		Budgets: gate.Budgets{
			Fetches:       gate.Budget{Burst: l.Fetches, PerMinute: l.FetchesRate},
			Subscriptions: gate.Budget{Burst: l.Subscribes, PerMinute: l.SubscribesRate},
		},
		IdleTimeout: time.Duration(l.IdleTimeout), HeaderTimeout: time.Duration(l.HeaderTimeout),
	}
}

// ParseDecision reads the name of a decision: block, confirm, polite-block or
// allow.
func ParseDecision(s string) (policy.Handling, error) {
	h, err := policy.ParseHandling(s)
	if err != nil {
		return policy.Block, fmt.Errorf("%q is no decision; write block, confirm, polite-block or allow", s)
	}
	return h, nil
}

// CheckAddress accepts HOST:PORT of a listener.
func CheckAddress(s string) error {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%q is no HOST:PORT", s)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q has no port from 0 (any free one) to 65535", s)
	}
	return nil
}

// CheckAdvertise accepts HOST[:PORT], the host a name or an address but no
// wildcard.
func CheckAdvertise(s string) error {
	host := s
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		host = s[1 : len(s)-1]
	} else if h, port, err := net.SplitHostPort(s); err == nil {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("%q has no port from 1 to 65535", s)
		}
		host = h
	}
	if a, err := netip.ParseAddr(host); err == nil {
		if a.IsUnspecified() {
			return fmt.Errorf("%q is a wildcard, which no peer can call", s)
		}
		return nil
	}
	if _, err := ParseDomain(host); err != nil {
		return fmt.Errorf("%q is no HOST or HOST:PORT", s)
	}
	return nil
}

// ParseDomain reads a domain name and gives it in lower case. Letters, digits,
// '-' and '.' only (RFC 3261, 25.1: hostname).
func ParseDomain(s string) (string, error) {
	const longest = 253 // of a name in text form, RFC 1035, 2.3.4
	name := strings.ToLower(s)
	if name == "" || len(name) > longest {
		return "", fmt.Errorf("%q is no domain name", s)
	}
	for label := range strings.SplitSeq(name, ".") {
		ok := label != "" && label[0] != '-' && label[len(label)-1] != '-'
		for _, r := range label {
			ok = ok && (r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-')
		}
		if !ok {
			return "", fmt.Errorf("%q is no domain name", s)
		}
	}
	return name, nil
}
