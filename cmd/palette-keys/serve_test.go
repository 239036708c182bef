package main

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

// TestNewUser runs the commands in the order in which a new user tries them, against a
// server in another process.
func TestNewUser(t *testing.T) {
	t.Parallel()
	env := startServe(t)
	file := filepath.Join(t.TempDir(), "ci.key")

	created := runTool(t, env, "create", "-name", "ci", "-expires", "30d")
	list := runTool(t, env, "list")
	uid := regexp.MustCompile(`ci +([0-9a-f]{24})`).FindStringSubmatch(list.stdout)[1]
	owner := palettetest.AdminUID
	found := runTool(t, env, "get", uid)
	audit := runTool(t, env, "audit", "-within", "60d")
	rotated := runTool(t, env, "rotate", "-name", "ci", "-overlap", "1h", "-out", file)
	withNewKey := runTool(t, []string{env[0], "PALETTE_API_KEY_FILE=" + file}, "list", "-json")
	revoked := runTool(t, env, "revoke", uid)
	withOldKey := runTool(t, []string{env[0], "PALETTE_API_KEY=" + strings.TrimSpace(created.stdout)}, "list", "-json")
	offboarded := runTool(t, env, "offboard", owner, "-yes")
	again := runTool(t, env, "offboard", owner, "-yes")

	assert.Regexp(t, `^palettetest\+\S+\n$`, created.stdout)
	assert.Equal(t, list.stdout, found.stdout)
	assert.Equal(t, 3, audit.code)
	assert.Contains(t, audit.stdout, uid)
	assert.Contains(t, rotated.stdout, "the old key "+uid+" works until ")
	assert.Contains(t, withNewKey.stdout, uid)
	assert.Equal(t, "revoked "+uid+" (1 of 1)\n", revoked.stdout)
	assert.Contains(t, withOldKey.stderr, `"status": 401`)
	assert.Contains(t, offboarded.stdout, "revoked 1 and deleted 2 keys of the user "+owner)
	assert.Zero(t, offboarded.code)
	assert.Equal(t, result{stderr: "palette-keys: offboard: the credential can see no key of the user " + owner + "\n", code: 1}, again)
}

func TestServePrintsVariablesUntilItIsStopped(t *testing.T) {
	t.Parallel()
	requireUnix(t)
	server := start(t, newTool(t, nil, "serve"))
	server.waitFor(t, "serving until stopped")

	output, code := server.signal(t, syscall.SIGTERM)

	assert.Zero(t, code)
	assert.Regexp(t, `^export PALETTE_HOST=http://127.0.0.1:\d+
export PALETTE_API_KEY=palettetest\+\S+
serving until stopped
$`, output)
}

func TestServeRunsACommandAndEndsWithItsExitCode(t *testing.T) {
	t.Parallel()
	requireUnix(t)
	cmd := newTool(t, []string{"TOOL=" + binary, "PALETTE_AUTH_TOKEN=real", "SPECTROCLOUD_APIKEY=real", "SPECTROCLOUD_HOST=real"},
		"serve", "--", "sh", "-c", `read -r name && "$TOOL" create -name "$name" -json 2>&1; "$TOOL" list; exit 7`)
	cmd.Stdin = strings.NewReader("ci\n")

	got := finish(t, cmd)

	assert.Equal(t, 7, got.code)
	assert.Empty(t, got.stderr)
	assert.Regexp(t, `^\{\n  "apiKey": "palettetest\+\S+",\n`, got.stdout)
	assert.Regexp(t, `\nci    [0-9a-f]{24}  yes     never    `, got.stdout)
}

func TestServeEndsAsACommandThatASignalEnds(t *testing.T) {
	t.Parallel()
	requireUnix(t)

	got := runTool(t, nil, "serve", "--", "sh", "-c", "kill -KILL $$")

	assert.Equal(t, result{code: 128 + 9}, got)
}

func TestSignalsReachTheCommandOfServe(t *testing.T) {
	t.Parallel()
	requireUnix(t)
	for name, tt := range map[string]struct {
		signal syscall.Signal
		script string
		code   int
	}{
		"SIGTERM ends it": {syscall.SIGTERM, "echo ready; exec sleep 30", 128 + 15},
		"SIGHUP ends it":  {syscall.SIGHUP, "echo ready; exec sleep 30", 128 + 1},
		"by itself":       {syscall.SIGTERM, "trap 'exit 5' TERM; echo ready; for i in $(seq 200); do sleep 0.1; done", 5},
		"SIGHUP itself":   {syscall.SIGHUP, "trap 'exit 6' HUP; echo ready; for i in $(seq 200); do sleep 0.1; done", 6},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := start(t, newTool(t, nil, "serve", "--", "sh", "-c", tt.script))
			server.waitFor(t, "ready")

			output, code := server.signal(t, tt.signal)

			assert.Equal(t, tt.code, code)
			assert.Equal(t, "ready\n", output)
		})
	}
}

