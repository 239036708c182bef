package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

const (
	alice = "0123456789abcdef01234567"
	bob   = "89abcdef0123456789abcdef"
)

// requireWorks requires that the printed key works as a credential.
func requireWorks(t *testing.T, server *palettetest.Server, printed string) {
	t.Helper()
	client, err := palette.NewClient(palette.WithBaseURL(server.URL), palette.WithAPIKey(strings.TrimSuffix(printed, "\n")))
	require.NoError(t, err)
	_, err = client.APIKeys.List(t.Context())
	require.NoError(t, err)
}

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

// createIntoClosedPipe runs create with a standard output that cannot be written.
func createIntoClosedPipe(t *testing.T, server *palettetest.Server) result {
	t.Helper()
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, reader.Close())
	cmd := newTool(t, environment(server), "create", "-name", "ci")
	cmd.Stdout = writer
	return finish(t, cmd)
}

func TestCreateDeletesAKeyThatItCannotWrite(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)

	got := createIntoClosedPipe(t, server)

	assert.Equal(t, 1, got.code)
	assert.Contains(t, got.stderr, "the key was deleted")
	assert.Empty(t, server.Keys())
}

func TestCreateNamesAKeyThatItCanNeitherWriteNorDelete(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)
	server.Inject(palettetest.Fault{Method: http.MethodDelete, Status: http.StatusForbidden})

	got := createIntoClosedPipe(t, server)

	assert.Equal(t, 1, got.code)
	assert.Contains(t, got.stderr, "delete the key "+server.Keys()[0].UID)
}

func TestInterruptedCreateSaysThatAKeyMayExist(t *testing.T) {
	t.Parallel()
	env, arrived := blockRequests(t, palettetest.Start(t), http.MethodPost)
	tool := start(t, newTool(t, env, "create", "-name", "ci"))
	<-arrived

	output, code := tool.interrupt(t, syscall.SIGTERM)

	assert.Equal(t, 130, code)
	assert.Contains(t, output, "palette-keys: interrupted: ")
	assert.Contains(t, output, "a key with this name may exist")
}

func TestListAndGet(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t, palettetest.WithUser(palettetest.User{UID: alice, FirstName: "Alice", LastName: "A"}))
	server.AddKey(palettetest.Key{UID: "a1", Name: "ci", Active: true, UserUID: alice, Expiry: time.Now().Add(50 * time.Hour)})
	server.AddKey(palettetest.Key{UID: "b1", Name: "\x1b\u009b\n", UserUID: bob})
	server.AddKey(palettetest.Key{UID: "c1", Name: "old", UserUID: bob, Expiry: time.Date(2020, 1, 31, 12, 0, 0, 0, time.UTC)})
	expiry := server.Keys()[0].Expiry.Format(time.RFC3339)

	list := runTool(t, environment(server), "list")
	get := runTool(t, environment(server), "get", "c1")

	assert.Equal(t, `NAME                UID  ACTIVE  EXPIRES                             OWNER
ci                  a1   yes     `+expiry+` (2 days left)  `+alice+` (Alice A)
\u001b\u009b\u000a  b1   no      never                               `+bob+`
old                 c1   no      2020-01-31T12:00:00Z (expired)      `+bob+`
`, list.stdout)
	assert.Equal(t, `NAME  UID  ACTIVE  EXPIRES                         OWNER
old   c1   no      2020-01-31T12:00:00Z (expired)  `+bob+`
`, get.stdout)
}

func TestListAndGetWithJSON(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)
	created := time.Date(2024, 9, 16, 14, 46, 28, 677e6, time.UTC)
	server.AddKey(palettetest.Key{UID: "a1", Name: "<ci>\u009b", Active: true, CreatedAt: created})

	list := runTool(t, environment(server), "list", "-json")
	get := runTool(t, environment(server), "get", "a1", "-json")

	assert.JSONEq(t, `{"items":[`+get.stdout+`]}`, list.stdout)
	assert.Contains(t, get.stdout, `
    "creationTimestamp": "2024-09-16T14:46:28.677Z",
    "lastModifiedTimestamp": "2024-09-16T14:46:28.677Z",
    "name": "<ci>\u009b",
    "uid": "a1"
  },
  "spec": {
    "user": {
      "firstName": "Tenant",
`)
}

func TestRevokeAndDeleteContinueAfterAnError(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)
	server.AddKey(palettetest.Key{UID: "a", Active: true})
	server.AddKey(palettetest.Key{UID: "b", Active: true})

	revoked := runTool(t, environment(server), "revoke", "a", "missing", "b")
	active := server.Keys()
	deleted := runTool(t, environment(server), "delete", "a", "b")

	assert.Equal(t, 1, revoked.code)
	assert.Equal(t, "revoked a (1 of 3)\nrevoked b (2 of 3)\n", revoked.stdout)
	assert.Contains(t, revoked.stderr, "palette-keys: missing: palette: apiKeys.revoke: 404")
	assert.Contains(t, revoked.stderr, "revoked 2 of 3 keys\n")
	assert.False(t, active[0].Active || active[1].Active)
	assert.Equal(t, result{stdout: "deleted a (1 of 2)\ndeleted b (2 of 2)\n"}, deleted)
	assert.Empty(t, server.Keys())
}

// newOffboarding returns a server with two keys of alice and one of bob.
func newOffboarding(t *testing.T) *palettetest.Server {
	t.Helper()
	server := palettetest.Start(t)
	server.AddKey(palettetest.Key{UID: "a1", Name: "ci", UserUID: alice, Active: true})
	server.AddKey(palettetest.Key{UID: "b1", Name: "ci", UserUID: bob, Active: true})
	server.AddKey(palettetest.Key{UID: "a2", Name: "cd", UserUID: alice})
	return server
}

