package palette_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

func TestOnlyDocumentedStatusIsSuccess(t *testing.T) {
	t.Parallel()
	for _, op := range methods("Get", "Create", "Delete") {
		for _, status := range []int{200, 201, 202, 203, 204, 205, 299, 600, 999} {
			if status == op.success {
				continue
			}
			t.Run(op.name+" "+strconv.Itoa(status), func(t *testing.T) {
				t.Parallel()
				m := newMock(t, respond(status, op.response)) // one response: it is not retried

				result, err := op.call(t.Context(), newTestClient(t, m, withFastRetries(2)...).APIKeys)

				requireUnexpected(t, op, result, err, fmt.Sprintf("status %d, not %d", status, op.success))
			})
		}
	}
}

func TestResponseWithoutBodyIsNotDecoded(t *testing.T) {
	t.Parallel()
	m := newMock(t, respondWith(204, http.Header{"Content-Type": {"text/html"}}, "<html>"))

	require.NoError(t, newTestClient(t, m).APIKeys.Delete(t.Context(), testUID))
}

func TestMediaType(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		contentType string
		media       string // in the error; "JSON": success
	}{
		{"application/json", "JSON"},
		{"application/json; charset=utf-8", "JSON"},
		{"application/json;", "JSON"},
		{"Application/JSON;charset=UTF-8", "JSON"},
		{"application/problem+json", "JSON"},
		{"application/vnd.spectrocloud.palette+json; version=1", "JSON"},
		{"", ""},
		{"json", "json"},
		{"text/html", "text/html"},
		{"Text/HTML; charset=utf-8", "text/html"},
		{"text/html; a=application/json", "text/html"},
		{"text/plain", "text/plain"},
		{"application/jsonp", "application/jsonp"},
		{"application/x-ndjson", "application/x-ndjson"},
		{"application/json, text/html", "application/json, text/html"},
	} {
		t.Run(tt.contentType, func(t *testing.T) {
			t.Parallel()
			for _, op := range getAndCreate() {
				header := http.Header{"Content-Type": {tt.contentType}}
				client := newTestClient(t, newMock(t, respondWith(op.success, header, op.response)))

				result, err := op.call(t.Context(), client.APIKeys)

				if tt.media == "JSON" {
					require.NoError(t, err)
					require.NotNil(t, result)
					continue
				}
				why := fmt.Sprintf("status %d with Content-Type %q, not JSON: something other than Palette responded", op.success, tt.media)
				requireUnexpected(t, op, result, err, why)
			}
		})
	}
}

func TestBodyThatIsNotJSON(t *testing.T) {
	t.Parallel()
	for _, op := range getAndCreate() {
		size := len(op.response)
		for _, tt := range []struct {
			name, body string
			offset     int // of the first invalid byte, starting at 1
		}{
			{"empty", "", 0},
			{"HTML", "<html></html>", 1},
			{"incomplete", op.response[:size-1], size - 1},
			{"two values", op.response + "{}", size + 1},
		} {
			t.Run(op.name+" "+tt.name, func(t *testing.T) {
				t.Parallel()
				header := http.Header{"Content-Type": {"application/json"}}
				client := newTestClient(t, newMock(t, respondWith(op.success, header, tt.body)))

				result, err := op.call(t.Context(), client.APIKeys)

				requireUnexpected(t, op, result, err, fmt.Sprintf("invalid JSON at offset %d of %d bytes", tt.offset, len(tt.body)))
			})
		}
	}
}

// respondStreamed responds with a body and a Content-Length, which is -1 if it is not known.
func respondStreamed(status int, length int64, body io.ReadCloser) httpmock.Responder {
	return func(req *http.Request) (*http.Response, error) {
		send(req, written)
		resp := newResponse(status, http.Header{"Content-Type": {"application/json"}}, "")
		resp.Request, resp.ContentLength, resp.Body = req, length, body
		return resp, nil
	}
}

// zeros is an endless body that costs nothing to produce.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	const limit = 64 << 20
	for _, tt := range []struct { //nolint:paralleltest // two cases read 64 MiB, and not at the same time
		name   string
		body   io.Reader
		length int64
		read   int64
		want   string
	}{
		{"endless", zeros{}, -1, limit + 1, "the body is larger than the limit"},
		{"exactly the limit", io.LimitReader(zeros{}, limit), limit, limit, "invalid JSON at offset 1 of 67108864 bytes"},
		{"larger than the limit by its Content-Length", zeros{}, limit + 1, 0, "the body is larger than the limit"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := &streamed{Reader: tt.body}
			client := newTestClient(t, newMock(t, respondStreamed(200, tt.length, body)))

			err := getKey(t, client)

			require.ErrorIs(t, err, palette.ErrUnexpectedResponse)
			require.EqualError(t, err, "palette: apiKeys.get: unexpected response: "+tt.want+" (host palette.test, 1 attempt)")
			assert.Equal(t, tt.read, body.read)
		})
	}
}

// A body that breaks off is an error of the transport as well, even if what was read could
// be decoded.
func TestTruncatedBody(t *testing.T) {
	t.Parallel()
	for _, op := range getAndCreate() {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			body := io.MultiReader(strings.NewReader(op.response), iotest.ErrReader(io.ErrUnexpectedEOF))
			client := newTestClient(t, newMock(t, respondStreamed(op.success, -1, io.NopCloser(body))))

			result, err := op.call(t.Context(), client.APIKeys)

			assert.Nil(t, result)
			require.ErrorIs(t, err, palette.ErrUnexpectedResponse)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.ErrorContains(t, err, "palette: "+op.op+": truncated response: unexpected EOF (host palette.test, 1 attempt)")
		})
	}
}

// A body that is not closed is a lost connection.
func TestResponseBodyIsClosed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*http.Response)
	}{
		{"success", func(*http.Response) {}},
		{"other status", func(resp *http.Response) { resp.StatusCode = 202 }},
		{"status that HTTP does not have", func(resp *http.Response) { resp.StatusCode = 999 }},
		{"other media type", func(resp *http.Response) { resp.Header.Set("Content-Type", "text/html") }},
		{"not JSON", func(resp *http.Response) { resp.Body = io.NopCloser(strings.NewReader("<")) }},
		{"truncated", func(resp *http.Response) { resp.Body = io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF)) }},
		{"too large", func(resp *http.Response) { resp.ContentLength = 1 << 40 }},
		{"redirect", func(resp *http.Response) { resp.StatusCode = 302 }},
		{"error", func(resp *http.Response) { resp.StatusCode = 404 }},
		{"error that is retried", func(resp *http.Response) { resp.StatusCode = 429 }},
		{"error that is too large", func(resp *http.Response) { resp.StatusCode, resp.ContentLength = 500, 1<<40 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, op := range methods("Get", "Create", "Delete") {
				var bodies []*streamed
				client := newTestClient(t, roundTripFunc(func(req *http.Request) (*http.Response, error) {
					resp, err := op.succeed()(req)
					tt.change(resp)
					body := &streamed{Reader: resp.Body}
					bodies = append(bodies, body)
					resp.Body = body
					return resp, err
				}), withFastRetries(2)...)

				_, _ = op.call(t.Context(), client.APIKeys) // other tests check the result

				assert.NotEmpty(t, bodies, op.name)
				for _, body := range bodies {
					assert.True(t, body.closed, op.name)
				}
			}
		})
	}
}
