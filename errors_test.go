package palette_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

// respondChunked responds with a body whose length is not announced.
func respondChunked(body ...io.Reader) httpmock.Responder {
	return func(req *http.Request) (*http.Response, error) {
		send(req, written)
		return &http.Response{StatusCode: 400, ContentLength: -1, Body: io.NopCloser(io.MultiReader(body...))}, nil
	}
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
		"403 Forbidden":                   {StatusCode: 403},
		"520: origin is down (1 attempt)": {StatusCode: 520, Message: "origin is down", Attempts: 1},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			err.Op = "apiKeys.get"

			assert.EqualError(t, &err, "palette: apiKeys.get: "+want)
		})
	}
}

// A user's test constructs an APIError with what it is about.
func TestAPIErrorTextHasNoEmptyParts(t *testing.T) {
	t.Parallel()

	assert.EqualError(t, &palette.APIError{StatusCode: 403}, "palette: 403 Forbidden")
}

func TestAPIErrorClass(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status int
		class  error // nil: none
	}{
		{300, palette.ErrRedirect},
		{307, palette.ErrRedirect},
		{399, palette.ErrRedirect},
		{400, palette.ErrBadRequest},
		{401, palette.ErrUnauthorized},
		{402, nil},
		{403, palette.ErrForbidden},
		{404, palette.ErrNotFound},
		{405, nil},
		{408, nil},
		{409, palette.ErrConflict},
		{410, nil},
		{421, nil},
		{422, palette.ErrBadRequest},
		{423, nil},
		{428, nil},
		{429, palette.ErrRateLimited},
		{430, nil},
		{499, nil},
		{500, palette.ErrServer},
		{599, palette.ErrServer},
	} {
		t.Run(strconv.Itoa(tt.status), func(t *testing.T) {
			t.Parallel()
			var want []error
			if tt.class != nil {
				want = []error{tt.class}
			}
			constructed := &palette.APIError{StatusCode: tt.status, Code: "SomeCode"}

			received := apiErrorOf(t, respondError(tt.status, "SomeCode", "some words"))

			assert.Equal(t, want, classesOf(fmt.Errorf("wrapped: %w", constructed)))
			assert.Equal(t, want, classesOf(received))
			assert.False(t, constructed.Is(nil))
		})
	}
}

// TestErrOutcomeUnknown has the failures of Create, and whether the key may exist.
func TestErrOutcomeUnknown(t *testing.T) {
	t.Parallel()
	html := http.Header{"Content-Type": {"text/html"}}
	withoutTrace := func(req *http.Request) (*http.Response, error) {
		_, _ = io.Copy(io.Discard, req.Body)
		return nil, errConnReset
	}
	for _, tt := range []struct {
		name     string
		response httpmock.Responder
		unknown  bool
	}{
		{"connection refused", failing(connecting, errConnRefused), false},
		{"invalid certificate", failing(connecting, errCertificate), false},
		{"timeout while connecting", hanging(connecting), false},
		{"reset before the request", failing(connected, errConnReset), false},
		{"timeout before the request", hanging(connected), false},
		{"refused HTTP2 stream", failing(written, errRefusedStream), false},
		{"lost response", failing(written, errConnReset), true},
		{"timeout", hanging(written), true},
		{"lost response of a transport without a trace", withoutTrace, true},

		{"status 101", busy(101), true},
		{"status 200", respond(200, testKeyJSON), true},
		{"status 202", busy(202), true},
		{"status 204", respond(204, ""), true},
		{"status 299", busy(299), true},
		{"status 300", busy(300), false},
		{"status 307", busy(307), false},
		{"status 399", busy(399), false},
		{"status 400", busy(400), false},
		{"status 401", busy(401), false},
		{"status 403", busy(403), false},
		{"status 404", busy(404), false},
		{"status 408", busy(408), true}, // a proxy can respond so after the work was done
		{"status 409", busy(409), false},
		{"status 422", busy(422), false},
		{"status 429", busy(429), false},
		{"status 499", busy(499), false},
		{"status 500", busy(500), true},
		{"status 501", busy(501), true},
		{"status 502", busy(502), true},
		{"status 503", busy(503), true},
		{"status 504", busy(504), true},
		{"status 599", busy(599), true},
		{"status 600", busy(600), true},

		{"HTML", respondWith(201, html, "<html>"), true},
		{"no JSON", respond(201, "<html>"), true},
		{"no apiKey", respond(201, `{"uid":"u"}`), true},
		{"no uid", respond(201, `{"apiKey":"k"}`), true},
		{"truncated body", respondStreamed(201, -1, io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF))), true},
		{"body larger than the limit", respondStreamed(201, 1<<40, http.NoBody), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				created, err := createKey(t, newTestClient(t, roundTripFunc(tt.response)))

				assert.Nil(t, created)
				requireOutcomeUnknown(t, err, tt.unknown)
				const hint = "; a key with this name may exist: use FindByName before creating another"
				assert.Equal(t, tt.unknown, strings.HasSuffix(err.Error(), hint), err)
			})
		})
	}
}

