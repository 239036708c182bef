// Palette-keys manages the API keys of Spectro Cloud Palette from scripts and terminals.
// "palette-keys help" describes it.
package main

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/internal/version"
)

// command is one command of the tool. The fields of its type are its flags. help.txt
// describes it.
type command interface {
	declare(flags *flag.FlagSet)
	check(args, program []string) error                    // checks the command line, before there is a client
	run(ctx context.Context, client *palette.Client) error // client is nil if the command is offline
}

var commands = []struct {
	name    string
	command command
	offline bool // needs no credential
	program bool // "-- COMMAND ARGUMENT…" can follow
}{
	{name: "create", command: &createCommand{}},
	{name: "list", command: &listCommand{}},
	{name: "get", command: &getCommand{}},
	{name: "update", command: &updateCommand{}},
	{name: "revoke", command: &changeCommand{done: "revoked", change: (*palette.APIKeysService).Revoke}},
	{name: "reactivate", command: &changeCommand{done: "reactivated", change: (*palette.APIKeysService).Reactivate}},
	{name: "delete", command: &changeCommand{done: "deleted", change: (*palette.APIKeysService).Delete}},
	{name: "audit", command: &auditCommand{}},
	{name: "rotate", command: &rotateCommand{}, program: true},
	{name: "offboard", command: &offboardCommand{}},
	{name: "serve", command: &serveCommand{}, offline: true, program: true},
	{name: "version", command: &versionCommand{}, offline: true},
	{name: "help", command: &helpCommand{}, offline: true},
}

// The exit codes.
const codeFailure, codeUsage, codeFindings, codeInterrupted = 1, 2, 3, 130

// exitCode ends the tool without a message.
type exitCode int

func (exitCode) Error() string { return "" }

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	ctx := untilSignal()
	err := dispatch(ctx, args)
	code, silent := errors.AsType[exitCode](err)
	if out.err != nil && (err == nil || code == codeFindings) {
		err, silent = fmt.Errorf("a result is lost: %w", out.err), false
	}
	switch {
	case err == nil || silent:
		return int(code)
	case ctx.Err() != nil:
		err = interruptedError{err}
	}
	out.report(err)
	switch {
	case ctx.Err() != nil:
		return codeInterrupted
	case isUsage(err):
		return codeUsage
	}
	return codeFailure
}

// dispatch parses the command line and runs the command.
func dispatch(ctx context.Context, args []string) error {
	if len(args) == 0 {
		fmt.Fprint(os.Stderr, manual("palette-keys"))
		return exitCode(codeUsage)
	}
	name := strings.TrimLeft(args[0], "-") // --help and --version as well
	if name == "h" {
		name = "help"
	}
	for _, c := range commands {
		if c.name != name {
			continue
		}
		args, program, err := parse(name, c.command, args[1:])
		if !c.program {
			args, program = append(args, program...), nil
		}
		if errors.Is(err, flag.ErrHelp) {
			out.result(manual(name))
			return nil
		} else if err == nil {
			err = c.command.check(args, program)
		}
		if err != nil {
			return usagef("%s: %w: see palette-keys help %[1]s", name, err)
		}
		var client *palette.Client
		if !c.offline {
			if client, err = newClient(); err != nil {
				return err
			}
		}
		return c.command.run(ctx, client)
	}
	return usagef("unknown command %q: see palette-keys help", args[0])
}

// parse parses what follows the name of a command. Flags can stand before or after the
// arguments; program is what follows "--". After an error it goes on, because -json can
// follow.
func parse(name string, c command, line []string) (args, program []string, err error) {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	c.declare(flags)
	if i := slices.Index(line, "--"); i >= 0 {
		line, program = line[:i], line[i+1:]
	}
	for len(line) > 0 {
		flagErr := flags.Parse(line)
		if line = flags.Args(); flagErr == nil && len(line) > 0 {
			args, line = append(args, line[0]), line[1:]
		}
		err = cmp.Or(err, flagErr)
	}
	if f := flags.Lookup("json"); f != nil {
		out.json = f.Value.String() == "true"
	}
	return args, program, err
}

// secretVariables are the variables whose value is a credential.
var secretVariables = []string{"PALETTE_API_KEY", "SPECTROCLOUD_APIKEY", "PALETTE_AUTH_TOKEN"}

// newClient returns a client that is configured by the environment.
func newClient(opts ...palette.Option) (*palette.Client, error) {
	names := append(slices.Clone(secretVariables), "PALETTE_API_KEY_FILE")
	if !slices.ContainsFunc(names, func(name string) bool { return os.Getenv(name) != "" }) {
		return nil, usagef("no credential: set one of the variables %s", strings.Join(names, ", "))
	}
	return palette.NewClient(append(opts, palette.WithEnv(), palette.WithUserAgent("palette-keys/"+version.Version),
		palette.WithLogger(slog.New(&retryNotices{Handler: slog.DiscardHandler})))...)
}

//go:embed help.txt
var helpText string

// manual returns the section of help.txt with the given title, "" if there is none.
func manual(title string) string {
	_, text, _ := strings.Cut(helpText, "=== "+title+"\n")
	text, _, _ = strings.Cut(text, "=== ")
	return text
}

type helpCommand struct{ title string }

func (*helpCommand) declare(*flag.FlagSet) {}

func (c *helpCommand) check(args, _ []string) error {
	c.title = append(args, "palette-keys")[0]
	if len(args) > 0 && manual(c.title) == "" {
		return fmt.Errorf("unknown command %q", c.title)
	}
	return checkArgs(args, 0, 1)
}

func (c *helpCommand) run(context.Context, *palette.Client) error {
	out.result(manual(c.title))
	return nil
}

type versionCommand struct{}

func (*versionCommand) declare(*flag.FlagSet) {}

func (*versionCommand) check(args, _ []string) error { return checkArgs(args, 0, 0) }

func (*versionCommand) run(context.Context, *palette.Client) error {
	out.result("palette-keys " + version.Version + "\n")
	return nil
}
