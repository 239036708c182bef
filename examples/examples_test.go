// Package examples_test runs the example programs as processes.
package examples_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

// programs is the folder of the compiled examples.
var programs string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if programs, err = os.MkdirTemp("", "examples"); err != nil {
			panic(err)
		}
		defer os.RemoveAll(programs)
		build := exec.CommandContext(context.Background(), "go", "build", "-o", programs+"/", "./create", "./list", "./rotate", "./errors")
		if out, err := build.CombinedOutput(); err != nil {
			panic(string(out))
		}
		return m.Run()
	}())
}

// run runs an example with nothing in its environment but env.
func run(t *testing.T, env []string, name string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	for _, source := range []string{name, "..", "../rotation", "../palettetest"} {
		_, _ = os.ReadDir(source) // if a file in it changes, go test must not use a cached result
	}
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(t.Context(), filepath.Join(programs, name), args...)
	cmd.Env = append([]string{}, env...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); !errors.As(err, new(*exec.ExitError)) {
		require.NoError(t, err)
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

func environment(server *palettetest.Server) []string {
	return []string{"PALETTE_HOST=" + server.URL, "PALETTE_API_KEY=" + server.APIKey}
}

func TestCreatePrintsAKeyOfAnInMemoryPalette(t *testing.T) {
	t.Parallel()

	stdout, stderr, code := run(t, nil, "create")

	assert.Zero(t, code)
	assert.Regexp(t, `^palettetest\+\S+\n$`, stdout)
	assert.Contains(t, stderr, "PALETTE_API_KEY is not set: using an in-memory Palette\n")
}

func TestCreatePrintsAKeyOfThePaletteInTheEnvironment(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)

	stdout, stderr, code := run(t, environment(server), "create")

	assert.Zero(t, code)
	assert.Regexp(t, `^palettetest\+\S+\n$`, stdout)
	assert.NotContains(t, stderr, "in-memory")
	require.Len(t, server.Keys(), 1)
	assert.Equal(t, "example", server.Keys()[0].Name)
}

func TestCreateInventsNoKeyIfTheCredentialIsInvalid(t *testing.T) {
	t.Parallel()

	stdout, stderr, code := run(t, []string{"PALETTE_API_KEY_FILE=/no/such/file"}, "create")

	assert.Equal(t, 1, code)
	assert.Empty(t, stdout)
	assert.Contains(t, stderr, "PALETTE_API_KEY_FILE")
}

func TestListPrintsKeysThatExpireSoon(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)
	server.AddKey(palettetest.Key{UID: "a", Name: "old\x1b[2J", Expiry: time.Date(2020, 1, 31, 12, 0, 0, 0, time.UTC)})
	server.AddKey(palettetest.Key{UID: "b", Name: "forever"})

	stdout, stderr, code := run(t, environment(server), "list")

	assert.Zero(t, code, stderr)
	assert.Equal(t, `2020-01-31 a "old\x1b[2J"`+"\n", stdout)
}

func TestRotateReplacesAKeyThatExpiresSoonAndNothingElse(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)
	now := time.Now()
	_, value := server.AddKey(palettetest.Key{
		Name: "ci", Active: true, CreatedAt: now.AddDate(0, 0, -29), Expiry: now.AddDate(0, 0, 1),
	})
	file := filepath.Join(t.TempDir(), "ci.key")
	require.NoError(t, os.WriteFile(file, []byte(value), 0o600))
	env := []string{"PALETTE_HOST=" + server.URL, "PALETTE_API_KEY_FILE=" + file}

	first, firstErr, _ := run(t, env, "rotate", "ci", file)
	second, secondErr, _ := run(t, env, "rotate", "ci", file)

	assert.Contains(t, first, "rotated: the file holds the key ", firstErr)
	assert.Equal(t, "not due\n", second, secondErr)
	assert.Len(t, server.Keys(), 2)
}

func TestRotateWithoutCredentialLeavesTheFileAlone(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ci.key")
	require.NoError(t, os.WriteFile(file, []byte("my-key"), 0o600))

	_, stderr, code := run(t, nil, "rotate", "ci", file)

	content, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "PALETTE_API_KEY")
	assert.Equal(t, "my-key", string(content))
}

func TestErrorsShowsWhatToDo(t *testing.T) {
	t.Parallel()

	stdout, stderr, code := run(t, nil, "errors")

	assert.Zero(t, code, stderr)
	for _, advice := range []string{
		"correct the argument", "the key does not exist", "check the credential", "try again later", "look for the key",
	} {
		assert.Contains(t, stdout, "\t→ "+advice)
	}
}
