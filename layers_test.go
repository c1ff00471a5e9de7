package tacit_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const modulePath = "github.com/tacit-presence/tacit"

// layers is the table of ARCHITECTURE.md, 2. A package imports packages of
// earlier layers, or of earlier rows of its own.
var layers = [][]string{
	{"presence"},
	{"xmltree", "sip", "pidf", "watcherinfo", "schema", "xcapdiff"},
	{"location", "compose", "policy", "filter", "view", "blind"},
	{"store", "certs", "identity", "disclosure", "intercept", "charging", "cluster"},
	{"shard", "notifier", "agent", "registrar"},
	{"gate", "route", "edge", "xcap", "supplier", "web"},
	{"client", "load", "server", "cmd/tacit"},
}

// outside are packages that import anything and that only tests import, or
// nobody at all.
var outside = []string{".", "presencetest", "peertest", "rfc", "bench"}

// apart are packages of one layer that never import one another, whatever
// their rows: each is a way in of its own.
var apart = []string{"edge", "xcap", "supplier", "web"}

// pureLayers is how many layers hold no clock, no sockets, no files, no logs.
const pureLayers = 3

// file is one parsed Go file that is not a test.
type file struct {
	path    string // from the root, with slashes
	pkg     string // its folder
	syntax  *ast.File
	imports []string
	names   map[string]string // local name to import path
}

// goFiles parses the module's files; tests too if asked for.
func goFiles(t *testing.T, tests bool) []file {
	t.Helper()
	var list []file
	set := token.NewFileSet()
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && p != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || p == "tools") {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(p) != ".go" || !tests && strings.HasSuffix(p, "_test.go") {
			return nil
		}
		f := file{path: filepath.ToSlash(p), pkg: path.Dir(filepath.ToSlash(p)), names: map[string]string{}}
		if f.syntax, err = parser.ParseFile(set, p, nil, parser.SkipObjectResolution); err != nil {
			return err
		}
		for _, spec := range f.syntax.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			f.imports = append(f.imports, imported)
			name := path.Base(imported)
			if spec.Name != nil {
				name = spec.Name.Name
			}
			f.names[name] = imported
		}
		list = append(list, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// rank is where a package stands; ok is false if it is in no layer. A folder
// within a package's folder stands where that one does.
func rank(pkg string) (layer, row int, ok bool) {
	for l, rows := range layers {
		for r, name := range rows {
			if pkg == name || strings.HasPrefix(pkg, name+"/") {
				return l, r, true
			}
		}
	}
	return 0, 0, false
}

func isOutside(pkg string) bool {
	return slices.ContainsFunc(outside, func(o string) bool { return pkg == o || o != "." && strings.HasPrefix(pkg, o+"/") })
}

// own gives the package of this module that an import path names.
func own(imported string) (pkg string, ok bool) {
	return strings.CutPrefix(imported, modulePath+"/")
}

// mayImport says what is wrong with an import, or nothing.
func mayImport(from, to string) string {
	if isOutside(from) {
		return ""
	}
	fromLayer, fromRow, ok := rank(from)
	if !ok {
		return "is in no layer: add it to layers, and to ARCHITECTURE.md"
	}
	if isOutside(to) {
		return "is for tests alone"
	}
	toLayer, toRow, ok := rank(to)
	switch {
	case !ok:
		return "is in no layer"
	case slices.Contains(apart, from) && slices.Contains(apart, to):
		return "is another way in; neither may know the other"
	case toLayer > fromLayer:
		return "is in a later layer"
	case toLayer == fromLayer && toRow > fromRow:
		return "is in a later row of the same layer"
	}
	return ""
}

func TestImportsGoToEarlierLayers(t *testing.T) {
	t.Parallel()
	for _, f := range goFiles(t, false) {
		if _, _, ok := rank(f.pkg); !ok && !isOutside(f.pkg) {
			t.Errorf("%s: package %s is in no layer: add it to layers, and to ARCHITECTURE.md", f.path, f.pkg)
		}
		for _, imported := range f.imports {
			to, ok := own(imported)
			if !ok || to == f.pkg {
				continue
			}
			if wrong := mayImport(f.pkg, to); wrong != "" {
				t.Errorf("%s imports %s, which %s", f.path, to, wrong)
			}
		}
	}
}

func TestTheLayerRuleItself(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from, to string
		allowed  bool
	}{
		{"sip", "presence", true},
		{"presence", "sip", false},
		{"view", "filter", true},
		{"filter", "view", false},
		{"agent", "store", true},
		{"policy", "store", false},
		{"web", "edge", false},
		{"edge", "web", false},
		{"xcap", "edge", false},
		{"gate", "edge", false},
		{"edge", "gate", true},
		{"store/storetest", "store", true},
		{"server", "presencetest", false},
		{"presencetest", "server", true},
		{"newcomer", "presence", false},
		{"agent", "newcomer", false},
	} {
		if wrong := mayImport(c.from, c.to); wrong == "" != c.allowed {
			t.Errorf("%s importing %s: %q", c.from, c.to, wrong)
		}
	}
}

