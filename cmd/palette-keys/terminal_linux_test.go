package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

// openTerminal returns the two ends of a pseudoterminal.
func openTerminal(t *testing.T) (user, terminal *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = user.Close() })
	var unlock, number int32
	for request, argument := range map[uintptr]*int32{syscall.TIOCSPTLCK: &unlock, syscall.TIOCGPTN: &number} {
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, user.Fd(), request, uintptr(unsafe.Pointer(argument)))
		require.Zero(t, errno)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = terminal.Close() })
	return user, terminal
}

func TestAClosedTerminalDoesNotCutOffACreate(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)
	env, created, release := delayCreate(t, server)
	file := filepath.Join(t.TempDir(), "ci.key")
	user, terminal := openTerminal(t)
	cmd := newTool(t, env, "create", "-name", "ci", "-out", file)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(t, cmd.Start())
	<-created

	require.NoError(t, terminal.Close())
	require.NoError(t, user.Close())
	close(release)
	err := cmd.Wait()

	require.NoError(t, err)
	requireWorks(t, server, readFile(t, file))
}

func TestCreateOnATerminal(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)
	user, terminal := openTerminal(t)
	cmd := newTool(t, environment(server), "create", "-name", "ci")
	cmd.Stdin, cmd.Stdout = terminal, terminal

	got := finish(t, cmd)
	printed := make([]byte, 1024)
	n, err := user.Read(printed)

	require.NoError(t, err)
	assert.Zero(t, got.code, got.stderr)
	requireWorks(t, server, strings.TrimSuffix(string(printed[:n]), "\r\n"))
}

// The terminal sends the signal to both; the command must not get it twice.
func TestCtrlCReachesTheCommandOfServeOnce(t *testing.T) {
	t.Parallel()
	user, terminal := openTerminal(t)
	script := `n=0; trap 'n=$((n+1)); echo "signal $n"' INT; echo ready
for i in $(seq 200); do sleep 0.1; [ $n = 0 ] || break; done; sleep 0.5; exit $((n+4))`
	tool := newTool(t, nil, "serve", "--", "sh", "-c", script)
	tool.Stdin = terminal
	tool.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	server := start(t, tool)
	server.waitFor(t, "ready")

	_, err := user.WriteString("\x03")
	require.NoError(t, err)
	output, code := server.wait(t)

	assert.Equal(t, "ready\nsignal 1\n", output)
	assert.Equal(t, 5, code)
}

func TestOffboardAsksOnATerminal(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		input      string
		code, left int
	}{
		"yes":       {"yes\n", 0, 1},
		"no":        {"no\n", 1, 3},
		"end":       {"\x04", 2, 3},
		"interrupt": {"", 130, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newOffboarding(t)
			user, terminal := openTerminal(t)
			cmd := newTool(t, environment(server), "offboard", alice)
			cmd.Stdin = terminal
			tool := start(t, cmd)
			tool.waitFor(t, "Type yes: ")

			if tt.input == "" {
				require.NoError(t, cmd.Process.Signal(os.Interrupt))
			}
			_, err := user.WriteString(tt.input)
			require.NoError(t, err)
			output, code := tool.wait(t)

			assert.Equal(t, tt.code, code)
			assert.Equal(t, tt.code != 0, strings.Contains(output, "nothing was changed"), output)
			assert.Len(t, server.Keys(), tt.left)
		})
	}
}
