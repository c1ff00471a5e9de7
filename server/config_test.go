package server

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/sip"
)

// least is the shortest configuration that serves.
const least = `dir = "state"
domains = ["example.com"]

[[listener]]
points = ["peu", "pw"]
transport = "tls"
address = "[::]:5061"
`

func TestLeastConfigHasSafeDefaults(t *testing.T) {
	t.Parallel()
	cfg, warnings, err := parseConfig("/etc/tacit/tacit.toml", []byte(least))
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) != 0 {
		t.Errorf("warnings: %q", warnings)
	}
	if cfg.Dir != "/etc/tacit/state" {
		t.Errorf("dir %q is not relative to the file", cfg.Dir)
	}
	if cfg.MinInterval != 5*time.Second || cfg.MinExpires != time.Minute || cfg.DefaultDecision != policy.Confirm {
		t.Errorf("got interval %v, expires %v, decision %v", cfg.MinInterval, cfg.MinExpires, cfg.DefaultDecision)
	}
	if want := []sip.Algorithm{sip.AlgorithmSHA256, sip.AlgorithmSHA512256}; !slices.Equal(cfg.Digest.Algorithms, want) || cfg.Digest.AllowNoQOP || cfg.Digest.ByUserAgent != nil {
		t.Errorf("digest: %+v", cfg.Digest)
	}
	if want := []Listener{{sip.TransportTLS, "[::]:5061"}}; !slices.Equal(cfg.Listen, want) {
		t.Errorf("listeners: %+v", cfg.Listen)
	}
	if cfg.Limits.MaxMessage == 0 || cfg.Limits.IdleTimeout == 0 {
		t.Errorf("limits: %+v", cfg.Limits)
	}
}

func TestWholeConfig(t *testing.T) {
	t.Parallel()
	cfg, warnings, err := parseConfig("/t/tacit.toml", []byte(`dir = "/var/lib/tacit"
domains = ["Example.com", "example.org"]
advertise = "sip.example.com:5061"
[presence]
default_decision = "polite-block"
composition = "newest"
min_interval = "0s"
min_expires = "90s"
max_expires = "2h"
give_up = "30h"
[privacy]
conceal = false
location_band = 35
open = ["example.org"]
[digest]
algorithms = ["SHA-256", "MD5"]
allow_no_qop = true
nonce_life = "1m"
by_user_agent = { baresip = ["MD5"] }
[trust]
asserted = ["192.0.2.7", "2001:db8::/32"]
peers = ["198.51.100.0/24"]
[web]
http = "127.0.0.1:9090"
origins = ["app.example.com"]
[limits]
max_publications = 3
header_timeout = "3s"
[[listener]]
points = ["pw"]
transport = "udp"
address = "0.0.0.0:5060"
protection = "ipsec"
[[listener]]
points = ["pw"]
transport = "tcp"
address = "0.0.0.0:5060"
protection = "none"
`))
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Dir: "/var/lib/tacit", Domains: []string{"example.com", "example.org"}, Advertise: "sip.example.com:5061",
		Listen: []Listener{{sip.TransportUDP, "0.0.0.0:5060"}, {sip.TransportTCP, "0.0.0.0:5060"}},
		Trust:  []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("2001:db8::/32")},
		Peers:  []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},

		DefaultDecision: policy.PoliteBlock, Composition: "newest", Privacy: Privacy{Conceal: false, Open: []string{"example.org"}, ShowOverrides: true, Band: 35},
		MinExpires: 90 * time.Second, MaxExpires: 2 * time.Hour, GiveUp: 30 * time.Hour,
		Digest: Digest{Algorithms: []sip.Algorithm{"SHA-256", "MD5"}, AllowNoQOP: true, NonceLife: time.Minute,
			ByUserAgent: map[string][]sip.Algorithm{"baresip": {"MD5"}}},
		HTTP: "127.0.0.1:9090", WSOrigins: []string{"app.example.com"},
		Limits: cfg.Limits, Logger: cfg.Logger,
	}
	if !reflect.DeepEqual(cfg, want) {
		t.Errorf("got  %+v\nwant %+v", cfg, want)
	}
	if cfg.Limits.MaxPublications != 3 || cfg.Limits.HeaderTimeout != 3*time.Second {
		t.Errorf("limits: %+v", cfg.Limits)
	}
	for _, want := range []string{"digest.algorithms", "digest.allow_no_qop", "listener[1].protection"} {
		if !slices.ContainsFunc(warnings, func(w string) bool { return strings.Contains(w, want) }) {
			t.Errorf("no warning about %s in %q", want, warnings)
		}
	}
}

