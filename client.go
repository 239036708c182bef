package palette

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-resty/resty/v2"

	"github.com/seed-804bd3b7/palette-apikeys-go/internal/ratelimit"
	"github.com/seed-804bd3b7/palette-apikeys-go/internal/transport"
	"github.com/seed-804bd3b7/palette-apikeys-go/internal/version"
)

// Client is a client for one Palette host with one credential. Use [NewClient] to
// create it. It is immutable and safe for concurrent use.
type Client struct {
	// APIKeys has the operations on API keys.
	APIKeys *APIKeysService

	resty        *resty.Client
	closeIdle    func() // closes connections that are not in use
	ownTransport bool   // nobody else uses the connections
	credential   credential
	baseURL      string // without a trailing slash
	host         string
	defaultHost  bool          // nobody has set the host
	timeout      time.Duration // of one attempt
	timedOut     error         // the cause of the context of an attempt that took longer
	retries      retryPolicy
	limiter      *ratelimit.Limiter // nil: no limit
	logger       *slog.Logger
}

// NewClient returns a client that is configured by opts. It needs exactly one credential,
// from an option or from the environment ([WithEnv]). It performs no network I/O.
//
// If options are invalid, the error is [ErrInvalidArgument] and its text names all of them.
func NewClient(opts ...Option) (*Client, error) {
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, invalidArgument("NewClient", err)
	}
	c := &Client{
		credential: cfg.credential,
		baseURL:    cfg.baseURL.String(),
		host:       cfg.baseURL.Host, defaultHost: cfg.defaultHost,
		timeout: cfg.timeout, timedOut: attemptTimeout(cfg.timeout),
		retries: cfg.retries,
		limiter: cfg.limiter,
		logger:  cfg.logger,
	}
	c.APIKeys = &APIKeysService{client: c}
	if err := c.connect(cfg); err != nil {
		return nil, invalidArgument("NewClient", err)
	}
	return c, nil
}

// connect creates the resty client and what lies below it: the caller's middleware, the
// transport that sets the credential, and the transport that sends requests.
func (c *Client) connect(cfg *config) error {
	var hc http.Client
	if cfg.httpClient != nil {
		hc = *cfg.httpClient // resty modifies the client that it is given
	}
	base := hc.Transport
	if base == nil {
		base, c.ownTransport = transport.Default(cfg.timeout, cfg.rootCAs, cfg.skipVerify)
	}
	c.closeIdle = (&http.Client{Transport: base}).CloseIdleConnections
	hc.Transport = transport.New(base, cfg.wrapTransport, cfg.baseURL)
	if hc.Transport == nil {
		return errors.New("the function of WithTransportWrapper returned nil")
	}
	c.resty = newResty(&hc, strings.TrimSpace(cfg.userAgent+" palette-apikeys-go/"+version.Version))
	return nil
}

// newResty returns a resty client that builds and executes requests. Features of resty and
// net/http that are off, and why:
//   - redirects: net/http would forward the API key to another host;
//   - decoding (SetDoNotParseResponse): resty treats a 201 with an HTML body as success;
//   - retries (off by default): resty retries a POST after any transport error, and sends
//     reader bodies empty the second time;
//   - logging: resty writes URLs to standard error.
func newResty(hc *http.Client, userAgent string) *resty.Client {
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return resty.NewWithClient(hc).SetLogger(discardLogger{}).
		SetHeader("Accept", "application/json").
		SetHeader("User-Agent", userAgent)
}

type discardLogger struct{}

func (discardLogger) Errorf(string, ...any) {}
func (discardLogger) Warnf(string, ...any)  {}
func (discardLogger) Debugf(string, ...any) {}

// BaseURL returns the base URL of all requests, without a trailing slash.
func (c *Client) BaseURL() string { return c.baseURL }

// WithAPIKey returns a client that uses the given API key. It has the same options as
// c, and shares c's connections and rate limiter.
//
// If the key is invalid, the error is [ErrInvalidArgument].
func (c *Client) WithAPIKey(key string) (*Client, error) {
	if err := checkAPIKey(key); err != nil {
		return nil, invalidArgument("Client.WithAPIKey", err)
	}
	derived := *c
	derived.credential = fixedCredential(headerAPIKey, key)
	derived.credential.source = "Client.WithAPIKey"
	derived.APIKeys = &APIKeysService{client: &derived}
	return &derived, nil
}

