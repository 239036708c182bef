package palette_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"log"
	"log/slog"
	"math"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

var quiet = slog.New(slog.DiscardHandler)

// Every mistake is an error of NewClient that names the option.
func TestNewClientRefuses(t *testing.T) {
	t.Parallel()
	const secret = "do-not-quote-me"
	key := palette.WithAPIKey(secret)
	noKey := func(context.Context) (string, error) { return "", nil }
	tests := []struct {
		name string
		opts []palette.Option
		want string
	}{
		{"nothing", nil, "no credential: use WithAPIKey, WithAPIKeyFunc, WithAuthToken, or WithEnv with PALETTE_API_KEY set"},
		{"nil options alone", []palette.Option{nil, nil}, "no credential"},
		{"an empty key", []palette.Option{palette.WithAPIKey("")}, "WithAPIKey: the credential is empty"},
		{"a key with the newline of its file", []palette.Option{palette.WithAPIKey(secret + "\n")}, "WithAPIKey: the credential holds white space: trim the newline of a file"},
		{"a key with a space in it", []palette.Option{palette.WithAPIKey(secret + " " + secret)}, "WithAPIKey: the credential holds white space"},
		{"a key with a no-break space", []palette.Option{palette.WithAPIKey(secret + "\u00a0")}, "WithAPIKey: the credential holds white space"},
		{"a key with a control character", []palette.Option{palette.WithAPIKey(secret + "\x00")}, "WithAPIKey: the credential holds a control character"},
		{"an empty token", []palette.Option{palette.WithAuthToken("")}, "WithAuthToken: the credential is empty"},
		{"a token with Bearer", []palette.Option{palette.WithAuthToken("Bearer " + secret)}, `WithAuthToken: the credential holds white space: trim the newline of a file, and leave "Bearer" out`},
		{"a nil function", []palette.Option{palette.WithAPIKeyFunc(nil)}, "WithAPIKeyFunc: must not be nil"},
		{"key and token", []palette.Option{key, palette.WithAuthToken(secret)}, "more than one credential: WithAPIKey, WithAuthToken"},
		{"token and function", []palette.Option{palette.WithAuthToken(secret), palette.WithAPIKeyFunc(noKey)}, "more than one credential: WithAuthToken, WithAPIKeyFunc"},
		{"key and function", []palette.Option{palette.WithAPIKeyFunc(noKey), key}, "more than one credential: WithAPIKeyFunc, WithAPIKey"},

		{"no base URL", []palette.Option{key, palette.WithBaseURL("")}, "WithBaseURL: no host"},
		{"a base URL without a host", []palette.Option{key, palette.WithBaseURL("https:///v1")}, "WithBaseURL: no host"},
		{"a port alone", []palette.Option{key, palette.WithBaseURL(":8443")}, "WithBaseURL: no host"},
		{"a base URL of another kind", []palette.Option{key, palette.WithBaseURL("ftp://palette.test")}, "WithBaseURL: scheme must be https or http"},
		{"a slash too few", []palette.Option{key, palette.WithBaseURL("https:/palette.test")}, "WithBaseURL: "},
		{"no slashes", []palette.Option{key, palette.WithBaseURL("https:palette.test")}, "WithBaseURL: "},
		{"a bare IPv6 address", []palette.Option{key, palette.WithBaseURL("::1")}, "WithBaseURL: "},
		{"a port that is no number", []palette.Option{key, palette.WithBaseURL("palette.test:https")}, "WithBaseURL: not a host or URL"},
		{"a newline", []palette.Option{key, palette.WithBaseURL("palette.test\n")}, "WithBaseURL: not a host or URL"},
		{"a user", []palette.Option{key, palette.WithBaseURL("https://me@palette.test")}, "WithBaseURL: must not hold a user or password"},
		{"a password", []palette.Option{key, palette.WithBaseURL("https://me:" + secret + "@palette.test")}, "WithBaseURL: must not hold a user or password"},
		{"a password that does not parse", []palette.Option{key, palette.WithBaseURL("https://me:" + secret + "%zz@palette.test")}, "WithBaseURL: not a host or URL"},
		{"a query", []palette.Option{key, palette.WithBaseURL("https://palette.test?key=" + secret)}, "WithBaseURL: must not hold a query or fragment"},
		{"an empty query", []palette.Option{key, palette.WithBaseURL("https://palette.test/?")}, "WithBaseURL: must not hold a query or fragment"},
		{"a fragment", []palette.Option{key, palette.WithBaseURL("https://palette.test#" + secret)}, "WithBaseURL: must not hold a query or fragment"},
		{"http over the network", []palette.Option{key, palette.WithBaseURL("http://palette.test")}, "base URL: http to palette.test would show the key to everyone on the way: use https, or WithInsecureHTTP"},
		{"http to a name that begins like this machine", []palette.Option{key, palette.WithBaseURL("http://localhost.palette.test")}, "base URL: http to localhost.palette.test"},
		{"http to every interface", []palette.Option{key, palette.WithBaseURL("http://0.0.0.0")}, "base URL: http to 0.0.0.0"},

		{"no HTTP client", []palette.Option{key, palette.WithHTTPClient(nil)}, "WithHTTPClient: must not be nil"},
		{"no pool", []palette.Option{key, palette.WithRootCAs(nil)}, "WithRootCAs: must not be nil"},
		{"an HTTP client and a pool", []palette.Option{key, palette.WithHTTPClient(&http.Client{}), palette.WithRootCAs(x509.NewCertPool())}, "WithHTTPClient excludes WithRootCAs and WithInsecureSkipVerify: set TLS up in its Transport"},
		{"an HTTP client and no verification", []palette.Option{key, palette.WithInsecureSkipVerify(), palette.WithHTTPClient(&http.Client{})}, "WithHTTPClient excludes WithRootCAs and WithInsecureSkipVerify"},

		{"no time", []palette.Option{key, palette.WithTimeout(0)}, "WithTimeout: must be above 0, is 0s"},
		{"negative time", []palette.Option{key, palette.WithTimeout(-time.Second)}, "WithTimeout: must be above 0, is -1s"},
		{"negative repeats", []palette.Option{key, palette.WithRetry(palette.RetryPolicy{MaxRetries: -1})}, "WithRetry: MaxRetries is negative: -1"},
		{"a negative wait", []palette.Option{key, palette.WithRetry(palette.RetryPolicy{MinWait: -1})}, "WithRetry: MinWait is negative: -1ns"},
		{"a negative longest wait", []palette.Option{key, palette.WithRetry(palette.RetryPolicy{MaxWait: -1})}, "WithRetry: MaxWait -1ns is below MinWait 500ms"},
		{"waits the wrong way round", []palette.Option{key, palette.WithRetry(palette.RetryPolicy{MinWait: 2 * time.Second, MaxWait: time.Second})}, "WithRetry: MaxWait 1s is below MinWait 2s"},
		{"a longest wait below the default shortest", []palette.Option{key, palette.WithRetry(palette.RetryPolicy{MaxWait: time.Millisecond})}, "WithRetry: MaxWait 1ms is below MinWait 500ms"},
		{"no rate", []palette.Option{key, palette.WithRateLimit(0, 1)}, "WithRateLimit: needs a finite rate above 0 and a burst of at least 1, has 0 and 1"},
		{"a negative rate", []palette.Option{key, palette.WithRateLimit(-1, 1)}, "WithRateLimit: "},
		{"no number for a rate", []palette.Option{key, palette.WithRateLimit(math.NaN(), 1)}, "WithRateLimit: "},
		{"an infinite rate", []palette.Option{key, palette.WithRateLimit(math.Inf(1), 1)}, "WithRateLimit: "},
		{"no burst", []palette.Option{key, palette.WithRateLimit(1, 0)}, "WithRateLimit: "},
		{"no logger", []palette.Option{key, palette.WithLogger(nil)}, "WithLogger: must not be nil"},
		{"no user agent", []palette.Option{key, palette.WithUserAgent("")}, "WithUserAgent: must be printable ASCII and not empty"},
		{"a user agent with another header", []palette.Option{key, palette.WithUserAgent("tool\r\nX-Evil: 1")}, "WithUserAgent: must be printable ASCII and not empty"},
		{"a user agent with letters beyond ASCII", []palette.Option{key, palette.WithUserAgent("Größe/1")}, "WithUserAgent: must be printable ASCII and not empty"},

		{"key twice", []palette.Option{key, key}, "WithAPIKey is given twice"},
		{"token twice", []palette.Option{palette.WithAuthToken(secret), palette.WithAuthToken(secret)}, "WithAuthToken is given twice"},
		{"function twice", []palette.Option{palette.WithAPIKeyFunc(noKey), palette.WithAPIKeyFunc(noKey)}, "WithAPIKeyFunc is given twice"},
		{"environment twice", []palette.Option{key, palette.WithEnv(), palette.WithEnv()}, "WithEnv is given twice"},
		{"base URL twice", []palette.Option{key, palette.WithBaseURL("a.test"), palette.WithBaseURL("a.test")}, "WithBaseURL is given twice"},
		{"insecure HTTP twice", []palette.Option{key, palette.WithInsecureHTTP(), palette.WithInsecureHTTP()}, "WithInsecureHTTP is given twice"},
		{"HTTP client twice", []palette.Option{key, palette.WithHTTPClient(&http.Client{}), palette.WithHTTPClient(&http.Client{})}, "WithHTTPClient is given twice"},
		{"pool twice", []palette.Option{key, palette.WithRootCAs(x509.NewCertPool()), palette.WithRootCAs(x509.NewCertPool())}, "WithRootCAs is given twice"},
		{"no verification twice", []palette.Option{key, palette.WithInsecureSkipVerify(), palette.WithInsecureSkipVerify()}, "WithInsecureSkipVerify is given twice"},
		{"timeout twice", []palette.Option{key, palette.WithTimeout(1), palette.WithTimeout(1)}, "WithTimeout is given twice"},
		{"repeating twice", []palette.Option{key, palette.WithRetry(palette.RetryPolicy{}), palette.WithRetry(palette.RetryPolicy{})}, "WithRetry is given twice"},
		{"rate twice", []palette.Option{key, palette.WithRateLimit(1, 1), palette.WithRateLimit(1, 1)}, "WithRateLimit is given twice"},
		{"logger twice", []palette.Option{key, palette.WithLogger(quiet), palette.WithLogger(quiet)}, "WithLogger is given twice"},
		{"user agent twice", []palette.Option{key, palette.WithUserAgent("a"), palette.WithUserAgent("a")}, "WithUserAgent is given twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, err := palette.NewClient(tt.opts...)
			assert.Nil(t, client)
			require.ErrorIs(t, err, palette.ErrInvalidArgument)
			require.ErrorContains(t, err, "palette: NewClient: "+tt.want)
			assert.NotContains(t, err.Error(), secret)
		})
	}
}

