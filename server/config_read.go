package server

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// maxReadFaults is how many faults of reading are gathered: each takes one more
// reading, and a person mends fewer at a time.
const maxReadFaults = 50

// configReader reads what can be read of a file, so that one run names every
// fault: what cannot be read is noted, blanked, and the rest read again.
type configReader struct {
	path   string
	data   []byte // blanked as it goes on; lines stay where they are
	f      file
	faults []error
	hidden map[string]bool // keys whose value could not be read
	// partial says that something was blanked of which no key is known: whatever
	// seems to be missing may have been there.
	partial bool
	broken  int // the line of the last fault of syntax
}

// read fills f; false means that too little is known of the file to check it.
func (r *configReader) read() bool {
	for range maxReadFaults {
		r.f = defaults()
		err := toml.NewDecoder(bytes.NewReader(r.data)).DisallowUnknownFields().Decode(&r.f)
		var missing *toml.StrictMissingError
		var fault *toml.DecodeError
		switch {
		case err == nil:
			return true
		case errors.As(err, &missing):
			r.unknown(missing)
			return true
		case !errors.As(err, &fault):
			r.faults = append(r.faults, &ConfigError{File: r.path, Message: err.Error()})
			return false
		case !r.blank(fault):
			return false
		}
	}
	return false
}

// unknown notes the keys that there are not. The one that was meant is not
// missing.
func (r *configReader) unknown(missing *toml.StrictMissingError) {
	for i := range missing.Errors {
		e := &missing.Errors[i]
		line, _ := e.Position()
		dotted := strings.Join(e.Key(), ".")
		msg := "unknown key"
		if near := nearestKey(dotted); near != "" {
			msg += "; did you mean " + near + "?"
			r.hidden[near] = true
		} else {
			msg += "; `tacit config describe` lists them all"
		}
		r.faults = append(r.faults, &ConfigError{File: r.path, Line: line, Key: dotted, Message: msg})
	}
}

// blank notes a fault and takes what it is in out of the text; false: there is
// nothing to take out.
func (r *configReader) blank(fault *toml.DecodeError) bool {
	line, _ := fault.Position()
	note := func(key string) {
		r.faults = append(r.faults, &ConfigError{File: r.path, Line: line, Key: key,
			Message: strings.TrimPrefix(fault.Error(), "toml: ")})
	}
	at, next, readable := expressionAt(r.data, line)
	if readable && at.line > 0 {
		note(cmp.Or(strings.Join(fault.Key(), "."), at.path))
		if at.table {
			r.partial = true
			return r.erase(at.line, nextHeader(r.data, line))
		}
		r.hidden[at.path] = true
		return r.erase(at.line, next)
	}
	// What follows at once is mostly no fault of its own.
	if r.broken == 0 || line > r.broken+1 {
		note("")
	}
	r.broken = line
	text := strings.TrimSpace(lineOf(r.data, line))
	name, _, isKey := strings.Cut(text, "=")
	name = strings.TrimSpace(name)
	switch {
	case strings.HasPrefix(text, "["):
		r.partial = true
		end := nextHeader(r.data, line)
		r.broken = end - 1
		return r.erase(line, end)
	case isKey && bareKey(name):
		r.hidden[joinKey(at.of, name)] = true
	default:
		r.partial = true
	}
	return r.erase(line, line+1)
}

// erase blanks the lines from one to before another; false: they are blank.
func (r *configReader) erase(from, to int) (some bool) {
	line := 1
	for i, c := range r.data {
		switch {
		case c == '\n':
			line++
		case from <= line && line < to:
			some = some || c != ' '
			r.data[i] = ' '
		}
	}
	return some
}

// expression is one of a TOML file: a key with its value, or a table's head.
type expression struct {
	path  string // dotted; the n-th table of an array is "name[n]", from 0
	line  int
	table bool
	of    string // the table that it is in
}

// expressions lists those up to the first fault of syntax, and tells where that
// is; 0: there is none.
func expressions(data []byte) (list []expression, broken int) {
	count := map[string]int{}
	var p unstable.Parser
	p.Reset(data)
	table, line, seen := "", 1, 0
	for p.NextExpression() {
		e := p.Expression()
		path, offset := keyPath(e)
		if offset > seen {
			line += bytes.Count(data[seen:offset], []byte("\n"))
			seen = offset
		}
		switch e.Kind {
		case unstable.Table:
			table = path
			list = append(list, expression{table, line, true, table})
		case unstable.ArrayTable:
			count[path]++
			table = indexed(path, count[path]-1)
			list = append(list, expression{table, line, true, table})
		case unstable.KeyValue:
			list = append(list, expression{joinKey(table, path), line, false, table})
		}
	}
	var fault *unstable.ParserError
	if errors.As(p.Error(), &fault) {
		broken = p.Shape(p.Range(fault.Highlight)).Start.Line
	}
	return list, broken
}

// expressionAt finds the last expression that begins at a line or before, and the
// line where the next one begins. readable is false for a line that stands where
// nothing can be read any more; at is the last expression before it then.
func expressionAt(data []byte, line int) (at expression, next int, readable bool) {
	list, broken := expressions(data)
	next = bytes.Count(data, []byte("\n")) + 2
	for _, e := range list {
		if e.line > line {
			next = e.line
			break
		}
		at = e
	}
	return at, next, broken == 0 || line < broken
}

// nextHeader finds the next line that begins a table, or the end.
func nextHeader(data []byte, line int) int {
	n := 0
	for text := range bytes.Lines(data) {
		if n++; n > line && bytes.HasPrefix(bytes.TrimSpace(text), []byte("[")) {
			return n
		}
	}
	return n + 1
}

func lineOf(data []byte, line int) string {
	for text := range bytes.Lines(data) {
		if line--; line == 0 {
			return string(text)
		}
	}
	return ""
}

// bareKey reports whether s is a key without quotes, dotted or not.
func bareKey(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == ""
}

func joinKey(table, key string) string {
	if table == "" {
		return key
	}
	return table + "." + key
}

// sortFaults orders them by line, those of the file as a whole last.
func sortFaults(faults []error) {
	line := func(err error) int {
		var e *ConfigError
		if !errors.As(err, &e) || e.Line == 0 {
			return int(^uint(0) >> 1)
		}
		return e.Line
	}
	slices.SortStableFunc(faults, func(x, y error) int { return cmp.Compare(line(x), line(y)) })
}
