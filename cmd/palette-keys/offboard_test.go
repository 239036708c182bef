package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

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
	assert.Contains(t, got.stdout, "\nrevoked 2 and deleted 3 keys of the user "+alice+"\n")
	assert.Contains(t, got.stdout, "revoked a3 (2 of 2)\ndeleted a1 (1 of 3)\n")
	assert.Empty(t, got.stderr)
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
	assert.Contains(t, pipe.stderr, "there is no terminal to ask on, use -yes\n")
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
	assert.Contains(t, first.stderr, "offboard: revoked 1 and deleted 1 keys of the user "+alice+"; 1 left: run the same command again\n")
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

func TestOffboardReportsAKeyThatWasCreatedInTheMeantime(t *testing.T) {
	t.Parallel()
	server := newOffboarding(t)
	env := startProxy(t, server, func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/a2") {
			server.AddKey(palettetest.Key{UID: "a3", UserUID: alice, Active: true})
		}
		return false
	})

	got := runTool(t, env, "offboard", alice, "-yes")

	assert.Equal(t, 1, got.code)
	assert.Contains(t, got.stderr, "palette-keys: offboard: revoked 1 and deleted 2 keys of the user "+alice+
		"; 1 left: run the same command again\n")
}

// Somebody else has deleted the keys; but the requests of this run have failed.
func TestOffboardDoesNotReportWhatItHasNotDone(t *testing.T) {
	t.Parallel()
	server := newOffboarding(t)
	var deleteAll sync.Once
	env := startProxy(t, server, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet {
			return false
		}
		deleteAll.Do(func() {
			for _, uid := range []string{"a1", "a2"} {
				request := httptest.NewRequestWithContext(r.Context(), http.MethodDelete, "/v1/apiKeys/"+uid, nil)
				request.Header.Set("ApiKey", server.APIKey)
				server.ServeHTTP(httptest.NewRecorder(), request)
			}
		})
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"code":"OperationForbidden","message":"no"}`))
		return true
	})

	got := runTool(t, env, "offboard", alice, "-yes")

	assert.Equal(t, 1, got.code)
	assert.NotContains(t, got.stdout, "deleted")
	assert.Contains(t, got.stderr, "palette-keys: a1: palette: apiKeys.revoke: 403 OperationForbidden")
	assert.Contains(t, got.stderr, "offboard: revoked 0 and deleted 0 keys of the user "+alice+"; none left\n")
	assert.Len(t, server.Keys(), 1)
}
