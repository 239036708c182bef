package main

import (
	"net/http"
	"os"
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

func TestRotateByTheUIDOfAKeyThatWasReplaced(t *testing.T) {
	t.Parallel()
	server, file, env := newRotation(t)

	runTool(t, env, "rotate", "old", "-out", file)
	got := runTool(t, env, "rotate", "old", "-renew-before", "7d", "-out", file)

	keys := server.Keys()
	assert.WithinDuration(t, time.Now().Add(10*time.Minute), keys[0].Expiry, 2*time.Minute, "the default overlap")
	assert.Equal(t, result{stdout: "not due: the key " + keys[1].UID + " expires: " + keys[1].Expiry.Format(time.RFC3339) + "\n"}, got)
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
	requireUnix(t)
	server, _, env := newRotation(t)
	saved := filepath.Join(t.TempDir(), "saved")
	script := `cat > "$1.new" && mv "$1.new" "$1" && echo "args $#" && echo done >&2`

	got := runTool(t, env, "rotate", "-name", "ci", "-load", "cat "+saved+" 2>/dev/null; echo", "--", "sh", "-c", script, "sh", saved)

	require.Zero(t, got.code, got.stderr)
	assert.NotContains(t, readFile(t, saved), "\n")
	requireWorks(t, server, readFile(t, saved))
	assert.Equal(t, "done\n", got.stderr)
	assert.NotContains(t, got.stdout, "args")
}

func TestRotateFailsIfACommandFails(t *testing.T) {
	t.Parallel()
	requireUnix(t)
	for name, args := range map[string][]string{
		"save command: exit status 7": {"-load", "echo", "--", "sh", "-c", "exit 7"},
		"load command: exit status 8": {"-load", "exit 8", "--", "cat"},
		"load the new key to compare": {"-load", "echo another", "--", "cat"},
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
	requireUnix(t)
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			server, file, env := newRotation(t)
			runTool(t, env, "rotate", "-name", "ci", "-overlap", "0", "-out", file) // its key can be told from others
			tool := start(t, newTool(t, env, "rotate", "-name", "ci", "-load", "cat "+file, "--", "sh", "-c", "echo saving >&2; exec sleep 30"))
			tool.waitFor(t, "saving")

			output, code := tool.signal(t, signal)
			left := server.Keys()
			second := runTool(t, env, "rotate", "-name", "ci", "-out", file, "-overlap", "0")

			assert.Equal(t, 130, code)
			assert.Contains(t, output, "palette-keys: interrupted: rotation: save the new key: ")
			assert.Contains(t, output, left[1].UID)
			require.Zero(t, second.code, second.stderr)
			assert.Len(t, server.Keys(), 2, "the key of the first run may still come to light")
			requireWorks(t, server, readFile(t, file))
		})
	}
}

func TestRotateFindsASaveThatOutlivedAKilledRun(t *testing.T) {
	t.Parallel()
	requireUnix(t)
	server, file, env := newRotation(t)
	tool := start(t, newTool(t, env, "rotate", "-name", "ci", "-load", "cat "+file, "--",
		"sh", "-c", `echo saving >&2; sleep 1; cat > "$0.new" && mv "$0.new" "$0"`, file))
	tool.waitFor(t, "saving")

	_, _ = tool.signal(t, os.Kill) // returns when the command has closed its standard error, too
	requireWorks(t, server, readFile(t, file))
	keys := server.Keys()
	second := runTool(t, env, "rotate", "-name", "ci", "-renew-before", "1d", "-overlap", "0", "-out", file)

	require.Len(t, keys, 2)
	assert.Equal(t, result{stdout: "rotated: the new key " + keys[1].UID + " is saved, the old key old was deleted\n"}, second)
	assert.Len(t, server.Keys(), 1)
}

