package server

import (
	"strings"
	"testing"
)

// What cannot be read hides no other fault, and makes none up.
func TestWhatCannotBeReadHidesNothing(t *testing.T) {
	t.Parallel()
	const head = "dir = \"d\"\ndomains = [\"a.b\"]\n" // 2 lines
	const listener = "[[listener]]\npoints = [\"peu\"]\ntransport = \"tls\"\naddress = \":5061\"\n"
	for name, c := range map[string]struct {
		text string
		want []string // the beginning of each line, in order
	}{
		"durations, networks and values": {
			head + "[presence]\nmin_interval = \"5 parrots\"\ncomposition = \"best\"\nmax_expires = \"x\"\n[trust]\npeers = [\n\"everywhere\",\n]\n[limits]\nmax_connections = 0\n" + listener,
			[]string{"f.toml:4: presence.min_interval: ", "f.toml:5: presence.composition: ", "f.toml:6: presence.max_expires: ", "f.toml:9: trust.peers: ", "f.toml:12: limits.max_connections: "},
		},
		"a bound that cannot be read bounds nothing": {
			head + "[presence]\nmax_expires = \"30s\"\nmin_expires = \"short\"\n" + listener,
			[]string{"f.toml:5: presence.min_expires: "},
		},
		"a wrong kind is not missing": {
			"dir = 3\ndomains = \"a.b\"\n" + listener + "[log]\nlevel = \"loud\"\n",
			[]string{"f.toml:1: dir: ", "f.toml:2: domains: ", "f.toml:8: log.level: "},
		},
		"syntax, and what follows": {
			"dir = \"d\ndomains = [\"a b\"]\n[presence]\nmin_interval = \"soon\"\nzebra = 1\n" + listener,
			[]string{"f.toml:1: ", "f.toml:2: domains: ", "f.toml:4: presence.min_interval: ", "f.toml:5: presence.zebra: unknown key"},
		},
		"syntax in two places": {
			head + "[presence]\nmin_interval = 5s\n\ncomposition = best\n" + listener + "[log]\nformat = \"x\"\n",
			[]string{"f.toml:4: ", "f.toml:6: ", "f.toml:12: log.format: "},
		},
		"a broken head takes its table along": {
			head + "[[listener]\npoints = [\"peu\"]\ntransport = \"tls\"\naddress = \":5061\"\n[log]\nlevel = \"loud\"\n",
			[]string{"f.toml:3: ", "f.toml:8: log.level: "},
		},
		"an array without end": {
			"dir = \"d\"\ndomains = [\"a.b\"\n" + listener,
			[]string{"f.toml:3: "},
		},
		"a key twice": {
			head + "dir = \"e\"\n" + listener + "protection = \"none\"\n",
			[]string{"f.toml:3: dir: ", "f.toml:8: listener[0].protection: "},
		},
		"a table twice": {
			head + "[log]\nlevel = \"info\"\n[log]\nformat = \"x\"\n" + listener,
			[]string{"f.toml:5: log: "},
		},
		"a listener's transport": {
			head + "[[listener]]\npoints = [\"peu\"]\ntransport = 3\naddress = \":5061\"\n" + listener,
			[]string{"f.toml:5: listener"},
		},
		"unknown keys and values": {
			"dir = \"d\"\ndomain = [\"a.b\"]\n[log]\nlevel = \"loud\"\n" + listener,
			[]string{"f.toml:2: domain: unknown key; did you mean domains?", "f.toml:4: log.level: "},
		},
		"digest": {
			head + "[digest]\nalgorithms = [3]\n[digest.by_user_agent]\nbaresip = [\"MD5\"]\n" + listener,
			[]string{"f.toml:4: digest.algorithms: "},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := parseConfig("f.toml", []byte(c.text))
			if err == nil {
				t.Fatal("taken")
			}
			got := strings.Split(err.Error(), "\n")
			same := len(got) == len(c.want)
			for i := 0; same && i < len(got); i++ {
				same = strings.HasPrefix(got[i], c.want[i])
			}
			if !same {
				t.Errorf("got\n%s\nwant\n%s", err, strings.Join(c.want, "\n"))
			}
		})
	}
}

// However much is wrong, reading it ends.
func TestManyFaultsOfReading(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("[[listener]]\naddress = 3\n", 1000)
	_, _, err := parseConfig("f.toml", []byte(text))
	if err == nil || strings.Count(err.Error(), "\n")+1 != maxReadFaults {
		t.Errorf("%v", err)
	}
}
