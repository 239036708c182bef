package palettetest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

func TestUnknownPathsAndMethods(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	for request, want := range map[string]string{
		"GET /":                   `404 {"code":404,"message":"path /prefix/ was not found"}`,
		"GET /v1/apikeys":         `404 {"code":404,"message":"path /prefix/v1/apikeys was not found"}`,
		"DELETE /v1/apiKeys/":     `404 {"code":404,"message":"path /prefix/v1/apiKeys/ was not found"}`,
		"PUT /v1/apiKeys//state":  `404 {"code":404,"message":"path /prefix/v1/apiKeys//state was not found"}`,
		"GET //v1/apiKeys":        `404 {"code":404,"message":"path /prefix//v1/apiKeys was not found"}`,
		"GET /v1/x/../apiKeys":    `404 {"code":404,"message":"path /prefix/v1/x/../apiKeys was not found"}`,
		"GET /v1/apiKeys/a/other": `404 {"code":404,"message":"path /prefix/v1/apiKeys/a/other was not found"}`,
		"DELETE /v1/apiKeys":      `405 {"code":405,"message":"method DELETE is not allowed, but [GET,POST] are"}`,
		"POST /v1/apiKeys/a":      `405 {"code":405,"message":"method POST is not allowed, but [DELETE,GET,PATCH,PUT] are"}`,
		"GET /v1/apiKeys/a/state": `405 {"code":405,"message":"method GET is not allowed, but [PUT] are"}`,
	} {
		t.Run(request, func(t *testing.T) {
			t.Parallel()
			method, path, _ := strings.Cut(request, " ")

			got := s.sendHeader(nil, method, path, "") // the credential is checked later

			assert.Equal(t, want, got.String())
			_, allowed, _ := strings.Cut(strings.TrimSuffix(want, `] are"}`), "but [")
			assert.Equal(t, allowed, got.header.Get("Allow"))
		})
	}
	assert.Equal(t, 404, serve(t, s, "/v1/apiKeys").Code) // without the prefix
}

func TestInvalidBodies(t *testing.T) {
	t.Parallel()
	const json = "application/json"
	for name, tt := range map[string]struct{ method, body, contentType, want string }{
		"no JSON":            {"POST", `name=ci`, json, `400 {"code":400,"message":"the body could not be parsed: `},
		"truncated":          {"PUT", `{"metadata":`, json, `400 {"code":400,"message":"the body could not be parsed: `},
		"two values":         {"PATCH", `{}{}`, json, `400 {"code":400,"message":"the body could not be parsed: `},
		"no media type":      {"POST", `{}`, "", `415 {"code":415,"message":"unsupported media type \"\", only `},
		"other media type":   {"PUT", `{}`, "text/json", `415 {"code":415,"message":"unsupported media type \"text/json\", `},
		"invalid media type": {"PATCH", `{}`, json + "; x", `415 {"code":415,"message":"unsupported media type `},
		"number as name": {
			"POST", `{"metadata":{"name":7}}`, json,
			`422 {"code":601,"message":"metadata.name in body must be of type string: \"number\""}`,
		},
		"string as isActive": {
			"PATCH", `{"isActive":"false"}`, json,
			`422 {"code":601,"message":"isActive in body must be of type bool: \"string\""}`,
		},
		"string as isActive of the state": {
			"PUT /state", `{"isActive":"false"}`, json,
			`422 {"code":601,"message":"isActive in body must be of type bool: \"string\""}`,
		},
		"array": {"PUT", `[]`, json, `422 {"code":601,"message":"body in body must be of type struct: \"array\""}`},
		"date as expiry": {
			"POST", `{"metadata":{"name":"ci"},"spec":{"expiry":"2026-12-24"}}`, json,
			`422 {"code":601,"message":"spec.expiry in body must be of type date-time: \"2026-12-24\""}`,
		},
		"no body":   {"POST", ``, json, `422 {"code":602,"message":"body in body is required"}`},
		"too large": {"POST", strings.Repeat(" ", 1<<20+1), json, `413 {"code":413,"message":"the body exceeds 1048576 bytes`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTestServer(t)
			path := "/v1/apiKeys"
			method, subpath, onSubpath := strings.Cut(tt.method, " ") // of the key
			if method != "POST" || onSubpath {
				uid, _ := s.AddKey(palettetest.Key{Name: "ci", Active: true})
				path += "/" + uid + subpath
			}
			before := s.Keys()

			got := s.sendHeader(http.Header{"Apikey": {s.APIKey}, "Content-Type": {tt.contentType}}, method, path, tt.body)

			assert.Equal(t, tt.want, got.String()[:min(len(tt.want), len(got.String()))])
			assert.Equal(t, "application/json", got.header.Get("Content-Type"))
			assert.Equal(t, before, s.Keys())
		})
	}
}

