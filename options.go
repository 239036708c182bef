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
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DefaultBaseURL is the URL of Palette's public host (doc). Use [WithBaseURL] for a
// dedicated or self-hosted one.
const DefaultBaseURL = "https://api.spectrocloud.com"

// Option configures a client in [NewClient]. A nil Option is ignored. If an option is
// given twice, the later one wins.
type Option func(*config)

// config collects the options. Zero values mean "not given".
type config struct {
	errs map[string]error // by option; nil for a valid one

	env         bool
	credentials map[string]credential // by option
	credential  credential
	baseURL     *url.URL
	httpAllowed bool

	httpClient    *http.Client
	wrapTransport func(http.RoundTripper) http.RoundTripper
	rootCAs       *x509.CertPool
	skipVerify    bool

	timeout    time.Duration
	maxRetries int
	backoff    backoff
	limiter    *rateLimiter
	logger     *slog.Logger
	userAgent  string
}

// require records whether the arguments of an option are valid.
func (c *config) require(option string, valid bool, format string, args ...any) {
	c.errs[option] = nil
	if !valid {
		c.errs[option] = fmt.Errorf(option+" "+format, args...)
	}
}

// WithAPIKey makes the client use an API key, which it sends in the ApiKey header (spec).
func WithAPIKey(key string) Option {
	return func(c *config) {
		c.setCredential("WithAPIKey", fixedCredential(headerAPIKey, key), checkAPIKey(key))
	}
}

// WithAPIKeyFile makes the client read the API key from a file before each attempt, so
// that the key can be replaced while the client is in use. White space around the key is
// ignored. While the file is missing or empty, the client uses the last key that it has
// read. NewClient reads the file once.
func WithAPIKeyFile(path string) Option {
	return func(c *config) { c.setKeyFile("WithAPIKeyFile", path) }
}

func (c *config) setKeyFile(option, path string) {
	file := &keyFile{path: path}
	_, err := file.read()
	c.setCredential(option, credential{headerAPIKey, false, func(context.Context) (string, error) { return file.read() }}, err)
}

// WithAPIKeyFunc makes the client call f for the API key before each attempt. Use it when
// the key can change while the client is in use. f is called with the context of the
// attempt, also by several goroutines at the same time. If f returns an error, the call
// fails with it and is not retried.
func WithAPIKeyFunc(f func(context.Context) (string, error)) Option {
	return func(c *config) {
		c.credentials["WithAPIKeyFunc"] = funcCredential(headerAPIKey, f, checkAPIKey)
		c.require("WithAPIKeyFunc", f != nil, "must not be nil")
	}
}

// WithAuthToken makes the client use a JWT, which it sends in the Authorization header
// without "Bearer" (spec). Use it to create the first API key of a user. The response to
// POST /v1/auth/authenticate with emailId, org and password holds a token (spec), which is
// valid for 15 minutes (doc).
func WithAuthToken(token string) Option {
	return func(c *config) {
		c.setCredential("WithAuthToken", fixedCredential(headerAuthToken, token), checkCredential(token))
	}
}

// WithAuthTokenFunc makes the client call f for the JWT before each attempt, because a
// token is valid for 15 minutes (doc). See [WithAPIKeyFunc] for how f is called.
func WithAuthTokenFunc(f func(context.Context) (string, error)) Option {
	return func(c *config) {
		c.credentials["WithAuthTokenFunc"] = funcCredential(headerAuthToken, f, checkCredential)
		c.require("WithAuthTokenFunc", f != nil, "must not be nil")
	}
}

func (c *config) setCredential(option string, cred credential, err error) {
	c.credentials[option] = cred
	c.require(option, err == nil, "is invalid: %w", err)
}

