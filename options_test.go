package palette_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"maps"
	"math"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// Parts of error texts.
const (
	tlsExcluded = "TLS: WithHTTPClient cannot be combined with WithRootCAs, WithInsecureSkipVerify, PALETTE_CA_FILE or " +
		"PALETTE_INSECURE_SKIP_VERIFY: configure TLS in its Transport"
	clearText = " would send the credential in clear text: use https, or WithInsecureHTTP"
)

func TestInvalidOptions(t *testing.T) {
	t.Parallel()
	returnsNil := func(http.RoundTripper) http.RoundTripper { return nil }
	const rate, userAgent = "WithRateLimit needs a positive rate and burst, has ", "WithUserAgent must be printable ASCII and not empty"
	for _, tt := range []struct {
		name    string
		invalid palette.Option
		want    string
	}{
		{"empty key", palette.WithAPIKey(""), "WithAPIKey is invalid: the credential is empty"},
		{"empty URL", palette.WithBaseURL(""), "WithBaseURL is invalid: it has no host"},
		{"nil HTTP client", palette.WithHTTPClient(nil), "WithHTTPClient must not be nil"},
		{"nil wrapper", palette.WithTransportWrapper(nil), "WithTransportWrapper must not be nil"},
		{"wrapper that returns nil", palette.WithTransportWrapper(returnsNil), "the function of WithTransportWrapper returned nil"},
		{"nil pool", palette.WithRootCAs(nil), "WithRootCAs must not be nil"},
		{"nil logger", palette.WithLogger(nil), "WithLogger must not be nil"},
		{"no timeout", palette.WithTimeout(0), "WithTimeout must be positive, is 0s"},
		{"negative timeout", palette.WithTimeout(-time.Second), "WithTimeout must be positive, is -1s"},
		{"negative retries", palette.WithMaxRetries(-1), "WithMaxRetries must not be negative, is -1"},
		{"negative backoff", palette.WithBackoff(-1, 1), "WithBackoff needs 0 <= min <= max, has -1ns and 1ns"},
		{"backoff above its maximum", palette.WithBackoff(2, 1), "WithBackoff needs 0 <= min <= max, has 2ns and 1ns"},
		{"no rate", palette.WithRateLimit(0, 1), rate + "0 and 1"},
		{"negative rate", palette.WithRateLimit(-1, 1), rate + "-1 and 1"},
		{"rate that is no number", palette.WithRateLimit(math.NaN(), 1), rate + "NaN and 1"},
		{"infinite rate", palette.WithRateLimit(math.Inf(1), 1), rate + "+Inf and 1"},
		{"no burst", palette.WithRateLimit(1, 0), rate + "1 and 0"},
		{"empty user agent", palette.WithUserAgent(""), userAgent},
		{"user agent with a newline", palette.WithUserAgent("a\r\nX-Evil: 1"), userAgent},
		{"user agent with a control character", palette.WithUserAgent("a\x7f"), userAgent},
		{"user agent that is not ASCII", palette.WithUserAgent("ä"), userAgent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()

			requireInvalidOptions(t, tt.want, palette.WithAPIKey(testKey), tt.invalid)
		})
	}
}

func TestInvalidOptionIsReportedIfALaterOneIsValid(t *testing.T) {
	t.Parallel()

	requireInvalidOptions(t, "WithTimeout must be positive, is 0s; WithAPIKey is invalid: the credential is empty",
		palette.WithTimeout(0), palette.WithTimeout(time.Second), palette.WithAPIKey(""), palette.WithAPIKey(testKey))
}

func TestSmallestValidOptions(t *testing.T) {
	t.Parallel()

	_, err := palette.NewClient(palette.WithAPIKey("k"), palette.WithTimeout(1), palette.WithMaxRetries(0),
		palette.WithBackoff(0, 0), palette.WithRateLimit(1e-9, 1), palette.WithUserAgent("~ !"))

	require.NoError(t, err)
}

