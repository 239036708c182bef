// Package contract holds the SDK and palettetest against one description of the
// API: what the first sends and what the second answers. They share no types, so
// that a mistake in one does not cancel out in the other.
package contract

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

// inspector is a transport that validates what passes through it in both
// directions, and remembers which operations did.
type inspector struct {
	t        *testing.T
	contract *openapi3.T
	router   routers.Router

	mu   sync.Mutex
	seen map[string]bool // "listApiKeys 200"
}

func newInspector(t *testing.T, serverURL string) *inspector {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile("../palettetest/openapi.yaml")
	require.NoError(t, err)
	require.NoError(t, doc.Validate(t.Context()))
	doc.Servers = openapi3.Servers{{URL: serverURL}}
	router, err := legacy.NewRouter(doc)
	require.NoError(t, err)
	return &inspector{t: t, contract: doc, router: router, seen: map[string]bool{}}
}

func (i *inspector) RoundTrip(req *http.Request) (*http.Response, error) {
	route, params, err := i.router.FindRoute(req)
	if !assert.NoError(i.t, err, "%s %s is not in the contract", req.Method, req.URL.Path) {
		return nil, err
	}
	input := &openapi3filter.RequestValidationInput{
		Request: req, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: hasCredential, IncludeResponseStatus: true, MultiError: true},
	}
	assert.NoError(i.t, openapi3filter.ValidateRequest(req.Context(), input), "request")

	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	require.NoError(i.t, errors.Join(err, resp.Body.Close()))
	resp.Body = io.NopCloser(bytes.NewReader(body))
	assert.NoError(i.t, openapi3filter.ValidateResponse(req.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: resp.StatusCode, Header: resp.Header,
		Body: io.NopCloser(bytes.NewReader(body)), Options: input.Options,
	}), "reply %s", body)

	i.mu.Lock()
	defer i.mu.Unlock()
	i.seen[route.Operation.OperationID+" "+resp.Status[:3]] = true
	return resp, nil
}

func hasCredential(_ context.Context, in *openapi3filter.AuthenticationInput) error {
	if in.RequestValidationInput.Request.Header.Get(in.SecurityScheme.Name) == "" {
		return errors.New("no header " + in.SecurityScheme.Name)
	}
	return nil
}

// connect starts a server and returns a client whose every request and reply is inspected.
func connect(t *testing.T, opts ...palettetest.Option) (*palettetest.Server, *inspector, *palette.APIKeysService) {
	t.Helper()
	server := palettetest.NewServer(opts...)
	t.Cleanup(server.Close)
	inspect := newInspector(t, server.URL)
	client, err := palette.NewClient(
		palette.WithBaseURL(server.URL), palette.WithAPIKey(server.APIKey),
		palette.WithHTTPClient(&http.Client{Transport: inspect}), palette.WithRetry(palette.RetryPolicy{}),
	)
	require.NoError(t, err)
	return server, inspect, client.APIKeys
}

func TestEveryOperationOfTheSDKAndEveryReplyOfTheServerKeepTheContract(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	_, inspect, keys := connect(t)

	created, err := keys.Create(ctx, palette.CreateAPIKeyRequest{
		Metadata: palette.ObjectMeta{
			Name:        "ci",
			Annotations: map[string]string{"description": "builds"},
			Labels:      map[string]string{"team": "core"},
		},
		Spec: palette.APIKeyCreateSpec{Expiry: time.Now().Add(time.Hour)},
	})
	require.NoError(t, err)
	uid := created.UID
	_, err = keys.Create(ctx, palette.CreateAPIKeyRequest{Metadata: palette.ObjectMeta{Name: "the least"}})
	require.NoError(t, err)

	key, err := keys.Get(ctx, uid)
	require.NoError(t, err)
	assert.Equal(t, "builds", key.Metadata.Description())
	change := key.UpdateRequest()
	change.Metadata.Name = "cd"
	require.NoError(t, keys.Update(ctx, uid, change))
	require.NoError(t, keys.Update(ctx, uid, palette.UpdateAPIKeyRequest{}))
	require.NoError(t, keys.Deactivate(ctx, uid))
	require.NoError(t, keys.Activate(ctx, uid))
	require.NoError(t, keys.Revoke(ctx, uid))
	found, err := keys.FindByName(ctx, "cd")
	require.NoError(t, err)
	require.Len(t, found, 1)
	assert.False(t, found[0].Status.IsActive)
	require.NoError(t, keys.Reactivate(ctx, uid))
	require.NoError(t, keys.Delete(ctx, uid))
	_, err = keys.List(ctx)
	require.NoError(t, err)

	for path, item := range inspect.contract.Paths.Map() {
		for method, operation := range item.Operations() {
			for status := range operation.Responses.Map() {
				if strings.HasPrefix(status, "2") {
					assert.True(t, inspect.seen[operation.OperationID+" "+status], "%s %s was not called", method, path)
				}
			}
		}
	}
}

