package palettetest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

const createBody = `{"metadata":{"name":"ci"}}`

// overBothProtocols runs a test over HTTP/1.1 and over HTTP/2.
func overBothProtocols(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Run("HTTP/1.1", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.requireProtocol(1)
		test(t, w)
	})
	t.Run("HTTP/2", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, palettetest.WithTLS())
		w.requireProtocol(2)
		test(t, w)
	})
}

func (w *world) requireProtocol(major int) {
	w.t.Helper()
	require.Equal(w.t, major, w.send(w.APIKey, "GET", "/v1/apiKeys", "").proto)
}

func TestScriptedReplies(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fault                     palettetest.Fault
		status                    int
		body, contentType, header string
	}{
		"status alone":   {palettetest.Fault{Status: 503}, 503, "", "", ""},
		"with a body":    {palettetest.Fault{Status: 500, Body: `{"code":"x"}`}, 500, `{"code":"x"}`, "application/json", ""},
		"a page":         {palettetest.Fault{Status: 502, Body: "<html>", ContentType: "text/html"}, 502, "<html>", "text/html", ""},
		"a body alone":   {palettetest.Fault{Body: "?"}, 200, "?", "application/json", ""},
		"too early":      {palettetest.Fault{Status: 429, RetryAfter: "soon"}, 429, "", "", "soon"},
		"a header":       {palettetest.Fault{Status: 307, Header: http.Header{"retry-after": {"7"}}}, 307, "", "", "7"},
		"no status word": {palettetest.Fault{Status: 999}, 999, "", "", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			overBothProtocols(t, func(t *testing.T, w *world) {
				w.Inject(test.fault)
				got := w.send("", "POST", "/v1/apiKeys", createBody) // before authentication
				assert.Equal(t, test.status, got.status)
				assert.Equal(t, test.body, got.body)
				assert.Equal(t, test.contentType, got.header.Get("Content-Type"))
				assert.Equal(t, test.header, got.header.Get("Retry-After"))
				assert.Empty(t, w.Keys(), "no work is done")
				assert.Equal(t, 201, w.send(w.APIKey, "POST", "/v1/apiKeys", createBody).status, "once is the default")
			})
		})
	}
}

func TestARealReplyThatIsTouched(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Inject(palettetest.Fault{ContentType: "text/html", Header: http.Header{"X-Proxy": {"1"}}, RetryAfter: "3"})
	got := w.send(w.APIKey, "POST", "/v1/apiKeys", createBody)
	assert.Equal(t, 201, got.status)
	assert.Equal(t, "text/html", got.header.Get("Content-Type"))
	assert.Equal(t, "1", got.header.Get("X-Proxy"))
	assert.Equal(t, "3", got.header.Get("Retry-After"))
	assert.Len(t, w.Keys(), 1, "the work is done")
}

func TestWhichRequestsAFaultStrikes(t *testing.T) {
	t.Parallel()
	const status = 503
	requests := []struct{ method, path string }{
		{"GET", "/v1/apiKeys"},
		{"GET", "/v1/apiKeys/a"},
		{"DELETE", "/v1/apiKeys/a"},
		{"GET", "/v1/apiKeys/b"},
		{"PUT", "/v1/apiKeys/a/state"},
		{"GET", "/other"},
		{"GET", "/v1/apiKeys/"},
	}
	tests := map[string]struct {
		faults []palettetest.Fault
		struck []int
	}{
		"any":             {[]palettetest.Fault{{Status: status, Times: -1}}, []int{0, 1, 2, 3, 4, 5, 6}},
		"once":            {[]palettetest.Fault{{Status: status}}, []int{0}},
		"twice":           {[]palettetest.Fault{{Status: status, Times: 2}}, []int{0, 1}},
		"skipping":        {[]palettetest.Fault{{Status: status, Skip: 2, Times: 3}}, []int{2, 3, 4}},
		"a method":        {[]palettetest.Fault{{Status: status, Method: "GET", Skip: 1, Times: 2}}, []int{1, 3}},
		"a path":          {[]palettetest.Fault{{Status: status, Path: "/v1/apiKeys", Times: -1}}, []int{0}},
		"a pattern":       {[]palettetest.Fault{{Status: status, Path: "/v1/apiKeys/{uid}", Times: -1}}, []int{1, 2, 3}},
		"a literal":       {[]palettetest.Fault{{Status: status, Path: "/v1/apiKeys/b", Times: -1}}, []int{3}},
		"a state":         {[]palettetest.Fault{{Status: status, Path: "/v1/apiKeys/{uid}/state", Times: -1}}, []int{4}},
		"an unknown path": {[]palettetest.Fault{{Status: status, Path: "/other", Times: -1}}, []int{5}},
		"one by one": {[]palettetest.Fault{
			{Status: status, Path: "/v1/apiKeys/a"}, {Status: status, Method: "GET", Times: 2},
		}, []int{0, 1, 3}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for _, f := range test.faults {
				w.Inject(f)
			}
			struck := []int{}
			for i, request := range requests {
				if w.send(w.APIKey, request.method, request.path, "").status == status {
					struck = append(struck, i)
				}
			}
			assert.Equal(t, test.struck, struck)
		})
	}
}