// WithEnv makes the client read these environment variables for what no other option
// sets:
//
//   - PALETTE_API_KEY or SPECTROCLOUD_APIKEY: the API key
//   - PALETTE_API_KEY_FILE: a file that holds the API key, as [WithAPIKeyFile]
//   - PALETTE_AUTH_TOKEN: a JWT, as [WithAuthToken]
//   - PALETTE_HOST or SPECTROCLOUD_HOST: the host or base URL
//   - PALETTE_CA_FILE: a file of PEM certificates to trust instead of the system's
//   - PALETTE_INSECURE_SKIP_VERIFY: a boolean, as [WithInsecureSkipVerify]
//
// A PALETTE_ variable takes precedence over its alias. An empty variable counts as not
// set. More than one credential is an error. The last two variables are not read if
// [WithRootCAs] or [WithInsecureSkipVerify] is given, and are an error together with
// [WithHTTPClient].
func WithEnv() Option { return func(c *config) { c.env = true } }

// WithBaseURL sets the host or the URL of Palette. A path is put before /v1. The URL must
// be https, or http to a loopback address; see [WithInsecureHTTP]. The default is
// [DefaultBaseURL].
func WithBaseURL(rawURL string) Option {
	return func(c *config) {
		u, err := parseBaseURL(rawURL)
		c.baseURL = u
		c.require("WithBaseURL", err == nil, "is invalid: %w", err)
	}
}

// WithInsecureHTTP allows an http base URL with a host that is not a loopback address.
// Everybody on the network path can then read the credential.
func WithInsecureHTTP() Option { return func(c *config) { c.httpAllowed = true } }

// WithHTTPClient makes the client use a copy of hc, with its Transport, Timeout and Jar.
// If hc.Transport is nil, the default transport is used. It cannot be combined with
// [WithRootCAs] and [WithInsecureSkipVerify].
//
// The transport sees the credential. It must not retry POST requests: a retried Create
// can create a second key.
func WithHTTPClient(hc *http.Client) Option {
	return func(c *config) {
		c.httpClient = hc
		c.require("WithHTTPClient", hc != nil, "must not be nil")
	}
}

// WithTransportWrapper adds middleware, such as OpenTelemetry's. NewClient calls wrap once
// with a transport that adds the credential; the client uses the result. The middleware
// sees every attempt, but not the credential. It can read the response to Create, which
// holds the new key. Its errors are retried like those of the network. It can retry
// requests itself, but not Create. If it replaces the body of a request or the server's
// response, one Create can create two keys.
func WithTransportWrapper(wrap func(http.RoundTripper) http.RoundTripper) Option {
	return func(c *config) {
		c.wrapTransport = wrap
		c.require("WithTransportWrapper", wrap != nil, "must not be nil")
	}
}

// WithRootCAs makes the client trust the certificates of pool instead of the system's.
func WithRootCAs(pool *x509.CertPool) Option {
	return func(c *config) {
		c.rootCAs = pool
		c.require("WithRootCAs", pool != nil, "must not be nil")
	}
}

// WithInsecureSkipVerify makes the client accept any certificate. Whoever responds
// receives the credential.
func WithInsecureSkipVerify() Option { return func(c *config) { c.skipVerify = true } }

// WithTimeout limits the duration of each attempt, including reading the response body.
// The default is 30 seconds. If the last attempt takes longer, the error is
// [context.DeadlineExceeded]. To limit the whole call, use the context.
func WithTimeout(perAttempt time.Duration) Option {
	return func(c *config) {
		c.timeout = perAttempt
		c.require("WithTimeout", perAttempt > 0, "must be positive, is %v", perAttempt)
	}
}

// WithMaxRetries sets the maximum number of retries of a call. The default is 3; 0
// disables retries. Retries after a refused HTTP/2 stream or, with a rate limiter, after a
// 429 have their own maximum, four times n. The retry with a changed credential after a 401
// does not count.
func WithMaxRetries(n int) Option {
	return func(c *config) {
		c.maxRetries = n
		c.require("WithMaxRetries", n >= 0, "must not be negative, is %d", n)
	}
}

// WithBackoff sets the minimum and the maximum wait before a retry. The wait starts
// between one and two times min and doubles with each retry. The default is 500
// milliseconds and 30 seconds.
func WithBackoff(min, max time.Duration) Option {
	return func(c *config) {
		c.backoff = backoff{min, max}
		c.require("WithBackoff", 0 <= min && min <= max, "needs 0 <= min <= max, has %v and %v", min, max)
	}
}

