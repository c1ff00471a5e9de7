package peertest

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/emiago/sipgo/sip"
)

// binary is the program under test.
var binary string

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	sip.SetDefaultLogger(slog.New(slog.DiscardHandler)) // sipgo warns of its own reference counts
	if binary = os.Getenv("TACIT_BINARY"); binary != "" {
		return m.Run(), nil
	}
	dir, err := os.MkdirTemp("", "tacit-peertest-")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "tacit")
	args := []string{"build", "-o", binary}
	if raceEnabled {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "github.com/tacit-presence/tacit/cmd/tacit")...)
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("building the program under test: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// needPeers skips a test where independent peers are not asked for, and fails
// it where one of them lacks.
func needPeers(t *testing.T, programs ...string) {
	t.Helper()
	if os.Getenv("TACIT_PEERS") != "1" {
		t.Skipf("SKIPPED: runs against %v where TACIT_PEERS=1 is set, as `make test` does", programs)
	}
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("%v (scripts/test-deps installs it)", err)
		}
	}
}
