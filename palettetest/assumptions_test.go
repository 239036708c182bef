package palettetest_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

// TestOptionsContradictAssumptions compares the response of the server with and without
// each option.
func TestOptionsContradictAssumptions(t *testing.T) {
	t.Parallel()
	full := `{"metadata":{"name":"ci","annotations":{"a":"1","a/b":"2"},"labels":{"l":"3"}},` +
		`"spec":{"expiry":"2026-04-01T00:00:00.500Z"}}`
	find := func(pattern, text string) string { return regexp.MustCompile(pattern).FindString(text) }
	created := func(body, pattern string) func(*testServer) string {
		return func(s *testServer) string {
			s.send(s.APIKey, "POST", "/v1/apiKeys", body)
			return find(pattern, s.send(s.APIKey, "GET", "/v1/apiKeys", "").body)
		}
	}
	changed := func(method, subpath, body, pattern string) func(*testServer) string {
		return func(s *testServer) string {
			uid, _ := s.create(s.APIKey, full)
			s.send(s.APIKey, method, "/v1/apiKeys/"+uid+subpath, body)
			return find(pattern, s.get(uid))
		}
	}
	status := func(method, path, body string) func(*testServer) string {
		return func(s *testServer) string { return s.send(s.APIKey, method, path, body).String()[:3] }
	}
	credential := func(change func(s *testServer, path string)) func(*testServer) string {
		return func(s *testServer) string {
			uid, value := s.create(s.APIKey, full)
			change(s, "/v1/apiKeys/"+uid)
			return s.send(value, "GET", "/v1/apiKeys", "").String()[:3]
		}
	}
	revoke := func(s *testServer, path string) { s.send(s.APIKey, "PUT", path+"/state", `{}`) }
	const update, inactive, owner = `{"metadata":{"annotations":{"c":"4"}}}`, `"status":[^,]*}$`, `"lastName":"[^"]*","uid":"[^"]*"`
	for name, tt := range map[string]struct {
		opt           palettetest.Option
		observe       func(*testServer) string
		without, with string
	}{
		"WithCreateStatus": {palettetest.WithCreateStatus(200), status("POST", "/v1/apiKeys", createBody), "201", "200"},
		"WithUIDOfUser": {palettetest.WithUIDOfUser(), func(s *testServer) string {
			return find(palettetest.AdminUID, s.send(s.APIKey, "POST", "/v1/apiKeys", createBody).body)
		}, "", palettetest.AdminUID},
		"WithLongValues": {palettetest.WithLongValues(), func(s *testServer) string {
			_, value := s.AddKey(palettetest.Key{})
			return strings.Repeat("x", len(value))
		}, strings.Repeat("x", 44), strings.Repeat("x", 200)},
		"WithUniqueNames": {palettetest.WithUniqueNames(), func(s *testServer) string {
			s.create(s.APIKey, createBody)
			return s.send(s.APIKey, "POST", "/v1/apiKeys", createBody).String()[:3]
		}, "201", "409"},
		"WithTenantAsOwner": {
			palettetest.WithTenantAsOwner(), created(createBody, owner),
			`"lastName":"Admin","uid":"` + palettetest.AdminUID + `"`, `"lastName":"","uid":"` + palettetest.TenantUID + `"`,
		},
		"WithStrictUserUID": {
			palettetest.WithStrictUserUID(),
			status("POST", "/v1/apiKeys", `{"metadata":{"name":"ci"},"spec":{"userUid":"`+palettetest.TenantUID+`"}}`),
			"201", "400",
		},
		"WithoutSlashAnnotations": {palettetest.WithoutSlashAnnotations(), created(full, `"a":"1"(,"a/b":"2")?`), `"a":"1","a/b":"2"`, `"a":"1"`},
		"WithExpiryInSeconds":     {palettetest.WithExpiryInSeconds(), created(full, `00\....Z","user`), `00.500Z","user`, `00.000Z","user`},
		"WithPastExpiry": {
			palettetest.WithPastExpiry(),
			status("POST", "/v1/apiKeys", `{"metadata":{"name":"ci"},"spec":{"expiry":"2026-01-01T00:00:00Z"}}`), "400", "201",
		},
		"WithDefaultExpiry": {
			palettetest.WithDefaultExpiry(24 * time.Hour), created(createBody, `"expiry":"[0-9-]*`), `"expiry":"0001-01-01`, `"expiry":"2026-03-02`,
		},
		"WithFixedLabels": {palettetest.WithFixedLabels(), changed("PUT", "", update, `"labels":{[^}]*}`), "", `"labels":{"l":"3"}`},
		"WithMergedUpdates": {
			palettetest.WithMergedUpdates(), changed("PUT", "", update, `{("a":"1","a/b":"2",)?"c":"4"`), `{"c":"4"`, `{"a":"1","a/b":"2","c":"4"`,
		},
		"WithErasedAnnotations": {palettetest.WithErasedAnnotations(), changed("PUT", "", update, `"scope":"tenant"`), `"scope":"tenant"`, ""},
		"WithClearedExpiry":     {palettetest.WithClearedExpiry(), changed("PUT", "", update, `"expiry":"[0-9-]*`), `"expiry":"2026-04-01`, `"expiry":"0001-01-01`},
		"WithActivatingUpdates": {palettetest.WithActivatingUpdates(), func(s *testServer) string {
			uid, _ := s.create(s.APIKey, full)
			revoke(s, "/v1/apiKeys/"+uid)
			s.send(s.APIKey, "PUT", "/v1/apiKeys/"+uid, update)
			return find(inactive, strings.TrimSpace(s.get(uid)))
		}, `"status":{}}`, `"status":{"isActive":true}}`},
		"WithExpiredKeysAccepted": {
			palettetest.WithExpiredKeysAccepted(), credential(func(s *testServer, _ string) { s.advance(40 * 24 * time.Hour) }), "401", "200",
		},
		"WithIgnoredPatch":        {palettetest.WithIgnoredPatch(), changed("PATCH", "", `{}`, `"status":{.*}}`), `"status":{}}`, `"status":{"isActive":true}}`},
		"WithNullStatus":          {palettetest.WithNullStatus(), changed("PUT", "/state", `{}`, `"status":({}|null)`), `"status":{}`, `"status":null`},
		"WithRevokedKeysAccepted": {palettetest.WithRevokedKeysAccepted(), credential(revoke), "401", "200"},
		"WithFinalRevocation": {palettetest.WithFinalRevocation(), credential(func(s *testServer, path string) {
			revoke(s, path)
			s.send(s.APIKey, "PUT", path+"/state", `{"isActive":true}`)
		}), "200", "401"},
		"WithDeletedKeysAccepted": {
			palettetest.WithDeletedKeysAccepted(), credential(func(s *testServer, path string) { s.send(s.APIKey, "DELETE", path, "") }), "401", "200",
		},
		"WithRepeatedDelete": {palettetest.WithRepeatedDelete(), status("DELETE", "/v1/apiKeys/unknown", ""), "404", "204"},
		"WithNumericNotFound": {palettetest.WithNumericNotFound(), func(s *testServer) string {
			return find(`"code":[^,]*`, s.send(s.APIKey, "GET", "/v1/apiKeys/unknown", "").body)
		}, `"code":"ResourceNotFound"`, `"code":404`},
		"WithRepeatedCredential": {palettetest.WithRepeatedCredential(), func(s *testServer) string {
			return find("unknown-credential", s.send("unknown-credential", "GET", "/v1/apiKeys", "").body)
		}, "", "unknown-credential"},
		"WithLenientBodies": {palettetest.WithLenientBodies(), func(s *testServer) string {
			return s.send(s.APIKey, "POST", "/v1/apiKeys", `{"metadata":{"name":"ci","labels":7}}`).String()[:3]
		}, "422", "201"},
		"WithoutUsersInfo": {palettetest.WithoutUsersInfo(), status("GET", "/v1/users/info", ""), "200", "404"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			assert.Equal(t, tt.without, tt.observe(newTestServer(t)))
			assert.Equal(t, tt.with, tt.observe(newTestServer(t, tt.opt)))
		})
	}
}

func TestRepeatedCredentialIsOnlyForUnknownOnes(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, palettetest.WithRepeatedCredential())
	_, revoked := s.AddKey(palettetest.Key{})

	requireAppError(t, s.send("unknown-key", "GET", "/v1/apiKeys", ""), "404 ResourceNotFound: API key 'unknown-key' was not found")
	s.requireStatus(401, revoked, "GET", "/v1/apiKeys")
	s.requireStatus(401, "", "GET", "/v1/apiKeys")
}