func TestConfigFaultsSayWhereAndWhat(t *testing.T) {
	t.Parallel()
	const tail = "points = [\"peu\"]\ntransport = \"tls\"\naddress = \":5061\"\n"
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":        {"dir = \"x\"\ndomain = [\"a\"]", "f.toml:2: domain: unknown key; did you mean domains?"},
		"key of other table": {least + "min_expires = \"1s\"", "f.toml:8: listener.min_expires: unknown key; did you mean presence.min_expires?"},
		"letters swapped":    {"dri = \"x\"", "f.toml:1: dri: unknown key; did you mean dir?"},
		"short and another":  {"foo = 1", "f.toml:1: foo: unknown key; `tacit config describe` lists them all"},
		"nothing like it":    {least + "[zebra]\nstripes = 3", "f.toml:8: zebra"},
		"wrong kind":         {"dir = 3", "f.toml:1: dir: "},
		"syntax":             {"dir = \"x", "f.toml:1: "},
		"duration":           {least + "[presence]\nmin_interval = \"5 parrots\"", `f.toml:9: presence.min_interval: `},
		"negative duration":  {least + "[presence]\nmin_interval = \"-5s\"", `is negative`},
		"network":            {least + "[trust]\npeers = [\"everywhere\"]", `is neither an address nor a network`},
		"trusting everybody": {least + "[trust]\nasserted = [\"0.0.0.0/0\"]", `f.toml:9: trust.asserted: 0.0.0.0/0 is everybody`},
		"unknown value":      {least + "[presence]\ncomposition = \"best\"", `f.toml:9: presence.composition: "best" is not known; write one of union, newest`},
		"unknown point":      {least + "[[listener]]\npoints = [\"ut\"]\ntransport = \"tls\"\naddress = \":1\"", `f.toml:9: listener[1].points: "ut" is not known`},
		"clear text":         {least + "[[listener]]\npoints = [\"peu\"]\ntransport = \"udp\"\naddress = \":5060\"", `f.toml:8: listener[1].protection: udp on peu is clear text; use tls or wss, or say protection`},
		"needless":           {least + "protection = \"none\"", `f.toml:8: listener[0].protection: tls protects itself`},
		"no points":          {least + "[[listener]]\ntransport = \"tls\"\naddress = \":1\"", `listener[1].points: is missing`},
		"no transport":       {least + "[[listener]]\npoints = [\"pw\"]\naddress = \":1\"", `listener[1].transport: is missing; write one of udp, tcp, tls, ws, wss`},
		"no port":            {least + "[[listener]]\npoints = [\"pw\"]\ntransport = \"tls\"\naddress = \"host\"", `"host" is no HOST:PORT`},
		"port range":         {least + "[[listener]]\npoints = [\"pw\"]\ntransport = \"tls\"\naddress = \"h:70000\"", `has no port from`},
		"twice":              {least + "[[listener]]\npoints = [\"pw\"]\ntransport = \"wss\"\naddress = \"[::]:5061\"", `is taken by a listener above`},
		"no dir":             {"domains = [\"a.b\"]\n[[listener]]\n" + tail, "f.toml: dir: is missing"},
		"no domain":          {"dir = \"d\"\n[[listener]]\n" + tail, "f.toml: domains: is missing"},
		"bad domain":         {"dir = \"d\"\ndomains = [\"a b\"]\n[[listener]]\n" + tail, `f.toml:2: domains: "a b" is no domain name`},
		"domain twice":       {"dir = \"d\"\ndomains = [\"a\", \"A\"]\n[[listener]]\n" + tail, `"A" is there twice`},
		"no listener":        {"dir = \"d\"\ndomains = [\"a.b\"]", "f.toml: listener: there is none"},
		"MD5 by agent":       {least + "[digest.by_user_agent]\nbaresip = [\"MD5\"]", "f.toml:9: digest.by_user_agent.baresip: offers MD5, which is off"},
		"no algorithms":      {least + "[digest]\nalgorithms = []", "nobody could enter"},
		"short nonce":        {least + "[digest]\nnonce_life = \"1s\"", "f.toml:9: digest.nonce_life: 1s is too short"},
		"give up":            {least + "[presence]\ngive_up = \"1s\"", "f.toml:9: presence.give_up: 1s is less than a minute"},
		"expires order":      {least + "[presence]\nmax_expires = \"30s\"", "f.toml:9: presence.max_expires: 30s is less than min_expires, 1m"},
		"limit":              {least + "[limits]\nmax_connections = 0", "f.toml:9: limits.max_connections: must be more than 0"},
		"small messages":     {least + "[limits]\nmax_message = 1000", "is less than the 65535 bytes"},
		"no such band":       {least + "[privacy]\nlocation_band = 30", "f.toml:9: privacy.location_band: 30 is"},
		"cert alone":         {least + "[tls]\ncert = \"a.pem\"", "f.toml:8: tls: cert and key go together"},
		"no such cert":       {least + "[tls]\ncert = \"a.pem\"\nkey = \"a.key\"", "f.toml:9: tls.cert: open a.pem"},
		"advertise bracket":  {"advertise = \"[::1\"\n" + least, "f.toml:1: advertise: \"[::1\" is no HOST or HOST:PORT"},
		"advertise":          {"advertise = \"0.0.0.0\"\n" + least, "f.toml:1: advertise: \"0.0.0.0\" is a wildcard"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := parseConfig("f.toml", []byte(c.text))
			if err == nil {
				t.Fatal("taken")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestOneCheckNamesEveryFault(t *testing.T) {
	t.Parallel()
	_, _, err := parseConfig("f.toml", []byte("[presence]\ncomposition = \"best\"\n[limits]\nmax_message = -1\n"))
	for _, want := range []string{"dir: is missing", "domains: is missing", "listener: there is none", "f.toml:2: presence.composition", "f.toml:4: limits.max_message"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not told: %v", want, err)
		}
	}
}

func TestDescriptionIsAConfiguration(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := DescribeConfig(&b); err != nil {
		t.Fatal(err)
	}
	cfg, warnings, err := parseConfig("described.toml", b.Bytes())
	if err != nil || len(warnings) != 0 {
		t.Fatalf("%v %q\n%s", err, warnings, &b)
	}
	plain, _, err := parseConfig("least.toml", []byte(least))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Dir, cfg.Logger, plain.Dir, plain.Logger = "", nil, "", nil
	cfg.WSOrigins = nil // written out as an empty list
	if !reflect.DeepEqual(cfg, plain) {
		t.Errorf("the defaults shown are not those that hold:\n%+v\n%+v", cfg, plain)
	}
}

func TestEveryKeyIsDescribed(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := DocumentConfig(&b); err != nil {
		t.Fatal(err)
	}
	for _, k := range configKeys() {
		if k.Doc == "" || !strings.HasSuffix(k.Doc, ".") {
			t.Errorf("%s has no whole sentence to describe it: %q", k.Path, k.Doc)
		}
		if !strings.Contains(b.String(), "`"+k.Path+"`") && k.Table == "" {
			t.Errorf("%s is not in the document", k.Path)
		}
		if n := nearestKey(k.Path + "s"); n == "" {
			t.Errorf("a typing error in %s finds nothing", k.Path)
		}
	}
}

func TestLoadConfigNamesTheFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "tacit.toml")
	if _, _, err := LoadConfig(path); err == nil || !strings.Contains(err.Error(), "quickstart") {
		t.Errorf("a missing file: %v", err)
	}
	if err := os.WriteFile(path, []byte(least), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, _, err := LoadConfig(path)
	if err != nil || cfg.Dir != filepath.Join(dir, "state") {
		t.Errorf("got %q, %v", cfg.Dir, err)
	}
}

