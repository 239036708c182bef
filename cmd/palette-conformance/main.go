// Palette-conformance compares a real Palette with what this project assumes of it.
// "palette-conformance -help" describes it.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

const usage = `Palette-conformance compares a Palette with what this project assumes, and prints a report
on standard output. The report contains no keys, uids, names or hosts: publish it.

The environment configures it, as the SDK: PALETTE_API_KEY, PALETTE_HOST and so on. It asks
before it starts. It creates at most three keys at a time, named palette-conformance-…,
which expire after an hour, and deletes them. It changes no other key.

Exit codes: 0 nothing is contradicted, 1 failure, unstable rows, or keys may be left, 2 usage
or configuration, 3 something is contradicted, 130 interrupted.

Flags:
`

// The exit codes.
const codeFailure, codeUsage, codeContradicted, codeInterrupted = 1, 2, 3, 130

var errNoTerminal = errors.New("nothing was changed: standard input is not a terminal, use -yes")

// program is the program without its process.
type program struct {
	stdin          *os.File
	terminal       bool // stdin is one
	stdout, stderr io.Writer
	options        []palette.Option // in addition to the environment
}

type flags struct {
	yes, json, sweep bool
	rows             map[string]*bool // the flags of rows, by name
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	info, err := os.Stdin.Stat()
	p := program{
		stdin: os.Stdin, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0, stdout: os.Stdout, stderr: os.Stderr,
	}
	os.Exit(p.run(ctx, os.Args[1:]))
}

func (p *program) run(ctx context.Context, args []string) int {
	fl, err := p.parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	code := codeUsage
	if err == nil {
		code, err = p.compare(ctx, fl)
	}
	if err != nil {
		fmt.Fprintf(p.stderr, "palette-conformance: %v\n", err)
	}
	return code
}

func (p *program) parse(args []string) (*flags, error) {
	fl := &flags{rows: map[string]*bool{}}
	set := flag.NewFlagSet("palette-conformance", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.BoolVar(&fl.yes, "yes", false, "do not ask")
	set.BoolVar(&fl.json, "json", false, "print the report as JSON instead of Markdown")
	set.BoolVar(&fl.sweep, "sweep", false, "only delete the keys that earlier runs have left")
	for _, r := range slices.Concat(rows, lastRows) {
		if r.flag != "" {
			fl.rows[r.flag] = set.Bool(r.flag, false, "test row "+r.id+": "+r.fact+risks[r.flag])
		}
	}
	err := set.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(p.stderr, usage)
		set.SetOutput(p.stderr)
		set.PrintDefaults()
	} else if err == nil && set.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q: see -help", set.Arg(0))
	}
	return fl, err
}

var risks = map[string]string{
	"tenant-owner": ", which may create a key of somebody else",
	"no-expiry":    ", which does not end by itself if it is left",
	"slow":         ", which takes half a minute",
	"rate-limit":   ", which rejects requests of everybody behind your address for some seconds",
}

// compare compares the rows, cleans up and prints the report. It returns the exit code.
func (p *program) compare(ctx context.Context, fl *flags) (int, error) {
	s, err := newSession(ctx, fl.sweep, p.options)
	switch {
	case errors.Is(err, palette.ErrInvalidArgument):
		return codeUsage, err
	case err != nil:
		return codeFailure, err
	case fl.sweep && s.denied != "":
		return codeFailure, errors.New(s.denied)
	}
	fmt.Fprint(p.stderr, s.announcement(fl))
	if err := p.confirm(ctx, fl.yes); errors.Is(err, errNoTerminal) {
		return codeUsage, err
	} else if err != nil {
		return codeFailure, err
	}
	var findings []finding
	last := lastRows
	if fl.sweep {
		last = nil
	} else {
		findings = s.test(ctx, rows, fl)
	}
	err = s.clean(ctx)
	if err == nil {
		fmt.Fprintln(p.stderr, "No key is left.")
		findings = append(findings, s.test(ctx, last, fl)...)
	}
	switch {
	case err == nil && ctx.Err() != nil:
		return codeInterrupted, errors.New("interrupted")
	case !fl.sweep && ctx.Err() == nil:
		err = errors.Join(err, report(p.stdout, findings, fl.json))
	}
	if err != nil {
		return codeFailure, err
	}
	return exitCode(findings), nil
}

func (s *session) announcement(fl *flags) string {
	text := fmt.Sprintf("Palette: %s, tenant %q, user %q. Its clock differs by %v.\n",
		s.client.BaseURL(), s.caller.OrgName, s.caller.UserUID, s.offset)
	if fl.sweep {
		return text + fmt.Sprintf("This deletes %d keys that earlier runs have left. Do not do it during a run.\n", s.left)
	}
	text += fmt.Sprintf("This creates some 15 keys, at most %d at a time, named %s…, and deletes them:\n"+
		"some 60 entries in the audit log. It takes half a minute, longer if changes need time.\n"+
		"The user has %d keys; the default limit is 20.\n", maxKeys, s.prefix, s.owned)
	if s.denied != "" {
		text += "It creates no key, and leaves out most rows: it " + s.denied + ".\n"
	}
	if *fl.rows["rate-limit"] {
		text += "For some seconds, Palette will reject the requests of everybody behind your address.\n"
	}
	return text
}

// confirm asks whether to start. It returns nil if the answer is yes.
func (p *program) confirm(ctx context.Context, yes bool) error {
	if yes {
		return nil
	}
	answers := make(chan string, 1)
	if p.terminal {
		fmt.Fprint(p.stderr, "Type yes to start: ")
		go func() { line, _ := bufio.NewReader(p.stdin).ReadString('\n'); answers <- line }()
	} else {
		answers <- ""
	}
	select {
	case <-ctx.Done():
	case line := <-answers:
		if line == "" { // also from /dev/null, which looks like a terminal
			return errNoTerminal
		} else if strings.TrimSpace(line) == "yes" {
			return nil
		}
	}
	return errors.New("nothing was changed")
}
