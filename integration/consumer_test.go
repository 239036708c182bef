package integration

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

type keyCreator interface {
	Create(context.Context, palette.CreateAPIKeyRequest) (*palette.CreateAPIKeyResponse, error)
}

var _ keyCreator = (*palette.APIKeysService)(nil)

// fakeKeys is a keyCreator without a server.
type fakeKeys struct {
	created *palette.CreateAPIKeyResponse
	err     error
}

func (f fakeKeys) Create(context.Context, palette.CreateAPIKeyRequest) (*palette.CreateAPIKeyResponse, error) {
	return f.created, f.err
}

// onboard stands for the code of a service that uses the SDK.
func onboard(ctx context.Context, keys keyCreator, name string) (palette.Secret, error) {
	created, err := keys.Create(ctx, palette.CreateAPIKeyRequest{Metadata: palette.ObjectMetaInput{Name: name}})
	if err != nil {
		return palette.Secret{}, fmt.Errorf("onboard %s: %w", name, err)
	}
	return created.APIKey, nil
}

func TestConsumersCanReplaceTheService(t *testing.T) {
	t.Parallel()
	keys := fakeKeys{created: &palette.CreateAPIKeyResponse{APIKey: palette.NewSecret("value"), UID: "66e844c44bab2337f20c7471"}}

	key, err := onboard(t.Context(), keys, "lab")

	require.NoError(t, err)
	assert.Equal(t, "value", key.Reveal())
}

func TestConsumersCanConstructErrors(t *testing.T) {
	t.Parallel()
	keys := fakeKeys{err: &palette.APIError{Op: "apiKeys.create", StatusCode: 403, Attempts: 1}}

	_, err := onboard(t.Context(), keys, "lab")

	require.ErrorIs(t, err, palette.ErrForbidden)
	assert.EqualError(t, err, "onboard lab: palette: apiKeys.create: 403 Forbidden (1 attempt)")
}