// A base URL may be written in many ways; this is where requests then go.
func TestBaseURL(t *testing.T) {
	t.Parallel()
	insecure := []palette.Option{palette.WithInsecureHTTP()}
	tests := []struct {
		raw  string
		opts []palette.Option
		want string
	}{
		{raw: "palette.test", want: "https://palette.test/v1/apiKeys"},
		{raw: "palette.test:8443", want: "https://palette.test:8443/v1/apiKeys"},
		{raw: "palette.test:", want: "https://palette.test/v1/apiKeys"},
		{raw: "palette.test/", want: "https://palette.test/v1/apiKeys"},
		{raw: "palette.test/tenant", want: "https://palette.test/tenant/v1/apiKeys"},
		{raw: "https://palette.test", want: "https://palette.test/v1/apiKeys"},
		{raw: "https://palette.test/", want: "https://palette.test/v1/apiKeys"},
		{raw: "https://palette.test/a/b/", want: "https://palette.test/a/b/v1/apiKeys"},
		{raw: "https://palette.test/a%2Fb", want: "https://palette.test/a%2Fb/v1/apiKeys"},
		{raw: "https://palette.test/a%2F/", want: "https://palette.test/a%2F/v1/apiKeys"},
		{raw: "https://palette.test/a b//", want: "https://palette.test/a%20b/v1/apiKeys"},
		{raw: "HTTPS://palette.test", want: "https://palette.test/v1/apiKeys"},
		{raw: "https://[2001:db8::1]", want: "https://[2001:db8::1]/v1/apiKeys"},
		{raw: "[2001:db8::1]:8443", want: "https://[2001:db8::1]:8443/v1/apiKeys"},
		{raw: "http://localhost:8080", want: "http://localhost:8080/v1/apiKeys"},
		{raw: "http://127.0.0.1:8080", want: "http://127.0.0.1:8080/v1/apiKeys"},
		{raw: "http://127.8.8.8", want: "http://127.8.8.8/v1/apiKeys"},
		{raw: "http://[::1]:8080", want: "http://[::1]:8080/v1/apiKeys"},
		{raw: "http://palette.test", opts: insecure, want: "http://palette.test/v1/apiKeys"},
		{raw: "http://10.1.2.3:80/tenant", opts: insecure, want: "http://10.1.2.3:80/tenant/v1/apiKeys"},
	}
	for _, tt := range tests {
		t.Run(tt.raw, func(t *testing.T) {
			t.Parallel()
			var got []string
			client, err := palette.NewClient(append(tt.opts,
				palette.WithAPIKey(wireKey),
				palette.WithBaseURL(tt.raw),
				palette.WithHTTPClient(&http.Client{Transport: transportFunc(func(req *http.Request) (*http.Response, error) {
					got = append(got, req.URL.String())
					assert.Equal(t, req.URL.Host, req.Host, "as http.NewRequest sets it")
					return replyJSON(http.StatusOK, `{"items":[]}`)(req)
				})}))...)
			require.NoError(t, err)
			_, err = client.APIKeys.List(t.Context())
			require.NoError(t, err)
			assert.Equal(t, []string{tt.want}, got)
		})
	}
}