func TestCuts(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fault palettetest.Fault
		keys  int
	}{
		"before":                 {palettetest.Fault{Cut: palettetest.CutBefore}, 0},
		"after":                  {palettetest.Fault{Cut: palettetest.CutAfter}, 1},
		"in the reply":           {palettetest.Fault{Cut: palettetest.CutReply}, 1},
		"in a scripted reply":    {palettetest.Fault{Cut: palettetest.CutReply, Status: 500, Body: "0123456789"}, 0},
		"in a reply of no body":  {palettetest.Fault{Cut: palettetest.CutReply, Status: 500}, 0},
		"late, and after":        {palettetest.Fault{Cut: palettetest.CutAfter, Delay: time.Millisecond}, 1},
		"before a scripted one":  {palettetest.Fault{Cut: palettetest.CutBefore, Status: 500}, 0},
		"before an endless body": {palettetest.Fault{Cut: palettetest.CutBefore, Endless: true}, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			overBothProtocols(t, func(t *testing.T, w *world) {
				w.Inject(test.fault)
				got, err := w.try(t.Context(), w.APIKey, "POST", "/v1/apiKeys", createBody)
				require.Error(t, err, got.body)
				assert.Len(t, w.Keys(), test.keys)
				assert.Equal(t, 200, w.send(w.APIKey, "GET", "/v1/apiKeys", "").status, "the next one is fine")
			})
		})
	}
}

func TestACutReplyIsHalf(t *testing.T) {
	t.Parallel()
	overBothProtocols(t, func(t *testing.T, w *world) {
		w.Inject(palettetest.Fault{Cut: palettetest.CutReply, Status: 200, Body: "0123456789"})
		got, err := w.try(t.Context(), w.APIKey, "POST", "/v1/apiKeys", createBody)
		require.Error(t, err)
		assert.Equal(t, 200, got.status)
		assert.Equal(t, "10", got.header.Get("Content-Length"))
		assert.Equal(t, "01234", got.body)
	})
}

func TestACutOverHTTP1IsAReset(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Inject(palettetest.Fault{Cut: palettetest.CutBefore})
	_, err := w.try(t.Context(), w.APIKey, "POST", "/v1/apiKeys", createBody)
	require.Error(t, err)
	assert.True(t, errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF), err)
}

func TestACutOverTLSAndHTTP1(t *testing.T) {
	t.Parallel()
	w := newWorld(t, palettetest.WithTLS())
	w.http.Transport.(*http.Transport).ForceAttemptHTTP2 = false
	w.requireProtocol(1)
	w.Inject(palettetest.Fault{Cut: palettetest.CutAfter})
	_, err := w.try(t.Context(), w.APIKey, "POST", "/v1/apiKeys", createBody)
	require.Error(t, err)
	assert.Len(t, w.Keys(), 1)
}

func TestADelayedReply(t *testing.T) {
	t.Parallel()
	const delay = 20 * time.Millisecond
	for name, opt := range map[string]palettetest.Option{"fault": nil, "latency": palettetest.WithLatency(delay)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, opt)
			if opt == nil {
				w.Inject(palettetest.Fault{Delay: delay})
			}
			start := time.Now()
			assert.Equal(t, 200, w.send(w.APIKey, "GET", "/v1/apiKeys", "").status)
			assert.GreaterOrEqual(t, time.Since(start), delay)
		})
	}
}

func TestAClientThatDoesNotWait(t *testing.T) {
	t.Parallel()
	overBothProtocols(t, func(t *testing.T, w *world) {
		w.Inject(palettetest.Fault{Method: "POST", Delay: time.Hour})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			for len(w.Keys()) == 0 && ctx.Err() == nil {
				runtime.Gosched()
			}
			cancel()
		}()
		_, err := w.try(ctx, w.APIKey, "POST", "/v1/apiKeys", createBody)
		require.ErrorIs(t, err, context.Canceled)
		assert.Len(t, w.Keys(), 1, "the work was done before the delay")
	})
}

func TestAnEndlessBody(t *testing.T) {
	t.Parallel()
	overBothProtocols(t, func(t *testing.T, w *world) {
		w.Inject(palettetest.Fault{Endless: true, Status: 500, Body: `{"code":`, ContentType: "application/problem+json"})
		req, err := http.NewRequestWithContext(t.Context(), "GET", w.URL+"/v1/apiKeys", nil)
		require.NoError(t, err)
		res, err := w.http.Do(req)
		require.NoError(t, err)
		defer res.Body.Close()
		assert.Equal(t, 500, res.StatusCode)
		assert.Equal(t, "application/problem+json", res.Header.Get("Content-Type"))
		got := make([]byte, 2<<20)
		_, err = io.ReadFull(res.Body, got)
		require.NoError(t, err)
		assert.True(t, bytes.HasPrefix(got, []byte(`{"code": `)))
		assert.Equal(t, `{"code":`, string(bytes.TrimRight(got, " ")))
	})
}

func TestStatusesThatCannotBe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, status := range []int{-1, 1, 100, 199, 1000} {
		assert.Panics(t, func() { w.Inject(palettetest.Fault{Status: status}) }, status)
	}
}

func TestAnInjectedFaultIsACopy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	header := http.Header{"X-Proxy": {"1"}}
	w.Inject(palettetest.Fault{Status: 503, Header: header})
	header.Set("X-Proxy", "2")
	assert.Equal(t, "1", w.send("", "GET", "/", "").header.Get("X-Proxy"))
}
