package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

func TestCreatePrintsTheKeyAlone(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t, palettetest.WithUser(palettetest.User{UID: alice}))

	got := runTool(t, environment(server), "create", "-name", "ci", "-description", "builds", "-user", alice, "-expires", "30d")

	require.Zero(t, got.code, got.stderr)
	requireWorks(t, server, got.stdout)
	require.Len(t, server.Keys(), 1)
	key := server.Keys()[0]
	assert.Equal(t, "ci", key.Name)
	assert.Equal(t, alice, key.UserUID)
	assert.Equal(t, map[string]string{"description": "builds"}, key.Annotations)
	assert.WithinDuration(t, time.Now().Add(30*24*time.Hour), key.Expiry, time.Hour)
	assert.Equal(t, "created the key with the uid "+key.UID+"\n", got.stderr)
}

func TestCreateWithJSON(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)

	got := runTool(t, environment(server), "create", "-json", "-name", "ci", "-expires", "2098-01-31T13:00:00+01:00")

	var printed map[string]string
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &printed))
	requireWorks(t, server, printed["apiKey"])
	delete(printed, "apiKey")
	assert.Equal(t, map[string]string{"uid": server.Keys()[0].UID, "name": "ci", "expiry": "2098-01-31T12:00:00Z"}, printed)
	assert.Empty(t, got.stderr)
}

func TestCreateWritesAFile(t *testing.T) {
	t.Parallel()
	requireUnix(t)
	server := palettetest.Start(t)
	file := filepath.Join(t.TempDir(), "ci.key")

	got := runTool(t, environment(server), "create", "-name", "ci", "-out", file)

	require.Zero(t, got.code, got.stderr)
	assert.Empty(t, got.stdout)
	requireWorks(t, server, readFile(t, file))
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
	assert.True(t, server.Keys()[0].Expiry.IsZero(), "without -expires, the server decides")
}

func TestCreateNeverOverwritesAFile(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)
	file := writeFile(t, "my-key\n")

	got := runTool(t, environment(server), "create", "-name", "ci", "-out", file)

	assert.Equal(t, 2, got.code)
	assert.Contains(t, got.stderr, "no key was created")
	assert.Equal(t, "my-key\n", readFile(t, file))
	assert.Empty(t, server.Requests())
}

func TestCreateLeavesNoFileWithoutAKey(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)
	server.Inject(palettetest.Fault{Method: http.MethodPost, Status: http.StatusForbidden})
	file := filepath.Join(t.TempDir(), "ci.key")

	got := runTool(t, environment(server), "create", "-name", "ci", "-out", file)

	assert.Equal(t, 1, got.code)
	assert.NoFileExists(t, file)
}

func TestCreateDeletesAKeyThatItCannotWrite(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)

	cmd := newTool(t, environment(server), "create", "-name", "ci")
	cmd.Stdout = closedPipe(t)

	got := finish(t, cmd)

	assert.Equal(t, 1, got.code)
	assert.Contains(t, got.stderr, "the key was deleted")
	assert.Empty(t, server.Keys())
}

func TestCreateNamesAKeyThatItCanNeitherWriteNorDelete(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)
	server.Inject(palettetest.Fault{Method: http.MethodDelete, Status: http.StatusForbidden})

	cmd := newTool(t, environment(server), "create", "-name", "ci")
	cmd.Stdout = closedPipe(t)

	got := finish(t, cmd)

	assert.Equal(t, 1, got.code)
	assert.Contains(t, got.stderr, "delete the key "+server.Keys()[0].UID)
}

func TestCreateDeletesAKeyThatDoesNotFit(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)
	cmd := newTool(t, environment(server), "create", "-name", "ci")
	cmd.Stdout = openFullDevice(t)

	got := finish(t, cmd)

	assert.Equal(t, 1, got.code)
	assert.Contains(t, got.stderr, "no space left on device; the key was deleted")
	assert.Empty(t, server.Keys())
}

func TestFilesThatDoNotFitAreNotReplaced(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)
	file, old := filepath.Join(t.TempDir(), "ci.key"), writeFile(t, "old")
	env := append(environment(server), "FILE="+file, "OLD="+old)

	created := runShell(t, env, `ulimit -f 0; exec "$TOOL" create -name ci -out "$FILE"`)
	audited := runShell(t, env, `ulimit -f 0; exec "$TOOL" audit -prometheus -out "$OLD"`)

	assert.Equal(t, []int{1, 1}, []int{created.code, audited.code})
	assert.Contains(t, created.stderr, "file too large; the key was deleted")
	assert.NoFileExists(t, file)
	assert.Empty(t, server.Keys())
	assert.Contains(t, audited.stderr, "palette-keys: audit: ")
	assert.Equal(t, "old", readFile(t, old))
}

func TestCreateWithoutStandardOutputCreatesNoKey(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)

	closed := runShell(t, environment(server), `exec "$TOOL" create -name ci >&-`)
	left := server.Keys()
	null := runShell(t, environment(server), `exec "$TOOL" create -name ci >/dev/null`)

	assert.Equal(t, result{stderr: "palette-keys: create: no key was created: there is no standard output\n", code: 2}, closed)
	assert.Empty(t, left)
	assert.Zero(t, null.code, "the user does not want the value")
}

func TestCreateWritesToStandardOutputForADash(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)
	cmd := newTool(t, environment(server), "create", "-name", "ci", "-out", "-")
	cmd.Dir = t.TempDir()

	got := finish(t, cmd)

	require.Zero(t, got.code, got.stderr)
	requireWorks(t, server, got.stdout)
	assert.NoFileExists(t, filepath.Join(cmd.Dir, "-"))
}
