package main

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

// newRotation returns a server with a key that expires in one of its 30 days, its value in
// a file, and an environment in which the file is the credential.
func newRotation(t *testing.T) (server *palettetest.Server, file string, env []string) {
	t.Helper()
	server = palettetest.Start(t)
	now := time.Now()
	_, value := server.AddKey(palettetest.Key{
		UID: "old", Name: "ci", Active: true, CreatedAt: now.AddDate(0, 0, -29), Expiry: now.AddDate(0, 0, 1),
	})
	file = writeFile(t, value+"\n")
	return server, file, []string{"PALETTE_HOST=" + server.URL, "PALETTE_API_KEY_FILE=" + file}
}

func TestRotateWithOverlap(t *testing.T) {
	t.Parallel()
	server, file, env := newRotation(t)
	before := readFile(t, file)

	got := runTool(t, env, "rotate", "old", "-overlap", "1h", "-valid-for", "90d", "-out", file)

	require.Zero(t, got.code, got.stderr)
	keys := server.Keys()
	require.Len(t, keys, 2)
	assert.Equal(t, "rotated: the new key "+keys[1].UID+" is saved, the old key old works until "+
		keys[0].Expiry.Format(time.RFC3339)+"\n", got.stdout)
	assert.WithinDuration(t, time.Now().Add(time.Hour), keys[0].Expiry, 10*time.Minute)
	assert.WithinDuration(t, time.Now().AddDate(0, 0, 90), keys[1].Expiry, time.Hour)
	requireWorks(t, server, before)
	requireWorks(t, server, readFile(t, file))
	assert.NotEqual(t, before, readFile(t, file))
}

func TestRotateWithoutOverlapDeletesTheOldKey(t *testing.T) {
	t.Parallel()
	server, file, env := newRotation(t)
	server.AddKey(palettetest.Key{Name: "ci", UserUID: bob, Active: true})

	got := runTool(t, env, "rotate", "-name", "ci", "-user", palettetest.AdminUID, "-overlap", "0", "-out", file)

	require.Zero(t, got.code, got.stderr)
	assert.Regexp(t, `^rotated: the new key \S+ is saved, the old key old was deleted\n$`, got.stdout)
	assert.Len(t, server.Keys(), 2)
	requireWorks(t, server, readFile(t, file))
}

func TestRotateThatIsNotDue(t *testing.T) {
	t.Parallel()
	server, file, env := newRotation(t)
	server.AddKey(palettetest.Key{UID: "forever", Name: "forever", Active: true})
	expiry := server.Keys()[0].Expiry.Format(time.RFC3339)

	early := runTool(t, env, "rotate", "-name", "ci", "-renew-before", "12h", "-out", file)
	never := runTool(t, env, "rotate", "forever", "-renew-before", "12h", "-out", file)

	assert.Equal(t, result{stdout: "not due: the key old expires: " + expiry + "\n"}, early)
	assert.Equal(t, result{stdout: "not due: the key forever expires: never\n"}, never)
	assert.Len(t, server.Keys(), 2)
}

func TestRotateOfAKeyThatWasReplaced(t *testing.T) {
	t.Parallel()
	server, file, env := newRotation(t)

	runTool(t, env, "rotate", "old", "-out", file)
	got := runTool(t, env, "rotate", "old", "-out", file)

	assert.WithinDuration(t, time.Now().Add(10*time.Minute), server.Keys()[0].Expiry, 2*time.Minute, "the default overlap")
	assert.Equal(t, result{
		stdout: "not rotated: the key old was replaced by the key " + server.Keys()[1].UID + " before\n",
	}, got)
}

func TestRotateEscapesTheAnnotationOfAKey(t *testing.T) {
	t.Parallel()
	server, file, env := newRotation(t)
	server.AddKey(palettetest.Key{UID: "a", Name: "a", Active: true, Annotations: map[string]string{
		"rotation/replacedBy": "a \x1b[2J\nrotated",
	}})

	got := runTool(t, env, "rotate", "a", "-out", file)

	assert.Equal(t, result{stdout: `not rotated: the key a was replaced by the key \u001b[2J\u000arotated before` + "\n"}, got)
}

func TestTheSameRotateGoesOnWorking(t *testing.T) {
	t.Parallel()
	server, file, env := newRotation(t)
	seen := map[string]bool{}

	for range 6 {
		got := runTool(t, env, "rotate", "-name", "ci", "-overlap", "1h", "-out", file)

		require.Zero(t, got.code, got.stderr)
		requireWorks(t, server, readFile(t, file))
		seen[readFile(t, file)] = true
	}

	assert.Len(t, seen, 6)
}

func TestRotateGivesTheKeyToACommandOnStandardInput(t *testing.T) {
	t.Parallel()
	server, _, env := newRotation(t)
	saved := filepath.Join(t.TempDir(), "saved")
	script := `cat > "$1.new" && mv "$1.new" "$1" && echo "args $#" && echo done >&2`

	got := runTool(t, env, "rotate", "-name", "ci", "-load", "cat "+saved+"; echo", "--", "sh", "-c", script, "sh", saved)

	require.Zero(t, got.code, got.stderr)
	assert.NotContains(t, readFile(t, saved), "\n")
	requireWorks(t, server, readFile(t, saved))
	assert.Equal(t, "done\n", got.stderr)
	assert.NotContains(t, got.stdout, "args")
}

func TestRotateFailsIfACommandFails(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"save command: exit status 7": {"--", "sh", "-c", "exit 7"},
		"load command: exit status 8": {"-load", "exit 8", "--", "cat"},
		"save the new key":            {"-load", "echo another", "--", "cat"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, file, env := newRotation(t)

			got := runTool(t, env, append([]string{"rotate", "-name", "ci"}, args...)...)

			assert.Equal(t, 1, got.code)
			assert.Empty(t, got.stdout)
			assert.Contains(t, got.stderr, name)
			requireWorks(t, server, readFile(t, file))
		})
	}
}

func TestInterruptedRotateIsFinishedByTheNextRun(t *testing.T) {
	t.Parallel()
	server, file, env := newRotation(t)
	tool := start(t, newTool(t, env, "rotate", "-name", "ci", "--", "sh", "-c", "echo saving >&2; exec sleep 600"))
	tool.waitFor(t, "saving")

	output, code := tool.signal(t, syscall.SIGTERM)
	left := server.Keys()
	second := runTool(t, env, "rotate", "-name", "ci", "-out", file, "-overlap", "0")

	assert.Equal(t, 130, code)
	assert.Contains(t, output, "palette-keys: interrupted: rotation: save the new key: ")
	assert.Contains(t, output, left[1].UID)
	require.Zero(t, second.code, second.stderr)
	assert.Len(t, server.Keys(), 1)
	requireWorks(t, server, readFile(t, file))
}

// A store that cannot be read is not an empty one: rotation would delete keys that it holds.
func TestStoreWithoutLoadCommandIsNotEmpty(t *testing.T) {
	t.Parallel()
	store := &commandStore{save: []string{"cat"}}

	_, err := store.Load(t.Context())

	require.ErrorIs(t, err, errors.ErrUnsupported)
}
