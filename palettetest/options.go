package palettetest

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// Option configures a [Server]. A nil Option is ignored.
type Option func(*config)

type config struct {
	addr      string
	tls       bool
	hosts     []string // in the certificate, in addition to localhost
	prefix    string
	now       func() time.Time
	users     []User // the first is the built-in administrator
	apiKey    *string
	keyLimit  int
	pageSize  int
	rate      rate.Limit
	burst     int
	rateStyle RateLimitStyle
	latency   time.Duration
	differences
}

func newConfig(opts []Option) config {
	cfg := config{
		addr: "127.0.0.1:0", now: time.Now, keyLimit: 20, rate: rate.Inf, burst: 1,
		differences: differences{createStatus: http.StatusCreated},
		users:       []User{{UID: AdminUID, FirstName: "Tenant", LastName: "Admin", Admin: true}},
	}
	for _, opt := range opts {
		if opt != nil {
			opt(&cfg)
		}
	}
	return cfg
}

var (
	apiKeyPattern = regexp.MustCompile(`^palettetest\+[!-~]+$`) // the administrator's credential
	hostPattern   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]*$`)
)

func (c *config) check() error {
	if c.rate <= 0 || c.burst < 1 {
		return errors.New("WithRateLimit: the rate and the burst must be positive")
	}
	for _, host := range c.hosts {
		if net.ParseIP(host) == nil && !hostPattern.MatchString(host) {
			return fmt.Errorf("WithTLS: %q is not a host", host)
		}
	}
	if c.apiKey != nil {
		if !apiKeyPattern.MatchString(*c.apiKey) {
			return errors.New(`WithAPIKey: the key must start with "palettetest+" and have no white space`)
		}
		c.users[0].Credential = *c.apiKey
	}
	return checkUsers(c.users)
}

func checkUsers(users []User) error {
	uids, credentials := map[string]bool{"": true}, map[string]bool{}
	for _, u := range users {
		if uids[u.UID] {
			return fmt.Errorf("WithUser: the UID %q is empty or not unique", u.UID)
		}
		if credentials[u.Credential] {
			return fmt.Errorf("WithUser: the credential of the UID %q is not unique", u.UID)
		}
		uids[u.UID] = true
		credentials[u.Credential] = u.Credential != "" // an empty one is generated
	}
	return nil
}

// WithAddr makes the server listen on addr, "host:port". It must be a loopback address,
// unless [WithTLS] names a host. The default is "127.0.0.1:0", a free port.
func WithAddr(addr string) Option {
	return func(c *config) { c.addr = addr }
}

// WithTLS makes the server use HTTPS and HTTP/2, with a certificate of its own: see
// [Server.CertPool] and [Server.CertPEM]. The default is HTTP/1.1 without TLS.
//
// The certificate is for localhost, the address of the server, and the given hosts,
// which are names or IP addresses. The server's URL has the first of them. With a host,
// the server can listen on any address: see [WithAddr].
func WithTLS(hosts ...string) Option {
	return func(c *config) { c.tls, c.hosts = true, slices.Clone(hosts) }
}

// WithAPIKey sets the credential of the built-in administrator: see [Server.APIKey]. It
// must start with "palettetest+", so that nobody mistakes it for a real key. By default,
// the server generates one.
func WithAPIKey(key string) Option {
	return func(c *config) { c.apiKey = &key }
}

// WithPathPrefix serves the API under a path prefix, which is then part of the
// server's URL, as behind a gateway. Other paths respond with 404. The default is no
// prefix.
func WithPathPrefix(prefix string) Option {
	return func(c *config) {
		c.prefix = ""
		if trimmed := strings.Trim(prefix, "/"); trimmed != "" {
			c.prefix = (&url.URL{Path: "/" + trimmed}).EscapedPath()
		}
	}
}

// WithClock sets the clock for timestamps, expiries, tokens, the rate limit,
// [WithKeyDelay] and [WithListDelay]. now must be safe for concurrent use. Delays of
// responses do not use this clock. The default is time.Now.
func WithClock(now func() time.Time) Option {
	return func(c *config) { c.now = now }
}

// WithUser adds a user. It can be given more than once. The UID must not be empty; UIDs
// and credentials must be unique. The built-in administrator, [AdminUID], always exists.
func WithUser(u User) Option {
	return func(c *config) { c.users = append(c.users, u) }
}

// WithKeyLimit sets how many keys a user can have; 0 means no limit. The default is 20, as
// in Palette (doc). A create request above the limit gets 400 and the code
// ResourceLimitExceeded; Palette's response is not documented.
func WithKeyLimit(n int) Option {
	return func(c *config) { c.keyLimit = n }
}

// WithPageSize divides lists into pages of n keys. Each page has a "listmeta" object
// whose "continue" token requests the next page, as other lists of Palette do (doc). The
// default is one page without "listmeta" (assumed: L1).
func WithPageSize(n int) Option {
	return func(c *config) { c.pageSize = n }
}

// WithRateLimit limits the requests of all clients together. Requests that are rejected
// for another reason count as well. Both arguments must be positive. Palette allows 10
// requests per second and bursts of 50 for each source address (doc). The default is
// no limit.
func WithRateLimit(perSecond float64, burst int) Option {
	return func(c *config) { c.rate, c.burst = rate.Limit(perSecond), burst }
}

// RateLimitStyle is the form of the response to a request above the rate limit. It
// depends on what enforces the limit.
type RateLimitStyle int

const (
	// RateLimitPalette is the status 429 with a JSON error whose code is
	// TooManyRequests, and no Retry-After header. Only the status is documented (R1). It
	// is the default.
	RateLimitPalette RateLimitStyle = iota
	// RateLimitNginx is the status 503 with nginx's HTML page, and no Retry-After
	// header: the ingress of Palette up to 4.8.
	RateLimitNginx
	// RateLimitTraefik is the status 429 with the text "Too Many Requests" and the
	// headers Retry-After and X-Retry-In: the ingress of newer versions.
	RateLimitTraefik
)

// WithRateLimitStyle sets the form of the response to a request above the limit of
// [WithRateLimit].
func WithRateLimitStyle(style RateLimitStyle) Option {
	return func(c *config) { c.rateStyle = style }
}

// WithLatency delays every response by d, in real time. The default is no delay.
func WithLatency(d time.Duration) Option {
	return func(c *config) { c.latency = d }
}