func TestLaterOptionWins(t *testing.T) {
	t.Parallel()
	m := newMock(t, busy(503), respond(200, testKeyJSON))

	client, err := palette.NewClient(
		palette.WithAPIKey("first-key"), palette.WithAPIKey(testKey),
		palette.WithBaseURL("first.test"), palette.WithBaseURL(testBaseURL),
		palette.WithHTTPClient(http.DefaultClient), palette.WithHTTPClient(&http.Client{Transport: m}), //nolint:forbidigo // not used
		palette.WithMaxRetries(0), palette.WithMaxRetries(1),
		palette.WithBackoff(time.Hour, time.Hour), palette.WithBackoff(0, 0),
		palette.WithUserAgent("first/1"), palette.WithUserAgent("second/2"),
	)
	require.NoError(t, err)
	require.NoError(t, getKey(t, client))

	assert.Equal(t, []string{testKey, testKey}, sentKeys(m))
	assert.Regexp(t, "^second/2 palette-apikeys-go/", m.requests()[1].Header.Get("User-Agent"))
	m.requireSent("GET /v1/apiKeys/"+testUID, "GET /v1/apiKeys/"+testUID)
}

func TestAllInvalidOptionsAreReported(t *testing.T) {
	t.Parallel()

	requireInvalidOptions(t, "WithTimeout must be positive, is 0s; WithMaxRetries must not be negative, is -1; "+
		"WithAPIKey is invalid: the credential is empty; "+tlsExcluded+"; base URL: http to palette.test"+clearText,
		palette.WithTimeout(0), palette.WithMaxRetries(-1), palette.WithAPIKey(""), palette.WithBaseURL("http://palette.test"),
		palette.WithHTTPClient(&http.Client{}), palette.WithRootCAs(x509.NewCertPool()))
}

func TestNewClientPerformsNoNetworkIO(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(nil)
	srv.Config.ConnState = func(net.Conn, http.ConnState) { t.Error("NewClient opened a connection") }
	srv.Start()
	defer srv.Close()

	_, err := palette.NewClient(palette.WithBaseURL(srv.URL), palette.WithAPIKeyFunc(func(context.Context) (string, error) {
		t.Error("NewClient called the function")
		return testKey, nil
	}))

	require.NoError(t, err)
}

func TestUserAgent(t *testing.T) {
	t.Parallel()
	key := palette.WithAPIKey(testKey)

	assert.Regexp(t, `^palette-apikeys-go/\d+\.\d+\.\d+$`, sentBy(t, key).Header.Get("User-Agent"))
	assert.Regexp(t, `^my-tool/1\.4 \(~\) palette-apikeys-go/\d+\.\d+\.\d+$`,
		sentBy(t, key, palette.WithUserAgent("my-tool/1.4 (~)")).Header.Get("User-Agent"))
}

func TestBaseURL(t *testing.T) {
	t.Parallel()
	for want, accepted := range map[string][]string{
		"https://palette.test":          {"palette.test", "palette.test/", "palette.test:", "HTTPS://palette.test//"},
		"https://palette.test:8443":     {"palette.test:8443", "https://palette.test:8443"},
		"https://palette.test/a/b":      {"palette.test/a/b", "https://palette.test/a/b/"},
		"https://palette.test/a%2Fb":    {"https://palette.test/a%2Fb"},
		"https://palette.test/a%2F":     {"https://palette.test/a%2F/"},
		"https://palette.test/a%20b":    {"https://palette.test/a b"},
		"https://palette.test/v1/proxy": {"https://palette.test/v1/proxy"},
		"https://palette.test/apiv1":    {"https://palette.test/apiv1"},
		"https://[2001:db8::1]:8443":    {"[2001:db8::1]:8443", "https://[2001:db8::1]:8443"},
		"http://localhost:8080":         {"http://localhost:8080"},
		"http://localhost":              {"HTTP://LocalHost"},
		"http://127.8.8.8":              {"http://127.8.8.8"},
		"http://[::1]:8080":             {"http://[::1]:8080"},
	} {
		for _, raw := range accepted {
			t.Run(raw, func(t *testing.T) {
				t.Parallel()
				opts := []palette.Option{palette.WithAPIKey(testKey), palette.WithBaseURL(raw)}
				client, err := palette.NewClient(opts...)
				require.NoError(t, err)

				req := sentBy(t, opts...)

				assert.Equal(t, want, client.BaseURL())
				assert.Equal(t, want+"/v1/apiKeys/"+testUID, req.URL.String())
				assert.Equal(t, req.URL.Host, req.Host)
			})
		}
	}
}