func TestCommandsOfRotateDoNotSeeTheCredential(t *testing.T) {
	t.Parallel()
	requireUnix(t)
	server, file, _ := newRotation(t)
	folder := t.TempDir()
	load := "env > " + folder + "/load; cat " + file
	save := "env > " + folder + "/save; cat > " + file

	got := runTool(t, append(environment(server), "OTHER=kept"), "rotate", "-name", "ci", "-load", load, "--", "sh", "-c", save)

	require.Zero(t, got.code, got.stderr)
	for _, name := range []string{"load", "save"} {
		env := readFile(t, filepath.Join(folder, name))
		assert.NotContains(t, env, server.APIKey)
		assert.NotContains(t, env, "PALETTE_API_KEY=")
		assert.Contains(t, env, "OTHER=kept\n")
	}
}

func TestRotateKeepsAFileThatHoldsNoKey(t *testing.T) {
	t.Parallel()
	server, _, _ := newRotation(t)
	file := writeFile(t, "name: app\npassword: x\n")

	got := runTool(t, environment(server), "rotate", "-name", "ci", "-out", file)

	assert.Equal(t, 1, got.code)
	assert.Equal(t, "name: app\npassword: x\n", readFile(t, file))
	assert.Len(t, server.Keys(), 1)
	assert.Empty(t, changes(server))
}

func TestRotateWithJSON(t *testing.T) {
	t.Parallel()
	server, file, env := newRotation(t)

	rotated := runTool(t, env, "rotate", "-name", "ci", "-json", "-out", file)
	keys := server.Keys()
	require.Len(t, keys, 2, rotated.stderr)
	deleted := runTool(t, env, "rotate", "-name", "ci", "-json", "-overlap", "0", "-out", file)
	newest := server.Keys()[1]
	notDue := runTool(t, env, "rotate", "-name", "ci", "-json", "-renew-before", "1d", "-out", file)

	assert.JSONEq(t, `{"rotated":true,"oldUid":"old","newUid":"`+keys[1].UID+`","oldExpiry":"`+keys[0].Expiry.Format(time.RFC3339Nano)+`"}`, rotated.stdout)
	assert.JSONEq(t, `{"rotated":true,"oldUid":"`+keys[1].UID+`","newUid":"`+newest.UID+`"}`, deleted.stdout)
	assert.JSONEq(t, `{"rotated":false,"oldUid":"`+newest.UID+`","newUid":"`+newest.UID+`","oldExpiry":"`+
		newest.Expiry.Format(time.RFC3339Nano)+`"}`, notDue.stdout)
}

func TestDryRunSaysWhatRotateWouldDo(t *testing.T) {
	t.Parallel()
	expiry := `\d{4}-\S+Z`
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"due":     {[]string{"-renew-before", "7d"}, `^would rotate: the key old expires: ` + expiry + `\n$`},
		"always":  {nil, `^would rotate: the key old expires: ` + expiry + `\n$`},
		"not due": {[]string{"-renew-before", "12h"}, `^not due: the key old expires: ` + expiry + `\n$`},
		"JSON":    {[]string{"-renew-before", "7d", "-json"}, `^\{\n  "oldExpiry": "` + expiry + `",\n  "oldUid": "old",\n  "wouldRotate": true\n\}\n$`},
		"JSON, not due": {
			[]string{"-renew-before", "12h", "-json"},
			`^\{\n  "oldExpiry": "` + expiry + `",\n  "oldUid": "old",\n  "wouldRotate": false\n\}\n$`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, file, env := newRotation(t)
			before := readFile(t, file)

			got := runTool(t, env, append([]string{"rotate", "-name", "ci", "-dry-run", "-out", file}, tt.args...)...)

			assert.Zero(t, got.code)
			assert.Empty(t, got.stderr)
			assert.Regexp(t, tt.want, got.stdout)
			assert.Empty(t, changes(server))
			assert.Equal(t, before, readFile(t, file))
		})
	}
}

// The store is empty, so a run repairs it, although the key does not expire soon.
func TestDryRunDecidesAsRotateDoes(t *testing.T) {
	t.Parallel()
	server, _, _ := newRotation(t)
	file := filepath.Join(t.TempDir(), "missing")

	preview := runTool(t, environment(server), "rotate", "-name", "ci", "-dry-run", "-renew-before", "12h", "-out", file)
	unchanged := changes(server)
	run := runTool(t, environment(server), "rotate", "-name", "ci", "-renew-before", "12h", "-out", file)

	assert.Contains(t, preview.stdout, "would rotate: the key old")
	assert.Empty(t, unchanged)
	assert.Contains(t, run.stdout, "rotated: ")
}

