package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
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
	have, err := os.ReadFile(filepath.Join("..", conformanceFile))
	if err != nil || !bytes.Equal(have, conformance(index, cited)) {
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
