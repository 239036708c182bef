package palette_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// apiErrorOf returns the error of Get if the server responds with r.
func apiErrorOf(t *testing.T, r httpmock.Responder, opts ...palette.Option) *palette.APIError {
	t.Helper()
	apiErr, ok := errors.AsType[*palette.APIError](getKey(t, newTestClient(t, newMock(t, r), opts...)))
	require.True(t, ok)
	return apiErr
}

// respondAs responds with a 502 and a body of the given media type.
func respondAs(mediaType, body string) httpmock.Responder {
	return respondWith(502, http.Header{"Content-Type": {mediaType}}, body)
}

// errorTexts are the server's texts in an APIError.
type errorTexts struct{ Code, Message, Ref, Details, Location string }

func textsOf(e *palette.APIError) errorTexts {
	return errorTexts{e.Code, e.Message, e.Ref, string(e.Details), e.Location}
}

// redirectTo responds with a redirect whose body repeats the target.
func redirectTo(location string) httpmock.Responder {
	return respondWith(307, http.Header{"Location": {location}, "Content-Type": {"text/plain"}}, "Redirecting to "+location)
}

// respondChunked responds with a body whose length is not announced.
func respondChunked(body ...io.Reader) httpmock.Responder {
	return func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 400, ContentLength: -1, Body: io.NopCloser(io.MultiReader(body...))}, nil
	}
}

// classesOf returns the classes that errors.Is finds for err.
func classesOf(err error) []error {
	var classes []error
	for _, class := range []error{
		palette.ErrInvalidArgument, palette.ErrBadRequest, palette.ErrUnauthorized, palette.ErrForbidden,
		palette.ErrNotFound, palette.ErrConflict, palette.ErrRateLimited, palette.ErrServer, palette.ErrRedirect,
		palette.ErrUnexpectedResponse, palette.ErrOutcomeUnknown, palette.ErrSecretNotEncoded,
	} {
		if errors.Is(err, class) {
			classes = append(classes, class)
		}
	}
	return classes
}

func TestAPIErrorText(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]palette.APIError{
		"404 ResourceNotFound: no key (host palette.test, ref r-1, 4 attempts)": {
			StatusCode: 404, Code: "ResourceNotFound", Message: "no key", Host: testHost, Ref: "r-1", Attempts: 4,
		},
		"503 Service Unavailable (host palette.test, 1 attempt)":                                                 {StatusCode: 503, Host: testHost, Attempts: 1},
		"422 608: too long (1 attempt)":                                                                          {StatusCode: 422, Code: "608", Message: "too long", Attempts: 1},
		"404 Not Found: no path (1 attempt); the path does not exist: check the path of the base URL":            {StatusCode: 404, Code: "404", Message: "no path", Attempts: 1},
		"307 Temporary Redirect: to /login (ref r-1, 1 attempt); redirects are not followed: check the base URL": {StatusCode: 307, Location: "/login", Ref: "r-1", Attempts: 1},
		"520: origin is down (1 attempt)":                                                                        {StatusCode: 520, Message: "origin is down", Attempts: 1},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			err.Op = "apiKeys.get"

			assert.EqualError(t, &err, "palette: apiKeys.get: "+want)
		})
	}
}

func TestAPIErrorClass(t *testing.T) {
	t.Parallel()
	classes := map[int][]error{
		400: {palette.ErrBadRequest}, 401: {palette.ErrUnauthorized}, 403: {palette.ErrForbidden}, 404: {palette.ErrNotFound},
		409: {palette.ErrConflict}, 422: {palette.ErrBadRequest}, 429: {palette.ErrRateLimited},
	}
	for status := 300; status < 600; status++ {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			want := classes[status]
			if status < 400 {
				want = []error{palette.ErrRedirect}
			} else if status >= 500 {
				want = []error{palette.ErrServer}
			}
			constructed := &palette.APIError{StatusCode: status, Code: "SomeCode"}

			received := apiErrorOf(t, respondError(status, "SomeCode", "some words"))

			assert.Equal(t, want, classesOf(fmt.Errorf("wrapped: %w", constructed)))
			assert.Equal(t, want, classesOf(received))
			assert.NotErrorIs(t, received, nil)
		})
	}
}

