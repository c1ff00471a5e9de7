package presencetest_test

import (
	"flag"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tacit-presence/tacit/presencetest"
)

var update = flag.Bool("update", false, "write the expected documents of scenarios anew")

func TestScenarios(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/script/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatal("no scenarios", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			t.Parallel()
			presencetest.Run(t, path, *update)
		})
	}
}
