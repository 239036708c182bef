package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

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

func TestChangesContinueAfterAnError(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)
	server.AddKey(palettetest.Key{UID: "a", Active: true})
	server.AddKey(palettetest.Key{UID: "b", Active: true})

	revoked := runTool(t, environment(server), "revoke", "a", "missing", "b")
	inactive := server.Keys()
	reactivated := runTool(t, environment(server), "reactivate", "b")
	active := server.Keys()
	deleted := runTool(t, environment(server), "delete", "a", "b")

	assert.Equal(t, 1, revoked.code)
	assert.Equal(t, "revoked a (1 of 3)\nrevoked b (2 of 3)\n", revoked.stdout)
	assert.Contains(t, revoked.stderr, "palette-keys: missing: palette: apiKeys.revoke: 404")
	assert.Contains(t, revoked.stderr, "revoked 2 of 3 keys\n")
	assert.False(t, inactive[0].Active || inactive[1].Active)
	assert.Equal(t, result{stdout: "reactivated b (1 of 1)\n"}, reactivated)
	assert.Equal(t, []bool{false, true}, []bool{active[0].Active, active[1].Active})
	assert.Equal(t, result{stdout: "deleted a (1 of 2)\ndeleted b (2 of 2)\n"}, deleted)
	assert.Empty(t, server.Keys())
}

// newKey returns a server with a key that has all fields.
func newKey(t *testing.T, active bool, opts ...palettetest.Option) (*palettetest.Server, palettetest.Key) {
	t.Helper()
	server := palettetest.Start(t, opts...)
	server.AddKey(palettetest.Key{
		UID: "a", Name: "ci", Active: active, Expiry: time.Date(2098, 1, 31, 12, 0, 0, 0, time.UTC),
		Annotations: map[string]string{"description": "builds", "team": "x"}, Labels: map[string]string{"env": "test"},
	})
	return server, server.Keys()[0]
}

func TestUpdateChangesOnlyWhatIsGiven(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args []string
		want func(*palettetest.Key)
	}{
		"name":           {[]string{"-name", "cd"}, func(k *palettetest.Key) { k.Name = "cd" }},
		"description":    {[]string{"-description", "tests"}, func(k *palettetest.Key) { k.Annotations["description"] = "tests" }},
		"no description": {[]string{"-description", ""}, func(k *palettetest.Key) { k.Annotations["description"] = "" }},
		"expiry": {[]string{"-expires", "2097-01-31T12:00:00Z"}, func(k *palettetest.Key) {
			k.Expiry = time.Date(2097, 1, 31, 12, 0, 0, 0, time.UTC)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, want := newKey(t, true)
			tt.want(&want)

			got := runTool(t, environment(server), append([]string{"update", "a"}, tt.args...)...)

			assert.Equal(t, result{stdout: "updated a\n"}, got)
			key := server.Keys()[0]
			assert.Subset(t, key.Annotations, want.Annotations) // the others are the server's own
			key.Annotations = want.Annotations
			assert.Equal(t, want, key)
		})
	}
}

func TestUpdateFailsIfTheServerIgnoresTheExpiry(t *testing.T) {
	t.Parallel()
	server, _ := newKey(t, true, palettetest.WithIgnoredExpiry())

	got := runTool(t, environment(server), "update", "a", "-expires", "2097-01-31T12:00:00Z")

	assert.Equal(t, result{code: 1, stderr: "palette-keys: update: the key expires: 2098-01-31T12:00:00Z, " +
		"although the update asked for: 2097-01-31T12:00:00Z\n"}, got)
}

func TestUpdateSaysWhichStepFailed(t *testing.T) {
	t.Parallel()
	for want, fault := range map[string]palettetest.Fault{
		"palette-keys: palette: apiKeys.get: 403 ":                       {Method: http.MethodGet, Status: 403, Code: "OperationForbidden"},
		"palette-keys: palette: apiKeys.update: 403 ":                    {Method: http.MethodPut, Status: 403, Code: "OperationForbidden"},
		"palette-keys: update: the key was updated, but not read back: ": {Method: http.MethodGet, Skip: 1, Status: 403, Code: "OperationForbidden"},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			server, _ := newKey(t, true)
			server.Inject(fault)

			got := runTool(t, environment(server), "update", "a", "-name", "cd")

			assert.Equal(t, 1, got.code)
			assert.Empty(t, got.stdout)
			assert.True(t, strings.HasPrefix(got.stderr, want), got.stderr)
		})
	}
}

func TestUpdateFailsIfItActivatesAKey(t *testing.T) {
	t.Parallel()
	server, _ := newKey(t, false)
	env := startProxy(t, server, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			activate, _ := http.NewRequestWithContext(r.Context(), http.MethodPatch, r.URL.Path, strings.NewReader(`{"isActive":true}`))
			activate.Header = r.Header
			server.ServeHTTP(httptest.NewRecorder(), activate)
		}
		return false
	})

	got := runTool(t, env, "update", "a", "-name", "cd")

	assert.Equal(t, result{code: 1, stderr: "palette-keys: update: the key is active: true, but was: false\n"}, got)
}