func TestInvalidBaseURL(t *testing.T) {
	t.Parallel()
	for want, rejected := range map[string][]string{
		"it has no host":                         {"", "https://", "https:///prefix", "//palette.test", ":8443"},
		"there is no // after the scheme":        {"https:palette.test", "HTTP:/palette.test"},
		"the scheme must be https or http":       {"ftp://palette.test"},
		"it must not contain a user or password": {"https://me@palette.test", "me:pass-word@palette.test"},
		"it must not contain a query or fragment": {
			"palette.test?key=pass-word", "https://palette.test/?", "palette.test/v1#pass-word", "https://palette.test/#",
		},
		"it is not a host or URL": {
			"palette.test:https", "https://[::1", "https://pal ette.test", "palette.test\n", "https://palette.test/\x00",
			"https://palette.test/%zz", "https://[fe80::1%25eth\xd50]/", "https://me:pass-word%zz@palette.test",
		},
	} {
		for _, raw := range rejected {
			t.Run(raw, func(t *testing.T) {
				t.Parallel()

				requireInvalidOptions(t, "WithBaseURL is invalid: "+want, palette.WithAPIKey(testKey), palette.WithBaseURL(raw))
			})
		}
	}
}

func TestBaseURLWithV1IsInvalid(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{"a.test/v1", "https://a.test/b/v1//", "https://a.test/b/%761"} {
		t.Run(raw, func(t *testing.T) {
			t.Parallel()

			requireInvalidOptions(t, "WithBaseURL is invalid: the path must not end in /v1, which the client adds",
				palette.WithAPIKey(testKey), palette.WithBaseURL(raw))
		})
	}
}

func TestIPv6BaseURLNeedsBrackets(t *testing.T) {
	t.Setenv("GODEBUG", "urlstrictcolons=0") // else net/url rejects it; programs can choose

	requireInvalidOptions(t, "WithBaseURL is invalid: an IPv6 address needs brackets",
		palette.WithAPIKey(testKey), palette.WithBaseURL("https://2001:db8::1"))
}

func TestHTTPNeedsLoopbackOrWithInsecureHTTP(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"palette.test", "10.1.2.3", "0.0.0.0", "2001:db8::1", "localhost.test", "127.0.0.1.test", "127.1"} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			base := "http://" + net.JoinHostPort(host, "8080")
			opts := []palette.Option{palette.WithAPIKey(testKey), palette.WithBaseURL(base)}

			requireInvalidOptions(t, "base URL: http to "+host+clearText, opts...)
			req := sentBy(t, append(opts, palette.WithInsecureHTTP())...)

			assert.Equal(t, base+"/v1/apiKeys/"+testUID, req.URL.String())
		})
	}
}

