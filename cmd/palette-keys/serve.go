package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

type serveCommand struct {
	options   []palettetest.Option
	tls, host string
}

func (c *serveCommand) declare(flags *flag.FlagSet) {
	option := func(name string, parse func(string) (palettetest.Option, error)) {
		flags.Func(name, "", func(s string) error {
			opt, err := parse(s)
			c.options = append(c.options, opt)
			return err
		})
	}
	option("addr", func(s string) (palettetest.Option, error) { return palettetest.WithAddr(s), nil })
	option("rate-limit", parseRateLimit)
	option("key-limit", func(s string) (palettetest.Option, error) {
		n, err := strconv.ParseUint(s, 10, 31)
		return palettetest.WithKeyLimit(int(n)), errors.Unwrap(err)
	})
	option("key-file", func(s string) (palettetest.Option, error) {
		content, err := os.ReadFile(s)
		return palettetest.WithAPIKey(strings.TrimSpace(string(content))), err
	})
	option("user", func(s string) (palettetest.Option, error) {
		return palettetest.WithUser(palettetest.User{UID: s}), checkUIDs(s)
	})
	flags.StringVar(&c.tls, "tls", "", "")
	flags.StringVar(&c.host, "host", "", "")
}

// parseRateLimit parses a rate and a burst, such as 10/50.
func parseRateLimit(s string) (palettetest.Option, error) {
	rate, burst, _ := strings.Cut(s, "/")
	perSecond, rateErr := strconv.ParseFloat(rate, 64)
	n, burstErr := strconv.Atoi(burst)
	if rateErr != nil || burstErr != nil || !(perSecond > 0) || n < 1 {
		return nil, errors.New("it is not two positive numbers such as 10/50")
	}
	return palettetest.WithRateLimit(perSecond, n), nil
}

func (c *serveCommand) check(in *invocation) error {
	switch {
	case in.program != nil && len(in.program) == 0:
		return errors.New("a command is required after --")
	case c.host != "" && c.tls == "":
		return errors.New("-host requires -tls")
	case c.host != "":
		c.options = append(c.options, palettetest.WithTLS(c.host))
	case c.tls != "":
		c.options = append(c.options, palettetest.WithTLS())
	}
	return nil
}

// run runs a fake server, until it is stopped or while a program runs.
func (c *serveCommand) run(ctx context.Context, in *invocation) error {
	server, err := newServer(c.options)
	if _, refused := errors.AsType[*os.SyscallError](err); err != nil && !refused {
		return usagef("serve: %w", err)
	} else if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	defer server.Close()
	env := []string{"PALETTE_HOST=" + server.URL, "PALETTE_API_KEY=" + server.APIKey}
	if c.tls != "" {
		file, err := writeCertificate(c.tls, server.CertPEM())
		if err != nil {
			return fmt.Errorf("serve: %w", err)
		}
		env = append(env, "PALETTE_CA_FILE="+file)
	}
	if in.program != nil {
		return runProgram(ctx, in.program, env)
	}
	out.result(exports(env))
	out.note("serving until stopped")
	<-ctx.Done()
	return nil
}

// newServer returns an error where palettetest.NewServer panics with one.
func newServer(opts []palettetest.Option) (server *palettetest.Server, err error) {
	defer func() { err, _ = recover().(error) }()
	return palettetest.NewServer(opts...), nil
}

// writeCertificate writes the certificate for all users: those of other containers differ.
func writeCertificate(folder string, pem []byte) (file string, err error) {
	file, err = filepath.Abs(filepath.Join(folder, "palettetest-ca.pem"))
	if err == nil {
		err = os.MkdirAll(folder, 0o755) //nolint:gosec // it is no secret
	}
	if err == nil {
		err = os.WriteFile(file, pem, 0o644) //nolint:gosec // it is no secret
	}
	return file, err
}

var shellSafe = regexp.MustCompile(`^[A-Za-z0-9_./:+=@-]+$`)

// exports returns commands for a shell.
func exports(env []string) string {
	var text strings.Builder
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		if !shellSafe.MatchString(value) {
			value = "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
		}
		fmt.Fprintf(&text, "export %s=%s\n", name, value)
	}
	return text.String()
}

// runProgram runs a program with additional variables and ends with its exit code.
func runProgram(ctx context.Context, program, env []string) error {
	if _, err := exec.LookPath(program[0]); err != nil {
		return usagef("serve: %w", err)
	}
	cmd := newProgram(ctx, program)
	// Empty variables count as not set, so that a test cannot reach the real Palette.
	cmd.Env = append(os.Environ(), "PALETTE_API_KEY_FILE=", "PALETTE_AUTH_TOKEN=", "PALETTE_CA_FILE=",
		"PALETTE_INSECURE_SKIP_VERIFY=", "SPECTROCLOUD_APIKEY=", "SPECTROCLOUD_HOST=")
	cmd.Env = append(cmd.Env, env...)
	cmd.Stdin, cmd.Stdout = os.Stdin, os.Stdout
	err := cmd.Run()
	if cmd.ProcessState == nil {
		return fmt.Errorf("serve: %w", err) // it was not started
	}
	return programCode(cmd.ProcessState)
}
