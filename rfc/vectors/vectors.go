// Package vectors holds the examples of the RFCs, one a file, for the runner
// beside it and for tests of other packages that want a real document. No text of
// an RFC stands anywhere else in the tests.
//
// A file is rfcNNNN/SECTION[-name].txt, in the txtar format; those of folder own are
// not of an RFC, and say "Tacit" for "RFC NNNN, SECTION". The head:
//
//	RFC 4745, 7.1.2: what the example shows, over one line
//	or several.
//	kind: rules
//	expect: ok
//	mend: "old" -> "new": why
//	invalid: presence: part of the schema's verdict
//
// kind names what the runner does with it (see kinds in the tests). expect is
//
//	ok                      the software does what the RFC says
//	refused: PART           an example that breaks its own RFC's rules, and the
//	                        part of the error that says so
//	differs: REASON         another outcome than the RFC's, or the same one, but
//	                        only of a mended text
//
// mend is a change of the RFC's words before use; both strings are quoted as in
// Go. invalid says that a file is not what the schema of its root demands, by the
// name of the file. Other lines of the head are arguments of the kind.
//
// The files: one whose name begins with "want" is what has to come out, one whose
// name begins with "our " was made for the vector, and all others are the RFC's,
// word for word but for indentation, blank lines and ends of pages; "text" is a
// passage that is not a document, with "[...]" where some is left out. A file
// "NAME = rfcNNNN/SECTION" or "NAME = rfcNNNN/SECTION OTHER" is empty and stands for
// the file NAME, or OTHER, of another vector.
package vectors

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

//go:embed rfc* own
var folder embed.FS

// ErrVector is wrapped by the faults of a vector's file.
var ErrVector = errors.New("bad vector")

// Vector is one example.
type Vector struct {
	Name    string // rfc4745/7.1.2
	RFC     int    // 0: none
	Section string // "7.1.2", "A.4"
	Shows   string
	Kind    string
	Expect  Expectation
	Reason  string // of Refused and Differs
	Mends   []Mend
	Files   []File

	head map[string][]string
}

// Expectation is how the software's outcome compares with the RFC's.
type Expectation string

// Expectations.
const (
	OK      Expectation = "ok"
	Refused Expectation = "refused"
	Differs Expectation = "differs"
)

// Mend is a change of the RFC's words before use.
type Mend struct{ Old, New, Why string }

// File is one text of a vector.
type File struct {
	Name string
	Text string // as it stands, not mended
	From string // the vector that it is of, if that is another
}

// Wanted says that the file is an outcome, and not the RFC's words.
func (f File) Wanted() bool { return f.Name == "want" || strings.HasPrefix(f.Name, "want ") }

// Ours says that the file was made for the vector.
func (f File) Ours() bool { return strings.HasPrefix(f.Name, "our ") }

// Quoted says that the file is the RFC's words, and whose section the vector is of.
func (f File) Quoted() bool { return !f.Wanted() && !f.Ours() && f.From == "" }

var root = regexp.MustCompile(`^\s*(?:<\?[^>]*\?>\s*|<!--(?s:.*?)-->\s*)*<(?:[\w-]+:)?([\w-]+)`)

// Root is the local name of the root element; empty: the file is no XML.
func (f File) Root() string {
	if m := root.FindStringSubmatch(f.Text); m != nil {
		return m[1]
	}
	return ""
}

// Arguments returns the values of a line of the head.
func (v *Vector) Arguments(name string) []string { return v.head[name] }

// Argument returns the one value of a line of the head, or nothing.
func (v *Vector) Argument(name string) string { return strings.Join(v.head[name], " ") }

// Has reports whether there is a file of a name, ours or the RFC's.
func (v *Vector) Has(name string) bool { _, ok := v.file(name); return ok }

func (v *Vector) file(name string) (File, bool) {
	for _, f := range v.Files {
		if f.Name == name || f.Name == "our "+name {
			return f, true
		}
	}
	return File{}, false
}

// Text returns a file, ours or the RFC's, mended; empty if there is none.
func (v *Vector) Text(name string) string {
	f, _ := v.file(name)
	return v.Mended(f)
}

// Mended returns a file's text as it is used.
func (v *Vector) Mended(f File) string {
	text := f.Text
	if f.Quoted() || f.From != "" {
		for _, m := range v.Mends {
			text = strings.ReplaceAll(text, m.Old, m.New)
		}
	}
	return text
}

// Unmended returns the vector with the RFC's words as they are.
func (v *Vector) Unmended() *Vector {
	bare := *v
	bare.Mends = nil
	return &bare
}

// Text returns a mended file of a vector for another package's test.
func Text(t testing.TB, vector, name string) string {
	t.Helper()
	v, err := Read(vector)
	if err != nil {
		t.Fatal(err)
	}
	if !v.Has(name) {
		t.Fatalf("%s has no file %q", vector, name)
	}
	return v.Text(name)
}

