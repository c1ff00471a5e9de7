package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/server"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"tacit": main})
}

// TestScripts runs testdata/script/*.txt against the real program.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exitcode": exitCode,
			"await":    await,
		},
	})
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]presence.AOR{
		"sip:alice@example.com":             "sip:alice@example.com",
		"SIPS:alice@Example.com":            "sip:alice@example.com",
		"pres:alice@example.com":            "sip:alice@example.com",
		"alice@example.com":                 "sip:alice@example.com",
		"alice":                             "sip:alice@default.org",
		"sip:alice":                         "sip:alice@default.org",
		"sip:alice@example.com:5070;user=x": "sip:alice@example.com",
		"":                                  "",
		"a b@example.com":                   "",
		"tel:+15551234":                     "",
		"@example.com":                      "",
	} {
		got, err := parseAOR(in, "default.org")
		if want == "" && err == nil || want != "" && (err != nil || got != want) {
			t.Errorf("%q: got %q, %v", in, got, err)
		}
	}
	if _, err := parseAOR("alice", ""); err == nil || !strings.Contains(err.Error(), "no domain") {
		t.Errorf("no domain known: %v", err)
	}
}

func TestUsersFile(t *testing.T) {
	t.Parallel()
	list, err := readUsers(strings.NewReader(byteOrderMark+`# name,password,addresses
alice,secret

bob,"a,b:c",sip:bob@example.com, pres:robert@Example.com
# carol,gone
dave, x y ,d
erin@Example.com,e
`), "users.csv", "example.com")
	if err != nil {
		t.Fatal(err)
	}
	want := []server.NewUser{
		{Name: "alice", Password: "secret"},
		{Name: "bob", Password: "a,b:c", AORs: []presence.AOR{"sip:bob@example.com", "sip:robert@example.com"}},
		{Name: "dave", Password: "x y ", AORs: []presence.AOR{"sip:dave@example.com", "sip:d@example.com"}},
		{Name: "erin", Password: "e"},
	}
	equal := func(a, b server.NewUser) bool {
		return a.Name == b.Name && a.Password == b.Password && slices.Equal(a.AORs, b.AORs)
	}
	if !slices.EqualFunc(list, want, equal) {
		t.Errorf("got %+v", list)
	}
}

func TestUsersFileFaults(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"alice,a\nbob":           "u:2: a line is name,password[,AOR...]",
		"\n\n,secret":            "u:3: the name is empty",
		"alice,":                 "u:1: the password of alice is empty",
		"alice@example.net,a":    "u:1: alice@example.net is of another domain than example.com",
		"alice,a\n#\nalice,b":    "u:3: alice is on line 1 already",
		"alice,a,sip:a b@c":      `u:1: "sip:a b@c" is no address`,
		"alice,\"a":              "u:1: ",
		"alice,a\nbob,b\"c,d\n":  "u:2: ",
		"alice,a,tel:+155512345": "u:1: ",
	} {
		_, err := readUsers(strings.NewReader(in), "u", "example.com")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", in, err, want)
		}
	}
}

func FuzzReadUsers(f *testing.F) {
	f.Add("alice,secret\nbob,b,sip:b@example.com\n")
	f.Add("#\n\n\"a\",\"b\"")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := readUsers(strings.NewReader(text), "u", "example.com")
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, u := range list {
			if u.Name == "" || u.Password == "" || seen[u.Name] {
				t.Errorf("%q gives %+v", text, u)
			}
			seen[u.Name] = true
		}
	})
}

