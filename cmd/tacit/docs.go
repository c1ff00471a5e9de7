package main

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/tacit-presence/tacit/server"
)

type docsCmd struct {
	What string `arg:"" enum:"cli,config" help:"cli or config."`
}

// Run prints one of the documents.
func (c *docsCmd) Run(e *env) error {
	if c.What == "config" {
		return server.DocumentConfig(e.stdout)
	}
	parser, err := newParser(func(int) {})
	if err != nil {
		return err
	}
	_, err = e.stdout.Write([]byte(documentCLI(parser.Model)))
	return err
}

// documentCLI writes docs/cli.md from kong's model.
func documentCLI(app *kong.Application) string {
	var b strings.Builder
	b.WriteString("# Command line\n\nMade by `make docs`; do not edit. `tacit COMMAND --help` shows the same.\n\n" + exitCodes +
		"\n\nAddresses are written as `sip:alice@example.com`, `sips:`, `pres:`, or without a scheme.\n")
	documentNode(&b, app.Node, "tacit")
	return b.String()
}

func documentNode(b *strings.Builder, n *kong.Node, path string) {
	for _, child := range n.Children {
		if child.Hidden {
			continue
		}
		name := path + " " + child.Name
		if len(child.Children) > 0 {
			fmt.Fprintf(b, "\n## `%s`\n\n%s\n", name, child.Help)
			documentNode(b, child, name)
			continue
		}
		level := "##"
		if path != "tacit" {
			level = "###"
		}
		fmt.Fprintf(b, "\n%s `%s%s`\n\n%s\n", level, name, synopsis(child), child.Help)
		documentFlags(b, child)
	}
}

func synopsis(n *kong.Node) string {
	var b strings.Builder
	for _, p := range n.Positional {
		text := strings.ToUpper(p.Name)
		if p.IsSlice() {
			text += "..."
		}
		if !p.Required {
			text = "[" + text + "]"
		}
		b.WriteString(" " + text)
	}
	return b.String()
}

func documentFlags(b *strings.Builder, n *kong.Node) {
	if len(n.Positional)+len(n.Flags) == 0 {
		return
	}
	b.WriteString("\n| Argument | Default | Meaning |\n|---|---|---|\n")
	row := func(name, def, help string) {
		if def != "" {
			def = "`" + def + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", name, def, strings.ReplaceAll(help, "|", `\|`))
	}
	for _, p := range n.Positional {
		row(strings.ToUpper(p.Name), "", p.Help)
	}
	for _, f := range n.Flags {
		if f.Hidden || f.Name == "help" {
			continue
		}
		name := "--" + f.Name
		switch {
		case f.Tag.Negatable != "":
			name = "--[no-]" + f.Name
		case !f.IsBool():
			value := f.PlaceHolder
			if value == "" {
				value = strings.ToUpper(f.Name)
			}
			name += " " + value
		}
		help := f.Help
		if f.Required {
			help += " Required."
		}
		if len(f.Envs) > 0 {
			help += " Also `$" + strings.Join(f.Envs, "`, `$") + "`."
		}
		row(name, f.Default, help)
	}
}
