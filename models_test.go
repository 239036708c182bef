package palette_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// ciKey is what testdata/key.json says, and the first of testdata/list.json.
func ciKey() palette.APIKey {
	return palette.APIKey{
		Metadata: palette.ObjectMeta{
			Annotations: map[string]string{
				"description":     "nightly builds",
				"ownerUid":        "5f3a1c2e9d8b7a6c5e4f3a21",
				"permissions":     "apiKey.create,apiKey.delete,apiKey.get,apiKey.list,apiKey.update,tag.update",
				"scope":           "tenant",
				"scopeVisibility": "20",
				"tenantUid":       "5e0d1c2b3a4f5e6d7c8b9a0f",
			},
			CreationTimestamp:     time.Date(2024, 9, 16, 14, 46, 28, 677_000_000, time.UTC),
			Labels:                map[string]string{"team": "builds"},
			LastModifiedTimestamp: time.Date(2024, 9, 17, 8, 1, 2, 3_000_000, time.UTC),
			Name:                  "ci",
			UID:                   keyUID,
		},
		Spec: palette.APIKeySpec{
			Expiry: time.Date(2030, 1, 2, 2, 4, 5, 678_000_000, time.UTC),
			User:   palette.APIKeyUser{FirstName: "Ada", LastName: "Byron", UID: "5f3a1c2e9d8b7a6c5e4f3a21"},
		},
		Status: palette.APIKeyStatus{IsActive: true},
	}
}

// revokedKey is the second of testdata/list.json: it never expires and has no
// isActive.
func revokedKey() palette.APIKey {
	return palette.APIKey{
		Metadata: palette.ObjectMeta{
			Annotations:           map[string]string{"description": ""},
			CreationTimestamp:     time.Date(2023, 1, 31, 23, 59, 59, 999_000_000, time.UTC),
			LastModifiedTimestamp: time.Date(2023, 1, 31, 23, 59, 59, 999_000_000, time.UTC),
			Name:                  "revoked",
			UID:                   "63d9acff4bab2337f20c7472",
		},
		Spec: palette.APIKeySpec{
			User: palette.APIKeyUser{FirstName: "Grace", LastName: "Hopper", UID: "0123456789abcdef0123456789abcdef"},
		},
	}
}

func listOf(t *testing.T, body string) []palette.APIKey {
	t.Helper()
	w := newWire(t).on("GET", "/v1/apiKeys", replyJSON(http.StatusOK, body))
	keys, err := w.client().APIKeys.List(t.Context())
	require.NoError(t, err)
	return keys
}

// Field by field, in the shape that the documentation shows.
func TestDocumentedListDecodes(t *testing.T) {
	t.Parallel()
	keys := listOf(t, fixture(t, "list.json"))
	require.Len(t, keys, 2)

	ci := keys[0]
	assert.Equal(t, "66e844c44bab2337f20c7471", ci.Metadata.UID)
	assert.Equal(t, "ci", ci.Metadata.Name)
	assert.Equal(t, "nightly builds", ci.Metadata.Description())
	assert.Equal(t, "20", ci.Metadata.Annotations["scopeVisibility"])
	assert.Equal(t, map[string]string{"team": "builds"}, ci.Metadata.Labels)
	assert.Equal(t, time.Date(2024, 9, 16, 14, 46, 28, 677_000_000, time.UTC), ci.Metadata.CreationTimestamp)
	assert.Equal(t, time.Date(2024, 9, 17, 8, 1, 2, 3_000_000, time.UTC), ci.Metadata.LastModifiedTimestamp)
	assert.True(t, ci.Metadata.DeletionTimestamp.IsZero(), "the server's zero time is Go's")
	assert.Equal(t, time.Date(2030, 1, 2, 2, 4, 5, 678_000_000, time.UTC), ci.Spec.Expiry)
	assert.Equal(t, palette.APIKeyUser{FirstName: "Ada", LastName: "Byron", UID: "5f3a1c2e9d8b7a6c5e4f3a21"}, ci.Spec.User)
	assert.True(t, ci.Status.IsActive)
	assert.NotContains(t, fmt.Sprintf("%+v", keys), "nobody-may-read", "spec.key is not read")

	revoked := keys[1]
	assert.False(t, revoked.Status.IsActive, "without the field a key is not active")
	assert.True(t, revoked.Spec.Expiry.IsZero())
	assert.Empty(t, revoked.Metadata.Description())
}

// Palette returns null where others leave out: it reads as nothing.
func TestNullsDecode(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []palette.APIKey{
		{},
		{Metadata: palette.ObjectMeta{UID: keyUID}},
		{Metadata: palette.ObjectMeta{UID: "63d9acff4bab2337f20c7472"}},
	}, listOf(t, fixture(t, "list_nulls.json")))
}

