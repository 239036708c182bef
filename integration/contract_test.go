package integration

import (
	"bytes"
	"cmp"
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

// validator is a transport that validates requests and responses against
// palettetest/openapi.yaml. The SDK and the server share no types, so a mistake in one
// of them fails the tests.
type validator struct {
	t      *testing.T
	doc    *openapi3.T
	router routers.Router

	mu   sync.Mutex
	seen map[string]bool // "createApiKey 201"
}

func newValidator(t *testing.T, serverURL string) *validator {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile("../palettetest/openapi.yaml")
	require.NoError(t, err)
	require.NoError(t, doc.Validate(t.Context()))
	doc.Servers = openapi3.Servers{{URL: serverURL}}
	router, err := legacy.NewRouter(doc)
	require.NoError(t, err)
	return &validator{t: t, doc: doc, router: router, seen: map[string]bool{}}
}

func (v *validator) RoundTrip(req *http.Request) (*http.Response, error) {
	route, params, err := v.router.FindRoute(req)
	if err != nil {
		return nil, err
	}
	input := &openapi3filter.RequestValidationInput{
		Request: req, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: requireCredential, IncludeResponseStatus: true, MultiError: true},
	}
	assert.NoError(v.t, openapi3filter.ValidateRequest(req.Context(), input), "request")

	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	assert.NoError(v.t, openapi3filter.ValidateResponse(req.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Options: input.Options,
		Status: resp.StatusCode, Header: resp.Header, Body: io.NopCloser(bytes.NewReader(body)),
	}), "response %s", body)

	v.mu.Lock()
	defer v.mu.Unlock()
	v.seen[route.Operation.OperationID+" "+resp.Status[:3]] = true
	return resp, nil
}

func requireCredential(_ context.Context, in *openapi3filter.AuthenticationInput) error {
	if in.RequestValidationInput.Request.Header.Get(in.SecurityScheme.Name) == "" {
		return errors.New("no header " + in.SecurityScheme.Name)
	}
	return nil
}

// newValidatedClient returns a client of server whose requests and responses are validated.
func newValidatedClient(t *testing.T, server *palettetest.Server, opts ...palette.Option) (*palette.APIKeysService, *validator) {
	t.Helper()
	validate := newValidator(t, server.URL)
	client, err := palette.NewClient(append(opts,
		palette.WithBaseURL(server.URL),
		palette.WithHTTPClient(&http.Client{Transport: validate}),
		palette.WithMaxRetries(0),
		palette.WithoutRateLimit(),
	)...)
	require.NoError(t, err)
	return client.APIKeys, validate
}

func TestAllOperationsFollowTheContract(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server := palettetest.Start(t)
	keys, validate := newValidatedClient(t, server, palette.WithAPIKey(server.APIKey))

	created, err := keys.Create(ctx, palette.CreateAPIKeyRequest{
		Metadata: palette.ObjectMetaInput{
			Name:        "ci",
			Annotations: map[string]string{palette.AnnotationDescription: "builds"},
			Labels:      map[string]string{"team": "core"},
		},
		Spec: palette.APIKeyCreateSpec{Expiry: time.Now().Add(time.Hour), UserUID: palettetest.AdminUID},
	})
	require.NoError(t, err)
	uid := created.UID
	_, err = keys.Create(ctx, palette.CreateAPIKeyRequest{Metadata: palette.ObjectMetaInput{Name: "minimal"}})
	require.NoError(t, err)
	key, err := keys.Get(ctx, uid)
	require.NoError(t, err)
	update := key.UpdateRequest()
	update.Metadata.Name = "cd"
	require.NoError(t, keys.Update(ctx, uid, update))
	require.NoError(t, keys.Update(ctx, uid, palette.UpdateAPIKeyRequest{Metadata: palette.ObjectMetaInput{Name: "minimal"}}))
	require.NoError(t, keys.Deactivate(ctx, uid))
	_, err = keys.List(ctx)
	require.NoError(t, err)
	require.NoError(t, keys.Activate(ctx, uid))
	require.NoError(t, keys.Revoke(ctx, uid))
	require.NoError(t, keys.Reactivate(ctx, uid))
	require.NoError(t, keys.Delete(ctx, uid))
	getUserInfo(t, server, validate)

	for path, item := range validate.doc.Paths.Map() {
		for method, operation := range item.Operations() {
			for status := range operation.Responses.Map() {
				if strings.HasPrefix(status, "2") {
					assert.True(t, validate.seen[operation.OperationID+" "+status], "%s %s was not called", method, path)
				}
			}
		}
	}
}