func TestErrOutcomeUnknownNeedsARequest(t *testing.T) {
	t.Parallel()
	for name, create := range map[string]func(t *testing.T) error{
		"invalid argument": func(t *testing.T) error {
			_, err := newTestClient(t, newMock(t)).APIKeys.Create(t.Context(), palette.CreateAPIKeyRequest{})
			return err
		},
		"canceled context": func(t *testing.T) error {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := newTestClient(t, newMock(t)).APIKeys.Create(ctx, palette.CreateAPIKeyRequest{
				Metadata: palette.ObjectMetaInput{Name: "ci"},
			})
			return err
		},
		"credential": func(t *testing.T) error {
			_, err := createKey(t, newFuncClient(t, newMock(t), returns("")))
			return err
		},
		"wrapper that fails": func(t *testing.T) error {
			_, err := createKey(t, newTestClient(t, newMock(t), withWrapper(
				func(_ http.RoundTripper, req *http.Request) (*http.Response, error) {
					readBody(t, req)
					return nil, errors.New("no ticket")
				})))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			requireOutcomeUnknown(t, create(t), false)
		})
	}
}

func TestErrOutcomeUnknownIsOnlyOfCreate(t *testing.T) {
	t.Parallel()
	for _, op := range operations() {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			client := newTestClient(t, roundTripFunc(failing(written, errConnReset)))

			_, err := op.call(t.Context(), client.APIKeys)

			requireOutcomeUnknown(t, err, op.name == "Create")
		})
	}
}