func TestLargestBody(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	header := http.Header{"Apikey": {s.APIKey}, "Content-Type": {"Application/JSON; charset=utf-8"}}

	got := s.sendHeader(header, "POST", "/v1/apiKeys", createBody+strings.Repeat(" ", 1<<20-len(createBody)))

	assert.Equal(t, 201, got.status)
}

func TestTruncatedBodyIsNotProcessed(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)
	body := io.MultiReader(strings.NewReader(createBody), iotest.ErrReader(io.ErrUnexpectedEOF))
	req := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/apiKeys", body)
	req.Header = http.Header{"Apikey": {server.APIKey}, "Content-Type": {"application/json"}}
	recorder := httptest.NewRecorder()

	server.ServeHTTP(recorder, req)

	assert.Equal(t, 400, recorder.Code)
	assert.JSONEq(t, `{"code":400,"message":"the body could not be read"}`, recorder.Body.String())
	assert.Empty(t, server.Keys())
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, palettetest.WithRateLimit(10, 2))
	s.requireStatus(404, "", "GET", "/unknown") // counts as well
	s.requireStatus(200, s.APIKey, "GET", "/v1/apiKeys")

	got := s.send(s.APIKey, "POST", "/v1/apiKeys", createBody)
	requireAppError(t, got, "429 TooManyRequests: The request rate is above the limit")
	assert.NotContains(t, got.header, "Retry-After")
	assert.Empty(t, s.Keys())

	s.advance(100 * time.Millisecond)
	s.requireStatus(200, s.APIKey, "GET", "/v1/apiKeys")
	s.requireStatus(429, s.APIKey, "GET", "/v1/apiKeys")
}

func TestRateLimitStyles(t *testing.T) {
	t.Parallel()
	const nginxPage = "503 <html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n<body>\r\n" +
		"<center><h1>503 Service Temporarily Unavailable</h1></center>\r\n<hr><center>nginx</center>\r\n" +
		"</body>\r\n</html>"
	for name, tt := range map[string]struct {
		style                                  palettetest.RateLimitStyle
		perSecond                              float64
		want, contentType, retryAfter, retryIn string
	}{
		"nginx":         {palettetest.RateLimitNginx, 1, nginxPage, "text/html", "", ""},
		"Traefik":       {palettetest.RateLimitTraefik, 1, "429 Too Many Requests", "text/plain; charset=utf-8", "1", "500ms"},
		"Traefik, slow": {palettetest.RateLimitTraefik, 0.4, "429 Too Many Requests", "text/plain; charset=utf-8", "2", "2s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTestServer(t, palettetest.WithRateLimit(tt.perSecond, 1), palettetest.WithRateLimitStyle(tt.style))
			s.requireStatus(200, s.APIKey, "GET", "/v1/apiKeys")
			s.advance(500 * time.Millisecond)

			got := s.send(s.APIKey, "GET", "/v1/apiKeys", "")

			assert.Equal(t, tt.want, got.String())
			assert.Equal(t, tt.contentType, got.header.Get("Content-Type"))
			assert.Equal(t, tt.retryAfter, got.header.Get("Retry-After"))
			assert.Equal(t, tt.retryIn, got.header.Get("X-Retry-In"))
		})
	}
}