// A value of the wrong type is not success, and is not quoted.
func TestWrongTypesAreRefused(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, body, want string }{
		{"items", `{"items":{"a":"do-not-quote"}}`, "wrong JSON type for []palette.APIKey at offset 10"},
		{"name", `{"items":[{"metadata":{"name":4711}}]}`, "wrong JSON type for string at offset 34"},
		{"isActive", `{"items":[{"status":{"isActive":"do-not-quote"}}]}`, "wrong JSON type for bool at offset 46"},
		{"a map key", `{"items":[{"metadata":{"labels":{"do-not-quote":7}}}]}`, "wrong JSON type for string at offset 49"},
		{"a field in capitals", `{"ITEMS":[{"METADATA":7}]}`, "wrong JSON type for palette.ObjectMeta at offset 23"},
		{"a list without its object", `[{"metadata":{"name":"do-not-quote"}}]`, "wrong JSON type for palette.listReply at offset 1"},
		{"expiry", `{"items":[{"spec":{"expiry":"do-not-quote"}}]}`, "not the JSON it should be, in 46 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t).on("GET", "/v1/apiKeys", replyJSON(http.StatusOK, tt.body))
			keys, err := w.client().APIKeys.List(t.Context())
			assert.Nil(t, keys)
			require.ErrorIs(t, err, palette.ErrUnexpectedResponse)
			require.EqualError(t, err, "palette: apiKeys.list: unexpected response: "+tt.want+" (1 attempt)")
		})
	}
}

func TestDescription(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "d", palette.ObjectMeta{Annotations: map[string]string{"description": "d", "Description": "x"}}.Description())
	assert.Empty(t, palette.ObjectMeta{}.Description())
}

func TestExpired(t *testing.T) {
	t.Parallel()
	expiry := time.Date(2030, 1, 2, 2, 4, 5, 678_000_000, time.UTC)
	tests := []struct {
		name   string
		expiry time.Time
		now    time.Time
		want   bool
	}{
		{"long before", expiry, expiry.AddDate(-1, 0, 0), false},
		{"just before", expiry, expiry.Add(-1), false},
		{"at that moment", expiry, expiry, true},
		{"after", expiry, expiry.Add(1), true},
		{"at that moment in another zone", expiry, expiry.In(time.FixedZone("UTC-5", -5*3600)), true},
		{"never", time.Time{}, expiry, false},
		{"never, not even at the beginning of time", time.Time{}, time.Time{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			key := palette.APIKey{Spec: palette.APIKeySpec{Expiry: tt.expiry}}
			assert.Equal(t, tt.want, key.Expired(tt.now))
		})
	}
}

func TestUpdateRequest(t *testing.T) {
	t.Parallel()
	key := ciKey()
	req := key.UpdateRequest()
	assert.Equal(t, palette.UpdateAPIKeyRequest{
		Metadata: palette.ObjectMeta{Name: "ci", Annotations: ciKey().Metadata.Annotations, Labels: ciKey().Metadata.Labels},
		Spec:     palette.APIKeyUpdateSpec{Expiry: ciKey().Spec.Expiry},
	}, req)

	req.Metadata.Annotations["description"] = "changed"
	req.Metadata.Labels["team"] = "changed"
	assert.Equal(t, ciKey(), key, "the maps are copies")

	assert.Equal(t, palette.UpdateAPIKeyRequest{}, palette.APIKey{}.UpdateRequest())
}

// A key that was read can be written to a file or a report: in the API's own
// names, and always with isActive.
func TestAPIKeyEncodes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		key  palette.APIKey
		want string
	}{
		{
			"active", ciKey(),
			`{"metadata":{"annotations":{"description":"nightly builds","ownerUid":"5f3a1c2e9d8b7a6c5e4f3a21",` +
				`"permissions":"apiKey.create,apiKey.delete,apiKey.get,apiKey.list,apiKey.update,tag.update",` +
				`"scope":"tenant","scopeVisibility":"20","tenantUid":"5e0d1c2b3a4f5e6d7c8b9a0f"},` +
				`"creationTimestamp":"2024-09-16T14:46:28.677Z","labels":{"team":"builds"},` +
				`"lastModifiedTimestamp":"2024-09-17T08:01:02.003Z","name":"ci","uid":"66e844c44bab2337f20c7471"},` +
				`"spec":{"expiry":"2030-01-02T02:04:05.678Z","user":{"firstName":"Ada","lastName":"Byron","uid":"5f3a1c2e9d8b7a6c5e4f3a21"}},` +
				`"status":{"isActive":true}}`,
		},
		{"empty", palette.APIKey{}, `{"metadata":{},"spec":{"user":{}},"status":{"isActive":false}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := json.Marshal(tt.key)
			require.NoError(t, err)
			assert.Equal(t, tt.want, string(got))
		})
	}
}
