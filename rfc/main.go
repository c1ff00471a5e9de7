// Command rfc checks the RFCs that Tacit's code names against rfc/index.tsv and
// writes docs/conformance.md.
//
//	go run ./rfc                  check that each RFC named, or with vectors, is in the index
//	go run ./rfc -write           and write docs/conformance.md
//	go run ./rfc -texts DIR       and check that each section named is in DIR/rfcNNNN.txt
//
// A citation is "RFC NNNN, SECTION" or "RFC NNNN".
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tacit-presence/tacit/rfc/vectors"
)

const (
	indexFile       = "rfc/index.tsv"
	conformanceFile = "docs/conformance.md"
	vectorsFolder   = "rfc/vectors"
	tortureFolder   = "sip/testdata"
)

// statuses are what the index may say of an RFC.
var statuses = []string{"implemented", "partial", "vectors", "background", "refused", "planned"}

// document is one line of the index.
type document struct {
	number        int
	status, title string
	note          string // what is done or missing, of a partial one at least
}

// citation is one place that names an RFC.
type citation struct {
	number  int
	section string // empty: the RFC as a whole
	file    string // with slashes, from the module's root
}

func main() {
	write := flag.Bool("write", false, "write "+conformanceFile)
	texts := flag.String("texts", "", "folder with the RFCs' texts, to check sections against")
	flag.Parse()
	if err := run(".", *write, *texts); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(root string, write bool, texts string) error {
	index, err := readIndex(root)
	if err != nil {
		return err
	}
	cited, err := citations(root)
	if err != nil {
		return err
	}
	found, err := findExamples(root)
	if err != nil {
		return err
	}
	faults := unlisted(index, cited)
	for number, e := range found {
		if !listed(index, number) {
			faults = append(faults, fmt.Errorf("%s has examples of RFC %d, which %s does not list", e.folder, number, indexFile))
		}
	}
	if texts != "" {
		faults = append(faults, sectionFaults(texts, cited)...)
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	if !write {
		return nil
	}
	return os.WriteFile(filepath.Join(root, conformanceFile), conformance(index, cited, found), 0o644)
}

// examples are an RFC's that tests run, and where they stand.
type examples struct {
	count  int
	folder string
}

// findExamples counts the examples that tests run, by RFC. SIP's torture tests stand
// with package sip:
// their bytes, line ends among them, are what they are about.
func findExamples(root string) (map[int]examples, error) {
	all, err := vectors.All()
	if err != nil {
		return nil, err
	}
	found := map[int]examples{}
	for _, v := range all {
		if v.RFC != 0 { // 0 are our own
			found[v.RFC] = examples{found[v.RFC].count + 1, fmt.Sprintf("%s/rfc%d", vectorsFolder, v.RFC)}
		}
	}
	messages, err := filepath.Glob(filepath.Join(root, tortureFolder, "rfc*", "*"))
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		name := filepath.Base(filepath.Dir(m))
		number, err := strconv.Atoi(strings.TrimPrefix(name, "rfc"))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m, err)
		}
		found[number] = examples{found[number].count + 1, tortureFolder + "/" + name}
	}
	return found, nil
}

// readIndex reads the index, which is in the order of the numbers.
func readIndex(root string) ([]document, error) {
	data, err := os.ReadFile(filepath.Join(root, indexFile))
	if err != nil {
		return nil, err
	}
	var index []document
	last := 0
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		line = strings.TrimRight(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(line, "\t")
		if len(fields) == 3 {
			fields = append(fields, "")
		}
		if len(fields) != 4 {
			return nil, fmt.Errorf("%s:%d: a line is number, status, title and perhaps a note, with tabs between", indexFile, n)
		}
		number, err := strconv.Atoi(fields[0])
		switch {
		case err != nil || number <= last:
			return nil, fmt.Errorf("%s:%d: %q is no number greater than the one above", indexFile, n, fields[0])
		case !slices.Contains(statuses, fields[1]):
			return nil, fmt.Errorf("%s:%d: status %q is none of %s", indexFile, n, fields[1], strings.Join(statuses, ", "))
		case fields[2] == "":
			return nil, fmt.Errorf("%s:%d: the title is missing", indexFile, n)
		case fields[1] == "partial" && strings.TrimSpace(fields[3]) == "":
			return nil, fmt.Errorf("%s:%d: the note is missing that says which part", indexFile, n)
		}
		last = number
		index = append(index, document{number, fields[1], fields[2], fields[3]})
	}
	return index, nil
}

var (
	// A comment goes on in the next line, so the words of a citation may be
	// parted by a line's end and its slashes.
	joinLines = regexp.MustCompile(`\n[\t ]*(?://|#)?[\t ]*`)
	named     = regexp.MustCompile(`\bRFC (\d{3,5})((?:(?:,| and) \d+(?:\.\d+)*\b)*)`)
	section   = regexp.MustCompile(`\d+(?:\.\d+)*`)
)