func TestServeWithTLS(t *testing.T) {
	t.Parallel()
	requireUnix(t)
	folder := filepath.Join(t.TempDir(), "it's new")

	got := runTool(t, nil, "serve", "-tls", folder, "--", binary, "create", "-name", "ci")
	server := start(t, newTool(t, nil, "serve", "-tls", folder))
	output := server.waitFor(t, "serving")
	_, _ = server.signal(t, os.Kill)

	require.Zero(t, got.code, got.stderr)
	assert.Contains(t, output, "export PALETTE_HOST=https://127.0.0.1:")
	assert.Contains(t, output, `/it'\''s new/palettetest-ca.pem'`+"\n")
	assert.Contains(t, readFile(t, filepath.Join(folder, "palettetest-ca.pem")), "BEGIN CERTIFICATE")
}

// send sends a request to a server with the given environment and returns the status code
// and the body.
func send(t *testing.T, env []string, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, strings.TrimPrefix(env[0], "PALETTE_HOST=")+path, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("ApiKey", strings.TrimPrefix(env[1], "PALETTE_API_KEY="))
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(t, err)
	content, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode, string(content)
}

func TestServeLimitsTheRate(t *testing.T) {
	t.Parallel()
	env := startServe(t, "-rate-limit", "0.0001/2")
	var codes []int

	for range 3 {
		code, _ := send(t, env, http.MethodGet, "/v1/apiKeys", "")
		codes = append(codes, code)
	}

	assert.Equal(t, []int{200, 200, 429}, codes)
}

func TestServeLimitsTheKeysOfAUser(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args    []string
		created int
	}{
		"default":  {nil, 20},
		"3":        {[]string{"-key-limit", "3"}, 3},
		"no limit": {[]string{"-key-limit", "0", "-rate-limit", "1000/1000"}, 30},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := startServe(t, tt.args...)
			created := 0

			for range 30 {
				code, body := send(t, env, http.MethodPost, "/v1/apiKeys", `{"metadata":{"name":"ci"}}`)
				if code == http.StatusCreated {
					created++
				} else {
					assert.Contains(t, body, "ResourceLimitExceeded")
				}
			}

			assert.Equal(t, tt.created, created)
		})
	}
}

func TestServeHasUsers(t *testing.T) {
	t.Parallel()
	env := startServe(t, "-user", alice, "-user", bob)

	created := runTool(t, env, "create", "-name", "ci", "-user", alice)
	own := runTool(t, []string{env[0], "PALETTE_API_KEY=" + strings.TrimSpace(created.stdout)}, "create", "-name", "cd", "-user", bob)
	list := runTool(t, env, "list")

	require.Zero(t, created.code, created.stderr)
	assert.Contains(t, own.stderr, "403 ", "alice is no administrator")
	assert.Contains(t, list.stdout, alice)
}

func TestServeForOtherContainers(t *testing.T) {
	t.Parallel()
	requireUnix(t)
	folder, key := t.TempDir(), writeFile(t, "palettetest+admin\n")
	// "palette" cannot be resolved here, but localhost is the same to the server.
	env := startServe(t, "-tls", folder, "-host", "localhost", "-key-file", key)

	named := runTool(t, nil, "serve", "-tls", folder+"/2", "-host", "palette", "--", "sh", "-c", "echo $PALETTE_HOST")
	got := runTool(t, env, "create", "-name", "ci")

	assert.Regexp(t, `^https://palette:\d+\n$`, named.stdout)
	assert.Regexp(t, `^PALETTE_HOST=https://localhost:\d+$`, env[0])
	assert.Equal(t, "PALETTE_API_KEY=palettetest+admin", env[1])
	assert.Zero(t, got.code, got.stderr)
	info, err := os.Stat(filepath.Join(folder, "palettetest-ca.pem"))
	require.NoError(t, err)
	assert.NotZero(t, info.Mode()&0o004, "the other container has another user")
}

func TestServeOnAnAddress(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })

	taken := runTool(t, nil, "serve", "-addr", listener.Addr().String())
	env := startServe(t, "-addr", "localhost:0")

	assert.Equal(t, 1, taken.code)
	assert.Contains(t, taken.stderr, "palette-keys: serve: palettetest: WithAddr: listen tcp "+listener.Addr().String())
	assert.NotContains(t, taken.stderr, "goroutine")
	assert.Regexp(t, `^PALETTE_HOST=http://(127\.0\.0\.1|\[::1\]):\d+$`, env[0])
}
