package integration

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

// trace returns the spans below the one in the context of call.
func trace(t *testing.T, call func(context.Context)) tracetest.SpanStubs {
	t.Helper()
	exporter := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	ctx, parent := provider.Tracer("test").Start(t.Context(), "parent")
	call(ctx)
	spans := exporter.GetSpans()
	for _, span := range spans {
		require.Equal(t, parent.SpanContext().SpanID(), span.Parent.SpanID())
	}
	return spans
}

// A private CA must not need a transport of the caller's own.
func TestEveryAttemptHasASpan(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t, palettetest.WithTLS())
	server.Inject(palettetest.Fault{Status: http.StatusServiceUnavailable})
	client, err := newTracedClient(
		palette.WithBaseURL(server.URL),
		palette.WithAPIKey(server.APIKey),
		palette.WithRootCAs(server.CertPool()),
		palette.WithBackoff(time.Nanosecond, time.Nanosecond),
	)
	require.NoError(t, err)

	spans := trace(t, func(ctx context.Context) {
		_, err = client.APIKeys.List(ctx)
	})

	require.NoError(t, err)
	statuses := []int64{}
	for _, span := range spans {
		assert.Equal(t, "HTTP GET", span.Name)
		assert.Contains(t, span.Attributes, attribute.String("url.full", server.URL+"/v1/apiKeys"))
		for _, attr := range span.Attributes {
			if attr.Key == "http.response.status_code" {
				statuses = append(statuses, attr.Value.AsInt64())
			}
		}
	}
	assert.Equal(t, []int64{503, 200}, statuses)
}

func TestSpansHoldNoKey(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)
	newClient := func(key string) *palette.Client {
		client, err := newTracedClient(palette.WithBaseURL(server.URL), palette.WithAPIKey(key), palette.WithMaxRetries(0))
		require.NoError(t, err)
		return client
	}
	var created *palette.CreateAPIKeyResponse

	spans := trace(t, func(ctx context.Context) {
		var err error
		created, err = newClient(server.APIKey).APIKeys.Create(ctx, palette.CreateAPIKeyRequest{Metadata: palette.ObjectMetaInput{Name: "ci"}})
		require.NoError(t, err)
		_, err = newClient("an-unknown-credential").APIKeys.List(ctx)
		assert.ErrorIs(t, err, palette.ErrUnauthorized)
		server.Close()
		_, err = newClient(server.APIKey).APIKeys.List(ctx)
		assert.Error(t, err)
	})

	require.Len(t, spans, 3)
	text, err := json.Marshal(spans)
	require.NoError(t, err)
	require.Contains(t, string(text), "/v1/apiKeys") // the form in which a key would be found
	assert.NotContains(t, string(text), server.APIKey)
	assert.NotContains(t, string(text), "an-unknown-credential")
	assert.NotContains(t, string(text), created.APIKey.Reveal())
}

type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// Some programs and test libraries replace http.DefaultTransport by another type.
func TestTracingWithAReplacedDefaultTransport(t *testing.T) { //nolint:paralleltest // it replaces http.DefaultTransport
	original := http.DefaultTransport
	t.Cleanup(func() { http.DefaultTransport = original })
	http.DefaultTransport = roundTripFunc(func(req *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: http.StatusOK,
			Header:     http.Header{"Content-Type": {"application/json"}},
			Body:       io.NopCloser(strings.NewReader(`{"items":[]}`)),
			Request:    req,
		}, nil
	})
	client, err := newTracedClient(palette.WithAPIKey("key"))
	require.NoError(t, err)

	spans := trace(t, func(ctx context.Context) {
		_, err = client.APIKeys.List(ctx)
	})

	require.NoError(t, err)
	require.Len(t, spans, 1)
	assert.Contains(t, spans[0].Attributes, attribute.String("url.full", "https://api.spectrocloud.com/v1/apiKeys"))
}