// getUserInfo sends the request that the SDK has no method for.
func getUserInfo(t *testing.T, server *palettetest.Server, transport http.RoundTripper) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/v1/users/info", nil)
	require.NoError(t, err)
	req.Header.Set("ApiKey", server.APIKey)
	resp, err := transport.RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
}

func TestPagesFollowTheContract(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t, palettetest.WithPageSize(2))
	for range 5 {
		server.AddKey(palettetest.Key{Name: "ci"})
	}
	keys, _ := newValidatedClient(t, server, palette.WithAPIKey(server.APIKey))

	all, err := keys.List(t.Context())

	require.NoError(t, err)
	assert.Len(t, all, 5)
}

func TestErrorsFollowTheContract(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	user := palettetest.User{UID: "5f3a1c2e9d8b7a6c5e4f3a21", Credential: "key-of-a-user"}
	get := func(keys *palette.APIKeysService) error {
		_, err := keys.Get(ctx, "000000000000000000000000")
		return err
	}
	create := func(keys *palette.APIKeysService, spec palette.APIKeyCreateSpec) error {
		_, err := keys.Create(ctx, palette.CreateAPIKeyRequest{Metadata: palette.ObjectMetaInput{Name: "ci"}, Spec: spec})
		return err
	}
	for _, tt := range []struct {
		name   string
		server palettetest.Option
		key    string // if empty, the administrator's
		call   func(keys *palette.APIKeysService) error
		want   error
	}{
		{name: "unknown uid", call: get, want: palette.ErrNotFound},
		{name: "unknown credential", key: "an-unknown-credential", call: get, want: palette.ErrUnauthorized},
		{name: "past expiry", want: palette.ErrBadRequest, call: func(keys *palette.APIKeysService) error {
			return create(keys, palette.APIKeyCreateSpec{Expiry: time.Now().Add(-time.Hour)})
		}},
		{
			name: "key for another user", server: palettetest.WithUser(user), key: user.Credential, want: palette.ErrForbidden,
			call: func(keys *palette.APIKeysService) error {
				return create(keys, palette.APIKeyCreateSpec{UserUID: palettetest.AdminUID})
			},
		},
		{
			name: "key limit", server: palettetest.WithKeyLimit(1), want: palette.ErrBadRequest,
			call: func(keys *palette.APIKeysService) error {
				assert.NoError(t, create(keys, palette.APIKeyCreateSpec{}))
				return create(keys, palette.APIKeyCreateSpec{})
			},
		},
		{
			name: "rate limit", server: palettetest.WithRateLimit(0.001, 1), want: palette.ErrRateLimited,
			call: func(keys *palette.APIKeysService) error {
				assert.ErrorIs(t, get(keys), palette.ErrNotFound)
				return get(keys)
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := palettetest.Start(t, tt.server)
			keys, _ := newValidatedClient(t, server, palette.WithAPIKey(cmp.Or(tt.key, server.APIKey)))

			err := tt.call(keys)

			require.ErrorIs(t, err, tt.want)
		})
	}
}

func TestAuthTokenFollowsTheContract(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)
	keys, _ := newValidatedClient(t, server, palette.WithAuthToken(server.AuthToken()))

	_, err := keys.List(t.Context())

	require.NoError(t, err)
}
