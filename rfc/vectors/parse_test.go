package vectors

import (
	"errors"
	"strings"
	"testing"
)

// TestFaultsOfFiles holds that a vector's file without what every one has is none.
func TestFaultsOfFiles(t *testing.T) {
	t.Parallel()
	const good = "RFC 4745, 7.3: spheres, over\ntwo lines.\nkind: rules\nexpect: differs: why: not\nmend: \"a\\n\" -> \"b\": c\nwatcher: x\n-- rules --\na\nc\n-- want --\na\n"
	v, err := parse("rfc4745/7.3-name", []byte(good))
	if err != nil || v.RFC != 4745 || v.Section != "7.3" || v.Shows != "spheres, over two lines." || v.Kind != "rules" || v.Expect != Differs ||
		v.Reason != "why: not" || v.Argument("watcher") != "x" || v.Text("rules") != "bc\n" || v.Unmended().Text("rules") != "a\nc\n" || v.Text("want") != "a\n" {
		t.Errorf("%+v, %v", v, err)
	}
	for name, change := range map[string][2]string{
		"no citation":                        {"RFC 4745, 7.3: ", ""},
		"cites RFC 4745, 7.4":                {"7.3: ", "7.4: "},
		"a kind is missing":                  {"kind: rules\n", ""},
		"expects \"perhaps\"":                {"differs: why: not", "perhaps"},
		"or a reason":                        {"differs: why: not", "differs"},
		"a kind is missing, or a reason of":  {"differs: why: not", "ok: why"},
		"mend:":                              {"-> \"b\": c", "-> \"b\""},
		"neither NAME: VALUE":                {"watcher: x", "Watcher x"},
		"two files":                          {"-- want --", "-- rules --"},
		"expects \"\"":                       {"expect: differs: why: not\n", ""},
		"line 4 of the head is neither NAME": {"kind: rules\n", "kind: rules\nmore\n"},
	} {
		_, err := parse("rfc4745/7.3", []byte(strings.Replace(good, change[0], change[1], 1)))
		if !errors.Is(err, ErrVector) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := parse("rfc4745/x", []byte("Tacit: ours\nkind: rules\nexpect: ok\n")); !errors.Is(err, ErrVector) {
		t.Error("ours among an RFC's:", err)
	}
	if v, err := parse("own/x", []byte("Tacit: ours\nkind: rules\nexpect: ok\n")); err != nil || v.RFC != 0 {
		t.Error(v, err)
	}
}

func TestRoots(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"<?xml version='1.0'?>\n <!-- c -->\n<p:pidf-full xmlns:p='u'/>": "pidf-full", "<a/>": "a", "GET /\n\n<a/>": "", "": "",
	} {
		if got := (File{Text: text}).Root(); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
	for name, want := range map[string]string{"want": "wanted", "want left": "wanted", "wants": "quoted", "our rules": "ours", "rules": "quoted"} {
		f := File{Name: name}
		if got := map[bool]string{f.Wanted(): "wanted", f.Ours(): "ours", f.Quoted(): "quoted"}[true]; got != want {
			t.Errorf("%s is %s", name, got)
		}
	}
}
