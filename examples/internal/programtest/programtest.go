// Package programtest runs an example program as a user does: as a process of
// its own, with arguments, an environment and two outputs.
package programtest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

const marker = "PROGRAMTEST_RUN_MAIN"

// raceOptions lets a program that was built with the race detector exit at once.
// By default it sleeps for a second at its end.
const raceOptions = "GORACE=atexit_sleep_ms=0"

// Main is to be called by TestMain with the program's main: the test binary is
// the program when Run has started it.
func Main(m *testing.M, main func()) {
	if os.Getenv(marker) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Result is what a program left behind.
type Result struct {
	Stdout, Stderr string
	Code           int
}

// Run runs the program to its end, with nothing in its environment but env.
func Run(t *testing.T, env []string, args ...string) Result {
	t.Helper()
	program, finish := Start(t, env, args...)
	require.NoError(t, program.Start())
	return finish()
}

// Start prepares the program and returns it with the function that waits for its
// end, so that a test can start it and send it signals.
func Start(t *testing.T, env []string, args ...string) (program *exec.Cmd, finish func() Result) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	var stdout, stderr bytes.Buffer
	program = exec.CommandContext(context.WithoutCancel(t.Context()), self, args...)
	// Without a GOCOVERDIR, go test -cover makes the program complain at its end.
	program.Env = append([]string{marker + "=1", raceOptions, "GOCOVERDIR=" + t.TempDir()}, env...)
	program.Stdout, program.Stderr = &stdout, &stderr
	return program, func() Result {
		t.Helper()
		err := program.Wait()
		if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
			require.NoError(t, err)
		}
		return Result{stdout.String(), stderr.String(), program.ProcessState.ExitCode()}
	}
}