func TestDefaultBaseURL(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "https://api.spectrocloud.com", palette.DefaultBaseURL)
	assert.Equal(t, "https://api.spectrocloud.com/v1/apiKeys", listedURL(t, palette.WithAPIKey(wireKey)))
}

// transportFunc is an http.RoundTripper.
type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// listed is the one request that a List of a client with opts sends.
func listed(t *testing.T, opts ...palette.Option) *http.Request {
	t.Helper()
	var got *http.Request
	client, err := palette.NewClient(append(opts, palette.WithHTTPClient(&http.Client{
		Transport: transportFunc(func(req *http.Request) (*http.Response, error) {
			assert.Nil(t, got, "one request")
			got = req.Clone(context.Background())
			return replyJSON(http.StatusOK, `{"items":[]}`)(req)
		}),
	}))...)
	require.NoError(t, err)
	_, err = client.APIKeys.List(t.Context())
	require.NoError(t, err)
	require.NotNil(t, got)
	return got
}

func listedURL(t *testing.T, opts ...palette.Option) string {
	t.Helper()
	return listed(t, opts...).URL.String()
}

// Each credential has its header, and the other one stays away.
func TestCredentials(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		opt    palette.Option
		header map[string][]string
	}{
		{"key", palette.WithAPIKey("the-key=="), map[string][]string{"Apikey": {"the-key=="}}},
		{
			"function", palette.WithAPIKeyFunc(func(context.Context) (string, error) { return "the-key", nil }),
			map[string][]string{"Apikey": {"the-key"}},
		},
		{"token", palette.WithAuthToken("eyJ.a.b"), map[string][]string{"Authorization": {"eyJ.a.b"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := listed(t, tt.opt).Header
			got.Del("Accept")
			got.Del("User-Agent")
			assert.Equal(t, http.Header(tt.header), got)
		})
	}
}

