package cleanup_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	cleanup "github.com/seed-804bd3b7/palette-apikeys-go/examples/testing"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

// startPalette returns a fake server with an expired key and one that works.
func startPalette(t *testing.T) (*palettetest.Server, *palette.Client) {
	t.Helper()
	server := palettetest.Start(t)
	server.AddKey(palettetest.Key{Name: "old", Active: true, Expiry: time.Now().Add(-time.Hour)})
	server.AddKey(palettetest.Key{Name: "new", Active: true, Expiry: time.Now().Add(time.Hour)})
	client, err := palette.NewClient(palette.WithBaseURL(server.URL), palette.WithAPIKey(server.APIKey))
	require.NoError(t, err)
	return server, client
}

func TestDeleteExpiredKeepsKeysThatWork(t *testing.T) {
	t.Parallel()
	server, client := startPalette(t)

	deleted, err := cleanup.DeleteExpired(t.Context(), client)

	require.NoError(t, err)
	assert.Equal(t, 1, deleted)
	require.Len(t, server.Keys(), 1)
	assert.Equal(t, "new", server.Keys()[0].Name)
}

func TestDeleteExpiredReportsAMissingPermission(t *testing.T) {
	t.Parallel()
	server, client := startPalette(t)
	server.Inject(palettetest.Fault{Method: http.MethodDelete, Status: http.StatusForbidden})

	deleted, err := cleanup.DeleteExpired(t.Context(), client)

	require.ErrorIs(t, err, palette.ErrForbidden)
	assert.Zero(t, deleted)
	assert.Len(t, server.Keys(), 2)
}
