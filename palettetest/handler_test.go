package palettetest_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

func TestCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.AuthToken()
	tests := map[string]struct {
		header []string
		status int
	}{
		"admin":                       {[]string{"ApiKey", w.APIKey}, 200},
		"lower case":                  {[]string{"apikey", w.APIKey}, 200},
		"other case":                  {[]string{"APIKEY", w.APIKey}, 200},
		"token":                       {[]string{"Authorization", token}, 200},
		"key before token":            {[]string{"ApiKey", w.APIKey, "Authorization", "wrong"}, 200},
		"wrong key before token":      {[]string{"ApiKey", "wrong", "Authorization", token}, 401},
		"none":                        {nil, 401},
		"unknown":                     {[]string{"ApiKey", "no-such-key"}, 401},
		"with a prefix":               {[]string{"ApiKey", "Bearer " + w.APIKey}, 401},
		"key as authorization":        {[]string{"Authorization", w.APIKey}, 401},
		"token with Bearer":           {[]string{"Authorization", "Bearer " + token}, 401},
		"token as key":                {[]string{"ApiKey", token}, 401},
		"uid as key":                  {[]string{"ApiKey", palettetest.AdminUID}, 401},
		"empty key and authorization": {[]string{"ApiKey", "", "Authorization", ""}, 401},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := w.send("", "GET", "/v1/apiKeys", "", test.header...)
			if test.status == 200 {
				assert.Equal(t, 200, got.status)
				return
			}
			got.requireAppError(t, 401, "UnAuthorizedAccess")
			for i := 1; i < len(test.header); i += 2 {
				if test.header[i] != "" {
					assert.NotContains(t, got.body, test.header[i])
				}
			}
		})
	}
}

func TestTheAdminsCredential(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	raw, err := base64.StdEncoding.DecodeString(w.APIKey)
	require.NoError(t, err)
	assert.Len(t, raw, 32)
	assert.Len(t, w.APIKey, 44)
	assert.Equal(t, w.APIKey, w.Credential(palettetest.AdminUID))
	assert.Equal(t, aliceKey, w.Credential(aliceUID))
	assert.Empty(t, w.Credential("nobody"))
}

func TestATokenLives15Minutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.AuthToken()
	assert.True(t, strings.HasPrefix(token, "eyJ"), token)
	assert.Len(t, strings.Split(token, "."), 3)
	w.clock.Advance(15*time.Minute - time.Millisecond)
	assert.Equal(t, 200, w.send("", "GET", "/v1/apiKeys", "", "Authorization", token).status)
	w.clock.Advance(time.Millisecond)
	assert.Equal(t, 401, w.send("", "GET", "/v1/apiKeys", "", "Authorization", token).status)
}

func TestRouting(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const notFound = "was not found"
	tests := []struct {
		method, path string
		status       int
		message      string
	}{
		{"GET", "/", 404, "path / was not found"},
		{"GET", "/v1", 404, "path /v1 was not found"},
		{"GET", "/v1/apikeys", 404, notFound},
		{"GET", "/v1/apiKeys/", 404, notFound},
		{"DELETE", "/v1/apiKeys/", 404, notFound},
		{"PUT", "/v1/apiKeys//state", 404, notFound},
		{"GET", "//v1/apiKeys", 404, notFound},
		{"DELETE", "/v1/apiKeys/../apiKeys", 404, notFound}, // dots are no way up
		{"GET", "/v1/apiKeys/a/state/", 404, notFound},
		{"GET", "/v1/apiKeys/a/other", 404, notFound},
		{"DELETE", "/v1/apiKeys", 405, "method DELETE is not allowed, but [GET,POST] are"},
		{"POST", "/v1/apiKeys/a", 405, "method POST is not allowed, but [DELETE,GET,PATCH,PUT] are"},
		{"GET", "/v1/apiKeys/a/state", 405, "method GET is not allowed, but [PUT] are"},
		{"PATCH", "/v1/apiKeys/a/state", 405, "method PATCH is not allowed, but [PUT] are"},
	}
	for _, test := range tests {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			t.Parallel()
			got := w.send("", test.method, test.path, "") // before the credential is looked at
			got.requireFrameworkError(t, test.status, test.status, test.message)
			assert.Empty(t, got.header.Get("Location"))
		})
	}
}