// CloseIdleConnections closes connections that are not in use, as
// [http.Client.CloseIdleConnections] does.
func (c *Client) CloseIdleConnections() { c.closeIdle() }

// operation describes one call.
type operation struct {
	name, method, path string
	query              url.Values
	body               []byte
	idempotent         bool    // two requests have the same effect as one
	result             decoder // nil: a success has no body

	// failed returns what err means for this operation. nil: err as it is.
	failed func(err error, p progress) error
}

// call executes op. Its error is in the words of the user: it names the operation, the host
// and the number of attempts.
func (c *Client) call(ctx context.Context, op operation) error {
	if ctx == nil {
		return invalidArgument(op.name, errNilContext)
	}
	var p progress
	err := c.attemptUntilDone(ctx, op, &p)
	if err != nil && op.failed != nil {
		return op.failed(err, p)
	}
	return err
}

// progress is what a call remembers of its attempts.
type progress struct {
	attempts       int
	retries        retryCounter
	maybeProcessed bool    // the server may have processed one of the attempts
	last           outcome // of the last attempt
}

// attemptUntilDone is the retry loop: it waits for the rate limiter, makes an attempt, and
// retries it if that is safe and may help.
func (c *Client) attemptUntilDone(ctx context.Context, op operation, p *progress) error {
	for {
		if err := c.waitRateLimit(ctx, op); err != nil {
			return c.gaveUp(op, p, err.Error(), err)
		}
		start := time.Now()
		p.last = c.attempt(ctx, op)
		p.attempts++
		p.maybeProcessed = p.maybeProcessed || p.last.maybeProcessed
		c.adaptRate(ctx, op, start, p.last)
		c.logAttempt(ctx, op, p, time.Since(start))
		if p.last.err == nil {
			return nil
		}
		next := c.retries.next(ctx, &p.retries, p.last, op.idempotent, c.fetchNow)
		if !next.retry {
			return c.gaveUp(op, p, next.reason)
		}
		c.logRetry(ctx, op, next)
		if err := sleep(ctx, next.wait); err != nil {
			return c.gaveUp(op, p, err.Error(), err)
		}
	}
}

// gaveUp returns the error of a call that makes no other attempt. reason says why, if the
// error of the last attempt does not. cause is what ended the wait for the next attempt.
func (c *Client) gaveUp(op operation, p *progress, reason string, cause ...error) error {
	switch {
	case p.attempts == 0:
		return &textError{"palette: " + op.name + ": " + reason, cause}
	case reason == "":
		return c.describe(op, p)
	}
	return withNote(c.describe(op, p), "not retried: "+reason, cause...)
}

// describe adds what the call knows to the error of the last attempt.
func (c *Client) describe(op operation, p *progress) error {
	err := p.last.err
	apiErr, ok := err.(*APIError) //nolint:errorlint // the function of a credential can return one of another client
	if ok {
		apiErr.Op, apiErr.Method, apiErr.Host, apiErr.Path, apiErr.Attempts = op.name, op.method, c.host, op.path, p.attempts
	} else {
		text := "palette: " + op.name + ": " + err.Error() + suffix(c.host, "", p.attempts) + hint(err)
		err = &textError{text, []error{err}}
	}
	if p.last.unauthorized {
		err = withNote(err, "the credential is from "+c.credential.source+looksLike(p.last.credential))
	}
	if c.defaultHost && (p.last.unauthorized || p.last.unreachable) {
		err = withNote(err, c.host+" is the default host: set PALETTE_HOST or WithBaseURL if yours is another")
	}
	if p.last.ended != nil {
		err = withNote(err, p.last.ended.Error(), p.last.ended)
	}
	return err
}

// fetchNow returns the credential that the client would send now.
func (c *Client) fetchNow(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return c.credential.fetch(ctx)
}