// A run deletes the key that has expired, and then rotates.
func TestDryRunDecidesAsRotateDoesIfAnOldKeyHasExpired(t *testing.T) {
	t.Parallel()
	before, file, env := newRotation(t)
	rotated := runTool(t, env, "rotate", "-name", "ci", "-out", file)
	require.Zero(t, rotated.code, rotated.stderr)
	server := palettetest.Start(t) // some hours later
	for i, key := range before.Keys() {
		if i == 0 {
			key.Expiry = time.Now().Add(-4 * time.Hour)
		}
		server.AddKey(key)
	}

	preview := runTool(t, environment(server), "rotate", "-name", "ci", "-dry-run", "-out", file)
	unchanged := changes(server)
	run := runTool(t, environment(server), "rotate", "-name", "ci", "-out", file)

	assert.Contains(t, preview.stdout, "would rotate: the key "+before.Keys()[1].UID)
	assert.Empty(t, unchanged)
	assert.Contains(t, run.stdout, "rotated: ")
	assert.Contains(t, changes(server), "DELETE /v1/apiKeys/old")
}

func TestDryRunSaysThatARotationIsToBeFinished(t *testing.T) {
	t.Parallel()
	server, file, _ := newRotation(t)
	server.Inject(palettetest.Fault{Method: http.MethodPut, Path: "/v1/apiKeys/old", Status: http.StatusForbidden, Times: -1})
	incomplete := runTool(t, environment(server), "rotate", "-name", "ci", "-overlap", "1h", "-out", file)
	sent := len(changes(server))

	preview := runTool(t, environment(server), "rotate", "-name", "ci", "-overlap", "1h", "-renew-before", "12h", "-dry-run", "-out", file)

	assert.Equal(t, 1, incomplete.code)
	assert.Contains(t, incomplete.stdout, "rotated: the new key ")
	assert.Contains(t, incomplete.stderr, "retire the key old: ")
	assert.Zero(t, preview.code, preview.stderr)
	assert.Contains(t, preview.stdout, "would finish an interrupted rotation: the key "+server.Keys()[1].UID+" expires: ")
	assert.Len(t, changes(server), sent)
}

func TestDryRunFailsIfTheStoreCannotBeRead(t *testing.T) {
	t.Parallel()
	requireUnix(t)
	server, _, env := newRotation(t)

	got := runTool(t, env, "rotate", "-name", "ci", "-dry-run", "-load", "exit 8", "--", "cat")

	assert.Equal(t, 1, got.code)
	assert.Contains(t, got.stderr, "load command: exit status 8")
	assert.Empty(t, changes(server))
}

func TestDryRunFailsIfThePolicyIsInvalid(t *testing.T) {
	t.Parallel()
	server, file, env := newRotation(t)

	got := runTool(t, env, "rotate", "-name", "ci", "-dry-run", "-renew-before", "31d", "-out", file)

	assert.Equal(t, 2, got.code)
	assert.Contains(t, got.stderr, "the lifetime of the new key, ")
	assert.Empty(t, got.stdout)
	assert.Empty(t, changes(server))
}

func TestRotateThatRepairsAStoreFails(t *testing.T) {
	t.Parallel()
	server, file, _ := newRotation(t)
	runTool(t, environment(server), "rotate", "-name", "ci", "-out", file)
	backup := readFile(t, file)
	runTool(t, environment(server), "rotate", "-name", "ci", "-out", file)
	require.NoError(t, os.WriteFile(file, []byte(backup), 0o600))

	got := runTool(t, environment(server), "rotate", "-name", "ci", "-renew-before", "1h", "-out", file, "-json")

	assert.Equal(t, 1, got.code)
	assert.Contains(t, got.stdout, `"rotated": true`)
	assert.Contains(t, got.stderr, `"kind": "reverted"`)
	requireWorks(t, server, readFile(t, file))
}
