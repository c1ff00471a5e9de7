package xcap

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// exchange is a request of a vector file and the response to it. A file is a
// dialogue:
//
//	# comment, before the first request
//	>>> METHOD target
//	Header: value
//
//	body, to the next line that starts with <<<
//	<<< status
//	Header: value
//
//	body, compared byte for byte if there is an empty line before it
//
// A line that starts with a slash or a tilde in place of a header goes on with
// the target, as the RFCs fold it.
type exchange struct {
	line           int
	method, target string
	header         []string
	body           string
	status         int
	wantHeader     []string
	wantBody       *string
}

func readVectors(t *testing.T, name string) []exchange {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var list []exchange
	var x *exchange
	var header *[]string
	var body []string
	inBody, inResponse := false, false
	finish := func() {
		if x == nil {
			return
		}
		text := strings.Join(body, "\n")
		if inResponse && inBody {
			x.wantBody = &text
		} else if !inResponse {
			x.body = text
		}
		body, inBody = nil, false
	}
	for i, line := range strings.Split(strings.TrimSuffix(string(b), "\n"), "\n") {
		switch {
		case strings.HasPrefix(line, ">>> "):
			finish()
			method, target, _ := strings.Cut(line[4:], " ")
			list = append(list, exchange{line: i + 1, method: method, target: target})
			x = &list[len(list)-1]
			header, inResponse = &x.header, false
		case strings.HasPrefix(line, "<<< "):
			finish()
			if x.status, err = strconv.Atoi(line[4:]); err != nil {
				t.Fatalf("%s:%d: %v", name, i+1, err)
			}
			header, inResponse = &x.wantHeader, true
		case x == nil:
		case inBody:
			body = append(body, line)
		case line == "":
			inBody = true
		case !inResponse && len(x.header) == 0 && !strings.Contains(line, ": "):
			x.target += line
		default:
			*header = append(*header, line)
		}
	}
	finish()
	return list
}

// anyPhrase in a vector stands for a phrase that another package words.
const anyPhrase = `phrase="*"`

var phrases = regexp.MustCompile(`phrase="[^"]+"`)

func TestVectors(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("testdata/*.http")
	if err != nil || len(names) < 8 {
		t.Fatalf("%d files: %v", len(names), err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			runVectors(t, name, func(target string) string { return target })
		})
	}
}

// TestVectorsOfAnyRoot holds that one usage serves the examples of all
// namespaces, where that of the root is the default.
func TestVectorsOfAnyRoot(t *testing.T) {
	t.Parallel()
	for name, auid := range map[string]string{"rfc4825-6.4.http": "test", "rfc4825-8.2.3.http": "root"} {
		runVectors(t, filepath.Join("testdata", name), func(target string) string {
			rest, ok := strings.CutPrefix(target, "/"+auid+"/")
			if !ok {
				t.Errorf("%s: %s", name, target)
			}
			return "/free/" + rest
		})
	}
}

func runVectors(t *testing.T, name string, rename func(string) string) {
	t.Helper()
	s := newServer(t, nil)
	for _, x := range readVectors(t, name) {
		w := s.do(x.method, rename(x.target), x.body, x.header...)
		if w.Code != x.status {
			t.Errorf("%s:%d: status %d, want %d\n%s", name, x.line, w.Code, x.status, w.Body)
		}
		for _, want := range x.wantHeader {
			field, value, _ := strings.Cut(want, ": ")
			if got := w.Header().Get(field); got != value {
				t.Errorf("%s:%d: %s: %q, want %q", name, x.line, field, got, value)
			}
		}
		got := w.Body.String()
		if x.wantBody != nil && strings.Contains(*x.wantBody, anyPhrase) {
			got = phrases.ReplaceAllString(got, anyPhrase)
		}
		if x.wantBody != nil && got != *x.wantBody {
			t.Errorf("%s:%d: body\n%s\nwant\n%s", name, x.line, w.Body, *x.wantBody)
		}
	}
}
