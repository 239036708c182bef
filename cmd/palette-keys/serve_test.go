package main

import (
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
	assert.Contains(t, offboarded.stdout, "revoked and deleted 2 keys of the user "+owner)
	assert.Zero(t, offboarded.code)
	assert.Equal(t, result{stderr: "palette-keys: offboard: the credential can see no key of the user " + owner + "\n", code: 1}, again)
}

func TestServePrintsVariables(t *testing.T) {
	t.Parallel()
	server := start(t, newTool(t, nil, "serve"))
	server.waitFor(t, "serving until interrupted\n")

	output, code := server.interrupt(t, syscall.SIGTERM)

	assert.Equal(t, 130, code)
	assert.Regexp(t, `^export PALETTE_HOST=http://127.0.0.1:\d+
export PALETTE_API_KEY=palettetest\+\S+
serving until interrupted
palette-keys: interrupted: the server has stopped
$`, output)
}

func TestServeRunsACommandAndEndsWithItsExitCode(t *testing.T) {
	t.Parallel()
	cmd := newTool(t, []string{"TOOL=" + binary, "PALETTE_AUTH_TOKEN=real", "SPECTROCLOUD_APIKEY=real", "SPECTROCLOUD_HOST=real"},
		"serve", "--", "sh", "-c", `read -r name && "$TOOL" create -name "$name" -json 2>&1; "$TOOL" list; exit 7`)
	cmd.Stdin = strings.NewReader("ci\n")

	got := finish(t, cmd)

	assert.Equal(t, 7, got.code)
	assert.Empty(t, got.stderr)
	assert.Regexp(t, `^\{\n  "apiKey": "palettetest\+\S+",\n`, got.stdout)
	assert.Regexp(t, `\nci    [0-9a-f]{24}  yes     never    `, got.stdout)
}

func TestServeWithACommandThatASignalEnds(t *testing.T) {
	t.Parallel()

	got := runTool(t, nil, "serve", "--", "sh", "-c", "kill -KILL $$")

	assert.Equal(t, 1, got.code)
	assert.Equal(t, "palette-keys: serve: signal: killed\n", got.stderr)
}

func TestInterruptedServeStopsTheCommand(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		script string
		code   int
	}{
		"by the signal": {"echo ready; exec sleep 600", 130},
		"by itself":     {"trap 'exit 5' TERM; echo ready; while :; do sleep 0.1; done", 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := start(t, newTool(t, nil, "serve", "--", "sh", "-c", tt.script))
			server.waitFor(t, "ready")

			_, code := server.interrupt(t, os.Interrupt)

			assert.Equal(t, tt.code, code)
		})
	}
}

func TestServeWithTLS(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "it's new")

	got := runTool(t, nil, "serve", "-tls", folder, "--", binary, "create", "-name", "ci")
	server := start(t, newTool(t, nil, "serve", "-tls", folder))
	output := server.waitFor(t, "serving")
	_, _ = server.interrupt(t, os.Interrupt)

	require.Zero(t, got.code, got.stderr)
	assert.Contains(t, output, "export PALETTE_HOST=https://127.0.0.1:")
	assert.Contains(t, output, `/it'\''s new/palettetest-ca.pem'`+"\n")
	assert.Contains(t, readFile(t, filepath.Join(folder, "palettetest-ca.pem")), "BEGIN CERTIFICATE")
}

func TestServeLimitsTheRate(t *testing.T) {
	t.Parallel()
	env := startServe(t, "-rate-limit", "0.0001/2")
	var codes []int

	for range 3 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.TrimPrefix(env[0], "PALETTE_HOST=")+"/v1/apiKeys", nil)
		require.NoError(t, err)
		req.Header.Set("ApiKey", strings.TrimPrefix(env[1], "PALETTE_API_KEY="))
		resp, err := http.DefaultTransport.RoundTrip(req)
		require.NoError(t, err)
		_ = resp.Body.Close()
		codes = append(codes, resp.StatusCode)
	}

	assert.Equal(t, []int{200, 200, 429}, codes)
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