// FuzzBaseURL requires that NewClient rejects a base URL or sends requests to its scheme
// and host, below its path.
func FuzzBaseURL(f *testing.F) {
	for _, raw := range []string{
		"palette.test:", "HTTPS://PALETTE.TEST/A//", "http://[::1]:8443/x", "http://LOCALHOST", "http://palette.test",
		"https://me@palette.test?x", "https://palette.test/%2e%2e/a%2Fb", "https://palette.test/../..", "https://ä.test/ö", "https://%41.test",
		"https://palette.test/{uid};x=y", `https://palette.test\@other.test`, "https://[fe80::1%25eth0]/", "https://*/v1", "0/ %2F",
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		opts := []palette.Option{palette.WithAPIKey(testKey), palette.WithBaseURL(raw)}
		if _, err := palette.NewClient(opts...); err != nil {
			require.ErrorIs(t, err, palette.ErrInvalidArgument)
			return
		}
		if !strings.Contains(raw, "://") {
			raw = "https://" + raw
		}
		base, _ := url.Parse(raw)
		if strings.EqualFold(base.Hostname(), "localhost") {
			base.Host = strings.ToLower(base.Host)
		}
		if base.Scheme != "https" {
			address, _, _ := strings.Cut(base.Hostname(), "%") // without the zone
			require.Equal(t, "http", base.Scheme)
			require.True(t, strings.EqualFold(address, "localhost") || net.ParseIP(address).IsLoopback(), address)
		}

		sent := sentBy(t, opts...).URL

		require.Equal(t, base.Scheme+"://"+strings.TrimSuffix(base.Host, ":"), sent.Scheme+"://"+sent.Host)
		require.Equal(t, strings.TrimRight(base.EscapedPath(), "/")+"/v1/apiKeys/"+testUID, sent.EscapedPath())
		require.Empty(t, sent.RawQuery+sent.Fragment)
		require.Nil(t, sent.User)
	})
}

func TestHTTPClientIsCopiedAndNotModified(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		jar, err := cookiejar.New(nil)
		require.NoError(t, err)
		jar.SetCookies(&url.URL{Scheme: "https", Host: testHost}, []*http.Cookie{{Name: "route", Value: "node-7"}})
		m := newMock(t, func(req *http.Request) (*http.Response, error) {
			assert.Equal(t, "route=node-7", req.Header.Get("Cookie"))
			return hanging(written)(req)
		}, respond(200, testKeyJSON))
		hc := &http.Client{Transport: m, Jar: jar, Timeout: time.Second}
		start := time.Now()

		client := newTestClient(t, nil, palette.WithHTTPClient(hc))
		err = getKey(t, client)

		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(start))
		assert.Equal(t, &http.Client{Transport: m, Jar: jar, Timeout: time.Second}, hc)
		hc.Transport = nil
		require.NoError(t, getKey(t, client))
	})
}

// The tests below set environment variables and cannot be parallel.

type env map[string]string

// setEnv sets the given variables and clears all others that WithEnv reads.
func setEnv(t *testing.T, values env) {
	t.Helper()
	for _, name := range []string{
		"PALETTE_API_KEY", "SPECTROCLOUD_APIKEY", "PALETTE_API_KEY_FILE", "PALETTE_AUTH_TOKEN", "PALETTE_HOST",
		"SPECTROCLOUD_HOST", "PALETTE_CA_FILE", "PALETTE_INSECURE_SKIP_VERIFY",
	} {
		t.Setenv(name, values[name])
	}
}

