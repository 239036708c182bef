package palette

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/time/rate"
)

// DefaultBaseURL is Palette's own host (doc). Dedicated and self-hosted ones go
// into [WithBaseURL].
const DefaultBaseURL = "https://api.spectrocloud.com"

// The headers that carry a credential (spec), in the canonical form of net/http.
const (
	headerAPIKey    = "Apikey"
	headerAuthToken = "Authorization"
)

// An Option configures [NewClient]. The order of options never matters: each may
// be given once. A nil Option is skipped.
type Option func(*config) error

// config collects the options; the zero value of a field is "not given".
type config struct {
	given       map[string]bool
	credentials []string // the options that gave one
	credential  credential
	baseURL     *url.URL
	httpClient  *http.Client
	rootCAs     *x509.CertPool
	skipVerify  bool
	timeout     time.Duration
	retry       RetryPolicy
	limiter     *rate.Limiter
	logger      *slog.Logger
	userAgent   string
}

// option names what apply does in its errors, and lets it be done only once.
func option(name string, apply func(*config) error) Option {
	return func(c *config) error {
		if c.given[name] {
			return fmt.Errorf("%s is given twice", name)
		}
		c.given[name] = true
		if err := apply(c); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
}

// WithAPIKey sends key in the ApiKey header (spec).
func WithAPIKey(key string) Option {
	return withCredential("WithAPIKey", headerAPIKey, key)
}

// WithAuthToken sends a JWT in the Authorization header, without "Bearer"
// (spec): with it the first key of a user can be made. A token lives 15 minutes
// (doc).
func WithAuthToken(token string) Option {
	return withCredential("WithAuthToken", headerAuthToken, token)
}

func withCredential(name, header, value string) Option {
	return option(name, func(c *config) error {
		c.credentials = append(c.credentials, name)
		c.credential = fixed(header, value)
		return checkKey(value)
	})
}

// WithAPIKeyFunc asks f for the key at every attempt, so that a client survives
// the rotation of its own key. f gets the context of the attempt and must return
// when that is done; it is called by many goroutines at once. Its error ends the
// call, which is not repeated.
func WithAPIKeyFunc(f func(context.Context) (string, error)) Option {
	return option("WithAPIKeyFunc", func(c *config) error {
		c.credentials = append(c.credentials, "WithAPIKeyFunc")
		c.credential = credential{headerAPIKey, func(ctx context.Context) (string, error) {
			key, err := f(ctx)
			if err == nil {
				err = checkKey(key)
			}
			return key, err
		}}
		return refuseNil(f == nil)
	})
}

// WithEnv fills in from the environment what no other option says:
//
//   - PALETTE_API_KEY, else SPECTROCLOUD_APIKEY: the key
//   - PALETTE_HOST, else SPECTROCLOUD_HOST: the host or base URL
//   - PALETTE_CA_FILE: a file of PEM certificates to trust instead of the system's
//   - PALETTE_INSECURE_SKIP_VERIFY: a boolean, as [WithInsecureSkipVerify]
//
// An empty variable counts as not set. The last two are not read beside
// [WithHTTPClient], [WithRootCAs] or [WithInsecureSkipVerify].
func WithEnv() Option {
	return option("WithEnv", func(*config) error { return nil })
}

// WithBaseURL sets where Palette is: a host, with a port if need be, or a URL,
// whose path is put before /v1. It must be https, or http to this machine;
// see [WithInsecureHTTP]. The default is [DefaultBaseURL].
func WithBaseURL(rawURL string) Option {
	return option("WithBaseURL", func(c *config) (err error) {
		c.baseURL, err = parseBaseURL(rawURL)
		return err
	})
}

// WithInsecureHTTP allows an http base URL to a host other than this machine.
// Everyone on the way can then read the key.
func WithInsecureHTTP() Option {
	return option("WithInsecureHTTP", func(*config) error { return nil })
}

// WithHTTPClient sends through a copy of hc. Its Transport is where proxies, TLS
// settings and OpenTelemetry go; its Timeout and Jar are honored, its
// CheckRedirect is never asked. Without it, or where its Transport is nil, the
// transport is Go's default with at most 64 connections to the host, which over
// HTTP/1.1 is as many requests at a time. It excludes [WithRootCAs] and [WithInsecureSkipVerify].
func WithHTTPClient(hc *http.Client) Option {
	return option("WithHTTPClient", func(c *config) error {
		c.httpClient = hc
		return refuseNil(hc == nil)
	})
}

// WithRootCAs trusts the certificates of pool instead of the system's.
func WithRootCAs(pool *x509.CertPool) Option {
	return option("WithRootCAs", func(c *config) error {
		c.rootCAs = pool
		return refuseNil(pool == nil)
	})
}

// WithInsecureSkipVerify accepts any certificate. Whoever answers gets the key.
func WithInsecureSkipVerify() Option {
	return option("WithInsecureSkipVerify", func(c *config) error {
		c.skipVerify = true
		return nil
	})
}

// WithTimeout bounds each attempt, from asking for the credential to the last
// byte of the reply. The default is 30 seconds. The context bounds the whole call.
func WithTimeout(perAttempt time.Duration) Option {
	return option("WithTimeout", func(c *config) error {
		c.timeout = perAttempt
		if perAttempt <= 0 {
			return fmt.Errorf("must be above 0, is %v", perAttempt)
		}
		return nil
	})
}

// WithRetry sets how often and after which wait a call is sent again. The
// default is RetryPolicy{MaxRetries: 3, MinWait: 500ms, MaxWait: 30s}.
func WithRetry(p RetryPolicy) Option {
	return option("WithRetry", func(c *config) (err error) {
		c.retry, err = p.complete()
		return err
	})
}

// WithRateLimit lets through perSecond requests a second and burst at once, over
// all goroutines of the client, repeats included. It is off by default; Palette
// documents 10 and 50 for this resource, counted for each source address.
func WithRateLimit(perSecond float64, burst int) Option {
	return option("WithRateLimit", func(c *config) error {
		c.limiter = rate.NewLimiter(rate.Limit(perSecond), burst)
		if !(perSecond > 0) || math.IsInf(perSecond, 0) || burst < 1 {
			return fmt.Errorf("needs a finite rate above 0 and a burst of at least 1, has %v and %d", perSecond, burst)
		}
		return nil
	})
}

// WithLogger writes a Debug record for each attempt to l (op, method, path, status,
// which is 0 without a reply, attempt, duration) and a Warn record for each repeat
// (op, method, path, wait, reason); never headers, bodies or what the server says.
// The default is silence.
func WithLogger(l *slog.Logger) Option {
	return option("WithLogger", func(c *config) error {
		c.logger = l
		return refuseNil(l == nil)
	})
}

// WithUserAgent puts product, such as "my-tool/1.4", before the SDK's own name in
// the User-Agent header.
func WithUserAgent(product string) Option {
	return option("WithUserAgent", func(c *config) error {
		c.userAgent = product
		if product == "" || strings.ContainsFunc(product, func(r rune) bool { return r < ' ' || r > '~' }) {
			return errors.New("must be printable ASCII and not empty")
		}
		return nil
	})
}

func refuseNil(isNil bool) error {
	if isNil {
		return errors.New("must not be nil")
	}
	return nil
}

// newConfig applies opts, fills in the environment and the defaults, and checks
// what the options say together.
func newConfig(opts []Option) (*config, error) {
	c := &config{given: map[string]bool{}, timeout: 30 * time.Second, retry: defaultRetry}
	for _, opt := range opts {
		if opt == nil {
			continue
		}
		if err := opt(c); err != nil {
			return nil, err
		}
	}
	if c.given["WithEnv"] {
		if err := c.fillFromEnv(); err != nil {
			return nil, fmt.Errorf("WithEnv: %w", err)
		}
	}
	if c.baseURL == nil {
		c.baseURL, _ = parseBaseURL(DefaultBaseURL)
	}
	return c, c.check()
}

func (c *config) check() error {
	switch {
	case len(c.credentials) == 0:
		return errors.New("no credential: use WithAPIKey, WithAPIKeyFunc, WithAuthToken, or WithEnv with PALETTE_API_KEY set")
	case len(c.credentials) > 1:
		return fmt.Errorf("more than one credential: %s", strings.Join(c.credentials, ", "))
	case c.httpClient != nil && (c.rootCAs != nil || c.skipVerify):
		return errors.New("WithHTTPClient excludes WithRootCAs and WithInsecureSkipVerify: set TLS up in its Transport")
	case c.baseURL.Scheme == "http" && !isLoopback(c.baseURL.Hostname()) && !c.given["WithInsecureHTTP"]:
		return fmt.Errorf("base URL: http to %s would show the key to everyone on the way: use https, or WithInsecureHTTP", c.baseURL.Hostname())
	}
	return nil
}

func (c *config) fillFromEnv() error {
	if name, key := firstEnv("PALETTE_API_KEY", "SPECTROCLOUD_APIKEY"); key != "" && len(c.credentials) == 0 {
		c.credentials = append(c.credentials, name)
		c.credential = fixed(headerAPIKey, key)
		if err := checkKey(key); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if name, host := firstEnv("PALETTE_HOST", "SPECTROCLOUD_HOST"); host != "" && c.baseURL == nil {
		var err error
		if c.baseURL, err = parseBaseURL(host); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if c.httpClient != nil || c.rootCAs != nil || c.skipVerify {
		return nil
	}
	return c.fillTLSFromEnv()
}

func (c *config) fillTLSFromEnv() error {
	if name, file := firstEnv("PALETTE_CA_FILE"); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		c.rootCAs = x509.NewCertPool()
		if !c.rootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("%s: no PEM certificate in %s", name, file)
		}
	}
	if name, value := firstEnv("PALETTE_INSECURE_SKIP_VERIFY"); value != "" {
		var err error
		if c.skipVerify, err = strconv.ParseBool(value); err != nil {
			return fmt.Errorf("%s: must be true or false", name)
		}
	}
	return nil
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

// fixed is a credential that is always the same.
func fixed(header, value string) credential {
	return credential{header, func(context.Context) (string, error) { return value, nil }}
}

// checkKey refuses what cannot be a credential. Keys are opaque: neither their
// length nor their alphabet is known.
func checkKey(key string) error {
	switch {
	case key == "":
		return errors.New("the credential is empty")
	case strings.ContainsFunc(key, unicode.IsSpace):
		return errors.New(`the credential holds white space: trim the newline of a file, and leave "Bearer" out`)
	case strings.ContainsFunc(key, unicode.IsControl):
		return errors.New("the credential holds a control character")
	}
	return nil
}

// parseBaseURL reads a host or URL. Its errors do not quote it, since it may
// hold a password.
func parseBaseURL(raw string) (*url.URL, error) {
	if !strings.Contains(raw, "://") {
		if scheme, _, _ := strings.Cut(raw, ":"); strings.EqualFold(scheme, "https") || strings.EqualFold(scheme, "http") {
			return nil, errors.New("no // after the scheme") // else the key would go to a host named https
		}
		raw = "https://" + raw
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("not a host or URL")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("scheme must be https or http")
	case u.Hostname() == "":
		return nil, errors.New("no host")
	case strings.Contains(u.Hostname(), ":") && u.Host[0] != '[':
		return nil, errors.New("an IPv6 address needs brackets")
	case u.User != nil:
		return nil, errors.New("must not hold a user or password")
	case strings.ContainsAny(raw, "?#"):
		return nil, errors.New("must not hold a query or fragment")
	}
	u.Host = strings.TrimSuffix(u.Host, ":") // as net/http does to a request's
	// Both forms, so that a path can be appended to either.
	u.RawPath = strings.TrimRight(u.EscapedPath(), "/")
	u.Path, err = url.PathUnescape(u.RawPath)
	return u, err
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