func TestThrowawayPasswordsOutliveAKilledStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := openThrowaway(dir, true)
	if err != nil || first.made || len(first.passwords) != 3 {
		t.Fatalf("first start: %+v, %v", first, err)
	}
	// Killed here: users are in the store perhaps, rules are not.
	second, err := openThrowaway(dir, false)
	if err != nil || second.made || second.passwords["alice"] != first.passwords["alice"] {
		t.Errorf("second start: %+v, %v", second, err)
	}
	second.made = true
	if err := second.write(); err != nil {
		t.Fatal(err)
	}
	third, err := openThrowaway(dir, false)
	if err != nil || !third.made || third.passwords["carol"] != first.passwords["carol"] {
		t.Errorf("third start: %+v, %v", third, err)
	}
	info, err := os.Stat(filepath.Join(dir, passwordsName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}

	forgetPassword(dir, "bob@example.com")
	fourth, err := openThrowaway(dir, false)
	if _, there := fourth.passwords["bob"]; err != nil || there || len(fourth.passwords) != 2 || !fourth.made {
		t.Errorf("after a change of bob's: %+v, %v", fourth, err)
	}
}

func TestThrowawayLeavesOthersUsersAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	got, err := openThrowaway(dir, false)
	if err != nil || !got.made || len(got.users()) != 3 && len(got.passwords) != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := os.Stat(filepath.Join(dir, passwordsName)); err == nil {
		t.Error("a file of passwords was written for users that are not ours")
	}
}

func TestDocumentsAreUpToDate(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"cli", "config"} {
		var b bytes.Buffer
		if err := (&docsCmd{What: what}).Run(&env{stdout: &b}); err != nil {
			t.Fatal(err)
		}
		have, err := os.ReadFile(filepath.Join("..", "..", "docs", what+".md"))
		if err != nil || !bytes.Equal(have, b.Bytes()) {
			t.Errorf("docs/%s.md is not what the program says (%v): run `make docs`", what, err)
		}
	}
}

func TestPrintableKeepsTerminalsSafe(t *testing.T) {
	t.Parallel()
	if got := printable("a\x1b[2Jb\r\n\u009bc\tü"); got != "a\uFFFD[2Jb\r\n\uFFFDc\tü" {
		t.Errorf("got %q", got)
	}
}

func TestPlainAddress(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]bool{
		"bob": true, "bob@example.com": true, "sip:bob@example.com": true, "pres:bob@example.com": true, "SIPS:bob@example.com": true,
		"sip:+15551234;ext=5@example.com": true, "*97": true, "sip:*97@example.com": true, "sip:bob@[2001:db8::1]": true,
		"*": false, "sip:*@example.com": false, "*@example.com": false, "bob@*": false, "b*b@example.com": false, "bob@*.example.com": false,
		"": false, "sip:": false, "@example.com": false, "bob@": false, "sip:bob@example.com:5060": false, "sip:bob:secret@example.com": false,
		"<sip:bob@example.com>": false, "Bob <sip:bob@example.com>": false, "bob@example.com,carol@example.com": false,
		"sip:bob@example.com?subject=x": false, "tel:+15551234": false, "bob;x": false, "a@b@c": false, "sip:bob@[2001:db8::1]:5060": false,
	} {
		if err := plainAddress(in, "WATCHER"); (err == nil) != want {
			t.Errorf("%q: %v", in, err)
		}
		if err := plainWatcher(in); (err == nil) != (want || in == "tel:+15551234") {
			t.Errorf("watcher %q: %v", in, err)
		}
	}
}

// The file of a running server's is another user's where root asks for a change:
// it must stay that one's, and whole.
func TestForgetPassword(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, passwordsName)
	if err := os.WriteFile(path, []byte(passwordsHead+"\nalice secret\nal s\nbob b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	forgetPassword(dir, "al@example.com")
	forgetPassword(dir, "nobody")
	after, err := os.Stat(path)
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("it is another file: %v", err)
	}
	known, err := openThrowaway(dir, false)
	if err != nil || !known.made || len(known.passwords) != 2 || known.passwords["alice"] != "secret" || known.passwords["bob"] != "b" {
		t.Errorf("%v %v", known, err)
	}
	forgetPassword(dir, "alice")
	if text, err := os.ReadFile(path); err != nil || bytes.Contains(text, []byte("secret")) {
		t.Errorf("%q %v", text, err)
	}
	forgetPassword(t.TempDir(), "alice") // of a server that has none
}
