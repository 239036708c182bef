package palette_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// The tests speak the wire: they compare what was sent with text, and reply with
// text. The base URL has a path, so that a path that forgets it is not found.
const (
	wireBase = "https://palette.test/tenant"
	wireKey  = "wire-test-credential-4711"
	keyUID   = "66e844c44bab2337f20c7471"
	keyPath  = "/v1/apiKeys/" + keyUID
)

// wire is a Palette that replies with what a test scripted and keeps what it was
// sent. A request that was not scripted fails the test.
type wire struct {
	t    *testing.T
	mock *httpmock.MockTransport

	mu   sync.Mutex
	sent []sentRequest
}

// sentRequest is a request as it would go over the network.
type sentRequest struct {
	Line          string // "GET /v1/apiKeys?continue=x", below the base URL
	Body          string
	ContentLength int64
	Header        http.Header
}

func newWire(t *testing.T) *wire {
	t.Helper()
	w := &wire{t: t, mock: httpmock.NewMockTransport()}
	w.mock.RegisterNoResponder(func(req *http.Request) (*http.Response, error) {
		t.Errorf("request that no test expects: %s %s", req.Method, req.URL)
		return nil, errors.New("request that no test expects")
	})
	return w
}

// on plays replies, in turn, to requests for method and path below the base URL.
func (w *wire) on(method, path string, replies ...httpmock.Responder) *wire {
	w.t.Helper()
	var mu sync.Mutex
	w.mock.RegisterResponder(method, wireBase+path, func(req *http.Request) (*http.Response, error) {
		w.keep(req)
		mu.Lock()
		defer mu.Unlock()
		if len(replies) == 0 {
			w.t.Errorf("one request too many: %s %s", req.Method, req.URL)
			return nil, errors.New("one request too many")
		}
		next := replies[0]
		replies = replies[1:]
		return next(req)
	})
	return w
}

func (w *wire) keep(req *http.Request) {
	var body []byte
	if req.Body != nil {
		var err error
		body, err = io.ReadAll(req.Body)
		assert.NoError(w.t, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = append(w.sent, sentRequest{
		Line:          req.Method + " " + strings.TrimPrefix(req.URL.String(), wireBase),
		Body:          string(body),
		ContentLength: req.ContentLength,
		Header:        req.Header.Clone(),
	})
}

// requests returns what was sent so far.
func (w *wire) requests() []sentRequest {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]sentRequest(nil), w.sent...)
}

// lines returns the request lines of what was sent so far.
func (w *wire) lines() []string {
	var lines []string
	for _, r := range w.requests() {
		lines = append(lines, r.Line)
	}
	return lines
}

// client returns a client that talks to w and does not repeat anything, unless
// opts say otherwise.
func (w *wire) client(opts ...palette.Option) *palette.Client {
	w.t.Helper()
	return w.bareClient(append([]palette.Option{palette.WithRetry(palette.RetryPolicy{})}, opts...)...)
}

// bareClient is client without a say about repeating.
func (w *wire) bareClient(opts ...palette.Option) *palette.Client {
	w.t.Helper()
	client, err := palette.NewClient(append([]palette.Option{
		palette.WithAPIKey(wireKey),
		palette.WithBaseURL(wireBase),
		palette.WithHTTPClient(&http.Client{Transport: w.mock}),
	}, opts...)...)
	require.NoError(w.t, err)
	return client
}

// replyJSON is a reply with a body of the type that the API sends.
func replyJSON(status int, body string) httpmock.Responder {
	return replyWith(status, "application/json", body)
}

// replyWith is a reply of any media type; none at all if it is empty.
func replyWith(status int, contentType, body string) httpmock.Responder {
	return func(req *http.Request) (*http.Response, error) {
		resp := httpmock.NewStringResponse(status, body)
		if contentType != "" {
			resp.Header.Set("Content-Type", contentType)
		}
		resp.ContentLength = int64(len(body))
		resp.Request = req
		return resp, nil
	}
}

// replyDone is the reply to every operation that returns nothing.
func replyDone() httpmock.Responder { return replyWith(http.StatusNoContent, "", "") }

// fixture reads a reply as a server would send it.
func fixture(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return string(raw)
}

// errorBody is an error in the API's shape.
func errorBody(code, message string) string {
	return fmt.Sprintf(`{"code":%q,"message":%q,"details":null,"ref":"ref-1"}`, code, message)
}
