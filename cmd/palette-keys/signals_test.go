package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

// newKeys returns a server with six active keys of alice.
func newKeys(t *testing.T) (server *palettetest.Server, uids []string) {
	t.Helper()
	server = palettetest.Start(t)
	for i := range 6 {
		uid := fmt.Sprintf("u%d", i+1)
		server.AddKey(palettetest.Key{UID: uid, UserUID: alice, Active: true})
		uids = append(uids, uid)
	}
	return server, uids
}

func active(server *palettetest.Server) (n int) {
	for _, key := range server.Keys() {
		if key.Active {
			n++
		}
	}
	return n
}

func TestAClosedPipeDoesNotStopTheWork(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"revoke"}, {"delete"}, {"offboard", alice, "-yes"}} {
		t.Run(args[0], func(t *testing.T) {
			t.Parallel()
			server, uids := newKeys(t)
			if len(args) == 1 {
				args = append(args, uids...)
			}
			cmd := newTool(t, environment(server), args...)
			cmd.Stdout = closedPipe(t)
			cmd.Stderr = cmd.Stdout // as with 2>&1

			got := finish(t, cmd)

			assert.Equal(t, 1, got.code)
			assert.Zero(t, active(server))
		})
	}
}

func TestAReaderThatLeavesDoesNotStopTheWork(t *testing.T) {
	t.Parallel()
	server, _ := newKeys(t)

	got := runShell(t, environment(server), `"$TOOL" revoke u1 u2 u3 u4 u5 u6 | grep -q revoked`)

	assert.Zero(t, got.code, "grep has found the line")
	assert.Zero(t, active(server))
}

func TestAFullDiskFailsEveryResult(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"list"},
		{"list", "-json"},
		{"get", "u1"},
		{"update", "u1", "-name", "x"},
		{"revoke", "u1"},
		{"audit"},
		{"audit", "-prometheus"},
		{"offboard", alice, "-yes"},
		{"version"},
		{"help"},
		{"list", "-h"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			server, _ := newKeys(t)
			cmd := newTool(t, environment(server), args...)
			cmd.Stdout = openFullDevice(t)

			got := finish(t, cmd)

			assert.Equal(t, 1, got.code)
			assert.Contains(t, got.stderr, "no space left on device")
		})
	}
}

// openFullDevice returns a device that is a full disk.
func openFullDevice(t *testing.T) *os.File {
	t.Helper()
	file, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("only Linux and some BSDs have /dev/full")
	}
	t.Cleanup(func() { _ = file.Close() })
	return file
}

// delayCreate starts a proxy of server that holds back the responses to create requests,
// after the key was created, until release is closed.
func delayCreate(t *testing.T, server *palettetest.Server) (env []string, created <-chan struct{}, release chan struct{}) {
	t.Helper()
	arrived, release := make(chan struct{}), make(chan struct{})
	env = startProxy(t, server, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			wait := func() {
				close(arrived)
				select {
				case <-release:
				case <-r.Context().Done(): // the tool has left
				}
			}
			server.ServeHTTP(delayedWriter{w, wait}, r)
		}
		return r.Method == http.MethodPost
	})
	return env, arrived, release
}

type delayedWriter struct {
	http.ResponseWriter
	wait func()
}

func (w delayedWriter) WriteHeader(status int) {
	w.wait()
	w.ResponseWriter.WriteHeader(status)
}

func TestASignalDoesNotCutOffACreate(t *testing.T) {
	t.Parallel()
	requireUnix(t)
	for _, signal := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			server := palettetest.Start(t)
			env, created, release := delayCreate(t, server)
			file := filepath.Join(t.TempDir(), "ci.key")
			tool := start(t, newTool(t, env, "create", "-name", "ci", "-out", file))
			<-created
			require.NoError(t, tool.cmd.Process.Signal(signal))
			tool.waitFor(t, "interrupted: waiting up to 5s for the response")
			if signal == syscall.SIGHUP { // a terminal that closes can send it twice
				require.NoError(t, tool.cmd.Process.Signal(signal))
			}
			close(release)

			output, code := tool.wait(t)

			assert.Zero(t, code, output)
			assert.Contains(t, output, "created the key")
			requireWorks(t, server, readFile(t, file))
		})
	}
}

func TestInterruptedCreateSaysThatAKeyMayExist(t *testing.T) {
	t.Parallel()
	requireUnix(t)
	env, arrived := blockRequests(t, palettetest.Start(t), http.MethodPost)
	file := filepath.Join(t.TempDir(), "ci.key")
	tool := start(t, newTool(t, env, "create", "-name", "ci", "-out", file))
	<-arrived

	output, code := tool.signal(t, syscall.SIGHUP)

	assert.Equal(t, 130, code)
	assert.Contains(t, output, "palette-keys: interrupted: ")
	assert.Contains(t, output, "a key with this name may exist")
	assert.NoFileExists(t, file)
}

func TestASecondSignalEndsTheToolAtOnce(t *testing.T) {
	t.Parallel()
	requireUnix(t)
	env, arrived := blockRequests(t, palettetest.Start(t), http.MethodPost)
	tool := start(t, newTool(t, env, "create", "-name", "ci"))
	<-arrived
	require.NoError(t, tool.cmd.Process.Signal(syscall.SIGTERM))
	tool.waitFor(t, "waiting up to 5s")

	_, _ = tool.signal(t, syscall.SIGTERM)

	status, _ := tool.cmd.ProcessState.Sys().(syscall.WaitStatus)
	assert.Equal(t, syscall.SIGTERM, status.Signal())
}

func TestInterruptedChangesSayWhatIsDone(t *testing.T) {
	t.Parallel()
	requireUnix(t)
	for _, signal := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			server := newOffboarding(t)
			env, arrived := blockRequests(t, server, http.MethodDelete)
			tool := start(t, newTool(t, env, "offboard", alice, "-yes"))
			<-arrived

			output, code := tool.signal(t, signal)

			assert.Equal(t, 130, code)
			assert.Contains(t, output, "revoked a1 (1 of 1)\n")
			assert.Contains(t, output, "deleted 0 of 2 keys\n")
			assert.Contains(t, output, "offboard: revoked 1 and deleted 0 keys of the user "+alice+"; not finished: run the same command again\n")
			assert.False(t, server.Keys()[0].Active)
		})
	}
}

func TestAnIgnoredHangupStaysIgnored(t *testing.T) {
	t.Parallel()
	requireUnix(t)
	cmd := newTool(t, nil)
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", `trap "" HUP; exec "$0" serve`, binary} // as nohup does
	server := start(t, cmd)
	server.waitFor(t, "serving until stopped")
	require.NoError(t, server.cmd.Process.Signal(syscall.SIGHUP))

	_, code := server.signal(t, syscall.SIGTERM)

	assert.Zero(t, code, "SIGHUP has ended the tool before")
}
