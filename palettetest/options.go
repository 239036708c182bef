package palettetest

import (
	"net/url"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// Option changes how a [Server] behaves. A nil Option is skipped.
type Option func(*config)

type config struct {
	now        func() time.Time
	users      []User
	keyLimit   int
	pageSize   int
	rate       rate.Limit
	burst      int
	retryAfter time.Duration
	latency    time.Duration
	prefix     string
	tls        bool
}

func newConfig(opts []Option) config {
	cfg := config{now: time.Now, keyLimit: 20, rate: rate.Inf}
	for _, opt := range opts {
		if opt != nil {
			opt(&cfg)
		}
	}
	return cfg
}

// WithUser adds a user beside the built-in tenant admin. It may be given
// several times. [NewServer] panics on an empty or repeated UID.
func WithUser(u User) Option {
	return func(c *config) { c.users = append(c.users, u) }
}

// WithClock sets where the time comes from for timestamps, expiries, tokens and
// the rate limit; the default is time.Now. Delays always run in real time. The
// function must be safe for concurrent use.
func WithClock(now func() time.Time) Option {
	return func(c *config) { c.now = now }
}

// WithKeyLimit sets how many keys a user may have. The default is Palette's own,
// 20; below 1 there is no limit. A create beyond it gets 400 with code
// ResourceLimitExceeded (assumed: the real reply is not documented).
func WithKeyLimit(n int) Option {
	return func(c *config) { c.keyLimit = n }
}

// WithRateLimit answers requests beyond so many a second with 429 and code
// TooManyRequests (documented status, assumed body). It is off by default.
// Palette documents 10 a second with bursts up to 50 for this resource, for each
// source address; here all clients count together. A request that is refused,
// misrouted or without a credential counts too (assumed).
func WithRateLimit(perSecond float64, burst int) Option {
	return func(c *config) { c.rate, c.burst = rate.Limit(perSecond), burst }
}

// WithRetryAfter makes the 429 of the rate limit carry a Retry-After header of d,
// rounded up to whole seconds. It is off by default, since Palette documents
// no such header.
func WithRetryAfter(d time.Duration) Option {
	return func(c *config) { c.retryAfter = d }
}

// WithPageSize cuts lists into pages of n items with a "listmeta", continued by
// the query parameter "continue"; a token that was never handed out gets 400.
// The default is one page with everything: other Palette lists page in this way,
// for API keys neither is documented (assumed, both).
func WithPageSize(n int) Option {
	return func(c *config) { c.pageSize = n }
}

// WithTLS serves HTTPS, with HTTP/2, under a certificate of the server's own,
// which [Server.CertPool] trusts. The default is plain HTTP/1.1.
func WithTLS() Option {
	return func(c *config) { c.tls = true }
}

// WithLatency lets every reply wait for d of real time. The default is none.
func WithLatency(d time.Duration) Option {
	return func(c *config) { c.latency = d }
}

// WithPathPrefix serves the API under a prefix, which the server's URL then
// includes, as behind a gateway: a client that replaces the base path instead
// of extending it gets 404. The default is no prefix.
func WithPathPrefix(prefix string) Option {
	return func(c *config) {
		c.prefix = ""
		if trimmed := strings.Trim(prefix, "/"); trimmed != "" {
			c.prefix = (&url.URL{Path: "/" + trimmed}).EscapedPath()
		}
	}
}