// Whatever the order of the options, the client is the same.
func TestOptionOrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	var requests int
	failing := transportFunc(func(req *http.Request) (*http.Response, error) {
		requests++
		assert.Equal(t, "http://palette.test/tenant/v1/apiKeys", req.URL.String())
		assert.Equal(t, wireKey, req.Header.Get("ApiKey"))
		assert.Regexp(t, `^tool/1 palette-apikeys-go/`, req.Header.Get("User-Agent"))
		deadline, ok := req.Context().Deadline()
		assert.True(t, ok)
		assert.Greater(t, time.Until(deadline), 24*time.Hour)
		return replyJSON(http.StatusServiceUnavailable, "{}")(req)
	})
	opts := []palette.Option{
		palette.WithAPIKey(wireKey),
		palette.WithBaseURL("http://palette.test/tenant"),
		palette.WithInsecureHTTP(),
		palette.WithHTTPClient(&http.Client{Transport: failing}),
		palette.WithRetry(palette.RetryPolicy{MaxRetries: 1, MinWait: 1, MaxWait: 1}),
		palette.WithTimeout(48 * time.Hour),
		palette.WithUserAgent("tool/1"),
		nil,
	}
	// Every option comes before every other one, and each is first and last once.
	for _, reversed := range []bool{false, true} {
		for first := range opts {
			order := append(slices.Clone(opts[first:]), opts[:first]...)
			if reversed {
				slices.Reverse(order)
			}
			requests = 0
			client, err := palette.NewClient(order...)
			require.NoError(t, err)
			_, err = client.APIKeys.List(t.Context())
			require.ErrorIs(t, err, palette.ErrServer)
			assert.Equal(t, 2, requests)
		}
	}
}

