package tacit_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// dependency is another module that Tacit's code imports.
type dependency struct {
	module   string
	decision string // in docs/adr
	tests    bool   // by tests alone
}

// dependencies are all of them. A new one needs a decision record and a line
// here.
var dependencies = []dependency{
	{module: "github.com/alecthomas/kong", decision: "0005-kong-for-the-command-line.md"},
	{module: "github.com/cockroachdb/pebble/v2", decision: "0003-pebble-for-state.md"},
	{module: "github.com/coder/websocket", decision: "0008-coder-websocket.md"},
	{module: "github.com/fxamacker/cbor/v2", decision: "0009-cbor-for-records.md"},
	{module: "github.com/google/pprof", decision: "0011-pprof-for-the-benchmark.md"},
	{module: "github.com/pelletier/go-toml/v2", decision: "0006-toml-for-configuration.md"},
	{module: "github.com/prometheus/client_golang", decision: "0007-prometheus-for-metrics.md"},
	{module: "golang.org/x/net", decision: "0016-idna.md"},
	{module: "golang.org/x/term", decision: "0010-small-helpers.md"},
	{module: "github.com/emiago/sipgo", decision: "0001-own-sip-stack.md", tests: true},
	{module: "github.com/rogpeppe/go-internal", decision: "0010-small-helpers.md", tests: true},
}

// of finds the dependency that an import belongs to.
func of(imported string) (dependency, bool) {
	for _, d := range dependencies {
		if imported == d.module || strings.HasPrefix(imported, d.module+"/") {
			return d, true
		}
	}
	return dependency{}, false
}

// isStandard reports an import of Go's own library.
func isStandard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

func TestDependenciesAreDecided(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, f := range goFiles(t, true) {
		inTest := strings.HasSuffix(f.path, "_test.go") || isOutside(f.pkg)
		for _, imported := range f.imports {
			if isStandard(imported) || imported == modulePath || strings.HasPrefix(imported, modulePath+"/") {
				continue
			}
			d, ok := of(imported)
			switch {
			case !ok:
				t.Errorf("%s imports %s: a new dependency needs a decision record in docs/adr and a line in deps_test.go", f.path, imported)
			case d.tests && !inTest:
				t.Errorf("%s imports %s, which is for tests alone", f.path, imported)
			}
			used[d.module] = true
		}
	}
	for _, d := range dependencies {
		if !used[d.module] {
			t.Errorf("%s is used nowhere: take it out of deps_test.go and go.mod", d.module)
		}
		if _, err := os.Stat(filepath.Join("docs", "adr", d.decision)); err != nil {
			t.Errorf("%s has no decision record: %v", d.module, err)
		}
	}
}

// TestModFileRequiresWhatIsUsed holds go.mod's direct requirements to the list.
func TestModFileRequiresWhatIsUsed(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	var direct []string
	for line := range strings.Lines(string(data)) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "require ")
		fields := strings.Fields(line)
		if len(fields) >= 2 && strings.HasPrefix(fields[1], "v") && !strings.HasSuffix(line, "// indirect") {
			direct = append(direct, fields[0])
		}
	}
	for _, module := range direct {
		if !slices.ContainsFunc(dependencies, func(d dependency) bool { return d.module == module }) {
			t.Errorf("go.mod requires %s, which is not in deps_test.go", module)
		}
	}
	for _, d := range dependencies {
		if !slices.Contains(direct, d.module) {
			t.Errorf("go.mod does not require %s directly: run `go mod tidy`", d.module)
		}
	}
}
