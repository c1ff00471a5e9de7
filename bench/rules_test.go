package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/schema"
	"github.com/tacit-presence/tacit/xmltree"
)

func known(pattern string, n int) presence.Principal {
	return presence.NewPrincipal(presence.AOR("sip:"+fmt.Sprintf(pattern, n)+"@"+domain), presence.MechanismDigest)
}

// TestRuleDocument holds that the documents are valid, as large as the goals say,
// and put each watcher into the class that the load takes it to be in.
func TestRuleDocument(t *testing.T) {
	t.Parallel()
	const i = 7
	text := ruleDocument(i, 0)
	if len(text) < 19_000 || len(text) > 24_000 {
		t.Errorf("%d bytes", len(text))
	}
	doc, err := xmltree.Parse(text, xmltree.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.PresRules()(doc); err != nil {
		t.Fatal(err)
	}
	set, err := policy.ReadRuleSet(text, nil)
	if err != nil || set.Len() != ruleCount {
		t.Fatal(set, err)
	}
	rules := &policy.Rules{Sets: []policy.NamedSet{{Name: "index", RuleSet: set}}}
	decide := func(who presence.Principal) policy.Decision {
		return policy.Decide(rules, who, time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC), policy.Facts{Default: policy.Block})
	}
	seen := map[policy.Permissions]int{}
	for w := range watchers {
		d := decide(known("watcher%d", i*watchers+w))
		if d.Handling != policy.Allow {
			t.Errorf("watcher %d: %v", w, d)
		}
		if n, ok := seen[d.Permissions]; ok && n != w%len(permissions) {
			t.Errorf("watcher %d is in class %d", w, n)
		}
		seen[d.Permissions] = w % len(permissions)
	}
	if len(seen) != len(permissions) {
		t.Errorf("%d classes", len(seen))
	}
	for _, who := range []presence.Principal{known(blockedPattern, i), known(strangerPattern, i), known("watcher%d", (i+1)*watchers)} {
		if d := decide(who); d.Handling != policy.Block {
			t.Errorf("%v: %v", who, d)
		}
	}
	if other := ruleDocument(i, 1); other == text || len(other) != len(text) {
		t.Error("another edition is no other one of the same size")
	}
}

// TestXCAPTable holds that db_text reads what was written: a row is one line, and
// its columns are those of the head.
func TestXCAPTable(t *testing.T) {
	t.Parallel()
	const head = "id(int,auto) username(string)\n"
	lines := strings.Split(strings.TrimSuffix(strings.TrimPrefix(xcapTable(head, 3), head), "\n"), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d rows", len(lines))
	}
	for i, line := range lines {
		var columns []string
		var column strings.Builder
		for j := 0; j < len(line); j++ {
			switch line[j] {
			case '\\':
				j++
				column.WriteByte(map[byte]byte{'n': '\n', 'r': '\r', 't': '\t'}[line[j]] | map[byte]byte{':': ':', '\\': '\\'}[line[j]])
			case ':':
				columns = append(columns, column.String())
				column.Reset()
			default:
				column.WriteByte(line[j])
			}
		}
		if columns = append(columns, column.String()); len(columns) != 9 || columns[1] != userName(i) || columns[3] != ruleDocument(i, 0) || columns[4] != "2" {
			t.Errorf("row %d: %q", i, columns)
		}
	}
}
