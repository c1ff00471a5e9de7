package server

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
)

// configKey is one key of the file, or one table, as the tags describe it.
type configKey struct {
	Path    string // dotted; tables of an array without an index
	Kind    string // "text", "list of text", "duration", ...
	Default string // as TOML; empty: required, or a table
	Show    string // what `config describe` writes behind '='
	Values  []string
	Doc     string
	Table   string // "", "[name]" or "[[name]]"
}

// configKeys lists all keys in the order of the file type.
func configKeys() []configKey {
	f := defaults()
	f.Listener = []listenerSection{{}}
	return gatherKeys("", reflect.ValueOf(f))
}

func gatherKeys(prefix string, v reflect.Value) []configKey {
	var plain, tables []configKey
	for i := range v.NumField() {
		field, tag := v.Field(i), v.Type().Field(i).Tag
		k := configKey{Path: prefix + tag.Get("toml"), Doc: tag.Get("doc")}
		if values, ok := tag.Lookup("values"); ok {
			k.Values = slices.DeleteFunc(strings.Split(values, "|"), func(s string) bool { return s == "" })
		}
		switch {
		case field.Kind() == reflect.Struct:
			k.Kind, k.Table = "table", "["+k.Path+"]"
			tables = append(append(tables, k), gatherKeys(k.Path+".", field)...)
		case field.Type() == reflect.TypeFor[[]listenerSection]():
			k.Kind, k.Table = "list of tables", "[["+k.Path+"]]"
			tables = append(append(tables, k), gatherKeys(k.Path+".", field.Index(0))...)
		case field.Kind() == reflect.Map:
			k.Kind, k.Table = "table of lists", "["+k.Path+"]"
			tables = append(tables, k)
		default:
			k.Kind, k.Default = kindOf(field), tomlValue(field)
			k.Show = k.Default
			if example, ok := tag.Lookup("example"); ok {
				k.Default, k.Show = "", exampleValue(field, example)
			}
			plain = append(plain, k)
		}
	}
	return append(plain, tables...)
}

func kindOf(v reflect.Value) string {
	switch v.Interface().(type) {
	case Duration:
		return "duration"
	case string:
		return "text"
	case []string:
		return "list of text"
	case []Network:
		return "list of addresses or networks"
	case bool:
		return "true or false"
	default:
		return "number"
	}
}

// tomlValue writes a default as TOML.
func tomlValue(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case string:
		return fmt.Sprintf("%q", x)
	case Duration:
		return fmt.Sprintf("%q", x.String())
	case []string:
		var quoted []string
		for _, s := range x {
			quoted = append(quoted, fmt.Sprintf("%q", s))
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	case []Network:
		return "[]"
	default:
		return fmt.Sprint(x)
	}
}

func exampleValue(v reflect.Value, example string) string {
	if v.Kind() == reflect.Slice {
		return tomlValue(reflect.ValueOf(strings.Split(example, ",")))
	}
	return tomlValue(reflect.ValueOf(example))
}

// DescribeConfig writes every key with its meaning and default, as a file that
// `config check` takes.
func DescribeConfig(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# Every key of Tacit's configuration, with what holds where it is left out.\n# Keys marked required have an example instead.\n")
	for _, k := range configKeys() {
		b.WriteByte('\n')
		if k.Table != "" && strings.Count(k.Path, ".") == 0 {
			b.WriteByte('\n')
		}
		text := k.Doc
		if len(k.Values) > 0 {
			text += " One of: " + strings.Join(k.Values, ", ") + "."
		}
		for _, line := range wrap(text, 78) {
			b.WriteString("# " + line + "\n")
		}
		switch {
		case k.Kind == "table of lists":
			fmt.Fprintf(&b, "%s\n# \"baresip\" = [\"MD5\"]\n", k.Table)
		case k.Table != "":
			b.WriteString(k.Table + "\n")
		default:
			fmt.Fprintf(&b, "%s = %s\n", k.Path[strings.LastIndexByte(k.Path, '.')+1:], k.Show)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// DocumentConfig writes docs/config.md.
func DocumentConfig(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# Configuration\n\nMade by `make docs`; do not edit. `tacit config describe` shows the same as a file,\n`tacit config check` tests yours, and `kill -HUP` makes a running `tacit serve` read it again.\n\n")
	b.WriteString("The file is TOML. Durations are written as `\"5s\"`, `\"10m\"` or `\"1h30m\"`. A key that is\nnot in this list is refused.\n\n## At the top\n")
	started := false
	for _, k := range configKeys() {
		if k.Table != "" {
			fmt.Fprintf(&b, "\n## `%s`\n\n%s\n", k.Table, k.Doc)
			if len(k.Values) > 0 {
				fmt.Fprintf(&b, "Values: %s.\n", strings.Join(k.Values, ", "))
			}
			started = false
			continue
		}
		if !started {
			b.WriteString("\n| Key | Kind | Default | Meaning |\n|---|---|---|---|\n")
			started = true
		}
		def := "required"
		if k.Default != "" {
			def = "`" + k.Default + "`"
		}
		text := k.Doc
		if len(k.Values) > 0 {
			text += " One of: `" + strings.Join(k.Values, "`, `") + "`."
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.Path, k.Kind, def, text)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// wrap breaks text at spaces into lines of at most width bytes.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// nearestKey finds the known key most like an unknown one: the same name in
// another table, or one that few typing errors turn into it.
func nearestKey(unknown string) string {
	const far = 3 // more errors than this make another word, and so does one in each three letters
	_, last := cutLast(unknown)
	best, bestAt := "", min(far, max(1, len(last)/3))+1
	for _, k := range configKeys() {
		if _, name := cutLast(k.Path); name == last {
			return k.Path
		}
		if d := editDistance(unknown, k.Path); d < bestAt {
			best, bestAt = k.Path, d
		}
	}
	return best
}

func cutLast(path string) (table, name string) {
	i := strings.LastIndexByte(path, '.')
	if i < 0 {
		return "", path
	}
	return path[:i], path[i+1:]
}

// editDistance counts the insertions, deletions, replacements and swaps of
// neighbours from a to b.
func editDistance(a, b string) int {
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, above, row = above, row, before
		row[0] = i + 1
		for j := range len(b) {
			cost := above[j]
			if a[i] != b[j] {
				cost++
			}
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				cost = min(cost, before[j-1]+1)
			}
			row[j+1] = min(cost, row[j]+1, above[j+1]+1)
		}
	}
	return row[len(b)]
}