// changes returns the methods and paths of the requests that change something.
func changes(server *palettetest.Server) (all []string) {
	for _, r := range server.Requests() {
		if r.Method != http.MethodGet {
			all = append(all, r.Method+" "+r.Path)
		}
	}
	return all
}

func TestOffboardRevokesAllKeysBeforeItDeletesThem(t *testing.T) {
	t.Parallel()
	server := newOffboarding(t)
	server.AddKey(palettetest.Key{UID: "a3", Name: "web", UserUID: alice, Active: true})

	got := runTool(t, environment(server), "offboard", alice, "-yes")

	require.Zero(t, got.code, got.stderr)
	assert.Equal(t, []string{
		"PUT /v1/apiKeys/a1/state", "PUT /v1/apiKeys/a3/state",
		"DELETE /v1/apiKeys/a1", "DELETE /v1/apiKeys/a2", "DELETE /v1/apiKeys/a3",
	}, changes(server))
	assert.Contains(t, got.stdout, "\ncd    a2   no      never    "+alice+"\n")
	assert.Contains(t, got.stdout, "\nrevoked and deleted 3 keys of the user "+alice+"\n")
	assert.Contains(t, got.stderr, "revoked a3 (2 of 2)\ndeleted a1 (1 of 3)\n")
	require.Len(t, server.Keys(), 1)
	assert.Equal(t, "b1", server.Keys()[0].UID)
}

func TestOffboardRequiresYesWithoutATerminal(t *testing.T) {
	t.Parallel()
	server := newOffboarding(t)
	piped := newTool(t, environment(server), "offboard", alice)
	piped.Stdin = strings.NewReader("yes\n")

	pipe, null := finish(t, piped), runTool(t, environment(server), "offboard", alice)

	assert.Equal(t, []int{2, 2}, []int{pipe.code, null.code})
	assert.Contains(t, pipe.stdout, "a1")
	assert.Contains(t, pipe.stderr, "standard input is not a terminal, use -yes\n")
	assert.Empty(t, changes(server))
}

func TestOffboardSucceedsIfAKeyIsAlreadyDeleted(t *testing.T) {
	t.Parallel()
	server := newOffboarding(t)
	server.Inject(palettetest.Fault{
		Path: "/v1/apiKeys/{uid}/state", Status: http.StatusNotFound, Body: `{"code":"ResourceNotFound","message":"it was deleted"}`,
	})

	got := runTool(t, environment(server), "offboard", alice, "-yes")

	assert.Zero(t, got.code, got.stderr)
}

func TestOffboardFinishesInASecondRun(t *testing.T) {
	t.Parallel()
	server := newOffboarding(t)
	server.Inject(palettetest.Fault{Method: http.MethodDelete, Path: "/v1/apiKeys/a1", Status: http.StatusForbidden})

	first := runTool(t, environment(server), "offboard", alice, "-yes")
	second := runTool(t, environment(server), "offboard", alice, "-yes")

	assert.Equal(t, []int{1, 0}, []int{first.code, second.code})
	assert.Contains(t, first.stderr, "palette-keys: a1: palette: apiKeys.delete: 403")
	assert.Contains(t, first.stderr, "deleted 1 of 2 keys\n")
	assert.Contains(t, first.stderr, "not finished: run the same command again")
	assert.Len(t, server.Keys(), 1)
}

func TestOffboardStopsIfTheCredentialDoesNotWork(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t, palettetest.WithUser(palettetest.User{UID: alice, Admin: true}))
	_, own := server.AddKey(palettetest.Key{UserUID: alice, Active: true})
	server.AddKey(palettetest.Key{UserUID: alice, Active: true})
	server.AddKey(palettetest.Key{UserUID: alice, Active: true})

	got := runTool(t, []string{"PALETTE_HOST=" + server.URL, "PALETTE_API_KEY=" + own}, "offboard", alice, "-yes")

	assert.Equal(t, 1, got.code)
	assert.Contains(t, got.stderr, "401")
	assert.Contains(t, got.stderr, "revoked 1 of 3 keys\n")
	assert.Contains(t, got.stderr, "not finished: run the same command with the credential of another user")
	assert.Len(t, changes(server), 2)
}

func TestInterruptedOffboardSaysWhatIsDone(t *testing.T) {
	t.Parallel()
	server := newOffboarding(t)
	env, arrived := blockRequests(t, server, http.MethodDelete)
	tool := start(t, newTool(t, env, "offboard", alice, "-yes"))
	<-arrived

	output, code := tool.interrupt(t, os.Interrupt)

	assert.Equal(t, 130, code)
	assert.Contains(t, output, "revoked a1 (1 of 1)\n")
	assert.Contains(t, output, "deleted 0 of 2 keys\n")
	assert.Contains(t, output, "not finished: run the same command again")
	assert.False(t, server.Keys()[0].Active)
}

func TestOffboardReportsAKeyThatWasCreatedInTheMeantime(t *testing.T) {
	t.Parallel()
	server := newOffboarding(t)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/a2") {
			server.AddKey(palettetest.Key{UID: "a3", UserUID: alice, Active: true})
		}
		server.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)

	got := runTool(t, []string{"PALETTE_HOST=" + proxy.URL, "PALETTE_API_KEY=" + server.APIKey}, "offboard", alice, "-yes")

	assert.Equal(t, 1, got.code)
	assert.Contains(t, got.stderr, "deleted a2 (2 of 2)\npalette-keys: offboard: not finished: run the same command again\n")
}