func TestWithEnv(t *testing.T) { //nolint:paralleltest // sets variables of the environment
	withEnv, key, token := palette.WithEnv(), palette.WithAPIKey("key-3"), palette.WithAuthToken("a-token")
	host := palette.WithBaseURL("host-3.test")
	keyOnly := env{"PALETTE_API_KEY": "key-1"}
	both := env{"PALETTE_API_KEY": "key-1", "PALETTE_HOST": "https://host-1.test:8443/prefix/"}
	aliases := env{"SPECTROCLOUD_APIKEY": "key-2", "SPECTROCLOUD_HOST": "host-2.test"}
	invalid := env{"PALETTE_API_KEY": "key 1", "PALETTE_HOST": "ftp://host-1.test"}
	all := maps.Clone(both)
	maps.Copy(all, aliases)
	file := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(file, []byte("key-4\n"), 0o600))
	fileOnly, tokenOnly := env{"PALETTE_API_KEY_FILE": file}, env{"PALETTE_AUTH_TOKEN": "token-5"}
	for name, tt := range map[string]struct { //nolint:paralleltest // as above
		env  env
		opts []palette.Option
		want string // key, token and base URL
	}{
		"key and host":            {both, []palette.Option{withEnv}, "key-1  https://host-1.test:8443/prefix"},
		"file":                    {fileOnly, []palette.Option{withEnv}, "key-4  https://api.spectrocloud.com"},
		"token":                   {tokenOnly, []palette.Option{withEnv}, " token-5 https://api.spectrocloud.com"},
		"file and option":         {fileOnly, []palette.Option{withEnv, key}, "key-3  https://api.spectrocloud.com"},
		"aliases":                 {aliases, []palette.Option{withEnv}, "key-2  https://host-2.test"},
		"precedence over aliases": {all, []palette.Option{withEnv}, "key-1  https://host-1.test:8443/prefix"},
		"no host":                 {keyOnly, []palette.Option{withEnv}, "key-1  https://api.spectrocloud.com"},
		"later options":           {both, []palette.Option{withEnv, key, host}, "key-3  https://host-3.test"},
		"earlier options":         {invalid, []palette.Option{host, key, withEnv}, "key-3  https://host-3.test"},
		"option of another kind":  {keyOnly, []palette.Option{withEnv, token}, " a-token https://api.spectrocloud.com"},
		"without WithEnv":         {both, []palette.Option{key}, "key-3  https://api.spectrocloud.com"},
	} {
		t.Run(name, func(t *testing.T) {
			setEnv(t, tt.env)

			req := sentBy(t, tt.opts...)

			got := req.Header.Get("ApiKey") + " " + req.Header.Get("Authorization") + " " + req.URL.String()
			assert.Equal(t, tt.want+"/v1/apiKeys/"+testUID, got)
		})
	}
}

func TestWithEnvInvalid(t *testing.T) { //nolint:paralleltest // sets variables of the environment
	dir := t.TempDir()
	missing, noPEM := filepath.Join(dir, "missing.pem"), filepath.Join(dir, "no.pem")
	require.NoError(t, os.WriteFile(noPEM, []byte("hello"), 0o600))
	_, missingErr := os.ReadFile(missing)
	noCertificate := "PALETTE_CA_FILE is invalid: " + noPEM + " has no PEM certificate"
	const user = " is invalid: it must not contain a user or password"
	withEnv, withKey := []palette.Option{palette.WithEnv()}, []palette.Option{palette.WithEnv(), palette.WithAPIKey(testKey)}
	withClient := append(withKey, palette.WithHTTPClient(&http.Client{}))
	for name, tt := range map[string]struct { //nolint:paralleltest // as above
		env  env
		opts []palette.Option
		want string
	}{
		"key":   {env{"PALETTE_API_KEY": "pass-word\n"}, withEnv, "PALETTE_API_KEY is invalid: " + whiteSpace},
		"token": {env{"PALETTE_AUTH_TOKEN": "pass-word\n"}, withEnv, "PALETTE_AUTH_TOKEN is invalid: " + whiteSpace},
		"key, file and token": {
			env{"PALETTE_API_KEY": "key", "PALETTE_API_KEY_FILE": noPEM, "PALETTE_AUTH_TOKEN": "token"},
			withEnv,
			"credential: more than one is given: PALETTE_API_KEY, PALETTE_API_KEY_FILE, PALETTE_AUTH_TOKEN",
		},
		"key, alias":             {env{"SPECTROCLOUD_APIKEY": "pass-word\n"}, withEnv, "SPECTROCLOUD_APIKEY is invalid: " + whiteSpace},
		"host":                   {env{"PALETTE_HOST": "me:pass-word@host.test"}, withKey, "PALETTE_HOST" + user},
		"host, alias":            {env{"SPECTROCLOUD_HOST": "me:pass-word@host.test"}, withKey, "SPECTROCLOUD_HOST" + user},
		"http":                   {env{"PALETTE_HOST": "http://host.test"}, withKey, "base URL: http to host.test" + clearText},
		"CA file missing":        {env{"PALETTE_CA_FILE": missing}, withKey, "PALETTE_CA_FILE is invalid: " + missingErr.Error()},
		"CA file without PEM":    {env{"PALETTE_CA_FILE": noPEM}, withKey, noCertificate},
		"CA file and client":     {env{"PALETTE_CA_FILE": noPEM}, withClient, noCertificate + "; " + tlsExcluded},
		"skip verify":            {env{"PALETTE_INSECURE_SKIP_VERIFY": "no!"}, withKey, "PALETTE_INSECURE_SKIP_VERIFY must be true or false"},
		"skip verify and client": {env{"PALETTE_INSECURE_SKIP_VERIFY": "true"}, withClient, tlsExcluded},
	} {
		t.Run(name, func(t *testing.T) {
			setEnv(t, tt.env)

			requireInvalidOptions(t, tt.want, tt.opts...)
		})
	}
}

