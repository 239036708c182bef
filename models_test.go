package palette_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// A key that was read can be stored in the API's own form, as in a report.
func TestAPIKeyMarshals(t *testing.T) {
	t.Parallel()
	sent := fixture(t, "key.json")
	want := strings.Replace(sent, `"deletionTimestamp":"0001-01-01T00:00:00.000Z",`, "", 1)
	key, err := readKey(t, sent)
	require.NoError(t, err)

	got, errKey := json.Marshal(key)
	empty, errEmpty := json.Marshal(palette.APIKey{})

	require.NoError(t, errKey)
	require.NoError(t, errEmpty)
	assert.JSONEq(t, want, string(got))
	assert.JSONEq(t, `{"metadata":{},"spec":{"user":{}},"status":{"isActive":false}}`, string(empty))
}

func TestDescription(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "description", palette.AnnotationDescription)
	assert.Equal(t, "nightly builds", nightlyKey().Metadata.Description())
	assert.Empty(t, palette.ObjectMeta{Annotations: map[string]string{"Description": "d"}}.Description())
	assert.Empty(t, palette.ObjectMeta{}.Description())
}

func TestExpired(t *testing.T) {
	t.Parallel()
	expiry := time.Date(2030, 1, 2, 2, 4, 5, 678_000_000, time.UTC)
	for _, tt := range []struct {
		name        string
		expiry, now time.Time
		want        bool
	}{
		{"a nanosecond before", expiry, expiry.Add(-1), false},
		{"at the expiry", expiry, expiry, true},
		{"at the expiry in another zone", expiry, expiry.In(hoursEast(-5)), true},
		{"after", expiry, expiry.Add(1), true},
		{"without an expiry", time.Time{}, expiry, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			key := palette.APIKey{Spec: palette.APIKeySpec{Expiry: tt.expiry}}

			assert.Equal(t, tt.want, key.Expired(tt.now))
		})
	}
}

// A caller can add a label without making the map first, and changes nothing but the request.
func TestUpdateRequestHasItsOwnMaps(t *testing.T) {
	t.Parallel()
	key := nightlyKey()

	req, empty := key.UpdateRequest(), palette.APIKey{}.UpdateRequest()
	req.Metadata.Annotations["description"] = "changed"
	req.Metadata.Labels["team"] = "changed"

	assert.Equal(t, nightlyKey(), key)
	assert.Equal(t, map[string]string{}, empty.Metadata.Annotations)
	assert.Equal(t, map[string]string{}, empty.Metadata.Labels)
}