func TestPagesKeepTheContract(t *testing.T) {
	t.Parallel()
	_, _, keys := connect(t, palettetest.WithPageSize(2))
	for range 5 {
		_, err := keys.Create(t.Context(), palette.CreateAPIKeyRequest{Metadata: palette.ObjectMeta{Name: "page"}})
		require.NoError(t, err)
	}
	all, err := keys.List(t.Context())
	require.NoError(t, err)
	assert.Len(t, all, 5)
}

func TestRefusalsKeepTheContract(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for name, test := range map[string]struct {
		opts []palettetest.Option
		call func(*palettetest.Server, *palette.APIKeysService) error
		want error
	}{
		"unknown uid": {nil, func(_ *palettetest.Server, keys *palette.APIKeysService) error {
			return keys.Delete(ctx, strings.Repeat("0", 24))
		}, palette.ErrNotFound},
		"past expiry": {nil, func(_ *palettetest.Server, keys *palette.APIKeysService) error {
			_, err := keys.Create(ctx, palette.CreateAPIKeyRequest{
				Metadata: palette.ObjectMeta{Name: "late"},
				Spec:     palette.APIKeyCreateSpec{Expiry: time.Now().Add(-time.Hour)},
			})
			return err
		}, palette.ErrBadRequest},
		"key limit": {[]palettetest.Option{palettetest.WithKeyLimit(1)}, func(_ *palettetest.Server, keys *palette.APIKeysService) error {
			req := palette.CreateAPIKeyRequest{Metadata: palette.ObjectMeta{Name: "one"}}
			_, err := keys.Create(ctx, req)
			require.NoError(t, err)
			_, err = keys.Create(ctx, req)
			return err
		}, palette.ErrBadRequest},
		"rate limit": {[]palettetest.Option{palettetest.WithRateLimit(0.001, 1), palettetest.WithRetryAfter(time.Second)}, func(_ *palettetest.Server, keys *palette.APIKeysService) error {
			_, err := keys.List(ctx)
			require.NoError(t, err)
			_, err = keys.List(ctx)
			return err
		}, palette.ErrRateLimited},
		"plain user": {[]palettetest.Option{palettetest.WithUser(palettetest.User{UID: "plain", Credential: "plain-key"})}, func(server *palettetest.Server, _ *palette.APIKeysService) error {
			uid, _ := server.AddKey(palettetest.Key{Name: "admin's"})
			client, err := palette.NewClient(palette.WithBaseURL(server.URL), palette.WithAPIKey("plain-key"),
				palette.WithHTTPClient(&http.Client{Transport: newInspector(t, server.URL)}))
			require.NoError(t, err)
			return client.APIKeys.Revoke(ctx, uid)
		}, palette.ErrForbidden},
		"unknown credential": {nil, func(server *palettetest.Server, _ *palette.APIKeysService) error {
			client, err := palette.NewClient(palette.WithBaseURL(server.URL), palette.WithAPIKey("unknown"),
				palette.WithHTTPClient(&http.Client{Transport: newInspector(t, server.URL)}))
			require.NoError(t, err)
			_, err = client.APIKeys.List(ctx)
			return err
		}, palette.ErrUnauthorized},
		"auth token": {nil, func(server *palettetest.Server, _ *palette.APIKeysService) error {
			client, err := palette.NewClient(palette.WithBaseURL(server.URL), palette.WithAuthToken(server.AuthToken()),
				palette.WithHTTPClient(&http.Client{Transport: newInspector(t, server.URL)}))
			require.NoError(t, err)
			_, err = client.APIKeys.Get(ctx, "unknown")
			return err
		}, palette.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, _, keys := connect(t, test.opts...)
			require.ErrorIs(t, test.call(server, keys), test.want)
		})
	}
}
