package palette

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/seed-804bd3b7/palette-apikeys-go/internal/ratelimit"
)

// Option configures a client in [NewClient]. A nil Option is ignored. If an option is
// given twice, the later one wins; if one of them is invalid, NewClient returns an error.
type Option func(*config) error

// config collects the options. Zero values mean "not given".
type config struct {
	env         bool
	credentials map[string]credential // by option
	credential  credential
	baseURL     *url.URL
	defaultHost bool // nobody has set baseURL
	httpAllowed bool

	httpClient    *http.Client
	wrapTransport func(http.RoundTripper) http.RoundTripper
	rootCAs       *x509.CertPool
	skipVerify    bool

	timeout   time.Duration
	retries   retryPolicy
	limiter   *ratelimit.Limiter
	logger    *slog.Logger
	userAgent string
}

// WithAPIKey makes the client use an API key, which it sends in the ApiKey header (spec).
func WithAPIKey(key string) Option {
	return func(c *config) error {
		return c.setCredential("WithAPIKey", fixedCredential(headerAPIKey, key), checkAPIKey(key))
	}
}

// WithAPIKeyFile makes the client read the API key from a file before each attempt, so
// that the key can be replaced while the client is in use. White space around the key is
// ignored. While the file is missing or empty, the client uses the last key that it has
// read. The path must lead to a regular file, possibly through symbolic links. NewClient
// reads it once.
func WithAPIKeyFile(path string) Option {
	return func(c *config) error {
		file, err := fileCredential(path)
		return c.setCredential("WithAPIKeyFile", file, err)
	}
}

// WithAPIKeyFunc makes the client call f for the API key before each attempt. Use it when
// the key can change while the client is in use. f is called with the context of the
// attempt, possibly concurrently. If f returns an error, the call fails with it and is not
// retried.
func WithAPIKeyFunc(f func(context.Context) (string, error)) Option {
	return func(c *config) error {
		_ = c.setCredential("WithAPIKeyFunc", funcCredential(headerAPIKey, f, checkAPIKey), nil)
		return require(f != nil, "WithAPIKeyFunc must not be nil")
	}
}

// WithAuthToken makes the client use a JWT, which it sends in the Authorization header
// without "Bearer" (spec). Use it to create the first API key of a user. The response to
// POST /v1/auth/authenticate with emailId, org and password holds a token (spec), which is
// valid for 15 minutes (doc).
func WithAuthToken(token string) Option {
	return func(c *config) error {
		return c.setCredential("WithAuthToken", fixedCredential(headerAuthToken, token), checkCredential(token))
	}
}

// WithAuthTokenFunc makes the client call f for the JWT before each attempt, because a
// token is valid for 15 minutes (doc). See [WithAPIKeyFunc] for how f is called.
func WithAuthTokenFunc(f func(context.Context) (string, error)) Option {
	return func(c *config) error {
		_ = c.setCredential("WithAuthTokenFunc", funcCredential(headerAuthToken, f, checkCredential), nil)
		return require(f != nil, "WithAuthTokenFunc must not be nil")
	}
}

// setCredential sets the credential that an option or a variable gives. err says why it is
// invalid.
func (c *config) setCredential(source string, cred credential, err error) error {
	cred.source = source + cred.source
	c.credentials[source] = cred
	return require(err == nil, source+" is invalid: %w", err)
}

