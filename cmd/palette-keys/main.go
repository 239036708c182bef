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
	"math"
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
	check(in *invocation) error // checks the flags together, before there is a client
	run(ctx context.Context, in *invocation) error
}

// invocation is a parsed command line.
type invocation struct {
	client  *palette.Client // nil if the command is offline
	args    []string
	program []string // after "--"; nil if there is no "--"
}

var commands = []struct {
	name             string
	command          command
	minArgs, maxArgs int
	offline          bool // needs no credential
	program          bool // "-- COMMAND ARGUMENT…" can follow
}{
	{name: "create", command: &createCommand{}},
	{name: "list", command: &listCommand{}},
	{name: "get", command: &getCommand{}, minArgs: 1, maxArgs: 1},
	{name: "update", command: &updateCommand{}, minArgs: 1, maxArgs: 1},
	{name: "revoke", command: withoutFlags(revoke.run), minArgs: 1, maxArgs: math.MaxInt},
	{name: "reactivate", command: withoutFlags(reactivate.run), minArgs: 1, maxArgs: math.MaxInt},
	{name: "delete", command: withoutFlags(remove.run), minArgs: 1, maxArgs: math.MaxInt},
	{name: "audit", command: &auditCommand{}},
	{name: "rotate", command: &rotateCommand{}, maxArgs: 1, program: true},
	{name: "offboard", command: &offboardCommand{}, minArgs: 1, maxArgs: 1},
	{name: "serve", command: &serveCommand{}, offline: true, program: true},
	{name: "version", command: withoutFlags(printVersion), offline: true},
	{name: "help", command: withoutFlags(help), maxArgs: 1, offline: true},
}

// withoutFlags is a command without flags.
type withoutFlags func(context.Context, *invocation) error

func (withoutFlags) declare(*flag.FlagSet)                           {}
func (withoutFlags) check(*invocation) error                         { return nil }
func (f withoutFlags) run(ctx context.Context, in *invocation) error { return f(ctx, in) }

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
	if err == nil || silent {
		return int(code)
	}
	interrupted := ctx.Err() != nil
	if interrupted {
		err = fmt.Errorf("interrupted: %w", err)
	}
	out.report(kindOf(err, interrupted), err)
	switch {
	case interrupted:
		return codeInterrupted
	case isUsage(err):
		return codeUsage
	}
	return codeFailure
}

// dispatch parses the command line and runs the command.
func dispatch(ctx context.Context, line []string) error {
	if len(line) == 0 {
		fmt.Fprint(os.Stderr, manual("palette-keys"))
		return exitCode(codeUsage)
	}
	name := strings.TrimLeft(line[0], "-") // --help and --version as well
	if name == "h" {
		name = "help"
	}
	for _, c := range commands {
		if c.name != name {
			continue
		}
		in, err := parse(c.command, line[1:])
		if !c.program {
			in.args, in.program = append(in.args, in.program...), nil
		}
		switch {
		case errors.Is(err, flag.ErrHelp):
			out.result(manual(name))
			return nil
		case err == nil:
			err = cmp.Or(c.command.check(in), checkArgs(in.args, c.minArgs, c.maxArgs))
		}
		if err != nil {
			return usagef("%s: %w: see palette-keys help %[1]s", name, err)
		}
		if !c.offline {
			if in.client, err = newClient(); err != nil {
				return err
			}
		}
		return c.command.run(ctx, in)
	}
	return usagef("unknown command %q: see palette-keys help", line[0])
}

// parse parses what follows the name of a command. Flags can stand before or after the
// arguments. After an error it goes on, because -json can follow.
func parse(c command, line []string) (in *invocation, err error) {
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	c.declare(flags)
	in = &invocation{}
	if i := slices.Index(line, "--"); i >= 0 {
		line, in.program = line[:i], line[i+1:]
	}
	for len(line) > 0 {
		flagErr := flags.Parse(line)
		if line = flags.Args(); flagErr == nil && len(line) > 0 {
			in.args, line = append(in.args, line[0]), line[1:]
		}
		err = cmp.Or(err, flagErr)
	}
	if f := flags.Lookup("json"); f != nil {
		out.json = f.Value.String() == "true"
	}
	return in, err
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
		palette.WithLogger(slog.New(&retryNotices{Handler: slog.DiscardHandler, note: out.note})))...)
}

//go:embed help.txt
var helpText string

// manual returns the section of help.txt with the given title, "" if there is none.
func manual(title string) string {
	_, text, _ := strings.Cut(helpText, "=== "+title+"\n")
	text, _, _ = strings.Cut(text, "=== ")
	return text
}

func help(_ context.Context, in *invocation) error {
	text := manual(append(in.args, "palette-keys")[0])
	if text == "" {
		return usagef("unknown command %q: see palette-keys help", in.args[0])
	}
	out.result(text)
	return nil
}

func printVersion(context.Context, *invocation) error {
	out.result("palette-keys " + version.Version + "\n")
	return nil
}
