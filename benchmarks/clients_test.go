package benchmarks

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/go-resty/resty/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

const timeout = 30 * time.Second

// client is what the benchmarks compare. All clients send the same requests with the
// same timeout and return the same values.
type client interface {
	create(ctx context.Context) (uid string, err error)
	list(ctx context.Context) ([]palette.APIKey, error)
}

// clients are the clients by name, each with a function that builds it.
var clients = []struct {
	name string
	new  func(testing.TB, target) client
}{
	{"nethttp", newHTTPClient},
	{"resty", newRestyClient},
	{"sdk", newSDKClient},
}

var createRequest = palette.CreateAPIKeyRequest{
	Metadata: palette.ObjectMetaInput{
		Name:        "benchmark",
		Annotations: map[string]string{palette.AnnotationDescription: "created by a benchmark"},
	},
	Spec: palette.APIKeyCreateSpec{
		Expiry:  time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC),
		UserUID: "5f3a1c2e9d8b7a6c5e4f3a21",
	},
}

type sdkClient struct{ *palette.Client }

func newSDKClient(tb testing.TB, on target) client {
	opts := []palette.Option{
		palette.WithBaseURL(on.baseURL),
		palette.WithAPIKey(credential),
		palette.WithTimeout(timeout),
		palette.WithoutRateLimit(),
	}
	if on.transport != nil {
		opts = append(opts, palette.WithHTTPClient(&http.Client{Transport: on.transport}))
	}
	if on.roots != nil {
		opts = append(opts, palette.WithRootCAs(on.roots))
	}
	c, err := palette.NewClient(opts...)
	require.NoError(tb, err)
	return sdkClient{c}
}

func (c sdkClient) create(ctx context.Context) (string, error) {
	created, err := c.APIKeys.Create(ctx, createRequest)
	if err != nil {
		return "", err
	}
	return created.UID, nil
}

func (c sdkClient) list(ctx context.Context) ([]palette.APIKey, error) { return c.APIKeys.List(ctx) }

// createResponse and listResponse are what a client written by hand decodes.
type createResponse struct {
	APIKey string `json:"apiKey"`
	UID    string `json:"uid"`
}

type listResponse struct {
	Items []palette.APIKey `json:"items"`
}

// httpClient is what one writes by hand with net/http and encoding/json.
type httpClient struct {
	baseURL string
	http    *http.Client
}

func newHTTPClient(_ testing.TB, on target) client {
	rt := on.transport
	if rt == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.TLSClientConfig = &tls.Config{RootCAs: on.roots}
		rt = t
	}
	return &httpClient{on.baseURL, &http.Client{Transport: rt}}
}

func (c *httpClient) create(ctx context.Context) (string, error) {
	body, err := json.Marshal(createRequest)
	if err != nil {
		return "", err
	}
	var created createResponse
	err = c.send(ctx, http.MethodPost, "/v1/apiKeys", bytes.NewReader(body), http.StatusCreated, &created)
	return created.UID, err
}

func (c *httpClient) list(ctx context.Context) ([]palette.APIKey, error) {
	var list listResponse
	err := c.send(ctx, http.MethodGet, "/v1/apiKeys", nil, http.StatusOK, &list)
	return list.Items, err
}

func (c *httpClient) send(ctx context.Context, method, path string, body io.Reader, success int, result any) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.baseURL+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("ApiKey", credential)
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != success {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	responseBody, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	return json.Unmarshal(responseBody, result)
}

// restyClient uses resty as its documentation shows.
type restyClient struct{ *resty.Client }

func newRestyClient(_ testing.TB, on target) client {
	c := resty.New().
		SetBaseURL(on.baseURL).
		SetTimeout(timeout).
		SetHeader("ApiKey", credential).
		SetHeader("Accept", "application/json")
	if on.transport != nil {
		c.SetTransport(on.transport)
	} else {
		c.SetTLSClientConfig(&tls.Config{RootCAs: on.roots})
	}
	return restyClient{c}
}

func (c restyClient) create(ctx context.Context) (string, error) {
	var created createResponse
	resp, err := c.R().SetContext(ctx).SetBody(createRequest).SetResult(&created).Post("/v1/apiKeys")
	return created.UID, checkStatus(resp, err, http.StatusCreated)
}

func (c restyClient) list(ctx context.Context) ([]palette.APIKey, error) {
	var list listResponse
	resp, err := c.R().SetContext(ctx).SetResult(&list).Get("/v1/apiKeys")
	return list.Items, checkStatus(resp, err, http.StatusOK)
}

func checkStatus(resp *resty.Response, err error, success int) error {
	if err == nil && resp.StatusCode() != success {
		return fmt.Errorf("status %d", resp.StatusCode())
	}
	return err
}

// recorder is a transport that records the requests.
type recorder struct {
	http.RoundTripper
	requests []string
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body)
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	_, hasDeadline := req.Context().Deadline()
	r.requests = append(r.requests, fmt.Sprintf("%s %s ApiKey=%s Accept=%s deadline=%t %s",
		req.Method, req.URL, req.Header.Get("ApiKey"), req.Header.Get("Accept"), hasDeadline, body))
	return r.RoundTripper.RoundTrip(req)
}

func TestClientsDoTheSameWork(t *testing.T) {
	t.Parallel()
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sent := &recorder{RoundTripper: inMemory{}}
			cl := c.new(t, target{baseURL: memory.baseURL, transport: sent})

			uid, createErr := cl.create(t.Context())
			keys, listErr := cl.list(t.Context())

			require.NoError(t, createErr)
			assert.Equal(t, "66e844c44bab2337f20c0000", uid)
			require.NoError(t, listErr)
			require.Len(t, keys, 10_000)
			last := keys[9_999]
			assert.Equal(t, "key-9999", last.Metadata.Name)
			assert.Equal(t, "nightly builds 9999", last.Metadata.Annotations["description"])
			assert.Equal(t, time.Date(2030, 1, 2, 3, 4, 5, 678_000_000, time.UTC), last.Spec.Expiry)
			assert.True(t, last.Status.IsActive)
			assert.Equal(t, []string{
				"POST http://127.0.0.1/v1/apiKeys ApiKey=benchmark-credential Accept=application/json deadline=true " +
					`{"metadata":{"annotations":{"description":"created by a benchmark"},"name":"benchmark"},` +
					`"spec":{"expiry":"2030-01-02T03:04:05Z","userUid":"5f3a1c2e9d8b7a6c5e4f3a21"}}`,
				"GET http://127.0.0.1/v1/apiKeys ApiKey=benchmark-credential Accept=application/json deadline=true ",
			}, sent.requests)
		})
	}
}