func TestParseNetwork(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"192.0.2.1":        "192.0.2.1/32",
		"192.0.2.77/24":    "192.0.2.0/24",
		"2001:db8::1":      "2001:db8::1/128",
		"::ffff:192.0.2.1": "192.0.2.1/32",
		"localhost":        "",
		"fe80::1%eth0":     "",
		"192.0.2.1/33":     "",
		"":                 "",
	} {
		p, err := ParseNetwork(in)
		if want == "" != (err != nil) || want != "" && p.String() != want {
			t.Errorf("%q: got %v, %v", in, p, err)
		}
	}
}

func TestDomainsAreRemembered(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if d, err := RememberedDomains(dir); d != nil || err != nil {
		t.Errorf("of an empty directory: %q, %v", d, err)
	}
	want := []string{"example.com", "example.org"}
	if err := RememberDomains(dir, want); err != nil {
		t.Fatal(err)
	}
	if d, err := RememberedDomains(dir); err != nil || !slices.Equal(d, want) {
		t.Errorf("got %q, %v", d, err)
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add(least)
	f.Add("[presence]\nmin_interval = \"5s\"\n[digest.by_user_agent]\n\"a.b\" = []\n")
	f.Fuzz(func(t *testing.T, text string) {
		cfg, _, err := parseConfig("f.toml", []byte(text))
		if err == nil && (len(cfg.Domains) == 0 || len(cfg.Listen) == 0 || cfg.Dir == "") {
			t.Errorf("taken although it cannot serve: %+v", cfg)
		}
	})
}