// attempt sends the request of op once and reads the response. Its outcome says nothing of
// the call, and the error in it does not contain the credential.
func (c *Client) attempt(ctx context.Context, op operation) outcome {
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, c.timedOut)
	defer cancel()
	value, err := c.credential.fetchFor(ctx, op.path)
	r := newRedactor(value)
	if err != nil {
		return outcome{permanent: true, credential: value, err: transportError(ctx, "", err, r)}
	}
	setCredential := func(h http.Header) { h.Set(c.credential.header, value) }
	attempt := transport.NewAttempt(ctx, setCredential, !op.idempotent)
	o := c.execute(attempt, op, r) //nolint:contextcheck // the attempt is the context
	o.credential, o.maybeProcessed = value, attempt.End()
	if _, timeout := errors.AsType[attemptTimeout](context.Cause(ctx)); timeout && c.ownTransport {
		c.CloseIdleConnections() // other connections may be dead as well
	}
	return o
}

// execute builds and executes the request of op.
func (c *Client) execute(attempt *transport.Attempt, op operation, r redactor) outcome {
	req := c.resty.R().
		SetContext(attempt).
		SetDoNotParseResponse(true).
		SetQueryParamsFromValues(op.query)
	if op.body != nil {
		req.SetHeader("Content-Type", "application/json").SetBody(bytes.NewReader(op.body)) // not retried by resty
	}
	resp, err := req.Execute(op.method, c.baseURL+op.path)
	if err != nil {
		phase := attempt.Phase()
		return outcome{
			refused: transport.IsRefused(err), permanent: transport.IsPermanent(err), unreachable: phase == transport.Connecting,
			err: transportError(attempt, string(phase), err, r),
		}
	}
	defer resp.RawResponse.Body.Close()
	return readResponse(attempt, resp.RawResponse, op.result, r)
}

// waitRateLimit waits until the rate limiter allows one request. If ctx ends first, or
// would, it returns an error.
func (c *Client) waitRateLimit(ctx context.Context, op operation) error {
	if err := contextError(ctx); err != nil || c.limiter == nil {
		return err
	}
	c.logWait(ctx, op)
	err := c.limiter.Wait(ctx)
	switch {
	case errors.Is(err, ratelimit.ErrTooLate):
		return &textError{err.Error(), []error{ErrRateLimited, context.DeadlineExceeded}}
	case err != nil:
		return fmt.Errorf("waiting for the rate limiter: %w", contextError(ctx))
	}
	return nil
}

// adaptRate tells the rate limiter about the response to an attempt that began at start.
func (c *Client) adaptRate(ctx context.Context, op operation, start time.Time, o outcome) {
	if c.limiter == nil || o.status == 0 {
		return
	}
	slowedTo := c.limiter.Observe(start, o.overloaded, min(o.retryAfter, c.retries.backoff.max))
	if slowedTo > 0 {
		c.logger.LogAttrs(ctx, slog.LevelWarn, "palette: the server is overloaded, slowing down",
			slog.String("op", op.name), slog.Float64("requestsPerSecond", slowedTo))
	}
}

// longWait is the duration from which a wait for the rate limiter is logged.
const longWait = time.Second

// logWait logs a long wait that is about to begin. Without a log, the estimate is left to
// Wait, which makes the same one.
func (c *Client) logWait(ctx context.Context, op operation) {
	if !c.logger.Enabled(ctx, slog.LevelDebug) {
		return
	}
	if wait := c.limiter.Estimate(); wait >= longWait && !endsWithin(ctx, wait) {
		c.logger.LogAttrs(ctx, slog.LevelDebug, "palette: waiting for the rate limiter",
			slog.String("op", op.name), slog.Duration("wait", wait))
	}
}

func (c *Client) logAttempt(ctx context.Context, op operation, p *progress, took time.Duration) {
	if !c.logger.Enabled(ctx, slog.LevelDebug) {
		return
	}
	path := newRedactor(p.last.credential).text(op.path, maxText)
	c.logger.LogAttrs(ctx, slog.LevelDebug, "palette: request",
		slog.String("op", op.name), slog.String("method", op.method), slog.String("path", path),
		slog.Int("status", p.last.status), slog.Int("attempt", p.attempts), slog.Duration("duration", took))
}

func (c *Client) logRetry(ctx context.Context, op operation, next decision) {
	c.logger.LogAttrs(ctx, slog.LevelWarn, "palette: retrying request",
		slog.String("op", op.name), slog.String("method", op.method), slog.String("path", op.path),
		slog.Duration("wait", next.wait), slog.String("reason", next.reason))
}
