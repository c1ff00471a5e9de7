package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	t.Parallel()
	got := find("a.go", `
// RFC 6665, 4.4.1: reason.
// As RFC
// 3261, 18.2.1 says; RFC 3581, 4.
// (RFC 7616, 8760), RFC 3261, 4.1 and 4.2, by RFC 3863.
`)
	want := []citation{{6665, "4.4.1", "a.go"}, {3261, "18.2.1", "a.go"}, {3581, "4", "a.go"}, {8760, "", "a.go"}, {7616, "", "a.go"},
		{3261, "4.1", "a.go"}, {3261, "4.2", "a.go"}, {3863, "", "a.go"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestEveryCitationIsInTheIndex(t *testing.T) {
	t.Parallel()
	if err := run("..", false, ""); err != nil {
		t.Error(err)
	}
}

func TestConformanceIsUpToDate(t *testing.T) {
	t.Parallel()
	index, err := readIndex("..")
	if err != nil {
		t.Fatal(err)
	}
	cited, err := citations("..")
	if err != nil {
		t.Fatal(err)
	}
	found, err := findExamples("..")
	if err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile(filepath.Join("..", conformanceFile))
	if err != nil || !bytes.Equal(have, conformance(index, cited, found)) {
		t.Errorf("%s is out of date (%v): run `make gen`", conformanceFile, err)
	}
}

func TestFaultsAreFound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "rfc3261.txt"), []byte("1.  Introduction\n\n   18.2.1.  Receiving\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cited := []citation{{3261, "1", "a.go"}, {3261, "18.2.1", "a.go"}, {3261, "18.2", "a.go"}, {3262, "9", "a.go"}}
	if faults := sectionFaults(dir, cited); len(faults) != 1 || faults[0].Error() != "a.go: RFC 3261 has no section 18.2" {
		t.Errorf("got %v", faults)
	}
	if faults := unlisted([]document{{number: 3261}}, cited); len(faults) != 1 {
		t.Errorf("got %v", faults)
	}
}

func TestIndexLines(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"1\timplemented\tA":            "",
		"1\timplemented\tA\tnote":      "",
		"1\tpartial\tA\thalf of it":    "",
		"1\tpartial\tA":                "which part",
		"1\tpartial\tA\t ":             "which part",
		"1\tpartial\tA\tb\tc":          "perhaps a note",
		"1\tdone\tA":                   "none of",
		"1\timplemented\t":             "title",
		"2\tplanned\tA\n1\tplanned\tA": "greater",
		"one\tplanned\tA":              "greater",
	} {
		root := t.TempDir()
		if err := os.MkdirAll(filepath.Join(root, "rfc"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, indexFile), []byte(line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		index, err := readIndex(root)
		if want == "" && (err != nil || len(index) != 1) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, %v", line, index, err)
		}
	}
}

func TestConformanceCountsVectors(t *testing.T) {
	t.Parallel()
	text := string(conformance([]document{{3261, "partial", "SIP", "half"}, {4745, "implemented", "Policy", ""}}, nil, map[int]examples{4745: {3, "rfc/vectors/rfc4745"}}))
	for _, want := range []string{"| partial |  | SIP | half |\n", "| implemented | 3 | Policy |  |\n", "Status: implemented. Vectors: 3, in `rfc/vectors/rfc4745`.\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestExamplesAreFound(t *testing.T) {
	t.Parallel()
	found, err := findExamples("..")
	if err != nil || found[4745].count < 10 || found[4745].folder != "rfc/vectors/rfc4745" || found[4475].count < 40 || found[4475].folder != "sip/testdata/rfc4475" || found[0].count != 0 {
		t.Errorf("%v, %v", found, err)
	}
}