func TestNotFoundNeedsACodeOfPalette(t *testing.T) {
	t.Parallel()
	ingress := http.Header{"Content-Type": {"text/plain; charset=utf-8"}}
	for name, tt := range map[string]struct {
		response httpmock.Responder
		want     error
	}{
		"code":                {respond(404, `{"code":"ResourceNotFound"}`), palette.ErrNotFound},
		"code with digits":    {respondError(404, "404NotFound", "no key"), palette.ErrNotFound},
		"no code":             {respond(404, `{"message":"no key"}`), palette.ErrUnexpectedResponse},
		"empty code":          {respondError(404, "", "no key"), palette.ErrUnexpectedResponse},
		"number":              {respond(404, `{"code":404,"message":"no path"}`), palette.ErrUnexpectedResponse},
		"number as text":      {respondError(404, "604", "no key"), palette.ErrUnexpectedResponse},
		"no body":             {respond(404, ""), palette.ErrUnexpectedResponse},
		"ingress":             {respondWith(404, ingress, "404 page not found\n"), palette.ErrUnexpectedResponse},
		"credential":          {respondError(404, "ResourceNotFound", "no key "+testKey), palette.ErrUnauthorized},
		"credential, no code": {respondWith(404, ingress, "no key "+testKey), palette.ErrUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			assert.Equal(t, []error{tt.want}, classesOf(apiErrorOf(t, tt.response)))
		})
	}
}

func TestAPIErrorFields(t *testing.T) {
	t.Parallel()
	n := func(n int) string { return strings.Repeat("ä", n) }
	const asText = `Content-Type is "text/plain", not JSON: `
	const code = `{"code":"Code"}`
	limit := code + strings.Repeat(" ", 1<<20-len(code))
	for name, tt := range map[string]struct {
		response httpmock.Responder
		want     errorTexts
	}{
		"all": {respond(400, fixture(t, "error_not_found.json")), errorTexts{
			"ResourceNotFound", "The API key '66e844c44bab2337f20c7471' was not found", "4f1c2d3e-ref",
			`{"kind":"apiKey","tries":[1, 2.50]}`, "",
		}},
		"number as code": {respond(400, fixture(t, "error_number.json")), errorTexts{
			Code: "608", Message: "limit in query should be less than or equal to 50",
		}},
		"large numbers": {respond(400, `{"code":12345678901234567890,"ref":0.1}`), errorTexts{Code: "12345678901234567890", Ref: "0.1"}},
		"wrong types":   {respond(400, `{"code":{"a":1},"message":["m"],"details":7,"ref":true}`), errorTexts{Details: "7"}},
		"one of them":   {respond(400, `{"code":[],"message":"words","ref":"r-1"}`), errorTexts{Message: "words", Ref: "r-1"}},
		"nulls":         {respond(400, `{"code":null,"message":null,"details":null,"ref":null}`), errorTexts{Details: "null"}},
		"null":          {respond(400, `null`), errorTexts{}},
		"no body":       {respond(400, ""), errorTexts{}},
		"lines":         {respond(400, `{"message":"a\nb\t\u0000c \u001b[31md\u202e"}`), errorTexts{Message: "a b c [31md"}},
		"JSON as text":  {respondAs("text/plain", `{"code":"Code"}`), errorTexts{Code: "Code"}},
		"text":          {respondAs("text/plain; x=y", "no\nupstream\n"), errorTexts{Message: asText + "no upstream"}},
		"HTML":          {respondAs("text/html", "<p>no"), errorTexts{Message: `Content-Type is "text/html", not JSON`}},
		"no type":       {respondWith(400, nil, "no"), errorTexts{Message: `Content-Type is "", not JSON`}},
		"cut JSON":      {respond(400, `{"code":"Oops","mess`), errorTexts{Message: "the body is invalid JSON"}},
		"limits": {
			respond(400, `{"code":"`+n(200)+`","message":"`+n(500)+`","ref":"`+n(200)+`"}`),
			errorTexts{Code: n(200), Message: n(500), Ref: n(200)},
		},
		"above limits": {
			respond(400, `{"code":"`+n(201)+`","message":"`+n(501)+`","ref":"`+n(201)+`","details":"`+n(999)+`"}`),
			errorTexts{n(200) + "…", n(500) + "…", n(200) + "…", `"` + n(999) + `"`, ""},
		},
		"body of 1 MiB":    {respond(400, limit), errorTexts{Code: "Code"}},
		"larger body":      {respond(400, limit+" "), errorTexts{}},
		"chunks of 1 MiB":  {respondChunked(strings.NewReader(limit)), errorTexts{Code: "Code"}},
		"larger chunks":    {respondChunked(strings.NewReader(limit + " ")), errorTexts{}},
		"truncated":        {respondChunked(strings.NewReader(code), iotest.ErrReader(io.ErrUnexpectedEOF)), errorTexts{}},
		"no location":      {redirectTo(""), errorTexts{}},
		"query":            {redirectTo("https://a.test/b%2Fc?token=pass-word"), errorTexts{Location: "https://a.test/b%2Fc"}},
		"fragment":         {redirectTo("//a.test/b#pass-word"), errorTexts{Location: "//a.test/b"}},
		"user info":        {redirectTo("http://me:pass-word@a.test:8443/"), errorTexts{Location: "http://a.test:8443/"}},
		"query alone":      {redirectTo("?pass-word"), errorTexts{}},
		"opaque location":  {redirectTo("mailto:pass-word"), errorTexts{}},
		"invalid location": {redirectTo("https://a.test:pass-word/"), errorTexts{}},
		"long location":    {redirectTo("/" + strings.Repeat("x", 500)), errorTexts{Location: "/" + strings.Repeat("x", 499) + "…"}},
		"long text":        {respondAs("text/plain", n(201)), errorTexts{Message: asText + n(200) + "…"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			e := apiErrorOf(t, tt.response)

			assert.Equal(t, tt.want, textsOf(e))
			_, err := json.Marshal(e) //nolint:musttag // its fields keep their Go names
			assert.NoError(t, err)
		})
	}
}

