package palette_test

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

// respondingClient returns a client whose server sends one response.
func respondingClient(t *testing.T, status int, header http.Header, body string, opts ...palette.Option) *palette.Client {
	t.Helper()
	return newTestClient(t, newMock(t, respondWith(status, header, body)), opts...)
}

// proxyClient returns a client behind a proxy that needs a password and responds with the
// given status code.
func proxyClient(t *testing.T, status int) (*palette.Client, *httptest.Server) {
	t.Helper()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	t.Cleanup(proxy.Close)
	proxyURL, err := url.Parse(proxy.URL)
	require.NoError(t, err)
	proxyURL.User = url.UserPassword("proxy-user", "proxy-password")
	original := http.DefaultTransport.(*http.Transport)
	behindProxy := original.Clone()
	behindProxy.Proxy = http.ProxyURL(proxyURL)
	http.DefaultTransport = behindProxy
	t.Cleanup(func() { http.DefaultTransport = original })
	client, err := palette.NewClient(append(withFastRetries(3), palette.WithAPIKey(testKey), palette.WithBaseURL(testHost))...)
	require.NoError(t, err)
	return client, proxy
}

func TestMessagesSayWhereAndWhatToDo(t *testing.T) { //nolint:paralleltest // replaces http.DefaultTransport
	html := http.Header{"Content-Type": {"text/html; charset=utf-8"}}
	jsonType := http.Header{"Content-Type": {"application/json"}}
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }))
	t.Cleanup(hanging.Close)
	closed := httptest.NewServer(nil)
	closed.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	tls := httptest.NewUnstartedServer(nil)
	tls.Config.ErrorLog = discardLog()
	tls.StartTLS()
	t.Cleanup(tls.Close)

	const jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"
	var messages []string
	for _, tt := range []struct {
		name string
		call func(t *testing.T) (host string, err error) // host is replaced by HOST in the message
		want string
	}{
		{"401", func(t *testing.T) (string, error) {
			return testHost, getKey(t, respondingClient(t, 401, jsonType, `{"code":"UnAuthorizedAccess","message":"no access"}`))
		}, "palette: apiKeys.get: 401 UnAuthorizedAccess: no access (host HOST, 1 attempt); a credential works only on its own host and tenant, until it expires or is revoked"},
		{"connection refused", func(t *testing.T) (string, error) {
			return hostOf(closed), getKey(t, newNetworkClient(t, closed, palette.WithMaxRetries(0)))
		}, "palette: apiKeys.get: connecting: dial tcp HOST: connect: connection refused (host HOST, 1 attempt)"},
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
		}, `palette: apiKeys.get: unexpected response: status 200 with Content-Type "text/html", not JSON: something other than Palette responded (host HOST, 1 attempt)`},
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
		{"proxy, 403", func(t *testing.T) (string, error) {
			client, proxy := proxyClient(t, 403)
			return hostOf(proxy), getKey(t, client)
		}, "palette: apiKeys.get: connecting: proxy HOST refused the connection: 403 Forbidden (host palette.test, 1 attempt)"},
		{"proxy, 407", func(t *testing.T) (string, error) {
			client, proxy := proxyClient(t, 407)
			return hostOf(proxy), getKey(t, client)
		}, "palette: apiKeys.get: connecting: proxy HOST refused the connection: 407 Proxy Authentication Required (host palette.test, 1 attempt)"},
		{"proxy, 502", func(t *testing.T) (string, error) {
			client, proxy := proxyClient(t, 502)
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
		{"JWT as API key", func(*testing.T) (string, error) {
			_, err := palette.NewClient(palette.WithAPIKey(jwt))
			return testHost, err
		}, "palette: NewClient: invalid argument: WithAPIKey is invalid: the API key is a JWT: use WithAuthToken, WithAuthTokenFunc or PALETTE_AUTH_TOKEN"},
		{"key of palettetest for another host", func(*testing.T) (string, error) {
			_, err := palette.NewClient(palette.WithAPIKey("palettetest+4711"), palette.WithBaseURL(testHost))
			return testHost, err
		}, "palette: NewClient: invalid argument: credential: it is a key of palettetest, which HOST does not know: use the URL of the palettetest server"},
		{"newline of a file", func(*testing.T) (string, error) {
			_, err := palette.NewClient(palette.WithAPIKey("key\n"))
			return testHost, err
		}, `palette: NewClient: invalid argument: WithAPIKey is invalid: the credential contains white space: trim the newline at the end of a file, and do not add "Bearer"`},
	} {
		t.Run(tt.name, func(t *testing.T) { //nolint:paralleltest // as above
			host, err := tt.call(t)

			require.Error(t, err)
			messages = append(messages, err.Error())
			assert.Equal(t, tt.want, strings.ReplaceAll(err.Error(), host, "HOST"))
			for _, secret := range []string{testKey, jwt, "proxy-user", "proxy-password", "token=secret"} {
				assert.NotContains(t, err.Error(), secret)
			}
		})
	}

	t.Run("docs/troubleshooting.md", func(t *testing.T) { //nolint:paralleltest // as above
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

func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }
