package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/examples/internal/programtest"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

func TestMain(m *testing.M) { programtest.Main(m, main) }

func newServer(t *testing.T) *palettetest.Server {
	t.Helper()
	server := palettetest.NewServer()
	t.Cleanup(server.Close)
	return server
}

func environment(server *palettetest.Server, key string) []string {
	return []string{"PALETTE_HOST=" + server.URL, "PALETTE_API_KEY=" + key}
}

func TestWithoutCredentialAKeyIsPrintedAndNothingLeavesTheMachine(t *testing.T) {
	t.Parallel()
	got := programtest.Run(t, nil)
	assert.Zero(t, got.Code)
	assert.Regexp(t, `^[A-Za-z0-9+/]{43}=\n$`, got.Stdout)
	assert.Contains(t, got.Stderr, "nothing leaves this machine")
}

func TestAgainstAServerInAnotherProcessTheKeyWorks(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	got := programtest.Run(t, environment(server, server.APIKey),
		"-name", "ci", "-description", "builds", "-expires", "2h")
	require.Zero(t, got.Code, got.Stderr)

	client, err := palette.NewClient(palette.WithAPIKey(strings.TrimSuffix(got.Stdout, "\n")), palette.WithBaseURL(server.URL))
	require.NoError(t, err)
	keys, err := client.APIKeys.FindByName(t.Context(), "ci")
	require.NoError(t, err)
	require.Len(t, keys, 1)
	assert.Equal(t, "builds", keys[0].Metadata.Description())
	assert.WithinRange(t, keys[0].Spec.Expiry, time.Now().Add(time.Hour), time.Now().Add(2*time.Hour))
	assert.Contains(t, got.Stderr, keys[0].Metadata.UID)
	assert.NotContains(t, got.Stderr, strings.TrimSpace(got.Stdout), "the key is on standard output alone")
	assert.NotContains(t, got.Stderr, "in-memory")
}

func TestTheKeyIsMadeForTheUserThatIsNamed(t *testing.T) {
	t.Parallel()
	server := palettetest.NewServer(palettetest.WithUser(palettetest.User{UID: "0123456789abcdef01234567"}))
	t.Cleanup(server.Close)
	got := programtest.Run(t, environment(server, server.APIKey), "-user", "0123456789abcdef01234567")
	require.Zero(t, got.Code, got.Stderr)
	require.Len(t, server.Keys(), 1)
	assert.Equal(t, "0123456789abcdef01234567", server.Keys()[0].UserUID)
}

func TestAFailureIsOneLineAndExitCode1(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	for name, test := range map[string]struct {
		env  []string
		want string
	}{
		"wrong key":          {environment(server, "wrong"), "401"},
		"host without a key": {[]string{"PALETTE_HOST=" + server.URL}, "no credential"},
		"host that is none":  {[]string{"PALETTE_HOST=ftp://x", "PALETTE_API_KEY=k"}, "PALETTE_HOST"},
		"key from a file":    {environment(server, "key\n"), "newline"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := programtest.Run(t, test.env)
			assert.Equal(t, 1, got.Code)
			assert.Empty(t, got.Stdout)
			assert.Contains(t, got.Stderr, test.want)
			assert.Equal(t, 1, strings.Count(got.Stderr, "\n"), got.Stderr)
		})
	}
	assert.Empty(t, server.Keys())
}

func TestFlagsThatMakeNoSenseSendNothing(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	for _, args := range [][]string{{"-expires", "0s"}, {"-expires", "soon"}, {"-nonsense"}, {"stray"}} {
		got := programtest.Run(t, environment(server, server.APIKey), args...)
		assert.Equal(t, 2, got.Code, args)
		assert.NotEmpty(t, got.Stderr, args)
	}
	assert.Zero(t, programtest.Run(t, nil, "-h").Code)
	assert.Empty(t, server.Requests())
}

func TestCtrlCEndsTheProgramCleanly(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else the server does not see the client go
		close(arrived)
		<-r.Context().Done()
	}))
	t.Cleanup(silent.Close)
	program, finish := programtest.Start(t, []string{"PALETTE_HOST=" + silent.URL, "PALETTE_API_KEY=key"})
	require.NoError(t, program.Start())
	<-arrived
	require.NoError(t, program.Process.Signal(os.Interrupt))
	got := finish()
	assert.Equal(t, 1, got.Code)
	assert.Empty(t, got.Stdout)
	assert.Contains(t, got.Stderr, "the key may exist", "the request was on its way")
	assert.Equal(t, 1, strings.Count(got.Stderr, "\n"), got.Stderr)
}