func TestErrNotFoundNeedsACodeOfPalette(t *testing.T) {
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
		"cut JSON":      {respond(400, `{"code":"Oops","mess`), errorTexts{Message: "the body is not a JSON object"}},
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

func TestTransportErrorIsWrapped(t *testing.T) {
	t.Parallel()
	cause := &transportErr{"cable unplugged"}

	err := getKey(t, newTestClient(t, newMock(t, failing(written, fmt.Errorf("dial: %w", cause)))))

	require.EqualError(t, err, "palette: apiKeys.get: waiting for the response: dial: cable unplugged (host palette.test, 1 attempt)")
	found, _ := errors.AsType[*transportErr](err)
	assert.Same(t, cause, found)
	assert.Empty(t, classesOf(err))
}

// Middleware and the function of a credential may send requests of their own.
func TestErrorOfAnotherServiceKeepsItsTextWithoutTheURL(t *testing.T) {
	t.Parallel()
	errService := errors.New("token service")
	failed := fmt.Errorf("%w: %w", errService, &url.Error{Op: "Get", URL: "https://tokens.test/?q=pass-word", Err: errConnRefused})
	wrapper := withWrapper(func(http.RoundTripper, *http.Request) (*http.Response, error) { return nil, failed })
	credential := func(context.Context) (string, error) { return "", failed }
	for start, client := range map[string]*palette.Client{
		"":             newTestClient(t, newMock(t), wrapper),
		"credential: ": newFuncClient(t, newMock(t), credential),
	} {
		t.Run(start, func(t *testing.T) {
			t.Parallel()

			err := getKey(t, client)

			require.EqualError(t, err, "palette: apiKeys.get: "+start+"token service: dial tcp: connect: connection refused (host palette.test, 1 attempt)")
			require.ErrorIs(t, err, errService)
		})
	}
}

// respondingClient returns a client whose server sends one response.
func respondingClient(t *testing.T, status int, header http.Header, body string, opts ...palette.Option) *palette.Client {
	t.Helper()
	return newTestClient(t, newMock(t, respondWith(status, header, body)), opts...)
}

// defaultHostClient returns a client that is given no host.
func defaultHostClient(t *testing.T, responses ...httpmock.Responder) *palette.Client {
	t.Helper()
	client, err := palette.NewClient(palette.WithAPIKey(testKey), palette.WithMaxRetries(0),
		palette.WithHTTPClient(&http.Client{Transport: newMock(t, responses...)}))
	require.NoError(t, err)
	return client
}

func TestErrorMessages(t *testing.T) { //nolint:paralleltest // replaces http.DefaultTransport
	html := http.Header{"Content-Type": {"text/html; charset=utf-8"}}
	jsonType := http.Header{"Content-Type": {"application/json"}}
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }))
	t.Cleanup(hanging.Close)
	closed := &httptest.Server{URL: "http://127.0.0.1:1"} // nothing listens there
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	tls := httptest.NewUnstartedServer(nil)
	tls.Config.ErrorLog = discardLog()
	tls.StartTLS()
	t.Cleanup(tls.Close)

	keyFile := filepath.Join(t.TempDir(), "key")
	writeFile(t, keyFile, testKey)
	const jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"
	var messages []string
	for _, tt := range []struct { //nolint:paralleltest // as above
		name string
		call func(t *testing.T) (host string, err error) // host is replaced by HOST in the message
		want string
	}{
		{"401", func(t *testing.T) (string, error) {
			return testHost, getKey(t, respondingClient(t, 401, jsonType, `{"code":"UnAuthorizedAccess","message":"no access"}`))
		}, "palette: apiKeys.get: 401 UnAuthorizedAccess: no access (host HOST, 1 attempt); a credential works only on its own host and tenant, until it expires or is revoked; the credential is from WithAPIKey"},
		{"401, default host", func(t *testing.T) (string, error) {
			return "api.spectrocloud.com", getKey(t, defaultHostClient(t, respond(401, `{"code":"UnAuthorizedAccess"}`)))
		}, "palette: apiKeys.get: 401 UnAuthorizedAccess (host HOST, 1 attempt); a credential works only on its own host and tenant, until it expires or is revoked; " +
			"the credential is from WithAPIKey; HOST is the default host: set PALETTE_HOST or WithBaseURL if yours is another"},
		{"401, quotation marks", func(t *testing.T) (string, error) {
			return testHost, getKey(t, respondingClient(t, 401, jsonType, `{}`, palette.WithAPIKey(`"`+testKey+`"`)))
		}, "palette: apiKeys.get: 401 Unauthorized (host HOST, 1 attempt); a credential works only on its own host and tenant, until it expires or is revoked; " +
			"the credential is from WithAPIKey, and is in quotation marks"},
		{"401, header in front", func(t *testing.T) (string, error) {
			return testHost, getKey(t, respondingClient(t, 401, jsonType, `{}`, palette.WithAPIKey("apikey:"+testKey)))
		}, "palette: apiKeys.get: 401 Unauthorized (host HOST, 1 attempt); a credential works only on its own host and tenant, until it expires or is revoked; " +
			`the credential is from WithAPIKey, and starts with "ApiKey:"`},
		{"401, path", func(t *testing.T) (string, error) {
			return testHost, getKey(t, respondingClient(t, 401, jsonType, `{}`, palette.WithAPIKey(keyFile)))
		}, "palette: apiKeys.get: 401 Unauthorized (host HOST, 1 attempt); a credential works only on its own host and tenant, until it expires or is revoked; " +
			"the credential is from WithAPIKey, and is the path of a file: use WithAPIKeyFile or PALETTE_API_KEY_FILE"},
		{"401, file of the environment", func(t *testing.T) (string, error) {
			t.Setenv("PALETTE_API_KEY_FILE", keyFile)
			client, err := palette.NewClient(palette.WithEnv(), palette.WithBaseURL(testHost),
				palette.WithHTTPClient(&http.Client{Transport: newMock(t, respond(401, `{}`))}))
			require.NoError(t, err)
			return testHost, getKey(t, client)
		}, "palette: apiKeys.get: 401 Unauthorized (host HOST, 1 attempt); a credential works only on its own host and tenant, until it expires or is revoked; " +
			"the credential is from PALETTE_API_KEY_FILE (" + keyFile + ")"},
		{"403", func(t *testing.T) (string, error) {
			return testHost, getKey(t, respondingClient(t, 403, jsonType, `{"code":"OperationForbidden","message":"no permission"}`))
		}, "palette: apiKeys.get: 403 OperationForbidden: no permission (host HOST, 1 attempt)"},
		{"lost response to a create", func(t *testing.T) (string, error) {
			_, err := createKey(t, newTestClient(t, newMock(t, failing(written, io.ErrUnexpectedEOF))))
			return testHost, err
		}, "palette: apiKeys.create: waiting for the response: unexpected EOF (host HOST, 1 attempt); a key with this name may exist: use FindByName before creating another"},
		{"connection refused", func(t *testing.T) (string, error) {
			return hostOf(closed), getKey(t, newNetworkClient(t, closed, palette.WithMaxRetries(0)))
		}, "palette: apiKeys.get: connecting: dial tcp HOST: connect: connection refused (host HOST, 1 attempt)"},
		{"no such host", func(t *testing.T) (string, error) {
			noSuchHost := &net.DNSError{Err: "no such host", Name: "api.spectrocloud.com", IsNotFound: true}
			return "api.spectrocloud.com", getKey(t, defaultHostClient(t, failing(connecting, &net.OpError{Op: "dial", Net: "tcp", Err: noSuchHost})))
		}, "palette: apiKeys.get: connecting: dial tcp: lookup HOST: no such host (host HOST, 1 attempt); check the spelling of the host, and DNS; " +
			"HOST is the default host: set PALETTE_HOST or WithBaseURL if yours is another"},
		{"certificate for another name", func(t *testing.T) (string, error) {
			_, port, _ := net.SplitHostPort(hostOf(tls))
			client := newTestClient(t, tls.Client().Transport, palette.WithBaseURL("https://localhost:"+port))
			return "localhost:" + port, getKey(t, client)
		}, "palette: apiKeys.get: connecting: tls: failed to verify certificate: x509: certificate is valid for example.com, *.example.com, not localhost (host HOST, 1 attempt); check the host of the base URL"},
		{"http to an https port", func(t *testing.T) (string, error) {
			return hostOf(tls), getKey(t, newTestClient(t, http.DefaultTransport, palette.WithBaseURL("http://"+hostOf(tls))))
		}, "palette: apiKeys.get: 400 Bad Request: the port speaks https, not http (host HOST, 1 attempt)"},
		{"http to an https port of nginx", func(t *testing.T) (string, error) {
			return testHost, getKey(t, respondingClient(t, 400, html, "<title>400 The plain HTTP request was sent to HTTPS port</title>"))
		}, "palette: apiKeys.get: 400 Bad Request: the port speaks https, not http (host HOST, 1 attempt)"},
		{"proxy that is down", func(t *testing.T) (string, error) {
			client, proxy := newProxyClient(t, 502)
			proxy.Close()
			return hostOf(proxy), getKey(t, client)
		}, "palette: apiKeys.get: connecting: proxyconnect tcp: dial tcp HOST: connect: connection refused (host palette.test, 4 attempts); check HTTPS_PROXY"},
		{"attempt timeout", func(t *testing.T) (string, error) {
			return hostOf(hanging), getKey(t, newNetworkClient(t, hanging, append(withFastRetries(1), palette.WithTimeout(20*time.Millisecond))...))
		}, "palette: apiKeys.get: waiting for the response: the attempt took longer than 20ms (WithTimeout) (host HOST, 2 attempts)"},
		{"deadline of the context", func(t *testing.T) (string, error) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			_, err := newNetworkClient(t, hanging).APIKeys.Get(ctx, testUID)
			return hostOf(hanging), err
		}, "palette: apiKeys.get: waiting for the response: the deadline of the context has passed: context deadline exceeded (host HOST, 1 attempt)"},
		{"unknown CA", func(t *testing.T) (string, error) {
			client, err := palette.NewClient(append(withFastRetries(3), palette.WithAPIKey(testKey), palette.WithBaseURL(tls.URL))...)
			require.NoError(t, err)
			return hostOf(tls), getKey(t, client)
		}, "palette: apiKeys.get: connecting: tls: failed to verify certificate: x509: certificate signed by unknown authority (host HOST, 1 attempt); use WithRootCAs or PALETTE_CA_FILE to trust a private CA"},
		{"sign-in page", func(t *testing.T) (string, error) {
			return testHost, getKey(t, respondingClient(t, 200, html, "<html>Please sign in</html>"))
		}, `palette: apiKeys.get: unexpected response: status 200 with Content-Type "text/html", not JSON: something other than Palette responded, such as a proxy or a sign-in page before it (host HOST, 1 attempt)`},
		{"wrong path prefix", func(t *testing.T) (string, error) {
			server := palettetest.NewServer(palettetest.WithPathPrefix("/palette"))
			t.Cleanup(server.Close)
			client := newTestClient(t, http.DefaultTransport, palette.WithBaseURL(server.URL+"/wrong"))
			return strings.TrimPrefix(strings.TrimSuffix(server.URL, "/palette"), "http://"), getKey(t, client)
		}, "palette: apiKeys.get: 404 Not Found: path /palette/wrong/v1/apiKeys/" + testUID + " was not found (host HOST, 1 attempt); the path does not exist: check the path of the base URL"},
		{"ingress without a route", func(t *testing.T) (string, error) {
			return testHost, getKey(t, respondingClient(t, 404, http.Header{"Content-Type": {"text/plain"}}, "404 page not found\n"))
		}, `palette: apiKeys.get: 404 Not Found: Content-Type is "text/plain", not JSON: 404 page not found (host HOST, 1 attempt); something other than Palette responded: check the base URL`},
		{"redirect", func(t *testing.T) (string, error) {
			return testHost, getKey(t, respondingClient(t, 302, http.Header{"Location": {"https://other.test/login?token=secret"}}, ""))
		}, "palette: apiKeys.get: 302 Found: to https://other.test/login (host HOST, 1 attempt); redirects are not followed: check the base URL"},
		{"proxy, 407", func(t *testing.T) (string, error) {
			client, proxy := newProxyClient(t, 407)
			return hostOf(proxy), getKey(t, client)
		}, "palette: apiKeys.get: connecting: proxy HOST refused the connection: 407 Proxy Authentication Required: check the user and password in HTTPS_PROXY (host palette.test, 1 attempt)"},
		{"proxy, 502", func(t *testing.T) (string, error) {
			client, proxy := newProxyClient(t, 502)
			return hostOf(proxy), getKey(t, client)
		}, "palette: apiKeys.get: connecting: proxy HOST refused the connection: 502 Bad Gateway (host palette.test, 4 attempts)"},
		{"https to an http port", func(t *testing.T) (string, error) {
			client, err := palette.NewClient(palette.WithAPIKey(testKey), palette.WithBaseURL("https://"+hostOf(plain)))
			require.NoError(t, err)
			return hostOf(plain), getKey(t, client)
		}, "palette: apiKeys.get: connecting: http: server gave HTTP response to HTTPS client (host HOST, 1 attempt); check the port of the base URL, or use http"},
		{"429 with a wait of an hour", func(t *testing.T) (string, error) {
			return testHost, getKey(t, respondingClient(t, 429, http.Header{"Retry-After": {"3600"}}, "", palette.WithMaxRetries(3)))
		}, "palette: apiKeys.get: 429 Too Many Requests (host HOST, 1 attempt); not retried: the server asks to wait 1h0m0s, longer than the maximum backoff of 30s"},
		{"wait longer than the deadline", func(t *testing.T) (string, error) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			client := respondingClient(t, 503, http.Header{"Retry-After": {"20"}}, "", palette.WithMaxRetries(3))
			_, err := client.APIKeys.Get(ctx, testUID)
			return testHost, err
		}, "palette: apiKeys.get: 503 Service Unavailable (host HOST, 1 attempt); not retried: the context would end before the next attempt"},
		{"rate limiter", func(t *testing.T) (string, error) {
			client := respondingClient(t, 200, jsonType, testKeyJSON, palette.WithRateLimit(0.01, 1))
			require.NoError(t, getKey(t, client))
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			_, err := client.APIKeys.Get(ctx, testUID)
			return testHost, err
		}, "palette: apiKeys.get: the context would end before the rate limiter allows the request"},
		{"no credential", func(*testing.T) (string, error) {
			_, err := palette.NewClient()
			return testHost, err
		}, "palette: NewClient: invalid argument: credential: none is given: use WithAPIKey, WithAPIKeyFile, WithAPIKeyFunc, WithAuthToken or WithAuthTokenFunc, " +
			"or WithEnv with PALETTE_API_KEY, PALETTE_API_KEY_FILE or PALETTE_AUTH_TOKEN set"},
		{"two credentials", func(*testing.T) (string, error) {
			_, err := palette.NewClient(palette.WithAPIKey(testKey), palette.WithAuthToken(jwt))
			return testHost, err
		}, "palette: NewClient: invalid argument: credential: more than one is given: WithAPIKey, WithAuthToken"},
		{"http", func(*testing.T) (string, error) {
			_, err := palette.NewClient(palette.WithAPIKey(testKey), palette.WithBaseURL("http://"+testHost))
			return testHost, err
		}, "palette: NewClient: invalid argument: base URL: http to HOST would send the credential in clear text: use https, or WithInsecureHTTP"},
		{"host with a newline", func(*testing.T) (string, error) {
			_, err := palette.NewClient(palette.WithAPIKey(testKey), palette.WithBaseURL(testHost+"\n"))
			return testHost, err
		}, "palette: NewClient: invalid argument: WithBaseURL is invalid: it is not a host or URL"},
		{"JWT as API key", func(*testing.T) (string, error) {
			_, err := palette.NewClient(palette.WithAPIKey(jwt))
			return testHost, err
		}, "palette: NewClient: invalid argument: WithAPIKey is invalid: the API key is a JWT: use WithAuthToken, WithAuthTokenFunc or PALETTE_AUTH_TOKEN"},
		{"newline of a file", func(*testing.T) (string, error) {
			_, err := palette.NewClient(palette.WithAPIKey("key\n"))
			return testHost, err
		}, `palette: NewClient: invalid argument: WithAPIKey is invalid: the credential contains white space: trim the newline at the end of a file, and do not add "Bearer"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			host, err := tt.call(t)

			require.Error(t, err)
			messages = append(messages, err.Error())
			assert.Equal(t, tt.want, strings.ReplaceAll(err.Error(), host, "HOST"))
			for _, secret := range []string{testKey, jwt, "proxy-user", "proxy-password", "token=secret"} {
				assert.NotContains(t, err.Error(), secret)
			}
		})
	}

	t.Run("docs/troubleshooting.md", func(t *testing.T) {
		requireDocumented(t, messages)
	})
}

// requireDocumented requires that each message is on the page for troubleshooting, and that
// the page has no others.
func requireDocumented(t *testing.T, messages []string) {
	t.Helper()
	page, err := os.ReadFile("docs/troubleshooting.md")
	require.NoError(t, err)
	rows := regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(page), -1)
	require.NotEmpty(t, rows)
	documented := map[string]bool{}
	for _, row := range rows {
		found := false
		for _, message := range messages {
			if strings.Contains(message, row[1]) {
				found, documented[message] = true, true
			}
		}
		assert.True(t, found, "no error says %q", row[1])
	}
	for _, message := range messages {
		assert.True(t, documented[message], "not on the page: %s", message)
	}
}

func hostOf(server *httptest.Server) string {
	_, host, _ := strings.Cut(server.URL, "://")
	return host
}