func TestPathPrefix(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"/gate way", "gate way/"} {
		t.Run(prefix, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, palettetest.WithPathPrefix(prefix))
			require.True(t, strings.HasSuffix(w.URL, "/gate%20way"), w.URL)
			w.Inject(palettetest.Fault{Path: "/v1/apiKeys", Status: 503})
			assert.Equal(t, 503, w.send(w.APIKey, "GET", "/v1/apiKeys", "").status, "fault paths are below the prefix")
			assert.Equal(t, 200, w.send(w.APIKey, "GET", "/v1/apiKeys", "").status)
			assert.Equal(t, "/gate%20way/v1/apiKeys", w.Requests()[0].Path)

			w.URL = strings.TrimSuffix(w.URL, "/gate%20way")
			got := w.send(w.APIKey, "GET", "/v1/apiKeys", "")
			got.requireFrameworkError(t, 404, 404, "path /v1/apiKeys was not found")
		})
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	const list, one = "/v1/apiKeys", "/v1/apiKeys/none"
	tests := []struct {
		name, method, path, body, contentType string
		status, code                          int
		message                               string
	}{
		{"no JSON", "POST", list, `name=ci`, "application/json", 400, 400, "could not be parsed"},
		{"half of it", "PUT", one, `{"metadata":{"name":"a"`, "application/json", 400, 400, "could not be parsed"},
		{"twice", "POST", list, `{"metadata":{"name":"a"}}{}`, "application/json", 400, 400, "could not be parsed"},
		{"no media type", "POST", list, `{}`, "", 415, 415, "unsupported media type"},
		{"a form", "PUT", one, `{}`, "application/x-www-form-urlencoded", 415, 415, "application/x-www-form-urlencoded"},
		{"text", "PATCH", one, `{}`, "text/json", 415, 415, "unsupported media type"},
		{"a broken media type", "PUT", one + "/state", `{}`, "application/json; x", 415, 415, "unsupported media type"},
		{"a number for a name", "POST", list, `{"metadata":{"name":7}}`, "application/json", 422, 601, "metadata.name in body must be of type string"},
		{"a string for a bool", "PATCH", one, `{"isActive":"false"}`, "application/json", 422, 601, "isActive in body must be of type bool"},
		{"a list for a body", "PUT", one + "/state", `[]`, "application/json", 422, 601, "body in body must be of type"},
		{"a number in labels", "PUT", one, `{"metadata":{"labels":{"a":1}}}`, "application/json", 422, 601, "must be of type string"},
		{"a day for a time", "POST", list, `{"metadata":{"name":"a"},"spec":{"expiry":"2026-12-24"}}`, "application/json", 422, 601, "spec.expiry in body must be of type date-time"},
		{"a number for a time", "POST", list, `{"metadata":{"name":"a"},"spec":{"expiry":1}}`, "application/json", 422, 601, "spec.expiry in body must be of type date-time"},
		{"none for a create", "POST", list, ``, "application/json", 422, 602, "required"},
		{"none for a state", "PUT", one + "/state", ``, "", 422, 602, "required"},
		{"too large", "POST", list, `"` + strings.Repeat("x", 1<<20-1) + `"`, "application/json", 413, 413, "1048576"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			got := w.send(w.APIKey, test.method, test.path, test.body, "Content-Type", test.contentType)
			got.requireFrameworkError(t, test.status, test.code, test.message)
			assert.Empty(t, w.Keys())
			got = w.send("", test.method, test.path, test.body, "Content-Type", test.contentType)
			got.requireAppError(t, 401, "UnAuthorizedAccess")
		})
	}
}

func TestABodyThatBreaksOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	whole := strings.NewReader(`{"metadata":{"name":"a"}}`)
	req := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/apiKeys", io.MultiReader(whole, iotest.ErrReader(io.ErrUnexpectedEOF)))
	req.Header.Set("ApiKey", w.APIKey)
	req.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	w.ServeHTTP(recorder, req)
	assert.Equal(t, 400, recorder.Code)
	assert.Empty(t, w.Keys(), "what was read could be complete, and still is not carried out")
}

func TestMediaTypesThatAreJSON(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, contentType := range []string{"application/json; charset=utf-8", "Application/JSON"} {
		got := w.send(w.APIKey, "POST", "/v1/apiKeys", `{"metadata":{"name":"a"}}`, "Content-Type", contentType)
		assert.Equal(t, 201, got.status, contentType)
	}
}

