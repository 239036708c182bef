// Palette-keys manages the API keys of Spectro Cloud Palette from scripts and terminals.
// "palette-keys help" describes it.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/internal/version"
)

// command is one command of the tool. help.txt describes it.
type command struct {
	name             string
	flags            string // the names of its flags
	minArgs, maxArgs int
	program          bool // "-- COMMAND ARGUMENT…" can follow
	offline          bool // needs no credential
	run              func(context.Context, *invocation) error
}

var commands = []command{
	{name: "create", flags: "name expires description user json out", run: create},
	{name: "list", flags: "json", run: list},
	{name: "get", flags: "json", minArgs: 1, maxArgs: 1, run: get},
	{name: "revoke", minArgs: 1, maxArgs: math.MaxInt, run: revoke},
	{name: "delete", minArgs: 1, maxArgs: math.MaxInt, run: deleteKeys},
	{name: "audit", flags: "within owners ignore json prometheus", run: audit},
	{name: "rotate", flags: "name user overlap renew-before valid-for out load", maxArgs: 1, program: true, run: rotate},
	{name: "offboard", flags: "yes", minArgs: 1, maxArgs: 1, run: offboard},
	{name: "serve", flags: "addr rate-limit tls", program: true, offline: true, run: serve},
	{name: "version", offline: true, run: printVersion},
	{name: "help", maxArgs: 1, offline: true, run: help},
}

// The exit codes.
const codeFailure, codeUsage, codeFindings, codeInterrupted = 1, 2, 3, 130

// usageError is an error of the command line or the configuration.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// exitCode ends the program without a report.
type exitCode int

func (exitCode) Error() string { return "" }

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once

	err := dispatch(ctx, args)
	if code, ok := errors.AsType[exitCode](err); err == nil || ok {
		return int(code)
	}
	code := codeFailure
	switch {
	case ctx.Err() != nil:
		err = fmt.Errorf("interrupted: %w", err)
		code = codeInterrupted
	case errors.As(err, new(usageError)), errors.Is(err, palette.ErrInvalidArgument):
		code = codeUsage
	}
	if i := slices.Index(args, "--"); i >= 0 {
		args = args[:i] // the rest is another program
	}
	report(err, slices.Contains(args, "-json") || slices.Contains(args, "--json"))
	return code
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
	i := slices.IndexFunc(commands, func(c command) bool { return c.name == name })
	if i < 0 {
		return usagef("unknown command %q: see palette-keys help", args[0])
	}
	in, err := parse(commands[i], args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		return writeResult(manual(name))
	case err != nil:
		return usagef("%s: %w: see palette-keys help %[1]s", name, err)
	case !commands[i].offline:
		in.client, err = newClient()
	}
	if err != nil {
		return err
	}
	return commands[i].run(ctx, in)
}

// newClient returns a client that is configured by the environment.
func newClient() (*palette.Client, error) {
	names := []string{"PALETTE_API_KEY", "SPECTROCLOUD_APIKEY", "PALETTE_API_KEY_FILE", "PALETTE_AUTH_TOKEN"}
	if !slices.ContainsFunc(names, func(name string) bool { return os.Getenv(name) != "" }) {
		return nil, usagef("no credential: set one of the variables %s", strings.Join(names, ", "))
	}
	return palette.NewClient(palette.WithEnv(), palette.WithUserAgent("palette-keys/"+version.Version))
}

// report writes an error to standard error: as text, or as JSON in Palette's own form.
func report(err error, asJSON bool) {
	if !asJSON {
		notef("palette-keys: %s", escape(err.Error(), "\n"))
		return
	}
	doc := map[string]any{"message": err.Error()}
	if apiErr, ok := errors.AsType[*palette.APIError](err); ok {
		doc["code"], doc["status"], doc["ref"] = apiErr.Code, apiErr.StatusCode, apiErr.Ref
	}
	fmt.Fprint(os.Stderr, toJSON(doc))
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
	title := append(in.args, "palette-keys")[0]
	if text := manual(title); text != "" {
		return writeResult(text)
	}
	return usagef("unknown command %q: see palette-keys help", title)
}

func printVersion(context.Context, *invocation) error {
	return writeResult("palette-keys " + version.Version + "\n")
}