func TestTLSOptionsAndVariables(t *testing.T) { //nolint:paralleltest // sets variables of the environment
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}))
	srv.Config.ErrorLog = discardLog()
	srv.StartTLS()
	defer srv.Close()
	pool, caFile := x509.NewCertPool(), filepath.Join(t.TempDir(), "ca.pem")
	pool.AddCert(srv.Certificate())
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	require.NoError(t, os.WriteFile(caFile, block, 0o600))
	wrapper := palette.WithTransportWrapper(func(rt http.RoundTripper) http.RoundTripper { return rt })
	roots, noRoots, skip := palette.WithRootCAs(pool), palette.WithRootCAs(x509.NewCertPool()), palette.WithInsecureSkipVerify()
	invalid := env{"PALETTE_CA_FILE": "missing.pem", "PALETTE_INSECURE_SKIP_VERIFY": "no!"}
	for name, tt := range map[string]struct { //nolint:paralleltest // as above
		env     env
		opts    []palette.Option
		trusted bool
	}{
		"default":                            {nil, nil, false},
		"roots":                              {nil, []palette.Option{roots, wrapper}, true},
		"no roots":                           {nil, []palette.Option{noRoots}, false},
		"skip verify":                        {nil, []palette.Option{skip}, true},
		"PALETTE_CA_FILE":                    {env{"PALETTE_CA_FILE": caFile}, nil, true},
		"PALETTE_INSECURE_SKIP_VERIFY":       {env{"PALETTE_INSECURE_SKIP_VERIFY": "1"}, nil, true},
		"PALETTE_INSECURE_SKIP_VERIFY false": {env{"PALETTE_INSECURE_SKIP_VERIFY": "false"}, nil, false},
		"roots over invalid variables":       {invalid, []palette.Option{roots}, true},
		"skip verify over invalid variables": {invalid, []palette.Option{skip}, true},
		"no roots over variable":             {env{"PALETTE_INSECURE_SKIP_VERIFY": "true"}, []palette.Option{noRoots}, false},
	} {
		t.Run(name, func(t *testing.T) {
			setEnv(t, tt.env)
			client, err := palette.NewClient(append(tt.opts, palette.WithEnv(), palette.WithAPIKey(testKey), palette.WithBaseURL(srv.URL))...)
			require.NoError(t, err)
			defer client.CloseIdleConnections()

			err = client.APIKeys.Delete(t.Context(), testUID)

			_, untrusted := errors.AsType[x509.UnknownAuthorityError](err)
			assert.Equal(t, !tt.trusted, untrusted)
			assert.Equal(t, tt.trusted, err == nil)
		})
	}
	if config := http.DefaultTransport.(*http.Transport).TLSClientConfig; config != nil { // net/http makes one for HTTP/2
		assert.False(t, config.InsecureSkipVerify)
		assert.Nil(t, config.RootCAs)
	}
}
