package consumer

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

// keyMaker is all that the service below needs of the SDK.
type keyMaker interface {
	Create(context.Context, palette.CreateAPIKeyRequest) (*palette.CreateAPIKeyResponse, error)
}

var _ keyMaker = (*palette.APIKeysService)(nil)

type keyMakerFunc func(palette.CreateAPIKeyRequest) (*palette.CreateAPIKeyResponse, error)

func (f keyMakerFunc) Create(_ context.Context, req palette.CreateAPIKeyRequest) (*palette.CreateAPIKeyResponse, error) {
	return f(req)
}

// onboard stands for a service's own code.
func onboard(ctx context.Context, keys keyMaker, name string) (palette.Secret, error) {
	created, err := keys.Create(ctx, palette.CreateAPIKeyRequest{Metadata: palette.ObjectMeta{Name: name}})
	if err != nil {
		return palette.Secret{}, fmt.Errorf("onboard %s: %w", name, err)
	}
	return created.APIKey, nil
}

func TestTheClientIsReplacedThroughAnInterfaceOfTheConsumersOwn(t *testing.T) {
	t.Parallel()
	key, err := onboard(t.Context(), keyMakerFunc(func(req palette.CreateAPIKeyRequest) (*palette.CreateAPIKeyResponse, error) {
		assert.Equal(t, "lab", req.Metadata.Name)
		return &palette.CreateAPIKeyResponse{APIKey: palette.NewSecret("value"), UID: "u1"}, nil
	}), "lab")
	require.NoError(t, err)
	assert.Equal(t, palette.NewSecret("value"), key)

	_, err = onboard(t.Context(), keyMakerFunc(func(palette.CreateAPIKeyRequest) (*palette.CreateAPIKeyResponse, error) {
		return nil, &palette.APIError{Op: "apiKeys.create", StatusCode: 403, Attempts: 1}
	}), "lab")
	require.ErrorIs(t, err, palette.ErrForbidden)
	var apiErr *palette.APIError
	require.ErrorAs(t, err, &apiErr)
	assert.Equal(t, 403, apiErr.StatusCode)
}

func TestTheTracedClientMakesASpanAnAttemptThatHoldsNoKey(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)))
	server := palettetest.NewServer()
	t.Cleanup(server.Close)
	server.Inject(palettetest.Fault{Status: 503})
	t.Setenv("PALETTE_HOST", server.URL)
	t.Setenv("PALETTE_API_KEY", server.APIKey)

	client, err := newTracedClient()
	require.NoError(t, err)
	_, err = client.APIKeys.List(t.Context())
	require.NoError(t, err)

	require.Len(t, spans.Ended(), 2, "the 503 and its repeat")
	for _, span := range spans.Ended() {
		assert.NotContains(t, fmt.Sprintf("%+v", span), server.APIKey)
		for _, attribute := range span.Attributes() {
			assert.NotContains(t, attribute.Value.String(), server.APIKey, attribute.Key)
		}
	}
}

func TestTheProgramOfTheREADMEBuilds(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(readme), "```go\npackage main\n")
	require.True(t, found, "a complete program")
	body, _, found := strings.Cut(rest, "\n```")
	require.True(t, found)

	// An overlay shows the compiler a file that is not there.
	dir := t.TempDir()
	source := filepath.Join(dir, "main.go")
	require.NoError(t, os.WriteFile(source, []byte("package main\n"+body+"\n"), 0o600))
	here, err := os.Getwd()
	require.NoError(t, err)
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(here, "readme", "main.go"): source}})
	require.NoError(t, err)
	overlayFile := filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(overlayFile, overlay, 0o600))

	out, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlayFile, "-o", filepath.Join(dir, "program"), "./readme").CombinedOutput()
	require.NoError(t, err, string(out))
}