// pureImports are those parts of forbidden families that hold values only.
var pureImports = []string{"net/netip", "net/url", "net/textproto", "log/slog"}

// forbidden says why a pure package may not import a path, or nothing.
func forbidden(imported string) string {
	for _, family := range []string{"net", "os", "syscall", "log", "plugin", "database/sql"} {
		if (imported == family || strings.HasPrefix(imported, family+"/")) && !slices.Contains(pureImports, imported) {
			return "reaches outside"
		}
	}
	return ""
}

// forbiddenUses are what a pure package may not use of a permitted import:
// clocks and loggers.
var forbiddenUses = map[string][]string{
	"time": {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Timer", "Ticker"},
	"log/slog": {"Default", "SetDefault", "New", "Logger", "Handler", "NewTextHandler", "NewJSONHandler", "NewLogLogger", "With",
		"Debug", "Info", "Warn", "Error", "Log", "LogAttrs", "DebugContext", "InfoContext", "WarnContext", "ErrorContext"},
}

func TestFormatsAndRulesArePure(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, f := range goFiles(t, false) {
		if layer, _, ok := rank(f.pkg); !ok || layer >= pureLayers {
			continue
		}
		seen++
		for _, fault := range impurities(f) {
			t.Error(fault)
		}
	}
	if seen == 0 {
		t.Error("no file of the pure layers was found: the test looks in the wrong place")
	}
}

// machines are later packages that are state machines too: they take the time
// as an argument and send nothing themselves (ARCHITECTURE.md, 3).
var machines = []string{"notifier", "agent", "registrar"}

func TestMachinesArePure(t *testing.T) {
	t.Parallel()
	for _, f := range goFiles(t, false) {
		if !slices.Contains(machines, f.pkg) {
			continue
		}
		for _, fault := range impurities(f) {
			t.Error(fault)
		}
	}
}

// impurities lists the imports and uses that a pure file may not have.
func impurities(f file) (faults []string) {
	for _, imported := range f.imports {
		if why := forbidden(imported); why != "" {
			faults = append(faults, fmt.Sprintf("%s imports %s, which %s; package %s is pure", f.path, imported, why, f.pkg))
		}
	}
	selectors(f, func(imported, name string) {
		if slices.Contains(forbiddenUses[imported], name) {
			faults = append(faults, fmt.Sprintf("%s uses %s.%s; package %s is pure and is given what it needs", f.path, imported, name, f.pkg))
		}
	})
	return faults
}

// selectors calls fn for each use of an imported name.
func selectors(f file, fn func(imported, name string)) {
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && f.names[x.Name] != "" {
				fn(f.names[x.Name], s.Sel.Name)
			}
		}
		return true
	})
}

func TestImpuritiesAreFound(t *testing.T) {
	t.Parallel()
	const source = `package x
import ("net"; "net/netip"; clock "time"; "log/slog")
var a, b, c, d, e = net.IP{}, netip.Addr{}, clock.Now(), clock.Second, slog.StringValue("")
func f() { slog.Info("x") }
`
	syntax, err := parser.ParseFile(token.NewFileSet(), "x.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := file{path: "sip/x.go", pkg: "sip", syntax: syntax, imports: []string{"net", "net/netip", "time", "log/slog"},
		names: map[string]string{"net": "net", "netip": "net/netip", "clock": "time", "slog": "log/slog"}}
	if faults := impurities(f); len(faults) != 3 {
		t.Errorf("got %q, want net, time.Now and slog.Info", faults)
	}
}

// TestOnlyIdentityMakesPrincipals holds that who has a Principal has it from
// package identity, whatever a header says.
func TestOnlyIdentityMakesPrincipals(t *testing.T) {
	t.Parallel()
	made := false
	for _, f := range goFiles(t, false) {
		selectors(f, func(imported, name string) {
			if imported != modulePath+"/presence" || name != "NewPrincipal" {
				return
			}
			made = made || f.pkg == "identity"
			if f.pkg != "identity" && f.pkg != "presencetest" {
				t.Errorf("%s makes a Principal; only package identity may", f.path)
			}
		})
	}
	if !made {
		t.Error("identity makes no Principal: the test looks for the wrong name")
	}
}
