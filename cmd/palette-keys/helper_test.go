package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

const (
	alice = "0123456789abcdef01234567"
	bob   = "89abcdef0123456789abcdef"
)

// binary is the compiled tool.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		folder, err := os.MkdirTemp("", "palette-keys")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(folder)
		runtime.KeepAlive(main) // links the tool: if it changes, go test must not use a cached result
		binary = filepath.Join(folder, "palette-keys")
		if runtime.GOOS == "windows" {
			binary += ".exe"
		}
		cmd := exec.CommandContext(context.Background(), "go", "build", "-ldflags", "-X main.serviceAccountFolder=serviceaccount", "-o", binary, ".")
		if out, err := cmd.CombinedOutput(); err != nil {
			panic(string(out))
		}
		// Under nohup, the tool would inherit that SIGHUP is ignored. What is handled is not.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
		_ = flag.Set("test.parallel", "16") // most tests wait for processes, not for processors
		return m.Run()
	}())
}

// requireUnix skips a test that needs signals, a shell or the modes of files.
func requireUnix(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has neither the signals nor the shell of this test")
	}
}

// result is what a process left behind.
type result struct {
	stdout, stderr string
	code           int
}

// newTool returns the tool with the given environment and nothing else in it but PATH.
func newTool(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "SYSTEMROOT=" + os.Getenv("SYSTEMROOT")}, env...)
	return cmd
}

func runTool(t *testing.T, env []string, args ...string) result {
	t.Helper()
	return finish(t, newTool(t, env, args...))
}

// runShell runs a script in which $TOOL is the tool.
func runShell(t *testing.T, env []string, script string) result {
	t.Helper()
	requireUnix(t)
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "TOOL=" + binary}, env...)
	return finish(t, cmd)
}

func finish(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &stdout
	}
	if cmd.Stderr == nil {
		cmd.Stderr = &stderr
	}
	if err := cmd.Run(); !errors.As(err, new(*exec.ExitError)) {
		require.NoError(t, err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// closedPipe returns a pipe that nobody reads.
func closedPipe(t *testing.T) *os.File {
	t.Helper()
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, reader.Close())
	t.Cleanup(func() { _ = writer.Close() })
	return writer
}

// process is a tool that runs. Its standard output and standard error are one stream.
type process struct {
	cmd    *exec.Cmd
	output *os.File
	read   strings.Builder
}

func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	cmd.Stdout, cmd.Stderr = writer, writer
	require.NoError(t, cmd.Start())
	require.NoError(t, writer.Close())
	t.Cleanup(func() { _ = reader.Close() })
	return &process{cmd: cmd, output: reader}
}

// waitFor reads the output until it contains text.
func (p *process) waitFor(t *testing.T, text string) string {
	t.Helper()
	chunk := make([]byte, 4096)
	for !strings.Contains(p.read.String(), text) {
		n, err := p.output.Read(chunk)
		p.read.Write(chunk[:n])
		require.NoError(t, err, "no %q in:\n%s", text, p.read.String())
	}
	return p.read.String()
}

// signal sends a signal and returns the output and the exit code.
func (p *process) signal(t *testing.T, signal os.Signal) (output string, code int) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(signal))
	return p.wait(t)
}

func (p *process) wait(t *testing.T) (output string, code int) {
	t.Helper()
	rest, err := io.ReadAll(p.output)
	require.NoError(t, err)
	_ = p.cmd.Wait()
	return p.read.String() + string(rest), p.cmd.ProcessState.ExitCode()
}

// startServe starts palette-keys serve in another process and returns the variables that
// it prints.
func startServe(t *testing.T, args ...string) []string {
	t.Helper()
	server := start(t, newTool(t, nil, append([]string{"serve"}, args...)...))
	output := server.waitFor(t, "serving until stopped")
	t.Cleanup(func() { _ = server.cmd.Wait() }) // the end of the test's context kills it
	var env []string
	for line := range strings.Lines(output) {
		if variable, ok := strings.CutPrefix(line, "export "); ok {
			env = append(env, strings.TrimSpace(variable))
		}
	}
	return env
}

func environment(server *palettetest.Server) []string {
	return []string{"PALETTE_HOST=" + server.URL, "PALETTE_API_KEY=" + server.APIKey}
}

// startProxy starts a proxy of server and returns the environment for it. intercept
// reports whether it has responded itself.
func startProxy(t *testing.T, server *palettetest.Server, intercept func(http.ResponseWriter, *http.Request) bool) []string {
	t.Helper()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !intercept(w, r) {
			server.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(proxy.Close)
	return []string{"PALETTE_HOST=" + proxy.URL, "PALETTE_API_KEY=" + server.APIKey}
}

// blockRequests starts a proxy of server that does not respond to requests with the given
// method. It returns the environment for the proxy, and a channel that says when such a
// request has arrived.
func blockRequests(t *testing.T, server *palettetest.Server, method string) (env []string, arrived <-chan struct{}) {
	t.Helper()
	blocked := make(chan struct{}, 1)
	env = startProxy(t, server, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method != method {
			return false
		}
		_, _ = io.Copy(io.Discard, r.Body) // else the proxy does not notice that the client leaves
		blocked <- struct{}{}
		<-r.Context().Done()
		return true
	})
	return env, blocked
}

// requireWorks requires that the printed key works as a credential.
func requireWorks(t *testing.T, server *palettetest.Server, printed string) {
	t.Helper()
	client, err := palette.NewClient(palette.WithBaseURL(server.URL), palette.WithAPIKey(strings.TrimSuffix(printed, "\n")))
	require.NoError(t, err)
	_, err = client.APIKeys.List(t.Context())
	require.NoError(t, err)
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
	return file
}

func readFile(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(content)
}