// citations finds every RFC named in the Go files of root, but for this
// command's own, whose examples are not to be checked.
func citations(root string) ([]citation, error) {
	var list []citation
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "rfc") {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".go" {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		list = append(list, find(filepath.ToSlash(rel), string(data))...)
		return nil
	})
	return list, err
}

// find reads the citations of one file's text.
func find(file, text string) []citation {
	var list []citation
	for _, m := range named.FindAllStringSubmatch(joinLines.ReplaceAllString(text, " "), -1) {
		number, _ := strconv.Atoi(m[1]) // the pattern takes digits alone
		whole := true
		for _, s := range section.FindAllString(m[2], -1) {
			// "RFC 7616, 8760" names two RFCs: no section has such a number.
			if n, err := strconv.Atoi(s); err == nil && n >= 1000 {
				list = append(list, citation{n, "", file})
				continue
			}
			whole = false
			list = append(list, citation{number, s, file})
		}
		if whole {
			list = append(list, citation{number, "", file})
		}
	}
	return list
}

// unlisted names the citations that the index does not have.
func unlisted(index []document, cited []citation) (faults []error) {
	for _, c := range cited {
		if !listed(index, c.number) {
			faults = append(faults, fmt.Errorf("%s names RFC %d, which %s does not list", c.file, c.number, indexFile))
		}
	}
	return faults
}

func listed(index []document, number int) bool {
	return slices.ContainsFunc(index, func(d document) bool { return d.number == number })
}

// sectionFaults names the sections that the RFCs' texts do not have.
func sectionFaults(texts string, cited []citation) (faults []error) {
	read := map[int]string{}
	for _, c := range cited {
		if c.section == "" {
			continue
		}
		text, ok := read[c.number]
		if !ok {
			data, err := os.ReadFile(filepath.Join(texts, fmt.Sprintf("rfc%d.txt", c.number)))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return append(faults, err)
			}
			text = string(data)
			read[c.number] = text
		}
		if text == "" { // a text that is not there says nothing
			continue
		}
		if !regexp.MustCompile(`(?m)^ {0,3}` + regexp.QuoteMeta(c.section) + `\.? +\S`).MatchString(text) {
			faults = append(faults, fmt.Errorf("%s: RFC %d has no section %s", c.file, c.number, c.section))
		}
	}
	return faults
}

// conformance writes the document: each RFC, its sections, the files.
func conformance(index []document, cited []citation, found map[int]examples) []byte {
	var b bytes.Buffer
	b.WriteString("# RFCs and where the code follows them\n\nMade by `make gen` from `" + indexFile + "`, the code's comments and the tests' vectors; do not edit.\nImplemented means: but for what [divergences.md](divergences.md) lists. Vectors are the\nRFC's own examples and worked texts that tests run; each RFC's section below says where\nthey are.\n\n| RFC | Status | Vectors | Title | Part |\n|---|---|---|---|---|\n")
	for _, d := range index {
		count := ""
		if n := found[d.number].count; n > 0 {
			count = strconv.Itoa(n)
		}
		fmt.Fprintf(&b, "| [%d](https://www.rfc-editor.org/rfc/rfc%d) | %s | %s | %s | %s |\n", d.number, d.number, d.status, count, d.title, d.note)
	}
	for _, d := range index {
		files := map[string][]string{} // by section
		for _, c := range cited {
			if c.number == d.number && !slices.Contains(files[c.section], c.file) {
				files[c.section] = append(files[c.section], c.file)
			}
		}
		if len(files) == 0 && found[d.number].count == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n## RFC %d\n\n%s. Status: %s.%s\n", d.number, d.title, d.status, found[d.number].line())
		if len(files) > 0 {
			b.WriteString("\n| Section | Files |\n|---|---|\n")
		}
		for _, s := range sortedSections(files) {
			name := s
			if s == "" {
				name = "as a whole"
			}
			slices.Sort(files[s])
			fmt.Fprintf(&b, "| %s | `%s` |\n", name, strings.Join(files[s], "`, `"))
		}
	}
	return b.Bytes()
}

// line says where the examples are.
func (e examples) line() string {
	if e.count == 0 {
		return ""
	}
	return fmt.Sprintf(" Vectors: %d, in `%s`.", e.count, e.folder)
}

// sortedSections orders 4.2 before 4.10.
func sortedSections(files map[string][]string) []string {
	var list []string
	for s := range files {
		list = append(list, s)
	}
	parts := func(s string) (out []int) {
		for p := range strings.SplitSeq(s, ".") {
			n, _ := strconv.Atoi(p) // "" sorts first, as 0
			out = append(out, n)
		}
		return out
	}
	slices.SortFunc(list, func(a, b string) int { return slices.Compare(parts(a), parts(b)) })
	return list
}
