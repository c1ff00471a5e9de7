package vectors_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tacit-presence/tacit/rfc/vectors"
	"github.com/tacit-presence/tacit/schema"
	"github.com/tacit-presence/tacit/xmltree"
)

// kinds are what can be done with a vector. An error that is a mismatch says that
// something else came out than the vector wants; any other that the software has
// refused the RFC's example.
var kinds = map[string]func(*vectors.Vector) error{
	"changes":  runChanges,
	"document": runDocument,
	"filter":   runFilter,
	"list":     runList,
	"partial":  runPartial,
	"patch":    runPatch,
	"rules":    runRules,
	"told":     runTold,
	"trigger":  runTrigger,
	"winfo":    runWinfo,
	"xcap":     runXCAP,
}

// TestExamplesStandHereAlone holds that an example has one place: no file of
// another package's testdata is called after an RFC but for SIP's torture tests,
// which are messages of their own, and no two vectors have the same document.
func TestExamplesStandHereAlone(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (path == filepath.Join(root, ".git") || path == filepath.Join(root, "sip")) {
			return filepath.SkipDir
		}
		if folder := filepath.ToSlash(filepath.Dir(path)); strings.Contains(folder+"/", "/testdata/") && strings.HasPrefix(d.Name(), "rfc") {
			t.Errorf("%s: examples of RFCs stand in rfc/vectors", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	all, err := vectors.All()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for _, v := range all {
		for _, f := range v.Files {
			text := fmt.Sprint(v.RFC, withoutSpace(f.Text)) // RFCs quote one another
			if !f.Quoted() || schemas[f.Root()] == nil {
				continue
			}
			if other, ok := seen[text]; ok {
				t.Errorf("%s and %s have the same document: one can refer to the other's", other, v.Name)
			}
			seen[text] = v.Name
		}
	}
}

// mismatch is another outcome than the wanted one.
type mismatch struct{ error }

func mismatched(format string, a ...any) error { return mismatch{fmt.Errorf(format, a...)} }

// TestVectors runs every example.
func TestVectors(t *testing.T) {
	t.Parallel()
	all, err := vectors.All()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 215 {
		t.Errorf("%d vectors", len(all))
	}
	for _, v := range all {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			run := kinds[v.Kind]
			if run == nil {
				t.Fatalf("no kind %q", v.Kind)
			}
			checkFiles(t, v)
			err := run(v)
			_, wrong := errors.AsType[mismatch](err)
			switch v.Expect {
			case vectors.OK, vectors.Differs:
				if err != nil {
					t.Error(err)
				}
			case vectors.Refused:
				if err == nil || wrong || !strings.Contains(err.Error(), v.Reason) {
					t.Errorf("%v, not refused as %q", err, v.Reason)
				}
			}
			if len(v.Mends) > 0 && (v.Expect != vectors.Differs || run(v.Unmended()) == nil) {
				t.Error("mended, but runs as it is, or does not say that it differs")
			}
		})
	}
}

// checkFiles holds what every vector has, whatever its kind: the RFC's words, an
// outcome, and schemas' verdicts.
func checkFiles(t *testing.T, v *vectors.Vector) {
	t.Helper()
	quoted, wanted := 0, 0
	for _, f := range v.Files {
		if f.Wanted() {
			wanted++
			continue
		}
		if strings.HasPrefix(f.From, fmt.Sprintf("rfc%d/", v.RFC)) {
			quoted++
		}
		if f.Quoted() {
			quoted++
			checkQuoted(t, v, f)
		}
		// What the RFC says comes out.
		if verdict(t, v, f) || f.Name == "result" || f.Name == "left" {
			wanted++
		}
	}
	for _, m := range v.Mends {
		used := false
		for _, f := range v.Files {
			used = used || !f.Wanted() && !f.Ours() && strings.Contains(f.Text, m.Old)
		}
		if !used {
			t.Errorf("nothing is mended by %q", m.Old)
		}
	}
	if (quoted == 0) != (v.RFC == 0) {
		t.Errorf("%d files with words of RFC %d", quoted, v.RFC)
	}
	if wanted == 0 {
		t.Error("nothing is wanted")
	}
}

