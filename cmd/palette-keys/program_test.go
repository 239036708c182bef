package main

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAProgramThatIgnoresASignalIsKilled(t *testing.T) {
	t.Parallel()
	requireUnix(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	cmd := newProgram(ctx, []string{"sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"})
	patience := cmd.WaitDelay
	cmd.WaitDelay = 100 * time.Millisecond
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = stdout.Read(make([]byte, 1)) // the signal is ignored from now on
	require.NoError(t, err)

	cancel(interrupt{syscall.SIGTERM})
	_ = cmd.Wait()

	assert.Equal(t, exitCode(128+9), programCode(cmd.ProcessState))
	assert.Equal(t, 10*time.Second, patience)
}