// Making a client sends nothing and asks nobody.
func TestNewClientDoesNoIO(t *testing.T) {
	t.Parallel()
	_, err := palette.NewClient(
		palette.WithAPIKeyFunc(func(context.Context) (string, error) {
			t.Error("asked for the key")
			return "", errors.New("not now")
		}),
		palette.WithHTTPClient(&http.Client{Transport: newWire(t).mock}))
	require.NoError(t, err)
}

func TestUserAgent(t *testing.T) {
	t.Parallel()
	key := palette.WithAPIKey(wireKey)
	assert.Regexp(t, `^palette-apikeys-go/\d+\.\d+\.\d+$`, listed(t, key).Header.Get("User-Agent"))
	assert.Regexp(t, `^my-tool/1\.4 palette-apikeys-go/\d+\.\d+\.\d+$`, listed(t, key, palette.WithUserAgent("my-tool/1.4")).Header.Get("User-Agent"))
}

// ---- the caller's http.Client ----

// The caller's client is copied: it looks the same afterwards, down to its functions.
func TestHTTPClientIsNotWrittenTo(t *testing.T) {
	t.Parallel()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	w := newWire(t).on("GET", "/v1/apiKeys", page("", "a"))
	ours := &http.Client{
		Transport: w.mock, Jar: jar, Timeout: time.Hour,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	before := *ours
	client, err := palette.NewClient(palette.WithAPIKey(wireKey), palette.WithBaseURL(wireBase), palette.WithHTTPClient(ours))
	require.NoError(t, err)
	_, err = client.APIKeys.List(t.Context())
	require.NoError(t, err)

	assert.Same(t, w.mock, ours.Transport)
	assert.Same(t, jar, ours.Jar)
	assert.Equal(t, time.Hour, ours.Timeout)
	assert.Equal(t, reflect.ValueOf(before.CheckRedirect).Pointer(), reflect.ValueOf(ours.CheckRedirect).Pointer())

	zero := &http.Client{}
	_, err = palette.NewClient(palette.WithAPIKey(wireKey), palette.WithHTTPClient(zero))
	require.NoError(t, err)
	assert.Equal(t, &http.Client{}, zero)
}

func TestHTTPClientJarIsHonored(t *testing.T) {
	t.Parallel()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	at, err := url.Parse(wireBase)
	require.NoError(t, err)
	jar.SetCookies(at, []*http.Cookie{{Name: "route", Value: "node-7"}})
	w := newWire(t).on("GET", "/v1/apiKeys", page(""))
	client, err := palette.NewClient(palette.WithAPIKey(wireKey), palette.WithBaseURL(wireBase),
		palette.WithHTTPClient(&http.Client{Transport: w.mock, Jar: jar}))
	require.NoError(t, err)
	_, err = client.APIKeys.List(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "route=node-7", w.requests()[0].Header.Get("Cookie"))
}

// Without a client of the caller's own, cookies of the server are forgotten.
func TestNoCookiesByDefault(t *testing.T) {
	t.Parallel()
	var cookies []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cookies = append(cookies, r.Header.Get("Cookie"))
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "1"})
		w.WriteHeader(http.StatusNoContent)
	}))
	defer srv.Close()
	client, err := palette.NewClient(palette.WithAPIKey(wireKey), palette.WithBaseURL(srv.URL))
	require.NoError(t, err)
	require.NoError(t, client.APIKeys.Delete(t.Context(), keyUID))
	require.NoError(t, client.APIKeys.Delete(t.Context(), keyUID))
	assert.Equal(t, []string{"", ""}, cookies)
}

// A zero http.Client gets the SDK's own transport, over a real connection.
func TestZeroHTTPClientWorks(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}))
	defer srv.Close()
	client, err := palette.NewClient(palette.WithAPIKey(wireKey), palette.WithBaseURL(srv.URL), palette.WithHTTPClient(&http.Client{}))
	require.NoError(t, err)
	require.NoError(t, client.APIKeys.Delete(t.Context(), keyUID))
}