// require returns an error with the given text unless an option is valid.
func require(valid bool, format string, args ...any) error {
	if valid {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// WithBaseURL sets the host or the URL of Palette. A path is put before /v1. The URL must
// be https, or http to a loopback address; see [WithInsecureHTTP]. The default is
// [DefaultBaseURL].
func WithBaseURL(rawURL string) Option {
	return func(c *config) error { return c.setBaseURL("WithBaseURL", rawURL) }
}

// setBaseURL sets the base URL that an option or a variable gives, if it is valid.
func (c *config) setBaseURL(source, rawURL string) error {
	u, err := parseBaseURL(rawURL)
	if err != nil {
		return fmt.Errorf("%s is invalid: %w", source, err)
	}
	c.baseURL = u
	return nil
}

// WithInsecureHTTP allows an http base URL with a host that is not a loopback address.
// Anybody on the network path can then read the credential.
func WithInsecureHTTP() Option {
	return func(c *config) error { c.httpAllowed = true; return nil }
}

// WithHTTPClient makes the client use a copy of hc, with its Transport, Timeout and Jar.
// If hc.Transport is nil, the default transport is used. It cannot be combined with
// [WithRootCAs] and [WithInsecureSkipVerify].
//
// The transport sees the credential. It must not retry POST requests: a retried Create
// can create a second key.
func WithHTTPClient(hc *http.Client) Option {
	return func(c *config) error {
		c.httpClient = hc
		return require(hc != nil, "WithHTTPClient must not be nil")
	}
}

// WithTransportWrapper sets middleware, such as OpenTelemetry's. NewClient calls wrap once
// with a transport that adds the credential; the client uses the result. To use several,
// combine them in wrap.
//
// The middleware sees every attempt, but not the credential. It can read the response to
// Create, which holds the new key. Errors and responses of its own are retried like those
// of the network. It can retry requests itself, but not Create.
func WithTransportWrapper(wrap func(http.RoundTripper) http.RoundTripper) Option {
	return func(c *config) error {
		c.wrapTransport = wrap
		return require(wrap != nil, "WithTransportWrapper must not be nil")
	}
}

// WithRootCAs makes the client trust the certificates of pool instead of the system's.
func WithRootCAs(pool *x509.CertPool) Option {
	return func(c *config) error {
		c.rootCAs = pool
		return require(pool != nil, "WithRootCAs must not be nil")
	}
}

// WithInsecureSkipVerify makes the client accept any certificate. Anybody on the network
// path can then receive the credential.
func WithInsecureSkipVerify() Option {
	return func(c *config) error { c.skipVerify = true; return nil }
}

// WithTimeout limits the duration of each attempt, including reading the response body.
// The default is 30 seconds. If the last attempt takes longer, the error is
// [context.DeadlineExceeded]. To limit the whole call, use the context.
func WithTimeout(perAttempt time.Duration) Option {
	return func(c *config) error {
		c.timeout = perAttempt
		return require(perAttempt > 0, "WithTimeout must be positive, is %v", perAttempt)
	}
}

// WithMaxRetries sets the maximum number of retries of a call, or of each page of a list.
// The default is 3. 0 disables retries, except the one with a changed credential.
//
// Some retries are counted apart. Their maximum is 4*n after a refused HTTP/2 stream or, with
// a rate limiter, after a 429. It is n, but at least 1, after a 401 if the credential has
// changed.
func WithMaxRetries(n int) Option {
	return func(c *config) error {
		c.retries.maxRetries = n
		return require(n >= 0, "WithMaxRetries must not be negative, is %d", n)
	}
}

// WithBackoff sets the minimum and the maximum wait before a retry. The wait starts
// between one and two times min and doubles with each retry. The default is 500
// milliseconds and 30 seconds.
func WithBackoff(min, max time.Duration) Option {
	return func(c *config) error {
		c.retries.backoff = backoff{min, max}
		return require(0 <= min && min <= max, "WithBackoff needs 0 <= min <= max, has %v and %v", min, max)
	}
}

// WithRateLimit limits the client to perSecond requests per second and bursts of burst
// requests. The default is 9 and 45: 90 % of Palette's documented limit for this
// resource, 10 requests per second and bursts of 50 for each source address (doc).
func WithRateLimit(perSecond float64, burst int) Option {
	return func(c *config) error {
		c.limiter = ratelimit.New(perSecond, burst)
		return require(perSecond > 0 && !math.IsInf(perSecond, 0) && burst >= 1,
			"WithRateLimit needs a positive rate and burst, has %v and %d", perSecond, burst)
	}
}

// WithoutRateLimit disables the rate limiter. Use it for a Palette without a rate limit.
func WithoutRateLimit() Option {
	return func(c *config) error { c.limiter = nil; return nil }
}

// WithLogger makes the client log to l:
//   - at level Debug, each attempt (op, method, path, status, attempt, duration) and each wait
//     of at least a second for the rate limiter (op, wait)
//   - at level Warn, each retry (op, method, path, wait, reason) and each time that the server
//     makes the client slow down (op, requestsPerSecond)
//
// It never logs headers, bodies or texts of the server. The default is no logging.
func WithLogger(l *slog.Logger) Option {
	return func(c *config) error {
		c.logger = l
		return require(l != nil, "WithLogger must not be nil")
	}
}

// WithUserAgent puts product, such as "my-tool/1.4", before the SDK's own product in the
// User-Agent header.
func WithUserAgent(product string) Option {
	return func(c *config) error {
		c.userAgent = product
		invalid := strings.ContainsFunc(product, func(r rune) bool { return r < ' ' || r > '~' })
		return require(product != "" && !invalid, "WithUserAgent must be printable ASCII and not empty")
	}
}

// The default rate limit is 90 % of the documented one. At 100 %, differences between the
// clocks of the client and the server would cost a 429 now and then.
const (
	defaultRate  = 9
	defaultBurst = 45
)

// newConfig applies opts, reads the environment if WithEnv is given, and returns a valid
// configuration or all errors.
func newConfig(opts []Option) (*config, error) {
	c := &config{
		credentials: map[string]credential{},
		timeout:     30 * time.Second,
		retries:     retryPolicy{maxRetries: 3, backoff: backoff{500 * time.Millisecond, 30 * time.Second}},
		limiter:     ratelimit.New(defaultRate, defaultBurst),
		logger:      slog.New(slog.DiscardHandler),
	}
	var errs []error
	for _, opt := range opts {
		if opt != nil {
			errs = append(errs, opt(c))
		}
	}
	if c.env {
		errs = append(errs, c.readEnv())
	}
	if c.baseURL == nil {
		c.baseURL, _ = parseBaseURL(DefaultBaseURL)
		c.defaultHost = true
	}
	c.retries.limited = c.limiter != nil
	errs = append(errs, c.checkCredentials(), c.checkTLS(), c.checkHTTP())
	return c, errors.Join(errs...)
}

// checkCredentials selects the only credential.
func (c *config) checkCredentials() error {
	sources := slices.Sorted(maps.Keys(c.credentials))
	switch len(sources) {
	case 0:
		return errors.New("credential: none is given: use WithAPIKey, WithAPIKeyFile, WithAPIKeyFunc, WithAuthToken or WithAuthTokenFunc, " +
			"or WithEnv with PALETTE_API_KEY, PALETTE_API_KEY_FILE or PALETTE_AUTH_TOKEN set")
	case 1:
		c.credential = c.credentials[sources[0]]
		return nil
	}
	return fmt.Errorf("credential: more than one is given: %s", strings.Join(sources, ", "))
}

func (c *config) checkTLS() error {
	if c.rootCAs == nil && !c.skipVerify {
		return nil
	}
	if c.httpClient != nil {
		return errors.New("TLS: WithHTTPClient cannot be combined with WithRootCAs, WithInsecureSkipVerify, PALETTE_CA_FILE or PALETTE_INSECURE_SKIP_VERIFY: " +
			"configure TLS in its Transport")
	}
	_, ok := http.DefaultTransport.(*http.Transport)
	return require(ok, "TLS: http.DefaultTransport was replaced by %T, which cannot be configured: use WithHTTPClient", http.DefaultTransport)
}

func (c *config) checkHTTP() error {
	host := c.baseURL.Hostname()
	return require(c.baseURL.Scheme != "http" || c.httpAllowed || isLoopback(host),
		"base URL: http to %s would send the credential in clear text: use https, or WithInsecureHTTP", host)
}