// WithRateLimit limits the client to perSecond requests per second and bursts of burst
// requests. The default is 9 and 45: 90 % of Palette's documented limit for this
// resource, 10 requests per second and bursts of 50 for each source address (doc).
func WithRateLimit(perSecond float64, burst int) Option {
	return func(c *config) {
		c.limiter = newRateLimiter(perSecond, burst)
		c.require("WithRateLimit", perSecond > 0 && !math.IsInf(perSecond, 0) && burst >= 1,
			"needs a positive rate and burst, has %v and %d", perSecond, burst)
	}
}

// WithoutRateLimit disables the rate limiter. Use it for a Palette without a rate limit.
func WithoutRateLimit() Option {
	return func(c *config) {
		c.limiter = nil
		c.errs["WithRateLimit"] = nil
	}
}

// WithLogger makes the client log to l: each attempt at level Debug (op, method, path,
// status, attempt, duration), each retry at level Warn (op, method, path, wait, reason),
// and each wait of at least a second for the rate limiter at level Info (op, wait). It
// never logs headers, bodies or texts of the server. The default is no logging.
func WithLogger(l *slog.Logger) Option {
	return func(c *config) {
		c.logger = l
		c.require("WithLogger", l != nil, "must not be nil")
	}
}

// WithUserAgent puts product, such as "my-tool/1.4", before the SDK's own product in the
// User-Agent header.
func WithUserAgent(product string) Option {
	return func(c *config) {
		c.userAgent = product
		invalid := strings.ContainsFunc(product, func(r rune) bool { return r < ' ' || r > '~' })
		c.require("WithUserAgent", product != "" && !invalid, "must be printable ASCII and not empty")
	}
}

// newConfig applies opts, reads the environment if WithEnv is given, and returns a valid
// configuration or all errors.
func newConfig(opts []Option) (*config, error) {
	c := &config{
		errs:        map[string]error{},
		credentials: map[string]credential{},
		timeout:     30 * time.Second,
		maxRetries:  3,
		backoff:     backoff{500 * time.Millisecond, 30 * time.Second},
		limiter:     newRateLimiter(defaultRate, defaultBurst),
		logger:      slog.New(slog.DiscardHandler),
	}
	for _, opt := range opts {
		if opt != nil {
			opt(c)
		}
	}
	if c.env {
		c.readEnv()
	}
	if c.baseURL == nil && c.errs["WithBaseURL"] == nil {
		c.baseURL, _ = parseBaseURL(DefaultBaseURL)
	}
	c.checkCombination()
	var errs []error
	for _, option := range slices.Sorted(maps.Keys(c.errs)) {
		errs = append(errs, c.errs[option])
	}
	if err := errors.Join(errs...); err != nil {
		return nil, invalidArgument("NewClient", err)
	}
	return c, nil
}

// readEnv reads the environment for what no option sets.
func (c *config) readEnv() {
	if len(c.credentials) == 0 {
		c.readCredentialEnv()
	}
	if name, host := firstEnv("PALETTE_HOST", "SPECTROCLOUD_HOST"); host != "" && c.baseURL == nil {
		u, err := parseBaseURL(host)
		c.baseURL = u
		c.require(name, err == nil, "is invalid: %w", err)
	}
	if c.rootCAs == nil && !c.skipVerify {
		c.readTLSEnv()
	}
}

func (c *config) readCredentialEnv() {
	if name, key := firstEnv("PALETTE_API_KEY", "SPECTROCLOUD_APIKEY"); key != "" {
		c.setCredential(name, fixedCredential(headerAPIKey, key), checkAPIKey(key))
	}
	if path := os.Getenv("PALETTE_API_KEY_FILE"); path != "" {
		c.setKeyFile("PALETTE_API_KEY_FILE", path)
	}
	if token := os.Getenv("PALETTE_AUTH_TOKEN"); token != "" {
		c.setCredential("PALETTE_AUTH_TOKEN", fixedCredential(headerAuthToken, token), checkCredential(token))
	}
}