// ---- TLS ----

// tlsServer answers every request with 204 over HTTP/2 and a certificate that
// only the returned pool trusts. protocols gets what was spoken.
func tlsServer(t *testing.T) (srv *httptest.Server, pool *x509.CertPool, protocols chan string) {
	t.Helper()
	protocols = make(chan string, 10)
	srv = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protocols <- r.Proto
		w.WriteHeader(http.StatusNoContent)
	}))
	srv.EnableHTTP2 = true
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	pool = x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	return srv, pool, protocols
}

func writeCA(t *testing.T, srv *httptest.Server) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	require.NoError(t, os.WriteFile(file, block, 0o600))
	return file
}

func deleteAt(t *testing.T, srv *httptest.Server, opts ...palette.Option) error {
	t.Helper()
	client, err := palette.NewClient(append(opts, palette.WithAPIKey(wireKey), palette.WithBaseURL(srv.URL))...)
	require.NoError(t, err)
	return client.APIKeys.Delete(t.Context(), keyUID)
}

func TestTLSOptions(t *testing.T) {
	t.Parallel()
	srv, pool, protocols := tlsServer(t)
	var unknown x509.UnknownAuthorityError

	require.ErrorAs(t, deleteAt(t, srv), &unknown)
	require.ErrorAs(t, deleteAt(t, srv, palette.WithRootCAs(x509.NewCertPool())), &unknown)
	assert.Empty(t, protocols, "no request gets through to an unknown server")

	require.NoError(t, deleteAt(t, srv, palette.WithRootCAs(pool)))
	require.NoError(t, deleteAt(t, srv, palette.WithInsecureSkipVerify()))
	require.NoError(t, deleteAt(t, srv, palette.WithRootCAs(x509.NewCertPool()), palette.WithInsecureSkipVerify()))
	assert.Equal(t, "HTTP/2.0", <-protocols)
	assert.Equal(t, "HTTP/2.0", <-protocols)
	assert.Equal(t, "HTTP/2.0", <-protocols)
}

// The options for TLS leave http.DefaultTransport alone.
func TestDefaultTransportIsNotWrittenTo(t *testing.T) { //nolint:paralleltest // looks at a global
	def, ok := http.DefaultTransport.(*http.Transport)
	require.True(t, ok)
	idle := def.MaxIdleConnsPerHost
	_, err := palette.NewClient(palette.WithAPIKey(wireKey), palette.WithInsecureSkipVerify())
	require.NoError(t, err)
	assert.Equal(t, idle, def.MaxIdleConnsPerHost)
	if def.TLSClientConfig != nil { // net/http makes one for HTTP/2
		assert.False(t, def.TLSClientConfig.InsecureSkipVerify)
	}
}

// Where a program replaced http.DefaultTransport, the client still has its own.
func TestReplacedDefaultTransport(t *testing.T) { //nolint:paralleltest // changes a global
	srv, pool, protocols := tlsServer(t)
	saved := http.DefaultTransport
	t.Cleanup(func() { http.DefaultTransport = saved })
	http.DefaultTransport = transportFunc(func(*http.Request) (*http.Response, error) {
		t.Error("the replaced transport was asked")
		return nil, errors.New("not me")
	})
	require.NoError(t, deleteAt(t, srv, palette.WithRootCAs(pool)))
	assert.Equal(t, "HTTP/2.0", <-protocols)
}

// ---- WithEnv: t.Setenv forbids t.Parallel ----

// envNames are all the variables that WithEnv knows.
var envNames = []string{
	"PALETTE_API_KEY", "SPECTROCLOUD_APIKEY", "PALETTE_HOST", "SPECTROCLOUD_HOST",
	"PALETTE_CA_FILE", "PALETTE_INSECURE_SKIP_VERIFY",
}

// TestMain takes them away: examples read the environment as well, and cannot use setEnv.
func TestMain(m *testing.M) {
	for _, name := range envNames {
		if err := os.Unsetenv(name); err != nil {
			panic(err)
		}
	}
	m.Run()
}

// setEnv sets them, to nothing if not given.
func setEnv(t *testing.T, env map[string]string) {
	t.Helper()
	for _, name := range envNames {
		t.Setenv(name, env[name])
	}
	for name := range env {
		require.Equal(t, env[name], os.Getenv(name), "a variable that setEnv does not know")
	}
}

