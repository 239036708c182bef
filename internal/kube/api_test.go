package kube

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-resty/resty/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-804bd3b7/palette-apikeys-go/internal/kube/kubetest"
)

// discard is a response that nobody receives.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}

// inMemory connects a store to a handler without a network, so that time can be virtual.
func inMemory(store *Store, handler http.Handler) {
	store.client = resty.NewWithClient(&http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, req)
		if err := req.Context().Err(); err != nil {
			return nil, err
		}
		return rec.Result(), nil
	})})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestRetryAfter429(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		header   string
		times    int
		want     time.Duration
		requests int // that reach the server
	}{
		"seconds":             {header: "7", times: 1, want: 7 * time.Second, requests: 1},
		"no header":           {header: "", times: 2, want: 2 * time.Second, requests: 1},
		"a date":              {header: "Sat, 01 Jan 2000 00:00:00 GMT", times: 1, want: time.Second, requests: 1},
		"more than 30 s":      {header: "3600", times: 4, want: 120 * time.Second, requests: 1},
		"more than four 429s": {header: "1", times: 5, want: 4 * time.Second, requests: 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, store := newStore(t)
			inMemory(store, server)
			server.SetFault(func(w http.ResponseWriter, r *http.Request, handle http.HandlerFunc) {
				if tt.times > 0 {
					tt.times--
					w.Header().Set("Retry-After", tt.header)
					w.WriteHeader(http.StatusTooManyRequests)
					return
				}
				handle(w, r)
			})
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()

				_, err := store.get(t.Context())

				assert.Equal(t, tt.want, time.Since(start))
				assert.Len(t, server.Requests(), tt.requests)
				if tt.requests == 0 {
					require.EqualError(t, err, "kubernetes: Secret apps/palette: get: 429 Too Many Requests")
					return
				}
				require.NoError(t, err)
			})
		})
	}
}

func TestWaitAfter429EndsWithTheContext(t *testing.T) {
	t.Parallel()
	server, store := newStore(t)
	inMemory(store, server)
	server.SetFault(func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()

		_, err := store.Load(ctx)

		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "get: 429 Too Many Requests: ")
	})
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	_, store := newStore(t)
	inMemory(store, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	synctest.Test(t, func(t *testing.T) {
		store.seen.Metadata.ResourceVersion = "1"
		start := time.Now()

		_, getErr := store.get(t.Context())
		afterGet := time.Since(start)
		saveErr := store.Save(t.Context(), "second-key")

		require.ErrorIs(t, getErr, context.DeadlineExceeded)
		require.ErrorIs(t, saveErr, context.DeadlineExceeded)
		require.ErrorIs(t, saveErr, ErrOutcomeUnknown)
		assert.Equal(t, 10*time.Second, afterGet)
		assert.Equal(t, (10+60+10)*time.Second, time.Since(start), "a get, a patch, and a get")
	})
}

func TestTokenIsReadForEachRequest(t *testing.T) {
	t.Parallel()
	server, store := newStore(t)
	server.WriteFile(t, "token", "token-of-rotator\n")
	_, err := store.get(t.Context())
	require.NoError(t, err)
	server.WriteFile(t, "token", "expired")

	_, err = store.get(t.Context())

	require.ErrorContains(t, err, "401 Unauthorized")
}

func TestOnlyTheCAOfTheServiceAccountIsTrusted(t *testing.T) {
	t.Parallel()
	server, _ := newStore(t)
	server.WriteFile(t, "ca.crt", otherCA)
	store := openStore(t, server)

	_, err := store.Load(t.Context())

	require.ErrorContains(t, err, "certificate signed by unknown authority")
	assert.Empty(t, server.Requests())
}

// Only the messages of 401, 403, 404 and 409 are quoted, and what admission says is not.
func TestMessagesOfTheAPIServer(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		code          int
		message, want string
	}{
		"403":                         {403, "a policy", "403 Forbidden: a policy"},
		"403 of a webhook":            {403, `admission webhook "w" denied the request: ` + "first-key\nfirst-key", `403 Forbidden: admission webhook "w" denied the request`},
		"403 of a policy":             {403, `ValidatingAdmissionPolicy "p" with binding "b" denied request: first-key`, `403 Forbidden: ValidatingAdmissionPolicy "p" with binding "b" denied request`},
		"404":                         {404, `secrets "palette" not found`, `404 Not Found: secrets "palette" not found: create the Secret first`},
		"409":                         {409, "conflict", "409 Conflict: conflict"},
		"400":                         {400, "first-key", "400 Bad Request: the message of the API server is not shown, because it can quote the Secret"},
		"422":                         {422, "first-key", "422 Unprocessable Entity: the message of the API server is not shown, because it can quote the Secret"},
		"500":                         {500, "first-key", "500 Internal Server Error"},
		"404 of something else":       {404, "", "404 Not Found"},
		"301, which is not followed":  {301, "first-key", "301 Moved Permanently"},
		"200 of something else":       {200, "first-key", "the response is not a Secret: something other than the API server responded"},
		"201, which no patch returns": {201, "first-key", "201 Created"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, store := newStore(t)
			server.SetFault(func(w http.ResponseWriter, r *http.Request, handle http.HandlerFunc) {
				if r.Method != http.MethodPatch {
					handle(w, r)
					return
				}
				w.Header().Set("Location", "https://127.0.0.1:1/")
				kubetest.Respond(w, tt.code, map[string]any{"kind": "Status", "message": tt.message})
			})

			_, err := store.Load(t.Context())

			want := "kubernetes: Secret apps/palette: patch (dry run): " + tt.want
			require.EqualError(t, err, want)
			requireQuotesNothing(t, err)
		})
	}
}

func TestResponsesThatAreNotASecret(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		"", "<html>", "[]", "{}", `{"kind":"Secret"}`, `{"kind":"SecretList","metadata":{"resourceVersion":"1"}}`,
		`{"kind":"Secret","metadata":{"resourceVersion":"1"},"data":{"apiKey":"first-key"}}`,
	} {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			server, store := newStore(t)
			server.SetFault(func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) { _, _ = io.WriteString(w, body) })

			_, err := store.Load(t.Context())

			require.EqualError(t, err, "kubernetes: Secret apps/palette: get: the response is not a Secret: something other than the API server responded")
		})
	}
}

// otherCA is a certificate that signs nothing.
const otherCA = `-----BEGIN CERTIFICATE-----
MIIBdjCCAR2gAwIBAgIUNfR+h6D/HqNhrfU5XIbd477sgWgwCgYIKoZIzj0EAwIw
EDEOMAwGA1UEAwwFb3RoZXIwIBcNMjYxMTI5MTQzMTE1WhgPMjEyNjExMDUxNDMx
MTVaMBAxDjAMBgNVBAMMBW90aGVyMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
alR35zT+a8UzHDU+t0SM0VRUV9N2uD/W5P/J1bISmTriwrHYVKC0K1hD4JYuMcWy
foUQGwXHPAy8Gq0vkNHnj6NTMFEwHQYDVR0OBBYEFEdyHCO822IlK1a31LizW1lA
RbjiMB8GA1UdIwQYMBaAFEdyHCO822IlK1a31LizW1lARbjiMA8GA1UdEwEB/wQF
MAMBAf8wCgYIKoZIzj0EAwIDRwAwRAIgATxnALxa3BGAgvh34VzfDVEFKr46VAb/
HiwkbVN/EdcCIF+bAfFRuI/XBZTv71hkmvND6iyqt2XcB9HD81GAJ+Wi
-----END CERTIFICATE-----`
