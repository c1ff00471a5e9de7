// Command tacit is a SIP presence server, the tools to run it, and a user agent
// and load generator for any server. `tacit --help` lists its subcommands.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	_ "time/tzdata" // rules name time zones, and a container may have none

	"github.com/alecthomas/kong"

	"github.com/tacit-presence/tacit/client"
	"github.com/tacit-presence/tacit/server"
)

// Exit codes, a contract with scripts.
const (
	exitOK          = 0
	exitFailed      = 1 // it was tried and did not succeed
	exitUsage       = 2 // the command line or the configuration file is wrong
	exitUnreachable = 3 // no server runs there, or it does not answer
)

// usageError is an error of the command line.
type usageError struct{ error }

// usage makes one.
func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// cli is the whole command line; kong reads its tags.
type cli struct {
	Localserve localserveCmd `cmd:"" group:"server" help:"Run all of it on loopback with throw-away users: to try it out and to test against."`
	Quickstart quickstartCmd `cmd:"" group:"server" help:"Write a configuration, a CA and a first user for a domain; print its DNS records and a systemd unit."`
	Serve      serveCmd      `cmd:"" group:"server" help:"Run the server that a configuration file describes. SIGHUP reads the file again."`
	Config     configCmd     `cmd:"" group:"server" help:"Check or describe the configuration file."`

	User     userCmd     `cmd:"" group:"operate" help:"Users: who can log in, and by which addresses."`
	Rules    rulesCmd    `cmd:"" group:"operate" help:"What each watcher gets of a presentity."`
	Explain  explainCmd  `cmd:"" group:"operate" help:"Why a watcher gets what it gets of a presentity, and what that is."`
	Watchers watchersCmd `cmd:"" group:"operate" help:"Who watches a presentity, and what it is to be told of; decide about one."`
	Subs     subsCmd     `cmd:"" group:"operate" help:"Live subscriptions."`
	Pubs     pubsCmd     `cmd:"" group:"operate" help:"Live publications."`
	Trace    traceCmd    `cmd:"" group:"operate" help:"Show the SIP messages of one user as they come and go, secrets redacted, until interrupted."`

	Publish publishCmd `cmd:"" group:"client" help:"Publish presence on any server, and keep it there until interrupted."`
	Watch   watchCmd   `cmd:"" group:"client" help:"Watch presence on any server."`
	Load    loadCmd    `cmd:"" group:"client" help:"Put load on any presence server of yours and measure it."`

	Version     versionCmd       `cmd:"" help:"Print the version."`
	VersionFlag kong.VersionFlag `name:"version" hidden:"" help:"Print the version."`
	Docs        docsCmd          `cmd:"" hidden:"" help:"Print the generated documents of docs/."`
}

// env is what a subcommand may touch of the outside.
type env struct {
	ctx    context.Context // ends at the first SIGINT or SIGTERM; the second one kills
	stdin  *os.File
	stdout io.Writer
	stderr io.Writer
	hangup <-chan os.Signal // SIGHUP, for serve alone
}

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)

	e := &env{ctx: ctx, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	exited := -1
	parser, err := newParser(func(code int) { exited = code })
	if err != nil {
		return fail(e, err)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if exited >= 0 { // --help has been printed
		return exited
	}
	if err != nil {
		var at *kong.ParseError
		help := "tacit --help"
		if errors.As(err, &at) {
			help = strings.TrimSpace(strings.Split(at.Context.Command(), " <")[0])
			help = strings.TrimSpace("tacit "+help) + " --help"
		}
		return fail(e, usage("%v; see `%s`", err, help))
	}
	if parsed.Command() == "serve" {
		hangup := make(chan os.Signal, 1)
		signal.Notify(hangup, syscall.SIGHUP)
		e.hangup = hangup
	}
	if err := parsed.Run(e); err != nil {
		return fail(e, err)
	}
	return exitOK
}

func newParser(exit func(int)) (*kong.Kong, error) {
	return kong.New(&cli{}, kong.Name("tacit"), kong.Vars{"version": "tacit " + server.Version},
		kong.Description("A SIP presence server (RFC 3856, 3903, 6665) that tells each watcher only what it may know.\n\n"+exitCodes),
		kong.Exit(exit),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.ExplicitGroups([]kong.Group{
			{Key: "server", Title: "Run a server:"},
			{Key: "operate", Title: "Operate it (running or stopped):"},
			{Key: "client", Title: "Use any server:"},
		}),
	)
}

const exitCodes = "Exit codes: 0 done; 1 failed; 2 wrong command line or configuration; 3 no server runs there, or it does not answer."

// fail prints err, a line for each part, and gives the exit code for it.
func fail(e *env, err error) int {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintln(e.stderr, "tacit: "+line)
	}
	var wrong usageError
	var config *server.ConfigError
	switch {
	case errors.As(err, &wrong), errors.As(err, &config), errors.Is(err, client.ErrConfig):
		return exitUsage
	case errors.Is(err, server.ErrStopped), errors.Is(err, client.ErrConnection), errors.Is(err, client.ErrNoAnswer):
		return exitUnreachable
	default:
		return exitFailed
	}
}

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run(e *env) error {
	_, err := fmt.Fprintln(e.stdout, "tacit "+server.Version)
	return err
}