//nolint:paralleltest // sets the environment
func TestWithEnvKeyAndHost(t *testing.T) {
	withEnv := palette.WithEnv()
	tests := []struct {
		name      string
		env       map[string]string
		opts      []palette.Option
		key, host string
	}{
		{
			"Palette's own",
			map[string]string{"PALETTE_API_KEY": "k1", "PALETTE_HOST": "h1.test"},
			[]palette.Option{withEnv},
			"k1", "https://h1.test",
		},
		{
			"Terraform's",
			map[string]string{"SPECTROCLOUD_APIKEY": "k2", "SPECTROCLOUD_HOST": "h2.test"},
			[]palette.Option{withEnv},
			"k2", "https://h2.test",
		},
		{
			"Palette's own come first",
			map[string]string{"PALETTE_API_KEY": "k1", "SPECTROCLOUD_APIKEY": "k2", "PALETTE_HOST": "h1.test", "SPECTROCLOUD_HOST": "h2.test"},
			[]palette.Option{withEnv},
			"k1", "https://h1.test",
		},
		{
			"each for itself",
			map[string]string{"PALETTE_API_KEY": "k1", "SPECTROCLOUD_HOST": "h2.test"},
			[]palette.Option{withEnv},
			"k1", "https://h2.test",
		},
		{
			"a host with a scheme and a path",
			map[string]string{"PALETTE_API_KEY": "k1", "PALETTE_HOST": "https://h1.test:8443/tenant/"},
			[]palette.Option{withEnv},
			"k1", "https://h1.test:8443/tenant",
		},
		{
			"no host is the default",
			map[string]string{"PALETTE_API_KEY": "k1"},
			[]palette.Option{withEnv},
			"k1", palette.DefaultBaseURL,
		},
		{
			"options win over the environment",
			map[string]string{"PALETTE_API_KEY": "k1", "PALETTE_HOST": "h1.test"},
			[]palette.Option{withEnv, palette.WithAPIKey("k3"), palette.WithBaseURL("h3.test")},
			"k3", "https://h3.test",
		},
		{
			"also when they come first, and over what is wrong",
			map[string]string{"PALETTE_API_KEY": "k 1", "PALETTE_HOST": "ftp://h1.test"},
			[]palette.Option{palette.WithBaseURL("h3.test"), palette.WithAPIKey("k3"), withEnv},
			"k3", "https://h3.test",
		},
		{
			"one from each",
			map[string]string{"PALETTE_API_KEY": "k1", "PALETTE_HOST": "h1.test"},
			[]palette.Option{withEnv, palette.WithBaseURL("h3.test")},
			"k1", "https://h3.test",
		},
		{
			"the variables for TLS are not read beside an HTTP client",
			map[string]string{"PALETTE_API_KEY": "k1", "PALETTE_CA_FILE": "/no/such/file", "PALETTE_INSECURE_SKIP_VERIFY": "perhaps"},
			[]palette.Option{withEnv},
			"k1", palette.DefaultBaseURL,
		},
		{
			"without the option nothing is read",
			map[string]string{"PALETTE_API_KEY": "k1", "PALETTE_HOST": "h1.test"},
			[]palette.Option{palette.WithAPIKey("k3")},
			"k3", palette.DefaultBaseURL,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			setEnv(t, tt.env)
			req := listed(t, tt.opts...)
			assert.Equal(t, tt.key, req.Header.Get("ApiKey"))
			assert.Equal(t, tt.host+"/v1/apiKeys", req.URL.String())
		})
	}
}

