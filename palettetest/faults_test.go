package palettetest_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

func TestFaultReplacesTheResponse(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault                         palettetest.Fault
		want, contentType, retryAfter string
		keys                          int
	}{
		"status":         {palettetest.Fault{Status: 503}, "503 ", "", "", 0},
		"JSON":           {palettetest.Fault{Status: 500, Body: `{"a":1}`}, `500 {"a":1}`, "application/json", "", 0},
		"HTML":           {palettetest.Fault{Status: 502, Body: "?", ContentType: "text/html"}, "502 ?", "text/html", "", 0},
		"body":           {palettetest.Fault{Body: "?"}, "200 ?", "application/json", "", 0},
		"Retry-After":    {palettetest.Fault{Status: 429, RetryAfter: "soon"}, "429 ", "", "soon", 0},
		"header":         {palettetest.Fault{Status: 999, Header: http.Header{"Retry-After": {"7"}}}, "999 ", "", "7", 0},
		"after the work": {palettetest.Fault{Status: 502, Body: "?", After: true}, "502 ?", "application/json", "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			overBothProtocols(t, func(t *testing.T, s *testServer) {
				s.Inject(tt.fault)

				got := s.send(s.APIKey, "POST", "/v1/apiKeys", createBody)

				assert.Equal(t, tt.want, got.String())
				assert.Equal(t, tt.contentType, got.header.Get("Content-Type"))
				assert.Equal(t, tt.retryAfter, got.header.Get("Retry-After"))
				assert.Len(t, s.Keys(), tt.keys)
			})
		})
	}
}

func TestFaultWithACodeIsAnErrorOfPalette(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	s.Inject(palettetest.Fault{Status: 404, Code: "ResourceNotFound"})

	got := s.send(s.APIKey, "POST", "/v1/apiKeys", createBody)

	requireAppError(t, got, "404 ResourceNotFound: This error was injected by a test")
	assert.Empty(t, s.Keys())
}

func TestFaultChangesTheResponse(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	header := http.Header{"X-Proxy": {"1"}}
	s.Inject(palettetest.Fault{ContentType: "text/html", Header: header, RetryAfter: "3"})
	header.Set("X-Proxy", "2") // Inject has copied it

	got := s.send(s.APIKey, "POST", "/v1/apiKeys", createBody)

	assert.Equal(t, 201, got.status)
	assert.Equal(t, "text/html", got.header.Get("Content-Type"))
	assert.Equal(t, "1", got.header.Get("X-Proxy"))
	assert.Equal(t, "3", got.header.Get("Retry-After"))
	assert.Len(t, s.Keys(), 1)
}

func TestWhichRequestsFail(t *testing.T) {
	t.Parallel()
	requests := []struct{ name, method, path string }{
		{"list", "GET", "/v1/apiKeys"},
		{"get a", "GET", "/v1/apiKeys/a"},
		{"delete a", "DELETE", "/v1/apiKeys/a"},
		{"get b", "GET", "/v1/apiKeys/b"},
		{"revoke a", "PUT", "/v1/apiKeys/a/state"},
		{"other", "GET", "/other"},
	}
	for name, tt := range map[string]struct {
		faults []palettetest.Fault
		want   string
	}{
		"once":    {[]palettetest.Fault{{}}, "list"},
		"skip":    {[]palettetest.Fault{{Skip: 2, Times: 2}}, "delete a, get b"},
		"method":  {[]palettetest.Fault{{Method: "GET", Skip: 1, Times: 2}}, "get a, get b"},
		"path":    {[]palettetest.Fault{{Path: "/v1/apiKeys", Times: -1}}, "list"},
		"uids":    {[]palettetest.Fault{{Path: "/v1/apiKeys/{uid}", Times: -1}}, "get a, delete a, get b"},
		"one uid": {[]palettetest.Fault{{Path: "/v1/apiKeys/b", Times: -1}}, "get b"},
		"state":   {[]palettetest.Fault{{Path: "/v1/apiKeys/{uid}/state", Times: -1}}, "revoke a"},
		"always":  {[]palettetest.Fault{{Times: -1}}, "list, get a, delete a, get b, revoke a, other"},
		"two":     {[]palettetest.Fault{{Path: "/v1/apiKeys/a"}, {Method: "GET", Times: 2}}, "list, get a, get b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTestServer(t)
			for _, fault := range tt.faults {
				fault.Status = 599
				s.Inject(fault)
			}

			var failed []string
			for _, req := range requests {
				if s.send(s.APIKey, req.method, req.path, "").status == 599 {
					failed = append(failed, req.name)
				}
			}

			assert.Equal(t, tt.want, strings.Join(failed, ", "))
		})
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault palettetest.Fault
		want  string // pattern of the body that the client receives
		keys  int
	}{
		"before":                 {palettetest.Fault{Cut: palettetest.CutBefore}, `^$`, 0},
		"before with a status":   {palettetest.Fault{Cut: palettetest.CutBefore, Status: 500, After: true}, `^$`, 0},
		"before an endless body": {palettetest.Fault{Cut: palettetest.CutBefore, Endless: true}, `^$`, 0},
		"after":                  {palettetest.Fault{Cut: palettetest.CutAfter}, `^$`, 1},
		"after a delay":          {palettetest.Fault{Cut: palettetest.CutAfter, Delay: time.Millisecond}, `^$`, 1},
		"in the real body":       {palettetest.Fault{Cut: palettetest.CutReply}, `^{"apiKey":"palettetest\+.{22}$`, 1},
		"in another body":        {palettetest.Fault{Cut: palettetest.CutReply, Body: "0123456789"}, `^01234$`, 0},
		"in an empty body":       {palettetest.Fault{Cut: palettetest.CutReply, Status: 500}, `^$`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			overBothProtocols(t, func(t *testing.T, s *testServer) {
				s.Inject(tt.fault)

				got, err := s.try(t.Context(), http.Header{"Apikey": {s.APIKey}}, "POST", "/v1/apiKeys", createBody)

				require.Error(t, err)
				assert.Regexp(t, tt.want, got.body)
				assert.Equal(t, tt.want == `^$`, got.status == 0) // no body: no response at all
				assert.Len(t, s.Keys(), tt.keys)
				s.requireStatus(200, s.APIKey, "GET", "/v1/apiKeys")
			})
			t.Run("without a network", func(t *testing.T) {
				t.Parallel()
				s := newTestServer(t, palettetest.WithPathPrefix(""))
				s.Inject(tt.fault)
				req := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/apiKeys", strings.NewReader(createBody))
				req.Header = http.Header{"Apikey": {s.APIKey}, "Content-Type": {"application/json"}}
				recorder := httptest.NewRecorder()

				assert.PanicsWithValue(t, http.ErrAbortHandler, func() { s.ServeHTTP(recorder, req) })

				assert.Regexp(t, tt.want, recorder.Body.String())
				assert.Len(t, s.Keys(), tt.keys)
			})
		})
	}
}

