package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

// parseRateLimit parses a rate and a burst, such as 10/50.
func parseRateLimit(s string) ([]palettetest.Option, error) {
	rate, burst, _ := strings.Cut(s, "/")
	perSecond, rateErr := strconv.ParseFloat(rate, 64)
	n, burstErr := strconv.Atoi(burst)
	if rateErr != nil || burstErr != nil || !(perSecond > 0) || n < 1 {
		return nil, errors.New("it is not two positive numbers such as 10/50")
	}
	return []palettetest.Option{palettetest.WithRateLimit(perSecond, n)}, nil
}

// serve runs a fake server, until it is interrupted or while a program runs.
func serve(ctx context.Context, in *invocation) error {
	opts := append(in.server, palettetest.WithAddr(in.addr))
	if in.tls != "" {
		opts = append(opts, palettetest.WithTLS())
	}
	server, err := newServer(opts)
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	defer server.Close()
	env := []string{"PALETTE_HOST=" + server.URL, "PALETTE_API_KEY=" + server.APIKey}
	if in.tls != "" {
		file, err := filepath.Abs(filepath.Join(in.tls, "palettetest-ca.pem"))
		if err = errors.Join(err, os.MkdirAll(in.tls, 0o700), os.WriteFile(file, server.CertPEM(), 0o600)); err != nil {
			return err
		}
		env = append(env, "PALETTE_CA_FILE="+file)
	}
	if in.program != nil {
		return runProgram(ctx, in.program, env)
	}
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		if !shellSafe.MatchString(value) {
			value = "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
		}
		if err := writeResult("export " + name + "=" + value + "\n"); err != nil {
			return err
		}
	}
	notef("serving until interrupted")
	<-ctx.Done()
	return errors.New("the server has stopped")
}

// newServer returns an error where palettetest.NewServer panics with one.
func newServer(opts []palettetest.Option) (server *palettetest.Server, err error) {
	defer func() { err, _ = recover().(error) }()
	return palettetest.NewServer(opts...), nil
}

var shellSafe = regexp.MustCompile(`^[A-Za-z0-9_./:+=@-]+$`)

// newProgram returns a program that gets SIGTERM when ctx ends, and has 10 seconds to stop.
func newProgram(ctx context.Context, program []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program[0], program[1:]...) //nolint:gosec // the user gave it on the command line
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// runProgram runs a program with additional variables and ends with its exit code.
func runProgram(ctx context.Context, program, env []string) error {
	cmd := newProgram(ctx, program)
	// Empty variables count as not set, so that a test cannot reach the real Palette.
	cmd.Env = append(os.Environ(), "PALETTE_API_KEY_FILE=", "PALETTE_AUTH_TOKEN=", "PALETTE_CA_FILE=",
		"PALETTE_INSECURE_SKIP_VERIFY=", "SPECTROCLOUD_APIKEY=", "SPECTROCLOUD_HOST=")
	cmd.Env = append(cmd.Env, env...)
	cmd.Stdin, cmd.Stdout = os.Stdin, os.Stdout
	err := cmd.Run()
	switch {
	case cmd.ProcessState == nil:
		return usagef("serve: %w", err) // it was not started
	case cmd.ProcessState.ExitCode() < 0:
		return fmt.Errorf("serve: %w", err) // a signal ended it
	}
	return exitCode(cmd.ProcessState.ExitCode())
}