//nolint:paralleltest // sets the environment
func TestWithEnvRefuses(t *testing.T) {
	const secret = "do-not-quote-me"
	noPEM := filepath.Join(t.TempDir(), "not.pem")
	require.NoError(t, os.WriteFile(noPEM, []byte("hello"), 0o600))
	key := map[string]string{"PALETTE_API_KEY": secret}
	tests := []struct {
		name string
		env  map[string]string
		opts []palette.Option
		want string
	}{
		{"no variable", nil, nil, "no credential"},
		{"a host alone", map[string]string{"PALETTE_HOST": "h1.test"}, nil, "no credential"},
		{"a key with a newline", map[string]string{"PALETTE_API_KEY": secret + "\n"}, nil, "WithEnv: PALETTE_API_KEY: the credential holds white space"},
		{"the other key with a newline", map[string]string{"SPECTROCLOUD_APIKEY": secret + "\n"}, nil, "WithEnv: SPECTROCLOUD_APIKEY: the credential holds white space"},
		{"a wrong host", map[string]string{"PALETTE_API_KEY": secret, "PALETTE_HOST": "https://u:" + secret + "@h1.test"}, nil, "WithEnv: PALETTE_HOST: must not hold a user or password"},
		{"the other host wrong", map[string]string{"PALETTE_API_KEY": secret, "SPECTROCLOUD_HOST": "ftp://h2.test"}, nil, "WithEnv: SPECTROCLOUD_HOST: scheme must be https or http"},
		{"http over the network", map[string]string{"PALETTE_API_KEY": secret, "PALETTE_HOST": "http://h1.test"}, nil, "base URL: http to h1.test"},
		{"two credentials beside it", key, []palette.Option{palette.WithAPIKey("a"), palette.WithAuthToken("b")}, "more than one credential: WithAPIKey, WithAuthToken"},
		{"no CA file", map[string]string{"PALETTE_API_KEY": secret, "PALETTE_CA_FILE": filepath.Join(t.TempDir(), "absent.pem")}, nil, "WithEnv: PALETTE_CA_FILE: open "},
		{"a CA file without a certificate", map[string]string{"PALETTE_API_KEY": secret, "PALETTE_CA_FILE": noPEM}, nil, "WithEnv: PALETTE_CA_FILE: no PEM certificate in " + noPEM},
		{"neither true nor false", map[string]string{"PALETTE_API_KEY": secret, "PALETTE_INSECURE_SKIP_VERIFY": "perhaps"}, nil, "WithEnv: PALETTE_INSECURE_SKIP_VERIFY: must be true or false"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			setEnv(t, tt.env)
			client, err := palette.NewClient(append(tt.opts, palette.WithEnv())...)
			assert.Nil(t, client)
			require.ErrorIs(t, err, palette.ErrInvalidArgument)
			require.ErrorContains(t, err, "palette: NewClient: "+tt.want)
			assert.NotContains(t, err.Error(), secret)
			assert.Equal(t, strings.Contains(tt.name, "no CA file"), errors.Is(err, fs.ErrNotExist))
		})
	}
}

//nolint:paralleltest // sets the environment
func TestWithEnvTLS(t *testing.T) {
	srv, pool, _ := tlsServer(t)
	caFile := writeCA(t, srv)
	call := func(t *testing.T, env map[string]string, opts ...palette.Option) error {
		t.Helper()
		env["PALETTE_API_KEY"], env["PALETTE_HOST"] = wireKey, srv.URL
		setEnv(t, env)
		client, err := palette.NewClient(append(opts, palette.WithEnv())...)
		require.NoError(t, err)
		return client.APIKeys.Delete(t.Context(), keyUID)
	}
	var unknown x509.UnknownAuthorityError

	t.Run("nothing set", func(t *testing.T) {
		require.ErrorAs(t, call(t, map[string]string{}), &unknown)
	})
	t.Run("the CA file is trusted", func(t *testing.T) {
		require.NoError(t, call(t, map[string]string{"PALETTE_CA_FILE": caFile}))
	})
	t.Run("an explicit pool wins, and the file is not read", func(t *testing.T) {
		env := map[string]string{"PALETTE_CA_FILE": "/no/such/file", "PALETTE_INSECURE_SKIP_VERIFY": "true"}
		require.NoError(t, call(t, env, palette.WithRootCAs(pool)))
		require.ErrorAs(t, call(t, env, palette.WithRootCAs(x509.NewCertPool())), &unknown)
	})
	t.Run("an explicit skip wins as well", func(t *testing.T) {
		env := map[string]string{"PALETTE_CA_FILE": "/no/such/file", "PALETTE_INSECURE_SKIP_VERIFY": "false"}
		require.NoError(t, call(t, env, palette.WithInsecureSkipVerify()))
	})
	for value, skips := range map[string]bool{"true": true, "1": true, "T": true, "false": false, "0": false} {
		t.Run("skip verify "+strconv.Quote(value), func(t *testing.T) {
			err := call(t, map[string]string{"PALETTE_INSECURE_SKIP_VERIFY": value})
			if skips {
				require.NoError(t, err)
				return
			}
			require.ErrorAs(t, err, &unknown)
		})
	}
}