func TestTheLargestBody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body := `{"metadata":{"name":"a"}}`
	body += strings.Repeat(" ", 1<<20-len(body))
	assert.Equal(t, 201, w.send(w.APIKey, "POST", "/v1/apiKeys", body).status)
	assert.Len(t, w.Requests()[0].Body, 1<<20)
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, palettetest.WithRateLimit(10, 3))
	for range 3 {
		require.Equal(t, 200, w.send(w.APIKey, "GET", "/v1/apiKeys", "").status)
	}
	got := w.send("", "GET", "/v1/apiKeys/any", "")
	got.requireAppError(t, 429, "TooManyRequests")
	assert.Empty(t, got.header.Get("Retry-After"))
	w.clock.Advance(100 * time.Millisecond)
	assert.Equal(t, 200, w.send(w.APIKey, "GET", "/v1/apiKeys", "").status)
	assert.Equal(t, 429, w.send(w.APIKey, "GET", "/v1/apiKeys", "").status)
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	w := newWorld(t, palettetest.WithRateLimit(1, 0), palettetest.WithRetryAfter(1200*time.Millisecond))
	got := w.send(w.APIKey, "GET", "/v1/apiKeys", "")
	assert.Equal(t, 429, got.status)
	assert.Equal(t, "2", got.header.Get("Retry-After"))
}

func TestOptionsCanBeUsedTwice(t *testing.T) {
	t.Parallel()
	limit := palettetest.WithRateLimit(1, 1)
	for range 2 {
		w := newWorld(t, nil, limit)
		assert.Equal(t, 200, w.send(w.APIKey, "GET", "/v1/apiKeys", "").status, "servers share no state")
	}
}

func TestUsersNeedAUIDOfTheirOwn(t *testing.T) {
	t.Parallel()
	for _, uid := range []string{"", palettetest.AdminUID} {
		assert.Panics(t, func() { palettetest.NewServer(palettetest.WithUser(palettetest.User{UID: uid})) })
	}
}

func TestAsAHandler(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://elsewhere/v1/apiKeys", nil)
	require.NoError(t, err)
	req.Header.Set("ApiKey", w.APIKey)

	recorder := httptest.NewRecorder()
	w.ServeHTTP(recorder, req)
	assert.Equal(t, 200, recorder.Code)
	assert.JSONEq(t, `{"items":[]}`, recorder.Body.String())

	w.Inject(palettetest.Fault{Cut: palettetest.CutAfter})
	assert.PanicsWithValue(t, http.ErrAbortHandler, func() { w.ServeHTTP(httptest.NewRecorder(), req) })
}

func TestRequestsAreRecordedWithoutCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.send(w.APIKey, "POST", "/v1/apiKeys?a=b&a=c", `{"metadata":{"name":"ci"}}`, "Cookie", "session=secret", "X-Trace", "1")
	w.send("", "GET", "/v1/apiKeys/a%2Fb", "", "Authorization", "secret")
	req := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
	req.Header["ApiKey"] = []string{"secret"} // a name that is not canonical
	w.ServeHTTP(httptest.NewRecorder(), req)

	got := w.Requests()
	require.Len(t, got, 3)
	assert.Equal(t, "POST", got[0].Method)
	assert.Equal(t, "/v1/apiKeys", got[0].Path)
	assert.Equal(t, []string{"b", "c"}, got[0].Query["a"])
	assert.Equal(t, "1", got[0].Header.Get("X-Trace"))
	assert.JSONEq(t, `{"metadata":{"name":"ci"}}`, string(got[0].Body))
	assert.Equal(t, "/v1/apiKeys/a%2Fb", got[1].Path)
	for _, request := range got {
		for _, values := range request.Header {
			for _, value := range values {
				assert.NotContains(t, value, "secret")
				assert.NotContains(t, value, w.APIKey)
			}
		}
	}

	got[0].Body[0], got[0].Query["a"][0] = 'x', "x"
	got[0].Header.Set("X-Trace", "x")
	again := w.Requests()[0]
	assert.Equal(t, byte('{'), again.Body[0], "copies")
	assert.Equal(t, "b", again.Query["a"][0])
	assert.Equal(t, "1", again.Header.Get("X-Trace"))
}
