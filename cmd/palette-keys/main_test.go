package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-804bd3b7/palette-apikeys-go/internal/version"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
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
		if out, err := exec.CommandContext(context.Background(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
			panic(string(out))
		}
		return m.Run()
	}())
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
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	return cmd
}

func runTool(t *testing.T, env []string, args ...string) result {
	t.Helper()
	return finish(t, newTool(t, env, args...))
}

func finish(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stderr = &stderr
	if cmd.Stdout == nil {
		cmd.Stdout = &stdout
	}
	if err := cmd.Run(); !errors.As(err, new(*exec.ExitError)) {
		require.NoError(t, err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
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

// interrupt sends a signal and returns the output and the exit code.
func (p *process) interrupt(t *testing.T, signal os.Signal) (output string, code int) {
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
	output := server.waitFor(t, "serving until interrupted")
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

// blockRequests starts a proxy of server that does not respond to requests with the given
// method. It returns the environment for the proxy, and a channel that says when such a
// request has arrived.
func blockRequests(t *testing.T, server *palettetest.Server, method string) (env []string, arrived <-chan struct{}) {
	t.Helper()
	blocked := make(chan struct{}, 1)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != method {
			server.ServeHTTP(w, r)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body) // else the proxy does not notice that the client leaves
		blocked <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(proxy.Close)
	return []string{"PALETTE_HOST=" + proxy.URL, "PALETTE_API_KEY=" + server.APIKey}, blocked
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

func TestCommandsRequireACredential(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"create", "-name", "ci"},
		{"list"},
		{"get", "a"},
		{"revoke", "a"},
		{"delete", "a"},
		{"audit"},
		{"rotate", "-name", "ci", "-out", "x"},
		{"offboard", "a", "-yes"},
	} {
		t.Run(args[0], func(t *testing.T) {
			t.Parallel()

			got := runTool(t, []string{"PALETTE_HOST=127.0.0.1:1"}, args...)

			assert.Equal(t, 2, got.code)
			assert.Empty(t, got.stdout)
			assert.Equal(t, "palette-keys: no credential: set one of the variables "+
				"PALETTE_API_KEY, SPECTROCLOUD_APIKEY, PALETTE_API_KEY_FILE, PALETTE_AUTH_TOKEN\n", got.stderr)
		})
	}
}

func TestNoKeyIsInvented(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "my-key\n")

	rotated := runTool(t, nil, "rotate", "-name", "ci", "-out", file)
	created := runTool(t, nil, "create", "-name", "ci")
	offboarded := runTool(t, nil, "offboard", "-yes", "66e844c44bab2337f20c7471")

	assert.Equal(t, "my-key\n", readFile(t, file))
	assert.Empty(t, created.stdout)
	assert.Equal(t, []int{2, 2, 2}, []int{rotated.code, created.code, offboarded.code})
	assert.NotContains(t, offboarded.stderr, "66e844c44bab2337f20c7471")
}

func TestInvalidCommandLines(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)
	for _, line := range []string{
		"", "nonsense", "list extra", "list -nonsense", "get", "get a b", "get a@example.com", "revoke", "delete a b/c",
		"create", "create -name ci -expires 0", "create -name ci -expires soon", "create -name ci -expires 2020-01-01T00:00:00Z",
		"create -name ci -user a@example.com", "create -name ci -out /no/such/folder/file",
		"audit -json -prometheus", "audit -within -1h", "audit -ignore nonsense", "audit -owners /no/such/file", "audit -owners main.go",
		"rotate -out x", "rotate a -name ci -out x", "rotate a -user u -out x", "rotate a", "rotate a -out x -- cat",
		"rotate a -load cat -out x", "rotate a --", "rotate a -- no-such-command", "rotate a -out x -overlap 1y",
		"offboard", "offboard a@example.com -yes",
		"serve -rate-limit 10", "serve -rate-limit 0/1", "serve -rate-limit 1/0", "serve --", "serve -- no-such-command",
		"version extra", "help nonsense",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()

			got := runTool(t, environment(server), strings.Fields(line)...)

			assert.Equal(t, 2, got.code)
			assert.Empty(t, got.stdout)
			assert.NotEmpty(t, got.stderr)
			assert.NotContains(t, got.stderr, "panic")
		})
	}
	t.Cleanup(func() { assert.Empty(t, server.Requests()) })
}

func TestHelpDescribesEveryFlag(t *testing.T) {
	t.Parallel()
	for _, c := range commands {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var described []string
			for line := range strings.Lines(manual(c.name)) {
				if flag, ok := strings.CutPrefix(line, "    -"); ok {
					described = append(described, strings.Fields(flag)[0])
				}
			}

			got, alias := runTool(t, nil, "help", c.name), runTool(t, nil, c.name, "-h")

			assert.Equal(t, got, alias)
			assert.Zero(t, got.code)
			assert.Contains(t, got.stdout, "NAME\n    palette-keys "+c.name+" - ")
			assert.Contains(t, got.stdout, "SYNOPSIS\n    palette-keys "+c.name)
			assert.ElementsMatch(t, strings.Fields(c.flags), described)
			assert.Contains(t, manual("palette-keys"), "\n    "+c.name+" ")
		})
	}
}

func TestOverview(t *testing.T) {
	t.Parallel()

	help, none := runTool(t, nil, "help"), runTool(t, nil)

	assert.Equal(t, help, runTool(t, nil, "--help"))
	assert.Equal(t, help, runTool(t, nil, "-h"))
	assert.Zero(t, help.code)
	assert.Contains(t, help.stdout, "PALETTE_API_KEY_FILE")
	assert.Equal(t, result{stderr: help.stdout, code: 2}, none)
}

func TestVersion(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)

	printed := runTool(t, nil, "version")
	runTool(t, environment(server), "list")

	assert.Equal(t, "palette-keys "+version.Version+"\n", printed.stdout)
	assert.Equal(t, "palette-keys/"+version.Version+" palette-apikeys-go/"+version.Version, server.Requests()[0].Header.Get("User-Agent"))
}

func TestErrorsAreJSON(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)
	server.Inject(palettetest.Fault{
		Method: http.MethodGet, Status: http.StatusForbidden, Body: `{"code":"OperationForbidden","message":"no","ref":"r1"}`,
	})

	failure := runTool(t, environment(server), "list", "-json")
	configuration := runTool(t, append(environment(server), "PALETTE_AUTH_TOKEN=t"), "list", "-json")
	usage := runTool(t, nil, "create", "-nonsense", "--json")
	program := runTool(t, nil, "serve", "--", "/no/such/program", "-json")

	assert.Equal(t, 1, failure.code)
	host := strings.TrimPrefix(server.URL, "http://")
	assert.JSONEq(t, `{"code":"OperationForbidden","status":403,"ref":"r1","message":
		"palette: apiKeys.list: 403 OperationForbidden: no (host `+host+`, ref r1, 1 attempt)"}`, failure.stderr)
	assert.Equal(t, 2, configuration.code)
	assert.Contains(t, configuration.stderr, `"message": "palette: NewClient: invalid argument: credential: more than one`)
	assert.Equal(t, 2, usage.code)
	assert.JSONEq(t, `{"message":"create: flag provided but not defined: -nonsense: see palette-keys help create"}`, usage.stderr)
	assert.Contains(t, program.stderr, "palette-keys: serve: ", "the flag is the program's")
}