func TestDelay(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, palettetest.WithLatency(10*time.Millisecond))
	s.Inject(palettetest.Fault{Delay: 10 * time.Millisecond})
	start := time.Now()

	s.requireStatus(200, s.APIKey, "GET", "/v1/apiKeys")

	assert.GreaterOrEqual(t, time.Since(start), 20*time.Millisecond)
}

func TestClientDoesNotWaitForADelay(t *testing.T) {
	t.Parallel()
	overBothProtocols(t, func(t *testing.T, s *testServer) {
		s.Inject(palettetest.Fault{Delay: time.Hour})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			defer cancel()
			assert.Eventually(t, func() bool { return len(s.Keys()) == 1 }, time.Minute, time.Millisecond)
		}()

		_, err := s.try(ctx, http.Header{"Apikey": {s.APIKey}}, "POST", "/v1/apiKeys", createBody)

		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestEndlessBody(t *testing.T) {
	t.Parallel()
	overBothProtocols(t, func(t *testing.T, s *testServer) {
		s.Inject(palettetest.Fault{Endless: true, Status: 500, Body: `{"code":`})
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/v1/apiKeys", nil)
		require.NoError(t, err)

		resp, err := s.client.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		got := make([]byte, 2<<20)
		_, err = io.ReadFull(resp.Body, got)

		require.NoError(t, err)
		assert.Equal(t, 500, resp.StatusCode)
		assert.Equal(t, "application/json", resp.Header.Get("Content-Type"))
		assert.Empty(t, resp.Header.Get("Content-Length"))
		assert.Equal(t, `{"code":`+strings.Repeat(" ", 2<<20-len(`{"code":`)), string(got))
	})
}

func TestResponseEndsWithTheContext(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault       palettetest.Fault
		contentType string
	}{
		"delayed": {palettetest.Fault{Delay: time.Hour}, ""},
		"endless": {palettetest.Fault{Endless: true}, "application/json"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := palettetest.Start(t)
			server.Inject(tt.fault)
			recorder := httptest.NewRecorder()
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			req := httptest.NewRequestWithContext(ctx, "GET", "/", nil)

			assert.PanicsWithValue(t, http.ErrAbortHandler, func() { server.ServeHTTP(recorder, req) })
			assert.Equal(t, 200, recorder.Code)
			assert.Equal(t, tt.contentType, recorder.Header().Get("Content-Type"))
		})
	}
}

func TestInjectPanicsOnInvalidFaults(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)
	for _, status := range []int{-1, 199, 1000} {
		assert.Panics(t, func() { server.Inject(palettetest.Fault{Status: status}) }, status)
	}
	server.Inject(palettetest.Fault{Status: 200})
	assert.Panics(t, func() { server.Inject(palettetest.Fault{Code: "ResourceNotFound"}) })
	assert.Panics(t, func() { server.Inject(palettetest.Fault{Status: 404, Code: "ResourceNotFound", Body: "{}"}) })
}