// All reads every vector, in the order of names.
func All() (list []*Vector, _ error) {
	err := fs.WalkDir(folder, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, ok := strings.CutSuffix(p, ".txt")
		if !ok {
			return fmt.Errorf("%w: %s is no .txt", ErrVector, p)
		}
		v, err := Read(name)
		list = append(list, v)
		return err
	})
	return list, err
}

// Documents returns the RFCs' own documents with a root of that local name, mended.
func Documents(t testing.TB, root string) (list []string) {
	t.Helper()
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		for _, f := range v.Files {
			if f.Quoted() && f.Root() == root {
				list = append(list, v.Mended(f))
			}
		}
	}
	if len(list) == 0 {
		t.Fatalf("no document has a root <%s>", root)
	}
	return list
}

// Matching reads the vectors whose names fit a pattern of path.Match.
func Matching(t testing.TB, pattern string) (list []*Vector) {
	t.Helper()
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		if ok, err := path.Match(pattern, v.Name); err != nil {
			t.Fatal(err)
		} else if ok {
			list = append(list, v)
		}
	}
	if len(list) == 0 {
		t.Fatalf("no vector is called %s", pattern)
	}
	return list
}

// Read reads one vector by its name, such as rfc4745/7.1.2.
func Read(name string) (*Vector, error) {
	data, err := folder.ReadFile(name + ".txt")
	if err != nil {
		return nil, err
	}
	v, err := parse(name, data)
	if err != nil {
		return nil, err
	}
	for i, f := range v.Files {
		own, other, ok := strings.Cut(f.Name, " = ")
		if !ok {
			continue
		}
		other, there, renamed := strings.Cut(other, " ")
		if !renamed {
			there = own
		}
		from, err := Read(other)
		if err != nil {
			return nil, err
		}
		g, ok := from.file(there)
		if !ok || f.Text != "" {
			return nil, fmt.Errorf("%w: %s: %q: no such file, or a text of its own", ErrVector, name, f.Name)
		}
		v.Files[i] = File{Name: own, Text: g.Text, From: other}
	}
	return v, nil
}

var (
	citation = regexp.MustCompile(`^(?:RFC (\d{4}), ([0-9A-Z]+(?:\.[0-9]+)*)|Tacit): (.+)$`)
	headLine = regexp.MustCompile(`^([a-z]+): (.+)$`)
	mend     = regexp.MustCompile(`^("(?:[^"\\]|\\.)*") -> ("(?:[^"\\]|\\.)*"): (.+)$`)
)

func parse(name string, data []byte) (*Vector, error) {
	fault := func(format string, a ...any) error {
		return fmt.Errorf("%w: %s: %s", ErrVector, name, fmt.Sprintf(format, a...))
	}
	archive := txtar.Parse(data)
	v := &Vector{Name: name, head: map[string][]string{}}
	for i, line := range strings.Split(strings.TrimSpace(string(archive.Comment)), "\n") {
		m := headLine.FindStringSubmatch(line)
		switch {
		case i == 0:
			c := citation.FindStringSubmatch(line)
			if c == nil {
				return nil, fault("the first line is no citation with what it shows")
			}
			v.RFC, _ = strconv.Atoi(c[1]) // digits
			v.Section, v.Shows = c[2], c[3]
		case m != nil:
			v.head[m[1]] = append(v.head[m[1]], m[2])
		case len(v.head) > 0:
			return nil, fault("line %d of the head is neither NAME: VALUE nor above the first such line", i+1)
		default:
			v.Shows += " " + line
		}
	}
	want := fmt.Sprintf("rfc%d/%s", v.RFC, v.Section)
	if name != want && !strings.HasPrefix(name, want+"-") && (v.RFC != 0 || path.Dir(name) != "own") {
		return nil, fault("cites RFC %d, %s", v.RFC, v.Section)
	}
	v.Kind = v.Argument("kind")
	expect, reason, _ := strings.Cut(v.Argument("expect"), ": ")
	v.Expect, v.Reason = Expectation(expect), reason
	switch v.Expect {
	case OK, Refused, Differs:
	default:
		return nil, fault("expects %q", expect)
	}
	if v.Kind == "" || (v.Expect == OK) != (reason == "") {
		return nil, fault("a kind is missing, or a reason of what is not ok")
	}
	for _, line := range v.head["mend"] {
		m := mend.FindStringSubmatch(line)
		if m == nil {
			return nil, fault("mend: %s", line)
		}
		was, err := strconv.Unquote(m[1])
		is, err2 := strconv.Unquote(m[2])
		if err := errors.Join(err, err2); err != nil {
			return nil, fault("mend: %s: %v", line, err)
		}
		v.Mends = append(v.Mends, Mend{was, is, m[3]})
	}
	names := map[string]bool{}
	for _, f := range archive.Files {
		if names[f.Name] {
			return nil, fault("two files %q", f.Name)
		}
		names[f.Name] = true
		v.Files = append(v.Files, File{Name: f.Name, Text: string(f.Data)})
	}
	return v, nil
}
