package jobkeys_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	jobkeys "github.com/seed-804bd3b7/palette-apikeys-go/examples/testing"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

func newClient(t *testing.T, server *palettetest.Server) *palette.Client {
	t.Helper()
	client, err := palette.NewClient(palette.WithBaseURL(server.URL), palette.WithAPIKey(server.APIKey))
	require.NoError(t, err)
	return client
}

func TestRenewReplacesTheKeyOfTheJob(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)
	server.AddKey(palettetest.Key{Name: "build", Active: true})
	server.AddKey(palettetest.Key{Name: "deploy", Active: true})

	key, err := jobkeys.Renew(t.Context(), newClient(t, server), "build")

	require.NoError(t, err)
	assert.Contains(t, key.Reveal(), "palettetest+")
	require.Len(t, server.Keys(), 2)
	assert.Equal(t, "deploy", server.Keys()[0].Name)
	assert.Equal(t, "build", server.Keys()[1].Name)
}

func TestRenewCreatesNoKeyIfTheOldOneCannotBeDeleted(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)
	uid, _ := server.AddKey(palettetest.Key{Name: "build", Active: true})
	server.Inject(palettetest.Fault{Method: http.MethodDelete, Status: http.StatusForbidden})

	_, err := jobkeys.Renew(t.Context(), newClient(t, server), "build")

	require.ErrorIs(t, err, palette.ErrForbidden)
	require.Len(t, server.Keys(), 1)
	assert.Equal(t, uid, server.Keys()[0].UID)
}