// schemas are the validators by the root's name.
var schemas = map[string][]schema.Validator{
	"ruleset":        {schema.PresRules(), schema.CommonPolicy()},
	"resource-lists": {schema.ResourceLists()},
	"rls-services":   {schema.RLSServices()},
	"xcap-caps":      {schema.XCAPCaps()},
	"xcap-error":     {schema.XCAPError()},
	"xcap-diff":      {schema.XCAPDiff()},
	"presence":       {schema.Presence()},
	"watcherinfo":    {schema.WatcherInfo()},
	"filter-set":     {schema.FilterSet()},
}

// verdict asks the schema of a file, if it has one.
func verdict(t *testing.T, v *vectors.Vector, f vectors.File) (known bool) {
	t.Helper()
	var invalid string
	for _, line := range v.Arguments("invalid") {
		if name, part, _ := strings.Cut(line, ": "); name == f.Name {
			invalid = part
		}
	}
	for i, valid := range schemas[f.Root()] {
		if invalid != "" && i > 0 {
			break // the first knows most
		}
		doc, err := xmltree.Parse(v.Mended(f), xmltree.DefaultLimits())
		if err == nil {
			err = valid(doc)
		}
		if invalid == "" && err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
		if invalid != "" && (err == nil || !strings.Contains(err.Error(), invalid)) {
			t.Errorf("%s: %v, not %q", f.Name, err, invalid)
		}
		known = true
	}
	if !known && invalid != "" {
		t.Errorf("%s has no schema", f.Name)
	}
	return known
}

// textsVariable names a folder with the RFCs' texts, rfcNNNN.txt: what vectors
// quote is looked up there.
const textsVariable = "TACIT_RFC_TEXTS"

var (
	pageEnd   = regexp.MustCompile(`(?m)^.*\[Page \d+\][ \t]*\n\f?`)
	pageBegin = regexp.MustCompile(`(?m)^RFC \d+ .* (?:19|20)\d\d[ \t]*\n`)
)

func withoutSpace(text string) string { return strings.Join(strings.Fields(text), "") }

func checkQuoted(t *testing.T, v *vectors.Vector, f vectors.File) {
	t.Helper()
	folder := os.Getenv(textsVariable)
	if folder == "" {
		return
	}
	text, err := os.ReadFile(filepath.Join(folder, fmt.Sprintf("rfc%d.txt", v.RFC)))
	if err != nil {
		t.Fatal(err)
	}
	plain := pageBegin.ReplaceAllString(pageEnd.ReplaceAllString(strings.ReplaceAll(string(text), "\r", ""), ""), "")
	// A passage that leaves something out has a line "[...]" there.
	rest := withoutSpace(plain)
	for part := range strings.SplitSeq(f.Text, "\n[...]\n") {
		_, after, ok := strings.Cut(rest, withoutSpace(part))
		if !ok {
			t.Errorf("%s is not in RFC %d:\n%s", f.Name, v.RFC, part)
		}
		rest = after
	}
}

// compare holds an outcome against what is wanted: the file "want NAME", if the
// RFC's own NAME is not what comes out, else NAME, or "want" alone. Both are made
// comparable by same.
func compare(v *vectors.Vector, name, got string, same func(string) string) error {
	theirs, ours := v.Has(name), v.Has("want "+name)
	want := v.Text(name)
	switch {
	case ours:
		want = v.Text("want " + name)
		if theirs && (v.Expect != vectors.Differs || same(v.Text(name)) == same(want)) {
			return mismatched("two outcomes are wanted that do not differ, or without a reason")
		}
	case !theirs && v.Has("want"):
		want = v.Text("want")
	case !theirs:
		return mismatched("nothing is wanted of %q", name)
	}
	if same(got) != same(want) {
		return mismatched("%s is\n%s\nwanted\n%s", name, got, want)
	}
	return nil
}