func TestAPIErrorDescribesTheCall(t *testing.T) {
	t.Parallel()
	for header, wait := range map[string]time.Duration{"7": 7 * time.Second, "soon": 0} {
		apiErr := apiErrorOf(t, respondWith(503, http.Header{"Retry-After": {header}}, ""))

		assert.Equal(t, &palette.APIError{
			Op: "apiKeys.get", Method: "GET", Host: testHost, Path: "/v1/apiKeys/" + testUID, StatusCode: 503,
			RetryAfter: wait, Attempts: 1,
		}, apiErr)
	}
}

func TestAPIErrorIsLoggedAsAGroupWithoutDetails(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	err := &palette.APIError{
		Op: "apiKeys.get", Method: "GET", Host: testHost, Path: "/v1/apiKeys/uid-1", StatusCode: 429,
		Code: "TooManyRequests", Message: "slow down", Ref: "r-1", Details: []byte(`{"private":1}`),
		Location: "https://other.test/", RetryAfter: 2 * time.Second, Attempts: 3,
	}

	slog.New(slog.NewJSONHandler(&log, nil)).Error("failed", "error", err)

	assert.Contains(t, log.String(), `"error":{"op":"apiKeys.get","method":"GET","host":"palette.test","path":"/v1/apiKeys/uid-1",`+
		`"status":429,"code":"TooManyRequests","message":"slow down","ref":"r-1","location":"https://other.test/",`+
		`"retryAfter":2000000000,"attempts":3}}`)
}

func TestOutcomeUnknownHint(t *testing.T) {
	t.Parallel()
	const host, hint = " (host palette.test, 1 attempt)", "; a key with this name may exist: use FindByName before creating another"
	for want, response := range map[string]httpmock.Responder{
		"500 Internal Server Error" + host + hint:                respond(500, ""),
		"unexpected response: status 202, not 201" + host + hint: respond(202, "{}"),
		"waiting for the response: unexpected EOF" + host + hint: failWith(io.ErrUnexpectedEOF),
		"409 Conflict" + host:                                    respond(409, ""),
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()

			_, err := createKey(t, newTestClient(t, newMock(t, response)))

			require.EqualError(t, err, "palette: apiKeys.create: "+want)
			assert.Equal(t, strings.HasSuffix(want, hint), errors.Is(err, palette.ErrOutcomeUnknown))
		})
	}
}

// transportErr is an error of a transport.
type transportErr struct{ text string }

func (e *transportErr) Error() string { return e.text }

func TestTransportErrorIsWrapped(t *testing.T) {
	t.Parallel()
	cause := &transportErr{"cable unplugged"}

	err := getKey(t, newTestClient(t, newMock(t, failWith(fmt.Errorf("dial: %w", cause)))))

	require.EqualError(t, err, "palette: apiKeys.get: waiting for the response: dial: cable unplugged (host palette.test, 1 attempt)")
	found, _ := errors.AsType[*transportErr](err)
	assert.Same(t, cause, found)
	assert.Empty(t, classesOf(err))
}