func (c *config) readTLSEnv() {
	if file := os.Getenv("PALETTE_CA_FILE"); file != "" {
		pem, err := os.ReadFile(file)
		c.rootCAs = x509.NewCertPool()
		if err == nil && !c.rootCAs.AppendCertsFromPEM(pem) {
			err = fmt.Errorf("%s has no PEM certificate", file)
		}
		c.require("PALETTE_CA_FILE", err == nil, "is invalid: %w", err)
	}
	if value := os.Getenv("PALETTE_INSECURE_SKIP_VERIFY"); value != "" {
		skip, err := strconv.ParseBool(value)
		c.skipVerify = skip
		c.require("PALETTE_INSECURE_SKIP_VERIFY", err == nil, "must be true or false")
	}
}

// firstEnv returns the first of the variables that is set, and its value.
func firstEnv(names ...string) (name, value string) {
	for _, name = range names {
		if value = os.Getenv(name); value != "" {
			break
		}
	}
	return name, value
}

// checkCombination checks what the options mean together.
func (c *config) checkCombination() {
	names := slices.Sorted(maps.Keys(c.credentials))
	c.require("credential:", len(names) > 0, "none is given: use WithAPIKey, WithAPIKeyFile, WithAPIKeyFunc, WithAuthToken or WithAuthTokenFunc, "+
		"or WithEnv with PALETTE_API_KEY, PALETTE_API_KEY_FILE or PALETTE_AUTH_TOKEN set")
	if len(names) > 1 {
		c.require("credential:", false, "more than one is given: %s", strings.Join(names, ", "))
	}
	for _, cred := range c.credentials {
		c.credential = cred
	}
	if u := c.baseURL; u != nil && !isLoopback(u.Hostname()) && c.credential.fake {
		c.require("credential:", false, "it is a key of palettetest, which %s does not know: use the URL of the palettetest server", u.Hostname())
	}
	c.require("TLS:", c.httpClient == nil || c.rootCAs == nil && !c.skipVerify,
		"WithHTTPClient cannot be combined with WithRootCAs, WithInsecureSkipVerify, PALETTE_CA_FILE or PALETTE_INSECURE_SKIP_VERIFY: configure TLS in its Transport")
	if _, ok := http.DefaultTransport.(*http.Transport); !ok && (c.rootCAs != nil || c.skipVerify) {
		c.require("TLS:", false, "http.DefaultTransport was replaced by %T, which cannot be configured: use WithHTTPClient", http.DefaultTransport)
	}
	if u := c.baseURL; u != nil && u.Scheme == "http" && !isLoopback(u.Hostname()) {
		c.require("base URL:", c.httpAllowed, "http to %s would send the credential in clear text: use https, or WithInsecureHTTP", u.Hostname())
	}
}

// parseBaseURL parses a host or URL. Its errors do not quote it, because it may contain a
// password.
func parseBaseURL(raw string) (*url.URL, error) {
	if !strings.Contains(raw, "://") {
		if scheme, _, _ := strings.Cut(raw, ":"); strings.EqualFold(scheme, "https") || strings.EqualFold(scheme, "http") {
			return nil, errors.New("there is no // after the scheme")
		}
		raw = "https://" + raw
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("it is not a host or URL")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("the scheme must be https or http")
	case u.Hostname() == "":
		return nil, errors.New("it has no host")
	case strings.Contains(u.Hostname(), ":") && u.Host[0] != '[':
		return nil, errors.New("an IPv6 address needs brackets")
	case u.User != nil:
		return nil, errors.New("it must not contain a user or password")
	case strings.ContainsAny(raw, "?#"):
		return nil, errors.New("it must not contain a query or fragment")
	}
	u.Host = strings.TrimSuffix(u.Host, ":") // as net/http does with the URL of a request
	if strings.EqualFold(u.Hostname(), "localhost") {
		u.Host = strings.ToLower(u.Host) // net/http would send requests to LOCALHOST through a proxy
	}
	// Both forms, so that the escaped path stays as it is.
	u.RawPath = strings.TrimRight(u.EscapedPath(), "/")
	u.Path, err = url.PathUnescape(u.RawPath)
	if strings.HasSuffix(u.Path, "/v1") {
		return nil, errors.New("the path must not end in /v1, which the client adds")
	}
	if _, parseErr := url.Parse(u.String()); err != nil || parseErr != nil { // resty parses it once more
		return nil, errors.New("it is not a host or URL")
	}
	return u, nil
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.IsLoopback()
}
