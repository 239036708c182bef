package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// newProgram returns a program that gets the signal that ends ctx, and then has 10 seconds
// to stop.
func newProgram(ctx context.Context, program []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program[0], program[1:]...) //nolint:gosec // the user gave it on the command line
	cmd.Stderr = os.Stderr
	cmd.WaitDelay = 10 * time.Second
	cmd.Cancel = func() error {
		cause, _ := errors.AsType[interrupt](context.Cause(ctx))
		if cause.signal == os.Interrupt { // the terminal has sent it to the program as well
			return nil
		}
		return cmd.Process.Signal(cmp.Or[os.Signal](cause.signal, syscall.SIGTERM))
	}
	return cmd
}

// programCode returns the exit code of a program as a shell does.
func programCode(state *os.ProcessState) exitCode {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return exitCode(128 + int(status.Signal()))
	}
	return exitCode(state.ExitCode())
}

// commandStore is a store that runs the user's commands. They do not see the credential of
// the tool.
type commandStore struct {
	load string // for the shell
	save []string
}

// Load returns what the load command prints.
func (s *commandStore) Load(ctx context.Context) (palette.Secret, error) {
	var stdout bytes.Buffer
	cmd := newProgram(ctx, []string{"sh", "-c", s.load})
	cmd.Env, cmd.Stdout = withoutCredential(os.Environ()), &stdout
	if err := cmd.Run(); err != nil {
		return palette.Secret{}, fmt.Errorf("load command: %w", err)
	}
	return palette.NewSecret(strings.TrimSpace(stdout.String())), nil
}

// Save gives the key to the save command, on standard input. The whole key is in the pipe
// before the command starts: if the tool is killed, the command must not save an empty key.
func (s *commandStore) Save(ctx context.Context, key palette.Secret) error {
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }()
	_, err = writer.WriteString(key.Reveal())
	if err = errors.Join(err, writer.Close()); err != nil {
		return err
	}
	cmd := newProgram(ctx, s.save)
	cmd.Env, cmd.Stdin = withoutCredential(os.Environ()), reader
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("save command: %w", err)
	}
	return nil
}

func withoutCredential(env []string) []string {
	return slices.DeleteFunc(env, func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains(secretVariables, strings.ToUpper(name)) // Windows ignores case
	})
}
